//! Everything in this room that reads bytes, by itself: for tests that give it hostile ones. Each ends soon, in bounded memory, with
//! a number that tells apart what is treated differently. Checksums are made to fit first, since whoever means harm makes them fit.

use super::contract::{Head, StoreId};
use super::log::wire::decode;
use super::sign::{KeyError, SigningKey, allowed_signers};
use super::store::embedded;
use super::view::{View, snapshot};
use super::{Blind, contract};
use crate::model::Digest;
use crate::model::wire::{Reading, Wire};

/// Entries, one a line: kind, blank, body. Those that can be read are folded, as runs of theirs.
pub fn bodies(data: &[u8]) -> u64 {
    let mut reading = Reading::new(Wire::sealed(&Blind));
    let mut view = View::default();
    let (mut read, mut refused) = (0u64, 0u64);
    let mut run = 0;
    let mut epoch = 0;
    for (at, line) in data.split(|byte| *byte == b'\n').enumerate().take(1000) {
        let Some(blank) = line.iter().position(|byte| *byte == b' ') else { continue };
        let Ok(kind) = std::str::from_utf8(&line[..blank]) else { continue };
        match decode(kind, &line[blank + 1..], &view, &mut reading) {
            Err(_) => refused += 1,
            Ok(body) => {
                read += 1;
                let sequence = at as u64 + 1;
                if let super::Body::Lease(lease) = &body {
                    (run, epoch) = (lease.run, sequence);
                }
                let header = contract::Header {
                    format: contract::FORMAT,
                    store: StoreId([7; 16]),
                    sequence,
                    epoch: if kind == "lease" { 0 } else { epoch },
                    run,
                    time_ms: 0,
                    kind: kind.to_owned(),
                    previous: Head::NONE,
                    body: Head::NONE,
                };
                view.fold(&header, Head { sequence, hash: Head::NONE }, body);
            }
        }
    }
    // What was folded can be written down, and read back to the same.
    if view.genesis.is_some()
        && let Ok(bytes) = snapshot::write(&view, &snapshot::Fingerprints)
        && let Some(head) = view.head
        && let Ok(again) = snapshot::read(head, &bytes, Wire::sealed(&Blind))
    {
        assert_eq!(again.records.len(), view.records.len(), "a snapshot holds what was folded");
        assert_eq!(again.signers, view.signers, "a snapshot holds what was folded");
    }
    let kinds = (view.records.len().min(7), view.open.len().min(3), view.void.len().min(7), view.active.len().min(3));
    read.min(40) * 41 + refused.min(40) + ((kinds.0 + 8 * kinds.1 + 32 * kinds.2 + 256 * kinds.3) as u64) * 4096
}

/// A segment of the embedded store's log.
pub fn segment(data: &[u8]) -> u64 {
    embedded::read_segment_for_tests(data)
}

/// One of the two slots of its head file.
pub fn head(data: &[u8]) -> u64 {
    u64::from(embedded::read_head_for_tests(data))
}

/// The container of a snapshot, and what is in it.
pub fn snapshot(data: &[u8]) -> u64 {
    let container = u64::from(super::store::snapshot::read_snapshot_for_tests(data));
    let head = Head { sequence: 9, hash: Digest([1; 32]) };
    match snapshot::read(head, data, Wire::sealed(&Blind)) {
        Err(_) => container,
        Ok(view) => 2 + container + view.records.len().min(9) as u64 * 4 + view.open.len().min(3) as u64 * 64,
    }
}

/// The file of a state's data keys.
pub fn key_file(data: &[u8]) -> u64 {
    super::crypt::read_key_file_for_tests(data)
}

/// A private key that signs, a public one, and a file of signers.
pub fn signing(data: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(data);
    let private = match SigningKey::read(data, || None) {
        Ok(_) => 1,
        Err(KeyError::NotAKey) => 2,
        Err(KeyError::Public) => 3,
        Err(KeyError::Algorithm(_)) => 4,
        Err(KeyError::NeedsPassphrase) => 5,
        Err(KeyError::WrongPassphrase) => 6,
    };
    let signers = match allowed_signers(&text) {
        Ok(signers) => signers.len().min(5) as u64,
        Err(line) => 6 + line.min(5) as u64,
    };
    private * 16 + signers
}
