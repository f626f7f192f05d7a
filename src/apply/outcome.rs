//! What became of a run.

use std::collections::BTreeMap;

use crate::model::{Address, Diagnostic, Fields, Name};
use crate::state::RunResult;

#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Places of changes that are made completely, ascending.
    pub done: Vec<u32>,
    pub failed: Vec<Failure>,
    pub not_started: Vec<NotStarted>,
    /// Addresses of calls that were running when the run was left, or whose outcome is not known: their intents are open.
    pub open: Vec<Address>,
    /// A signal ended it.
    pub interrupted: bool,
    /// The log could not be written: nothing more was started after that.
    pub broken: Option<Box<Diagnostic>>,
    /// All outputs of the stack, as they are now.
    pub outputs: Fields,
    /// Done changes by word.
    pub counts: BTreeMap<Name, u32>,
}

#[derive(Clone, Debug)]
pub struct Failure {
    /// Place in the plan's changes.
    pub change: u32,
    pub address: Address,
    pub diagnostic: Diagnostic,
}

#[derive(Clone, Debug)]
pub struct NotStarted {
    /// Place in the plan's changes.
    pub change: u32,
    pub address: Address,
    /// Such as ``it waits for `x`, which failed``.
    pub why: String,
}

impl Outcome {
    /// Whether everything that was planned is done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.not_started.is_empty() && self.open.is_empty() && self.broken.is_none()
    }

    /// Keeps the first that is said of a log that cannot be written, with the notes of whoever comes after it: each may have kept
    /// something on this machine.
    pub(super) fn log_broke(&mut self, diagnostic: Box<Diagnostic>) {
        let Some(first) = &mut self.broken else {
            self.broken = Some(diagnostic);
            return;
        };
        let more = diagnostic.notes.into_iter().filter(|note| !first.notes.contains(note)).collect::<Vec<_>>();
        first.notes.extend(more);
    }

    /// As the run's revision says it.
    pub fn result(&self) -> RunResult {
        match () {
            () if self.interrupted && !self.is_complete() => RunResult::Interrupted,
            () if self.is_complete() => RunResult::Done,
            () if self.done.is_empty() && self.open.is_empty() => RunResult::Failed,
            () => RunResult::PartWay,
        }
    }
}
