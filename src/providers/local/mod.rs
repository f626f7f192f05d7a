//! The provider for one's own machine: values, files, ports, commands, processes, a PostgreSQL, a Redis.
//!
//! Takes calls of the contract; what it starts runs in a session of its own, outlives the command, and is found again by what it
//! bears (a token in its environment, its pid with its start time), never by a pid alone.
//!
//! On disk, below the environment's data directory: `files/` (what `local.file` holds), `logs/NAME.log`, `run/NAME.json` (a note
//! of what runs and which port it has), `postgres/NAME/`, `redis/NAME/`. Nothing of these is left after a destroy.

mod command;
mod daemon;
mod file;
mod health;
mod helper;
mod inputs;
mod place;
mod port;
mod ports;
mod postgres;
mod process;
mod processes;
mod programs;
mod redis;
mod resp;
mod schema;
mod scram;
mod surroundings;
mod user;
mod value;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::place::Place;
use crate::model::value::Fields;
use crate::model::{Code, Diagnostic, Kind, Name, ProviderSchema, Value};
use crate::providers::contract::{
    Answer, Budget, Call, CallAction, CallError, Cloud, Connection, Found, Provider, Receipt, Surroundings,
};
use crate::world::{Clock, World};

/// One's own machine.
pub struct Local;

impl Provider for Local {
    fn schema(&self) -> Arc<ProviderSchema> {
        schema::schema()
    }

    fn connect(&self, _settings: &Fields, surroundings: &Surroundings) -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
        let world = surroundings.world.clone();
        Ok(Arc::new(Ground { place: Place::new(surroundings), clock: world.clock.clone(), world }))
    }

    fn preflight(&self, kinds: &BTreeSet<Name>, _surroundings: &Surroundings) -> Vec<Diagnostic> {
        programs::missing(kinds)
    }

    fn cloud(&self) -> Option<Box<dyn Cloud>> {
        None
    }
}

/// The machine, as one environment of a stack has it.
struct Ground {
    place: Place,
    clock: Arc<dyn Clock>,
    world: World,
}

impl Ground {
    fn name<'a>(&'a self, kind: &'a str, fields: &'a Fields) -> Result<daemon::Name<'a>, CallError> {
        let name = inputs::text(fields, "name")?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 100 || !name.chars().all(fits) {
            return Err(refused("name", format!("`name` cannot be `{}`: it has to be like `api-1`", name.escape_debug())));
        }
        Ok(daemon::Name { place: &self.place, kind, name })
    }

    async fn create(&self, call: &Call, inputs: &Fields) -> Result<Fields, CallError> {
        match &*call.kind.name {
            "local.value" => Ok(value::create(inputs, &self.world)),
            "local.file" => file::write(&self.place, inputs),
            port::KIND => port::create(self, call, inputs),
            command::KIND => command::create(self, call, inputs).await,
            process::KIND => process::create(self, call, inputs).await,
            postgres::KIND => postgres::create(self, call, inputs).await,
            redis::KIND => redis::create(self, call, inputs).await,
            other => Err(unknown_kind(other)),
        }
    }

    async fn update(&self, call: &Call, before: &Fields, inputs: &Fields, changed: &[Name]) -> Result<Fields, CallError> {
        match &*call.kind.name {
            "local.value" => Ok(value::update(inputs, before, &self.world)),
            "local.file" => file::write(&self.place, inputs),
            process::KIND => process::update(self, call, before, inputs, changed).await,
            postgres::KIND => postgres::update(self, call, before, inputs, changed).await,
            redis::KIND => redis::update(self, call, before, inputs, changed).await,
            other => Err(unknown_kind(other)),
        }
    }

    async fn delete(&self, kind: &Kind, before: &Fields) -> Result<(), CallError> {
        match &*kind.name {
            "local.value" => Ok(()),
            "local.file" => file::delete(&self.place, before),
            port::KIND => port::delete(self, before),
            command::KIND => command::delete(self, before).await,
            process::KIND => process::delete(self, before).await,
            postgres::KIND => postgres::delete(self, before).await,
            redis::KIND => redis::delete(self, before).await,
            other => Err(unknown_kind(other)),
        }
    }

    /// What an interrupted call has made, if it is there and works.
    async fn find_made(&self, call: &Call, inputs: &Fields) -> Result<Option<Fields>, CallError> {
        match &*call.kind.name {
            "local.value" => Ok(None),
            "local.file" => Ok(file::read(&self.place, inputs)?.filter(|seen| file::holds(seen, inputs))),
            port::KIND => port::find(self, call, inputs),
            command::KIND => command::find(self, call, inputs),
            process::KIND => process::find(self, call, inputs).await,
            postgres::KIND => postgres::find(self, call, inputs).await,
            redis::KIND => redis::find(self, call, inputs).await,
            other => Err(unknown_kind(other)),
        }
    }
}

