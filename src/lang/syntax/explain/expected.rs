//! What could stand where the grammar stopped: the sentences that name it.

use super::habits::{is_name, literal_type};
use super::{Place, Region, continues_with, found_closes_wrong, goes_on_after, is_word, shorten};
use crate::lang::resolve::near;
use crate::lang::syntax::scan::Token;
use crate::model::{Confidence, Diagnostic, Span};

/// Words that begin an item, which no kind may bear.
pub(in crate::lang) const ITEM_WORDS: &[&str] = &[
    "stack",
    "environment",
    "provider",
    "input",
    "secret",
    "let",
    "output",
    "signal",
    "type",
    "fn",
    "import",
    "component",
    "on",
    "resource",
    "data",
    "shared",
    "rollout",
    "require",
    "policy",
    "test",
    "moved",
    "adopt",
    "forget",
    "if",
    "else",
];

impl<'t> Place<'t> {
    /// After `=`, an operator, an opening bracket or a keyword, a value is missing.
    pub(super) fn missing_value(&self) -> Option<Diagnostic> {
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

    pub(super) fn is_field_name(&self, token: Token) -> bool {
        self.text[..token.start].ends_with('.')
    }

    /// In brackets that hold values: what may follow one.
    pub(super) fn in_brackets(&self) -> Option<Diagnostic> {
        let found = self.found?;
        let (open, open_at) = found.inside?;
        let here = self.here();
        let what = self.what_is_found();
        if let Some(missing) = self.missing_word() {
            return Some(missing);
        }
        match open {
            b'[' => {
                let diagnostic =
                    self.error(here, format!("expected `,` or `]` after this element, found {what}"), "expected `,` or `]`");
                Some(match self.before(1) {
                    Some(before) if self.begins_value(found) => {
                        diagnostic.fix("write `,`", Confidence::Sure, vec![self.edit(before.end, before.end, ",")])
                    }
                    _ => diagnostic,
                })
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

    pub(super) fn is_param_name(&self) -> bool {
        matches!(self.before_word(2), "(" | ",")
    }

    /// The first word of the line of items or entries in which this byte stands.
    pub(super) fn chunk_word_before(&self, at: usize) -> Option<&'t str> {
        self.tokens
            .iter()
            .take_while(|token| token.start < at)
            .last()
            .and_then(|_| self.tokens.first())
            .map(|token| self.word(*token))
    }

    pub(super) fn is_match(&self, open_at: usize) -> bool {
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
    pub(super) fn missing_word(&self) -> Option<Diagnostic> {
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
            "then" if what == "`=`" && self.sign_at(here.start as usize) == "=" => {
                let at = here.start as usize;
                let diagnostic = self.error(here, "two values are compared with `==`", "write `==`");
                self.rewritten(diagnostic, at, at + 1, "==")
            }
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
    pub(super) fn is_value_position(&self, token: Token) -> bool {
        let index = self.tokens.iter().position(|it| it.start == token.start).unwrap_or(0);
        let Some(before) = index.checked_sub(1).map(|index| self.tokens[index]) else { return false };
        let sign = self.sign_ending(before);
        matches!(sign, "=" | "(" | "[" | "," | ":" | "=>" | "${" | "+" | "??" | "&&" | "||" | "==" | "!=")
            || matches!(sign, "then" | "else")
    }

    pub(super) fn starts_line(&self, token: Token) -> bool {
        let before = &self.text[self.chunk.start..token.start];
        before.rsplit('\n').next().is_none_or(|line| line.trim().is_empty())
    }

    /// The rest: the beginning or the end of an item, entry or rule.
    pub(super) fn at_entry(&self) -> Diagnostic {
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
            1 if first == "let" && what != "`{`" => {
                let (start, end) = (entry[0].start, entry[0].end);
                self.error(self.span(start, end), "`let` stands among items, and this is a body", "not in a body")
                    .help("name the value outside of these braces")
            }
            1 if is_word(first) && !self.breaks && self.found.is_some_and(|it| self.is_literal(it)) => {
                let at = entry[0].end;
                let diagnostic =
                    self.error(here, format!("expected `=` after `{}`, found {what}", shorten(first)), "expected `=`");
                diagnostic.fix("write `=`", Confidence::Sure, vec![self.edit(at, at, " =")])
            }
            1 if is_word(first) => self
                .error(here, format!("expected `=` or `{{` after `{}`, found {what}", shorten(first)), "expected `=` or `{`")
                .help("an entry is `name = value` or `name { … }`"),
            1 if first.starts_with('"') => self
                .error(here, format!("expected `=` after a quoted key, found {what}"), "expected `=`")
                .help("a key is constant text; one with values inside is written `[\"…\"] = value`"),
            _ if first == "let" => {
                let (start, end) = (entry[0].start, entry[0].end);
                self.error(self.span(start, end), "`let` stands among items, and this is a body", "not in a body")
                    .help("name the value outside of these braces")
            }
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
            _ => {
                let diagnostic =
                    self.error(here, format!("expected the end of this entry, found {what}"), "expected a new line or `,`");
                match (self.before(1), self.found) {
                    (Some(before), Some(found)) if !self.breaks && self.begins_entry(found) => {
                        diagnostic.fix("write `,`", Confidence::Sure, vec![self.edit(before.end, before.end, ",")])
                    }
                    _ => diagnostic,
                }
            }
        }
    }

    /// Whether a token is a number or a string by itself.
    fn is_literal(&self, token: Token) -> bool {
        self.word(token).starts_with(|c: char| c.is_ascii_digit() || c == '"')
    }

    fn begins_value(&self, token: Token) -> bool {
        self.is_literal(token) || is_word(self.word(token)) && !matches!(self.word(token), "for" | "if" | "then" | "else" | "in")
    }

    /// Whether `name =` stands here.
    fn begins_entry(&self, token: Token) -> bool {
        let next = self.tokens.get(self.index + 1).map(|it| self.sign_at(it.start));
        is_word(self.word(token)) && next == Some("=")
    }

    /// The word of an item that was probably meant by the first word.
    fn misspelt_item(&self, first: &str) -> Option<Diagnostic> {
        let token = *self.tokens.first()?;
        let near = near(first, ITEM_WORDS.iter().copied()).filter(|it| it.sure)?;
        let diagnostic = self
            .error(self.span(token.start, token.end), format!("no item begins with `{}`", shorten(first)), "unknown word")
            .help(format!("write `{}`", near.name));
        Some(self.rewritten(diagnostic, token.start, token.end, near.name))
    }

    pub(super) fn at_item(&self, first: &str, length: usize, here: Span, what: &str) -> Diagnostic {
        let words: Vec<&str> = self.entry_tokens(None).iter().map(|token| self.word(*token)).collect();
        let after = |expected: &str, example: &str| {
            self.error(here, format!("expected {expected} here, found {what}"), format!("expected {expected}"))
                .help(format!("such as `{example}`"))
        };
        if is_word(first)
            && !ITEM_WORDS.contains(&first)
            && let Some(misspelt) = self.misspelt_item(first)
        {
            return misspelt;
        }
        match first {
            "" => {
                let diagnostic =
                    self.error(here, format!("expected an item, found {what}"), "expected a word that begins an item");
                diagnostic.help("such as `service api { … }`, `input version: string`, `let a = 1`")
            }
            _ if !is_word(first) => self.error(here, format!("expected an item, found {what}"), "no item begins like this"),
            "input" if length == 2 && what == "`=`" && self.type_of_default().is_some() => {
                let (at, ty) = (self.tokens[1].end, self.type_of_default().unwrap_or_default());
                let diagnostic = after("`:` and a type", "input replicas: int(1..50) = 1");
                diagnostic.fix(format!("write `: {ty}`"), Confidence::Sure, vec![self.edit(at, at, format!(": {ty}"))])
            }
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
            _ if length == 1 && what == "a string" && is_name(self.found_text()) => {
                let (name, found) = (self.found_text(), self.found.expect("a string was found"));
                let message = format!("the name of an instance stands without quotes, and `\"{}\"` has them", shorten(name));
                let diagnostic = self.error(here, message, "remove the quotes");
                self.rewritten(diagnostic, found.start, found.end, name)
            }
            _ if length == 2 && what == "`=`" && is_word(words[1]) => {
                let diagnostic = self.error(here, format!("expected `{{` here, found {what}"), "expected `{`");
                match self.tokens.get(self.index + 1) {
                    Some(next) if self.word(*next) == "{" => {
                        let diagnostic = diagnostic.help("the body of an instance follows its head");
                        self.rewritten(diagnostic, here.start as usize, next.start, "")
                    }
                    _ => diagnostic,
                }
            }
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

    /// The text of the string that was found.
    fn found_text(&self) -> &'t str {
        self.found.map_or("", |token| self.word(token).trim_matches('"'))
    }

    /// Of `input a = 3`: the type that its value has.
    fn type_of_default(&self) -> Option<&'static str> {
        let value = self.tokens.get(self.index + 1)?;
        let alone = self.tokens.get(self.index + 2).is_none_or(|next| self.text[value.end..next.start].contains('\n'));
        literal_type(self.word(*value)).filter(|_| alone)
    }

    /// A `<` of a type without its `>`.
    pub(super) fn open_angle(&self) -> Option<usize> {
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
    pub(super) fn entry_tokens(&self, inside: Option<(u8, usize)>) -> Vec<Token> {
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
    pub(super) fn is_branch(&self, open_at: usize) -> bool {
        let Some(index) = self.tokens.iter().position(|token| token.start == open_at) else { return false };
        let inside = self.tokens[index].inside;
        let mut before = self.tokens[..index].iter().rev().filter(|token| token.inside == inside);
        before
            .find(|token| matches!(self.word(**token), "if" | "then" | "else" | "=" | ","))
            .is_some_and(|token| self.word(*token) == "if" && self.is_value_position(*token))
    }

    pub(super) fn is_closed_block(&self, entry: &[Token]) -> bool {
        entry.last().is_some_and(|token| self.word(*token) == "}")
    }

    pub(super) fn in_braces(&self, token: Token) -> bool {
        match token.inside {
            Some((open, _)) => open == b'{',
            None => self.region != Region::Items,
        }
    }

    /// Whether the token that stands `back` tokens before begins an entry.
    pub(super) fn is_entry_start(&self, back: usize) -> bool {
        match self.before(back) {
            None => true,
            Some(token) => {
                let next = self.tokens.get(self.index - back + 1).map_or(self.chunk.end, |next| next.start);
                matches!(self.word(token), "," | "{") || self.text[token.end..next].contains('\n')
            }
        }
    }

    pub(super) fn opens_comprehension(&self, colon: Token) -> Option<()> {
        let inside = colon.inside;
        self.tokens
            .iter()
            .any(|token| token.inside == inside && self.word(*token) == "for" && token.start < colon.start)
            .then_some(())
    }

    pub(super) fn first_word(&self) -> &'t str {
        self.tokens.first().map_or("", |token| self.word(*token))
    }
}
