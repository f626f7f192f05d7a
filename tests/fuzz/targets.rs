//! What hostile text is given to: each target takes any bytes and ends soon, with an answer or with errors. It panics where a
//! promise is broken. The same functions are driven by `cargo test` over `fixtures/fuzz/TARGET/`, and by the mutating engine in
//! `benches/fuzz`.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::sync::{Arc, OnceLock};

use rustc_hash::FxHasher;
use stackwright::eval::Nothing;
use stackwright::expand::{Expansion, Known, Request, expand};
use stackwright::lang::syntax::tree;
use stackwright::lang::{self, CheckInput, Checked, syntax};
use stackwright::model::{Diagnostic, Origin, Schemas, Sources};
use stackwright::providers::registry;
use stackwright::state::decoders;

/// One function that takes hostile bytes. What it gives tells inputs apart that are treated differently: of the inputs that were
/// tried, those with a number of their own are worth changing further.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]) -> u64,
}

pub const ALL: [Target; 12] = [
    Target { name: "parser", run: parser },
    Target { name: "formatter", run: formatter },
    Target { name: "checker", run: checker },
    Target { name: "evaluator", run: evaluator },
    Target { name: "log-bodies", run: decoders::bodies },
    Target { name: "log-segment", run: decoders::segment },
    Target { name: "log-head", run: decoders::head },
    Target { name: "log-snapshot", run: decoders::snapshot },
    Target { name: "plan-file", run: plan_file },
    Target { name: "key-file", run: decoders::key_file },
    Target { name: "signing-key", run: decoders::signing },
    Target { name: "cloud-state", run: cloud_state },
];

/// What stands before the text that is checked and evaluated, so that an input can be one line.
const HEAD: &str = "stack fuzz { language = 1 }\nenvironment local { on = local }\n";

/// Scanner and grammar: spans lie within the text, items follow one another.
fn parser(data: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(data);
    let mut sources = Sources::default();
    let source = sources.add("fuzz.stack", &*text, Origin::File);
    let parsed = syntax::parse(source, &text);
    hold_places(&sources, &parsed.diagnostics);
    let (mut end, mut parts) = (0, Vec::new());
    for item in &parsed.file.items {
        assert!(item.span.start >= end && item.span.end >= item.span.start, "items follow one another");
        assert!(text.is_char_boundary(item.span.start as usize) && text.is_char_boundary(item.span.end as usize));
        end = item.span.end;
        let mut part = Kind::default();
        part.add(&std::mem::discriminant(&item.kind));
        if let tree::ItemKind::Let(it) = &item.kind {
            part.add(&std::mem::discriminant(&it.value.kind));
        }
        parts.push(part.finish());
    }
    let mut kind = Kind::default();
    kind.add(&parts.first());
    kind.diagnostics(&parsed.diagnostics);
    kind.finish()
}

/// Formatting what was formatted changes nothing, and what has errors stays as it is.
fn formatter(data: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(data);
    let mut sources = Sources::default();
    let source = sources.add("fuzz.stack", &*text, Origin::File);
    let mut kind = Kind::default();
    match lang::format::format(source, &text) {
        Ok(once) => {
            let twice = lang::format::format(source, &once).unwrap_or_else(|found| {
                panic!("what was formatted does not parse any more: {}\n{once}", found[0].message);
            });
            assert_eq!(once, twice, "formatting twice is formatting once");
            kind.add(&(once.lines().count() as u64).min(8));
            kind.add(&(once == text));
        }
        Err(diagnostics) => {
            hold_places(&sources, &diagnostics);
            kind.diagnostics(&diagnostics);
        }
    }
    kind.finish()
}

/// Names, types, stages, secrets: every message points into the text, and a second check says the same.
fn checker(data: &[u8]) -> u64 {
    let checked = check(data);
    hold_places(&checked.sources, &checked.diagnostics);
    assert_eq!(checked.program.is_none(), checked.has_errors(), "there is a program where nothing is wrong");
    let mut kind = Kind::default();
    kind.diagnostics(&checked.diagnostics);
    // Not each time: what is tried is mostly whether there is an answer at all.
    if data.len().is_multiple_of(16) {
        assert_eq!(checked.diagnostics, check(data).diagnostics, "the same text has the same errors");
    }
    kind.finish()
}

