//! The world that one test runs in: states in memory, clouds in this process, time that jumps. Each step does in it what the
//! command of that name does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::apply::Outcome;
use crate::expand::{Elsewhere, Told};
use crate::graph::resources::order_resources;
use crate::lang::program::{Act, Program};
use crate::model::{Diagnostic, Plan, Sources};
use crate::ops::apply::{self, Stop};
use crate::ops::author::Author;
use crate::ops::connections::Sandbox;
use crate::ops::consent;
use crate::ops::desired::desired;
use crate::ops::given::{Given, GivenInput};
use crate::ops::plan;
use crate::ops::policies;
use crate::ops::project::{Failure, Project};
use crate::ops::settings::{Clouds, Settings};
use crate::ops::workspace::Workspace;
use crate::providers::registry;
use crate::providers::sim::{self, Faults, Mocks, Pretend};
use crate::state::State;
use crate::world::{SimulatedClock, World};

/// When it is in every test, at its beginning: 2026-01-01T00:00Z.
const BEGINNING: jiff::Timestamp = jiff::Timestamp::constant(1_767_225_600, 0);

/// What a step is told, beside what it does.
#[derive(Default)]
pub struct StepTold {
    pub inputs: Vec<GivenInput>,
    /// What other stacks give out, by their places in the program.
    pub stacks: BTreeMap<u32, Told>,
    pub mocks: Mocks,
    pub faults: Faults,
    pub only: Vec<String>,
    pub replace: Vec<String>,
    /// Addresses whose loss of data is confirmed.
    pub allow_destroy: Vec<String>,
}

/// What came of a step.
#[derive(Default)]
pub struct Done {
    /// What was planned, where it came to that.
    pub plan: Option<Plan>,
    /// The plan was begun to be made.
    pub applied: bool,
    /// What was wrong; empty where all went well.
    pub errors: Vec<Diagnostic>,
    /// Texts that the errors point into.
    pub sources: Arc<Sources>,
}

/// One test's world.
pub struct TestWorld {
    /// The environment that the step works in.
    pub workspace: Workspace,
    pub clock: Arc<SimulatedClock>,
    /// Other environments that earlier steps worked in.
    others: BTreeMap<String, Workspace>,
    clouds: Arc<sim::Clouds>,
    pretend: Arc<Pretend>,
}

impl TestWorld {
    /// A world in which nothing exists yet. Equal names make equal worlds.
    pub fn new(settings: &Settings, name: &str, environment: &str, program: Arc<Program>, sources: Arc<Sources>) -> TestWorld {
        let (world, clock) = World::simulated(BEGINNING, name.as_bytes());
        let clouds = sim::Clouds::in_memory(&registry::all(), Faults::default(), &world);
        let pretend = Pretend::new(&world);
        let sandbox = Sandbox { clouds: clouds.clone(), pretend: pretend.clone(), mocks: Arc::default() };
        let settings = Settings {
            dir: settings.dir.clone(),
            clouds: Clouds::InProcess(sandbox),
            world,
            variable: Arc::new(|_| None),
            variables: Arc::new(|_| Vec::new()),
            ask: None,
            parallel: None,
            tell: Arc::new(|_| {}),
        };
        let workspace = fresh(settings, environment, program, sources);
        TestWorld { workspace, clock, others: BTreeMap::new(), clouds, pretend }
    }

    /// Goes to an environment, where everything is as an earlier step left it.
    pub fn enter(&mut self, environment: &str, program: Arc<Program>) {
        if self.workspace.environment != environment {
            let known = self.others.remove(environment);
            let (settings, sources) = (self.workspace.settings.clone(), self.workspace.sources().clone());
            let there = known.unwrap_or_else(|| fresh(settings, environment, program.clone(), sources));
            let here = std::mem::replace(&mut self.workspace, there);
            self.others.insert(here.environment.clone(), here);
        }
        self.workspace.project.program = program;
    }

    /// Does a step.
    pub async fn act(&mut self, act: Act, told: StepTold) -> Done {
        let mut done = Done { sources: self.workspace.sources().clone(), ..Done::default() };
        let StepTold { inputs, mocks, faults, .. } = &told;
        self.workspace.project.inputs.clone_from(inputs);
        self.workspace.elsewhere = self.elsewhere(&told.stacks);
        let mocks = Arc::new(mocks.clone());
        self.clouds.set_faults(faults.clone());
        self.pretend.set(mocks.clone(), faults.clone());
        let sandbox = Sandbox { clouds: self.clouds.clone(), pretend: self.pretend.clone(), mocks };
        self.workspace.settings.clouds = Clouds::InProcess(sandbox);
        let result = match act {
            Act::Check => self.check(),
            Act::Plan => self.plan(false, &told, &mut done).await,
            Act::Apply => self.make(false, &told, &mut done).await,
            Act::Destroy => self.make(true, &told, &mut done).await,
        };
        // What goes wrong goes wrong in the step, not while its expectations are looked at.
        self.clouds.set_faults(Faults::default());
        if let Err(failure) = result {
            done.errors.extend(failure.diagnostics);
            done.sources = failure.sources;
        }
        done.errors.retain(Diagnostic::is_error);
        done
    }

