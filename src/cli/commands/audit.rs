//! `history`, `show`, `diff`, `blame` and `verify`: state read like a version history.

use serde_json::{Value as Json, json};

use super::Context;
use super::plan::given;
use super::stored::{instant, record_text};
use crate::cli::args::{BlameArgs, DiffArgs, GivenArgs, HistoryArgs, ShowArgs, VerifyArgs};
use crate::cli::diff;
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::json::{self, document};
use crate::cli::plan_text::{Read, View};
use crate::cli::progress::clock;
use crate::cli::report::count;
use crate::cli::terminal::{Ink, Terminal, columns, spread};
use crate::model::{Code, Name};
use crate::ops::audit::{self, Changed, FieldDiff, Finding, Happening, JudgedPolicy, OutputDiff, Verified, VerifyRequest};
use crate::ops::plan;
use crate::ops::project::Failure;
use crate::ops::stored;
use crate::ops::workspace::Workspace;

pub async fn history(context: &Context<'_>, args: &HistoryArgs) -> Result<Exit, Failure> {
    let stored = stored::open(context.settings, context.global.env.as_deref()).await?;
    let (mut past, mut happenings) = audit::history(&stored, args.address.as_deref()).await?;
    let limit = args.limit.unwrap_or(usize::MAX);
    let mut places: Vec<u64> = past.iter().map(|it| it.place).chain(happenings.iter().map(|it| it.place)).collect();
    places.sort_unstable_by(|one, other| other.cmp(one));
    let oldest = places.get(limit.saturating_sub(1)).copied().unwrap_or(if limit == 0 { u64::MAX } else { 0 });
    past.retain(|it| it.place >= oldest);
    happenings.retain(|it| it.place >= oldest);
    let rows: Vec<Json> = past.iter().map(|it| {
        json!({
            "revision": it.revision.number, "run": it.revision.run, "time": instant_json(it.revision.time_ms), "who": it.revision.who,
            "host": it.run.host, "commit": it.revision.commit, "command": it.revision.command, "plan": it.revision.plan,
            "approved_by": it.revision.approved_by, "counts": counts_json(&it.revision.counts), "result": it.revision.result.word(),
            "reveals": it.reveals.iter().map(revealed_json).collect::<Vec<_>>(),
        })
    }).collect();
    context.output.document(&document("history", json!({
        "environment": stored.environment, "revisions": rows,
        "happenings": happenings.iter().map(|it| json!({
            "entry": it.place, "time": instant_json(it.time_ms), "who": it.who, "kind": it.kind, "what": it.what, "reason": it.reason,
        })).collect::<Vec<_>>(),
    })))?;
    let terminal = context.output.result;
    let mut table = vec![["rev", "when (UTC)", "who", "from", "what", "plan", "result"].map(str::to_owned)];
    let mut happenings = happenings.iter().peekable();
    for it in &past {
        while let Some(later) = happenings.next_if(|later| later.place > it.place) {
            table.push(happening_row(later));
        }
        table.push([
            it.revision.number.to_string(),
            when(it.revision.time_ms),
            Escaped(&it.revision.who).to_string(),
            it.revision.commit.as_deref().map_or_else(|| Escaped(&it.run.host).to_string(), |it| Escaped(it).to_string()),
            format!("{}  {}", Escaped(&it.revision.command), counts_text(&it.revision.counts)),
            it.revision.plan.clone().unwrap_or_else(|| "-".into()),
            it.revision.result.word().to_owned(),
        ]);
    }
    table.extend(happenings.map(happening_row));
    context.output.text(&columns_text(&table, &terminal));
    if table.len() == 1 && limit > 0 {
        context.output.about("nothing was applied yet\n");
    }
    Ok(Exit::Done)
}

fn when(time_ms: i64) -> String {
    instant(time_ms).trim_end_matches(":00 UTC").trim_end_matches(" UTC").to_owned()
}

/// What was done to the log itself is no revision; why it was done stands where a revision has its result.
fn happening_row(it: &Happening) -> [String; 7] {
    let what = format!("{}  {}", it.kind, Escaped(&it.what)).trim_end().to_owned();
    let none = || "-".to_owned();
    [none(), when(it.time_ms), Escaped(&it.who).to_string(), none(), what, none(), Escaped(&it.reason).to_string()]
}

