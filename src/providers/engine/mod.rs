//! What the engine itself makes: secrets, which are resources like any other and live in state alone.
//!
//! A secret is made from random bytes, or given from outside; either way its record knows since when it has its value, when another
//! one is due, and, for as long as the two overlap, what it was before. `version` counts the values: whoever plans raises it to ask
//! for another one.

mod make;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;

use super::contract::{Answer, Call, CallAction, CallError, Cloud, Connection, Found, Provider, Surroundings};
use super::declare::*;
use crate::model::schema::{Given, Recovery, ReplaceOrder};
use crate::model::value::{Data, Fields};
use crate::model::{Diagnostic, Kind, ProviderSchema, Record, Type, Value};
use crate::world::World;

/// The provider `engine`. It has no platform and needs no settings.
pub struct Engine;

impl Provider for Engine {
    fn schema(&self) -> Arc<ProviderSchema> {
        static SCHEMA: OnceLock<Arc<ProviderSchema>> = OnceLock::new();
        SCHEMA.get_or_init(|| Arc::new(schema())).clone()
    }

    fn connect(&self, _settings: &Fields, surroundings: &Surroundings) -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
        Ok(Arc::new(Maker { world: surroundings.world.clone() }))
    }

    fn cloud(&self) -> Option<Box<dyn Cloud>> {
        None
    }
}

fn schema() -> ProviderSchema {
    let formats = one_of(&["base64url", "hex", "alnum", "ed25519"]);
    let secret = Kind {
        name: "engine.secret".into(),
        doc: "A secret: made from random bytes or given from outside, and kept sealed in state. Changing how it is made makes another one.",
        attributes: vec![
            attribute("bytes", Type::Size, given(Value::engine(Data::Size(32))), "how many random bytes it carries, 8 to 1024")
                .replaces("make a secret longer or shorter"),
            attribute("format", formats, given(Value::text("base64url")), "how they are written")
                .replaces("write a secret in another form"),
            attribute("given", Type::TEXT, Given::Optional, "the value, where it is given from outside").sensitive(),
            attribute("version", int(1, i64::MAX), given(Value::int(1)), "which of its values it has: a rotation counts it up"),
            attribute("rotate", Type::Duration, Given::Optional, "how long a value is good for"),
            attribute("overlap", Type::Duration, Given::Optional, "how long the former value is kept after a rotation"),
            attribute("ended", Type::Bool, given(Value::bool(false)), "the overlap is over, and the former value goes"),
            computed("id", Type::TEXT, "name of this very secret, in 32 hexadecimal digits"),
            computed("value", Type::TEXT, "the secret").sensitive().recomputed_by(&["version"]),
            computed("public", Type::TEXT.optional(), "the public half of a key").recomputed_by(&["version"]),
            computed("previous", Type::TEXT.optional(), "the former value, while the two overlap")
                .sensitive()
                .recomputed_by(&["version", "ended"]),
            computed("since", Type::Instant, "when it got its value").recomputed_by(&["version"]),
            computed("due", Type::Instant.optional(), "when another value is due").recomputed_by(&["version", "rotate"]),
            computed("previous_until", Type::Instant.optional(), "when the overlap is over")
                .recomputed_by(&["version", "overlap", "ended"]),
        ],
        data: false,
        act: false,
        stored: true,
        holds_data: false,
        identity: Vec::new(),
        id: "id".into(),
        list_by: None,
        // Nobody has heard of a value whose record was not written, so it is made again.
        recovery: Recovery::Put,
        updatable: true,
        replace: ReplaceOrder::CreateFirst,
        timeout: Duration::from_secs(10),
    };
    ProviderSchema {
        name: "engine".into(),
        doc: "What the engine makes itself.",
        settings: Vec::new(),
        kinds: BTreeMap::from([("secret".into(), Arc::new(secret))]),
        network: None,
        version: 2,
        on_this_machine: true,
    }
}

struct Maker {
    world: World,
}

#[async_trait]
impl Connection for Maker {
    async fn list(&self, _kind: &Kind, _group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        Ok(Some(Vec::new()))
    }

    /// State is all there is of a secret: it is what its record says.
    async fn read(&self, _kind: &Kind, known: &Fields) -> Result<Option<Fields>, CallError> {
        Ok(Some(known.clone()))
    }

    async fn perform(&self, call: &Call) -> Result<Answer, CallError> {
        let attributes = match &call.action {
            CallAction::Create { inputs } => make::attributes(&self.world, inputs, None)?,
            CallAction::Update { inputs, before, .. } => make::attributes(&self.world, inputs, Some(before))?,
            CallAction::Delete { .. } => Fields::new(),
        };
        Ok(Answer { attributes, ..Answer::default() })
    }

    async fn find(&self, call: &Call) -> Result<Found, CallError> {
        Ok(match &call.action {
            CallAction::Create { .. } => Found::Absent,
            CallAction::Update { .. } => Found::Unchanged,
            CallAction::Delete { .. } => Found::Done(Answer::default()),
        })
    }
}

/// Which of its values the inputs ask for.
fn version(inputs: &Fields) -> i64 {
    inputs.get("version").and_then(Value::as_int).unwrap_or(1)
}

/// Whether the inputs ask for the value that the record has.
fn keeps_value(inputs: &Fields, record: &Record) -> bool {
    version(inputs) <= version(&record.inputs) && record.computed.contains_key("value")
}
