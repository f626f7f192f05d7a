//! From a planned change to what has to be done, once everything that it waits for is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::record::{completed, draft};
use crate::model::expr::Step;
use crate::model::schema::{Recovery, ReplaceOrder};
use crate::model::types::Type;
use crate::model::{
    Action, Address, Change, Code, DesiredResource, Diagnostic, Digest, Fields, Kind, Name, ProviderName, Reason, Record,
    Sources, Value,
};
use crate::plan::diff::{part, same, with_part};
use crate::plan::{Half, Loss, refuse_guarded, would_replace};
use crate::state::{IntentCall, RecordWrite, View};

/// What is known while a run goes on: the records as they were, and what the run made of them.
pub struct Live {
    view: Arc<View>,
    /// `None` for what is gone.
    records: BTreeMap<Address, Option<Arc<Record>>>,
    deposed: BTreeMap<Address, Vec<Arc<Record>>>,
    /// Data sources that were read.
    read: BTreeMap<Address, Arc<Fields>>,
    kinds: BTreeMap<Address, Arc<Kind>>,
}

impl Live {
    pub fn new(view: Arc<View>, changes: &[Change]) -> Live {
        let kinds = changes.iter().map(|change| (change.address.clone(), change.kind.clone())).collect();
        Live { deposed: view.deposed.clone(), view, records: BTreeMap::new(), read: BTreeMap::new(), kinds }
    }

    pub fn record(&self, address: &Address) -> Option<&Arc<Record>> {
        match self.records.get(address) {
            Some(changed) => changed.as_ref(),
            None => self.view.records.get(address),
        }
    }

    fn deposed(&self, address: &Address, id: Option<crate::model::RecordId>) -> Option<&Arc<Record>> {
        self.deposed.get(address)?.iter().rev().find(|record| id.is_none_or(|id| record.id == id))
    }

    /// An attribute, if it is known by now. Without a path the object of all attributes.
    pub fn attribute(&self, address: &Address, path: &[Step]) -> Option<Value> {
        let (name, rest) = match path.split_first() {
            Some((Step::Field(name), rest)) => (name, rest),
            Some((Step::Item(_), _)) => return None,
            None => {
                let fields = self.read.get(address).map(|read| (**read).clone());
                return fields.or_else(|| Some(given_or_computed(self.record(address)?))).map(Value::map);
            }
        };
        if let Some(read) = self.read.get(address) {
            return part(read.get(name)?, rest);
        }
        let record = self.record(address)?;
        match record.inputs.get(name).or_else(|| record.computed.get(name)) {
            Some(value) => part(value, rest),
            None => {
                let attribute = self.kinds.get(address)?.attribute(name)?;
                let may_be_absent = !attribute.is_computed() || matches!(attribute.ty, Type::Optional(_));
                may_be_absent.then(Value::null)
            }
        }
    }

    /// Takes over what became durable.
    pub fn take(&mut self, writes: &[RecordWrite]) {
        for write in writes {
            match write {
                RecordWrite::Put(record) => drop(self.records.insert(record.address.clone(), Some(record.clone()))),
                RecordWrite::Remove(address) => drop(self.records.insert(address.clone(), None)),
                RecordWrite::Depose(address) => {
                    if let Some(record) = self.record(address).cloned() {
                        self.deposed.entry(address.clone()).or_default().push(record);
                        self.records.insert(address.clone(), None);
                    }
                }
                RecordWrite::RemoveDeposed { address, id } => {
                    self.deposed.entry(address.clone()).or_default().retain(|record| record.id != *id);
                }
                RecordWrite::Move { from, to } => {
                    let record = self.record(from).cloned();
                    self.records.insert(from.clone(), None);
                    self.records.insert(to.clone(), record);
                }
            }
        }
    }

    pub fn take_read(&mut self, address: &Address, fields: Arc<Fields>) {
        self.read.insert(address.clone(), fields);
    }
}

fn given_or_computed(record: &Record) -> Fields {
    let mut all = record.computed.clone();
    all.extend(record.inputs.iter().map(|(name, value)| (name.clone(), value.clone())));
    all
}

/// What has to be done.
pub enum Job {
    /// A value that was not known turned out to be what it was.
    Nothing,
    /// Records change, and no call is needed.
    Write { action: Name, writes: Vec<RecordWrite>, causes: BTreeMap<Name, String> },
    /// Calls, one after the other. `owes_destroy`: the object that they replace has still to be destroyed.
    Calls { operations: Vec<Operation>, owes_destroy: bool },
    /// An object is looked at, and recorded as it is.
    Adopt(Box<Adopt>),
    /// A data source.
    Read { kind: Arc<Kind>, arguments: Fields },
}

