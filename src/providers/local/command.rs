//! `local.command`: a program that runs to its end once: a migration, a release command.
//!
//! That it has run is noted under its token, so that one whose outcome nobody heard is not run again. One that was interrupted is.

use super::daemon::with_log;
use super::helper::{Helper, exit_words};
use super::place::Note;
use super::process::{directory, environment, program};
use super::{Ground, inputs, refused};
use crate::model::Value;
use crate::model::value::Fields;
use crate::providers::contract::{Call, CallError};

pub const KIND: &str = "local.command";

pub async fn create(ground: &Ground, call: &Call, given: &Fields) -> Result<Fields, CallError> {
    let name = ground.name(KIND, given)?;
    let (dir, env) = (directory(ground, given)?, environment(given, 0)?);
    let (program, arguments) = program(given, "command", &dir, &env)?;
    let (log, from) = ground.place.open_log(KIND, name.name)?;
    let helper = Helper { program: &program, arguments, dir: &dir, env, user: None, input: Vec::new(), log };
    let status = name.run(helper, &*ground.clock, call.not_after).await?;
    if !status.success() {
        let words = format!("the command failed with {}", exit_words(status));
        return Err(refused("command", with_log(words, &ground.place.log(KIND, name.name), from, &inputs::secrets(given, &[]))));
    }
    let note = Note { kind: KIND.into(), token: call.token.clone(), port: None, process: None, location: None };
    ground.place.keep_note(KIND, name.name, &note)?;
    Ok(attributes(ground, given))
}

pub fn find(ground: &Ground, call: &Call, given: &Fields) -> Result<Option<Fields>, CallError> {
    let done = ground.name(KIND, given)?.note().is_some_and(|note| note.token == call.token);
    Ok(done.then(|| attributes(ground, given)))
}

/// What has run stays so.
pub fn read(known: &Fields) -> Option<Fields> {
    Some(known.clone())
}

pub async fn delete(ground: &Ground, before: &Fields) -> Result<(), CallError> {
    let name = ground.name(KIND, before)?;
    name.end_helpers(&*ground.clock).await?;
    ground.place.remove_log(KIND, name.name)?;
    ground.place.drop_note(KIND, name.name)
}

fn attributes(ground: &Ground, given: &Fields) -> Fields {
    let mut all = given.clone();
    let name = inputs::optional_text(given, "name").unwrap_or_default();
    all.insert("log".into(), Value::text(ground.place.log(KIND, name).to_string_lossy().into_owned()));
    all
}
