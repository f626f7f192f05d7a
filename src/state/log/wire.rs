//! The bytes of entries' bodies: canonical JSON, secrets sealed. Golden files in `fixtures/state/` hold the format.
//!
//! What an entry can take from the view before it is left out: an outcome names its intent by the intent's place, and repeats
//! of the record only what the intent does not say. So a body is read with the view at its place, and never without.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry::*;
use super::key::{read_key, write_key};
use super::object::{Object, map};
use super::record::{self, Known};
use super::revision::{read_revision, write_revision};
use super::signing::{RawSignature, RawSigner, write_signature, write_signer};
use crate::model::canonical::write_text;
use crate::model::value::Fields;
use crate::model::wire::{Context, Reading, Sealer, Wire, WireError};
use crate::model::{Address, Digest, Name, ProviderName, Record, RecordId, Value};
use crate::state::contract::StoreId;
use crate::state::view::{OpenIntent, View};

/// Writes a body. `view` is the view just before the entry.
pub fn encode(body: &Body, view: &View, sealer: &dyn Sealer) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(256);
    let mut object = Object::new(&mut out);
    match body {
        Body::Genesis(genesis) => {
            object.text("engine", &genesis.engine);
            object.text("environment", &genesis.environment);
            object.text("key", &genesis.key);
            object.text("store", &genesis.store.to_string());
        }
        Body::Lease(lease) => write_lease(&mut object, lease),
        Body::Renew { addresses } => object.list("addresses", addresses, |out, it| write_text(out, it.as_str())),
        Body::Release => {}
        Body::Takeover(it) => {
            if it.gone {
                object.number("gone", true);
            }
            object.text("reason", &it.reason);
            object.number("run", it.run);
            object.maybe_text("who", it.who.as_deref());
        }
        Body::Intent(intent) => write_intent(&mut object, intent, sealer)?,
        Body::Accepted { operation, id } => {
            object.text("id", id);
            write_operation(&mut object, *operation, view);
        }
        Body::Attempt { operation, words } => {
            write_operation(&mut object, *operation, view);
            object.text("words", words);
        }
        Body::Outcome(outcome) => write_outcome(&mut object, outcome, view, sealer)?,
        Body::Settled(settled) => {
            object.text("how", settlement_word(settled.how));
            let known = write_operation(&mut object, settled.operation, view);
            object.text("words", &settled.words);
            record::write_all(&mut object, &settled.writes, &Known::of(known), sealer)?;
        }
        Body::Write(write) => {
            object.text("action", &write.action);
            write_causes(&mut object, &write.causes);
            object.maybe_text("reason", write.reason.as_deref());
            record::write_all(&mut object, &write.writes, &Known::of(None), sealer)?;
        }
        Body::Plan { id, effects, who } | Body::Approval { plan: id, effects, who } => {
            object.text("effects", &effects.to_string());
            object.text("plan", id);
            object.text("who", who);
        }
        Body::Reveal(it) => {
            object.maybe_text("instance", it.instance.as_ref().map(|at| at.as_str()));
            object.text("place", &it.place);
            object.text("reason", &it.reason);
            object.text("who", &it.who);
        }
        Body::Revision(revision) => write_revision(&mut object, revision, sealer)?,
        Body::Provider(it) => write_provider(&mut object, &it.name, &it.settings, sealer)?,
        Body::Key(change) => write_key(&mut object, change),
        Body::Signer(change) => write_signer(&mut object, change),
        Body::Signature(it) => write_signature(&mut object, it),
        Body::Restore(it) => {
            if it.lost > 0 {
                object.number("lost", it.lost);
            }
            object.text("reason", &it.reason);
            object.text("who", &it.who);
        }
        Body::Import(it) | Body::Moved(it) => {
            object.text("place", &it.place);
            object.text("reason", &it.reason);
            object.text("who", &it.who);
        }
        Body::Other { .. } => return Err(WireError::Unstorable("an entry of a newer version")),
    }
    object.end();
    Ok(out)
}

