//! Which store keeps the state of an environment: what the stack's `state` says, and what this machine has to reach it with.
//!
//! Every command that opens a state does it here. Under `--sim` state is kept on this machine, apart from the real one; under
//! `--sim=URL`, whose clouds several machines may share, the stack's own store keeps it, under a name that no real state has.

use std::path::PathBuf;
use std::sync::Arc;

use super::anchors;
use super::files::write_whole;
use super::keys;
use super::settings::{Clouds, Settings};
use super::stored;
use crate::expand;
use crate::lang::program::Program;
use crate::model::{Code, Data, Diagnostic, Fields, Span, Value};
use crate::state::store::postgres::Postgres;
use crate::state::store::postgres::address::Address;
use crate::state::store::s3::{S3, bucket};
use crate::state::{State, Store, StoreError};

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
/// Errors: those of [`State::open`], and of reaching the store. [`Code::StateUnavailable`] where the store holds nothing, and this
/// machine knows of a state somewhere else: going on would make everything a second time.
pub async fn open(settings: &Settings, program: &Program, environment: &str) -> Result<State, Box<Diagnostic>> {
    let asked = asked(settings, program, environment)?;
    let store = store_of(settings, program, environment, &asked)?;
    let state = State::open(store, keys::sources(settings, Some((program, environment)))?, environment, &settings.world).await?;
    if let Some(cache) = anchors::cache_dir(settings).filter(|_| !settings.in_process()) {
        state.keep_outcomes_in(cache.join("outcomes"));
    }
    match state.view().head {
        None => refuse_a_second_state(settings, &asked, environment, &state.place())?,
        Some(_) => remember_place(settings, &asked, environment, &state.place()),
    }
    known(settings, state).await
}

/// Writes down where a shared state is, for when the program asks for another store. That it cannot be written is no reason to stop.
fn remember_place(settings: &Settings, asked: &Asked, environment: &str, place: &str) {
    let file = place_file(settings, environment);
    let is_known = std::fs::read_to_string(&file).is_ok_and(|known| known.trim_end() == place);
    if matches!(asked, Asked::Shared { .. }) && !is_known {
        let made = std::fs::create_dir_all(settings.state_root());
        let _ = made.and_then(|()| write_whole(&file, format!("{place}\n").as_bytes(), 0o600));
    }
}

/// A store that holds nothing, while this machine knows of a state of that environment.
fn refuse_a_second_state(settings: &Settings, asked: &Asked, environment: &str, place: &str) -> Result<(), Box<Diagnostic>> {
    let file = place_file(settings, environment);
    let known = std::fs::read_to_string(&file).ok().map(|known| known.trim_end().to_owned());
    let (other, way_out) = match (asked, known) {
        (_, Some(known)) => (known, format!("if that one is not wanted any more, delete {}", file.display())),
        (Asked::Shared { .. }, None) if is_here(settings, environment) => {
            let dir = settings.state_root().join(environment).display().to_string();
            (dir, "if that one is not wanted any more, move its directory away".to_owned())
        }
        _ => return Ok(()),
    };
    let message = match other == place {
        true => format!("the store of {environment} holds nothing, and this machine has seen a state there"),
        false => format!("the state of {environment} is in another store than the stack asks for"),
    };
    let label = match asked {
        Asked::Shared { span, .. } => Some((*span, "this store holds nothing")),
        Asked::Local => None,
    };
    let error = Code::StateUnavailable.error(message).labels(label).fact("asked for", place);
    let error = if other == place { error } else { error.help(migrates_from(&other)).fact("state", other) };
    Err(Box::new(error.note("nothing was changed: going on would make everything a second time").help(way_out)))
}

/// How to bring a state here from where it was seen.
fn migrates_from(place: &str) -> String {
    let from = match place {
        place if place.starts_with("postgres") => "postgres { … }",
        place if place.starts_with("s3:") => "s3 { … }",
        _ => return "`stackwright state migrate --from 'local {}' --reason \"…\"` moves it here".into(),
    };
    format!(
        "`stackwright state migrate --from '{from}' --reason \"…\"` moves it here: `--from` takes what stood in `state` before"
    )
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
///
/// Errors: [`Code::StateUnavailable`] where it is not known how to reach it.
pub fn store(settings: &Settings, program: &Program, environment: &str) -> Result<Arc<dyn Store>, Box<Diagnostic>> {
    store_of(settings, program, environment, &asked(settings, program, environment)?)
}

fn store_of(settings: &Settings, program: &Program, environment: &str, asked: &Asked) -> Result<Arc<dyn Store>, Box<Diagnostic>> {
    let (label, fields, span) = match asked {
        Asked::Local => return State::local_store(&settings.state_root(), environment),
        Asked::Shared { label, fields, span } => (label, fields, *span),
    };
    let simulated = if settings.simulated() { ".sim" } else { "" };
    let log = format!("{}/{environment}{simulated}", program.stack.name);
    let made = match label.as_str() {
        "postgres" => postgres(settings, fields, &log),
        "s3" => s3(settings, fields, &log),
        other => {
            let text = format!("this version does not keep state in `{other}`");
            return Err(Box::new(Code::NotYet.error(text).label(span, "another store").help("write `state = local {}`")));
        }
    };
    made.map_err(|error| Box::new(crate::state::unusable(&error).label(span, "asked for here")))
}

fn text<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    fields.get(name).and_then(Value::as_text)
}

fn postgres(settings: &Settings, fields: &Fields, log: &str) -> Result<Arc<dyn Store>, StoreError> {
    let address = Address::find(text(fields, "url"), &*settings.variable);
    let address = address.map_err(|(why, help)| StoreError::Refused { place: format!("postgres ({log})"), why, help })?;
    let schema = text(fields, "schema").unwrap_or("stackwright");
    Ok(Arc::new(Postgres::new(address, schema, log, &settings.world, settings.tell.clone())?))
}

fn s3(settings: &Settings, fields: &Fields, log: &str) -> Result<Arc<dyn Store>, StoreError> {
    let asked = bucket::Asked {
        bucket: text(fields, "bucket").unwrap_or_default().to_owned(),
        prefix: text(fields, "prefix").unwrap_or_default().to_owned(),
        region: text(fields, "region").map(str::to_owned),
        endpoint: text(fields, "endpoint").map(str::to_owned),
        path_style: fields.get("path_style").and_then(Value::as_bool),
    };
    let bucket = bucket::Bucket::find(&asked, &*settings.variable);
    let bucket =
        bucket.map_err(|(why, help)| StoreError::Refused { place: format!("s3://{} ({log})", asked.bucket), why, help })?;
    Ok(Arc::new(S3::new(bucket, log, &settings.world, settings.tell.clone())))
}

/// The file that says where a shared state was last seen.
fn place_file(settings: &Settings, environment: &str) -> PathBuf {
    settings.state_root().join(format!("{environment}.store"))
}

/// Whether this machine keeps a state of that environment.
pub fn is_here(settings: &Settings, environment: &str) -> bool {
    stored::environments_with_state(settings).iter().any(|it| it == environment)
}
