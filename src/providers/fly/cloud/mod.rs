//! The simulated Fly.io: the Machines API as a function over a state that can be written down.
//!
//! Paths, shapes, statuses and errors are those of the official description and of the vendor's documentation. Reads change
//! nothing: what takes time on the platform (a machine that starts, a certificate that is issued) is done as soon as the clock has
//! moved. Two images behave badly on purpose, whatever their repository: the tag `crash` never starts, the tag `unhealthy` starts
//! and fails its checks.

mod apps;
mod machines;
mod rest;
mod volumes;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::model::Digest;
use crate::providers::contract::{Cloud, Effect};

use apps::App;

/// The platform's regions.
const REGIONS: &[&str] = &[
    "ams", "arn", "atl", "bog", "bom", "bos", "cdg", "den", "dfw", "ewr", "eze", "fra", "gdl", "gig", "gru", "hkg", "iad", "jnb",
    "lax", "lhr", "mad", "mia", "nrt", "ord", "otp", "phx", "qro", "scl", "sea", "sin", "sjc", "syd", "waw", "yul", "yyz",
];

/// A simulated Fly.io.
#[derive(Default)]
pub struct FlyCloud {
    state: State,
}

#[derive(Serialize, Deserialize, Default)]
struct State {
    version: u64,
    /// How many ids were made: what makes the next one another.
    made: u64,
    apps: BTreeMap<String, App>,
}

/// What a handler has at hand.
struct Context<'c> {
    now: Timestamp,
    query: BTreeMap<String, String>,
    body: Json,
    /// The lease that the client holds, as it says.
    nonce: Option<String>,
    effects: &'c mut Vec<Effect>,
}

/// A good answer: its status, and its body where it has one.
struct Good(StatusCode, Option<Json>);

/// An answer that is none.
struct Problem {
    status: StatusCode,
    words: String,
    code: Option<&'static str>,
}

type Answer = Result<Good, Problem>;

fn ok(body: Json) -> Answer {
    Ok(Good(StatusCode::OK, Some(body)))
}

fn problem(status: u16, words: impl Into<String>) -> Problem {
    let status = StatusCode::from_u16(status).expect("the statuses of this file are statuses");
    Problem { status, words: words.into(), code: None }
}

impl Cloud for FlyCloud {
    fn respond(&mut self, request: &Request<Bytes>, now: Timestamp, effects: &mut Vec<Effect>) -> Response<Bytes> {
        let segments: Vec<String> = request.uri().path().split('/').skip(1).map(decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let mut response = match self.answer(request, &segments, now, effects) {
            Ok(response) => response,
            Err(problem) => {
                let mut body = json!({ "error": problem.words });
                if let Some(code) = problem.code {
                    body["status"] = code.into();
                }
                json_response(problem.status, Some(&body))
            }
        };
        let id = Digest::of(format!("{now} {} {}", request.method(), request.uri()).as_bytes()).to_string().to_uppercase();
        response
            .headers_mut()
            .insert("fly-request-id", HeaderValue::from_str(&format!("01{}", &id[..24])).expect("hexadecimal digits"));
        response
    }

    fn save(&self) -> Json {
        serde_json::to_value(&self.state).expect("a state is JSON")
    }

    fn version(&self) -> u64 {
        self.state.version
    }

    fn load(&mut self, state: Json) -> Result<(), String> {
        self.state = serde_json::from_value(state).map_err(|error| error.to_string())?;
        Ok(())
    }
}

impl FlyCloud {
    fn answer(
        &mut self,
        request: &Request<Bytes>,
        segments: &[&str],
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<Response<Bytes>, Problem> {
        // A path that does not exist is told before anybody asks who is there.
        let ["v1", rest @ ..] = segments else { return Ok(no_path()) };
        if !exists(request.method(), rest) {
            return Ok(no_path());
        }
        if !is_authorized(request) {
            return Err(problem(401, "unauthorized"));
        }
        let mut context = Context {
            now,
            query: url::form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes()).into_owned().collect(),
            body: body_of(request)?,
            nonce: request.headers().get("fly-machine-lease-nonce").and_then(|it| it.to_str().ok()).map(str::to_owned),
            effects,
        };
        let good = match (request.method().as_str(), rest) {
            ("GET", ["platform", "regions"]) => regions(),
            ("GET", ["apps"]) => self.list_apps(&context),
            ("POST", ["apps"]) => self.create_app(&mut context),
            ("GET", ["apps", app]) => self.app(app)?.show(),
            ("DELETE", ["apps", app]) => self.delete_app(app, &mut context),
            (method, ["apps", app, "machines", rest @ ..]) => self.machines(method, app, rest, &mut context),
            (method, ["apps", app, "volumes", rest @ ..]) => self.volumes(method, app, rest, &mut context),
            (method, ["apps", app, "secrets", rest @ ..]) => self.secrets(method, app, rest, &mut context),
            (method, ["apps", app, "ip_assignments", rest @ ..]) => self.addresses(method, app, rest, &mut context),
            (method, ["apps", app, "certificates", rest @ ..]) => self.certificates(method, app, rest, &mut context),
            _ => return Ok(no_path()),
        }?;
        Ok(json_response(good.0, good.1.as_ref()))
    }

