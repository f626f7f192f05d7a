//! One row a case: what is declared, recorded and seen, and what follows.

mod adopt;
mod alike;
mod edges;
mod laws;
mod require;
pub(crate) mod world;

use world::*;

use super::*;
use crate::model::schema::ReplaceOrder;
use crate::model::{Action, Became, Code, FieldChange, Foreseen, Reason, SeenResource, Span, Value};

fn action_of(plan: &crate::model::Plan, address: &str) -> Vec<String> {
    let changes = plan.changes.iter().filter(|change| change.address.as_str() == address);
    changes.map(|change| format!("{}{}", change.action.word(), if change.maybe_replace { "?" } else { "" })).collect()
}

fn fields_of(plan: &crate::model::Plan, address: &str) -> Vec<String> {
    let change = plan.changes.iter().rfind(|change| change.address.as_str() == address).unwrap();
    change.fields.iter().map(show).collect()
}

fn show(field: &FieldChange) -> String {
    let text = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_literal);
    let path: Vec<String> = field
        .path
        .iter()
        .map(|step| match step {
            crate::model::Step::Field(name) => name.to_string(),
            crate::model::Step::Item(at) => at.to_string(),
        })
        .collect();
    let forces = field.forces_replacement.map_or(String::new(), |why| format!(" ({why})"));
    format!("{}: {} -> {}{forces}", path.join("."), text(&field.before), text(&field.after))
}

#[test]
fn what_is_new_is_created_and_what_is_the_same_is_counted() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.a"), ["create"]);
    assert!(matches!(plan.changes[0].reasons[..], [Reason::New { .. }]));
    assert_eq!(plan.reads, vec![(address("test.app.a"), 0)]);
    world.apply(&plan);
    let plan = world.plan();
    assert!(plan.is_empty());
    assert_eq!(plan.same, 1);
}

#[test]
fn a_changed_attribute_is_updated_with_its_parts_and_its_cause() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x").with("env", map([("A", "1"), ("B", "2")])));
    world.applied();
    let value = map([("A", "1"), ("B", "3"), ("C", "4")]);
    let place = Span::new(crate::model::SourceId(0), 3, 5);
    world.redeclare(app("a").with("name", "x").with("env", value.at(place)));
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.a"), ["update"]);
    assert_eq!(fields_of(&plan, "test.app.a"), ["env.B: \"2\" -> \"3\"", "env.C: - -> \"4\""]);
    assert_eq!(plan.changes[0].fields[0].cause, Some(place));
    assert_eq!(plan.changes[0].reasons, [Reason::Changed { span: place }]);
}

#[test]
fn null_and_absent_are_one() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.applied();
    world.redeclare(app("a").with("name", "x").with("note", Value::null()));
    assert!(world.plan().is_empty());
}

#[test]
fn a_set_has_no_order() {
    let mut world = World::default();
    let list = |items: &[&str]| Value::list(items.iter().map(|it| Value::text(*it)).collect());
    world.declare(app("a").with("name", "x").with("tags", list(&["a", "b", "b"])));
    world.applied();
    world.redeclare(app("a").with("name", "x").with("tags", list(&["b", "a", "b"])));
    assert!(world.plan().is_empty());
    world.redeclare(app("a").with("name", "x").with("tags", list(&["b", "a", "a"])));
    assert_eq!(action_of(&world.plan(), "test.app.a"), ["update"]);
}

#[test]
fn all_fields_that_force_a_replacement_are_listed_also_secret_ones() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x").with("region", "cdg").with("token", Value::text("old-secret").secret()));
    world.applied();
    world.redeclare(app("a").with("name", "y").with("region", "fra").with("token", Value::text("new-secret").secret()));
    let plan = world.plan();
    assert_eq!(plan.changes[0].action, Action::Replace { order: ReplaceOrder::DestroyFirst });
    assert_eq!(
        fields_of(&plan, "test.app.a"),
        [
            "id: \"id-1\" -> (known after apply)",
            "name: \"x\" -> \"y\" (rename an app)",
            "region: \"cdg\" -> \"fra\" (move an app)",
            "token: (secret) -> (secret) (change a token)",
        ]
    );
}

