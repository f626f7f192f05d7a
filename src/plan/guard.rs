//! Guards: what may not be destroyed or replaced, and how a guard is lifted.

use crate::model::{Address, Code, DesiredResource, Diagnostic, Record, Span};

/// What is about to happen to a guarded resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    Destroyed,
    Replaced,
}

/// Refuses to destroy or replace what a guard protects; `None` if none does.
///
/// A guard holds while the record has it, also when the program no longer says so: lifting it is a change of its own.
pub fn refuse_guarded(
    address: &Address,
    record: &Record,
    desired: Option<&DesiredResource>,
    loss: Loss,
    cause: Option<Span>,
) -> Option<Diagnostic> {
    let asked = desired.is_some_and(|desired| desired.lifecycle.protect);
    if !record.protect && !asked {
        return None;
    }
    let would = match loss {
        Loss::Destroyed => "destroyed",
        Loss::Replaced => "replaced",
    };
    let mut diagnostic = Code::Protected.error(format!("`{address}` is protected and would be {would}")).about(address.clone());
    if let Some(cause) = cause.or(desired.map(|desired| desired.span)) {
        diagnostic = diagnostic.label(cause, format!("because of this it would be {would}"));
    }
    if let Some(span) = desired.and_then(|desired| desired.lifecycle.protect_span) {
        diagnostic = diagnostic.label(span, "protected here");
    }
    let guard = match (asked, record.protect, desired.and_then(|desired| desired.lifecycle.protect_span)) {
        (true, _, Some(_)) => "`lifecycle.protect` in the program".to_owned(),
        (true, ..) => "it holds data, and the environment is marked `protect`".to_owned(),
        (false, ..) => format!("recorded when it was last applied (declared at {})", place_or_unknown(&record.declared_at)),
    };
    Some(diagnostic.fact("guard", guard).help(lift_help(desired.is_some())))
}

/// What to do to lift a guard.
pub fn lift_help(declared: bool) -> &'static str {
    match declared {
        true => {
            "lifting a guard is a change of its own: leave the rest as it is applied, set `lifecycle { protect = false }`, apply that, then change the rest"
        }
        false => {
            "lifting a guard is a change of its own: write `lifecycle { protect = false }` in its block, put back if it was removed, and apply that first"
        }
    }
}

fn place_or_unknown(place: &str) -> &str {
    if place.is_empty() { "a place that was not recorded" } else { place }
}
