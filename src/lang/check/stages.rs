//! When values are known: a place that is needed before the plan refuses what a platform computes, and names the way on which it
//! became late.
//!
//! Places in a component ask this of the inputs that they read; their callers answer for it.

use rustc_hash::FxHashMap;

use super::Checker;
use super::taint::{children, instance_of};
use crate::lang::resolve::{ItemId, KindId, Owner, ScopeId, What};
use crate::model::expr::{Expr, ExprKind, ForClause, ListPart, MapPart, Member, Reference};
use crate::model::{Code, Name, Span};

#[derive(Default)]
pub(super) struct Stages {
    /// Inputs that a component needs early.
    needs: FxHashMap<(KindId, Name), Needed>,
    /// Instances that were checked, by who makes them; `None`: the stack.
    calls: Vec<(Option<KindId>, KindId, ItemId)>,
}

/// How much of a value is asked about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    /// How many elements, which keys of a map.
    Shape,
    /// What instances would be keyed by: the elements of a list, the keys of a map.
    Keys,
    Whole,
}

#[derive(Clone)]
struct Needed {
    part: Part,
    place: &'static str,
    used: Span,
}

/// A value that is known after apply only.
struct Late {
    /// The reference, in the expression that was asked about.
    span: Span,
    /// From the platform's value to the expression.
    path: Vec<String>,
}

/// The inputs that an expression reads.
pub(super) fn inputs_read(expr: &Expr, found: &mut Vec<Name>) {
    if let ExprKind::Name(Reference::Input(name)) = &expr.kind
        && !found.contains(name)
    {
        found.push(name.clone());
    }
    children(expr, &mut |child| inputs_read(child, found));
}

impl<'t> Checker<'t> {
    /// The place needs the value before the plan: it decides what exists.
    pub(super) fn needed_early(&mut self, scope: ScopeId, expr: &Expr, place: &'static str) {
        self.need(scope, expr, Part::Whole, place);
    }

    /// The place needs the keys of a collection before the plan.
    pub(super) fn keys_needed_early(&mut self, scope: ScopeId, expr: &Expr, place: &'static str) {
        self.need(scope, expr, Part::Keys, place);
    }

    fn need(&mut self, scope: ScopeId, expr: &Expr, part: Part, place: &'static str) {
        let mut reads = Vec::new();
        let late = self.late(scope, expr, part, &mut reads, 0);
        if let Some(late) = late {
            return self.say_late(&late, part, place, None);
        }
        if let Owner::Kind(kind) = self.tables.scope(scope).owner {
            for (name, part) in reads {
                let needed = self.stages.needs.entry((kind, name)).or_insert(Needed { part, place, used: expr.span });
                needed.part = needed.part.max(part);
            }
        }
    }

    pub(super) fn called(&mut self, by: Option<KindId>, kind: KindId, item: ItemId) {
        self.stages.calls.push((by, kind, item));
    }

    /// Asks the callers of components for what those need early. Callees come first, so that a need goes outwards.
    pub(super) fn check_needs(&mut self, order: &[KindId]) {
        if self.stages.needs.is_empty() {
            return;
        }
        let mut calls: FxHashMap<Option<KindId>, Vec<(KindId, ItemId)>> = FxHashMap::default();
        for (by, kind, item) in std::mem::take(&mut self.stages.calls) {
            calls.entry(by).or_default().push((kind, item));
        }
        for caller in order.iter().copied().map(Some).chain([None]) {
            for (kind, item) in calls.get(&caller).into_iter().flatten() {
                self.check_call(caller, *kind, *item);
            }
        }
    }

    fn check_call(&mut self, caller: Option<KindId>, kind: KindId, item: ItemId) {
        let Some(inputs) = self.items[item.at()].inputs.clone() else { return };
        let scope = self.tables.items[item.at()].scope;
        for (name, value, _) in inputs.iter() {
            let Some(needed) = self.stages.needs.get(&(kind, name.clone())).cloned() else { continue };
            let mut reads = Vec::new();
            if let Some(late) = self.late(scope, value, needed.part, &mut reads, 0) {
                let kind = self.tables.kinds[kind.at()].name.clone();
                self.say_late(&late, needed.part, needed.place, Some((&kind, name, needed.used)));
                continue;
            }
            if let Some(caller) = caller {
                for (name, part) in reads {
                    let entry = self.stages.needs.entry((caller, name)).or_insert(Needed { part, ..needed.clone() });
                    entry.part = entry.part.max(part);
                }
            }
        }
    }

