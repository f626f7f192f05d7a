//! Logs that are carried to a shared store and put back there, by the real program: killed on the way, damaged where they are.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use stackwright::state::contract::{Entry, Store};
use stackwright::state::store::embedded::Embedded;
use stackwright::state::store::promises::entry;
use tempfile::TempDir;

use crate::relay::{Line, Relay};
use crate::servers::{self, KEY, PASSWORD, SECRET, until};

const BINARY: &str = env!("CARGO_BIN_EXE_stackwright");

/// One person's directory, on a machine of their own.
pub struct Person {
    dir: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Person {
    pub fn new(variables: &[(&'static str, String)]) -> Person {
        Person { dir: tempfile::tempdir().expect("a directory"), variables: variables.to_vec() }
    }

    /// The stack, whose state is kept there.
    pub fn keeps_state_in(&self, state: &str) {
        let text = format!(
            "stack shop {{ language = 1, state = {state} }}\nenvironment production {{ on = local }}\ninput text: string = \"hello\"\n\
             resource local.file note {{ path = \"note.txt\", content = input.text }}\n"
        );
        std::fs::write(self.dir.path().join("shop.stack"), text).expect("a program");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("-C").arg(self.dir.path()).args(arguments).stdin(Stdio::null());
        command.env("STACKWRIGHT_CACHE_DIR", self.dir.path().join("cache"));
        command.envs(self.variables.iter().map(|(name, value)| (*name, value.clone())));
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().expect("the program starts");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        for secret in [PASSWORD, &PASSWORD.replace(' ', "%20"), SECRET] {
            assert!(!said.contains(secret), "a credential was printed: {said}");
        }
        (output.status.code().unwrap_or(-1), said)
    }

    pub fn done(&self, arguments: &[&str]) -> String {
        let (code, said) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}");
        said
    }

    /// What is refused, in its words.
    pub fn refused(&self, arguments: &[&str], words: &[&str]) {
        let (code, said) = self.run(arguments);
        assert_eq!(code, 1, "{arguments:?}: {said}");
        let said_once: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(said_once.contains(word), "{word:?} is not in {said}");
        }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join(".stackwright/state/production")
    }
}

/// A log on this machine that is longer than what goes at once: so many entries of two megabytes, of a kind of later versions.
async fn grow(log: PathBuf, count: u32) {
    let store = Embedded::at(log);
    for seed in 0..count {
        let last = store.read(1).await.expect("a log").last().cloned().expect("an entry");
        let mut more: Entry = entry(Some(last.head()), "later", noise(seed));
        more.header.store = last.header.store;
        store.append(Some(last.head()), vec![more]).await.expect("appended");
    }
}

/// Two megabytes that nobody can pack.
fn noise(seed: u32) -> Vec<u8> {
    let mut word = 0x9E37_79B9_7F4A_7C15 ^ u64::from(seed + 1);
    let next = || {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(2 << 20).collect()
}

/// `state migrate` is killed while entries are on their way; what arrived is nothing, and the second try begins anew.
async fn is_carried_on(person: &Person, relay: &Relay, state: &str, half_way: u64, is_empty: &dyn Fn() -> bool) {
    person.keeps_state_in("local {}");
    person.done(&["apply", "--yes"]);
    grow(person.log(), 3).await;
    person.keeps_state_in(state);
    let migrate = ["state", "migrate", "--from", "local {}", "--reason", "the team grows"];
    relay.silent_after(half_way);
    let mut child = person.command(&migrate).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    until("half of the log is there", || relay.line() == Line::Silent);
    child.kill().expect("killed");
    child.wait().expect("it is gone");
    relay.set(Line::Cut);
    relay.set(Line::Open);
    until("the store is as empty as before", is_empty);

    // Nobody goes on with the old one meanwhile.
    person.keeps_state_in("local {}");
    person.refused(&["apply", "--yes", "--input", "text=bye"], &["SW0620", "has moved"]);
    person.keeps_state_in(state);
    let said = person.done(&migrate);
    assert!(said.contains("both end in head"), "{said}");
    person.done(&["verify"]);
    assert!(person.done(&["history"]).contains("the team grows"));
    person.done(&["plan", "--detailed-exitcode"]);
    person.done(&["apply", "--yes", "--input", "text=bye"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_into_a_database_that_is_killed_half_way_begins_anew() {
    let Some(server) = servers::Postgres::start(&[]) else { return };
    let relay = Relay::before(server.port());
    let url = server.url("owner").replace(&format!(":{}/", server.port()), &format!(":{}/", relay.port));
    let person = Person::new(&[("STACKWRIGHT_STATE_URL", url)]);
    let rows = "select (select count(*) from stackwright.entry) + (select count(*) from stackwright.head)";
    let is_empty = || server.sql(rows).as_deref() == Ok("0");
    is_carried_on(&person, &relay, "postgres {}", 5 << 20, &is_empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_into_a_bucket_that_is_killed_half_way_begins_anew() {
    let Some(server) = servers::Bucket::start() else { return };
    let relay = Relay::before(server.port());
    let person = Person::new(&[("AWS_ACCESS_KEY_ID", KEY.to_owned()), ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned())]);
    let state = format!("s3 {{ bucket = \"state\", endpoint = \"http://127.0.0.1:{}\" }}", relay.port);
    is_carried_on(&person, &relay, &state, 5 << 20, &|| true).await;
}

#[test]
fn a_backup_is_put_back_into_a_database_by_its_owner() {
    let Some(server) = servers::Postgres::start(&[]) else { return };
    let mut person = Person::new(&[("STACKWRIGHT_STATE_URL", server.url("owner"))]);
    person.keeps_state_in("postgres {}");
    person.done(&["apply", "--yes"]);
    let file = person.dir.path().join("backup").display().to_string();
    person.done(&["state", "backup", "--out", &file]);
    person.done(&["apply", "--yes", "--input", "text=two"]);
    let restore = ["state", "restore", &file, "--reason", "somebody altered a row"];
    person.refused(&restore, &["is whole and has all"]);

    // Damage in what the backup has: nothing is lost, and what was there is kept.
    server.sql("update stackwright.entry set body = '{}' where sequence = 3").expect("altered");
    person.refused(&["plan"], &["SW0604", "entry 3", "state restore"]);
    let password = servers::PASSWORD;
    server
        .sql(&format!(
            "create role writer login password '{password}'; grant usage on schema stackwright to writer;
             grant select, insert on all tables in schema stackwright to writer;
             grant update on stackwright.head, stackwright.snapshot to writer"
        ))
        .expect("a role");
    person.variables[0].1 = server.url("writer");
    person.refused(&restore, &["permission denied", "the owner of the tables"]);
    assert_eq!(server.sql("select count(*) from stackwright.entry where log <> 'shop/production'").as_deref(), Ok("0"));
    person.variables[0].1 = server.url("owner");
    let said = person.done(&restore);
    assert!(said.contains("behind the backup, from what was there") && said.contains("lost   nothing"), "{said}");
    assert!(said.contains("as log shop/production.aside-1"), "{said}");
    person.done(&["verify"]);
    assert!(person.done(&["plan", "--input", "text=two", "--detailed-exitcode"]).contains("Nothing to change"));
    assert_eq!(server.sql("select count(*) from stackwright.head where log = 'shop/production.aside-1'").as_deref(), Ok("1"));
    // Somebody who only applies goes on with it.
    person.variables[0].1 = server.url("writer");
    person.done(&["apply", "--yes", "--input", "text=three"]);

    // The head is gone, and with it where the log ended; then all of it.
    person.variables[0].1 = server.url("owner");
    person.done(&["state", "backup", "--out", &file]);
    server.sql("delete from stackwright.head where log = 'shop/production'").expect("deleted");
    assert!(person.done(&restore).contains("aside-2"));
    server.sql("delete from stackwright.head where log = 'shop/production'; delete from stackwright.entry where log = 'shop/production'").expect("deleted");
    person.done(&restore);
    person.done(&["verify"]);
    assert!(person.done(&["plan", "--input", "text=three", "--detailed-exitcode"]).contains("Nothing to change"));
}

#[test]
fn a_backup_puts_back_what_a_bucket_has_lost() {
    let Some(server) = servers::Bucket::start() else { return };
    let person = Person::new(&[("AWS_ACCESS_KEY_ID", KEY.to_owned()), ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned())]);
    person.keeps_state_in(&format!(
        "s3 {{ bucket = \"state\", prefix = \"team\", endpoint = \"http://127.0.0.1:{}\" }}",
        server.port()
    ));
    person.done(&["apply", "--yes"]);
    let file = person.dir.path().join("backup").display().to_string();
    person.done(&["state", "backup", "--out", &file]);
    person.done(&["apply", "--yes", "--input", "text=two"]);
    let restore = ["state", "restore", &file, "--reason", "somebody cleaned up"];
    let first = "team/shop/production/log/00000000000000000001";
    server.tamper(first, None);
    person.refused(&["plan"], &["SW0604", "state restore"]);
    assert!(person.done(&restore).contains("lost   nothing"));
    person.done(&["verify"]);

    // What somebody has written over is theirs to take away.
    server.tamper(first, Some("rm -rf"));
    person.refused(
        &restore,
        &["stand in the way", &format!("aws s3 mv s3://state/{first} s3://state/team/shop/production/aside/")],
    );
    server.tamper(first, None);
    person.done(&restore);
    person.done(&["verify"]);
    assert!(person.done(&["plan", "--input", "text=two", "--detailed-exitcode"]).contains("Nothing to change"));
}
