//! `eval`: an expression's value, or its type.

use std::collections::BTreeSet;

use serde_json::json;

use super::Context;
use super::plan::given;
use crate::cli::args::EvalArgs;
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::json::{document, value};
use crate::model::{Address, Data, Value};
use crate::ops;
use crate::ops::project::Failure;

pub async fn run(context: &Context<'_>, args: &EvalArgs) -> Result<Exit, Failure> {
    let environment = context.global.env.as_deref();
    let found = ops::eval::evaluate(context.settings, &given(&args.given), environment, &args.expression).await?;
    let ty = found.ty.to_string();
    context.output.document(&document("eval", json!({"type": ty, "value": value(&found.value)})))?;
    let mut waits = BTreeSet::new();
    waited_for(&found.value, &mut waits);
    let waits: Vec<&str> = waits.iter().map(|it| it.as_str()).collect();
    let mut out = match (args.r#type, &found.value.data) {
        (true, _) => ty,
        (false, Data::Unknown(_)) if !found.value.mark.secret => format!("(known after apply: {})", waits.join(", ")),
        (false, _) => found.value.to_literal(),
    };
    // A part of it alone is unknown: what it waits for stands below.
    if !args.r#type && !matches!(found.value.data, Data::Unknown(_)) && !waits.is_empty() {
        out.push_str(&format!("\n  waits for {}", waits.join(", ")));
    }
    for line in out.lines() {
        context.output.text(&format!("{}\n", Escaped(line)));
    }
    Ok(Exit::Done)
}

/// The resources that parts of the value wait for.
fn waited_for(of: &Value, waits: &mut BTreeSet<Address>) {
    match &of.data {
        Data::Unknown(unknown) => waits.extend(unknown.waits_for.iter().cloned()),
        Data::List(items) => items.iter().for_each(|it| waited_for(it, waits)),
        Data::Map(fields) | Data::Variant(_, fields) => fields.values().for_each(|it| waited_for(it, waits)),
        Data::Range(ends) => {
            waited_for(&ends.0, waits);
            waited_for(&ends.1, waits);
        }
        _ => {}
    }
}
