//! The format, held by files: `fixtures/state/log.txt` shows every kind of entry as it is written, and `fixtures/state/v1` is a
//! log on disk, with its key, that every later version has to read. `ACCEPT=1` writes them anew; read the difference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::audit::{Trust, verify_log};
use crate::model::desired::EdgeReason;
use crate::model::value::Network;
use crate::model::verdict::{Level, PolicyResult};
use crate::model::{Data, Digest, ProviderName, RecordEdge, RecordId, Value};
use crate::state::State;
use crate::state::log::key::{Holder, KeyChange, Wrap};
use crate::state::sign::SigningKey;
use crate::state::tests::{address, fields, header, intent, record_of, revision};
use crate::state::view::snapshot;
use crate::world::{Clock, Random, World};

/// Time stands still, and chance counts.
#[derive(Default)]
struct Still(AtomicU8);

#[async_trait]
impl Clock for Still {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_763_793_660).expect("a time")
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {}
}

impl Random for Still {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.0.fetch_add(1, Ordering::Relaxed));
    }
}

fn still() -> World {
    World { clock: Arc::new(Still::default()), random: Arc::new(Still::default()) }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/state").join(name)
}

fn accepting() -> bool {
    std::env::var_os("ACCEPT").is_some()
}

/// One entry of every kind, and values of every kind.
async fn everything(state: &mut State) {
    let mut near = Value::text("redis.internal");
    near.mark.within = Some(Arc::new(Network { name: "fly/acme".into(), output: "cache.main.url".into() }));
    let inputs = fields(&[
        ("every", Value::engine(Data::Duration(30_000_000_000))),
        ("limit", Value::engine(Data::Money("12.50".parse().expect("a decimal"), "USD".into()))),
        ("password", Value::text("correct horse").secret()),
        ("ratio", Value::engine(Data::Number("1.50".parse().expect("a decimal")))),
        ("tags", Value::map(fields(&[("$odd", Value::bool(true)), ("plain", Value::list(vec![Value::int(-1), Value::null()]))]))),
        ("url", near),
    ]);
    let run = state.begin(header(&["local.value.a", "local.value.b", "local.value.c"])).await.expect("a run");
    let mut first = intent(1, "local.value.a", inputs.clone());
    first.ids_before = vec!["v-0".into()];
    first.effect = Some(Digest([5; 32]));
    let append = async |bodies| run.append(bodies).await.expect("entries");
    append(vec![Body::Intent(Box::new(first.clone()))]).await;
    append(vec![
        Body::Accepted { operation: first.operation, id: "op-9".into() },
        Body::Attempt { operation: first.operation, words: "asked to come back".into() },
    ])
    .await;
    let mut record = record_of(&first, fields(&[("id", Value::text("v-1"))]));
    record.edges = vec![RecordEdge { to: address("local.value.b"), reason: EdgeReason::Reference }];
    (record.protect, record.generation, record.replace_on) = (true, 2, vec![Value::int(1)]);
    let result = OutcomeResult::Done { writes: vec![RecordWrite::Put(Arc::new(record))] };
    let requests = vec!["POST /v1/a 201 01HF".to_owned()];
    let outcome = Outcome { operation: first.operation, result, took: Duration::from_millis(12), requests };
    let second = intent(2, "local.value.b", fields(&[]));
    append(vec![Body::Outcome(Box::new(outcome)), Body::Intent(Box::new(second.clone()))]).await;
    let result = OutcomeResult::Failed { code: 610, words: "no".into() };
    let failed = Outcome { operation: second.operation, result, took: Duration::ZERO, requests: Vec::new() };
    let third = intent(3, "local.value.c", fields(&[]));
    append(vec![Body::Outcome(Box::new(failed)), Body::Intent(Box::new(third.clone()))]).await;
    append(vec![Body::Renew { addresses: vec![address("local.value.d")] }]).await;
    let adopted = RecordWrite::Put(Arc::new(record_of(&third, fields(&[]))));
    let settled =
        Settled { operation: third.operation, how: Settlement::Adopted, writes: vec![adopted], words: "by its token".into() };
    append(vec![Body::Settled(Box::new(settled))]).await;
    let moved = RecordWrite::Move { from: address("local.value.c"), to: address("local.value.d") };
    let deposed = vec![RecordWrite::Depose(address("local.value.d"))];
    let gone = RecordWrite::RemoveDeposed { address: address("local.value.d"), id: RecordId([3; 16]) };
    let absent = RecordWrite::Remove(address("local.value.b"));
    for (action, writes) in [("move", vec![moved]), ("record", deposed), ("forget", vec![gone, absent])] {
        let reason = (action == "forget").then(|| "no longer ours".into());
        append(vec![Body::Write(Box::new(Write { action: action.into(), writes, causes: BTreeMap::new(), reason }))]).await;
    }
    // Its wrap opens for nobody: what age writes is another one each time.
    let wrap = Wrap { key: state.view().keys.current.expect("a key"), recipient: "age1ci".into(), sealed: vec![1, 2, 3] };
    let holder = Holder { name: "ci".into(), recipient: "age1ci".into(), locked: Some(vec![4, 5]) };
    let added =
        KeyChange { who: "dkim".into(), reason: "for ci".into(), add: vec![holder], wraps: vec![wrap], ..KeyChange::default() };
    append(vec![
        Body::Plan { id: "7f3a9c21".into(), effects: Digest([9; 32]), who: "ci".into() },
        Body::Approval { plan: "7f3a9c21".into(), effects: Digest([9; 32]), who: "mlopez".into() },
        Body::Key(Box::new(added)),
        Body::Restore(Restored { who: "dkim".into(), reason: "drill".into(), ..Restored::default() }),
    ])
    .await;
    let outputs = fields(&[("dsn", Value::text("postgres://secret").secret()), ("url", Value::text("https://a"))]);
    let full = Revision {
        outputs,
        result: RunResult::PartWay,
        effects: Some(Digest([9; 32])),
        approved_by: vec!["mlopez".into()],
        failed: vec![(address("local.value.b"), 610, "no".into())],
        not_started: vec![(address("local.value.c"), "it waits for local.value.b".into())],
        reason: Some("release 42".into()),
        policies: vec![JudgedPolicy {
            policy: "backups".into(),
            level: Level::Deny,
            result: PolicyResult::Passed,
            control: vec!["SOC2 A1.2".into()],
            findings: vec![("local.value.a".into(), "excepted".into(), "no backup".into())],
            exceptions: vec![("local.value.a".into(), "rebuilt from events".into())],
        }],
        ..revision()
    };
    run.finish(full).await.expect("the run ends");
    state.refresh().await.expect("read");
    let run = state.begin(header(&["local.value.e"])).await.expect("a run");
    let open = intent(4, "local.value.e", fields(&[("input", Value::text("open"))]));
    run.append(vec![Body::Intent(Box::new(open))]).await.expect("an intent");
    drop(run);
    state.refresh().await.expect("read");
    let run = state.begin(header(&["local.value.e"])).await.expect("a run that takes over");
    run.release().await.expect("released");
    state.refresh().await.expect("read");
    state.sign_with(Arc::new(SigningKey::of_seed(&[7; 32])));
    let run = state.begin(header(&[])).await.expect("a run that changes the signers");
    let change = SignerChange {
        action: SignerAction::Add,
        key: SigningKey::of_seed(&[7; 32]).public(),
        name: "ci".into(),
        reason: "the pipeline signs".into(),
        who: "dkim".into(),
        by: None,
    };
    run.append(vec![Body::Signer(Box::new(change))]).await.expect("a signer");
    run.finish(revision()).await.expect("the run ends");
    state.refresh().await.expect("read");
}

