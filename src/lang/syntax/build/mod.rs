//! From the grammar's pairs to the tree. Walks what the grammar has accepted; what it finds wrong on the way (a literal without a
//! value, a name in capitals) is a diagnostic, and the walk goes on.

mod entries;
mod exprs;
mod items;
mod texts;
mod types;

use std::sync::Arc;

use pest::iterators::{Pair, Pairs};
use rustc_hash::FxHashMap;

use super::grammar::Rule;
use super::tree::*;
use crate::lang::resolve::snake_case;
use crate::model::{Code, Confidence, Diagnostic, Edit, SourceId, Span};

/// Bytes of one name.
pub const NAME_MAX: usize = 128;
/// Operands of one expression outside of its brackets; also steps of one reference and signs before one operand.
pub const OPERANDS_MAX: usize = 4096;

/// Builds the trees of many chunks of one text.
pub struct Builder<'t> {
    source: SourceId,
    /// What the grammar has seen, and where it begins in the source.
    slice: &'t str,
    base: usize,
    /// Whether the slice begins at the beginning of a line.
    starts_line: bool,
    names: FxHashMap<&'t str, Arc<str>>,
    pub diagnostics: Vec<Diagnostic>,
}

type P<'t> = Pair<'t, Rule>;

impl<'t> Builder<'t> {
    pub fn new(source: SourceId) -> Self {
        let names = FxHashMap::default();
        Builder { source, slice: "", base: 0, starts_line: true, names, diagnostics: Vec::new() }
    }

    /// The pairs that follow are of this slice, which begins at this byte of the source.
    pub fn on(&mut self, slice: &'t str, base: usize, starts_line: bool) -> &mut Self {
        (self.slice, self.base, self.starts_line) = (slice, base, starts_line);
        self
    }

    pub fn source(&self) -> SourceId {
        self.source
    }

    // ---- sequences, with the doc comments between them ---------------------------------------------------------------------

    pub fn items_of(&mut self, pairs: Pairs<'t, Rule>) -> Vec<Item> {
        self.sequence(pairs, |this, doc, pair| {
            let span = this.span(&pair);
            Item { doc, kind: this.item(pair), span }
        })
    }

    pub fn entries_of(&mut self, pairs: Pairs<'t, Rule>) -> Vec<Entry> {
        self.sequence(pairs, |this, doc, pair| {
            let span = this.span(&pair);
            Entry { doc, kind: this.entry(pair), span }
        })
    }

    pub fn rules_of(&mut self, pairs: Pairs<'t, Rule>) -> Vec<super::tree::Rule> {
        self.sequence(pairs, |this, doc, pair| {
            let span = this.span(&pair);
            super::tree::Rule { doc, kind: this.rule(pair), span }
        })
    }

    pub fn overrides_of(&mut self, pairs: Pairs<'t, Rule>) -> Vec<Override> {
        self.sequence(pairs, |this, _, pair| this.resource_override(pair))
    }

    fn sequence<T>(&mut self, pairs: Pairs<'t, Rule>, mut build: impl FnMut(&mut Self, Doc, P<'t>) -> T) -> Vec<T> {
        let mut all = Vec::new();
        let mut docs: Vec<&'t str> = Vec::new();
        for pair in pairs {
            match pair.as_rule() {
                Rule::EOI => {}
                Rule::doc => {
                    if self.stands_alone(&pair) {
                        let line = &pair.as_str()[2..];
                        docs.push(line.strip_prefix(' ').unwrap_or(line).trim_end());
                    }
                }
                _ => {
                    let doc = if docs.is_empty() { None } else { Some(Arc::from(docs.join("\n"))) };
                    docs.clear();
                    all.push(build(self, doc, pair));
                }
            }
        }
        all
    }

    /// Whether only blanks stand before it on its line.
    fn stands_alone(&self, pair: &P<'t>) -> bool {
        let before = &self.slice[..pair.as_span().start()];
        match before.rfind('\n') {
            Some(newline) => before[newline + 1..].bytes().all(is_blank),
            None => self.starts_line && before.bytes().all(is_blank),
        }
    }

    // ---- names -------------------------------------------------------------------------------------------------------------

    /// A name that is defined here: lower case, digits, underscores; `_` alone where nobody reads it.
    fn declared(&mut self, pair: P<'t>) -> Name {
        let text = pair.as_str();
        let name = self.name(pair);
        let fits =
            text == "_" || text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.contains(|c: char| c.is_ascii_uppercase());
        if !fits {
            let other = snake_case(text);
            let diagnostic = Code::Syntax
                .error(format!("the name `{text}` is not in lower case"))
                .label(name.span, "expected a lower-case letter, then letters, digits and `_`");
            self.diagnostics.push(match other.starts_with(|c: char| c.is_ascii_lowercase()) {
                true => diagnostic.help(format!("write `{other}`")).fix(
                    format!("write `{other}`"),
                    Confidence::Sure,
                    vec![Edit { span: name.span, text: other }],
                ),
                false => diagnostic,
            });
        }
        name
    }

    fn name(&mut self, pair: P<'t>) -> Name {
        let start = self.base + pair.as_span().start();
        self.name_at(pair.as_str(), start)
    }

    fn name_at(&mut self, text: &'t str, start: usize) -> Name {
        let span = Span::new(self.source, start, start + text.len());
        if text.len() > NAME_MAX {
            self.over(span, format!("a name has at most {NAME_MAX} characters"), "too long");
        }
        if let Some(name) = self.names.get(text) {
            return Spanned::new(name.clone(), span);
        }
        let name: Arc<str> = text.into();
        self.names.insert(text, name.clone());
        Spanned::new(name, span)
    }

    fn path(&mut self, pair: P<'t>) -> Path {
        let span = self.span(&pair);
        let mut start = span.start as usize;
        let mut segments = Vec::with_capacity(1);
        for segment in pair.as_str().split('.') {
            segments.push(self.name_at(segment, start));
            start += segment.len() + 1;
        }
        Path { segments, span }
    }

    /// The text between two bytes of the source, which lie in the slice.
    fn slice_of(&self, range: std::ops::Range<usize>) -> &'t str {
        let range = range.start.saturating_sub(self.base)..range.end.saturating_sub(self.base);
        self.slice.get(range).unwrap_or("")
    }

    fn span(&self, pair: &P<'t>) -> Span {
        let span = pair.as_span();
        Span::new(self.source, self.base + span.start(), self.base + span.end())
    }

    // ---- diagnostics -------------------------------------------------------------------------------------------------------

    fn syntax(&mut self, span: Span, message: &str, label: &str) -> &mut Diagnostic {
        self.diagnostics.push(Code::Syntax.error(message).label(span, label));
        self.diagnostics.last_mut().expect("one was pushed")
    }

    fn over(&mut self, span: Span, message: String, label: &str) {
        self.diagnostics.push(Code::Limit.error(message).label(span, label));
    }
}

/// Adds to a diagnostic that is already in a list.
trait PushHelp {
    fn push_help(&mut self, help: impl Into<String>);
}

impl PushHelp for Diagnostic {
    fn push_help(&mut self, help: impl Into<String>) {
        self.help.push(help.into());
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn next<'t>(inner: &mut Pairs<'t, Rule>) -> P<'t> {
    inner.next().expect("the grammar wants one more")
}
