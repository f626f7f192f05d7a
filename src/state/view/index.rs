//! The index of the log: by address, the places of the entries about it. A sled database beside the log, made by whoever
//! applies; readers do without where it is missing, held by another process, or behind.
//!
//! Addresses share 256 keys, each with a packed list: a key of its own costs 200 bytes of sled's, ten times what it holds.
//!
//! Facts about sled that this file lives with: a flush calls no fsync, one flipped bit can make it open with its tail gone, and
//! opening can panic. So it is never believed: it names the head that it was made for, a checksum guards each value, and on any
//! doubt it is deleted and made again from the log.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::snapshot::is_newer;
use crate::model::Address;
use crate::state::contract::{Entry, Head, Sequence, StoreError};

const FORMAT: &[u8] = b"stackwright/index/2";
const HEAD: &[u8] = b"head";
/// The program that wrote last.
const ENGINE: &[u8] = b"engine";

/// What one key holds: addresses with the places of the entries about them.
type Bucket = BTreeMap<String, Vec<Sequence>>;

/// From where on the log has to be read to bring the index up: 1 for a new one, else the last entry that it knows.
pub fn next(dir: &Path) -> Sequence {
    let path = path(dir);
    if !path.exists() {
        return 1;
    }
    let head = guarded(&path, || head_of(&open(&path)?));
    head.ok().flatten().map_or(1, |head| head.sequence.max(1))
}

/// Brings the index up with the entries from [`next`] on. One that does not belong to this log is deleted.
pub fn extend(dir: &Path, entries: &[Entry]) -> Result<(), StoreError> {
    let path = path(dir);
    let Some(first) = entries.first() else { return Ok(()) };
    let fits = guarded(&path, || {
        let index = open(&path)?;
        let news = match head_of(&index)? {
            None if first.header.sequence == 1 => entries,
            Some(head) if first.head() == head => &entries[1..],
            _ => return Ok(false),
        };
        if let Some(last) = news.last() {
            add(&index, news, last.head())?;
        }
        Ok(true)
    })?;
    if fits { Ok(()) } else { remove(&path) }
}

/// Throws the index away and makes it from all entries.
pub fn rebuild(dir: &Path, entries: &[Entry]) -> Result<(), StoreError> {
    let path = path(dir);
    remove(&path)?;
    let Some(last) = entries.last() else { return Ok(()) };
    guarded(&path, || add(&open(&path)?, entries, last.head()))
}

/// Places of the entries about an address, in order, up to the head that the index was made for. Whether the log has that head is
/// for the caller to see.
pub fn places(dir: &Path, address: &Address) -> Option<(Head, Vec<Sequence>)> {
    let path = path(dir);
    if !path.exists() {
        return None;
    }
    let found = guarded(&path, || {
        let index = open(&path)?;
        let Some(head) = head_of(&index)? else { return Ok(None) };
        let bucket = index.get(key(address))?.map_or(Some(Bucket::new()), |bytes| decode(&bytes));
        Ok(bucket.map(|mut bucket| (head, bucket.remove(address.as_str()).unwrap_or_default())))
    });
    found.ok()?
}

/// The places in entries that follow those of the index.
pub fn places_after(dir: &Path, entries: &[Entry], address: &Address) -> Vec<Sequence> {
    let path = path(dir);
    let found = guarded(&path, || {
        let index = open(&path)?;
        let (mut about, _) = by_address(entries, |place| address_of(&index, place));
        Ok(about.remove(address).unwrap_or_default())
    });
    // Without the index an outcome whose intent lies before the entries is not found; its intent is.
    found.unwrap_or_else(|_| places_in(entries, address))
}

/// The same without an index.
pub fn places_in(entries: &[Entry], address: &Address) -> Vec<Sequence> {
    by_address(entries, |_| None).0.remove(address).unwrap_or_default()
}

/// What entries are about, without an index; `before` are the entries before them, from the first on.
pub fn about(entries: &[Entry], before: &[Entry]) -> BTreeMap<Address, Vec<Sequence>> {
    let known = |place: Sequence| named_in_intent(before.get(usize::try_from(place.checked_sub(1)?).ok()?)?);
    by_address(entries, known).0
}

