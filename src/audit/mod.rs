//! Questions asked of the log: what happened, who did it, where it came from, and whether the log is whole.
//!
//! Answers are plain data; the faces render them. Values keep their marks, so that a secret stays one on the way out.

mod blame;
mod changes;
mod history;
mod verify;

#[cfg(test)]
mod tests;

pub use crate::state::log::Revealed;
pub use blame::{Blame, blame};
pub use changes::{CallMade, Changed, FieldDiff, OutputDiff, RevisionDetail, diff, show};
pub use history::{Past, addresses, history};
pub use verify::{Check, Finding, Verification, verify};
