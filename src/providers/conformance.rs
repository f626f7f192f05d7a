//! Every operation that the clients of `fly` and `cloudflare` know, once over real HTTP.
//!
//! By itself it runs against a server of its own. `CONFORMANCE_FLY_URL` and `CONFORMANCE_CLOUDFLARE_URL` put something in between
//! (`.ci/conformance` puts a validator there, which holds requests and answers against the official descriptions), and
//! `CONFORMANCE_PORT` fixes the port that its upstreams name.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::http::Network;
use super::registry;
use super::sim::{Faults, Server};
use super::testkit::Rig;
use crate::model::value::{Fields, Value};
use crate::providers::contract::CallError;
use crate::providers::declare::{fields, gib, mib, seconds};
use crate::world::{Clock, World};

fn text(value: &str) -> Value {
    Value::text(value)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn rig(server: &Server, provider: &str, settings: Vec<(&str, &str)>) -> Rig {
    let own = || format!("{}/{provider}", server.url());
    let url = variable(&format!("CONFORMANCE_{}_URL", provider.to_uppercase())).unwrap_or_else(own);
    let world = World { clock: Arc::new(Hurried(World::real().clock)), ..World::real() };
    Rig::in_world(provider, settings, server.clouds().clone(), Arc::new(Network::new()), url, world)
}

/// A clock that is ten times as fast: the simulated clouds are never as far behind as real ones may be.
struct Hurried(Arc<dyn Clock>);

#[async_trait]
impl Clock for Hurried {
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed() * 10
    }

    async fn sleep(&self, span: Duration) {
        self.0.sleep(span / 10).await
    }
}

#[tokio::test]
async fn every_operation_goes_over_real_http() {
    let port = variable("CONFORMANCE_PORT").and_then(|port| port.parse().ok()).unwrap_or(0);
    let server = Server::start(&registry::all(), None, port, Faults::default(), &World::real()).await.expect("the port is free");
    a_life_on_fly(&rig(&server, "fly", vec![("org", "acme"), ("region", "cdg")])).await;
    a_life_on_cloudflare(&rig(&server, "cloudflare", vec![("account", "acme"), ("zone", "shop.example.com")])).await;
    server.close().await;
}

async fn made(rig: &Rig, kind: &str, given: Vec<(&str, Value)>) -> Fields {
    let made = rig.create(kind, given).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
    assert_eq!(rig.read(kind, &made).await.map(|read| read.contains_key(&rig.kind(kind).id)), Some(true), "{kind} is there");
    let id = &rig.kind(kind).id;
    let listed = rig.list(kind, &made).await.expect("its container is there");
    assert!(listed.iter().any(|it| it.get(id) == made.get(id)), "{kind} is listed");
    made
}

async fn changed(rig: &Rig, kind: &str, live: &Fields, changes: Vec<(&str, Value)>) -> Fields {
    rig.update(kind, live, changes).await.unwrap_or_else(|error| panic!("{kind}: {error}")).attributes
}

async fn gone(rig: &Rig, kind: &str, live: &Fields) {
    rig.delete(kind, live).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
    assert_eq!(rig.read(kind, live).await, None, "{kind} is gone");
}

fn a_machine(volume: &Value) -> Vec<(&'static str, Value)> {
    let list = |words: &[&str]| Value::list(words.iter().map(|word| text(word)).collect());
    let check = fields(vec![
        ("type", text("http")),
        ("port", Value::int(8080)),
        ("path", text("/healthz")),
        ("method", text("GET")),
        ("interval", seconds(10)),
        ("timeout", seconds(2)),
        ("grace_period", seconds(90)),
    ]);
    let port = fields(vec![("port", Value::int(443)), ("handlers", list(&["tls", "http"])), ("force_https", Value::bool(true))]);
    let service = fields(vec![
        ("protocol", text("tcp")),
        ("internal_port", Value::int(8080)),
        ("ports", Value::list(vec![port])),
        ("autostart", Value::bool(true)),
        ("autostop", text("stop")),
        ("min_machines_running", Value::int(1)),
        (
            "concurrency",
            fields(vec![("type", text("requests")), ("soft_limit", Value::int(100)), ("hard_limit", Value::int(200))]),
        ),
        ("checks", Value::list(vec![check.clone()])),
    ]);
    vec![
        ("app", text("shop-api")),
        ("name", text("web")),
        ("image", text("registry.example.com/shop-api:v41")),
        ("guest", fields(vec![("cpus", Value::int(2)), ("cpu_kind", text("performance")), ("memory", mib(4096))])),
        ("env", fields(vec![("LOG", text("info"))])),
        ("files", fields(vec![("/etc/app.toml", text("a = 1\n"))])),
        ("init", fields(vec![("cmd", list(&["serve"])), ("entrypoint", list(&["/app"])), ("exec", list(&[]))])),
        ("services", Value::list(vec![service])),
        ("checks", fields(vec![("alive", check)])),
        ("metrics", fields(vec![("port", Value::int(9091)), ("path", text("/metrics"))])),
        ("mounts", Value::list(vec![fields(vec![("volume", volume.clone()), ("path", text("/data"))])])),
        ("metadata", fields(vec![("team", text("shop"))])),
        ("process_group", text("web")),
        ("restart", fields(vec![("policy", text("on-failure")), ("max_retries", Value::int(3))])),
        ("stop_config", fields(vec![("signal", text("SIGTERM")), ("timeout", seconds(30))])),
    ]
}

