//! Bodies and blocks: however a field is written, there is one expression for it afterwards.
//!
//! `backup { every = 1d }` is `backup = { every = 1d }`; a repeated block fills a list; a quoted label is a key of a map; a bare
//! label picks a variant; heads with `for` and `if` become comprehensions and conditions.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Checker;
use super::body::FieldsOf;
use super::constant::folded_map;
use super::context::{Cx, Typed, poison};
use super::describe::{At, AtWhat, article, noun, quoted};
use super::fit::{Fit, fit, read_type};
use super::infer::Wanted;
use super::narrow;
use super::shapes::{join, object, untainted};
use crate::lang::resolve::nearest;
use crate::lang::syntax::tree::{self, Entry, EntryKind, Key};
use crate::model::expr::{Expr, ExprKind, ForClause, ListPart, MapPart};
use crate::model::types::{Need, ObjectType, VariantType};
use crate::model::{Code, Name, Span, Type, Value};

/// What a body gave, in the order of the text.
#[derive(Default)]
pub(super) struct Folded {
    pub parts: Vec<Part>,
    /// A field could not be read: nothing is called missing.
    pub broken: bool,
}

pub(super) enum Part {
    Field { name: Name, value: Expr, span: Span },
    Spread { value: Expr, ty: Type },
}

impl Folded {
    fn has_spread(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Spread { .. }))
    }

    /// Whether a field is certainly given.
    fn gives(&self, name: &str) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Field { name: given, .. } => &**given == name,
            Part::Spread { ty, .. } => match untainted(ty).0 {
                Type::Object(object) => object.fields.get(name).is_some_and(|field| !matches!(field.need, Need::Absent)),
                _ => true,
            },
        })
    }

    /// The field that a misspelt one was meant for is not missing besides.
    fn give_near(&mut self, name: &tree::Name, fields: &FieldsOf<'_>, body: &tree::Body) {
        let required = fields.required().into_iter().map(|(name, _)| name);
        let near = nearest(&name.node, fields.names()).filter(|near| !gives(body, near));
        if let Some(name_of) = required.into_iter().find(|it| near == Some(it)) {
            self.parts.push(Part::Field { name: name_of, value: poison(name.span), span: name.span });
        }
    }

    pub fn into_map(self) -> Vec<MapPart> {
        let part = |part| match part {
            Part::Field { name, value, .. } => MapPart::Entry(name, value),
            Part::Spread { value, .. } => MapPart::Spread(value),
        };
        self.parts.into_iter().map(part).collect()
    }
}

/// Which entries of a body the engine reads itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// The body of the stack: `policies` names policies, and is read apart.
    Stack,
    /// The body of an instance or resource: `lifecycle`, `on` and `require` are not fields.
    Item,
    Inside,
}

