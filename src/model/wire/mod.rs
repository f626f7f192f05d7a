//! Bytes for values, expressions and types: what records, journal entries and plan files are made of.
//!
//! The form is JSON with one way to write each value; every variant survives the round trip exactly. What is secret goes
//! through a [`Sealer`]; places in text are kept only where asked for.

use super::record::RecordId;

/// Where a value stands. A sealed value opens only where it was sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context<'a> {
    /// The record that the value belongs to; zeros for none.
    pub record: RecordId,
    /// The kind of the resource, or another word for what the value is part of.
    pub kind: &'a str,
}

/// Encrypts secrets in place. `path` is the place inside the record, `inputs.password`.
pub trait Sealer: Send + Sync {
    /// One text of base64.
    fn seal(&self, context: &Context<'_>, path: &str, plain: &[u8]) -> Result<String, WireError>;
    fn open(&self, context: &Context<'_>, path: &str, sealed: &str) -> Result<Vec<u8>, WireError>;
}

/// Why bytes are no value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    #[error("at byte {at}: expected {expected}")]
    Syntax { at: usize, expected: &'static str },
    #[error("nested too deeply")]
    Depth,
    #[error("{0} is unknown here")]
    Unknown(String),
    #[error("{0}")]
    Value(String),
    #[error("a secret value needs the state's key, and there is none")]
    NoKey,
    #[error("a secret value was sealed with another key, or was altered")]
    Seal,
}
