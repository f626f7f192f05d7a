//! What seals the secrets of a state, and the keys for it.
//!
//! A data key is 256 random bits. Two keys are derived from it: one encrypts with XChaCha20-Poly1305, one makes keyed digests. A
//! sealed value is base64 of `version (1) ‖ key id (4) ‖ nonce (24) ‖ keyed digest (16) ‖ ciphertext and tag`; its associated data
//! are format, store, environment, record, kind and path, each with its length, so that it opens only where it was sealed. The
//! digest is equal as long as the value in its place is, so that a change can be seen without the key's encrypting half.
//!
//! A state has one data key that is current and seals what is new, and those that were; `ring` finds them.

mod file;
pub mod identity;
pub mod ring;
pub mod sources;
#[cfg(test)]
mod tests;
pub mod vault;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::log::key::KeyId;
use crate::model::wire::WireError;
use crate::world::World;

const VERSION: u8 = 1;
const KEY_ID: usize = 4;
const NONCE: usize = 24;
const DIGEST: usize = 16;

/// A data key and what is derived from it. Wiped when dropped; never shown.
pub struct Keys {
    id: KeyId,
    secret: Zeroizing<[u8; 32]>,
    seal: Zeroizing<[u8; 32]>,
    digest: Zeroizing<[u8; 32]>,
}

impl Keys {
    pub fn derive(secret: &[u8; 32]) -> Keys {
        let id = hmac(secret, &[b"stackwright/key-id/1"]);
        Keys {
            id: KeyId(id[..KEY_ID].try_into().expect("a hash is longer")),
            secret: Zeroizing::new(*secret),
            seal: hmac(secret, &[b"stackwright/seal/1"]),
            digest: hmac(secret, &[b"stackwright/digest/1"]),
        }
    }

    /// A new one.
    pub fn random(world: &World) -> Keys {
        let mut secret = Zeroizing::new([0; 32]);
        world.random.fill(&mut *secret);
        Keys::derive(&secret)
    }

    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key itself, to be written down where only those can read it who may.
    fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The keyed digest of bytes: the same for the same bytes, and nothing to learn from it without the key.
    pub fn digest(&self, plain: &[u8]) -> [u8; 32] {
        *hmac(&*self.digest, &[b"value", plain])
    }

    /// Shows whoever has the key that somebody who had it wrote these parts.
    pub fn proof(&self, parts: &[&[u8]]) -> [u8; 32] {
        *hmac(&*hmac(&*self.secret, &[b"stackwright/proof/1"]), parts)
    }

    fn seal(&self, world: &World, bound_to: &[u8], plain: &[u8]) -> Result<Vec<u8>, WireError> {
        let mut nonce = [0; NONCE];
        world.random.fill(&mut nonce);
        let cipher = XChaCha20Poly1305::new(self.seal.as_slice().into());
        let payload = Payload { msg: plain, aad: bound_to };
        let ciphertext = cipher.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| WireError::Seal)?;
        let mut sealed = Vec::with_capacity(1 + KEY_ID + NONCE + DIGEST + ciphertext.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id.0);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&hmac(&*self.digest, &[bound_to, plain])[..DIGEST]);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    fn open(&self, bound_to: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, WireError> {
        let rest = sealed.get(1 + KEY_ID..).ok_or(WireError::Seal)?;
        let (nonce, rest) = rest.split_at_checked(NONCE).ok_or(WireError::Seal)?;
        let (digest, ciphertext) = rest.split_at_checked(DIGEST).ok_or(WireError::Seal)?;
        if sealed_under(sealed) != Some(self.id) {
            return Err(WireError::Seal);
        }
        let cipher = XChaCha20Poly1305::new(self.seal.as_slice().into());
        let payload = Payload { msg: ciphertext, aad: bound_to };
        let plain = cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| WireError::Seal)?;
        let plain = Zeroizing::new(plain);
        match hmac(&*self.digest, &[bound_to, &plain])[..DIGEST] == *digest {
            true => Ok(plain),
            false => Err(WireError::Seal),
        }
    }
}

/// The data key that sealed something; `None` where that was sealed by nobody.
pub fn sealed_under(sealed: &[u8]) -> Option<KeyId> {
    let (version, rest) = sealed.split_first()?;
    let id = rest.first_chunk::<KEY_ID>()?;
    (*version == VERSION).then_some(KeyId(*id))
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(key).expect("any length of key will do");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// For [`crate::state::decoders`]: how many keys a file holds.
pub(in crate::state) fn read_key_file_for_tests(data: &[u8]) -> u64 {
    file::parse(data).map_or(0, |keys| 1 + keys.len().min(9) as u64)
}
