//! Whether a plan still fits the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Address, Code, Diagnostic, Plan, Record};

/// How many addresses a refusal names.
const NAMED: usize = 5;

/// Checks that each record which the plan reads or writes has the version that it was planned from.
///
/// Errors: [`Code::StalePlan`], naming what moved on.
pub fn check_fits(
    plan: &Plan,
    store: &str,
    revision: Option<u64>,
    records: &BTreeMap<Address, Arc<Record>>,
) -> Result<(), Box<Diagnostic>> {
    let refuse = |diagnostic: Diagnostic| {
        let environment = &plan.environment;
        Err(Box::new(diagnostic.help(format!("`stackwright plan --env {environment}`, then approve the new plan"))))
    };
    let says = |revision: Option<u64>| revision.map_or("an empty state".to_owned(), |number| format!("rev {number}"));
    let message = format!("plan {} does not fit the present state; nothing was changed", plan.id);
    if plan.store != store && plan.store.is_empty() {
        return refuse(Code::StalePlan.error(message).fact("planned", "on an empty state").fact("since", says(revision)));
    }
    if plan.store != store {
        let note = "it was made for another state store, such as another copy of this stack's state";
        return refuse(Code::StalePlan.error(message).note(note));
    }
    let moved = moved_on(plan, records);
    if moved.is_empty() {
        return Ok(());
    }
    let names = moved.iter().take(NAMED).map(|address| format!("`{address}`")).collect::<Vec<_>>().join(", ");
    let more = if moved.len() > NAMED { format!(" and {} more", moved.len() - NAMED) } else { String::new() };
    let unfit = plan.changes.iter().filter(|change| moved.contains(&&change.address)).count();
    let changes = if plan.changes.len() == 1 { "change" } else { "changes" };
    let are = if unfit == 1 { "is" } else { "are" };
    let unfit = match unfit {
        0 => format!("{} of the {} records that it reads changed: {names}{more}", moved.len(), plan.reads.len()),
        _ => format!("{unfit} of {} {changes} {are} no longer the same: {names}{more}", plan.changes.len()),
    };
    let since = format!("{}; {unfit}", says(revision));
    refuse(Code::StalePlan.error(message).fact("planned", format!("on {}", says(plan.base))).fact("since", since))
}

/// The records that the plan reads or writes and that have changed since, in the plan's order.
pub fn moved_on<'p>(plan: &'p Plan, records: &BTreeMap<Address, Arc<Record>>) -> Vec<&'p Address> {
    let version = |address: &Address| records.get(address).map_or(0, |record| record.version);
    let moved = plan.reads.iter().filter(|(address, planned)| version(address) != *planned);
    moved.map(|(address, _)| address).collect()
}
