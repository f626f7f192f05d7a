//! The head file: what the end of the log was when somebody last said so.
//!
//! Two slots of 512 bytes, written in turn, so that a torn write leaves the other. A slot is one line of JSON, a blank, the
//! CRC-32 of the JSON in eight hexadecimal digits, and blanks up to its end. Sequence 0 means that the log is being made.

use std::fs::File;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::disk::Disk;
use crate::model::Digest;
use crate::state::contract::{FORMAT, Format, Head, StoreId};

pub const SLOT: usize = 512;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeadRecord {
    pub format: Format,
    pub generation: u64,
    pub store: StoreId,
    /// `None` while the log is being made.
    pub head: Option<Head>,
    pub revision: u64,
    /// Version of the program that wrote it.
    pub engine: String,
}

#[derive(Serialize, Deserialize)]
struct Raw {
    format: (u16, u16),
    generation: u64,
    store: String,
    sequence: u64,
    hash: String,
    revision: u64,
    engine: String,
}

/// What the file says.
pub enum HeadFile {
    Missing,
    Present {
        newest: HeadRecord,
        /// Which of the two says so.
        slot: u64,
        /// One of the two slots cannot be read.
        one_damaged: bool,
    },
    Damaged,
}

pub fn read(path: &Path) -> io::Result<HeadFile> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HeadFile::Missing),
        Err(error) => return Err(error),
    };
    let slots: Vec<Option<HeadRecord>> = (0..2).map(|at| parse(bytes.get(at * SLOT..(at + 1) * SLOT)?)).collect();
    let one_damaged = slots.iter().any(Option::is_none) || bytes.len() != 2 * SLOT;
    let read = (0..).zip(slots).filter_map(|(at, slot)| Some((at, slot?)));
    Ok(match read.max_by_key(|(_, slot)| slot.generation) {
        Some((slot, newest)) => HeadFile::Present { newest, slot, one_damaged },
        None => HeadFile::Damaged,
    })
}

pub fn parse(slot: &[u8]) -> Option<HeadRecord> {
    let text = std::str::from_utf8(slot).ok()?;
    let (json, rest) = text.split_at(text.find("} ")? + 1);
    let crc = u32::from_str_radix(rest.get(1..9)?, 16).ok()?;
    let exact = rest[1..9] == format!("{crc:08x}") && rest[9..].bytes().all(|byte| byte == b' ');
    if !exact || crc != crc32fast::hash(json.as_bytes()) {
        return None;
    }
    let raw: Raw = serde_json::from_str(json).ok()?;
    let head = Head { sequence: raw.sequence, hash: Digest::parse(&raw.hash)? };
    Some(HeadRecord {
        format: Format { major: raw.format.0, minor: raw.format.1 },
        generation: raw.generation,
        store: StoreId::parse(&raw.store)?,
        head: (raw.sequence > 0).then_some(head),
        revision: raw.revision,
        engine: raw.engine,
    })
}

fn bytes(record: &HeadRecord) -> Vec<u8> {
    let raw = Raw {
        format: (record.format.major, record.format.minor),
        generation: record.generation,
        store: record.store.to_string(),
        sequence: record.head.map_or(0, |head| head.sequence),
        hash: record.head.map_or(Head::NONE, |head| head.hash).to_string(),
        revision: record.revision,
        engine: record.engine.clone(),
    };
    let mut slot = serde_json::to_vec(&raw).expect("numbers and texts are JSON");
    let crc = crc32fast::hash(&slot);
    slot.extend_from_slice(format!(" {crc:08x}").as_bytes());
    assert!(slot.len() <= SLOT, "a head fits its slot");
    slot.resize(SLOT, b' ');
    slot
}

/// Both slots of a log that is being made.
pub fn first(store: StoreId) -> Vec<u8> {
    let record = |generation| HeadRecord {
        format: FORMAT,
        generation,
        store,
        head: None,
        revision: 0,
        engine: env!("CARGO_PKG_VERSION").into(),
    };
    [bytes(&record(0)), bytes(&record(1))].concat()
}

/// Writes one of the two slots. Not synced: a head that is behind is made good by the chain.
pub fn write(disk: &Disk, file: &File, slot: u64, record: &HeadRecord) -> io::Result<()> {
    disk.write_at(file, &bytes(record), slot * SLOT as u64)
}
