//! What the engine asks of a store, and the data that crosses between them.
//!
//! A store is an append-only log of entries, each bound to the one before by its hash. It knows nothing of what the entries
//! mean. Every store runs the suite in `store/promises`; the memory store is the strictest of them.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::model::Digest;

/// The format that this program writes, and the greatest major number that it reads.
pub const FORMAT: Format = Format { major: 1, minor: 0 };

/// Version of the log's format. A greater minor number only adds kinds and fields; a greater major number cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Format {
    pub major: u16,
    pub minor: u16,
}

/// 128 random bits that name a store for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId(pub [u8; 16]);

/// Place of an entry; the genesis is 1.
pub type Sequence = u64;

/// The end of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Of the last entry.
    pub sequence: Sequence,
    /// Of the last entry, which vouches for all before it.
    pub hash: Digest,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub format: Format,
    pub store: StoreId,
    pub sequence: Sequence,
    /// Sequence of the lease that the writer holds; 0 for entries that need none.
    pub epoch: Sequence,
    /// Number of the run; 0 outside of one.
    pub run: u64,
    /// By the writer's wall clock, in milliseconds since 1970, for people only.
    pub time_ms: i64,
    /// `intent`, `outcome`, …
    pub kind: String,
    /// Hash of the entry before; zeros for the genesis.
    pub previous: Digest,
    pub body: Digest,
}

/// One entry. The body is canonical JSON; what is secret in it is sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub header: Header,
    pub body: Bytes,
}

impl Head {
    pub const NONE: Digest = Digest([0; 32]);
}

impl Entry {
    /// `SHA-256("stackwright/log/1" ‖ header ‖ body hash)`, each part of the header with a fixed width or its length before it.
    pub fn hash(&self) -> Digest {
        let header = &self.header;
        let mut hash = Sha256::new();
        hash.update(b"stackwright/log/1");
        hash.update(header.format.major.to_be_bytes());
        hash.update(header.format.minor.to_be_bytes());
        hash.update(header.store.0);
        hash.update(header.sequence.to_be_bytes());
        hash.update(header.epoch.to_be_bytes());
        hash.update(header.run.to_be_bytes());
        hash.update(header.time_ms.to_be_bytes());
        hash.update((header.kind.len() as u64).to_be_bytes());
        hash.update(header.kind.as_bytes());
        hash.update(header.previous.0);
        hash.update(header.body.0);
        Digest(hash.finalize().into())
    }

    pub fn head(&self) -> Head {
        Head { sequence: self.header.sequence, hash: self.hash() }
    }
}

/// The entries in parts, each of which ends with the one that brings its bodies to so many bytes.
pub fn batches(entries: &[Entry], bytes: usize) -> impl Iterator<Item = &[Entry]> {
    let mut size = 0;
    entries.split_inclusive(move |entry| {
        size += entry.body.len();
        let is_full = size >= bytes;
        if is_full {
            size = 0;
        }
        is_full
    })
}

/// The append-only log.
#[async_trait]
pub trait Store: Send + Sync {
    /// Where it is, for messages.
    fn place(&self) -> String;

    /// The end of the log; `None` where there is none yet.
    async fn head(&self) -> Result<Option<Head>, StoreError>;

    /// Appends after `expected`, all entries or none, durable before it returns; or refuses with [`StoreError::Moved`] when
    /// somebody else was first. Entries that do not follow `expected` and one another are refused as [`StoreError::Misuse`].
    async fn append(&self, expected: Option<Head>, entries: Vec<Entry>) -> Result<Head, StoreError>;

    /// The entries from `from` on, checked against the chain. Never waits for a writer.
    async fn read(&self, from: Sequence) -> Result<Vec<Entry>, StoreError>;

    /// For audits: all entries up to the first that is damaged, and what is wrong there.
    async fn read_what_is_whole(&self) -> (Vec<Entry>, Option<StoreError>) {
        match self.read(1).await {
            Ok(entries) => (entries, None),
            Err(error) => (Vec::new(), Some(error)),
        }
    }

    /// The entry at a place; `None` where the log ends before it.
    async fn entry(&self, at: Sequence) -> Result<Option<Entry>, StoreError> {
        Ok(self.read(at).await?.into_iter().next().filter(|entry| entry.header.sequence == at))
    }

    /// How records are gathered into one append: what an append costs decides how long it pays to wait for more.
    fn batching(&self) -> Batching {
        Batching::LOCAL
    }

    /// Marks a run as alive under a name of its own until the guard is dropped or the process dies.
    async fn hold(&self, name: &str) -> Result<Box<dyn Hold>, StoreError>;

    /// Whether the run that marked itself with that name is alive.
    async fn liveness(&self, name: &str) -> Result<Liveness, StoreError>;

    /// The newest snapshot that was kept, as it was given. A store may have none, or have lost it.
    async fn snapshot(&self) -> Option<Snapshot>;

