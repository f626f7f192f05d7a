//! The store as one process reaches it: a log in memory, with a disk that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use stackwright::state::contract::{Entry, Head, Hold, Liveness, Sequence, Snapshot, Store, StoreError};
use stackwright::state::store::memory::Memory;
use stackwright::world::Clock;

use crate::chance::{Chance, Fuse};
use crate::net::Net;

/// What all processes share.
pub struct Disk {
    pub memory: Memory,
    pub net: Arc<Net>,
    pub clock: Arc<dyn Clock>,
    pub chance: Chance,
    /// Of a thousand operations, so many fail.
    pub fails: AtomicU64,
    /// Until then nothing can be reached, in milliseconds.
    pub away_until: AtomicU64,
    /// It acknowledges what it does not keep.
    pub lies: bool,
    /// Several machines share it, and it cannot tell whether a run lives.
    pub shared: bool,
}

pub struct Reached {
    pub disk: Arc<Disk>,
    pub fuse: Arc<Fuse>,
    /// The disk did not confirm a write: this process may not go on with it.
    pub broken: AtomicBool,
    /// From when to when this process is cut off from it.
    pub cut: (Duration, Duration),
}

impl Reached {
    /// Waits as long as it takes, and fails where it has to.
    async fn reach(&self, what: &str) -> Result<(), StoreError> {
        self.fuse.touch().await;
        let disk = &self.disk;
        disk.clock.sleep(disk.chance.within(Duration::from_millis(4))).await;
        let fails = disk.fails.load(Ordering::Relaxed);
        if disk.chance.hits(fails) {
            let until = disk.clock.elapsed() + disk.chance.within(Duration::from_secs(20));
            disk.away_until.store(until.as_millis() as u64, Ordering::Relaxed);
        }
        let away = fails > 0 && disk.clock.elapsed().as_millis() < u128::from(disk.away_until.load(Ordering::Relaxed));
        let now = disk.clock.elapsed();
        let is_cut = self.cut.0 <= now && now < self.cut.1;
        if away || (disk.shared && is_cut) {
            disk.net.befalls("store out of reach");
        }
        if disk.shared && (away || is_cut) {
            return Err(StoreError::Unreachable { place: "memory".into(), why: "it is cut off".into() });
        }
        if away || self.broken.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable { what: what.into(), why: "the disk is away".into() });
        }
        Ok(())
    }
}

fn disk_says(disk: &Disk, kept: bool) {
    disk.net.befalls(match (disk.shared, kept) {
        (true, true) => "appends made and not answered",
        (true, false) => "appends lost",
        (false, true) => "appends made and not confirmed",
        (false, false) => "appends not made",
    });
}

#[async_trait]
impl Store for Reached {
    fn place(&self) -> String {
        self.disk.memory.place()
    }

    async fn head(&self) -> Result<Option<Head>, StoreError> {
        self.reach("read the log").await?;
        self.disk.memory.head().await
    }

    async fn append(&self, expected: Option<Head>, entries: Vec<Entry>) -> Result<Head, StoreError> {
        self.reach("append to the log").await?;
        if self.disk.lies && self.disk.chance.hits(100) {
            // It says so, and has kept nothing.
            return entries.last().map(Entry::head).ok_or(StoreError::Misuse("nothing to append".into()));
        }
        let unconfirmed = self.disk.chance.hits(self.disk.fails.load(Ordering::Relaxed) / 2);
        let kept = !unconfirmed || self.disk.chance.hits(500);
        let result = match kept {
            true => self.disk.memory.append(expected, entries.clone()).await,
            false => Err(StoreError::Unavailable { what: String::new(), why: String::new() }),
        };
        if let Ok(head) = &result {
            self.disk.net.written(&entries);
            // It may die between the write and what it learns of it.
            self.fuse.touch().await;
            let _ = head;
        }
        if unconfirmed {
            disk_says(&self.disk, kept);
        }
        if unconfirmed && self.disk.shared {
            return match result {
                Err(error @ (StoreError::Moved { .. } | StoreError::Misuse(_))) => Err(error),
                _ => Err(StoreError::Unanswered { place: "memory".into(), why: "no answer came".into() }),
            };
        }
        if unconfirmed && !matches!(result, Err(StoreError::Moved { .. } | StoreError::Misuse(_))) {
            self.broken.store(true, Ordering::Relaxed);
            return Err(StoreError::Unconfirmed { place: "memory".into(), why: "no answer to fsync".into() });
        }
        result
    }

    async fn read(&self, from: Sequence) -> Result<Vec<Entry>, StoreError> {
        self.reach("read the log").await?;
        self.disk.memory.read(from).await
    }

    async fn hold(&self, name: &str) -> Result<Box<dyn Hold>, StoreError> {
        self.reach("hold the run's file").await?;
        self.disk.memory.hold(name).await
    }

    async fn liveness(&self, name: &str) -> Result<Liveness, StoreError> {
        self.reach("look at a run's file").await?;
        self.disk.memory.liveness(name).await
    }

    async fn snapshot(&self) -> Option<Snapshot> {
        self.disk.memory.snapshot().await
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.reach("keep a snapshot").await?;
        self.disk.memory.keep_snapshot(snapshot).await
    }
}
