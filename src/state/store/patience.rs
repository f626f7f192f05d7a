//! How long a store that is reached over a network is waited for, and what is said meanwhile.
//!
//! One request has 15 seconds in all, however often it is tried; an attempt that gets no answer is given up after a part of that,
//! since a new connection often goes where a dead one does not. Nobody waits in silence: the first failure is told, and so is an
//! answer that takes long.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::KnownSecrets;
use crate::state::contract::StoreError;
use crate::world::World;

/// To make a connection.
pub const CONNECT: Duration = Duration::from_secs(5);
/// A request, all its attempts included.
pub const WHOLE: Duration = Duration::from_secs(15);
/// One attempt.
pub const ATTEMPT: Duration = Duration::from_secs(6);
/// After so long without an answer, that is told.
const SLOW: Duration = Duration::from_secs(2);
/// How often it is told how far something is.
const PROGRESS: Duration = Duration::from_secs(10);
/// Slowest link that a large body is given time for, in bytes a second.
const BYTES_A_SECOND: u64 = 1 << 20;

/// Where lines go that people should read while something takes long.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// Why an attempt did not succeed.
pub enum Trouble {
    /// It may succeed when it is tried again; the clause says why it did not.
    Passing(String),
    Final(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        Trouble::Final(error)
    }
}

/// Tries requests of one store.
pub struct Patience {
    world: World,
    tell: Tell,
    place: String,
    /// What no message may say.
    secrets: KnownSecrets,
    /// An answer that somebody had no use for, for whoever asks next.
    kept: Mutex<Option<StoreError>>,
    /// Somebody was told that it does not answer, and has not heard since that it does.
    worried: AtomicBool,
}

impl Patience {
    pub fn new(world: &World, tell: Tell, place: String, secrets: KnownSecrets) -> Patience {
        Patience { world: world.clone(), tell, place, secrets, kept: Mutex::new(None), worried: AtomicBool::new(false) }
    }

    pub fn place(&self) -> &str {
        &self.place
    }

    /// For something that carries so many bytes in several requests.
    pub fn progress(&self, whole: usize) -> Progress<'_> {
        Progress { patience: self, whole, done: 0, told: self.world.clock.elapsed() }
    }

    /// A part of an attempt, which carries so many bytes: given up when its own time is over, however long the whole may take.
    pub async fn part<T, E: Into<Trouble>>(&self, bytes: usize, part: impl Future<Output = Result<T, E>>) -> Result<T, Trouble> {
        let limit = ATTEMPT + travel(bytes);
        tokio::select! {
            biased;
            done = part => done.map_err(Into::into),
            () = self.world.clock.sleep(limit) => Err(Trouble::Passing(format!("no answer within {} s", limit.as_secs()))),
        }
    }

    /// Gives an error to the next request, which would wait as long for the same: of a request that fails without harm.
    pub fn say_once_more(&self, error: StoreError) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Attempts until one succeeds or fails for good, or the time is over. `bytes` go along with each. The attempt gets its
    /// number, which begins with 0.
    ///
    /// Errors: [`StoreError::Unreachable`] with the last reason when the time is over.
    pub async fn request<T, F, A>(&self, bytes: usize, mut attempt: F) -> Result<T, StoreError>
    where
        F: FnMut(u32) -> A,
        A: Future<Output = Result<T, Trouble>>,
    {
        if let Some(error) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let more = travel(bytes);
        let clock = &self.world.clock;
        let deadline = clock.elapsed() + WHOLE + more;
        let mut number = 0;
        loop {
            let left = deadline.saturating_sub(clock.elapsed());
            let limit = left.min(ATTEMPT + more);
            let why = match self.one(limit, attempt(number)).await {
                Ok(done) => {
                    if self.worried.swap(false, Ordering::Relaxed) {
                        (self.tell)(&format!("{} answers again", self.place));
                    }
                    return Ok(done);
                }
                Err(Trouble::Final(error)) => return Err(self.said(error)),
                Err(Trouble::Passing(why)) => self.secrets.clean(&why),
            };
            let pause = self.pause(number);
            let left = deadline.saturating_sub(clock.elapsed());
            if left <= pause {
                return Err(StoreError::Unreachable { place: self.place.clone(), why });
            }
            if !self.worried.swap(true, Ordering::Relaxed) {
                (self.tell)(&format!("{}: {why}; trying again for {} s", self.place, left.as_secs().max(1)));
            }
            clock.sleep(pause).await;
            number += 1;
        }
    }

    /// The error as people may read it: with the store's place where an attempt did not know it, and without secrets.
    fn said(&self, error: StoreError) -> StoreError {
        let placed = |place: String| if place.is_empty() { self.place.clone() } else { place };
        let clean = |why: String| self.secrets.clean(&why);
        match error {
            StoreError::Refused { place, why, help } => StoreError::Refused { place: placed(place), why: clean(why), help },
            StoreError::Damaged { place, what } => StoreError::Damaged { place: placed(place), what },
            StoreError::Unavailable { what, why } => StoreError::Unavailable { what, why: clean(why) },
            StoreError::Unreachable { place, why } => StoreError::Unreachable { place: placed(place), why: clean(why) },
            StoreError::Unanswered { place, why } => StoreError::Unanswered { place: placed(place), why: clean(why) },
            other => other,
        }
    }

    /// One attempt, which is given up at its limit.
    async fn one<T>(&self, limit: Duration, attempt: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let clock = &self.world.clock;
        let mut attempt = std::pin::pin!(attempt);
        let slow = limit.min(SLOW);
        tokio::select! {
            biased;
            done = &mut attempt => return done,
            () = clock.sleep(slow) => {}
        }
        if slow < limit && !self.worried.swap(true, Ordering::Relaxed) {
            (self.tell)(&format!("{} has not answered for {} s, still waiting", self.place, slow.as_secs()));
        }
        tokio::select! {
            biased;
            done = &mut attempt => done,
            () = clock.sleep(limit.saturating_sub(slow)) => {
                Err(Trouble::Passing(format!("no answer within {} s", limit.as_secs().max(1))))
            }
        }
    }

    /// 100 ms, doubled each time, at most 2 s; half to all of it.
    fn pause(&self, failed: u32) -> Duration {
        let whole = Duration::from_millis(100u64 << failed.min(5)).min(Duration::from_secs(2));
        let mut byte = [0];
        self.world.random.fill(&mut byte);
        whole / 2 + whole.mul_f64(f64::from(byte[0]) / 510.0)
    }
}

