//! A text as words, signs, strings and comments, each with the part that it plays: what the formatter lays out.

use pest::Parser;
use rustc_hash::FxHashMap;

use super::grammar::{Grammar, Rule};
use super::scan;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A word of the language, such as `if` or `resource`.
    Word,
    /// A name or a dotted path.
    Name,
    /// A number, string, or any other literal; it is never taken apart.
    Literal,
    /// An operator between two operands.
    Op,
    /// `!` or `-` before an operand.
    Prefix,
    /// Any other sign.
    Sign,
    Open(Group),
    Close,
    Comment,
}

/// What stands between a pair of brackets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Items, entries, rules or type fields: a newline parts them.
    Entries,
    /// A list, parameters, or the arms of a `match`: commas part them.
    List,
    Arms,
    /// The arguments of a call, or a refinement: commas part them, no blank before.
    Call,
    /// `[key]` behind a value.
    Index,
    Paren,
    /// `<…>` of a type.
    Angle,
    /// A comprehension in `[` or `{`.
    Comprehension,
}

#[derive(Clone, Copy, Debug)]
pub struct Lexeme {
    pub start: usize,
    pub end: usize,
    pub kind: Kind,
    /// Newlines before it.
    pub breaks: usize,
}

/// The comments of a text, in order, without the blanks at their ends.
pub fn comments(text: &str) -> Vec<&str> {
    lexemes(text).into_iter().filter(|it| it.kind == Kind::Comment).map(|it| text[it.start..it.end].trim_end()).collect()
}

/// The lexemes of a text that parses without errors.
pub fn lexemes(text: &str) -> Vec<Lexeme> {
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let chunks = scan::split(text, start..text.len());
    super::on_enough_stack(&chunks, || {
        let mut parts = FxHashMap::default();
        for chunk in &chunks {
            mark(&text[chunk.range.clone()], chunk.range.start, &mut parts);
        }
        cut(text, start, &parts)
    })
}

enum Part {
    Whole(Kind, usize),
    Open(Group),
}

/// Notes where the grammar's parts begin that decide about blanks.
fn mark(slice: &str, base: usize, parts: &mut FxHashMap<usize, Part>) {
    let Ok(pairs) = Grammar::parse(Rule::chunk_of_items, slice) else { return };
    for pair in pairs.flatten() {
        let (start, end) = (base + pair.as_span().start(), base + pair.as_span().end());
        let part = match pair.as_rule() {
            Rule::ident | Rule::path | Rule::label => Part::Whole(Kind::Name, end),
            Rule::number
            | Rule::signed
            | Rule::instant
            | Rule::constant
            | Rule::plain
            | Rule::template
            | Rule::block
            | Rule::raw => Part::Whole(Kind::Literal, end),
            Rule::tagged | Rule::constant_template | Rule::constant_block => Part::Whole(Kind::Literal, end),
            Rule::op => Part::Whole(Kind::Op, end),
            Rule::prefix => Part::Whole(Kind::Prefix, start + 1),
            Rule::open => Part::Whole(Kind::Op, end),
            Rule::braces | Rule::body | Rule::items | Rule::rules | Rule::type_object | Rule::overrides => {
                Part::Open(Group::Entries)
            }
            Rule::type_variant => {
                let brace = base + pair.as_span().start() + pair.as_str().find('{').unwrap_or(0);
                parts.insert(brace, Part::Open(Group::Entries));
                continue;
            }
            Rule::list => {
                let is_for = pair.clone().into_inner().next().is_some_and(|it| it.as_rule() == Rule::list_for);
                Part::Open(if is_for { Group::Comprehension } else { Group::List })
            }
            Rule::object_for => Part::Open(Group::Comprehension),
            Rule::index | Rule::maybe_index => {
                let bracket = end - pair.as_str().trim_start_matches('?').len();
                parts.insert(bracket, Part::Open(Group::Index));
                continue;
            }
            Rule::resource_override => {
                // Its key stands in brackets without a part of their own.
                let path_end = pair.clone().into_inner().next().map_or(start, |path| base + path.as_span().end());
                let rest = &slice[path_end - base..end - base];
                if rest.trim_start().starts_with('[') {
                    parts.insert(path_end + rest.len() - rest.trim_start().len(), Part::Open(Group::Index));
                }
                continue;
            }
            Rule::call | Rule::params => Part::Open(Group::Call),
            Rule::paren => Part::Open(Group::Paren),
            _ => continue,
        };
        // The outermost part that begins at a byte decides.
        parts.entry(start).or_insert(part);
    }
}

fn cut(text: &str, start: usize, parts: &FxHashMap<usize, Part>) -> Vec<Lexeme> {
    let bytes = text.as_bytes();
    let (mut all, mut at, mut breaks) = (Vec::new(), start, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\n' => {
                breaks += 1;
                at += 1;
                continue;
            }
            b' ' | b'\t' | b'\r' => {
                at += 1;
                continue;
            }
            _ => {}
        }
        let (kind, end) = match parts.get(&at) {
            Some(Part::Whole(kind, end)) => (*kind, *end),
            Some(Part::Open(group)) => (Kind::Open(*group), at + 1),
            None => unmarked(text, at),
        };
        all.push(Lexeme { start: at, end, kind, breaks });
        (at, breaks) = (end, 0);
    }
    all
}

fn unmarked(text: &str, at: usize) -> (Kind, usize) {
    let rest = &text[at..];
    let length = |fits: fn(char) -> bool| rest.find(|c: char| !fits(c)).unwrap_or(rest.len());
    match rest.as_bytes()[0] {
        b'#' => (Kind::Comment, at + rest.find('\n').unwrap_or(rest.len())),
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => (Kind::Word, at + length(|c| c.is_ascii_alphanumeric() || c == '_')),
        b'{' => (Kind::Open(Group::Arms), at + 1),
        b'[' => (Kind::Open(Group::Paren), at + 1),
        b'(' => (Kind::Open(Group::Call), at + 1),
        b'<' => (Kind::Open(Group::Angle), at + 1),
        b'}' | b']' | b')' | b'>' => (Kind::Close, at + 1),
        _ => {
            let sign = ["...", "=>", "?."].into_iter().find(|sign| rest.starts_with(sign));
            (Kind::Sign, at + sign.map_or(1, str::len).max(rest.chars().next().map_or(1, char::len_utf8).min(3)))
        }
    }
}
