use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::*;
use crate::lang;
use crate::lang::program::Act;
use crate::model::Sources;
use crate::ops::apply::{self, Stop};
use crate::ops::author::Author;
use crate::ops::settings::{Clouds, Settings};
use crate::ops::testing::sandbox::{StepTold, TestWorld};
use crate::providers::registry;
use crate::world::World;

const PROGRAM: &str = r#"
stack s { language = 1 }
environment local { on = local }
secret key { generate = 32B, rotate = 90d, overlap = 1d }
secret other { generate = 16B }
resource local.file user { path = "user", content = "${secret.key.value} ${secret.key.previous ?? "-"}" }
resource local.file second { path = "second", content = "${local.file.user.location} ${secret.key.value}" }
resource local.file apart { path = "apart", content = secret.other.value }
"#;

fn world() -> TestWorld {
    let schemas = Arc::new(registry::schemas());
    let checked = lang::load(Sources::default(), vec![("s.stack".into(), PROGRAM.into())], schemas);
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
    TestWorld::new(&settings, "secrets", "local", program, checked.sources)
}

fn apply(world: &mut TestWorld) {
    let clock = world.clock.clone();
    let done = clock.run(world.act(Act::Apply, StepTold::default())).expect("nothing waits for ever");
    assert!(done.errors.is_empty(), "{:?}", done.errors);
}

fn pass(world: &TestWorld, span: Duration) {
    let clock = world.workspace.settings.world.clock.clone();
    world.clock.run(async move { clock.sleep(span).await }).expect("time passes");
}

/// Rotates, and says what was changed.
fn rotated(world: &mut TestWorld, named: &str) -> Result<Vec<String>, String> {
    let clock = world.clock.clone();
    let workspace = &mut world.workspace;
    let rotating = async move {
        let connections = workspace.connections().await?;
        let rotation = rotate(workspace, &connections, named).await?;
        let request = apply::Request {
            command: format!("rotate {named}"),
            author: Author { who: "test".into(), host: "test".into(), commit: None },
            parallel: None,
            lock_wait: Duration::ZERO,
            waiting: apply::Waiting::default(),
            grace: Duration::ZERO,
        };
        let (events, _) = mpsc::unbounded_channel();
        let (_stop, stop) = watch::channel(Stop::No);
        let (plan, sources) = (&rotation.planned.plan, workspace.sources().clone());
        let applied = apply::make(workspace, &connections, plan, &sources, &request, events, stop).await?;
        assert!(applied.outcome.is_complete(), "{:?}", applied.outcome.failed);
        Ok(plan.changes.iter().map(|change| change.address.to_string()).collect())
    };
    let result: Result<Vec<String>, Failure> = clock.run(rotating).expect("nothing waits for ever");
    result.map_err(|failure| failure.diagnostics[0].message.clone())
}

fn text(world: &TestWorld, address: &str, name: &str) -> String {
    let address = Address::parse(address).expect("an address");
    let value = world.workspace.state.view().records[&address].attribute(name).cloned();
    value.as_ref().and_then(Value::as_text).unwrap_or("none").to_owned()
}

#[test]
fn a_rotation_reaches_whoever_uses_the_secret_and_nobody_else() {
    let mut world = world();
    apply(&mut world);
    let (first, other) = (text(&world, "secret.key", "value"), text(&world, "secret.other", "value"));
    assert_eq!(rotated(&mut world, "key"), Ok(vec!["local.file.second".into(), "local.file.user".into(), "secret.key".into()]));
    let second = text(&world, "secret.key", "value");
    assert_ne!(first, second);
    assert_eq!(text(&world, "secret.other", "value"), other);
    assert_eq!(text(&world, "local.file.user", "content"), format!("{second} {first}"));
    assert!(text(&world, "local.file.second", "content").ends_with(&second));
    let last = world.workspace.state.view().last.clone().expect("a revision");
    assert_eq!(last.command, "rotate key");

    // The next plan finds nothing to do, and asks for no other value.
    apply(&mut world);
    assert_eq!(text(&world, "secret.key", "value"), second);
}

#[test]
fn the_former_value_goes_when_the_overlap_is_over() {
    let mut world = world();
    apply(&mut world);
    rotated(&mut world, "secret.key").expect("it rotates");
    let value = text(&world, "secret.key", "value");
    pass(&world, Duration::from_secs(23 * 3600));
    apply(&mut world);
    assert_ne!(text(&world, "secret.key", "previous"), "none");
    pass(&world, Duration::from_secs(2 * 3600));
    apply(&mut world);
    assert_eq!(text(&world, "secret.key", "previous"), "none");
    assert_eq!(text(&world, "local.file.user", "content"), format!("{value} -"));
    // It stays gone, and the value what it was.
    apply(&mut world);
    assert_eq!(text(&world, "secret.key", "value"), value);

    // The rotation after that overlaps again.
    rotated(&mut world, "key").expect("it rotates");
    assert_eq!(text(&world, "secret.key", "previous"), value);
}

#[test]
fn ages_are_known_and_names_are_helped_with() {
    let mut world = world();
    assert_eq!(rotated(&mut world, "key"), Err("state holds no secret `secret.key`".into()));
    apply(&mut world);
    pass(&world, Duration::from_secs(3600));
    rotated(&mut world, "key").expect("it rotates");
    let ages = ages(&world.workspace.state);
    let [key, other] = &ages[..] else { panic!("{ages:?}") };
    assert_eq!((key.version, other.version), (2, 1));
    assert!(key.since > other.since && key.due.is_some() && other.due.is_none());
    assert!(key.previous_until.is_some() && other.previous_until.is_none() && !key.given);
    assert_eq!(rotated(&mut world, "kye"), Err("state holds no secret `secret.kye`".into()));
}
