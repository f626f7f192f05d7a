//! Operators on known values: numbers, the table of units, metrics and conditions.

use std::cmp::Ordering;
use std::sync::Arc;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::builtins::units::{add, decimal, kept, negate, order};
use super::encode::sort_of;
use super::promql;
use crate::model::expr::{Binary, Unary};
use crate::model::value::{Condition, Metric};
use crate::model::{Code, Data, Type, Value};

/// Why an operation has no result.
pub struct NoResult {
    pub code: Code,
    pub message: String,
}

type Computed = Result<Data, NoResult>;

fn arithmetic(message: &str) -> NoResult {
    NoResult { code: Code::Arithmetic, message: message.into() }
}

fn operands(operator: Binary, a: &Data, b: &Data) -> NoResult {
    let message = match (a, b) {
        (Data::Money(_, one), Data::Money(_, other)) => format!("`{}` cannot mix {one} and {other}", operator.symbol()),
        _ => format!("`{}` does not take {} and {}", operator.symbol(), sort_of(a), sort_of(b)),
    };
    NoResult { code: Code::BadOperands, message }
}

pub fn unary(operator: Unary, of: &Value) -> Computed {
    let unfit =
        |symbol: &str| NoResult { code: Code::BadOperands, message: format!("`{symbol}` does not take {}", sort_of(&of.data)) };
    match (operator, &of.data) {
        (Unary::Not, Data::Bool(value)) => Ok(Data::Bool(!value)),
        (Unary::Not, Data::Condition(condition)) => {
            let promql = format!("vector(1) unless on() ({})", condition.promql);
            Ok(made_condition(promql, condition.source.clone()))
        }
        (Unary::Not, _) => Err(unfit("!")),
        (Unary::Minus, Data::Metric(metric)) => {
            let promql = format!("-({})", metric.promql);
            Ok(made_metric(promql, metric.unit.clone(), metric.source.clone()))
        }
        (Unary::Minus, data) => negate(data).map_err(arithmetic)?.ok_or_else(|| unfit("-")),
    }
}

/// Every operator but `??`, `&&` and `||`, which may not need their right side.
pub fn binary(operator: Binary, left: &Value, right: &Value) -> Computed {
    let (a, b) = (&left.data, &right.data);
    if matches!(a, Data::Metric(_)) || matches!(b, Data::Metric(_)) {
        return metrics(operator, a, b);
    }
    match operator {
        Binary::Equal => Ok(Data::Bool(left == right)),
        Binary::NotEqual => Ok(Data::Bool(left != right)),
        Binary::Less => compare(operator, a, b, Ordering::is_lt),
        Binary::LessEqual => compare(operator, a, b, Ordering::is_le),
        Binary::Greater => compare(operator, a, b, Ordering::is_gt),
        Binary::GreaterEqual => compare(operator, a, b, Ordering::is_ge),
        Binary::Range if order(a, b) == Some(Ordering::Greater) => Err(NoResult {
            code: Code::OutOfRange,
            message: format!("a range rises, and {} is above {}", shown(left), shown(right)),
        }),
        Binary::Range => Ok(Data::Range(Arc::new((left.clone(), right.clone())))),
        Binary::Plus => plus(a, b),
        Binary::Minus => minus(a, b),
        Binary::Times => times(a, b),
        Binary::Divide => divide(a, b),
        Binary::Else | Binary::Or | Binary::And => Err(operands(operator, a, b)),
    }
}

/// The value for a message; a secret stays one.
fn shown(value: &Value) -> String {
    value.to_literal().chars().take(40).collect()
}

fn compare(operator: Binary, a: &Data, b: &Data, holds: fn(Ordering) -> bool) -> Computed {
    order(a, b).map(|order| Data::Bool(holds(order))).ok_or_else(|| operands(operator, a, b))
}

fn plus(a: &Data, b: &Data) -> Computed {
    match (a, b) {
        (Data::List(a), Data::List(b)) => Ok(Data::List(Arc::new(a.iter().chain(b.iter()).cloned().collect()))),
        (Data::Instant(instant), Data::Duration(nanos)) | (Data::Duration(nanos), Data::Instant(instant)) => {
            shifted(*instant, *nanos)
        }
        _ => add(a, b).map_err(arithmetic)?.ok_or_else(|| operands(Binary::Plus, a, b)),
    }
}

