//! A process that is stopped in its tracks, as by a machine that sleeps: somebody takes its place, and then it comes back to life.

use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::scene::{Chance, Scene, ends_within, until, variable};

/// Bytes of a call may leave for four seconds, so that nobody waits long for one who may be alive.
const PROGRAM: &str = r#"
stack shop { language = 1 }

provider fly { org = "acme", region = "cdg" }

environment production { on = fly }

resource fly.app main { name = "stopped", lifecycle { timeout = 4s } }

resource fly.machine web for k in [1, 2, 3] {
  app   = fly.app.main.name
  image = "registry.example.com/web:v1"
  lifecycle { timeout = 4s }
}

resource fly.volume data { app = fly.app.main.name, size = 1GiB, lifecycle { timeout = 4s } }
"#;

/// Every creation is answered so much later: it happens when it arrives, or when it is answered.
fn slow(ms: u64) -> String {
    format!(r#"{{ "faults": [ {{ "method": "POST", "do": {{ "latency": {{ "ms": {ms} }} }} }} ] }}"#)
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id() as i32).expect("a child has a pid");
    kill_process(pid, signal).expect("the child is ours");
}

/// What the clouds were asked to change.
fn changes(scene: &Scene) -> usize {
    scene.journal().iter().filter(|entry| entry["method"] != "GET").count()
}

#[test]
fn who_comes_back_to_life_after_its_lock_was_released_changes_nothing() {
    let rounds = variable("KILL_STOPS").unwrap_or(2);
    let mut chance = Chance(variable("KILL_SEED").unwrap_or(1));
    for round in 0..rounds {
        let hint = format!("round {round}");
        let scene = Scene::new("stopped", PROGRAM, Some(&slow(700)));
        let mut command = scene.command(&["apply", "--yes"]);
        let mut stopped = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let calls = || scene.locks().open.iter().any(|call| call["running"] == true);
        assert!(until(Duration::from_secs(30), calls), "it never calls: {hint}");
        let _ = ends_within(&mut stopped, Duration::from_millis(chance.below(1200) as u64));
        send(&stopped, Signal::STOP);

        // Its process is there, so that nobody takes its place by himself.
        let refused = scene.run(&["apply", "--yes"]).expect_err("it holds its lock");
        assert!(refused.contains("SW0602"), "{hint}: {refused}");
        scene.run(&["lock", "release", "--run", "1", "--reason", "it is stopped"]).expect("its lock can be released");
        let said = scene.run(&["apply", "--yes"]).unwrap_or_else(|said| panic!("{hint}\n{said}"));
        let live = scene.live();
        assert_eq!(live.values().sum::<i64>(), 5, "{hint}: {live:?}\n{said}");
        let asked = changes(&scene);

        send(&stopped, Signal::CONT);
        let output = stopped.wait_with_output().expect("the child is ours");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && words.contains("it is stopped"), "{hint}: {words}");
        assert_eq!(changes(&scene), asked, "it still changed something: {hint}\n{words}");
        assert_eq!(scene.made_twice(), Vec::<String>::new(), "{hint}");
        assert_eq!(scene.live(), live, "{hint}");
        scene.nothing_to_change(&[], &hint);
        scene.run(&["verify"]).unwrap_or_else(|said| panic!("the log does not verify after {hint}\n{said}"));
    }
}
