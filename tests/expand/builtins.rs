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
    fn file(&self, path: &str, _: SourceId) -> Result<Arc<[u8]>, String> {
        match path {
            "greeting.txt" => Ok(b"hello ${name}".as_slice().into()),
            _ => Err("there is no such file".into()),
        }
    }

    fn exists(&self, path: &str, _: SourceId) -> Result<bool, String> {
        Ok(path == "greeting.txt")
    }

    fn list(&self, _: &str, _: SourceId) -> Result<Vec<String>, String> {
        Ok(vec!["greeting.txt".into(), "other.md".into()])
    }

    fn variable(&self, _: &str, _: SourceId) -> Result<Option<String>, String> {
        Ok(None)
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

/// `docs/functions.md`, as the table says it.
fn page() -> String {
    let mut out = String::from(
        "# Functions\n\nWritten by a test from the table that types and runs them; every example is run. Arguments are given by place or by name. What is\ncomputed from a secret is secret. A capital letter stands for any type; `x?` may be left out, `...x` stands for any number of\narguments. Functions that Terraform has do the same here, under the same name with underscores between its words.\n",
    );
    let mut group = "";
    for def in ALL {
        if def.group != group {
            group = def.group;
            out.push_str(&format!("\n## {group}\n"));
        }
        let (expression, gives) = def.example;
        out.push_str(&format!(
            "\n### {}\n\n`{}`\n\n{}\n\n```stack values\n{expression} # {gives}\n```\n",
            def.name,
            def.signature(),
            def.doc
        ));
    }
    out.push_str(
        "\n## What is not here\n\n| in Terraform | here |\n| --- | --- |\n\
        | `can`, `try` | what may fail is seen before it runs; `??`, `?.` and `?[…]` say what stands in the place of null |\n\
        | `timestamp`, `plantimestamp` | programs have no clock: an instant comes in as an input |\n\
        | `timeadd`, `timecmp` | `+`, `-` and `<` of instants and durations |\n\
        | `uuid`, `bcrypt` | programs have no chance: `secret` makes one and keeps it; `uuid_v5` makes an id from a name |\n\
        | `nonsensitive` | `reveal`, which takes a reason |\n\
        | `tostring`, `tonumber`, `tobool` | `text`, `parse_number`, `parse_bool` |\n\
        | `tolist`, `toset`, `tomap` | lists are lists; `distinct` takes repetitions out |\n\
        | `type` | `stackwright eval --type` |\n\
        | `log` | has no exact result |\n\
        | `abspath`, `pathexpand` | paths begin at the file that holds them |\n\
        | `templatefile` | `template` |\n",
    );
    out
}

#[test]
fn the_page_of_functions_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/functions.md");
    #[allow(clippy::disallowed_methods, reason = "a test program has no other way to be told")]
    if std::env::var_os("STACKWRIGHT_ACCEPT").is_some() {
        std::fs::write(&path, page()).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page(), "docs/functions.md is not what the table says: STACKWRIGHT_ACCEPT=1 writes it");
}
