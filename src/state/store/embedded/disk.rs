//! The operations on disk that can fail, each in one place, so that a test can make any of them fail.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::scan::unavailable;
use crate::state::contract::StoreError;

#[derive(Clone, Default)]
pub struct Disk {
    #[cfg(test)]
    pub faults: std::sync::Arc<Faults>,
}

/// Lets some operations through and fails the next one, half-way where it is a write.
#[cfg(test)]
#[derive(Default)]
pub struct Faults {
    /// Operations that still succeed; negative: all do.
    left: std::sync::atomic::AtomicI64,
    errno: std::sync::atomic::AtomicI32,
}

#[cfg(test)]
impl Faults {
    pub fn fail_after(&self, operations: i64, errno: i32) {
        self.errno.store(errno, std::sync::atomic::Ordering::SeqCst);
        self.left.store(operations + 1, std::sync::atomic::Ordering::SeqCst);
    }

    /// Whether the fault was met.
    pub fn was_met(&self) -> bool {
        self.left.load(std::sync::atomic::Ordering::SeqCst) == 0 && self.errno.load(std::sync::atomic::Ordering::SeqCst) != 0
    }

    fn next(&self) -> io::Result<()> {
        use std::sync::atomic::Ordering::SeqCst;
        let errno = self.errno.load(SeqCst);
        if errno != 0 && self.left.load(SeqCst) > 0 && self.left.fetch_sub(1, SeqCst) == 1 {
            return Err(io::Error::from_raw_os_error(errno));
        }
        Ok(())
    }
}

impl Disk {
    fn point(&self) -> io::Result<()> {
        #[cfg(test)]
        self.faults.next()?;
        Ok(())
    }

    pub fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        self.point()?;
        std::fs::create_dir_all(dir)
    }

    pub fn open(&self, path: &Path) -> Result<File, StoreError> {
        let open = || OpenOptions::new().read(true).write(true).open(path);
        self.point().and_then(|()| open()).map_err(|error| unavailable("write to", path, &error))
    }

    pub fn create(&self, path: &Path) -> io::Result<File> {
        self.point()?;
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)
    }

    /// A file that exists for its lock alone.
    pub fn open_lock(&self, path: &Path) -> io::Result<File> {
        self.point()?;
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
    }

    pub fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.point() {
            // A full disk takes the first part.
            file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        file.write_all_at(bytes, offset)
    }

    pub fn set_length(&self, file: &File, length: u64) -> io::Result<()> {
        self.point()?;
        file.set_len(length)
    }

    pub fn sync(&self, file: &File) -> Result<(), io::Error> {
        self.point()?;
        file.sync_data()
    }

    pub fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.point()?;
        File::open(dir)?.sync_all()
    }

    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.point()?;
        std::fs::rename(from, to)
    }

    /// A file that is there with all its bytes, or not at all.
    pub fn make(&self, dir: &Path, path: &Path, bytes: &[u8]) -> Result<File, StoreError> {
        let fresh = path.with_extension("new");
        let made = self.create(&fresh).and_then(|file| self.write_at(&file, bytes, 0).map(|()| file));
        let file = made.map_err(|error| {
            let _ = std::fs::remove_file(&fresh);
            unavailable("write", path, &error)
        })?;
        self.sync(&file).map_err(|error| unconfirmed(&fresh, &error))?;
        self.rename(&fresh, path).map_err(|error| unavailable("write", path, &error))?;
        self.sync_dir(dir).map_err(|error| unconfirmed(dir, &error))?;
        Ok(file)
    }
}

pub fn unconfirmed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unconfirmed { place: path.display().to_string(), why: error.to_string() }
}
