//! `stackwright lock`: which runs hold what, and ending the hold of one that is gone.

use serde_json::{Value as Json, json};

use super::Context;
use super::stored::span_text;
use crate::cli::args::LockCommand;
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::json::document;
use crate::cli::report::count;
use crate::cli::terminal::Ink;
use crate::ops::lock::{self, Holder, Life, OpenCall};
use crate::ops::project::Failure;
use crate::ops::stored;

pub async fn lock(context: &Context<'_>, command: &LockCommand) -> Result<Exit, Failure> {
    match command {
        LockCommand::Show => show(context).await,
        LockCommand::Release { run, reason } => release(context, *run, reason).await,
    }
}

async fn show(context: &Context<'_>) -> Result<Exit, Failure> {
    let stored = stored::open(context.settings, context.global.env.as_deref()).await?;
    let (holders, calls) = lock::held(&stored).await?;
    context.output.document(&document(
        "lock-show",
        json!({
            "stack": stored.stack,
            "environment": stored.environment,
            "runs": holders.iter().map(holder_json).collect::<Vec<_>>(),
            "open": calls.iter().map(open_json).collect::<Vec<_>>(),
        }),
    ))?;
    let terminal = context.output.result;
    let name = terminal.paint(Ink::Strong, format!("{}/{}", Escaped(&stored.stack), Escaped(&stored.environment)));
    let mut out = match holders.len() {
        0 => format!("{name}   no run holds anything\n"),
        runs => format!("{name}   {} holding something\n", count(runs, "run")),
    };
    let now = context.settings.world.clock.now();
    for holder in &holders {
        let header = &holder.active.lease.header;
        out.push_str(&format!("\n{}\n", holder_line(holder)));
        let commit = header.commit.as_ref().map(|commit| format!(", commit {}", Escaped(commit))).unwrap_or_default();
        let process = format!("process {} on {}{commit}", header.pid, Escaped(&header.host));
        out.push_str(&format!("  {}\n", terminal.paint(Ink::Quiet, process)));
        for address in &*holder.active.addresses {
            out.push_str(&format!("  holds {}\n", Escaped(address.as_str())));
        }
    }
    let lines = open_lines(&calls, now);
    if !lines.is_empty() {
        out.push('\n');
    }
    for line in lines {
        out.push_str(&format!("{}\n", terminal.paint(Ink::Change, line)));
    }
    context.output.text(&out);
    if let Some(gone) = holders.iter().find(|it| matches!(it.life, Life::Silent { .. })) {
        let environment = &stored.environment;
        context.output.about(&format!(
            "Its lease ends by itself; the next apply waits for that. At once: {} --run {} --reason \"…\"\n",
            context.command(environment, "lock release"),
            gone.active.lease.run
        ));
    }
    Ok(Exit::Done)
}

async fn release(context: &Context<'_>, run: u64, reason: &str) -> Result<Exit, Failure> {
    let mut stored = stored::open(context.settings, context.global.env.as_deref()).await?;
    let open = lock::release(context.settings, &mut stored, run, reason).await?;
    context.output.document(&document("lock-release", json!({"environment": stored.environment, "run": run, "open": open})))?;
    context.output.text(&format!("{}: run {run} holds nothing any more\n", Escaped(&stored.environment)));
    if open > 0 {
        let calls = count(open, "call");
        context
            .output
            .about(&format!("{calls} of it without an answer; `apply` looks what became of them before anything else\n"));
    }
    Ok(Exit::Done)
}

/// `run 42 (apply) by ci for jroy (PR 128), plan 7f3a9c21, since 06:28:40 UTC (3 min 12 s), heartbeat 4 s ago: alive; 3 of 9 done`.
pub fn holder_line(holder: &Holder) -> String {
    let header = &holder.active.lease.header;
    let addresses = count(holder.active.addresses.len(), "address").replace("addresss", "addresses");
    let taken = if holder.life == Life::Gone { "; the next apply takes over" } else { "" };
    let (who, state) = (holder.who(), holder.state());
    format!("{}: {}, holds {addresses} since {}{taken}", Escaped(&header.command), Escaped(&who), Escaped(&state))
}

fn rfc3339(ms: i64) -> Option<String> {
    jiff::Timestamp::from_millisecond(ms).ok().map(|at| at.to_string())
}

pub fn holder_json(holder: &Holder) -> Json {
    let header = &holder.active.lease.header;
    let (life, heard, ends_in) = match holder.life {
        Life::Alive { heard, .. } => ("alive", Some(heard), None),
        Life::Gone => ("gone", None, None),
        Life::Silent { heard, ends_in } => ("silent", Some(heard), Some(ends_in)),
    };
    json!({
        "run": holder.active.lease.run, "command": header.command, "who": header.who, "host": header.host, "pid": header.pid,
        "plan": header.plan, "commit": header.commit, "since": rfc3339(holder.active.since_ms),
        "running_ms": holder.running.as_millis() as u64, "life": life, "heard_ms": heard.map(|it| it.as_millis() as u64),
        "lease_ends_in_ms": ends_in.map(|it| it.as_millis() as u64), "done": holder.active.done, "changes": header.changes,
        "left_ms": holder.left.map(|it| it.as_millis() as u64),
        "addresses": holder.active.addresses.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
    })
}

/// A line an open call, and one more for what is done about it.
pub fn open_lines(calls: &[OpenCall], now: jiff::Timestamp) -> Vec<String> {
    let lines = calls.iter().filter(|call| !call.running).flat_map(|call| {
        let (open, intent) = (&call.open, &call.open.intent);
        let age = jiff::Timestamp::from_millisecond(open.time_ms).map(|at| span_text(now.duration_since(at)));
        let age = age.map(|age| format!(" {age} ago")).unwrap_or_default();
        let why = open.flagged.as_deref().map(|why| format!(": {}", Escaped(why))).unwrap_or_default();
        let what = format!("{} {}", Escaped(&intent.action), Escaped(intent.address.as_str()));
        [format!("! {what} left without an answer by run {}{age}{why}", open.run), format!("    {}", Escaped(&call.next))]
    });
    lines.collect()
}

pub fn open_json(call: &OpenCall) -> Json {
    let (open, intent) = (&call.open, &call.open.intent);
    json!({
        "address": intent.address.as_str(), "action": &*intent.action, "kind": &*intent.kind, "run": open.run,
        "since": rfc3339(open.time_ms), "recovery": &*intent.recovery, "flagged": open.flagged, "running": call.running,
        "next": call.next,
    })
}
