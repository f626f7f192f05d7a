//! One value by itself, as it is given on a command line: `3`, `30s`, `["a", "b"]`, `{ cpu = 2 }`.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::syntax;
use super::syntax::tree::{Body, EntryKind, Expr, ExprKind, ItemKind, Literal, RatePer, UnaryOp};
use crate::model::{Data, SourceId, Span, Value};

/// Reads a literal, or a list or object of literals. The value's origin is `origin`.
///
/// Errors: in words, without a place, since the text is all there is.
pub fn literal(text: &str, origin: Span) -> Result<Value, String> {
    let parsed = syntax::parse(SourceId(0), &format!("let it = {text}\n"));
    if let Some(diagnostic) = parsed.diagnostics.first() {
        return Err(diagnostic.message.clone());
    }
    match &parsed.file.items[..] {
        [item] => match &item.kind {
            ItemKind::Let(it) => value(&it.value, origin),
            _ => Err("it is no value".into()),
        },
        _ => Err("it is more than one value".into()),
    }
}

fn value(expr: &Expr, origin: Span) -> Result<Value, String> {
    let data = match &expr.without_parens().kind {
        ExprKind::Literal(literal) => of_literal(literal)?,
        ExprKind::Text(text) => Data::Text(text.clone()),
        ExprKind::List(items) => Data::List(Arc::new(items.iter().map(|item| value(item, origin)).collect::<Result<_, _>>()?)),
        ExprKind::Object(body) => value_of_body(body, origin)?,
        ExprKind::Variant { label, body } => match value_of_body(body, origin)? {
            Data::Map(fields) => Data::Variant(label.node.clone(), fields),
            other => other,
        },
        ExprKind::Unary { ops, operand } if ops.iter().all(|op| op.node == UnaryOp::Neg) => {
            let mut data = value(operand, origin)?.data;
            for _ in ops {
                data = negated(data)?;
            }
            data
        }
        ExprKind::Name(name) => return Err(format!("`{name}` is a name; a text that is no string type needs quotes")),
        _ => return Err("it has to be computed, and only literals can be given here".into()),
    };
    Ok(Value::new(data, origin))
}

fn value_of_body(body: &Body, origin: Span) -> Result<Data, String> {
    let fields = body.entries.iter().map(|entry| match &entry.kind {
        EntryKind::Field { key, value: of } => match key.text() {
            Some(name) => Ok((name.node.clone(), value(of, origin)?)),
            None => Err("a computed key is no literal".to_owned()),
        },
        _ => Err("only `name = value` can stand in it".to_owned()),
    });
    Ok(Data::Map(Arc::new(fields.collect::<Result<_, _>>()?)))
}

fn negated(data: Data) -> Result<Data, String> {
    let overflow = || "it is too small".to_owned();
    Ok(match data {
        Data::Int(value) => Data::Int(value.checked_neg().ok_or_else(overflow)?),
        Data::Number(value) => Data::Number(-value),
        Data::Percent(value) => Data::Percent(-value),
        Data::Duration(value) => Data::Duration(value.checked_neg().ok_or_else(overflow)?),
        Data::Size(value) => Data::Size(value.checked_neg().ok_or_else(overflow)?),
        Data::Money(value, currency) => Data::Money(-value, currency),
        _ => return Err("`-` stands before a number".into()),
    })
}

/// The value that a literal of the syntax means.
fn of_literal(literal: &Literal) -> Result<Data, String> {
    Ok(match literal {
        Literal::Null => Data::Null,
        Literal::Bool(value) => Data::Bool(*value),
        Literal::Int(value) => Data::Int(*value),
        Literal::Decimal(value) => Data::Number(*value),
        Literal::Duration(nanos) => Data::Duration(*nanos),
        Literal::Size(bytes) => Data::Size(*bytes),
        Literal::Percent(ratio) => Data::Percent(*ratio),
        Literal::Rate { count, per } => {
            let factor = match per {
                RatePer::Second => 3600,
                RatePer::Minute => 60,
                RatePer::Hour => 1,
            };
            Data::Rate(count.checked_mul(Decimal::from(factor)).ok_or("the rate is too large")?)
        }
        Literal::Money { amount, currency } => Data::Money(*amount, currency.clone()),
        Literal::Instant(instant) => Data::Instant(*instant),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let got = literal(text, Span::ENGINE).map_or_else(|why| format!("error: {why}"), |value| value.to_literal());
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn literals_of_every_kind_are_read() {
        check("3", "3");
        check("-3", "-3");
        check("30s", "30s");
        check("20GiB", "20GiB");
        check("70%", "70%");
        check("100/s", "100/s");
        check("\"a b\"", "\"a b\"");
        check("[1, 2]", "[1, 2]");
        check("{ cpu = 2, memory = 1GiB }", "{ cpu = 2, memory = 1GiB }");
    }

    #[test]
    fn what_is_no_literal_is_refused() {
        for text in ["input.x", "1 + 1", "", "1 2", "let", "fail(\"x\")", "}", "{ [a] = 1 }"] {
            assert!(literal(text, Span::ENGINE).is_err(), "{text}");
        }
    }
}
