//! One life: a program that changes, applied again and again by processes that die, over a network and a disk that fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use stackwright::lang;
use stackwright::model::{Address, Became, Data, Plan, Sources, Value};
use stackwright::ops::apply::{self, Stop};
use stackwright::ops::author::Author;
use stackwright::ops::given::Given;
use stackwright::ops::plan;
use stackwright::ops::project::{Failure, Project};
use stackwright::ops::secrets;
use stackwright::ops::settings::{Clouds, Settings};
use stackwright::ops::workspace::Workspace;
use stackwright::providers::registry;
use stackwright::state::contract::Store;
use stackwright::state::store::memory::Memory;
use stackwright::state::{Settlement, State};
use stackwright::world::{Clock, SimulatedClock, World, guards};
use tokio::sync::{mpsc, watch};

use crate::chance::{Chance, Fuse};
use crate::ledger::Ledger;
use crate::net::{LINGER, Line, Net, Weather, Without};
use crate::program::{Facts, Model, held};
use crate::store::{Disk, Reached};

/// 2026-01-01T00:00Z.
const BEGINNING: jiff::Timestamp = jiff::Timestamp::constant(1_767_225_600, 0);
/// What is given from outside: looked for in everything that is written or said.
const GIVEN: &str = "canary-of-the-given-secret";

/// What a life amounts to.
#[derive(Clone, Debug, Default)]
pub struct Lived {
    pub violations: Vec<String>,
    /// Everything that was written and said, hashed.
    pub bytes: [u8; 32],
    pub applies: u32,
    pub crashes: u32,
    pub settled: u32,
    /// Calls whose end a plan foresaw as certain, and plans of which all was.
    pub foreseen: u32,
    pub foretold: u32,
    /// Questions that only a person can decide, and one did as the help says.
    pub questions: Vec<String>,
    /// Processes that were stopped for a while and came back to life.
    pub stopped: u32,
    /// What befell requests and appends, by its name.
    pub faults: BTreeMap<&'static str, u64>,
    pub requests: usize,
    pub entries: usize,
    /// For whoever looks into a failure.
    pub story: Vec<String>,
}

/// A wall clock of a process's own, which may jump.
struct Wall {
    clock: Arc<SimulatedClock>,
    ahead_ms: AtomicI64,
    fuse: Arc<Fuse>,
}