/// Reads a body; `view` is the view just before the entry.
pub fn decode(kind: &str, body: &[u8], view: &View, reading: &mut Reading<'_>) -> Result<Body, WireError> {
    Ok(match kind {
        "genesis" => Body::Genesis(parse::<RawGenesis>(body)?.genesis()?),
        "lease" => Body::Lease(parse::<RawLease>(body)?.lease()?),
        "renew" => Body::Renew { addresses: addresses(&parse::<RawRenew>(body)?.addresses)? },
        "release" => Body::Release,
        "takeover" => {
            let raw: RawTakeover = parse(body)?;
            Body::Takeover(raw.takeover())
        }
        "intent" => Body::Intent(Box::new(read_intent(parse(body)?, view, reading)?)),
        "accepted" => {
            let raw: RawAccepted = parse(body)?;
            let Some((operation, _)) = operation(raw.of, raw.operation, view)? else { return Ok(without_effect(kind)) };
            Body::Accepted { operation, id: raw.id.into() }
        }
        "attempt" => {
            let raw: RawAttempt = parse(body)?;
            let Some((operation, _)) = operation(raw.of, raw.operation, view)? else { return Ok(without_effect(kind)) };
            Body::Attempt { operation, words: raw.words.into() }
        }
        "outcome" => match read_outcome(parse(body)?, view, reading)? {
            Some(outcome) => Body::Outcome(Box::new(outcome)),
            None => without_effect(kind),
        },
        "settled" => {
            let raw: RawSettled = parse(body)?;
            let Some((operation, known)) = operation(raw.of, raw.operation, view)? else { return Ok(without_effect(kind)) };
            let how = settlement(&raw.how).ok_or(bad("how it was settled"))?;
            let writes = record::read_all(&raw.writes, &Known::of(known), reading)?;
            Body::Settled(Box::new(Settled { operation, how, writes, words: raw.words.into() }))
        }
        "write" => {
            let raw: RawWrite = parse(body)?;
            let writes = record::read_all(&raw.writes, &Known::of(None), reading)?;
            Body::Write(Box::new(Write {
                action: reading.name(&raw.action),
                writes,
                causes: causes(raw.causes, reading),
                reason: raw.reason.map(Into::into),
            }))
        }
        "plan" => {
            let raw: RawPlan = parse(body)?;
            Body::Plan { id: raw.plan.into(), effects: digest(&raw.effects)?, who: raw.who.into() }
        }
        "approval" => {
            let raw: RawPlan = parse(body)?;
            Body::Approval { plan: raw.plan.into(), effects: digest(&raw.effects)?, who: raw.who.into() }
        }
        "reveal" => Body::Reveal(parse::<RawReveal<'_>>(body)?.revealed()?),
        "provider" => {
            let (name, settings) = read_provider(parse(body)?, reading)?;
            Body::Provider(ProviderSettings { name, settings })
        }
        "revision" => Body::Revision(Arc::new(read_revision(parse(body)?, reading)?)),
        "key" => Body::Key(Box::new(read_key(parse(body)?)?)),
        "signer" => Body::Signer(Box::new(parse::<RawSigner<'_>>(body)?.change()?)),
        "signature" => Body::Signature(parse::<RawSignature<'_>>(body)?.signature()?),
        "restore" => Body::Restore(parse::<RawRestore>(body)?.restored()),
        "import" => Body::Import(parse::<RawCarried>(body)?.carried()),
        "moved" => Body::Moved(parse::<RawCarried>(body)?.carried()),
        other => without_effect(other),
    })
}

/// Kept and chained, and no more: of a newer version, or about an operation that is not open.
fn without_effect(kind: &str) -> Body {
    Body::Other { kind: kind.to_owned() }
}

pub(in crate::state) fn bad(expected: &'static str) -> WireError {
    WireError::Syntax { at: 0, expected }
}

pub(in crate::state) fn parse<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|error| WireError::Syntax { at: error.column(), expected: "a body of the entry's kind" })
}

fn addresses(texts: &[Cow<'_, str>]) -> Result<Vec<Address>, WireError> {
    texts.iter().map(|text| Address::parse(text).ok_or(bad("an address"))).collect()
}

pub(super) fn address(text: &str) -> Result<Address, WireError> {
    Address::parse(text).ok_or(bad("an address"))
}

pub(in crate::state) fn digest(text: &str) -> Result<Digest, WireError> {
    Digest::parse(text).ok_or(bad("a hash"))
}

pub(super) fn hex(bytes: &[u8; 16]) -> String {
    StoreId(*bytes).to_string()
}

pub(super) fn unhex(text: &str) -> Result<[u8; 16], WireError> {
    StoreId::parse(text).map(|id| id.0).ok_or(bad("an id"))
}

// Leases.

#[derive(Deserialize)]
pub(in crate::state) struct RawGenesis<'b> {
    #[serde(borrow)]
    engine: Cow<'b, str>,
    #[serde(borrow)]
    environment: Cow<'b, str>,
    #[serde(borrow)]
    key: Cow<'b, str>,
    #[serde(borrow)]
    store: Cow<'b, str>,
}

impl RawGenesis<'_> {
    pub(in crate::state) fn genesis(self) -> Result<Genesis, WireError> {
        let store = StoreId::parse(&self.store).ok_or(bad("the id of a store"))?;
        Ok(Genesis { store, environment: self.environment.into(), engine: self.engine.into(), key: self.key.into() })
    }
}

pub(in crate::state) fn write_lease(object: &mut Object<'_>, lease: &Lease) {
    let header = &lease.header;
    object.list("addresses", &header.addresses, |out, it| write_text(out, it.as_str()));
    object.number("changes", header.changes);
    object.text("command", &header.command);
    object.maybe_text("commit", header.commit.as_deref());
    object.maybe_text("effects", header.effects.map(|it| it.to_string()).as_deref());
    object.text("engine", &header.engine);
    object.text("hold", &lease.hold);
    object.text("host", &header.host);
    object.number("pid", header.pid);
    object.maybe_text("plan", header.plan.as_deref());
    object.number("run", lease.run);
    object.text("who", &header.who);
}

#[derive(Deserialize)]
pub(in crate::state) struct RawLease<'b> {
    #[serde(borrow, default)]
    addresses: Vec<Cow<'b, str>>,
    #[serde(default)]
    changes: u32,
    #[serde(borrow)]
    command: Cow<'b, str>,
    #[serde(borrow, default)]
    commit: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    effects: Option<Cow<'b, str>>,
    #[serde(borrow)]
    engine: Cow<'b, str>,
    #[serde(borrow)]
    hold: Cow<'b, str>,
    #[serde(borrow)]
    host: Cow<'b, str>,
    pid: u32,
    #[serde(borrow, default)]
    plan: Option<Cow<'b, str>>,
    run: u64,
    #[serde(borrow)]
    who: Cow<'b, str>,
}

