//! Names of imports: what `net.x`, `net.f(…)`, `net.vpc.main` and `platform.url` mean.

use super::Checker;
use super::context::{Cx, Typed};
use super::fit::each_sensitive;
use super::names::narrowed;
use crate::lang::resolve::{DirId, Imported, StackId, nearest};
use crate::lang::syntax::tree::{self, ExprKind as K, StepKind};
use crate::model::expr::{ExprKind, Reference, Scope};
use crate::model::{Code, Confidence, Edit, Name, Span};

/// A kind as it is written in an expression: `service`, `net.vpc`.
pub(super) fn written(expr: &tree::Expr) -> Option<String> {
    if let Some(name) = expr.as_name() {
        return Some(name.to_string());
    }
    let K::Access { base, steps } = &expr.without_parens().kind else { return None };
    match &steps[..] {
        [tree::Step { kind: StepKind::Field { name, optional: false }, .. }] => {
            Some(format!("{}.{}", base.as_name()?, name.node))
        }
        _ => None,
    }
}

impl<'t> Checker<'t> {
    /// `alias.…`, where `alias` is an import; also how many steps that took. `None`: it was said that there is no such thing.
    pub(super) fn import_root(
        &mut self,
        cx: &mut Cx,
        alias: &Name,
        import: Imported,
        steps: &'t [tree::Step],
        span: Span,
    ) -> Option<(Typed, usize)> {
        let StepKind::Field { name, .. } = &steps[0].kind else {
            self.infer_name(cx, alias, span);
            return None;
        };
        match import {
            Imported::Unread => None,
            Imported::Stack(at) => self.stack_output(cx, alias, at, name, span.to(steps[0].span)).map(|typed| (typed, 1)),
            Imported::Directory(at) => self.imported_name(cx, alias, at, name, steps, span),
        }
    }

    fn imported_name(
        &mut self,
        cx: &mut Cx,
        alias: &Name,
        at: DirId,
        name: &'t tree::Name,
        steps: &'t [tree::Step],
        span: Span,
    ) -> Option<(Typed, usize)> {
        let whole = span.to(steps[0].span);
        let directory = &self.tables.directories[at.at()];
        let function = directory.functions.get(&name.node).copied();
        let kind = directory.kinds.get(&name.node).copied();
        let scope = directory.scope.expect("every directory has a scope");
        if let Some(tree::Step { kind: StepKind::Call { args }, span: call }) = steps.get(1) {
            let to = span.to(*call);
            match function {
                Some(function) => return Some((self.call_own(cx, function, args, to), 2)),
                None => args.iter().for_each(|arg| drop(self.infer(cx, &arg.value))),
            }
            let known = self.tables.directories[at.at()].functions.keys().cloned().collect();
            self.say_not_in_import(alias, &name.node, name.span, "function", known);
            return None;
        }
        if let Some(id) = self.tables.scope(scope).lets.get(&name.node).copied() {
            let ty = self.let_type(id, whole);
            let reference = Reference::Let(Scope::Import(at.0), name.node.clone());
            return Some((narrowed(cx, Typed::new(ExprKind::Name(reference), whole, ty)), 1));
        }
        if let Some(kind) = kind {
            let item = match steps.get(1).map(|step| &step.kind) {
                Some(StepKind::Field { name, .. }) => name,
                _ => {
                    let diagnostic = Code::UnknownName
                        .error(format!("`{alias}.{}` is a kind, not a value", name.node))
                        .label(whole, "names no instance")
                        .help(format!("write `{alias}.{0}.NAME` for one, or `instances({alias}.{0})` for all", name.node));
                    self.say(diagnostic);
                    return None;
                }
            };
            let to = span.to(steps[1].span);
            if cx.function {
                self.say_outside_function(cx, &format!("{alias}.{}.{}", name.node, item.node), to);
                return None;
            }
            let kind = self.tables.kinds[kind.at()].name.clone();
            let ids = self.tables.find_items(cx.scope, &kind, &item.node).to_vec();
            if ids.is_empty() {
                self.unknown_item(cx, &kind, item, to);
                return None;
            }
            return Some((self.item_ref(cx, &ids, to), 2));
        }
        if function.is_some() {
            let diagnostic = Code::UnknownName
                .error(format!("`{alias}.{}` is a function, not a value", name.node))
                .label(whole, "needs its arguments")
                .help(format!("write `{alias}.{}(…)`", name.node));
            self.say(diagnostic);
            return None;
        }
        let directory = &self.tables.directories[at.at()];
        let mut known: Vec<Name> = self.tables.scope(scope).lets.keys().chain(directory.kinds.keys()).cloned().collect();
        known.extend(directory.functions.keys().cloned());
        self.say_not_in_import(alias, &name.node, name.span, "value", known);
        None
    }

    /// `platform.url`: an output of another stack.
    fn stack_output(&mut self, cx: &mut Cx, alias: &Name, at: StackId, name: &tree::Name, span: Span) -> Option<Typed> {
        if cx.function {
            self.say_outside_function(cx, &format!("{alias}.{}", name.node), span);
            return None;
        }
        let stack = &self.stacks[at.at()];
        match stack.outputs.get(&name.node) {
            Some(output) => {
                let ty = each_sensitive(output.ty.clone());
                let reference = Reference::StackOutput { stack: at.0, output: name.node.clone() };
                Some(narrowed(cx, Typed::new(ExprKind::Name(reference), span, ty)))
            }
            None => {
                let (of, known) = (stack.name.clone(), stack.outputs.keys().cloned().collect::<Vec<_>>());
                let near = nearest(&name.node, known.iter().map(|it| &**it)).map(str::to_owned);
                let diagnostic = Code::UnknownName
                    .error(format!("the stack `{of}` has no output `{}`", name.node))
                    .label(name.span, "not among its outputs");
                let diagnostic = with_near(diagnostic, near, name.span, &known);
                self.say(diagnostic);
                None
            }
        }
    }

    pub(super) fn say_not_in_import(&mut self, alias: &str, name: &str, span: Span, what: &str, mut known: Vec<Name>) {
        known.sort_unstable();
        let near = nearest(name, known.iter().map(|it| &**it)).map(str::to_owned);
        let diagnostic =
            Code::UnknownName.error(format!("the import `{alias}` has no {what} `{name}`")).label(span, "not defined there");
        let diagnostic = with_near(diagnostic, near, span, &known);
        self.say(diagnostic);
    }
}

fn with_near(diagnostic: crate::model::Diagnostic, near: Option<String>, span: Span, known: &[Name]) -> crate::model::Diagnostic {
    match near {
        Some(near) => diagnostic.help(format!("write `{near}`")).fix(
            format!("write `{near}`"),
            Confidence::Sure,
            vec![Edit { span, text: near }],
        ),
        None if known.is_empty() => diagnostic,
        None => diagnostic.help(format!("there is {}", super::describe::listed(known.iter().take(8).map(|it| &**it)))),
    }
}
