//! The data keys of a state and whom they are wrapped for, as `key` entries have it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::Deserialize;

use crate::model::canonical::write_text;
use crate::model::wire::WireError;
use crate::state::contract::Sequence;
use crate::state::log::key::{Holder, KeyChange, KeyId, holder, key_id, write_holder};
use crate::state::log::wire::bad;
use crate::state::log::{Object, list};

/// Folded from the genesis and the `key` entries. Needs no key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyBook {
    /// The data key that seals new values; `None` while there is no store.
    pub current: Option<KeyId>,
    pub keys: BTreeMap<KeyId, DataKey>,
    /// Those who can open the current key, by name.
    pub holders: BTreeMap<String, Held>,
    /// Those who were removed, in that order: they can still open what was sealed while they were here.
    pub former: Vec<Held>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DataKey {
    /// Where it became current.
    pub since: Since,
    /// Who made it, and why; empty for the first.
    pub who: String,
    pub reason: String,
    /// By recipient, the key encrypted for it.
    pub wraps: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    pub holder: Holder,
    pub since: Since,
    /// Who let it in, and why.
    pub who: String,
    pub reason: String,
}

/// A place of the log, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Since {
    pub sequence: Sequence,
    /// The last revision at that place; 0 before the first.
    pub revision: u64,
    /// By the writer's wall clock.
    pub time_ms: i64,
}

impl KeyBook {
    /// Of a store that begins with this key.
    pub fn begin(key: KeyId, since: Since) -> KeyBook {
        let keys = BTreeMap::from([(key, DataKey { since, ..DataKey::default() })]);
        KeyBook { current: Some(key), keys, ..KeyBook::default() }
    }

    /// Errors: why the change has no effect.
    pub fn change(&mut self, since: Since, change: KeyChange) -> Result<(), String> {
        if let Some(name) = change.remove.iter().find(|name| !self.holders.contains_key(*name)) {
            return Err(format!("there is no `{name}` to remove"));
        }
        let is_taken = |it: &&Holder| self.holders.contains_key(&it.name) && !change.remove.contains(&it.name);
        if let Some(holder) = change.add.iter().find(is_taken) {
            return Err(format!("there is a `{}` already", holder.name));
        }
        let is_known = |key| self.keys.contains_key(key) || change.current.as_ref() == Some(key);
        if let Some(wrap) = change.wraps.iter().find(|wrap| !is_known(&wrap.key)) {
            return Err(format!("key {} was never current", wrap.key));
        }
        for name in &change.remove {
            self.former.extend(self.holders.remove(name));
        }
        let KeyChange { who, reason, add, current, wraps, .. } = change;
        for holder in add {
            let held = Held { holder, since, who: who.clone(), reason: reason.clone() };
            self.holders.insert(held.holder.name.clone(), held);
        }
        if let Some(current) = current {
            let made = || DataKey { since, who: who.clone(), reason: reason.clone(), wraps: BTreeMap::new() };
            self.keys.entry(current).or_insert_with(made);
            self.current = Some(current);
        }
        for wrap in wraps {
            self.keys.entry(wrap.key).or_default().wraps.insert(wrap.recipient, wrap.sealed);
        }
        Ok(())
    }

    /// Those who can open a key, as they are or were called.
    pub fn holders_of(&self, key: KeyId) -> Vec<&Holder> {
        let Some(key) = self.keys.get(&key) else { return Vec::new() };
        let present = self.holders.values().filter(|it| key.wraps.contains_key(&it.holder.recipient));
        let gone = |held: &&Held| {
            let recipient = &held.holder.recipient;
            key.wraps.contains_key(recipient) && !self.holders.values().any(|it| it.holder.recipient == *recipient)
        };
        present.chain(self.former.iter().filter(gone)).map(|held| &held.holder).collect()
    }
}

/// For snapshots.
pub(in crate::state) fn write_book(out: &mut Vec<u8>, book: &KeyBook) {
    let held = |out: &mut Vec<u8>, held: &Held| {
        out.push(b'[');
        write_holder(out, &held.holder);
        write_since(out, held.since, &held.who, &held.reason);
        out.push(b']');
    };
    let mut object = Object::new(out);
    object.maybe_text("current", book.current.map(|it| it.to_string()).as_deref());
    object.list("former", &book.former, held);
    object.list("holders", &book.holders.values().cloned().collect::<Vec<_>>(), held);
    let keys: Vec<_> = book.keys.iter().collect();
    object.list("keys", &keys, |out, (id, key)| {
        out.push(b'[');
        write_text(out, &id.to_string());
        write_since(out, key.since, &key.who, &key.reason);
        for (recipient, sealed) in &key.wraps {
            out.push(b',');
            list(out, &[recipient.clone(), BASE64.encode(sealed)], |out, text| write_text(out, text));
        }
        out.push(b']');
    });
    object.end();
}

fn write_since(out: &mut Vec<u8>, since: Since, who: &str, reason: &str) {
    out.extend_from_slice(format!(",[{},{},{},", since.sequence, since.revision, since.time_ms).as_bytes());
    write_text(out, who);
    out.push(b',');
    write_text(out, reason);
    out.push(b']');
}

/// Sequence, revision, time, who and why.
type RawSince = (u64, u64, i64, String, String);

#[derive(Deserialize)]
pub(in crate::state) struct RawBook {
    #[serde(default)]
    current: Option<String>,
    #[serde(default)]
    former: Vec<(Vec<String>, RawSince)>,
    #[serde(default)]
    holders: Vec<(Vec<String>, RawSince)>,
    #[serde(default)]
    keys: Vec<Vec<serde_json::Value>>,
}

pub(in crate::state) fn read_book(raw: RawBook) -> Result<KeyBook, WireError> {
    let held = |(texts, at): (Vec<String>, RawSince)| {
        let (since, who, reason) = since(at);
        Ok(Held { holder: holder(texts)?, since, who, reason })
    };
    let mut book = KeyBook {
        current: raw.current.as_deref().map(key_id).transpose()?,
        former: raw.former.into_iter().map(held).collect::<Result<_, WireError>>()?,
        ..KeyBook::default()
    };
    for held in raw.holders.into_iter().map(held) {
        let held = held?;
        book.holders.insert(held.holder.name.clone(), held);
    }
    for parts in raw.keys {
        let mut parts = parts.into_iter();
        let (Some(id), Some(at)) = (parts.next(), parts.next()) else { return Err(bad("a data key")) };
        let id = key_id(id.as_str().ok_or(bad("the id of a key"))?)?;
        let at = serde_json::from_value(at).map_err(|_| bad("a place of the log"))?;
        let (since, who, reason) = since(at);
        let mut key = DataKey { since, who, reason, wraps: BTreeMap::new() };
        for wrap in parts {
            let (recipient, sealed): (String, String) = serde_json::from_value(wrap).map_err(|_| bad("a wrapped key"))?;
            key.wraps.insert(recipient, BASE64.decode(sealed).map_err(|_| bad("base64"))?);
        }
        book.keys.insert(id, key);
    }
    Ok(book)
}

fn since((sequence, revision, time_ms, who, reason): RawSince) -> (Since, String, String) {
    (Since { sequence, revision, time_ms }, who, reason)
}
