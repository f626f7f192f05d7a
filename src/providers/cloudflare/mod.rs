//! Cloudflare: zones that exist, and DNS records in them.

mod client;
mod cloud;
mod resources;
mod schema;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::contract::{Answer, Budget, Call, CallAction, CallError, Cloud, Connection, Delays, Found, Provider, Surroundings};
use super::http::{Api, Session};
use crate::model::value::Fields;
use crate::model::{Code, Diagnostic, Kind, KnownSecrets, ProviderSchema};

/// The provider `cloudflare`.
pub struct Cloudflare;

impl Provider for Cloudflare {
    fn schema(&self) -> Arc<ProviderSchema> {
        static SCHEMA: OnceLock<Arc<ProviderSchema>> = OnceLock::new();
        SCHEMA.get_or_init(|| Arc::new(schema::schema())).clone()
    }

    fn credentials(&self) -> &'static [&'static str] {
        &[client::VARIABLE]
    }

    fn connect(&self, settings: &Fields, surroundings: &Surroundings) -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
        let (api, home) = client::connect(settings, surroundings)?;
        Ok(Arc::new(CloudflareConnection { api, home, zones: Mutex::default(), simulated: surroundings.simulated }))
    }

    fn cloud(&self) -> Option<Box<dyn Cloud>> {
        Some(Box::new(cloud::CloudflareCloud::default()))
    }
}

struct CloudflareConnection {
    api: Api,
    home: client::Home,
    /// Names of zones by id, which do not change.
    zones: Mutex<BTreeMap<String, String>>,
    simulated: bool,
}

/// How long a listing or a read may take.
const LOOK: Duration = Duration::from_secs(60);

#[async_trait]
impl Connection for CloudflareConnection {
    async fn list(&self, kind: &Kind, group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        let mut session = self.session(LOOK, None);
        match &*kind.name {
            "cloudflare.record" => resources::list_records(&mut session, group).await,
            other => Err(no_kind(other)),
        }
    }

    async fn read(&self, kind: &Kind, known: &Fields) -> Result<Option<Fields>, CallError> {
        let mut session = self.session(LOOK, None);
        match &*kind.name {
            "cloudflare.zone" => resources::read_zone(&mut session, &self.home, known).await,
            "cloudflare.record" => resources::read_record(&mut session, known).await,
            other => Err(no_kind(other)),
        }
    }

    async fn perform(&self, call: &Call) -> Result<Answer, CallError> {
        if &*call.kind.name != "cloudflare.record" {
            return Err(no_kind(&call.kind.name));
        }
        let mut session = self.session(call.not_after, Some(&call.token));
        let done = match &call.action {
            CallAction::Create { inputs } => resources::create_record(&mut session, &self.zones, inputs).await,
            CallAction::Update { before, inputs, .. } => {
                resources::update_record(&mut session, &self.zones, &before.attributes(), inputs).await
            }
            CallAction::Delete { before } => {
                resources::delete_record(&mut session, &before.attributes()).await.map(|()| Fields::new())
            }
        };
        let attributes = done.map_err(|error| session.concluded(error))?;
        Ok(Answer { attributes, receipt: session.receipt })
    }

    async fn find(&self, call: &Call) -> Result<Found, CallError> {
        let mut session = self.session(call.not_after, Some(&call.token));
        let found = match &call.action {
            CallAction::Create { inputs } => resources::find_record(&mut session, &self.zones, inputs).await?,
            CallAction::Update { before, inputs, changed } => {
                resources::find_updated(&mut session, &self.zones, &before.attributes(), inputs, changed).await?
            }
            CallAction::Delete { before } => match resources::read_record(&mut session, &before.attributes()).await? {
                None => Found::Done(Answer::default()),
                Some(_) => Found::Unchanged,
            },
        };
        Ok(match found {
            Found::Done(answer) => Found::Done(Answer { receipt: session.receipt, ..answer }),
            other => other,
        })
    }

    /// The platform takes 1200 requests in 5 minutes from one user; simulated clouds have no limits.
    fn budget(&self) -> Budget {
        match self.simulated {
            true => Budget { concurrent: 16, per_second: None },
            false => Budget { concurrent: 8, per_second: Some(4.0) },
        }
    }

    fn delays(&self) -> Delays {
        self.api.delays()
    }
}

impl CloudflareConnection {
    /// No attribute of this provider holds a secret.
    fn session(&self, not_after: Duration, token: Option<&str>) -> Session<'_> {
        self.api.session(not_after, token, KnownSecrets::default())
    }
}

fn no_kind(name: &str) -> CallError {
    let words = format!("provider `cloudflare` cannot do this to `{name}`");
    CallError::Refused { status: None, field: None, words, request: None, code: Code::UnknownKind }
}
