//! Taking over what exists: which object it is, and what state will hold of it.

use std::sync::Arc;

use super::Known;
use super::diff::same;
use super::moves::Placed;
use crate::model::schema::{Given, OnChange};
use crate::model::{
    Adoption, Code, Data, DesiredResource, Diagnostic, FieldChange, Fields, Kind, Record, RecordId, Step, Value, Wanted,
};

/// How many objects, or fields, a refusal names.
const NAMED: usize = 5;

/// The record that an adoption makes of an object, and what the platform calls it; `None` where it was adopted before.
///
/// Errors: [`Code::NotFound`] where no object fits, [`Code::SeveralFound`] where more than one does, and [`Code::NotAdopted`]
/// where the object is recorded already, where another one is recorded here, or where nobody could look.
pub(super) fn adopted(
    adoption: &Adoption,
    desired: &DesiredResource,
    known: &Known<'_>,
    placed: &Placed<'_>,
) -> Result<Option<(Arc<Record>, String)>, Box<Diagnostic>> {
    let (kind, address) = (&desired.kind, &desired.address);
    if let Some(record) = placed.at(address) {
        let is_it = match &adoption.object {
            Wanted::Id(id) => record.attribute(&kind.id).is_none_or(|recorded| text_of(recorded) == text_of(id)),
            Wanted::Query(_) => true,
        };
        if is_it {
            return Ok(None);
        }
        let held = record.attribute(&kind.id).map(text_of).unwrap_or_default();
        let diagnostic = Code::NotAdopted
            .error(format!("`{address}` cannot adopt {}: it is another object already", adoption.object))
            .label(adoption.span, "adopts here")
            .note(format!("state holds it as the object `{held}`"))
            .help("give it another address, or `forget` what is recorded here first");
        return Err(Box::new(diagnostic.about(address.clone())));
    }
    let Some(found) = known.seen.adoptable.get(address) else { return Err(Box::new(not_looked(adoption, desired))) };
    let live = match &found[..] {
        [only] => only,
        [] => return Err(Box::new(not_found(adoption, desired))),
        several => return Err(Box::new(several_found(adoption, kind, several))),
    };
    let owner = known.records.values().chain(known.deposed.values().flatten()).find(|record| is_object(kind, record, live));
    if let Some(owner) = owner {
        let diagnostic = Code::NotAdopted
            .error(format!("`{address}` cannot adopt {}: that is `{}`", adoption.object, owner.address))
            .label(adoption.span, "adopts here")
            .help(format!(
                "to give it the new address, write `moved {{ from = {:?}, to = {:?} }}`",
                owner.address.as_str(),
                address.as_str()
            ));
        return Err(Box::new(diagnostic.about(address.clone())));
    }
    let id = live.get(&kind.id).map(text_of).unwrap_or_default();
    Ok(Some((Arc::new(record(desired, live)), id)))
}

/// What state will hold of a live object, so that what the program wants of it otherwise is a difference.
pub fn record(desired: &DesiredResource, live: &Fields) -> Record {
    let (mut inputs, mut computed) = (Fields::new(), Fields::new());
    for attribute in &desired.kind.attributes {
        let Some(value) = live.get(&attribute.name).filter(|value| !value.is_null()) else { continue };
        let wanted = desired.attributes.get(&attribute.name);
        let is_said = match (&attribute.given, wanted) {
            _ if attribute.is_computed() => false,
            (_, Some(_)) => true,
            (Given::OptionalComputed, None) => false,
            // What the program does not say goes away, if that can be without a new object.
            (_, None) => !is_empty(value) && !matches!(attribute.on_change, OnChange::Replace(_)),
        };
        match (is_said, wanted) {
            (true, Some(wanted)) if same(&attribute.ty, Some(wanted), Some(value)) => {
                inputs.insert(attribute.name.clone(), wanted.clone());
                if wanted != value {
                    computed.insert(attribute.name.clone(), value.clone());
                }
            }
            (true, _) => drop(inputs.insert(attribute.name.clone(), value.clone())),
            (false, _) => drop(computed.insert(attribute.name.clone(), value.clone())),
        }
    }
    Record {
        address: desired.address.clone(),
        id: RecordId([0; 16]),
        kind: desired.kind.name.clone(),
        provider: desired.provider.clone(),
        instance: desired.instance.clone(),
        inputs,
        computed,
        edges: super::record_edges(desired),
        protect: desired.lifecycle.protect,
        replace_on: desired.lifecycle.replace_on.clone(),
        generation: 0,
        declared_at: String::new(),
        schema_version: 0,
        version: 0,
        deposed: false,
    }
}

