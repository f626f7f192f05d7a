//! Which step starts when: after what it waits for, the longest remaining path first, inside the budgets of its provider.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashSet;
use tokio::task::JoinSet;

use super::event::{Event, StepName};
use super::gate::Gate;
use super::outcome::{Failure, NotStarted, Outcome};
use super::perform::{Lane, Performed, Performer, Trouble};
use super::prepare::{Job, Live, Prepare, prepare, resolve, too_late};
use super::retry::Retries;
use super::{ApplyOptions, Stop, Surroundings};
use crate::graph;
use crate::model::{Action, Address, Change, DesiredProvider, Diagnostic, Fields, Plan, ProviderName, Span};
use crate::plan::{self, Half, Judged, Steps, effects, steps};
use crate::state::View;

/// What a step is taken to last while there are too few past runs to tell.
const USUAL: Duration = Duration::from_secs(1);

pub(super) async fn run(plan: &Plan, view: Arc<View>, surroundings: Surroundings, options: &ApplyOptions) -> Outcome {
    let mut dispatcher = Dispatcher::new(plan, view, surroundings, options);
    dispatcher.tell_layout();
    dispatcher.refuse_blocked();
    dispatcher.run().await;
    dispatcher.finish()
}

struct Dispatcher<'p> {
    plan: &'p Plan,
    options: &'p ApplyOptions,
    with: Surroundings,
    view: Arc<View>,
    live: Live,
    steps: Steps,
    /// By step: what waits for it.
    waiting: Vec<Vec<u32>>,
    /// By step: how many it still waits for.
    open_waits: Vec<u32>,
    /// By step: the longest path that begins with it.
    remaining: Vec<Duration>,
    state: Vec<StepState>,
    /// Steps that wait for nothing but their turn, a heap for each provider instance; `None` for those that call nobody.
    ready: BTreeMap<Option<ProviderName>, BinaryHeap<(Duration, Reverse<u32>)>>,
    lanes: BTreeMap<ProviderName, Option<LaneState>>,
    running: JoinSet<(u32, Performed)>,
    /// Steps at which a requirement is judged: its place in the plan.
    gates: BTreeMap<u32, u32>,
    /// Steps that run, with what decides whether their change owes a destroy afterwards.
    owing: BTreeMap<u32, bool>,
    /// Destroys that came up during the run, at its end.
    owed: Vec<u32>,
    /// Changes of which was said that they failed, or are not started.
    said: FxHashSet<u32>,
    /// By change: halves that are not over.
    halves_left: Vec<u32>,
    stopping: Option<Stop>,
    retries: Arc<Retries>,
    outcome: Outcome,
}

struct LaneState {
    lane: Lane,
    concurrent: usize,
    running: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum StepState {
    Waiting,
    Running,
    Done,
    Failed,
    /// Will not start, and that was said.
    Left,
}

impl<'p> Dispatcher<'p> {
    fn new(plan: &'p Plan, view: Arc<View>, with: Surroundings, options: &'p ApplyOptions) -> Dispatcher<'p> {
        let steps = steps(plan);
        let count = steps.all.len();
        let mut waiting = vec![Vec::new(); count];
        let mut open_waits = vec![0; count];
        for wait in &steps.waits {
            waiting[wait.on as usize].push(wait.node);
            open_waits[wait.node as usize] += 1;
        }
        let cost = |step: &Option<(u32, Half)>| match step {
            Some((change, half)) => usual(&view, &plan.changes[*change as usize], *half).unwrap_or(USUAL),
            None => Duration::ZERO,
        };
        let costs: Vec<Duration> = steps.all.iter().map(cost).collect();
        let remaining = graph::remaining(&steps.order, steps.waits.iter().copied(), &costs);
        let mut halves_left = vec![0; plan.changes.len()];
        steps.all.iter().flatten().for_each(|(change, _)| halves_left[*change as usize] += 1);
        let gates = steps.gates.iter().copied().collect();
        let is_call = |step: &&(u32, Half)| lane_of(&plan.changes[step.0 as usize], step.1).is_some();
        let calls = steps.all.iter().flatten().filter(is_call).count();
        Dispatcher {
            plan,
            options,
            live: Live::new(view.clone(), &plan.changes),
            with,
            view,
            state: vec![StepState::Waiting; count],
            steps,
            waiting,
            open_waits,
            remaining,
            ready: BTreeMap::new(),
            lanes: BTreeMap::new(),
            running: JoinSet::new(),
            gates,
            owing: BTreeMap::new(),
            owed: Vec::new(),
            said: FxHashSet::default(),
            halves_left,
            stopping: None,
            retries: Arc::new(Retries::of(calls as u32)),
            outcome: Outcome::default(),
        }
    }

