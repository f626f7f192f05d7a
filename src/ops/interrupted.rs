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
    Ok(left_open(&look(state).await?).into_iter().map(|it| it.open.intent.address.clone()).collect())
}

/// Who holds what now, and what is open: nothing where nothing was when the state was opened.
pub async fn look(state: &State) -> Result<Look, Box<Diagnostic>> {
    match state.view().open.is_empty() && state.view().active.is_empty() {
        true => Ok(Look { view: Arc::default(), holders: Vec::new() }),
        false => state.look().await,
    }
}

/// An open call that no living run holds.
pub struct LeftOpen {
    pub open: Arc<OpenIntent>,
    /// Its process is known to be gone.
    pub writer_gone: bool,
}

/// Open calls that no living run holds, in the order in which they were written down.
pub fn left_open(look: &Look) -> Vec<LeftOpen> {
    let Look { view, holders } = look;
    let is_left = |open: &&Arc<OpenIntent>| keeper(holders, &open.intent.address).is_none_or(|it| !lives(it));
    let is_gone = |run: u64| holders.iter().any(|it| it.active.lease.run == run && it.life == Life::Gone);
    let in_order = view.open_at.values().filter_map(|operation| view.open.get(operation)).filter(is_left);
    in_order.map(|open| LeftOpen { open: open.clone(), writer_gone: open.writer_gone || is_gone(open.run) }).collect()
}

/// Runs that are under way.
pub fn running(look: Look) -> Vec<Holder> {
    look.holders.into_iter().filter(lives).collect()
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
