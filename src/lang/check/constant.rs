//! Constants: computed while checking, so that what is wrong with them is said now.

use std::sync::Arc;

use super::Checker;
use super::context::poison;
use super::describe::{At, noun};
use super::fit::Fit;
use crate::eval;
use crate::model::expr::{Expr, ExprKind, ListPart, MapPart};
use crate::model::value::{Data, Fields};
use crate::model::{Code, Type, Value};

impl<'t> Checker<'t> {
    /// The value of an expression that names nothing.
    pub(super) fn constant_value(&self, expr: &Expr) -> Option<Value> {
        if let ExprKind::Literal(value) = &expr.kind {
            return Some(value.clone());
        }
        if !is_constant(expr) {
            return None;
        }
        eval::evaluate_constant(expr, &self.constants).ok().filter(|value| !value.has_unknown())
    }

    /// The expression, computed if all of it is literal. What has no result is said.
    pub(super) fn folded(&mut self, expr: Expr) -> Expr {
        let literal = |expr: &Expr| matches!(expr.kind, ExprKind::Literal(_));
        let foldable = match &expr.kind {
            ExprKind::Unary(_, a) => literal(a),
            ExprKind::Binary(_, a, b) => literal(a) && literal(b),
            ExprKind::Text(parts) => parts.iter().all(literal),
            _ => false,
        };
        if !foldable {
            return expr;
        }
        match eval::evaluate_constant(&expr, &self.constants) {
            Ok(value) if value.has_unknown() => expr,
            Ok(value) => Expr { kind: ExprKind::Literal(value.at(expr.span)), span: expr.span },
            Err(diagnostic) => {
                self.say(*diagnostic);
                poison(expr.span)
            }
        }
    }

    /// The expression with a conversion, which is done now if it is literal.
    pub(super) fn converted(&mut self, expr: Expr, want: &Type, at: &At<'_>) -> Expr {
        let span = expr.span;
        let ExprKind::Literal(value) = &expr.kind else {
            return Expr::new(ExprKind::Convert(Box::new(expr), Arc::new(want.clone())), span);
        };
        match eval::fit(value.clone(), want, span) {
            Ok(value) => Expr { kind: ExprKind::Literal(value), span },
            Err(diagnostic) => {
                let diagnostic = match diagnostic.code {
                    Code::WrongType => {
                        let ty = crate::eval::type_of(value);
                        self.say_unfit(&ty, want, Fit::No, at, span);
                        return poison(span);
                    }
                    _ => self.refused_constant(*diagnostic, value, want, at, span),
                };
                let diagnostic = self.with_declaration(diagnostic, at);
                self.say(diagnostic);
                poison(span)
            }
        }
    }

    fn refused_constant(
        &self,
        diagnostic: crate::model::Diagnostic,
        value: &Value,
        want: &Type,
        at: &At<'_>,
        span: crate::model::Span,
    ) -> crate::model::Diagnostic {
        let bare = want.bare();
        let text = value.to_literal();
        match bare {
            Type::Literals(members) => {
                let known: Vec<String> = members.iter().map(Value::to_literal).collect();
                let diagnostic = Code::WrongType
                    .error(format!("{} takes {}, and this is {text}", at.words(), noun(bare)))
                    .label(span, format!("expected {}", noun(bare)));
                Self::with_near(diagnostic, &text, span, known.iter().map(|it| &**it)).unwrap_or_else(|it| it)
            }
            Type::Int(_) | Type::Number(_) | Type::List(..) | Type::Range(_) => Code::OutOfRange
                .error(format!("{} takes `{bare}`, and this is {text}", at.words()))
                .label(span, format!("outside of `{bare}`")),
            Type::Text(_) => {
                let why = diagnostic.message.clone();
                let expected = match super::describe::examples(bare) {
                    Some(examples) => format!("expected {}: {examples}", noun(bare)),
                    None => format!("expected `{bare}`"),
                };
                let takes = match super::describe::examples(bare) {
                    Some(_) => noun(bare),
                    None => format!("`{bare}`"),
                };
                let _ = why;
                Code::OutOfRange.error(format!("{} takes {takes}, and {text} is none", at.words())).label(span, expected)
            }
            _ => diagnostic,
        }
    }
}

/// Whether an expression names nothing and is small enough to be looked at.
fn is_constant(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Literal(_) => true,
        ExprKind::Text(parts) => parts.iter().all(is_constant),
        ExprKind::Unary(_, a) | ExprKind::Convert(a, _) | ExprKind::Variant(_, a) => is_constant(a),
        ExprKind::Field { of, .. } => is_constant(of),
        ExprKind::Index { of, key, .. } => is_constant(of) && is_constant(key),
        ExprKind::Binary(_, a, b) => is_constant(a) && is_constant(b),
        ExprKind::If(a, b, c) => is_constant(a) && is_constant(b) && is_constant(c),
        ExprKind::List(parts) => parts.iter().all(|part| match part {
            ListPart::Item(it) | ListPart::Spread(it) => is_constant(it),
        }),
        ExprKind::Map(parts) => parts.iter().all(|part| match part {
            MapPart::Entry(_, it) | MapPart::Spread(it) => is_constant(it),
            MapPart::Computed(key, it) => is_constant(key) && is_constant(it),
        }),
        ExprKind::Builtin(builtin, args) => {
            let pure = |def: &eval::builtins::BuiltinDef| !def.reads && !def.reveals && def.name != "fail";
            eval::builtins::get(builtin).is_some_and(pure) && args.iter().flatten().all(is_constant)
        }
        ExprKind::Promql { .. }
        | ExprKind::Local(_)
        | ExprKind::Name(_)
        | ExprKind::Member { .. }
        | ExprKind::Match(..)
        | ExprKind::ForList { .. }
        | ExprKind::ForMap { .. }
        | ExprKind::Call(..) => false,
    }
}

/// A map of literals as one literal: smaller, and quicker to evaluate.
pub fn folded_map(parts: Vec<MapPart>, span: crate::model::Span) -> ExprKind {
    let literal = parts.iter().all(|part| matches!(part, MapPart::Entry(_, Expr { kind: ExprKind::Literal(_), .. })));
    if !literal {
        return ExprKind::Map(parts);
    }
    let mut fields = Fields::new();
    for part in parts {
        if let MapPart::Entry(name, Expr { kind: ExprKind::Literal(value), .. }) = part {
            fields.insert(name, value);
        }
    }
    ExprKind::Literal(Value::new(Data::Map(Arc::new(fields)), span))
}
