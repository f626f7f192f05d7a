//! How fast a program is checked: `cargo bench --bench check`.
//!
//! Generates programs of several shapes by their number of lines, and measures: the command `check` as a whole process (cpu,
//! wall, peak memory, and the peer's `validate` on a like program where `terraform` is on the PATH); and within this process the
//! parser alone, parsing and checking together, and a check after one keystroke. Prints medians, the fitted exponent of growth, and the ratio to the peer.
//!
//! Settings, by variables of the environment: `CHECK_LINES=1000,10000,100000`, `CHECK_SHAPES=shop,keyed,components,flat`,
//! `CHECK_ROUNDS=5`, `CHECK_PEER_MAX=10000`, `CHECK_INSIDE=1` for what is measured within this process alone.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures by the real clock and has no `cli` to read its settings")]

#[path = "../measure.rs"]
mod measure;
mod shapes;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use measure::{Cost, fresh_dir, list, median_cost, millis, numbers, run, slope, which};
use shapes::{SHAPES, Shape, peer, program};
use stackwright::lang;
use stackwright::model::{Schemas, SourceId, Sources};
use stackwright::providers::registry::schemas;

/// What is measured of one shape in one size: medians.
struct Row {
    shape: &'static str,
    lines: usize,
    bytes: usize,
    /// Cpu time of the parser alone, of parsing and checking, and of a check after one keystroke in the middle.
    parse: Duration,
    load: Duration,
    keystroke: Duration,
    command: Option<Cost>,
    peer: Option<Cost>,
}

fn main() {
    let sizes = numbers("CHECK_LINES", "1000,10000,100000");
    let shapes = list("CHECK_SHAPES", "shop,keyed,components,flat");
    let rounds = numbers("CHECK_ROUNDS", "5")[0];
    let peer_max = numbers("CHECK_PEER_MAX", "10000")[0];
    let inside = numbers("CHECK_INSIDE", "0")[0] > 0;
    let terraform = which("terraform");
    println!(
        "{:11} {:>7} {:>6} | {:>9} {:>6} {:>9} {:>9} | {:>9} {:>9} {:>7} {:>7} | peer (terraform validate)",
        "shape", "lines", "KiB", "parse ms", "MiB/s", "load ms", "key ms", "cpu ms", "wall ms", "MiB", "B/byte"
    );
    for (shape, name) in SHAPES.into_iter().filter(|(_, name)| shapes.iter().any(|it| it == name)) {
        let mut rows = Vec::new();
        for lines in &sizes {
            let terraform = terraform.as_deref().filter(|_| *lines <= peer_max && !inside);
            let row = measure(shape, name, *lines, rounds, inside, terraform);
            print(&row);
            rows.push(row);
        }
        if rows.len() > 1 {
            let load = slope(rows.iter().map(|row| (row.lines, millis(row.load))));
            let cpu = slope(rows.iter().filter_map(|row| Some((row.lines, millis(row.command?.cpu)))));
            let key = slope(rows.iter().map(|row| (row.lines, millis(row.keystroke))));
            let memory = slope(rows.iter().filter_map(|row| Some((row.lines, row.command?.memory as f64))));
            println!(
                "{name:11} grows with the power of the lines: load {load:.2}, keystroke {key:.2}, cpu {cpu:.2}, memory {memory:.2}"
            );
        }
    }
}

