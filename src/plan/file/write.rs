//! A plan into its bytes.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::FORMAT;
use super::shape::*;
use crate::model::expr::Step;
use crate::model::plan::{Drift, OutputChange};
use crate::model::schema::ReplaceOrder;
use crate::model::verdict::{Exception, Finding, FindingOutcome, Level, Verdict};
use crate::model::wire::{Context, Wire, WireError};
use crate::model::{
    Action, Change, Code, Confidence, DesiredProvider, DesiredResource, Diagnostic, Digest, Edge, EdgeReason, FieldChange,
    Fields, Fix, Foreseen, Origin, Plan, Reason, Record, RecordEdge, Requirement, Sources, Span, Type, Value,
};

pub(super) fn encode(plan: &Plan, sources: &Sources) -> Result<Vec<u8>, Box<Diagnostic>> {
    let file = plan_shape(plan).map(|plan| FileShape { format: FORMAT, plan, sources: source_shapes(sources) });
    let bytes =
        file.map_err(|error| error.to_string()).and_then(|file| serde_json::to_vec(&file).map_err(|error| error.to_string()));
    bytes.map_err(|error| Box::new(Code::DamagedPlan.error(format!("this plan cannot be written down: {error}"))))
}

fn source_shapes(sources: &Sources) -> Vec<SourceShape> {
    let shape = |source: &crate::model::Source| {
        let (origin, text) = match source.origin {
            Origin::File => ("file", source.text.to_string()),
            Origin::Stdlib => ("stdlib", source.text.to_string()),
            Origin::Given => ("given", String::new()),
        };
        SourceShape { name: source.name.to_string(), origin: origin.to_owned(), text }
    };
    sources.iter().map(|(_, source)| shape(source)).collect()
}

fn plan_shape(plan: &Plan) -> Result<PlanShape, WireError> {
    Ok(PlanShape {
        id: plan.id.clone(),
        store: plan.store.clone(),
        stack: plan.stack.clone(),
        environment: plan.environment.clone(),
        protect: plan.protect,
        simulated: plan.simulated,
        base: plan.base,
        changes: plan.changes.iter().map(change).collect::<Result<_, _>>()?,
        order: plan.order.clone(),
        same: plan.same,
        elsewhere: plan
            .elsewhere
            .iter()
            .map(|it| (it.stack.to_string(), it.environment.to_string(), it.output.to_string(), it.digest.to_string()))
            .collect(),
        reads: plan.reads.iter().map(|(address, version)| (address.to_string(), *version)).collect(),
        outputs: plan.outputs.iter().map(output).collect::<Result<_, _>>()?,
        providers: plan.providers.iter().map(provider).collect::<Result<_, _>>()?,
        inputs: plan.inputs.iter().map(|(name, it)| Ok((name.to_string(), value(it)?))).collect::<Result<_, WireError>>()?,
        dropped: plan.dropped.iter().map(|(address, it)| (address.to_string(), edge(it))).collect(),
        deferred: plan
            .deferred
            .iter()
            .map(|it| DeferredShape {
                address: it.address.to_string(),
                kind: it.kind.to_string(),
                at_most: it.at_most,
                waits_for: it.waits_for.iter().map(ToString::to_string).collect(),
                span: span(it.span),
            })
            .collect(),
        requirements: plan.requirements.iter().map(requirement).collect::<Result<_, _>>()?,
        warnings: plan.warnings.iter().map(diagnostic).collect(),
        remarks: plan.remarks.iter().map(|(address, remark)| (address.to_string(), remark.clone())).collect(),
        reveals: plan
            .reveals
            .iter()
            .map(|it| (span(it.span), it.reason.clone(), it.instance.as_ref().map(|at| at.to_string())))
            .collect(),
        notices: plan.notices.iter().map(drift).collect::<Result<_, _>>()?,
        policies: plan.policies.iter().map(verdict).collect(),
        foreseen: plan.foreseen.iter().map(foreseen).collect(),
        made: plan.made.as_ref().map(|made| (made.who.clone(), made.time_ms)),
    })
}

fn foreseen(foreseen: &Foreseen) -> ForeseenShape {
    ForeseenShape {
        address: foreseen.address.to_string(),
        action: foreseen.action.to_string(),
        became: foreseen.became.word().to_owned(),
        certain: foreseen.certain,
        words: foreseen.words.clone(),
        record: foreseen.record.as_ref().map(Digest::to_string),
    }
}

fn requirement(requirement: &Requirement) -> Result<RequirementShape, WireError> {
    Ok(RequirementShape {
        address: requirement.address.as_ref().map(|address| address.to_string()),
        cond: value(&requirement.cond)?,
        message: value(&requirement.message)?,
        span: span(requirement.span),
        places: requirement.places.iter().map(|at| span(*at)).collect(),
    })
}

