//! Connections to platforms, made when they are first needed, and the simulated clouds that they speak to under `--sim`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use secrecy::SecretString;

use super::settings::{Clouds, Settings};
use crate::apply::Connect;
use crate::model::{Code, DesiredProvider, Diagnostic, Name, ProviderName};
use crate::providers::contract::{Connection, Provider, Surroundings, Transport};
use crate::providers::http::Network;
use crate::providers::registry;
use crate::providers::sim::{Faults, Simulation};

/// What all connections of one command have in common.
pub struct Connections {
    settings: Settings,
    stack: String,
    environment: String,
    store: String,
    transport: Arc<dyn Transport>,
    simulation: Option<Arc<Simulation>>,
    open: Mutex<BTreeMap<ProviderName, Arc<dyn Connection>>>,
}

impl Connections {
    /// `store` is the id of the state's store, which goes into every mark on a platform. Under `--sim` the clouds are there when
    /// this returns.
    ///
    /// Errors: those of [`Simulation::open`] and [`Simulation::at`].
    pub async fn open(settings: &Settings, stack: &str, environment: &str, store: &str) -> Result<Connections, Box<Diagnostic>> {
        let simulation = match &settings.clouds {
            Clouds::Real => None,
            Clouds::SimulatedAt(url) => Some(Arc::new(Simulation::at(url).await?)),
            Clouds::Simulated => {
                let dir = settings.world_dir().join("clouds");
                Some(Arc::new(Simulation::open(&registry::all(), &dir, Faults::default(), &settings.world).await?))
            }
        };
        let transport: Arc<dyn Transport> = match &simulation {
            Some(simulation) => simulation.clone(),
            None => Arc::new(Network::new()),
        };
        Ok(Connections {
            settings: settings.clone(),
            stack: stack.to_owned(),
            environment: environment.to_owned(),
            store: store.to_owned(),
            transport,
            simulation,
            open: Mutex::default(),
        })
    }

    /// The same clouds for a store that has got its id.
    pub fn for_store(&self, store: &str) -> Connections {
        Connections {
            settings: self.settings.clone(),
            stack: self.stack.clone(),
            environment: self.environment.clone(),
            store: store.to_owned(),
            transport: self.transport.clone(),
            simulation: self.simulation.clone(),
            open: Mutex::default(),
        }
    }

    /// Lets requests of other commands to clouds that this one serves end.
    pub async fn close(&self) {
        if let Some(simulation) = &self.simulation {
            simulation.close().await;
        }
    }

    /// What would keep resources of these kinds from being created, found before anything is.
    pub fn preflight(&self, kinds: &BTreeMap<ProviderName, BTreeSet<Name>>) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (name, kinds) in kinds {
            match provider(name) {
                Ok(provider) => found.extend(provider.preflight(kinds, &self.surroundings(&*provider))),
                Err(diagnostic) => found.push(*diagnostic),
            }
        }
        found
    }

    fn surroundings(&self, provider: &dyn Provider) -> Surroundings {
        let schema = provider.schema();
        let simulation = self.simulation.as_ref().filter(|_| provider.cloud().is_some());
        let variable = self.settings.variable.clone();
        // Something that stands in front of the simulated cloud, such as a validator, has an address of its own.
        let in_front = variable(&format!("STACKWRIGHT_{}_URL", schema.name.to_uppercase()));
        let in_front = in_front.filter(|_| simulation.is_some()).map(|url| url.trim_end_matches('/').to_owned());
        let transport = if in_front.is_some() { Arc::new(Network::new()) } else { self.transport.clone() };
        Surroundings {
            world: self.settings.world.clone(),
            transport,
            base_url: in_front.or_else(|| simulation.map(|it| it.base_url(&schema.name))),
            simulated: simulation.is_some(),
            stack_dir: self.settings.dir.clone(),
            data_dir: self.settings.data_dir(&self.environment),
            store_id: self.store.clone(),
            stack: self.stack.clone(),
            environment: self.environment.clone(),
            variable: Arc::new(move |name| variable(name).map(SecretString::from)),
        }
    }
}

impl Connect for Connections {
    fn connect(&self, provider: &DesiredProvider) -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(connection) = open.get(&provider.name) {
            return Ok(connection.clone());
        }
        let platform = self::provider(&provider.name)?;
        let connected = platform.connect(&provider.settings, &self.surroundings(&*platform));
        let connection = connected.map_err(|diagnostic| match provider.span.is_engine() {
            true => diagnostic,
            false => Box::new(diagnostic.label(provider.span, format!("`{}` needs it", self.environment))),
        })?;
        open.insert(provider.name.clone(), connection.clone());
        Ok(connection)
    }
}

fn provider(name: &ProviderName) -> Result<Arc<dyn Provider>, Box<Diagnostic>> {
    registry::provider(&name.ty).ok_or_else(|| {
        let text = format!("this program has no provider `{}`, which the state's resources need", name.ty);
        Box::new(Code::UnknownProvider.error(text).help("use a version of stackwright that has it"))
    })
}
