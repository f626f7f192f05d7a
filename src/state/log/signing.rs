//! The bytes of `signature` and `signer` entries: who vouches for a head, and who may.

use std::borrow::Cow;

use serde::Deserialize;

use super::entry::*;
use super::object::Object;
use super::wire::{bad, digest};
use crate::model::wire::WireError;
use crate::state::contract::Head;
use crate::state::sign::{PublicKey, SignatureBytes};

pub(in crate::state) fn write_signature(object: &mut Object<'_>, it: &HeadSignature) {
    object.text("head", &it.of.hash.to_string());
    object.text("key", &it.key.to_string());
    object.number("of", it.of.sequence);
    object.text("signature", &it.signature.to_string());
}

pub(in crate::state) fn write_signer(object: &mut Object<'_>, change: &SignerChange) {
    object.text("action", signer_word(change.action));
    object.maybe_text("by", change.by.map(|(key, _)| key.to_string()).as_deref());
    object.text("key", &change.key.to_string());
    object.text("name", &change.name);
    object.text("reason", &change.reason);
    object.maybe_text("signature", change.by.map(|(_, signature)| signature.to_string()).as_deref());
    object.text("who", &change.who);
}

fn signer_word(action: SignerAction) -> &'static str {
    match action {
        SignerAction::Add => "add",
        SignerAction::Remove => "remove",
    }
}

/// The one form of a key; others of the same key are refused, so that a body has one form.
pub(in crate::state) fn public_key(text: &str) -> Result<PublicKey, WireError> {
    PublicKey::parse(text).filter(|key| key.to_string() == text).ok_or(bad("a public key"))
}

fn signature(text: &str) -> Result<SignatureBytes, WireError> {
    SignatureBytes::parse(text).ok_or(bad("a signature"))
}

#[derive(Deserialize)]
pub(in crate::state) struct RawSigner<'b> {
    #[serde(borrow)]
    action: Cow<'b, str>,
    #[serde(borrow, default)]
    by: Option<Cow<'b, str>>,
    #[serde(borrow)]
    key: Cow<'b, str>,
    #[serde(borrow)]
    name: Cow<'b, str>,
    #[serde(borrow)]
    reason: Cow<'b, str>,
    #[serde(borrow, default)]
    signature: Option<Cow<'b, str>>,
    #[serde(borrow)]
    who: Cow<'b, str>,
}

impl RawSigner<'_> {
    pub fn change(self) -> Result<SignerChange, WireError> {
        let action = [SignerAction::Add, SignerAction::Remove].into_iter().find(|it| signer_word(*it) == self.action);
        let by = match (self.by, self.signature) {
            (Some(by), Some(signed)) => Some((public_key(&by)?, signature(&signed)?)),
            (None, None) => None,
            _ => return Err(bad("a key with its signature")),
        };
        Ok(SignerChange {
            action: action.ok_or(bad("`add` or `remove`"))?,
            key: public_key(&self.key)?,
            name: self.name.into(),
            reason: self.reason.into(),
            who: self.who.into(),
            by,
        })
    }
}

#[derive(Deserialize)]
pub(in crate::state) struct RawSignature<'b> {
    #[serde(borrow)]
    head: Cow<'b, str>,
    #[serde(borrow)]
    key: Cow<'b, str>,
    of: u64,
    #[serde(borrow)]
    signature: Cow<'b, str>,
}

impl RawSignature<'_> {
    pub fn signature(self) -> Result<HeadSignature, WireError> {
        Ok(HeadSignature {
            key: public_key(&self.key)?,
            of: Head { sequence: self.of, hash: digest(&self.head)? },
            signature: signature(&self.signature)?,
        })
    }
}
