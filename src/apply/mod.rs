//! Plan in, calls and records out.
//!
//! [`apply`] makes what a plan says. A dispatcher (`dispatch`) owns the order, the signals and the events; tasks that it starts
//! (`perform`) own the calls; between them go jobs and results, no shared memory. Each call is written down twice: the intent is
//! durable before it leaves, its outcome before anyone hears of it. [`recover`] finds out what became of calls whose outcome an
//! earlier run did not live to write.
//!
//! Knows two contracts and no store or platform by name. Leases, plans and revisions are made by whoever calls.

mod call;
mod dispatch;
mod event;
mod foresee;
mod gate;
pub mod journal;
mod left_open;
mod outcome;
mod perform;
mod prepare;
mod record;
mod recover;
mod refusal;
mod retry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

pub use event::{Event, StepName};
pub use foresee::{Outlook, foresee, held_back};
pub use journal::Journal;
pub use outcome::{Failure, NotStarted, Outcome};
pub use recover::{RecoverOptions, Recovered, recover};

use crate::model::{Address, DesiredProvider, Diagnostic, Digest, Plan, Sources, Value};
use crate::providers::contract::Connection;
use crate::state::View;
use crate::world::World;

/// Makes connections to provider instances, each when it is first needed.
pub trait Connect: Send + Sync {
    /// Settings are known. Errors: those of [`crate::providers::contract::Provider::connect`].
    fn connect(&self, provider: &DesiredProvider) -> Result<Arc<dyn Connection>, Box<Diagnostic>>;
}

impl<F> Connect for F
where
    F: Fn(&DesiredProvider) -> Result<Arc<dyn Connection>, Box<Diagnostic>> + Send + Sync,
{
    fn connect(&self, provider: &DesiredProvider) -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
        self(provider)
    }
}

/// What a person at the keyboard, or a runner, wants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Stop {
    #[default]
    No,
    /// The first signal: nothing new starts, running calls get [`ApplyOptions::grace`].
    Finish,
    /// The second: leave at once.
    Leave,
}

/// Everything that an apply gets from outside.
#[derive(Clone)]
pub struct Surroundings {
    pub journal: Journal,
    pub connect: Arc<dyn Connect>,
    pub world: World,
    /// Texts of the program, to write down where a value came from.
    pub sources: Arc<Sources>,
    /// The keyed digest of a secret, as the plan was made with.
    pub digest: Arc<dyn Fn(&Value) -> Digest + Send + Sync>,
    pub events: mpsc::UnboundedSender<Event>,
    pub stop: watch::Receiver<Stop>,
}

#[derive(Clone, Debug)]
pub struct ApplyOptions {
    /// How many steps run at once, over all providers; each provider's own budget holds besides.
    pub parallel: usize,
    /// How long running calls get after the first signal.
    pub grace: Duration,
    /// Addresses that an earlier run left in a state nobody knows, with the words for it: nothing is done to them.
    pub blocked: BTreeMap<Address, String>,
}

impl Default for ApplyOptions {
    fn default() -> ApplyOptions {
        ApplyOptions { parallel: 256, grace: Duration::from_secs(10), blocked: BTreeMap::new() }
    }
}

/// Applies a plan. The journal's run holds leases on what it writes, the plan fits the records, and what was open is settled.
///
/// Never fails as a whole: the outcome says what was done, what failed and why, and what was not started. Dropping the future
/// abandons running calls without a word, as a kill would: an open intent is the mark.
pub async fn apply(plan: &Plan, surroundings: Surroundings, options: &ApplyOptions) -> Outcome {
    // As of now: what recovery has just settled is in it.
    let view = Arc::new(surroundings.journal.with_latest(View::clone).await);
    dispatch::run(plan, view, surroundings, options).await
}
