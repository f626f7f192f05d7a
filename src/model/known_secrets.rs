//! The secrets that a command knows, to recognise them where a platform says them again: in another field, as part of a longer text,
//! or in another writing of the same bytes.

use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use rustc_hash::FxHashMap;
use zeroize::Zeroizing;

use super::value::{Data, Fields, Value};

/// Shorter secrets, and shorter pieces of one, would be found by chance.
pub const SHORTEST: usize = 8;

/// Secret texts with their other writings. Texts are learnt while a command runs; looking something up is linear in what is looked
/// through, however many secrets there are. Wiped when dropped; never shown.
#[derive(Default)]
pub struct KnownSecrets {
    held: RwLock<Held>,
}

/// By the first eight bytes of a needle: the needles, longest first, so that none is cut by one that it begins with.
#[derive(Default)]
struct Held {
    needles: FxHashMap<[u8; SHORTEST], Vec<Zeroizing<String>>>,
}

impl KnownSecrets {
    /// Every secret text in these fields, wherever it stands.
    pub fn of(fields: &Fields) -> KnownSecrets {
        let known = KnownSecrets::default();
        known.learn_fields(fields);
        known
    }

    /// Takes up every secret text in these fields.
    pub fn learn_fields(&self, fields: &Fields) {
        fields.values().for_each(|value| self.learn(value));
    }

    /// Takes up every secret text in a value.
    pub fn learn(&self, value: &Value) {
        if value.has_secret() {
            self.learn_within(value, false);
        }
    }

    fn learn_within(&self, value: &Value, within: bool) {
        let secret = within || value.mark.secret;
        match &value.data {
            Data::Text(text) if secret => self.add(text),
            Data::List(items) => items.iter().for_each(|item| self.learn_within(item, secret)),
            Data::Map(fields) | Data::Variant(_, fields) => fields.values().for_each(|value| self.learn_within(value, secret)),
            _ => {}
        }
    }

