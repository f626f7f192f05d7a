//! A log that is carried from one place to another: packed, put where none is, put back where one is damaged.

mod file;
mod migrate;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use file::Parcel;
pub use migrate::{Migrated, Migration};

/// Nothing to give, or why not.
type NotHere = Result<(), Box<Diagnostic>>;

use super::contract::{Entry, Head, Salvage, Snapshot, StoreError};
use super::holder::Life;
use super::log::{Body, Carried, Restored, Takeover, carried_of, lease_of, revision_of};
use super::view::{View, index, snapshot};
use super::{Shared, State, replay_without_key, run, words};
use crate::model::{Address, Code, Diagnostic, Digest};

/// Who carries a log, and why.
#[derive(Clone, Debug)]
pub struct Carrier {
    pub who: String,
    pub reason: String,
}

/// The key that a log's secrets are sealed under. It is never in a file that carries the log.
#[derive(Clone, Debug, Default)]
pub struct KeyNeeded {
    pub id: String,
    /// Those who open it with an identity or a passphrase of their own, by name: the log says how.
    pub holders: Vec<String>,
    /// Where its file is, or belongs.
    pub path: Option<PathBuf>,
    /// Whether that file is here and has it.
    pub is_here: bool,
}

/// What a restore did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Entries that the log has now, the one about the restore included, and its last revision.
    pub entries: u64,
    pub revision: u64,
    /// The last entry that was put back.
    pub upto: u64,
    /// Entries behind the backup's head that were saved from the damaged log.
    pub saved: u64,
    /// Entries that were acknowledged once and are not in the log any more.
    pub lost: u64,
    /// What can be said of them, by run.
    pub lost_runs: Vec<LostRun>,
    /// Where what was there is kept; empty where nothing was.
    pub aside: String,
}

/// Entries of one run that a restore could not put back.
#[derive(Clone, Debug)]
pub struct LostRun {
    pub run: u64,
    pub who: String,
    /// When the run wrote the last of them, by its wall clock.
    pub time_ms: i64,
    pub revision: Option<u64>,
    pub entries: u64,
    /// What they are about: objects of these may exist on the platforms, or be gone, and state does not know.
    pub addresses: BTreeSet<Address>,
}

impl Parcel {
    /// Where the log goes on, where it was closed by a move.
    pub fn closed(&self) -> Option<Carried> {
        let last = self.entries.iter().rev().find(|entry| matches!(&*entry.header.kind, "moved" | "import" | "restore"))?;
        carried_of(last).filter(|_| last.header.kind == "moved")
    }
}

impl State {
    /// The whole log, for an export. Needs no key. `None` where nothing was ever applied.
    pub async fn pack(&self, stack: &str) -> Result<Option<Parcel>, Box<Diagnostic>> {
        let entries = self.entries().await?;
        Ok(Parcel::of(stack.to_owned(), self.environment().to_owned(), entries))
    }

    /// The whole log with a snapshot of its view, for a backup. Without the key the snapshot is the one that the store has, if any.
    ///
    /// Errors: where the log is damaged, or cannot be folded for another reason than a missing key: no backup is made of that.
    pub async fn pack_backup(&self, stack: &str) -> Result<Option<Parcel>, Box<Diagnostic>> {
        let Some(mut parcel) = self.pack(stack).await? else { return Ok(None) };
        parcel.backup = true;
        parcel.snapshot = match self.shared.fold(View::default(), &parcel.entries) {
            Ok(view) => {
                let bytes = snapshot::write(&view, &self.shared.vault(parcel.store()));
                let bytes = bytes.map_err(|error| words::store(&StoreError::Misuse(error.to_string())))?;
                Some(Snapshot { head: parcel.head(), bytes: bytes.into() })
            }
            Err(diagnostic) if diagnostic.code == Code::NoKey => {
                let kept = self.shared.store.snapshot().await;
                kept.filter(|it| parcel.hash_at(it.head.sequence) == Some(it.head.hash))
            }
            Err(diagnostic) => return Err(diagnostic),
        };
        Ok(Some(parcel))
    }

