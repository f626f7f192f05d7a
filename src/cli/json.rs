//! Documents for machines. Every one names its schema; within a major version names are only added.
//!
//! Instants are RFC 3339 in UTC, durations whole milliseconds, sizes bytes; an unknown value is `{"$unknown":{"waits_for":[…]}}`, a
//! secret `{"$secret":{…}}`.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Map, Value as Json, json};

use super::plan_text::{counts, path_text};
use crate::model::plan::{Action, Change, FieldChange, Plan, Reason};
use crate::model::schema::ReplaceOrder;
use crate::model::value::Fields;
use crate::model::verdict::{FindingOutcome, Verdict};
use crate::model::{Data, Diagnostic, Place, Severity, Sources, Span, Value};

/// A document: its schema first, then its fields.
pub fn document(schema: &str, fields: Json) -> Json {
    let mut all = Map::new();
    all.insert("schema".into(), format!("stackwright.{schema}/1").into());
    if let Json::Object(fields) = fields {
        all.extend(fields);
    }
    Json::Object(all)
}

/// A document as it is written: its schema is the first field, since whoever reads a stream decides by it.
pub struct SchemaFirst<'j>(pub &'j Json);

impl serde::Serialize for SchemaFirst<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Json::Object(fields) = self.0 else { return self.0.serialize(serializer) };
        let schema = fields.get_key_value("schema");
        serializer.collect_map(schema.into_iter().chain(fields.iter().filter(|(name, _)| *name != "schema")))
    }
}

/// A value as JSON.
pub fn value(value: &Value) -> Json {
    if value.mark.secret {
        return json!({"$secret": {}});
    }
    match &value.data {
        Data::Null => Json::Null,
        Data::Bool(value) => json!(value),
        Data::Int(value) => json!(value),
        Data::Number(number) | Data::Percent(number) | Data::Rate(number) => decimal(*number),
        Data::Text(text) => json!(&**text),
        Data::Duration(nanos) => json!(nanos / 1_000_000),
        Data::Size(bytes) => json!(bytes),
        Data::Money(amount, currency) => json!({"amount": amount.to_string(), "currency": &**currency}),
        Data::Instant(instant) => json!(instant.to_string()),
        Data::Range(ends) => json!({"min": self::value(&ends.0), "max": self::value(&ends.1)}),
        Data::List(items) => items.iter().map(self::value).collect(),
        Data::Map(entries) => fields(entries),
        Data::Variant(label, entries) => json!({ &**label: fields(entries) }),
        Data::Ref(reference) => json!(reference.address.as_str()),
        Data::Provider(provider) => json!(provider.to_string()),
        Data::Metric(metric) => json!({"promql": &*metric.promql, "unit": metric.unit.to_string()}),
        Data::Condition(condition) => json!({"promql": &*condition.promql}),
        Data::Unknown(unknown) => {
            json!({"$unknown": {"waits_for": unknown.waits_for.iter().map(|it| it.as_str()).collect::<Vec<_>>()}})
        }
    }
}

pub fn fields(all: &Fields) -> Json {
    all.iter().map(|(name, it)| (name.to_string(), value(it))).collect::<Map<_, _>>().into()
}

fn decimal(number: Decimal) -> Json {
    match number.to_i64().filter(|_| number.fract().is_zero()) {
        Some(whole) => json!(whole),
        None => number.to_f64().map_or_else(|| json!(number.to_string()), |it| json!(it)),
    }
}

/// `{file,line,col,end_line,end_col}`, or null.
pub fn span(span: Span, sources: &Sources) -> Json {
    sources.place(span).as_ref().map_or(Json::Null, place)
}

pub fn place(place: &Place) -> Json {
    json!({"file": &*place.file, "line": place.line, "col": place.col, "end_line": place.end_line, "end_col": place.end_col})
}

/// The document of a command that ended with diagnostics.
pub fn diagnostics(all: &[Diagnostic], sources: &Sources) -> Json {
    let errors = all.iter().filter(|it| it.is_error()).count();
    let list: Vec<Json> = all.iter().map(|it| diagnostic(it, sources)).collect();
    document("diagnostics", json!({"errors": errors, "warnings": all.len() - errors, "diagnostics": list}))
}

