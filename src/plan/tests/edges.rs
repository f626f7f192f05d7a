//! In which order steps come.

use super::world::*;
use crate::model::schema::ReplaceOrder;
use crate::model::{Code, EdgeReason, Plan, Turn, Value};
use crate::plan::{Half, steps};

/// The steps in their order as `make a`, `unmake b`.
fn laid_out(plan: &Plan) -> Vec<String> {
    let steps = steps(plan);
    let word = |half| if half == Half::Make { "make" } else { "unmake" };
    let named = steps.order.iter().filter_map(|at| steps.all[*at as usize]);
    named.map(|(change, half)| format!("{} {}", word(half), plan.changes[change as usize].address.last())).collect()
}

fn before(plan: &Plan, first: &str, second: &str) -> bool {
    let order = laid_out(plan);
    let place = |step: &str| order.iter().position(|it| it == step).unwrap_or_else(|| panic!("{step} in {order:?}"));
    place(first) < place(second)
}

/// Whether the second step waits, through any number of steps, for the first.
fn waits(plan: &Plan, first: (&str, Half), second: (&str, Half)) -> bool {
    let steps = steps(plan);
    let place = |(address, half): (&str, Half)| {
        let is = |step: &Option<(u32, Half)>| {
            step.is_some_and(|(change, it)| it == half && plan.changes[change as usize].address.as_str() == address)
        };
        steps.all.iter().position(is).unwrap() as u32
    };
    let (mut open, target) = (vec![place(second)], place(first));
    while let Some(at) = open.pop() {
        if at == target {
            return true;
        }
        open.extend(steps.waits.iter().filter(|wait| wait.node == at).map(|wait| wait.on));
    }
    false
}

fn two_apps(region: &str, order: ReplaceOrder) -> World {
    let mut world = World::default();
    let first = |region: &str| {
        let mut it = app("a").with("name", Value::text("x")).with("region", region);
        it.0.lifecycle.replace = Some(order);
        it
    };
    world.declare(first("cdg"));
    world.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    world.applied();
    world.redeclare(first(region));
    world
}

#[test]
fn a_replacement_that_creates_first_destroys_after_its_users_were_updated() {
    let plan = two_apps("fra", ReplaceOrder::CreateFirst).plan();
    assert_eq!(laid_out(&plan), ["make test.app.a", "make test.app.b", "unmake test.app.a"]);
}

#[test]
fn a_replacement_that_destroys_first_creates_before_its_users_are_updated() {
    let plan = two_apps("fra", ReplaceOrder::DestroyFirst).plan();
    assert_eq!(laid_out(&plan), ["unmake test.app.a", "make test.app.a", "make test.app.b"]);
}

#[test]
fn destroying_is_the_reverse_of_making() {
    let mut world = two_apps("cdg", ReplaceOrder::DestroyFirst);
    world.declare(app("c").with("name", "z").with("note", attribute("test.app.b", "id")));
    world.applied();
    world.options.destroy = true;
    assert_eq!(laid_out(&world.plan()), ["unmake test.app.c", "unmake test.app.b", "unmake test.app.a"]);
}

#[test]
fn a_user_is_updated_before_what_it_no_longer_uses_is_destroyed() {
    let mut world = two_apps("cdg", ReplaceOrder::DestroyFirst);
    world.remove("test.app.a");
    world.redeclare(app("b").with("name", "y").with("note", "free"));
    assert_eq!(laid_out(&world.plan()), ["make test.app.b", "unmake test.app.a"]);
}

#[test]
fn destroys_come_last() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.applied();
    world.remove("test.app.a");
    world.declare(app("b").with("name", "y"));
    assert!(waits(&world.plan(), ("test.app.b", Half::Make), ("test.app.a", Half::Unmake)));
}

#[test]
fn a_replacement_that_destroys_first_waits_for_the_destroy_of_its_users() {
    let mut world = two_apps("fra", ReplaceOrder::DestroyFirst);
    world.remove("test.app.b");
    world.declare(app("c").with("name", "z").with("note", attribute("test.app.a", "id")));
    let plan = world.plan();
    assert!(before(&plan, "unmake test.app.b", "unmake test.app.a"));
    assert!(waits(&plan, ("test.app.b", Half::Unmake), ("test.app.c", Half::Make)));
}

#[test]
fn a_user_that_would_create_first_destroys_first_when_what_it_uses_does() {
    let user = || {
        let mut it = app("b").with("name", "made").with("region", attribute("test.app.a", "id"));
        it.0.lifecycle.replace = Some(ReplaceOrder::CreateFirst);
        it.0.lifecycle.replace_on = vec![Value::int(1)];
        it
    };
    let mut world = two_apps("cdg", ReplaceOrder::DestroyFirst);
    world.redeclare(user());
    world.applied();
    let mut declared = user();
    declared.0.lifecycle.replace_on = vec![Value::int(2)];
    world.redeclare(declared);
    world.redeclare(app("a").with("name", "x").with("region", "fra"));
    let plan = world.plan();
    assert_eq!(laid_out(&plan), ["unmake test.app.b", "unmake test.app.a", "make test.app.a", "make test.app.b"]);
}

