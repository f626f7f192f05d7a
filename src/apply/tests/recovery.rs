//! Lost answers and killed runs: nothing orphaned, doubled or forgotten.

use std::time::Duration;

use super::rig::{Fault, Rig, bury};
use crate::model::Code;
use crate::model::Record;
use crate::model::schema::{Recovery, ReplaceOrder};
use crate::plan::tests::world::{address, app, attribute};
use crate::state::{LEASE, RecordWrite, Settlement};

const CLASSES: [Recovery; 5] = [
    Recovery::Keyed { remembered: Duration::from_secs(3600) },
    Recovery::Named,
    Recovery::Tagged { settle: Duration::from_secs(10) },
    Recovery::Put,
    Recovery::Opaque { settle: Duration::from_secs(10) },
];

#[tokio::test]
async fn an_answer_that_is_lost_is_found_within_the_run() {
    for class in CLASSES {
        let mut rig = Rig::new();
        rig.declared.recovers_by(class);
        rig.declared.declare(app("a").with("name", "x"));
        rig.platform.meets("create test.app.a", [Fault::LostAfter]);
        assert_eq!(rig.apply().await.words(), ["done test.app.a"], "{class:?}");
        assert_eq!((rig.platform.calls().len(), rig.platform.names().len()), (1, 1));
        rig.declared.redeclare(app("a").with("name", "x").with("note", "1"));
        rig.platform.meets("update test.app.a", [Fault::LostAfter]);
        assert_eq!(rig.apply().await.words(), ["done test.app.a"], "{class:?}");
        rig.declared.remove("test.app.a");
        rig.platform.meets("delete test.app.a", [Fault::LostAfter]);
        assert_eq!(rig.apply().await.words(), ["done test.app.a"], "{class:?}");
        assert!(rig.state.view().records.is_empty() && rig.plan().is_empty());
    }
}

#[tokio::test]
async fn a_request_that_is_lost_is_repeated_under_the_same_token_but_for_opaque_kinds() {
    for class in CLASSES {
        let mut rig = Rig::new();
        rig.declared.recovers_by(class);
        rig.declared.declare(app("a").with("name", "x"));
        rig.platform.meets("create test.app.a", [Fault::LostBefore]);
        let ran = rig.apply().await;
        if matches!(class, Recovery::Opaque { .. }) {
            assert_eq!(ran.words(), ["failed test.app.a SW0503"]);
            continue;
        }
        assert_eq!(ran.words(), ["done test.app.a"], "{class:?}");
        let tokens = rig.platform.tokens.lock().unwrap().clone();
        assert!(tokens.len() == 2 && tokens[0] == tokens[1]);
    }
}

#[tokio::test]
async fn what_cannot_be_told_stays_open_and_blocks_only_what_depends_on_it() {
    let mut rig = Rig::new();
    rig.declared.recovers_by(Recovery::Opaque { settle: Duration::from_secs(10) });
    rig.declared.declare(app("a").with("name", "x"));
    rig.declared.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    rig.declared.declare(app("c").with("name", "z"));
    rig.platform.meets("create test.app.a", [Fault::LostAfter]);
    *rig.platform.cannot_tell.lock().unwrap() = true;
    let ran = rig.apply().await;
    let expected =
        ["done test.app.c", "failed test.app.a SW0611", "not started test.app.b: it waits for `test.app.a`, which failed"];
    assert_eq!(ran.words(), expected);
    assert_eq!((ran.outcome.open.clone(), rig.state.view().open.len()), (vec![address("test.app.a")], 1));
    let ran = rig.apply().await;
    assert_eq!(ran.recovered[0].how, Settlement::Flagged);
    assert_eq!(ran.words(), expected[1..]);
    assert_eq!(rig.platform.calls().iter().filter(|call| *call == "create test.app.a").count(), 1, "nothing is guessed");
    *rig.platform.cannot_tell.lock().unwrap() = false;
    let ran = rig.apply().await;
    assert_eq!(ran.recovered[0].how, Settlement::Adopted);
    assert!(ran.outcome.is_complete(), "{:?}", ran.words());
    assert!(rig.plan().is_empty());
}

