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
    let whole = unread.restore(&kept, None, &carrier()).await.expect_err("there is nothing to restore");
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
    let report = unread.restore(&kept, None, &carrier()).await.expect("it is restored");
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
    let report = unread.restore(&kept, None, &carrier()).await.expect("it is restored");
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
    let report = unread.restore(&kept, None, &carrier()).await.expect("it was gone");
    assert_eq!((report.saved, report.lost, &*report.aside), (0, 0, ""));
    back(&old.path().join("log"));
    let report = unread.restore(&kept, None, &carrier()).await.expect("it was an old copy");
    assert_eq!((report.saved, report.lost, report.aside.is_empty()), (0, 0, false));

    // Somebody has applied on an old copy: that branch is kept aside, and listed.
    back(&old.path().join("log"));
    let mut branch = open(here.path()).await;
    create(&mut branch, 9, "local.value.z").await;
    let report = unread.restore(&kept, None, &carrier()).await.expect("it was another branch");
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
    let refused = unread.restore(&foreign, None, &carrier()).await.expect_err("it is of another store");
    assert!(refused.code == Code::NotCarried && refused.message.contains("another state"), "{refused:?}");

    let mut state = open(other.path()).await;
    let _run = state.begin(header(&["local.value.q"])).await.expect("a run");
    std::fs::write(log_dir(other.path()).join("head"), "").expect("a damaged head");
    let there = self::unread(other.path());
    let refused = there.restore(&foreign, None, &carrier()).await.expect_err("a run is alive");
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

fn at(root: &Path) -> State {
    unread(root)
}

async fn migrated(from: &State, to: &State) -> Result<Migrated, Box<Diagnostic>> {
    let (from_words, to_words) = ("local {}".to_owned(), "s3 { bucket = \"a\" }".to_owned());
    Migration { from, to, from_words, to_words }.run(&carrier()).await
}

#[tokio::test]
async fn a_log_moves_to_another_store_and_the_old_one_is_closed() {
    let (here, there) = (dir(), dir());
    let parcel = exported(here.path()).await;
    let (from, to) = (at(here.path()), at(there.path()));
    let moved = migrated(&from, &to).await.expect("there is none yet");
    assert_eq!((moved.before, moved.entries, moved.revision, moved.records), (0, parcel.count() + 2, 3, 3));
    let old = from.entries().await.expect("whole");
    let new = to.entries().await.expect("whole");
    assert_eq!(old[..], new[..old.len()]);
    assert_eq!(old.last().map(Entry::head), Some(moved.head));

    // Nobody applies to the old one any more, and is told the way.
    let refused = open(here.path()).await.begin(header(&["local.value.z"])).await.err().expect("it has moved");
    assert!(refused.code == Code::StateMoved && refused.message.contains("s3 { bucket"), "{refused:?}");
    std::fs::copy(here.path().join("key"), there.path().join("key")).expect("the key is carried by itself");
    create(&mut open(there.path()).await, 7, "local.value.g").await;

    // Once more does nothing; and the way back is the same.
    assert!(migrated(&from, &to).await.expect("it was done").already);
    let back = migrated(&to, &from).await.expect("the old one has a part of it");
    assert_eq!(back.before, old.len() as u64);
    assert!(open(here.path()).await.view().records.contains_key(&address("local.value.g")));
    create(&mut open(here.path()).await, 8, "local.value.h").await;
    assert!(open(there.path()).await.begin(header(&["local.value.z"])).await.is_err(), "now that one is closed");
    assert_eq!(migrated(&from, &from).await.expect_err("one place").code, Code::Usage);
}

#[tokio::test]
async fn an_interrupted_move_is_carried_on_and_another_log_is_not_overwritten() {
    let (here, there, other) = (dir(), dir(), dir());
    exported(here.path()).await;
    exported(other.path()).await;
    let (from, to) = (at(here.path()), at(there.path()));
    let refused = migrated(&from, &at(other.path())).await.expect_err("it holds another state");
    assert!(refused.code == Code::NotCarried && refused.message.contains("another store"), "{refused:?}");
    assert!(open(here.path()).await.view().moved.is_none(), "nothing was changed");
    assert_eq!(migrated(&to, &from).await.expect_err("nothing is there").code, Code::NotCarried);

    // Killed after the old one was closed; then with a part of the log there; then before the new one was opened.
    let last = from.entries().await.expect("whole").last().cloned().expect("an entry");
    let carried = Carried { who: "ada".into(), reason: "r".into(), place: "s3 {}".into() };
    let entry = run::entry_after(&from.shared, &last, &Body::Moved(carried)).expect("an entry");
    from.shared.store.append(Some(last.head()), vec![entry]).await.expect("it is closed");
    let log = from.entries().await.expect("whole");
    for part in [0, 4, log.len()] {
        let there = dir();
        let to = at(there.path());
        if part > 0 {
            to.shared.store.append(None, log[..part].to_vec()).await.expect("a part of it");
        }
        let moved = migrated(&from, &to).await.expect("it is carried on");
        assert_eq!((moved.before, moved.entries), (part as u64, log.len() as u64 + 1));
        assert!(migrated(&from, &to).await.expect("it was done").already);
    }

    // Not while somebody applies.
    let mut state = open(other.path()).await;
    let run = state.begin(header(&["local.value.q"])).await.expect("a run");
    assert_eq!(migrated(&at(other.path()), &to).await.expect_err("a run is alive").code, Code::Locked);
    drop(run);
}

