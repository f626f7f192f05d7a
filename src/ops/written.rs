//! Values as people write them outside of a program: behind `--input`, in a variable, in a file of JSON.

use std::sync::Arc;

use crate::model::types::ObjectType;
use crate::model::{Data, Fields, Span, Type, Value};

/// A value of that type, written as in a program, but that a text needs no quotes. Whether it fits is looked at by whoever takes it.
///
/// Errors: why the text is no value, as a clause.
pub fn from_text(ty: &Type, text: &str, origin: Span) -> Result<Value, String> {
    if matches!(ty.bare(), Type::Text(_)) {
        let value = Value::text(text).at(origin);
        return Ok(if matches!(ty, Type::Secret(_)) { value.secret() } else { value });
    }
    // One that is none of the choices is refused with the choices.
    let is_word = text.starts_with(|c: char| c.is_alphabetic()) && text.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
    let word = match ty.bare() {
        Type::Literals(values) => values.iter().all(|value| value.as_text().is_some()) && !text.starts_with('"'),
        Type::Variant(_) => is_word,
        _ => false,
    };
    if word && text != "null" {
        return Ok(Value::text(text).at(origin));
    }
    crate::lang::literal(text, origin).or_else(|why| match serde_json::from_str::<serde_json::Value>(text) {
        Ok(json) => from_json(ty, &json, origin),
        Err(_) => Err(why),
    })
}

/// A value of that type from JSON. What JSON has no form for is a text there, written as in a program: `"30s"`, `"256MiB"`. A variant
/// is its label, or an object with its label as the one key.
///
/// Errors: as [`from_text`].
pub fn from_json(ty: &Type, json: &serde_json::Value, origin: Span) -> Result<Value, String> {
    use serde_json::Value as Json;
    let any = Type::Any;
    let data = match (json, ty.bare()) {
        (Json::Null, _) => Data::Null,
        (Json::Bool(value), _) => Data::Bool(*value),
        (Json::Number(number), _) => match number.as_i64() {
            Some(value) => Data::Int(value),
            None => {
                let text = number.to_string();
                let parsed = text.parse().or_else(|_| rust_decimal::Decimal::from_scientific(&text));
                Data::Number(parsed.map_err(|_| format!("{text} does not fit a number"))?)
            }
        },
        (
            Json::String(text),
            of @ (Type::Duration
            | Type::Size
            | Type::Percent
            | Type::Rate
            | Type::Money
            | Type::Instant
            | Type::Range(_)
            | Type::Variant(_)),
        ) => return from_text(of, text, origin),
        (Json::String(text), _) => Data::Text(text.as_str().into()),
        (Json::Array(items), of) => {
            let of = if let Type::List(of, _) | Type::Set(of) = of { of } else { &any };
            Data::List(items.iter().map(|item| from_json(of, item, origin)).collect::<Result<Vec<_>, _>>()?.into())
        }
        (Json::Object(entries), Type::Variant(variant)) => {
            let case = entries.iter().next().filter(|_| entries.len() == 1);
            let case = case.and_then(|(label, it)| Some((label, variant.cases.get(label.as_str())?, it)));
            match case {
                Some((label, object, Json::Object(inner))) => {
                    Data::Variant(label.as_str().into(), Arc::new(fields(Some(object), &any, inner, origin)?))
                }
                _ => return Err("a variant is its label, or an object with its label as the one key".into()),
            }
        }
        (Json::Object(entries), Type::Object(object)) => Data::Map(Arc::new(fields(Some(object), &any, entries, origin)?)),
        (Json::Object(entries), Type::Map(of)) => Data::Map(Arc::new(fields(None, of, entries, origin)?)),
        (Json::Object(entries), _) => Data::Map(Arc::new(fields(None, &any, entries, origin)?)),
    };
    Ok(Value::new(data, origin))
}

fn fields(
    object: Option<&ObjectType>,
    other: &Type,
    entries: &serde_json::Map<String, serde_json::Value>,
    origin: Span,
) -> Result<Fields, String> {
    let of = |name: &str| object.and_then(|it| it.fields.get(name)).map_or(other, |field| &field.ty);
    entries.iter().map(|(name, item)| Ok((name.as_str().into(), from_json(of(name), item, origin)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::types::{FieldType, Need, VariantType};

    fn object(fields: &[(&str, Type)]) -> ObjectType {
        let field = |ty: &Type| FieldType { ty: ty.clone(), need: Need::Required };
        ObjectType { fields: fields.iter().map(|(name, ty)| ((*name).into(), field(ty))).collect(), name: None }
    }

    #[test]
    fn values_are_read_as_their_type_says() {
        let union = Type::Literals(Arc::new(vec![Value::text("a"), Value::text("b c")]));
        let cases = [("fast".into(), Arc::new(object(&[("by", Type::Duration)]))), ("slow".into(), Arc::default())];
        let variant = Type::Variant(Arc::new(VariantType { name: None, cases: cases.into() }));
        let health = Type::Object(Arc::new(object(&[("every", Type::Duration)])));
        let text = |ty: &Type, text: &str| from_text(ty, text, Span::ENGINE).map_or_else(|why| why, |it| it.to_literal());
        let json = |ty: &Type, text: &str| {
            let json = serde_json::from_str(text).expect("it is JSON");
            from_json(ty, &json, Span::ENGINE).map_or_else(|why| why, |it| it.to_literal())
        };
        assert_eq!(text(&Type::TEXT, "3"), "\"3\"");
        assert_eq!(text(&Type::INT, "3"), "3");
        assert_eq!(text(&union, "b c"), "\"b c\"");
        assert_eq!(text(&union, "c"), "\"c\"");
        assert_eq!(text(&union, "\"a\""), "\"a\"");
        assert_eq!(text(&variant, "slow"), "\"slow\"");
        assert_eq!(text(&variant, "fast { by = 5m }"), "fast { by = 5m }");
        assert_eq!(text(&variant, "{\"fast\":{\"by\":\"5m\"}}"), "fast { by = 5m }");
        assert_eq!(text(&health, "{ every = 10s }"), "{ every = 10s }");
        assert_eq!(json(&health, "{\"every\":\"10s\"}"), "{ every = 10s }");
        assert_eq!(json(&Type::list(Type::Size), "[\"1GiB\"]"), "[1GiB]");
        assert_eq!(json(&Type::TEXT, "\"1GiB\""), "\"1GiB\"");
        assert_eq!(json(&variant, "{\"slow\":{}}"), "slow");
        assert_eq!(json(&Type::NUMBER, "1e3"), "1000");
        assert!(json(&variant, "{\"fats\":{}}").starts_with("a variant is its label"));
    }
}
