//! Components: what callers see, and their bodies.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::describe::At;
use super::{Checker, InputType, OutputType, Progress, SignalType};
use crate::lang::program::{self, Component};
use crate::lang::resolve::{DirId, KindId, LetId};
use crate::lang::syntax::tree::{self, Item, ItemKind};
use crate::model::{Code, Name, Span, Type};

/// Names of an instance that the engine gives, which no output may bear.
const TAKEN: [&str; 1] = ["input"];

impl<'t> Checker<'t> {
    /// The type of an input, without its default.
    fn input_type(&mut self, input: &'t tree::Input, item: &Item, directory: DirId) -> InputType {
        let ty = self.type_of(&input.ty, directory);
        let required = input.default.is_none() && !matches!(ty, Type::Optional(_) | Type::Poison);
        let end = input.default.as_ref().map_or(input.ty.span.end, |default| default.span.end).min(item.span.end);
        let declared = Span { start: input.name.span.start, end, ..item.span };
        InputType { name: input.name.node.clone(), ty: Arc::new(ty), required, default: None, declared }
    }

    pub(super) fn declare_inputs(&mut self) {
        let inputs = self.tables.inputs.clone();
        let types = inputs.iter().map(|(input, item)| self.input_type(input, item, crate::lang::resolve::OWN)).collect();
        self.inputs = Arc::new(types);
    }

    /// Inputs of the stack with their defaults.
    pub(super) fn program_inputs(&mut self) -> Vec<program::Input> {
        let scope = self.tables.directories[0].scope.expect("the stack has a scope");
        let inputs = self.tables.inputs.clone();
        let types = self.inputs.clone();
        let mut made = Vec::with_capacity(inputs.len());
        for ((input, item), of) in inputs.iter().zip(types.iter()) {
            let mut cx =
                super::context::Cx { function: true, place: "the default of an input", ..super::context::Cx::new(scope) };
            let what = format!("the default of `input.{}`", of.name);
            let default = input.default.as_ref().map(|default| self.check(&mut cx, default, &of.ty, &At::place(&what)));
            let span = Span { end: input.name.span.end, ..item.span };
            made.push(program::Input { name: of.name.clone(), doc: item.doc.clone(), ty: (*of.ty).clone(), default, span });
        }
        made
    }

    /// What callers see of every component: inputs first, since everything else may read them.
    pub(super) fn declare_components(&mut self) {
        for at in 0..self.tables.kinds.len() {
            let directory = self.tables.kinds[at].directory;
            let inputs = self.tables.kinds[at].inputs.clone();
            let types = inputs.iter().map(|(input, item)| self.input_type(input, item, directory)).collect();
            self.kinds[at].inputs = Arc::new(types);
        }
        for at in 0..self.tables.kinds.len() {
            self.declare_outputs(at);
        }
        for at in 0..self.tables.kinds.len() {
            self.check_defaults(at);
            self.check_output_conditions(at);
        }
    }

    fn check_defaults(&mut self, at: usize) {
        let scope = self.tables.kinds[at].scope;
        let inputs = self.tables.kinds[at].inputs.clone();
        let mut types = (*self.kinds[at].inputs).clone();
        for ((input, _), ty) in inputs.iter().zip(types.iter_mut()) {
            let Some(default) = &input.default else { continue };
            let mut cx = super::context::Cx::new(scope);
            let what = format!("the default of `{}`", ty.name);
            ty.default = Some(self.check(&mut cx, default, &ty.ty, &At::place(&what)));
        }
        self.kinds[at].inputs = Arc::new(types);
    }

