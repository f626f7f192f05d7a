//! What has to happen to one resource.

use std::collections::BTreeSet;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::diff::differences;
use super::guard::{Loss, refuse_guarded};
use super::standing::{Standing, unknown_attribute};
use crate::model::expr::Step;
use crate::model::schema::{Alphabet, Attribute, Given, Naming, OnChange, ReplaceOrder, Unique};
use crate::model::{
    Action, Address, Data, DesiredResource, Diagnostic, FieldChange, Fields, Kind, Name, Reason, Record, RecordEdge,
    SeenResource, Span, Type, Value,
};

/// One declared resource and what is known of it.
pub(super) struct Case<'a> {
    /// Its values resolved as far as they can be.
    pub desired: &'a DesiredResource,
    pub record: Option<&'a Arc<Record>>,
    /// Where the record stood before a rename.
    pub moved: Option<&'a (Address, Span)>,
    /// `None` where nobody looked.
    pub seen: Option<&'a SeenResource>,
    /// `--replace` names it.
    pub asked: bool,
}

/// What follows.
#[derive(Default)]
pub(super) struct Decision {
    /// `None`: it stays as it is.
    pub action: Option<Action>,
    pub fields: Vec<FieldChange>,
    pub drift: Vec<FieldChange>,
    /// Drift that changes nothing planned.
    pub notice: Vec<FieldChange>,
    pub reasons: Vec<Reason>,
    pub maybe_replace: bool,
    /// What others may know of it.
    pub standing: Standing,
    /// The attributes, where they are others than those that were given: a new name, or a field that is ignored.
    pub attributes: Option<Fields>,
    /// A guard says no.
    pub refused: Option<Diagnostic>,
}

/// Why an object is replaced where no attribute's declaration says it; each completes "the platform cannot …".
pub(super) const REASONS: [&str; 3] = [BETWEEN_PROVIDERS, REPLACE_ON, IN_PLACE];
const BETWEEN_PROVIDERS: &str = "move it between provider instances";
const REPLACE_ON: &str = "keep it when a value of `replace_on` changes";
const IN_PLACE: &str = "change one in place";

/// Decides what has to happen to one declared resource. Pure: `tests.rs` beside this file is a table of the rows.
pub(super) fn decide(case: &Case<'_>) -> Decision {
    let kind = &case.desired.kind;
    match (case.record, case.seen) {
        _ if kind.data => read(case),
        (None, _) => make(case, Reason::New { span: case.desired.called_at }),
        (Some(_), Some(SeenResource::Gone)) if !kind.act => make(case, Reason::Gone),
        (Some(record), Some(SeenResource::Live(live))) => compare(case, record, Some(live)),
        (Some(record), _) => compare(case, record, None),
    }
}

/// A data source is read when a plan is made, or during the apply if its arguments are not known before.
fn read(case: &Case<'_>) -> Decision {
    let fits = |live: &Fields| {
        let arguments = case.desired.attributes.iter();
        arguments.clone().all(|(name, value)| !value.has_unknown() && live.get(name).is_none_or(|seen| seen == value))
    };
    match case.seen {
        Some(SeenResource::Live(live)) if fits(live) => {
            Decision { standing: Standing::Read(live.clone()), ..Decision::default() }
        }
        _ => Decision {
            action: Some(Action::Read),
            fields: given_fields(case.desired),
            reasons: waits_for(case.desired.attributes.values()),
            standing: Standing::Made,
            ..Decision::default()
        },
    }
}

fn make(case: &Case<'_>, reason: Reason) -> Decision {
    let action = if case.desired.kind.act { Action::Run } else { Action::Create };
    let mut reasons = vec![reason];
    reasons.extend(waits_for(case.desired.attributes.values()));
    Decision {
        action: Some(action),
        fields: given_fields(case.desired),
        reasons,
        standing: Standing::Made,
        ..Decision::default()
    }
}