    /// Takes up one secret, and each of its lines but those that begin and end a key.
    pub fn add(&self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.knows(secret) {
            return;
        }
        for text in std::iter::once(secret).chain(secret.lines().filter(|it| it.len() < secret.len() && !it.starts_with("-----")))
        {
            writings(text).into_iter().for_each(|needle| held.insert(needle));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.held().needles.is_empty()
    }

    /// Whether a text holds a secret in any of its writings.
    pub fn is_in(&self, text: &str) -> bool {
        self.held().is_in(text)
    }

    /// Whether a value, or anything inside of it, holds a secret in any of its writings.
    pub fn is_in_value(&self, value: &Value) -> bool {
        match &value.data {
            Data::Text(text) => self.is_in(text),
            Data::List(items) => items.iter().any(|item| self.is_in_value(item)),
            Data::Map(fields) | Data::Variant(_, fields) => fields.values().any(|field| self.is_in_value(field)),
            _ => false,
        }
    }

    /// The text with every known secret replaced by `(secret)`.
    pub fn clean(&self, text: &str) -> String {
        let held = self.held();
        let (mut out, mut kept) = (String::new(), 0);
        let mut at = 0;
        while let Some((begin, length)) = held.next(text, at) {
            out.push_str(&text[kept..begin]);
            out.push_str("(secret)");
            (kept, at) = (begin + length, begin + length);
        }
        out.push_str(&text[kept..]);
        out
    }

    /// The value in which every text that holds a secret is secret itself. The keys of a map are names, and stay as they are.
    pub fn taint(&self, value: &Value) -> Value {
        let held = self.held();
        if held.needles.is_empty() { value.clone() } else { held.taint(value).unwrap_or_else(|| value.clone()) }
    }

    /// As [`KnownSecrets::taint`], field by field.
    pub fn taint_fields(&self, fields: &mut Fields) {
        let held = self.held();
        if held.needles.is_empty() {
            return;
        }
        for value in fields.values_mut() {
            if let Some(tainted) = held.taint(value) {
                *value = tainted;
            }
        }
    }

    fn held(&self) -> std::sync::RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn insert(&mut self, needle: Zeroizing<String>) {
        let Some(head) = head_at(needle.as_bytes(), 0) else { return };
        let list = self.needles.entry(head).or_default();
        if let Err(at) = list.binary_search_by(|it| needle.len().cmp(&it.len()).then_with(|| it.as_str().cmp(needle.as_str()))) {
            list.insert(at, needle);
        }
    }

    fn knows(&self, text: &str) -> bool {
        head_at(text.as_bytes(), 0)
            .and_then(|head| self.needles.get(&head))
            .is_some_and(|list| list.iter().any(|needle| needle.as_str() == text))
    }

    fn is_in(&self, text: &str) -> bool {
        self.next(text, 0).is_some()
    }

    /// The first secret at or after a place: where it begins, and how long it is.
    fn next(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        if self.needles.is_empty() {
            return None;
        }
        let bytes = text.as_bytes();
        (from..bytes.len().saturating_sub(SHORTEST - 1)).find_map(|at| {
            let list = self.needles.get(&head_at(bytes, at)?)?;
            let found = list.iter().find(|needle| bytes[at..].starts_with(needle.as_bytes()))?;
            Some((at, found.len()))
        })
    }

    /// `None` where nothing in it is new.
    fn taint(&self, value: &Value) -> Option<Value> {
        if value.mark.secret {
            return None;
        }
        let data = match &value.data {
            Data::Text(text) => return self.is_in(text).then(|| value.clone().secret()),
            Data::List(items) => {
                let tainted: Vec<Option<Value>> = items.iter().map(|item| self.taint(item)).collect();
                tainted.iter().any(Option::is_some).then(|| {
                    let both = tainted.into_iter().zip(items.iter());
                    Data::List(Arc::new(both.map(|(new, old)| new.unwrap_or_else(|| old.clone())).collect()))
                })?
            }
            Data::Map(fields) => Data::Map(Arc::new(self.taint_map(fields)?)),
            Data::Variant(label, fields) => Data::Variant(label.clone(), Arc::new(self.taint_map(fields)?)),
            _ => return None,
        };
        Some(Value { data, mark: value.mark.clone() })
    }

    fn taint_map(&self, fields: &Fields) -> Option<Fields> {
        let new: Fields = fields.iter().filter_map(|(name, field)| Some((name.clone(), self.taint(field)?))).collect();
        if new.is_empty() {
            return None;
        }
        let mut all = fields.clone();
        all.extend(new);
        Some(all)
    }
}

fn head_at(bytes: &[u8], at: usize) -> Option<[u8; SHORTEST]> {
    bytes.get(at..at + SHORTEST)?.try_into().ok()
}

/// The ways in which platforms and tools write a text: itself, JSON, percent signs, a form, hexadecimal digits, a quoted word of a
/// shell, and base 64 with both alphabets, also where the secret is a part of what was encoded.
fn writings(text: &str) -> Vec<Zeroizing<String>> {
    if text.len() < SHORTEST {
        return Vec::new();
    }
    let json = Zeroizing::new(serde_json::to_string(text).expect("a string is always JSON"));
    let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let percent = form.replace('+', "%20");
    let lower = text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let upper = lower.to_uppercase();
    let shell = text.replace('\'', "'\\''");
    let (whole, whole_url) = (STANDARD_NO_PAD.encode(text), URL_SAFE_NO_PAD.encode(text));
    let mut all: Vec<Zeroizing<String>> =
        [text.to_owned(), json[1..json.len() - 1].to_owned(), form, percent, lower, upper, shell, whole, whole_url]
            .map(Zeroizing::new)
            .into();
    for before in 0..3 {
        all.extend(base64_after(before, text));
    }
    all.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    all.dedup_by(|a, b| a.as_str() == b.as_str());
    all
}

/// What base 64 makes of a text that follows so many bytes (modulo 3), without the digits that its neighbours have a part in.
fn base64_after(before: usize, text: &str) -> Vec<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(vec![0; before]);
    bytes.extend_from_slice(text.as_bytes());
    let shared_before = [0, 2, 3][before];
    let shared_after = usize::from(!bytes.len().is_multiple_of(3));
    let own = |encoded: String| {
        let encoded = Zeroizing::new(encoded);
        encoded.get(shared_before..encoded.len() - shared_after).filter(|it| it.len() >= SHORTEST).map(|it| it.to_owned().into())
    };
    [STANDARD_NO_PAD.encode(&*bytes), URL_SAFE_NO_PAD.encode(&*bytes)].into_iter().filter_map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct-horse/battery+staple='é'";

