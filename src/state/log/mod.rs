//! What the entries of the log mean, and their bytes.

pub mod entry;
mod object;
pub(in crate::state) mod record;
pub(in crate::state) mod wire;

pub use entry::*;
pub(in crate::state) use object::Object;
