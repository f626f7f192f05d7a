//! The names that an expression takes from around it.

use rustc_hash::FxHashSet;

use crate::lang::syntax::tree::*;
use crate::model::{Name, Span};

/// Bare names that the expression does not bind itself, called functions included, in the order of their first use.
pub fn free_names(expr: &Expr, bound: &[&str]) -> Vec<(Name, Span)> {
    let mut finder =
        Finder { bound: bound.iter().map(|it| (*it).into()).collect(), seen: FxHashSet::default(), found: Vec::new() };
    finder.expr(expr);
    finder.found
}

struct Finder {
    bound: Vec<Name>,
    seen: FxHashSet<Name>,
    found: Vec<(Name, Span)>,
}

impl Finder {
    fn name(&mut self, name: &Name, span: Span) {
        if !self.bound.contains(name) && self.seen.insert(name.clone()) {
            self.found.push((name.clone(), span));
        }
    }

    fn exprs<'a>(&mut self, exprs: impl IntoIterator<Item = &'a Expr>) {
        exprs.into_iter().for_each(|it| self.expr(it));
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Literal(_) | ExprKind::Text(_) | ExprKind::Error => {}
            ExprKind::Template(parts) | ExprKind::Tagged { parts, .. } => {
                for part in parts {
                    if let Part::Expr(inner) = part {
                        self.expr(inner);
                    }
                }
            }
            ExprKind::Name(name) => self.name(name, expr.span),
            ExprKind::Access { base, steps } => {
                self.expr(base);
                for step in steps {
                    match &step.kind {
                        StepKind::Field { .. } => {}
                        StepKind::Index { key, .. } => self.expr(key),
                        StepKind::Call { args } => self.exprs(args.iter().map(|arg| &arg.value)),
                    }
                }
            }
            ExprKind::List(items) => self.exprs(items),
            ExprKind::Object(body) | ExprKind::Variant { body, .. } => self.body(body),
            ExprKind::ListFor { clauses, value } => self.clauses(clauses, &[value]),
            ExprKind::ObjectFor { clauses, key, value } => self.clauses(clauses, &[key, value]),
            ExprKind::If { branches, otherwise } => {
                branches.iter().for_each(|(cond, value)| self.exprs([cond, value]));
                self.expr(otherwise);
            }
            ExprKind::Match { scrutinee, arms } => {
                self.expr(scrutinee);
                for arm in arms {
                    let depth = self.bound.len();
                    for pattern in &arm.patterns {
                        if let PatternKind::Label { binding: Some(name), .. } = &pattern.kind {
                            self.bound.push(name.node.clone());
                        }
                    }
                    self.expr(&arm.value);
                    self.bound.truncate(depth);
                }
            }
            ExprKind::Unary { operand, .. } => self.expr(operand),
            ExprKind::Binary { first, rest } => {
                self.expr(first);
                self.exprs(rest.iter().map(|(_, it)| it));
            }
            ExprKind::Paren(inner) => self.expr(inner),
        }
    }

    fn each(&mut self, each: &For) {
        self.expr(&each.collection);
        self.exprs(&each.up_to);
        self.bound.extend(each.key.iter().chain([&each.value]).map(|name| name.node.clone()));
    }

    fn clauses(&mut self, clauses: &[Clause], results: &[&Expr]) {
        let depth = self.bound.len();
        for clause in clauses {
            match clause {
                Clause::For(each) => self.each(each),
                Clause::If(cond) => self.expr(cond),
            }
        }
        self.exprs(results.iter().copied());
        self.bound.truncate(depth);
    }

    fn body(&mut self, body: &Body) {
        for entry in &body.entries {
            match &entry.kind {
                EntryKind::Field { key, value } => {
                    if let Key::Computed(key) = key {
                        self.expr(key);
                    }
                    self.expr(value);
                }
                EntryKind::Block(block) => {
                    let depth = self.bound.len();
                    if let Some(each) = &block.head.each {
                        self.each(each);
                    }
                    self.exprs(&block.head.cond);
                    self.body(&block.body);
                    self.bound.truncate(depth);
                }
                EntryKind::Spread(value) => self.expr(value),
                EntryKind::Require(require) => self.exprs([&require.cond, &require.message]),
                EntryKind::On(_) | EntryKind::Error(_) => {}
            }
        }
    }
}
