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

/// What each expression gives, or the codes of what is wrong with them.
fn values_of(definitions: &str, expressions: &[&str]) -> Result<Vec<String>, String> {
    let outputs = expressions.iter().enumerate().map(|(at, it)| format!("output it_{at:03} = {it}\n"));
    let checked = check(&whole(&format!("{definitions}{}", outputs.collect::<String>())));
    let codes = |all: &[Diagnostic]| {
        let mut codes: Vec<String> = all.iter().map(|it| it.code.to_string()).collect();
        codes.sort();
        codes.dedup();
        codes.join(" ")
    };
    let Some(program) = checked.program.as_ref().filter(|_| checked.diagnostics.is_empty()) else {
        return Err(codes(&checked.diagnostics));
    };
    let inputs = BTreeMap::new();
    let request = Request { environment: "local", inputs: &inputs, known: Known::default(), outside: &Nothing };
    match expand(program, &request) {
        Ok(Expansion::Done(desired)) => {
            let outputs: BTreeMap<_, _> = desired.outputs.iter().map(|it| (it.name.to_string(), it.value.to_literal())).collect();
            Ok(outputs.into_values().collect())
        }
        Ok(Expansion::Asks { .. }) => Err("asks".into()),
        Err(errors) => Err(codes(&errors)),
    }
}

/// Line, expression, and what it gives.
type Row<'a> = (usize, &'a str, &'a str);

#[test]
fn every_value_of_the_manual_is_what_it_says() {
    let (path, blocks) = manual();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for block in blocks.iter().filter(|it| it.info == "stack values") {
        // Definitions may stand before the first expression.
        let is_item = |line: &str| ["let ", "fn ", "type ", "input "].iter().any(|word| line.starts_with(word));
        let definitions: String = block.text.lines().filter(|line| is_item(line)).map(|line| format!("{line}\n")).collect();
        let rows = block.text.lines().enumerate().filter(|(_, line)| !is_item(line));
        let rows: Vec<Row<'_>> = rows
            .filter_map(|(at, line)| {
                let (expression, expected) = line.rsplit_once(" # ")?;
                Some((block.line + at + 1, expression.trim(), expected.trim()))
            })
            .collect();
        count += rows.len();
        let (refused, given): (Vec<Row<'_>>, Vec<Row<'_>>) = rows.into_iter().partition(|it| it.2.starts_with("SW"));
        let mut say = |line: usize, expression: &str, got: &str, expected: &str| {
            if got != expected {
                wrong.push(format!("{}:{line}: {expression} gives {got}, not {expected}", path.display()));
            }
        };
        match values_of(&definitions, &given.iter().map(|it| it.1).collect::<Vec<_>>()) {
            Ok(values) => given.iter().zip(&values).for_each(|(it, got)| say(it.0, it.1, got, it.2)),
            // One of them is refused: each by itself.
            Err(_) => given.iter().for_each(|(line, text, expected)| {
                let got = values_of(&definitions, &[*text]).map_or_else(|codes| codes, |it| it.concat());
                say(*line, text, &got, expected);
            }),
        }
        for (line, text, expected) in refused {
            let got = values_of(&definitions, &[text]).map_or_else(|codes| codes, |it| it.concat());
            // Words may follow a code.
            say(line, text, &got, expected.split(", ").next().unwrap_or(expected));
        }
    }
    assert!(count > 100 && wrong.is_empty(), "of {count} values:\n{}", wrong.join("\n"));
}
