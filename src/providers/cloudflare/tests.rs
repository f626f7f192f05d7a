//! The client against the simulated cloud.

use crate::model::Code;
use crate::model::value::{Fields, Value};
use crate::providers::contract::{CallAction, CallError, Found};
use crate::providers::declare::seconds;
use crate::providers::testkit::{Rig, drift, surroundings};

fn text(value: &str) -> Value {
    Value::text(value)
}

/// A rig, and the id of the zone of its provider's block.
async fn rig() -> (Rig, Value) {
    let rig = Rig::new("cloudflare", vec![("account", "acme"), ("zone", "shop.example.com")]);
    let zone = rig.read("zone", &Fields::new()).await.expect("a simulated account holds every zone");
    assert_eq!(zone["name"], text("shop.example.com"));
    assert_eq!(zone["name_servers"].as_list().map(<[Value]>::len), Some(2));
    (rig, zone["id"].clone())
}

#[tokio::test]
async fn a_record_lives_changes_and_dies() {
    let (rig, zone) = rig().await;
    let asked = vec![
        ("zone_id", zone.clone()),
        ("name", text("api.shop.example.com")),
        ("type", text("A")),
        ("content", text("203.0.113.9")),
        ("ttl", seconds(300)),
        ("comment", text("the api")),
    ];
    let made = rig.create("record", asked.clone()).await.expect("the zone takes it");
    assert_eq!(drift(&made, &rig.inputs("record", asked)), [""; 0]);
    assert_eq!(rig.list("record", &made).await, Some(vec![made.clone()]));
    assert_eq!(rig.read("record", &made).await, Some(made.clone()));
    let changes = vec![("content", text("203.0.113.10")), ("ttl", Value::null()), ("comment", Value::null())];
    let changed = rig.update("record", &made, changes).await.expect("it may change").attributes;
    assert_eq!((&changed["id"], &changed["content"]), (&made["id"], &text("203.0.113.10")));
    assert!(changed["ttl"].is_null() && changed["comment"].is_null());
    rig.delete("record", &changed).await.expect("it is there");
    rig.delete("record", &changed).await.expect("what is gone is deleted");
    assert_eq!(rig.read("record", &changed).await, None);
}

