//! What is left of a computation when something in it is unknown: closed expressions.
//!
//! Variables that are left in such an expression are numbered by how many of them surround it (from [`FIRST`] on), so that equal
//! computations leave equal expressions, and no expression captures another's variable.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::{Budget, Outcome};
use crate::model::expr::{Binary, ExprKind, ForClause, ListPart, MapPart, Member, Reference};
use crate::model::value::{Mark, Unknown};
use crate::model::{Address, Code, Data, Diagnostic, Expr, Slot, Span, Step, Type, Value};

/// Slots from here on are those of variables in what is left.
const FIRST: u32 = 1 << 31;
/// What is left may be nested so deep, so that whoever evaluates it later needs no great stack.
const DEPTH_MAX: u32 = 600;

/// The variable that so many others surround.
pub fn variable(level: u32) -> Slot {
    Slot(FIRST + level)
}

/// An attribute that is not known.
pub fn attribute(address: &Address, path: &[Step], ty: Type, span: Span) -> Value {
    let name = Reference::Attribute { address: address.clone(), path: path.to_vec() };
    let rest = Arc::new(Expr::new(ExprKind::Name(name), span));
    let waits_for = Arc::new(BTreeSet::from([address.clone()]));
    Value::new(Data::Unknown(Arc::new(Unknown { ty, rest, waits_for })), span)
}

/// A variable of a collection that is not known.
pub fn element(level: u32, of: &Value, span: Span) -> Value {
    let waits_for = match &of.data {
        Data::Unknown(unknown) => unknown.waits_for.clone(),
        _ => nothing(),
    };
    let rest = Arc::new(Expr::new(ExprKind::Local(variable(level)), span));
    let mark = Mark { secret: of.has_secret(), within: of.mark.within.clone(), origin: of.mark.origin };
    Value { data: Data::Unknown(Arc::new(Unknown { ty: Type::Any, rest, waits_for })), mark }
}

fn nothing() -> Arc<BTreeSet<Address>> {
    static NOTHING: OnceLock<Arc<BTreeSet<Address>>> = OnceLock::new();
    NOTHING.get_or_init(Arc::default).clone()
}

/// An unknown value: what is left of an operation on these values.
pub fn unknown(kind: ExprKind, ty: Type, of: &[&Value], span: Span) -> Value {
    let mut mark = Mark::at(span);
    for value in of {
        mark.secret |= value.has_secret();
        mark.within = mark.within.or_else(|| value.mark.within.clone());
    }
    let rest = Arc::new(Expr::new(kind, span));
    Value { data: Data::Unknown(Arc::new(Unknown { ty, rest, waits_for: waits(of) })), mark }
}

/// Every resource that one of the values waits for.
pub fn waits(of: &[&Value]) -> Arc<BTreeSet<Address>> {
    let mut sets: Vec<&Arc<BTreeSet<Address>>> = Vec::new();
    of.iter().for_each(|value| collect(value, &mut sets));
    match &sets[..] {
        [] => nothing(),
        [one] => (*one).clone(),
        [first, others @ ..] if others.iter().all(|set| Arc::ptr_eq(set, first) || set.is_subset(first)) => (*first).clone(),
        all => Arc::new(all.iter().flat_map(|set| set.iter().cloned()).collect()),
    }
}

fn collect<'v>(value: &'v Value, sets: &mut Vec<&'v Arc<BTreeSet<Address>>>) {
    match &value.data {
        Data::Unknown(unknown) => sets.push(&unknown.waits_for),
        Data::List(items) => items.iter().for_each(|item| collect(item, sets)),
        Data::Map(fields) | Data::Variant(_, fields) => fields.values().for_each(|item| collect(item, sets)),
        Data::Range(ends) => {
            collect(&ends.0, sets);
            collect(&ends.1, sets);
        }
        _ => {}
    }
}

