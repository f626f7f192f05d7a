//! Expressions: checked against a wanted type, or inferred where none is wanted.

use std::sync::Arc;

use super::Checker;
use super::context::{Cx, Typed, poison};
use super::describe::At;
use super::fit::{Fit, fit, holds_secret, sink};
use super::narrow;
use crate::eval::type_of;
use crate::lang::syntax::tree::{self, ExprKind as K};
use crate::model::expr::{Expr, ExprKind, ListPart};
use crate::model::value::Data;
use crate::model::{Code, Span, Type, Value};

/// Deep expressions are checked on any thread: where less of the stack than this is left, it grows.
const STACK_LEFT: usize = 512 << 10;
const STACK_MORE: usize = 4 << 20;

/// A wanted type without what surrounds it.
pub(super) struct Wanted<'a> {
    pub core: &'a Type,
    /// Elements may be secret.
    pub sensitive: bool,
    /// The whole becomes secret.
    pub secret: bool,
    pub optional: bool,
}

impl<'a> Wanted<'a> {
    pub fn of(ty: &'a Type) -> Wanted<'a> {
        let mut it = Wanted { core: ty, sensitive: false, secret: false, optional: false };
        loop {
            match it.core {
                Type::Optional(of) => (it.core, it.optional) = (of, true),
                Type::Sensitive(of) => (it.core, it.sensitive) = (of, true),
                Type::Secret(of) => (it.core, it.sensitive, it.secret) = (of, true, true),
                _ => return it,
            }
        }
    }

    /// What a part of the whole is wanted as.
    pub fn part(&self, of: &Type) -> Type {
        sink(of, self.sensitive)
    }

    /// Finishes an expression whose parts were checked: marks it as secret if it is declared as one.
    pub fn finish(&self, kind: ExprKind, span: Span) -> Expr {
        let expr = Expr::new(kind, span);
        match self.secret {
            true => Expr::new(ExprKind::Convert(Box::new(expr), Arc::new(Type::Secret(Box::new(self.core.clone())))), span),
            false => expr,
        }
    }
}

impl<'t> Checker<'t> {
    /// The expression as a value of the wanted type, with the conversions that it takes. What does not fit is said at the
    /// smallest place.
    pub(super) fn check(&mut self, cx: &mut Cx, e: &'t tree::Expr, want: &Type, at: &At<'_>) -> Expr {
        stacker::maybe_grow(STACK_LEFT, STACK_MORE, || self.check_here(cx, e, want, at))
    }

