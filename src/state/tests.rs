//! What state promises to those who apply, on the memory store and on disk.

mod keys;
mod kill;
mod leases;
pub(crate) mod signing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::model::value::Fields;
use crate::model::{Address, Data, Name, RecordId, Value};

pub(crate) fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

pub(crate) fn header(addresses: &[&str]) -> RunHeader {
    RunHeader {
        command: "apply".into(),
        who: "dkim".into(),
        host: "laptop".into(),
        pid: 7,
        commit: Some("9f2c1aa".into()),
        addresses: addresses.iter().map(|text| address(text)).collect(),
        changes: 2,
        engine: "0.1.0".into(),
        ..RunHeader::default()
    }
}

pub(crate) fn fields(entries: &[(&str, Value)]) -> Fields {
    entries.iter().map(|(name, value)| (Name::from(*name), value.clone())).collect()
}

pub(crate) fn intent(operation: u8, at: &str, inputs: Fields) -> Intent {
    examples::intent(OperationId([operation; 16]), address(at), inputs, None)
}

pub(crate) use super::examples::{done, record_of, revision};

/// One run that creates one resource, whose password is secret.
pub(crate) async fn create(state: &mut State, operation: u8, at: &str) -> u64 {
    let run = state.begin(header(&[at])).await.expect("the run begins");
    let inputs = fields(&[("input", Value::text("hello")), ("password", Value::text("hunter2").secret())]);
    let intent = intent(operation, at, inputs);
    run.append(vec![Body::Intent(Box::new(intent.clone()))]).await.expect("an intent");
    let computed = fields(&[("id", Value::text("v-1")), ("size", Value::engine(Data::Size(1024)))]);
    run.append(vec![Body::Outcome(Box::new(done(&intent, computed)))]).await.expect("an outcome");
    let number = run.finish(revision()).await.expect("the run ends");
    state.refresh().await.expect("what was written is read");
    number
}

async fn disk(root: &Path) -> Result<State, Box<Diagnostic>> {
    State::open_local(root, "production", &World::real()).await
}

/// Everything in a view that a reader can see, secrets as whether they are equal to what is expected.
fn shown(view: &View) -> String {
    let secrets: Vec<_> = view.records.values().filter_map(|it| it.inputs.get("password")?.as_text()).collect();
    let wire = crate::model::wire::Wire::inside_sealed();
    let mut exact = Vec::new();
    for record in view.records.values() {
        wire.write_fields(&mut exact, crate::model::wire::Context::NONE, &record.inputs).expect("fields");
        wire.write_fields(&mut exact, crate::model::wire::Context::NONE, &record.computed).expect("fields");
    }
    format!("{view:?}\n{secrets:?}\n{}", String::from_utf8_lossy(&exact))
}

#[tokio::test]
async fn what_a_run_wrote_is_what_the_next_one_reads() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut state = disk(dir.path()).await.expect("an empty state");
    assert!(state.view().head.is_none() && state.store_id().is_none());
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0, "reading makes nothing");

    assert_eq!(create(&mut state, 1, "local.value.a").await, 1);
    assert_eq!(create(&mut state, 2, "local.value.b[\"x/y\"]").await, 2);
    let again = disk(dir.path()).await.expect("it opens");
    assert_eq!(shown(again.view()), shown(state.view()));
    let record = &again.view().records[&address("local.value.a")];
    assert_eq!(record.inputs["password"], Value::text("hunter2"));
    assert!(record.inputs["password"].mark.secret, "a secret stays one");
    assert_eq!(record.attribute("size"), Some(&Value::engine(Data::Size(1024))));
    assert_eq!(again.view().outputs["url"], Value::text("https://a"));
    assert_eq!((again.view().revision, again.view().run), (2, 2));
    assert!(again.view().active.is_empty() && again.view().open.is_empty() && again.view().void.is_empty());
    assert_ne!(record.version, again.view().records[&address("local.value.b[\"x/y\"]")].version);
}

