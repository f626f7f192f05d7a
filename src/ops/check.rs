//! `check`: every mistake of a program, without network and without state.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::desired::offline;
use super::environment;
use super::project::{self, Failure};
use super::settings::Settings;
use crate::graph::resources::order_resources;
use crate::model::{Code, Diagnostic, Sources, Span};
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

/// What tells whether a file of the stack changed: names, sizes and times of last writing.
pub fn stamp(settings: &Settings) -> Vec<(String, u64, Option<std::time::SystemTime>)> {
    let Ok(entries) = std::fs::read_dir(&settings.dir) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|it| it == "stack"))
        .filter_map(|entry| {
            let about = entry.metadata().ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), about.len(), about.modified().ok()))
        })
        .collect();
    files.sort();
    files
}

/// Checks the stack or directory of components, then what it amounts to in `environment`, or in each of its environments. Inputs that have to be given and
/// secrets are not missed: they are known when somebody plans.
///
/// Errors: only for wrong usage ([`Code::UnknownEnvironment`]); what is wrong with the program is in the report.
pub fn check(settings: &Settings, environment: Option<&str>) -> Result<Report, Failure> {
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
        let found = match offline(&program, settings, &report.sources, &environment) {
            Ok(desired) => {
                report.environments.push((environment, desired.resources.len()));
                let circles = order_resources(&desired.resources).err().unwrap_or_default();
                desired.warnings.into_iter().chain(circles).collect()
            }
            Err(diagnostics) => diagnostics,
        };
        // What is wrong in every environment is said once.
        let new = found.into_iter().filter(|it| !matches!(it.code, Code::MissingInput | Code::SecretMissing));
        report.diagnostics.extend(new.filter(|it| seen.insert((it.code, it.span(), it.message.clone()))));
    }
    Ok(report)
}