fn revealed_json(it: &crate::ops::audit::Revealed) -> Json {
    json!({"place": it.place, "reason": it.reason, "instance": it.instance.as_ref().map(|at| at.as_str()), "who": it.who})
}

fn counts_text(counts: &std::collections::BTreeMap<Name, u32>) -> String {
    let symbol = |word: &str| match word {
        "create" => "+",
        "update" => "~",
        "replace" => "±",
        "destroy" => "-",
        "move" => "→",
        "adopt" => "*",
        "forget" => "x",
        _ => "·",
    };
    if counts.is_empty() {
        return "nothing".into();
    }
    counts.iter().map(|(word, number)| format!("{}{number}", symbol(word))).collect::<Vec<_>>().join(" ")
}

fn counts_json(counts: &std::collections::BTreeMap<Name, u32>) -> Json {
    counts.iter().map(|(word, number)| (word.to_string(), json!(number))).collect::<serde_json::Map<_, _>>().into()
}

pub fn instant_json(ms: i64) -> Json {
    jiff::Timestamp::from_millisecond(ms).map_or(Json::Null, |it| json!(it.to_string()))
}

fn columns_text<const N: usize>(rows: &[[String; N]], terminal: &Terminal) -> String {
    let widths: [usize; N] = std::array::from_fn(|at| rows.iter().map(|row| columns(&row[at])).max().unwrap_or(0));
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell}{}", " ".repeat(width - columns(cell))));
        let line = cells.collect::<Vec<_>>().join("  ").trim_end().to_owned();
        out.push_str(&format!("{}\n", if number == 0 { terminal.paint(Ink::Quiet, line) } else { line }));
    }
    out
}

pub async fn show(context: &Context<'_>, args: &ShowArgs) -> Result<Exit, Failure> {
    if let Ok(number) = args.what.parse::<u64>() {
        return revision(context, number).await;
    }
    let is_plan =
        args.what.len() == 8 && args.what.chars().all(|c| c.is_ascii_hexdigit()) || std::path::Path::new(&args.what).is_file();
    if is_plan {
        return kept_plan(context, args).await;
    }
    let stored = stored::open(context.settings, context.global.env.as_deref()).await?;
    let found = stored::find(&stored.state, &args.what)?;
    let records: Vec<Json> = found
        .iter()
        .map(|it| {
            json!({
                "address": it.address.as_str(), "kind": &*it.kind, "provider": it.provider.to_string(), "version": it.version,
                "protect": it.protect, "declared_at": it.declared_at, "attributes": json::fields(&it.attributes()),
                "waits_for": it.edges.iter().map(|edge| edge.to.as_str()).collect::<Vec<_>>(),
            })
        })
        .collect();
    context.output.document(&document("resource", json!({"environment": stored.environment, "resources": records})))?;
    let terminal = context.output.result;
    context.output.text(&found.iter().map(|record| record_text(record, &terminal)).collect::<Vec<_>>().join("\n"));
    Ok(Exit::Done)
}

async fn kept_plan(context: &Context<'_>, args: &ShowArgs) -> Result<Exit, Failure> {
    let workspace = Workspace::open(context.settings, &given(&GivenArgs::default()), context.global.env.as_deref()).await?;
    let (plan, sources) = plan::read(&workspace, &args.what).map_err(|it| workspace.fail(it))?;
    context.output.document(&json::plan(&plan, &sources))?;
    let view = View { plan: &plan, sources: &sources, terminal: context.output.result, full: args.full, read: Read::Before };
    context.output.text(&view.render());
    Ok(Exit::Done)
}