/// An object that is to be recorded.
pub struct Adopt {
    pub kind: Arc<Kind>,
    /// What it is found by.
    pub known: Fields,
    /// Complete and known.
    pub desired: DesiredResource,
    /// What its record will say beside the attributes.
    pub draft: Record,
    /// The item that adopts it.
    pub span: crate::model::Span,
}

impl Adopt {
    /// What state will hold of the object, as it is now.
    ///
    /// Errors: [`Code::NotAdopted`] where it has become one that would have to be replaced.
    pub fn record(&self, live: &Fields) -> Result<Record, Box<Diagnostic>> {
        let taken = crate::plan::adopt::record(&self.desired, live);
        let forced = would_replace(&self.desired, &taken);
        if !forced.is_empty() {
            return Err(Box::new(crate::plan::adopt::refuse_replacement(self.span, &self.desired, &forced)));
        }
        Ok(Record { inputs: taken.inputs, computed: taken.computed, ..self.draft.clone() })
    }
}

/// One mutating call, complete and known.
#[derive(Clone)]
pub struct Operation {
    pub address: Address,
    pub kind: Arc<Kind>,
    pub provider: ProviderName,
    pub instance: Address,
    /// The word of the planned change.
    pub action: Name,
    pub call: IntentCall,
    pub inputs: Fields,
    /// The record that it changes or deletes.
    pub before: Option<Arc<Record>>,
    /// Attributes that an update changes.
    pub changed: Vec<Name>,
    /// What is recorded afterwards, all but what the platform computes; `None` for a delete.
    pub draft: Option<Record>,
    /// The record at the address makes room first.
    pub deposes: bool,
    pub not_after: Duration,
    pub effect: Option<Digest>,
    pub causes: BTreeMap<Name, String>,
    pub declared: Option<Arc<DesiredResource>>,
}

impl Operation {
    /// What state holds once the call is done.
    pub fn writes(&self, operation: crate::state::OperationId, answer: &Fields) -> Vec<RecordWrite> {
        let Some(draft) = &self.draft else {
            let before = self.before.as_ref().expect("a delete has a record");
            return vec![match before.deposed {
                true => RecordWrite::RemoveDeposed { address: self.address.clone(), id: before.id },
                false => RecordWrite::Remove(self.address.clone()),
            }];
        };
        let mut draft = draft.clone();
        if self.call == IntentCall::Create {
            draft.id = operation.record();
        }
        let record = completed(draft, &self.kind, answer, self.before.as_deref());
        let room = self.deposes.then(|| RecordWrite::Depose(self.address.clone()));
        room.into_iter().chain([RecordWrite::Put(Arc::new(record))]).collect()
    }

    /// As the log writes it.
    pub fn recovery_word(&self) -> &'static str {
        match self.kind.recovery {
            Recovery::Keyed { .. } => "keyed",
            Recovery::Named => "named",
            Recovery::Tagged { .. } => "tagged",
            Recovery::Put => "put",
            Recovery::Opaque { .. } => "opaque",
        }
    }
}

/// What [`prepare`] needs besides the change.
pub struct Prepare<'a> {
    pub live: &'a Live,
    pub sources: &'a Sources,
    pub effect: Digest,
}

/// Resolves what the change waits for, and decides what could not be decided when it was planned.
///
/// Errors: what evaluating a value says; [`Code::Protected`] where a guard forbids what only now is known to be a replacement;
/// [`Code::StalePlan`] where a record is not there.
pub fn prepare(change: &Change, half: Half, with: &Prepare<'_>) -> Result<Job, Box<Diagnostic>> {
    let ready = Ready { change, with };
    match (&change.action, half) {
        (Action::Destroy { .. } | Action::Replace { .. } | Action::Update, Half::Unmake) => ready.unmake(),
        (Action::Create | Action::Run | Action::Replace { .. } | Action::Update, _) => ready.make(),
        (Action::Record, _) => ready.record_only(),
        (Action::Move { from }, _) => ready.move_from(from),
        (Action::Adopt { .. }, _) => ready.adopt(),
        (Action::Forget | Action::Destroy { .. }, _) => ready.forget(),
        (Action::Read, _) => {
            let desired = ready.resolved()?;
            Ok(Job::Read { kind: change.kind.clone(), arguments: desired.attributes })
        }
    }
}

struct Ready<'a> {
    change: &'a Change,
    with: &'a Prepare<'a>,
}

