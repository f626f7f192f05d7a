//! The power goes at any moment: what was synced is there, of what was written since any part may be.
//!
//! The store works on a real directory while [`super::disk`] writes down what it does. A crash is a place in that list and a
//! seed: files keep what was synced and, sector by sector, some of what was written later; directories keep the names that were
//! synced and some of the later ones, in order. `POWER_IMAGES` says how many are tried (500 if it is not set), `POWER_SEED`
//! which is the first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Embedded;
use super::faults::{Done, Fault, FileId};
use super::tests::scratch;
use crate::state::contract::{Entry, Snapshot, Store};
use crate::state::store::promises::entries;

const SECTOR: usize = 512;

/// A small generator, so that a seed says everything.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

/// What a disk holds, as far as it was told to be sure of it, and what it was told since.
#[derive(Default)]
struct Disk {
    files: BTreeMap<FileId, Contents>,
    dirs: BTreeMap<PathBuf, Names>,
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

#[derive(Clone)]
enum Node {
    File(FileId),
    Dir,
}

#[derive(Default)]
struct Names {
    durable: BTreeMap<String, Node>,
    pending: Vec<Naming>,
}

enum Naming {
    Made(String, Node),
    Renamed(String, String),
}

impl Names {
    fn apply(names: &mut BTreeMap<String, Node>, naming: &Naming) {
        match naming {
            Naming::Made(name, node) => drop(names.insert(name.clone(), node.clone())),
            Naming::Renamed(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
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
        let (all, none) = (chance.below(8) == 0, chance.below(8) == 0);
        for change in &self.pending {
            match change {
                _ if none => {}
                Change::Length(_) if all || chance.below(2) == 0 => Contents::apply(&mut bytes, change),
                Change::Length(_) => {}
                Change::Write(..) if all => Contents::apply(&mut bytes, change),
                Change::Write(offset, written) => {
                    // The length may be there and the bytes not, in whole sectors of the file.
                    let end = *offset as usize + written.len();
                    if chance.below(2) == 0 {
                        bytes.resize(bytes.len().max(end), 0);
                    }
                    for sector in *offset as usize / SECTOR..=end.saturating_sub(1) / SECTOR {
                        let from = (sector * SECTOR).max(*offset as usize);
                        let upto = ((sector + 1) * SECTOR).min(end);
                        if chance.below(2) == 0 {
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
    fn hears(&mut self, root: &Path, done: &Done) {
        let split = |path: &Path| {
            (path.parent().expect("a parent").to_owned(), path.file_name().expect("a name").to_string_lossy().into_owned())
        };
        match done {
            Done::MadeDir(path) => {
                if path.starts_with(root) && path != root {
                    let (dir, name) = split(path);
                    self.dirs.entry(dir).or_default().pending.push(Naming::Made(name, Node::Dir));
                    self.dirs.entry(path.clone()).or_default();
                }
            }
            Done::Made(path, id) => {
                let (dir, name) = split(path);
                self.dirs.entry(dir).or_default().pending.push(Naming::Made(name, Node::File(*id)));
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
                if let Some(names) = self.dirs.get_mut(path) {
                    let pending = std::mem::take(&mut names.pending);
                    pending.iter().for_each(|naming| Names::apply(&mut names.durable, naming));
                }
            }
            Done::Renamed(from, to) => {
                let ((dir, from), (_, to)) = (split(from), split(to));
                self.dirs.entry(dir).or_default().pending.push(Naming::Renamed(from, to));
            }
        }
    }

    /// Makes one of the directories that may be found after a crash.
    fn crash(&self, root: &Path, to: &Path, chance: &mut Chance) {
        self.crash_dir(root, to, chance);
    }

    fn crash_dir(&self, dir: &Path, to: &Path, chance: &mut Chance) {
        std::fs::create_dir_all(to).expect("a directory");
        let Some(names) = self.dirs.get(dir) else { return };
        let mut found = names.durable.clone();
        let kept = chance.below(names.pending.len() + 1);
        names.pending[..kept].iter().for_each(|naming| Names::apply(&mut found, naming));
        for (name, node) in found {
            match node {
                Node::Dir => self.crash_dir(&dir.join(&name), &to.join(&name), chance),
                Node::File(id) => {
                    let bytes = self.files.get(&id).map(|file| file.after_a_crash(chance)).unwrap_or_default();
                    std::fs::write(to.join(&name), bytes).expect("a file");
                }
            }
        }
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What was done, in order, and how many entries were acknowledged by then.
struct History {
    done: Vec<(Done, usize)>,
    submitted: Vec<Entry>,
}

/// A store is written by several processes in turn; each does not know what the one before has synced.
async fn history(root: &Path, segment_max: u64, chance: &mut Chance) -> History {
    let mut history = History { done: Vec::new(), submitted: Vec::new() };
    let mut acknowledged = 0;
    let disk = super::disk::Disk::default();
    disk.faults.watch();
    for process in 0..4 {
        let mut store = Embedded::with_segments_of(root.join("state/production"), segment_max);
        store.disk = disk.clone();
        for nth in 0..2 + chance.below(4) {
            let head = history.submitted.last().map(Entry::head);
            let body = format!("\"{process} {nth} {}\"", "x".repeat(chance.below(3) * 400));
            let mut news = entries(head, &[&body]);
            if nth == 0 {
                // A run begins: such an append syncs the head as well.
                let mut lease = news.remove(0);
                lease.header.kind = "lease".into();
                news.push(lease);
            }
            history.submitted.extend(news.clone());
            store.append(head, news).await.expect("the disk is well");
            history.done.extend(disk.faults.seen().into_iter().map(|done| (done, acknowledged)));
            acknowledged = history.submitted.len();
            if nth == 3 && process < 3 {
                // The process is killed in an append: what it wrote may be seen by the next one, and nobody has synced it.
                let head = history.submitted.last().map(Entry::head);
                disk.faults.fail_after(chance.below(6) as u64, Fault::Kill);
                let killed = store.append(head, entries(head, &["\"killed\""])).await;
                disk.faults.heal();
                history.done.extend(disk.faults.seen().into_iter().map(|done| (done, acknowledged)));
                let dir = root.join("state/production");
                history.submitted = Embedded::at(dir).read(1).await.expect("a kill damages nothing");
                if killed.is_ok() {
                    acknowledged = history.submitted.len();
                }
                break;
            }
            if nth == 2 {
                let head = history.submitted.last().expect("an entry").head();
                store.keep_snapshot(Snapshot { head, bytes: "a view".into() }).await.expect("the disk is well");
                history.done.extend(disk.faults.seen().into_iter().map(|done| (done, acknowledged)));
            }
        }
    }
    history
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_the_power_went() {
    let (images, first) = (number("POWER_IMAGES", 500), number("POWER_SEED", 1));
    let per_history = 25;
    let (mut torn, mut lost_tail, mut empty) = (0, 0, 0);
    for seed in first..first + images.div_ceil(per_history) {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let dir = scratch();
        let root = dir.path().join("stack");
        let segment_max = [1, 700, 1 << 20][chance.below(3)];
        let history = history(&root, segment_max, &mut chance).await;
        for nth in 0..per_history {
            let upto = chance.below(history.done.len() + 1);
            let again = format!("POWER_SEED={seed} POWER_IMAGES={per_history} (image {nth}, after {upto} operations)");
            let mut disk = Disk::default();
            history.done[..upto].iter().for_each(|(done, _)| disk.hears(&root, done));
            let acknowledged = history.done.get(upto).map_or(history.submitted.len(), |(_, acknowledged)| *acknowledged);
            let image = scratch();
            disk.crash(&root, image.path(), &mut chance);

            let store = Embedded::with_segments_of(image.path().join("state/production"), segment_max);
            let kept = store.read(1).await.unwrap_or_else(|error| panic!("{again}: {error}"));
            assert!(kept.len() >= acknowledged, "{again}: {} of {acknowledged} acknowledged entries are left", kept.len());
            assert_eq!(kept[..], history.submitted[..kept.len()], "{again}");
            torn += usize::from(!store.remarks().await.expect("remarks").is_empty());
            lost_tail += usize::from(kept.len() < history.submitted.len());
            empty += usize::from(kept.is_empty());
            // And whoever comes next goes on.
            let head = kept.last().map(Entry::head);
            store.append(head, entries(head, &["\"next\""])).await.unwrap_or_else(|error| panic!("{again}: {error}"));
            assert_eq!(store.read(1).await.expect("entries").len(), kept.len() + 1, "{again}");
        }
    }
    assert!(torn > 3 && lost_tail > 20 && empty > 0, "the crashes were too gentle: {torn}, {lost_tail}, {empty}");
}
