//! Bytes back into a plan.

use std::sync::Arc;
use std::time::Duration;

use super::super::effects::{SecretDigest, plan_id, subject};
use super::super::start::nameless_kind;
use super::shape::*;
use super::{FORMAT, PlanFile};
use crate::graph::{self, Wait};
use crate::model::ElsewhereBasis;
use crate::model::desired::Reveal;
use crate::model::expr::Step;
use crate::model::plan::{Drift, OutputChange};
use crate::model::schema::{OnChange, ReplaceOrder};
use crate::model::verdict::{Exception, Finding, FindingOutcome, Level, Verdict};
use crate::model::wire::{Context, Wire, WireError};
use crate::model::{
    Action, Address, Became, Change, Code, Confidence, Deferred, DesiredOutput, DesiredProvider, DesiredResource, Diagnostic,
    Digest, Edge, EdgeReason, Edit, FieldChange, Fields, Fix, Foreseen, Kind, Lifecycle, Made, Origin, Plan, ProviderName,
    Reason, Record, RecordEdge, RecordId, Requirement, Schemas, Severity, SourceId, Sources, Span, Turn, Value,
};

/// Why bytes are no plan.
enum Trouble {
    Damaged(String),
    Stale(String),
}

type Result<T> = std::result::Result<T, Trouble>;

pub(super) fn decode(
    bytes: &[u8],
    schemas: &Schemas,
    digest: SecretDigest<'_>,
) -> std::result::Result<PlanFile, Box<Diagnostic>> {
    let mut made = None;
    read(bytes, schemas, digest, &mut made).map_err(|trouble| {
        Box::new(match trouble {
            Trouble::Damaged(what) => Code::DamagedPlan
                .error(format!("this is no plan that can be applied: {what}"))
                .help("make a new one with `stackwright plan`"),
            Trouble::Stale(what) => {
                let stale = Code::StalePlan.error(format!("this plan was made by another version: {what}"));
                let stale = made.into_iter().fold(stale, |stale, made: Made| stale.fact("planned", made.to_string()));
                stale.note("nothing was changed").help("make a new one with `stackwright plan`, then approve it")
            }
        })
    })
}

/// `made` is known from the moment at which the bytes are a plan of any version.
fn read(bytes: &[u8], schemas: &Schemas, digest: SecretDigest<'_>, made: &mut Option<Made>) -> Result<PlanFile> {
    let file: FileShape = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    *made = file.plan.made.clone().map(|(who, time_ms)| Made { who, time_ms });
    if file.format != FORMAT {
        return Err(Trouble::Stale(format!("it has format {}, and this program reads {FORMAT}", file.format)));
    }
    let mut plan = Reader { schemas }.plan(file.plan)?;
    let said = std::mem::take(&mut plan.id);
    plan.effects = subject(&plan, digest);
    plan.id = plan_id(&plan.effects);
    if plan.id != said {
        return Err(damaged(format!("it calls itself {said}, and what it would do has the name {}", plan.id)));
    }
    let mut sources = Sources::default();
    for source in file.sources {
        let origin = match source.origin.as_str() {
            "file" => Origin::File,
            "stdlib" => Origin::Stdlib,
            "given" => Origin::Given,
            other => return Err(damaged(format!("a text comes from `{other}`"))),
        };
        sources.add(source.name, source.text, origin);
    }
    Ok(PlanFile { plan, sources })
}

fn basis((stack, environment, output, digest): (String, String, String, String)) -> Result<ElsewhereBasis> {
    let digest = Digest::parse(&digest).ok_or_else(|| damaged("a digest is none".to_owned()))?;
    Ok(ElsewhereBasis { stack: stack.into(), environment: environment.into(), output: output.into(), digest })
}

fn foreseen(shape: ForeseenShape) -> Result<Foreseen> {
    let became = Became::ALL.into_iter().find(|it| it.word() == shape.became);
    let digest = |text: String| Digest::parse(&text).ok_or_else(|| damaged("a digest is none".to_owned()));
    Ok(Foreseen {
        address: address(&shape.address)?,
        action: shape.action.into(),
        became: became.ok_or_else(|| damaged(format!("a call became `{}`", shape.became.escape_debug())))?,
        certain: shape.certain,
        words: shape.words,
        record: shape.record.map(digest).transpose()?,
    })
}

