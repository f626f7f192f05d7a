//! The revisions, newest last.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Address, Diagnostic};
use crate::state::log::{Revealed, RunHeader, lease_of, reveal_of, revision_of};
use crate::state::{Body, RecordWrite, Revision, State};

/// One revision and the run that made it.
#[derive(Clone, Debug)]
pub struct Past {
    /// Without its outputs, which may be sealed.
    pub revision: Arc<Revision>,
    /// What the run said of itself when it began: who, where, from which commit.
    pub run: RunHeader,
    /// Secrets that the run opened.
    pub reveals: Vec<Revealed>,
}

/// All revisions, or those whose runs wrote about one of `addresses` (or what lies inside of them). Needs no key.
pub async fn history(state: &State, addresses: &[Address]) -> Result<Vec<Past>, Box<Diagnostic>> {
    let entries = state.entries().await?;
    let mut about: Option<BTreeSet<u64>> = None;
    for address in addresses {
        let places: BTreeSet<u64> = state.places(address).await?.into_iter().collect();
        let runs = entries.iter().filter(|entry| places.contains(&entry.header.sequence)).map(|entry| entry.header.run);
        about.get_or_insert_default().extend(runs);
    }
    let mut leases = std::collections::BTreeMap::new();
    let mut reveals: std::collections::BTreeMap<u64, Vec<Revealed>> = std::collections::BTreeMap::new();
    let mut past = Vec::new();
    for entry in &entries {
        if let Some(lease) = lease_of(entry) {
            leases.insert(lease.run, lease.header);
        }
        if let Some(revealed) = reveal_of(entry) {
            reveals.entry(entry.header.run).or_default().push(revealed);
        }
        if let Some(revision) = revision_of(entry)
            && about.as_ref().is_none_or(|runs| runs.contains(&revision.run))
        {
            let run = leases.get(&revision.run).cloned().unwrap_or_default();
            let reveals = reveals.get(&revision.run).cloned().unwrap_or_default();
            past.push(Past { revision: Arc::new(revision), run, reveals });
        }
    }
    Ok(past)
}

/// Every address that the log ever wrote about, ordered.
pub async fn addresses(state: &State) -> Result<BTreeSet<Address>, Box<Diagnostic>> {
    let entries = state.entries().await?;
    let mut all = BTreeSet::new();
    let view = state.replay(&entries, |_, _, body| match body {
        Body::Intent(intent) => drop(all.insert(intent.address.clone())),
        Body::Write(write) => all.extend(write.writes.iter().filter_map(|write| match write {
            RecordWrite::Put(record) => Some(record.address.clone()),
            RecordWrite::Remove(address) | RecordWrite::Depose(address) => Some(address.clone()),
            RecordWrite::Move { to, .. } => Some(to.clone()),
            RecordWrite::RemoveDeposed { .. } => None,
        })),
        _ => {}
    })?;
    all.extend(view.records.into_keys());
    Ok(all)
}
