//! Lists and maps.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use super::sets::identity;
use super::texts::revealed;
use super::units::order;
use super::{Arguments, Problem};
use crate::model::{Code, Data, Fields, Value};

/// No list that a built-in makes is longer than this.
pub(super) const LENGTH_MAX: i64 = 1_000_000;

type Run = Result<Value, Problem>;

pub fn length(a: &Arguments<'_>) -> Run {
    let length = match &a.value(0)?.data {
        Data::Text(text) => text.chars().count(),
        Data::List(items) => items.len(),
        Data::Map(fields) => fields.len(),
        _ => return Err(a.unfit(0, "a list, map or string")),
    };
    Ok(Value::int(length as i64))
}

pub fn count(a: &Arguments<'_>) -> Run {
    match a.int(0)? {
        n if n < 0 => Err(Problem::argument(format!("{n} is negative"))),
        n if n > LENGTH_MAX => Err(Problem::new(Code::Limit, "a list has at most 1,000,000 elements")),
        n => Ok(Value::list((0..n).map(Value::int).collect())),
    }
}

pub fn keys(a: &Arguments<'_>) -> Run {
    Ok(Value::list(a.map(0)?.keys().map(|key| Value::text(key.clone())).collect()))
}

pub fn values(a: &Arguments<'_>) -> Run {
    Ok(Value::list(a.map(0)?.values().cloned().collect()))
}

pub fn merge(a: &Arguments<'_>) -> Run {
    let mut all = Fields::new();
    for (at, _) in a.values.iter().enumerate().filter(|(_, value)| value.is_some()) {
        all.extend(a.map(at)?.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    Ok(Value::map(all))
}

pub fn lookup(a: &Arguments<'_>) -> Run {
    let (map, key) = (a.map(0)?, a.text(1)?);
    match (map.get(key), a.get(2)) {
        (Some(value), _) | (None, Some(value)) => Ok(value.clone()),
        (None, None) => Err(Problem::new(Code::NoSuchKey, format!("there is no key `{}`", key.escape_debug()))),
    }
}

pub fn contains(a: &Arguments<'_>) -> Run {
    let value = a.value(1)?;
    Ok(Value::bool(a.list(0)?.contains(value)))
}

pub fn index(a: &Arguments<'_>) -> Run {
    let value = a.value(1)?;
    Ok(a.list(0)?.iter().position(|item| item == value).map_or(Value::null(), |at| Value::int(at as i64)))
}

pub fn element(a: &Arguments<'_>) -> Run {
    let (list, at) = (a.list(0)?, a.int(1)?);
    if list.is_empty() {
        return Err(Problem::new(Code::NoSuchKey, "the list is empty"));
    }
    Ok(list[at.rem_euclid(list.len() as i64) as usize].clone())
}

pub fn distinct(a: &Arguments<'_>) -> Run {
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for item in a.list(0)? {
        if seen.insert(identity(item)) {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}

pub fn flatten(a: &Arguments<'_>) -> Run {
    let mut all = Vec::new();
    for inner in a.list(0)? {
        all.extend_from_slice(inner.as_list().ok_or_else(|| a.unfit(0, "a list of lists"))?);
    }
    Ok(Value::list(all))
}

pub fn concat(a: &Arguments<'_>) -> Run {
    let mut all = Vec::new();
    for list in a.rest(0) {
        all.extend_from_slice(list.as_list().ok_or_else(|| a.unfit(0, "a list"))?);
    }
    Ok(Value::list(all))
}

pub fn compact(a: &Arguments<'_>) -> Run {
    Ok(Value::list(a.list(0)?.iter().filter(|item| !is_blank(item)).cloned().collect()))
}

pub fn coalesce(a: &Arguments<'_>) -> Run {
    let first = a.rest(0).find(|value| !is_blank(value));
    first.cloned().ok_or_else(|| Problem::argument("every value is null or empty"))
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_text() == Some("")
}

pub fn sort(a: &Arguments<'_>) -> Run {
    let mut items = a.list(0)?.to_vec();
    let comparable = items.windows(2).all(|pair| order(&pair[0].data, &pair[1].data).is_some());
    if !comparable {
        return Err(a.unfit(0, "a list of strings, numbers or one unit"));
    }
    items.sort_by(|a, b| order(&a.data, &b.data).unwrap_or(Ordering::Equal));
    Ok(Value::list(items))
}

pub fn reverse(a: &Arguments<'_>) -> Run {
    Ok(Value::list(a.list(0)?.iter().rev().cloned().collect()))
}

pub fn slice(a: &Arguments<'_>) -> Run {
    let (list, from, to) = (a.list(0)?, a.int(1)?, a.int(2)?);
    let part = usize::try_from(from).ok().zip(usize::try_from(to).ok()).and_then(|(from, to)| list.get(from..to));
    let part = part.ok_or_else(|| {
        Problem::new(Code::NoSuchKey, format!("{from} to {to} is not within the list of {} elements", list.len()))
    })?;
    Ok(Value::list(part.to_vec()))
}

pub fn chunk_list(a: &Arguments<'_>) -> Run {
    let (list, size) = (a.list(0)?, a.int(1)?);
    let size = usize::try_from(size).ok().filter(|size| *size > 0);
    let size = size.ok_or_else(|| Problem::argument("the size of a piece is at least 1"))?;
    Ok(Value::list(list.chunks(size).map(|chunk| Value::list(chunk.to_vec())).collect()))
}

pub fn zipmap(a: &Arguments<'_>) -> Run {
    let (keys, values) = (a.list(0)?, a.list(1)?);
    if keys.len() != values.len() {
        return Err(Problem::argument(format!("there are {} keys and {} values", keys.len(), values.len())));
    }
    let mut map = Fields::new();
    for (key, value) in keys.iter().zip(values) {
        let Data::Text(key) = &key.data else { return Err(a.unfit(0, "a list of strings")) };
        map.insert(key.clone(), value.clone());
    }
    Ok(Value::map(map))
}

pub fn all_true(a: &Arguments<'_>) -> Run {
    Ok(Value::bool(a.list(0)?.iter().all(|item| item.as_bool() == Some(true))))
}

pub fn any_true(a: &Arguments<'_>) -> Run {
    Ok(Value::bool(a.list(0)?.iter().any(|item| item.as_bool() == Some(true))))
}

pub fn plain(a: &Arguments<'_>) -> Run {
    part(a, false)
}

pub fn secrets(a: &Arguments<'_>) -> Run {
    part(a, true)
}

fn part(a: &Arguments<'_>, secret: bool) -> Run {
    let kept = a.map(0)?.iter().filter(|(_, value)| value.has_secret() == secret);
    Ok(Value::engine(Data::Map(Arc::new(kept.map(|(key, value)| (key.clone(), value.clone())).collect()))))
}

pub fn reveal(a: &Arguments<'_>) -> Run {
    Ok(revealed(a.value(0)?))
}

pub fn sensitive(a: &Arguments<'_>) -> Run {
    Ok(a.value(0)?.clone().secret())
}

pub fn fail(a: &Arguments<'_>) -> Run {
    Err(Problem::new(Code::RequireFailed, a.text(0)?))
}