fn minus(a: &Data, b: &Data) -> Computed {
    match (a, b) {
        (Data::Instant(a), Data::Instant(b)) => {
            let nanos = i64::try_from(a.as_nanosecond() - b.as_nanosecond());
            nanos.map(Data::Duration).map_err(|_| arithmetic("the time between the instants is too long"))
        }
        (Data::Instant(instant), Data::Duration(nanos)) => {
            shifted(*instant, nanos.checked_neg().ok_or_else(|| arithmetic("the duration is too long"))?)
        }
        _ => {
            let negative = negate(b).map_err(arithmetic)?.ok_or_else(|| operands(Binary::Minus, a, b))?;
            add(a, &negative).map_err(arithmetic)?.ok_or_else(|| operands(Binary::Minus, a, b))
        }
    }
}

fn shifted(instant: jiff::Timestamp, nanos: i64) -> Computed {
    let shifted = instant.checked_add(jiff::SignedDuration::from_nanos(nanos));
    shifted.map(Data::Instant).map_err(|_| arithmetic("the instant is outside of the calendar"))
}

fn times(a: &Data, b: &Data) -> Computed {
    let too_large = || arithmetic("the product is too large");
    match (a, b) {
        (Data::Int(a), Data::Int(b)) => a.checked_mul(*b).map(Data::Int).ok_or_else(too_large),
        (Data::Rate(rate), Data::Duration(nanos)) | (Data::Duration(nanos), Data::Rate(rate)) => {
            let (nanos, hour) = (Decimal::from(*nanos), Decimal::from(3_600_000_000_000i64));
            // Multiplied first, so that what is whole stays whole.
            let product = rate.checked_mul(nanos).and_then(|product| product.checked_div(hour));
            product.or_else(|| rate.checked_mul(nanos / hour)).and_then(kept).map(Data::Number).ok_or_else(too_large)
        }
        // Two percents are numbers that multiply; a percent of a percent is a percent.
        (Data::Percent(a), Data::Percent(b)) => a.checked_mul(*b).and_then(kept).map(Data::Percent).ok_or_else(too_large),
        (unit, factor) | (factor, unit) if is_unit(unit) && decimal(factor).is_some() => {
            scaled(unit, decimal(factor).expect("it was just seen to be a number"))
        }
        _ => match (decimal(a), decimal(b)) {
            (Some(a), Some(b)) => a.checked_mul(b).and_then(kept).map(Data::Number).ok_or_else(too_large),
            _ => Err(operands(Binary::Times, a, b)),
        },
    }
}

fn divide(a: &Data, b: &Data) -> Computed {
    let failed = || arithmetic("the quotient is too large");
    let ratio = |a: Decimal, b: Decimal| match b.is_zero() {
        true => Err(arithmetic("this divides by zero")),
        false => a.checked_div(b).and_then(kept).map(Data::Number).ok_or_else(failed),
    };
    match (a, b) {
        (Data::Duration(a), Data::Duration(b)) | (Data::Size(a), Data::Size(b)) => ratio((*a).into(), (*b).into()),
        (Data::Rate(a), Data::Rate(b)) => ratio(*a, *b),
        (Data::Money(a, c), Data::Money(b, d)) if c == d => ratio(*a, *b),
        (Data::Percent(a), Data::Percent(b)) => ratio(*a, *b),
        (unit, divisor) if is_unit(unit) => match decimal(divisor) {
            Some(divisor) if divisor.is_zero() => Err(arithmetic("this divides by zero")),
            Some(divisor) => parted(unit, divisor),
            None => Err(operands(Binary::Divide, a, b)),
        },
        _ => match (decimal(a), decimal(b)) {
            (Some(a), Some(b)) => ratio(a, b),
            _ => Err(operands(Binary::Divide, a, b)),
        },
    }
}

fn is_unit(data: &Data) -> bool {
    matches!(data, Data::Duration(_) | Data::Size(_) | Data::Percent(_) | Data::Rate(_) | Data::Money(..))
}

fn scaled(unit: &Data, factor: Decimal) -> Computed {
    through(unit, |amount| amount.checked_mul(factor).and_then(kept))
}