/// The value as an expression.
///
/// Errors: [`Code::Limit`] where that is too deep, or too much.
pub fn expression(value: &Value, budget: &Budget, span: Span) -> Outcome<Expr> {
    Ok(match &value.data {
        Data::Unknown(unknown) => {
            let (size, depth) = measure(&unknown.rest);
            budget.charge(size, span)?;
            if depth > DEPTH_MAX {
                return Err(Box::new(
                    Code::Limit
                        .error("a value that is known after apply is computed in more than 600 steps, one from the other")
                        .label(span, "one more here")
                        .help("compute it in fewer steps, or from what is known before"),
                ));
            }
            (*unknown.rest).clone()
        }
        Data::List(items) if value.has_unknown() => {
            let parts = items.iter().map(|item| Ok(ListPart::Item(expression(item, budget, span)?)));
            Expr::new(ExprKind::List(parts.collect::<Outcome<_>>()?), value.mark.origin)
        }
        Data::Map(_) if value.has_unknown() => Expr::new(ExprKind::Map(entries(value, budget, span)?), value.mark.origin),
        Data::Variant(label, _) if value.has_unknown() => {
            let object = Expr::new(ExprKind::Map(entries(value, budget, span)?), value.mark.origin);
            Expr::new(ExprKind::Variant(label.clone(), Box::new(object)), value.mark.origin)
        }
        Data::Range(ends) if value.has_unknown() => {
            let (low, high) = (expression(&ends.0, budget, span)?, expression(&ends.1, budget, span)?);
            Expr::new(ExprKind::Binary(Binary::Range, Box::new(low), Box::new(high)), value.mark.origin)
        }
        _ => Expr::literal(value.clone()),
    })
}

fn entries(value: &Value, budget: &Budget, span: Span) -> Outcome<Vec<MapPart>> {
    let (Data::Map(fields) | Data::Variant(_, fields)) = &value.data else { return Ok(Vec::new()) };
    fields.iter().map(|(name, field)| Ok(MapPart::Entry(name.clone(), expression(field, budget, span)?))).collect()
}

/// An expression that fails as the diagnostic says, for a branch that may never be taken. A limit is a limit there too.
pub fn failure(error: Box<Diagnostic>, span: Span) -> Outcome<Expr> {
    if error.code == Code::Limit {
        return Err(error);
    }
    let fail = super::builtins::find("fail").expect("`fail` is a built-in");
    let message = Expr::literal(Value::text(error.message.clone()).at(span));
    Ok(Expr::new(ExprKind::Builtin(fail, vec![Some(message)]), error.span().unwrap_or(span)))
}

/// Visits every part of an expression, outer ones first.
pub fn walk(expr: &Expr, visit: &mut dyn FnMut(&Expr)) {
    visit(expr);
    children(&expr.kind, &mut |child| walk(child, visit));
}

/// How many nodes an expression has, and how deep it is.
fn measure(expr: &Expr) -> (u64, u32) {
    let (mut size, mut deepest) = (1, 0);
    let mut visit = |child: &Expr| {
        let (nodes, depth) = measure(child);
        size += nodes;
        deepest = deepest.max(depth);
    };
    children(&expr.kind, &mut visit);
    (size, deepest + 1)
}

fn children(kind: &ExprKind, visit: &mut dyn FnMut(&Expr)) {
    match kind {
        ExprKind::Literal(_) | ExprKind::Local(_) | ExprKind::Name(_) => {}
        ExprKind::Text(parts) | ExprKind::Promql { values: parts, .. } | ExprKind::Call(_, parts) => {
            parts.iter().for_each(visit);
        }
        ExprKind::Field { of, .. } | ExprKind::Unary(_, of) | ExprKind::Variant(_, of) | ExprKind::Convert(of, _) => visit(of),
        ExprKind::Member { of, member, .. } => {
            visit(of);
            if let Member::Signal(_, Some(argument)) | Member::Reaches(argument) = member {
                visit(argument);
            }
        }
        ExprKind::Index { of: a, key: b, .. } | ExprKind::Binary(_, a, b) => {
            visit(a);
            visit(b);
        }
        ExprKind::If(a, b, c) => [a, b, c].into_iter().for_each(|it| visit(it)),
        ExprKind::Match(of, arms) => {
            visit(of);
            arms.iter().for_each(|(_, arm)| visit(arm));
        }
        ExprKind::List(parts) => parts.iter().for_each(|part| match part {
            ListPart::Item(item) | ListPart::Spread(item) => visit(item),
        }),
        ExprKind::Map(parts) => parts.iter().for_each(|part| match part {
            MapPart::Entry(_, item) | MapPart::Spread(item) => visit(item),
            MapPart::Computed(key, item) => {
                visit(key);
                visit(item);
            }
        }),
        ExprKind::ForList { clauses, item } => {
            for_clauses(clauses, visit);
            visit(item);
        }
        ExprKind::ForMap { clauses, key, value } => {
            for_clauses(clauses, visit);
            visit(key);
            visit(value);
        }
        ExprKind::Builtin(_, arguments) => arguments.iter().flatten().for_each(visit),
    }
}

fn for_clauses(clauses: &[ForClause], visit: &mut dyn FnMut(&Expr)) {
    clauses.iter().for_each(|clause| match clause {
        ForClause::For { over: expr, .. } | ForClause::If(expr) => visit(expr),
    });
}