/// Whether the index says what the log says up to where it was made; `None` where there is none.
pub fn agrees(dir: &Path, entries: &[Entry]) -> Option<bool> {
    let path = path(dir);
    if !path.exists() {
        return None;
    }
    let compared = guarded(&path, || {
        let index = open(&path)?;
        if is_of_a_later_program(&index)? {
            return Ok(None);
        }
        let Some(head) = head_of(&index)? else { return Ok(None) };
        let upto = usize::try_from(head.sequence).unwrap_or(usize::MAX);
        let Some(known) = entries.get(..upto).filter(|known| known.last().map(Entry::head) == Some(head)) else {
            return Ok(Some(false));
        };
        let expected: BTreeMap<Vec<u8>, Bucket> = in_buckets(by_address(known, |_| None).0);
        let mut found = BTreeMap::new();
        for entry in index.scan_prefix(b"@") {
            let (key, value) = entry?;
            found.insert(key.to_vec(), decode(&value));
        }
        Ok(Some(found.len() == expected.len() && found.iter().all(|(key, it)| it.as_ref() == expected.get(key))))
    });
    compared.unwrap_or(Some(false))
}

fn path(dir: &Path) -> PathBuf {
    dir.join("index")
}

fn key(address: &Address) -> Vec<u8> {
    vec![b'@', crc32fast::hash(address.as_str().as_bytes()) as u8]
}

fn in_buckets(about: About) -> BTreeMap<Vec<u8>, Bucket> {
    let mut buckets: BTreeMap<Vec<u8>, Bucket> = BTreeMap::new();
    for (address, places) in about {
        buckets.entry(key(&address)).or_default().insert(address.as_str().to_owned(), places);
    }
    buckets
}

fn open(path: &Path) -> sled::Result<sled::Db> {
    // Small files: a new index of the default kind takes half a megabyte for nothing.
    sled::Config::new().path(path).flush_every_ms(None).segment_size(32 << 10).cache_capacity(32 << 20).open()
}

/// A panic of the database, and every error but "another process has it", costs the index its life.
fn guarded<T>(path: &Path, work: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    let words = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(error)) => {
            let busy = matches!(&error, sled::Error::Io(io) if io.to_string().contains("lock"));
            if !busy {
                let _ = remove(path);
            }
            error.to_string()
        }
        Err(_) => {
            let _ = remove(path);
            "the database gave up".into()
        }
    };
    Err(StoreError::Unavailable { what: format!("use {}", path.display()), why: words })
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Unavailable { what: format!("delete {}", path.display()), why: error.to_string() })
        }
        _ => Ok(()),
    }
}

fn head_of(index: &sled::Db) -> sled::Result<Option<Head>> {
    // What a later program has written may be more than this one knows: it fits nothing, and is made again.
    if is_of_a_later_program(index)? {
        return Ok(Some(Head { sequence: 0, hash: Head::NONE }));
    }
    let Some(bytes) = index.get(HEAD)? else { return Ok(None) };
    let head = bytes.strip_prefix(FORMAT).and_then(|rest| {
        let (sequence, hash) = rest.split_at_checked(8)?;
        let hash = crate::model::Digest(hash.try_into().ok()?);
        Some(Head { sequence: u64::from_be_bytes(sequence.try_into().ok()?), hash })
    });
    // Neither this head nor an empty index: it fits nothing.
    Ok(Some(head.unwrap_or(Head { sequence: 0, hash: Head::NONE })))
}

fn is_of_a_later_program(index: &sled::Db) -> sled::Result<bool> {
    Ok(index.get(ENGINE)?.is_some_and(|version| std::str::from_utf8(&version).is_ok_and(is_newer)))
}

fn add(index: &sled::Db, entries: &[Entry], head: Head) -> sled::Result<()> {
    let mut batch = sled::Batch::default();
    let (about, open) = by_address(entries, |place| address_of(index, place));
    for (key, news) in in_buckets(about) {
        let mut bucket = match index.get(&key)? {
            None => Bucket::new(),
            Some(bytes) => decode(&bytes).ok_or_else(|| sled::Error::Unsupported("a bucket cannot be read".into()))?,
        };
        for (address, places) in news {
            bucket.entry(address).or_default().extend(places);
        }
        batch.insert(key, encode(&bucket));
    }
    for (place, address) in open {
        match address {
            Some(address) => batch.insert(open_key(place), address.as_str().as_bytes()),
            None => batch.remove(open_key(place)),
        }
    }
    let sequence = head.sequence.to_be_bytes();
    batch.insert(ENGINE, env!("CARGO_PKG_VERSION").as_bytes());
    batch.insert(HEAD, [FORMAT, &sequence, &head.hash.0].concat());
    index.apply_batch(batch)?;
    index.flush().map(drop)
}

/// The address of an intent that was open when the index was made.
fn address_of(index: &sled::Db, place: Sequence) -> Option<Address> {
    let address = index.get(open_key(place)).ok()??;
    Address::parse(std::str::from_utf8(&address).ok()?)
}