    fn tell_layout(&self) {
        let order = self.steps.order.iter().filter_map(|at| self.steps.all[*at as usize]);
        let laid = order.map(|(change, half)| {
            let usual = usual(&self.view, &self.plan.changes[change as usize], half);
            (self.name(change, half), usual)
        });
        self.tell(Event::Laid { steps: laid.collect() });
    }

    /// What an earlier run left in a state nobody knows is not touched, and neither is what depends on it.
    fn refuse_blocked(&mut self) {
        for at in 0..self.steps.all.len() as u32 {
            let Some((change, _)) = self.steps.all[at as usize] else { continue };
            let address = &self.plan.changes[change as usize].address;
            if let Some(why) = self.options.blocked.get(address) {
                let provider = self.plan.changes[change as usize].kind.provider();
                let diagnostic = super::refusal::unknown(&address.clone(), provider, why);
                self.fail(at, Box::new(diagnostic), Duration::ZERO, false);
            }
        }
    }

    async fn run(&mut self) {
        let first: Vec<u32> = (0..self.steps.all.len() as u32).filter(|at| self.open_waits[*at as usize] == 0).collect();
        first.into_iter().for_each(|at| self.make_ready(at));
        let mut stop = self.with.stop.clone();
        let world = self.with.world.clone();
        let mut grace: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(std::future::pending());
        loop {
            let asked = *stop.borrow_and_update();
            if asked > self.stopping.unwrap_or_default() {
                if self.stopping.is_none() {
                    self.tell(Event::Stopping { running: self.running.len() });
                    let span = self.options.grace;
                    let world = world.clone();
                    grace = Box::pin(async move { world.clock.sleep(span).await });
                }
                self.stopping = Some(asked);
                self.outcome.interrupted = true;
            }
            if self.stopping == Some(Stop::Leave) {
                return self.abandon();
            }
            self.start_ready();
            if self.running.is_empty() && !self.start_owed() {
                return;
            }
            tokio::select! {
                biased;
                () = signalled(&mut stop) => {}
                Some(done) = self.running.join_next() => match done {
                    Ok((at, performed)) => self.take(at, performed),
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => {}
                },
                () = &mut grace => return self.abandon(),
            }
        }
    }

    fn may_start(&self) -> bool {
        self.stopping.is_none() && self.outcome.broken.is_none()
    }

    fn make_ready(&mut self, at: u32) {
        if self.state[at as usize] != StepState::Waiting {
            return;
        }
        match self.steps.all[at as usize] {
            None => self.complete(at),
            Some((change, half)) => {
                let lane = lane_of(&self.plan.changes[change as usize], half);
                self.ready.entry(lane).or_default().push((self.remaining[at as usize], Reverse(at)));
            }
        }
    }

    /// Starts what is ready, as far as budgets allow.
    fn start_ready(&mut self) {
        while self.may_start() && self.running.len() < self.options.parallel.max(1) {
            let startable = |(lane, heap): (&Option<ProviderName>, &BinaryHeap<(Duration, Reverse<u32>)>)| {
                let free = match lane.as_ref().and_then(|name| self.lanes.get(name)) {
                    Some(Some(lane)) => lane.running < lane.concurrent,
                    // Not connected yet, or not to be connected, or nobody to call.
                    Some(None) | None => true,
                };
                heap.peek().filter(|_| free).map(|(remaining, at)| (*remaining, *at, lane.clone()))
            };
            let Some((_, Reverse(at), lane)) = self.ready.iter().filter_map(startable).max() else { return };
            self.ready.get_mut(&lane).expect("it was just looked at").pop();
            if self.state[at as usize] == StepState::Waiting {
                self.start(at, lane);
            }
        }
    }

