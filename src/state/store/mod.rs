//! Where logs are kept.

pub mod embedded;
mod follows;
pub mod memory;

#[cfg(test)]
mod promises;