#[tokio::test]
async fn a_secret_is_nowhere_in_clear() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut state = disk(dir.path()).await.expect("an empty state");
    create(&mut state, 1, "local.value.a").await;
    state.rebuild().await.expect("a snapshot and an index");
    let mut files = Vec::new();
    let mut dirs = vec![dir.path().to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { dirs.push(path) } else { files.push(path) }
        }
    }
    assert!(files.len() > 4, "{files:?}");
    for path in files {
        let bytes = std::fs::read(&path).expect("a file");
        let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!holds(b"hunter2"), "{}", path.display());
    }
    let entries = state.entries().await.expect("entries");
    assert!(entries.iter().all(|entry| !String::from_utf8_lossy(&entry.body).contains("hunter2")));
    assert!(!format!("{:?}", state.view()).contains("hunter2"));
}

#[tokio::test]
async fn the_fold_of_the_log_is_the_snapshot() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut state = disk(dir.path()).await.expect("an empty state");
    for at in 1..5 {
        create(&mut state, at, &format!("local.value.a{at}")).await;
    }
    let open = intent(9, "local.value.open", fields(&[("input", Value::text("x").secret())]));
    let run = state.begin(header(&["local.value.open"])).await.expect("a run");
    run.append(vec![Body::Intent(Box::new(open))]).await.expect("an intent");
    state.refresh().await.expect("the intent is read");
    let folded = shown(state.view());
    state.rebuild().await.expect("a snapshot");
    assert!(dir.path().join("production/snapshot").exists());
    let again = disk(dir.path()).await.expect("it opens");
    assert!(again.shared.snapshot_at.load(Ordering::Relaxed) > 0, "the snapshot was used");
    assert_eq!(shown(again.view()), folded);

    // One that was altered, cut or belongs to another log is not believed.
    let path = dir.path().join("production/snapshot");
    let bytes = std::fs::read(&path).expect("a snapshot");
    for at in (0..bytes.len()).step_by(7) {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        std::fs::write(&path, altered).expect("a snapshot");
        match disk(dir.path()).await {
            Ok(state) => assert_eq!(shown(state.view()), folded, "byte {at}"),
            // A greater sequence looks like a log that has lost its end.
            Err(error) => assert!((8..16).contains(&at) && error.code == Code::DamagedState, "byte {at}: {}", error.message),
        }
    }
}

#[tokio::test]
async fn a_second_writer_of_the_same_addresses_hears_who_is_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut first = disk(dir.path()).await.expect("a state");
    let mut second = disk(dir.path()).await.expect("a state");
    let run = first.begin(header(&["local.value.a", "service.api"])).await.expect("the first begins");
    let one = intent(1, "local.value.a", Fields::new());
    run.append(vec![Body::Intent(Box::new(one.clone()))]).await.expect("an intent");
    run.append(vec![Body::Outcome(Box::new(done(&one, Fields::new())))]).await.expect("an outcome");

    for wanted in ["local.value.a", "service.api/fly.app.app"] {
        let refused = second.begin(header(&[wanted])).await.err().expect("the second is refused");
        assert_eq!(refused.code, Code::Locked);
        let words = format!("{} {:?} {:?}", refused.message, refused.notes, refused.help);
        for part in ["production is locked", "run 1 by dkim", "alive", "1 of 2 done", "7 on laptop", "lock release --run 1"] {
            assert!(words.contains(part), "{part:?} is not in {words}");
        }
    }

    // Disjoint addresses go side by side in one log.
    let other = second.begin(header(&["local.value.b"])).await.expect("other addresses are free");
    let two = intent(2, "local.value.b", Fields::new());
    other.append(vec![Body::Intent(Box::new(two.clone()))]).await.expect("an intent");
    let three = intent(3, "service.api/fly.app.app", Fields::new());
    run.append(vec![Body::Intent(Box::new(three.clone()))]).await.expect("the first goes on");
    other.append(vec![Body::Outcome(Box::new(done(&two, Fields::new())))]).await.expect("an outcome");
    run.append(vec![Body::Outcome(Box::new(done(&three, Fields::new())))]).await.expect("an outcome");
    assert_eq!(other.finish(revision()).await.expect("it ends"), 1);
    assert_eq!(run.finish(revision()).await.expect("it ends"), 2);
    first.refresh().await.expect("all is read");
    assert_eq!(first.view().records.len(), 3);
    assert!(first.view().void.is_empty());
    second.begin(header(&["local.value.a"])).await.expect("and now it is free");
}

