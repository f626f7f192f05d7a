//! What the checker says of programs.

use std::sync::Arc;

use stackwright::lang::{self, Checked};
use stackwright::model::{Diagnostic, Origin, Sources};
use stackwright::providers::registry;

use crate::cases;

fn check(text: &str) -> Checked {
    lang::load(Sources::default(), vec![("case.stack".into(), text.into())], Arc::new(registry::schemas()))
}

/// Diagnostics of the case itself; one elsewhere is shown in full, so that no fixture hides it.
fn diagnose(text: &str) -> (Sources, Vec<Diagnostic>) {
    // Most cases are about one thing; the stack around it is the same.
    let whole = if text.contains("stack case") || text.starts_with("stack ") {
        text.to_owned()
    } else {
        format!("{text}\nstack case {{}}\n")
    };
    let checked = check(&whole);
    let mut sources = Sources::default();
    for (_, source) in checked.sources.iter() {
        sources.add(source.name.clone(), source.text.clone(), source.origin);
    }
    for diagnostic in &checked.diagnostics {
        let place = diagnostic.span().and_then(|span| sources.place(span));
        let in_case = place.as_ref().is_some_and(|place| place.origin == Origin::File);
        assert!(in_case, "outside of the case: {place:?} {diagnostic:#?}\n{text}");
    }
    assert_eq!(checked.program.is_some(), !checked.has_errors());
    (sources, checked.diagnostics)
}

#[test]
fn what_is_wrong_is_said_once_at_the_smallest_place() {
    for file in cases::files("check") {
        cases::run(&file, diagnose);
    }
}

#[test]
fn the_standard_library_has_no_errors() {
    let checked = check("stack empty {}\n");
    let said: Vec<_> = checked
        .diagnostics
        .iter()
        .map(|it| {
            let place = it.span().and_then(|span| checked.sources.place(span)).map_or(String::new(), |it| it.to_string());
            format!("{place} {} {} {:?} {:?}", it.code, it.message, it.labels.first().map(|it| &it.1), it.help)
        })
        .collect();
    assert!(said.is_empty(), "{said:#?}");
}
