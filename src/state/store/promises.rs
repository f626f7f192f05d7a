//! What every store promises, as a suite. Whoever keeps logs somewhere else can run it: [`keeps_its_promises`] panics with what
//! was not kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::Digest;
use crate::state::contract::{Entry, FORMAT, Head, Header, Hold, Liveness, Sequence, Snapshot, Store, StoreError, StoreId};

/// Opens the log of a name, as another process would: the same one for the same name, an empty one for a name that was never used.
pub type Open<'o> = &'o (dyn Fn(&str) -> Arc<dyn Store> + Send + Sync);

/// Runs the suite. It uses logs whose names begin with `log`, and needs a runtime of several threads to show races between them.
pub async fn keeps_its_promises(open: Open<'_>) {
    empty_at_first(&*open("log-empty")).await;
    gives_back_what_was_appended(&*open("log-append"), &*open("log-append")).await;
    refuses_what_does_not_follow(&*open("log-follow"), &*open("log-follow")).await;
    tells_the_living(&*open("log-living"), &*open("log-living")).await;
    keeps_the_newest_snapshot(&*open("log-snapshot"), &*open("log-snapshot")).await;
    takes_large_entries(open, "log-large").await;
    keeps_logs_apart(open).await;
    loses_nothing_to_a_race((0..4).map(|_| open("log-race")).collect()).await;
    let lossy = |nth| Arc::new(Lossy { inner: open("log-lossy"), turn: AtomicU64::new(nth) }) as Arc<dyn Store>;
    loses_nothing_to_a_race((0..3).map(lossy).collect()).await;
}

/// An entry that follows, with this body.
pub fn entry(after: Option<Head>, kind: &str, body: impl Into<Bytes>) -> Entry {
    let after = after.unwrap_or(Head { sequence: 0, hash: Head::NONE });
    let body = body.into();
    let header = Header {
        format: FORMAT,
        store: StoreId([7; 16]),
        sequence: after.sequence + 1,
        epoch: 3,
        run: 2,
        time_ms: -1,
        kind: kind.into(),
        previous: after.hash,
        body: Digest::of(&body),
    };
    Entry { header, body }
}

/// Entries that follow and follow one another.
pub fn entries(after: Option<Head>, bodies: &[&str]) -> Vec<Entry> {
    let mut head = after;
    let next = |body: &&str| {
        let entry = entry(head, "write", body.as_bytes().to_vec());
        head = Some(entry.head());
        entry
    };
    bodies.iter().map(next).collect()
}

/// A log that was never written is empty, and reading it is no error.
async fn empty_at_first(store: &dyn Store) {
    assert_eq!(store.head().await.expect("a head"), None);
    assert!(store.read(1).await.expect("entries").is_empty());
    assert!(store.read(7).await.expect("entries").is_empty());
    assert_eq!(store.entry(1).await.expect("no entry"), None);
    assert!(store.snapshot().await.is_none());
    assert!(store.remarks().await.is_ok());
}

async fn gives_back_what_was_appended(one: &dyn Store, other: &dyn Store) {
    // What was appended is read back, by everybody, with its chain.
    let first = entries(None, &["{}", "{\"a\":1}"]);
    let head = one.append(None, first.clone()).await.expect("the first append");
    assert_eq!(head, first[1].head());
    assert_eq!(other.head().await.expect("a head"), Some(head));
    assert_eq!(other.read(1).await.expect("entries"), first);
    assert_eq!(other.read(2).await.expect("entries"), first[1..]);
    assert!(other.read(3).await.expect("entries").is_empty());
    assert!(other.read(9).await.expect("entries").is_empty());
    for (at, wanted) in [(0, None), (1, Some(&first[0])), (2, Some(&first[1])), (3, None), (9, None)] {
        assert_eq!(other.entry(at).await.expect("an entry").as_ref(), wanted, "entry {at}");
    }

    // Of two that append at one place the second hears that the log has moved, and nothing of its is kept.
    let second = entries(Some(head), &["\"by one\""]);
    let late = entries(Some(head), &["\"by other\""]);
    let moved = one.append(Some(head), second.clone()).await.expect("the second append");
    hears_of(moved, other.append(Some(head), late).await);
    hears_of(moved, other.append(None, entries(None, &["{}"])).await);
    // Nor may anything follow an entry that others follow already, inside of what was appended at once.
    let inside = Some(first[0].head());
    hears_of(moved, other.append(inside, entries(inside, &["\"a fork\""])).await);
    hears_of(moved, one.append(inside, entries(inside, &["\"a fork\""])).await);
    assert_eq!(other.read(3).await.expect("entries"), second);

    // And can append after it has read what is new.
    let third = entries(Some(moved), &["\"by other\"", "\"and more\"", "\"and more\""]);
    let head = other.append(Some(moved), third.clone()).await.expect("the third append");
    assert_eq!(one.head().await.expect("a head"), Some(head));
    assert_eq!(one.read(4).await.expect("entries"), third);
    let (whole, damage) = one.read_what_is_whole().await;
    assert_eq!((whole.len(), damage.is_none()), (6, true));
}