impl<'t> Checker<'t> {
    #[allow(clippy::too_many_arguments, reason = "what a body is checked against is said by its caller, and kept nowhere")]
    /// The entries of a body, each checked against its field. `who` has the fields, for messages: `` `cache` ``.
    pub(super) fn fold(
        &mut self,
        cx: &mut Cx,
        body: &'t tree::Body,
        fields: &FieldsOf<'_>,
        who: &str,
        outer: Option<&At<'_>>,
        sensitive: bool,
        level: Level,
    ) -> Folded {
        let mut folded = Folded::default();
        let mut given: FxHashMap<&'t str, (Span, bool)> = FxHashMap::default();
        let blocks = grouped(body, level);
        for entry in &body.entries {
            match &entry.kind {
                EntryKind::Field { key, value } => {
                    let Some(name) = self.constant_key(cx, key, who) else {
                        self.infer(cx, value);
                        folded.broken = true;
                        continue;
                    };
                    if !self.given_once(&mut given, &name.node, name.span, false) {
                        self.quietly(|it| it.infer(cx, value));
                        continue;
                    }
                    if level == Level::Stack && &*name.node == "policies" {
                        continue;
                    }
                    let habit = level == Level::Item && fields.find(self, &name.node).is_none();
                    if habit && self.say_habit_of_item(cx, entry, body, who) {
                        continue;
                    }
                    let Some(field) = self.field(fields, name, who, body) else {
                        self.infer(cx, value);
                        folded.give_near(name, fields, body);
                        continue;
                    };
                    let at = At { what: AtWhat::Field(&name.node), outer, declared: field.declared };
                    let ty = super::fit::sink(&field.ty, sensitive);
                    let ty = outer_optional(&field.ty, ty);
                    let value = self.check(cx, value, &ty, &at);
                    folded.parts.push(Part::Field { name: name.node.clone(), value, span: entry.span });
                }
                EntryKind::Block(block) => {
                    let Some(group) = blocks.get(&*block.name.node) else { continue };
                    if !std::ptr::eq(group[0], &**block) {
                        continue;
                    }
                    let name = &block.name;
                    if !self.given_once(&mut given, &name.node, name.span, true) {
                        continue;
                    }
                    let habit = level == Level::Item && fields.find(self, &name.node).is_none();
                    if habit && self.say_habit_of_item(cx, entry, body, who) {
                        continue;
                    }
                    let Some(field) = self.field(fields, name, who, body) else {
                        for block in group {
                            self.quietly(|it| it.infer_object(cx, &block.body, block.body.span));
                        }
                        folded.give_near(name, fields, body);
                        continue;
                    };
                    let at = At { what: AtWhat::Field(&name.node), outer, declared: field.declared };
                    let ty = super::fit::sink(&field.ty, sensitive);
                    let ty = outer_optional(&field.ty, ty);
                    let value = self.blocks_value(cx, group, &ty, &at, fields.is_part() || fields.may_be_absent(&name.node));
                    folded.parts.push(Part::Field { name: name.node.clone(), value, span: entry.span });
                }
                EntryKind::Spread(value) => {
                    if let Some(part) = self.spread(cx, value, fields, who, sensitive) {
                        // A spread that follows may win over what stands before it: both may be given.
                        given.clear();
                        folded.parts.push(part);
                    } else {
                        folded.broken = true;
                    }
                }
                EntryKind::Require(require) => {
                    if level != Level::Item {
                        self.misplaced_entry(require.span, "`require`", "stands in a component, a clause or a resource");
                    }
                }
                EntryKind::On(on) => {
                    if level != Level::Item {
                        self.misplaced_entry(on.provider.span, "`on`", "stands directly in the body of an instance");
                    }
                }
                EntryKind::Error(name) => match name {
                    Some(name) => drop(given.insert(&name.node, (name.span, false))),
                    None => folded.broken = true,
                },
            }
        }
        for (name, _) in fields.required() {
            if given.contains_key(&*name) && !folded.gives(&name) {
                // It was given, and was wrong.
                folded.parts.push(Part::Field { name, value: poison(body.span), span: body.span });
            }
        }
        folded
    }

    /// Says which fields are missing; `span` is the smallest place of what lacks them.
    pub(super) fn require_fields(
        &mut self,
        folded: &Folded,
        fields: &FieldsOf<'_>,
        who: &str,
        span: Span,
        declared: impl Fn(&str) -> Option<Span>,
    ) {
        if folded.broken {
            return;
        }
        for (name, ty) in fields.required() {
            // Of a type that is unknown, which was said.
            if folded.gives(&name) || matches!(ty, Type::Poison) {
                continue;
            }
            let diagnostic =
                Code::MissingField.error(format!("{who} is missing `{name}`")).label(span, format!("needs `{name}: {ty}`"));
            let diagnostic = match super::describe::examples(&ty) {
                Some(_) if matches!(ty, Type::Condition) => {
                    diagnostic.help(format!("such as `{name} = service.api.latency_p95 > 200ms`"))
                }
                Some(examples) => {
                    diagnostic.help(format!("such as `{name} = {}`", examples.split(", ").next().unwrap_or(examples)))
                }
                None => diagnostic,
            };
            let at = At::field(&name, declared(&name));
            let diagnostic = self.with_declaration(diagnostic, &at);
            self.say(diagnostic);
        }
    }

