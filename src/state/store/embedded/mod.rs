//! A log on this machine's disk.
//!
//! ```text
//! .stackwright/state/key               the key that seals secrets, mode 0600
//! .stackwright/state/production/
//!   000000000001.log …                 segments, named by their first entry; append-only, never changed
//!   head                               the end of the log, twice
//!   append.lock                        locked for the time of one append
//!   runs/NAME                          locked by a run for its life
//!   snapshot                           derived: the view at some entry
//!   index/                             derived: sled
//! ```
//!
//! What is derived may be deleted at any time. Reading takes no lock and writes nothing; nothing is made before the first append.

mod disk;
#[cfg(test)]
mod faults;
mod head;
#[cfg(test)]
mod power;
mod replace;
mod scan;
pub(in crate::state::store) mod segment;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, mpsc};

use async_trait::async_trait;

use self::disk::{Disk, Made};
use self::replace::{Replacement, replace, salvage};
use self::scan::{scan, scan_until_damage, unavailable};
use self::writer::Writer;
use crate::state::contract::{Entry, Head, Hold, Liveness, Salvage, Sequence, Snapshot, Store, StoreError};
use crate::state::store::snapshot::{read_snapshot, snapshot_bytes};

type Job = Box<dyn FnOnce(&mut Writer) + Send>;

pub struct Embedded {
    dir: PathBuf,
    disk: Disk,
    segment_max: u64,
    /// To the thread that writes, once there is one: a sync takes milliseconds, which no worker of the runtime should wait.
    writer: Mutex<Option<mpsc::Sender<Job>>>,
}

impl Embedded {
    /// The log of one environment in its directory, which need not exist.
    pub fn at(dir: PathBuf) -> Embedded {
        Embedded { dir, disk: Disk::default(), segment_max: writer::SEGMENT, writer: Mutex::new(None) }
    }

    #[cfg(test)]
    fn with_segments_of(dir: PathBuf, segment_max: u64) -> Embedded {
        Embedded { dir, disk: Disk::default(), segment_max, writer: Mutex::new(None) }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn send(&self, job: Job) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if writer.is_none() {
            let (sender, jobs) = mpsc::channel::<Job>();
            let mut files = Writer::new(self.dir.clone(), self.disk.clone(), self.segment_max);
            let work = move || jobs.into_iter().for_each(|job| job(&mut files));
            let started = std::thread::Builder::new().name("log".into()).spawn(work);
            started.map_err(|error| unavailable("start the thread that writes to", &self.dir, &error))?;
            *writer = Some(sender);
        }
        let sent = writer.as_ref().map(|writer| writer.send(job).is_ok());
        sent.filter(|sent| *sent).map(drop).ok_or_else(gone)
    }
}

fn gone() -> StoreError {
    StoreError::Misuse("the thread that writes the log is gone".into())
}

#[async_trait]
impl Store for Embedded {
    fn place(&self) -> String {
        self.dir.display().to_string()
    }

    async fn head(&self) -> Result<Option<Head>, StoreError> {
        Ok(scan(&self.dir, u64::MAX)?.map(|found| found.end))
    }

