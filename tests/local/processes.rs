//! `local.process` with real processes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use stackwright::model::Value;
use stackwright::providers::contract::{CallError, Found};

use crate::machine::{Machine, duration, fields, int, is_done, lives, map, pid, shell, text, texts, until, with, words};

/// A web server of a few lines, which every Debian has the language for.
const SERVER: &str = r#"
use strict; use IO::Socket::INET;
my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) or die "cannot listen: $!";
print STDERR "listening on $ENV{PORT}\n";
while (my $c = $s->accept) { my $l = <$c>; my $st = $l =~ /healthz/ ? '200 OK' : '503 Not Now';
  print $c "HTTP/1.1 $st\r\nContent-Length: 3\r\n\r\n" . ($ENV{GREETING} // 'hi!'); close $c }
"#;

fn server(name: &str) -> stackwright::model::Fields {
    let health = map([("path", Value::text("/healthz")), ("every", duration(100)), ("grace", duration(10_000))]);
    fields([
        ("name", Value::text(name)),
        ("command", texts(["perl", "-e", SERVER])),
        ("dir", Value::text(".")),
        ("health", health),
    ])
}

fn get(port: i64, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(port).expect("a port"))).expect("it listens");
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

#[tokio::test]
async fn a_process_serves_outlives_its_starter_and_ends_with_all_that_is_its_own() {
    let machine = Machine::new();
    let made = machine.create("local.process", server("api")).await.expect("it is healthy");
    assert!(get(int(&made, "port"), "/").contains("hi!"));
    assert_eq!(text(&made, "url"), format!("http://127.0.0.1:{}", int(&made, "port")));
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid(&made))).expect("it lives");
    let session: i32 = stat.rsplit_once(") ").expect("fields").1.split(' ').nth(3).expect("a session").parse().expect("a number");
    assert_eq!(session, pid(&made), "it leads a session of its own");
    assert_eq!(machine.read("local.process", &made).await.as_ref().map(pid), Some(pid(&made)));

    machine.delete("local.process", &made).await.expect("ended");
    assert!(!lives(pid(&made)) && machine.processes().is_empty());
    assert_eq!(machine.read("local.process", &made).await, None);
    assert!(!machine.data_dir().exists(), "nothing is left: {:?}", machine.files());
    machine.delete("local.process", &made).await.expect("what is gone is ended");
}

#[tokio::test]
async fn one_that_died_is_drift_and_comes_back_on_its_port() {
    let machine = Machine::new();
    let made = machine.create("local.process", server("api")).await.expect("it is healthy");
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid(&made)).expect("a pid"), rustix::process::Signal::KILL)
        .expect("killed");
    until("its death", || !lives(pid(&made))).await;
    let seen = machine.read("local.process", &made).await.expect("its note is there");
    assert_eq!((seen["running"].as_bool(), seen.get("pid")), (Some(false), None));

    let inputs = with(&server("api"), "running", Value::bool(true));
    let back = machine.update("local.process", &seen, inputs.clone()).await.expect("started again");
    assert_eq!(int(&back, "port"), int(&made, "port"));
    assert_ne!(pid(&back), pid(&made));

    let changed = with(&inputs, "env", map([("GREETING", Value::text("hey"))]));
    let changed = machine.update("local.process", &back, changed).await.expect("started anew");
    assert_eq!(int(&changed, "port"), int(&made, "port"));
    assert!(get(int(&changed, "port"), "/").ends_with("hey"));
    assert!(!lives(pid(&back)));

    let off = machine.update("local.process", &changed, with(&changed, "running", Value::bool(false))).await.expect("stopped");
    assert!(!lives(pid(&changed)) && !off.contains_key("pid"));
    assert_eq!(machine.read("local.process", &off).await.as_ref(), Some(&off), "one that is meant to be off is no drift");
}

#[tokio::test]
async fn a_change_of_its_health_check_alone_leaves_it_running() {
    let machine = Machine::new();
    let made = machine.create("local.process", server("api")).await.expect("it is healthy");
    let inputs = with(&server("api"), "health", map([("path", Value::text("/healthz?again")), ("grace", duration(5_000))]));
    let changed = machine.update("local.process", &made, with(&inputs, "port", made["port"].clone())).await.expect("healthy");
    assert_eq!(pid(&changed), pid(&made));
}

