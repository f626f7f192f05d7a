//! Items: instances, resources, secrets, outputs, branches.

use std::sync::Arc;

use super::Checker;
use super::blocks::{Level, Part};
use super::body::FieldsOf;
use super::context::Cx;
use super::describe::{At, AtWhat};
use super::fit::Fit;
use super::narrow;
use super::shapes::untainted;
use crate::lang::program::{self, Body, Mode};
use crate::lang::resolve::{ItemId, Owner, ScopeId, What};
use crate::lang::syntax::tree::{self, EntryKind, Item, ItemKind};
use crate::model::expr::{Binary, Expr, ExprKind, Reference};
use crate::model::types::{FieldType, Need, ObjectType};
use crate::model::{Code, Name, Span, Type, Value};

impl<'t> Checker<'t> {
    /// The items of a scope.
    pub(super) fn check_items(&mut self, items: &'t [Item], scope: ScopeId) -> Body {
        let mut body = Body::default();
        self.add_items(items, scope, &mut body);
        body
    }

    pub(super) fn add_items(&mut self, items: &'t [Item], scope: ScopeId, body: &mut Body) {
        let of = self.tables.scope(scope);
        let is_file_level = matches!(of.owner, Owner::Stack | Owner::Library | Owner::Import) && of.path.is_empty() && !of.given;
        for item in items {
            match &item.kind {
                ItemKind::Let(it) => {
                    let id = self.tables.scope(scope).lets.get(&it.name.node).copied();
                    let own = id.filter(|id| std::ptr::eq(self.tables.lets[id.at()].ast, &**it));
                    if let Some(id) = own {
                        self.let_type(id, it.name.span);
                        if !is_file_level && let Some(done) = self.lets[id.at()].done() {
                            body.lets.push((*done.value).clone());
                        }
                    }
                }
                ItemKind::Secret(named) => {
                    let span = Span { end: named.name.span.end, ..item.span };
                    body.secrets.push(self.check_secret(named, scope, span));
                }
                ItemKind::Instance(it) => {
                    if let Some(instance) =
                        self.item_at(std::ptr::from_ref(&**it) as usize).and_then(|id| self.check_instance(id, it))
                    {
                        body.instances.push(instance);
                    }
                }
                ItemKind::Resource(it) => {
                    if let Some(resource) =
                        self.item_at(std::ptr::from_ref(&**it) as usize).and_then(|id| self.check_resource(id, it))
                    {
                        body.resources.push(resource);
                    }
                }
                ItemKind::Output(it) => {
                    let span = Span { end: it.name.span.end, ..item.span };
                    if let Some(output) = self.check_output(it, scope, span, body) {
                        body.outputs.push(output);
                    }
                }
                ItemKind::Signal(it) => {
                    let span = Span { end: it.name.span.end, ..item.span };
                    if let Some(signal) = self.check_signal(it, scope, span) {
                        body.signals.push(signal);
                    }
                }
                ItemKind::Require(it) => {
                    let mut cx = self.scope_cx(scope);
                    let require = self.check_require(&mut cx, it);
                    body.requires.push(require);
                }
                ItemKind::Rollout(it) => {
                    let span = Span { end: it.of.span.end, ..item.span };
                    body.rollouts.extend(self.check_rollout(it, scope, span));
                }
                ItemKind::If(it) => {
                    if let Some(branch) = self.check_branches(it) {
                        body.branches.push(branch);
                    }
                }
                _ => {}
            }
        }
    }

    fn item_at(&self, ast: usize) -> Option<ItemId> {
        self.by_ast.get(&ast).copied()
    }

    fn check_branches(&mut self, it: &'t tree::If) -> Option<program::Branch> {
        let id = self.ifs_by_ast.get(&(std::ptr::from_ref(it) as usize)).copied()?;
        let scopes = self.tables.ifs[id.at()].branches.clone();
        let conds = self.conditions_of(id)?;
        let bodies: Vec<&'t tree::Items> = it.branches.iter().map(|(_, items)| items).chain(&it.otherwise).collect();
        let mut checked: Vec<Body> = Vec::with_capacity(bodies.len());
        for (items, scope) in bodies.into_iter().zip(scopes) {
            checked.push(self.check_items(&items.items, scope));
        }
        let mut otherwise = if checked.len() > conds.len() { checked.pop().unwrap_or_default() } else { Body::default() };
        let mut outermost = None;
        for (cond, then) in conds.iter().zip(checked).rev() {
            if let Some(inner) = outermost.take() {
                otherwise = Body { branches: vec![inner], ..Body::default() };
            }
            outermost = Some(program::Branch { cond: cond.clone(), then, otherwise: std::mem::take(&mut otherwise) });
        }
        outermost
    }

