//! The whole engine in a simulated world: real code on simulated clouds, store and time, with faults before and after each effect.
//!
//! `WORLD_SEEDS` says how many lives are lived (a few if it is not set), `WORLD_SEED` which is the first: a failing life prints the
//! command that lives it alone.

mod chance;
mod ledger;
mod life;
mod net;
mod program;
mod store;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use life::{Lived, Misfortune, apply_all, live, suffer};
use net::Without;
use stackwright::world::guards::Guard;

const FEW: u64 = 30;
/// Lives that broke a law once: 201 made a machine, was stopped, and took it for one that was never made.
const FAILED_ONCE: [u64; 1] = [201];

fn variable(name: &str) -> Option<u64> {
    #[allow(clippy::disallowed_methods, reason = "whoever runs the test says how long")]
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} takes a number, not `{text}`")))
}

/// Lives all of them, on as many threads as there are processors.
fn live_all(seeds: std::ops::Range<u64>, without: Without) -> Vec<(u64, Lived)> {
    let next = AtomicU64::new(seeds.start);
    let lived = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let result = std::panic::catch_unwind(|| live(seed, without)).unwrap_or_else(|panic| {
                        let words =
                            panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(|it| it.to_string()));
                        Lived { violations: vec![format!("a panic: {}", words.unwrap_or_default())], ..Lived::default() }
                    });
                    lived.lock().expect("nothing panics while it holds this").push((seed, result));
                }
            });
        }
    });
    let mut lived = lived.into_inner().expect("nothing panics while it holds this");
    lived.sort_by_key(|(seed, _)| *seed);
    lived
}

#[test]
fn nothing_is_lost_doubled_or_forgotten() {
    let first = variable("WORLD_SEED").unwrap_or(1);
    let count = variable("WORLD_SEEDS").unwrap_or(FEW);
    #[allow(clippy::disallowed_methods, reason = "how many a second is for people")]
    let begun = std::time::Instant::now();
    let mut lived = live_all(first..first + count, Without::Nothing);
    if variable("WORLD_SEED").is_none() {
        let again = FAILED_ONCE.iter().filter(|seed| **seed >= first + count);
        lived.extend(again.flat_map(|seed| live_all(*seed..*seed + 1, Without::Nothing)));
    }
    #[allow(clippy::disallowed_methods, reason = "how many a second is for people")]
    let seconds = begun.elapsed().as_secs_f64();
    let sum = |of: fn(&Lived) -> u64| lived.iter().map(|(_, it)| of(it)).sum::<u64>();
    println!(
        "{count} lives in {seconds:.1} s, {:.1} a second: {} applies, {} killed, {} stopped for a while, {} calls settled by recovery, {} of them foreseen by a plan ({} plans foretold as a whole), {} requests, {} entries",
        count as f64 / seconds,
        sum(|it| it.applies.into()),
        sum(|it| it.crashes.into()),
        sum(|it| it.stopped.into()),
        sum(|it| it.settled.into()),
        sum(|it| it.foreseen.into()),
        sum(|it| it.foretold.into()),
        sum(|it| it.requests as u64),
        sum(|it| it.entries as u64),
    );
    let mut faults = BTreeMap::<&str, u64>::new();
    for (what, times) in lived.iter().flat_map(|(_, life)| &life.faults) {
        *faults.entry(what).or_default() += times;
    }
    println!("{}", faults.iter().map(|(what, times)| format!("{times} {what}")).collect::<Vec<_>>().join(", "));
    for (seed, life) in &lived {
        life.questions.iter().for_each(|asked| println!("life {seed} was decided by a person: {asked}"));
    }
    let failed: Vec<&(u64, Lived)> = lived.iter().filter(|(_, it)| !it.violations.is_empty()).collect();
    for (seed, life) in failed.iter().take(if count == 1 { 1 } else { 40 }) {
        if count == 1 {
            println!("{}", life.story.join("\n"));
        }
        println!("life {seed}: {}", life.violations.iter().take(6).cloned().collect::<Vec<_>>().join("\n  "));
        println!("  again: WORLD_SEED={seed} WORLD_SEEDS=1 cargo test --test world nothing_is_lost");
    }
    assert!(failed.is_empty(), "{} of {count} lives broke a law", failed.len());
}

#[test]
fn a_seed_lived_twice_gives_the_same_bytes() {
    for seed in 1..6 {
        let (once, twice) = (live(seed, Without::Nothing), live(seed, Without::Nothing));
        let differs = once.story.iter().zip(&twice.story).find(|(a, b)| a != b);
        assert_eq!(differs, None, "life {seed}");
        assert_eq!(once.bytes, twice.bytes, "life {seed}");
    }
}

