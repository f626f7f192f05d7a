//! Attributes as this provider's code wants them. The checker has typed them; what does not fit all the same is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use super::refused;
use crate::model::value::Fields;
use crate::model::{Data, Value};
use crate::providers::contract::CallError;

pub fn text<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, CallError> {
    optional_text(fields, name).ok_or_else(|| refused(name, format!("`{name}` is missing")))
}

pub fn optional_text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name)?.as_text()
}

pub fn flag(fields: &Fields, name: &str, otherwise: bool) -> bool {
    fields.get(name).and_then(Value::as_bool).unwrap_or(otherwise)
}

pub fn port(fields: &Fields) -> Option<u16> {
    fields.get("port")?.as_int().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)
}

pub fn size(fields: &Fields, name: &str) -> Option<i64> {
    match fields.get(name)?.data {
        Data::Size(bytes) => Some(bytes),
        _ => None,
    }
}

pub fn duration(fields: &Fields, name: &str, otherwise: Duration) -> Duration {
    match fields.get(name).map(|value| &value.data) {
        Some(Data::Duration(nanos)) => Duration::from_nanos(u64::try_from(*nanos).unwrap_or(0)),
        _ => otherwise,
    }
}

/// A list of texts; empty where it is absent.
pub fn texts(fields: &Fields, name: &str) -> Result<Vec<String>, CallError> {
    let items = fields.get(name).and_then(Value::as_list).unwrap_or_default();
    let each = items.iter().map(|item| item.as_text().map(str::to_owned));
    each.collect::<Option<_>>().ok_or_else(|| refused(name, format!("`{name}` has to be a list of strings")))
}

/// A map of texts; empty where it is absent. Absent entries are left out.
pub fn text_map(fields: &Fields, name: &str) -> Result<BTreeMap<String, String>, CallError> {
    let Some(entries) = fields.get(name).and_then(Value::as_map) else { return Ok(BTreeMap::new()) };
    let entries = entries.iter().filter(|(_, value)| !value.is_null());
    let each = entries.map(|(key, value)| Some((key.to_string(), value.as_text()?.to_owned())));
    each.collect::<Option<_>>().ok_or_else(|| refused(name, format!("`{name}` has to be a map of strings")))
}

/// Every secret text in these values, longest first, so that a log's lines can be shown without them.
pub fn secrets(fields: &Fields, sensitive: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in fields {
        gather(value, sensitive.contains(&&**name), &mut found);
    }
    // What is as short as this is no secret worth its name, and hiding it would hide half of a log.
    found.retain(|text: &String| text.len() >= 4);
    found.sort_by_key(|text| std::cmp::Reverse(text.len()));
    found
}

fn gather(value: &Value, within_secret: bool, found: &mut Vec<String>) {
    let secret = within_secret || value.mark.secret;
    match &value.data {
        Data::Text(text) if secret => found.push(text.to_string()),
        Data::List(items) => items.iter().for_each(|item| gather(item, secret, found)),
        Data::Map(fields) | Data::Variant(_, fields) => fields.values().for_each(|field| gather(field, secret, found)),
        _ => {}
    }
}

/// A text with each of the secrets replaced.
pub fn hide(mut text: String, secrets: &[String]) -> String {
    for secret in secrets {
        if text.contains(&**secret) {
            text = text.replace(&**secret, "(secret)");
        }
    }
    text
}
