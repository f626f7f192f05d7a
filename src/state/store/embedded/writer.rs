//! Appends to a log on disk.
//!
//! The order of an append: the lock of the log; the end of the log is where it was left, or it is read again, and what others
//! may have left unsynced is synced; the frame is written and `fdatasync`ed; the head is written, and synced when a run begins
//! or ends. Of the two copies of the head only one is ever written between two syncs, so that the other is whole whatever happens. A segment is made under another name,
//! with its first frame in it, synced, renamed, and its directory synced: no segment is ever empty. The first head says that a
//! log is being made, and stands before the first segment, so that a missing head is always damage.

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::disk::{Disk, Made, Sync, unconfirmed};
use super::head::{self, HeadRecord};
use super::scan::{Scan, scan, segment_path, unavailable};
use super::segment::{self, SegmentHeader};
use crate::state::contract::{Entry, FORMAT, Head, StoreError};
use crate::state::store::follows::check_follows;

/// A segment that is this long is followed by a new one. Opening reads and checks the last one, which takes 25 ms at most.
pub const SEGMENT: u64 = 1 << 20;

/// How long an append waits for the lock, which others hold for the time of one append.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// How many directories above a log may be ours: `.stackwright/state/ENVIRONMENT`, and the one in which that lies.
const LEVELS: usize = 3;

pub struct Writer {
    dir: PathBuf,
    disk: Disk,
    segment_max: u64,
    tail: Option<Tail>,
    /// The disk did not confirm a write: nothing is written any more.
    broken: Option<StoreError>,
    /// The segment, by its inode, that is known to have its name on the disk, and its directory too.
    named: Option<u64>,
}

/// Where the log ends, as this process left it.
struct Tail {
    path: PathBuf,
    segment: File,
    length: u64,
    head_file: File,
    head: HeadRecord,
    /// The copy of the head that is written until it is synced.
    slot: u64,
    end: Head,
}

impl Writer {
    pub fn new(dir: PathBuf, disk: Disk, segment_max: u64) -> Writer {
        Writer { dir, disk, segment_max, tail: None, broken: None, named: None }
    }

    pub fn append(&mut self, expected: Option<Head>, entries: &[Entry]) -> Result<Head, StoreError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        check_follows(expected, entries)?;
        let frame = segment::frame(entries).ok_or_else(|| StoreError::Misuse("an append is too large".into()))?;
        self.disk.create_dirs(&self.dir).map_err(|error| unavailable("write to", &self.dir, &error))?;
        let _lock = lock(&self.disk, &self.dir.join("append.lock"))?;
        if let Err(error) = self.find_tail() {
            return Err(self.given_up(error));
        }
        let head = self.tail.as_ref().map(|tail| tail.end);
        if head != expected {
            return Err(StoreError::Moved { head });
        }
        let result = match &self.tail {
            None => self.create(entries, &frame),
            Some(tail) if tail.length >= self.segment_max => self.roll(entries, &frame),
            Some(_) => self.extend(entries, &frame),
        };
        result.map_err(|error| self.given_up(error))
    }

    /// After an error the log is read again; after one of a sync nothing is believed any more.
    fn given_up(&mut self, error: StoreError) -> StoreError {
        self.tail = None;
        if matches!(error, StoreError::Unconfirmed { .. }) {
            self.broken = Some(error.clone());
        }
        error
    }

    /// The tail as it is now, whoever wrote last; a torn write behind it is cut.
    fn find_tail(&mut self) -> Result<(), StoreError> {
        if self.tail.as_ref().is_some_and(Tail::is_where_it_was) {
            return Ok(());
        }
        self.tail = None;
        let Some(found) = scan(&self.dir, u64::MAX)? else { return Ok(()) };
        let Scan { end, last, length, torn, head, head_slot, .. } = found;
        let segment = self.disk.open(&last)?;
        let head_path = self.dir.join("head");
        let head_file = self.disk.open(&head_path)?;
        if torn > 0 {
            let cut = self.disk.set_length(&segment, length);
            cut.map_err(|error| unavailable("cut a torn write from", &last, &error))?;
        }
        // Whoever wrote this may have been killed before it was synced, and what is written now must not stand on it unsynced.
        self.disk.sync(&segment, Sync::LeftAppend).map_err(|error| unconfirmed(&last, &error))?;
        self.disk.sync(&head_file, Sync::LeftHead).map_err(|error| unconfirmed(&head_path, &error))?;
        let inode = inode(&segment);
        if self.named.is_none() || self.named != inode {
            self.disk.sync_left(&self.dir, Sync::LeftName)?;
            self.disk.sync_left(self.dir.parent().unwrap_or(Path::new(".")), Sync::LeftExchange)?;
            self.named = inode;
        }
        let slot = 1 - head_slot;
        self.tail = Some(Tail { path: last, segment, length, head_file, head, slot, end });
        Ok(())
    }

    fn extend(&mut self, entries: &[Entry], frame: &[u8]) -> Result<Head, StoreError> {
        let tail = self.tail.as_mut().expect("the log has a tail");
        if let Err(error) = self.disk.write_at(&tail.segment, frame, tail.length) {
            // What was written of it would be cut by the next writer as well.
            let _ = self.disk.set_length(&tail.segment, tail.length);
            return Err(unavailable("write to", &tail.path, &error));
        }
        if let Err(error) = self.disk.sync(&tail.segment, Sync::Append) {
            // It may be in memory and not on the disk: whoever comes next must not take it for durable.
            let _ = self.disk.set_length(&tail.segment, tail.length);
            return Err(unconfirmed(&tail.path, &error));
        }
        tail.length += frame.len() as u64;
        tail.advance(&self.disk, entries, &self.dir)
    }

    fn roll(&mut self, entries: &[Entry], frame: &[u8]) -> Result<Head, StoreError> {
        let tail = self.tail.as_mut().expect("the log has a tail");
        (tail.path, tail.segment) = make_segment(&self.disk, &self.dir, entries, frame)?;
        tail.length = (segment::HEADER + frame.len()) as u64;
        self.named = inode(&tail.segment);
        tail.advance(&self.disk, entries, &self.dir)
    }

    fn create(&mut self, entries: &[Entry], frame: &[u8]) -> Result<Head, StoreError> {
        let store = entries[0].header.store;
        // Whoever made the directories may have died before their names were synced.
        for (level, dir) in (1u8..).zip(self.dir.ancestors().skip(1).take(LEVELS)) {
            self.disk.sync_left(dir, Sync::LeftDirectory(level))?;
        }
        let head_path = self.dir.join("head");
        self.disk.make(Made::Head, &self.dir, &head_path, &head::first(store))?;
        let (path, segment) = make_segment(&self.disk, &self.dir, entries, frame)?;
        let head = HeadRecord {
            format: FORMAT,
            generation: 1,
            store,
            head: None,
            revision: 0,
            engine: env!("CARGO_PKG_VERSION").into(),
        };
        let length = (segment::HEADER + frame.len()) as u64;
        let end = Head { sequence: 0, hash: Head::NONE };
        let mut tail = Tail { path, segment, length, head_file: self.disk.open(&head_path)?, head, slot: 0, end };
        self.named = inode(&tail.segment);
        let result = tail.advance(&self.disk, entries, &self.dir);
        self.tail = Some(tail);
        result
    }
}

