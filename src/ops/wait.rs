//! Waiting for somebody else's apply of the same resources.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::apply::Stop;
use crate::state::Held;
use crate::world::Clock;

/// How soon a lock is asked for again, and how seldom at last.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often it is said for whom is waited.
const TELL: Duration = Duration::from_secs(30);

type Told = dyn Fn(&Held) + Send + Sync;

/// Who waits: hears for whom, and may want to stop.
#[derive(Clone, Default)]
pub struct Waiting {
    pub told: Option<Arc<Told>>,
    pub stop: Option<watch::Receiver<Stop>>,
}

/// How long somebody waits for whoever holds the same addresses (`--lock-wait`), and who is told.
#[derive(Clone, Default, Debug)]
pub struct LockWait {
    pub limit: Duration,
    pub waiting: Waiting,
}

impl Waiting {
    /// Ends once whoever waits wants to stop; else never.
    pub async fn is_over(&self) {
        if let Some(mut stop) = self.stop.clone()
            && stop.wait_for(|stop| *stop != Stop::No).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

/// One time of waiting, from the first look to the lock.
pub(super) struct Wait {
    clock: Arc<dyn Clock>,
    until: Duration,
    pause: Duration,
    /// For which run was said to be waited, and when.
    said: Option<(u64, Duration)>,
}

impl Wait {
    pub fn new(clock: &Arc<dyn Clock>, limit: Duration) -> Wait {
        Wait { until: clock.elapsed() + limit, clock: clock.clone(), pause: PAUSE, said: None }
    }

    /// Whether this holder may be waited for. One that shows no life is, also by who did not ask to wait: that takes no longer than
    /// a lease, and ends at once if the holder lives after all.
    pub fn allows(&self, held: &Held) -> bool {
        self.clock.elapsed() < self.until || held.holder.life.is_silent()
    }

    /// Waits a little, and says for whom; false where whoever waits wants to stop.
    pub async fn on(&mut self, held: &Held, waiting: &Waiting) -> bool {
        let (run, now) = (held.holder.active.lease.run, self.clock.elapsed());
        if self.said.is_none_or(|(said, at)| said != run || now - at >= TELL) {
            self.said = Some((run, now));
            waiting.told.iter().for_each(|told| told(held));
        }
        let pause = self.pause;
        self.pause = (pause * 3 / 2).min(PAUSE_MAX);
        tokio::select! {
            biased;
            () = waiting.is_over() => false,
            () = self.clock.sleep(pause) => true,
        }
    }
}
