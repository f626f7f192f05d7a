//! An apply against a platform in memory, over a state in memory, with a clock that jumps.

mod gates;
mod recovery;
mod require;
mod rig;

use std::sync::atomic::Ordering;
use std::time::Duration;

use rig::{Fault, Rig};

use super::*;
use crate::model::schema::ReplaceOrder;
use crate::model::{Code, Origin, SourceId, Span};
use crate::plan::tests::world::{act, address, app, attribute, map, zone};
use crate::state::RunResult;

fn refuse(words: &str) -> Fault {
    Fault::Refuse { field: None, words: words.into() }
}

#[tokio::test]
async fn a_plan_is_made_in_order_and_leaves_nothing_to_do() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.declared.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    rig.declared.declare(act("m").with("command", attribute("test.app.b", "revision")));
    rig.declared.output("id", attribute("test.app.b", "id"));
    let ran = rig.apply().await;
    assert_eq!(ran.words(), ["done test.act.m", "done test.app.a", "done test.app.b"]);
    assert_eq!(rig.platform.calls(), ["create test.app.a", "create test.app.b", "create test.act.m"]);
    let records = &rig.state.view().records;
    assert_eq!(records[&address("test.app.b")].inputs["note"], Value::text("id-1"));
    assert_eq!(records[&address("test.app.b")].edges[0].to, address("test.app.a"));
    assert_eq!(ran.outcome.outputs["id"], Value::text("id-2"));
    assert_eq!((ran.outcome.result(), ran.outcome.counts["create"], ran.outcome.counts["run"]), (RunResult::Done, 2, 1));
    assert!(rig.plan().is_empty(), "{:#?}", rig.plan().changes);
}

#[tokio::test]
async fn what_was_told_was_durable_before() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    let ran = rig.apply().await;
    let kinds: Vec<&str> = ran
        .events
        .iter()
        .map(|event| match event {
            Event::Laid { .. } => "laid",
            Event::Started { .. } => "started",
            Event::Done { .. } => "done",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["laid", "started", "done"]);
    let entries = rig.state.entries().await.unwrap();
    let log: Vec<&str> = entries.iter().map(|entry| entry.header.kind.as_str()).collect();
    assert_eq!(log, ["genesis", "lease", "intent", "outcome", "revision"]);
}

#[tokio::test]
async fn independent_work_goes_on_after_a_failure_and_the_rest_says_for_what_it_waits() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.declared.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    rig.declared.declare(app("c").with("name", "z").with("note", attribute("test.app.b", "id")));
    rig.declared.declare(app("d").with("name", "d"));
    rig.declared.output("c", attribute("test.app.c", "id"));
    rig.platform.meets("create test.app.b", [refuse("no more room")]);
    let ran = rig.apply().await;
    let expected = [
        "done test.app.a",
        "done test.app.d",
        "failed test.app.b SW0610",
        "not started test.app.c: it waits for `test.app.b`, which failed",
    ];
    assert_eq!(ran.words(), expected);
    assert_eq!(ran.outcome.result(), RunResult::PartWay);
    assert!(ran.outcome.outputs.is_empty());
    let ran = rig.apply().await;
    assert_eq!(ran.words(), ["done test.app.b", "done test.app.c"], "it carries on from there");
    assert!(rig.plan().is_empty());
}

#[tokio::test]
async fn destroys_come_last_and_not_after_a_failure() {
    let mut rig = Rig::new();
    rig.declared.declare(app("old").with("name", "o"));
    rig.apply().await;
    rig.declared.remove("test.app.old");
    rig.declared.declare(app("a").with("name", "x"));
    rig.platform.meets("create test.app.a", [refuse("no")]);
    let ran = rig.apply().await;
    assert_eq!(ran.words()[1], "not started test.app.old: destroys come last, and `test.app.a` failed");
    rig.apply().await;
    assert_eq!(rig.platform.names(), ["x"]);
}

fn replaced(order: ReplaceOrder, name: &str, region: &str) -> crate::plan::tests::world::Declared {
    let mut it = app("a").with("name", name).with("region", region);
    it.0.lifecycle.replace = Some(order);
    it
}