    fn start(&mut self, at: u32, lane: Option<ProviderName>) {
        let (change_at, half) = self.steps.all[at as usize].expect("only steps that do something are started");
        let change = &self.plan.changes[change_at as usize];
        let step = self.name(change_at, half);
        self.tell(Event::Started { step: step.clone(), usual: usual(&self.view, change, half) });
        let digest = self.with.digest.clone();
        let effect = effects::effect(change, &*digest);
        let with = Prepare { live: &self.live, sources: &self.with.sources, effect };
        let job = match prepare(change, half, &with) {
            Ok(job) => job,
            Err(diagnostic) => return self.fail(at, diagnostic, Duration::ZERO, true),
        };
        let lane = match (&job, lane) {
            (Job::Nothing, _) => {
                self.state[at as usize] = StepState::Done;
                self.tell(Event::Done { step, took: Duration::ZERO, same: true });
                return self.over(at);
            }
            (Job::Write { .. }, _) | (_, None) => None,
            (Job::Calls { .. } | Job::Read { .. } | Job::Adopt(_), Some(name)) => match self.lane(&name) {
                Ok(lane) => Some(lane),
                Err(Some(diagnostic)) => return self.fail(at, diagnostic, Duration::ZERO, true),
                Err(None) => return self.leave(at, format!("`{name}` cannot be used")),
            },
        };
        if let (Some(_), Some(name)) = (&lane, lane_of(change, half))
            && let Some(Some(lane)) = self.lanes.get_mut(&name)
        {
            lane.running += 1;
        }
        self.owing.insert(at, matches!(job, Job::Calls { owes_destroy: true, .. }));
        self.state[at as usize] = StepState::Running;
        let performer = Performer {
            journal: self.with.journal.clone(),
            world: self.with.world.clone(),
            events: self.with.events.clone(),
            retries: self.retries.clone(),
        };
        self.running.spawn(async move { (at, performer.perform(step, job, lane).await) });
    }

    /// The connection to a provider instance, made when it is first needed. `Err(None)`: it failed before, and that was said.
    fn lane(&mut self, name: &ProviderName) -> Result<Lane, Option<Box<Diagnostic>>> {
        if let Some(known) = self.lanes.get(name) {
            return known.as_ref().map(|known| known.lane.clone()).ok_or(None);
        }
        let connected = self.connect(name);
        match connected {
            Ok(known) => {
                let lane = known.lane.clone();
                self.lanes.insert(name.clone(), Some(known));
                Ok(lane)
            }
            Err(diagnostic) => {
                self.lanes.insert(name.clone(), None);
                Err(Some(diagnostic))
            }
        }
    }

    fn connect(&self, name: &ProviderName) -> Result<LaneState, Box<Diagnostic>> {
        let declared = self.plan.providers.iter().find(|provider| provider.name == *name);
        let mut provider = declared.cloned().unwrap_or_else(|| DesiredProvider {
            name: name.clone(),
            settings: Fields::new(),
            span: Span::ENGINE,
        });
        for value in provider.settings.values_mut() {
            *value = resolve(value, &self.live)?;
        }
        let connection = self.with.connect.connect(&provider)?;
        let budget = connection.budget();
        let gate = Arc::new(Gate::new(budget, self.with.world.clone()));
        let concurrent = (budget.concurrent as usize).max(1);
        Ok(LaneState { lane: Lane { connection, gate }, concurrent, running: 0 })
    }

    /// Takes over what a step's task gives back.
    fn take(&mut self, at: u32, performed: Performed) {
        let (change_at, half) = self.steps.all[at as usize].expect("only steps that do something are started");
        let change = &self.plan.changes[change_at as usize];
        if let Some(name) = lane_of(change, half).filter(|_| performed.called)
            && let Some(Some(lane)) = self.lanes.get_mut(&name)
        {
            lane.running -= 1;
        }
        self.live.take(&performed.writes);
        if let Some(read) = performed.read {
            self.live.take_read(&change.address, read);
        }
        let owes = self.owing.remove(&at).unwrap_or(false);
        match performed.result {
            Ok(()) => {
                self.state[at as usize] = StepState::Done;
                self.tell(Event::Done { step: self.name(change_at, half), took: performed.took, same: false });
                if owes {
                    self.owed.push(change_at);
                    self.halves_left[change_at as usize] += 1;
                }
                self.over(at);
            }
            Err(Trouble::Failed(diagnostic)) => self.fail(at, diagnostic, performed.took, true),
            Err(Trouble::Unknown(diagnostic)) => {
                self.outcome.open.push(change.address.clone());
                self.fail(at, diagnostic, performed.took, true);
            }
            // It is said once, at the end: nothing is wrong with these resources.
            Err(Trouble::Broken(diagnostic)) => {
                self.outcome.open.push(change.address.clone());
                self.outcome.log_broke(diagnostic);
                self.state[at as usize] = StepState::Left;
                self.tell(Event::Abandoned { step: self.name(change_at, half) });
            }
            Err(Trouble::NotBegun(diagnostic)) => {
                self.outcome.log_broke(diagnostic);
                self.state[at as usize] = StepState::Left;
                self.say_not_started(change_at, half, "the log cannot be written".to_owned());
            }
        }
    }