#[test]
fn what_cannot_be_updated_at_all_is_replaced() {
    let mut world = World::default();
    world.declare(disk("d").with("size", 1));
    world.applied();
    world.redeclare(disk("d").with("size", 2));
    assert_eq!(action_of(&world.plan(), "test.disk.d"), ["replace"]);
}

#[test]
fn lifecycle_chooses_the_order_of_a_replacement() {
    let mut world = World::default();
    world.declare(disk("d").with("size", 1));
    world.applied();
    let mut declared = disk("d").with("size", 2);
    declared.0.lifecycle.replace = Some(ReplaceOrder::CreateFirst);
    world.redeclare(declared);
    assert_eq!(world.plan().changes[0].action, Action::Replace { order: ReplaceOrder::CreateFirst });
}

#[test]
fn a_unique_name_by_hand_cannot_be_created_first_and_a_made_one_gets_a_generation() {
    let create_first = |mut it: Declared| {
        it.0.lifecycle.replace = Some(ReplaceOrder::CreateFirst);
        it
    };
    let by_hand = |name: &str| Value::text(name).at(Span::new(crate::model::SourceId(0), 0, 1));
    let mut world = World::default();
    world.declare(app("a").with("name", by_hand("x")).with("region", "cdg"));
    world.applied();
    world.redeclare(create_first(app("a").with("name", by_hand("x")).with("region", "fra")));
    assert_eq!(world.plan().changes[0].action, Action::Replace { order: ReplaceOrder::DestroyFirst });

    let mut world = World::default();
    world.declare(app("a").with("name", "made").with("region", "cdg"));
    world.applied();
    world.redeclare(create_first(app("a").with("name", "made").with("region", "fra")));
    let plan = world.plan();
    assert_eq!(plan.changes[0].action, Action::Replace { order: ReplaceOrder::CreateFirst });
    assert!(fields_of(&plan, "test.app.a").contains(&"name: \"made\" -> \"made-g1\"".to_owned()));
    assert_eq!(plan.changes[0].wanted().unwrap()["name"], Value::text("made-g1"));
}

#[test]
fn another_provider_instance_is_a_replacement() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.applied();
    let mut declared = app("a").with("name", "x");
    declared.0.provider = crate::model::ProviderName::parse("test.eu");
    world.redeclare(declared);
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.a"), ["replace"]);
    let needed: Vec<String> = plan.providers.iter().map(|provider| provider.name.to_string()).collect();
    assert_eq!(needed, ["test", "test.eu"]);
}

#[test]
fn ignored_fields_stay_as_they_are_and_are_sent_as_they_are() {
    let ignoring = |name: &str, note: &str| {
        let mut it = app("a").with("name", "x").with("env", map([("A", name)])).with("note", note);
        it.0.lifecycle.ignore = vec!["note".into()];
        it
    };
    let mut world = World::default();
    world.declare(ignoring("1", "first"));
    world.applied();
    world.redeclare(ignoring("1", "second"));
    assert!(world.plan().is_empty());
    world.see("test.app.a", [("note", "by hand")]);
    world.redeclare(ignoring("2", "second"));
    let plan = world.plan();
    assert_eq!(fields_of(&plan, "test.app.a"), ["env.A: \"1\" -> \"2\""]);
    assert_eq!(plan.changes[0].wanted().unwrap()["note"], Value::text("by hand"));
}

#[test]
fn an_attribute_stays_known_through_an_update_that_does_not_recompute_it() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.declare(disk("d").with("app", attribute("test.app.a", "id")).with("label", attribute("test.app.a", "revision")));
    world.applied();
    assert!(world.plan().is_empty(), "{:?}", world.plan().changes);
    // `revision` is recomputed by `env`, `id` is not; `app` forces a replacement and so must not become unknown.
    world.redeclare(app("a").with("name", "x").with("env", map([("A", "1")])));
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.disk.d"), ["replace?"].map(|_| "update?"));
    assert_eq!(fields_of(&plan, "test.disk.d"), ["label: \"rev-1\" -> (known after apply) (change one in place)"]);
    assert!(plan.changes[1].reasons.contains(&Reason::WaitsFor { address: address("test.app.a") }));
}