#[tokio::test]
async fn a_replacement_that_creates_first_moves_its_users_before_it_destroys() {
    let mut rig = Rig::new();
    rig.declared.declare(replaced(ReplaceOrder::CreateFirst, "x", "cdg"));
    rig.declared.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    rig.apply().await;
    rig.platform.calls.lock().unwrap().clear();
    rig.declared.redeclare(replaced(ReplaceOrder::CreateFirst, "x2", "fra"));
    let ran = rig.apply().await;
    assert!(ran.outcome.is_complete(), "{:?}", ran.words());
    assert_eq!(rig.platform.calls(), ["create test.app.a", "update test.app.b", "delete test.app.a"]);
    assert_eq!(rig.platform.names(), ["x2", "y"]);
    assert!(rig.state.view().deposed.values().all(Vec::is_empty));
    assert!(rig.plan().is_empty());
}

#[tokio::test]
async fn a_replacement_that_destroys_first_creates_before_its_users_are_updated() {
    let mut rig = Rig::new();
    rig.declared.declare(replaced(ReplaceOrder::DestroyFirst, "x", "cdg"));
    rig.declared.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    rig.apply().await;
    rig.platform.calls.lock().unwrap().clear();
    rig.declared.redeclare(replaced(ReplaceOrder::DestroyFirst, "x", "fra"));
    rig.apply().await;
    assert_eq!(rig.platform.calls(), ["delete test.app.a", "create test.app.a", "update test.app.b"]);
    assert!(rig.plan().is_empty());
}

#[tokio::test]
async fn what_a_replacement_owes_is_destroyed_by_the_next_run() {
    let mut rig = Rig::new();
    rig.declared.declare(replaced(ReplaceOrder::CreateFirst, "x", "cdg"));
    rig.apply().await;
    rig.declared.redeclare(replaced(ReplaceOrder::CreateFirst, "x2", "fra"));
    rig.platform.meets("delete test.app.a", [refuse("still in use")]);
    let ran = rig.apply().await;
    assert_eq!(ran.words(), ["failed test.app.a SW0610"]);
    assert_eq!(rig.platform.names(), ["x", "x2"]);
    let ran = rig.apply().await;
    assert_eq!(ran.words(), ["done test.app.a"]);
    assert_eq!(rig.platform.names(), ["x2"]);
    assert!(rig.plan().is_empty());
}

#[tokio::test]
async fn an_unknown_that_turns_out_the_same_needs_no_call_and_one_that_does_not_replaces() {
    let user = || app("b").with("name", "y").with("region", attribute("test.app.a", "revision"));
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.declared.declare(user());
    rig.apply().await;
    rig.platform.calls.lock().unwrap().clear();
    // `revision` is another one after each update: the user is replaced.
    rig.declared.redeclare(app("a").with("name", "x").with("note", "1"));
    let plan = rig.plan();
    assert!(plan.changes[1].maybe_replace);
    let ran = rig.apply().await;
    assert!(ran.outcome.is_complete(), "{:?}", ran.outcome.failed);
    assert_eq!(rig.platform.calls(), ["update test.app.a", "delete test.app.b", "create test.app.b"]);
    assert!(rig.plan().is_empty());
    // Now it turns out to be what it was.
    let revision = rig.state.view().records[&address("test.app.a")].computed["revision"].clone();
    rig.platform.calls.lock().unwrap().clear();
    rig.declared.redeclare(app("a").with("name", "x").with("token", revision.secret()));
    *rig.platform.echo.lock().unwrap() = false;
    let plan = rig.plan();
    assert_eq!(plan.changes[0].action.word(), "replace");
    let ran = rig.apply().await;
    assert!(ran.outcome.is_complete(), "{:?}", ran.outcome.failed);
    assert!(rig.plan().is_empty());
}

#[tokio::test]
async fn a_guard_holds_when_only_the_apply_knows_that_it_is_a_replacement() {
    let user = || {
        let mut it = app("b").with("name", "y").with("region", attribute("test.app.a", "revision"));
        it.0.lifecycle.protect = true;
        it
    };
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.declared.declare(user());
    rig.apply().await;
    rig.declared.redeclare(app("a").with("name", "x").with("note", "1"));
    let ran = rig.apply().await;
    assert_eq!(ran.words(), ["done test.app.a", "failed test.app.b SW0612"]);
    assert_eq!(rig.platform.names(), ["x", "y"]);
}

