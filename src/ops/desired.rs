//! What a program amounts to in an environment.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use super::answers::Answers;
use super::answers::answered;
use super::connections::Connections;
use super::given;
use super::outside::Files;
use super::project::Failure;
use super::settings::Settings;
use super::workspace::{Workspace, store_name};
use crate::expand::rules::{self, Finished, Judged, Rules, judge};
use crate::expand::{After, Expansion, Known, Request, expand, expand_untold};
use crate::lang::program::Program;
use crate::model::schema::Given;
use crate::model::{
    Address, Desired, DesiredProvider, Diagnostic, Expr, Fields, Name, ProviderName, Schemas, Sources, Span, Value,
};
use crate::state::View;

/// Expands the program of a workspace without network: what data sources would tell is unknown.
///
/// Errors: everything that is wrong with it in this environment.
pub fn desired(workspace: &Workspace) -> Result<Desired, Failure> {
    asked(workspace, Answers::new(), |program, request| expand_untold(program, request, After::GoesOn))
}

/// As [`desired`], for looking around: a secret that nobody gave is one that somebody will give.
pub fn explored(workspace: &Workspace) -> Result<Desired, Failure> {
    asked(workspace, Answers::new(), |program, request| {
        let known = Known { simulated: true, ..request.known.clone() };
        let Request { environment, inputs, outside, .. } = *request;
        expand_untold(program, &Request { environment, inputs, known, outside }, After::GoesOn)
    })
}

/// Expands a program for a check: nothing is given, nothing is known, names are made as for a first plan.
pub fn offline(
    program: &Program,
    settings: &Settings,
    sources: &Sources,
    environment: &str,
    after: After,
) -> Result<Desired, Vec<Diagnostic>> {
    let outside = Files { dir: &settings.dir, sources, variable: &*settings.variable };
    // A secret that is not given is one that somebody will give.
    let known = Known { simulated: true, ..Known::default() };
    expand_untold(program, &Request { environment, inputs: &BTreeMap::new(), known, outside: &outside }, after)
}

/// Expands the program, reading the data that it asks for and that `data` does not hold yet.
///
/// Errors: as [`desired`], and what the platforms say.
pub async fn desired_with_data(workspace: &Workspace, connections: &Connections, data: &mut Answers) -> Result<Desired, Failure> {
    answered(workspace, connections, data, |data| try_desired(workspace, data)).await
}

/// Lets `look` evaluate rules over the program and a plan that was made of it, reading the data that it asks for
/// and that `data` does not hold yet.
///
/// Errors: as [`desired_with_data`].
pub async fn judged<T>(
    workspace: &Workspace,
    connections: &Connections,
    data: &mut Answers,
    finished: Finished<'_>,
    mut look: impl FnMut(&Rules<'_, '_>) -> T,
) -> Result<T, Failure> {
    let evaluate = |data| asked(workspace, data, |program, request| judge(program, request, finished, &mut look));
    answered(workspace, connections, data, evaluate).await
}

/// As [`judged`], without network: what data sources would tell is unknown.
///
/// Errors: as [`desired`].
pub fn judged_offline<T>(
    workspace: &Workspace,
    finished: Finished<'_>,
    look: impl FnOnce(&Rules<'_, '_>) -> T,
) -> Result<T, Failure> {
    asked(workspace, Answers::new(), |program, request| {
        let Request { environment, inputs, ref known, outside } = *request;
        let known = Known { untold: true, ..known.clone() };
        match judge(program, &Request { environment, inputs, known, outside }, finished, look)? {
            Judged::Done(result) => Ok(result),
            Judged::Asks { .. } => unreachable!("nobody is asked"),
        }
    })
}

/// Evaluates what is known with the environment, before anything is planned.
///
/// Errors: as [`crate::eval::evaluate`].
pub fn early(workspace: &Workspace, expr: &Expr) -> Result<Value, Failure> {
    asked(workspace, BTreeMap::new(), |program, request| rules::early(program, request, expr))
}

/// A provider instance with the settings that the program gives it; none for one that it does not declare.
pub fn provider_of(providers: &[DesiredProvider], name: &ProviderName) -> DesiredProvider {
    let declared = providers.iter().find(|it| it.name == *name).cloned();
    declared.unwrap_or_else(|| DesiredProvider { name: name.clone(), settings: Fields::new(), span: Span::ENGINE })
}

/// Provider instances with their settings: those of the program, and those that it no longer names as they were last applied, so
/// that what they hold can be destroyed.
pub fn with_remembered(mut providers: Vec<DesiredProvider>, view: &View) -> Vec<DesiredProvider> {
    for (name, settings) in &view.providers {
        if !providers.iter().any(|it| it.name == *name) {
            providers.push(DesiredProvider { name: name.clone(), settings: (**settings).clone(), span: Span::ENGINE });
        }
    }
    providers
}

/// Expands as far as the answers go.
fn try_desired(workspace: &Workspace, data: Answers) -> Result<Expansion, Failure> {
    asked(workspace, data, expand)
}

/// Does something with the program, and with all that it is expanded for.
fn asked<T>(
    workspace: &Workspace,
    data: Answers,
    ask: impl FnOnce(&Program, &Request<'_>) -> Result<T, Vec<Diagnostic>>,
) -> Result<T, Failure> {
    let program = &workspace.project.program;
    let fail = |diagnostics: Vec<Diagnostic>| workspace.failure(diagnostics);
    let inputs = given::inputs(program, &workspace.project.inputs).map_err(fail)?;
    let secrets = workspace.given_secrets()?.iter();
    let secrets = secrets.map(|(name, value)| (Address::root("secret", name), value.clone())).collect();
    let settings = &workspace.settings;
    let outside = Files { dir: &settings.dir, sources: workspace.sources(), variable: &*settings.variable };
    let request = Request {
        environment: &workspace.environment,
        inputs: &inputs,
        known: Known {
            names: made_names(workspace.state.view(), &workspace.schemas),
            data,
            untold: false,
            secrets,
            kept_secrets: super::secrets::kept(workspace)?,
            simulated: workspace.settings.simulated(),
            elsewhere: Some(workspace.elsewhere.clone()),
            records: Some(&workspace.state.view().records),
            store_id: &store_name(&workspace.state),
        },
        outside: &outside,
    };
    ask(program, &request).map_err(fail)
}

/// Names that were made for what is recorded: a made name is never changed again.
fn made_names(view: &View, schemas: &Schemas) -> BTreeMap<Address, BTreeMap<Name, Arc<str>>> {
    let mut all: BTreeMap<Address, BTreeMap<Name, Arc<str>>> = BTreeMap::new();
    for record in view.records.values() {
        let Some(kind) = schemas.kind(&record.kind) else { continue };
        for attribute in kind.attributes.iter().filter(|it| it.naming.is_some() && matches!(it.given, Given::Optional)) {
            if let Some(name) = record.inputs.get(&attribute.name).and_then(Value::as_text) {
                all.entry(record.address.clone()).or_default().insert(attribute.name.clone(), name.into());
            }
        }
    }
    all
}
