//! The attributes of a secret: from its inputs, from chance, and from what its record says.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

use super::keeps_value;
use crate::model::value::{Data, Fields};
use crate::model::{Code, Record, Value};
use crate::providers::contract::CallError;
use crate::world::World;

/// All attributes of a secret as it is after the call. `before` is its record; a value that it asks to keep is kept.
pub fn attributes(world: &World, inputs: &Fields, before: Option<&Record>) -> Result<Fields, CallError> {
    let duration = |name: &str| match inputs.get(name).map(|value| &value.data) {
        Some(Data::Duration(nanos)) => Some(SignedDuration::from_nanos(*nanos)),
        _ => None,
    };
    let mut all = inputs.clone();
    let kept = before.filter(|record| keeps_value(inputs, record));
    let ended = inputs.get("ended").and_then(Value::as_bool) == Some(true);
    let (since, previous) = match kept {
        Some(record) => {
            for name in ["id", "value", "public"] {
                all.insert(name.into(), record.computed.get(name).cloned().unwrap_or_else(Value::null));
            }
            let since = instant(record.computed.get("since")).unwrap_or_else(|| now(world));
            (since, record.computed.get("previous").filter(|_| !ended).cloned())
        }
        None => {
            let made = match inputs.get("given").filter(|given| !given.is_null()) {
                Some(given) => Made { value: given.clone().secret(), public: None },
                None => make(world, inputs)?,
            };
            let id: String = hex(&world.random_id());
            all.insert("id".into(), Value::text(id));
            all.insert("value".into(), made.value);
            all.insert("public".into(), made.public.map_or(Value::null(), Value::text));
            let former = before.and_then(|record| record.computed.get("value")).cloned();
            (now(world), former.filter(|_| duration("overlap").is_some()))
        }
    };
    let after = |span: Option<SignedDuration>| {
        let at = span.and_then(|span| since.checked_add(span).ok());
        at.map_or(Value::null(), |at| Value::engine(Data::Instant(at)))
    };
    all.insert("since".into(), Value::engine(Data::Instant(since)));
    all.insert("due".into(), after(duration("rotate")));
    // Without an overlap any more, the former value has outlived its use.
    all.insert("previous_until".into(), after(previous.as_ref().map(|_| duration("overlap").unwrap_or_default())));
    all.insert("previous".into(), previous.map_or(Value::null(), Value::secret));
    Ok(all)
}

fn instant(value: Option<&Value>) -> Option<Timestamp> {
    match value?.data {
        Data::Instant(at) => Some(at),
        _ => None,
    }
}

/// Whole seconds: nobody rotates by the microsecond, and everybody reads them.
fn now(world: &World) -> Timestamp {
    let now = world.clock.now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

struct Made {
    value: Value,
    public: Option<String>,
}

fn make(world: &World, inputs: &Fields) -> Result<Made, CallError> {
    let bytes = match inputs.get("bytes").map(|value| &value.data) {
        Some(Data::Size(bytes)) if (8..=1024).contains(bytes) => *bytes as usize,
        _ => return Err(refused("bytes", "a secret carries 8 to 1024 bytes")),
    };
    let format = inputs.get("format").and_then(Value::as_text).unwrap_or("base64url");
    let mut random = Zeroizing::new(vec![0; bytes]);
    let plain = |text: String| Ok(Made { value: Value::text(text).secret(), public: None });
    match format {
        "hex" => {
            world.random.fill(&mut random);
            plain(hex(&random))
        }
        "base64url" => {
            world.random.fill(&mut random);
            plain(URL_SAFE_NO_PAD.encode(&*random))
        }
        "alnum" => plain(alnum(world, bytes)),
        "ed25519" => ed25519(world),
        other => Err(refused("format", &format!("there is no format `{other}`"))),
    }
}

/// Letters and digits, as many as carry that many random bytes. Bytes past the largest multiple of 62 are thrown away, so
/// that every character is equally likely.
fn alnum(world: &World, bytes: usize) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let wanted = (bytes as f64 * 8.0 / 62f64.log2()).ceil() as usize;
    let mut text = String::with_capacity(wanted);
    let mut random = Zeroizing::new([0; 64]);
    while text.len() < wanted {
        world.random.fill(&mut *random);
        let fair = random.iter().filter(|byte| **byte < 248).map(|byte| ALPHABET[(byte % 62) as usize] as char);
        text.extend(fair.take(wanted - text.len()));
    }
    text
}

