//! Seals values and blobs of one environment of one store.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use zeroize::Zeroizing;

use super::ring::{KeyError, KeyRing};
use super::{Keys, sealed_under};
use crate::model::wire::{Context, Sealer, WireError};
use crate::state::contract::{FORMAT, StoreId};
use crate::state::log::key::KeyId;

pub struct Vault {
    pub ring: Arc<KeyRing>,
    pub environment: String,
    pub store: StoreId,
    /// What seals for a run that began under it and cannot open the one that came since.
    pub begun: Option<KeyId>,
}

impl Vault {
    fn bound_to(&self, parts: &[&[u8]]) -> Vec<u8> {
        let major = FORMAT.major.to_be_bytes();
        let mut bound = Vec::with_capacity(128);
        for part in [&major[..], &self.store.0, self.environment.as_bytes()].iter().chain(parts) {
            bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bound.extend_from_slice(part);
        }
        bound
    }

    fn sealing(&self) -> Result<Arc<Keys>, KeyError> {
        self.ring.current_or_make().or_else(|error| match self.begun {
            Some(begun) => self.ring.key(begun),
            None => Err(error),
        })
    }

    /// Encrypts bytes that stand for themselves, such as a plan file, bound to `label` and the environment.
    pub fn seal_blob(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let keys = self.sealing()?;
        let bound = self.bound_to(&[b"blob", label.as_bytes()]);
        Ok(keys.seal(self.ring.world(), &bound, plain).expect("a plan file is shorter than the cipher's limit of 256 GiB"))
    }

    /// What [`Vault::seal_blob`] made and which key sealed it; `None` where that was nobody's, or is altered.
    pub fn open_blob(&self, label: &str, sealed: &[u8]) -> Result<Option<(Zeroizing<Vec<u8>>, KeyId)>, KeyError> {
        let Some(id) = sealed_under(sealed) else { return Ok(None) };
        let keys = self.ring.key(id)?;
        let bound = self.bound_to(&[b"blob", label.as_bytes()]);
        Ok(keys.open(&bound, sealed).ok().map(|plain| (plain, id)))
    }

    fn in_context(&self, context: &Context<'_>, path: &str) -> Vec<u8> {
        self.bound_to(&[b"value", &context.record.0, context.kind.as_bytes(), context.part.as_bytes(), path.as_bytes()])
    }
}

impl Sealer for Vault {
    fn seal(&self, context: &Context<'_>, path: &str, plain: &[u8]) -> Result<String, WireError> {
        let keys = self.sealing().map_err(|_| WireError::NoKey)?;
        keys.seal(self.ring.world(), &self.in_context(context, path), plain).map(|sealed| BASE64.encode(sealed))
    }

    fn open(&self, context: &Context<'_>, path: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, WireError> {
        let sealed = BASE64.decode(sealed).map_err(|_| WireError::Seal)?;
        let keys = self.ring.key(sealed_under(&sealed).ok_or(WireError::Seal)?).map_err(|_| WireError::NoKey)?;
        keys.open(&self.in_context(context, path), &sealed)
    }
}
