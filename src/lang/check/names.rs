//! Bare names: variables, and what the wanted type offers.

use std::sync::Arc;

use super::context::{Cx, Typed, poison};
use super::describe::{At, article, listed, noun};
use super::infer::Wanted;
use super::narrow;
use super::{Checker, LetType, Progress};
use crate::lang::program;
use crate::lang::resolve::{DirId, ItemId, LIBRARY, LetId, Owner, What, free_names, nearest, snake_case};
use crate::lang::syntax::tree;
use crate::model::expr::{Expr, ExprKind, Reference, Scope};
use crate::model::types::{Need, VariantType};
use crate::model::value::Data;
use crate::model::{Code, Confidence, Edit, Fields, Name, ProviderName, Span, Type, Value};

/// Names with which references begin that are no variables.
pub const ROOTS: [&str; 6] = ["input", "env", "stack", "self", "provider", "secret"];

impl<'t> Checker<'t> {
    pub(super) fn directory(&self, cx: &Cx) -> DirId {
        self.tables.scope(cx.scope).directory
    }

    /// Whether a bare name is no variable here.
    pub(super) fn is_free(&self, cx: &Cx, name: &str) -> bool {
        cx.local(name).is_none() && self.tables.find_let(cx.scope, name).is_none()
    }

    /// A variable or a `let`.
    pub(super) fn variable(&mut self, cx: &Cx, name: &str, span: Span) -> Option<Typed> {
        if let Some(local) = cx.local(name) {
            let mut typed = Typed::new(ExprKind::Local(local.slot), span, local.ty.clone());
            typed.item = local.item;
            return Some(narrowed(cx, typed));
        }
        let id = self.tables.find_let(cx.scope, name)?;
        let ty = self.let_type(id, span);
        let entry = &self.tables.lets[id.at()];
        let of = self.tables.scope(entry.scope);
        let scope = match of.owner {
            Owner::Library if self.directory(cx) != LIBRARY => Scope::Library,
            Owner::Stack if of.path.is_empty() && !of.given => Scope::File,
            Owner::Library | Owner::Import => Scope::File,
            _ => Scope::Here,
        };
        let name = entry.ast.name.node.clone();
        Some(narrowed(cx, Typed::new(ExprKind::Name(Reference::Let(scope, name)), span, ty)))
    }

    pub(super) fn infer_name(&mut self, cx: &mut Cx, name: &Name, span: Span) -> Typed {
        if let Some(typed) = self.variable(cx, name, span) {
            return typed;
        }
        if &**name == "provider" {
            return self.own_provider(cx, span);
        }
        if let Some((value, ty)) = self.provider_value(name, span) {
            return Typed { expr: Expr::literal(value), ty: Type::Provider(ty), item: None };
        }
        if &**name == "plan" && cx.rules.is_some() {
            self.say_plan_alone(span);
            return Typed::poison(span);
        }
        self.say_unknown_variable(cx, name, span);
        Typed::poison(span)
    }

    /// A bare name where a type is wanted that may offer it.
    pub(super) fn check_name(&mut self, cx: &mut Cx, name: &Name, span: Span, want: &Type, at: &At<'_>) -> Expr {
        let wanted = Wanted::of(want);
        let offered = match wanted.core {
            Type::Variant(variant) => variant.cases.contains_key(name),
            Type::Provider(_) => &**name == "provider" || self.provider_value(name, span).is_some(),
            _ => false,
        };
        match self.variable(cx, name, span) {
            Some(_) if offered => {
                let what = match wanted.core {
                    Type::Variant(_) => "a label of the type that is wanted here",
                    _ => "a provider instance",
                };
                let diagnostic = Code::Ambiguous
                    .error(format!("`{name}` is a variable, and {what}"))
                    .label(span, "stands for two things at once")
                    .help(format!("rename the variable, or write `({name} {{}})` for the label"));
                self.say(diagnostic);
                poison(span)
            }
            Some(typed) => self.fitted(typed, want, at),
            None => match wanted.core {
                Type::Variant(variant) if offered => {
                    let kind = self.bare_label(variant, name, span, at);
                    wanted.finish(kind, span)
                }
                Type::Variant(variant) => {
                    self.say_unknown_label(variant, name, span, at);
                    poison(span)
                }
                Type::Literals(members) if members.iter().any(|member| member.as_text() == Some(&**name)) => {
                    let diagnostic = Code::UnknownName
                        .error(format!("there is no `{name}`"))
                        .label(span, "a string has quotes")
                        .help(format!("write `\"{name}\"`"))
                        .fix("put it in quotes", Confidence::Sure, vec![Edit { span, text: format!("\"{name}\"") }]);
                    self.say(diagnostic);
                    poison(span)
                }
                _ => {
                    let typed = self.infer_name(cx, name, span);
                    if matches!(typed.ty, Type::Poison) {
                        self.bare_word(cx, name, span, want);
                    }
                    self.fitted(typed, want, at)
                }
            },
        }
    }

