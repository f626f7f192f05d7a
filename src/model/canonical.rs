//! One byte form for every value, and its hash.
//!
//! The form is JSON with sorted keys and no blanks; kinds that JSON lacks are objects with one key that begins with `$`. Equal
//! values have equal bytes; marks (origin, network) do not count. A secret has no bytes here: it is `{"$secret":true}`, so whoever
//! needs to tell two secrets apart compares values or keyed digests.

use sha2::{Digest as _, Sha256};

use super::value::{Data, Fields, Value};

/// A SHA-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The digest that is written in 64 hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Digest> {
        let bytes = (0..hex.len() / 2).map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok());
        Some(Digest(bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()?))
    }

    /// Enough for people to tell two apart: `8d1f…c2`.
    pub fn short(&self) -> String {
        let Digest([first, second, .., last]) = self;
        format!("{first:02x}{second:02x}…{last:02x}")
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Writes a text as canonical JSON.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing a string into memory does not fail");
}

/// Writes fields as one canonical JSON object.
pub fn write_fields(out: &mut Vec<u8>, fields: &Fields) {
    out.push(b'{');
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(out, name);
        out.push(b':');
        write_value(out, value);
    }
    out.push(b'}');
}

/// Writes one value. An unknown value is what is left of its computation, so that equal computations are equal.
pub fn write_value(out: &mut Vec<u8>, value: &Value) {
    if value.mark.secret {
        return out.extend_from_slice(br#"{"$secret":true}"#);
    }
    match &value.data {
        Data::Null => out.extend_from_slice(b"null"),
        Data::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Data::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Data::Number(value) => tagged(out, "number", &value.normalize().to_string()),
        Data::Text(text) => write_text(out, text),
        Data::Duration(nanos) => tagged(out, "duration", &nanos.to_string()),
        Data::Size(bytes) => tagged(out, "size", &bytes.to_string()),
        Data::Percent(ratio) => tagged(out, "percent", &ratio.normalize().to_string()),
        Data::Rate(per_hour) => tagged(out, "rate", &per_hour.normalize().to_string()),
        Data::Money(amount, currency) => tagged(out, "money", &format!("{} {currency}", amount.normalize())),
        Data::Instant(instant) => tagged(out, "instant", &instant.to_string()),
        Data::Range(ends) => write_list_under(out, "range", &[&ends.0, &ends.1]),
        Data::List(items) => write_list(out, items.iter()),
        Data::Map(fields) if fields.keys().any(|name| name.starts_with('$')) => {
            out.extend_from_slice(br#"{"$map":"#);
            write_fields(out, fields);
            out.push(b'}');
        }
        Data::Map(fields) => write_fields(out, fields),
        Data::Variant(label, fields) => {
            out.extend_from_slice(br#"{"$variant":["#);
            write_text(out, label);
            out.push(b',');
            write_fields(out, fields);
            out.extend_from_slice(b"]}");
        }
        Data::Ref(reference) => tagged(out, "ref", &format!("{} {}", reference.kind, reference.address)),
        Data::Provider(provider) => tagged(out, "provider", &provider.to_string()),
        Data::Metric(metric) => tagged(out, "metric", &format!("{} {}", metric.unit, metric.promql)),
        Data::Condition(condition) => tagged(out, "condition", &condition.promql),
        // `Debug` of an expression names its variants and literals, no places, and hides literals that are secret.
        Data::Unknown(unknown) => tagged(out, "unknown", &format!("{:?}", unknown.rest)),
    }
}

fn tagged(out: &mut Vec<u8>, tag: &str, text: &str) {
    out.extend_from_slice(b"{\"$");
    out.extend_from_slice(tag.as_bytes());
    out.extend_from_slice(b"\":");
    write_text(out, text);
    out.push(b'}');
}

fn write_list<'v>(out: &mut Vec<u8>, items: impl Iterator<Item = &'v Value>) {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_value(out, item);
    }
    out.push(b']');
}

fn write_list_under(out: &mut Vec<u8>, tag: &str, items: &[&Value]) {
    out.extend_from_slice(b"{\"$");
    out.extend_from_slice(tag.as_bytes());
    out.extend_from_slice(b"\":");
    write_list(out, items.iter().copied());
    out.push(b'}');
}

/// The canonical bytes of fields.
pub fn bytes(fields: &Fields) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_fields(&mut out, fields);
    out
}