#[tokio::test]
async fn records_change_without_a_call() {
    let guarded = |protect| {
        let mut it = app("a").with("name", "x");
        it.0.lifecycle.protect = protect;
        it
    };
    let mut rig = Rig::new();
    rig.declared.declare(guarded(true));
    rig.apply().await;
    rig.declared.redeclare(guarded(false));
    rig.apply().await;
    assert!(!rig.state.view().records[&address("test.app.a")].protect);
    let id = rig.state.view().records[&address("test.app.a")].id;
    rig.declared.remove("test.app.a");
    rig.declared.declare(app("n").with("name", "x").with("note", "1"));
    rig.declared.moved = vec![(address("test.app.a"), address("test.app.n"), Span::ENGINE)];
    let ran = rig.apply().await;
    assert_eq!(ran.words(), ["done test.app.n", "done test.app.n"]);
    assert_eq!(rig.state.view().records[&address("test.app.n")].id, id, "it is the same record");
    rig.declared.moved.clear();
    rig.declared.remove("test.app.n");
    rig.declared.forget = vec![(address("test.app.n"), Span::ENGINE)];
    rig.apply().await;
    assert_eq!(rig.platform.calls(), ["create test.app.a", "update test.app.n"]);
    assert_eq!((rig.state.view().records.len(), rig.platform.names()), (0, vec!["x".to_owned()]));
}

#[tokio::test]
async fn data_is_read_during_the_apply() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.declared.declare(zone("z").with("name", attribute("test.app.a", "id")));
    rig.declared.declare(app("b").with("name", "y").with("note", attribute("test.zone.z", "id")));
    let ran = rig.apply().await;
    assert!(ran.outcome.is_complete(), "{:?}", ran.outcome.failed);
    assert_eq!(rig.state.view().records[&address("test.app.b")].inputs["note"], Value::text("zone of id-1"));
    rig.declared.declare(zone("none").with("name", "nobody"));
    let ran = rig.apply().await;
    assert!(ran.words().contains(&"failed test.zone.none SW0505".to_owned()), "{:?}", ran.words());
}

#[tokio::test]
async fn a_refusal_is_brought_back_to_its_line() {
    let mut rig = Rig::new();
    let text = "app a { env = { MEMORY = \"300\" }, note = \"weird-note\" }";
    let source = rig.sources.add("shop.stack", text, Origin::File);
    let at = |part: &str| Span::new(source, text.find(part).unwrap(), text.find(part).unwrap() + part.len());
    let declared = || {
        let env = map([("MEMORY", Value::text("300").at(at("\"300\"")))]).at(at("{ MEMORY"));
        let mut it = app("a").with("name", "x").with("env", env).with("note", Value::text("weird-note").at(at("\"weird-note\"")));
        it.0.called_at = at("app a");
        it.with("token", Value::text("very-secret-token").secret())
    };
    rig.declared.declare(declared());
    let refused = |field, words: &str| Fault::Refuse { field, words: words.to_owned() };
    let faults = [
        refused(Some("config.env.MEMORY"), "memory must be a multiple of 256"),
        refused(None, "weird-note is not a note"),
        refused(Some("unheard_of"), "no\u{1b}[31m \u{202e}way"),
        refused(None, "very-secret-token is too short"),
    ];
    rig.platform.meets("create test.app.a", faults);
    let mut shown = Vec::new();
    for _ in 0..4 {
        let ran = rig.apply().await;
        let diagnostic = ran.outcome.failed[0].diagnostic.clone();
        shown.push((diagnostic.message, rig.sources.text(diagnostic.labels[0].0).to_owned(), diagnostic.labels[0].1.clone()));
    }
    let shown: Vec<(&str, &str, &str)> = shown.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
    assert_eq!(
        shown,
        [
            (
                "test refused `test.app.a`: 422, memory must be a multiple of 256",
                "\"300\"",
                "sent as config.env.MEMORY = \"300\""
            ),
            ("test refused `test.app.a`: 422, weird-note is not a note", "\"weird-note\"", "sent as note = \"weird-note\""),
            ("test refused `test.app.a`: 422, no\\u{1b}[31m \\u{202e}way", "app a", "sent from here, as unheard_of"),
            ("test refused `test.app.a`: 422, (secret) is too short", "app a", "sent from here"),
        ]
    );
    assert_eq!(SourceId(0), source);
}

#[tokio::test]
async fn a_secret_that_the_platform_repeats_stays_one() {
    let mut rig = Rig::new();
    *rig.platform.echo.lock().unwrap() = true;
    rig.declared.declare(app("a").with("name", "x").with("token", Value::text("very-secret-token").secret()));
    rig.apply().await;
    let record = &rig.state.view().records[&address("test.app.a")];
    assert!(record.computed["revision"].mark.secret);
    assert!(record.inputs["token"].mark.secret);
    let log: String =
        rig.state.entries().await.unwrap().iter().map(|entry| String::from_utf8_lossy(&entry.body).into_owned()).collect();
    assert!(!log.contains("very-secret-token"));
}

