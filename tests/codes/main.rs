//! The manual of codes keeps its word: every code has a section, each wrong example gives exactly its code, each right one nothing.
//!
//! Examples are fences of `docs/codes.md` whose info string is `stack wrong` or `stack right`, and may name the command that is run
//! instead of `check`. What an example leaves out, a `stack` and an `environment`, stands in a file of its own beside it.

#![allow(clippy::disallowed_methods, reason = "tests run on the real machine: its clock, its variables, its files")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use stackwright::model::Code;

/// Codes whose commands need what a test cannot bring about on every machine (a platform that answers so, another process at the
/// right moment, a missing program, another user): their messages are held by the tests of the rooms that say them.
const NOT_RUN: &[Code] = &[
    Code::Unauthorized,
    Code::ProgramMissing,
    Code::NotFound,
    Code::Locked,
    Code::NewerState,
    Code::OutcomeUnknown,
    Code::StateMoved,
];

/// Codes whose section shows commands instead of programs: the text of an example cannot bring them about.
const SHOWN_BY_COMMANDS: &[Code] = &[
    Code::NotUtf8,      // a Markdown file is UTF-8
    Code::LockMismatch, // needs a repository
];

#[test]
fn every_code_has_a_section_in_the_order_of_numbers() {
    let sections: Vec<String> = sections().into_iter().map(|section| section.code).collect();
    let codes: Vec<String> = Code::ALL.iter().map(Code::to_string).collect();
    assert_eq!(sections, codes);
}

#[test]
fn what_explain_prints_is_the_section() {
    for section in sections() {
        let code = Code::parse(&section.code).expect("a section is named by a code");
        assert_eq!(stackwright::ops::explain::page(code).trim(), section.text, "{code}");
    }
    let (printed, _, exit) = stackwright(Path::new("."), &["explain", "sw0201"]);
    assert!(printed.starts_with("SW0201: A block or object has a field"), "{printed}");
    assert!(printed.contains("contant"), "{printed}");
    assert_eq!(exit, Some(0));
}

#[test]
fn every_section_shows_a_wrong_and_a_right_example() {
    for section in sections() {
        let code = Code::parse(&section.code).expect("a section is named by a code");
        let room = code as u16 / 100;
        let by_programs = matches!(room, 1..=4 | 7) && !SHOWN_BY_COMMANDS.contains(&code);
        let has = |kind: &str| section.examples.iter().any(|it| it.kind == kind);
        match by_programs {
            true => assert!(has("wrong") && has("right"), "{}: needs a wrong and a right program", section.code),
            false => assert!(section.text.contains("```console\n$ "), "{}: needs what is typed and what is said", section.code),
        }
    }
}

