//! Connections to platforms, made when they are first needed; and the simulated clouds, started when the first of them is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::{Mutex, OnceCell};

use super::settings::{Clouds, Settings};
use crate::model::{Code, Diagnostic, Fields, Name, ProviderName};
use crate::providers::contract::{Connection, Provider, Surroundings, Transport};
use crate::providers::http::Network;
use crate::providers::{registry, sim};

/// What all connections of one command have in common.
pub struct Connections {
    settings: Settings,
    stack: String,
    environment: String,
    store: String,
    transport: Arc<dyn Transport>,
    clouds: OnceCell<SimulatedClouds>,
    open: Mutex<BTreeMap<ProviderName, Arc<dyn Connection>>>,
}

/// The simulated clouds that this command speaks to.
struct SimulatedClouds {
    url: String,
    /// Ours, if nobody else serves them: they end with the command.
    _server: Option<sim::Server>,
}

impl Connections {
    /// `store` is the id of the state's store, which goes into every mark on a platform.
    pub fn new(settings: &Settings, stack: &str, environment: &str, store: &str) -> Connections {
        Connections {
            settings: settings.clone(),
            stack: stack.to_owned(),
            environment: environment.to_owned(),
            store: store.to_owned(),
            transport: Arc::new(Network::new()),
            clouds: OnceCell::new(),
            open: Mutex::default(),
        }
    }

    /// The connection of a provider instance, with these settings the first time.
    ///
    /// Errors: [`Code::UnknownProvider`], and those of [`Provider::connect`].
    pub async fn get(&self, name: &ProviderName, settings: &Fields) -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
        let mut open = self.open.lock().await;
        if let Some(connection) = open.get(name) {
            return Ok(connection.clone());
        }
        let provider = provider(name)?;
        let connection = provider.connect(settings, &self.surroundings(&*provider).await?)?;
        open.insert(name.clone(), connection.clone());
        Ok(connection)
    }

    /// What would keep resources of these kinds from being created, found before anything is.
    pub async fn preflight(&self, kinds: &BTreeMap<ProviderName, BTreeSet<Name>>) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (name, kinds) in kinds {
            match provider(name) {
                Ok(provider) => match self.surroundings(&*provider).await {
                    Ok(surroundings) => found.extend(provider.preflight(kinds, &surroundings)),
                    Err(diagnostic) => found.push(*diagnostic),
                },
                Err(diagnostic) => found.push(*diagnostic),
            }
        }
        found
    }

    async fn surroundings(&self, provider: &dyn Provider) -> Result<Surroundings, Box<Diagnostic>> {
        let schema = provider.schema();
        let simulated = self.settings.simulated() && provider.cloud().is_some();
        let base_url = if simulated { Some(self.simulated_url(&schema.name).await?) } else { None };
        let variable = self.settings.variable.clone();
        Ok(Surroundings {
            world: self.settings.world.clone(),
            transport: self.transport.clone(),
            base_url,
            simulated,
            stack_dir: self.settings.dir.clone(),
            data_dir: self.settings.data_dir(&self.environment),
            store_id: self.store.clone(),
            stack: self.stack.clone(),
            environment: self.environment.clone(),
            variable: Arc::new(move |name| variable(name).map(SecretString::from)),
        })
    }

    /// Where the simulated cloud of a provider is: what `STACKWRIGHT_FLY_URL` says (something that stands in front of it), else its
    /// path on the server of simulated clouds.
    async fn simulated_url(&self, provider: &str) -> Result<String, Box<Diagnostic>> {
        let variable = format!("STACKWRIGHT_{}_URL", provider.to_uppercase());
        if let Some(url) = (self.settings.variable)(&variable) {
            return Ok(url.trim_end_matches('/').to_owned());
        }
        let clouds = self.clouds.get_or_try_init(|| self.start_clouds()).await?;
        Ok(format!("{}/{provider}", clouds.url))
    }

    async fn start_clouds(&self) -> Result<SimulatedClouds, Box<Diagnostic>> {
        match &self.settings.clouds {
            Clouds::SimulatedAt(url) => Ok(SimulatedClouds { url: url.clone(), _server: None }),
            Clouds::Simulated | Clouds::Real => {
                let dir = self.settings.world_dir().join("clouds");
                match sim::attach_or_start(&dir, &self.settings.world).await? {
                    sim::Attached::Running(url) => Ok(SimulatedClouds { url, _server: None }),
                    sim::Attached::Started(server) => Ok(SimulatedClouds { url: server.url().to_owned(), _server: Some(server) }),
                }
            }
        }
    }
}

fn provider(name: &ProviderName) -> Result<Arc<dyn Provider>, Box<Diagnostic>> {
    registry::provider(&name.ty).ok_or_else(|| {
        let text = format!("this program has no provider `{}`, which the state's resources need", name.ty);
        Box::new(Code::UnknownProvider.error(text).help("use a version of stackwright that has it"))
    })
}
