//! Where logs are kept.

pub mod embedded;
mod follows;
pub mod memory;
pub mod patience;
pub mod postgres;
pub mod promises;
pub mod s3;
pub(in crate::state) mod snapshot;

use super::contract::{Entry, StoreError};

/// Bytes of bodies.
fn bytes_of(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.body.len()).sum()
}

/// All that was asked for, where nothing of it is damaged.
fn whole((entries, damage): (Vec<Entry>, Option<StoreError>)) -> Result<Vec<Entry>, StoreError> {
    damage.map_or(Ok(entries), Err)
}