struct Reader<'a> {
    schemas: &'a Schemas,
}

impl Reader<'_> {
    fn plan(&self, shape: PlanShape) -> Result<Plan> {
        let changes = shape.changes.into_iter().map(|change| self.change(change)).collect::<Result<Vec<_>>>()?;
        refuse_disorder(&changes, &shape.order)?;
        Ok(Plan {
            id: shape.id,
            effects: Digest([0; 32]),
            store: shape.store,
            stack: shape.stack,
            environment: shape.environment,
            protect: shape.protect,
            simulated: shape.simulated,
            base: shape.base,
            changes,
            order: shape.order,
            same: shape.same,
            elsewhere: shape.elsewhere.into_iter().map(basis).collect::<Result<_>>()?,
            reads: shape.reads.into_iter().map(|(at, version)| Ok((address(&at)?, version))).collect::<Result<_>>()?,
            outputs: shape.outputs.into_iter().map(output).collect::<Result<_>>()?,
            providers: shape.providers.into_iter().map(provider).collect::<Result<_>>()?,
            inputs: shape.inputs.into_iter().map(|(name, it)| Ok((name.into(), value(&it)?))).collect::<Result<_>>()?,
            dropped: shape.dropped.into_iter().map(|(at, it)| Ok((address(&at)?, edge(it)?))).collect::<Result<_>>()?,
            deferred: shape.deferred.into_iter().map(deferred).collect::<Result<_>>()?,
            requirements: shape.requirements.into_iter().map(requirement).collect::<Result<_>>()?,
            warnings: shape.warnings.into_iter().map(diagnostic).collect::<Result<_>>()?,
            remarks: shape.remarks.into_iter().map(|(at, text)| Ok((address(&at)?, text))).collect::<Result<_>>()?,
            reveals: shape
                .reveals
                .into_iter()
                .map(|(at, reason, instance)| {
                    Ok(Reveal { span: span(at), reason, instance: instance.map(|it| address(&it)).transpose()? })
                })
                .collect::<Result<_>>()?,
            notices: shape.notices.into_iter().map(drift).collect::<Result<_>>()?,
            policies: shape.policies.into_iter().map(verdict).collect::<Result<_>>()?,
            foreseen: shape.foreseen.into_iter().map(foreseen).collect::<Result<_>>()?,
            made: shape.made.map(|(who, time_ms)| Made { who, time_ms }),
        })
    }

    fn change(&self, shape: ChangeShape) -> Result<Change> {
        let before = shape.before.map(record).transpose()?.map(Arc::new);
        let action = action(shape.action)?;
        let kind = self.kind(&shape.kind, shape.schema_version, before.as_deref(), &action)?;
        let forces = |text: &str| forcing_reason(&kind, text);
        let provider = ProviderName::parse(&shape.provider);
        let (at, instance) = (address(&shape.address)?, address(&shape.instance)?);
        let after = shape.after.map(|after| resource(after, &at, &instance, &provider, &kind)).transpose()?.map(Arc::new);
        let fits = match action {
            Action::Create | Action::Run | Action::Read => after.is_some(),
            Action::Update | Action::Replace { .. } | Action::Move { .. } | Action::Adopt { .. } | Action::Record => {
                after.is_some() && before.is_some()
            }
            Action::Destroy { .. } | Action::Forget => after.is_none() && before.is_some(),
        };
        if !fits {
            return Err(damaged(format!("`{at}` lacks what a {} needs", action.word())));
        }
        Ok(Change {
            drift: shape.drift.into_iter().map(|it| field(it, &forces)).collect::<Result<_>>()?,
            fields: shape.fields.into_iter().map(|it| field(it, &forces)).collect::<Result<_>>()?,
            reasons: shape.reasons.into_iter().map(reason).collect::<Result<_>>()?,
            address: at,
            provider,
            instance,
            action,
            schema_version: shape.schema_version,
            declared_at: shape.declared_at,
            before,
            after,
            maybe_replace: shape.maybe_replace,
            kind: kind.clone(),
        })
    }

    fn kind(&self, name: &str, version: u32, before: Option<&Record>, action: &Action) -> Result<Arc<Kind>> {
        let Some(kind) = self.schemas.kind(name) else {
            return match (before, action) {
                (Some(record), Action::Forget) if &*record.kind == name => Ok(Arc::new(nameless_kind(record))),
                _ => Err(Trouble::Stale(format!("this program does not know the kind `{name}`"))),
            };
        };
        let ours = self.schemas.providers.get(kind.provider()).map_or(0, |schema| schema.version);
        match ours == version {
            true => Ok(kind.clone()),
            false => Err(Trouble::Stale(format!(
                "it was made for version {version} of the declarations of `{}`, and this program has {ours}",
                kind.provider()
            ))),
        }
    }
}

