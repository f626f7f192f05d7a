//! References: a name, and steps into what it names.

use std::sync::Arc;

use super::Checker;
use super::context::{Cx, Typed};
use super::describe::{At, listed, noun, quoted};
use super::fit::{each_sensitive, read_type, secret};
use super::names::narrowed;
use super::shapes::untainted;
use crate::lang::resolve::{ItemId, Owner, nearest};
use crate::lang::syntax::tree::{self, Expr as Tree, ExprKind as K, StepKind};
use crate::model::expr::{Expr, ExprKind, Reference, SecretPart};
use crate::model::types::Bounds;
use crate::model::{Code, Confidence, Diagnostic, Edit, Name, Span, Type, Value};

impl<'t> Checker<'t> {
    /// `base.field[key]?.field(args)`.
    pub(super) fn access(&mut self, cx: &mut Cx, base: &'t Tree, steps: &'t [tree::Step], span: Span) -> Typed {
        let base = base.without_parens();
        let (mut typed, mut taken) = match &base.kind {
            K::Name(name) => match self.root(cx, name, base.span, steps) {
                Some(root) => root,
                None => return Typed::poison(span),
            },
            _ => (self.infer(cx, base), 0),
        };
        while taken < steps.len() {
            if typed.ty == Type::Poison {
                // Arguments and keys may be wrong by themselves.
                self.rest_of(cx, &steps[taken..]);
                return Typed::poison(span);
            }
            let step = &steps[taken];
            let to = typed.expr.span.to(step.span);
            (typed, taken) = match &step.kind {
                StepKind::Field { name, optional } => self.field_step(cx, typed, name, *optional, &steps[taken..], to, taken),
                StepKind::Index { key, optional } => (self.index_step(cx, typed, key, *optional, to), taken + 1),
                StepKind::Call { .. } => {
                    let diagnostic = Code::BadArguments
                        .error(format!("{} is {}, and cannot be called", quoted(self.text(typed.expr.span)), noun(&typed.ty)))
                        .label(step.span, "is no function");
                    self.say(diagnostic);
                    self.rest_of(cx, &steps[taken..]);
                    return Typed::poison(span);
                }
            };
            typed = narrowed(cx, typed);
        }
        typed
    }

    fn rest_of(&mut self, cx: &mut Cx, steps: &'t [tree::Step]) {
        for step in steps {
            match &step.kind {
                StepKind::Index { key, .. } => drop(self.infer(cx, key)),
                StepKind::Call { args } => args.iter().for_each(|arg| drop(self.infer(cx, &arg.value))),
                StepKind::Field { .. } => {}
            }
        }
    }