#[tokio::test]
async fn a_run_that_is_killed_after_the_effect_leaves_nothing_doubled() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.declared.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    rig.platform.meets("create test.app.a", [Fault::HangAfter]);
    rig.killed_when(|platform| !platform.names().is_empty()).await;
    let ran = rig.apply().await;
    assert_eq!(ran.recovered[0].how, Settlement::Adopted);
    assert!(ran.outcome.is_complete(), "{:?}", ran.words());
    assert_eq!(rig.platform.names(), ["x", "y"]);
    assert_eq!(rig.platform.calls(), ["create test.app.a", "create test.app.b"]);
    assert!(rig.plan().is_empty(), "{:#?}", rig.plan().changes);
}

#[tokio::test]
async fn a_run_that_is_killed_before_the_effect_leaves_nothing_forgotten() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.platform.meets("create test.app.a", [Fault::HangBefore]);
    rig.killed_when(|platform| !platform.calls().is_empty()).await;
    let ran = rig.apply().await;
    assert_eq!(ran.recovered[0].how, Settlement::Repeated, "what comes to the same is done once more");
    assert!(ran.words().is_empty() && ran.outcome.is_complete());
    assert_eq!(rig.platform.names(), ["x"]);
    let tokens = rig.platform.tokens.lock().unwrap().clone();
    assert_eq!(tokens[0], tokens[1], "under the same token");
}

#[tokio::test]
async fn what_was_not_done_is_made_again_by_the_plan_where_its_kind_can_tell() {
    for class in CLASSES.into_iter().filter(|class| *class != Recovery::Put) {
        let mut rig = Rig::new();
        rig.declared.recovers_by(class);
        rig.declared.declare(app("a").with("name", "x"));
        rig.platform.meets("create test.app.a", [Fault::HangBefore]);
        rig.killed_when(|platform| !platform.calls().is_empty()).await;
        let ran = rig.apply().await;
        assert_eq!((ran.recovered[0].how, ran.words()), (Settlement::Absent, vec!["done test.app.a".to_owned()]), "{class:?}");
        assert_eq!(rig.platform.names(), ["x"]);
    }
}

#[tokio::test]
async fn updates_and_destroys_that_were_killed_are_settled() {
    for (fault, how) in [(Fault::HangAfter, Settlement::Adopted), (Fault::HangBefore, Settlement::Absent)] {
        let mut rig = Rig::new();
        rig.declared.declare(app("a").with("name", "x"));
        rig.apply().await;
        rig.declared.redeclare(app("a").with("name", "x").with("note", "1"));
        rig.platform.meets("update test.app.a", [fault.clone()]);
        rig.killed_when(|platform| platform.calls().contains(&"update test.app.a".to_owned())).await;
        let ran = rig.apply().await;
        assert_eq!(ran.recovered[0].how, how);
        assert!(rig.plan().is_empty());
        rig.declared.remove("test.app.a");
        rig.platform.meets("delete test.app.a", [fault.clone()]);
        rig.killed_when(|platform| platform.calls().contains(&"delete test.app.a".to_owned())).await;
        let ran = rig.apply().await;
        assert_eq!(ran.recovered[0].how, how);
        assert!(rig.platform.names().is_empty() && rig.state.view().records.is_empty() && rig.plan().is_empty());
    }
}

#[tokio::test]
async fn a_replacement_that_was_killed_between_its_halves_is_finished() {
    let declared = |name: &str, region: &str| {
        let mut it = app("a").with("name", name).with("region", region);
        it.0.lifecycle.replace = Some(ReplaceOrder::CreateFirst);
        it
    };
    let mut rig = Rig::new();
    rig.declared.declare(declared("x", "cdg"));
    rig.apply().await;
    rig.declared.redeclare(declared("x2", "fra"));
    rig.platform.meets("create test.app.a", [Fault::HangAfter]);
    rig.killed_when(|platform| platform.names().len() == 2).await;
    let ran = rig.apply().await;
    assert_eq!(ran.recovered[0].how, Settlement::Adopted);
    assert!(ran.outcome.is_complete(), "{:?}", ran.words());
    assert_eq!(rig.platform.names(), ["x2"]);
    assert!(rig.plan().is_empty(), "{:#?}", rig.plan().changes);
}

