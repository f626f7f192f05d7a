//! Sentences for text that does not parse. The grammar says how far it came; what people hear is what they typed, what was
//! expected there, and, for habits from other languages, how the same thing is written here.

mod expected;
mod habits;

pub(in crate::lang) use expected::ITEM_WORDS;
use std::ops::Range;
use std::sync::Mutex;

use pest::Parser;

use super::grammar::{Grammar, Rule};
use super::scan::{self, Token, Unclosed};
use crate::model::{Code, Diagnostic, SourceId, Span};

/// What the parts of a text are, from its outside or the inside of some braces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Region {
    Items,
    Body,
    Entries,
    Rules,
    Overrides,
}

/// Beyond this length, how far the grammar came is found without its costly bookkeeping.
const DETAIL_MAX: usize = 256 << 10;

/// The one diagnostic for a chunk that does not parse and cannot be taken apart.
pub fn explain(source: SourceId, text: &str, chunk: Range<usize>, region: Region, rule: Rule) -> Diagnostic {
    let reached = chunk.start + reached(rule, &text[chunk.clone()]);
    let tokens = scan::tokens(text, chunk.clone());
    let place = Place::new(source, text, &tokens, chunk.clone(), region, reached);
    if let Some(diagnostic) = place.other_language() {
        return diagnostic;
    }
    if let Some(unclosed) = scan::first_unclosed(text, chunk)
        && unclosed.at() <= reached
    {
        return place.unclosed(unclosed);
    }
    place.diagnostic()
}

/// The bytes of `slice` that the grammar could make sense of.
fn reached(rule: Rule, slice: &str) -> usize {
    // pest keeps this switch for the whole process: others that parse meanwhile are slower, and no less right.
    static DETAIL: Mutex<()> = Mutex::new(());
    let detailed = slice.len() <= DETAIL_MAX;
    let guard = detailed.then(|| DETAIL.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    if detailed {
        pest::set_error_detail(true);
    }
    let result = Grammar::parse(rule, slice);
    if detailed {
        pest::set_error_detail(false);
    }
    drop(guard);
    let Err(error) = result else { return slice.len() };
    let by_rule = match error.location {
        pest::error::InputLocation::Pos(at) => at,
        pest::error::InputLocation::Span((at, _)) => at,
    };
    error.parse_attempts().map_or(by_rule, |attempts| attempts.max_position.max(by_rule)).min(slice.len())
}

/// Whether a comment or a text as other languages write them may begin at this byte.
pub fn may_swallow(text: &str, at: usize) -> bool {
    text.get(at..).is_some_and(|rest| rest.starts_with("/*") || rest.starts_with("<<"))
}

/// What other languages would take for one thing that begins here, and the grammar for many lines: `<<EOF` up to its word, `/*` up
/// to `*/`.
pub fn swallowed(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    if rest.starts_with("/*") {
        return Some(at..at + rest.find("*/")? + 2);
    }
    let head = rest.strip_prefix("<<")?;
    let head = head.strip_prefix(['-', '~']).unwrap_or(head);
    let word = head.lines().next()?.trim();
    if word.is_empty() || !word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let mut end = at;
    for (index, line) in rest.split_inclusive('\n').enumerate() {
        end += line.len();
        if index > 0 && line.trim() == word {
            return Some(at..end - (line.len() - line.trim_end().len()));
        }
    }
    None
}

/// `output a =` with nothing behind it, so that the item on the next line was taken for its value; and where that item begins.
pub fn value_on_next_item(source: SourceId, text: &str, chunk: Range<usize>) -> Option<(Diagnostic, usize)> {
    let tokens = scan::tokens(text, chunk);
    let word = |at: usize| tokens.get(at).map_or("", |token| &text[token.start..token.end]);
    let at = (1..tokens.len()).find(|at| {
        let (before, token) = (&tokens[at - 1], &tokens[*at]);
        token.inside.is_none()
            && before.inside.is_none()
            && goes_on_after(sign_before(text, before.end))
            && text[..token.start].ends_with('\n')
            && ITEM_WORDS.contains(&word(*at))
            && is_key(word(at + 1))
    })?;
    let before = tokens[at - 1];
    let sign = sign_before(text, before.end);
    let diagnostic = Code::Syntax
        .error(format!("expected a value after `{sign}`, found the end of the line"))
        .label(Span::new(source, before.end - sign.len(), before.end), "expected a value");
    Some((diagnostic, tokens[at].start))
}

/// The sign that ends here, or nothing.
fn sign_before(text: &str, end: usize) -> &str {
    let is_sign = |c: char| "=.?|&+-*/!<>".contains(c);
    &text[text[..end].trim_end_matches(is_sign).len()..end]
}

/// The first line of a range that is not blank.
pub fn first_line(text: &str, range: Range<usize>) -> Range<usize> {
    let first = scan::first_significant(text, range.clone()).unwrap_or(range.start);
    let end = text[first..range.end].find('\n').map_or(range.end, |length| first + length);
    range.start..end
}

/// A bracket that is not closed; `met` is a closing bracket of another sort, or the next item.
pub fn not_closed(source: SourceId, text: &str, at: usize, met: Option<usize>) -> Diagnostic {
    let length = if text[at..].starts_with("${") { 2 } else { 1 };
    let open = &text[at..at + length];
    let close = closing(open);
    let diagnostic = Code::Syntax
        .error(format!("this `{open}` is not closed"))
        .label(Span::new(source, at, at + length), format!("expected a `{close}` for it"));
    match met {
        Some(met) => diagnostic.label(Span::new(source, met, met + 1), "this closes another one"),
        None => diagnostic,
    }
}

fn closing(open: &str) -> char {
    match open {
        "(" => ')',
        "[" => ']',
        _ => '}',
    }
}

struct Place<'t> {
    source: SourceId,
    text: &'t str,
    tokens: &'t [Token],
    region: Region,
    chunk: Range<usize>,
    /// The token at which the grammar stopped.
    found: Option<Token>,
    index: usize,
    /// Whether a newline stands before it.
    breaks: bool,
}

