//! Plan in, calls and records out.

pub mod journal;

pub use journal::Journal;
