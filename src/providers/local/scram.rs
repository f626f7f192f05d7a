//! The form in which PostgreSQL keeps a password, made here, so that the password itself goes to no program, file or log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

const ITERATIONS: u32 = 4096;

/// `SCRAM-SHA-256$4096:SALT$STORED:SERVER`, as `pg_authid.rolpassword` holds it (RFC 5802, RFC 7677). The password is printable
/// ASCII, whose SASL preparation is itself.
pub fn verifier(password: &str, salt: [u8; 16]) -> String {
    let salted = salted_password(password.as_bytes(), &salt);
    let stored_key = Sha256::digest(keyed(&salted, b"Client Key"));
    let server_key = keyed(&salted, b"Server Key");
    let [salt, stored, server] = [&salt[..], &stored_key[..], &server_key[..]].map(|bytes| STANDARD.encode(bytes));
    format!("SCRAM-SHA-256${ITERATIONS}:{salt}${stored}:{server}")
}

/// PBKDF2 with one block: `Hi` of RFC 5802.
fn salted_password(password: &[u8], salt: &[u8]) -> [u8; 32] {
    let mut block = keyed(password, &[salt, &1_u32.to_be_bytes()].concat());
    let mut all = block;
    for _ in 1..ITERATIONS {
        block = keyed(password, &block);
        all.iter_mut().zip(block).for_each(|(all, byte)| *all ^= byte);
    }
    all
}

fn keyed(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length fits");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_those_of_the_example_in_rfc_7677() {
        let salt: [u8; 16] = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64").try_into().expect("16 bytes");
        assert_eq!(
            verifier("pencil", salt),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }
}
