//! Encodings.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::texts::bounded;
use super::{Arguments, Problem};
use crate::eval::encode::{from_json, to_json, to_yaml};
use crate::model::Value;

type Run = Result<Value, Problem>;

pub fn json_encode(a: &Arguments<'_>) -> Run {
    made(to_json(a.value(0)?).map_err(Problem::argument)?)
}

pub fn json_decode(a: &Arguments<'_>) -> Run {
    let parsed: Result<serde_json::Value, _> = serde_json::from_str(a.text(0)?);
    let parsed = parsed.map_err(|error| Problem::argument(format!("the text is not JSON: line {}", error.line())))?;
    Ok(from_json(&parsed))
}

pub fn yaml_encode(a: &Arguments<'_>) -> Run {
    made(to_yaml(a.value(0)?).map_err(Problem::argument)?)
}

pub fn base64_encode(a: &Arguments<'_>) -> Run {
    made(BASE64_STANDARD.encode(a.text(0)?))
}

pub fn base64_decode(a: &Arguments<'_>) -> Run {
    let bytes = BASE64_STANDARD.decode(a.text(0)?.trim()).map_err(|_| Problem::argument("the text is not base 64"))?;
    made(String::from_utf8(bytes).map_err(|_| Problem::argument("what base 64 stands for is not UTF-8"))?)
}

pub fn url_encode(a: &Arguments<'_>) -> Run {
    let mut out = String::new();
    for byte in a.text(0)?.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    made(out)
}

pub fn url_decode(a: &Arguments<'_>) -> Run {
    let (text, mut bytes) = (a.text(0)?.as_bytes(), Vec::new());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = text.get(at..at + 2).and_then(|it| std::str::from_utf8(it).ok());
                let digits = digits.filter(|it| it.bytes().all(|digit| digit.is_ascii_hexdigit()));
                let decoded = digits.and_then(|it| u8::from_str_radix(it, 16).ok());
                bytes.push(decoded.ok_or_else(|| Problem::argument("a `%` is not followed by two hexadecimal digits"))?);
                at += 2;
            }
            other => bytes.push(*other),
        }
    }
    made(String::from_utf8(bytes).map_err(|_| Problem::argument("what the text stands for is not UTF-8"))?)
}

fn made(text: String) -> Run {
    bounded(text.len())?;
    Ok(Value::text(text))
}
