//! What the entries of the log mean, and their bytes.

pub mod entry;
pub mod key;
mod object;
pub(in crate::state) mod record;
pub(in crate::state) mod wire;

#[cfg(test)]
mod tests;

pub use entry::*;

use super::contract::Entry;

/// What a revision's entry says without its outputs, which may be sealed: needs no key. `None` for other entries, and for one
/// that cannot be read.
pub fn revision_of(entry: &Entry) -> Option<Revision> {
    let raw = (entry.header.kind == "revision").then(|| wire::parse::<wire::RawRevision<'_>>(&entry.body))?.ok()?;
    wire::read_revision_header(&raw).ok()
}

/// What an entry says of a secret that was opened; needs no key.
pub fn reveal_of(entry: &Entry) -> Option<Revealed> {
    (entry.header.kind == "reveal").then(|| wire::parse::<wire::RawReveal<'_>>(&entry.body))?.ok()?.revealed().ok()
}

/// What an entry says of those who sign; needs no key.
pub fn signer_of(entry: &Entry) -> Option<SignerChange> {
    (entry.header.kind == "signer").then(|| wire::parse::<wire::RawSigner<'_>>(&entry.body))?.ok()?.change().ok()
}

/// The signature that an entry holds; needs no key.
pub fn signature_of(entry: &Entry) -> Option<HeadSignature> {
    (entry.header.kind == "signature").then(|| wire::parse::<wire::RawSignature<'_>>(&entry.body))?.ok()?.signature().ok()
}

/// The one form that a change of the signers has in the log.
#[cfg(test)]
pub(crate) fn signer_bytes(change: &SignerChange) -> Vec<u8> {
    let mut out = Vec::new();
    let mut object = Object::new(&mut out);
    wire::write_signer(&mut object, change);
    object.end();
    out
}

/// The one form that a signature has in the log.
pub fn signature_bytes(signature: &HeadSignature) -> Vec<u8> {
    let mut out = Vec::with_capacity(400);
    let mut object = Object::new(&mut out);
    wire::write_signature(&mut object, signature);
    object.end();
    out
}

/// What the first entry of a log says; needs no key.
pub fn genesis_of(entry: &Entry) -> Option<Genesis> {
    (entry.header.kind == "genesis").then(|| wire::parse::<wire::RawGenesis<'_>>(&entry.body))?.ok()?.genesis().ok()
}

/// What an entry says that closes a log, or opens it again in another place; needs no key.
pub fn carried_of(entry: &Entry) -> Option<Carried> {
    let carries = matches!(&*entry.header.kind, "moved" | "import");
    Some(carries.then(|| wire::parse::<wire::RawCarried<'_>>(&entry.body))?.ok()?.carried())
}

/// What an entry says of a restore; needs no key.
pub fn restored_of(entry: &Entry) -> Option<Restored> {
    Some((entry.header.kind == "restore").then(|| wire::parse::<wire::RawRestore<'_>>(&entry.body))?.ok()?.restored())
}

/// What a lease's entry says; needs no key.
pub fn lease_of(entry: &Entry) -> Option<Lease> {
    (entry.header.kind == "lease").then(|| wire::parse::<wire::RawLease<'_>>(&entry.body))?.ok()?.lease().ok()
}
pub(in crate::state) use object::{Object, list};
