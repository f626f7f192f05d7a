//! State: an append-only, hash-chained log of everything that was applied, and the view that it amounts to.
//!
//! [`State`] is one environment's log, opened and folded; reading it takes no lock and writes nothing. [`Run`] is one apply's
//! right to write: it holds a lease on addresses, and appends. What is derived from the log (the snapshot, the index) may be
//! thrown away at any time, and is whenever it is in doubt.

mod carry;
pub mod contract;
mod crypt;
#[doc(hidden)]
pub mod decoders;
#[doc(hidden)]
pub mod examples;
mod holder;
pub mod keys;
pub mod log;
mod run;
pub mod sign;
mod spill;
pub mod store;
pub mod view;
mod watch;
mod words;

#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use carry::{Carrier, KeyNeeded, LostRun, Migrated, Migration, Parcel, Report};
pub use contract::{Head, Sequence, Store, StoreError, StoreId};
pub use holder::{Held, Holder, Life, Look};
pub use log::{
    Body, Intent, IntentCall, JudgedPolicy, Lease, OperationId, Outcome, OutcomeResult, RecordWrite, Revision, RunHeader,
    RunResult, Settled, Settlement, Signer, SignerAction, SignerChange, Write,
};
pub use run::{Begun, Run};
pub use view::{ActiveRun, OpenIntent, View};
pub use watch::{HEARTBEAT, LEASE};

use crate::model::wire::{Context, Reading, Sealer, Wire, WireError};
use crate::model::{Code, Diagnostic, Digest, Value};
use crate::world::World;
use contract::{Entry, Snapshot};
use crypt::ring::KeyRing;
use crypt::sources::KeySources;
use crypt::vault::Vault;
use sign::SigningKey;
use store::embedded::Embedded;
use store::memory::Memory;
use watch::Watch;

/// One environment's state, folded.
pub struct State {
    shared: Arc<Shared>,
    view: Arc<View>,
    watch: Watch,
}

/// How a log stands to a head that is known from elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Continuation {
    Extends,
    /// It ends before.
    Shorter,
    /// It has another entry there.
    Another,
}

/// What all uses of one log have in common.
struct Shared {
    store: Arc<dyn Store>,
    ring: Arc<KeyRing>,
    environment: String,
    world: World,
    /// What signs the revisions of this process.
    signing: OnceLock<Arc<SigningKey>>,
    /// Where the newest snapshot was taken that this process knows of; 0 without one.
    snapshot_at: AtomicU64,
    /// Where this machine keeps outcomes that the store did not take.
    spill: OnceLock<PathBuf>,
}

impl State {
    /// Opens the state of `environment` that `store` keeps, reading only; where nothing was ever applied the view is empty, and
    /// nothing is made. Secrets open with what `keys` have; a path stands for the file `key` in that directory alone.
    ///
    /// Errors: [`Code::NewerState`], [`Code::DamagedState`], [`Code::StateUnavailable`], [`Code::NoKey`].
    pub async fn open(
        store: Arc<dyn Store>,
        keys: impl Into<KeySources>,
        environment: &str,
        world: &World,
    ) -> Result<State, Box<Diagnostic>> {
        State::load(State::unread(store, keys, environment, world).shared).await
    }

    /// The store on this machine: the log of `environment` in a directory of `root` (`.stackwright/state`).
    ///
    /// Errors: [`Code::StateUnavailable`] where the name can be no directory's.
    pub fn local_store(root: &Path, environment: &str) -> Result<Arc<dyn Store>, Box<Diagnostic>> {
        let named = !environment.is_empty() && !environment.starts_with('.') && !environment.contains(['/', '\\', '\0'])
            // The key file has that name.
            && environment != "key";
        if !named {
            return Err(Box::new(Code::StateUnavailable.error(format!("no environment can be called {environment:?}"))));
        }
        Ok(Arc::new(Embedded::at(root.join(environment))))
    }

    /// As [`State::open`], of the store on this machine, whose key is beside it.
    pub async fn open_local(root: &Path, environment: &str, world: &World) -> Result<State, Box<Diagnostic>> {
        State::open(State::local_store(root, environment)?, root, environment, world).await
    }

