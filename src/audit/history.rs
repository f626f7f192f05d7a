//! The revisions, and what was done to the log itself, newest last.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Address, Diagnostic};
use crate::state::contract::Entry;
use crate::state::log::key::KeyChange;
use crate::state::log::{
    Revealed, RunHeader, carried_of, key_of, lease_of, restored_of, reveal_of, revision_of, signer_of, takeover_of,
};
use crate::state::{Body, RecordWrite, Revision, Sequence, SignerAction, State};

/// One revision and the run that made it.
#[derive(Clone, Debug)]
pub struct Past {
    /// Of its entry.
    pub place: Sequence,
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
            past.push(Past { place: entry.header.sequence, revision: Arc::new(revision), run, reveals });
        }
    }
    Ok(past)
}

/// What was done to the log outside of any run: it was carried, put back, its keys changed, a lock was released.
#[derive(Clone, Debug)]
pub struct Happening {
    pub place: Sequence,
    pub time_ms: i64,
    pub who: String,
    /// `restore`, `moved`, `import`, `key`, `signer`, `release`.
    pub kind: &'static str,
    /// What is particular about it, as a clause; may be empty.
    pub what: String,
    pub reason: String,
}

/// All happenings of a log. Needs no key.
pub async fn happenings(state: &State) -> Result<Vec<Happening>, Box<Diagnostic>> {
    Ok(state.entries().await?.iter().filter_map(happening).collect())
}

fn happening(entry: &Entry) -> Option<Happening> {
    let (kind, who, what, reason) = match &*entry.header.kind {
        "restore" => {
            let it = restored_of(entry)?;
            let lost = match it.lost {
                0 => "nothing was lost".into(),
                1 => "1 entry was lost".into(),
                lost => format!("{lost} entries were lost"),
            };
            ("restore", it.who, lost, it.reason)
        }
        "moved" => carried_of(entry).map(|it| ("moved", it.who, format!("to {}", it.place), it.reason))?,
        "import" => carried_of(entry).map(|it| ("import", it.who, format!("from {}", it.place), it.reason))?,
        "key" => key_of(entry).map(|it| ("key", it.who.clone(), keys_changed(&it), it.reason))?,
        "signer" => {
            let it = signer_of(entry)?;
            let word = if it.action == SignerAction::Add { "added" } else { "removed" };
            ("signer", it.who, format!("{} was {word}", it.name), it.reason)
        }
        // One that a run took over stands with that run.
        "takeover" if entry.header.run == 0 => {
            let it = takeover_of(entry)?;
            ("release", it.who?, format!("of run {}", it.run), it.reason)
        }
        _ => return None,
    };
    Some(Happening { place: entry.header.sequence, time_ms: entry.header.time_ms, who, kind, what, reason })
}

fn keys_changed(change: &KeyChange) -> String {
    let names = |names: Vec<&str>, word: &str| (!names.is_empty()).then(|| format!("{word} {}", names.join(", ")));
    let added = names(change.add.iter().map(|it| it.name.as_str()).collect(), "added");
    let removed = names(change.remove.iter().map(String::as_str).collect(), "removed");
    let current = change.current.map(|key| format!("new data key {key}"));
    added.into_iter().chain(removed).chain(current).collect::<Vec<_>>().join(", ")
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
