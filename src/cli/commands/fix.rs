//! `stackwright fix`.

use serde_json::json;

use super::Context;
use super::small::code;
use crate::cli::args::FixArgs;
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::json::{self, document};
use crate::cli::terminal::Ink;
use crate::cli::{diff, report};
use crate::model::Diagnostic;
use crate::ops::fix::{Fixed, Made, find, write};
use crate::ops::project::Failure;

pub fn run(context: &Context<'_>, args: &FixArgs) -> Result<Exit, Failure> {
    let output = context.output;
    let codes = args.codes.iter().map(|it| code(it)).collect::<Result<Vec<_>, _>>()?;
    let fixed = find(context.settings, &codes)?;
    if !args.dry_run {
        write(context.settings, &fixed)?;
    }
    output.document(&of(&fixed, args.dry_run))?;
    let terminal = &output.result;
    for it in &fixed.fixes {
        let place = it.place.as_ref().map(|it| format!("{}  ", Escaped(&it.to_string()))).unwrap_or_default();
        output.text(&format!("{place}{}  {}\n", Escaped(&it.title), terminal.paint(Ink::Quiet, it.code)));
    }
    fixed.files.iter().for_each(|it| output.text(&diff::unified(&it.name, &it.before, &it.after)));
    output.about(&summary(&fixed, args.dry_run));
    let errors = fixed.left.iter().filter(|it| it.is_error()).count();
    Ok(if errors > 0 { Exit::of(&fixed.left) } else { Exit::Done })
}

fn summary(fixed: &Fixed, dry_run: bool) -> String {
    let (fixes, files) = (report::count_of(fixed.fixes.len(), "fix", "fixes"), report::count(fixed.files.len(), "file"));
    let made = match (fixed.fixes.len(), dry_run) {
        (0, _) => "nothing to fix".to_owned(),
        (_, false) => format!("{fixes} in {files}"),
        (_, true) => format!("{fixes} in {files} to be made; nothing was written"),
    };
    let errors = fixed.left.iter().filter(|it| it.is_error()).count();
    let left = match (errors, fixed.left.len() - errors) {
        (0, 0) => String::new(),
        (0, warnings) => format!("; {} left, which `stackwright check` shows", report::count(warnings, "warning")),
        (errors, _) => format!("; {} left, which `stackwright check` shows", report::count(errors, "error")),
    };
    format!("{made}{left}\n")
}

fn of(fixed: &Fixed, dry_run: bool) -> serde_json::Value {
    let fix = |it: &Made| {
        let place = it.place.as_ref().map_or(serde_json::Value::Null, json::place);
        json!({"code": it.code.to_string(), "title": it.title, "span": place})
    };
    let files = fixed.files.iter().map(|it| json!({"file": it.name, "diff": diff::unified(&it.name, &it.before, &it.after)}));
    let errors = fixed.left.iter().filter(|it| it.is_error()).count();
    let left: Vec<_> = fixed.left.iter().map(|it: &Diagnostic| json::diagnostic(it, &fixed.sources)).collect();
    document(
        "fix",
        json!({
            "written": !dry_run && !fixed.files.is_empty(),
            "fixes": fixed.fixes.iter().map(fix).collect::<Vec<_>>(),
            "files": files.collect::<Vec<_>>(),
            "errors": errors,
            "warnings": fixed.left.len() - errors,
            "diagnostics": left,
        }),
    )
}
