//! The language, by its fixtures: what they mean, and what is wrong with them.

#![allow(clippy::disallowed_methods, reason = "tests run on the real machine: its clock, its variables, its files")]

mod bounds;
mod cases;
mod check;
mod fix;
mod generated;
mod kinds;
mod limits;
mod manual;
mod taint;
mod workspace;

use stackwright::lang::syntax;
use stackwright::model::{Diagnostic, Origin, Sources};

fn parse(text: &str) -> (Sources, Vec<Diagnostic>) {
    let mut sources = Sources::default();
    let source = sources.add("case.stack", text, Origin::File);
    let parsed = syntax::parse(source, text);
    (sources, parsed.diagnostics)
}

#[test]
fn what_does_not_parse_is_said_in_plain_words() {
    for file in cases::files("syntax/errors") {
        cases::run(&file, parse);
    }
}

#[test]
fn every_construct_parses() {
    for file in cases::files("syntax").into_iter().chain(cases::files("")) {
        let text = std::fs::read_to_string(&file).expect("a fixture can be read");
        let (sources, found) = parse(&text);
        let found: Vec<String> = found
            .iter()
            .map(|it| {
                format!(
                    "{}: {}",
                    it.span().and_then(|span| sources.place(span)).map_or(String::new(), |it| it.to_string()),
                    it.message
                )
            })
            .collect();
        assert!(found.is_empty(), "{}: {found:#?}", file.display());
    }
}
