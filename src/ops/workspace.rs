//! One stack in one environment: its program, its state and its platforms. What most commands begin with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use super::connections::Connections;
use super::elsewhere;
use super::environment;
use super::given::Given;
use super::given_secrets;
use super::project::{self, Failure, Project};
use super::settings::Settings;
use super::stores;
use crate::expand::Elsewhere;
use crate::model::{Address, Diagnostic, KnownSecrets, Name, Schemas, Sources, Value};
use crate::providers::registry;
use crate::state::State;

pub struct Workspace {
    pub settings: Settings,
    pub project: Project,
    pub environment: String,
    pub state: State,
    pub schemas: Arc<Schemas>,
    /// What other states hold of what the program reads.
    pub elsewhere: Elsewhere,
    /// Secrets that were given from outside, read when something first asks for them.
    given_secrets: OnceLock<BTreeMap<Name, Value>>,
    /// Secrets that get another value with the next plan.
    pub rotating: BTreeSet<Address>,
    known_secrets: Arc<KnownSecrets>,
}

impl Workspace {
    /// Loads the program, chooses the environment, opens its state. Nothing is asked of a platform and nothing is written.
    pub async fn open(settings: &Settings, given: &Given, environment: Option<&str>) -> Result<Workspace, Failure> {
        let schemas = Arc::new(registry::schemas());
        let project = project::load(settings, schemas, given)?;
        Workspace::of(settings, project, environment).await
    }

    /// As [`Workspace::open`], of a program that was loaded already.
    pub async fn of(settings: &Settings, project: Project, environment: Option<&str>) -> Result<Workspace, Failure> {
        let at = |diagnostic: Box<Diagnostic>| Failure::new(vec![*diagnostic], project.sources.clone());
        let environment = environment::choose(&project.program, environment).map_err(at)?.name.to_string();
        let state = stores::open(settings, &project.program, &environment).await.map_err(at)?;
        let elsewhere = elsewhere::read(settings, &project.program, &environment).await;
        Ok(Workspace { elsewhere, ..Workspace::over(settings.clone(), project, environment, state) })
    }

    /// A program, a state and platforms put together; nothing is known of other states.
    pub fn over(settings: Settings, project: Project, environment: String, state: State) -> Workspace {
        let schemas = Arc::new(registry::schemas());
        let (given_secrets, known_secrets) = (OnceLock::new(), Arc::default());
        let rotating = BTreeSet::new();
        let elsewhere = Elsewhere::default();
        Workspace { settings, project, environment, state, schemas, elsewhere, given_secrets, rotating, known_secrets }
    }

    /// Secrets that were given from outside, by name; each is read once.
    ///
    /// Errors: those of [`given_secrets::secrets`].
    pub fn given_secrets(&self) -> Result<&BTreeMap<Name, Value>, Failure> {
        if let Some(given) = self.given_secrets.get() {
            return Ok(given);
        }
        let read = given_secrets::secrets(&self.project.program, &self.project.given, &self.settings);
        let given = read.map_err(|diagnostics| self.failure(diagnostics))?;
        given.values().for_each(|value| self.known_secrets.learn(value));
        Ok(self.given_secrets.get_or_init(|| given))
    }

    /// Connections to the platforms; under `--sim` the clouds are started, or found.
    pub async fn connections(&self) -> Result<Connections, Failure> {
        let stack = &self.project.program.stack.name;
        let known = self.known_secrets.clone();
        let view = self.state.view();
        for record in view.records.values().chain(view.deposed.values().flatten()) {
            known.learn_fields(&record.inputs);
            known.learn_fields(&record.computed);
        }
        let open = Connections::open(&self.settings, stack, &self.environment, &store_name(&self.state), known).await;
        open.map_err(|diagnostic| self.fail(diagnostic))
    }

    /// `shop/production`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.project.program.stack.name, self.environment)
    }

    pub fn sources(&self) -> &Arc<Sources> {
        &self.project.sources
    }

    /// A failure that points into this program.
    pub fn failure(&self, diagnostics: Vec<Diagnostic>) -> Failure {
        Failure::new(diagnostics, self.project.sources.clone())
    }

    #[allow(clippy::boxed_local, reason = "every room gives its diagnostics boxed")]
    pub fn fail(&self, diagnostic: Box<Diagnostic>) -> Failure {
        self.failure(vec![*diagnostic])
    }
}

/// The id of the store; empty for one that was never written.
pub fn store_name(state: &State) -> String {
    state.store_id().map(|id| id.to_string()).unwrap_or_default()
}
