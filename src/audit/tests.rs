mod tamper;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Finding, Trust, Verification, blame, diff, history, show, verify_log};
use crate::model::{Code, Value};
use crate::state::tests::{address, create, done, fields, header, intent, record_of, revision};
use crate::state::{Body, IntentCall, Outcome, OutcomeResult, RecordWrite, RunHeader, State};
use crate::world::World;

/// Three revisions: a is created; a is changed and b fails; b is created, a goes.
async fn story() -> State {
    let mut state = State::memory("production", &World::real());
    create(&mut state, 1, "local.value.a").await;

    let before = state.view().records[&address("local.value.a")].clone();
    let run = state.begin(RunHeader { who: "ci for jroy".into(), ..header(&["local.value.a", "local.value.b"]) });
    let run = run.await.expect("a run");
    let mut update = intent(2, "local.value.a", fields(&[("input", Value::text("changed"))]));
    update.before = Some(before.clone());
    (update.call, update.action) = (IntentCall::Update, "update".into());
    let failing = intent(3, "local.value.b", fields(&[("input", Value::text("b"))]));
    let intents = [&update, &failing].map(|it| Body::Intent(Box::new(it.clone())));
    run.append(intents.to_vec()).await.expect("intents");
    let mut record = record_of(&update, before.computed.clone());
    record.id = before.id;
    let result = OutcomeResult::Done { writes: vec![RecordWrite::Put(Arc::new(record))] };
    let requests = vec!["PATCH /v1/a 200 01HF".into()];
    let outcome = Outcome { operation: update.operation, result, took: Duration::from_millis(40), requests };
    let result = OutcomeResult::Failed { code: 610, words: "memory must be a multiple of 256".into() };
    let failed = Outcome { operation: failing.operation, result, took: Duration::ZERO, requests: Vec::new() };
    run.append(vec![Body::Outcome(Box::new(outcome)), Body::Outcome(Box::new(failed))]).await.expect("outcomes");
    run.finish(revision()).await.expect("it ends");
    state.refresh().await.expect("read");

    let before = state.view().records[&address("local.value.a")].clone();
    let run = state.begin(header(&["local.value.a", "local.value.b"])).await.expect("a run");
    let mut destroy = intent(4, "local.value.a", fields(&[]));
    (destroy.call, destroy.action, destroy.before) = (IntentCall::Delete, "destroy".into(), Some(before));
    let again = intent(5, "local.value.b", fields(&[("input", Value::text("b"))]));
    let bodies = [&again, &destroy].map(|it| Body::Intent(Box::new(it.clone())));
    run.append(bodies.to_vec()).await.expect("intents");
    let result = OutcomeResult::Done { writes: vec![RecordWrite::Remove(address("local.value.a"))] };
    let gone = Outcome { operation: destroy.operation, result, took: Duration::ZERO, requests: Vec::new() };
    let made = done(&again, fields(&[("id", Value::text("v-2"))]));
    run.append(vec![Body::Outcome(Box::new(made)), Body::Outcome(Box::new(gone))]).await.expect("outcomes");
    let outputs = fields(&[("url", Value::text("https://b"))]);
    run.finish(crate::state::Revision { outputs, ..revision() }).await.expect("it ends");
    state.refresh().await.expect("read");
    state
}

#[tokio::test]
async fn history_tells_who_did_what_and_of_one_resource_only_its_own() {
    let state = story().await;
    let all = history(&state, &[]).await.expect("history");
    let line = |it: &super::Past| (it.revision.number, it.run.who.clone(), it.revision.plan.clone());
    let plan = Some("7f3a9c21".to_owned());
    let expected = [(1, "dkim", &plan), (2, "ci for jroy", &plan), (3, "dkim", &plan)];
    assert_eq!(all.iter().map(line).collect::<Vec<_>>(), expected.map(|(n, who, plan)| (n, who.to_owned(), plan.clone())));
    let of_b = history(&state, &[address("local.value.b")]).await.expect("history");
    assert_eq!(of_b.iter().map(|it| it.revision.number).collect::<Vec<_>>(), [2, 3]);
    assert!(history(&state, &[address("local.value.none")]).await.expect("history").is_empty());
}

#[tokio::test]
async fn a_revision_is_shown_as_its_apply_went() {
    let state = story().await;
    let detail = show(&state, 2).await.expect("revision 2");
    assert_eq!((detail.revision.number, detail.run.who.as_str(), detail.changes.len()), (2, "ci for jroy", 2));
    let [a, b] = &detail.changes[..] else { panic!("two changes") };
    assert_eq!((&*a.action, a.failed.is_none(), a.calls[0].requests[0].as_str()), ("update", true, "PATCH /v1/a 200 01HF"));
    let fields: Vec<_> = a.fields.iter().map(|it| (&*it.name, it.before.clone(), it.after.clone())).collect();
    let input = ("input", Some(Value::text("hello")), Some(Value::text("changed")));
    assert_eq!(fields[0], input);
    assert_eq!(a.fields[0].cause.as_deref(), Some("shop.stack:3:11"));
    assert_eq!((fields[1].0, fields[1].2.is_none()), ("password", true));
    assert!(a.fields[1].before.as_ref().is_some_and(|it| it.mark.secret), "a secret stays one");
    assert_eq!(b.failed.as_ref().map(|(code, _)| *code), Some(610));
    assert!(b.after.is_none() && b.fields.is_empty());
    let third = show(&state, 3).await.expect("revision 3");
    assert_eq!(third.outputs.len(), 1);
    assert_eq!(third.changes.iter().map(|it| &*it.action).collect::<Vec<_>>(), ["destroy", "create"]);
    assert_eq!(show(&state, 9).await.expect_err("no such revision").code, Code::Usage);
}

