//! `fly.machine`: made, updated and destroyed so that it can be used, or is gone, when the call returns.

use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use serde_json::Value as Json;

use super::machine_wire::{TOKEN, attributes, config, mark_of};
use super::{Poll, Resource, Scope, done, in_app, is_passing, region};
use crate::model::value::Fields;
use crate::model::{Code, Name};
use crate::providers::contract::{Call, CallError, Found};
use crate::providers::http::Reply;
use crate::providers::http::wire::{Body, get_list, get_text, need, query, segment, text};

pub struct Machine;

/// What is kept of a call's time to take back a machine that does not start.
const TO_TAKE_BACK: Duration = Duration::from_secs(15);
/// The longest that the platform holds one wait.
const WAIT_MAX: u64 = 60;
/// For so long a machine that was just made may be unknown to a host.
const SPREADING: Duration = Duration::from_secs(10);

#[async_trait]
impl Resource for Machine {
    async fn list(&self, scope: &mut Scope<'_>, group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        let app = need(group, "app")?;
        Ok(listed(scope, group).await?.map(|all| all.iter().filter_map(|machine| attributes(machine, app)).collect()))
    }

    async fn read(&self, scope: &mut Scope<'_>, known: &Fields) -> Result<Option<Fields>, CallError> {
        let app = need(known, "app")?;
        Ok(look(scope, &path(known)?).await?.and_then(|machine| attributes(&machine, app)))
    }

    async fn create(&self, scope: &mut Scope<'_>, call: &Call, inputs: &Fields) -> Result<Fields, CallError> {
        let body = Body::default()
            .with_some("name", text(inputs, "name"))
            .with("region", region(scope, inputs)?)
            .with("config", config(inputs, None, call, scope.marks)?)
            .with_some("min_secrets_version", inputs.get("secrets_version").and_then(|it| it.as_int()));
        let made = scope.session.send(Method::POST, &in_app(inputs, "/machines")?, Some(&body.done())).await?.fine()?;
        let unusable = || CallError::OutcomeUnknown("fly answered with something that is no machine".into());
        let id = get_text(&made, "id").ok_or_else(unusable)?;
        let path = in_app(inputs, &format!("/machines/{}", segment(id)))?;
        match ready(scope, &path, &made, inputs).await {
            Ok(live) => attributes(&live, need(inputs, "app")?).ok_or_else(unusable),
            Err(Unready::Call(error)) => Err(error),
            // It is of no use and nobody knows of it yet: it must not stay behind.
            Err(Unready::Failed(words)) => match destroy(scope, &path).await {
                Ok(()) => Err(failed(format!("machine {id} {words}; it was removed"))),
                Err(_) => Err(CallError::OutcomeUnknown(format!("machine {id} {words}, and could not be removed"))),
            },
        }
    }

    /// Reads, changes what is ours, and writes all of it, since the platform removes what is left out. What it read has to be
    /// what it overwrites: the version says so. A machine that was stopped stays so.
    async fn update(
        &self,
        scope: &mut Scope<'_>,
        call: &Call,
        before: &Fields,
        inputs: &Fields,
        _changed: &[Name],
    ) -> Result<Fields, CallError> {
        let path = path(before)?;
        let live = scope.session.get(&path).await?.fine()?;
        let is_resting = matches!(get_text(&live, "state"), Some("stopped" | "suspended"));
        let body = Body::default()
            .with("config", config(inputs, live.get("config"), call, scope.marks)?)
            .with_some("current_version", get_text(&live, "instance_id"))
            .with_some("min_secrets_version", inputs.get("secrets_version").and_then(|it| it.as_int()))
            .with_some("skip_launch", is_resting.then_some(true));
        let updated = scope.session.send(Method::POST, &path, Some(&body.done())).await?.fine()?;
        let unusable = || CallError::OutcomeUnknown("fly answered with something that is no machine".into());
        // Without its version nobody could tell whether what is there is what was asked for.
        get_text(&updated, "instance_id").ok_or_else(unusable)?;
        let live = match is_resting {
            true => scope.session.get(&path).await?.fine()?,
            false => match ready(scope, &path, &updated, inputs).await {
                Ok(live) => live,
                Err(Unready::Call(error)) => return Err(error),
                // The next plan sees the new version on the platform and the old one in state, and goes on from there.
                Err(Unready::Failed(words)) => return Err(failed(format!("the new version {words}"))),
            },
        };
        attributes(&live, need(inputs, "app")?).ok_or_else(unusable)
    }

