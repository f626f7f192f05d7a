//! A whole log put in the place of another, or where there is none: made beside it, synced, and exchanged in one step, so that a
//! crash leaves the one or the other; and what can still be read of a log that is damaged.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::disk::{Disk, Made, Sync, unconfirmed};
use super::head::{self, HeadFile};
use super::runs_alive;
use super::scan::{scan, segments_of, unavailable};
use super::segment::{self, Frame, SegmentHeader};
use super::writer::{Writer, lock};
use crate::model::Digest;
use crate::state::contract::{Entry, Head, Salvage, Sequence, Snapshot, StoreError, batches};
use crate::state::store::snapshot::snapshot_bytes;

/// Bytes of bodies that one append takes when a log is made at once.
const BATCH: usize = 4 << 20;

/// What is put where.
pub struct Replacement<'r> {
    pub entries: &'r [Entry],
    pub snapshot: Option<&'r Snapshot>,
    /// Whether what is there may be a log: it is kept aside then. Else it is refused as [`StoreError::Moved`].
    pub over_another: bool,
}

/// Puts a log into `dir`; gives the directory in which what was there is kept, where there was anything.
pub fn replace(disk: &Disk, dir: &Path, segment_max: u64, new: &Replacement<'_>) -> Result<Option<PathBuf>, StoreError> {
    let Some((root, name)) = dir.parent().zip(dir.file_name()) else {
        return Err(StoreError::Misuse(format!("{} is no place for a log", dir.display())));
    };
    disk.create_dirs(dir).map_err(|error| unavailable("write to", dir, &error))?;
    let aside = free_place(&root.join(".aside"), &name.to_string_lossy());
    let made = make(disk, &aside, segment_max, new).and_then(|()| exchange(disk, dir, &aside, new.over_another));
    match made {
        Ok(kept) => Ok(kept.then_some(aside)),
        Err(error) => {
            // Only what is ours and was never the log: `exchange` fails before it has exchanged, or does not fail.
            if disk.point().is_ok() {
                let _ = std::fs::remove_dir_all(&aside);
            }
            Err(error)
        }
    }
}

/// The first name that nobody uses: `production-1`.
fn free_place(dir: &Path, name: &str) -> PathBuf {
    (1u32..).map(|number| dir.join(format!("{name}-{number}"))).find(|path| !path.exists()).expect("there are many numbers")
}

fn make(disk: &Disk, place: &Path, segment_max: u64, new: &Replacement<'_>) -> Result<(), StoreError> {
    let mut writer = Writer::new(place.to_owned(), disk.clone(), segment_max);
    let mut head = None;
    for batch in batches(new.entries, BATCH) {
        head = Some(writer.append(head, batch)?);
    }
    if let Some(snapshot) = new.snapshot {
        disk.make(Made::Snapshot, place, &place.join("snapshot"), &snapshot_bytes(snapshot))?;
    }
    match scan(place, 1)? {
        Some(found) if found.entries == new.entries => Ok(()),
        _ => Err(StoreError::Damaged {
            place: place.display().to_string(),
            what: "what was just written there reads otherwise".into(),
        }),
    }
}

/// The two directories change places; whether something stays behind in the second.
fn exchange(disk: &Disk, dir: &Path, fresh: &Path, over_another: bool) -> Result<bool, StoreError> {
    let _lock = lock(disk, &dir.join("append.lock"))?;
    if runs_alive(dir)? {
        let what = format!("put another log into {}", dir.display());
        return Err(StoreError::Unavailable { what, why: "a run is alive there".into() });
    }
    if !over_another && let Some(found) = scan(dir, u64::MAX)? {
        return Err(StoreError::Moved { head: Some(found.end) });
    }
    // The lock belongs to the old directory; whoever waits for it finds another log when it has it, and looks again.
    disk.exchange(fresh, dir).map_err(|error| unavailable("replace", dir, &error))?;
    let root = dir.parent().expect("it was looked at");
    for (parent, what) in [(root, Sync::Exchanged), (&root.join(".aside"), Sync::Aside)] {
        disk.sync_dir(parent, what).map_err(|error| unconfirmed(parent, &error))?;
    }
    if over_another && holds_anything(fresh) {
        return Ok(true);
    }
    let _ = std::fs::remove_dir_all(fresh);
    let _ = std::fs::remove_dir(root.join(".aside"));
    Ok(false)
}

