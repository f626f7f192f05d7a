//! What the rules of policies and tests see: the program as it was expanded, and the plan that came of it.
//!
//! Takes a program and a finished plan, gives [`Rules`], in which expressions are evaluated. What is unknown while a program is
//! expanded is known here as far as the plan and the records tell; what only the platform will compute stays unknown.

mod changes;
mod graph;
mod policies;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use self::graph::Graph;
use super::expander::Expander;
use super::scope::Scope;
use super::{Question, Request, environment_of, whole};
use crate::eval::{Budget, Callee, Names, Outcome, Outside, evaluate_with, resume};
use crate::lang::program::{Program, Rule};
use crate::model::expr::{Member, PlanPart, Reference, Step};
use crate::model::schema::{Attribute, Given};
use crate::model::value::Reference as InstanceRef;
use crate::model::{
    Action, Address, Change, Data, Desired, DesiredProvider, Diagnostic, Expr, Fields, Name, Plan, Record, Slot, SourceId, Span,
    Value,
};

/// A plan that is finished, and what is known beside it.
#[derive(Clone, Copy)]
pub struct Finished<'a> {
    /// None: nothing was planned, and nothing that a platform computes is known but what records hold.
    pub plan: Option<&'a Plan>,
    /// What state holds: before the plan, or since it was applied.
    pub records: &'a BTreeMap<Address, Arc<Record>>,
    /// The plan was applied: records alone say how things are.
    pub applied: bool,
    /// The plan destroys everything.
    pub destroy: bool,
}

/// What came of it.
pub enum Judged<T> {
    Done(T),
    /// As [`super::Expansion::Asks`].
    Asks {
        questions: Vec<Question>,
        providers: Vec<DesiredProvider>,
    },
}

/// Expands a program once more, and lets `look` evaluate rules over it.
///
/// Errors: as [`super::expand`].
pub fn judge<T>(
    program: &Program,
    request: &Request<'_>,
    finished: Finished<'_>,
    look: impl FnOnce(&Rules<'_, '_>) -> T,
) -> Result<Judged<T>, Vec<Diagnostic>> {
    let all = Expander::new(program, request, environment_of(program, request.environment)?);
    let desired = match whole::run(&all)? {
        super::Expansion::Done(desired) => *desired,
        super::Expansion::Asks { questions, providers } => return Ok(Judged::Asks { questions, providers }),
    };
    let mut changes: FxHashMap<&Address, Vec<&Change>> = FxHashMap::default();
    for change in finished.plan.iter().flat_map(|plan| &plan.changes) {
        changes.entry(&change.address).or_default().push(change);
    }
    let scope = Scope { all: &all, frame: all.top().clone() };
    Ok(Judged::Done(look(&Rules { scope, desired, finished, changes, graph: OnceCell::new() })))
}

/// Evaluates an expression of the stack's file level that is known with the environment.
///
/// Errors: as [`crate::eval::evaluate`].
pub fn early(program: &Program, request: &Request<'_>, expr: &Expr) -> Result<Value, Vec<Diagnostic>> {
    let all = Expander::new(program, request, environment_of(program, request.environment)?);
    all.eval(&all.top().clone(), expr, &[]).map_err(|error| vec![*error])
}

/// The names in rules.
pub struct Rules<'x, 'p> {
    scope: Scope<'x, 'p>,
    desired: Desired,
    finished: Finished<'x>,
    /// By address; a move stands before what else happens there.
    changes: FxHashMap<&'x Address, Vec<&'x Change>>,
    graph: OnceCell<Graph>,
}

