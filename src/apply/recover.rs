//! What became of calls whose outcome an earlier run did not live to write: settled by looking, before anything else.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Connect;
use super::call::Looked;
use super::journal::Journal;
use super::record::completed;
use super::refusal::escaped;
use super::retry::backoff;
use crate::model::schema::Recovery;
use crate::model::{Address, DesiredProvider, Diagnostic, Fields, Kind, Record, Schemas, Span};
use crate::providers::contract::{Answer, Call, CallAction, CallError, Connection};
use crate::state::{Intent, IntentCall, OpenIntent, RecordWrite, Settled, Settlement};
use crate::world::World;
use crate::world::guards::{self, Guard};

/// How often a platform is asked before what it does not answer is left open.
const LOOKS: u32 = 4;
const NO_RECORD: &str = "its intent lacks the record that it changes";

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
            connection: connection(&open.intent, schemas, &*connect, options),
            leaves_until: journal.leaves_until(&open),
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

fn connection(
    intent: &Intent,
    schemas: &Schemas,
    connect: &dyn Connect,
    options: &RecoverOptions,
) -> Result<(Arc<Kind>, Arc<dyn Connection>), String> {
    let kind = schemas.kind(&intent.kind).ok_or_else(|| format!("this version does not know the kind `{}`", intent.kind))?;
    let declared = options.providers.iter().find(|provider| provider.name == intent.provider).cloned();
    let provider = declared.unwrap_or_else(|| DesiredProvider {
        name: intent.provider.clone(),
        settings: Fields::new(),
        span: Span::ENGINE,
    });
    let connection = connect.connect(&provider).map_err(|diagnostic| diagnostic.message.clone())?;
    Ok((kind.clone(), connection))
}

struct Task {
    open: Arc<OpenIntent>,
    connection: Result<(Arc<Kind>, Arc<dyn Connection>), String>,
    /// Until when, by our clock, a byte of it may still leave.
    leaves_until: Duration,
    journal: Journal,
    world: World,
}

impl Task {
    async fn settle(self) -> Result<Recovered, Box<Diagnostic>> {
        let (how, writes, words) = match &self.connection {
            Err(why) => (Settlement::Flagged, Vec::new(), why.clone()),
            Ok((kind, connection)) => match self.find_out(kind, &**connection).await {
                Looked::Done(answer) => self.done(kind, &answer).await,
                Looked::NotDone if self.may_be_repeated(kind) => self.repeat(kind, &**connection).await?,
                Looked::NotDone => (Settlement::Absent, Vec::new(), "it had not happened".to_owned()),
                Looked::CannotTell(words) => (Settlement::Flagged, Vec::new(), words),
            },
        };
        let intent = &self.open.intent;
        let settled = Settled { operation: intent.operation, how, writes, words: words.clone() };
        self.journal.settle(settled).await?;
        Ok(Recovered { address: intent.address.clone(), action: intent.action.to_string(), how, words })
    }

    /// Looks once it is certain what there is to see. A dead process that sent its call once has left nothing under way where that
    /// is seen to be done.
    async fn find_out(&self, kind: &Arc<Kind>, connection: &dyn Connection) -> Looked {
        if !guards::stands(Guard::Find) {
            return Looked::NotDone;
        }
        let leaving = self.leaves_until.saturating_sub(self.world.clock.elapsed());
        let wait = leaving + connection.delays().settle(kind.recovery);
        if self.open.writer_gone && self.open.repeated == 0 && !wait.is_zero() {
            let looked = self.look(kind, connection).await;
            if matches!(looked, Looked::Done(_)) {
                return looked;
            }
        }
        self.world.clock.sleep(wait).await;
        self.look(kind, connection).await
    }

    /// Whether looking cannot tell that it was done, and doing it once more comes to the same: what it may have made must not be left
    /// behind by a program that has changed since.
    fn may_be_repeated(&self, kind: &Kind) -> bool {
        self.open.intent.call == IntentCall::Create && kind.recovery == Recovery::Put && !kind.stored && !kind.act
    }

