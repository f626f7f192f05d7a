//! The log of a bucket, over a store of objects in memory: with faults, lies and what others leave there.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;

use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutResult, Result as Answer,
};

use super::*;
use crate::model::KnownSecrets;
use crate::state::store::promises::{entries, keeps_its_promises};

/// What is wrong with a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    /// Creating writes over what is there.
    NoneMatch,
    /// A stale tag is no reason to refuse.
    Match,
    MatchMissing,
    /// What was put is not there when it is read.
    Stale,
    /// A listing shows nothing that is newer than an hour.
    OldListing,
    /// Of three writes one is answered by silence after the effect, one is in another's way.
    Lossy,
}

#[derive(Clone, Debug)]
struct Objects {
    inner: Arc<InMemory>,
    fault: Fault,
    turn: Arc<AtomicUsize>,
}

impl std::fmt::Display for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.fault)
    }
}

fn failed(words: &'static str) -> Error {
    Error::Generic { store: "test", source: words.into() }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Answer<PutResult> {
        let is_missing = matches!(self.inner.get_opts(at, GetOptions::default()).await, Err(Error::NotFound { .. }));
        let lied = match (&options.mode, self.fault) {
            (PutMode::Create, Fault::NoneMatch) => true,
            (PutMode::Update(_), Fault::Match) => !is_missing,
            (PutMode::Update(_), Fault::MatchMissing) => is_missing,
            _ => false,
        };
        let options = if lied { PutOptions::default() } else { options };
        let turn = if self.fault == Fault::Lossy { self.turn.fetch_add(1, Ordering::Relaxed) % 3 } else { 0 };
        match turn {
            0 => self.inner.put_opts(at, payload, options).await,
            1 => self.inner.put_opts(at, payload, options).await.and(Err(failed("the connection was reset"))),
            // As S3 answers 409 to two conditional writes at once.
            _ => Err(Error::AlreadyExists { path: at.to_string(), source: "conflict".into() }),
        }
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Answer<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Answer<GetResult> {
        if self.fault == Fault::Stale {
            return Err(Error::NotFound { path: at.to_string(), source: "not yet".into() });
        }
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(&self, _: BoxStream<'static, Answer<Path>>) -> BoxStream<'static, Answer<Path>> {
        panic!("nothing is ever deleted")
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Answer<ObjectMeta>> {
        match self.fault {
            Fault::OldListing => futures_util::stream::empty().boxed(),
            _ => self.inner.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Answer<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Answer<()> {
        panic!("nothing is ever copied")
    }
}

fn objects(fault: Fault) -> Objects {
    Objects { inner: Arc::default(), fault, turn: Arc::default() }
}

fn open(objects: &Objects, log: &str) -> S3 {
    let bucket = Bucket {
        objects: Arc::new(objects.clone()),
        prefix: "team/state".into(),
        shown: "s3://acme".into(),
        has_credentials: true,
        secrets: KnownSecrets::default(),
    };
    S3::new(bucket, log, &World::real(), Arc::new(|_| {}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_its_promises_also_where_answers_are_lost_and_listings_are_old() {
    for fault in [Fault::None, Fault::Lossy, Fault::OldListing] {
        let all = objects(fault);
        keeps_its_promises(&|log| Arc::new(open(&all, &format!("shop/{log}")))).await;
        let names: Vec<_> = all.inner.list(None).try_collect().await.expect("a listing");
        let names: BTreeSet<String> = names.iter().map(|object: &ObjectMeta| object.location.to_string()).collect();
        assert!(names.contains("team/state/shop/log-race/log/00000000000000000001"), "{fault:?}: {names:?}");
        assert!(names.contains("team/state/shop/log-race/head"), "{fault:?}: hints are written");
    }
}

#[tokio::test]
async fn a_store_that_lies_about_conditions_is_refused_by_their_name() {
    for (fault, named) in [
        (Fault::NoneMatch, "`If-None-Match: *` is ignored"),
        (Fault::Match, "`If-Match` is ignored: an object"),
        (Fault::MatchMissing, "`If-Match` is ignored where there is no object"),
        (Fault::Stale, "is not there when it is read"),
    ] {
        let refused = open(&objects(fault), "a/b").append(None, entries(None, &["{}"])).await;
        let fits = matches!(&refused, Err(StoreError::Refused { why, place, help })
            if why.contains(named) && place.starts_with("s3://acme") && help.contains("postgres"));
        assert!(fits, "{fault:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_hint_is_believed_only_that_there_was_something() {
    let all = objects(Fault::None);
    let store = open(&all, "a/b");
    let mut head = None;
    for at in 0..70 {
        head = Some(store.append(head, entries(head, &[&at.to_string()])).await.expect("appended"));
    }
    let put = async |path: &str, text: &str| {
        all.inner.put_opts(&Path::from(path), PutPayload::from(text.to_owned()), PutOptions::default()).await.expect("put");
    };
    assert_eq!(open(&all, "a/b").head().await.expect("a head"), head, "it is behind");
    for nonsense in ["", "{}", "{\"first\":0,\"sequence\":0,\"hash\":\"\"}", "\u{1}"] {
        put("team/state/a/b/head", nonsense).await;
        assert_eq!(open(&all, "a/b").head().await.expect("a head"), head, "{nonsense:?} is done without");
    }
    put("team/state/a/b/log/README", "no batch").await;
    assert_eq!(open(&all, "a/b").read(1).await.expect("entries").len(), 70);

    // A log that is shorter than its head said is an error, and no beginning.
    let end = head.expect("a head");
    put("team/state/a/b/head", &format!("{{\"first\":90,\"sequence\":90,\"hash\":\"{}\"}}", end.hash)).await;
    for answer in [open(&all, "a/b").head().await.map(drop), open(&all, "a/b").read(1).await.map(drop)] {
        assert!(matches!(&answer, Err(StoreError::Damaged { .. })), "{answer:?}");
    }
    put("team/state/c/d/head", &format!("{{\"first\":1,\"sequence\":2,\"hash\":\"{}\"}}", end.hash)).await;
    for answer in [open(&all, "c/d").head().await.map(drop), open(&all, "c/d").read(1).await.map(drop)] {
        assert!(matches!(&answer, Err(StoreError::Damaged { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn what_somebody_did_to_the_objects_is_found() {
    let all = objects(Fault::None);
    let store = open(&all, "a/b");
    let mut head = None;
    for at in 0..6 {
        let bodies = [at.to_string(), at.to_string()];
        head = Some(store.append(head, entries(head, &[&bodies[0], &bodies[1]])).await.expect("appended"));
    }
    let path = |first: u64| Path::from(format!("team/state/a/b/log/{first:020}"));
    let get =
        async |first| all.inner.get_opts(&path(first), GetOptions::default()).await.expect("there").bytes().await.expect("bytes");
    let put = async |first, bytes: Bytes| {
        all.inner.put_opts(&path(first), PutPayload::from_bytes(bytes), PutOptions::default()).await.expect("put");
    };
    let damaged = async |at: &str| {
        let answer = open(&all, "a/b").read(1).await;
        let fits = matches!(&answer, Err(StoreError::Damaged { place, .. }) if place.ends_with(at));
        assert!(fits, "{at}: {answer:?}");
    };
    let (third, fifth) = (get(3).await, get(5).await);
    for at in [0, 20, 67, 68, 100, third.len() - 1] {
        let mut flipped = third.to_vec();
        flipped[at] ^= 1;
        put(3, flipped.into()).await;
        damaged("entry 3").await;
    }
    assert_eq!(open(&all, "a/b").read_what_is_whole().await.0.len(), 2);
    put(3, third.slice(..third.len() - 1)).await;
    damaged("entry 3").await;
    put(3, fifth).await;
    damaged("entry 3").await;
    put(3, third).await;
    assert_eq!(open(&all, "a/b").read(1).await.expect("whole again").len(), 12);

    // Cut out of the middle, and at the beginning.
    let without = async |gone: &[u64]| {
        let other = objects(Fault::None);
        for first in [1, 3, 5, 7, 9, 11].into_iter().filter(|first| !gone.contains(first)) {
            let bytes = PutPayload::from_bytes(get(first).await);
            other.inner.put_opts(&path(first), bytes, PutOptions::default()).await.expect("put");
        }
        open(&other, "a/b").read(1).await.expect_err("one is missing").to_string()
    };
    assert!(without(&[5]).await.contains("entry 7"));
    assert!(without(&[1]).await.contains("entry 1"));
}

/// So many bodies of a thousand bytes each.
fn log_of(count: usize) -> Vec<Entry> {
    let bodies: Vec<String> = (0..count).map(|at| format!("\"{at:0>998}\"")).collect();
    entries(None, &bodies.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test]
async fn what_is_too_large_for_one_object_is_there_whole_or_not_at_all() {
    let all = objects(Fault::None);
    let open = || S3 { part: 10_000, ..open(&all, "a/b") };
    let log = log_of(95);
    // Killed after its parts were made, and before they were a log.
    open().object_of(None, &log).await.expect("its parts are made");
    assert_eq!(open().head().await.expect("empty"), None);
    assert!(open().read(1).await.expect("empty").is_empty());
    let end = open().fill(log.clone()).await.expect("it is filled");
    assert_eq!(open().head().await.expect("a head"), Some(end));
    assert!(open().read(1).await.expect("entries") == log);
    assert_eq!(open().entry(57).await.expect("an entry").as_ref(), Some(&log[56]));
    let more = entries(Some(end), &["{}"]);
    open().append(Some(end), more.clone()).await.expect("it goes on");
    assert_eq!(open().read(96).await.expect("entries"), more);
    let moved = open().fill(log.clone()).await;
    assert!(matches!(&moved, Err(StoreError::Moved { head }) if *head == Some(more[0].head())), "{moved:?}");
    let inside = Some(log[9].head());
    let fork = open().append(inside, entries(inside, &["{}"])).await;
    assert!(matches!(fork, Err(StoreError::Moved { .. })), "{fork:?}");

    // A part that was altered, and one that is gone.
    let part = open().layout.part(end.hash, 21);
    let whole = all.inner.get_opts(&part, GetOptions::default()).await.expect("there").bytes().await.expect("bytes");
    for bytes in [whole.slice(..whole.len() - 1), Bytes::from_static(b"")] {
        all.inner.put_opts(&part, PutPayload::from_bytes(bytes), PutOptions::default()).await.expect("put");
        let damaged = open().read(1).await;
        assert!(matches!(&damaged, Err(StoreError::Damaged { place, .. }) if place.ends_with("entry 21")), "{damaged:?}");
    }
}

#[tokio::test]
async fn a_restore_adds_what_is_missing_and_names_what_stands_in_the_way() {
    let log = log_of(12);
    let whole = objects(Fault::None);
    let store = open(&whole, "a/b");
    for pair in log.chunks(2) {
        let before = pair[0].header.sequence.checked_sub(2).map(|at| log[at as usize].head());
        store.append(before, pair.to_vec()).await.expect("appended");
    }
    let path = |first: u64| Path::from(format!("team/state/a/b/log/{first:020}"));
    let without = async |gone: &[u64], damaged: &[u64]| {
        let other = objects(Fault::None);
        for first in [1, 3, 5, 7, 9, 11].into_iter().filter(|first| !gone.contains(first)) {
            let found = whole.inner.get_opts(&path(first), GetOptions::default()).await.expect("there");
            let mut bytes = found.bytes().await.expect("bytes").to_vec();
            if damaged.contains(&first) {
                bytes[90] ^= 1;
            }
            other.inner.put_opts(&path(first), PutPayload::from(bytes), PutOptions::default()).await.expect("put");
        }
        other
    };
    let restored = async |all: &Objects| {
        let store = open(all, "a/b");
        let found = store.salvage(&log[..8]).await.expect("it can be looked at");
        let mut target = log.clone();
        target.push(crate::state::store::promises::entry(Some(log[11].head()), "restore", "{}"));
        (found, store.replace(&store.salvage(&log[..8]).await.expect("it can"), target.clone(), None).await.map(|_| target))
    };
    for gone in [&[][..], &[1], &[5], &[5, 7], &[9, 11], &[1, 3, 5, 7, 9, 11]] {
        let all = without(gone, &[]).await;
        let (found, done) = restored(&all).await;
        let target = done.expect("it is mended");
        assert_eq!(found.proved.len() + found.unproved.len(), 12 - 2 * gone.len());
        assert!(open(&all, "a/b").read(1).await.expect("whole") == target, "{gone:?}");
    }
    // Behind the backup only what the chain proves is known to belong there.
    let all = without(&[9], &[]).await;
    let found = open(&all, "a/b").salvage(&log[..8]).await.expect("it can be looked at");
    assert_eq!((found.proved.len(), found.unproved.len(), found.said), (8, 2, Some(12)));

    let all = without(&[], &[5, 11]).await;
    let (_, refused) = restored(&all).await;
    let Err(StoreError::Refused { why, help, .. }) = &refused else { panic!("{refused:?}") };
    assert!(why.contains(&format!("s3://acme/{}, s3://acme/{}", path(5), path(11))), "{why}");
    assert!(help.contains(&format!("aws s3 mv s3://acme/{} s3://acme/team/state/a/b/aside/", path(5))), "{help}");
    // A hint and a snapshot that speak of more than there is now do no harm any more.
    let hint = Hint { first: 90, head: Head { sequence: 90, hash: log[0].hash() } };
    let all = without(&[3], &[]).await;
    open(&all, "a/b").put_once(&Path::from("team/state/a/b/head"), hint.bytes().into()).await.ok().expect("put");
    let (found, done) = restored(&all).await;
    assert_eq!((found.said, done.is_ok()), (Some(90), true));
    assert_eq!(open(&all, "a/b").head().await.expect("a head").map(|head| head.sequence), Some(13));
}
