//! What to look at before a plan is made, and how the answers are told apart. The looking itself is done elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::canonical;
use crate::model::{
    Address, Adoption, Desired, Fields, Kind, Name, ProviderName, Record, Schemas, Seen, SeenResource, Step, Value, Wanted,
};

/// One question to a platform.
#[derive(Clone, Debug)]
pub struct Look {
    pub provider: ProviderName,
    pub kind: Arc<Kind>,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// All objects that agree in `group`, the kind's `list_by` attributes; these records are among them or gone.
    List { group: Fields, records: Vec<Address> },
    /// One object, by what its record holds; for a data source by its arguments.
    Read { address: Address, known: Fields },
    /// The objects that an address may adopt: all that agree in `group` and are as `query` says, or one by what is `known` of it.
    Adopt { address: Address, group: Option<Fields>, query: Fields, known: Fields },
}

/// What to ask so that every record is looked at, in as few calls as there are groups: a kind that can be listed is listed once a
/// provider instance and group, the rest are read one by one. Data sources of the program are read where their arguments are
/// known, or follow from records. Acts, which leave no object, and what is only stored are not looked
/// at. Ordered.
pub fn looks(desired: &Desired, records: &BTreeMap<Address, Arc<Record>>, schemas: &Schemas) -> Vec<Look> {
    let mut listed: BTreeMap<(ProviderName, Name, Vec<u8>), Look> = BTreeMap::new();
    let mut looks = Vec::new();
    for record in records.values() {
        let Some(kind) = schemas.kind(&record.kind).filter(|kind| !kind.act && !kind.data && !kind.stored) else {
            continue;
        };
        let Some(group) = group_of(kind, record) else {
            let what = What::Read { address: record.address.clone(), known: record.attributes() };
            looks.push(Look { provider: record.provider.clone(), kind: kind.clone(), what });
            continue;
        };
        let key = (record.provider.clone(), record.kind.clone(), canonical::bytes(&group));
        let look = listed.entry(key).or_insert_with(|| Look {
            provider: record.provider.clone(),
            kind: kind.clone(),
            what: What::List { group, records: Vec::new() },
        });
        if let What::List { records, .. } = &mut look.what {
            records.push(record.address.clone());
        }
    }
    let data = desired.resources.iter().filter(|resource| resource.kind.data);
    let known = |address: &Address, path: &[crate::model::Step]| {
        let record = records.get(address)?;
        match path.split_first() {
            Some((crate::model::Step::Field(name), rest)) => super::diff::part(record.attribute(name)?, rest),
            Some((crate::model::Step::Item(_), _)) => None,
            None => Some(Value::map(record.attributes())),
        }
    };
    for resource in data {
        let arguments = resource.attributes.iter().map(|(name, value)| {
            let value = if value.has_unknown() { crate::eval::resume(value, &known).ok()? } else { value.clone() };
            (!value.has_unknown()).then(|| (name.clone(), value))
        });
        if let Some(known) = arguments.collect::<Option<Fields>>() {
            let what = What::Read { address: resource.address.clone(), known };
            looks.push(Look { provider: resource.provider.clone(), kind: resource.kind.clone(), what });
        }
    }
    looks.extend(
        desired.adopt.iter().filter(|it| !records.contains_key(&it.address)).filter_map(|it| adoption(it, desired, &known)),
    );
    listed.into_values().chain(looks).collect()
}

