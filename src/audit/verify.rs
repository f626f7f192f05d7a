//! Whether the log is whole, who vouches for it, and everything derived from it equal to it.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use rayon::prelude::*;

use super::chain::{Chain, Judged, Trust, counted, entries as entries_in_words};
use crate::model::{Code, Data, Diagnostic, Digest, Value};
use crate::state::contract::{Entry, Head, Snapshot};
use crate::state::log::{carried_of, restored_of};
use crate::state::view::snapshot::fingerprint;
use crate::state::{State, View, replay_without_key};

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
    /// The revision that a failure is about, or those among which it lies. A number behind the last revision stands for what was
    /// written after it.
    pub revisions: Option<RangeInclusive<u64>>,
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

    /// The first failure of all.
    pub fn first_failure(&self) -> Option<&Check> {
        self.checks.iter().find(|check| check.finding == Finding::Failed)
    }

    pub(super) fn add(&mut self, finding: Finding, words: impl Into<String>) {
        self.checks.push(Check { finding, words: words.into(), revisions: None, diagnostic: None });
    }

    pub(super) fn fail_at(&mut self, revisions: RangeInclusive<u64>, words: impl Into<String>) {
        let words = format!("{}: {}", self.place(&revisions), words.into());
        self.checks.push(Check { finding: Finding::Failed, words, revisions: Some(revisions), diagnostic: None });
    }

    fn fail(&mut self, revisions: Option<RangeInclusive<u64>>, diagnostic: Box<Diagnostic>) {
        let place = revisions.as_ref().map_or_else(String::new, |revisions| format!("{}: ", self.place(revisions)));
        let words = format!("{place}{}", diagnostic.message);
        self.checks.push(Check { finding: Finding::Failed, words, revisions, diagnostic: Some(diagnostic) });
    }

    fn place(&self, revisions: &RangeInclusive<u64>) -> String {
        match (*revisions.start(), *revisions.end()) {
            (1, _) if self.revisions == 0 => "before the first revision".into(),
            (start, _) if start > self.revisions => format!("after rev {}", self.revisions),
            (start, end) if start == end => format!("rev {start}"),
            (start, end) if end > self.revisions => format!("rev {start} or after it"),
            (start, end) => format!("rev {start} to {end}"),
        }
    }
}

/// Checks the log of a state, which need not have been read ([`State::unread`]): every checksum, the whole hash chain, the signatures
/// and the anchors (which need no key), the fold, the snapshot and the index against it, and that no secret of it stands in it in clear.
pub async fn verify_log(state: &State, trust: &Trust) -> Verification {
    let (entries, damage) = state.entries_that_are_whole().await;
    verify_read(state, &entries, damage, trust).await
}

/// As [`verify`], of a log that was read already, up to where it is damaged.
pub async fn verify_read(state: &State, entries: &[Entry], damage: Option<Box<Diagnostic>>, trust: &Trust) -> Verification {
    let mut result = begun(entries);
    if entries.is_empty() && damage.is_none() {
        result.add(Finding::Ok, "nothing was ever applied");
        Chain::walk(entries, &mut result).anchors(&trust.anchors, &mut result);
        return result;
    }
    let chain = Chain::walk(entries, &mut result);
    // What is derived from a broken chain says nothing more.
    let is_whole = damage.is_none() && chain.entries.len() == entries.len();
    let snapshot = if is_whole { state.snapshot().await } else { None };
    // The signatures are half of the work and wait for nobody; the fold is a long way for one core.
    let (judged, folded) = rayon::join(|| chain.judged(), || is_whole.then(|| Folded::of(state, entries, snapshot)));
    if let Some(damage) = damage {
        // A state of a newer version is no damaged one.
        let at = (damage.code == Code::DamagedState).then(|| chain.revision_at(entries.len()));
        result.fail(at, damage);
    }
    told_by_entries(&chain, judged, is_whole, trust, &mut result);
    if let Some(folded) = folded {
        told_by_fold(state, &chain, folded, &mut result).await;
    }
    result
}

/// Checks a log that was carried here without its store, up to where it is damaged: the same, but for what lies beside a log and what
/// needs its key.
pub fn verify_entries(entries: &[Entry], damage: Option<Box<Diagnostic>>, trust: &Trust) -> Verification {
    let mut result = begun(entries);
    let chain = Chain::walk(entries, &mut result);
    let is_whole = damage.is_none() && chain.entries.len() == entries.len();
    let replay = || is_whole.then(|| replay_without_key(entries, |_, _, _| {}));
    let (judged, replayed) = rayon::join(|| chain.judged(), replay);
    if let Some(damage) = damage {
        let at = (damage.code == Code::DamagedExport).then(|| chain.revision_at(entries.len()));
        result.fail(at, damage);
    }
    told_by_entries(&chain, judged, is_whole, trust, &mut result);
    match replayed {
        None => {}
        Some(Err(diagnostic)) => unreadable(&chain, diagnostic, &mut result),
        Some(Ok(view)) => fold(&view, &mut result),
    }
    result
}

fn begun(entries: &[Entry]) -> Verification {
    let revisions = entries.iter().filter(|entry| entry.header.kind == "revision").count() as u64;
    Verification { revisions, ..Verification::default() }
}

fn told_by_entries(chain: &Chain<'_>, judged: Vec<Judged>, is_whole: bool, trust: &Trust, result: &mut Verification) {
    result.head = chain.head().filter(|_| is_whole);
    if is_whole {
        let words = format!(
            "{}, {}, hash chain unbroken, head {}",
            counted(chain.revisions() as usize, "revision"),
            entries_in_words(chain.entries.len()),
            result.head.map_or_else(|| "…".to_owned(), |head| head.hash.short())
        );
        result.add(Finding::Ok, words);
    }
    chain.signatures(judged, trust, result);
    // Of a log that is broken already an anchor says nothing more.
    if is_whole {
        chain.anchors(&trust.anchors, result);
    }
    chain.numbers(result);
    for entry in chain.entries {
        if let Some(words) = entry_told(entry) {
            result.add(Finding::Remark, format!("entry {}: {words}", entry.header.sequence));
        }
    }
}

