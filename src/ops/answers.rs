//! Evaluating what asks data sources: what is asked is answered and everything is evaluated again, until nothing is asked.

use std::collections::BTreeMap;

use super::connections::Connections;
use super::desired::provider_of;
use super::project::Failure;
use super::refresh::patiently;
use super::workspace::Workspace;
use crate::apply::Connect;
use crate::expand::rules::Judged;
use crate::expand::{Expansion, Question};
use crate::model::{Address, Code, Desired, DesiredProvider, Diagnostic, Fields};
use crate::providers::contract::CallError;

/// What data sources told, by address: all attributes.
pub type Answers = BTreeMap<Address, Fields>;

/// What one evaluation came to.
pub(super) enum Turn<T> {
    Done(T),
    Asks { questions: Vec<Question>, providers: Vec<DesiredProvider> },
}

impl From<Expansion> for Turn<Desired> {
    fn from(expansion: Expansion) -> Turn<Desired> {
        match expansion {
            Expansion::Done(desired) => Turn::Done(*desired),
            Expansion::Asks { questions, providers } => Turn::Asks { questions, providers },
        }
    }
}

impl<T> From<Judged<T>> for Turn<T> {
    fn from(judged: Judged<T>) -> Turn<T> {
        match judged {
            Judged::Done(result) => Turn::Done(result),
            Judged::Asks { questions, providers } => Turn::Asks { questions, providers },
        }
    }
}

/// Reads the data that is asked for and that `data` does not hold yet.
///
/// Errors: those of `evaluate`, and what the platforms say.
pub(super) async fn answered<T, R: Into<Turn<T>>>(
    workspace: &Workspace,
    connections: &Connections,
    data: &mut Answers,
    mut evaluate: impl FnMut(Answers) -> Result<R, Failure>,
) -> Result<T, Failure> {
    loop {
        match evaluate(data.clone())?.into() {
            Turn::Done(result) => return Ok(result),
            Turn::Asks { questions, providers } => answer(workspace, connections, questions, &providers, data).await?,
        }
    }
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
