//! The state's key, and what is sealed under it.
//!
//! `<root>/key` (mode 0600, one line of JSON) holds 256 random bits. Two keys are derived from it: one encrypts with
//! XChaCha20-Poly1305, one makes keyed digests. A sealed value is base64 of
//! `version (1) ‖ key id (4) ‖ nonce (24) ‖ keyed digest (16) ‖ ciphertext and tag`; its associated data are format, store,
//! environment, record, kind and path, each with its length, so that it opens only where it was sealed. The digest is equal as
//! long as the value in its place is, so that a change can be seen without the key's encrypting half.

pub mod identity;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::contract::{FORMAT, StoreError, StoreId};
use crate::model::wire::{Context, Sealer, WireError};
use crate::world::World;

const VERSION: u8 = 1;
const KEY_ID: usize = 4;
const NONCE: usize = 24;
const DIGEST: usize = 16;

/// The keys of one state root. Wiped when dropped; never shown.
pub struct Keys {
    id: [u8; KEY_ID],
    seal: Zeroizing<[u8; 32]>,
    digest: Zeroizing<[u8; 32]>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct KeyFile {
    format: u16,
    id: String,
    key: String,
}

impl Keys {
    pub fn derive(secret: &[u8; 32]) -> Keys {
        let id = hmac(secret, &[b"stackwright/key-id/1"]);
        Keys {
            id: id[..KEY_ID].try_into().expect("a hash is longer"),
            seal: hmac(secret, &[b"stackwright/seal/1"]),
            digest: hmac(secret, &[b"stackwright/digest/1"]),
        }
    }

