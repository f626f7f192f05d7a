//! What a reference to an instance or resource has: outputs, signals, inputs, attributes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Checker;
use super::context::{Cx, Typed};
use super::describe::{At, article, quoted};
use super::fit::each_sensitive;
use super::narrow::{Known, decide_with};
use crate::lang::resolve::{ItemId, KindId, What};
use crate::lang::syntax::tree::{self, EntryKind, StepKind};
use crate::model::expr::{Expr, ExprKind, Member, Reference};
use crate::model::schema::Given;
use crate::model::{Code, Data, Name, Span, Type};

impl<'t> Checker<'t> {
    pub(super) fn kind_id(&self, kind: &str) -> Option<KindId> {
        self.tables.kinds_by_name.get(kind).copied()
    }

    /// `.name` of an instance; also how many steps that took.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn member(
        &mut self,
        cx: &mut Cx,
        of: Typed,
        kind: &Name,
        name: &'t tree::Name,
        optional: bool,
        steps: &'t [tree::Step],
        span: Span,
    ) -> (Typed, usize) {
        let Some(id) = self.kind_id(kind) else { return (Typed::poison(span), steps.len()) };
        let item = of.item;
        let made = |member: Member, span: Span, ty: Type| {
            Typed::new(ExprKind::Member { of: Box::new(of.expr.clone()), member, optional }, span, ty)
        };
        if let Some(output) = self.kinds[id.at()].outputs.get(&name.node).cloned() {
            let typed = made(Member::Output(name.node.clone()), span, output.ty.clone());
            let Some(cond) = &output.cond else { return (typed, 1) };
            if super::narrow::is_not_null(cx, &typed.expr) {
                return (typed, 1);
            }
            return match item.and_then(|item| self.decide_for(item, id, cond)) {
                Some(true) => (typed, 1),
                Some(false) => {
                    self.say_output_missing(item, id, &output, name, span);
                    (Typed::poison(span), steps.len())
                }
                None => (Typed { ty: typed.ty.optional(), ..typed }, 1),
            };
        }
        if let Some(signal) = self.kinds[id.at()].signals.get(&name.node).cloned() {
            let (window, taken, span) = match steps.get(1) {
                Some(tree::Step { kind: StepKind::Call { args }, span: call }) => {
                    let whole = span.to(*call);
                    let window = match &args[..] {
                        [] => None,
                        [tree::Arg { value, .. }] if signal.has_window => {
                            Some(Box::new(self.check(cx, value, &Type::Duration, &At::place("a window"))))
                        }
                        _ => {
                            let takes = if signal.has_window { "takes one window" } else { "takes no window" };
                            let diagnostic = Code::BadArguments
                                .error(format!("signal `{}` of `{kind}` {takes}", name.node))
                                .label(*call, takes)
                                .help(if signal.has_window {
                                    format!("write `{}(1h)`", name.node)
                                } else {
                                    format!("write `{}`", name.node)
                                });
                            self.say(diagnostic);
                            None
                        }
                    };
                    (window, 2, whole)
                }
                _ => (None, 1, span),
            };
            return (made(Member::Signal(name.node.clone(), window), span, signal.ty.clone()), taken);
        }
        match &*name.node {
            "address" => return (made(Member::Address, span, Type::TEXT), 1),
            "provider" => return (made(Member::Provider, span, Type::Provider("".into())), 1),
            "input" => {
                let Some(tree::Step { kind: StepKind::Field { name: field, .. }, span: end }) = steps.get(1) else {
                    let diagnostic = Code::UnknownField
                        .error(format!("{} alone is no value", quoted(self.text(span))))
                        .label(span, "needs the name of an input")
                        .help(format!("write `{}.NAME`", self.text(span)));
                    self.say(diagnostic);
                    return (Typed::poison(span), steps.len());
                };
                let whole = span.to(*end);
                let inputs = self.kinds[id.at()].inputs.clone();
                return match inputs.iter().find(|input| input.name == field.node) {
                    Some(input) => (made(Member::Input(input.name.clone()), whole, each_sensitive((*input.ty).clone())), 2),
                    None => {
                        let known: Vec<&str> = inputs.iter().map(|input| &*input.name).collect();
                        self.say_unknown_field(&format!("`{kind}.input`"), &field.node, field.span, &known);
                        (Typed::poison(whole), steps.len())
                    }
                };
            }
            other => {
                if let Some((member, ty)) = Self::graph_member(cx, other) {
                    return (made(member, span, ty), 1);
                }
            }
        }
        if !self.tables.may_be_broken(self.tables.kinds[id.at()].directory, &["output", &name.node]) {
            let types = &self.kinds[id.at()];
            let mut known: Vec<&str> = types.outputs.keys().chain(types.signals.keys()).map(|it| &**it).collect();
            known.extend(["address", "provider", "input"]);
            known.sort_unstable();
            let is_input = types.inputs.iter().any(|input| input.name == name.node);
            let known: Vec<String> = known.into_iter().map(str::to_owned).collect();
            if is_input {
                let diagnostic = Code::UnknownField
                    .error(format!("`{kind}` has no output `{}`", name.node))
                    .label(name.span, "is an input")
                    .help(format!("write `.input.{}`", name.node))
                    .fix(
                        format!("write `input.{}`", name.node),
                        crate::model::Confidence::Sure,
                        vec![crate::model::Edit { span: name.span, text: format!("input.{}", name.node) }],
                    );
                self.say(diagnostic);
            } else {
                let known: Vec<&str> = known.iter().map(|it| &**it).collect();
                self.say_unknown_field(&format!("`{kind}`"), &name.node, name.span, &known);
            }
        }
        (Typed::poison(span), steps.len())
    }

    fn say_output_missing(
        &mut self,
        item: Option<ItemId>,
        id: KindId,
        output: &super::OutputType,
        name: &tree::Name,
        span: Span,
    ) {
        let kind = self.tables.kinds[id.at()].name.clone();
        let cond = self.text(output.cond_span).to_owned();
        let mut diagnostic = Code::MaybeNull
            .error(format!("{} `{kind}` has `{}` only if `{cond}`", article(&kind), name.node))
            .label(span, "is not there");
        if let Some(item) = item {
            diagnostic = diagnostic.label(self.tables.items[item.at()].span, format!("`{cond}` does not hold for this one"));
        }
        self.say(diagnostic);
    }

    /// Whether a condition of a component holds for one of its instances, as far as the caller's block says.
    fn decide_for(&mut self, item: ItemId, kind: KindId, cond: &Expr) -> Option<bool> {
        let mut reads = Vec::new();
        super::stages::inputs_read(cond, &mut reads);
        let mut given = Vec::with_capacity(reads.len());
        for name in reads {
            let known = self.given(item, kind, &name);
            given.push((name, known));
        }
        decide_with(cond, &|expr| match &expr.kind {
            ExprKind::Name(Reference::Input(name)) => {
                given.iter().find(|(given, _)| given == name).and_then(|(_, known)| known.clone())
            }
            _ => None,
        })
    }

    /// What is known of an input that an instance was given.
    fn given(&mut self, item: ItemId, kind: KindId, name: &Name) -> Option<Known> {
        if let Some(known) = self.items[item.at()].given.get(name) {
            return known.clone();
        }
        // Asked again while it is looked at: nothing is known.
        self.items[item.at()].given.insert(name.clone(), None);
        let known = self.look_at_given(item, kind, name);
        self.items[item.at()].given.insert(name.clone(), known.clone());
        known
    }

    fn look_at_given(&mut self, item: ItemId, kind: KindId, name: &Name) -> Option<Known> {
        let What::Instance(instance, _) = &self.tables.items[item.at()].what else { return None };
        let instance = *instance;
        let mut found = None;
        for entry in &instance.body.entries {
            match &entry.kind {
                EntryKind::Spread(_) | EntryKind::Error(None) => return None,
                EntryKind::Field { key, .. } if key.text().is_none() => return None,
                EntryKind::Field { key, value } if key.text().is_some_and(|it| it.node == *name) => found = Some(Ok(value)),
                EntryKind::Block(block) if block.name.node == *name => found = Some(Err(block)),
                EntryKind::Error(Some(word)) if word.node == *name => return None,
                _ => {}
            }
        }
        match found {
            Some(Err(block)) => (block.head.each.is_none() && block.head.cond.is_none()).then_some(Known::NotNull),
            Some(Ok(value)) => {
                let input = self.kinds[kind.at()].inputs.iter().find(|input| input.name == *name)?.clone();
                let value: &'t tree::Expr = value;
                match &value.without_parens().kind {
                    tree::ExprKind::Object(_) | tree::ExprKind::List(_) => return Some(Known::NotNull),
                    tree::ExprKind::Literal(_) | tree::ExprKind::Text(_) | tree::ExprKind::Template(_) => {}
                    // Other expressions may ask for what asks this; a little is enough.
                    _ if self.quiet > 8 => return None,
                    _ => {}
                }
                self.quietly(|it| {
                    let mut cx = it.head_cx(item)?;
                    let typed = it.infer(&mut cx, value);
                    match (it.constant_value(&typed.expr), &typed.ty) {
                        (Some(value), _) if value.is_null() => Some(Known::Null),
                        (Some(value), _) => Some(Known::Is(value)),
                        (None, Type::Optional(_) | Type::Any | Type::Poison | Type::Null) => None,
                        (None, _) if matches!(*input.ty, Type::Bool) => None,
                        (None, _) => Some(Known::NotNull),
                    }
                })
            }
            None => {
                let input = self.kinds[kind.at()].inputs.iter().find(|input| input.name == *name)?.clone();
                match &input.default {
                    None if input.required => None,
                    None => Some(Known::Null),
                    Some(default) => match self.constant_value(default) {
                        Some(value) if value.is_null() => Some(Known::Null),
                        Some(value) => Some(Known::Is(value)),
                        None if matches!(*input.ty, Type::Optional(_) | Type::Bool) => None,
                        None => Some(Known::NotNull),
                    },
                }
            }
        }
    }

    /// The type that reading an attribute gives. `None`: there is no such attribute, which was said.
    pub(super) fn attribute_type(&mut self, kind: &str, item: Option<ItemId>, name: &tree::Name) -> Option<Type> {
        let schema = self.schemas.kind(kind)?.clone();
        let Some(attribute) = schema.attribute(&name.node) else {
            let known: Vec<&str> = schema.attributes.iter().map(|it| &*it.name).collect();
            self.say_unknown_field(&format!("`{kind}`"), &name.node, name.span, &known);
            return None;
        };
        let ty = match attribute.given {
            // Absent where the program does not give it.
            Given::Optional if attribute.naming.is_none() && !self.gives(item, &name.node) => attribute.ty.clone().optional(),
            _ => attribute.ty.clone(),
        };
        Some(match (&attribute.ty, attribute.sensitive) {
            // Entry by entry: what is plain stays plain only to the evaluator.
            (_, true) => each_sensitive(Type::Sensitive(Box::new(ty))),
            _ => ty,
        })
    }

    /// Whether a resource's block certainly gives an attribute a value that is not null.
    fn gives(&self, item: Option<ItemId>, name: &str) -> bool {
        let Some(What::Resource(resource, _)) = item.map(|item| &self.tables.items[item.at()].what) else { return false };
        resource.body.entries.iter().any(|entry| match &entry.kind {
            EntryKind::Field { key, value } => {
                key.text().is_some_and(|it| &*it.node == name)
                    && matches!(
                        value.without_parens().kind,
                        tree::ExprKind::Text(_)
                            | tree::ExprKind::Template(_)
                            | tree::ExprKind::List(_)
                            | tree::ExprKind::Object(_)
                            | tree::ExprKind::Literal(
                                tree::Literal::Int(_)
                                    | tree::Literal::Bool(_)
                                    | tree::Literal::Decimal(_)
                                    | tree::Literal::Size(_)
                                    | tree::Literal::Duration(_)
                            )
                    )
            }
            EntryKind::Block(block) => &*block.name.node == name && block.head.cond.is_none(),
            _ => false,
        })
    }

    /// The keys of a keyed item, where its collection is constant and no condition leaves some out.
    pub(super) fn constant_keys(&mut self, item: ItemId) -> Option<Arc<BTreeSet<Name>>> {
        if let Some(keys) = &self.items[item.at()].keys {
            return keys.clone();
        }
        let head = self.quietly(|it| it.head_of(item))?;
        let keys = self.keys_in(&head).map(Arc::new);
        self.items[item.at()].keys = Some(keys.clone());
        keys
    }

    fn keys_in(&self, head: &super::heads::CheckedHead) -> Option<BTreeSet<Name>> {
        if head.head.cond.is_some() {
            return None;
        }
        match &self.constant_value(&head.head.each.as_ref()?.over)?.data {
            Data::List(items) => items
                .iter()
                .map(|it| match &it.data {
                    Data::Text(text) => Some(text.clone()),
                    Data::Int(number) => Some(number.to_string().into()),
                    _ => None,
                })
                .collect(),
            Data::Map(fields) => Some(fields.keys().cloned().collect()),
            _ => None,
        }
    }
}