    /// A state in memory, for tests and simulations.
    pub fn memory(environment: &str, world: &World) -> State {
        State::empty(Arc::new(Memory::default()), environment, world)
    }

    /// A state over a store that holds nothing yet, with a key in memory.
    pub fn empty(store: Arc<dyn Store>, environment: &str, world: &World) -> State {
        State::seen(Shared::of(store, KeySources::memory(), environment, world), View::default())
    }

    /// Revisions of this process are signed with that key from now on. The first key that is given stays.
    pub fn sign_with(&self, key: Arc<SigningKey>) {
        self.shared.signing.get_or_init(|| key);
    }

    /// Outcomes that the store does not take are kept in this directory of the machine, sealed, until they are recorded. The first
    /// directory that is given stays.
    pub fn keep_outcomes_in(&self, dir: PathBuf) {
        self.shared.spill.get_or_init(|| dir);
    }

    #[cfg(test)]
    pub(crate) fn with_key(self, key: Arc<SigningKey>) -> State {
        let shared = Shared {
            store: self.shared.store.clone(),
            ring: self.shared.ring.clone(),
            environment: self.shared.environment.clone(),
            world: self.shared.world.clone(),
            signing: OnceLock::from(key),
            snapshot_at: AtomicU64::new(self.shared.snapshot_at.load(Ordering::Relaxed)),
            spill: self.shared.spill.clone(),
        };
        State { shared: Arc::new(shared), view: self.view, watch: self.watch }
    }

    /// The key that revisions of this process are signed with.
    pub fn signs_with(&self) -> Option<&SigningKey> {
        self.shared.signing.get().map(|key| &**key)
    }

    /// The same log once more, as another process would open it.
    pub async fn again(&self) -> Result<State, Box<Diagnostic>> {
        State::load(self.shared.clone()).await
    }

    /// The same log as another process opens it: by its own way to the store and its own clock, with the same key.
    pub async fn beside(&self, store: Arc<dyn Store>, world: &World) -> Result<State, Box<Diagnostic>> {
        let Shared { ring, environment, .. } = &*self.shared;
        let shared = Shared {
            store,
            ring: ring.clone(),
            environment: environment.clone(),
            world: world.clone(),
            signing: OnceLock::new(),
            snapshot_at: AtomicU64::new(0),
            spill: OnceLock::new(),
        };
        State::load(Arc::new(shared)).await
    }

    /// As [`State::open`], not yet read: for audits, which want to say what is wrong with the log. The view is empty.
    pub fn unread(store: Arc<dyn Store>, keys: impl Into<KeySources>, environment: &str, world: &World) -> State {
        State::seen(Shared::of(store, keys.into(), environment, world), View::default())
    }

    /// The same with what the log says of keys and no more, which needs no key.
    ///
    /// Errors: those of reading the log.
    pub async fn with_keys_only(mut self) -> Result<State, Box<Diagnostic>> {
        let entries = self.shared.read(1).await?;
        let mut view = View::default();
        self.shared.learn_ahead(&view, &entries);
        for entry in &entries {
            match is_about_keys(entry) {
                true => {
                    let body =
                        log::wire::decode(&entry.header.kind, &entry.body, &view, &mut Reading::new(Wire::inside_sealed()))
                            .map_err(|error| self.shared.unreadable(&error, entry))?;
                    self.shared.fold_one(&mut view, entry, body)?;
                }
                false => view.revision = log::revision_of(entry).map_or(view.revision, |revision| revision.number),
            }
            view.head = Some(entry.head());
        }
        self.view = Arc::new(view);
        Ok(self)
    }

    async fn load(shared: Arc<Shared>) -> Result<State, Box<Diagnostic>> {
        if let Some(snapshot) = shared.store.snapshot().await {
            let entries = shared.read(snapshot.head.sequence).await?;
            if entries.is_empty() {
                let what = format!("the log ends before entry {}, of which there is a snapshot", snapshot.head.sequence);
                return Err(words::store(&StoreError::Damaged { place: shared.store.place(), what }));
            }
            let rest = entries.get(1..).unwrap_or_default();
            if let Some(begun) = shared.trusted(&snapshot, entries.first()) {
                let view = shared.fold(begun, rest)?;
                shared.snapshot_at.store(snapshot.head.sequence, Ordering::Relaxed);
                return Ok(State::seen(shared, view));
            }
        }
        let entries = shared.read(1).await?;
        // A snapshot that is not believed has said nothing of keys either.
        shared.ring.forget();
        let view = shared.fold(View::default(), &entries)?;
        Ok(State::seen(shared, view))
    }

