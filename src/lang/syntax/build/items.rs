//! Items, and the heads between a name and a body.

use pest::iterators::Pairs;

use super::{Builder, P, PushHelp, next};
use crate::lang::syntax::grammar::Rule;
use crate::lang::syntax::tree::*;
use crate::model::{Confidence, Edit, Span};

impl<'t> Builder<'t> {
    pub(super) fn item(&mut self, pair: P<'t>) -> ItemKind {
        let rule = pair.as_rule();
        let whole = self.span(&pair);
        let mut inner = pair.into_inner();
        match rule {
            Rule::instance => {
                let kind = self.path(next(&mut inner));
                let name = self.declared(next(&mut inner));
                let (head, body) = self.head_and_body(inner);
                ItemKind::Instance(Box::new(Instance { kind, name, head, body }))
            }
            Rule::resource => {
                let mode = match next(&mut inner).as_str() {
                    "resource" => ResourceMode::Owned,
                    "data" => ResourceMode::Data,
                    _ => ResourceMode::Shared,
                };
                let kind = self.path(next(&mut inner));
                if kind.segments.len() < 2 {
                    let diagnostic =
                        self.syntax(kind.span, "a resource is of a provider's type", "expected a provider, a dot and a type");
                    // `fly_app`, as HCL has it.
                    match kind.segments[0].node.split_once('_') {
                        Some((provider, of)) => {
                            let text = format!("{provider}.{of}");
                            diagnostic.push_help(format!("write `{text}`"));
                            let (title, edits) = (format!("write `{text}`"), vec![Edit { span: kind.span, text }]);
                            diagnostic.fixes.push(crate::model::Fix { title, confidence: Confidence::Sure, edits });
                        }
                        None => diagnostic.push_help("such as `resource fly.machine web { … }`"),
                    }
                }
                let name = self.declared(next(&mut inner));
                let (head, body) = self.head_and_body(inner);
                ItemKind::Resource(Box::new(Resource { mode, kind, name, head, body }))
            }
            Rule::output => {
                let mut output =
                    Output { name: self.declared(next(&mut inner)), ty: None, within: None, cond: None, value: None };
                for pair in inner {
                    match pair.as_rule() {
                        Rule::type_expr => output.ty = Some(self.ty(pair)),
                        Rule::within => output.within = Some(self.only_expr(pair)),
                        Rule::if_head => output.cond = Some(self.only_expr(pair)),
                        _ => output.value = Some(self.expr(pair)),
                    }
                }
                ItemKind::Output(Box::new(output))
            }
            Rule::input => {
                let name = self.declared(next(&mut inner));
                let ty = self.ty(next(&mut inner));
                let default = inner.next().map(|pair| self.expr(pair));
                ItemKind::Input(Box::new(Input { name, ty, default }))
            }
            Rule::let_item => {
                let name = self.declared(next(&mut inner));
                let (ty, value) = self.ty_and_value(inner);
                let value = value.expect("the grammar wants a value");
                ItemKind::Let(Box::new(Let { name, ty, value }))
            }
            Rule::on_clause => {
                let provider = self.name(next(&mut inner));
                ItemKind::On(On { provider, items: self.items(next(&mut inner)) })
            }
            Rule::if_item => {
                let (mut branches, mut otherwise) = (Vec::new(), None);
                while let Some(pair) = inner.next() {
                    if pair.as_rule() == Rule::items {
                        otherwise = Some(self.items(pair));
                    } else {
                        let cond = self.expr(pair);
                        branches.push((cond, self.items(next(&mut inner))));
                    }
                }
                ItemKind::If(If { branches, otherwise })
            }
            Rule::component => {
                let name = self.declared(next(&mut inner));
                ItemKind::Component(Component { name, items: self.items(next(&mut inner)) })
            }
            Rule::require => ItemKind::Require(self.require(inner, whole)),
            Rule::signal => {
                let name = self.declared(next(&mut inner));
                let params = match inner.peek() {
                    Some(pair) if pair.as_rule() == Rule::params => Some(self.params(next(&mut inner))),
                    _ => None,
                };
                let (ty, value) = self.ty_and_value(inner);
                ItemKind::Signal(Box::new(Signal { name, params, ty, value }))
            }
            Rule::secret => ItemKind::Secret(self.named(inner)),
            Rule::type_item => {
                let name = self.declared(next(&mut inner));
                ItemKind::Type(TypeDef { name, ty: self.ty(next(&mut inner)) })
            }
            Rule::fn_item => {
                let name = self.declared(next(&mut inner));
                let params = self.params(next(&mut inner));
                let result = self.ty(next(&mut inner));
                let body = self.expr(next(&mut inner));
                ItemKind::Fn(Box::new(Fn { name, params, result, body }))
            }
            Rule::rollout => {
                let name = self.declared(next(&mut inner));
                let of = self.path(next(&mut inner));
                ItemKind::Rollout(Rollout { name, of, body: self.body(next(&mut inner)) })
            }
            Rule::provider => {
                let provider = self.name(next(&mut inner));
                let mut pair = next(&mut inner);
                let mut name = None;
                if pair.as_rule() == Rule::ident {
                    name = Some(self.declared(pair));
                    pair = next(&mut inner);
                }
                ItemKind::Provider(Provider { provider, name, body: self.body(pair) })
            }
            Rule::environment => ItemKind::Environment(self.named(inner)),
            Rule::import_stack => {
                let path = self.constant_text(next(&mut inner));
                let alias = self.declared(next(&mut inner));
                ItemKind::ImportStack(ImportStack { path, alias, environment: inner.next().map(|pair| self.name(pair)) })
            }
            Rule::import => {
                let path = self.constant_text(next(&mut inner));
                ItemKind::Import(Import { path, alias: inner.next().map(|pair| self.declared(pair)) })
            }
            Rule::stack => ItemKind::Stack(self.named(inner)),
            Rule::policy => {
                let name = self.declared(next(&mut inner));
                ItemKind::Policy(Policy { name, rules: self.rules(next(&mut inner)) })
            }
            Rule::test => {
                let name = self.constant_text(next(&mut inner));
                ItemKind::Test(Test { name, rules: self.rules(next(&mut inner)) })
            }
            Rule::moved => ItemKind::Moved(self.body(next(&mut inner))),
            Rule::adopt => ItemKind::Adopt(self.body(next(&mut inner))),
            Rule::forget => ItemKind::Forget(self.body(next(&mut inner))),
            other => unreachable!("{other:?} is no item"),
        }
    }