    fn say_late(&mut self, late: &Late, part: Part, place: &'static str, input: Option<(&str, &str, Span)>) {
        let source = late.path.first().cloned().unwrap_or_else(|| "this".into());
        let keys = part < Part::Whole;
        let what = if keys { "its keys" } else { "its value" };
        let message = match input {
            None => format!("{place} needs {what} before the plan, and `{source}` is known after apply"),
            Some((kind, name, _)) => {
                format!("`{name}` of `{kind}` is needed before the plan, and `{source}` is known after apply")
            }
        };
        let mut diagnostic = Code::TooLate.error(message).label(late.span, "known after apply");
        let mut path = late.path.clone();
        if let Some((kind, name, used)) = input {
            diagnostic = diagnostic.label(used, format!("{place} of `{kind}` needs it early"));
            path.push(format!("input.{name}"));
        }
        path.push(place.to_owned());
        diagnostic = diagnostic.fact("path", path.join(" -> "));
        diagnostic = match keys {
            true => diagnostic.help("use keys that are known before: constants, inputs, names that the program gives; or state a bound: `for x in xs up to 10`"),
            false => diagnostic.help("use a value that is known before: a constant, an input, the environment, a name that the program gives"),
        };
        self.say(diagnostic);
    }

    /// Why a value, or what is asked of it, is known after apply only. Inputs of the surrounding component that it depends on are
    /// added to `reads`.
    fn late(&self, scope: ScopeId, expr: &Expr, part: Part, reads: &mut Vec<(Name, Part)>, depth: u32) -> Option<Late> {
        // What lies deeper is left to expansion, which knows for certain.
        if depth > 60 {
            return None;
        }
        let next = depth + 1;
        let partly = part < Part::Whole;
        let step = |late: Option<Late>, name: String| {
            late.map(|mut late| {
                late.path.push(name);
                late.span = expr.span;
                late
            })
        };
        match &expr.kind {
            ExprKind::Literal(_) | ExprKind::Local(_) => None,
            ExprKind::Name(reference) => match reference {
                Reference::Input(name) => {
                    if matches!(self.tables.scope(scope).owner, Owner::Kind(_)) {
                        match reads.iter_mut().find(|(read, _)| read == name) {
                            Some((_, before)) => *before = part.max(*before),
                            None => reads.push((name.clone(), part)),
                        }
                    }
                    None
                }
                Reference::Let(place, name) => {
                    let id = self.tables.let_of(scope, *place, name)?;
                    let value = self.lets[id.at()].done()?;
                    let late = self.late(self.tables.lets[id.at()].scope, &value.value.value, part, reads, next);
                    step(late, name.to_string())
                }
                Reference::Secret { name, .. } => Some(Late { span: expr.span, path: vec![format!("secret.{name}")] }),
                // How many there are follows from its own head, which is looked at there.
                Reference::Resource { .. } | Reference::Instance { .. } if partly => None,
                Reference::Resource { kind, name } => Some(Late { span: expr.span, path: vec![format!("{kind}.{name}")] }),
                _ => None,
            },
            // A test whether something is there asks for its head only.
            ExprKind::Binary(_, a, b) if super::narrow::is_null(a) || super::narrow::is_null(b) => {
                let tested = if super::narrow::is_null(a) { b } else { a };
                match &tested.kind {
                    ExprKind::Name(Reference::Resource { .. }) => None,
                    _ => self.late(scope, tested, part, reads, next),
                }
            }
            ExprKind::Field { of, name, .. } => match resource_of(of) {
                Some((kind, resource)) => Some(Late { span: expr.span, path: vec![format!("{kind}.{resource}.{name}")] }),
                None => self.late(scope, of, Part::Whole, reads, next),
            },
            ExprKind::Member { of, member, .. } => {
                let (kind, name) = instance_of(of)?;
                let id = self.kind_id(kind)?;
                let item = self.tables.find_items(scope, kind, name).first().copied();
                match member {
                    Member::Output(output) => {
                        let inner = self.tables.kinds[id.at()].scope;
                        let mut inner_reads = Vec::new();
                        for (given, value) in &self.kinds[id.at()].values {
                            if given == output
                                && let Some(late) = self.late(inner, value, part, &mut inner_reads, next)
                            {
                                return step(Some(late), format!("{kind}.{name}.{output}"));
                            }
                        }
                        let late = inner_reads.into_iter().find_map(|(read, part)| self.late_input(item, &read, part, next));
                        step(late, format!("{kind}.{name}.{output}"))
                    }
                    Member::Input(input) => {
                        step(self.late_input(item, input, part, next), format!("{kind}.{name}.input.{input}"))
                    }
                    _ => None,
                }
            }
            ExprKind::List(parts) if partly => parts.iter().find_map(|it| match it {
                ListPart::Item(_) if part == Part::Shape => None,
                ListPart::Item(it) => self.late(scope, it, Part::Whole, reads, next),
                ListPart::Spread(it) => self.late(scope, it, part, reads, next),
            }),
            ExprKind::Map(parts) if partly => parts.iter().find_map(|it| match it {
                MapPart::Entry(..) => None,
                MapPart::Computed(key, _) => self.late(scope, key, Part::Whole, reads, next),
                MapPart::Spread(it) => self.late(scope, it, part, reads, next),
            }),
            ExprKind::ForList { clauses, item } if partly => {
                let looked_at = if part == Part::Keys { vec![&**item] } else { Vec::new() };
                self.late_loop(scope, clauses, &looked_at, reads, next)
            }
            ExprKind::ForMap { clauses, key, .. } if partly => self.late_loop(scope, clauses, &[key], reads, next),
            ExprKind::If(cond, then, otherwise) if partly => self
                .late(scope, cond, Part::Whole, reads, next)
                .or_else(|| self.late(scope, then, part, reads, next))
                .or_else(|| self.late(scope, otherwise, part, reads, next)),
            ExprKind::Convert(inner, _) => self.late(scope, inner, part, reads, next),
            ExprKind::Builtin(builtin, args) => {
                let keyed = match &*builtin.0 {
                    "merge" | "keys" | "plain" | "secrets" if partly => part,
                    "length" | "len" | "keys" => Part::Shape,
                    _ => Part::Whole,
                };
                args.iter().flatten().find_map(|arg| self.late(scope, arg, keyed, reads, next))
            }
            _ => {
                let mut found = None;
                children(expr, &mut |child| {
                    if found.is_none() {
                        found = self.late(scope, child, Part::Whole, reads, next);
                    }
                });
                found
            }
        }
    }

