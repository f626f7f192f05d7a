//! What the checker says of programs.

use std::sync::Arc;

use stackwright::lang::{self, Checked, Finder, Located, Texts, Wanted};
use stackwright::model::{Code, Diagnostic, Name, Origin, Sources};
use stackwright::providers::registry;

use crate::cases;

fn check(text: &str) -> Checked {
    lang::load(Sources::default(), vec![("case.stack".into(), text.into())], Arc::new(registry::schemas()))
}

/// A program of several directories: lines such as `#>>> modules/net/vpc.stack` begin another file of it.
fn check_directories(text: &str) -> Checked {
    let (mut main, mut files) = (String::new(), Files::default());
    let mut current: Option<(String, String)> = None;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if let Some(name) = line.strip_prefix("#>>> ") {
            files.0.extend(current.replace((name.trim().to_owned(), "\n".repeat(number + 1))));
            continue;
        }
        current.as_mut().map_or(&mut main, |(_, text)| text).push_str(line);
    }
    files.0.extend(current);
    lang::load_with(Sources::default(), vec![("case.stack".into(), main)], Arc::new(registry::schemas()), &mut files)
}

/// Names and texts of files besides the stack's own; each text stands at the lines that it has in the fixture.
#[derive(Default)]
struct Files(Texts);

impl Finder for Files {
    fn own(&self) -> Name {
        "".into()
    }

    fn locate(&mut self, from: &str, path: &str, _: Wanted) -> Result<Located, Box<Diagnostic>> {
        let mut parts: Vec<&str> = from.split('/').filter(|it| !it.is_empty()).collect();
        for part in path.split('/') {
            match part {
                ".." if parts.pop().is_none() => return Err(Box::new(Code::ImportRefused.error("it leaves the repository"))),
                ".." | "." | "" => {}
                part => parts.push(part),
            }
        }
        let home = parts.join("/");
        let is_there = home.is_empty() || self.0.iter().any(|(name, _)| name.starts_with(&format!("{home}/")));
        match is_there {
            true => Ok(Located { home: home.clone().into(), name: home.replace('/', ":").into() }),
            false => Err(Box::new(Code::ImportRefused.error(format!("there is no `{home}`")))),
        }
    }

    fn read(&mut self, home: &str) -> (Texts, Vec<Diagnostic>) {
        let inside = |name: &str| name.strip_prefix(home).and_then(|it| it.strip_prefix('/')).is_some_and(|it| !it.contains('/'));
        (self.0.iter().filter(|(name, _)| inside(name)).cloned().collect(), Vec::new())
    }
}

