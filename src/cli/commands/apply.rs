//! `stackwright apply` and `stackwright destroy`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::Context;
use super::plan::{given, request, show};
use crate::cli::args::{AdoptArgs, ApplyArgs, ConsentArgs, DestroyArgs, RotateArgs};
use crate::cli::ask::{self, Answer};
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::plan_text::{Read, View, resources};
use crate::cli::progress::{self, Progress, clock};
use crate::cli::report::count;
use crate::cli::{json, signals};
use crate::model::{Code, Diagnostic, Plan, Sources};
use crate::ops::apply::{self, Applied, Held, Stop, Waiting};
use crate::ops::author::author;
use crate::ops::connections::Connections;
use crate::ops::consent;
use crate::ops::given::Given;
use crate::ops::interrupted;
use crate::ops::plan::{self, Planned, Request};
use crate::ops::policies;
use crate::ops::project::Failure;
use crate::ops::secrets;
use crate::ops::workspace::Workspace;

pub async fn apply(context: &Context<'_>, args: &ApplyArgs) -> Result<Exit, Failure> {
    let settings = context.settings;
    let mut workspace = Workspace::open(settings, &given(&args.given), context.global.env.as_deref()).await?;
    let stop = signals::listen(context.global.timeout, &context.settings.world);
    let begun = Session::begin(context, &mut workspace, &args.consent, "apply", &stop).await?;
    let Some(session) = begun else { return Ok(Exit::Interrupted) };
    let held_secrets = workspace.state.holds_secrets();
    let result = match &args.plan {
        Some(named) => {
            let (plan, sources) = plan::read(&workspace, named).map_err(|it| workspace.fail(it))?;
            session.reviewed(&mut workspace, &plan, &sources, args.full, stop).await
        }
        None => session.planned(&mut workspace, &request(&args.scope), args.full, stop).await,
    };
    session.connections.close().await;
    context.tell_of_key(&workspace, held_secrets);
    result
}

pub async fn destroy(context: &Context<'_>, args: &DestroyArgs) -> Result<Exit, Failure> {
    let given = Given { ..given(&args.given) };
    let mut workspace = Workspace::open(context.settings, &given, context.global.env.as_deref()).await?;
    let stop = signals::listen(context.global.timeout, &context.settings.world);
    let begun = Session::begin(context, &mut workspace, &args.consent, "destroy", &stop).await?;
    let Some(session) = begun else { return Ok(Exit::Interrupted) };
    let request = Request { only: args.only.clone(), destroy: true, ..Request::default() };
    let result = session.planned(&mut workspace, &request, false, stop).await;
    session.connections.close().await;
    result
}

pub async fn rotate(context: &Context<'_>, args: &RotateArgs) -> Result<Exit, Failure> {
    let mut workspace = Workspace::open(context.settings, &given(&args.given), context.global.env.as_deref()).await?;
    let command = format!("rotate {}", args.secret.trim_start_matches("secret."));
    let stop = signals::listen(context.global.timeout, &context.settings.world);
    let begun = Session::begin(context, &mut workspace, &args.consent, &command, &stop).await?;
    let Some(session) = begun else { return Ok(Exit::Interrupted) };
    let result = session.rotated(&mut workspace, &args.secret, args.full, stop).await;
    session.connections.close().await;
    result
}

pub async fn adopt(context: &Context<'_>, args: &AdoptArgs) -> Result<Exit, Failure> {
    let mut workspace = Workspace::open(context.settings, &given(&args.given), context.global.env.as_deref()).await?;
    let stop = signals::listen(context.global.timeout, &context.settings.world);
    let begun = Session::begin(context, &mut workspace, &args.consent, "adopt", &stop).await?;
    let Some(session) = begun else { return Ok(Exit::Interrupted) };
    let adopt = Some((args.address.clone(), args.id.clone()));
    let request = Request { only: vec![args.address.clone()], adopt, ..Request::default() };
    let result = session.planned(&mut workspace, &request, false, stop).await;
    session.connections.close().await;
    result
}

