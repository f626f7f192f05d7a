//! Entries as rows, and rows as entries that follow one another.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::model::Digest;
use crate::state::contract::{Entry, FORMAT, Format, Head, Header, Salvage, Sequence, StoreError, StoreId};
use crate::state::store::patience::Trouble;

pub fn damaged(what: &str) -> Trouble {
    Trouble::Final(StoreError::Damaged { place: String::new(), what: what.into() })
}

/// A value of a statement, with its type.
pub type Parameter<'v> = (&'v (dyn ToSql + Sync), Type);

/// The columns of an append, an element for each entry.
pub struct Columns<'e> {
    pub store: &'e [u8],
    pub sequence: Vec<i64>,
    pub hash: Vec<Vec<u8>>,
    pub format_major: Vec<i32>,
    pub format_minor: Vec<i32>,
    pub epoch: Vec<i64>,
    pub run: Vec<i64>,
    pub time_ms: Vec<i64>,
    pub kind: Vec<&'e str>,
    pub body: Vec<&'e [u8]>,
}

impl<'e> Columns<'e> {
    /// There is at least one.
    pub fn of(entries: &'e [Entry]) -> Columns<'e> {
        let headers = || entries.iter().map(|entry| &entry.header);
        Columns {
            store: &entries[0].header.store.0,
            sequence: headers().map(|it| it.sequence.cast_signed()).collect(),
            hash: entries.iter().map(|entry| entry.hash().0.to_vec()).collect(),
            format_major: headers().map(|it| it.format.major.into()).collect(),
            format_minor: headers().map(|it| it.format.minor.into()).collect(),
            epoch: headers().map(|it| it.epoch.cast_signed()).collect(),
            run: headers().map(|it| it.run.cast_signed()).collect(),
            time_ms: headers().map(|it| it.time_ms).collect(),
            kind: headers().map(|it| it.kind.as_str()).collect(),
            body: entries.iter().map(|entry| &entry.body[..]).collect(),
        }
    }

    /// From `sequence` to `body`, as the table names them.
    pub fn parameters(&self) -> [Parameter<'_>; 9] {
        [
            (&self.sequence, Type::INT8_ARRAY),
            (&self.hash, Type::BYTEA_ARRAY),
            (&self.format_major, Type::INT4_ARRAY),
            (&self.format_minor, Type::INT4_ARRAY),
            (&self.epoch, Type::INT8_ARRAY),
            (&self.run, Type::INT8_ARRAY),
            (&self.time_ms, Type::INT8_ARRAY),
            (&self.kind, Type::TEXT_ARRAY),
            (&self.body, Type::BYTEA_ARRAY),
        ]
    }
}

/// What the head of a log says.
pub struct HeadRow {
    pub head: Head,
    pub store: StoreId,
}

impl HeadRow {
    /// Errors: [`StoreError::Newer`] where a newer program has written.
    pub fn of(row: &Row) -> Result<HeadRow, Trouble> {
        let format = format(row.try_get(3)?, row.try_get(4)?);
        let engine: String = row.try_get(5)?;
        if format.major > FORMAT.major {
            return Err(Trouble::Final(StoreError::Newer { format, engine, revision: None }));
        }
        let bad = || damaged("the head of the log cannot be read");
        Ok(HeadRow {
            store: StoreId(row.try_get::<_, &[u8]>(0)?.try_into().map_err(|_| bad())?),
            head: Head { sequence: row.try_get::<_, i64>(1)?.cast_unsigned(), hash: digest(row.try_get(2)?).ok_or_else(bad)? },
        })
    }
}

fn digest(bytes: &[u8]) -> Option<Digest> {
    Some(Digest(bytes.try_into().ok()?))
}

fn format(major: i32, minor: i32) -> Format {
    let number = |it: i32| u16::try_from(it).unwrap_or(u16::MAX);
    Format { major: number(major), minor: number(minor) }
}

/// Entries that are read in order.
pub struct Chain {
    from: Sequence,
    /// The last row that was read: of an entry, or of the one before the first.
    last: Option<Head>,
    pub entries: Vec<Entry>,
}

impl Chain {
    pub fn from(from: Sequence) -> Chain {
        Chain { from, last: None, entries: Vec::new() }
    }

