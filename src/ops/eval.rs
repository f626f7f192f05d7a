//! `eval`: what an expression is worth in a stack's scope.
//!
//! The expression becomes one more file of the program, with a `let` and an output in it: so it is checked, placed and evaluated by the same
//! rules as everything else. What is said of it points into a source of its own, `<eval>`.

use std::sync::Arc;

use super::desired::explored;
use super::given::Given;
use super::project::{self, Failure, Project};
use super::settings::Settings;
use super::workspace::Workspace;
use crate::eval;
use crate::model::{Address, Code, Diagnostic, Fields, SourceId, Sources, Span, Step, Type, Value};
use crate::providers::registry;
use crate::state::View;

/// The name of the source that holds the expression.
pub const SOURCE: &str = "<eval>";

/// An expression's type, and its value as far as it is known.
pub struct Evaluated {
    pub ty: Type,
    pub value: Value,
}

/// Evaluates an expression as if it stood at the top of the stack, in an environment. Attributes of resources are as they were last
/// recorded; nothing is asked of a platform and nothing is written. A directory without a stack has the functions of the language
/// and nothing else.
///
/// Errors: what is wrong with the program, or with the expression.
pub async fn evaluate(settings: &Settings, given: &Given, environment: Option<&str>, text: &str) -> Result<Evaluated, Failure> {
    match run(settings, given, environment, text).await {
        Err(failure) => Err(pointing_into_expression(failure, text)),
        done => done,
    }
}

async fn run(settings: &Settings, given: &Given, environment: Option<&str>, text: &str) -> Result<Evaluated, Failure> {
    let name = free_name(settings);
    if text.trim().is_empty() {
        return Err(Box::new(Code::Usage.error("`eval` takes an expression, and this one is empty")).into());
    }
    // A list of one takes what an output by itself would refuse, such as null.
    let extra = (SOURCE.to_owned(), format!("{}{text}\noutput {name} = [{name}]\n", head(&name)));
    let schemas = Arc::new(registry::schemas());
    let project = project::load_with(settings, schemas, given, Some(extra))?;
    refuse_more(&project)?;
    let ty = project.program.body.outputs.iter().find(|it| *it.name == *name).map_or(&Type::Any, |it| &it.ty);
    let ty = if let Type::List(of, _) = ty.bare() { (**of).clone() } else { Type::Any };
    let workspace = Workspace::of(settings, project, environment).await?;
    let desired = explored(&workspace)?;
    let found = desired.outputs.iter().find(|it| *it.name == *name).map(|it| it.value.clone());
    let value = found.as_ref().and_then(Value::as_list).and_then(|it| it.first().cloned()).unwrap_or_else(Value::null);
    let view = workspace.state.view();
    let value = eval::resume(&value, &|address, path| recorded(view, address, path)).map_err(|it| workspace.fail(it))?;
    Ok(Evaluated { ty, value })
}

/// What stands before the expression in its source. As long for every name, so that places can be moved.
fn head(name: &str) -> String {
    format!("let {name} = ")
}

/// A name that nothing in the stack bears.
fn free_name(settings: &Settings) -> String {
    let (texts, _) = super::files::read_stack(&settings.dir);
    let taken = |name: &str| texts.iter().any(|it| it.text.contains(name));
    let mut names = (0..).map(|at| format!("it_{at:03}"));
    names.find(|name| !taken(name)).expect("there are more names than texts")
}

/// One expression, and no items behind it.
fn refuse_more(project: &Project) -> Result<(), Failure> {
    let Some((_, source)) = project.sources.iter().find(|(_, source)| &*source.name == SOURCE) else { return Ok(()) };
    let parsed = crate::lang::syntax::parse(SourceId(0), &source.text);
    match &parsed.file.items[..] {
        [] | [_] | [_, _] => Ok(()),
        [_, second, ..] => {
            let at = project.sources.iter().find(|(_, it)| &*it.name == SOURCE).map_or(SourceId(0), |(id, _)| id);
            let span = Span::new(at, second.span.start as usize, second.span.end as usize);
            let diagnostic = Code::Usage.error("`eval` takes one expression").label(span, "something else begins here");
            Err(Failure::new(vec![diagnostic], project.sources.clone()))
        }
    }
}

/// An attribute as state has it, or the object of all.
fn recorded(view: &View, address: &Address, path: &[Step]) -> Option<Value> {
    let record = view.records.values().find(|it| it.address == *address && !it.deposed)?;
    match path {
        [] => Some(Value::map(record.attributes() as Fields)),
        [Step::Field(name)] => record.attribute(name).cloned(),
        _ => None,
    }
}

/// Moves what points into the expression's source to where it stands in the expression itself.
fn pointing_into_expression(failure: Failure, text: &str) -> Failure {
    let Some((id, _)) = failure.sources.iter().find(|(_, source)| &*source.name == SOURCE) else { return failure };
    let before = head("it_000").len() as u32;
    let move_span = |span: &mut Span| {
        if span.source == id {
            span.start = span.start.saturating_sub(before).min(text.len() as u32);
            span.end = span.end.saturating_sub(before).min(text.len() as u32);
        }
    };
    let mut sources = Sources::default();
    for (at, source) in failure.sources.iter() {
        let shown: Arc<str> = if at == id { text.into() } else { source.text.clone() };
        sources.add(source.name.clone(), shown, source.origin);
    }
    let moved = |mut it: Diagnostic| {
        it.labels.iter_mut().for_each(|(span, _)| move_span(span));
        it.fixes.iter_mut().flat_map(|fix| &mut fix.edits).for_each(|edit| move_span(&mut edit.span));
        it
    };
    Failure::new(failure.diagnostics.into_iter().map(moved).collect(), Arc::new(sources))
}
