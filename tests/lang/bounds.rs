//! Every limit of the manual has a message of its own, and what is just below it is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use stackwright::eval::Nothing;
use stackwright::expand::{Expansion, Known, Request, expand};
use stackwright::lang;
use stackwright::model::{Code, Diagnostic, Sources};
use stackwright::providers::registry;

const AROUND: &str =
    "stack limits { language = 1 }\nenvironment local { on = local }\ninput text: string = \"0123456789abcdef\"\n";

/// What is wrong with a program, in `check` or when it is expanded; nothing if it is fine.
fn wrong(text: &str) -> Vec<Diagnostic> {
    let files = vec![("limits.stack".to_owned(), format!("{AROUND}{text}\n"))];
    let checked = lang::load(Sources::default(), files, Arc::new(registry::schemas()));
    let Some(program) = &checked.program else { return checked.diagnostics };
    let inputs = BTreeMap::new();
    let request = Request { environment: "local", inputs: &inputs, known: Known::default(), outside: &Nothing };
    match expand(program, &request) {
        Err(errors) => errors,
        Ok(Expansion::Done(_) | Expansion::Asks { .. }) => Vec::new(),
    }
}

#[track_caller]
fn refuses(text: &str, words: &str) {
    let found = wrong(text);
    let shown: String = text.chars().take(80).collect();
    match &found[..] {
        [one] => assert!(one.code == Code::Limit && one.message.contains(words), "{shown}: {} {}", one.code, one.message),
        other => panic!("{shown}: {} diagnostics: {:?}", other.len(), other.iter().map(|it| &it.message).collect::<Vec<_>>()),
    }
}

#[track_caller]
fn takes(text: &str) {
    let found = wrong(text);
    let shown: String = text.chars().take(80).collect();
    assert!(found.is_empty(), "{shown}: {:?}", found.iter().map(|it| &it.message).collect::<Vec<_>>());
}

#[test]
fn texts_have_a_limit_as_they_are_written() {
    takes(&format!("output a = length(\"{}\")", "x".repeat((1 << 20) - 2)));
    refuses(&format!("output a = \"{}\"", "x".repeat((1 << 20) + 1)), "a string is at most 1 MiB long");
    takes(&format!("let {} = 1", "n".repeat(128)));
    refuses(&format!("let {} = 1", "n".repeat(129)), "128");
    takes(&format!("let a = {}1{}", "[".repeat(120), "]".repeat(120)));
    refuses(&format!("let a = {}1{}", "[".repeat(129), "]".repeat(129)), "128");
}

#[test]
fn chains_have_a_limit() {
    takes(&format!("let a = {}1", "1 + ".repeat(399)));
    refuses(&format!("let a = {}1", "1 + ".repeat(402)), "400");
    takes(&format!("let a = {}1", "if env.protect then 1 else ".repeat(300)));
    refuses(&format!("let a = {}1", "if env.protect then 1 else ".repeat(402)), "400");
}

/// Sixteen times the input text, so many times over.
fn text_of_256_to_the(power: usize) -> String {
    let mut expression = "input.text".to_owned();
    for _ in 0..power {
        expression = format!("join(\"\", [for _ in count(256) : {expression}])");
    }
    expression
}

#[test]
fn values_have_a_limit_as_they_are_computed() {
    takes(&format!("output a = length({})", text_of_256_to_the(2)));
    refuses(&format!("output a = length({})", text_of_256_to_the(3)), "100,000,000 steps");
    let long = text_of_256_to_the(2);
    refuses(&format!("let a = {long}\noutput b = length(\"{}\")", "${a}".repeat(17)), "16 MiB");
    refuses("output a = length(count(1000001))", "1,000,000 elements");
    refuses("output a = length([for a in count(1001) for b in count(1000) : b])", "1,000,000 elements");
    refuses(
        "fn deep(x: any): any = [[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]\noutput a = deep(deep(deep(deep(deep(deep(deep(input.text)))))))",
        "128 deep",
    );
    refuses("let a = [for _ in count(2500) : [for _ in count(2000) : 1]]\noutput b = length(a)", "100,000,000 steps");
}

#[test]
fn patterns_and_queries_have_a_limit() {
    takes("output a = re\"^[a-z]{1,63}$\"");
    let long = "x".repeat((64 << 10) + 1);
    for (text, words) in [
        (format!("re\"{long}\""), "64 KiB"),
        ("re\"(\\w{100}){100}\"".to_owned(), "too large"),
        (format!("re\"{}x{}\"", "(".repeat(300), ")".repeat(300)), "nested"),
        (format!("promql\"{long}\""), "64 KiB"),
        (format!("promql\"{}1\"", "1 + ".repeat(401)), "400 operators"),
        (format!("promql\"{}1\"", "-".repeat(401)), "400 operators"),
        (format!("promql\"{}x{}\"", "(".repeat(101), ")".repeat(101)), "deeper than 100"),
    ] {
        let found = wrong(&format!("let a = {text}\noutput b = a"));
        let message = &found.first().expect("it is refused").message;
        assert!(found.len() == 1 && message.contains(words), "{words}: {message}");
    }
}
