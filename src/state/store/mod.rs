//! Where logs are kept.

pub mod embedded;
mod follows;
pub mod memory;
pub mod patience;
pub mod postgres;
pub mod promises;
pub mod s3;