/// How often a plan that nobody has read is made anew, since others have changed what it was made from.
const REPLANS: u32 = 8;

/// Whether what was left open is looked through.
#[derive(PartialEq, Eq)]
enum Settled {
    All,
    /// A signal came first.
    Stopped,
}

fn is_stale(failure: &Failure) -> bool {
    matches!(&failure.diagnostics[..], [only] if only.code == Code::StalePlan)
}

/// Says for whom is waited, as long as nothing else is on the screen.
pub(super) fn waiting(context: &Context<'_>, stop: &watch::Receiver<Stop>) -> Waiting {
    let (output, limit) = (context.output.clone(), context.global.lock_wait);
    let told = move |held: &Held| {
        let holder = &held.holder;
        let limit =
            limit.filter(|_| !holder.life.is_silent()).map(|limit| format!(" up to {}", clock(limit))).unwrap_or_default();
        output.about(&format!("Waiting{limit} for {}, since {}\n", Escaped(&holder.who()), Escaped(&holder.state())));
    };
    Waiting { told: Some(Arc::new(told)), stop: Some(stop.clone()) }
}

/// One apply, from the plan to the last line.
struct Session<'c> {
    context: &'c Context<'c>,
    consent: &'c ConsentArgs,
    connections: Arc<Connections>,
    request: apply::Request,
}