#[tokio::test]
async fn a_run_that_is_killed_anywhere_is_finished_by_the_next() {
    let guarded = |name: &str| {
        let mut it = app(name).with("name", name);
        it.0.lifecycle.protect = true;
        it
    };
    let (mut adopted, mut absent) = (0, 0);
    for at in (0..).map(|step| Duration::from_millis(250 * step)) {
        let mut rig = Rig::new();
        for (name, uses) in [("a", None), ("b", Some("test.app.a")), ("c", Some("test.app.b"))] {
            let it = guarded(name);
            rig.declared.declare(match uses {
                Some(used) => it.with("note", attribute(used, "id")),
                None => it,
            });
            rig.platform.meets(&format!("create test.app.{name}"), [Fault::Slow(Duration::from_secs(1))]);
        }
        let world = rig.world.clone();
        let killed = tokio::select! {
            biased;
            _ = rig.apply() => false,
            () = world.clock.sleep(at) => true,
        };
        bury().await;
        let (foreseen, head) = (rig.foresee().await, rig.state.again().await.unwrap().view().head);
        assert_eq!(rig.state.again().await.unwrap().view().head, head, "a look writes nothing");
        let recovered = rig.recover().await;
        let expected: Vec<_> = foreseen.iter().map(|it| (it.open.intent.address.clone(), it.how)).collect();
        assert_eq!(recovered.iter().map(|it| (it.address.clone(), it.how)).collect::<Vec<_>>(), expected, "killed at {at:?}");
        for settled in recovered {
            let record = rig.state.view().records.get(&settled.address);
            match settled.how {
                Settlement::Adopted => {
                    let record = record.expect("what is adopted is recorded");
                    assert!(record.protect, "with its guard");
                    assert_eq!(record.edges.len(), usize::from(settled.address != address("test.app.a")), "and its edges");
                    adopted += 1;
                }
                _ => absent += 1,
            }
        }
        let ran = rig.apply().await;
        assert!(ran.outcome.is_complete(), "killed at {at:?}: {:?}", ran.words());
        assert_eq!(rig.platform.names(), ["a", "b", "c"]);
        assert!(rig.plan().is_empty(), "killed at {at:?}: {:#?}", rig.plan().changes);
        if !killed {
            break;
        }
    }
    assert!(adopted >= 3 && absent >= 3, "{adopted} {absent}");
}

#[tokio::test]
async fn a_call_that_never_answers_is_given_up_and_looked_for() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.platform.meets("create test.app.a", [Fault::HangAfter]);
    assert_eq!(rig.apply().await.words(), ["done test.app.a"]);
    rig.declared.redeclare(app("a").with("name", "x").with("note", "1"));
    rig.platform.meets("update test.app.a", [Fault::HangBefore]);
    let ran = rig.apply().await;
    assert_eq!(ran.outcome.failed[0].diagnostic.code, Code::Unavailable, "its time is over");
    assert!(rig.state.view().open.is_empty());
}

#[tokio::test]
async fn a_call_of_a_run_that_was_taken_over_by_time_is_looked_for_once_it_cannot_leave_any_more() {
    for fault in [Fault::HangBefore, Fault::HangAfter] {
        let mut rig = Rig::shared();
        rig.declared.recovers_by(Recovery::Put);
        rig.declared.declare(app("a").with("name", "x"));
        rig.platform.meets("create test.app.a", [fault.clone()]);
        rig.killed_when(|platform| !platform.calls().is_empty()).await;
        let killed = rig.world.clock.elapsed();
        rig.state.refresh().await.unwrap();
        let not_after = rig.state.view().open.values().next().expect("it is open").intent.not_after;
        let recovered = rig.recover().await;
        let waited = rig.world.clock.elapsed() - killed;
        assert!(waited >= LEASE.max(not_after) && waited <= LEASE.max(not_after) + Duration::from_secs(15), "{waited:?}");
        let expected = if matches!(fault, Fault::HangAfter) { Settlement::Adopted } else { Settlement::Repeated };
        assert_eq!(recovered[0].how, expected);
        assert!(rig.apply().await.outcome.is_complete() && rig.plan().is_empty());
    }
}

