//! Entries as a small apply writes them: for tests and measurements, here and outside of the library.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::log::{Intent, IntentCall, OperationId, Outcome, OutcomeResult, RecordWrite, Revision, RunResult};
use crate::model::{Address, Fields, ProviderName, Record, Value};

/// Of a create, or, where there is a record, of an update of a `local.value`.
pub fn intent(operation: OperationId, address: Address, inputs: Fields, before: Option<Arc<Record>>) -> Intent {
    Intent {
        operation,
        kind: "local.value".into(),
        provider: ProviderName::parse("local"),
        instance: address.clone(),
        address,
        call: if before.is_some() { IntentCall::Update } else { IntentCall::Create },
        action: if before.is_some() { "update".into() } else { "create".into() },
        inputs,
        before,
        edges: Vec::new(),
        protect: false,
        generation: 0,
        replace_on: Vec::new(),
        recovery: "put".into(),
        not_after: Duration::from_secs(30),
        effect: None,
        ids_before: Vec::new(),
        causes: BTreeMap::from([("input".into(), "shop.stack:3:11".into())]),
    }
}

/// What is recorded once an intent's call is done.
pub fn record_of(intent: &Intent, computed: Fields) -> Record {
    Record {
        address: intent.address.clone(),
        id: intent.before.as_ref().map_or(intent.operation.record(), |before| before.id),
        kind: intent.kind.clone(),
        provider: intent.provider.clone(),
        instance: intent.instance.clone(),
        inputs: intent.inputs.clone(),
        computed,
        edges: Vec::new(),
        protect: false,
        replace_on: Vec::new(),
        generation: 0,
        declared_at: "shop.stack:3".into(),
        schema_version: 1,
        version: 0,
        deposed: false,
    }
}

/// Its call was done.
pub fn done(intent: &Intent, computed: Fields) -> Outcome {
    Outcome {
        operation: intent.operation,
        result: OutcomeResult::Done { writes: vec![RecordWrite::Put(Arc::new(record_of(intent, computed)))] },
        took: Duration::from_millis(12),
        requests: vec!["PUT /v1/a 200".into()],
    }
}

/// Of an apply that made one thing.
pub fn revision() -> Revision {
    Revision {
        number: 0,
        run: 0,
        time_ms: 0,
        command: "apply".into(),
        who: "dkim".into(),
        commit: Some("9f2c1aa".into()),
        plan: Some("7f3a9c21".into()),
        effects: None,
        approved_by: Vec::new(),
        counts: BTreeMap::from([("create".into(), 1)]),
        result: RunResult::Done,
        inputs: vec![("version".into(), "\"v1\"".into(), "--input".into())],
        outputs: Fields::from([("url".into(), Value::text("https://a"))]),
        engine: "0.1.0".into(),
        providers: BTreeMap::from([("local".into(), 1)]),
        failed: Vec::new(),
        not_started: Vec::new(),
        reason: None,
        policies: Vec::new(),
    }
}
