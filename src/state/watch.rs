//! What this process has seen of other runs, by its own monotonic clock. On a store that cannot tell whether a run lives, nothing
//! else decides when a lease ends: wall clocks of two machines are never compared.

use std::collections::BTreeMap;
use std::time::Duration;

use super::contract::{Liveness, Sequence};
use super::holder::Life;
use super::log::OperationId;
use super::view::{ActiveRun, OpenIntent, View};
use crate::world::guards::{self, Guard};

/// How long a run holds its addresses after its last entry, on a store that cannot tell whether it lives.
pub const LEASE: Duration = Duration::from_secs(60);

/// How long a run that holds addresses on such a store is silent before it says that it lives.
pub const HEARTBEAT: Duration = Duration::from_secs(20);

/// From when on a silent run is no longer called alive: a heartbeat, and what it may take to arrive.
const SIGN: Duration = Duration::from_secs(30);

/// What was first seen when. Grows with what is active and open, and no further.
#[derive(Clone, Default)]
pub(super) struct Watch {
    runs: BTreeMap<u64, Sighting>,
    open: BTreeMap<OperationId, Duration>,
    /// When the log was last looked at.
    looked: Duration,
}

#[derive(Clone, Copy)]
struct Sighting {
    /// Place of its last entry.
    last: Sequence,
    /// When that was first seen.
    since: Duration,
    /// How long before that it was looked for in vain, where this process watched already: so old it may be, whatever the clock of
    /// its writer says.
    after: Option<Duration>,
}

impl Watch {
    /// Takes note of a view that had been read by `now`.
    pub fn look(&mut self, view: &View, now: Duration) {
        self.runs.retain(|run, _| view.active.contains_key(run));
        for (number, active) in &view.active {
            let known = self.runs.get(number);
            if known.is_none_or(|seen| seen.last != active.last) {
                let after = known.map(|_| now.saturating_sub(self.looked));
                self.runs.insert(*number, Sighting { last: active.last, since: now, after });
            }
        }
        self.looked = now;
        self.open.retain(|operation, _| view.open.contains_key(operation));
        for operation in view.open.keys() {
            self.open.entry(*operation).or_insert(now);
        }
    }

    /// Whether a run lives, by what its store says, else by what was seen of it. `aged` is the age of its last entry by wall clocks:
    /// it decides what is called alive, and never when a lease ends.
    pub fn life(&self, active: &ActiveRun, store: Liveness, aged: Duration, now: Duration) -> Life {
        match store {
            Liveness::Alive => Life::Alive { heard: aged, beats: false },
            Liveness::Dead => Life::Gone,
            Liveness::Unknown => {
                let seen = self.runs.get(&active.lease.run).filter(|seen| seen.last == active.last);
                let silent = seen.map_or(Duration::ZERO, |seen| now.saturating_sub(seen.since));
                let heard = match seen.and_then(|seen| seen.after) {
                    Some(after) => aged.clamp(silent, silent + after),
                    None => aged.max(silent),
                };
                match heard < SIGN {
                    true => Life::Alive { heard, beats: true },
                    false => Life::Silent { heard, ends_in: LEASE.saturating_sub(silent) },
                }
            }
        }
    }

    /// Until when, by this process's clock, a byte of an open call may still leave.
    pub fn leaves_until(&self, open: &OpenIntent, now: Duration) -> Duration {
        match open.writer_gone || !guards::stands(Guard::WriterMayLive) {
            true => Duration::ZERO,
            false => self.open.get(&open.intent.operation).copied().unwrap_or(now) + open.intent.not_after,
        }
    }
}