impl<'t> Place<'t> {
    fn new(source: SourceId, text: &'t str, tokens: &'t [Token], chunk: Range<usize>, region: Region, reached: usize) -> Self {
        let index = tokens.iter().position(|token| token.end > reached).unwrap_or(tokens.len());
        let index = whole_sign_or_word(text, tokens, index);
        let found = tokens.get(index).copied();
        let before = index.checked_sub(1).map_or(chunk.start, |it| tokens[it].end);
        let breaks = text[before..found.map_or(chunk.end, |token| token.start)].contains('\n');
        Place { source, text, tokens, region, chunk, found, index, breaks }
    }

    fn word(&self, token: Token) -> &'t str {
        &self.text[token.start..token.end]
    }

    /// The token that stands `back` tokens before the one at which the grammar stopped.
    fn before(&self, back: usize) -> Option<Token> {
        self.index.checked_sub(back).map(|index| self.tokens[index])
    }

    fn before_word(&self, back: usize) -> &'t str {
        self.before(back).map_or("", |token| self.word(token))
    }

    /// Signs of two or three characters are tokens of one; this is the whole sign.
    fn sign_at(&self, at: usize) -> &'t str {
        let rest = &self.text[at..self.chunk.end];
        let signs = ["...", "==", "=>", "!=", ">=", "<=", "&&", "||", "??", "..", "?.", "//", "/*", "->", "${"];
        signs
            .iter()
            .find(|sign| rest.starts_with(**sign))
            .map(|sign| &rest[..sign.len()])
            .unwrap_or_else(|| &rest[..rest.chars().next().map_or(0, char::len_utf8)])
    }

    fn sign_ending(&self, token: Token) -> &'t str {
        for length in [3, 2] {
            if let Some(from) = token.end.checked_sub(length)
                && from >= self.chunk.start
                && self.text.is_char_boundary(from)
                && self.sign_at(from).len() == length
            {
                return &self.text[from..token.end];
            }
        }
        self.word(token)
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.source, start, end)
    }

    fn error(&self, span: Span, message: impl Into<String>, label: impl Into<String>) -> Diagnostic {
        Code::Syntax.error(message).label(span, label)
    }

    /// Where something is missing: the token that stands there instead, or the place behind the last one.
    fn here(&self) -> Span {
        match (self.found, self.before(1)) {
            (Some(token), _) if !self.breaks || self.index == 0 => {
                let sign = self.sign_at(token.start);
                let end = if is_word(self.word(token)) || self.word(token).len() > sign.len() {
                    token.end
                } else {
                    token.start + sign.len()
                };
                self.span(token.start, end.min(token.start + 80).max(token.start + 1)).on_boundary(self.text)
            }
            (_, Some(before)) => self.span(before.start.max(before.end.saturating_sub(40)), before.end).on_boundary(self.text),
            _ => self.span(self.chunk.start, self.chunk.start),
        }
    }

    /// What stands where something else was expected, in words.
    fn what_is_found(&self) -> String {
        match self.found {
            Some(_) if self.breaks => "the end of the line".into(),
            None => {
                let last = self.before(1).map_or(self.chunk.start, |token| token.end);
                let rest = &self.text[last..];
                match rest.trim_start_matches([' ', '\t']).chars().next() {
                    None => "the end of the file".into(),
                    Some('}') if self.chunk.end < self.text.len() => "`}`".into(),
                    Some(_) => "the end of the line".into(),
                }
            }
            Some(token) => {
                let word = self.word(token);
                match word.as_bytes()[0] {
                    b'"' => "a string".into(),
                    b'0'..=b'9' => format!("`{}`", shorten(word)),
                    _ if is_word(word) => format!("`{}`", shorten(word)),
                    _ => format!("`{}`", self.sign_at(token.start).escape_debug()),
                }
            }
        }
    }

    fn unclosed(&self, unclosed: Unclosed) -> Diagnostic {
        match unclosed {
            Unclosed::Bracket { at, met } => not_closed(self.source, self.text, at, met),
            Unclosed::Stray { at } => {
                let sign = &self.text[at..at + 1];
                self.error(self.span(at, at + 1), format!("this `{sign}` closes nothing"), "nothing is open here")
            }
            Unclosed::String { at, block: true } => {
                let quotes = self.text[at..].find('"').map_or(at, |length| at + length);
                self.error(self.span(at, quotes + 3), "this string is not closed", "expected `\"\"\"` further down")
            }
            Unclosed::String { at, block: false } if self.text[..at].ends_with("\\\"") => self.tag_ended(at),
            Unclosed::String { at, block: false } => {
                let end = self.text[at..].find('\n').map_or(self.text.len(), |length| at + length);
                let end = at + self.text[at..end].trim_end().len();
                let diagnostic = self.error(self.span(at, end), "this string is not closed", "expected a `\"` on this line");
                diagnostic.help("text over several lines stands between `\"\"\"` and `\"\"\"`")
            }
        }
    }

    fn diagnostic(&self) -> Diagnostic {
        self.after_tag()
            .or_else(|| self.habit())
            .or_else(|| self.missing_value())
            .or_else(|| self.in_brackets())
            .unwrap_or_else(|| self.at_entry())
    }
}

