//! Ed25519 signatures over heads of the log, and the keys that make them.
//!
//! A signing key is an OpenSSH private key, as `ssh-keygen -t ed25519` makes it, or a PKCS#8 one. What is signed begins with a
//! word of its own, so that no signature made for something else passes for one of ours.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::contract::{Entry, Head, StoreId};
use super::log::{HeadSignature, SignerAction, SignerChange};

/// How the text of a key of ours begins.
const ALGORITHM: &str = "ssh-ed25519";
/// The fields of a public key before its 32 bytes: the name of the algorithm and their number, each with its length.
const PREFIX: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x20";
/// Rounds of the function that makes a key of a passphrase: OpenSSH takes 16 or 24, and each costs milliseconds.
const ROUNDS_MAX: u32 = 1000;
/// A key file is some hundred bytes.
const FILE_MAX: usize = 64 << 10;

/// An Ed25519 public key. Ordered by its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The key that is written `ssh-ed25519 AAAA…`, whatever follows it.
    pub fn parse(text: &str) -> Option<PublicKey> {
        PublicKey::parse_with_comment(text).map(|(key, _)| key)
    }

    /// The key, and what stands behind it.
    pub fn parse_with_comment(text: &str) -> Option<(PublicKey, &str)> {
        let (algorithm, rest) = text.trim().split_once([' ', '\t'])?;
        let rest = rest.trim_start();
        let (packed, comment) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        let bytes = (algorithm == ALGORITHM && packed.len() < 100).then(|| BASE64.decode(packed).ok())??;
        Some((PublicKey(bytes.strip_prefix(PREFIX)?.try_into().ok()?), comment.trim()))
    }

    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::digest([PREFIX, &self.0].concat());
        format!("SHA256:{}", base64::engine::general_purpose::STANDARD_NO_PAD.encode(hash))
    }

    fn verifies(&self, message: &[u8], signature: &SignatureBytes) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, &signature.0).is_ok()
    }

    /// Whether this key signed that head.
    pub fn signed_head(&self, store: StoreId, head: Head, signature: &SignatureBytes) -> bool {
        self.verifies(&head_message(store, head), signature)
    }
}

/// `ssh-ed25519 AAAA…`.
impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{ALGORITHM} {}", BASE64.encode([PREFIX, &self.0].concat()))
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignatureBytes(pub [u8; 64]);

impl SignatureBytes {
    pub fn parse(text: &str) -> Option<SignatureBytes> {
        Some(SignatureBytes(BASE64.decode(text).ok()?.try_into().ok()?))
    }
}

impl std::fmt::Display for SignatureBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&BASE64.encode(self.0))
    }
}

/// A private key, in memory only; never shown.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// Why bytes are no signing key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    #[error("this is no private key of OpenSSH or PKCS#8")]
    NotAKey,
    #[error("this is a public key; the private one signs")]
    Public,
    #[error("this is a key for {0}, and only ed25519 ones sign")]
    Algorithm(String),
    #[error("the key is encrypted, and there is no passphrase for it")]
    NeedsPassphrase,
    #[error("the passphrase does not open the key")]
    WrongPassphrase,
}

