//! What is written otherwise in other languages: how the same thing is written here, and where it is certain, the edits for it.

use super::{Place, Region, is_key, is_word, shorten};
use crate::lang::syntax::scan::Token;
use crate::model::units::{DURATION_UNITS, SIZE_UNITS};
use crate::model::{Confidence, Diagnostic, Edit};

impl<'t> Place<'t> {
    pub(super) fn edit(&self, start: usize, end: usize, text: impl Into<String>) -> Edit {
        Edit { span: self.span(start, end), text: text.into() }
    }

    /// A fix that is certain and replaces one piece of text.
    pub(super) fn rewritten(&self, diagnostic: Diagnostic, start: usize, end: usize, text: &str) -> Diagnostic {
        let title = if text.trim().is_empty() { "remove it".to_owned() } else { format!("write `{}`", text.trim()) };
        diagnostic.fix(title, Confidence::Sure, vec![self.edit(start, end, text)])
    }

    /// `re"a\"b"`: a tagged string knows no escapes, so the quote after the backslash ended it.
    pub(super) fn after_tag(&self) -> Option<Diagnostic> {
        let before = self.before(1)?;
        let word = self.word(before);
        let ends = word.ends_with("\\\"") && !word.starts_with('"') && !self.breaks;
        ends.then(|| self.tag_ended(before.end))
    }

    pub(super) fn tag_ended(&self, end: usize) -> Diagnostic {
        self.error(self.span(end - 2, end), "this string has no escapes: it ends here", "this quote closes it")
            .help("use `'`, or three quotes around the whole")
    }

