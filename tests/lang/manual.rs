//! The manual is true: every block of `docs/language.md` is a program that this version reads as the manual says.
//!
//! What stands behind the three backquotes says how a block is read:
//!
//! ```text
//! stack                  a whole program, or items of one, without an error or warning
//! stack fragment         items that need a stack around them: `provider fly` and an environment are there
//! stack error SW0210     as a fragment; these codes are what is wrong with it, and nothing else is
//! stack values           on each line an expression and, behind `#`, the literal that it gives or the code that refuses it
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stackwright::eval::Nothing;
use stackwright::expand::{Expansion, Known, Request, expand};
use stackwright::lang::{self, Checked};
use stackwright::model::{Diagnostic, Sources};
use stackwright::providers::registry;

/// One block: where it stands, what is said of it, its text.
struct Block {
    line: usize,
    info: String,
    text: String,
}

fn manual() -> (PathBuf, Vec<Block>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/language.md");
    let text = std::fs::read_to_string(&path).expect("the manual can be read");
    let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    for (at, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some(Block { line: at + 1, info: info.trim().into(), text: String::new() }),
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block of the manual is not closed");
    (path, blocks)
}

fn check(text: &str) -> Checked {
    lang::load(Sources::default(), vec![("manual.stack".into(), text.into())], Arc::new(registry::schemas()))
}

const AROUND: &str = "stack manual { language = 1 }
provider fly { org = \"acme\", region = \"cdg\" }
environment local { on = local }
environment production { on = fly, protect = true }
";

/// A block that declares no stack or environment of its own gets them.
fn whole(block: &str) -> String {
    let tidy = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let begins = |word: &str| block.lines().any(|line| tidy(line).starts_with(word));
    let around = AROUND.lines().filter(|line| {
        let mut words = line.split(' ');
        let (word, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match word {
            "stack" => !begins("stack "),
            "environment" => !begins("environment "),
            _ => !begins(&format!("{word} {name} {{")),
        }
    });
    format!("{block}{}\n", around.collect::<Vec<_>>().join("\n"))
}

fn said(checked: &Checked, all: &[Diagnostic]) -> Vec<String> {
    let line = |it: &Diagnostic| {
        let place = it.span().and_then(|span| checked.sources.place(span)).map_or(String::new(), |it| it.to_string());
        format!("{} {place} {}", it.code, it.message)
    };
    all.iter().map(line).collect()
}

#[test]
fn every_program_of_the_manual_is_read_as_it_says() {
    let (path, blocks) = manual();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for block in &blocks {
        let words: Vec<&str> = block.info.split_whitespace().collect();
        let expected: Vec<&str> = match words[..] {
            ["stack"] | ["stack", "fragment"] => Vec::new(),
            ["stack", "error", ..] => words[2..].to_vec(),
            _ => continue,
        };
        count += 1;
        let checked = check(&whole(&block.text));
        let mut codes: Vec<String> = checked.diagnostics.iter().map(|it| it.code.to_string()).collect();
        codes.sort();
        codes.dedup();
        if codes != expected {
            let said = said(&checked, &checked.diagnostics).join("\n  ");
            wrong.push(format!("{}:{}: expected {expected:?}\n  {said}", path.display(), block.line));
        }
    }
    assert!(count > 0 && wrong.is_empty(), "{} of {count} blocks are not read so:\n{}", wrong.len(), wrong.join("\n"));
}

/// What the expression gives, or the codes of what is wrong with it.
fn value_of(definitions: &str, expression: &str) -> String {
    let checked = check(&whole(&format!("{definitions}output it = {expression}\n")));
    let codes = |all: &[Diagnostic]| {
        let mut codes: Vec<String> = all.iter().map(|it| it.code.to_string()).collect();
        codes.sort();
        codes.dedup();
        codes.join(" ")
    };
    let Some(program) = checked.program.as_ref().filter(|_| checked.diagnostics.is_empty()) else {
        return codes(&checked.diagnostics);
    };
    let inputs = BTreeMap::new();
    let request = Request { environment: "local", inputs: &inputs, known: Known::default(), outside: &Nothing };
    match expand(program, &request) {
        Ok(Expansion::Done(desired)) => {
            desired.outputs.iter().find(|it| &*it.name == "it").map_or("nothing".into(), |it| it.value.to_literal())
        }
        Ok(Expansion::Asks { .. }) => "asks".into(),
        Err(errors) => codes(&errors),
    }
}

#[test]
fn every_value_of_the_manual_is_what_it_says() {
    let (path, blocks) = manual();
    let mut wrong = Vec::new();
    for block in blocks.iter().filter(|it| it.info == "stack values") {
        // Definitions may stand before the first expression.
        let is_item = |line: &str| ["let ", "fn ", "type ", "input "].iter().any(|word| line.starts_with(word));
        let definitions: String = block.text.lines().filter(|line| is_item(line)).map(|line| format!("{line}\n")).collect();
        for (at, line) in block.text.lines().enumerate() {
            let Some((expression, expected)) = line.rsplit_once(" # ").filter(|_| !is_item(line)) else { continue };
            let got = value_of(&definitions, expression.trim());
            // Words may follow a code.
            let fits = got == expected.trim() || expected.trim().split(", ").next() == Some(&*got) && got.starts_with("SW");
            if !fits {
                wrong.push(format!(
                    "{}:{}: {} gives {got}, not {expected}",
                    path.display(),
                    block.line + at + 1,
                    expression.trim()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
