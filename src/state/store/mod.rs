//! Where logs are kept.

pub mod embedded;
mod follows;
pub mod memory;
pub mod patience;
pub mod postgres;
pub mod promises;
pub mod s3;

use super::contract::{Entry, StoreError};

/// All that was asked for, where nothing of it is damaged.
fn whole((entries, damage): (Vec<Entry>, Option<StoreError>)) -> Result<Vec<Entry>, StoreError> {
    damage.map_or(Ok(entries), Err)
}
