//! What a step says of itself, evaluated.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sandbox::StepTold;
use crate::expand::Told;
use crate::lang::program::{Mock as MockRule, Setting};
use crate::model::{Address, Data, Expr, Fields, Kind, Name, Value};
use crate::ops::desired::early;
use crate::ops::given::GivenInput;
use crate::ops::project::Failure;
use crate::ops::workspace::Workspace;
use crate::providers::sim::{Fault, Faults, Mock, Rule};

/// Evaluates a step's setting in its environment.
///
/// Errors: of the first expression that has no value.
pub fn told(workspace: &Workspace, setting: &Setting) -> Result<StepTold, Failure> {
    let mut inputs = Vec::with_capacity(setting.inputs.len());
    for (name, expr, span) in &setting.inputs {
        inputs.push(GivenInput::of_test(name, early(workspace, expr)?.at(*span)));
    }
    let mut mocks = Vec::with_capacity(setting.mocks.len());
    for mock in &setting.mocks {
        mocks.push(mocked(workspace, mock)?);
    }
    let faults = match &setting.faults {
        None => Faults::default(),
        Some(expr) => faults(&early(workspace, expr)?),
    };
    let mut stacks: BTreeMap<u32, Told> = BTreeMap::new();
    for given in &setting.stacks {
        let outputs = early(workspace, &given.outputs)?;
        let told = stacks.entry(given.stack).or_insert_with(|| Told { revision: 1, ..Told::default() });
        told.outputs.extend(outputs.as_map().cloned().unwrap_or_default());
    }
    Ok(StepTold {
        inputs,
        stacks,
        mocks,
        faults,
        only: texts(workspace, setting.only.as_ref())?,
        replace: texts(workspace, setting.replace.as_ref())?,
        allow_destroy: texts(workspace, setting.allow_destroy.as_ref())?,
    })
}

fn texts(workspace: &Workspace, expr: Option<&Expr>) -> Result<Vec<String>, Failure> {
    let Some(expr) = expr else { return Ok(Vec::new()) };
    let value = early(workspace, expr)?;
    Ok(value.as_list().unwrap_or_default().iter().filter_map(|it| Some(it.as_text()?.to_owned())).collect())
}

fn mocked(workspace: &Workspace, mock: &MockRule) -> Result<Mock, Failure> {
    let mut fields = Fields::new();
    for (name, expr) in &mock.fields {
        fields.insert(name.clone(), early(workspace, expr)?);
    }
    let pattern = mock.pattern.to_string();
    let is_kind = workspace.schemas.kind(&pattern).is_some();
    let fits = move |kind: &Kind, address: Option<&Address>| match is_kind {
        true => *kind.name == *pattern,
        false => address.is_some_and(|address| crate::ops::matches(&pattern, address)),
    };
    Ok(Mock { fits: Arc::new(fits), fields })
}

/// The faults of a step, by provider, as rules of simulated clouds.
fn faults(value: &Value) -> Faults {
    let Data::Map(providers) = &value.data else { return Faults::default() };
    let all = providers.iter().flat_map(|(provider, rules)| {
        rules.as_list().unwrap_or_default().iter().filter_map(|it| rule(provider, it)).collect::<Vec<_>>()
    });
    Faults { faults: all.collect() }
}

fn rule(provider: &Name, value: &Value) -> Option<Rule> {
    let Data::Map(fields) = &value.data else { return None };
    let text = |name: &str| Some(fields.get(name)?.as_text()?.to_owned());
    let count = |name: &str| fields.get(name)?.as_int().map(|it| u32::try_from(it).unwrap_or(0));
    let share = match fields.get("share").map(|it| &it.data) {
        Some(Data::Percent(share) | Data::Number(share)) => {
            (share * rust_decimal::Decimal::ONE_THOUSAND).try_into().unwrap_or(1000)
        }
        _ => 1000,
    };
    let Data::Variant(label, of) = &fields.get("do")?.data else { return None };
    let status = || of.get("status").and_then(Value::as_int).and_then(|it| u16::try_from(it).ok()).unwrap_or(500);
    let nanos = |name: &str| match of.get(name).map(|it| &it.data) {
        Some(Data::Duration(nanos)) => u64::try_from(*nanos).ok(),
        _ => None,
    };
    let what = match &**label {
        "latency" => Fault::Latency { ms: nanos("by").unwrap_or(0) / 1_000_000 },
        "throttle" => Fault::Throttle { after: nanos("after").map(|nanos| nanos.div_ceil(1_000_000_000)) },
        "error_before" => Fault::ErrorBefore { status: status() },
        "error_after" => Fault::ErrorAfter { status: status() },
        "drop_before" => Fault::DropBefore,
        "drop_after" => Fault::DropAfter,
        "half_body" => Fault::HalfBody,
        "html" => Fault::Html,
        "stale" => Fault::Stale,
        _ => return None,
    };
    Some(Rule {
        provider: Some(provider.to_string()),
        method: text("method"),
        path: text("path"),
        skip: count("skip").unwrap_or(0),
        count: count("count"),
        in_mille: share,
        what,
    })
}
