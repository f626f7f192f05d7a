//! What the entries of the log mean, and their bytes.

pub mod entry;
pub mod key;
mod object;
pub(in crate::state) mod record;
pub(in crate::state) mod revision;
pub(in crate::state) mod signing;
pub(in crate::state) mod wire;

#[cfg(test)]
mod tests;

pub use entry::*;

use serde::Deserialize;

use super::contract::Entry;
use revision::{RawRevision, read_revision_header};
use signing::{RawSignature, RawSigner};
use wire::{RawCarried, RawGenesis, RawLease, RawRestore, RawReveal};

/// The body of an entry of one of these kinds, as it is written; `None` for other entries, and for one that cannot be read.
fn raw<'b, T: Deserialize<'b>>(entry: &'b Entry, kinds: &[&str]) -> Option<T> {
    kinds.contains(&&*entry.header.kind).then(|| wire::parse(&entry.body))?.ok()
}

/// What a revision's entry says without its outputs, which may be sealed: needs no key. `None` for other entries, and for one
/// that cannot be read.
pub fn revision_of(entry: &Entry) -> Option<Revision> {
    read_revision_header(&raw::<RawRevision<'_>>(entry, &["revision"])?).ok()
}

/// What an entry says of a secret that was opened; needs no key.
pub fn reveal_of(entry: &Entry) -> Option<Revealed> {
    raw::<RawReveal<'_>>(entry, &["reveal"])?.revealed().ok()
}

/// What an entry says of those who sign; needs no key.
pub fn signer_of(entry: &Entry) -> Option<SignerChange> {
    raw::<RawSigner<'_>>(entry, &["signer"])?.change().ok()
}

/// The signature that an entry holds; needs no key.
pub fn signature_of(entry: &Entry) -> Option<HeadSignature> {
    raw::<RawSignature<'_>>(entry, &["signature"])?.signature().ok()
}

/// The one form that a change of the signers has in the log.
#[cfg(test)]
pub(crate) fn signer_bytes(change: &SignerChange) -> Vec<u8> {
    let mut out = Vec::new();
    let mut object = Object::new(&mut out);
    signing::write_signer(&mut object, change);
    object.end();
    out
}

/// The one form that a signature has in the log.
pub fn signature_bytes(signature: &HeadSignature) -> Vec<u8> {
    let mut out = Vec::with_capacity(400);
    let mut object = Object::new(&mut out);
    signing::write_signature(&mut object, signature);
    object.end();
    out
}

/// What the first entry of a log says; needs no key.
pub fn genesis_of(entry: &Entry) -> Option<Genesis> {
    raw::<RawGenesis<'_>>(entry, &["genesis"])?.genesis().ok()
}

/// What an entry says that closes a log, or opens it again in another place; needs no key.
pub fn carried_of(entry: &Entry) -> Option<Carried> {
    Some(raw::<RawCarried<'_>>(entry, &["moved", "import"])?.carried())
}

/// What an entry says of a restore; needs no key.
pub fn restored_of(entry: &Entry) -> Option<Restored> {
    Some(raw::<RawRestore<'_>>(entry, &["restore"])?.restored())
}

/// What an entry says of who can open the secrets; needs no key.
pub fn key_of(entry: &Entry) -> Option<key::KeyChange> {
    key::read_key(raw::<key::RawKey<'_>>(entry, &["key"])?).ok()
}

/// What an entry says of a lease that ended; needs no key.
pub fn takeover_of(entry: &Entry) -> Option<Takeover> {
    Some(raw::<wire::RawTakeover<'_>>(entry, &["takeover"])?.takeover())
}

/// What a lease's entry says; needs no key.
pub fn lease_of(entry: &Entry) -> Option<Lease> {
    raw::<RawLease<'_>>(entry, &["lease"])?.lease().ok()
}
pub(in crate::state) use object::{Object, list};
