//! Which store keeps the state of an environment: what the stack's `state` says, and what this machine has to reach it with.
//!
//! Every command that opens a state does it here. Under `--sim` state is kept on this machine, apart from the real one; under
//! `--sim=URL`, whose clouds several machines may share, the stack's own store keeps it, under a name that no real state has.

use std::sync::Arc;

use super::anchors;
use super::keys;
use super::settings::{Clouds, Settings};
use super::stored;
use crate::expand;
use crate::lang::program::Program;
use crate::model::{Code, Data, Diagnostic, Fields, Span};
use crate::state::{State, Store};

/// What a stack asks for.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A directory beside the stack.
    Local,
    /// Not on this machine: which of the stores, its fields, and where it is said.
    Shared { label: String, fields: Fields, span: Span },
}

/// What `state` says for an environment, which the program need not have.
///
/// Errors: what evaluation answers.
pub fn asked(settings: &Settings, program: &Program, environment: &str) -> Result<Asked, Box<Diagnostic>> {
    // Simulated clouds of our own stay on this machine, and so does what is known of them.
    if matches!(settings.clouds, Clouds::Simulated | Clouds::InProcess(_)) {
        return Ok(Asked::Local);
    }
    let Some(expr) = program.stack.settings.get("state") else { return Ok(Asked::Local) };
    let value = expand::early(program, environment, expr)?;
    Ok(match &value.data {
        Data::Variant(label, fields) if **label != *"local" => {
            Asked::Shared { label: label.to_string(), fields: Fields::clone(fields), span: expr.span }
        }
        _ => Asked::Local,
    })
}

/// Opens the state of an environment, reading only.
///
/// Errors: those of [`State::open`], and of reaching the store.
pub async fn open(settings: &Settings, program: &Program, environment: &str) -> Result<State, Box<Diagnostic>> {
    let store = store(settings, program, environment)?;
    known(
        settings,
        State::open(store, keys::sources(settings, Some((program, environment)))?, environment, &settings.world).await?,
    )
    .await
}

/// As [`open`], not yet read: for audits.
pub fn unread(settings: &Settings, program: &Program, environment: &str) -> Result<State, Box<Diagnostic>> {
    let store = store(settings, program, environment)?;
    Ok(State::unread(store, keys::sources(settings, Some((program, environment)))?, environment, &settings.world))
}

/// The state that this machine keeps of an environment, whatever a program says: for when there is none that can be read.
pub async fn open_local(settings: &Settings, environment: &str) -> Result<State, Box<Diagnostic>> {
    let store = State::local_store(&settings.state_root(), environment)?;
    known(settings, State::open(store, keys::sources(settings, None)?, environment, &settings.world).await?).await
}

/// The state, if it continues what this machine has seen of it before.
async fn known(settings: &Settings, state: State) -> Result<State, Box<Diagnostic>> {
    anchors::check(settings, &state).await?;
    Ok(state)
}

/// The store of an environment. Nothing is asked of it yet.
pub fn store(settings: &Settings, program: &Program, environment: &str) -> Result<Arc<dyn Store>, Box<Diagnostic>> {
    match asked(settings, program, environment)? {
        Asked::Local => State::local_store(&settings.state_root(), environment),
        Asked::Shared { label, span, .. } => {
            let text = format!("this version keeps state on this machine only, and the stack asks for `{label}`");
            Err(Box::new(Code::NotYet.error(text).label(span, "another store").help("write `state = local {}`")))
        }
    }
}

/// Whether this machine keeps a state of that environment.
pub fn is_here(settings: &Settings, environment: &str) -> bool {
    stored::environments_with_state(settings).iter().any(|it| it == environment)
}
