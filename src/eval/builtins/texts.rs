//! Texts.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::{Arguments, Problem};
use crate::model::{Data, Value};

/// No text that a built-in makes is longer than this, in bytes.
pub(in crate::eval) const TEXT_MAX: usize = 16 << 20;

type Run = Result<Value, Problem>;

pub fn lower(a: &Arguments<'_>) -> Run {
    Ok(Value::text(a.text(0)?.to_lowercase()))
}

pub fn upper(a: &Arguments<'_>) -> Run {
    Ok(Value::text(a.text(0)?.to_uppercase()))
}

pub fn title(a: &Arguments<'_>) -> Run {
    let (mut out, mut first) = (String::new(), true);
    for c in a.text(0)?.chars() {
        match first && c.is_alphabetic() {
            true => out.extend(c.to_uppercase()),
            false => out.push(c),
        }
        first = c.is_whitespace();
    }
    Ok(Value::text(out))
}

pub fn trim(a: &Arguments<'_>) -> Run {
    let set: Vec<char> = a.text(1)?.chars().collect();
    Ok(Value::text(a.text(0)?.trim_matches(&set[..])))
}

pub fn trim_space(a: &Arguments<'_>) -> Run {
    Ok(Value::text(a.text(0)?.trim()))
}

pub fn chomp(a: &Arguments<'_>) -> Run {
    Ok(Value::text(a.text(0)?.trim_end_matches(['\n', '\r'])))
}

pub fn str_rev(a: &Arguments<'_>) -> Run {
    Ok(Value::text(a.text(0)?.chars().rev().collect::<String>()))
}

pub fn trim_prefix(a: &Arguments<'_>) -> Run {
    let text = a.text(0)?;
    Ok(Value::text(text.strip_prefix(a.text(1)?).unwrap_or(text)))
}

pub fn trim_suffix(a: &Arguments<'_>) -> Run {
    let text = a.text(0)?;
    Ok(Value::text(text.strip_suffix(a.text(1)?).unwrap_or(text)))
}

pub fn starts_with(a: &Arguments<'_>) -> Run {
    Ok(Value::bool(a.text(0)?.starts_with(a.text(1)?)))
}

pub fn ends_with(a: &Arguments<'_>) -> Run {
    Ok(Value::bool(a.text(0)?.ends_with(a.text(1)?)))
}

pub fn str_contains(a: &Arguments<'_>) -> Run {
    Ok(Value::bool(a.text(0)?.contains(a.text(1)?)))
}

pub fn split(a: &Arguments<'_>) -> Run {
    let (by, text) = (a.text(0)?, a.text(1)?);
    let parts = match (by, text) {
        (_, "") => Vec::new(),
        ("", text) => text.chars().map(|c| Value::text(c.to_string())).collect(),
        (by, text) => text.split(by).map(Value::text).collect(),
    };
    Ok(Value::list(parts))
}

pub fn join(a: &Arguments<'_>) -> Run {
    let by = a.text(0)?;
    let mut out = String::new();
    for (at, item) in a.list(1)?.iter().enumerate() {
        let item = item.as_text().ok_or_else(|| a.unfit(1, "a list of strings"))?;
        bounded(out.len() + by.len() + item.len())?;
        if at > 0 {
            out.push_str(by);
        }
        out.push_str(item);
    }
    Ok(Value::text(out))
}

pub fn replace(a: &Arguments<'_>) -> Run {
    let (text, old, new) = (a.text(0)?, a.text(1)?, a.text(2)?);
    if old.is_empty() {
        return Err(Problem::argument("`old` is empty"));
    }
    let times = text.matches(old).count();
    bounded(text.len().saturating_add(times.saturating_mul(new.len())))?;
    Ok(Value::text(text.replace(old, new)))
}

pub fn substr(a: &Arguments<'_>) -> Run {
    let (text, offset, length) = (a.text(0)?, a.int(1)?, a.int(2)?);
    let count = text.chars().count() as i64;
    let start = if offset < 0 { (count.saturating_add(offset)).max(0) } else { offset.min(count) };
    let taken = match length {
        -1 => count - start,
        length if length < 0 => return Err(Problem::argument(format!("the length {length} is negative"))),
        length => length.min(count - start),
    };
    Ok(Value::text(text.chars().skip(start as usize).take(taken as usize).collect::<String>()))
}

