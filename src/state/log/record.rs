//! The bytes of records and of what is done to them. Beside an intent, only what the intent does not say is written.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry::RecordWrite;
use super::object::{Object, list};
use super::wire::{address, bad, hex, parse, unhex};
use crate::model::canonical::write_text;
use crate::model::desired::EdgeReason;
use crate::model::value::Fields;
use crate::model::wire::{Context, Reading, Sealer, Wire, WireError};
use crate::model::{ProviderName, Record, RecordEdge, RecordId, Value};
use crate::state::view::OpenIntent;

/// What a reader of a record knows already: the intent that led to it, if there was one.
#[derive(Clone, Copy, Default)]
pub(in crate::state) struct Known<'k> {
    intent: Option<&'k OpenIntent>,
}

impl<'k> Known<'k> {
    pub fn of(open: Option<&'k Arc<OpenIntent>>) -> Known<'k> {
        Known { intent: open.map(|open| &**open) }
    }

    fn id(&self) -> Option<RecordId> {
        let intent = &self.intent?.intent;
        Some(intent.before.as_ref().map_or(intent.operation.record(), |before| before.id))
    }
}

pub(super) fn default_provider(kind: &str) -> ProviderName {
    ProviderName { ty: kind.split('.').next().unwrap_or(kind).into(), name: None }
}

pub(super) fn is_default_provider(provider: &ProviderName, kind: &str) -> bool {
    provider.name.is_none() && kind.split('.').next() == Some(&*provider.ty)
}

pub(super) fn write_all(
    object: &mut Object<'_>,
    writes: &[RecordWrite],
    known: &Known<'_>,
    sealer: &dyn Sealer,
) -> Result<(), WireError> {
    let mut result = Ok(());
    object.list("writes", writes, |out, write| {
        let written = write_one(out, write, known, sealer);
        result = std::mem::replace(&mut result, Ok(())).and(written);
    });
    result
}

fn write_one(out: &mut Vec<u8>, write: &RecordWrite, known: &Known<'_>, sealer: &dyn Sealer) -> Result<(), WireError> {
    let mut object = Object::new(out);
    match write {
        RecordWrite::Put(record) => {
            write_record(object.key("put"), record, known, sealer)?;
        }
        RecordWrite::Remove(address) => object.text("remove", address.as_str()),
        RecordWrite::Depose(address) => object.text("depose", address.as_str()),
        RecordWrite::RemoveDeposed { address, id } => {
            object.text("id", &hex(&id.0));
            object.text("remove_deposed", address.as_str());
        }
        RecordWrite::Move { from, to } => {
            object.text("from", from.as_str());
            object.text("move", to.as_str());
        }
    }
    object.end();
    Ok(())
}

pub(in crate::state) fn write_record(
    out: &mut Vec<u8>,
    record: &Record,
    known: &Known<'_>,
    sealer: &dyn Sealer,
) -> Result<(), WireError> {
    let wire = Wire::sealed(sealer);
    let intent = known.intent.map(|open| &*open.intent);
    let context = |part| Context { record: record.id, kind: &record.kind, part };
    let mut object = Object::new(out);
    if intent.is_none_or(|it| it.address != record.address) {
        object.text("address", record.address.as_str());
    }
    if !record.computed.is_empty() {
        wire.write_fields(object.key("computed"), context("computed"), &record.computed)?;
    }
    if !record.declared_at.is_empty() {
        object.text("declared_at", &record.declared_at);
    }
    if record.deposed {
        object.key("deposed").extend_from_slice(b"true");
    }
    if record.edges != intent.map(|it| it.edges.as_slice()).unwrap_or_default() {
        write_edges(object.key("edges"), &record.edges);
    }
    if record.generation != 0 {
        object.number("generation", record.generation);
    }
    if known.id() != Some(record.id) {
        object.text("id", &hex(&record.id.0));
    }
    if intent.is_none_or(|it| !same_fields(&it.inputs, &record.inputs)) {
        wire.write_fields(object.key("inputs"), context("inputs"), &record.inputs)?;
    }
    if intent.map_or(&record.address, |it| &it.instance) != &record.instance {
        object.text("instance", record.instance.as_str());
    }
    if intent.is_none_or(|it| it.kind != record.kind) {
        object.text("kind", &record.kind);
    }
    if record.protect != intent.is_some_and(|it| it.protect) {
        object.key("protect").extend_from_slice(if record.protect { b"true" } else { b"false" });
    }
    match intent {
        Some(intent) if intent.provider == record.provider => {}
        None if is_default_provider(&record.provider, &record.kind) => {}
        _ => object.text("provider", &record.provider.to_string()),
    }
    if !record.replace_on.is_empty() {
        let values = Value::list(record.replace_on.clone());
        wire.write_value(object.key("replace_on"), context("replace_on"), &values)?;
    }
    object.number("schema", record.schema_version);
    object.end();
    Ok(())
}

pub(super) fn write_edges(out: &mut Vec<u8>, edges: &[RecordEdge]) {
    list(out, edges, |out, edge| {
        list(out, &[edge.to.as_str(), reason_word(edge.reason)], |out, text| write_text(out, text));
    });
}

/// As they are written: address and word.
pub(super) type RawEdges<'b> = Vec<(Cow<'b, str>, Cow<'b, str>)>;

pub(super) fn read_edges(raw: &RawEdges<'_>) -> Result<Vec<RecordEdge>, WireError> {
    let edge = |(to, word): &(Cow<'_, str>, Cow<'_, str>)| {
        Ok(RecordEdge { to: address(to)?, reason: reason(word).ok_or(bad("a reason of an edge"))? })
    };
    raw.iter().map(edge).collect()
}

/// Equal in every bit that is stored: values, their secrecy and their networks.
fn same_fields(a: &Fields, b: &Fields) -> bool {
    a == b && a.values().zip(b.values()).all(|(a, b)| same_marks(a, b))
}

fn same_marks(a: &Value, b: &Value) -> bool {
    use crate::model::Data::*;
    a.mark.secret == b.mark.secret
        && a.mark.within == b.mark.within
        && match (&a.data, &b.data) {
            (List(a), List(b)) => a.iter().zip(b.iter()).all(|(a, b)| same_marks(a, b)),
            (Map(a), Map(b)) | (Variant(_, a), Variant(_, b)) => a.values().zip(b.values()).all(|(a, b)| same_marks(a, b)),
            (Range(a), Range(b)) => same_marks(&a.0, &b.0) && same_marks(&a.1, &b.1),
            // Equal in value, and of one kind: `1` and `1.0` are not the same bytes.
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b) && same_scale(a, b),
        }
}

