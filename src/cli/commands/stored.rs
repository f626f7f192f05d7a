//! `status`, `output` and `state`: what state holds.

use serde_json::{Value as Json, json};

use super::apply::waiting;
use super::{Context, carry, key};
use crate::cli::args::{ForgetArgs, OutputArgs, StateCommand};
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::json::{document, value};
use crate::cli::report::{count, count_of};
use crate::cli::terminal::{Ink, spread};
use crate::cli::{diff, plan_text, signals};
use crate::model::{Address, Code, Data, Record};
use crate::ops::apply::LockWait;
use crate::ops::lock::{self, Holder, OpenCall};
use crate::ops::project::Failure;
use crate::ops::rewrite::{self, Rewritten};
use crate::ops::secrets::{self, SecretAge};
use crate::ops::stored::{self, Stored};
use crate::ops::{self, keys};

pub async fn status(context: &Context<'_>) -> Result<Exit, Failure> {
    let stored = stored::open(context.settings, context.global.env.as_deref()).await?;
    let view = stored.state.view();
    let now = context.settings.world.clock.now();
    let (holders, calls) = lock::held(&stored).await?;
    context.output.document(&status_document(&stored, &holders, &calls, now))?;
    let terminal = context.output.result;
    let simulated = if context.settings.simulated() { "   simulated" } else { "" };
    let name = terminal.paint(Ink::Strong, format!("{}/{}", Escaped(&stored.stack), Escaped(&stored.environment)));
    let rev = if view.revision == 0 { "nothing applied yet".to_owned() } else { format!("rev {}", view.revision) };
    let mut out = format!("{name}   {rev}   {}{simulated}\n", plan_text::resources(view.records.len()));
    if let Some(last) = &view.last {
        let when = instant(last.time_ms);
        out.push_str(&format!("last: {} by {}, {when}, {}\n", Escaped(&last.command), Escaped(&last.who), last.result.word()));
    }
    if !view.records.is_empty() || !view.outputs.is_empty() {
        out.push('\n');
    }
    for (instance, records) in stored::by_instance(&stored.state) {
        // A secret of the stack has a line of its own below.
        if records.iter().all(|record| &*record.kind == secrets::KIND && record.address == instance) {
            continue;
        }
        let provider = records[0].provider.to_string();
        let about = if records.len() == 1 { records[0].kind.to_string() } else { plan_text::resources(records.len()) };
        let line = format!("  {}  {}", Escaped(instance.as_str()), terminal.paint(Ink::Quiet, about));
        out.push_str(&format!("{}\n", spread(&terminal, &line, &terminal.paint(Ink::Quiet, format!("on {provider}")))));
    }
    for (name, output) in &view.outputs {
        out.push_str(&format!("  output.{} = {}\n", Escaped(name), diff::shown(output)));
    }
    for secret in secrets::ages(&stored.state) {
        let (words, is_overdue) = age_text(&secret, now);
        let line = format!("  {}  {}", Escaped(secret.address.as_str()), terminal.paint(Ink::Quiet, &words.0));
        let about = terminal.paint(if is_overdue { Ink::Change } else { Ink::Quiet }, words.1);
        out.push_str(&format!("{}\n", spread(&terminal, &line, &about)));
    }
    for line in super::lock::open_lines(&calls, now) {
        out.push_str(&format!("{}\n", terminal.paint(Ink::Change, line)));
    }
    for unlike in keys::unlike(&stored.declared, stored.state.key_book()) {
        out.push_str(&format!("{}\n", terminal.paint(Ink::Change, format!("! keys: {}", Escaped(&unlike.words())))));
        for command in unlike.mend() {
            out.push_str(&format!("    {}\n", context.command(&stored.environment, &command)));
        }
    }
    for (address, owed) in &view.deposed {
        let line = format!(
            "! {} of {} still to be destroyed, after its replacement",
            count(owed.len(), "object"),
            Escaped(address.as_str())
        );
        out.push_str(&format!("{}\n", terminal.paint(Ink::Change, line)));
    }
    for holder in &holders {
        let line = format!("! {}", super::lock::holder_line(holder));
        out.push_str(&format!("{}\n", terminal.paint(Ink::Change, line)));
    }
    context.output.text(&out);
    let is_settled = calls.iter().all(|call| call.running) && view.deposed.is_empty();
    let next = match (is_settled, view.revision) {
        (false, _) => "apply",
        (true, 0) => "plan",
        (true, _) => return Ok(Exit::Done),
    };
    context.output.about(&format!("Next: {}\n", context.command(&stored.environment, next)));
    Ok(Exit::Done)
}

