//! Short words to write declarations with, so that a provider's schema reads as a table.
//!
//! ```
//! use stackwright::model::Type;
//! use stackwright::providers::declare::*;
//! let size = attribute("size", Type::Size, given(gib(1)), "room on it").grows_only("shrink a volume");
//! assert!(size.is_input());
//! ```

use std::sync::Arc;

use crate::model::schema::{Alphabet, Attribute, Given, Naming, OnChange, Unique};
use crate::model::types::{Bounds, FieldType, Name, Need, ObjectType, Type};
use crate::model::value::{Data, Fields, Value};

/// An attribute that an update can change.
pub fn attribute(name: &str, ty: Type, given: Given, doc: &'static str) -> Attribute {
    Attribute {
        name: name.into(),
        doc,
        ty,
        given,
        sensitive: false,
        on_change: OnChange::Update,
        recomputed_by: Vec::new(),
        naming: None,
    }
}

/// An attribute that the platform computes.
pub fn computed(name: &str, ty: Type, doc: &'static str) -> Attribute {
    attribute(name, ty, Given::Computed, doc)
}

impl Attribute {
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// The platform cannot `what`, such as `move a volume`.
    pub fn replaces(mut self, what: &'static str) -> Self {
        self.on_change = OnChange::Replace(what);
        self
    }

    pub fn grows_only(mut self, what: &'static str) -> Self {
        self.on_change = OnChange::GrowOnly(what);
        self
    }

    pub fn recomputed_by(mut self, attributes: &[&str]) -> Self {
        self.recomputed_by = names(attributes);
        self
    }

    pub fn named(mut self, alphabet: Alphabet, max: u8, unique: Unique) -> Self {
        self.naming = Some(Naming { alphabet, max, unique });
        self
    }
}

pub fn names(of: &[&str]) -> Vec<Name> {
    of.iter().map(|name| Name::from(*name)).collect()
}

/// The program may leave it out: then it is this.
pub fn given(default: Value) -> Given {
    Given::Default(default)
}

/// `"a" | "b"`.
pub fn one_of(texts: &[&str]) -> Type {
    Type::Literals(Arc::new(texts.iter().map(|text| Value::text(*text)).collect()))
}

pub fn int(min: i64, max: i64) -> Type {
    Type::Int(Bounds { min: Some(min), max: Some(max) })
}

/// An object type; `name` is what messages call it.
pub fn object(name: &str, fields: Vec<(&str, Type, Need)>) -> Type {
    let fields = fields.into_iter().map(|(field, ty, need)| (Name::from(field), FieldType { ty, need })).collect();
    Type::Object(Arc::new(ObjectType { fields, name: Some(name.into()) }))
}

pub fn default(value: Value) -> Need {
    Need::Default(value)
}

/// A map value.
pub fn fields(of: Vec<(&str, Value)>) -> Value {
    Value::map(of.into_iter().map(|(name, value)| (Name::from(name), value)).collect())
}

pub fn empty_map() -> Value {
    Value::map(Fields::new())
}

pub fn empty_list() -> Value {
    Value::list(Vec::new())
}

pub fn seconds(count: i64) -> Value {
    Value::engine(Data::Duration(count.saturating_mul(1_000_000_000)))
}

pub fn mib(count: i64) -> Value {
    Value::engine(Data::Size(count.saturating_mul(1 << 20)))
}

pub fn gib(count: i64) -> Value {
    mib(count.saturating_mul(1 << 10))
}
