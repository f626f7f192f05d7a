//! Looks for text that does harm: `cargo bench --bench fuzz -- [TARGET…]`.
//!
//! Changes the texts of `fixtures/fuzz/TARGET/` in ways that keep some of their structure, gives each to the target, and keeps
//! those that were answered in a new way to change them further. On stable Rust and on every core. A panic, or an input that
//! takes longer than `FUZZ_HANG` seconds, ends the run with code 1; its input is then in `target/fuzz/TARGET/`. What an input
//! that kills the process was (a stack that overflows) is there in `running-THREAD`.
//!
//! Settings, by variables of the environment: `FUZZ_SECONDS=30` for each target, `FUZZ_RUNS` to end after so many executions
//! instead, `FUZZ_SEED=1`, `FUZZ_THREADS`, `FUZZ_HANG=20`.

#![allow(clippy::disallowed_methods, reason = "an engine runs by the real clock and has no `cli` to read its settings")]

mod mutate;
#[path = "../../tests/fuzz/targets.rs"]
mod targets;

use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mutate::Mutator;
use rustc_hash::FxHashSet;
use targets::Target;

/// Inputs that are kept at most: more would only make each of them rarer.
const KEPT_MAX: usize = 20_000;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    let limits = Limits {
        seconds: setting("FUZZ_SECONDS").unwrap_or(30),
        runs: setting("FUZZ_RUNS"),
        seed: setting("FUZZ_SEED").unwrap_or(1),
        threads: setting("FUZZ_THREADS").unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |it| it.get() as u64)),
        hang: Duration::from_secs(setting("FUZZ_HANG").unwrap_or(20)),
    };
    // A panic of a target is reported by the engine.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some("main") {
            usual(info);
        }
    }));
    let mut all_well = true;
    for target in targets::ALL.iter().filter(|it| wanted.is_empty() || wanted.iter().any(|name| name == it.name)) {
        all_well &= fuzz(target, &limits);
    }
    if !all_well {
        std::process::exit(1);
    }
}

struct Limits {
    seconds: u64,
    runs: Option<u64>,
    seed: u64,
    threads: u64,
    hang: Duration,
}

/// What the threads of one target share.
struct Shared<'a> {
    target: &'a Target,
    start: Instant,
    executions: AtomicU64,
    stop: AtomicBool,
    pool: Mutex<Pool>,
    findings: Mutex<Vec<String>>,
    folder: PathBuf,
}

#[derive(Default)]
struct Pool {
    inputs: Vec<Vec<u8>>,
    kinds: FxHashSet<u64>,
}

/// What one thread is at: when it began its present input, in milliseconds since the start; 0 between two.
#[derive(Default)]
struct Running(AtomicU64);

/// Runs one target; whether nothing was found.
fn fuzz(target: &Target, limits: &Limits) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz").join(target.name);
    std::fs::create_dir_all(&folder).expect("the target directory can be written");
    let shared = Shared {
        target,
        start: Instant::now(),
        executions: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        pool: Mutex::default(),
        findings: Mutex::default(),
        folder,
    };
    let corpus = corpus(target);
    shared.pool.lock().expect("no thread panics with it").inputs = corpus;
    let running: Vec<Running> = (0..limits.threads).map(|_| Running::default()).collect();
    std::thread::scope(|scope| {
        for (at, running) in running.iter().enumerate() {
            let shared = &shared;
            scope.spawn(move || work(shared, running, limits, at as u64));
        }
        watch(&shared, &running, limits);
    });
    let (count, took) = (shared.executions.load(Ordering::Relaxed), shared.start.elapsed());
    let pool = shared.pool.lock().expect("no thread panics with it");
    let findings = shared.findings.lock().expect("no thread panics with it");
    println!(
        "{}: {count} executions in {:.0} s ({:.0} a second), {} kinds of answers, {} findings",
        target.name,
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64(),
        pool.kinds.len(),
        findings.len()
    );
    findings.iter().for_each(|it| println!("  {it}"));
    findings.is_empty()
}

/// The texts to begin with, in the order of their names.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fuzz").join(target.name);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("each target has a corpus").filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("an input can be read")).collect()
}

fn work(shared: &Shared<'_>, running: &Running, limits: &Limits, thread: u64) {
    let file =
        std::fs::File::create(shared.folder.join(format!("running-{thread}"))).expect("the target directory can be written");
    let mut mutator = Mutator::new(limits.seed.wrapping_mul(1000).wrapping_add(thread));
    while !shared.stop.load(Ordering::Relaxed) {
        let input = {
            let pool = shared.pool.lock().expect("no thread panics with it");
            mutator.next(&pool.inputs)
        };
        // In the file even if the process is killed by what the input does; cut to the length first.
        file.set_len(0).and_then(|()| file.write_all_at(&input, 0)).expect("the target directory can be written");
        running.0.store((shared.start.elapsed().as_millis() as u64).max(1), Ordering::Relaxed);
        let answer = catch_unwind(AssertUnwindSafe(|| (shared.target.run)(&input)));
        running.0.store(0, Ordering::Relaxed);
        let count = shared.executions.fetch_add(1, Ordering::Relaxed) + 1;
        match answer {
            Ok(kind) => {
                let mut pool = shared.pool.lock().expect("no thread panics with it");
                if pool.inputs.len() < KEPT_MAX && pool.kinds.insert(kind) {
                    pool.inputs.push(input);
                }
            }
            Err(panic) => {
                let words = panic.downcast_ref::<String>().map(String::as_str);
                let words = words.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
                found(shared, &input, words.lines().next().unwrap_or_default());
            }
        }
        if limits.runs.is_some_and(|runs| count >= runs) {
            shared.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Ends the run in time, and sees inputs that take too long.
fn watch(shared: &Shared<'_>, running: &[Running], limits: &Limits) {
    while !shared.stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
        let now = shared.start.elapsed();
        for (at, running) in running.iter().enumerate() {
            let began = running.0.load(Ordering::Relaxed);
            if began > 0 && now > limits.hang + Duration::from_millis(began) {
                let path = shared.folder.join(format!("running-{at}"));
                println!("{}: an input takes longer than {:?}: {}", shared.target.name, limits.hang, path.display());
                std::process::exit(1);
            }
        }
        if limits.runs.is_none() && now > Duration::from_secs(limits.seconds) {
            shared.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn found(shared: &Shared<'_>, input: &[u8], words: &str) {
    let mut findings = shared.findings.lock().expect("no thread panics with it");
    // One input for each sentence, and no end of them.
    if findings.iter().any(|it| it.ends_with(words)) {
        return;
    }
    let path = shared.folder.join(format!("found-{}", findings.len()));
    std::fs::write(&path, input).expect("the target directory can be written");
    findings.push(format!("{}: {words}", path.display()));
    if findings.len() >= 20 {
        shared.stop.store(true, Ordering::Relaxed);
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} takes a number, not `{text}`")))
}
