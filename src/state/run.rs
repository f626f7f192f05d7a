//! One run's right to write: a lease in the log, and a mark of life beside it.

mod begin;
mod heart;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex as SyncMutex};
use std::time::Duration;

use tokio::sync::Mutex;

pub use begin::Begun;
pub(super) use begin::{begin, release};

use self::heart::Heart;
use super::contract::{Entry, FORMAT, Head, Header, Hold, Sequence, StoreError, StoreId};
use super::crypt::vault::Vault;
use super::log::key::{KeyChange, KeyId};
use super::log::wire::{decode, encode};
use super::log::{Body, Outcome, Revision};
use super::view::keys::{KeyBook, Since};
use super::view::{OpenIntent, View};
use super::watch::{HEARTBEAT, LEASE, Watch};
use super::{Held, Shared, view, words};
use crate::model::wire::{Reading, Wire};
use crate::model::{Address, Diagnostic, Digest, Name};
use crate::world::World;
use crate::world::guards::{self, Guard};

/// How many entries are always folded, rather than derived from. A larger state allows half as many as it has records.
const TAIL: u64 = 256;

/// How long an append is tried while others write.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that holds its addresses. Cheap to clone; all clones are one run. The lease ends with [`Run::finish`], with
/// [`Run::release`], or, for whoever comes next, with the process or the last clone: at once where the store can tell that, else
/// when no entry of it has come for [`LEASE`].
#[derive(Clone)]
pub struct Run {
    inner: Arc<Inner>,
    /// Says now and then that the run lives, where its store cannot tell. Ends with the last clone.
    heart: Arc<Heart>,
}

struct Inner {
    shared: Arc<Shared>,
    number: u64,
    epoch: Sequence,
    begun: Arc<View>,
    unsettled: Vec<Arc<OpenIntent>>,
    /// What was seen of others up to the beginning of the run.
    watch: Watch,
    ledger: Mutex<Ledger>,
    hold: SyncMutex<Option<Box<dyn Hold>>>,
    /// Its lease ends by time, unless an entry comes.
    expires: bool,
    /// The data key that was current when it began: it seals what the run writes if another one comes that cannot be opened here.
    key: Option<KeyId>,
}

/// The view as this run has it, and how to say something that follows it.
struct Ledger {
    view: View,
    over: bool,
    /// When the last entry was sent that is durable now: from then on counts the lease.
    renewed: Duration,
    /// Who took it over, and why, once that is known.
    taken: Option<Taken>,
}

/// How a run lost its lease.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// The run that took over; 0 where a person released the lock.
    pub by: u64,
    pub who: String,
    pub reason: String,
}

impl Run {
    /// Its number.
    pub fn number(&self) -> u64 {
        self.inner.number
    }