fn hears_of(now: Head, refused: Result<Head, StoreError>) {
    assert!(matches!(refused, Err(StoreError::Moved { head }) if head == Some(now)), "{refused:?}");
}

/// A gap, a wrong hash, a body that is not the one of its header, nothing at all.
async fn refuses_what_does_not_follow(one: &dyn Store, other: &dyn Store) {
    let head = one.append(None, entries(None, &["{}"])).await.expect("the first append");
    let mut gap = entry(Some(head), "write", "{}");
    gap.header.sequence += 1;
    let mut fork = entry(Some(head), "write", "{}");
    fork.header.previous = Head::NONE;
    let mut altered = entry(Some(head), "write", "{}");
    altered.body = "[]".into();
    for bad in [vec![gap], vec![fork], vec![altered], vec![]] {
        let refused = one.append(Some(head), bad).await;
        assert!(matches!(refused, Err(StoreError::Misuse(_))), "{refused:?}");
    }
    assert_eq!(other.head().await.expect("a head"), Some(head));
    assert_eq!(other.read(1).await.expect("entries").len(), 1);
    // A place that is not there yet is no place to follow.
    let beyond = entry(Some(head), "write", "{}").head();
    hears_of(head, one.append(Some(beyond), entries(Some(beyond), &["{}"])).await);
    assert_eq!(other.head().await.expect("a head"), Some(head));
}

/// A run is alive until its guard is dropped, for everybody; a store that cannot tell says so, always.
async fn tells_the_living(one: &dyn Store, other: &dyn Store) {
    one.append(None, entries(None, &["{}"])).await.expect("the first append");
    let name = "0123456789abcdef";
    let before = other.liveness(name).await.expect("liveness");
    let hold = one.hold(name).await.expect("a hold");
    let during = [other.liveness(name).await.expect("liveness"), one.liveness(name).await.expect("liveness")];
    drop(hold);
    let after = other.liveness(name).await.expect("liveness");
    match before {
        Liveness::Unknown => assert_eq!((during, after), ([Liveness::Unknown; 2], Liveness::Unknown)),
        before => {
            assert_eq!((before, during, after), (Liveness::Dead, [Liveness::Alive; 2], Liveness::Dead));
        }
    }
}