fn compare(case: &Case<'_>, record: &Arc<Record>, live: Option<&Arc<Fields>>) -> Decision {
    let desired = case.desired;
    let mut fields = provider_change(desired, record);
    fields.extend(changed_fields(desired, record));
    let changed_in_program = fields.iter().find(|field| field.cause.is_some()).and_then(|field| field.cause);
    let program_changes = !fields.is_empty();
    let live = live.map(|live| drifted(desired, record, live)).unwrap_or_default();
    let drifts = !live.set_back.is_empty();
    fields.extend(live.set_back);
    fields.sort_by(|a, b| a.path.cmp(&b.path));
    let triggers = triggers(desired, record);

    let mut reasons = Vec::new();
    if case.asked {
        reasons.push(Reason::Asked);
    }
    if program_changes {
        reasons.push(Reason::Changed { span: changed_in_program.unwrap_or(desired.span) });
    }
    reasons.extend(triggers.iter().map(|trigger| Reason::ReplaceOn { span: trigger.span }));
    if drifts || !live.accepted.is_empty() {
        reasons.push(Reason::Drifted);
    }
    reasons.extend(waits_for(
        fields.iter().filter_map(|field| field.after.as_ref()).chain(triggers.iter().map(|trigger| trigger.value)),
    ));
    let record_only = record_changes(desired, record);
    let said = program_changes || drifts;
    reasons.extend(record_only.reasons.into_iter().filter(|reason| !said || !matches!(reason, Reason::Changed { .. })));

    let forced = |certain: bool| {
        fields.iter().any(|field| field.forces_replacement.is_some() && is_certain(field) == certain)
            || triggers.iter().any(|trigger| trigger.value.has_unknown() != certain)
    };
    let forces = case.asked || forced(true);
    let may_force = !forces && forced(false);
    let moved = case.moved.is_some();
    let decision = Decision { fields, drift: live.drift, notice: live.notice, reasons, ..Decision::default() };
    match () {
        () if desired.kind.act && (forces || may_force || !decision.fields.is_empty()) => {
            let certain = forces || decision.fields.iter().any(is_certain);
            Decision { action: Some(Action::Run), maybe_replace: !certain, standing: Standing::Made, ..decision }
        }
        () if forces => replace(case, record, decision),
        () if !decision.fields.is_empty() || may_force => {
            let standing = match may_force {
                true => Standing::MayBeReplaced,
                false => Standing::Updated(top_names(&decision.fields)),
            };
            let attributes = keep_ignored(desired, record, case.seen);
            Decision { action: Some(Action::Update), maybe_replace: may_force, standing, attributes, ..decision }
        }
        // A rename writes the record anyway.
        () if record_only.differs && !moved || !live.accepted.is_empty() => {
            let attributes = keep_ignored(desired, record, case.seen);
            let drift = decision.drift.into_iter().chain(live.accepted).collect();
            Decision { action: Some(Action::Record), drift, standing: Standing::Kept, attributes, ..decision }
        }
        () => Decision { standing: Standing::Kept, attributes: keep_ignored(desired, record, case.seen), ..decision },
    }
}

/// A certain replacement, unless a guard forbids it.
fn replace(case: &Case<'_>, record: &Arc<Record>, mut decision: Decision) -> Decision {
    let desired = case.desired;
    let first_cause = decision.fields.iter().find(|field| field.forces_replacement.is_some()).and_then(|field| field.cause);
    decision.refused = refuse_guarded(&desired.address, record, Some(desired), Loss::Replaced, first_cause);
    let mut order = desired.lifecycle.replace.unwrap_or(desired.kind.replace);
    if order == ReplaceOrder::CreateFirst && shares_identity(desired, record) {
        match next_name(desired, record) {
            Some((name, value)) => {
                decision.fields.push(FieldChange {
                    path: vec![Step::Field(name.clone())],
                    before: record.inputs.get(&name).cloned(),
                    after: Some(value.clone()),
                    forces_replacement: None,
                    cause: None,
                });
                let mut attributes = desired.attributes.clone();
                attributes.insert(name, value);
                decision.attributes = Some(attributes);
            }
            // Two objects of one name cannot stand side by side.
            None => order = ReplaceOrder::DestroyFirst,
        }
    }
    decision.fields.extend(new_id(desired, record));
    decision.fields.sort_by(|a, b| a.path.cmp(&b.path));
    Decision { action: Some(Action::Replace { order }), standing: Standing::Made, ..decision }
}

/// Whether a change of the fields that are now known replaces an object; used again during an apply, when what a plan could
/// only call `maybe_replace` is decided. Gives the fields that force it.
pub fn would_replace(desired: &DesiredResource, record: &Record) -> Vec<FieldChange> {
    let mut fields = provider_change(desired, record);
    fields.extend(changed_fields(desired, record));
    fields.extend(triggers(desired, record).into_iter().map(|trigger| FieldChange {
        path: vec![Step::Field("replace_on".into())],
        before: None,
        after: None,
        forces_replacement: Some(REPLACE_ON),
        cause: Some(trigger.span),
    }));
    fields.retain(|field| field.forces_replacement.is_some());
    fields
}

