//! One call, until it is known what became of it: sent again while it is certain that this does no harm, looked for where an answer
//! is missing.
//!
//! An attempt whose answer is missing may reach the platform late. So what became of a call is said only once that time is over for
//! every attempt but the one that was seen to be done: nothing that comes after it can be undone by it, and "not found" counts.

use std::time::Duration;

use super::event::{Event, StepName};
use super::perform::{Lane, Performer, Trouble};
use super::prepare::Operation;
use super::refusal::escaped;
use super::retry::{ATTEMPTS_MAX, backoff};
use crate::model::schema::Recovery;
use crate::providers::contract::{Answer, Call, CallError, Found};
use crate::state::{IntentCall, OperationId};
use crate::world::guards::{self, Guard};

/// What a call gets beyond its time before it counts as lost.
const SLACK: Duration = Duration::from_secs(1);

pub enum Settled {
    Done(Answer),
    /// Certainly not done.
    Not(CallError),
    Unknown(String),
}

/// What looking for a call's effect showed.
pub enum Looked {
    Done(Answer),
    NotDone,
    CannotTell(String),
}

impl Looked {
    pub fn from(found: Found, call: IntentCall) -> Looked {
        match (found, call) {
            (Found::Done(answer), _) => Looked::Done(answer),
            (Found::Absent, IntentCall::Delete) => Looked::Done(Answer::default()),
            (Found::Absent | Found::Unchanged, _) => Looked::NotDone,
            (Found::Candidates(candidates), _) => {
                let shown = candidates.iter().take(5).map(|it| escaped(it)).collect::<Vec<_>>().join("; ");
                Looked::CannotTell(format!("it may be one of these: {shown}"))
            }
        }
    }
}

/// The attempts of a call so far.
#[derive(Default)]
struct Tried {
    /// That did not get through, or whose answer did not.
    failed: u32,
    throttled: u32,
    /// Until when, by the monotonic clock, one whose answer is missing may still arrive.
    arrives_until: Option<Duration>,
}

impl Performer {
    /// Calls, and calls again while it is certain that nothing happened; looks where it is not.
    pub(super) async fn call_until_settled(
        &self,
        step: &StepName,
        lane: &Lane,
        operation: &Operation,
        (id, call): (OperationId, &Call),
        deadline: Duration,
    ) -> Result<Settled, Trouble> {
        let mut tried = Tried::default();
        loop {
            let rest = || deadline.saturating_sub(self.world.clock.elapsed());
            // Who has lost its lease can write nothing, and so may send nothing.
            if guards::stands(Guard::LeaseLasts) {
                self.journal.last_for(rest()).await.map_err(Trouble::Broken)?;
            }
            // Its time was over before it could be sent: it comes back as a new operation.
            if rest().is_zero() {
                return Ok(self.conclude(lane, operation, call, &tried, CallError::Throttled { after: None }).await);
            }
            let error = match self.call_once(lane, call, rest()).await {
                Ok(answer) => {
                    lane.gate.succeeded();
                    self.outlast(&tried).await;
                    return Ok(Settled::Done(answer));
                }
                Err(error) => error,
            };
            let wait = match &error {
                CallError::Refused { .. } => {
                    lane.gate.answered();
                    return Ok(self.conclude(lane, operation, call, &tried, error).await);
                }
                CallError::Throttled { after } => {
                    lane.gate.throttled(*after);
                    tried.throttled += 1;
                    let wait = backoff(tried.throttled, *after, &self.world);
                    self.tell(Event::Throttled { step: step.clone(), wait });
                    wait
                }
                CallError::NotSent(why) => {
                    lane.gate.errored();
                    tried.failed += 1;
                    let wait = backoff(tried.failed, None, &self.world);
                    self.tell(Event::Retrying { step: step.clone(), attempt: tried.failed, wait, why: escaped(why) });
                    wait
                }
                CallError::OutcomeUnknown(why) => {
                    lane.gate.errored();
                    tried.failed += 1;
                    let earlier = Tried { ..tried };
                    tried.arrives_until = Some(self.world.clock.elapsed() + lane.connection.delays().transit);
                    match self.look(step, lane, operation, call, tried.failed, why).await {
                        Looked::Done(answer) => {
                            self.outlast(if earlier.arrives_until.is_some() { &tried } else { &earlier }).await;
                            return Ok(Settled::Done(answer));
                        }
                        Looked::NotDone if matches!(operation.kind.recovery, Recovery::Opaque { .. }) => {
                            return Ok(Settled::Not(without_effect(error)));
                        }
                        Looked::NotDone => Duration::ZERO,
                        Looked::CannotTell(words) => return Ok(Settled::Unknown(format!("{why}; {words}"))),
                    }
                }
            };
            let now = self.world.clock.elapsed();
            let is_over = tried.failed >= ATTEMPTS_MAX || now + wait >= deadline;
            let error = match error {
                error if is_over => Err(error),
                CallError::Throttled { .. } => Ok(None),
                CallError::OutcomeUnknown(why) if self.retries.take() => Ok(Some(why)),
                CallError::NotSent(_) if self.retries.take() => Ok(None),
                CallError::OutcomeUnknown(why) => Err(CallError::OutcomeUnknown(self.retries.used_up(&why))),
                CallError::NotSent(why) => Err(CallError::NotSent(self.retries.used_up(&why))),
                error @ CallError::Refused { .. } => Err(error),
            };
            match error {
                Err(error) => return Ok(self.conclude(lane, operation, call, &tried, error).await),
                // Before it is sent again: whoever comes after us has to know that more than one attempt may be under way.
                Ok(Some(why)) if guards::stands(Guard::AttemptFirst) => {
                    self.journal.attempt(id, format!("sent again: {}", escaped(&why))).await.map_err(Trouble::Broken)?
                }
                Ok(_) => {}
            }
            self.world.clock.sleep(wait).await;
            lane.gate.pass().await;
        }
    }