#[tokio::test]
async fn a_whole_log_of_which_more_was_known_is_taken_with_a_reason() {
    let here = dir();
    exported(here.path()).await;
    let kept = backup(here.path()).await;
    let known = Head { sequence: kept.count() + 5, hash: Digest::of(b"seen once") };
    let report = unread(here.path()).restore(&kept, Some(known), &carrier()).await.expect("it is taken");
    assert_eq!((report.entries, report.lost), (kept.count() + 1, 5));
    assert_eq!(
        open(here.path()).await.entries().await.expect("whole").last().map(|it| it.header.kind.clone()).as_deref(),
        Some("restore")
    );
}

/// Any byte of any file flipped, cut off or exchanged: what is read is what was written, or an error; never less without one.
/// `DAMAGES` says how many are tried (400 if it is not set).
#[tokio::test]
async fn whatever_happens_to_a_file_nothing_is_lost_without_an_error() {
    let here = dir();
    let mut state = open(here.path()).await;
    for operation in 1..=9 {
        create(&mut state, operation, &format!("local.value.r{operation}")).await;
    }
    state.rebuild().await.expect("a snapshot and an index");
    let whole = shown(&open(here.path()).await);
    let mut files = files_below(&log_dir(here.path()));
    assert!(files.len() >= 5, "head, segment, snapshot, index: {files:?}");
    let damages: usize = std::env::var("DAMAGES").ok().and_then(|it| it.parse().ok()).unwrap_or(400);
    let mut errors = 0;
    for nth in 0..damages {
        let path = files[nth % files.len()].clone();
        let path = &path;
        let bytes = std::fs::read(path).expect("a file");
        let other = &files[(nth / files.len() + 1) % files.len()];
        let place = nth.wrapping_mul(2_654_435_761) % bytes.len().max(1);
        let damaged = match nth / files.len() % 4 {
            0 | 1 if !bytes.is_empty() => {
                let mut flipped = bytes.clone();
                flipped[place] ^= 1 << (nth % 8);
                flipped
            }
            2 => bytes[..place].to_vec(),
            _ => std::fs::read(other).expect("a file"),
        };
        std::fs::write(path, &damaged).expect("a file");
        match State::open_local(here.path(), "production", &World::real()).await {
            Ok(state) => {
                assert_eq!(shown(&state), whole, "{}, damage {nth}", path.display());
                let places = state.places(&address("local.value.r3")).await.expect("places");
                assert!(places.len() >= 2, "{}, damage {nth}: {places:?}", path.display());
            }
            Err(error) => {
                errors += 1;
                assert!(matches!(error.code, Code::DamagedState | Code::NewerState), "{}: {error:?}", path.display());
            }
        }
        if path.components().any(|it| it.as_os_str() == "index") {
            // In doubt it is thrown away; the next damage needs it again.
            open(here.path()).await.rebuild().await.expect("it is whole");
            files = files_below(&log_dir(here.path()));
        } else {
            std::fs::write(path, &bytes).expect("a file");
        }
    }
    assert!(errors > damages / 20, "the damage was too gentle: {errors} errors");
    assert_eq!(shown(&open(here.path()).await), whole);
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(dir).expect("a directory").flatten() {
        match file.path().is_dir() {
            true => all.extend(files_below(&file.path())),
            false if file.file_name() != "append.lock" => all.push(file.path()),
            false => {}
        }
    }
    all.sort();
    all
}

/// On a store that cannot tell whether a run lives.
#[test]
fn a_restore_does_not_cut_off_a_run_that_lives_and_ends_the_lease_of_one_that_is_silent() {
    use crate::state::store::memory::Memory;
    let (world, clock) = World::simulated(jiff::Timestamp::from_second(1_763_793_000).expect("a time"), b"restore");
    let test = async {
        let mut state = State::empty(std::sync::Arc::new(Memory::shared()), "production", &world);
        let run = state.begin(header(&["local.value.a"])).await.expect("a run");
        let mut log = state.entries().await.expect("whole");
        let before = log.clone();
        let refused = state.again().await.expect("it opens").fence(&mut log, &carrier()).await.expect_err("it lives");
        assert!(refused.code == Code::Locked && refused.message.contains("a run is alive"), "{refused:?}");
        assert_eq!(log, before);
        drop(run);
        world.clock.sleep(std::time::Duration::from_secs(40)).await;
        state.again().await.expect("it opens").fence(&mut log, &carrier()).await.expect("it is silent");
        assert_eq!(log[..before.len()], before[..]);
        let view = replay_without_key(&log, |_, _, _| {}).expect("it folds");
        assert!(view.active.is_empty() && view.void.is_empty(), "{view:?}");
    };
    clock.run(test).expect("nothing waits for ever");
}