/// An adoption leaves the object what it is: one that would have to be replaced is not adopted.
pub fn refuse_replacement(adoption: crate::model::Span, desired: &DesiredResource, forced: &[FieldChange]) -> Diagnostic {
    let name = |field: &FieldChange| match field.path.first() {
        Some(Step::Field(name)) => format!("`{name}`"),
        _ => "an attribute".to_owned(),
    };
    let mut names: Vec<String> = forced.iter().map(name).collect();
    names.dedup();
    let mut diagnostic = Code::NotAdopted
        .error(format!("`{}` would be replaced as soon as it is adopted", desired.address))
        .label(adoption, "adopts here")
        .labels(forced.iter().filter_map(|field| Some((field.cause?, format!("differs in {}", name(field))))));
    for field in forced.iter().take(NAMED) {
        let side = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_literal);
        let why = field.forces_replacement.unwrap_or("change it in place");
        diagnostic = diagnostic.note(format!(
            "{} is {} there, and {} in the program; {} cannot {why}",
            name(field),
            side(&field.before),
            side(&field.after),
            desired.kind.provider()
        ));
    }
    diagnostic
        .help(format!("let the program say what the object has in {}, and change it afterwards", names.join(", ")))
        .about(desired.address.clone())
}

/// Whether a record is of this object.
fn is_object(kind: &Kind, record: &Record, live: &Fields) -> bool {
    let same_in = |name: &crate::model::Name| match (record.attribute(name), live.get(name)) {
        (Some(recorded), Some(live)) => recorded == live,
        _ => true,
    };
    let has_id = record.attribute(&kind.id).is_some() && live.contains_key(&kind.id);
    record.kind == kind.name && has_id && same_in(&kind.id) && kind.list_by.iter().flatten().all(same_in)
}

fn is_empty(value: &Value) -> bool {
    match &value.data {
        Data::List(items) => items.is_empty(),
        Data::Map(fields) => fields.is_empty(),
        Data::Text(text) => text.is_empty(),
        Data::Bool(value) => !value,
        _ => false,
    }
}

/// An id as people type it.
pub(super) fn text_of(value: &Value) -> String {
    value.as_text().map_or_else(|| value.to_literal(), str::to_owned)
}

fn not_found(adoption: &Adoption, desired: &DesiredResource) -> Diagnostic {
    Code::NotFound
        .error(format!("{} has no `{}` with {}", desired.provider, desired.kind.name, adoption.object))
        .label(adoption.span, "nothing to adopt")
        .help(format!("correct it; without it `{}` would be created", desired.address))
        .about(desired.address.clone())
}

fn several_found(adoption: &Adoption, kind: &Kind, found: &[Arc<Fields>]) -> Diagnostic {
    let ids: Vec<String> =
        found.iter().take(NAMED).filter_map(|object| object.get(&kind.id)).map(|id| format!("`{}`", text_of(id))).collect();
    let more = if found.len() > NAMED { format!(" and {} more", found.len() - NAMED) } else { String::new() };
    Code::SeveralFound
        .error(format!("{} objects are a `{}` with {}", found.len(), kind.name, adoption.object))
        .label(adoption.span, "means one of them")
        .note(format!("their `{}`: {}{more}", kind.id, ids.join(", ")))
        .help("say more in `query`, or give the `id`")
        .about(adoption.address.clone())
}

fn not_looked(adoption: &Adoption, desired: &DesiredResource) -> Diagnostic {
    let diagnostic = Code::NotAdopted
        .error(format!("`{}` cannot adopt {}: the platform was not asked", desired.address, adoption.object))
        .label(adoption.span, "adopts here")
        .about(desired.address.clone());
    let mut group = desired.kind.list_by.iter().flatten();
    let late = group.find(|name| desired.attributes.get(*name).is_some_and(Value::has_unknown));
    match late {
        Some(name) => diagnostic
            .note(format!("where it is looked for follows from `{name}`, which is known only after apply"))
            .help(format!("what holds it exists as well: adopt that too, or give `{name}` as it is there")),
        None => diagnostic.help("plan without `--offline`"),
    }
}