    /// A step is done: what waits for nothing else becomes ready.
    fn over(&mut self, at: u32) {
        if let Some((change, _)) = self.steps.all[at as usize] {
            self.halves_left[change as usize] -= 1;
            if self.halves_left[change as usize] == 0 {
                let word = self.plan.changes[change as usize].action.word();
                *self.outcome.counts.entry(word.into()).or_default() += 1;
                self.outcome.done.push(change);
            }
        }
        self.complete(at);
    }

    /// Releases what waits for a step, through steps that only pass the order on.
    fn complete(&mut self, at: u32) {
        let mut over = vec![at];
        while let Some(at) = over.pop() {
            if !self.judge(at) {
                continue;
            }
            self.state[at as usize] = StepState::Done;
            for next in std::mem::take(&mut self.waiting[at as usize]) {
                let open = &mut self.open_waits[next as usize];
                *open -= 1;
                if *open > 0 || self.state[next as usize] != StepState::Waiting {
                    continue;
                }
                match self.steps.all[next as usize] {
                    None => over.push(next),
                    Some(_) => self.make_ready(next),
                }
            }
        }
    }

    /// Whether the requirement of a step holds, if it has one. What uses what it reads is not started otherwise.
    fn judge(&mut self, at: u32) -> bool {
        let Some(place) = self.gates.get(&at) else { return true };
        let requirement = &self.plan.requirements[*place as usize];
        let diagnostic = match plan::judge(requirement, &|address, path| self.live.attribute(address, path)) {
            Judged::Holds => return true,
            Judged::Broken(diagnostic) => diagnostic,
            Judged::Open(left) => Box::new(too_late(&left.cond).label(left.span, "required here")),
        };
        self.state[at as usize] = StepState::Failed;
        let address = requirement.address.clone().unwrap_or_else(|| Address::root("stack", &self.plan.stack));
        self.tell(Event::Required { address: address.clone(), diagnostic: diagnostic.clone() });
        let why = format!("it waits for a requirement of `{address}`, which does not hold");
        let why_last = format!("destroys come last, and a requirement of `{address}` does not hold");
        self.outcome.failed.push(Failure { change: u32::MAX, address, diagnostic: *diagnostic });
        self.leave_waiting(at, &why, &why_last);
        false
    }

    fn fail(&mut self, at: u32, diagnostic: Box<Diagnostic>, took: Duration, started: bool) {
        let (change, half) = self.steps.all[at as usize].expect("only steps that do something fail");
        if self.state[at as usize] == StepState::Failed || self.state[at as usize] == StepState::Left {
            return;
        }
        self.state[at as usize] = StepState::Failed;
        let address = self.plan.changes[change as usize].address.clone();
        if started {
            self.tell(Event::Failed { step: self.name(change, half), took, diagnostic: diagnostic.clone() });
        }
        self.said.insert(change);
        self.outcome.failed.push(Failure { change, address: address.clone(), diagnostic: *diagnostic });
        self.leave_dependents(at, &address);
    }

    fn leave(&mut self, at: u32, why: String) {
        let (change, half) = self.steps.all[at as usize].expect("only steps that do something are left");
        if self.state[at as usize] != StepState::Waiting {
            return;
        }
        self.state[at as usize] = StepState::Left;
        self.say_not_started(change, half, why);
        let address = self.plan.changes[change as usize].address.clone();
        self.leave_dependents(at, &address);
    }

    /// Whatever waits for a step that failed, through any number of steps, is not started, and says for what it waits.
    fn leave_dependents(&mut self, at: u32, failed: &Address) {
        let why = format!("it waits for `{failed}`, which failed");
        self.leave_waiting(at, &why, &format!("destroys come last, and `{failed}` failed"));
    }

