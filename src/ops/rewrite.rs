//! `forget` and `state mv`: what state holds is changed by hand, with a reason, and no platform is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::anchors;
use super::author::author;
use super::project::Failure;
use super::settings::Settings;
use super::signing;
use super::stored::{self, Stored};
use crate::apply::Journal;
use crate::model::{Address, Code, Diagnostic, Fields, ProviderName, Record, RecordEdge, Value};
use crate::state::log::ProviderSettings;
use crate::state::{Body, RecordWrite, Revision, RunHeader, RunResult, State, View, Write};

/// What was written.
pub struct Rewritten {
    pub stack: String,
    pub environment: String,
    /// The addresses that were forgotten or moved, and where to; ordered.
    pub done: Vec<(Address, Option<Address>)>,
    pub revision: u64,
}

/// Stops managing what is recorded at an address or inside of it. The objects stay as they are.
///
/// Errors: [`Code::UnknownName`], [`Code::OutcomeUnknown`] where a call on it is still without an answer, [`Code::Locked`].
pub async fn forget(settings: &Settings, named: Option<&str>, what: &str, reason: &str) -> Result<Rewritten, Failure> {
    let mut stored = stored::open(settings, named).await?;
    let records = stored::find(&stored.state, what)?;
    let addresses: BTreeSet<Address> = records.iter().map(|it| it.address.clone()).collect();
    let owed = stored.state.view().deposed.iter().filter(|(address, _)| addresses.contains(*address));
    let owed = owed.flat_map(|(address, all)| all.iter().map(|it| (address.clone(), it.id)));
    let mut writes: Vec<RecordWrite> = owed.map(|(address, id)| RecordWrite::RemoveDeposed { address, id }).collect();
    writes.extend(addresses.iter().cloned().map(RecordWrite::Remove));
    let done: Vec<_> = addresses.iter().map(|address| (address.clone(), None)).collect();
    let revision = write(settings, &mut stored.state, "forget", "forget", addresses, writes, done.len(), reason).await?;
    Ok(Rewritten { stack: stored.stack, environment: stored.environment, done, revision })
}

/// Gives what is recorded at an address, and what lies inside of it, another one.
///
/// Errors: as [`forget`]; [`Code::Duplicate`] where something is recorded there already, [`Code::Usage`] for an address that it
/// cannot have.
pub async fn mv(settings: &Settings, named: Option<&str>, from: &str, to: &str, reason: &str) -> Result<Rewritten, Failure> {
    let mut stored = stored::open(settings, named).await?;
    let records = stored::find(&stored.state, from)?;
    let (from, to) = (super::plan::address(from), super::plan::address(to));
    let plain = |diagnostics: Vec<Diagnostic>| Failure::new(diagnostics, Default::default());
    let (from, to) = (from.map_err(plain)?, to.map_err(plain)?);
    let places = places(&stored, &records, &from, &to)?;
    let view = stored.state.view();
    let (mut writes, mut addresses) = (Vec::new(), BTreeSet::new());
    for (record, to) in &places {
        writes.push(RecordWrite::Move { from: record.address.clone(), to: to.clone() });
        addresses.extend([record.address.clone(), to.clone()]);
    }
    let now: BTreeMap<&Address, &Address> = places.iter().map(|(record, to)| (&record.address, to)).collect();
    for record in view.records.values() {
        let edges = record.edges.iter().map(|edge| RecordEdge {
            to: now.get(&edge.to).map_or_else(|| edge.to.clone(), |to| (*to).clone()),
            reason: edge.reason,
        });
        let mut edges: Vec<RecordEdge> = edges.collect();
        edges.sort();
        let moved = now.get(&record.address).copied();
        if moved.is_some() || edges != record.edges {
            let instance = record.instance.renamed(&from, &to).unwrap_or_else(|| record.instance.clone());
            let address = moved.unwrap_or(&record.address).clone();
            addresses.insert(address.clone());
            writes.push(RecordWrite::Put(Arc::new(Record { address, instance, edges, ..(**record).clone() })));
        }
    }
    let done: Vec<_> = places.iter().map(|(record, to)| (record.address.clone(), Some(to.clone()))).collect();
    let revision = write(settings, &mut stored.state, "state mv", "move", addresses, writes, done.len(), reason).await?;
    Ok(Rewritten { stack: stored.stack, environment: stored.environment, done, revision })
}

/// Where each record goes.
fn places(
    stored: &Stored,
    records: &[Arc<Record>],
    from: &Address,
    to: &Address,
) -> Result<Vec<(Arc<Record>, Address)>, Box<Diagnostic>> {
    if from == to || to.is_within(from) || from.is_within(to) {
        return Err(Box::new(Code::Usage.error(format!("`{from}` cannot become `{to}`: one is inside of the other"))));
    }
    let view = stored.state.view();
    let mut places = Vec::new();
    for record in records {
        let unfit = || Box::new(Code::Usage.error(format!("`{}` cannot become a part of `{to}`", record.address)));
        let new = record.address.renamed(from, to).ok_or_else(unfit)?;
        if let Some(other) = view.records.get(&new) {
            let diagnostic = Code::Duplicate
                .error(format!("`{}` cannot become `{new}`, which has a record already", record.address))
                .note(format!("that is the `{}` declared at {}", other.kind, other.declared_at))
                .help("`forget` it, or move it out of the way first");
            return Err(Box::new(diagnostic.about(new)));
        }
        if !new.last().starts_with(&format!("{}.", record.kind)) {
            let diagnostic =
                Code::Usage.error(format!("`{new}` is no address of a `{}`, which `{}` is", record.kind, record.address));
            return Err(Box::new(diagnostic.help("a move leaves what it is")));
        }
        places.push((record.clone(), new));
    }
    Ok(places)
}

