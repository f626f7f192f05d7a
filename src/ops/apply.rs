//! `apply`: settle what was left open, lease what the plan writes, make it, close the run with its revision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::anchors;
use super::author::Author;
use super::connections::Connections;
use super::desired::with_remembered;
use super::elsewhere;
use super::interrupted;
use super::project::Failure;
use super::signing;
use super::wait::Wait;
pub use super::wait::{LockWait, Waiting};
use super::workspace::Workspace;
use crate::apply::{self, ApplyOptions, Connect, Journal, Outcome, RecoverOptions, Surroundings};
pub use crate::apply::{Event, Recovered, StepName, Stop};
use crate::model::desired::Reveal;
use crate::model::{
    Action, Address, Code, Deferred, DesiredProvider, Diagnostic, Fields, Name, Plan, ProviderName, Sources, Value,
};
pub use crate::plan::Half;
use crate::plan::{Present, check_fits, moved_on};
use crate::providers::registry;
pub use crate::state::Held;
use crate::state::log::{ProviderSettings, Revealed};
use crate::state::{Begun, Body, JudgedPolicy, Revision, Run, RunHeader, Settlement, View};

/// How to apply.
#[derive(Clone, Debug)]
pub struct Request {
    /// What history calls it: the word on the command line, and for a rotation the secret.
    pub command: String,
    pub author: Author,
    /// Calls at once; `None` leaves it to each provider's budget.
    pub parallel: Option<u32>,
    /// How long to wait for somebody else's apply of the same resources.
    pub lock_wait: Duration,
    /// Who waits.
    pub waiting: Waiting,
    /// How long running calls get after the first signal.
    pub grace: Duration,
}

/// What became of it.
pub struct Applied {
    pub outcome: Outcome,
    pub run: u64,
    /// The number of the revision that closed the run; `None` where the log could no longer be written.
    pub revision: Option<u64>,
    /// The head of the log afterwards, as `verify --since` takes it.
    pub head: Option<String>,
}

/// Settles what interrupted runs left open; nothing where there is nothing. Comes before a plan is made. Calls of a run that lives
/// are its own and left to it; one that may live is waited for until its lease ends.
///
/// Errors: those of writing the log. Ends early, with what is settled by then, where whoever waits wants to stop.
pub async fn settle(
    workspace: &mut Workspace,
    connections: &Arc<Connections>,
    providers: Vec<DesiredProvider>,
    request: &Request,
) -> Result<Vec<Recovered>, Failure> {
    let Some(run) = begin_settling(workspace, request).await? else { return Ok(Vec::new()) };
    let world = workspace.settings.world.clone();
    let journal = Journal::new(run, world.clone());
    let connect: Arc<dyn Connect> = connections.clone();
    let options = RecoverOptions { providers: with_remembered(providers, workspace.state.view()) };
    let settled = tokio::select! {
        biased;
        settled = apply::recover(&journal, &workspace.schemas, connect, &world, &options) => settled,
        () = request.waiting.is_over() => Ok(Vec::new()),
    };
    let settled = settled.map_err(|it| workspace.fail(it))?;
    close_settled(&journal, request, &settled).await.map_err(|it| workspace.fail(it))?;
    workspace.state.refresh().await.map_err(|it| workspace.fail(it))?;
    Ok(settled)
}

/// A run that holds the addresses of all calls that no living run holds; `None` where there are none.
async fn begin_settling(workspace: &mut Workspace, request: &Request) -> Result<Option<Run>, Failure> {
    signing::ready(&workspace.settings, &workspace.state).map_err(|it| workspace.fail(it))?;
    let mut wait = Wait::new(&workspace.settings.world.clock, request.lock_wait);
    loop {
        workspace.state.refresh().await.map_err(|it| workspace.fail(it))?;
        let open: BTreeSet<Address> = interrupted::left(&workspace.state).await.map_err(|it| workspace.fail(it))?;
        if open.is_empty() {
            return Ok(None);
        }
        let header = header(request, open.into_iter().collect(), None, 0);
        match workspace.state.try_begin(&header).await.map_err(|it| workspace.fail(it))? {
            Begun::Run(run) => return Ok(Some(run)),
            // It lives after all, so its calls are its own: asked again, they are not among those that are left.
            Begun::Held(held) => {
                if !wait.on(&held, &request.waiting).await {
                    return Ok(None);
                }
            }
        }
    }
}

