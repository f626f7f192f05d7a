//! The world that one test runs in: a state in memory, clouds in this process, time that jumps. Each step does in it what the
//! command of that name does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::apply::Outcome;
use crate::graph::resources::order_resources;
use crate::lang::program::Program;
use crate::model::{Diagnostic, Plan, Sources};
use crate::ops::apply::{self, Stop};
use crate::ops::author::Author;
use crate::ops::connections::Sandbox;
use crate::ops::desired::desired;
use crate::ops::given::{Given, GivenInput};
use crate::ops::plan;
use crate::ops::project::{Failure, Project};
use crate::ops::settings::{Clouds, Settings};
use crate::ops::workspace::Workspace;
use crate::providers::registry;
use crate::providers::sim::{self, Faults, Mocks, Pretend};
use crate::state::State;
use crate::world::{SimulatedClock, World};

/// When it is in every test, at its beginning.
const BEGINNING: jiff::Timestamp = jiff::Timestamp::constant(1_767_225_600, 0);

/// What a step does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    Check,
    Plan,
    Apply,
    Destroy,
}

/// What came of a step.
#[derive(Default)]
pub struct Done {
    /// What was planned, where it came to that.
    pub plan: Option<Plan>,
    /// What was wrong; empty where all went well.
    pub errors: Vec<Diagnostic>,
    /// Texts that the errors point into.
    pub sources: Arc<Sources>,
}

/// One test's world.
pub struct TestWorld {
    pub workspace: Workspace,
    pub clock: Arc<SimulatedClock>,
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
            world: world.clone(),
            variable: Arc::new(|_| None),
            variables: Arc::new(|_| Vec::new()),
            parallel: None,
        };
        let project = Project { program, sources, warnings: Vec::new(), given: Given::default(), inputs: Vec::new() };
        let workspace = Workspace::over(settings, project, environment.to_owned(), State::memory(environment, &world));
        TestWorld { workspace, clock, clouds, pretend }
    }

    /// What the steps from now on are given.
    pub fn prepare(&mut self, program: Arc<Program>, inputs: Vec<GivenInput>, mocks: Mocks, faults: Faults) {
        self.workspace.project.program = program;
        self.workspace.project.inputs = inputs;
        let mocks = Arc::new(mocks);
        self.clouds.set_faults(faults.clone());
        self.pretend.set(mocks.clone(), faults);
        let sandbox = Sandbox { clouds: self.clouds.clone(), pretend: self.pretend.clone(), mocks };
        self.workspace.settings.clouds = Clouds::InProcess(sandbox);
    }

    /// Does a step.
    pub async fn act(&mut self, act: Act) -> Done {
        let sources = self.workspace.sources().clone();
        let mut done = Done { sources, ..Done::default() };
        let result = match act {
            Act::Check => self.check(),
            Act::Plan => self.plan(false, &mut done).await,
            Act::Apply => self.make(false, &mut done).await,
            Act::Destroy => self.make(true, &mut done).await,
        };
        if let Err(failure) = result {
            done.errors.extend(failure.diagnostics);
            done.sources = failure.sources;
        }
        done.errors.retain(Diagnostic::is_error);
        done
    }

    fn check(&self) -> Result<(), Failure> {
        let desired = desired(&self.workspace)?;
        order_resources(&desired.resources).map(drop).map_err(|circles| self.workspace.failure(circles))
    }

    async fn plan(&self, destroy: bool, done: &mut Done) -> Result<(), Failure> {
        let request = plan::Request { destroy, ..plan::Request::default() };
        done.plan = Some(plan::make(&self.workspace, &request).await?.plan);
        Ok(())
    }

    /// Settles, plans and makes; whoever writes a test agrees to losing data, and guards hold all the same.
    async fn make(&mut self, destroy: bool, done: &mut Done) -> Result<(), Failure> {
        let request = apply::Request {
            command: if destroy { "destroy" } else { "apply" }.to_owned(),
            author: Author { who: "test".into(), host: "test".into(), commit: None },
            parallel: None,
            lock_wait: Duration::ZERO,
            grace: Duration::ZERO,
        };
        let connections = Arc::new(self.workspace.connections().await?);
        let providers = desired(&self.workspace).map(|desired| desired.providers).unwrap_or_default();
        apply::settle(&mut self.workspace, &connections, providers, &request).await?;
        self.plan(destroy, done).await?;
        let Some(plan) = done.plan.as_ref().filter(|plan| !plan.is_empty()) else { return Ok(()) };
        let sources = self.workspace.sources().clone();
        apply::preflight(&connections, plan, &sources)?;
        let (events, _) = mpsc::unbounded_channel();
        let (_stop, stop) = watch::channel(Stop::No);
        let applied = apply::make(&mut self.workspace, &connections, plan, &sources, &request, events, stop).await?;
        done.errors.extend(errors(&applied.outcome));
        Ok(())
    }
}

/// What was wrong with an apply, each with its address.
fn errors(outcome: &Outcome) -> Vec<Diagnostic> {
    let failed = outcome.failed.iter().map(|failed| match failed.diagnostic.address {
        Some(_) => failed.diagnostic.clone(),
        None => failed.diagnostic.clone().about(failed.address.clone()),
    });
    failed.chain(outcome.broken.iter().map(|it| (**it).clone())).collect()
}