/// The order has to be one: places that exist, and no circle.
fn refuse_disorder(changes: &[Change], order: &[(u32, u32)]) -> Result<()> {
    let places = changes.len() + 2 * order.len();
    if order.iter().any(|(first, second)| (*first).max(*second) as usize >= places) {
        return Err(damaged("its order names changes that it does not have".into()));
    }
    let waits: Vec<Wait> = order.iter().map(|(first, second)| Wait::new(*second, *first)).collect();
    graph::order(places as u32, &waits).map(drop).map_err(|_| damaged("its order goes in a circle".into()))
}

/// Reasons are texts of the program itself: one that no declaration gives is none.
fn forcing_reason(kind: &Kind, text: &str) -> Result<&'static str> {
    let declared = kind.attributes.iter().filter_map(|attribute| match attribute.on_change {
        OnChange::Replace(why) | OnChange::GrowOnly(why) => Some(why),
        OnChange::Update => None,
    });
    let known = declared.chain(super::super::decide::REASONS).find(|why| *why == text);
    known.ok_or_else(|| Trouble::Stale(format!("`{}` is not replaced because of \"{}\" here", kind.name, text.escape_debug())))
}

fn action(shape: ActionShape) -> Result<Action> {
    Ok(match shape {
        ActionShape::Create => Action::Create,
        ActionShape::Update => Action::Update,
        ActionShape::Replace { create_first } => Action::Replace { order: replace_order(create_first) },
        ActionShape::Destroy { loses_data } => Action::Destroy { loses_data },
        ActionShape::Run => Action::Run,
        ActionShape::Read => Action::Read,
        ActionShape::Move { from } => Action::Move { from: address(&from)? },
        ActionShape::Adopt { id } => Action::Adopt { id },
        ActionShape::Forget => Action::Forget,
        ActionShape::Record => Action::Record,
    })
}

fn replace_order(create_first: bool) -> ReplaceOrder {
    if create_first { ReplaceOrder::CreateFirst } else { ReplaceOrder::DestroyFirst }
}

fn record(shape: RecordShape) -> Result<Record> {
    let edge = |(to, reason): (String, String)| Ok(RecordEdge { to: address(&to)?, reason: edge_reason(&reason)? });
    Ok(Record {
        address: address(&shape.address)?,
        id: record_id(&shape.id)?,
        kind: shape.kind.into(),
        provider: ProviderName::parse(&shape.provider),
        instance: address(&shape.instance)?,
        inputs: fields(&shape.inputs)?,
        computed: fields(&shape.computed)?,
        edges: shape.edges.into_iter().map(edge).collect::<Result<_>>()?,
        protect: shape.protect,
        replace_on: shape.replace_on.iter().map(value).collect::<Result<_>>()?,
        generation: shape.generation,
        declared_at: shape.declared_at,
        schema_version: shape.schema_version,
        version: shape.version,
        deposed: shape.deposed,
    })
}

fn record_id(hex: &str) -> Result<RecordId> {
    let bytes = (0..hex.len() / 2).map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok());
    let bytes = bytes.collect::<Option<Vec<u8>>>().and_then(|bytes| bytes.try_into().ok());
    bytes.map(RecordId).ok_or_else(|| damaged("the id of a record is none".into()))
}

fn resource(
    shape: ResourceShape,
    at: &Address,
    instance: &Address,
    provider: &ProviderName,
    kind: &Arc<Kind>,
) -> Result<DesiredResource> {
    Ok(DesiredResource {
        address: at.clone(),
        kind: kind.clone(),
        provider: provider.clone(),
        instance: instance.clone(),
        attributes: fields(&shape.attributes)?,
        lifecycle: Lifecycle {
            protect: shape.protect,
            protect_span: shape.protect_span.map(span),
            ignore: shape.ignore.into_iter().map(Into::into).collect(),
            replace: shape.create_first.map(replace_order),
            replace_on: shape.replace_on.iter().map(value).collect::<Result<_>>()?,
            timeout: shape.timeout_ms.map(Duration::from_millis),
            turn: shape.turn.map(turn).transpose()?,
        },
        edges: shape.edges.into_iter().map(edge).collect::<Result<_>>()?,
        span: span(shape.span),
        called_at: span(shape.called_at),
    })
}

