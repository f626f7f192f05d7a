//! `stackwright check`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::Context;
use crate::cli::args::{CheckArgs, CheckFormat};
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::report::count;
use crate::cli::{json, sarif, signals};
use crate::model::{Diagnostic, Sources};
use crate::ops;
use crate::ops::check::After;
use crate::ops::project::Failure;

pub async fn run(context: &Context<'_>, args: &CheckArgs) -> Result<Exit, Failure> {
    if !args.watch {
        return Ok(once(context, args)?.0);
    }
    let world = &context.settings.world;
    let mut stop = signals::listen(None, world);
    let mut directories = BTreeSet::from([PathBuf::new()]);
    let mut seen = None;
    loop {
        let now = ops::check::stamp(context.settings, &directories);
        if seen.as_ref() != Some(&now) {
            seen = Some(now);
            match once(context, args) {
                Ok((_, sources)) => {
                    let all = ops::check::directories(&sources);
                    if all != directories {
                        directories = all;
                        seen = Some(ops::check::stamp(context.settings, &directories));
                    }
                }
                Err(failure) => drop(context.output.fail(&failure)),
            }
            context.output.about("waiting for a change\n");
        }
        tokio::select! {
            _ = stop.changed() => return Ok(Exit::Interrupted),
            _ = world.clock.sleep(LOOK_EVERY) => {}
        }
    }
}

/// How often `--watch` looks at the files.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(150);

/// Checks and says what was found; also gives the texts that were read.
fn once(context: &Context<'_>, args: &CheckArgs) -> Result<(Exit, Arc<Sources>), Failure> {
    let after = if args.watch { After::GoesOn } else { After::Ends };
    let report = ops::check::check(context.settings, context.global.env.as_deref(), after)?;
    let output = context.output;
    let document = || json::diagnostics(&report.diagnostics, &report.sources);
    match args.format {
        CheckFormat::Github => output.raw(&annotations(&report.diagnostics, &report.sources)),
        CheckFormat::Sarif => {
            let log = sarif::sarif(&report.diagnostics, &report.sources);
            output.raw(&format!("{}\n", serde_json::to_string_pretty(&log).expect("documents have text keys")));
        }
        CheckFormat::Json if !output.json => {
            output.raw(&format!(
                "{}\n",
                serde_json::to_string_pretty(&json::SchemaFirst(&document())).expect("documents have text keys")
            ));
        }
        _ if output.wants_document() => output.document(&document())?,
        _ => {}
    }
    if !report.diagnostics.is_empty() && args.format == CheckFormat::Text && !output.json {
        output.diagnostics(&report.diagnostics, &report.sources);
    }
    if report.diagnostics.iter().any(Diagnostic::is_error) {
        return Ok((Exit::of(&report.diagnostics), report.sources));
    }
    if args.format == CheckFormat::Text {
        let environments =
            report.environments.iter().map(|it| format!("{}: {}", it.0, count(it.1, "resource"))).collect::<Vec<_>>();
        let line = format!("ok   {}   {}", Escaped(&report.stack), environments.join("   "));
        output.text(&format!("{}\n", line.trim_end()));
    }
    Ok((Exit::Done, report.sources))
}

/// Lines that a runner of GitHub's turns into annotations: the worst ten errors and ten warnings.
fn annotations(diagnostics: &[Diagnostic], sources: &Arc<Sources>) -> String {
    let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let mut out = String::new();
    for errors in [true, false] {
        let all: Vec<_> = diagnostics.iter().filter(|it| it.is_error() == errors).collect();
        for it in all.iter().take(10) {
            let word = if errors { "error" } else { "warning" };
            let place = it.span().and_then(|span| sources.place(span)).map(|place| {
                let file = escape(&Escaped(&place.file).to_string()).replace([',', ':'], "_");
                format!(
                    " file={file},line={},col={},endLine={},endColumn={}",
                    place.line, place.col, place.end_line, place.end_col
                )
            });
            let help = it.help.first().map(|it| format!("\n{it}")).unwrap_or_default();
            let text = escape(&Escaped(&it.message).to_string()) + &escape(&help);
            out.push_str(&format!("::{word}{},title={}::{text}\n", place.unwrap_or_default(), it.code).replacen(
                ",title",
                if it.span().is_some() { ",title" } else { " title" },
                1,
            ));
        }
        if all.len() > 10 {
            out.push_str(&format!("+{} more\n", all.len() - 10));
        }
    }
    out
}
