//! What the benchmarks share: their settings, and processes measured from outside.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One process, measured from outside.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
    /// Peak resident memory in bytes.
    pub memory: u64,
}

/// Runs a process to its end and reads what the kernel counted for it and its children. One that fails ends the benchmark with
/// what it said.
pub fn run(command: &mut Command, what: &str) -> Cost {
    let errors = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench.stderr");
    let file = std::fs::File::create(&errors).expect("the target directory can be written");
    let start = Instant::now();
    #[allow(clippy::zombie_processes, reason = "`wait4` below waits for it, and reads what it cost")]
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn().expect("the program starts");
    let id = child.id() as i32;
    let mut status = 0;
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the types that the call fills in; the child is ours and not waited for yet.
    let waited = unsafe { libc::wait4(id, &mut status, 0, &mut usage) };
    let wall = start.elapsed();
    assert_eq!(waited, id, "the process was waited for");
    let status = std::process::ExitStatus::from_raw(status);
    let said = || std::fs::read_to_string(&errors).unwrap_or_default();
    assert!(status.success(), "{what} failed with {status}: {command:?}\n{}", said());
    let time = |it: libc::timeval| Duration::from_secs(it.tv_sec as u64) + Duration::from_micros(it.tv_usec as u64);
    Cost { wall, cpu: time(usage.ru_utime) + time(usage.ru_stime), memory: usage.ru_maxrss as u64 * 1024 }
}

/// The median of each figure by itself.
pub fn median_cost(costs: &[Cost]) -> Cost {
    let middle = |of: fn(&Cost) -> u128| {
        let mut all: Vec<u128> = costs.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    let time = |of| Duration::from_nanos(middle(of) as u64);
    Cost { wall: time(|it| it.wall.as_nanos()), cpu: time(|it| it.cpu.as_nanos()), memory: middle(|it| it.memory.into()) as u64 }
}

/// An empty directory below `target`.
pub fn fresh_dir(bench: &str, name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(bench).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("the target directory can be written");
    dir
}

/// A setting that is a list, parted by commas.
pub fn list(variable: &str, default: &str) -> Vec<String> {
    let text = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    text.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect()
}

pub fn numbers(variable: &str, default: &str) -> Vec<usize> {
    list(variable, default)
        .iter()
        .map(|it| it.parse().unwrap_or_else(|_| panic!("{variable} takes numbers, not `{it}`")))
        .collect()
}

/// Where a program is on the PATH.
pub fn which(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

pub fn millis(it: Duration) -> f64 {
    it.as_secs_f64() * 1000.0
}

/// The exponent of growth over sizes, by least squares over the logarithms.
pub fn slope(points: impl Iterator<Item = (usize, f64)>) -> f64 {
    let points: Vec<(f64, f64)> = points.map(|(size, cost)| ((size as f64).ln(), cost.max(0.1).ln())).collect();
    let n = points.len() as f64;
    let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    points.iter().map(|(x, y)| (x - mx) * (y - my)).sum::<f64>() / points.iter().map(|(x, _)| (x - mx).powi(2)).sum::<f64>()
}