/// How old a secret is and what it is, then what is due; and whether it is overdue.
fn age_text(secret: &SecretAge, now: jiff::Timestamp) -> ((String, String), bool) {
    let from = if secret.given { "given" } else { "made" };
    let age = secret.since.map(|since| format!(" {} ago", span_text(now.duration_since(since))));
    let overlap = secret.previous_until.map(|until| match until > now {
        true => format!(", the former value until {}", instant_text(until)),
        false => ", the former value goes with the next apply".to_owned(),
    });
    let head = format!("{from}{}{}", age.unwrap_or_default(), overlap.unwrap_or_default());
    let due = match secret.due {
        None => String::new(),
        Some(due) if due <= now => format!("due since {}", span_text(now.duration_since(due))),
        Some(due) => format!("due in {}", span_text(due.duration_since(now))),
    };
    ((head, due), secret.due.is_some_and(|due| due <= now))
}

/// `12d`, `5h`, `3m`, `20s`: as precise as anybody needs, rounded.
pub fn span_text(span: jiff::SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let rounded = |unit: i64| (seconds + unit / 2) / unit;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3570 => format!("{}m", rounded(60)),
        3570..172_800 => format!("{}h", rounded(3600)),
        _ => format!("{}d", rounded(86_400)),
    }
}

fn instant_text(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn status_document(stored: &Stored, holders: &[Holder], calls: &[OpenCall], now: jiff::Timestamp) -> Json {
    let view = stored.state.view();
    let secrets: Vec<Json> = secrets::ages(&stored.state)
        .iter()
        .map(|it| {
            let instant = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string());
            json!({
                "address": it.address.as_str(), "source": if it.given { "given" } else { "generated" }, "version": it.version,
                "since": instant(it.since), "age_ms": it.since.map(|since| now.duration_since(since).as_millis() as i64),
                "due": instant(it.due), "overdue": it.due.is_some_and(|due| due <= now),
                "previous_until": instant(it.previous_until),
            })
        })
        .collect();
    let instances: Vec<Json> = stored::by_instance(&stored.state).iter().map(|(instance, records)| {
        json!({"address": instance.as_str(), "provider": records[0].provider.to_string(), "resources": records.len()})
    }).collect();
    let open: Vec<Json> = calls.iter().map(super::lock::open_json).collect();
    let active: Vec<Json> = holders.iter().map(super::lock::holder_json).collect();
    document(
        "status",
        json!({
            "stack": stored.stack,
            "environment": stored.environment,
            "revision": view.revision,
            "resources": view.records.len(),
            "instances": instances,
            "outputs": view.outputs.iter().map(|(name, it)| (name.to_string(), value(it))).collect::<serde_json::Map<_, _>>(),
            "secrets": secrets,
            "open": open,
            "active": active,
            "keys": key::unlike_json(&keys::unlike(&stored.declared, stored.state.key_book())),
        }),
    )
}

/// RFC 3339 in UTC, from milliseconds since 1970.
pub fn instant(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|it| it.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()).unwrap_or_default()
}

