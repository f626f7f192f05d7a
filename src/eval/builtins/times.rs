//! Instants as text. There is no clock: `@2026-11-22T06:00Z` is given, never asked for.

use jiff::tz::TimeZone;

use super::{Arguments, Problem};
use crate::model::{Data, Value};

type Run = Result<Value, Problem>;

pub fn parse_instant(a: &Arguments<'_>) -> Run {
    let text = a.text(0)?;
    let parsed = text.parse::<jiff::Timestamp>();
    parsed
        .map(|instant| Value::engine(Data::Instant(instant)))
        .map_err(|_| Problem::argument("the text is no instant such as 2026-11-22T06:00:00Z"))
}

/// Runs of one letter are fields, as in HCL; text in single quotes stands for itself.
pub fn format_date(a: &Arguments<'_>) -> Run {
    let spec = a.text(0)?;
    let Data::Instant(instant) = a.value(1)?.data else { return Err(a.unfit(1, "an instant")) };
    let at = instant.to_zoned(TimeZone::UTC);
    let mut out = String::new();
    let mut chars = spec.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            loop {
                match chars.next() {
                    Some('\'') if chars.next_if_eq(&'\'').is_some() => out.push('\''),
                    Some('\'') => break,
                    Some(inner) => out.push(inner),
                    None => return Err(Problem::argument("a quote in the format is not closed")),
                }
            }
            continue;
        }
        if !c.is_ascii_alphabetic() {
            out.push(c);
            continue;
        }
        let mut count = 1;
        while chars.next_if_eq(&c).is_some() {
            count += 1;
        }
        let hour12 = match at.hour() % 12 {
            0 => 12,
            hour => hour,
        };
        let two = |number: i8| format!("{number:02}");
        out.push_str(&match (c, count) {
            ('Y', 4) => format!("{:04}", at.year()),
            ('Y', 2) => format!("{:02}", at.year().rem_euclid(100)),
            ('M', 4) => at.strftime("%B").to_string(),
            ('M', 3) => at.strftime("%b").to_string(),
            ('M', 2) => two(at.month()),
            ('M', 1) => at.month().to_string(),
            ('D', 2) => two(at.day()),
            ('D', 1) => at.day().to_string(),
            ('E', 4) => at.strftime("%A").to_string(),
            ('E', 3) => at.strftime("%a").to_string(),
            ('h', 2) => two(at.hour()),
            ('h', 1) => at.hour().to_string(),
            ('H', 2) => two(hour12),
            ('H', 1) => hour12.to_string(),
            ('A', 2) => if at.hour() < 12 { "AM" } else { "PM" }.into(),
            ('a', 2) => if at.hour() < 12 { "am" } else { "pm" }.into(),
            ('m', 2) => two(at.minute()),
            ('m', 1) => at.minute().to_string(),
            ('s', 2) => two(at.second()),
            ('s', 1) => at.second().to_string(),
            ('Z', 1) => "Z".into(),
            ('Z', 3) => "UTC".into(),
            ('Z', 4) => "+0000".into(),
            ('Z', 5) => "+00:00".into(),
            (letter, count) => {
                let run: String = std::iter::repeat_n(letter, count.min(12)).collect();
                return Err(Problem::argument(format!("the format has no field `{run}`: put text in single quotes")));
            }
        });
    }
    super::bounded(out.len())?;
    Ok(Value::text(out))
}