#[test]
fn what_depends_on_a_replacement_may_be_replaced() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.declare(app("b").with("name", "y").with("env", Value::map([("A".into(), attribute("test.app.a", "id"))].into())));
    world.declare(app("c").with("name", "z").with("region", attribute("test.app.a", "id")));
    world.applied();
    world.redeclare(app("a").with("name", "renamed"));
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.b"), ["update"]);
    assert_eq!(action_of(&plan, "test.app.c"), ["update?"]);
    assert_eq!(fields_of(&plan, "test.app.b"), ["env.A: \"id-1\" -> (known after apply)"]);
}

#[test]
fn an_act_runs_again_when_a_value_of_replace_on_changes() {
    let run = |version: &str| {
        let mut it = act("migrate").with("command", "migrate");
        it.0.lifecycle.replace_on = vec![Value::text(version)];
        it
    };
    let mut world = World::default();
    world.declare(run("1"));
    assert_eq!(action_of(&world.plan(), "test.act.migrate"), ["run"]);
    world.applied();
    assert!(world.plan().is_empty());
    world.redeclare(run("2"));
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.act.migrate"), ["run"]);
    assert!(matches!(plan.changes[0].reasons[..], [Reason::ReplaceOn { .. }]));
    world.remove("test.act.migrate");
    assert_eq!(action_of(&world.plan(), "test.act.migrate"), ["forget"]);
}

#[test]
fn replace_on_replaces_an_object_and_an_unknown_one_may() {
    let declared = |version: Value| {
        let mut it = app("b").with("name", "y");
        it.0.lifecycle.replace_on = vec![version];
        it
    };
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.declare(declared(Value::text("1")));
    world.applied();
    world.redeclare(declared(Value::text("2")));
    assert_eq!(action_of(&world.plan(), "test.app.b"), ["replace"]);
    world.redeclare(app("a").with("name", "x").with("env", map([("A", "1")])));
    world.redeclare(declared(attribute("test.app.a", "revision")));
    assert_eq!(action_of(&world.plan(), "test.app.b"), ["update?"]);
}

#[test]
fn asking_for_a_replacement_is_a_reason() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.applied();
    world.options.replace = vec![address("test.app.a")];
    let plan = world.plan();
    assert_eq!((action_of(&plan, "test.app.a"), &plan.changes[0].reasons[..]), (vec!["replace".into()], &[Reason::Asked][..]));
    world.options.replace = vec![address("test.app.nobody")];
    assert_eq!(world.refused(), [Code::Usage]);
}

#[test]
fn a_guard_refuses_while_the_record_has_it_and_lifting_it_is_a_change_of_its_own() {
    let protected = |yes: bool, region: &str| {
        let mut it = app("a").with("name", "x").with("region", region);
        it.0.lifecycle.protect = yes;
        it
    };
    let mut world = World::default();
    world.declare(protected(true, "cdg"));
    world.applied();
    world.redeclare(protected(true, "fra"));
    assert_eq!(world.refused(), [Code::Protected]);
    world.redeclare(protected(false, "fra"));
    assert_eq!(world.refused(), [Code::Protected], "lifting and replacing at once");
    world.remove("test.app.a");
    assert_eq!(world.refused(), [Code::Protected]);
    world.options.destroy = true;
    assert_eq!(world.refused(), [Code::Protected]);
    world.options.destroy = false;
    world.declare(protected(false, "cdg"));
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.a"), ["record"]);
    assert_eq!(plan.changes[0].reasons, [Reason::Guard { protect: false, span: None }]);
    world.apply(&plan);
    world.redeclare(protected(false, "fra"));
    assert_eq!(action_of(&world.plan(), "test.app.a"), ["replace"]);
}

#[test]
fn drift_of_what_the_program_sets_is_set_back() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x").with("env", map([("A", "1")])));
    world.applied();
    world.see("test.app.a", [("env", map([("A", "by hand")]))]);
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.a"), ["update"]);
    assert_eq!(plan.changes[0].reasons, [Reason::Drifted]);
    assert_eq!(fields_of(&plan, "test.app.a"), ["env.A: \"by hand\" -> \"1\""]);
    assert_eq!(plan.changes[0].drift.iter().map(show).collect::<Vec<_>>(), ["env.A: \"1\" -> \"by hand\""]);
}

#[test]
fn drift_of_what_the_program_leaves_open_is_a_notice() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.applied();
    world.see("test.app.a", [("note", "by hand")]);
    let plan = world.plan();
    assert!(plan.is_empty());
    assert_eq!(plan.notices.len(), 1);
}

