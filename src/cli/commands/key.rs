//! `key`: who can open the secrets of a state, and who signs its log.

use std::path::Path;

use serde_json::json;

use super::Context;
use crate::cli::args::KeyCommand;
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::json::document;
use crate::model::Code;
use crate::ops::keys::{self, Recipient};
use crate::ops::project::Failure;

pub async fn run(context: &Context<'_>, command: &KeyCommand) -> Result<Exit, Failure> {
    match command {
        KeyCommand::New { out } => new(context, out.as_deref()),
        KeyCommand::Add { recipient, .. } => match Recipient::parse(recipient)? {
            Recipient::Age(_) | Recipient::Passphrase => Ok(not_yet(context, "recipients")),
            Recipient::Signer(_) => Ok(not_yet(context, "signers")),
        },
        KeyCommand::List | KeyCommand::Remove { .. } | KeyCommand::Rotate { .. } => Ok(not_yet(context, "recipients")),
    }
}

fn not_yet(context: &Context<'_>, what: &str) -> Exit {
    context.output.fail_with(Code::NotYet.error(format!("this version has no {what}")))
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
