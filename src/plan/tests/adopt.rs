//! Objects that exist become resources.

use super::*;
use crate::model::{Adoption, Wanted};

fn object(id: &str, region: &str) -> Value {
    map([("id", id), ("name", "shop-web"), ("region", region), ("revision", "r1"), ("note", "by hand")])
}

fn world() -> World {
    let mut world = World::default();
    world.declare(app("a").with("name", "shop-web").with("region", "cdg").with("note", "by hand"));
    world
}

#[test]
fn an_object_that_is_as_the_program_says_is_adopted_and_no_more() {
    let mut world = world();
    world.adopts("test.app.a", "id-7", &[object("id-7", "cdg")]);
    world.declare(app("b").with("name", "other").with("note", attribute("test.app.a", "id")));
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.a"), ["adopt"]);
    assert_eq!(plan.changes[0].action, Action::Adopt { id: "id-7".into() });
    assert_eq!(plan.reads.first(), Some(&(address("test.app.a"), 0)));
    // What the platform computed is known to whoever uses it.
    assert!(fields_of(&plan, "test.app.b").contains(&"note: - -> \"id-7\"".to_owned()), "{:?}", fields_of(&plan, "test.app.b"));
    world.apply(&plan);
    assert!(world.plan().is_empty(), "the item is past once it is applied");
}

#[test]
fn what_differs_is_changed_in_the_same_plan() {
    let mut world = world();
    world.adopts("test.app.a", "id-7", &[object("id-7", "cdg")]);
    world.redeclare(app("a").with("name", "shop-web").with("region", "cdg").with("env", map([("A", "1")])));
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.a"), ["adopt", "update"]);
    assert_eq!(plan.order, [(0, 1)]);
    let fields = fields_of(&plan, "test.app.a");
    assert_eq!(fields, ["env: - -> { A = \"1\" }", "note: \"by hand\" -> -"]);
}

#[test]
fn an_object_that_would_be_replaced_is_refused() {
    let mut world = world();
    world.adopts("test.app.a", "id-7", &[object("id-7", "fra")]);
    let refused = world.plan_of(world.desired()).unwrap_err();
    assert_eq!(refused[0].code, Code::NotAdopted);
    assert!(refused[0].notes[0].1.contains("`region` is \"fra\" there, and \"cdg\" in the program"), "{refused:?}");
}

#[test]
fn what_is_not_there_what_is_not_alone_and_what_nobody_looked_for_is_refused() {
    let mut world = world();
    world.adopts("test.app.a", "id-7", &[]);
    assert_eq!(world.refused(), [Code::NotFound]);
    world.adopt.clear();
    world.adopts("test.app.a", "id-7", &[object("id-7", "cdg"), object("id-8", "cdg")]);
    assert_eq!(world.refused(), [Code::SeveralFound]);
    world.seen.adoptable.clear();
    assert_eq!(world.refused(), [Code::NotAdopted]);
}

#[test]
fn an_object_of_another_record_is_refused_and_so_is_another_object_here() {
    let mut world = world();
    world.applied();
    let id = world.records[&address("test.app.a")].attribute("id").and_then(Value::as_text).unwrap().to_owned();
    world.declare(app("b").with("name", "second").with("region", "cdg"));
    world.adopts("test.app.b", &id, &[object(&id, "cdg")]);
    let refused = world.plan_of(world.desired()).unwrap_err();
    assert_eq!(refused[0].code, Code::NotAdopted);
    assert!(refused[0].help[0].contains("moved { from = \"test.app.a\""), "{refused:?}");

    world.adopt.clear();
    world.adopts("test.app.a", "id-99", &[]);
    assert_eq!(world.refused(), [Code::NotAdopted]);
}

#[test]
fn a_name_that_the_program_leaves_out_is_the_objects() {
    let mut world = World::default();
    let made = Value::text("made-up-x7").at(Span::ENGINE);
    world.declare(app("a").with("name", made).with("region", "cdg").with("note", "by hand"));
    world.adopts("test.app.a", "id-7", &[object("id-7", "cdg")]);
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.a"), ["adopt"]);
    world.apply(&plan);
    assert_eq!(world.records[&address("test.app.a")].inputs["name"], Value::text("shop-web"));
}

#[test]
fn where_to_look_follows_from_what_the_program_gives_and_from_records() {
    let mut world = world();
    let query = Wanted::Query([("note".into(), Value::text("by hand"))].into());
    world.adopt.push(Adoption { address: address("test.app.a"), object: query, span: Span::ENGINE });
    let looks = looks(&world.desired(), &world.records, &world.schemas);
    let [look] = &looks[..] else { panic!("{looks:?}") };
    let crate::plan::refresh::What::Adopt { group: Some(group), .. } = &look.what else { panic!("{look:?}") };
    assert_eq!(group["region"], Value::text("cdg"));
    let mut seen = crate::model::Seen::default();
    let found = [object("id-1", "cdg"), object("id-2", "cdg")].map(|it| it.as_map().unwrap().clone());
    let mut found = found.to_vec();
    found[1].insert("note".into(), Value::text("another"));
    crate::plan::refresh::sort_adoption(look, found, &mut seen);
    assert_eq!(seen.adoptable[&address("test.app.a")].len(), 1);
}