    fn check_instance(&mut self, id: ItemId, it: &'t tree::Instance) -> Option<program::Instance> {
        let What::Instance(_, kind) = self.tables.items[id.at()].what else { return None };
        let (span, scope) = (self.tables.items[id.at()].span, self.tables.items[id.at()].scope);
        let head = self.head_of(id)?;
        let mut cx = self.head_cx(id)?;
        let name = self.tables.kinds[kind.at()].name.clone();
        let written = &it.kind;
        let inputs = self.kinds[kind.at()].inputs.clone();
        let fields = FieldsOf::Inputs(&inputs);
        let folded = self.fold(&mut cx, &it.body, &fields, &format!("`{written}`"), None, false, Level::Item);
        let who = format!("`{written}.{}`", it.name.node);
        let declared = |input: &str| inputs.iter().find(|it| &*it.name == input).map(|it| it.declared);
        self.require_fields(&folded, &fields, &who, span, declared);
        let mut given: Vec<(Name, Expr, Span)> = Vec::with_capacity(folded.parts.len());
        for part in folded.parts {
            match part {
                Part::Field { name, value, span } => give(&mut given, name, value, span),
                Part::Spread { value, ty } => self.spread_inputs(&value, &ty, &inputs, &mut given),
            }
        }
        let lifecycle = self.check_lifecycle(&mut cx, &it.body, None, scope);
        let overrides = self.check_overrides(&mut cx, &it.body, kind);
        let requires = self.check_requires(&mut cx, &it.body);
        self.items[id.at()].inputs = Some(Arc::new(given.clone()));
        let by = match self.tables.scope(scope).owner {
            Owner::Kind(by) => {
                self.uses.push((by, kind, span));
                Some(by)
            }
            _ => None,
        };
        self.called(by, kind, id);
        self.note_sources(kind, &head.head, scope);
        Some(program::Instance {
            kind: name,
            name: it.name.node.clone(),
            head: head.head.clone(),
            inputs: given,
            lifecycle,
            overrides,
            requires,
            span,
        })
    }

    /// Remembers of which kinds' instances an item's head, and the branches around it, make use.
    fn note_sources(&mut self, kind: crate::lang::resolve::KindId, head: &program::Head, scope: ScopeId) {
        let mut exprs: Vec<Expr> = head.each.iter().map(|each| each.over.clone()).chain(head.cond.clone()).collect();
        for (id, _) in self.tables.scope(scope).path.clone() {
            exprs.extend(self.conditions_of(id).iter().flat_map(|conds| conds.iter().cloned()));
        }
        let mut lets = rustc_hash::FxHashSet::default();
        while let Some(expr) = exprs.pop() {
            match &expr.kind {
                ExprKind::Name(Reference::Instances(of)) => {
                    if let Some(of) = self.kind_id(of) {
                        self.made_from.push((kind, of, expr.span));
                    }
                }
                ExprKind::Name(Reference::Let(place, name)) => {
                    let found = self.tables.let_of(scope, *place, name);
                    if let Some(id) = found.filter(|id| lets.insert(*id))
                        && let Some(done) = self.lets[id.at()].done()
                    {
                        exprs.push(done.value.value.clone());
                    }
                }
                _ => super::taint::children(&expr, &mut |child| {
                    if !matches!(child.kind, ExprKind::Literal(_) | ExprKind::Local(_)) {
                        exprs.push(child.clone());
                    }
                }),
            }
        }
    }

    /// `...object` in an instance gives each of its fields.
    fn spread_inputs(&mut self, value: &Expr, ty: &Type, inputs: &[super::InputType], given: &mut Vec<(Name, Expr, Span)>) {
        let Type::Object(object) = untainted(ty).0 else { return };
        for (name, field) in &object.fields {
            let kind = ExprKind::Field { of: Box::new(value.clone()), name: name.clone(), optional: false };
            let read = Expr::new(kind, value.span);
            let read = match field.need {
                Need::Absent => {
                    let before = given.iter().find(|(given, ..)| given == name).map(|(_, expr, _)| expr.clone());
                    let input = inputs.iter().find(|input| input.name == *name);
                    let otherwise = match (before, input) {
                        (Some(before), _) => Some(before),
                        (None, Some(input)) if matches!(*input.ty, Type::Optional(_)) => None,
                        (None, Some(input)) if input.default.is_some() => {
                            let at = At::field(name, Some(input.declared));
                            self.say_unfit(&field.ty.clone().optional(), &input.ty, Fit::MaybeNull, &at, value.span);
                            None
                        }
                        _ => None,
                    };
                    match otherwise {
                        Some(otherwise) => {
                            Expr::new(ExprKind::Binary(Binary::Else, Box::new(read), Box::new(otherwise)), value.span)
                        }
                        None => read,
                    }
                }
                _ => read,
            };
            give(given, name.clone(), read, value.span);
        }
    }