impl Ready<'_> {
    fn make(&self) -> Result<Job, Box<Diagnostic>> {
        let change = self.change;
        let desired = self.resolved()?;
        match &change.action {
            Action::Update => self.update(desired),
            Action::Run if change.maybe_replace => {
                let before = self.record()?;
                let same_values = desired.lifecycle.replace_on == before.replace_on && self.changed(&desired, &before).is_empty();
                if same_values { self.write_record(&desired, &before) } else { Ok(self.create(desired, false, 0)) }
            }
            Action::Replace { order } => {
                let before = change.before.as_deref();
                let create_first = *order == ReplaceOrder::CreateFirst;
                let next = before.map_or(0, |record| record.generation) + u32::from(create_first);
                Ok(self.create(desired, create_first, next))
            }
            _ => {
                let generation = change.before.as_ref().map_or(0, |record| record.generation);
                Ok(self.create(desired, false, generation))
            }
        }
    }

    fn update(&self, desired: DesiredResource) -> Result<Job, Box<Diagnostic>> {
        let before = self.record()?;
        let forced = if self.change.maybe_replace { would_replace(&desired, &before) } else { Vec::new() };
        if let Some(first) = forced.first() {
            if let Some(refusal) = refuse_guarded(&self.change.address, &before, Some(&desired), Loss::Replaced, first.cause) {
                return Err(Box::new(refusal));
            }
            return Ok(self.replace_after_all(desired, &before));
        }
        let changed = self.changed(&desired, &before);
        if changed.is_empty() {
            return self.write_record(&desired, &before);
        }
        let draft = self.draft(&desired, Some(&before), before.generation);
        let operation = self.operation(IntentCall::Update, desired, Some(before), Some(draft));
        Ok(Job::Calls { operations: vec![Operation { changed, ..operation }], owes_destroy: false })
    }

    /// Which attributes a call has to change: those that differ, and those that have to be set back.
    fn changed(&self, desired: &DesiredResource, before: &Record) -> Vec<Name> {
        let ty = |name: &Name| self.change.kind.attribute(name).map_or(&Type::Any, |attribute| &attribute.ty);
        let names: BTreeSet<&Name> = desired.attributes.keys().chain(before.inputs.keys()).collect();
        let differs = |name: &&&Name| !same(ty(name), before.inputs.get(**name), desired.attributes.get(**name));
        let mut changed: BTreeSet<Name> = names.iter().filter(differs).map(|name| (*name).clone()).collect();
        let top = |path: &[Step]| match path.first() {
            Some(Step::Field(name)) => Some(name.clone()),
            _ => None,
        };
        let drifted: BTreeSet<Name> = self.change.drift.iter().filter_map(|field| top(&field.path)).collect();
        changed.extend(self.change.fields.iter().filter_map(|field| top(&field.path)).filter(|name| drifted.contains(name)));
        // An attribute that the platform may choose, and that is no longer given, stays as it is.
        changed.retain(|name| {
            let chosen = self
                .change
                .kind
                .attribute(name)
                .is_some_and(|it| matches!(it.given, crate::model::schema::Given::OptionalComputed));
            !chosen || desired.attributes.contains_key(name)
        });
        changed.into_iter().collect()
    }

    /// A replacement that only now is known to be one.
    fn replace_after_all(&self, desired: DesiredResource, before: &Arc<Record>) -> Job {
        let order = desired.lifecycle.replace.unwrap_or(desired.kind.replace);
        let identity = &desired.kind.identity;
        let same_name = !identity.is_empty()
            && identity.iter().all(|name| before.inputs.get(name).is_some_and(|it| desired.attributes.get(name) == Some(it)));
        if order == ReplaceOrder::CreateFirst && !same_name {
            return self.create(desired, true, before.generation + 1);
        }
        let mut operations = vec![self.delete(before.clone())];
        if let Job::Calls { operations: create, .. } = self.create(desired, false, before.generation) {
            operations.extend(create);
        }
        Job::Calls { operations, owes_destroy: false }
    }

    fn create(&self, desired: DesiredResource, deposes: bool, generation: u32) -> Job {
        let draft = self.draft(&desired, None, generation);
        let operation = self.operation(IntentCall::Create, desired, None, Some(draft));
        let owes_destroy = deposes && !matches!(self.change.action, Action::Replace { .. });
        Job::Calls { operations: vec![Operation { deposes, ..operation }], owes_destroy }
    }

    fn unmake(&self) -> Result<Job, Box<Diagnostic>> {
        let change = self.change;
        let planned = change.before.as_ref();
        let id = planned.map(|record| record.id).filter(|_| matches!(change.action, Action::Destroy { .. }));
        let live = self.with.live;
        let deposed = || live.deposed(&change.address, id).map(|record| Arc::new(Record { deposed: true, ..(**record).clone() }));
        let record = match &change.action {
            Action::Destroy { .. } if planned.is_some_and(|record| record.deposed) => deposed(),
            Action::Replace { order: ReplaceOrder::CreateFirst } | Action::Update => deposed(),
            _ => live.record(&change.address).cloned(),
        };
        let record = record.ok_or_else(|| self.no_record())?;
        let gone = change.reasons.contains(&Reason::Gone);
        if !record.deposed && !gone {
            let loss = if change.after.is_some() { Loss::Replaced } else { Loss::Destroyed };
            if let Some(refusal) = refuse_guarded(&change.address, &record, change.after.as_deref(), loss, None) {
                return Err(Box::new(refusal));
            }
        }
        Ok(Job::Calls { operations: vec![self.delete(record)], owes_destroy: false })
    }

    fn delete(&self, before: Arc<Record>) -> Operation {
        let change = self.change;
        Operation {
            address: change.address.clone(),
            kind: change.kind.clone(),
            provider: before.provider.clone(),
            instance: before.instance.clone(),
            action: change.action.word().into(),
            call: IntentCall::Delete,
            inputs: Fields::new(),
            before: Some(before),
            changed: Vec::new(),
            draft: None,
            deposes: false,
            not_after: self.timeout(),
            effect: Some(self.with.effect),
            causes: BTreeMap::new(),
            declared: change.after.clone(),
        }
    }

    fn operation(
        &self,
        call: IntentCall,
        desired: DesiredResource,
        before: Option<Arc<Record>>,
        draft: Option<Record>,
    ) -> Operation {
        Operation {
            address: self.change.address.clone(),
            kind: self.change.kind.clone(),
            provider: desired.provider.clone(),
            instance: desired.instance.clone(),
            action: self.change.action.word().into(),
            call,
            inputs: desired.attributes.clone(),
            before,
            changed: Vec::new(),
            draft,
            deposes: false,
            not_after: self.timeout(),
            effect: Some(self.with.effect),
            causes: self.causes(),
            declared: Some(Arc::new(desired)),
        }
    }

    fn draft(&self, desired: &DesiredResource, before: Option<&Record>, generation: u32) -> Record {
        draft(self.change, desired, desired.attributes.clone(), desired.lifecycle.replace_on.clone(), before, generation)
    }

    /// The record changes and the object does not.
    fn record_only(&self) -> Result<Job, Box<Diagnostic>> {
        let (desired, before) = (self.resolved()?, self.record()?);
        self.write_record(&desired, &before)
    }

    fn write_record(&self, desired: &DesiredResource, before: &Arc<Record>) -> Result<Job, Box<Diagnostic>> {
        let mut draft = self.draft(desired, Some(before), before.generation);
        for field in &self.change.drift {
            let Some((Step::Field(name), rest)) = field.path.split_first() else { continue };
            match with_part(before.attribute(name), rest, field.after.as_ref()) {
                Some(value) if draft.inputs.get(name) != Some(&value) => drop(draft.computed.insert(name.clone(), value)),
                _ => drop(draft.computed.remove(name)),
            }
        }
        let unchanged = Record { version: before.version, ..draft.clone() } == **before;
        if unchanged {
            return Ok(Job::Nothing);
        }
        Ok(Job::Write { action: "record".into(), writes: vec![RecordWrite::Put(Arc::new(draft))], causes: self.causes() })
    }

    fn move_from(&self, from: &Address) -> Result<Job, Box<Diagnostic>> {
        let before = self.with.live.record(from).ok_or_else(|| self.no_record())?;
        let desired = self.change.after.as_ref().expect("a move has a destination");
        // What else changes is a change of its own: the attributes stay what they were.
        let (inputs, replace_on) = (before.inputs.clone(), before.replace_on.clone());
        let record = draft(self.change, desired, inputs, replace_on, Some(before), before.generation);
        let moved = RecordWrite::Move { from: from.clone(), to: self.change.address.clone() };
        let provider = before.provider.clone();
        let record = Record { provider, ..record };
        Ok(Job::Write { action: "move".into(), writes: vec![moved, RecordWrite::Put(Arc::new(record))], causes: BTreeMap::new() })
    }

    fn adopt(&self) -> Result<Job, Box<Diagnostic>> {
        let change = self.change;
        if self.with.live.record(&change.address).is_some() {
            let diagnostic = Code::StalePlan.error(format!("`{}` has a record by now", change.address));
            return Err(Box::new(diagnostic.help("make a new plan with `stackwright plan`").about(change.address.clone())));
        }
        let planned = change.before.as_ref().expect("an adoption has the object that was seen");
        let desired = self.resolved()?;
        let span = change.reasons.iter().find_map(|reason| match reason {
            Reason::Adopted { span } => Some(*span),
            _ => None,
        });
        Ok(Job::Adopt(Box::new(Adopt {
            kind: change.kind.clone(),
            known: planned.attributes(),
            draft: self.draft(&desired, None, 0),
            span: span.unwrap_or(desired.span),
            desired,
        })))
    }

    fn forget(&self) -> Result<Job, Box<Diagnostic>> {
        let writes = match &self.change.before {
            Some(record) if record.deposed => {
                vec![RecordWrite::RemoveDeposed { address: self.change.address.clone(), id: record.id }]
            }
            _ => vec![RecordWrite::Remove(self.change.address.clone())],
        };
        Ok(Job::Write { action: "forget".into(), writes, causes: BTreeMap::new() })
    }

    /// The record as it is now. That of the plan only says where to look: what a plan file holds is not believed.
    fn record(&self) -> Result<Arc<Record>, Box<Diagnostic>> {
        self.with.live.record(&self.change.address).cloned().ok_or_else(|| self.no_record())
    }

    fn no_record(&self) -> Box<Diagnostic> {
        let diagnostic = Code::StalePlan.error(format!("`{}` has no record any more", self.change.address));
        Box::new(diagnostic.help("make a new plan with `stackwright plan`").about(self.change.address.clone()))
    }

    /// What the program wants, everything known.
    fn resolved(&self) -> Result<DesiredResource, Box<Diagnostic>> {
        let mut desired = (**self.change.after.as_ref().expect("what is made is declared")).clone();
        let attributes = std::mem::take(&mut desired.attributes);
        for (name, value) in attributes {
            let value = self.resolve(value)?;
            if !value.is_null() {
                desired.attributes.insert(name, value);
            }
        }
        let replace_on = std::mem::take(&mut desired.lifecycle.replace_on);
        desired.lifecycle.replace_on = replace_on.into_iter().map(|value| self.resolve(value)).collect::<Result<_, _>>()?;
        Ok(desired)
    }

    fn resolve(&self, value: Value) -> Result<Value, Box<Diagnostic>> {
        resolve(&value, self.with.live).map_err(|mut diagnostic| {
            let address = self.change.address.clone();
            diagnostic.address.get_or_insert(address);
            diagnostic
        })
    }

    fn timeout(&self) -> Duration {
        let asked = self.change.after.as_ref().and_then(|after| after.lifecycle.timeout);
        asked.unwrap_or(self.change.kind.timeout).max(Duration::from_secs(1))
    }

    fn causes(&self) -> BTreeMap<Name, String> {
        let caused = self.change.fields.iter().filter_map(|field| match (field.path.first(), field.cause) {
            (Some(Step::Field(name)), Some(span)) => Some((name.clone(), self.with.sources.place(span)?.to_string())),
            _ => None,
        });
        caused.collect()
    }
}

