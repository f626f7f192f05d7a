//! Environments: where instances go, and values of inputs.

use super::Checker;
use super::context::Cx;
use super::describe::{At, listed};
use crate::lang::program::{Environment, Placed, Placement};
use crate::lang::resolve::{OWN, nearest};
use crate::lang::syntax::tree::{self, EntryKind};
use crate::model::{Code, Expr, Name, ProviderName, Span, Type};

const FIELDS: [&str; 5] = ["inputs", "on", "place", "protect", "usage"];

impl<'t> Checker<'t> {
    pub(super) fn check_environments(&mut self) -> Vec<Environment> {
        let environments = self.tables.environments.clone();
        environments.into_iter().map(|(named, span)| self.check_environment(named, span)).collect()
    }

    fn check_environment(&mut self, named: &'t tree::Named, span: Span) -> Environment {
        let scope = self.tables.directories[OWN.at()].scope.expect("the stack has a scope");
        let mut environment =
            Environment { name: named.name.node.clone(), span, on: None, place: Vec::new(), protect: None, inputs: Vec::new() };
        let mut given: Vec<(&'t str, Span)> = Vec::new();
        for entry in &named.body.entries {
            let mut cx = Cx::new(scope);
            let (name, value) = match &entry.kind {
                EntryKind::Field { key, value } => match key.text() {
                    Some(name) => (name, Given::Value(value)),
                    None => {
                        self.say(
                            Code::UnknownField.error("an environment has no computed fields").label(key.span(), "unknown field"),
                        );
                        continue;
                    }
                },
                EntryKind::Block(block) => {
                    if let Some(span) = block.key.as_ref().or(block.label.as_ref()).map(|it| it.span) {
                        self.say(
                            Code::WrongType.error(format!("`{}` takes no label", block.name.node)).label(span, "leave it out"),
                        );
                    }
                    (&block.name, Given::Body(&block.body))
                }
                EntryKind::Error(_) => continue,
                EntryKind::Spread(value) => {
                    self.say(Code::Syntax.error("`...` cannot stand here").label(value.span, "write the fields"));
                    continue;
                }
                EntryKind::Require(require) => {
                    self.say(
                        Code::Syntax.error("`require` cannot stand here").label(require.span, "stands at the top of a stack"),
                    );
                    continue;
                }
                EntryKind::On(on) => {
                    self.say(
                        Code::Syntax.error("`on` of an environment is written `on = fly`").label(on.provider.span, "needs `=`"),
                    );
                    continue;
                }
            };
            if self.say_given_twice(&given, name) {
                continue;
            }
            given.push((&name.node, name.span));
            match (&*name.node, value) {
                ("on", Given::Value(value)) => {
                    let expr = self.check(&mut cx, value, &Type::Provider("".into()), &At::place("`on`"));
                    self.needed_early(scope, &expr, "`on`");
                    self.declared_provider(&expr);
                    environment.on = Some(expr);
                }
                ("protect", Given::Value(value)) => {
                    let expr = self.check(&mut cx, value, &Type::Bool, &At::field("protect", None));
                    self.needed_early(scope, &expr, "`protect`");
                    environment.protect = Some(expr);
                }
                ("place", given) => environment.place = self.check_place(&mut cx, given.body(name.span)),
                ("inputs", given) => environment.inputs = self.check_inputs(&mut cx, given.body(name.span)),
                ("usage", given) => {
                    let diagnostic = Code::NotYet
                        .warning("this version does not compute costs")
                        .label(name.span, "`usage` is read, and has no effect");
                    self.say(diagnostic);
                    match given {
                        Given::Value(value) => drop(self.infer(&mut cx, value)),
                        Given::Body(body) => drop(self.infer_object(&mut cx, body, body.span)),
                    }
                }
                ("on" | "protect", Given::Body(body)) => {
                    let diagnostic = Code::WrongType
                        .error(format!("`{}` is no block", name.node))
                        .label(name.span, format!("expected `{} = …`", name.node));
                    let _ = body;
                    self.say(diagnostic);
                }
                _ => self.say_unknown_field("an environment", &name.node, name.span, &FIELDS),
            }
        }
        environment
    }

    /// `place { bucket = cloudflare, eu = fly }`.
    fn check_place(&mut self, cx: &mut Cx, body: Result<&'t tree::Body, Span>) -> Vec<Placement> {
        let mut placements: Vec<Placement> = Vec::new();
        let entries = match body {
            Ok(body) => &body.entries,
            Err(span) => {
                self.say(Code::WrongType.error("`place` takes a block").label(span, "expected `place { kind = provider }`"));
                return placements;
            }
        };
        for entry in entries {
            let EntryKind::Field { key, value } = &entry.kind else {
                if !matches!(entry.kind, EntryKind::Error(_)) {
                    self.say(Code::Syntax.error("`place` holds only `kind = provider`").label(entry.span, "cannot stand here"));
                }
                continue;
            };
            let Some(name) = key.text() else {
                self.say(Code::UnknownField.error("`place` has no computed keys").label(key.span(), "cannot stand here"));
                continue;
            };
            let to = self.check(cx, value, &Type::Provider("".into()), &At::field(&name.node, None));
            self.needed_early(cx.scope, &to, "`place`");
            self.declared_provider(&to);
            let Some(what) = self.placed_name(&name.node) else {
                if !self.tables.may_be_broken(OWN, &[&name.node]) {
                    self.say_unknown_placed(name);
                }
                continue;
            };
            if let Some(first) = placements.iter().find(|it| it.what == what) {
                let diagnostic = Code::DuplicateField
                    .error(format!("`{}` is placed twice", name.node))
                    .label(name.span, "second time")
                    .label(first.span, "first time");
                self.say(diagnostic);
                continue;
            }
            placements.push(Placement { what, to, span: entry.span });
        }
        placements
    }

    fn placed_name(&self, name: &Name) -> Option<Placed> {
        if let Some(kind) = self.tables.find_kind(OWN, name) {
            return Some(Placed::Kind(self.tables.kinds[kind.at()].name.clone()));
        }
        if let Some(named) = self.tables.named_provider(name) {
            return Some(Placed::Provider(ProviderName { ty: named.provider.node.clone(), name: Some(name.clone()) }));
        }
        self.schemas.providers.contains_key(name).then(|| Placed::Provider(ProviderName { ty: name.clone(), name: None }))
    }

    fn say_unknown_placed(&mut self, name: &tree::Name) {
        let mut known: Vec<String> = self.tables.kind_names(OWN).iter().map(|it| it.to_string()).collect();
        known.extend(self.tables.providers.iter().map(|(it, _)| it.name.as_ref().unwrap_or(&it.provider).node.to_string()));
        known.sort();
        let near = nearest(&name.node, known.iter().map(|it| &**it)).map(str::to_owned);
        let diagnostic = Code::UnknownName
            .error(format!("there is no kind and no provider instance `{}`", name.node))
            .label(name.span, "not defined in this stack or its imports");
        let diagnostic = match near {
            Some(near) => diagnostic.help(format!("write `{near}`")),
            None => diagnostic,
        };
        self.say(diagnostic);
    }

    /// `inputs { replicas = 1 }`: inputs of the stack.
    pub(super) fn check_inputs(&mut self, cx: &mut Cx, body: Result<&'t tree::Body, Span>) -> Vec<(Name, Expr)> {
        let body = match body {
            Ok(body) => body,
            Err(span) => {
                self.say(Code::WrongType.error("`inputs` takes a block").label(span, "expected `inputs { name = value }`"));
                return Vec::new();
            }
        };
        let inputs = self.inputs.clone();
        // None of them has to be given here.
        let optional: Vec<super::InputType> =
            inputs.iter().map(|input| super::InputType { required: false, ..input.clone() }).collect();
        let fields = super::body::FieldsOf::Inputs(&optional);
        let who = "this stack";
        let folded = self.fold(cx, body, &fields, who, None, false, super::blocks::Level::Inside);
        let mut given = Vec::new();
        for part in folded.parts {
            if let super::blocks::Part::Field { name, value, .. } = part {
                self.needed_early(cx.scope, &value, "`inputs`");
                if let Some(reference) = reads_input(&value) {
                    let diagnostic = Code::TooLate
                        .error(format!("the value of an input cannot read `{reference}`"))
                        .label(value.span, "inputs are what everything else is made from")
                        .help("use constants and `env.name`");
                    self.say(diagnostic);
                }
                given.push((name, value));
            }
        }
        given
    }

    /// Every provider instance that an expression names has to be declared.
    pub(super) fn declared_provider(&mut self, expr: &Expr) {
        let crate::model::expr::ExprKind::Literal(value) = &expr.kind else {
            let mut found = Vec::new();
            super::taint::children(expr, &mut |child| found.push(child.clone()));
            for child in found {
                self.declared_provider(&child);
            }
            return;
        };
        let crate::model::Data::Provider(name) = &value.data else { return };
        if name.name.is_none() {
            self.needs_provider(&name.ty.clone(), expr.span);
        }
    }

    /// A provider that is used without a name has to be declared, unless it needs no setting.
    pub(super) fn needs_provider(&mut self, ty: &str, span: Span) {
        if self.tables.declares_provider(ty) {
            return;
        }
        let Some(schema) = self.schemas.providers.get(ty).cloned() else { return };
        let needed: Vec<&str> = schema
            .settings
            .iter()
            .filter(|it| matches!(it.given, crate::model::schema::Given::Required))
            .map(|it| &*it.name)
            .collect();
        if needed.is_empty() || self.tables.may_be_broken(OWN, &["provider", ty]) {
            return;
        }
        let fields = needed.iter().map(|it| format!("{it} = …")).collect::<Vec<_>>().join(", ");
        let named: Vec<String> = self
            .tables
            .providers
            .iter()
            .filter(|(it, _)| &*it.provider.node == ty)
            .filter_map(|(it, _)| Some(it.name.as_ref()?.node.to_string()))
            .collect();
        let diagnostic = Code::UnknownProvider
            .error(format!("provider `{ty}` is not declared"))
            .label(span, format!("needs {}", listed(needed.iter().copied())))
            .help(match named.is_empty() {
                true => format!("write `provider {ty} {{ {fields} }}`"),
                false => format!("write `provider {ty} {{ {fields} }}`, or use {}", listed(named.iter().map(|it| &**it))),
            });
        self.say(diagnostic);
    }
}

enum Given<'t> {
    Value(&'t tree::Expr),
    Body(&'t tree::Body),
}

impl<'t> Given<'t> {
    /// The body of a block, or of an object.
    fn body(self, span: Span) -> Result<&'t tree::Body, Span> {
        match self {
            Given::Body(body) => Ok(body),
            Given::Value(value) => match &value.without_parens().kind {
                tree::ExprKind::Object(body) => Ok(body),
                _ => Err(span),
            },
        }
    }
}

/// The first input, instance or resource that an expression reads.
fn reads_input(expr: &Expr) -> Option<String> {
    use crate::model::expr::{ExprKind, Reference};
    match &expr.kind {
        ExprKind::Name(Reference::Input(name)) => Some(format!("input.{name}")),
        ExprKind::Name(Reference::Instance { kind, name }) => Some(format!("{kind}.{name}")),
        _ => {
            let mut found = None;
            super::taint::children(expr, &mut |child| {
                if found.is_none() {
                    found = reads_input(child);
                }
            });
            found
        }
    }
}