pub fn indent(a: &Arguments<'_>) -> Run {
    let (spaces, text) = (a.int(0)?, a.text(1)?);
    let spaces = usize::try_from(spaces).ok().filter(|spaces| *spaces <= 1000);
    let spaces = spaces.ok_or_else(|| Problem::argument("the indentation is not from 0 to 1000"))?;
    bounded(text.len().saturating_add(text.matches('\n').count().saturating_mul(spaces)))?;
    Ok(Value::text(text.replace('\n', &format!("\n{}", " ".repeat(spaces)))))
}

pub fn regex(a: &Arguments<'_>) -> Run {
    let pattern = compile(a.text(0)?)?;
    let found = pattern.captures(a.text(1)?).and_then(|it| it.get(1).or_else(|| it.get(0)));
    Ok(found.map_or(Value::null(), |part| Value::text(part.as_str())))
}

pub fn regex_all(a: &Arguments<'_>) -> Run {
    let pattern = compile(a.text(0)?)?;
    let all = pattern.captures_iter(a.text(1)?).filter_map(|it| it.get(1).or_else(|| it.get(0)));
    Ok(Value::list(all.map(|part| Value::text(part.as_str())).collect()))
}

pub fn regex_replace(a: &Arguments<'_>) -> Run {
    let (text, pattern, new) = (a.text(0)?, compile(a.text(1)?)?, a.text(2)?);
    let times = pattern.find_iter(text).count();
    bounded(text.len().saturating_add(times.saturating_mul(new.len().saturating_add(text.len()))))?;
    Ok(Value::text(pattern.replace_all(text, new).into_owned()))
}

pub fn regex_escape(a: &Arguments<'_>) -> Run {
    Ok(Value::text(regex::escape(a.text(0)?)))
}

pub fn text(a: &Arguments<'_>) -> Run {
    let value = a.value(0)?;
    Ok(match &value.data {
        Data::Text(text) => Value::text(text.clone()),
        // `to_literal` hides secrets; the result is secret itself, so nothing is given away here.
        _ => Value::text(revealed(value).to_literal()),
    })
}

/// The value with no part marked secret.
pub(super) fn revealed(value: &Value) -> Value {
    let data = match &value.data {
        Data::List(items) => Data::List(Arc::new(items.iter().map(revealed).collect())),
        Data::Map(fields) => Data::Map(Arc::new(fields.iter().map(|(k, v)| (k.clone(), revealed(v))).collect())),
        Data::Variant(label, fields) => {
            Data::Variant(label.clone(), Arc::new(fields.iter().map(|(k, v)| (k.clone(), revealed(v))).collect()))
        }
        Data::Range(ends) => Data::Range(Arc::new((revealed(&ends.0), revealed(&ends.1)))),
        other => other.clone(),
    };
    let mut mark = value.mark.clone();
    mark.secret = false;
    Value { data, mark }
}

pub(super) fn compile(pattern: &str) -> Result<regex::Regex, Problem> {
    super::compile(pattern).map_err(|why| Problem::argument(format!("the regular expression cannot be used: {why}")))
}

pub(in crate::eval) fn bounded(length: usize) -> Result<(), Problem> {
    match length <= TEXT_MAX {
        true => Ok(()),
        false => Err(Problem::new(crate::model::Code::Limit, "the text would be longer than 16 MiB")),
    }
}

/// `%[flags][width][.precision]verb`.
struct Verb {
    zero: bool,
    left: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

pub fn format(a: &Arguments<'_>) -> Run {
    formatted(a.text(0)?, a.rest(1)).map(Value::text)
}

/// Lists among the values are gone through side by side; other values stay the same in each text.
pub fn format_list(a: &Arguments<'_>) -> Run {
    let mut lengths = a.rest(1).filter_map(Value::as_list).map(<[Value]>::len);
    let count = lengths.next().ok_or_else(|| Problem::argument("none of the values is a list"))?;
    if let Some(other) = lengths.find(|length| *length != count) {
        return Err(Problem::argument(format!("the lists have {count} and {other} elements")));
    }
    let (format, mut all, mut total) = (a.text(0)?, Vec::with_capacity(count), 0usize);
    for at in 0..count {
        let text = formatted(format, a.rest(1).map(|value| value.as_list().map_or(value, |list| &list[at])))?;
        total += text.len();
        bounded(total)?;
        all.push(Value::text(text));
    }
    Ok(Value::list(all))
}

fn formatted<'v>(format: &str, mut values: impl Iterator<Item = &'v Value>) -> Result<String, Problem> {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let verb = verb(&mut chars)?;
        if verb.letter == '%' {
            out.push('%');
            continue;
        }
        let value = values.next().ok_or_else(|| Problem::argument("there are more verbs than values"))?;
        let piece = piece(&verb, &revealed(value))?;
        bounded(out.len() + piece.len().max(verb.width))?;
        pad(&mut out, &verb, &piece);
    }
    match values.next() {
        None => Ok(out),
        Some(_) => Err(Problem::argument("there are more values than verbs")),
    }
}