    /// Puts a log where none is (`state import`). The log is then what it was, byte for byte; who did it and why is written into it
    /// by the first run that follows, or, on a shared store, by an entry behind it.
    ///
    /// Errors: [`Code::NotCarried`] where there is a state already, or where the log was closed by a move.
    pub async fn import(&self, parcel: &Parcel, carrier: &Carrier) -> Result<(), Box<Diagnostic>> {
        let here = self.shared.store.head().await.map_err(|error| words::store(&error))?;
        if let Some(head) = here {
            return Err(occupied(self.environment(), head, parcel));
        }
        if let Some(moved) = parcel.closed() {
            let text = format!("this log was closed when it moved to {}", moved.place);
            let diagnostic = Code::NotCarried.error(text).note("nothing was changed");
            return Err(Box::new(
                diagnostic.help("export it there; if that place is lost, `stackwright state restore` opens this one again"),
            ));
        }
        let note = Note {
            sequence: parcel.head().sequence,
            hash: parcel.head().hash.to_string(),
            place: format!("an export of {} entries", parcel.count()),
            reason: carrier.reason.clone(),
            who: carrier.who.clone(),
        };
        let mut entries = parcel.entries.clone();
        // Where no file can wait beside the log, it is said in the log at once.
        if !note.keep(&self.shared)? {
            entries.push(run::entry_after(&self.shared, entries.last().expect("a parcel has entries"), &note.body())?);
        }
        match self.shared.store.fill(entries).await {
            Ok(_) => Ok(()),
            Err(StoreError::Moved { head: Some(head) }) => Err(occupied(self.environment(), head, parcel)),
            Err(error) => Err(words::store(&error)),
        }
    }

    /// Who imported this log and why, as long as no run has written it down.
    pub fn owed_import(&self) -> Option<(Carrier, u64)> {
        let note = Note::owed(&self.shared, self.view.head?)?;
        Some((Carrier { who: note.who, reason: note.reason }, note.sequence))
    }

    /// Puts a log back in the place of one that is damaged, gone, shorter, or no longer what the backup says it was. Entries behind
    /// the backup's head are kept as far as the hash chain proves them; what was there is kept aside.
    ///
    /// Errors: [`Code::NotCarried`] where the backup is of another state, or the log is whole and has all of it.
    ///
    /// `known` is the last head of this store that was seen from here. A whole log that does not have it is taken as it is: that is what
    /// somebody agrees to who gives a reason.
    pub async fn restore(&self, parcel: &Parcel, known: Option<Head>, carrier: &Carrier) -> Result<Report, Box<Diagnostic>> {
        let store = &self.shared.store;
        let salvage = store.salvage(&parcel.entries).await.map_err(|error| words::store(&error))?;
        if let Some(other) = salvage.store.filter(|id| *id != parcel.store()) {
            let diagnostic = Code::NotCarried
                .error(format!("this is a backup of another state than that of `{}`; nothing was changed", self.environment()))
                .fact("backup", format!("store {}", parcel.store()))
                .fact("here", format!("store {other}, {}", self.place()));
            return Err(Box::new(diagnostic.help("take a backup of this store; `stackwright verify` names it")));
        }
        if let Ok(entries) = store.read(1).await {
            let is_there = |head: &Head| entries.get(head.sequence as usize - 1).map(Entry::head) == Some(*head);
            match known.filter(|known| known.sequence > 0 && !is_there(known) && is_there(&parcel.head())) {
                Some(known) => return self.accept(&entries, known, carrier).await,
                None => refuse_whole(self.environment(), &entries, parcel)?,
            }
        }
        let mut log = parcel.entries.clone();
        follow(&mut log, &salvage);
        let saved = log.len() as u64 - parcel.count();
        let lost = lost(&log, &salvage);
        let said = salvage.said.unwrap_or(0).saturating_sub(log.len() as u64);
        let lost_count = said.max(lost.len() as u64);
        match self.shared.fold(View::default(), &log) {
            Err(diagnostic) if diagnostic.code != Code::NoKey => return Err(diagnostic),
            _ => {}
        }
        let lost_runs = lost_runs(&log, &lost);
        let upto = log.len() as u64;
        self.fence(&mut log, carrier).await?;
        let body = Body::Restore(Restored { who: carrier.who.clone(), reason: carrier.reason.clone(), lost: lost_count });
        log.push(run::entry_after(&self.shared, log.last().expect("a parcel has entries"), &body)?);
        let revision = log.iter().filter(|entry| entry.header.kind == "revision").count() as u64;
        let entries = log.len() as u64;
        let snapshot = parcel.snapshot.clone();
        let aside = store.replace(&salvage, log, snapshot).await.map_err(|error| words::store(&error))?;
        Ok(Report { entries, revision, upto, saved, lost: lost_count, lost_runs, aside })
    }

