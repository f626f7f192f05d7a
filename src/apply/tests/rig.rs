//! A platform in memory that does what a test tells it, a clock that jumps, and runs over a state in memory.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};

use crate::apply::{
    ApplyOptions, Connect, Event, Journal, Outcome, Outlook, RecoverOptions, Recovered, Stop, Surroundings, apply, foresee,
    recover,
};
use crate::model::{Address, Code, DesiredProvider, Diagnostic, Digest, Fields, Kind, Name, Plan, Sources, Value};
use crate::plan::tests::world::World as Declared;
use crate::providers::contract::{Answer, Budget, Call, CallAction, CallError, Connection, Delays, Found};
use crate::state::store::memory::Memory;
use crate::state::{Begun, Life, Revision, Run, RunHeader, State};
use crate::world::{Clock, Random, World};

/// What a call meets.
#[derive(Clone, Debug)]
pub enum Fault {
    Refuse {
        field: Option<&'static str>,
        words: String,
    },
    Throttle(Option<Duration>),
    NotSent,
    /// No answer comes, and nothing happened.
    LostBefore,
    /// No answer comes, and it happened.
    LostAfter,
    /// It never returns, and nothing happened.
    HangBefore,
    /// It never returns, and it happened.
    HangAfter,
    /// Takes this long; what it does happens in the middle.
    Slow(Duration),
}

#[derive(Default)]
pub struct Platform {
    pub objects: Mutex<BTreeMap<String, (Fields, String)>>,
    faults: Mutex<BTreeMap<String, VecDeque<Fault>>>,
    /// Every call that arrived, such as `create test.app.a`.
    pub calls: Mutex<Vec<String>>,
    pub tokens: Mutex<Vec<String>>,
    counter: AtomicU64,
    pub budget: Mutex<Option<Budget>>,
    pub cannot_tell: Mutex<bool>,
    pub no_credentials: Mutex<bool>,
    in_flight: AtomicU64,
    pub most_in_flight: AtomicU64,
    pub echo: Mutex<bool>,
}

impl Platform {
    /// The next calls of this sort (`create test.app.a`) meet these, one after the other.
    pub fn meets(&self, call: &str, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().entry(call.to_owned()).or_default().extend(faults);
    }

    pub fn names(&self) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        let mut names: Vec<String> = objects.values().map(|(fields, _)| text(fields, "name")).collect();
        names.sort();
        names
    }

    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn do_it(&self, call: &Call) -> Result<Answer, CallError> {
        let mut objects = self.objects.lock().unwrap();
        match &call.action {
            CallAction::Create { inputs } => {
                let taken =
                    objects.values().any(|(fields, _)| inputs.get("name").is_some() && fields.get("name") == inputs.get("name"));
                if taken {
                    return Err(refused(Some("name"), "name is taken"));
                }
                let count = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
                let fields = self.made(inputs, &format!("id-{count}"), count);
                objects.insert(format!("id-{count}"), (fields.clone(), call.token.clone()));
                Ok(answer(fields))
            }
            CallAction::Update { before, inputs, changed } => {
                assert!(!changed.is_empty(), "an update says what it changes");
                let id = text(&before.computed, "id");
                let count = self.counter.fetch_add(1, Ordering::Relaxed) + 1;
                let fields = self.made(inputs, &id, count);
                let object = objects.get_mut(&id).ok_or_else(|| refused(None, "no such object"))?;
                *object = (fields.clone(), call.token.clone());
                Ok(answer(fields))
            }
            CallAction::Delete { before } => {
                objects.remove(&text(&before.computed, "id"));
                Ok(answer(Fields::new()))
            }
        }
    }

    fn made(&self, inputs: &Fields, id: &str, count: u64) -> Fields {
        let mut fields = inputs.clone();
        fields.insert("id".into(), Value::text(id));
        fields.insert("revision".into(), Value::text(format!("rev-{count}")));
        if *self.echo.lock().unwrap()
            && let Some(token) = inputs.get("token").and_then(Value::as_text)
        {
            fields.insert("revision".into(), Value::text(format!("with {token}")));
        }
        fields
    }
}

fn answer(attributes: Fields) -> Answer {
    Answer { attributes, ..Answer::default() }
}