impl RawLease<'_> {
    pub(in crate::state) fn lease(self) -> Result<Lease, WireError> {
        Ok(Lease {
            run: self.run,
            hold: self.hold.into(),
            header: RunHeader {
                command: self.command.into(),
                who: self.who.into(),
                host: self.host.into(),
                pid: self.pid,
                commit: self.commit.map(Into::into),
                plan: self.plan.map(Into::into),
                effects: self.effects.map(|it| digest(&it)).transpose()?,
                addresses: addresses(&self.addresses)?,
                changes: self.changes,
                engine: self.engine.into(),
            },
        })
    }
}

#[derive(Deserialize)]
struct RawRenew<'b> {
    #[serde(borrow, default)]
    addresses: Vec<Cow<'b, str>>,
}

#[derive(Deserialize)]
pub(in crate::state) struct RawTakeover<'b> {
    #[serde(default)]
    gone: bool,
    #[serde(borrow)]
    reason: Cow<'b, str>,
    run: u64,
    #[serde(borrow, default)]
    who: Option<Cow<'b, str>>,
}

impl RawTakeover<'_> {
    pub fn takeover(self) -> Takeover {
        Takeover { run: self.run, gone: self.gone, reason: self.reason.into(), who: self.who.map(Into::into) }
    }
}

/// Secrets in the settings of a provider are sealed for its own name: one cannot be put in the place of another.
fn of_provider(name: &str) -> Context<'static> {
    let digest = Digest::of(name.as_bytes());
    let record = RecordId(digest.0[..16].try_into().expect("a digest is longer"));
    Context { record, kind: "provider", part: "settings" }
}

pub(in crate::state) fn write_provider(
    object: &mut Object<'_>,
    name: &ProviderName,
    settings: &Fields,
    sealer: &dyn Sealer,
) -> Result<(), WireError> {
    let name = name.to_string();
    object.text("name", &name);
    Wire::sealed(sealer).write_fields(object.key("settings"), of_provider(&name), settings)
}

#[derive(Deserialize)]
pub(in crate::state) struct RawProvider<'b> {
    #[serde(borrow)]
    name: Cow<'b, str>,
    #[serde(borrow)]
    settings: &'b RawValue,
}

pub(in crate::state) fn read_provider(
    raw: RawProvider<'_>,
    reading: &mut Reading<'_>,
) -> Result<(ProviderName, Fields), WireError> {
    let settings = reading.whole(of_provider(&raw.name), raw.settings.get(), |read| read.fields())?;
    Ok((ProviderName::parse(&raw.name), settings))
}

