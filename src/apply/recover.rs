//! What became of calls whose outcome an earlier run did not live to write: settled by looking, before anything else.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Connect;
use super::call::Looked;
use super::journal::Journal;
use super::left_open::{LOOKS, LeftOpen, NO_RECORD, Verdict, happened};
use super::refusal::escaped;
use super::retry::backoff;
use crate::model::{Address, DesiredProvider, Diagnostic, Schemas};
use crate::providers::contract::CallError;
use crate::state::{IntentCall, OpenIntent, Outcome, OutcomeResult, RecordWrite, Settled, Settlement};
use crate::world::World;
use crate::world::guards::{self, Guard};

/// One call that is settled, or that cannot be.
#[derive(Clone, Debug)]
pub struct Recovered {
    pub address: Address,
    /// The word of the change that it was part of.
    pub action: String,
    pub how: Settlement,
    /// For people.
    pub words: String,
}

impl Recovered {
    /// Whether nothing may be done to its address.
    pub fn blocks(&self) -> bool {
        self.how == Settlement::Flagged
    }
}

/// How recovery goes.
#[derive(Clone, Debug)]
pub struct RecoverOptions {
    /// Settings of provider instances, as the program gives them now.
    pub providers: Vec<DesiredProvider>,
}

/// Settles what the journal's run has taken over. Each is looked for on its platform once it would be seen there: what is found
/// is recorded, what is not is closed as absent, and what cannot be told stays open, flagged. All are looked for side by side;
/// the answer is in the order of addresses.
///
/// Errors: the log could not be written.
pub async fn recover(
    journal: &Journal,
    schemas: &Schemas,
    connect: Arc<dyn Connect>,
    world: &World,
    options: &RecoverOptions,
) -> Result<Vec<Recovered>, Box<Diagnostic>> {
    let mut looks = JoinSet::new();
    for open in journal.unsettled() {
        let task = Task {
            call: LeftOpen::reach(open.clone(), schemas, &*connect, &options.providers),
            leaves_until: journal.leaves_until(&open),
            kept: journal.kept_outcome(&open),
            open,
            journal: journal.clone(),
            world: world.clone(),
        };
        looks.spawn(task.settle());
    }
    let mut settled = Vec::new();
    while let Some(done) = looks.join_next().await {
        match done {
            Ok(recovered) => settled.push(recovered?),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }
    settled.sort_by(|a, b| a.address.cmp(&b.address));
    Ok(settled)
}

struct Task {
    open: Arc<OpenIntent>,
    /// The words say why its platform cannot be reached.
    call: Result<LeftOpen, String>,
    /// Until when, by our clock, a byte of it may still leave.
    leaves_until: Duration,
    /// What came of it, as this machine has kept it since the store did not take it.
    kept: Option<Outcome>,
    journal: Journal,
    world: World,
}

impl Task {
    async fn settle(self) -> Result<Recovered, Box<Diagnostic>> {
        let (how, writes, words) = match &self.call {
            Err(why) => (Settlement::Flagged, Vec::new(), why.clone()),
            Ok(call) => {
                let looked = self.with_what_was_said_once(self.find_out(call).await);
                match call.verdict(looked, self.is_recorded().await) {
                    Verdict::Happened(writes) => {
                        let (how, words) = happened(call.intent().call);
                        (how, writes, words.to_owned())
                    }
                    Verdict::Again => self.repeat(call).await?,
                    Verdict::Absent => (Settlement::Absent, Vec::new(), "it had not happened".to_owned()),
                    Verdict::CannotTell(words) => (Settlement::Flagged, Vec::new(), words),
                }
            }
        };
        let intent = &self.open.intent;
        let settled = Settled { operation: intent.operation, how, writes, words: words.clone() };
        self.journal.settle(settled).await?;
        Ok(Recovered { address: intent.address.clone(), action: intent.action.to_string(), how, words })
    }

    async fn is_recorded(&self) -> bool {
        self.journal.with_latest(|view| view.records.contains_key(&self.open.intent.address)).await
    }

    /// With what the platform told the run that created it, and shows to nobody else. What it shows goes before.
    fn with_what_was_said_once(&self, looked: Looked) -> Looked {
        let Some(Outcome { result: OutcomeResult::Done { writes }, .. }) = &self.kept else { return looked };
        let intent = &self.open.intent;
        let put = writes.iter().find_map(|write| if let RecordWrite::Put(record) = write { Some(record) } else { None });
        match (looked, put) {
            (Looked::Done(mut answer), Some(record)) if intent.call == IntentCall::Create => {
                for (name, value) in &record.computed {
                    answer.attributes.insert_if_missing(name, || value.clone());
                }
                Looked::Done(answer)
            }
            (looked, _) => looked,
        }
    }

    /// Looks once it is certain what there is to see; at once where it is known to have been answered.
    async fn find_out(&self, call: &LeftOpen) -> Looked {
        if !guards::stands(Guard::Find) {
            return Looked::NotDone;
        }
        let wait = call.certain_in(self.leaves_until.saturating_sub(self.world.clock.elapsed()));
        if call.counts_at_once(self.open.writer_gone || self.kept.is_some()) && !wait.is_zero() {
            let looked = call.look(&self.world).await;
            if matches!(looked, Looked::Done(_)) {
                return looked;
            }
        }
        self.world.clock.sleep(wait).await;
        call.look(&self.world).await
    }

    /// Sends the same call under the same token, until an answer comes and nothing that was sent is under way any more.
    async fn repeat(&self, left: &LeftOpen) -> Result<(Settlement, Vec<RecordWrite>, String), Box<Diagnostic>> {
        let Some(call) = left.call() else {
            return Ok((Settlement::Flagged, Vec::new(), NO_RECORD.to_owned()));
        };
        let (mut words, mut arrives_until) = (String::new(), Duration::ZERO);
        let clock = &*self.world.clock;
        for attempt in 1..=LOOKS {
            self.journal.attempt(self.open.intent.operation, "sent again by recovery".to_owned()).await?;
            match left.connection.perform(&call).await {
                Ok(answer) => {
                    clock.sleep(arrives_until.saturating_sub(clock.elapsed())).await;
                    let writes = left.writes(&answer, self.is_recorded().await);
                    return Ok((Settlement::Repeated, writes, "it was sent again, and is recorded now".to_owned()));
                }
                Err(error @ CallError::Refused { .. }) if arrives_until.is_zero() => {
                    let words = format!("it had not happened, and is refused now: {}", escaped(&error.to_string()));
                    return Ok((Settlement::Absent, Vec::new(), words));
                }
                Err(error) => {
                    if matches!(error, CallError::OutcomeUnknown(_)) {
                        arrives_until = clock.elapsed() + left.connection.delays().transit;
                    }
                    words = format!("sending it again failed: {}", escaped(&error.to_string()));
                }
            }
            self.world.clock.sleep(backoff(attempt, None, &self.world)).await;
        }
        Ok((Settlement::Flagged, Vec::new(), words))
    }
}
