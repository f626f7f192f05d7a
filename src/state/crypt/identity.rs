//! Identities and recipients: pairs of keys (X25519, as age has them) for which data keys are wrapped. The one place that calls
//! the library.

use std::str::FromStr as _;

use age::secrecy::{ExposeSecret as _, SecretString};
use age::x25519;
use zeroize::Zeroizing;

/// How many bytes a file of identities may have.
const TEXT_MAX: usize = 1 << 16;

/// The secret half of a pair. Wiped when dropped; never shown.
#[derive(Clone)]
pub struct Identity(x25519::Identity);

impl Identity {
    pub fn generate() -> Identity {
        Identity(x25519::Identity::generate())
    }

    /// `age1…`: what others wrap for.
    pub fn recipient(&self) -> String {
        self.0.to_public().to_string()
    }

    /// `AGE-SECRET-KEY-1…`
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string().expose_secret().to_owned())
    }
}

/// The identities of a text: one a line, as age's own tools write them, between blank lines and comments with `#`.
///
/// Errors: what is wrong, without any of the text.
pub fn identities(text: &str) -> Result<Vec<Identity>, String> {
    if text.len() > TEXT_MAX {
        return Err("it is larger than 64 KiB".into());
    }
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let identity = x25519::Identity::from_str(line);
        found
            .push(Identity(identity.map_err(|_| format!("line {} is no identity, which begins with AGE-SECRET-KEY-1", at + 1))?));
    }
    if found.is_empty() { Err("there is no identity in it".into()) } else { Ok(found) }
}

/// Whether a text is a recipient.
pub fn is_recipient(text: &str) -> bool {
    x25519::Recipient::from_str(text).is_ok()
}

/// Encrypts for one recipient; `None` where that is none.
pub fn wrap(recipient: &str, plain: &[u8]) -> Option<Vec<u8>> {
    age::encrypt(&x25519::Recipient::from_str(recipient).ok()?, plain).ok()
}

/// What [`wrap`] made, if it was for this identity and is unaltered.
pub fn unwrap(identity: &Identity, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    age::decrypt(&identity.0, wrapped).ok().map(Zeroizing::new)
}

/// Work for one guess of a passphrase: 2^17 · 8 blocks, 128 MiB.
const WORK: u8 = if cfg!(test) { 4 } else { 17 };
/// More is not done for a text that somebody else has written.
const WORK_MAX: u8 = 20;

/// Encrypts an identity under a passphrase.
pub fn lock(identity: &Identity, passphrase: &str) -> Option<Vec<u8>> {
    let mut recipient = age::scrypt::Recipient::new(SecretString::from(passphrase.to_owned()));
    recipient.set_work_factor(WORK);
    age::encrypt(&recipient, identity.text().as_bytes()).ok()
}

/// What [`lock`] made, if that is the passphrase.
pub fn unlock(passphrase: &str, locked: &[u8]) -> Option<Identity> {
    let mut key = age::scrypt::Identity::new(SecretString::from(passphrase.to_owned()));
    key.set_max_work_factor(WORK_MAX);
    let plain = Zeroizing::new(age::decrypt(&key, locked).ok()?);
    identities(std::str::from_utf8(&plain).ok()?).ok()?.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrapped_opens_for_its_recipient_alone() {
        let (ada, ben) = (Identity::generate(), Identity::generate());
        let wrapped = wrap(&ada.recipient(), b"data key").expect("a recipient");
        assert_eq!(unwrap(&ada, &wrapped).expect("it opens").as_slice(), b"data key");
        assert!(unwrap(&ben, &wrapped).is_none());
        for at in 0..wrapped.len() {
            let mut altered = wrapped.clone();
            altered[at] ^= 1;
            assert!(unwrap(&ada, &altered).is_none_or(|it| it.as_slice() == b"data key"), "byte {at}");
            assert!(unwrap(&ada, &wrapped[..at]).is_none(), "byte {at}");
        }
        assert!(wrap("age1nobody", b"data key").is_none());
    }

    #[test]
    fn identities_are_read_as_age_writes_them_and_what_is_wrong_is_said_without_them() {
        let ada = Identity::generate();
        let text = format!("# created: today\n# public key: {}\n{}\n\n", ada.recipient(), ada.text().as_str());
        let read = identities(&text).expect("one");
        assert_eq!(read.iter().map(Identity::recipient).collect::<Vec<_>>(), [ada.recipient()]);
        let said = identities("# nothing\nhunter2hunter2\n").err().expect("no identity");
        assert!(said.contains("line 2") && !said.contains("hunter2"), "{said}");
        assert!(identities("").is_err());
        assert!(identities(&"#".repeat(TEXT_MAX + 1)).is_err());
        assert!(!is_recipient(ada.text().as_str()) && is_recipient(&ada.recipient()));
    }

    #[test]
    fn a_locked_identity_opens_with_its_passphrase_alone() {
        let ada = Identity::generate();
        let locked = lock(&ada, "correct horse").expect("locked");
        assert_eq!(unlock("correct horse", &locked).map(|it| it.recipient()), Some(ada.recipient()));
        assert!(unlock("correct horsf", &locked).is_none());
        assert!(unlock("correct horse", &locked[..locked.len() - 1]).is_none());
    }
}
