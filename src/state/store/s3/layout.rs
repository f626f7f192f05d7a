//! What a log is in a bucket.
//!
//! ```text
//! PREFIX/STACK/ENVIRONMENT/log/00000000000000000001   what one append wrote, under the place of its first entry
//! PREFIX/STACK/ENVIRONMENT/head                       a hint at the end of the log: a line of JSON
//! PREFIX/STACK/ENVIRONMENT/snapshot                   derived: the view at some entry
//! PREFIX/stackwright-probe                            made once, to see whether the store honours conditions
//! ```
//!
//! Objects of `log` are created if absent and never changed; they are what a segment of the local store is, with one frame.

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::model::Digest;
use crate::state::contract::{Entry, FORMAT, Head, Sequence, StoreError};
use crate::state::store::embedded::segment::{self, Frame, SegmentHeader};

/// The names of one log's objects.
pub struct Layout {
    /// `PREFIX/STACK/ENVIRONMENT`.
    base: Path,
    prefix: Path,
}

impl Layout {
    pub fn new(prefix: &str, log: &str) -> Layout {
        let joined =
            |begin: Path, text: &str| text.split('/').filter(|part| !part.is_empty()).fold(begin, |path, part| path.join(part));
        let prefix = joined(Path::default(), prefix);
        Layout { base: joined(prefix.clone(), log), prefix }
    }

    pub fn base(&self) -> &Path {
        &self.base
    }

    pub fn batches(&self) -> Path {
        self.base.clone().join("log")
    }

    pub fn batch(&self, first: Sequence) -> Path {
        self.batches().join(format!("{first:020}"))
    }

    /// The place of the first entry of the batch of that name; `None` for what is no batch.
    pub fn first(&self, batch: &Path) -> Option<Sequence> {
        let name = batch.filename().filter(|name| name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit()))?;
        name.parse().ok().filter(|first| *first > 0)
    }

    pub fn hint(&self) -> Path {
        self.base.clone().join("head")
    }

    pub fn snapshot(&self) -> Path {
        self.base.clone().join("snapshot")
    }

    pub fn probe(&self) -> Path {
        self.prefix.clone().join("stackwright-probe")
    }

    /// Never made.
    pub fn probe_missing(&self) -> Path {
        self.prefix.clone().join("stackwright-probe-missing")
    }
}

/// The object of an append. `None` where it is too large to be read back.
pub fn batch(expected: Option<Head>, entries: &[Entry]) -> Option<Vec<u8>> {
    let first = &entries.first()?.header;
    let previous = expected.map_or(Head::NONE, |head| head.hash);
    let mut bytes = SegmentHeader { format: FORMAT, store: first.store, first: first.sequence, previous }.bytes();
    bytes.extend_from_slice(&segment::frame(entries)?);
    Some(bytes)
}

/// The entries of an object, and the hash of the entry before them.
///
/// Errors: [`StoreError::Newer`], [`StoreError::Damaged`].
pub fn entries(place: &str, first: Sequence, bytes: &[u8]) -> Result<(Digest, Vec<Entry>), StoreError> {
    let damaged = |what: &str| StoreError::Damaged { place: format!("{place}, entry {first}"), what: what.into() };
    let header = SegmentHeader::parse(bytes).ok_or_else(|| damaged("the object is none of a log"))?;
    if header.format.major > FORMAT.major {
        let engine = "a later one".into();
        return Err(StoreError::Newer { format: header.format, engine, revision: None });
    }
    let whole = Frame::parse(&bytes[segment::HEADER..])
        .filter(|(frame, length)| header.first == first && frame.first == first && segment::HEADER + length == bytes.len());
    let (frame, _) = whole.ok_or_else(|| damaged("the object is not the one that was written"))?;
    let entries = frame.entries(header.store, header.previous).ok_or_else(|| damaged("its entries do not follow one another"))?;
    Ok((header.previous, entries))
}

/// What the hint says: that there is a batch, and an entry in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hint {
    pub first: Sequence,
    pub head: Head,
}

#[derive(Serialize, Deserialize)]
struct RawHint {
    first: Sequence,
    sequence: Sequence,
    hash: String,
}

impl Hint {
    pub fn bytes(&self) -> Vec<u8> {
        let raw = RawHint { first: self.first, sequence: self.head.sequence, hash: self.head.hash.to_string() };
        serde_json::to_vec(&raw).expect("numbers and texts are JSON")
    }

    /// `None` for what is no hint: it is done without.
    pub fn parse(bytes: &[u8]) -> Option<Hint> {
        let raw: RawHint = serde_json::from_slice(bytes).ok()?;
        let head = Head { sequence: raw.sequence, hash: Digest::parse(&raw.hash)? };
        (raw.first > 0 && raw.first <= raw.sequence).then_some(Hint { first: raw.first, head })
    }
}