#[tokio::test]
async fn missing_credentials_are_said_once() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.declared.declare(app("b").with("name", "y"));
    *rig.platform.no_credentials.lock().unwrap() = true;
    let ran = rig.apply().await;
    assert_eq!(ran.words(), ["failed test.app.a SW0501", "not started test.app.b: `test` cannot be used"]);
    assert_eq!(ran.outcome.result(), RunResult::Failed);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_ends_the_run() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.declared.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    let plan = rig.plan();
    let run = rig.begin(plan.changes.iter().map(|change| change.address.clone()).collect()).await;
    let journal = Journal::new(run.clone(), rig.world.clone());
    rig.state.refresh().await.unwrap();
    rig.state.release(run.number(), "mlopez", "a test").await.unwrap();
    let (events, _told) = mpsc::unbounded_channel();
    let surroundings = Surroundings {
        journal,
        connect: Arc::new(|_: &DesiredProvider| -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
            Err(Box::new(Code::NoCredentials.error("none")))
        }),
        world: rig.world.clone(),
        sources: Arc::new(Sources::default()),
        digest: Arc::new(|_| Digest([0; 32])),
        events,
        stop: rig.stop.subscribe(),
    };
    let outcome = apply(&plan, surroundings, &ApplyOptions::default()).await;
    assert_eq!((outcome.failed.len(), outcome.not_started.len()), (1, 1));
    assert!(rig.platform.calls().is_empty(), "no call without an intent");
}

#[tokio::test]
async fn instances_go_one_at_a_time_where_their_set_says_so() {
    let mut rig = Rig::new();
    for key in ["0", "1", "2", "3"] {
        let mut it = app("web").keyed(key).with("name", format!("web-{key}").as_str());
        it.0.lifecycle.turn = Some(crate::model::Turn { set: address("test.app.web"), at_once: 1, rollout: false });
        rig.declared.declare(it);
    }
    rig.apply().await;
    assert_eq!(rig.platform.most_in_flight.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_first_signal_lets_running_calls_end_and_starts_nothing() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.declared.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    rig.platform.meets("create test.app.a", [Fault::Slow(Duration::from_secs(5))]);
    let ran = stopped(&mut rig, Stop::Finish).await;
    assert_eq!(ran.words(), ["done test.app.a", "not started test.app.b: the run was interrupted"]);
    assert!(ran.outcome.interrupted && ran.outcome.open.is_empty());
    assert_eq!(ran.outcome.result(), RunResult::Interrupted);
    rig.stop.send_replace(Stop::No);
    assert_eq!(rig.apply().await.words(), ["done test.app.b"]);
}

#[tokio::test]
async fn a_call_that_outlives_the_grace_time_is_left_with_its_intent_open() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.platform.meets("create test.app.a", [Fault::Slow(Duration::from_secs(50))]);
    let before = rig.world.clock.elapsed();
    let ran = stopped(&mut rig, Stop::Finish).await;
    assert_eq!(ran.outcome.open, [address("test.app.a")]);
    assert!(ran.events.iter().any(|event| matches!(event, Event::Abandoned { .. })));
    assert!(rig.world.clock.elapsed() - before < Duration::from_secs(20));
    assert_eq!(rig.state.view().open.len(), 1);
    rig.stop.send_replace(Stop::No);
    let ran = rig.apply().await;
    assert_eq!((ran.recovered.len(), ran.words(), rig.platform.names()), (1, Vec::new(), vec!["x".to_owned()]));
}

#[tokio::test]
async fn the_second_signal_leaves_at_once() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.platform.meets("create test.app.a", [Fault::HangBefore]);
    let ran = stopped(&mut rig, Stop::Leave).await;
    assert_eq!(ran.outcome.open, [address("test.app.a")]);
}

/// Applies, and sends the signal once a call has arrived.
async fn stopped(rig: &mut Rig, how: Stop) -> rig::Ran {
    let (platform, stop) = (rig.platform.clone(), rig.stop.clone());
    let arrived = platform.calls().len();
    let signal = async move {
        while platform.calls().len() == arrived {
            tokio::task::yield_now().await;
        }
        stop.send_replace(how);
    };
    let (ran, ()) = tokio::join!(rig.apply(), signal);
    ran
}
