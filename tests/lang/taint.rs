//! What is computed from a secret is secret, in both worlds: the type that the checker gives and the mark that the value bears.
//!
//! Each expression of the tables is checked and evaluated. Whatever the type calls plain has to be plain when it runs, and the other
//! way round: a type that is more careful than the value would refuse programs, a value that is more careful than its type would
//! be shown as plain by whoever trusts the type.

use std::sync::Arc;

use stackwright::eval::builtins::{self, Outside};
use stackwright::eval::{Budget, Callee, Names, Outcome, evaluate};
use stackwright::lang::program::Program;
use stackwright::lang::{self};
use stackwright::model::expr::{Member, Reference, Scope};
use stackwright::model::value::Reference as InstanceRef;
use stackwright::model::{Address, Name, SourceId, Sources, Span, Type, Value};
use stackwright::providers::registry;

/// What the expressions name: a secret, and inputs whose values are secret in whole or in part.
const GROUND: &str = r#"
stack case { language = 1 }
secret key
input number: secret<int> = 7
input flag: secret<bool> = true
input wait: secret<duration> = 30s
input whole: secret<list<string>> = ["a", "b"]
input object: { open: string, shut: secret<string> } = { open = "o", shut = "s" }
input dict: map<secret<string>> = { a = "x", b = "y" }
input each: list<secret<string>> = ["x", "y"]
input maybe: secret<string>? = "m"
input gone: secret<string>? = null
input range: secret<range<int>> = 1..3
type mode = variant { loud: { level: secret<int> }, quiet: {} }
input mode: mode = loud { level = 3 }
fn twice(a: string): string = "${a}${a}"
fn first(a: list<string>): string = a[0]
fn pick(c: bool, a: string, b: string): string = if c then a else b
"#;

