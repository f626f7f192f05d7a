//! Calls of which nobody knows what became, and what the next apply does about each.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Address, Diagnostic};
use crate::state::view::fold::overlap;
use crate::state::{Holder, IntentCall, Life, Look, OpenIntent, State, View};

/// Addresses of open calls that no living run holds.
pub async fn left(state: &State) -> Result<BTreeSet<Address>, Box<Diagnostic>> {
    if state.view().open.is_empty() {
        return Ok(BTreeSet::new());
    }
    let Look { view, holders } = state.look().await?;
    let addresses = view.open.values().map(|open| &open.intent.address);
    Ok(addresses.filter(|address| keeper(&holders, address).is_none_or(|it| !lives(it))).cloned().collect())
}

/// One open call.
pub struct OpenCall {
    pub open: Arc<OpenIntent>,
    /// Its run holds its address and lives: it is being made, and no more.
    pub running: bool,
    /// What is done about it, in words.
    pub next: String,
}

/// All open calls, in the order in which they were written down.
pub fn open_calls(view: &View, holders: &[Holder]) -> Vec<OpenCall> {
    let in_order = view.open_at.values().filter_map(|operation| view.open.get(operation));
    in_order
        .map(|open| {
            let keeper = keeper(holders, &open.intent.address);
            let running = keeper.is_some_and(|it| lives(it) && it.active.lease.run == open.run);
            OpenCall { open: open.clone(), running, next: next(open, keeper) }
        })
        .collect()
}

fn keeper<'h>(holders: &'h [Holder], address: &Address) -> Option<&'h Holder> {
    let address = BTreeSet::from([address.clone()]);
    holders.iter().find(|holder| overlap(&holder.active.addresses, &address).is_some())
}

fn lives(holder: &Holder) -> bool {
    matches!(holder.life, Life::Alive { .. })
}

fn next(open: &OpenIntent, keeper: Option<&Holder>) -> String {
    let intent = &open.intent;
    let run = keeper.map_or(0, |it| it.active.lease.run);
    let when = match keeper.map(|it| it.life) {
        Some(Life::Alive { .. }) if run == open.run => return "its run is making it".to_owned(),
        Some(Life::Alive { .. }) => return format!("run {run} finds out what became of it"),
        Some(Life::Gone) => String::new(),
        _ if open.writer_gone => String::new(),
        Some(Life::Silent { .. }) => {
            format!("once its run's lease has ended, and no sooner than {} s from now, ", intent.not_after.as_secs())
        }
        None => format!("once it cannot leave any more ({} s), ", intent.not_after.as_secs()),
    };
    let how = match (intent.call, &*intent.recovery) {
        (IntentCall::Create, "opaque") => {
            "looked for among those like it; what may be it is shown, and it is not made twice by itself"
        }
        (IntentCall::Create, "named") => "looked for by its name; recorded if it is there and ours, made if it is not there",
        (IntentCall::Create, "put") => "read; recorded if it is there, made if it is not",
        (IntentCall::Create, _) => "looked for by its token; recorded if it is there, made if it is not",
        (IntentCall::Update, _) => "read; recorded if it was changed, changed if it was not",
        (IntentCall::Delete, _) => "looked for; forgotten if it is gone, destroyed if it is not",
    };
    format!("the next apply: {when}{how}")
}
