//! Rates, retries and budgets.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::rig::{Fault, Rig};
use crate::apply::Event;
use crate::apply::gate::Gate;
use crate::apply::retry::{ATTEMPTS_MAX, backoff};
use crate::model::Code;
use crate::plan::tests::world::app;
use crate::providers::contract::Budget;

#[tokio::test]
async fn a_throttle_uses_up_no_attempt_and_is_waited_for() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.platform.meets("create test.app.a", (0..8).map(|_| Fault::Throttle(Some(Duration::from_secs(3)))));
    let before = rig.world.clock.elapsed();
    let ran = rig.apply().await;
    assert_eq!(ran.words(), ["done test.app.a"]);
    assert!(rig.world.clock.elapsed() - before >= Duration::from_secs(24));
    assert_eq!(ran.events.iter().filter(|event| matches!(event, Event::Throttled { .. })).count(), 8);
}

#[tokio::test]
async fn a_throttle_longer_than_the_call_may_take_is_a_new_operation() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.platform.meets("create test.app.a", (0..2).map(|_| Fault::Throttle(Some(Duration::from_secs(70)))));
    assert_eq!(rig.apply().await.words(), ["done test.app.a"]);
    let tokens = rig.platform.tokens.lock().unwrap().clone();
    assert_eq!(tokens.len(), 3);
    assert!(tokens[0] != tokens[2], "a token is not used beyond its time");
}

#[tokio::test]
async fn a_request_that_did_not_leave_is_sent_again_a_few_times() {
    let mut rig = Rig::new();
    rig.declared.declare(app("a").with("name", "x"));
    rig.platform.meets("create test.app.a", [Fault::NotSent, Fault::NotSent]);
    assert_eq!(rig.apply().await.words(), ["done test.app.a"]);
    rig.declared.declare(app("b").with("name", "y"));
    rig.platform.meets("create test.app.b", (0..ATTEMPTS_MAX).map(|_| Fault::NotSent));
    let ran = rig.apply().await;
    assert_eq!(ran.outcome.failed[0].diagnostic.code, Code::Unavailable);
    assert!(rig.state.view().open.is_empty(), "it certainly did not happen");
}

#[tokio::test]
async fn calls_keep_inside_the_budget_of_their_provider() {
    let mut rig = Rig::new();
    for at in 0..20 {
        rig.declared.declare(app(&format!("a{at}")).with("name", format!("n{at}").as_str()));
    }
    *rig.platform.budget.lock().unwrap() = Some(Budget { concurrent: 3, per_second: Some(2.0) });
    let before = rig.world.clock.elapsed();
    let ran = rig.apply().await;
    assert!(ran.outcome.is_complete());
    assert!(rig.platform.most_in_flight.load(Ordering::Relaxed) <= 3);
    assert!(rig.world.clock.elapsed() - before >= Duration::from_secs(8), "20 calls at 2 a second");
}

#[tokio::test]
async fn a_rate_falls_by_throttles_and_grows_by_successes() {
    let rig = Rig::new();
    let gate = Gate::new(Budget { concurrent: 1, per_second: Some(10.0) }, rig.world.clone());
    gate.throttled(None);
    gate.throttled(None);
    assert_eq!(gate.rate(), Some(7.0), "at most once a second");
    gate.succeeded();
    assert_eq!(gate.rate(), Some(7.02));
    let free = Gate::new(Budget { concurrent: 1, per_second: None }, rig.world.clone());
    for _ in 0..100 {
        free.pass().await;
    }
    assert_eq!(free.rate(), None);
    free.throttled(Some(Duration::from_secs(9)));
    assert!((free.rate().unwrap() - 70.0).abs() < 0.001, "measured by what left within a second");
    let before = rig.world.clock.elapsed();
    free.pass().await;
    assert!(rig.world.clock.elapsed() - before >= Duration::from_secs(9), "closed for all");
}

#[tokio::test]
async fn five_errors_in_a_row_close_the_gate_for_a_while() {
    let rig = Rig::new();
    let gate = Gate::new(Budget { concurrent: 1, per_second: None }, rig.world.clone());
    (0..5).for_each(|_| gate.errored());
    let before = rig.world.clock.elapsed();
    gate.pass().await;
    assert!(rig.world.clock.elapsed() - before >= Duration::from_secs(10));
    gate.errored();
    let before = rig.world.clock.elapsed();
    gate.pass().await;
    assert!(rig.world.clock.elapsed() - before >= Duration::from_secs(10), "half open: one more closes it");
    gate.succeeded();
    gate.errored();
    let before = rig.world.clock.elapsed();
    gate.pass().await;
    assert_eq!(rig.world.clock.elapsed(), before);
}

#[tokio::test]
async fn waits_double_up_to_a_bound_with_jitter_and_heed_what_the_platform_asks() {
    let rig = Rig::new();
    for failed in 1..40 {
        let wait = backoff(failed, None, &rig.world);
        let whole = Duration::from_millis(500).saturating_mul(1 << (failed - 1).min(10)).min(Duration::from_secs(30));
        assert!(wait >= whole / 2 && wait <= whole, "{failed}: {wait:?}");
    }
    assert_eq!(backoff(1, Some(Duration::from_secs(40)), &rig.world), Duration::from_secs(40));
    assert_eq!(backoff(1, Some(Duration::from_secs(4000)), &rig.world), Duration::from_secs(120));
}

#[tokio::test]
async fn a_gate_that_errors_have_closed_lets_one_call_try() {
    let rig = Rig::new();
    let gate = Gate::new(Budget { concurrent: 8, per_second: None }, rig.world.clone());
    (0..5).for_each(|_| gate.errored());
    let before = rig.world.clock.elapsed();
    gate.pass().await;
    assert!(rig.world.clock.elapsed() - before >= Duration::from_secs(10));
    let passes = async {
        gate.pass().await;
        rig.world.clock.elapsed()
    };
    let answers = async {
        rig.world.clock.sleep(Duration::from_secs(3)).await;
        gate.answered();
        rig.world.clock.elapsed()
    };
    let (passed, answered) = tokio::join!(passes, answers);
    assert!(passed >= answered, "the second waits for what becomes of the first");
}

#[tokio::test]
async fn a_run_tries_again_a_tenth_of_its_calls_and_says_so() {
    let mut rig = Rig::new();
    for at in 0..30 {
        rig.declared.declare(app(&format!("a{at}")).with("name", format!("n{at}").as_str()));
        rig.platform.meets(&format!("create test.app.a{at}"), [Fault::NotSent]);
    }
    let ran = rig.apply().await;
    let words: Vec<&str> = ran.outcome.failed.iter().map(|it| &*it.diagnostic.message).collect();
    assert!(!words.is_empty() && words.len() <= 14, "{words:?}");
    assert!(words.iter().all(|it| it.contains("this run has tried 16 calls again, the most for one of 30 calls")), "{words:?}");
    assert!(rig.apply().await.outcome.is_complete());
}
