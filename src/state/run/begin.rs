//! How a run begins: leases of the dead end, calls that they left open become its own, and its lease is appended.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex as SyncMutex};

use tokio::sync::Mutex;

use super::heart::Heart;
use super::{Inner, Ledger, Race, Run, Writer};
use crate::model::{Address, Code, Diagnostic};
use crate::state::contract::{Liveness, StoreError, StoreId};
use crate::state::holder::{Held, Life};
use crate::state::log::{Body, Genesis, Lease, RunHeader, Takeover};
use crate::state::view::fold::overlap;
use crate::state::view::{OpenIntent, View};
use crate::state::watch::LEASE;
use crate::state::{Shared, State, carry, words};

/// What became of a try to begin.
pub enum Begun {
    Run(Run),
    /// A run that is not known to be gone holds one of the addresses. Nothing was written.
    Held(Box<Held>),
}

pub(in crate::state) async fn begin(state: &mut State, header: &RunHeader) -> Result<Begun, Box<Diagnostic>> {
    let world = state.shared.world.clone();
    let mut race = Race::new(&world);
    loop {
        state.refresh().await?;
        state.shared.refuse_unsigned(&state.view)?;
        if let Some(begun) = try_begin(state, header).await? {
            return Ok(begun);
        }
        race.lost().await?;
    }
}

/// `None` where somebody else wrote meanwhile.
async fn try_begin(state: &mut State, header: &RunHeader) -> Result<Option<Begun>, Box<Diagnostic>> {
    let shared = state.shared.clone();
    let imported = carry::owed(&shared, &state.view);
    if let Some(moved) = state.view.moved.as_ref().filter(|_| imported.is_none()) {
        return Err(words::moved(&shared.environment, moved));
    }
    let mut wanted: BTreeSet<Address> = header.addresses.iter().cloned().collect();
    let over = match over(state, &wanted).await? {
        Others::InTheWay(held) => return Ok(Some(Begun::Held(held))),
        Others::Over(over) => over,
    };
    let view = &*state.view;
    let left_open = left_open(view, &over);
    wanted.extend(left_open.iter().map(|open| open.intent.address.clone()));

    let number = view.run + 1;
    let mut bodies = Vec::new();
    if view.genesis.is_none() {
        bodies.extend(genesis(&shared, header)?);
    }
    let is_imported = imported.is_some();
    bodies.extend(imported);
    let takeover = |it: &Over| Body::Takeover(Takeover { who: Some(header.who.clone()), ..it.takeover() });
    bodies.extend(over.iter().map(takeover));
    let hold: String = shared.world.random_id().iter().map(|byte| format!("{byte:02x}")).collect();
    let header = RunHeader { addresses: wanted.into_iter().collect(), ..header.clone() };
    bodies.push(Body::Lease(Lease { run: number, header, hold: hold.clone() }));

    let key = shared.ring.current().ok().flatten().map(|keys| keys.id());
    let writer = Writer { run: number, epoch: 0, time_ms: shared.world.clock.now().as_millisecond(), key };
    let entries = writer.entries(&shared, view, &bodies)?;
    let held = shared.store.hold(&hold).await.map_err(|error| words::store(&error))?;
    let expires = shared.store.liveness(&hold).await.map_err(|error| words::store(&error))? == Liveness::Unknown;
    let sent = shared.world.clock.elapsed();
    match shared.store.append(view.head, entries.clone()).await {
        Err(StoreError::Moved { .. }) => return Ok(None),
        Err(error) => return Err(words::store(&error)),
        Ok(_) if is_imported => carry::paid(&shared),
        Ok(_) => {}
    }
    let latest = Arc::make_mut(&mut state.view);
    let begins = latest.genesis.is_none();
    for (entry, body) in entries.iter().zip(bodies) {
        latest.fold(&entry.header, entry.head(), body);
    }
    if begins {
        shared.ring.learn(entries[0].header.store, latest.head.map_or(0, |head| head.sequence), &latest.keys);
        shared.ring.has_begun();
    }
    state.watch.look(&state.view, shared.world.clock.elapsed());
    let view = state.view.clone();
    shared.forget_outcomes(&view);
    let inner = Arc::new(Inner {
        number,
        epoch: entries.last().expect("a lease was appended").header.sequence,
        // As they are now: how their runs ended stands in the entries above.
        unsettled: left_open.iter().filter_map(|open| view.open.get(&open.intent.operation)).cloned().collect(),
        watch: state.watch.clone(),
        ledger: Mutex::new(Ledger { view: View::clone(&view), over: false, renewed: sent, taken: None }),
        hold: SyncMutex::new(Some(held)),
        begun: view,
        expires,
        key: shared.ring.current().ok().flatten().map(|keys| keys.id()),
        shared,
    });
    let heart = Arc::new(Heart::of(&inner));
    Ok(Some(Begun::Run(Run { inner, heart })))
}

