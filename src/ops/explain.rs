//! The pages of `explain`: the manual's own index of codes, embedded.

use crate::eval::builtins;
use crate::model::Code;

const CODES: &str = include_str!("../../docs/codes.md");

/// What the manual says of a code: why it is said, a wrong and a right example. In Markdown.
pub fn page(code: Code) -> String {
    let head = format!("\n## {code}");
    let Some(start) = CODES.find(&head) else { return String::new() };
    let body = CODES[start + head.len()..].split_once('\n').map_or("", |(_, body)| body);
    without_comments(body.split("\n## ").next().unwrap_or("")).trim_start().to_owned()
}

/// Markdown without its comments, which say how its examples are tried, and the blank line behind each.
pub fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, rest)| rest.strip_prefix("\n\n").unwrap_or(rest));
    }
    out + rest
}

/// A built-in function as the manual shows it: its signature, what it does, and an example with its result.
pub struct FunctionPage {
    pub signature: String,
    pub doc: &'static str,
    pub example: (&'static str, &'static str),
}

/// All built-in functions, ordered by name.
pub fn functions() -> Vec<FunctionPage> {
    let mut all: Vec<_> = builtins::ALL.iter().collect();
    all.sort_by_key(|it| it.name);
    all.into_iter().map(|it| FunctionPage { signature: it.signature(), doc: it.doc, example: it.example }).collect()
}