#[tokio::test]
async fn one_that_is_never_healthy_is_refused_with_its_log_and_leaves_nothing_running() {
    let machine = Machine::new();
    let health = map([("path", Value::text("/ready")), ("grace", duration(400)), ("every", duration(50))]);
    let words = words(machine.create("local.process", with(&server("api"), "health", health)).await);
    assert!(words.contains("is not healthy after 400ms") && words.contains("answers 503"), "{words}");
    assert!(words.contains("listening on "), "{words}");
    assert!(machine.processes().is_empty());
}

#[tokio::test]
async fn one_that_ends_before_it_is_healthy_says_how_it_ended() {
    let machine = Machine::new();
    let script = "echo no database at $DB >&2; exit 7";
    let inputs = with(&shell("api", script), "env", map([("DB", Value::text("postgres://app:hunter22@x").secret())]));
    let at_once = words(machine.create("local.process", inputs.clone()).await);
    assert!(
        at_once.starts_with("the program ended with exit code 7 at once") && at_once.contains("no database at (secret)"),
        "{at_once}"
    );
    let unhealthy = with(&inputs, "health", map([("path", Value::text("/"))]));
    let words = words(machine.create("local.process", unhealthy).await);
    assert!(words.starts_with("the program ended with exit code 7 before it was healthy"), "{words}");
}

#[tokio::test]
async fn a_build_that_fails_shows_its_end_and_leaves_what_runs_alone() {
    let machine = Machine::new();
    let build = texts(["/bin/sh", "-c", "echo compiling; cp template.pl server.pl"]);
    let with_build = with(&with(&server("api"), "build", build), "command", texts(["perl", "server.pl"]));
    let words_of = |result| words(result);
    let refused = words_of(machine.create("local.process", with_build.clone()).await);
    assert!(refused.starts_with("the build failed with exit code 1") && refused.contains("compiling"), "{refused}");

    std::fs::write(machine.stack_dir().join("template.pl"), SERVER).expect("written");
    let made = machine.create("local.process", with_build.clone()).await.expect("built and healthy");
    std::fs::remove_file(machine.stack_dir().join("template.pl")).expect("removed");
    let next = with(&with_build, "revision", Value::text("2"));
    assert!(words_of(machine.update("local.process", &made, next).await).starts_with("the build failed"));
    assert!(lives(pid(&made)));
}

#[tokio::test]
async fn what_ignores_the_first_signal_is_killed_with_its_children() {
    let machine = Machine::new();
    // The second child leaves the session, and is found by what it bears.
    let script = "trap '' TERM; sleep 1000 & setsid sleep 1000 & while :; do sleep 1000; done";
    let stop = map([("signal", Value::text("SIGTERM")), ("grace", duration(200))]);
    let made = machine.create("local.process", with(&shell("stubborn", script), "stop", stop)).await.expect("started");
    until("its children", || machine.processes().len() >= 4).await;
    machine.delete("local.process", &made).await.expect("ended");
    assert!(machine.processes().is_empty());
}

#[tokio::test]
async fn an_interrupted_start_is_adopted_by_its_token_also_without_a_note() {
    let machine = Machine::new();
    let made = machine.create_as("first", "local.process", server("api")).await.expect("it is healthy");
    let found = is_done(machine.find_created("first", "local.process", server("api")).await);
    assert_eq!((pid(&found), int(&found, "port")), (pid(&made), int(&made, "port")));
    assert!(matches!(machine.find_created("second", "local.process", server("api")).await, Found::Absent));

    std::fs::remove_file(machine.data_dir().join("run/api.process.json")).expect("the note was there");
    let with_port = with(&server("api"), "port", made["port"].clone());
    assert_eq!(pid(&is_done(machine.find_created("first", "local.process", with_port).await)), pid(&made));
    assert_eq!(machine.read("local.process", &made).await.map(|seen| pid(&seen)), Some(pid(&made)));

    // A second creation does not double it: what is there under its name and mark is ended first.
    let again = machine.create_as("second", "local.process", server("api")).await.expect("it is healthy");
    assert!(!lives(pid(&made)) && lives(pid(&again)));
    machine.delete("local.process", &again).await.expect("ended");
    assert!(machine.processes().is_empty());
}

