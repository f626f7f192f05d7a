//! From types as they are written to types.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::context::Cx;
use super::describe::{At, listed};
use super::{Checker, Progress};
use crate::lang::resolve::{DirId, LIBRARY, OWN, TypeId, nearest};
use crate::lang::syntax::tree::{self, TypeKind};
use crate::model::types::{Bounds, FieldType, Need, ObjectType, TextRule, VariantType};
use crate::model::value::Data;
use crate::model::{Code, Confidence, Edit, Name, Span, Type, Value};

const NAMES: [&str; 23] = [
    "string",
    "bool",
    "int",
    "number",
    "duration",
    "size",
    "percent",
    "rate",
    "money",
    "instant",
    "range",
    "list",
    "map",
    "secret",
    "ref",
    "provider",
    "metric",
    "condition",
    "cron",
    "cidr",
    "semver",
    "path",
    "url",
];

impl<'t> Checker<'t> {
    /// Resolves every `type` of the program.
    pub(super) fn declare_types(&mut self) {
        for at in 0..self.tables.types.len() {
            self.named_type(TypeId(at as u32));
        }
    }

    fn named_type(&mut self, id: TypeId) -> Type {
        match &self.types[id.at()] {
            Progress::Done(ty) => return ty.clone(),
            Progress::Busy => {
                let def = &self.tables.types[id.at()];
                let (name, span) = (def.ast.name.node.clone(), def.span);
                let diagnostic = Code::Recursive
                    .error(format!("type `{name}` holds itself"))
                    .label(span, "would have no end")
                    .help("a type is built from other types only");
                self.say(diagnostic);
                self.types[id.at()] = Progress::Done(Type::Poison);
                return Type::Poison;
            }
            Progress::Waiting => {}
        }
        self.types[id.at()] = Progress::Busy;
        let (ast, directory) = (self.tables.types[id.at()].ast, self.tables.types[id.at()].directory);
        let mut ty = self.type_of(&ast.ty, directory);
        name_it(&mut ty, &ast.name.node);
        if let Type::Object(object) = &ty {
            self.copy_declared(&ast.ty, object);
        }
        // A circle was found on the way: it stays poison.
        if let Progress::Done(poison) = &self.types[id.at()] {
            return poison.clone();
        }
        self.types[id.at()] = Progress::Done(ty.clone());
        ty
    }

    /// The type that is written there. What is wrong with it is said, and leaves poison.
    pub(super) fn type_of(&mut self, written: &'t tree::TypeExpr, directory: DirId) -> Type {
        match &written.kind {
            TypeKind::Error => Type::Poison,
            TypeKind::Nullable(of) => self.type_of(of, directory).optional(),
            TypeKind::Sensitive(of) => match self.type_of(of, directory) {
                Type::Poison => Type::Poison,
                of @ Type::Sensitive(_) => of,
                of => Type::Sensitive(Box::new(of)),
            },
            TypeKind::Literal(value) => self.literal_type(std::slice::from_ref(&**value), written.span),
            TypeKind::Union(members) => self.union_type(members, directory, written.span),
            TypeKind::Object(fields) => {
                let object = Arc::new(ObjectType { fields: self.fields_of(fields, directory), name: None });
                self.declare_fields(fields, &object);
                Type::Object(object)
            }
            TypeKind::Variant(labels) => self.variant_type(labels, directory),
            TypeKind::Named { path, args, refinement } => self.named(path, args, refinement.as_ref(), directory, written.span),
        }
    }

    fn fields_of(&mut self, fields: &'t [tree::TypeField], directory: DirId) -> std::collections::BTreeMap<Name, FieldType> {
        let mut types = std::collections::BTreeMap::new();
        let mut spans: FxHashMap<&str, Span> = FxHashMap::default();
        for field in fields {
            let name = &field.name.node;
            if let Some(first) = spans.insert(name, field.name.span) {
                let diagnostic = Code::DuplicateField
                    .error(format!("field `{name}` is declared twice"))
                    .label(field.name.span, "second declaration")
                    .label(first, "first declaration");
                self.say(diagnostic);
                continue;
            }
            let ty = self.type_of(&field.ty, directory);
            let need = match (&field.default, field.optional) {
                (Some(default), _) => self.default_of(default, &ty, name, directory).map_or(Need::Absent, Need::Default),
                (None, true) => Need::Absent,
                (None, false) => Need::Required,
            };
            types.insert(name.clone(), FieldType { ty, need });
        }
        types
    }