#[test]
fn drift_towards_what_the_program_wants_is_only_recorded() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x").with("note", "new"));
    world.applied();
    world.record_mut("test.app.a").computed.insert("note".into(), Value::text("old"));
    world.see("test.app.a", [("note", "new")]);
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.a"), ["record"]);
    assert_eq!(plan.changes[0].reasons, [Reason::Drifted]);
}

#[test]
fn a_value_inside_a_given_range_is_no_drift() {
    let mut world = World::default();
    let range = Value::engine(crate::model::Data::Range(std::sync::Arc::new((Value::int(2), Value::int(10)))));
    world.declare(app("a").with("name", "x").with("count", range));
    world.applied();
    world.see("test.app.a", [("count", Value::int(7))]);
    assert!(world.plan().changes.is_empty());
    world.see("test.app.a", [("count", Value::int(11))]);
    assert_eq!(action_of(&world.plan(), "test.app.a"), ["update"]);
}

#[test]
fn a_reported_attribute_that_others_use_is_recorded_and_used() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "revision")));
    world.applied();
    world.see("test.app.a", [("revision", "rev-9")]);
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.a"), ["record"]);
    assert_eq!(fields_of(&plan, "test.app.b"), ["note: \"rev-1\" -> \"rev-9\""]);
}

#[test]
fn what_is_gone_is_created_again() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    world.applied();
    world.seen.resources.insert(address("test.app.a"), SeenResource::Gone);
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.a"), ["create"]);
    assert_eq!(plan.changes[0].reasons, [Reason::Gone]);
    assert_eq!(action_of(&plan, "test.app.b"), ["update"]);
}

#[test]
fn a_moved_resource_is_renamed_and_nothing_else() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    world.applied();
    world.remove("test.app.a");
    world.declare(app("n").with("name", "x"));
    world.redeclare(app("b").with("name", "y").with("note", attribute("test.app.n", "id")));
    world.moved = vec![(address("test.app.a"), address("test.app.n"), Span::ENGINE)];
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.n"), ["move"]);
    assert_eq!(action_of(&plan, "test.app.b"), ["record"], "its edge has another end");
    assert_eq!(plan.changes.len(), 2);
    world.apply(&plan);
    assert!(world.plan().is_empty(), "a rename that was applied is past: {:#?}", world.plan().changes);
}

#[test]
fn a_move_with_a_change_is_two_changes_in_order() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x").with("note", "1"));
    world.applied();
    world.remove("test.app.a");
    world.declare(app("n").with("name", "x").with("note", "2"));
    world.moved = vec![(address("test.app.a"), address("test.app.n"), Span::ENGINE)];
    let plan = world.plan();
    assert_eq!(action_of(&plan, "test.app.n"), ["move", "update"]);
    assert_eq!(plan.order, [(0, 1)]);
    assert_eq!(plan.reads, [(address("test.app.a"), 1), (address("test.app.n"), 0)]);
}

#[test]
fn moves_reach_inside_and_across_keys_and_refuse_what_is_taken() {
    let mut world = World::default();
    world.declare(app("a").keyed("k").with("name", "x"));
    world.declare(app("taken").with("name", "z"));
    world.applied();
    world.remove("test.app.a[\"k\"]");
    world.declare(app("n").keyed("k").with("name", "x"));
    world.moved = vec![(address("test.app.a"), address("test.app.n"), Span::ENGINE)];
    assert_eq!(action_of(&world.plan(), "test.app.n[\"k\"]"), ["move"]);
    world.moved = vec![(address("test.app.a[\"k\"]"), address("test.app.taken"), Span::ENGINE)];
    assert_eq!(world.refused(), [Code::Duplicate]);
}

#[test]
fn forget_leaves_it_alone_and_refuses_what_is_declared() {
    let mut world = World::default();
    world.declare(disk("d").with("size", 1));
    world.applied();
    world.forget = vec![(address("test.disk.d"), Span::ENGINE)];
    assert_eq!(world.refused(), [Code::Duplicate]);
    world.remove("test.disk.d");
    assert_eq!(action_of(&world.plan(), "test.disk.d"), ["forget"]);
}

