//! Lists as sets, and lists of lists.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rust_decimal::Decimal;

use super::collections::LENGTH_MAX;
use super::texts::revealed;
use super::{Arguments, Problem};
use crate::model::{Code, Data, Fields, Name, Value, canonical};

type Run = Result<Value, Problem>;

pub fn set_union(a: &Arguments<'_>) -> Run {
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for at in 0..a.values.len() {
        kept.extend(a.list(at)?.iter().filter(|item| seen.insert(identity(item))).cloned());
    }
    Ok(Value::list(kept))
}

pub fn set_intersection(a: &Arguments<'_>) -> Run {
    let first = a.list(0)?;
    let mut others = Vec::new();
    for at in 1..a.values.len() {
        others.push(a.list(at)?.iter().map(identity).collect::<HashSet<_>>());
    }
    let mut seen = HashSet::new();
    let kept = first.iter().filter(|item| {
        let id = identity(item);
        others.iter().all(|other| other.contains(&id)) && seen.insert(id)
    });
    Ok(Value::list(kept.cloned().collect()))
}

pub fn set_subtract(a: &Arguments<'_>) -> Run {
    let mut seen: HashSet<_> = a.list(1)?.iter().map(identity).collect();
    Ok(Value::list(a.list(0)?.iter().filter(|item| seen.insert(identity(item))).cloned().collect()))
}

pub fn set_product(a: &Arguments<'_>) -> Run {
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for at in 0..a.values.len() {
        let list = a.list(at)?;
        if (rows.len() as i64).saturating_mul(list.len() as i64) > LENGTH_MAX {
            return Err(too_long());
        }
        rows = rows.iter().flat_map(|row| list.iter().map(|item| [&row[..], std::slice::from_ref(item)].concat())).collect();
    }
    if a.values.is_empty() {
        rows.clear();
    }
    Ok(Value::list(rows.into_iter().map(Value::list).collect()))
}

/// What tells values apart, secret or not: equal values have equal bytes.
pub(super) fn identity(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    canonical::write_value(&mut bytes, &levelled(&revealed(value)));
    bytes
}

/// The value with each number in one form: `1`, `1.0` and `1.00` are equal.
fn levelled(value: &Value) -> Value {
    let data = match &value.data {
        Data::Int(number) => Data::Number(Decimal::from(*number)),
        Data::Number(number) | Data::Percent(number) => Data::Number(number.normalize()),
        Data::Rate(number) => Data::Rate(number.normalize()),
        Data::Money(number, currency) => Data::Money(number.normalize(), currency.clone()),
        Data::List(items) => Data::List(Arc::new(items.iter().map(levelled).collect())),
        Data::Map(fields) => Data::Map(Arc::new(fields.iter().map(|(name, it)| (name.clone(), levelled(it))).collect())),
        Data::Variant(label, fields) => {
            let fields = fields.iter().map(|(name, it)| (name.clone(), levelled(it))).collect();
            Data::Variant(label.clone(), Arc::new(fields))
        }
        Data::Range(ends) => Data::Range(Arc::new((levelled(&ends.0), levelled(&ends.1)))),
        other => other.clone(),
    };
    Value { data, mark: value.mark.clone() }
}

pub fn coalesce_list(a: &Arguments<'_>) -> Run {
    for (at, _) in a.values.iter().enumerate().filter(|(_, value)| value.as_ref().is_some_and(|it| !it.is_null())) {
        if !a.list(at)?.is_empty() {
            return Ok(a.value(at)?.clone());
        }
    }
    Err(Problem::argument("every list is empty"))
}

pub fn match_keys(a: &Arguments<'_>) -> Run {
    let (values, keys) = (a.list(0)?, a.list(1)?);
    if values.len() != keys.len() {
        return Err(Problem::argument(format!("there are {} values and {} keys", values.len(), keys.len())));
    }
    let wanted: HashSet<_> = a.list(2)?.iter().map(identity).collect();
    let kept = values.iter().zip(keys).filter(|(_, key)| wanted.contains(&identity(key)));
    Ok(Value::list(kept.map(|(value, _)| value.clone()).collect()))
}

pub fn one(a: &Arguments<'_>) -> Run {
    match a.list(0)? {
        [] => Ok(Value::null()),
        [only] => Ok(only.clone()),
        more => Err(Problem::argument(format!("the list has {} elements, not one or none", more.len()))),
    }
}

pub fn transpose(a: &Arguments<'_>) -> Run {
    let mut turned: BTreeMap<Name, Vec<Value>> = BTreeMap::new();
    for (key, list) in a.map(0)? {
        for item in list.as_list().ok_or_else(|| a.unfit(0, "a map of lists of strings"))? {
            let Data::Text(text) = &item.data else { return Err(a.unfit(0, "a map of lists of strings")) };
            turned.entry(text.clone()).or_default().push(Value::text(key.clone()));
        }
    }
    Ok(Value::map(turned.into_iter().map(|(key, list)| (key, Value::list(list))).collect::<Fields>()))
}

/// `range(to)`, `range(from, to)`, `range(from, to, step)`.
pub fn range(a: &Arguments<'_>) -> Run {
    let mut limits = Vec::new();
    for at in 0..a.values.len() {
        limits.push(a.int(at)?);
    }
    let (from, to, step) = match limits[..] {
        [to] => (0, to, if to < 0 { -1 } else { 1 }),
        [from, to] => (from, to, if to < from { -1 } else { 1 }),
        [from, to, step] => (from, to, step),
        _ => return Err(Problem::argument("it takes one to three ints: an end, a start and an end, or both and a step")),
    };
    if step == 0 || (step > 0) != (to >= from) && to != from {
        return Err(Problem::argument(format!("a step of {step} does not lead from {from} to {to}")));
    }
    let count = (i128::from(to) - i128::from(from)).unsigned_abs().div_ceil(u128::from(step.unsigned_abs()));
    if count > LENGTH_MAX as u128 {
        return Err(too_long());
    }
    Ok(Value::list((0..count as i64).map(|at| Value::int(from + at * step)).collect()))
}

fn too_long() -> Problem {
    Problem::new(Code::Limit, "a list has at most 1,000,000 elements")
}