#[tokio::test]
async fn whoever_comes_after_a_dead_run_settles_what_it_left_open() {
    for mut state in [State::memory("production", &World::real()), on_disk().await] {
        let run = state.begin(header(&["local.value.a"])).await.expect("a run");
        let open = intent(1, "local.value.a", fields(&[("input", Value::text("x"))]));
        run.append(vec![Body::Intent(Box::new(open.clone()))]).await.expect("an intent");
        drop(run);

        let mut next = state.again().await.expect("another process");
        assert_eq!(next.view().open.len(), 1);
        let run = next.begin(header(&["local.value.b"])).await.expect("it takes over at once");
        let unsettled = run.unsettled();
        assert_eq!(unsettled.len(), 1);
        assert_eq!(unsettled[0].intent.operation, open.operation);
        assert_eq!(unsettled[0].intent.inputs, open.inputs);
        let record = record_of(&open, fields(&[("id", Value::text("v-7"))]));
        let settled = Settled {
            operation: open.operation,
            how: Settlement::Adopted,
            writes: vec![RecordWrite::Put(Arc::new(record))],
            words: "found by its token".into(),
        };
        run.append(vec![Body::Settled(Box::new(settled))]).await.expect("it is settled");
        run.finish(revision()).await.expect("the run ends");
        next.refresh().await.expect("all is read");
        assert!(next.view().open.is_empty());
        assert_eq!(next.view().records[&address("local.value.a")].attribute("id"), Some(&Value::text("v-7")));
    }
}

/// A state on disk whose directory outlives the test.
async fn on_disk() -> State {
    let dir = tempfile::tempdir().expect("a directory").keep();
    disk(&dir).await.expect("a state")
}

#[tokio::test]
async fn a_run_whose_lock_was_released_writes_nothing_more() {
    let mut state = on_disk().await;
    let run = state.begin(header(&["local.value.a"])).await.expect("a run");
    let mut other = state.again().await.expect("another process");
    other.release(1, "mlopez", "it hangs").await.expect("the lock is released");
    let late = intent(1, "local.value.a", Fields::new());
    let refused = run.append(vec![Body::Intent(Box::new(late))]).await.expect_err("it lost its lease");
    assert_eq!(refused.code, Code::Locked);
    assert_eq!(other.release(1, "mlopez", "again").await.expect_err("it holds nothing").code, Code::Usage);
    state.refresh().await.expect("all is read");
    assert!(state.view().open.is_empty() && state.view().active.is_empty());
}

#[tokio::test]
async fn a_run_may_lease_more_unless_somebody_else_holds_it() {
    let mut state = State::memory("production", &World::real());
    let run = state.begin(header(&["local.value.a"])).await.expect("a run");
    let mut other = state.again().await.expect("another process");
    let second = other.begin(header(&["service.api"])).await.expect("a run");
    let refused = run.lease_more(vec![address("local.value.b"), address("service.api/fly.app.app")]).await;
    let refused = refused.expect_err("it is held");
    assert_eq!(refused.code, Code::Locked, "{}", refused.message);
    let write = || Body::Intent(Box::new(intent(1, "local.value.b", Fields::new())));
    let _refused = run.append(vec![write()]).await.expect_err("nothing was leased");
    second.release().await.expect("released");
    run.lease_more(vec![address("local.value.b")]).await.expect("it is free");
    run.append(vec![write()]).await.expect("and may be written");
}

#[tokio::test]
async fn a_run_cannot_write_what_it_did_not_lease() {
    let mut state = State::memory("production", &World::real());
    let run = state.begin(header(&["local.value.a"])).await.expect("a run");
    let before = state.entries().await.expect("entries").len();
    let refused = run.append(vec![Body::Intent(Box::new(intent(1, "local.value.ab", Fields::new())))]).await;
    assert!(refused.expect_err("not leased").message.contains("did not lease local.value.ab"));
    assert_eq!(state.entries().await.expect("entries").len(), before, "nothing was written");
}