impl<'c> Session<'c> {
    /// Connects, and looks first what became of what was left open; `None` where a signal came meanwhile.
    async fn begin(
        context: &'c Context<'c>,
        workspace: &mut Workspace,
        consent: &'c ConsentArgs,
        command: &str,
        stop: &watch::Receiver<Stop>,
    ) -> Result<Option<Session<'c>>, Failure> {
        let session = Session::open(context, workspace, consent, command, stop).await?;
        if session.settle(workspace).await? == Settled::Stopped {
            session.connections.close().await;
            return Ok(None);
        }
        Ok(Some(session))
    }

    async fn open(
        context: &'c Context<'c>,
        workspace: &Workspace,
        consent: &'c ConsentArgs,
        command: &str,
        stop: &watch::Receiver<Stop>,
    ) -> Result<Session<'c>, Failure> {
        let is_ci = (context.settings.variable)("CI").is_some_and(|it| !it.is_empty());
        let request = apply::Request {
            command: command.to_owned(),
            author: author(context.settings),
            parallel: consent.parallel,
            lock_wait: context.global.lock_wait.unwrap_or(Duration::ZERO),
            waiting: waiting(context, stop),
            grace: signals::grace(is_ci),
        };
        Ok(Session { context, consent, connections: Arc::new(workspace.connections().await?), request })
    }

    /// Finds out what became of calls that an interrupted run left open, and says so.
    async fn settle(&self, workspace: &mut Workspace) -> Result<Settled, Failure> {
        let open = interrupted::left(&workspace.state).await?.len();
        if open == 0 {
            return Ok(Settled::All);
        }
        self.context
            .output
            .about(&format!("An interrupted run left {} without an answer: looking what became of them\n", count(open, "call")));
        // A program that no longer expands must not keep what is open from being looked at.
        let providers = crate::ops::desired::desired(workspace).map(|desired| desired.providers).unwrap_or_default();
        let settled = apply::settle(workspace, &self.connections, providers, &self.request).await?;
        for it in &settled {
            self.context.output.about(&format!("{}\n", progress::settled(&self.context.output.about, it)));
        }
        let stop = self.request.waiting.stop.as_ref().is_some_and(|stop| *stop.borrow() != Stop::No);
        Ok(if stop { Settled::Stopped } else { Settled::All })
    }

    /// Plans now, asks, and makes it. Where others have changed meanwhile what the plan was made from, and nobody has read it, it is
    /// planned anew.
    async fn planned(
        &self,
        workspace: &mut Workspace,
        request: &Request,
        full: bool,
        mut stop: watch::Receiver<Stop>,
    ) -> Result<Exit, Failure> {
        let mut again = 0;
        loop {
            let planned = tokio::select! {
                planned = plan::refreshed(workspace, &self.connections, request) => planned?,
                _ = stop.wait_for(|stop| *stop != Stop::No) => return Ok(Exit::Interrupted),
            };
            match self.shown_and_made(workspace, &planned, full, stop.clone()).await {
                Err(failure) if self.consent.yes && again < REPLANS && is_stale(&failure) => {
                    again += 1;
                    self.context.output.about("Somebody else has changed what this plan was made from: planned anew\n");
                    workspace.state.refresh().await.map_err(|it| workspace.fail(it))?;
                }
                result => return result,
            }
        }
    }

    /// Plans another value for a secret, or what an interrupted rotation left, asks, and makes it.
    async fn rotated(
        &self,
        workspace: &mut Workspace,
        secret: &str,
        full: bool,
        mut stop: watch::Receiver<Stop>,
    ) -> Result<Exit, Failure> {
        let rotation = tokio::select! {
            rotation = secrets::rotate(workspace, &self.connections, secret) => rotation?,
            _ = stop.wait_for(|stop| *stop != Stop::No) => return Ok(Exit::Interrupted),
        };
        if !rotation.unfinished.is_empty() {
            let behind: Vec<String> = rotation.unfinished.iter().map(|it| Escaped(it.as_str()).to_string()).collect();
            let secret = Escaped(rotation.secret.as_str());
            self.context.output.about(&format!(
                "! the last rotation of {secret} did not reach {}: it is carried on, and no third value is made\n",
                behind.join(", ")
            ));
        }
        self.shown_and_made(workspace, &rotation.planned, full, stop).await
    }

    async fn shown_and_made(
        &self,
        workspace: &mut Workspace,
        planned: &Planned,
        full: bool,
        stop: watch::Receiver<Stop>,
    ) -> Result<Exit, Failure> {
        let sources = workspace.sources().clone();
        // Under `--json` the one document is the result of the apply.
        if !self.context.output.json {
            let text = crate::cli::output::Output { json_to: None, ..self.context.output.clone() };
            show(&Context { output: &text, ..*self.context }, workspace, planned, full)?;
        }
        self.agree_and_make(workspace, &planned.plan, &sources, false, stop).await
    }

    /// Makes a plan that was made, and read, before.
    async fn reviewed(
        &self,
        workspace: &mut Workspace,
        plan: &Plan,
        sources: &Arc<Sources>,
        full: bool,
        stop: watch::Receiver<Stop>,
    ) -> Result<Exit, Failure> {
        let view = View { plan, sources, terminal: self.context.output.result, full, read: Read::Reviewed };
        self.context.output.text(&view.render());
        self.agree_and_make(workspace, plan, sources, true, stop).await
    }

    async fn agree_and_make(
        &self,
        workspace: &mut Workspace,
        plan: &Plan,
        sources: &Arc<Sources>,
        read_before: bool,
        stop: watch::Receiver<Stop>,
    ) -> Result<Exit, Failure> {
        let refused = policies::refusals(plan);
        if !refused.is_empty() {
            return Err(Failure::new(refused, sources.clone()));
        }
        if plan.is_empty() {
            if self.context.output.wants_document() {
                self.context.output.document(&document(plan, None))?;
            }
            return Ok(Exit::Done);
        }
        self.agree(plan, sources, read_before)?;
        apply::preflight(&self.connections, plan, sources)?;
        let begun = self.context.settings.world.clock.elapsed();
        let (sender, events) = mpsc::unbounded_channel();
        let progress = Progress { plan, sources, output: self.context.output, world: &self.context.settings.world };
        let making = apply::make(workspace, &self.connections, plan, sources, &self.request, sender, stop.clone());
        let mut leave = stop.clone();
        let both = async { tokio::join!(making, progress.follow(events)).0 };
        let applied = tokio::select! {
            applied = both => applied?,
            // The second signal: an open intent in the log is the mark, and the next apply looks at it first.
            _ = leave.wait_for(|stop| *stop == Stop::Leave) => {
                self.context.output.about("Left at once. `stackwright apply` looks what became of the running calls, and carries on\n");
                return Ok(Exit::Interrupted);
            }
        };
        let took = self.context.settings.world.clock.elapsed() - begun;
        if self.context.output.wants_document() {
            self.context.output.document(&document(plan, Some(&applied)))?;
        }
        Ok(self.result(workspace, plan, sources, &applied, took))
    }

    /// Asks for what has to be agreed to.
    fn agree(&self, plan: &Plan, sources: &Arc<Sources>, read_before: bool) -> Result<(), Failure> {
        let fail = |diagnostic: Box<Diagnostic>| Failure::new(vec![*diagnostic], sources.clone());
        let losses = consent::unconfirmed(plan, &self.consent.allow_destroy).map_err(fail)?;
        let can_ask = ask::can_ask(self.context.output);
        if !losses.is_empty() && !can_ask {
            return Err(fail(consent::refuse_losses(&losses)));
        }
        for address in &losses {
            let question = format!("This loses what {} holds. To lose it, type its address", Escaped(address.as_str()));
            if !ask::typed(&question, address.as_str()) {
                return Err(fail(consent::declined()));
            }
        }
        if self.consent.yes || (read_before && !can_ask) {
            return Ok(());
        }
        if !can_ask {
            return Err(fail(consent::refuse_unasked(plan)));
        }
        let changes = count(plan.changes.len(), "change");
        if plan.protect {
            let question = format!("Apply {changes} to {}, which is protected? Type its name", plan.environment);
            return if ask::typed(&question, &plan.environment) { Ok(()) } else { Err(fail(consent::declined())) };
        }
        loop {
            match ask::yes_no_details(&format!("Apply {changes} to {}?", plan.environment)) {
                Answer::Yes => return Ok(()),
                Answer::No => return Err(fail(consent::declined())),
                Answer::Details => {
                    let view = View { plan, sources, terminal: self.context.output.result, full: true, read: Read::Before };
                    self.context.output.text(&view.render());
                }
            }
        }
    }

    fn result(&self, workspace: &Workspace, plan: &Plan, sources: &Sources, applied: &Applied, took: Duration) -> Exit {
        let (output, outcome) = (self.context.output, &applied.outcome);
        if applied.run == 0 {
            output.about("Nothing was begun: stopped while waiting for somebody else's apply\n");
            return Exit::Interrupted;
        }
        let environment = &workspace.environment;
        let rev = applied.revision.map(|number| format!("State rev {number} is saved")).unwrap_or_default();
        if outcome.is_complete() {
            let left = resources(workspace.state.view().records.len());
            let mut out = format!("\nDone in {}: {}. {rev}; {left}.\n", clock(took), counts_text(&outcome.counts));
            for (name, value) in &workspace.state.view().outputs {
                out.push_str(&format!("  output.{} = {}\n", Escaped(name), crate::cli::diff::shown(value)));
            }
            output.text(&out);
            output.about(&format!("Next: {}\n", self.context.command(environment, "status")));
            return Exit::Done;
        }
        let saved = match applied.revision {
            Some(_) => format!("{rev} and complete."),
            None => "The log could not be written to the end: what is done is in it.".to_owned(),
        };
        let mut out = format!(
            "\nStopped after {}: {} done, {} failed, {} not started. {saved}\n",
            clock(took),
            outcome.done.len(),
            outcome.failed.len(),
            outcome.not_started.len()
        );
        for failed in &outcome.failed {
            out.push_str(&format!(
                "  failed       {}   {} ({} above)\n",
                Escaped(failed.address.as_str()),
                Escaped(&failed.diagnostic.message),
                failed.diagnostic.code
            ));
        }
        let mut waiting: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for it in &outcome.not_started {
            waiting.entry(&it.why).or_default().push(it.address.as_str());
        }
        for (why, addresses) in waiting {
            let shown = addresses.iter().take(4).map(|it| Escaped(it).to_string()).collect::<Vec<_>>().join(", ");
            let more = if addresses.len() > 4 { format!(" and {} more", addresses.len() - 4) } else { String::new() };
            out.push_str(&format!("  not started  {shown}{more} ({})\n", Escaped(why)));
        }
        for address in &outcome.open {
            out.push_str(&format!("  unanswered   {} (the next apply looks what became of it)\n", Escaped(address.as_str())));
        }
        output.text(&out);
        if let Some(broken) = &outcome.broken {
            output.diagnostics(std::slice::from_ref(&**broken), sources);
        }
        let left = match plan.changes.len() - outcome.done.len() {
            // All is made, and what it had to come to it has not.
            0 => String::new(),
            left => format!(" ({left} left)"),
        };
        let command = self.context.command(environment, "apply");
        let first = if outcome.broken.is_some() { "when the log can be written again," } else { "correct what failed, then" };
        output.about(&format!("Next: {first} `{command}` carries on{left}\n"));
        match () {
            () if outcome.interrupted => Exit::Interrupted,
            () if outcome.done.is_empty() && outcome.open.is_empty() => {
                Exit::of(&outcome.failed.iter().map(|it| it.diagnostic.clone()).collect::<Vec<_>>())
            }
            () => Exit::PartWay,
        }
    }
}