    fn check_resource(&mut self, id: ItemId, it: &'t tree::Resource) -> Option<program::Resource> {
        let What::Resource(_, kind) = &self.tables.items[id.at()].what else { return None };
        let kind = kind.clone();
        let (span, scope) = (self.tables.items[id.at()].span, self.tables.items[id.at()].scope);
        let head = self.head_of(id)?;
        if self.tables.scope(scope).owner == Owner::Stack && head.head.on.is_none() {
            self.needs_provider(kind.provider(), it.kind.span);
        }
        let mut cx = self.head_cx(id)?;
        let fields = FieldsOf::Attributes(&kind);
        let folded = self.fold(&mut cx, &it.body, &fields, &format!("`{}`", kind.name), None, false, Level::Item);
        let who = format!("`{}.{}`", kind.name, it.name.node);
        self.require_fields(&folded, &fields, &who, span, |_| None);
        let lifecycle = self.check_lifecycle(&mut cx, &it.body, Some(&kind), scope);
        let requires = self.check_requires(&mut cx, &it.body);
        if it.mode == tree::ResourceMode::Shared {
            self.check_shared(&folded.parts, &head.head);
        }
        for entry in &it.body.entries {
            if let EntryKind::On(on) = &entry.kind {
                let diagnostic = Code::Syntax
                    .error("`on` changes what an instance lowers to, and this is a resource")
                    .label(on.provider.span, "cannot stand here")
                    .help("write the attributes into the resource itself");
                self.say(diagnostic);
            }
        }
        let body_span = if it.body.entries.is_empty() { span } else { it.body.span };
        let mode = match it.mode {
            tree::ResourceMode::Owned => Mode::Owned,
            tree::ResourceMode::Shared => Mode::Shared,
            tree::ResourceMode::Data => Mode::Data,
        };
        Some(program::Resource {
            mode,
            kind,
            name: it.name.node.clone(),
            head: head.head.clone(),
            fields: Expr::new(ExprKind::Map(folded.into_map()), body_span),
            lifecycle,
            requires,
            span,
        })
    }

    /// A shared resource exists once for all that use it: it reads nothing that differs between them.
    fn check_shared(&mut self, parts: &[Part], head: &program::Head) {
        let mut exprs: Vec<&Expr> = parts
            .iter()
            .map(|part| match part {
                Part::Field { value, .. } | Part::Spread { value, .. } => value,
            })
            .collect();
        exprs.extend(&head.cond);
        exprs.extend(head.each.as_ref().map(|each| &each.over));
        let mut wrong = Vec::new();
        while let Some(expr) = exprs.pop() {
            match &expr.kind {
                ExprKind::Name(Reference::Input(name)) => wrong.push((format!("input.{name}"), expr.span)),
                ExprKind::Name(Reference::SelfField(name)) => wrong.push((format!("self.{name}"), expr.span)),
                ExprKind::Name(Reference::Secret { name, .. }) => wrong.push((format!("secret.{name}"), expr.span)),
                ExprKind::Name(Reference::Instance { kind, name }) => wrong.push((format!("{kind}.{name}"), expr.span)),
                _ => super::taint::children(expr, &mut |child| exprs.push(child)),
            }
        }
        wrong.sort_by_key(|(_, span)| (span.source, span.start));
        for (what, span) in wrong {
            let diagnostic = Code::UnknownName
                .error(format!("a shared resource does not see `{what}`"))
                .label(span, "differs between those that share it")
                .help("it reads only `stack`, `env`, `provider` and other shared resources");
            self.say(diagnostic);
        }
    }