    pub(super) fn named(&mut self, mut inner: Pairs<'t, Rule>) -> Named {
        let name = self.declared(next(&mut inner));
        let body = match inner.next() {
            Some(pair) => self.body(pair),
            None => Body { entries: Vec::new(), span: Span { start: name.span.end, ..name.span } },
        };
        Named { name, body }
    }

    pub(super) fn items(&mut self, pair: P<'t>) -> Items {
        let span = self.span(&pair);
        Items { items: self.items_of(pair.into_inner()), span }
    }

    pub(super) fn ty_and_value(&mut self, inner: Pairs<'t, Rule>) -> (Option<TypeExpr>, Option<Expr>) {
        let (mut ty, mut value) = (None, None);
        for pair in inner {
            match pair.as_rule() {
                Rule::type_expr => ty = Some(self.ty(pair)),
                _ => value = Some(self.expr(pair)),
            }
        }
        (ty, value)
    }

    pub(super) fn params(&mut self, pair: P<'t>) -> Vec<Param> {
        let param = |pair: P<'t>| {
            let span = self.span(&pair);
            let mut inner = pair.into_inner();
            let name = self.declared(next(&mut inner));
            let ty = self.ty(next(&mut inner));
            Param { name, ty, default: inner.next().map(|pair| self.expr(pair)), span }
        };
        pair.into_inner().map(param).collect()
    }

    pub(super) fn require(&mut self, mut inner: Pairs<'t, Rule>, span: Span) -> Box<Require> {
        let cond = self.expr(next(&mut inner));
        let message = self.expr(next(&mut inner));
        Box::new(Require { cond, message, span })
    }

    pub(super) fn head_and_body(&mut self, inner: Pairs<'t, Rule>) -> (Head, Body) {
        let mut head = Head::default();
        for pair in inner {
            match pair.as_rule() {
                Rule::body | Rule::braces => return (head, self.body(pair)),
                _ => self.head_part(pair, &mut head),
            }
        }
        unreachable!("the grammar wants a body")
    }

    pub(super) fn head_part(&mut self, pair: P<'t>, head: &mut Head) {
        match pair.as_rule() {
            Rule::for_head => head.each = Some(self.for_(pair)),
            Rule::if_head => head.cond = Some(self.only_expr(pair)),
            Rule::on_head => head.on = Some(self.only_expr(pair)),
            _ => head.in_env = Some(self.name(next(&mut pair.into_inner()))),
        }
    }

    /// `for_head` and `for_clause`.
    pub(super) fn for_(&mut self, pair: P<'t>) -> For {
        let span = self.span(&pair);
        let mut inner = pair.into_inner();
        let mut value = self.declared(next(&mut inner));
        let mut pair = next(&mut inner);
        let mut key = None;
        if pair.as_rule() == Rule::ident {
            key = Some(std::mem::replace(&mut value, self.declared(pair)));
            pair = next(&mut inner);
        }
        let collection = self.expr(pair);
        For { key, value, collection, up_to: inner.next().map(|pair| self.expr(pair)), span }
    }
}