#[test]
fn wrong_examples_give_exactly_their_code_and_right_ones_nothing() {
    let mut wrong = String::new();
    for section in sections() {
        for example in &section.examples {
            let found = example.run();
            let expected = if example.kind == "wrong" { vec![section.code.clone()] } else { Vec::new() };
            let codes: Vec<String> = found.iter().map(|(code, _)| code.clone()).collect();
            if codes != expected {
                wrong.push_str(&format!("---- {} {} gives {found:#?}\n{}\n", section.code, example.kind, example.text));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Every other section that shows commands is run from its beginning: what its comment `setup` makes (`$FIXTURES` is where the
/// repository has its own), then each command in the order of the text. What is printed may differ in numbers, names of plans and
/// places on the machine.
#[test]
fn commands_of_the_manual_print_what_it_says() {
    let mut wrong = String::new();
    let mut run = 0;
    for section in sections().iter().filter(|it| it.text.contains("```console")) {
        let code = Code::parse(&section.code).expect("a section is named by a code");
        match (section.setup(), NOT_RUN.contains(&code)) {
            (Some(setup), false) => {
                run += 1;
                if let Err(why) = section.run_commands(&setup) {
                    wrong.push_str(&format!("---- {code}: {why}\n"));
                }
            }
            (None, true) => {}
            (None, false) => wrong.push_str(&format!("---- {code}: its commands need a setup\n")),
            (Some(_), true) => wrong.push_str(&format!("---- {code}: is run, and listed as not run\n")),
        }
    }
    assert!(wrong.is_empty() && run > 10, "{run} sections were run\n{wrong}");
}

impl Section {
    /// The script in the comment that readers do not see.
    fn setup(&self) -> Option<String> {
        let (_, rest) = self.raw.split_once("<!-- setup\n")?;
        Some(rest.split_once("\n-->").expect("the comment ends").0.to_owned())
    }

    fn run_commands(&self, setup: &str) -> Result<(), String> {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let (out, exit) = shell(dir.path(), &format!("set -e\n{setup}"));
        if exit != Some(0) {
            return Err(format!("its setup fails:\n{out}"));
        }
        for block in self.raw.split("```console\n").skip(1) {
            let block = block.split("```").next().unwrap_or("");
            let mut lines = block.lines().peekable();
            while let Some(command) = lines.next().and_then(|line| line.strip_prefix("$ ")) {
                let wanted = lines.next_if(|line| line.starts_with("? ")).map_or(0, |line| line[2..].parse().expect("a number"));
                let (out, exit) = shell(dir.path(), command);
                if exit != Some(wanted) {
                    return Err(format!("`{command}` ends with {exit:?}, not {wanted}:\n{out}"));
                }
                let said: Vec<String> = out.lines().map(masked).collect();
                while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
                    if !said.contains(&masked(line)) {
                        return Err(format!("`{command}` does not say `{line}`:\n{out}"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// A line without what differs from run to run: numbers, hexadecimal names, paths, and the marks under a place.
fn masked(line: &str) -> String {
    let words = line.split(' ').map(|word| match word {
        _ if word.trim_matches(['`', ',', ':']).starts_with('/') => "PATH".to_owned(),
        _ => {
            let plain = word.trim_matches(['`', ',', ':', ';', '…']);
            let hex = plain.len() == 8 && plain.chars().all(|c| c.is_ascii_hexdigit());
            if hex { "ID".to_owned() } else { word.chars().filter(|c| !c.is_ascii_digit()).collect() }
        }
    });
    words.collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// What a script prints to both streams, and its exit code. Nobody is there to be asked.
fn shell(dir: &Path, script: &str) -> (String, Option<i32>) {
    let bin = Path::new(env!("CARGO_BIN_EXE_stackwright")).parent().expect("a program lies in a directory");
    let mut command = Command::new("/bin/sh");
    command.current_dir(dir).args(["-c", &format!("{{ {script}\n}} 2>&1")]).env_clear();
    command.env("FIXTURES", Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"));
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("USER", "ada").env("LANG", "C.UTF-8").env("HOME", dir);
    let output = command.stdin(std::process::Stdio::null()).output().expect("the shell runs");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

struct Section {
    /// With what readers do not see.
    raw: String,
    code: String,
    text: String,
    examples: Vec<Example>,
}

struct Example {
    kind: String,
    command: String,
    text: String,
}

impl Example {
    /// Code and message of everything that the command says about it.
    fn run(&self) -> Vec<(String, String)> {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let mut files = self.text.split("#>>> ");
        let main = files.next().unwrap_or_default();
        std::fs::write(dir.path().join("example.stack"), main).expect("a file can be written");
        for file in files {
            let (name, text) = file.split_once('\n').expect("a file has a name");
            let path = dir.path().join(name.trim());
            std::fs::create_dir_all(path.parent().expect("it lies in a directory")).expect("a directory can be made");
            std::fs::write(path, text).expect("a file can be written");
        }
        let begins = |word: &str| main.lines().any(|line| line.starts_with(word));
        let mut rest = String::new();
        if !begins("stack ") {
            rest.push_str("stack example { language = 1 }\n");
        }
        if !begins("environment ") {
            rest.push_str("environment local { on = local }\n");
        }
        std::fs::write(dir.path().join("rest.stack"), rest).expect("a file can be written");
        let (out, err, exit) = stackwright(dir.path(), &[&self.command, "--json"]);
        let Ok(document) = serde_json::from_str::<serde_json::Value>(&out) else {
            return vec![(format!("exit {exit:?}"), format!("{out}{err}"))];
        };
        // A plan has its warnings under another name.
        let all = ["diagnostics", "errors", "warnings"].map(|name| document.get(name).and_then(|it| it.as_array()));
        let diagnostics: Vec<serde_json::Value> = all.into_iter().flatten().flatten().cloned().collect();
        let text = |it: &serde_json::Value, name: &str| it[name].as_str().unwrap_or_default().to_owned();
        diagnostics.iter().map(|it| (text(it, "code"), text(it, "message"))).collect()
    }
}

fn stackwright(dir: &Path, arguments: &[&str]) -> (String, String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stackwright"));
    command.current_dir(dir).args(arguments).env_clear();
    let output = command.output().expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

fn sections() -> Vec<Section> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/codes.md");
    let manual = std::fs::read_to_string(path).expect("the manual can be read");
    let parts = manual.split("\n## ").skip(1);
    parts
        .map(|part| {
            let (code, text) = part.split_once('\n').expect("a section has a text");
            let shown = stackwright::ops::explain::without_comments(text).trim().to_owned();
            Section { code: code.trim().to_owned(), text: shown, examples: examples(text), raw: text.to_owned() }
        })
        .collect()
}

fn examples(text: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let words: Vec<&str> = info.split_whitespace().collect();
        match words[..] {
            ["stack", kind @ ("wrong" | "right"), ref command @ ..] => examples.push(Example {
                kind: kind.to_owned(),
                command: command.first().unwrap_or(&"check").to_string(),
                text: body.join("\n") + "\n",
            }),
            ["console"] => {}
            _ => panic!("a fence of the manual is `stack wrong`, `stack right` or `console`, and this is `{info}`"),
        }
    }
    examples
}

#[test]
fn codes_that_nothing_says_are_known() {
    let mut said: BTreeMap<String, bool> = Code::ALL.iter().map(|code| (format!("{code:?}"), false)).collect();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the source can be read") {
            let path = entry.expect("the source can be read").path();
            let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if path.is_file() && name.ends_with(".rs") && !matches!(&*name, "tests.rs" | "code.rs" | "exit.rs") {
                let text = std::fs::read_to_string(&path).expect("the source can be read");
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
                let used = code.split("Code::").skip(1).map(|it| it.split(|c: char| !c.is_alphanumeric()).next().unwrap_or(""));
                for name in used {
                    if let Some(said) = said.get_mut(name) {
                        *said = true;
                    }
                }
            }
        }
    }
    let silent: Vec<String> = said.into_iter().filter(|(_, said)| !said).map(|(name, _)| name).collect();
    let known: Vec<String> = SAID_BY_NOTHING.iter().map(|code| format!("{code:?}")).collect();
    assert_eq!(silent, known);
}

/// Codes that are reserved and that no part of the engine says, in the order of their names.
const SAID_BY_NOTHING: &[Code] = &[];
