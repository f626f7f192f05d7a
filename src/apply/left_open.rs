//! A call that an earlier run left open: how it is looked for, and what follows from what is found. Recovery writes that down;
//! a plan only looks.

use std::sync::Arc;
use std::time::Duration;

use super::Connect;
use super::call::Looked;
use super::record::completed;
use super::refusal::escaped;
use super::retry::backoff;
use crate::model::schema::Recovery;
use crate::model::{DesiredProvider, Fields, Kind, Record, Schemas, Span};
use crate::providers::contract::{Answer, Call, CallAction, Connection};
use crate::state::{Intent, IntentCall, OpenIntent, RecordWrite, Settlement};
use crate::world::World;

/// How often a platform is asked before what it does not answer is left open.
pub(super) const LOOKS: u32 = 4;
pub(super) const NO_RECORD: &str = "its intent lacks the record that it changes";

/// One call, and the way to its platform.
pub(super) struct LeftOpen {
    pub open: Arc<OpenIntent>,
    pub kind: Arc<Kind>,
    pub connection: Arc<dyn Connection>,
}

/// What follows from looking.
pub(super) enum Verdict {
    /// It had happened: what state holds of it from now on.
    Happened(Vec<RecordWrite>),
    Absent,
    /// Looking cannot tell that it was done, and doing it once more comes to the same: it is sent again.
    Again,
    CannotTell(String),
}

impl LeftOpen {
    /// Errors: words for why its platform cannot be reached.
    pub fn reach(
        open: Arc<OpenIntent>,
        schemas: &Schemas,
        connect: &dyn Connect,
        providers: &[DesiredProvider],
    ) -> Result<LeftOpen, String> {
        let intent = &open.intent;
        let kind =
            schemas.kind(&intent.kind).ok_or_else(|| format!("this version does not know the kind `{}`", intent.kind))?.clone();
        let declared = providers.iter().find(|provider| provider.name == intent.provider).cloned();
        let provider = declared.unwrap_or_else(|| DesiredProvider {
            name: intent.provider.clone(),
            settings: Fields::new(),
            span: Span::ENGINE,
        });
        let connection = connect.connect(&provider).map_err(|diagnostic| diagnostic.message.clone())?;
        Ok(LeftOpen { open, kind, connection })
    }

    pub fn intent(&self) -> &Intent {
        &self.open.intent
    }

    /// How long from now it takes until looking is certain, where bytes of it may leave for so long.
    pub fn certain_in(&self, leaving: Duration) -> Duration {
        leaving + self.connection.delays().settle(self.kind.recovery)
    }

    /// Whether that it was done counts as soon as it is seen: a process that is gone, and sent its call once, has left nothing under
    /// way then.
    pub fn counts_at_once(&self, writer_gone: bool) -> bool {
        writer_gone && self.open.repeated == 0
    }

    pub fn call(&self) -> Option<Call> {
        let intent = self.intent();
        Some(Call {
            token: intent.operation.token(),
            address: intent.address.clone(),
            kind: self.kind.clone(),
            action: call_action(intent)?,
            not_after: intent.not_after,
        })
    }

    /// Asks the platform, and asks again where it does not answer.
    pub async fn look(&self, world: &World) -> Looked {
        let Some(call) = self.call() else { return Looked::CannotTell(NO_RECORD.to_owned()) };
        let mut words = String::new();
        for attempt in 1..=LOOKS {
            match self.connection.find(&call).await {
                Ok(found) => return Looked::from(found, self.intent().call),
                Err(error) => words = format!("looking for it failed: {}", escaped(&error.to_string())),
            }
            if attempt < LOOKS {
                world.clock.sleep(backoff(attempt, None, world)).await;
            }
        }
        Looked::CannotTell(words)
    }

    /// What follows from what was seen. `recorded` says whether its address has a record now.
    pub fn verdict(&self, looked: Looked, recorded: bool) -> Verdict {
        match looked {
            Looked::Done(answer) => Verdict::Happened(self.writes(&answer, recorded)),
            Looked::NotDone if self.may_be_repeated() => Verdict::Again,
            Looked::NotDone => Verdict::Absent,
            Looked::CannotTell(words) => Verdict::CannotTell(words),
        }
    }

    /// Whether looking cannot tell that it was done, and doing it once more comes to the same: what it may have made must not be left
    /// behind by a program that has changed since.
    fn may_be_repeated(&self) -> bool {
        let kind = &self.kind;
        self.intent().call == IntentCall::Create && kind.recovery == Recovery::Put && !kind.stored && !kind.act
    }

    /// It was done: what state holds of it from then on. `recorded` as for [`LeftOpen::verdict`].
    pub fn writes(&self, answer: &Answer, recorded: bool) -> Vec<RecordWrite> {
        let intent = self.intent();
        let address = intent.address.clone();
        match (intent.call, &intent.before) {
            (IntentCall::Delete, Some(before)) if before.deposed => vec![RecordWrite::RemoveDeposed { address, id: before.id }],
            (IntentCall::Delete, _) => vec![RecordWrite::Remove(address)],
            (IntentCall::Create | IntentCall::Update, before) => {
                let record = completed(self.draft(before.as_deref()), &self.kind, &answer.attributes, before.as_deref());
                // A create beside a record that is still there was to replace it.
                let replaced = intent.call == IntentCall::Create && recorded;
                let room = replaced.then_some(RecordWrite::Depose(address));
                room.into_iter().chain([RecordWrite::Put(Arc::new(record))]).collect()
            }
        }
    }

    /// The record without what the platform computes. What the intent does not say, the next plan adds.
    fn draft(&self, before: Option<&Record>) -> Record {
        let intent = self.intent();
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

/// What is said of a call that had happened, as it is recorded.
pub(super) fn happened(call: IntentCall) -> (Settlement, &'static str) {
    let words = match call {
        IntentCall::Create => "it had been created, and is recorded now",
        IntentCall::Update => "it had been changed, and is recorded now",
        IntentCall::Delete => "it had been destroyed",
    };
    (Settlement::Adopted, words)
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
