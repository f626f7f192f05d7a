//! How the engine grows: `cargo bench --bench scale`.
//!
//! Generates stacks of `local.value` (a stored value) in several shapes and sizes, and the same ones of `terraform_data` where
//! `terraform` is on the PATH, runs both programs as whole processes in turn, and prints cpu time, wall time and peak memory
//! with ratios and the fitted exponent of growth. The figures also go to `target/scale.json`.
//!
//! Settings, by variables of the environment: `SCALE_SIZES=1000,10000,100000`, `SCALE_SHAPES=flat,layered,chain,keyed`,
//! `SCALE_PEER_MAX=1000` (the largest size that the peer is asked for; its apply is quadratic), `SCALE_ROUNDS=3`.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures by the real clock and has no `cli` to read its settings")]

mod measure;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use measure::{Cost, fresh_dir, list, median_cost, millis, numbers, run, slope, which};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Shape {
    /// No references.
    Flat,
    /// Layers of a tenth of the resources each; a resource refers to three of the layer before.
    Layered,
    /// Each refers to the one before.
    Chain,
    /// Two keyed sets; each instance of the second reads its like in the first.
    Keyed,
}

const SHAPES: [(Shape, &str); 4] =
    [(Shape::Flat, "flat"), (Shape::Layered, "layered"), (Shape::Chain, "chain"), (Shape::Keyed, "keyed")];

/// What is measured, in the order in which it is run.
const OPERATIONS: [&str; 6] = ["check", "cold plan", "apply", "no-op plan", "one-edit plan", "destroy"];

type Figures = BTreeMap<(&'static str, Shape, usize, &'static str), Vec<Cost>>;

fn main() {
    let sizes = numbers("SCALE_SIZES", "1000,10000,100000");
    let shapes = list("SCALE_SHAPES", "flat,layered,chain,keyed");
    let peer_max = numbers("SCALE_PEER_MAX", "1000")[0];
    let rounds = numbers("SCALE_ROUNDS", "3")[0];
    let peer = which("terraform");
    let mut figures = Figures::new();
    let start = start_up(peer.as_deref());
    for (shape, name) in SHAPES.iter().filter(|(_, name)| shapes.iter().any(|it| it == name)) {
        for size in &sizes {
            let rounds = if *size >= 100_000 { 1 } else { rounds };
            for round in 0..rounds {
                eprintln!("{name} {size}: round {} of {rounds}", round + 1);
                ours(*shape, *size, round as u64, &mut figures);
                if let Some(peer) = peer.as_deref().filter(|_| *size <= peer_max && round == 0) {
                    theirs(peer, *shape, *size, &mut figures);
                }
            }
        }
    }
    let report = report(&figures, peer.is_some(), &start);
    println!("{report}");
    let json = json(&figures);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/scale.json");
    match std::fs::write(&path, json) {
        Ok(()) => println!("Figures: {}", path.display()),
        Err(error) => eprintln!("{} cannot be written: {error}", path.display()),
    }
}

/// Runs all operations once with our program.
fn ours(shape: Shape, size: usize, seed: u64, figures: &mut Figures) {
    let dir = fresh_dir("scale", "ours");
    let write =
        |edited| std::fs::write(dir.join("bench.stack"), our_program(shape, size, seed, edited)).expect("the stack is written");
    write(false);
    let mut measure = |operation: &'static str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stackwright"));
        command.arg("-C").arg(&dir).args(arguments).args(["-q", "--plain", "--no-input"]);
        let cost = run(&mut command, operation);
        figures.entry(("ours", shape, size, operation)).or_default().push(cost);
    };
    measure("check", &["check"]);
    measure("cold plan", &["plan"]);
    measure("apply", &["apply", "--yes"]);
    measure("no-op plan", &["plan"]);
    write(true);
    measure("one-edit plan", &["plan"]);
    measure("destroy", &["destroy", "--yes"]);
    std::fs::remove_dir_all(&dir).expect("the benchmark's own directory goes away");
}

