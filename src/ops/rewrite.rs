//! `forget` and `state mv`: what state holds is changed by hand, with a reason, and no platform is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::anchors;
use super::author::{Author, author};
use super::project::Failure;
use super::settings::Settings;
use super::signing;
use super::stored::{self, Stored};
use super::wait::{LockWait, Wait};
use crate::apply::Journal;
use crate::model::{Address, Code, Diagnostic, Fields, ProviderName, Record, RecordEdge, Value};
use crate::state::log::ProviderSettings;
use crate::state::{Begun, Body, RecordWrite, Revision, Run, RunHeader, RunResult, State, View, Write};

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
pub async fn forget(
    settings: &Settings,
    named: Option<&str>,
    what: &str,
    reason: &str,
    wait: &LockWait,
) -> Result<Option<Rewritten>, Failure> {
    rewrite(settings, named, reason, wait, |state| forgotten(state, what)).await
}

fn forgotten(state: &State, what: &str) -> Result<Rewriting, Failure> {
    let records = stored::find(state, what)?;
    let addresses: BTreeSet<Address> = records.iter().map(|it| it.address.clone()).collect();
    let owed = state.view().deposed.iter().filter(|(address, _)| addresses.contains(*address));
    let owed = owed.flat_map(|(address, all)| all.iter().map(|it| (address.clone(), it.id)));
    let mut writes: Vec<RecordWrite> = owed.map(|(address, id)| RecordWrite::RemoveDeposed { address, id }).collect();
    writes.extend(addresses.iter().cloned().map(RecordWrite::Remove));
    let done: Vec<_> = addresses.iter().map(|address| (address.clone(), None)).collect();
    Ok(Rewriting { command: "forget", action: "forget", addresses, writes, done })
}

/// Gives what is recorded at an address, and what lies inside of it, another one.
///
/// Errors: as [`forget`]; [`Code::Duplicate`] where something is recorded there already, [`Code::Usage`] for an address that it
/// cannot have.
pub async fn mv(
    settings: &Settings,
    named: Option<&str>,
    from: &str,
    to: &str,
    reason: &str,
    wait: &LockWait,
) -> Result<Option<Rewritten>, Failure> {
    let addresses = (super::plan::address(from), super::plan::address(to));
    let plain = |diagnostics: Vec<Diagnostic>| Failure::new(diagnostics, Default::default());
    let moved = |state: &State| {
        let records = stored::find(state, from)?;
        let (from, to) = (addresses.0.clone().map_err(plain)?, addresses.1.clone().map_err(plain)?);
        Ok(moved(state.view(), &places(state.view(), &records, &from, &to)?, &from, &to))
    };
    rewrite(settings, named, reason, wait, moved).await
}

fn moved(view: &View, places: &[(Arc<Record>, Address)], from: &Address, to: &Address) -> Rewriting {
    let (mut writes, mut addresses) = (Vec::new(), BTreeSet::new());
    for (record, to) in places {
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
            let instance = record.instance.renamed(from, to).unwrap_or_else(|| record.instance.clone());
            let address = moved.unwrap_or(&record.address).clone();
            addresses.insert(address.clone());
            writes.push(RecordWrite::Put(Arc::new(Record { address, instance, edges, ..(**record).clone() })));
        }
    }
    let done: Vec<_> = places.iter().map(|(record, to)| (record.address.clone(), Some(to.clone()))).collect();
    Rewriting { command: "state mv", action: "move", addresses, writes, done }
}

