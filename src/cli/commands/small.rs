//! `explain`, `completions` and `version`: answers that need no stack.

use serde_json::json;

use super::Context;
use crate::cli::args::{Cli, CompletionsArgs, ExplainArgs};
use crate::cli::exit::Exit;
use crate::cli::json::document;
use crate::model::{Code, Diagnostic};
use crate::ops;
use crate::ops::project::Failure;

pub fn version(context: &Context<'_>) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    context.output.document(&document("version", json!({"version": version, "edition": 1, "state_format": 1})))?;
    context.output.text(&format!("stackwright {version}   language edition 1   state format 1\n"));
    Ok(Exit::Done)
}

pub fn completions(context: &Context<'_>, args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut command = <Cli as clap::CommandFactory>::command();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "stackwright", &mut script);
    context.output.raw(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}

/// A code's page, or all codes with a sentence each.
pub fn explain(context: &Context<'_>, args: &ExplainArgs) -> Result<Exit, Failure> {
    let Some(text) = &args.code else {
        let all: Vec<_> = Code::ALL.iter().map(|code| json!({"code": code.to_string(), "meaning": code.meaning()})).collect();
        context.output.document(&document("codes", json!({"codes": all})))?;
        let lines: String = Code::ALL.iter().map(|code| format!("{code}  {}\n", code.meaning())).collect();
        context.output.text(&lines);
        return Ok(Exit::Done);
    };
    if text == "functions" {
        return functions(context);
    }
    let code = code(text)?;
    let page = ops::explain::page(code);
    context.output.document(&document("explain", json!({"code": code.to_string(), "meaning": code.meaning(), "page": page})))?;
    context.output.text(&format!("{code}: {}\n\n{page}", code.meaning()));
    Ok(Exit::Done)
}

/// A code that people name.
///
/// Errors: [`Code::Usage`] naming what is near.
pub fn code(text: &str) -> Result<Code, Box<Diagnostic>> {
    Code::parse(text).ok_or_else(|| {
        let all: Vec<String> = Code::ALL.iter().map(Code::to_string).collect();
        let near = ops::nearest(&text.to_uppercase(), all.iter().map(String::as_str)).map(|it| format!("a code near it: {it}"));
        Box::new(Code::Usage.error(format!("there is no code `{text}`")).helps(near).help("`stackwright explain` lists all"))
    })
}

/// All functions of the language, with a sentence and an example each.
fn functions(context: &Context<'_>) -> Result<Exit, Failure> {
    let all = ops::explain::functions();
    let rows: Vec<_> = all
        .iter()
        .map(|it| json!({"signature": it.signature, "doc": it.doc, "example": it.example.0, "gives": it.example.1}))
        .collect();
    context.output.document(&document("functions", json!({"functions": rows})))?;
    let page =
        |it: &ops::explain::FunctionPage| format!("{}\n  {}\n  {} == {}\n", it.signature, it.doc, it.example.0, it.example.1);
    context.output.text(&all.iter().map(page).collect::<Vec<_>>().join("\n"));
    Ok(Exit::Done)
}
