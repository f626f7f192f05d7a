//! Encodings, hashes, and what is read from outside.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256, Sha512};

use super::texts::bounded;
use super::{Arguments, Problem};
use crate::eval::encode::{from_json, to_json, to_yaml};
use crate::model::{Code, Value};

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

pub fn sha256(a: &Arguments<'_>) -> Run {
    Ok(Value::text(hex(&Sha256::digest(a.text(0)?))))
}

pub fn sha512(a: &Arguments<'_>) -> Run {
    Ok(Value::text(hex(&Sha512::digest(a.text(0)?))))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn file(a: &Arguments<'_>) -> Run {
    Ok(Value::text(read(a)?))
}

pub fn template(a: &Arguments<'_>) -> Run {
    let (text, values) = (read(a)?, a.map(1)?);
    let (mut out, mut rest) = (String::new(), &*text);
    while let Some(at) = rest.find("${") {
        let after = &rest[at + 2..];
        let end = after.find('}').ok_or_else(|| Problem::argument("a `${` in the file has no `}`"))?;
        let name = after[..end].trim();
        let value = values.get(name).ok_or_else(|| {
            Problem::new(Code::NoSuchKey, format!("the file asks for `{}`, which is not given", name.escape_debug()))
        })?;
        out.push_str(&rest[..at]);
        match value.as_text() {
            Some(text) => out.push_str(text),
            None => out.push_str(&super::texts::revealed(value).to_literal()),
        }
        bounded(out.len())?;
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    made(out)
}

fn read(a: &Arguments<'_>) -> Result<std::sync::Arc<str>, Problem> {
    let path = a.text(0)?;
    let words = |why| Problem::new(Code::Unreadable, format!("`{}` cannot be read: {why}", path.escape_debug()));
    a.outside.file(path, a.source).map_err(words)
}

pub fn env_var(a: &Arguments<'_>) -> Run {
    let name = a.text(0)?;
    let found = a.outside.variable(name).map(Value::text).or_else(|| a.get(1).cloned());
    found
        .ok_or_else(|| Problem::new(Code::MissingInput, format!("the environment variable `{}` is not set", name.escape_debug())))
}

fn made(text: String) -> Run {
    bounded(text.len())?;
    Ok(Value::text(text))
}