/// A key pair from 32 random bytes, both halves as PEM: the private one in PKCS #8 (RFC 8410, without the public half), the public one
/// as a SubjectPublicKeyInfo. The two forms have constant beginnings, from the examples of that RFC.
fn ed25519(world: &World) -> Result<Made, CallError> {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    const PRIVATE: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    let mut seed = Zeroizing::new([0; 32]);
    world.random.fill(&mut *seed);
    let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| refused("format", "no key could be made"))?;
    let private = Zeroizing::new([&PRIVATE[..], &seed[..]].concat());
    let public = [&PUBLIC[..], pair.public_key().as_ref()].concat();
    let pem = |label: &str, der: &[u8]| format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der));
    Ok(Made { value: Value::text(pem("PRIVATE KEY", &private)).secret(), public: Some(pem("PUBLIC KEY", &public)) })
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
    use crate::model::{Address, ProviderName, RecordId};

    fn inputs(bytes: i64, format: &str) -> Fields {
        Fields::from([
            ("bytes".into(), Value::engine(Data::Size(bytes))),
            ("format".into(), Value::text(format)), //
        ])
    }

    fn made(bytes: i64, format: &str) -> Result<Fields, CallError> {
        attributes(&World::real(), &inputs(bytes, format), None)
    }

    fn text<'f>(fields: &'f Fields, name: &str) -> &'f str {
        fields[name].as_text().unwrap_or_else(|| panic!("`{name}` is a text"))
    }

    #[test]
    fn a_secret_has_the_length_and_the_letters_of_its_format() {
        for (format, length) in [("hex", 48), ("base64url", 32), ("alnum", 33)] {
            let made = made(24, format).expect("24 bytes are allowed");
            let text = text(&made, "value");
            assert_eq!(text.len(), length, "{format}");
            assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || format == "base64url" && "-_".contains(c)));
            assert!(made["value"].mark.secret && !format!("{made:?}").contains(text));
        }
    }

    #[test]
    fn two_secrets_differ_and_a_short_one_is_refused() {
        assert_ne!(made(24, "alnum").expect("made")["value"], made(24, "alnum").expect("made")["value"]);
        assert!(matches!(made(4, "hex"), Err(CallError::Refused { field: Some(field), .. }) if field == "bytes"));
    }

    #[test]
    fn a_key_pair_signs_what_its_public_half_verifies() {
        use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
        let made = made(32, "ed25519").expect("made");
        let der = |name: &str| {
            let pem = text(&made, name);
            let lines: Vec<&str> = pem.lines().collect();
            assert!(lines.len() == 3 && lines[0].starts_with("-----BEGIN ") && lines[2].starts_with("-----END "), "{name}");
            STANDARD.decode(lines[1]).expect("base 64")
        };
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der("value")).expect("it is PKCS #8");
        let public = der("public");
        let key = UnparsedPublicKey::new(&ED25519, &public[12..]);
        assert!(key.verify(b"a message", pair.sign(b"a message").as_ref()).is_ok());
        assert!(made["value"].mark.secret && !made["public"].mark.secret);
    }

    fn record(inputs: Fields, attributes: Fields) -> Record {
        let computed = attributes.into_iter().filter(|(name, it)| !inputs.contains_key(name) && !it.is_null()).collect();
        Record {
            address: Address::parse("secret.key").expect("an address"),
            id: RecordId([0; 16]),
            kind: "engine.secret".into(),
            provider: ProviderName::parse("engine"),
            instance: Address::parse("secret.key").expect("an address"),
            inputs,
            computed,
            edges: Vec::new(),
            protect: false,
            replace_on: Vec::new(),
            generation: 0,
            declared_at: String::new(),
            schema_version: 2,
            version: 1,
            deposed: false,
        }
    }

    #[test]
    fn a_rotation_keeps_the_former_value_while_the_two_overlap() {
        let world = World::real();
        let hour = |count: i64| Value::engine(Data::Duration(count * 3_600_000_000_000));
        let with = |changes: &[(&str, Value)]| {
            let mut all = inputs(32, "hex");
            all.extend([("version".into(), Value::int(1)), ("overlap".into(), hour(1)), ("rotate".into(), hour(24))]);
            all.extend(changes.iter().map(|(name, value)| ((*name).into(), value.clone())));
            all
        };
        let first = record(with(&[]), attributes(&world, &with(&[]), None).expect("made"));
        assert!(!first.computed.contains_key("previous") && first.computed.contains_key("due"));

        // What says nothing about the value leaves it alone.
        let longer = attributes(&world, &with(&[("rotate", hour(48))]), Some(&first)).expect("kept");
        assert_eq!((&longer["value"], &longer["since"]), (&first.computed["value"], &first.computed["since"]));
        assert_ne!(longer["due"], first.computed["due"]);

        let rotated = attributes(&world, &with(&[("version", Value::int(2))]), Some(&first)).expect("made");
        assert_ne!(rotated["value"], first.computed["value"]);
        assert_eq!(rotated["previous"], first.computed["value"]);
        assert!(rotated["previous"].mark.secret && !rotated["previous_until"].is_null());

        let second = record(with(&[("version", Value::int(2))]), rotated);
        let ended = with(&[("version", Value::int(2)), ("ended", Value::bool(true))]);
        let over = attributes(&world, &ended, Some(&second)).expect("kept");
        assert_eq!(over["value"], second.computed["value"]);
        assert!(over["previous"].is_null() && over["previous_until"].is_null());

        let without = attributes(&world, &inputs(32, "hex"), Some(&first)).expect("kept");
        assert_eq!(without["value"], first.computed["value"]);
    }

    #[test]
    fn a_given_secret_is_what_is_given_and_knows_since_when() {
        let world = World::real();
        let with = |version: i64, given: &str| {
            let mut all = inputs(32, "base64url");
            all.extend([("version".into(), Value::int(version)), ("given".into(), Value::text(given).secret())]);
            all.insert("overlap".into(), Value::engine(Data::Duration(1)));
            all
        };
        let made = attributes(&world, &with(1, "first"), None).expect("made");
        assert_eq!(text(&made, "value"), "first");
        let first = record(with(1, "first"), made);
        let next = attributes(&world, &with(2, "second"), Some(&first)).expect("made");
        assert_eq!((text(&next, "value"), text(&next, "previous")), ("second", "first"));
    }
}