    /// What a reference begins with, and how many steps that took. `None`: it was said that there is no such thing.
    fn root(&mut self, cx: &mut Cx, name: &Name, span: Span, steps: &'t [tree::Step]) -> Option<(Typed, usize)> {
        if let StepKind::Call { args } = &steps[0].kind {
            return Some((self.call(cx, name, span, args, span.to(steps[0].span)), 1));
        }
        if let Some(typed) = self.variable(cx, name, span) {
            return Some((typed, 0));
        }
        let field = |at: usize| match steps.get(at).map(|step| &step.kind) {
            Some(StepKind::Field { name, .. }) => Some(name),
            _ => None,
        };
        let directory = self.directory(cx);
        let until = |at: usize| span.to(steps[at].span);
        match &**name {
            "input" => {
                let field = field(0)?;
                return self.input_root(cx, field, until(0)).map(|typed| (typed, 1));
            }
            "env" => {
                let field = field(0)?;
                let ty = match &*field.node {
                    "name" => Type::TEXT,
                    "protect" => Type::Bool,
                    other if self.say_habit_of_env(other, until(0)) => return None,
                    other => {
                        self.say_unknown_name(
                            &format!("env.{other}"),
                            until(0),
                            "value",
                            &[("env.name".into(), None), ("env.protect".into(), None)],
                        );
                        return None;
                    }
                };
                return Some((Typed::new(ExprKind::Name(Reference::Env(field.node.clone())), until(0), ty), 1));
            }
            "stack" => {
                let field = field(0)?;
                if matches!(&*field.node, "environment" | "env") {
                    let text = "env.name".to_owned();
                    let diagnostic = Code::UnknownName
                        .error(format!("there is no `stack.{}`", field.node))
                        .label(until(0), "is written otherwise")
                        .help("write `env.name`")
                        .fix("write `env.name`", Confidence::Sure, vec![Edit { span: until(0), text }]);
                    self.say(diagnostic);
                    return None;
                }
                if &*field.node != "name" {
                    self.say_unknown_name(&format!("stack.{}", field.node), until(0), "value", &[("stack.name".into(), None)]);
                    return None;
                }
                return Some((Typed::new(ExprKind::Name(Reference::Stack(field.node.clone())), until(0), Type::TEXT), 1));
            }
            "self" => return self.self_root(cx, field(0)?, steps, span),
            "provider" => {
                let field = field(0)?;
                return self.provider_root(cx, field, span, until(0)).map(|typed| (typed, 1));
            }
            "secret" => return self.secret_root(cx, steps, span),
            "plan" if cx.rules.is_some() => return self.plan_root(cx, steps, span),
            "output" if Self::sees_outputs(cx) => {
                let field = field(0)?;
                return self.output_root(cx, field, until(0)).map(|typed| (typed, 1));
            }
            _ => {}
        }
        if let Some(kind) = self.tables.find_kind(directory, name) {
            let Some(item) = field(0) else {
                self.infer_name(cx, name, span);
                return None;
            };
            if cx.function {
                self.say_outside_function(cx, &format!("{name}.{}", item.node), until(0));
                return None;
            }
            let kind = self.tables.kinds[kind.at()].name.clone();
            let ids = self.tables.find_items(cx.scope, &kind, &item.node).to_vec();
            if ids.is_empty() {
                self.unknown_item(cx, &kind, item, until(0));
                return None;
            }
            return Some((self.item_ref(cx, &ids, until(0)), 1));
        }
        if let Some(import) = self.tables.directories[directory.at()].imports.get(name).copied() {
            return self.import_root(cx, name, import.to, steps, span);
        }
        if let Some(provider) = self.schemas.providers.get(name).cloned() {
            return self.resource_root(cx, &provider, steps, span);
        }
        if field(0).is_some() && self.tables.may_be_broken(directory, &[name]) {
            return None;
        }
        // Declared with a kind that does not exist, which was said.
        if self.tables.has_kind_items(cx.scope, name) {
            return None;
        }
        if self.say_habit_of_root(cx, name, span, steps) {
            return None;
        }
        // `databse.main`: the kind is misspelt.
        match field(0) {
            Some(item) => {
                if !self.looks_for_similar() {
                    self.say_unknown_name(name, span, "value", &[]);
                    return None;
                }
                let mut similar: Vec<String> = self.tables.kind_names(directory).iter().map(|it| it.to_string()).collect();
                similar.extend(self.tables.directories[directory.at()].imports.keys().map(|it| it.to_string()));
                similar.extend(self.schemas.providers.keys().map(|it| it.to_string()));
                similar.extend(super::names::ROOTS.iter().map(|it| (*it).to_owned()));
                similar.extend(cx.locals.iter().map(|local| local.name.to_string()));
                for scope in self.tables.outwards(cx.scope) {
                    let lets = &self.tables.scope(scope).let_order;
                    similar.extend(lets.iter().map(|id| self.tables.lets[id.at()].ast.name.node.to_string()));
                }
                similar.sort();
                let near = nearest(name, similar.iter().map(|it| &**it)).map(str::to_owned);
                let diagnostic = Code::UnknownName
                    .error(format!("there is no `{name}`"))
                    .label(span, "not defined in this stack or its imports");
                let diagnostic = match near {
                    Some(near) => diagnostic.help(format!("write `{near}.{}`", item.node)).fix(
                        format!("write `{near}`"),
                        Confidence::Maybe,
                        vec![Edit { span, text: near }],
                    ),
                    None => diagnostic,
                };
                self.say(diagnostic);
            }
            None => drop(self.infer_name(cx, name, span)),
        }
        None
    }

    pub(super) fn say_outside_function(&mut self, cx: &Cx, what: &str, span: Span) {
        let diagnostic = Code::UnknownName.error(format!("{} does not see `{what}`", cx.place));
        let diagnostic = match cx.place {
            "a function" => diagnostic.label(span, "is neither a parameter nor at file level").help("pass it as an argument"),
            _ => diagnostic.label(span, "is not at file level"),
        };
        self.say(diagnostic);
    }

