//! Why a plan does not fit any more: who applied what since, and which attributes differ from what it was made from.

use std::collections::BTreeMap;

use super::workspace::store_name;
use crate::audit;
use crate::model::units::utc;
use crate::model::{Address, Diagnostic, Plan, Value};
use crate::state::State;

/// Revisions and attributes that a refusal names.
const NAMED: usize = 5;

/// The refusal with what the log knows. What cannot be found out is left out: the refusal stands without.
pub async fn explained(stale: Box<Diagnostic>, plan: &Plan, moved: &[&Address], state: &State) -> Box<Diagnostic> {
    let moved: Vec<Address> = moved.iter().map(|it| (*it).clone()).collect();
    let is_of_another = !plan.store.is_empty() && plan.store != store_name(state);
    if moved.is_empty() || is_of_another {
        return stale;
    }
    let base = plan.base.unwrap_or(0);
    let mut stale = *stale;
    if let Ok(past) = audit::history(state, &moved).await {
        for it in past.iter().filter(|it| it.revision.number > base).take(NAMED) {
            let rev = &it.revision;
            let why = rev.reason.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
            let told = format!("rev {} by {}, {}, {}{why}", rev.number, rev.who, utc(rev.time_ms), rev.command);
            stale = stale.fact("applied", told);
        }
    }
    let read = audit::diff(state, base, state.view().revision).await.map(|(changed, _)| changed).unwrap_or_default();
    let lines = moved.iter().flat_map(|address| {
        // What the plan changes it says itself; what it only reads, the revision that it was made on.
        let now = state.view().records.get(address).map(|it| &**it);
        let before = plan.changes.iter().find_map(|it| it.before.as_ref().filter(|it| it.address == *address));
        let was_recorded = plan.reads.iter().any(|(it, version)| it == address && *version != 0);
        let fields = match (before, now, was_recorded) {
            (_, Some(_), false) => return vec![format!("`{address}` is recorded now, and was not")],
            (_, None, _) => return vec![format!("`{address}` is no longer recorded")],
            (Some(before), Some(_), true) => audit::field_diffs(Some(&**before), now, &BTreeMap::new()),
            (None, Some(_), true) => read.iter().filter(|it| it.address == *address).flat_map(|it| it.fields.clone()).collect(),
        };
        let line =
            |field: audit::FieldDiff| format!("`{address}`: {} {} → {}", field.name, shown(&field.before), shown(&field.after));
        fields.into_iter().map(line).collect()
    });
    for line in lines.take(NAMED) {
        stale = stale.fact("differs", line);
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
