//! What the log costs: `cargo bench --bench state`.
//!
//! - `append`: a revision of 1,000 changes, durable on this disk;
//! - `open`: a state of 100,000 resources, opened from its snapshot;
//! - `verify`: 100,000 signed revisions, read and verified by the program as a whole process, beside `git fsck` of as many commits;
//! - `journal`: an apply of 10,000 layered resources on a provider that answers in 5 ms, its log on this disk and its log in memory,
//!   beside the calls alone.
//!
//! Settings, by variables of the environment: `STATE_ONLY=append,open,verify,journal`, `STATE_REVISIONS=100000`,
//! `STATE_RESOURCES=100000`, `STATE_CHANGES=10000`, `STATE_ROUNDS=5`, `STATE_QUICK=/dev/shm` (where logs are made before they are
//! measured, since a sync costs nothing there).

#![allow(clippy::disallowed_methods, reason = "a benchmark measures by the real clock and has no `cli` to read its settings")]

#[allow(dead_code, reason = "shared with the other benchmarks, which need more of it")]
mod measure;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use measure::{fresh_dir, list, millis, numbers, run, which};
use stackwright::apply::{ApplyOptions, Journal, Stop, Surroundings, apply};
use stackwright::model::{Address, DesiredProvider, Fields, Kind, Record, Value};
use stackwright::ops::given::Given;
use stackwright::ops::plan::from_records;
use stackwright::ops::settings::{Clouds, Settings};
use stackwright::ops::workspace::Workspace;
use stackwright::providers::contract::{Answer, Call, CallAction, CallError, Connection, Found};
use stackwright::state::sign::SigningKey;
use stackwright::state::{Body, OperationId, RecordWrite, RunHeader, SignerAction, SignerChange, State, Write, examples};
use stackwright::world::World;

