//! What rules see beside the program: `plan`, `output`, `resources(kind)`, the graph.

use std::sync::Arc;

use super::Checker;
use super::context::{Cx, RulesOf, Typed};
use super::describe::{noun, quoted};
use super::fit::each_sensitive;
use crate::lang::resolve::nearest;
use crate::lang::syntax::tree::{self, StepKind};
use crate::model::expr::{ExprKind, Member, PlanPart, Reference};
use crate::model::types::{FieldType, Need, ObjectType};
use crate::model::{Code, Kind, Name, Span, Type, Value};

/// Words for what happens to a resource, as [`crate::model::Action::word`] gives them.
const ACTIONS: [&str; 9] = ["create", "update", "replace", "destroy", "run", "read", "move", "forget", "record"];

const OF_PLAN: [&str; 3] = ["changes", "destroy", "environment"];

impl<'t> Checker<'t> {
    /// `plan.changes`, `plan.changes(kind)`, `plan.environment`; also how many steps that took. `None`: it was said that there is
    /// no such thing.
    pub(super) fn plan_root(&mut self, cx: &Cx, steps: &'t [tree::Step], root: Span) -> Option<(Typed, usize)> {
        let StepKind::Field { name, .. } = &steps[0].kind else {
            self.say_plan_alone(root);
            return None;
        };
        let span = root.to(steps[0].span);
        let typed = |part: PlanPart, span: Span, ty: Type| Typed::new(ExprKind::Name(Reference::Plan(part)), span, ty);
        match &*name.node {
            "environment" => Some((typed(PlanPart::Environment, span, Type::TEXT), 1)),
            "destroy" => Some((typed(PlanPart::Destroy, span, Type::Bool), 1)),
            "changes" => {
                let Some(tree::Step { kind: StepKind::Call { args }, span: call }) = steps.get(1) else {
                    return Some((typed(PlanPart::Changes(None), span, Type::list(change(None))), 1));
                };
                let span = root.to(*call);
                let kind = match &args[..] {
                    [] => None,
                    [tree::Arg { name: None, value }] => Some(self.kind_argument(cx, value, "plan.changes")?),
                    _ => {
                        let diagnostic = Code::BadArguments
                            .error("`plan.changes` takes one kind")
                            .label(*call, "write `plan.changes(service)`, or `plan.changes(fly.machine)`");
                        self.say(diagnostic);
                        return None;
                    }
                };
                let schema = kind.as_ref().and_then(|kind| self.schemas.kind(kind)).cloned();
                Some((typed(PlanPart::Changes(kind), span, Type::list(change(schema.as_ref()))), 2))
            }
            other => {
                self.say_unknown_field("`plan`", other, name.span, &OF_PLAN);
                None
            }
        }
    }

    pub(super) fn say_plan_alone(&mut self, span: Span) {
        let diagnostic = Code::UnknownName
            .error("`plan` alone is no value")
            .label(span, "needs a field")
            .help("write `plan.changes`, or `plan.environment`");
        self.say(diagnostic);
    }

    /// `output.url`, in tests.
    pub(super) fn output_root(&mut self, cx: &Cx, field: &'t tree::Name, span: Span) -> Option<Typed> {
        let outputs = self.outputs_of(cx.scope);
        let Some((_, ty)) = outputs.iter().find(|(name, _)| *name == field.node) else {
            if !self.tables.may_be_broken(self.directory(cx), &["output", &field.node]) {
                let similar: Vec<_> = outputs.iter().map(|(name, _)| (format!("output.{name}"), None)).collect();
                self.say_unknown_name(&format!("output.{}", field.node), span, "output", &similar);
            }
            return None;
        };
        Some(Typed::new(ExprKind::Name(Reference::Plan(PlanPart::Output(field.node.clone()))), span, ty.clone()))
    }

    /// `resources(fly.machine)`: every resource of a kind, by address.
    pub(super) fn call_resources(&mut self, cx: &mut Cx, args: &'t [tree::Arg], span: Span) -> Typed {
        let [tree::Arg { name: None, value }] = args else {
            let diagnostic = Code::BadArguments.error("`resources` takes one kind").label(span, "write `resources(fly.machine)`");
            self.say(diagnostic);
            return Typed::poison(span);
        };
        let Some(kind) = self.kind_argument(cx, value, "resources") else { return Typed::poison(span) };
        if self.schemas.kind(&kind).is_none() {
            let diagnostic = Code::UnknownKind
                .error(format!("`{kind}` is a component, and `resources` takes a kind of a provider"))
                .label(value.span, "is no resource")
                .help(format!("write `instances({kind})`"));
            self.say(diagnostic);
            return Typed::poison(span);
        }
        let part = PlanPart::Resources(kind.clone());
        Typed::new(ExprKind::Name(Reference::Plan(part)), span, Type::map(Type::Resource(kind)))
    }