#[test]
fn what_is_no_longer_declared_is_destroyed_and_says_what_is_lost() {
    let mut world = World::default();
    world.declare(disk("d").with("size", 1));
    world.applied();
    world.remove("test.disk.d");
    let plan = world.plan();
    assert_eq!(plan.changes[0].action, Action::Destroy { loses_data: true });
    assert_eq!(plan.changes[0].reasons, [Reason::Removed { was: String::new() }]);
}

#[test]
fn an_unknown_kind_in_state_is_refused_and_can_be_forgotten_by_name() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.applied();
    world.record_mut("test.app.a").kind = "gone.kind".into();
    world.remove("test.app.a");
    assert_eq!(world.refused(), [Code::UnknownKind]);
}

#[test]
fn outputs_change_with_what_they_are_made_from() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.output("id", attribute("test.app.a", "id"));
    let plan = world.plan();
    assert!(plan.outputs[0].after.as_ref().unwrap().value.is_unknown());
    world.apply(&plan);
    assert!(world.plan().is_empty());
    world.declared_outputs.clear();
    let plan = world.plan();
    assert_eq!((plan.outputs.len(), plan.outputs[0].after.is_none()), (1, true));
}

#[test]
fn only_takes_along_what_it_waits_for_and_names_what_it_leaves_out() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "id")));
    world.declare(app("c").with("name", "z"));
    world.options.only = vec!["test.app.b".into()];
    let plan = world.plan();
    let addresses: Vec<&str> = plan.changes.iter().map(|change| change.address.as_str()).collect();
    assert_eq!(addresses, ["test.app.a", "test.app.b"]);
    assert!(plan.warnings[0].notes[0].1.contains("`test.app.c` (create)"), "{:?}", plan.warnings);
    world.options.only = vec!["test.nothing.*".into()];
    assert_eq!(world.refused(), [Code::Usage]);
}

#[test]
fn globs_match_within_and_across_segments() {
    let at = |text: &str| address(text);
    for (glob, text, expected) in [
        ("service.api", "service.api", true),
        ("service.api", "service.api/fly.machine.web[\"0\"]", true),
        ("service.api", "service.apis", false),
        ("service.*", "service.api/fly.app.app", true),
        ("*.machine.*", "service.api/fly.machine.web", false),
        ("**machine.*", "service.api/fly.machine.web", true),
        ("service.worker", "service.worker[\"email\"]", true),
        ("service.worker[\"e*\"]", "service.worker[\"email\"]", true),
        ("**/fly.volume.*", "database.main/fly.volume.data[\"0\"]", true),
        ("", "service.api", false),
    ] {
        assert_eq!(only::matches(glob, &at(text)), expected, "{glob} {text}");
    }
}

#[test]
fn a_plan_fits_only_the_versions_that_it_was_made_from() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.applied();
    world.redeclare(app("a").with("name", "x").with("note", "1"));
    let plan = world.plan();
    let fits = |world: &World, store: &str, revision| {
        let digest = |value: &Value| Digest::of(value.as_text().unwrap_or_default().as_bytes());
        let (records, schemas) = (&world.records, &world.schemas);
        check_fits(&plan, &Present { store, revision: Some(revision), records, schemas, digest: &digest })
    };
    assert!(fits(&world, "store", 1).is_ok());
    world.record_mut("test.app.a").version += 1;
    let refusal = fits(&world, "store", 2).unwrap_err();
    assert_eq!(refusal.code, Code::StalePlan);
    assert!(refusal.notes[1].1.contains("`test.app.a`"));
    assert_eq!(fits(&world, "another", 1).unwrap_err().code, Code::StalePlan);
}

