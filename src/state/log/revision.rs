//! The bytes of a `revision` entry, which closes a run.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::entry::*;
use super::object::{Object, list, map};
use super::wire::{address, bad, digest};
use crate::model::canonical::write_text;
use crate::model::verdict::{Level, PolicyResult};
use crate::model::wire::{Context, Reading, Sealer, Wire, WireError};
use crate::model::{Fields, Name, RecordId};

pub(in crate::state) fn write_revision(
    object: &mut Object<'_>,
    revision: &Revision,
    sealer: &dyn Sealer,
) -> Result<(), WireError> {
    object.list("approved_by", &revision.approved_by, |out, who| write_text(out, who));
    object.text("command", &revision.command);
    object.maybe_text("commit", revision.commit.as_deref());
    map(object.key("counts"), revision.counts.iter(), |out, count| out.extend_from_slice(count.to_string().as_bytes()));
    object.maybe_text("effects", revision.effects.map(|it| it.to_string()).as_deref());
    object.text("engine", &revision.engine);
    object.list("failed", &revision.failed, |out, (address, code, words)| {
        out.push(b'[');
        write_text(out, address.as_str());
        out.extend_from_slice(format!(",{code},").as_bytes());
        write_text(out, words);
        out.push(b']');
    });
    object.list("inputs", &revision.inputs, |out, (name, shown, origin)| {
        list(out, &[&**name, shown, origin], |out, text| write_text(out, text));
    });
    object.list("not_started", &revision.not_started, |out, (address, why)| {
        list(out, &[address.as_str(), why], |out, text| write_text(out, text));
    });
    object.number("number", revision.number);
    Wire::sealed(sealer).write_fields(object.key("outputs"), OUTPUTS, &revision.outputs)?;
    object.maybe_text("plan", revision.plan.as_deref());
    object.list("policies", &revision.policies, write_policy);
    map(object.key("providers"), revision.providers.iter(), |out, it| out.extend_from_slice(it.to_string().as_bytes()));
    object.maybe_text("reason", revision.reason.as_deref());
    object.text("result", revision.result.word());
    object.number("run", revision.run);
    object.number("time", revision.time_ms);
    object.text("who", &revision.who);
    Ok(())
}

fn write_policy(out: &mut Vec<u8>, it: &JudgedPolicy) {
    let texts = |out: &mut Vec<u8>, texts: &[&str]| list(out, texts, |out, text| write_text(out, text));
    out.push(b'[');
    for text in [&*it.policy, it.level.word(), it.result.word()] {
        write_text(out, text);
        out.push(b',');
    }
    list(out, &it.control, |out, text| write_text(out, text));
    out.push(b',');
    list(out, &it.findings, |out, (address, outcome, words)| texts(out, &[address, outcome, words]));
    out.push(b',');
    list(out, &it.exceptions, |out, (pattern, reason)| texts(out, &[pattern, reason]));
    out.push(b']');
}

/// Policy, level, result, controls, findings, exceptions.
type RawPolicy = (String, String, String, Vec<String>, Vec<(String, String, String)>, Vec<(String, String)>);

fn read_policy((policy, level, result, control, findings, exceptions): &RawPolicy) -> Result<JudgedPolicy, WireError> {
    Ok(JudgedPolicy {
        policy: policy.as_str().into(),
        level: Level::parse(level).ok_or(bad("a level"))?,
        result: PolicyResult::parse(result).ok_or(bad("the result of a policy"))?,
        control: control.iter().map(|it| it.as_str().into()).collect(),
        findings: findings.clone(),
        exceptions: exceptions.clone(),
    })
}

const OUTPUTS: Context<'static> = Context { record: RecordId([0; 16]), kind: "outputs", part: "outputs" };

#[derive(Deserialize)]
pub(in crate::state) struct RawRevision<'b> {
    #[serde(default)]
    approved_by: Vec<String>,
    command: String,
    #[serde(default)]
    commit: Option<String>,
    #[serde(borrow, default)]
    counts: BTreeMap<Cow<'b, str>, u32>,
    #[serde(borrow, default)]
    effects: Option<Cow<'b, str>>,
    engine: String,
    #[serde(borrow, default)]
    failed: Vec<(Cow<'b, str>, u16, String)>,
    #[serde(borrow, default)]
    inputs: Vec<(Cow<'b, str>, String, String)>,
    #[serde(borrow, default)]
    not_started: Vec<(Cow<'b, str>, String)>,
    number: u64,
    #[serde(borrow)]
    outputs: &'b RawValue,
    #[serde(default)]
    plan: Option<String>,
    #[serde(default)]
    policies: Vec<RawPolicy>,
    #[serde(borrow, default)]
    providers: BTreeMap<Cow<'b, str>, u32>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(borrow)]
    result: Cow<'b, str>,
    run: u64,
    time: i64,
    who: String,
}

/// The sentence of a revision without its outputs: needs no key.
pub(in crate::state) fn read_revision_header(raw: &RawRevision<'_>) -> Result<Revision, WireError> {
    let named = |map: &BTreeMap<Cow<'_, str>, u32>| map.iter().map(|(name, count)| (Name::from(&**name), *count)).collect();
    Ok(Revision {
        number: raw.number,
        run: raw.run,
        time_ms: raw.time,
        command: raw.command.clone(),
        who: raw.who.clone(),
        commit: raw.commit.clone(),
        plan: raw.plan.clone(),
        effects: raw.effects.as_deref().map(digest).transpose()?,
        approved_by: raw.approved_by.clone(),
        counts: named(&raw.counts),
        result: run_result(&raw.result).ok_or(bad("a result"))?,
        inputs: raw.inputs.iter().map(|(name, shown, origin)| (Name::from(&**name), shown.clone(), origin.clone())).collect(),
        outputs: Fields::new(),
        engine: raw.engine.clone(),
        providers: named(&raw.providers),
        failed: raw.failed.iter().map(|(at, code, words)| Ok((address(at)?, *code, words.clone()))).collect::<Result<_, _>>()?,
        not_started: raw.not_started.iter().map(|(at, why)| Ok((address(at)?, why.clone()))).collect::<Result<_, _>>()?,
        reason: raw.reason.clone(),
        policies: raw.policies.iter().map(read_policy).collect::<Result<_, _>>()?,
    })
}

pub(in crate::state) fn read_revision(raw: RawRevision<'_>, reading: &mut Reading<'_>) -> Result<Revision, WireError> {
    let mut revision = read_revision_header(&raw)?;
    revision.outputs = reading.whole(OUTPUTS, raw.outputs.get(), |read| read.fields())?;
    Ok(revision)
}

fn run_result(word: &str) -> Option<RunResult> {
    use RunResult::*;
    [Done, PartWay, Failed, Interrupted, RolledBack].into_iter().find(|result| result.word() == word)
}