    fn input_root(&mut self, cx: &Cx, field: &tree::Name, span: Span) -> Option<Typed> {
        let full = format!("input.{}", field.node);
        if cx.function {
            self.say_outside_function(cx, &full, span);
            return None;
        }
        let inputs = self.visible_inputs(cx);
        match inputs.iter().find(|input| input.name == field.node) {
            Some(input) => {
                let kind = ExprKind::Name(Reference::Input(input.name.clone()));
                Some(narrowed(cx, Typed::new(kind, span, each_sensitive((*input.ty).clone()))))
            }
            None => {
                if !self.tables.may_be_broken(self.directory(cx), &["input", &field.node]) {
                    let similar: Vec<_> =
                        inputs.iter().map(|input| (format!("input.{}", input.name), Some(input.declared))).collect();
                    self.say_unknown_name(&full, span, "value", &similar);
                }
                None
            }
        }
    }

    fn self_root(&mut self, cx: &mut Cx, field: &'t tree::Name, steps: &'t [tree::Step], span: Span) -> Option<(Typed, usize)> {
        let to = span.to(steps[0].span);
        if cx.function || !matches!(self.tables.scope(cx.scope).owner, Owner::Kind(_)) {
            if cx.function {
                self.say_outside_function(cx, &format!("self.{}", field.node), to);
            } else {
                let diagnostic = Code::UnknownName
                    .error(format!("there is no `self.{}` here", field.node))
                    .label(to, "only in a component")
                    .help("at the top of a stack, use `stack.name`");
                self.say(diagnostic);
            }
            return None;
        }
        let reference = |kind: Reference| ExprKind::Name(kind);
        match &*field.node {
            "name" | "address" => Some((Typed::new(reference(Reference::SelfField(field.node.clone())), to, Type::TEXT), 1)),
            // Only an instance of a keyed set has one.
            "key" => Some((
                narrowed(cx, Typed::new(reference(Reference::SelfField(field.node.clone())), to, Type::TEXT.optional())),
                1,
            )),
            "slug" => {
                let Some(StepKind::Call { args }) = steps.get(1).map(|step| &step.kind) else {
                    self.say(
                        Code::BadArguments.error("`self.slug` takes the greatest length").label(to, "write `self.slug(40)`"),
                    );
                    return None;
                };
                let whole = span.to(steps[1].span);
                let length = match &args[..] {
                    [tree::Arg { name: None, value }] => {
                        let ty = Type::Int(Bounds { min: Some(8), max: Some(255) });
                        let said = self.diagnostics.len();
                        let expr = self.check(cx, value, &ty, &At::place("`self.slug`"));
                        if self.diagnostics.len() > said {
                            return None;
                        }
                        self.constant_value(&expr).and_then(|value| value.as_int())
                    }
                    _ => None,
                };
                match length {
                    Some(length) => {
                        let length = u8::try_from(length).unwrap_or(u8::MAX);
                        Some((Typed::new(reference(Reference::Slug(length)), whole, Type::TEXT), 2))
                    }
                    None => {
                        let diagnostic = Code::BadArguments
                            .error("`self.slug` takes the greatest length")
                            .label(whole, "write `self.slug(40)`");
                        self.say(diagnostic);
                        None
                    }
                }
            }
            other => {
                let similar = ["name", "key", "address", "slug"].map(|it| (format!("self.{it}"), None));
                self.say_unknown_name(&format!("self.{other}"), to, "value", &similar);
                None
            }
        }
    }

    fn provider_root(&mut self, cx: &Cx, field: &tree::Name, root: Span, span: Span) -> Option<Typed> {
        let own = self.own_provider(cx, root);
        let Type::Provider(ty) = &own.ty else { return None };
        let reference = ExprKind::Name(Reference::ProviderField(field.node.clone()));
        if &*field.node == "network" {
            return Some(Typed::new(reference, span, Type::TEXT));
        }
        let Some(schema) = self.schemas.providers.get(ty).cloned() else {
            let diagnostic = Code::UnknownName
                .error(format!("there is no `provider.{}` here", field.node))
                .label(span, "which provider it is, is known in a clause only")
                .help("move it into `on fly { … }`; `provider.network` is there everywhere");
            self.say(diagnostic);
            return None;
        };
        match schema.settings.iter().find(|setting| setting.name == field.node) {
            Some(setting) => {
                let ty = match setting.given {
                    crate::model::schema::Given::Optional => setting.ty.clone().optional(),
                    _ => setting.ty.clone(),
                };
                let ty = if setting.sensitive { secret(ty) } else { ty };
                Some(narrowed(cx, Typed::new(reference, span, ty)))
            }
            None => {
                let similar: Vec<_> = schema.settings.iter().map(|it| (format!("provider.{}", it.name), None)).collect();
                self.say_unknown_name(&format!("provider.{}", field.node), span, "setting", &similar);
                None
            }
        }
    }

