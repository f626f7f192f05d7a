//! Time and chance behind small traits, so that everything above can be run in a simulated world. Only this room calls the
//! clock, the random source and the timers of the system.

pub mod guards;
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

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    #[ignore = "the child of the test below"]
    fn guarded_child() {
        super::guard_memory();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default();
        println!("core: {core}");
        #[cfg(target_os = "linux")]
        println!("dumpable: {:?}", rustix::process::dumpable_behavior());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_holds_secrets_leaves_no_image_of_itself() {
        let this = std::env::current_exe().expect("the tests");
        let output = Command::new(this).args(["world::tests::guarded_child", "--exact", "--ignored", "--nocapture"]).output();
        let said = String::from_utf8_lossy(&output.expect("the child runs").stdout).into_owned();
        let core = said.lines().find(|line| line.contains("core: ")).expect("its limits");
        assert_eq!(core.split_whitespace().nth_back(2), Some("0"), "the soft limit of {core}");
        assert!(said.contains("dumpable: Ok(NotDumpable)"), "{said}");
    }
}
