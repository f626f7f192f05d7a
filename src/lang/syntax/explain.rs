//! Sentences for text that does not parse. The grammar says how far it came; what people hear is what they typed, what was
//! expected there, and, for habits from other languages, how the same thing is written here.

use std::ops::Range;
use std::sync::Mutex;

use pest::Parser;

use super::grammar::{Grammar, Rule};
use super::scan::{self, Token, Unclosed};
use crate::model::{Code, Confidence, Diagnostic, Edit, SourceId, Span};

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

    /// `re"a\"b"`: a tagged string knows no escapes, so the quote after the backslash ended it.
    fn after_tag(&self) -> Option<Diagnostic> {
        let before = self.before(1)?;
        let word = self.word(before);
        let ends = word.ends_with("\\\"") && !word.starts_with('"') && !self.breaks;
        ends.then(|| self.tag_ended(before.end))
    }

    fn tag_ended(&self, end: usize) -> Diagnostic {
        self.error(self.span(end - 2, end), "this string has no escapes: it ends here", "this quote closes it")
            .help("use `'`, or three quotes around the whole")
    }

    /// What is written otherwise in other languages.
    fn habit(&self) -> Option<Diagnostic> {
        let found = self.found?;
        let at = found.start;
        let sign = self.sign_at(at);
        let word = self.word(found);
        let here = self.here();
        let diagnostic = match sign {
            ":" | "=>" if found.inside.is_some_and(|(_, at)| self.is_match(at)) => return None,
            ":" if matches!(found.inside, Some((b'(', _))) && is_word(self.before_word(1)) && self.is_param_name() => self
                .error(self.span(at, at + 1), "expected `=` after the name of an argument, found `:`", "write `=`")
                .help(format!("`{} = …`", shorten(self.before_word(1)))),
            "=>" if self.in_braces(found) && is_key(self.before_word(1)) => {
                self.error(self.span(at, at + 2), "expected `=` after the name of a field, found `=>`", "write `=`")
            }
            "=" if self.value_on_next_line() => {
                return self.before(2).map(|before| {
                    let sign = self.sign_ending(before);
                    self.error(
                        self.span(before.start, before.end),
                        format!("expected a value after `{sign}`, found the end of the line"),
                        "expected a value",
                    )
                });
            }
            _ if self.before_word(1) == "not" => {
                let before = self.before(1)?;
                self.error(self.span(before.start, before.end), "there is no operator `not`", "write `!`")
            }
            ":" if self.in_braces(found) && is_key(self.before_word(1)) => {
                let name = self.before_word(1);
                self.error(self.span(at, at + 1), "expected `=` after the name of a field, found `:`", "write `=`")
                    .help(format!("`{} = …`; `:` stands before a type", shorten(name)))
                    .fix("write `=`", Confidence::Sure, vec![Edit { span: self.equals_instead_of(at), text: " =".into() }])
            }
            "==" if self.in_braces(found) && is_key(self.before_word(1)) && self.is_entry_start(2) => {
                self.error(self.span(at, at + 2), "expected `=` after the name of a field, found `==`", "write `=`")
            }
            ";" => self
                .error(self.span(at, at + 1), "nothing ends with `;`", "remove it")
                .help("a new line or a comma parts two entries"),
            "'" => self.error(self.span(at, at + 1), "a string stands in double quotes", "write `\"`"),
            "`" => self.error(self.span(at, at + 1), "a string stands in double quotes", "write `\"`"),
            "//" | "/*" => self.error(self.span(at, at + 2), "a comment begins with `#`", "write `#`"),
            "&" => self.error(self.span(at, at + 1), "there is no operator `&`", "write `&&`"),
            "%" => self.error(self.span(at, at + 1), "there is no operator `%`", "a percentage has no blank before `%`"),
            "?" if !self.breaks => self
                .error(self.span(at, at + 1), "a choice is written with words", "expected the end of this value")
                .help("write `if condition then a else b`"),
            "=" if self.before(1).is_some_and(|before| self.sign_ending(before) == "!=" || self.sign_ending(before) == "==") => {
                self.error(self.span(at, at + 1), "there is no operator `===`", "one `=` too many")
            }
            "|" if !self.breaks => self.error(self.span(at, at + 1), "there is no operator `|` between values", "write `||`"),
            "->" => self.error(self.span(at, at + 2), "there is no `->`", "an arm of `match` is written `pattern => value`"),
            "==" | "!=" | "<" | ">" | "<=" | ">=" if self.before(1).is_none() => return None,
            _ if word == "and" => self.error(here, "there is no operator `and`", "write `&&`"),
            _ if word == "or" => self.error(here, "there is no operator `or`", "write `||`"),
            _ if word == "not" => self.error(here, "there is no operator `not`", "write `!`"),
            _ if word == "elif" || word == "elsif" || word == "elseif" => {
                self.error(here, format!("there is no `{word}`"), "write `else if`")
            }
            _ => return None,
        };
        Some(diagnostic)
    }

    /// `image =⏎ port = 80`: the next entry was taken for the value.
    fn value_on_next_line(&self) -> bool {
        let (Some(name), Some(sign)) = (self.before(1), self.before(2)) else { return false };
        is_key(self.word(name)) && self.text[sign.end..name.start].contains('\n') && goes_on_after(self.sign_ending(sign))
    }

    fn equals_instead_of(&self, at: usize) -> Span {
        let blank = self.text[..at].ends_with(' ');
        self.span(at - usize::from(blank), at + 1)
    }

    /// After `=`, an operator, an opening bracket or a keyword, a value is missing.
    fn missing_value(&self) -> Option<Diagnostic> {
        let before = self.before(1)?;
        let word = self.word(before);
        let sign = self.sign_ending(before);
        let found = self.what_is_found();
        let here = self.here();
        let value = |after: &str| {
            let diagnostic = self.error(here, format!("expected a value after `{after}`, found {found}"), "expected a value");
            match self.found.map(|token| self.word(token)) {
                Some(word @ ("then" | "else" | "in" | "for" | "null" | "true" | "false" | "if" | "match")) if !self.breaks => {
                    diagnostic.note(format!("`{word}` is a word of the language"))
                }
                _ => diagnostic,
            }
        };
        Some(match sign {
            "=" | "=>" | "==" | "!=" | "<=" | ">=" | "&&" | "||" | "??" | ".." | "+" | "-" | "*" | "/" | "!" => {
                if sign == "=" && self.first_word() == "type" && self.region == Region::Items {
                    return Some(self.error(here, format!("expected a type after `=`, found {found}"), "expected a type"));
                }
                value(sign)
            }
            "<" | ">" if self.text[..before.start].ends_with(' ') => value(sign),
            "," if matches!(before.inside, Some((b'[' | b'(', _))) => value(","),
            "." if !self.breaks && self.found.is_some_and(|token| is_word(self.word(token))) => self.error(
                self.span(before.start, before.end),
                "no blank stands after a dot",
                "expected a name directly behind it",
            ),
            "${" if self.found.is_some_and(|token| found_closes_wrong(Some(self.word(token)))) => self
                .error(
                    self.span(before.end - 2, before.end),
                    "this text has to be the same in every run",
                    "no value may stand in it",
                )
                .help("labels, keys, patterns, names of tests and paths of imports are constant"),
            "..." => self.error(here, format!("expected an object after `...`, found {found}"), "expected a value"),
            "." | "?." => self.error(here, format!("expected a name after `{sign}`, found {found}"), "expected a name"),
            ":" => match self.opens_comprehension(before) {
                Some(_) => value(":"),
                None => self.error(
                    here,
                    format!("expected a type after `:`, found {found}"),
                    "expected a type such as `string` or `int(1..10)`",
                ),
            },
            "<" => self.error(here, format!("expected a type after `<`, found {found}"), "expected a type"),
            "(" | "[" if found_closes_wrong(self.found.map(|token| self.word(token))) => value(sign),
            "${" => value(sign),
            _ if matches!(word, "then" | "else" | "if" | "in" | "expect" | "within" | "require")
                && self.found.is_some()
                && !self.is_field_name(before) =>
            {
                if word == "else" && self.found.is_some_and(|token| self.word(token) == "{") {
                    return None;
                }
                value(word)
            }
            _ => return None,
        })
    }

    fn is_field_name(&self, token: Token) -> bool {
        self.text[..token.start].ends_with('.')
    }

    /// In brackets that hold values: what may follow one.
    fn in_brackets(&self) -> Option<Diagnostic> {
        let found = self.found?;
        let (open, open_at) = found.inside?;
        let here = self.here();
        let what = self.what_is_found();
        if let Some(missing) = self.missing_word() {
            return Some(missing);
        }
        match open {
            b'[' => {
                Some(self.error(here, format!("expected `,` or `]` after this element, found {what}"), "expected `,` or `]`"))
            }
            b'(' => {
                let is_params = self.chunk_word_before(open_at).is_some_and(|word| matches!(word, "fn" | "signal"));
                if is_params && self.before_word(1) != "," && is_word(self.before_word(1)) && self.is_param_name() {
                    return Some(self.error(
                        here,
                        format!("expected `:` and a type after the name of a parameter, found {what}"),
                        "expected `: type`",
                    ));
                }
                Some(self.error(here, format!("expected `,` or `)` after this argument, found {what}"), "expected `,` or `)`"))
            }
            _ if self.text[open_at..].starts_with("${") => {
                Some(self.error(here, format!("expected `}}` after the value in this string, found {what}"), "expected `}`"))
            }
            _ if self.is_match(open_at) => {
                let arrow_before = self.tokens[..self.index]
                    .iter()
                    .rev()
                    .take_while(|token| token.start > open_at)
                    .filter(|token| token.inside == Some((open, open_at)))
                    .find(|token| matches!(self.word(**token), "," | ">"))
                    .is_some_and(|token| self.sign_ending(*token) == "=>");
                if arrow_before {
                    return Some(self.error(
                        here,
                        format!("expected `,` after this arm of `match`, found {what}"),
                        "arms are parted by commas",
                    ));
                }
                Some(
                    self.error(here, format!("expected `=>` after a pattern, found {what}"), "expected `=>`")
                        .help("a pattern is a text, a number, a label with or without a name behind it, or `_`"),
                )
            }
            _ => None,
        }
    }

    fn is_param_name(&self) -> bool {
        matches!(self.before_word(2), "(" | ",")
    }

    /// The first word of the line of items or entries in which this byte stands.
    fn chunk_word_before(&self, at: usize) -> Option<&'t str> {
        self.tokens
            .iter()
            .take_while(|token| token.start < at)
            .last()
            .and_then(|_| self.tokens.first())
            .map(|token| self.word(*token))
    }

    fn is_match(&self, open_at: usize) -> bool {
        let line =
            self.text[self.chunk.start..open_at].rfind('\n').map_or(self.chunk.start, |newline| self.chunk.start + newline);
        let words = self.tokens.iter().filter(|token| token.start >= line && token.start < open_at);
        let mut depth_of_match = None;
        for token in words {
            if self.word(*token) == "match" {
                depth_of_match = Some(token.inside);
            } else if depth_of_match == Some(token.inside) && self.word(*token) == "{" && token.start < open_at {
                depth_of_match = None;
            }
        }
        let brace = self.tokens.iter().find(|token| token.start == open_at);
        depth_of_match.is_some() && brace.map(|token| token.inside) == depth_of_match
    }

    /// `if` without `then`, `then` without `else`, `for` without `in`, `require` without `else`.
    fn missing_word(&self) -> Option<Diagnostic> {
        let found_inside = self.found.map_or_else(|| self.before(1).and_then(|token| token.inside), |token| token.inside);
        let opened = found_inside.map_or(self.chunk.start, |(_, at)| at);
        let mut waiting: Vec<(&str, Token)> = Vec::new();
        let mut last_end = None::<usize>;
        for token in self.tokens[..self.index].iter().filter(|token| token.start >= opened && token.inside == found_inside) {
            let word = self.word(*token);
            let is_name = self.is_field_name(*token) || self.text[token.end..].trim_start().starts_with('=');
            match word {
                _ if is_name => {}
                "if" => waiting.push(("then", *token)),
                "then" => {
                    if let Some(last) = waiting.iter_mut().rev().find(|(word, _)| *word == "then") {
                        *last = ("else", *token);
                    }
                }
                "else" => {
                    if let Some(last) = waiting.iter().rposition(|(word, _)| *word == "else") {
                        waiting.truncate(last);
                    }
                }
                "," => waiting.clear(),
                "for" => waiting.push(("in", *token)),
                "in" => {
                    if let Some(last) = waiting.iter().rposition(|(word, _)| *word == "in") {
                        waiting.truncate(last);
                    }
                }
                "require" if self.starts_line(*token) => waiting.push(("require", *token)),
                "=" => waiting.retain(|(word, _)| *word != "then" || last_end.is_none()),
                _ => {}
            }
            last_end = Some(token.end);
        }
        let (word, token) = waiting.pop()?;
        let (here, what) = (self.here(), self.what_is_found());
        let in_list = matches!(found_inside, Some((b'[', _)));
        Some(match word {
            "then" if in_list && self.tokens.iter().any(|it| it.inside == found_inside && self.word(*it) == "for") => {
                return None;
            }
            "then" if self.region == Region::Items && found_inside.is_none() && self.first_word() == "if" => return None,
            "then" if !self.is_value_position(token) => return None,
            "then" => {
                let diagnostic =
                    self.error(here, format!("expected `then` after the condition, found {what}"), "expected `then`");
                diagnostic.help("a choice between values is written `if condition then a else b`")
            }
            "else" => self
                .error(here, format!("expected `else` and a value, found {what}"), "expected `else`")
                .label(self.span(token.start, token.end), "a value for the other case is missing"),
            "in" => self
                .error(here, format!("expected `in` and a collection, found {what}"), "expected `in`")
                .help("such as `for x in xs` or `for key, value in map`"),
            _ => self
                .error(here, format!("expected `else` and a text, found {what}"), "expected `else \"…\"`")
                .help("such as `require input.port > 1024 else \"ports below 1024 are reserved\"`"),
        })
    }

    /// Whether an `if` stands where a value stands, not in a head.
    fn is_value_position(&self, token: Token) -> bool {
        let index = self.tokens.iter().position(|it| it.start == token.start).unwrap_or(0);
        let Some(before) = index.checked_sub(1).map(|index| self.tokens[index]) else { return false };
        let sign = self.sign_ending(before);
        matches!(sign, "=" | "(" | "[" | "," | ":" | "=>" | "${" | "+" | "??" | "&&" | "||" | "==" | "!=")
            || matches!(sign, "then" | "else")
    }

    fn starts_line(&self, token: Token) -> bool {
        let before = &self.text[self.chunk.start..token.start];
        before.rsplit('\n').next().is_none_or(|line| line.trim().is_empty())
    }

    /// The rest: the beginning or the end of an item, entry or rule.
    fn at_entry(&self) -> Diagnostic {
        if let Some(missing) = self.missing_word() {
            return missing;
        }
        let (here, what) = (self.here(), self.what_is_found());
        let inside = self.found.map_or_else(|| self.before(1).and_then(|token| token.inside), |token| token.inside);
        let is_outer = inside.is_none();
        let entry = self.entry_tokens(inside);
        let first = entry.first().map_or("", |token| self.word(*token));
        if self.region == Region::Items && is_outer {
            return self.at_item(first, entry.len(), here, &what);
        }
        let in_type = self.first_word() == "type" || self.text[self.chunk.clone()].trim_start().starts_with("input");
        match entry.len() {
            0 if inside.is_some_and(|(_, at)| self.is_branch(at)) => {
                let at = inside.map_or(0, |(_, at)| at);
                self.error(self.span(at, at + 1), "expected `then` after the condition, found `{`", "expected `then`")
                    .help("a choice between values is written `if condition then a else b`")
            }
            0 => {
                let diagnostic = self.error(here, format!("expected the name of a field, found {what}"), "expected a name");
                diagnostic.help("an entry is `name = value` or `name { … }`")
            }
            1 if in_type && is_word(first) => {
                self.error(here, format!("expected `:` and a type after `{}`, found {what}", shorten(first)), "expected `: type`")
            }
            1 if is_word(first) => self
                .error(here, format!("expected `=` or `{{` after `{}`, found {what}", shorten(first)), "expected `=` or `{`")
                .help("an entry is `name = value` or `name { … }`"),
            1 if first.starts_with('"') => self
                .error(here, format!("expected `=` after a quoted key, found {what}"), "expected `=`")
                .help("a key is constant text; one with values inside is written `[\"…\"] = value`"),
            _ if !entry.iter().any(|token| self.word(*token) == "=") && is_word(first) && !self.is_closed_block(&entry) => {
                let diagnostic = self.error(
                    here,
                    format!("expected `{{` or `=` for `{}`, found {what}", shorten(first)),
                    "expected `{` or `=`",
                );
                match entry.get(1).map(|token| self.word(*token)) {
                    Some(text) if text.starts_with('"') && entry.len() == 2 => {
                        diagnostic.help(format!("a field is written `{} = {}`", shorten(first), shorten(text)))
                    }
                    _ => diagnostic,
                }
            }
            _ => self.error(here, format!("expected the end of this entry, found {what}"), "expected a new line or `,`"),
        }
    }

    fn at_item(&self, first: &str, length: usize, here: Span, what: &str) -> Diagnostic {
        let words: Vec<&str> = self.entry_tokens(None).iter().map(|token| self.word(*token)).collect();
        let after = |expected: &str, example: &str| {
            self.error(here, format!("expected {expected} here, found {what}"), format!("expected {expected}"))
                .help(format!("such as `{example}`"))
        };
        match first {
            "" => {
                let diagnostic =
                    self.error(here, format!("expected an item, found {what}"), "expected a word that begins an item");
                diagnostic.help("such as `service api { … }`, `input version: string`, `let a = 1`")
            }
            _ if !is_word(first) => self.error(here, format!("expected an item, found {what}"), "no item begins like this"),
            "input" if length <= 2 => {
                after(if length == 1 { "a name" } else { "`:` and a type" }, "input replicas: int(1..50) = 1")
            }
            "let" if length <= 2 => after(if length == 1 { "a name" } else { "`=` and a value" }, "let nodes = [1, 2]"),
            "type" if length <= 2 => after(if length == 1 { "a name" } else { "`=` and a type" }, "type port = int(1..65535)"),
            "fn" if length <= 2 => after(if length == 1 { "a name" } else { "parameters" }, "fn half(a: int): number = a / 2"),
            "fn" => after("`:`, a type, `=` and a value", "fn half(a: int): number = a / 2"),
            "import" if length == 1 => after("a path in quotes", "import \"../net\" as net"),
            "import" if words.get(1) == Some(&"stack") => {
                after("a path, `as` and a name", "import stack \"../platform\" as platform")
            }
            "test" if length == 1 => after("a name in quotes", "test \"it starts\" { … }"),
            "rollout" => after("`of` and a resource", "rollout web of fly.machine.web { … }"),
            "resource" | "data" if length < 5 => after("a type and a name", "resource fly.machine web { … }"),
            "shared" => after("`resource`", "shared resource railway.project home { … }"),
            "output" | "signal" if length == 1 => after("a name", "output url: string = service.api.url"),
            "if" if length == 1 => after("a condition", "if env.protect { … }"),
            "moved" | "adopt" | "forget" => after("`{`", "moved { from = \"cache.a\", to = \"cache.b\" }"),
            "secret" | "stack" | "environment" | "policy" | "component" | "provider" | "on" if length == 1 => {
                self.error(here, format!("expected a name after `{first}`, found {what}"), "expected a name")
            }
            "else" => {
                let here = self.tokens.first().map_or(here, |token| self.span(token.start, token.end));
                self.error(here, "`else` follows no `if`", "nothing to be the other case of")
            }
            _ if self.open_angle().is_some() => {
                let at = self.open_angle().unwrap_or_default();
                self.error(self.span(at, at + 1), "this `<` is not closed", "expected a `>` for it")
            }
            _ if length == 1 && what == "`=`" => self
                .error(here, "a value with a name is written with `let` here", "fields stand inside of braces")
                .help(format!("`let {} = …`", shorten(first))),
            _ if length == 1 && what == "`{`" => self
                .error(here, format!("expected a name after `{}`, found `{{`", shorten(first)), "expected a name")
                .help("an instance is written `service api { … }`"),
            _ if length == 1 => self
                .error(here, format!("expected a name after `{}`, found {what}", shorten(first)), "expected a name")
                .help("an instance is written `service api { … }`"),
            _ if words.last() == Some(&"}") && what == "`{`" => self
                .error(here, "the body of this item has begun already", "one `{` too many")
                .help("in a head, and after `match`, a variant and a `match` stand in parentheses"),
            _ if words.last() == Some(&"}") => {
                self.error(here, format!("expected the end of this item, found {what}"), "expected a new line")
            }
            _ if words.contains(&"=") => {
                self.error(here, format!("expected the end of this item, found {what}"), "expected a new line")
            }
            "input" | "output" | "let" | "signal" => {
                self.error(here, format!("expected `=` or the end of this item, found {what}"), "expected `=` or a new line")
            }
            _ if ["for", "if", "on", "in"].iter().any(|head| what == format!("`{head}`")) => self
                .error(here, format!("{what} stands too late in this head"), "wrong order")
                .help("the order is `for`, `if`, `on`, `in`, each at most once"),
            _ => {
                let diagnostic = self.error(here, format!("expected `{{` here, found {what}"), "expected `{`");
                if self.breaks && self.found.is_some_and(|token| self.word(token) == "{") {
                    diagnostic.help("the `{` stands on the line of the name")
                } else {
                    diagnostic
                }
            }
        }
    }

    /// A `<` of a type without its `>`.
    fn open_angle(&self) -> Option<usize> {
        let mut open = Vec::new();
        for token in &self.tokens[..self.index] {
            match self.word(*token) {
                "<" if self.text[..token.start].ends_with(|c: char| c.is_ascii_alphanumeric()) => open.push(token.start),
                ">" => drop(open.pop()),
                "=" => return None,
                _ => {}
            }
        }
        open.pop()
    }

    /// The tokens of the entry that the grammar stopped in or after, on its own level.
    fn entry_tokens(&self, inside: Option<(u8, usize)>) -> Vec<Token> {
        let mut entry = Vec::new();
        let mut last_end = inside.map_or(self.chunk.start, |(_, at)| at + 1);
        for token in self.tokens[..self.index].iter().filter(|token| token.inside == inside) {
            if self.word(*token) == "," {
                entry.clear();
            } else {
                let gap = self.text.get(last_end..token.start).unwrap_or("");
                let goes_on = entry.last().is_some_and(|last: &Token| goes_on_after(self.sign_ending(*last)))
                    || continues_with(self.sign_at(token.start), self.word(*token));
                if gap.contains('\n') && !goes_on && !matches!(self.word(*token), "}" | ")" | "]") {
                    entry.clear();
                }
                entry.push(*token);
            }
            last_end = token.end;
        }
        if self.breaks
            && self.found.is_some_and(|found| !continues_with(self.sign_at(found.start), self.word(found)))
            && entry.last().is_some_and(|last| matches!(self.word(*last), "}"))
        {
            entry.clear();
        }
        entry
    }

    /// Whether a brace follows `if condition` where a value stands: `let a = if b { 1 }`.
    fn is_branch(&self, open_at: usize) -> bool {
        let Some(index) = self.tokens.iter().position(|token| token.start == open_at) else { return false };
        let inside = self.tokens[index].inside;
        let mut before = self.tokens[..index].iter().rev().filter(|token| token.inside == inside);
        before
            .find(|token| matches!(self.word(**token), "if" | "then" | "else" | "=" | ","))
            .is_some_and(|token| self.word(*token) == "if" && self.is_value_position(*token))
    }

    fn is_closed_block(&self, entry: &[Token]) -> bool {
        entry.last().is_some_and(|token| self.word(*token) == "}")
    }

    fn in_braces(&self, token: Token) -> bool {
        match token.inside {
            Some((open, _)) => open == b'{',
            None => self.region != Region::Items,
        }
    }

    /// Whether the token that stands `back` tokens before begins an entry.
    fn is_entry_start(&self, back: usize) -> bool {
        match self.before(back) {
            None => true,
            Some(token) => {
                let next = self.tokens.get(self.index - back + 1).map_or(self.chunk.end, |next| next.start);
                matches!(self.word(token), "," | "{") || self.text[token.end..next].contains('\n')
            }
        }
    }

    fn opens_comprehension(&self, colon: Token) -> Option<()> {
        let inside = colon.inside;
        self.tokens
            .iter()
            .any(|token| token.inside == inside && self.word(*token) == "for" && token.start < colon.start)
            .then_some(())
    }

    fn first_word(&self) -> &'t str {
        self.tokens.first().map_or("", |token| self.word(*token))
    }

    /// Items as HCL has them.
    fn other_language(&self) -> Option<Diagnostic> {
        if self.region != Region::Items {
            return None;
        }
        let first = *self.tokens.first()?;
        let second = self.tokens.get(1).map_or("", |token| self.word(*token));
        let quoted = second.starts_with('"');
        let name = second.trim_matches('"');
        let third = self.tokens.get(2).map_or("", |token| self.word(*token)).trim_matches('"');
        let (message, help) = match self.word(first) {
            word @ ("resource" | "data") if quoted => {
                let provider = name.split('_').next().unwrap_or(name);
                let example = if is_word(name) && is_word(third) {
                    format!("{word} {}.{} {} {{ … }}", shorten(provider), shorten(name), shorten(third))
                } else {
                    format!("{word} fly.machine web {{ … }}")
                };
                (format!("type and name of a {word} stand without quotes"), format!("write `{example}`"))
            }
            "variable" if quoted => {
                ("a value that is asked for is an `input`".into(), format!("write `input {}: string`", shorten(name)))
            }
            "output" if quoted => {
                ("the name of an output stands without quotes".into(), format!("write `output {} = …`", shorten(name)))
            }
            "provider" if quoted => {
                ("the name of a provider stands without quotes".into(), format!("write `provider {} {{ … }}`", shorten(name)))
            }
            "module" if quoted => (
                "a module is a component here, and its name is a kind".into(),
                format!("import its directory, then write `kind {} {{ … }}`", shorten(name)),
            ),
            "locals" if second == "{" => ("each local value is an item".into(), "write `let name = …`".into()),
            "terraform" if second == "{" => ("settings of the stack stand in `stack`".into(), "write `stack name { … }`".into()),
            _ => return None,
        };
        let end = if quoted { self.tokens[1].end } else { first.end };
        Some(self.error(self.span(first.start, end), message, "as in HCL").help(help))
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
