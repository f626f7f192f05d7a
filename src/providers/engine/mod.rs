//! What the engine itself makes: generated secrets, which are resources like any other and live in state alone.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;

use super::contract::{Answer, Call, CallAction, CallError, Cloud, Connection, Found, Provider, Surroundings};
use super::declare::*;
use crate::model::schema::{Recovery, ReplaceOrder};
use crate::model::value::{Data, Fields};
use crate::model::{Code, Diagnostic, Kind, ProviderSchema, Type, Value};
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
    let secret = Kind {
        name: "engine.secret".into(),
        doc: "A secret that the engine makes from random bytes and keeps sealed in state. Changing how it is made makes another one.",
        attributes: vec![
            attribute("bytes", Type::Size, given(Value::engine(Data::Size(32))), "how many random bytes it carries, 8 to 1024")
                .replaces("make a secret longer or shorter"),
            attribute("format", one_of(&["base64url", "hex", "alnum"]), given(Value::text("base64url")), "how they are written")
                .replaces("write a secret in another form"),
            computed("id", Type::TEXT, "name of this very secret, in 32 hexadecimal digits"),
            computed("value", Type::TEXT, "the secret").sensitive(),
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
        updatable: false,
        replace: ReplaceOrder::CreateFirst,
        timeout: Duration::from_secs(10),
    };
    ProviderSchema {
        name: "engine".into(),
        doc: "What the engine makes itself.",
        settings: Vec::new(),
        kinds: BTreeMap::from([("secret".into(), Arc::new(secret))]),
        network: None,
        version: 1,
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
        match &call.action {
            CallAction::Create { inputs } | CallAction::Update { inputs, .. } => {
                Ok(Answer { attributes: self.make(inputs)?, ..Answer::default() })
            }
            CallAction::Delete { .. } => Ok(Answer::default()),
        }
    }

    async fn find(&self, call: &Call) -> Result<Found, CallError> {
        Ok(match &call.action {
            CallAction::Create { .. } => Found::Absent,
            CallAction::Update { .. } => Found::Unchanged,
            CallAction::Delete { .. } => Found::Done(Answer::default()),
        })
    }
}

impl Maker {
    fn make(&self, inputs: &Fields) -> Result<Fields, CallError> {
        let bytes = match inputs.get("bytes").map(|value| &value.data) {
            Some(Data::Size(bytes)) if (8..=1024).contains(bytes) => *bytes as usize,
            _ => return Err(refused("bytes", "a secret carries 8 to 1024 bytes")),
        };
        let format = inputs.get("format").and_then(Value::as_text).unwrap_or("base64url");
        let mut random = zeroize::Zeroizing::new(vec![0; bytes]);
        let text = match format {
            "hex" => {
                self.world.random.fill(&mut random);
                hex(&random)
            }
            "base64url" => {
                self.world.random.fill(&mut random);
                base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&*random)
            }
            "alnum" => self.alnum(bytes),
            other => return Err(refused("format", &format!("there is no format `{other}`"))),
        };
        let mut attributes = inputs.clone();
        attributes.insert("id".into(), Value::text(hex(&self.world.random_id())));
        attributes.insert("value".into(), Value::text(text).secret());
        Ok(attributes)
    }

    /// Letters and digits, as many as carry that many random bytes. Bytes past the largest multiple of 62 are thrown away, so
    /// that every character is equally likely.
    fn alnum(&self, bytes: usize) -> String {
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let wanted = (bytes as f64 * 8.0 / 62f64.log2()).ceil() as usize;
        let mut text = String::with_capacity(wanted);
        let mut random = zeroize::Zeroizing::new([0; 64]);
        while text.len() < wanted {
            self.world.random.fill(&mut *random);
            let fair = random.iter().filter(|byte| **byte < 248).map(|byte| ALPHABET[(byte % 62) as usize] as char);
            text.extend(fair.take(wanted - text.len()));
        }
        text
    }
}

fn refused(field: &str, words: &str) -> CallError {
    CallError::Refused { status: None, field: Some(field.into()), words: words.into(), request: None, code: Code::Refused }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(bytes: i64, format: &str) -> Result<Fields, CallError> {
        let inputs = Fields::from([
            ("bytes".into(), Value::engine(Data::Size(bytes))),
            ("format".into(), Value::text(format)), //
        ]);
        Maker { world: World::real() }.make(&inputs)
    }

    #[test]
    fn a_secret_has_the_length_and_the_letters_of_its_format() {
        for (format, length) in [("hex", 48), ("base64url", 32), ("alnum", 33)] {
            let made = make(24, format).expect("24 bytes are allowed");
            let text = made["value"].as_text().expect("a secret is a text").to_owned();
            assert_eq!(text.len(), length, "{format}");
            assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || format == "base64url" && "-_".contains(c)));
            assert!(made["value"].mark.secret && !format!("{made:?}").contains(&text));
        }
    }

    #[test]
    fn two_secrets_differ_and_a_short_one_is_refused() {
        assert_ne!(make(24, "alnum").expect("made")["value"], make(24, "alnum").expect("made")["value"]);
        assert!(matches!(make(4, "hex"), Err(CallError::Refused { field: Some(field), .. }) if field == "bytes"));
    }
}
