//! The type that a value shows.

use std::sync::Arc;

use crate::model::{Data, Type, Value};

/// The type of a value, as far as the value tells: elements of collections may be anything, and what is unknown says itself.
pub fn type_of(value: &Value) -> Type {
    match &value.data {
        Data::Unknown(unknown) => unknown.ty.clone(),
        Data::Null => Type::Null,
        Data::Bool(_) => Type::Bool,
        Data::Int(_) => Type::INT,
        Data::Number(_) => Type::NUMBER,
        Data::Text(_) => Type::TEXT,
        Data::Duration(_) => Type::Duration,
        Data::Size(_) => Type::Size,
        Data::Percent(_) => Type::Percent,
        Data::Rate(_) => Type::Rate,
        Data::Money(..) => Type::Money,
        Data::Instant(_) => Type::Instant,
        Data::Condition(_) => Type::Condition,
        Data::Metric(metric) => Type::Metric(Box::new(metric.unit.clone())),
        Data::List(_) => Type::list(Type::Any),
        Data::Map(_) => Type::map(Type::Any),
        Data::Variant(..) => Type::Variant(Arc::default()),
        Data::Range(_) => Type::Range(Box::new(Type::Any)),
        Data::Ref(reference) => Type::Ref(reference.kind.clone()),
        Data::Provider(provider) => Type::Provider(provider.ty.clone()),
    }
}