    fn known() -> KnownSecrets {
        let known = KnownSecrets::default();
        known.add(SECRET);
        known
    }

    #[test]
    fn a_secret_is_found_in_every_writing_and_inside_of_longer_texts() {
        use base64::engine::general_purpose::{STANDARD, URL_SAFE};
        let known = known();
        let mut texts = vec![
            SECRET.to_owned(),
            serde_json::to_string(SECRET).expect("JSON"),
            url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect(),
            SECRET.bytes().map(|byte| format!("{byte:02x}")).collect(),
            SECRET.bytes().map(|byte| format!("{byte:02X}")).collect(),
            format!("'{}'", SECRET.replace('\'', "'\\''")),
        ];
        // As in an `Authorization: Basic`: other text stands before and after.
        for before in ["", "u", "us", "user", "user:"] {
            for after in ["", "a", "ab", "abc"] {
                texts.push(STANDARD.encode(format!("{before}{SECRET}{after}")));
                texts.push(URL_SAFE.encode(format!("{before}{SECRET}{after}")));
            }
        }
        for text in texts {
            assert!(known.is_in(&text), "{text}");
            let inside = format!("é=<{text}>; é");
            assert!(known.is_in(&inside), "{inside}");
            let cleaned = known.clean(&inside);
            assert!(cleaned.starts_with("é=<") && cleaned.ends_with(">; é") && !known.is_in(&cleaned), "{cleaned}");
        }
        for other in ["", "correct-horse", "horse/battery+staple='é'", "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}"] {
            assert!(!known.is_in(other), "{other}");
            assert_eq!(known.clean(other), other);
        }
    }

    #[test]
    fn the_longest_wins_and_each_line_of_a_text_is_one() {
        let known = KnownSecrets::default();
        known.add("password");
        known.add("password-of-the-database");
        assert_eq!(known.clean("x password-of-the-database, password"), "x (secret), (secret)");
        known.add("first line of a key\nsecond line of a key\nshort");
        assert!(known.is_in("…second line of a key…") && !known.is_in("short"));
        known.add("seven77");
        assert!(!known.is_in("seven77"), "short ones would be found by chance");
    }

    #[test]
    fn values_that_hold_one_become_secret_and_nothing_else_does() {
        let known = known();
        let value = Value::map(Fields::from([
            ("plain".into(), Value::text("nothing")),
            ("url".into(), Value::text(format!("https://u:{SECRET}@h"))),
            ("list".into(), Value::list(vec![Value::int(1), Value::text(SECRET)])),
        ]));
        let tainted = known.taint(&value);
        assert_eq!(tainted.to_literal(), r#"{ list = [1, (secret)], plain = "nothing", url = (secret) }"#);
        assert!(!tainted.mark.secret && value == tainted, "only marks differ");
        let plain = Value::list(vec![Value::text("nothing"), Value::null()]);
        assert!(!known.taint(&plain).has_secret());
    }

    #[test]
    fn secrets_are_learnt_from_what_is_marked() {
        let known = KnownSecrets::of(&Fields::from([
            ("open".into(), Value::text("open-text")),
            ("shut".into(), Value::list(vec![Value::text("shut-text")]).secret()),
        ]));
        assert!(known.is_in("shut-text") && !known.is_in("open-text"));
    }
}
