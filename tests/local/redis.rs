//! `local.redis` with a real server.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use stackwright::model::{Data, Fields, Value};

use crate::machine::{Machine, fields, has, int, is_done, lives, pid, text, until, with, words};

const KIND: &str = "local.redis";

fn cache(password: &str) -> Fields {
    let memory = Value::engine(Data::Size(64 << 20));
    let password = Value::text(password).secret();
    fields([("name", Value::text("sessions")), ("password", password), ("memory", memory), ("eviction", Value::text("lru"))])
}

/// Sends lines of the inline protocol; the last answer's first line.
fn say(port: i64, lines: &[&str]) -> String {
    let stream = TcpStream::connect(("127.0.0.1", u16::try_from(port).expect("a port"))).expect("it listens");
    let mut reader = BufReader::new(stream);
    let mut answer = String::new();
    for line in lines {
        reader.get_mut().write_all(format!("{line}\r\n").as_bytes()).expect("sent");
        answer.clear();
        reader.read_line(&mut answer).expect("answered");
    }
    answer.trim().to_owned()
}

#[tokio::test]
async fn a_cache_is_made_changed_while_it_runs_seen_to_drift_and_removed() {
    if !has("redis-server", &[KIND]) {
        return;
    }
    let machine = Machine::new();
    let made = machine.create(KIND, cache("first-password")).await.expect("it is ready");
    let port = int(&made, "port");
    assert_eq!(say(port, &["PING"]), "-NOAUTH Authentication required.");
    assert_eq!(say(port, &["AUTH first-password", "SET a 1"]), "+OK");
    assert_eq!(machine.read(KIND, &made).await, Some(with(&made, "running", Value::bool(true))), "no drift after it was made");
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", pid(&made))).expect("it lives");
    assert!(!arguments.contains("first-password"));

    let wanted = with(&cache("second-password"), "memory", Value::engine(Data::Size(32 << 20)));
    let changed = machine.update(KIND, &made, wanted.clone()).await.expect("changed");
    assert_eq!(pid(&changed), pid(&made), "it went on running");
    assert_eq!(say(port, &["AUTH second-password", "INCR a"]), ":2", "and kept what it held");

    assert_eq!(say(port, &["AUTH second-password", "CONFIG SET maxmemory 1048576"]), "+OK");
    let seen = machine.read(KIND, &changed).await.expect("it is there");
    assert_eq!(seen["memory"], Value::engine(Data::Size(1 << 20)));

    machine.delete(KIND, &changed).await.expect("removed");
    assert!(!lives(pid(&made)) && machine.processes().is_empty());
    assert!(!machine.data_dir().exists(), "nothing is left: {:?}", machine.files());
}

#[tokio::test]
async fn a_cache_that_died_is_drift_and_one_that_was_interrupted_is_adopted() {
    if !has("redis-server", &[KIND]) {
        return;
    }
    let machine = Machine::new();
    let made = machine.create_as("first", KIND, cache("a-password")).await.expect("it is ready");
    assert_eq!(pid(&is_done(machine.find_created("first", KIND, cache("a-password")).await)), pid(&made));
    let process = rustix::process::Pid::from_raw(pid(&made)).expect("a pid");
    rustix::process::kill_process(process, rustix::process::Signal::KILL).expect("killed");
    until("its death", || !lives(pid(&made))).await;
    let seen = machine.read(KIND, &made).await.expect("its note is there");
    assert_eq!(seen["running"], Value::bool(false));
    let back =
        machine.update(KIND, &seen, with(&cache("a-password"), "running", Value::bool(true))).await.expect("started again");
    assert_eq!(int(&back, "port"), int(&made, "port"));
    assert!(text(&back, "server_version").contains('.'));
    machine.delete(KIND, &back).await.expect("removed");
}

#[tokio::test]
async fn a_password_that_cannot_be_one_is_refused_without_being_shown() {
    if !has("redis-server", &[KIND]) {
        return;
    }
    let machine = Machine::new();
    for password in ["", "two\nlines", "a space", "schlüssel"] {
        let words = words(machine.create(KIND, cache(password)).await);
        assert!(words.starts_with("the password has to be printable ASCII"), "{words}");
        assert!(password.is_empty() || !words.contains(password));
    }
    let odd = machine.create(KIND, cache(r#"a"b\c'd#e$f"#)).await.expect("any printable character will do");
    machine.delete(KIND, &odd).await.expect("removed");
    assert!(machine.processes().is_empty());
}