    fn check_here(&mut self, cx: &mut Cx, e: &'t tree::Expr, want: &Type, at: &At<'_>) -> Expr {
        let e = e.without_parens();
        let wanted = Wanted::of(want);
        match (&e.kind, wanted.core) {
            (K::Error, _) => poison(e.span),
            (_, Type::Poison) => self.infer(cx, e).expr,
            (K::If { branches, otherwise }, _) => self.check_if(cx, branches, otherwise, want, at, e.span),
            (K::Match { scrutinee, arms }, _) => self.check_match(cx, scrutinee, arms, want, at, e.span),
            (K::List(items), Type::List(of, bounds)) => {
                let part = wanted.part(of);
                let at_item = at.element();
                let items: Vec<_> = items.iter().map(|item| ListPart::Item(self.check(cx, item, &part, &at_item))).collect();
                let outside = bounds.min.is_some_and(|min| (items.len() as u64) < min)
                    || bounds.max.is_some_and(|max| (items.len() as u64) > max);
                if outside {
                    self.say_length(at, wanted.core, items.len(), e.span);
                }
                wanted.finish(ExprKind::List(items), e.span)
            }
            (K::List(items), Type::Set(of)) => {
                let part = wanted.part(of);
                let at_item = at.element();
                let items = items.iter().map(|item| ListPart::Item(self.check(cx, item, &part, &at_item))).collect();
                let list = Expr::new(ExprKind::List(items), e.span);
                wanted.finish(ExprKind::Convert(Box::new(list), Arc::new(wanted.core.clone())), e.span)
            }
            (K::List(items), Type::Any) => {
                let part = wanted.part(&Type::Any);
                let at_item = at.element();
                let part = part.optional();
                let part = if part == Type::Any { Type::Any } else { part };
                let items = items.iter().map(|item| ListPart::Item(self.check(cx, item, &part, &at_item))).collect();
                wanted.finish(ExprKind::List(items), e.span)
            }
            (K::Object(body), Type::Object(_) | Type::Map(_) | Type::Any) => self.check_object(cx, body, &wanted, at, e.span),
            (K::Variant { label, body }, Type::Variant(variant)) => {
                let value = self.check_variant(cx, variant, label, body, &wanted, at);
                wanted.finish(value, e.span)
            }
            (K::Variant { label, body }, Type::Any) => {
                let typed = self.infer_variant(cx, label, body, e.span);
                typed.expr
            }
            (K::ListFor { clauses, value }, Type::List(of, _) | Type::Set(of)) => {
                let part = wanted.part(of);
                let (list, _) = self.list_for(cx, clauses, value, Some((&part, at)), e.span);
                self.convert_checked(list, &wanted, e.span)
            }
            (K::ObjectFor { clauses, key, value }, Type::Map(of)) => {
                let part = wanted.part(of);
                let (map, _) = self.map_for(cx, clauses, key, value, Some((&part, at)), e.span);
                wanted.finish(map.kind, e.span)
            }
            (K::ListFor { clauses, value }, Type::Any) => {
                let part = wanted.part(&Type::Any);
                let (list, _) = self.list_for(cx, clauses, value, Some((&part, at)), e.span);
                wanted.finish(list.kind, e.span)
            }
            (K::ObjectFor { clauses, key, value }, Type::Any) => {
                let part = wanted.part(&Type::Any);
                let (map, _) = self.map_for(cx, clauses, key, value, Some((&part, at)), e.span);
                wanted.finish(map.kind, e.span)
            }
            (K::Name(name), _) => self.check_name(cx, name, e.span, want, at),
            (K::Binary { first, rest }, _) if rest[0].0.node == tree::BinaryOp::Coalesce => {
                self.check_coalesce(cx, first, rest, want, at)
            }
            (K::Binary { first, rest }, Type::Range(of)) if rest[0].0.node == tree::BinaryOp::Range && rest.len() == 1 => {
                let part = wanted.part(of);
                let (from, to) = (self.check(cx, first, &part, at), self.check(cx, &rest[0].1, &part, at));
                let range = ExprKind::Binary(crate::model::expr::Binary::Range, Box::new(from), Box::new(to));
                let range = wanted.finish(range, e.span);
                self.folded(range)
            }
            (K::Tagged { tag, parts }, Type::Metric(_) | Type::Condition) if &*tag.node == "promql" => {
                self.promql(cx, parts, wanted.core.clone(), e.span).expr
            }
            _ => {
                let typed = self.infer(cx, e);
                self.fitted(typed, want, at)
            }
        }
    }

    /// Converts a list whose elements were checked.
    fn convert_checked(&mut self, expr: Expr, wanted: &Wanted<'_>, span: Span) -> Expr {
        match wanted.core {
            Type::List(_, bounds) if bounds.min.is_none() && bounds.max.is_none() => wanted.finish(expr.kind, span),
            // Elements were converted already: only the whole has to be looked at.
            Type::List(_, bounds) => {
                let ty = Type::List(Box::new(Type::Poison), *bounds);
                wanted.finish(ExprKind::Convert(Box::new(expr), Arc::new(ty)), span)
            }
            core => wanted.finish(ExprKind::Convert(Box::new(expr), Arc::new(core.clone())), span),
        }
    }

    /// A value that was inferred, where another type may be wanted.
    pub(super) fn fitted(&mut self, typed: Typed, want: &Type, at: &At<'_>) -> Expr {
        let span = typed.expr.span;
        self.nulls += u32::from(matches!(typed.ty, Type::Optional(_) | Type::Null));
        self.taints += u32::from(holds_secret(&typed.ty));
        match fit(&typed.ty, want) {
            Fit::Same => typed.expr,
            Fit::Convert => {
                let expr = self.told_from_here(typed.expr, &typed.ty, want);
                self.converted(expr, want, at)
            }
            Fit::Secret => {
                self.say_secret_shown(Some(&typed.expr), &typed.ty, at, span);
                poison(span)
            }
            how => {
                self.say_unfit(&typed.ty, want, how, at, span);
                poison(span)
            }
        }
    }