    /// What is written otherwise in other languages.
    pub(super) fn habit(&self) -> Option<Diagnostic> {
        let found = self.found?;
        let at = found.start;
        let sign = self.sign_at(at);
        let word = self.word(found);
        let here = self.here();
        let error = |length: usize, message: &str, label: &str| self.error(self.span(at, at + length), message, label);
        let as_written = |message: &str, text: &str| {
            self.rewritten(error(sign.len(), message, &format!("write `{text}`")), at, at + sign.len(), text)
        };
        let words = |message: String, text: &str| {
            let label = format!("write `{text}`");
            self.rewritten(self.error(here, message, label), found.start, found.end, text)
        };
        let diagnostic = match sign {
            _ if self.spread_in_comprehension(found).is_some() => return self.spread_in_comprehension(found),
            ":" | "=>" if found.inside.is_some_and(|(_, at)| self.is_match(at)) => return None,
            ":" if matches!(found.inside, Some((b'(', _))) && is_word(self.before_word(1)) && self.is_param_name() => self
                .rewritten(error(1, "expected `=` after the name of an argument, found `:`", "write `=`"), at, at + 1, "=")
                .help(format!("`{} = …`", shorten(self.before_word(1)))),
            "=>" if self.in_braces(found) && is_key(self.before_word(1)) && self.is_entry_start(2) => {
                as_written("expected `=` after the name of a field, found `=>`", "=")
            }
            "=>" if self.in_braces(found) && is_key(self.before_word(1)) => {
                error(2, "expected `=` after the name of a field, found `=>`", "write `=`")
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
            _ if self.before_word(1) == "not" => return self.not(self.before(1)?, found),
            ":" if self.in_braces(found) && is_key(self.before_word(1)) => {
                let name = self.before_word(1);
                let diagnostic = error(1, "expected `=` after the name of a field, found `:`", "write `=`")
                    .help(format!("`{} = …`; `:` stands before a type", shorten(name)));
                match self.is_entry_start(2) {
                    true => {
                        let edits = vec![Edit { span: self.equals_instead_of(at), text: " =".into() }];
                        diagnostic.fix("write `=`", Confidence::Sure, edits)
                    }
                    false => diagnostic,
                }
            }
            "==" if self.in_braces(found) && is_key(self.before_word(1)) && self.is_entry_start(2) => {
                as_written("expected `=` after the name of a field, found `==`", "=")
            }
            ";" => self
                .rewritten(error(1, "nothing ends with `;`", "remove it"), at, at + 1, self.instead_of_semicolon(at))
                .help("a new line or a comma parts two entries"),
            "'" => self.quoted_otherwise(at, '\''),
            "`" => self.quoted_otherwise(at, '`'),
            "//" | "/*" => self.comment(at),
            "<" if self.text[at..].starts_with("<<") && self.before_word(1) == "=" => return self.heredoc(at),
            "&" => as_written("there is no operator `&`", "&&"),
            "%" if self.before(1).is_some_and(|it| self.is_number(it)) && !self.breaks => {
                let start = self.before(1)?.end;
                self.rewritten(error(1, "a percentage has no blank before `%`", "directly behind the number"), start, at + 1, "%")
            }
            "%" => error(1, "there is no operator `%`", "a percentage has no blank before `%`"),
            "?" if self.text[..at].ends_with('?') && !self.text[..at].ends_with("??") => {
                self.rewritten(error(1, "a type has one `?`, at its end", "one `?` too many"), at, at + 1, "")
            }
            "?" if !self.breaks => return Some(self.ternary(found)),
            "=" if self.before(1).is_some_and(|before| self.sign_ending(before) == "!=" || self.sign_ending(before) == "==") => {
                self.rewritten(error(1, "there is no operator `===`", "one `=` too many"), at, at + 1, "")
            }
            "|" if !self.breaks => as_written("there is no operator `|` between values", "||"),
            "->" => error(2, "there is no `->`", "an arm of `match` is written `pattern => value`"),
            "*" if self.before_word(1) == "[" => return self.splat(found),
            "-" if self.is_name_with_dash() => return self.dash(),
            "${" if self.wants_value() => return Some(self.bare_interpolation(found)),
            "==" | "!=" | "<" | ">" | "<=" | ">=" if self.before(1).is_none() => return None,
            _ if self.before_word(1) == ":" && self.opens_map(found) => return self.entry_of_map(found),
            _ if word == "if" && self.opens_list(found) => return self.late_condition(found),
            _ if word == "and" => words("there is no operator `and`".into(), "&&"),
            _ if word == "or" => words("there is no operator `or`".into(), "||"),
            _ if word == "not" => return self.not(found, *self.tokens.get(self.index + 1)?),
            _ if word == "elif" || word == "elsif" || word == "elseif" => words(format!("there is no `{word}`"), "else if"),
            _ if is_unit(word) && !self.breaks && self.before(1).is_some_and(|it| self.is_number(it)) => {
                let start = self.before(1)?.end;
                let diagnostic = error(word.len(), "a unit stands directly behind its number", "one blank too many");
                self.rewritten(diagnostic, start, found.end, word)
            }
            _ => return None,
        };
        Some(diagnostic)
    }

    fn is_number(&self, token: Token) -> bool {
        self.word(token).bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'_')
    }

