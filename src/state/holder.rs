//! Who holds addresses, whether they live, and how far they are: for whoever wants the same addresses.

use std::sync::Arc;
use std::time::Duration;

use super::view::{ActiveRun, View};
use crate::model::{Address, Name};

/// A run that holds addresses, as this process sees it now.
#[derive(Clone, Debug)]
pub struct Holder {
    pub active: Arc<ActiveRun>,
    pub life: Life,
    /// How long it has been running, by wall clocks.
    pub running: Duration,
    /// About how long it will go on, where earlier runs or its own pace tell.
    pub left: Option<Duration>,
}

/// Who holds what, and the view that says so.
#[derive(Clone, Debug)]
pub struct Look {
    pub view: Arc<View>,
    pub holders: Vec<Holder>,
}

/// A holder, and an address that it holds and somebody else wants.
#[derive(Clone, Debug)]
pub struct Held {
    pub holder: Holder,
    pub address: Address,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// Its process holds its lock; or, where a store cannot tell that (`beats`), it has given a sign of life just now.
    Alive { heard: Duration, beats: bool },
    /// Its process is known to be gone: whoever comes next takes over at once.
    Gone,
    /// The store cannot tell, and no sign of life has come for a while. Its lease ends once this process itself has seen none for
    /// [`super::LEASE`].
    Silent { heard: Duration, ends_in: Duration },
}

impl Life {
    /// Whether its lease is over for whoever has seen this.
    pub fn is_over(self) -> bool {
        matches!(self, Life::Gone | Life::Silent { ends_in: Duration::ZERO, .. })
    }

    pub fn is_silent(self) -> bool {
        matches!(self, Life::Silent { .. })
    }
}

/// About how long a run goes on: its own pace, but no shorter than the longest change that it has not written yet usually takes.
/// `None` where nothing tells, or nothing is left.
pub(super) fn left(view: &View, active: &ActiveRun, running: Duration) -> Option<Duration> {
    let changes = active.lease.header.changes;
    let done = active.done.min(changes);
    if done == changes {
        return None;
    }
    let pace = (done > 0).then(|| running * (changes - done) / done);
    let unwritten = active.addresses.iter().filter_map(|address| {
        let record = view.records.get(address);
        let is_written = record.is_some_and(|record| record.version > active.epoch);
        (!is_written).then(|| usual(view, address, record.is_some()))?
    });
    pace.max(unwritten.max())
}

/// How long a change of the resource at an address usually takes. The last part of an address is kind, name and key.
fn usual(view: &View, address: &Address, exists: bool) -> Option<Duration> {
    let kind = match view.records.get(address) {
        Some(record) => record.kind.clone(),
        None => Name::from(address.last().split('[').next()?.rsplit_once('.')?.0),
    };
    view.usual(&kind, &Name::from(if exists { "update" } else { "create" }))
}