/// What the entries of a whole log amount to.
struct Folded {
    view: Result<View, Box<Diagnostic>>,
    snapshot: Option<Snapshot>,
    /// Of what the entries amount to up to the snapshot.
    at_snapshot: Option<Digest>,
    /// Whether the index agrees with the entries; `None` without one.
    index: Option<bool>,
}

impl Folded {
    fn of(state: &State, entries: &[Entry], snapshot: Option<Snapshot>) -> Folded {
        let at = snapshot.as_ref().map(|snapshot| snapshot.head.sequence);
        let mut at_snapshot: Option<Digest> = None;
        let mut watch = |view: &View, before: &Entry| {
            if at.is_some_and(|at| before.header.sequence == at + 1) {
                at_snapshot = fingerprint(view).ok();
            }
        };
        let replay = || state.replay(entries, |view, entry, _| watch(view, entry));
        let (view, index) = rayon::join(replay, || state.index_agrees(entries));
        if let Ok(view) = view.as_ref()
            && at == view.head.map(|head| head.sequence)
        {
            at_snapshot = fingerprint(view).ok();
        }
        Folded { view, snapshot, at_snapshot, index }
    }
}

async fn told_by_fold(state: &State, chain: &Chain<'_>, folded: Folded, result: &mut Verification) {
    let entries = chain.entries;
    match folded.view {
        Err(diagnostic) if diagnostic.code == Code::NoKey => {
            result.add(Finding::Remark, "without the key: sealed values and what is derived from the log were not looked at");
            match replay_without_key(entries, |_, _, _| {}) {
                Err(diagnostic) => unreadable(chain, diagnostic, result),
                Ok(view) => fold(&view, result),
            }
        }
        Err(diagnostic) => unreadable(chain, diagnostic, result),
        Ok(view) => {
            fold(&view, result);
            secrets(&view, chain, result);
            let snapshot = folded.snapshot.map(|snapshot| (snapshot, folded.at_snapshot));
            for (holds, words) in state.check_derived(entries, snapshot, folded.index) {
                result.add(if holds { Finding::Ok } else { Finding::Failed }, words);
            }
            match state.remarks().await {
                Err(diagnostic) => result.fail(None, diagnostic),
                Ok(remarks) => remarks.into_iter().for_each(|remark| result.add(Finding::Remark, remark)),
            }
        }
    }
}

/// An entry that the chain vouches for and nobody can read.
fn unreadable(chain: &Chain<'_>, diagnostic: Box<Diagnostic>, result: &mut Verification) {
    let place = diagnostic.notes.iter().find_map(|(_, text)| text.strip_prefix("entry ")?.parse::<usize>().ok());
    let revisions = place.and_then(|place| place.checked_sub(1)).map(|at| chain.revision_at(at));
    result.fail(revisions, diagnostic);
}

/// What somebody did to the log as a whole, in words.
pub fn entry_told(entry: &Entry) -> Option<String> {
    if let Some(it) = restored_of(entry) {
        let lost = match it.lost {
            0 => "nothing was lost".to_owned(),
            1 => "1 entry was lost".to_owned(),
            lost => format!("{lost} entries were lost"),
        };
        return Some(format!("restored by {}, {lost}: {}", it.who, it.reason));
    }
    let it = carried_of(entry)?;
    Some(match &*entry.header.kind {
        "moved" => format!("closed by {}, moved to {}: {}", it.who, it.place, it.reason),
        _ => format!("brought here by {} from {}: {}", it.who, it.place, it.reason),
    })
}

fn fold(view: &View, result: &mut Verification) {
    result.add(Finding::Ok, format!("{}, as the log says", counted(view.records.len(), "resource")));
    for (sequence, why) in &view.void {
        result.add(Finding::Remark, format!("entry {sequence} is void: {why}"));
    }
    for open in view.open.values() {
        let words = format!("run {}: nobody knows yet what became of a call for {}", open.run, open.intent.address);
        result.add(Finding::Remark, words);
    }
}

/// Texts of at least eight bytes, since shorter ones may stand in a log by chance, in the form that they have in JSON.
fn secrets(view: &View, chain: &Chain<'_>, result: &mut Verification) {
    let mut texts: BTreeSet<String> = BTreeSet::new();
    let deposed = view.deposed.values().flatten();
    let records = view.records.values().chain(deposed);
    let values = records.flat_map(|record| record.inputs.values().chain(record.computed.values()));
    values.chain(view.outputs.values()).for_each(|value| collect_secrets(value, false, &mut texts));
    let escaped: Vec<String> = texts.iter().map(|text| regex::escape(text.trim_matches('"'))).collect();
    let any = regex::bytes::RegexBuilder::new(&escaped.join("|")).size_limit(1 << 30).build();
    let Ok(any) = any.map(|any| (!texts.is_empty()).then_some(any)) else {
        return result.add(Finding::Remark, "there are too many secrets to look for them in clear");
    };
    let in_clear = |at: &usize| any.as_ref().is_some_and(|any| any.is_match(&chain.entries[*at].body));
    let shown: Vec<usize> = (0..chain.entries.len()).into_par_iter().filter(in_clear).collect();
    for at in &shown {
        let words = format!("entry {} ({}) holds a secret in clear", at + 1, chain.entries[*at].header.kind);
        result.fail_at(chain.revision_at(*at), words);
    }
    if shown.is_empty() {
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