#[tokio::test]
async fn names_and_contents_come_back_in_one_form() {
    let (rig, zone) = rig().await;
    let cases = [
        ("www", "CNAME", "Shop.Fly.Dev.", "www.shop.example.com", "shop.fly.dev"),
        ("@", "TXT", "v=spf1 -all", "shop.example.com", "v=spf1 -all"),
        ("V6.shop.example.com.", "AAAA", "2001:DB8::0:1", "v6.shop.example.com", "2001:db8::1"),
    ];
    for (name, kind, content, full, canonical) in cases {
        let asked = vec![("zone_id", zone.clone()), ("name", text(name)), ("type", text(kind)), ("content", text(content))];
        let made = rig.create("record", asked).await.expect("the zone takes it");
        assert_eq!((&made["name"], &made["content"]), (&text(full), &text(canonical)));
        let listed = rig.list("record", &made).await.expect("the zone is there");
        assert!(listed.contains(&made), "{name} is listed as it was made");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_attribute() {
    let (rig, zone) = rig().await;
    let record = |kind: &str, content: &str| {
        vec![("zone_id", zone.clone()), ("name", text("x")), ("type", text(kind)), ("content", text(content))]
    };
    let with = |mut record: Vec<(&'static str, Value)>, name, value| {
        record.push((name, value));
        record
    };
    rig.create("record", record("A", "203.0.113.9")).await.expect("the zone takes it");
    let cases = [
        (record("A", "203.0.113.9"), "name"),
        (record("CNAME", "shop.fly.dev"), "name"),
        (record("A", "not-an-address"), "content"),
        (record("MX", "mail.example.com"), "priority"),
        (with(record("TXT", "x"), "proxied", Value::bool(true)), "proxied"),
        (with(record("TXT", "x"), "ttl", seconds(5)), "ttl"),
        (with(record("TXT", "x"), "ttl", seconds(45)), "ttl"),
    ];
    for (inputs, expected) in cases {
        let refused = rig.create("record", inputs.clone()).await;
        let Err(CallError::Refused { field, code: Code::Refused, .. }) = refused else { panic!("{inputs:?} is refused") };
        assert_eq!(field.as_deref(), Some(expected), "{inputs:?}");
    }
    let elsewhere = vec![("zone_id", text("nope")), ("name", text("x")), ("type", text("A")), ("content", text("203.0.113.9"))];
    assert!(matches!(rig.create("record", elsewhere).await, Err(CallError::Refused { code: Code::NotFound, .. })));
    assert_eq!(rig.list("record", &Fields::from([("zone_id".into(), text("nope"))])).await, None);
}

#[tokio::test]
async fn after_a_lost_answer_what_was_made_or_changed_is_found() {
    let (rig, zone) = rig().await;
    let given = vec![("zone_id", zone), ("name", text("www")), ("type", text("CNAME")), ("content", text("Shop.fly.dev."))];
    let call = rig.call("record", "op-7", CallAction::Create { inputs: rig.inputs("record", given) });
    rig.faults(r#"{ "faults": [{ "method": "POST", "count": 1, "do": "drop_before" }] }"#);
    assert!(matches!(rig.connection.perform(&call).await, Err(CallError::OutcomeUnknown(_))));
    assert!(matches!(rig.find(&call).await, Found::Absent));
    rig.faults(r#"{ "faults": [{ "method": "POST", "count": 1, "do": "html" }] }"#);
    assert!(matches!(rig.connection.perform(&call).await, Err(CallError::OutcomeUnknown(_))));
    let Found::Done(answer) = rig.find(&call).await else { panic!("it is ours") };
    let update = rig.update_call("record", &answer.attributes, vec![("content", text("other.fly.dev"))]);
    rig.faults(r#"{ "faults": [{ "method": "PATCH", "count": 1, "do": "drop_before" }] }"#);
    assert!(matches!(rig.connection.perform(&update).await, Err(CallError::OutcomeUnknown(_))));
    assert!(matches!(rig.find(&update).await, Found::Unchanged));
    rig.faults(r#"{ "faults": [{ "method": "PATCH", "count": 1, "do": "drop_after" }] }"#);
    assert!(matches!(rig.connection.perform(&update).await, Err(CallError::OutcomeUnknown(_))));
    assert!(matches!(rig.find(&update).await, Found::Done(_)));
}

#[tokio::test]
async fn a_listing_goes_through_all_pages() {
    let (rig, zone) = rig().await;
    for number in 0..1001 {
        let name = text(&format!("h{number}"));
        let asked = vec![("zone_id", zone.clone()), ("name", name), ("type", text("TXT")), ("content", text("x"))];
        rig.create("record", asked).await.expect("the zone takes it");
    }
    let before = rig.journal().len();
    let listed = rig.list("record", &Fields::from([("zone_id".into(), zone)])).await.expect("the zone is there");
    assert_eq!((listed.len(), rig.journal().len() - before), (1001, 2));
}

#[tokio::test]
async fn a_stale_read_answers_from_before_the_last_change() {
    let (rig, zone) = rig().await;
    rig.faults(r#"{ "faults": [{ "path": "*/dns_records", "skip": 1, "count": 1, "do": "stale" }] }"#);
    let asked = vec![("zone_id", zone.clone()), ("name", text("x")), ("type", text("A")), ("content", text("203.0.113.9"))];
    let made = rig.create("record", asked).await.expect("the zone takes it");
    let group = Fields::from([("zone_id".into(), zone)]);
    assert_eq!(rig.list("record", &group).await, Some(vec![made.clone()]));
    assert_eq!(rig.list("record", &group).await, Some(vec![]));
    assert_eq!(rig.list("record", &group).await, Some(vec![made]));
}

#[test]
fn without_a_token_the_real_platform_is_not_spoken_to() {
    let provider = crate::providers::registry::provider("cloudflare").expect("it is built in");
    let transport = std::sync::Arc::new(crate::providers::http::Network::new());
    let Err(diagnostic) = provider.connect(&Fields::new(), &surroundings(transport, None, false)) else {
        panic!("no credentials")
    };
    assert_eq!(diagnostic.code, Code::NoCredentials);
    assert_eq!(diagnostic.notes[0], ("looked", "CLOUDFLARE_API_TOKEN (not set)".to_owned()));
}