/// Ends a run that did no more than settle: with a revision, where that changed what state holds.
async fn close_settled(journal: &Journal, request: &Request, settled: &[Recovered]) -> Result<(), Box<Diagnostic>> {
    if !settled.iter().any(|it| matches!(it.how, Settlement::Adopted | Settlement::Repeated)) {
        return journal.release().await;
    }
    let outputs = journal.view().outputs.clone();
    journal.finish(revision(request, "settle", None, &settled_counts(settled), outputs)).await.map(drop)
}

fn settled_counts(settled: &[Recovered]) -> Outcome {
    let mut counts: BTreeMap<Name, u32> = BTreeMap::new();
    for it in settled.iter().filter(|it| it.how != Settlement::Flagged) {
        *counts.entry(it.action.as_str().into()).or_default() += 1;
    }
    Outcome { counts, ..Outcome::default() }
}

/// Looks, before anything is leased or sent, for what would keep the plan's calls from succeeding: programs and credentials that
/// are not there.
///
/// Errors: all of them, such as [`Code::ProgramMissing`] and [`Code::NoCredentials`].
pub fn preflight(connections: &Connections, plan: &Plan, sources: &Arc<Sources>) -> Result<(), Failure> {
    if let Some(first) = plan.deferred.first() {
        let refused = refuse_deferred(plan, first, &connections.cloud_flag());
        return Err(Failure::new(vec![refused], sources.clone()));
    }
    let mut kinds: BTreeMap<ProviderName, BTreeSet<Name>> = BTreeMap::new();
    for change in &plan.changes {
        if matches!(change.action, Action::Create | Action::Replace { .. } | Action::Run | Action::Update) {
            kinds.entry(change.provider.clone()).or_default().insert(change.kind.name.clone());
        }
    }
    let mut found = connections.preflight(&kinds);
    let settings_known = |it: &&DesiredProvider| !it.settings.values().any(Value::has_unknown);
    for provider in plan.providers.iter().filter(settings_known) {
        let is_called = plan.changes.iter().any(|change| change.provider == provider.name && change.action.calls());
        if is_called && let Err(diagnostic) = connections.connect(provider) {
            found.push(*diagnostic);
        }
    }
    if found.is_empty() { Ok(()) } else { Err(Failure::new(found, sources.clone())) }
}

/// A set whose keys are known only after apply would be planned in a second wave, which this version does not make.
fn refuse_deferred(plan: &Plan, first: &Deferred, cloud_flag: &str) -> Diagnostic {
    let waits: Vec<String> = first.waits_for.iter().map(|it| format!("`{it}`")).collect();
    let only: Vec<String> = first.waits_for.iter().map(|it| format!("--only '{it}'")).collect();
    let others = match plan.deferred.len() {
        1 => String::new(),
        more => format!(", and {} more sets wait like it", more - 1),
    };
    Code::NotYet
        .error(format!("the keys of `{}` are known only after an apply{others}; nothing was changed", first.address))
        .label(first.span, format!("waits for {}", waits.join(", ")))
        .note("this version does not apply in waves: what such a set waits for is applied first")
        .help(format!(
            "`stackwright apply {} --env {}{cloud_flag}`, then apply again: the keys are known by then",
            only.join(" "),
            plan.environment
        ))
        .about(first.address.clone())
}