    /// The type of an expression that no place wants anything of.
    pub(super) fn infer(&mut self, cx: &mut Cx, e: &'t tree::Expr) -> Typed {
        stacker::maybe_grow(STACK_LEFT, STACK_MORE, || self.infer_here(cx, e))
    }

    fn infer_here(&mut self, cx: &mut Cx, e: &'t tree::Expr) -> Typed {
        let e = e.without_parens();
        match &e.kind {
            K::Error => Typed::poison(e.span),
            K::Paren(inner) => self.infer(cx, inner),
            K::Literal(literal) => match self.literal(literal, e.span) {
                Some(value) => {
                    let ty = type_of(&value);
                    Typed::new(ExprKind::Literal(value), e.span, ty)
                }
                None => Typed::poison(e.span),
            },
            K::Text(text) => Typed::new(ExprKind::Literal(Value::new(Data::Text(text.clone()), e.span)), e.span, Type::TEXT),
            K::Template(parts) => self.template(cx, parts, e.span),
            K::Tagged { tag, parts } => self.tagged(cx, tag, parts, e.span),
            K::Name(name) => self.infer_name(cx, name, e.span),
            K::Access { base, steps } => self.access(cx, base, steps, e.span),
            K::List(items) => self.infer_list(cx, items, e.span),
            K::Object(body) => self.infer_object(cx, body, e.span),
            K::ListFor { clauses, value } => {
                let (expr, ty) = self.list_for(cx, clauses, value, None, e.span);
                Typed { expr, ty, item: None }
            }
            K::ObjectFor { clauses, key, value } => {
                let (expr, ty) = self.map_for(cx, clauses, key, value, None, e.span);
                Typed { expr, ty, item: None }
            }
            K::Variant { label, body } => {
                let typed = self.infer_variant(cx, label, body, e.span);
                let diagnostic = Code::WrongType
                    .error(format!("nothing says which variant `{}` belongs to", label.node))
                    .label(label.span, "needs a type")
                    .help("write the type, such as `let name: T = …`");
                self.say(diagnostic);
                Typed::poison(typed.expr.span)
            }
            K::If { branches, otherwise } => self.infer_if(cx, branches, otherwise, e.span),
            K::Match { scrutinee, arms } => self.infer_match(cx, scrutinee, arms, e.span),
            K::Unary { ops, operand } => self.unary(cx, ops, operand),
            K::Binary { first, rest } => self.binary(cx, first, rest),
        }
    }

    fn literal(&mut self, literal: &tree::Literal, span: Span) -> Option<Value> {
        let data = match literal {
            tree::Literal::Null => Data::Null,
            tree::Literal::Bool(value) => Data::Bool(*value),
            tree::Literal::Int(value) => Data::Int(*value),
            tree::Literal::Decimal(value) => Data::Number(*value),
            tree::Literal::Duration(nanos) => Data::Duration(*nanos),
            tree::Literal::Size(bytes) => Data::Size(*bytes),
            tree::Literal::Percent(ratio) => Data::Percent(*ratio),
            tree::Literal::Rate { count, per } => {
                let factor = match per {
                    tree::RatePer::Second => 3600,
                    tree::RatePer::Minute => 60,
                    tree::RatePer::Hour => 1,
                };
                match count.checked_mul(factor.into()) {
                    Some(per_hour) => Data::Rate(per_hour),
                    None => {
                        self.say(Code::BadLiteral.error("the rate is too large").label(span, "has no value"));
                        return None;
                    }
                }
            }
            tree::Literal::Money { amount, currency } => Data::Money(*amount, currency.clone()),
            tree::Literal::Instant(instant) => Data::Instant(*instant),
        };
        Some(Value::new(data, span))
    }

    pub(super) fn pattern_value(&mut self, literal: &tree::Literal, span: Span) -> Option<Value> {
        self.literal(literal, span)
    }