    /// With a view that has just been read.
    fn seen(shared: Arc<Shared>, view: View) -> State {
        let mut watch = Watch::default();
        watch.look(&view, shared.world.clock.elapsed());
        State { shared, view: Arc::new(view), watch }
    }

    pub fn view(&self) -> &View {
        &self.view
    }

    /// The same with a view that something is supposed in, to plan from. It is not to be refreshed, and nothing begins on it.
    pub fn supposing(&self, suppose: impl FnOnce(&mut View)) -> State {
        let mut view = View::clone(&self.view);
        suppose(&mut view);
        State { shared: self.shared.clone(), view: Arc::new(view), watch: self.watch.clone() }
    }

    pub fn environment(&self) -> &str {
        &self.shared.environment
    }

    /// The store's id: what every mark on a platform names. `None` until the first run begins.
    pub fn store_id(&self) -> Option<StoreId> {
        self.view.store_id()
    }

    /// Where the log is, for messages.
    pub fn place(&self) -> String {
        self.shared.store.place()
    }

    /// Reads what was appended since.
    pub async fn refresh(&mut self) -> Result<(), Box<Diagnostic>> {
        let Some(head) = self.view.head else {
            *self = State::load(self.shared.clone()).await?;
            return Ok(());
        };
        let entries = self.shared.read_after(head).await?;
        if !entries.is_empty() {
            let view = self.shared.fold(View::clone(&self.view), &entries)?;
            self.view = Arc::new(view);
        }
        self.watch.look(&self.view, self.shared.world.clock.elapsed());
        Ok(())
    }

    /// Begins a run: leases the addresses of `header`, and those of calls that dead runs left open, which [`Run::unsettled`]
    /// gives. The first run of all makes the store.
    ///
    /// Errors: [`Code::Locked`] naming the holder where a living run holds one of them, and those of [`State::open`].
    pub async fn begin(&mut self, header: RunHeader) -> Result<Run, Box<Diagnostic>> {
        match self.try_begin(&header).await? {
            Begun::Run(run) => Ok(run),
            Begun::Held(held) => Err(held.refusal(&self.shared.environment)),
        }
    }

    /// As [`State::begin`], for whoever may wait: a holder is an answer, not an error. A holder whose store cannot tell whether it
    /// lives is taken over once this `State` has seen no sign of life for [`LEASE`], so the same one has to be asked again.
    pub async fn try_begin(&mut self, header: &RunHeader) -> Result<Begun, Box<Diagnostic>> {
        run::begin(self, header).await
    }

    /// The runs that hold addresses as of now, by number, with the view that says so.
    pub async fn look(&self) -> Result<Look, Box<Diagnostic>> {
        let (mut view, mut watch) = (self.view.clone(), self.watch.clone());
        loop {
            let mut holders = Vec::new();
            for active in view.active.values() {
                holders.push(self.shared.holder(&watch, &view, active).await?);
            }
            // A run that ended in good order gave up its lock after its last entry: gone is only who has not ended by now either.
            let Some(head) = view.head else { return Ok(Look { view, holders }) };
            let news = self.shared.read_after(head).await?;
            if news.is_empty() {
                return Ok(Look { view, holders });
            }
            view = Arc::new(self.shared.fold(View::clone(&view), &news)?);
            watch.look(&view, self.shared.world.clock.elapsed());
            let same = |it: &Holder| view.active.get(&it.active.lease.run).is_some_and(|active| active.last == it.active.last);
            if holders.len() == view.active.len() && holders.iter().all(same) {
                return Ok(Look { view, holders });
            }
        }
    }

    /// Ends the lease of a run without asking it (`lock release`): who does it, and why. What the run still writes is void.
    ///
    /// Errors: [`Code::Usage`] where the run holds nothing.
    pub async fn release(&mut self, run: u64, who: &str, reason: &str) -> Result<(), Box<Diagnostic>> {
        run::release(self, run, who, reason).await
    }

