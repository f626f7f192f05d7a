//! Types.

use super::texts::{constant, signed};
use super::{Builder, P, next};
use crate::lang::syntax::grammar::Rule;
use crate::lang::syntax::tree::*;
use crate::model::Span;

impl<'t> Builder<'t> {
    pub(super) fn ty(&mut self, pair: P<'t>) -> TypeExpr {
        let span = self.span(&pair);
        let mut members: Vec<TypeExpr> = Vec::with_capacity(1);
        let (mut sensitive, mut nullable) = (None::<Span>, false);
        for pair in pair.into_inner() {
            let at = self.span(&pair);
            let kind = match pair.as_rule() {
                Rule::sensitive => {
                    sensitive.get_or_insert(at);
                    continue;
                }
                Rule::nullable => {
                    nullable = true;
                    continue;
                }
                Rule::type_named => self.type_named(pair),
                Rule::type_object => TypeKind::Object(self.type_fields(pair)),
                Rule::type_variant => TypeKind::Variant(self.type_fields(pair)),
                Rule::signed => match signed(pair.as_str()) {
                    Ok(literal) => TypeKind::Literal(Box::new(Expr { kind: ExprKind::Literal(literal), span: at })),
                    Err(bad) => {
                        self.bad_literal(at, bad);
                        TypeKind::Error
                    }
                },
                Rule::constant => {
                    let kind = ExprKind::Literal(constant(pair.as_str()));
                    TypeKind::Literal(Box::new(Expr { kind, span: at }))
                }
                _ => {
                    let text = self.constant_text(pair);
                    TypeKind::Literal(Box::new(Expr { kind: ExprKind::Text(text.node), span: text.span }))
                }
            };
            let mut member = TypeExpr { kind, span: at };
            if let Some(from) = sensitive.take() {
                member = TypeExpr { kind: TypeKind::Sensitive(Box::new(member)), span: from.to(at) };
            }
            members.push(member);
        }
        let mut ty = match members.len() {
            1 => members.pop().expect("there is one"),
            _ => {
                let all = members[0].span.to(members[members.len() - 1].span);
                TypeExpr { kind: TypeKind::Union(members), span: all }
            }
        };
        if nullable {
            ty = TypeExpr { kind: TypeKind::Nullable(Box::new(ty)), span };
        }
        ty
    }

    pub(super) fn type_named(&mut self, pair: P<'t>) -> TypeKind {
        let mut inner = pair.into_inner();
        let path = self.path(next(&mut inner));
        let (mut args, mut refinement) = (Vec::new(), None);
        for pair in inner {
            match pair.as_rule() {
                Rule::type_expr => args.push(self.ty(pair)),
                _ => refinement = Some(self.refinement(pair)),
            }
        }
        TypeKind::Named { path, args, refinement }
    }

    pub(super) fn refinement(&mut self, pair: P<'t>) -> Refinement {
        let mut inner = pair.into_inner();
        let expr = self.expr(next(&mut inner));
        if inner.next().is_some() {
            return Refinement::Range { from: Box::new(expr), to: None };
        }
        match expr.kind {
            ExprKind::Binary { first, mut rest } if rest[0].0.node == BinaryOp::Range => {
                let (_, to) = rest.pop().expect("a range has two ends");
                Refinement::Range { from: first, to: Some(Box::new(to)) }
            }
            _ => Refinement::Expr(Box::new(expr)),
        }
    }

    pub(super) fn type_fields(&mut self, pair: P<'t>) -> Vec<TypeField> {
        self.sequence(pair.into_inner(), |this, doc, pair| {
            let span = this.span(&pair);
            let mut inner = pair.into_inner();
            let name = next(&mut inner);
            let name = if name.as_rule() == Rule::ident { this.name(name) } else { this.constant_text(name) };
            let mut field = None;
            let (mut optional, mut default) = (false, None);
            for pair in inner {
                match pair.as_rule() {
                    Rule::optional => optional = true,
                    Rule::type_expr => field = Some(this.ty(pair)),
                    _ => default = Some(this.expr(pair)),
                }
            }
            TypeField { doc, name, optional, ty: field.expect("the grammar wants a type"), default, span }
        })
    }
}
