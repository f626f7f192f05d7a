//! `on fly { fly.machine.web["0"] { … } }` in an instance: laid over what its lowering there says.

use super::Checker;
use super::blocks::{Level, Part};
use super::body::FieldsOf;
use super::context::Cx;
use crate::lang::program::Override;
use crate::lang::resolve::{KindId, What, nearest};
use crate::lang::syntax::tree::{self, EntryKind};
use crate::model::{Code, Name};

impl<'t> Checker<'t> {
    pub(super) fn check_overrides(&mut self, cx: &mut Cx, body: &'t tree::Body, kind: KindId) -> Vec<Override> {
        let mut overrides = Vec::new();
        for entry in &body.entries {
            if let EntryKind::On(on) = &entry.kind {
                self.check_override(cx, on, kind, &mut overrides);
            }
        }
        overrides
    }

    fn check_override(&mut self, cx: &mut Cx, on: &'t tree::OnOverride, kind: KindId, overrides: &mut Vec<Override>) {
        let provider = on.provider.node.clone();
        let component = self.tables.kinds[kind.at()].name.clone();
        let clause = self.tables.kinds[kind.at()].clauses.iter().find(|it| it.provider == provider).map(|it| it.scope);
        let Some(clause) = clause else {
            let known: Vec<Name> = self.tables.kinds[kind.at()].clauses.iter().map(|it| it.provider.clone()).collect();
            let near = nearest(&provider, known.iter().map(|it| &**it)).map(str::to_owned);
            let diagnostic = Code::NoPlace
                .error(format!("`{component}` has no lowering on `{provider}`"))
                .label(on.provider.span, "no such clause");
            let diagnostic = match near {
                Some(near) => diagnostic.help(format!("write `{near}`")),
                None if known.is_empty() => diagnostic,
                None => diagnostic.help(format!("it has {}", super::describe::listed(known.iter().map(|it| &**it)))),
            };
            return self.say(diagnostic);
        };
        for it in &on.overrides {
            let segments = &it.resource.segments;
            let (name, kind_path) = segments.split_last().expect("an override names a resource");
            let kind_name = kind_path.iter().map(|it| &*it.node).collect::<Vec<_>>().join(".");
            let found = self.tables.find_items(clause, &kind_name, &name.node).first().copied();
            let Some(id) = found else {
                let mut known: Vec<String> = Vec::new();
                for scope in self.tables.reach(clause) {
                    for (kind, names) in &self.tables.scope(scope).items {
                        if &**kind != "secret" {
                            known.extend(names.keys().map(|name| format!("{kind}.{name}")));
                        }
                    }
                }
                known.sort();
                let written = it.resource.to_string();
                let near = nearest(&written, known.iter().map(|it| &**it)).map(str::to_owned);
                let diagnostic = Code::UnknownName
                    .error(format!("`{component}` on `{provider}` has no `{written}`"))
                    .label(it.resource.span, "not part of its lowering");
                let diagnostic = match near {
                    Some(near) => diagnostic.help(format!("write `{near}`")),
                    None => diagnostic.help(format!("it has {}", super::describe::listed(known.iter().map(|it| &**it)))),
                };
                self.say(diagnostic);
                continue;
            };
            let What::Resource(_, schema) = &self.tables.items[id.at()].what else { continue };
            let schema = schema.clone();
            if let (Some(key), false) = (&it.key, self.tables.items[id.at()].keyed) {
                let diagnostic = Code::NoSuchKey
                    .error(format!("`{}` has no keys", it.resource))
                    .label(key.span, "there is one of it")
                    .help("leave the key out");
                self.say(diagnostic);
            }
            let fields = FieldsOf::SomeAttributes(&schema);
            let folded = self.fold(cx, &it.body, &fields, &format!("`{}`", schema.name), None, false, Level::Inside);
            let mut given = Vec::with_capacity(folded.parts.len());
            for part in folded.parts {
                match part {
                    Part::Field { name, value, span } => given.push((name, value, span)),
                    Part::Spread { value, .. } => {
                        self.say(Code::Syntax.error("`...` cannot stand here").label(value.span, "write the attributes"));
                    }
                }
            }
            overrides.push(Override {
                provider: provider.clone(),
                kind: schema,
                name: name.node.clone(),
                key: it.key.as_ref().map(|key| key.node.clone()),
                fields: given,
                span: it.span,
            });
        }
    }
}