async fn revision(context: &Context<'_>, number: u64) -> Result<Exit, Failure> {
    let stored = stored::open(context.settings, context.global.env.as_deref()).await?;
    let detail = audit::revision(&stored, number).await?;
    let rev = &detail.revision;
    context.output.document(&document("revision", json!({
        "revision": rev.number, "run": rev.run, "time": instant_json(rev.time_ms), "who": rev.who, "host": detail.run.host,
        "command": rev.command, "commit": rev.commit, "plan": rev.plan, "effects": rev.effects.map(|it| it.to_string()),
        "result": rev.result.word(), "engine": rev.engine, "counts": counts_json(&rev.counts), "reason": rev.reason,
        "inputs": rev.inputs.iter().map(|(name, value, from)| json!({"name": &**name, "value": value, "from": from})).collect::<Vec<_>>(),
        "changes": detail.changes.iter().map(changed_json).collect::<Vec<_>>(),
        "outputs": detail.outputs.iter().map(output_json).collect::<Vec<_>>(),
        "policies": rev.policies.iter().map(policy_json).collect::<Vec<_>>(),
        "reveals": detail.reveals.iter().map(revealed_json).collect::<Vec<_>>(),
        "failed": rev.failed.iter().map(|(address, code, words)| json!({"address": address.as_str(), "code": format!("SW{code:04}"), "message": words})).collect::<Vec<_>>(),
        "not_started": rev.not_started.iter().map(|(address, why)| json!({"address": address.as_str(), "why": why})).collect::<Vec<_>>(),
    })))?;
    let terminal = context.output.result;
    let head = terminal.paint(Ink::Strong, format!("rev {}", rev.number));
    let commit = rev.commit.as_deref().map(|it| format!("   commit {}", Escaped(it))).unwrap_or_default();
    let plan = rev.plan.as_deref().map(|it| format!("   plan {it}")).unwrap_or_default();
    let mut out = format!(
        "{head}   {} by {} on {}   {}{plan}{commit}   {}\n",
        Escaped(&rev.command),
        Escaped(&rev.who),
        Escaped(&detail.run.host),
        instant(rev.time_ms),
        rev.result.word()
    );
    out.push_str(&format!("engine {}   run {}\n", rev.engine, rev.run));
    if let Some(reason) = &rev.reason {
        out.push_str(&format!("reason {}\n", Escaped(reason)));
    }
    for (name, value, from) in &rev.inputs {
        let from = if from.is_empty() { String::new() } else { format!("  from {}", Escaped(from)) };
        out.push_str(&format!("input {} = {}{from}\n", Escaped(name), Escaped(value)));
    }
    rev.policies.iter().for_each(|it| out.push_str(&policy_text(it)));
    for it in &detail.reveals {
        let of = it.instance.as_ref().map(|at| format!(" in {}", Escaped(at.as_str()))).unwrap_or_default();
        let line = format!("reveals a secret{of}: {}  {}", Escaped(&it.reason), Escaped(&it.place));
        out.push_str(&format!("{}\n", terminal.paint(Ink::Change, line)));
    }
    out.push('\n');
    out.push_str(&changes_text(&detail.changes, &detail.outputs, &terminal));
    // What is no call, such as a requirement, stands in no change.
    for (address, code, words) in rev.failed.iter().filter(|(at, ..)| !detail.changes.iter().any(|it| it.address == *at)) {
        out.push_str(&format!("  failed       {}   {} (SW{code:04})\n", Escaped(address.as_str()), Escaped(words)));
    }
    for (address, why) in &rev.not_started {
        out.push_str(&format!("  not started  {} ({})\n", Escaped(address.as_str()), Escaped(why)));
    }
    context.output.text(&out);
    Ok(Exit::Done)
}

fn policy_json(it: &JudgedPolicy) -> Json {
    json!({
        "policy": &*it.policy, "level": it.level.word(), "result": it.result.word(),
        "control": it.control.iter().map(|it| &**it).collect::<Vec<_>>(),
        "findings": it.findings.iter().map(|(address, outcome, words)| json!({"address": address, "outcome": outcome, "message": words})).collect::<Vec<_>>(),
        "exceptions": it.exceptions.iter().map(|(pattern, reason)| json!({"pattern": pattern, "reason": reason})).collect::<Vec<_>>(),
    })
}

fn policy_text(it: &JudgedPolicy) -> String {
    let control = if it.control.is_empty() { String::new() } else { format!(" ({})", it.control.join(", ")) };
    let mut out = format!("policy {}{} {}\n", Escaped(&it.policy), Escaped(&control), it.result.word());
    for (address, outcome, words) in &it.findings {
        let about = if address.is_empty() { String::new() } else { format!("{address}: ") };
        out.push_str(&format!("  {outcome}  {}{}\n", Escaped(&about), Escaped(words)));
    }
    for (pattern, reason) in &it.exceptions {
        out.push_str(&format!("  except {}  {}\n", Escaped(pattern), Escaped(reason)));
    }
    out
}

