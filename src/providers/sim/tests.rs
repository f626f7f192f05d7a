//! The simulated clouds as other programs meet them: over a socket, twice, killed, with a damaged disk.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;

use super::*;
use crate::model::Code;
use crate::model::value::{Fields, Value};
use crate::providers::contract::{Call, CallAction, CallError, Found, Transport};
use crate::providers::http::Network;
use crate::providers::registry;
use crate::providers::testkit::Rig;
use crate::world::World;

async fn server(dir: Option<&std::path::Path>) -> Server {
    Server::start(&registry::all(), dir, 0, Faults::default(), &World::real()).await.expect("loopback has a free port")
}

/// A connection of `fly` to a server, over the network.
fn client(server: &Server) -> Rig {
    let url = format!("{}/fly", server.url());
    Rig::through("fly", vec![("org", "acme"), ("region", "cdg")], server.clouds().clone(), Arc::new(Network::new()), url)
}

fn text(value: &str) -> Value {
    Value::text(value)
}

async fn make_app(rig: &Rig, name: &str) -> Fields {
    rig.create("app", vec![("name", text(name))]).await.expect("the name is free")
}

async fn get(url: String) -> (u16, String, String) {
    let request = Request::get(url).body(Bytes::new()).expect("it is a request");
    let answer = Network::new().send(request, Duration::from_secs(5)).await.expect("the server answers");
    let kind = answer.headers().get("content-type").and_then(|it| it.to_str().ok()).unwrap_or("").to_owned();
    (answer.status().as_u16(), kind, String::from_utf8_lossy(answer.body()).into_owned())
}

