//! What became of calls whose outcome an earlier run did not live to write: settled by looking, before anything else.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Connect;
use super::journal::Journal;
use super::perform::Looked;
use super::record::completed;
use super::refusal::escaped;
use super::retry::backoff;
use crate::model::schema::Recovery;
use crate::model::{Address, DesiredProvider, Diagnostic, Fields, Kind, Record, Schemas, Span};
use crate::providers::contract::{Answer, Call, CallAction, Connection};
use crate::state::{Intent, IntentCall, OpenIntent, RecordWrite, Settled, Settlement};
use crate::world::World;

/// How often a platform is asked before what it does not answer is left open.
const LOOKS: u32 = 4;

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
            wait: journal.leaves_until(&open).saturating_sub(world.clock.elapsed()) + listing_time(&open.intent, schemas),
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

/// How long it takes until a call that reached the platform is sure to be seen there.
fn listing_time(intent: &Intent, schemas: &Schemas) -> Duration {
    match schemas.kind(&intent.kind).map(|kind| kind.recovery) {
        Some(Recovery::Tagged { settle } | Recovery::Opaque { settle }) => settle,
        Some(Recovery::Keyed { .. } | Recovery::Named | Recovery::Put) | None => Duration::ZERO,
    }
}

struct Task {
    open: Arc<OpenIntent>,
    connection: Result<(Arc<Kind>, Arc<dyn Connection>), String>,
    wait: Duration,
    journal: Journal,
    world: World,
}

impl Task {
    async fn settle(self) -> Result<Recovered, Box<Diagnostic>> {
        let (how, writes, words) = match &self.connection {
            Err(why) => (Settlement::Flagged, Vec::new(), why.clone()),
            Ok((kind, connection)) => {
                self.world.clock.sleep(self.wait).await;
                match self.look(kind, &**connection).await {
                    Looked::Done(answer) => self.done(kind, &answer).await,
                    Looked::NotDone => (Settlement::Absent, Vec::new(), "it had not happened".to_owned()),
                    Looked::CannotTell(words) => (Settlement::Flagged, Vec::new(), words),
                }
            }
        };
        let intent = &self.open.intent;
        let settled = Settled { operation: intent.operation, how, writes, words: words.clone() };
        self.journal.settle(settled).await?;
        Ok(Recovered { address: intent.address.clone(), action: intent.action.to_string(), how, words })
    }

    async fn look(&self, kind: &Arc<Kind>, connection: &dyn Connection) -> Looked {
        let intent = &self.open.intent;
        let Some(action) = call_action(intent) else {
            return Looked::CannotTell("its intent lacks the record that it changes".to_owned());
        };
        let call = Call {
            token: intent.operation.token(),
            address: intent.address.clone(),
            kind: kind.clone(),
            action,
            not_after: intent.not_after,
        };
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