fn verb(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Verb, Problem> {
    let mut verb = Verb { zero: false, left: false, plus: false, width: 0, precision: None, letter: '%' };
    while let Some(flag) = chars.next_if(|c| matches!(c, '0' | '-' | '+')) {
        match flag {
            '0' => verb.zero = true,
            '-' => verb.left = true,
            _ => verb.plus = true,
        }
    }
    verb.width = digits(chars)?.unwrap_or(0);
    if chars.next_if_eq(&'.').is_some() {
        verb.precision = Some(digits(chars)?.unwrap_or(0));
    }
    verb.letter = chars.next().ok_or_else(|| Problem::argument("the format ends after `%`"))?;
    Ok(verb)
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<usize>, Problem> {
    let mut number: Option<usize> = None;
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        let next = number.unwrap_or(0) * 10 + digit as usize - '0' as usize;
        if next > 1000 {
            return Err(Problem::argument("a width or precision is over 1000"));
        }
        number = Some(next);
    }
    Ok(number)
}

fn piece(verb: &Verb, value: &Value) -> Result<String, Problem> {
    let unfit = |expected: &str| Problem::argument(format!("`%{}` takes {expected}", verb.letter));
    let number = match &value.data {
        Data::Int(value) => Some(Decimal::from(*value)),
        Data::Number(value) | Data::Percent(value) => Some(*value),
        _ => None,
    };
    let signed = |text: String| if verb.plus && !text.starts_with('-') { format!("+{text}") } else { text };
    Ok(match verb.letter {
        's' | 'v' => {
            let text = value.as_text().map_or_else(|| value.to_literal(), str::to_owned);
            verb.precision.map_or(text.clone(), |most| text.chars().take(most).collect())
        }
        'q' => value.to_literal(),
        'd' => signed(value.as_int().ok_or_else(|| unfit("an int"))?.to_string()),
        'x' => format!("{:x}", value.as_int().ok_or_else(|| unfit("an int"))?),
        'X' => format!("{:X}", value.as_int().ok_or_else(|| unfit("an int"))?),
        'o' => format!("{:o}", value.as_int().ok_or_else(|| unfit("an int"))?),
        'b' => format!("{:b}", value.as_int().ok_or_else(|| unfit("an int"))?),
        't' => value.as_bool().ok_or_else(|| unfit("a bool"))?.to_string(),
        'f' => {
            let number = number.ok_or_else(|| unfit("a number"))?;
            let precision = verb.precision.unwrap_or(6).min(28);
            let rounded = number.round_dp_with_strategy(precision as u32, rust_decimal::RoundingStrategy::MidpointNearestEven);
            let mut text = rounded.to_string();
            let (at, missing) = match text.find('.') {
                Some(at) => (at + 1, precision.saturating_sub(text.len() - at - 1)),
                None => (text.len(), precision),
            };
            if at == text.len() && missing > 0 {
                text.push('.');
            }
            text.extend(std::iter::repeat_n('0', missing));
            signed(text)
        }
        other => return Err(Problem::argument(format!("there is no verb `%{}`", other.escape_default()))),
    })
}

fn pad(out: &mut String, verb: &Verb, piece: &str) {
    let missing = verb.width.saturating_sub(piece.chars().count());
    match (verb.left, verb.zero && verb.letter != 's') {
        (true, _) => {
            out.push_str(piece);
            out.extend(std::iter::repeat_n(' ', missing));
        }
        (false, true) => {
            let (sign, digits) = match piece.strip_prefix(['-', '+']) {
                Some(digits) => (&piece[..1], digits),
                None => ("", piece),
            };
            out.push_str(sign);
            out.extend(std::iter::repeat_n('0', missing));
            out.push_str(digits);
        }
        (false, false) => {
            out.extend(std::iter::repeat_n(' ', missing));
            out.push_str(piece);
        }
    }
}
