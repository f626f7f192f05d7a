//! `key`: who can open the secrets of a state, and who signs its log.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::Context;
use super::audit::instant_json;
use super::signers;
use super::stored::instant;
use crate::cli::args::KeyCommand;
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::json::document;
use crate::cli::terminal::{Ink, spread};
use crate::ops::keys::{self, Changed, Listing, Recipient, Since, Unlike};
use crate::ops::project::Failure;

pub async fn run(context: &Context<'_>, command: &KeyCommand) -> Result<Exit, Failure> {
    match command {
        KeyCommand::New { out, sign: true } => signers::new(context, out.as_deref()),
        KeyCommand::New { out, sign: false } => new(context, out.as_deref()),
        KeyCommand::List => list(context).await,
        KeyCommand::Add { recipient, name, reason } => match Recipient::parse(recipient)? {
            recipient @ (Recipient::Age(_) | Recipient::Passphrase) => add(context, &recipient, name, reason).await,
            Recipient::Signer(key) => signers::add(context, &key, name, reason).await,
        },
        KeyCommand::Remove { name, reason, sign } => {
            if *sign || signers::is_only_a_signer(context, name).await? {
                return signers::remove(context, name, reason).await;
            }
            remove(context, name, reason).await
        }
        KeyCommand::Rotate { reason } => rotate(context, reason).await,
    }
}

fn new(context: &Context<'_>, out: Option<&Path>) -> Result<Exit, Failure> {
    let made = keys::new(context.settings, out)?;
    let path = made.path.display().to_string();
    context.output.document(&document("key-new", json!({"recipient": made.recipient, "file": path})))?;
    context.output.text(&format!("{}\n", made.recipient));
    context.output.about(&format!(
        "the identity is in {}: keep a copy where you keep such things, and show it to nobody\n",
        Escaped(&path)
    ));
    let name = "stackwright key add RECIPIENT --name NAME --reason TEXT";
    context.output.about(&format!("whoever can open a state lets it in: {name}\n"));
    Ok(Exit::Done)
}

async fn list(context: &Context<'_>) -> Result<Exit, Failure> {
    let listing = keys::list(context.settings, context.global.env.as_deref()).await?;
    let signing = crate::ops::signing::listed(context.settings, context.global.env.as_deref()).await?;
    context.output.document(&list_document(&listing, &signing))?;
    let terminal = context.output.result;
    let mut out = String::new();
    for key in &listing.keys {
        let current = if key.is_current { "  current" } else { "" };
        let line = format!("key {}{}", terminal.paint(Ink::Strong, key.id), terminal.paint(Ink::Good, current));
        out.push_str(&format!("{}\n", spread(&terminal, &line, &terminal.paint(Ink::Quiet, since(&key.since)))));
        let file = key.file.as_ref().map(|_| keys::KEY_FILE.to_owned());
        if !key.who.is_empty() {
            out.push_str(&format!("  made by    {}: {}\n", Escaped(&key.who), Escaped(&key.reason)));
        }
        let all: Vec<String> = key.holders.iter().cloned().chain(file).collect();
        let all = if all.is_empty() { "nobody that the log knows of".to_owned() } else { all.join(", ") };
        out.push_str(&format!("  opens for  {}\n", Escaped(&all)));
        match &key.opens {
            Some(by) => out.push_str(&format!("  here by    {}\n", Escaped(by))),
            None => {
                out.push_str(&format!("  {}\n", terminal.paint(Ink::Change, "cannot be opened here")));
                for (place, why) in &key.tried {
                    out.push_str(&format!("    {}: {}\n", Escaped(place), Escaped(why)));
                }
            }
        }
    }
    if !listing.holders.is_empty() || listing.file.is_some() {
        out.push('\n');
    }
    let width = listing.holders.iter().map(|holder| holder.name.len()).chain([keys::KEY_FILE.len()]).max().unwrap_or(0);
    for holder in &listing.holders {
        let what = if holder.is_passphrase { "a passphrase" } else { &holder.recipient };
        let line = format!("  {:width$}  {}", holder.name, Escaped(what));
        let by = format!("by {}, {}", Escaped(&holder.who), since(&holder.since));
        out.push_str(&format!("{}\n", spread(&terminal, &line, &terminal.paint(Ink::Quiet, by))));
    }
    if let Some(path) = &listing.file {
        out.push_str(&format!("  {:width$}  {}\n", keys::KEY_FILE, Escaped(&path.display().to_string())));
    }
    for unlike in &listing.unlike {
        out.push_str(&format!("{}\n", terminal.paint(Ink::Change, format!("! {}", Escaped(&unlike.words())))));
        for command in unlike.mend() {
            out.push_str(&format!("    {}\n", context.command(&listing.environment, &command)));
        }
    }
    out.push_str(&signers::listed(&terminal, &signing));
    if listing.keys.is_empty() {
        out = format!("{} has no state yet, and so no key\n", Escaped(&listing.environment));
    }
    context.output.text(&out);
    Ok(Exit::Done)
}

