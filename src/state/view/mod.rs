//! What the log amounts to: the records of now, derived by folding entries in order, and rebuilt whenever in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub mod fold;
pub mod index;
pub mod keys;
pub mod snapshot;

use super::contract::{Head, Sequence, StoreId};
use super::log::{Carried, Genesis, Intent, Lease, OperationId, Revision, Signer};
use super::sign::PublicKey;
use crate::model::value::Fields;
use crate::model::{Address, Name, ProviderName, Record};
use keys::KeyBook;

/// The state of one environment at one place of its log.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// `None` while nothing was ever applied.
    pub genesis: Option<Genesis>,
    pub head: Option<Head>,
    /// Data keys, and whom they are wrapped for.
    pub keys: Arc<KeyBook>,
    pub records: BTreeMap<Address, Arc<Record>>,
    /// Objects of replacements that created first, whose destroy is still owed: by the address that they had.
    pub deposed: BTreeMap<Address, Vec<Arc<Record>>>,
    pub outputs: Fields,
    /// How provider instances are reached, as it was last applied.
    pub providers: BTreeMap<ProviderName, Arc<Fields>>,
    /// Calls of which nobody knows what became, by operation.
    pub open: BTreeMap<OperationId, Arc<OpenIntent>>,
    /// The same by the place of the intent.
    pub open_at: BTreeMap<Sequence, OperationId>,
    /// Runs that hold addresses, by number.
    pub active: BTreeMap<u64, Arc<ActiveRun>>,
    /// Number of the last run.
    pub run: u64,
    /// Number of the last revision; 0 before the first.
    pub revision: u64,
    pub last: Option<Arc<Revision>>,
    /// How long calls took, by kind and action, newest last, at most [`DURATIONS_KEPT`].
    pub durations: BTreeMap<(Name, Name), Vec<Duration>>,
    /// Whose signatures count. Once there is one, there always is.
    pub signers: BTreeMap<PublicKey, Signer>,
    /// The log goes on in another store, and nothing is written here any more.
    pub moved: Option<Arc<Carried>>,
    /// Entries without effect, since their writer did not hold the lease: sequence and why.
    pub void: Vec<(Sequence, String)>,
}

/// How many durations are kept a kind and action.
pub const DURATIONS_KEPT: usize = 15;

/// An intent without an outcome.
#[derive(Clone, Debug)]
pub struct OpenIntent {
    pub intent: Arc<Intent>,
    /// Place of the intent.
    pub sequence: Sequence,
    pub run: u64,
    /// By the writer's wall clock.
    pub time_ms: i64,
    /// The platform's id of an asynchronous operation.
    pub accepted: Option<String>,
    /// How often it was sent again after an attempt of which nobody knows what became.
    pub repeated: u32,
    /// It was looked at, and could not be settled; the words say why.
    pub flagged: Option<String>,
    /// Its run has ended by itself, or its process was known to be gone: no byte of the call can leave any more.
    pub writer_gone: bool,
}

/// A run that holds addresses.
#[derive(Clone, Debug)]
pub struct ActiveRun {
    pub lease: Arc<Lease>,
    /// Place of its lease.
    pub epoch: Sequence,
    /// By its wall clock.
    pub since_ms: i64,
    /// Time of its last entry, by its wall clock.
    pub last_ms: i64,
    /// Place of its last entry: each is a sign of life.
    pub last: Sequence,
    /// Changes that are over.
    pub done: u32,
    /// What it may write: these and what lies inside of them.
    pub addresses: Arc<BTreeSet<Address>>,
}

impl View {
    /// Whether a run that holds its lease may write this address: it is leased, or lies inside of one that is.
    pub fn covers(&self, run: u64, address: &Address) -> bool {
        self.active.get(&run).is_some_and(|active| active.covers(address))
    }

    pub fn store_id(&self) -> Option<StoreId> {
        self.genesis.as_ref().map(|genesis| genesis.store)
    }

    /// How long a call of this kind and action usually takes: the median of those kept, from 3 on.
    pub fn usual(&self, kind: &Name, action: &Name) -> Option<Duration> {
        let mut kept = self.durations.get(&(kind.clone(), action.clone()))?.clone();
        kept.sort_unstable();
        (kept.len() >= 3).then(|| kept[kept.len() / 2])
    }
}

impl ActiveRun {
    pub fn covers(&self, address: &Address) -> bool {
        let mut at = Some(address.clone());
        while let Some(address) = at {
            if self.addresses.contains(&address) {
                return true;
            }
            at = address.parent();
        }
        false
    }
}
