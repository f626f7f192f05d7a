//! What state holds of a resource after a call.

use crate::model::schema::Given;
use crate::model::{Change, DesiredResource, Fields, Kind, KnownSecrets, Name, Record, RecordId, Value};

/// What will be recorded once a call is done, all but what the platform computes.
///
/// `inputs` and `replace_on` are complete and known. `before` is the record of the object that stays, or `None` for a new one.
pub fn draft(
    change: &Change,
    desired: &DesiredResource,
    inputs: Fields,
    replace_on: Vec<Value>,
    before: Option<&Record>,
    generation: u32,
) -> Record {
    Record {
        address: change.address.clone(),
        id: before.map_or(RecordId([0; 16]), |record| record.id),
        kind: change.kind.name.clone(),
        provider: desired.provider.clone(),
        instance: desired.instance.clone(),
        inputs,
        computed: before.map(|record| record.computed.clone()).unwrap_or_default(),
        edges: crate::plan::record_edges(desired),
        protect: desired.lifecycle.protect,
        replace_on,
        generation,
        declared_at: change.declared_at.clone(),
        schema_version: change.schema_version,
        version: 0,
        deposed: false,
    }
}

/// The draft with what the platform answered.
///
/// What it does not tell stays as it was: a computed attribute, and the form of an input that did not change (`before` are the
/// inputs of the object before the call). What the schema calls sensitive is secret when the platform makes it, and so is
/// whatever repeats a secret that was sent.
pub fn completed(mut draft: Record, kind: &Kind, answer: &Fields, before: Option<&Record>) -> Record {
    let secrets = KnownSecrets::of(&draft.inputs);
    let unchanged = |name: &Name| before.is_some_and(|before| before.inputs.get(name) == draft.inputs.get(name));
    let stays = |name: &Name| {
        let attribute = kind.attribute(name);
        !answer.contains_key(name) && attribute.is_some_and(|attribute| attribute.is_computed() || unchanged(name))
    };
    let mut computed: Fields =
        draft.computed.iter().filter(|(name, _)| stays(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    for attribute in &kind.attributes {
        let Some(value) = answer.get(&attribute.name).filter(|value| !value.is_null()) else { continue };
        let input = draft.inputs.get(&attribute.name);
        if input == Some(value) {
            continue;
        }
        let mut value = secrets.taint(value);
        let made = matches!(attribute.given, Given::Computed | Given::Live | Given::OptionalComputed) && input.is_none();
        value.mark.secret |= attribute.sensitive && (made || input.is_some_and(Value::has_secret));
        computed.insert(attribute.name.clone(), value);
    }
    draft.computed = computed;
    draft
}