    /// A string with interpolation.
    fn template(&mut self, cx: &mut Cx, parts: &'t [tree::Part], span: Span) -> Typed {
        let (mut tainted, mut failed) = (false, false);
        let mut exprs = Vec::with_capacity(parts.len());
        for part in parts {
            exprs.push(match part {
                tree::Part::Text { text, span } => Expr::literal(Value::new(Data::Text(text.clone()), *span)),
                tree::Part::Expr(inner) => {
                    let typed = self.infer(cx, inner);
                    tainted |= holds_secret(&typed.ty);
                    let at = At::place("an interpolation");
                    match cannot_interpolate(&typed.ty) {
                        Some(how) => {
                            self.say_unfit(&typed.ty, &Type::TEXT, how, &at, inner.span);
                            failed = true;
                            poison(inner.span)
                        }
                        None => typed.expr,
                    }
                }
            });
        }
        if failed {
            return Typed::poison(span);
        }
        let ty = if tainted { super::fit::secret(Type::TEXT) } else { Type::TEXT };
        Typed { expr: self.folded(Expr::new(ExprKind::Text(exprs), span)), ty, item: None }
    }

    fn tagged(&mut self, cx: &mut Cx, tag: &'t tree::Name, parts: &'t [tree::Part], span: Span) -> Typed {
        match &*tag.node {
            "promql" => self.promql(cx, parts, Type::Metric(Box::new(Type::NUMBER)), span),
            "re" => self.pattern(cx, parts, span),
            _ => {
                let diagnostic = Code::UnknownName
                    .error(format!("there is no tag `{}`", tag.node))
                    .label(tag.span, "before a string stand `re`, `promql` and `r`");
                self.say(diagnostic);
                Typed::poison(span)
            }
        }
    }

    fn check_if(
        &mut self,
        cx: &mut Cx,
        branches: &'t [(tree::Expr, tree::Expr)],
        otherwise: &'t tree::Expr,
        want: &Type,
        at: &At<'_>,
        span: Span,
    ) -> Expr {
        let (expr, _, tainted) = self.if_with(cx, branches, otherwise, span, |it, cx, branch| {
            let expr = it.check(cx, branch, want, at);
            Typed { expr, ty: Type::Poison, item: None }
        });
        self.shown_by_condition(tainted, want, at, &branches[0].0);
        expr
    }

    /// What a secret condition decides is secret.
    pub(super) fn shown_by_condition(&mut self, tainted: bool, want: &Type, at: &At<'_>, cond: &tree::Expr) {
        if tainted && !Wanted::of(want).sensitive && !matches!(want, Type::Poison) {
            self.say_secret_shown(None, &super::fit::secret(Type::Bool), at, cond.span);
        }
        self.taints += u32::from(tainted);
    }

    fn infer_if(
        &mut self,
        cx: &mut Cx,
        branches: &'t [(tree::Expr, tree::Expr)],
        otherwise: &'t tree::Expr,
        span: Span,
    ) -> Typed {
        let (expr, types, spans, taint) = {
            let mut spans = Vec::new();
            let (expr, types, taint) = self.if_with(cx, branches, otherwise, span, |it, cx, branch| {
                spans.push(branch.span);
                it.infer(cx, branch)
            });
            (expr, types, spans, taint)
        };
        let ty = self.joined("the branches of `if`", &types, &spans);
        Typed { expr, ty: if taint { super::fit::secret(ty) } else { ty }, item: None }
    }

