//! From decisions to the finished plan: its changes in order, what they read, and what changes beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Planner;
use crate::graph::resources::ResourceOrder;
use crate::model::plan::{Drift, OutputChange};
use crate::model::{
    Action, Address, Change, Code, DesiredProvider, DesiredResource, Diagnostic, Digest, EdgeReason, Fields, Plan, ProviderName,
    Reason, Record, Requirement, Span,
};
use crate::plan::decide::Decision;
use crate::plan::require::{Judged, judge};
use crate::plan::{alike, diff, effects, only, order};

impl Planner<'_> {
    pub(super) fn finish(mut self, ordered: ResourceOrder) -> Result<Plan, Vec<Diagnostic>> {
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
        self.warnings.extend(alike::look_alikes(&changes, self.known.sources));
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
            foreseen: self.known.foreseen.to_vec(),
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
            made: None,
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
            let same = diff::same(&output.ty, before, Some(&output.value)) && (before.is_some() || output.value.is_null());
            if !same {
                changes.push(OutputChange { before: before.cloned(), name: output.name.clone(), after: Some(output) });
            }
        }
        let gone = self.known.outputs.iter().filter(|(name, _)| !declared.contains(*name));
        changes.extend(gone.map(|(name, value)| OutputChange { before: Some(value.clone()), after: None, name: name.clone() }));
        changes.sort_by(|a, b| a.name.cmp(&b.name));
        changes
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
