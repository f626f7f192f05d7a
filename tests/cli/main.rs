//! The command line, as people meet it. `fixtures/cli/*.md` are transcripts and the manual at once; what needs files that are too
//! large or too strange for a repository is written here.
//!
//! `TRYCMD=overwrite cargo test --test cli` writes down what is printed now; then read the difference.

#![allow(clippy::disallowed_methods, reason = "tests run on the real machine: its clock, its variables, its files")]

mod canary;
mod disk;
mod imports;
mod keys;
mod plans;
mod raw;
mod sarif;
mod watch;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn transcripts_are_what_is_printed() {
    let binary = Path::new(env!("CARGO_BIN_EXE_stackwright"));
    let cases = trycmd::TestCases::new();
    cases.register_bin("stackwright", binary);
    for tool in ["cat", "cp", "sed", "sh"] {
        cases.register_bin(tool, Path::new("/bin").join(tool));
    }
    let bin = binary.parent().expect("a program lies in a directory");
    cases.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    for (name, value) in [("COLUMNS", "100"), ("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8"), ("CI", ""), ("USER", "ada")] {
        cases.env(name, value);
    }
    // What this machine remembers of states is none of a test's business.
    let cache = tempfile::tempdir().expect("a directory can be made");
    cases.env("STACKWRIGHT_CACHE_DIR", cache.path().display().to_string());
    cases.case("fixtures/cli/*.md");
}

/// A stack in a directory of its own.
struct Stack {
    dir: tempfile::TempDir,
}

impl Stack {
    fn with(files: &[(&str, &[u8])]) -> Stack {
        let dir = tempfile::tempdir().expect("a directory can be made");
        for (name, bytes) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it lies in the directory")).expect("a directory can be made");
            std::fs::write(path, bytes).expect("a file can be written");
        }
        Stack { dir }
    }

    /// Exit code, and what is said on stderr.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stackwright"));
        let output = command.current_dir(self.dir.path()).args(arguments).env_clear().output().expect("the program runs");
        let code = output.status.code().expect("it ends by itself");
        (code, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    #[track_caller]
    fn refuses(&self, exit: i32, words: &[&str]) {
        let begin = Instant::now();
        let (code, said) = self.run(&["check"]);
        assert_eq!(code, exit, "{said}");
        words.iter().for_each(|words| assert!(said.contains(words), "{words:?} is not in {said}"));
        assert!(said.len() < 20_000, "says too much: {} bytes", said.len());
        assert!(begin.elapsed() < Duration::from_secs(20), "takes too long");
    }
}

const STACK: &[u8] = b"stack odd { language = 1 }\nenvironment local { on = local }\n";

#[test]
fn the_examples_of_the_guide_to_tests_pass() {
    let guide = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/testing.md")).expect("it can be read");
    let around = b"stack guide { language = 1 }\nprovider fly { org = \"acme\", region = \"cdg\" }\n\
        environment local { on = local }\nenvironment production { on = fly, protect = true }\n";
    let examples: Vec<&str> = guide.split("```stack\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 4, "{} examples", examples.len());
    let platform = b"stack platform { language = 1 }\nenvironment production { on = local }\noutput url: string = \"x\"\n";
    for example in examples {
        let files: [(&str, &[u8]); 3] =
            [("guide/main.stack", around), ("guide/example.stack", example.as_bytes()), ("platform/main.stack", platform)];
        let stack = Stack::with(&files);
        // Imports reach as far as the repository.
        std::fs::create_dir(stack.dir.path().join(".git")).expect("a directory can be made");
        let mut command = Command::new(env!("CARGO_BIN_EXE_stackwright"));
        let output =
            command.current_dir(stack.dir.path().join("guide")).arg("test").env_clear().output().expect("the program runs");
        let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
        assert!(output.status.success() && said.contains(" passed in"), "{example}\n{said}");
    }
}

/// Directories below `dir` that hold `.stack` files.
fn stacks(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).expect("it can be read").flatten().map(|it| it.path());
    let mut found = Vec::new();
    for path in entries.filter(|it| it.file_name().is_some_and(|name| name != ".stackwright" && name != "target")) {
        if path.is_dir() {
            found.extend(stacks(&path));
        } else if path.extension().is_some_and(|it| it == "stack") {
            found.push(dir.to_owned());
        }
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn every_example_checks_and_passes_its_tests() {
    let examples = stacks(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"));
    assert!(examples.len() >= 8, "{examples:?}");
    for example in examples {
        for (arguments, words) in [(&["check"][..], "ok  "), (&["fmt", "--check"], "in form"), (&["test"], " passed in")] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_stackwright"));
            let output = command.current_dir(&example).args(arguments).env_clear().output().expect("the program runs");
            let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
            assert!(output.status.success() && said.contains(words), "{} {arguments:?}\n{said}", example.display());
        }
    }
}

#[test]
fn a_file_of_20_mib_is_refused_without_being_read() {
    let comment = vec![b'#'; 20 << 20];
    let stack = Stack::with(&[("main.stack", STACK), ("large.stack", &comment)]);
    stack.refuses(3, &["SW0102", "`large.stack` has 20 MiB; a file may have 16 MiB"]);
    let (code, said) = stack.run(&["fmt", "large.stack"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("SW0102"), "{said}");
}

#[test]
fn a_file_that_is_not_utf_8_is_refused_with_its_line() {
    let stack = Stack::with(&[("main.stack", STACK), ("old.stack", b"# fine\n# caf\xe9\n")]);
    stack.refuses(1, &["SW0103", "`old.stack` is not UTF-8: byte 0xe9 in line 2"]);
}

#[test]
fn five_hundred_brackets_are_refused() {
    for (open, close) in [("[", "]"), ("(", ")"), ("{ a = ", "}"), ("\"${", "}\"")] {
        let text = format!("let deep = {}1{}\n", open.repeat(500), close.repeat(500));
        let stack = Stack::with(&[("main.stack", STACK), ("deep.stack", text.as_bytes())]);
        stack.refuses(3, &["SW0102"]);
    }
}

#[test]
fn a_file_that_leads_nowhere_and_one_that_leads_out_are_refused() {
    let stack = Stack::with(&[("main.stack", STACK)]);
    std::os::unix::fs::symlink("gone", stack.dir.path().join("lost.stack")).expect("a link can be made");
    stack.refuses(1, &["SW0804", "`lost.stack` cannot be read: no such file or directory"]);
    let stack = Stack::with(&[("main.stack", STACK)]);
    std::os::unix::fs::symlink("/etc/hostname", stack.dir.path().join("out.stack")).expect("a link can be made");
    stack.refuses(1, &["SW0804", "`out.stack` is a link to a file outside of its directory"]);
}

#[test]
fn thousands_of_mistakes_are_said_in_bounded_time_and_space() {
    let text: String = (0..5_000).map(|n| format!("let a{n} = missing{n}\n")).collect();
    let stack = Stack::with(&[("main.stack", STACK), ("many.stack", text.as_bytes())]);
    let begin = Instant::now();
    let (code, said) = stack.run(&["check"]);
    assert_eq!(code, 3);
    assert!(said.contains("5000 errors"), "{}", &said[said.len().saturating_sub(300)..]);
    assert!(begin.elapsed() < Duration::from_secs(30), "takes too long");
}
