//! Every answer of a platform, and every way in which none comes, is sorted alike by every provider: a definite no, come back later,
//! not sent, or nobody knows. What may have happened is never called a failure.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};

use super::contract::{CallError, SendError, Transport};
use super::registry;
use super::sim::{Clouds, Faults, InProcess};
use super::testkit::Rig;
use crate::model::value::{Fields, Value};
use crate::world::World;

/// What a mutating request meets.
#[derive(Clone, Copy, Debug)]
enum Meets {
    Status(u16, &'static str),
    /// 200, and this.
    Body(&'static str, &'static str),
    Reset,
    TimedOut,
    RefusedConnection,
}

/// The simulated clouds, but for what mutating requests meet.
struct Between {
    clouds: InProcess,
    meets: Mutex<Option<Meets>>,
}

#[async_trait]
impl Transport for Between {
    async fn send(&self, request: Request<Bytes>, deadline: Duration) -> Result<Response<Bytes>, SendError> {
        let meets = *self.meets.lock().expect("no test panics while it holds this");
        let Some(meets) = meets.filter(|_| request.method() != Method::GET) else {
            return self.clouds.send(request, deadline).await;
        };
        let answer = |status: u16, kind: &str, body: &'static str| {
            let answer = Response::builder().status(status).header("content-type", kind);
            Ok(answer.body(Bytes::from_static(body.as_bytes())).expect("an answer"))
        };
        match meets {
            Meets::Status(429, body) => {
                let answer = Response::builder().status(429).header("retry-after", "7");
                Ok(answer.body(Bytes::from_static(body.as_bytes())).expect("an answer"))
            }
            Meets::Status(status, body) => answer(status, "application/json", body),
            Meets::Body(kind, body) => answer(200, kind, body),
            Meets::Reset => Err(SendError::Unknown("connection reset by peer".into())),
            Meets::TimedOut => Err(SendError::Unknown("operation timed out".into())),
            Meets::RefusedConnection => Err(SendError::NotSent("connection refused".into())),
        }
    }
}

const NO: &str = r#"{"error":"no","success":false,"errors":[{"code":1004,"message":"no"}]}"#;

