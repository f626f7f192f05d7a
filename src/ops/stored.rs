//! What state holds, for commands that need no program: it may be broken, or gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::environment;
use super::project::{self, Failure};
use super::settings::Settings;
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
}

/// Opens the state of the named environment, else of the only one that the program has, else of the only one that has state.
///
/// Errors: [`Code::UnknownEnvironment`], and those of opening a state.
pub async fn open(settings: &Settings, named: Option<&str>) -> Result<Stored, Failure> {
    let (stack, environment) = names(settings, named)?;
    let state = State::open(&settings.state_root(), &environment, &settings.world).await?;
    Ok(Stored { stack, environment, state })
}

/// The environment that [`open`] would open; the state itself is not looked at.
pub fn environment_name(settings: &Settings, named: Option<&str>) -> Result<String, Failure> {
    names(settings, named).map(|(_, environment)| environment)
}

fn names(settings: &Settings, named: Option<&str>) -> Result<(String, String), Failure> {
    let checked = project::check(settings, Arc::new(registry::schemas()), Sources::default());
    let of_program = |program: &Program| program.stack.name.to_string();
    match (&checked.program, named) {
        (Some(program), named) => match environment::choose(program, named) {
            Ok(environment) => Ok((of_program(program), environment.name.to_string())),
            Err(diagnostic) => match named.filter(|name| has_state(settings, name)) {
                Some(name) => Ok((of_program(program), name.to_owned())),
                None => Err(diagnostic.into()),
            },
        },
        (None, Some(name)) if has_state(settings, name) => Ok((String::new(), name.to_owned())),
        (None, _) => match &environments_with_state(settings)[..] {
            [only] if named.is_none() => Ok((String::new(), only.clone())),
            _ => Err(Failure::new(checked.diagnostics, checked.sources)),
        },
    }
}

fn has_state(settings: &Settings, name: &str) -> bool {
    environments_with_state(settings).iter().any(|it| it == name)
}

/// Names of the environments that have a state on this machine, ordered.
pub fn environments_with_state(settings: &Settings) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(settings.state_root()) else { return Vec::new() };
    let dirs = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = dirs.filter_map(|entry| entry.file_name().into_string().ok()).collect();
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
