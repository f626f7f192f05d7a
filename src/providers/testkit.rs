//! For tests of providers: a connection to a simulated cloud, and calls as `apply` would make them.

use std::sync::Arc;
use std::time::Duration;

use super::contract::{Answer, Call, CallAction, CallError, Connection, Found, Provider, Surroundings, Transport};
use super::registry;
use super::sim::{Clouds, Faults, InProcess};
use crate::model::schema::Given;
use crate::model::value::{Fields, Value};
use crate::model::{Address, Kind, Name, ProviderName, Record, RecordId};
use crate::world::World;

pub struct Rig {
    pub clouds: Arc<Clouds>,
    pub connection: Arc<dyn Connection>,
    provider: Arc<dyn Provider>,
}

impl Rig {
    /// A connection of a built-in provider to its simulated cloud in this process.
    pub fn new(provider: &str, settings: Vec<(&str, &str)>) -> Rig {
        let clouds = Clouds::in_memory(&registry::all(), Faults::default(), &World::real());
        Rig::through(provider, settings, clouds.clone(), Arc::new(InProcess(clouds)), InProcess::base_url(provider))
    }

    /// The same, through another transport.
    pub fn through(
        provider: &str,
        settings: Vec<(&str, &str)>,
        clouds: Arc<Clouds>,
        transport: Arc<dyn Transport>,
        base_url: String,
    ) -> Rig {
        Rig::in_world(provider, settings, clouds, transport, base_url, World::real())
    }

    /// The same, with its own time.
    pub fn in_world(
        provider: &str,
        settings: Vec<(&str, &str)>,
        clouds: Arc<Clouds>,
        transport: Arc<dyn Transport>,
        base_url: String,
        world: World,
    ) -> Rig {
        let provider = registry::provider(provider).expect("the provider is built in");
        let settings: Fields = settings.into_iter().map(|(name, value)| (Name::from(name), Value::text(value))).collect();
        let surroundings = Surroundings { world, ..surroundings(transport, Some(base_url), true) };
        let connection = provider.connect(&settings, &surroundings).expect("a simulated cloud takes everybody");
        Rig { clouds, connection, provider }
    }

    pub fn faults(&self, json: &str) {
        self.clouds.set_faults(Faults::parse("test", json).expect("the test names faults that exist"));
    }

    pub fn kind(&self, short: &str) -> Arc<Kind> {
        self.provider.schema().kinds[short].clone()
    }

    /// Inputs with the schema's defaults, as `expand` gives them.
    pub fn inputs(&self, kind: &str, given: Vec<(&str, Value)>) -> Fields {
        let kind = self.kind(kind);
        let default = |attribute: &crate::model::schema::Attribute| match &attribute.given {
            Given::Default(value) => Some((attribute.name.clone(), value.clone())),
            _ => None,
        };
        let mut inputs: Fields = kind.attributes.iter().filter_map(default).collect();
        inputs.extend(given.into_iter().map(|(name, value)| (Name::from(name), value)));
        inputs
    }

    pub fn call(&self, kind: &str, token: &str, action: CallAction) -> Call {
        Call {
            token: token.into(),
            address: Address::root(&format!("test.{kind}"), "it"),
            kind: self.kind(kind),
            action,
            not_after: Duration::from_secs(60),
        }
    }

    pub async fn create(&self, kind: &str, given: Vec<(&str, Value)>) -> Result<Fields, CallError> {
        let inputs = self.inputs(kind, given);
        let call = self.call(kind, "op-create", CallAction::Create { inputs });
        self.connection.perform(&call).await.map(|answer| answer.attributes)
    }

    /// An update of what `create` gave.
    pub fn update_call(&self, kind: &str, live: &Fields, changes: Vec<(&str, Value)>) -> Call {
        let before = self.record(kind, live);
        let mut inputs = before.inputs.clone();
        let changed = changes.iter().map(|(name, _)| Name::from(*name)).collect();
        inputs.extend(changes.into_iter().map(|(name, value)| (Name::from(name), value)));
        self.call(kind, "op-update", CallAction::Update { before, inputs, changed })
    }

    pub async fn update(&self, kind: &str, live: &Fields, changes: Vec<(&str, Value)>) -> Result<Answer, CallError> {
        self.connection.perform(&self.update_call(kind, live, changes)).await
    }

    pub async fn delete(&self, kind: &str, live: &Fields) -> Result<Answer, CallError> {
        let before = self.record(kind, live);
        self.connection.perform(&self.call(kind, "op-delete", CallAction::Delete { before })).await
    }

    pub async fn read(&self, kind: &str, known: &Fields) -> Option<Fields> {
        self.connection.read(&self.kind(kind), known).await.expect("the simulated cloud answers")
    }

    /// What a listing tells of the objects that share a container with this one.
    pub async fn list(&self, kind: &str, known: &Fields) -> Option<Vec<Fields>> {
        let kind = self.kind(kind);
        let by = kind.list_by.as_ref().expect("the kind can be listed");
        let group = by.iter().filter_map(|name| Some((name.clone(), known.get(name)?.clone()))).collect();
        self.connection.list(&kind, &group).await.expect("the simulated cloud answers")
    }

    pub async fn find(&self, call: &Call) -> Found {
        self.connection.find(call).await.expect("the simulated cloud answers")
    }

    pub fn record(&self, kind: &str, attributes: &Fields) -> Arc<Record> {
        let schema = self.kind(kind);
        let is_input = |name: &Name| schema.attribute(name).is_some_and(|it| it.is_input());
        let (inputs, computed): (Fields, Fields) = attributes.clone().into_iter().partition(|(name, _)| is_input(name));
        Arc::new(Record {
            address: Address::root(&schema.name, "it"),
            id: RecordId([7; 16]),
            kind: schema.name.clone(),
            provider: ProviderName::parse(schema.provider()),
            instance: Address::root(&schema.name, "it"),
            inputs,
            computed,
            edges: Vec::new(),
            protect: false,
            replace_on: Vec::new(),
            generation: 0,
            declared_at: "test.stack:1".into(),
            schema_version: 1,
            version: 1,
            deposed: false,
        })
    }

    /// The journal, each line as `METHOD PATH STATUS`.
    pub fn journal(&self) -> Vec<String> {
        let line = |line: &Arc<str>| {
            let json: serde_json::Value = serde_json::from_str(line).expect("a line of the journal is JSON");
            format!("{} {} {}", json["method"].as_str().unwrap_or(""), json["path"].as_str().unwrap_or(""), json["status"])
        };
        self.clouds.journal().iter().map(line).collect()
    }
}

/// Surroundings without any variable set.
pub fn surroundings(transport: Arc<dyn Transport>, base_url: Option<String>, simulated: bool) -> Surroundings {
    Surroundings {
        world: World::real(),
        transport,
        base_url,
        simulated,
        stack_dir: "/nowhere".into(),
        data_dir: "/nowhere/.stackwright".into(),
        store_id: "store-1".into(),
        stack: "shop".into(),
        environment: "test".into(),
        variable: Arc::new(|_| None),
    }
}

/// What differs between the attributes that a call gave and those that a listing tells: nothing, or there would be drift.
pub fn drift(made: &Fields, listed: &Fields) -> Vec<String> {
    let differs = |(name, value): (&Name, &Value)| {
        let before = made.get(name).filter(|it| !it.is_null());
        let now = Some(value).filter(|it| !it.is_null());
        (before != now).then(|| format!("{name}: {before:?} {now:?}"))
    };
    listed.iter().filter_map(differs).collect()
}
