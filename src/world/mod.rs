//! Time and chance behind small traits, so that everything above can be run in a simulated world. Only this room calls the
//! clock, the random source and the timers of the system.

mod simulated;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests read their settings from variables")]
pub(crate) mod tamper;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use simulated::{SimulatedClock, Stuck};

/// The clock. `now` is for people and records; `elapsed` is monotonic and for deadlines.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now, by the wall clock.
    fn now(&self) -> jiff::Timestamp;
    /// Time since some fixed moment, never going back.
    fn elapsed(&self) -> Duration;
    async fn sleep(&self, span: Duration);
}

/// A source of random bytes, fit for keys.
pub trait Random: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

/// What a run gets from outside of itself.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl World {
    /// The machine's own clock and random source.
    pub fn real() -> World {
        World { clock: Arc::new(SystemClock::new()), random: Arc::new(SystemRandom) }
    }

    /// 128 random bits.
    pub fn random_id(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        bytes
    }
}

/// From now on this process holds keys or secrets: it leaves no image of its memory behind, and no other process of the same user may
/// look into it. Where the system does not allow that, there is nothing that we could do better.
pub fn guard_memory() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Core);
    limit.current = Some(0);
    let _ = setrlimit(Resource::Core, limit);
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock that everybody else is sent to")]
    fn new() -> Self {
        SystemClock { started: std::time::Instant::now() }
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock that everybody else is sent to")]
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    #[allow(clippy::disallowed_methods, reason = "this is the clock that everybody else is sent to")]
    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    #[allow(clippy::disallowed_methods, reason = "this is the clock that everybody else is sent to")]
    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await
    }
}

struct SystemRandom;

impl Random for SystemRandom {
    #[allow(clippy::disallowed_methods, reason = "this is the source that everybody else is sent to")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the system has a random source");
    }
}
