//! The stack's own settings, and providers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Checker;
use super::blocks::{Level, Part};
use super::body::FieldsOf;
use super::context::Cx;
use crate::lang::program::{self, Provider, Stack};
use crate::lang::resolve::{OWN, nearest};
use crate::lang::syntax::tree::{self, EntryKind, File, ItemKind};
use crate::model::types::{FieldType, Need, ObjectType};
use crate::model::{Code, Name, ProviderName, Span, Type};

impl<'t> Checker<'t> {
    pub(super) fn check_stack_body(&mut self, files: &'t [Arc<File>]) -> program::Body {
        let scope = self.tables.directories[OWN.at()].scope.expect("the stack has a scope");
        let mut body = program::Body::default();
        for file in files {
            self.add_items(&file.items, scope, &mut body);
        }
        body
    }

    pub(super) fn check_stack_item(&mut self) -> Stack {
        let nothing = Stack { name: "stack".into(), span: Span::ENGINE, doc: None, settings: BTreeMap::new() };
        let Some(item) = self.tables.stack else {
            let broken = self.tables.broken.iter().any(|words| words.first().is_some_and(|word| &**word == "stack"));
            if !broken {
                let diagnostic =
                    Code::NoStack.error("there is no `stack` in this directory").help("begin with `stack NAME { language = 1 }`");
                self.say(diagnostic);
            }
            return nothing;
        };
        let ItemKind::Stack(named) = &item.kind else { return nothing };
        let named: &'t tree::Named = named;
        let scope = self.tables.directories[OWN.at()].scope.expect("the stack has a scope");
        let mut cx = Cx::new(scope);
        let object = Arc::new(stack_settings());
        let who = "a stack";
        let folded = self.fold(&mut cx, &named.body, &FieldsOf::Object(&object), who, None, false, Level::Stack);
        self.name_policies(&named.body);
        let mut settings = BTreeMap::new();
        for part in folded.parts {
            let Part::Field { name, value, .. } = part else { continue };
            self.needed_early(scope, &value, "a setting of the stack");
            match &*name {
                "language" => {
                    let edition = self.constant_value(&value).and_then(|value| value.as_int());
                    if let Some(edition) = edition
                        && edition != 1
                    {
                        let diagnostic = Code::OutOfRange
                            .error(format!("this version knows edition 1 of the language, and this is {edition}"))
                            .label(value.span, "unknown edition");
                        self.say(diagnostic);
                    }
                }
                "state" => self.check_state(scope, &value),
                "encryption" => self.check_encryption(scope, &value),
                _ => {}
            }
            settings.insert(name, value);
        }
        let span = Span { end: named.name.span.end, ..item.span };
        Stack { name: named.name.node.clone(), span, doc: item.doc.clone(), settings }
    }

    pub(super) fn check_providers(&mut self) -> Vec<Provider> {
        let providers = self.tables.providers.clone();
        providers.into_iter().filter_map(|(provider, span)| self.check_provider(provider, span)).collect()
    }

    fn check_provider(&mut self, provider: &'t tree::Provider, span: Span) -> Option<Provider> {
        let scope = self.tables.directories[OWN.at()].scope.expect("the stack has a scope");
        let mut cx = Cx::new(scope);
        let ty = provider.provider.node.clone();
        let plugin = provider.body.entries.iter().find_map(|entry| match &entry.kind {
            EntryKind::Field { key, .. } => key.text().filter(|it| &*it.node == "source"),
            _ => None,
        });
        let Some(schema) = self.schemas.providers.get(&ty).cloned() else {
            match plugin {
                Some(source) => {
                    self.say_not_yet("Terraform plugins", source.span, "use a provider that is built in");
                }
                None => {
                    let known: Vec<&str> = self.schemas.providers.keys().map(|it| &**it).filter(|it| *it != "engine").collect();
                    let near = nearest(&ty, known.iter().copied()).map(str::to_owned);
                    let diagnostic = Code::UnknownProvider
                        .error(format!("there is no provider `{ty}`"))
                        .label(provider.provider.span, "unknown provider");
                    let diagnostic = match near {
                        Some(near) => diagnostic.help(format!("write `{near}`")),
                        None => diagnostic.help(format!("this version knows: {}", super::describe::listed(known))),
                    };
                    self.say(diagnostic);
                }
            }
            return None;
        };
        let fields = FieldsOf::Settings(&schema.settings);
        let who = format!("`provider {ty}`");
        let folded = self.fold(&mut cx, &provider.body, &fields, &who, None, false, Level::Inside);
        self.require_fields(&folded, &fields, &who, span, |_| None);
        let mut settings = Vec::new();
        for part in folded.parts {
            match part {
                Part::Field { name, value, .. } => settings.push((name, value)),
                Part::Spread { value, .. } => {
                    self.say(Code::Syntax.error("`...` cannot stand here").label(value.span, "write the settings"));
                }
            }
        }
        let name = ProviderName { ty, name: provider.name.as_ref().map(|it| it.node.clone()) };
        Some(Provider { name, span, settings })
    }
}

/// What `stack NAME { … }` may say.
fn stack_settings() -> ObjectType {
    let may = |ty: Type| FieldType { ty, need: Need::Absent };
    let fields = [
        ("language", may(Type::INT)),
        ("state", may(super::stores::state_type())),
        ("encryption", may(super::encryption::encryption_type())),
        ("policies", may(Type::list(Type::TEXT))),
    ];
    ObjectType { fields: fields.into_iter().map(|(name, field)| (Name::from(name), field)).collect(), name: None }
}
