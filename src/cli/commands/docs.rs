//! `stackwright docs`.

use serde_json::json;

use super::Context;
use crate::cli::args::DocsArgs;
use crate::cli::exit::Exit;
use crate::cli::json::document;
use crate::cli::manual;
use crate::ops::docs::{self, Page, Row};
use crate::ops::project::Failure;

pub fn run(context: &Context<'_>, args: &DocsArgs) -> Result<Exit, Failure> {
    let output = context.output;
    let all = docs::all(context.settings);
    let pages = match &args.name {
        Some(name) => docs::named(all, name)?,
        None => all,
    };
    let listed: Vec<_> = match (&args.name, pages.len()) {
        (None, _) => pages.iter().map(brief).collect(),
        _ => pages.iter().map(whole).collect(),
    };
    output.document(&document("docs", json!({"pages": listed})))?;
    let terminal = &output.result;
    output.text(&match (&args.name, args.markdown) {
        (_, true) => manual::markdown(&pages),
        (Some(name), false) if pages.iter().any(|it| it.name == *name) => {
            pages.iter().map(|it| manual::text(it, terminal)).collect::<Vec<_>>().join("\n")
        }
        _ => manual::list(&pages, terminal),
    });
    Ok(Exit::Done)
}

fn brief(page: &Page) -> serde_json::Value {
    json!({"name": page.name, "what": page.what.word(), "summary": page.summary()})
}

fn whole(page: &Page) -> serde_json::Value {
    let row = |it: &Row| json!({"name": it.name, "type": it.ty, "default": it.default, "marks": it.marks, "doc": it.doc});
    let sections = page.sections.iter().map(|it| (it.title.to_owned(), it.rows.iter().map(row).collect()));
    let sections: serde_json::Map<String, serde_json::Value> = sections.collect();
    json!({
        "name": page.name,
        "what": page.what.word(),
        "signature": page.signature,
        "doc": page.doc,
        "facts": page.facts,
        "sections": sections,
        "example": page.example.as_ref().map(|(text, gives)| json!({"text": text, "gives": gives})),
    })
}