    /// A label alone, which is a value where none of its fields has to be given.
    fn bare_label(&mut self, variant: &VariantType, label: &Name, span: Span, at: &At<'_>) -> ExprKind {
        let case = &variant.cases[label];
        let mut fields = Fields::new();
        for (name, field) in &case.fields {
            match &field.need {
                Need::Default(value) => drop(fields.insert(name.clone(), value.clone())),
                Need::Absent => {}
                Need::Required if matches!(field.ty, Type::Optional(_)) => {}
                Need::Required => {
                    let diagnostic = Code::MissingField
                        .error(format!("`{label}` is missing `{name}`"))
                        .label(span, format!("needs `{name}: {}`", field.ty))
                        .help(format!("write `{label} {{ {name} = … }}`"));
                    let diagnostic = self.with_declaration(diagnostic, at);
                    self.say(diagnostic);
                }
            }
        }
        ExprKind::Literal(Value::new(Data::Variant(label.clone(), Arc::new(fields)), span))
    }

    pub(super) fn say_unknown_label(&mut self, variant: &VariantType, label: &str, span: Span, at: &At<'_>) {
        let labels: Vec<&str> = variant.cases.keys().map(|it| &**it).collect();
        let diagnostic = Code::WrongType
            .error(format!(
                "{} takes {}, and `{label}` is none of them",
                at.words(),
                noun(&Type::Variant(Arc::new(variant.clone())))
            ))
            .label(span, format!("expected one of {}", listed(labels.iter().copied())));
        let diagnostic = Self::with_near(diagnostic, label, span, labels).unwrap_or_else(|it| it);
        let diagnostic = self.with_declaration(diagnostic, at);
        self.say(diagnostic);
    }

    /// The provider instance that a bare name means: a named one, or the one of a provider type without a name.
    pub(super) fn provider_value(&self, name: &str, span: Span) -> Option<(Value, Name)> {
        let found = match self.tables.named_provider(name) {
            Some(named) => ProviderName { ty: named.provider.node.clone(), name: Some(name.into()) },
            None => {
                let (ty, _) = self.schemas.providers.get_key_value(name)?;
                ProviderName { ty: ty.clone(), name: None }
            }
        };
        let ty = found.ty.clone();
        Some((Value::new(Data::Provider(found), span), ty))
    }

    /// `provider` alone: where the surrounding clause is lowered to.
    pub(super) fn own_provider(&mut self, cx: &Cx, span: Span) -> Typed {
        let scope = self.tables.scope(cx.scope);
        if !matches!(scope.owner, Owner::Kind(_)) || cx.function {
            let diagnostic = Code::UnknownName
                .error("there is no `provider` here")
                .label(span, "only in a component")
                .help("name the provider instance, such as `fly`");
            self.say(diagnostic);
            return Typed::poison(span);
        }
        let ty = scope.clause.clone().unwrap_or_else(|| "".into());
        Typed::new(ExprKind::Name(Reference::Provider), span, Type::Provider(ty))
    }