fn requirement(shape: RequirementShape) -> Result<Requirement> {
    Ok(Requirement {
        address: shape.address.map(|at| address(&at)).transpose()?,
        cond: value(&shape.cond)?,
        message: value(&shape.message)?,
        span: span(shape.span),
        places: shape.places.into_iter().map(span).collect(),
    })
}

fn deferred(shape: DeferredShape) -> Result<Deferred> {
    Ok(Deferred {
        address: address(&shape.address)?,
        kind: shape.kind.into(),
        at_most: shape.at_most,
        waits_for: shape.waits_for.iter().map(|it| address(it)).collect::<Result<_>>()?,
        span: span(shape.span),
    })
}

fn turn(shape: TurnShape) -> Result<Turn> {
    if shape.at_once == 0 {
        return Err(damaged("a set of which none goes at once".into()));
    }
    Ok(Turn { set: address(&shape.set)?, at_once: shape.at_once, rollout: shape.rollout })
}

fn edge(shape: EdgeShape) -> Result<Edge> {
    Ok(Edge { to: address(&shape.to)?, reason: edge_reason(&shape.reason)?, span: span(shape.span) })
}

fn edge_reason(word: &str) -> Result<EdgeReason> {
    let all = [EdgeReason::Reference, EdgeReason::Instance, EdgeReason::After];
    let found = all.into_iter().find(|reason| super::write::edge_word(*reason) == word);
    found.ok_or_else(|| damaged("an edge has a reason that this version does not know".into()))
}

fn field(shape: FieldShape, forces: &dyn Fn(&str) -> Result<&'static str>) -> Result<FieldChange> {
    Ok(FieldChange {
        path: shape.path.into_iter().map(step).collect(),
        before: shape.before.as_ref().map(value).transpose()?,
        after: shape.after.as_ref().map(value).transpose()?,
        forces_replacement: shape.forces.as_deref().map(forces).transpose()?,
        cause: shape.cause.map(span),
    })
}

fn step(shape: StepShape) -> Step {
    match shape {
        StepShape::Field(name) => Step::Field(name.into()),
        StepShape::Item(at) => Step::Item(at),
    }
}

fn reason(shape: ReasonShape) -> Result<Reason> {
    Ok(match shape {
        ReasonShape::New { span: at } => Reason::New { span: span(at) },
        ReasonShape::Removed { was } => Reason::Removed { was },
        ReasonShape::Changed { span: at } => Reason::Changed { span: span(at) },
        ReasonShape::Drifted => Reason::Drifted,
        ReasonShape::Gone => Reason::Gone,
        ReasonShape::WaitsFor { address: at } => Reason::WaitsFor { address: address(&at)? },
        ReasonShape::Asked => Reason::Asked,
        ReasonShape::ReplaceOn { span: at } => Reason::ReplaceOn { span: span(at) },
        ReasonShape::Moved { from, span: at } => Reason::Moved { from: address(&from)?, span: span(at) },
        ReasonShape::Adopted { span: at } => Reason::Adopted { span: span(at) },
        ReasonShape::Forgotten { span: at } => Reason::Forgotten { span: span(at) },
        ReasonShape::Guard { protect, span: at } => Reason::Guard { protect, span: at.map(span) },
    })
}

fn output(shape: OutputShape) -> Result<OutputChange> {
    let name: crate::model::Name = shape.name.into();
    let after = shape.after.map(|after| {
        let ty = Wire::inside_sealed().read_type(Context::NONE, after.ty.get()).map_err(wire)?;
        Ok(DesiredOutput { name: name.clone(), ty, value: value(&after.value)?, span: span(after.span) })
    });
    Ok(OutputChange { before: shape.before.as_ref().map(value).transpose()?, after: after.transpose()?, name })
}