    /// How records are gathered on this run's store.
    pub fn batching(&self) -> super::contract::Batching {
        self.inner.shared.store.batching()
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

    /// The outcome of an unsettled call that the store did not take, where this machine has kept it.
    pub fn kept_outcome(&self, open: &OpenIntent) -> Option<Outcome> {
        self.inner.shared.kept_outcome(&self.inner.begun, open.intent.operation)
    }

    /// Until when, by this process's clock, a byte of an unsettled call may still leave its writer: not at all where that is known to
    /// be gone, else its `not_after` from when this process first saw the intent.
    pub fn leaves_until(&self, open: &OpenIntent) -> Duration {
        self.inner.watch.leaves_until(open, self.inner.now())
    }

    /// Makes sure that the lease lasts for a call of this length, and renews it first where it does not. Heartbeats go on during a
    /// call that takes longer than half of a lease, and recovery waits its `not_after` in full: so it need not be longer.
    ///
    /// Errors: as [`Run::append`]. Then no call may leave.
    pub async fn last_for(&self, call: Duration) -> Result<(), Box<Diagnostic>> {
        let inner = &*self.inner;
        if !inner.expires {
            return Ok(());
        }
        let mut ledger = inner.ledger.lock().await;
        let left = (ledger.renewed + LEASE).saturating_sub(inner.now());
        if inner.holds(&ledger) && left > call.min(LEASE / 2) {
            return Ok(());
        }
        inner.append_to(&mut ledger, vec![Body::Renew { addresses: Vec::new() }]).await.map(drop)
    }

    /// Appends, durable before it returns, and gives the place of each. Entries of other runs may lie between earlier ones and these.
    ///
    /// Errors: [`Code::Locked`] where the lease was lost, [`Code::StateUnavailable`], [`Code::DamagedState`]. Nothing is written then.
    pub async fn append(&self, bodies: Vec<Body>) -> Result<Vec<Sequence>, Box<Diagnostic>> {
        if bodies.is_empty() {
            return Ok(Vec::new());
        }
        let mut ledger = self.inner.ledger.lock().await;
        self.inner.append_to(&mut ledger, bodies).await
    }

    /// Leases more addresses, such as those of instances whose keys became known during the run.
    ///
    /// Errors: [`Code::Locked`] naming the holder where another run holds one of them; nothing is leased then.
    pub async fn lease_more(&self, addresses: Vec<Address>) -> Result<(), Box<Diagnostic>> {
        let Inner { shared, number, watch, .. } = &*self.inner;
        let mut ledger = self.inner.ledger.lock().await;
        let wanted: BTreeSet<Address> = addresses.iter().cloned().collect();
        let Err(error) = self.inner.append_to(&mut ledger, vec![Body::Renew { addresses }]).await else { return Ok(()) };
        match ledger.view.holder_of(*number, &wanted) {
            None => Err(error),
            Some((active, address)) => {
                let holder = shared.holder(watch, &ledger.view, active).await?;
                Err(words::locked(&shared.environment, &Held { holder, address }))
            }
        }
    }

    /// Appends the revision and gives the addresses back; the answer is the revision's number.
    pub async fn finish(&self, revision: Revision) -> Result<u64, Box<Diagnostic>> {
        let mut ledger = self.inner.ledger.lock().await;
        self.inner.append_to(&mut ledger, vec![Body::Revision(Arc::new(revision))]).await?;
        ledger.over = true;
        self.let_go();
        self.derive(&ledger.view).await;
        Ok(ledger.view.revision)
    }

    /// Gives the addresses back without a revision: nothing was changed.
    pub async fn release(&self) -> Result<(), Box<Diagnostic>> {
        let mut ledger = self.inner.ledger.lock().await;
        self.inner.append_to(&mut ledger, vec![Body::Release]).await?;
        ledger.over = true;
        self.let_go();
        Ok(())
    }

    /// As a process that is stopped: it says no longer that it lives, and believes that it does.
    #[cfg(test)]
    pub(crate) fn freeze(&self) {
        self.heart.stop();
    }

    fn let_go(&self) {
        self.heart.stop();
        drop(self.inner.hold.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take());
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

impl Inner {
    fn now(&self) -> Duration {
        self.shared.world.clock.elapsed()
    }

    /// As far as it has read.
    fn holds(&self, ledger: &Ledger) -> bool {
        let fenced = guards::stands(Guard::Fence);
        !ledger.over && (!fenced || ledger.view.active.get(&self.number).is_some_and(|active| active.epoch == self.epoch))
    }

    async fn append_to(&self, ledger: &mut Ledger, bodies: Vec<Body>) -> Result<Vec<Sequence>, Box<Diagnostic>> {
        let Inner { shared, number, epoch, key, .. } = self;
        let mut race = Race::new(&shared.world);
        loop {
            if !self.holds(ledger) {
                return Err(words::lost(&shared.environment, *number, ledger.taken.as_ref()));
            }
            let time_ms = shared.world.clock.now().as_millisecond();
            let number_them = |body: &Body| numbered(body, &self.begun, &ledger.view, *number, time_ms);
            let mut bodies: Vec<Body> = bodies.iter().map(number_them).collect();
            let asked = bodies.len();
            shared.agree(&ledger.view, &mut bodies);
            let refused = || bodies.iter().find_map(|body| ledger.view.refuses(*number, body));
            if let Some(why) = guards::stands(Guard::Fence).then(refused).flatten() {
                return Err(words::store(&StoreError::Misuse(why)));
            }
            let writer = Writer { run: *number, epoch: *epoch, time_ms, key: *key };
            let mut entries = writer.entries(shared, &ledger.view, &bodies)?;
            if let Some((signature, entry)) = writer.signed(shared, &ledger.view, entries.last())? {
                bodies.push(signature);
                entries.push(entry);
            }
            // Before it is sent: whoever sees the entry counts from later on.
            let sent = self.now();
            match shared.store.append(ledger.view.head, entries.clone()).await {
                Ok(_) => {
                    ledger.renewed = sent;
                    let has_settled = bodies.iter().any(|body| matches!(body, Body::Settled(_)));
                    for (entry, body) in entries.iter().zip(bodies) {
                        ledger.view.fold(&entry.header, entry.head(), body);
                    }
                    if has_settled {
                        shared.forget_outcomes(&ledger.view);
                    }
                    return Ok(entries.iter().take(asked).map(|entry| entry.header.sequence).collect());
                }
                Err(StoreError::Moved { .. }) => {
                    let head = ledger.view.head.expect("a run has begun with an entry");
                    let news = shared.read_after(head).await?;
                    ledger.taken = ledger.taken.take().or_else(|| taken(&news, *number));
                    // Folded aside: a run whose news could not be read has not forgotten what it knew.
                    ledger.view = shared.fold(ledger.view.clone(), &news)?;
                    race.lost().await?;
                }
                Err(error) => {
                    let diagnostic = words::store(&error);
                    return Err(match shared.keep_outcomes(&ledger.view, &bodies) {
                        Some(dir) => {
                            let text =
                                format!("what came back meanwhile is kept in {}, sealed, for the next run here", dir.display());
                            Box::new(diagnostic.note(text))
                        }
                        None => diagnostic,
                    });
                }
            }
        }
    }
}

/// Who of these entries took the lease of a run.
fn taken(news: &[Entry], run: u64) -> Option<Taken> {
    let mut reading = Reading::new(Wire::inside_sealed());
    news.iter().filter(|entry| entry.header.kind == "takeover").find_map(|entry| {
        match decode("takeover", &entry.body, &View::default(), &mut reading) {
            Ok(Body::Takeover(it)) if it.run == run => {
                Some(Taken { by: entry.header.run, who: it.who.unwrap_or_default(), reason: it.reason })
            }
            _ => None,
        }
    })
}

/// Appends that are tried again since somebody else was first: at once a few times, then after pauses that grow and differ from
/// writer to writer, so that nobody is always the second.
pub(super) struct Race<'w> {
    world: &'w World,
    until: Duration,
    lost: u32,
}

impl Race<'_> {
    pub fn new(world: &World) -> Race<'_> {
        Race { world, until: world.clock.elapsed() + PATIENCE, lost: 0 }
    }

