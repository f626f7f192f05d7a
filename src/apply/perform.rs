//! One step: intent, call, outcome. Every effect is written down twice, here and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::call::Settled;
use super::event::{Event, StepName};
use super::gate::Gate;
use super::journal::Journal;
use super::prepare::{Job, Operation};
use super::refusal::{Refused, diagnose, escaped, unknown};
use super::retry::{ATTEMPTS_MAX, Retries, backoff};
use crate::model::canonical;
use crate::model::schema::Recovery;
use crate::model::{Code, Diagnostic, Fields, Kind};
use crate::providers::contract::{Call, CallAction, CallError, Connection};
use crate::state::{Intent, IntentCall, OperationId, Outcome, OutcomeResult, RecordWrite, Write};
use crate::world::World;
use crate::world::guards::{self, Guard};

/// How long one step may be asked to come back later before it gives up.
const PATIENCE: Duration = Duration::from_secs(600);

/// One provider instance during a run.
#[derive(Clone)]
pub struct Lane {
    pub connection: Arc<dyn Connection>,
    pub gate: Arc<Gate>,
}

/// What a step's task works with.
#[derive(Clone)]
pub struct Performer {
    pub journal: Journal,
    pub world: World,
    pub events: mpsc::UnboundedSender<Event>,
    pub retries: Arc<Retries>,
}

/// What became of a step. The writes are durable, also those before a failure.
pub struct Performed {
    pub writes: Vec<RecordWrite>,
    pub read: Option<Arc<Fields>>,
    pub result: Result<(), Trouble>,
    pub took: Duration,
    /// It holds a permit of its provider.
    pub called: bool,
}

pub enum Trouble {
    /// Definitely not done.
    Failed(Box<Diagnostic>),
    /// Nobody knows: the intent stays open.
    Unknown(Box<Diagnostic>),
    /// The log could not be written: the run is over.
    Broken(Box<Diagnostic>),
    /// The log did not take the intent, so that no call left.
    NotBegun(Box<Diagnostic>),
}

impl Performer {
    pub async fn perform(self, step: StepName, job: Job, lane: Option<Lane>) -> Performed {
        let started = self.world.clock.elapsed();
        let mut performed =
            Performed { writes: Vec::new(), read: None, result: Ok(()), took: Duration::ZERO, called: lane.is_some() };
        performed.result = self.do_job(&step, job, lane, &mut performed.writes, &mut performed.read).await;
        performed.took = self.world.clock.elapsed().saturating_sub(started);
        performed
    }

    async fn do_job(
        &self,
        step: &StepName,
        job: Job,
        lane: Option<Lane>,
        done: &mut Vec<RecordWrite>,
        read: &mut Option<Arc<Fields>>,
    ) -> Result<(), Trouble> {
        match (job, lane) {
            (Job::Nothing, _) => Ok(()),
            (Job::Write { action, writes, causes }, _) => {
                let write = Write { action, writes: writes.clone(), causes, reason: None };
                self.journal.record(write).await.map_err(Trouble::Broken)?;
                done.extend(writes);
                Ok(())
            }
            (Job::Calls { operations, .. }, Some(lane)) => {
                for operation in &operations {
                    done.extend(self.operate_patiently(step, &lane, operation).await?);
                }
                Ok(())
            }
            (Job::Adopt(adopt), Some(lane)) => {
                let live = self.read(step, &lane, &adopt.kind, &adopt.known).await?;
                let mut record = adopt.record(&live).map_err(Trouble::Failed)?;
                record.id = self.journal.operation().record();
                let writes = vec![RecordWrite::Put(Arc::new(record))];
                let write = Write { action: "adopt".into(), writes: writes.clone(), causes: Default::default(), reason: None };
                self.journal.record(write).await.map_err(Trouble::Broken)?;
                done.extend(writes);
                Ok(())
            }
            (Job::Read { kind, arguments }, Some(lane)) => {
                *read = Some(Arc::new(self.read(step, &lane, &kind, &arguments).await?));
                Ok(())
            }
            (Job::Calls { .. } | Job::Read { .. } | Job::Adopt(_), None) => unreachable!("what calls has a connection"),
        }
    }

