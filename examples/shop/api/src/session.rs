//! The session cookie: a visitor's number, signed with `SESSION_KEY`. A rotated key ends all sessions, which is its use.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub struct SessionKey(Hmac<Sha256>);

impl SessionKey {
    pub fn new(key: &str) -> SessionKey {
        SessionKey(Hmac::new_from_slice(key.as_bytes()).expect("a key of any length will do"))
    }

    /// `NUMBER.SIGNATURE`, the signature in lower-case hexadecimal.
    pub fn sign(&self, visitor: u64) -> String {
        let signature = self.0.clone().chain_update(visitor.to_string()).finalize().into_bytes();
        let digits: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{visitor}.{digits}")
    }

    /// The visitor of a `Cookie` header's value, if one of its cookies is a session that this key has signed.
    pub fn visitor(&self, cookies: &str) -> Option<u64> {
        cookies.split(';').filter_map(|cookie| cookie.trim().strip_prefix("session=")).find_map(|token| self.verified(token))
    }

    fn verified(&self, token: &str) -> Option<u64> {
        let (visitor, digits) = token.split_once('.')?;
        let visitor = visitor.parse::<u64>().ok()?;
        self.0.clone().chain_update(visitor.to_string()).verify_slice(&bytes_of(digits)?).ok().map(|()| visitor)
    }
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_known_by_the_key_that_signed_it_and_by_no_other() {
        let token = SessionKey::new("old").sign(7);
        let cookies = format!("theme=dark; session={token}");
        assert_eq!(SessionKey::new("old").visitor(&cookies), Some(7));
        assert_eq!(SessionKey::new("new").visitor(&cookies), None);
    }

    #[test]
    fn a_number_that_was_changed_is_refused() {
        let key = SessionKey::new("key");
        let forged = key.sign(7).replacen('7', "8", 1);
        for cookies in
            [format!("session={forged}"), "session=7".into(), "session=7.zz".into(), "session=7.".into(), String::new()]
        {
            assert_eq!(key.visitor(&cookies), None, "{cookies}");
        }
    }
}
