//! Requirements that are judged once what they read is known.

use super::rig::{Fault, Rig};
use super::*;
use crate::model::Code;
use crate::plan::tests::world::{app, attribute, requirement};
use crate::state::RunResult;

/// `b` uses `a`, `c` uses `b`, `d` nothing; an earlier apply made `old`, which is gone from the program.
async fn rig(read: &[(&str, &str)]) -> Rig {
    let mut rig = Rig::new();
    rig.declared.declare(app("old").with("name", "o"));
    rig.apply().await;
    rig.declared.remove("test.app.old");
    rig.declared.declare(app("a").with("name", "x").with("token", "bad"));
    rig.declared.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    rig.declared.declare(app("c").with("name", "z").with("note", attribute("test.app.b", "id")));
    rig.declared.declare(app("d").with("name", "d"));
    rig.declared.requirements.push(requirement(read));
    rig
}

#[tokio::test]
async fn one_that_holds_stops_nothing() {
    let mut rig = rig(&[("test.app.a", "revision"), ("test.app.c", "id")]).await;
    let ran = rig.apply().await;
    assert!(ran.outcome.is_complete(), "{:?}", ran.words());
    assert_eq!(ran.outcome.done.len(), 5);
    assert!(rig.plan().is_empty());
}

#[tokio::test]
async fn one_that_does_not_hold_stops_what_uses_what_it_reads_and_all_destroys() {
    let mut rig = rig(&[("test.app.a", "revision")]).await;
    *rig.platform.echo.lock().unwrap() = true;
    let ran = rig.apply().await;
    let expected = [
        "done test.app.a",
        "done test.app.d",
        "failed service.api SW0220",
        "not started test.app.b: it waits for a requirement of `service.api`, which does not hold",
        "not started test.app.c: it waits for a requirement of `service.api`, which does not hold",
        "not started test.app.old: destroys come last, and a requirement of `service.api` does not hold",
    ];
    assert_eq!(ran.words(), expected);
    assert_eq!(ran.outcome.result(), RunResult::PartWay);
    let failure = &ran.outcome.failed[0].diagnostic;
    assert_eq!(failure.message, "too bad");
    let labels: Vec<&str> = failure.labels.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(labels, ["does not fulfil it", "required here"]);
    assert!(ran.events.iter().any(|event| matches!(event, Event::Required { address, .. } if address.as_str() == "service.api")));
    assert!(rig.state.view().records.keys().any(|it| it.as_str() == "test.app.a"), "what is done stays recorded");
}

#[tokio::test]
async fn one_whose_resources_failed_is_not_judged() {
    let mut rig = rig(&[("test.app.a", "revision"), ("test.app.d", "revision")]).await;
    rig.platform.meets("create test.app.a", [Fault::Refuse { field: None, words: "no more room".into() }]);
    let ran = rig.apply().await;
    let codes: Vec<Code> = ran.outcome.failed.iter().map(|it| it.diagnostic.code).collect();
    assert_eq!(codes, [Code::Refused]);
    let ran = rig.apply().await;
    assert!(ran.outcome.is_complete(), "{:?}", ran.words());
}
