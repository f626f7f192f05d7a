//! Fixtures with many named cases a file, each with what is expected of it as comments under the lines they are about:
//!
//! ```text
//! #--- a size is not a duration
//! service api { health { every = 10MiB } }
//! #                              ^^^^^ SW0210 expected a duration
//! ```
//!
//! The carets stand under the span, to the end of the line if it goes on; where it begins in the first column, the `#` counts as
//! one of them. The text after the code has to be in the message or in the label. A case without such comments has no errors and
//! no warnings. With `ACCEPT=1` the comments are written anew; then read the difference.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use stackwright::model::{Diagnostic, Sources};

pub struct Case {
    pub name: String,
    /// Without the lines that say what is expected.
    pub text: String,
    expected: Vec<Expected>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Expected {
    /// 1-based, of `text`.
    line: u32,
    col: u32,
    length: u32,
    code: String,
    words: String,
}

/// The `.stack` files of a folder under `fixtures/lang`, in order.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lang").join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|it| it.extension().is_some_and(|it| it == "stack"))
        .collect();
    files.sort();
    files
}

/// Runs every case of a file. `diagnose` gets a case's text and gives what is found in it.
pub fn run(file: &Path, diagnose: impl Fn(&str) -> (Sources, Vec<Diagnostic>)) {
    let text = std::fs::read_to_string(file).expect("a fixture can be read");
    let (preamble, cases) = split(&text);
    let mut wrong = String::new();
    let mut accepted = preamble;
    for case in &cases {
        let (sources, diagnostics) = diagnose(&case.text);
        let found: Vec<Found> = diagnostics.iter().map(|it| Found::of(&sources, it)).collect();
        let _ = writeln!(accepted, "#--- {}", case.name);
        accepted.push_str(&annotated(&case.text, &found));
        if !agree(&case.expected, &found) {
            let _ = writeln!(wrong, "---- {}\n{}", case.name, annotated(&case.text, &found));
        }
    }
    #[allow(clippy::disallowed_methods, reason = "a test program has no other way to be told")]
    let accepting = std::env::var_os("ACCEPT").is_some();
    if accepting {
        std::fs::write(file, accepted).expect("a fixture can be written");
        return;
    }
    assert!(wrong.is_empty(), "{}: these cases give something else (ACCEPT=1 writes it down):\n\n{wrong}", file.display());
}

/// What stands around a case that is about one thing.
pub const AROUND: &str = "\nstack case {}\n";

/// A case as a program of its own.
pub fn whole(text: &str) -> String {
    let is_whole = text.contains("stack case") || text.starts_with("stack ") || text.contains("\nstack ");
    match text.find("#>>> ") {
        _ if is_whole => text.to_owned(),
        // The lines of what follows stay what they are.
        Some(at) if at > 0 => format!("{} stack case {{}}\n{}", text[..at].trim_end_matches('\n'), &text[at..]),
        _ => format!("{text}{AROUND}"),
    }
}

/// Names and texts of all cases of a file.
pub fn texts(text: &str) -> Vec<(String, String)> {
    split(text).1.into_iter().map(|case| (case.name, case.text)).collect()
}

struct Found {
    line: u32,
    col: u32,
    length: u32,
    code: String,
    message: String,
    label: String,
}

impl Found {
    fn of(sources: &Sources, diagnostic: &Diagnostic) -> Found {
        let place = diagnostic.span().and_then(|span| sources.place(span));
        let label = diagnostic.labels.first().map_or(String::new(), |(_, text)| text.clone());
        let (line, col, length) = match &place {
            None => (1, 1, 1),
            Some(place) if place.end_line == place.line => (place.line, place.col, (place.end_col - place.col).max(1)),
            Some(place) => {
                let span = diagnostic.span().expect("it has a place");
                let first = sources.text(span).lines().next().unwrap_or("").chars().count();
                (place.line, place.col, (first as u32).max(1))
            }
        };
        Found { line, col, length, code: diagnostic.code.to_string(), message: diagnostic.message.clone(), label }
    }
}

fn agree(expected: &[Expected], found: &[Found]) -> bool {
    let mut left: Vec<&Found> = found.iter().collect();
    for expected in expected {
        let fits = |it: &&Found| {
            (it.line, it.col, it.length) == (expected.line, expected.col, expected.length)
                && it.code == expected.code
                && (it.message.contains(&expected.words) || it.label.contains(&expected.words))
        };
        match left.iter().position(fits) {
            Some(at) => drop(left.remove(at)),
            None => return false,
        }
    }
    left.is_empty()
}

/// The text with what was found under its lines.
fn annotated(text: &str, found: &[Found]) -> String {
    let mut out = String::new();
    for (index, line) in text.lines().enumerate() {
        out.push_str(line);
        out.push('\n');
        for it in found.iter().filter(|it| it.line as usize == index + 1) {
            let carets = "^".repeat(it.length as usize);
            let pointer = match it.col {
                1 => format!("#{}", &carets[1..]),
                col => format!("#{}{carets}", " ".repeat(col as usize - 2)),
            };
            let _ = writeln!(out, "{pointer} {} {}", it.code, it.message);
        }
    }
    out
}

/// What stands before the first case, and the cases.
fn split(text: &str) -> (String, Vec<Case>) {
    let (mut preamble, mut cases) = (String::new(), Vec::<Case>::new());
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("#--- ") {
            cases.push(Case { name: name.trim().into(), text: String::new(), expected: Vec::new() });
        } else if let Some(case) = cases.last_mut() {
            match expectation(line, case.text.lines().count() as u32) {
                Some(expected) => case.expected.push(expected),
                None => case.text.push_str(line),
            }
        } else {
            preamble.push_str(line);
        }
    }
    (preamble, cases)
}

/// `#   ^^^ SW0101 words`
fn expectation(line: &str, above: u32) -> Option<Expected> {
    let rest = line.strip_prefix('#')?;
    let pointer = rest.trim_start_matches(' ');
    let blanks = (rest.len() - pointer.len()) as u32;
    let words = pointer.trim_start_matches('^');
    let carets = (pointer.len() - words.len()) as u32;
    let (code, words) = words.trim().split_once(' ')?;
    let is_code = code.len() == 6 && code.starts_with("SW") && code[2..].bytes().all(|byte| byte.is_ascii_digit());
    let at_line_start = blanks == 0 || carets == 0;
    if !is_code || carets == 0 && blanks > 1 {
        return None;
    }
    let (col, length) = if at_line_start { (1, carets + 1) } else { (blanks + 2, carets) };
    Some(Expected { line: above, col, length, code: code.into(), words: words.trim().into() })
}
