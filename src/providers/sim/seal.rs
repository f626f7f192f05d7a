//! What the simulated clouds keep is sealed: requests carry secrets, and no secret lies on disk in clear, not even a pretended one.

use base64::Engine as _;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};

use crate::world::World;

const NONCE: usize = 24;

pub struct Sealer {
    cipher: XChaCha20Poly1305,
    world: World,
}

impl Sealer {
    pub fn new(key: &[u8; 32], world: World) -> Sealer {
        Sealer { cipher: XChaCha20Poly1305::new(Key::from_slice(key)), world }
    }

    /// `place` binds the text to where it is written: it opens nowhere else.
    pub fn seal(&self, place: &str, clear: &[u8]) -> String {
        let mut nonce = [0; NONCE];
        self.world.random.fill(&mut nonce);
        let payload = Payload { msg: clear, aad: place.as_bytes() };
        let sealed = self.cipher.encrypt(XNonce::from_slice(&nonce), payload).expect("a text in memory can be sealed");
        base64::engine::general_purpose::STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat())
    }

    /// `None` if it was altered, or sealed with another key or for another place.
    pub fn open(&self, place: &str, sealed: &str) -> Option<Vec<u8>> {
        let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(sealed.trim_end()).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
        self.cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: place.as_bytes() }).ok()
    }
}
