//! `rollout NAME of KIND.NAME { strategy = … }`.

use std::sync::Arc;

use super::Checker;
use super::describe::At;
use super::stages::inputs_read;
use crate::lang::program::Rollout;
use crate::lang::resolve::{ScopeId, What};
use crate::lang::syntax::tree::{self, EntryKind};
use crate::model::types::{FieldType, Need, ObjectType, VariantType};
use crate::model::{Code, Name, Span, Type, Value};

const FIELDS: [&str; 2] = ["strategy", "before"];

impl<'t> Checker<'t> {
    pub(super) fn check_rollout(&mut self, it: &'t tree::Rollout, scope: ScopeId, span: Span) -> Option<Rollout> {
        let set = self.rolled_out_set(it, scope);
        let mut cx = self.scope_cx(scope);
        let (mut strategy, mut before) = (None, Vec::new());
        let mut given: Vec<(&'t str, Span)> = Vec::new();
        for entry in &it.body.entries {
            let EntryKind::Field { key, value } = &entry.kind else {
                if !matches!(entry.kind, EntryKind::Error(_)) {
                    let diagnostic = Code::Syntax
                        .error("a rollout has fields, and no blocks")
                        .label(entry.span, "cannot stand here")
                        .help("write `strategy = rolling { at_once = 50% }`");
                    self.say(diagnostic);
                }
                continue;
            };
            let Some(name) = key.text() else { continue };
            if self.say_given_twice(&given, name) {
                continue;
            }
            given.push((&name.node, name.span));
            match &*name.node {
                "strategy" => {
                    let expr = self.check(&mut cx, value, &strategies(), &At::field("strategy", None));
                    self.needed_early(scope, &expr, "`strategy` of a rollout");
                    strategy = Some(expr);
                }
                "before" => before = self.check_after(&mut cx, value),
                _ => {
                    self.infer(&mut cx, value);
                    self.say_unknown_field("`rollout`", &name.node, name.span, &FIELDS);
                }
            }
        }
        let Some(strategy) = strategy else {
            if !it.body.entries.iter().any(|entry| matches!(entry.kind, EntryKind::Error(_))) {
                let diagnostic = Code::MissingField
                    .error("`rollout` is missing `strategy`")
                    .label(span, "needs `strategy`")
                    .help("such as `strategy = rolling`, or `strategy = input.deploy`");
                self.say(diagnostic);
            }
            return None;
        };
        let (kind, of) = set?;
        let mut reads = Vec::new();
        inputs_read(&strategy, &mut reads);
        Some(Rollout { name: it.name.node.clone(), kind, of, strategy, reads, before, span })
    }

    /// The set of resources that is rolled out: one of those around.
    fn rolled_out_set(&mut self, it: &'t tree::Rollout, scope: ScopeId) -> Option<(Name, Name)> {
        let words: Vec<&str> = it.of.segments.iter().map(|segment| &*segment.node).collect();
        let (kind, name) = match &words[..] {
            [provider, kind, name] => (format!("{provider}.{kind}"), *name),
            _ => {
                let diagnostic = Code::UnknownName
                    .error(format!("a rollout is of a resource, and `{}` is none", it.of))
                    .label(it.of.span, "expected such as `fly.machine.web`");
                self.say(diagnostic);
                return None;
            }
        };
        let found = self.tables.find_items(scope, &kind, name).first().copied();
        let declared = found.map(|id| &self.tables.items[id.at()]);
        let resource = declared.and_then(|item| match item.what {
            What::Resource(resource, _) => Some((resource, item.span)),
            _ => None,
        });
        let Some((resource, declared)) = resource else {
            self.say_unknown_name(&it.of.to_string(), it.of.span, "resource", &[]);
            return None;
        };
        let diagnostic = match self.schemas.kind(&kind) {
            Some(kind) if kind.act => Code::WrongType.error(format!("a `{}` is done, and leaves nothing to roll out", kind.name)),
            _ if resource.mode != tree::ResourceMode::Owned => Code::WrongType.error("what is shared or read is not rolled out"),
            _ if resource.head.each.is_none() => {
                Code::WrongType.error("a rollout is of a set, and this is one resource").help("give it a `for`")
            }
            _ => return Some((kind.into(), name.into())),
        };
        self.say(diagnostic.label(it.of.span, "cannot be rolled out").label(declared, "declared here"));
        None
    }
}

/// The ways in which a set can be brought to a new version.
fn strategies() -> Type {
    let field = |ty: Type, need: Need| FieldType { ty, need };
    let case = |fields: Vec<(&str, FieldType)>| {
        Arc::new(ObjectType { fields: fields.into_iter().map(|(name, it)| (Name::from(name), it)).collect(), name: None })
    };
    let third = Value::engine(crate::model::Data::Percent(rust_decimal::Decimal::new(33, 2)));
    let soak = Value::engine(crate::model::Data::Duration(120_000_000_000));
    let default = |value: Value| Need::Default(value);
    let cases = [
        ("direct", case(vec![])),
        ("rolling", case(vec![("at_once", field(Type::Percent, default(third)))])),
        (
            "blue_green",
            case(vec![("soak", field(Type::Duration, default(soak))), ("abort_when", field(Type::Condition, Need::Absent))]),
        ),
        (
            "canary",
            case(vec![
                ("steps", field(Type::list(Type::Percent), Need::Required)),
                ("hold", field(Type::Duration, Need::Required)),
                ("abort_when", field(Type::Condition, Need::Absent)),
            ]),
        ),
    ];
    Type::Variant(Arc::new(VariantType {
        name: None,
        cases: cases.into_iter().map(|(name, case)| (Name::from(name), case)).collect(),
    }))
}
