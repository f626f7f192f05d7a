//! What tests do to the disk of a store: make an operation fail, kill the process at it, and write down what was done.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use super::disk::Sync;

/// A file, whatever it is called.
pub type FileId = u64;

/// One operation that was done.
#[derive(Clone, Debug)]
pub enum Done {
    MadeDir(PathBuf),
    Made(PathBuf, FileId),
    Wrote(FileId, u64, Vec<u8>),
    Cut(FileId, u64),
    Synced(FileId),
    SyncedDir(PathBuf),
    Renamed(PathBuf, PathBuf),
    /// Two directories changed places.
    Exchanged(PathBuf, PathBuf),
}

/// How an operation fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// With an error of the system; a write has done its first half.
    Half(i32),
    /// With an error of the system, having done nothing.
    Clean(i32),
    /// The process is killed in it: a write has done its first half, and nothing is done after it.
    Kill,
}

#[derive(Default)]
pub struct Faults {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    fault: Option<Fault>,
    /// Operations that still succeed.
    left: u64,
    met: bool,
    just_met: bool,
    /// Files by inode: a number of their own, since inodes come back.
    files: BTreeMap<u64, FileId>,
    next_file: FileId,
    watched: bool,
    left_out: Option<Sync>,
    /// The process is killed at the sync after so many.
    dies_at_sync: Option<u64>,
    done: Vec<Done>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Lets some operations through and fails the one after them.
    pub fn fail_after(&self, operations: u64, fault: Fault) {
        let mut inner = self.lock();
        (inner.fault, inner.left, inner.met) = (Some(fault), operations, false);
    }

    /// The process is killed when it comes to the sync after so many.
    pub fn die_at_sync(&self, syncs: u64) {
        let mut inner = self.lock();
        (inner.dies_at_sync, inner.met) = (Some(syncs), false);
    }

    /// The disk is well again.
    pub fn heal(&self) {
        let mut inner = self.lock();
        (inner.fault, inner.dies_at_sync) = (None, None);
    }

    /// Whether the fault was met.
    pub fn was_met(&self) -> bool {
        self.lock().met
    }

    pub fn next(&self) -> io::Result<()> {
        let mut inner = self.lock();
        inner.just_met = false;
        let Some(fault) = inner.fault else { return Ok(()) };
        if inner.left > 0 {
            inner.left -= 1;
            return Ok(());
        }
        inner.just_met = !std::mem::replace(&mut inner.met, true);
        match fault {
            Fault::Kill => Err(io::Error::other("killed")),
            Fault::Half(errno) | Fault::Clean(errno) if inner.just_met => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }

    /// What of a write that just failed is on the disk all the same.
    pub fn part_of<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let mut inner = self.lock();
        let half = std::mem::take(&mut inner.just_met) && !matches!(inner.fault, Some(Fault::Clean(_)));
        half.then(|| &bytes[..bytes.len() / 2])
    }

    /// This sync is not made from now on, and nobody notices.
    pub fn leave_out(&self, sync: Option<Sync>) {
        self.lock().left_out = sync;
    }

    /// Whether a sync counts; `None` where the real disk has to be asked.
    ///
    /// Errors: the process is killed at it.
    pub fn confirms(&self, sync: Sync) -> io::Result<Option<bool>> {
        let mut inner = self.lock();
        if inner.dies_at_sync == Some(0) {
            (inner.dies_at_sync, inner.fault, inner.left, inner.met) = (None, Some(Fault::Kill), 0, true);
            return Err(io::Error::other("killed"));
        }
        inner.dies_at_sync = inner.dies_at_sync.map(|left| left - 1);
        Ok(if inner.left_out == Some(sync) { Some(false) } else { inner.watched.then_some(true) })
    }

    /// Writes down from now on what is done. The real disk is not asked to be sure of anything: what it holds is not looked at.
    pub fn watch(&self) {
        self.lock().watched = true;
    }

    /// What was done since the last time.
    pub fn seen(&self) -> Vec<Done> {
        std::mem::take(&mut self.lock().done)
    }

    fn note(&self, done: impl FnOnce(&mut Inner) -> Done) {
        let mut inner = self.lock();
        if inner.watched {
            let done = done(&mut inner);
            inner.done.push(done);
        }
    }

    pub fn made_dir(&self, path: &Path) {
        self.note(|_| Done::MadeDir(path.to_owned()));
    }

    pub fn made(&self, path: &Path, file: &File) {
        self.note(|inner| {
            // An inode comes back when a file is gone: what is made is always new.
            inner.next_file += 1;
            let id = inner.next_file;
            inner.files.insert(inode(file), id);
            Done::Made(path.to_owned(), id)
        });
    }

    pub fn wrote(&self, file: &File, offset: u64, bytes: &[u8]) {
        self.note(|inner| Done::Wrote(inner.id(file), offset, bytes.to_vec()));
    }

    pub fn cut(&self, file: &File, length: u64) {
        self.note(|inner| Done::Cut(inner.id(file), length));
    }

    pub fn synced(&self, file: &File) {
        self.note(|inner| Done::Synced(inner.id(file)));
    }

    pub fn synced_dir(&self, path: &Path) {
        self.note(|_| Done::SyncedDir(path.to_owned()));
    }

    pub fn renamed(&self, from: &Path, to: &Path) {
        self.note(|_| Done::Renamed(from.to_owned(), to.to_owned()));
    }

    pub fn exchanged(&self, one: &Path, other: &Path) {
        self.note(|_| Done::Exchanged(one.to_owned(), other.to_owned()));
    }
}

impl Inner {
    fn id(&mut self, file: &File) -> FileId {
        let next = &mut self.next_file;
        *self.files.entry(inode(file)).or_insert_with(|| {
            *next += 1;
            *next
        })
    }
}

fn inode(file: &File) -> u64 {
    file.metadata().expect("an open file").ino()
}
