//! Results of tests as JUnit's XML, which every runner of pipelines reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::escape::Escaped;
use super::report::Shown;
use super::terminal::Terminal;
use crate::model::Sources;
use crate::ops::testing::report::{Report, TestResult};

/// The whole document: a suite a file, a case a test. A test that went wrong by itself is an error there, one whose expectations do
/// not hold a failure; each counts once.
pub fn document(report: &Report) -> String {
    let mut suites: BTreeMap<String, Vec<&TestResult>> = BTreeMap::new();
    for result in &report.results {
        let file = report.sources.place(result.span).map(|place| place.file.to_string()).unwrap_or_default();
        suites.entry(file).or_default().push(result);
    }
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let name = if report.stack.is_empty() { "stackwright" } else { &report.stack };
    let head = attributes(name, &report.results.iter().collect::<Vec<_>>(), report.took);
    out.push_str(&format!("<testsuites{head}>\n"));
    for (file, results) in suites {
        let took = results.iter().map(|it| it.took).sum();
        out.push_str(&format!("  <testsuite{}>\n", attributes(&file, &results, took)));
        results.iter().for_each(|result| case(&mut out, result, &file, name, &report.sources));
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn attributes(name: &str, results: &[&TestResult], took: Duration) -> String {
    let errors = results.iter().filter(|it| it.broke()).count();
    let failures = results.iter().filter(|it| !it.passed() && !it.broke()).count();
    format!(
        " name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{}\"",
        escape(name),
        results.len(),
        seconds(took)
    )
}

fn case(out: &mut String, result: &TestResult, file: &str, stack: &str, sources: &Sources) {
    let line = sources.place(result.span).map_or(0, |place| place.line);
    let class = format!("{stack}.{}", result.environment);
    let head = format!(
        "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{line}\" time=\"{}\"",
        escape(&result.name),
        escape(&class),
        escape(file),
        seconds(result.took)
    );
    if result.passed() {
        out.push_str(&format!("{head}/>\n"));
        return;
    }
    out.push_str(&format!("{head}>\n"));
    for problem in &result.problems {
        let text = Shown::new(&problem.diagnostic, &problem.sources, Terminal::paper(100)).render();
        let step = problem.step.as_ref().map(|step| format!("in step {step}\n")).unwrap_or_default();
        let element = if problem.missed { "failure" } else { "error" };
        out.push_str(&format!(
            "      <{element} message=\"{}\" type=\"{}\">{}</{element}>\n",
            escape(&Escaped(&problem.diagnostic.message).to_string()),
            problem.diagnostic.code,
            escape(&format!("{step}{text}"))
        ));
    }
    out.push_str("    </testcase>\n");
}

fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}

/// Text for XML: what has a meaning there is written otherwise, and what may not stand there at all becomes visible.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push('\n'),
            c if super::escape::is_hidden(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_would_end_an_attribute_or_hide_is_written_otherwise() {
        assert_eq!(super::escape("a<b> & \"c\"\u{1b}\u{0}"), "a&lt;b&gt; &amp; &quot;c&quot;\\u{1b}\\u{0}");
    }
}
