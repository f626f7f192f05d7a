//! Why a plan does not fit any more: who applied what since, and which attributes differ from what it was made from.

use crate::audit;
use crate::model::{Diagnostic, Plan, Value};
use crate::plan::moved_on;
use crate::state::State;

/// Revisions and attributes that a refusal names.
const NAMED: usize = 5;

/// The refusal with what the log knows. What cannot be found out is left out: the refusal stands without.
pub async fn explained(stale: Box<Diagnostic>, plan: &Plan, state: &State) -> Box<Diagnostic> {
    let moved: Vec<_> = moved_on(plan, &state.view().records).into_iter().cloned().collect();
    let (Some(base), false) = (plan.base, moved.is_empty()) else { return stale };
    let mut stale = *stale;
    if let Ok(past) = audit::history(state, &moved).await {
        for it in past.iter().filter(|it| it.revision.number > base).take(NAMED) {
            let rev = &it.revision;
            let when = jiff::Timestamp::from_millisecond(rev.time_ms).map(|it| it.strftime("%Y-%m-%d %H:%M UTC").to_string());
            let why = rev.reason.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
            let told = format!("rev {} by {}, {}, {}{why}", rev.number, rev.who, when.unwrap_or_default(), rev.command);
            stale = stale.fact("applied", told);
        }
    }
    if let Ok((changed, _)) = audit::diff(state, base, state.view().revision).await {
        let differing = changed.iter().filter(|it| moved.contains(&it.address));
        let fields = differing.flat_map(|it| it.fields.iter().map(move |field| (it, field)));
        for (it, field) in fields.take(NAMED) {
            let told = format!("`{}`: {} {} → {}", it.address, field.name, shown(&field.before), shown(&field.after));
            stale = stale.fact("differs", told);
        }
    }
    Box::new(stale)
}

fn shown(value: &Option<Value>) -> String {
    let text = match value {
        None => return "nothing".into(),
        Some(value) if value.has_secret() => return "(secret)".into(),
        Some(value) => value.to_literal(),
    };
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