/// Where to look for an object that is to be adopted; `None` where that is known only after an apply.
fn adoption(adoption: &Adoption, desired: &Desired, recorded: &dyn Fn(&Address, &[Step]) -> Option<Value>) -> Option<Look> {
    let resource = desired.resources.iter().find(|it| it.address == adoption.address)?;
    let kind = &resource.kind;
    let given = |address: &Address, path: &[Step]| {
        let declared = desired.resources.iter().find(|it| it.address == *address);
        let given = declared.zip(path.first()).and_then(|(declared, step)| match step {
            Step::Field(name) => super::diff::part(declared.attributes.get(name)?, &path[1..]),
            Step::Item(_) => None,
        });
        given.filter(|value| !value.has_unknown()).or_else(|| recorded(address, path))
    };
    let value = |value: &Value| if value.has_unknown() { crate::eval::resume(value, &given).ok() } else { Some(value.clone()) };
    let known: Fields = resource.attributes.iter().filter_map(|(name, it)| Some((name.clone(), value(it)?))).collect();
    let known: Fields = known.into_iter().filter(|(_, value)| !value.has_unknown()).collect();
    let group = |query: &Fields| -> Option<Fields> {
        let names =
            kind.list_by.iter().flatten().filter(|name| query.contains_key(*name) || resource.attributes.contains_key(*name));
        names.map(|name| Some((name.clone(), query.get(name).or(known.get(name))?.clone()))).collect()
    };
    let address = adoption.address.clone();
    let what = match &adoption.object {
        Wanted::Id(id) => {
            group(&Fields::new())?;
            let mut known = known.clone();
            known.insert(kind.id.clone(), id.clone());
            What::Adopt { address, group: None, query: Fields::new(), known }
        }
        Wanted::Query(query) if kind.list_by.is_some() => {
            What::Adopt { address, group: Some(group(query)?), query: query.clone(), known }
        }
        Wanted::Query(query) => {
            let mut known = known.clone();
            known.extend(query.iter().map(|(name, value)| (name.clone(), value.clone())));
            What::Adopt { address, group: None, query: query.clone(), known }
        }
    };
    Some(Look { provider: resource.provider.clone(), kind: kind.clone(), what })
}

/// Writes down which objects fit an adoption.
pub fn sort_adoption(look: &Look, objects: Vec<Fields>, seen: &mut Seen) {
    let What::Adopt { address, query, .. } = &look.what else { return };
    let fits = |object: &Fields| {
        query.iter().all(|(name, wanted)| {
            let ty = look.kind.attribute(name).map_or(&crate::model::Type::Any, |attribute| &attribute.ty);
            super::diff::same(ty, Some(wanted), object.get(name))
        })
    };
    let fitting = objects.into_iter().filter(fits).map(Arc::new).collect();
    seen.adoptable.insert(address.clone(), fitting);
}

/// The values of the attributes by which a record's kind is listed; `None` where it cannot be listed, or one is not recorded or
/// secret.
fn group_of(kind: &Kind, record: &Record) -> Option<Fields> {
    let names = kind.list_by.as_ref()?.iter();
    names
        .map(|name| {
            let value = record.inputs.get(name).or(record.computed.get(name))?;
            (!value.has_secret()).then(|| (name.clone(), value.clone()))
        })
        .collect()
}

/// Writes down what a listing says of its records. `listed` is what [`crate::providers::contract::Connection::list`] gave:
/// `None` where what contains the objects is gone itself. Objects that no record knows are left alone.
pub fn sort_listing(look: &Look, listed: Option<Vec<Fields>>, records: &BTreeMap<Address, Arc<Record>>, seen: &mut Seen) {
    let What::List { records: asked, .. } = &look.what else { return };
    let key_of = |value: Option<&Value>| value.filter(|value| !value.is_null()).map(key);
    let objects: Vec<Arc<Fields>> = listed.unwrap_or_default().into_iter().map(Arc::new).collect();
    let by_id: BTreeMap<Vec<u8>, &Arc<Fields>> =
        objects.iter().filter_map(|object| Some((key_of(object.get(&look.kind.id))?, object))).collect();
    for address in asked {
        let Some(record) = records.get(address) else { continue };
        let found = match key_of(record.attribute(&look.kind.id)) {
            Some(id) => by_id.get(&id).copied(),
            None => objects.iter().find(|object| is_same_object(&look.kind, record, object)),
        };
        let what = found.map_or(SeenResource::Gone, |object| SeenResource::Live(object.clone()));
        seen.resources.insert(address.clone(), what);
    }
}

/// Writes down what reading one object, or a data source, gave.
pub fn sort_reading(look: &Look, read: Option<Fields>, seen: &mut Seen) {
    let What::Read { address, .. } = &look.what else { return };
    let what = read.map_or(SeenResource::Gone, |fields| SeenResource::Live(Arc::new(fields)));
    seen.resources.insert(address.clone(), what);
}

fn is_same_object(kind: &Kind, record: &Record, object: &Fields) -> bool {
    let identity = &kind.identity;
    !identity.is_empty()
        && identity.iter().all(|name| record.attribute(name).is_some_and(|value| object.get(name) == Some(value)))
}

fn key(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    canonical::write_value(&mut out, value);
    out
}
