//! Questions asked of the log: what happened, who did it, where it came from, and whether the log is whole.
//!
//! Answers are plain data; the faces render them. Values keep their marks, so that a secret stays one on the way out.

mod anchor;
mod blame;
mod chain;
mod changes;
mod history;
mod verify;

#[cfg(test)]
mod tests;

pub use crate::state::log::Revealed;
pub use crate::state::sign::AllowedSigner;
pub use anchor::{Anchor, THIS_MACHINE, written};
pub use blame::{Blame, blame};
pub use chain::Trust;
pub(crate) use changes::field_diffs;
pub use changes::{CallMade, Changed, FieldDiff, OutputDiff, RevisionDetail, diff, show};
pub use history::{Happening, Past, addresses, happenings, history};
pub use verify::{Check, Finding, Verification, verify_entries, verify_log, verify_read};
