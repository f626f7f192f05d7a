//! What a log is in a bucket.
//!
//! ```text
//! PREFIX/STACK/ENVIRONMENT/log/00000000000000000001   what one append wrote, under the place of its first entry
//! PREFIX/STACK/ENVIRONMENT/parts/HASH/0000…           parts of what is too large for one object, in the directory of its last hash
//! PREFIX/STACK/ENVIRONMENT/head                       a hint at the end of the log: a line of JSON
//! PREFIX/STACK/ENVIRONMENT/snapshot                   derived: the view at some entry
//! PREFIX/stackwright-probe                            made once, to see whether the store honours conditions
//! ```
//!
//! Objects of `log` are created if absent and never changed; they are what a segment of the local store is, with one frame. One that
//! was too large is there as a list of its parts, which are such objects themselves and were made before: so it is there whole, or
//! not at all.

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

    /// A part of the append that ends with this hash.
    pub fn part(&self, end: Digest, first: Sequence) -> Path {
        self.base.clone().join("parts").join(end.to_string()).join(format!("{first:020}"))
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

const PARTS: &[u8; 4] = b"SWPT";

/// What an object of `log` holds.
pub struct Object {
    /// Hash of the entry before the first.
    pub previous: Digest,
    pub end: Head,
    pub holds: Holds,
}

pub enum Holds {
    Entries(Vec<Entry>),
    /// The first entry of each part.
    Parts(Vec<Sequence>),
}

#[derive(Serialize, Deserialize)]
struct RawParts {
    parts: Vec<Sequence>,
    sequence: Sequence,
    hash: String,
}

/// The object of an append whose entries are in parts.
pub fn list_of_parts(expected: Option<Head>, entries: &[Entry], parts: &[&[Entry]]) -> Option<Vec<u8>> {
    let (first, end) = (&entries.first()?.header, entries.last()?.head());
    let previous = expected.map_or(Head::NONE, |head| head.hash);
    let mut bytes = SegmentHeader { format: FORMAT, store: first.store, first: first.sequence, previous }.bytes();
    bytes.extend_from_slice(PARTS);
    let firsts = parts.iter().filter_map(|part| Some(part.first()?.header.sequence)).collect();
    let raw = RawParts { parts: firsts, sequence: end.sequence, hash: end.hash.to_string() };
    bytes.extend_from_slice(&serde_json::to_vec(&raw).ok()?);
    Some(bytes)
}

/// Reads an object of `log`.
///
/// Errors: [`StoreError::Newer`], [`StoreError::Damaged`].
pub fn object(place: &str, first: Sequence, bytes: &[u8]) -> Result<Object, StoreError> {
    let damaged = |what: &str| StoreError::Damaged { place: format!("{place}, entry {first}"), what: what.into() };
    let is_list = bytes.get(segment::HEADER..).is_some_and(|rest| rest.starts_with(PARTS));
    if !is_list {
        let (previous, entries) = entries(place, first, bytes)?;
        let end = entries.last().map(Entry::head).ok_or_else(|| damaged("the object holds no entry"))?;
        return Ok(Object { previous, end, holds: Holds::Entries(entries) });
    }
    let header = header(place, first, bytes)?;
    let raw: Option<RawParts> = serde_json::from_slice(&bytes[segment::HEADER + PARTS.len()..]).ok();
    let whole = raw.and_then(|raw| {
        let end = Head { sequence: raw.sequence, hash: Digest::parse(&raw.hash)? };
        let follow = raw.parts.windows(2).all(|pair| pair[0] < pair[1]);
        let fits = header.first == first && raw.parts.first() == Some(&first) && raw.parts.last() <= Some(&end.sequence);
        (follow && fits).then_some(Object { previous: header.previous, end, holds: Holds::Parts(raw.parts) })
    });
    whole.ok_or_else(|| damaged("the list of its parts is not the one that was written"))
}

fn header(place: &str, first: Sequence, bytes: &[u8]) -> Result<SegmentHeader, StoreError> {
    let damaged = |what: &str| StoreError::Damaged { place: format!("{place}, entry {first}"), what: what.into() };
    let header = SegmentHeader::parse(bytes).ok_or_else(|| damaged("the object is none of a log"))?;
    if header.format.major > FORMAT.major {
        let engine = "a later one".into();
        return Err(StoreError::Newer { format: header.format, engine, revision: None });
    }
    Ok(header)
}

/// The entries of an object that is in one piece, and the hash of the entry before them.
///
/// Errors: [`StoreError::Newer`], [`StoreError::Damaged`].
pub fn entries(place: &str, first: Sequence, bytes: &[u8]) -> Result<(Digest, Vec<Entry>), StoreError> {
    let damaged = |what: &str| StoreError::Damaged { place: format!("{place}, entry {first}"), what: what.into() };
    let header = header(place, first, bytes)?;
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
