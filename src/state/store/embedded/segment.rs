//! The bytes of a segment file: a header, then frames. A frame is what one append wrote, whole or not at all.
//!
//! ```text
//! header  "SWLG"  major u16  minor u16  store [16]  first u64  previous [32]  crc u32                            68 bytes
//! frame   "SWFR"  major u16  minor u16  packing u8  stored u32  whole u32  first u64  count u32  hash [32]  crc u32  65 bytes
//!         then `stored` bytes: entries, packed with LZ4 where `packing` is 1
//! entry   kind (length u8)  epoch, run (varint)  time i64  body (length varint)
//! ```
//!
//! Numbers are little endian. `hash` is the hash of the frame's last entry, so that the chain can be checked against the file;
//! the CRC covers the rest of the frame, payload included. What follows from the place (store, sequence, hashes) is not written.

use bytes::Bytes;

use crate::model::Digest;
use crate::state::contract::{Entry, Format, Head, Header, Sequence, StoreId};

pub const HEADER: usize = 68;
pub const FRAME: usize = 65;
const HEADER_MAGIC: &[u8; 4] = b"SWLG";
const FRAME_MAGIC: &[u8; 4] = b"SWFR";
/// The largest frame that is read, unpacked. An append of more is refused.
pub const WHOLE_MAX: usize = 256 << 20;
const BEGINNINGS_MAX: usize = 1000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    pub format: Format,
    pub store: StoreId,
    pub first: Sequence,
    /// Hash of the entry before the first.
    pub previous: Digest,
}

impl SegmentHeader {
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(HEADER_MAGIC);
        out.extend_from_slice(&self.format.major.to_le_bytes());
        out.extend_from_slice(&self.format.minor.to_le_bytes());
        out.extend_from_slice(&self.store.0);
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.previous.0);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out
    }

    pub fn parse(bytes: &[u8]) -> Option<SegmentHeader> {
        let bytes = bytes.get(..HEADER)?;
        let mut input = Input { bytes };
        let valid =
            input.array::<4>()? == *HEADER_MAGIC && crc32fast::hash(&bytes[..HEADER - 4]).to_le_bytes() == bytes[HEADER - 4..];
        valid.then_some(())?;
        Some(SegmentHeader {
            format: Format { major: u16::from_le_bytes(input.array()?), minor: u16::from_le_bytes(input.array()?) },
            store: StoreId(input.array()?),
            first: u64::from_le_bytes(input.array()?),
            previous: Digest(input.array()?),
        })
    }
}

/// A frame that was found whole.
pub struct Frame<'b> {
    pub format: Format,
    pub first: Sequence,
    pub count: u32,
    pub hash: Digest,
    packed: bool,
    whole: usize,
    stored: &'b [u8],
}

impl<'b> Frame<'b> {
    /// The frame at the beginning of `bytes`, and how long it is.
    pub fn parse(bytes: &'b [u8]) -> Option<(Frame<'b>, usize)> {
        let head = bytes.get(..FRAME)?;
        let mut input = Input { bytes: head };
        (input.array::<4>()? == *FRAME_MAGIC).then_some(())?;
        let format = Format { major: u16::from_le_bytes(input.array()?), minor: u16::from_le_bytes(input.array()?) };
        let packed = match input.array::<1>()?[0] {
            0 => false,
            1 => true,
            _ => return None,
        };
        let stored = u32::from_le_bytes(input.array()?) as usize;
        let whole = u32::from_le_bytes(input.array()?) as usize;
        let first = u64::from_le_bytes(input.array()?);
        let count = u32::from_le_bytes(input.array()?);
        let hash = Digest(input.array()?);
        let crc = u32::from_le_bytes(input.array()?);
        let length = FRAME.checked_add(stored)?;
        let stored = bytes.get(FRAME..length)?;
        let mut actual = crc32fast::Hasher::new();
        actual.update(&head[..FRAME - 4]);
        actual.update(stored);
        // LZ4 makes at most 255 bytes of one.
        let believable = whole <= WHOLE_MAX && whole <= stored.len().saturating_mul(255).saturating_add(16);
        let fits = believable && count > 0 && actual.finalize() == crc;
        fits.then_some((Frame { format, first, count, hash, packed, whole, stored }, length))
    }

    pub fn last(&self) -> Sequence {
        self.first.saturating_add(u64::from(self.count) - 1)
    }

    /// Its entries, where they follow `before` and lead to the frame's hash.
    pub fn entries(&self, store: StoreId, before: Digest) -> Option<Vec<Entry>> {
        self.entries_unproved_after(store, before).filter(|it| it.last().is_some_and(|last| last.hash() == self.hash))
    }