/// The attributes that the program gives, as what a new object gets.
fn given_fields(desired: &DesiredResource) -> Vec<FieldChange> {
    let given = desired.attributes.iter().filter(|(_, value)| !value.is_null());
    given
        .map(|(name, value)| FieldChange {
            path: vec![Step::Field(name.clone())],
            before: None,
            after: Some(value.clone()),
            forces_replacement: None,
            cause: Some(value.mark.origin).filter(|span| !span.is_engine()),
        })
        .collect()
}

/// Another provider instance is another account: the object cannot follow.
fn provider_change(desired: &DesiredResource, record: &Record) -> Vec<FieldChange> {
    if desired.provider == record.provider {
        return Vec::new();
    }
    vec![FieldChange {
        path: vec![Step::Field("provider".into())],
        before: Some(Value::engine(Data::Provider(record.provider.clone()))),
        after: Some(Value::engine(Data::Provider(desired.provider.clone()))),
        forces_replacement: Some(BETWEEN_PROVIDERS),
        cause: Some(desired.called_at),
    }]
}

/// What the program says now against what it said when it was last applied.
fn changed_fields(desired: &DesiredResource, record: &Record) -> Vec<FieldChange> {
    if desired.attributes == record.inputs {
        return Vec::new();
    }
    let names: BTreeSet<&Name> = desired.attributes.keys().chain(record.inputs.keys()).collect();
    let mut fields = Vec::new();
    for name in names {
        let attribute = desired.kind.attribute(name);
        let (before, after) = (record.inputs.get(name), desired.attributes.get(name));
        if is_ignored(desired, name) || (is_absent(after) && attribute.is_some_and(platform_may_choose)) {
            continue;
        }
        let from = fields.len();
        let ty = attribute.map_or(&Type::Any, |attribute| &attribute.ty);
        differences(ty, vec![Step::Field(name.clone())], before, after, &mut fields);
        mark_forcing(&desired.kind, attribute, &mut fields[from..], desired);
    }
    fields
}

fn mark_forcing(kind: &Kind, attribute: Option<&Attribute>, fields: &mut [FieldChange], desired: &DesiredResource) {
    for field in fields {
        field.forces_replacement = match attribute.map(|attribute| attribute.on_change) {
            Some(OnChange::Replace(why)) => Some(why),
            Some(OnChange::GrowOnly(why)) if !grows(field) => Some(why),
            _ if !kind.updatable => Some(IN_PLACE),
            _ => None,
        };
        // What goes away has no place of its own: the item that no longer says it is the nearest.
        field.cause = field.cause.or(Some(desired.span).filter(|span| field.after.is_none() && !span.is_engine()));
    }
}

/// Whether a value gets larger, or is given for the first time.
fn grows(field: &FieldChange) -> bool {
    match (&field.before, &field.after) {
        (None, _) => true,
        (Some(before), Some(after)) => matches!((number(before), number(after)), (Some(before), Some(after)) if after >= before),
        (Some(_), None) => false,
    }
}

fn number(value: &Value) -> Option<Decimal> {
    match &value.data {
        Data::Int(value) | Data::Size(value) | Data::Duration(value) => Some((*value).into()),
        Data::Number(value) | Data::Percent(value) => Some(*value),
        _ => None,
    }
}

/// Why the platform holds something else than the record says.
#[derive(Default)]
struct Drifts {
    /// Recorded against live, of what the program sets or accepts.
    drift: Vec<FieldChange>,
    /// Live against desired: what has to be set back.
    set_back: Vec<FieldChange>,
    /// Recorded against live, where live is what the program wants by now.
    accepted: Vec<FieldChange>,
    /// Recorded against live, where the program says nothing.
    notice: Vec<FieldChange>,
}

