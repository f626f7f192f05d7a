//! Calls of functions: the program's own, and built-ins.

use std::sync::Arc;

use super::context::{Cx, Typed, poison};
use super::describe::{At, AtWhat, noun, quoted};
use super::{Checker, FunctionParam, FunctionTypes};
use crate::eval::builtins::{self, BuiltinDef, ParamNeed};
use crate::lang::program;
use crate::lang::resolve::{FunctionId, LIBRARY, nearest};
use crate::lang::syntax::tree;
use crate::model::expr::{ExprKind, Reference};
use crate::model::types::Bounds;
use crate::model::{Code, Edit, Name, Span, Type};

/// A reason that is shorter says nothing to whoever reads the log.
const REASON_MIN: usize = 8;

impl<'t> Checker<'t> {
    pub(super) fn call(&mut self, cx: &mut Cx, name: &Name, name_span: Span, args: &'t [tree::Arg], span: Span) -> Typed {
        if &**name == "instances" {
            return self.call_instances(cx, args, span);
        }
        if let Some(id) = self.tables.find_function(self.directory(cx), name) {
            return self.call_own(cx, id, args, span);
        }
        match (&**name, cx.rules) {
            ("resources", Some(_)) => return self.call_resources(cx, args, span),
            ("reaches", Some(_)) => return self.call_reaches(cx, args, span),
            ("resources" | "reaches", None) => {
                self.say_in_rules_only(name, name_span);
                return Typed::poison(span);
            }
            _ => {}
        }
        if let Some(def) = builtins::definition(name) {
            return self.call_builtin(cx, crate::model::expr::Builtin(name.clone()), def, args, name_span, span);
        }
        for arg in args {
            self.infer(cx, &arg.value);
        }
        if !self.tables.may_be_broken(self.directory(cx), &[name]) {
            self.say_unknown_function(cx, name, name_span);
        }
        Typed::poison(span)
    }

    fn say_unknown_function(&mut self, cx: &Cx, name: &str, span: Span) {
        let instead = match name {
            "can" | "try" => {
                Some("there are no run-time errors to catch: `??`, `?.` and `?[…]` say what stands in the place of null")
            }
            "timestamp" | "plantimestamp" | "now" => Some("programs have no clock: give the instant as an input"),
            "uuid" | "bcrypt" | "random" => Some("programs have no chance: declare a `secret`, or make a name with `uuid_v5`"),
            "abspath" | "pathexpand" => Some("paths are relative to the file that holds them"),
            "type" => Some("`stackwright eval --type EXPR` shows the type"),
            "tolist" | "tomap" | "tonumeric" => Some("a list is a list already: leave the call out"),
            _ => None,
        };
        let own = [self.directory(cx), LIBRARY]
            .map(|at| self.tables.directories[at.at()].functions.keys().cloned().collect::<Vec<_>>());
        let mut known: Vec<&str> = builtins::ALL.iter().map(|def| def.name).chain(own.iter().flatten().map(|it| &**it)).collect();
        known.push("instances");
        known.sort_unstable();
        let diagnostic = Code::UnknownFunction.error(format!("there is no function `{name}`")).label(span, "not defined");
        let diagnostic = match super::habits::function(name).filter(|_| instead.is_none()) {
            _ if instead.is_some() => diagnostic.helps(instead),
            Some((ours, sure)) => diagnostic.help(format!("write `{ours}`")).fix(
                format!("write `{ours}`"),
                super::report::confidence(sure),
                vec![Edit { span, text: ours.into() }],
            ),
            None => Self::with_near(diagnostic, name, span, known)
                .unwrap_or_else(|it| it.help("`stackwright explain functions` lists the functions")),
        };
        self.say(diagnostic);
    }

    /// `instances(kind)`: every instance of a kind, by address.
    fn call_instances(&mut self, cx: &mut Cx, args: &'t [tree::Arg], span: Span) -> Typed {
        let name = match args {
            [tree::Arg { name: None, value }] => super::imports::written(value).map(|name| (name, value.span)),
            _ => None,
        };
        let Some((name, name_span)) = name else {
            self.say(Code::BadArguments.error("`instances` takes one kind").label(span, "write `instances(service)`"));
            return Typed::poison(span);
        };
        let directory = self.directory(cx);
        let Some(kind) = self.tables.find_kind(directory, &name) else {
            if !self.tables.may_be_broken(directory, &[&name]) {
                let known = self.tables.kind_names(directory);
                let near = nearest(&name, known.iter().map(|it| &**it)).map(str::to_owned);
                let diagnostic = Code::UnknownKind
                    .error(format!("there is no kind `{name}`"))
                    .label(name_span, "not defined in this stack or its imports")
                    .helps(near.map(|near| format!("write `{near}`")));
                self.say(diagnostic);
            }
            return Typed::poison(span);
        };
        let kind = self.tables.kinds[kind.at()].name.clone();
        Typed::new(ExprKind::Name(Reference::Instances(kind.clone())), span, Type::map(Type::Ref(kind)))
    }

