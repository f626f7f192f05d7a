//! What was fetched: files of a repository under `.stackwright/imports`, and their hash.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::model::Digest;

/// The most files of one repository.
pub const FILES_MAX: usize = 10_000;
/// The most bytes of one repository.
pub const BYTES_MAX: u64 = 64 << 20;

/// `.stackwright/imports` of a stack's directory.
pub fn home(dir: &Path) -> PathBuf {
    dir.join(".stackwright").join("imports")
}

/// Hashes files: their names, in order, and their contents.
#[derive(Default)]
pub struct Tree(Vec<(String, [u8; 32])>);

impl Tree {
    pub fn add(&mut self, name: &str, content: &[u8]) {
        self.0.push((name.to_owned(), Sha256::digest(content).into()));
    }

    pub fn digest(mut self) -> Digest {
        self.0.sort();
        let mut hash = Sha256::new();
        hash.update(b"stackwright/tree/1\n");
        for (name, content) in &self.0 {
            hash.update((name.len() as u64).to_be_bytes());
            hash.update(name.as_bytes());
            hash.update(content);
        }
        Digest(hash.finalize().into())
    }
}

/// The hash of what lies in a directory. `None` where it is not there, or holds what was never put there.
pub fn digest(dir: &Path) -> Option<Digest> {
    let (mut tree, mut bytes, mut open) = (Tree::default(), 0, vec![dir.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).ok()? {
            let entry = entry.ok()?;
            let kind = entry.file_type().ok()?;
            if kind.is_dir() {
                open.push(entry.path());
                continue;
            }
            bytes += entry.metadata().ok()?.len();
            if !kind.is_file() || tree.0.len() >= FILES_MAX || bytes > BYTES_MAX {
                return None;
            }
            let path = entry.path();
            let name = path.strip_prefix(dir).ok()?.to_str()?.to_owned();
            tree.add(&name, &std::fs::read(&path).ok()?);
        }
    }
    Some(tree.digest())
}
