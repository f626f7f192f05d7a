//! What literals mean: numbers with and without units, instants, strings.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::tree::{Literal, RatePer};
use crate::model::units::{DURATION_UNITS, SIZE_UNITS};

/// Why a literal has no value: the sentence, what to show under it, and perhaps what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadLiteral {
    pub message: String,
    pub label: &'static str,
    pub help: Option<String>,
}

impl BadLiteral {
    fn new(message: impl Into<String>, label: &'static str) -> Self {
        BadLiteral { message: message.into(), label, help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

const UNITS: &str =
    "durations end in ns us ms s m h d w, sizes in B KB MB GB TB PB KiB MiB GiB TiB PiB, money in a currency such as USD";

/// A number as the grammar delimits it: digits, and perhaps a fraction and a unit.
pub fn number(text: &str) -> Result<Literal, BadLiteral> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '_' && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    if digits.ends_with('_') {
        return Err(BadLiteral::new("a number does not end in `_`", "remove the `_`"));
    }
    match unit {
        "" => plain_number(digits),
        "%" => {
            let percent = decimal(digits)?;
            let ratio = percent.checked_mul(Decimal::new(1, 2)).ok_or_else(too_precise)?;
            if ratio.checked_mul(Decimal::ONE_HUNDRED) != Some(percent) {
                return Err(too_precise());
            }
            Ok(Literal::Percent(ratio))
        }
        _ if unit.starts_with('/') => rate(digits, &unit[1..]),
        _ => {
            if let Some(size) = size_unit(unit) {
                return whole(digits, size, "bytes").map(Literal::Size);
            }
            if unit.len() == 3 && unit.bytes().all(|byte| byte.is_ascii_uppercase()) {
                return Ok(Literal::Money { amount: decimal(digits)?, currency: unit.into() });
            }
            duration(text)
        }
    }
}

fn plain_number(digits: &str) -> Result<Literal, BadLiteral> {
    if digits.contains('.') {
        return decimal(digits).map(Literal::Decimal);
    }
    let value = if digits.contains('_') { digits.replace('_', "").parse() } else { digits.parse() };
    value
        .map(Literal::Int)
        .map_err(|_| BadLiteral::new(format!("`{}` is too large for an int", shorten(digits)), "larger than 9223372036854775807"))
}

fn decimal(digits: &str) -> Result<Decimal, BadLiteral> {
    let clean = digits.replace('_', "");
    Decimal::from_str_exact(&clean).map_err(|_| too_precise())
}

fn too_precise() -> BadLiteral {
    BadLiteral::new("a number has at most 28 digits", "too many digits")
}

/// `digits` times `scale`, if that is a whole number of 64 bits.
fn whole(digits: &str, scale: i64, unit: &str) -> Result<i64, BadLiteral> {
    let too_large = || BadLiteral::new(format!("this is more {unit} than 64 bits hold"), "too large");
    if !digits.contains('.') {
        let count: i64 = digits.replace('_', "").parse().map_err(|_| too_large())?;
        return count.checked_mul(scale).ok_or_else(too_large);
    }
    // Split, so that no product rounds: the fraction has at most 28 digits, and the scale of the largest unit 16.
    let clean = digits.replace('_', "");
    let (integer, fraction) = clean.split_once('.').expect("it holds a dot");
    let fraction = fraction.trim_end_matches('0');
    let integer: i64 = integer.parse().map_err(|_| too_large())?;
    let not_whole = || {
        BadLiteral::new(
            format!("this is not a whole number of {unit}"),
            if unit == "bytes" { "not whole bytes" } else { "not whole nanoseconds" },
        )
    };
    if fraction.len() > 18 {
        return Err(not_whole());
    }
    let numerator = if fraction.is_empty() { 0 } else { fraction.parse::<i128>().map_err(|_| not_whole())? };
    let product = numerator * i128::from(scale);
    let denominator = 10_i128.pow(fraction.len() as u32);
    if product % denominator != 0 {
        return Err(not_whole());
    }
    let part = (product / denominator).to_i64().ok_or_else(too_large)?;
    integer.checked_mul(scale).and_then(|it| it.checked_add(part)).ok_or_else(too_large)
}

fn size_unit(unit: &str) -> Option<i64> {
    SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes)
}

/// `30s`, `1h30m`: numbers with units that get shorter.
fn duration(text: &str) -> Result<Literal, BadLiteral> {
    let (mut rest, mut total, mut shortest) = (text, 0_i64, None::<usize>);
    while !rest.is_empty() {
        let digits_end = rest.find(|c: char| !c.is_ascii_digit() && c != '_' && c != '.').unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(digits_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let Some(index) = DURATION_UNITS.iter().position(|(name, _)| *name == unit) else {
            return Err(unknown_unit(unit));
        };
        if digits.is_empty() || digits.ends_with('_') || digits.starts_with('_') {
            return Err(unknown_unit(unit));
        }
        if shortest.is_some_and(|shortest| index <= shortest) {
            return Err(BadLiteral::new("the units of a duration stand from long to short, each once", "such as 1h30m"));
        }
        shortest = Some(index);
        let part = whole(digits, DURATION_UNITS[index].1, "nanoseconds")?;
        total =
            total.checked_add(part).ok_or_else(|| BadLiteral::new("this is more nanoseconds than 64 bits hold", "too large"))?;
        rest = tail;
    }
    Ok(Literal::Duration(total))
}

fn unknown_unit(unit: &str) -> BadLiteral {
    let meant = match unit {
        "sec" | "secs" | "second" | "seconds" | "S" => Some("s"),
        "min" | "mins" | "minute" | "minutes" => Some("m"),
        "hr" | "hrs" | "hour" | "hours" | "H" => Some("h"),
        "day" | "days" | "D" => Some("d"),
        "week" | "weeks" | "W" => Some("w"),
        "Ki" | "KIB" | "kib" | "kiB" => Some("KiB"),
        "Mi" | "MIB" | "mib" | "miB" => Some("MiB"),
        "Gi" | "GIB" | "gib" | "giB" => Some("GiB"),
        "Ti" | "TIB" | "tib" | "tiB" => Some("TiB"),
        "K" | "k" | "kb" | "kB" => Some("KB"),
        "M" | "mb" | "mB" => Some("MB"),
        "G" | "g" | "gb" | "gB" => Some("GB"),
        "T" | "t" | "tb" | "tB" => Some("TB"),
        "b" => Some("B"),
        _ => None,
    };
    let bad = BadLiteral::new(format!("there is no unit `{}`", shorten(unit)), "unknown unit");
    match meant {
        Some(meant) => bad.help(format!("write `{meant}`")),
        None => bad.help(UNITS),
    }
}

fn rate(digits: &str, unit: &str) -> Result<Literal, BadLiteral> {
    let per = match unit {
        "s" => RatePer::Second,
        "m" => RatePer::Minute,
        "h" => RatePer::Hour,
        _ => {
            return Err(BadLiteral::new(format!("a rate is per `s`, `m` or `h`, not per `{}`", shorten(unit)), "not a rate")
                .help("to divide, put blanks around `/`"));
        }
    };
    Ok(Literal::Rate { count: decimal(digits)?, per })
}

/// `@2026-11-22T06:00Z`, with the `@`.
pub fn instant(text: &str) -> Result<Literal, BadLiteral> {
    text[1..].parse::<jiff::Timestamp>().map(Literal::Instant).map_err(|_| {
        BadLiteral::new("this is no instant", "expected a date, a time and a zone").help("such as `@2026-11-22T06:00Z`")
    })
}

fn shorten(text: &str) -> &str {
    text.get(..40).unwrap_or(text)
}

/// A piece of a string's text as it stands in the source, or a hole where a value goes.
pub enum Piece<'t> {
    Text { raw: &'t str, at: usize },
    Hole,
}

/// An escape that does not exist: the byte where it begins and its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadEscape {
    pub at: usize,
    pub length: usize,
}

/// The texts of the pieces of a string on one line.
pub fn line_texts(pieces: &[Piece<'_>], escapes: bool, bad: &mut Vec<BadEscape>) -> Vec<Option<String>> {
    let text = |piece: &Piece<'_>| match piece {
        Piece::Hole => None,
        Piece::Text { raw, at } if escapes => {
            let mut out = String::with_capacity(raw.len());
            unescape(raw, *at, &mut out, bad);
            Some(out)
        }
        Piece::Text { raw, .. } => Some((*raw).to_owned()),
    };
    pieces.iter().map(text).collect()
}

/// The texts of the pieces of a string in three quotes: the first line falls away if it is empty, the indentation that all other
/// lines have in common is removed, the line of the closing quotes counts for it, and CRLF is a newline.
pub fn block_texts(pieces: &[Piece<'_>], escapes: bool, bad: &mut Vec<BadEscape>) -> Vec<Option<String>> {
    let indentation = common_indentation(pieces);
    let mut line_start = false;
    let mut texts = Vec::with_capacity(pieces.len());
    for (index, piece) in pieces.iter().enumerate() {
        let Piece::Text { raw, at } = piece else {
            line_start = false;
            texts.push(None);
            continue;
        };
        let mut out = String::with_capacity(raw.len());
        let (mut rest, mut at) = (*raw, *at);
        if index == 0 {
            let first = rest.find('\n').map_or(rest, |end| &rest[..end]);
            if first.len() < rest.len() && first.trim().is_empty() {
                rest = &rest[first.len() + 1..];
                at += first.len() + 1;
                line_start = true;
            }
        }
        while !rest.is_empty() {
            if line_start {
                let skip = rest.bytes().take(indentation).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                rest = &rest[skip..];
                at += skip;
            }
            let end = rest.find('\n');
            let line = &rest[..end.unwrap_or(rest.len())];
            let kept = if end.is_some() { line.strip_suffix('\r').unwrap_or(line) } else { line };
            if escapes {
                unescape(kept, at, &mut out, bad);
            } else {
                out.push_str(kept);
            }
            match end {
                Some(end) => {
                    out.push('\n');
                    rest = &rest[end + 1..];
                    at += end + 1;
                    line_start = true;
                }
                None => {
                    rest = "";
                    line_start = false;
                }
            }
        }
        texts.push(Some(out));
    }
    texts
}

/// The blanks that begin all lines but the first, and but empty ones.
fn common_indentation(pieces: &[Piece<'_>]) -> usize {
    let mut common = usize::MAX;
    for piece in pieces {
        let Piece::Text { raw, .. } = piece else { continue };
        let mut lines = raw.split('\n').skip(1).peekable();
        while let Some(line) = lines.next() {
            let blanks = line.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            let ends_here = lines.peek().is_none();
            let is_empty = line.trim().is_empty();
            // The last line of a piece is empty only if the string ends there; else a value stands behind the blanks.
            if !is_empty || ends_here {
                common = common.min(blanks);
            }
        }
    }
    if common == usize::MAX { 0 } else { common }
}

/// Resolves `\n \t \r \" \\ \$ \u{…}`; what else follows a backslash is bad and stands for itself.
fn unescape(raw: &str, at: usize, out: &mut String, bad: &mut Vec<BadEscape>) {
    let mut rest = raw;
    while let Some(slash) = rest.find('\\') {
        out.push_str(&rest[..slash]);
        let here = at + raw.len() - rest.len() + slash;
        let after = &rest[slash + 1..];
        let length = match after.as_bytes().first() {
            Some(b'n') => push(out, '\n'),
            Some(b't') => push(out, '\t'),
            Some(b'r') => push(out, '\r'),
            Some(b'"') => push(out, '"'),
            Some(b'\\') => push(out, '\\'),
            Some(b'$') => push(out, '$'),
            Some(b'u') => match unicode_escape(after) {
                Ok((character, length)) => {
                    out.push(character);
                    length
                }
                Err(length) => {
                    bad.push(BadEscape { at: here, length: length + 1 });
                    length
                }
            },
            other => {
                let length = if other.is_some() { after.chars().next().map_or(0, char::len_utf8) } else { 0 };
                bad.push(BadEscape { at: here, length: length + 1 });
                length
            }
        };
        rest = &after[length..];
    }
    out.push_str(rest);
}

fn push(out: &mut String, character: char) -> usize {
    out.push(character);
    1
}

/// `u{1f600}`: the character and the length of what was read, or the length of what is wrong.
fn unicode_escape(after: &str) -> Result<(char, usize), usize> {
    let Some(inner) = after.strip_prefix("u{") else { return Err(1) };
    let Some(end) = inner.bytes().take(8).position(|byte| byte == b'}') else { return Err(2) };
    let length = end + 3;
    u32::from_str_radix(&inner[..end], 16).ok().and_then(char::from_u32).map(|it| (it, length)).ok_or(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number_of(text: &str) -> String {
        match number(text) {
            Ok(literal) => format!("{literal:?}"),
            Err(bad) => bad.message,
        }
    }

    #[test]
    fn literals_mean_what_they_say() {
        for (text, meaning) in [
            ("3", "Int(3)"),
            ("1_000_000", "Int(1000000)"),
            ("9223372036854775807", "Int(9223372036854775807)"),
            ("9223372036854775808", "`9223372036854775808` is too large for an int"),
            ("0.25", "Decimal(0.25)"),
            ("250ms", "Duration(250000000)"),
            ("1h30m", "Duration(5400000000000)"),
            ("2.5s", "Duration(2500000000)"),
            ("4w", "Duration(2419200000000000)"),
            ("0.5ns", "this is not a whole number of nanoseconds"),
            ("30m1h", "the units of a duration stand from long to short, each once"),
            ("512B", "Size(512)"),
            ("1.5GiB", "Size(1610612736)"),
            ("5GB", "Size(5000000000)"),
            ("1.5B", "this is not a whole number of bytes"),
            ("9PB", "Size(9000000000000000)"),
            ("9999999PiB", "this is more bytes than 64 bits hold"),
            ("70%", "Percent(0.70)"),
            ("0.1%", "Percent(0.001)"),
            ("100/s", "Rate { count: 100, per: Second }"),
            ("5/m", "Rate { count: 5, per: Minute }"),
            ("5/x", "a rate is per `s`, `m` or `h`, not per `x`"),
            ("15.50EUR", "Money { amount: 15.50, currency: \"EUR\" }"),
            ("10min", "there is no unit `min`"),
            ("1_", "a number does not end in `_`"),
        ] {
            assert_eq!(number_of(text), meaning, "{text}");
        }
        assert!(instant("@2026-11-22T06:00Z").is_ok());
        assert!(instant("@2026-11-22").is_err());
        assert!(instant("@").is_err());
    }

    #[test]
    fn blocks_lose_the_indentation_that_their_lines_share() {
        let text = |raw: &str| block_texts(&[Piece::Text { raw, at: 0 }], true, &mut Vec::new())[0].clone().unwrap();
        assert_eq!(text("\n    a\n      b\n    "), "a\n  b\n");
        assert_eq!(text("\n  a\n\n  b"), "a\n\nb");
        assert_eq!(text("a\n  b"), "a\nb");
        assert_eq!(text("\r\n  a\r\n  "), "a\n");
        assert_eq!(text("\n  a\n"), "  a\n");
        assert_eq!(text(""), "");
    }

    #[test]
    fn escapes_are_resolved_and_bad_ones_are_found() {
        let mut bad = Vec::new();
        let texts = line_texts(&[Piece::Text { raw: r#"\n\t\"\\\$\u{e9}\q\u{110000}"#, at: 10 }], true, &mut bad);
        assert_eq!(texts[0].as_deref(), Some("\n\t\"\\$é"));
        assert_eq!(bad, [BadEscape { at: 26, length: 2 }, BadEscape { at: 28, length: 10 }]);
    }
}