async fn a_life_on_fly(rig: &Rig) {
    let app = made(rig, "app", vec![("name", text("shop-api")), ("network", text("shop"))]).await;
    let in_app = |rest: Vec<(&'static str, Value)>| [vec![("app", text("shop-api"))], rest].concat();
    let secret = made(rig, "secret", in_app(vec![("name", text("KEY")), ("value", text("correct-horse").secret())])).await;
    let secret = changed(rig, "secret", &secret, vec![("value", text("battery-staple").secret())]).await;
    let volume = made(rig, "volume", in_app(vec![("name", text("data")), ("size", gib(3))])).await;
    let grown = vec![("size", gib(4)), ("snapshot_retention", seconds(7 * 86_400)), ("auto_backup", Value::bool(false))];
    let volume = changed(rig, "volume", &volume, grown).await;
    let asked = [a_machine(&volume["id"]), vec![("secrets_version", secret["version"].clone())]].concat();
    let machine = made(rig, "machine", asked).await;
    let machine = changed(rig, "machine", &machine, vec![("image", text("registry.example.com/shop-api:v42"))]).await;
    let refused = rig.update("machine", &machine, vec![("image", text(""))]).await;
    assert!(matches!(refused, Err(CallError::Refused { status: Some(400), .. })));
    for kind in ["v4", "v6", "shared_v4", "private_v6"] {
        made(rig, "ip", in_app(vec![("type", text(kind))])).await;
    }
    let certificate = made(rig, "certificate", in_app(vec![("hostname", text("*.shop.example.com"))])).await;
    let twice = rig.create("app", vec![("name", text("shop-api"))]).await;
    assert!(matches!(twice, Err(CallError::Refused { status: Some(422), .. })));
    gone(rig, "certificate", &certificate).await;
    for address in rig.list("ip", &certificate).await.expect("the app is there") {
        gone(rig, "ip", &address).await;
    }
    gone(rig, "machine", &machine).await;
    gone(rig, "volume", &volume).await;
    gone(rig, "secret", &secret).await;
    gone(rig, "app", &app).await;
    assert_eq!(rig.list("machine", &machine).await, None);
}

async fn a_life_on_cloudflare(rig: &Rig) {
    let zone = rig.read("zone", &Fields::new()).await.expect("a simulated account holds every zone")["id"].clone();
    let cases = [
        ("A", "203.0.113.9", None),
        ("AAAA", "2001:db8::1", None),
        ("CNAME", "shop.fly.dev", None),
        ("MX", "mail.example.com", Some(10)),
        ("NS", "ns1.example.com", None),
        ("PTR", "host.example.com", None),
        ("TXT", "v=spf1 -all", None),
    ];
    for (kind, content, priority) in cases {
        let name = format!("{}.shop.example.com", kind.to_lowercase());
        let mut asked = vec![("zone_id", zone.clone()), ("name", text(&name)), ("type", text(kind)), ("content", text(content))];
        asked.extend(priority.map(|priority| ("priority", Value::int(priority))));
        let record = made(rig, "record", asked.clone()).await;
        let twice = rig.create("record", asked).await;
        assert!(matches!(twice, Err(CallError::Refused { status: Some(400), .. })));
        let record = changed(rig, "record", &record, vec![("ttl", seconds(300)), ("comment", text("one of ours"))]).await;
        let record = changed(rig, "record", &record, vec![("ttl", Value::null()), ("comment", Value::null())]).await;
        gone(rig, "record", &record).await;
    }
}
