//! Whether a value of one type fits where another is wanted, and what has to be done to it.

use crate::model::types::{Bounds, FieldType, Need, ObjectType, TextRule};
use crate::model::value::Data;
use crate::model::{Type, Value};

/// How a type relates to the one that is wanted. Ordered: of several parts, the greatest says what the whole does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fit {
    /// As it is.
    Same,
    /// With a conversion: widened, checked, defaults filled in.
    Convert,
    /// It may be null, and null is not wanted.
    MaybeNull,
    /// It is secret, and the place would show it.
    Secret,
    /// Not at all.
    No,
}

/// How `from` fits `to`.
pub fn fit(from: &Type, to: &Type) -> Fit {
    use Fit::*;
    match (from, to) {
        (Type::Poison, _) | (_, Type::Poison) => Same,
        (_, Type::Sensitive(to)) => fit(&shown(from), to),
        (Type::Optional(from), Type::Optional(to)) => fit(from, to),
        (Type::Null, Type::Optional(_) | Type::Any | Type::Null) => Same,
        (from, Type::Optional(to)) => fit(from, to),
        (Type::Optional(of), Type::Any) => fit(of, to),
        (Type::Optional(of), _) => match fit(of, to) {
            Same | Convert => MaybeNull,
            other => other,
        },
        (Type::Null, _) => MaybeNull,
        (Type::Secret(from), Type::Secret(to)) => fit(&shown(from), to),
        (Type::Sensitive(from), Type::Secret(to)) => fit(&shown(from), to).max(Convert),
        // The conversion marks the value.
        (from, Type::Secret(to)) => fit(&shown(from), to).max(Convert),
        (Type::Secret(from) | Type::Sensitive(from), to) => fit(&shown(from), to).max(Secret),
        (from, Type::Any) => into_any(from),
        (Type::Any, _) => match to {
            Type::Ref(_) | Type::Provider(_) | Type::Metric(_) | Type::Condition | Type::Resource(_) => No,
            _ => Convert,
        },
        (Type::Bool, Type::Bool) => Same,
        (Type::Int(from), Type::Int(to)) => within(from, to),
        (Type::Int(_), Type::Number(_)) => Convert,
        (Type::Number(from), Type::Number(to)) => within(from, to),
        (Type::Text(from), Type::Text(to)) => match (from, to) {
            (_, TextRule::Any) => Same,
            (from, to) if from == to => Same,
            _ => Convert,
        },
        (Type::Literals(from), Type::Literals(to)) => match from.iter().filter(|value| to.contains(value)).count() {
            0 => No,
            all if all == from.len() => Same,
            _ => Convert,
        },
        (Type::Literals(values), to) => match literal_base(values) {
            Some(base) => fit(&base, to),
            None => No,
        },
        (from, Type::Literals(values)) => match (from, literal_base(values)) {
            (Type::Text(_), Some(Type::Text(_))) | (Type::Int(_), Some(Type::Int(_))) => Convert,
            (Type::Int(_) | Type::Number(_), Some(Type::Number(_))) | (Type::Bool, Some(Type::Bool)) => Convert,
            _ => No,
        },
        (Type::Range(from), Type::Range(to)) => fit(from, to),
        (from, Type::Range(to)) => match fit(from, to) {
            Same | Convert => Convert,
            other => other,
        },
        (Type::List(from, have), Type::List(to, want)) => fit(from, to).max(within(have, want)),
        (Type::List(from, _), Type::Set(to)) => fit(from, to).max(Convert),
        (Type::Set(from), Type::Set(to)) => fit(from, to),
        (Type::Set(from), Type::List(to, want)) => fit(from, to).max(within(&Bounds::NONE, want)),
        (Type::Map(from), Type::Map(to)) => fit(from, to),
        (Type::Object(from), Type::Map(to)) => from.fields.values().map(|field| fit(&read_type(field), to)).max().unwrap_or(Same),
        (Type::Object(from), Type::Object(to)) => objects(from, to),
        (Type::Variant(from), Type::Variant(to)) => {
            if from == to {
                return Same;
            }
            let cases = from.cases.iter().map(|(label, case)| to.cases.get(label).map_or(No, |wanted| objects(case, wanted)));
            cases.max().unwrap_or(Same)
        }
        (Type::Provider(from), Type::Provider(to)) => match () {
            () if from == to || to.is_empty() => Same,
            () if from.is_empty() => Convert,
            () => No,
        },
        (Type::Metric(from), Type::Metric(to)) => match (&**from, &**to) {
            (Type::Poison, _) | (_, Type::Poison) => Same,
            (from, to) if is_number(from) && is_number(to) => Same,
            (from, to) if from == to => Same,
            _ => No,
        },
        (from, to) if from == to => Same,
        _ => No,
    }
}

