//! Hostile text: every input that once did harm, and those that the engine in `benches/fuzz` begins with.

#![allow(clippy::disallowed_methods, reason = "tests run on the real machine: its clock, its variables, its files")]

mod targets;

use std::path::Path;

#[test]
fn every_known_input_gets_its_answer() {
    for target in targets::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fuzz").join(target.name);
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .expect("each target has a corpus")
            .map(|entry| entry.expect("a corpus can be listed").path())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{} has a corpus", target.name);
        for file in files {
            println!("{}", file.display());
            (target.run)(&std::fs::read(&file).expect("an input can be read"));
        }
    }
}
