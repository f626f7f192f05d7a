use crate::lang::syntax;
use crate::model::{Origin, Sources};

#[test]
fn the_library_parses() {
    let mut sources = Sources::default();
    for id in crate::lang::stdlib::add(&mut sources) {
        let source = sources.get(id).expect("a file of the library");
        let parsed = syntax::parse(id, &source.text);
        let said: Vec<String> = parsed
            .diagnostics
            .iter()
            .map(|it| {
                let place = it.span().and_then(|span| sources.place(span)).map(|place| place.to_string());
                format!("{}: {} {:?}", place.unwrap_or_default(), it.message, it.help)
            })
            .collect();
        assert!(said.is_empty(), "{}", said.join("\n"));
    }
    let _ = Origin::Stdlib;
}
