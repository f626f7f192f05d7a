//! What follows from a condition: values that are not null, conditions that hold.

use super::context::{Cx, Fact};
use crate::model::expr::{Binary, Expr, ExprKind, Unary};
use crate::model::value::Data;
use crate::model::{Type, Value};

/// Adds what holds where the condition is true, or where it is false.
pub fn learn(cx: &mut Cx, cond: &Expr, holds: bool) {
    match &cond.kind {
        ExprKind::Unary(Unary::Not, inner) => learn(cx, inner, !holds),
        ExprKind::Binary(Binary::And, a, b) if holds => {
            learn(cx, a, true);
            learn(cx, b, true);
            cx.facts.push(Fact::True(cond.clone()));
        }
        ExprKind::Binary(Binary::Or, a, b) if !holds => {
            learn(cx, a, false);
            learn(cx, b, false);
            cx.facts.push(Fact::False(cond.clone()));
        }
        ExprKind::Binary(op @ (Binary::Equal | Binary::NotEqual), a, b) => {
            let tested = match (is_null(a), is_null(b)) {
                (true, false) => Some(b),
                (false, true) => Some(a),
                _ => None,
            };
            match tested {
                Some(tested) if (*op == Binary::NotEqual) == holds => not_null(cx, tested),
                Some(tested) => cx.facts.push(Fact::Null((**tested).clone())),
                None => {
                    // What equals a value that is not null is not null.
                    if (*op == Binary::Equal) == holds {
                        for (one, other) in [(a, b), (b, a)] {
                            if matches!(&other.kind, ExprKind::Literal(_)) && is_path(one) {
                                not_null(cx, one);
                            }
                        }
                    }
                    push_whole(cx, cond, holds);
                }
            }
        }
        ExprKind::Literal(_) => {}
        _ => push_whole(cx, cond, holds),
    }
}

fn push_whole(cx: &mut Cx, cond: &Expr, holds: bool) {
    cx.facts.push(if holds { Fact::True(cond.clone()) } else { Fact::False(cond.clone()) });
}

/// `a?.b` is there only if `a` is.
fn not_null(cx: &mut Cx, expr: &Expr) {
    cx.facts.push(Fact::NotNull(expr.clone()));
    match &expr.kind {
        ExprKind::Field { of, optional, name } if *optional => {
            let plain = ExprKind::Field { of: of.clone(), name: name.clone(), optional: false };
            cx.facts.push(Fact::NotNull(Expr::new(plain, expr.span)));
            not_null(cx, of);
        }
        ExprKind::Member { of, optional: true, member } => {
            let plain = ExprKind::Member { of: of.clone(), member: member.clone(), optional: false };
            cx.facts.push(Fact::NotNull(Expr::new(plain, expr.span)));
            not_null(cx, of);
        }
        ExprKind::Convert(inner, _) => not_null(cx, inner),
        _ => {}
    }
}

/// Whether it is known that the expression is not null.
pub fn is_not_null(cx: &Cx, expr: &Expr) -> bool {
    cx.facts.iter().any(|fact| matches!(fact, Fact::NotNull(known) if known == expr))
}

/// Names and steps from them: what a test can tell something about.
fn is_path(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Local(_) | ExprKind::Name(_) => true,
        ExprKind::Field { of, .. } | ExprKind::Member { of, .. } => is_path(of),
        ExprKind::Index { of, key, .. } => is_path(of) && matches!(key.kind, ExprKind::Literal(_)),
        _ => false,
    }
}

pub fn is_null(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Literal(Value { data: Data::Null, .. }))
}

/// What a condition is, as far as that follows from facts and constants.
pub fn decide(cx: &Cx, cond: &Expr) -> Option<bool> {
    decide_with(cond, &|expr| {
        cx.facts.iter().find_map(|fact| match fact {
            Fact::NotNull(known) if known == expr => Some(Known::NotNull),
            Fact::Null(known) if known == expr => Some(Known::Null),
            Fact::True(known) if known == expr => Some(Known::Is(Value::bool(true))),
            Fact::False(known) if known == expr => Some(Known::Is(Value::bool(false))),
            _ => None,
        })
    })
}

/// What is known of a value.
#[derive(Clone, Debug)]
pub enum Known {
    Null,
    NotNull,
    Is(Value),
}

/// What a condition is, as far as `known` says what its parts are.
pub fn decide_with(cond: &Expr, known: &dyn Fn(&Expr) -> Option<Known>) -> Option<bool> {
    match value_of(cond, known)? {
        Known::Is(value) => value.as_bool(),
        _ => None,
    }
}

fn value_of(expr: &Expr, known: &dyn Fn(&Expr) -> Option<Known>) -> Option<Known> {
    if let Some(known) = known(expr) {
        return Some(known);
    }
    let truth = |value: bool| Some(Known::Is(Value::bool(value)));
    match &expr.kind {
        ExprKind::Literal(value) if value.is_null() => Some(Known::Null),
        ExprKind::Literal(value) => Some(Known::Is(value.clone())),
        ExprKind::List(_) | ExprKind::Map(_) | ExprKind::Variant(..) | ExprKind::Text(_) => Some(Known::NotNull),
        ExprKind::Convert(inner, ty) => match value_of(inner, known)? {
            // A conversion may change what is compared.
            Known::Is(_) if !matches!(**ty, Type::Bool | Type::Text(_) | Type::Int(_)) => Some(Known::NotNull),
            other => Some(other),
        },
        ExprKind::Unary(Unary::Not, inner) => truth(!decide_with(inner, known)?),
        ExprKind::Binary(op @ (Binary::And | Binary::Or), a, b) => {
            let (a, b) = (decide_with(a, known), decide_with(b, known));
            let wins = *op == Binary::Or;
            match (a, b) {
                (Some(a), _) if a == wins => truth(wins),
                (_, Some(b)) if b == wins => truth(wins),
                (Some(_), Some(_)) => truth(!wins),
                _ => None,
            }
        }
        ExprKind::Binary(op @ (Binary::Equal | Binary::NotEqual), a, b) => {
            let equal = match (value_of(a, known)?, value_of(b, known)?) {
                (Known::Null, Known::Null) => true,
                (Known::Null, _) | (_, Known::Null) => false,
                (Known::Is(a), Known::Is(b)) if comparable(&a) && comparable(&b) => a == b,
                _ => return None,
            };
            truth(equal == (*op == Binary::Equal))
        }
        _ => None,
    }
}

fn comparable(value: &Value) -> bool {
    matches!(value.data, Data::Bool(_) | Data::Int(_) | Data::Text(_) | Data::Duration(_) | Data::Size(_))
}
