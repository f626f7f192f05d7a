//! The bytes of a snapshot as stores keep it, and as a backup carries it: packed, with the place that it was taken at.

use bytes::Bytes;

use crate::model::Digest;
use crate::state::contract::{Head, Snapshot};

const MAGIC: &[u8; 8] = b"SWSNAP\0\x01";
const HEADER: usize = 8 + 8 + 32 + 32 + 8;

/// `magic  sequence u64  hash [32]  SHA-256 of the rest [32]  unpacked u64`, then the bytes packed with LZ4.
pub(in crate::state) fn snapshot_bytes(snapshot: &Snapshot) -> Vec<u8> {
    let packed = lz4_flex::block::compress(&snapshot.bytes);
    let mut out = Vec::with_capacity(HEADER + packed.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&snapshot.head.sequence.to_le_bytes());
    out.extend_from_slice(&snapshot.head.hash.0);
    out.extend_from_slice(&Digest::of(&packed).0);
    out.extend_from_slice(&(snapshot.bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(&packed);
    out
}

pub(in crate::state) fn read_snapshot(bytes: &[u8]) -> Option<Snapshot> {
    let (header, packed) = bytes.split_at_checked(HEADER)?;
    let (magic, rest) = header.split_at(8);
    let (sequence, rest) = rest.split_at(8);
    let (hash, rest) = rest.split_at(32);
    let (digest, length) = rest.split_at(32);
    let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
    let believable = length <= packed.len().saturating_mul(255).saturating_add(16);
    if magic != MAGIC || Digest::of(packed).0 != digest || !believable {
        return None;
    }
    let whole = lz4_flex::block::decompress(packed, length).ok()?;
    let head = Head { sequence: u64::from_le_bytes(sequence.try_into().ok()?), hash: Digest(hash.try_into().ok()?) };
    Some(Snapshot { head, bytes: Bytes::from(whole) })
}

/// For [`crate::state::decoders`]: a container whose checksum is made to fit.
pub(in crate::state) fn read_snapshot_for_tests(data: &[u8]) -> bool {
    let mut bytes = data.to_vec();
    if let Some((header, packed)) = bytes.split_at_mut_checked(HEADER) {
        header[..8].copy_from_slice(MAGIC);
        header[48..80].copy_from_slice(&Digest::of(packed).0);
    }
    read_snapshot(&bytes).is_some()
}
