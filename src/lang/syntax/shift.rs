//! Moves a tree that was parsed to another place of its text: what an edit before it does to every span in it.

use std::sync::Arc;

use super::tree::*;
use crate::model::Span;

/// How far something moves, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct By(pub i64);

/// What has places of its own, or parts that have.
pub trait Shift {
    fn shift(&mut self, by: By);
}

impl Shift for Span {
    fn shift(&mut self, By(by): By) {
        // Both ends were in the text before and are in it afterwards, so neither leaves the range.
        self.start = (i64::from(self.start) + by) as u32;
        self.end = (i64::from(self.end) + by) as u32;
    }
}

/// Texts have no place.
impl Shift for Arc<str> {
    fn shift(&mut self, _: By) {}
}

impl<T: Shift> Shift for Option<T> {
    fn shift(&mut self, by: By) {
        self.iter_mut().for_each(|it| it.shift(by));
    }
}

impl<T: Shift> Shift for Vec<T> {
    fn shift(&mut self, by: By) {
        self.iter_mut().for_each(|it| it.shift(by));
    }
}

impl<T: Shift> Shift for Box<T> {
    fn shift(&mut self, by: By) {
        (**self).shift(by);
    }
}

impl<A: Shift, B: Shift> Shift for (A, B) {
    fn shift(&mut self, by: By) {
        self.0.shift(by);
        self.1.shift(by);
    }
}

/// Nodes that are one thing in one place; the thing itself is text or a sign.
impl<T> Shift for Spanned<T> {
    fn shift(&mut self, by: By) {
        self.span.shift(by);
    }
}

/// Structures, by all of their fields: a field that is forgotten does not compile.
macro_rules! shift {
    ($($name:ident { $($field:ident),+ $(; $plain:ident)* })+) => {
        $(impl Shift for $name {
            fn shift(&mut self, by: By) {
                let $name { $($field,)+ $($plain: _,)* } = self;
                $($field.shift(by);)+
            }
        })+
    };
}

shift! {
    Path { segments, span }
    Item { kind, span; doc }
    Broken { words }
    Named { name, body }
    Provider { provider, name, body }
    Input { name, ty, default }
    Let { name, ty, value }
    Output { name, ty, within, cond, value }
    Signal { name, params, ty, value }
    Param { name, ty, default, span }
    TypeDef { name, ty }
    Fn { name, params, result, body }
    Import { path, alias }
    ImportStack { path, alias, environment }
    Items { items, span }
    Component { name, items }
    On { provider, items }
    Instance { kind, name, head, body }
    Resource { kind, name, head, body; mode }
    Rollout { name, of, body }
    If { branches, otherwise }
    Require { cond, message, span }
    Policy { name, rules }
    Test { name, rules }
    Head { each, cond, on, in_env }
    For { key, value, collection, up_to, span }
    Body { entries, span }
    Entry { kind, span; doc }
    Block { name, key, label, head, body }
    OnOverride { provider, overrides, braces }
    Override { resource, key, body, span }
    Rules { rules, span }
    Rule { kind, span; doc }
    Expr { kind, span }
    Step { kind, span }
    Arg { name, value }
    Arm { patterns, value, span }
    Pattern { kind, span }
    TypeExpr { kind, span }
    TypeField { name, ty, default, span; doc; optional }
}

impl Shift for ItemKind {
    fn shift(&mut self, by: By) {
        match self {
            ItemKind::Stack(it) | ItemKind::Environment(it) | ItemKind::Secret(it) => it.shift(by),
            ItemKind::Provider(it) => it.shift(by),
            ItemKind::Input(it) => it.shift(by),
            ItemKind::Let(it) => it.shift(by),
            ItemKind::Output(it) => it.shift(by),
            ItemKind::Signal(it) => it.shift(by),
            ItemKind::Type(it) => it.shift(by),
            ItemKind::Fn(it) => it.shift(by),
            ItemKind::Import(it) => it.shift(by),
            ItemKind::ImportStack(it) => it.shift(by),
            ItemKind::Component(it) => it.shift(by),
            ItemKind::On(it) => it.shift(by),
            ItemKind::Instance(it) => it.shift(by),
            ItemKind::Resource(it) => it.shift(by),
            ItemKind::Rollout(it) => it.shift(by),
            ItemKind::If(it) => it.shift(by),
            ItemKind::Require(it) => it.shift(by),
            ItemKind::Policy(it) => it.shift(by),
            ItemKind::Test(it) => it.shift(by),
            ItemKind::Moved(it) | ItemKind::Adopt(it) | ItemKind::Forget(it) => it.shift(by),
            ItemKind::Error(it) => it.shift(by),
        }
    }
}