    /// A call that is only ever asked to come back later is a new operation each time its own time is over.
    async fn operate_patiently(&self, step: &StepName, lane: &Lane, operation: &Operation) -> Result<Vec<RecordWrite>, Trouble> {
        let started = self.world.clock.elapsed();
        loop {
            match self.operate(step, lane, operation).await? {
                Ok(writes) => return Ok(writes),
                Err(error) => {
                    let patient = self.world.clock.elapsed().saturating_sub(started) < PATIENCE;
                    if !(patient && matches!(error, CallError::Throttled { .. })) {
                        return Err(Trouble::Failed(Box::new(self.diagnose(operation, &error))));
                    }
                }
            }
        }
    }

    async fn operate(
        &self,
        step: &StepName,
        lane: &Lane,
        operation: &Operation,
    ) -> Result<Result<Vec<RecordWrite>, CallError>, Trouble> {
        let ids_before = self.ids_before(lane, operation).await;
        lane.gate.pass().await;
        let started = self.world.clock.elapsed();
        let id = self.journal.operation();
        let mut intent = Some(intent(id, operation, ids_before));
        if let Some(intent) = intent.take_if(|_| guards::stands(Guard::IntentFirst)) {
            self.journal.open(intent).await.map_err(Trouble::NotBegun)?;
        }
        // Counted from before the intent was sent: whoever recovers counts from when it is seen, which is later.
        let deadline = started + operation.not_after;
        let settled = self.call_until_settled(step, lane, operation, (id, &call(id, operation)), deadline).await?;
        if let Some(late) = intent {
            self.journal.open(late).await.map_err(Trouble::NotBegun)?;
        }
        let took = self.world.clock.elapsed().saturating_sub(started);
        match settled {
            Settled::Done(answer) => {
                let writes = operation.writes(id, &answer.attributes);
                let result = OutcomeResult::Done { writes: writes.clone() };
                self.close(id, result, took, answer.receipt.requests).await?;
                Ok(Ok(writes))
            }
            Settled::Not(error) => {
                let diagnostic = self.diagnose(operation, &error);
                let result = OutcomeResult::Failed { code: diagnostic.code as u16, words: diagnostic.message };
                self.close(id, result, took, Vec::new()).await?;
                Ok(Err(error))
            }
            Settled::Unknown(why) => {
                let provider = operation.kind.provider();
                Err(Trouble::Unknown(Box::new(unknown(&operation.address, provider, &why))))
            }
        }
    }

    async fn close(
        &self,
        operation: OperationId,
        result: OutcomeResult,
        took: Duration,
        requests: Vec<String>,
    ) -> Result<(), Trouble> {
        let outcome = Outcome { operation, result, took, requests };
        self.journal.close(outcome).await.map(drop).map_err(Trouble::Broken)
    }

    /// For kinds whose objects cannot be told apart: which there were before.
    async fn ids_before(&self, lane: &Lane, operation: &Operation) -> Vec<String> {
        let opaque = matches!(operation.kind.recovery, Recovery::Opaque { .. }) && operation.call == IntentCall::Create;
        let Some(names) = operation.kind.list_by.as_ref().filter(|_| opaque) else { return Vec::new() };
        let group = names.iter().filter_map(|name| Some((name.clone(), operation.inputs.get(name)?.clone()))).collect();
        lane.gate.pass().await;
        let listed = lane.connection.list(&operation.kind, &group).await;
        match listed {
            Ok(_) => lane.gate.answered(),
            Err(_) => lane.gate.errored(),
        }
        let listed = listed.ok().flatten().unwrap_or_default();
        let id = |object: &Fields| {
            let mut out = Vec::new();
            canonical::write_value(&mut out, object.get(&operation.kind.id)?);
            String::from_utf8(out).ok()
        };
        listed.iter().filter_map(id).collect()
    }

