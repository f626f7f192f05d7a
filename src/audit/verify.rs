//! Whether the log is whole, and everything derived from it equal to it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::model::{Data, Diagnostic, Value};
use crate::state::contract::{Entry, Head};
use crate::state::log::revision_of;
use crate::state::{State, View};
use crate::world::World;

#[derive(Clone, Debug, Default)]
pub struct Verification {
    pub head: Option<Head>,
    pub revisions: u64,
    pub checks: Vec<Check>,
}

#[derive(Clone, Debug)]
pub struct Check {
    pub finding: Finding,
    pub words: String,
    /// What was wrong in full, where that is a diagnostic.
    pub diagnostic: Option<Box<Diagnostic>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finding {
    Ok,
    /// A fact to know; nothing is wrong with the log.
    Remark,
    Failed,
}

impl Verification {
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.finding != Finding::Failed)
    }

    fn add(&mut self, finding: Finding, words: impl Into<String>) {
        self.checks.push(Check { finding, words: words.into(), diagnostic: None });
    }

    fn fail(&mut self, diagnostic: Box<Diagnostic>) {
        let words = diagnostic.message.clone();
        self.checks.push(Check { finding: Finding::Failed, words, diagnostic: Some(diagnostic) });
    }
}

/// Checks the log of `environment` under `root`: every checksum and the whole hash chain (which needs no key), the fold, the
/// snapshot and the index against it, and that no secret of it stands in it in clear.
pub async fn verify(root: &Path, environment: &str, world: &World) -> Verification {
    verify_log(&State::unread(root, environment, world)).await
}

/// As [`verify`], for a state that is open.
pub(super) async fn verify_log(state: &State) -> Verification {
    let mut result = Verification::default();
    match state.entries().await {
        Err(diagnostic) => result.fail(diagnostic),
        Ok(entries) if entries.is_empty() => result.add(Finding::Ok, "nothing was ever applied"),
        Ok(entries) => {
            chain(&entries, &mut result);
            match state.replay(&entries, |_, _, _| {}) {
                Err(diagnostic) => result.fail(diagnostic),
                Ok(view) => {
                    fold(&view, &mut result);
                    secrets(&view, &entries, &mut result);
                    derived(state, &entries, &mut result).await;
                }
            }
        }
    }
    result
}

fn chain(entries: &[Entry], result: &mut Verification) {
    result.head = entries.last().map(Entry::head);
    result.revisions = entries.iter().filter(|entry| entry.header.kind == "revision").count() as u64;
    let head = result.head.map_or_else(String::new, |head| head.hash.to_string());
    let words = format!(
        "{} revisions, {} entries, hash chain unbroken, head {}…{}",
        result.revisions,
        entries.len(),
        head.get(..4).unwrap_or_default(),
        head.get(62..).unwrap_or_default()
    );
    result.add(Finding::Ok, words);
    let unread = entries.iter().filter(|entry| entry.header.kind == "revision" && revision_of(entry).is_none());
    for entry in unread {
        result.add(Finding::Failed, format!("entry {}: the revision cannot be read", entry.header.sequence));
    }
}

fn fold(view: &View, result: &mut Verification) {
    result.add(Finding::Ok, format!("{} resources, as the log says", view.records.len()));
    for (sequence, why) in &view.void {
        result.add(Finding::Remark, format!("entry {sequence} is void: {why}"));
    }
    for open in view.open.values() {
        let words = format!("run {}: nobody knows yet what became of a call for {}", open.run, open.intent.address);
        result.add(Finding::Remark, words);
    }
}

/// Texts of at least eight bytes, since shorter ones may stand in a log by chance, in the form that they have in JSON.
fn secrets(view: &View, entries: &[Entry], result: &mut Verification) {
    let mut texts: BTreeSet<String> = BTreeSet::new();
    let values = view.records.values().flat_map(|record| record.inputs.values().chain(record.computed.values()));
    values.chain(view.outputs.values()).for_each(|value| collect_secrets(value, false, &mut texts));
    for entry in entries {
        let body = String::from_utf8_lossy(&entry.body);
        if texts.iter().any(|text| body.contains(text.trim_matches('"'))) {
            let words = format!("entry {} ({}) holds a secret in clear", entry.header.sequence, entry.header.kind);
            result.add(Finding::Failed, words);
        }
    }
    if !result.checks.iter().any(|check| check.words.ends_with("in clear")) {
        result.add(Finding::Ok, "no secret in clear");
    }
}

fn collect_secrets(value: &Value, within_secret: bool, texts: &mut BTreeSet<String>) {
    let secret = within_secret || value.mark.secret;
    match &value.data {
        Data::Text(text) if secret && text.len() >= 8 => {
            let mut json = Vec::new();
            crate::model::canonical::write_text(&mut json, text);
            texts.insert(String::from_utf8_lossy(&json).into_owned());
        }
        Data::List(items) => items.iter().for_each(|item| collect_secrets(item, secret, texts)),
        Data::Map(fields) | Data::Variant(_, fields) => {
            fields.values().for_each(|field| collect_secrets(field, secret, texts));
        }
        _ => {}
    }
}

async fn derived(state: &State, entries: &[Entry], result: &mut Verification) {
    let view_at = |sequence: u64| {
        let upto = usize::try_from(sequence).unwrap_or(usize::MAX).min(entries.len());
        state.replay(&entries[..upto], |_, _, _| {})
    };
    match state.check_derived(entries, view_at).await {
        Err(diagnostic) => result.fail(diagnostic),
        Ok(facts) => {
            for (holds, words) in facts {
                result.add(if holds { Finding::Ok } else { Finding::Failed }, words);
            }
        }
    }
    match state.remarks().await {
        Err(diagnostic) => result.fail(diagnostic),
        Ok(remarks) => remarks.into_iter().for_each(|remark| result.add(Finding::Remark, remark)),
    }
}