    /// A `;` parts two entries, or ends a line, where nothing is needed.
    fn instead_of_semicolon(&self, at: usize) -> &'static str {
        let rest = &self.text[at + 1..];
        let line = rest.split('\n').next().unwrap_or("").trim();
        if line.is_empty() || line.starts_with(['#', '}']) { "" } else { "," }
    }

    fn not(&self, not: Token, next: Token) -> Option<Diagnostic> {
        let diagnostic = self.error(self.span(not.start, not.end), "there is no operator `not`", "write `!`");
        let compares = |token: &Token| matches!(self.sign_at(token.start), "==" | "!=" | "<" | ">" | "<=" | ">=" | "..");
        let on_line = |token: &&Token| !self.text[not.end..token.start].contains('\n');
        let far =
            self.tokens.iter().filter(|it| it.start > not.start && it.inside == not.inside).take_while(on_line).any(compares);
        // `not a == b` means all of it, and `!a == b` only its beginning.
        let confidence = if far { Confidence::Maybe } else { Confidence::Sure };
        Some(diagnostic.fix("write `!`", confidence, vec![self.edit(not.start, next.start, "!")]))
    }

    fn quoted_otherwise(&self, at: usize, quote: char) -> Diagnostic {
        let diagnostic = self.error(self.span(at, at + 1), "a string stands in double quotes", "write `\"`");
        let line = self.text[at + 1..].split('\n').next().unwrap_or("");
        match line.find(quote) {
            Some(length) if !line[..length].contains(['"', '\\', '$']) => {
                let end = at + 1 + length;
                diagnostic.fix(
                    "write double quotes",
                    Confidence::Sure,
                    vec![self.edit(at, at + 1, "\""), self.edit(end, end + 1, "\"")],
                )
            }
            _ => diagnostic,
        }
    }

    fn comment(&self, at: usize) -> Diagnostic {
        let diagnostic = self.error(self.span(at, at + 2), "a comment begins with `#`", "write `#`");
        if self.text[at..].starts_with("//") {
            let apart = self.text[..at].chars().next_back().is_none_or(char::is_whitespace);
            return if apart { self.rewritten(diagnostic, at, at + 2, "#") } else { diagnostic };
        }
        let Some(range) = super::swallowed(self.text, at) else { return diagnostic };
        let rest = self.text[range.end..].split('\n').next().unwrap_or("");
        if !rest.trim().is_empty() {
            return diagnostic;
        }
        let inside = self.text[at + 2..range.end].trim_end_matches("*/");
        let lines = inside.lines().map(|line| line.trim().trim_start_matches('*').trim());
        let text = lines.filter(|line| !line.is_empty()).map(|line| format!("# {line}")).collect::<Vec<_>>().join("\n");
        diagnostic.fix("write `#` before each line", Confidence::Sure, vec![self.edit(at, range.end, text)])
    }

    /// `<<EOF`: text over several lines, as shells have it.
    fn heredoc(&self, at: usize) -> Option<Diagnostic> {
        let range = super::swallowed(self.text, at)?;
        let head = self.text[range.clone()].lines().next()?;
        let diagnostic = self
            .error(
                self.span(at, at + head.trim_end().len()),
                "text over several lines stands between `\"\"\"` and `\"\"\"`",
                "not written like this",
            )
            .help("their common indentation is not part of the text");
        let body = &self.text[at + head.len()..range.end];
        let inside = &body[..body.trim_end().rfind('\n').unwrap_or(0)];
        if inside.contains(['"', '\\', '%']) {
            return Some(diagnostic);
        }
        let edit = self.edit(at, range.end, format!("\"\"\"{inside}\n\"\"\""));
        Some(diagnostic.fix("write `\"\"\"`", Confidence::Maybe, vec![edit]))
    }

    /// What stands on one level: brackets with all that is in them, and strings, count as one.
    fn level(&self, of: Token) -> Vec<Token> {
        let on_it = self.tokens.iter().filter(|it| it.inside == of.inside && !(it.inside.is_some() && self.closes(**it)));
        on_it.map(|it| Token { end: self.end_of(*it), ..*it }).collect()
    }

    fn closes(&self, token: Token) -> bool {
        self.word(token).starts_with([')', ']', '}'])
    }

    /// The token that closes the bracket at a place, which for `${` in a string goes on to the next one, or to its end.
    fn closing_of(&self, byte: u8, at: usize) -> Option<Token> {
        self.tokens.iter().copied().find(|it| it.inside == Some((byte, at)) && self.closes(*it))
    }

    fn end_of(&self, token: Token) -> usize {
        match self.word(token) {
            open @ ("(" | "[" | "{") => self.closing_of(open.as_bytes()[0], token.start).map_or(token.end, |it| it.end),
            _ => {
                let mut end = token.end;
                while self.text[..end].ends_with("${") && end - token.start > 2 {
                    let Some(next) = self.closing_of(b'{', end - 2) else { break };
                    end = next.end;
                }
                end
            }
        }
    }

    /// Whether a newline between two tokens of a level ends an entry.
    fn ends_between(&self, before: Token, next: Token) -> bool {
        let newline = self.text[before.end..next.start].contains('\n');
        newline && before.inside.is_none_or(|(open, at)| open == b'{' && !self.text[at..].starts_with("${"))
    }

    /// `condition ? a : b`
    fn ternary(&self, found: Token) -> Diagnostic {
        let diagnostic = self
            .error(self.span(found.start, found.start + 1), "a choice is written with words", "expected the end of this value")
            .help("write `if condition then a else b`");
        match self.choice(found) {
            Some(edits) => diagnostic.fix("write `if … then … else …`", Confidence::Sure, edits),
            None => diagnostic,
        }
    }

    fn choice(&self, found: Token) -> Option<Vec<Edit>> {
        let level = self.level(found);
        let mark = level.iter().position(|it| it.start == found.start)?;
        let mut begin = mark;
        while let Some(before) = begin.checked_sub(1) {
            let stops = matches!(self.sign_ending(level[before]), "=" | "," | "=>" | ":" | "then" | "else" | "in" | "if");
            if stops || self.ends_between(level[before], level[begin]) {
                break;
            }
            begin = before;
        }
        let mut end = mark;
        while let Some(next) = level.get(end + 1) {
            if self.word(*next) == "," || self.ends_between(level[end], *next) {
                break;
            }
            end += 1;
        }
        let value = &level[mark + 1..=end];
        let colons: Vec<usize> = (mark + 1..=end).filter(|it| self.word(level[*it]) == ":").collect();
        let [colon] = colons[..] else { return None };
        let plain = !value.iter().any(|it| self.word(*it) == "?");
        if !plain || begin == mark || colon == mark + 1 || colon == end {
            return None;
        }
        Some(vec![
            self.edit(level[begin].start, level[begin].start, "if "),
            self.edit(level[mark - 1].end, level[mark].end, " then"),
            self.edit(level[colon - 1].end, level[colon].end, " else"),
        ])
    }

    /// `local.value.a[*].input`
    fn splat(&self, found: Token) -> Option<Diagnostic> {
        let open = self.before(1)?;
        let close = *self.tokens.get(self.index + 1).filter(|it| self.word(**it) == "]")?;
        let diagnostic = self
            .error(self.span(open.start, close.end), "there is no `[*]`", "not written like this")
            .help("write `[for x in xs : x.name]`");
        let path = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        let before = &self.text[self.chunk.start..open.start];
        let base = &before[before.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).map_or(0, |at| at + 1)..];
        let after = &self.text[close.end..self.chunk.end];
        let after = &after[..after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(after.len())];
        let goes_on = self.text[close.end + after.len()..].starts_with(['[', '(', '?']);
        if found.inside.is_none() || !path(base) || !after.starts_with('.') || !path(after) || goes_on {
            return Some(diagnostic);
        }
        let text = format!("[for each in {base} : each{after}]");
        Some(self.rewritten(diagnostic, open.start - base.len(), close.end + after.len(), &text))
    }

    /// Whether the grammar stopped at a `-` within a name: `my-cache`.
    fn is_name_with_dash(&self) -> bool {
        let (Some(found), Some(before)) = (self.found, self.before(1)) else { return false };
        let next = self.tokens.get(self.index + 1).is_some_and(|it| it.start == found.end && is_word(self.word(*it)));
        let is_name = match self.in_braces(found) {
            true => self.is_entry_start(2),
            false => {
                self.index <= 3 && self.tokens[..self.index].iter().all(|it| is_word(self.word(*it)) || self.word(*it) == ".")
            }
        };
        before.end == found.start && is_word(self.word(before)) && next && is_name
    }

    fn dash(&self) -> Option<Diagnostic> {
        let found = self.found?;
        let start = self.before(1)?.start;
        let rest = &self.text[start..self.chunk.end];
        let end = start + rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
        let name = &self.text[start..end];
        let (message, text) = match self.in_braces(found) {
            true => (format!("`{}` has a `-`, so it stands in quotes", shorten(name)), format!("\"{name}\"")),
            false => (format!("the name `{}` has a `-`", shorten(name)), name.trim_end_matches('-').replace('-', "_")),
        };
        let diagnostic = self.error(self.span(start, end), message, "a name has letters, digits and `_`");
        Some(self.rewritten(diagnostic.help(format!("write `{}`", shorten(&text))), start, end, &text))
    }

    fn wants_value(&self) -> bool {
        self.before(1)
            .is_some_and(|it| matches!(self.sign_ending(it), "=" | "(" | "[" | "," | "==" | "!=" | "then" | "else" | "in"))
    }

    /// `a = ${b}`
    fn bare_interpolation(&self, found: Token) -> Diagnostic {
        let at = found.start;
        let diagnostic =
            self.error(self.span(at, at + 2), "a value outside of a string stands without `${` and `}`", "remove it");
        match self.closing_of(b'{', at + 1) {
            Some(close) => diagnostic.fix(
                "remove `${` and `}`",
                Confidence::Sure,
                vec![self.edit(at, at + 2, ""), self.edit(close.start, close.end, "")],
            ),
            None => diagnostic,
        }
    }

    fn opens_map(&self, found: Token) -> bool {
        let level = self.level(found);
        matches!(found.inside, Some((b'{', _)))
            && level.first().is_some_and(|it| self.word(*it) == "for")
            && level.iter().any(|it| it.start > found.start && self.sign_at(it.start) == "=>")
    }

    /// `{for k, v in m : k => v}`
    fn entry_of_map(&self, found: Token) -> Option<Diagnostic> {
        let level = self.level(found);
        let arrow = level.iter().position(|it| it.start > found.start && self.sign_at(it.start) == "=>")?;
        let key = self.span(found.start, level[arrow - 1].end);
        let diagnostic = self
            .error(key, "an entry of this map is written `[key] = value`", "write it in brackets, with `=`")
            .help("such as `{for k, v in m : [k] = v}`");
        let edits =
            vec![self.edit(found.start, found.start, "["), self.edit(level[arrow - 1].end, level[arrow].start + 2, "] =")];
        Some(diagnostic.fix("write `[key] = value`", Confidence::Sure, edits))
    }

    /// `[for xs in lists : ...xs]`, `{for m in maps : ...m}`
    fn spread_in_comprehension(&self, found: Token) -> Option<Diagnostic> {
        let level = self.level(found);
        if level.first().is_none_or(|it| self.word(*it) != "for") {
            return None;
        }
        let spread = level.iter().find(|it| it.start >= found.start && self.sign_at(it.start) == "...")?;
        let is_map = matches!(found.inside, Some((b'{', _)));
        let what = if is_map { "an entry" } else { "an element" };
        let help = match is_map {
            true => "go through what is spread: `{for m in maps for k, v in m : [k] = v}`",
            false => "go through what is spread: `[for xs in lists for x in xs : x]`",
        };
        let span = self.span(spread.start, spread.start + 3);
        Some(self.error(span, format!("each round makes {what}, and spreads nothing"), format!("expected {what}")).help(help))
    }

    fn opens_list(&self, found: Token) -> bool {
        matches!(found.inside, Some((b'[' | b'{', _)))
            && self.level(found).first().is_some_and(|it| self.word(*it) == "for")
            && self.level(found).iter().any(|it| it.start < found.start && self.word(*it) == ":")
    }

    /// `[for x in xs : x.name if x.on]`
    fn late_condition(&self, found: Token) -> Option<Diagnostic> {
        let level = self.level(found);
        let colon = level.iter().find(|it| self.word(**it) == ":")?;
        let (at, last) = (level.iter().position(|it| it.start == found.start)?, level.last()?);
        let diagnostic = self
            .error(self.span(found.start, found.end), "a condition stands before the `:`", "too late here")
            .help("such as `[for x in xs if x.on : x.name]`");
        let cond = &self.text[found.start..last.end];
        let edits = vec![
            self.edit(self.text[..colon.start].trim_end().len(), colon.start, format!(" {cond} ")),
            self.edit(level[at - 1].end, last.end, ""),
        ];
        Some(diagnostic.fix("put it before the `:`", Confidence::Sure, edits))
    }

    /// `image =⏎ port = 80`: the next entry was taken for the value.
    fn value_on_next_line(&self) -> bool {
        let (Some(name), Some(sign)) = (self.before(1), self.before(2)) else { return false };
        is_key(self.word(name)) && self.text[sign.end..name.start].contains('\n') && super::goes_on_after(self.sign_ending(sign))
    }

    fn equals_instead_of(&self, at: usize) -> crate::model::Span {
        let blank = self.text[..at].ends_with(' ');
        self.span(at - usize::from(blank), at + 1)
    }

    /// Items as HCL has them.
    pub(super) fn other_language(&self) -> Option<Diagnostic> {
        if self.region != Region::Items {
            return None;
        }
        let first = *self.tokens.first()?;
        let second = self.tokens.get(1).map_or("", |token| self.word(*token));
        let quoted = second.starts_with('"');
        let name = second.trim_matches('"');
        let third = self.tokens.get(2).map_or("", |token| self.word(*token));
        let bare = name.replace('-', "_");
        let (message, help, fix) = match self.word(first) {
            word @ ("resource" | "data") if quoted => {
                let name_of = third.trim_matches('"').replace('-', "_");
                let (provider, short) = name.split_once('_').unwrap_or((name, name));
                let written = format!("{word} {}.{} {}", shorten(provider), shorten(short), shorten(&name_of));
                let what = if word == "data" { "data" } else { "a resource" };
                let good = is_name(provider) && is_name(short) && is_name(&name_of) && third.starts_with('"');
                let help = if good {
                    format!("write `{written} {{ … }}`")
                } else {
                    format!("write `{word} fly.machine web {{ … }}`")
                };
                let fix = good.then(|| vec![self.edit(first.start, self.tokens[2].end, written)]);
                (format!("type and name of {what} stand without quotes"), help, fix)
            }
            "variable" if quoted => (
                "a value that is asked for is an `input`".into(),
                format!("write `input {}: string`", shorten(&bare)),
                self.as_input(&bare),
            ),
            "output" if quoted => (
                "the name of an output stands without quotes".into(),
                format!("write `output {} = …`", shorten(&bare)),
                self.as_output(&bare),
            ),
            "input" if second != "{" && third == "{" && is_name(name) => (
                "the type of an input stands behind its name".into(),
                format!("write `input {}: string`", shorten(name)),
                self.as_input(name),
            ),
            "output" if second != "{" && third == "{" && is_name(name) => (
                "the value of an output stands behind its name".into(),
                format!("write `output {} = …`", shorten(name)),
                self.as_output(name),
            ),
            "provider" if quoted => (
                "the name of a provider stands without quotes".into(),
                format!("write `provider {} {{ … }}`", shorten(name)),
                is_name(name).then(|| vec![self.edit(self.tokens[1].start, self.tokens[1].end, name)]),
            ),
            "module" if quoted => (
                "a module is a component here, and its name is a kind".into(),
                format!("import its directory, then write `kind {} {{ … }}`", shorten(&bare)),
                None,
            ),
            "locals" if second == "{" => ("each local value is an item".into(), "write `let name = …`".into(), self.as_lets()),
            "terraform" if second == "{" => {
                ("settings of the stack stand in `stack`".into(), "write `stack name { … }`".into(), None)
            }
            _ => return None,
        };
        let end = if quoted || third == "{" { self.tokens[1].end } else { first.end };
        let diagnostic = self.error(self.span(first.start, end), message, "as in HCL").help(help);
        Some(match fix {
            Some(edits) => diagnostic.fix("write it as it is written here", Confidence::Sure, edits),
            None => diagnostic,
        })
    }

    /// The entries `name = value` of the item's block, where there is nothing else in it, no comment either; and where it ends.
    fn plain_entries(&self) -> Option<(Vec<(&'t str, Token, &'t str)>, usize)> {
        let open = *self.tokens.iter().find(|it| self.word(**it) == "{" && it.inside.is_none())?;
        let close = self.closing_of(b'{', open.start)?;
        let apart = |pair: &[Token]| self.text[pair[0].end..pair[1].start].trim().is_empty();
        if !self.tokens.windows(2).all(apart) || self.tokens.last().is_some_and(|last| last.start != close.start) {
            return None;
        }
        let level = self.level(Token { inside: close.inside, ..close });
        let begins = |at: usize| {
            let starts =
                at == 0 || self.word(level[at - 1]) == "," || self.text[level[at - 1].end..level[at].start].contains('\n');
            starts && is_name(self.word(level[at])) && level.get(at + 1).is_some_and(|it| self.sign_at(it.start) == "=")
        };
        let starts: Vec<usize> = (0..level.len()).filter(|at| begins(*at)).collect();
        if starts.first().is_some_and(|at| *at > 0) {
            return None;
        }
        let mut entries = Vec::new();
        for (index, start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(level.len());
            let last = level[start + 1..end].iter().rev().find(|it| self.word(**it) != ",")?;
            let value = self.text[level[start + 1].end..last.end].trim();
            // A block inside is no entry.
            let on_one = !value.is_empty() && level[start + 2..end].windows(2).all(|it| !self.ends_between(it[0], it[1]));
            entries.push((self.word(level[*start]), level[*start], value));
            if !on_one {
                return None;
            }
        }
        Some((entries, close.end))
    }

    /// `variable "a" { type = string, default = "b" }` as an input.
    fn as_input(&self, name: &str) -> Option<Vec<Edit>> {
        let (entries, end) = self.plain_entries()?;
        let get = |field: &str| entries.iter().find(|(name, ..)| *name == field).map(|(.., value)| *value);
        let known = |(name, ..): &(&str, Token, &str)| matches!(*name, "type" | "default" | "description");
        if !is_name(name) || !entries.iter().all(known) {
            return None;
        }
        let default = get("default");
        let ty = match get("type") {
            Some(ty) => hcl_type(ty)?,
            None => literal_type(default?)?.to_owned(),
        };
        let doc = match get("description") {
            None => String::new(),
            Some(text) => format!("## {}\n", plain_text(text)?),
        };
        let default = default.map(|it| format!(" = {it}")).unwrap_or_default();
        let ty = if default == " = null" { format!("{ty}?") } else { ty };
        Some(vec![self.edit(self.tokens.first()?.start, end, format!("{doc}input {name}: {ty}{default}"))])
    }

    fn as_output(&self, name: &str) -> Option<Vec<Edit>> {
        let (entries, end) = self.plain_entries()?;
        let get = |field: &str| entries.iter().find(|(name, ..)| *name == field).map(|(.., value)| *value);
        let known = |(name, _, value): &(&str, Token, &str)| match *name {
            "value" | "description" => true,
            // What is sensitive is a secret here, which the type of its value says: nothing that can be written for sure.
            "sensitive" => *value == "false",
            _ => false,
        };
        if !is_name(name) || !entries.iter().all(known) {
            return None;
        }
        let doc = match get("description") {
            None => String::new(),
            Some(text) => format!("## {}\n", plain_text(text)?),
        };
        Some(vec![self.edit(self.tokens.first()?.start, end, format!("{doc}output {name} = {}", get("value")?))])
    }

    fn as_lets(&self) -> Option<Vec<Edit>> {
        let (entries, end) = self.plain_entries()?;
        let first = entries.first()?.1;
        let mut edits = vec![self.edit(self.tokens.first()?.start, first.start, "let ")];
        for (before, (_, token, _)) in entries.iter().zip(&entries[1..]) {
            let gap = before.1.start + self.text[before.1.start..token.start].trim_end().len();
            let gap = if self.text[..gap].ends_with(',') { gap - 1 } else { gap };
            edits.push(self.edit(gap, token.start, "\nlet "));
        }
        edits.push(self.edit(self.text[..end - 1].trim_end().len(), end, ""));
        Some(edits)
    }
}

