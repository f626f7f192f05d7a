//! Whether entries follow one another: asked of what is to be appended, and of what a store gives back.

use crate::model::Digest;
use crate::state::contract::{Entry, FORMAT, Head, StoreError};

/// That entries follow `expected` and one another, with the hashes and the format that they claim. Gives the end.
pub fn check_follows(expected: Option<Head>, entries: &[Entry]) -> Result<Head, StoreError> {
    let mut end = expected;
    for entry in entries {
        let header = &entry.header;
        let (sequence, previous) = end.map_or((1, Head::NONE), |head| (head.sequence + 1, head.hash));
        let fits = header.sequence == sequence
            && header.previous == previous
            && header.body == Digest::of(&entry.body)
            && header.format == FORMAT
            && header.store == entries[0].header.store
            && header.kind.len() < 256;
        if !fits {
            return Err(StoreError::Misuse(format!("entry {} does not follow the one before", header.sequence)));
        }
        end = Some(entry.head());
    }
    match end {
        Some(end) if !entries.is_empty() => Ok(end),
        _ => Err(StoreError::Misuse("nothing to append".into())),
    }
}