    /// Its entries, whatever came before them: what they say can be read, and their hashes mean nothing.
    pub fn entries_unproved(&self, store: StoreId) -> Option<Vec<Entry>> {
        self.entries_unproved_after(store, Head::NONE)
    }

    fn entries_unproved_after(&self, store: StoreId, before: Digest) -> Option<Vec<Entry>> {
        let whole = match self.packed {
            false => Bytes::copy_from_slice(self.stored),
            true => Bytes::from(lz4_flex::block::decompress(self.stored, self.whole).ok()?),
        };
        (whole.len() == self.whole).then_some(())?;
        let mut input = Input { bytes: &whole };
        let mut head = Head { sequence: self.first.checked_sub(1)?, hash: before };
        let mut entries = Vec::with_capacity(self.count.min(4096) as usize);
        for _ in 0..self.count {
            let length = input.array::<1>()?[0];
            let kind = std::str::from_utf8(input.take(length.into())?).ok()?.to_owned();
            let (epoch, run) = (input.varint()?, input.varint()?);
            let time_ms = i64::from_le_bytes(input.array()?);
            let length = usize::try_from(input.varint()?).ok()?;
            let body = whole.slice_ref(input.take(length)?);
            let header = Header {
                format: self.format,
                store,
                sequence: head.sequence.checked_add(1)?,
                epoch,
                run,
                time_ms,
                kind,
                previous: head.hash,
                body: Digest::of(&body),
            };
            let entry = Entry { header, body };
            head = entry.head();
            entries.push(entry);
        }
        input.bytes.is_empty().then_some(entries)
    }
}

/// The bytes of one append. `None` where it is too large to be read back.
pub fn frame(entries: &[Entry]) -> Option<Vec<u8>> {
    let (first, last) = (entries.first()?, entries.last()?);
    let mut whole = Vec::with_capacity(entries.iter().map(|entry| entry.body.len() + 32).sum());
    for entry in entries {
        whole.push(u8::try_from(entry.header.kind.len()).ok()?);
        whole.extend_from_slice(entry.header.kind.as_bytes());
        varint(&mut whole, entry.header.epoch);
        varint(&mut whole, entry.header.run);
        whole.extend_from_slice(&entry.header.time_ms.to_le_bytes());
        varint(&mut whole, entry.body.len() as u64);
        whole.extend_from_slice(&entry.body);
    }
    (whole.len() <= WHOLE_MAX).then_some(())?;
    let packed = lz4_flex::block::compress(&whole);
    let packs = packed.len() < whole.len();
    let stored = if packs { &packed } else { &whole };
    let mut out = Vec::with_capacity(FRAME + stored.len());
    out.extend_from_slice(FRAME_MAGIC);
    out.extend_from_slice(&first.header.format.major.to_le_bytes());
    out.extend_from_slice(&first.header.format.minor.to_le_bytes());
    out.push(packs.into());
    out.extend_from_slice(&u32::try_from(stored.len()).ok()?.to_le_bytes());
    out.extend_from_slice(&u32::try_from(whole.len()).ok()?.to_le_bytes());
    out.extend_from_slice(&first.header.sequence.to_le_bytes());
    out.extend_from_slice(&u32::try_from(entries.len()).ok()?.to_le_bytes());
    out.extend_from_slice(&last.hash().0);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&out);
    crc.update(stored);
    out.extend_from_slice(&crc.finalize().to_le_bytes());
    out.extend_from_slice(stored);
    Some(out)
}

/// Where the next whole frame begins, at `from` or later.
pub fn next_frame(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let starts = rest.windows(FRAME_MAGIC.len()).enumerate().filter(|(_, window)| window == FRAME_MAGIC);
    starts.map(|(at, _)| from + at).find(|at| Frame::parse(&bytes[*at..]).is_some())
}

/// Whether a whole frame begins anywhere after the first byte. Where there are very many beginnings, it is taken for granted.
pub fn has_later_frame(bytes: &[u8]) -> bool {
    let starts = bytes.windows(FRAME_MAGIC.len()).enumerate().skip(1).filter(|(_, window)| window == FRAME_MAGIC);
    starts.enumerate().any(|(nth, (at, _))| nth >= BEGINNINGS_MAX || Frame::parse(&bytes[at..]).is_some())
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

struct Input<'b> {
    bytes: &'b [u8],
}

impl<'b> Input<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// At most ten bytes, the shortest form only.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.array::<1>()?[0];
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return (byte != 0 || shift == 0).then_some(number);
            }
        }
        None
    }
}
