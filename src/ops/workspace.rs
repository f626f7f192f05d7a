//! One stack in one environment: its program, its state and its platforms. What most commands begin with.

use std::sync::Arc;

use super::connections::Connections;
use super::given::Given;
use super::project::{self, Failure, Project};
use super::settings::Settings;
use super::{environment, settings};
use crate::model::{Code, Data, Diagnostic, Schemas, Sources};
use crate::providers::registry;
use crate::state::State;

pub struct Workspace {
    pub settings: Settings,
    pub project: Project,
    pub environment: String,
    pub state: State,
    pub connections: Connections,
    pub schemas: Arc<Schemas>,
}

impl Workspace {
    /// Loads the program, chooses the environment, opens its state. Nothing is asked of a platform and nothing is written.
    pub async fn open(settings: &Settings, given: &Given, environment: Option<&str>) -> Result<Workspace, Failure> {
        let schemas = Arc::new(registry::schemas());
        let project = project::load(settings, schemas.clone(), given)?;
        let at = |diagnostic: Box<Diagnostic>| Failure::new(vec![*diagnostic], project.sources.clone());
        let environment = environment::choose(&project.program, environment).map_err(at)?.name.to_string();
        refuse_other_stores(&project).map_err(at)?;
        let state = State::open(&settings.state_root(), &environment, &settings.world).await.map_err(at)?;
        let store = store_name(&state, settings);
        let connections = Connections::new(settings, &project.program.stack.name, &environment, &store);
        Ok(Workspace { settings: settings.clone(), project, environment, state, connections, schemas })
    }

    pub fn sources(&self) -> &Arc<Sources> {
        &self.project.sources
    }

    /// A failure that points into this program.
    pub fn failure(&self, diagnostics: Vec<Diagnostic>) -> Failure {
        Failure::new(diagnostics, self.project.sources.clone())
    }

    pub fn fail(&self, diagnostic: Box<Diagnostic>) -> Failure {
        self.failure(vec![*diagnostic])
    }
}

/// The id of the store; a store that was never written has the id that its directory gives it.
pub fn store_name(state: &State, settings: &settings::Settings) -> String {
    match state.store_id() {
        Some(id) => id.to_string(),
        None => format!("new:{}", settings.state_root().display()),
    }
}

/// State is kept on this machine; a stack that asks for another store is refused instead of being given a wrong one.
fn refuse_other_stores(project: &Project) -> Result<(), Box<Diagnostic>> {
    let Some(expr) = project.program.stack.settings.get("state") else { return Ok(()) };
    let label = match &expr.kind {
        crate::model::ExprKind::Variant(label, _) => label.to_string(),
        crate::model::ExprKind::Literal(value) => match &value.data {
            Data::Variant(label, _) => label.to_string(),
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    if label == "local" {
        return Ok(());
    }
    let text = format!("this version keeps state on this machine only, and the stack asks for `{label}`");
    Err(Box::new(Code::NotYet.error(text).label(expr.span, "another store").help("write `state = local {}`")))
}