#[test]
fn order_passes_through_what_stays() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.declare(app("b").with("name", "y").after("test.app.a", EdgeReason::After));
    world.declare(app("c").with("name", "z").after("test.app.b", EdgeReason::After));
    world.applied();
    world.redeclare(app("a").with("name", "x").with("note", "1"));
    world.redeclare(app("c").with("name", "z").with("note", "1").after("test.app.b", EdgeReason::After));
    let plan = world.plan();
    assert_eq!((plan.changes.len(), plan.same), (2, 1));
    assert_eq!(plan.order, [(0, 2), (2, 1)]);
    assert!(waits(&plan, ("test.app.a", Half::Make), ("test.app.c", Half::Make)));
}

#[test]
fn instances_of_a_set_go_one_at_a_time() {
    let mut world = World::default();
    for key in ["0", "1", "2"] {
        let mut it = app("web").keyed(key).with("name", format!("web-{key}").as_str());
        it.0.lifecycle.turn = Some(Turn { set: address("test.app.web"), at_once: 1, rollout: false });
        world.declare(it);
    }
    let plan = world.plan();
    assert!(waits(&plan, ("test.app.web[\"0\"]", Half::Make), ("test.app.web[\"1\"]", Half::Make)));
    assert!(waits(&plan, ("test.app.web[\"1\"]", Half::Make), ("test.app.web[\"2\"]", Half::Make)));
}

#[test]
fn a_set_goes_a_few_at_a_time_and_a_rollout_only_where_something_runs() {
    let declare = |world: &mut World, image: &str, rollout: bool| {
        for key in ["0", "1", "2", "3", "4"] {
            let mut it = app("web").keyed(key).with("name", format!("web-{key}").as_str()).with("note", image);
            it.0.lifecycle.turn = Some(Turn { set: address("test.app.web"), at_once: 2, rollout });
            world.declare(it);
        }
    };
    let of = |key: &str| format!("test.app.web[{key:?}]");
    let waits_for =
        |plan: &crate::model::Plan, first: &str, second: &str| waits(plan, (&of(first), Half::Make), (&of(second), Half::Make));
    let mut world = World::default();
    declare(&mut world, "one", false);
    let plan = world.plan();
    assert!(waits_for(&plan, "0", "2") && waits_for(&plan, "1", "2") && waits_for(&plan, "3", "4"));
    assert!(!waits_for(&plan, "0", "1") && !waits_for(&plan, "2", "3"));

    declare(&mut world, "one", true);
    let plan = world.plan();
    assert!(!waits_for(&plan, "0", "2"), "nothing runs yet");
    world.apply(&plan);
    declare(&mut world, "two", true);
    let plan = world.plan();
    assert!(waits_for(&plan, "0", "2") && waits_for(&plan, "1", "3") && !waits_for(&plan, "0", "1"));
}

#[test]
fn an_old_object_goes_only_when_its_turn_has_come() {
    let mut world = World::default();
    let declare = |world: &mut World, region: &str| {
        for key in ["0", "1"] {
            let mut it = app("web").keyed(key).with("name", format!("web-{key}").as_str()).with("region", region);
            it.0.lifecycle.turn = Some(Turn { set: address("test.app.web"), at_once: 1, rollout: true });
            world.declare(it);
        }
    };
    declare(&mut world, "cdg");
    world.applied();
    declare(&mut world, "fra");
    let plan = world.plan();
    assert!(waits(&plan, ("test.app.web[\"0\"]", Half::Make), ("test.app.web[\"1\"]", Half::Unmake)));
}

#[test]
fn instance_edges_in_a_circle_are_dropped_and_said() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x").after("test.app.b", EdgeReason::Instance));
    world.declare(app("b").with("name", "y").after("test.app.a", EdgeReason::Instance));
    let plan = world.plan();
    assert_eq!(plan.dropped.len(), 2);
    world.apply(&plan);
    assert!(world.plan().is_empty());
    assert!(world.records.values().all(|record| record.edges.is_empty()));
}

#[test]
fn a_circle_of_references_is_refused_with_every_edge() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x").with("note", attribute("test.app.b", "id")));
    world.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    let errors = world.plan_of(world.desired()).unwrap_err();
    assert_eq!(errors[0].code, Code::Cycle);
    assert_eq!(errors[0].message, "`test.app.a` and `test.app.b` wait for each other");
    assert_eq!(errors[0].labels.len(), 2);
    assert!(errors[0].labels[0].1.starts_with("1: `test.app.a` needs a value that `test.app.b`"));
}
