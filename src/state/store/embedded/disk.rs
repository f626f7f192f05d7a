//! The operations on disk that can fail, each in one place, so that a test can make any of them fail, and write down what was done.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

#[cfg(test)]
pub use super::faults::Faults;
use super::scan::{unavailable, words};
use crate::state::contract::StoreError;

/// What is made whole, under another name first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Made {
    Head,
    Segment,
    Snapshot,
}

/// Every sync that a log on disk makes, by what it makes sure of. `power` leaves out each of them in turn, and has to miss it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sync {
    /// The bytes of an append, before anybody hears of it.
    Append,
    /// The head where a run begins or ends: from then on the other copy is written.
    Head,
    /// What another process appended and may not have lived to sync: what follows must not stand on it.
    LeftAppend,
    /// The copy of the head that it wrote last: the other one is written next.
    LeftHead,
    /// The name of the last segment, which it may just have made.
    LeftName,
    /// The directory of the log, which may just have taken the place of another.
    LeftExchange,
    /// Names of directories above a new log, counted upwards, whose maker may have died.
    LeftDirectory(u8),
    NewDirectory,
    /// The bytes of what is made, before it gets its name.
    Bytes(Made),
    /// Its name.
    Name(Made),
    /// The name of a log that was put in the place of another.
    Exchanged,
    /// The name under which the other one is kept.
    Aside,
}

#[derive(Clone, Default)]
pub struct Disk {
    #[cfg(test)]
    pub faults: std::sync::Arc<Faults>,
}

/// Tells the tests' record of it, where there is one.
macro_rules! done {
    ($disk:ident, $($what:tt)*) => {
        #[cfg(test)]
        $disk.faults.$($what)*;
    };
}

impl Disk {
    /// An operation comes; `Err` where a test says that it fails.
    pub fn point(&self) -> io::Result<()> {
        #[cfg(test)]
        self.faults.next()?;
        Ok(())
    }

    /// Does a sync, unless a test leaves it out; a disk that is watched needs none.
    fn confirm(&self, what: Sync, sync: impl FnOnce() -> io::Result<()>) -> io::Result<bool> {
        #[cfg(test)]
        match self.faults.confirms(what)? {
            Some(kept) => Ok(kept),
            None => sync().map(|()| true),
        }
        #[cfg(not(test))]
        {
            let _ = what;
            sync().map(|()| true)
        }
    }

    /// Makes a directory and those above it that are missing, each with its name on the disk.
    pub fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = dir.ancestors().take_while(|it| !it.as_os_str().is_empty() && !it.exists()).collect();
        for dir in missing.into_iter().rev() {
            self.point()?;
            match std::fs::create_dir(dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
                made => made?,
            }
            done!(self, made_dir(dir));
            self.sync_dir(parent_of(dir), Sync::NewDirectory)?;
        }
        Ok(())
    }

    pub fn open(&self, path: &Path) -> Result<File, StoreError> {
        let open = || OpenOptions::new().read(true).write(true).open(path);
        self.point().and_then(|()| open()).map_err(|error| unavailable("write to", path, &error))
    }

    pub fn create(&self, path: &Path) -> io::Result<File> {
        self.point()?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        done!(self, made(path, &file));
        Ok(file)
    }

    /// A file that exists for its lock alone.
    pub fn open_lock(&self, path: &Path) -> io::Result<File> {
        self.point()?;
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
    }

    pub fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        #[allow(clippy::question_mark, reason = "tests do something before it is returned")]
        if let Err(error) = self.point() {
            // A full disk takes the first part, and so does a process that is killed.
            #[cfg(test)]
            if let Some(part) = self.faults.part_of(bytes) {
                file.write_all_at(part, offset)?;
                done!(self, wrote(file, offset, part));
            }
            return Err(error);
        }
        file.write_all_at(bytes, offset)?;
        done!(self, wrote(file, offset, bytes));
        Ok(())
    }

    pub fn set_length(&self, file: &File, length: u64) -> io::Result<()> {
        self.point()?;
        file.set_len(length)?;
        done!(self, cut(file, length));
        Ok(())
    }

    pub fn sync(&self, file: &File, what: Sync) -> io::Result<()> {
        self.point()?;
        if self.confirm(what, || file.sync_data())? {
            done!(self, synced(file));
        }
        Ok(())
    }

    pub fn sync_dir(&self, dir: &Path, what: Sync) -> io::Result<()> {
        self.point()?;
        if self.confirm(what, || File::open(dir)?.sync_all())? {
            done!(self, synced_dir(dir));
        }
        Ok(())
    }

    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.point()?;
        std::fs::rename(from, to)?;
        done!(self, renamed(from, to));
        Ok(())
    }

    /// A file that is there with all its bytes, or not at all.
    pub fn make(&self, what: Made, dir: &Path, path: &Path, bytes: &[u8]) -> Result<File, StoreError> {
        let fresh = path.with_extension("new");
        let made = self.create(&fresh).and_then(|file| self.write_at(&file, bytes, 0).map(|()| file));
        let file = made.map_err(|error| {
            if self.point().is_ok() {
                let _ = std::fs::remove_file(&fresh);
            }
            unavailable("write", path, &error)
        })?;
        self.sync(&file, Sync::Bytes(what)).map_err(|error| unconfirmed(&fresh, &error))?;
        self.rename(&fresh, path).map_err(|error| unavailable("write", path, &error))?;
        // A snapshot whose name is lost is made again; it must only not be torn.
        if what != Made::Snapshot {
            self.sync_dir(dir, Sync::Name(what)).map_err(|error| unconfirmed(dir, &error))?;
        }
        Ok(file)
    }

    /// Makes sure of the names in a directory that somebody else may have written before he died. One that this process may not even
    /// look into was not written by us.
    pub fn sync_left(&self, dir: &Path, what: Sync) -> Result<(), StoreError> {
        match self.sync_dir(if dir.as_os_str().is_empty() { Path::new(".") } else { dir }, what) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(unconfirmed(dir, &error)),
            _ => Ok(()),
        }
    }
}

fn parent_of(dir: &Path) -> &Path {
    dir.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub fn unconfirmed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unconfirmed { place: path.display().to_string(), why: words(error) }
}
