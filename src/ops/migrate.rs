//! `state migrate`: the state of an environment moves to the store that the stack asks for now.

use std::sync::Arc;

use super::carry::carrier;
use super::environment;
use super::project::{self, Failure};
use super::settings::Settings;
use super::stores;
use crate::lang;
use crate::lang::program::Program;
use crate::model::{Code, Diagnostic, Sources};
use crate::providers::registry;
pub use crate::state::Migrated;
use crate::state::Migration;

/// A state that has moved.
pub struct Moved {
    pub environment: String,
    pub from: String,
    pub to: String,
    pub migrated: Migrated,
}

/// Moves the state from the store that `from` names, in the words of a stack (`local {}`, `s3 { bucket = "acme-state" }`), to the
/// one that the stack's `state` asks for.
///
/// Errors: of `from`; [`Code::NotCarried`], [`Code::Locked`], and those of both stores.
pub async fn migrate(settings: &Settings, named: Option<&str>, from: &str, reason: &str) -> Result<Moved, Failure> {
    let checked = project::check(settings, Arc::new(registry::schemas()), Sources::default());
    let Some(program) = &checked.program else { return Err(Failure::new(checked.diagnostics, checked.sources)) };
    let at = |diagnostic: Box<Diagnostic>| Failure::new(vec![*diagnostic], checked.sources.clone());
    let environment = environment::choose(program, named).map_err(at)?.name.to_string();
    let old = old_program(program.stack.name.as_ref(), &environment, from)?;
    let carrier = carrier(settings, reason)?;
    let to_words = match program.stack.settings.get("state") {
        Some(expr) => checked.sources.text(expr.span).to_owned(),
        None => "local {}".to_owned(),
    };
    let from_state = stores::unread(settings, &old, &environment)?;
    let to_state = stores::unread(settings, program, &environment).map_err(at)?;
    let from = from.trim().to_owned();
    let migration = Migration { from: &from_state, to: &to_state, from_words: from.clone(), to_words: to_words.clone() };
    let migrated = migration.run(&carrier).await?;
    Ok(Moved { environment, from, to: to_words, migrated })
}

/// A program that says nothing but where its state is.
fn old_program(stack: &str, environment: &str, from: &str) -> Result<Arc<Program>, Failure> {
    let text = format!("stack {stack} {{\n  language = 1\n  state = {from}\n}}\n\nenvironment {environment} {{ on = local }}\n");
    let texts = vec![("--from".to_owned(), text)];
    let checked = lang::load(Sources::default(), texts, Arc::new(registry::schemas()));
    match checked.program {
        Some(program) => Ok(program),
        None => {
            let mut diagnostics = checked.diagnostics;
            if let Some(first) = diagnostics.first_mut() {
                let help = "`--from` takes what stood in the stack's `state`: `--from 'local {}'`, `--from 's3 { bucket = \"acme-state\" }'`";
                *first = std::mem::replace(first, Code::Usage.error("")).help(help);
            }
            Err(Failure::new(diagnostics, checked.sources))
        }
    }
}
