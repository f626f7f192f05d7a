//! Expressions.

use std::sync::Arc;

use super::{Body, Decimal, For, Name, Spanned};
use crate::model::Span;

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    /// `null`, `true`, `3`, `0.25`, `30s`, `256MiB`, `70%`, `100/s`, `15.50EUR`, `@2026-11-22T06:00Z`
    Literal(Literal),
    /// A string without interpolation, in any of its forms; escapes are resolved and indentation is stripped.
    Text(Arc<str>),
    /// A string with interpolation.
    Template(Vec<Part>),
    /// `re"…"`, `promql"…"`
    Tagged { tag: Name, parts: Vec<Part> },
    /// A bare name: a variable, or what the expected type offers (variant label, provider instance, kind, environment).
    Name(Arc<str>),
    /// `base.field[key]?.field(args)`; at least one step. `database.main.url` is the name `database` and two steps.
    Access { base: Box<Expr>, steps: Vec<Step> },
    /// `[a, b]`
    List(Vec<Expr>),
    /// `{ a = 1, b { … }, ...c }`
    Object(Body),
    /// `[for x in xs if cond : expr]`; the first clause is a `for`.
    ListFor { clauses: Vec<Clause>, value: Box<Expr> },
    /// `{for k, v in m : [k] = v}`
    ObjectFor { clauses: Vec<Clause>, key: Box<Expr>, value: Box<Expr> },
    /// `label { … }`
    Variant { label: Name, body: Body },
    /// `if c then a else if d then b else e`: each condition with its value.
    If { branches: Vec<(Expr, Expr)>, otherwise: Box<Expr> },
    /// `match x { "a" | "b" => 1, canary c => c.hold, _ => 3 }`
    Match { scrutinee: Box<Expr>, arms: Vec<Arm> },
    /// `!!a`, `-a`: the outermost operator first; at least one.
    Unary { ops: Vec<Spanned<UnaryOp>>, operand: Box<Expr> },
    /// `a + b - c`: operators of one precedence, applied from left to right; `rest` is never empty, and has one element for
    /// comparisons and ranges, which do not chain.
    Binary { first: Box<Expr>, rest: Vec<(Spanned<BinaryOp>, Expr)> },
    /// `(expr)`: means what it holds.
    Paren(Box<Expr>),
    /// Has no value, such as a number that is too large; its diagnostic was given.
    Error,
}

impl Expr {
    /// The expression without the parentheses around it.
    pub fn without_parens(&self) -> &Expr {
        let mut expr = self;
        while let ExprKind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }

    /// The constant text of a string without interpolation.
    pub fn as_text(&self) -> Option<&Arc<str>> {
        match &self.without_parens().kind {
            ExprKind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a bare name.
    pub fn as_name(&self) -> Option<&Arc<str>> {
        match &self.without_parens().kind {
            ExprKind::Name(name) => Some(name),
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Decimal(Decimal),
    /// Nanoseconds.
    Duration(i64),
    /// Bytes.
    Size(i64),
    /// The ratio: `70%` is 0.70.
    Percent(Decimal),
    Rate {
        count: Decimal,
        per: RatePer,
    },
    /// The currency is three capital letters.
    Money {
        amount: Decimal,
        currency: Arc<str>,
    },
    Instant(jiff::Timestamp),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RatePer {
    Second,
    Minute,
    Hour,
}

/// A part of a string with interpolation.
#[derive(Clone, Debug)]
pub enum Part {
    /// Escapes are resolved, but for tagged strings, which are raw. Never empty.
    Text { text: Arc<str>, span: Span },
    /// `${expr}`; the span is the expression's.
    Expr(Expr),
}

#[derive(Clone, Debug)]
pub struct Step {
    pub kind: StepKind,
    /// From its dot or bracket to its end.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum StepKind {
    /// `.name`, or `?.name` if optional.
    Field { name: Name, optional: bool },
    /// `[key]`, or `?[key]` if optional.
    Index { key: Box<Expr>, optional: bool },
    /// `(a, by = 2)`
    Call { args: Vec<Arg> },
}

#[derive(Clone, Debug)]
pub struct Arg {
    pub name: Option<Name>,
    pub value: Expr,
}

/// A clause of a comprehension.
#[derive(Clone, Debug)]
pub enum Clause {
    For(Box<For>),
    If(Expr),
}

#[derive(Clone, Debug)]
pub struct Arm {
    /// Alternatives; never empty.
    pub patterns: Vec<Pattern>,
    pub value: Expr,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Pattern {
    pub kind: PatternKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum PatternKind {
    /// `_`
    Any,
    Text(Arc<str>),
    /// A negative number has its sign inside.
    Literal(Literal),
    /// `canary`, or `canary c` with a binding.
    Label {
        label: Name,
        binding: Option<Name>,
    },
    /// Has no value; its diagnostic was given.
    Error,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnaryOp {
    Not,
    Neg,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BinaryOp {
    /// `??`
    Coalesce,
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// `..`
    Range,
    Add,
    Sub,
    Mul,
    Div,
}

impl BinaryOp {
    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            BinaryOp::Coalesce => "??",
            BinaryOp::Or => "||",
            BinaryOp::And => "&&",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Range => "..",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
        }
    }

    /// How tightly it binds: 1 is the loosest.
    pub fn precedence(self) -> u8 {
        match self {
            BinaryOp::Coalesce => 1,
            BinaryOp::Or => 2,
            BinaryOp::And => 3,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => 4,
            BinaryOp::Range => 5,
            BinaryOp::Add | BinaryOp::Sub => 6,
            BinaryOp::Mul | BinaryOp::Div => 7,
        }
    }
}