/// Makes what a plan says. `sources` are the texts that the plan's places are in.
///
/// Errors: [`Code::Locked`], [`Code::StalePlan`]: nothing was changed then. Whatever happens later is in the outcome.
pub async fn make(
    workspace: &mut Workspace,
    connections: &Connections,
    plan: &Plan,
    sources: &Arc<Sources>,
    request: &Request,
    events: mpsc::UnboundedSender<Event>,
    stop: watch::Receiver<Stop>,
) -> Result<Applied, Failure> {
    let fail = |diagnostic: Box<Diagnostic>| Failure::new(vec![*diagnostic], sources.clone());
    let addresses: BTreeSet<Address> = plan.changes.iter().flat_map(written).collect();
    let header = header(request, addresses.into_iter().collect(), Some(plan), plan.changes.len() as u32);
    let Some(run) = begin(workspace, header, request).await? else {
        let outcome = Outcome { interrupted: true, ..Outcome::default() };
        return Ok(Applied { outcome, run: 0, revision: None, head: None });
    };
    let journal = Journal::new(run.clone(), workspace.settings.world.clone());
    let store = run.view().store_id().map(|id| id.to_string()).unwrap_or_default();
    let connect: Arc<dyn Connect> = Arc::new(connections.for_store(&store));
    // A run that has died since the plan was made: what it left open comes before our own work.
    let mut settled = Vec::new();
    if run.unsettled().iter().any(|open| open.flagged.is_none()) {
        let options = RecoverOptions { providers: with_remembered(plan.providers.clone(), &run.view()) };
        let world = &workspace.settings.world;
        settled = tokio::select! {
            biased;
            settled = apply::recover(&journal, &workspace.schemas, connect.clone(), world, &options) => settled.map_err(fail)?,
            () = request.waiting.is_over() => Vec::new(),
        };
        settled.iter().cloned().for_each(|it| drop(events.send(Event::Settled(it))));
    }
    let view = run.with_latest(View::clone).await;
    let is_first = plan.store.is_empty() && view.revision == 0 && view.records.is_empty();
    let base = (view.revision > 0).then_some(view.revision);
    let digest = workspace.state.digester();
    let present = Present {
        store: if is_first { "" } else { &store },
        revision: base,
        records: &view.records,
        schemas: &workspace.schemas,
        digest: &*digest,
    };
    let fits = match check_fits(plan, &present) {
        Ok(()) => elsewhere::check_fits(workspace, plan).await,
        Err(stale) => {
            let moved = moved_on(plan, &present);
            workspace.state.refresh().await.map_err(fail)?;
            Err(super::stale::explained(stale, plan, &moved, &workspace.state).await)
        }
    };
    if let Err(stale) = fits {
        close_settled(&journal, request, &settled).await.map_err(fail)?;
        return Err(fail(stale));
    }
    // Before anything is done: how its providers are reached, and what it opens, is known even if it is killed.
    let reached = plan.providers.iter().filter(|it| is_news(it, &view)).map(reached);
    run.append(reached.collect()).await.map_err(fail)?;
    run.append(plan.reveals.iter().map(|it| revealed(it, sources, request)).collect()).await.map_err(fail)?;
    let blocked = view.open.values().filter_map(|open| Some((open.intent.address.clone(), open.flagged.clone()?))).collect();
    let surroundings = Surroundings {
        journal: journal.clone(),
        connect,
        world: workspace.settings.world.clone(),
        sources: sources.clone(),
        digest: workspace.state.digester(),
        events,
        stop,
    };
    let parallel = request.parallel.map_or(ApplyOptions::default().parallel, |it| it as usize);
    let options = ApplyOptions { parallel, grace: request.grace, blocked };
    let mut outcome = apply::apply(plan, surroundings, &options).await;
    let revision = match &outcome.broken {
        Some(_) => None,
        None => {
            let revision = revision(request, &request.command, Some(plan), &outcome, outcome.outputs.clone());
            journal.finish(revision).await.map_err(|broken| outcome.broken = Some(broken)).ok()
        }
    };
    // What was done is said, whether or not the store can be read once more.
    let head = match workspace.state.refresh().await {
        Ok(()) => {
            anchors::remember_state(&workspace.settings, &workspace.state);
            workspace.state.view().head.map(crate::audit::written)
        }
        Err(_) => None,
    };
    Ok(Applied { outcome, run: journal.run(), revision, head })
}