    fn default_of(&mut self, default: &'t tree::Expr, ty: &Type, name: &str, directory: DirId) -> Option<Value> {
        let scope = self.tables.directories[directory.at()].scope.expect("every directory has a scope");
        let mut cx = Cx { function: true, place: "a type", ..Cx::new(scope) };
        let what = format!("the default of `{name}`");
        let before = self.diagnostics.len();
        let expr = self.check(&mut cx, default, ty, &At::place(&what));
        if self.diagnostics.len() > before {
            return None;
        }
        match self.constant_value(&expr) {
            Some(value) => Some(value),
            None => {
                let diagnostic = Code::TooLate
                    .error(format!("{what} is not constant"))
                    .label(default.span, "has to be known when the program is checked")
                    .help("use constants and functions of constants");
                self.say(diagnostic);
                None
            }
        }
    }

    fn variant_type(&mut self, labels: &'t [tree::TypeField], directory: DirId) -> Type {
        let mut cases = std::collections::BTreeMap::new();
        for label in labels {
            let object = match self.type_of(&label.ty, directory) {
                Type::Object(object) => object,
                Type::Poison => Arc::new(ObjectType::default()),
                other => {
                    let diagnostic = Code::WrongType
                        .error(format!(
                            "a variant's label carries an object, and `{}` carries {}",
                            label.name.node,
                            super::describe::noun(&other)
                        ))
                        .label(label.ty.span, "expected an object type")
                        .help("write `{ … }` around it");
                    self.say(diagnostic);
                    Arc::new(ObjectType::default())
                }
            };
            if cases.insert(label.name.node.clone(), object).is_some() {
                let diagnostic = Code::DuplicateField
                    .error(format!("label `{}` is declared twice", label.name.node))
                    .label(label.name.span, "second declaration");
                self.say(diagnostic);
            }
        }
        Type::Variant(Arc::new(VariantType { name: None, cases }))
    }

    fn union_type(&mut self, members: &'t [tree::TypeExpr], directory: DirId, span: Span) -> Type {
        let mut values = Vec::new();
        for member in members {
            match &member.kind {
                TypeKind::Error => return Type::Poison,
                TypeKind::Literal(expr) => values.push(&**expr),
                _ => {
                    let other = self.type_of(member, directory);
                    if let Type::Literals(more) = &other {
                        // A named union inside of a union brings its members.
                        if let Type::Literals(own) = self.literal_types(&values, span) {
                            let mut all = (*own).clone();
                            all.extend(more.iter().cloned());
                            if let Type::Literals(rest) = self.union_type(&members[values.len() + 1..], directory, span) {
                                all.extend(rest.iter().cloned());
                            }
                            return Type::Literals(Arc::new(all));
                        }
                    }
                    if other != Type::Poison {
                        let diagnostic = Code::WrongType
                            .error("a union is made of literals")
                            .label(member.span, "is no literal")
                            .help("write `variant { … }` for alternatives that carry values");
                        self.say(diagnostic);
                    }
                    return Type::Poison;
                }
            }
        }
        self.literal_types(&values, span)
    }

    fn literal_type(&mut self, values: &'t [tree::Expr], span: Span) -> Type {
        self.literal_types(&values.iter().collect::<Vec<_>>(), span)
    }

