//! Comprehensions.

use super::Checker;
use super::context::{Cx, Typed};
use super::describe::{At, noun, quoted};
use super::fit::{Fit, read_type, secret};
use super::narrow;
use super::shapes::{join_all, untainted};
use crate::lang::resolve::ItemId;
use crate::lang::syntax::tree;
use crate::model::expr::{Expr, ExprKind, ForClause, Slot};
use crate::model::{Code, Span, Type};

/// What runs through a collection.
pub(super) struct Elements {
    pub key: Type,
    pub value: Type,
    pub item: Option<ItemId>,
    /// The collection itself is secret, not only its elements.
    pub tainted: bool,
    pub is_map: bool,
}

impl<'t> Checker<'t> {
    /// What a collection has; `None` if it is none, which is said.
    pub(super) fn elements(&mut self, over: &Typed) -> Option<Elements> {
        let (outer, tainted) = untainted(&over.ty);
        let made = |key: Type, value: Type, is_map: bool| {
            let value = if tainted { secret(value) } else { value };
            Some(Elements { key, value, item: over.item, tainted, is_map })
        };
        match outer {
            Type::Poison | Type::Any => made(Type::Poison, if *outer == Type::Any { Type::Any } else { Type::Poison }, false),
            Type::List(of, _) => made(Type::INT, (**of).clone(), false),
            Type::Set(of) => made((**of).clone(), (**of).clone(), false),
            Type::Map(of) => made(Type::TEXT, (**of).clone(), true),
            Type::Object(object) => {
                let types: Vec<Type> = object.fields.values().map(read_type).collect();
                match join_all(&types) {
                    Ok(value) => made(Type::TEXT, value, true),
                    Err(_) => {
                        let spans = vec![over.expr.span; types.len()];
                        self.joined("the fields of this object", &types, &spans);
                        None
                    }
                }
            }
            Type::Optional(_) | Type::Null => {
                self.say_unfit(outer, &Type::list(Type::Any), Fit::MaybeNull, &At::place("`for`"), over.expr.span);
                None
            }
            other => {
                let text = quoted(self.text(over.expr.span));
                let mut diagnostic = Code::WrongType
                    .error(format!("`for` runs through lists and maps, and {text} is {}", noun(other)))
                    .label(over.expr.span, "expected a list or a map");
                if let Type::Range(_) = other {
                    diagnostic = diagnostic.help("`count(n)` is the list from 0 to n-1");
                }
                if let Type::Int(_) = other {
                    diagnostic = diagnostic.help(format!("write `count({})`", self.text(over.expr.span)));
                }
                self.say(diagnostic);
                None
            }
        }
    }

    /// Binds the variables of a `for`: the collection, and the slots of key and value.
    pub(super) fn bind_for(&mut self, cx: &mut Cx, each: &'t tree::For) -> (Expr, Option<Slot>, Slot, bool, Type) {
        let over = self.infer(cx, &each.collection);
        let elements = self.elements(&over);
        let ty = over.ty.clone();
        let (key, value, item, tainted) = match elements {
            Some(it) => (it.key, it.value, it.item, it.tainted),
            None => (Type::Poison, Type::Poison, None, false),
        };
        self.refuse_equal_names(each);
        let key = each.key.as_ref().map(|name| cx.bind(&name.node, key, None));
        let value = cx.bind(&each.value.node, value, item);
        (over.expr, key, value, tainted, ty)
    }

    fn clauses(&mut self, cx: &mut Cx, clauses: &'t [tree::Clause]) -> (Vec<ForClause>, bool) {
        let mut tainted = false;
        let mut made = Vec::with_capacity(clauses.len());
        for clause in clauses {
            made.push(match clause {
                tree::Clause::For(each) => {
                    let (over, key, value, taint, _) = self.bind_for(cx, each);
                    tainted |= taint;
                    ForClause::For { key, value: Some(value), over }
                }
                tree::Clause::If(cond) => {
                    let (cond, taint) = self.condition(cx, cond);
                    tainted |= taint;
                    narrow::learn(cx, &cond, true);
                    ForClause::If(cond)
                }
            });
        }
        (made, tainted)
    }

    /// `for x, x in …` would hide one of the two.
    pub(super) fn refuse_equal_names(&mut self, each: &tree::For) {
        if let Some(first) = each.key.as_ref().filter(|first| first.node == each.value.node && &*first.node != "_") {
            let diagnostic = Code::Duplicate
                .error(format!("`{}` is bound twice", first.node))
                .label(each.value.span, "second time")
                .label(first.span, "first time")
                .help("`_` is a name that nobody reads");
            self.say(diagnostic);
        }
    }

    pub(super) fn list_for(
        &mut self,
        cx: &mut Cx,
        clauses: &'t [tree::Clause],
        value: &'t tree::Expr,
        want: Option<(&Type, &At<'_>)>,
        span: Span,
    ) -> (Expr, Type) {
        let mark = cx.mark();
        let (clauses, tainted) = self.clauses(cx, clauses);
        let (item, ty) = self.item_of(cx, value, want);
        cx.reset(mark);
        let ty = Type::list(ty);
        let expr = Expr::new(ExprKind::ForList { clauses, item: Box::new(item) }, span);
        (expr, if tainted { secret(ty) } else { ty })
    }

    pub(super) fn map_for(
        &mut self,
        cx: &mut Cx,
        clauses: &'t [tree::Clause],
        key: &'t tree::Expr,
        value: &'t tree::Expr,
        want: Option<(&Type, &At<'_>)>,
        span: Span,
    ) -> (Expr, Type) {
        let mark = cx.mark();
        let (clauses, tainted) = self.clauses(cx, clauses);
        let key = self.check(cx, key, &Type::TEXT, &At::place("a key"));
        let (value, ty) = self.item_of(cx, value, want);
        cx.reset(mark);
        let ty = Type::map(ty);
        let expr = Expr::new(ExprKind::ForMap { clauses, key: Box::new(key), value: Box::new(value) }, span);
        (expr, if tainted { secret(ty) } else { ty })
    }

    fn item_of(&mut self, cx: &mut Cx, value: &'t tree::Expr, want: Option<(&Type, &At<'_>)>) -> (Expr, Type) {
        match want {
            Some((want, at)) => (self.check(cx, value, want, &at.element()), want.clone()),
            None => {
                let typed = self.infer(cx, value);
                (typed.expr, typed.ty)
            }
        }
    }
}
