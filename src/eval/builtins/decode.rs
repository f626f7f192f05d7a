//! Texts of other formats as values: YAML and CSV.

use std::sync::Arc;

use rust_decimal::Decimal;
use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{Arguments, Problem};
use crate::model::{Code, Data, Fields, Name, Value};

type Run = Result<Value, Problem>;

/// Elements, entries and cells that one text may hold.
const PARTS_MAX: usize = 1_000_000;
const DEPTH_MAX: usize = 128;

/// One document of YAML 1.2, its core schema. Anchors are refused: a few lines of them can stand for more than fits anywhere.
pub fn yaml_decode(a: &Arguments<'_>) -> Run {
    let wrong = |line: usize, why: &str| Problem::argument(format!("the text is not YAML that can be read: line {line}: {why}"));
    let (mut open, mut whole, mut parts): (Vec<Open>, Option<Value>, usize) = (Vec::new(), None, 0);
    for event in Parser::new_from_str(a.text(0)?) {
        let (event, span) = event.map_err(|error| wrong(error.marker().line(), error.info()))?;
        let line = span.start.line();
        parts += 1;
        if parts > PARTS_MAX {
            return Err(Problem::new(Code::Limit, "the text holds more than 1,000,000 parts"));
        }
        let done = match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_anchor(anchor).map_err(|why| wrong(line, why))?;
                let is_text = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str");
                Some(if is_text { Value::text(&*text) } else { plain_scalar(&text) })
            }
            Event::SequenceStart(anchor, _) => {
                refuse_anchor(anchor).map_err(|why| wrong(line, why))?;
                open.push(Open::List(Vec::new()));
                None
            }
            Event::MappingStart(anchor, _) => {
                refuse_anchor(anchor).map_err(|why| wrong(line, why))?;
                open.push(Open::Map(Fields::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|it| match it {
                Open::List(items) => Value::list(items),
                Open::Map(fields, _) => Value::map(fields),
            }),
            Event::Alias(_) => return Err(wrong(line, ANCHORS)),
            Event::DocumentStart(_) if whole.is_some() => return Err(wrong(line, "there is a second document")),
            _ => None,
        };
        if open.len() > DEPTH_MAX {
            return Err(wrong(line, "it is nested deeper than 128"));
        }
        let Some(value) = done else { continue };
        match open.last_mut() {
            None => whole = Some(value),
            Some(Open::List(items)) => items.push(value),
            Some(Open::Map(fields, key)) => match key.take() {
                None => *key = Some(key_of(&value).ok_or_else(|| wrong(line, "a key is a list or a map"))?),
                Some(name) => {
                    if fields.insert(name, value).is_some() {
                        return Err(wrong(line, "a key is there twice"));
                    }
                }
            },
        }
    }
    Ok(whole.unwrap_or_else(Value::null))
}

const ANCHORS: &str = "anchors and aliases are not read";

/// What was begun and not ended; a map holds the key that waits for its value.
enum Open {
    List(Vec<Value>),
    Map(Fields, Option<Name>),
}

fn refuse_anchor(anchor: usize) -> Result<(), &'static str> {
    if anchor == 0 { Ok(()) } else { Err(ANCHORS) }
}

fn key_of(value: &Value) -> Option<Name> {
    match &value.data {
        Data::Text(text) => Some(text.clone()),
        Data::List(_) | Data::Map(_) => None,
        _ => Some(value.to_literal().into()),
    }
}

fn plain_scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::null(),
        "true" | "True" | "TRUE" => return Value::bool(true),
        "false" | "False" | "FALSE" => return Value::bool(false),
        _ => {}
    }
    let int = match text.get(..2) {
        Some("0x") => i64::from_str_radix(&text[2..], 16),
        Some("0o") => i64::from_str_radix(&text[2..], 8),
        _ => text.parse(),
    };
    if let Ok(int) = int {
        return Value::int(int);
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))
        && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'))
        && text.bytes().any(|byte| byte.is_ascii_digit());
    let number = numeric.then(|| text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(text)).ok()).flatten();
    number.map_or_else(|| Value::text(text), |number| Value::engine(Data::Number(number)))
}

/// Rows below a line of names, as maps of texts.
pub fn csv_decode(a: &Arguments<'_>) -> Run {
    let wrong = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        Problem::argument(format!("the text is not CSV: line {line} has another number of fields than the first"))
    };
    let mut reader = csv::Reader::from_reader(a.text(0)?.as_bytes());
    let names: Vec<Name> = reader.headers().map_err(wrong)?.iter().map(Arc::from).collect();
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(Problem::argument(format!("the column `{}` is there twice", twice.1.escape_debug())));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        rows.push(Value::map(names.iter().cloned().zip(record.iter().map(Value::text)).collect()));
        if rows.len() * names.len() > PARTS_MAX {
            return Err(Problem::new(Code::Limit, "the text holds more than 1,000,000 parts"));
        }
    }
    Ok(Value::list(rows))
}