/// One diagnostic, with its fixes.
pub fn diagnostic(it: &Diagnostic, sources: &Sources) -> Json {
    let labels: Vec<Json> = it.labels.iter().map(|(at, text)| json!({"span": span(*at, sources), "text": text})).collect();
    let notes: Vec<Json> = it.notes.iter().map(|(head, text)| json!({"head": head, "text": text})).collect();
    let fixes: Vec<Json> = it
        .fixes
        .iter()
        .map(|fix| {
            let edits: Vec<Json> =
                fix.edits.iter().map(|edit| json!({"span": span(edit.span, sources), "text": edit.text})).collect();
            json!({"title": fix.title, "confidence": format!("{:?}", fix.confidence).to_lowercase(), "edits": edits})
        })
        .collect();
    json!({
        "code": it.code.to_string(),
        "severity": match it.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "message": it.message,
        "span": it.span().map_or(Json::Null, |at| span(at, sources)),
        "labels": labels,
        "notes": notes,
        "help": it.help,
        "fixes": fixes,
        "address": it.address.as_ref().map(|it| it.as_str()),
        "docs": format!("stackwright explain {}", it.code),
    })
}

/// The document of a plan.
pub fn plan(plan: &Plan, sources: &Sources) -> Json {
    let changes: Vec<Json> = plan.changes.iter().map(|it| change(it, sources)).collect();
    let outputs: Vec<Json> = plan
        .outputs
        .iter()
        .map(|it| {
            json!({
                "name": &*it.name,
                "before": it.before.as_ref().map(value),
                "after": it.after.as_ref().map(|after| value(&after.value)),
            })
        })
        .collect();
    let inputs: Map<String, Json> = plan.inputs.iter().map(|(name, it)| (name.to_string(), value(it))).collect();
    let counts: Map<String, Json> = counts(plan).into_iter().map(|(word, number)| (word.to_owned(), json!(number))).collect();
    let (errors, said): (Vec<Diagnostic>, Vec<Diagnostic>) =
        plan.policies.iter().flat_map(Verdict::diagnostics).partition(Diagnostic::is_error);
    let warnings: Vec<Json> = plan.warnings.iter().chain(&said).map(|it| diagnostic(it, sources)).collect();
    let errors: Vec<Json> = errors.iter().map(|it| diagnostic(it, sources)).collect();
    let policies: Vec<Json> = plan.policies.iter().map(|it| verdict(it, sources)).collect();
    let remarks: Vec<Json> =
        plan.remarks.iter().map(|(address, text)| json!({"address": address.as_str(), "text": text})).collect();
    document(
        "plan",
        json!({
            "id": plan.id,
            "effects": plan.effects.to_string(),
            "stack": plan.stack,
            "environment": plan.environment,
            "simulated": plan.simulated,
            "base_revision": plan.base,
            "counts": counts,
            "inputs": inputs,
            "changes": changes,
            "deferred": plan.deferred.iter().map(|it| json!({
                "address": it.address.as_str(),
                "kind": &*it.kind,
                "actions": ["create"],
                "at_most": it.at_most,
                "waits_for": it.waits_for.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
                "span": span(it.span, sources),
            })).collect::<Vec<_>>(),
            "requirements": plan.requirements.iter().map(|it| json!({
                "address": it.address.as_ref().map(|it| it.as_str()),
                "waits_for": it.waits_for().iter().map(|it| it.as_str()).collect::<Vec<_>>(),
                "span": span(it.span, sources),
            })).collect::<Vec<_>>(),
            "foreseen": plan.foreseen.iter().map(|it| json!({
                "address": it.address.as_str(), "action": &*it.action, "became": it.became.word(), "certain": it.certain,
                "words": it.words,
            })).collect::<Vec<_>>(),
            "made": plan.made.as_ref().map(|made| json!({
                "who": made.who, "at": jiff::Timestamp::from_millisecond(made.time_ms).ok().map(|at| at.to_string()),
            })),
            "outputs": outputs,
            "remarks": remarks,
            "reveals": plan.reveals.iter().map(|it| json!({
                "span": span(it.span, sources), "reason": it.reason, "instance": it.instance.as_ref().map(|it| it.as_str()),
            })).collect::<Vec<_>>(),
            "warnings": warnings,
            "errors": errors,
            "refused": plan.is_refused(),
            "policies": policies,
        }),
    )
}

