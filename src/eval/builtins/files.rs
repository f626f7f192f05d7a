//! What is read from outside, and paths.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::texts::{bounded, revealed};
use super::{Arguments, Problem};
use crate::model::{Code, Fields, Value};

type Run = Result<Value, Problem>;

pub fn file(a: &Arguments<'_>) -> Run {
    let bytes = read(a)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        let path = a.text(0).unwrap_or_default().escape_debug();
        Problem::new(Code::Unreadable, format!("`{path}` is not UTF-8 text: `file_base64` reads other files"))
    })?;
    Ok(Value::text(text))
}

pub fn file_base64(a: &Arguments<'_>) -> Run {
    let text = BASE64_STANDARD.encode(read(a)?);
    bounded(text.len())?;
    Ok(Value::text(text))
}

pub fn file_sha256(a: &Arguments<'_>) -> Run {
    Ok(Value::text(super::hashes::hex(&Sha256::digest(read(a)?))))
}

pub fn file_exists(a: &Arguments<'_>) -> Run {
    let path = a.text(0)?;
    a.outside.exists(path, a.source).map(Value::bool).map_err(|why| unreadable(path, &why))
}

pub fn template(a: &Arguments<'_>) -> Run {
    let text = file(a)?;
    filled(text.as_text().unwrap_or_default(), a.map(1)?, "the file")
}

pub fn template_string(a: &Arguments<'_>) -> Run {
    filled(a.text(0)?, a.map(1)?, "the text")
}

fn filled(text: &str, values: &Fields, what: &str) -> Run {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("${") {
        let after = &rest[at + 2..];
        // `${{` is never an interpolation, here as in strings.
        if let Some(literal) = after.strip_prefix('{') {
            out.push_str(&rest[..at + 3]);
            rest = literal;
            continue;
        }
        let end = after.find('}').ok_or_else(|| Problem::argument(format!("a `${{` in {what} has no `}}`")))?;
        let name = after[..end].trim();
        let value = values.get(name).ok_or_else(|| {
            Problem::new(Code::NoSuchKey, format!("{what} asks for `{}`, which is not given", name.escape_debug()))
        })?;
        out.push_str(&rest[..at]);
        match value.as_text() {
            Some(text) => out.push_str(text),
            None => out.push_str(&revealed(value).to_literal()),
        }
        bounded(out.len())?;
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    bounded(out.len())?;
    Ok(Value::text(out))
}

fn read(a: &Arguments<'_>) -> Result<std::sync::Arc<[u8]>, Problem> {
    let path = a.text(0)?;
    a.outside.file(path, a.source).map_err(|why| unreadable(path, &why))
}

fn unreadable(path: &str, why: &str) -> Problem {
    Problem::new(Code::Unreadable, format!("`{}` cannot be read: {why}", path.escape_debug()))
}

pub fn env_var(a: &Arguments<'_>) -> Run {
    let name = a.text(0)?;
    let shown = name.escape_debug();
    let found = a
        .outside
        .variable(name, a.source)
        .map_err(|why| Problem::new(Code::Unreadable, format!("the environment variable `{shown}` cannot be read: {why}")))?;
    let found = found.map(Value::text).or_else(|| a.get(1).cloned());
    found.ok_or_else(|| Problem::new(Code::MissingInput, format!("the environment variable `{shown}` is not set")))
}

pub fn basename(a: &Arguments<'_>) -> Run {
    let path = a.text(0)?.trim_end_matches('/');
    Ok(Value::text(path.rsplit('/').next().unwrap_or_default()))
}

pub fn dirname(a: &Arguments<'_>) -> Run {
    let path = a.text(0)?;
    Ok(Value::text(match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", _)) => "/",
        Some((dir, _)) => dir,
        None if path.starts_with('/') => "/",
        None => ".",
    }))
}

/// Files below a directory that fit a pattern: `*` and `?` within a name, `**` across directories, `{a,b}` either.
pub fn file_set(a: &Arguments<'_>) -> Run {
    let (dir, pattern) = (a.text(0)?, a.text(1)?);
    let pattern = super::texts::compile(&glob(pattern)?)?;
    let found = a.outside.list(dir, a.source).map_err(|why| unreadable(dir, &why))?;
    Ok(Value::list(found.into_iter().filter(|path| pattern.is_match(path)).map(Value::text).collect()))
}

/// The regular expression of a glob.
fn glob(pattern: &str) -> Result<String, Problem> {
    let mut out = String::from("^");
    let mut braces = 0;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => match chars.next_if_eq(&'/') {
                Some(_) => out.push_str("(?:.*/)?"),
                None => out.push_str(".*"),
            },
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '{' => {
                braces += 1;
                out.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                out.push(')');
            }
            ',' if braces > 0 => out.push('|'),
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    match braces {
        0 => Ok(out + "$"),
        _ => Err(Problem::argument("a `{` of the pattern is not closed")),
    }
}
