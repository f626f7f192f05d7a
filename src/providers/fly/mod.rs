//! Fly.io: apps, machines, volumes, secrets, addresses and certificates, through the Machines API.

mod client;
mod cloud;
mod resources;
mod schema;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;

use super::contract::{Answer, Budget, Call, CallAction, CallError, Cloud, Connection, Delays, Found, Provider, Surroundings};
use super::http::Api;
use crate::model::value::Fields;
use crate::model::{Diagnostic, Kind, KnownSecrets, ProviderSchema};
use resources::{Scope, resource};

/// The provider `fly`.
pub struct Fly;

impl Provider for Fly {
    fn schema(&self) -> Arc<ProviderSchema> {
        static SCHEMA: OnceLock<Arc<ProviderSchema>> = OnceLock::new();
        SCHEMA.get_or_init(|| Arc::new(schema::schema())).clone()
    }

    fn credentials(&self) -> &'static [&'static str] {
        &[client::VARIABLE]
    }

    fn connect(&self, settings: &Fields, surroundings: &Surroundings) -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
        let (api, home) = client::connect(settings, surroundings)?;
        let marks = [
            ("stackwright_store", surroundings.store_id.clone()),
            ("stackwright_stack", format!("{}/{}", surroundings.stack, surroundings.environment)),
        ];
        Ok(Arc::new(FlyConnection { api, home, marks, simulated: surroundings.simulated }))
    }

    fn cloud(&self) -> Option<Box<dyn Cloud>> {
        Some(Box::new(cloud::FlyCloud::default()))
    }
}

struct FlyConnection {
    api: Api,
    home: client::Home,
    /// What every machine of this environment bears.
    marks: [(&'static str, String); 2],
    simulated: bool,
}

/// How long a listing or a read may take.
const LOOK: Duration = Duration::from_secs(60);

#[async_trait]
impl Connection for FlyConnection {
    async fn list(&self, kind: &Kind, group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        resource(kind)?.list(&mut self.scope(LOOK, None, KnownSecrets::default()), group).await
    }

    async fn read(&self, kind: &Kind, known: &Fields) -> Result<Option<Fields>, CallError> {
        resource(kind)?.read(&mut self.scope(LOOK, None, KnownSecrets::default()), known).await
    }

    async fn perform(&self, call: &Call) -> Result<Answer, CallError> {
        let resource = resource(&call.kind)?;
        let mut scope = self.scope_of(call);
        let done = match &call.action {
            CallAction::Create { inputs } => resource.create(&mut scope, call, inputs).await,
            CallAction::Update { before, inputs, changed } => {
                resource.update(&mut scope, call, &before.attributes(), inputs, changed).await
            }
            CallAction::Delete { before } => resource.delete(&mut scope, &before.attributes()).await.map(|()| Fields::new()),
        };
        let attributes = done.map_err(|error| scope.session.concluded(error))?;
        Ok(Answer { attributes, receipt: scope.session.receipt })
    }

    async fn find(&self, call: &Call) -> Result<Found, CallError> {
        let resource = resource(&call.kind)?;
        let mut scope = self.scope_of(call);
        let found = match &call.action {
            CallAction::Create { inputs } => resource.find_created(&mut scope, call, inputs).await?,
            CallAction::Update { before, inputs, changed } => {
                resource.find_updated(&mut scope, call, &before.attributes(), inputs, changed).await?
            }
            CallAction::Delete { before } => match resource.read(&mut scope, &before.attributes()).await? {
                None => Found::Done(Answer::default()),
                Some(_) => Found::Unchanged,
            },
        };
        Ok(match found {
            Found::Done(answer) => Found::Done(Answer { receipt: scope.session.receipt, ..answer }),
            other => other,
        })
    }

    /// The platform takes one call a second for each machine and action, and one create a second for each app; simulated clouds
    /// have no limits.
    fn budget(&self) -> Budget {
        match self.simulated {
            true => Budget { concurrent: 16, per_second: None },
            false => Budget { concurrent: 8, per_second: Some(8.0) },
        }
    }

    fn delays(&self) -> Delays {
        self.api.delays()
    }
}

impl FlyConnection {
    fn scope(&self, not_after: Duration, token: Option<&str>, secrets: KnownSecrets) -> Scope<'_> {
        Scope { session: self.api.session(not_after, token, secrets), home: &self.home, marks: &self.marks }
    }

    fn scope_of(&self, call: &Call) -> Scope<'_> {
        let secrets = match &call.action {
            CallAction::Create { inputs } | CallAction::Update { inputs, .. } => KnownSecrets::of(inputs),
            CallAction::Delete { before } => KnownSecrets::of(&before.inputs),
        };
        self.scope(call.not_after, Some(&call.token), secrets)
    }
}
