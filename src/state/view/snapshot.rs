//! The view as bytes, to save reading the log from its beginning: one line of JSON for what is small, then one a record.
//! Everything in it can be derived again; a snapshot that cannot be read is thrown away.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::keys::{KeyBook, RawBook, Since, read_book, write_book};
use super::{ActiveRun, OpenIntent, View};
use crate::model::canonical::write_text;
use crate::model::wire::{Context, Reading, Sealer, Wire, WireError};
use crate::model::{Address, Digest, Name, Record};
use crate::state::contract::{Head, StoreId};
use crate::state::log::key::KeyId;
use crate::state::log::record::{Known, read_record, write_record};
use crate::state::log::revision::{RawRevision, read_revision, write_revision};
use crate::state::log::signing::public_key;
use crate::state::log::wire::{
    RawCarried, RawIntent, RawLease, RawProvider, bad, parse, read_intent, read_provider, write_intent, write_lease,
    write_provider,
};
use crate::state::log::{Genesis, Object, Signer};

/// Of what is folded, and of how it is written. A snapshot of another version is made again: an older program may have read entries
/// that it did not know, and left out what they amount to.
const VERSION: u16 = 3;

/// This program's own version, which stands in what it derives.
const ENGINE: &str = env!("CARGO_PKG_VERSION");

/// Lines that one thread reads in one go.
const CHUNK: usize = 2048;

pub fn write(view: &View, sealer: &dyn Sealer) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(256 * view.records.len() + 1024);
    write_small(&mut out, view, sealer)?;
    let known = Known::default();
    let deposed = view.deposed.values().flatten();
    for record in view.records.values().chain(deposed) {
        out.push(b'\n');
        out.extend_from_slice(record.version.to_string().as_bytes());
        write_record(&mut out, record, &known, sealer)?;
    }
    Ok(out)
}

/// Equal for equal views, secrets included, whatever keys and nonces seal them.
pub fn fingerprint(view: &View) -> Result<Digest, WireError> {
    write(view, &Fingerprints).map(|bytes| Digest::of(&bytes))
}

/// Puts a hash in the place of each secret, for bytes that are hashed and thrown away.
pub(in crate::state) struct Fingerprints;

impl Sealer for Fingerprints {
    fn seal(&self, _: &Context<'_>, _: &str, plain: &[u8]) -> Result<String, WireError> {
        Ok(Digest::of(plain).to_string())
    }

    fn open(&self, _: &Context<'_>, _: &str, _: &str) -> Result<zeroize::Zeroizing<Vec<u8>>, WireError> {
        Err(WireError::Seal)
    }
}

fn write_small(out: &mut Vec<u8>, view: &View, sealer: &dyn Sealer) -> Result<(), WireError> {
    let genesis = view.genesis.as_ref().ok_or(WireError::Unstorable("a state that was never written"))?;
    let mut object = Object::new(out);
    let mut result = Ok(());
    object.list("active", &view.active.values().collect::<Vec<_>>(), |out, active| {
        let mut object = Object::new(out);
        object.list("addresses", &active.addresses.iter().collect::<Vec<_>>(), |out, it| write_text(out, it.as_str()));
        object.number("done", active.done);
        object.number("epoch", active.epoch);
        object.number("last", active.last_ms);
        object.number("last_at", active.last);
        let mut lease = Object::new(object.key("lease"));
        write_lease(&mut lease, &active.lease);
        lease.end();
        object.number("since", active.since_ms);
        object.end();
    });
    let durations: Vec<_> = view.durations.iter().collect();
    object.list("durations", &durations, |out, ((kind, action), kept)| {
        out.push(b'[');
        write_text(out, kind);
        out.push(b',');
        write_text(out, action);
        kept.iter().for_each(|took| out.extend_from_slice(format!(",{}", took.as_millis()).as_bytes()));
        out.push(b']');
    });
    object.text("engine", &genesis.engine);
    object.text("environment", &genesis.environment);
    object.text("key", &genesis.key);
    write_book(object.key("keys"), &view.keys);
    if let Some(last) = &view.last {
        let mut revision = Object::new(object.key("last"));
        write_revision(&mut revision, last, sealer)?;
        revision.end();
    }
    if let Some(moved) = &view.moved {
        let mut object = Object::new(object.key("moved"));
        object.text("place", &moved.place);
        object.text("reason", &moved.reason);
        object.text("who", &moved.who);
        object.end();
    }
    object.list("open", &view.open.values().collect::<Vec<_>>(), |out, open| {
        let written = write_open(out, open, sealer);
        result = std::mem::replace(&mut result, Ok(())).and(written);
    });
    object.list("providers", &view.providers.iter().collect::<Vec<_>>(), |out, (name, settings)| {
        let mut object = Object::new(out);
        let written = write_provider(&mut object, name, settings, sealer);
        object.end();
        result = std::mem::replace(&mut result, Ok(())).and(written);
    });
    object.number("run", view.run);
    object.list("signers", &view.signers.iter().collect::<Vec<_>>(), |out, (key, it)| {
        let mut object = Object::new(out);
        object.text("key", &key.to_string());
        object.text("name", &it.name);
        object.number("since", it.since);
        object.text("who", &it.who);
        object.end();
    });
    object.text("store", &genesis.store.to_string());
    object.number("version", VERSION);
    object.list("void", &view.void, |out, (sequence, why)| {
        out.extend_from_slice(format!("[{sequence},").as_bytes());
        write_text(out, why);
        out.push(b']');
    });
    object.text("written_by", ENGINE);
    object.end();
    result
}