    /// Runs that hold addresses in a log that is put back, on a store that cannot tell whether they live: one that gave a sign of life
    /// just now is not cut off, and the lease of any other ends, so that it finds that out should it come back. Where a store can
    /// tell, it refuses by itself while one is alive.
    ///
    /// Errors: [`Code::Locked`].
    async fn fence(&self, log: &mut Vec<Entry>, carrier: &Carrier) -> NotHere {
        // What is sealed tells nothing of leases.
        let view = replay_without_key(log, |_, _, _| {})?;
        for active in view.active.values() {
            let holder = self.shared.holder(&self.watch, &view, active).await?;
            match holder.life {
                Life::Alive { beats: true, .. } => {
                    let text = format!("a run is alive in the state of {}; nothing was changed", self.environment());
                    let error = Code::Locked.error(text).fact("holder", holder.words());
                    return Err(Box::new(
                        error.help("wait until it ends; where it is gone, half a minute without a sign of it is enough"),
                    ));
                }
                Life::Silent { .. } => {
                    let (who, reason) = (Some(carrier.who.clone()), format!("the log was restored: {}", carrier.reason));
                    let body = Body::Takeover(Takeover { run: active.lease.run, gone: false, reason, who });
                    log.push(run::entry_after(&self.shared, log.last().expect("a parcel has entries"), &body)?);
                }
                Life::Alive { beats: false, .. } | Life::Gone => {}
            }
        }
        Ok(())
    }

    /// Goes on with a whole log of which more was known once.
    async fn accept(&self, entries: &[Entry], known: Head, carrier: &Carrier) -> Result<Report, Box<Diagnostic>> {
        let lost = known.sequence.saturating_sub(entries.len() as u64);
        let last = entries.last().expect("it has all of a backup");
        let body = Body::Restore(Restored { who: carrier.who.clone(), reason: carrier.reason.clone(), lost });
        let entry = run::entry_after(&self.shared, last, &body)?;
        let appended = self.shared.store.append(Some(last.head()), vec![entry]).await;
        appended.map_err(|error| words::store(&error))?;
        let revision = entries.iter().filter(|entry| entry.header.kind == "revision").count() as u64;
        Ok(Report { entries: entries.len() as u64 + 1, upto: entries.len() as u64, revision, lost, ..Report::default() })
    }

    /// The end of the log; needs no key.
    pub async fn head(&self) -> Result<Option<Head>, Box<Diagnostic>> {
        self.shared.store.head().await.map_err(|error| words::store(&error))
    }

    /// What opens the secrets of this log. Needs no key.
    ///
    /// Errors: those of reading the log.
    pub async fn key_needed(self) -> Result<KeyNeeded, Box<Diagnostic>> {
        let state = self.with_keys_only().await?;
        let book = state.key_book();
        let file = book.current.and_then(|id| state.shared.ring.file_with(id));
        Ok(KeyNeeded {
            id: book.current.map(|id| id.to_string()).unwrap_or_default(),
            holders: book.holders.keys().cloned().collect(),
            is_here: file.is_some(),
            path: file.or_else(|| state.shared.ring.path()),
        })
    }
}

fn occupied(environment: &str, head: Head, parcel: &Parcel) -> Box<Diagnostic> {
    let same = parcel.hash_at(head.sequence) == Some(head.hash);
    let which = if same { "it is this very log, up to" } else { "it is another log, up to" };
    Box::new(
        Code::NotCarried
            .error(format!("`{environment}` has a state already; nothing was changed"))
            .fact("here", format!("{which} entry {}", head.sequence))
            .help("an import goes where nothing was ever applied; a state that is damaged is put back by `stackwright state restore`"),
    )
}

/// A log that is whole and has everything of the backup is not replaced: that would only lose.
fn refuse_whole(environment: &str, entries: &[Entry], parcel: &Parcel) -> Result<(), Box<Diagnostic>> {
    let at = usize::try_from(parcel.head().sequence - 1).unwrap_or(usize::MAX);
    if entries.get(at).map(Entry::head) != Some(parcel.head()) {
        return Ok(());
    }
    let more = entries.len() - at - 1;
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    Err(Box::new(
        Code::NotCarried
            .error(format!("the state of `{environment}` is whole and has all {} entries of this backup{more}", parcel.count()))
            .note("nothing was changed: to put the older log in its place would only forget what was applied since")
            .help(
                "`stackwright state rebuild` makes what is derived from the log again; `stackwright verify` says what is whole",
            ),
    ))
}