/// The value, everything in it known.
///
/// Errors: what evaluating it says; [`Code::TooLate`] where the platform did not tell an attribute that it needs.
pub fn resolve(value: &Value, live: &Live) -> Result<Value, Box<Diagnostic>> {
    let resolved = crate::eval::resume(value, &|address, path| live.attribute(address, path))?;
    if !resolved.has_unknown() {
        return Ok(resolved);
    }
    Err(Box::new(too_late(&resolved).label(resolved.mark.origin, "still not known here")))
}

/// What is said of a value that is still not known.
pub fn too_late(value: &Value) -> Diagnostic {
    let mut waits = BTreeSet::new();
    collect_waits(value, &mut waits);
    let waits = waits.iter().map(|address| format!("`{address}`")).collect::<Vec<_>>().join(", ");
    Code::TooLate.error(format!("a value needs an attribute of {waits} that the platform did not tell"))
}

fn collect_waits(value: &Value, into: &mut BTreeSet<Address>) {
    use crate::model::Data;
    match &value.data {
        Data::Unknown(unknown) => into.extend(unknown.waits_for.iter().cloned()),
        Data::List(items) => items.iter().for_each(|item| collect_waits(item, into)),
        Data::Map(fields) | Data::Variant(_, fields) => fields.values().for_each(|value| collect_waits(value, into)),
        _ => {}
    }
}