    /// What the step is told of other stacks, and what earlier steps left in other environments.
    fn elsewhere(&self, stacks: &BTreeMap<u32, Told>) -> Elsewhere {
        let count = self.workspace.project.program.stacks.len() as u32;
        let environment = |(name, there): (&String, &Workspace)| {
            let view = there.state.view();
            (name.as_str().into(), Ok(Told { revision: view.revision, outputs: view.outputs.clone() }))
        };
        Elsewhere {
            stacks: (0..count).map(|at| Ok(stacks.get(&at).cloned().unwrap_or_default())).collect(),
            environments: self.others.iter().map(environment).collect(),
            in_test: true,
        }
    }

    fn check(&self) -> Result<(), Failure> {
        let desired = desired(&self.workspace)?;
        order_resources(&desired.resources).map(drop).map_err(|circles| self.workspace.failure(circles))
    }

    async fn plan(&mut self, destroy: bool, told: &StepTold, done: &mut Done) -> Result<(), Failure> {
        let request =
            plan::Request { only: told.only.clone(), replace: told.replace.clone(), destroy, ..plan::Request::default() };
        let plan = done.plan.insert(plan::make(&mut self.workspace, &request).await?.plan);
        match policies::refusals(plan) {
            refused if refused.is_empty() => Ok(()),
            refused => Err(self.workspace.failure(refused)),
        }
    }

    /// Settles, plans and makes, as somebody would who said `--yes`.
    async fn make(&mut self, destroy: bool, told: &StepTold, done: &mut Done) -> Result<(), Failure> {
        let request = apply::Request {
            command: if destroy { "destroy" } else { "apply" }.to_owned(),
            author: Author { who: "test".into(), host: "test".into(), commit: None },
            parallel: None,
            lock_wait: Duration::ZERO,
            waiting: apply::Waiting::default(),
            grace: Duration::ZERO,
        };
        let connections = Arc::new(self.workspace.connections().await?);
        if !self.workspace.state.view().open.is_empty() {
            let providers = desired(&self.workspace).map(|desired| desired.providers).unwrap_or_default();
            apply::settle(&mut self.workspace, &connections, providers, &request).await?;
        }
        self.plan(destroy, told, done).await?;
        let Some(plan) = &done.plan else { return Ok(()) };
        let losses = consent::unconfirmed(plan, &told.allow_destroy).map_err(|it| self.workspace.fail(it))?;
        if !losses.is_empty() {
            return Err(self.workspace.fail(refuse_losses(&losses)));
        }
        done.applied = true;
        if plan.is_empty() {
            return Ok(());
        }
        let sources = self.workspace.sources().clone();
        apply::preflight(&connections, plan, &sources)?;
        let (events, _) = mpsc::unbounded_channel();
        let (_stop, stop) = watch::channel(Stop::No);
        let applied = apply::make(&mut self.workspace, &connections, plan, &sources, &request, events, stop).await?;
        done.errors.extend(errors(&applied.outcome));
        Ok(())
    }
}

fn fresh(settings: Settings, environment: &str, program: Arc<Program>, sources: Arc<Sources>) -> Workspace {
    let state = State::memory(environment, &settings.world);
    let project = Project { program, sources, warnings: Vec::new(), given: Given::default(), inputs: Vec::new() };
    Workspace::over(settings, project, environment.to_owned(), state)
}

/// As [`consent::refuse_losses`], with the way out that a test has.
fn refuse_losses(losses: &[crate::model::Address]) -> Box<Diagnostic> {
    let mut refused = consent::refuse_losses(losses);
    let list = losses.iter().map(|it| format!("\"{}\"", it.as_str().replace('"', "\\\""))).collect::<Vec<_>>().join(", ");
    refused.help = vec![format!("to lose it, write `allow_destroy = [{list}]` in the step; to expect it, `expect refused()`")];
    refused
}

/// What was wrong with an apply, each with its address.
fn errors(outcome: &Outcome) -> Vec<Diagnostic> {
    let failed = outcome.failed.iter().map(|failed| match failed.diagnostic.address {
        Some(_) => failed.diagnostic.clone(),
        None => failed.diagnostic.clone().about(failed.address.clone()),
    });
    failed.chain(outcome.broken.iter().map(|it| (**it).clone())).collect()
}
