//! A destroy and a create that look alike.

use super::*;

fn warnings(world: &World) -> Vec<String> {
    world.plan().warnings.iter().map(|it| it.help.join(" ")).collect()
}

fn five(name: &str, note: &str) -> Declared {
    app(name).with("name", "web").with("region", "cdg").with("env", map([("A", "1")])).with("count", 3).with("note", note)
}

#[test]
fn what_is_equal_in_four_of_five_fields_is_probably_the_same() {
    let mut world = World::default();
    world.declare(five("old", "one"));
    world.declare(app("else").with("name", "x").with("region", "fra"));
    world.applied();
    world.remove("test.app.old");
    world.declare(five("new", "two"));
    assert_eq!(warnings(&world), ["to keep it, write `moved { from = \"test.app.old\", to = \"test.app.new\" }`"]);
    world.remove("test.app.new");
    world.declare(five("new", "two").with("region", "fra"));
    assert!(warnings(&world).is_empty(), "three of five are too few");
}

#[test]
fn two_that_look_alike_are_told_apart_by_nobody_and_each_is_named_once() {
    let mut world = World::default();
    world.declare(five("a", "one"));
    world.declare(five("b", "one"));
    world.applied();
    world.remove("test.app.a");
    world.remove("test.app.b");
    world.declare(five("c", "one"));
    world.declare(five("d", "one"));
    assert_eq!(warnings(&world).len(), 2);
    assert_eq!(action_of(&world.plan(), "test.app.a"), ["destroy"], "a warning changes nothing");
}

#[test]
fn a_key_of_a_set_and_what_lies_inside_of_an_instance_are_compared_as_one() {
    let mut world = World::default();
    let inside = |parent: &str, at: &str| {
        let mut it = five(at, "one");
        it.0.address = address(&format!("{parent}/test.app.{at}"));
        it.0.instance = address(parent);
        it
    };
    world.declare(inside("service.a", "one"));
    world.declare(inside("service.a", "two"));
    world.applied();
    world.remove("service.a/test.app.one");
    world.remove("service.a/test.app.two");
    world.declare(inside("service.b", "one"));
    world.declare(inside("service.b", "two"));
    assert_eq!(warnings(&world), ["to keep it, write `moved { from = \"service.a\", to = \"service.b\" }`"]);
}
