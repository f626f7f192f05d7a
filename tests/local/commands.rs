//! `local.command` and `local.port`.

use stackwright::model::Value;
use stackwright::providers::contract::{CallError, Found};

use crate::machine::{Machine, fields, int, lives, map, shell, text, until, with, words};

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
async fn two_kinds_can_share_a_name() {
    let machine = Machine::new();
    let port = machine.create("local.port", fields([("name", Value::text("one"))])).await.expect("a port");
    let command = machine.create("local.command", shell("one", "true")).await.expect("it ran");
    machine.delete("local.command", &command).await.expect("forgotten");
    assert_eq!(machine.read("local.port", &port).await.as_ref(), Some(&port));
}

#[tokio::test]
async fn a_command_that_is_given_up_ends_with_what_it_started() {
    let machine = std::sync::Arc::new(Machine::new());
    let inputs = shell("slow", "sleep 1000 & echo $! > child; echo $$ > leader; wait");
    let running = tokio::spawn({
        let machine = machine.clone();
        async move { machine.create("local.command", inputs).await }
    });
    let read = |name: &str| std::fs::read_to_string(machine.stack_dir().join(name)).ok()?.trim().parse::<i32>().ok();
    until("its start", || read("leader").is_some()).await;
    running.abort();
    let pids = [read("child"), read("leader")].map(|pid| pid.expect("it wrote both"));
    until("its end", || !pids.into_iter().any(lives)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_and_removed_at_once_does_not_meet() {
    let machine = std::sync::Arc::new(Machine::new());
    let one = |number: usize| {
        let machine = machine.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                let path = Value::text(format!("dir/{number}"));
                let file = machine.create("local.file", fields([("path", path), ("content", Value::text("x"))])).await?;
                let port = machine.create("local.port", fields([("name", Value::text(format!("port-{number}")))])).await?;
                machine.delete("local.file", &file).await?;
                machine.delete("local.port", &port).await?;
            }
            Ok::<_, CallError>(())
        })
    };
    for task in (0..4).map(one).collect::<Vec<_>>() {
        task.await.expect("no panic").expect("no refusal");
    }
    assert!(!machine.data_dir().exists(), "nothing is left: {:?}", machine.files());
}