    async fn delete(&self, scope: &mut Scope<'_>, before: &Fields) -> Result<(), CallError> {
        destroy(scope, &path(before)?).await
    }

    async fn find_created(&self, scope: &mut Scope<'_>, call: &Call, inputs: &Fields) -> Result<Found, CallError> {
        let app = need(inputs, "app")?;
        let all = listed(scope, inputs).await?.unwrap_or_default();
        let ours = all.iter().filter(|machine| mark_of(machine, TOKEN) == Some(&call.token));
        let mut ours: Vec<Fields> = ours.filter_map(|machine| attributes(machine, app)).collect();
        Ok(match ours.len() {
            0 => Found::Absent,
            1 => done(ours.remove(0)),
            _ => Found::Candidates(ours.iter().filter_map(|it| Some(format!("machine {}", text(it, "id")?))).collect()),
        })
    }

    /// Every update leaves its token, so that it is done exactly if the token is there.
    async fn find_updated(
        &self,
        scope: &mut Scope<'_>,
        call: &Call,
        before: &Fields,
        _inputs: &Fields,
        _changed: &[Name],
    ) -> Result<Found, CallError> {
        let Some(machine) = look(scope, &path(before)?).await? else { return Ok(Found::Absent) };
        Ok(match attributes(&machine, need(before, "app")?) {
            None => Found::Absent,
            Some(live) if mark_of(&machine, TOKEN) == Some(&call.token) => done(live),
            Some(_) => Found::Unchanged,
        })
    }
}

/// Why a machine cannot be used.
enum Unready {
    Call(CallError),
    /// What it does instead.
    Failed(String),
}

impl From<CallError> for Unready {
    fn from(error: CallError) -> Self {
        Unready::Call(error)
    }
}

fn failed(words: String) -> CallError {
    CallError::Refused { status: None, field: None, words, request: None, code: Code::Refused }
}

fn path(known: &Fields) -> Result<String, CallError> {
    in_app(known, &format!("/machines/{}", segment(need(known, "id")?)))
}

/// All machines of an app; `None` if there is no such app.
async fn listed(scope: &mut Scope<'_>, group: &Fields) -> Result<Option<Vec<Json>>, CallError> {
    let reply = scope.session.get(&in_app(group, "/machines")?).await?;
    if reply.is_gone() {
        return Ok(None);
    }
    match reply.fine()? {
        Json::Array(machines) => Ok(Some(machines)),
        _ => Err(CallError::OutcomeUnknown("fly answered with something that is no list of machines".into())),
    }
}

async fn look(scope: &mut Scope<'_>, path: &str) -> Result<Option<Json>, CallError> {
    let reply = scope.session.get(path).await?;
    if reply.is_gone() { Ok(None) } else { reply.fine().map(Some) }
}

