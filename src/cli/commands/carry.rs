//! `state export`, `import`, `backup` and `restore`.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::Context;
use super::stored::instant;
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::json::document;
use crate::cli::plan_text::resources;
use crate::cli::report::count_of;
use crate::cli::terminal::Ink;
use crate::ops::carry::{self, KeyNeeded, LostRun, Packed};
use crate::ops::migrate;
use crate::ops::project::Failure;

/// Addresses that a line names.
const NAMED: usize = 4;

pub async fn export(context: &Context<'_>, out: Option<&Path>) -> Result<Exit, Failure> {
    let (packed, bytes) = carry::export(context.settings, context.global.env.as_deref()).await?;
    let Some(path) = out else {
        // It is JSON itself, a document a line: `--json` has nothing to add.
        context.output.raw(&String::from_utf8_lossy(&bytes));
        context.output.about(&key_text(&packed.key));
        return Ok(Exit::Done);
    };
    carry::write(&bytes, path)?;
    context.output.document(&document("state-export", packed_json(&packed, path)))?;
    context.output.text(&format!("{} exported to {}: {}\n", Escaped(&packed.environment), shown(path), held_text(&packed)));
    context.output.about(&key_text(&packed.key));
    Ok(Exit::Done)
}

pub async fn backup(context: &Context<'_>, out: Option<&Path>) -> Result<Exit, Failure> {
    let (packed, path) = carry::backup(context.settings, context.global.env.as_deref(), out).await?;
    context.output.document(&document("state-backup", packed_json(&packed, &path)))?;
    let snapshot = if packed.snapshot { " and a snapshot" } else { "" };
    let shown = path.strip_prefix(&context.settings.dir).unwrap_or(&path);
    let held = held_text(&packed);
    context.output.text(&format!("{} backed up to {}: {held}{snapshot}\n", Escaped(&packed.environment), self::shown(shown)));
    if out.is_none() {
        context.output.about("it lies beside the state: copy it to another machine\n");
    }
    context.output.about(&key_text(&packed.key));
    Ok(Exit::Done)
}

pub async fn import(context: &Context<'_>, from: &Path, reason: &str) -> Result<Exit, Failure> {
    let packed = carry::import(context.settings, context.global.env.as_deref(), from, reason).await?;
    let mut it = packed_json(&packed, from);
    it["reason"] = json!(reason);
    context.output.document(&document("state-import", it))?;
    context.output.text(&format!("{} imported from {}: {}\n", Escaped(&packed.environment), shown(from), held_text(&packed)));
    context.output.about(&missing_key_text(&packed.key));
    context.output.about("who imported it, and why, goes into the log with the next apply\n");
    context.output.about(&format!("Next: {}\n", context.command(&packed.environment, "verify")));
    Ok(Exit::Done)
}

pub async fn restore(context: &Context<'_>, from: &Path, reason: &str) -> Result<Exit, Failure> {
    let (packed, report) = carry::restore(context.settings, context.global.env.as_deref(), from, reason).await?;
    let lost: Vec<Json> = report.lost_runs.iter().map(lost_json).collect();
    context.output.document(&document(
        "state-restore",
        json!({
            "environment": packed.environment, "file": from.display().to_string(), "store": packed.store, "reason": reason,
            "entries": report.entries, "revision": report.revision, "saved": report.saved, "lost": report.lost,
            "lost_runs": lost, "aside": report.aside,
        }),
    ))?;
    let terminal = context.output.result;
    let mut out = format!("{} restored from {}: {}\n", Escaped(&packed.environment), shown(from), held_text(&packed));
    if report.saved > 0 {
        out.push_str(&format!("saved  {} behind the backup, from what was there\n", entries(report.saved)));
    }
    match report.lost {
        0 => out.push_str("lost   nothing\n"),
        lost => {
            let head = format!("lost   {} behind entry {}", entries(lost), report.upto);
            out.push_str(&format!("{}\n", terminal.paint(Ink::Bad, head)));
        }
    }
    for run in &report.lost_runs {
        out.push_str(&format!("       {}\n", lost_text(run)));
    }
    if !report.aside.is_empty() {
        let aside = Path::new(&report.aside);
        out.push_str(&format!(
            "kept   what was there, in {}\n",
            shown(aside.strip_prefix(&context.settings.dir).unwrap_or(aside))
        ));
    }
    context.output.text(&out);
    if report.lost > 0 {
        context.output.about(
            "what was lost may exist on the platforms, and state does not know it: look there before the next apply, and take it\n\
             over with `stackwright adopt ADDRESS ID`\n",
        );
    }
    context.output.about(&missing_key_text(&packed.key));
    context.output.about(&format!("Next: {}\n", context.command(&packed.environment, "plan")));
    Ok(Exit::Done)
}

