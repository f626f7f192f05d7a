//! Runs the cases of `fixtures/expand`.

use std::collections::BTreeMap;
use std::path::Path;

use stackwright::expand::Told;
use stackwright::model::{Address, Span, Value};

use crate::listing::{Setting, list};

/// A name, the lines of the program and its setting, and what is expected.
struct Case {
    title: String,
    text: Vec<String>,
    expected: Vec<String>,
}

fn read(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("#--- ") {
            cases.push(Case { title: title.into(), text: Vec::new(), expected: Vec::new() });
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        match line.strip_prefix("#=") {
            Some(expected) => case.expected.push(expected.strip_prefix(' ').unwrap_or(expected).into()),
            None => case.text.push(line.into()),
        }
    }
    cases
}

/// `#@ env = staging`, `#@ input.version = v1`, `#@ secret.key = hush`, `#@ data.ADDRESS = attribute: text`,
/// `#@ name.ADDRESS = attribute: text`, `#@ simulated = true`, `#@ untold = true`, `#@ only = PREFIX`.
fn setting(case: &Case) -> Setting {
    let mut setting = Setting { environment: "local".into(), ..Setting::default() };
    for line in case.text.iter().filter_map(|line| line.strip_prefix("#@ ")) {
        let (key, value) = line.split_once(" = ").expect("a setting is written `#@ key = value`");
        let pair = || {
            let (name, text) = value.split_once(": ").expect("written `attribute: text`");
            (name.into(), text)
        };
        match key.split_once('.').unwrap_or((key, "")) {
            ("env", _) => setting.environment = value.into(),
            ("simulated", _) => setting.simulated = value == "true",
            ("untold", _) => setting.untold = value == "true",
            ("only", _) => setting.only = Some(value.into()),
            ("input", name) => drop(setting.inputs.insert(name.into(), Value::text(value).at(Span::ENGINE))),
            ("secret", name) => drop(setting.secrets.insert(Address::root("secret", name), Value::text(value).secret())),
            ("data", address) => {
                let (name, text) = pair();
                let fields = setting.data.entry(Address::parse(address).expect("an address")).or_default();
                fields.insert(name, Value::text(text));
            }
            ("name", address) => {
                let (name, text) = pair();
                let names: &mut BTreeMap<_, _> = setting.names.entry(Address::parse(address).expect("an address")).or_default();
                names.insert(name, text.into());
            }
            // `#@ elsewhere.shared = dns.main.id: text`, or `= never`.
            ("elsewhere", environment) => {
                let all = setting.elsewhere.get_or_insert_default();
                let told = all.environments.entry(environment.into()).or_insert_with(|| Ok(Told::default()));
                if let (true, Ok(told)) = (value != "never", told) {
                    let (name, text) = pair();
                    told.revision = 1;
                    told.outputs.insert(name, Value::text(text));
                }
            }
            (other, _) => panic!("there is no setting `{other}`"),
        }
    }
    setting
}

fn run(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/expand").join(file);
    let before = std::fs::read_to_string(&path).expect("the fixture can be read");
    let head: String = before.lines().take_while(|line| !line.starts_with("#--- ")).map(|line| format!("{line}\n")).collect();
    let (mut after, mut wrong) = (head, Vec::new());
    for case in read(&before) {
        let end = case.text.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |at| at + 1);
        let text: String = case.text[..end].iter().map(|line| format!("{line}\n")).collect();
        let got = list(&text, &setting(&case));
        after.push_str(&format!("#--- {}\n{text}", case.title));
        got.iter().for_each(|line| after.push_str(&format!("#= {line}\n")));
        after.push('\n');
        if got != case.expected {
            wrong.push(format!(
                "{}\n  expected:\n    {}\n  got:\n    {}",
                case.title,
                case.expected.join("\n    "),
                got.join("\n    ")
            ));
        }
    }
    if std::env::var_os("STACKWRIGHT_ACCEPT").is_some() {
        std::fs::write(&path, after).expect("the fixture can be written");
        return;
    }
    assert!(wrong.is_empty(), "{file}: {}", wrong.join("\n\n"));
}

#[test]
fn language() {
    run("language.stack");
}

#[test]
fn values() {
    run("values.stack");
}

#[test]
fn instances() {
    run("instances.stack");
}

#[test]
fn placement() {
    run("placement.stack");
}

#[test]
fn elsewhere() {
    run("elsewhere.stack");
}

#[test]
fn edges() {
    run("edges.stack");
}

#[test]
fn names() {
    run("names.stack");
}

#[test]
fn untold() {
    run("untold.stack");
}

#[test]
fn secrets() {
    run("secrets.stack");
}

#[test]
fn library() {
    run("library.stack");
}