impl SigningKey {
    /// Reads the text of a key file. `passphrase` is asked for where the key is encrypted.
    pub fn read(text: &[u8], passphrase: impl FnOnce() -> Option<Zeroizing<String>>) -> Result<SigningKey, KeyError> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= FILE_MAX).ok_or(KeyError::NotAKey)?.trim();
        if PublicKey::parse(text).is_some() {
            return Err(KeyError::Public);
        }
        if let Some(rest) = text.strip_prefix("-----BEGIN PRIVATE KEY-----") {
            let body = rest.strip_suffix("-----END PRIVATE KEY-----").ok_or(KeyError::NotAKey)?;
            let packed: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
            let bytes = Zeroizing::new(BASE64.decode(&*packed).map_err(|_| KeyError::NotAKey)?);
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes);
            return pair.map(SigningKey::of).map_err(|_| KeyError::Algorithm("another algorithm".into()));
        }
        // A variable of the environment often lacks the newline at its end.
        let text = Zeroizing::new(format!("{text}\n"));
        let mut key = ssh_key::PrivateKey::from_openssh(&*text).map_err(|_| KeyError::NotAKey)?;
        if key.public_key().algorithm() != ssh_key::Algorithm::Ed25519 {
            return Err(KeyError::Algorithm(key.public_key().algorithm().to_string()));
        }
        if key.is_encrypted() {
            if matches!(key.kdf(), ssh_key::Kdf::Bcrypt { rounds, .. } if *rounds > ROUNDS_MAX) {
                return Err(KeyError::NotAKey);
            }
            let passphrase = passphrase().ok_or(KeyError::NeedsPassphrase)?;
            key = key.decrypt(passphrase.as_bytes()).map_err(|_| KeyError::WrongPassphrase)?;
        }
        let pair = key.key_data().ed25519().ok_or(KeyError::NotAKey)?;
        let seed = Zeroizing::new(pair.private.to_bytes());
        let pair = Ed25519KeyPair::from_seed_and_public_key(&*seed, &pair.public.0);
        pair.map(SigningKey::of).map_err(|_| KeyError::NotAKey)
    }

    /// The key of 32 random bytes.
    pub fn of_seed(seed: &[u8; 32]) -> SigningKey {
        SigningKey::of(Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are a key"))
    }

    fn of(pair: Ed25519KeyPair) -> SigningKey {
        let public = PublicKey(pair.public_key().as_ref().try_into().expect("a public key has 32 bytes"));
        crate::world::guard_memory();
        SigningKey { pair, public }
    }

    pub fn public(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> SignatureBytes {
        SignatureBytes(self.pair.sign(message).as_ref().try_into().expect("a signature has 64 bytes"))
    }

    /// Signs an entry, and with it all before it.
    pub fn sign_head(&self, entry: &Entry) -> HeadSignature {
        let head = entry.head();
        let signature = self.sign(&head_message(entry.header.store, head));
        HeadSignature { key: self.public, of: head, signature }
    }

    /// Signs a change of the signers that follows `after`.
    pub fn sign_change(&self, store: StoreId, after: Head, change: &mut SignerChange) {
        change.by = Some((self.public, self.sign(&change_message(store, after, change))));
    }
}

/// The text of a new key file, and its public key. `seed` is 32 random bytes.
pub fn key_file(seed: &[u8; 32], comment: &str) -> Option<(Zeroizing<String>, PublicKey)> {
    let pair = ssh_key::private::Ed25519Keypair::from_seed(seed);
    let public = PublicKey(pair.public.0);
    let key = ssh_key::PrivateKey::new(pair.into(), comment).ok()?;
    Some((key.to_openssh(ssh_key::LineEnding::LF).ok()?, public))
}

/// Whether the signature in a change of the signers that follows `after` is what its key made; `None` where there is none.
pub fn change_is_signed(store: StoreId, after: Head, change: &SignerChange) -> Option<bool> {
    let (key, signature) = change.by.as_ref()?;
    Some(key.verifies(&change_message(store, after, change), signature))
}

fn head_message(store: StoreId, head: Head) -> Vec<u8> {
    let mut message = b"stackwright/signature/1".to_vec();
    message.extend_from_slice(&store.0);
    message.extend_from_slice(&head.sequence.to_be_bytes());
    message.extend_from_slice(&head.hash.0);
    message
}

fn change_message(store: StoreId, after: Head, change: &SignerChange) -> Vec<u8> {
    let mut message = b"stackwright/signer/1".to_vec();
    message.extend_from_slice(&store.0);
    message.extend_from_slice(&after.sequence.to_be_bytes());
    message.extend_from_slice(&after.hash.0);
    message.push(match change.action {
        SignerAction::Add => b'+',
        SignerAction::Remove => b'-',
    });
    message.extend_from_slice(&change.key.0);
    for text in [&change.name, &change.reason, &change.who] {
        message.extend_from_slice(&(text.len() as u64).to_be_bytes());
        message.extend_from_slice(text.as_bytes());
    }
    message
}

/// One line of a file of signers, in the form of ssh's `allowed_signers`: who, options, key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllowedSigner {
    pub name: String,
    pub key: PublicKey,
}

