//! The PostgreSQL store, with a real server.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stackwright::state::contract::{Head, Store, StoreError};
use stackwright::state::store::patience::Tell;
use stackwright::state::store::postgres::Postgres;
use stackwright::state::store::postgres::address::Address;
use stackwright::state::store::promises::{entries, keeps_its_promises};
use stackwright::world::World;

use crate::servers;

fn quiet() -> Tell {
    Arc::new(|_| {})
}

fn address(url: &str) -> Address {
    let url = url.to_owned();
    Address::find(None, &move |name| (name == "STACKWRIGHT_STATE_URL").then(|| url.clone()))
        .map_err(|it| it.0)
        .expect("an address")
}

fn open(url: &str, schema: &str, log: &str, tell: Tell) -> Postgres {
    Postgres::new(address(url), schema, log, &World::real(), tell).expect("a store")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_its_promises() {
    let Some(server) = servers::Postgres::start(&[]) else { return };
    let url = server.url("owner");
    keeps_its_promises(&|log| Arc::new(open(&url, "acme \"infra", log, quiet()))).await;
    let of_schema = server.sql("select count(*) from pg_tables where schemaname = 'stackwright'");
    assert_eq!(of_schema.as_deref(), Ok("0"), "the schema is the one that was named");
}

/// What the server holds, what it refuses, and what is refused of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_named_with_the_way_out() {
    let Some(server) = servers::Postgres::start(&[]) else { return };
    let url = server.url("owner");

    // Whoever only reads makes nothing, and needs no right to.
    assert_eq!(open(&url, "stackwright", "a/b", quiet()).head().await.expect("empty"), None);
    assert_eq!(server.sql("select count(*) from pg_namespace where nspname = 'stackwright'").as_deref(), Ok("0"));

    let store = open(&url, "stackwright", "a/b", quiet());
    let head = store.append(None, entries(None, &["{}", "{\"n\":2}", "{\"n\":3}"])).await.expect("appended");

    // A writer needs no right to change or delete entries; a reader none to write.
    let password = servers::PASSWORD;
    server
        .sql(&format!(
            "create role writer login password '{password}'; create role reader login password '{password}';
             grant usage on schema stackwright to writer, reader;
             grant select on all tables in schema stackwright to writer, reader;
             grant insert on all tables in schema stackwright to writer;
             grant update on stackwright.head, stackwright.snapshot to writer"
        ))
        .expect("roles");
    let writer = open(&server.url("writer"), "stackwright", "a/b", quiet());
    let head = writer.append(Some(head), entries(Some(head), &["{}"])).await.expect("a writer appends");
    let reader = open(&server.url("reader"), "stackwright", "a/b", quiet());
    assert_eq!(reader.read(1).await.expect("a reader reads").len(), 4);
    refused(reader.append(Some(head), entries(Some(head), &["{}"])).await, "permission denied", "docs/reliability.md");

    refused(
        open(&server.url("nobody"), "stackwright", "a/b", quiet()).head().await,
        "password authentication failed",
        "PGPASSWORD",
    );
    let elsewhere = url.replace("/postgres", "/no_such");
    refused(open(&elsewhere, "stackwright", "a/b", quiet()).head().await, "\"no_such\" does not exist", "PGDATABASE");

    // What the server was told to do without.
    server.sql("alter role writer set synchronous_commit = off").expect("set");
    let careless = open(&server.url("writer"), "stackwright", "a/b", quiet());
    refused(careless.head().await, "before they are durable", "synchronous_commit = on");
    server.sql("insert into stackwright.version (step, engine) values (99, 'later')").expect("a newer schema");
    refused(open(&url, "stackwright", "a/b", quiet()).head().await, "a newer stackwright (step 99", "install");
    server.sql("delete from stackwright.version where step = 99").expect("back");
    server.sql("update stackwright.head set format_major = 9, engine = '7.0.0'").expect("a newer format");
    let newer = open(&url, "stackwright", "a/b", quiet()).read(1).await;
    assert!(matches!(&newer, Err(StoreError::Newer { engine, .. }) if engine == "7.0.0"), "{newer:?}");
    server.sql("update stackwright.head set format_major = 1").expect("back");

    // What somebody did to the tables is found, and what is whole is still read.
    let of = |sql: &'static str| {
        server.sql(sql).expect(sql);
        open(&url, "stackwright", "a/b", quiet())
    };
    let altered = of("update stackwright.entry set body = '{\"n\":9}' where sequence = 2");
    damaged(altered.read(1).await, "entry 2", "hash");
    assert_eq!(altered.read_what_is_whole().await.0.len(), 1);
    let cut = of(
        "update stackwright.entry set body = '{\"n\":2}' where sequence = 2; delete from stackwright.entry where sequence = 4",
    );
    damaged(cut.read(1).await, "a/b", "ends before entry 4");
    damaged(cut.read(3).await, "a/b", "ends before entry 4");
    let gone = of("delete from stackwright.head");
    damaged(gone.head().await, "a/b", "no head");
    damaged(gone.append(None, entries(None, &["{}"])).await, "", "an entry stands where");
}

fn refused<T: std::fmt::Debug>(answer: Result<T, StoreError>, words: &str, way_out: &str) {
    let fits = matches!(&answer, Err(StoreError::Refused { why, help, place })
        if why.contains(words) && help.contains(way_out) && place.starts_with("postgres://") && !place.contains("s3cr3t"));
    assert!(fits, "{words:?} and {way_out:?} are not in {answer:?}");
}

fn damaged<T: std::fmt::Debug>(answer: Result<T, StoreError>, at: &str, words: &str) {
    let fits = matches!(&answer, Err(StoreError::Damaged { place, what }) if place.contains(at) && what.contains(words));
    assert!(fits, "{at:?} and {words:?} are not in {answer:?}");
}

/// The server is killed again and again while somebody appends; what was confirmed is there, once, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_outlives_the_server() {
    let Some(mut server) = servers::Postgres::start(&[]) else { return };
    let url = server.url("owner");
    let told = Arc::new(Mutex::new(Vec::<String>::new()));
    let heard = told.clone();
    let store = open(&url, "stackwright", "a/b", Arc::new(move |line: &str| heard.lock().expect("no panic").push(line.into())));
    let mut head: Option<Head> = None;
    for round in 0..3 {
        let writer = async {
            // Until after the kill.
            let until = Instant::now() + Duration::from_millis(700);
            while Instant::now() < until {
                let next = entries(head, &[&format!("\"{round} {}\"", head.map_or(0, |head| head.sequence))]);
                head = Some(store.append(head, next).await.expect("a store that comes back in time is waited for"));
            }
        };
        let killer = tokio::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(300));
            server.kill();
            server.begin();
            server
        });
        let ((), back) = tokio::join!(writer, killer);
        server = back.expect("it starts again");
    }
    let all = store.read(1).await.expect("a whole log");
    assert_eq!(all.last().map(|entry| entry.head()), head, "nothing that was confirmed is lost, and nothing is there twice");
    let told = told.lock().expect("no panic").clone();
    assert!(told.iter().any(|line| line.contains("trying again for") && !line.contains("s3cr3t")), "{told:?}");

    // A server that stays away: an answer within the time, that says what is not known.
    server.kill();
    let begun = Instant::now();
    let answer = store.append(head, entries(head, &["{}"])).await;
    let unreached = matches!(&answer, Err(StoreError::Unreachable { .. } | StoreError::Unanswered { .. }));
    assert!(unreached && begun.elapsed() < Duration::from_secs(20), "{answer:?} after {:?}", begun.elapsed());
}