/// How providers are reached, and a secret that a run opens: kinds that came after `v1-signed`.
async fn providers(state: &mut State) {
    let run = state.begin(header(&[])).await.expect("a run");
    let settings = fields(&[("org", Value::text("acme")), ("token", Value::text("correct horse battery").secret())]);
    let provider = |name: &str, settings| Body::Provider(ProviderSettings { name: ProviderName::parse(name), settings });
    let revealed = Revealed {
        place: "shop.stack:39:20".into(),
        reason: "the old importer takes no file".into(),
        instance: Some(address("service.api")),
        who: "ci".into(),
    };
    let bodies = vec![
        provider("fly", settings.clone()),
        provider("fly.eu", fields(&[("org", Value::text("acme-eu")), ("token", settings["token"].clone())])),
        Body::Reveal(revealed),
    ];
    run.append(bodies).await.expect("entries");
    run.finish(revision()).await.expect("the run ends");
    state.refresh().await.expect("read");
}

#[tokio::test]
async fn every_kind_of_entry_has_its_bytes() {
    let mut state = State::memory("production", &still());
    everything(&mut state).await;
    providers(&mut state).await;
    let entries = state.entries().await.expect("entries");
    let mut shown = String::new();
    for entry in &entries {
        let header = &entry.header;
        let body = String::from_utf8(entry.body.to_vec()).expect("JSON is UTF-8");
        let _ = writeln!(
            shown,
            "{} {} epoch {} run {} at {}",
            header.sequence, header.kind, header.epoch, header.run, header.time_ms
        );
        let _ = writeln!(shown, "  {body}\n  {}", entry.hash());
    }
    let kinds: std::collections::BTreeSet<_> = entries.iter().map(|entry| entry.header.kind.as_str()).collect();
    assert_eq!(kinds.len(), 20, "{kinds:?}");
    let path = fixture("log.txt");
    if accepting() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(&path, &shown).expect("a fixture");
    }
    let expected = std::fs::read_to_string(&path).expect("the fixture");
    for (at, (expected, shown)) in expected.lines().zip(shown.lines()).enumerate() {
        assert_eq!(shown, expected, "line {}", at + 1);
    }
    assert_eq!(shown.len(), expected.len());
    // What is read is what was said.
    let again = state.again().await.expect("it reads");
    assert_eq!(snapshot::fingerprint(again.view()), snapshot::fingerprint(state.view()));
    assert!(again.view().void.is_empty(), "{:?}", again.view().void);
}