/// Seals every secret that state holds under the current data key, by new entries. History keeps its ciphertext.
///
/// Errors: [`Code::OutcomeUnknown`] where a call is still without an answer, or something is still to be destroyed;
/// [`Code::Locked`], [`Code::NoKey`].
pub async fn rewrap(settings: &Settings, named: Option<&str>, reason: &str) -> Result<Rewritten, Failure> {
    let mut stored = stored::open(settings, named).await?;
    let view = stored.state.view();
    if let Some(address) = view.deposed.keys().next() {
        let text = format!("an object of `{address}` is still to be destroyed, after its replacement; nothing was changed");
        return Err(Box::new(Code::OutcomeUnknown.error(text).help("`stackwright apply` destroys it; then rewrap")).into());
    }
    let holds = |record: &Record| {
        let fields = record.inputs.values().chain(record.computed.values());
        fields.chain(&record.replace_on).any(Value::has_secret)
    };
    // All addresses are leased, so that nothing is sealed under the former key meanwhile.
    let all: BTreeSet<Address> =
        view.records.keys().cloned().chain(view.open.values().map(|it| it.intent.address.clone())).collect();
    let records: Vec<Arc<Record>> = view.records.values().filter(|record| holds(record)).cloned().collect();
    let done: Vec<_> = records.iter().map(|record| (record.address.clone(), None)).collect();
    let writes = records.into_iter().map(RecordWrite::Put).collect();
    let revision = write(settings, &mut stored.state, "state rewrap", "rewrap", all, writes, done.len(), reason).await?;
    // What is derived from the log held the former ciphertext.
    stored.state.rebuild().await?;
    Ok(Rewritten { stack: stored.stack, environment: stored.environment, done, revision })
}

/// Settings of provider instances that hold secrets, to be written once more.
fn sealed_settings(view: &View) -> Vec<Body> {
    let secret = view.providers.iter().filter(|(_, settings)| settings.values().any(Value::has_secret));
    let again = |(name, settings): (&ProviderName, &Arc<Fields>)| {
        Body::Provider(ProviderSettings { name: name.clone(), settings: Fields::clone(settings) })
    };
    secret.map(again).collect()
}

/// How many records an entry holds where they have nothing to do with one another.
const BATCH: usize = 512;

#[allow(clippy::too_many_arguments, reason = "one run of one entry: what it is called, what it writes and why")]
async fn write(
    settings: &Settings,
    state: &mut State,
    command: &str,
    action: &str,
    addresses: BTreeSet<Address>,
    writes: Vec<RecordWrite>,
    changes: usize,
    reason: &str,
) -> Result<u64, Box<Diagnostic>> {
    let author = author(settings);
    let engine = env!("CARGO_PKG_VERSION").to_owned();
    if let Some(open) = state.view().open.values().find(|open| addresses.contains(&open.intent.address)) {
        let text =
            format!("a call on `{}` is without an answer since run {}; nothing was changed", open.intent.address, open.run);
        return Err(Box::new(Code::OutcomeUnknown.error(text).help("`stackwright apply` looks what became of it")));
    }
    let header = RunHeader {
        command: command.to_owned(),
        who: author.who.clone(),
        host: author.host.clone(),
        pid: std::process::id(),
        commit: author.commit.clone(),
        addresses: addresses.into_iter().collect(),
        changes: changes as u32,
        engine: engine.clone(),
        ..RunHeader::default()
    };
    signing::ready(settings, state)?;
    let run = state.begin(header).await?;
    let outputs = run.view().outputs.clone();
    let journal = Journal::new(run.clone(), settings.world.clone());
    let record = |writes| Write { action: action.into(), writes, causes: BTreeMap::new(), reason: Some(reason.to_owned()) };
    match action {
        "rewrap" => {
            for writes in writes.chunks(BATCH) {
                journal.record(record(writes.to_vec())).await?;
            }
            run.append(sealed_settings(&run.view())).await?;
        }
        _ => drop(journal.record(record(writes)).await?),
    }
    let revision = Revision {
        number: 0,
        run: 0,
        time_ms: 0,
        command: command.to_owned(),
        who: author.who,
        commit: author.commit,
        plan: None,
        effects: None,
        approved_by: Vec::new(),
        counts: BTreeMap::from([(action.into(), changes as u32)]),
        result: RunResult::Done,
        inputs: Vec::new(),
        outputs,
        engine,
        providers: BTreeMap::new(),
        failed: Vec::new(),
        not_started: Vec::new(),
        reason: Some(reason.to_owned()),
        policies: Default::default(),
    };
    let revision = journal.finish(revision).await?;
    state.refresh().await?;
    anchors::remember_state(settings, state);
    Ok(revision)
}