fn change(change: &Change) -> Result<ChangeShape, WireError> {
    Ok(ChangeShape {
        address: change.address.to_string(),
        kind: change.kind.name.to_string(),
        provider: change.provider.to_string(),
        instance: change.instance.to_string(),
        action: action(&change.action),
        schema_version: change.schema_version,
        declared_at: change.declared_at.clone(),
        before: change.before.as_deref().map(record).transpose()?,
        after: change.after.as_deref().map(resource).transpose()?,
        drift: fields_changed(&change.drift)?,
        fields: fields_changed(&change.fields)?,
        reasons: change.reasons.iter().map(reason).collect(),
        maybe_replace: change.maybe_replace,
    })
}

fn action(action: &Action) -> ActionShape {
    match action {
        Action::Create => ActionShape::Create,
        Action::Update => ActionShape::Update,
        Action::Replace { order } => ActionShape::Replace { create_first: *order == ReplaceOrder::CreateFirst },
        Action::Destroy { loses_data } => ActionShape::Destroy { loses_data: *loses_data },
        Action::Run => ActionShape::Run,
        Action::Read => ActionShape::Read,
        Action::Move { from } => ActionShape::Move { from: from.to_string() },
        Action::Adopt { id } => ActionShape::Adopt { id: id.clone() },
        Action::Forget => ActionShape::Forget,
        Action::Record => ActionShape::Record,
    }
}

fn record(record: &Record) -> Result<RecordShape, WireError> {
    let edge = |edge: &RecordEdge| (edge.to.to_string(), edge_word(edge.reason).to_owned());
    Ok(RecordShape {
        address: record.address.to_string(),
        id: format!("{:?}", record.id),
        kind: record.kind.to_string(),
        provider: record.provider.to_string(),
        instance: record.instance.to_string(),
        inputs: fields(&record.inputs)?,
        computed: fields(&record.computed)?,
        edges: record.edges.iter().map(edge).collect(),
        protect: record.protect,
        replace_on: record.replace_on.iter().map(value).collect::<Result<_, _>>()?,
        generation: record.generation,
        declared_at: record.declared_at.clone(),
        schema_version: record.schema_version,
        version: record.version,
        deposed: record.deposed,
    })
}

fn resource(resource: &DesiredResource) -> Result<ResourceShape, WireError> {
    let lifecycle = &resource.lifecycle;
    Ok(ResourceShape {
        attributes: fields(&resource.attributes)?,
        protect: lifecycle.protect,
        protect_span: lifecycle.protect_span.map(span),
        ignore: lifecycle.ignore.iter().map(|name| name.to_string()).collect(),
        create_first: lifecycle.replace.map(|order| order == ReplaceOrder::CreateFirst),
        replace_on: lifecycle.replace_on.iter().map(value).collect::<Result<_, _>>()?,
        timeout_ms: lifecycle.timeout.map(|timeout| timeout.as_millis().min(u64::MAX.into()) as u64),
        turn: lifecycle.turn.as_ref().map(|it| TurnShape { set: it.set.to_string(), at_once: it.at_once, rollout: it.rollout }),
        edges: resource.edges.iter().map(edge).collect(),
        span: span(resource.span),
        called_at: span(resource.called_at),
    })
}

fn edge(edge: &Edge) -> EdgeShape {
    EdgeShape { to: edge.to.to_string(), reason: edge_word(edge.reason).to_owned(), span: span(edge.span) }
}

pub(super) fn edge_word(reason: EdgeReason) -> &'static str {
    match reason {
        EdgeReason::Reference => "reference",
        EdgeReason::Instance => "instance",
        EdgeReason::After => "after",
    }
}

fn fields_changed(changes: &[FieldChange]) -> Result<Vec<FieldShape>, WireError> {
    let shape = |field: &FieldChange| {
        Ok(FieldShape {
            path: field.path.iter().map(step).collect(),
            before: field.before.as_ref().map(value).transpose()?,
            after: field.after.as_ref().map(value).transpose()?,
            forces: field.forces_replacement.map(str::to_owned),
            cause: field.cause.map(span),
        })
    };
    changes.iter().map(shape).collect()
}

fn step(step: &Step) -> StepShape {
    match step {
        Step::Field(name) => StepShape::Field(name.to_string()),
        Step::Item(at) => StepShape::Item(*at),
    }
}

