//! What state holds and the program does not declare.

use std::sync::Arc;
use std::time::Duration;

use super::Planner;
use crate::model::schema::{Recovery, ReplaceOrder};
use crate::model::{Action, Address, Change, Code, Diagnostic, Kind, Reason, Record, SeenResource};
use crate::plan::guard::{Loss, refuse_guarded};

impl Planner<'_> {
    /// What state holds and the program does not declare, and what earlier replacements still owe.
    pub(super) fn leave_or_destroy(&mut self) {
        let records =
            self.known.records.values().filter(|record| self.standings.place(self.placed.now(&record.address)).is_none());
        // Which of a set stay is known once its keys are.
        let waits =
            |record: &Record| self.desired.deferred.iter().any(|set| covers(&set.address, self.placed.now(&record.address)));
        let records = records.filter(|record| !waits(record));
        let owed = self.known.deposed.values().flatten();
        for record in records.chain(owed).collect::<Vec<_>>() {
            let forgotten = self.desired.forget.iter().find(|(address, _)| covers(address, &record.address));
            let known = self.kind_of(record).or_else(|| forgotten.map(|_| (Arc::new(nameless_kind(record)), 0)));
            let Some((kind, schema_version)) = known else {
                self.errors.push(unknown_kind(record));
                continue;
            };
            let reason = match self.options.destroy {
                true => Reason::Asked,
                false => Reason::Removed { was: record.declared_at.clone() },
            };
            let gone = !record.deposed && matches!(self.known.seen.resources.get(&record.address), Some(SeenResource::Gone));
            let (action, reasons) = match forgotten {
                Some((_, span)) => (Action::Forget, vec![Reason::Forgotten { span: *span }]),
                // An act was done; nothing of it stays.
                None if kind.act || kind.data => (Action::Forget, vec![reason]),
                None => {
                    if !gone && !record.deposed {
                        self.errors.extend(refuse_guarded(&record.address, record, None, Loss::Destroyed, None));
                    }
                    let mut reasons = vec![reason];
                    reasons.extend(gone.then_some(Reason::Gone));
                    (Action::Destroy { loses_data: kind.holds_data && !gone }, reasons)
                }
            };
            self.removed.push(Change {
                address: record.address.clone(),
                kind,
                provider: record.provider.clone(),
                instance: record.instance.clone(),
                action,
                schema_version,
                declared_at: String::new(),
                before: Some(record.clone()),
                after: None,
                drift: Vec::new(),
                fields: Vec::new(),
                reasons,
                maybe_replace: false,
            });
        }
    }

    fn kind_of(&self, record: &Record) -> Option<(Arc<Kind>, u32)> {
        let kind = self.known.schemas.kind(&record.kind)?;
        Some((kind.clone(), self.schema_version(kind)))
    }

    pub(super) fn schema_version(&self, kind: &Kind) -> u32 {
        self.known.schemas.providers.get(kind.provider()).map_or(0, |schema| schema.version)
    }
}

/// Whether a name covers an address: itself, what lies inside, and, without a key, all instances of its set.
pub(super) fn covers(name: &Address, address: &Address) -> bool {
    address.is_within(name) || address.as_str().strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('['))
}

fn unknown_kind(record: &Record) -> Diagnostic {
    let provider = record.kind.split('.').next().unwrap_or_default();
    Code::UnknownKind
        .error(format!("`{}` is recorded with the kind `{}`, which this program does not know", record.address, record.kind))
        .note(format!("it was declared at {}", record.declared_at))
        .help(format!("use a version that knows the provider `{provider}`, or `forget {{ address = \"{}\" }}`", record.address))
        .about(record.address.clone())
}

/// What is needed of a kind that nobody knows any more, to forget a resource of it.
pub(in crate::plan) fn nameless_kind(record: &Record) -> Kind {
    Kind {
        name: record.kind.clone(),
        doc: "a kind that this version does not know",
        attributes: Vec::new(),
        data: false,
        act: false,
        stored: false,
        holds_data: false,
        identity: Vec::new(),
        id: "id".into(),
        list_by: None,
        recovery: Recovery::Put,
        updatable: false,
        replace: ReplaceOrder::DestroyFirst,
        timeout: Duration::ZERO,
    }
}