    fn say_unknown_variable(&mut self, cx: &Cx, name: &str, span: Span) {
        let directory = self.directory(cx);
        if self.say_habit_of_word(name, span) {
            return;
        }
        if self.tables.may_be_broken(directory, &[name]) {
            return;
        }
        if self.tables.directories[directory.at()].imports.contains_key(name) {
            let diagnostic = Code::UnknownName
                .error(format!("`{name}` is an import, not a value"))
                .label(span, "names nothing in it")
                .help(format!("write `{name}.NAME`"));
            return self.say(diagnostic);
        }
        if let Some(kind) = self.tables.find_kind(directory, name) {
            let kind = self.tables.kinds[kind.at()].name.clone();
            let example = self.tables.items_of(cx.scope, &kind).first().map_or("name", |(name, _)| name).to_owned();
            let diagnostic = Code::UnknownName
                .error(format!("`{name}` is a kind, not a value"))
                .label(span, "names no instance")
                .help(format!("write `{name}.{example}` for one, or `instances({name})` for all"));
            return self.say(diagnostic);
        }
        if ROOTS.contains(&name) {
            let diagnostic = Code::UnknownName.error(format!("`{name}` alone is no value")).label(span, "needs a field").help(
                format!("write `{name}.{}`", if name == "stack" || name == "env" || name == "self" { "name" } else { "NAME" }),
            );
            return self.say(diagnostic);
        }
        if self.tables.find_function(directory, name).is_some() || crate::eval::builtins::find(name).is_some() {
            let diagnostic = Code::UnknownName
                .error(format!("`{name}` is a function, not a value"))
                .label(span, "needs its arguments")
                .help(format!("write `{name}(…)`"));
            return self.say(diagnostic);
        }
        // A name by itself that an input bears is most likely meant as that input.
        let inputs = self.visible_inputs(cx);
        if inputs.iter().any(|input| &*input.name == name) {
            let diagnostic = Code::UnknownName
                .error(format!("there is no `{name}`"))
                .label(span, "an input is written with `input.`")
                .help(format!("write `input.{name}`"))
                .fix(format!("write `input.{name}`"), Confidence::Sure, vec![Edit { span, text: format!("input.{name}") }]);
            return self.say(diagnostic);
        }
        if !self.looks_for_similar() {
            return self.say_unknown_name(name, span, "value", &[]);
        }
        let mut similar: Vec<(String, Option<Span>)> = cx.locals.iter().map(|local| (local.name.to_string(), None)).collect();
        for scope in self.tables.outwards(cx.scope) {
            let lets = &self.tables.scope(scope).let_order;
            similar.extend(lets.iter().map(|id| {
                let entry = &self.tables.lets[id.at()];
                (entry.ast.name.node.to_string(), Some(entry.span))
            }));
        }
        similar.extend(
            self.tables.providers.iter().filter_map(|(it, span)| Some((it.name.as_ref()?.node.to_string(), Some(*span)))),
        );
        self.say_unknown_name(name, span, "value", &similar);
    }

    /// Inputs that `input.` reaches here.
    pub(super) fn visible_inputs(&self, cx: &Cx) -> Arc<Vec<super::InputType>> {
        match self.tables.scope(cx.scope).owner {
            _ if cx.function => Arc::default(),
            Owner::Stack => self.inputs.clone(),
            Owner::Library | Owner::Import => Arc::default(),
            Owner::Kind(kind) => self.kinds[kind.at()].inputs.clone(),
        }
    }

    /// The type of a `let`, which is checked now if it was not.
    pub(super) fn let_type(&mut self, id: LetId, used: Span) -> Type {
        match &self.lets[id.at()] {
            Progress::Done(it) => return it.ty.clone(),
            Progress::Busy => {
                let entry = &self.tables.lets[id.at()];
                let (name, span) = (entry.ast.name.node.clone(), entry.span);
                self.say_circle(&[(name, used, span)]);
                return Type::Poison;
            }
            Progress::Waiting => {}
        }
        self.ensure_let(id);
        self.lets[id.at()].done().map_or(Type::Poison, |it| it.ty.clone())
    }

    /// Checks a `let` and those that it needs, the needed ones first: however long a chain is, the stack stays flat.
    fn ensure_let(&mut self, id: LetId) {
        let mut open: Vec<(LetId, Vec<(LetId, Span)>)> = Vec::new();
        let needed = self.needed_lets(id);
        open.push((id, needed));
        let mut on_path: rustc_hash::FxHashSet<LetId> = [id].into_iter().collect();
        while let Some((current, needs)) = open.last_mut() {
            let current = *current;
            match needs.pop() {
                Some((next, used)) => {
                    if !matches!(self.lets[next.at()], Progress::Waiting) {
                        continue;
                    }
                    if on_path.contains(&next) {
                        self.let_circle(&open, next, used);
                        continue;
                    }
                    let needed = self.needed_lets(next);
                    on_path.insert(next);
                    open.push((next, needed));
                }
                None => {
                    open.pop();
                    on_path.remove(&current);
                    if matches!(self.lets[current.at()], Progress::Waiting) {
                        self.check_let(current);
                    }
                }
            }
        }
    }

    fn needed_lets(&self, id: LetId) -> Vec<(LetId, Span)> {
        let entry = &self.tables.lets[id.at()];
        let mut needed: Vec<_> = free_names(&entry.ast.value, &[])
            .into_iter()
            .filter_map(|(name, span)| Some((self.tables.find_let(entry.scope, &name)?, span)))
            .collect();
        needed.reverse();
        needed
    }