fn reason(reason: &Reason) -> ReasonShape {
    match reason {
        Reason::New { span: at } => ReasonShape::New { span: span(*at) },
        Reason::Removed { was } => ReasonShape::Removed { was: was.clone() },
        Reason::Changed { span: at } => ReasonShape::Changed { span: span(*at) },
        Reason::Drifted => ReasonShape::Drifted,
        Reason::Gone => ReasonShape::Gone,
        Reason::WaitsFor { address } => ReasonShape::WaitsFor { address: address.to_string() },
        Reason::Asked => ReasonShape::Asked,
        Reason::ReplaceOn { span: at } => ReasonShape::ReplaceOn { span: span(*at) },
        Reason::Moved { from, span: at } => ReasonShape::Moved { from: from.to_string(), span: span(*at) },
        Reason::Adopted { span: at } => ReasonShape::Adopted { span: span(*at) },
        Reason::Forgotten { span: at } => ReasonShape::Forgotten { span: span(*at) },
        Reason::Guard { protect, span: at } => ReasonShape::Guard { protect: *protect, span: at.map(span) },
    }
}

fn output(output: &OutputChange) -> Result<OutputShape, WireError> {
    let after = output.after.as_ref().map(|after| {
        Ok::<_, WireError>(OutputAfterShape { ty: ty(&after.ty)?, value: value(&after.value)?, span: span(after.span) })
    });
    Ok(OutputShape {
        name: output.name.to_string(),
        before: output.before.as_ref().map(value).transpose()?,
        after: after.transpose()?,
    })
}

fn provider(provider: &DesiredProvider) -> Result<ProviderShape, WireError> {
    Ok(ProviderShape { name: provider.name.to_string(), settings: fields(&provider.settings)?, span: span(provider.span) })
}

fn drift(drift: &Drift) -> Result<DriftShape, WireError> {
    Ok(DriftShape { address: drift.address.to_string(), fields: fields_changed(&drift.fields)? })
}

fn verdict(verdict: &Verdict) -> VerdictShape {
    let finding = |it: &Finding| FindingShape {
        outcome: match it.outcome {
            FindingOutcome::Broken => OutcomeShape::Broken,
            FindingOutcome::Undecided => OutcomeShape::Undecided,
            FindingOutcome::Excepted(by) => OutcomeShape::Excepted(by),
        },
        address: it.address.as_ref().map(|address| address.to_string()),
        message: it.message.clone(),
        rule: span(it.rule),
        places: it.places.iter().map(|at| span(*at)).collect(),
    };
    let exception = |it: &Exception| ExceptionShape {
        pattern: it.pattern.to_string(),
        reason: it.reason.clone(),
        span: span(it.span),
        idle: it.idle,
    };
    VerdictShape {
        policy: verdict.policy.to_string(),
        deny: verdict.level == Level::Deny,
        control: verdict.control.iter().map(|it| it.to_string()).collect(),
        span: span(verdict.span),
        findings: verdict.findings.iter().map(finding).collect(),
        exceptions: verdict.exceptions.iter().map(exception).collect(),
    }
}

fn diagnostic(diagnostic: &Diagnostic) -> DiagnosticShape {
    DiagnosticShape {
        code: diagnostic.code.to_string(),
        error: diagnostic.is_error(),
        message: diagnostic.message.clone(),
        labels: diagnostic.labels.iter().map(|(at, text)| (span(*at), text.clone())).collect(),
        notes: diagnostic.notes.iter().map(|(head, text)| BTreeMap::from([((*head).to_owned(), text.clone())])).collect(),
        help: diagnostic.help.clone(),
        fixes: diagnostic.fixes.iter().map(fix).collect(),
        address: diagnostic.address.as_ref().map(|address| address.to_string()),
    }
}

fn fix(fix: &Fix) -> FixShape {
    let confidence = match fix.confidence {
        Confidence::Sure => "sure",
        Confidence::Maybe => "maybe",
        Confidence::NeedsFillingIn => "needs_filling_in",
    };
    FixShape {
        title: fix.title.clone(),
        confidence: confidence.to_owned(),
        edits: fix.edits.iter().map(|edit| (span(edit.span), edit.text.clone())).collect(),
    }
}

fn span(span: Span) -> SpanShape {
    (span.source.0, span.start, span.end)
}

fn value(value: &Value) -> Result<Raw, WireError> {
    raw(|out| Wire::inside_sealed().write_value(out, Context::NONE, value))
}

fn fields(fields: &Fields) -> Result<Raw, WireError> {
    raw(|out| Wire::inside_sealed().write_fields(out, Context::NONE, fields))
}

fn ty(ty: &Type) -> Result<Raw, WireError> {
    raw(|out| Wire::inside_sealed().write_type(out, Context::NONE, ty))
}

fn raw(write: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>) -> Result<Raw, WireError> {
    let mut out = Vec::new();
    write(&mut out)?;
    let text = String::from_utf8(out).expect("values are written as text");
    Ok(RawValue::from_string(text).expect("values are written as JSON"))
}