    /// `reaches(a, b)`: whether the one depends on the other.
    pub(super) fn call_reaches(&mut self, cx: &mut Cx, args: &'t [tree::Arg], span: Span) -> Typed {
        let [tree::Arg { name: None, value: from }, tree::Arg { name: None, value: to }] = args else {
            let diagnostic = Code::BadArguments
                .error("`reaches` takes two instances or resources")
                .label(span, "write `reaches(service.api, database.main)`");
            self.say(diagnostic);
            return Typed::poison(span);
        };
        let mut ends = Vec::with_capacity(2);
        for value in [from, to] {
            let typed = self.infer(cx, value);
            match &typed.ty {
                Type::Ref(_) | Type::Resource(_) => ends.push(typed.expr),
                Type::Poison => return Typed::poison(span),
                other => {
                    let diagnostic = Code::BadArguments
                        .error(format!(
                            "`reaches` takes two instances or resources, and {} is {}",
                            quoted(self.text(value.span)),
                            noun(other)
                        ))
                        .label(value.span, "expected one such as `service.api`");
                    self.say(diagnostic);
                    return Typed::poison(span);
                }
            }
        }
        let (Some(to), Some(from)) = (ends.pop(), ends.pop()) else { return Typed::poison(span) };
        let member = Member::Reaches(Box::new(to));
        Typed::new(ExprKind::Member { of: Box::new(from), member, optional: false }, span, Type::Bool)
    }

    /// `.uses`, `.used_by` of an instance or resource; `None`: it is something else.
    pub(super) fn graph_member(cx: &Cx, name: &str) -> Option<(Member, Type)> {
        cx.rules?;
        match name {
            "uses" => Some((Member::Uses, Type::list(Type::TEXT))),
            "used_by" => Some((Member::UsedBy, Type::list(Type::TEXT))),
            _ => None,
        }
    }

    /// What `resources` and `reaches` are outside of rules.
    pub(super) fn say_in_rules_only(&mut self, name: &str, span: Span) {
        let diagnostic = Code::UnknownFunction
            .error(format!("`{name}` is there in policies and tests only"))
            .label(span, "nothing is planned here yet");
        self.say(diagnostic);
    }

    pub(super) fn sees_outputs(cx: &Cx) -> bool {
        cx.rules == Some(RulesOf::Test)
    }

    /// A kind as an argument: `database`, `fly.machine`.
    fn kind_argument(&mut self, cx: &Cx, value: &'t tree::Expr, function: &str) -> Option<Name> {
        let text = kind_text(value);
        let Some(text) = text else {
            let diagnostic = Code::BadArguments
                .error(format!("`{function}` takes a kind, and this is none"))
                .label(value.span, "expected one such as `service`, or `fly.machine`");
            self.say(diagnostic);
            return None;
        };
        let directory = self.directory(cx);
        if let Some(kind) = self.tables.find_kind(directory, &text) {
            return Some(self.tables.kinds[kind.at()].name.clone());
        }
        if self.schemas.kind(&text).is_some() {
            return Some(text.into());
        }
        let first = text.split('.').next().unwrap_or_default();
        if self.tables.may_be_broken(directory, &[&text]) || self.tables.may_be_broken(directory, &[first]) {
            return None;
        }
        let mut known: Vec<String> = self.tables.kind_names(directory).iter().map(|it| it.to_string()).collect();
        let providers = self.schemas.providers.iter();
        known.extend(providers.flat_map(|(name, it)| it.kinds.keys().map(move |kind| format!("{name}.{kind}"))));
        let near = nearest(&text, known.iter().map(|it| &**it)).map(str::to_owned);
        let diagnostic = Code::UnknownKind
            .error(format!("there is no kind `{text}`"))
            .label(value.span, "not defined in this stack or its imports")
            .helps(near.map(|near| format!("write `{near}`")));
        self.say(diagnostic);
        None
    }
}

fn kind_text(value: &tree::Expr) -> Option<String> {
    match &value.without_parens().kind {
        tree::ExprKind::Name(name) => Some(name.to_string()),
        tree::ExprKind::Access { base, steps } => {
            let mut text = base.as_name()?.to_string();
            for step in steps {
                let StepKind::Field { name, optional: false } = &step.kind else { return None };
                text.push('.');
                text.push_str(&name.node);
            }
            Some(text)
        }
        _ => None,
    }
}

/// The type of a change; of one to a resource of a kind, with its attributes.
fn change(kind: Option<&Arc<Kind>>) -> Type {
    let must = |ty: Type| FieldType { ty, need: Need::Required };
    let state = match kind {
        Some(kind) => attributes(kind),
        // Of any kind: secrets are left out.
        None => Type::map(Type::Any),
    };
    let fields = [
        ("address", must(Type::TEXT)),
        ("kind", must(Type::TEXT)),
        ("provider", must(Type::TEXT)),
        ("instance", must(Type::TEXT)),
        ("action", must(Type::Literals(Arc::new(ACTIONS.map(Value::text).to_vec())))),
        ("before", must(state.clone().optional())),
        ("after", must(state.optional())),
        ("changed", must(Type::list(Type::TEXT))),
        ("holds_data", must(Type::Bool)),
        ("loses_data", must(Type::Bool)),
    ];
    let fields = fields.into_iter().map(|(name, field)| (Name::from(name), field)).collect();
    Type::Object(Arc::new(ObjectType { fields, name: Some("change".into()) }))
}

/// The attributes of a resource before or after a change, each of which may be absent.
fn attributes(kind: &Arc<Kind>) -> Type {
    let field = |attribute: &crate::model::schema::Attribute| {
        let ty = match attribute.sensitive {
            true => each_sensitive(Type::Sensitive(Box::new(attribute.ty.clone()))),
            false => attribute.ty.clone(),
        };
        (attribute.name.clone(), FieldType { ty, need: Need::Absent })
    };
    let fields = kind.attributes.iter().map(field).collect();
    Type::Object(Arc::new(ObjectType { fields, name: Some(kind.name.clone()) }))
}