/// The same with the peer.
fn theirs(program: &Path, shape: Shape, size: usize, figures: &mut Figures) {
    let dir = fresh_dir("scale", "peer");
    let write = |edited| std::fs::write(dir.join("main.tf"), peer_program(shape, size, edited)).expect("the program is written");
    write(false);
    let mut measure = |operation: &'static str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.current_dir(&dir).args(arguments).env("TF_CLI_CONFIG_FILE", "/dev/null").env("CHECKPOINT_DISABLE", "1");
        let cost = run(&mut command, operation);
        figures.entry(("peer", shape, size, operation)).or_default().push(cost);
    };
    measure("init", &["init", "-input=false", "-no-color"]);
    measure("check", &["validate", "-no-color"]);
    measure("cold plan", &["plan", "-input=false", "-no-color", "-out=p"]);
    measure("apply", &["apply", "-input=false", "-auto-approve", "-no-color"]);
    measure("no-op plan", &["plan", "-input=false", "-no-color", "-out=p"]);
    write(true);
    measure("one-edit plan", &["plan", "-input=false", "-no-color", "-out=p"]);
    measure("destroy", &["destroy", "-input=false", "-auto-approve", "-no-color"]);
    std::fs::remove_dir_all(&dir).expect("the benchmark's own directory goes away");
}

/// Start-up: `--version` of both programs, the median of nine.
fn start_up(peer: Option<&Path>) -> String {
    let median = |program: &Path, argument: &str| {
        let mut costs: Vec<Cost> =
            (0..9).map(|_| run(Command::new(program).arg(argument).env("CHECKPOINT_DISABLE", "1"), argument)).collect();
        costs.sort_by_key(|cost| cost.cpu);
        costs[4]
    };
    let ours = median(Path::new(env!("CARGO_BIN_EXE_stackwright")), "version");
    let mut out = format!("start-up: ours {:.1} ms cpu, {:.1} MiB", millis(ours.cpu), mib(ours.memory));
    if let Some(peer) = peer {
        let theirs = median(peer, "version");
        let ratio = millis(ours.cpu) / millis(theirs.cpu);
        write!(
            out,
            "; terraform {:.1} ms, {:.1} MiB; ratio {ratio:.3} cpu, {:.3} memory",
            millis(theirs.cpu),
            mib(theirs.memory),
            mib(ours.memory) / mib(theirs.memory)
        )
        .expect("memory");
    }
    out
}

/// A small generator of pseudo-random numbers: the same seed gives the same program.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }
}

/// The places that resource `at` refers to.
fn references(shape: Shape, size: usize, at: usize, chance: &mut Chance) -> Vec<usize> {
    let layer = (size / 10).max(1);
    match shape {
        Shape::Flat | Shape::Keyed => Vec::new(),
        Shape::Chain => at.checked_sub(1).into_iter().collect(),
        Shape::Layered if at < layer => Vec::new(),
        Shape::Layered => {
            let before = (at / layer - 1) * layer;
            (0..3).map(|_| before + chance.below(layer)).collect()
        }
    }
}

fn our_program(shape: Shape, size: usize, seed: u64, edited: bool) -> String {
    let mut out = String::from("stack bench { language = 1 }\n\nenvironment bench { on = local }\n\n");
    let word = if edited { "edited" } else { "first" };
    if shape == Shape::Keyed {
        let half = size / 2;
        write!(out, "let keys = [for i in count({half}) : \"k${{i}}\"]\n\nresource local.value first for key in keys {{ input = \"first ${{key}}\" }}\n\nresource local.value second for key in keys {{ input = \"${{key}} after ${{local.value.first[key].id}}\" }}\n").expect("memory");
        write!(out, "\nresource local.value single {{ input = \"{word}\" }}\n").expect("memory");
        return out;
    }
    let mut chance = Chance(seed + 1);
    for at in 0..size {
        let text = if at == size / 2 { word } else { "value" };
        let parts: String =
            references(shape, size, at, &mut chance).iter().map(|it| format!(" ${{local.value.v{it}.id}}")).collect();
        write!(out, "resource local.value v{at} {{\n  input = \"{text} {at}{parts}\"\n}}\n\n").expect("memory");
    }
    out
}