    pub(super) fn call_own(&mut self, cx: &mut Cx, id: FunctionId, args: &'t [tree::Arg], span: Span) -> Typed {
        let types = self.functions[id.at()].clone();
        let name = self.tables.functions[id.at()].ast.name.node.clone();
        let names: Vec<&str> = types.params.iter().map(|param| &*param.name).collect();
        let Some(placed) = self.placed(&name, args, &names, types.params.len(), span) else {
            args.iter().for_each(|arg| drop(self.infer(cx, &arg.value)));
            return Typed::poison(span);
        };
        let mut made = Vec::with_capacity(types.params.len());
        let mut tainted = false;
        for (param, arg) in types.params.iter().zip(placed) {
            match (arg, &param.default) {
                (Some(arg), _) => {
                    let at = At {
                        what: AtWhat::Argument { function: &name, name: &param.name },
                        outer: None,
                        declared: Some(param.declared),
                    };
                    // A function computes with secrets as with plain values: its result is secret then.
                    let typed = self.infer_toward(cx, arg, &param.ty);
                    tainted |= super::fit::holds_secret(&typed.ty) && !super::fit::holds_secret(&param.ty);
                    let want = super::fit::sink(&param.ty, true);
                    made.push(self.fitted(typed, &want, &at));
                }
                (None, Some(default)) => made.push(default.clone()),
                (None, None) => {
                    let diagnostic = Code::BadArguments
                        .error(format!("`{name}` is missing `{}`", param.name))
                        .label(span, format!("needs `{}: {}`", param.name, param.ty));
                    self.say(diagnostic);
                    made.push(poison(span));
                }
            }
        }
        let result = (*types.result).clone();
        let ty = if tainted { super::fit::secret(result) } else { result };
        Typed::new(ExprKind::Call(id.0, made), span, ty)
    }

    /// Infers an expression whose literals take their shape from the type that is wanted.
    fn infer_toward(&mut self, cx: &mut Cx, e: &'t tree::Expr, want: &Type) -> Typed {
        use tree::ExprKind as K;
        let bare = e.without_parens();
        let shaped = match &bare.kind {
            K::Object(_) | K::List(_) | K::Variant { .. } | K::If { .. } | K::Match { .. } | K::Tagged { .. } => true,
            K::Name(name) => self.is_free(cx, name),
            _ => false,
        };
        if !shaped {
            return self.infer(cx, e);
        }
        let sink = super::fit::sink(want, true);
        let taints = self.taints;
        let expr = self.check(cx, e, &sink, &At::place("an argument"));
        let tainted = self.taints > taints;
        let ty = if tainted { super::fit::secret(want.clone()) } else { want.clone() };
        Typed { expr, ty, item: None }
    }