    /// The branches in order, each with what its condition and those before it tell. Says whether a condition is secret.
    fn if_with(
        &mut self,
        cx: &mut Cx,
        branches: &'t [(tree::Expr, tree::Expr)],
        otherwise: &'t tree::Expr,
        span: Span,
        mut branch: impl FnMut(&mut Self, &mut Cx, &'t tree::Expr) -> Typed,
    ) -> (Expr, Vec<Type>, bool) {
        if branches.len() > super::operators::CHAIN_MAX {
            self.say_chain("`else if`", branches[super::operators::CHAIN_MAX].0.span);
            return (poison(span), Vec::new(), false);
        }
        let outer = cx.mark();
        let mut made = Vec::with_capacity(branches.len());
        let (mut types, mut taint) = (Vec::with_capacity(branches.len() + 1), false);
        for (cond, value) in branches {
            let (cond, tainted) = self.condition(cx, cond);
            taint |= tainted;
            let before = cx.mark();
            narrow::learn(cx, &cond, true);
            let typed = branch(self, cx, value);
            cx.reset(before);
            narrow::learn(cx, &cond, false);
            types.push(typed.ty);
            made.push((cond, typed.expr));
        }
        let last = branch(self, cx, otherwise);
        types.push(last.ty);
        cx.reset(outer);
        let expr = made.into_iter().rev().fold(last.expr, |otherwise, (cond, then)| {
            Expr::new(ExprKind::If(Box::new(cond), Box::new(then), Box::new(otherwise)), span)
        });
        (expr, types, taint)
    }

    /// A condition of an `if`, and whether it is secret: what it decides is secret then.
    pub(super) fn condition(&mut self, cx: &mut Cx, e: &'t tree::Expr) -> (Expr, bool) {
        let at = At::place("a condition");
        let typed = self.infer(cx, e);
        let tainted = holds_secret(&typed.ty);
        (self.fitted(typed, &Type::Sensitive(Box::new(Type::Bool)), &at), tainted)
    }

    /// The type of several values of which one is taken.
    pub(super) fn joined(&mut self, what: &str, types: &[Type], spans: &[Span]) -> Type {
        match super::shapes::join_all(types) {
            Ok(ty) => ty,
            Err(at) => {
                let before = super::shapes::join_all(&types[..at]).unwrap_or(Type::Poison);
                let (one, other) = (super::describe::noun(&before), super::describe::noun(&types[at]));
                let message = match one == other {
                    true => format!("{what} are `{before}` and `{}`", types[at]),
                    false => format!("{what} are {one} and {other}"),
                };
                let diagnostic = Code::WrongType
                    .error(message)
                    .label(spans[at], format!("is {}", super::describe::noun(&types[at])))
                    .label(spans[0], format!("is {}", super::describe::noun(&types[0])))
                    .help("give them one type");
                self.say(diagnostic);
                Type::Poison
            }
        }
    }

    fn infer_list(&mut self, cx: &mut Cx, items: &'t [tree::Expr], span: Span) -> Typed {
        let mut parts = Vec::with_capacity(items.len());
        let (mut types, mut spans) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        for item in items {
            let typed = self.infer(cx, item);
            parts.push(ListPart::Item(typed.expr));
            types.push(typed.ty);
            spans.push(item.span);
        }
        let of = self.joined("the elements of a list", &types, &spans);
        Typed { expr: self.folded(Expr::new(ExprKind::List(parts), span)), ty: Type::list(of), item: None }
    }

    fn say_length(&mut self, at: &At<'_>, want: &Type, count: usize, span: Span) {
        let diagnostic = Code::OutOfRange
            .error(format!("{} takes `{want}`, and this has {count} elements", at.words()))
            .label(span, format!("{count} elements"));
        let diagnostic = self.with_declaration(diagnostic, at);
        self.say(diagnostic);
    }

    /// `a ?? b ?? c` where a type is wanted: all but the last may be null.
    fn check_coalesce(
        &mut self,
        cx: &mut Cx,
        first: &'t tree::Expr,
        rest: &'t [(tree::Spanned<tree::BinaryOp>, tree::Expr)],
        want: &Type,
        at: &At<'_>,
    ) -> Expr {
        if rest.len() > super::operators::CHAIN_MAX {
            self.say_chain("operators", rest[super::operators::CHAIN_MAX].0.span);
            return poison(first.span);
        }
        let optional = match want {
            Type::Any => Type::Any,
            want => want.clone().optional(),
        };
        let mut expr = self.check(cx, first, &optional, at);
        for (place, (_, operand)) in rest.iter().enumerate() {
            let last = place + 1 == rest.len();
            let right = self.check(cx, operand, if last { want } else { &optional }, at);
            let span = expr.span.to(right.span);
            expr = Expr::new(ExprKind::Binary(crate::model::expr::Binary::Else, Box::new(expr), Box::new(right)), span);
        }
        expr
    }
}

/// Why a value cannot stand in a string; `None` if it can.
fn cannot_interpolate(ty: &Type) -> Option<Fit> {
    match ty {
        Type::Poison | Type::Any | Type::Text(_) | Type::Int(_) | Type::Number(_) | Type::Bool => None,
        Type::Literals(_) => None,
        Type::Secret(of) | Type::Sensitive(of) => cannot_interpolate(of),
        Type::Optional(of) => Some(cannot_interpolate(of).unwrap_or(Fit::MaybeNull)),
        Type::Null => Some(Fit::MaybeNull),
        _ => Some(Fit::No),
    }
}