    /// Encrypts bytes (a plan file) under the state's current key, bound to `label` and this environment; the key is made if there
    /// is none.
    ///
    /// Errors: [`Code::NoKey`], [`Code::StateUnavailable`].
    pub fn seal_blob(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, Box<Diagnostic>> {
        self.shared.vault(BLOB_STORE).seal_blob(label, plain).map_err(|error| words::key(&error))
    }

    /// What [`State::seal_blob`] made, if it is unaltered, under whichever key of this state. From here on [`State::digester`] works
    /// under that key, so that what the bytes say of secrets can be compared.
    ///
    /// Errors: [`Code::NoKey`]; [`Code::DamagedPlan`] where the bytes are not what a key of this state sealed under this label.
    pub fn open_blob(&self, label: &str, sealed: &[u8]) -> Result<Vec<u8>, Box<Diagnostic>> {
        match self.shared.vault(BLOB_STORE).open_blob(label, sealed).map_err(|error| words::key(&error))? {
            Some((plain, key)) => {
                self.shared.ring.work_with_plan_of(key);
                Ok(plain.to_vec())
            }
            None => Err(Box::new(
                Code::DamagedPlan
                    .error("this was altered, or sealed for another environment or under another key")
                    .note("nothing was changed")
                    .help("make it again with `stackwright plan`"),
            )),
        }
    }

    /// What gives keyed digests of secret values, for plans: equal for equal values, under this state's key. The key is made when the
    /// first digest is asked for and there is none; where it cannot be, digests hold for this process alone, so that a plan made
    /// with them fits nowhere else.
    pub fn digester(&self) -> Arc<dyn Fn(&Value) -> Digest + Send + Sync> {
        let shared = self.shared.clone();
        let keys = OnceLock::new();
        Arc::new(move |value| {
            let alone = || Arc::new(crypt::Keys::random(&shared.world));
            let keys = keys.get_or_init(|| shared.ring.digesting().unwrap_or_else(|_| alone()));
            let mut bytes = Vec::new();
            let wire = Wire { origins: false, ..Wire::inside_sealed() };
            match wire.write_value(&mut bytes, Context::NONE, value) {
                Ok(()) => Digest(keys.digest(&bytes)),
                // What has no bytes is not yet known; it is equal to nothing.
                Err(_) => Digest(keys.digest(&shared.world.random_id())),
            }
        })
    }

    /// All entries as they are stored, checked against the chain: for audits. Needs no key.
    pub async fn entries(&self) -> Result<Vec<Entry>, Box<Diagnostic>> {
        self.shared.read(1).await
    }

    /// For audits: all entries up to the first that is damaged, and what is wrong there.
    pub async fn entries_that_are_whole(&self) -> (Vec<Entry>, Option<Box<Diagnostic>>) {
        let (entries, damage) = self.shared.store.read_what_is_whole().await;
        (entries, damage.map(|error| words::store(&error)))
    }

    /// Folds entries of this log, asking `watch` before each with the view that it is folded into.
    pub fn replay(&self, entries: &[Entry], mut watch: impl FnMut(&View, &Entry, &Body)) -> Result<View, Box<Diagnostic>> {
        let Some(first) = entries.first() else { return Ok(View::default()) };
        let vault = self.shared.vault(first.header.store);
        let mut reading = Reading::new(Wire::sealed(&vault));
        let mut view = View::default();
        self.shared.learn_ahead(&view, entries);
        for entry in entries {
            let body = log::wire::decode(&entry.header.kind, &entry.body, &view, &mut reading)
                .map_err(|error| self.shared.unreadable(&error, entry))?;
            watch(&view, entry, &body);
            self.shared.fold_one(&mut view, entry, body)?;
        }
        Ok(view)
    }

    /// Whether the log continues a head that is known from elsewhere.
    pub async fn continues(&self, known: Head) -> Result<Continuation, Box<Diagnostic>> {
        let found = match self.view.head {
            None => return Ok(Continuation::Shorter),
            Some(head) if head.sequence < known.sequence => return Ok(Continuation::Shorter),
            Some(head) if head.sequence == known.sequence => Some(head),
            Some(_) => self.shared.read(known.sequence).await?.first().map(Entry::head),
        };
        Ok(if found == Some(known) { Continuation::Extends } else { Continuation::Another })
    }

    /// Places of the entries about an address, in order: from the index where it fits the log, else from the log.
    pub async fn places(&self, address: &crate::model::Address) -> Result<Vec<Sequence>, Box<Diagnostic>> {
        if let Some((head, mut places)) = self.shared.store.derived().and_then(|dir| view::index::places(&dir, address)) {
            // The index may be behind: what was written since is looked through.
            let entries = self.shared.read(head.sequence).await?;
            if entries.first().map(Entry::head) == Some(head) {
                let dir = self.shared.store.derived().expect("it has an index");
                places.extend(view::index::places_after(&dir, &entries[1..], address));
                return Ok(places);
            }
        }
        Ok(view::index::places_in(&self.entries().await?, address))
    }

    /// The snapshot that lies beside the log.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        self.shared.store.snapshot().await
    }

