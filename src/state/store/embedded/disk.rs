//! The operations on disk that can fail, each in one place, so that a test can make any of them fail, and write down what was done.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

#[cfg(test)]
pub use super::faults::Faults;
use super::scan::{unavailable, words};
use crate::state::contract::StoreError;

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
            self.sync_dir(parent_of(dir))?;
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

    pub fn sync(&self, file: &File) -> io::Result<()> {
        self.point()?;
        file.sync_data()?;
        done!(self, synced(file));
        Ok(())
    }

    pub fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.point()?;
        File::open(dir)?.sync_all()?;
        done!(self, synced_dir(dir));
        Ok(())
    }

    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.point()?;
        std::fs::rename(from, to)?;
        done!(self, renamed(from, to));
        Ok(())
    }

    /// A file that is there with all its bytes, or not at all.
    pub fn make(&self, dir: &Path, path: &Path, bytes: &[u8]) -> Result<File, StoreError> {
        let fresh = path.with_extension("new");
        let made = self.create(&fresh).and_then(|file| self.write_at(&file, bytes, 0).map(|()| file));
        let file = made.map_err(|error| {
            if self.point().is_ok() {
                let _ = std::fs::remove_file(&fresh);
            }
            unavailable("write", path, &error)
        })?;
        self.sync(&file).map_err(|error| unconfirmed(&fresh, &error))?;
        self.rename(&fresh, path).map_err(|error| unavailable("write", path, &error))?;
        self.sync_dir(dir).map_err(|error| unconfirmed(dir, &error))?;
        Ok(file)
    }

    /// Makes sure of the names that lead to a directory: whoever made it may have died before. Directories that this process may not
    /// even look into were not made by us.
    pub fn sync_names(&self, dir: &Path) -> Result<(), StoreError> {
        for dir in dir.ancestors().take(4).filter(|it| !it.as_os_str().is_empty()) {
            match self.sync_dir(dir) {
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(unconfirmed(dir, &error)),
                _ => {}
            }
        }
        Ok(())
    }
}

fn parent_of(dir: &Path) -> &Path {
    dir.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub fn unconfirmed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unconfirmed { place: path.display().to_string(), why: words(error) }
}
