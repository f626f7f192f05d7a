//! The table of operators: which types go together, and what comes out.

use crate::model::Type;
use crate::model::expr::Binary;

/// The type of `a op b` for types without null and without taint; `None` where they do not go together. Metrics are computed
/// with by the same table; comparisons of metrics are conditions.
pub fn combine(op: Binary, a: &Type, b: &Type) -> Option<Type> {
    match (a, b) {
        (Type::Poison, Type::Poison) => Some(Type::Poison),
        (Type::Metric(_) | Type::Condition, _) | (_, Type::Metric(_) | Type::Condition) => series(op, a, b),
        _ => match op {
            Binary::Plus | Binary::Minus => add(op, a, b),
            Binary::Times => multiply(a, b),
            Binary::Divide => divide(a, b),
            Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => ordered(a, b).then_some(Type::Bool),
            Binary::And | Binary::Or => (is(a, &Type::Bool) && is(b, &Type::Bool)).then_some(Type::Bool),
            Binary::Range => range(a, b),
            Binary::Equal | Binary::NotEqual | Binary::Else => None,
        },
    }
}

fn is(a: &Type, b: &Type) -> bool {
    matches!(a, Type::Poison) || a == b
}

pub fn is_number(ty: &Type) -> bool {
    matches!(ty, Type::Int(_) | Type::Number(_))
}

/// Units that add, subtract and scale.
fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Duration | Type::Size | Type::Percent | Type::Rate | Type::Money)
}

/// A type without its bounds, which a computation leaves.
fn unbounded(ty: &Type) -> Type {
    match ty {
        Type::Int(_) => Type::INT,
        Type::Number(_) => Type::NUMBER,
        other => other.clone(),
    }
}

fn add(op: Binary, a: &Type, b: &Type) -> Option<Type> {
    Some(match (a, b) {
        (Type::Poison, other) | (other, Type::Poison) => unbounded(other),
        (Type::Int(_), Type::Int(_)) => Type::INT,
        (a, b) if is_number(a) && is_number(b) => Type::NUMBER,
        (Type::Percent, b) if is_number(b) => Type::NUMBER,
        (a, Type::Percent) if is_number(a) => Type::NUMBER,
        (a, b) if is_unit(a) && a == b => a.clone(),
        (Type::Instant, Type::Instant) if op == Binary::Minus => Type::Duration,
        (Type::Instant, Type::Duration) => Type::Instant,
        (Type::Duration, Type::Instant) if op == Binary::Plus => Type::Instant,
        (Type::List(a, _), Type::List(b, _)) if op == Binary::Plus => Type::list(crate::eval::builtins::join(a, b)?),
        _ => return None,
    })
}

fn multiply(a: &Type, b: &Type) -> Option<Type> {
    Some(match (a, b) {
        (Type::Poison, other) | (other, Type::Poison) => unbounded(other),
        (Type::Int(_), Type::Int(_)) => Type::INT,
        (a, b) if is_number(a) && is_number(b) => Type::NUMBER,
        // A ratio scales every unit, and of two ratios it is one.
        (Type::Percent, b) if is_unit(b) => b.clone(),
        (a, Type::Percent) if is_unit(a) => a.clone(),
        (a, b) if is_unit(a) && is_number(b) => a.clone(),
        (a, b) if is_number(a) && is_unit(b) => b.clone(),
        (Type::Rate, Type::Duration) | (Type::Duration, Type::Rate) => Type::NUMBER,
        _ => return None,
    })
}

fn divide(a: &Type, b: &Type) -> Option<Type> {
    Some(match (a, b) {
        (Type::Poison, _) | (_, Type::Poison) => Type::Poison,
        (a, b) if is_number(a) && is_number(b) => Type::NUMBER,
        (a, b) if is_unit(a) && a == b => Type::NUMBER,
        (a, b) if is_unit(a) && (is_number(b) || *b == Type::Percent) => a.clone(),
        (a, Type::Percent) if is_number(a) => Type::NUMBER,
        _ => return None,
    })
}

fn ordered(a: &Type, b: &Type) -> bool {
    let ratio = |ty: &Type| is_number(ty) || *ty == Type::Percent;
    match (a, b) {
        (Type::Poison, _) | (_, Type::Poison) => true,
        (a, b) if ratio(a) && ratio(b) => true,
        (Type::Instant, Type::Instant) => true,
        (a, b) => is_unit(a) && a == b,
    }
}

fn range(a: &Type, b: &Type) -> Option<Type> {
    Some(Type::Range(Box::new(match (a, b) {
        (Type::Poison, other) | (other, Type::Poison) => unbounded(other),
        (Type::Int(_), Type::Int(_)) => Type::INT,
        (a, b) if is_number(a) && is_number(b) => Type::NUMBER,
        (a, b) if (is_unit(a) || *a == Type::Instant) && a == b => a.clone(),
        _ => return None,
    })))
}

/// Operators in which a series takes part.
fn series(op: Binary, a: &Type, b: &Type) -> Option<Type> {
    let unit = |ty: &Type| match ty {
        Type::Metric(unit) => (**unit).clone(),
        other => other.clone(),
    };
    match op {
        Binary::And | Binary::Or => match (a, b) {
            (Type::Condition, Type::Condition) | (Type::Condition, Type::Poison) | (Type::Poison, Type::Condition) => {
                Some(Type::Condition)
            }
            _ => None,
        },
        _ if matches!(a, Type::Condition) || matches!(b, Type::Condition) => None,
        Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
            ordered(&unit(a), &unit(b)).then_some(Type::Condition)
        }
        Binary::Equal | Binary::NotEqual => ordered(&unit(a), &unit(b)).then_some(Type::Condition),
        Binary::Plus | Binary::Minus | Binary::Times | Binary::Divide => {
            let unit = combine(op, &unit(a), &unit(b))?;
            match unit {
                Type::List(..) | Type::Instant => None,
                unit => Some(Type::Metric(Box::new(unit))),
            }
        }
        Binary::Range | Binary::Else => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_units() {
        use Binary::*;
        let metric = |ty: Type| Type::Metric(Box::new(ty));
        let table = [
            (Type::INT, Plus, Type::INT, Some(Type::INT)),
            (Type::INT, Divide, Type::INT, Some(Type::NUMBER)),
            (Type::INT, Plus, Type::Duration, None),
            (Type::Size, Greater, Type::Duration, None),
            (Type::Duration, Times, Type::INT, Some(Type::Duration)),
            (Type::Percent, Times, Type::Size, Some(Type::Size)),
            (Type::Percent, Plus, Type::NUMBER, Some(Type::NUMBER)),
            (Type::Size, Divide, Type::Size, Some(Type::NUMBER)),
            (Type::Size, Times, Type::Size, None),
            (Type::Rate, Times, Type::Duration, Some(Type::NUMBER)),
            (Type::Instant, Minus, Type::Instant, Some(Type::Duration)),
            (Type::Instant, Plus, Type::Instant, None),
            (Type::Instant, Minus, Type::Duration, Some(Type::Instant)),
            (metric(Type::Percent), Greater, Type::Percent, Some(Type::Condition)),
            (metric(Type::Percent), Greater, Type::Duration, None),
            (metric(Type::NUMBER), Divide, metric(Type::NUMBER), Some(metric(Type::NUMBER))),
            (Type::Condition, And, Type::Condition, Some(Type::Condition)),
            (Type::Condition, And, Type::Bool, None),
        ];
        for (a, op, b, expected) in table {
            assert_eq!(combine(op, &a, &b), expected, "{a} {} {b}", op.symbol());
        }
    }
}