#[tokio::test]
async fn two_revisions_are_compared_in_either_direction() {
    let state = story().await;
    let actions = |changed: Vec<super::Changed>| -> Vec<(String, String)> {
        changed.into_iter().map(|it| (it.action.to_string(), it.address.to_string())).collect()
    };
    let pair = |action: &str, at: &str| (action.to_owned(), at.to_owned());
    let (changed, outputs) = diff(&state, 0, 3).await.expect("a diff");
    assert_eq!(actions(changed), [pair("create", "local.value.b")]);
    assert_eq!(outputs[0].after, Some(Value::text("https://b")));
    let (changed, _) = diff(&state, 1, 2).await.expect("a diff");
    assert_eq!(actions(changed), [pair("update", "local.value.a")]);
    let (changed, _) = diff(&state, 3, 1).await.expect("a diff");
    assert_eq!(actions(changed), [pair("create", "local.value.a"), pair("destroy", "local.value.b")]);
    let (changed, outputs) = diff(&state, 2, 2).await.expect("a diff");
    assert!(changed.is_empty() && outputs.is_empty());
    assert_eq!(diff(&state, 1, 4).await.err().map(|it| it.code), Some(Code::Usage));
}

#[tokio::test]
async fn each_attribute_names_the_revision_that_made_it_so() {
    let mut state = State::memory("production", &World::real());
    create(&mut state, 1, "local.value.a").await;
    let before = state.view().records[&address("local.value.a")].clone();
    let run = state.begin(RunHeader { who: "ci".into(), ..header(&["local.value.a"]) }).await.expect("a run");
    let mut update = intent(2, "local.value.a", before.inputs.clone());
    update.inputs.insert("input".into(), Value::text("changed"));
    (update.call, update.before) = (IntentCall::Update, Some(before.clone()));
    update.causes = BTreeMap::from([("input".into(), "--input".into())]);
    run.append(vec![Body::Intent(Box::new(update.clone()))]).await.expect("an intent");
    let mut record = record_of(&update, before.computed.clone());
    record.id = before.id;
    let result = OutcomeResult::Done { writes: vec![RecordWrite::Put(Arc::new(record))] };
    let outcome = Outcome { operation: update.operation, result, took: Duration::ZERO, requests: Vec::new() };
    run.append(vec![Body::Outcome(Box::new(outcome))]).await.expect("an outcome");
    run.finish(revision()).await.expect("it ends");
    state.refresh().await.expect("read");
    let blamed = blame(&state, &address("local.value.a")).await.expect("blame");
    let lines: Vec<_> = blamed.iter().map(|it| (&*it.field, it.revision, it.who.as_str(), it.place.as_deref())).collect();
    assert_eq!(
        lines,
        [
            ("id", Some(1), "dkim", None),
            ("input", Some(2), "ci", Some("--input")),
            ("password", Some(1), "dkim", None),
            ("size", Some(1), "dkim", None),
        ]
    );
    assert_eq!(blame(&state, &address("local.value.b")).await.expect_err("nothing there").code, Code::NotFound);
}

async fn verify(root: &std::path::Path, environment: &str, world: &World) -> Verification {
    let store = State::local_store(root, environment).expect("a name");
    verify_log(&State::unread(store, root, environment, world), &Trust::default()).await
}

#[tokio::test]
async fn verify_finds_what_is_wrong_and_says_what_is_well() {
    assert!(verify_log(&story().await, &Trust::default()).await.holds());

    let dir = tempfile::tempdir().expect("a directory");
    let world = World::real();
    let fresh = verify(dir.path(), "production", &world).await;
    assert!(fresh.holds() && fresh.head.is_none());
    let mut state = State::open_local(dir.path(), "production", &world).await.expect("a state");
    for at in 1..4 {
        create(&mut state, at, &format!("local.value.a{at}")).await;
    }
    state.rebuild().await.expect("a snapshot and an index");
    let whole = verify(dir.path(), "production", &world).await;
    let words = |it: &Verification| it.checks.iter().map(|it| it.words.clone()).collect::<Vec<_>>().join("\n");
    assert!(whole.holds(), "{}", words(&whole));
    for part in ["3 revisions", "hash chain unbroken", "no secret in clear", "snapshot of entry", "index agrees"] {
        assert!(words(&whole).contains(part), "{part:?} is not in {}", words(&whole));
    }

    let log = dir.path().join("production/000000000001.log");
    let bytes = std::fs::read(&log).expect("a log");
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 4;
    std::fs::write(&log, flipped).expect("a log");
    let damaged = verify(dir.path(), "production", &world).await;
    assert!(!damaged.holds());
    let diagnostic = damaged.first_failure().and_then(|it| it.diagnostic.as_ref()).expect("why");
    assert_eq!(diagnostic.code, Code::DamagedState);
    assert_eq!(State::open_local(dir.path(), "production", &world).await.err().map(|it| it.code), Some(Code::DamagedState));
    std::fs::write(&log, bytes).expect("a log");

    // What is derived is judged by the log, and made again.
    let snapshot = dir.path().join("production/snapshot");
    let mut bytes = std::fs::read(&snapshot).expect("a snapshot");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&snapshot, bytes).expect("a snapshot");
    let judged = verify(dir.path(), "production", &world).await;
    assert!(judged.holds() && words(&judged).contains("the snapshot cannot be read"), "{}", words(&judged));
    assert!(judged.checks.iter().any(|it| it.finding == Finding::Remark));
    let mut state = State::open_local(dir.path(), "production", &world).await.expect("it opens without it");
    state.rebuild().await.expect("made again");
    assert!(verify(dir.path(), "production", &world).await.holds());
}
