//! One run's right to write: a lease in the log, and a mark of life beside it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex as SyncMutex};

use tokio::sync::Mutex;

use super::contract::{Entry, FORMAT, Head, Header, Hold, Liveness, Sequence, StoreError, StoreId};
use super::log::wire::encode;
use super::log::{Body, Genesis, Lease, Revision, RunHeader};
use super::view::fold::overlap;
use super::view::{OpenIntent, View};
use super::{Shared, State, view, words};
use crate::model::{Address, Code, Diagnostic, Digest};

/// How many entries are always folded, rather than derived from. A larger state allows half as many as it has records.
const TAIL: u64 = 256;

/// How often an append is tried while others write.
const TRIES: usize = 64;

/// A run that holds its addresses. Cheap to clone; all clones are one run. The lease ends with [`Run::finish`], with
/// [`Run::release`], or, for whoever comes next, with the process or the last clone.
#[derive(Clone)]
pub struct Run {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    number: u64,
    epoch: Sequence,
    begun: Arc<View>,
    unsettled: Vec<Arc<OpenIntent>>,
    ledger: Mutex<Ledger>,
    hold: SyncMutex<Option<Box<dyn Hold>>>,
}

/// The view as this run has it, and how to say something that follows it.
struct Ledger {
    view: View,
    over: bool,
}

impl Run {
    /// Its number.
    pub fn number(&self) -> u64 {
        self.inner.number
    }

    /// The view as the run began. What the run appends is not in it: see [`Run::with_latest`].
    pub fn view(&self) -> Arc<View> {
        self.inner.begun.clone()
    }

    /// Asks the view as of the last append.
    pub async fn with_latest<T>(&self, ask: impl FnOnce(&View) -> T) -> T {
        ask(&self.inner.ledger.lock().await.view)
    }

    /// Calls that earlier runs left open and this run has leased: they are settled before anything else. In the order in which
    /// they were opened.
    pub fn unsettled(&self) -> Vec<Arc<OpenIntent>> {
        self.inner.unsettled.clone()
    }

    /// Appends, durable before it returns, and gives the place of each. Entries of other runs may lie between earlier ones and these.
    ///
    /// Errors: [`Code::Locked`] where the lease was lost, [`Code::StateUnavailable`], [`Code::DamagedState`]. Nothing is written then.
    pub async fn append(&self, bodies: Vec<Body>) -> Result<Vec<Sequence>, Box<Diagnostic>> {
        if bodies.is_empty() {
            return Ok(Vec::new());
        }
        let mut ledger = self.inner.ledger.lock().await;
        self.append_to(&mut ledger, bodies).await
    }

    /// Leases more addresses, such as those of instances whose keys became known during the run.
    ///
    /// Errors: [`Code::Locked`] naming the holder where another run holds one of them; nothing is leased then.
    pub async fn lease_more(&self, addresses: Vec<Address>) -> Result<(), Box<Diagnostic>> {
        let Inner { shared, number, .. } = &*self.inner;
        let mut ledger = self.inner.ledger.lock().await;
        let wanted: BTreeSet<Address> = addresses.iter().cloned().collect();
        self.append_to(&mut ledger, vec![Body::Renew { addresses }]).await.map_err(|error| {
            let holder = ledger.view.holder_of(*number, &wanted);
            match holder {
                None => error,
                Some((holder, address)) => {
                    let now_ms = shared.world.clock.now().as_millisecond();
                    words::locked(&shared.environment, holder, &address, now_ms, true)
                }
            }
        })?;
        Ok(())
    }

    /// Appends the revision and gives the addresses back; the answer is the revision's number.
    pub async fn finish(&self, revision: Revision) -> Result<u64, Box<Diagnostic>> {
        let mut ledger = self.inner.ledger.lock().await;
        self.append_to(&mut ledger, vec![Body::Revision(Arc::new(revision))]).await?;
        ledger.over = true;
        self.let_go();
        self.derive(&ledger.view).await;
        Ok(ledger.view.revision)
    }

    /// Gives the addresses back without a revision: nothing was changed.
    pub async fn release(&self) -> Result<(), Box<Diagnostic>> {
        let mut ledger = self.inner.ledger.lock().await;
        self.append_to(&mut ledger, vec![Body::Release]).await?;
        ledger.over = true;
        self.let_go();
        Ok(())
    }

    fn let_go(&self) {
        drop(self.inner.hold.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take());
    }