    fn app(&self, name: &str) -> Result<&App, Problem> {
        self.state.apps.get(name).ok_or_else(|| problem(404, format!("App not found: {name}")))
    }

    fn app_mut(&mut self, name: &str) -> Result<&mut App, Problem> {
        self.state.apps.get_mut(name).ok_or_else(|| problem(404, format!("App not found: {name}")))
    }

    /// Another id every time, in hexadecimal digits.
    fn new_id(&mut self, kind: &str) -> String {
        self.state.made += 1;
        Digest::of(format!("fly/{kind}/{}", self.state.made).as_bytes()).to_string()
    }

    /// The state is another one from now on.
    fn changed(&mut self) {
        self.state.version += 1;
    }
}

impl Context<'_> {
    fn tell(&mut self, effect: &'static str, kind: &'static str, id: impl Into<String>) {
        self.effects.push(Effect { effect, kind, id: id.into() });
    }

    /// A text of the body; an empty one counts as none.
    fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Json::as_str).filter(|text| !text.is_empty())
    }

    fn flag(&self, name: &str) -> bool {
        self.body.get(name).and_then(Json::as_bool).unwrap_or(false)
    }

    fn asks(&self, name: &str) -> bool {
        self.query.get(name).is_some_and(|value| value == "true")
    }
}

/// The operations that this cloud has, by method and path below `/v1`.
fn exists(method: &Method, path: &[&str]) -> bool {
    let method = method.as_str();
    match path {
        ["platform", "regions"] => method == "GET",
        ["apps"] => matches!(method, "GET" | "POST"),
        ["apps", _] => matches!(method, "GET" | "DELETE"),
        ["apps", _, "machines" | "volumes" | "secrets" | "ip_assignments"] => matches!(method, "GET" | "POST"),
        ["apps", _, "machines", _] => matches!(method, "GET" | "POST" | "DELETE"),
        ["apps", _, "machines", _, "wait" | "events"] => method == "GET",
        ["apps", _, "machines", _, "start" | "stop" | "restart" | "suspend" | "signal" | "cordon" | "uncordon"] => {
            method == "POST"
        }
        ["apps", _, "machines", _, "lease"] => matches!(method, "GET" | "POST" | "DELETE"),
        ["apps", _, "machines", _, "metadata"] => matches!(method, "GET" | "PUT" | "PATCH"),
        ["apps", _, "machines", _, "metadata", _] => matches!(method, "GET" | "POST" | "DELETE"),
        ["apps", _, "volumes", _] => matches!(method, "GET" | "PUT" | "DELETE"),
        ["apps", _, "volumes", _, "extend"] => method == "PUT",
        ["apps", _, "volumes", _, "snapshots"] => matches!(method, "GET" | "POST"),
        ["apps", _, "secrets", _] => matches!(method, "GET" | "POST" | "DELETE"),
        ["apps", _, "ip_assignments", _] => method == "DELETE",
        ["apps", _, "certificates"] => method == "GET",
        ["apps", _, "certificates", "acme"] => method == "POST",
        ["apps", _, "certificates", _] => matches!(method, "GET" | "DELETE"),
        ["apps", _, "certificates", _, "check"] => method == "POST",
        _ => false,
    }
}

/// Any token will do, under the schemes that the platform takes.
fn is_authorized(request: &Request<Bytes>) -> bool {
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("");
    header.split_once(' ').is_some_and(|(scheme, token)| matches!(scheme, "Bearer" | "FlyV1") && !token.trim().is_empty())
}

fn body_of(request: &Request<Bytes>) -> Result<Json, Problem> {
    if request.body().is_empty() {
        return Ok(Json::Null);
    }
    serde_json::from_slice(request.body()).map_err(|error| problem(400, format!("invalid request body: {error}")))
}

fn decoded(segment: &str) -> String {
    // A `+` is a plus in a path, and a blank only in a query.
    let text = segment.replace('+', "%2B");
    url::form_urlencoded::parse(format!("s={text}").as_bytes()).next().map_or_else(String::new, |(_, value)| value.into_owned())
}

fn no_path() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert("content-type", HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn json_response(status: StatusCode, body: Option<&Json>) -> Response<Bytes> {
    let mut response = Response::new(body.map(|body| body.to_string().into()).unwrap_or_default());
    *response.status_mut() = status;
    if body.is_some() {
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    }
    response
}

fn regions() -> Answer {
    let row = |code: &&str| json!({ "code": code, "name": code, "deprecated": false, "gateway_available": true, "requires_paid_plan": false });
    ok(json!({ "nearest": "cdg", "regions": REGIONS.iter().map(row).collect::<Vec<_>>() }))
}

/// The region that a body names, or the nearest one.
fn region_of(context: &Context<'_>) -> Result<String, Problem> {
    match context.text("region").unwrap_or("cdg") {
        known if REGIONS.contains(&known) => Ok(known.to_owned()),
        other => Err(problem(422, format!("invalid region: {other} is not a region"))),
    }
}

/// Whether a name consists of such characters only, and how many.
fn is_name(text: &str, max: usize, allowed: &str) -> bool {
    (1..=max).contains(&text.len()) && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || allowed.contains(c))
}

/// Moments are kept as people write them.
mod moment {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(moment: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(moment)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
