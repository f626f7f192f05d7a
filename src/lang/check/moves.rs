//! `moved`, `adopt` and `forget`: what becomes of what exists.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Checker;
use super::blocks::{Level, Part};
use super::body::FieldsOf;
use super::context::Cx;
use crate::lang::program::{Adopt, Adopted, Moved};
use crate::lang::resolve::{OWN, nearest};
use crate::lang::syntax::tree::{self, EntryKind, File, ItemKind};
use crate::model::types::{FieldType, Need, ObjectType};
use crate::model::{Address, Code, Confidence, Edit, Kind, Name, Span, Type};

/// What the items say of what exists.
type Moves = (Vec<Moved>, Vec<Adopt>, Vec<(String, Span)>);

impl<'t> Checker<'t> {
    pub(super) fn check_moves(&mut self, files: &'t [std::sync::Arc<File>]) -> Moves {
        let (mut moved, mut adopt, mut forget) = (Vec::new(), Vec::new(), Vec::new());
        for item in files.iter().flat_map(|file| &file.items) {
            match &item.kind {
                ItemKind::Moved(body) => {
                    let fields = self.address_fields(body, &["from", "to"], "`moved`", item.span);
                    if let [Some((from, _)), Some((to, to_span))] = &fields[..]
                        && self.may_move(from, to, *to_span)
                    {
                        moved.push(Moved { from: from.to_string(), to: to.to_string(), span: item.span });
                    }
                }
                ItemKind::Adopt(body) => adopt.extend(self.check_adopt(body, item.span)),
                ItemKind::Forget(body) => {
                    let fields = self.address_fields(body, &["address"], "`forget`", item.span);
                    if let [Some((address, _))] = &fields[..] {
                        forget.push((address.to_string(), item.span));
                    }
                }
                _ => {}
            }
        }
        self.refuse_two_ways(&moved);
        self.refuse_two_adoptions(&adopt);
        (moved, adopt, forget)
    }

    /// Whether something can become the other: it is no part of itself, and a resource stays of its kind.
    fn may_move(&mut self, from: &Address, to: &Address, at: Span) -> bool {
        if from == to {
            self.say(Code::Doubtful.warning("this moves something to where it is").label(at, "the same address"));
            return false;
        }
        if to.is_within(from) || from.is_within(to) {
            let diagnostic = Code::OutOfRange
                .error(format!("`{from}` cannot become `{to}`: one is inside of the other"))
                .label(at, "expected an address beside it");
            self.say(diagnostic);
            return false;
        }
        let (before, after) = (kind_of(from), kind_of(to));
        if before != after && (before.contains('.') || after.contains('.')) {
            let diagnostic = Code::WrongType
                .error(format!("`{from}` cannot become `{to}`: a move leaves what it is, and this is another kind"))
                .label(at, format!("is a `{after}`, and `{from}` a `{before}`"))
                .help("let one be destroyed and the other made, or `forget` the one and `adopt` the other");
            self.say(diagnostic);
            return false;
        }
        true
    }

    /// One address goes to one place, and nothing comes back to where it began.
    fn refuse_two_ways(&mut self, moved: &[Moved]) {
        let mut by_from: BTreeMap<&str, &Moved> = BTreeMap::new();
        for it in moved {
            if let Some(first) = by_from.insert(&it.from, it) {
                let diagnostic = Code::Duplicate
                    .error(format!("`{}` is moved twice", it.from))
                    .label(it.span, "second time")
                    .label(first.span, "first time")
                    .help("one of the two is all that can hold; a chain goes on from where the first leads");
                self.say(diagnostic);
            }
        }
        let mut said: Vec<&str> = Vec::new();
        for it in moved {
            let (mut at, mut path) = (&*it.to, vec![&*it.from]);
            while let Some(next) = by_from.get(at).filter(|_| !path.contains(&at)) {
                path.push(at);
                at = &next.to;
            }
            if at == it.from && !said.contains(&at) {
                said.extend(&path);
                path.push(at);
                let diagnostic = Code::Cycle
                    .error("these moves go in a circle")
                    .label(it.span, "begins here, and leads back here")
                    .fact("path", path.join(" -> "))
                    .help("what two names exchange goes by a third: apply one move, then the other");
                self.say(diagnostic);
            }
        }
    }