#[async_trait]
impl Connection for Ground {
    async fn list(&self, kind: &Kind, _group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        Err(refused("", format!("`{}` cannot be listed", kind.name)))
    }

    async fn read(&self, kind: &Kind, known: &Fields) -> Result<Option<Fields>, CallError> {
        match &*kind.name {
            "local.value" => Ok(Some(known.clone())),
            "local.file" => file::read(&self.place, known),
            port::KIND => port::read(self, known),
            command::KIND => Ok(command::read(known)),
            process::KIND => process::read(self, known),
            postgres::KIND => postgres::read(self, known),
            redis::KIND => redis::read(self, known).await,
            other => Err(unknown_kind(other)),
        }
    }

    async fn perform(&self, call: &Call) -> Result<Answer, CallError> {
        let attributes = match &call.action {
            CallAction::Create { inputs } => self.create(call, inputs).await?,
            CallAction::Update { before, inputs, changed } => self.update(call, &before.attributes(), inputs, changed).await?,
            CallAction::Delete { before } => {
                self.delete(&call.kind, &before.attributes()).await?;
                Fields::new()
            }
        };
        Ok(Answer { attributes, receipt: Receipt::default() })
    }

    async fn find(&self, call: &Call) -> Result<Found, CallError> {
        let (inputs, otherwise) = match &call.action {
            CallAction::Create { inputs } => (inputs, Found::Absent),
            // To update once more what was updated comes to the same.
            CallAction::Update { inputs, .. } => (inputs, Found::Unchanged),
            // To delete what is gone, or half gone, is done by deleting once more.
            CallAction::Delete { .. } => return Ok(Found::Unchanged),
        };
        let made = self.find_made(call, inputs).await?;
        Ok(made.map_or(otherwise, |attributes| Found::Done(Answer { attributes, receipt: Receipt::default() })))
    }

    /// What it starts shares this machine with everything else.
    fn budget(&self) -> Budget {
        Budget { concurrent: 8, per_second: None }
    }
}

/// The future's result, or `None` after `limit`.
async fn within<T>(clock: &dyn Clock, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        result = future => Some(result),
        () = clock.sleep(limit) => None,
    }
}

fn set_pid(fields: &mut Fields, pid: Option<i32>) {
    match pid {
        Some(pid) => drop(fields.insert("pid".into(), Value::int(pid.into()))),
        None => drop(fields.remove("pid")),
    }
}

/// A refusal of this machine; `field` is the attribute that it is about, or empty.
fn refused(field: &str, words: String) -> CallError {
    let field = (!field.is_empty()).then(|| field.to_owned());
    CallError::Refused { status: None, field, words, request: None, code: Code::Refused }
}

fn refused_by(diagnostic: Diagnostic) -> CallError {
    let help = diagnostic.help.first().map(|help| format!("; {help}")).unwrap_or_default();
    let words = format!("{}{help}", diagnostic.message);
    CallError::Refused { status: None, field: None, words, request: None, code: diagnostic.code }
}

/// A program that could not be started.
fn missing_program(program: &Path, error: &std::io::Error) -> CallError {
    let words = format!("cannot start {}: {error}", program.display());
    CallError::Refused { status: None, field: None, words, request: None, code: Code::ProgramMissing }
}

fn unknown_kind(kind: &str) -> CallError {
    refused("", format!("`local` has no kind `{kind}`"))
}