    /// Says that the lets from `back_to` to the innermost open one need each other.
    fn let_circle(&mut self, open: &[(LetId, Vec<(LetId, Span)>)], back_to: LetId, used: Span) {
        let from = open.iter().position(|(id, _)| *id == back_to).unwrap_or(0);
        let mut circle = Vec::new();
        for (at, (id, _)) in open[from..].iter().enumerate() {
            let entry = &self.tables.lets[id.at()];
            let next = open.get(from + at + 1).map_or(back_to, |(id, _)| *id);
            let next_name = &self.tables.lets[next.at()].ast.name.node;
            let uses = free_names(&entry.ast.value, &[]).into_iter().find(|(name, _)| name == next_name);
            circle.push((entry.ast.name.node.clone(), uses.map_or(used, |(_, span)| span), entry.span));
        }
        let ids: Vec<_> = open[from..].iter().map(|(id, _)| *id).collect();
        self.say_circle(&circle);
        for id in ids {
            self.poison_let(id);
        }
    }

    /// Names that need each other, with the place where each needs the next.
    pub(super) fn say_circle(&mut self, circle: &[(Name, Span, Span)]) {
        let names: Vec<String> = circle.iter().map(|(name, ..)| format!("`{name}`")).collect();
        let message = match &names[..] {
            [only] => format!("{only} needs itself"),
            [a, b] => format!("{a} and {b} wait for each other"),
            [first @ .., last] => format!("{} and {last} wait for each other", first.join(", ")),
            [] => return,
        };
        let mut diagnostic = Code::Cycle.error(message);
        for (at, (name, used, _)) in circle.iter().enumerate().take(12) {
            let next = &circle[(at + 1) % circle.len()].0;
            let words = match circle.len() {
                1 => "needs itself".to_owned(),
                _ => format!("{}: {name} needs {next}", at + 1),
            };
            diagnostic = diagnostic.label(*used, words);
        }
        self.say(diagnostic.help("break one of these: what both sides need belongs in a `let` of its own"));
    }

    fn poison_let(&mut self, id: LetId) {
        let entry = &self.tables.lets[id.at()];
        let value = program::Let {
            name: entry.ast.name.node.clone(),
            value: poison(entry.ast.value.span),
            ty: Type::Poison,
            span: entry.span,
        };
        self.lets[id.at()] = Progress::Done(LetType { ty: Type::Poison, value: Arc::new(value) });
    }

    fn check_let(&mut self, id: LetId) {
        self.lets[id.at()] = Progress::Busy;
        let entry = &self.tables.lets[id.at()];
        let (ast, span, scope) = (entry.ast, entry.span, entry.scope);
        let directory = self.tables.scope(scope).directory;
        let mut cx = self.scope_cx(scope);
        let name = ast.name.node.clone();
        // A mistake in it is said once, whoever asks first.
        let quiet = std::mem::take(&mut self.quiet);
        let (value, ty) = match &ast.ty {
            Some(written) => {
                let ty = self.type_of(written, directory);
                let at = At { what: super::describe::AtWhat::Let(&name), outer: None, declared: None };
                (self.check(&mut cx, &ast.value, &ty, &at), ty)
            }
            None => {
                let typed = self.infer(&mut cx, &ast.value);
                (typed.expr, typed.ty)
            }
        };
        self.quiet = quiet;
        let value = Arc::new(program::Let { name, value, ty: ty.clone(), span });
        self.lets[id.at()] = Progress::Done(LetType { ty, value });
    }

    /// The context of items in a scope: what the branches around it tell.
    pub(super) fn scope_cx(&mut self, scope: crate::lang::resolve::ScopeId) -> Cx {
        let mut cx = Cx::new(scope);
        let path = self.tables.scope(scope).path.clone();
        for (id, branch) in path {
            self.learn_branch(&mut cx, id, branch);
        }
        cx
    }

    /// The item that a reference names, and how it is typed: a map where it is keyed, `T?` where it may be missing.
    pub(super) fn item_ref(&mut self, cx: &Cx, ids: &[ItemId], span: Span) -> Typed {
        let entry = &self.tables.items[ids[0].at()];
        let (kind, name, keyed) = (entry.kind.clone(), entry.name.clone(), entry.keyed);
        let (reference, one) = match &entry.what {
            What::Instance(_, id) => {
                let kind = self.tables.kinds[id.at()].name.clone();
                (Reference::Instance { kind: kind.clone(), name }, Type::Ref(kind))
            }
            What::Resource(..) => (Reference::Resource { kind: kind.clone(), name }, Type::Resource(kind)),
            What::Secret(_) | What::Unknown => return Typed::poison(span),
        };
        let expr = Expr::new(ExprKind::Name(reference), span);
        let ty = if keyed { Type::map(one) } else { one };
        let there = narrow::is_not_null(cx, &expr) || self.is_there(cx, ids);
        let ty = if there { ty } else { ty.optional() };
        Typed { expr, ty, item: (ids.len() == 1).then_some(ids[0]) }
    }