    async fn read(&self, step: &StepName, lane: &Lane, kind: &Kind, arguments: &Fields) -> Result<Fields, Trouble> {
        let mut failed = 0;
        loop {
            lane.gate.pass().await;
            let error = match lane.connection.read(kind, arguments).await {
                Ok(Some(fields)) => {
                    lane.gate.answered();
                    return Ok(fields);
                }
                Ok(None) => {
                    lane.gate.answered();
                    let diagnostic = Code::NotFound.error(format!("`{}` finds nothing that fits", step.address));
                    return Err(Trouble::Failed(Box::new(diagnostic.about(step.address.clone()))));
                }
                Err(error) => error,
            };
            failed += 1;
            let asked = match &error {
                CallError::Throttled { after } => {
                    lane.gate.throttled(*after);
                    *after
                }
                CallError::Refused { .. } => {
                    lane.gate.answered();
                    None
                }
                CallError::NotSent(_) | CallError::OutcomeUnknown(_) => {
                    lane.gate.errored();
                    None
                }
            };
            if failed >= ATTEMPTS_MAX || matches!(error, CallError::Refused { .. }) {
                let about = Refused { address: &step.address, provider: kind.provider(), inputs: arguments, declared: None };
                let error = match error {
                    CallError::OutcomeUnknown(why) => CallError::NotSent(why),
                    error => error,
                };
                return Err(Trouble::Failed(Box::new(diagnose(&error, &about))));
            }
            let wait = backoff(failed, asked, &self.world);
            self.tell(Event::Retrying { step: step.clone(), attempt: failed, wait, why: escaped(&error.to_string()) });
            self.world.clock.sleep(wait).await;
        }
    }

    fn diagnose(&self, operation: &Operation, error: &CallError) -> Diagnostic {
        let about = Refused {
            address: &operation.address,
            provider: operation.kind.provider(),
            inputs: &operation.inputs,
            declared: operation.declared.as_deref(),
        };
        diagnose(error, &about)
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody listens any more: the run goes on.
        let _ = self.events.send(event);
    }
}

fn intent(id: OperationId, operation: &Operation, ids_before: Vec<String>) -> Intent {
    Intent {
        operation: id,
        address: operation.address.clone(),
        kind: operation.kind.name.clone(),
        provider: operation.provider.clone(),
        instance: operation.instance.clone(),
        call: operation.call,
        action: operation.action.clone(),
        inputs: operation.inputs.clone(),
        before: operation.before.clone(),
        edges: operation.draft.as_ref().map(|draft| draft.edges.clone()).unwrap_or_default(),
        protect: operation.draft.as_ref().is_some_and(|draft| draft.protect),
        generation: operation.draft.as_ref().map_or(0, |draft| draft.generation),
        replace_on: operation.draft.as_ref().map(|draft| draft.replace_on.clone()).unwrap_or_default(),
        recovery: operation.recovery_word().into(),
        not_after: operation.not_after,
        effect: operation.effect,
        ids_before,
        causes: operation.causes.clone(),
    }
}

fn call(id: OperationId, operation: &Operation) -> Call {
    let inputs = operation.inputs.clone();
    let action = match (operation.call, &operation.before) {
        (IntentCall::Create, _) => CallAction::Create { inputs },
        (IntentCall::Update, Some(before)) => {
            CallAction::Update { before: before.clone(), inputs, changed: operation.changed.clone() }
        }
        (IntentCall::Delete, Some(before)) => CallAction::Delete { before: before.clone() },
        (IntentCall::Update | IntentCall::Delete, None) => unreachable!("what is changed or deleted is recorded"),
    };
    Call {
        token: id.token(),
        address: operation.address.clone(),
        kind: operation.kind.clone(),
        action,
        not_after: operation.not_after,
    }
}
