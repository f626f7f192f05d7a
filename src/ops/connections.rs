//! Connections to platforms, made when they are first needed, and the simulated clouds that they speak to under `--sim`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use secrecy::SecretString;

use super::settings::{self, Settings};
use super::watched::Watched;
use crate::apply::Connect;
use crate::model::{Code, DesiredProvider, Diagnostic, Fields, Kind, KnownSecrets, Name, ProviderName};
use crate::providers::contract::{Answer, Call, CallError, Connection, Found, Provider, Surroundings, Transport};
use crate::providers::http::Network;
use crate::providers::registry;
use crate::providers::sim::{Clouds, Faults, InProcess, Mocked, Mocks, Pretend, Simulation};

/// What all connections of one command have in common.
pub struct Connections {
    settings: Settings,
    stack: String,
    environment: String,
    store: String,
    platforms: Platforms,
    open: Mutex<BTreeMap<ProviderName, Arc<dyn Connection>>>,
    /// Secrets of this command, to recognise them in what platforms say.
    known: Arc<KnownSecrets>,
}

/// Who answers.
#[derive(Clone)]
enum Platforms {
    /// The platforms themselves, over this network.
    Real(Arc<Network>),
    /// Simulated clouds that are served, on this machine or elsewhere.
    Served(Arc<Simulation>),
    /// Nobody outside of this process.
    InProcess(Sandbox),
    /// The same, behind somebody's network.
    Behind(Arc<dyn Transport>),
}

/// All that a test sees of the world: clouds in memory, everything else pretended. Clones are one.
#[derive(Clone)]
pub struct Sandbox {
    pub clouds: Arc<Clouds>,
    pub pretend: Arc<Pretend>,
    pub mocks: Arc<Mocks>,
}

impl Connections {
    /// As [`Settings::cloud_flag`].
    pub fn cloud_flag(&self) -> String {
        self.settings.cloud_flag()
    }

    /// `store` is the id of the state's store, which goes into every mark on a platform. Under `--sim` the clouds are there when
    /// this returns. Secrets in `known` are recognised in everything that a platform says.
    ///
    /// Errors: those of [`Simulation::open`] and [`Simulation::at`].
    pub async fn open(
        settings: &Settings,
        stack: &str,
        environment: &str,
        store: &str,
        known: Arc<KnownSecrets>,
    ) -> Result<Connections, Box<Diagnostic>> {
        let platforms = match &settings.clouds {
            settings::Clouds::Real => Platforms::Real(Arc::new(Network::new())),
            settings::Clouds::SimulatedAt(url) => Platforms::Served(Arc::new(Simulation::at(url).await?)),
            settings::Clouds::Simulated => {
                let dir = settings.world_dir().join("clouds");
                let opened = Simulation::open(&registry::all(), &dir, Faults::default(), &settings.world).await?;
                Platforms::Served(Arc::new(opened))
            }
            settings::Clouds::InProcess(sandbox) => Platforms::InProcess(sandbox.clone()),
            settings::Clouds::Behind(network) => Platforms::Behind(network.clone()),
        };
        Ok(Connections {
            settings: settings.clone(),
            stack: stack.to_owned(),
            environment: environment.to_owned(),
            store: store.to_owned(),
            platforms,
            open: Mutex::default(),
            known,
        })
    }

    /// The same clouds for a store that has got its id.
    pub fn for_store(&self, store: &str) -> Connections {
        Connections {
            settings: self.settings.clone(),
            stack: self.stack.clone(),
            environment: self.environment.clone(),
            store: store.to_owned(),
            platforms: self.platforms.clone(),
            open: Mutex::default(),
            known: self.known.clone(),
        }
    }

    /// Lets requests of other commands to clouds that this one serves end.
    pub async fn close(&self) {
        if let Platforms::Served(simulation) = &self.platforms {
            simulation.close().await;
        }
    }