    fn declare_outputs(&mut self, at: usize) {
        let directory = self.tables.kinds[at].directory;
        for (output, item) in self.tables.kinds[at].outputs.clone() {
            let name = output.name.node.clone();
            if TAKEN.contains(&&*name) {
                let diagnostic = Code::Ambiguous
                    .error(format!("an output cannot be called `{name}`"))
                    .label(output.name.span, "every instance has it already")
                    .help("choose another name");
                self.say(diagnostic);
            }
            let end = output.ty.as_ref().map_or(output.name.span.end, |ty| ty.span.end);
            let span = Span { start: output.name.span.start, end, ..item.span };
            let ty = match &output.ty {
                Some(ty) => self.type_of(ty, directory),
                None => {
                    if output.value.is_none() {
                        let diagnostic = Code::MissingField
                            .error(format!("output `{name}` has neither a type nor a value"))
                            .label(output.name.span, "needs a type")
                            .help(format!("write `output {name}: string`"));
                        self.say(diagnostic);
                    }
                    self.untyped.push((KindId(at as u32), name.clone()));
                    Type::Poison
                }
            };
            let cond_span = output.cond.as_ref().map_or(span, |cond| cond.span);
            self.kinds[at].outputs.insert(name, OutputType { ty, cond: None, cond_span, span });
        }
        for (signal, item) in self.tables.kinds[at].signals.clone() {
            let name = signal.name.node.clone();
            let span = Span { end: signal.name.span.end, ..item.span };
            if self.kinds[at].signals.contains_key(&name) || self.kinds[at].outputs.contains_key(&name) {
                let diagnostic = Code::Duplicate
                    .error(format!("`{name}` is declared twice"))
                    .label(span, "second declaration")
                    .help("outputs and signals are read in the same way: give them different names");
                self.say(diagnostic);
                continue;
            }
            let ty = match &signal.ty {
                Some(ty) => match self.type_of(ty, directory) {
                    ty @ (Type::Metric(_) | Type::Poison) => ty,
                    other => {
                        let diagnostic = Code::WrongType
                            .error(format!("signal `{name}` is a metric, and this is {}", super::describe::noun(&other)))
                            .label(ty.span, "expected such as `metric<percent>`");
                        self.say(diagnostic);
                        Type::Poison
                    }
                },
                None => Type::Metric(Box::new(Type::NUMBER)),
            };
            for extra in signal.params.iter().flatten().skip(1) {
                self.say(Code::BadArguments.error("a signal takes one window").label(extra.span, "one too many"));
            }
            if let Some(param) = signal.params.as_ref().and_then(|params| params.first()) {
                match self.type_of(&param.ty, directory) {
                    Type::Duration | Type::Poison => {}
                    other => {
                        let diagnostic = Code::WrongType
                            .error(format!("the window of a signal is a duration, and this is {}", super::describe::noun(&other)))
                            .label(param.ty.span, "expected `duration`");
                        self.say(diagnostic);
                    }
                }
            }
            let has_window = signal.params.as_ref().is_some_and(|params| !params.is_empty());
            self.kinds[at].signals.insert(name, SignalType { ty, has_window });
        }
    }

    fn check_output_conditions(&mut self, at: usize) {
        let scope = self.tables.kinds[at].scope;
        for (output, _) in self.tables.kinds[at].outputs.clone() {
            let Some(cond) = &output.cond else { continue };
            let mut cx = super::context::Cx::new(scope);
            let (cond, _) = self.condition(&mut cx, cond);
            if let Some(of) = self.kinds[at].outputs.get_mut(&output.name.node) {
                of.cond = Some(cond);
            }
        }
        // Types that are not written come from the value. Those that need each other stay open.
        for (kind, name) in std::mem::take(&mut self.untyped) {
            if kind.at() != at {
                self.untyped.push((kind, name));
                continue;
            }
            let output = self.tables.kinds[at].outputs.iter().find(|(it, _)| it.name.node == name).map(|(it, _)| *it);
            let Some(value) = output.and_then(|output| output.value.as_ref()) else { continue };
            let mut cx = super::context::Cx::new(scope);
            if let Some(cond) = self.kinds[at].outputs.get(&name).and_then(|it| it.cond.clone()) {
                super::narrow::learn(&mut cx, &cond, true);
            }
            let ty = self.quietly(|it| it.infer(&mut cx, value).ty);
            if let Some(of) = self.kinds[at].outputs.get_mut(&name) {
                of.ty = ty;
            }
        }
    }

    /// Lets at file level, by directory.
    pub(super) fn check_file_lets(&mut self) -> Vec<Vec<program::Let>> {
        let mut directories = Vec::new();
        for at in 0..self.tables.directories.len() {
            let scope = self.tables.directories[at].scope.expect("every directory has a scope");
            let ids: Vec<LetId> = self.tables.scope(scope).let_order.clone();
            let mut lets = Vec::with_capacity(ids.len());
            for id in ids {
                let span = self.tables.lets[id.at()].span;
                self.let_type(id, span);
                if let Progress::Done(done) = &self.lets[id.at()] {
                    lets.push((*done.value).clone());
                }
            }
            directories.push(lets);
        }
        directories
    }

