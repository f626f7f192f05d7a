//! `stackwright plan`.

use super::Context;
use super::lock::{holder_json, holder_line};
use crate::cli::args::{GivenArgs, PlanArgs, ScopeArgs};
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::plan_text::{Read, View};
use crate::cli::{json, report};
use crate::model::Diagnostic;
use crate::ops::given::Given;
use crate::ops::plan::{self, Planned, Request};
use crate::ops::policies;
use crate::ops::project::Failure;
use crate::ops::workspace::Workspace;

pub async fn run(context: &Context<'_>, args: &PlanArgs) -> Result<Exit, Failure> {
    let mut workspace = Workspace::open(context.settings, &given(&args.given), context.global.env.as_deref()).await?;
    let planned = plan::make(&mut workspace, &Request { destroy: args.destroy, ..request(&args.scope) }).await?;
    show(context, &workspace, &planned, args.full)?;
    let empty = planned.plan.is_empty();
    if !empty {
        plan::keep(&workspace, &planned.plan).map_err(|it| workspace.fail(it))?;
    }
    if let Some(path) = &args.out {
        plan::save(&workspace, &planned.plan, path).map_err(|it| workspace.fail(it))?;
    }
    let refused = policies::refusals(&planned.plan);
    if !refused.is_empty() {
        context.output.about(&report::render_all(&refused, workspace.sources(), context.output.about));
        return Ok(Exit::Refused);
    }
    if empty && !planned.plan.foreseen.is_empty() {
        context.output.about(&format!("Next: {}\n", context.command(&workspace.environment, "apply")));
    }
    if !empty {
        let named = args.out.as_ref().map_or(planned.plan.id.clone(), |path| path.display().to_string());
        context.output.about(&format!("Next: {}\n", context.command(&workspace.environment, &format!("apply {named}"))));
    }
    Ok(if args.detailed_exitcode && !empty { Exit::Differences } else { Exit::Done })
}

/// Prints a plan: text or JSON as the result, warnings beside it.
pub fn show(context: &Context<'_>, workspace: &Workspace, planned: &Planned, full: bool) -> Result<(), Failure> {
    let (plan, sources) = (&planned.plan, workspace.sources());
    let warnings: Vec<Diagnostic> = plan.warnings.iter().cloned().chain(policies::warnings(plan)).collect();
    if !warnings.is_empty() && !context.output.json {
        context.output.about(&report::render_all(&warnings, sources, context.output.about));
    }
    for holder in &planned.running {
        context.output.about(&format!("! {}: planned from what is recorded by now\n", holder_line(holder)));
    }
    if context.output.wants_document() {
        let mut document = json::plan(plan, sources);
        document["running"] = planned.running.iter().map(holder_json).collect();
        context.output.document(&document)?;
    }
    let read = planned.read.map_or(Read::Records, |(number, took)| Read::Live(number, took));
    let view = View { plan, sources, terminal: context.output.result, full, read };
    context.output.text(&view.render());
    Ok(())
}

pub fn given(args: &GivenArgs) -> Given {
    Given {
        inputs: args.inputs.clone(),
        input_files: args.input_file.clone(),
        secret_files: args.secret_files.clone(),
        secret_stdin: args.secret_stdin.clone(),
        secret_commands: args.secret_commands.clone(),
        secret_values: args.secret_values.clone(),
    }
}

pub fn request(args: &ScopeArgs) -> Request {
    Request { only: args.only.clone(), replace: args.replace.clone(), offline: args.offline, ..Request::default() }
}

impl Context<'_> {
    /// Says what to do with the key file, once: when state first holds a secret.
    pub fn tell_of_key(&self, workspace: &Workspace, held_secrets: bool) {
        if held_secrets || self.settings.simulated() || !workspace.state.holds_secrets() {
            return;
        }
        if let Some(path) = workspace.state.key_file() {
            let path = path.display().to_string();
            self.output.about(&format!("the secrets of this state are sealed under the key in {}\n", Escaped(&path)));
            self.output.about("keep a copy of it where you keep such things: without it nobody can read them again\n");
        }
    }

    /// A command to type next, with the flags that this one was given.
    pub fn command(&self, environment: &str, command: &str) -> String {
        let mut out = String::from("stackwright");
        if self.global.dir.as_os_str() != "." {
            out.push_str(&format!(" -C {}", Escaped(&self.global.dir.display().to_string())));
        }
        out.push_str(&format!(" {command} --env {environment}"));
        match &self.global.sim {
            None => {}
            Some(url) if url.is_empty() => out.push_str(" --sim"),
            Some(url) => out.push_str(&format!(" --sim={}", Escaped(url))),
        }
        out
    }
}
