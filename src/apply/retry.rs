//! How long to wait before a call is tried again, and how often a run may try again in all.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::world::World;

/// Attempts of a call that did not leave, or whose outcome had to be looked for. Throttles use up none.
pub const ATTEMPTS_MAX: u32 = 5;

const BASE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait after the `failed`th failure, which counts from 1.
///
/// `asked` is the platform's `Retry-After`, already parsed; it wins when it is longer, up to two minutes. With jitter, so that
/// runs that failed together do not return together.
pub fn backoff(failed: u32, asked: Option<Duration>, world: &World) -> Duration {
    let mut bytes = [0; 4];
    world.random.fill(&mut bytes);
    let jitter = 0.5 + 0.5 * f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX);
    let doubled = BASE.saturating_mul(1 << failed.saturating_sub(1).min(10)).min(LONGEST);
    let own = doubled.mul_f64(jitter);
    own.max(asked.unwrap_or_default().min(Duration::from_secs(120)))
}

/// So many calls may be tried again in any run.
const RETRIES_LEAST: u32 = 16;

/// How often a run may try calls again in all: a tenth of its calls. A platform that answers worse than that is not helped by asking
/// it more often. Throttles are counted nowhere.
pub struct Retries {
    calls: u32,
    used: AtomicU32,
}

impl Retries {
    pub fn of(calls: u32) -> Retries {
        Retries { calls, used: AtomicU32::new(0) }
    }

    fn allowed(&self) -> u32 {
        (self.calls / 10).max(RETRIES_LEAST)
    }

    /// Takes one, where there is one left.
    pub fn take(&self) -> bool {
        let more = |used: u32| (used < self.allowed()).then_some(used + 1);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// The words of an error after which there is none left.
    pub fn used_up(&self, why: &str) -> String {
        format!(
            "{why}; not tried again: this run has tried {} calls again, the most for one of {} calls",
            self.allowed(),
            self.calls
        )
    }
}