fn write_open(out: &mut Vec<u8>, open: &OpenIntent, sealer: &dyn Sealer) -> Result<(), WireError> {
    let mut object = Object::new(out);
    object.maybe_text("accepted", open.accepted.as_deref());
    if let Some(before) = &open.intent.before {
        let out = object.key("before");
        out.push(b'[');
        out.extend_from_slice(before.version.to_string().as_bytes());
        out.push(b',');
        write_record(out, before, &Known::default(), sealer)?;
        out.push(b']');
    }
    object.maybe_text("flagged", open.flagged.as_deref());
    if open.writer_gone {
        object.number("gone", true);
    }
    let mut intent = Object::new(object.key("intent"));
    write_intent(&mut intent, &open.intent, sealer)?;
    intent.end();
    if open.repeated > 0 {
        object.number("repeated", open.repeated);
    }
    object.number("run", open.run);
    object.number("sequence", open.sequence);
    object.number("time", open.time_ms);
    object.end();
    Ok(())
}

#[derive(Deserialize)]
struct RawSmall<'b> {
    #[serde(borrow, default)]
    active: Vec<RawActive<'b>>,
    #[serde(borrow, default)]
    durations: Vec<Vec<&'b RawValue>>,
    engine: String,
    environment: String,
    key: String,
    #[serde(default)]
    keys: Option<RawBook>,
    #[serde(borrow, default)]
    last: Option<RawRevision<'b>>,
    #[serde(borrow, default)]
    moved: Option<RawCarried<'b>>,
    #[serde(borrow, default)]
    open: Vec<RawOpen<'b>>,
    #[serde(borrow, default)]
    providers: Vec<RawProvider<'b>>,
    run: u64,
    #[serde(default)]
    signers: Vec<RawSigner>,
    store: String,
    #[serde(default)]
    version: u16,
    #[serde(default)]
    void: Vec<(u64, String)>,
    #[serde(default)]
    written_by: String,
}

#[derive(Deserialize)]
struct RawSigner {
    key: String,
    name: String,
    since: u64,
    who: String,
}

#[derive(Deserialize)]
struct RawActive<'b> {
    #[serde(borrow, default)]
    addresses: Vec<Cow<'b, str>>,
    done: u32,
    epoch: u64,
    last: i64,
    #[serde(default)]
    last_at: u64,
    #[serde(borrow)]
    lease: RawLease<'b>,
    since: i64,
}

#[derive(Deserialize)]
struct RawOpen<'b> {
    #[serde(default)]
    accepted: Option<String>,
    #[serde(borrow, default)]
    before: Option<(u64, &'b RawValue)>,
    #[serde(default)]
    flagged: Option<String>,
    #[serde(default)]
    gone: bool,
    #[serde(borrow)]
    intent: RawIntent<'b>,
    #[serde(default)]
    repeated: u32,
    run: u64,
    sequence: u64,
    time: i64,
}

/// Reads a snapshot that was taken at `head`.
pub fn read(head: Head, bytes: &[u8], wire: Wire<'_>) -> Result<View, WireError> {
    let text = std::str::from_utf8(bytes).map_err(|_| bad("text"))?;
    let (small, records) = text.split_once('\n').unwrap_or((text, ""));
    let mut view = read_small(small, &mut Reading::new(wire))?;
    view.head = Some(head);
    let lines: Vec<&str> = records.lines().collect();
    let chunks: Vec<Vec<Arc<Record>>> = lines
        .par_chunks(CHUNK)
        .map(|chunk| {
            let mut reading = Reading::new(wire);
            chunk.iter().map(|line| read_line(line, &mut reading)).collect()
        })
        .collect::<Result<_, WireError>>()?;
    let (deposed, current): (Vec<_>, Vec<_>) = chunks.into_iter().flatten().partition(|record| record.deposed);
    view.records = current.into_iter().map(|record| (record.address.clone(), record)).collect();
    for record in deposed {
        view.deposed.entry(record.address.clone()).or_default().push(record);
    }
    Ok(view)
}

/// The version of the program that wrote a snapshot, where that is later than this one: what it has folded may be more than this one
/// knows, so it is made again from the log.
pub fn newer_writer(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        written_by: String,
    }
    let small = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let raw: Raw = serde_json::from_slice(small).ok()?;
    is_newer(&raw.written_by).then_some(raw.written_by)
}

