//! Types.

use super::{Doc, Expr, Name, Path};
use crate::model::Span;

#[derive(Clone, Debug)]
pub struct TypeExpr {
    pub kind: TypeKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum TypeKind {
    /// `string`, `int(1..50)`, `list<T>(1..)`, `net.port`, `ref<service>`, `metric<percent>`, `provider<cloudflare>`: what is in
    /// angle brackets is always written as a type, also where it names a kind.
    Named { path: Path, args: Vec<TypeExpr>, refinement: Option<Refinement> },
    /// `"a"`, `3`: a member of a union, or alone.
    Literal(Box<Expr>),
    /// `"a" | "b"`: two members or more.
    Union(Vec<TypeExpr>),
    /// `{ a: T, b: T = default, c?: T }`
    Object(Vec<TypeField>),
    /// `variant { rolling: {…}, canary: {…} }`
    Variant(Vec<TypeField>),
    /// `sensitive T`
    Sensitive(Box<TypeExpr>),
    /// `T?`
    Nullable(Box<TypeExpr>),
    /// Did not parse; its diagnostic was given.
    Error,
}

#[derive(Clone, Debug)]
pub struct TypeField {
    pub doc: Doc,
    pub name: Name,
    /// `c?: T`
    pub optional: bool,
    pub ty: TypeExpr,
    pub default: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Refinement {
    /// `1..10`; `1..` has no upper end.
    Range { from: Box<Expr>, to: Option<Box<Expr>> },
    /// `re"^[a-z-]+$"`
    Expr(Box<Expr>),
}