    /// What people call it: 8 hexadecimal digits.
    pub fn id(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The keyed digest of bytes: the same for the same bytes, and nothing to learn from it without the key.
    pub fn digest(&self, plain: &[u8]) -> [u8; 32] {
        *hmac(&*self.digest, &[b"value", plain])
    }

    fn seal(&self, world: &World, bound_to: &[u8], plain: &[u8]) -> Result<Vec<u8>, WireError> {
        let mut nonce = [0; NONCE];
        world.random.fill(&mut nonce);
        let cipher = XChaCha20Poly1305::new(self.seal.as_slice().into());
        let payload = Payload { msg: plain, aad: bound_to };
        let ciphertext = cipher.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| WireError::Seal)?;
        let mut sealed = Vec::with_capacity(1 + KEY_ID + NONCE + DIGEST + ciphertext.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&hmac(&*self.digest, &[bound_to, plain])[..DIGEST]);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    fn open(&self, bound_to: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, WireError> {
        let (head, rest) = sealed.split_at_checked(1 + KEY_ID).ok_or(WireError::Seal)?;
        let (nonce, rest) = rest.split_at_checked(NONCE).ok_or(WireError::Seal)?;
        let (digest, ciphertext) = rest.split_at_checked(DIGEST).ok_or(WireError::Seal)?;
        if head[0] != VERSION || head[1..] != self.id {
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

fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(key).expect("any length of key will do");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Where the keys come from: the file of a state root, read or made when first needed; or memory.
pub struct KeyRing {
    root: Option<PathBuf>,
    keys: OnceLock<Arc<Keys>>,
    world: World,
}

impl KeyRing {
    pub fn at(root: &Path, world: &World) -> KeyRing {
        KeyRing { root: Some(root.to_owned()), keys: OnceLock::new(), world: world.clone() }
    }

    pub fn memory(world: &World) -> KeyRing {
        let mut secret = Zeroizing::new([0; 32]);
        world.random.fill(&mut *secret);
        KeyRing { root: None, keys: OnceLock::from(Arc::new(Keys::derive(&secret))), world: world.clone() }
    }

    pub fn path(&self) -> Option<PathBuf> {
        self.root.as_ref().map(|root| root.join("key"))
    }

    /// The keys, if there is a key file.
    ///
    /// Errors: the file cannot be read, or is no key.
    pub fn get(&self) -> Result<Option<Arc<Keys>>, StoreError> {
        if let Some(keys) = self.keys.get() {
            return Ok(Some(keys.clone()));
        }
        let Some(path) = self.path() else { return Ok(None) };
        let text = match std::fs::read(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unavailable("read", &path, &error)),
        };
        let keys = parse(&text).ok_or_else(|| StoreError::Damaged {
            place: path.display().to_string(),
            what: "this is not a key of a state".into(),
        })?;
        crate::world::guard_memory();
        Ok(Some(self.keys.get_or_init(|| Arc::new(keys)).clone()))
    }

    /// The keys, made if there are none. Of two processes that make them at once, one wins and both use its keys.
    pub fn get_or_make(&self) -> Result<Arc<Keys>, StoreError> {
        if let Some(keys) = self.get()? {
            return Ok(keys);
        }
        let root = self.root.as_ref().expect("keys in memory are there from the start");
        self.make(root).map_err(|error| unavailable("write", &root.join("key"), &error))?;
        self.get()?.ok_or_else(|| StoreError::Unavailable { what: "read the key just made".into(), why: "it is gone".into() })
    }

    fn make(&self, root: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(root)?;
        let mut secret = Zeroizing::new([0; 32]);
        self.world.random.fill(&mut *secret);
        let file = KeyFile { format: 1, id: Keys::derive(&secret).id(), key: BASE64.encode(*secret) };
        let text = Zeroizing::new(serde_json::to_string(&file).expect("texts are JSON") + "\n");
        let name: String = self.world.random_id().iter().map(|byte| format!("{byte:02x}")).collect();
        let fresh = root.join(format!("key.{name}.new"));
        let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        // A link, not a rename: it refuses to take the place of a key that somebody else has made meanwhile.
        let linked = written.and_then(|()| match std::fs::hard_link(&fresh, root.join("key")) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
        let _ = std::fs::remove_file(&fresh);
        linked?;
        std::fs::File::open(root)?.sync_all()
    }
}

fn parse(text: &[u8]) -> Option<Keys> {
    let file: KeyFile = serde_json::from_slice(text).ok()?;
    let key = Zeroizing::new(file.key);
    let bytes = Zeroizing::new(BASE64.decode(key.as_bytes()).ok()?);
    let keys = Keys::derive(bytes.as_slice().try_into().ok()?);
    (file.format == 1 && keys.id() == file.id).then_some(keys)
}

fn unavailable(verb: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable { what: format!("{verb} {}", path.display()), why: error.to_string() }
}

/// Seals values and blobs of one environment of one store.
pub struct Vault {
    pub ring: Arc<KeyRing>,
    pub environment: String,
    pub store: StoreId,
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

    /// Encrypts bytes that stand for themselves, such as a plan file, bound to `label` and the environment.
    pub fn seal_blob(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let keys = self.ring.get_or_make()?;
        let bound = self.bound_to(&[b"blob", label.as_bytes()]);
        keys.seal(&self.ring.world, &bound, plain).map_err(|_| StoreError::Misuse("the plain bytes are too long".into()))
    }

    /// `None` where there is no key.
    pub fn open_blob(&self, label: &str, sealed: &[u8]) -> Result<Option<Result<Zeroizing<Vec<u8>>, WireError>>, StoreError> {
        let Some(keys) = self.ring.get()? else { return Ok(None) };
        let bound = self.bound_to(&[b"blob", label.as_bytes()]);
        Ok(Some(keys.open(&bound, sealed)))
    }
}

fn in_context(vault: &Vault, context: &Context<'_>, path: &str) -> Vec<u8> {
    vault.bound_to(&[b"value", &context.record.0, context.kind.as_bytes(), context.part.as_bytes(), path.as_bytes()])
}

impl Sealer for Vault {
    fn seal(&self, context: &Context<'_>, path: &str, plain: &[u8]) -> Result<String, WireError> {
        let keys = self.ring.get_or_make().map_err(|_| WireError::NoKey)?;
        keys.seal(&self.ring.world, &in_context(self, context, path), plain).map(|sealed| BASE64.encode(sealed))
    }

    fn open(&self, context: &Context<'_>, path: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, WireError> {
        let keys = self.ring.get().map_err(|_| WireError::NoKey)?.ok_or(WireError::NoKey)?;
        let sealed = BASE64.decode(sealed).map_err(|_| WireError::Seal)?;
        keys.open(&in_context(self, context, path), &sealed)
    }
}