    /// The place of the row to read next.
    pub fn next_row(&self) -> Sequence {
        match self.last {
            Some(head) => head.sequence + 1,
            None => self.from.saturating_sub(1).max(1),
        }
    }

    /// Takes the next row.
    ///
    /// Errors: [`StoreError::Damaged`] where it does not follow.
    pub fn take(&mut self, row: &Row, head: &HeadRow, place: &str) -> Result<(), StoreError> {
        let expected = self.next_row();
        let wrong = |what: String| StoreError::Damaged { place: format!("{place}, entry {expected}"), what };
        let read = read(row, head.store, self.last).map_err(|_| wrong("the entry cannot be read".into()))?;
        let (entry, hash) = read.ok_or_else(|| wrong("the entry cannot be read".into()))?;
        if entry.header.sequence != expected {
            return Err(wrong("the entry is missing".into()));
        }
        let has_before = self.last.is_some() || expected == 1;
        if has_before && entry.hash() != hash {
            return Err(wrong("the entry is not the one that was written: its hash is another".into()));
        }
        self.last = Some(Head { sequence: expected, hash });
        if expected >= self.from {
            self.entries.push(entry);
        }
        Ok(())
    }

    /// Whether what was read goes as far as the head said before.
    ///
    /// Errors: [`StoreError::Damaged`].
    pub fn reaches(&self, head: &HeadRow, place: &str) -> Result<(), StoreError> {
        let end = head.head;
        if self.next_row() <= end.sequence {
            let what = format!("the log ends before entry {}, and its head is entry {}", self.next_row(), end.sequence);
            return Err(StoreError::Damaged { place: place.into(), what });
        }
        let at_head = end.sequence.checked_sub(self.from).and_then(|at| self.entries.get(usize::try_from(at).ok()?));
        match at_head {
            Some(entry) if entry.hash() != end.hash => {
                let what = "the head of the log names another entry than there is".into();
                Err(StoreError::Damaged { place: format!("{place}, entry {}", end.sequence), what })
            }
            _ => Ok(()),
        }
    }
}

/// What can be read of a log that may be damaged.
pub struct Walk {
    store: StoreId,
    /// By place, of entries that are proved.
    hashes: BTreeMap<Sequence, Digest>,
    pub next: Sequence,
    pub found: Salvage,
}

impl Walk {
    /// `known` is a log that is whole, such as a backup of it: entries behind it are proved by its hashes.
    pub fn new(store: StoreId, known: &[Entry]) -> Walk {
        let hashes = known.iter().map(|entry| (entry.header.sequence, entry.hash())).collect();
        Walk { store, hashes, next: 1, found: Salvage::default() }
    }

    pub fn take(&mut self, row: &Row) {
        let Ok(sequence) = row.try_get::<_, i64>(0).map(i64::cast_unsigned) else { return };
        self.next = sequence.saturating_add(1);
        let before = match sequence {
            1 => Some(Head { sequence: 0, hash: Head::NONE }),
            _ => self.hashes.get(&(sequence - 1)).map(|hash| Head { sequence: sequence - 1, hash: *hash }),
        };
        let Ok(Some((entry, hash))) = read(row, self.store, before) else { return };
        match before.is_some() && entry.hash() == hash {
            true => {
                self.hashes.insert(sequence, hash);
                self.found.proved.push(entry);
            }
            false => self.found.unproved.push(entry),
        }
    }
}

/// The entry of a row and the hash that was written beside it. The hash of one whose predecessor is not known says nothing.
fn read(row: &Row, store: StoreId, before: Option<Head>) -> Result<Option<(Entry, Digest)>, tokio_postgres::Error> {
    let body = Bytes::copy_from_slice(row.try_get(8)?);
    let Some(hash) = digest(row.try_get(1)?) else { return Ok(None) };
    let header = Header {
        format: format(row.try_get(2)?, row.try_get(3)?),
        store,
        sequence: row.try_get::<_, i64>(0)?.cast_unsigned(),
        epoch: row.try_get::<_, i64>(4)?.cast_unsigned(),
        run: row.try_get::<_, i64>(5)?.cast_unsigned(),
        time_ms: row.try_get(6)?,
        kind: row.try_get(7)?,
        previous: before.map_or(Head::NONE, |head| head.hash),
        body: Digest::of(&body),
    };
    Ok(Some((Entry { header, body }, hash)))
}
