//! What came of an expansion, as lines.

use stackwright::eval::{Nothing, walk};
use stackwright::expand::{Elsewhere, Expansion, Known, Request, expand, expand_in_shares};
use stackwright::lang::{Checked, load};
use stackwright::model::{Address, Data, Desired, DesiredResource, Diagnostic, EdgeReason, Fields, Name, Sources, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a case is expanded for.
#[derive(Default)]
pub struct Setting {
    pub environment: String,
    pub inputs: BTreeMap<Name, Value>,
    pub secrets: BTreeMap<Address, Value>,
    pub data: BTreeMap<Address, Fields>,
    pub names: BTreeMap<Address, BTreeMap<Name, Name>>,
    pub simulated: bool,
    /// Nobody asks data sources.
    pub untold: bool,
    /// What other states hold; `None` where nobody asks, as in a check.
    pub elsewhere: Option<Elsewhere>,
    /// Only resources whose address begins so are listed.
    pub only: Option<String>,
}

pub fn checked(text: &str) -> Checked {
    let schemas = Arc::new(stackwright::providers::registry::schemas());
    load(Sources::default(), vec![("case.stack".into(), text.into())], schemas)
}

/// Expands a program's text; every message is a line.
pub fn list(text: &str, setting: &Setting) -> Vec<String> {
    let checked = checked(text);
    let said = |diagnostics: &[Diagnostic]| diagnostics.iter().map(|it| diagnostic(it, &checked.sources)).collect::<Vec<_>>();
    let Some(program) = &checked.program else { return said(&checked.diagnostics) };
    let known = Known {
        names: setting.names.clone(),
        data: setting.data.clone(),
        untold: setting.untold,
        secrets: setting.secrets.clone(),
        kept_secrets: BTreeMap::new(),
        simulated: setting.simulated,
        elsewhere: setting.elsewhere.clone(),
        records: None,
        store_id: "test",
    };
    let request = Request { environment: &setting.environment, inputs: &setting.inputs, known, outside: &Nothing };
    let expansion = expand(program, &request);
    for shares in [2, 3] {
        assert_same(&expansion, expand_in_shares(program, &request, shares));
    }
    match expansion {
        Err(errors) => said(&errors),
        Ok(Expansion::Asks { questions, .. }) => {
            let line = |arguments: &Fields| Value::map(arguments.clone()).to_literal();
            questions.iter().map(|it| format!("asks {} on {} {}", it.address, it.provider, line(&it.arguments))).collect()
        }
        Ok(Expansion::Done(desired)) => {
            let mut lines = of_desired(&desired, setting.only.as_deref());
            lines.extend(desired.requirements.iter().map(|it| {
                let of = it.address.as_ref().map_or("the stack", Address::as_str);
                format!("requires of {of} {}: {}", value(&it.cond), value(&it.message))
            }));
            lines.extend(said(&desired.warnings));
            lines
        }
    }
}

type Expanded = Result<Expansion, Vec<Diagnostic>>;

/// What several expanders make is what one makes, to the last mark; they may leave it to one where something is wrong.
fn assert_same(one: &Expanded, several: Option<Expanded>) {
    match (one, several) {
        (Ok(Expansion::Done(one)), Some(Ok(Expansion::Done(several)))) => assert_eq!(exactly(one), exactly(&several)),
        (Ok(Expansion::Asks { questions: one, .. }), Some(Ok(Expansion::Asks { questions: several, .. }))) => {
            assert_eq!(format!("{one:?}"), format!("{several:?}"));
        }
        (Err(one), Some(Err(several))) => assert_eq!(*one, several),
        (Err(_) | Ok(Expansion::Asks { .. }), None) => {}
        (one, several) => panic!("one expander: {one:?}; several: {several:?}"),
    }
}

/// Everything of it, and what sticks to its values.
fn exactly(desired: &Desired) -> Vec<String> {
    let mut all: Vec<String> = format!("{desired:#?}").lines().map(str::to_owned).collect();
    let mut note = |name: &str, value: &Value| marks(name, value, &mut all);
    for resource in &desired.resources {
        resource.attributes.iter().for_each(|(name, value)| note(&format!("{}.{name}", resource.address), value));
        resource.lifecycle.replace_on.iter().for_each(|value| note(&format!("{} replace_on", resource.address), value));
    }
    for instance in &desired.instances {
        instance.outputs.iter().for_each(|(name, value)| note(&format!("{}.{name}", instance.address), value));
    }
    desired.outputs.iter().for_each(|output| note(&output.name, &output.value));
    desired.inputs.iter().for_each(|(name, value)| note(name, value));
    desired.requirements.iter().for_each(|it| note("cond", &it.cond));
    all
}

fn marks(of: &str, value: &Value, out: &mut Vec<String>) {
    let mark = &value.mark;
    out.push(format!("{of}: {:?} secret {} within {:?}", mark.origin, mark.secret, mark.within));
    match &value.data {
        Data::Unknown(unknown) => {
            out.push(format!("{:?} waits for {:?}: {:?}", unknown.ty, unknown.waits_for, unknown.rest));
            walk(&unknown.rest, &mut |part| out.push(format!("{:?}", part.span)));
        }
        Data::List(items) => items.iter().for_each(|item| marks(of, item, out)),
        Data::Map(fields) | Data::Variant(_, fields) => {
            fields.iter().for_each(|(name, it)| marks(&format!("{of}.{name}"), it, out))
        }
        Data::Range(ends) => [&ends.0, &ends.1].into_iter().for_each(|end| marks(of, end, out)),
        _ => {}
    }
}

fn of_desired(desired: &Desired, only: Option<&str>) -> Vec<String> {
    let shown = |address: &Address| only.is_none_or(|only| address.as_str().starts_with(only));
    let mut lines: Vec<String> = desired.resources.iter().filter(|it| shown(&it.address)).flat_map(resource).collect();
    for instance in &desired.instances {
        lines.extend(instance.remarks.iter().map(|remark| format!("remark {}: {remark}", instance.address)));
    }
    lines.extend(desired.outputs.iter().map(|output| format!("output {} = {}", output.name, value(&output.value))));
    lines
}

fn resource(resource: &DesiredResource) -> Vec<String> {
    let mut lines = vec![format!("{} on {}", resource.address, resource.provider)];
    let default = |name: &str, value: &Value| match resource.kind.attribute(name).map(|it| &it.given) {
        Some(stackwright::model::schema::Given::Default(default)) => default == value,
        _ => false,
    };
    let given = resource.attributes.iter().filter(|(name, value)| !default(name, value));
    lines.extend(given.map(|(name, it)| format!("  {name} = {}", value(it))));
    if resource.lifecycle.protect {
        lines.push("  protected".into());
    }
    if let Some(turn) = &resource.lifecycle.turn {
        let word = if turn.rollout { "rolled out" } else { "goes" };
        lines.push(format!("  {word} {} at a time in {}", turn.at_once, turn.set));
    }
    lines.extend(resource.edges.iter().map(|edge| {
        let word = match edge.reason {
            EdgeReason::Reference => "made from",
            EdgeReason::Instance => "reads the instance of",
            EdgeReason::After => "after",
        };
        format!("  {word} {}", edge.to)
    }));
    lines
}

/// As a literal; an unknown one as what it waits for.
fn value(it: &Value) -> String {
    if it.mark.secret {
        return "(secret)".into();
    }
    let fields = |fields: &Fields| {
        let parts: Vec<String> = fields.iter().map(|(name, field)| format!("{name} = {}", value(field))).collect();
        if parts.is_empty() { "{}".into() } else { format!("{{ {} }}", parts.join(", ")) }
    };
    match &it.data {
        Data::Unknown(unknown) => {
            let waits: Vec<&str> = unknown.waits_for.iter().map(Address::as_str).collect();
            format!("(of {})", waits.join(", "))
        }
        Data::List(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(", ")),
        Data::Map(map) => fields(map),
        Data::Variant(label, map) => format!("{label} {}", fields(map)),
        _ => it.to_literal(),
    }
}

/// Code, place and message.
pub fn diagnostic(it: &Diagnostic, sources: &Sources) -> String {
    let place = it.span().and_then(|span| sources.place(span)).map(|place| format!("{place} ")).unwrap_or_default();
    format!("{} {place}{}", it.code, it.message)
}
