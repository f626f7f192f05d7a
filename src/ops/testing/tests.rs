use std::sync::Arc;

use super::sandbox::{Done, StepTold, TestWorld};
use crate::lang;
use crate::lang::program::Act;
use crate::model::{Action, Sources};
use crate::ops::settings::{Clouds, Settings};
use crate::providers::registry;
use crate::providers::sim::Faults;
use crate::world::World;

const SHOP: &str = r#"
stack shop { language = 1 }
provider fly { org = "acme", region = "cdg" }
environment local { on = local }
environment cloud { on = fly }
secret given
database main { storage = 10GiB }
cache sessions { memory = 256MiB }
service api {
  image  = "registry.example.com/api:v1"
  source { dir = "api", command = ["api"] }
  port   = 8080
  env    = { URL = database.main.url, CACHE = cache.sessions.url, GIVEN = secret.given.value }
}
"#;

fn world(environment: &str) -> TestWorld {
    let texts = vec![("shop.stack".into(), SHOP.into())];
    let checked = lang::load(Sources::default(), texts, Arc::new(registry::schemas()));
    let program = checked.program.unwrap_or_else(|| panic!("{:?}", checked.diagnostics));
    let settings = Settings {
        dir: "/nowhere".into(),
        clouds: Clouds::Real,
        world: World::real(),
        variable: Arc::new(|_| None),
        variables: Arc::new(|_| Vec::new()),
        ask: None,
        parallel: None,
        tell: Arc::new(|_| {}),
    };
    TestWorld::new(&settings, "a test", environment, program, checked.sources)
}

fn act(world: &mut TestWorld, act: Act, told: StepTold) -> Done {
    let clock = world.clock.clone();
    clock.run(world.act(act, told)).expect("nothing waits for ever")
}

fn faults(json: &str) -> StepTold {
    StepTold { faults: Faults::parse("test", json).expect("they exist"), ..losing_all() }
}

/// Whatever is lost is meant to be.
fn losing_all() -> StepTold {
    StepTold { allow_destroy: vec!["database.main".into(), "cache.sessions".into()], ..StepTold::default() }
}

#[test]
fn an_environment_is_made_seen_and_destroyed_without_leaving_the_process() {
    for environment in ["local", "cloud"] {
        let mut world = world(environment);
        let made = act(&mut world, Act::Apply, losing_all());
        assert!(made.errors.is_empty(), "{environment}: {:?}", made.errors);
        let again = act(&mut world, Act::Plan, losing_all()).plan.expect("it is planned");
        assert!(again.is_empty(), "{environment}: {:?}", again.changes);
        let gone = act(&mut world, Act::Destroy, losing_all());
        assert!(gone.errors.is_empty(), "{environment}: {:?}", gone.errors);
        assert!(world.workspace.state.view().records.is_empty(), "{environment}");
    }
}

#[test]
fn what_a_fault_interrupts_the_next_apply_carries_on() {
    for (environment, provider) in [("cloud", "fly"), ("local", "local")] {
        for fault in [r#"{ "error_before": { "status": 500 } }"#, r#""drop_after""#, r#"{ "error_before": { "status": 422 } }"#] {
            let mut world = world(environment);
            let json =
                format!(r#"{{ "faults": [ {{ "provider": "{provider}", "method": "POST", "skip": 1, "do": {fault} }} ] }}"#);
            let stopped = act(&mut world, Act::Apply, faults(&json));
            // What was done and not answered is found again at once, where a platform offers that.
            assert!(fault.contains("drop_after") || !stopped.errors.is_empty(), "{environment} {fault}: nothing failed");
            let carried = act(&mut world, Act::Apply, losing_all());
            assert!(carried.errors.is_empty(), "{environment} {fault}: {:?}", carried.errors);
            let plan = act(&mut world, Act::Plan, losing_all()).plan.expect("it is planned");
            assert!(plan.is_empty(), "{environment} {fault}: {:?}", plan.changes);
        }
    }
}

#[test]
fn equal_tests_make_equal_plans() {
    let plan = || {
        let mut world = world("cloud");
        let made = act(&mut world, Act::Apply, losing_all());
        (made.plan.expect("it is planned").id, world.workspace.state.view().outputs.len())
    };
    assert_eq!(plan(), plan());
}

#[test]
fn a_plan_of_nothing_creates_all() {
    let mut world = world("cloud");
    let plan = act(&mut world, Act::Plan, losing_all()).plan.expect("it is planned");
    assert!(plan.changes.iter().all(|change| matches!(change.action, Action::Create | Action::Run)));
    assert!(act(&mut world, Act::Check, losing_all()).errors.is_empty());
}
