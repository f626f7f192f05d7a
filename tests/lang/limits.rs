//! What a program may not have too much of: each limit has its own message, at its own place, and is soon reached.

use std::collections::BTreeMap;
use std::sync::Arc;

use stackwright::eval::Nothing;
use stackwright::expand::{Known, Request, expand};
use stackwright::lang::load;
use stackwright::model::{Code, Diagnostic, Sources};
use stackwright::providers::registry;

const HEAD: &str = "stack s { language = 1 }\nenvironment local { on = local }\n";

/// What is found in a text behind the head, by checking it or by expanding it.
fn found(text: &str) -> Vec<Diagnostic> {
    let files = vec![("case.stack".to_owned(), format!("{HEAD}{text}\n"))];
    let checked = load(Sources::default(), files, Arc::new(registry::schemas()));
    let Some(program) = checked.program else { return checked.diagnostics };
    let inputs = BTreeMap::new();
    let request = Request { environment: "local", inputs: &inputs, known: Known::default(), outside: &Nothing };
    expand(&program, &request).err().unwrap_or_default()
}

/// The text goes over one limit, which says so in these words, first and with a place.
fn over(text: &str, words: &str) {
    let found = found(text);
    let shown: String = text.chars().take(80).collect();
    let first = found.first().unwrap_or_else(|| panic!("nothing was found in: {shown}"));
    assert!(first.message.contains(words), "{} instead of: {words}, in: {shown}", first.message);
    assert_eq!(first.code, Code::Limit, "{shown}");
    assert!(first.span().is_some(), "{shown}");
}

/// The text stays just within a limit.
fn within(text: &str) {
    let found: Vec<String> = found(text).into_iter().filter(|it| it.code == Code::Limit).map(|it| it.message).collect();
    assert!(found.is_empty(), "{found:?} in: {}", text.chars().take(80).collect::<String>());
}

#[test]
fn texts_are_bounded() {
    over(&"# a line of a comment\n".repeat((16 << 20) / 22 + 1), "a file is at most 16 MiB long");
    over(&format!("output x = \"{}\"", "a".repeat(1 << 20)), "a string is at most 1 MiB long");
    within(&format!("output x = \"{}\"", "a".repeat((1 << 20) - 2)));
    over(&format!("let {} = 1", "a".repeat(129)), "a name has at most 128 characters");
    within(&format!("let {} = 1", "a".repeat(128)));
}

#[test]
fn depth_and_width_are_bounded() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{ a = ", " }"), ("f(", ")"), ("if true then ", " else 1"), ("\"${", "}\"")] {
        let nested = |depth: usize| format!("output x = {}1{}", open.repeat(depth), close.repeat(depth));
        over(&nested(129), "this is nested deeper than 128 levels");
        within(&nested(128));
    }
    over(&format!("output x = 1{}", " + 1".repeat(4096)), "an expression has at most 4096 operands");
    over(&format!("output x = 1{}", " + 1".repeat(401)), "there are more than 400 operators in a row");
    within(&format!("output x = 1{}", " + 1".repeat(400)));
    over(&format!("output x = a{}", ".a".repeat(4097)), "a reference has at most 4096 steps");
    over(&format!("output x = {}true", "!".repeat(4097)), "a value has at most 4096 signs before it");
}

#[test]
fn what_is_computed_is_bounded() {
    let doubled = |rounds: usize, of: &str| {
        (1..=rounds).fold(format!("let a0 = {of}\n"), |text, at| {
            let before = at - 1;
            format!("{text}let a{at} = \"${{a{before}}}${{a{before}}}\"\n")
        }) + &format!("resource local.value r {{ input = length(a{rounds}) }}")
    };
    over(&doubled(25, "input.t\ninput t: string = \"x\""), "the text would be longer than 16 MiB");
    let made = |value: &str| format!("input n: int = 1000000\nresource local.value r {{ input = length({value}) }}");
    over(&made("[for a in count(input.n) for b in count(input.n) : a]"), "a list or map has at most 1,000,000 elements");
    over(&made("count(input.n + 1)"), "a list has at most 1,000,000 elements");
    over(
        &made("[for a in count(input.n) for b in count(input.n) if false : a]"),
        "the program needs more than 100,000,000 steps",
    );
    over(&made("{for a in count(input.n) for b in count(input.n) : [\"${a} ${b}\"] = a}"), "a list or map has at most 1,000,000");
    over(
        &made(
            "replace(replace(replace(join(\"\", [for a in count(60000) : \"aaaa\"]), \"a\", \"aaaaaaaa\"), \"a\", \"aaaaaaaa\"), \"a\", \"aaa\")",
        ),
        "the text would be longer than 16 MiB",
    );
    // Many times what each is allowed is not allowed: the memory of the whole is bounded by its steps.
    let large = "[for a in count(500) : replace(join(\"\", [for b in count(1000) : \"0123456789abcdef\"]), \"0\", join(\"\", [for b in count(500) : \"x${a}\"]))]";
    over(&made(large), "the program needs more than 100,000,000 steps");
}

#[test]
fn constants_are_bounded_together() {
    let many: String =
        (0..60).map(|at| format!("let a{at}: list<int>(1000000..1000000) = [for a in count(1000000) : a + {at}]\n")).collect();
    within(&many.replace("1000000", "10"));
    let before = std::time::Instant::now();
    found(&many);
    assert!(before.elapsed().as_secs() < 60, "checking took {:?}", before.elapsed());
}

#[test]
fn instances_are_bounded() {
    let text = "input n: int = 1000\ncomponent many { resource local.value v for i in count(1001) { input = i } }\n\
                many m for i in count(input.n) {}";
    over(text, "1,000,000 instances and resources");
}

#[test]
fn bombs_of_other_languages_do_not_go_off() {
    let text = |value: &str| format!("input t: string = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"\noutput x: any = {value}");
    let refused = |value: &str, words: &str| {
        let found = found(&text(value));
        assert!(found.iter().any(|it| it.message.contains(words)), "{found:?} for {value}");
    };
    // No backtracking: it only does not match.
    assert!(found(&text("regex(\"^(a+)+$\", input.t) == null")).is_empty());
    refused(
        "regex(\"(((((a{1,100}){1,100}){1,100}){1,100}){1,100})\", input.t)",
        "it is too large once its repetitions are written out",
    );
    let deep = format!("json_decode(\"{}{}${{input.t}}\")", "[".repeat(5000), "]".repeat(5000));
    let found = found(&text(&deep));
    assert_eq!(found.len(), 1, "{found:?}");
}
