//! One run's right to write.

use std::sync::Arc;

use super::contract::Sequence;
use super::log::{Body, Revision};
use super::view::{OpenIntent, View};
use crate::model::Diagnostic;

/// A run that holds its addresses. Cheap to clone; all clones are one run. The lease ends with [`Run::finish`], with
/// [`Run::release`], or, for whoever comes next, with the process.
#[derive(Clone)]
pub struct Run {
    view: Arc<View>,
}

impl Run {
    /// Its number.
    pub fn number(&self) -> u64 {
        self.view.run
    }

    /// The view as of the last append of this run; a snapshot that does not change.
    pub fn view(&self) -> Arc<View> {
        self.view.clone()
    }

    /// Calls that earlier runs left open and this run has leased: they are settled before anything else.
    pub fn unsettled(&self) -> Vec<Arc<OpenIntent>> {
        self.view.open.values().cloned().collect()
    }

    /// Appends, durable before it returns, and gives the place of each. Entries of other runs may lie between earlier ones and these.
    pub async fn append(&self, bodies: Vec<Body>) -> Result<Vec<Sequence>, Box<Diagnostic>> {
        let _ = bodies;
        Err(super::not_yet())
    }

    /// Appends the revision and gives the addresses back; the answer is the revision's number.
    pub async fn finish(&self, revision: Revision) -> Result<u64, Box<Diagnostic>> {
        let _ = revision;
        Err(super::not_yet())
    }

    /// Gives the addresses back without a revision: nothing was changed.
    pub async fn release(&self) -> Result<(), Box<Diagnostic>> {
        Err(super::not_yet())
    }
}
