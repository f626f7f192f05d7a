//! `local.value` and `local.file`.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use stackwright::model::Value;
use stackwright::providers::contract::{CallError, Found};

use crate::machine::{Machine, fields, text, with, words};

#[tokio::test]
async fn a_value_keeps_its_id_through_changes_of_its_content() {
    let machine = Machine::new();
    let made = machine.create("local.value", fields([("input", Value::int(1))])).await.expect("made");
    assert_eq!(made["output"], Value::int(1));
    let changed = machine.update("local.value", &made, fields([("input", Value::int(2))])).await.expect("updated");
    assert_eq!((text(&changed, "id"), &changed["output"]), (text(&made, "id"), &Value::int(2)));
    let empty = machine.create("local.value", fields([])).await.expect("made without a value");
    assert!(!empty.contains_key("output") && text(&empty, "id") != text(&made, "id"));
    assert!(!machine.data_dir().exists(), "a value touches no disk");
}

#[tokio::test]
async fn a_file_is_written_read_changed_and_removed_with_its_directories() {
    let machine = Machine::new();
    let inputs = fields([("path", Value::text("etc/app/a.conf")), ("content", Value::text("one\n"))]);
    let made = machine.create("local.file", inputs.clone()).await.expect("written");
    let location = std::path::PathBuf::from(text(&made, "location"));
    assert_eq!(std::fs::read_to_string(&location).expect("it is there"), "one\n");
    assert_eq!(std::fs::metadata(&location).expect("it is there").permissions().mode() & 0o777, 0o644);
    assert_eq!(text(&made, "sha256"), "2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806");
    assert_eq!(machine.read("local.file", &made).await.as_ref(), Some(&made), "no drift after it was made");

    std::fs::write(&location, "edited by hand").expect("written");
    let seen = machine.read("local.file", &made).await.expect("it is there");
    assert_eq!(text(&seen, "content"), "edited by hand");

    let inputs = with(&with(&inputs, "content", Value::text("two\n")), "mode", Value::text("0700"));
    let changed = machine.update("local.file", &made, inputs).await.expect("written");
    assert_eq!(std::fs::read_to_string(&location).expect("it is there"), "two\n");
    assert_eq!(machine.read("local.file", &changed).await.as_ref(), Some(&changed));

    machine.delete("local.file", &changed).await.expect("removed");
    assert_eq!(machine.read("local.file", &changed).await, None);
    machine.delete("local.file", &changed).await.expect("what is gone is removed");
    assert!(!machine.data_dir().exists(), "nothing is left: {:?}", machine.files());
}

#[tokio::test]
async fn a_secret_content_is_for_its_owner_alone_and_has_no_digest() {
    let machine = Machine::new();
    let inputs = fields([("path", Value::text("key")), ("content", Value::text("hunter2hunter2").secret())]);
    let made = machine.create("local.file", inputs).await.expect("written");
    let mode = std::fs::metadata(text(&made, "location")).expect("it is there").permissions().mode();
    assert_eq!((mode & 0o777, made.get("sha256")), (0o600, None));
    let seen = machine.read("local.file", &made).await.expect("it is there");
    assert!(seen["content"].mark.secret);
    assert!(!format!("{seen:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_refused_by_name_and_by_link() {
    let machine = Machine::new();
    for path in ["../outside", "/etc/passwd", "a/../../b", ""] {
        let result = machine.create("local.file", fields([("path", Value::text(path)), ("content", Value::text("x"))])).await;
        assert!(matches!(&result, Err(CallError::Refused { field: Some(field), .. }) if field == "path"), "{path}");
    }
    let elsewhere = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(machine.data_dir().join("files")).expect("a directory");
    symlink(elsewhere.path(), machine.data_dir().join("files/link")).expect("a link");
    let through = fields([("path", Value::text("link/file")), ("content", Value::text("x"))]);
    assert!(words(machine.create("local.file", through.clone()).await).starts_with("cannot write"));
    assert_eq!(std::fs::read_dir(elsewhere.path()).expect("a directory").count(), 0);
    assert_eq!(machine.read("local.file", &through).await, None);

    // A link in the place of the file itself is replaced, and what it led to is left alone.
    let target = elsewhere.path().join("target");
    std::fs::write(&target, "precious").expect("written");
    symlink(&target, machine.data_dir().join("files/direct")).expect("a link");
    let direct = fields([("path", Value::text("direct")), ("content", Value::text("mine"))]);
    assert_eq!(machine.read("local.file", &direct).await, None);
    let made = machine.create("local.file", direct).await.expect("written");
    assert_eq!(std::fs::read_to_string(&target).expect("it is there"), "precious");
    assert_eq!(std::fs::read_to_string(text(&made, "location")).expect("it is there"), "mine");
}

#[tokio::test]
async fn an_interrupted_write_is_found_done_or_done_again() {
    let machine = Machine::new();
    let inputs = fields([("path", Value::text("a")), ("content", Value::text("x"))]);
    assert!(matches!(machine.find_created("made", "local.file", inputs.clone()).await, Found::Absent));
    machine.create("local.file", inputs.clone()).await.expect("written");
    assert!(matches!(machine.find_created("made", "local.file", inputs.clone()).await, Found::Done(_)));
    let other = with(&inputs, "content", Value::text("y"));
    assert!(matches!(machine.find_created("made", "local.file", other).await, Found::Absent));
}
