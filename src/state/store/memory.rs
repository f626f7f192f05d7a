//! A log in memory: the strictest store, for tests and simulations.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;

use super::follows::check_follows;
use crate::state::contract::{Entry, Head, Hold, Liveness, Sequence, Snapshot, Store, StoreError};

/// Clones are one store, as several processes would see it.
#[derive(Clone, Default)]
pub struct Memory {
    inner: Arc<Mutex<Inner>>,
    /// It cannot tell whether a run lives.
    shared: bool,
}

#[derive(Default)]
struct Inner {
    entries: Vec<Entry>,
    held: BTreeSet<String>,
    snapshot: Option<Snapshot>,
}

impl Memory {
    /// One that cannot tell whether a run lives, as the stores that several machines share: there a run keeps its lease by heartbeats.
    pub fn shared() -> Memory {
        Memory { shared: true, ..Memory::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[async_trait]
impl Store for Memory {
    fn place(&self) -> String {
        "memory".into()
    }

    async fn head(&self) -> Result<Option<Head>, StoreError> {
        Ok(self.lock().entries.last().map(Entry::head))
    }

    async fn append(&self, expected: Option<Head>, entries: Vec<Entry>) -> Result<Head, StoreError> {
        let end = check_follows(expected, &entries)?;
        let mut inner = self.lock();
        let head = inner.entries.last().map(Entry::head);
        if head != expected {
            return Err(StoreError::Moved { head });
        }
        inner.entries.extend(entries);
        Ok(end)
    }

    async fn read(&self, from: Sequence) -> Result<Vec<Entry>, StoreError> {
        let inner = self.lock();
        let skip = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        Ok(inner.entries.iter().skip(skip).cloned().collect())
    }

    async fn hold(&self, name: &str) -> Result<Box<dyn Hold>, StoreError> {
        match self.lock().held.insert(name.to_owned()) {
            true => Ok(Box::new(Held { store: self.clone(), name: name.to_owned() })),
            false => Err(StoreError::Misuse(format!("`{name}` is held already"))),
        }
    }

    async fn liveness(&self, name: &str) -> Result<Liveness, StoreError> {
        Ok(match self.lock().held.contains(name) {
            _ if self.shared => Liveness::Unknown,
            true => Liveness::Alive,
            false => Liveness::Dead,
        })
    }

    async fn snapshot(&self) -> Option<Snapshot> {
        self.lock().snapshot.clone()
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.lock().snapshot = Some(snapshot);
        Ok(())
    }
}

struct Held {
    store: Memory,
    name: String,
}

impl Hold for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.store.lock().held.remove(&self.name);
    }
}