    pub(super) fn check_components(&mut self) -> BTreeMap<Name, Arc<Component>> {
        let mut components = BTreeMap::new();
        for at in 0..self.tables.kinds.len() {
            let component = self.check_component(KindId(at as u32));
            components.insert(component.kind.clone(), Arc::new(component));
        }
        components
    }

    fn check_component(&mut self, id: KindId) -> Component {
        let entry = &self.tables.kinds[id.at()];
        let (ast, scope, directory, span, doc) = (entry.ast, entry.scope, entry.directory, entry.span, entry.doc);
        let name = entry.name.clone();
        let clauses: Vec<_> = entry.clauses.iter().map(|it| (it.provider.clone(), it.items, it.scope, it.span)).collect();
        let (outputs, signals) = (entry.outputs.clone(), entry.signals.clone());
        let declared = entry.inputs.clone();
        let body = self.check_items(&ast.items.items, scope);
        let clauses: Vec<program::Clause> = clauses
            .into_iter()
            .map(|(provider, items, scope, span)| {
                let body = self.check_items(&items.items, scope);
                program::Clause { provider, body, span }
            })
            .collect();
        self.require_outputs(&name, &outputs, &body, &clauses, &ast.items.items);
        let types = self.kinds[id.at()].inputs.clone();
        let inputs = declared
            .iter()
            .zip(types.iter())
            .map(|((input, item), of)| program::Input {
                name: of.name.clone(),
                doc: item.doc.clone(),
                ty: (*of.ty).clone(),
                default: of.default.clone(),
                span: Span { end: input.name.span.end, ..item.span },
            })
            .collect();
        let mut made = Vec::with_capacity(outputs.len());
        for (output, item) in &outputs {
            let Some(of) = self.kinds[id.at()].outputs.get(&output.name.node).cloned() else { continue };
            let mut cx = super::context::Cx::new(scope);
            let within = output.within.as_ref().map(|within| self.check(&mut cx, within, &Type::TEXT, &At::place("`within`")));
            made.push(program::Output {
                name: output.name.node.clone(),
                doc: item.doc.clone(),
                ty: of.ty,
                within,
                cond: of.cond,
                span: Span { end: output.name.span.end, ..item.span },
            });
        }
        let mut told = Vec::with_capacity(signals.len());
        for (signal, item) in &signals {
            let Some(of) = self.kinds[id.at()].signals.get(&signal.name.node).cloned() else { continue };
            let mut cx = super::context::Cx::new(scope);
            let param = signal.params.as_ref().and_then(|params| params.first());
            let window = param
                .and_then(|param| param.default.as_ref())
                .map(|default| self.check(&mut cx, default, &Type::Duration, &At::place("the default of a window")));
            if let (Some(param), None) = (param, &window) {
                let diagnostic = Code::MissingField
                    .error(format!("the window of signal `{}` has no default", signal.name.node))
                    .label(param.span, "needs one")
                    .help(format!("write `{}: duration = 5m`", param.name.node));
                self.say(diagnostic);
            }
            told.push(program::Signal {
                name: signal.name.node.clone(),
                doc: item.doc.clone(),
                ty: of.ty,
                window,
                span: Span { end: signal.name.span.end, ..item.span },
            });
        }
        Component {
            kind: name,
            doc: doc.clone(),
            span,
            inputs,
            outputs: made,
            signals: told,
            body,
            clauses,
            directory: directory.0,
        }
    }

    /// Every output has a value, where it is declared or in each clause.
    fn require_outputs(
        &mut self,
        kind: &str,
        outputs: &[(&'t tree::Output, &'t Item)],
        body: &program::Body,
        clauses: &[program::Clause],
        items: &'t [Item],
    ) {
        // A clause that did not parse may have set any of them.
        let broken = |items: &[Item]| items.iter().any(|item| matches!(item.kind, ItemKind::Error(_)));
        if broken(items) {
            return;
        }
        for (output, _) in outputs {
            let name = &output.name.node;
            if output.value.is_some() || output.ty.is_none() || sets(body, name) || value_was_written(items, name) {
                continue;
            }
            if clauses.is_empty() {
                let diagnostic = Code::MissingField
                    .error(format!("output `{name}` of `{kind}` has no value"))
                    .label(output.name.span, "needs `= …`");
                self.say(diagnostic);
                continue;
            }
            for clause in clauses {
                let written = items.iter().any(|item| match &item.kind {
                    ItemKind::On(on) => {
                        on.provider.node == clause.provider
                            && (broken(&on.items.items) || value_was_written(&on.items.items, name))
                    }
                    _ => false,
                });
                if !sets(&clause.body, name) && !written {
                    let diagnostic = Code::MissingField
                        .error(format!("`{kind}` on `{}` does not set output `{name}`", clause.provider))
                        .label(clause.span, format!("needs `output {name} = …`"))
                        .label(output.name.span, "declared here");
                    self.say(diagnostic);
                }
            }
        }
    }