    async fn append(&self, expected: Option<Head>, entries: Vec<Entry>) -> Result<Head, StoreError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.send(Box::new(move |writer| {
            let _ = answer.send(writer.append(expected, &entries));
        }))?;
        answered.await.map_err(|_| gone())?
    }

    async fn read(&self, from: Sequence) -> Result<Vec<Entry>, StoreError> {
        Ok(scan(&self.dir, from)?.map_or_else(Vec::new, |found| found.entries))
    }

    async fn read_what_is_whole(&self) -> (Vec<Entry>, Option<StoreError>) {
        match scan_until_damage(&self.dir, 1) {
            Ok(found) => (found.map_or_else(Vec::new, |found| found.entries), None),
            Err((entries, error)) => (entries, Some(error)),
        }
    }

    async fn hold(&self, name: &str) -> Result<Box<dyn Hold>, StoreError> {
        let path = self.dir.join("runs").join(name);
        let made = std::fs::create_dir_all(self.dir.join("runs"))
            .and_then(|()| OpenOptions::new().read(true).write(true).create_new(true).open(&path));
        let file = made.map_err(|error| unavailable("write", &path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(Held { _file: file, path })),
            Err(error) => {
                Err(StoreError::Unavailable { what: format!("lock {}", path.display()), why: scan::words(&error.into()) })
            }
        }
    }

    async fn liveness(&self, name: &str) -> Result<Liveness, StoreError> {
        // A name from the log becomes a file name: only such as we make.
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Liveness::Unknown);
        }
        let path = self.dir.join("runs").join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Liveness::Dead),
            Err(error) => return Err(unavailable("read", &path, &error)),
        };
        match file.try_lock() {
            Ok(()) => {
                // It died without tidying up. Somebody who cannot delete it has no use for it either.
                let _ = std::fs::remove_file(&path);
                Ok(Liveness::Dead)
            }
            Err(TryLockError::WouldBlock) => Ok(Liveness::Alive),
            Err(TryLockError::Error(error)) => Err(unavailable("lock", &path, &error)),
        }
    }

    async fn snapshot(&self) -> Option<Snapshot> {
        read_snapshot(&std::fs::read(self.dir.join("snapshot")).ok()?)
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.disk.make(Made::Snapshot, &self.dir, &self.dir.join("snapshot"), &snapshot_bytes(&snapshot)).map(drop)
    }

    async fn fill(&self, entries: Vec<Entry>) -> Result<Head, StoreError> {
        let head = entries.last().map(Entry::head);
        let new = Replacement { entries: &entries, snapshot: None, over_another: false };
        replace(&self.disk, &self.dir, self.segment_max, &new)?;
        head.ok_or_else(|| StoreError::Misuse("nothing to make a log of".into()))
    }

    async fn replace(&self, _: &Salvage, entries: Vec<Entry>, snapshot: Option<Snapshot>) -> Result<String, StoreError> {
        let new = Replacement { entries: &entries, snapshot: snapshot.as_ref(), over_another: true };
        let aside = replace(&self.disk, &self.dir, self.segment_max, &new)?;
        Ok(aside.map(|aside| aside.display().to_string()).unwrap_or_default())
    }

    async fn salvage(&self, known: &[Entry]) -> Result<Salvage, StoreError> {
        salvage(&self.dir, known)
    }

    async fn remarks(&self) -> Result<Vec<String>, StoreError> {
        let Some(found) = scan(&self.dir, u64::MAX)? else { return Ok(Vec::new()) };
        let mut remarks = Vec::new();
        if found.head_slot_damaged {
            remarks.push("one of the two copies of the head cannot be read; the other one and the log agree".into());
        }
        if std::fs::read(self.dir.join("snapshot")).is_ok_and(|bytes| read_snapshot(&bytes).is_none()) {
            remarks.push("the snapshot cannot be read, and is not used: `stackwright state rebuild` makes it again".into());
        }
        if found.torn > 0 {
            remarks.push(format!("{} bytes of a torn write at the end, which the next writer cuts", found.torn));
        }
        Ok(remarks)
    }

    fn derived(&self) -> Option<PathBuf> {
        Some(self.dir.clone())
    }
}

/// Whether any run that marked itself in this directory is alive.
fn runs_alive(dir: &Path) -> Result<bool, StoreError> {
    let runs = dir.join("runs");
    let listing = match std::fs::read_dir(&runs) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unavailable("read", &runs, &error)),
    };
    let files = listing.flatten().filter_map(|file| File::open(file.path()).ok());
    let mut locks = files.map(|file| file.try_lock());
    Ok(locks.any(|lock| matches!(lock, Err(TryLockError::WouldBlock))))
}

struct Held {
    _file: File,
    path: PathBuf,
}

impl Hold for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        // Deleted while it is still locked, so that nobody finds it free and unexplained.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// For [`crate::state::decoders`]: a segment whose checksums are made to fit.
pub(in crate::state) fn read_segment_for_tests(data: &[u8]) -> u64 {
    use self::segment::{FRAME, Frame, HEADER, SegmentHeader};
    let mut bytes = data.to_vec();
    if bytes.len() < HEADER {
        return 0;
    }
    let crc = crc32fast::hash(&bytes[..HEADER - 4]).to_le_bytes();
    bytes[HEADER - 4..HEADER].copy_from_slice(&crc);
    let Some(header) = SegmentHeader::parse(&bytes) else { return 1 };
    let (mut offset, mut before) = (HEADER, header.previous);
    let (mut frames, mut entries) = (0u64, 0u64);
    while let Some(rest) = bytes.get_mut(offset..).filter(|rest| rest.len() >= FRAME) {
        let stored = u32::from_le_bytes([rest[9], rest[10], rest[11], rest[12]]) as usize;
        if let Some(payload) = rest.get(FRAME..FRAME.saturating_add(stored)) {
            let mut crc = crc32fast::Hasher::new();
            crc.update(&rest[..FRAME - 4]);
            crc.update(payload);
            let crc = crc.finalize().to_le_bytes();
            rest[FRAME - 4..FRAME].copy_from_slice(&crc);
        }
        let Some((frame, length)) = Frame::parse(&bytes[offset..]) else { break };
        frames += 1;
        entries += frame.entries(header.store, before).map_or(0, |read| read.len() as u64);
        before = frame.hash;
        offset += length;
    }
    let _ = segment::has_later_frame(&bytes[offset..]);
    2 + frames.min(20) * 32 + entries.min(31)
}

/// The same of a slot of the head file.
pub(in crate::state) fn read_head_for_tests(data: &[u8]) -> bool {
    let end = data.iter().rposition(|byte| *byte == b'}').map_or(0, |at| at + 1);
    let json = &data[..end];
    let mut slot = json.to_vec();
    slot.extend_from_slice(format!(" {:08x}", crc32fast::hash(json)).as_bytes());
    slot.resize(head::SLOT.max(slot.len()), b' ');
    head::parse(&slot).is_some()
}
