//! For each attribute of a resource: what it is, and which revision made it so.

use std::collections::BTreeMap;

use super::changes::field_diffs;
use crate::model::{Address, Code, Diagnostic, Name, Value};
use crate::state::log::{RunHeader, revision_of};
use crate::state::{Body, OperationId, OutcomeResult, RecordWrite, State};

#[derive(Clone, Debug)]
pub struct Blame {
    pub field: Name,
    pub value: Value,
    /// `None` where the run never closed.
    pub revision: Option<u64>,
    pub run: u64,
    /// By the run's wall clock, in milliseconds since 1970.
    pub time_ms: i64,
    pub who: String,
    pub commit: Option<String>,
    pub plan: Option<String>,
    pub approved_by: Vec<String>,
    /// Where the value came from in the source, in words; `None` for what the platform computed.
    pub place: Option<String>,
}

/// Who made each attribute what it is now; through moves and replacements.
///
/// Errors: [`Code::NotFound`] where state holds no such resource; those of opening a state.
pub async fn blame(state: &State, address: &Address) -> Result<Vec<Blame>, Box<Diagnostic>> {
    let entries = state.entries().await?;
    let mut book = Book::default();
    let view = state.replay(&entries, |view, entry, body| match body {
        Body::Lease(lease) => drop(book.runs.insert(lease.run, lease.header.clone())),
        Body::Intent(intent) => drop(book.causes.insert(intent.operation, intent.causes.clone())),
        Body::Outcome(outcome) => {
            let causes = book.causes.remove(&outcome.operation).unwrap_or_default();
            if let OutcomeResult::Done { writes } = &outcome.result {
                let line = (entry.header.run, entry.header.time_ms);
                writes.iter().for_each(|write| book.write(view, write, &causes, line));
            }
        }
        Body::Settled(settled) => {
            let causes = book.causes.get(&settled.operation).cloned().unwrap_or_default();
            let line = (entry.header.run, entry.header.time_ms);
            settled.writes.iter().for_each(|write| book.write(view, write, &causes, line));
        }
        Body::Write(write) => {
            let line = (entry.header.run, entry.header.time_ms);
            write.writes.iter().for_each(|it| book.write(view, it, &write.causes, line));
        }
        _ => {}
    })?;
    let record = view.records.get(address).ok_or_else(|| nothing_there(state, address))?;
    let revisions: BTreeMap<u64, _> = entries.iter().filter_map(revision_of).map(|revision| (revision.run, revision)).collect();
    let marks = book.marks.remove(address).unwrap_or_default();
    let blamed = record.attributes().into_iter().filter_map(|(field, value)| {
        let mark = marks.get(&field)?;
        let run = book.runs.get(&mark.run).cloned().unwrap_or_default();
        let revision = revisions.get(&mark.run);
        Some(Blame {
            field,
            value,
            revision: revision.map(|it| it.number),
            run: mark.run,
            time_ms: mark.time_ms,
            who: run.who,
            commit: run.commit,
            plan: run.plan,
            approved_by: revision.map(|it| it.approved_by.clone()).unwrap_or_default(),
            place: mark.place.clone(),
        })
    });
    Ok(blamed.collect())
}

#[derive(Default)]
struct Book {
    runs: BTreeMap<u64, RunHeader>,
    causes: BTreeMap<OperationId, BTreeMap<Name, String>>,
    /// By address and attribute: who last changed it.
    marks: BTreeMap<Address, BTreeMap<Name, Mark>>,
}

#[derive(Clone)]
struct Mark {
    run: u64,
    time_ms: i64,
    place: Option<String>,
}

impl Book {
    fn write(
        &mut self,
        view: &crate::state::View,
        write: &RecordWrite,
        causes: &BTreeMap<Name, String>,
        (run, time_ms): (u64, i64),
    ) {
        match write {
            RecordWrite::Put(record) => {
                let before = view.records.get(&record.address).map(|it| &**it);
                let marks = self.marks.entry(record.address.clone()).or_default();
                for diff in field_diffs(before, Some(record), causes) {
                    let place = diff.cause;
                    match diff.after {
                        Some(_) => drop(marks.insert(diff.name, Mark { run, time_ms, place })),
                        None => drop(marks.remove(&diff.name)),
                    }
                }
            }
            RecordWrite::Remove(address) => drop(self.marks.remove(address)),
            RecordWrite::Move { from, to } => {
                if let Some(marks) = self.marks.remove(from) {
                    self.marks.insert(to.clone(), marks);
                }
            }
            // The successor is compared with what it takes the place of.
            RecordWrite::Depose(_) | RecordWrite::RemoveDeposed { .. } => {}
        }
    }
}

fn nothing_there(state: &State, address: &Address) -> Box<Diagnostic> {
    Box::new(
        Code::NotFound
            .error(format!("{} has no resource {address}", state.environment()))
            .help("`stackwright state list` shows what it has"),
    )
}