pub async fn output(context: &Context<'_>, args: &OutputArgs) -> Result<Exit, Failure> {
    let stored = stored::open(context.settings, context.global.env.as_deref()).await?;
    let outputs = &stored.state.view().outputs;
    let Some(name) = &args.name else {
        let all: serde_json::Map<String, Json> = outputs.iter().map(|(name, it)| (name.to_string(), value(it))).collect();
        context.output.document(&document("output", json!({"outputs": all})))?;
        let lines: String = outputs.iter().map(|(name, it)| format!("{} = {}\n", Escaped(name), diff::shown(it))).collect();
        context.output.text(&lines);
        if outputs.is_empty() {
            context.output.about("no outputs: none is declared, or nothing was applied yet\n");
        }
        return Ok(Exit::Done);
    };
    let Some(found) = outputs.get(name.as_str()) else {
        let near = ops::nearest(name, outputs.keys().map(|it| &**it)).map(|it| format!("write `{it}`"));
        let text = format!("there is no output `{name}` in what was applied to `{}`", stored.environment);
        return Ok(context.output.fail_with(Code::UnknownName.error(text).helps(near)));
    };
    if found.has_secret() && !args.reveal {
        let diagnostic = Code::SecretShown.error(format!("output `{name}` is secret"));
        return Ok(context
            .output
            .fail_with(diagnostic.help(format!("`stackwright output {name} --reveal` prints it all the same"))));
    }
    let mut open = found.clone();
    open.mark.secret = false;
    context.output.document(&document("output", json!({"name": name, "value": value(&open)})))?;
    context.output.text(&match &open.data {
        Data::Text(text) => format!("{}\n", Escaped(text)),
        _ => format!("{}\n", open.to_literal()),
    });
    Ok(Exit::Done)
}

pub async fn state(context: &Context<'_>, command: &StateCommand) -> Result<Exit, Failure> {
    match command {
        StateCommand::List { glob } => list(context, glob.as_deref()).await,
        StateCommand::Mv { from, to, reason } => mv(context, from, to, reason).await,
        StateCommand::Rebuild => rebuild(context).await,
        StateCommand::Rewrap { reason } => rewrap(context, reason).await,
        StateCommand::Export { out } => carry::export(context, out.as_deref()).await,
        StateCommand::Import { file, reason } => carry::import(context, file, reason).await,
        StateCommand::Migrate { from, reason } => carry::migrate(context, from, reason).await,
        StateCommand::Backup { out } => carry::backup(context, out.as_deref()).await,
        StateCommand::Restore { file, reason } => carry::restore(context, file, reason).await,
    }
}

async fn list(context: &Context<'_>, glob: Option<&str>) -> Result<Exit, Failure> {
    let stored = stored::open(context.settings, context.global.env.as_deref()).await?;
    let fits = |address: &Address| glob.is_none_or(|glob| crate::ops::matches(glob, address));
    let records: Vec<_> = stored.state.view().records.values().filter(|record| fits(&record.address)).collect();
    let rows: Vec<Json> = records.iter().map(|it| {
        json!({"address": it.address.as_str(), "kind": &*it.kind, "provider": it.provider.to_string(), "version": it.version, "protect": it.protect})
    }).collect();
    context.output.document(&document("state-list", json!({"environment": stored.environment, "records": rows})))?;
    context.output.text(&records.iter().map(|it| format!("{}\n", Escaped(it.address.as_str()))).collect::<String>());
    Ok(Exit::Done)
}

async fn rebuild(context: &Context<'_>) -> Result<Exit, Failure> {
    let rebuilt = ops::rebuild::rebuild(context.settings, context.global.env.as_deref()).await?;
    context.output.document(&document(
        "state-rebuild",
        json!({"environment": rebuilt.environment, "entries": rebuilt.entries, "records": rebuilt.records}),
    ))?;
    context.output.text(&format!(
        "{}: the view was made again from {} of the log: {}\n",
        Escaped(&rebuilt.environment),
        count_of(rebuilt.entries as usize, "entry", "entries"),
        plan_text::resources(rebuilt.records)
    ));
    Ok(Exit::Done)
}

/// How long others are waited for, who hears of it, and what ends it.
fn lock_wait(context: &Context<'_>) -> LockWait {
    let stop = signals::listen(context.global.timeout, &context.settings.world);
    LockWait { limit: context.global.lock_wait.unwrap_or_default(), waiting: waiting(context, &stop) }
}