/// Where each record goes.
fn places(
    view: &View,
    records: &[Arc<Record>],
    from: &Address,
    to: &Address,
) -> Result<Vec<(Arc<Record>, Address)>, Box<Diagnostic>> {
    if from == to || to.is_within(from) || from.is_within(to) {
        return Err(Box::new(Code::Usage.error(format!("`{from}` cannot become `{to}`: one is inside of the other"))));
    }
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
pub async fn rewrap(
    settings: &Settings,
    named: Option<&str>,
    reason: &str,
    wait: &LockWait,
) -> Result<Option<Rewritten>, Failure> {
    rewrite(settings, named, reason, wait, |state| rewrapped(state.view())).await
}

fn rewrapped(view: &View) -> Result<Rewriting, Failure> {
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
    Ok(Rewriting { command: "state rewrap", action: REWRAP, addresses: all, writes, done })
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

/// The action that has to do with every record by itself.
const REWRAP: &str = "rewrap";

/// What is to be written, as it follows from a view.
struct Rewriting {
    command: &'static str,
    action: &'static str,
    /// All that the run has to hold.
    addresses: BTreeSet<Address>,
    writes: Vec<RecordWrite>,
    done: Vec<(Address, Option<Address>)>,
}

/// Waits until nobody else holds the addresses, as long as was allowed, and writes what follows from the state as it is then; `None`
/// where whoever waits wants to stop.
async fn rewrite(
    settings: &Settings,
    named: Option<&str>,
    reason: &str,
    wait: &LockWait,
    compose: impl Fn(&State) -> Result<Rewriting, Failure>,
) -> Result<Option<Rewritten>, Failure> {
    let Stored { stack, environment, mut state, .. } = stored::open(settings, named).await?;
    let fitting = |state: &State| {
        let rewriting = compose(state)?;
        refuse_open_calls(state.view(), &rewriting)?;
        Ok::<_, Failure>(rewriting)
    };
    let author = author(settings);
    let mut waiting = Wait::new(&settings.world.clock, wait.limit);
    loop {
        let wanted = fitting(&state)?;
        signing::ready(settings, &state)?;
        match state.try_begin(&header(&author, &wanted)).await? {
            // As it is now that nobody else may change it.
            Begun::Run(run) => match fitting(&state) {
                Ok(rewriting) if rewriting.addresses == wanted.addresses => {
                    let done = rewriting.done.clone();
                    let revision = write(settings, &mut state, run, rewriting, author, reason).await?;
                    return Ok(Some(Rewritten { stack, environment, done, revision }));
                }
                other => {
                    run.release().await?;
                    other?;
                }
            },
            Begun::Held(held) if !waiting.allows(&held) => return Err(held.refusal(&environment).into()),
            Begun::Held(held) => {
                if !waiting.on(&held, &wait.waiting).await {
                    return Ok(None);
                }
            }
        }
        state.refresh().await?;
    }
}

/// Errors: [`Code::OutcomeUnknown`].
fn refuse_open_calls(view: &View, rewriting: &Rewriting) -> Result<(), Box<Diagnostic>> {
    let Some(open) = view.open.values().find(|open| rewriting.addresses.contains(&open.intent.address)) else { return Ok(()) };
    // Its run may live: then it is waited for like any other.
    if view.active.contains_key(&open.run) {
        return Ok(());
    }
    let text = format!("a call on `{}` is without an answer since run {}; nothing was changed", open.intent.address, open.run);
    Err(Box::new(Code::OutcomeUnknown.error(text).help("`stackwright apply` looks what became of it")))
}

fn header(author: &Author, rewriting: &Rewriting) -> RunHeader {
    RunHeader {
        command: rewriting.command.to_owned(),
        who: author.who.clone(),
        host: author.host.clone(),
        pid: std::process::id(),
        commit: author.commit.clone(),
        addresses: rewriting.addresses.iter().cloned().collect(),
        changes: rewriting.done.len() as u32,
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        ..RunHeader::default()
    }
}

async fn write(
    settings: &Settings,
    state: &mut State,
    run: Run,
    it: Rewriting,
    author: Author,
    reason: &str,
) -> Result<u64, Box<Diagnostic>> {
    let outputs = run.view().outputs.clone();
    let journal = Journal::new(run.clone(), settings.world.clone());
    let record = |writes| Write { action: it.action.into(), writes, causes: BTreeMap::new(), reason: Some(reason.to_owned()) };
    match it.action {
        REWRAP => {
            for writes in it.writes.chunks(BATCH) {
                journal.record(record(writes.to_vec())).await?;
            }
            run.append(sealed_settings(&run.view())).await?;
        }
        _ => drop(journal.record(record(it.writes.clone())).await?),
    }
    let revision = Revision {
        number: 0,
        run: 0,
        time_ms: 0,
        command: it.command.to_owned(),
        who: author.who,
        commit: author.commit,
        plan: None,
        effects: None,
        approved_by: Vec::new(),
        counts: BTreeMap::from([(it.action.into(), it.done.len() as u32)]),
        result: RunResult::Done,
        inputs: Vec::new(),
        outputs,
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        providers: BTreeMap::new(),
        failed: Vec::new(),
        not_started: Vec::new(),
        reason: Some(reason.to_owned()),
        policies: Default::default(),
    };
    let revision = journal.finish(revision).await?;
    state.refresh().await?;
    anchors::remember_state(settings, state);
    if it.action == REWRAP {
        // What is derived from the log held the former ciphertext.
        state.rebuild().await?;
    }
    Ok(revision)
}
