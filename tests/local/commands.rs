//! `local.command` and `local.port`.

use stackwright::model::Value;
use stackwright::providers::contract::{CallError, Found};

use crate::machine::{Machine, fields, int, map, shell, text, with, words};

#[tokio::test]
async fn a_command_runs_once_and_is_known_to_have_run() {
    let machine = Machine::new();
    let inputs = with(&shell("migrate", "echo \"$GREETING\" >> ran; pwd"), "env", map([("GREETING", Value::text("hello"))]));
    assert!(matches!(machine.find_created("made", "local.command", inputs.clone()).await, Found::Absent));
    let made = machine.create("local.command", inputs.clone()).await.expect("it ran");
    assert_eq!(std::fs::read_to_string(machine.stack_dir().join("ran")).expect("it wrote"), "hello\n");
    assert!(std::fs::read_to_string(text(&made, "log")).expect("a log").contains("/stack"));
    assert!(matches!(machine.find_created("made", "local.command", inputs.clone()).await, Found::Done(_)));
    assert!(matches!(machine.find_created("another", "local.command", inputs).await, Found::Absent));
    machine.delete("local.command", &made).await.expect("forgotten");
    assert!(!machine.data_dir().exists());
}

#[tokio::test]
async fn a_command_that_fails_shows_its_last_lines_without_secrets() {
    let machine = Machine::new();
    let script = "for i in $(seq 30); do echo line $i; done; echo key $KEY >&2; exit 3";
    let inputs = with(&shell("migrate", script), "env", map([("KEY", Value::text("s3cr3t-value").secret())]));
    let words = words(machine.create("local.command", inputs).await);
    assert!(words.starts_with("the command failed with exit code 3"), "{words}");
    assert!(words.contains("line 30\nkey (secret)") && !words.contains("line 1\n") && !words.contains("s3cr3t"), "{words}");
}

#[tokio::test]
async fn a_program_that_is_missing_is_named() {
    let machine = Machine::new();
    let inputs = with(&shell("x", ""), "command", crate::machine::texts(["no-such-program-here"]));
    let result = machine.create("local.command", inputs).await;
    assert!(
        matches!(&result, Err(CallError::Refused { code: stackwright::model::Code::ProgramMissing, field: Some(field), words, .. })
        if field == "command" && words.contains("no-such-program-here"))
    );
}

#[tokio::test]
async fn ports_differ_and_stay_with_their_names() {
    let machine = Machine::new();
    let one = machine.create("local.port", fields([("name", Value::text("one"))])).await.expect("a port");
    let two = machine.create("local.port", fields([("name", Value::text("two"))])).await.expect("a port");
    assert_ne!(int(&one, "port"), int(&two, "port"));
    let again = machine.create_as("again", "local.port", fields([("name", Value::text("one"))])).await.expect("a port");
    assert_eq!(int(&one, "port"), int(&again, "port"));
    assert_eq!(machine.read("local.port", &one).await.as_ref(), Some(&one));
    for port in [&one, &two] {
        machine.delete("local.port", port).await.expect("given back");
    }
    assert!(!machine.data_dir().exists());
}

#[tokio::test]
async fn two_kinds_do_not_share_one_name() {
    let machine = Machine::new();
    machine.create("local.port", fields([("name", Value::text("one"))])).await.expect("a port");
    let words = words(machine.create("local.command", shell("one", "true")).await);
    assert!(words.contains("`local.port`"), "{words}");
}
