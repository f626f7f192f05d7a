//! `lifecycle { … }` of instances and resources.

use std::sync::Arc;

use super::Checker;
use super::blocks::is_lifecycle;
use super::context::Cx;
use super::describe::{At, article, noun, quoted};
use crate::lang::program::Lifecycle;
use crate::lang::resolve::ScopeId;
use crate::lang::syntax::tree::{self, EntryKind, ExprKind as K};
use crate::model::schema::{Naming, Unique};
use crate::model::types::Bounds;
use crate::model::{Code, Expr, Kind, Name, Span, Type, Value};

const ON_INSTANCES: [&str; 3] = ["protect", "after", "timeout"];
const ON_RESOURCES: [&str; 7] = ["protect", "after", "timeout", "ignore", "replace", "replace_on", "parallel"];

impl<'t> Checker<'t> {
    /// The lifecycle of an item; `kind` is a resource's.
    pub(super) fn check_lifecycle(
        &mut self,
        cx: &mut Cx,
        body: &'t tree::Body,
        kind: Option<&Arc<Kind>>,
        scope: ScopeId,
    ) -> Lifecycle {
        let mut lifecycle = Lifecycle::default();
        let mut given: Vec<(&'t str, Span)> = Vec::new();
        for entry in &body.entries {
            let EntryKind::Block(block) = &entry.kind else { continue };
            if !is_lifecycle(block) {
                continue;
            }
            if let Some(span) = block.head.each.as_ref().map(|it| it.span).or(block.head.cond.as_ref().map(|it| it.span)) {
                self.say(Code::Syntax.error("`lifecycle` has no head").label(span, "cannot stand here"));
            }
            for entry in &block.body.entries {
                match &entry.kind {
                    EntryKind::Field { key, value } => {
                        let Some(name) = key.text() else {
                            self.say(
                                Code::UnknownField
                                    .error("the fields of `lifecycle` have constant names")
                                    .label(key.span(), "unknown field"),
                            );
                            continue;
                        };
                        if self.say_given_twice(&given, name) {
                            continue;
                        }
                        given.push((&name.node, name.span));
                        self.lifecycle_field(cx, &mut lifecycle, name, value, kind, scope);
                    }
                    EntryKind::Error(_) => {}
                    EntryKind::Block(block) => self.say_unknown_lifecycle(&block.name, kind.is_some()),
                    EntryKind::Spread(value) => {
                        self.say(Code::Syntax.error("`lifecycle` takes no `...`").label(value.span, "write its fields"));
                    }
                    EntryKind::Require(require) => {
                        self.say(
                            Code::Syntax.error("`require` cannot stand here").label(require.span, "stands beside `lifecycle`"),
                        );
                    }
                    EntryKind::On(on) => {
                        self.say(
                            Code::Syntax.error("`on` cannot stand here").label(on.provider.span, "stands beside `lifecycle`"),
                        );
                    }
                }
            }
        }
        if let (Some(replace), Some(kind)) = (&lifecycle.replace, kind) {
            self.refuse_create_first(replace, kind, body);
        }
        lifecycle
    }

    fn lifecycle_field(
        &mut self,
        cx: &mut Cx,
        lifecycle: &mut Lifecycle,
        name: &'t tree::Name,
        value: &'t tree::Expr,
        kind: Option<&Arc<Kind>>,
        scope: ScopeId,
    ) {
        let at = At::field(&name.node, None);
        let of_resources = ON_RESOURCES.contains(&&*name.node) && !ON_INSTANCES.contains(&&*name.node);
        if of_resources && kind.is_none() {
            let diagnostic = Code::UnknownField
                .error(format!("`lifecycle.{}` is for resources, and this is an instance", name.node))
                .label(name.span, "unknown field")
                .help("it belongs to the resources inside of the component");
            self.say(diagnostic);
            return;
        }
        match &*name.node {
            "protect" => {
                let expr = self.check(cx, value, &Type::Bool, &at);
                self.needed_early(scope, &expr, "`lifecycle.protect`");
                lifecycle.protect = Some(expr);
            }
            "timeout" => {
                let expr = self.check(cx, value, &Type::Duration, &at);
                self.needed_early(scope, &expr, "`lifecycle.timeout`");
                lifecycle.timeout = Some(expr);
            }
            "after" => lifecycle.after = self.check_after(cx, value),
            "ignore" => lifecycle.ignore = self.check_ignore(value, kind),
            "replace" => {
                let orders = Type::Literals(Arc::new(["create_first", "destroy_first"].map(Value::text).to_vec()));
                let expr = self.check(cx, value, &orders, &at);
                self.needed_early(scope, &expr, "`lifecycle.replace`");
                lifecycle.replace = Some(expr);
            }
            "replace_on" => {
                let items: Vec<&'t tree::Expr> = match &value.without_parens().kind {
                    K::List(items) => items.iter().collect(),
                    K::Error => return,
                    _ => {
                        let diagnostic = Code::WrongType
                            .error("`replace_on` takes a list of values")
                            .label(value.span, "expected a list")
                            .help(format!("write `replace_on = [{}]`", self.text(value.span)));
                        return self.say(diagnostic);
                    }
                };
                lifecycle.replace_on = items.into_iter().map(|item| self.infer(cx, item).expr).collect();
            }
            "parallel" => {
                let ty = Type::Int(Bounds { min: Some(1), max: None }).optional();
                let expr = self.check(cx, value, &ty, &at);
                self.needed_early(scope, &expr, "`lifecycle.parallel`");
                if !cx.keyed {
                    let diagnostic = Code::Doubtful
                        .warning("`parallel` is about the instances of a set, and this is one resource")
                        .label(name.span, "has no effect");
                    self.say(diagnostic);
                }
                lifecycle.parallel = Some(expr);
            }
            _ if self.say_habit_of_lifecycle(name, value) => {}
            _ => {
                self.infer(cx, value);
                self.say_unknown_lifecycle(name, kind.is_some());
            }
        }
    }

