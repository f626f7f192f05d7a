//! What is sealed opens only where it was sealed.

use std::sync::Arc;

use super::Keys;
use super::ring::KeyRing;
use super::sources::KeySources;
use super::vault::Vault;
use crate::model::RecordId;
use crate::model::wire::{Context, Sealer as _, WireError};
use crate::state::contract::StoreId;
use crate::world::World;

/// A part of the associated data each: with any one of them another, nothing opens.
#[test]
fn a_ciphertext_opens_in_no_other_store_environment_record_kind_part_or_path() {
    let world = World::real();
    let ring = Arc::new(KeyRing::of(KeySources::memory(), "production", &world));
    let vault = |environment: &str, store| Vault {
        ring: ring.clone(),
        environment: environment.into(),
        store: StoreId([store; 16]),
        begun: None,
    };
    let context = |record, kind, part| Context { record: RecordId([record; 16]), kind, part };
    let home = vault("production", 1);
    let at = context(1, "local.value", "inputs");
    let sealed = home.seal(&at, "8:password", b"hunter2").expect("sealed");
    assert_eq!(home.open(&at, "8:password", &sealed).expect("it opens").as_slice(), b"hunter2");
    let elsewhere = [
        (vault("production", 2), at, "8:password"),
        (vault("staging", 1), at, "8:password"),
        (vault("production", 1), context(2, "local.value", "inputs"), "8:password"),
        (vault("production", 1), context(1, "local.file", "inputs"), "8:password"),
        (vault("production", 1), context(1, "local.value", "computed"), "8:password"),
        (vault("production", 1), at, "5:token"),
        (vault("production", 1), context(1, "local.valu", "einputs"), "8:password"),
        (vault("production", 1), context(1, "local.value", "input"), "s8:password"),
    ];
    for (vault, at, path) in elsewhere {
        assert_eq!(vault.open(&at, path, &sealed), Err(WireError::Seal), "{} {at:?} {path}", vault.environment);
    }
}

#[test]
fn every_byte_of_a_ciphertext_is_vouched_for() {
    let world = World::real();
    let keys = Keys::random(&world);
    let sealed = keys.seal(&world, b"here", b"hunter2").expect("sealed");
    assert_eq!(keys.open(b"here", &sealed).expect("it opens").as_slice(), b"hunter2");
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        assert_eq!(keys.open(b"here", &altered), Err(WireError::Seal), "byte {at}");
        assert_eq!(keys.open(b"here", &sealed[..at]), Err(WireError::Seal), "byte {at}");
    }
    let again = keys.seal(&world, b"here", b"hunter2").expect("sealed");
    assert_ne!(again, sealed, "no nonce is used twice");
    assert_eq!(again[29..45], sealed[29..45], "the digest shows that the value is the same");
    assert_ne!(keys.seal(&world, b"there", b"hunter2").expect("sealed")[29..45], sealed[29..45], "and only in its place");
    assert_eq!(Keys::random(&world).open(b"here", &sealed), Err(WireError::Seal));
}