    /// Whether the derived files say what the log says: facts for people, and whether each is as it should be. `snapshot` is
    /// compared with the fingerprint of the log's fold up to its place.
    pub fn check_derived(
        &self,
        entries: &[Entry],
        snapshot: Option<(Snapshot, Option<Digest>)>,
        index: Option<bool>,
    ) -> Vec<(bool, String)> {
        let mut facts = Vec::new();
        let newer = snapshot.as_ref().and_then(|(snapshot, _)| view::snapshot::newer_writer(&snapshot.bytes));
        if let Some((snapshot, _)) = snapshot.as_ref().filter(|_| newer.is_some()) {
            let (at, by) = (snapshot.head.sequence, newer.unwrap_or_default());
            let words = "is read from the log instead, as this one knows it; `stackwright state rebuild` makes it again";
            facts.push((true, format!("snapshot of entry {at} was written by the later stackwright {by}, and {words}")));
        } else if let Some((snapshot, folded)) = snapshot {
            let at = snapshot.head.sequence;
            let entry = usize::try_from(at).ok().and_then(|at| entries.get(at.checked_sub(1)?));
            let kept = self.shared.trusted(&snapshot, entry).and_then(|kept| view::snapshot::fingerprint(&kept).ok());
            let equal = kept.is_some() && kept == folded;
            let words = if equal { "is the fold of the log" } else { "is not the fold of the log: `stackwright state rebuild`" };
            facts.push((equal, format!("snapshot of entry {at} {words}")));
        }
        if let Some(agrees) = index {
            let words = if agrees { "agrees with the log" } else { "does not agree with the log: `stackwright state rebuild`" };
            facts.push((agrees, format!("index {words}")));
        }
        facts
    }

    /// Whether the index agrees with all entries of the log; `None` where there is none.
    pub fn index_agrees(&self, entries: &[Entry]) -> Option<bool> {
        view::index::agrees(&self.shared.store.derived()?, entries)
    }

    /// Facts about the health of the store that are no errors.
    pub async fn remarks(&self) -> Result<Vec<String>, Box<Diagnostic>> {
        self.shared.store.remarks().await.map_err(|error| words::store(&error))
    }

    /// Throws away what is derived from the log and makes it again (`state rebuild`).
    pub async fn rebuild(&mut self) -> Result<(), Box<Diagnostic>> {
        let entries = self.shared.read(1).await?;
        let view = self.shared.fold(View::default(), &entries)?;
        if view.head.is_some() {
            self.shared.keep_snapshot(&view).await.map_err(|error| words::store(&error))?;
            if let Some(dir) = self.shared.store.derived() {
                view::index::rebuild(&dir, &entries).map_err(|error| words::store(&error))?;
            }
        }
        self.view = Arc::new(view);
        Ok(())
    }
}