/// Adds what the salvage has behind the log's end, as far as it follows.
fn follow(log: &mut Vec<Entry>, salvage: &Salvage) {
    let mut head = log.last().expect("a parcel has entries").head();
    for entry in &salvage.proved {
        if entry.header.sequence == head.sequence + 1 && entry.header.previous == head.hash {
            head = entry.head();
            log.push(entry.clone());
        }
    }
}

/// Entries that can be read and are not in the log, in order.
fn lost(log: &[Entry], salvage: &Salvage) -> Vec<Entry> {
    let is_in = |entry: &Entry| log.get(entry.header.sequence as usize - 1).is_some_and(|it| it.hash() == entry.hash());
    let proved = salvage.proved.iter().filter(|entry| !is_in(entry));
    let unproved = salvage.unproved.iter().filter(|entry| entry.header.sequence > log.len() as u64);
    let by_place: BTreeMap<u64, &Entry> = unproved.chain(proved).map(|entry| (entry.header.sequence, entry)).collect();
    by_place.into_values().cloned().collect()
}

fn lost_runs(log: &[Entry], lost: &[Entry]) -> Vec<LostRun> {
    let leases = log.iter().chain(lost).filter_map(lease_of);
    let who: BTreeMap<u64, String> = leases.map(|lease| (lease.run, lease.header.who)).collect();
    let mut runs: BTreeMap<u64, LostRun> = BTreeMap::new();
    for entry in lost {
        let number = entry.header.run;
        let run = runs.entry(number).or_insert_with(|| LostRun {
            run: number,
            who: who.get(&number).cloned().unwrap_or_default(),
            time_ms: 0,
            revision: None,
            entries: 0,
            addresses: BTreeSet::new(),
        });
        run.entries += 1;
        run.time_ms = entry.header.time_ms;
        run.revision = revision_of(entry).map(|revision| revision.number).or(run.revision);
    }
    let places: BTreeMap<u64, u64> = lost.iter().map(|entry| (entry.header.sequence, entry.header.run)).collect();
    for (address, at) in index::about(lost, log) {
        for run in at.iter().filter_map(|place| places.get(place)) {
            runs.get_mut(run).expect("the run has entries").addresses.insert(address.clone());
        }
    }
    runs.into_values().collect()
}

/// That a log was imported, beside the log until a run writes it down.
#[derive(Serialize, Deserialize)]
struct Note {
    /// The end of what was imported.
    sequence: u64,
    hash: String,
    place: String,
    reason: String,
    who: String,
}

impl Note {
    fn path(shared: &Shared) -> Option<PathBuf> {
        let dir = shared.store.derived()?;
        Some(dir.with_file_name(format!("{}.imported", dir.file_name()?.to_string_lossy())))
    }

    /// Whether there is a place for it.
    fn keep(&self, shared: &Shared) -> Result<bool, Box<Diagnostic>> {
        let Some(path) = Note::path(shared) else { return Ok(false) };
        let write = || -> std::io::Result<()> {
            let root = path.parent().unwrap_or(&path);
            std::fs::create_dir_all(root)?;
            std::fs::write(&path, serde_json::to_vec(self).expect("texts are JSON"))?;
            std::fs::File::open(&path)?.sync_all()?;
            std::fs::File::open(root)?.sync_all()
        };
        write().map(|()| true).map_err(|error| {
            words::store(&StoreError::Unavailable { what: format!("write {}", path.display()), why: error.to_string() })
        })
    }

    fn body(&self) -> Body {
        Body::Import(Carried { who: self.who.clone(), reason: self.reason.clone(), place: self.place.clone() })
    }

    /// The note, where the log has what it speaks of.
    fn owed(shared: &Shared, head: Head) -> Option<Note> {
        let note: Note = serde_json::from_slice(&std::fs::read(Note::path(shared)?).ok()?).ok()?;
        let is_there = note.sequence < head.sequence || Digest::parse(&note.hash) == Some(head.hash);
        (note.sequence <= head.sequence && is_there).then_some(note)
    }
}

/// What the next run has to write down before anything else: that the log was imported.
pub(super) fn owed(shared: &Shared, view: &View) -> Option<Body> {
    Note::owed(shared, view.head?).map(|note| note.body())
}

/// It was written down.
pub(super) fn paid(shared: &Shared) {
    if let Some(path) = Note::path(shared) {
        let _ = std::fs::remove_file(path);
    }
}