#[tokio::test]
async fn replacing_moving_and_removing_change_what_state_holds() {
    let mut state = State::memory("production", &World::real());
    create(&mut state, 1, "local.value.a").await;
    let run = state.begin(header(&["local.value.a", "local.value.z"])).await.expect("a run");
    let successor = intent(2, "local.value.a", fields(&[("input", Value::text("new"))]));
    run.append(vec![Body::Intent(Box::new(successor.clone()))]).await.expect("an intent");
    let record = Arc::new(record_of(&successor, Fields::new()));
    let writes = vec![RecordWrite::Depose(address("local.value.a")), RecordWrite::Put(record)];
    let result = OutcomeResult::Done { writes };
    let outcome = Outcome { operation: successor.operation, result, took: Duration::ZERO, requests: Vec::new() };
    run.append(vec![Body::Outcome(Box::new(outcome))]).await.expect("an outcome");
    let deposed = run.with_latest(|view| view.deposed[&address("local.value.a")][0].id).await;
    assert_eq!(deposed, RecordId([1; 16]));
    let write = |action: &str, writes| {
        Body::Write(Box::new(Write { action: action.into(), writes, causes: BTreeMap::new(), reason: None }))
    };
    let removed = RecordWrite::RemoveDeposed { address: address("local.value.a"), id: deposed };
    let moved = RecordWrite::Move { from: address("local.value.a"), to: address("local.value.z") };
    run.append(vec![write("destroy", vec![removed]), write("move", vec![moved])]).await.expect("writes");
    run.finish(revision()).await.expect("the run ends");
    for view in [state.again().await.expect("it opens").view(), run.with_latest(View::clone).await.as_ref()] {
        assert!(view.deposed.is_empty());
        assert_eq!(view.records.keys().map(Address::as_str).collect::<Vec<_>>(), ["local.value.z"]);
        let record = &view.records[&address("local.value.z")];
        assert_eq!((record.id, &record.instance), (RecordId([2; 16]), &record.address));
    }
}

impl AsRef<View> for View {
    fn as_ref(&self) -> &View {
        self
    }
}

#[tokio::test]
async fn without_its_key_a_state_with_secrets_does_not_open_and_says_why() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut state = disk(dir.path()).await.expect("a state");
    create(&mut state, 1, "local.value.a").await;
    let key = dir.path().join("key");
    let text = std::fs::read(&key).expect("a key");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&key).expect("a key").permissions().mode() & 0o777, 0o600);

    std::fs::remove_file(&key).expect("the key is lost");
    let error = disk(dir.path()).await.err().expect("no key");
    assert_eq!(error.code, Code::NoKey, "{}", error.message);
    assert!(error.message.contains("missing"), "{}", error.message);

    let other = tempfile::tempdir().expect("a directory");
    let mut another = disk(other.path()).await.expect("a state");
    create(&mut another, 1, "local.value.a").await;
    std::fs::copy(other.path().join("key"), &key).expect("another key");
    let error = disk(dir.path()).await.err().expect("not its key");
    assert_eq!(error.code, Code::NoKey, "{}", error.message);
    assert!(error.message.contains("do not fit"), "{}", error.message);

    std::fs::write(&key, b"{}").expect("a broken key");
    let error = disk(dir.path()).await.err().expect("no key at all");
    assert_eq!(error.code, Code::DamagedState, "{}", error.message);
    std::fs::write(&key, text).expect("the key is back");
    disk(dir.path()).await.expect("it opens again");
}

#[tokio::test]
async fn a_blob_opens_only_under_its_label_and_unaltered() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = disk(dir.path()).await.expect("a state");
    let sealed = state.seal_blob("plan", b"effects").expect("sealed");
    assert_eq!(state.open_blob("plan", &sealed).expect("opened"), b"effects");
    assert_eq!(state.open_blob("spill", &sealed).expect_err("another label").code, Code::DamagedPlan);
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        // The first bytes name the key: altered, they name one that nobody has.
        let code = if (1..5).contains(&at) { Code::NoKey } else { Code::DamagedPlan };
        assert_eq!(state.open_blob("plan", &altered).expect_err("altered").code, code, "byte {at}");
        assert_eq!(state.open_blob("plan", &sealed[..at]).expect_err("cut").code, Code::DamagedPlan, "byte {at}");
    }
}