    fn literal_types(&mut self, members: &[&'t tree::Expr], span: Span) -> Type {
        let mut values: Vec<Value> = Vec::with_capacity(members.len());
        let scope = self.tables.directories[OWN.at()].scope.expect("the stack has a scope");
        for member in members {
            let typed = self.infer(&mut Cx { function: true, place: "a type", ..Cx::new(scope) }, member);
            match self.constant_value(&typed.expr) {
                Some(value) if matches!(value.data, Data::Text(_) | Data::Int(_) | Data::Number(_) | Data::Bool(_)) => {
                    values.push(value)
                }
                _ if typed.ty == Type::Poison => return Type::Poison,
                _ => {
                    let diagnostic = Code::WrongType
                        .error("a union is made of strings or numbers")
                        .label(member.span, "expected a string or a number");
                    self.say(diagnostic);
                    return Type::Poison;
                }
            }
        }
        let sort = |value: &Value| std::mem::discriminant(&value.data);
        if values.windows(2).any(|pair| sort(&pair[0]) != sort(&pair[1])) {
            let diagnostic =
                Code::WrongType.error("the members of a union are all strings or all numbers").label(span, "mixes them");
            self.say(diagnostic);
            return Type::Poison;
        }
        Type::Literals(Arc::new(values))
    }

    fn named(
        &mut self,
        path: &'t tree::Path,
        args: &'t [tree::TypeExpr],
        refinement: Option<&'t tree::Refinement>,
        directory: DirId,
        span: Span,
    ) -> Type {
        let name: String = path.to_string();
        let (arity, ty) = match &*name {
            "string" => (0, Type::TEXT),
            "bool" => (0, Type::Bool),
            "int" => (0, Type::INT),
            "number" => (0, Type::NUMBER),
            "duration" => (0, Type::Duration),
            "size" => (0, Type::Size),
            "percent" => (0, Type::Percent),
            "rate" => (0, Type::Rate),
            "money" => (0, Type::Money),
            "instant" => (0, Type::Instant),
            "condition" => (0, Type::Condition),
            "any" => (0, Type::Any),
            "cron" => (0, Type::Text(TextRule::Cron)),
            "cidr" => (0, Type::Text(TextRule::Cidr)),
            "semver" => (0, Type::Text(TextRule::Semver)),
            "path" => (0, Type::Text(TextRule::Path)),
            "url" => (0, Type::Text(TextRule::Url)),
            "list" | "map" | "range" | "secret" | "metric" => (1, Type::Poison),
            "ref" | "provider" => return self.reference_type(&name, args, directory, span),
            _ => return self.own_type(path, &name, args, refinement, directory, span),
        };
        if args.len() != arity {
            let message = match arity {
                0 => format!("`{name}` takes no type in angle brackets"),
                _ => format!(
                    "`{name}` takes one type in angle brackets, such as `{name}<{}>`",
                    if name == "metric" { "percent" } else { "string" }
                ),
            };
            let diagnostic =
                Code::WrongType.error(message).label(span, if arity == 0 { "write it without" } else { "of what is not said" });
            // `list(string)`
            let text = self.text(span);
            let inside = text.strip_prefix(&*name).and_then(|it| it.trim().strip_prefix('(')?.strip_suffix(')'));
            let edits = match inside.filter(|it| {
                arity == 1
                    && args.is_empty()
                    && it.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '<' | '>' | '(' | ')'))
            }) {
                Some(of) => vec![Edit { span, text: format!("{name}<{of}>") }],
                None => Vec::new(),
            };
            self.say(match edits.is_empty() {
                true => diagnostic,
                false => {
                    let text = edits[0].text.clone();
                    diagnostic.help(format!("write `{text}`")).fix(format!("write `{text}`"), Confidence::Sure, edits)
                }
            });
            return Type::Poison;
        }
        let ty = match args.first() {
            None => ty,
            Some(of) => match (&*name, self.type_of(of, directory)) {
                (_, Type::Poison) => Type::Poison,
                ("list", of) => Type::list(of),
                ("map", of) => Type::map(of),
                ("secret", of) => super::fit::secret(of),
                ("range", of) if super::units::combine(crate::model::expr::Binary::Range, &of, &of).is_some() => {
                    Type::Range(Box::new(of))
                }
                (
                    "metric",
                    unit @ (Type::Int(_)
                    | Type::Number(_)
                    | Type::Duration
                    | Type::Size
                    | Type::Percent
                    | Type::Rate
                    | Type::Money),
                ) => Type::Metric(Box::new(if matches!(unit, Type::Int(_)) { Type::NUMBER } else { unit })),
                (_, other) => {
                    let message = format!("there is no {name} of {}", super::describe::noun(&other));
                    self.say(Code::WrongType.error(message).label(of.span, "expected a number or a unit"));
                    Type::Poison
                }
            },
        };
        match refinement {
            None => ty,
            Some(refinement) => self.refined(ty, refinement, directory, span),
        }
    }

    fn reference_type(&mut self, name: &str, args: &'t [tree::TypeExpr], directory: DirId, span: Span) -> Type {
        let of = match args {
            [tree::TypeExpr { kind: TypeKind::Named { path, .. }, .. }] => path,
            _ => {
                let example = if name == "ref" { "ref<service>" } else { "provider<fly>" };
                self.say(Code::WrongType.error(format!("`{name}` is written `{example}`")).label(span, "of what is not said"));
                return Type::Poison;
            }
        };
        let text = of.to_string();
        if name == "ref" {
            if let Some(kind) = self.tables.find_kind(directory, &text) {
                return Type::Ref(self.tables.kinds[kind.at()].name.clone());
            }
            if !self.tables.may_be_broken(directory, &[&text]) {
                let known = self.tables.kind_names(directory);
                let near = nearest(&text, known.iter().map(|it| &**it)).map(str::to_owned);
                let diagnostic = Code::UnknownKind
                    .error(format!("there is no kind `{text}`"))
                    .label(of.span, "not defined in this stack or its imports")
                    .helps(near.map(|near| format!("write `{near}`")));
                self.say(diagnostic);
            }
        } else if self.schemas.providers.contains_key(&*text) {
            return Type::Provider(text.into());
        } else {
            let near = nearest(&text, self.schemas.providers.keys().map(|it| &**it)).map(str::to_owned);
            let diagnostic = Code::UnknownProvider
                .error(format!("there is no provider `{text}`"))
                .label(of.span, "unknown provider")
                .helps(near.map(|near| format!("write `{near}`")));
            self.say(diagnostic);
        }
        Type::Poison
    }

    fn own_type(
        &mut self,
        path: &'t tree::Path,
        name: &str,
        args: &'t [tree::TypeExpr],
        refinement: Option<&'t tree::Refinement>,
        directory: DirId,
        span: Span,
    ) -> Type {
        if let Some(id) = self.tables.find_type(directory, name) {
            if !args.is_empty() {
                self.say(
                    Code::WrongType.error(format!("`{name}` takes no type in angle brackets")).label(span, "write it without"),
                );
            }
            let ty = self.named_type(id);
            return match refinement {
                None => ty,
                Some(refinement) => self.refined(ty, refinement, directory, span),
            };
        }
        if self.tables.may_be_broken(directory, &[&path.segments[0].node]) {
            return Type::Poison;
        }
        if let [import, rest] = &path.segments[..]
            && let Some(imported) = self.tables.imported(directory, &import.node)
        {
            let known: Vec<Name> = imported.types.keys().cloned().collect();
            self.say_not_in_import(&import.node, &rest.node, rest.span, "type", known);
            return Type::Poison;
        }
        let own = [directory, LIBRARY].map(|at| self.tables.directories[at.at()].types.keys().cloned().collect::<Vec<_>>());
        let mut known: Vec<&str> = NAMES.iter().copied().chain(own.iter().flatten().map(|it| &**it)).collect();
        known.sort_unstable();
        let near = match super::habits::type_name(name) {
            Some(ours) => Some(crate::lang::resolve::Near { name: ours, sure: true }),
            None => crate::lang::resolve::near(name, known.iter().copied()),
        };
        let mut diagnostic = Code::UnknownName
            .error(format!("there is no type `{name}`"))
            .label(path.span, "not defined in this stack or its imports");
        diagnostic = match near {
            Some(near) => diagnostic.help(format!("write `{}`", near.name)).fix(
                format!("write `{}`", near.name),
                super::report::confidence(near.sure),
                vec![Edit { span: path.span, text: near.name.into() }],
            ),
            None if name == "object" => diagnostic.help("the type of an object is written `{ a: string, b: int }`"),
            None if name == "optional" => diagnostic.help("a field that may be absent is written `b?: string`"),
            None if self.tables.find_kind(directory, name).is_some() => {
                diagnostic.help(format!("a reference to one is `ref<{name}>`"))
            }
            None => diagnostic.help(format!("types of the language: {}", listed(NAMES))),
        };
        self.say(diagnostic);
        Type::Poison
    }

    fn refined(&mut self, ty: Type, refinement: &'t tree::Refinement, directory: DirId, span: Span) -> Type {
        let scope = self.tables.directories[directory.at()].scope.expect("every directory has a scope");
        let mut cx = Cx { function: true, place: "a type", ..Cx::new(scope) };
        match (ty, refinement) {
            (Type::Poison, _) => Type::Poison,
            (ty, tree::Refinement::Range { from, to }) => {
                let wanted = match &ty {
                    Type::Number(_) => Type::NUMBER,
                    _ => Type::INT,
                };
                let at = At::place("a bound");
                let from = self.check(&mut cx, from, &wanted, &at);
                let to = to.as_deref().map(|to| self.check(&mut cx, to, &wanted, &at));
                let (min, max) = (self.constant_value(&from), to.map(|to| self.constant_value(&to)));
                let (Some(min), Some(max)) = (min, max.map_or(Some(None), |max| max.map(Some))) else { return ty };
                let int = |value: &Value| value.as_int();
                match ty {
                    Type::Int(_) => Type::Int(Bounds { min: int(&min), max: max.as_ref().and_then(int) }),
                    Type::Number(_) => {
                        let decimal = |value: &Value| match &value.data {
                            Data::Int(value) => Some((*value).into()),
                            Data::Number(value) => Some(*value),
                            _ => None,
                        };
                        Type::Number(Bounds { min: decimal(&min), max: max.as_ref().and_then(decimal) })
                    }
                    Type::List(of, _) => {
                        let count = |value: &Value| value.as_int().and_then(|count| u64::try_from(count).ok());
                        Type::List(of, Bounds { min: count(&min), max: max.as_ref().and_then(count) })
                    }
                    other => self.unrefinable(other, span),
                }
            }
            (Type::Text(TextRule::Any), tree::Refinement::Expr(pattern)) => {
                let typed = self.infer(&mut cx, pattern);
                match (&pattern.without_parens().kind, self.constant_value(&typed.expr)) {
                    (tree::ExprKind::Tagged { tag, .. }, Some(value)) if &*tag.node == "re" => match value.as_text() {
                        Some(text) => Type::Text(TextRule::Matches(text.into())),
                        None => Type::TEXT,
                    },
                    _ if typed.ty == Type::Poison => Type::TEXT,
                    _ => {
                        let diagnostic = Code::WrongType
                            .error("a string is refined by a pattern")
                            .label(pattern.span, "expected a pattern: re\"^[a-z]+$\"");
                        self.say(diagnostic);
                        Type::TEXT
                    }
                }
            }
            (other, tree::Refinement::Expr(_)) => self.unrefinable(other, span),
        }
    }

    fn unrefinable(&mut self, ty: Type, span: Span) -> Type {
        let diagnostic = Code::WrongType
            .error(format!("`{ty}` takes no such refinement"))
            .label(span, "only `int(1..9)`, `number(0..1)`, `list<T>(1..)` and `string(re\"…\")` have one");
        self.say(diagnostic);
        ty
    }

    /// Remembers where the fields of an object type are declared.
    fn declare_fields(&mut self, fields: &'t [tree::TypeField], object: &Arc<ObjectType>) {
        let spans = fields.iter().map(|field| (field.name.node.clone(), field.span)).collect();
        self.declared.insert(Arc::as_ptr(object) as usize, (object.clone(), spans));
    }

    fn copy_declared(&mut self, written: &'t tree::TypeExpr, object: &Arc<ObjectType>) {
        if let TypeKind::Object(fields) = &written.kind {
            self.declare_fields(fields, object);
        }
    }

    pub(super) fn declared_at(&self, object: &Arc<ObjectType>, field: &str) -> Option<Span> {
        self.declared.get(&(Arc::as_ptr(object) as usize))?.1.get(field).copied()
    }
}

/// Gives a type that has no name yet the one that it is defined by.
fn name_it(ty: &mut Type, name: &Name) {
    match ty {
        Type::Object(object) if object.name.is_none() => {
            *object = Arc::new(ObjectType { fields: object.fields.clone(), name: Some(name.clone()) });
        }
        Type::Variant(variant) if variant.name.is_none() => {
            *variant = Arc::new(VariantType { cases: variant.cases.clone(), name: Some(name.clone()) });
        }
        _ => {}
    }
}
