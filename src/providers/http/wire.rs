//! Between attributes and the JSON that platforms speak. What a platform sends is never believed to have a shape: a reader gives
//! `None` where something else stands.

use serde_json::{Map, Value as Json};

use crate::model::value::{Data, Fields, Value};
use crate::model::{Code, Name};
use crate::providers::contract::CallError;

/// One segment of a path, encoded: `*.example.com` is `%2A.example.com`.
pub fn segment(text: &str) -> String {
    let encoded = encode(text);
    // A segment of dots alone would climb.
    if matches!(text, "." | "..") { encoded.replace('.', "%2E") } else { encoded }
}

/// Everything but letters, digits and `-._~` as `%XX`: the `url` crate leaves more as it is than some platforms accept.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// A query from pairs, `?` included.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("?{}", pairs.join("&"))
}

/// A refusal by ourselves, before anything is sent.
pub fn refuse(field: &str, words: impl Into<String>) -> CallError {
    CallError::Refused { status: None, field: Some(field.into()), words: words.into(), request: None, code: Code::Refused }
}

/// A text attribute that has to be there.
pub fn need<'f>(fields: &'f Fields, name: &str) -> Result<&'f str, CallError> {
    fields.get(name).and_then(Value::as_text).ok_or_else(|| refuse(name, format!("`{name}` has no value")))
}

pub fn text<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    fields.get(name).and_then(Value::as_text)
}

pub fn size(fields: &Fields, name: &str) -> Option<i64> {
    match fields.get(name)?.data {
        Data::Size(bytes) => Some(bytes),
        _ => None,
    }
}

pub fn nanos(fields: &Fields, name: &str) -> Option<i64> {
    match fields.get(name)?.data {
        Data::Duration(nanos) => Some(nanos),
        _ => None,
    }
}

/// A size in whole units, or a refusal that says which unit.
pub fn whole_size(fields: &Fields, name: &str, unit: i64, unit_name: &str) -> Result<Option<i64>, CallError> {
    match size(fields, name) {
        Some(bytes) if bytes % unit != 0 => Err(refuse(name, format!("`{name}` is a whole number of {unit_name}"))),
        other => Ok(other.map(|bytes| bytes / unit)),
    }
}

/// A duration in whole units, or a refusal that says which unit.
pub fn whole_span(fields: &Fields, name: &str, unit_secs: i64, unit_name: &str) -> Result<Option<i64>, CallError> {
    match nanos(fields, name) {
        Some(nanos) if nanos % (unit_secs * 1_000_000_000) != 0 => {
            Err(refuse(name, format!("`{name}` is a whole number of {unit_name}")))
        }
        other => Ok(other.map(|nanos| nanos / (unit_secs * 1_000_000_000))),
    }
}

/// A value as plain JSON: texts, numbers, booleans, lists and maps. Units have no JSON of their own: `None` for them, since each
/// platform has its own.
pub fn plain(value: &Value) -> Option<Json> {
    Some(match &value.data {
        Data::Null => Json::Null,
        Data::Bool(value) => Json::Bool(*value),
        Data::Int(value) => Json::from(*value),
        Data::Text(text) => Json::from(&**text),
        Data::List(items) => Json::Array(items.iter().map(plain).collect::<Option<_>>()?),
        Data::Map(fields) => {
            Json::Object(fields.iter().map(|(name, value)| Some((name.to_string(), plain(value)?))).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// A JSON object under construction, without what is absent.
#[derive(Default)]
pub struct Body(pub Map<String, Json>);

impl Body {
    pub fn with(mut self, name: &str, value: impl Into<Json>) -> Body {
        self.0.insert(name.into(), value.into());
        self
    }

    pub fn with_some(self, name: &str, value: Option<impl Into<Json>>) -> Body {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub fn done(self) -> Json {
        Json::Object(self.0)
    }
}

pub fn get_text<'j>(json: &'j Json, name: &str) -> Option<&'j str> {
    json.get(name)?.as_str()
}

pub fn get_int(json: &Json, name: &str) -> Option<i64> {
    json.get(name)?.as_i64()
}

pub fn get_bool(json: &Json, name: &str) -> Option<bool> {
    json.get(name)?.as_bool()
}

pub fn get_list<'j>(json: &'j Json, name: &str) -> &'j [Json] {
    json.get(name).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// A text, or null where there is none.
pub fn text_or_null(json: &Json, name: &str) -> Value {
    get_text(json, name).map_or_else(Value::null, Value::text)
}

/// A list of the texts that stand in a JSON list.
pub fn texts(json: &[Json]) -> Value {
    Value::list(json.iter().filter_map(Json::as_str).map(Value::text).collect())
}

/// A map of the texts that stand in a JSON object.
pub fn text_map(json: Option<&Json>) -> Fields {
    let object = json.and_then(Json::as_object);
    let entries = object.into_iter().flatten();
    entries.filter_map(|(name, value)| Some((Name::from(name.as_str()), Value::text(value.as_str()?)))).collect()
}
