//! What a program amounts to in an environment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::connections::Connections;
use super::given;
use super::outside::Files;
use super::project::Failure;
use super::refresh::patiently;
use super::settings::Settings;
use super::workspace::{Workspace, store_name};
use crate::apply::Connect;
use crate::expand::rules::{self, Finished, Judged, Rules, judge};
use crate::expand::{Expansion, Known, Question, Request, expand};
use crate::lang::program::Program;
use crate::model::expr::Reference;
use crate::model::schema::{Attribute, Given};
use crate::model::value::Unknown;
use crate::model::{
    Address, Code, Data, Desired, DesiredProvider, Diagnostic, Expr, ExprKind, Fields, Name, ProviderName, Schemas, Sources,
    Span, Step, Value,
};
use crate::providers::contract::CallError;
use crate::state::View;

/// What data sources told, by address: all attributes.
pub type Answers = BTreeMap<Address, Fields>;

/// Expands the program of a workspace without network: what data sources would tell is unknown.
///
/// Errors: everything that is wrong with it in this environment.
pub fn desired(workspace: &Workspace) -> Result<Desired, Failure> {
    let mut data = BTreeMap::new();
    loop {
        match try_desired(workspace, data.clone())? {
            Expansion::Done(desired) => return Ok(*desired),
            Expansion::Asks { questions, .. } => data.extend(questions.iter().map(|it| (it.address.clone(), untold(it)))),
        }
    }
}

/// As [`desired`], for looking around: a secret that nobody gave is one that somebody will give.
pub fn explored(workspace: &Workspace) -> Result<Desired, Failure> {
    let mut data = BTreeMap::new();
    loop {
        let found = asked(workspace, data.clone(), |program, request| {
            let known = Known { simulated: true, ..request.known.clone() };
            let Request { environment, inputs, outside, .. } = *request;
            expand(program, &Request { environment, inputs, known, outside })
        })?;
        match found {
            Expansion::Done(desired) => return Ok(*desired),
            Expansion::Asks { questions, .. } => data.extend(questions.iter().map(|it| (it.address.clone(), untold(it)))),
        }
    }
}

/// Expands a program for a check: nothing is given, nothing is known, names are made as for a first plan.
pub fn offline(program: &Program, settings: &Settings, sources: &Sources, environment: &str) -> Result<Desired, Vec<Diagnostic>> {
    let outside = Files { dir: &settings.dir, sources, variable: &*settings.variable };
    let mut data = BTreeMap::new();
    loop {
        let request = Request {
            environment,
            inputs: &BTreeMap::new(),
            // A secret that is not given is one that somebody will give.
            known: Known { data: data.clone(), simulated: true, ..Known::default() },
            outside: &outside,
        };
        match expand(program, &request)? {
            Expansion::Done(desired) => return Ok(*desired),
            Expansion::Asks { questions, .. } => data.extend(questions.iter().map(|it| (it.address.clone(), untold(it)))),
        }
    }
}

/// The attributes of a data source that was not read: its arguments, and everything else unknown.
fn untold(question: &Question) -> Fields {
    let fields_given: BTreeSet<Name> = question.arguments.keys().cloned().collect();
    let mut fields = question.arguments.clone();
    let told = |it: &&Attribute| !fields_given.contains(&it.name) && !matches!(it.given, Given::Required | Given::Optional);
    for attribute in question.kind.attributes.iter().filter(told) {
        let path = vec![Step::Field(attribute.name.clone())];
        let name = ExprKind::Name(Reference::Attribute { address: question.address.clone(), path });
        let unknown = Unknown {
            ty: attribute.ty.clone(),
            rest: Arc::new(Expr::new(name, question.span)),
            waits_for: Arc::new([question.address.clone()].into()),
        };
        fields.insert(attribute.name.clone(), Value::new(Data::Unknown(Arc::new(unknown)), question.span));
    }
    fields
}

/// Expands the program, reading the data that it asks for and that `data` does not hold yet.
///
/// Errors: as [`desired`], and what the platforms say.
pub async fn desired_with_data(workspace: &Workspace, connections: &Connections, data: &mut Answers) -> Result<Desired, Failure> {
    loop {
        match try_desired(workspace, data.clone())? {
            Expansion::Done(desired) => return Ok(*desired),
            Expansion::Asks { questions, providers } => answer(workspace, connections, questions, &providers, data).await?,
        }
    }
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
    loop {
        let judged = asked(workspace, data.clone(), |program, request| judge(program, request, finished, &mut look))?;
        match judged {
            Judged::Done(result) => return Ok(result),
            Judged::Asks { questions, providers } => answer(workspace, connections, questions, &providers, data).await?,
        }
    }
}

/// As [`judged`], without network: what data sources would tell is unknown.
///
/// Errors: as [`desired`].
pub fn judged_offline<T>(
    workspace: &Workspace,
    finished: Finished<'_>,
    mut look: impl FnMut(&Rules<'_, '_>) -> T,
) -> Result<T, Failure> {
    let mut data = BTreeMap::new();
    loop {
        match asked(workspace, data.clone(), |program, request| judge(program, request, finished, &mut look))? {
            Judged::Done(result) => return Ok(result),
            Judged::Asks { questions, .. } => data.extend(questions.iter().map(|it| (it.address.clone(), untold(it)))),
        }
    }
}

/// Evaluates what is known with the environment, before anything is planned.
///
/// Errors: as [`crate::eval::evaluate`].
pub fn early(workspace: &Workspace, expr: &Expr) -> Result<Value, Failure> {
    asked(workspace, BTreeMap::new(), |program, request| rules::early(program, request, expr))
}

/// Asks the platforms.
async fn answer(
    workspace: &Workspace,
    connections: &Connections,
    questions: Vec<Question>,
    providers: &[DesiredProvider],
    data: &mut Answers,
) -> Result<(), Failure> {
    for question in questions {
        let provider = provider_of(providers, &question.provider);
        let connection = connections.connect(&provider).map_err(|it| workspace.fail(it))?;
        let clock = &*workspace.settings.world.clock;
        let read = patiently(clock, || connection.read(&question.kind, &question.arguments)).await;
        let found = read.map_err(|error| workspace.fail(Box::new(unread(&question, &error))))?;
        let Some(fields) = found else {
            return Err(workspace.fail(Box::new(not_there(&question))));
        };
        data.insert(question.address.clone(), fields);
    }
    Ok(())
}

fn unread(question: &Question, error: &CallError) -> Diagnostic {
    let code = if let CallError::Refused { code, .. } = error { *code } else { Code::Unavailable };
    code.error(format!("`{}` cannot be read: {error}", question.address)).label(question.span, "asked for here")
}

fn not_there(question: &Question) -> Diagnostic {
    let arguments: Vec<String> =
        question.arguments.iter().map(|(name, value)| format!("{name} = {}", value.to_literal())).collect();
    Code::NotFound
        .error(format!("{} has no `{}` with {}", question.provider, question.kind.name, arguments.join(", ")))
        .label(question.span, "asked for here")
        .help("make it there first, or correct what it is asked by")
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
