//! The client against the simulated cloud: every kind through its whole life, and what becomes of calls whose answer was lost.

use crate::model::value::{Fields, Value};
use crate::model::{Code, Name};
use crate::providers::contract::{CallAction, CallError, Found};
use crate::providers::declare::{fields, gib, mib, seconds};
use crate::providers::testkit::{Rig, drift, surroundings};

fn rig() -> Rig {
    Rig::new("fly", vec![("org", "acme"), ("region", "cdg")])
}

fn text(value: &str) -> Value {
    Value::text(value)
}

async fn app(rig: &Rig) -> Fields {
    rig.create("app", vec![("name", text("shop-api"))]).await.expect("the name is free")
}

/// Everything that a machine can say.
fn rich_machine() -> Vec<(&'static str, Value)> {
    let check = fields(vec![
        ("type", text("http")),
        ("port", Value::int(8080)),
        ("path", text("/healthz")),
        ("interval", seconds(10)),
        ("timeout", seconds(2)),
        ("grace_period", seconds(90)),
    ]);
    let port = fields(vec![
        ("port", Value::int(443)),
        ("handlers", Value::list(vec![text("tls"), text("http")])),
        ("force_https", Value::bool(false)),
    ]);
    let service = fields(vec![
        ("protocol", text("tcp")),
        ("internal_port", Value::int(8080)),
        ("ports", Value::list(vec![port])),
        ("autostart", Value::bool(true)),
        ("autostop", text("suspend")),
        ("min_machines_running", Value::int(1)),
        ("concurrency", fields(vec![("type", text("requests")), ("soft_limit", Value::int(100))])),
        ("checks", Value::list(vec![check.clone()])),
    ]);
    let list = |words: &[&str]| Value::list(words.iter().map(|word| text(word)).collect());
    vec![
        ("app", text("shop-api")),
        ("name", text("web-0")),
        ("image", text("registry.example.com/shop-api:v41")),
        ("guest", fields(vec![("cpus", Value::int(2)), ("cpu_kind", text("shared")), ("memory", mib(512))])),
        ("env", fields(vec![("DATABASE_URL", text("postgres://app:hunter22@db").secret()), ("LOG", text("info"))])),
        ("files", fields(vec![("/etc/app.toml", text("a = 1\n"))])),
        ("init", fields(vec![("cmd", list(&["serve", "--all"])), ("entrypoint", list(&[])), ("exec", list(&[]))])),
        ("services", Value::list(vec![service])),
        ("checks", fields(vec![("alive", check)])),
        ("metrics", fields(vec![("port", Value::int(9091)), ("path", text("/metrics"))])),
        ("metadata", fields(vec![("team", text("shop"))])),
        ("process_group", text("web")),
        ("restart", fields(vec![("policy", text("always")), ("max_retries", Value::int(10))])),
        ("stop_config", fields(vec![("signal", text("SIGTERM")), ("timeout", seconds(30))])),
    ]
}

