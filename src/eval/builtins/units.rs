//! Amounts: ordering and adding of numbers and units.

use std::cmp::Ordering;

use rust_decimal::{Decimal, RoundingStrategy};

use crate::model::Data;

/// A number as a decimal; percents are ratios and compare with numbers.
pub(in crate::eval) fn decimal(data: &Data) -> Option<Decimal> {
    match data {
        Data::Int(value) => Some(Decimal::from(*value)),
        Data::Number(value) | Data::Percent(value) => Some(*value),
        _ => None,
    }
}

/// The number with no more than 28 digits, the last one rounded half to even: what the language keeps of a number.
pub(in crate::eval) fn kept(number: Decimal) -> Option<Decimal> {
    const LARGEST: i128 = 10i128.pow(28);
    match number.mantissa().abs() < LARGEST {
        true => Some(number),
        false => number.round_sf_with_strategy(28, RoundingStrategy::MidpointNearestEven),
    }
}

/// The order of two values of one sort; `None` where they have none.
pub(in crate::eval) fn order(a: &Data, b: &Data) -> Option<Ordering> {
    match (a, b) {
        (Data::Int(a), Data::Int(b)) | (Data::Duration(a), Data::Duration(b)) | (Data::Size(a), Data::Size(b)) => Some(a.cmp(b)),
        (Data::Rate(a), Data::Rate(b)) => Some(a.cmp(b)),
        (Data::Money(a, c), Data::Money(b, d)) if c == d => Some(a.cmp(b)),
        (Data::Instant(a), Data::Instant(b)) => Some(a.cmp(b)),
        (Data::Text(a), Data::Text(b)) => Some(a.cmp(b)),
        (Data::Bool(a), Data::Bool(b)) => Some(a.cmp(b)),
        (a, b) => Some(decimal(a)?.cmp(&decimal(b)?)),
    }
}

/// The sum of two amounts of one sort; `Err` on overflow, `Ok(None)` where they cannot be added.
pub(in crate::eval) fn add(a: &Data, b: &Data) -> Result<Option<Data>, &'static str> {
    let int = |sum: Option<i64>, make: fn(i64) -> Data| sum.map(make).map(Some);
    let number = |sum: Option<Decimal>, make: fn(Decimal) -> Data| sum.and_then(kept).map(make).map(Some);
    let sum = match (a, b) {
        (Data::Int(a), Data::Int(b)) => int(a.checked_add(*b), Data::Int),
        (Data::Duration(a), Data::Duration(b)) => int(a.checked_add(*b), Data::Duration),
        (Data::Size(a), Data::Size(b)) => int(a.checked_add(*b), Data::Size),
        (Data::Percent(a), Data::Percent(b)) => number(a.checked_add(*b), Data::Percent),
        (Data::Rate(a), Data::Rate(b)) => number(a.checked_add(*b), Data::Rate),
        (Data::Money(a, c), Data::Money(b, d)) if c == d => {
            a.checked_add(*b).and_then(kept).map(|sum| Some(Data::Money(sum, c.clone())))
        }
        (a, b) => match (decimal(a), decimal(b)) {
            (Some(a), Some(b)) => number(a.checked_add(b), Data::Number),
            _ => return Ok(None),
        },
    };
    sum.ok_or("the sum is too large")
}

/// The amount with the other sign; `Err` on overflow, `Ok(None)` for what has no sign.
pub(in crate::eval) fn negate(data: &Data) -> Result<Option<Data>, &'static str> {
    let negative = match data {
        Data::Int(value) => value.checked_neg().map(Data::Int),
        Data::Duration(value) => value.checked_neg().map(Data::Duration),
        Data::Size(value) => value.checked_neg().map(Data::Size),
        Data::Number(value) => Some(Data::Number(-value)),
        Data::Percent(value) => Some(Data::Percent(-value)),
        Data::Rate(value) => Some(Data::Rate(-value)),
        Data::Money(value, currency) => Some(Data::Money(-value, currency.clone())),
        _ => return Ok(None),
    };
    negative.map(Some).ok_or("the result is too large")
}

/// Whether the amount is below zero.
pub(in crate::eval) fn is_negative(data: &Data) -> bool {
    match data {
        Data::Int(value) | Data::Duration(value) | Data::Size(value) => *value < 0,
        Data::Number(value) | Data::Percent(value) | Data::Rate(value) | Data::Money(value, _) => value.is_sign_negative(),
        _ => false,
    }
}
