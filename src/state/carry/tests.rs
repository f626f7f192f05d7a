//! Logs that go from one place to another, whole or damaged on the way.

use std::path::Path;

use super::*;
use crate::state::tests::{address, create, header};
use crate::world::World;

async fn open(root: &Path) -> State {
    State::open_local(root, "production", &World::real()).await.expect("a state")
}

fn unread(root: &Path) -> State {
    let store = State::local_store(root, "production").expect("a name");
    State::unread(store, root, "production", &World::real())
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn carrier() -> Carrier {
    Carrier { who: "ada".into(), reason: "a new laptop".into() }
}

/// A state of three revisions with secrets, and its export.
async fn exported(root: &Path) -> Parcel {
    let mut state = open(root).await;
    for (operation, at) in [(1, "local.value.a"), (2, "local.value.b"), (3, "local.value.c")] {
        create(&mut state, operation, at).await;
    }
    state.pack("shop").await.expect("it is whole").expect("something was applied")
}

/// What a reader of a state sees of it.
fn shown(state: &State) -> String {
    format!("{:?}", state.view())
}

#[tokio::test]
async fn an_export_comes_back_byte_for_byte() {
    let (one, other) = (dir(), dir());
    let parcel = exported(one.path()).await;
    let bytes = parcel.bytes();
    assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "no secret in clear");
    assert_eq!(Parcel::parse(&bytes).expect("it is an export"), parcel);

    let there = unread(other.path());
    there.import(&parcel, &carrier()).await.expect("there is none yet");
    std::fs::copy(one.path().join("key"), other.path().join("key")).expect("the key is carried by itself");
    let imported = open(other.path()).await;
    assert_eq!(imported.pack("shop").await.expect("whole").expect("a log").bytes(), bytes);
    assert_eq!(shown(&imported), shown(&open(one.path()).await));
    assert_eq!(imported.owed_import().map(|(it, at)| (it.reason, at)), Some(("a new laptop".into(), parcel.count())));

    // A second import is refused, of the same log as of another.
    let again = there.import(&parcel, &carrier()).await.expect_err("there is one");
    assert!(again.code == Code::NotCarried && again.notes[0].1.contains("this very log"), "{again:?}");

    // The first run that follows writes down who imported it, and why; once.
    let mut state = imported;
    create(&mut state, 4, "local.value.d").await;
    create(&mut state, 5, "local.value.e").await;
    let entries = state.entries().await.expect("whole");
    let carried: Vec<_> = entries.iter().filter_map(|entry| Some((entry.header.sequence, carried_of(entry)?.reason))).collect();
    assert_eq!(carried, [(parcel.count() + 1, "a new laptop".to_owned())]);
    assert!(state.owed_import().is_none());
}

