//! What the engine asks of a provider, and the data that crosses between them.
//!
//! A [`Provider`] is a platform: its declaration and a way to connect. A [`Connection`] is one provider instance of a program,
//! with its settings and credentials. Connections do not retry, do not throttle and do not journal: `apply` does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::schema::Recovery;
use crate::model::value::Fields;
use crate::model::{Code, Diagnostic, Kind, Name, ProviderSchema, Record};
use crate::world::World;

/// One platform.
pub trait Provider: Send + Sync {
    fn schema(&self) -> Arc<ProviderSchema>;

    /// Makes a connection for a provider instance. Nothing is sent yet, but for what credentials need.
    ///
    /// Errors: [`Code::NoCredentials`] naming every place that was looked at, [`Code::ProgramMissing`].
    fn connect(&self, settings: &Fields, surroundings: &Surroundings) -> Result<Arc<dyn Connection>, Box<Diagnostic>>;

    /// What would keep resources of these kinds (`local.postgres`) from being created, found before anything is started or sent:
    /// a program that is not installed, a system that cannot do it. Looks at this machine alone.
    fn preflight(&self, _kinds: &BTreeSet<Name>, _surroundings: &Surroundings) -> Vec<Diagnostic> {
        Vec::new()
    }

    /// Variables of the environment that hold its credentials: no program reads them.
    fn credentials(&self) -> &'static [&'static str] {
        &[]
    }

    /// A fresh simulated cloud of this platform; `None` for platforms that need none.
    fn cloud(&self) -> Option<Box<dyn Cloud>>;
}

/// What a connection gets besides its settings.
#[derive(Clone)]
pub struct Surroundings {
    pub world: World,
    /// Sends requests: the network, or a simulated cloud in the same process.
    pub transport: Arc<dyn Transport>,
    /// Where the platform is, if not at its public address: the root of its API, without a slash at the end.
    pub base_url: Option<String>,
    /// The clouds are simulated: no credentials are needed.
    pub simulated: bool,
    /// Directory of the stack, absolute.
    pub stack_dir: std::path::PathBuf,
    /// Directory for what belongs to this stack and environment on this machine (`.stackwright/local/ENV`), absolute; may not exist.
    pub data_dir: std::path::PathBuf,
    /// Goes into every mark that a platform offers, with the address.
    pub store_id: String,
    pub stack: String,
    pub environment: String,
    /// Variables of the environment that hold credentials (`FLY_API_TOKEN`).
    pub variable: Arc<dyn Fn(&str) -> Option<secrecy::SecretString> + Send + Sync>,
}

/// One provider instance.
#[async_trait]
pub trait Connection: Send + Sync {
    /// All live objects of a kind that agree in `group` (the kind's `list_by` attributes), as attributes in the forms of the
    /// schema, the id among them. `None` where the container itself does not exist (its app is gone).
    ///
    /// What is known to be absent is null; an attribute that is not in the map is one that the platform does not tell (the value of
    /// a stored secret) and says nothing about drift. Values of sensitive attributes are marked secret.
    async fn list(&self, kind: &Kind, group: &Fields) -> Result<Option<Vec<Fields>>, CallError>;

    /// One object by what its record holds; `None` where it does not exist. For a data kind `known` are its arguments.
    async fn read(&self, kind: &Kind, known: &Fields) -> Result<Option<Fields>, CallError>;

    /// Creates, updates or deletes. Deleting what does not exist is done. Waits until the object can be used, as its kind says.
    async fn perform(&self, call: &Call) -> Result<Answer, CallError>;

    /// Looks for the object that an earlier, interrupted [`Call`] may have made or changed. Called after the settle time.
    async fn find(&self, call: &Call) -> Result<Found, CallError>;

    /// How many calls at once and how fast, to begin with.
    fn budget(&self) -> Budget {
        Budget { concurrent: 16, per_second: None }
    }

    /// How late things may be between here and the platform.
    fn delays(&self) -> Delays {
        Delays::NONE
    }
}

/// How late things may be on the way to a platform, and in what it shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delays {
    /// How long after whoever sent a request has given up, or is dead, it may still reach the platform.
    pub transit: Duration,
    /// The longest that what the platform shows may be behind; what its kinds declare counts only up to this.
    pub shown: Duration,
}

impl Delays {
    /// Nothing is ever late: this machine, or a cloud in this process.
    pub const NONE: Delays = Delays { transit: Duration::ZERO, shown: Duration::ZERO };
}