// Operations.

/// The place of the intent, where it is open; else its id.
fn write_operation<'v>(object: &mut Object<'_>, operation: OperationId, view: &'v View) -> Option<&'v Arc<OpenIntent>> {
    let open = view.open.get(&operation);
    match open {
        Some(open) => object.number("of", open.sequence),
        None => object.text("operation", &hex(&operation.0)),
    }
    open
}

/// The operation, with its intent where it was named by its place; `None` where no intent is open at that place.
fn operation<'v>(
    of: Option<u64>,
    id: Option<Cow<'_, str>>,
    view: &'v View,
) -> Result<Option<(OperationId, Option<&'v Arc<OpenIntent>>)>, WireError> {
    if let Some(id) = id {
        return Ok(Some((OperationId(unhex(&id)?), None)));
    }
    let place = of.ok_or(bad("an operation"))?;
    Ok(view.open_at.get(&place).map(|operation| (*operation, view.open.get(operation))))
}

#[derive(Deserialize)]
struct RawAccepted<'b> {
    #[serde(borrow)]
    id: Cow<'b, str>,
    #[serde(default)]
    of: Option<u64>,
    #[serde(borrow, default)]
    operation: Option<Cow<'b, str>>,
}

#[derive(Deserialize)]
struct RawAttempt<'b> {
    #[serde(default)]
    of: Option<u64>,
    #[serde(borrow, default)]
    operation: Option<Cow<'b, str>>,
    #[serde(borrow)]
    words: Cow<'b, str>,
}

#[derive(Deserialize)]
struct RawSettled<'b> {
    #[serde(borrow)]
    how: Cow<'b, str>,
    #[serde(default)]
    of: Option<u64>,
    #[serde(borrow, default)]
    operation: Option<Cow<'b, str>>,
    #[serde(borrow)]
    words: Cow<'b, str>,
    #[serde(borrow, default)]
    writes: Vec<&'b RawValue>,
}

fn settlement_word(how: Settlement) -> &'static str {
    match how {
        Settlement::Adopted => "adopted",
        Settlement::Absent => "absent",
        Settlement::Repeated => "repeated",
        Settlement::Flagged => "flagged",
    }
}

fn settlement(word: &str) -> Option<Settlement> {
    use Settlement::*;
    [Adopted, Absent, Repeated, Flagged].into_iter().find(|how| settlement_word(*how) == word)
}

// Intents. What is left out: `action` where it is the call's word, `instance` where it is the address, `provider` where it is
// the first part of the kind.

pub(in crate::state) fn write_intent(object: &mut Object<'_>, intent: &Intent, sealer: &dyn Sealer) -> Result<(), WireError> {
    let call = call_word(intent.call);
    object.maybe_text("action", (&*intent.action != call).then_some(&*intent.action));
    object.text("address", intent.address.as_str());
    object.maybe_text("before", intent.before.as_ref().map(|record| hex(&record.id.0)).as_deref());
    object.text("call", call);
    write_causes(object, &intent.causes);
    if !intent.edges.is_empty() {
        record::write_edges(object.key("edges"), &intent.edges);
    }
    object.maybe_text("effect", intent.effect.map(|it| it.to_string()).as_deref());
    if intent.generation != 0 {
        object.number("generation", intent.generation);
    }
    object.list("ids_before", &intent.ids_before, |out, id| write_text(out, id));
    if !intent.inputs.is_empty() {
        let context = inputs_context(intent);
        Wire::sealed(sealer).write_fields(object.key("inputs"), context, &intent.inputs)?;
    }
    object.maybe_text("instance", (intent.instance != intent.address).then_some(intent.instance.as_str()));
    object.text("kind", &intent.kind);
    object.number("not_after", intent.not_after.as_millis());
    object.text("operation", &hex(&intent.operation.0));
    if intent.protect {
        object.key("protect").extend_from_slice(b"true");
    }
    let provider = (!record::is_default_provider(&intent.provider, &intent.kind)).then(|| intent.provider.to_string());
    object.maybe_text("provider", provider.as_deref());
    object.text("recovery", &intent.recovery);
    if !intent.replace_on.is_empty() {
        let values = Value::list(intent.replace_on.clone());
        Wire::sealed(sealer).write_value(object.key("replace_on"), replace_on_context(intent), &values)?;
    }
    Ok(())
}