    /// A comprehension of which only some parts are looked at: what they do not read of the elements may be late.
    fn late_loop(
        &self,
        scope: ScopeId,
        clauses: &[ForClause],
        looked_at: &[&Expr],
        reads: &mut Vec<(Name, Part)>,
        depth: u32,
    ) -> Option<Late> {
        let conds = clauses.iter().filter_map(|clause| match clause {
            ForClause::If(cond) => Some(cond),
            ForClause::For { .. } => None,
        });
        let overs = clauses.iter().filter_map(|clause| match clause {
            ForClause::For { over, .. } => Some(over),
            ForClause::If(_) => None,
        });
        let looked_at: Vec<&Expr> = looked_at.iter().copied().chain(conds).chain(overs).collect();
        for clause in clauses {
            if let ForClause::For { value, over, .. } = clause {
                let by_value = value.is_some_and(|slot| looked_at.iter().any(|expr| mentions(expr, slot)));
                let part = if by_value { Part::Whole } else { Part::Shape };
                if let Some(late) = self.late(scope, over, part, reads, depth) {
                    return Some(late);
                }
            }
        }
        looked_at.into_iter().find_map(|expr| match expr.kind {
            ExprKind::Local(_) => None,
            _ if clauses.iter().any(|clause| matches!(clause, ForClause::For { over, .. } if std::ptr::eq(over, expr))) => None,
            _ => self.late(scope, expr, Part::Whole, reads, depth),
        })
    }

    /// Why an input that an instance was given is late.
    fn late_input(&self, item: Option<ItemId>, name: &str, part: Part, depth: u32) -> Option<Late> {
        let item = item?;
        if !matches!(self.tables.items[item.at()].what, What::Instance(..)) {
            return None;
        }
        let inputs = self.items[item.at()].inputs.as_ref()?;
        let (_, value, _) = inputs.iter().find(|(given, ..)| &**given == name)?;
        self.late(self.tables.items[item.at()].scope, value, part, &mut Vec::new(), depth + 1)
    }
}

fn mentions(expr: &Expr, slot: crate::model::Slot) -> bool {
    if let ExprKind::Local(local) = expr.kind {
        return local == slot;
    }
    let mut found = false;
    children(expr, &mut |child| found = found || mentions(child, slot));
    found
}

/// The resource whose attribute is read.
fn resource_of(expr: &Expr) -> Option<(&Name, &Name)> {
    match &expr.kind {
        ExprKind::Name(Reference::Resource { kind, name }) => Some((kind, name)),
        ExprKind::Index { of, .. } => resource_of(of),
        _ => None,
    }
}