/// Expression, and whether it is, or holds, a secret.
const TABLE: &[(&str, bool)] = &[
    // Templates, conversions, operators.
    (r#""${secret.key.value}""#, true),
    (r#""a${secret.key.value}b${1}""#, true),
    (r#"secret.key.value == "x""#, true),
    (r#"secret.key.value != "x""#, true),
    ("input.number + 1", true),
    ("1 - input.number", true),
    ("input.number * 2", true),
    ("2 / input.number", true),
    ("-input.number", true),
    ("!input.flag", true),
    ("input.number < 3", true),
    ("input.number <= 3", true),
    ("3 > input.number", true),
    ("3 >= input.number", true),
    ("input.wait / 2", true),
    ("input.wait * 2", true),
    ("input.wait + 1s", true),
    ("input.number..9", true),
    ("1..input.number", true),
    ("input.range.min", true),
    ("input.flag && true", true),
    ("true && input.flag", true),
    ("input.flag || false", true),
    ("false || input.flag", true),
    (r#"input.maybe ?? "x""#, true),
    (r#"input.whole + ["c"]"#, true),
    (r#"["c"] + input.whole"#, true),
    (r#"input.each + ["c"]"#, true),
    ("input.each == [\"x\"]", true),
    ("input.object == input.object", true),
    // A branch that a secret decides.
    ("if input.flag then 1 else 2", true),
    ("if input.flag then [1] else [2]", true),
    ("if true then secret.key.value else \"x\"", true),
    ("if secret.key.value == \"x\" then \"a\" else if false then \"b\" else \"c\"", true),
    ("match input.number { 7 => \"a\", _ => \"b\" }", true),
    ("match secret.key.value { \"x\" => 1, _ => 2 }", true),
    ("match input.mode { loud l => l.level, quiet => 0 }", true),
    ("match input.mode { loud => 1, quiet => 0 }", false),
    // Parts of what is secret, and of what holds a secret.
    ("input.whole[0]", true),
    ("input.whole?[9]", true),
    ("input.each[0]", true),
    ("[\"a\", \"b\"][input.number - 7]", true),
    ("{ a = 1, b = 2 }[if input.flag then \"a\" else \"b\"]", true),
    ("{ a = 1, b = 2 }?[secret.key.value]", true),
    ("input.object.shut", true),
    ("input.object.open", false),
    ("input.object", true),
    ("input.dict[\"a\"]", true),
    ("input.dict", true),
    ("{ a = secret.key.value }.a", true),
    ("{ a = secret.key.value, b = 1 }.b", false),
    ("[secret.key.value][0]", true),
    ("{ ...input.dict, c = \"z\" }", true),
    ("{ ...input.object }.open", false),
    ("{ ...input.object }.shut", true),
    // Comprehensions: an element is what it is made from, and what decides which there are taints the whole.
    ("[for x in input.each : x]", true),
    ("[for x in input.each : 1]", false),
    ("[for x in input.whole : 1]", true),
    ("[for x in input.whole : x]", true),
    ("[for x in [1, 2] if input.flag : x]", true),
    ("[for x in [1, 2] : \"${x}${secret.key.value}\"]", true),
    ("[for x in [input.number] if x > 3 : 1]", true),
    ("[for i, x in input.each : i]", false),
    ("[for k, v in input.dict : k]", false),
    ("[for k, v in input.dict : v]", true),
    ("{for k, v in input.dict : [k] = 1}", false),
    ("{for k, v in input.dict : [k] = v}", true),
    ("{for x in [\"a\"] : [x] = secret.key.value}", true),
    ("{for x in [\"a\"] if input.flag : [x] = 1}", true),
    ("[for x in input.whole for y in [1] : y]", true),
    // Functions of the program.
    ("twice(secret.key.value)", true),
    ("twice(\"a\")", false),
    ("first(input.each)", true),
    ("first(input.whole)", true),
    ("pick(input.flag, \"a\", \"b\")", true),
    // The ways to part and to open.
    ("plain(input.dict)", false),
    ("plain({ a = secret.key.value, b = \"c\" })", false),
    ("secrets({ a = secret.key.value, b = \"c\" })", true),
    ("reveal(secret.key.value, \"shown to the visitor\")", false),
    ("reveal(input.object, \"shown to the visitor\").shut", false),
    ("reveal(input.each, \"shown to the visitor\")[0]", false),
    ("reveal(input.maybe, \"shown to the visitor\")", false),
    // Names are plain, and so is whether something is there.
    ("keys(input.dict)", false),
    ("length(input.each)", false),
    ("input.gone == null", false),
    ("input.maybe == null", false),
    ("input.maybe != null", false),
    ("values(input.dict)", true),
];

/// What is not there, or was not looked at, is no secret when it runs.
const CAREFUL: &[&str] = &[
    "input.each?[9]",
    "input.dict?[\"z\"]",
    "pick(true, \"a\", secret.key.value)",
    "true || input.flag",
    "1 == 2 && input.flag",
];

#[test]
fn a_type_says_of_a_secret_what_its_value_says() {
    let told = TABLE.iter().map(|(text, secret)| (text.to_string(), Some(*secret)));
    agree(&told.chain(CAREFUL.iter().map(|text| (text.to_string(), None))).collect::<Vec<_>>());
}

/// Every built-in with every argument secret in turn: the whole of it, and one element of it.
#[test]
fn every_function_of_a_secret_gives_a_secret() {
    let mut rows = Vec::new();
    for def in builtins::ALL {
        // Opening and failing are what these are for; variables of the environment and files have no secret argument.
        if ["reveal", "fail", "plain", "secrets", "file", "template"].contains(&def.name) {
            continue;
        }
        let Some(arguments) = arguments_of(def.name, def.example.0) else { panic!("the example of `{}` calls it", def.name) };
        for at in 0..arguments.len() {
            let with = |argument: String| {
                let mut all = arguments.clone();
                all[at] = argument;
                format!("{}({})", def.name, all.join(", "))
            };
            // A null that a secret decides on is known as one only when it runs.
            let expected = (arguments[at] != "null").then_some(true);
            if expected.is_some() {
                rows.push((with(hushed(&arguments[at])), expected));
            }
            // An element of a list or map: secret where the function looks at elements, or hands them on.
            if let Some(inner) = with_secret_element(&arguments[at]) {
                let expected = match def.name {
                    "length" | "len" | "keys" => Some(false),
                    // The example takes another element than the first.
                    "merge" | "lookup" | "element" | "slice" => None,
                    _ => Some(true),
                };
                rows.push((with(inner), expected));
            }
        }
    }
    assert!(rows.len() > 100, "only {} calls", rows.len());
    agree(&rows);
}

/// The same value, secret since a secret decided that it is this one.
fn hushed(argument: &str) -> String {
    format!("(if secret.key.value == \"hush\" then {argument} else {argument})")
}

fn with_secret_element(argument: &str) -> Option<String> {
    let bracket = argument.chars().next()?;
    let inside = argument.get(1..argument.len() - 1)?;
    let mut items = split(inside);
    let first = items.first_mut().filter(|it| !it.trim().is_empty() && it.trim() != "null")?;
    match bracket {
        '[' => *first = hushed(first.trim()),
        '{' => {
            let (key, value) = first.split_once('=')?;
            *first = format!("{key}= {}", hushed(value.trim()));
        }
        _ => return None,
    }
    let close = if bracket == '[' { "]" } else { " }" };
    Some(format!("{bracket}{}{close}", items.join(",")))
}

/// The arguments of the call in an example.
fn arguments_of(name: &str, example: &str) -> Option<Vec<String>> {
    let begin = example.find(&format!("{name}("))? + name.len() + 1;
    let rest = &example[begin..];
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => return Some(split(&rest[..at]).into_iter().map(|it| it.trim().to_owned()).collect()),
            ')' | ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    None
}

/// At the commas that stand in no bracket and no text.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut depth, mut quoted, mut escaped) = (vec![String::new()], 0, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("there is a part").push(c);
    }
    parts
}

/// Checks and evaluates each expression, and says where type, value and expectation differ. Without an expectation, a value that is
/// secret has a type that says so.
#[track_caller]
fn agree(rows: &[(String, Option<bool>)]) {
    let mut text = GROUND.to_owned();
    for (at, (expression, _)) in rows.iter().enumerate() {
        text.push_str(&format!("output o{at} = {expression}\n"));
    }
    let checked = lang::load(Sources::default(), vec![("case.stack".into(), text)], Arc::new(registry::schemas()));
    let errors = checked.diagnostics.iter().filter(|it| it.is_error());
    let errors: Vec<_> = errors.map(|it| (&it.message, it.span().map(|at| checked.sources.text(at)))).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    // Outputs without a type may hold secrets: their type is what the checker thinks of them.
    let program = checked.program.as_deref().unwrap_or_else(|| panic!("{:#?}", checked.diagnostics));
    let world = Ground { program, budget: Budget::new() };
    let mut wrong = Vec::new();
    for (at, (expression, expected)) in rows.iter().enumerate() {
        let output = program.body.outputs.iter().find(|it| *it.name == *format!("o{at}")).expect("it is declared");
        let by_type = holds_secret(&output.ty);
        match evaluate(&output.value, &world) {
            Ok(value) => {
                let by_value = value.has_secret();
                let right = match expected {
                    Some(expected) => (by_type, by_value) == (*expected, *expected),
                    None => by_type || !by_value,
                };
                if !right {
                    wrong.push(format!(
                        "{expression}: expected {expected:?}, its type `{}` says {by_type}, its value {by_value}",
                        output.ty
                    ));
                }
            }
            Err(error) => wrong.push(format!("{expression}: {}", error.message)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn holds_secret(ty: &Type) -> bool {
    ty.to_string().contains("secret<") || ty.to_string().contains("sensitive ")
}

/// Names of the program, with the values that its defaults give.
struct Ground<'p> {
    program: &'p Program,
    budget: Budget,
}

impl Names for Ground<'_> {
    fn reference(&self, reference: &Reference, span: Span) -> Outcome<Value> {
        match reference {
            Reference::Secret { .. } => Ok(Value::text("correct-horse").at(span).secret()),
            Reference::Input(name) => {
                let input = self.program.inputs.iter().find(|it| it.name == *name).expect("it is declared");
                evaluate(input.default.as_ref().expect("it has a default"), self)
            }
            Reference::Let(Scope::Here | Scope::File | Scope::Library, _) => unreachable!("no `let` is named"),
            other => unreachable!("nothing else is named: {other:?}"),
        }
    }

    fn member(&self, _: &InstanceRef, _: &Member, _: Option<Value>, _: Span) -> Outcome<Value> {
        unreachable!("no instance is named")
    }

    fn attribute(&self, _: &Address, _: &Name, _: &Name, _: Span) -> Outcome<Value> {
        unreachable!("no resource is named")
    }

    fn function(&self, place: u32) -> Option<Callee<'_>> {
        let function = self.program.functions.get(place as usize)?;
        let names = Box::new(Ground { program: self.program, budget: Budget::new() });
        Some(Callee { body: &function.body, names })
    }

    fn outside(&self) -> &dyn Outside {
        &Machine
    }

    fn budget(&self) -> &Budget {
        &self.budget
    }

    fn nearness(&self, _: SourceId) -> u8 {
        1
    }
}

/// A machine with one file and no variables.
struct Machine;

impl Outside for Machine {
    fn file(&self, _: &str, _: SourceId) -> Result<Arc<[u8]>, String> {
        Ok(b"hello ${name}".as_slice().into())
    }

    fn exists(&self, _: &str, _: SourceId) -> Result<bool, String> {
        Ok(true)
    }

    fn list(&self, _: &str, _: SourceId) -> Result<Vec<String>, String> {
        Ok(vec!["greeting.txt".into()])
    }

    fn variable(&self, _: &str, _: SourceId) -> Result<Option<String>, String> {
        Ok(None)
    }
}