    async fn append_to(&self, ledger: &mut Ledger, bodies: Vec<Body>) -> Result<Vec<Sequence>, Box<Diagnostic>> {
        let Inner { shared, number, epoch, .. } = &*self.inner;
        for _ in 0..TRIES {
            let holds = ledger.view.active.get(number).is_some_and(|active| active.epoch == *epoch);
            if ledger.over || !holds {
                return Err(words::lost(&shared.environment, *number));
            }
            let time_ms = shared.world.clock.now().as_millisecond();
            let mut bodies: Vec<Body> = bodies.iter().map(|body| numbered(body, &ledger.view, *number, time_ms)).collect();
            let asked = bodies.len();
            shared.agree(&ledger.view, &mut bodies);
            if let Some(why) = bodies.iter().find_map(|body| ledger.view.refuses(*number, body)) {
                return Err(words::store(&StoreError::Misuse(why)));
            }
            let writer = Writer { run: *number, epoch: *epoch, time_ms };
            let mut entries = writer.entries(shared, &ledger.view, &bodies)?;
            if let Some((signature, entry)) = writer.signed(shared, &ledger.view, entries.last())? {
                bodies.push(signature);
                entries.push(entry);
            }
            match shared.store.append(ledger.view.head, entries.clone()).await {
                Ok(_) => {
                    for (entry, body) in entries.iter().zip(bodies) {
                        ledger.view.fold(&entry.header, entry.head(), body);
                    }
                    return Ok(entries.iter().take(asked).map(|entry| entry.header.sequence).collect());
                }
                Err(StoreError::Moved { .. }) => {
                    let head = ledger.view.head.expect("a run has begun with an entry");
                    let news = shared.read_after(head).await?;
                    let before = std::mem::take(&mut ledger.view);
                    ledger.view = shared.fold(before, &news)?;
                }
                Err(error) => return Err(words::store(&error)),
            }
        }
        Err(words::store(&StoreError::Moved { head: None }))
    }

    /// Keeps a snapshot and brings the index up, where the log has become long since the last time: so both cost a part of what
    /// was applied, and a small state has neither. Both can be made again, so that failing is no error.
    async fn derive(&self, view: &View) {
        let shared = &self.inner.shared;
        let sequence = view.head.map_or(0, |head| head.sequence);
        let tail = sequence.saturating_sub(shared.snapshot_at.load(Ordering::Relaxed));
        if tail <= TAIL.max(view.records.len() as u64 / 2) {
            return;
        }
        let _ = shared.keep_snapshot(view).await;
        if let Some(dir) = shared.store.derived()
            && let Ok(news) = shared.store.read(view::index::next(&dir)).await
        {
            let _ = view::index::extend(&dir, &news);
        }
    }
}

/// The body as it will stand in the log: a revision gets its number, its run and its time.
fn numbered(body: &Body, view: &View, run: u64, time_ms: i64) -> Body {
    match body {
        Body::Revision(revision) => {
            Body::Revision(Arc::new(Revision { number: view.revision + 1, run, time_ms, ..Revision::clone(revision) }))
        }
        other => other.clone(),
    }
}

/// Who writes entries.
struct Writer {
    run: u64,
    epoch: Sequence,
    time_ms: i64,
}

impl Writer {
    /// Entries that follow the view.
    fn entries(&self, shared: &Shared, view: &View, bodies: &[Body]) -> Result<Vec<Entry>, Box<Diagnostic>> {
        let genesis = bodies.iter().find_map(|body| match body {
            Body::Genesis(genesis) => Some(genesis.store),
            _ => None,
        });
        let store = view.store_id().or(genesis).expect("a log begins with its genesis");
        let mut head = view.head.unwrap_or(Head { sequence: 0, hash: Head::NONE });
        bodies.iter().map(|body| self.entry(shared, store, view, &mut head, body)).collect()
    }

    /// The signature over a revision, where this process signs.
    fn signed(&self, shared: &Shared, view: &View, last: Option<&Entry>) -> Result<Option<(Body, Entry)>, Box<Diagnostic>> {
        let Some((key, entry)) = shared.signing.get().zip(last.filter(|last| last.header.kind == "revision")) else {
            return Ok(None);
        };
        let body = Body::Signature(key.sign_head(entry));
        let signature = self.entry(shared, entry.header.store, view, &mut entry.head(), &body)?;
        Ok(Some((body, signature)))
    }

    fn entry(
        &self,
        shared: &Shared,
        store: StoreId,
        view: &View,
        head: &mut Head,
        body: &Body,
    ) -> Result<Entry, Box<Diagnostic>> {
        let bytes = encode(body, view, &shared.vault(store)).map_err(|error| {
            let wanted = view.genesis.as_ref().map(|genesis| &*genesis.key);
            shared.with_key_facts(wanted, |facts| words::unwritable(&error, facts))
        })?;
        let header = Header {
            format: FORMAT,
            store,
            sequence: head.sequence + 1,
            epoch: self.epoch,
            run: self.run,
            time_ms: self.time_ms,
            kind: body.kind().to_owned(),
            previous: head.hash,
            body: Digest::of(&bytes),
        };
        let entry = Entry { header, body: bytes.into() };
        *head = entry.head();
        Ok(entry)
    }
}

pub(super) async fn begin(state: &mut State, header: RunHeader) -> Result<Run, Box<Diagnostic>> {
    for _ in 0..TRIES {
        state.refresh().await?;
        state.shared.refuse_unsigned(&state.view)?;
        if let Some(run) = try_begin(state, &header).await? {
            return Ok(run);
        }
    }
    Err(words::store(&StoreError::Moved { head: None }))
}

