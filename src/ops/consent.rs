//! What somebody has to agree to before a plan is made real.

use std::collections::BTreeSet;

use crate::model::{Action, Address, Change, Code, Diagnostic, Plan};

/// Resources whose data a plan loses, ordered.
pub fn losses(plan: &Plan) -> Vec<Address> {
    plan.changes.iter().filter(|change| loses_data(change)).map(|change| change.address.clone()).collect()
}

fn loses_data(change: &Change) -> bool {
    match change.action {
        Action::Destroy { loses_data } => loses_data,
        Action::Replace { .. } => change.kind.holds_data,
        // Whether it is one, only the apply finds out: then nobody can be asked any more.
        _ => change.maybe_replace && change.kind.holds_data,
    }
}

/// Losses that were not confirmed by name. A name that the plan does not lose is refused, since it was meant for another plan.
///
/// Errors: [`Code::Usage`].
pub fn unconfirmed(plan: &Plan, confirmed: &[String]) -> Result<Vec<Address>, Box<Diagnostic>> {
    let losses = losses(plan);
    let known: BTreeSet<&str> = losses.iter().map(Address::as_str).collect();
    for name in confirmed {
        // Confirming what a later plan no longer loses is harmless; a name that is near a loss is a mistyped one.
        if !known.contains(name.as_str())
            && let Some(near) = super::nearest(name, known.iter().copied())
        {
            let text = format!("`--allow-destroy {name}` names nothing that this plan destroys");
            return Err(Box::new(Code::Usage.error(text).help(format!("write `--allow-destroy '{near}'`"))));
        }
    }
    Ok(losses.into_iter().filter(|address| !confirmed.iter().any(|name| name == address.as_str())).collect())
}

/// The refusal of a plan whose losses were not confirmed.
pub fn refuse_losses(unconfirmed: &[Address]) -> Box<Diagnostic> {
    let names = unconfirmed.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
    let flags = unconfirmed.iter().map(|it| format!("--allow-destroy '{it}'")).collect::<Vec<_>>().join(" ");
    Box::new(
        Code::LossNotConfirmed
            .error(format!("the plan loses what {names} holds, and nobody confirmed that; nothing was changed"))
            .help(format!("to lose it, add {flags}")),
    )
}

/// The refusal of a plan that nobody agreed to.
pub fn refuse_unasked(plan: &Plan) -> Box<Diagnostic> {
    let text = format!("nobody agreed to plan {}, and nobody can be asked here; nothing was changed", plan.id);
    Box::new(Code::NotConfirmed.error(text).help(format!("`--yes` agrees, or `stackwright apply {}` after reading it", plan.id)))
}

/// What somebody said no to.
pub fn declined() -> Box<Diagnostic> {
    Box::new(Code::NotConfirmed.error("declined; nothing was changed"))
}