#[tokio::test]
async fn a_run_that_lost_its_lease_sends_nothing_more() {
    let mut rig = Rig::shared();
    rig.declared.declare(app("a").with("name", "x"));
    // Asked to come back later, when its next heartbeat has shown it that it holds nothing any more: it does not.
    rig.platform.meets("create test.app.a", [Fault::Throttle(Some(Duration::from_secs(30)))]);
    let mut other = rig.state.again().await.unwrap();
    let (platform, clock) = (rig.platform.clone(), rig.world.clock.clone());
    let releasing = async {
        while platform.calls().is_empty() {
            clock.sleep(Duration::from_millis(1)).await;
        }
        other.release(1, "mlopez", "it hangs").await.unwrap();
    };
    let (ran, ()) = tokio::join!(rig.apply(), releasing);
    assert_eq!(rig.platform.calls().len(), 1, "no second call leaves");
    let broken = ran.outcome.broken.expect("it could write nothing more");
    assert!(broken.message.contains("mlopez released its lock: it hangs"), "{}", broken.message);
    assert_eq!(rig.state.view().open.len(), 1);
}

#[tokio::test]
async fn what_a_plan_foresees_is_what_recovery_records() {
    for class in CLASSES {
        let mut rig = Rig::new();
        rig.declared.recovers_by(class);
        rig.declared.declare(app("a").with("name", "x"));
        rig.platform.meets("create test.app.a", [Fault::HangAfter]);
        rig.killed_when(|platform| !platform.names().is_empty()).await;
        let foreseen = rig.foresee().await;
        let [RecordWrite::Put(record)] = &foreseen[0].writes[..] else { panic!("{foreseen:?}") };
        assert!(foreseen[0].certain && foreseen[0].how == Settlement::Adopted, "{class:?}: {foreseen:?}");
        let supposed = rig.state.again().await.unwrap().supposing(|view| {
            let open = foreseen[0].open.intent.operation;
            view.suppose(open, foreseen[0].writes.clone());
        });
        assert!(supposed.view().open.is_empty());
        assert_eq!(supposed.view().records[&record.address].version, Record::FORESEEN);
        rig.recover().await;
        let recorded = &rig.state.view().records[&record.address];
        assert_eq!(Record { version: recorded.version, ..Record::clone(record) }, Record::clone(recorded), "{class:?}");
    }
}

#[tokio::test]
async fn what_is_not_seen_yet_is_not_foreseen_for_certain() {
    for class in CLASSES {
        let mut rig = Rig::new();
        rig.declared.recovers_by(class);
        rig.declared.declare(app("a").with("name", "x"));
        rig.platform.meets("create test.app.a", [Fault::HangBefore]);
        rig.killed_when(|platform| !platform.calls().is_empty()).await;
        let before = rig.world.clock.elapsed();
        let foreseen = &rig.foresee().await[0];
        assert_eq!(rig.world.clock.elapsed(), before, "a plan does not wait");
        let expected = if class == Recovery::Put { Settlement::Repeated } else { Settlement::Absent };
        assert!(!foreseen.certain && foreseen.how == expected, "{class:?}: {foreseen:?}");
    }
}

#[tokio::test]
async fn what_a_run_that_may_live_left_is_not_foreseen_for_certain() {
    let mut rig = Rig::shared();
    rig.declared.declare(app("a").with("name", "x"));
    rig.platform.meets("create test.app.a", [Fault::HangAfter]);
    rig.killed_when(|platform| !platform.names().is_empty()).await;
    let foreseen = &rig.foresee().await[0];
    assert!(!foreseen.certain && foreseen.how == Settlement::Adopted, "{foreseen:?}");
}

#[tokio::test]
async fn what_cannot_be_told_is_foreseen_as_that() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.platform.meets("create test.app.a", [Fault::HangAfter]);
    rig.killed_when(|platform| !platform.names().is_empty()).await;
    *rig.platform.cannot_tell.lock().unwrap() = true;
    let foreseen = &rig.foresee().await[0];
    assert_eq!(foreseen.how, Settlement::Flagged);
    assert!(foreseen.writes.is_empty() && foreseen.words.contains("an object like it"), "{}", foreseen.words);
}
