//! How the change of one value is shown: words in a line, lines in a text, entries of JSON. `similar` stays in here.

use similar::{ChangeTag, TextDiff};

use super::escape::Escaped;
use super::terminal::{Ink, Terminal};
use crate::model::{Data, Value};

/// Texts with at least this many lines are compared line by line.
const LINES_FROM: usize = 4;
/// Lines shown around a changed line.
const CONTEXT: usize = 3;

/// One changed value, as lines. The first goes beside the attribute's name, the others below it.
pub fn change(before: Option<&Value>, after: Option<&Value>, terminal: &Terminal) -> Vec<String> {
    let is_secret = |value: Option<&Value>| value.is_some_and(|value| value.mark.secret);
    if is_secret(before) || is_secret(after) {
        let verb = match (before, after) {
            (None, _) => "is set",
            (_, None) => "goes away",
            _ => "changes",
        };
        return vec![format!("(secret) {verb}")];
    }
    match (before, after) {
        (Some(before), Some(after)) => match (text_of(before), text_of(after)) {
            (Some(old), Some(new)) => texts(&old, &new, terminal),
            _ => vec![arrow(&shown(before), &shown(after), terminal)],
        },
        (None, Some(after)) => vec![shown(after)],
        (Some(before), None) => vec![arrow(&shown(before), "(absent)", terminal)],
        (None, None) => Vec::new(),
    }
}

/// The smallest parts in which two values differ, with the path to each: `guest.memory`, `services[0].port`. What is secret as a
/// whole is one part.
pub fn leaves<'v>(path: &str, before: Option<&'v Value>, after: Option<&'v Value>) -> Vec<Leaf<'v>> {
    if before == after {
        return Vec::new();
    }
    let whole = || vec![(path.to_owned(), before, after)];
    let (Some(old), Some(new)) = (before, after) else { return whole() };
    if old.mark.secret || new.mark.secret {
        return whole();
    }
    match (&old.data, &new.data) {
        (Data::Map(old), Data::Map(new)) => {
            let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
            names.into_iter().flat_map(|name| leaves(&format!("{path}.{name}"), old.get(name), new.get(name))).collect()
        }
        (Data::List(old), Data::List(new)) => {
            let longest = old.len().max(new.len());
            (0..longest).flat_map(|at| leaves(&format!("{path}[{at}]"), old.get(at), new.get(at))).collect()
        }
        _ => whole(),
    }
}

/// A path, and what stood and stands there.
pub type Leaf<'v> = (String, Option<&'v Value>, Option<&'v Value>);

/// A value on one line, clipped and safe to show.
pub fn shown(value: &Value) -> String {
    super::escape::clipped(&value.to_literal(), 160)
}

fn text_of(value: &Value) -> Option<String> {
    match &value.data {
        Data::Text(text) => Some(structured(text).unwrap_or_else(|| text.to_string())),
        _ => None,
    }
}

/// JSON with one entry a line, so that documents which differ in layout alone do not differ.
fn structured(text: &str) -> Option<String> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let parsed: serde_json::Value = serde_json::from_str(text).ok()?;
    serde_json::to_string_pretty(&parsed).ok()
}

fn arrow(old: &str, new: &str, terminal: &Terminal) -> String {
    format!("{old} {} {new}", terminal.pick("→", "->"))
}

fn texts(old: &str, new: &str, terminal: &Terminal) -> Vec<String> {
    let lines = old.lines().count().max(new.lines().count());
    if lines < LINES_FROM {
        return vec![words(old, new, terminal)];
    }
    let diff = TextDiff::from_lines(old, new);
    let mut out = vec![format!("{lines} lines")];
    for (at, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if at > 0 {
            out.push("  ···".into());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = Escaped(change.value().trim_end_matches(['\n', '\r'])).to_string();
            out.push(match change.tag() {
                ChangeTag::Equal => format!("  {line}"),
                ChangeTag::Delete => terminal.paint(Ink::Bad, format!("- {line}")),
                ChangeTag::Insert => terminal.paint(Ink::Good, format!("+ {line}")),
            });
        }
    }
    out
}

/// `"acme/shop-api:[-v41-]{+v42+}"`; two texts with little in common are shown whole, one after the other.
fn words(old: &str, new: &str, terminal: &Terminal) -> String {
    let (old_words, new_words) = (split(old), split(new));
    let diff = TextDiff::from_slices(&old_words, &new_words);
    if diff.ratio() < 0.4 {
        return arrow(&shown(&Value::text(old)), &shown(&Value::text(new)), terminal);
    }
    let mut out = String::from("\"");
    for op in diff.ops() {
        for change in diff.iter_changes(op) {
            let piece = Value::text(change.value()).to_literal();
            let piece = Escaped(&piece[1..piece.len() - 1]).to_string();
            match change.tag() {
                ChangeTag::Equal => out.push_str(&piece),
                ChangeTag::Delete => out.push_str(&terminal.paint(Ink::Bad, format!("[-{piece}-]"))),
                ChangeTag::Insert => out.push_str(&terminal.paint(Ink::Good, format!("{{+{piece}+}}"))),
            }
        }
    }
    out.push('"');
    out.replace("-][-", "").replace("+}{+", "")
}

/// Runs of letters and digits, and every other character by itself: `shop-api:v41` is `shop`, `-`, `api`, `:`, `v41`.
fn split(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut in_word = false;
    for (at, c) in text.char_indices() {
        if at > 0 && !(in_word && c.is_alphanumeric()) {
            words.push(&text[start..at]);
            start = at;
        }
        in_word = c.is_alphanumeric();
    }
    words.push(&text[start..]);
    words
}

/// Two versions of a file as a unified diff.
pub fn unified(name: &str, before: &str, after: &str) -> String {
    let name = Escaped(name).to_string();
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().context_radius(CONTEXT).header(&name, &name).to_string();
    text.split_inclusive('\n').map(|line| format!("{}\n", Escaped(line.trim_end_matches('\n')))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: Option<Value>, after: Option<Value>, expected: &[&str]) {
        assert_eq!(change(before.as_ref(), after.as_ref(), &Terminal::paper(100)), expected);
    }

    #[test]
    fn a_text_is_compared_by_words() {
        check(
            Some(Value::text("acme/shop-api:v41")),
            Some(Value::text("acme/shop-api:v42")),
            &["\"acme/shop-api:[-v41-]{+v42+}\""],
        );
        check(Some(Value::text("cdg")), Some(Value::text("fra")), &["\"cdg\" → \"fra\""]);
    }

    #[test]
    fn a_long_text_is_compared_by_lines() {
        let old = Value::text("a\nb\nc\nd\ne\nf\ng\nh\ni");
        let new = Value::text("a\nb\nc\nd\nE\nf\ng\nh\ni");
        check(Some(old), Some(new), &["9 lines", "  b", "  c", "  d", "- e", "+ E", "  f", "  g", "  h"]);
    }

    #[test]
    fn json_that_differs_in_layout_alone_is_the_same() {
        check(Some(Value::text("{\"a\":1}")), Some(Value::text("{ \"a\": 1 }")), &["\"{\\n  \\\"a\\\": 1\\n}\""]);
    }

    #[test]
    fn a_secret_says_only_that_it_changes() {
        let canary = || Value::text("canary-7f3a").secret();
        check(Some(canary()), Some(canary()), &["(secret) changes"]);
        check(None, Some(canary()), &["(secret) is set"]);
        check(Some(Value::text("plain")), Some(canary()), &["(secret) changes"]);
    }
}
