//! Whether a plan still fits the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::effects::{SecretDigest, record_digest};
use crate::model::{Address, Became, Code, Diagnostic, Foreseen, Plan, Record, Schemas};

/// How many addresses a refusal names.
const NAMED: usize = 5;

/// What is recorded when a plan is to be made.
pub struct Present<'a> {
    pub store: &'a str,
    pub revision: Option<u64>,
    pub records: &'a BTreeMap<Address, Arc<Record>>,
    pub schemas: &'a Schemas,
    pub digest: SecretDigest<'a>,
}

/// Checks that each record which the plan reads or writes has the version that it was planned from, or is what recovery was foreseen
/// to record.
///
/// Errors: [`Code::StalePlan`], naming what moved on.
pub fn check_fits(plan: &Plan, present: &Present<'_>) -> Result<(), Box<Diagnostic>> {
    let Present { store, revision, .. } = *present;
    let refuse = |diagnostic: Diagnostic| {
        let environment = &plan.environment;
        Err(Box::new(diagnostic.help(format!("`stackwright plan --env {environment}`, then approve the new plan"))))
    };
    let says = |revision: Option<u64>| revision.map_or("an empty state".to_owned(), |number| format!("rev {number}"));
    let message = format!("plan {} does not fit the present state; nothing was changed", plan.id);
    if plan.store != store && plan.store.is_empty() {
        return refuse(Code::StalePlan.error(message).fact("planned", planned(plan)).fact("since", says(revision)));
    }
    if plan.store != store {
        let note = "it was made for another state store, such as another copy of this stack's state";
        return refuse(Code::StalePlan.error(message).note(note));
    }
    let moved = moved_on(plan, present);
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
    let mut stale =
        Code::StalePlan.error(message).fact("planned", planned(plan)).fact("since", format!("{}; {unfit}", says(revision)));
    for it in plan.foreseen.iter().filter(|it| moved.contains(&&it.address)).take(NAMED) {
        stale = stale.fact("recovery", otherwise(it, present));
    }
    refuse(stale)
}

/// On what it was planned, when and by whom.
pub fn planned(plan: &Plan) -> String {
    let base = plan.base.map_or("an empty state".to_owned(), |number| format!("rev {number}"));
    let Some(made) = &plan.made else { return format!("on {base}") };
    format!("on {base}, {made}")
}

/// What recovery came to, where that was foreseen otherwise.
fn otherwise(foreseen: &Foreseen, present: &Present<'_>) -> String {
    let now = match (present.records.get(&foreseen.address), foreseen.record) {
        (None, _) => "nothing is recorded there",
        (Some(_), Some(_)) => "other values are recorded",
        (Some(_), None) => "it is recorded",
    };
    let taken = match foreseen.became {
        Became::Done => "was taken to have happened",
        Became::NotDone => "was taken not to have happened",
        Became::Again => "was to be sent again",
        Became::Unknown => "could not be told",
    };
    let Foreseen { action, address, .. } = foreseen;
    format!("{action} `{address}`, of an interrupted run, {taken} when this was planned; now {now}")
}

/// The records that the plan reads or writes and that are not as it was made from, in the plan's order.
pub fn moved_on<'p>(plan: &'p Plan, present: &Present<'_>) -> Vec<&'p Address> {
    let fits = |address: &Address, planned: u64| {
        let record = present.records.get(address);
        match planned {
            Record::FORESEEN => {
                let foreseen = plan.foreseen.iter().find(|it| it.address == *address && it.record.is_some());
                let digest =
                    |it: &Foreseen| record.map(|record| record_digest(record, it.became, present.schemas, present.digest));
                foreseen.is_some_and(|it| it.record == digest(it))
            }
            _ => record.map_or(0, |record| record.version) == planned,
        }
    };
    plan.reads.iter().filter(|(address, planned)| !fits(address, *planned)).map(|(address, _)| address).collect()
}