/// Whether a version is later than this program's. What is no version is not.
pub(super) fn is_newer(version: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u64>> {
        let release = text.split(['-', '+']).next()?;
        release.split('.').map(|number| number.parse().ok()).collect()
    };
    numbers(version) > numbers(ENGINE)
}

#[derive(Deserialize)]
struct RawKeys {
    key: String,
    #[serde(default)]
    keys: Option<RawBook>,
}

/// The data keys that a snapshot names: what it seals opens with them.
pub fn book(bytes: &[u8]) -> Result<KeyBook, WireError> {
    let small = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let raw: RawKeys = parse(small)?;
    book_of(raw.keys, &raw.key)
}

/// Before there were recipients a snapshot named the first key alone.
fn book_of(raw: Option<RawBook>, first: &str) -> Result<KeyBook, WireError> {
    match raw {
        Some(raw) => read_book(raw),
        None => Ok(KeyId::parse(first).map_or_else(KeyBook::default, |key| KeyBook::begin(key, Since::default()))),
    }
}

fn read_line(line: &str, reading: &mut Reading<'_>) -> Result<Arc<Record>, WireError> {
    let start = line.find('{').ok_or(bad("a record"))?;
    let version = line[..start].parse().map_err(|_| bad("a version"))?;
    read_record(&line.as_bytes()[start..], &Known::default(), version, reading).map(Arc::new)
}

fn read_small(text: &str, reading: &mut Reading<'_>) -> Result<View, WireError> {
    let raw: RawSmall<'_> = parse(text.as_bytes())?;
    if raw.version != VERSION || is_newer(&raw.written_by) {
        return Err(bad("a snapshot of this version"));
    }
    let store = StoreId::parse(&raw.store).ok_or(bad("the id of a store"))?;
    let mut view = View {
        keys: Arc::new(book_of(raw.keys, &raw.key)?),
        genesis: Some(Genesis { store, environment: raw.environment, engine: raw.engine, key: raw.key }),
        run: raw.run,
        moved: raw.moved.map(|it| Arc::new(it.carried())),
        void: raw.void,
        durations: durations(&raw.durations)?,
        ..View::default()
    };
    if let Some(last) = raw.last {
        let last = read_revision(last, reading)?;
        view.revision = last.number;
        view.outputs = last.outputs.clone();
        view.last = Some(Arc::new(last));
    }
    for it in raw.signers {
        let signer = Signer { name: it.name, since: it.since, who: it.who };
        view.signers.insert(public_key(&it.key)?, signer);
    }
    for raw in raw.active {
        let lease = raw.lease.lease()?;
        let addresses = raw.addresses.iter().map(|it| Address::parse(it).ok_or(bad("an address")));
        let active = ActiveRun {
            epoch: raw.epoch,
            since_ms: raw.since,
            last_ms: raw.last,
            last: raw.last_at,
            done: raw.done,
            addresses: Arc::new(addresses.collect::<Result<_, _>>()?),
            lease: Arc::new(lease),
        };
        view.active.insert(active.lease.run, Arc::new(active));
    }
    for raw in raw.providers {
        let (name, settings) = read_provider(raw, reading)?;
        view.providers.insert(name, Arc::new(settings));
    }
    for raw in raw.open {
        let open = read_open(raw, reading)?;
        view.open_at.insert(open.sequence, open.intent.operation);
        view.open.insert(open.intent.operation, Arc::new(open));
    }
    Ok(view)
}

fn read_open(raw: RawOpen<'_>, reading: &mut Reading<'_>) -> Result<OpenIntent, WireError> {
    let mut intent = read_intent(raw.intent, &View::default(), reading)?;
    if let Some((version, before)) = raw.before {
        intent.before = Some(Arc::new(read_record(before.get().as_bytes(), &Known::default(), version, reading)?));
    }
    Ok(OpenIntent {
        intent: Arc::new(intent),
        sequence: raw.sequence,
        run: raw.run,
        time_ms: raw.time,
        accepted: raw.accepted,
        repeated: raw.repeated,
        flagged: raw.flagged,
        writer_gone: raw.gone,
    })
}

fn durations(raw: &[Vec<&RawValue>]) -> Result<BTreeMap<(Name, Name), Vec<Duration>>, WireError> {
    let mut all = BTreeMap::new();
    for entry in raw {
        let [kind, action, kept @ ..] = entry.as_slice() else { return Err(bad("durations of a kind")) };
        let name = |raw: &RawValue| parse::<Cow<'_, str>>(raw.get().as_bytes()).map(|text| Name::from(&*text));
        let kept = kept.iter().map(|took| parse(took.get().as_bytes()).map(Duration::from_millis));
        all.insert((name(kind)?, name(action)?), kept.collect::<Result<_, _>>()?);
    }
    Ok(all)
}