/// Folds entries without the key: each secret value stands as one and the same text.
///
/// Errors: [`Code::DamagedState`], naming the entry that cannot be read.
pub fn replay_without_key(entries: &[Entry], mut watch: impl FnMut(&View, &Entry, &Body)) -> Result<View, Box<Diagnostic>> {
    let mut reading = Reading::new(Wire::sealed(&Blind));
    let mut view = View::default();
    for entry in entries {
        let body = log::wire::decode(&entry.header.kind, &entry.body, &view, &mut reading).map_err(|error| {
            let place = format!("entry {}", entry.header.sequence);
            words::store(&StoreError::Damaged { place, what: error.to_string() })
        })?;
        watch(&view, entry, &body);
        view.fold(&entry.header, entry.head(), body);
    }
    Ok(view)
}

/// Opens nothing: gives the same text for every secret.
struct Blind;

impl Sealer for Blind {
    fn seal(&self, _: &Context<'_>, _: &str, _: &[u8]) -> Result<String, WireError> {
        Err(WireError::NoKey)
    }

    fn open(&self, _: &Context<'_>, _: &str, _: &str) -> Result<zeroize::Zeroizing<Vec<u8>>, WireError> {
        Ok(zeroize::Zeroizing::new(b"\"sealed\"".to_vec()))
    }
}

fn is_about_keys(entry: &Entry) -> bool {
    matches!(entry.header.kind.as_str(), "genesis" | "key")
}

/// What people read when a store cannot be used.
pub fn unusable(error: &StoreError) -> Diagnostic {
    *words::store(error)
}

/// Blobs outlive a store that is yet to be made, and are bound to their environment and label alone.
const BLOB_STORE: StoreId = StoreId([0; 16]);

impl Shared {
    fn of(store: Arc<dyn Store>, keys: KeySources, environment: &str, world: &World) -> Arc<Shared> {
        let ring = Arc::new(KeyRing::of(keys, environment, world));
        let (environment, world, signing) = (environment.to_owned(), world.clone(), OnceLock::new());
        Arc::new(Shared { store, ring, environment, world, signing, snapshot_at: AtomicU64::new(0), spill: OnceLock::new() })
    }

    fn vault(&self, store: StoreId) -> Vault {
        Vault { ring: self.ring.clone(), environment: self.environment.clone(), store, begun: None }
    }

    /// Puts this process's signature on changes of the signers, in the place where they will stand.
    fn agree(&self, view: &View, bodies: &mut [Body]) {
        let (Some(key), Some(head), Some(store)) = (self.signing.get(), view.head, view.store_id()) else { return };
        if let [Body::Signer(change)] = bodies {
            key.sign_change(store, head, change);
        }
    }

    /// A state that has signers takes no revision that none of them signs.
    ///
    /// Errors: [`Code::NoSigner`].
    fn refuse_unsigned(&self, view: &View) -> Result<(), Box<Diagnostic>> {
        let key = self.signing.get().map(|key| key.public());
        match view.signers.is_empty() || key.is_some_and(|key| view.signers.contains_key(&key)) {
            true => Ok(()),
            false => Err(words::unsigned(&self.environment, view, key)),
        }
    }

    async fn read(&self, from: Sequence) -> Result<Vec<Entry>, Box<Diagnostic>> {
        self.store.read(from).await.map_err(|error| words::store(&error))
    }

    /// What follows `head`, which has to be a place of the log.
    async fn read_after(&self, head: Head) -> Result<Vec<Entry>, Box<Diagnostic>> {
        let mut entries = self.read(head.sequence).await?;
        match entries.first().map(Entry::head) == Some(head) {
            true => {
                entries.remove(0);
                Ok(entries)
            }
            false => Err(words::store(&StoreError::Damaged {
                place: format!("{}, entry {}", self.store.place(), head.sequence),
                what: "the log no longer holds an entry that was read before".into(),
            })),
        }
    }

    /// The view of a snapshot that the chain vouches for and that can be read. `entry` is the one at its place.
    fn trusted(&self, snapshot: &Snapshot, entry: Option<&Entry>) -> Option<View> {
        let entry = entry.filter(|entry| entry.head() == snapshot.head)?;
        let vault = self.vault(entry.header.store);
        let book = view::snapshot::book(&snapshot.bytes).ok()?;
        self.ring.learn(entry.header.store, snapshot.head.sequence, &Arc::new(book));
        view::snapshot::read(snapshot.head, &snapshot.bytes, Wire::sealed(&vault)).ok()
    }

