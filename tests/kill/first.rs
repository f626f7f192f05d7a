//! The first apply in an empty directory, killed at each of its steps: as soon as a file is there, and so mostly before the next.

use std::path::Path;

use crate::scene::Scene;

const PROGRAM: &str = r#"
stack shop { language = 1 }

provider fly { org = "acme", region = "cdg" }

environment production { on = fly }

secret key { generate = 24B }

resource fly.app main { name = "first" }

resource fly.secret key { app = fly.app.main.name, name = "KEY", value = secret.key.value }

resource fly.machine web { app = fly.app.main.name, image = "registry.example.com/web:v1" }
"#;

/// Parts of what is made below `.stackwright`, in their order; the last ones are names that are there for a moment only.
const STEPS: [&str; 8] = ["/state", "/key", "/production", "/append.lock", "/runs/", "/head", "000000000001.log", ".new"];

fn is_there(dir: &Path, part: &str) -> bool {
    std::fs::read_dir(dir).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        path.to_string_lossy().contains(part) || is_there(&path, part)
    })
}

#[test]
fn a_first_apply_that_is_killed_at_any_step_is_carried_on() {
    let mut killed = 0;
    for step in STEPS {
        let scene = Scene::new("first", PROGRAM, None);
        let own = scene.dir().join(".stackwright");
        let mut child = scene.begin(&["apply", "--yes"]);
        while !is_there(&own, step) && child.try_wait().expect("the child is ours").is_none() {
            std::hint::spin_loop();
        }
        killed += u32::from(child.try_wait().expect("the child is ours").is_none());
        child.kill().expect("the child is ours");
        child.wait().expect("the child is ours");
        let hint = format!("killed once there was {step}");
        for reads in [&["status"][..], &["plan"], &["history"], &["key", "list"], &["lock", "show"]] {
            scene.run(reads).unwrap_or_else(|said| panic!("{reads:?} fails, {hint}\n{said}"));
        }
        scene.run(&["apply", "--yes"]).unwrap_or_else(|said| panic!("the next apply fails, {hint}\n{said}"));
        assert_eq!(scene.live().values().sum::<i64>(), 3, "{hint}: {:?}", scene.live());
        assert_eq!(scene.made_twice(), Vec::<String>::new(), "{hint}");
        scene.nothing_to_change(&[], &hint);
        scene.run(&["verify"]).unwrap_or_else(|said| panic!("the log does not verify, {hint}\n{said}"));
    }
    assert!(killed >= 5, "most of them were killed: {killed}");
}
