//! What `plan` says after a `kill -9`: it looks what became of the calls, writes nothing, and is the plan that is applied then.

use std::time::Duration;

use crate::scene::{Scene, said, until};

/// Machines are made, and answered too late; volumes are not made, and nobody can ask for them.
const FAULTS: &str = r#"{ "faults": [
    { "method": "POST", "path": "*/machines", "do": { "latency": { "ms": 600000 } } },
    { "method": "GET", "path": "*/volumes", "do": { "latency": { "ms": 600000 } } },
    { "method": "POST", "path": "*/volumes", "do": { "error_before": { "status": 503 } } }
] }"#;

const PROGRAM: &str = r#"
stack shop { language = 1 }
provider fly { org = "acme", region = "cdg" }
environment production { on = fly }

resource fly.app main { name = "life-main" }

resource fly.machine web {
  app   = fly.app.main.name
  image = "registry.example.com/web:v1"
}

resource fly.volume data {
  app  = fly.app.main.name
  name = "data"
  size = 1GiB
}

resource fly.machine worker {
  app   = fly.app.main.name
  image = "registry.example.com/worker:${fly.machine.web.id}"
}
"#;

const MACHINES: &str = "/fly/v1/apps/life-main/machines";

/// A scene whose apply was killed: the machine was made, the volume was not.
fn killed(name: &str) -> Scene {
    let mut scene = Scene::new(name, PROGRAM, Some(FAULTS));
    let mut child = scene.begin(&["apply", "--yes"]);
    let made = || scene.live().contains_key("fly.machine") && scene.locks().open.len() == 2;
    assert!(until(Duration::from_secs(60), made), "{:?}", scene.live());
    child.kill().expect("the child is ours");
    child.wait().expect("the child is ours");
    // The clouds are well from now on.
    scene.restart(None);
    scene
}

fn foreseen(scene: &Scene) -> Vec<(String, String)> {
    let shown = scene.output(&["plan", "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap_or_else(|_| panic!("{}", said(&shown)));
    let text = |it: &serde_json::Value, name: &str| it[name].as_str().unwrap_or_default().to_owned();
    document["foreseen"].as_array().expect("a list").iter().map(|it| (text(it, "address"), text(it, "became"))).collect()
}

#[test]
fn a_plan_after_a_kill_says_what_there_is_and_is_the_one_that_is_applied() {
    let scene = killed("foreseen");
    let before = (scene.locks().open, scene.run(&["verify"]).expect("the log verifies"));
    let shown = scene.run(&["plan", "--out", &scene.path("reviewed.plan")]).expect("a plan is made");
    let wanted = ["create fly.machine.web: it was created; apply records that", "create fly.volume.data: it is not seen"];
    wanted.iter().for_each(|words| assert!(shown.contains(words), "{words}\n{shown}"));
    assert!(shown.contains("+ fly.machine.worker  create") && !shown.contains("+ fly.machine.web"), "{shown}");
    assert!(shown.contains("\n  create 2   same 2\n"), "{shown}");
    let expected = [("fly.machine.web", "done"), ("fly.volume.data", "not_done")];
    assert_eq!(foreseen(&scene), expected.map(|(address, became)| (address.to_owned(), became.to_owned())));
    assert_eq!((scene.locks().open, scene.run(&["verify"]).expect("the log verifies")), before, "a plan writes nothing");

    let applied = scene.run(&["apply", &scene.path("reviewed.plan")]).expect("what was reviewed is what is made");
    assert!(applied.contains("Done") && applied.contains("2 created"), "{applied}");
    scene.nothing_to_change(&[], "a reviewed plan");
    assert_eq!(scene.made_twice(), Vec::<String>::new());
    let machines: serde_json::Value = serde_json::from_str(&scene.ask("GET", MACHINES)).expect("a list");
    assert_eq!(machines.as_array().map(Vec::len), Some(2));
}

#[test]
fn a_reviewed_plan_whose_foresight_does_not_come_about_is_refused() {
    let scene = killed("foreseen-otherwise");
    scene.run(&["plan", "--out", &scene.path("reviewed.plan")]).expect("a plan is made");
    // Somebody destroys by hand what the plan takes to be there.
    let machines: serde_json::Value = serde_json::from_str(&scene.ask("GET", MACHINES)).expect("a list");
    let id = machines[0]["id"].as_str().expect("the machine was made");
    scene.ask("DELETE", &format!("{MACHINES}/{id}?force=true"));
    let refused = scene.output(&["apply", &scene.path("reviewed.plan")]);
    let words = said(&refused);
    assert_eq!(refused.status.code(), Some(5), "{words}");
    assert!(words.contains("SW0601") && words.contains("was taken to have happened when this was planned"), "{words}");
    assert!(words.contains("nothing is recorded there"), "{words}");
    scene.run(&["apply", "--yes"]).expect("a new plan is made and applied");
    scene.nothing_to_change(&[], "a refused plan");
}

#[test]
fn a_run_that_lives_is_not_looked_into() {
    let scene = Scene::new("foreseen-lives", PROGRAM, Some(FAULTS));
    let mut child = scene.begin(&["apply", "--yes"]);
    assert!(until(Duration::from_secs(60), || scene.locks().open.len() == 2), "it never calls");
    let shown = scene.run(&["plan", "--offline"]).expect("a plan is made");
    assert!(shown.contains("alive") && shown.contains("planned from what is recorded by now"), "{shown}");
    assert!(!shown.contains("an interrupted run"), "{shown}");
    child.kill().expect("the child is ours");
    child.wait().expect("the child is ours");
    let shown = scene.run(&["plan", "--offline"]).expect("a plan is made");
    assert!(shown.contains("create fly.machine.web: not looked for; apply does that first"), "{shown}");
}
