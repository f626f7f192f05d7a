//! `--only`: globs over addresses.

pub use crate::model::glob::matches;