    /// As [`Dispatcher::leave_dependents`], with words for what is made and for what is destroyed.
    fn leave_waiting(&mut self, at: u32, why: &str, why_last: &str) {
        let mut open = self.waiting[at as usize].clone();
        while let Some(next) = open.pop() {
            if self.state[next as usize] != StepState::Waiting {
                continue;
            }
            self.state[next as usize] = StepState::Left;
            open.extend(&self.waiting[next as usize]);
            if let Some((change, half)) = self.steps.all[next as usize] {
                let last = matches!(self.plan.changes[change as usize].action, Action::Destroy { .. });
                self.say_not_started(change, half, if last { why_last } else { why }.to_owned());
            }
        }
    }

    fn say_not_started(&mut self, change: u32, half: Half, why: String) {
        if self.said.insert(change) {
            let address = self.plan.changes[change as usize].address.clone();
            self.outcome.not_started.push(NotStarted { change, address, why: why.clone() });
            self.tell(Event::NotStarted { step: self.name(change, half), why });
        }
    }

    /// Destroys of objects that were replaced only as it turned out. Whether there are any.
    fn start_owed(&mut self) -> bool {
        if !self.may_start() || self.owed.is_empty() {
            return false;
        }
        for change in std::mem::take(&mut self.owed) {
            let at = self.steps.all.len() as u32;
            self.steps.all.push(Some((change, Half::Unmake)));
            self.state.push(StepState::Waiting);
            self.waiting.push(Vec::new());
            self.open_waits.push(0);
            self.remaining.push(USUAL);
            self.make_ready(at);
        }
        self.start_ready();
        !self.running.is_empty()
    }

    /// Leaves running calls behind. Nothing is written about them: an open intent is the mark.
    fn abandon(&mut self) {
        for at in 0..self.state.len() {
            if let (StepState::Running, Some((change, half))) = (self.state[at], self.steps.all[at]) {
                self.outcome.open.push(self.plan.changes[change as usize].address.clone());
                self.tell(Event::Abandoned { step: self.name(change, half) });
            }
        }
        self.running.abort_all();
    }

    fn finish(mut self) -> Outcome {
        for at in 0..self.state.len() {
            if let (StepState::Waiting, Some((change, half))) = (self.state[at], self.steps.all[at]) {
                let why = if self.outcome.broken.is_some() { "the log cannot be written" } else { "the run was interrupted" };
                self.state[at] = StepState::Left;
                self.say_not_started(change, half, why.to_owned());
            }
        }
        self.outcome.done.sort_unstable();
        self.outcome.failed.sort_by_key(|failure| failure.change);
        self.outcome.not_started.sort_by_key(|it| it.change);
        self.outcome.open.sort();
        self.outcome.open.dedup();
        self.outcome.outputs = self.view.outputs.clone();
        for output in &self.plan.outputs {
            match &output.after {
                None if self.outcome.is_complete() => drop(self.outcome.outputs.remove(&output.name)),
                None => {}
                Some(after) => match resolve(&after.value, &self.live) {
                    Ok(value) => drop(self.outcome.outputs.insert(output.name.clone(), value)),
                    // What it is made from is not there: it stays as it was, and the run says what failed.
                    Err(_) if !self.outcome.is_complete() => {}
                    Err(diagnostic) => self.outcome.failed.push(Failure {
                        change: u32::MAX,
                        address: Address::root("output", &output.name),
                        diagnostic: *diagnostic,
                    }),
                },
            }
        }
        self.outcome
    }

    fn name(&self, change: u32, half: Half) -> StepName {
        let planned = &self.plan.changes[change as usize];
        StepName { change, half, address: planned.address.clone(), action: planned.action.word() }
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more: the run goes on.
        let _ = self.with.events.send(event);
    }
}

/// The provider instance that a step calls, if it calls one for sure.
fn lane_of(change: &Change, half: Half) -> Option<ProviderName> {
    match (&change.action, half) {
        (Action::Move { .. } | Action::Forget | Action::Record, _) => None,
        (_, Half::Unmake) => change.before.as_ref().map(|record| record.provider.clone()),
        (_, Half::Make) => Some(change.provider.clone()),
    }
}

fn usual(view: &View, change: &Change, half: Half) -> Option<Duration> {
    if lane_of(change, half).is_none() {
        return Some(Duration::ZERO);
    }
    view.usual(&change.kind.name, &change.action.word().into())
}

/// Returns when the wish changes; never when nobody can change it any more.
async fn signalled(stop: &mut tokio::sync::watch::Receiver<Stop>) {
    if stop.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
