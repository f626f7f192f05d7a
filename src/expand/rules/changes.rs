//! The changes of a plan, as values.

use super::{Rules, attribute_after, unknown_attribute};
use crate::model::expr::Step;
use crate::model::{Change, Fields, Name, Span, Value};

impl Rules<'_, '_> {
    /// `plan.changes`: all, those of a kind of resource, or those inside of instances of a kind. In the order of the plan.
    pub(super) fn changes(&self, kind: Option<&Name>, span: Span) -> Value {
        let all = self.finished.plan.iter().flat_map(|plan| &plan.changes);
        let is_resource = kind.is_some_and(|kind| self.scope.all.program.schemas.kind(kind).is_some());
        let fits = |change: &&Change| match kind {
            None => true,
            Some(kind) if is_resource => change.kind.name == *kind,
            Some(kind) => self.is_in_instance_of(&change.address, kind),
        };
        Value::list(all.filter(fits).map(|change| value(change, is_resource, span)).collect()).at(span)
    }
}

/// One change; of one whose kind the rules do not name, secrets are left out.
fn value(change: &Change, typed: bool, span: Span) -> Value {
    let texts = |all: Vec<Name>| Value::list(all.into_iter().map(|it| Value::text(it).at(span)).collect()).at(span);
    let text = |text: &str| Value::text(text).at(span);
    let mut changed: Vec<Name> = Vec::new();
    for field in &change.fields {
        if let Some(Step::Field(name)) = field.path.first()
            && !changed.contains(name)
        {
            changed.push(name.clone());
        }
    }
    let state = |fields: Option<Fields>| match fields {
        None => Value::null().at(span),
        Some(fields) => Value::map(fields).at(span),
    };
    let entries = [
        ("address", text(change.address.as_str())),
        ("kind", text(&change.kind.name)),
        ("provider", text(&change.provider.to_string())),
        ("instance", text(change.instance.as_str())),
        ("action", text(change.action.word())),
        ("before", state(before(change, typed))),
        ("after", state(after(change, typed, span))),
        ("changed", texts(changed)),
        ("holds_data", Value::bool(change.kind.holds_data).at(span)),
        ("loses_data", Value::bool(change.loses_data()).at(span)),
    ];
    Value::map(entries.into_iter().map(|(name, value)| (name.into(), value)).collect()).at(span)
}

fn before(change: &Change, typed: bool) -> Option<Fields> {
    let mut fields = change.before.as_ref()?.attributes();
    for attribute in change.kind.attributes.iter().filter(|it| it.sensitive) {
        if let Some(value) = fields.get_mut(&attribute.name) {
            value.mark.secret = true;
        }
    }
    fields.retain(|_, value| !value.is_null() && (typed || !value.has_secret()));
    Some(fields)
}

fn after(change: &Change, typed: bool, span: Span) -> Option<Fields> {
    let wanted = change.after.as_ref()?;
    let mut fields = Fields::new();
    for attribute in &change.kind.attributes {
        let mut value = attribute_after(change, attribute).unwrap_or_else(|| unknown_attribute(&wanted.address, attribute, span));
        value.mark.secret |= attribute.sensitive;
        if !value.is_null() && (typed || !value.has_secret()) {
            fields.insert(attribute.name.clone(), value);
        }
    }
    Some(fields)
}
