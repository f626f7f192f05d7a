//! A world of its own for one run: time that stands still while anything goes on, and chance that a seed decides.
//!
//! [`SimulatedClock::run`] drives a future and whatever it spawns on this thread; when nothing of it can go on, time jumps to
//! whoever wakes first. Hours of waiting take no time, and equal seeds give equal runs.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::{Clock, Random, World};

impl World {
    /// A world whose time begins at `start` and whose chance is that of `seed`, and the clock that runs it.
    pub fn simulated(start: jiff::Timestamp, seed: &[u8]) -> (World, Arc<SimulatedClock>) {
        let clock = Arc::new(SimulatedClock { start, sleepers: Mutex::default() });
        let random = Arc::new(Seeded { seed: Sha256::digest(seed).into(), drawn: Mutex::new(0) });
        (World { clock: clock.clone(), random }, clock)
    }
}

/// Everything waits for something that never comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stuck;

/// Time that moves only when nothing else can.
pub struct SimulatedClock {
    start: jiff::Timestamp,
    sleepers: Mutex<Sleepers>,
}

#[derive(Default)]
struct Sleepers {
    elapsed: Duration,
    /// By when they wake, then by when they went to sleep.
    waiting: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
    counter: u64,
}

#[async_trait]
impl Clock for SimulatedClock {
    fn now(&self) -> jiff::Timestamp {
        let elapsed = jiff::SignedDuration::try_from(self.elapsed()).unwrap_or(jiff::SignedDuration::MAX);
        self.start.checked_add(elapsed).unwrap_or(jiff::Timestamp::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.lock().elapsed
    }

    async fn sleep(&self, span: Duration) {
        if span.is_zero() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        {
            let mut sleepers = self.lock();
            let at = sleepers.elapsed.saturating_add(span);
            sleepers.counter += 1;
            let turn = sleepers.counter;
            sleepers.waiting.insert((at, turn), wake);
        }
        // The sender is dropped only with the clock itself.
        let _ = woken.await;
    }
}

impl SimulatedClock {
    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves time to the next that still sleeps, and wakes it; false where nobody does.
    fn jump(&self) -> bool {
        let mut sleepers = self.lock();
        while let Some(((at, _), wake)) = sleepers.waiting.pop_first() {
            if wake.is_closed() {
                continue;
            }
            sleepers.elapsed = sleepers.elapsed.max(at);
            if wake.send(()).is_ok() {
                return true;
            }
        }
        false
    }

    /// Runs a future to its end, on this thread alone, in no time but that of its computing.
    ///
    /// Errors: [`Stuck`] where everything waits and nobody sleeps.
    pub fn run<T>(self: &Arc<Self>, future: impl Future<Output = T>) -> Result<T, Stuck> {
        let stuck = Arc::new(AtomicBool::new(false));
        let flag = Arc::new(Woken { woken: AtomicBool::new(true), waker: Mutex::new(Waker::noop().clone()) });
        let (clock, at_rest, seen) = (self.clone(), flag.clone(), stuck.clone());
        let idle = move || {
            // A runtime also rests before it looks at a future that has been woken.
            if !at_rest.woken.load(Ordering::Acquire) && !clock.jump() {
                seen.store(true, Ordering::Release);
                at_rest.wake_by_ref();
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().on_thread_park(idle).build();
        let runtime = runtime.expect("a runtime without drivers needs nothing of the system");
        let mut future = pin!(future);
        let outer = Watched { flag, future: future.as_mut() };
        runtime.block_on(Until { stuck, outer })
    }
}

/// Knows whether the future that is run has been woken since it was last looked at.
struct Woken {
    woken: AtomicBool,
    waker: Mutex<Waker>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.waker.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

struct Watched<'f, F> {
    flag: Arc<Woken>,
    future: Pin<&'f mut F>,
}

impl<F: Future> Future for Watched<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        context.waker().clone_into(&mut *self.flag.waker.lock().unwrap_or_else(PoisonError::into_inner));
        self.flag.woken.store(false, Ordering::Release);
        let waker = Waker::from(self.flag.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

struct Until<'f, F> {
    stuck: Arc<AtomicBool>,
    outer: Watched<'f, F>,
}

impl<F: Future> Future for Until<'_, F> {
    type Output = Result<F::Output, Stuck>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.outer).poll(context) {
            Poll::Ready(result) => Poll::Ready(Ok(result)),
            Poll::Pending if self.stuck.load(Ordering::Acquire) => Poll::Ready(Err(Stuck)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Bytes that a seed decides. Not fit for keys of anything that is real.
struct Seeded {
    seed: [u8; 32],
    drawn: Mutex<u64>,
}

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(32) {
            *drawn += 1;
            let block = Sha256::new().chain_update(self.seed).chain_update(drawn.to_be_bytes()).finalize();
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(seed: &str) -> (World, Arc<SimulatedClock>) {
        World::simulated(jiff::Timestamp::UNIX_EPOCH, seed.as_bytes())
    }

    #[test]
    fn a_day_of_sleep_takes_no_time_and_whoever_wakes_first_is_first() {
        let (world, clock) = world("a");
        let order = clock.run(async {
            let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
            for hours in [24, 1, 5] {
                let (clock, told) = (world.clock.clone(), told.clone());
                tokio::spawn(async move {
                    clock.sleep(Duration::from_secs(hours * 3600)).await;
                    told.send(hours).expect("somebody listens");
                });
            }
            drop(told);
            let mut order = Vec::new();
            while let Some(hours) = heard.recv().await {
                order.push(hours);
            }
            order
        });
        assert_eq!(order, Ok(vec![1, 5, 24]));
        assert_eq!(world.clock.elapsed(), Duration::from_secs(24 * 3600));
        assert_eq!(world.clock.now().as_second(), 24 * 3600);
    }

    #[test]
    fn time_does_not_move_while_anything_can_go_on() {
        let (world, clock) = world("a");
        let won = clock.run(async {
            let work = async {
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
                "work"
            };
            let limit = world.clock.clone();
            tokio::select! {
                won = work => won,
                () = limit.sleep(Duration::from_millis(1)) => "limit",
            }
        });
        assert_eq!(won, Ok("work"));
        assert_eq!(world.clock.elapsed(), Duration::ZERO);
    }

    #[test]
    fn waiting_for_what_never_comes_is_said() {
        let (_, clock) = world("a");
        assert_eq!(clock.run(std::future::pending::<()>()), Err(Stuck));
    }

    #[test]
    fn a_seed_decides_chance() {
        let draw = |seed: &str| {
            let world = world(seed).0;
            [world.random_id(), world.random_id()]
        };
        assert_eq!(draw("a"), draw("a"));
        assert_ne!(draw("a"), draw("b"));
        assert_ne!(draw("a")[0], draw("a")[1]);
    }
}