fn is_number(ty: &Type) -> bool {
    matches!(ty, Type::Int(_) | Type::Number(_))
}

/// What may stand where any JSON value is wanted.
fn into_any(from: &Type) -> Fit {
    match from {
        Type::Secret(_) | Type::Sensitive(_) => Fit::Secret,
        Type::Ref(_) | Type::Provider(_) | Type::Metric(_) | Type::Condition | Type::Resource(_) => Fit::No,
        Type::List(of, _) | Type::Set(of) | Type::Map(of) | Type::Optional(of) => into_any(of),
        Type::Object(object) => object.fields.values().map(|field| into_any(&field.ty)).max().unwrap_or(Fit::Same),
        Type::Variant(variant) => {
            let fields = variant.cases.values().flat_map(|case| case.fields.values());
            fields.map(|field| into_any(&field.ty)).max().unwrap_or(Fit::Same)
        }
        _ => Fit::Same,
    }
}

fn objects(from: &ObjectType, to: &ObjectType) -> Fit {
    if std::ptr::eq(from, to) || from == to {
        return Fit::Same;
    }
    let mut whole = Fit::Same;
    for (name, wanted) in &to.fields {
        let part = match (from.fields.get(name), &wanted.need) {
            (Some(field), need) => match (&field.need, need) {
                (Need::Absent, Need::Required) if !matches!(wanted.ty, Type::Optional(_)) => Fit::MaybeNull,
                (Need::Absent, Need::Default(_)) => fit(&field.ty, &wanted.ty).max(Fit::Convert),
                (Need::Absent, _) => fit(&field.ty, &wanted.ty),
                _ => match (&field.ty, need) {
                    // Null where a field may be absent means absent.
                    (Type::Optional(of), Need::Absent) => fit(of, &wanted.ty),
                    (ty, _) => fit(ty, &wanted.ty),
                },
            },
            (None, Need::Default(_)) => Fit::Convert,
            (None, Need::Absent) => Fit::Same,
            (None, Need::Required) if matches!(wanted.ty, Type::Optional(_)) => Fit::Convert,
            (None, Need::Required) => Fit::No,
        };
        whole = whole.max(part);
    }
    let extra = from.fields.keys().any(|name| !to.fields.contains_key(name));
    if extra { Fit::No } else { whole }
}

/// The type that reading a field gives: null where it may be absent.
pub fn read_type(field: &FieldType) -> Type {
    match field.need {
        Need::Absent => field.ty.clone().optional(),
        _ => field.ty.clone(),
    }
}

fn within<T: PartialOrd>(from: &Bounds<T>, to: &Bounds<T>) -> Fit {
    let below = match (&from.min, &to.min) {
        (_, None) => true,
        (Some(from), Some(to)) => from >= to,
        (None, Some(_)) => false,
    };
    let above = match (&from.max, &to.max) {
        (_, None) => true,
        (Some(from), Some(to)) => from <= to,
        (None, Some(_)) => false,
    };
    if below && above { Fit::Same } else { Fit::Convert }
}

/// The type as a sink sees it, which takes secrets wherever they are.
pub fn shown(ty: &Type) -> Type {
    match ty {
        Type::Secret(of) | Type::Sensitive(of) => shown(of),
        Type::Optional(of) => shown(of).optional(),
        Type::List(of, bounds) if holds_secret(of) => Type::List(Box::new(shown(of)), *bounds),
        Type::Set(of) if holds_secret(of) => Type::Set(Box::new(shown(of))),
        Type::Map(of) if holds_secret(of) => Type::map(shown(of)),
        Type::Object(object) if holds_secret(ty) => {
            let field = |field: &FieldType| FieldType { ty: shown(&field.ty), need: field.need.clone() };
            let fields = object.fields.iter().map(|(name, it)| (name.clone(), field(it))).collect();
            Type::Object(std::sync::Arc::new(ObjectType { fields, name: object.name.clone() }))
        }
        other => other.clone(),
    }
}