    /// Keeps a snapshot in the place of the one before. It saves reading, no more: failing is no harm.
    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError>;

    /// Makes a log of entries that a store elsewhere holds, where there is none yet: whole or not at all, as others see it.
    ///
    /// Errors: [`StoreError::Moved`] where there is a log.
    async fn fill(&self, entries: Vec<Entry>) -> Result<Head, StoreError> {
        self.append(None, entries).await
    }

    /// Puts another log in the place of the one that is there, damaged or not, and reads it back. `found` is what was there when it was
    /// looked at. Gives the place where that is kept, for messages; empty where nothing had to give way.
    ///
    /// Errors: [`StoreError::Moved`] where somebody has written since; [`StoreError::Unavailable`] where a run is alive, or where the
    /// store does not do that; [`StoreError::Refused`] where somebody with other rights has to do a part of it.
    async fn replace(&self, _found: &Salvage, _entries: Vec<Entry>, _snapshot: Option<Snapshot>) -> Result<String, StoreError> {
        let what = format!("put another log in the place of the one in {}", self.place());
        Err(StoreError::Unavailable { what, why: "this kind of store never takes anything away".into() })
    }

    /// What can still be read of a log that may be damaged. `known` is a whole log, such as a backup, by whose hashes later entries
    /// can be proved.
    async fn salvage(&self, _known: &[Entry]) -> Result<Salvage, StoreError> {
        let proved = self.read(1).await?;
        let last = proved.last();
        Ok(Salvage {
            exists: last.is_some(),
            store: last.map(|entry| entry.header.store),
            said: last.map(|entry| entry.header.sequence),
            proved,
            unproved: Vec::new(),
        })
    }

    /// Facts about the store's own health that are no errors, for `verify`.
    async fn remarks(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// Directory on this machine for what is derived from the log and may be thrown away; `None` where there is no disk.
    fn derived(&self) -> Option<PathBuf> {
        None
    }
}

/// How long a batch waits for company, and how many records it holds at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Batching {
    pub wait: Duration,
    pub records: usize,
}

impl Batching {
    /// For an append of a few milliseconds: a disk, a database.
    pub const LOCAL: Batching = Batching { wait: Duration::from_millis(5), records: 64 };
    /// For an append of tens of milliseconds that costs the same whatever it holds: object storage.
    pub const OBJECTS: Batching = Batching { wait: Duration::from_millis(50), records: 256 };
}

/// The folded view at a place of the log, as bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    pub head: Head,
    pub bytes: Bytes,
}

/// What is left of a log.
#[derive(Clone, Debug, Default)]
pub struct Salvage {
    /// Whether there ever was one.
    pub exists: bool,
    pub store: Option<StoreId>,
    /// How far it went, by what it says of itself.
    pub said: Option<Sequence>,
    /// Entries that the hash chain proves, in order; some may be missing between them.
    pub proved: Vec<Entry>,
    /// Entries whose bytes are whole, and of which nobody can say that they are the right ones. Their hashes mean nothing.
    pub unproved: Vec<Entry>,
}

/// Held for a run's life.
pub trait Hold: Send + Sync {}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Liveness {
    Alive,
    Dead,
    /// The store cannot tell.
    Unknown,
}

/// What a store answers when it does not do what was asked. Nothing was changed, unless a variant says otherwise.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("somebody else has written since")]
    Moved { head: Option<Head> },
    #[error("the state was written in format {}.{}, by version {engine}", format.major, format.minor)]
    Newer { format: Format, engine: String, revision: Option<u64> },
    /// `place` names the file and the offset or entry.
    #[error("{place}: {what}")]
    Damaged { place: String, what: String },
    /// Read-only, full, not permitted, not reachable. `what` completes "cannot …".
    #[error("cannot {what}: {why}")]
    Unavailable { what: String, why: String },
    /// It was written, and the disk did not confirm it: this process may not go on with the file.
    #[error("{place}: the disk did not confirm a write: {why}")]
    Unconfirmed { place: String, why: String },
    /// It did not answer in time, however often it was asked.
    #[error("{place} does not answer: {why}")]
    Unreachable { place: String, why: String },
    /// An append was sent and no answer came; whether it was written is not known. Appending the same again after reading finds out.
    #[error("{place} did not say whether it has written: {why}")]
    Unanswered { place: String, why: String },
    /// It answers, and may not be used as it is: no credentials, no permission, a setting that would lose entries. `help` is what
    /// to do.
    #[error("{place}: {why}")]
    Refused { place: String, why: String, help: String },
    #[error("a bug: {0}")]
    Misuse(String),
}

impl std::fmt::Display for StoreId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for StoreId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl StoreId {
    /// The id that is written in 32 hexadecimal digits.
    pub fn parse(hex: &str) -> Option<StoreId> {
        let bytes = (0..hex.len() / 2).map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok());
        Some(StoreId(bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()?))
    }
}
