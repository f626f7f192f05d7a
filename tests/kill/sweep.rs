//! `kill -9` at random moments of each command that changes something.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::scene::{Chance, PROGRAM, Scene, variable};

/// What a program is put through. Each command is killed a few times, then run to its end.
const LIFE: [(&str, &[&str]); 5] = [
    ("apply", &["apply", "--yes"]),
    ("change", &["apply", "--yes", "--input", "version=v2"]),
    ("rotate", &["rotate", "session_key", "--yes", "--input", "version=v2"]),
    ("adopt", &["adopt", RECORD, "ID", "--yes", "--input", "version=v2"]),
    ("destroy", &["destroy", "--yes", "--allow-destroy", "database.main", "--input", "version=v2"]),
];

/// It is forgotten, and then adopted.
const RECORD: &str = "domain.shop/cloudflare.record.a";

/// How long each command takes that nobody disturbs, and what is live after it.
type Undisturbed = BTreeMap<&'static str, (Duration, BTreeMap<String, i64>)>;

#[test]
fn a_killed_command_is_carried_on_with_nothing_lost_or_doubled() {
    let rounds = variable("KILL_ROUNDS").unwrap_or(16);
    let first = variable("KILL_SEED").unwrap_or(1);
    let undisturbed = undisturbed();
    let (next, kills) = (AtomicU64::new(first), AtomicU64::new(0));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while kills.load(Ordering::Relaxed) < rounds {
                    life(next.fetch_add(1, Ordering::Relaxed), &undisturbed, &kills);
                }
            });
        }
    });
    let lives = next.load(Ordering::Relaxed) - first;
    println!("{} kills in {lives} lives, {:.0} s", kills.load(Ordering::Relaxed), begun.elapsed().as_secs_f64());
}

fn undisturbed() -> Undisturbed {
    let scene = Scene::new("undisturbed", PROGRAM, None);
    let mut all = Undisturbed::new();
    for (name, command) in LIFE {
        let command = prepared(&scene, command, "undisturbed");
        let begun = Instant::now();
        run(&scene, &command).unwrap_or_else(|said| panic!("{name}, which nobody disturbs, fails\n{said}"));
        all.insert(name, (begun.elapsed(), scene.live()));
    }
    let made: i64 = all["apply"].1.values().sum();
    assert!(all["apply"].1.len() == 7 && made >= 20, "the program makes something of every kind: {:?}", all["apply"].1);
    assert!(all["destroy"].1.is_empty(), "nothing is left: {:?}", all["destroy"].1);
    all
}

fn life(seed: u64, undisturbed: &Undisturbed, kills: &AtomicU64) {
    let hint = format!("again: KILL_ROUNDS=1 KILL_SEED={seed} cargo test --test kill sweep");
    let scene = Scene::new(&format!("seed-{seed}"), PROGRAM, None);
    let mut chance = Chance(seed);
    for (name, command) in LIFE {
        let (length, expected) = &undisturbed[name];
        let command = prepared(&scene, command, &hint);
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        let mut killed = 0;
        for _ in 0..1 + chance.below(4) {
            let moment = length.mul_f64(chance.below(1000) as f64 / 1000.0);
            killed += u64::from(scene.kill(&arguments, moment));
        }
        kills.fetch_add(killed, Ordering::Relaxed);
        let hint = format!("after {killed} kills of {name}; {hint}");
        // A pipeline that was cancelled is run again: whatever was killed, `apply` carries on.
        if name == "rotate" && chance.below(2) == 0 {
            scene.run(LIFE[1].1).unwrap_or_else(|said| panic!("apply fails {hint}\n{said}"));
        } else {
            run(&scene, &command).unwrap_or_else(|said| panic!("the command fails {hint}\n{said}"));
        }
        assert_eq!(&scene.live(), expected, "what exists {hint}");
        assert_eq!(scene.made_twice(), Vec::<String>::new(), "made twice {hint}");
        match name {
            "apply" => scene.nothing_to_change(&[], &hint),
            "destroy" => assert_eq!(scene.run(&["state", "list"]), Ok(String::new()), "{hint}"),
            _ => scene.nothing_to_change(&["--input", "version=v2"], &hint),
        }
    }
    scene.run(&["verify"]).unwrap_or_else(|said| panic!("the log does not verify; {hint}\n{said}"));
}

/// The command as it is typed: what is to be adopted is forgotten first, and has an id.
fn prepared(scene: &Scene, command: &[&str], hint: &str) -> Vec<String> {
    let mut command: Vec<String> = command.iter().map(|it| (*it).to_owned()).collect();
    if command[0] == "adopt" {
        let shown = scene.run(&["show", RECORD, "--json"]).unwrap_or_else(|said| panic!("it is recorded; {hint}\n{said}"));
        command[2] = id(&shown);
        let reason = ["forget", RECORD, "--reason", "to adopt it"];
        scene.run(&reason).unwrap_or_else(|said| panic!("it can be forgotten; {hint}\n{said}"));
    }
    command
}

fn id(shown: &str) -> String {
    let document: serde_json::Value = serde_json::from_str(shown).expect("it is JSON");
    let mut values = vec![&document];
    while let Some(value) = values.pop() {
        match value {
            serde_json::Value::Object(fields) => match fields.get("id").and_then(|id| id.as_str()) {
                Some(id) => return id.to_owned(),
                None => values.extend(fields.values()),
            },
            serde_json::Value::Array(items) => values.extend(items),
            _ => {}
        }
    }
    panic!("no id in {shown}")
}

/// Runs a command to its end. What was adopted before it was killed is not adopted again.
fn run(scene: &Scene, command: &[String]) -> Result<String, String> {
    let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    match scene.run(&arguments) {
        Err(_) if arguments[0] == "adopt" && scene.run(&["state", "list", RECORD]).is_ok_and(|list| list.contains(RECORD)) => {
            scene.run(LIFE[1].1)
        }
        result => result,
    }
}
