//! `stackwright test`.

use serde_json::json;

use super::Context;
use crate::cli::args::TestArgs;
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::report::Shown;
use crate::cli::terminal::{Ink, columns};
use crate::cli::{json, junit};
use crate::model::{Code, Sources, Span};
use crate::ops::files::{words, write_whole};
use crate::ops::project::Failure;
use crate::ops::testing::coverage::{Coverage, Part, What};
use crate::ops::testing::report::{Report, TestResult};
use crate::ops::testing::{Request, Suite};

pub fn run(context: &Context<'_>, args: &TestArgs) -> Result<Exit, Failure> {
    let suite = Suite::load(context.settings, context.global.env.as_deref(), &args.filters)?;
    let output = context.output;
    if args.list {
        output.document(&listing(&suite))?;
        for test in suite.tests() {
            output.text(&format!("{}  {}\n", place(test.span, suite.sources()), Escaped(&test.name)));
        }
        return Ok(Exit::Done);
    }
    let width = suite.tests().map(|test| columns(&Escaped(&test.name).to_string())).max().unwrap_or(0).min(72);
    let request = Request { parallel: args.parallel.map(|it| it as usize) };
    let report = suite.run(&request, &mut |result| output.text(&line(context, result, width)));
    if let Some(path) = &args.junit {
        write_whole(path, junit::document(&report).as_bytes(), 0o644).map_err(|error| {
            let text = format!("`{}` cannot be written: {}", path.display(), words(&error));
            Box::new(Code::Unreadable.error(text))
        })?;
    }
    output.document(&document(&report, args.coverage))?;
    output.text(&details(context, &report));
    if args.coverage {
        output.text(&covered(&report.coverage, &report.sources));
    }
    output.text(&summary(context, &report));
    Ok(if report.failed() == 0 { Exit::Done } else { Exit::Failed })
}

/// One test on one line.
fn line(context: &Context<'_>, result: &TestResult, width: usize) -> String {
    let terminal = context.output.result;
    let (word, ink) = if result.passed() { ("ok  ", Ink::Good) } else { ("FAIL", Ink::Bad) };
    if context.output.quiet && result.passed() {
        return String::new();
    }
    let name = Escaped(&result.name).to_string();
    let space = " ".repeat(width.saturating_sub(columns(&name)));
    let took = terminal.paint(Ink::Quiet, format!("{} ms", result.took.as_millis()));
    format!("{} {name}{space}   {took}\n", terminal.paint(ink, word))
}

/// What was wrong with the tests that failed.
fn details(context: &Context<'_>, report: &Report) -> String {
    let terminal = context.output.result;
    let mut out = String::new();
    for result in report.results.iter().filter(|it| !it.passed()) {
        let title = format!("{}: {}", place(result.span, &report.sources), Escaped(&result.name));
        out.push_str(&format!("\n{}\n", terminal.paint(Ink::Strong, title)));
        for problem in &result.problems {
            out.push_str(&Shown::new(&problem.diagnostic, &problem.sources, terminal).render());
        }
    }
    out
}

fn summary(context: &Context<'_>, report: &Report) -> String {
    let failed = report.failed();
    if report.results.is_empty() {
        return "no tests: write one, such as `test \"it applies\" { step all { do = \"apply\" } }`\n".into();
    }
    let mut parts = vec![format!("{} passed", report.results.len() - failed)];
    if failed > 0 {
        parts.push(context.output.result.paint(Ink::Bad, format!("{failed} failed")));
    }
    if report.left_out > 0 {
        parts.push(format!("{} left out", report.left_out));
    }
    let gap = if failed > 0 || report.results.len() > 1 { "\n" } else { "" };
    format!("{gap}{} in {:.2} s\n", parts.join(", "), report.took.as_secs_f64())
}

/// What no test has expanded.
fn covered(coverage: &Coverage, sources: &Sources) -> String {
    let mut parts = Vec::new();
    for word in ["component", "clause", "branch", "output"] {
        let (seen, all) = coverage.count(word);
        if all > 0 {
            let words = if word == "branch" { "branches".to_owned() } else { format!("{word}s") };
            parts.push(format!("{words} {seen} of {all}"));
        }
    }
    if parts.is_empty() {
        return "\ncoverage   nothing to cover: the stack has no component and no item under `if` of its own\n".into();
    }
    let mut out = format!("\ncoverage   {}\n", parts.join("   "));
    for part in coverage.unseen() {
        out.push_str(&format!("  not seen   {}   {}\n", place(part.span, sources), what(part)));
    }
    out
}

fn what(part: &Part) -> String {
    let of = part.component.as_ref().map(|kind| format!("`{}`", Escaped(kind)));
    let of = of.as_deref().unwrap_or("the stack");
    match &part.what {
        What::Component => format!("component {of}"),
        What::Clause(provider) => format!("`on {}` of {of}", Escaped(provider)),
        What::Branch(true) => format!("an `if` of {of}: its items"),
        What::Branch(false) => format!("an `if` of {of}: where it does not hold"),
        What::Output(name) => format!("output `{}` of {of}", Escaped(name)),
    }
}

fn place(span: Span, sources: &Sources) -> String {
    sources.place(span).map(|place| Escaped(&format!("{}:{}", place.file, place.line)).to_string()).unwrap_or_default()
}

fn listing(suite: &Suite) -> serde_json::Value {
    let tests: Vec<_> =
        suite.tests().map(|test| json!({"name": &*test.name, "span": json::span(test.span, suite.sources())})).collect();
    json::document("tests", json!({"stack": suite.stack(), "tests": tests}))
}

fn document(report: &Report, with_coverage: bool) -> serde_json::Value {
    let sources = &report.sources;
    let tests: Vec<_> = report
        .results
        .iter()
        .map(|result| {
            let steps: Vec<_> = result
                .steps
                .iter()
                .map(|step| {
                    json!({
                        "name": step.name.as_deref(), "do": step.act, "held": step.held, "expectations": step.expectations,
                        "ms": step.took.as_millis() as u64,
                    })
                })
                .collect();
            let problems: Vec<_> = result
                .problems
                .iter()
                .map(|it| json!({"step": it.step.as_deref(), "diagnostic": json::diagnostic(&it.diagnostic, &it.sources)}))
                .collect();
            json!({
                "name": &*result.name, "environment": result.environment, "span": json::span(result.span, sources),
                "result": if result.passed() { "passed" } else { "failed" },
                "ms": result.took.as_millis() as u64, "steps": steps, "problems": problems,
            })
        })
        .collect();
    let diagnostics: Vec<_> = report
        .results
        .iter()
        .flat_map(|result| &result.problems)
        .map(|it| json::diagnostic(&it.diagnostic, &it.sources))
        .collect();
    let mut fields = json!({
        "stack": report.stack, "passed": report.results.len() - report.failed(), "failed": report.failed(),
        "left_out": report.left_out, "ms": report.took.as_millis() as u64, "tests": tests, "diagnostics": diagnostics,
    });
    if with_coverage {
        let parts: Vec<_> = report
            .coverage
            .parts
            .iter()
            .map(|part| {
                let (provider, holds, output) = match &part.what {
                    What::Component => (None, None, None),
                    What::Clause(provider) => (Some(&**provider), None, None),
                    What::Branch(side) => (None, Some(*side), None),
                    What::Output(name) => (None, None, Some(&**name)),
                };
                json!({
                    "what": part.what.word(), "component": part.component.as_deref(), "provider": provider, "holds": holds,
                    "output": output, "span": json::span(part.span, sources), "seen": part.seen,
                })
            })
            .collect();
        fields["coverage"] = parts.into();
    }
    json::document("test", fields)
}
