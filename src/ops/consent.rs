//! What somebody has to agree to before a plan is made real.

use crate::model::{Address, Code, Diagnostic, Plan};

/// Resources whose data a plan loses, ordered.
pub fn losses(plan: &Plan) -> Vec<Address> {
    plan.changes.iter().filter(|change| change.loses_data()).map(|change| change.address.clone()).collect()
}

/// Losses that were not confirmed by name: a resource's own, or that of the instance which holds it. A name that the plan does
/// not lose and that is near one which it does is refused as mistyped; one that nothing bears any more is harmless.
///
/// Errors: [`Code::Usage`].
pub fn unconfirmed(plan: &Plan, confirmed: &[String]) -> Result<Vec<Address>, Box<Diagnostic>> {
    let losses = losses(plan);
    let covers = |name: &str, loss: &Address| Address::parse(name).is_some_and(|named| loss.is_within(&named));
    for name in confirmed.iter().filter(|name| !losses.iter().any(|loss| covers(name, loss))) {
        if let Some(near) = super::nearest(name, losses.iter().map(Address::as_str)) {
            let text = format!("`--allow-destroy {name}` names nothing that this plan destroys");
            return Err(Box::new(Code::Usage.error(text).help(format!("write `--allow-destroy '{near}'`"))));
        }
    }
    Ok(losses.into_iter().filter(|loss| !confirmed.iter().any(|name| covers(name, loss))).collect())
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
    Box::new(
        Code::NotConfirmed
            .error(text)
            .help(format!("`--yes` agrees, or `stackwright apply {} --env {}` after reading it", plan.id, plan.environment)),
    )
}

/// What somebody said no to.
pub fn declined() -> Box<Diagnostic> {
    Box::new(Code::NotConfirmed.error("declined; nothing was changed"))
}