/// Evaluation, with what is constant folded while checking and the rest while expanding: bounded in steps, memory and depth.
fn evaluator(data: &[u8]) -> u64 {
    let checked = check(data);
    let mut kind = Kind::default();
    kind.diagnostics(&checked.diagnostics);
    let Some(program) = checked.program else { return kind.finish() };
    for environment in program.environments.iter().take(2) {
        let inputs = BTreeMap::new();
        let known = Known { simulated: true, ..Known::default() };
        let request = Request { environment: &environment.name, inputs: &inputs, known, outside: &Nothing };
        match expand(&program, &request) {
            Ok(Expansion::Done(desired)) => kind.add(&(desired.resources.len() as u64).min(4)),
            Ok(Expansion::Asks { questions, .. }) => kind.add(&(questions.len() as u64 + 1000)),
            Err(diagnostics) => {
                hold_places(&checked.sources, &diagnostics);
                kind.diagnostics(&diagnostics);
            }
        }
    }
    kind.finish()
}

/// A plan file as it is inside of its seal: what is read has the effects hash of its effects.
fn plan_file(data: &[u8]) -> u64 {
    let schemas = registry::schemas();
    let digest = |_: &stackwright::model::Value| stackwright::model::Digest::of(b"");
    let mut kind = Kind::default();
    match stackwright::plan::file::decode(data, &schemas, &digest) {
        Ok(file) => kind.add(&(file.plan.changes.len() as u64).min(9)),
        Err(diagnostic) => kind.diagnostics(&[*diagnostic]),
    }
    kind.finish()
}

/// What a simulated cloud kept: what it takes up it can write down again, and take up again.
fn cloud_state(data: &[u8]) -> u64 {
    let Ok(state) = serde_json::from_slice::<serde_json::Value>(data) else { return 0 };
    let mut kind = Kind::default();
    for provider in registry::all() {
        let Some(mut cloud) = provider.cloud() else { continue };
        let taken = cloud.load(state.clone()).is_ok();
        kind.add(&taken);
        if taken {
            let kept = cloud.save();
            let again = cloud.load(kept);
            assert!(again.is_ok(), "what a cloud wrote down it takes up: {again:?}");
        }
    }
    kind.finish()
}

/// Checks a text after the head, without the standard library, whose check is not what is tried here.
fn check(data: &[u8]) -> Checked {
    static SCHEMAS: OnceLock<Arc<Schemas>> = OnceLock::new();
    let schemas = SCHEMAS.get_or_init(|| Arc::new(registry::schemas())).clone();
    let text = format!("{HEAD}{}", String::from_utf8_lossy(data));
    let mut sources = Sources::default();
    let source = sources.add("fuzz.stack", &*text, Origin::File);
    let parsed = syntax::parse(source, &text);
    let files = vec![Arc::new(parsed.file)];
    let (imports, links, stacks) = (Vec::new(), Default::default(), Vec::new());
    let input = CheckInput { files, library: Vec::new(), imports, links, stacks, sources: Arc::new(sources), schemas };
    let mut checked = lang::check(input);
    if !parsed.diagnostics.is_empty() {
        checked.diagnostics.extend(parsed.diagnostics);
        lang::check::in_order(&mut checked.diagnostics);
    }
    if checked.has_errors() {
        checked.program = None;
    }
    checked
}

/// Every place of a message is a place of a text, and none of its sentences holds a control character.
fn hold_places(sources: &Sources, diagnostics: &[Diagnostic]) {
    for it in diagnostics {
        let edits = it.fixes.iter().flat_map(|fix| fix.edits.iter().map(|edit| edit.span));
        for span in it.labels.iter().map(|(span, _)| *span).chain(edits).filter(|span| !span.is_engine()) {
            let source = sources.get(span.source).expect("a span is of a source");
            let text = source.text.get(span.start as usize..span.end as usize);
            assert!(text.is_some(), "{span:?} is no place of `{}`: {}", source.name, it.message);
        }
        assert!(!it.message.is_empty(), "a message says what is wrong: {it:?}");
    }
}

/// What came of an input, as a number.
#[derive(Default)]
struct Kind(FxHasher);

impl Kind {
    fn add(&mut self, it: &impl std::hash::Hash) {
        it.hash(&mut self.0);
    }

    /// Which sentences were said, whatever they quote; each once.
    fn diagnostics(&mut self, diagnostics: &[Diagnostic]) {
        // Sets of many sentences are all different, and say nothing.
        let mut seen: Vec<u64> = diagnostics.iter().take(2).map(|it| sentence(&it.message)).collect();
        seen.sort_unstable();
        seen.dedup();
        seen.iter().for_each(|it| self.0.write_u64(*it));
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

fn sentence(message: &str) -> u64 {
    let mut hasher = FxHasher::default();
    for (at, part) in message.split('`').enumerate() {
        if at % 2 == 0 {
            hasher.write(part.as_bytes());
        }
    }
    hasher.finish()
}