fn counts_text(counts: &BTreeMap<crate::model::Name, u32>) -> String {
    let past = |word: &str| match word {
        "create" => "created".to_owned(),
        "update" => "changed".to_owned(),
        "replace" => "replaced".to_owned(),
        "destroy" => "destroyed".to_owned(),
        "run" => "ran".to_owned(),
        "read" => "read".to_owned(),
        "move" => "moved".to_owned(),
        "adopt" => "adopted".to_owned(),
        "forget" => "forgotten".to_owned(),
        "record" => "recorded".to_owned(),
        other => other.to_owned(),
    };
    if counts.is_empty() {
        return "nothing was changed".into();
    }
    counts.iter().map(|(word, number)| format!("{number} {}", past(word))).collect::<Vec<_>>().join(", ")
}

fn document(plan: &Plan, applied: Option<&Applied>) -> serde_json::Value {
    let outcome = applied.map(|it| &it.outcome);
    let failed: Vec<_> = outcome.iter().flat_map(|it| &it.failed).map(|it| {
        json!({"address": it.address.as_str(), "code": it.diagnostic.code.to_string(), "message": it.diagnostic.message})
    }).collect();
    let not_started: Vec<_> =
        outcome.iter().flat_map(|it| &it.not_started).map(|it| json!({"address": it.address.as_str(), "why": it.why})).collect();
    let outputs: serde_json::Map<_, _> =
        outcome.iter().flat_map(|it| &it.outputs).map(|(name, value)| (name.to_string(), json::value(value))).collect();
    json::document(
        "apply",
        json!({
            "plan": plan.id,
            "stack": plan.stack,
            "environment": plan.environment,
            "simulated": plan.simulated,
            "run": applied.map(|it| it.run),
            "revision": applied.and_then(|it| it.revision),
            "head": applied.and_then(|it| it.head.as_deref()),
            "result": outcome.map_or("ok", |it| it.result().word()),
            "done": outcome.map_or(0, |it| it.done.len()),
            "counts": outcome.map(|it| it.counts.iter().map(|(word, number)| (word.to_string(), json!(number))).collect::<serde_json::Map<_, _>>()),
            "failed": failed,
            "not_started": not_started,
            "unanswered": outcome.iter().flat_map(|it| &it.open).map(|it| it.as_str()).collect::<Vec<_>>(),
            "outputs": outputs,
        }),
    )
}