async fn rewrap(context: &Context<'_>, reason: &str) -> Result<Exit, Failure> {
    let wait = lock_wait(context);
    let done = rewrite::rewrap(context.settings, context.global.env.as_deref(), reason, &wait).await?;
    let Some(it) = done else { return Ok(Exit::Interrupted) };
    let fields = json!({"stack": it.stack, "environment": it.environment, "revision": it.revision, "reason": reason, "resources": it.done.len()});
    context.output.document(&document("state-rewrap", fields))?;
    context.output.text(&format!(
        "{}: the secrets of {} are sealed under the current key; state rev {} is saved\n",
        Escaped(&it.environment),
        plan_text::resources(it.done.len()),
        it.revision
    ));
    context.output.about("what the log holds of before stays as it was sealed, and opens with the keys of then\n");
    Ok(Exit::Done)
}

async fn mv(context: &Context<'_>, from: &str, to: &str, reason: &str) -> Result<Exit, Failure> {
    let wait = lock_wait(context);
    let moved = rewrite::mv(context.settings, context.global.env.as_deref(), from, to, reason, &wait).await?;
    let Some(moved) = moved else { return Ok(Exit::Interrupted) };
    rewritten(context, &moved, "state-mv", "moved", reason)?;
    let (from, to) = (Escaped(from), Escaped(to));
    let text = "the program has to call it so as well, or the next plan would make";
    context.output.about(&format!("{text} {from} anew and destroy {to}\n"));
    Ok(Exit::Done)
}

pub async fn forget(context: &Context<'_>, args: &ForgetArgs) -> Result<Exit, Failure> {
    let (named, wait) = (context.global.env.as_deref(), lock_wait(context));
    let forgotten = rewrite::forget(context.settings, named, &args.address, &args.reason, &wait).await?;
    let Some(forgotten) = forgotten else { return Ok(Exit::Interrupted) };
    rewritten(context, &forgotten, "forget", "forgotten, stays as it is", &args.reason)?;
    context.output.about("what the program still declares of it, the next apply would make anew\n");
    Ok(Exit::Done)
}

fn rewritten(context: &Context<'_>, it: &Rewritten, schema: &str, word: &str, reason: &str) -> Result<(), Failure> {
    let done: Vec<Json> = it
        .done
        .iter()
        .map(|(address, to)| json!({"address": address.as_str(), "to": to.as_ref().map(|to| to.as_str())}))
        .collect();
    context.output.document(&document(
        schema,
        json!({"stack": it.stack, "environment": it.environment, "revision": it.revision, "reason": reason, "done": done}),
    ))?;
    let terminal = context.output.result;
    let mut out = String::new();
    for (address, to) in &it.done {
        let line = match to {
            None => format!("  x {}  {word}", Escaped(address.as_str())),
            Some(to) => {
                format!("  {} {}  {word} from {}", terminal.pick("→", "->"), Escaped(to.as_str()), Escaped(address.as_str()))
            }
        };
        out.push_str(&format!("{line}\n"));
    }
    let records = plan_text::resources(it.done.len());
    out.push_str(&format!(
        "{}: {records} {}; state rev {} is saved\n",
        Escaped(&it.environment),
        word.split(',').next().unwrap_or(word),
        it.revision
    ));
    context.output.text(&out);
    Ok(())
}

/// One record with all its attributes, for `show ADDRESS`.
pub fn record_text(record: &Record, terminal: &crate::cli::terminal::Terminal) -> String {
    let head = terminal.paint(Ink::Strong, Escaped(record.address.as_str()));
    let declared = if record.declared_at.is_empty() { String::new() } else { Escaped(&record.declared_at).to_string() };
    let guard = if record.protect { "   protected" } else { "" };
    let line = format!("{head}  {} on {}{guard}", record.kind, record.provider);
    let mut out = format!("{}\n", spread(terminal, &line, &terminal.paint(Ink::Quiet, declared)));
    let attributes = record.attributes();
    let width = attributes.keys().map(|name| name.len()).max().unwrap_or(0).min(28);
    for (name, it) in &attributes {
        let computed = if record.computed.contains_key(name) && !record.inputs.contains_key(name) { "  (computed)" } else { "" };
        out.push_str(&format!(
            "  {:width$}  {}{}\n",
            Escaped(name).to_string(),
            diff::shown(it),
            terminal.paint(Ink::Quiet, computed)
        ));
    }
    for edge in &record.edges {
        out.push_str(&format!("  waits for {}\n", Escaped(edge.to.as_str())));
    }
    out
}
