//! Writes one JSON object with its keys in order.

use crate::model::canonical::write_text;

pub(in crate::state) struct Object<'o> {
    pub out: &'o mut Vec<u8>,
    last: Option<&'static str>,
}

impl<'o> Object<'o> {
    pub fn new(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object { out, last: None }
    }

    pub fn key(&mut self, name: &'static str) -> &mut Vec<u8> {
        debug_assert!(self.last.is_none_or(|last| last < name), "`{name}` comes too late");
        if self.last.replace(name).is_some() {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub fn text(&mut self, name: &'static str, text: &str) {
        write_text(self.key(name), text);
    }

    pub fn maybe_text(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    pub fn number(&mut self, name: &'static str, number: impl std::fmt::Display) {
        let out = self.key(name);
        out.extend_from_slice(number.to_string().as_bytes());
    }

    /// Left out where there is nothing in it.
    pub fn list<T>(&mut self, name: &'static str, items: &[T], write: impl FnMut(&mut Vec<u8>, &T)) {
        if !items.is_empty() {
            list(self.key(name), items, write);
        }
    }

    pub fn end(self) {
        self.out.push(b'}');
    }
}

pub(in crate::state) fn list<T>(out: &mut Vec<u8>, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// A map from texts to whatever `write` makes.
pub(in crate::state) fn map<'m, K: AsRef<str> + 'm, V: 'm>(
    out: &mut Vec<u8>,
    entries: impl Iterator<Item = (&'m K, &'m V)>,
    mut write: impl FnMut(&mut Vec<u8>, &V),
) {
    out.push(b'{');
    for (at, (key, value)) in entries.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(out, key.as_ref());
        out.push(b':');
        write(out, value);
    }
    out.push(b'}');
}
