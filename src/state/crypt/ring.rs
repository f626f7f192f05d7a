//! The data keys of one environment's state: which one seals, and how each is opened.
//!
//! What the log says of keys is learned as it is folded; a key is opened when something first needs it, from the first place that
//! has it: `STACKWRIGHT_KEY`, the key file, identities, a passphrase.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use zeroize::Zeroizing;

use super::identity::{Identity, unlock, unwrap, wrap};
use super::sources::{KEY, KeySources};
use super::{Keys, file};
use crate::model::Digest;
use crate::state::contract::{Header, Sequence, StoreError, StoreId};
use crate::state::log::key::{Holder, KeyChange, KeyId, Wrap};
use crate::state::view::keys::KeyBook;
use crate::world::World;

pub struct KeyRing {
    sources: KeySources,
    environment: String,
    world: World,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    store: Option<StoreId>,
    book: Arc<KeyBook>,
    /// The place that the book is of.
    learned: Sequence,
    opened: BTreeMap<KeyId, Opened>,
    missing: BTreeMap<KeyId, Arc<Missing>>,
    /// The key of a store that is yet to be.
    fresh: Option<KeyId>,
    /// Why a key was last not to be had.
    last: Option<KeyError>,
    identities: Option<Arc<Places>>,
    passphrase: Option<Option<Passphrase>>,
    /// Identities that a passphrase has opened, by recipient: that takes a while each.
    unlocked: BTreeMap<String, Identity>,
    /// The key of the plan that this process works with.
    plan: Option<KeyId>,
}

/// What a key is bound to that waits for its store.
const NOWHERE: StoreId = StoreId([0; 16]);

type Places = Vec<(String, Result<Vec<Identity>, String>)>;
type Passphrase = (String, Result<Zeroizing<String>, String>);

struct Opened {
    keys: Arc<Keys>,
    by: String,
}

/// Why there is no key.
#[derive(Clone, Debug)]
pub enum KeyError {
    Missing(Arc<Missing>),
    Store(StoreError),
    /// Those for whom the key of a new store is to be wrapped, none of whom is here: by name.
    Nobody(Vec<String>),
}

/// A key that cannot be opened here.
#[derive(Debug)]
pub struct Missing {
    pub key: KeyId,
    /// Every place that was looked at, and why it did not help. Never anything that was found there.
    pub tried: Vec<(String, String)>,
    /// Those who can open it, by name.
    pub holders: Vec<String>,
    /// Where its file belongs.
    pub path: Option<PathBuf>,
    /// There is a key, and it is another one.
    pub is_other: bool,
}

impl KeyRing {
    pub fn of(sources: KeySources, environment: &str, world: &World) -> KeyRing {
        KeyRing { sources, environment: environment.to_owned(), world: world.clone(), inner: RwLock::default() }
    }