/// What each is sorted into; where a delete is another matter, that too.
const TABLE: &[(Meets, &str)] = &[
    (Meets::Status(400, NO), "refused"),
    (Meets::Status(401, NO), "refused"),
    (Meets::Status(402, NO), "refused"),
    (Meets::Status(403, NO), "refused"),
    (Meets::Status(404, NO), "refused, and done for a delete"),
    (Meets::Status(409, NO), "refused"),
    (Meets::Status(410, NO), "refused, and done for a delete"),
    (Meets::Status(412, NO), "refused"),
    (Meets::Status(413, NO), "refused"),
    (Meets::Status(422, NO), "refused"),
    (Meets::Status(429, NO), "throttled for 7 s"),
    (Meets::Status(429, ""), "throttled for 7 s"),
    (Meets::Status(301, ""), "unknown"),
    (Meets::Status(408, NO), "unknown"),
    (Meets::Status(500, NO), "unknown"),
    (Meets::Status(500, ""), "unknown"),
    (Meets::Status(502, "<html>"), "unknown"),
    (Meets::Status(503, NO), "unknown"),
    (Meets::Status(504, ""), "unknown"),
    (Meets::Status(520, "<html>"), "unknown"),
    (Meets::Body("text/html", "<!doctype html>"), "unknown"),
    (Meets::Body("application/json", r#"{"id":"#), "unknown"),
    (Meets::Body("application/json", "[]"), "unknown"),
    (Meets::Body("application/json", r#"{"success":false}"#), "unknown"),
    (Meets::Reset, "unknown"),
    (Meets::TimedOut, "unknown"),
    (Meets::RefusedConnection, "not sent"),
];

fn sorted(result: Result<(), CallError>) -> String {
    match result {
        Ok(()) => "done".into(),
        Err(CallError::Refused { .. }) => "refused".into(),
        Err(CallError::Throttled { after: Some(after) }) => format!("throttled for {} s", after.as_secs()),
        Err(CallError::Throttled { after: None }) => "throttled".into(),
        Err(CallError::NotSent(_)) => "not sent".into(),
        Err(CallError::OutcomeUnknown(_)) => "unknown".into(),
    }
}

/// A rig on whose way to the cloud things go wrong once they are asked to, in a time that passes only where somebody waits.
fn within<T: Future<Output = ()>>(provider: &str, settings: Vec<(&str, &str)>, test: impl FnOnce(Rig, Arc<Between>) -> T) {
    let (world, clock) = World::simulated(jiff::Timestamp::UNIX_EPOCH, provider.as_bytes());
    let clouds = Clouds::in_memory(&registry::all(), Faults::default(), &world);
    let between = Arc::new(Between { clouds: InProcess(clouds.clone()), meets: Mutex::default() });
    let rig = Rig::in_world(provider, settings, clouds, between.clone(), InProcess::base_url(provider), world);
    clock.run(test(rig, between)).expect("nothing waits for ever");
}

/// Meets everything of the table with a create, an update where there is one, and a delete of a kind.
async fn check(
    rig: &Rig,
    between: &Between,
    kind: &str,
    made: &Fields,
    another: Vec<(&str, Value)>,
    change: Option<(&str, Value)>,
) {
    for (meets, expected) in TABLE {
        let meet = |meets| *between.meets.lock().expect("no test panics while it holds this") = meets;
        let (plain, delete) = match expected.split_once(", and done for a delete") {
            Some((plain, _)) => (plain, "done"),
            None => (*expected, *expected),
        };
        meet(Some(*meets));
        let create = sorted(rig.create(kind, another.clone()).await.map(drop));
        let update = match &change {
            Some((name, value)) => sorted(rig.update(kind, made, vec![(name, value.clone())]).await.map(drop)),
            None => plain.to_owned(),
        };
        // A good answer to a delete says nothing: no body of it can be wrong.
        let deleted = (!matches!(meets, Meets::Body(..))).then_some(rig.delete(kind, made));
        let deleted = match deleted {
            Some(deleted) => sorted(deleted.await.map(drop)),
            None => delete.to_owned(),
        };
        meet(None);
        assert_eq!((&*create, &*update, &*deleted), (plain, plain, delete), "{kind} {meets:?}");
    }
}

#[test]
fn fly_sorts_every_answer() {
    within("fly", vec![("org", "acme"), ("region", "cdg")], fly);
}

async fn fly(rig: Rig, between: Arc<Between>) {
    fn text(value: &str) -> Value {
        Value::text(value)
    }
    rig.create("app", vec![("name", text("shop"))]).await.expect("an app is made");
    let made = rig.create("app", vec![("name", text("other"))]).await.expect("an app is made");
    check(&rig, &between, "app", &made, vec![("name", text("third"))], None).await;
    let of_app = |more: Vec<(&'static str, Value)>| [vec![("app", text("shop"))], more].concat();
    let secret = |value: &str| of_app(vec![("name", text("KEY")), ("value", text(value))]);
    let made = rig.create("secret", secret("one")).await.expect("a secret is set");
    check(&rig, &between, "secret", &made, secret("two"), Some(("value", text("two")))).await;
    let machine = |name: &str| of_app(vec![("name", text(name)), ("image", text("registry.example.com/api:v1"))]);
    let made = rig.create("machine", machine("one")).await.expect("a machine is made");
    check(&rig, &between, "machine", &made, machine("two"), Some(("image", text("registry.example.com/api:v2")))).await;
    let made = rig.create("volume", of_app(vec![("name", text("data"))])).await.expect("a volume is made");
    let another = of_app(vec![("name", text("more"))]);
    check(&rig, &between, "volume", &made, another, Some(("auto_backup", Value::bool(false)))).await;
    let made = rig.create("ip", of_app(vec![("type", text("v6"))])).await.expect("an address is made");
    check(&rig, &between, "ip", &made, of_app(vec![("type", text("v4"))]), None).await;
    let made = rig.create("certificate", of_app(vec![("hostname", text("a.example.com"))])).await.expect("one is asked for");
    check(&rig, &between, "certificate", &made, of_app(vec![("hostname", text("b.example.com"))]), None).await;
}

#[test]
fn cloudflare_sorts_every_answer() {
    within("cloudflare", vec![("account", "acme"), ("zone", "example.com")], cloudflare);
}

async fn cloudflare(rig: Rig, between: Arc<Between>) {
    let zone = rig.read("zone", &Fields::new()).await.expect("a simulated account holds every zone")["id"].clone();
    let record = |content: &str| {
        let text = Value::text;
        vec![("zone_id", zone.clone()), ("name", text("www")), ("type", text("TXT")), ("content", text(content))]
    };
    let made = rig.create("record", record("one")).await.expect("a record is made");
    check(&rig, &between, "record", &made, record("two"), Some(("content", Value::text("three")))).await;
}
