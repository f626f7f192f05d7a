//! What the entries of the log mean, and their bytes.

pub mod entry;

pub use entry::*;