    /// Whether one of the items that share an address is certainly there, as seen from here.
    fn is_there(&mut self, cx: &Cx, ids: &[ItemId]) -> bool {
        let here = self.tables.scope(cx.scope).path.clone();
        let mut open: Vec<Vec<(crate::lang::resolve::IfId, u32)>> = Vec::new();
        for id in ids {
            let entry = &self.tables.items[id.at()];
            let (scope, keyed) = (entry.scope, entry.keyed);
            let path = self.tables.scope(scope).path.clone();
            // In another branch of an `if` that surrounds us it cannot be.
            if path.iter().any(|(at, branch)| here.iter().any(|(there, taken)| at == there && branch != taken)) {
                continue;
            }
            if !keyed && !self.head_holds(cx, *id) {
                continue;
            }
            let mut rest = Vec::new();
            for step in path.into_iter().filter(|step| !here.contains(step)) {
                match self.branch_holds(cx, step.0, step.1) {
                    Some(true) => {}
                    _ => rest.push(step),
                }
            }
            open.push(rest);
        }
        self.covers(&open, 0)
    }

    /// Whether alternatives under branches leave no case out.
    fn covers(&self, open: &[Vec<(crate::lang::resolve::IfId, u32)>], depth: usize) -> bool {
        if open.iter().any(|path| path.len() <= depth) {
            return true;
        }
        let Some((first, _)) = open.first().map(|path| path[depth]) else { return false };
        let entry = &self.tables.ifs[first.at()];
        if entry.ast.otherwise.is_none() {
            return false;
        }
        (0..entry.branches.len() as u32).all(|branch| {
            let taken: Vec<_> = open.iter().filter(|path| path[depth] == (first, branch)).cloned().collect();
            !taken.is_empty() && self.covers(&taken, depth + 1)
        })
    }

    /// A kind's name as the files of a directory write it.
    pub(super) fn written(&self, directory: DirId, kind: &str) -> Name {
        match self.kind_id(kind) {
            Some(id) => self.tables.written_kind(directory, id),
            None => kind.into(),
        }
    }

    pub(super) fn unknown_item(&mut self, cx: &Cx, kind: &str, name: &tree::Name, span: Span) {
        let directory = self.directory(cx);
        if self.tables.may_be_broken(directory, &[kind.rsplit('.').next().unwrap_or(kind), &name.node]) {
            return;
        }
        let known = if self.looks_for_similar() { self.tables.items_of(cx.scope, kind) } else { Vec::new() };
        let candidates: Vec<(String, Option<Span>)> =
            known.into_iter().map(|(name, span)| (format!("{kind}.{name}"), Some(span))).collect();
        let names: Vec<&str> = candidates.iter().map(|(it, _)| &it[kind.len() + 1..]).collect();
        let near = nearest(&name.node, names.iter().copied());
        let kind = &self.written(directory, kind);
        let candidates: Vec<(String, Option<Span>)> =
            candidates.iter().zip(&names).map(|((_, span), name)| (format!("{kind}.{name}"), *span)).collect();
        let full = format!("{kind}.{}", name.node);
        let mut diagnostic =
            Code::UnknownName.error(format!("there is no `{full}`")).label(span, "not defined in this stack or its imports");
        match near {
            Some(near) => {
                let near = format!("{kind}.{near}");
                if let Some((_, Some(defined))) = candidates.iter().find(|(it, _)| *it == near) {
                    diagnostic = diagnostic.label(*defined, format!("{} {kind} with a similar name", article(kind)));
                }
                diagnostic = diagnostic.help(format!("write `{near}`")).fix(
                    format!("write `{near}`"),
                    super::report::confidence(near == snake_case(&full)),
                    vec![Edit { span, text: near }],
                );
            }
            None if candidates.is_empty() => {}
            None => diagnostic = diagnostic.help(format!("there is {}", listed(candidates.iter().take(8).map(|(it, _)| &**it)))),
        }
        self.say(diagnostic);
    }
}

/// A value whose type has no `?` any more where it is known not to be null.
pub fn narrowed(cx: &Cx, mut typed: Typed) -> Typed {
    if let Type::Optional(of) = &typed.ty
        && !cx.facts.is_empty()
        && narrow::is_not_null(cx, &typed.expr)
    {
        typed.ty = (**of).clone();
    }
    typed
}