/// How far something is that takes many requests: told now and then.
pub struct Progress<'p> {
    patience: &'p Patience,
    whole: usize,
    done: usize,
    told: Duration,
}

impl Progress<'_> {
    /// So many bytes more are there.
    pub fn more(&mut self, bytes: usize) {
        self.done += bytes;
        let now = self.patience.world.clock.elapsed();
        if now - self.told >= PROGRESS {
            self.told = now;
            let line = format!("{}: {} of {} MiB are there", self.patience.place, self.done >> 20, self.whole >> 20);
            (self.patience.tell)(&line);
        }
    }
}

/// What a body of this size may take on its way.
fn travel(bytes: usize) -> Duration {
    Duration::from_secs(bytes as u64 / BYTES_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Clock as _;

    /// Runs attempts in simulated time: the answer, how long it took, and what was told.
    fn run<T, A>(mut attempt: impl FnMut(u32) -> A) -> (Result<T, StoreError>, Duration, Vec<String>)
    where
        A: Future<Output = Result<T, Trouble>>,
    {
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        let tell: Tell = Arc::new(move |line: &str| heard.lock().expect("no panic").push(line.to_owned()));
        let (world, clock) = World::simulated(jiff::Timestamp::UNIX_EPOCH, b"patience");
        let patience = Patience::new(&world, tell, "the store".into(), KnownSecrets::default());
        let answer = clock.run(patience.request(0, &mut attempt)).expect("somebody always wakes");
        let told = told.lock().expect("no panic").clone();
        (answer, clock.elapsed(), told)
    }

    #[test]
    fn what_passes_is_tried_again_and_the_first_failure_is_told() {
        let (answer, _, told) =
            run(|number| async move { if number < 3 { Err(Trouble::Passing("it is starting".into())) } else { Ok(number) } });
        assert_eq!(answer.expect("the fourth succeeds"), 3);
        assert_eq!(told, ["the store: it is starting; trying again for 15 s", "the store answers again"]);
    }

    #[test]
    fn a_store_that_hangs_is_told_of_and_given_up_in_time() {
        let (answer, took, told) = run(|_| std::future::pending::<Result<(), Trouble>>());
        assert!(matches!(answer, Err(StoreError::Unreachable { why, .. }) if why.starts_with("no answer within")));
        assert!(took <= WHOLE && took > WHOLE - ATTEMPT, "{took:?}");
        assert_eq!(told, ["the store has not answered for 2 s, still waiting"]);
    }

    #[test]
    fn what_is_final_is_not_tried_again() {
        let mut tries = 0;
        let (answer, took, told) = run(|_| {
            tries += 1;
            async { Err::<(), _>(Trouble::Final(StoreError::Misuse("no".into()))) }
        });
        assert!(matches!(answer, Err(StoreError::Misuse(_))));
        assert_eq!((tries, took, told.len()), (1, Duration::ZERO, 0));
    }
}
