//! Hostile text: every input that once did harm, and those that the engine in `benches/fuzz` begins with.

#![allow(clippy::disallowed_methods, reason = "tests run on the real machine: its clock, its variables, its files")]

mod targets;

use std::path::Path;

/// Writes what the corpora of plan files and of clouds begin with: `cargo test --test fuzz -- --ignored`.
#[test]
#[ignore = "writes into fixtures/fuzz"]
fn corpora_are_written() {
    use std::sync::Arc;

    use stackwright::ops::{given::Given, plan::from_records, settings::Clouds, settings::Settings, workspace::Workspace};
    use stackwright::providers::registry;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = |name: &str| {
        let folder = root.join("fixtures/fuzz").join(name);
        std::fs::create_dir_all(&folder).expect("a directory can be made");
        folder
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for (name, environment) in [("hello", "local"), ("shop", "staging"), ("shop", "local")] {
        let settings = Settings {
            dir: root.join("examples").join(name),
            clouds: Clouds::Simulated,
            world: stackwright::world::World::real(),
            variable: Arc::new(|_| None),
            variables: Arc::new(|_| Vec::new()),
            ask: None,
            tell: Arc::new(|_| {}),
            parallel: None,
        };
        if !settings.dir.is_dir() {
            continue;
        }
        let open = runtime.block_on(Workspace::open(&settings, &Given::default(), Some(environment)));
        let Ok(workspace) = open else { continue };
        let Ok(plan) = from_records(&workspace) else { continue };
        let bytes = stackwright::plan::file::encode(&plan, workspace.sources()).expect("a plan has its bytes");
        std::fs::write(folder("plan-file").join(format!("{name}-{environment}")), bytes).expect("an input can be written");
    }
    for provider in registry::all() {
        let Some(cloud) = provider.cloud() else { continue };
        let state = serde_json::to_vec(&cloud.save()).expect("a state is JSON");
        let name = provider.schema().name.to_string();
        std::fs::write(folder("cloud-state").join(name), state).expect("an input can be written");
    }
}

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