    fn secret_root(&mut self, cx: &Cx, steps: &'t [tree::Step], span: Span) -> Option<(Typed, usize)> {
        let StepKind::Field { name, .. } = &steps[0].kind else { return None };
        let to = span.to(steps[0].span);
        if cx.function {
            self.say_outside_function(cx, &format!("secret.{}", name.node), to);
            return None;
        }
        let ids = self.tables.find_items(cx.scope, "secret", &name.node);
        let Some(id) = ids.first().copied() else {
            self.unknown_item(cx, "secret", name, to);
            return None;
        };
        let field = match steps.get(1).map(|step| &step.kind) {
            Some(StepKind::Field { name, .. }) => Some(name),
            _ => None,
        };
        let whole = steps.get(1).map_or(to, |step| span.to(step.span));
        let part = field.and_then(|field| SecretPart::ALL.into_iter().find(|part| part.word() == &*field.node));
        let Some(part) = part else {
            let diagnostic = Code::UnknownField
                .error(format!("`secret.{}` is read with `.value`", name.node))
                .label(whole, "is no value by itself")
                .help(format!("write `secret.{}.value`, or `.previous` after a rotation with `overlap`", name.node));
            let behind = Span { start: to.end, ..to };
            self.say(match steps.len() {
                1 => diagnostic.fix("write `.value`", Confidence::Sure, vec![Edit { span: behind, text: ".value".into() }]),
                _ => diagnostic,
            });
            return None;
        };
        if let Some(diagnostic) = self.secret_lacks(id, &name.node, part, whole) {
            self.say(diagnostic);
            return None;
        }
        let ty = match part {
            SecretPart::Value => secret(Type::TEXT),
            SecretPart::Previous => secret(Type::TEXT).optional(),
            SecretPart::Public => Type::TEXT,
            SecretPart::Since | SecretPart::Due => Type::Instant,
        };
        let reference = Reference::Secret { name: name.node.clone(), part };
        Some((narrowed(cx, Typed::new(ExprKind::Name(reference), whole, ty)), 2))
    }

    /// Why a secret does not have a part, if its declaration does not provide for it.
    fn secret_lacks(&self, id: ItemId, name: &str, part: SecretPart, span: Span) -> Option<Diagnostic> {
        let crate::lang::resolve::What::Secret(named) = &self.tables.items[id.at()].what else { return None };
        let text_of = |wanted: &str| {
            named.body.entries.iter().find_map(|entry| match &entry.kind {
                tree::EntryKind::Field { key, value, .. } if key.text().is_some_and(|it| &*it.node == wanted) => {
                    Some(self.text(value.span))
                }
                _ => None,
            })
        };
        let lacks = |what: &str, label: &str, help: &str| {
            Some(Code::UnknownField.error(format!("`secret.{name}` has no {what}")).label(span, label).help(help))
        };
        match part {
            SecretPart::Value | SecretPart::Since => None,
            SecretPart::Previous if text_of("overlap").is_some() => None,
            SecretPart::Previous => {
                lacks("previous value", "it has no `overlap`", "give the secret an `overlap`, such as `overlap = 1d`")
            }
            SecretPart::Due if text_of("rotate").is_some() => None,
            SecretPart::Due => lacks("due date", "it has no `rotate`", "give the secret a `rotate`, such as `rotate = 90d`"),
            SecretPart::Public if text_of("format") == Some("\"ed25519\"") => None,
            SecretPart::Public => lacks("public half", "it is no key pair", "only `format = \"ed25519\"` makes a pair of keys"),
        }
    }