/// How long 100,000 resources take, printed; run by name, in a release build:
/// `cargo test --release --lib state::tests::scale -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "it measures real time")]
async fn scale() {
    let count: u32 = 100_000;
    let dir = tempfile::tempdir().expect("a directory");
    let mut state = disk(dir.path()).await.expect("a state");
    let cpu = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
    };
    let before = std::cell::Cell::new(cpu());
    let time = |what: &str, started: std::time::Instant| {
        let spent = cpu() - before.replace(cpu());
        println!("{what:40} {:8.1} ms, cpu since the last line {spent:8.1} ms", started.elapsed().as_secs_f64() * 1e3);
    };
    let names: Vec<String> = (0..count).map(|at| format!("local.value.r{at:06}")).collect();
    let started = std::time::Instant::now();
    let run = state.begin(header(&names.iter().map(String::as_str).collect::<Vec<_>>())).await.expect("a run");
    time("begin", started);
    let started = std::time::Instant::now();
    for chunk in names.chunks(64) {
        let intents: Vec<Intent> = chunk.iter().map(|at| intent_at(at)).collect();
        let bodies = intents.iter().map(|it| Body::Intent(Box::new(it.clone()))).collect();
        run.append(bodies).await.expect("intents");
        let computed = |it: &Intent| fields(&[("id", Value::text(it.operation.token())), ("output", it.inputs["input"].clone())]);
        let bodies = intents.iter().map(|it| Body::Outcome(Box::new(done(it, computed(it))))).collect();
        run.append(bodies).await.expect("outcomes");
    }
    time("100,000 operations, batches of 64", started);
    let started = std::time::Instant::now();
    let whole = disk(dir.path()).await.expect("a state");
    time("open by folding the log", started);
    drop(whole);
    let started = std::time::Instant::now();
    run.finish(revision()).await.expect("it ends");
    time("finish, with snapshot and index", started);
    for _ in 0..3 {
        let started = std::time::Instant::now();
        let again = disk(dir.path()).await.expect("a state");
        assert_eq!(again.view().records.len(), count as usize);
        time("open from the snapshot", started);
    }
    let mut state = disk(dir.path()).await.expect("a state");
    for _ in 0..3 {
        let started = std::time::Instant::now();
        let run = state.begin(header(&["local.value.new"])).await.expect("a run");
        time("begin", started);
        let started = std::time::Instant::now();
        run.release().await.expect("released");
        time("release", started);
        let started = std::time::Instant::now();
        let run = state.begin(header(&names[..1000].iter().map(String::as_str).collect::<Vec<_>>())).await.expect("a run");
        let bodies: Vec<Body> = names[..1000]
            .iter()
            .map(|at| {
                let record = state.view().records[&address(at)].clone();
                let writes = vec![RecordWrite::Put(record)];
                Body::Write(Box::new(Write { action: "record".into(), writes, causes: BTreeMap::new(), reason: None }))
            })
            .collect();
        run.append(bodies).await.expect("writes");
        time("a revision of 1,000 changes, begun", started);
        let started = std::time::Instant::now();
        run.finish(revision()).await.expect("it ends");
        time("and finished", started);
        state.refresh().await.expect("read");
    }
    for entry in std::fs::read_dir(dir.path().join("production")).expect("a directory") {
        let entry = entry.expect("an entry");
        let size = match entry.path().is_dir() {
            false => entry.metadata().expect("a file").len(),
            true => std::fs::read_dir(entry.path())
                .expect("a directory")
                .map(|it| it.expect("it").metadata().expect("it").len())
                .sum(),
        };
        println!("{:40} {:8} KiB", entry.file_name().to_string_lossy(), size / 1024);
    }
}

fn intent_at(at: &str) -> Intent {
    let mut it = intent(0, at, fields(&[("input", Value::text(format!("the input of {at}")))]));
    it.operation = OperationId(World::real().random_id());
    it
}

