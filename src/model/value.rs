//! Values: what expressions evaluate to, what attributes of resources hold.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::expr::Expr;
pub use super::fields::Fields;
use super::types::{Name, Type};
use super::{Address, Span};

/// A value with what sticks to it. Neither printed nor serialised by derivation: a secret has no rendering.
#[derive(Clone)]
pub struct Value {
    pub data: Data,
    pub mark: Mark,
}

/// What sticks to a value through every operation.
#[derive(Clone, PartialEq)]
pub struct Mark {
    /// Computed from a secret. Collections keep it per element as well.
    pub secret: bool,
    /// Reachable in these networks only; `None` everywhere.
    pub within: Option<Arc<Network>>,
    /// The text that made it: a literal, a default, a flag.
    pub origin: Span,
}

/// The private network of one provider account, for values that mean nothing outside of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Network {
    /// The text that names it, such as `fly/acme`.
    pub name: Name,
    /// The output that carries the value, such as `database.main.url`, for the message.
    pub output: Name,
}

/// The value itself.
#[derive(Clone)]
pub enum Data {
    Null,
    Bool(bool),
    Int(i64),
    Number(Decimal),
    Text(Arc<str>),
    /// Nanoseconds.
    Duration(i64),
    /// Bytes.
    Size(i64),
    /// As a ratio: 1 % is 0.01.
    Percent(Decimal),
    /// Events an hour, so that `/s`, `/m` and `/h` are all exact.
    Rate(Decimal),
    Money(Decimal, Name),
    Instant(jiff::Timestamp),
    Range(Arc<(Value, Value)>),
    List(Arc<Vec<Value>>),
    /// Objects and maps.
    Map(Arc<Fields>),
    /// A tagged union's value: its label and the object that it carries.
    Variant(Name, Arc<Fields>),
    /// An instance of a component kind.
    Ref(Arc<Reference>),
    /// A provider instance, as [`crate::model::ProviderName`] writes it.
    Provider(super::ProviderName),
    Metric(Arc<Metric>),
    Condition(Arc<Condition>),
    Unknown(Arc<Unknown>),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Reference {
    pub kind: Name,
    pub address: Address,
}

/// A time series: a PromQL expression, its unit, and the monitoring instance that holds it (`None`: any).
#[derive(Clone, PartialEq, Debug)]
pub struct Metric {
    pub promql: Arc<str>,
    pub unit: Type,
    pub source: Option<Address>,
}

/// A PromQL expression that yields series exactly while it holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Condition {
    pub promql: Arc<str>,
    pub source: Option<Address>,
}

/// A value that a platform has yet to compute.
#[derive(Clone)]
pub struct Unknown {
    pub ty: Type,
    /// What is left of the computation: an expression whose only names are attributes of resources
    /// ([`super::expr::Reference::Attribute`]) and variables that it binds itself. Evaluating it again, when those are known, gives the value.
    pub rest: Arc<Expr>,
    /// The resources whose attributes it needs.
    pub waits_for: Arc<BTreeSet<Address>>,
}

impl Mark {
    pub const fn at(origin: Span) -> Mark {
        Mark { secret: false, within: None, origin }
    }
}

impl Value {
    pub fn new(data: Data, origin: Span) -> Value {
        Value { data, mark: Mark::at(origin) }
    }

    /// A value that the engine made and no text names.
    pub fn engine(data: Data) -> Value {
        Value::new(data, Span::ENGINE)
    }

    pub fn null() -> Value {
        Value::engine(Data::Null)
    }

    pub fn text(text: impl Into<Arc<str>>) -> Value {
        Value::engine(Data::Text(text.into()))
    }

    pub fn int(value: i64) -> Value {
        Value::engine(Data::Int(value))
    }

    pub fn bool(value: bool) -> Value {
        Value::engine(Data::Bool(value))
    }

    pub fn list(values: Vec<Value>) -> Value {
        Value::engine(Data::List(Arc::new(values)))
    }

    pub fn map(fields: Fields) -> Value {
        Value::engine(Data::Map(Arc::new(fields)))
    }

    pub fn secret(mut self) -> Value {
        self.mark.secret = true;
        self
    }

    pub fn at(mut self, origin: Span) -> Value {
        self.mark.origin = origin;
        self
    }

    pub fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    pub fn is_unknown(&self) -> bool {
        matches!(self.data, Data::Unknown(_))
    }

    /// Whether it, or anything inside of it, is unknown.
    pub fn has_unknown(&self) -> bool {
        match &self.data {
            Data::Unknown(_) => true,
            Data::List(items) => items.iter().any(Value::has_unknown),
            Data::Map(fields) | Data::Variant(_, fields) => fields.values().any(Value::has_unknown),
            Data::Range(ends) => ends.0.has_unknown() || ends.1.has_unknown(),
            _ => false,
        }
    }