    /// Waits for the next try.
    ///
    /// Errors: it has been tried for [`PATIENCE`].
    pub async fn lost(&mut self) -> Result<(), Box<Diagnostic>> {
        self.lost += 1;
        if self.world.clock.elapsed() >= self.until {
            return Err(words::store(&StoreError::Moved { head: None }));
        }
        if self.lost > 2 {
            let mut bytes = [0; 2];
            self.world.random.fill(&mut bytes);
            let longest = 2000 << (self.lost - 2).min(7);
            let share = u64::from(u16::from_le_bytes(bytes));
            self.world.clock.sleep(Duration::from_micros(longest * share / u64::from(u16::MAX))).await;
        }
        Ok(())
    }
}

/// The body as it will stand in the log: a revision gets its number, its run and its time, and the outputs that runs beside it have
/// changed meanwhile and it has not.
fn numbered(body: &Body, begun: &View, view: &View, run: u64, time_ms: i64) -> Body {
    match body {
        Body::Revision(revision) => {
            let mut outputs = revision.outputs.clone();
            let names: BTreeSet<&Name> = begun.outputs.keys().chain(view.outputs.keys()).collect();
            for name in names {
                let (before, latest) = (begun.outputs.get(name), view.outputs.get(name));
                if before != latest && revision.outputs.get(name) == before {
                    match latest {
                        Some(value) => drop(outputs.insert(name.clone(), value.clone())),
                        None => drop(outputs.remove(name)),
                    }
                }
            }
            let number = view.revision + 1;
            Body::Revision(Arc::new(Revision { number, run, time_ms, outputs, ..Revision::clone(revision) }))
        }
        other => other.clone(),
    }
}

