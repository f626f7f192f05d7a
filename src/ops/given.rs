//! What a program gets from outside: inputs. Secrets are next door, in `given_secrets`.
//!
//! The strongest first: `--input`, `--input-file` (the last one wins), `STACK_INPUT_name`, the environment's `inputs`
//! (which the program itself says), the default. An input that holds a secret is never taken from the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::words;
use super::settings::Settings;
use super::written;
use crate::lang::program::Program;
use crate::model::{Code, Diagnostic, Name, Origin, SourceId, Sources, Span, Type, Value};

const COMMAND_LINE: &str = "--input";

/// What was named on the command line.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `name=value`.
    pub inputs: Vec<String>,
    pub input_files: Vec<PathBuf>,
    /// `name=path`.
    pub secret_files: Vec<String>,
    /// Names of secrets that stdin holds: one.
    pub secret_stdin: Vec<String>,
    /// `name=program arguments`.
    pub secret_commands: Vec<String>,
    /// `name=value`, which is refused.
    pub secret_values: Vec<String>,
}

/// One input that was given, before anybody knows the program.
#[derive(Clone, Debug)]
pub struct GivenInput {
    name: String,
    content: Content,
    /// In words: `--input`, `STACK_INPUT_version`, `inputs.json`.
    from: String,
    origin: Span,
}

#[derive(Clone, Debug)]
enum Content {
    Text(String),
    Json(serde_json::Value),
    Value(Value),
}

impl GivenInput {
    /// An input that a test gives: a value that its checked program made.
    pub fn of_test(name: &str, value: Value) -> GivenInput {
        let origin = value.mark.origin;
        GivenInput { name: name.to_owned(), content: Content::Value(value), from: "the test".into(), origin }
    }
}

/// Collects the inputs that are given, the strongest last. Each becomes a source of its own, whose name says where it came
/// from, so that a plan can name that as the cause of a change.
///
/// Errors: all of them at once; [`Code::Usage`], [`Code::Unreadable`].
pub fn collect_inputs(given: &Given, settings: &Settings, sources: &mut Sources) -> Result<Vec<GivenInput>, Vec<Diagnostic>> {
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    let mut add = |name: &str, content: Content, from: String, sources: &mut Sources| {
        let text = match &content {
            Content::Text(text) => text.clone(),
            Content::Json(json) => json.to_string(),
            Content::Value(value) => value.to_literal(),
        };
        let origin = sources.add(format!("input.{name}, from {from}"), text.as_str(), Origin::Given);
        let origin = Span::new(origin, 0, text.len());
        all.push(GivenInput { name: name.to_owned(), content, from, origin });
    };
    for (variable, text) in (settings.variables)("STACK_INPUT_") {
        add(&variable["STACK_INPUT_".len()..], Content::Text(text), variable.clone(), sources);
    }
    for path in &given.input_files {
        match read_inputs(path) {
            Ok(object) => {
                for (name, json) in object {
                    let content = match json {
                        serde_json::Value::String(text) => Content::Text(text),
                        other => Content::Json(other),
                    };
                    add(&name, content, path.display().to_string(), sources);
                }
            }
            Err(diagnostic) => errors.push(*diagnostic),
        }
    }
    for pair in &given.inputs {
        match pair.split_once('=') {
            Some((name, text)) => add(name, Content::Text(text.to_owned()), COMMAND_LINE.into(), sources),
            None => {
                let text = format!("`--input {pair}` has no value");
                errors.push(Code::Usage.error(text).help(format!("write `--input {pair}=VALUE`")));
            }
        }
    }
    if errors.is_empty() { Ok(all) } else { Err(errors) }
}

fn read_inputs(path: &Path) -> Result<serde_json::Map<String, serde_json::Value>, Box<Diagnostic>> {
    let shown = path.display();
    let text = std::fs::read(path).map_err(|error| {
        Box::new(Code::Unreadable.error(format!("the input file `{shown}` cannot be read: {}", words(&error))))
    })?;
    serde_json::from_slice(&text).map_err(|error| {
        let text = format!("the input file `{shown}` is not a JSON object: line {}, column {}", error.line(), error.column());
        Box::new(Code::Unreadable.error(text).help("write one such as {\"replicas\": 3}"))
    })
}

/// Values of the program's inputs that are given from outside.
///
/// Errors: all of them at once; [`Code::UnknownName`] for an input that the program does not have, [`Code::WrongType`].
pub fn inputs(program: &Program, given: &[GivenInput]) -> Result<BTreeMap<Name, Value>, Vec<Diagnostic>> {
    let (mut values, mut errors) = (BTreeMap::new(), Vec::new());
    for it in given {
        let Some(input) = program.inputs.iter().find(|input| *input.name == *it.name) else {
            errors.push(unknown_input(program, &it.name, &it.from));
            continue;
        };
        let is_secret = input.ty.holds_secret();
        if is_secret && it.from == COMMAND_LINE {
            errors.push(shown_secret(&it.name));
            continue;
        }
        let value = match &it.content {
            Content::Text(text) => written::from_text(&input.ty, text, it.origin),
            Content::Json(json) => written::from_json(&input.ty, json, it.origin),
            Content::Value(value) => Ok(value.clone()),
        };
        match value {
            Ok(value) => drop(values.insert(input.name.clone(), value)),
            // The words may quote what they are about.
            Err(_) if is_secret => errors.push(wrong_input(&it.name, &input.ty, &it.from, "it is not shown", it.origin)),
            Err(why) => errors.push(wrong_input(&it.name, &input.ty, &it.from, &why, it.origin)),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn unknown_input(program: &Program, name: &str, from: &str) -> Diagnostic {
    let names = program.inputs.iter().map(|input| &*input.name);
    let nearest = super::nearest(name, names).map(|it| format!("an input with a similar name exists: `{it}`"));
    Code::UnknownName.error(format!("the stack has no input `{name}`, which {from} gives")).helps(nearest)
}

/// An input that holds a secret stands where everybody can read it.
fn shown_secret(name: &str) -> Diagnostic {
    Code::Usage
        .error(format!("input `{name}` holds a secret, and `--input` leaves it where others can read it"))
        .note("it is in the shell's history and in the list of processes by now: make another one")
        .help(format!("give it with STACK_INPUT_{name}, or in a file: `--input-file FILE`"))
}

/// The texts without those of inputs that hold a secret: no message quotes them.
pub fn without_secrets(program: &Program, given: &[GivenInput], sources: &Arc<Sources>) -> Arc<Sources> {
    let is_secret = |it: &&GivenInput| program.inputs.iter().any(|input| *input.name == *it.name && input.ty.holds_secret());
    let hidden: BTreeSet<SourceId> = given.iter().filter(is_secret).map(|it| it.origin.source).collect();
    if hidden.is_empty() {
        return sources.clone();
    }
    let mut shown = Sources::default();
    for (id, source) in sources.iter() {
        let text = if hidden.contains(&id) { Arc::from("") } else { source.text.clone() };
        shown.add(source.name.clone(), text, source.origin);
    }
    Arc::new(shown)
}

fn wrong_input(name: &str, ty: &Type, from: &str, why: &str, origin: Span) -> Diagnostic {
    Code::WrongType
        .error(format!("input `{name}` takes {ty}, and what {from} gives is not one: {why}"))
        .label(origin, "given here")
}