    fn resource_root(
        &mut self,
        cx: &mut Cx,
        provider: &Arc<crate::model::ProviderSchema>,
        steps: &'t [tree::Step],
        span: Span,
    ) -> Option<(Typed, usize)> {
        let mut kind = provider.name.to_string();
        let mut kinds = String::new();
        for (at, step) in steps.iter().enumerate().take(3) {
            let StepKind::Field { name, .. } = &step.kind else { break };
            kind.push('.');
            kind.push_str(&name.node);
            if !kinds.is_empty() {
                kinds.push('.');
            }
            kinds.push_str(&name.node);
            if !provider.kinds.contains_key(&*kinds) {
                continue;
            }
            let to = steps.get(at + 1).map_or(span.to(step.span), |step| span.to(step.span));
            let Some(StepKind::Field { name: item, .. }) = steps.get(at + 1).map(|step| &step.kind) else {
                let diagnostic = Code::UnknownName
                    .error(format!("`{kind}` is a kind, not a value"))
                    .label(span.to(step.span), "names no resource")
                    .help(format!("write `{kind}.NAME`"));
                self.say(diagnostic);
                return None;
            };
            if cx.function {
                self.say_outside_function(cx, &format!("{kind}.{}", item.node), to);
                return None;
            }
            let ids = self.tables.find_items(cx.scope, &kind, &item.node).to_vec();
            if ids.is_empty() {
                self.unknown_item(cx, &kind, item, to);
                return None;
            }
            return Some((self.item_ref(cx, &ids, to), at + 2));
        }
        let StepKind::Field { name, .. } = &steps[0].kind else {
            self.infer_name(cx, &provider.name.clone(), span);
            return None;
        };
        if self.tables.may_be_broken(self.directory(cx), &[&provider.name, &name.node]) {
            return None;
        }
        if self.tables.has_kind_items(cx.scope, &format!("{}.{}", provider.name, name.node)) {
            return None;
        }
        let to = span.to(steps[0].span);
        if &*provider.name == "local" && self.say_habit_of_local(cx, name, to) {
            return None;
        }
        let near = nearest(&name.node, provider.kinds.keys().map(|it| &**it)).map(str::to_owned);
        let diagnostic = Code::UnknownKind
            .error(format!("provider `{}` has no kind `{}`", provider.name, name.node))
            .label(to, "unknown kind");
        let diagnostic = match near {
            Some(near) => diagnostic.help(format!("write `{}.{near}`", provider.name)),
            None => diagnostic.help(format!("its kinds: {}", listed(provider.kinds.keys().map(|it| &**it)))),
        };
        self.say(diagnostic);
        None
    }