    /// Arguments in the order of the parameters.
    fn placed(
        &mut self,
        function: &str,
        args: &'t [tree::Arg],
        params: &[&str],
        count: usize,
        span: Span,
    ) -> Option<Vec<Option<&'t tree::Expr>>> {
        let mut placed: Vec<Option<&tree::Expr>> = vec![None; count.max(params.len())];
        let mut next = 0;
        for arg in args {
            let at = match &arg.name {
                None => {
                    next += 1;
                    next - 1
                }
                Some(name) => match params.iter().position(|param| *param == &*name.node) {
                    Some(at) => at,
                    None => {
                        let near = nearest(&name.node, params.iter().copied()).map(str::to_owned);
                        let diagnostic = Code::BadArguments
                            .error(format!("`{function}` has no parameter `{}`", name.node))
                            .label(name.span, "unknown parameter");
                        let diagnostic = match near {
                            Some(near) => diagnostic.help(format!("write `{near}`")),
                            None => {
                                diagnostic.help(format!("its parameters: {}", super::describe::listed(params.iter().copied())))
                            }
                        };
                        self.say(diagnostic);
                        return None;
                    }
                },
            };
            match placed.get_mut(at) {
                Some(slot @ None) => *slot = Some(&arg.value),
                Some(Some(_)) => {
                    self.say(
                        Code::BadArguments.error(format!("`{}` is given twice", params[at])).label(arg.value.span, "second time"),
                    );
                    return None;
                }
                None => {
                    let takes = match params.len() {
                        0 => "no arguments".into(),
                        1 => "one argument".into(),
                        many => format!("at most {many} arguments"),
                    };
                    let diagnostic = Code::BadArguments
                        .error(format!("`{function}` takes {takes}, and {} are given", args.len()))
                        .label(arg.value.span.to(args.last().map_or(span, |it| it.value.span)), "too many");
                    self.say(diagnostic);
                    return None;
                }
            }
        }
        Some(placed)
    }

    fn call_builtin(
        &mut self,
        cx: &mut Cx,
        builtin: crate::model::expr::Builtin,
        def: &'static BuiltinDef,
        args: &'t [tree::Arg],
        name_span: Span,
        span: Span,
    ) -> Typed {
        let names: Vec<&str> = def.params.iter().map(|param| param.name).collect();
        let rest = def.params.last().is_some_and(|param| param.need == ParamNeed::Rest);
        let count = if rest { args.len().max(def.params.len()) } else { def.params.len() };
        let Some(placed) = self.placed(def.name, args, &names, count, span) else {
            args.iter().for_each(|arg| drop(self.infer(cx, &arg.value)));
            return Typed::poison(span);
        };
        let mut placed = placed;
        while placed.len() > def.params.len().saturating_sub(usize::from(rest))
            && placed.last().is_some_and(Option::is_none)
            && rest
        {
            placed.pop();
        }
        let mut exprs = Vec::with_capacity(placed.len());
        let mut types = Vec::with_capacity(placed.len());
        for (at, arg) in placed.iter().enumerate() {
            match arg {
                Some(arg) => {
                    let typed = match def.param(at).map(|param| &param.shape) {
                        // Literals are typed field by field where anything may stand.
                        Some(builtins::Shape::Any) => self.infer_toward(cx, arg, &Type::Any),
                        Some(builtins::Shape::Map(builtins::Shape::Any)) => self.infer_toward(cx, arg, &Type::map(Type::Any)),
                        _ => self.infer(cx, arg),
                    };
                    exprs.push(Some(typed.expr));
                    types.push(Some(typed.ty));
                }
                None => {
                    let param = def.param(at);
                    if param.is_some_and(|param| param.need == ParamNeed::Required) {
                        let diagnostic = Code::BadArguments
                            .error(format!("`{}` is missing `{}`", def.name, param.map_or("", |param| param.name)))
                            .label(span, format!("it is `{}`", def.signature()));
                        self.say(diagnostic);
                        return Typed::poison(span);
                    }
                    exprs.push(None);
                    types.push(None);
                }
            }
        }
        let known: Vec<Type> = types.iter().flatten().cloned().collect();
        if known.iter().any(|ty| matches!(ty, Type::Poison)) && def.name != "fail" {
            // `fail` and what was in error fit anywhere; what comes out is as good as the rest says.
            return match def.result(&types) {
                Ok(ty) => Typed::new(ExprKind::Builtin(builtin, exprs), span, ty),
                Err(_) => Typed::poison(span),
            };
        }
        match def.result(&types) {
            Ok(ty) => {
                self.check_builtin_values(def, &exprs, span);
                let ty = match (def.name, &known[..]) {
                    // The list 0 … n-1 has no negative element.
                    ("count", _) => {
                        let list = Type::list(Type::Int(Bounds { min: Some(0), max: None }));
                        if matches!(ty, Type::Secret(_)) { super::fit::secret(list) } else { list }
                    }
                    _ => ty,
                };
                if def.reveals && cx.rules == Some(super::context::RulesOf::Policy) {
                    let diagnostic = Code::SecretShown
                        .error("a policy never sees the value of a secret")
                        .label(span, "would show it")
                        .help("`x != null` tells whether it is there; `c.changed` names what changes, secrets too");
                    self.say(diagnostic);
                } else if def.reveals {
                    self.check_reason(exprs.get(1).and_then(Option::as_ref), span);
                }
                Typed::new(ExprKind::Builtin(builtin, exprs), span, ty)
            }
            Err(mismatch) => {
                self.say_mismatch(def, &mismatch, &types, &placed, name_span, span);
                Typed::poison(span)
            }
        }
    }

    /// Why a secret is opened has to be read in the source as in the log: a constant text that says something.
    fn check_reason(&mut self, reason: Option<&crate::model::Expr>, span: Span) {
        let Some(reason) = reason else { return };
        let place = if reason.span.is_engine() { span } else { reason.span };
        let known = self.constant_value(reason);
        let said = match known.as_ref().and_then(|value| value.as_text()) {
            None => Code::TooLate
                .error("the reason of `reveal` is a constant text")
                .label(place, "is computed")
                .help("write the reason itself: it is reviewed with the source, and recorded in the log"),
            Some(text) if text.trim().chars().count() < REASON_MIN => Code::BadArguments
                .error("`reveal` needs a reason")
                .label(place, format!("expected at least {REASON_MIN} characters"))
                .help("say who sees it and why: it is recorded in the log"),
            Some(_) => return,
        };
        self.say(said);
    }

    /// Constants that a built-in would refuse when it runs.
    fn check_builtin_values(&mut self, def: &BuiltinDef, args: &[Option<crate::model::Expr>], span: Span) {
        if !def.name.starts_with("regex") {
            return;
        }
        let at = def.params.iter().position(|param| param.name == "pattern");
        let Some(pattern) = at.and_then(|at| args.get(at)?.as_ref()) else { return };
        let Some(value) = self.constant_value(pattern) else { return };
        let Some(text) = value.as_text() else { return };
        if let Some(why) = crate::eval::pattern_problem(text) {
            let place = if pattern.span.is_engine() { span } else { pattern.span };
            self.say(
                Code::Syntax.error(format!("the pattern is not a regular expression: {why}")).label(place, "does not parse"),
            );
        }
    }

    fn say_mismatch(
        &mut self,
        def: &BuiltinDef,
        mismatch: &builtins::Mismatch,
        types: &[Option<Type>],
        placed: &[Option<&'t tree::Expr>],
        name_span: Span,
        span: Span,
    ) {
        let at = mismatch.at;
        let (Some(param), Some(Some(ty)), Some(Some(arg))) = (def.param(at), types.get(at), placed.get(at)) else {
            let diagnostic = Code::BadArguments
                .error(format!("`{}` does not take these arguments", def.name))
                .label(name_span.to(span), format!("it is `{}`", def.signature()));
            return self.say(diagnostic);
        };
        if let Type::Optional(_) | Type::Null = super::shapes::untainted(ty).0 {
            let text = quoted(self.text(arg.span));
            let diagnostic = Code::MaybeNull
                .error(format!("`{}` of `{}` takes {}, and {text} may be null", param.name, def.name, mismatch.expected))
                .label(arg.span, "may be null")
                .help("test it with `!= null`, or say with `??` what stands in its place");
            return self.say(diagnostic);
        }
        let text = quoted(self.text(arg.span));
        let diagnostic = Code::BadArguments
            .error(format!("`{}` of `{}` takes {}, and {text} is {}", param.name, def.name, mismatch.expected, noun(ty)))
            .label(arg.span, format!("expected {}", mismatch.expected))
            .note(format!("it is `{}`", def.signature()));
        self.say(diagnostic);
    }

    /// Types of all functions, before any is called.
    pub(super) fn declare_functions(&mut self) {
        for at in 0..self.tables.functions.len() {
            let entry = &self.tables.functions[at];
            let (ast, directory) = (entry.ast, entry.directory);
            let scope = self.tables.directories[directory.at()].scope.expect("every directory has a scope");
            let mut params: Vec<FunctionParam> = Vec::with_capacity(ast.params.len());
            for param in &ast.params {
                if params.iter().any(|it| it.name == param.name.node) {
                    let diagnostic = Code::Duplicate
                        .error(format!("parameter `{}` is declared twice", param.name.node))
                        .label(param.name.span, "second declaration");
                    self.say(diagnostic);
                }
                let ty = self.type_of(&param.ty, directory);
                let default = param.default.as_ref().map(|default| {
                    let mut cx = Cx { function: true, ..Cx::new(scope) };
                    let what = format!("the default of `{}`", param.name.node);
                    self.check(&mut cx, default, &ty, &At::place(&what))
                });
                params.push(FunctionParam { name: param.name.node.clone(), ty: Arc::new(ty), default, declared: param.span });
            }
            let result = Arc::new(self.type_of(&ast.result, directory));
            self.functions.push(Arc::new(FunctionTypes { params, result }));
        }
        for at in 0..self.tables.directories.len() {
            let names: Vec<Name> = self.tables.directories[at].functions.keys().cloned().collect();
            for name in names.iter().filter(|name| builtins::find(name).is_some() || &***name == "instances") {
                let id = self.tables.directories[at].functions[name];
                let span = self.tables.functions[id.at()].span;
                let diagnostic = Code::Duplicate
                    .error(format!("function `{name}` is defined twice"))
                    .label(span, "is a function of the language already")
                    .help("choose another name");
                self.say(diagnostic);
            }
        }
    }

    pub(super) fn check_functions(&mut self) -> Vec<program::Function> {
        let mut functions = Vec::with_capacity(self.tables.functions.len());
        for at in 0..self.tables.functions.len() {
            let entry = &self.tables.functions[at];
            let (ast, doc, directory, span) = (entry.ast, entry.doc, entry.directory, entry.span);
            let scope = self.tables.directories[directory.at()].scope.expect("every directory has a scope");
            let types = self.functions[at].clone();
            let mut cx = Cx { function: true, ..Cx::new(scope) };
            for param in &types.params {
                // `_` takes a slot too: parameters are the slots from 0 on.
                cx.bind(&param.name, (*param.ty).clone(), None);
            }
            let what = format!("the result of `{}`", ast.name.node);
            let at_result = At { what: AtWhat::Place(&what), outer: None, declared: None };
            let body = self.check(&mut cx, &ast.body, &types.result, &at_result);
            functions.push(program::Function {
                name: ast.name.node.clone(),
                doc: doc.clone(),
                params: types.params.iter().map(|param| (param.name.clone(), (*param.ty).clone())).collect(),
                result: (*types.result).clone(),
                body,
                span,
                directory: directory.0,
            });
        }
        functions
    }

    /// Functions and lets of a file that call each other have no end.
    pub(super) fn refuse_recursive_functions(&mut self) {
        use crate::lang::resolve::free_names;
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        enum Node {
            Function(FunctionId),
            Let(crate::lang::resolve::LetId),
        }
        let needs = |it: &Self, node: Node| -> Vec<(Node, Span)> {
            let (expr, bound, scope, directory): (_, Vec<&str>, _, _) = match node {
                Node::Function(id) => {
                    let entry = &it.tables.functions[id.at()];
                    let scope = it.tables.directories[entry.directory.at()].scope.expect("every directory has a scope");
                    let bound = entry.ast.params.iter().map(|param| &*param.name.node).collect();
                    (&entry.ast.body, bound, scope, entry.directory)
                }
                Node::Let(id) => {
                    let entry = &it.tables.lets[id.at()];
                    (&entry.ast.value, Vec::new(), entry.scope, it.tables.scope(entry.scope).directory)
                }
            };
            free_names(expr, &bound)
                .into_iter()
                .filter_map(|(name, span)| {
                    let as_let = it.tables.find_let(scope, &name).map(Node::Let);
                    let node = as_let.or_else(|| it.tables.find_function(directory, &name).map(Node::Function))?;
                    Some((node, span))
                })
                .collect()
        };
        let mut done = rustc_hash::FxHashSet::default();
        for at in 0..self.tables.functions.len() {
            let root = Node::Function(FunctionId(at as u32));
            let mut open = vec![(root, needs(self, root), Span::ENGINE)];
            let mut on_path = rustc_hash::FxHashSet::from_iter([root]);
            if !done.insert(root) {
                continue;
            }
            while let Some((current, rest, _)) = open.last_mut() {
                let current = *current;
                let Some((next, used)) = rest.pop() else {
                    on_path.remove(&current);
                    open.pop();
                    continue;
                };
                if on_path.contains(&next) {
                    if let Node::Function(id) = next {
                        let entry = &self.tables.functions[id.at()];
                        let (name, span) = (entry.ast.name.node.clone(), entry.span);
                        let message = match next == current {
                            true => format!("function `{name}` calls itself"),
                            false => format!("function `{name}` calls itself by a detour"),
                        };
                        let diagnostic = Code::Recursive
                            .error(message)
                            .label(used, "comes back here")
                            .label(span, "declared here")
                            .help("functions are not recursive: run through a list with `[for x in xs : …]`");
                        self.say(diagnostic);
                    }
                    continue;
                }
                if done.insert(next) {
                    on_path.insert(next);
                    let needed = needs(self, next);
                    open.push((next, needed, used));
                }
            }
        }
    }
}