fn verdict(verdict: &Verdict, sources: &Sources) -> Json {
    let findings: Vec<Json> = verdict
        .findings
        .iter()
        .map(|it| {
            json!({
                "outcome": it.outcome.word(),
                "address": it.address.as_ref().map(|address| address.as_str()),
                "message": it.message,
                "rule": span(it.rule, sources),
                "places": it.places.iter().map(|at| span(*at, sources)).collect::<Vec<_>>(),
                "exception": match it.outcome {
                    FindingOutcome::Excepted(by) => verdict.exceptions.get(by as usize).map(|it| it.pattern.to_string()),
                    _ => None,
                },
            })
        })
        .collect();
    let exceptions: Vec<Json> = verdict
        .exceptions
        .iter()
        .map(|it| json!({"pattern": &*it.pattern, "reason": it.reason, "idle": it.idle, "span": span(it.span, sources)}))
        .collect();
    json!({
        "policy": &*verdict.policy,
        "level": verdict.level.word(),
        "control": verdict.control.iter().map(|it| &**it).collect::<Vec<_>>(),
        "result": verdict.result().word(),
        "span": span(verdict.span, sources),
        "findings": findings,
        "exceptions": exceptions,
    })
}

fn change(it: &Change, sources: &Sources) -> Json {
    let action = match it.action {
        Action::Record => "noop",
        ref other => other.word(),
    };
    json!({
        "address": it.address.as_str(),
        "kind": &*it.kind.name,
        "provider": it.provider.to_string(),
        "instance": it.instance.as_str(),
        "action": action,
        "order": match it.action {
            Action::Replace { order: ReplaceOrder::CreateFirst } => json!("create_first"),
            Action::Replace { order: ReplaceOrder::DestroyFirst } => json!("destroy_first"),
            _ => Json::Null,
        },
        "from": match &it.action { Action::Move { from } => json!(from.as_str()), _ => Json::Null },
        "id": match &it.action { Action::Adopt { id } => json!(id), _ => Json::Null },
        "maybe": it.maybe_replace,
        "holds_data": it.kind.holds_data,
        "reasons": it.reasons.iter().map(|it| reason(it, sources)).collect::<Vec<_>>(),
        "fields": it.fields.iter().map(|field| field_change(field, sources)).collect::<Vec<_>>(),
        "drift": it.drift.iter().map(|field| field_change(field, sources)).collect::<Vec<_>>(),
        "estimate_ms": Json::Null,
    })
}

/// One changed attribute. Of two secrets it says that they differ, and no more.
pub fn field_change(field: &FieldChange, sources: &Sources) -> Json {
    let is_secret = |it: &Option<Value>| it.as_ref().is_some_and(|it| it.mark.secret);
    let side = |it: &Option<Value>| match it {
        None => Json::Null,
        Some(_) if is_secret(&field.before) || is_secret(&field.after) => json!({"$secret": {"changed": true}}),
        Some(it) => value(it),
    };
    json!({
        "path": path_text(&field.path),
        "before": side(&field.before),
        "after": side(&field.after),
        "forces_replacement": field.forces_replacement,
        "cause": field.cause.map_or(Json::Null, |at| span(at, sources)),
    })
}

fn reason(reason: &Reason, sources: &Sources) -> Json {
    let (code, at, text) = match reason {
        Reason::New { span } => ("new", Some(*span), "the source declares it".to_owned()),
        Reason::Removed { was } => ("removed", None, format!("no longer in the source, was {was}")),
        Reason::Changed { span } => ("changed", Some(*span), "the source changed".into()),
        Reason::Drifted => ("drift", None, "the platform holds something else".into()),
        Reason::Gone => ("gone", None, "gone from the platform".into()),
        Reason::WaitsFor { address } => ("waits_for", None, format!("waits for {address}")),
        Reason::Asked => ("asked", None, "asked for on the command line".into()),
        Reason::ReplaceOn { span } => ("replace_on", Some(*span), "a value of replace_on changed".into()),
        Reason::Moved { from, span } => ("moved", Some(*span), format!("moved from {from}")),
        Reason::Adopted { span } => ("adopted", Some(*span), "the source says adopt".into()),
        Reason::Forgotten { span } => ("forgotten", Some(*span), "the source says forget".into()),
        Reason::Guard { protect, span } => ("guard", *span, if *protect { "guard set" } else { "guard lifted" }.into()),
    };
    json!({"code": code, "span": at.map_or(Json::Null, |at| span(at, sources)), "text": text})
}
