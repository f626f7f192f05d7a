use super::tree::*;
use super::*;

const SHOP: &str = include_str!("../../../fixtures/lang/shop.stack");

fn parsed(text: &str) -> Parsed {
    parse(SourceId(0), text)
}

/// The tree without its places.
pub fn shape(text: &str) -> String {
    let parsed = parsed(text);
    let found: Vec<&str> = parsed.diagnostics.iter().filter(|it| it.is_error()).map(|it| it.message.as_str()).collect();
    assert!(found.is_empty(), "{found:?} in\n{text}");
    without_places(&format!("{:?}", parsed.file))
}

fn without_places(debug: &str) -> String {
    regex::Regex::new(r"0:\d+\.\.\d+").expect("a regex").replace_all(debug, "_").into_owned()
}

#[test]
fn the_example_of_the_language_parses() {
    let parsed = parsed(SHOP);
    assert_eq!(parsed.diagnostics, []);
    assert_eq!(parsed.file.items.len(), 20);
    let stack = &parsed.file.items[0];
    assert_eq!(stack.doc.as_deref(), Some("The shop: one API, its data, and who is woken up when it fails."));
    let ItemKind::Instance(worker) = &parsed.file.items[14].kind else { panic!("{:?}", parsed.file.items[14]) };
    assert_eq!(&**worker.name, "worker");
    assert_eq!(&*worker.head.each.as_ref().unwrap().value.node, "queue");
}