/// Diagnostics of the case itself; one elsewhere is shown in full, so that no fixture hides it.
fn diagnose(text: &str) -> (Sources, Vec<Diagnostic>) {
    // Most cases are about one thing; the stack around it is the same.
    let whole = cases::whole(text);
    let checked = check_directories(&whole);
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

/// Whole programs, as people write them.
#[test]
fn examples_and_the_program_of_the_manual_have_no_errors() {
    for file in ["fixtures/lang/shop.stack", "examples/shop/shop.stack"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(&path).expect("the program can be read");
        let checked = check(&text);
        let errors: Vec<_> = checked.diagnostics.iter().filter(|it| it.is_error()).collect();
        assert!(errors.is_empty(), "{file}: {errors:#?}");
    }
}

/// All that a diagnostic says, without the source lines.
fn words(text: &str) -> String {
    let checked = check(text);
    let mut out = String::new();
    for diagnostic in &checked.diagnostics {
        let place = diagnostic.span().and_then(|span| checked.sources.place(span)).map_or(String::new(), |it| it.to_string());
        out.push_str(&format!("{} {place}: {}\n", diagnostic.code, diagnostic.message));
        for (span, label) in &diagnostic.labels {
            out.push_str(&format!("  {}: {label}\n", checked.sources.text(*span)));
        }
        for (head, note) in &diagnostic.notes {
            out.push_str(&format!("  = {head}: {note}\n"));
        }
        for help in &diagnostic.help {
            out.push_str(&format!("  = help: {help}\n"));
        }
    }
    out
}

#[test]
fn the_messages_that_matter_most_have_these_words() {
    let stack = "stack s {}\n";
    let table = [
        (
            "cache sessions { memroy = 512MiB }",
            "SW0201 case.stack:2:18: `cache` has no field `memroy`
  memroy: unknown field
  = help: a field with a similar name exists: `memory`
",
        ),
        (
            "service api { image = \"a\", health { path = \"/healthz\", every = 10MiB, grace = 30s } }",
            "SW0210 case.stack:2:64: `health.every` takes a duration, and `10MiB` is a size
  10MiB: expected a duration: 10s, 5m, 1h30m
  = note: declared as `every: duration = 10s` in the standard library, types.stack:16
",
        ),
        (
            "alert slow { severity = \"critical\" }",
            "SW0202 case.stack:2:1: `alert.slow` is missing `when`
  alert slow: needs `when: condition`
  = note: declared as `when: condition` in the standard library, alert.stack:3
  = help: such as `when = service.api.latency_p95 > 200ms`
",
        ),
        (
            "database main {}\noutput x = database.mian.host",
            "SW0301 case.stack:3:12: there is no `database.mian`
  database.mian: not defined in this stack or its imports
  database main: a database with a similar name
  = help: write `database.main`
",
        ),
        (
            "cache sessions { memory = 256MiB }\ncache sessions { memory = 512MiB }",
            "SW0302 case.stack:3:1: `cache.sessions` is defined twice
  cache sessions: second definition
  cache sessions: first definition
  = help: rename the second one, so that the live resource keeps its address
",
        ),
        (
            "database main {}\noutput dsn: string = database.main.url",
            "SW0401 case.stack:3:22: output `dsn` would show a secret
  database.main.url: secret<string>
  = path: database.main.password -> database.main.url -> output.dsn
  = help: declare `output dsn: secret<string>`, or give out `database.main.host`
",
        ),
        (
            "resource local.value a { input = 1 }\nlet ids = [local.value.a.id]\nservice t for x in ids { image = x }",
            "SW0230 case.stack:4:20: `for` needs its keys before the plan, and `local.value.a.id` is known after apply
  ids: known after apply
  = path: local.value.a.id -> ids -> `for`
  = help: use keys that are known before: constants, inputs, names that the program gives; or state a bound: `for x in xs up to 10`
",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(words(&format!("{stack}{text}\n")), expected, "{text}");
    }
}

/// A program in which something stands `depth` deep, in each of the ways in which things can.
fn nested(depth: usize) -> Vec<String> {
    let ways = [
        ("[", "1", "]"),
        ("(", "1", ")"),
        ("{ a = ", "1", " }"),
        ("{ [upper(\"a\")] = ", "1", " }"),
        ("{ a { b = ", "1", " } }"),
        ("max(1, ", "1", ")"),
        ("half(", "1", ")"),
        ("obj({ a = ", "1", " })"),
        ("if true then 1 else (", "1", ")"),
        ("if (", "true", ") == true then true else false"),
        ("match (", "1", ") { 1 | 2 => 3, _ => 4 }"),
        ("match 1 { 1 | 2 => ", "1", ", _ => 4 }"),
        ("[for x in [1] : ", "1", "]"),
        ("{for k, v in { a = 1 } : [k] = ", "1", "}"),
        ("1 + (", "1", ")"),
        ("null ?? (", "1", ")"),
        ("\"${", "1", "}\""),
        ("\"${if", "1", ""),
        ("\"${match", "1", ""),
        ("-(", "1", ")"),
    ];
    let functions = "fn half(a: any): any = a\nfn obj(a: any): any = a\n";
    ways.iter()
        .map(|(open, core, close)| {
            format!("stack s {{}}\n{functions}let x = {}{core}{}\noutput y = x\n", open.repeat(depth), close.repeat(depth))
        })
        .collect()
}

#[test]
fn nesting_neither_overflows_nor_takes_long() {
    for depth in [40, 60, 120] {
        for program in nested(depth) {
            // Errors are fine; only an answer is wanted. `{ a { b` counts twice.
            let _ = check(&program);
        }
    }
}

#[test]
fn long_programs_are_answered() {
    let mut chain = String::from("stack s {}\nlet x0 = 1\n");
    for at in 1..5_000 {
        chain.push_str(&format!("let x{at} = x{} + 1\n", at - 1));
    }
    // From the end: each needs the one that follows in the text.
    let backwards: String = chain.lines().rev().map(|line| format!("{line}\n")).collect();
    for program in [chain, backwards] {
        assert!(check(&program).program.is_some());
    }
    let sum = format!("stack s {{}}\nlet x = {}1\n", "1 + ".repeat(10_000));
    let ifs = format!("stack s {{}}\nlet x = {}1\n", "if env.protect then 1 else ".repeat(100));
    let list = format!("stack s {{}}\nlet x = [{}]\n", "1, ".repeat(20_000));
    let said: Vec<String> = [sum, ifs, list].iter().map(|it| words(it).lines().next().unwrap_or("").to_owned()).collect();
    assert!(said[0].starts_with("SW0102"), "{said:?}");
    assert_eq!(said[2], "");
}
