//! Which room may use which. The compiler does not see these arrows inside one package, so this test does: it reads every path
//! that begins with `crate::` and names the line and the arrow that the table lacks. A new arrow is a design decision.

use std::path::{Path, PathBuf};

/// A room, or a part of one that others may use where they may not use the room; and what it may use besides itself and `model`.
/// Longer names come before the rooms that they lie in.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("world", &[]),
    ("graph", &[]),
    ("eval", &[]),
    ("lang", &["eval"]),
    ("expand", &["eval", "lang"]),
    ("plan", &["graph", "eval"]),
    ("state::contract", &["world"]),
    ("state", &["world", "state::contract"]),
    ("providers::contract", &["world"]),
    ("providers", &["world", "providers::contract"]),
    // The journal is the one place that writes to the log during a run, and speaks to state through its runs.
    ("apply", &["world", "plan", "eval", "graph", "state::contract", "state", "providers::contract"]),
    // Verification opens a state that may be too damaged for anybody else: it needs what a state is opened with.
    ("audit", &["world", "state::contract", "state"]),
    (
        "ops",
        &[
            "world",
            "graph",
            "eval",
            "lang",
            "expand",
            "plan",
            "state",
            "state::contract",
            "providers",
            "providers::contract",
            "apply",
            "audit",
        ],
    ),
    ("cli", &["ops", "lang", "world"]),
];

#[test]
fn every_room_uses_only_what_it_may() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let inside = file.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("a file of src").to_path_buf();
        let Some(room) = room_of(&module_path(&inside)) else { continue };
        let text = std::fs::read_to_string(&file).expect("a source file is UTF-8");
        for (number, used) in uses(&text) {
            seen += 1;
            let Some(target) = room_of(&used) else { continue };
            let allowed = MAY_USE.iter().find(|(name, _)| *name == room).expect("the room is in the table").1;
            if target != room && target != "model" && !allowed.contains(&target) {
                wrong.push(format!("src/{}:{number}: {room} may not use {target} (crate::{used})", inside.display()));
            }
        }
    }
    assert!(seen > 100, "the test has read almost nothing: {seen} paths");
    assert!(wrong.is_empty(), "arrows that the table lacks:\n{}", wrong.join("\n"));
}

/// The rooms that a library belongs to: its types cross no other.
const BELONGS: &[(&str, &[&str])] = &[
    ("pest", &["lang::syntax"]),
    ("petgraph", &["graph"]),
    ("similar", &["cli::diff"]),
    ("miette", &["cli::report"]),
    ("clap", &["cli"]),
    ("reqwest", &["providers::http"]),
    ("aws_lc_rs", &["providers::engine", "state::sign"]),
    ("ssh_key", &["state::sign"]),
    ("sled", &["state"]),
    ("tokio_postgres", &["state::store::postgres"]),
    ("deadpool_postgres", &["state::store::postgres"]),
    ("rustls", &["state::store::postgres"]),
    ("object_store", &["state::store::s3"]),
    ("hyper", &["providers::sim", "providers::http"]),
];

#[test]
fn every_library_stays_behind_its_room() {
    let mut wrong = Vec::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&src) {
        let inside = file.strip_prefix(&src).expect("a file of src").to_path_buf();
        let module = module_path(&inside);
        let text = std::fs::read_to_string(&file).expect("a source file is UTF-8");
        for (number, line) in code_lines(&text) {
            for (library, rooms) in BELONGS {
                let mentions = line.contains(&format!("{library}::"))
                    && !line.contains(&format!("_{library}::"))
                    && !line.contains(&format!("::{library}::"))
                    && !line.contains(&format!("{library}::*"));
                let at_home = rooms.iter().any(|room| module == *room || module.starts_with(&format!("{room}::")));
                if mentions && !at_home {
                    wrong.push(format!("src/{}:{number}: {library} belongs to {}", inside.display(), rooms.join(" and ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "libraries outside of their rooms:\n{}", wrong.join("\n"));
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).expect("the source can be read") {
        let path = entry.expect("the source can be read").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|it| it == "rs") && path.file_name().is_some_and(|it| it != "tests.rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// `state/log/wire.rs` is `state::log::wire`; `state/mod.rs` is `state`.
fn module_path(inside: &Path) -> String {
    let text = inside.with_extension("").to_string_lossy().replace('/', "::");
    text.strip_suffix("::mod").unwrap_or(&text).to_owned()
}

fn room_of(path: &str) -> Option<&'static str> {
    let rooms = MAY_USE.iter().map(|(name, _)| *name);
    let mut fitting: Vec<&str> = rooms.filter(|name| path == *name || path.starts_with(&format!("{name}::"))).collect();
    fitting.sort_by_key(|name| std::cmp::Reverse(name.len()));
    fitting.first().copied()
}

/// Lines of code with their numbers: no comments, and nothing from the tests at the end of a file.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate();
    lines.map(|(at, line)| (at + 1, line.split("//").next().unwrap_or("")))
}

/// Paths after `crate::`, groups in braces opened one level.
fn uses(text: &str) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    for (number, line) in code_lines(text) {
        for (at, _) in line.match_indices("crate::") {
            if line[..at].ends_with("pub(in ") {
                continue;
            }
            let rest = &line[at + "crate::".len()..];
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
            let path = rest[..end].trim_end_matches(':');
            match rest[end..].strip_prefix('{').filter(|_| path.is_empty() || rest[..end].ends_with("::")) {
                None => all.push((number, path.to_owned())),
                Some(group) => {
                    let group = group.split('}').next().unwrap_or("");
                    let names = group.split(',').map(str::trim).filter(|name| !name.is_empty());
                    all.extend(
                        names.map(|name| (number, if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") })),
                    );
                }
            }
        }
    }
    all
}

#[test]
fn the_reader_of_this_test_sees_what_it_should() {
    let text = "use crate::model::{Address, Code};\nlet x = crate::state::contract::Head; // crate::cli\nuse crate::ops;\n#[cfg(test)]\nuse crate::cli;\n";
    let found: Vec<String> = uses(text).into_iter().map(|(number, path)| format!("{number} {path}")).collect();
    assert_eq!(found, ["1 model::Address", "1 model::Code", "2 state::contract::Head", "3 ops"]);
    assert_eq!(room_of("state::contract::Head"), Some("state::contract"));
    assert_eq!(room_of("state::log"), Some("state"));
    assert_eq!(room_of("stately"), None);
}
