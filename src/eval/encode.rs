//! Values as JSON and YAML, for programs that are configured in them.

use std::fmt::Write as _;

use rust_decimal::Decimal;

use crate::model::{Data, Fields, Value};

/// How deep a value may be nested.
const DEPTH_MAX: usize = 128;

/// The value as JSON on one line, keys in order. Secrets are written: who calls this keeps the result secret.
///
/// Errors: a value that JSON has no form for, as a clause.
pub fn to_json(value: &Value) -> Result<String, String> {
    let mut out = String::new();
    json(&mut out, value, 0)?;
    Ok(out)
}

fn json(out: &mut String, value: &Value, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err("the value is nested deeper than 128".into());
    }
    fits(out)?;
    match &value.data {
        Data::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                json(out, item, depth + 1)?;
            }
            out.push(']');
        }
        Data::Map(fields) => {
            out.push('{');
            for (at, (name, field)) in fields.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                quoted(out, name);
                out.push(':');
                json(out, field, depth + 1)?;
            }
            out.push('}');
        }
        _ => scalar(out, value)?,
    }
    Ok(())
}

/// Texts end here before they fill the memory.
fn fits(out: &str) -> Result<(), String> {
    match super::builtins::bounded(out.len()) {
        Ok(()) => Ok(()),
        Err(_) => Err("the text would be longer than 16 MiB".into()),
    }
}

fn scalar(out: &mut String, value: &Value) -> Result<(), String> {
    match &value.data {
        Data::Null => out.push_str("null"),
        Data::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        // Writing into a string does not fail.
        Data::Int(value) => drop(write!(out, "{value}")),
        Data::Number(value) | Data::Percent(value) => drop(write!(out, "{}", value.normalize())),
        Data::Text(text) => quoted(out, text),
        Data::Instant(instant) => quoted(out, &instant.to_string()),
        Data::Metric(metric) => quoted(out, &metric.promql),
        Data::Condition(condition) => quoted(out, &condition.promql),
        Data::Ref(reference) => quoted(out, reference.address.as_str()),
        other => return Err(format!("{} has no form there: divide it by a unit, or write it with `text`", sort_of(other))),
    }
    Ok(())
}

/// What people call the sort of a value.
pub(super) fn sort_of(data: &Data) -> &'static str {
    match data {
        Data::Null => "null",
        Data::Bool(_) => "a bool",
        Data::Int(_) => "an int",
        Data::Number(_) => "a number",
        Data::Text(_) => "a string",
        Data::Duration(_) => "a duration",
        Data::Size(_) => "a size",
        Data::Percent(_) => "a percent",
        Data::Rate(_) => "a rate",
        Data::Money(..) => "an amount of money",
        Data::Instant(_) => "an instant",
        Data::Range(_) => "a range",
        Data::List(_) => "a list",
        Data::Map(_) => "an object or map",
        Data::Variant(..) => "a variant",
        Data::Ref(_) => "an instance",
        Data::Provider(_) => "a provider instance",
        Data::Metric(_) => "a metric",
        Data::Condition(_) => "a condition",
        Data::Unknown(_) => "a value that is known after apply",
    }
}

fn quoted(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("a string is always JSON"));
}

/// The value as a YAML document in block style, keys in order; what could be read as something else than a text is quoted.
///
/// Errors: as [`to_json`].
pub fn to_yaml(value: &Value) -> Result<String, String> {
    let mut out = String::new();
    yaml(&mut out, value, 0, true)?;
    if !out.ends_with('\n') {
        out.push('\n');
    }
    Ok(out)
}

/// Writes a value at this indentation. `fresh`: the line is still empty, so that a block may begin on it.
fn yaml(out: &mut String, value: &Value, indent: usize, fresh: bool) -> Result<(), String> {
    if indent > 2 * DEPTH_MAX {
        return Err("the value is nested deeper than 128".into());
    }
    fits(out)?;
    match &value.data {
        Data::List(items) if items.is_empty() => out.push_str("[]\n"),
        Data::Map(fields) if fields.is_empty() => out.push_str("{}\n"),
        Data::List(items) => {
            start(out, fresh);
            for (at, item) in items.iter().enumerate() {
                if !(fresh && at == 0) {
                    out.push_str(&" ".repeat(indent));
                }
                out.push_str("- ");
                yaml(out, item, indent + 2, true)?;
            }
        }
        Data::Map(fields) => {
            start(out, fresh);
            entries(out, fields, indent, fresh)?;
        }
        Data::Text(text) if is_plain(text) => {
            out.push_str(text);
            out.push('\n');
        }
        _ => {
            scalar(out, value)?;
            out.push('\n');
        }
    }
    Ok(())
}

fn start(out: &mut String, fresh: bool) {
    if !fresh {
        // After `key: `, a block begins on the next line.
        while out.ends_with(' ') {
            out.pop();
        }
        out.push('\n');
    }
}

fn entries(out: &mut String, fields: &Fields, indent: usize, fresh: bool) -> Result<(), String> {
    for (at, (name, field)) in fields.iter().enumerate() {
        if !(fresh && at == 0) {
            out.push_str(&" ".repeat(indent));
        }
        match is_plain(name) {
            true => out.push_str(name),
            false => quoted(out, name),
        }
        out.push_str(": ");
        yaml(out, field, indent + 2, false)?;
    }
    Ok(())
}

/// Whether YAML reads the bare text as that text.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 10] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// What a JSON text holds. Numbers without a fraction are ints; others are decimals, those beyond 28 digits their nearest.
pub fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::null(),
        serde_json::Value::Bool(value) => Value::bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(value) => Value::int(value),
            None => {
                let text = number.to_string();
                let parsed = text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(&text));
                parsed.map_or_else(|_| Value::text(text), |value| Value::engine(Data::Number(value)))
            }
        },
        serde_json::Value::String(text) => Value::text(text.as_str()),
        serde_json::Value::Array(items) => Value::list(items.iter().map(from_json).collect()),
        serde_json::Value::Object(fields) => {
            Value::map(fields.iter().map(|(name, field)| (name.as_str().into(), from_json(field))).collect())
        }
    }
}