    /// The fields of a `secret`.
    fn check_secret(&mut self, named: &'t tree::Named, scope: ScopeId, span: Span) -> program::Secret {
        let field = |ty: Type| FieldType { ty, need: Need::Absent };
        let formats = ["base64url", "hex", "alnum", "ed25519"].map(Value::text).to_vec();
        let fields = [
            ("generate", field(Type::Size)),
            ("format", field(Type::Literals(Arc::new(formats)))),
            ("rotate", field(Type::Duration)),
            ("overlap", field(Type::Duration)),
        ];
        let object = Arc::new(ObjectType { fields: fields.map(|(name, field)| (name.into(), field)).into(), name: None });
        let mut cx = self.scope_cx(scope);
        let who = format!("`secret.{}`", named.name.node);
        let folded = self.fold(&mut cx, &named.body, &FieldsOf::Object(&object), &who, None, false, Level::Inside);
        let mut secret =
            program::Secret { name: named.name.node.clone(), span, generate: None, format: None, rotate: None, overlap: None };
        for part in folded.parts {
            let Part::Field { name, value, .. } = part else { continue };
            match &*name {
                "generate" => secret.generate = Some(value),
                "format" => secret.format = Some(value),
                "rotate" => secret.rotate = Some(value),
                "overlap" => secret.overlap = Some(value),
                _ => {}
            }
        }
        if let (None, Some(format)) = (&secret.generate, &secret.format) {
            let diagnostic = Code::MissingField
                .error(format!("{who} has a `format`, and nothing is generated"))
                .label(format.span, "needs `generate: size`")
                .help("such as `generate = 32B`");
            self.say(diagnostic);
        }
        let in_component = matches!(self.tables.scope(scope).owner, crate::lang::resolve::Owner::Kind(_));
        if secret.generate.is_none() && in_component {
            let diagnostic = Code::MissingField
                .error(format!("{who} stands in a component, and nothing is generated"))
                .label(span, "needs `generate: size`")
                .help(format!("write `generate = 32B`, or take it from the caller: `input {}: secret<string>`", named.name.node));
            self.say(diagnostic);
        }
        secret
    }

    fn check_output(&mut self, it: &'t tree::Output, scope: ScopeId, span: Span, body: &Body) -> Option<program::OutputValue> {
        let owner = self.tables.scope(scope).owner;
        let mut cx = self.scope_cx(scope);
        let name = it.name.node.clone();
        let declared = match owner {
            Owner::Kind(kind) => match self.kinds[kind.at()].outputs.get(&name).cloned() {
                Some(declared) => {
                    if let Some(cond) = &declared.cond {
                        narrow::learn(&mut cx, cond, true);
                    }
                    Some(declared)
                }
                None => {
                    if let Some(value) = &it.value {
                        self.quietly(|checker| checker.infer(&mut cx, value));
                    }
                    self.say_undeclared("output", kind, &it.name);
                    return None;
                }
            },
            _ => None,
        };
        if let Some(first) = body.outputs.iter().find(|output| output.name == name) {
            let first = first.span;
            let diagnostic = Code::Duplicate
                .error(format!("output `{name}` is given twice"))
                .label(span, "second value")
                .label(first, "first value");
            self.say(diagnostic);
        }
        let is_stack = !matches!(owner, Owner::Kind(_));
        let (cond, within) = match is_stack {
            true => {
                let cond = it.cond.as_ref().map(|cond| self.condition(&mut cx, cond).0);
                if let Some(cond) = &cond {
                    narrow::learn(&mut cx, cond, true);
                }
                let within = it.within.as_ref().map(|within| self.check(&mut cx, within, &Type::TEXT, &At::place("`within`")));
                (cond, within)
            }
            // Those of a component belong to the declaration.
            false => (None, None),
        };
        let Some(value) = &it.value else {
            if is_stack {
                let diagnostic = Code::MissingField
                    .error(format!("output `{name}` has no value"))
                    .label(span, "needs `= …`".to_string())
                    .help(format!("write `output {name} = …`"));
                self.say(diagnostic);
            }
            return None;
        };
        let at = At { what: AtWhat::Output(&name), outer: None, declared: declared.as_ref().map(|it| it.span) };
        let directory = self.tables.scope(scope).directory;
        let written = match (&declared, &it.ty) {
            (Some(declared), _) => Some(declared.ty.clone()),
            (None, Some(ty)) => Some(self.type_of(ty, directory)),
            (None, None) => None,
        };
        let (value, ty) = match written {
            Some(ty) => (self.check(&mut cx, value, &ty, &at), ty),
            None => {
                let typed = self.infer(&mut cx, value);
                if let Type::Null = typed.ty {
                    let diagnostic = Code::WrongType
                        .error(format!("output `{name}` is always null"))
                        .label(value.span, "needs a type")
                        .help(format!("write `output {name}: T? = null`"));
                    self.say(diagnostic);
                }
                (typed.expr, typed.ty)
            }
        };
        if let Owner::Kind(kind) = owner {
            self.kinds[kind.at()].values.push((name.clone(), value.clone()));
        }
        Some(program::OutputValue { name, ty, value, cond, within, span })
    }

