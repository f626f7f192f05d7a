//! One of the processes: makes its applies, and says each that it was told is done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stackwright::model::value::Fields;
use stackwright::model::{Address, Data, Name, Record, Value};
use stackwright::state::{Begun, Body, Intent, OperationId, Revision, Run, RunHeader, State, examples};
use stackwright::world::World;

pub const STORE: &str = "STACKWRIGHT_RACE_STORE";
pub const KEYS: &str = "STACKWRIGHT_RACE_KEYS";
pub const SEED: &str = "STACKWRIGHT_RACE_SEED";
pub const APPLIES: &str = "STACKWRIGHT_RACE_APPLIES";

/// How many resources there are: few enough that most applies meet another.
const RESOURCES: u64 = 16;
pub const COUNT: &str = "count";

pub fn address(at: u64) -> Address {
    Address::parse(&format!("local.value.r{at}")).expect("an address")
}

pub fn count_of(record: &Record) -> u64 {
    record.inputs[COUNT].as_text().and_then(|text| text.parse().ok()).expect("it counts")
}

#[tokio::test]
#[ignore = "a child of the other tests"]
async fn makes_its_applies() {
    let variable = |name: &str| std::env::var(name).expect("another test starts this one");
    let number = |name: &str| variable(name).parse::<u64>().expect("a number");
    let world = World::real();
    let store = super::stores::open(&variable(STORE), &world);
    let keys = std::path::PathBuf::from(variable(KEYS));
    let mut state = State::open(store, &*keys, "production", &world).await.expect("it opens");
    let mut chance = Chance(number(SEED).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    for _ in 0..number(APPLIES) {
        let wanted: BTreeSet<u64> = (0..1 + chance.below(3)).map(|_| chance.below(RESOURCES)).collect();
        let (run, waits) = begin(&mut state, &wanted, &world).await;
        let written = apply(&run, &wanted, &world, chance.below(2) == 0).await;
        let counts = [("update".into(), wanted.len() as u32)].into();
        let revision = run.finish(Revision { counts, ..examples::revision() }).await.unwrap_or_else(|error| panic!("{error:?}"));
        // One write, so that lines of a process are whole.
        println!("acknowledged {revision} {} {waits} {}{written}", run.number(), wanted.len());
    }
}

async fn begin(state: &mut State, wanted: &BTreeSet<u64>, world: &World) -> (Run, u64) {
    let header = RunHeader {
        command: "apply".into(),
        who: "race".into(),
        pid: std::process::id(),
        addresses: wanted.iter().map(|at| address(*at)).collect(),
        changes: wanted.len() as u32,
        ..RunHeader::default()
    };
    let mut waits = 0;
    loop {
        match state.try_begin(&header).await.unwrap_or_else(|error| panic!("{error:?}")) {
            Begun::Run(run) => return (run, waits),
            Begun::Held(_) => {
                waits += 1;
                world.clock.sleep(Duration::from_millis((1 << waits.min(6)).min(50))).await;
            }
        }
    }
}

/// Counts each record on by one; an operation each, in one batch or one after another. Gives what was made, with the versions.
async fn apply(run: &Run, wanted: &BTreeSet<u64>, world: &World, together: bool) -> String {
    let view = run.view();
    let mut steps = Vec::new();
    for at in wanted {
        let before = view.records.get(&address(*at));
        let count = before.map_or(0, |record| count_of(record)) + 1;
        let intent = counted(OperationId(world.random_id()), *at, count, before.cloned());
        let opened = Body::Intent(Box::new(intent.clone()));
        let closed = Body::Outcome(Box::new(examples::done(&intent, Fields::new())));
        steps.push((*at, count, opened, closed));
    }
    let mut versions = Vec::new();
    if together {
        append(run, steps.iter().map(|(_, _, opened, _)| opened.clone()).collect()).await;
        versions = append(run, steps.iter().map(|(_, _, _, closed)| closed.clone()).collect()).await;
    } else {
        for (_, _, opened, closed) in &steps {
            append(run, vec![opened.clone()]).await;
            versions.extend(append(run, vec![closed.clone()]).await);
        }
    }
    steps.iter().zip(versions).map(|((at, count, ..), version)| format!(" {at} {count} {version}")).collect()
}

async fn append(run: &Run, bodies: Vec<Body>) -> Vec<u64> {
    run.append(bodies).await.unwrap_or_else(|error| panic!("{error:?}"))
}

fn counted(operation: OperationId, at: u64, count: u64, before: Option<Arc<Record>>) -> Intent {
    let count = Value::engine(Data::Text(count.to_string().into()));
    examples::intent(operation, address(at), Fields::from([(Name::from(COUNT), count)]), before)
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}