/// Faults for whatever is sent, over the socket: what the client makes of each, and what it finds afterwards.
#[tokio::test]
async fn a_broken_connection_is_found_out_about() {
    let server = server(None).await;
    let rig = client(&server);
    let unknown = |fault: &str| format!(r#"{{ "faults": [{{ "method": "POST", "count": 1, "do": {fault} }}] }}"#);
    let cases = [
        (r#""drop_before""#, false),
        (r#""drop_after""#, true),
        (r#""half_body""#, true),
        (r#""html""#, true),
        (r#"{ "error_before": { "status": 500 } }"#, false),
        (r#"{ "error_after": { "status": 503 } }"#, true),
    ];
    for (number, (fault, effect)) in cases.into_iter().enumerate() {
        let given = vec![("name", text(&format!("app-{number}")))];
        let call = rig.call("app", "op-7", CallAction::Create { inputs: rig.inputs("app", given) });
        rig.faults(&unknown(fault));
        let performed = rig.connection.perform(&call).await;
        assert!(matches!(performed, Err(CallError::OutcomeUnknown(_))) || fault == r#""html""#, "{fault}");
        match rig.find(&call).await {
            Found::Done(_) => assert!(effect, "{fault}"),
            Found::Absent => assert!(!effect, "{fault}"),
            _ => panic!("{fault}: it is there or not"),
        }
    }
    server.close().await;
}

#[tokio::test]
async fn what_was_answered_outlives_a_process_that_is_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = server(Some(dir.path())).await;
    let rig = client(&first);
    make_app(&rig, "shop-api").await;
    let asked = vec![("app", text("shop-api")), ("name", text("web")), ("image", text("i:1"))];
    let machine = rig.create("machine", asked).await.expect("it is taken");
    let (lines, contents) = (first.clouds().journal(), first.clouds().contents("fly"));
    // Gone without a word: nothing is written down at the end.
    drop((rig, first));
    let second = again(dir.path()).await;
    assert_eq!(second.clouds().contents("fly"), contents);
    assert_eq!(second.clouds().journal(), lines);
    let rig = client(&second);
    assert_eq!(rig.list("machine", &machine).await, Some(vec![machine]));
    make_app(&rig, "shop-web").await;
    let contents = second.clouds().contents("fly");
    drop(rig);
    second.close().await;
    assert_eq!(again(dir.path()).await.clouds().contents("fly"), contents);
}

#[tokio::test]
async fn after_many_requests_there_is_a_snapshot_and_nothing_is_done_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = server(Some(dir.path())).await;
    let rig = client(&first);
    make_app(&rig, "shop-api").await;
    let inputs = |number: usize| {
        let given = vec![("app", text("shop-api")), ("name", text(&format!("KEY_{number}"))), ("value", text("x"))];
        rig.call("secret", "op-7", CallAction::Create { inputs: rig.inputs("secret", given) })
    };
    let mut running = tokio::task::JoinSet::new();
    for worker in 0..16 {
        let calls: Vec<_> = (0..40).map(|number| inputs(worker * 40 + number)).collect();
        let connection = rig.connection.clone();
        running.spawn(async move {
            for call in calls {
                connection.perform(&call).await.expect("it is taken");
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.expect("no worker panics");
    }
    let contents = first.clouds().contents("fly");
    drop(rig);
    first.close().await;
    assert!(dir.path().join("fly.snapshot").exists());
    assert_eq!(again(dir.path()).await.clouds().contents("fly"), contents);
}

/// The directory is free once the one before has written its last line.
async fn again(dir: &std::path::Path) -> Server {
    for _ in 0..500 {
        match Server::try_start(&registry::all(), Some(dir), 0, Faults::default(), &World::real()).await {
            Ok(server) => return server,
            Err(store::OpenError::Held) => World::real().clock.sleep(Duration::from_millis(10)).await,
            Err(store::OpenError::Failed(diagnostic)) => panic!("{}", diagnostic.message),
        }
    }
    panic!("the directory stays held");
}

#[tokio::test]
async fn a_torn_line_is_cut_and_a_damaged_one_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = server(Some(dir.path())).await;
    make_app(&client(&first), "shop-api").await;
    let contents = first.clouds().contents("fly");
    first.close().await;
    let file = dir.path().join("journal.jsonl");
    let whole = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, format!("{whole}{{\"seq\":9,\"ti")).expect("it can be written");
    let second = again(dir.path()).await;
    assert_eq!(second.clouds().contents("fly"), contents);
    second.close().await;
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), whole);
    std::fs::write(&file, whole.replacen("\"request\":\"", "\"request\":\"A", 1)).expect("it can be written");
    let damaged = Server::start(&registry::all(), Some(dir.path()), 0, Faults::default(), &World::real()).await;
    let Err(diagnostic) = damaged else { panic!("a sealed request was altered") };
    assert_eq!(diagnostic.code, Code::Unreadable);
    assert!(diagnostic.message.contains("line 1"), "{}", diagnostic.message);
}

#[tokio::test]
async fn no_secret_lies_on_disk_in_clear() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = server(Some(dir.path())).await;
    let rig = client(&server);
    make_app(&rig, "shop-api").await;
    let secret = vec![("app", text("shop-api")), ("name", text("KEY")), ("value", text("correct-horse-battery").secret())];
    rig.create("secret", secret).await.expect("it is taken");
    drop(rig);
    server.close().await;
    for file in std::fs::read_dir(dir.path()).expect("it is there") {
        let bytes = std::fs::read(file.expect("an entry").path()).expect("it can be read");
        assert!(!String::from_utf8_lossy(&bytes).contains("correct-horse-battery"));
    }
}

#[tokio::test]
async fn a_second_command_attaches_to_the_clouds_of_the_first_and_takes_their_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let (providers, world) = (registry::all(), World::real());
    let open = || Simulation::open(&providers, dir.path(), Faults::default(), &world);
    let first = Arc::new(open().await.expect("nobody else is there"));
    let second = Arc::new(open().await.expect("it attaches"));
    assert_eq!((first.serves().await, second.serves().await), (true, false));
    assert_eq!(first.base_url("fly"), second.base_url("fly"));
    let rig = |simulation: &Arc<Simulation>| {
        let unused = Clouds::in_memory(&[], Faults::default(), &World::real());
        Rig::through("fly", vec![("org", "acme")], unused, simulation.clone(), simulation.base_url("fly"))
    };
    let made = make_app(&rig(&first), "shop-api").await;
    assert_eq!(rig(&second).list("app", &made).await, Some(vec![made.clone()]));
    first.close().await;
    assert_eq!(rig(&second).list("app", &made).await, Some(vec![made]));
    assert!(second.serves().await);
    second.close().await;
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_is_told_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let _first = server(Some(dir.path())).await;
    let second = Server::start(&registry::all(), Some(dir.path()), 0, Faults::default(), &World::real()).await;
    assert!(matches!(second, Err(diagnostic) if diagnostic.code == Code::Locked));
}

#[tokio::test]
async fn where_no_clouds_are_none_are_used() {
    let server = server(None).await;
    let url = server.url();
    assert!(Simulation::at(&format!("{url}/")).await.is_ok());
    server.close().await;
    let Err(diagnostic) = Simulation::at(&url).await else { panic!("nobody listens") };
    assert_eq!(diagnostic.code, Code::Unavailable);
}

#[tokio::test]
async fn the_server_says_what_it_is_and_what_it_was_asked() {
    let server = server(None).await;
    let url = server.url();
    let (status, _, body) = get(format!("{url}/_sim")).await;
    assert_eq!((status, body.contains(r#""clouds":["cloudflare","fly"]"#)), (200, true));
    // A wrong path is told before anybody asks who is there; a right one is not.
    let (status, kind, _) = get(format!("{url}/fly/v1/nothing")).await;
    assert_eq!((status, kind.as_str()), (404, "text/plain; charset=utf-8"));
    let (status, kind, _) = get(format!("{url}/fly/v1/apps?org_slug=acme")).await;
    assert_eq!((status, kind.as_str()), (401, "application/json"));
    let (status, _, body) = get(format!("{url}/cloudflare/zones")).await;
    assert_eq!((status, body.contains("10000")), (401, true));
    assert_eq!(get(format!("{url}/nowhere/v1")).await.0, 404);
    make_app(&client(&server), "shop-api").await;
    let (_, kind, journal) = get(format!("{url}/_sim/journal")).await;
    assert_eq!(kind, "application/x-ndjson");
    let lines: Vec<&str> = journal.lines().collect();
    assert_eq!(lines.len(), 5);
    let line: serde_json::Value = serde_json::from_str(lines[3]).expect("a line is JSON");
    let time = line["time"].as_str().expect("a time").to_owned();
    let expected = format!(
        r#"{{"seq":4,"time":"{time}","provider":"fly","method":"POST","path":"/v1/apps","status":201,"token":"op-create","effects":[{{"effect":"create","kind":"fly.app","id":"shop-api"}}]}}"#
    );
    assert_eq!(lines[3], expected);
    server.close().await;
}

#[tokio::test]
async fn a_pretended_platform_keeps_what_it_is_given_and_makes_up_the_rest() {
    let world = World::real();
    let pretend = Pretend::new(&world);
    let rig = Rig::new("fly", vec![("org", "acme")]);
    let connection = pretend.connection(&crate::model::ProviderName::parse("local"));
    let kind = registry::provider("local").expect("it is built in").schema().kinds["process"].clone();
    let inputs = Fields::from([("name".into(), Value::text("api"))]);
    let call = |token: &str, action| Call { kind: kind.clone(), ..rig.call("app", token, action) };
    let made =
        connection.perform(&call("op-1", CallAction::Create { inputs: inputs.clone() })).await.expect("it is made").attributes;
    assert_eq!(made["name"], Value::text("api"));
    let is_told = |it: &&crate::model::schema::Attribute| it.is_computed();
    assert!(kind.attributes.iter().filter(is_told).all(|it| made.contains_key(&it.name)), "{made:?}");
    assert_eq!(connection.read(&kind, &made).await.expect("it answers").as_ref(), Some(&made));
    let again = connection.find(&call("op-1", CallAction::Create { inputs: inputs.clone() })).await.expect("it answers");
    assert!(matches!(again, Found::Done(_)));
    assert!(matches!(connection.find(&call("op-2", CallAction::Create { inputs })).await, Ok(Found::Absent)));
}

#[tokio::test]
async fn faults_and_mocks_reach_a_pretended_platform() {
    let world = World::real();
    let pretend = Pretend::new(&world);
    let faults = r#"{ "faults": [ { "provider": "local", "method": "POST", "count": 1, "do": "drop_after" } ] }"#;
    let faults = Faults::parse("test", faults).expect("they exist");
    let fits = Arc::new(|kind: &crate::model::Kind, _: Option<&_>| &*kind.name == "local.process");
    let mock = Mock { fits, fields: Fields::from([("log".into(), Value::text("/log"))]) };
    pretend.set(Arc::new(vec![mock]), faults);
    let rig = Rig::new("fly", vec![("org", "acme")]);
    let connection = pretend.connection(&crate::model::ProviderName::parse("local"));
    let kind = registry::provider("local").expect("it is built in").schema().kinds["process"].clone();
    let inputs = Fields::from([("name".into(), Value::text("api"))]);
    let call = Call { kind: kind.clone(), ..rig.call("app", "op-1", CallAction::Create { inputs }) };
    assert!(matches!(connection.perform(&call).await, Err(CallError::OutcomeUnknown(_))));
    match connection.find(&call).await {
        Ok(Found::Done(answer)) => assert_eq!(answer.attributes["log"], Value::text("/log")),
        _ => panic!("the effect is there, and the answer was lost"),
    }
}
