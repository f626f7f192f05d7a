//! How long to wait before a call is tried again.

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