#[tokio::test]
async fn an_app_lives_and_dies() {
    let rig = rig();
    let made = app(&rig).await;
    assert_eq!(format!("{made:?}"), r#"{"name": "shop-api", "network": "default", "org": "acme"}"#);
    assert_eq!(rig.list("app", &made).await, Some(vec![made.clone()]));
    let taken = rig.create("app", vec![("name", text("shop-api"))]).await;
    assert!(matches!(taken, Err(CallError::Refused { status: Some(422), field: Some(field), .. }) if field == "name"));
    rig.delete("app", &made).await.expect("it is empty");
    rig.delete("app", &made).await.expect("what is gone is deleted");
    assert_eq!(rig.read("app", &made).await, None);
}

#[tokio::test]
async fn a_machine_with_everything_shows_no_drift() {
    let rig = rig();
    app(&rig).await;
    let made = rig.create("machine", rich_machine()).await.expect("the cloud takes it");
    let wanted = rig.inputs("machine", rich_machine());
    assert_eq!(drift(&made, &wanted), [""; 0], "what was asked for is what is there");
    assert_eq!(rig.list("machine", &made).await, Some(vec![made.clone()]));
    assert_eq!(rig.read("machine", &made).await, Some(made.clone()));
    assert!(made["env"].has_secret() && !format!("{made:?}").contains("hunter22"));
}

#[tokio::test]
async fn an_update_keeps_what_is_not_ours_and_makes_a_new_version() {
    let rig = rig();
    app(&rig).await;
    let made = rig.create("machine", rich_machine()).await.expect("the cloud takes it");
    let changes = vec![("image", text("registry.example.com/shop-api:v42")), ("process_group", Value::null())];
    let updated = rig.update("machine", &made, changes).await.expect("it is taken").attributes;
    assert_eq!(updated["image"], text("registry.example.com/shop-api:v42"));
    assert_eq!((&updated["id"], &updated["private_ip"]), (&made["id"], &made["private_ip"]));
    assert_ne!(updated["instance_id"], made["instance_id"]);
    assert!(updated["process_group"].is_null());
    assert_eq!(rig.list("machine", &made).await, Some(vec![updated.clone()]));
    rig.delete("machine", &updated).await.expect("it is there");
    assert_eq!(rig.read("machine", &updated).await, None);
    assert_eq!(rig.list("machine", &updated).await, Some(vec![]));
}

#[tokio::test]
async fn what_a_platform_refuses_names_the_attribute() {
    let rig = rig();
    app(&rig).await;
    let odd = fields(vec![("cpus", Value::int(1)), ("cpu_kind", text("shared")), ("memory", mib(300))]);
    let refused = rig.create("machine", vec![("app", text("shop-api")), ("image", text("i:1")), ("guest", odd)]).await;
    let Err(CallError::Refused { status: Some(422), field, words, request, code: Code::Refused }) = refused else {
        panic!("it is refused")
    };
    assert_eq!(field.as_deref(), Some("guest.memory"));
    assert!(words.contains("memory must be a multiple of 256") && request.is_some());
    let nowhere = Rig::new("fly", vec![("org", "acme")]);
    let refused = nowhere.create("volume", vec![("app", text("shop-api")), ("name", text("data"))]).await;
    assert!(matches!(refused, Err(CallError::Refused { field: Some(field), .. }) if field == "region"));
    let lost = rig.create("machine", vec![("app", text("other")), ("image", text("i:1"))]).await;
    assert!(matches!(lost, Err(CallError::Refused { status: Some(404), code: Code::NotFound, .. })));
}

#[tokio::test]
async fn a_machine_that_does_not_start_is_taken_back() {
    let rig = rig();
    app(&rig).await;
    let refused = rig.create("machine", vec![("app", text("shop-api")), ("image", text("acme/api:crash"))]).await;
    let Err(CallError::Refused { words, .. }) = refused else { panic!("it is refused") };
    assert!(words.contains("does not start") && words.ends_with("it was removed"), "{words}");
    assert_eq!(rig.list("machine", &Fields::from([("app".into(), text("shop-api"))])).await, Some(vec![]));
}

#[tokio::test]
async fn a_volume_grows_and_is_one_of_its_name() {
    let rig = rig();
    app(&rig).await;
    let asked = vec![("app", text("shop-api")), ("name", text("data")), ("size", gib(3))];
    let made = rig.create("volume", asked.clone()).await.expect("the cloud takes it");
    assert_eq!(drift(&made, &rig.inputs("volume", asked.clone())), [""; 0]);
    assert_eq!(rig.list("volume", &made).await, Some(vec![made.clone()]));
    let twice = rig.create("volume", asked).await;
    assert!(matches!(twice, Err(CallError::Refused { field: Some(field), .. }) if field == "name"));
    let changes = vec![("size", gib(5)), ("snapshot_retention", seconds(14 * 86_400)), ("auto_backup", Value::bool(false))];
    let grown = rig.update("volume", &made, changes).await.expect("it may grow").attributes;
    assert_eq!((&grown["size"], &grown["id"], &grown["auto_backup"]), (&gib(5), &made["id"], &Value::bool(false)));
    let uneven = rig.update("volume", &grown, vec![("size", mib(5500))]).await;
    assert!(matches!(uneven, Err(CallError::Refused { field: Some(field), .. }) if field == "size"));
    let mount = Value::list(vec![fields(vec![("volume", grown["id"].clone()), ("path", text("/data"))])]);
    let asked = vec![("app", text("shop-api")), ("name", text("db")), ("image", text("postgres:16")), ("mounts", mount.clone())];
    let machine = rig.create("machine", asked).await.expect("the volume is free");
    assert_eq!(machine["mounts"], mount);
    assert!(matches!(rig.delete("volume", &grown).await, Err(CallError::Refused { status: Some(412), .. })));
    rig.delete("machine", &machine).await.expect("it is there");
    rig.delete("volume", &grown).await.expect("it is free");
    assert_eq!(rig.read("volume", &grown).await, None);
}

#[tokio::test]
async fn a_secret_is_set_and_never_told() {
    let rig = rig();
    app(&rig).await;
    let asked = vec![("app", text("shop-api")), ("name", text("SESSION_KEY")), ("value", text("first-secret").secret())];
    let made = rig.create("secret", asked).await.expect("the cloud takes it");
    let listed = rig.list("secret", &made).await.expect("the app is there");
    assert_eq!(drift(&made, &listed[0]), [""; 0]);
    assert!(!listed[0].contains_key("value") && !format!("{made:?}").contains("first-secret"));
    let changed =
        rig.update("secret", &made, vec![("value", text("second-secret").secret())]).await.expect("it is taken").attributes;
    assert_ne!(changed["digest"], made["digest"]);
    let machine = vec![
        ("app", text("shop-api")),
        ("name", text("web")),
        ("image", text("i:1")),
        ("secrets_version", changed["version"].clone()),
    ];
    let machine = rig.create("machine", machine).await.expect("that version exists");
    assert_eq!(machine["secrets_version"], changed["version"]);
    rig.delete("secret", &changed).await.expect("it is there");
    rig.delete("secret", &changed).await.expect("what is gone is deleted");
    assert_eq!(rig.read("secret", &changed).await, None);
}

#[tokio::test]
async fn addresses_and_certificates_live_and_die() {
    let rig = rig();
    app(&rig).await;
    for kind in ["v4", "v6", "shared_v4", "private_v6"] {
        let asked = || vec![("app", text("shop-api")), ("type", text(kind))];
        let made = rig.create("ip", asked()).await.expect("there is none yet");
        assert_eq!(made["type"], text(kind));
        assert_eq!(rig.read("ip", &made).await, Some(made.clone()));
        assert!(matches!(rig.create("ip", asked()).await, Err(CallError::Refused { .. })));
    }
    let asked = vec![("app", text("shop-api")), ("hostname", text("*.shop.example.com"))];
    let made = rig.create("certificate", asked.clone()).await.expect("the host is free");
    assert!(made["dns"].as_map().is_some_and(|dns| dns["a"].as_list().is_some_and(|all| all.len() == 2)));
    assert_eq!(rig.read("certificate", &made).await.expect("it is there")["dns"], made["dns"]);
    let listed = rig.list("certificate", &made).await.expect("the app is there");
    assert_eq!(listed[0].keys().map(Name::to_string).collect::<Vec<_>>(), ["app", "hostname", "status"]);
    assert!(matches!(rig.create("certificate", asked).await, Err(CallError::Refused { status: Some(422), .. })));
    rig.delete("certificate", &made).await.expect("it is there");
    assert_eq!(rig.read("certificate", &made).await, None);
    for address in rig.list("ip", &made).await.expect("the app is there") {
        rig.delete("ip", &address).await.expect("it is there");
    }
    assert_eq!(rig.list("ip", &made).await, Some(vec![]));
}

#[tokio::test]
async fn a_listing_of_certificates_goes_through_all_pages() {
    let rig = rig();
    app(&rig).await;
    for number in 0..501 {
        let host = text(&format!("h{number}.example.com"));
        rig.create("certificate", vec![("app", text("shop-api")), ("hostname", host)]).await.expect("the host is free");
    }
    let listed = rig.list("certificate", &Fields::from([("app".into(), text("shop-api"))])).await.expect("the app is there");
    assert_eq!(listed.len(), 501);
}

#[tokio::test]
async fn where_the_app_is_gone_so_is_everything_in_it() {
    let rig = rig();
    let group = Fields::from([("app".into(), text("nobody"))]);
    for kind in ["machine", "volume", "secret", "ip", "certificate"] {
        assert_eq!(rig.list(kind, &group).await, None, "{kind}");
    }
}

/// For each kind: a create whose request or answer is lost, and what is found afterwards.
#[tokio::test]
async fn after_a_lost_answer_what_was_made_is_found() {
    let cases: [(&str, Vec<(&str, Value)>); 5] = [
        ("app", vec![("name", text("shop-web"))]),
        ("machine", vec![("app", text("shop-api")), ("name", text("web")), ("image", text("i:1"))]),
        ("volume", vec![("app", text("shop-api")), ("name", text("data"))]),
        ("ip", vec![("app", text("shop-api")), ("type", text("v6"))]),
        ("certificate", vec![("app", text("shop-api")), ("hostname", text("shop.example.com"))]),
    ];
    let rig = rig();
    app(&rig).await;
    for (kind, given) in cases {
        let call = rig.call(kind, "op-7", CallAction::Create { inputs: rig.inputs(kind, given) });
        rig.faults(r#"{ "faults": [{ "method": "POST", "count": 1, "do": "drop_before" }] }"#);
        assert!(matches!(rig.connection.perform(&call).await, Err(CallError::OutcomeUnknown(_))), "{kind}");
        assert!(matches!(rig.find(&call).await, Found::Absent), "{kind}");
        rig.faults(r#"{ "faults": [{ "method": "POST", "count": 1, "do": "drop_after" }] }"#);
        assert!(matches!(rig.connection.perform(&call).await, Err(CallError::OutcomeUnknown(_))), "{kind}");
        let Found::Done(answer) = rig.find(&call).await else { panic!("{kind}: it is ours") };
        assert!(answer.attributes.contains_key(&rig.kind(kind).id), "{kind}");
    }
}

#[tokio::test]
async fn after_a_lost_answer_an_update_is_told_by_its_token() {
    let rig = rig();
    app(&rig).await;
    let made = rig
        .create("machine", vec![("app", text("shop-api")), ("name", text("web")), ("image", text("i:1"))])
        .await
        .expect("made");
    let call = rig.update_call("machine", &made, vec![("image", text("i:2"))]);
    rig.faults(r#"{ "faults": [{ "method": "POST", "count": 1, "do": { "error_before": { "status": 502 } } }] }"#);
    assert!(matches!(rig.connection.perform(&call).await, Err(CallError::OutcomeUnknown(_))));
    assert!(matches!(rig.find(&call).await, Found::Unchanged));
    rig.faults(r#"{ "faults": [{ "method": "POST", "count": 1, "do": "half_body" }] }"#);
    assert!(matches!(rig.connection.perform(&call).await, Err(CallError::OutcomeUnknown(_))));
    assert!(matches!(rig.find(&call).await, Found::Done(answer) if answer.attributes["image"] == text("i:2")));
    let gone = rig.call("machine", "op-9", CallAction::Delete { before: rig.record("machine", &made) });
    assert!(matches!(rig.find(&gone).await, Found::Unchanged));
    rig.faults(r#"{ "faults": [{ "method": "DELETE", "count": 1, "do": "drop_after" }] }"#);
    assert!(matches!(rig.connection.perform(&gone).await, Err(CallError::OutcomeUnknown(_))));
    assert!(matches!(rig.find(&gone).await, Found::Done(_)));
}

#[tokio::test]
async fn an_app_with_a_past_is_not_taken_for_a_new_one() {
    let rig = rig();
    app(&rig).await;
    rig.create("machine", vec![("app", text("shop-api")), ("image", text("i:1"))]).await.expect("made");
    let call = rig.call("app", "op-7", CallAction::Create { inputs: rig.inputs("app", vec![("name", text("shop-api"))]) });
    assert!(matches!(rig.find(&call).await, Found::Candidates(all) if all.len() == 1));
}

#[tokio::test]
async fn throttles_are_told_with_their_delay() {
    let rig = rig();
    rig.faults(r#"{ "faults": [{ "do": { "throttle": { "after": 3 } } }] }"#);
    let throttled = rig.create("app", vec![("name", text("shop-api"))]).await;
    assert!(matches!(throttled, Err(CallError::Throttled { after: Some(after) }) if after.as_secs() == 3));
}

#[tokio::test]
async fn a_receipt_names_each_request() {
    let rig = rig();
    let call = rig.call("app", "op-7", CallAction::Create { inputs: rig.inputs("app", vec![("name", text("shop-api"))]) });
    let receipt = rig.connection.perform(&call).await.expect("the name is free").receipt;
    let short: Vec<_> = receipt.requests.iter().map(|line| line.rsplit_once(' ').expect("it ends with an id").0).collect();
    assert_eq!(short, ["POST /v1/apps 201", "GET /v1/apps/shop-api 200"]);
    assert_eq!(rig.journal(), short);
    let line: serde_json::Value = serde_json::from_str(&rig.clouds.journal()[0]).expect("it is JSON");
    assert_eq!(line["token"], "op-7");
    assert_eq!(line["effects"][0], serde_json::json!({ "effect": "create", "kind": "fly.app", "id": "shop-api" }));
}

#[test]
fn without_a_token_the_real_platform_is_not_spoken_to() {
    let provider = crate::providers::registry::provider("fly").expect("it is built in");
    let settings = Fields::from([("org".into(), text("acme"))]);
    let transport = std::sync::Arc::new(crate::providers::http::Network::new());
    let refused = provider.connect(&settings, &surroundings(transport, None, false));
    let Err(diagnostic) = refused else { panic!("there are no credentials") };
    assert_eq!(diagnostic.code, Code::NoCredentials);
    assert_eq!(diagnostic.notes[0], ("looked", "FLY_API_TOKEN (not set)".to_owned()));
}