fn refused(field: Option<&str>, words: &str) -> CallError {
    CallError::Refused {
        status: Some(422),
        field: field.map(str::to_owned),
        words: words.to_owned(),
        request: Some("r-1".into()),
        code: Code::Refused,
    }
}

fn text(fields: &Fields, name: &str) -> String {
    fields.get(name).and_then(Value::as_text).unwrap_or_default().to_owned()
}

fn word(action: &CallAction) -> &'static str {
    match action {
        CallAction::Create { .. } => "create",
        CallAction::Update { .. } => "update",
        CallAction::Delete { .. } => "delete",
    }
}

struct InFlight<'p>(&'p Platform);

impl<'p> InFlight<'p> {
    fn new(platform: &'p Platform) -> InFlight<'p> {
        let now = platform.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        platform.most_in_flight.fetch_max(now, Ordering::Relaxed);
        InFlight(platform)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Account {
    platform: Arc<Platform>,
    world: World,
}

#[async_trait]
impl Connection for Account {
    async fn list(&self, _: &Kind, _: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        Ok(Some(self.platform.objects.lock().unwrap().values().map(|(fields, _)| fields.clone()).collect()))
    }

    async fn read(&self, _: &Kind, known: &Fields) -> Result<Option<Fields>, CallError> {
        if text(known, "name") == "nobody" {
            return Ok(None);
        }
        let mut fields = known.clone();
        fields.insert("id".into(), Value::text(format!("zone of {}", text(known, "name"))));
        Ok(Some(fields))
    }

    async fn perform(&self, call: &Call) -> Result<Answer, CallError> {
        let name = format!("{} {}", word(&call.action), call.address);
        self.platform.calls.lock().unwrap().push(name.clone());
        self.platform.tokens.lock().unwrap().push(call.token.clone());
        let _in_flight = InFlight::new(&self.platform);
        let fault = self.platform.faults.lock().unwrap().get_mut(&name).and_then(VecDeque::pop_front);
        match fault {
            None => {
                tokio::task::yield_now().await;
                self.platform.do_it(call)
            }
            Some(Fault::Refuse { field, words }) => Err(refused(field, &words)),
            Some(Fault::Throttle(after)) => Err(CallError::Throttled { after }),
            Some(Fault::NotSent) => Err(CallError::NotSent("connection refused".into())),
            Some(Fault::LostBefore) => Err(CallError::OutcomeUnknown("connection reset".into())),
            Some(Fault::LostAfter) => {
                self.platform.do_it(call)?;
                Err(CallError::OutcomeUnknown("connection reset".into()))
            }
            Some(Fault::HangBefore) => std::future::pending().await,
            Some(Fault::HangAfter) => {
                self.platform.do_it(call)?;
                std::future::pending().await
            }
            Some(Fault::Slow(span)) => {
                self.world.clock.sleep(span / 2).await;
                let answer = self.platform.do_it(call);
                self.world.clock.sleep(span / 2).await;
                answer
            }
        }
    }

    async fn find(&self, call: &Call) -> Result<Found, CallError> {
        let objects = self.platform.objects.lock().unwrap();
        if *self.platform.cannot_tell.lock().unwrap() {
            return Ok(Found::Candidates(vec!["an object like it".into()]));
        }
        if let CallAction::Delete { before } = &call.action {
            let there = objects.contains_key(&text(&before.computed, "id"));
            return Ok(if there { Found::Unchanged } else { Found::Absent });
        }
        let ours = objects.values().find(|(_, token)| *token == call.token);
        Ok(match (ours, &call.action) {
            (Some((fields, _)), _) => Found::Done(answer(fields.clone())),
            (None, CallAction::Update { .. }) => Found::Unchanged,
            (None, _) => Found::Absent,
        })
    }

    fn delays(&self) -> Delays {
        Delays { transit: Duration::ZERO, shown: Duration::from_secs(10) }
    }

    fn budget(&self) -> Budget {
        self.platform.budget.lock().unwrap().unwrap_or(Budget { concurrent: 16, per_second: None })
    }
}

struct Connector {
    platform: Arc<Platform>,
    world: World,
}

impl Connect for Connector {
    fn connect(&self, provider: &DesiredProvider) -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
        if *self.platform.no_credentials.lock().unwrap() {
            return Err(Box::new(Code::NoCredentials.error(format!("no credentials for provider `{}`", provider.name))));
        }
        Ok(Arc::new(Account { platform: self.platform.clone(), world: self.world.clone() }))
    }
}

/// Time stands still until nothing else can run, then jumps to whoever wakes first.
#[derive(Default)]
struct JumpingClock {
    now: Mutex<Duration>,
    sleepers: Mutex<BTreeMap<(Duration, u64), oneshot::Sender<()>>>,
    counter: AtomicU64,
}

#[async_trait]
impl Clock for JumpingClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::try_from(self.elapsed()).expect("tests are short")
    }

