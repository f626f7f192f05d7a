//! Planning: what should exist and what is known go in, what will be done and why comes out.
//!
//! A pure function: no clock, file, socket or chance, and equal inputs give a plan of equal bytes. Looking at platforms is left to
//! others: [`refresh`] says what to look at and sorts the answers into a [`crate::model::Seen`]. Resources are walked in the
//! order of their edges, so that a value made from an attribute that stays is known before whoever uses it is compared.
//!
//! [`decide`] is the heart: one resource, what state and the platform hold of it, and the action that follows.

pub mod adopt;
mod alike;
mod decide;
pub mod diff;
pub mod effects;
pub mod file;
mod fits;
mod guard;
mod moves;
mod only;
mod order;
pub mod refresh;
mod require;
mod standing;
mod start;
pub mod steps;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Address, Digest, Fields, Foreseen, Record, Schemas, Seen, Sources, Value};

pub use decide::{record_edges, would_replace};
pub use effects::{elsewhere_digest, record_digest};
pub use fits::{Present, check_fits, moved_on, planned};
pub use guard::{Loss, lift_help, refuse_guarded};
pub use only::matches;
pub use refresh::{Look, looks};
pub use require::{Judged, judge};
pub use start::start;
pub use steps::{Half, Steps, steps};

/// What is known when a plan is made.
pub struct Known<'a> {
    /// The store's id: a plan for one store is none for another.
    pub store: &'a str,
    /// The last revision of the state.
    pub base: Option<u64>,
    /// By their address.
    pub records: &'a BTreeMap<Address, Arc<Record>>,
    /// Objects of replacements that created first and whose destroy is still owed, by the address that they had.
    pub deposed: &'a BTreeMap<Address, Vec<Arc<Record>>>,
    /// Outputs as they were last applied.
    pub outputs: &'a Fields,
    /// What is taken to have become of calls that interrupted runs left open; the records are as they are then.
    pub foreseen: &'a [Foreseen],
    /// What platforms report; empty for a plan from records alone.
    pub seen: &'a Seen,
    pub schemas: &'a Schemas,
    /// The program's texts, to write down where a resource is declared.
    pub sources: &'a Sources,
    /// The keyed digest of a secret.
    pub digest: &'a dyn Fn(&Value) -> Digest,
}

/// What somebody asked for besides.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Globs over addresses; empty for everything. What they match is planned with all that it waits for.
    pub only: Vec<String>,
    /// Resources to replace, or run again, although nothing about them changed.
    pub replace: Vec<Address>,
    /// Destroy everything that is recorded.
    pub destroy: bool,
    /// The clouds are simulated ones.
    pub simulated: bool,
}
