//! A log goes on in another store. The old one is closed first, by an entry that says where to, so that nobody writes to it while
//! and after it is carried; then everything is in the new one at once, both are compared, and the new one is opened by an entry of
//! its own. Whatever is interrupted is carried on by doing it again; nothing is deleted.

use super::{Carrier, NotHere};
use crate::model::{Code, Diagnostic};
use crate::state::contract::{Entry, Head, StoreError, batches};
use crate::state::holder::Held;
use crate::state::log::{Body, Carried, carried_of};
use crate::state::view::snapshot::fingerprint;
use crate::state::{State, replay_without_key, run, words};

/// Bytes of bodies that are appended at once where a store has a part of the log already.
const BATCH: usize = 32 << 20;

/// How often a log is read again because somebody wrote to it meanwhile.
const TRIES: usize = 16;

/// Two stores of one environment, and what people call them.
pub struct Migration<'m> {
    pub from: &'m State,
    pub to: &'m State,
    /// As a stack names it: `s3 { bucket = "acme-state" }`.
    pub from_words: String,
    pub to_words: String,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Migrated {
    /// Entries that the new store had already.
    pub before: u64,
    /// Entries that it has now.
    pub entries: u64,
    pub revision: u64,
    /// The end that both had when they were compared.
    pub head: Head,
    pub records: usize,
    /// It had been done before: nothing was left to do.
    pub already: bool,
}

impl Migration<'_> {
    /// Carries the log over.
    ///
    /// Errors: [`Code::NotCarried`] where there is nothing to carry, or the new store holds another log; [`Code::Locked`] while a run
    /// is alive; those of both stores. What was done until then is carried on by the next try.
    pub async fn run(&self, carrier: &Carrier) -> Result<Migrated, Box<Diagnostic>> {
        if self.from.place() == self.to.place() {
            let text = format!("the state of {} is kept there already: {}", self.from.environment(), self.to.place());
            return Err(Box::new(Code::Usage.error(text).help("name the store that it comes from with `--from`")));
        }
        for _ in 0..TRIES {
            let log = self.from.entries().await?;
            let there = self.to.entries().await?;
            let Some(last) = log.last() else {
                let text = format!("nothing was ever applied to `{}` there: there is no state to carry", self.from.environment());
                return Err(Box::new(Code::NotCarried.error(text).fact("looked", self.from.place())));
            };
            self.refuse_another(&log, &there)?;
            let closed = is_closed(&log);
            if there.len() > log.len() {
                return if closed { self.done(&log, &there, there.len(), true) } else { Err(self.ahead(&log, &there)) };
            }
            if !closed {
                self.refuse_living(&log).await?;
                let carried = Carried { who: carrier.who.clone(), reason: carrier.reason.clone(), place: self.to_words.clone() };
                let entry = run::entry_after(&self.from.shared, last, &Body::Moved(carried))?;
                match self.from.shared.store.append(Some(last.head()), vec![entry]).await {
                    Ok(_) | Err(StoreError::Moved { .. }) => continue,
                    Err(error) => return Err(words::store(&error)),
                }
            }
            self.bring(&log, &there).await?;
            let arrived = self.to.entries().await?;
            self.compare(&log, &arrived)?;
            let carried = Carried { who: carrier.who.clone(), reason: carrier.reason.clone(), place: self.from_words.clone() };
            let entry = run::entry_after(&self.to.shared, last, &Body::Import(carried))?;
            let opened = self.to.shared.store.append(Some(last.head()), vec![entry]).await;
            opened.map_err(|error| words::store(&error))?;
            return self.done(&log, &arrived, there.len(), false);
        }
        Err(words::store(&StoreError::Moved { head: None }))
    }

    /// That one of the two logs is the beginning of the other.
    fn refuse_another(&self, log: &[Entry], there: &[Entry]) -> Result<(), Box<Diagnostic>> {
        let common = log.len().min(there.len());
        if common == 0 || log[common - 1].head() == there[common - 1].head() {
            return Ok(());
        }
        let same = log[0].header.store == there[0].header.store;
        let what = match same {
            true => {
                let at = log.iter().zip(there).position(|(one, other)| one.head() != other.head()).unwrap_or(0);
                format!("both logs have gone on by themselves since entry {at}")
            }
            false => format!("it holds the state of another store, {}", there[0].header.store),
        };
        Err(Box::new(
            Code::NotCarried
                .error(format!("the state cannot move to {}: {what}; nothing was changed", self.to_words))
                .fact("from", self.from.place())
                .fact("to", self.to.place())
                .help("a state moves to where there is none, or to where a part of it already is"),
        ))
    }

    fn ahead(&self, log: &[Entry], there: &[Entry]) -> Box<Diagnostic> {
        let text = format!("{} has all {} entries of this log and {} more", self.to_words, log.len(), there.len() - log.len());
        Box::new(
            Code::NotCarried
                .error(text)
                .note("nothing was changed: what is named by `--from` is an older copy")
                .help("go on where the stack's `state` says; take the older copy away"),
        )
    }

    async fn refuse_living(&self, log: &[Entry]) -> NotHere {
        let view = replay_without_key(log, |_, _, _| {})?;
        for active in view.active.values() {
            let holder = self.from.shared.holder(&self.from.watch, &view, active).await?;
            if !holder.life.is_over() {
                let address = active.addresses.iter().next().cloned();
                let Some(address) = address else { continue };
                return Err(words::locked(self.from.environment(), &Held { holder, address }));
            }
        }
        Ok(())
    }

    async fn bring(&self, log: &[Entry], there: &[Entry]) -> NotHere {
        let store = &self.to.shared.store;
        if there.is_empty() {
            return store.fill(log.to_vec()).await.map(drop).map_err(|error| words::store(&error));
        }
        let mut head = there.last().map(Entry::head);
        for batch in batches(&log[there.len()..], BATCH) {
            head = Some(store.append(head, batch.to_vec()).await.map_err(|error| words::store(&error))?);
        }
        Ok(())
    }

    /// Same head, and the same view of it.
    fn compare(&self, log: &[Entry], arrived: &[Entry]) -> NotHere {
        let view = |entries: &[Entry]| {
            let view = replay_without_key(entries, |_, _, _| {})?;
            fingerprint(&view).map_err(|error| words::store(&StoreError::Misuse(error.to_string())))
        };
        if log.last().map(Entry::head) == arrived.last().map(Entry::head) && view(log)? == view(arrived)? {
            return Ok(());
        }
        let what = format!("what arrived there is not what was sent: it ends after {} of {} entries", arrived.len(), log.len());
        Err(words::store(&StoreError::Damaged { place: self.to.place(), what }))
    }

    fn done(&self, log: &[Entry], arrived: &[Entry], before: usize, already: bool) -> Result<Migrated, Box<Diagnostic>> {
        let view = replay_without_key(log, |_, _, _| {})?;
        Ok(Migrated {
            before: before as u64,
            entries: arrived.len() as u64 + u64::from(!already),
            revision: view.revision,
            head: log.last().expect("it has entries").head(),
            records: view.records.len(),
            already,
        })
    }
}

/// Whether the last word about where the log goes on is that it goes on elsewhere.
fn is_closed(log: &[Entry]) -> bool {
    let last = log.iter().rev().find(|entry| matches!(&*entry.header.kind, "moved" | "import" | "restore"));
    last.is_some_and(|entry| entry.header.kind == "moved" && carried_of(entry).is_some())
}