/// Whether the log does not say yet how this provider instance is reached. Settings that wait for a resource are said another time.
fn is_news(provider: &DesiredProvider, view: &View) -> bool {
    let is_known = !provider.settings.values().any(Value::has_unknown);
    is_known && !provider.settings.is_empty() && view.providers.get(&provider.name).is_none_or(|it| **it != provider.settings)
}

fn reached(provider: &DesiredProvider) -> Body {
    Body::Provider(ProviderSettings { name: provider.name.clone(), settings: provider.settings.clone() })
}

fn revealed(reveal: &Reveal, sources: &Sources, request: &Request) -> Body {
    Body::Reveal(Revealed {
        place: sources.place(reveal.span).map(|it| it.to_string()).unwrap_or_default(),
        reason: reveal.reason.clone(),
        instance: reveal.instance.clone(),
        who: request.author.who.clone(),
    })
}

/// What a change writes: its own address, and where it came from.
fn written(change: &crate::model::Change) -> Vec<Address> {
    match &change.action {
        Action::Move { from } => vec![change.address.clone(), from.clone()],
        _ => vec![change.address.clone()],
    }
}

/// Begins a run, waiting for others as long as was allowed; `None` where whoever waits wants to stop.
async fn begin(workspace: &mut Workspace, header: RunHeader, request: &Request) -> Result<Option<Run>, Failure> {
    signing::ready(&workspace.settings, &workspace.state).map_err(|it| workspace.fail(it))?;
    let mut wait = Wait::new(&workspace.settings.world.clock, request.lock_wait);
    loop {
        let held = match workspace.state.try_begin(&header).await.map_err(|it| workspace.fail(it))? {
            Begun::Run(run) => return Ok(Some(run)),
            Begun::Held(held) => held,
        };
        if !wait.allows(&held) {
            return Err(workspace.fail(held.refusal(&workspace.name())));
        }
        if !wait.on(&held, &request.waiting).await {
            return Ok(None);
        }
    }
}

fn header(request: &Request, addresses: Vec<Address>, plan: Option<&Plan>, changes: u32) -> RunHeader {
    RunHeader {
        command: request.command.clone(),
        who: request.author.who.clone(),
        host: request.author.host.clone(),
        pid: std::process::id(),
        commit: request.author.commit.clone(),
        plan: plan.map(|plan| plan.id.clone()),
        effects: plan.map(|plan| plan.effects),
        addresses,
        changes,
        engine: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn revision(request: &Request, command: &str, plan: Option<&Plan>, outcome: &Outcome, outputs: Fields) -> Revision {
    let schemas = registry::schemas();
    let taking_part: BTreeSet<Name> =
        plan.iter().flat_map(|plan| &plan.changes).map(|change| change.provider.ty.clone()).collect();
    let providers = taking_part.into_iter().filter_map(|name| Some((name.clone(), schemas.providers.get(&name)?.version)));
    let inputs = plan.iter().flat_map(|plan| &plan.inputs);
    Revision {
        number: 0,
        run: 0,
        time_ms: 0,
        command: command.to_owned(),
        who: request.author.who.clone(),
        commit: request.author.commit.clone(),
        plan: plan.map(|plan| plan.id.clone()),
        effects: plan.map(|plan| plan.effects),
        approved_by: Vec::new(),
        counts: outcome.counts.clone(),
        result: outcome.result(),
        inputs: inputs.map(|(name, value)| (name.clone(), value.to_literal(), String::new())).collect(),
        outputs,
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        providers: providers.collect(),
        failed: outcome
            .failed
            .iter()
            .map(|it| (it.address.clone(), it.diagnostic.code as u16, it.diagnostic.message.clone()))
            .collect(),
        not_started: outcome.not_started.iter().map(|it| (it.address.clone(), it.why.clone())).collect(),
        reason: None,
        policies: plan.iter().flat_map(|plan| &plan.policies).map(JudgedPolicy::of).collect(),
    }
}
