//! Two people at once, each with a process of their own.

use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::scene::{Scene, ends_within, said, until};

/// Two services that have nothing to do with one another, and an output of each.
const PROGRAM: &str = r#"
stack shop { language = 1 }

provider fly        { org = "acme", region = "cdg" }
provider cloudflare { account = "acme", zone = "shop.example.com" }

environment production { on = fly }

input version: string = "v1"

service api {
  image  = "registry.example.com/api:${input.version}"
  port   = 8080
}

service worker {
  image   = "registry.example.com/worker:${input.version}"
  command = ["work"]
}
"#;

/// Every creation takes so long.
fn slow(ms: u64) -> String {
    format!(r#"{{ "faults": [ {{ "method": "POST", "do": {{ "latency": {{ "ms": {ms} }} }} }} ] }}"#)
}

/// The runs that hold something now.
fn holders(scene: &Scene) -> Vec<Json> {
    scene.locks().runs
}

#[test]
fn applies_of_different_resources_go_side_by_side_and_a_plan_waits_for_neither() {
    let scene = Scene::new("together", PROGRAM, Some(&slow(4000)));
    let mut api = scene.begin(&["apply", "--yes", "--only", "service.api"]);
    assert!(until(Duration::from_secs(20), || holders(&scene).len() == 1), "the first never begins");
    let mut worker = scene.begin(&["apply", "--yes", "--only", "service.worker"]);
    assert!(until(Duration::from_secs(20), || holders(&scene).len() == 2), "the second waits for the first");
    for holder in holders(&scene) {
        assert_eq!((holder["life"].as_str(), holder["command"].as_str()), (Some("alive"), Some("apply")), "{holder}");
        assert!(!holder["addresses"].as_array().expect("a list").is_empty());
    }
    let begun = Instant::now();
    let plan = scene.run(&["plan"]).expect("a plan takes no lock");
    assert!(begun.elapsed() < Duration::from_secs(10) && !plan.contains("without an answer"), "{plan}");
    assert_eq!(holders(&scene).len(), 2, "both went on while it was planned");
    for (child, name) in [(&mut api, "api"), (&mut worker, "worker")] {
        assert!(ends_within(child, Duration::from_secs(60)), "{name} hangs");
        assert!(child.wait().expect("the child is ours").success(), "{name} fails");
    }
    assert_eq!(scene.made_twice(), Vec::<String>::new());
    assert!(holders(&scene).is_empty());
    scene.nothing_to_change(&[], "two applies");
    scene.run(&["verify"]).expect("the log verifies");
    let history = scene.run(&["history"]).expect("it can be read");
    assert_eq!(history.matches("apply").count(), 2, "{history}");
}

#[test]
fn the_second_of_two_on_the_same_resources_hears_who_is_first_or_waits_for_them() {
    let scene = Scene::new("same", PROGRAM, Some(&slow(1200)));
    let mut first = scene.begin(&["apply", "--yes"]);
    assert!(until(Duration::from_secs(20), || holders(&scene).len() == 1), "the first never begins");
    let refused = scene.output(&["apply", "--yes"]);
    let words = said(&refused);
    assert_eq!(refused.status.code(), Some(6), "{words}");
    for part in [
        "SW0602",
        "shop/production is locked by another apply",
        "holder: run 1 by ",
        "alive",
        " of 5 done",
        "--lock-wait 10m",
        "lock release --run 1",
    ] {
        assert!(words.contains(part), "{part:?} is not in {words}");
    }
    let waited = scene.output(&["apply", "--yes", "--lock-wait", "2m"]);
    let words = said(&waited);
    assert!(waited.status.success(), "{words}");
    assert!(words.contains("Waiting up to 2:00 for run 1 by "), "{words}");
    assert!(words.contains("planned anew") && words.contains("Nothing to change"), "{words}");
    assert!(ends_within(&mut first, Duration::from_secs(1)), "it waited for the first to end");
    assert_eq!(scene.made_twice(), Vec::<String>::new());
}

/// The plan of the second was made while the first was alive, and so knows nothing of the calls that the first leaves open.
#[test]
fn who_waits_for_a_run_that_is_killed_settles_its_calls_and_makes_nothing_twice() {
    let scene = Scene::new("died", PROGRAM, Some(&slow(1200)));
    let mut first = scene.begin(&["apply", "--yes"]);
    assert!(until(Duration::from_secs(20), || holders(&scene).len() == 1), "the first never begins");
    let mut command = scene.command(&["apply", "--yes", "--lock-wait", "2m"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut second = command.spawn().expect("it starts");
    let mut errors = std::io::BufReader::new(second.stderr.take().expect("it is piped"));
    let mut words = String::new();
    while !words.contains("Waiting up to") {
        let read = std::io::BufRead::read_line(&mut errors, &mut words).expect("it is UTF-8");
        assert!(read > 0, "it does not wait: {words}");
    }
    first.kill().expect("the child is ours");
    first.wait().expect("the child is ours");
    std::io::Read::read_to_string(&mut errors, &mut words).expect("it is UTF-8");
    let output = second.wait_with_output().expect("the child is ours");
    assert!(output.status.success(), "{words}{}", said(&output));
    let settled = words.contains("recorded now") || words.contains("it had not happened");
    assert!(settled, "{words}");
    assert_eq!(scene.made_twice(), Vec::<String>::new());
    assert_eq!(scene.live().values().sum::<i64>(), 5, "{:?}", scene.live());
    scene.nothing_to_change(&[], "a killed run");
    scene.run(&["verify"]).expect("the log verifies");
}