    fn refuse_two_adoptions(&mut self, adopt: &[Adopt]) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for it in adopt {
            if let Some(first) = seen.insert(&it.address, it.span) {
                let diagnostic = Code::Duplicate
                    .error(format!("`{}` adopts twice", it.address))
                    .label(it.span, "second time")
                    .label(first, "first time")
                    .help("a resource is one object: leave one of the two out");
                self.say(diagnostic);
            }
        }
    }

    /// `adopt { address = "…", id = "…" }`, or by `query`.
    fn check_adopt(&mut self, body: &'t tree::Body, span: Span) -> Option<Adopt> {
        let scope = self.tables.directories[OWN.at()].scope.expect("the stack has a scope");
        let mut cx = Cx::new(scope);
        let kind = self.adopted_kind(body)?;
        let field = |ty: Type, need: Need| FieldType { ty, need };
        let mut fields = vec![("address", field(Type::TEXT, Need::Required)), ("id", field(Type::TEXT.optional(), Need::Absent))];
        if let Some(kind) = &kind {
            let attributes = kind.attributes.iter().filter(|it| !it.sensitive);
            let attributes = attributes.map(|it| (it.name.clone(), field(it.ty.clone(), Need::Absent))).collect();
            let query = Type::Object(Arc::new(ObjectType { fields: attributes, name: None }));
            fields.push(("query", field(query, Need::Absent)));
        }
        let object =
            Arc::new(ObjectType { fields: fields.into_iter().map(|(name, it)| (Name::from(name), it)).collect(), name: None });
        let fields = FieldsOf::Object(&object);
        let folded = self.fold(&mut cx, body, &fields, "`adopt`", None, false, Level::Inside);
        let word = Span { end: span.start + "adopt".len() as u32, ..span };
        self.require_fields(&folded, &fields, "`adopt`", word, |_| None);
        let kind = kind?;
        let broken = folded.broken;
        let (mut address, mut id, mut query) = (None, None, None);
        for part in folded.parts {
            match part {
                Part::Field { name, value, .. } if &*name == "address" => {
                    address = self.address_of(&value, "address", "`adopt`");
                }
                Part::Field { name, value, .. } if &*name == "id" => {
                    self.needed_early(scope, &value, "`id` of `adopt`");
                    id = Some(value);
                }
                Part::Field { value, .. } => {
                    self.needed_early(scope, &value, "`query` of `adopt`");
                    query = Some(value);
                }
                Part::Spread { value, .. } => {
                    self.say(Code::Syntax.error("`...` cannot stand here").label(value.span, "write the fields"));
                    return None;
                }
            }
        }
        let (address, at) = address?;
        self.refuse_unadoptable(&kind, at);
        let object = match (id, query) {
            (Some(id), None) => Adopted::Id(id),
            (None, Some(query)) => Adopted::Query(query),
            (Some(id), Some(query)) => {
                let diagnostic = Code::DuplicateField
                    .error("an object is named by `id` or by `query`, and this gives both")
                    .label(query.span, "second way")
                    .label(id.span, "first way");
                self.say(diagnostic);
                return None;
            }
            (None, None) if broken => return None,
            (None, None) => {
                let diagnostic = Code::MissingField
                    .error("`adopt` does not say which object")
                    .label(word, "needs `id: string`, or a `query` of attributes")
                    .help(format!("such as `id = \"…\"`, the `{}` of a `{}` on its platform", kind.id, kind.name));
                self.say(diagnostic);
                return None;
            }
        };
        Some(Adopt { address: address.to_string(), at, object, span })
    }

    /// The kind of the resource that is named; `Some(None)` where that is not known for another reason, which is said elsewhere.
    fn adopted_kind(&mut self, body: &'t tree::Body) -> Option<Option<Arc<Kind>>> {
        let written = body.entries.iter().find_map(|entry| match &entry.kind {
            EntryKind::Field { key, value } if key.text().is_some_and(|key| &*key.node == "address") => Some(value),
            _ => None,
        });
        let Some((text, span)) = written.and_then(|value| Some((value.as_text()?, value.span))) else { return Some(None) };
        let Some(address) = Address::parse(text) else { return Some(None) };
        let name = kind_of(&address).to_owned();
        if let Some(kind) = self.schemas.kind(&name) {
            return Some(Some(kind.clone()));
        }
        let mut diagnostic = Code::UnknownKind
            .error(format!("`adopt` takes the address of a resource, and `{address}` is none"))
            .label(span, "expected one that ends with a resource");
        let known: Vec<&str> = self.schemas.providers.values().flat_map(|it| it.kinds.values()).map(|kind| &*kind.name).collect();
        diagnostic = match nearest(&name, known.iter().copied()).filter(|_| name.contains('.')) {
            Some(near) => {
                let text = self.text(span).replacen(&name, near, 1);
                diagnostic.help(format!("write `{near}`")).fix(
                    format!("write `{near}`"),
                    Confidence::Maybe,
                    vec![Edit { span, text }],
                )
            }
            None => diagnostic.help("a resource inside of an instance is named with it: \"service.api/fly.app.app\""),
        };
        self.say(diagnostic);
        None
    }

    fn refuse_unadoptable(&mut self, kind: &Kind, at: Span) {
        let Some(why) = kind.why_not_adopted() else { return };
        let diagnostic = Code::NotAdopted.error(format!("a `{}` cannot be adopted: {why}", kind.name)).label(at, "is one");
        self.say(diagnostic);
    }

    fn address_fields(&mut self, body: &'t tree::Body, names: &[&str], who: &str, span: Span) -> Vec<Option<(Address, Span)>> {
        let scope = self.tables.directories[OWN.at()].scope.expect("the stack has a scope");
        let mut cx = Cx::new(scope);
        let field = || FieldType { ty: Type::TEXT, need: Need::Required };
        let object = Arc::new(ObjectType { fields: names.iter().map(|name| ((*name).into(), field())).collect(), name: None });
        let fields = FieldsOf::Object(&object);
        let folded = self.fold(&mut cx, body, &fields, who, None, false, Level::Inside);
        let word = Span { end: span.start + who.len() as u32 - 2, ..span };
        self.require_fields(&folded, &fields, who, word, |_| None);
        let mut found = vec![None; names.len()];
        for part in folded.parts {
            let Part::Field { name, value, .. } = part else { continue };
            let Some(at) = names.iter().position(|it| *it == &*name) else { continue };
            found[at] = self.address_of(&value, &name, who);
        }
        found
    }

    /// The address that a field gives: a constant.
    fn address_of(&mut self, value: &crate::model::Expr, name: &str, who: &str) -> Option<(Address, Span)> {
        let Some(constant) = self.constant_value(value) else {
            if !matches!(value.kind, crate::model::expr::ExprKind::Literal(_)) {
                let diagnostic = Code::TooLate
                    .error(format!("`{name}` of {who} is not constant"))
                    .label(value.span, "has to be a constant string");
                self.say(diagnostic);
            }
            return None;
        };
        let text = constant.as_text()?;
        // An address ends with a kind and a name.
        let parsed = Address::parse(text).filter(|address| address.split_key().0.last().contains('.'));
        if parsed.is_none() {
            let diagnostic = Code::OutOfRange
                .error(format!("{} is no address", constant.to_literal()))
                .label(value.span, "expected an address: \"service.api\", \"database.main/fly.volume.data\"")
                .help("keys are in brackets and quotes: \"service.worker[\\\"email\\\"]\"");
            self.say(diagnostic);
        }
        Some((parsed?, value.span))
    }
}

/// `fly.machine` of `service.api/fly.machine.web["0"]`; `service` of `service.api`.
fn kind_of(address: &Address) -> &str {
    let text = address.as_str();
    let last = &text[text.len() - address.last().len()..];
    let path = last.split('[').next().unwrap_or(last);
    path.rsplit_once('.').map_or("", |(kind, _)| kind)
}