/// Whether a value of the type may be, or hold, a secret.
pub fn holds_secret(ty: &Type) -> bool {
    ty.holds_secret()
}

/// The type, secret. A `?` stays outside: whether something is there is no secret.
pub fn secret(ty: Type) -> Type {
    match ty {
        Type::Optional(of) => secret(*of).optional(),
        Type::Sensitive(of) => secret(*of),
        Type::Secret(_) | Type::Poison | Type::Null => ty,
        other => Type::Secret(Box::new(other)),
    }
}

/// A type that takes secrets element by element, as who reads it sees it: which elements there are is no secret.
pub fn each_sensitive(ty: Type) -> Type {
    let inside = |of: Type| each_sensitive(Type::Sensitive(Box::new(of)));
    match ty {
        Type::Sensitive(of) => match *of {
            Type::Map(of) => Type::map(inside(*of)),
            Type::List(of, bounds) => Type::List(Box::new(inside(*of)), bounds),
            Type::Set(of) => Type::Set(Box::new(inside(*of))),
            Type::Optional(of) => inside(*of).optional(),
            Type::Object(object) => {
                let field = |field: &FieldType| FieldType { ty: inside(field.ty.clone()), need: field.need.clone() };
                let fields = object.fields.iter().map(|(name, it)| (name.clone(), field(it))).collect();
                Type::Object(std::sync::Arc::new(ObjectType { fields, name: object.name.clone() }))
            }
            of @ (Type::Sensitive(_) | Type::Secret(_)) => of,
            of => Type::Sensitive(Box::new(of)),
        },
        Type::Optional(of) => each_sensitive(*of).optional(),
        other => other,
    }
}

/// The type of the members of a literal union, without its values.
pub fn literal_base(values: &[Value]) -> Option<Type> {
    Some(match values.first()?.data {
        Data::Text(_) => Type::TEXT,
        Data::Int(_) => Type::INT,
        Data::Number(_) => Type::NUMBER,
        Data::Bool(_) => Type::Bool,
        _ => return None,
    })
}

/// What an element, field or part is wanted as, where the whole is a sink for secrets.
pub fn sink(of: &Type, sensitive: bool) -> Type {
    match of {
        _ if !sensitive => of.clone(),
        Type::Sensitive(_) | Type::Secret(_) => of.clone(),
        other => Type::Sensitive(Box::new(other.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_where() {
        let int = |min, max| Type::Int(Bounds { min: Some(min), max: Some(max) });
        let secret_text = secret(Type::TEXT);
        let sensitive_map = Type::Sensitive(Box::new(Type::map(Type::TEXT)));
        let table = [
            (int(1, 5), int(0, 9), Fit::Same),
            (int(1, 50), int(0, 9), Fit::Convert),
            (Type::INT, Type::NUMBER, Fit::Convert),
            (Type::NUMBER, Type::INT, Fit::No),
            (Type::TEXT.optional(), Type::TEXT, Fit::MaybeNull),
            (Type::TEXT, Type::TEXT.optional(), Fit::Same),
            (secret_text.clone(), Type::TEXT, Fit::Secret),
            (Type::TEXT, secret_text.clone(), Fit::Convert),
            (secret_text.clone(), secret_text.clone(), Fit::Same),
            (Type::map(secret_text.clone()), sensitive_map.clone(), Fit::Same),
            (sensitive_map, Type::map(Type::TEXT), Fit::Secret),
            (Type::map(secret_text), Type::Any, Fit::Secret),
            (Type::Duration, Type::Size, Fit::No),
            (Type::INT, Type::Range(Box::new(Type::INT)), Fit::Convert),
            (Type::list(Type::INT), Type::Any, Fit::Same),
        ];
        for (from, to, expected) in table {
            assert_eq!(fit(&from, &to), expected, "{from} into {to}");
        }
    }
}