pub async fn diff(context: &Context<'_>, args: &DiffArgs) -> Result<Exit, Failure> {
    let stored = stored::open(context.settings, context.global.env.as_deref()).await?;
    let (from, to, changed, outputs) = audit::diff(&stored, &args.range).await?;
    context.output.document(&document(
        "diff",
        json!({
            "from": from, "to": to, "changes": changed.iter().map(changed_json).collect::<Vec<_>>(),
            "outputs": outputs.iter().map(output_json).collect::<Vec<_>>(),
        }),
    ))?;
    let terminal = context.output.result;
    let text = changes_text(&changed, &outputs, &terminal);
    context.output.text(if text.is_empty() { "no difference\n" } else { &text });
    Ok(Exit::Done)
}

fn changes_text(changed: &[Changed], outputs: &[OutputDiff], terminal: &Terminal) -> String {
    let mut out = String::new();
    for it in changed {
        let (symbol, ink) = match &*it.action {
            "create" => ("+", Ink::Good),
            "destroy" => ("-", Ink::Bad),
            "replace" => (terminal.pick("±", "-/+"), Ink::Bad),
            "move" => (terminal.pick("→", "->"), Ink::Data),
            _ => ("~", Ink::Change),
        };
        let took: std::time::Duration = it.calls.iter().map(|call| call.took).sum();
        let calls: usize = it.calls.iter().map(|call| call.requests.len()).sum();
        let about = if it.calls.is_empty() { String::new() } else { format!("{}, {}", count(calls, "request"), clock(took)) };
        let head = terminal.paint(ink, format!("{symbol} {}", Escaped(it.address.as_str())));
        let line = format!("{head}  {} {}", Escaped(&it.action), Escaped(&it.kind));
        out.push_str(&format!("{}\n", spread(terminal, &line, &terminal.paint(Ink::Quiet, about))));
        if let Some((code, words)) = &it.failed {
            out.push_str(&format!("    {}\n", terminal.paint(Ink::Bad, format!("failed: SW{code:04} {}", Escaped(words)))));
        }
        out.push_str(&fields_text(&it.fields, terminal));
        for request in it.calls.iter().flat_map(|call| &call.requests) {
            out.push_str(&format!("    {}\n", terminal.paint(Ink::Quiet, Escaped(request))));
        }
    }
    for it in outputs {
        let text = diff::change(it.before.as_ref(), it.after.as_ref(), terminal).join(" ");
        out.push_str(&format!("  output.{}  {text}\n", Escaped(&it.name)));
    }
    out
}

fn fields_text(fields: &[FieldDiff], terminal: &Terminal) -> String {
    let parts: Vec<_> = fields
        .iter()
        .flat_map(|field| {
            let leaves = diff::leaves(&field.name, field.before.as_ref(), field.after.as_ref());
            leaves.into_iter().map(|leaf| (leaf, field.cause.as_deref()))
        })
        .collect();
    let width = parts.iter().map(|((path, _, _), _)| path.len()).max().unwrap_or(0).min(28);
    let mut out = String::new();
    for ((path, before, after), cause) in parts {
        let lines = diff::change(before, after, terminal);
        let cause = cause.map(|it| Escaped(it).to_string()).unwrap_or_default();
        let first = format!("    {:width$}  {}", Escaped(&path).to_string(), lines.first().map_or("", String::as_str));
        out.push_str(&format!("{}\n", spread(terminal, &first, &terminal.paint(Ink::Quiet, cause))));
        lines.iter().skip(1).for_each(|line| out.push_str(&format!("      {line}\n")));
    }
    out
}

fn changed_json(it: &Changed) -> Json {
    let fields: Vec<Json> = it
        .fields
        .iter()
        .map(|field| {
            let is_secret = |value: &Option<crate::model::Value>| value.as_ref().is_some_and(|value| value.mark.secret);
            let side = |value: &Option<crate::model::Value>| match value {
                None => Json::Null,
                Some(_) if is_secret(&field.before) || is_secret(&field.after) => json!({"$secret": {"changed": true}}),
                Some(value) => json::value(value),
            };
            json!({"name": &*field.name, "before": side(&field.before), "after": side(&field.after), "cause": field.cause})
        })
        .collect();
    let calls: Vec<Json> = it
        .calls
        .iter()
        .map(|call| json!({"time": instant_json(call.time_ms), "ms": call.took.as_millis() as u64, "requests": call.requests}))
        .collect();
    json!({
        "address": it.address.as_str(), "kind": &*it.kind, "action": &*it.action, "fields": fields, "calls": calls,
        "failed": it.failed.as_ref().map(|(code, words)| json!({"code": format!("SW{code:04}"), "words": words})),
    })
}