/// How far behind a listing may be of a kind that does not declare it.
const SHOWN_UNDECLARED: Duration = Duration::from_secs(30);

impl Delays {
    /// How far behind what is shown of objects of this kind may be.
    pub fn shown_of(&self, recovery: Recovery) -> Duration {
        let declared = match recovery {
            Recovery::Tagged { settle } | Recovery::Opaque { settle } => settle,
            Recovery::Keyed { .. } | Recovery::Named | Recovery::Put => SHOWN_UNDECLARED,
        };
        declared.min(self.shown)
    }

    /// The settle time: how long after a call was given up it is certain that it has an effect, or none, and that this is seen.
    pub fn settle(&self, recovery: Recovery) -> Duration {
        self.transit + self.shown_of(recovery)
    }
}

/// One mutating call.
#[derive(Clone)]
pub struct Call {
    /// Unique to the operation, at most 64 characters of `[a-z0-9-]`: goes into every mark that the platform has.
    pub token: String,
    pub address: crate::model::Address,
    pub kind: Arc<Kind>,
    pub action: CallAction,
    /// No byte of the call may leave later than this after it started.
    pub not_after: Duration,
}

#[derive(Clone)]
pub enum CallAction {
    /// All inputs, complete and known.
    Create {
        inputs: Fields,
    },
    /// All inputs, complete and known, and which of them differ from what the platform holds. `before` is what is recorded.
    Update {
        before: Arc<Record>,
        inputs: Fields,
        changed: Vec<Name>,
    },
    Delete {
        before: Arc<Record>,
    },
}

/// What a platform answered.
#[derive(Clone, Default)]
pub struct Answer {
    /// All attributes of the object in the forms of the schema; empty after a delete.
    pub attributes: Fields,
    pub receipt: Receipt,
}

/// Evidence of calls, kept in the log. Never holds a secret.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// One line a request: method, path, status, request id.
    pub requests: Vec<String>,
}

pub enum Found {
    Absent,
    /// Exactly this one is ours (it bears the token), or it is in the state that the call wanted.
    Done(Answer),
    /// It exists as it was before the call.
    Unchanged,
    /// Cannot be told apart; what each candidate is, for people.
    Candidates(Vec<String>),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Budget {
    pub concurrent: u32,
    pub per_second: Option<f64>,
}

/// The four answers that `apply` treats differently; each provider sorts its platform's into them.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// A definite no, before any effect. `field` is the attribute that the platform names, `words` its own, not yet escaped.
    #[error("the platform refused: {words}")]
    Refused { status: Option<u16>, field: Option<String>, words: String, request: Option<String>, code: Code },
    #[error("asked to come back later")]
    Throttled { after: Option<Duration> },
    #[error("the request did not leave: {0}")]
    NotSent(String),
    /// It may have happened: the journal keeps the intent, and recovery looks before anything else is planned.
    #[error("sent, and no usable answer came: {0}")]
    OutcomeUnknown(String),
}

/// Sends one HTTP request and gives the whole answer.
#[async_trait]
pub trait Transport: Send + Sync {
    async fn send(&self, request: http::Request<Bytes>, deadline: Duration) -> Result<http::Response<Bytes>, SendError>;

    /// How late requests may be that go this way.
    fn delays(&self) -> Delays {
        Delays::NONE
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Not a byte reached the platform.
    #[error("{0}")]
    NotSent(String),
    /// It left, and no whole answer came.
    #[error("{0}")]
    Unknown(String),
}

/// A simulated cloud: a function from request to response over a state that can be written down. Paths begin where the real
/// platform's base URL ends.
pub trait Cloud: Send {
    /// `now` is given, so that a cloud has no clock; `effects` names what was created, updated or deleted.
    fn respond(
        &mut self,
        request: &http::Request<Bytes>,
        now: jiff::Timestamp,
        effects: &mut Vec<Effect>,
    ) -> http::Response<Bytes>;
    /// The whole state as JSON, to be kept.
    fn save(&self) -> serde_json::Value;
    /// Grows with every change of the state, and only then: a request that leaves it alone need not be kept.
    fn version(&self) -> u64;
    /// Takes up a state that `save` gave.
    fn load(&mut self, state: serde_json::Value) -> Result<(), String>;
}

/// One thing that a request did to a simulated cloud.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effect {
    /// `create`, `update` or `delete`.
    pub effect: &'static str,
    pub kind: &'static str,
    pub id: String,
}