    /// Kinds that use themselves, also by a detour; gives the kinds with those that each uses before it.
    pub(super) fn refuse_recursive_kinds(&mut self) {
        let mut uses: FxHashMap<KindId, Vec<(KindId, Span)>> = FxHashMap::default();
        for (by, kind, span) in &self.uses {
            let list = uses.entry(*by).or_default();
            if !list.iter().any(|(it, _)| it == kind) {
                list.push((*kind, *span));
            }
        }
        let mut order = Vec::new();
        let (mut done, mut on_path) = (FxHashSet::default(), FxHashSet::default());
        for at in 0..self.tables.kinds.len() {
            let root = KindId(at as u32);
            if !done.insert(root) {
                continue;
            }
            let mut open: Vec<(KindId, usize)> = vec![(root, 0)];
            on_path.insert(root);
            while let Some((current, next)) = open.last_mut() {
                let current = *current;
                let Some((used, span)) = uses.get(&current).and_then(|list| list.get(*next)).copied() else {
                    open.pop();
                    on_path.remove(&current);
                    order.push(current);
                    continue;
                };
                *next += 1;
                if on_path.contains(&used) {
                    let from = open.iter().position(|(kind, _)| *kind == used).unwrap_or(0);
                    let directory = self.tables.kinds[used.at()].directory;
                    let shown = |kind: KindId| self.tables.written_kind(directory, kind);
                    let names: Vec<String> = open[from..].iter().map(|(kind, _)| format!("`{}`", shown(*kind))).collect();
                    let name = shown(used);
                    let message = match names.len() {
                        1 => format!("component `{name}` uses itself"),
                        _ => format!("component `{name}` uses itself by way of {}", names[1..].join(", ")),
                    };
                    let diagnostic = Code::Recursive
                        .error(message)
                        .label(span, "would have no end")
                        .label(self.tables.kinds[used.at()].span, "declared here")
                        .help("move what both need into a component of its own");
                    self.say(diagnostic);
                } else if done.insert(used) {
                    on_path.insert(used);
                    open.push((used, 0));
                }
            }
        }
        self.refuse_endless_instances(&uses);
        self.check_needs(&order);
    }

    /// What is made for every instance of a kind may not make instances of that kind.
    fn refuse_endless_instances(&mut self, uses: &FxHashMap<KindId, Vec<(KindId, Span)>>) {
        for (made, from, span) in std::mem::take(&mut self.made_from) {
            let mut seen = FxHashSet::from_iter([made]);
            let mut open = vec![made];
            while let Some(kind) = open.pop() {
                if kind == from {
                    let (made, from) = (self.tables.kinds[made.at()].name.clone(), self.tables.kinds[from.at()].name.clone());
                    let message = match made == from {
                        true => format!("which `{from}` there are cannot depend on which there are"),
                        false => format!("`{made}` makes instances of `{from}`, and cannot be made from them"),
                    };
                    let diagnostic = Code::Recursive
                        .error(message)
                        .label(span, "would have no end")
                        .help("`instances(kind)` is for gathering: use a list of your own here");
                    self.say(diagnostic);
                    break;
                }
                open.extend(uses.get(&kind).into_iter().flatten().map(|(kind, _)| *kind).filter(|kind| seen.insert(*kind)));
            }
        }
    }
}

/// Whether a body, or a branch of it, gives an output its value.
fn sets(body: &program::Body, name: &str) -> bool {
    body.outputs.iter().any(|output| &*output.name == name)
        || body.branches.iter().any(|branch| sets(&branch.then, name) || sets(&branch.otherwise, name))
}

/// Whether a value is written, even if it was refused.
fn value_was_written(items: &[Item], name: &str) -> bool {
    items.iter().any(|item| match &item.kind {
        ItemKind::Output(output) => &*output.name.node == name && output.value.is_some(),
        ItemKind::If(it) => {
            it.branches.iter().map(|(_, items)| items).chain(&it.otherwise).any(|items| value_was_written(&items.items, name))
        }
        _ => false,
    })
}
