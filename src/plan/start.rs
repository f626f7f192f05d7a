//! From what should exist to a finished plan.

mod finish;
mod removed;
mod select;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::removed::covers;
pub(super) use self::removed::nameless_kind;
use super::decide::{Case, Decision, collect_waits, decide};
use super::moves::Placed;
use super::standing::Standings;
use super::{Known, Options};
use crate::graph::resources::{ResourceOrder, order_resources};
use crate::model::schema::ReplaceOrder;
use crate::model::{
    Action, Address, Change, Code, Desired, Diagnostic, EdgeReason, Plan, Reason, Record, SeenResource, Span, Step, Value,
};

/// Makes the plan that turns what is known into what is desired.
///
/// Errors, all of them at once: [`Code::Cycle`] with every edge; [`Code::Protected`] for each guarded resource that would be
/// lost; [`Code::Duplicate`] for renames onto something; [`Code::Usage`] for names that `--replace` and `--only` give and
/// nothing bears; and whatever evaluating the rest of a value says, once that is known.
pub fn start(desired: Desired, known: &Known<'_>, options: &Options) -> Result<Plan, Vec<Diagnostic>> {
    let desired = normalised(desired, options);
    let placed = Placed::new(known.records, &desired.moved)?;
    let ordered = order_resources(&desired.resources)?;
    let mut planner = Planner::new(desired, known, options, placed, &ordered);
    for &at in &ordered.order {
        planner.decide_one(at);
    }
    planner.accept_reported();
    planner.leave_or_destroy();
    planner.refuse_unknown_names();
    if planner.errors.iter().any(Diagnostic::is_error) {
        return Err(planner.errors);
    }
    planner.finish(ordered)
}

/// Sorted by address, so that the order of what comes in leaves no trace; nothing is desired when everything is destroyed.
fn normalised(mut desired: Desired, options: &Options) -> Desired {
    if options.destroy {
        desired.resources.clear();
        desired.instances.clear();
        desired.outputs.clear();
        desired.forget.clear();
        desired.moved.clear();
        desired.adopt.clear();
        desired.deferred.clear();
        desired.requirements.clear();
    }
    desired.resources.sort_by(|a, b| a.address.cmp(&b.address));
    for resource in &mut desired.resources {
        resource.edges.sort();
    }
    wait_for_settings(&mut desired);
    desired.instances.sort_by(|a, b| a.address.cmp(&b.address));
    desired.outputs.sort_by(|a, b| a.name.cmp(&b.name));
    desired.providers.sort_by(|a, b| a.name.cmp(&b.name));
    desired.inputs.sort_by(|(a, _), (b, _)| a.cmp(b));
    desired.requirements.sort_by(|a, b| (&a.address, a.span).cmp(&(&b.address, b.span)));
    desired
}

/// Resources of a provider instance whose settings wait for something wait for it, too.
fn wait_for_settings(desired: &mut Desired) {
    for provider in desired.providers.iter().filter(|provider| provider.settings.values().any(Value::has_unknown)) {
        let mut waits = BTreeSet::new();
        provider.settings.values().for_each(|value| collect_waits(value, &mut waits));
        for resource in desired.resources.iter_mut().filter(|resource| resource.provider == provider.name) {
            for to in &waits {
                let edge = crate::model::Edge { to: to.clone(), reason: EdgeReason::After, span: provider.span };
                if !resource.edges.iter().any(|known| known.to == edge.to && known.reason == edge.reason) {
                    resource.edges.push(edge);
                    resource.edges.sort();
                }
            }
        }
    }
}

struct Planner<'a> {
    known: &'a Known<'a>,
    options: &'a Options,
    placed: Placed<'a>,
    standings: Standings<'a>,
    /// By place of the resource.
    decisions: Vec<Decision>,
    /// What will be recorded of objects that are adopted, and what the platform calls each, by address.
    adopted: BTreeMap<Address, (Arc<Record>, String, Span)>,
    /// What is recorded and not declared.
    removed: Vec<Change>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    desired: Desired,
}

