//! The reference of kinds is what the declarations say.

use std::path::Path;

use stackwright::cli::manual;
use stackwright::ops::docs::{self, Topic};

/// `ACCEPT=1` writes it anew.
#[test]
fn the_reference_of_kinds_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kinds.md");
    let now = manual::kinds(&docs::everywhere());
    #[allow(clippy::disallowed_methods, reason = "a test program has no other way to be told")]
    if std::env::var_os("ACCEPT").is_some() {
        std::fs::write(&path, &now).expect("the reference can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == now, "docs/kinds.md is not what `stdlib/` says: ACCEPT=1 cargo test --test lang kinds");
}

#[test]
fn what_the_standard_library_has_is_documented() {
    let pages = docs::everywhere();
    let bare: Vec<String> = pages
        .iter()
        .filter(|page| matches!(page.what, Topic::Kind | Topic::Resource | Topic::Data | Topic::Provider | Topic::Function))
        .filter(|page| page.doc.is_empty())
        .map(|page| page.name.clone())
        .collect();
    assert!(bare.is_empty(), "without a sentence: {bare:?}");
    let service = pages.iter().find(|page| page.name == "service").expect("there is a service");
    let memory = service.sections[0].rows.iter().find(|row| row.name == "scale").expect("it has a scale");
    assert_eq!((&*memory.ty, memory.default.as_deref()), ("range<int>", Some("if env.protect then 2..2 else 1..1")));
}