#[tokio::test]
async fn the_index_may_be_behind_broken_or_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut state = disk(dir.path()).await.expect("a state");
    for at in 1..4 {
        create(&mut state, at, &format!("local.value.a{at}")).await;
    }
    state.rebuild().await.expect("a snapshot and an index");
    // One operation stays open in the index, and is settled behind it.
    for at in 4..6 {
        create(&mut state, at, &format!("local.value.a{at}")).await;
    }
    let entries = state.entries().await.expect("entries");
    let expected: Vec<_> = (1..7).map(|at| view::index::places_in(&entries, &address(&format!("local.value.a{at}")))).collect();
    assert_eq!(expected.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 2, 2, 0]);
    let places = async || {
        let state = disk(dir.path()).await.expect("it opens");
        let mut all = Vec::new();
        for at in 1..7 {
            all.push(state.places(&address(&format!("local.value.a{at}"))).await.expect("places"));
        }
        all
    };
    assert_eq!(places().await, expected, "behind");
    let log = dir.path().join("production");
    assert_eq!(view::index::agrees(&log, &entries), Some(true));
    assert_eq!(view::index::agrees(&log, &entries[..3]), Some(false), "it is of a longer log");

    // Held by another process.
    let held = sled::Config::new().path(log.join("index")).segment_size(32 << 10).open().expect("a database");
    assert_eq!(places().await, expected, "held");
    drop(held);
    assert!(log.join("index").exists(), "what another process uses is left alone");

    // Broken in any way: the answer is the same, since it is not believed.
    let database = log.join("index/db");
    let bytes = std::fs::read(&database).expect("a database");
    for at in (0..bytes.len()).step_by(bytes.len() / 24) {
        let mut broken = bytes.clone();
        broken[at..].iter_mut().take(8).for_each(|byte| *byte ^= 0x5a);
        state.rebuild().await.expect("an index");
        std::fs::write(&database, broken).expect("a broken database");
        assert_eq!(places().await, expected, "broken at {at}");
    }
    std::fs::remove_dir_all(log.join("index")).expect("it goes");
    assert_eq!(places().await, expected, "gone");
    assert_eq!(view::index::agrees(&log, &entries), None);
}

#[tokio::test]
async fn what_a_later_program_has_derived_is_not_read_and_made_again() {
    let root = tempfile::tempdir().expect("a directory");
    let mut state = disk(root.path()).await.expect("it opens");
    create(&mut state, 1, "local.value.a").await;
    state.rebuild().await.expect("a snapshot and an index");
    let whole = format!("{:?}", state.view());
    let snapshot = state.snapshot().await.expect("a snapshot");
    let text = String::from_utf8(snapshot.bytes.to_vec()).expect("text");
    let ours = format!("\"written_by\":\"{}\"", env!("CARGO_PKG_VERSION"));
    assert_eq!(text.matches(&ours).count(), 1);
    // It has folded something else, by a law that this program does not know.
    let later = text.replace(&ours, "\"written_by\":\"900.1.0\"").replace("v-1", "v-2");
    let kept = Snapshot { head: snapshot.head, bytes: later.into() };
    state.shared.store.keep_snapshot(kept.clone()).await.expect("kept");
    let index = sled::Config::new().path(root.path().join("production/index")).segment_size(32 << 10).open().expect("an index");
    index.insert("engine", "900.1.0").expect("written");
    index.flush().expect("written");
    drop(index);

    let mut state = disk(root.path()).await.expect("it opens");
    assert_eq!(format!("{:?}", state.view()), whole);
    let entries = state.entries().await.expect("whole");
    let facts = state.check_derived(&entries, Some((kept, None)), state.index_agrees(&entries));
    assert!(facts.len() == 1 && facts[0].0 && facts[0].1.contains("the later stackwright 900.1.0"), "{facts:?}");
    assert_eq!(state.places(&address("local.value.a")).await.expect("places").len(), 2);
    state.rebuild().await.expect("made again");
    assert!(view::snapshot::newer_writer(&state.snapshot().await.expect("a snapshot").bytes).is_none());
    let facts = state.check_derived(&entries, None, state.index_agrees(&entries));
    assert_eq!(facts, [(true, "index agrees with the log".to_owned())]);
}

