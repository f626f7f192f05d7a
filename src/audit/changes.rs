//! What a revision changed, and what differs between two.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Address, Code, Diagnostic, Fields, Name, Record, Value};
use crate::state::log::{Revealed, RunHeader, reveal_of};
use crate::state::{Body, OperationId, OutcomeResult, RecordWrite, Revision, State, View};

/// One revision as its apply went.
#[derive(Clone, Debug)]
pub struct RevisionDetail {
    pub revision: Arc<Revision>,
    pub run: RunHeader,
    /// By address.
    pub changes: Vec<Changed>,
    pub outputs: Vec<OutputDiff>,
    /// Secrets that it opened.
    pub reveals: Vec<Revealed>,
    /// Entries of the run that are void, and why.
    pub void: Vec<(u64, String)>,
}

/// What became of one resource.
#[derive(Clone, Debug)]
pub struct Changed {
    pub address: Address,
    pub kind: Name,
    /// `create`, `update`, `replace`, `destroy`, `move`, …
    pub action: Name,
    pub before: Option<Arc<Record>>,
    pub after: Option<Arc<Record>>,
    /// By attribute; none for a change that failed.
    pub fields: Vec<FieldDiff>,
    pub calls: Vec<CallMade>,
    /// Number of the code, and words, where the last call failed.
    pub failed: Option<(u16, String)>,
}

#[derive(Clone, Debug)]
pub struct FieldDiff {
    pub name: Name,
    pub before: Option<Value>,
    pub after: Option<Value>,
    /// Where the new value came from, in words.
    pub cause: Option<String>,
}