/// Waits until a version has started and all its checks pass, and gives the machine as it is then.
async fn ready(scope: &mut Scope<'_>, path: &str, machine: &Json, inputs: &Fields) -> Result<Json, Unready> {
    if !ends_by_itself(inputs) {
        started(scope, path, get_text(machine, "instance_id").unwrap_or("")).await?;
    }
    let mut poll = Poll::new();
    loop {
        let reply = scope.session.get(path).await;
        let live = match reply.and_then(Reply::fine) {
            Ok(live) => live,
            Err(error) if is_passing(&error) && !is_late(scope) => {
                poll.pause(scope).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let failing = failing_checks(&live, inputs);
        match failing.as_slice() {
            [] => return Ok(live),
            failing if is_late(scope) => {
                return Err(Unready::Failed(format!("does not pass its checks: {}", failing.join(", "))));
            }
            _ => poll.pause(scope).await,
        }
    }
}

fn is_late(scope: &Scope<'_>) -> bool {
    scope.session.left() <= TO_TAKE_BACK
}

/// Machines that run to their end are not waited for: they may have ended before one looks.
fn ends_by_itself(inputs: &Fields) -> bool {
    let policy = inputs.get("restart").and_then(|restart| restart.as_map()).and_then(|restart| text(restart, "policy"));
    policy == Some("no")
        || inputs.get("auto_destroy").and_then(|it| it.as_bool()) == Some(true)
        || text(inputs, "schedule").is_some()
}

/// Waits for that version, since an earlier one may be in the state that is waited for.
async fn started(scope: &mut Scope<'_>, path: &str, version: &str) -> Result<(), Unready> {
    let mut poll = Poll::new();
    let made = scope.session.left();
    loop {
        let seconds = scope.session.left().saturating_sub(TO_TAKE_BACK).as_secs().clamp(1, WAIT_MAX);
        let mut asked = vec![("state", "started".to_owned()), ("timeout", seconds.to_string())];
        if !version.is_empty() {
            asked.push(("version", version.to_owned()));
        }
        let asked: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let path = format!("{path}/wait{}", query(&asked));
        let within = Duration::from_secs(seconds + 10);
        let words = match scope.session.send_within(Method::GET, &path, None, within).await {
            Ok(reply) if reply.is_fine() => return Ok(()),
            Ok(reply) if reply.status == 400 => return Err(Unready::Failed(format!("does not start: {}", reply.words))),
            Ok(reply) if reply.status == 404 && made - scope.session.left() > SPREADING => {
                return Err(Unready::Failed("has gone while it was to start".into()));
            }
            Ok(reply) if !matches!(reply.status, 404 | 408 | 429 | 500..) => return Err(reply.sort().into()),
            Ok(reply) => reply.words,
            Err(error) if is_passing(&error) => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        if is_late(scope) {
            return Err(Unready::Failed(format!("has not started in time: {words}")));
        }
        poll.pause(scope).await;
    }
}

/// The checks that do not pass, each with what it says. While checks are configured and none is reported, they have not run.
fn failing_checks(machine: &Json, inputs: &Fields) -> Vec<String> {
    let has = |fields: &Fields, name: &str| match fields.get(name).map(|value| &value.data) {
        Some(crate::model::Data::List(items)) => !items.is_empty(),
        Some(crate::model::Data::Map(entries)) => !entries.is_empty(),
        _ => false,
    };
    let services = inputs.get("services").and_then(|it| it.as_list()).unwrap_or(&[]);
    let expected = has(inputs, "checks") || services.iter().filter_map(|it| it.as_map()).any(|it| has(it, "checks"));
    let reported = get_list(machine, "checks");
    if !expected || ends_by_itself(inputs) {
        return Vec::new();
    }
    if reported.is_empty() {
        return vec!["none has run".into()];
    }
    let failing = reported.iter().filter(|check| get_text(check, "status") != Some("passing"));
    let words = |check: &Json| {
        let output: String = get_text(check, "output").unwrap_or("").chars().take(80).collect();
        format!("{} is {} ({output})", get_text(check, "name").unwrap_or("check"), get_text(check, "status").unwrap_or("unknown"))
    };
    failing.map(words).collect()
}

/// Destroys and waits until it is gone: before that, neither its name nor its volume is free.
async fn destroy(scope: &mut Scope<'_>, path: &str) -> Result<(), CallError> {
    let reply = scope.session.send(Method::DELETE, &format!("{path}?force=true"), None).await?;
    if reply.is_gone() {
        return Ok(());
    }
    reply.done()?;
    let mut poll = Poll::new();
    loop {
        let reply = scope
            .session
            .send_within(Method::GET, &format!("{path}/wait?state=destroyed&timeout=20"), None, Duration::from_secs(30))
            .await;
        match reply {
            Ok(reply) if reply.is_fine() || reply.is_gone() => return Ok(()),
            Ok(reply) if !matches!(reply.status, 408 | 429 | 500..) => return Err(reply.sort()),
            Err(error) if !is_passing(&error) => return Err(error),
            _ if scope.session.left().is_zero() => {
                return Err(CallError::OutcomeUnknown("the machine is being destroyed, and is not gone yet".into()));
            }
            _ => poll.pause(scope).await,
        }
    }
}
