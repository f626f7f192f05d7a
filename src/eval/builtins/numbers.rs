//! Numbers and units.

use std::cmp::Ordering;

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

use super::units::{add, decimal, is_negative, negate, order};
use super::{Arguments, Problem};
use crate::model::{Data, Value};

type Run = Result<Value, Problem>;

pub fn floor(a: &Arguments<'_>) -> Run {
    rounded(a, Decimal::floor)
}

pub fn ceil(a: &Arguments<'_>) -> Run {
    rounded(a, Decimal::ceil)
}

pub fn round(a: &Arguments<'_>) -> Run {
    rounded(a, |number| number.round_dp_with_strategy(0, RoundingStrategy::MidpointNearestEven))
}

fn rounded(a: &Arguments<'_>, by: impl Fn(&Decimal) -> Decimal) -> Run {
    let number = decimal(&a.value(0)?.data).ok_or_else(|| a.unfit(0, "a number"))?;
    by(&number).to_i64().map(Value::int).ok_or_else(|| Problem::arithmetic("the number is too large for an int"))
}

pub fn abs(a: &Arguments<'_>) -> Run {
    let value = a.value(0)?;
    if !is_negative(&value.data) {
        return Ok(value.clone());
    }
    let positive = negate(&value.data).map_err(Problem::arithmetic)?.ok_or_else(|| a.unfit(0, "a number or unit"))?;
    Ok(Value::engine(positive))
}

pub fn min(a: &Arguments<'_>) -> Run {
    extreme(a, Ordering::Less)
}

pub fn max(a: &Arguments<'_>) -> Run {
    extreme(a, Ordering::Greater)
}

fn extreme(a: &Arguments<'_>, wanted: Ordering) -> Run {
    let mut best: Option<&Value> = None;
    for (at, value) in a.rest(0).enumerate() {
        let better = match best {
            None => true,
            Some(best) => order(&value.data, &best.data).ok_or_else(|| a.unfit(at, "of the same unit"))? == wanted,
        };
        if better {
            best = Some(value);
        }
    }
    best.cloned().ok_or_else(|| Problem::argument("at least one value is needed"))
}

pub fn sum(a: &Arguments<'_>) -> Run {
    let Some((first, others)) = a.list(0)?.split_first() else { return Ok(Value::int(0)) };
    let mut sum = first.data.clone();
    for other in others {
        let next = add(&sum, &other.data).map_err(Problem::arithmetic)?;
        sum = next.ok_or_else(|| a.unfit(0, "a list of one unit"))?;
    }
    Ok(Value::engine(sum))
}

pub fn signum(a: &Arguments<'_>) -> Run {
    let value = a.value(0)?;
    let zero = match &value.data {
        Data::Int(value) | Data::Duration(value) | Data::Size(value) => *value == 0,
        Data::Number(value) | Data::Percent(value) | Data::Rate(value) | Data::Money(value, _) => value.is_zero(),
        _ => return Err(a.unfit(0, "a number or unit")),
    };
    Ok(Value::int(match (zero, is_negative(&value.data)) {
        (true, _) => 0,
        (false, true) => -1,
        (false, false) => 1,
    }))
}

/// Exact as long as it has at most 28 digits: by multiplying, not by logarithms.
pub fn pow(a: &Arguments<'_>) -> Run {
    let base = decimal(&a.value(0)?.data).ok_or_else(|| a.unfit(0, "a number"))?;
    let exponent = a.int(1)?;
    let too_large = || Problem::arithmetic("the power is too large");
    let (mut result, mut square, mut left) = (Decimal::ONE, base, exponent.unsigned_abs());
    while left > 0 {
        if left & 1 == 1 {
            result = result.checked_mul(square).ok_or_else(too_large)?;
        }
        left >>= 1;
        if left > 0 {
            square = square.checked_mul(square).ok_or_else(too_large)?;
        }
    }
    if exponent < 0 {
        result = Decimal::ONE.checked_div(result).ok_or_else(|| Problem::arithmetic("this divides by zero"))?;
    }
    Ok(Value::engine(Data::Number(super::units::kept(result).ok_or_else(too_large)?)))
}

pub fn parse_bool(a: &Arguments<'_>) -> Run {
    match a.text(0)?.trim() {
        "true" => Ok(Value::bool(true)),
        "false" => Ok(Value::bool(false)),
        _ => Err(Problem::argument("the text is neither `true` nor `false`")),
    }
}

pub fn parse_int(a: &Arguments<'_>) -> Run {
    let (text, base) = (a.text(0)?, a.int_or(1, 10)?);
    let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
    let base = base.ok_or_else(|| Problem::argument("the base is not from 2 to 36"))?;
    let parsed = i64::from_str_radix(text.trim(), base);
    parsed.map(Value::int).map_err(|_| Problem::argument(format!("the text is not an int in base {base}")))
}

pub fn parse_number(a: &Arguments<'_>) -> Run {
    let parsed = a.text(0)?.trim().parse::<Decimal>();
    parsed.map(|number| Value::engine(Data::Number(number))).map_err(|_| Problem::argument("the text is not a number"))
}
