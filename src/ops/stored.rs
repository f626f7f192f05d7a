//! What state holds, for commands that need no program: it may be broken, or gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::environment;
use super::keys;
use super::project::{self, Failure};
use super::settings::Settings;
use super::stores;
use crate::lang::program::Program;
use crate::model::{Address, Code, Diagnostic, Record, Sources};
use crate::providers::registry;
use crate::state::State;

/// One environment's state, opened for reading.
pub struct Stored {
    /// Of the program; empty where it cannot be read.
    pub stack: String,
    pub environment: String,
    pub state: State,
    /// Who is to have the state's key, as the stack's `encryption` says it: recipients by name.
    pub declared: BTreeMap<String, String>,
}

/// Opens the state of the named environment, else of the only one that the program has, else of the only one that has state.
///
/// Errors: [`Code::UnknownEnvironment`], and those of opening a state.
pub async fn open(settings: &Settings, named: Option<&str>) -> Result<Stored, Failure> {
    let found = find_out(settings, named)?;
    let state = match &found.program {
        Some(program) => stores::open(settings, program, &found.environment).await.map_err(|error| found.fail(error))?,
        None => stores::open_local(settings, &found.environment).await?,
    };
    if let Some(unknown) = found.unknown.as_ref().filter(|_| state.view().head.is_none()) {
        return Err(unknown.clone().into());
    }
    found.stored(settings, state)
}

/// As [`open`], with a state that was not yet read: for audits.
pub fn unread(settings: &Settings, named: Option<&str>) -> Result<Stored, Failure> {
    let found = find_out(settings, named)?;
    let state = match &found.program {
        Some(program) => stores::unread(settings, program, &found.environment).map_err(|error| found.fail(error))?,
        None => {
            let store = State::local_store(&settings.state_root(), &found.environment)?;
            State::unread(store, keys::sources(settings, None)?, &found.environment, &settings.world)
        }
    };
    found.stored(settings, state)
}

/// As [`open`], with what the log says of keys and no more: it may be that no key is here.
pub async fn open_keys(settings: &Settings, named: Option<&str>) -> Result<Stored, Failure> {
    let stored = unread(settings, named)?;
    Ok(Stored { state: stored.state.with_keys_only().await?, ..stored })
}

/// Which state is meant.
struct Found {
    environment: String,
    /// `None` where it cannot be read: then only a state on this machine can be found.
    program: Option<Arc<Program>>,
    sources: Arc<Sources>,
    /// The program has no such environment: an error unless there is a state of it.
    unknown: Option<Box<Diagnostic>>,
}

impl Found {
    fn stored(self, settings: &Settings, state: State) -> Result<Stored, Failure> {
        let declared = self
            .program
            .as_deref()
            .map(|it| keys::declared(settings, it, &self.environment))
            .transpose()
            .map_err(|error| self.fail(error))?;
        let stack = self.program.map_or_else(String::new, |program| program.stack.name.to_string());
        Ok(Stored { stack, environment: self.environment, state, declared: declared.unwrap_or_default() })
    }

    #[allow(clippy::boxed_local, reason = "every room gives its diagnostics boxed")]
    fn fail(&self, error: Box<Diagnostic>) -> Failure {
        Failure::new(vec![*error], self.sources.clone())
    }
}

fn find_out(settings: &Settings, named: Option<&str>) -> Result<Found, Failure> {
    let checked = project::check(settings, Arc::new(registry::schemas()), Sources::default());
    let sources = checked.sources.clone();
    let Some(program) = checked.program else {
        let environment = match (named, &environments_with_state(settings)[..]) {
            (Some(name), _) if stores::is_here(settings, name) => name.to_owned(),
            (None, [only]) => only.clone(),
            _ => return Err(Failure::new(checked.diagnostics, checked.sources)),
        };
        return Ok(Found { environment, program: None, sources, unknown: None });
    };
    let (environment, unknown) = match (environment::choose(&program, named), named) {
        (Ok(environment), _) => (environment.name.to_string(), None),
        (Err(unknown), Some(name)) => (name.to_owned(), Some(unknown)),
        (Err(unknown), None) => return Err(unknown.into()),
    };
    let local = unknown.is_some() && matches!(stores::asked(settings, &program, &environment), Ok(stores::Asked::Local) | Err(_));
    match unknown {
        Some(unknown) if local && !stores::is_here(settings, &environment) => Err(unknown.into()),
        unknown => Ok(Found { environment, program: Some(program), sources, unknown }),
    }
}

/// Names of the environments that have a state on this machine, ordered.
pub fn environments_with_state(settings: &Settings) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(settings.state_root()) else { return Vec::new() };
    let dirs = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = dirs.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    // What a restore keeps aside is nobody's state.
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

/// Records by the instance that they belong to.
pub fn by_instance(state: &State) -> BTreeMap<Address, Vec<Arc<Record>>> {
    let mut groups: BTreeMap<Address, Vec<Arc<Record>>> = BTreeMap::new();
    for record in state.view().records.values() {
        groups.entry(record.instance.clone()).or_default().push(record.clone());
    }
    groups
}

/// The record at an address, or all records inside of it.
///
/// Errors: [`Code::UnknownName`].
pub fn find(state: &State, what: &str) -> Result<Vec<Arc<Record>>, Box<Diagnostic>> {
    let view = state.view();
    let inside = |record: &Record| {
        let address = record.address.as_str();
        address == what || address.strip_prefix(what).is_some_and(|rest| rest.starts_with(['/', '[']))
    };
    let found: Vec<_> = view.records.values().filter(|record| inside(record)).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names = view.records.keys().map(Address::as_str).chain(view.records.values().map(|it| it.instance.as_str()));
    let near = super::nearest(what, names).map(|it| format!("write `{it}`"));
    Err(Box::new(
        Code::UnknownName.error(format!("state holds no `{what}`")).helps(near).help("`stackwright state list` names all"),
    ))
}
