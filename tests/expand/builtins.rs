//! The example of each built-in gives what it says, checked and run as a program would be.

use std::collections::BTreeMap;
use std::sync::Arc;

use stackwright::eval::Outside;
use stackwright::eval::builtins::ALL;
use stackwright::expand::{Expansion, Known, Request, expand};
use stackwright::model::SourceId;

use crate::listing::{checked, diagnostic};

/// The one file that examples read.
struct Greeting;

impl Outside for Greeting {
    fn file(&self, path: &str, _: SourceId) -> Result<Arc<str>, String> {
        match path {
            "greeting.txt" => Ok("hello ${name}".into()),
            _ => Err("there is no such file".into()),
        }
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

fn outputs(text: &str) -> Result<Vec<String>, Vec<String>> {
    let checked = checked(text);
    let said = |all: &[stackwright::model::Diagnostic]| all.iter().map(|it| diagnostic(it, &checked.sources)).collect::<Vec<_>>();
    let Some(program) = &checked.program else { return Err(said(&checked.diagnostics)) };
    let inputs = BTreeMap::new();
    let request = Request { environment: "local", inputs: &inputs, known: Known::default(), outside: &Greeting };
    match expand(program, &request) {
        Ok(Expansion::Done(desired)) => Ok(desired.outputs.iter().map(|it| it.value.to_literal()).collect()),
        Ok(Expansion::Asks { .. }) => Err(vec!["asks".into()]),
        Err(errors) => Err(said(&errors)),
    }
}

#[test]
fn every_example_gives_what_it_says() {
    let mut wrong = Vec::new();
    for def in ALL {
        let (expression, expected) = def.example;
        assert!(expression.contains(&format!("{}(", def.name)), "the example of `{}` does not call it", def.name);
        let program = format!("stack t {{ language = 1 }}\nenvironment local {{ on = local }}\noutput it = {expression}\n");
        match outputs(&program) {
            Ok(values) if values == [expected] => {}
            other => wrong.push(format!("{expression}: expected {expected}, got {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