fn parted(unit: &Data, divisor: Decimal) -> Computed {
    through(unit, |amount| amount.checked_div(divisor).and_then(kept))
}

/// A unit whose amount changes; whole base units are rounded half to even.
fn through(unit: &Data, change: impl Fn(Decimal) -> Option<Decimal>) -> Computed {
    let failed = || arithmetic("the result is too large");
    let whole = |amount: i64| {
        change(amount.into())
            .and_then(|it| it.round_dp_with_strategy(0, rust_decimal::RoundingStrategy::MidpointNearestEven).to_i64())
            .ok_or_else(failed)
    };
    let exact = |amount: Decimal| change(amount).ok_or_else(failed);
    Ok(match unit {
        Data::Duration(nanos) => Data::Duration(whole(*nanos)?),
        Data::Size(bytes) => Data::Size(whole(*bytes)?),
        Data::Percent(ratio) => Data::Percent(exact(*ratio)?),
        Data::Rate(per_hour) => Data::Rate(exact(*per_hour)?),
        Data::Money(amount, currency) => Data::Money(exact(*amount)?, currency.clone()),
        other => other.clone(),
    })
}

/// A metric and a metric, or a metric and a number or unit.
fn metrics(operator: Binary, a: &Data, b: &Data) -> Computed {
    let unfit = || operands(operator, a, b);
    let (left, right) = (side(a).ok_or_else(unfit)?, side(b).ok_or_else(unfit)?);
    let source = one_source(left.source, right.source)?;
    let promql = format!("{} {} {}", left.promql, operator.symbol(), right.promql);
    Ok(match operator {
        Binary::Equal | Binary::NotEqual | Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
            made_condition(promql, source)
        }
        Binary::Plus | Binary::Minus => made_metric(promql, left.unit, source),
        Binary::Times if is_number(&left.unit) => made_metric(promql, right.unit, source),
        Binary::Times => made_metric(promql, left.unit, source),
        Binary::Divide if left.unit == right.unit => made_metric(promql, Type::NUMBER, source),
        Binary::Divide => made_metric(promql, left.unit, source),
        Binary::Range | Binary::Else | Binary::Or | Binary::And => return Err(unfit()),
    })
}

struct Side {
    promql: String,
    unit: Type,
    source: Option<crate::model::Address>,
}

fn side(data: &Data) -> Option<Side> {
    if let Data::Metric(metric) = data {
        return Some(Side { promql: format!("({})", metric.promql), unit: metric.unit.clone(), source: metric.source.clone() });
    }
    let unit = match data {
        Data::Duration(_) => Type::Duration,
        Data::Size(_) => Type::Size,
        Data::Percent(_) => Type::Percent,
        Data::Rate(_) => Type::Rate,
        _ => Type::NUMBER,
    };
    Some(Side { promql: promql::number(data)?, unit, source: None })
}

fn is_number(unit: &Type) -> bool {
    matches!(unit, Type::Number(_) | Type::Int(_))
}

/// `a && b` and `a || b` of conditions; `negated`: the right side is `!b`.
pub fn join_conditions(operator: Binary, a: &Condition, b: &Condition, negated: bool) -> Computed {
    let source = one_source(a.source.clone(), b.source.clone())?;
    let word = match (operator, negated) {
        (Binary::And, true) => "unless",
        (Binary::And, false) => "and",
        _ => "or",
    };
    Ok(made_condition(format!("({}) {word} on() ({})", a.promql, b.promql), source))
}

fn one_source(
    a: Option<crate::model::Address>,
    b: Option<crate::model::Address>,
) -> Result<Option<crate::model::Address>, NoResult> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => Err(NoResult {
            code: Code::BadOperands,
            message: format!("metrics of `{a}` and of `{b}` do not mix in one expression"),
        }),
        (a, b) => Ok(a.or(b)),
    }
}

fn made_metric(promql: String, unit: Type, source: Option<crate::model::Address>) -> Data {
    Data::Metric(Arc::new(Metric { promql: promql.into(), unit, source }))
}

fn made_condition(promql: String, source: Option<crate::model::Address>) -> Data {
    Data::Condition(Arc::new(Condition { promql: promql.into(), source }))
}