fn measure(shape: Shape, name: &'static str, lines: usize, rounds: usize, inside: bool, terraform: Option<&Path>) -> Row {
    let files = program(shape, lines);
    let bytes = files.iter().map(|(_, text)| text.len()).sum();
    let schemas = Arc::new(schemas());
    let parse = median((0..rounds).map(|_| {
        timed(|| {
            for (at, (_, text)) in files.iter().enumerate() {
                let parsed = lang::syntax::parse(SourceId(at as u32), text);
                assert!(parsed.diagnostics.is_empty(), "{name}: {:?}", parsed.diagnostics[0]);
            }
        })
    }));
    let load = median((0..rounds).map(|_| {
        let files = files.clone();
        timed(|| {
            let checked = lang::load(Sources::default(), files, schemas.clone());
            assert!(!checked.has_errors(), "{name}: {:?}", checked.diagnostics[0]);
        })
    }));
    let keystroke = median(keystrokes(&files, schemas, rounds * 2).into_iter());
    let (mut command, mut validated) = (None, None);
    if !inside {
        let dir = fresh_dir("check", "ours");
        for (name, text) in &files {
            std::fs::write(dir.join(name), text).expect("the stack is written");
        }
        let costs = (0..rounds).map(|_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_stackwright"));
            run(command.arg("-C").arg(&dir).args(["check", "-q", "--plain", "--no-input"]), "check")
        });
        command = Some(median_cost(&costs.collect::<Vec<_>>()));
        std::fs::remove_dir_all(&dir).expect("the benchmark's own directory goes away");
    }
    if let (Some(terraform), Some(text)) = (terraform, peer(shape, lines)) {
        let dir = fresh_dir("check", "peer");
        std::fs::write(dir.join("main.tf"), text).expect("the program is written");
        let run = |arguments: &[&str]| {
            let mut command = Command::new(terraform);
            command.current_dir(&dir).args(arguments).env("TF_CLI_CONFIG_FILE", "/dev/null").env("CHECKPOINT_DISABLE", "1");
            run(&mut command, arguments[0])
        };
        run(&["init", "-input=false", "-no-color"]);
        validated = Some(median_cost(&(0..rounds.min(3)).map(|_| run(&["validate", "-no-color"])).collect::<Vec<_>>()));
        std::fs::remove_dir_all(&dir).expect("the benchmark's own directory goes away");
    }
    Row { shape: name, lines, bytes, parse, load, keystroke, command, peer: validated }
}

/// What each of some keystrokes costs: a comment grows and shrinks in the middle of the first file.
fn keystrokes(files: &[(String, String)], schemas: Arc<Schemas>, rounds: usize) -> Vec<Duration> {
    let mut workspace = lang::Workspace::new(schemas);
    for (name, text) in files {
        workspace.set(name, text.clone());
    }
    workspace.check();
    let (name, text) = &files[0];
    let middle = text.len() / 2 + text[text.len() / 2..].find("{\n").expect("there is a body in the second half") + 2;
    workspace.edit(name, middle..middle, "#\n").expect("it is a place of the text");
    workspace.check();
    (0..rounds)
        .map(|round| {
            let (range, with) = if round % 2 == 0 { (middle + 1..middle + 1, "x") } else { (middle + 1..middle + 2, "") };
            timed(|| {
                workspace.edit(name, range, with).expect("it is a place of the text");
                assert!(!workspace.check().has_errors());
            })
        })
        .collect()
}

fn print(row: &Row) {
    let speed = row.bytes as f64 / (1 << 20) as f64 / row.parse.as_secs_f64();
    print!(
        "{:11} {:>7} {:>6} | {:>9.1} {speed:>6.1} {:>9.1} {:>9.1} |",
        row.shape,
        row.lines,
        row.bytes >> 10,
        millis(row.parse),
        millis(row.load),
        millis(row.keystroke)
    );
    if let Some(cost) = row.command {
        let memory = cost.memory as f64;
        print!(
            " {:>9.1} {:>9.1} {:>7.1} {:>7.1} |",
            millis(cost.cpu),
            millis(cost.wall),
            memory / (1 << 20) as f64,
            memory / row.bytes as f64
        );
    }
    if let (Some(ours), Some(theirs)) = (row.command, row.peer) {
        print!(
            " {:.0} ms cpu, {:.0} ms wall; ours / theirs: cpu {:.3}, wall {:.3}, memory {:.3}",
            millis(theirs.cpu),
            millis(theirs.wall),
            millis(ours.cpu) / millis(theirs.cpu),
            millis(ours.wall) / millis(theirs.wall),
            ours.memory as f64 / theirs.memory as f64
        );
    }
    println!();
}

/// The cpu time of this process that something takes, all threads together.
fn timed(run: impl FnOnce()) -> Duration {
    let start = cpu();
    run();
    cpu() - start
}

fn cpu() -> Duration {
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live value of the type that the call fills in.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let time = |it: libc::timeval| Duration::from_secs(it.tv_sec as u64) + Duration::from_micros(it.tv_usec as u64);
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut all: Vec<Duration> = times.collect();
    all.sort_unstable();
    all[all.len() / 2]
}