fn drifted(desired: &DesiredResource, record: &Record, live: &Fields) -> Drifts {
    let mut found = Drifts::default();
    for (name, now) in live {
        let changes_by_itself = |attribute: &&Attribute| matches!(attribute.given, Given::Live);
        let Some(attribute) = desired.kind.attribute(name).filter(|attribute| !changes_by_itself(attribute)) else {
            continue;
        };
        let recorded = record.attribute(name);
        if recorded == Some(now) || is_ignored(desired, name) {
            continue;
        }
        let path = || vec![Step::Field(name.clone())];
        let mut drift = Vec::new();
        differences(&attribute.ty, path(), recorded, Some(now), &mut drift);
        let wanted = desired.attributes.get(name).filter(|value| !value.is_null());
        match wanted {
            _ if drift.is_empty() => {}
            None => found.notice.append(&mut drift),
            Some(wanted) if lies_in_range(wanted, now) => found.notice.append(&mut drift),
            // The program changed it as well: that it is set is planned already.
            Some(wanted) if record.inputs.get(name) != Some(wanted) => found.drift.append(&mut drift),
            Some(wanted) => {
                let mut back = Vec::new();
                differences(&attribute.ty, path(), Some(now), Some(wanted), &mut back);
                if back.is_empty() {
                    found.accepted.append(&mut drift);
                    continue;
                }
                mark_forcing(&desired.kind, Some(attribute), &mut back, desired);
                found.drift.append(&mut drift);
                found.set_back.append(&mut back);
            }
        }
    }
    found
}

/// A value of `replace_on` that is another one now, or may be.
struct Trigger<'a> {
    value: &'a Value,
    span: Span,
}

/// Values that were added or taken away trigger nothing: there is nothing to compare them with.
fn triggers<'a>(desired: &'a DesiredResource, record: &Record) -> Vec<Trigger<'a>> {
    let pairs = desired.lifecycle.replace_on.iter().zip(&record.replace_on);
    pairs
        .filter(|(now, before)| now != before)
        .map(|(value, _)| {
            let origin = value.mark.origin;
            Trigger { value, span: if origin.is_engine() { desired.span } else { origin } }
        })
        .collect()
}

struct RecordChanges {
    differs: bool,
    reasons: Vec<Reason>,
}

/// What changes in the record although no call is needed.
fn record_changes(desired: &DesiredResource, record: &Record) -> RecordChanges {
    let mut reasons = Vec::new();
    let protect = desired.lifecycle.protect;
    if protect != record.protect {
        reasons.push(Reason::Guard { protect, span: desired.lifecycle.protect_span });
    }
    let edges_differ = record_edges(desired) != record.edges;
    let given_up = record.inputs.iter().any(|(name, value)| {
        let chosen = desired.kind.attribute(name).is_some_and(platform_may_choose);
        chosen && !value.is_null() && is_absent(desired.attributes.get(name)) && !is_ignored(desired, name)
    });
    let differs = protect != record.protect
        || edges_differ
        || given_up
        || record.instance != desired.instance
        || record.replace_on.len() != desired.lifecycle.replace_on.len();
    if differs && reasons.is_empty() {
        reasons.push(Reason::Changed { span: desired.span });
    }
    RecordChanges { differs, reasons: if differs { reasons } else { Vec::new() } }
}

/// The edges that a record keeps, ordered.
pub fn record_edges(desired: &DesiredResource) -> Vec<RecordEdge> {
    let mut edges: Vec<RecordEdge> =
        desired.edges.iter().map(|edge| RecordEdge { to: edge.to.clone(), reason: edge.reason }).collect();
    edges.sort();
    edges.dedup();
    edges
}

/// What an update sends for attributes that `lifecycle.ignore` names: what there is. `None` if there are none.
fn keep_ignored(desired: &DesiredResource, record: &Record, seen: Option<&SeenResource>) -> Option<Fields> {
    if desired.lifecycle.ignore.is_empty() {
        return None;
    }
    let live = match seen {
        Some(SeenResource::Live(live)) => Some(live),
        _ => None,
    };
    let mut attributes = desired.attributes.clone();
    for name in &desired.lifecycle.ignore {
        let now = live.and_then(|live| live.get(name)).filter(|now| Some(*now) != record.attribute(name));
        match now.or(record.inputs.get(name)) {
            Some(value) => drop(attributes.insert(name.clone(), value.clone())),
            None => drop(attributes.remove(name)),
        }
    }
    Some(attributes)
}

fn is_ignored(desired: &DesiredResource, name: &Name) -> bool {
    desired.lifecycle.ignore.contains(name)
}

fn is_absent(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_null)
}

/// What the program no longer gives stays as the platform has it.
fn platform_may_choose(attribute: &Attribute) -> bool {
    matches!(attribute.given, Given::OptionalComputed)
}