    fn elapsed(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    async fn sleep(&self, span: Duration) {
        if span.is_zero() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        let at = self.elapsed() + span;
        self.sleepers.lock().unwrap().insert((at, self.counter.fetch_add(1, Ordering::Relaxed)), wake);
        let _ = woken.await;
    }
}

impl JumpingClock {
    /// Moves time whenever everybody had their turns.
    async fn run(self: Arc<Self>) {
        loop {
            for _ in 0..64 {
                tokio::task::yield_now().await;
            }
            let mut sleepers = self.sleepers.lock().unwrap();
            sleepers.retain(|_, wake| !wake.is_closed());
            if let Some(((at, _), wake)) = sleepers.pop_first() {
                let mut now = self.now.lock().unwrap();
                *now = (*now).max(at);
                let _ = wake.send(());
            }
        }
    }
}

struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let next = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            chunk.copy_from_slice(&next.to_be_bytes()[..chunk.len()]);
        }
    }
}

pub struct Rig {
    pub declared: Declared,
    pub state: State,
    pub platform: Arc<Platform>,
    pub world: World,
    pub sources: Sources,
    pub options: ApplyOptions,
    pub stop: watch::Sender<Stop>,
    clock: tokio::task::JoinHandle<()>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.clock.abort();
    }
}

/// One run.
pub struct Ran {
    pub outcome: Outcome,
    pub events: Vec<Event>,
    pub recovered: Vec<Recovered>,
    pub plan: Plan,
}

impl Ran {
    pub fn words(&self) -> Vec<String> {
        let name = |at: &u32| self.plan.changes[*at as usize].address.to_string();
        let done = self.outcome.done.iter().map(|at| format!("done {}", name(at)));
        let failed = self.outcome.failed.iter().map(|it| format!("failed {} {}", it.address, it.diagnostic.code));
        let left = self.outcome.not_started.iter().map(|it| format!("not started {}: {}", it.address, it.why));
        done.chain(failed).chain(left).collect()
    }
}

impl Rig {
    pub fn new() -> Rig {
        Rig::over(Arc::new(Memory::default()))
    }

    /// On a store that cannot tell whether a run lives.
    pub fn shared() -> Rig {
        Rig::over(Arc::new(Memory::shared()))
    }

    fn over(store: Arc<Memory>) -> Rig {
        let clock = Arc::new(JumpingClock::default());
        let task = tokio::spawn(clock.clone().run());
        let world = World { clock, random: Arc::new(Counting(AtomicU64::new(1))) };
        Rig {
            declared: Declared::default(),
            state: State::empty(store, "test", &world),
            platform: Arc::default(),
            world,
            sources: Sources::default(),
            options: ApplyOptions::default(),
            stop: watch::channel(Stop::No).0,
            clock: task,
        }
    }

    fn connect(&self) -> Arc<dyn Connect> {
        Arc::new(Connector { platform: self.platform.clone(), world: self.world.clone() })
    }

    /// The plan from what state holds.
    pub fn plan(&mut self) -> Plan {
        let view = self.state.view();
        self.declared.records = view.records.clone();
        self.declared.deposed = view.deposed.clone();
        self.declared.outputs = view.outputs.clone();
        self.declared.plan()
    }

    pub async fn begin(&mut self, addresses: Vec<Address>) -> Run {
        self.state.refresh().await.unwrap();
        let header = RunHeader { command: "apply".into(), who: "dkim".into(), addresses, ..RunHeader::default() };
        loop {
            match self.state.try_begin(&header).await.unwrap() {
                Begun::Run(run) => return run,
                Begun::Held(_) => self.world.clock.sleep(Duration::from_secs(1)).await,
            }
        }
    }