/// One call to a platform.
#[derive(Clone, Debug)]
pub struct CallMade {
    /// By the wall clock of the run, in milliseconds since 1970: when the outcome was written.
    pub time_ms: i64,
    pub took: Duration,
    /// Method, path, status and request id, a line each.
    pub requests: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct OutputDiff {
    pub name: Name,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// The revision `number` in full.
///
/// Errors: [`Code::Usage`] where there is none of that number; those of opening a state.
pub async fn show(state: &State, number: u64) -> Result<RevisionDetail, Box<Diagnostic>> {
    let entries = state.entries().await?;
    let closing =
        entries.iter().position(|entry| crate::state::log::revision_of(entry).is_some_and(|revision| revision.number == number));
    let closing = closing.ok_or_else(|| no_revision(state, number))?;
    let run = entries[closing].header.run;
    let mut story = Story::default();
    let mut outputs_before = Fields::new();
    let view = state.replay(&entries[..=closing], |view, entry, body| {
        if entry.header.run == run {
            story.hear(view, entry.header.time_ms, body);
        }
        if entry.header.sequence == closing as u64 + 1 {
            outputs_before = view.outputs.clone();
        }
    })?;
    let revision = view.last.clone().ok_or_else(|| no_revision(state, number))?;
    let first = entries.iter().find(|entry| entry.header.run == run && entry.header.kind == "lease");
    let header = first.and_then(crate::state::log::lease_of).map(|lease| lease.header).unwrap_or_default();
    let of_run = |sequence: &u64| entries.get(*sequence as usize - 1).is_some_and(|entry| entry.header.run == run);
    Ok(RevisionDetail {
        outputs: output_diffs(&outputs_before, &revision.outputs),
        changes: story.told(&view),
        reveals: entries[..=closing].iter().filter(|entry| entry.header.run == run).filter_map(reveal_of).collect(),
        void: view.void.iter().filter(|(sequence, _)| of_run(sequence)).cloned().collect(),
        revision,
        run: header,
    })
}

/// What differs between two revisions, the first of which may be 0 for the empty state; and the outputs.
///
/// Errors: as [`show`].
pub async fn diff(state: &State, from: u64, to: u64) -> Result<(Vec<Changed>, Vec<OutputDiff>), Box<Diagnostic>> {
    let entries = state.entries().await?;
    let mut views: BTreeMap<u64, View> = BTreeMap::from([(0, View::default())]);
    let last = state.replay(&entries, |view, _, body| {
        // The view that a revision closes is the one just before its entry, but for its outputs.
        if let Body::Revision(revision) = body
            && [from, to].contains(&revision.number)
        {
            views.insert(revision.number, View { outputs: revision.outputs.clone(), ..view.clone() });
        }
    })?;
    drop(last);
    let find = |number: u64| views.get(&number).ok_or_else(|| no_revision(state, number));
    let (from, to) = (find(from)?, find(to)?);
    let addresses: BTreeSet<&Address> = from.records.keys().chain(to.records.keys()).collect();
    let changed = addresses.into_iter().filter_map(|address| {
        let (before, after) = (from.records.get(address), to.records.get(address));
        let fields = field_diffs(before.map(|it| &**it), after.map(|it| &**it), &BTreeMap::new());
        let action = match (before, after) {
            (Some(before), Some(after)) if before.id != after.id => "replace",
            (Some(_), Some(_)) if fields.is_empty() => return None,
            (Some(_), Some(_)) => "update",
            (None, _) => "create",
            (_, None) => "destroy",
        };
        Some(Changed {
            address: address.clone(),
            kind: before.or(after)?.kind.clone(),
            action: action.into(),
            before: before.cloned(),
            after: after.cloned(),
            fields,
            calls: Vec::new(),
            failed: None,
        })
    });
    Ok((changed.collect(), output_diffs(&from.outputs, &to.outputs)))
}

fn no_revision(state: &State, number: u64) -> Box<Diagnostic> {
    let last = state.view().revision;
    let known = if last == 0 { "nothing was applied yet".into() } else { format!("the last one is rev {last}") };
    Box::new(
        Code::Usage
            .error(format!("{} has no revision {number}", state.environment()))
            .note(known)
            .help("`stackwright history` lists them"),
    )
}

/// What the entries of one run say, resource by resource.
#[derive(Default)]
struct Story {
    touched: BTreeMap<Address, Touched>,
    operations: BTreeMap<OperationId, Address>,
}

#[derive(Default)]
struct Touched {
    kind: Option<Name>,
    actions: Vec<Name>,
    before: Option<Arc<Record>>,
    causes: BTreeMap<Name, String>,
    calls: Vec<CallMade>,
    failed: Option<(u16, String)>,
    /// Whether state changed, or only an attempt was made.
    wrote: bool,
}

impl Story {
    fn hear(&mut self, view: &View, time_ms: i64, body: &Body) {
        match body {
            Body::Intent(intent) => {
                self.operations.insert(intent.operation, intent.address.clone());
                let touched = self.touch(view, &intent.address);
                touched.kind = Some(intent.kind.clone());
                touched.actions.push(intent.action.clone());
                touched.causes.extend(intent.causes.clone());
            }
            Body::Outcome(outcome) => {
                let address = self.operations.get(&outcome.operation).cloned();
                if let Some(address) = address {
                    let touched = self.touch(view, &address);
                    let requests = outcome.requests.clone();
                    touched.calls.push(CallMade { time_ms, took: outcome.took, requests });
                    touched.failed = match &outcome.result {
                        OutcomeResult::Failed { code, words } => Some((*code, words.clone())),
                        OutcomeResult::Done { .. } => None,
                    };
                }
                if let OutcomeResult::Done { writes } = &outcome.result {
                    self.writes(view, writes, None);
                }
            }
            Body::Settled(settled) => self.writes(view, &settled.writes, Some(&"settle".into())),
            Body::Write(write) => {
                self.writes(view, &write.writes, Some(&write.action));
                for address in write.writes.iter().map(written) {
                    self.touch(view, address).causes.extend(write.causes.clone());
                }
            }
            _ => {}
        }
    }

    fn writes(&mut self, view: &View, writes: &[RecordWrite], action: Option<&Name>) {
        for write in writes {
            if let RecordWrite::Move { from, .. } = write {
                self.touch(view, from).wrote = true;
            }
            let touched = self.touch(view, written(write));
            touched.wrote = true;
            touched.actions.extend(action.cloned());
            if let RecordWrite::Put(record) = write {
                touched.kind = Some(record.kind.clone());
            }
            if let RecordWrite::Move { from, .. } = write {
                touched.before = view.records.get(from).cloned();
            }
        }
    }

    fn touch(&mut self, view: &View, address: &Address) -> &mut Touched {
        self.touched
            .entry(address.clone())
            .or_insert_with(|| Touched { before: view.records.get(address).cloned(), ..Touched::default() })
    }

    fn told(self, after: &View) -> Vec<Changed> {
        let told = self.touched.into_iter().filter_map(|(address, it)| {
            // The address that a record was moved away from has nothing more to say.
            let action = it.actions.last()?.clone();
            let after = after.records.get(&address).cloned();
            let kind = it.kind.or_else(|| Some(it.before.as_ref().or(after.as_ref())?.kind.clone()))?;
            let fields = match it.wrote {
                true => field_diffs(it.before.as_deref(), after.as_deref(), &it.causes),
                false => Vec::new(),
            };
            Some(Changed { address, kind, action, fields, before: it.before, after, calls: it.calls, failed: it.failed })
        });
        told.collect()
    }
}

/// The address that a write is about.
fn written(write: &RecordWrite) -> &Address {
    match write {
        RecordWrite::Put(record) => &record.address,
        RecordWrite::Remove(address) | RecordWrite::Depose(address) | RecordWrite::RemoveDeposed { address, .. } => address,
        RecordWrite::Move { to, .. } => to,
    }
}

/// Attributes that differ, by name.
pub(crate) fn field_diffs(before: Option<&Record>, after: Option<&Record>, causes: &BTreeMap<Name, String>) -> Vec<FieldDiff> {
    let all = |record: Option<&Record>| record.map(Record::attributes).unwrap_or_default();
    let (before, after) = (all(before), all(after));
    let names: BTreeSet<&Name> = before.keys().chain(after.keys()).collect();
    let differing = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    differing
        .map(|name| FieldDiff {
            name: name.clone(),
            before: before.get(name).cloned(),
            after: after.get(name).cloned(),
            cause: causes.get(name).cloned(),
        })
        .collect()
}

fn output_diffs(before: &Fields, after: &Fields) -> Vec<OutputDiff> {
    let names: BTreeSet<&Name> = before.keys().chain(after.keys()).collect();
    let differing = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    differing
        .map(|name| OutputDiff { name: name.clone(), before: before.get(name).cloned(), after: after.get(name).cloned() })
        .collect()
}