pub async fn migrate(context: &Context<'_>, from: &str, reason: &str) -> Result<Exit, Failure> {
    let moved = migrate::migrate(context.settings, context.global.env.as_deref(), from, reason).await?;
    let it = &moved.migrated;
    context.output.document(&document(
        "state-migrate",
        json!({
            "environment": moved.environment, "from": moved.from, "to": moved.to, "reason": reason, "entries": it.entries,
            "revision": it.revision, "head": it.head.hash.to_string(), "records": it.records, "already": it.already,
        }),
    ))?;
    let environment = Escaped(&moved.environment).to_string();
    let (from, to) = (Escaped(&moved.from).to_string(), Escaped(&moved.to).to_string());
    if it.already {
        context.output.text(&format!("{environment} has moved to {to} already: nothing is left to do\n"));
        return Ok(Exit::Done);
    }
    let head = it.head.hash.short();
    let begun = if it.before > 0 { format!(", of which {} were there", it.before) } else { String::new() };
    context.output.text(&format!(
        "{environment} moved from {from} to {to}: rev {}, {}{begun}\nboth end in head {head} and hold {}; the old one is closed\n",
        it.revision,
        entries(it.entries),
        resources(it.records)
    ));
    context.output.about("nothing was deleted: take the old store away when nobody needs it any more\n");
    context.output.about(&format!("Next: {}\n", context.command(&moved.environment, "verify")));
    Ok(Exit::Done)
}

fn packed_json(it: &Packed, file: &Path) -> Json {
    json!({
        "environment": it.environment, "stack": it.stack, "file": file.display().to_string(), "store": it.store, "entries": it.entries,
        "revision": it.revisions, "head": it.head.to_string(), "snapshot": it.snapshot, "key": it.key.id,
    })
}

fn lost_json(it: &LostRun) -> Json {
    json!({
        "run": it.run, "who": it.who, "time": instant(it.time_ms), "revision": it.revision, "entries": it.entries,
        "addresses": it.addresses.iter().map(|at| at.as_str()).collect::<Vec<_>>(),
    })
}

fn lost_text(it: &LostRun) -> String {
    let revision = it.revision.map(|number| format!(" (rev {number})")).unwrap_or_default();
    let by = if it.who.is_empty() { String::new() } else { format!(" by {}", Escaped(&it.who)) };
    let mut named: Vec<String> = it.addresses.iter().take(NAMED).map(|at| Escaped(at.as_str()).to_string()).collect();
    if it.addresses.len() > NAMED {
        named.push(format!("and {} more", it.addresses.len() - NAMED));
    }
    let about = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
    format!("run {}{revision}{by}, {}, {}{about}", it.run, instant(it.time_ms), entries(it.entries))
}

fn held_text(it: &Packed) -> String {
    format!("rev {}, {}, head {}", it.revisions, entries(it.entries), it.head.short())
}

fn entries(number: u64) -> String {
    count_of(number as usize, "entry", "entries")
}

fn shown(path: &Path) -> String {
    Escaped(&path.display().to_string()).to_string()
}

/// What a file does not have in it.
fn key_text(key: &KeyNeeded) -> String {
    let id = Escaped(&key.id).to_string();
    let file = key.path.as_ref().filter(|_| key.is_here).map(|path| shown(path));
    match (key.holders.is_empty(), file) {
        (true, Some(file)) => format!("its secrets are sealed under key {id}, which is not in it: carry {file} by another way\n"),
        (true, None) => format!("its secrets are sealed under key {id}, which is not in it and not here\n"),
        (false, file) => {
            let also = file.map(|file| format!(", and so does {file}, which is not in it")).unwrap_or_default();
            format!("its secrets are sealed under key {id}: {} can open it{also}\n", names(key))
        }
    }
}

/// What has to be brought before the state can be used.
fn missing_key_text(key: &KeyNeeded) -> String {
    let id = Escaped(&key.id).to_string();
    match &key.path {
        _ if key.is_here => String::new(),
        _ if !key.holders.is_empty() => format!("its secrets are sealed under key {id}: {} can open it\n", names(key)),
        Some(path) => format!("its secrets are sealed under key {id}: put that at {} (mode 0600)\n", shown(path)),
        None => format!("its secrets are sealed under key {id}, which has to be brought here\n"),
    }
}

fn names(key: &KeyNeeded) -> String {
    key.holders.iter().map(|name| Escaped(name).to_string()).collect::<Vec<_>>().join(", ")
}
