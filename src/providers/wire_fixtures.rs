//! Exchanges with platforms as files: `fixtures/wire/PROVIDER/*.http`. Each is what the client sends and the simulated cloud answers
//! for one thing that an apply does, under a few words on where the official description says so. Client and cloud are both held
//! to the file; `ACCEPT=1` writes it anew and leaves the words alone.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value as Json;

use super::registry;
use super::sim::{Clouds, Faults, InProcess};
use super::testkit::Rig;
use crate::model::value::{Fields, Value};
use crate::providers::contract::{SendError, Transport};
use crate::providers::declare::{fields, gib, mib, seconds};
use crate::world::{Clock, World};

/// One second passes whenever somebody looks.
struct Ticking(Mutex<i64>);

#[async_trait]
impl Clock for Ticking {
    fn now(&self) -> jiff::Timestamp {
        let mut seconds = self.0.lock().expect("no test panics with it");
        *seconds += 1;
        jiff::Timestamp::from_second(1_790_000_000 + *seconds).expect("a moment in this century")
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _span: Duration) {}
}

/// Writes down what passes.
struct Recorder {
    inner: InProcess,
    seen: Arc<Mutex<String>>,
}

#[async_trait]
impl Transport for Recorder {
    async fn send(&self, request: Request<Bytes>, deadline: Duration) -> Result<Response<Bytes>, SendError> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let path = path.splitn(3, '/').nth(2).unwrap_or("");
        let sent = format!("> {} /{path}\n{}", request.method(), shown('>', request.body()));
        let answer = self.inner.send(request, deadline).await?;
        let got = format!("< {}\n{}\n", answer.status().as_u16(), shown('<', answer.body()));
        self.seen.lock().expect("no test panics with it").push_str(&format!("{sent}{got}"));
        Ok(answer)
    }
}

fn shown(side: char, body: &[u8]) -> String {
    if body.is_empty() {
        return String::new();
    }
    let text = match serde_json::from_slice::<Json>(body) {
        Ok(json) => serde_json::to_string_pretty(&json).expect("JSON is JSON"),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    text.lines().map(|line| format!("{side} {line}\n")).collect()
}

struct Case {
    rig: Rig,
    seen: Arc<Mutex<String>>,
    provider: &'static str,
}

impl Case {
    fn new(provider: &'static str, settings: Vec<(&str, &str)>) -> Case {
        let world = World { clock: Arc::new(Ticking(Mutex::new(0))), ..World::real() };
        let clouds = Clouds::in_memory(&registry::all(), Faults::default(), &world);
        let seen = Arc::new(Mutex::new(String::new()));
        let recorder = Recorder { inner: InProcess(clouds.clone()), seen: seen.clone() };
        let rig = Rig::through(provider, settings, clouds, Arc::new(recorder), InProcess::base_url(provider));
        Case { rig, seen, provider }
    }

    async fn create(&self, kind: &str, given: Vec<(&str, Value)>) -> Fields {
        self.rig.create(kind, given).await.unwrap_or_else(|error| panic!("{kind}: {error}"))
    }

    async fn update(&self, kind: &str, live: &Fields, changes: Vec<(&str, Value)>) -> Fields {
        self.rig.update(kind, live, changes).await.unwrap_or_else(|error| panic!("{kind}: {error}")).attributes
    }

    /// Holds everything that passed since the last time to a file.
    fn holds(&self, name: &str) {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/wire").join(self.provider).join(format!("{name}.http"));
        let seen = std::mem::take(&mut *self.seen.lock().expect("no test panics with it"));
        let file = std::fs::read_to_string(&path).unwrap_or_default();
        let words: String = file.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        let whole = format!("{words}\n{}", seen.trim_end()) + "\n";
        if std::env::var_os("ACCEPT").is_some() {
            std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("the folder can be made");
            std::fs::write(&path, &whole).expect("the file can be written");
        }
        assert!(!words.is_empty() || std::env::var_os("ACCEPT").is_some(), "{name}: say in words what the description says");
        assert!(file == whole || std::env::var_os("ACCEPT").is_some(), "{} is another exchange now:\n{whole}", path.display());
    }
}

fn text(value: &str) -> Value {
    Value::text(value)
}

#[tokio::test]
async fn fly() {
    let case = Case::new("fly", vec![("org", "acme"), ("region", "cdg")]);
    case.create("app", vec![("name", text("shop-api"))]).await;
    case.holds("app-create");
    let taken = case.rig.create("app", vec![("name", text("shop-api"))]).await;
    assert!(taken.is_err());
    case.holds("app-name-taken");
    let in_app = |rest: Vec<(&'static str, Value)>| [vec![("app", text("shop-api"))], rest].concat();
    let secret = case.create("secret", in_app(vec![("name", text("KEY")), ("value", text("an-invented-value").secret())])).await;
    case.holds("secret-set");
    let volume = case.create("volume", in_app(vec![("name", text("data")), ("size", gib(3))])).await;
    case.holds("volume-create");
    let volume = case.update("volume", &volume, vec![("size", gib(5)), ("snapshot_retention", seconds(7 * 86_400))]).await;
    case.holds("volume-grow");
    let check = fields(vec![("type", text("http")), ("port", Value::int(8080)), ("path", text("/healthz"))]);
    let asked = in_app(vec![
        ("name", text("web")),
        ("image", text("registry.example.com/shop-api:v41")),
        ("guest", fields(vec![("cpus", Value::int(1)), ("cpu_kind", text("shared")), ("memory", mib(512))])),
        ("env", fields(vec![("LOG", text("info"))])),
        ("checks", fields(vec![("alive", check)])),
        ("mounts", Value::list(vec![fields(vec![("volume", volume["id"].clone()), ("path", text("/data"))])])),
        ("secrets_version", secret["version"].clone()),
    ]);
    let machine = case.create("machine", asked).await;
    case.holds("machine-create");
    let odd = fields(vec![("cpus", Value::int(1)), ("cpu_kind", text("shared")), ("memory", mib(300))]);
    assert!(case.rig.update("machine", &machine, vec![("guest", odd)]).await.is_err());
    case.holds("machine-refused");
    let machine = case.update("machine", &machine, vec![("image", text("registry.example.com/shop-api:v42"))]).await;
    case.holds("machine-update");
    case.rig.list("machine", &machine).await;
    case.holds("machine-list");
    case.rig.delete("machine", &machine).await.expect("it is there");
    case.holds("machine-delete");
    case.create("ip", in_app(vec![("type", text("shared_v4"))])).await;
    case.holds("ip-create");
    case.create("certificate", in_app(vec![("hostname", text("shop.example.com"))])).await;
    case.holds("certificate-create");
}

#[tokio::test]
async fn cloudflare() {
    let case = Case::new("cloudflare", vec![("zone", "example.com")]);
    let zone = case.rig.read("zone", &Fields::new()).await.expect("a simulated account holds every zone");
    case.holds("zone-read");
    let asked =
        || vec![("zone_id", zone["id"].clone()), ("name", text("www")), ("type", text("A")), ("content", text("203.0.113.9"))];
    let record = case.create("record", asked()).await;
    case.holds("record-create");
    assert!(case.rig.create("record", asked()).await.is_err());
    case.holds("record-twice");
    let record = case.update("record", &record, vec![("ttl", seconds(300))]).await;
    case.holds("record-update");
    case.rig.delete("record", &record).await.expect("it is there");
    case.holds("record-delete");
}
