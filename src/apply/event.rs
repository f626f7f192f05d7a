//! What happens during an apply, for the screen and the event stream.

use std::time::Duration;

use super::recover::Recovered;
use crate::model::{Address, Diagnostic};
use crate::plan::Half;

/// One step of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepName {
    /// Place in the plan's changes.
    pub change: u32,
    pub half: Half,
    pub address: Address,
    /// `create`, `update`, `replace`, `destroy`, …: the word of the change.
    pub action: &'static str,
}

/// In the order in which things happen; what is done is durable before it is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// The steps of the run, in the order in which they will probably start, and how long each usually takes.
    Laid {
        steps: Vec<(StepName, Option<Duration>)>,
    },
    /// What became of a call that a run before left open, and that nobody knew of when the plan was made.
    Settled(Recovered),
    Started {
        step: StepName,
        /// How long it usually takes.
        usual: Option<Duration>,
    },
    /// The platform asked to come back later.
    Throttled {
        step: StepName,
        wait: Duration,
    },
    /// A call did not get through, or its answer did not, and is tried or looked for again.
    Retrying {
        step: StepName,
        /// Of the attempt that failed, from 1.
        attempt: u32,
        wait: Duration,
        why: String,
    },
    /// `same`: a value that was not known turned out to be what it was, and no call was needed.
    Done {
        step: StepName,
        took: Duration,
        same: bool,
    },
    Failed {
        step: StepName,
        took: Duration,
        diagnostic: Box<Diagnostic>,
    },
    /// A requirement does not hold, now that what it reads is known.
    Required {
        address: Address,
        diagnostic: Box<Diagnostic>,
    },
    NotStarted {
        step: StepName,
        why: String,
    },
    /// Nothing new starts; this many calls are running.
    Stopping {
        running: usize,
    },
    /// A running call was left behind: what became of it is found out by the next run.
    Abandoned {
        step: StepName,
    },
}