    /// What would keep resources of these kinds from being created, found before anything is.
    pub fn preflight(&self, kinds: &BTreeMap<ProviderName, BTreeSet<Name>>) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        if matches!(self.platforms, Platforms::InProcess(_) | Platforms::Behind(_)) {
            return found;
        }
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
        let has_cloud = provider.cloud().is_some();
        let variable = self.settings.variable.clone();
        let (transport, base_url): (Arc<dyn Transport>, Option<String>) = match &self.platforms {
            Platforms::Real(network) => (network.clone(), None),
            Platforms::Served(simulation) => {
                // Something that stands in front of the simulated cloud, such as a validator, has an address of its own.
                let in_front = variable(&format!("STACKWRIGHT_{}_URL", schema.name.to_uppercase())).filter(|_| has_cloud);
                match in_front {
                    Some(url) => (Arc::new(Network::new()), Some(url.trim_end_matches('/').to_owned())),
                    None => (simulation.clone(), has_cloud.then(|| simulation.base_url(&schema.name))),
                }
            }
            Platforms::InProcess(sandbox) => {
                (Arc::new(InProcess(sandbox.clouds.clone())), has_cloud.then(|| InProcess::base_url(&schema.name)))
            }
            Platforms::Behind(network) => (network.clone(), has_cloud.then(|| InProcess::base_url(&schema.name))),
        };
        Surroundings {
            world: self.settings.world.clone(),
            transport,
            simulated: base_url.is_some(),
            base_url,
            stack_dir: self.settings.dir.clone(),
            data_dir: self.settings.data_dir(&self.environment),
            store_id: self.store.clone(),
            stack: self.stack.clone(),
            environment: self.environment.clone(),
            variable: Arc::new(move |name| variable(name).map(SecretString::from)),
        }
    }
}

impl Connections {
    /// What lives in state alone is what it always is; a platform with a cloud is that; all else is pretended.
    fn connect_within(
        &self,
        platform: &dyn Provider,
        provider: &DesiredProvider,
        sandbox: &Sandbox,
    ) -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
        let schema = platform.schema();
        if platform.cloud().is_some() || schema.kinds.values().all(|kind| kind.stored) {
            let inner = platform.connect(&provider.settings, &self.surroundings(platform))?;
            return Ok(Arc::new(Mocked::new(inner, &provider.name, &sandbox.mocks, &sandbox.pretend)));
        }
        let pretended = sandbox.pretend.connection(&provider.name);
        let inner: Arc<dyn Connection> = match schema.kinds.values().any(|kind| kind.stored) {
            true => Arc::new(StoredApart {
                stored: platform.connect(&provider.settings, &self.surroundings(platform))?,
                others: pretended,
            }),
            false => pretended,
        };
        Ok(Arc::new(Mocked::new(inner, &provider.name, &sandbox.mocks, &sandbox.pretend)))
    }
}

/// Kinds that live in state alone by the provider itself, the others by somebody else.
struct StoredApart {
    stored: Arc<dyn Connection>,
    others: Arc<dyn Connection>,
}

impl StoredApart {
    fn of(&self, kind: &Kind) -> &dyn Connection {
        if kind.stored { &*self.stored } else { &*self.others }
    }
}

#[async_trait]
impl Connection for StoredApart {
    async fn list(&self, kind: &Kind, group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        self.of(kind).list(kind, group).await
    }

    async fn read(&self, kind: &Kind, known: &Fields) -> Result<Option<Fields>, CallError> {
        self.of(kind).read(kind, known).await
    }

    async fn perform(&self, call: &Call) -> Result<Answer, CallError> {
        self.of(&call.kind).perform(call).await
    }

    async fn find(&self, call: &Call) -> Result<Found, CallError> {
        self.of(&call.kind).find(call).await
    }
}

impl Connect for Connections {
    fn connect(&self, provider: &DesiredProvider) -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(connection) = open.get(&provider.name) {
            return Ok(connection.clone());
        }
        let platform = self::provider(&provider.name)?;
        let connected = match &self.platforms {
            Platforms::InProcess(sandbox) => self.connect_within(&*platform, provider, sandbox),
            _ => platform.connect(&provider.settings, &self.surroundings(&*platform)),
        };
        let connection = connected.map_err(|diagnostic| match provider.span.is_engine() {
            true => diagnostic,
            false => Box::new(diagnostic.label(provider.span, format!("`{}` needs it", self.environment))),
        })?;
        self.known.learn_fields(&provider.settings);
        let connection: Arc<dyn Connection> = Arc::new(Watched { inner: connection, known: self.known.clone() });
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
