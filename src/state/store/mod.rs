//! Where logs are kept.

pub mod embedded;
pub mod memory;

#[cfg(test)]
mod promises;
