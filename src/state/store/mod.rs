//! Where logs are kept.

pub mod embedded;
mod follows;
pub mod memory;

#[cfg(test)]
pub(in crate::state) mod promises;
