//! Requirements on what platforms compute.

use super::world::*;
use crate::model::{Code, Plan, Requirement};
use crate::plan::steps;

/// Three apps of which each uses the one before.
fn chain(requirement: Requirement) -> World {
    let mut world = World::default();
    world.declare(app("a").with("name", "a"));
    world.declare(app("b").with("name", "b").with("note", attribute("test.app.a", "id")));
    world.declare(app("c").with("name", "c").with("note", attribute("test.app.b", "id")));
    world.requirements.push(requirement);
    world
}

/// The steps in their order, a requirement as `require`.
fn laid_out(plan: &Plan) -> Vec<String> {
    let steps = steps(plan);
    let word = |step: &u32| match steps.all[*step as usize] {
        Some((change, _)) => Some(plan.changes[change as usize].address.to_string()),
        None => steps.gates.iter().any(|(gate, _)| gate == step).then(|| "require".to_owned()),
    };
    steps.order.iter().filter_map(word).collect()
}

#[test]
fn one_that_reads_what_is_made_stands_between_that_and_what_uses_it() {
    let world = chain(requirement(&[("test.app.a", "revision")]));
    let plan = world.plan();
    assert_eq!(plan.requirements.len(), 1);
    assert_eq!(laid_out(&plan), ["test.app.a", "require", "test.app.b", "test.app.c"]);
}

#[test]
fn what_lies_between_two_things_that_one_reads_does_not_wait_for_it() {
    let mut world = chain(requirement(&[("test.app.a", "revision"), ("test.app.c", "revision")]));
    world.declare(app("d").with("name", "d").with("note", attribute("test.app.b", "id")));
    let order = laid_out(&world.plan());
    assert_eq!(order, ["test.app.a", "test.app.b", "test.app.c", "require", "test.app.d"]);
}

#[test]
fn one_that_records_decide_is_decided_when_planned() {
    let mut world = chain(requirement(&[("test.app.a", "revision")]));
    world.applied();
    assert!(world.plan().is_empty(), "it holds, and nothing of it is left");
    world.record_mut("test.app.a").computed.insert("revision".into(), crate::model::Value::text("with bad"));
    let errors = world.plan_of(world.desired()).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].code, errors[0].message.as_str()), (Code::RequireFailed, "too bad"));
    let labels: Vec<(u32, &str)> = errors[0].labels.iter().map(|(span, text)| (span.start, text.as_str())).collect();
    assert_eq!(labels, [(7, "does not fulfil it"), (1, "required here")]);
    assert_eq!(errors[0].address, Some(address("service.api")));
    world.options.destroy = true;
    assert_eq!(world.plan().changes.len(), 3, "what breaks one can be destroyed");
}

#[test]
fn what_is_known_of_one_is_put_in_and_the_records_that_it_read_are_part_of_the_plan() {
    let mut world = World::default();
    world.declare(app("a").with("name", "a"));
    world.applied();
    world.declare(app("b").with("name", "b"));
    world.requirements.push(requirement(&[("test.app.a", "id"), ("test.app.b", "id")]));
    let plan = world.plan();
    assert_eq!(plan.requirements[0].waits_for(), [address("test.app.b")].into());
    assert_eq!(plan.reads, [(address("test.app.a"), 1), (address("test.app.b"), 0)]);
    world.requirements.clear();
    assert_ne!(world.plan().effects, plan.effects, "another set of requirements is another plan");
}

#[test]
fn one_that_nothing_in_the_plan_makes_known_is_said_not_to_be_checked() {
    let mut world = chain(requirement(&[("test.app.c", "revision")]));
    world.options.only = vec!["test.app.a".into()];
    let plan = world.plan();
    assert!(plan.requirements.is_empty());
    let said: Vec<&str> = plan.warnings.iter().map(|it| it.message.as_str()).filter(|it| it.contains("requirement")).collect();
    assert_eq!(said, ["a requirement is not checked: what it reads is not known, and this plan does not make it known"]);
}