    /// `.name`: the value, and the place of the step after those that were taken.
    #[allow(clippy::too_many_arguments)]
    fn field_step(
        &mut self,
        cx: &mut Cx,
        typed: Typed,
        name: &'t tree::Name,
        optional: bool,
        steps: &'t [tree::Step],
        span: Span,
        taken: usize,
    ) -> (Typed, usize) {
        let (outer, tainted) = untainted(&typed.ty);
        let (core, may_be_null) = match outer {
            Type::Optional(of) => (&**of, true),
            other => (other, false),
        };
        if may_be_null && !optional {
            self.say_null_step(&typed, &format!(".{}", name.node), span);
            self.rest_of(cx, &steps[1..]);
            return (Typed::poison(span), taken + steps.len());
        }
        let (core, inner_taint) = untainted(core);
        let core = core.clone();
        let optional = optional && may_be_null;
        let tainted = tainted || inner_taint;
        let finish = |typed: Typed| {
            let ty = if tainted { secret(typed.ty) } else { typed.ty };
            Typed { ty: if optional { ty.optional() } else { ty }, ..typed }
        };
        let field = |of: Typed, ty: Type| {
            let kind = ExprKind::Field { of: Box::new(of.expr), name: name.node.clone(), optional };
            finish(Typed::new(kind, span, ty))
        };
        match &core {
            Type::Object(object) => match object.fields.get(&name.node) {
                Some(it) => (field(typed, read_type(it)), taken + 1),
                None => {
                    let known: Vec<&str> = object.fields.keys().map(|it| &**it).collect();
                    let of = match &object.name {
                        Some(name) => format!("`{name}`"),
                        None => quoted(self.text(typed.expr.span)),
                    };
                    self.say_unknown_field(&of, &name.node, name.span, &known);
                    (Typed::poison(span), taken + steps.len())
                }
            },
            Type::Any => (field(typed, Type::Any), taken + 1),
            Type::Range(of) if matches!(&*name.node, "min" | "max") => (field(typed, (**of).clone()), taken + 1),
            Type::Metric(_) if matches!(&*name.node, "promql" | "unit") => (field(typed, Type::TEXT), taken + 1),
            Type::Condition if &*name.node == "promql" => (field(typed, Type::TEXT), taken + 1),
            Type::Metric(_) | Type::Condition if &*name.node == "source" => {
                (field(typed, Type::Ref("monitoring".into()).optional()), taken + 1)
            }
            Type::Ref(kind) => {
                let kind = kind.clone();
                let (typed, used) = self.member(cx, typed, &kind, name, optional, steps, span);
                (finish(typed), taken + used)
            }
            Type::Resource(kind) => {
                let kind = kind.clone();
                let is_attribute = self.schemas.kind(&kind).is_some_and(|it| it.attribute(&name.node).is_some());
                if let (false, Some((member, ty))) = (is_attribute, Self::graph_member(cx, &name.node)) {
                    let kind = ExprKind::Member { of: Box::new(typed.expr), member, optional };
                    return (finish(Typed::new(kind, span, ty)), taken + 1);
                }
                match self.attribute_type(&kind, typed.item, name) {
                    Some(ty) => (field(typed, ty), taken + 1),
                    None => (Typed::poison(span), taken + steps.len()),
                }
            }
            Type::Map(of) => {
                let mut diagnostic = Code::UnknownField
                    .error(format!("{} is {}, which has no fields", quoted(self.text(typed.expr.span)), noun(&core)))
                    .label(name.span, "write it as a key");
                let bracket = format!("[\"{}\"]", name.node);
                diagnostic = match **of {
                    Type::Ref(_) | Type::Resource(_) => diagnostic.help("it has one for each key: write `[\"key\"]` first"),
                    _ => diagnostic.help(format!("write `{bracket}`")).fix(
                        format!("write `{bracket}`"),
                        Confidence::Sure,
                        vec![Edit { span: Span { start: name.span.start.saturating_sub(1), ..name.span }, text: bracket }],
                    ),
                };
                self.say(diagnostic);
                (Typed::poison(span), taken + steps.len())
            }
            Type::Poison => (Typed::poison(span), taken + 1),
            other => {
                let diagnostic = Code::UnknownField
                    .error(format!("{} is {}, which has no fields", quoted(self.text(typed.expr.span)), noun(other)))
                    .label(name.span, "unknown field");
                let diagnostic = match other {
                    Type::Variant(variant) => {
                        diagnostic.help(format!("`match` tells which it is: {}", listed(variant.cases.keys().map(|it| &**it))))
                    }
                    _ => diagnostic,
                };
                self.say(diagnostic);
                (Typed::poison(span), taken + steps.len())
            }
        }
    }

    fn say_null_step(&mut self, typed: &Typed, step: &str, span: Span) {
        let text = quoted(self.text(typed.expr.span));
        let diagnostic = match typed.item.map(|id| &self.tables.items[id.at()]) {
            Some(item) => Code::MaybeNull
                .error(format!("{text} may not be there"))
                .label(typed.expr.span, "there only under its condition")
                .label(item.span, "declared with a condition")
                .help(format!(
                    "say what happens without it: `if {0} != null then {0}{step} else …`, or `{0}?{step} ?? …`",
                    self.text(typed.expr.span)
                )),
            None => Code::MaybeNull
                .error(format!("{text} may be null"))
                .label(typed.expr.span, "may be null")
                .help(format!("test it with `!= null`, or write `{}?{step}`", self.text(typed.expr.span))),
        };
        let _ = span;
        self.say(diagnostic);
    }

