//! From what should exist to a finished plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashSet;

use super::decide::{Case, Decision, collect_waits, decide};
use super::guard::{Loss, refuse_guarded};
use super::moves::Placed;
use super::require::{Judged, judge};
use super::standing::Standings;
use super::{Known, Options, effects, only, order};
use crate::graph::resources::{ResourceOrder, order_resources};
use crate::model::plan::{Drift, OutputChange};
use crate::model::schema::{Recovery, ReplaceOrder};
use crate::model::{
    Action, Address, Change, Code, Desired, DesiredProvider, DesiredResource, Diagnostic, Digest, EdgeReason, Fields, Kind, Plan,
    ProviderName, Reason, Record, Requirement, SeenResource, Span, Step, Value,
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

    /// What state holds and the program does not declare, and what earlier replacements still owe.
    fn leave_or_destroy(&mut self) {
        let records =
            self.known.records.values().filter(|record| self.standings.place(self.placed.now(&record.address)).is_none());
        // Which of a set stay is known once its keys are.
        let waits =
            |record: &Record| self.desired.deferred.iter().any(|set| covers(&set.address, self.placed.now(&record.address)));
        let records = records.filter(|record| !waits(record));
        let owed = self.known.deposed.values().flatten();
        for record in records.chain(owed).collect::<Vec<_>>() {
            let forgotten = self.desired.forget.iter().find(|(address, _)| covers(address, &record.address));
            let known = self.kind_of(record).or_else(|| forgotten.map(|_| (Arc::new(nameless_kind(record)), 0)));
            let Some((kind, schema_version)) = known else {
                self.errors.push(unknown_kind(record));
                continue;
            };
            let reason = match self.options.destroy {
                true => Reason::Asked,
                false => Reason::Removed { was: record.declared_at.clone() },
            };
            let gone = !record.deposed && matches!(self.known.seen.resources.get(&record.address), Some(SeenResource::Gone));
            let (action, reasons) = match forgotten {
                Some((_, span)) => (Action::Forget, vec![Reason::Forgotten { span: *span }]),
                // An act was done; nothing of it stays.
                None if kind.act || kind.data => (Action::Forget, vec![reason]),
                None => {
                    if !gone && !record.deposed {
                        self.errors.extend(refuse_guarded(&record.address, record, None, Loss::Destroyed, None));
                    }
                    let mut reasons = vec![reason];
                    reasons.extend(gone.then_some(Reason::Gone));
                    (Action::Destroy { loses_data: kind.holds_data && !gone }, reasons)
                }
            };
            self.removed.push(Change {
                address: record.address.clone(),
                kind,
                provider: record.provider.clone(),
                instance: record.instance.clone(),
                action,
                schema_version,
                declared_at: String::new(),
                before: Some(record.clone()),
                after: None,
                drift: Vec::new(),
                fields: Vec::new(),
                reasons,
                maybe_replace: false,
            });
        }
    }

    fn kind_of(&self, record: &Record) -> Option<(Arc<Kind>, u32)> {
        let kind = self.known.schemas.kind(&record.kind)?;
        Some((kind.clone(), self.schema_version(kind)))
    }

    fn schema_version(&self, kind: &Kind) -> u32 {
        self.known.schemas.providers.get(kind.provider()).map_or(0, |schema| schema.version)
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

    fn finish(mut self, ordered: ResourceOrder) -> Result<Plan, Vec<Diagnostic>> {
        let outputs = self.output_changes();
        let mut providers = std::mem::take(&mut self.desired.providers);
        for provider in &mut providers {
            let settings: Fields = std::mem::take(&mut provider.settings);
            provider.settings = settings.into_iter().map(|(name, value)| (name, self.resolved(value, None))).collect();
        }
        let requirements = self.judge_requirements();
        if self.errors.iter().any(Diagnostic::is_error) {
            return Err(self.errors);
        }
        let declared = std::mem::take(&mut self.standings.resources);
        let addresses: Vec<Address> = declared.iter().map(|resource| resource.address.clone()).collect();
        let edges = self.reads_of(&declared);
        let mut notices = Vec::new();
        let mut changes = Vec::new();
        let mut same = 0;
        for (resource, decision) in declared.into_iter().zip(std::mem::take(&mut self.decisions)) {
            if !decision.notice.is_empty() {
                notices.push(Drift { address: resource.address.clone(), fields: decision.notice.clone() });
            }
            let before = changes.len();
            self.add_changes(resource, decision, &mut changes);
            same += u32::from(changes.len() == before);
        }
        changes.append(&mut self.removed);
        // Stable: a move stays before what follows it.
        changes.sort_by(|a, b| a.address.cmp(&b.address));
        let outputs_left = self.select(&mut changes, &ordered, &addresses)?;
        self.warnings.extend(super::alike::look_alikes(&changes, self.known.sources));
        let outputs = if outputs_left { Vec::new() } else { outputs };
        let order = order::pairs(&changes, &addresses, &ordered.order, &ordered.waits);
        let (requirements, mut read) = self.kept_requirements(requirements, &changes);
        read.extend(reads(&changes, &edges));
        let reads = versions(read, self.known.records);
        let elsewhere = std::mem::take(&mut self.desired.elsewhere).into_iter();
        let elsewhere = elsewhere.map(|read| effects::basis(read, self.known.digest)).collect();
        let providers = needed_providers(&changes, providers);
        let mut deferred = std::mem::take(&mut self.desired.deferred);
        deferred.sort_by(|a, b| a.address.cmp(&b.address));
        deferred
            .retain(|set| self.options.only.is_empty() || self.options.only.iter().any(|glob| only::matches(glob, &set.address)));
        let remarks = self.desired.instances.iter();
        let remarks = remarks.flat_map(|it| it.remarks.iter().map(|remark| (it.address.clone(), remark.clone()))).collect();
        let mut plan = Plan {
            id: String::new(),
            effects: Digest([0; 32]),
            store: self.known.store.to_owned(),
            stack: self.desired.stack,
            environment: self.desired.environment,
            protect: self.desired.protect,
            simulated: self.options.simulated,
            base: self.known.base,
            changes,
            order,
            same,
            elsewhere,
            reads,
            outputs,
            providers,
            inputs: self.desired.inputs,
            dropped: ordered.dropped,
            deferred,
            requirements,
            warnings: self.warnings,
            remarks,
            reveals: self.desired.reveals,
            notices,
            policies: Vec::new(),
        };
        plan.effects = effects::subject(&plan, self.known.digest);
        plan.id = effects::plan_id(&plan.effects);
        Ok(plan)
    }

    /// Requirements that are still open after all decisions, each with the records that it read.
    fn judge_requirements(&mut self) -> Vec<(Requirement, Vec<Address>)> {
        let mut open = Vec::new();
        for requirement in std::mem::take(&mut self.desired.requirements) {
            match judge(&requirement, &|address, path| self.standings.attribute(address, path)) {
                Judged::Holds => {}
                Judged::Broken(error) => self.errors.push(*error),
                Judged::Open(left) => {
                    let read =
                        requirement.waits_for().into_iter().filter_map(|it| self.placed.at(&it).map(|it| it.address.clone()));
                    open.push((left, read.collect()));
                }
            }
        }
        open
    }

    /// Those that the changes will make known, and the addresses of the records that these read. A warning for each other.
    fn kept_requirements(
        &mut self,
        open: Vec<(Requirement, Vec<Address>)>,
        changes: &[Change],
    ) -> (Vec<Requirement>, BTreeSet<Address>) {
        let made: BTreeSet<&Address> = changes.iter().filter(|it| it.after.is_some()).map(|it| &it.address).collect();
        let (mut kept, mut all_read) = (Vec::new(), BTreeSet::new());
        for (requirement, read) in open {
            let waits = requirement.waits_for();
            let missing: Vec<String> = waits.iter().filter(|it| !made.contains(it)).map(|it| format!("`{it}`")).collect();
            if missing.is_empty() && !waits.is_empty() {
                all_read.extend(read);
                kept.push(requirement);
                continue;
            }
            let warning = Code::Doubtful
                .warning("a requirement is not checked: what it reads is not known, and this plan does not make it known")
                .label(requirement.span, "not checked")
                .fact("waits", format!("for {}", missing.join(", ")));
            self.warnings.push(Diagnostic { address: requirement.address, ..warning });
        }
        (kept, all_read)
    }

    fn add_changes(&self, resource: DesiredResource, mut decision: Decision, changes: &mut Vec<Change>) {
        let adopted = self.adopted.get(&resource.address).cloned();
        let record = adopted.as_ref().map(|(record, ..)| record).or(self.placed.at(&resource.address)).cloned();
        let moved = self.placed.came_from(&resource.address);
        if decision.action.is_none() && moved.is_none() && adopted.is_none() {
            return;
        }
        let schema_version = self.schema_version(&resource.kind);
        let declared_at = self.place(resource.called_at);
        let after = Arc::new(resource);
        let change = |action: Action, decision: Decision| Change {
            address: after.address.clone(),
            kind: after.kind.clone(),
            provider: after.provider.clone(),
            instance: after.instance.clone(),
            action,
            schema_version,
            declared_at: declared_at.clone(),
            before: record.clone(),
            after: Some(after.clone()),
            drift: decision.drift,
            fields: decision.fields,
            reasons: decision.reasons,
            maybe_replace: decision.maybe_replace,
        };
        if let Some((from, span)) = moved {
            let mut reasons = vec![Reason::Moved { from: from.clone(), span: *span }];
            if decision.action.is_none() {
                // What else changes in the record is written with its new address.
                reasons.append(&mut decision.reasons);
            }
            changes.push(change(Action::Move { from: from.clone() }, Decision { reasons, ..Decision::default() }));
        }
        if let Some((_, id, span)) = adopted {
            let reasons = vec![Reason::Adopted { span }];
            changes.push(change(Action::Adopt { id }, Decision { reasons, ..Decision::default() }));
        }
        if let Some(action) = decision.action.take() {
            changes.push(change(action, decision));
        }
    }

    /// `shop.stack:60`; empty for what no text declares.
    fn place(&self, span: Span) -> String {
        self.known.sources.place(span).map_or_else(String::new, |place| format!("{}:{}", place.file, place.line))
    }

    /// By address, the recorded resources whose attributes its values were made from.
    fn reads_of(&self, declared: &[DesiredResource]) -> BTreeMap<Address, Vec<Address>> {
        let changes = declared.iter().zip(&self.decisions).filter(|(_, decision)| decision.action.is_some());
        changes
            .map(|(resource, _)| {
                let edges = resource.edges.iter().filter(|edge| edge.reason == EdgeReason::Reference);
                let read = edges.filter_map(|edge| self.placed.at(&edge.to)).map(|record| record.address.clone());
                (resource.address.clone(), read.collect())
            })
            .collect()
    }

    fn output_changes(&mut self) -> Vec<OutputChange> {
        let outputs = std::mem::take(&mut self.desired.outputs);
        let mut changes = Vec::new();
        let declared: BTreeSet<_> = outputs.iter().map(|output| output.name.clone()).collect();
        for mut output in outputs {
            output.value = self.resolved(output.value, None);
            let before = self.known.outputs.get(&output.name);
            let same = super::diff::same(&output.ty, before, Some(&output.value)) && (before.is_some() || output.value.is_null());
            if !same {
                changes.push(OutputChange { before: before.cloned(), name: output.name.clone(), after: Some(output) });
            }
        }
        let gone = self.known.outputs.iter().filter(|(name, _)| !declared.contains(*name));
        changes.extend(gone.map(|(name, value)| OutputChange { before: Some(value.clone()), after: None, name: name.clone() }));
        changes.sort_by(|a, b| a.name.cmp(&b.name));
        changes
    }

    /// Keeps what `--only` matches and what that takes along, and says what is left out. Whether outputs are left out, too.
    fn select(
        &mut self,
        changes: &mut Vec<Change>,
        ordered: &ResourceOrder,
        addresses: &[Address],
    ) -> Result<bool, Vec<Diagnostic>> {
        if self.options.only.is_empty() {
            return Ok(false);
        }
        let globs = &self.options.only;
        let all = || addresses.iter().chain(self.known.records.keys());
        let unmatched = globs.iter().filter(|glob| !all().any(|address| only::matches(glob, address)));
        let unmatched: Vec<Diagnostic> = unmatched
            .map(|glob| {
                Code::Usage
                    .error(format!("`--only {glob}` matches no resource"))
                    .help("`*` stands for anything within a segment of an address, `**` for anything; `stackwright state list` shows addresses")
            })
            .collect();
        if !unmatched.is_empty() {
            return Err(unmatched);
        }
        let kept = taken_along(changes, ordered, addresses, |address| globs.iter().any(|glob| only::matches(glob, address)));
        let waiting = self.desired.deferred.iter().filter(|set| !globs.iter().any(|glob| only::matches(glob, &set.address)));
        let waiting = waiting.map(|set| format!("`{}` (deferred)", set.address));
        let left: Vec<String> = changes
            .iter()
            .filter(|change| !kept.contains(&change.address))
            .map(|change| format!("`{}` ({})", change.address, change.action.word()))
            .chain(waiting)
            .collect();
        changes.retain(|change| kept.contains(&change.address));
        if left.is_empty() {
            return Ok(false);
        }
        const NAMED: usize = 10;
        let names = left.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = if left.len() > NAMED { format!(" and {} more", left.len() - NAMED) } else { String::new() };
        self.warnings.push(
            Code::Doubtful
                .warning(format!("`--only` leaves out {} changes, and the outputs of the stack", left.len()))
                .note(format!("left out: {names}{more}"))
                .help("plan without `--only` to see everything"),
        );
        Ok(true)
    }
}

/// Addresses of the changes that a selection matches, with everything that they wait for; a destroyed resource takes along what
/// was recorded as using it.
fn taken_along(
    changes: &[Change],
    ordered: &ResourceOrder,
    addresses: &[Address],
    matches: impl Fn(&Address) -> bool,
) -> FxHashSet<Address> {
    let mut declared: Vec<bool> = addresses.iter().map(&matches).collect();
    let mut waits = ordered.waits.clone();
    let mut place = vec![0; addresses.len()];
    ordered.order.iter().enumerate().for_each(|(at, node)| place[*node as usize] = at);
    waits.sort_by_key(|wait| std::cmp::Reverse(place[wait.node as usize]));
    for wait in waits {
        if declared[wait.node as usize] {
            declared[wait.on as usize] = true;
        }
    }
    let mut kept: FxHashSet<Address> =
        addresses.iter().zip(&declared).filter(|(_, kept)| **kept).map(|(address, _)| address.clone()).collect();
    let undeclared = || changes.iter().filter(|change| change.after.is_none());
    kept.extend(undeclared().map(|change| &change.address).filter(|address| matches(address)).cloned());
    loop {
        let uses_kept = |change: &&Change| {
            let edges = change.before.iter().flat_map(|record| &record.edges);
            !kept.contains(&change.address) && edges.into_iter().any(|edge| kept.contains(&edge.to))
        };
        let gone: FxHashSet<&Address> = undeclared().map(|change| &change.address).collect();
        let more: Vec<Address> = undeclared()
            .filter(uses_kept)
            .filter(|change| {
                let edges = change.before.iter().flat_map(|record| &record.edges);
                edges.into_iter().any(|edge| kept.contains(&edge.to) && gone.contains(&edge.to))
            })
            .map(|change| change.address.clone())
            .collect();
        if more.is_empty() {
            return kept;
        }
        kept.extend(more);
    }
}

/// What the changes read and write.
fn reads(changes: &[Change], read_by: &BTreeMap<Address, Vec<Address>>) -> BTreeSet<Address> {
    let mut reads: BTreeSet<&Address> = BTreeSet::new();
    for change in changes.iter().filter(|change| change.action != Action::Read) {
        reads.insert(&change.address);
        reads.extend(change.before.iter().map(|record| &record.address));
        reads.extend(read_by.get(&change.address).into_iter().flatten());
    }
    reads.into_iter().cloned().collect()
}

/// Versions of records; 0 where there must be none.
fn versions(addresses: BTreeSet<Address>, records: &BTreeMap<Address, Arc<Record>>) -> Vec<(Address, u64)> {
    let version = |address: &Address| records.get(address).map_or(0, |record| record.version);
    addresses.into_iter().map(|address| (address.clone(), version(&address))).collect()
}

/// The provider instances that the changes need. One that is no longer declared comes without settings: what its resources are
/// destroyed by is then what its surroundings say.
fn needed_providers(changes: &[Change], declared: Vec<DesiredProvider>) -> Vec<DesiredProvider> {
    let mut needed: BTreeSet<ProviderName> = BTreeSet::new();
    for change in changes {
        needed.insert(change.provider.clone());
        needed.extend(change.before.iter().map(|record| record.provider.clone()));
    }
    let mut providers: Vec<DesiredProvider> = declared.into_iter().filter(|it| needed.remove(&it.name)).collect();
    providers.extend(needed.into_iter().map(|name| DesiredProvider { name, settings: Fields::new(), span: Span::ENGINE }));
    providers.sort_by(|a, b| a.name.cmp(&b.name));
    providers
}

/// Whether a name covers an address: itself, what lies inside, and, without a key, all instances of its set.
fn covers(name: &Address, address: &Address) -> bool {
    address.is_within(name) || address.as_str().strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('['))
}

fn unknown_kind(record: &Record) -> Diagnostic {
    let provider = record.kind.split('.').next().unwrap_or_default();
    Code::UnknownKind
        .error(format!("`{}` is recorded with the kind `{}`, which this program does not know", record.address, record.kind))
        .note(format!("it was declared at {}", record.declared_at))
        .help(format!("use a version that knows the provider `{provider}`, or `forget {{ address = \"{}\" }}`", record.address))
        .about(record.address.clone())
}

/// What is needed of a kind that nobody knows any more, to forget a resource of it.
pub(super) fn nameless_kind(record: &Record) -> Kind {
    Kind {
        name: record.kind.clone(),
        doc: "a kind that this version does not know",
        attributes: Vec::new(),
        data: false,
        act: false,
        stored: false,
        holds_data: false,
        identity: Vec::new(),
        id: "id".into(),
        list_by: None,
        recovery: Recovery::Put,
        updatable: false,
        replace: ReplaceOrder::DestroyFirst,
        timeout: Duration::ZERO,
    }
}