impl Tail {
    /// Nobody has written since: the file is as long as it was, and no other follows it.
    fn is_where_it_was(&self) -> bool {
        let Some(dir) = self.path.parent() else { return false };
        let same_file = self.segment.metadata().ok().zip(std::fs::metadata(&self.path).ok());
        // By its inode: another log may have been put in its place.
        let same = same_file.is_some_and(|(open, named)| open.ino() == named.ino() && open.len() == self.length);
        same && !segment_path(dir, self.end.sequence + 1).exists()
    }

    /// The entries are durable: says so in the head.
    fn advance(&mut self, disk: &Disk, entries: &[Entry], dir: &Path) -> Result<Head, StoreError> {
        self.end = entries.last().expect("something was appended").head();
        let revisions = entries.iter().filter(|entry| entry.header.kind == "revision").count() as u64;
        self.head = HeadRecord {
            format: FORMAT,
            generation: self.head.generation + 1,
            head: Some(self.end),
            revision: self.head.revision + revisions,
            engine: env!("CARGO_PKG_VERSION").into(),
            store: self.head.store,
        };
        // A head that stays behind is no harm: the chain proves the longer log. So this does not undo the append.
        let written = head::write(disk, &self.head_file, self.slot, &self.head);
        let is_turn = |entry: &Entry| matches!(&*entry.header.kind, "genesis" | "lease" | "release" | "revision");
        if written.is_ok() && entries.iter().any(is_turn) {
            disk.sync(&self.head_file, Sync::Head).map_err(|error| unconfirmed(&dir.join("head"), &error))?;
            self.slot = 1 - self.slot;
        }
        Ok(self.end)
    }
}

fn inode(file: &File) -> Option<u64> {
    file.metadata().ok().map(|it| it.ino())
}

fn make_segment(disk: &Disk, dir: &Path, entries: &[Entry], frame: &[u8]) -> Result<(PathBuf, File), StoreError> {
    let first = &entries[0].header;
    let header = SegmentHeader { format: FORMAT, store: first.store, first: first.sequence, previous: first.previous };
    let path = segment_path(dir, first.sequence);
    let file = disk.make(Made::Segment, dir, &path, &[&header.bytes(), frame].concat())?;
    Ok((path, file))
}

/// The lock of the log, for the time of one append. Freed when the file is closed, also by a crash.
#[allow(clippy::disallowed_methods, reason = "another process holds it: there is nothing to await, and no simulated time")]
pub fn lock(disk: &Disk, path: &Path) -> Result<File, StoreError> {
    let file = disk.open_lock(path).map_err(|error| unavailable("write to", path, &error))?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_WAIT => std::thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Unavailable {
                    what: format!("lock {}", path.display()),
                    why: format!("another process has held it for {} s; is one stopped in a debugger?", LOCK_WAIT.as_secs()),
                });
            }
            Err(TryLockError::Error(error)) => return Err(unavailable("lock", path, &error)),
        }
    }
}