    /// Whether it, or anything inside of it, is secret.
    pub fn has_secret(&self) -> bool {
        self.mark.secret
            || match &self.data {
                Data::List(items) => items.iter().any(Value::has_secret),
                Data::Map(fields) | Data::Variant(_, fields) => fields.values().any(Value::has_secret),
                Data::Range(ends) => ends.0.has_secret() || ends.1.has_secret(),
                _ => false,
            }
    }

    pub fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_int(&self) -> Option<i64> {
        match self.data {
            Data::Int(value) => Some(value),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self.data {
            Data::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Value]> {
        match &self.data {
            Data::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&Fields> {
        match &self.data {
            Data::Map(fields) => Some(fields),
            _ => None,
        }
    }

    /// How the value would be written in a program, on one line: `30s`, `20GiB`, `{ a = 1 }`. A secret is `(secret)`, an unknown
    /// value `(known after apply)`, wherever they stand inside.
    pub fn to_literal(&self) -> String {
        let mut out = String::new();
        self.write_literal(&mut out);
        out
    }

    fn write_literal(&self, out: &mut String) {
        if self.mark.secret {
            return out.push_str("(secret)");
        }
        match &self.data {
            Data::Null => out.push_str("null"),
            Data::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Data::Int(value) => drop(write!(out, "{value}")),
            Data::Number(value) => drop(write!(out, "{}", value.normalize())),
            Data::Text(text) => write_quoted(out, text),
            Data::Duration(nanos) => out.push_str(&super::units::duration_text(*nanos)),
            Data::Size(bytes) => out.push_str(&super::units::size_text(*bytes)),
            Data::Percent(ratio) => match ratio.checked_mul(Decimal::ONE_HUNDRED) {
                Some(percent) => drop(write!(out, "{}%", percent.normalize())),
                // Too large for its own hundredfold; it has no fraction that could be lost.
                None => drop(write!(out, "{}00%", ratio.trunc())),
            },
            Data::Rate(per_hour) => out.push_str(&super::units::rate_text(*per_hour)),
            Data::Money(amount, currency) => drop(write!(out, "{amount}{currency}")),
            Data::Instant(instant) => drop(write!(out, "@{instant}")),
            Data::Range(ends) => {
                ends.0.write_literal(out);
                out.push_str("..");
                ends.1.write_literal(out);
            }
            Data::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ", " });
                    item.write_literal(out);
                }
                out.push(']');
            }
            Data::Map(fields) => write_fields(out, fields),
            Data::Variant(label, fields) => {
                out.push_str(label);
                if !fields.is_empty() {
                    out.push(' ');
                    write_fields(out, fields);
                }
            }
            Data::Ref(reference) => out.push_str(reference.address.as_str()),
            Data::Provider(provider) => drop(write!(out, "{provider}")),
            Data::Metric(metric) => drop(write!(out, "promql\"{}\"", metric.promql)),
            Data::Condition(condition) => drop(write!(out, "promql\"{}\"", condition.promql)),
            Data::Unknown(_) => out.push_str("(known after apply)"),
        }
    }
}

fn write_fields(out: &mut String, fields: &Fields) {
    if fields.is_empty() {
        return out.push_str("{}");
    }
    out.push_str("{ ");
    for (at, (name, value)) in fields.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { ", " });
        match is_bare_key(name) {
            true => out.push_str(name),
            false => write_quoted(out, name),
        }
        out.push_str(" = ");
        value.write_literal(out);
    }
    out.push_str(" }");
}

fn is_bare_key(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Writes a string literal of the language; control characters are escaped, so that the result is safe to show.
fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '$' => out.push_str("\\$"),
            c if c.is_control() => drop(write!(out, "\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Equal in value. Marks do not count; two unknown values are equal only if they are one and the same computation.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        use Data::*;
        match (&self.data, &other.data) {
            (Null, Null) => true,
            (Bool(a), Bool(b)) => a == b,
            (Int(a), Int(b)) | (Duration(a), Duration(b)) | (Size(a), Size(b)) => a == b,
            (Number(a), Number(b)) | (Percent(a), Percent(b)) | (Rate(a), Rate(b)) => a == b,
            (Int(a), Number(b)) | (Number(b), Int(a)) => Decimal::from(*a) == *b,
            (Percent(a), Number(b)) | (Number(b), Percent(a)) => a == b,
            (Text(a), Text(b)) => a == b,
            (Money(a, c), Money(b, d)) => a == b && c == d,
            (Instant(a), Instant(b)) => a == b,
            (Range(a), Range(b)) => a == b,
            (List(a), List(b)) => a == b,
            (Map(a), Map(b)) => a == b,
            (Variant(l, a), Variant(m, b)) => l == m && a == b,
            (Ref(a), Ref(b)) => a == b,
            (Provider(a), Provider(b)) => a == b,
            (Metric(a), Metric(b)) => a == b,
            (Condition(a), Condition(b)) => a == b,
            (Unknown(a), Unknown(b)) => Arc::ptr_eq(a, b) || a.rest == b.rest,
            _ => false,
        }
    }
}

/// For tests and panics: as [`Value::to_literal`], so a secret stays one.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_literal())
    }
}