fn inputs_context(intent: &Intent) -> Context<'_> {
    let record = intent.before.as_ref().map_or(intent.operation.record(), |before| before.id);
    Context { record, kind: &intent.kind, part: "intent" }
}

fn replace_on_context(intent: &Intent) -> Context<'_> {
    Context { part: "intent.replace_on", ..inputs_context(intent) }
}

#[derive(Deserialize)]
pub(in crate::state) struct RawIntent<'b> {
    #[serde(borrow, default)]
    action: Option<Cow<'b, str>>,
    #[serde(borrow)]
    address: Cow<'b, str>,
    #[serde(borrow, default)]
    before: Option<Cow<'b, str>>,
    #[serde(borrow)]
    call: Cow<'b, str>,
    #[serde(borrow, default)]
    causes: BTreeMap<Cow<'b, str>, Cow<'b, str>>,
    #[serde(borrow, default)]
    edges: record::RawEdges<'b>,
    #[serde(borrow, default)]
    effect: Option<Cow<'b, str>>,
    #[serde(default)]
    generation: u32,
    #[serde(borrow, default)]
    ids_before: Vec<Cow<'b, str>>,
    #[serde(borrow, default)]
    inputs: Option<&'b RawValue>,
    #[serde(borrow, default)]
    instance: Option<Cow<'b, str>>,
    #[serde(borrow)]
    kind: Cow<'b, str>,
    not_after: u64,
    #[serde(borrow)]
    operation: Cow<'b, str>,
    #[serde(default)]
    protect: bool,
    #[serde(borrow, default)]
    provider: Option<Cow<'b, str>>,
    #[serde(borrow)]
    recovery: Cow<'b, str>,
    #[serde(borrow, default)]
    replace_on: Option<&'b RawValue>,
}

pub(in crate::state) fn read_intent(raw: RawIntent<'_>, view: &View, reading: &mut Reading<'_>) -> Result<Intent, WireError> {
    let address = address(&raw.address)?;
    let before = match &raw.before {
        None => None,
        Some(id) => find_record(view, &address, RecordId(unhex(id)?)),
    };
    let kind = reading.name(&raw.kind);
    let mut intent = Intent {
        operation: OperationId(unhex(&raw.operation)?),
        kind: kind.clone(),
        provider: raw.provider.map_or_else(|| record::default_provider(&kind), |it| ProviderName::parse(&it)),
        instance: raw.instance.map_or(Ok(address.clone()), |it| self::address(&it))?,
        address,
        call: call(&raw.call).ok_or(bad("a call"))?,
        action: reading.name(raw.action.as_deref().unwrap_or(&raw.call)),
        inputs: Default::default(),
        before,
        edges: record::read_edges(&raw.edges)?,
        protect: raw.protect,
        generation: raw.generation,
        replace_on: Vec::new(),
        recovery: reading.name(&raw.recovery),
        not_after: Duration::from_millis(raw.not_after),
        effect: raw.effect.map(|it| digest(&it)).transpose()?,
        ids_before: raw.ids_before.into_iter().map(Into::into).collect(),
        causes: causes(raw.causes, reading),
    };
    let record = match raw.before {
        None => intent.operation.record(),
        Some(id) => RecordId(unhex(&id)?),
    };
    if let Some(values) = raw.replace_on {
        let context = Context { record, kind: &kind, part: "intent.replace_on" };
        let value = reading.whole(context, values.get(), |read| read.value())?;
        intent.replace_on = value.as_list().ok_or(bad("a list of values"))?.to_vec();
    }
    if let Some(inputs) = raw.inputs {
        let context = Context { record, kind: &kind, part: "intent" };
        intent.inputs = reading.whole(context, inputs.get(), |read| read.fields())?;
    }
    Ok(intent)
}

fn find_record(view: &View, address: &Address, id: RecordId) -> Option<Arc<Record>> {
    let current = view.records.get(address).filter(|record| record.id == id);
    let deposed = || view.deposed.get(address).into_iter().flatten().find(|record| record.id == id);
    current.or_else(deposed).cloned()
}

fn call_word(call: IntentCall) -> &'static str {
    match call {
        IntentCall::Create => "create",
        IntentCall::Update => "update",
        IntentCall::Delete => "delete",
    }
}

fn call(word: &str) -> Option<IntentCall> {
    [IntentCall::Create, IntentCall::Update, IntentCall::Delete].into_iter().find(|call| call_word(*call) == word)
}