fn provider(shape: ProviderShape) -> Result<DesiredProvider> {
    let (name, settings) = (ProviderName::parse(&shape.name), fields(&shape.settings)?);
    Ok(DesiredProvider { name, settings, span: span(shape.span) })
}

fn drift(shape: DriftShape) -> Result<Drift> {
    // What forces nothing needs no reason.
    let forces = |text: &str| {
        super::super::decide::REASONS
            .into_iter()
            .find(|why| *why == text)
            .ok_or_else(|| damaged("a notice forces something".into()))
    };
    let fields = shape.fields.into_iter().map(|it| field(it, &forces)).collect::<Result<_>>()?;
    Ok(Drift { address: address(&shape.address)?, fields })
}

/// Heads of facts that diagnostics about a program have.
const HEADS: [&str; 8] = ["note", "path", "looked", "guard", "planned", "since", "declared", "call"];

fn verdict(shape: VerdictShape) -> Result<Verdict> {
    let count = shape.exceptions.len();
    let finding = |it: FindingShape| {
        Ok(Finding {
            outcome: match it.outcome {
                OutcomeShape::Broken => FindingOutcome::Broken,
                OutcomeShape::Undecided => FindingOutcome::Undecided,
                OutcomeShape::Excepted(by) if (by as usize) < count => FindingOutcome::Excepted(by),
                OutcomeShape::Excepted(by) => return Err(damaged(format!("there is no exception {by}"))),
            },
            address: it.address.map(|it| address(&it)).transpose()?,
            message: it.message,
            rule: span(it.rule),
            places: it.places.into_iter().map(span).collect(),
        })
    };
    let exception =
        |it: ExceptionShape| Exception { pattern: it.pattern.into(), reason: it.reason, span: span(it.span), idle: it.idle };
    Ok(Verdict {
        policy: shape.policy.into(),
        level: if shape.deny { Level::Deny } else { Level::Warn },
        control: shape.control.into_iter().map(Into::into).collect(),
        span: span(shape.span),
        findings: shape.findings.into_iter().map(finding).collect::<Result<_>>()?,
        exceptions: shape.exceptions.into_iter().map(exception).collect(),
    })
}

fn diagnostic(shape: DiagnosticShape) -> Result<Diagnostic> {
    let code = Code::parse(&shape.code).ok_or_else(|| damaged("a warning has a code that this version does not know".into()))?;
    let severity = if shape.error { Severity::Error } else { Severity::Warning };
    let mut diagnostic = Diagnostic::new(code, severity, shape.message);
    diagnostic.labels = shape.labels.into_iter().map(|(at, text)| (span(at), text)).collect();
    for (head, text) in shape.notes.into_iter().flatten() {
        let head = HEADS.into_iter().find(|known| *known == head).unwrap_or("note");
        diagnostic.notes.push((head, text));
    }
    diagnostic.help = shape.help;
    diagnostic.fixes = shape.fixes.into_iter().map(fix).collect::<Result<_>>()?;
    diagnostic.address = shape.address.map(|at| address(&at)).transpose()?;
    Ok(diagnostic)
}

fn fix(shape: FixShape) -> Result<Fix> {
    let confidence = match shape.confidence.as_str() {
        "sure" => Confidence::Sure,
        "maybe" => Confidence::Maybe,
        "needs_filling_in" => Confidence::NeedsFillingIn,
        _ => return Err(damaged("a fix is of no known confidence".into())),
    };
    let edits = shape.edits.into_iter().map(|(at, text)| Edit { span: span(at), text }).collect();
    Ok(Fix { title: shape.title, confidence, edits })
}

fn span((source, start, end): SpanShape) -> Span {
    Span { source: SourceId(source), start, end }
}

fn address(text: &str) -> Result<Address> {
    Address::parse(text).ok_or_else(|| damaged("it names an address that is none".into()))
}

fn value(raw: &Raw) -> Result<Value> {
    Wire::inside_sealed().read_value(Context::NONE, raw.get()).map_err(wire)
}

fn fields(raw: &Raw) -> Result<Fields> {
    Wire::inside_sealed().read_fields(Context::NONE, raw.get()).map_err(wire)
}

fn wire(error: WireError) -> Trouble {
    damaged(format!("a value in it is none: {error}"))
}

fn damaged(what: String) -> Trouble {
    Trouble::Damaged(what)
}