/// Whether a directory holds more than locks.
fn holds_anything(dir: &Path) -> bool {
    let listing = std::fs::read_dir(dir).into_iter().flatten().flatten();
    listing.map(|file| file.file_name()).any(|name| name != "append.lock" && name != "runs")
}

/// What can still be read of the log in `dir`. `known` is a log that is whole, such as a backup of it: entries behind it are proved
/// by its hashes.
pub fn salvage(dir: &Path, known: &[Entry]) -> Result<Salvage, StoreError> {
    let mut found = Salvage::default();
    let path = dir.join("head");
    if let Ok(HeadFile::Present { newest, .. }) = head::read(&path) {
        found.store = Some(newest.store);
        found.said = newest.head.map(|head| head.sequence);
    }
    let segments = segments_of(dir)?;
    found.exists = found.store.is_some() || !segments.is_empty() || path.exists();
    let mut walk = Walk { hashes: known.iter().map(|entry| (entry.header.sequence, entry.hash())).collect(), found };
    for (_, path) in segments {
        // One that cannot be read at all is like one that is not there.
        if let Ok(bytes) = std::fs::read(&path) {
            walk.segment(&bytes, known);
        }
    }
    Ok(walk.found)
}

struct Walk {
    /// By sequence, of entries that are proved.
    hashes: BTreeMap<Sequence, Digest>,
    found: Salvage,
}

impl Walk {
    fn segment(&mut self, bytes: &[u8], known: &[Entry]) {
        if let Some(header) = SegmentHeader::parse(bytes) {
            self.found.store.get_or_insert(header.store);
        }
        let mut offset = 0;
        while let Some(at) = segment::next_frame(bytes, offset) {
            let (frame, length) = Frame::parse(&bytes[at..]).expect("a frame begins there");
            self.frame(&frame, known);
            offset = at + length;
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, known: &[Entry]) {
        let Some(store) = self.found.store.or_else(|| Some(known.first()?.header.store)) else { return };
        let before = match frame.first {
            1 => Some(Head::NONE),
            first => self.hashes.get(&(first - 1)).copied(),
        };
        let proved = before.and_then(|before| frame.entries(store, before));
        match proved {
            Some(entries) => {
                self.hashes.extend(entries.iter().map(|entry| (entry.header.sequence, entry.hash())));
                self.found.proved.extend(entries);
            }
            None => self.found.unproved.extend(frame.entries_unproved(store).unwrap_or_default()),
        }
    }
}

impl Disk {
    /// Two directories change places, in one step where the file system can do that.
    pub fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        self.point()?;
        match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
                self.exchange_in_steps(one, other)
            }
            done => done.map_err(io::Error::from),
        }?;
        #[cfg(test)]
        self.faults.exchanged(one, other);
        Ok(())
    }

    /// In three renames, with a mark by which [`interrupted`] knows that a crash came between them.
    fn exchange_in_steps(&self, one: &Path, other: &Path) -> io::Result<()> {
        let root = other.parent().unwrap_or(Path::new("."));
        let (mark, between) = (mark(other), one.with_extension("between"));
        File::create(&mark)?.sync_all()?;
        File::open(root)?.sync_all()?;
        std::fs::rename(other, &between)?;
        std::fs::rename(one, other)?;
        std::fs::rename(&between, one)?;
        File::open(root)?.sync_all()?;
        std::fs::remove_file(&mark)
    }
}

fn mark(dir: &Path) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    dir.with_file_name(format!(".{name}.replacing"))
}

/// Whether the log of `dir` may be missing because putting another one in its place was interrupted.
pub fn interrupted(dir: &Path) -> bool {
    mark(dir).exists()
}