/// Where the grammar looks ahead it stops inside of a sign, or behind a word that is never a value: the error is their beginning.
fn whole_sign_or_word(text: &str, tokens: &[Token], index: usize) -> usize {
    let word = |index: usize| tokens.get(index).map_or("", |token| &text[token.start..token.end]);
    let Some(before) = index.checked_sub(1) else { return index };
    let touches = tokens.get(index).is_some_and(|token| token.start == tokens[before].end);
    if touches && matches!((word(before), word(index)), ("=", "=" | ">") | ("/", "/" | "*") | ("-", ">")) {
        return before;
    }
    let wants_value = before.checked_sub(1).is_some_and(|it| matches!(word(it), "=" | "(" | "," | "+" | "*" | "&" | "|" | "?"));
    if matches!(word(before), "then" | "else" | "in" | "for") && wants_value { before } else { index }
}

impl Unclosed {
    fn at(self) -> usize {
        match self {
            Unclosed::Bracket { at, .. } | Unclosed::Stray { at } | Unclosed::String { at, .. } => at,
        }
    }
}

trait OnBoundary {
    /// The same span, its ends moved outwards to whole characters.
    fn on_boundary(self, text: &str) -> Self;
}

impl OnBoundary for Span {
    fn on_boundary(mut self, text: &str) -> Span {
        while !text.is_char_boundary(self.start as usize) {
            self.start -= 1;
        }
        while (self.end as usize) < text.len() && !text.is_char_boundary(self.end as usize) {
            self.end += 1;
        }
        self.end = self.end.min(text.len() as u32);
        self
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !text.ends_with('"')
}

fn is_key(text: &str) -> bool {
    is_word(text) || text.starts_with('"')
}

fn found_closes_wrong(found: Option<&str>) -> bool {
    !matches!(found, Some(")" | "]" | "}"))
}

fn goes_on_after(sign: &str) -> bool {
    matches!(
        sign,
        "=" | "=>"
            | ":"
            | "then"
            | "else"
            | "in"
            | "??"
            | "||"
            | "&&"
            | "=="
            | "!="
            | "<="
            | ">="
            | "<"
            | ">"
            | "+"
            | "-"
            | "*"
            | "/"
            | ".."
    )
}

fn continues_with(sign: &str, word: &str) -> bool {
    matches!(word, "then" | "else")
        || matches!(
            sign,
            "??" | "||" | "&&" | "==" | "!=" | "<=" | ">=" | "<" | ">" | "+" | "-" | "*" | "/" | ".." | "." | "?." | "|" | "=>"
        )
}

fn shorten(text: &str) -> &str {
    match text.char_indices().nth(40) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}
