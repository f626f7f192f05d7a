//! The pages of `explain`: the manual's own index of codes, embedded.

use crate::model::Code;

const CODES: &str = include_str!("../../docs/codes.md");

/// What the manual says of a code: why it is said, a wrong and a right example. In Markdown.
pub fn page(code: Code) -> &'static str {
    let head = format!("\n## {code}");
    let Some(start) = CODES.find(&head) else { return "" };
    let body = CODES[start + head.len()..].split_once('\n').map_or("", |(_, body)| body);
    body.split("\n## ").next().unwrap_or("").trim_start()
}