#[tokio::test]
async fn an_altered_export_is_refused_with_its_line() {
    let here = dir();
    let parcel = exported(here.path()).await;
    let text = String::from_utf8(parcel.bytes()).expect("text");
    let refused = |text: &str| {
        let error = Parcel::parse(text.as_bytes()).expect_err("it was altered");
        assert!(matches!(error.code, Code::DamagedExport | Code::NewerState), "{error:?}");
        error.message
    };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for (nth, line) in lines.iter().enumerate() {
        // Each line once removed, doubled, cut, and with another letter in it.
        let with = |other: &str| [&lines[..nth].concat(), other, &lines[nth + 1..].concat()].concat();
        for other in [
            "",
            &format!("{line}{line}"),
            &line[..line.len() / 2],
            &line.replacen("local", "locol", 1),
            &line.replacen("\"run\":", "\"run\":1", 1),
        ] {
            if other != *line {
                refused(&with(other));
            }
        }
    }
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    assert!(refused(&swapped.concat()).contains("line 4"), "{}", refused(&swapped.concat()));
    refused(&text.replacen("/1\"", "/2\"", 1));
    for hostile in ["", "\n", "{}\n", "{\"schema\":\"stackwright.plan/1\"}\n", "\u{0}", "[[[[[["] {
        refused(hostile);
    }
    for at in (0..text.len()).step_by(7) {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1 << (at % 7);
        // Only what does not belong to the log may differ: the name of the stack.
        if let Ok(other) = Parcel::parse(&bytes) {
            assert_eq!(other.entries, parcel.entries, "byte {at}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_no_line_of_json_is_carried_as_bytes() {
    use crate::state::store::promises::entry;
    let here = dir();
    let mut parcel = exported(here.path()).await;
    let store = parcel.store();
    for body in ["two\nlines", " {\"a\":1}", "\u{7f}", ""] {
        let mut strange = entry(Some(parcel.head()), "strange", body);
        strange.header.store = store;
        parcel.entries.push(strange);
    }
    assert_eq!(Parcel::parse(&parcel.bytes()).expect("it is an export"), parcel);
}

/// The directory of the log.
fn log_dir(root: &Path) -> PathBuf {
    root.join("production")
}

async fn backup(root: &Path) -> Parcel {
    open(root).await.pack_backup("shop").await.expect("it is whole").expect("a log")
}

#[tokio::test]
async fn a_backup_puts_a_damaged_log_back_and_what_followed_it_is_saved() {
    let here = dir();
    exported(here.path()).await;
    let kept = backup(here.path()).await;
    assert!(kept.snapshot.is_some());
    let kept = Parcel::parse(&kept.bytes()).expect("it is a backup");
    let mut state = open(here.path()).await;
    create(&mut state, 4, "local.value.d").await;
    let before = state.pack("shop").await.expect("whole").expect("a log");

    // A whole log with all of the backup in it is left alone.
    let unread = unread(here.path());
    let whole = unread.restore(&kept, &carrier()).await.expect_err("there is nothing to restore");
    assert!(whole.code == Code::NotCarried && whole.message.contains("whole"), "{whole:?}");

    // Damage in what the backup has: nothing is lost.
    let path = log_dir(here.path()).join("000000000001.log");
    let mut bytes = std::fs::read(&path).expect("a segment");
    bytes[200] ^= 1;
    std::fs::write(&path, &bytes).expect("a segment");
    assert_eq!(
        State::open_local(here.path(), "production", &World::real()).await.err().map(|it| it.code),
        Some(Code::DamagedState)
    );
    let report = unread.restore(&kept, &carrier()).await.expect("it is restored");
    assert_eq!((report.saved, report.lost), (before.count() - kept.count(), 0), "{report:?}");
    let state = open(here.path()).await;
    assert!(state.view().records.contains_key(&address("local.value.d")));
    let entries = state.entries().await.expect("whole");
    assert_eq!(entries[..entries.len() - 1], before.entries[..]);
    assert_eq!(entries.last().map(|entry| entry.header.kind.as_str()), Some("restore"));
    assert_eq!(std::fs::read(Path::new(&report.aside).join("000000000001.log")).expect("it is kept aside"), bytes);
}

#[tokio::test]
async fn what_cannot_be_put_back_is_listed() {
    let here = dir();
    exported(here.path()).await;
    let kept = backup(here.path()).await;
    let mut state = open(here.path()).await;
    create(&mut state, 4, "local.value.d").await;
    let upto = std::fs::metadata(log_dir(here.path()).join("000000000001.log")).expect("a segment").len() as usize;
    create(&mut state, 5, "local.value.e").await;

    // The first frame of run 5 is damaged: what lies behind it can be read, and not be proved.
    let path = log_dir(here.path()).join("000000000001.log");
    let mut bytes = std::fs::read(&path).expect("a segment");
    bytes[upto + 70] ^= 1;
    std::fs::write(&path, &bytes).expect("a segment");
    let unread = unread(here.path());
    let report = unread.restore(&kept, &carrier()).await.expect("it is restored");
    assert!(report.saved > 0, "run 4 follows the backup");
    assert_eq!(report.lost, 4, "lease, intent, outcome, revision: {report:?}");
    let lost = &report.lost_runs[0];
    assert_eq!((lost.run, lost.revision, lost.entries), (5, Some(5), 3));
    assert!(lost.addresses.contains(&address("local.value.e")), "{lost:?}");
    let state = open(here.path()).await;
    assert!(!state.view().records.contains_key(&address("local.value.e")));
    // And it goes on from there.
    let mut state = state;
    create(&mut state, 6, "local.value.f").await;
}

#[tokio::test]
async fn a_log_that_is_gone_shorter_or_another_branch_is_put_back() {
    let here = dir();
    exported(here.path()).await;
    let old = dir();
    copy(&log_dir(here.path()), &old.path().join("log"));
    let mut state = open(here.path()).await;
    create(&mut state, 4, "local.value.d").await;
    let kept = backup(here.path()).await;
    let unread = unread(here.path());
    let back = |old: &Path| {
        std::fs::remove_dir_all(log_dir(here.path())).expect("it goes");
        if old.exists() {
            copy(old, &log_dir(here.path()));
        }
    };

    back(&old.path().join("none"));
    let report = unread.restore(&kept, &carrier()).await.expect("it was gone");
    assert_eq!((report.saved, report.lost, &*report.aside), (0, 0, ""));
    back(&old.path().join("log"));
    let report = unread.restore(&kept, &carrier()).await.expect("it was an old copy");
    assert_eq!((report.saved, report.lost, report.aside.is_empty()), (0, 0, false));

    // Somebody has applied on an old copy: that branch is kept aside, and listed.
    back(&old.path().join("log"));
    let mut branch = open(here.path()).await;
    create(&mut branch, 9, "local.value.z").await;
    let report = unread.restore(&kept, &carrier()).await.expect("it was another branch");
    assert_eq!((report.lost, report.lost_runs[0].entries), (4, 4));
    assert!(report.lost_runs[0].addresses.contains(&address("local.value.z")));
    assert!(open(here.path()).await.view().records.contains_key(&address("local.value.d")));
}

#[tokio::test]
async fn a_backup_of_another_state_is_refused_and_so_is_a_living_run() {
    let (here, other) = (dir(), dir());
    exported(here.path()).await;
    exported(other.path()).await;
    let foreign = backup(other.path()).await;
    let unread = unread(here.path());
    std::fs::write(log_dir(here.path()).join("head"), "").expect("a damaged head");
    let refused = unread.restore(&foreign, &carrier()).await.expect_err("it is of another store");
    assert!(refused.code == Code::NotCarried && refused.message.contains("another state"), "{refused:?}");

    let mut state = open(other.path()).await;
    let _run = state.begin(header(&["local.value.q"])).await.expect("a run");
    std::fs::write(log_dir(other.path()).join("head"), "").expect("a damaged head");
    let there = self::unread(other.path());
    let refused = there.restore(&foreign, &carrier()).await.expect_err("a run is alive");
    assert_eq!(refused.code, Code::StateUnavailable);
    assert!(!other.path().join(".aside").join("production-1").exists(), "nothing of it is left behind");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for file in std::fs::read_dir(from).expect("a directory").flatten() {
        if file.path().is_file() {
            std::fs::copy(file.path(), to.join(file.file_name())).expect("a file");
        }
    }
}