    /// What was open is settled, then everything is planned and applied.
    pub async fn apply(&mut self) -> Ran {
        let run = self.run().await;
        assert!(self.state.view().active.is_empty(), "the run has ended");
        run
    }

    async fn run(&mut self) -> Ran {
        let recovered = self.recover().await;
        let blocked = recovered.iter().filter(|it| it.blocks()).map(|it| (it.address.clone(), it.words.clone()));
        self.options.blocked = blocked.collect();
        let plan = self.plan();
        let mut addresses: Vec<Address> = plan.changes.iter().map(|change| change.address.clone()).collect();
        addresses.extend(plan.changes.iter().filter_map(|change| change.before.as_ref()).map(|record| record.address.clone()));
        let run = self.begin(addresses).await;
        let journal = Journal::new(run, self.world.clone());
        let (events, mut told) = mpsc::unbounded_channel();
        let outcome = apply(&plan, self.surroundings(journal.clone(), events), &self.options).await;
        if outcome.broken.is_none() {
            journal.finish(revision(&outcome)).await.unwrap();
        }
        self.state.refresh().await.unwrap();
        let mut all = Vec::new();
        while let Ok(event) = told.try_recv() {
            all.push(event);
        }
        Ran { outcome, events: all, recovered, plan }
    }

    /// What a plan sees of calls that were left open.
    pub async fn foresee(&self) -> Vec<Outlook> {
        let look = self.state.again().await.unwrap().look().await.unwrap();
        let gone = |run: u64| look.holders.iter().any(|it| it.active.lease.run == run && it.life == Life::Gone);
        let calls = look.view.open.values().map(|open| (open.clone(), gone(open.run))).collect();
        foresee(calls, &look.view, &self.declared.schemas, &*self.connect(), &self.world, &[]).await
    }

    pub async fn recover(&mut self) -> Vec<Recovered> {
        self.state.refresh().await.unwrap();
        if self.state.view().open.is_empty() {
            return Vec::new();
        }
        let addresses = self.state.view().open.values().map(|open| open.intent.address.clone()).collect();
        let run = self.begin(addresses).await;
        let journal = Journal::new(run, self.world.clone());
        let options = RecoverOptions { providers: Vec::new() };
        let schemas = &self.declared.schemas;
        let recovered = recover(&journal, schemas, self.connect(), &self.world, &options).await.unwrap();
        journal.release().await.unwrap();
        self.state.refresh().await.unwrap();
        recovered
    }

    fn surroundings(&self, journal: Journal, events: mpsc::UnboundedSender<Event>) -> Surroundings {
        let mut sources = Sources::default();
        for (_, source) in self.sources.iter() {
            sources.add(source.name.clone(), source.text.clone(), source.origin);
        }
        Surroundings {
            journal,
            connect: self.connect(),
            world: self.world.clone(),
            sources: Arc::new(sources),
            digest: Arc::new(|value: &Value| Digest::of(value.as_text().unwrap_or_default().as_bytes())),
            events,
            stop: self.stop.subscribe(),
        }
    }

    /// Applies until `dead` holds, and then lets everything go, as a kill would.
    pub async fn killed_when(&mut self, dead: impl Fn(&Platform) -> bool) {
        let platform = self.platform.clone();
        {
            let mut running = pin!(self.run());
            loop {
                tokio::select! {
                    biased;
                    _ = &mut running => panic!("it was to be killed before it ends"),
                    () = tokio::task::yield_now() => if dead(&platform) { break },
                }
            }
        }
        bury().await;
    }
}

/// Tasks that were aborted are dropped when their turn comes.
pub async fn bury() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

fn revision(outcome: &Outcome) -> Revision {
    Revision {
        number: 0,
        run: 0,
        time_ms: 0,
        command: "apply".into(),
        who: "dkim".into(),
        commit: None,
        plan: None,
        effects: None,
        approved_by: Vec::new(),
        counts: outcome.counts.clone(),
        result: outcome.result(),
        inputs: Vec::new(),
        outputs: outcome.outputs.clone(),
        engine: "test".into(),
        providers: BTreeMap::<Name, u32>::new(),
        failed: Vec::new(),
        not_started: Vec::new(),
        reason: None,
        policies: Vec::new(),
    }
}