    fn check_signal(&mut self, it: &'t tree::Signal, scope: ScopeId, span: Span) -> Option<program::SignalValue> {
        let Owner::Kind(kind) = self.tables.scope(scope).owner else { return None };
        let name = it.name.node.clone();
        let Some(declared) = self.kinds[kind.at()].signals.get(&name).cloned() else {
            self.say_undeclared("signal", kind, &it.name);
            return None;
        };
        let value = it.value.as_ref()?;
        let mut cx = self.scope_cx(scope);
        let own = it.params.as_ref().and_then(|params| params.first());
        let declaration = self.tables.kinds[kind.at()].signals.iter().find(|(signal, _)| signal.name.node == name);
        let param = own.or_else(|| declaration.and_then(|(signal, _)| signal.params.as_ref()?.first()));
        let window = param.map(|param| cx.bind(&param.name.node, Type::Duration, None));
        let at_words = format!("signal `{name}`");
        let value = self.check(&mut cx, value, &declared.ty, &At::place(&at_words));
        Some(program::SignalValue { name, window, value, span })
    }

    fn say_undeclared(&mut self, what: &str, kind: crate::lang::resolve::KindId, name: &tree::Name) {
        let component = self.tables.kinds[kind.at()].name.clone();
        if self.tables.may_be_broken(self.tables.kinds[kind.at()].directory, &[what, &name.node]) {
            return;
        }
        let mut known: Vec<Name> = match what {
            "output" => self.kinds[kind.at()].outputs.keys().cloned().collect(),
            _ => self.kinds[kind.at()].signals.keys().cloned().collect(),
        };
        known.sort();
        let near = crate::lang::resolve::nearest(&name.node, known.iter().map(|it| &**it)).map(str::to_owned);
        let diagnostic = Code::UnknownName
            .error(format!("component `{component}` declares no {what} `{}`", name.node))
            .label(name.span, "not declared");
        let diagnostic = match near {
            Some(near) => diagnostic.help(format!("write `{near}`")),
            None => diagnostic.help(format!("declare it directly in the component: `{what} {}: T`", name.node)),
        };
        self.say(diagnostic);
    }

    pub(super) fn check_require(&mut self, cx: &mut Cx, it: &'t tree::Require) -> program::Require {
        let (cond, tainted) = self.condition(cx, &it.cond);
        let _ = tainted;
        let mark = cx.mark();
        narrow::learn(cx, &cond, false);
        let message = self.check(cx, &it.message, &Type::TEXT, &At::place("the text of `require`"));
        cx.reset(mark);
        let mut reads = Vec::new();
        self.reads_of(cx.scope, &cond, &mut reads, 0);
        program::Require { cond, message, span: it.span, reads }
    }

    /// Inputs that a condition reads, also through lets.
    fn reads_of(&self, scope: ScopeId, expr: &Expr, reads: &mut Vec<Name>, depth: u32) {
        match &expr.kind {
            ExprKind::Name(Reference::Input(name)) => {
                if !reads.contains(name) {
                    reads.push(name.clone());
                }
            }
            ExprKind::Name(Reference::Let(place, name)) if depth < 30 => {
                if let Some(id) = self.tables.let_of(scope, *place, name)
                    && let Some(done) = self.lets[id.at()].done()
                {
                    self.reads_of(self.tables.lets[id.at()].scope, &done.value.value, reads, depth + 1);
                }
            }
            _ => super::taint::children(expr, &mut |child| self.reads_of(scope, child, reads, depth)),
        }
    }

    fn check_requires(&mut self, cx: &mut Cx, body: &'t tree::Body) -> Vec<program::Require> {
        let mut requires = Vec::new();
        for entry in &body.entries {
            if let EntryKind::Require(it) = &entry.kind {
                requires.push(self.check_require(cx, it));
            }
        }
        requires
    }
}

/// The last value of an input wins.
fn give(given: &mut Vec<(Name, Expr, Span)>, name: Name, value: Expr, span: Span) {
    match given.iter_mut().find(|(before, ..)| *before == name) {
        Some(before) => *before = (name, value, span),
        None => given.push((name, value, span)),
    }
}
