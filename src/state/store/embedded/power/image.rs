//! A disk by what it was told: what of it is sure to be there after a crash, and one of the things that may be.
//!
//! Files keep what was synced and, sector by sector, some of what was written later, or a part of it. Directories keep the names that were synced and
//! any of the later ones: no order between two names is promised by anybody. A directory that was moved is one in two places, or in
//! none, until both of the directories that hold it are synced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::faults::{Done, FileId};

const SECTOR: usize = 512;

/// A small generator, so that a seed says everything.
pub struct Chance(pub u64);

impl Chance {
    pub fn of(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }

    pub fn one_of(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

type DirId = usize;

/// What a disk holds, as far as it was told to be sure of it, and what it was told since.
pub struct Disk {
    files: BTreeMap<FileId, Contents>,
    dirs: Vec<Names>,
    /// Directories by where they are now.
    at: BTreeMap<PathBuf, DirId>,
}

#[derive(Default)]
struct Contents {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

#[derive(Clone, Copy)]
enum Node {
    File(FileId),
    Dir(DirId),
}

#[derive(Default)]
struct Names {
    durable: BTreeMap<String, Node>,
    /// The same names as the processes see them now.
    now: BTreeMap<String, Node>,
    /// What became of which names, together.
    pending: Vec<Vec<(String, Option<Node>)>>,
}

impl Names {
    fn set(&mut self, naming: Vec<(String, Option<Node>)>) {
        Names::apply(&mut self.now, &naming);
        self.pending.push(naming);
    }

    fn apply(names: &mut BTreeMap<String, Node>, naming: &[(String, Option<Node>)]) {
        for (name, node) in naming {
            match node {
                Some(node) => drop(names.insert(name.clone(), *node)),
                None => drop(names.remove(name)),
            }
        }
    }
}

impl Contents {
    fn apply(bytes: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Length(length) => bytes.resize(*length as usize, 0),
            Change::Write(offset, written) => {
                let end = *offset as usize + written.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*offset as usize..end].copy_from_slice(written);
            }
        }
    }

    /// One of the contents that may be found after a crash.
    fn after_a_crash(&self, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        // Now and then everything got there, or nothing did.
        let (all, none) = (chance.one_of(8), chance.one_of(8));
        for change in &self.pending {
            match change {
                _ if none => {}
                Change::Length(_) if all || chance.one_of(2) => Contents::apply(&mut bytes, change),
                Change::Length(_) => {}
                Change::Write(..) if all => Contents::apply(&mut bytes, change),
                Change::Write(offset, written) => {
                    // The length may be there and the bytes not, in whole sectors of the file.
                    let end = *offset as usize + written.len();
                    if chance.one_of(2) {
                        bytes.resize(bytes.len().max(end), 0);
                    }
                    for sector in *offset as usize / SECTOR..=end.saturating_sub(1) / SECTOR {
                        let from = (sector * SECTOR).max(*offset as usize);
                        let upto = ((sector + 1) * SECTOR).min(end);
                        // A sector is old, new, or torn.
                        let upto = match chance.below(3) {
                            0 => upto,
                            1 => from + chance.below(upto - from),
                            _ => from,
                        };
                        if upto > from {
                            bytes.resize(bytes.len().max(upto), 0);
                            bytes[from..upto].copy_from_slice(&written[from - *offset as usize..upto - *offset as usize]);
                        }
                    }
                }
            }
        }
        bytes
    }
}

impl Disk {
    /// A disk with one empty directory.
    pub fn new(root: &Path) -> Disk {
        Disk { files: BTreeMap::new(), dirs: vec![Names::default()], at: BTreeMap::from([(root.to_owned(), 0)]) }
    }

    /// The directory in which a path lies, and its name there.
    fn place(&mut self, path: &Path) -> Option<(&mut Names, String)> {
        let id = *self.at.get(path.parent()?)?;
        Some((&mut self.dirs[id], path.file_name()?.to_string_lossy().into_owned()))
    }

    pub fn hears(&mut self, done: &Done) {
        match done {
            Done::MadeDir(path) => {
                let id = self.dirs.len();
                if let Some((names, name)) = self.place(path) {
                    names.set(vec![(name, Some(Node::Dir(id)))]);
                    self.dirs.push(Names::default());
                    self.at.insert(path.clone(), id);
                }
            }
            Done::Made(path, id) => {
                let (names, name) = self.place(path).expect("files are made in directories that are there");
                names.set(vec![(name, Some(Node::File(*id)))]);
                self.files.entry(*id).or_default();
            }
            Done::Wrote(id, offset, bytes) => {
                self.files.entry(*id).or_default().pending.push(Change::Write(*offset, bytes.clone()))
            }
            Done::Cut(id, length) => self.files.entry(*id).or_default().pending.push(Change::Length(*length)),
            Done::Synced(id) => {
                let file = self.files.entry(*id).or_default();
                let pending = std::mem::take(&mut file.pending);
                pending.iter().for_each(|change| Contents::apply(&mut file.durable, change));
            }
            Done::SyncedDir(path) => {
                if let Some(id) = self.at.get(path) {
                    let names = &mut self.dirs[*id];
                    let pending = std::mem::take(&mut names.pending);
                    pending.iter().for_each(|naming| Names::apply(&mut names.durable, naming));
                }
            }
            Done::Renamed(from, to) => {
                let (_, to) = self.place(to).expect("a place");
                let (names, from) = self.place(from).expect("what is renamed is there");
                let node = names.now.get(&from).copied();
                names.set(vec![(from, None), (to, node)]);
            }
            Done::Exchanged(one, other) => {
                let (was_one, was_other) = (self.at[one], self.at[other]);
                for (path, id) in [(one, was_other), (other, was_one)] {
                    let (names, name) = self.place(path).expect("what is exchanged is there");
                    names.set(vec![(name, Some(Node::Dir(id)))]);
                    self.at.insert(path.clone(), id);
                }
            }
        }
    }

    /// Makes one of the directories that may be found after a crash.
    pub fn crash(&self, to: &Path, chance: &mut Chance) {
        self.crash_dir(0, to, chance);
    }

    fn crash_dir(&self, id: DirId, to: &Path, chance: &mut Chance) {
        std::fs::create_dir_all(to).expect("a directory");
        let names = &self.dirs[id];
        let mut found = names.durable.clone();
        let (all, none) = (chance.one_of(4), chance.one_of(4));
        for naming in &names.pending {
            if all || (!none && chance.one_of(2)) {
                Names::apply(&mut found, naming);
            }
        }
        for (name, node) in found {
            match node {
                Node::Dir(id) => self.crash_dir(id, &to.join(&name), chance),
                Node::File(id) => {
                    let bytes = self.files.get(&id).map(|file| file.after_a_crash(chance)).unwrap_or_default();
                    std::fs::write(to.join(&name), bytes).expect("a file");
                }
            }
        }
    }
}
