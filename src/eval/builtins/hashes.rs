//! Hashes and names that are made from texts. Pure: the same text always gives the same.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac as _};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{Arguments, Problem};
use crate::model::Value;

type Run = Result<Value, Problem>;

pub fn md5(a: &Arguments<'_>) -> Run {
    hashed::<Md5>(a)
}

pub fn sha1(a: &Arguments<'_>) -> Run {
    hashed::<Sha1>(a)
}

pub fn sha256(a: &Arguments<'_>) -> Run {
    hashed::<Sha256>(a)
}

pub fn sha512(a: &Arguments<'_>) -> Run {
    hashed::<Sha512>(a)
}

fn hashed<D: Digest>(a: &Arguments<'_>) -> Run {
    Ok(Value::text(hex(&D::digest(a.text(0)?))))
}

pub fn base64_sha256(a: &Arguments<'_>) -> Run {
    Ok(Value::text(BASE64_STANDARD.encode(Sha256::digest(a.text(0)?))))
}

pub fn base64_sha512(a: &Arguments<'_>) -> Run {
    Ok(Value::text(BASE64_STANDARD.encode(Sha512::digest(a.text(0)?))))
}

pub fn hmac_sha256(a: &Arguments<'_>) -> Run {
    let mut mac = Hmac::<Sha256>::new_from_slice(a.text(0)?.as_bytes()).map_err(|_| Problem::argument("the key is unfit"))?;
    mac.update(a.text(1)?.as_bytes());
    Ok(Value::text(hex(&mac.finalize().into_bytes())))
}

/// RFC 9562, version 5: the name's SHA-1 under a namespace.
pub fn uuid_v5(a: &Arguments<'_>) -> Run {
    const KNOWN: [(&str, u8); 4] = [("dns", 0x10), ("url", 0x11), ("oid", 0x12), ("x500", 0x14)];
    let (namespace, name) = (a.text(0)?, a.text(1)?);
    let space = match KNOWN.iter().find(|(known, _)| *known == namespace) {
        // 6ba7b810-9dad-11d1-80b4-00c04fd430c8 and its neighbours.
        Some((_, last)) => [0x6b, 0xa7, 0xb8, *last, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8],
        None => uuid(namespace)
            .ok_or_else(|| Problem::argument("the namespace is `dns`, `url`, `oid`, `x500`, or a UUID with its hyphens"))?,
    };
    let digest = Sha1::new().chain_update(space).chain_update(name).finalize();
    let mut id = [0u8; 16];
    id.copy_from_slice(&digest[..16]);
    id[6] = id[6] & 0x0f | 0x50;
    id[8] = id[8] & 0x3f | 0x80;
    let text = hex(&id);
    Ok(Value::text(format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])))
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let shape = text.len() == 36 && text.bytes().enumerate().all(|(at, byte)| (byte == b'-') == matches!(at, 8 | 13 | 18 | 23));
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    match shape && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes),
        false => None,
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
