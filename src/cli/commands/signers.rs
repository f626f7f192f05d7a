//! `key` for those who sign revisions: `key new --sign`, `key add 'ssh-ed25519 …'`, and their part of `key list` and `key remove`.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::Context;
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::json::document;
use crate::cli::terminal::{Ink, Terminal, spread};
use crate::ops::project::Failure;
use crate::ops::signing::{self, Changed, Signing};

pub fn new(context: &Context<'_>, out: Option<&Path>) -> Result<Exit, Failure> {
    let made = signing::new(context.settings, out)?;
    let path = made.path.display().to_string();
    context
        .output
        .document(&document("key-new", json!({"signer": made.public, "fingerprint": made.fingerprint, "file": path})))?;
    context.output.text(&format!("{}\n", Escaped(&made.public)));
    let path = Escaped(&path);
    context
        .output
        .about(&format!("the private key is in {path}: show it to nobody; STACKWRIGHT_SIGNING_KEY_FILE={path} signs with it\n"));
    context.output.about(&format!(
        "a state learns who signs it by: stackwright key add \"{}\" --name NAME --reason TEXT\n",
        Escaped(&made.public)
    ));
    Ok(Exit::Done)
}

pub async fn add(context: &Context<'_>, key: &str, name: &str, reason: &str) -> Result<Exit, Failure> {
    let changed = signing::add(context.settings, context.global.env.as_deref(), key, name, reason).await?;
    said(context, "key-add", &changed, "signs from now on")
}

pub async fn remove(context: &Context<'_>, name: &str, reason: &str) -> Result<Exit, Failure> {
    let changed = signing::remove(context.settings, context.global.env.as_deref(), name, reason).await?;
    said(context, "key-remove", &changed, "signs nothing more; what it has signed stays signed")
}

fn said(context: &Context<'_>, schema: &str, changed: &Changed, words: &str) -> Result<Exit, Failure> {
    context.output.document(&document(
        schema,
        json!({
            "stack": changed.stack, "environment": changed.environment, "revision": changed.revision, "name": changed.name,
            "fingerprint": changed.fingerprint, "signers": changed.signers,
        }),
    ))?;
    let (environment, name) = (Escaped(&changed.environment), Escaped(&changed.name));
    context
        .output
        .text(&format!("{environment}: {name} ({}) {words}; state rev {} is saved\n", changed.fingerprint, changed.revision));
    if changed.signers == 1 && schema == "key-add" {
        context
            .output
            .about("every revision needs a signer's signature from now on: an apply without one of their keys is refused\n");
    }
    if !changed.we_sign {
        context.output.about("no key of a signer is here: name it in STACKWRIGHT_SIGNING_KEY_FILE before the next apply\n");
    }
    Ok(Exit::Done)
}

/// Whether somebody signs under that name, and nobody of that name opens secrets.
pub async fn is_only_a_signer(context: &Context<'_>, name: &str) -> Result<bool, Failure> {
    let signing = signing::listed(context.settings, context.global.env.as_deref()).await?;
    if !signing.iter().any(|it| it.name == name) {
        return Ok(false);
    }
    let listing = crate::ops::keys::list(context.settings, context.global.env.as_deref()).await?;
    Ok(!listing.holders.iter().any(|it| it.name == name))
}

/// The signers, for `key list`; nothing where there are none.
pub fn listed(terminal: &Terminal, signers: &[Signing]) -> String {
    let mut out = String::new();
    if signers.is_empty() {
        return out;
    }
    let width = signers.iter().map(|it| it.name.chars().count()).max().unwrap_or(0);
    out.push_str(&format!("{}\n", terminal.paint(Ink::Strong, "signers")));
    for it in signers {
        let line = format!("  {:width$}  {}", Escaped(&it.name).to_string(), it.fingerprint);
        let since = format!("since entry {}, by {}", it.since, Escaped(&it.who));
        out.push_str(&format!("{}\n", spread(terminal, &line, &terminal.paint(Ink::Quiet, since))));
    }
    out
}

pub fn json(signers: &[Signing]) -> Vec<Json> {
    let one =
        |it: &Signing| json!({"name": it.name, "key": it.key, "fingerprint": it.fingerprint, "since": it.since, "who": it.who});
    signers.iter().map(one).collect()
}
