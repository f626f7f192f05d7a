//! What differs between two values, part by part.

use std::collections::BTreeSet;

use crate::model::expr::Step;
use crate::model::{Data, FieldChange, Name, Span, Type, Value};

/// Appends a change for every part of an attribute in which `before` and `after` differ; nothing if they are the same.
///
/// Null and absent are one, also inside objects; sets have no order; a secret is never looked into, and an unknown value
/// differs from whatever is known. `path` is where the values stand. Changes come in order of their paths.
pub fn differences(ty: &Type, path: Vec<Step>, before: Option<&Value>, after: Option<&Value>, out: &mut Vec<FieldChange>) {
    let mut walk = Walk { out, path };
    walk.compare(ty, before, after, None);
}

/// Whether two values are the same, in the sense of [`differences`].
pub fn same(ty: &Type, before: Option<&Value>, after: Option<&Value>) -> bool {
    let mut out = Vec::new();
    differences(ty, Vec::new(), before, after, &mut out);
    out.is_empty()
}

struct Walk<'o> {
    out: &'o mut Vec<FieldChange>,
    path: Vec<Step>,
}

impl Walk<'_> {
    fn compare(&mut self, ty: &Type, before: Option<&Value>, after: Option<&Value>, cause: Option<Span>) {
        let before = before.filter(|value| !value.is_null());
        let after = after.filter(|value| !value.is_null());
        if before == after {
            return;
        }
        let cause = after.map(|value| value.mark.origin).filter(|span| !span.is_engine()).or(cause);
        let (Some(old), Some(new)) = (before, after) else {
            return self.differ(before, after, cause);
        };
        if old.mark.secret || new.mark.secret {
            return self.differ(before, after, cause);
        }
        match (&old.data, &new.data) {
            (Data::Map(a), Data::Map(b)) => {
                for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                    self.step(Step::Field(name.clone()), field_type(ty, name), a.get(name), b.get(name), cause);
                }
            }
            (Data::Variant(label, a), Data::Variant(other, b)) if label == other => {
                for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                    let ty = case_field_type(ty, label, name);
                    self.step(Step::Field(name.clone()), ty, a.get(name), b.get(name), cause);
                }
            }
            (Data::List(a), Data::List(b)) if matches!(ty.bare(), Type::Set(_)) => {
                if !same_members(a, b) {
                    self.differ(before, after, cause);
                }
            }
            (Data::List(a), Data::List(b)) if a.len() == b.len() => {
                for (at, (old, new)) in a.iter().zip(b.iter()).enumerate() {
                    self.step(Step::Item(at as u32), item_type(ty), Some(old), Some(new), cause);
                }
            }
            _ => self.differ(before, after, cause),
        }
    }

    fn step(&mut self, step: Step, ty: &Type, before: Option<&Value>, after: Option<&Value>, cause: Option<Span>) {
        self.path.push(step);
        self.compare(ty, before, after, cause);
        self.path.pop();
    }

    fn differ(&mut self, before: Option<&Value>, after: Option<&Value>, cause: Option<Span>) {
        self.out.push(FieldChange {
            path: self.path.clone(),
            before: before.cloned(),
            after: after.cloned(),
            forces_replacement: None,
            cause,
        });
    }
}

fn field_type<'t>(ty: &'t Type, name: &Name) -> &'t Type {
    match ty.bare() {
        Type::Object(object) => object.fields.get(name).map_or(&Type::Any, |field| &field.ty),
        Type::Map(of) => of,
        _ => &Type::Any,
    }
}

fn case_field_type<'t>(ty: &'t Type, label: &Name, name: &Name) -> &'t Type {
    match ty.bare() {
        Type::Variant(variant) => {
            variant.cases.get(label).and_then(|case| case.fields.get(name)).map_or(&Type::Any, |field| &field.ty)
        }
        _ => &Type::Any,
    }
}

fn item_type(ty: &Type) -> &Type {
    match ty.bare() {
        Type::List(of, _) | Type::Set(of) => of,
        _ => &Type::Any,
    }
}

/// Whether two lists hold the same members, each as often.
fn same_members(a: &[Value], b: &[Value]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let sorted = |items: &[Value]| {
        let mut items: Vec<(Vec<u8>, Value)> = items.iter().map(|item| (bytes(item), item.clone())).collect();
        items.sort_by(|(a, _), (b, _)| a.cmp(b));
        items
    };
    let (a, mut b) = (sorted(a), sorted(b));
    // Equal bytes stand together; only secrets have equal bytes and may still differ, so they are matched among themselves.
    for (at, (key, item)) in a.iter().enumerate() {
        let found = (at..b.len()).take_while(|place| b[*place].0 == *key).find(|place| b[*place].1 == *item);
        match found {
            Some(place) => b.swap(at, place),
            None => return false,
        }
    }
    true
}

fn bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    crate::model::canonical::write_value(&mut out, value);
    out
}

/// The part of a value at a path; null for a field that is not there, `None` where the path does not fit.
pub fn part(value: &Value, path: &[Step]) -> Option<Value> {
    let Some((step, rest)) = path.split_first() else {
        return Some(value.clone());
    };
    let inner = match (step, &value.data) {
        (Step::Field(name), Data::Map(fields) | Data::Variant(_, fields)) => match fields.get(name) {
            Some(inner) => inner,
            None => return Some(Value::null().at(value.mark.origin)),
        },
        (Step::Item(at), Data::List(items)) => items.get(*at as usize)?,
        _ => return None,
    };
    let mut found = part(inner, rest)?;
    // What is inside of a secret is one.
    found.mark.secret |= value.mark.secret;
    Some(found)
}

/// The value with the part at `path` replaced; `None` takes it away. Unchanged where the path does not fit.
pub fn with_part(value: Option<&Value>, path: &[Step], new: Option<&Value>) -> Option<Value> {
    let Some((step, rest)) = path.split_first() else {
        return new.cloned();
    };
    let value = value?;
    let mut changed = value.clone();
    match (step, &value.data) {
        (Step::Field(name), Data::Map(fields)) => {
            let mut fields = (**fields).clone();
            put(&mut fields, name, rest, new);
            changed.data = Data::Map(fields.into());
        }
        (Step::Field(name), Data::Variant(label, fields)) => {
            let mut fields = (**fields).clone();
            put(&mut fields, name, rest, new);
            changed.data = Data::Variant(label.clone(), fields.into());
        }
        (Step::Item(at), Data::List(items)) if (*at as usize) < items.len() => {
            let mut items = (**items).clone();
            items[*at as usize] = with_part(Some(&items[*at as usize]), rest, new).unwrap_or_else(Value::null);
            changed.data = Data::List(items.into());
        }
        _ => {}
    }
    Some(changed)
}

fn put(fields: &mut crate::model::Fields, name: &Name, rest: &[Step], new: Option<&Value>) {
    match with_part(fields.get(name), rest, new) {
        Some(value) => drop(fields.insert(name.clone(), value)),
        None => drop(fields.remove(name)),
    }
}
