//! `check`: every mistake of a program, without network and without state.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::desired::offline;
use super::environment;
use super::project::{self, Failure};
use super::settings::Settings;
pub use crate::expand::After;
use crate::graph::resources::order_resources;
use crate::model::{Code, Diagnostic, Origin, Sources, Span};
use crate::providers::registry;

/// What checking found.
pub struct Report {
    /// The stack's name; empty where it could not be read.
    pub stack: String,
    pub diagnostics: Vec<Diagnostic>,
    pub sources: Arc<Sources>,
    /// For each environment that was looked at, how many resources it has.
    pub environments: Vec<(String, usize)>,
}

/// What tells whether a file changed: its path, size and time of last writing.
pub type Stamp = BTreeSet<(PathBuf, u64, Option<std::time::SystemTime>)>;

/// The `.stack` files of some directories, as seen from the stack's.
pub fn stamp(settings: &Settings, directories: &BTreeSet<PathBuf>) -> Stamp {
    let entries = directories.iter().filter_map(|it| std::fs::read_dir(settings.dir.join(it)).ok()).flatten().flatten();
    let files = entries.filter(|entry| entry.path().extension().is_some_and(|it| it == "stack"));
    files
        .filter_map(|entry| {
            let about = entry.metadata().ok()?;
            Some((entry.path(), about.len(), about.modified().ok()))
        })
        .collect()
}

/// The directories that a program was read from: the stack's own, and those that it imports.
pub fn directories(sources: &Sources) -> BTreeSet<PathBuf> {
    let files = sources.iter().filter(|(_, source)| source.origin == Origin::File);
    let parents = files.filter_map(|(_, source)| Some(Path::new(&*source.name).parent()?.to_owned()));
    parents.chain([PathBuf::new()]).collect()
}

/// Checks the stack or directory of components, then what it amounts to in `environment`, or in each of its environments. Inputs that have to be given and
/// secrets are not missed: they are known when somebody plans.
///
/// Errors: only for wrong usage ([`Code::UnknownEnvironment`]); what is wrong with the program is in the report.
pub fn check(settings: &Settings, environment: Option<&str>, after: After) -> Result<Report, Failure> {
    let (checked, is_components) = project::check_directory(settings, Arc::new(registry::schemas()));
    let mut report =
        Report { stack: String::new(), diagnostics: checked.diagnostics, sources: checked.sources, environments: Vec::new() };
    let Some(program) = checked.program else { return Ok(report) };
    report.stack = program.stack.name.to_string();
    let chosen = match environment {
        // What it amounts to is for whoever imports it.
        None if is_components => Vec::new(),
        Some(_) => vec![environment::choose(&program, environment)?.name.to_string()],
        None => program.environments.iter().map(|it| it.name.to_string()).collect(),
    };
    let mut seen: BTreeSet<(Code, Option<Span>, String)> = BTreeSet::new();
    for environment in chosen {
        let found = match offline(&program, settings, &report.sources, &environment, after) {
            Ok(mut desired) => {
                report.environments.push((environment, desired.resources.len()));
                let circles = order_resources(&desired.resources).err().unwrap_or_default();
                let found = std::mem::take(&mut desired.warnings).into_iter().chain(circles).collect();
                after.drop(desired);
                found
            }
            Err(diagnostics) => diagnostics,
        };
        // What is wrong in every environment is said once.
        let new = found.into_iter().filter(|it| !matches!(it.code, Code::MissingInput | Code::SecretMissing));
        report.diagnostics.extend(new.filter(|it| seen.insert((it.code, it.span(), it.message.clone()))));
    }
    after.drop(program);
    Ok(report)
}