async fn keeps_the_newest_snapshot(one: &dyn Store, other: &dyn Store) {
    let head = one.append(None, entries(None, &["{}", "{}"])).await.expect("the first append");
    for bytes in ["old", "new"] {
        one.keep_snapshot(Snapshot { head, bytes: bytes.into() }).await.expect("a snapshot is kept");
    }
    assert_eq!(other.snapshot().await, Some(Snapshot { head, bytes: "new".into() }));
    let large: Vec<u8> = (0..3_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let large = Snapshot { head, bytes: large.into() };
    other.keep_snapshot(large.clone()).await.expect("a snapshot is kept");
    assert_eq!(one.snapshot().await, Some(large));
}

/// Entries of megabytes, and many at once; also read by whoever opens the log later.
async fn takes_large_entries(open: Open<'_>, log: &str) {
    let store = open(log);
    let noise = |seed: u32| -> Vec<u8> {
        let mix = |at: u32| (at ^ seed).wrapping_mul(0x9E37_79B9).rotate_left(11).wrapping_mul(0x85EB_CA6B);
        (0..2 << 20).map(|at| (mix(at) >> 7) as u8).collect()
    };
    let mut head = None;
    let mut all = Vec::new();
    for seed in 0..3 {
        let large = entry(head, "large", noise(seed));
        head = Some(store.append(head, vec![large.clone()]).await.expect("a large entry"));
        all.push(large);
    }
    let bodies: Vec<String> = (0..1500).map(|at| format!("{{\"at\":{at},\"text\":\"ü\\u0000'\\\\\"}}")).collect();
    let many = entries(head, &bodies.iter().map(String::as_str).collect::<Vec<_>>());
    let end = store.append(head, many.clone()).await.expect("many entries");
    all.extend(many);
    let later = open(log);
    assert_eq!(later.head().await.expect("a head"), Some(end));
    let read = later.read(1).await.expect("entries");
    assert!(read == all, "{} entries were read, {} were written", read.len(), all.len());
    assert!(later.read(700).await.expect("entries") == all[699..], "from the middle of what was written at once");
    assert_eq!(later.entry(701).await.expect("an entry").as_ref(), Some(&all[700]));
    let more = entries(Some(end), &["{}"]);
    later.append(Some(end), more).await.expect("whoever opened it later appends");
}

async fn keeps_logs_apart(open: Open<'_>) {
    let (one, other) = (open("log-one"), open("log-one-more"));
    let first = entries(None, &["\"one\""]);
    let second = entries(None, &["\"other\"", "\"other\""]);
    one.append(None, first.clone()).await.expect("the first append");
    assert_eq!(other.head().await.expect("a head"), None);
    other.append(None, second.clone()).await.expect("the first append");
    assert_eq!(one.read(1).await.expect("entries"), first);
    assert_eq!(other.read(1).await.expect("entries"), second);
}

/// Many writers at once, each of which tries until it is through: all entries are there, once.
async fn loses_nothing_to_a_race(openings: Vec<Arc<dyn Store>>) {
    const ROUNDS: usize = 10;
    let mut writers = Vec::new();
    for (nth, store) in openings.iter().cloned().enumerate() {
        writers.push(tokio::spawn(async move {
            for round in 0..ROUNDS {
                while !is_through(&*store, nth, round).await {
                    tokio::task::yield_now().await;
                }
            }
        }));
    }
    for writer in writers {
        writer.await.expect("a writer ends");
    }
    let all = openings[0].read(1).await.expect("entries");
    let bodies: BTreeSet<Bytes> = all.iter().map(|entry| entry.body.clone()).collect();
    let wanted = 2 * ROUNDS * openings.len();
    assert_eq!((all.len(), bodies.len()), (wanted, wanted), "entries, and different ones");
}

/// One try to append two entries; false where somebody else was first.
async fn is_through(store: &dyn Store, nth: usize, round: usize) -> bool {
    let head = store.head().await.expect("a head");
    let bodies = [format!("\"{nth} {round} a\""), format!("\"{nth} {round} b\"")];
    let entries = entries(head, &[&bodies[0], &bodies[1]]);
    match store.append(head, entries.clone()).await {
        Ok(end) => {
            assert_eq!(end, entries[1].head());
            true
        }
        Err(StoreError::Moved { .. }) => false,
        // The place tells whose entries stand there.
        Err(StoreError::Unanswered { .. }) => {
            let at = entries[1].header.sequence;
            store.entry(at).await.expect("an entry").is_some_and(|there| there.head() == entries[1].head())
        }
        Err(error) => panic!("{error}"),
    }
}

/// A store whose answers to appends are lost in turn: of three appends one is written and not answered, one is neither.
pub struct Lossy {
    pub inner: Arc<dyn Store>,
    pub turn: AtomicU64,
}

#[async_trait]
impl Store for Lossy {
    fn place(&self) -> String {
        self.inner.place()
    }

    async fn head(&self) -> Result<Option<Head>, StoreError> {
        self.inner.head().await
    }

    async fn append(&self, expected: Option<Head>, entries: Vec<Entry>) -> Result<Head, StoreError> {
        let lost = StoreError::Unanswered { place: self.place(), why: "the answer was lost".into() };
        match self.turn.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => self.inner.append(expected, entries).await,
            1 => self.inner.append(expected, entries).await.and(Err(lost)),
            _ => Err(lost),
        }
    }

    async fn read(&self, from: Sequence) -> Result<Vec<Entry>, StoreError> {
        self.inner.read(from).await
    }

    async fn hold(&self, name: &str) -> Result<Box<dyn Hold>, StoreError> {
        self.inner.hold(name).await
    }

    async fn liveness(&self, name: &str) -> Result<Liveness, StoreError> {
        self.inner.liveness(name).await
    }

    async fn snapshot(&self) -> Option<Snapshot> {
        self.inner.snapshot().await
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.inner.keep_snapshot(snapshot).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::*;
    use crate::state::store::embedded::Embedded;
    use crate::state::store::memory::Memory;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn memory_keeps_its_promises() {
        let logs = Mutex::new(BTreeMap::<String, Memory>::new());
        keeps_its_promises(&|log| Arc::new(logs.lock().expect("no panic").entry(log.into()).or_default().clone())).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_embedded_store_keeps_its_promises() {
        let dir = tempfile::tempdir().expect("a directory");
        keeps_its_promises(&|log| Arc::new(Embedded::at(dir.path().join(log)))).await;
    }
}