/// Who writes entries.
pub(super) struct Writer {
    pub run: u64,
    pub epoch: Sequence,
    pub time_ms: i64,
    /// What seals where the current data key cannot be opened.
    pub key: Option<KeyId>,
}

impl Writer {
    /// Entries that follow the view.
    pub fn entries(&self, shared: &Shared, view: &View, bodies: &[Body]) -> Result<Vec<Entry>, Box<Diagnostic>> {
        let genesis = bodies.iter().find_map(|body| match body {
            Body::Genesis(genesis) => Some(genesis.store),
            _ => None,
        });
        let store = view.store_id().or(genesis).expect("a log begins with its genesis");
        let mut head = view.head.unwrap_or(Head { sequence: 0, hash: Head::NONE });
        // The first key of all vouches for whom it is given to.
        let first = bodies.iter().find_map(|body| match body {
            Body::Genesis(genesis) => Some(KeyBook::begin(KeyId::parse(&genesis.key)?, Since::default())),
            _ => None,
        });
        let book = first.as_ref().unwrap_or(&view.keys);
        bodies.iter().map(|body| self.entry(shared, store, view, book, &mut head, body)).collect()
    }

    /// The signature over a revision, where this process signs.
    fn signed(&self, shared: &Shared, view: &View, last: Option<&Entry>) -> Result<Option<(Body, Entry)>, Box<Diagnostic>> {
        let Some((key, entry)) = shared.signing.get().zip(last.filter(|last| last.header.kind == "revision")) else {
            return Ok(None);
        };
        let body = Body::Signature(key.sign_head(entry));
        let signature = self.entry(shared, entry.header.store, view, &view.keys, &mut entry.head(), &body)?;
        Ok(Some((body, signature)))
    }

    fn entry(
        &self,
        shared: &Shared,
        store: StoreId,
        view: &View,
        book: &KeyBook,
        head: &mut Head,
        body: &Body,
    ) -> Result<Entry, Box<Diagnostic>> {
        let vault = Vault { begun: self.key, ..shared.vault(store) };
        let bytes = match body {
            Body::Key(change) => {
                let mut change = KeyChange { after: Some(head.hash), proof: None, ..KeyChange::clone(change) };
                change.proof = shared.ring.proof(book, store, &change);
                encode(&Body::Key(Box::new(change)), view, &vault)
            }
            body => encode(body, view, &vault),
        };
        let bytes = bytes.map_err(|error| shared.unwritable(&error))?;
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

/// An entry that no run writes, behind the last one of a log.
pub(super) fn entry_after(shared: &Shared, last: &Entry, body: &Body) -> Result<Entry, Box<Diagnostic>> {
    let writer = Writer { run: 0, epoch: 0, time_ms: shared.world.clock.now().as_millisecond(), key: None };
    let view = View::default();
    writer.entry(shared, last.header.store, &view, &view.keys, &mut last.head(), body)
}