fn output_json(it: &OutputDiff) -> Json {
    json!({"name": &*it.name, "before": it.before.as_ref().map(json::value), "after": it.after.as_ref().map(json::value)})
}

pub async fn blame(context: &Context<'_>, args: &BlameArgs) -> Result<Exit, Failure> {
    let stored = stored::open(context.settings, context.global.env.as_deref()).await?;
    let lines = audit::blame(&stored, &args.address).await?;
    let rows: Vec<Json> = lines.iter().map(|it| {
        json!({
            "field": &*it.field, "value": json::value(&it.value), "revision": it.revision, "run": it.run, "time": instant_json(it.time_ms),
            "who": it.who, "commit": it.commit, "plan": it.plan, "place": it.place,
        })
    }).collect();
    context.output.document(&document("blame", json!({"address": args.address, "fields": rows})))?;
    let terminal = context.output.result;
    let mut table = vec![["field", "value", "rev", "when (UTC)", "who", "commit", "from"].map(str::to_owned)];
    for it in &lines {
        table.push([
            Escaped(&it.field).to_string(),
            crate::cli::escape::clipped(&it.value.to_literal(), 40),
            it.revision.map_or_else(|| "-".into(), |number| format!("rev {number}")),
            instant(it.time_ms).trim_end_matches(" UTC").to_owned(),
            Escaped(&it.who).to_string(),
            it.commit.as_deref().map_or_else(|| "-".into(), |it| Escaped(it).to_string()),
            it.place.as_deref().map_or_else(|| "-".into(), |it| Escaped(it).to_string()),
        ]);
    }
    context.output.text(&columns_text(&table, &terminal));
    Ok(Exit::Done)
}

pub async fn verify(context: &Context<'_>, args: &VerifyArgs) -> Result<Exit, Failure> {
    let VerifyArgs { since, signers, file, anchor } = args;
    let request = VerifyRequest { since: since.clone(), signers: signers.clone(), anchor: anchor.clone() };
    let verified = match file {
        Some(file) => audit::verify_file(context.settings, file, &request)?,
        None => audit::verify(context.settings, context.global.env.as_deref(), &request).await?,
    };
    let Verified { environment, verification, head: anchor, published } = &verified;
    let word = |finding: Finding| match finding {
        Finding::Ok => "ok",
        Finding::Remark => "note",
        Finding::Failed => "FAIL",
    };
    let checks: Vec<Json> = verification
        .checks
        .iter()
        .map(|it| {
            json!({
                "finding": word(it.finding), "words": it.words, "code": it.diagnostic.as_ref().map(|it| it.code.to_string()),
                "revisions": it.revisions.as_ref().map(|it| json!({"from": it.start(), "to": it.end()})),
            })
        })
        .collect();
    let head = verification.head.map(|head| head.hash.to_string());
    context.output.document(&document("verify", json!({
        "environment": environment, "holds": verification.holds(), "revisions": verification.revisions, "head": head, "anchor": anchor, "anchored": published, "checks": checks,
    })))?;
    let terminal = context.output.result;
    let mut out = String::new();
    for it in &verification.checks {
        let ink = match it.finding {
            Finding::Ok => Ink::Good,
            Finding::Remark => Ink::Quiet,
            Finding::Failed => Ink::Bad,
        };
        out.push_str(&format!("{}  {}\n", terminal.paint(ink, format!("{:4}", word(it.finding))), Escaped(&it.words)));
        let facts = it.diagnostic.iter().flat_map(|it| it.notes.iter().map(|(head, text)| format!("{head}: {text}")));
        let help = it.diagnostic.iter().flat_map(|it| it.help.iter().map(|text| format!("help: {text}")));
        facts.chain(help).for_each(|text| out.push_str(&format!("      {}\n", Escaped(&text))));
    }
    if let Some(anchor) = anchor.as_ref().filter(|_| verification.holds()) {
        out.push_str(&format!("      {} {anchor}\n", terminal.paint(Ink::Quiet, "head")));
    }
    context.output.text(&out);
    if let Some(published) = published {
        context.output.about(&format!("the head is written down in {}\n", Escaped(published)));
    }
    let newer = verification.checks.iter().any(|it| it.diagnostic.as_ref().is_some_and(|it| it.code == Code::NewerState));
    Ok(if verification.holds() && !newer { Exit::Done } else { Exit::Failed })
}
