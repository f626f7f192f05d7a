//! The store in a bucket, with a real server.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stackwright::state::contract::{Head, Store, StoreError};
use stackwright::state::store::patience::Tell;
use stackwright::state::store::promises::{entries, keeps_its_promises};
use stackwright::state::store::s3::S3;
use stackwright::state::store::s3::bucket::{Asked, Bucket};
use stackwright::world::World;

use crate::relay::{Line, Relay};
use crate::servers::{self, KEY, SECRET};

fn open(port: u16, bucket: &str, log: &str, tell: Tell) -> S3 {
    open_as(port, bucket, log, SECRET, tell)
}

fn open_as(port: u16, bucket: &str, log: &str, secret: &str, tell: Tell) -> S3 {
    let endpoint = Some(format!("http://127.0.0.1:{port}"));
    let asked = Asked { bucket: bucket.into(), prefix: "team".into(), endpoint, ..Asked::default() };
    let variable = |name: &str| match name {
        "AWS_ACCESS_KEY_ID" => Some(KEY.to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some(secret.to_owned()),
        _ => None,
    };
    S3::new(Bucket::find(&asked, &variable).expect("a bucket"), log, &World::real(), tell)
}

fn quiet() -> Tell {
    Arc::new(|_| {})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_its_promises() {
    let Some(server) = servers::Bucket::start() else { return };
    keeps_its_promises(&|log| Arc::new(open(server.port(), "state", &format!("shop/{log}"), quiet()))).await;
    // Keys that people may choose.
    let odd = open(server.port(), "state", "ünï c@de/prod+1.sim", quiet());
    let head = odd.append(None, entries(None, &["{}"])).await.expect("appended");
    let again = open(server.port(), "state", "ünï c@de/prod+1.sim", quiet());
    assert_eq!(again.read(1).await.expect("entries").len(), 1);
    assert_eq!(again.head().await.expect("a head"), Some(head));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_named_with_the_way_out() {
    let Some(server) = servers::Bucket::start() else { return };
    let refused = open(server.port(), "no-such-bucket", "a/b", quiet()).head().await;
    let named = matches!(&refused, Err(StoreError::Refused { why, help, .. }) if why.contains("NoSuchBucket") && help.contains("`bucket`"));
    assert!(named, "{refused:?}");
    if server.keeps_objects() {
        // The other one believes everybody.
        let refused = open_as(server.port(), "state", "a/b", "wrong", quiet()).head().await;
        let named = matches!(&refused, Err(StoreError::Refused { why, .. }) if why.contains("SignatureDoesNotMatch"));
        assert!(named, "{refused:?}");
    }
}

/// The line is cut, goes silent and loses answers while somebody appends; what was confirmed is there, once, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_outlives_the_line_and_the_server() {
    let Some(mut server) = servers::Bucket::start() else { return };
    let relay = Relay::before(server.port());
    let told = Arc::new(Mutex::new(Vec::<String>::new()));
    let heard = told.clone();
    let store = open(relay.port, "state", "a/b", Arc::new(move |line: &str| heard.lock().expect("no panic").push(line.into())));
    let mut head: Option<Head> = None;
    for round in 0..12 {
        relay.lose_replies(usize::from(round % 3 != 0));
        let next = entries(head, &[&format!("\"{round}\"")]);
        head = Some(store.append(head, next).await.expect("an answer that was lost is asked for again"));
    }
    assert!(relay.lost() >= 6, "answers were lost: {}", relay.lost());
    let late = relay.clone();
    relay.set(Line::Cut);
    let back = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(800));
        late.set(Line::Open);
    });
    head = Some(
        store.append(head, entries(head, &["\"after a cut\""])).await.expect("a line that comes back in time is waited for"),
    );
    back.await.expect("no panic");
    if server.keeps_objects() {
        server.kill();
        server.begin();
        head =
            Some(store.append(head, entries(head, &["\"after a kill\""])).await.expect("a server that comes back is waited for"));
    }
    let all = store.read(1).await.expect("a whole log");
    assert_eq!(all.last().map(|entry| entry.head()), head, "nothing that was confirmed is lost, and nothing is there twice");

    // A line that stays away, and one that says nothing: an answer within the time.
    for line in [Line::Cut, Line::Silent] {
        relay.set(line);
        let begun = Instant::now();
        let answer = store.append(head, entries(head, &["{}"])).await;
        let unreached = matches!(&answer, Err(StoreError::Unanswered { .. }));
        assert!(unreached && begun.elapsed() < Duration::from_secs(20), "{line:?}: {answer:?} after {:?}", begun.elapsed());
        relay.set(Line::Cut);
        relay.set(Line::Open);
        store.head().await.expect("it is there again");
    }
    let now = store.head().await.expect("it is there again").expect("a head");
    assert!(
        head.is_some_and(|head| now.sequence - head.sequence <= 1),
        "of the two that were not answered at most one was written"
    );
    let told = told.lock().expect("no panic").clone();
    for words in ["trying again for", "has not answered for 2 s", "answers again"] {
        assert!(told.iter().any(|line| line.contains(words)), "{words:?} is not in {told:?}");
    }
    assert!(told.iter().all(|line| !line.contains(SECRET)), "{told:?}");
}