/// `None` where somebody else wrote meanwhile.
async fn try_begin(state: &mut State, header: &RunHeader) -> Result<Option<Run>, Box<Diagnostic>> {
    let shared = state.shared.clone();
    let view = &*state.view;
    let now_ms = shared.world.clock.now().as_millisecond();
    let mut wanted: BTreeSet<Address> = header.addresses.iter().cloned().collect();
    let dead = dead_runs(&shared, view, &wanted, now_ms).await?;
    let unsettled = unsettled(view, &dead);
    wanted.extend(unsettled.iter().map(|open| open.intent.address.clone()));

    let number = view.run + 1;
    let mut bodies = Vec::new();
    if view.genesis.is_none() {
        bodies.push(Body::Genesis(genesis(&shared, header)?));
    }
    let takeover = |run: &u64| Body::Takeover { run: *run, reason: "its process is gone".into() };
    bodies.extend(dead.iter().map(takeover));
    let hold: String = shared.world.random_id().iter().map(|byte| format!("{byte:02x}")).collect();
    let header = RunHeader { addresses: wanted.into_iter().collect(), ..header.clone() };
    bodies.push(Body::Lease(Lease { run: number, header, hold: hold.clone() }));

    let writer = Writer { run: number, epoch: 0, time_ms: now_ms };
    let entries = writer.entries(&shared, view, &bodies)?;
    let held = shared.store.hold(&hold).await.map_err(|error| words::store(&error))?;
    match shared.store.append(view.head, entries.clone()).await {
        Err(StoreError::Moved { .. }) => return Ok(None),
        Err(error) => return Err(words::store(&error)),
        Ok(_) => {}
    }
    let mut view = std::mem::take(&mut state.view);
    let latest = Arc::make_mut(&mut view);
    for (entry, body) in entries.iter().zip(bodies) {
        latest.fold(&entry.header, entry.head(), body);
    }
    state.view = view.clone();
    let epoch = entries.last().expect("a lease was appended").header.sequence;
    let ledger = Mutex::new(Ledger { view: View::clone(&view), over: false });
    let inner = Inner { shared, number, epoch, begun: view, unsettled, ledger, hold: SyncMutex::new(Some(held)) };
    Ok(Some(Run { inner: Arc::new(inner) }))
}

/// Runs that hold addresses and are gone. A living one that holds one of `wanted` is in the way.
async fn dead_runs(
    shared: &Shared,
    view: &View,
    wanted: &BTreeSet<Address>,
    now_ms: i64,
) -> Result<BTreeSet<u64>, Box<Diagnostic>> {
    let mut dead = BTreeSet::new();
    for (number, active) in &view.active {
        let liveness = shared.store.liveness(&active.lease.hold).await.map_err(|error| words::store(&error))?;
        match overlap(&active.addresses, wanted) {
            _ if liveness == Liveness::Dead => drop(dead.insert(*number)),
            None => {}
            Some(address) => {
                return Err(words::locked(&shared.environment, active, address, now_ms, liveness == Liveness::Alive));
            }
        }
    }
    Ok(dead)
}

/// Open intents that no living run holds, in the order in which they were opened.
fn unsettled(view: &View, dead: &BTreeSet<u64>) -> Vec<Arc<OpenIntent>> {
    let living: Vec<_> = view.active.iter().filter(|(number, _)| !dead.contains(number)).collect();
    let is_held = |address: &Address| living.iter().any(|(_, active)| active.covers(address));
    let in_order = view.open_at.values().filter_map(|operation| view.open.get(operation));
    in_order.filter(|open| !is_held(&open.intent.address)).cloned().collect()
}

fn genesis(shared: &Shared, header: &RunHeader) -> Result<Genesis, Box<Diagnostic>> {
    let keys = shared.ring.get_or_make().map_err(|error| words::store(&error))?;
    Ok(Genesis {
        store: StoreId(shared.world.random_id()),
        environment: shared.environment.clone(),
        engine: header.engine.clone(),
        key: keys.id(),
    })
}

pub(super) async fn release(state: &mut State, run: u64, reason: &str) -> Result<(), Box<Diagnostic>> {
    for _ in 0..TRIES {
        state.refresh().await?;
        let shared = state.shared.clone();
        if !state.view.active.contains_key(&run) {
            let holders: Vec<String> = state.view.active.keys().map(u64::to_string).collect();
            let held =
                if holders.is_empty() { "no run holds anything".into() } else { format!("held by run {}", holders.join(", ")) };
            return Err(Box::new(Code::Usage.error(format!("run {run} holds nothing in {}", shared.environment)).note(held)));
        }
        let time_ms = shared.world.clock.now().as_millisecond();
        let bodies = [Body::Takeover { run, reason: reason.to_owned() }];
        let writer = Writer { run: 0, epoch: 0, time_ms };
        let entries = writer.entries(&shared, &state.view, &bodies)?;
        match shared.store.append(state.view.head, entries).await {
            Ok(_) => return state.refresh().await,
            Err(StoreError::Moved { .. }) => {}
            Err(error) => return Err(words::store(&error)),
        }
    }
    Err(words::store(&StoreError::Moved { head: None }))
}