    /// `[key]`.
    fn index_step(&mut self, cx: &mut Cx, typed: Typed, key: &'t Tree, optional: bool, span: Span) -> Typed {
        let (outer, tainted) = untainted(&typed.ty);
        let (core, may_be_null) = match outer {
            Type::Optional(of) => (&**of, true),
            other => (other, false),
        };
        if may_be_null && !optional {
            self.say_null_step(&typed, "[…]", span);
            self.infer(cx, key);
            return Typed::poison(span);
        }
        let (core, inner_taint) = untainted(core);
        let core = core.clone();
        let at = At::place("a key");
        let taints_before = self.taints;
        let (key, of) = match &core {
            Type::List(of, _) => {
                (self.check(cx, key, &Type::Sensitive(Box::new(Type::INT)), &At::place("an index")), (**of).clone())
            }
            Type::Map(of) => (self.map_key(cx, key, &at), (**of).clone()),
            Type::Object(object) => {
                let key_expr = self.map_key(cx, key, &at);
                match self.constant_value(&key_expr).as_ref().and_then(Value::as_text) {
                    Some(text) => match object.fields.get(text) {
                        Some(field) => (key_expr, read_type(field)),
                        None if optional => (key_expr, Type::Null),
                        None => {
                            let known: Vec<&str> = object.fields.keys().map(|it| &**it).collect();
                            let message = format!("there is no key `{text}` in {}", quoted(self.text(typed.expr.span)));
                            let near = nearest(text, known.iter().copied()).map(|near| format!("write `[\"{near}\"]`"));
                            let diagnostic = Code::NoSuchKey.error(message).label(key.span, "no such key");
                            let diagnostic = match near {
                                Some(near) => diagnostic.help(near),
                                None => diagnostic.help(format!("its keys: {}", listed(known))),
                            };
                            self.say(diagnostic);
                            return Typed::poison(span);
                        }
                    },
                    None => {
                        let types: Vec<Type> = object.fields.values().map(read_type).collect();
                        let spans = vec![typed.expr.span; types.len()];
                        (key_expr, self.joined("its fields", &types, &spans))
                    }
                }
            }
            Type::Any => {
                let key = self.infer(cx, key);
                (key.expr, Type::Any)
            }
            Type::Poison => return Typed::poison(span),
            other => {
                let diagnostic = Code::WrongType
                    .error(format!("{} is {}, which has no elements", quoted(self.text(typed.expr.span)), noun(other)))
                    .label(span, "only lists and maps have");
                self.say(diagnostic);
                self.infer(cx, key);
                return Typed::poison(span);
            }
        };
        let item = typed.item;
        if let (Some(item), false) = (item, optional) {
            self.check_instance_key(item, &key);
        }
        // Which element it is tells of the key.
        let tainted = tainted || inner_taint || self.taints > taints_before;
        let ty = if tainted { secret(of) } else { of };
        let ty = if optional { ty.optional() } else { ty };
        let kind = ExprKind::Index { of: Box::new(typed.expr), key: Box::new(key), optional };
        Typed { expr: Expr::new(kind, span), ty, item }
    }

    /// The key of a map: a text. An int is its decimal text, as in the addresses of keyed instances.
    fn map_key(&mut self, cx: &mut Cx, key: &'t Tree, at: &At<'_>) -> Expr {
        let typed = self.infer(cx, key);
        let (bare, _) = untainted(&typed.ty);
        if let Type::Int(_) = bare {
            let span = typed.expr.span;
            self.taints += u32::from(super::fit::holds_secret(&typed.ty));
            return self.folded(Expr::new(ExprKind::Text(vec![typed.expr]), span));
        }
        self.fitted(typed, &Type::Sensitive(Box::new(Type::TEXT)), at)
    }

    /// A constant key of a set whose keys are constant has to be one of them.
    fn check_instance_key(&mut self, item: crate::lang::resolve::ItemId, key: &Expr) {
        let Some(wanted) = self.constant_value(key) else { return };
        let Some(wanted) = wanted.as_text() else { return };
        let Some(keys) = self.constant_keys(item) else { return };
        if keys.contains(wanted) {
            return;
        }
        let entry = &self.tables.items[item.at()];
        let message = format!("there is no `{}.{}[\"{wanted}\"]`", entry.kind, entry.name);
        let near = nearest(wanted, keys.iter().map(|it| &**it)).map(str::to_owned);
        let diagnostic =
            Code::NoSuchKey.error(message).label(key.span, "no such key").label(entry.span, "its keys are declared here");
        let diagnostic = match near {
            Some(near) => diagnostic.help(format!("write `[\"{near}\"]`")),
            None => diagnostic.help(format!("its keys: {}", listed(keys.iter().map(|it| &**it)))),
        };
        self.say(diagnostic);
    }
}