/// What keeps the laws, by what is taken away: each is missed by some life, so that the lives prove something. With the life that
/// missed it first.
const GUARDS: [(Without, u64, &str); 10] = [
    (Without::SettleTime, 23, "\"not found\" counts only after the settle time, and nothing else is done to an object before"),
    (Without::Marks, 3, "what a lost call made is found by its token"),
    (Without::IdempotentDelete, 17, "deleting what is gone is done"),
    (Without::DurableIntent, 2, "what is said to be durable is"),
    (Without::Token, 1, "a call says whose it is"),
    (Without::Answer, 7, "no outcome before the answer"),
    (Without::Guards(&[Guard::IntentFirst]), 1, "no call leaves before its intent is durable"),
    (Without::Guards(&[Guard::Fence]), 3, "who has lost its lease writes no more"),
    (Without::Guards(&[Guard::Find]), 3, "recovery looks before it says that nothing happened"),
    (Without::Guards(&[Guard::Outlast]), 47, "nothing is said of a call while one of its attempts may arrive"),
];

#[test]
fn a_guard_that_is_taken_away_is_missed() {
    let mut unmissed = Vec::new();
    // The engine's own guards stand in an optimised program.
    let takes = |without: &Without| cfg!(debug_assertions) || !matches!(without, Without::Guards(_));
    for (without, seed, guard) in GUARDS.into_iter().filter(|(without, ..)| takes(without)) {
        // A change of the engine, or of the lives, may make it another one.
        let others = (0..40).map(|at| 1 + 8 * at..9 + 8 * at);
        let missed = std::iter::once(seed..seed + 1).chain(others).find_map(|seeds| {
            let lived = live_all(seeds, without);
            lived.into_iter().find(|(_, life)| !life.violations.is_empty())
        });
        let Some((seed, life)) = missed else {
            unmissed.push(guard);
            continue;
        };
        println!("without {without:?}, life {seed}: {}", life.violations[0].lines().next().unwrap_or_default());
    }
    assert!(unmissed.is_empty(), "no life misses this: {unmissed:?}");
}

/// Stopped at any of its touches for about as long as its calls may take, or left at any second while its calls arrive late.
fn misfortunes() -> Vec<Misfortune> {
    let stopped = [50, 80].into_iter().flat_map(|long| (8..48).map(move |touch| (touch, Duration::from_secs(long))));
    let left = (0..40).map(|half| Misfortune::Left(Duration::from_millis(500 * half)));
    stopped.map(|(touch, long)| Misfortune::Replaced(touch, long)).chain(left).collect()
}

#[test]
fn a_misfortune_at_any_moment_breaks_no_law() {
    for (nth, misfortune) in misfortunes().into_iter().enumerate() {
        let broken = suffer(misfortune, Without::Nothing);
        assert!(broken.is_empty(), "misfortune {nth}: {broken:#?}");
    }
}

/// What lives would miss once in thousands.
#[test]
fn a_guard_against_a_rare_moment_is_missed_at_it() {
    if !cfg!(debug_assertions) {
        return;
    }
    // Of the second two either would do.
    let rare: [&'static [Guard]; 2] = [&[Guard::AttemptFirst], &[Guard::LeaseLasts, Guard::WriterMayLive]];
    let mut unmissed = Vec::new();
    for guards in rare {
        let missed = misfortunes().into_iter().enumerate().find_map(|(nth, it)| {
            let words = suffer(it, Without::Guards(guards)).into_iter().next()?;
            Some(format!("without {guards:?}, misfortune {nth}: {words}"))
        });
        match missed {
            Some(words) => println!("{words}"),
            None => unmissed.push(guards),
        }
    }
    assert!(unmissed.is_empty(), "no misfortune misses {unmissed:?}");
}

#[test]
fn what_a_provider_made_is_destroyed_though_the_program_no_longer_names_it() {
    let with = r#"
stack life { language = 1 }
provider fly { org = "acme", region = "cdg" }
environment production { on = fly }
resource fly.app main { name = "life-main" }
resource fly.machine one { app = fly.app.main.name, image = "registry.example.com/one:v1" }
"#;
    let without = "stack life { language = 1 }\nenvironment production { on = local }\n";
    assert_eq!(apply_all(&[with.into()]), (2, 2));
    assert_eq!(apply_all(&[with.into(), without.into()]), (0, 0));
}