/// Whether a text may be a name.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_unit(word: &str) -> bool {
    DURATION_UNITS.iter().any(|(unit, _)| *unit == word) || SIZE_UNITS.iter().any(|(unit, _)| *unit == word)
}

/// A string without anything that would be read otherwise in a comment.
fn plain_text(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    (!inside.contains(['"', '\\', '\n'])).then_some(inside)
}

/// The type that HCL writes `list(string)`.
fn hcl_type(text: &str) -> Option<String> {
    let text = text.trim();
    if let Some((outer, inner)) = text.split_once('(') {
        let inner = hcl_type(inner.strip_suffix(')')?)?;
        return match outer.trim() {
            "list" | "set" => Some(format!("list<{inner}>")),
            "map" => Some(format!("map<{inner}>")),
            _ => None,
        };
    }
    matches!(text, "string" | "number" | "bool" | "any" | "int" | "duration" | "size").then(|| text.to_owned())
}

/// The type of a literal that is written as one word.
pub(super) fn literal_type(text: &str) -> Option<&'static str> {
    let text = text.trim();
    match text {
        "true" | "false" => Some("bool"),
        _ if text.starts_with('"') && text.len() > 1 && text.ends_with('"') && !text[1..text.len() - 1].contains('"') => {
            Some("string")
        }
        _ if !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()) => Some("int"),
        _ => None,
    }
}
