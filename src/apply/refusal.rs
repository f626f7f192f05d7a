//! A platform's no, brought back to the line of source that caused it.

use crate::model::{Address, Code, Data, DesiredResource, Diagnostic, Fields, KnownSecrets, Span, Value};
use crate::providers::contract::CallError;

/// How much of a platform's own words is quoted.
const WORDS_MAX: usize = 300;

/// What a refused call was about.
pub struct Refused<'a> {
    pub address: &'a Address,
    pub provider: &'a str,
    /// What was sent.
    pub inputs: &'a Fields,
    pub declared: Option<&'a DesiredResource>,
}

/// The diagnostic of a call that definitely did nothing: refused, or never sent.
///
/// The place is the value of the attribute that the platform names, else the value that its words quote, else the instance.
pub fn diagnose(error: &CallError, about: &Refused<'_>) -> Diagnostic {
    let (address, provider) = (about.address, about.provider);
    match error {
        CallError::Refused { status, field, words, request, code } => {
            let status = status.map_or(String::new(), |status| format!("{status}, "));
            let words = escaped(&KnownSecrets::of(about.inputs).clean(words));
            let message = format!("{provider} refused `{address}`: {status}{words}");
            let mut diagnostic = code.error(message).about(address.clone());
            if let Some((span, label)) = place(field.as_deref(), &words, about) {
                diagnostic = diagnostic.label(span, label);
            }
            if let Some(request) = request {
                diagnostic = diagnostic.fact("call", format!("request {}, not retried", escaped(request)));
            }
            match code {
                Code::Refused => diagnostic.help("correct it, then `stackwright apply` carries on from here"),
                Code::Unauthorized => diagnostic.help(format!(
                    "give provider `{provider}` credentials that the platform accepts, then `stackwright apply` carries on from here"
                )),
                _ => diagnostic,
            }
        }
        CallError::NotSent(why) => Code::Unavailable
            .error(format!("{provider} could not be reached for `{address}`: {}", escaped(why)))
            .about(address.clone())
            .help("`stackwright apply` carries on from here once it can be reached"),
        CallError::Throttled { .. } => Code::Unavailable
            .error(format!("{provider} asks to come back later, for too long already, for `{address}`"))
            .about(address.clone())
            .help("`stackwright apply` carries on from here; `--parallel 1` asks for less at once"),
        CallError::OutcomeUnknown(why) => unknown(address, provider, why),
    }
}

/// The diagnostic of a call of which nobody knows what became.
pub fn unknown(address: &Address, provider: &str, why: &str) -> Diagnostic {
    Code::OutcomeUnknown
        .error(format!("it is not known whether {provider} did what was asked for `{address}`: {}", escaped(why)))
        .about(address.clone())
        .note("the call is open in the log, so nothing is done to this address before it is settled")
        .help("run `stackwright apply` again: it looks for what became of the call before anything else")
}

fn place(field: Option<&str>, words: &str, about: &Refused<'_>) -> Option<(Span, String)> {
    let declared = about.declared?;
    let named = field.and_then(|field| Some((field, value_at(about.inputs, field)?)));
    if let Some((field, value)) = named
        && let Some(span) = origin(value)
    {
        return Some((span, format!("sent as {} = {}", escaped(field), value.to_literal())));
    }
    let quoted = about.inputs.iter().find_map(|(name, value)| quoted_in(name, value, words));
    if let Some((path, span, literal)) = quoted {
        return Some((span, format!("sent as {path} = {literal}")));
    }
    let sent = field.map_or("sent from here".to_owned(), |field| format!("sent from here, as {}", escaped(field)));
    Some((declared.called_at, sent))
}

/// The value that a platform means by `guest.memory_mb`: as deep as the path goes, from wherever it begins to fit.
fn value_at<'v>(inputs: &'v Fields, field: &str) -> Option<&'v Value> {
    let steps: Vec<&str> = field.split(['.', '/', '[', ']']).filter(|step| !step.is_empty()).collect();
    (0..steps.len()).find_map(|from| {
        let mut value = inputs.get(steps[from])?;
        for step in &steps[from + 1..] {
            match inner(value, step) {
                Some(deeper) => value = deeper,
                None => break,
            }
        }
        Some(value)
    })
}

fn inner<'v>(value: &'v Value, step: &str) -> Option<&'v Value> {
    match &value.data {
        Data::Map(fields) | Data::Variant(_, fields) => fields.get(step),
        Data::List(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    }
}

/// The first value, with its path, whose text the words quote.
fn quoted_in(path: &str, value: &Value, words: &str) -> Option<(String, Span, String)> {
    if value.mark.secret {
        return None;
    }
    match &value.data {
        Data::Map(fields) | Data::Variant(_, fields) => {
            fields.iter().find_map(|(name, value)| quoted_in(&format!("{path}.{name}"), value, words))
        }
        Data::List(items) => items.iter().find_map(|value| quoted_in(path, value, words)),
        Data::Text(text) if text.len() >= 3 && words.contains(&**text) => {
            Some((path.to_owned(), origin(value)?, value.to_literal()))
        }
        _ => None,
    }
}

fn origin(value: &Value) -> Option<Span> {
    Some(value.mark.origin).filter(|span| !span.is_engine())
}

/// A platform's words as one line of at most [`WORDS_MAX`] characters, nothing in it that a terminal would obey.
pub fn escaped(words: &str) -> String {
    let mut out = String::new();
    for (count, c) in words.trim().chars().enumerate() {
        if count == WORDS_MAX {
            out.push('…');
            break;
        }
        match c {
            '\n' | '\t' | '\r' => out.push(' '),
            c if is_unsafe(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// Control characters, and those that change the direction or are not seen.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}
