//! Heads that are known from outside of the store: what a log has to extend.

use crate::model::Digest;
use crate::state::contract::Head;

/// [`Anchor::from`] for what this machine remembers of a store: that a log extends it is not worth a line.
pub const THIS_MACHINE: &str = "this machine";

/// A head that somebody wrote down elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anchor {
    /// The number of a revision, or of an entry.
    pub number: u64,
    /// The hash of its entry.
    pub hash: Digest,
    /// From where we have it: `--since`, `git note 9e02c41`.
    pub from: String,
}

impl Anchor {
    /// `43:8d1f…c2`: the number of a revision or an entry, and the 64 hexadecimal digits of its entry's hash.
    pub fn parse(text: &str, from: &str) -> Option<Anchor> {
        let (number, hash) = text.trim().split_once(':')?;
        let decimal = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = decimal.then(|| number.parse().ok())??;
        Some(Anchor { number, hash: Digest::parse(hash)?, from: from.to_owned() })
    }

    pub fn of(head: Head, from: &str) -> Anchor {
        Anchor { number: head.sequence, hash: head.hash, from: from.to_owned() }
    }
}

/// As [`Anchor::parse`] reads it.
pub fn written(head: Head) -> String {
    format!("{}:{}", head.sequence, head.hash)
}
