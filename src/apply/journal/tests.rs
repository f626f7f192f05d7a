use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;

use super::Journal;
use crate::model::value::Fields;
use crate::state::contract::{Entry, Head, Hold, Liveness, Sequence, Snapshot, Store, StoreError};
use crate::state::store::memory::Memory;
use crate::state::tests::{address, done, fields, header, intent, revision};
use crate::state::{OperationId, State};
use crate::world::World;

/// A store in memory that counts appends, and can be made to hold them up.
struct Watched {
    memory: Memory,
    appends: AtomicUsize,
    held_up: AtomicBool,
}

#[async_trait]
impl Store for Watched {
    fn place(&self) -> String {
        self.memory.place()
    }

    async fn head(&self) -> Result<Option<Head>, StoreError> {
        self.memory.head().await
    }

    async fn append(&self, expected: Option<Head>, entries: Vec<Entry>) -> Result<Head, StoreError> {
        if self.held_up.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.appends.fetch_add(1, Ordering::Relaxed);
        // A disk takes its time, in which others go on.
        tokio::task::yield_now().await;
        self.memory.append(expected, entries).await
    }

    async fn read(&self, from: Sequence) -> Result<Vec<Entry>, StoreError> {
        self.memory.read(from).await
    }

    async fn hold(&self, name: &str) -> Result<Box<dyn Hold>, StoreError> {
        self.memory.hold(name).await
    }

    async fn liveness(&self, name: &str) -> Result<Liveness, StoreError> {
        self.memory.liveness(name).await
    }

    async fn snapshot(&self) -> Option<Snapshot> {
        self.memory.snapshot().await
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.memory.keep_snapshot(snapshot).await
    }
}

struct Fixture {
    state: State,
    journal: Journal,
    store: Arc<Watched>,
}

async fn journal_of(count: usize) -> Fixture {
    let world = World::real();
    let store = Watched { memory: Memory::default(), appends: AtomicUsize::new(0), held_up: AtomicBool::new(false) };
    let store = Arc::new(store);
    let mut state = State::empty(store.clone(), "production", &world);
    let addresses: Vec<String> = (0..count).map(|at| format!("local.value.a{at}")).collect();
    let run = state.begin(header(&addresses.iter().map(String::as_str).collect::<Vec<_>>())).await.expect("a run");
    store.appends.store(0, Ordering::Relaxed);
    Fixture { state, journal: Journal::new(run, world), store }
}

fn nth(at: usize) -> crate::state::Intent {
    let mut it = intent(0, &format!("local.value.a{at}"), Fields::new());
    it.operation = OperationId((at as u128 + 1).to_be_bytes());
    it
}

#[tokio::test]
async fn many_calls_share_few_appends_and_each_hears_of_its_own() {
    let count = 300;
    let Fixture { mut state, journal, store } = journal_of(count).await;
    let calls = (0..count).map(|at| {
        let journal = journal.clone();
        async move {
            let operation = journal.open(nth(at)).await.expect("an intent");
            let open = journal.with_latest(|view| view.open.contains_key(&operation)).await;
            assert!(open, "it is in the log when it is acknowledged");
            let place = journal.close(done(&nth(at), fields(&[]))).await.expect("an outcome");
            let version = journal.with_latest(|view| view.records[&nth(at).address].version).await;
            assert_eq!(version, place, "the place of its own outcome");
        }
    });
    let tasks: Vec<_> = calls.map(tokio::spawn).collect();
    for task in tasks {
        task.await.expect("a call ends");
    }
    let appends = store.appends.load(Ordering::Relaxed);
    assert!(appends <= 2 * count / 10, "{appends} appends for {count} calls");
    let number = journal.finish(revision()).await.expect("the run ends");
    assert_eq!(number, 1);
    state.refresh().await.expect("read");
    assert_eq!((state.view().records.len(), state.view().open.len()), (count, 0));
    assert_eq!(state.view().void, []);
}

#[tokio::test]
async fn a_chain_needs_one_append_a_link() {
    let Fixture { state, journal, store } = journal_of(3).await;
    journal.open(nth(0)).await.expect("an intent");
    let before = state.entries().await.expect("entries").len();
    let place = journal.close_then_open(done(&nth(0), fields(&[])), vec![nth(1), nth(2)]).await.expect("a link");
    let entries = state.entries().await.expect("entries");
    assert_eq!(entries.len(), before + 3);
    assert_eq!(entries[before].header.sequence, place);
    assert_eq!(store.appends.load(Ordering::Relaxed), 2);
    let kinds: Vec<_> = entries[before..].iter().map(|entry| entry.header.kind.as_str()).collect();
    assert_eq!(kinds, ["outcome", "intent", "intent"]);
}

#[tokio::test]
async fn an_abandoned_call_leaves_its_intent_open_and_the_others_go_on() {
    let Fixture { mut state, journal, store } = journal_of(2).await;
    journal.open(nth(0)).await.expect("an intent");
    store.held_up.store(true, Ordering::Relaxed);
    tokio::select! {
        biased;
        outcome = journal.close(done(&nth(0), fields(&[]))) => panic!("it was held up: {outcome:?}"),
        // It leads the append by now, and is dropped in the middle of it.
        () = tokio::task::yield_now() => {}
    }
    store.held_up.store(false, Ordering::Relaxed);
    journal.open(nth(1)).await.expect("the journal goes on");
    journal.close(done(&nth(1), fields(&[]))).await.expect("an outcome");
    drop(journal);
    state.refresh().await.expect("read");
    let open: Vec<_> = state.view().open.values().map(|it| it.intent.address.clone()).collect();
    assert_eq!(open, [address("local.value.a0")]);
    let run = state.begin(header(&[])).await.expect("the next takes over at once");
    assert_eq!(run.unsettled().len(), 1);
}

#[tokio::test]
async fn who_lost_the_lease_hears_so_and_nothing_is_written() {
    let Fixture { state, journal, .. } = journal_of(1).await;
    let mut other = state.again().await.expect("another process");
    other.release(1, "mlopez", "it hangs").await.expect("released");
    let before = other.entries().await.expect("entries").len();
    let refused = journal.open(nth(0)).await.expect_err("it lost its lease");
    assert_eq!(refused.code, crate::model::Code::Locked);
    assert_eq!(other.entries().await.expect("entries").len(), before);
}
