//! How durations, sizes and rates are written.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Units of duration, largest first, with their length in nanoseconds.
pub const DURATION_UNITS: [(&str, i64); 8] = [
    ("w", 7 * 86_400_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of size, largest first, binary before decimal, with their length in bytes.
pub const SIZE_UNITS: [(&str, i64); 11] = [
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// `5400 s` is `1h30m`; weeks are used only for whole weeks, so that `10d` stays `10d`.
pub fn duration_text(nanos: i64) -> String {
    if nanos == 0 {
        return "0s".into();
    }
    let sign = if nanos < 0 { "-" } else { "" };
    let mut rest = nanos.unsigned_abs();
    let mut out = String::from(sign);
    for (unit, length) in DURATION_UNITS {
        let length = length as u64;
        let whole = unit == "w" && !rest.is_multiple_of(length);
        if !whole && rest >= length {
            out.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    out
}

/// The largest unit that divides the size: `20GiB`, `5GB`, `1000B` as `1KB`.
pub fn size_text(bytes: i64) -> String {
    let fits = SIZE_UNITS.iter().find(|(_, length)| bytes != 0 && bytes % length == 0);
    match fits {
        Some((unit, length)) => format!("{}{unit}", bytes / length),
        None => format!("{bytes}B"),
    }
}

/// `100/s`, `5/m`, `10/h`: the largest unit in which the rate is a whole number.
pub fn rate_text(per_hour: Decimal) -> String {
    for (unit, factor) in [("s", 3600), ("m", 60)] {
        let amount = per_hour / Decimal::from(factor);
        if amount.fract().is_zero() && amount.to_i64().is_some() {
            return format!("{}/{unit}", amount.normalize());
        }
    }
    format!("{}/h", per_hour.normalize())
}

/// `2026-11-21 16:48 UTC`, from milliseconds since 1970.
pub fn utc(time_ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(time_ms);
    time.map_or_else(|_| "at an unknown time".to_owned(), |it| it.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