    fn say_unknown_lifecycle(&mut self, name: &tree::Name, of_resource: bool) {
        let known: &[&str] = if of_resource { &ON_RESOURCES } else { &ON_INSTANCES };
        self.say_unknown_field("`lifecycle`", &name.node, name.span, known);
    }

    pub(super) fn check_after(&mut self, cx: &mut Cx, value: &'t tree::Expr) -> Vec<Expr> {
        let items: Vec<&'t tree::Expr> = match &value.without_parens().kind {
            K::List(items) => items.iter().collect(),
            _ => vec![value],
        };
        let mut after = Vec::new();
        for item in items {
            let typed = self.infer(cx, item);
            let of = match typed.ty.bare() {
                Type::Map(of) | Type::List(of, _) => of.bare(),
                other => other,
            };
            match of {
                Type::Ref(_) | Type::Resource(_) => after.push(typed.expr),
                Type::Poison => {}
                other => {
                    let text = quoted(self.text(item.span));
                    let diagnostic = Code::WrongType
                        .error(format!("`after` takes instances and resources, and {text} is {}", noun(other)))
                        .label(item.span, "expected such as `database.main`");
                    self.say(diagnostic);
                }
            }
        }
        after
    }

    /// Attribute names, bare or in quotes.
    fn check_ignore(&mut self, value: &'t tree::Expr, kind: Option<&Arc<Kind>>) -> Vec<(Name, Span)> {
        let K::List(items) = &value.without_parens().kind else {
            let diagnostic = Code::WrongType
                .error("`ignore` takes a list of attributes")
                .label(value.span, "expected a list")
                .help("write `ignore = [image]`");
            self.say(diagnostic);
            return Vec::new();
        };
        let mut names = Vec::new();
        for item in items {
            let Some(name) = item.as_name().or_else(|| item.as_text()) else {
                let text = quoted(self.text(item.span));
                let diagnostic = Code::WrongType
                    .error(format!("`ignore` takes names of attributes, and {text} is none"))
                    .label(item.span, "expected the name of an attribute");
                self.say(diagnostic);
                continue;
            };
            if let Some(kind) = kind
                && kind.attribute(name).is_none()
            {
                let known: Vec<&str> = kind.attributes.iter().filter(|it| it.is_input()).map(|it| &*it.name).collect();
                let diagnostic = Code::UnknownField
                    .error(format!("{} `{}` has no attribute `{name}`", article(&kind.name), kind.name))
                    .label(item.span, "unknown attribute");
                self.say(Self::with_near(diagnostic, name, item.span, known).unwrap_or_else(|it| it));
                continue;
            }
            names.push((name.clone(), item.span));
        }
        names
    }

    /// Two objects cannot bear one name at the same time.
    fn refuse_create_first(&mut self, replace: &Expr, kind: &Kind, body: &'t tree::Body) {
        let create_first = self.constant_value(replace).is_some_and(|value| value.as_text() == Some("create_first"));
        if !create_first {
            return;
        }
        let by_hand = body.entries.iter().find_map(|entry| match &entry.kind {
            EntryKind::Field { key, .. } => {
                let name = key.text()?;
                let unique = |naming: &Naming| naming.unique != Unique::No;
                let attribute = kind.attribute(&name.node)?;
                (kind.identity.contains(&attribute.name) && attribute.naming.as_ref().is_some_and(unique)).then_some(name)
            }
            _ => None,
        });
        if let Some(name) = by_hand {
            let diagnostic = Code::Doubtful
                .error(format!("the new one cannot be made first: both would be called by `{}`", name.node))
                .label(name.span, "a unique name, given by hand")
                .label(replace.span, "the old one is still there then")
                .help(format!("leave `{}` out: the engine makes a name, and adds a generation to it", name.node));
            self.say(diagnostic);
        }
    }
}
