//! `stackwright graph` and `stackwright why`: questions to the program, answered without network.

use serde_json::json;

use super::Context;
use super::plan::given;
use crate::cli::args::{GraphArgs, GraphFormat, WhyArgs};
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::terminal::{Ink, spread};
use crate::cli::{diff, draw, json};
use crate::ops::desired::desired;
use crate::ops::graph::{self, Part};
use crate::ops::project::Failure;
use crate::ops::why;
use crate::ops::workspace::Workspace;

pub async fn graph(context: &Context<'_>, args: &GraphArgs) -> Result<Exit, Failure> {
    let workspace = Workspace::open(context.settings, &given(&args.given), context.global.env.as_deref()).await?;
    let desired = desired(&workspace)?;
    let part = Part { instances: args.instances, focus: args.focus.clone(), depth: args.depth };
    let picture = graph::picture(&desired, &part).map_err(|it| workspace.fail(it))?;
    if context.output.json || context.output.json_to.is_some() {
        context.output.document(&draw::json(&picture))?;
    }
    let output = context.output;
    match args.format {
        GraphFormat::Tree => output.text(&draw::tree(&picture, &output.result)),
        GraphFormat::Dot => output.text(&draw::dot(&picture)),
        GraphFormat::Mermaid => output.text(&draw::mermaid(&picture)),
        GraphFormat::Svg => output.text(&draw::svg(&picture)),
        GraphFormat::Json if !output.json => {
            output.raw(&format!(
                "{}\n",
                serde_json::to_string_pretty(&json::SchemaFirst(&draw::json(&picture))).expect("texts are JSON")
            ));
        }
        GraphFormat::Json => {}
    }
    Ok(Exit::Done)
}

pub async fn why(context: &Context<'_>, args: &WhyArgs) -> Result<Exit, Failure> {
    let workspace = Workspace::open(context.settings, &given(&args.given), context.global.env.as_deref()).await?;
    let desired = desired(&workspace)?;
    let found = why::why(&workspace.project.program, &desired, &args.what).map_err(|it| workspace.fail(it))?;
    let sources = workspace.sources();
    let place = |span| sources.place(span).map(|place| Escaped(&place.to_string()).to_string()).unwrap_or_default();
    let steps: Vec<_> = found.steps.iter().map(|step| {
        json!({"depth": step.depth, "what": step.what, "span": json::span(step.span, sources), "source": sources.text(step.span)})
    }).collect();
    let waits: Vec<_> =
        found.waits.iter().map(|(text, span)| json!({"what": text, "span": json::span(*span, sources)})).collect();
    context.output.document(&json::document(
        "why",
        json!({
            "address": found.resource.as_str(),
            "field": found.field,
            "value": found.value.as_ref().map(json::value),
            "steps": steps,
            "waits": waits,
        }),
    ))?;
    let terminal = context.output.result;
    let name = match &found.field {
        Some(field) => format!("{}.{field}", found.resource),
        None => found.resource.to_string(),
    };
    let value = found.value.as_ref().map(|value| format!(" = {}", diff::shown(value))).unwrap_or_default();
    let mut out = format!("{}{value}\n", terminal.paint(Ink::Strong, Escaped(&name)));
    for step in &found.steps {
        let line = format!("{}{}", "  ".repeat(step.depth + 1), Escaped(&step.what));
        out.push_str(&format!("{}\n", spread(&terminal, &line, &terminal.paint(Ink::Quiet, place(step.span)))));
    }
    if found.field.is_none() {
        for (text, span) in &found.waits {
            out.push_str(&format!(
                "{}\n",
                spread(&terminal, &format!("  waits for {}", Escaped(text)), &terminal.paint(Ink::Quiet, place(*span)))
            ));
        }
    }
    context.output.text(&out);
    Ok(Exit::Done)
}