fn write_causes(object: &mut Object<'_>, causes: &BTreeMap<Name, String>) {
    if !causes.is_empty() {
        map(object.key("causes"), causes.iter(), |out, place| write_text(out, place));
    }
}

fn causes(raw: BTreeMap<Cow<'_, str>, Cow<'_, str>>, reading: &mut Reading<'_>) -> BTreeMap<Name, String> {
    raw.into_iter().map(|(name, place)| (reading.name(&name), place.into())).collect()
}

// Outcomes and writes.

fn write_outcome(object: &mut Object<'_>, outcome: &Outcome, view: &View, sealer: &dyn Sealer) -> Result<(), WireError> {
    if let OutcomeResult::Failed { code, .. } = &outcome.result {
        object.number("code", code);
    }
    object.number("ms", outcome.took.as_millis());
    let known = write_operation(object, outcome.operation, view);
    object.list("requests", &outcome.requests, |out, request| write_text(out, request));
    match &outcome.result {
        OutcomeResult::Failed { words, .. } => object.text("words", words),
        OutcomeResult::Done { writes } => record::write_all(object, writes, &Known::of(known), sealer)?,
    }
    Ok(())
}

#[derive(Deserialize)]
struct RawOutcome<'b> {
    #[serde(default)]
    code: Option<u16>,
    ms: u64,
    #[serde(default)]
    of: Option<u64>,
    #[serde(borrow, default)]
    operation: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    requests: Vec<Cow<'b, str>>,
    #[serde(borrow, default)]
    words: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    writes: Vec<&'b RawValue>,
}

fn read_outcome(raw: RawOutcome<'_>, view: &View, reading: &mut Reading<'_>) -> Result<Option<Outcome>, WireError> {
    let Some((operation, known)) = operation(raw.of, raw.operation, view)? else { return Ok(None) };
    let result = match raw.code {
        Some(code) => OutcomeResult::Failed { code, words: raw.words.unwrap_or_default().into() },
        None => OutcomeResult::Done { writes: record::read_all(&raw.writes, &Known::of(known), reading)? },
    };
    let requests = raw.requests.into_iter().map(Into::into).collect();
    Ok(Some(Outcome { operation, result, took: Duration::from_millis(raw.ms), requests }))
}

#[derive(Deserialize)]
struct RawWrite<'b> {
    #[serde(borrow)]
    action: Cow<'b, str>,
    #[serde(borrow, default)]
    causes: BTreeMap<Cow<'b, str>, Cow<'b, str>>,
    #[serde(borrow, default)]
    reason: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    writes: Vec<&'b RawValue>,
}

// What people did.

#[derive(Deserialize)]
struct RawPlan<'b> {
    #[serde(borrow)]
    effects: Cow<'b, str>,
    #[serde(borrow)]
    plan: Cow<'b, str>,
    #[serde(borrow)]
    who: Cow<'b, str>,
}

#[derive(Deserialize)]
pub(in crate::state) struct RawReveal<'b> {
    #[serde(borrow, default)]
    instance: Option<Cow<'b, str>>,
    #[serde(borrow)]
    place: Cow<'b, str>,
    #[serde(borrow)]
    reason: Cow<'b, str>,
    #[serde(borrow)]
    who: Cow<'b, str>,
}

impl RawReveal<'_> {
    pub fn revealed(self) -> Result<Revealed, WireError> {
        Ok(Revealed {
            instance: self.instance.map(|it| address(&it)).transpose()?,
            place: self.place.into(),
            reason: self.reason.into(),
            who: self.who.into(),
        })
    }
}

#[derive(Deserialize)]
pub(in crate::state) struct RawRestore<'b> {
    #[serde(default)]
    lost: u64,
    #[serde(borrow)]
    reason: Cow<'b, str>,
    #[serde(borrow)]
    who: Cow<'b, str>,
}

impl RawRestore<'_> {
    pub(in crate::state) fn restored(self) -> Restored {
        Restored { who: self.who.into(), reason: self.reason.into(), lost: self.lost }
    }
}

#[derive(Deserialize)]
pub(in crate::state) struct RawCarried<'b> {
    #[serde(borrow)]
    place: Cow<'b, str>,
    #[serde(borrow)]
    reason: Cow<'b, str>,
    #[serde(borrow)]
    who: Cow<'b, str>,
}

impl RawCarried<'_> {
    pub(in crate::state) fn carried(self) -> Carried {
        Carried { who: self.who.into(), reason: self.reason.into(), place: self.place.into() }
    }
}
