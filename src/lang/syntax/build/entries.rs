//! Entries of bodies, and rules.

use pest::iterators::Pairs;

use super::{Builder, P, PushHelp, next};
use crate::lang::syntax::grammar::Rule;
use crate::lang::syntax::tree::*;

impl<'t> Builder<'t> {
    pub(super) fn body(&mut self, pair: P<'t>) -> Body {
        let span = self.span(&pair);
        Body { entries: self.entries_of(pair.into_inner()), span }
    }

    pub(super) fn entry(&mut self, pair: P<'t>) -> EntryKind {
        let rule = pair.as_rule();
        let whole = self.span(&pair);
        let mut inner = pair.into_inner();
        match rule {
            Rule::word_entry => {
                let name = self.name(next(&mut inner));
                match inner.peek() {
                    Some(pair) if pair.as_rule() == Rule::expr => {
                        EntryKind::Field { key: Key::Name(name), value: self.expr(pair) }
                    }
                    _ => self.block(name, inner),
                }
            }
            Rule::quoted_entry => {
                let key = Key::Quoted(self.constant_text(next(&mut inner)));
                EntryKind::Field { key, value: self.expr(next(&mut inner)) }
            }
            Rule::computed_entry => {
                let key = Key::Computed(self.expr(next(&mut inner)));
                EntryKind::Field { key, value: self.expr(next(&mut inner)) }
            }
            Rule::spread => EntryKind::Spread(self.expr(next(&mut inner))),
            Rule::require => EntryKind::Require(self.require(inner, whole)),
            Rule::on_override => {
                let provider = self.name(next(&mut inner));
                let pair = next(&mut inner);
                let braces = self.span(&pair);
                EntryKind::On(OnOverride { provider, overrides: self.overrides_of(pair.into_inner()), braces })
            }
            other => unreachable!("{other:?} is no entry"),
        }
    }

    pub(super) fn block(&mut self, name: Name, inner: Pairs<'t, Rule>) -> EntryKind {
        let (mut key, mut label, mut head) = (None, None, Head::default());
        for pair in inner {
            match pair.as_rule() {
                Rule::label => label = Some(self.name(pair)),
                Rule::for_head | Rule::if_head => self.head_part(pair, &mut head),
                Rule::braces => {
                    let body = self.body(pair);
                    return EntryKind::Block(Box::new(Block { name, key, label, head, body }));
                }
                _ => key = Some(self.constant_text(pair)),
            }
        }
        unreachable!("the grammar wants braces")
    }

    pub(super) fn resource_override(&mut self, pair: P<'t>) -> Override {
        let span = self.span(&pair);
        let mut inner = pair.into_inner();
        let resource = self.path(next(&mut inner));
        if resource.segments.len() < 3 {
            self.syntax(resource.span, "an override names one resource", "expected a provider, a type and a name")
                .push_help("such as `fly.machine.web { … }`");
        }
        let mut pair = next(&mut inner);
        let mut key = None;
        if pair.as_rule() != Rule::braces {
            key = Some(self.constant_text(pair));
            pair = next(&mut inner);
        }
        Override { resource, key, body: self.body(pair), span }
    }

    pub(super) fn rules(&mut self, pair: P<'t>) -> Rules {
        let span = self.span(&pair);
        Rules { rules: self.rules_of(pair.into_inner()), span }
    }

    pub(super) fn rule(&mut self, pair: P<'t>) -> RuleKind {
        match pair.as_rule() {
            Rule::each => {
                let mut head = Box::new(Head::default());
                for pair in pair.into_inner() {
                    match pair.as_rule() {
                        Rule::rules => return RuleKind::Each { head, rules: self.rules(pair) },
                        _ => self.head_part(pair, &mut head),
                    }
                }
                unreachable!("the grammar wants rules")
            }
            Rule::step => {
                let mut inner = pair.into_inner();
                let name = self.declared(next(&mut inner));
                RuleKind::Step { name, rules: self.rules(next(&mut inner)) }
            }
            Rule::require => {
                let span = self.span(&pair);
                RuleKind::Require(self.require(pair.into_inner(), span))
            }
            Rule::expect => RuleKind::Expect(self.only_expr(pair)),
            Rule::given => RuleKind::Given(self.items(next(&mut pair.into_inner()))),
            _ => RuleKind::Entry(self.entry(pair)),
        }
    }
}
