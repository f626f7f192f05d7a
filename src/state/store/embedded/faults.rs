//! What tests do to the disk of a store: make an operation fail, kill the process at it, and write down what was done.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

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

    /// The disk is well again.
    pub fn heal(&self) {
        self.lock().fault = None;
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

    /// Writes down from now on what is done.
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
}

impl Inner {
    fn id(&self, file: &File) -> FileId {
        *self.files.get(&inode(file)).expect("whoever writes to a file has made it while it was watched")
    }
}

fn inode(file: &File) -> u64 {
    file.metadata().expect("an open file").ino()
}