    /// Sends the same call under the same token, until an answer comes and nothing that was sent is under way any more.
    async fn repeat(
        &self,
        kind: &Arc<Kind>,
        connection: &dyn Connection,
    ) -> Result<(Settlement, Vec<RecordWrite>, String), Box<Diagnostic>> {
        let Some(call) = self.call(kind) else {
            return Ok((Settlement::Flagged, Vec::new(), NO_RECORD.to_owned()));
        };
        let (mut words, mut arrives_until) = (String::new(), Duration::ZERO);
        let clock = &*self.world.clock;
        for attempt in 1..=LOOKS {
            self.journal.attempt(self.open.intent.operation, "sent again by recovery".to_owned()).await?;
            match connection.perform(&call).await {
                Ok(answer) => {
                    clock.sleep(arrives_until.saturating_sub(clock.elapsed())).await;
                    let (_, writes, _) = self.done(kind, &answer).await;
                    return Ok((Settlement::Repeated, writes, "it was sent again, and is recorded now".to_owned()));
                }
                Err(error @ CallError::Refused { .. }) if arrives_until.is_zero() => {
                    let words = format!("it had not happened, and is refused now: {}", escaped(&error.to_string()));
                    return Ok((Settlement::Absent, Vec::new(), words));
                }
                Err(error) => {
                    if matches!(error, CallError::OutcomeUnknown(_)) {
                        arrives_until = clock.elapsed() + connection.delays().transit;
                    }
                    words = format!("sending it again failed: {}", escaped(&error.to_string()));
                }
            }
            self.world.clock.sleep(backoff(attempt, None, &self.world)).await;
        }
        Ok((Settlement::Flagged, Vec::new(), words))
    }

    fn call(&self, kind: &Arc<Kind>) -> Option<Call> {
        let intent = &self.open.intent;
        Some(Call {
            token: intent.operation.token(),
            address: intent.address.clone(),
            kind: kind.clone(),
            action: call_action(intent)?,
            not_after: intent.not_after,
        })
    }

    async fn look(&self, kind: &Arc<Kind>, connection: &dyn Connection) -> Looked {
        let intent = &self.open.intent;
        let Some(call) = self.call(kind) else { return Looked::CannotTell(NO_RECORD.to_owned()) };
        let mut words = String::new();
        for attempt in 1..=LOOKS {
            match connection.find(&call).await {
                Ok(found) => return Looked::from(found, intent.call),
                Err(error) => words = format!("looking for it failed: {}", escaped(&error.to_string())),
            }
            if attempt < LOOKS {
                self.world.clock.sleep(backoff(attempt, None, &self.world)).await;
            }
        }
        Looked::CannotTell(words)
    }

    /// It had happened: what state holds of it from now on.
    async fn done(&self, kind: &Kind, answer: &Answer) -> (Settlement, Vec<RecordWrite>, String) {
        let intent = &self.open.intent;
        let address = intent.address.clone();
        let writes = match (intent.call, &intent.before) {
            (IntentCall::Delete, Some(before)) if before.deposed => vec![RecordWrite::RemoveDeposed { address, id: before.id }],
            (IntentCall::Delete, _) => vec![RecordWrite::Remove(address)],
            (IntentCall::Create | IntentCall::Update, before) => {
                let record = completed(self.draft(before.as_deref()), kind, &answer.attributes, before.as_deref());
                // A create beside a record that is still there was to replace it.
                let recorded = self.journal.with_latest(|view| view.records.contains_key(&address)).await;
                let replaced = intent.call == IntentCall::Create && recorded;
                let room = replaced.then_some(RecordWrite::Depose(address));
                room.into_iter().chain([RecordWrite::Put(Arc::new(record))]).collect()
            }
        };
        let words = match intent.call {
            IntentCall::Create => "it had been created, and is recorded now",
            IntentCall::Update => "it had been changed, and is recorded now",
            IntentCall::Delete => "it had been destroyed",
        };
        (Settlement::Adopted, writes, words.to_owned())
    }

    /// The record without what the platform computes. What the intent does not say, the next plan adds.
    fn draft(&self, before: Option<&Record>) -> Record {
        let intent = &self.open.intent;
        Record {
            address: intent.address.clone(),
            id: before.map_or(intent.operation.record(), |record| record.id),
            kind: intent.kind.clone(),
            provider: intent.provider.clone(),
            instance: intent.instance.clone(),
            inputs: intent.inputs.clone(),
            computed: before.map(|record| record.computed.clone()).unwrap_or_default(),
            edges: intent.edges.clone(),
            protect: intent.protect,
            replace_on: intent.replace_on.clone(),
            generation: intent.generation,
            declared_at: before.map(|record| record.declared_at.clone()).unwrap_or_default(),
            schema_version: before.map_or(0, |record| record.schema_version),
            version: 0,
            deposed: false,
        }
    }
}

/// The call as it was made; which attributes an update changed, the difference to its record says.
fn call_action(intent: &Intent) -> Option<CallAction> {
    let inputs = intent.inputs.clone();
    match (intent.call, &intent.before) {
        (IntentCall::Create, _) => Some(CallAction::Create { inputs }),
        (IntentCall::Update, Some(before)) => {
            let names = inputs.keys().chain(before.inputs.keys()).collect::<std::collections::BTreeSet<_>>();
            let changed = names.into_iter().filter(|name| inputs.get(*name) != before.inputs.get(*name)).cloned().collect();
            Some(CallAction::Update { before: before.clone(), inputs, changed })
        }
        (IntentCall::Delete, Some(before)) => Some(CallAction::Delete { before: before.clone() }),
        (IntentCall::Update | IntentCall::Delete, None) => None,
    }
}