/// `since rev 3, 2026-01-01 10:00:00 UTC`
fn since(since: &Since) -> String {
    match since.revision {
        0 => format!("from the beginning, {}", instant(since.time_ms)),
        revision => format!("since rev {revision}, {}", instant(since.time_ms)),
    }
}

fn list_document(listing: &Listing, signing: &[crate::ops::signing::Signing]) -> Json {
    let at = |since: &Since| json!({"revision": since.revision, "entry": since.sequence, "time": instant_json(since.time_ms)});
    let keys: Vec<Json> = listing
        .keys
        .iter()
        .map(|key| {
            let tried: Vec<Json> = key.tried.iter().map(|(place, why)| json!({"place": place, "why": why})).collect();
            json!({
                "id": key.id.to_string(), "current": key.is_current, "since": at(&key.since), "who": key.who, "reason": key.reason, "holders": key.holders,
                "opens": key.opens.is_some(), "by": key.opens, "tried": tried,
                "file": key.file.as_ref().map(|path| path.display().to_string()),
            })
        })
        .collect();
    let holders: Vec<Json> = listing
        .holders
        .iter()
        .map(|it| json!({"name": it.name, "recipient": it.recipient, "passphrase": it.is_passphrase, "since": at(&it.since), "who": it.who, "reason": it.reason}))
        .collect();
    document(
        "key-list",
        json!({
            "stack": listing.stack, "environment": listing.environment, "keys": keys, "holders": holders,
            "signers": signers::json(signing), "unlike": unlike_json(&listing.unlike),
        }),
    )
}

/// Differences between the stack's `encryption` and the state.
pub fn unlike_json(unlike: &[Unlike]) -> Vec<Json> {
    unlike.iter().map(|it| json!({"words": it.words(), "mend": it.mend()})).collect()
}

async fn add(context: &Context<'_>, recipient: &Recipient, name: &str, reason: &str) -> Result<Exit, Failure> {
    let changed = keys::add(context.settings, context.global.env.as_deref(), recipient, name, reason).await?;
    say(context, "key-add", &changed, &format!("{} can open its secrets now", Escaped(name)))?;
    if !changed.keys.unopened.is_empty() {
        let ids = changed.keys.unopened.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(", ");
        context
            .output
            .about(&format!("not what was sealed under {ids}, which cannot be opened here: history of that time stays closed\n"));
    }
    Ok(Exit::Done)
}

async fn remove(context: &Context<'_>, name: &str, reason: &str) -> Result<Exit, Failure> {
    let changed = keys::remove(context.settings, context.global.env.as_deref(), name, reason).await?;
    let is_file = name == keys::KEY_FILE;
    let who = if is_file { "the key file and its copies".to_owned() } else { Escaped(name).to_string() };
    say(
        context,
        "key-remove",
        &changed,
        &format!("what is new is sealed under key {}, and not for {who}", changed.keys.current),
    )?;
    let now = context.command(&changed.environment, "state rewrap --reason \"…\"");
    context.output.about(&format!("what state holds now is still sealed under the former key: {now}\n"));
    let ever = "history keeps its ciphertext, and a copy of the log opens with the former key for ever";
    context.output.about(&format!("{ever}: give new values to what {who} must not open\n"));
    if is_file {
        context.output.about("the file stays where it is: it opens what is older, and other environments use it\n");
    }
    Ok(Exit::Done)
}

async fn rotate(context: &Context<'_>, reason: &str) -> Result<Exit, Failure> {
    let changed = keys::rotate(context.settings, context.global.env.as_deref(), reason).await?;
    say(context, "key-rotate", &changed, &format!("what is new is sealed under key {}", changed.keys.current))?;
    let now = context.command(&changed.environment, "state rewrap --reason \"…\"");
    context.output.about(&format!("what state holds now is still sealed under the former key: {now}\n"));
    Ok(Exit::Done)
}

fn say(context: &Context<'_>, schema: &str, changed: &Changed, words: &str) -> Result<(), Failure> {
    let it = &changed.keys;
    let unopened: Vec<String> = it.unopened.iter().map(|id| id.to_string()).collect();
    let file = it.file.as_ref().map(|path| path.display().to_string());
    context.output.document(&document(
        schema,
        json!({
            "stack": changed.stack, "environment": changed.environment, "current": it.current.to_string(), "new": it.is_new,
            "holders": it.holders, "file": file, "unopened": unopened,
        }),
    ))?;
    context.output.text(&format!("{}: {words}\n", Escaped(&changed.environment)));
    if let Some(file) = file {
        context
            .output
            .about(&format!("the new key is in {} as well: back that up again, and renew its copies\n", Escaped(&file)));
    }
    Ok(())
}