fn same_scale(a: &crate::model::Data, b: &crate::model::Data) -> bool {
    use crate::model::Data::*;
    match (a, b) {
        (Number(a), Number(b)) | (Percent(a), Percent(b)) | (Rate(a), Rate(b)) | (Money(a, _), Money(b, _)) => {
            a.scale() == b.scale()
        }
        _ => true,
    }
}

fn reason_word(reason: EdgeReason) -> &'static str {
    match reason {
        EdgeReason::Reference => "reference",
        EdgeReason::Instance => "instance",
        EdgeReason::After => "after",
    }
}

fn reason(word: &str) -> Option<EdgeReason> {
    [EdgeReason::Reference, EdgeReason::Instance, EdgeReason::After].into_iter().find(|reason| reason_word(*reason) == word)
}

pub(super) fn read_all(
    writes: &[&RawValue],
    known: &Known<'_>,
    reading: &mut Reading<'_>,
) -> Result<Vec<RecordWrite>, WireError> {
    writes.iter().map(|write| read_one(parse(write.get().as_bytes())?, known, reading)).collect()
}

#[derive(Deserialize)]
struct RawWrite<'b> {
    #[serde(borrow, default)]
    put: Option<&'b RawValue>,
    #[serde(borrow, default)]
    remove: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    depose: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    remove_deposed: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    from: Option<Cow<'b, str>>,
    #[serde(borrow, default, rename = "move")]
    to: Option<Cow<'b, str>>,
}