impl Shift for EntryKind {
    fn shift(&mut self, by: By) {
        match self {
            EntryKind::Field { key, value } => {
                key.shift(by);
                value.shift(by);
            }
            EntryKind::Block(it) => it.shift(by),
            EntryKind::Spread(it) => it.shift(by),
            EntryKind::Require(it) => it.shift(by),
            EntryKind::On(it) => it.shift(by),
            EntryKind::Error(it) => it.shift(by),
        }
    }
}

impl Shift for Key {
    fn shift(&mut self, by: By) {
        match self {
            Key::Name(it) | Key::Quoted(it) => it.shift(by),
            Key::Computed(it) => it.shift(by),
        }
    }
}

impl Shift for RuleKind {
    fn shift(&mut self, by: By) {
        match self {
            RuleKind::Entry(it) => it.shift(by),
            RuleKind::Each { head, rules } => {
                head.shift(by);
                rules.shift(by);
            }
            RuleKind::Step { name, rules } => {
                name.shift(by);
                rules.shift(by);
            }
            RuleKind::Require(it) => it.shift(by),
            RuleKind::Expect(it) => it.shift(by),
            RuleKind::Given(it) => it.shift(by),
        }
    }
}

impl Shift for ExprKind {
    fn shift(&mut self, by: By) {
        match self {
            ExprKind::Literal(_) | ExprKind::Text(_) | ExprKind::Name(_) | ExprKind::Error => {}
            ExprKind::Template(parts) => parts.shift(by),
            ExprKind::Tagged { tag, parts } => {
                tag.shift(by);
                parts.shift(by);
            }
            ExprKind::Access { base, steps } => {
                base.shift(by);
                steps.shift(by);
            }
            ExprKind::List(items) => items.shift(by),
            ExprKind::Object(body) => body.shift(by),
            ExprKind::ListFor { clauses, value } => {
                clauses.shift(by);
                value.shift(by);
            }
            ExprKind::ObjectFor { clauses, key, value } => {
                clauses.shift(by);
                key.shift(by);
                value.shift(by);
            }
            ExprKind::Variant { label, body } => {
                label.shift(by);
                body.shift(by);
            }
            ExprKind::If { branches, otherwise } => {
                branches.shift(by);
                otherwise.shift(by);
            }
            ExprKind::Match { scrutinee, arms } => {
                scrutinee.shift(by);
                arms.shift(by);
            }
            ExprKind::Unary { ops, operand } => {
                ops.shift(by);
                operand.shift(by);
            }
            ExprKind::Binary { first, rest } => {
                first.shift(by);
                rest.shift(by);
            }
            ExprKind::Paren(inner) => inner.shift(by),
        }
    }
}

impl Shift for Part {
    fn shift(&mut self, by: By) {
        match self {
            Part::Text { text: _, span } => span.shift(by),
            Part::Expr(it) => it.shift(by),
        }
    }
}

impl Shift for StepKind {
    fn shift(&mut self, by: By) {
        match self {
            StepKind::Field { name, optional: _ } => name.shift(by),
            StepKind::Index { key, optional: _ } => key.shift(by),
            StepKind::Call { args } => args.shift(by),
        }
    }
}

impl Shift for Clause {
    fn shift(&mut self, by: By) {
        match self {
            Clause::For(it) => it.shift(by),
            Clause::If(it) => it.shift(by),
        }
    }
}

impl Shift for PatternKind {
    fn shift(&mut self, by: By) {
        match self {
            PatternKind::Any | PatternKind::Text(_) | PatternKind::Literal(_) | PatternKind::Error => {}
            PatternKind::Label { label, binding } => {
                label.shift(by);
                binding.shift(by);
            }
        }
    }
}

impl Shift for TypeKind {
    fn shift(&mut self, by: By) {
        match self {
            TypeKind::Named { path, args, refinement } => {
                path.shift(by);
                args.shift(by);
                refinement.shift(by);
            }
            TypeKind::Literal(it) => it.shift(by),
            TypeKind::Union(members) => members.shift(by),
            TypeKind::Object(fields) | TypeKind::Variant(fields) => fields.shift(by),
            TypeKind::Sensitive(of) | TypeKind::Nullable(of) => of.shift(by),
            TypeKind::Error => {}
        }
    }
}

impl Shift for Refinement {
    fn shift(&mut self, by: By) {
        match self {
            Refinement::Range { from, to } => {
                from.shift(by);
                to.shift(by);
            }
            Refinement::Expr(it) => it.shift(by),
        }
    }
}
