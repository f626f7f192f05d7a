//! What stands in bodies and expressions, as far as the way of a value is looked for in it.

use crate::lang::program::{Body, Instance, Resource};
use crate::model::expr::{Expr, ExprKind, ForClause, ListPart, MapPart, Reference};
use crate::model::{Name, Span};

/// The instance that an expression names, through keys.
pub fn instance_of(expr: &Expr) -> Option<(&Name, &Name)> {
    match &expr.kind {
        ExprKind::Name(Reference::Instance { kind, name }) => Some((kind, name)),
        ExprKind::Index { of, .. } | ExprKind::Convert(of, _) => instance_of(of),
        _ => None,
    }
}

/// `fly.machine` and `web` of `fly.machine.web["0"]`.
pub fn parts(segment: &str) -> Option<(&str, &str)> {
    segment.split('[').next()?.rsplit_once('.')
}

pub fn entry<'p>(fields: &'p Expr, name: &str) -> Option<&'p Expr> {
    match &fields.kind {
        ExprKind::Map(parts) => parts.iter().rev().find_map(|part| match part {
            MapPart::Entry(it, expr) if **it == *name => Some(expr),
            _ => None,
        }),
        ExprKind::Convert(of, _) => entry(of, name),
        _ => None,
    }
}

/// What is spread into an object.
pub fn spreads(fields: &Expr) -> Vec<&Expr> {
    match &fields.kind {
        ExprKind::Map(parts) => parts
            .iter()
            .filter_map(|part| match part {
                MapPart::Spread(it) => Some(it),
                _ => None,
            })
            .collect(),
        ExprKind::Convert(of, _) => spreads(of),
        _ => Vec::new(),
    }
}

/// The part of a written-out object or list at `.a["b"][0]`, as far as it is written out.
pub fn narrowed<'p>(expr: &'p Expr, path: &str) -> &'p Expr {
    let mut expr = expr;
    for step in path.split(['.', '[', ']', '"']).filter(|step| !step.is_empty()) {
        let mut bare = expr;
        while let ExprKind::Convert(of, _) = &bare.kind {
            bare = of;
        }
        let found = match &bare.kind {
            ExprKind::Map(_) => entry(bare, step),
            ExprKind::List(parts) => step.parse::<usize>().ok().and_then(|at| match parts.get(at) {
                Some(ListPart::Item(it)) if !parts[..at].iter().any(|it| matches!(it, ListPart::Spread(_))) => Some(it),
                _ => None,
            }),
            _ => None,
        };
        match found {
            Some(found) => expr = found,
            None => break,
        }
    }
    expr
}

/// A body and the branches in it.
pub fn bodies(body: &Body) -> Vec<&Body> {
    let mut all = vec![body];
    for branch in &body.branches {
        all.extend(bodies(&branch.then));
        all.extend(bodies(&branch.otherwise));
    }
    all
}

pub fn instances<'p>(of: &[&'p Body]) -> impl Iterator<Item = &'p Instance> {
    of.iter().flat_map(|body| bodies(body)).flat_map(|body| &body.instances).collect::<Vec<_>>().into_iter()
}

pub fn resources<'p>(of: &[&'p Body]) -> impl Iterator<Item = &'p Resource> {
    of.iter().flat_map(|body| bodies(body)).flat_map(|body| &body.resources).collect::<Vec<_>>().into_iter()
}

pub fn lets<'p>(of: &[&'p Body]) -> impl Iterator<Item = (&'p Name, &'p Expr)> {
    let all = of.iter().flat_map(|body| bodies(body)).flat_map(|body| &body.lets);
    all.map(|it| (&it.name, &it.value)).collect::<Vec<_>>().into_iter()
}

pub fn secrets<'p>(of: &[&'p Body]) -> impl Iterator<Item = (&'p Name, Span)> {
    let all = of.iter().flat_map(|body| bodies(body)).flat_map(|body| &body.secrets);
    all.map(|it| (&it.name, it.span)).collect::<Vec<_>>().into_iter()
}

/// Every expression directly inside of another.
pub fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Local(_) | ExprKind::Name(_) => Vec::new(),
        ExprKind::Text(parts) | ExprKind::Promql { values: parts, .. } | ExprKind::Call(_, parts) => parts.iter().collect(),
        ExprKind::Field { of, .. } | ExprKind::Member { of, .. } | ExprKind::Unary(_, of) => vec![of],
        ExprKind::Variant(_, of) | ExprKind::Convert(of, _) => vec![of],
        ExprKind::Index { of, key, .. } => vec![of, key],
        ExprKind::Binary(_, a, b) => vec![a, b],
        ExprKind::If(a, b, c) => vec![a, b, c],
        ExprKind::Match(of, arms) => std::iter::once(&**of).chain(arms.iter().map(|(_, expr)| expr)).collect(),
        ExprKind::List(parts) => parts
            .iter()
            .map(|part| match part {
                ListPart::Item(it) | ListPart::Spread(it) => it,
            })
            .collect(),
        ExprKind::Map(parts) => parts
            .iter()
            .flat_map(|part| match part {
                MapPart::Entry(_, it) | MapPart::Spread(it) => vec![it],
                MapPart::Computed(key, it) => vec![key, it],
            })
            .collect(),
        ExprKind::ForList { clauses, item } => for_clauses(clauses).chain([&**item]).collect(),
        ExprKind::ForMap { clauses, key, value } => for_clauses(clauses).chain([&**key, &**value]).collect(),
        ExprKind::Builtin(_, arguments) => arguments.iter().flatten().collect(),
    }
}

fn for_clauses(clauses: &[ForClause]) -> impl Iterator<Item = &Expr> {
    clauses.iter().map(|clause| match clause {
        ForClause::For { over, .. } | ForClause::If(over) => over,
    })
}
