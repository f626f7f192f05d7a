//! Who can open the secrets of a state: its data keys, whom each is wrapped for, and how that is changed.

use std::path::PathBuf;

pub use super::crypt::identity::{Identity, is_recipient};
pub use super::crypt::sources::{Ask, KeySources, VARIABLES, Variables};
pub use super::log::key::{Holder, KeyId};
pub use super::view::keys::{DataKey, Held, KeyBook, Since};

use super::contract::StoreError;
use super::crypt::identity;
use super::crypt::ring::KeyError;
use super::log::Body;
use super::log::key::KeyChange;
use super::run::{Race, Writer};
use super::{State, words};
use crate::model::{Code, Diagnostic, Value};

/// Stands for the key file among those who can open a state.
pub const KEY_FILE: &str = "key-file";

/// How a change of who can open the secrets begins.
#[derive(Clone, Debug)]
pub enum KeyRequest {
    Add(Holder),
    /// By name; [`KEY_FILE`] is the key file of this machine and its copies.
    Remove(String),
    Rotate,
}

/// What came of it.
#[derive(Debug)]
pub struct KeysChanged {
    pub current: KeyId,
    /// There is a new data key.
    pub is_new: bool,
    /// The key file that got the new data key.
    pub file: Option<PathBuf>,
    /// Older keys that cannot be opened here, so that nobody new was given them.
    pub unopened: Vec<KeyId>,
    /// Those who can open the current key now, by name.
    pub holders: Vec<String>,
}

/// Whether a key can be opened here.
pub struct Opens {
    /// By what, in words.
    pub by: Option<String>,
    /// The key file that holds it.
    pub file: Option<PathBuf>,
    /// Every place that was looked at, and why it did not help.
    pub tried: Vec<(String, String)>,
}

/// A holder who is whoever knows a passphrase: an identity of its own, locked under it.
pub fn with_passphrase(name: &str, passphrase: &str) -> Option<Holder> {
    let identity = Identity::generate();
    let locked = identity::lock(&identity, passphrase)?;
    Some(Holder { name: name.to_owned(), recipient: identity.recipient(), locked: Some(locked) })
}

impl State {
    /// Data keys and whom they are wrapped for.
    pub fn key_book(&self) -> &KeyBook {
        &self.view.keys
    }

    /// The key file that the current key is in; `None` where recipients or a variable have it.
    pub fn key_file(&self) -> Option<PathBuf> {
        self.shared.ring.file_with(self.view.keys.current?)
    }

    /// Whether there is anything that needs the key.
    pub fn holds_secrets(&self) -> bool {
        let view = &self.view;
        let of_records = || view.records.values().flat_map(|it| it.inputs.values().chain(it.computed.values()));
        view.outputs.values().any(Value::has_secret) || of_records().any(Value::has_secret)
    }

    /// Whether a data key can be opened here.
    ///
    /// Errors: a key file that is damaged or cannot be read.
    pub fn opens(&self, key: KeyId) -> Result<Opens, Box<Diagnostic>> {
        let file = self.shared.ring.file_with(key);
        match self.shared.ring.opens(key) {
            Ok(by) => Ok(Opens { by: Some(by), file, tried: Vec::new() }),
            Err(KeyError::Missing(missing)) => Ok(Opens { by: None, file, tried: missing.tried.clone() }),
            Err(error) => Err(words::key(&error)),
        }
    }