    fn fold(&self, mut view: View, entries: &[Entry]) -> Result<View, Box<Diagnostic>> {
        let Some(first) = entries.first() else { return Ok(view) };
        let vault = self.vault(first.header.store);
        let mut reading = Reading::new(Wire::sealed(&vault));
        self.learn_ahead(&view, entries);
        for entry in entries {
            let body = log::wire::decode(&entry.header.kind, &entry.body, &view, &mut reading)
                .map_err(|error| self.unreadable(&error, entry))?;
            self.fold_one(&mut view, entry, body)?;
        }
        if view.genesis.as_ref().is_some_and(|genesis| genesis.environment != self.environment) {
            let what = "this is the state of another environment".into();
            return Err(words::store(&StoreError::Damaged { place: self.store.place(), what }));
        }
        Ok(view)
    }

    async fn holder(&self, watch: &Watch, view: &View, active: &Arc<ActiveRun>) -> Result<Holder, Box<Diagnostic>> {
        let store = self.store.liveness(&active.lease.hold).await.map_err(|error| words::store(&error))?;
        let now_ms = self.world.clock.now().as_millisecond();
        let age = |since_ms: i64| Duration::from_millis(u64::try_from(now_ms.saturating_sub(since_ms)).unwrap_or(0));
        let running = age(active.since_ms);
        Ok(Holder {
            life: watch.life(active, store, age(active.last_ms), self.world.clock.elapsed()),
            left: holder::left(view, active, running),
            active: active.clone(),
            running,
        })
    }

    /// What the entries say of keys, before any of them is read: a key may be wrapped for somebody long after it was first used.
    /// Whether to believe it is seen when they are folded.
    fn learn_ahead(&self, view: &View, entries: &[Entry]) {
        let Some(last) = entries.iter().rfind(|entry| is_about_keys(entry)) else { return };
        let mut ahead = View { keys: view.keys.clone(), ..View::default() };
        let mut reading = Reading::new(Wire::inside_sealed());
        for entry in entries.iter().filter(|entry| is_about_keys(entry)) {
            // What cannot be read is said when it is folded.
            if let Ok(body) = log::wire::decode(&entry.header.kind, &entry.body, &View::default(), &mut reading) {
                ahead.fold(&entry.header, entry.head(), body);
            }
        }
        self.ring.learn(last.header.store, last.header.sequence, &ahead.keys);
    }

    /// One entry more; what it says of keys is known before the next one is read.
    fn fold_one(&self, view: &mut View, entry: &Entry, body: Body) -> Result<(), Box<Diagnostic>> {
        if let Body::Key(change) = &body {
            self.ring.check(&view.keys, &entry.header, change).map_err(|error| words::store(&error))?;
        }
        view.fold(&entry.header, entry.head(), body);
        if is_about_keys(entry) {
            self.ring.learn(entry.header.store, entry.header.sequence, &view.keys);
        }
        Ok(())
    }

    fn unreadable(&self, error: &WireError, entry: &Entry) -> Box<Diagnostic> {
        match (error, self.ring.last_error()) {
            (WireError::NoKey, Some(error)) => words::key(&error),
            _ => {
                words::store(&StoreError::Damaged { place: format!("entry {}", entry.header.sequence), what: error.to_string() })
            }
        }
    }

    fn unwritable(&self, error: &WireError) -> Box<Diagnostic> {
        match (error, self.ring.last_error()) {
            (WireError::NoKey, Some(error)) => words::key(&error),
            (other, _) => words::store(&StoreError::Misuse(other.to_string())),
        }
    }

    async fn keep_snapshot(&self, view: &View) -> Result<(), StoreError> {
        let (Some(head), Some(store)) = (view.head, view.store_id()) else { return Ok(()) };
        let vault = self.vault(store);
        let bytes = view::snapshot::write(view, &vault).map_err(|error| StoreError::Misuse(error.to_string()))?;
        self.store.keep_snapshot(Snapshot { head, bytes: bytes.into() }).await?;
        self.snapshot_at.store(head.sequence, Ordering::Relaxed);
        Ok(())
    }
}
