//! Writing values and operations in PromQL.
//!
//! By convention a series of durations is in seconds, of sizes in bytes, of percents a ratio, of rates in events a second.

use rust_decimal::Decimal;

use crate::model::Data;

/// A duration as PromQL writes it in brackets: `5m`, `1h30m`. Shorter parts than a millisecond are left out.
pub fn duration_text(nanos: i64) -> String {
    let mut rest = nanos.max(0) / 1_000_000;
    let mut out = String::new();
    for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if rest >= length {
            out.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if out.is_empty() { "0s".into() } else { out }
}

/// A duration as a number of seconds.
pub fn seconds(nanos: i64) -> String {
    (Decimal::from(nanos) / Decimal::from(1_000_000_000)).normalize().to_string()
}

/// A number or unit as a PromQL number; `None` for what is neither.
pub fn number(data: &Data) -> Option<String> {
    Some(match data {
        Data::Int(value) | Data::Size(value) => value.to_string(),
        Data::Number(value) | Data::Percent(value) => value.normalize().to_string(),
        Data::Duration(nanos) => seconds(*nanos),
        Data::Rate(per_hour) => (per_hour / Decimal::from(3600)).normalize().to_string(),
        _ => return None,
    })
}

/// A text as a PromQL string with its quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
