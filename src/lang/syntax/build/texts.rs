//! Strings in all of their forms, and literals of one word.

use std::sync::Arc;

use pest::iterators::Pairs;

use super::{Builder, P};
use crate::lang::syntax::grammar::Rule;
use crate::lang::syntax::literal::{self, BadEscape, BadLiteral, Piece};
use crate::lang::syntax::tree::*;
use crate::model::{Code, Span};

impl<'t> Builder<'t> {
    /// `template`, `block`, and their constant forms.
    pub(super) fn template(&mut self, pair: P<'t>) -> ExprKind {
        let mut parts = self.parts(pair.into_inner(), true);
        match &mut parts[..] {
            [] => ExprKind::Text("".into()),
            [Part::Text { text, .. }] => ExprKind::Text(text.clone()),
            _ => ExprKind::Template(parts),
        }
    }

    pub(super) fn parts(&mut self, inner: Pairs<'t, Rule>, escapes: bool) -> Vec<Part> {
        let (mut pieces, mut holes, mut spans) = (Vec::new(), Vec::new(), Vec::new());
        let mut block = false;
        for pair in inner {
            let span = self.span(&pair);
            spans.push(span);
            match pair.as_rule() {
                Rule::interpolation => {
                    holes.push(self.only_expr(pair));
                    pieces.push(Piece::Hole);
                }
                rule => {
                    block |= matches!(rule, Rule::block_text | Rule::tagged_block_text);
                    pieces.push(Piece::Text { raw: pair.as_str(), at: span.start as usize });
                }
            }
        }
        let mut bad = Vec::new();
        let texts = if block {
            literal::block_texts(&pieces, escapes, &mut bad)
        } else {
            literal::line_texts(&pieces, escapes, &mut bad)
        };
        self.bad_escapes(bad);
        let mut holes = holes.into_iter();
        let mut parts = Vec::with_capacity(texts.len());
        for (text, span) in texts.into_iter().zip(spans) {
            match text {
                None => parts.push(Part::Expr(holes.next().expect("as many as there are holes"))),
                Some(text) if text.is_empty() => {}
                Some(text) => parts.push(Part::Text { text: text.into(), span }),
            }
        }
        parts
    }

    pub(super) fn bad_escapes(&mut self, bad: Vec<BadEscape>) {
        for BadEscape { at, length } in bad {
            let text = self.slice_of(at..at + length);
            let diagnostic = Code::BadEscape
                .error(format!("there is no escape `{}`", text.replace(char::is_control, "")))
                .label(Span::new(self.source, at, at + length), "unknown escape")
                .help("escapes are \\n \\t \\r \\\" \\\\ \\$ \\u{…}; a raw string r\"…\" has none");
            self.diagnostics.push(diagnostic);
        }
    }

    pub(super) fn constant_text(&mut self, pair: P<'t>) -> Name {
        let span = self.span(&pair);
        let text: Arc<str> = match pair.as_rule() {
            Rule::plain => {
                let text = pair.as_str();
                text[1..text.len() - 1].into()
            }
            Rule::raw => raw_text(pair.as_str()).into(),
            _ => match self.template(pair) {
                ExprKind::Text(text) => text,
                _ => unreachable!("the grammar lets no value into it"),
            },
        };
        Spanned::new(text, span)
    }
}

pub(super) fn constant(text: &str) -> Literal {
    match text {
        "true" => Literal::Bool(true),
        "false" => Literal::Bool(false),
        _ => Literal::Null,
    }
}

/// A number with a sign.
pub(super) fn signed(text: &str) -> Result<Literal, BadLiteral> {
    let Some(positive) = text.strip_prefix('-') else { return literal::number(text) };
    Ok(match literal::number(positive)? {
        Literal::Int(value) => Literal::Int(-value),
        Literal::Decimal(value) => Literal::Decimal(-value),
        Literal::Duration(value) => Literal::Duration(-value),
        Literal::Size(value) => Literal::Size(-value),
        Literal::Percent(value) => Literal::Percent(-value),
        Literal::Rate { count, per } => Literal::Rate { count: -count, per },
        Literal::Money { amount, currency } => Literal::Money { amount: -amount, currency },
        other => other,
    })
}

/// `r"…"` and `r"""…"""` without what surrounds them.
pub(super) fn raw_text(text: &str) -> String {
    match text.strip_prefix("r\"\"\"") {
        Some(inner) => {
            let raw = &inner[..inner.len() - 3];
            let mut texts = literal::block_texts(&[Piece::Text { raw, at: 0 }], false, &mut Vec::new());
            texts.pop().flatten().expect("one piece gives one text")
        }
        None => text[2..text.len() - 1].to_owned(),
    }
}