    pub fn world(&self) -> &World {
        &self.world
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What the log says of keys up to a place. Several views are folded over one ring; the one that is furthest counts.
    pub fn learn(&self, store: StoreId, at: Sequence, book: &Arc<KeyBook>) {
        let mut inner = self.write();
        if at >= inner.learned {
            (inner.learned, inner.store) = (at, Some(store));
            inner.book = book.clone();
            inner.missing.clear();
        }
    }

    /// The log is read anew.
    pub fn forget(&self) {
        let mut inner = self.write();
        (inner.learned, inner.book) = (0, Arc::default());
        inner.missing.clear();
    }

    /// A key by its id, opened if it is not yet.
    pub fn key(&self, id: KeyId) -> Result<Arc<Keys>, KeyError> {
        if let Some(opened) = self.read().opened.get(&id) {
            return Ok(opened.keys.clone());
        }
        let mut inner = self.write();
        let found = match inner.missing.get(&id) {
            Some(missing) => Err(KeyError::Missing(missing.clone())),
            None => self.look(&mut inner, id, true),
        };
        if let Err(error) = &found {
            if let KeyError::Missing(missing) = error {
                inner.missing.insert(id, missing.clone());
            }
            inner.last = Some(error.clone());
        }
        found
    }

    /// By what a key is opened here, in words.
    pub fn opens(&self, id: KeyId) -> Result<String, KeyError> {
        self.key(id)?;
        Ok(self.read().opened[&id].by.clone())
    }

    /// Why a key was last not to be had.
    pub fn last_error(&self) -> Option<KeyError> {
        self.read().last.clone()
    }

    /// The key that seals what is new; `None` where there is no store yet.
    pub fn current(&self) -> Result<Option<Arc<Keys>>, KeyError> {
        let current = self.read().book.current;
        current.map(|id| self.key(id)).transpose()
    }

    /// As [`KeyRing::current`]; for a store that is yet to be, the key that it will begin with. Of several processes that make it at
    /// once, one wins and all use its key.
    pub fn current_or_make(&self) -> Result<Arc<Keys>, KeyError> {
        if let Some(keys) = self.current()? {
            return Ok(keys);
        }
        let mut inner = self.write();
        if let Some(fresh) = inner.fresh {
            return Ok(inner.opened[&fresh].keys.clone());
        }
        let made = self.make(&mut inner);
        match made {
            Ok(keys) => {
                inner.fresh = Some(keys.id());
                Ok(keys)
            }
            Err(error) => {
                inner.last = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Digests are made under the key of the plan that this process works with, else under the current one.
    pub fn digesting(&self) -> Result<Arc<Keys>, KeyError> {
        let plan = self.read().plan;
        plan.map_or_else(|| self.current_or_make(), |id| self.key(id))
    }

    pub fn work_with_plan_of(&self, key: KeyId) {
        self.write().plan = Some(key);
    }

    /// Where the key file is, or belongs.
    pub fn path(&self) -> Option<PathBuf> {
        self.sources.key_file().map(|(path, _)| path)
    }

    /// The key file that holds a key.
    pub fn file_with(&self, id: KeyId) -> Option<PathBuf> {
        let (path, _) = self.sources.key_file()?;
        let keys = file::read(&path).ok()??;
        keys.iter().any(|it| it.id() == id).then_some(path)
    }

    /// A new data key, in nobody's hands yet.
    pub fn new_key(&self, taken: &KeyBook) -> Arc<Keys> {
        let mut keys = Keys::random(&self.world);
        while taken.keys.contains_key(&keys.id()) {
            keys = Keys::random(&self.world);
        }
        let keys = Arc::new(keys);
        insert(&mut self.write(), keys.clone(), "it was made here".into());
        keys
    }

    /// Puts a key into a key file, durable before this returns.
    pub fn add_to_file(&self, path: &std::path::Path, keys: &Keys) -> Result<(), StoreError> {
        file::add(path, keys, &self.world)
    }

    /// Keys encrypted for a recipient; `None` where it is none.
    pub fn wrap(&self, store: StoreId, keys: &Keys, recipient: &str) -> Option<Wrap> {
        let sealed = wrap(recipient, &self.envelope(store, keys.secret()))?;
        Some(Wrap { key: keys.id(), recipient: recipient.to_owned(), sealed })
    }

    /// What is wrapped: the key, and where it belongs.
    fn envelope(&self, store: StoreId, secret: &[u8; 32]) -> Zeroizing<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(128 + self.environment.len()));
        plain.extend_from_slice(b"stackwright/data-key/1\0");
        plain.extend_from_slice(&store.0);
        plain.extend_from_slice(&(self.environment.len() as u64).to_be_bytes());
        plain.extend_from_slice(self.environment.as_bytes());
        plain.extend_from_slice(secret);
        plain
    }

    fn unwrap(&self, identity: &Identity, store: StoreId, key: KeyId, sealed: &[u8]) -> Option<Keys> {
        let plain = unwrap(identity, sealed)?;
        let secret: Zeroizing<[u8; 32]> = Zeroizing::new(*plain.last_chunk::<32>()?);
        let keys = Keys::derive(&secret);
        (*plain == *self.envelope(store, &secret) && keys.id() == key).then_some(keys)
    }

    /// How a store begins whose key belongs to those that the stack declares.
    pub fn beginning(&self, store: StoreId, keys: &Keys, who: &str) -> Option<KeyChange> {
        let fresh = self.read().fresh == Some(keys.id());
        if self.sources.declared.is_empty() || !fresh {
            return None;
        }
        let declared = self.sources.declared.iter();
        Some(KeyChange {
            who: who.to_owned(),
            reason: "the stack's `encryption`".into(),
            add: declared.clone().map(|(name, it)| Holder { name: name.clone(), recipient: it.clone(), locked: None }).collect(),
            wraps: declared.filter_map(|(_, recipient)| self.wrap(store, keys, recipient)).collect(),
            ..KeyChange::default()
        })
    }

    /// The store has begun: its key is in the log.
    pub fn has_begun(&self) {
        if let Some(path) = self.waiting_path() {
            let _ = std::fs::remove_file(path);
        }
    }

    /// The proof of a change that follows this book.
    pub fn proof(&self, book: &KeyBook, store: StoreId, change: &KeyChange) -> Option<Digest> {
        let keys = self.key(book.current?).ok()?;
        Some(self.proof_under(&keys, store, change))
    }

    fn proof_under(&self, keys: &Keys, store: StoreId, change: &KeyChange) -> Digest {
        Digest(keys.proof(&[b"key-change", &store.0, self.environment.as_bytes(), &change.unproven()]))
    }

    /// Whether somebody who had the key wrote a change. Where that key cannot be opened without asking for it, nothing is known.
    ///
    /// Errors: nobody did.
    pub fn check(&self, book: &KeyBook, header: &Header, change: &KeyChange) -> Result<(), StoreError> {
        let Some(current) = book.current.filter(|_| !change.is_empty()) else { return Ok(()) };
        let opened = self.read().opened.get(&current).map(|it| it.keys.clone());
        let opened = opened.or_else(|| self.look(&mut self.write(), current, false).ok());
        let Some(keys) = opened else { return Ok(()) };
        let right = change.after == Some(header.previous) && change.proof == Some(self.proof_under(&keys, header.store, change));
        match right {
            true => Ok(()),
            false => Err(StoreError::Damaged {
                place: format!("entry {}", header.sequence),
                what: "it changes who can open the secrets, and nobody who had their key has written it".into(),
            }),
        }
    }

    /// Looks for a key in every place.
    fn look(&self, inner: &mut Inner, id: KeyId, ask: bool) -> Result<Arc<Keys>, KeyError> {
        let mut tried = Vec::new();
        let mut trouble = None;
        if let Some(text) = self.sources.key_text() {
            match file::parse(text.as_bytes()) {
                Some(keys) => {
                    tried.push((KEY.to_owned(), holds(&keys)));
                    keys.into_iter().for_each(|keys| insert(inner, Arc::new(keys), KEY.to_owned()));
                }
                None => tried.push((KEY.to_owned(), "it is not the content of a key file".into())),
            }
        }
        let file = self.sources.key_file();
        if let Some((path, _)) = &file {
            let name = path.display().to_string();
            match file::read(path) {
                Ok(Some(keys)) => {
                    tried.push((name.clone(), holds(&keys)));
                    keys.into_iter().for_each(|keys| insert(inner, Arc::new(keys), format!("the key file {name}")));
                }
                Ok(None) => tried.push((name, "not there".into())),
                Err(error) => trouble = Some(error),
            }
        }
        if !inner.opened.is_empty() {
            crate::world::guard_memory();
        }
        if let Some(opened) = inner.opened.get(&id) {
            return Ok(opened.keys.clone());
        }
        let is_other = !inner.opened.is_empty();
        if inner.store.is_none()
            && let Some(keys) = self.take_waiting(inner).filter(|keys| keys.id() == id)
        {
            inner.fresh = Some(id);
            return Ok(keys);
        }
        let wraps = inner.book.keys.get(&id).map(|key| key.wraps.clone()).unwrap_or_default();
        let store = inner.store.unwrap_or(NOWHERE);
        if !wraps.is_empty()
            && let Some(keys) = self.unwrap_any(inner, store, id, &wraps, ask, &mut tried)
        {
            return Ok(keys);
        }
        if let Some(error) = trouble {
            return Err(KeyError::Store(error));
        }
        let holders = inner.book.holders_of(id).iter().map(|holder| holder.name.clone()).collect();
        Err(KeyError::Missing(Arc::new(Missing { key: id, tried, holders, path: file.map(|(path, _)| path), is_other })))
    }

    /// Opens a key that is wrapped, with an identity or a passphrase that is here.
    fn unwrap_any(
        &self,
        inner: &mut Inner,
        store: StoreId,
        id: KeyId,
        wraps: &BTreeMap<String, Vec<u8>>,
        ask: bool,
        tried: &mut Vec<(String, String)>,
    ) -> Option<Arc<Keys>> {
        let places = self.identities(inner);
        for (place, read) in places.iter() {
            let identities = match read {
                Ok(identities) => identities,
                Err(why) => {
                    tried.push((place.clone(), why.clone()));
                    continue;
                }
            };
            for identity in identities {
                let recipient = identity.recipient();
                match wraps.get(&recipient).map(|sealed| self.unwrap(identity, store, id, sealed)) {
                    Some(Some(keys)) => {
                        crate::world::guard_memory();
                        let keys = Arc::new(keys);
                        insert(inner, keys.clone(), place.clone());
                        return Some(keys);
                    }
                    Some(None) => {
                        tried.push((place.clone(), format!("{recipient}, for whom another key was wrapped in its place")))
                    }
                    None => tried.push((place.clone(), format!("{recipient}, for whom it is not wrapped"))),
                }
            }
        }
        let book = inner.book.clone();
        let locked: Vec<&Holder> = book.holders_of(id).into_iter().filter(|it| it.locked.is_some()).collect();
        if locked.is_empty() {
            return None;
        }
        let names = locked.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(" or ");
        if ask && inner.passphrase.as_ref().is_none_or(Option::is_none) {
            inner.passphrase = Some(self.sources.passphrase(Some(&format!("passphrase of {names}"))));
        }
        let (place, read) = match inner.passphrase.clone().or_else(|| (!ask).then(|| self.sources.passphrase(None))).flatten() {
            Some(given) => given,
            None => {
                tried.push(("passphrase".into(), "none was given".into()));
                return None;
            }
        };
        let passphrase = match read {
            Ok(passphrase) => passphrase,
            Err(why) => {
                tried.push((place, why));
                return None;
            }
        };
        crate::world::guard_memory();
        for holder in locked {
            let known = inner.unlocked.get(&holder.recipient).cloned();
            let identity = known.or_else(|| unlock(&passphrase, holder.locked.as_ref()?));
            let Some(identity) = identity.filter(|it| it.recipient() == holder.recipient) else { continue };
            inner.unlocked.insert(holder.recipient.clone(), identity.clone());
            let keys = wraps.get(&holder.recipient).and_then(|sealed| self.unwrap(&identity, store, id, sealed));
            if let Some(keys) = keys {
                let keys = Arc::new(keys);
                insert(inner, keys.clone(), format!("{place}, of {}", holder.name));
                return Some(keys);
            }
        }
        tried.push((place, format!("it is not the passphrase of {names}")));
        None
    }

    fn identities(&self, inner: &mut Inner) -> Arc<Places> {
        inner.identities.get_or_insert_with(|| Arc::new(self.sources.identities())).clone()
    }

    /// The key of a store that is yet to be.
    fn make(&self, inner: &mut Inner) -> Result<Arc<Keys>, KeyError> {
        if !self.sources.declared.is_empty() {
            return self.make_declared(inner);
        }
        if let Some(text) = self.sources.key_text() {
            let keys = file::parse(text.as_bytes()).and_then(|mut keys| keys.pop()).ok_or_else(|| {
                KeyError::Store(StoreError::Damaged { place: KEY.into(), what: "it is not the content of a key file".into() })
            })?;
            return Ok(keep(inner, keys, KEY.to_owned()));
        }
        let Some((path, is_named)) = self.sources.key_file() else {
            return Ok(keep(inner, Keys::random(&self.world), "memory".into()));
        };
        let mut found = file::read(&path).map_err(KeyError::Store)?;
        if found.is_none() && is_named {
            let why = format!("{} names it, and it is not there", super::sources::KEY_FILE);
            return Err(KeyError::Store(StoreError::Unavailable { what: format!("read {}", path.display()), why }));
        }
        if found.is_none() {
            file::make(&path, &self.world).map_err(KeyError::Store)?;
            found = file::read(&path).map_err(KeyError::Store)?;
        }
        let gone = || StoreError::Unavailable { what: format!("read {}", path.display()), why: "it is gone".into() };
        let keys = found.and_then(|mut keys| keys.pop()).ok_or_else(|| KeyError::Store(gone()))?;
        Ok(keep(inner, keys, format!("the key file {}", path.display())))
    }

    /// One for those that the stack declares. It waits beside the state until the first apply, so that plans of before fit.
    fn make_declared(&self, inner: &mut Inner) -> Result<Arc<Keys>, KeyError> {
        let declared = &self.sources.declared;
        let places = self.identities(inner);
        let mut here = places.iter().flat_map(|(place, read)| read.iter().flatten().map(move |it| (place, it)));
        let Some((place, _)) = here.find(|(_, it)| declared.values().any(|recipient| *recipient == it.recipient())) else {
            return Err(KeyError::Nobody(declared.keys().cloned().collect()));
        };
        if let Some(keys) = self.take_waiting(inner) {
            return Ok(keys);
        }
        let keys = Keys::random(&self.world);
        if let Some(path) = self.waiting_path() {
            let wraps: Vec<Wrap> = declared.values().filter_map(|recipient| self.wrap(NOWHERE, &keys, recipient)).collect();
            file::keep_waiting(&path, keys.id(), &wraps, &self.world).map_err(KeyError::Store)?;
            // Somebody else may have been first.
            if let Some(theirs) = self.take_waiting(inner) {
                return Ok(theirs);
            }
        }
        Ok(keep(inner, keys, place.clone()))
    }

    /// The key that waits beside a state that is yet to be, if it is wrapped for somebody here.
    fn take_waiting(&self, inner: &mut Inner) -> Option<Arc<Keys>> {
        let (key, wraps) = file::waiting(&self.waiting_path()?)?;
        let places = self.identities(inner);
        let here = places.iter().flat_map(|(place, read)| read.iter().flatten().map(move |it| (place, it)));
        let (place, keys) = here.into_iter().find_map(|(place, identity)| {
            let mine = wraps.iter().find(|wrap| wrap.recipient == identity.recipient())?;
            Some((place, self.unwrap(identity, NOWHERE, key, &mine.sealed)?))
        })?;
        Some(keep(inner, keys, place.clone()))
    }

    fn waiting_path(&self) -> Option<PathBuf> {
        Some(self.sources.file.as_ref()?.with_file_name(format!("{}.key", self.environment)))
    }
}

fn keep(inner: &mut Inner, keys: Keys, by: String) -> Arc<Keys> {
    crate::world::guard_memory();
    let keys = Arc::new(keys);
    insert(inner, keys.clone(), by);
    keys
}

fn insert(inner: &mut Inner, keys: Arc<Keys>, by: String) {
    inner.opened.entry(keys.id()).or_insert(Opened { keys, by });
}

fn holds(keys: &[Keys]) -> String {
    let ids: Vec<String> = keys.iter().map(|keys| keys.id().to_string()).collect();
    format!("holds {}", ids.join(", "))
}