#[tokio::test]
async fn a_log_of_the_first_format_is_read_by_this_version() {
    // Never written anew: it is what a program wrote that is in the past.
    let root = fixture("v1");
    let state = State::open_local(&root, "production", &still()).await.expect("it opens");
    let view = state.view();
    assert_eq!((view.revision, view.run, view.records.len(), view.open.len()), (1, 3, 1, 1));
    let record = &view.records[&address("local.value.a")];
    assert_eq!(record.inputs["password"], Value::text("correct horse"));
    assert_eq!(record.inputs["url"].mark.within.as_ref().map(|it| it.name.to_string()).as_deref(), Some("fly/acme"));
    assert_eq!(view.outputs["dsn"], Value::text("postgres://secret"));
    assert_eq!(view.last.as_ref().map(|it| it.result), Some(RunResult::PartWay));
    assert!(!root.join("production/append.lock").exists(), "reading wrote nothing");
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        match entry.path().is_dir() {
            true => copied(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy")),
        }
    }
}

/// `v1` was written before revisions were signed, `v1-signed` by the version that signs them, `v1-providers` by the one that keeps how
/// providers are reached; each holds every kind of entry of its
/// time. They open, verify, and are written on; a state that is written anew is missing here first.
#[tokio::test]
async fn states_of_past_versions_open_verify_and_go_on() {
    let latest = fixture("v1-providers");
    if accepting() && !latest.exists() {
        let mut state = State::open_local(&latest, "production", &still()).await.expect("a state");
        everything(&mut state).await;
        providers(&mut state).await;
        for derived in ["index", "snapshot", "runs", "append.lock"] {
            let path = latest.join("production").join(derived);
            let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
    }
    let all = [
        ("v1", 1, "not signed", 0),
        ("v1-signed", 2, "1 signature by 1 known key (ci)", 0),
        ("v1-providers", 3, "2 signatures by 1 known key (ci)", 2),
    ];
    for (name, revisions, signatures, reached) in all {
        let dir = tempfile::tempdir().expect("a directory");
        copied(&fixture(name), dir.path());
        let mut state = State::open_local(dir.path(), "production", &World::real()).await.expect("it opens");
        assert_eq!((state.view().revision, state.view().providers.len()), (revisions, reached), "{name}");
        for settings in state.view().providers.values() {
            assert_eq!(settings["token"], Value::text("correct horse battery"), "{name}: it opens with its key");
        }
        let before = state.entries().await.expect("entries");
        let verified = verify_log(&state, &Trust::default()).await;
        assert!(verified.holds(), "{name}: {:?}", verified.checks);
        assert!(verified.checks.iter().any(|it| it.words.contains(signatures)), "{name}: {:?}", verified.checks);
        state.sign_with(Arc::new(SigningKey::of_seed(&[7; 32])));
        crate::state::tests::create(&mut state, 9, "local.value.new").await;
        let after = state.entries().await.expect("entries");
        assert_eq!(after[..before.len()], before, "{name}: what was there stays as it was");
        let verified = verify_log(&state, &Trust::default()).await;
        assert!(verified.holds(), "{name}: {:?}", verified.checks);
    }
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_an_error_or_void_and_never_a_panic() {
    let mut state = State::memory("production", &still());
    everything(&mut state).await;
    let entries = state.entries().await.expect("entries");
    let mut refused = 0;
    for (nth, entry) in entries.iter().enumerate() {
        let step = entry.body.len() / 24 + 1;
        for at in (0..entry.body.len()).step_by(step) {
            for bytes in [&entry.body[..at], &[&entry.body[..at], b"9", &entry.body[at + 1..]].concat()] {
                let mut hostile = entries.clone();
                hostile[nth].body = bytes.to_vec().into();
                match state.replay(&hostile, |_, _, _| {}) {
                    Err(_) => refused += 1,
                    Ok(view) => drop(view),
                }
            }
        }
    }
    assert!(refused > entries.len() * 10, "{refused} of the hostile bodies were refused");
}

#[tokio::test]
async fn kinds_of_a_newer_minor_version_are_kept_and_have_no_effect() {
    let mut state = State::memory("production", &still());
    crate::state::tests::create(&mut state, 1, "local.value.a").await;
    let entries = state.entries().await.expect("entries");
    let before = state.replay(&entries, |_, _, _| {}).expect("a view");
    let mut newer = entries.last().expect("an entry").clone();
    newer.header.kind = "telepathy".into();
    newer.body = r#"{"new":true}"#.into();
    let mut seen = Vec::new();
    let with_newer = [entries, vec![newer]].concat();
    let after = state.replay(&with_newer, |_, entry, body| seen.push((entry.header.kind.clone(), body.kind().to_owned())));
    let after = after.expect("it folds");
    assert_eq!(seen.last(), Some(&("telepathy".to_owned(), "telepathy".to_owned())));
    assert_eq!(after.records, before.records);
    assert_eq!(after.void, before.void);
}