/// A store that goes away when it is told to.
struct Away {
    inner: Memory,
    away: std::sync::atomic::AtomicBool,
}

#[async_trait::async_trait]
impl Store for Away {
    fn place(&self) -> String {
        "away".into()
    }

    async fn head(&self) -> Result<Option<Head>, StoreError> {
        self.inner.head().await
    }

    async fn append(&self, expected: Option<Head>, entries: Vec<Entry>) -> Result<Head, StoreError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(StoreError::Unreachable { place: self.place(), why: "no route".into() });
        }
        self.inner.append(expected, entries).await
    }

    async fn read(&self, from: Sequence) -> Result<Vec<Entry>, StoreError> {
        self.inner.read(from).await
    }

    async fn hold(&self, name: &str) -> Result<Box<dyn contract::Hold>, StoreError> {
        self.inner.hold(name).await
    }

    async fn liveness(&self, name: &str) -> Result<contract::Liveness, StoreError> {
        self.inner.liveness(name).await
    }

    async fn snapshot(&self) -> Option<Snapshot> {
        self.inner.snapshot().await
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.inner.keep_snapshot(snapshot).await
    }
}

#[tokio::test]
async fn an_outcome_that_the_store_does_not_take_is_kept_here_until_it_is_recorded() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    let store = Arc::new(Away { inner: Memory::default(), away: false.into() });
    let mut state = State::empty(store.clone(), "production", &World::real());
    state.keep_outcomes_in(dir.path().join("outcomes"));
    let run = state.begin(header(&["local.value.a", "local.value.b"])).await.expect("the run begins");
    let inputs = fields(&[("input", Value::text("hello"))]);
    let (one, other) = (intent(1, "local.value.a", inputs.clone()), intent(2, "local.value.b", inputs));
    run.append(vec![Body::Intent(Box::new(one.clone())), Body::Intent(Box::new(other.clone()))]).await.expect("intents");
    let said = fields(&[("id", Value::text("v-1")), ("password", Value::text("hunter2 said once").secret())]);
    store.away.store(true, Ordering::Relaxed);
    for intent in [&one, &other] {
        let error = run.append(vec![Body::Outcome(Box::new(done(intent, said.clone())))]).await.expect_err("it is away");
        assert!(error.notes.iter().any(|(_, note)| note.contains("is kept in")), "{error:?}");
    }
    drop(run);
    let kept = |count: usize| {
        let all: Vec<_> = walk(dir.path());
        assert_eq!(all.len(), count, "{all:?}");
        for path in &all {
            let bytes = std::fs::read(path).expect("a file");
            assert!(!String::from_utf8_lossy(&bytes).contains("hunter2") && !bytes.windows(3).any(|it| it == b"v-1"));
            assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        }
        all
    };
    let all = kept(2);

    // The next run here has what is whole of it, and each under its own name only.
    store.away.store(false, Ordering::Relaxed);
    let mut state = state.again().await.expect("it opens");
    let run = state.begin(header(&["local.value.a"])).await.expect("the next run");
    let open = run.unsettled();
    assert_eq!(open.len(), 2);
    let found = run.kept_outcome(&open[0]).expect("it is kept");
    let OutcomeResult::Done { writes } = &found.result else { panic!("{found:?}") };
    assert!(matches!(&writes[0], RecordWrite::Put(record) if record.computed == said), "{found:?}");
    std::fs::copy(&all[0], &all[1]).expect("exchanged");
    assert_eq!(open.iter().filter(|open| run.kept_outcome(open).is_some()).count(), 1);

    // It ends with its operation.
    let settle = |operation| {
        Body::Settled(Box::new(Settled { operation, how: Settlement::Absent, writes: Vec::new(), words: "r".into() }))
    };
    run.append(vec![settle(one.operation)]).await.expect("settled");
    kept(1);
    run.append(vec![settle(other.operation)]).await.expect("settled");
    kept(0);
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|it| it.path());
    let mut all: Vec<_> = entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect();
    all.sort();
    all
}