    /// Changes who can open the secrets, by an entry of the log. Whoever is removed loses nothing of what was sealed before: what
    /// follows is sealed under a key that only those have who remain. Applies that are under way go on.
    ///
    /// Errors: [`Code::Usage`] where it makes no sense, [`Code::UnknownName`], [`Code::NoKey`] where the current key cannot be opened
    /// here, and those of the store.
    pub async fn change_keys(&mut self, request: &KeyRequest, who: &str, reason: &str) -> Result<KeysChanged, Box<Diagnostic>> {
        let mut fresh = None;
        let world = self.shared.world.clone();
        let mut race = Race::new(&world);
        loop {
            self.refresh().await?;
            let shared = self.shared.clone();
            shared.refuse_unsigned(&self.view)?;
            let Some(store) = self.view.store_id() else { return Err(no_store(&shared.environment)) };
            let ring = &shared.ring;
            let current = ring.current().map_err(|error| words::key(&error))?.ok_or_else(|| no_store(&shared.environment))?;
            let book = self.view.keys.clone();
            let in_file = ring.file_with(current.id());
            check(request, &book, in_file.is_some())?;
            let mut change = KeyChange { who: who.to_owned(), reason: reason.to_owned(), ..KeyChange::default() };
            let mut changed = KeysChanged {
                current: current.id(),
                is_new: false,
                file: None,
                unopened: Vec::new(),
                holders: book.holders.keys().cloned().collect(),
            };
            if let KeyRequest::Add(holder) = request {
                for id in book.keys.keys() {
                    match ring.key(*id) {
                        Ok(keys) => change.wraps.extend(ring.wrap(store, &keys, &holder.recipient)),
                        Err(_) => changed.unopened.push(*id),
                    }
                }
                changed.holders.push(holder.name.clone());
                changed.holders.sort();
                change.add.push(holder.clone());
            } else {
                // One for all tries: a file that got it keeps it.
                let keys = fresh.get_or_insert_with(|| ring.new_key(&book)).clone();
                let removed = match request {
                    KeyRequest::Remove(name) => Some(name.as_str()),
                    _ => None,
                };
                changed.holders.retain(|name| Some(name.as_str()) != removed);
                let remaining = book.holders.values().filter(|held| Some(held.holder.name.as_str()) != removed);
                change.wraps.extend(remaining.filter_map(|held| ring.wrap(store, &keys, &held.holder.recipient)));
                change.remove.extend(removed.filter(|name| *name != KEY_FILE).map(str::to_owned));
                change.current = Some(keys.id());
                (changed.current, changed.is_new) = (keys.id(), true);
                if let Some(path) = in_file.filter(|_| removed != Some(KEY_FILE)) {
                    ring.add_to_file(&path, &keys).map_err(|error| words::store(&error))?;
                    changed.file = Some(path);
                }
            }
            let time_ms = shared.world.clock.now().as_millisecond();
            let writer = Writer { run: 0, epoch: 0, time_ms, key: None };
            let entries = writer.entries(&shared, &self.view, &[Body::Key(Box::new(change))])?;
            match shared.store.append(self.view.head, entries).await {
                Ok(_) => {
                    self.refresh().await?;
                    return Ok(changed);
                }
                Err(StoreError::Moved { .. }) => race.lost().await?,
                Err(error) => return Err(words::store(&error)),
            }
        }
    }
}

fn no_store(environment: &str) -> Box<Diagnostic> {
    Box::new(
        Code::Usage
            .error(format!("{environment} has no state yet, and so no key that anybody could be given"))
            .help("apply first")
            .help("or write `encryption = age { recipients = { … } }` into the stack, so that its state begins with them"),
    )
}

/// Whether a change makes sense.
fn check(request: &KeyRequest, book: &KeyBook, in_file: bool) -> Result<(), Box<Diagnostic>> {
    let usage = |text: String| Box::new(Code::Usage.error(text));
    match request {
        KeyRequest::Add(holder) => {
            let same = book.holders.values().find(|held| held.holder.recipient == holder.recipient);
            match (same, book.holders.get(&holder.name)) {
                (Some(same), _) => Err(usage(format!("that recipient is there already, as `{}`", same.holder.name))),
                (None, Some(_)) => Err(Box::new(
                    Code::Usage.error(format!("there is a `{}` already, with another recipient", holder.name)).help("give this one another name"),
                )),
                (None, None) if holder.name == KEY_FILE => Err(usage(format!("`{KEY_FILE}` stands for the key file; give another name"))),
                (None, None) => Ok(()),
            }
        }
        KeyRequest::Remove(name) if name == KEY_FILE => match (in_file, book.holders.is_empty()) {
            (false, _) => Err(usage("the current key is in no key file here".to_owned())),
            (true, true) => Err(Box::new(
                Code::Usage
                    .error("nobody could open the new key: the key file is all that opens this state")
                    .help("first let somebody in: `stackwright key add RECIPIENT --name NAME --reason TEXT`"),
            )),
            (true, false) => Ok(()),
        },
        KeyRequest::Remove(name) => match (book.holders.contains_key(name), book.holders.len() == 1 && !in_file) {
            (false, _) => {
                let names: Vec<&str> = book.holders.keys().map(String::as_str).collect();
                let known = if names.is_empty() { "the key file is all that opens this state".into() } else { names.join(", ") };
                Err(Box::new(Code::UnknownName.error(format!("there is no `{name}` among those who can open this state")).note(known)))
            }
            (true, true) => Err(Box::new(
                Code::Usage
                    .error(format!("nobody could open the new key: `{name}` is the only one who can open this state"))
                    .help("first let somebody else in: `stackwright key add RECIPIENT --name NAME --reason TEXT`"),
            )),
            (true, false) => Ok(()),
        },
        KeyRequest::Rotate if book.holders.is_empty() && !in_file => Err(Box::new(
            Code::Usage
                .error("nobody could open a new key: this state has no recipients, and its key is in no file that could take another one")
                .note("a key in STACKWRIGHT_KEY cannot be written to")
                .help("let somebody in first: `stackwright key add RECIPIENT --name NAME --reason TEXT`"),
        )),
        KeyRequest::Rotate => Ok(()),
    }
}
