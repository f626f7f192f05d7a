//! Addresses: what people type and what state is keyed by.

use std::fmt;
use std::sync::Arc;

/// The address of an instance, resource, secret or input, in its one canonical spelling: `database.main`,
/// `service.worker["email"]`, `database.main/fly.machine.node["0"]`. Keys are JSON strings. Kinds of an import bear its path:
/// `modules:net:vpc.main`. Ordered by text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(Arc<str>);

impl Address {
    /// The address of what stands at the top of a stack: `kind` is `service` or `local.value`.
    pub fn root(kind: &str, name: &str) -> Address {
        Address(format!("{kind}.{name}").into())
    }

    /// The address `kind.name` inside the instance `self`.
    pub fn child(&self, kind: &str, name: &str) -> Address {
        Address(format!("{}/{kind}.{name}", self.0).into())
    }

    /// The instance of a keyed set: `service.worker` with the key `email` is `service.worker["email"]`.
    pub fn keyed(&self, key: &str) -> Address {
        let key = serde_json::to_string(key).expect("a string is always JSON");
        Address(format!("{}[{key}]", self.0).into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads an address back. `None` if the text has not the shape `kind.name["key"]/…`.
    pub fn parse(text: &str) -> Option<Address> {
        let segments = segments(text)?;
        segments.iter().all(|segment| is_segment(segment)).then(|| Address(text.into()))
    }

    /// The segments from the outermost instance inwards.
    pub fn segments(&self) -> Vec<&str> {
        segments(&self.0).expect("an address was built from segments")
    }

    /// What holds this: `database.main` for `database.main/fly.app.app`; `None` at the top.
    pub fn parent(&self) -> Option<Address> {
        let segments = self.segments();
        let last = segments.last()?;
        (segments.len() > 1).then(|| Address(self.0[..self.0.len() - last.len() - 1].into()))
    }

    /// The last segment: `fly.machine.node["0"]`.
    pub fn last(&self) -> &str {
        self.segments().pop().expect("an address has a segment")
    }

    /// Whether `self` is `other` or lies inside it.
    pub fn is_within(&self, other: &Address) -> bool {
        self.0.starts_with(&*other.0) && matches!(self.0.as_bytes().get(other.0.len()), None | Some(b'/'))
    }

    /// The address once `from` is called `to`: of what `from` names, what lies inside of it, and, without a key, all instances of
    /// its set. `None` for every other.
    pub fn renamed(&self, from: &Address, to: &Address) -> Option<Address> {
        let rest = self.0.strip_prefix(&*from.0)?;
        let inside = rest.is_empty() || rest.starts_with(['/', '[']);
        if inside { Address::parse(&format!("{to}{rest}")) } else { None }
    }

    /// The address without the key of its last segment, and that key.
    pub fn split_key(&self) -> (Address, Option<String>) {
        let last = self.last();
        match last.find('[') {
            None => (self.clone(), None),
            Some(at) => {
                let key = serde_json::from_str(&last[at + 1..last.len() - 1]).ok();
                (Address(self.0[..self.0.len() - last.len() + at].into()), key)
            }
        }
    }
}

/// Splits at `/` outside of `["…"]`.
fn segments(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut in_key, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_key => escaped = true,
            b'"' => in_key = !in_key,
            b'/' if !in_key => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!in_key && parts.iter().all(|part| !part.is_empty())).then_some(parts)
}

fn is_segment(segment: &str) -> bool {
    let (path, key) = match segment.find('[') {
        None => (segment, None),
        Some(at) => (&segment[..at], Some(&segment[at..])),
    };
    let key_fits = key
        .is_none_or(|key| key.len() > 3 && key.ends_with(']') && serde_json::from_str::<String>(&key[1..key.len() - 1]).is_ok());
    key_fits
        && path
            .split('.')
            .all(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':')))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