fn peer_program(shape: Shape, size: usize, edited: bool) -> String {
    let mut out = String::new();
    let word = if edited { "edited" } else { "first" };
    if shape == Shape::Keyed {
        let half = size / 2;
        write!(out, "locals {{ keys = toset([for i in range({half}) : \"k${{i}}\"]) }}\nresource \"terraform_data\" \"first\" {{\n  for_each = local.keys\n  input = \"first ${{each.key}}\"\n}}\nresource \"terraform_data\" \"second\" {{\n  for_each = local.keys\n  input = \"${{each.key}} after ${{terraform_data.first[each.key].id}}\"\n}}\nresource \"terraform_data\" \"single\" {{ input = \"{word}\" }}\n").expect("memory");
        return out;
    }
    let mut chance = Chance(1);
    for at in 0..size {
        let text = if at == size / 2 { word } else { "value" };
        let parts: String =
            references(shape, size, at, &mut chance).iter().map(|it| format!(" ${{terraform_data.v{it}.id}}")).collect();
        write!(out, "resource \"terraform_data\" \"v{at}\" {{\n  input = \"{text} {at}{parts}\"\n}}\n").expect("memory");
    }
    out
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

fn report(figures: &Figures, has_peer: bool, start: &str) -> String {
    let mut out = String::new();
    writeln!(out, "{start}\n").expect("memory");
    writeln!(
        out,
        "{:8} {:>7} {:14} {:>10} {:>10} {:>9} {:>16}",
        "shape", "size", "operation", "cpu ms", "wall ms", "MiB", "spread cpu ms"
    )
    .expect("memory");
    for ((who, shape, size, operation), costs) in figures.iter().filter(|((_, _, _, operation), _)| *operation != "init") {
        let cost = median_cost(costs);
        let low = costs.iter().map(|it| it.cpu).min().unwrap_or_default();
        let high = costs.iter().map(|it| it.cpu).max().unwrap_or_default();
        let name = format!("{shape:?}").to_lowercase();
        let who = if *who == "peer" { " (terraform)" } else { "" };
        writeln!(
            out,
            "{name:8} {size:>7} {operation:14} {:>10.1} {:>10.1} {:>9.1} {:>7.0} – {:<6.0}{who}",
            millis(cost.cpu),
            millis(cost.wall),
            mib(cost.memory),
            millis(low),
            millis(high)
        )
        .expect("memory");
    }
    if has_peer {
        writeln!(out, "\nours / terraform, in this run:").expect("memory");
        for ((_, shape, size, operation), costs) in
            figures.iter().filter(|((who, _, _, operation), _)| *who == "peer" && *operation != "init")
        {
            let (theirs, ours) = (median_cost(costs), median_cost(&figures[&("ours", *shape, *size, *operation)]));
            let name = format!("{shape:?}").to_lowercase();
            writeln!(
                out,
                "{name:8} {size:>7} {operation:14} cpu {:.3}   wall {:.3}   memory {:.3}",
                millis(ours.cpu) / millis(theirs.cpu),
                millis(ours.wall) / millis(theirs.wall),
                mib(ours.memory) / mib(theirs.memory)
            )
            .expect("memory");
        }
    } else {
        writeln!(out, "\n`terraform` is not on the PATH: no peer was measured").expect("memory");
    }
    writeln!(out, "\ngrowth of our cpu time, exponent fitted over the sizes:").expect("memory");
    for (shape, name) in SHAPES {
        for operation in OPERATIONS {
            let points: Vec<(usize, f64)> = figures
                .iter()
                .filter(|((who, of, _, op), _)| *who == "ours" && *of == shape && *op == operation)
                .map(|((_, _, size, _), costs)| (*size, millis(median_cost(costs).cpu)))
                .collect();
            if points.len() >= 2 {
                writeln!(out, "{name:8} {operation:14} {:.2}", slope(points.into_iter())).expect("memory");
            }
        }
    }
    out
}

fn json(figures: &Figures) -> String {
    let rows: Vec<serde_json::Value> = figures
        .iter()
        .map(|((who, shape, size, operation), costs)| {
            let runs: Vec<_> = costs.iter().map(|it| serde_json::json!({"cpu_ms": millis(it.cpu), "wall_ms": millis(it.wall), "memory_bytes": it.memory})).collect();
            serde_json::json!({"who": who, "shape": format!("{shape:?}").to_lowercase(), "size": size, "operation": operation, "runs": runs})
        })
        .collect();
    serde_json::to_string_pretty(&rows).expect("numbers and texts are JSON")
}