impl<'a> Planner<'a> {
    fn new(
        mut desired: Desired,
        known: &'a Known<'a>,
        options: &'a Options,
        placed: Placed<'a>,
        ordered: &ResourceOrder,
    ) -> Planner<'a> {
        let mut resources = std::mem::take(&mut desired.resources);
        if !ordered.dropped.is_empty() {
            let dropped: BTreeSet<&(Address, crate::model::Edge)> = ordered.dropped.iter().collect();
            for resource in &mut resources {
                let address = resource.address.clone();
                resource
                    .edges
                    .retain(|edge| edge.reason != EdgeReason::Instance || !dropped.contains(&(address.clone(), edge.clone())));
            }
        }
        let decisions = resources.iter().map(|_| Decision::default()).collect();
        Planner {
            known,
            options,
            placed,
            standings: Standings::new(resources),
            decisions,
            adopted: BTreeMap::new(),
            removed: Vec::new(),
            errors: Vec::new(),
            warnings: std::mem::take(&mut desired.warnings),
            desired,
        }
    }

    fn decide_one(&mut self, at: u32) {
        self.resolve_resource(at);
        let adopts = self.adopt(at);
        let resource = &self.standings.resources[at as usize];
        let record = adopts.as_ref().or(self.placed.at(&resource.address));
        let seen = self.known.seen.resources.get(record.map_or(&resource.address, |record| &record.address));
        let moved = self.placed.came_from(&resource.address);
        let asked = self.options.replace.contains(&resource.address);
        let mut decision = decide(&Case { desired: resource, record, moved, seen, asked });
        if let (Some(Action::Replace { order }), Some(record)) = (&mut decision.action, record)
            && *order == ReplaceOrder::CreateFirst
            && self.uses_what_is_destroyed_first(record)
        {
            *order = ReplaceOrder::DestroyFirst;
        }
        if adopts.is_some() {
            self.errors.extend(self.refuse_replacing(at, &decision));
        }
        self.errors.extend(decision.refused.take());
        if let Some(attributes) = decision.attributes.take() {
            self.standings.resources[at as usize].attributes = attributes;
        }
        self.standings.set(at, std::mem::take(&mut decision.standing), record, seen);
        self.decisions[at as usize] = decision;
    }

    /// The record of the object that a resource adopts. A name that the program leaves out is the object's.
    fn adopt(&mut self, at: u32) -> Option<Arc<Record>> {
        let resource = &mut self.standings.resources[at as usize];
        let adoption = self.desired.adopt.iter().find(|it| it.address == resource.address)?;
        if let Some([live]) = self.known.seen.adoptable.get(&resource.address).map(Vec::as_slice)
            && self.placed.at(&resource.address).is_none()
        {
            for attribute in resource.kind.attributes.iter().filter(|it| it.naming.is_some()) {
                let made = resource.attributes.get(&attribute.name).is_none_or(|it| it.mark.origin.is_engine());
                if let Some(name) = live.get(&attribute.name).filter(|name| made && !name.is_null()) {
                    resource.attributes.insert(attribute.name.clone(), Value::engine(name.data.clone()));
                }
            }
        }
        match super::adopt::adopted(adoption, resource, self.known, &self.placed) {
            Ok(None) => None,
            Ok(Some((record, id))) => {
                self.adopted.insert(record.address.clone(), (record.clone(), id, adoption.span));
                Some(record)
            }
            Err(diagnostic) => {
                self.errors.push(*diagnostic);
                None
            }
        }
    }

    fn refuse_replacing(&self, at: u32, decision: &Decision) -> Option<Diagnostic> {
        let resource = &self.standings.resources[at as usize];
        let (_, _, span) = self.adopted.get(&resource.address)?;
        if !decision.maybe_replace && !matches!(decision.action, Some(Action::Replace { .. })) {
            return None;
        }
        let forced: Vec<_> = decision.fields.iter().filter(|field| field.forces_replacement.is_some()).cloned().collect();
        Some(super::adopt::refuse_replacement(*span, resource, &forced))
    }

    /// Whether the old object uses one that goes before its successor comes: then it cannot outlive that.
    fn uses_what_is_destroyed_first(&self, record: &Record) -> bool {
        record.edges.iter().filter(|edge| edge.reason == EdgeReason::Reference).any(|edge| {
            let used = self.standings.place(self.placed.now(&edge.to));
            used.is_some_and(|used| {
                self.decisions[used as usize].action == Some(Action::Replace { order: ReplaceOrder::DestroyFirst })
            })
        })
    }

    /// Evaluates what is left of values, with all that is known by now.
    fn resolve_resource(&mut self, at: u32) {
        let resource = &self.standings.resources[at as usize];
        let unknown = |(name, value): (&crate::model::Name, &Value)| value.has_unknown().then(|| name.clone());
        let names: Vec<crate::model::Name> = resource.attributes.iter().filter_map(unknown).collect();
        for name in names {
            let value = self.resolved(self.standings.resources[at as usize].attributes[&name].clone(), Some(at));
            let attributes = &mut self.standings.resources[at as usize].attributes;
            match value.is_null() {
                true => drop(attributes.remove(&name)),
                false => drop(attributes.insert(name, value)),
            }
        }
        if self.standings.resources[at as usize].lifecycle.replace_on.iter().any(Value::has_unknown) {
            let values = self.standings.resources[at as usize].lifecycle.replace_on.clone();
            let values = values.into_iter().map(|value| self.resolved(value, Some(at))).collect();
            self.standings.resources[at as usize].lifecycle.replace_on = values;
        }
    }

    /// The value with what is known by now; the value itself, and a message, where that does not go.
    fn resolved(&mut self, value: Value, at: Option<u32>) -> Value {
        if !value.has_unknown() {
            return value;
        }
        match crate::eval::resume(&value, &|address, path| self.standings.attribute(address, path)) {
            Ok(resolved) => resolved,
            Err(diagnostic) => {
                let address = at.map(|at| self.standings.resources[at as usize].address.clone());
                let about = diagnostic.address.clone().or(address);
                self.errors.push(Diagnostic { address: about, ..*diagnostic });
                value
            }
        }
    }

    /// Where something was made from an attribute that the platform reports otherwise than the record says, the record follows.
    fn accept_reported(&mut self) {
        for (at, name) in self.standings.asked() {
            let resource = &self.standings.resources[at as usize];
            let decision = &mut self.decisions[at as usize];
            if decision.action.is_some() {
                continue;
            }
            let Some(record) = self.placed.at(&resource.address) else { continue };
            let Some(SeenResource::Live(live)) = self.known.seen.resources.get(&record.address) else { continue };
            let Some(now) = live.get(&name).filter(|now| !now.is_null()) else { continue };
            let ty = resource.kind.attribute(&name).map_or(&crate::model::Type::Any, |attribute| &attribute.ty);
            let path = vec![Step::Field(name.clone())];
            super::diff::differences(ty, path, record.attribute(&name), Some(now), &mut decision.drift);
            decision.notice.retain(|field| field.path.first() != Some(&Step::Field(name.clone())));
        }
        for decision in &mut self.decisions {
            if decision.action.is_none() && !decision.drift.is_empty() {
                decision.action = Some(Action::Record);
                decision.reasons.push(Reason::Drifted);
            }
        }
    }

    fn refuse_unknown_names(&mut self) {
        for (address, span) in &self.desired.forget {
            if let Some(declared) = self.standings.resources.iter().find(|it| covers(address, &it.address)) {
                self.errors.push(
                    Code::Duplicate
                        .error(format!("`{}` is declared and to be forgotten at once", declared.address))
                        .label(*span, "to be forgotten")
                        .label(declared.span, "declared here")
                        .help("remove one of the two")
                        .about(declared.address.clone()),
                );
            }
        }
        for address in &self.options.replace {
            let declared = self.standings.place(address).is_some();
            if !declared {
                self.errors.push(
                    Code::Usage
                        .error(format!("`--replace {address}` names no resource of this program"))
                        .help("`stackwright state list` shows the addresses of all resources"),
                );
            } else if self.placed.at(address).is_none() {
                self.errors.push(
                    Code::Usage
                        .error(format!("`--replace {address}` names a resource that does not exist yet"))
                        .help("leave it out: the resource is created anyway"),
                );
            }
        }
    }
}