/// Whether a change is one for sure: an unknown value may turn out to be what it was.
fn is_certain(field: &FieldChange) -> bool {
    let uncertain = |after: &Value| after.is_unknown() || (after.mark.secret && after.has_unknown());
    !field.after.as_ref().is_some_and(uncertain)
}

fn lies_in_range(wanted: &Value, live: &Value) -> bool {
    let Data::Range(ends) = &wanted.data else { return false };
    let kinds_agree = std::mem::discriminant(&ends.0.data) == std::mem::discriminant(&live.data);
    match (number(&ends.0), number(live), number(&ends.1)) {
        (Some(min), Some(now), Some(max)) => kinds_agree && min <= now && now <= max,
        _ => false,
    }
}

fn top_names(fields: &[FieldChange]) -> BTreeSet<Name> {
    let top = fields.iter().filter_map(|field| match field.path.first() {
        Some(Step::Field(name)) => Some(name.clone()),
        _ => None,
    });
    top.collect()
}

/// One reason for each resource that the values wait for.
fn waits_for<'v>(values: impl Iterator<Item = &'v Value>) -> Vec<Reason> {
    let mut addresses = BTreeSet::new();
    values.for_each(|value| collect_waits(value, &mut addresses));
    addresses.into_iter().map(|address| Reason::WaitsFor { address }).collect()
}

pub(super) fn collect_waits(value: &Value, into: &mut BTreeSet<Address>) {
    match &value.data {
        Data::Unknown(unknown) => into.extend(unknown.waits_for.iter().cloned()),
        Data::List(items) => items.iter().for_each(|item| collect_waits(item, into)),
        Data::Map(fields) | Data::Variant(_, fields) => fields.values().for_each(|value| collect_waits(value, into)),
        _ => {}
    }
}

/// Whether the new object would bear the name of the old one.
fn shares_identity(desired: &DesiredResource, record: &Record) -> bool {
    let identity = &desired.kind.identity;
    let by_hand = |name: &Name| desired.kind.attribute(name).is_some_and(Attribute::is_input);
    let same = |name: &Name| desired.attributes.get(name).is_some_and(|now| record.inputs.get(name) == Some(now));
    let unique = |name: &Name| {
        !desired.kind.attribute(name).and_then(|it| it.naming.as_ref()).is_some_and(|naming| naming.unique == Unique::No)
    };
    desired.provider == record.provider
        && !identity.is_empty()
        && identity.iter().all(|name| by_hand(name) && same(name))
        && identity.iter().any(unique)
}

/// A made-up name's next generation; `None` where no name of the identity was made up.
fn next_name(desired: &DesiredResource, record: &Record) -> Option<(Name, Value)> {
    desired.kind.identity.iter().find_map(|name| {
        let naming = desired.kind.attribute(name)?.naming.as_ref()?;
        let value = desired.attributes.get(name)?;
        let text = value.as_text().filter(|_| value.mark.origin.is_engine())?;
        let next = Value::text(generation_of(text, naming, record.generation)).at(value.mark.origin);
        Some((name.clone(), next))
    })
}

/// `shop-api` becomes `shop-api-g1`, and that `shop-api-g2`; the front gives way where the whole would be too long.
fn generation_of(text: &str, naming: &Naming, generation: u32) -> String {
    let dash = match naming.alphabet {
        Alphabet::Dashes => '-',
        Alphabet::Underscores => '_',
    };
    let base = text.strip_suffix(&format!("{dash}g{generation}")).unwrap_or(text);
    let suffix = format!("{dash}g{}", generation + 1);
    let room = usize::from(naming.max).saturating_sub(suffix.len());
    let base: String = base.chars().take(room).collect();
    format!("{}{suffix}", base.trim_end_matches(dash))
}

/// The attribute that names the object in calls is another one once it is replaced; `None` where the program gives it.
fn new_id(desired: &DesiredResource, record: &Record) -> Option<FieldChange> {
    let id = desired.kind.attribute(&desired.kind.id).filter(|id| !desired.attributes.contains_key(&id.name))?;
    let path = vec![Step::Field(id.name.clone())];
    let before = record.attribute(&id.name).cloned();
    let after = Some(unknown_attribute(&desired.address, id));
    Some(FieldChange { path, before, after, forces_replacement: None, cause: None })
}
