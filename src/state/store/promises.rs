//! What every store promises, as one suite.

use std::sync::Arc;

use super::embedded::Embedded;
use super::memory::Memory;
use crate::model::Digest;
use crate::state::contract::{Entry, FORMAT, Head, Header, Liveness, Snapshot, Store, StoreError, StoreId};

pub(in crate::state) fn entry(after: Option<Head>, kind: &str, body: &str) -> Entry {
    let after = after.unwrap_or(Head { sequence: 0, hash: Head::NONE });
    let header = Header {
        format: FORMAT,
        store: StoreId([7; 16]),
        sequence: after.sequence + 1,
        epoch: 3,
        run: 2,
        time_ms: -1,
        kind: kind.into(),
        previous: after.hash,
        body: Digest::of(body.as_bytes()),
    };
    Entry { header, body: body.to_owned().into() }
}

pub(in crate::state) fn entries(after: Option<Head>, bodies: &[&str]) -> Vec<Entry> {
    let mut head = after;
    bodies
        .iter()
        .map(|body| {
            let entry = entry(head, "write", body);
            head = Some(entry.head());
            entry
        })
        .collect()
}

/// Runs the suite. `one` and `other` are two openings of one fresh log, as two processes have them.
async fn keeps_its_promises(one: &dyn Store, other: &dyn Store) {
    // A log that was never written is empty, and reading it is no error.
    assert_eq!(one.head().await.expect("a head"), None);
    assert!(one.read(1).await.expect("entries").is_empty());
    assert!(one.snapshot().await.is_none());

    // What was appended is read back, by everybody, with its chain.
    let first = entries(None, &["{}", "{\"a\":1}"]);
    let head = one.append(None, first.clone()).await.expect("the first append");
    assert_eq!(head, first[1].head());
    assert_eq!(other.head().await.expect("a head"), Some(head));
    assert_eq!(other.read(1).await.expect("entries"), first);
    assert_eq!(other.read(2).await.expect("entries"), first[1..]);
    assert!(other.read(3).await.expect("entries").is_empty());

    // Of two that append at one place the second hears that the log has moved, and nothing of its is kept.
    let second = entries(Some(head), &["\"by one\""]);
    let late = entries(Some(head), &["\"by other\""]);
    let moved = one.append(Some(head), second.clone()).await.expect("the second append");
    let refused = other.append(Some(head), late).await;
    assert!(matches!(refused, Err(StoreError::Moved { head }) if head == Some(moved)), "{refused:?}");
    let refused = other.append(None, entries(None, &["{}"])).await;
    assert!(matches!(refused, Err(StoreError::Moved { head }) if head == Some(moved)), "{refused:?}");
    assert_eq!(other.read(3).await.expect("entries"), second);

    // And can append after it has read what is new.
    let third = entries(Some(moved), &["\"by other\""]);
    let head = other.append(Some(moved), third).await.expect("the third append");
    assert_eq!(one.head().await.expect("a head"), Some(head));

    // What does not follow is refused: a gap, a wrong hash, a body that is not the one of its header, nothing at all.
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
    assert_eq!(one.head().await.expect("a head"), Some(head));

    // A run is alive until its guard is dropped, for everybody.
    let name = "0123456789abcdef";
    assert_eq!(other.liveness(name).await.expect("liveness"), Liveness::Dead);
    let hold = one.hold(name).await.expect("a hold");
    assert_eq!(other.liveness(name).await.expect("liveness"), Liveness::Alive);
    assert_eq!(one.liveness(name).await.expect("liveness"), Liveness::Alive);
    drop(hold);
    assert_eq!(other.liveness(name).await.expect("liveness"), Liveness::Dead);

    // A snapshot comes back as it was given, the newest one.
    for bytes in ["old", "new"] {
        one.keep_snapshot(Snapshot { head, bytes: bytes.into() }).await.expect("a snapshot is kept");
    }
    assert_eq!(other.snapshot().await, Some(Snapshot { head, bytes: "new".into() }));
}

/// Many writers at once, each of which tries until it is through: all entries are there, once.
async fn loses_nothing_to_a_race(openings: Vec<Arc<dyn Store>>) {
    let mut writers = Vec::new();
    for (nth, store) in openings.iter().cloned().enumerate() {
        writers.push(tokio::spawn(async move {
            for round in 0..10 {
                loop {
                    let head = store.head().await.expect("a head");
                    let body = format!("\"{nth} {round}\"");
                    match store.append(head, entries(head, &[&body])).await {
                        Ok(_) => break,
                        Err(StoreError::Moved { .. }) => tokio::task::yield_now().await,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }));
    }
    for writer in writers {
        writer.await.expect("a writer ends");
    }
    let all = openings[0].read(1).await.expect("entries");
    let mut bodies: Vec<_> = all.iter().map(|entry| entry.body.clone()).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!((all.len(), bodies.len()), (10 * openings.len(), 10 * openings.len()));
}

#[tokio::test]
async fn memory_keeps_its_promises() {
    let store = Memory::default();
    keeps_its_promises(&store, &store.clone()).await;
    let store = Memory::default();
    loses_nothing_to_a_race((0..4).map(|_| Arc::new(store.clone()) as Arc<dyn Store>).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_keeps_its_promises() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = |name: &str| Embedded::at(dir.path().join(name));
    keeps_its_promises(&open("a"), &open("a")).await;
    loses_nothing_to_a_race((0..4).map(|_| Arc::new(open("b")) as Arc<dyn Store>).collect()).await;
}
