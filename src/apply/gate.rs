//! How fast calls to one provider instance may leave: a token bucket that follows what the platform says.

use std::sync::Mutex;
use std::time::Duration;

use crate::providers::contract::Budget;
use crate::world::World;

/// What each success adds to the rate, in calls a second.
const MORE: f64 = 0.02;
/// What a throttle leaves of the rate, at most once a second.
const LESS: f64 = 0.7;
/// Calls that may leave at once after a pause, in seconds of the rate.
const BURST: f64 = 1.0;
/// The rate never falls below this, in calls a second.
const SLOWEST: f64 = 0.2;
/// Errors in a row that close the gate, and for how long; then one call tries.
const BREAKS_AFTER: u32 = 5;
const BROKEN_FOR: Duration = Duration::from_secs(10);
/// How long the one that tries may take to come back, and how often the others look whether it has.
const TRIES_FOR: Duration = Duration::from_secs(60);
const LOOKS_EVERY: Duration = Duration::from_millis(250);

/// The gate of one provider instance. All times are by the monotonic clock of the world.
pub struct Gate {
    world: World,
    state: Mutex<State>,
}

struct State {
    /// Calls a second; `None` while the platform has set no bound.
    rate: Option<f64>,
    tokens: f64,
    filled: Duration,
    /// Nothing leaves before.
    opens: Duration,
    last_cut: Option<Duration>,
    /// Calls that left within the last second: what a first throttle is measured by.
    recent: Vec<Duration>,
    errors_in_row: u32,
    /// Errors have closed it, and no call has come back well since.
    broken: bool,
    /// When the one call left that tries whether it is open again.
    trying: Option<Duration>,
}

impl Gate {
    pub fn new(budget: Budget, world: World) -> Gate {
        let now = world.clock.elapsed();
        let tokens = budget.per_second.unwrap_or_default() * BURST;
        let state = State {
            rate: budget.per_second,
            tokens: tokens.max(1.0),
            filled: now,
            opens: Duration::ZERO,
            last_cut: None,
            recent: Vec::new(),
            errors_in_row: 0,
            broken: false,
            trying: None,
        };
        Gate { world, state: Mutex::new(state) }
    }

    /// Returns when a call may leave.
    pub async fn pass(&self) {
        while let Some(wait) = self.take() {
            self.world.clock.sleep(wait).await;
        }
    }

    /// Takes a token, or says how long there will be none.
    fn take(&self) -> Option<Duration> {
        let now = self.world.clock.elapsed();
        let mut state = self.state.lock().expect("nothing panics while it holds this");
        if now < state.opens {
            return Some(state.opens - now);
        }
        if state.broken {
            if state.trying.is_some_and(|left| now < left + TRIES_FOR) {
                return Some(LOOKS_EVERY);
            }
            state.trying = Some(now);
        }
        if let Some(rate) = state.rate {
            let since = now.saturating_sub(state.filled).as_secs_f64();
            state.tokens = (state.tokens + since * rate).min((rate * BURST).max(1.0));
            state.filled = now;
            if state.tokens < 1.0 {
                return Some(Duration::from_secs_f64((1.0 - state.tokens) / rate).max(Duration::from_millis(1)));
            }
            state.tokens -= 1.0;
        } else {
            let second_ago = now.saturating_sub(Duration::from_secs(1));
            state.recent.retain(|left| *left >= second_ago);
            state.recent.push(now);
        }
        None
    }

    /// An answer came, be it a no.
    pub fn answered(&self) {
        let mut state = self.state.lock().expect("nothing panics while it holds this");
        (state.errors_in_row, state.broken, state.trying) = (0, false, None);
    }

    pub fn succeeded(&self) {
        self.answered();
        let mut state = self.state.lock().expect("nothing panics while it holds this");
        if let Some(rate) = &mut state.rate {
            *rate += MORE;
        }
    }

    /// The platform asked to come back later: the gate closes for everyone until then.
    pub fn throttled(&self, asked: Option<Duration>) {
        self.answered();
        let now = self.world.clock.elapsed();
        let mut state = self.state.lock().expect("nothing panics while it holds this");
        state.opens = state.opens.max(now + asked.unwrap_or_default().min(Duration::from_secs(120)));
        if state.last_cut.is_none_or(|last| now.saturating_sub(last) >= Duration::from_secs(1)) {
            let so_far = state.rate.unwrap_or(state.recent.len() as f64);
            state.rate = Some((so_far * LESS).max(SLOWEST));
            state.tokens = state.tokens.min(1.0);
            state.filled = now;
            state.last_cut = Some(now);
        }
    }

    /// A call did not get through, or its answer did not.
    pub fn errored(&self) {
        let now = self.world.clock.elapsed();
        let mut state = self.state.lock().expect("nothing panics while it holds this");
        state.errors_in_row += 1;
        if state.errors_in_row >= BREAKS_AFTER {
            // Half open afterwards: one more error closes it again.
            state.errors_in_row = BREAKS_AFTER - 1;
            (state.broken, state.trying) = (true, None);
            state.opens = state.opens.max(now + BROKEN_FOR);
        }
    }

    #[cfg(test)]
    pub fn rate(&self) -> Option<f64> {
        self.state.lock().expect("nothing panics while it holds this").rate
    }
}
