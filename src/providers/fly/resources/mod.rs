//! What each kind does on the platform. One file a kind; what they have in common is here.

mod app;
mod certificate;
mod ip;
mod machine;
mod machine_wire;
mod secret;
mod volume;

use std::time::Duration;

use async_trait::async_trait;

use super::client::Home;
use crate::model::value::{Fields, Value};
use crate::model::{Code, Kind, Name};
use crate::providers::contract::{Answer, Call, CallError, Found};
use crate::providers::http::Session;
use crate::providers::http::wire::{need, refuse, segment, text};

/// What a resource has at hand during one call.
pub struct Scope<'a> {
    pub session: Session<'a>,
    pub home: &'a Home,
    pub marks: &'a [(&'static str, String)],
}

/// One kind. Attributes go in and come out in the forms of the schema.
#[async_trait]
pub trait Resource: Sync {
    async fn list(&self, scope: &mut Scope<'_>, group: &Fields) -> Result<Option<Vec<Fields>>, CallError>;

    async fn read(&self, scope: &mut Scope<'_>, known: &Fields) -> Result<Option<Fields>, CallError>;

    async fn create(&self, scope: &mut Scope<'_>, call: &Call, inputs: &Fields) -> Result<Fields, CallError>;

    async fn update(
        &self,
        _scope: &mut Scope<'_>,
        call: &Call,
        _before: &Fields,
        _inputs: &Fields,
        changed: &[Name],
    ) -> Result<Fields, CallError> {
        let field = changed.first().map_or("", |name| &**name);
        Err(refuse(field, format!("`{}` cannot be updated", call.kind.name)))
    }

    /// Done if it does not exist.
    async fn delete(&self, scope: &mut Scope<'_>, before: &Fields) -> Result<(), CallError>;

    /// What became of a create whose answer was lost.
    async fn find_created(&self, scope: &mut Scope<'_>, call: &Call, inputs: &Fields) -> Result<Found, CallError>;

    /// What became of an update whose answer was lost: it is done if everything that it changed is as it should be.
    async fn find_updated(
        &self,
        scope: &mut Scope<'_>,
        _call: &Call,
        before: &Fields,
        inputs: &Fields,
        changed: &[Name],
    ) -> Result<Found, CallError> {
        let Some(live) = self.read(scope, before).await? else { return Ok(Found::Absent) };
        Ok(match changed.iter().all(|name| same(live.get(name), inputs.get(name))) {
            true => done(live),
            false => Found::Unchanged,
        })
    }
}

/// The implementation of a kind.
pub fn resource(kind: &Kind) -> Result<&'static dyn Resource, CallError> {
    Ok(match &*kind.name {
        "fly.app" => &app::App,
        "fly.machine" => &machine::Machine,
        "fly.volume" => &volume::Volume,
        "fly.secret" => &secret::Secret,
        "fly.ip" => &ip::Ip,
        "fly.certificate" => &certificate::Certificate,
        other => {
            let words = format!("provider `fly` has no kind `{other}`");
            return Err(CallError::Refused { status: None, field: None, words, request: None, code: Code::UnknownKind });
        }
    })
}

/// Null and absent are one.
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    a.filter(|value| !value.is_null()) == b.filter(|value| !value.is_null())
}

fn done(attributes: Fields) -> Found {
    Found::Done(Answer { attributes, ..Answer::default() })
}

/// `/v1/apps/NAME` and what follows, for the app that the attributes name.
fn in_app(fields: &Fields, rest: &str) -> Result<String, CallError> {
    Ok(format!("/v1/apps/{}{rest}", segment(need(fields, "app")?)))
}

/// The region that the program says, or that of the provider's block.
fn region(scope: &Scope<'_>, inputs: &Fields) -> Result<String, CallError> {
    let region = text(inputs, "region").or(scope.home.region.as_deref());
    let words = "there is no region: give one here, or in the block `provider fly`";
    region.map(str::to_owned).ok_or_else(|| refuse("region", words))
}

/// Pauses that grow, for what the platform does by and by.
struct Poll(Duration);

impl Poll {
    fn new() -> Poll {
        Poll(Duration::from_millis(100))
    }

    async fn pause(&mut self, scope: &Scope<'_>) {
        scope.session.pause(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(2));
    }
}

/// Whether asking again may help: the platform is busy, or the object is not yet known everywhere.
fn is_passing(error: &CallError) -> bool {
    !matches!(error, CallError::Refused { .. })
}
