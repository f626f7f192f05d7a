//! `local.postgres` with a real server.

use std::process::Command;

use stackwright::model::{Fields, Value};
use stackwright::providers::contract::Found;

use crate::machine::{Machine, fields, has, int, is_done, lives, pid, text, texts, until, with, words};

const KIND: &str = "local.postgres";

fn database(password: &str) -> Fields {
    fields([
        ("name", Value::text("main")),
        ("database", Value::text("app")),
        ("user", Value::text("app")),
        ("password", Value::text(password).secret()),
    ])
}

/// What a client gets that logs in with that password.
fn query(made: &Fields, user: &str, password: &str, sql: &str) -> Result<String, String> {
    let url = format!("postgres://{user}@127.0.0.1:{}/app", int(made, "port"));
    let asked = Command::new("psql").args(["-At", "-w", &url, "-c", sql]).env("PGPASSWORD", password).output().expect("psql");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if asked.status.success() { Ok(text(&asked.stdout)) } else { Err(text(&asked.stderr)) }
}

#[tokio::test]
async fn a_database_is_made_keeps_its_data_through_changes_and_is_removed_whole() {
    if !has("PostgreSQL", &[KIND]) {
        return;
    }
    let machine = Machine::new();
    let made = machine.create(KIND, database("first pass'word")).await.expect("it is ready");
    assert_eq!(
        query(&made, "app", "first pass'word", "create table t (a int); insert into t values (7)"),
        Ok("CREATE TABLE\nINSERT 0 1".into())
    );
    assert!(query(&made, "app", "wrong", "select 1").expect_err("refused").contains("password authentication failed"));
    assert!(query(&made, "postgres", "wrong", "select 1").expect_err("refused").contains("no pg_hba.conf entry"));
    assert_eq!(
        query(&made, "app", "first pass'word", "select pg_get_userbyid(datdba) from pg_database where datname = 'app'"),
        Ok("app".into())
    );
    assert_eq!(machine.read(KIND, &made).await, Some(with(&made, "running", Value::bool(true))), "no drift after it was made");

    let wanted = with(&with(&database("second"), "extensions", texts(["pg_trgm", "uuid-ossp"])), "port", made["port"].clone());
    let changed = machine.update(KIND, &made, wanted).await.expect("changed");
    assert_eq!(int(&changed, "port"), int(&made, "port"));
    assert_eq!(query(&changed, "app", "second", "select a from t"), Ok("7".into()));
    assert!(query(&changed, "app", "first pass'word", "select 1").is_err());
    assert_eq!(
        query(
            &changed,
            "app",
            "second",
            "select extname from pg_extension where extname like 'pg_t%' or extname like 'u%' order by 1"
        ),
        Ok("pg_trgm\nuuid-ossp".into())
    );

    // An extension that does not exist is refused, and the server goes on as it was.
    let wrong = with(&changed, "extensions", texts(["pg_trgm", "uuid-ossp", "no_such_extension"]));
    let refused = words(machine.update(KIND, &changed, wrong).await);
    assert!(refused.contains("no_such_extension") && !refused.contains("second"), "{refused}");
    assert_eq!(query(&changed, "app", "second", "select a from t"), Ok("7".into()));

    let seen = machine.read(KIND, &changed).await.expect("it is there");
    let log = std::fs::read_to_string(text(&changed, "log")).expect("a log");
    assert!(!log.contains("second") && !log.contains("SCRAM-SHA-256$"), "the log holds no password");
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", pid(&seen))).expect("it lives");
    assert!(!arguments.contains("second"));

    machine.delete(KIND, &changed).await.expect("removed");
    assert!(!lives(pid(&seen)) && machine.processes().is_empty());
    assert!(!std::path::Path::new(text(&changed, "location")).exists());
    assert_eq!(machine.read(KIND, &changed).await, None);
    assert!(!machine.data_dir().exists(), "nothing is left: {:?}", machine.files());
    machine.delete(KIND, &changed).await.expect("what is gone is removed");
}

#[tokio::test]
async fn a_killed_server_is_drift_and_its_data_outlives_an_interrupted_creation() {
    if !has("PostgreSQL", &[KIND]) {
        return;
    }
    let machine = Machine::new();
    machine.let_others_pass();
    // What a creation that was killed half-way leaves: a directory that never took its place.
    let made = machine.create_as("first", KIND, database("password")).await.expect("it is ready");
    assert!(std::path::Path::new(text(&made, "location")).starts_with(machine.data_dir()));
    query(&made, "app", "password", "create table t (a int); insert into t values (7)").expect("written");
    assert_eq!(pid(&is_done(machine.find_created("first", KIND, database("password")).await)), pid(&made));
    std::fs::create_dir(std::path::Path::new(text(&made, "location")).join("data.new")).expect("made");

    let group = rustix::process::Pid::from_raw(pid(&made)).expect("a pid");
    rustix::process::kill_process(group, rustix::process::Signal::KILL).expect("killed");
    until("its death", || !lives(pid(&made)) && machine.processes().is_empty()).await;
    let seen = machine.read(KIND, &made).await.expect("its data is there");
    assert_eq!(seen["running"], Value::bool(false));
    assert!(matches!(machine.find_created("first", KIND, database("password")).await, Found::Absent));

    // Created again, with another password: the data is taken up, not made anew.
    let again = machine.create_as("second", KIND, database("other")).await.expect("it is ready");
    assert_eq!((int(&again, "port"), text(&again, "location")), (int(&made, "port"), text(&made, "location")));
    assert_eq!(query(&again, "app", "other", "select a from t"), Ok("7".into()));
    machine.delete(KIND, &again).await.expect("removed");
    assert!(machine.processes().is_empty() && !machine.data_dir().exists());
}

#[tokio::test]
async fn what_would_be_sql_or_cannot_be_a_password_is_refused_before_anything_is_made() {
    if !has("PostgreSQL", &[KIND]) {
        return;
    }
    let machine = Machine::new();
    let cases = [
        with(&database("x"), "database", Value::text("a\"; drop")),
        with(&database("x"), "user", Value::text("all")),
        with(&database("x"), "extensions", texts(["x\"; --"])),
        database("two\nlines"),
        database(""),
    ];
    for inputs in cases {
        assert!(matches!(
            machine.create(KIND, inputs).await,
            Err(stackwright::providers::contract::CallError::Refused { field: Some(_), .. })
        ));
    }
    assert!(machine.processes().is_empty());
}
