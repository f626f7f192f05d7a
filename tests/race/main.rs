//! Eight processes make small applies of the same resources against one store, each as soon as it may: nothing is lost, nothing is
//! doubled, and every record has been through the versions that it would have been through one after another.
//!
//! `RACE_APPLIES` says how many applies each store gets in all; without it 64 on this machine's disk, and 24 on each shared store.
//! Those need a server that is installed, as `tests/stores` does.

#![allow(clippy::disallowed_methods, reason = "real processes are watched by the real clock")]

mod child;
#[path = "../stores/servers.rs"]
#[allow(dead_code, reason = "the tests of the stores ask more of a server")]
mod servers;
mod stores;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use stackwright::audit::verify_log;
use stackwright::state::State;
use stackwright::world::World;

use self::child::{COUNT, address, count_of};

const PROCESSES: u64 = 8;

fn applies(usual: u64) -> u64 {
    std::env::var("RACE_APPLIES").ok().map_or(usual, |text| text.parse().expect("RACE_APPLIES takes a number"))
}

#[test]
fn eight_processes_lose_and_double_nothing_on_this_machines_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    race(&format!("dir:{}", dir.path().join("state").display()), dir.path(), applies(64));
}

#[test]
fn eight_processes_lose_and_double_nothing_in_postgresql() {
    let Some(server) = servers::Postgres::start(&[]) else { return };
    let keys = tempfile::tempdir().expect("a directory");
    race(&format!("postgres:{}", server.url("owner")), keys.path(), applies(24));
}

#[test]
fn eight_processes_lose_and_double_nothing_in_a_bucket() {
    let Some(server) = servers::Bucket::start() else { return };
    let keys = tempfile::tempdir().expect("a directory");
    race(&format!("s3:{}", server.port()), keys.path(), applies(24));
}

/// Lets the processes go, and holds what each was told against what is stored in the end.
fn race(store: &str, keys: &std::path::Path, applies: u64) {
    let begun = Instant::now();
    let children: Vec<Child> = (0..PROCESSES)
        .map(|nth| {
            let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
            command.args(["child::makes_its_applies", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
            command.env(child::STORE, store).env(child::KEYS, keys).env(child::SEED, nth.to_string());
            command.env(child::APPLIES, (applies / PROCESSES + u64::from(nth < applies % PROCESSES)).to_string());
            command.stdout(Stdio::piped()).stderr(Stdio::inherit()).stdin(Stdio::null()).spawn().expect("it starts")
        })
        .collect();
    let (mut revisions, mut runs) = (BTreeSet::new(), BTreeSet::new());
    // For each address what it was told to count, and the version of the record that said so.
    let mut told: BTreeMap<String, BTreeMap<u64, u64>> = BTreeMap::new();
    let mut waits = 0;
    for mut child in children {
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        for line in lines {
            let Some(said) = line.split_once("acknowledged ").map(|(_, said)| said) else { continue };
            let mut numbers = said.split(' ').map(|it| it.parse::<u64>());
            let mut next = || numbers.next().expect("a number more").expect("it is a number");
            assert!(revisions.insert(next()), "two runs got one revision: {said}");
            assert!(runs.insert(next()), "two runs have one number: {said}");
            waits += next();
            for _ in 0..next() {
                let (at, count, version) = (next(), next(), next());
                let before = told.entry(address(at).to_string()).or_default().insert(count, version);
                assert_eq!(before, None, "two runs made the same version of {}: one of them is lost", address(at));
            }
        }
        assert!(child.wait().expect("it is ours").success(), "a process failed");
    }
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(revisions.len() as u64, applies);
    assert_eq!(revisions.last(), Some(&applies), "revisions are numbered without gaps");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let world = World::real();
        let state = State::open(stores::open(store, &world), keys, "production", &world).await.expect("it opens");
        let view = state.view();
        for (address, versions) in &told {
            let (count, version) = versions.last_key_value().expect("each was written");
            assert_eq!(*count, versions.len() as u64, "{address} was counted as if one run had followed another");
            assert!(versions.values().is_sorted(), "{address}: {versions:?}");
            let record = &view.records[&stackwright::model::Address::parse(address).expect("an address")];
            assert_eq!((count_of(record), record.version), (*count, *version), "{address} holds what was acknowledged last");
            assert!(record.inputs.contains_key(COUNT));
        }
        assert_eq!(view.records.len(), told.len());
        assert_eq!((view.revision, view.void.len(), view.open.len(), view.active.len()), (applies, 0, 0, 0));
        let verified = verify_log(&state, &Default::default()).await;
        assert!(verified.holds(), "{:?}", verified.checks);
    });
    let writes: usize = told.values().map(BTreeMap::len).sum();
    let (name, _) = store.split_once(':').expect("a kind of store");
    let pace = applies as f64 / took;
    println!(
        "{name}: {applies} applies of {PROCESSES} processes in {took:.1} s, {pace:.1} a second; {writes} records written, {waits} waits; \
         revisions without gaps, no write lost or doubled, the log verifies"
    );
}
