//! Chance that a seed decides, and the moment at which a process dies.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use stackwright::world::{Clock, Random};
use tokio::sync::watch;

/// A stream of its own for each part of a life, so that one that draws more does not change what the others meet.
pub struct Chance(Mutex<u64>);

impl Chance {
    pub fn of(seed: u64, part: &str) -> Chance {
        let mixed =
            part.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Chance(Mutex::new(mixed))
    }

    fn next(&self) -> u64 {
        let mut state = self.0.lock().expect("nothing panics while it holds this");
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn between(&self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub fn hits(&self, in_mille: u64) -> bool {
        self.below(1000) < in_mille
    }

    pub fn pick<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    /// Up to this long, in whole milliseconds.
    pub fn within(&self, longest: Duration) -> Duration {
        Duration::from_millis(self.below(longest.as_millis() as u64 + 1))
    }
}

impl Random for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
    }
}

/// Counts the places at which a process touches the world, and kills it at one of them: whoever comes to that place never leaves it.
/// Or stops it there: nothing of it goes on until it is let on, and then everything as if no time had passed.
pub struct Fuse {
    left: Mutex<Option<u64>>,
    blown: watch::Sender<bool>,
    clock: Arc<dyn Clock>,
    stops: Mutex<Option<(u64, Duration)>>,
    stopped_until: Mutex<Duration>,
}

impl Fuse {
    /// Kills after so many touches, and stops after so many for so long; `None` does not.
    pub fn new(dies_after: Option<u64>, stops: Option<(u64, Duration)>, clock: Arc<dyn Clock>) -> Fuse {
        Fuse {
            left: Mutex::new(dies_after),
            blown: watch::channel(false).0,
            clock,
            stops: Mutex::new(stops),
            stopped_until: Mutex::default(),
        }
    }

    /// Waits while the process is stopped.
    pub async fn runs(&self) {
        loop {
            let until = *self.stopped_until.lock().expect("nothing panics while it holds this");
            let rest = until.saturating_sub(self.clock.elapsed());
            if rest.is_zero() {
                return;
            }
            self.clock.sleep(rest).await;
        }
    }

    /// Whether it was stopped at some time.
    pub fn was_stopped(&self) -> bool {
        !self.stopped_until.lock().expect("nothing panics while it holds this").is_zero()
    }

    /// Comes to such a place.
    pub async fn touch(&self) {
        {
            let mut stops = self.stops.lock().expect("nothing panics while it holds this");
            match &mut *stops {
                Some((0, long)) => {
                    *self.stopped_until.lock().expect("nothing panics while it holds this") = self.clock.elapsed() + *long;
                    *stops = None;
                }
                Some((more, _)) => *more -= 1,
                None => {}
            }
        }
        self.runs().await;
        let blows = {
            let mut left = self.left.lock().expect("nothing panics while it holds this");
            match &mut *left {
                None => false,
                Some(0) => true,
                Some(more) => {
                    *more -= 1;
                    false
                }
            }
        };
        if blows || *self.blown.borrow() {
            self.blow();
            std::future::pending::<()>().await;
        }
    }

    pub fn blow(&self) {
        self.blown.send_replace(true);
    }

    /// Returns when the process is dead.
    pub async fn dead(&self) {
        let mut blown = self.blown.subscribe();
        let _ = blown.wait_for(|blown| *blown).await;
    }
}
