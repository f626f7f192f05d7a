//! Types of several values together.

use std::sync::Arc;

pub use crate::eval::join;
use crate::model::types::{FieldType, Need, ObjectType};
use crate::model::{Name, Type};

/// Joins several types; the first that does not go together with those before it is given back by its place.
pub fn join_all<'a>(types: impl IntoIterator<Item = &'a Type>) -> Result<Type, usize> {
    let mut joined = Type::Poison;
    for (at, ty) in types.into_iter().enumerate() {
        joined = join(&joined, ty).ok_or(at)?;
    }
    Ok(joined)
}

/// An object type whose fields are all there.
pub fn object(fields: impl IntoIterator<Item = (Name, Type)>) -> Type {
    let fields = fields.into_iter().map(|(name, ty)| (name, FieldType { ty, need: Need::Required })).collect();
    Type::Object(Arc::new(ObjectType { fields, name: None }))
}

/// A type without `secret` around it, and whether there was one.
pub fn untainted(ty: &Type) -> (&Type, bool) {
    match ty {
        Type::Secret(of) | Type::Sensitive(of) => (untainted(of).0, true),
        other => (other, false),
    }
}