fn main() {
    let wanted = list("STATE_ONLY", "append,open,verify,journal");
    let rounds = numbers("STATE_ROUNDS", "5")[0].max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    println!("on {} cores", std::thread::available_parallelism().map_or(1, |it| it.get()));
    for what in &wanted {
        match what.as_str() {
            "append" => runtime.block_on(append(rounds)),
            "open" => runtime.block_on(open(rounds)),
            "verify" => runtime.block_on(verify(rounds)),
            "journal" => runtime.block_on(journal(rounds)),
            other => panic!("STATE_ONLY knows append, open, verify and journal, not `{other}`"),
        }
    }
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

fn say(what: &str, all: Vec<Duration>, limit: Duration) -> Duration {
    let (least, most) = (all.iter().min().copied().unwrap_or_default(), all.iter().max().copied().unwrap_or_default());
    let count = all.len();
    let middle = median(all);
    let verdict = if middle <= limit { "within" } else { "MORE THAN" };
    println!(
        "{what}: {:.1} ms, median of {count} ({:.1} to {:.1}); {verdict} {:.0} ms",
        millis(middle),
        millis(least),
        millis(most),
        millis(limit)
    );
    middle
}

fn header(addresses: Vec<Address>) -> RunHeader {
    RunHeader {
        command: "apply".into(),
        who: "bench".into(),
        host: "here".into(),
        pid: std::process::id(),
        commit: Some("9f2c1aa31".into()),
        plan: Some("7f3a9c21".into()),
        addresses,
        changes: 1,
        engine: env!("CARGO_PKG_VERSION").into(),
        ..RunHeader::default()
    }
}

fn address(at: usize) -> Address {
    Address::parse(&format!("local.value.r{at:06}")).expect("an address")
}

fn inputs(at: usize, input: &str) -> Fields {
    Fields::from([("input".into(), Value::text(format!("{input} of r{at:06}")))])
}

fn computed(at: usize, input: &str) -> Fields {
    Fields::from([("id".into(), Value::text(format!("v-{at}"))), ("output".into(), Value::text(input))])
}

fn put(at: usize, input: &str) -> Body {
    let intent = examples::intent(OperationId((at as u128).to_be_bytes()), address(at), inputs(at, input), None);
    let writes = vec![RecordWrite::Put(Arc::new(examples::record_of(&intent, computed(at, input))))];
    Body::Write(Box::new(Write { action: "record".into(), writes, causes: BTreeMap::new(), reason: None }))
}

/// An intent and its outcome, as an apply writes them.
fn call(world: &World, at: usize, before: Option<Arc<Record>>, input: &str) -> [Body; 2] {
    let intent = examples::intent(OperationId(world.random_id()), address(at), inputs(at, input), before);
    let outcome = examples::done(&intent, computed(at, input));
    [Body::Intent(Box::new(intent)), Body::Outcome(Box::new(outcome))]
}

/// Where a log is made: in memory if there is such a place.
fn quick(name: &str) -> PathBuf {
    let root = std::env::var_os("STATE_QUICK").map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from);
    let root = if root.is_dir() { root } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("target") };
    let dir = root.join(format!("stackwright-bench-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("a directory can be made");
    dir
}

fn carry(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory can be made");
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        match entry.path().is_dir() {
            true => carry(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy")),
        }
    }
}

async fn append(rounds: usize) {
    const CHANGES: usize = 1000;
    let dir = fresh_dir("state", "append");
    let world = World::real();
    let mut state = State::open_local(&dir, "local", &world).await.expect("a state");
    let mut all = Vec::new();
    for round in 0..=2 * rounds {
        let run = state.begin(header((0..CHANGES).map(address).collect())).await.expect("a run");
        let bodies: Vec<Body> = (0..CHANGES).map(|at| put(at, &format!("input {round}"))).collect();
        let started = Instant::now();
        run.append(bodies).await.expect("changes");
        run.finish(examples::revision()).await.expect("it ends");
        all.push(started.elapsed());
        state.refresh().await.expect("read");
    }
    // The first one makes what is there from then on.
    say("append: a revision of 1,000 changes, durable", all.split_off(1), Duration::from_millis(50));
    std::fs::remove_dir_all(&dir).expect("the benchmark's own directory goes away");
}

async fn open(rounds: usize) {
    let resources = numbers("STATE_RESOURCES", "100000")[0];
    let made = quick("open");
    let world = World::real();
    let mut state = State::open_local(&made, "local", &world).await.expect("a state");
    let run = state.begin(header((0..resources).map(address).collect())).await.expect("a run");
    for first in (0..resources).step_by(64) {
        let calls: Vec<[Body; 2]> = (first..resources.min(first + 64)).map(|at| call(&world, at, None, "input")).collect();
        let (intents, outcomes): (Vec<Body>, Vec<Body>) = calls.into_iter().map(|[intent, outcome]| (intent, outcome)).unzip();
        run.append(intents).await.expect("intents");
        run.append(outcomes).await.expect("outcomes");
    }
    run.finish(examples::revision()).await.expect("it ends");
    let dir = fresh_dir("state", "open");
    carry(&made, &dir);
    let mut all = Vec::new();
    for _ in 0..rounds {
        let started = Instant::now();
        let state = State::open_local(&dir, "local", &world).await.expect("a state");
        all.push(started.elapsed());
        assert_eq!(state.view().records.len(), resources);
    }
    say(&format!("open: a state of {resources} resources"), all, Duration::from_millis(300));
    for dir in [made, dir] {
        std::fs::remove_dir_all(&dir).expect("the benchmark's own directory goes away");
    }
}

async fn verify(rounds: usize) {
    const RESOURCES: usize = 1000;
    let revisions = numbers("STATE_REVISIONS", "100000")[0];
    let made = quick("verify");
    let world = World::real();
    let mut state = State::open_local(&made, "local", &world).await.expect("a state");
    let key = Arc::new(SigningKey::of_seed(&[7; 32]));
    state.sign_with(key.clone());
    let change = SignerChange {
        action: SignerAction::Add,
        key: key.public(),
        name: "ci".into(),
        reason: "a benchmark".into(),
        who: "bench".into(),
        by: None,
    };
    let mut next = vec![Body::Signer(Box::new(change))];
    for number in 1..=revisions {
        let at = number % RESOURCES;
        let run = state.begin(header(vec![address(at)])).await.expect("a run");
        if number > 1 {
            let before = state.view().records.get(&address(at)).cloned();
            next = call(&world, at, before, &format!("input {number}")).into();
        }
        for body in std::mem::take(&mut next) {
            run.append(vec![body]).await.expect("an entry");
        }
        run.finish(examples::revision()).await.expect("it ends");
        state.refresh().await.expect("read");
    }
    let dir = fresh_dir("state", "verify");
    carry(&made, &dir.join(".stackwright/state"));
    std::fs::write(dir.join("bench.stack"), "stack bench { language = 1 }\nenvironment local { on = local }\n").expect("a stack");
    let mut command = Command::new(env!("CARGO_BIN_EXE_stackwright"));
    command.arg("-C").arg(&dir).args(["verify", "-q", "--plain"]).env("STACKWRIGHT_CACHE_DIR", dir.join("cache"));
    let costs: Vec<_> = (0..rounds).map(|_| run(&mut command, "verify")).collect();
    let memory = costs.iter().map(|cost| cost.memory).max().unwrap_or_default();
    let ours = say(
        &format!("verify: {revisions} signed revisions, the whole process"),
        costs.iter().map(|cost| cost.wall).collect(),
        Duration::from_secs(5),
    );
    println!("  cpu {:.1} ms, at most {} MiB", millis(median(costs.iter().map(|cost| cost.cpu).collect())), memory >> 20);
    if let Some(git) = which("git") {
        let theirs = fsck(&git, revisions, rounds.min(3));
        println!(
            "  `git fsck --full` of {revisions} commits of a file each, which has no signatures to check: {:.1} ms; ours divided by it {:.2}",
            millis(theirs),
            ours.as_secs_f64() / theirs.as_secs_f64()
        );
    }
    for dir in [made, dir] {
        std::fs::remove_dir_all(&dir).expect("the benchmark's own directory goes away");
    }
}

/// The peer: as many commits, each of which changes one of a thousand files.
fn fsck(git: &Path, commits: usize, rounds: usize) -> Duration {
    let dir = fresh_dir("state", "git");
    let mut stream = Vec::new();
    for number in 1..=commits {
        let content = format!("the input of r{:06}, as of revision {number}\n", number % 1000);
        let message = format!("revision {number}");
        stream.extend_from_slice(
            format!(
                "commit refs/heads/main\ncommitter bench <bench@here> {} +0000\ndata {}\n{message}\nM 100644 inline r{:06}\ndata {}\n{content}\n",
                1_700_000_000 + number,
                message.len(),
                number % 1000,
                content.len()
            )
            .as_bytes(),
        );
    }
    let file = dir.join("stream");
    std::fs::write(&file, stream).expect("the stream is written");
    let git_run = |arguments: &[&str]| {
        let mut command = Command::new(git);
        command.arg("-C").arg(&dir).args(arguments);
        command
    };
    run(&mut git_run(&["init", "-q"]), "git init");
    let mut import = Command::new("sh");
    import.arg("-c").arg(format!("exec git -C '{}' fast-import --quiet < '{}'", dir.display(), file.display()));
    run(&mut import, "git fast-import");
    let all = (0..rounds).map(|_| run(&mut git_run(&["fsck", "--full", "--no-dangling"]), "git fsck").wall).collect();
    std::fs::remove_dir_all(&dir).expect("the benchmark's own directory goes away");
    median(all)
}

/// A platform that answers in 5 ms.
struct Slow;

const ANSWER: Duration = Duration::from_millis(5);
const AT_ONCE: usize = 16;

#[async_trait]
impl Connection for Slow {
    async fn list(&self, _: &Kind, _: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        Ok(None)
    }

    async fn read(&self, _: &Kind, _: &Fields) -> Result<Option<Fields>, CallError> {
        Ok(None)
    }

    async fn perform(&self, call: &Call) -> Result<Answer, CallError> {
        tokio::time::sleep(ANSWER).await;
        let CallAction::Create { inputs } = &call.action else { return Ok(Answer::default()) };
        let mut attributes = inputs.clone();
        attributes.insert("location".into(), Value::text(format!("/srv/{}", call.address)));
        attributes.insert("sha256".into(), Value::text("9cb6ce31453174ca4b6c9be4431470795bbcdacd2ee15e0cbca9e9ae3c7ba0a1"));
        Ok(Answer { attributes, ..Answer::default() })
    }

    async fn find(&self, _: &Call) -> Result<Found, CallError> {
        Ok(Found::Absent)
    }
}

/// Ten layers; each resource refers to three of the layer before.
fn layered(resources: usize) -> String {
    let width = (resources / 10).max(1);
    let mut text = String::from("stack bench { language = 1 }\nenvironment local { on = local }\n");
    for at in 0..resources {
        let content = match at / width {
            0 => format!("\"content of {at}\""),
            layer => {
                let before =
                    |step: usize| format!("${{local.file.r{}.sha256}}", (layer - 1) * width + (at * 7 + step * 131) % width);
                format!("\"{} {} {}\"", before(0), before(1), before(2))
            }
        };
        text.push_str(&format!("resource local.file r{at} {{ path = \"f{at}\", content = {content} }}\n"));
    }
    text
}

async fn journal(rounds: usize) {
    let resources = numbers("STATE_CHANGES", "10000")[0];
    let dir = fresh_dir("state", "journal");
    std::fs::write(dir.join("bench.stack"), layered(resources)).expect("the stack is written");
    let world = World::real();
    let (mut on_disk, mut in_memory, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds.min(3) {
        let root = dir.join(format!("state-{round}"));
        on_disk.push(applied(&dir, State::open_local(&root, "local", &world).await.expect("a state"), &world).await);
        in_memory.push(applied(&dir, State::memory("local", &world), &world).await);
        alone.push(calls_alone(resources).await);
    }
    let (on_disk, in_memory, alone) = (median(on_disk), median(in_memory), median(alone));
    let more = |a: Duration, b: Duration| 100.0 * (a.as_secs_f64() / b.as_secs_f64() - 1.0);
    let adds = more(on_disk, in_memory);
    println!(
        "journal: an apply of {resources} layered resources, {AT_ONCE} calls of {} ms at once: {:.0} ms on this disk, {:.0} ms in memory: \
         it adds {adds:.1} %; {} 15 %",
        ANSWER.as_millis(),
        millis(on_disk),
        millis(in_memory),
        if adds <= 15.0 { "within" } else { "MORE THAN" }
    );
    println!("  the calls alone, without an engine: {:.0} ms; the whole apply adds {:.1} %", millis(alone), more(on_disk, alone));
    std::fs::remove_dir_all(&dir).expect("the benchmark's own directory goes away");
}

async fn applied(dir: &Path, mut state: State, world: &World) -> Duration {
    let settings = Settings {
        dir: dir.to_owned(),
        clouds: Clouds::Real,
        world: world.clone(),
        variable: Arc::new(|_| None),
        variables: Arc::new(|_| Vec::new()),
        ask: None,
        tell: Arc::new(|_| {}),
        parallel: None,
    };
    let workspace = Workspace::open(&settings, &Given::default(), Some("local")).await.expect("a workspace");
    let plan = from_records(&workspace).expect("a plan");
    let addresses = plan.changes.iter().map(|change| change.address.clone()).collect();
    let run = state.begin(header(addresses)).await.expect("a run");
    let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let (_keep, stop) = tokio::sync::watch::channel(Stop::No);
    let listening = tokio::spawn(async move { while heard.recv().await.is_some() {} });
    let connection: Arc<dyn Connection> = Arc::new(Slow);
    let surroundings = Surroundings {
        journal: Journal::new(run, world.clone()),
        connect: Arc::new(move |_: &DesiredProvider| Ok(connection.clone())),
        world: world.clone(),
        sources: workspace.sources().clone(),
        digest: state.digester(),
        events,
        stop,
    };
    let options = ApplyOptions { parallel: 64, ..ApplyOptions::default() };
    let journal = surroundings.journal.clone();
    let started = Instant::now();
    let outcome = apply(&plan, surroundings, &options).await;
    let took = started.elapsed();
    assert!(outcome.failed.is_empty() && outcome.broken.is_none(), "{:?}", outcome.failed.first().map(|it| &it.diagnostic));
    assert_eq!(outcome.done.len(), plan.changes.len());
    journal.finish(examples::revision()).await.expect("it ends");
    listening.abort();
    took
}

/// The same calls in the same layers, as many at once, with nothing around them.
async fn calls_alone(resources: usize) -> Duration {
    let started = Instant::now();
    let width = (resources / 10).max(1);
    for layer in 0..resources.div_ceil(width) {
        let gate = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        let mut calls = tokio::task::JoinSet::new();
        for _ in layer * width..resources.min((layer + 1) * width) {
            let gate = gate.clone();
            calls.spawn(async move {
                let _permit = gate.acquire_owned().await;
                tokio::time::sleep(ANSWER).await;
            });
        }
        while calls.join_next().await.is_some() {}
    }
    started.elapsed()
}