fn read_one(raw: RawWrite<'_>, known: &Known<'_>, reading: &mut Reading<'_>) -> Result<RecordWrite, WireError> {
    Ok(match raw {
        RawWrite { put: Some(record), .. } => {
            RecordWrite::Put(Arc::new(read_record(record.get().as_bytes(), known, 0, reading)?))
        }
        RawWrite { remove: Some(at), .. } => RecordWrite::Remove(address(&at)?),
        RawWrite { depose: Some(at), .. } => RecordWrite::Depose(address(&at)?),
        RawWrite { remove_deposed: Some(at), id: Some(id), .. } => {
            RecordWrite::RemoveDeposed { address: address(&at)?, id: RecordId(unhex(&id)?) }
        }
        RawWrite { from: Some(from), to: Some(to), .. } => RecordWrite::Move { from: address(&from)?, to: address(&to)? },
        _ => return Err(bad("a change of a record")),
    })
}

#[derive(Deserialize)]
struct RawRecord<'b> {
    #[serde(borrow, default)]
    address: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    computed: Option<&'b RawValue>,
    #[serde(borrow, default)]
    declared_at: Option<Cow<'b, str>>,
    #[serde(default)]
    deposed: bool,
    #[serde(borrow, default)]
    edges: Option<RawEdges<'b>>,
    #[serde(default)]
    generation: u32,
    #[serde(borrow, default)]
    id: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    inputs: Option<&'b RawValue>,
    #[serde(borrow, default)]
    instance: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    kind: Option<Cow<'b, str>>,
    #[serde(default)]
    protect: Option<bool>,
    #[serde(borrow, default)]
    provider: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    replace_on: Option<&'b RawValue>,
    schema: u32,
}

pub(in crate::state) fn read_record(
    bytes: &[u8],
    known: &Known<'_>,
    version: u64,
    reading: &mut Reading<'_>,
) -> Result<Record, WireError> {
    let raw: RawRecord<'_> = parse(bytes)?;
    let intent = known.intent.map(|open| &*open.intent);
    let missing = || bad("a whole record");
    let at = match &raw.address {
        Some(text) => address(text)?,
        None => intent.ok_or_else(missing)?.address.clone(),
    };
    let kind = match &raw.kind {
        Some(kind) => reading.name(kind),
        None => intent.ok_or_else(missing)?.kind.clone(),
    };
    let id = match &raw.id {
        Some(id) => RecordId(unhex(id)?),
        None => known.id().ok_or_else(missing)?,
    };
    let context = |part| Context { record: id, kind: &kind, part };
    let mut fields = |part, raw: Option<&RawValue>| match raw {
        None => Ok(Fields::new()),
        Some(raw) => reading.whole(context(part), raw.get(), |read| read.fields()),
    };
    let computed = fields("computed", raw.computed)?;
    let inputs = match (raw.inputs, intent) {
        (None, Some(intent)) => intent.inputs.clone(),
        (inputs, _) => fields("inputs", inputs)?,
    };
    let replace_on = match raw.replace_on {
        None => Vec::new(),
        Some(raw) => {
            let value = reading.whole(context("replace_on"), raw.get(), |read| read.value())?;
            value.as_list().ok_or(bad("a list"))?.to_vec()
        }
    };
    let edges = match (&raw.edges, intent) {
        (Some(edges), _) => read_edges(edges)?,
        (None, intent) => intent.map(|it| it.edges.clone()).unwrap_or_default(),
    };
    Ok(Record {
        id,
        provider: match (&raw.provider, intent) {
            (Some(provider), _) => ProviderName::parse(provider),
            (None, Some(intent)) => intent.provider.clone(),
            (None, None) => default_provider(&kind),
        },
        instance: match (&raw.instance, intent) {
            (Some(instance), _) => address(instance)?,
            (None, Some(intent)) => intent.instance.clone(),
            (None, None) => at.clone(),
        },
        address: at,
        kind: kind.clone(),
        inputs,
        computed,
        edges,
        protect: raw.protect.unwrap_or(intent.is_some_and(|it| it.protect)),
        replace_on,
        generation: raw.generation,
        declared_at: raw.declared_at.unwrap_or_default().into(),
        schema_version: raw.schema,
        version,
        deposed: raw.deposed,
    })
}