    async fn call_once(&self, lane: &Lane, call: &Call, rest: Duration) -> Result<Answer, CallError> {
        let call = Call { not_after: rest, ..call.clone() };
        tokio::select! {
            biased;
            answer = lane.connection.perform(&call) => answer,
            () = self.world.clock.sleep(rest + SLACK) => {
                Err(CallError::OutcomeUnknown(format!("no answer within {} s", (rest + SLACK).as_secs())))
            }
        }
    }

    /// Finds out what became of a call: waits until it would be seen, then looks. What may be sent again whether or not it arrived
    /// is looked for soon; what must not be, once it is certain.
    async fn look(&self, step: &StepName, lane: &Lane, operation: &Operation, call: &Call, failed: u32, why: &str) -> Looked {
        let recovery = operation.kind.recovery;
        let settle = match recovery {
            Recovery::Tagged { .. } | Recovery::Opaque { .. } if operation.call == IntentCall::Create => {
                lane.connection.delays().settle(recovery)
            }
            _ => Duration::ZERO,
        };
        let mut wait = settle.max(backoff(failed, None, &self.world));
        let mut words = String::new();
        for attempt in 1..=ATTEMPTS_MAX {
            // Its own call failed first; looking goes on counting.
            let attempt_in_all = failed + attempt - 1;
            self.tell(Event::Retrying { step: step.clone(), attempt: attempt_in_all, wait, why: escaped(why) });
            self.world.clock.sleep(wait).await;
            lane.gate.pass().await;
            match lane.connection.find(call).await {
                Ok(found) => {
                    lane.gate.answered();
                    return Looked::from(found, operation.call);
                }
                Err(error) => {
                    lane.gate.errored();
                    words = format!("looking for it failed as well: {error}");
                    wait = backoff(attempt, None, &self.world);
                }
            }
        }
        Looked::CannotTell(words)
    }

    /// Waits until no attempt whose answer is missing can arrive any more.
    async fn outlast(&self, tried: &Tried) {
        let until = tried.arrives_until.filter(|_| guards::stands(Guard::Outlast)).unwrap_or_default();
        self.world.clock.sleep(until.saturating_sub(self.world.clock.elapsed())).await;
    }

    /// The last attempt had no effect. That is what became of the call, unless an earlier one arrives, or arrived unseen.
    async fn conclude(&self, lane: &Lane, operation: &Operation, call: &Call, tried: &Tried, error: CallError) -> Settled {
        if tried.arrives_until.is_none() {
            return Settled::Not(without_effect(error));
        }
        self.outlast(tried).await;
        self.world.clock.sleep(lane.connection.delays().shown_of(operation.kind.recovery)).await;
        let mut words = String::new();
        for attempt in 1..=ATTEMPTS_MAX {
            lane.gate.pass().await;
            match lane.connection.find(call).await {
                Ok(found) => {
                    lane.gate.answered();
                    return match Looked::from(found, operation.call) {
                        Looked::Done(answer) => Settled::Done(answer),
                        Looked::NotDone => Settled::Not(without_effect(error)),
                        Looked::CannotTell(words) => Settled::Unknown(format!("{error}; {words}")),
                    };
                }
                Err(asked) => {
                    lane.gate.errored();
                    words = format!("looking for it failed as well: {asked}");
                }
            }
            self.world.clock.sleep(backoff(attempt, None, &self.world)).await;
        }
        Settled::Unknown(format!("{error}; {words}"))
    }
}

fn without_effect(error: CallError) -> CallError {
    match error {
        CallError::OutcomeUnknown(why) => CallError::NotSent(format!("{why}; it had no effect")),
        error => error,
    }
}
