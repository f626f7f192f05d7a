//! Bytes for values, expressions and types: what records, journal entries and plan files are made of.
//!
//! The form is JSON without blanks, keys in order, one way to write each value; every variant survives the round trip exactly.
//! What is secret goes through a [`Sealer`], or stays open where all the bytes are sealed afterwards. Places in text are kept
//! only where asked for. Reading takes hostile bytes: the answer is an error or a value, in linear time and bounded depth.

mod expr;
mod read;
mod types;
mod value;

#[cfg(test)]
mod tests;

pub use read::Reading;
pub use value::Writing;

use super::expr::Expr;
use super::record::RecordId;
use super::types::Type;
use super::value::{Fields, Value};

/// How deep values and expressions may nest in their bytes. The language allows 128, and a level of it takes up to two here.
pub const DEPTH: u16 = 260;

/// How to write and read: the same on both sides.
#[derive(Clone, Copy)]
pub struct Wire<'a> {
    pub secrets: Secrets<'a>,
    /// Keep [`super::value::Mark::origin`] and the spans of expressions; without it they come back as [`super::Span::ENGINE`].
    pub origins: bool,
}

/// What becomes of secret values.
#[derive(Clone, Copy)]
pub enum Secrets<'a> {
    /// Each is sealed where it stands.
    Sealed(&'a dyn Sealer),
    /// They stay readable, since whoever asked seals the bytes as a whole before they go anywhere.
    InsideSealed,
}

/// Where a value stands. A sealed value opens only where it was sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context<'a> {
    /// The record that the value belongs to; zeros for none.
    pub record: RecordId,
    /// The kind of the resource, or another word for what the value is part of.
    pub kind: &'a str,
    /// The place inside of it that is written or read: `inputs`.
    pub part: &'a str,
}

impl Context<'static> {
    /// For bytes that hold no sealed values, or are sealed as a whole.
    pub const NONE: Context<'static> = Context { record: RecordId([0; 16]), kind: "", part: "" };
}

/// Encrypts secrets in place. `path` is the place inside of [`Context::part`], each step with its length before it.
pub trait Sealer: Send + Sync {
    /// A text of base64.
    fn seal(&self, context: &Context<'_>, path: &str, plain: &[u8]) -> Result<String, WireError>;
    /// Errors: [`WireError::NoKey`], [`WireError::Seal`].
    fn open(&self, context: &Context<'_>, path: &str, sealed: &str) -> Result<zeroize::Zeroizing<Vec<u8>>, WireError>;
}

/// Why bytes are no value, or a value has no bytes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    #[error("at byte {at}: expected {expected}")]
    Syntax { at: usize, expected: &'static str },
    #[error("nested too deeply")]
    Depth,
    /// Such as a name in an expression that only a program can resolve.
    #[error("{0} cannot be stored")]
    Unstorable(&'static str),
    #[error("a secret value needs the state's key, and there is none")]
    NoKey,
    #[error("a secret value was sealed with another key or in another place, or was altered")]
    Seal,
}

impl<'a> Wire<'a> {
    pub fn sealed(sealer: &'a dyn Sealer) -> Wire<'a> {
        Wire { secrets: Secrets::Sealed(sealer), origins: false }
    }

    /// Everything readable, places kept: for bytes that are sealed as a whole, such as a plan file.
    pub fn inside_sealed() -> Wire<'static> {
        Wire { secrets: Secrets::InsideSealed, origins: true }
    }

    pub fn write_value(&self, out: &mut Vec<u8>, at: Context<'_>, value: &Value) -> Result<(), WireError> {
        Writing::new(*self, at, out).value(value)
    }

    /// One object.
    pub fn write_fields(&self, out: &mut Vec<u8>, at: Context<'_>, fields: &Fields) -> Result<(), WireError> {
        Writing::new(*self, at, out).fields(fields)
    }

    /// An expression whose only names are attributes of resources and variables of its own.
    ///
    /// Errors: [`WireError::Unstorable`] for any other name.
    pub fn write_expr(&self, out: &mut Vec<u8>, at: Context<'_>, expr: &Expr) -> Result<(), WireError> {
        Writing::new(*self, at, out).expr(expr)
    }

    pub fn write_type(&self, out: &mut Vec<u8>, at: Context<'_>, ty: &Type) -> Result<(), WireError> {
        Writing::new(*self, at, out).ty(ty)
    }

    pub fn read_value(&self, at: Context<'_>, text: &str) -> Result<Value, WireError> {
        Reading::new(*self).whole(at, text, |read| read.value())
    }

    pub fn read_fields(&self, at: Context<'_>, text: &str) -> Result<Fields, WireError> {
        Reading::new(*self).whole(at, text, |read| read.fields())
    }

    pub fn read_expr(&self, at: Context<'_>, text: &str) -> Result<Expr, WireError> {
        Reading::new(*self).whole(at, text, |read| read.expr())
    }

    pub fn read_type(&self, at: Context<'_>, text: &str) -> Result<Type, WireError> {
        Reading::new(*self).whole(at, text, |read| read.ty())
    }
}