/// A run whose lease ends here.
struct Over {
    run: u64,
    life: Life,
}

impl Over {
    fn takeover(&self) -> Takeover {
        match self.life {
            Life::Gone => Takeover { run: self.run, gone: true, reason: "its process is gone".into(), who: None },
            Life::Silent { .. } | Life::Alive { .. } => {
                let reason = format!("no sign of life for {} s", LEASE.as_secs());
                Takeover { run: self.run, gone: false, reason, who: None }
            }
        }
    }
}

enum Others {
    /// Runs that hold addresses, and whose leases are over.
    Over(Vec<Over>),
    /// One that holds an address that is wanted, and may live.
    InTheWay(Box<Held>),
}

async fn over(state: &State, wanted: &BTreeSet<Address>) -> Result<Others, Box<Diagnostic>> {
    let mut all = Vec::new();
    for (run, active) in &state.view.active {
        let holder = state.shared.holder(&state.watch, &state.view, active).await?;
        let life = holder.life;
        match overlap(&active.addresses, wanted).cloned() {
            _ if life.is_over() => all.push(Over { run: *run, life }),
            None => {}
            Some(address) => return Ok(Others::InTheWay(Box::new(Held { holder, address }))),
        }
    }
    Ok(Others::Over(all))
}

/// Open calls that no run holds any more, in the order in which they were written down.
fn left_open(view: &View, over: &[Over]) -> Vec<Arc<OpenIntent>> {
    let is_over = |number: &u64| over.iter().any(|it| it.run == *number);
    let living: Vec<_> = view.active.iter().filter(|(number, _)| !is_over(number)).collect();
    let is_held = |address: &Address| {
        let address = BTreeSet::from([address.clone()]);
        living.iter().any(|(_, active)| overlap(&active.addresses, &address).is_some())
    };
    let in_order = view.open_at.values().filter_map(|operation| view.open.get(operation));
    in_order.filter(|open| !is_held(&open.intent.address)).cloned().collect()
}

/// How a store begins: with its key, and whom that is given to.
fn genesis(shared: &Shared, header: &RunHeader) -> Result<Vec<Body>, Box<Diagnostic>> {
    let keys = shared.ring.current_or_make().map_err(|error| words::key(&error))?;
    let store = StoreId(shared.world.random_id());
    let genesis =
        Genesis { store, environment: shared.environment.clone(), engine: header.engine.clone(), key: keys.id().to_string() };
    let given = shared.ring.beginning(store, &keys, &header.who);
    Ok(std::iter::once(Body::Genesis(genesis)).chain(given.map(|change| Body::Key(Box::new(change)))).collect())
}

pub(in crate::state) async fn release(state: &mut State, run: u64, who: &str, reason: &str) -> Result<(), Box<Diagnostic>> {
    let world = state.shared.world.clone();
    let mut race = Race::new(&world);
    loop {
        state.refresh().await?;
        let shared = state.shared.clone();
        let Some(active) = state.view.active.get(&run) else {
            let holders: Vec<String> = state.view.active.keys().map(u64::to_string).collect();
            let held =
                if holders.is_empty() { "no run holds anything".into() } else { format!("held by run {}", holders.join(", ")) };
            return Err(Box::new(Code::Usage.error(format!("run {run} holds nothing in {}", shared.environment)).note(held)));
        };
        let life = shared.holder(&state.watch, &state.view, active).await?.life;
        let time_ms = shared.world.clock.now().as_millisecond();
        let (who, reason) = (Some(who.to_owned()), reason.to_owned());
        let bodies = [Body::Takeover(Takeover { run, gone: life == Life::Gone, reason, who })];
        let writer = Writer { run: 0, epoch: 0, time_ms, key: None };
        let entries = writer.entries(&shared, &state.view, &bodies)?;
        match shared.store.append(state.view.head, entries).await {
            Ok(_) => return state.refresh().await,
            Err(StoreError::Moved { .. }) => race.lost().await?,
            Err(error) => return Err(words::store(&error)),
        }
    }
}
