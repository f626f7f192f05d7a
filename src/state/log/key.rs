//! What a `key` entry says: who can open the store's secrets from here on, and under which data key new ones are sealed.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::Deserialize;

use super::object::{Object, list};
use super::wire::{bad, digest};
use crate::model::Digest;
use crate::model::canonical::write_text;
use crate::model::wire::WireError;

/// Names a data key: 4 bytes that follow from it, and say nothing about it. 8 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl KeyId {
    pub fn parse(hex: &str) -> Option<KeyId> {
        let bytes = (0..hex.len() / 2).map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok());
        let id = KeyId(bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()?);
        (id.to_string() == hex).then_some(id)
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Somebody for whom data keys are wrapped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    pub name: String,
    /// `age1…`
    pub recipient: String,
    /// Where the holder is whoever knows a passphrase: the identity of the recipient, encrypted under it.
    pub locked: Option<Vec<u8>>,
}

/// A data key, encrypted for one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wrap {
    pub key: KeyId,
    pub recipient: String,
    pub sealed: Vec<u8>,
}

/// A change of who can open the secrets. It is good only where it was written: `after` is the entry before, and `proof` is made
/// with the data key that was current, so that nobody lets himself in who could only write to the store.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyChange {
    pub who: String,
    pub reason: String,
    pub add: Vec<Holder>,
    /// Names of holders. Of values sealed before they lose nothing.
    pub remove: Vec<String>,
    /// The data key that seals new values from here on.
    pub current: Option<KeyId>,
    pub wraps: Vec<Wrap>,
    /// Hash of the entry before; set by the log.
    pub after: Option<Digest>,
    /// Set by the log.
    pub proof: Option<Digest>,
}

impl KeyChange {
    /// What a proof is made of: everything but the proof.
    pub fn unproven(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut object = Object::new(&mut out);
        write_key(&mut object, &KeyChange { proof: None, ..self.clone() });
        object.end();
        out
    }

    /// Whether it changes anything.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.current.is_none() && self.wraps.is_empty()
    }
}

pub(in crate::state) fn write_key(object: &mut Object<'_>, change: &KeyChange) {
    object.list("add", &change.add, write_holder);
    object.maybe_text("after", change.after.map(|it| it.to_string()).as_deref());
    object.maybe_text("current", change.current.map(|it| it.to_string()).as_deref());
    object.maybe_text("proof", change.proof.map(|it| it.to_string()).as_deref());
    object.text("reason", &change.reason);
    object.list("remove", &change.remove, |out, name| write_text(out, name));
    object.text("who", &change.who);
    object.list("wraps", &change.wraps, |out, wrap| {
        let texts = [wrap.key.to_string(), wrap.recipient.clone(), BASE64.encode(&wrap.sealed)];
        list(out, &texts, |out, text| write_text(out, text));
    });
}

/// Name, recipient, and the locked identity if there is one.
pub(in crate::state) fn write_holder(out: &mut Vec<u8>, holder: &Holder) {
    let mut texts = vec![holder.name.clone(), holder.recipient.clone()];
    texts.extend(holder.locked.as_ref().map(|locked| BASE64.encode(locked)));
    list(out, &texts, |out, text| write_text(out, text));
}

#[derive(Deserialize)]
pub(in crate::state) struct RawKey<'b> {
    #[serde(default)]
    add: Vec<Vec<String>>,
    #[serde(borrow, default)]
    after: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    current: Option<Cow<'b, str>>,
    #[serde(borrow, default)]
    proof: Option<Cow<'b, str>>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    who: String,
    /// Before there were recipients an entry had words only.
    #[serde(default)]
    words: String,
    #[serde(default)]
    wraps: Vec<(String, String, String)>,
}

pub(in crate::state) fn read_key(raw: RawKey<'_>) -> Result<KeyChange, WireError> {
    let wrap = |(key, recipient, sealed): (String, String, String)| {
        Ok(Wrap { key: key_id(&key)?, recipient, sealed: BASE64.decode(sealed).map_err(|_| bad("base64"))? })
    };
    Ok(KeyChange {
        who: raw.who,
        reason: if raw.reason.is_empty() { raw.words } else { raw.reason },
        add: raw.add.into_iter().map(holder).collect::<Result<_, _>>()?,
        remove: raw.remove,
        current: raw.current.map(|it| key_id(&it)).transpose()?,
        wraps: raw.wraps.into_iter().map(wrap).collect::<Result<_, _>>()?,
        after: raw.after.map(|it| digest(&it)).transpose()?,
        proof: raw.proof.map(|it| digest(&it)).transpose()?,
    })
}

pub(in crate::state) fn holder(texts: Vec<String>) -> Result<Holder, WireError> {
    let mut texts = texts.into_iter();
    let (Some(name), Some(recipient)) = (texts.next(), texts.next()) else { return Err(bad("a recipient of keys")) };
    let locked = texts.next().map(|it| BASE64.decode(it).map_err(|_| bad("base64"))).transpose()?;
    Ok(Holder { name, recipient, locked })
}

pub(in crate::state) fn key_id(text: &str) -> Result<KeyId, WireError> {
    KeyId::parse(text).ok_or(bad("the id of a key"))
}
