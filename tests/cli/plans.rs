//! A plan file that another version of the program has made, which no transcript can show.

use std::path::Path;

use stackwright::state::State;
use stackwright::world::World;

use crate::Stack;

const PROGRAM: &[u8] =
    b"stack shop { language = 1 }\nenvironment local { on = local }\nresource local.value release { input = 1 }\n";

/// The plan file with its bytes edited, sealed as the program seals it.
fn edited(dir: &Path, name: &str, edit: impl Fn(String) -> String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let state = runtime.block_on(State::open_local(&dir.join(".stackwright/state"), "local", &World::real()));
    let state = state.expect("the state opens");
    let sealed = std::fs::read(dir.join(name)).expect("there is a plan");
    let plain = state.open_blob("plan", &sealed).expect("it is ours");
    let text = edit(String::from_utf8(plain).expect("it is JSON"));
    let sealed = state.seal_blob("plan", text.as_bytes()).expect("there is a key");
    std::fs::write(dir.join(name), sealed).expect("a file can be written");
}

#[test]
fn a_plan_that_another_version_of_a_provider_made_is_refused() {
    let stack = Stack::with(&[("main.stack", PROGRAM)]);
    let (code, said) = stack.run(&["plan", "--out", "first.plan"]);
    assert_eq!(code, 0, "{said}");
    edited(stack.dir.path(), "first.plan", |text| {
        let (before, after) = text.split_once("\"schema_version\":").expect("each change has one");
        let rest = after.trim_start_matches(|it: char| it.is_ascii_digit());
        format!("{before}\"schema_version\":77{rest}")
    });
    let (code, said) = stack.run(&["apply", "first.plan"]);
    assert_eq!(code, 5, "{said}");
    let words = ["SW0601", "this plan was made by another version", "it was made for version 77 of the declarations of `local`"];
    words
        .iter()
        .chain(&["= planned: ", "nothing was changed"])
        .for_each(|words| assert!(said.contains(words), "{words}: {said}"));
    let (_, said) = stack.run(&["status"]);
    assert!(!said.contains("rev 1"), "nothing was applied: {said}");
}
