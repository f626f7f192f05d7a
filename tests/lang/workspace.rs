//! The workspace of an editor answers as a whole check does.

use std::sync::Arc;

use proptest::prelude::*;

use stackwright::lang::{Checked, Workspace, load};
use stackwright::model::{Schemas, Sources};
use stackwright::providers::registry;

const SHOP: &str = include_str!("../../examples/shop/shop.stack");
const MORE: &str =
    "let a = 1\ncomponent small {\n  input text: string\n  output id: string = input.text\n}\nsmall one { text = \"${a}\" }\n";
const PIECES: [&str; 14] = [
    "}",
    "{",
    "\"",
    "\n",
    "let x = 1\n",
    "a",
    " ",
    "= 1",
    "é",
    "small.one.id",
    "service.api.url",
    "# c\n",
    "service x { port = 8080 }\n",
    "64MiB",
];

fn schemas() -> Arc<Schemas> {
    Arc::new(registry::schemas())
}

/// Everything that people see of diagnostics.
fn seen(checked: &Checked) -> String {
    format!("{:#?} {}", checked.diagnostics, checked.program.is_some())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn after_any_edit_the_answer_is_that_of_a_whole_check(
        edits in prop::collection::vec((any::<bool>(), 0..2500usize, 0..30usize, 0..14usize), 1..8)
    ) {
        let mut workspace = Workspace::new(schemas());
        workspace.set("a.stack", SHOP);
        workspace.set("b.stack", MORE);
        for (first, at, length, piece) in edits {
            let file = if first { "a.stack" } else { "b.stack" };
            let text = workspace.text(file).expect("it was set").to_owned();
            let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let at = at % (text.len() + 1);
            workspace.edit(file, floor(at)..floor(at + length), PIECES[piece]).expect("the place is there");
            let texts = ["a.stack", "b.stack"].map(|it| (it.to_owned(), workspace.text(it).expect("it was set").to_owned()));
            let whole = load(Sources::default(), texts.into(), schemas());
            prop_assert_eq!(seen(workspace.check()), seen(&whole));
        }
    }
}

#[test]
fn a_place_that_is_not_there_changes_nothing() {
    let mut workspace = Workspace::new(schemas());
    workspace.set("a.stack", "é");
    for range in [0..1, 0..9, 5..6] {
        assert!(workspace.edit("a.stack", range, "x").is_err());
    }
    assert!(workspace.edit("b.stack", 0..0, "x").is_err());
    assert_eq!(workspace.text("a.stack"), Some("é"));
}