/// One rule that says something, with the values of the variables around it.
pub enum Leaf<'r> {
    Rule(&'r Rule),
    /// Which rounds of this `for` there are, or whether these rules apply, is known only after apply.
    Undecided(&'r Expr),
}

impl Rules<'_, '_> {
    /// What the program amounts to.
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// Evaluates an expression of rules, in which these variables are bound. What it says of things that only a platform will
    /// compute is unknown.
    ///
    /// Errors: as [`crate::eval::evaluate`].
    pub fn eval(&self, expr: &Expr, locals: &[(Slot, Value)]) -> Outcome<Value> {
        self.known(evaluate_with(expr, self, locals)?)
    }

    /// Visits every `require` and `expect`, once for each round of the `for`s around it, in the order of the source.
    ///
    /// Errors: the first that has no value of what the rules range over, or are subject to.
    pub fn each<'r>(
        &self,
        rules: &'r [Rule],
        locals: &mut Vec<(Slot, Value)>,
        visit: &mut dyn FnMut(Leaf<'r>, &[(Slot, Value)]),
    ) -> Outcome<()> {
        for rule in rules {
            let Rule::Each { each, cond, rules, .. } = rule else {
                visit(Leaf::Rule(rule), locals);
                continue;
            };
            let rounds = match each {
                None => vec![Vec::new()],
                Some(each) => {
                    let over = self.eval(&each.over, locals)?;
                    let Some(rounds) = rounds(&over) else {
                        visit(Leaf::Undecided(&each.over), locals);
                        continue;
                    };
                    let bind = |(key, value): (Value, Value)| {
                        let mut bound = vec![(each.value, value)];
                        bound.extend(each.key.map(|slot| (slot, key)));
                        bound
                    };
                    rounds.into_iter().map(bind).collect()
                }
            };
            for bound in rounds {
                let before = locals.len();
                locals.extend(bound);
                let held = cond.as_ref().map_or(Ok(Value::bool(true)), |cond| self.eval(cond, locals));
                let visited = held.and_then(|held| match (&held.data, cond) {
                    (Data::Bool(true), _) => self.each(rules, locals, visit),
                    (Data::Unknown(_), Some(cond)) => {
                        visit(Leaf::Undecided(cond), locals);
                        Ok(())
                    }
                    _ => Ok(()),
                });
                locals.truncate(before);
                visited?;
            }
        }
        Ok(())
    }

    fn known(&self, value: Value) -> Outcome<Value> {
        resume(&value, &|address, path| self.lookup(address, path))
    }

    /// A part of an attribute as it is once the plan is applied; `None` where nobody knows yet.
    fn lookup(&self, address: &Address, path: &[Step]) -> Option<Value> {
        let (Step::Field(name), rest) = path.split_first()? else { return None };
        let mut value = self.attribute_of(address, name)?;
        for step in rest {
            value = match (&value.data, step) {
                (Data::Map(fields), Step::Field(name)) => fields.get(name).cloned().unwrap_or_else(Value::null),
                (Data::List(items), Step::Item(at)) => items.get(*at as usize).cloned()?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// An attribute of a resource as it is once the plan is applied.
    fn attribute_of(&self, address: &Address, name: &Name) -> Option<Value> {
        let changes = self.changes.get(address).filter(|_| !self.finished.applied);
        match changes.and_then(|changes| changes.iter().rev().find(|change| change.after.is_some())) {
            Some(change) => attribute_after(change, change.kind.attribute(name)?),
            None => {
                let record = self.finished.records.get(address)?;
                Some(record.attribute(name).cloned().unwrap_or_else(Value::null))
            }
        }
    }
}

/// What a change leaves in an attribute; `None` where only the platform will tell.
fn attribute_after(change: &Change, attribute: &Attribute) -> Option<Value> {
    let after = change.after.as_ref()?;
    if let Some(value) = after.attributes.get(&attribute.name) {
        return Some(value.clone());
    }
    if attribute.is_input() && !matches!(attribute.given, Given::OptionalComputed) {
        return Some(Value::null());
    }
    let stays = matches!(change.action, Action::Update | Action::Move { .. } | Action::Record) && !change.maybe_replace;
    let changed = |name: &Name| {
        change.fields.iter().any(|field| matches!(field.path.first(), Some(Step::Field(changed)) if changed == name))
    };
    if !stays || attribute.recomputed_by.iter().any(changed) {
        return None;
    }
    change.before.as_ref()?.attribute(&attribute.name).cloned()
}

/// The keys and values of a list or map; `None` where it is unknown.
fn rounds(over: &Value) -> Option<Vec<(Value, Value)>> {
    let span = over.mark.origin;
    match &over.data {
        Data::List(items) => {
            Some(items.iter().enumerate().map(|(at, item)| (Value::int(at as i64).at(span), item.clone())).collect())
        }
        Data::Map(fields) => Some(fields.iter().map(|(key, item)| (Value::text(key.clone()).at(span), item.clone())).collect()),
        Data::Null => Some(Vec::new()),
        _ => None,
    }
}

impl Names for Rules<'_, '_> {
    fn reference(&self, reference: &Reference, span: Span) -> Outcome<Value> {
        let value = match reference {
            Reference::Plan(part) => self.part(part, span)?,
            // Nothing of it will be there.
            Reference::Instances(_) if self.finished.destroy => Value::map(Fields::new()).at(span),
            _ => self.scope.reference(reference, span)?,
        };
        self.known(value)
    }

    fn member(&self, of: &InstanceRef, member: &Member, argument: Option<Value>, span: Span) -> Outcome<Value> {
        let texts = |all: Vec<Address>| Value::list(all.iter().map(|it| Value::text(it.as_str()).at(span)).collect()).at(span);
        match member {
            Member::Uses => Ok(texts(self.graph().uses(&of.address))),
            Member::UsedBy => Ok(texts(self.graph().used_by(&of.address))),
            Member::Reaches(_) => {
                let to = argument.as_ref().and_then(address_of);
                Ok(Value::bool(to.is_some_and(|to| self.graph().reaches(&of.address, &to))).at(span))
            }
            _ => self.known(self.scope.member(of, member, argument, span)?),
        }
    }

    fn attribute(&self, address: &Address, kind: &Name, name: &Name, span: Span) -> Outcome<Value> {
        self.known(self.scope.attribute(address, kind, name, span)?)
    }

    fn function(&self, place: u32) -> Option<Callee<'_>> {
        self.scope.function(place)
    }

    fn outside(&self) -> &dyn Outside {
        self.scope.outside()
    }

    fn budget(&self) -> &Budget {
        self.scope.budget()
    }

    fn nearness(&self, source: SourceId) -> u8 {
        self.scope.nearness(source)
    }
}

impl Rules<'_, '_> {
    fn graph(&self) -> &Graph {
        self.graph.get_or_init(|| Graph::of(&self.desired))
    }

    fn part(&self, part: &PlanPart, span: Span) -> Outcome<Value> {
        Ok(match part {
            PlanPart::Changes(kind) => self.changes(kind.as_ref(), span),
            PlanPart::Environment => Value::text(self.desired.environment.as_str()).at(span),
            PlanPart::Destroy => Value::bool(self.finished.destroy).at(span),
            PlanPart::Resources(kind) => {
                let stays = !self.finished.destroy;
                let of_kind = self.desired.resources.iter().filter(|it| stays && it.kind.name == *kind);
                let value = |address: &Address| self.scope.all.resource_value(address, kind, span);
                let all: Fields = of_kind.map(|it| (it.address.as_str().into(), value(&it.address))).collect();
                Value::map(all).at(span)
            }
            PlanPart::Output(name) => {
                let found = self.desired.outputs.iter().find(|output| output.name == *name);
                found.map_or_else(Value::null, |output| output.value.clone()).at(span)
            }
        })
    }

    /// The kind of the innermost instance of `kind` that holds an address, if one does.
    fn is_in_instance_of(&self, address: &Address, kind: &Name) -> bool {
        let mut inner = Some(address.clone());
        while let Some(at) = inner {
            if let Ok(found) = self.desired.instances.binary_search_by(|it| it.address.cmp(&at))
                && self.desired.instances[found].kind == *kind
            {
                return true;
            }
            // One that the program no longer declares is told by its name.
            if at.last().strip_prefix(&**kind).is_some_and(|rest| rest.starts_with('.')) {
                return true;
            }
            inner = at.parent();
        }
        false
    }
}

/// The address of an instance or resource.
fn address_of(value: &Value) -> Option<Address> {
    match &value.data {
        Data::Ref(reference) => Some(reference.address.clone()),
        Data::Unknown(unknown) => match &unknown.rest.kind {
            crate::model::ExprKind::Name(Reference::Attribute { address, path }) if path.is_empty() => Some(address.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// What is unknown of an attribute, as a value.
fn unknown_attribute(address: &Address, attribute: &Attribute, span: Span) -> Value {
    let path = vec![Step::Field(attribute.name.clone())];
    let rest = Expr::new(crate::model::ExprKind::Name(Reference::Attribute { address: address.clone(), path }), span);
    let unknown = crate::model::value::Unknown {
        ty: attribute.ty.clone(),
        rest: Arc::new(rest),
        waits_for: Arc::new([address.clone()].into()),
    };
    Value::new(Data::Unknown(Arc::new(unknown)), span)
}
