use super::*;
use crate::model::{Action, Became, Code, Digest, Foreseen, Made, Origin, Plan, Span, Value};
use crate::plan::tests::world::*;
use crate::world::tamper;

fn digest(value: &Value) -> Digest {
    Digest::of(value.as_text().unwrap_or_default().as_bytes())
}

/// A plan with most actions, secrets, unknowns, drift, a move, warnings and outputs.
fn rich() -> (World, Plan) {
    let mut world = World::default();
    world
        .declare(app("a").with("name", "x").with("token", Value::text("a-secret-token").secret()).with("env", map([("A", "1")])));
    world.declare(app("b").with("name", "y").with("note", attribute("test.app.a", "revision")));
    world.declare(disk("d").with("size", 1).with("app", attribute("test.app.b", "id")));
    world.declare(app("old").with("name", "o"));
    world.declare(app("gone").with("name", "g"));
    world.declare(act("m").with("command", "x"));
    world.output("id", attribute("test.app.a", "revision"));
    world.applied();
    world.requirements.push(requirement(&[("test.app.new", "id"), ("test.disk.d", "id")]));
    world.see("test.app.b", [("region", "by hand")]);
    world.redeclare(
        app("a").with("name", "x").with("token", Value::text("another-token").secret()).with("env", map([("A", "2")])),
    );
    world.redeclare(disk("d").with("size", 2).with("app", attribute("test.app.b", "id")));
    world.remove("test.app.old");
    world.declare(app("new").with("name", "o").with("note", "n"));
    world.moved = vec![(address("test.app.old"), address("test.app.new"), Span::ENGINE)];
    world.remove("test.app.gone");
    world.remove("test.act.m");
    world.declare(zone("z").with("name", "example.com"));
    let mut plan = world.plan();
    let label = Span::new(crate::model::SourceId(0), 1, 2);
    plan.warnings.push(Code::Doubtful.warning("careful").label(label, "here").note("a fact").help("look"));
    plan.reveals.push(crate::model::desired::Reveal {
        span: label,
        reason: "shown to the visitor".into(),
        instance: Some(address("service.api")),
    });
    plan.foreseen.push(Foreseen {
        address: address("test.app.b"),
        action: "update".into(),
        became: Became::Again,
        certain: false,
        words: "seen".into(),
        record: Some(Digest::of(b"b")),
    });
    plan.made = Some(Made { who: "ada".into(), time_ms: 1_767_225_600_000 });
    (world, plan)
}

fn sources() -> Sources {
    let mut sources = Sources::default();
    sources.add("shop.stack", "stack shop {}", Origin::File);
    sources.add("--input", "token=hunter2", Origin::Given);
    sources
}

#[test]
fn a_plan_comes_back_as_it_was() {
    let (world, plan) = rich();
    let bytes = encode(&plan, &sources()).unwrap();
    let file = decode(&bytes, &world.schemas, &digest).unwrap();
    assert_eq!(format!("{:#?}", file.plan), format!("{plan:#?}"));
    assert_eq!(encode(&file.plan, &file.sources).unwrap(), encode(&plan, &file.sources).unwrap());
    assert_eq!(file.plan.effects, plan.effects);
    let words: Vec<&str> = plan.changes.iter().map(|change| change.action.word()).collect();
    assert_eq!(file.plan.requirements.len(), 1);
    for word in ["replace", "update", "move", "destroy", "forget", "read"] {
        assert!(words.contains(&word), "{words:?}");
    }
    assert!(!String::from_utf8(bytes).unwrap().contains("hunter2"), "texts from outside stay outside");
}

#[test]
fn what_was_altered_is_refused() {
    let (world, plan) = rich();
    let bytes = String::from_utf8(encode(&plan, &sources()).unwrap()).unwrap();
    let refused = |from: &str, to: &str| {
        assert!(bytes.contains(from), "{from} in {bytes}");
        decode(bytes.replacen(from, to, 1).as_bytes(), &world.schemas, &digest).unwrap_err().code
    };
    assert_eq!(refused("\"environment\":\"test\"", "\"environment\":\"production\""), Code::DamagedPlan);
    assert_eq!(refused("another-token", "attacker-token"), Code::DamagedPlan);
    assert_eq!(refused("\"same\":", "\"run\":\"rm\",\"same\":"), Code::DamagedPlan);
    assert_eq!(refused("\"format\":1", "\"format\":2"), Code::StalePlan);
    assert_eq!(refused("\"schema_version\":1", "\"schema_version\":2"), Code::StalePlan);
    assert_eq!(refused("\"order\":[[", "\"order\":[[1,1],["), Code::DamagedPlan);
    assert_eq!(refused("\"order\":[[", "\"order\":[[4000000000,1],["), Code::DamagedPlan);
    assert_eq!(refused("change a token", "rm -rf"), Code::StalePlan);
}

#[test]
fn cut_and_flipped_bytes_are_an_error_or_the_same_effects() {
    let (world, plan) = rich();
    let bytes = encode(&plan, &sources()).unwrap();
    for cut in (0..bytes.len()).step_by(37) {
        assert!(decode(&bytes[..cut], &world.schemas, &digest).is_err());
    }
    for at in (0..bytes.len()).step_by(11) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 7);
        if let Ok(file) = decode(&bytes, &world.schemas, &digest) {
            assert_eq!(file.plan.effects, plan.effects, "only what is shown may differ");
            assert!(file.plan.changes.iter().zip(&plan.changes).all(|(a, b)| a.action == b.action));
        }
    }
}

/// As somebody would make them who has the key that seals plan files: the seal is tried by the tests of `state`.
#[test]
fn an_edited_plan_is_refused_or_has_the_effects_that_were_approved() {
    let (world, plan) = rich();
    let bytes = encode(&plan, &sources()).unwrap();
    let effects = |plan: &Plan| -> Vec<_> { plan.changes.iter().map(|it| (it.address.clone(), it.action.clone())).collect() };
    let mut refused = 0;
    let seeds = tamper::seeds(1500);
    for seed in seeds.clone() {
        let edited = tamper::edited(&bytes, &mut tamper::Dice::of(seed));
        match decode(&edited, &world.schemas, &digest) {
            Err(_) => refused += 1,
            Ok(file) => {
                assert_eq!(file.plan.effects, plan.effects, "TAMPER_SEED={seed}: only what is shown may differ");
                assert!(effects(&file.plan) == effects(&plan), "TAMPER_SEED={seed}: another plan would be applied");
            }
        }
    }
    assert!(refused * 2 > seeds.count(), "{refused} were refused");
}

#[test]
fn a_plan_to_forget_a_kind_that_is_unknown_comes_back() {
    let mut world = World::default();
    world.declare(app("a").with("name", "x"));
    world.applied();
    world.record_mut("test.app.a").kind = "gone.kind".into();
    world.remove("test.app.a");
    world.forget = vec![(address("test.app.a"), Span::ENGINE)];
    let plan = world.plan();
    let file = decode(&encode(&plan, &sources()).unwrap(), &world.schemas, &digest).unwrap();
    assert_eq!(file.plan.changes[0].action, Action::Forget);
}