#[test]
fn a_plan_of_what_recovery_will_record_fits_that_and_nothing_else() {
    let digest = |value: &Value| Digest::of(value.as_text().unwrap_or_default().as_bytes());
    let mut world = World::default();
    world.declare(app("a").with("name", "x").with("token", Value::text("a-secret").secret()));
    world.applied();
    let record = world.record_mut("test.app.a");
    record.version = Record::FORESEEN;
    let digested = record_digest(&record.clone(), Became::Done, &world.schemas, &digest);
    world.redeclare(app("a").with("name", "x").with("note", "1"));
    world.foreseen = vec![Foreseen {
        address: address("test.app.a"),
        action: "create".into(),
        became: Became::Done,
        certain: true,
        words: String::new(),
        record: Some(digested),
    }];
    let plan = world.plan();
    assert_eq!(plan.reads, [(address("test.app.a"), Record::FORESEEN)]);
    let fits = |records: &BTreeMap<Address, Arc<Record>>| {
        let schemas = &world.schemas;
        check_fits(&plan, &Present { store: "store", revision: Some(1), records, schemas, digest: &digest })
    };
    let with = |change: &dyn Fn(&mut Record)| {
        let mut records = world.records.clone();
        let record = Arc::make_mut(records.get_mut(&address("test.app.a")).unwrap());
        record.version = 17;
        change(record);
        fits(&records)
    };
    assert!(with(&|_| {}).is_ok());
    let others: [&dyn Fn(&mut Record); 5] = [
        &|it| drop(it.inputs.insert("token".into(), Value::text("b-secret").secret())),
        &|it| drop(it.computed.insert("id".into(), Value::text("another"))),
        &|it| it.id = crate::model::RecordId([9; 16]),
        &|it| it.protect = true,
        &|it| it.generation += 1,
    ];
    for other in others {
        let said = format!("{:?}", with(other).unwrap_err().notes);
        assert!(said.contains("was taken to have happened") && said.contains("other values are recorded"), "{said}");
    }
    assert!(format!("{:?}", fits(&BTreeMap::new()).unwrap_err().notes).contains("nothing is recorded there"));
}

#[test]
fn a_plans_name_has_a_letter() {
    let digest = |hex: &str| crate::model::Digest::parse(&format!("{hex}{}", "0".repeat(64 - hex.len()))).unwrap();
    assert_eq!(effects::plan_id(&digest("7f3a9c21")), "7f3a9c21");
    assert_eq!(effects::plan_id(&digest("123456789abc")), "23456789a"[..8].replace("23456789", "3456789a"));
    assert_eq!(effects::plan_id(&digest("00")), "a0000000");
}

#[test]
fn another_secret_is_another_effect_and_is_not_shown() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x").with("token", Value::text("first-secret").secret()));
    let first = world.plan();
    world.redeclare(app("a").with("name", "x").with("token", Value::text("other-secret").secret()));
    let other = world.plan();
    assert_ne!(first.effects, other.effects);
    assert!(!format!("{first:?}").contains("first-secret"));
}

#[test]
fn a_data_source_is_read_when_planned_or_during_the_apply() {
    let mut world = World::default();
    world.declare(zone("z").with("name", "example.com"));
    world.declare(app("b").with("name", "y").with("note", attribute("test.zone.z", "id")));
    assert_eq!(action_of(&world.plan(), "test.zone.z"), ["read"]);
    world.see("test.zone.z", [("name", "example.com"), ("id", "zone-1")]);
    let plan = world.plan();
    assert!(action_of(&plan, "test.zone.z").is_empty());
    assert_eq!(fields_of(&plan, "test.app.b"), ["name: - -> \"y\"", "note: - -> \"zone-1\""]);
}

#[test]
fn refresh_lists_once_a_group_and_tells_objects_apart() {
    let mut world = World::default();
    for name in ["a", "b", "c"] {
        world.declare(app(name).with("name", name).with("region", if name == "c" { "fra" } else { "cdg" }));
    }
    world.declare(disk("d").with("size", 1));
    world.declare(act("m").with("command", "x"));
    world.applied();
    let looks = looks(&world.desired(), &world.records, &world.schemas);
    let lists = looks.iter().filter(|look| matches!(look.what, refresh::What::List { .. })).count();
    assert_eq!((looks.len(), lists), (3, 2));
    let look = looks.iter().find(|look| matches!(&look.what, refresh::What::List { records, .. } if records.len() == 2)).unwrap();
    let live = world.records[&address("test.app.b")].attributes();
    let mut seen = crate::model::Seen::default();
    refresh::sort_listing(look, Some(vec![live]), &world.records, &mut seen);
    assert!(matches!(seen.resources[&address("test.app.a")], SeenResource::Gone));
    assert!(matches!(seen.resources[&address("test.app.b")], SeenResource::Live(_)));
    assert!(!seen.resources.contains_key(&address("test.app.c")));
}
