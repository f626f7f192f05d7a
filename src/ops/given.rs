//! What a program gets from outside: inputs and secrets.
//!
//! Inputs, the strongest first: `--input`, `--input-file` (the last one wins), `STACK_INPUT_name`, the environment's `inputs`
//! (which the program itself says), the default. Secrets: `--secret-file`, `STACK_SECRET_name`, a file of that name in
//! `.stackwright/secrets/`.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::files::words;
use super::settings::Settings;
use crate::lang::program::{Body, Program};
use crate::model::{Code, Data, Diagnostic, Name, Origin, Sources, Span, Type, Value};

/// What was named on the command line.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `name=value`.
    pub inputs: Vec<String>,
    pub input_files: Vec<PathBuf>,
    /// `name=path`.
    pub secret_files: Vec<String>,
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
            Some((name, text)) => add(name, Content::Text(text.to_owned()), "--input".into(), sources),
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
        let value = match &it.content {
            Content::Text(text) => parse(&input.ty, text, it.origin),
            Content::Json(json) => from_json(json, it.origin),
            Content::Value(value) => Ok(value.clone()),
        };
        match value {
            Ok(value) => drop(values.insert(input.name.clone(), value)),
            Err(why) => errors.push(wrong_input(&it.name, &input.ty, &it.from, why, it.origin)),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn unknown_input(program: &Program, name: &str, from: &str) -> Diagnostic {
    let names = program.inputs.iter().map(|input| &*input.name);
    let nearest = super::nearest(name, names).map(|it| format!("an input with a similar name exists: `{it}`"));
    Code::UnknownName.error(format!("the stack has no input `{name}`, which {from} gives")).helps(nearest)
}

fn wrong_input(name: &str, ty: &Type, from: &str, why: String, origin: Span) -> Diagnostic {
    Code::WrongType
        .error(format!("input `{name}` takes {ty}, and what {from} gives is not one: {why}"))
        .label(origin, "given here")
}

/// A value for an input, written as in a program, but that a text needs no quotes.
fn parse(ty: &Type, text: &str, origin: Span) -> Result<Value, String> {
    if matches!(ty.bare(), Type::Text(_)) {
        let value = Value::text(text).at(origin);
        return Ok(if matches!(ty, Type::Secret(_)) { value.secret() } else { value });
    }
    if let Type::Literals(values) = ty.bare()
        && let Some(value) = values.iter().find(|value| value.as_text() == Some(text))
    {
        return Ok(value.clone().at(origin));
    }
    crate::lang::literal(text, origin).or_else(|why| match serde_json::from_str::<serde_json::Value>(text) {
        Ok(json) => from_json(&json, origin),
        Err(_) => Err(why),
    })
}

fn from_json(json: &serde_json::Value, origin: Span) -> Result<Value, String> {
    let data = match json {
        serde_json::Value::Null => Data::Null,
        serde_json::Value::Bool(value) => Data::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(value) => Data::Int(value),
            None => Data::Number(number.to_string().parse().map_err(|_| format!("{number} does not fit a number"))?),
        },
        serde_json::Value::String(text) => Data::Text(text.as_str().into()),
        serde_json::Value::Array(items) => {
            Data::List(items.iter().map(|item| from_json(item, origin)).collect::<Result<Vec<_>, _>>()?.into())
        }
        serde_json::Value::Object(entries) => {
            let fields = entries.iter().map(|(name, item)| Ok((name.as_str().into(), from_json(item, origin)?)));
            Data::Map(std::sync::Arc::new(fields.collect::<Result<_, String>>()?))
        }
    };
    Ok(Value::new(data, origin))
}

/// Secrets that were given from outside, by name. What is not given is not in it.
///
/// Errors: [`Code::Unreadable`] for a file that cannot be read, or that others can read too.
pub fn secrets(program: &Program, given: &Given, settings: &Settings) -> Result<BTreeMap<Name, Value>, Vec<Diagnostic>> {
    if settings.in_process() {
        return Ok(BTreeMap::new());
    }
    let mut names = Vec::new();
    collect_given_secrets(&program.body, &mut names);
    let mut from_flags = BTreeMap::new();
    let (mut values, mut errors) = (BTreeMap::new(), Vec::new());
    for pair in &given.secret_files {
        match pair.split_once('=') {
            Some((name, path)) if names.iter().any(|it| **it == *name) => {
                drop(from_flags.insert(name.to_owned(), PathBuf::from(path)))
            }
            Some((name, _)) => {
                let nearest = super::nearest(name, names.iter().map(|it| &**it))
                    .map(|it| format!("a secret with a similar name exists: `{it}`"));
                errors.push(
                    Code::UnknownName
                        .error(format!("the stack has no secret `{name}` that is given from outside"))
                        .helps(nearest),
                );
            }
            None => errors.push(
                Code::Usage
                    .error(format!("`--secret-file {pair}` names no file"))
                    .help(format!("write `--secret-file {pair}=FILE`")),
            ),
        }
    }
    for name in names {
        let by_default = settings.own_dir().join("secrets").join(&*name);
        let text = match (from_flags.get(&*name), (settings.variable)(&format!("STACK_SECRET_{name}"))) {
            (Some(path), _) => read_secret(path).map(Some),
            (None, Some(text)) => Ok(Some(text)),
            (None, None) if by_default.exists() => read_secret(&by_default).map(Some),
            (None, None) => Ok(None),
        };
        match text {
            Ok(Some(text)) => drop(values.insert(name, Value::text(text).secret())),
            Ok(None) => {}
            Err(diagnostic) => errors.push(*diagnostic),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn collect_given_secrets(body: &Body, names: &mut Vec<Name>) {
    names.extend(body.secrets.iter().filter(|secret| secret.generate.is_none()).map(|secret| secret.name.clone()));
    for branch in &body.branches {
        collect_given_secrets(&branch.then, names);
        collect_given_secrets(&branch.otherwise, names);
    }
}

/// A secret's file: without the newline at its end, and readable by its owner alone.
fn read_secret(path: &Path) -> Result<String, Box<Diagnostic>> {
    let shown = path.display();
    let unreadable = |why: String| Box::new(Code::Unreadable.error(format!("the secret's file `{shown}` cannot be read: {why}")));
    let mode = std::fs::metadata(path).map_err(|error| unreadable(words(&error)))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let text = format!("the secret's file `{shown}` can be read by others (mode {mode:04o})");
        return Err(Box::new(Code::Unreadable.error(text).help(format!("run `chmod 600 {shown}`"))));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(words(&error)))?;
    Ok(text.strip_suffix('\n').map(|it| it.strip_suffix('\r').unwrap_or(it)).unwrap_or(&text).to_owned())
}
