//! The signals of a person at the keyboard, of a terminal that is closed, and of a runner that cancels its job.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::scene::{PROGRAM, Scene, ends_within, until};

/// Every creation is answered so much later, but for the few first, so that there is something that is done.
fn slow(ms: u64) -> String {
    format!(r#"{{ "faults": [ {{ "method": "POST", "skip": 3, "do": {{ "latency": {{ "ms": {ms} }} }} }} ] }}"#)
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id() as i32).expect("a child has a pid");
    kill_process(pid, signal).expect("the child is ours");
}

/// An apply that is in the middle of its calls.
fn applying(scene: &Scene, more: &[(&str, &str)]) -> Child {
    let mut command = scene.command(&["apply", "--yes"]);
    command.envs(more.iter().copied());
    let child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("it starts");
    let calls = || scene.locks().open.iter().any(|call| call["running"] == true);
    assert!(until(Duration::from_secs(30), calls), "it never calls");
    child
}

fn exit(child: &mut Child, limit: Duration) -> ExitStatus {
    assert!(ends_within(child, limit), "it goes on for more than {limit:?}");
    child.wait().expect("the child is ours")
}

fn carries_on(scene: &Scene, hint: &str) {
    let calls = scene.journal().len();
    scene.run(&["apply", "--yes"]).unwrap_or_else(|said| panic!("the next apply fails after {hint}\n{said}"));
    assert!(scene.journal().len() > calls, "{hint}: there was something left to do");
    assert_eq!(scene.made_twice(), Vec::<String>::new(), "made twice after {hint}");
    assert!(scene.live().values().sum::<i64>() >= 20, "{hint}: {:?}", scene.live());
    scene.nothing_to_change(&[], hint);
    scene.run(&["verify"]).unwrap_or_else(|said| panic!("the log does not verify after {hint}\n{said}"));
}

#[test]
fn the_first_signal_lets_running_calls_end_and_the_next_apply_carries_on() {
    for (signal, name) in [(Signal::INT, "SIGINT"), (Signal::TERM, "SIGTERM"), (Signal::HUP, "SIGHUP")] {
        let scene = Scene::new(name, PROGRAM, Some(&slow(400)));
        let mut child = applying(&scene, &[]);
        send(&child, signal);
        let status = exit(&mut child, Duration::from_secs(5));
        assert_eq!(status.code(), Some(130), "{name}");
        let status = scene.run(&["status"]).expect("status works");
        assert!(status.contains("interrupted") && !status.contains("without an answer"), "{name}: {status}");
        carries_on(&scene, name);
    }
}

#[test]
fn the_second_signal_leaves_at_once() {
    let scene = Scene::new("twice", PROGRAM, Some(&slow(3000)));
    for (first, second) in [(Signal::INT, Signal::INT), (Signal::TERM, Signal::INT), (Signal::HUP, Signal::TERM)] {
        let mut child = applying(&scene, &[]);
        send(&child, first);
        assert!(!ends_within(&mut child, Duration::from_millis(300)), "running calls may end");
        let sent = Instant::now();
        send(&child, second);
        let status = exit(&mut child, Duration::from_secs(2));
        // Looking every millisecond, on a machine that is busy with other tests.
        assert!(sent.elapsed() < Duration::from_millis(200), "{:?}", sent.elapsed());
        assert_eq!(status.code(), Some(130));
        let status = scene.run(&["status"]).expect("status works");
        assert!(status.contains("left without an answer") && status.contains("the next apply: "), "{status}");
    }
    carries_on(&scene, "two signals");
}

/// SIGINT, SIGTERM 7.5 s later, SIGKILL 2.5 s after that: the program has ended by itself long before.
#[test]
fn a_cancelled_job_ends_before_its_runner_kills_it() {
    let scene = Scene::new("ci", PROGRAM, Some(&slow(60_000)));
    let mut child = applying(&scene, &[("CI", "true")]);
    send(&child, Signal::INT);
    let status = exit(&mut child, Duration::from_millis(6500));
    assert_eq!(status.code(), Some(130));
    let status = scene.run(&["status"]).expect("status works");
    assert!(status.contains("left without an answer"), "{status}");
}

/// The same where the program is stopped in its tracks, so that it sees no signal before the last.
#[test]
fn a_runner_that_kills_leaves_what_can_be_carried_on() {
    let scene = Scene::new("runner", PROGRAM, Some(&slow(400)));
    let mut child = applying(&scene, &[("CI", "true")]);
    for signal in [Signal::STOP, Signal::INT, Signal::TERM, Signal::KILL] {
        send(&child, signal);
    }
    assert_eq!(exit(&mut child, Duration::from_secs(2)).code(), None);
    carries_on(&scene, "a killed runner");
}

#[test]
fn a_signal_ends_waiting_for_somebody_else() {
    let scene = Scene::new("waiting", PROGRAM, Some(&slow(1500)));
    let mut first = applying(&scene, &[]);
    let mut second = scene.begin(&["apply", "--yes", "--lock-wait", "10m"]);
    // It has planned once it has read what is recorded; then it waits.
    assert!(!ends_within(&mut second, Duration::from_secs(2)), "it waits");
    send(&second, Signal::INT);
    assert_eq!(exit(&mut second, Duration::from_millis(1000)).code(), Some(130));
    assert!(exit(&mut first, Duration::from_secs(60)).success(), "the first is not disturbed");
    scene.nothing_to_change(&[], "somebody waited");
}