/// Under which the address of an intent is kept until its operation is over.
fn open_key(place: Sequence) -> Vec<u8> {
    [b"#", &place.to_be_bytes()[..]].concat()
}

/// CRC-32, then, packed with LZ4: each address and its places, each place as how far it lies behind the one before. Numbers
/// take seven bits a byte.
fn encode(bucket: &Bucket) -> Vec<u8> {
    let mut whole = Vec::new();
    for (address, places) in bucket {
        varint(&mut whole, address.len() as u64);
        whole.extend_from_slice(address.as_bytes());
        varint(&mut whole, places.len() as u64);
        let mut before = 0;
        for place in places {
            varint(&mut whole, place - before);
            before = *place;
        }
    }
    let packed = lz4_flex::block::compress_prepend_size(&whole);
    [&crc32fast::hash(&packed).to_be_bytes(), packed.as_slice()].concat()
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn decode(bytes: &[u8]) -> Option<Bucket> {
    let (crc, packed) = bytes.split_at_checked(4)?;
    if crc != crc32fast::hash(packed).to_be_bytes() {
        return None;
    }
    let whole = lz4_flex::block::decompress_size_prepended(packed).ok()?;
    let mut input = whole.as_slice();
    let mut bucket = Bucket::new();
    while !input.is_empty() {
        let length = usize::try_from(read_varint(&mut input)?).ok()?;
        let (address, rest) = input.split_at_checked(length)?;
        input = rest;
        let (mut places, mut before) = (Vec::new(), 0u64);
        for _ in 0..read_varint(&mut input)? {
            before = before.checked_add(read_varint(&mut input)?)?;
            places.push(before);
        }
        bucket.insert(String::from_utf8(address.to_vec()).ok()?, places);
    }
    Some(bucket)
}

fn read_varint(input: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}

type About = BTreeMap<Address, Vec<Sequence>>;

/// The addresses that entries are about, and the intents that they open (with their address) and close. An outcome is about the
/// addresses of its writes and of its intent, which `known` gives where it lies before these entries.
fn by_address(entries: &[Entry], known: impl Fn(Sequence) -> Option<Address>) -> (About, BTreeMap<Sequence, Option<Address>>) {
    let mut all = About::new();
    let mut intents: BTreeMap<Sequence, Option<Address>> = BTreeMap::new();
    for entry in entries {
        let sequence = entry.header.sequence;
        let mut about = BTreeSet::from_iter(named_in_writes(entry));
        if let Some(address) = named_in_intent(entry) {
            intents.insert(sequence, Some(address.clone()));
            about.insert(address);
        }
        if let Some(place) = intent_of(entry) {
            about.extend(intents.get(&place).cloned().unwrap_or_else(|| known(place)));
            if entry.header.kind == "outcome" && intents.remove(&place).is_none() {
                intents.insert(place, None);
            }
        }
        for address in about {
            all.entry(address).or_default().push(sequence);
        }
    }
    (all, intents)
}

fn named_in_intent(entry: &Entry) -> Option<Address> {
    #[derive(Deserialize)]
    struct Intent {
        address: String,
    }
    if entry.header.kind != "intent" {
        return None;
    }
    let intent: Intent = serde_json::from_slice(&entry.body).ok()?;
    Address::parse(&intent.address)
}

fn intent_of(entry: &Entry) -> Option<Sequence> {
    #[derive(Deserialize)]
    struct Outcome {
        of: Option<Sequence>,
    }
    if !matches!(&*entry.header.kind, "outcome" | "settled") {
        return None;
    }
    serde_json::from_slice::<Outcome>(&entry.body).ok()?.of
}

fn named_in_writes(entry: &Entry) -> Vec<Address> {
    #[derive(Deserialize)]
    struct Put {
        address: Option<String>,
    }
    #[derive(Deserialize)]
    struct One {
        put: Option<Put>,
        remove: Option<String>,
        depose: Option<String>,
        remove_deposed: Option<String>,
        from: Option<String>,
        #[serde(rename = "move")]
        to: Option<String>,
    }
    #[derive(Deserialize)]
    struct Writes {
        #[serde(default)]
        writes: Vec<One>,
    }
    if !matches!(&*entry.header.kind, "outcome" | "settled" | "write") {
        return Vec::new();
    }
    let writes = serde_json::from_slice::<Writes>(&entry.body).map_or_else(|_| Vec::new(), |body| body.writes);
    let texts = writes
        .into_iter()
        .flat_map(|one| [one.put.and_then(|put| put.address), one.remove, one.depose, one.remove_deposed, one.from, one.to]);
    texts.flatten().filter_map(|text| Address::parse(&text)).collect()
}