#[tokio::test]
async fn a_pid_that_is_now_somebody_elses_is_left_alone() {
    let machine = Machine::new();
    let made = machine.create("local.process", shell("sleeper", "exec sleep 1000")).await.expect("started");
    let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().expect("started");
    let note = machine.data_dir().join("run/sleeper.process.json");
    let text = std::fs::read_to_string(&note).expect("a note");
    std::fs::write(&note, text.replace(&format!("\"pid\": {}", pid(&made)), &format!("\"pid\": {}", stranger.id())))
        .expect("written");

    let seen = machine.read("local.process", &made).await.expect("found by its mark");
    assert_eq!(pid(&seen), pid(&made));
    machine.delete("local.process", &made).await.expect("ended");
    assert!(stranger.try_wait().expect("ours").is_none(), "the stranger lives");
    stranger.kill().and_then(|()| stranger.wait()).expect("ended");
    assert!(machine.processes().is_empty());
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_before_anything_is_started() {
    let machine = Machine::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let result = machine.create("local.process", with(&server("api"), "port", Value::int(port.into()))).await;
    assert!(
        matches!(&result, Err(CallError::Refused { field: Some(field), words, .. }) if field == "port" && words.contains("is taken"))
    );
    assert!(machine.processes().is_empty());
}

#[tokio::test]
async fn wrong_entries_are_refused_by_name() {
    let machine = Machine::new();
    let cases = [
        ("dir", Value::text("nowhere"), "there is no directory"),
        ("command", texts(["./missing"]), "there is no program `./missing`"),
        ("stop", map([("signal", Value::text("SIGNONSENSE"))]), "`stop.signal` cannot be `SIGNONSENSE`"),
        ("env", map([("A=B", Value::text("x"))]), "cannot be the name of a variable"),
        ("env", map([("A", Value::text("x\0y"))]), "NUL"),
        ("name", Value::text("../up"), "`name` cannot be"),
    ];
    for (field, value, expected) in cases {
        let result = machine.create("local.process", with(&shell("x", "true"), field, value)).await;
        assert!(
            matches!(&result, Err(CallError::Refused { field: Some(named), words, .. }) if named == field && words.contains(expected)),
            "{field}: {:?}",
            result.err().map(|error| error.to_string())
        );
    }
    assert!(machine.processes().is_empty());
}

/// Started by the test below, and killed by it.
#[tokio::test]
#[ignore = "is a part of `what_a_killed_run_was_doing_is_ended_or_found`"]
async fn part_a_run_that_is_killed() {
    let machine = Machine::given();
    let unready = with(&server("api"), "health", map([("path", Value::text("/never")), ("grace", duration(60_000))]));
    let command = machine.create_as(
        "command",
        "local.command",
        shell("migrate", "echo $$ > migrating; sleep 1000 & echo $! > child; wait"),
    );
    let process = machine.create_as("process", "local.process", unready);
    let (command, process) = tokio::join!(command, process);
    panic!("this run should have been killed: {:?} {:?}", command.is_ok(), process.is_ok());
}

#[tokio::test]
async fn what_a_killed_run_was_doing_is_ended_or_found() {
    let machine = Machine::new();
    let mut run = machine.another_run("processes::part_a_run_that_is_killed");
    let noted = |file: &str| std::fs::read_to_string(machine.stack_dir().join(file)).ok()?.trim().parse::<i32>().ok();
    let log = machine.data_dir().join("logs/api.log");
    let listening = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("listening on"));
    until("both starts", || noted("child").is_some() && listening()).await;
    run.kill().and_then(|()| run.wait()).expect("killed");

    // What the run waited for ends with it; what is meant to go on does, and is found by its token.
    let [helper, child] = ["migrating", "child"].map(|file| noted(file).expect("it wrote its pid"));
    until("the end of the helper", || !lives(helper)).await;
    assert!(matches!(machine.find_created("command", "local.command", shell("migrate", "")).await, Found::Absent));
    // What the helper had started ends before it is run again.
    machine.create("local.command", shell("migrate", "true")).await.expect("it ran");
    assert!(!lives(child));
    let unready = with(&server("api"), "health", map([("path", Value::text("/never")), ("grace", duration(100))]));
    let found = is_done(machine.find_created("process", "local.process", unready).await);
    assert!(lives(pid(&found)) && get(int(&found, "port"), "/healthz").contains("200"));
    machine.delete("local.process", &found).await.expect("ended");
    assert!(machine.processes().is_empty());
}