    fn constant_key(&mut self, cx: &mut Cx, key: &'t Key, who: &str) -> Option<&'t tree::Name> {
        match key {
            Key::Name(name) | Key::Quoted(name) => Some(name),
            Key::Computed(expr) => {
                self.infer(cx, expr);
                let diagnostic = Code::UnknownField
                    .error(format!("the fields of {who} have constant names"))
                    .label(expr.span, "only the keys of a map are computed");
                self.say(diagnostic);
                None
            }
        }
    }

    fn given_once(&mut self, given: &mut FxHashMap<&'t str, (Span, bool)>, name: &'t str, span: Span, block: bool) -> bool {
        match given.insert(name, (span, block)) {
            None => true,
            Some((first, was_block)) => {
                let how = if block != was_block { "by `=` and by a block" } else { "twice" };
                let diagnostic = Code::DuplicateField
                    .error(format!("`{name}` is given {how}"))
                    .label(span, "second time")
                    .label(first, "first time")
                    .help("keep one of the two");
                self.say(diagnostic);
                false
            }
        }
    }

    /// The field of that name; what is wrong with giving it is said.
    fn field(&mut self, fields: &FieldsOf<'_>, name: &tree::Name, who: &str, body: &tree::Body) -> Option<super::body::Field> {
        match fields.find(self, &name.node) {
            Some(field) if field.computed => {
                let diagnostic = Code::UnknownField
                    .error(format!("`{}` of {who} is computed by the platform", name.node))
                    .label(name.span, "cannot be given");
                self.say(diagnostic);
                None
            }
            Some(field) => Some(field),
            None => {
                let known = fields.names();
                self.say_unknown_field_beside(who, &name.node, name.span, &known, |it| gives(body, it));
                None
            }
        }
    }

    fn misplaced_entry(&mut self, span: Span, what: &str, belongs: &str) {
        self.say(Code::Syntax.error(format!("{what} cannot stand here")).label(span, belongs.to_owned()));
    }

    /// `...expr` in a body with declared fields.
    fn spread(&mut self, cx: &mut Cx, value: &'t tree::Expr, fields: &FieldsOf<'_>, who: &str, sensitive: bool) -> Option<Part> {
        let typed = self.infer(cx, value);
        let (bare, tainted) = untainted(&typed.ty);
        match bare {
            Type::Poison => None,
            Type::Object(given) => {
                let mut converts = false;
                let mut wanted = ObjectType::default();
                for (name, field) in &given.fields {
                    let Some(known) = fields.find(self, name) else {
                        let near = nearest(name, fields.names()).map(|it| format!("a field with a similar name exists: `{it}`"));
                        let diagnostic = Code::UnknownField
                            .error(format!("{who} has no field `{name}`, which {} has", quoted(self.text(value.span))))
                            .label(value.span, format!("has the field `{name}`"))
                            .helps(near);
                        self.say(diagnostic);
                        return None;
                    };
                    let want = outer_optional(&known.ty, super::fit::sink(&known.ty, sensitive));
                    let have = if tainted { super::fit::secret(read_type(field)) } else { field.ty.clone() };
                    let at = At::field(name, known.declared);
                    match fit(&have, &want) {
                        Fit::Same => {}
                        Fit::Convert => converts = true,
                        Fit::Secret => {
                            self.say_secret_shown(Some(&typed.expr), &have, &at, value.span);
                            return None;
                        }
                        how => {
                            self.say_unfit(&have, &want, how, &at, value.span);
                            return None;
                        }
                    }
                    wanted.fields.insert(
                        name.clone(),
                        crate::model::types::FieldType {
                            ty: known.ty.clone(),
                            need: if matches!(field.need, Need::Absent) { Need::Absent } else { Need::Required },
                        },
                    );
                }
                let span = typed.expr.span;
                let ty = typed.ty.clone();
                let value = match converts {
                    true => Expr::new(ExprKind::Convert(Box::new(typed.expr), Arc::new(Type::Object(Arc::new(wanted)))), span),
                    false => typed.expr,
                };
                Some(Part::Spread { value, ty })
            }
            other => {
                let diagnostic = Code::WrongType
                    .error(format!("only an object can be spread here, and {} is {}", quoted(self.text(value.span)), noun(other)))
                    .label(value.span, "expected an object");
                self.say(diagnostic);
                None
            }
        }
    }

    // ---- objects ----------------------------------------------------------------------------------------------------------

    /// `{ … }` where an object, a map or any value is wanted.
    pub(super) fn check_object(
        &mut self,
        cx: &mut Cx,
        body: &'t tree::Body,
        wanted: &Wanted<'_>,
        at: &At<'_>,
        span: Span,
    ) -> Expr {
        match wanted.core {
            Type::Object(object) => {
                let kind = self.object_of(cx, body, object, wanted.sensitive, at, span, span);
                wanted.finish(kind, span)
            }
            Type::Map(of) => {
                let part = wanted.part(of);
                let kind = self.map_of(cx, body, &part, at, span);
                wanted.finish(kind, span)
            }
            _ => {
                let part = wanted.part(&Type::Any);
                let part = match part {
                    Type::Any => Type::Any,
                    other => other.optional(),
                };
                let kind = self.map_of(cx, body, &part, at, span);
                wanted.finish(kind, span)
            }
        }
    }

    /// An object of a declared type: defaults are filled in.
    #[allow(clippy::too_many_arguments)]
    fn object_of(
        &mut self,
        cx: &mut Cx,
        body: &'t tree::Body,
        object: &Arc<ObjectType>,
        sensitive: bool,
        at: &At<'_>,
        span: Span,
        missing_at: Span,
    ) -> ExprKind {
        let who = match &object.name {
            Some(name) if matches!(at.what, AtWhat::Place(_)) => format!("`{name}`"),
            _ => at.words(),
        };
        let fields = FieldsOf::Object(object);
        let nulls = self.nulls;
        let folded = self.fold(cx, body, &fields, &who, Some(at), sensitive, Level::Inside);
        self.require_fields(&folded, &fields, &who, missing_at, |_| None);
        // What may be absent and was given as null has to be taken out, and what a spread leaves out filled in.
        let converts = folded.has_spread() || self.nulls > nulls;
        let mut parts = Vec::with_capacity(folded.parts.len());
        if !converts {
            for (name, value) in fields.defaults() {
                if !folded.gives(&name) {
                    parts.push(MapPart::Entry(name, Expr::literal(value)));
                }
            }
        }
        parts.extend(folded.into_map());
        let kind = folded_map(parts, span);
        match converts {
            true => {
                let ty = match sensitive {
                    true => Type::Sensitive(Box::new(Type::Object(object.clone()))),
                    false => Type::Object(object.clone()),
                };
                ExprKind::Convert(Box::new(Expr::new(kind, span)), Arc::new(ty))
            }
            false => kind,
        }
    }

    /// A map whose values are all wanted as one type.
    fn map_of(&mut self, cx: &mut Cx, body: &'t tree::Body, of: &Type, at: &At<'_>, span: Span) -> ExprKind {
        let mut parts = Vec::with_capacity(body.entries.len());
        let mut given: FxHashMap<&'t str, (Span, bool)> = FxHashMap::default();
        let blocks = grouped(body, Level::Inside);
        for entry in &body.entries {
            match &entry.kind {
                EntryKind::Field { key, value } => match key {
                    Key::Name(name) | Key::Quoted(name) => {
                        if !self.given_once(&mut given, &name.node, name.span, false) {
                            continue;
                        }
                        let value = self.check(cx, value, of, &at.entry(&name.node));
                        parts.push(MapPart::Entry(name.node.clone(), value));
                    }
                    Key::Computed(key) => {
                        let key = self.check(cx, key, &Type::TEXT, &At::place("a key"));
                        let value = self.check(cx, value, of, &at.element());
                        parts.push(MapPart::Computed(key, value));
                    }
                },
                EntryKind::Block(block) => {
                    let group = &blocks[&*block.name.node];
                    if !std::ptr::eq(group[0], &**block) || !self.given_once(&mut given, &block.name.node, block.name.span, true)
                    {
                        continue;
                    }
                    let value = self.blocks_value(cx, group, of, &at.entry(&block.name.node), true);
                    parts.push(MapPart::Entry(block.name.node.clone(), value));
                }
                EntryKind::Spread(value) => {
                    let typed = self.infer(cx, value);
                    let want = match of {
                        Type::Any => Type::Any,
                        Type::Optional(inner) if **inner == Type::Sensitive(Box::new(Type::Any)) => (**inner).clone(),
                        of => Type::map(of.clone()),
                    };
                    let spread = match untainted(&typed.ty).0 {
                        Type::Map(_) | Type::Object(_) | Type::Any | Type::Poison => self.fitted(typed, &want, at),
                        other => {
                            let diagnostic = Code::WrongType
                                .error(format!(
                                    "only a map can be spread here, and {} is {}",
                                    quoted(self.text(value.span)),
                                    noun(other)
                                ))
                                .label(value.span, "expected a map");
                            self.say(diagnostic);
                            continue;
                        }
                    };
                    given.clear();
                    parts.push(MapPart::Spread(spread));
                }
                EntryKind::Require(require) => {
                    self.misplaced_entry(require.span, "`require`", "stands in a component, a clause or a resource")
                }
                EntryKind::On(on) => self.misplaced_entry(on.provider.span, "`on`", "stands directly in the body of an instance"),
                EntryKind::Error(_) => {}
            }
        }
        folded_map(parts, span)
    }

    /// `{ … }` where nothing is wanted: an object with the fields that are written, or a map if keys are computed.
    pub(super) fn infer_object(&mut self, cx: &mut Cx, body: &'t tree::Body, span: Span) -> Typed {
        let mut parts = Vec::with_capacity(body.entries.len());
        let mut fields: Vec<(Name, Type)> = Vec::with_capacity(body.entries.len());
        let mut given: FxHashMap<&'t str, (Span, bool)> = FxHashMap::default();
        let (mut values, mut spread): (Option<Type>, bool) = (None, false);
        let blocks = grouped(body, Level::Inside);
        for entry in &body.entries {
            match &entry.kind {
                EntryKind::Field { key: Key::Name(name) | Key::Quoted(name), value } => {
                    let typed = self.infer(cx, value);
                    if self.given_once(&mut given, &name.node, name.span, false) {
                        if spread {
                            fields.retain(|(given, _)| *given != name.node);
                        }
                        fields.push((name.node.clone(), typed.ty));
                        parts.push(MapPart::Entry(name.node.clone(), typed.expr));
                    }
                }
                EntryKind::Field { key: Key::Computed(key), value } => {
                    let key = self.check(cx, key, &Type::TEXT, &At::place("a key"));
                    let typed = self.infer(cx, value);
                    let joined = match &values {
                        None => Some(typed.ty.clone()),
                        Some(before) => join(before, &typed.ty),
                    };
                    values = Some(joined.unwrap_or_else(|| {
                        self.joined(
                            "the values of a map",
                            &[values.clone().unwrap_or(Type::Poison), typed.ty],
                            &[span, value.span],
                        )
                    }));
                    parts.push(MapPart::Computed(key, typed.expr));
                }
                EntryKind::Block(block) => {
                    let group = &blocks[&*block.name.node];
                    if !std::ptr::eq(group[0], &**block) || !self.given_once(&mut given, &block.name.node, block.name.span, true)
                    {
                        continue;
                    }
                    let value = self.blocks_value(cx, group, &Type::Any, &At::field(&block.name.node, None), true);
                    fields.push((block.name.node.clone(), Type::Any));
                    parts.push(MapPart::Entry(block.name.node.clone(), value));
                }
                EntryKind::Spread(value) => {
                    let typed = self.infer(cx, value);
                    let (bare, tainted) = untainted(&typed.ty);
                    let taint = |ty: Type| if tainted { super::fit::secret(ty) } else { ty };
                    match bare {
                        Type::Object(object) => {
                            for (name, field) in &object.fields {
                                let before = fields.iter().position(|(given, _)| given == name);
                                let ty = taint(read_type(field));
                                match (before, &field.need) {
                                    (Some(at), Need::Absent) => {
                                        let joined = join(&fields[at].1, &ty);
                                        fields[at].1 = joined.unwrap_or(Type::Poison);
                                    }
                                    (Some(at), _) => fields[at].1 = ty,
                                    (None, _) => fields.push((name.clone(), ty)),
                                }
                            }
                        }
                        Type::Map(of) => {
                            let of = taint((**of).clone());
                            values = Some(match values {
                                None => of,
                                Some(before) => join(&before, &of).unwrap_or(Type::Poison),
                            });
                        }
                        Type::Poison => values = Some(Type::Poison),
                        Type::Any => values = Some(Type::Any),
                        other => {
                            let diagnostic = Code::WrongType
                                .error(format!(
                                    "only objects and maps can be spread, and {} is {}",
                                    quoted(self.text(value.span)),
                                    noun(other)
                                ))
                                .label(value.span, "expected an object or a map");
                            self.say(diagnostic);
                        }
                    }
                    given.clear();
                    spread = true;
                    parts.push(MapPart::Spread(typed.expr));
                }
                EntryKind::Require(require) => {
                    self.misplaced_entry(require.span, "`require`", "stands in a component, a clause or a resource")
                }
                EntryKind::On(on) => self.misplaced_entry(on.provider.span, "`on`", "stands directly in the body of an instance"),
                EntryKind::Error(_) => values = Some(Type::Poison),
            }
        }
        let ty = match values {
            None => object(fields),
            Some(of) => {
                let joined = fields.iter().try_fold(of, |joined, (_, ty)| join(&joined, ty));
                match joined {
                    Some(of) => Type::map(of),
                    None => {
                        let types: Vec<Type> = fields.iter().map(|(_, ty)| ty.clone()).collect();
                        let spans = vec![span; types.len()];
                        self.joined("the values of a map", &types, &spans);
                        Type::Poison
                    }
                }
            }
        };
        Typed::new(folded_map(parts, span), span, ty)
    }

    // ---- variants ---------------------------------------------------------------------------------------------------------

    pub(super) fn check_variant(
        &mut self,
        cx: &mut Cx,
        variant: &Arc<VariantType>,
        label: &'t tree::Name,
        body: &'t tree::Body,
        wanted: &Wanted<'_>,
        at: &At<'_>,
    ) -> ExprKind {
        let span = label.span.to(body.span);
        let Some(case) = variant.cases.get(&label.node) else {
            self.say_unknown_label(variant, &label.node, label.span, at);
            self.quietly(|it| it.infer_object(cx, body, body.span));
            return poison(span).kind;
        };
        let at_case = At { what: AtWhat::Field(&label.node), outer: None, declared: at.declared };
        let kind = self.object_of(cx, body, case, wanted.sensitive, &at_case, span, label.span);
        match kind {
            ExprKind::Literal(Value { data: crate::model::Data::Map(fields), .. }) => {
                ExprKind::Literal(Value::new(crate::model::Data::Variant(label.node.clone(), fields), span))
            }
            kind => ExprKind::Variant(label.node.clone(), Box::new(Expr::new(kind, body.span))),
        }
    }

    pub(super) fn infer_variant(&mut self, cx: &mut Cx, label: &'t tree::Name, body: &'t tree::Body, span: Span) -> Typed {
        let typed = self.infer_object(cx, body, body.span);
        let cases = match &typed.ty {
            Type::Object(object) => [(label.node.clone(), object.clone())].into_iter().collect(),
            _ => Default::default(),
        };
        let ty = Type::Variant(Arc::new(VariantType { name: None, cases }));
        Typed::new(ExprKind::Variant(label.node.clone(), Box::new(typed.expr)), span, ty)
    }

    // ---- blocks -----------------------------------------------------------------------------------------------------------

    /// The value that the blocks of one name stand for.
    fn blocks_value(&mut self, cx: &mut Cx, blocks: &[&'t tree::Block], ty: &Type, at: &At<'_>, may_be_absent: bool) -> Expr {
        let wanted = Wanted::of(ty);
        let span = blocks[0].name.span.to(blocks[0].body.span);
        let keyed = blocks.iter().any(|block| block.key.is_some());
        let kind = match wanted.core {
            Type::Poison => {
                for block in blocks {
                    self.quietly(|it| it.infer_object(cx, &block.body, block.body.span));
                }
                return poison(span);
            }
            Type::List(of, bounds) if !keyed => {
                let part = wanted.part(of);
                let list = self.blocks_list(cx, blocks, &part, at);
                let count =
                    blocks.iter().all(|it| it.head.each.is_none() && it.head.cond.is_none()).then_some(blocks.len() as u64);
                let fits = |count: u64| bounds.min.is_none_or(|min| count >= min) && bounds.max.is_none_or(|max| count <= max);
                match count {
                    _ if bounds.min.is_none() && bounds.max.is_none() => list,
                    Some(count) if fits(count) => list,
                    _ => {
                        let whole = Type::List(Box::new(Type::Poison), *bounds);
                        ExprKind::Convert(Box::new(Expr::new(list, span)), Arc::new(whole))
                    }
                }
            }
            Type::Set(of) if !keyed => {
                let part = wanted.part(of);
                let list = self.blocks_list(cx, blocks, &part, at);
                ExprKind::Convert(Box::new(Expr::new(list, span)), Arc::new(wanted.core.clone()))
            }
            Type::Map(of) if keyed => {
                let part = wanted.part(of);
                self.blocks_map(cx, blocks, &part, at)
            }
            Type::Any if keyed => self.blocks_map(cx, blocks, &any_part(&wanted), at),
            Type::Any if blocks.len() > 1 => self.blocks_list(cx, blocks, &any_part(&wanted), at),
            Type::Object(_) | Type::Variant(_) | Type::Map(_) | Type::Any => {
                if let Some(second) = blocks.get(1) {
                    let diagnostic = Code::DuplicateField
                        .error(format!("{} is given twice", at.words()))
                        .label(second.name.span, "second time")
                        .label(blocks[0].name.span, "first time")
                        .help(format!("it is {}, not a list", noun(wanted.core)));
                    self.say(diagnostic);
                }
                return self.single_block(cx, blocks[0], ty, &wanted, at, may_be_absent);
            }
            other => {
                let diagnostic = Code::WrongType
                    .error(format!("{} takes {}, and this is a block", at.words(), noun(other)))
                    .label(blocks[0].name.span, format!("expected `{} = …`", blocks[0].name.node));
                let diagnostic = self.with_declaration(diagnostic, at);
                self.say(diagnostic);
                return poison(span);
            }
        };
        wanted.finish(kind, span)
    }

    fn single_block(
        &mut self,
        cx: &mut Cx,
        block: &'t tree::Block,
        ty: &Type,
        wanted: &Wanted<'_>,
        at: &At<'_>,
        may_be_absent: bool,
    ) -> Expr {
        let span = block.name.span.to(block.body.span);
        if let Some(key) = &block.key {
            let diagnostic = Code::WrongType
                .error(format!("{} is {}, and has no keys", at.words(), noun(wanted.core)))
                .label(key.span, "is no key of it");
            self.say(diagnostic);
            return poison(span);
        }
        if let Some(each) = &block.head.each {
            let diagnostic = Code::WrongType
                .error(format!("{} is {}, and there is one of it", at.words(), noun(wanted.core)))
                .label(each.span, "fills a list or a map only");
            self.say(diagnostic);
            return poison(span);
        }
        let Some(cond) = &block.head.cond else {
            let kind = self.block_item(cx, block, wanted, at);
            return wanted.finish(kind, span);
        };
        let (cond, _) = self.condition(cx, cond);
        let mark = cx.mark();
        narrow::learn(cx, &cond, true);
        let kind = self.block_item(cx, block, wanted, at);
        let value = wanted.finish(kind, span);
        cx.reset(mark);
        if !wanted.optional && !may_be_absent {
            let diagnostic = Code::MaybeNull
                .error(format!("{} cannot be left out", at.words()))
                .label(cond.span, "where this is false, it is missing")
                .help(format!("it is `{ty}`: say with `if … then … else …` what it is otherwise"));
            let diagnostic = self.with_declaration(diagnostic, at);
            self.say(diagnostic);
        }
        self.nulls += 1;
        let null = Expr::literal(Value::new(crate::model::Data::Null, cond.span));
        Expr::new(ExprKind::If(Box::new(cond), Box::new(value), Box::new(null)), span)
    }

    /// One block as a value of the wanted type.
    fn block_item(&mut self, cx: &mut Cx, block: &'t tree::Block, wanted: &Wanted<'_>, at: &At<'_>) -> ExprKind {
        let span = block.name.span.to(block.body.span);
        match (&block.label, wanted.core) {
            (Some(label), Type::Variant(variant)) => self.check_variant(cx, variant, label, &block.body, wanted, at),
            (Some(label), Type::Any) => {
                let typed = self.infer_variant(cx, label, &block.body, span);
                typed.expr.kind
            }
            (Some(label), Type::Poison) => {
                self.quietly(|it| it.infer_object(cx, &block.body, label.span));
                poison(span).kind
            }
            (Some(label), core) => {
                let diagnostic = Code::WrongType
                    .error(format!("{} is {}, and takes no label", at.words(), noun(core)))
                    .label(label.span, "picks a variant only")
                    .help(format!("for a key of a map, put it in quotes: `{} \"{}\"`", block.name.node, label.node));
                self.say(diagnostic);
                poison(span).kind
            }
            (None, Type::Variant(variant)) => {
                let labels = super::describe::listed(variant.cases.keys().map(|it| &**it));
                let first = variant.cases.keys().next().map_or("label", |it| &**it);
                let diagnostic = Code::MissingField
                    .error(format!("{} does not say which: {labels}", at.words()))
                    .label(block.name.span, "needs a label")
                    .help(format!("write `{} {first} {{ … }}`", block.name.node));
                let diagnostic = self.with_declaration(diagnostic, at);
                self.say(diagnostic);
                poison(span).kind
            }
            (None, Type::Object(object)) => self.object_of(cx, &block.body, object, wanted.sensitive, at, span, block.name.span),
            (None, Type::Map(of)) => {
                let part = wanted.part(of);
                self.map_of(cx, &block.body, &part, at, span)
            }
            (None, Type::Any) => {
                let part = any_part(wanted);
                self.map_of(cx, &block.body, &part, at, span)
            }
            (None, Type::Poison) => {
                self.quietly(|it| it.infer_object(cx, &block.body, span));
                poison(span).kind
            }
            (None, core) => {
                let diagnostic = Code::WrongType
                    .error(format!("{} takes {}, and this is a block", at.words(), noun(core)))
                    .label(block.name.span, format!("is an object, not {} {}", article(&noun(core)), noun(core)));
                self.say(diagnostic);
                poison(span).kind
            }
        }
    }

    /// Repeated blocks, with their heads, as a list.
    fn blocks_list(&mut self, cx: &mut Cx, blocks: &[&'t tree::Block], of: &Type, at: &At<'_>) -> ExprKind {
        let at_item = at.element();
        let item_wanted = Wanted::of(of);
        let mut parts = Vec::with_capacity(blocks.len());
        for block in blocks {
            let span = block.name.span.to(block.body.span);
            let mark = cx.mark();
            let clauses = self.block_head(cx, block);
            let kind = self.block_item(cx, block, &item_wanted, if blocks.len() == 1 { at } else { &at_item });
            let value = item_wanted.finish(kind, span);
            cx.reset(mark);
            parts.push(match &clauses[..] {
                [] => ListPart::Item(value),
                [ForClause::If(cond)] => {
                    let then = Expr::new(ExprKind::List(vec![ListPart::Item(value)]), span);
                    let otherwise = Expr::new(ExprKind::List(Vec::new()), span);
                    let kind = ExprKind::If(Box::new(cond.clone()), Box::new(then), Box::new(otherwise));
                    ListPart::Spread(Expr::new(kind, span))
                }
                _ => ListPart::Spread(Expr::new(ExprKind::ForList { clauses, item: Box::new(value) }, span)),
            });
        }
        ExprKind::List(parts)
    }

    /// Blocks with quoted labels as a map.
    fn blocks_map(&mut self, cx: &mut Cx, blocks: &[&'t tree::Block], of: &Type, at: &At<'_>) -> ExprKind {
        let wanted = Wanted::of(of);
        let mut parts = Vec::with_capacity(blocks.len());
        let mut given: FxHashMap<&'t str, (Span, bool)> = FxHashMap::default();
        for block in blocks {
            let span = block.name.span.to(block.body.span);
            let Some(key) = &block.key else {
                let diagnostic = Code::MissingField
                    .error(format!("{} is a map, and this block has no key", at.words()))
                    .label(block.name.span, "needs a key in quotes")
                    .help(format!("write `{} \"key\" {{ … }}`", block.name.node));
                self.say(diagnostic);
                continue;
            };
            if !self.given_once(&mut given, &key.node, key.span, true) {
                continue;
            }
            if let Some(each) = &block.head.each {
                let diagnostic = Code::WrongType
                    .error("a block with a constant key cannot be repeated")
                    .label(each.span, "every turn would have the same key")
                    .help(format!("write `{} = {{for … : [key] = …}}`", block.name.node));
                self.say(diagnostic);
                continue;
            }
            let mark = cx.mark();
            let clauses = self.block_head(cx, block);
            let at_item = at.entry(&key.node);
            let kind = self.block_item(cx, block, &wanted, &at_item);
            let value = wanted.finish(kind, span);
            cx.reset(mark);
            parts.push(match clauses.into_iter().next() {
                Some(ForClause::If(cond)) => {
                    let then = Expr::new(ExprKind::Map(vec![MapPart::Entry(key.node.clone(), value)]), span);
                    let otherwise = Expr::new(ExprKind::Map(Vec::new()), span);
                    MapPart::Spread(Expr::new(ExprKind::If(Box::new(cond), Box::new(then), Box::new(otherwise)), span))
                }
                _ => MapPart::Entry(key.node.clone(), value),
            });
        }
        ExprKind::Map(parts)
    }

    /// The head of a block; its variables and what it tells hold until the caller resets the context.
    fn block_head(&mut self, cx: &mut Cx, block: &'t tree::Block) -> Vec<ForClause> {
        let mut clauses = Vec::new();
        if let Some(each) = &block.head.each {
            let (over, key, value, _, _) = self.bind_for(cx, each);
            clauses.push(ForClause::For { key, value: Some(value), over });
        }
        if let Some(cond) = &block.head.cond {
            let (cond, _) = self.condition(cx, cond);
            narrow::learn(cx, &cond, true);
            clauses.push(ForClause::If(cond));
        }
        clauses
    }
}

fn any_part(wanted: &Wanted<'_>) -> Type {
    match wanted.part(&Type::Any) {
        Type::Any => Type::Any,
        other => other.optional(),
    }
}

/// `?` stays outside of `sensitive`.
fn outer_optional(declared: &Type, wanted: Type) -> Type {
    match (declared, wanted) {
        (Type::Optional(_), Type::Sensitive(of)) => match *of {
            Type::Optional(of) => Type::Sensitive(of).optional(),
            of => Type::Sensitive(Box::new(of)).optional(),
        },
        (_, wanted) => wanted,
    }
}

/// The blocks of each name, in order. On an item, `lifecycle` is no field.
fn grouped(body: &tree::Body, level: Level) -> FxHashMap<&str, Vec<&tree::Block>> {
    let mut groups: FxHashMap<&str, Vec<&tree::Block>> = FxHashMap::default();
    for entry in &body.entries {
        if let Entry { kind: EntryKind::Block(block), .. } = entry
            && !(level == Level::Item && is_lifecycle(block))
        {
            groups.entry(&block.name.node).or_default().push(block);
        }
    }
    groups
}

pub(super) fn is_lifecycle(block: &tree::Block) -> bool {
    &*block.name.node == "lifecycle" && block.key.is_none() && block.label.is_none()
}

/// Whether a body gives a field by that name, right or wrong.
fn gives(body: &tree::Body, name: &str) -> bool {
    body.entries.iter().any(|entry| match &entry.kind {
        EntryKind::Field { key, .. } => key.text().is_some_and(|key| &*key.node == name),
        EntryKind::Block(block) => &*block.name.node == name,
        EntryKind::Error(Some(given)) => &*given.node == name,
        _ => false,
    })
}