/// Reads a file in the form of ssh's `allowed_signers`. Lines of keys that are not ed25519, which sign nothing of ours, and those
/// for other namespaces are left out.
///
/// Errors: the number of the first line that is none, from 1.
pub fn allowed_signers(text: &str) -> Result<Vec<AllowedSigner>, usize> {
    let mut signers = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let name = words.next().ok_or(at + 1)?;
        let rest: Vec<&str> = words.collect();
        let key = rest.iter().position(|word| word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-"));
        let key = key.ok_or(at + 1)?;
        let options = rest[..key].join(" ");
        let other_namespace = options.contains("namespaces=") && !options.contains("stackwright");
        if rest[key] != ALGORITHM || other_namespace || options.contains("cert-authority") {
            continue;
        }
        let key = PublicKey::parse(&rest[key..].join(" ")).ok_or(at + 1)?;
        signers.push(AllowedSigner { name: name.to_owned(), key });
    }
    Ok(signers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SigningKey, KeyError> {
        SigningKey::read(text.as_bytes(), || None)
    }

    #[test]
    fn a_key_that_was_made_is_read_and_one_that_is_none_says_what_it_is() {
        let (text, public) = key_file(&[7; 32], "ci").expect("a key");
        assert_eq!(read(&text).expect("a key").public(), public);
        assert_eq!(read(text.trim_end()).expect("a key without its last newline").public(), public);
        assert_eq!(SigningKey::of_seed(&[7; 32]).public(), public);
        assert_eq!(PublicKey::parse(&public.to_string()), Some(public));
        assert_eq!(PublicKey::parse_with_comment(&format!("{public} ci at work ")), Some((public, "ci at work")));
        assert_eq!(read(&public.to_string()).err(), Some(KeyError::Public));
        assert_eq!(read("hunter2").err(), Some(KeyError::NotAKey));
        assert_eq!(PublicKey::parse("ssh-rsa AAAA"), None);
        let shorter = &public.to_string()[..60];
        assert_eq!(PublicKey::parse(shorter), None);
    }

    #[test]
    fn an_encrypted_key_needs_its_passphrase() {
        // `ssh-keygen -t ed25519 -a 1 -N 'open sesame'`.
        let text = include_str!("../../fixtures/state/keys/encrypted");
        let public = PublicKey::parse(include_str!("../../fixtures/state/keys/encrypted.pub")).expect("a public key");
        let with = |words: &str| SigningKey::read(text.as_bytes(), || Some(Zeroizing::new(words.to_owned())));
        assert_eq!(with("open sesame").expect("it opens").public(), public);
        assert_eq!(with("sesame").err(), Some(KeyError::WrongPassphrase));
        assert_eq!(read(text).err(), Some(KeyError::NeedsPassphrase));
        // The fingerprint is the one that `ssh-keygen -l` prints.
        assert_eq!(public.fingerprint(), include_str!("../../fixtures/state/keys/encrypted.fingerprint").trim());
        // `openssl genpkey -algorithm ed25519`.
        let pkcs8 = read(include_str!("../../fixtures/state/keys/pkcs8.pem")).expect("a key");
        assert_eq!(pkcs8.public().0.len(), 32);
        assert_eq!(read(include_str!("../../fixtures/state/keys/rsa")).err(), Some(KeyError::Algorithm("ssh-rsa".into())));
    }

    #[test]
    fn a_file_of_signers_is_read_as_ssh_reads_it() {
        let key = SigningKey::of_seed(&[7; 32]).public();
        let text = format!(
            "# who may sign\n\nci@example.com namespaces=\"git,stackwright\" {key} a comment\nold@example.com ssh-rsa AAAA\n\
             mail@example.com namespaces=\"email\" {key}\njroy {key}\n"
        );
        let names: Vec<_> = allowed_signers(&text).expect("a list").into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["ci@example.com", "jroy"]);
        assert_eq!(allowed_signers("jroy ssh-ed25519 AAAA\n"), Err(1));
        assert_eq!(allowed_signers("# a list\njust words\n"), Err(2));
    }
}