#[async_trait]
impl Clock for Wall {
    fn now(&self) -> jiff::Timestamp {
        self.clock.now() + jiff::SignedDuration::from_millis(self.ahead_ms.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    async fn sleep(&self, span: Duration) {
        self.clock.sleep(span).await;
        // A timer of a process that is stopped is heard of once it goes on.
        self.fuse.runs().await
    }
}

/// Applies programs one after the other, and gives what is left: how many live objects and records.
pub fn apply_all(texts: &[String]) -> (usize, usize) {
    let (_, clock) = World::simulated(BEGINNING, &[]);
    let life = Life::new(1, clock.clone(), Without::Nothing);
    let all = async {
        for text in texts {
            let ended = life.process(Errand { text: text.clone(), ..Errand::calm() }).await;
            assert!(matches!(ended, Ended::Over { complete: true, .. }), "{:?}", life.lived);
        }
        let state = life.origin.again().await.expect("the log can be read");
        (life.net.live().len(), state.view().records.len())
    };
    clock.run(all).expect("nothing waits for ever")
}

/// What is applied where a misfortune is tried at each of its moments.
const PLAIN: &str = r#"
stack life { language = 1 }
provider fly { org = "acme", region = "cdg" }
provider cloudflare { account = "acme", zone = "example.com" }
environment production { on = fly }
secret given
data cloudflare.zone main { name = "example.com" }
resource fly.app main { name = "life-main" }
resource fly.machine m { app = fly.app.main.name, name = "life-m", image = "registry.example.com/m:VERSION", lifecycle { timeout = 2m } }
resource fly.volume v { app = fly.app.main.name, size = 1GiB, lifecycle { timeout = 2m } }
resource fly.secret s { app = fly.app.main.name, name = "S", value = secret.given.value }
resource cloudflare.record r { zone_id = cloudflare.zone.main.id, name = "r", type = "TXT", content = "VERSION" }
"#;

/// One misfortune, at a moment of a first apply or of a change.
#[derive(Clone, Copy)]
pub enum Misfortune {
    /// A first apply is stopped at this touch for so long, its lock is released, and another takes its place.
    Replaced(u64, Duration),
    /// A change is left at once after so long, while many of its calls arrive late.
    Left(Duration),
}

/// Applies a small program, and gives the laws that were broken.
pub fn suffer(misfortune: Misfortune, without: Without) -> Vec<String> {
    match without {
        Without::Guards(guards) => guards::without(guards, || suffer_so(misfortune, without)),
        _ => suffer_so(misfortune, without),
    }
}

fn suffer_so(misfortune: Misfortune, without: Without) -> Vec<String> {
    let (_, clock) = World::simulated(BEGINNING, &[]);
    // The place of whoever is left on one machine is taken at once.
    let wants_shared = matches!(misfortune, Misfortune::Replaced(..));
    let mut lives = (1..).map(|seed| Life::new(seed, clock.clone(), without));
    let life = lives.find(|life| life.disk.shared == wants_shared).expect("there are many");
    let model = Model::new(&life.chance);
    let text = |version: &str| PLAIN.replace("VERSION", version);
    let errand = |version: &str| Errand { text: text(version), ..Errand::calm() };
    let over = clock.run(async {
        match misfortune {
            Misfortune::Replaced(touch, long) => {
                let stopped = Errand { stops: Some((touch, long)), ..errand("v1") };
                let other = Errand { begins: Duration::from_secs(8), ..errand("v1") };
                let both = join_all([life.process(stopped), life.process(other)]);
                tokio::join!(both, life.intrude(Some(Duration::from_secs(5))));
            }
            Misfortune::Left(after) => {
                life.process(errand("v1")).await;
                life.net.set_weather(Weather { late: 700, ..Weather::default() });
                life.process(Errand { signal: Some((after, Stop::Leave)), ..errand("v2") }).await;
                life.calm();
            }
        }
        life.check_now(&model, "afterwards").await;
        let ended = life.process(errand("v2")).await;
        if !matches!(ended, Ended::Over { complete: true, .. }) {
            life.violates("the last apply does not come to its end".into());
        }
        life.clock.sleep(LINGER * 3).await;
        life.check_now(&model, "at the end").await;
    });
    let mut broken = life.lived.lock().expect("nothing panics while it holds this").violations.clone();
    broken.extend(life.net.ledger.violations());
    if over.is_err() {
        broken.push("everything waits, and nobody sleeps".into());
    }
    broken
}

/// Lives it to the end.
pub fn live(seed: u64, without: Without) -> Lived {
    match without {
        Without::Guards(guards) => guards::without(guards, || live_so(seed, without)),
        _ => live_so(seed, without),
    }
}

fn live_so(seed: u64, without: Without) -> Lived {
    let (_, clock) = World::simulated(BEGINNING, &seed.to_be_bytes());
    let life = Life::new(seed, clock.clone(), without);
    let over = clock.run(life.run());
    let mut lived = life.lived.lock().expect("nothing panics while it holds this").clone();
    lived.violations.extend(life.net.ledger.violations());
    lived.faults = life.net.faults();
    if over.is_err() {
        lived.violations.push("everything waits, and nobody sleeps".into());
    }
    lived
}

struct Life {
    seed: u64,
    chance: Chance,
    clock: Arc<SimulatedClock>,
    net: Arc<Net>,
    disk: Arc<Disk>,
    origin: State,
    lived: Mutex<Lived>,
    said: Mutex<Vec<String>>,
    processes: AtomicU64,
}

/// What a process is there for, and what happens to it.
struct Errand {
    text: String,
    /// A plan is made first, and held against what then happens.
    plans_first: bool,
    rotates: bool,
    begins: Duration,
    dies_after: Option<u64>,
    /// After how many touches it is stopped, and for how long.
    stops: Option<(u64, Duration)>,
    signal: Option<(Duration, Stop)>,
    jump_ms: i64,
    lock_wait: Duration,
    /// Cut off from the store from when after its beginning, and for how long.
    cut: Option<(Duration, Duration)>,
}

impl Errand {
    /// An apply to which nothing happens.
    fn calm() -> Errand {
        Errand {
            text: String::new(),
            plans_first: true,
            rotates: false,
            begins: Duration::from_secs(1),
            dies_after: None,
            stops: None,
            signal: None,
            jump_ms: 0,
            lock_wait: Duration::from_secs(200),
            cut: None,
        }
    }
}

/// How it ended.
enum Ended {
    Died,
    /// `complete` says whether everything that was planned is done; `empty` whether there was anything.
    Over {
        complete: bool,
        empty: bool,
        words: String,
    },
}

impl Life {
    fn new(seed: u64, clock: Arc<SimulatedClock>, without: Without) -> Life {
        let ledger = Arc::new(Ledger::default());
        let net = Arc::new(Net::new(clock.clone(), BEGINNING, Chance::of(seed, "net"), ledger, without));
        let shared = Chance::of(seed, "which store").hits(500);
        let memory = if shared { Memory::shared() } else { Memory::default() };
        let disk = Disk {
            memory: memory.clone(),
            net: net.clone(),
            clock: clock.clone(),
            chance: Chance::of(seed, "disk"),
            fails: AtomicU64::new(0),
            away_until: AtomicU64::new(0),
            lies: without == Without::DurableIntent,
            shared,
        };
        let world = World { clock: clock.clone(), random: Arc::new(Chance::of(seed, "origin")) };
        Life {
            seed,
            chance: Chance::of(seed, "life"),
            net,
            disk: Arc::new(disk),
            origin: State::empty(Arc::new(memory), "production", &world),
            clock,
            lived: Mutex::default(),
            said: Mutex::default(),
            processes: AtomicU64::new(0),
        }
    }

    fn tell(&self, words: String) {
        let at = self.clock.elapsed();
        self.lived.lock().expect("nothing panics while it holds this").story.push(format!("{at:?} {words}"));
    }

    fn violates(&self, words: String) {
        self.lived.lock().expect("nothing panics while it holds this").violations.push(words);
    }

    async fn run(&self) {
        let chance = &self.chance;
        let mut model = Model::new(chance);
        let mut texts = vec![model.text()];
        for phase in 0..chance.between(2, 4) {
            if phase > 0 {
                model.change(chance, &self.facts().await);
                texts.push(model.text());
            }
            self.storm(&texts).await;
            if self.foretells() {
                model.change(chance, &self.facts().await);
                texts.push(model.text());
                self.die_in_calm(&model.text()).await;
            }
            self.check_now(&model, "between").await;
        }
        self.calm();
        self.finish(&model, &model.text()).await;
    }

    /// Of four lives one is there for what plans say after a death; the others are as they would be without.
    fn foretells(&self) -> bool {
        self.seed.is_multiple_of(4)
    }

    /// A process dies in calm weather, and the next one plans and applies right after that.
    async fn die_in_calm(&self, text: &str) {
        self.calm();
        let dies_after = Some(self.chance.below(*self.chance.pick(&[40, 80, 160])));
        let errand = || Errand { text: text.to_owned(), ..Errand::calm() };
        self.process(Errand { dies_after, plans_first: false, ..errand() }).await;
        self.process(errand()).await;
    }

    /// Some processes at once, in bad weather.
    async fn storm(&self, texts: &[String]) {
        let chance = &self.chance;
        let some = |most: u64| if chance.hits(400) { 0 } else { chance.below(most) };
        self.tell(if self.disk.shared { "a shared store" } else { "a store on one machine" }.into());
        let weather = Weather {
            lost: some(60),
            late: some(80),
            wrong: some(80),
            throttled: some(100),
            doubled: some(80),
            stale: some(400),
            slow: some(100),
        };
        self.net.set_weather(weather);
        let fails = some(10);
        self.disk.fails.store(fails, Ordering::Relaxed);
        self.tell(format!("{weather:?}, disk {fails}"));
        let latest = texts.last().expect("there is a program");
        let errands: Vec<Errand> = (0..chance.between(1, 3))
            .map(|number| Errand {
                text: if number > 0 && chance.hits(300) { chance.pick(texts).clone() } else { latest.clone() },
                plans_first: false,
                rotates: chance.hits(100),
                begins: chance.within(Duration::from_secs(if number == 0 { 0 } else { 40 })),
                dies_after: chance.hits(500).then(|| chance.below(*chance.pick(&[20, 60, 200]))),
                stops: chance.hits(250).then(|| {
                    (
                        chance.below(*chance.pick(&[20, 60, 200])),
                        Duration::from_secs(chance.between(5, *chance.pick(&[30, 150, 400]))),
                    )
                }),
                signal: chance
                    .hits(150)
                    .then(|| (chance.within(Duration::from_secs(20)), *chance.pick(&[Stop::Finish, Stop::Finish, Stop::Leave]))),
                lock_wait: Duration::from_secs(*chance.pick(&[0, 0, 30, 100, 300])),
                cut: chance.hits(150).then(|| (chance.within(Duration::from_secs(30)), chance.within(Duration::from_secs(150)))),
                jump_ms: if chance.hits(200) { chance.below(7_200_000) as i64 - 3_600_000 } else { 0 },
            })
            .collect();
        let release = chance.hits(150).then(|| chance.within(Duration::from_secs(30)));
        let all = errands.into_iter().map(|errand| self.process(errand));
        tokio::join!(join_all(all), self.intrude(release));
    }

    /// Somebody releases a lock that a living run holds.
    async fn intrude(&self, after: Option<Duration>) {
        let Some(after) = after else { return };
        self.clock.sleep(after).await;
        let Ok(mut state) = self.origin.again().await else { return };
        if let Some(run) = state.view().active.keys().next().copied() {
            let released = state.release(run, "a test", "a test").await;
            self.tell(format!("run {run} is released: {}", released.is_ok()));
        }
    }

    async fn process(&self, errand: Errand) -> Ended {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        self.clock.sleep(errand.begins).await;
        let fuse = Arc::new(Fuse::new(errand.dies_after, errand.stops, self.clock.clone()));
        let wall = Arc::new(Wall { clock: self.clock.clone(), ahead_ms: AtomicI64::new(0), fuse: fuse.clone() });
        let random = Arc::new(Chance::of(self.seed, &format!("process {number}")));
        let world = World { clock: wall.clone(), random };
        let (sender, stop) = watch::channel(Stop::No);
        let signals = async {
            if let Some((after, how)) = errand.signal {
                self.clock.sleep(after).await;
                wall.ahead_ms.store(errand.jump_ms, Ordering::Relaxed);
                sender.send_replace(how);
            }
            std::future::pending::<()>().await
        };
        let ended = tokio::select! {
            biased;
            () = fuse.dead() => Ended::Died,
            result = self.engine(&errand, &world, fuse.clone(), stop) => result,
            () = signals => unreachable!("it waits for ever"),
        };
        // What it spawned dies with it, at its next turn.
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        let words = match &ended {
            Ended::Died => "died".to_owned(),
            Ended::Over { complete, empty, words } => format!("ended, complete {complete}, empty {empty} {words}"),
        };
        let stopped = fuse.was_stopped();
        self.tell(format!("process {number} {}{words}", if stopped { "was stopped for a while, " } else { "" }));
        let mut lived = self.lived.lock().expect("nothing panics while it holds this");
        lived.applies += 1;
        lived.stopped += u32::from(stopped);
        lived.crashes += u32::from(matches!(ended, Ended::Died));
        ended
    }

    /// What `stackwright apply --yes` does.
    async fn engine(&self, errand: &Errand, world: &World, fuse: Arc<Fuse>, stop: watch::Receiver<Stop>) -> Ended {
        match self.try_engine(errand, world, fuse, stop).await {
            Ok((complete, empty, words)) => Ended::Over { complete, empty, words },
            Err(failure) => {
                let words: Vec<String> = failure.diagnostics.iter().map(|it| format!("{it:?}")).collect();
                self.hear(words.join("\n"));
                let short: Vec<String> = failure.diagnostics.iter().map(|it| format!("{} {}", it.code, it.message)).collect();
                Ended::Over { complete: false, empty: false, words: short.join("; ") }
            }
        }
    }

    fn hear(&self, words: String) {
        self.said.lock().expect("nothing panics while it holds this").push(words);
    }

    async fn try_engine(
        &self,
        errand: &Errand,
        world: &World,
        fuse: Arc<Fuse>,
        stop: watch::Receiver<Stop>,
    ) -> Result<(bool, bool, String), Failure> {
        let now = self.clock.elapsed();
        let cut = errand.cut.map_or((now, now), |(from, long)| (now + from, now + from + long));
        let store = Reached { disk: self.disk.clone(), fuse: fuse.clone(), broken: AtomicBool::new(false), cut };
        let state = self.origin.beside(Arc::new(store), world).await?;
        let line = Line { net: self.net.clone(), fuse };
        let mut workspace = workspace(&errand.text, world, line, state);
        let request = apply::Request {
            command: if errand.rotates { "rotate made" } else { "apply" }.to_owned(),
            author: Author { who: "a life".into(), host: "here".into(), commit: None },
            parallel: None,
            lock_wait: errand.lock_wait,
            waiting: apply::Waiting::default(),
            grace: Duration::from_secs(4),
        };
        let connections = Arc::new(workspace.connections().await?);
        let foretold = match errand.plans_first && self.foretells() && !errand.rotates {
            true => plan::make(&mut workspace, &plan::Request::default()).await.ok().filter(|it| it.running.is_empty()),
            false => None,
        };
        let mut found = BTreeMap::new();
        if !workspace.state.view().open.is_empty() {
            let providers = stackwright::ops::desired::desired(&workspace).map(|it| it.providers).unwrap_or_default();
            let settled = apply::settle(&mut workspace, &connections, providers, &request).await?;
            self.lived.lock().expect("nothing panics while it holds this").settled += settled.len() as u32;
            for it in settled {
                self.tell(format!("settled {} {}: {:?}, {}", it.action, it.address, it.how, it.words));
                self.hear(it.words);
                found.insert(it.address, it.how);
            }
        }
        let plan: Plan = match errand.rotates {
            true => secrets::rotate(&mut workspace, &connections, "made").await?.planned.plan,
            false => plan::refreshed(&workspace, &connections, &plan::Request::default()).await?.plan,
        };
        if let Some(foretold) = foretold {
            self.check_foretold(&foretold.plan, &found, &plan);
        }
        if plan.is_empty() {
            return Ok((true, true, String::new()));
        }
        let shown: Vec<String> =
            plan.changes.iter().map(|change| format!("{} {}", change.action.word(), change.address)).collect();
        self.tell(format!("plans {}", shown.join(", ")));
        let sources = workspace.sources().clone();
        apply::preflight(&connections, &plan, &sources)?;
        let (sender, mut events) = mpsc::unbounded_channel();
        let applied = apply::make(&mut workspace, &connections, &plan, &sources, &request, sender, stop).await;
        while let Ok(event) = events.try_recv() {
            self.hear(format!("{event:?}"));
        }
        let outcome = applied?.outcome;
        self.hear(format!("{outcome:?}"));
        let failed: Vec<String> =
            outcome.failed.iter().map(|it| format!("{}: {} {}", it.address, it.diagnostic.code, it.diagnostic.message)).collect();
        Ok((outcome.is_complete(), false, failed.join("; ")))
    }

    /// Law: what a plan says for certain of calls that were left open is what recovery finds, and where it says that of all, the plan
    /// after recovery is the same.
    fn check_foretold(&self, foretold: &Plan, found: &BTreeMap<Address, Settlement>, plan: &Plan) {
        for it in &foretold.foreseen {
            self.tell(format!("foreseen {} {}: {:?}, {}", it.action, it.address, it.became, it.words));
        }
        let certain: Vec<_> = foretold.foreseen.iter().filter(|it| it.certain).collect();
        for it in &certain {
            let expected = match it.became {
                Became::Done => Settlement::Adopted,
                Became::NotDone => Settlement::Absent,
                Became::Again => Settlement::Repeated,
                Became::Unknown => Settlement::Flagged,
            };
            if found.get(&it.address) != Some(&expected) {
                self.violates(format!(
                    "{} {} was foreseen as {expected:?}, and is {:?}",
                    it.action,
                    it.address,
                    found.get(&it.address)
                ));
            }
        }
        let all = certain.len() == foretold.foreseen.len()
            && !certain.is_empty()
            && certain.iter().all(|it| it.became != Became::Again);
        let (before, after) = (effects(foretold), effects(plan));
        if all && before != after {
            let (before, after) = (before.join("\n  "), after.join("\n  "));
            self.violates(format!("the plan foretold\n  {before}\nand after recovery it is\n  {after}"));
        }
        let mut lived = self.lived.lock().expect("nothing panics while it holds this");
        lived.foreseen += certain.len() as u32;
        lived.foretold += u32::from(all);
    }

    fn calm(&self) {
        self.net.set_weather(Weather::default());
        self.disk.fails.store(0, Ordering::Relaxed);
        self.tell("calm".into());
    }

    /// Applies until there is nothing to do, waits for everything that may be under way, and looks at all of it.
    async fn finish(&self, model: &Model, text: &str) {
        let mut text = text.to_owned();
        let mut last = String::new();
        let mut done = false;
        // Five, and five more after a person has decided what is left to people.
        for turn in 0..10 {
            match self.process(Errand { text: text.clone(), ..Errand::calm() }).await {
                Ended::Over { empty: true, .. } => done = true,
                Ended::Over { words, .. } => last = words,
                Ended::Died => {}
            }
            if done {
                break;
            }
            if turn == 4 {
                let Some(decided) = self.decided(&text, &last) else { break };
                self.tell(format!("a person decides: {last}"));
                self.lived.lock().expect("nothing panics while it holds this").questions.push(last.clone());
                text = decided;
            }
        }
        let errand = || Errand { text: text.clone(), ..Errand::calm() };
        if !done {
            self.violates(format!("five applies in calm weather do not come to an end: {last}"));
        }
        self.clock.sleep(LINGER * 3).await;
        if done && !matches!(self.process(errand()).await, Ended::Over { empty: true, .. }) {
            self.violates("after the end the next plan is not empty".into());
        }
        self.check_now(model, "at the end").await;
        if let Err(words) = self.check_end(model, done).await {
            self.violates(words);
        }
    }

    /// What a person writes who is told that two programs of different age have met: whoever applied the older one has made again what
    /// the newer one had moved (SW0302), or the newer one wants another address of a sort of which the platform gives an app one.
    fn decided(&self, text: &str, asked: &str) -> Option<String> {
        let set = |address: &str| address.split('[').next().unwrap_or(address).to_owned();
        if let Some((_, rest)) = asked.split_once("SW0302 `") {
            let (from, rest) = rest.split_once("` cannot become `")?;
            let (to, _) = rest.split_once("`, which has a record already")?;
            let moved = format!("moved {{ from = \"{}\", to = \"{}\" }}", set(from), set(to));
            return text.contains(&moved).then(|| text.replace(&moved, ""));
        }
        let (new, _) = asked.split_once(": SW0610 fly refused").filter(|_| asked.contains(" address already"))?;
        let lived = self.lived.lock().expect("nothing panics while it holds this");
        let planned = lived.story.iter().rev().find(|line| line.contains(" plans "))?;
        let (_, rest) = planned.split_once("destroy fly.ip.")?;
        let old = rest.split([',', ' ']).next()?;
        Some(format!("{text}\nmoved {{ from = \"fly.ip.{old}\", to = \"{new}\" }}\n"))
    }

    async fn facts(&self) -> Facts {
        let state = self.origin.again().await.expect("the log can be read");
        let records = state.view().records.iter().map(|(address, record)| (address.to_string(), record.protect)).collect();
        let fly = self.net.contents("fly");
        let apps = fly["apps"].as_object().cloned().unwrap_or_default();
        let machines = apps.values().flat_map(|app| app["machines"].as_object().cloned().unwrap_or_default());
        let machines = machines.filter_map(|(_, machine)| Some(machine["name"].as_str()?.to_owned())).collect();
        Facts { machines, records }
    }

    /// Law: every live object is recorded, or its call is open.
    async fn check_now(&self, model: &Model, when: &str) {
        let state = match self.origin.again().await {
            Ok(state) => state,
            Err(diagnostic) => return self.violates(format!("the log cannot be read {when}: {}", diagnostic.message)),
        };
        let view = state.view();
        let open: BTreeSet<String> = view.open.keys().map(|operation| operation.token()).collect();
        let schemas = registry::schemas();
        let recorded: BTreeSet<(String, String)> = view
            .records
            .values()
            .chain(view.deposed.values().flatten())
            .filter_map(|record| {
                let kind = schemas.kind(&record.kind)?;
                let text = |name: &str| record.attribute(name).and_then(Value::as_text).map(str::to_owned);
                let id = match &*kind.name {
                    "fly.secret" => format!("{}/{}", text("app")?, text("name")?),
                    _ => text(&kind.id)?,
                };
                Some((kind.name.to_string(), id))
            })
            .collect();
        let forgotten = model.forgotten();
        let fly = self.net.contents("fly").to_string();
        for ((kind, id), token) in self.net.live() {
            let is_forgotten = kind == "fly.machine" && !forgotten.is_empty() && self.is_named(&id, &forgotten);
            if !recorded.contains(&(kind.clone(), id.clone())) && !open.contains(&token) && !is_forgotten {
                self.violates(format!("{when}: {kind} {id}, made by {token}, is neither recorded nor open"));
            }
        }
        drop(fly);
    }

    fn is_named(&self, id: &str, names: &BTreeSet<String>) -> bool {
        let fly = self.net.contents("fly");
        let apps = fly["apps"].as_object().cloned().unwrap_or_default();
        let name = apps.values().find_map(|app| app["machines"][id]["name"].as_str().map(str::to_owned));
        name.is_some_and(|name| names.contains(&name))
    }

    async fn check_end(&self, model: &Model, done: bool) -> Result<(), String> {
        let said = |it: Box<stackwright::model::Diagnostic>| it.message.clone();
        let state = self.origin.again().await.map_err(said)?;
        let entries = state.entries().await.map_err(said)?;
        let replayed = state.replay(&entries, |_, _, _| {}).map_err(said)?;
        if format!("{replayed:?}") != format!("{:?}", state.view()) {
            return Err("the view is not what the log amounts to".into());
        }
        // The snapshot's fold, too.
        let verified = stackwright::audit::verify_log(&state, &stackwright::audit::Trust::default()).await;
        if let Some(failed) = verified.checks.iter().find(|check| check.finding == stackwright::audit::Finding::Failed) {
            return Err(format!("verify: {}", failed.words));
        }
        if done && !model.has_library() {
            let (fly, cloudflare) = (self.net.contents("fly"), self.net.contents("cloudflare"));
            let (wanted, found) = (model.expected(), held(&fly, &cloudflare, &model.forgotten()));
            if wanted != found {
                return Err(format!("the program wants\n  {}\nand there is\n  {}", wanted.join("\n  "), found.join("\n  ")));
            }
        }
        self.check_secrets(&state, &entries).await?;
        let mut hash = Sha256::new();
        entries.iter().for_each(|entry| hash.update(entry.hash().0));
        let said = self.said.lock().expect("nothing panics while it holds this").clone();
        said.iter().for_each(|words| hash.update(words));
        self.net.journal().iter().for_each(|line| hash.update(line));
        let mut lived = self.lived.lock().expect("nothing panics while it holds this");
        lived.story.iter().for_each(|line| hash.update(line));
        lived.bytes = hash.finalize().into();
        (lived.requests, lived.entries) = (self.net.journal().len(), entries.len());
        Ok(())
    }

    /// Law: no secret in clear in any byte of log, snapshot, events, errors.
    async fn check_secrets(&self, state: &State, entries: &[stackwright::state::contract::Entry]) -> Result<(), String> {
        let mut secrets = BTreeSet::from([GIVEN.to_owned()]);
        // All values that there ever were.
        state
            .replay(entries, |view, _, _| {
                for record in view.records.values() {
                    record.computed.values().chain(record.inputs.values()).for_each(|value| collect(value, false, &mut secrets));
                }
            })
            .map_err(|it| it.message)?;
        let snapshot = self.disk.memory.snapshot().await.map(|it| it.bytes.to_vec()).unwrap_or_default();
        let said = self.said.lock().expect("nothing panics while it holds this").join("\n");
        let story = self.lived.lock().expect("nothing panics while it holds this").story.join("\n");
        let bodies: Vec<u8> = entries.iter().flat_map(|entry| entry.body.iter().copied()).collect();
        let places =
            [("log", &bodies[..]), ("snapshot", &snapshot), ("what was said", said.as_bytes()), ("story", story.as_bytes())];
        for (place, bytes) in places {
            let text = String::from_utf8_lossy(bytes);
            if secrets.iter().any(|secret| text.contains(secret.as_str())) {
                return Err(format!("{place} holds a secret in clear"));
            }
        }
        Ok(())
    }
}

/// What a plan does, a line a change.
fn effects(plan: &Plan) -> Vec<String> {
    plan.changes.iter().map(|it| format!("{} {} {:?}", it.action.word(), it.address, it.fields)).collect()
}

fn collect(value: &Value, within: bool, into: &mut BTreeSet<String>) {
    let secret = within || value.mark.secret;
    match &value.data {
        Data::Text(text) if secret && text.len() >= 8 => drop(into.insert(text.to_string())),
        Data::List(items) => items.iter().for_each(|item| collect(item, secret, into)),
        Data::Map(fields) | Data::Variant(_, fields) => fields.values().for_each(|it| collect(it, secret, into)),
        _ => {}
    }
}

async fn join_all<T>(all: impl IntoIterator<Item = impl Future<Output = T>>) {
    let mut all: Vec<_> = all.into_iter().map(|it| (Box::pin(it), false)).collect();
    std::future::poll_fn(|context| {
        for (future, over) in all.iter_mut().filter(|(_, over)| !*over) {
            *over = future.as_mut().poll(context).is_ready();
        }
        if all.iter().all(|(_, over)| *over) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await
}

fn workspace(text: &str, world: &World, line: Line, state: State) -> Workspace {
    let settings = Settings {
        dir: "/nowhere".into(),
        clouds: Clouds::Behind(Arc::new(line)),
        world: world.clone(),
        variable: Arc::new(|name| (name == "STACK_SECRET_given").then(|| GIVEN.to_owned())),
        variables: Arc::new(|_| Vec::new()),
        parallel: None,
        ask: None,
        tell: Arc::new(|_| {}),
    };
    let (program, sources) = program(text);
    let project = Project { program, sources, warnings: Vec::new(), given: Given::default(), inputs: Vec::new() };
    Workspace::over(settings, project, "production".into(), state)
}

type Checked = (Arc<lang::program::Program>, Arc<Sources>);

/// A text is checked once a thread.
fn program(text: &str) -> Checked {
    thread_local! {
        static KNOWN: std::cell::RefCell<BTreeMap<String, Checked>> = const { std::cell::RefCell::new(BTreeMap::new()) };
    }
    KNOWN.with_borrow_mut(|known| {
        if known.len() > 16 {
            known.clear();
        }
        let check = || {
            let texts = vec![("life.stack".into(), text.to_owned())];
            let checked = lang::load(Sources::default(), texts, Arc::new(registry::schemas()));
            let program = checked.program.unwrap_or_else(|| panic!("{:#?}\n{text}", checked.diagnostics));
            (program, checked.sources)
        };
        known.entry(text.to_owned()).or_insert_with(check).clone()
    })
}
