//! One contract call, as one or several requests to a platform.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value as Json;

use crate::model::{Code, KnownSecrets};
use crate::providers::contract::{CallError, Delays, Receipt, SendError, Transport};
use crate::world::{Clock, World};

/// The longest that one request may take, unless it is said otherwise.
const REQUEST: Duration = Duration::from_secs(30);
/// How much of a platform's words is kept, in characters.
const WORDS_MAX: usize = 300;

/// What is different from platform to platform in how they answer.
pub struct Dialect {
    /// How people call the platform.
    pub platform: &'static str,
    /// The header of an answer that names the request for the platform's support.
    pub request_id: HeaderName,
    /// The platform's own words in a body of JSON, and the attribute that they name.
    pub explain: fn(&Json) -> Option<(String, Option<String>)>,
}

/// Where a platform is and how to speak to it.
pub struct Api {
    pub dialect: &'static Dialect,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    /// Without a slash at the end.
    base: String,
    /// Marked sensitive, so that nothing prints it.
    authorization: HeaderValue,
}

impl Api {
    /// `authorization` is the whole value of that header, scheme included.
    ///
    /// Errors: in words, if the address is none, or if credentials hold characters that no header can.
    pub fn new(
        dialect: &'static Dialect,
        transport: Arc<dyn Transport>,
        world: &World,
        base: &str,
        authorization: &str,
    ) -> Result<Api, String> {
        let base = base.trim_end_matches('/').to_owned();
        match url::Url::parse(&base) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => return Err(format!("`{base}` is no address such as `https://host/path`")),
        }
        let mut authorization = HeaderValue::from_str(authorization).map_err(|_| "they hold characters that a token has not")?;
        authorization.set_sensitive(true);
        Ok(Api { dialect, transport, clock: world.clock.clone(), base, authorization })
    }

    /// How late things may be on the way to the platform.
    pub fn delays(&self) -> Delays {
        self.transport.delays()
    }

    /// Begins a call: no byte leaves later than `not_after` from now.
    pub fn session(&self, not_after: Duration, token: Option<&str>, secrets: KnownSecrets) -> Session<'_> {
        let idempotency = token.and_then(|token| HeaderValue::from_str(token).ok());
        Session {
            api: self,
            ends: self.clock.elapsed() + not_after,
            idempotency,
            secrets,
            receipt: Receipt::default(),
            has_changed: false,
        }
    }
}

/// One call under way.
pub struct Session<'a> {
    api: &'a Api,
    ends: Duration,
    idempotency: Option<HeaderValue>,
    secrets: KnownSecrets,
    pub receipt: Receipt,
    /// A request that changes something was done, or may have been.
    has_changed: bool,
}

/// A whole answer.
pub struct Reply {
    pub status: u16,
    /// The body, if it is JSON.
    pub json: Option<Json>,
    pub request: Option<String>,
    /// What the platform says in it, cleaned of secrets; for an answer that is no JSON, what it is instead.
    pub words: String,
    pub field: Option<String>,
    retry_after: Option<Duration>,
    platform: &'static str,
}

impl Session<'_> {
    /// How long bytes may still leave.
    pub fn left(&self) -> Duration {
        self.ends.saturating_sub(self.api.clock.elapsed())
    }

    /// How far behind what the platform shows may be, of a kind that declares so much.
    pub fn shown_within(&self, declared: Duration) -> Duration {
        declared.min(self.api.delays().shown)
    }

    /// What an error of a request amounts to for the whole call. Where an earlier request of it has changed something, or may have,
    /// nobody can say that nothing has happened, whatever became of the later one.
    pub fn concluded(&self, error: CallError) -> CallError {
        match error {
            CallError::NotSent(_) | CallError::Throttled { .. } | CallError::Refused { status: Some(_), .. }
                if self.has_changed =>
            {
                CallError::OutcomeUnknown(format!("after a change was sent: {error}"))
            }
            error => error,
        }
    }

    pub async fn pause(&self, span: Duration) {
        self.api.clock.sleep(span.min(self.left())).await
    }

    /// Sends one request. `path` begins with `/` and is already encoded ([`super::wire::segment`]); it may carry a query.
    ///
    /// Every whole answer is `Ok`, whatever its status: [`Reply::fine`] sorts the others.
    pub async fn send(&mut self, method: Method, path: &str, body: Option<&Json>) -> Result<Reply, CallError> {
        self.send_within(method, path, body, REQUEST).await
    }

    /// As [`Session::send`], for requests that the platform may hold for long.
    pub async fn send_within(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Json>,
        within: Duration,
    ) -> Result<Reply, CallError> {
        let line = format!("{method} {}", path.split('?').next().unwrap_or(path));
        let deadline = self.left().min(within);
        if deadline.is_zero() {
            return Err(CallError::NotSent(format!("{line}: the time for this call is over")));
        }
        let mutates = method != Method::GET;
        let request = self.request(method, path, body)?;
        match self.api.transport.send(request, deadline).await {
            Ok(answer) => {
                let reply = self.read(answer);
                self.has_changed |= mutates && !matches!(reply.status, 400..=407 | 409..=499);
                let id = reply.request.as_deref().map(|id| format!(" {id}")).unwrap_or_default();
                self.receipt.requests.push(format!("{line} {}{id}", reply.status));
                Ok(reply)
            }
            Err(SendError::NotSent(why)) => Err(CallError::NotSent(self.secrets.clean(&why))),
            Err(SendError::Unknown(why)) => {
                self.has_changed |= mutates;
                self.receipt.requests.push(format!("{line} no answer"));
                Err(CallError::OutcomeUnknown(self.secrets.clean(&format!("{line}: {why}"))))
            }
        }
    }

    pub async fn get(&mut self, path: &str) -> Result<Reply, CallError> {
        self.send(Method::GET, path, None).await
    }

    fn request(&self, method: Method, path: &str, body: Option<&Json>) -> Result<http::Request<Bytes>, CallError> {
        let mutates = method != Method::GET;
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.api.base))
            .header(http::header::AUTHORIZATION, self.api.authorization.clone())
            .header(http::header::ACCEPT, "application/json");
        // Platforms that know this header will do a repeated request once; the others leave it alone.
        if let Some(token) = self.idempotency.as_ref().filter(|_| mutates) {
            request = request.header("idempotency-key", token.clone());
        }
        let body = match body {
            None => Bytes::new(),
            Some(json) => {
                request = request.header(http::header::CONTENT_TYPE, "application/json");
                serde_json::to_vec(json).expect("writing JSON into memory does not fail").into()
            }
        };
        request.body(body).map_err(|error| CallError::NotSent(format!("the request is none: {error}")))
    }

    fn read(&self, answer: http::Response<Bytes>) -> Reply {
        let header = |name: &HeaderName| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let request = header(&self.api.dialect.request_id).map(|id| id.chars().take(64).collect());
        let json: Option<Json> = serde_json::from_slice(answer.body()).ok();
        let explained = json.as_ref().and_then(self.api.dialect.explain);
        let (words, field) = explained.unwrap_or_else(|| (describe(&answer, json.is_some()), None));
        Reply {
            status: answer.status().as_u16(),
            request,
            words: self.secrets.clean(&words).chars().take(WORDS_MAX).collect(),
            field,
            retry_after: retry_after(&answer, self.api.clock.now()),
            platform: self.api.dialect.platform,
            json,
        }
    }
}

impl Reply {
    pub fn is(&self, status: StatusCode) -> bool {
        self.status == status.as_u16()
    }

    /// The object does not exist. A 404 without JSON is another thing: the path does not exist.
    pub fn is_gone(&self) -> bool {
        matches!(self.status, 404 | 410) && self.json.is_some()
    }

    pub fn is_fine(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body of a good answer, or the error that any other is.
    pub fn fine(self) -> Result<Json, CallError> {
        if !self.is_fine() {
            return Err(self.sort());
        }
        match self.json {
            Some(json) => Ok(json),
            None => Err(CallError::OutcomeUnknown(format!("{} answered {} with {}", self.platform, self.status, self.words))),
        }
    }

    /// A good answer whose body does not matter.
    pub fn done(self) -> Result<(), CallError> {
        if self.is_fine() { Ok(()) } else { Err(self.sort()) }
    }

    /// What an answer that is not good means: a definite no, come back later, or nobody knows.
    pub fn sort(self) -> CallError {
        match self.status {
            429 => CallError::Throttled { after: self.retry_after },
            // A timeout of work that has begun, and every fault of the server: it may have happened.
            408 | 500.. | ..400 => {
                CallError::OutcomeUnknown(format!("{} answered {}: {}", self.platform, self.status, self.words))
            }
            status => CallError::Refused {
                status: Some(status),
                field: self.field,
                words: self.words,
                request: self.request,
                code: match status {
                    401 => Code::Unauthorized,
                    404 | 410 => Code::NotFound,
                    _ => Code::Refused,
                },
            },
        }
    }
}

/// What came instead of something that the dialect can explain.
fn describe(answer: &http::Response<Bytes>, is_json: bool) -> String {
    let kind =
        answer.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("no content type");
    match answer.body() {
        body if body.is_empty() => "an empty body".to_owned(),
        _ if is_json => "a body without an explanation".to_owned(),
        body => {
            let text: String =
                String::from_utf8_lossy(&body[..body.len().min(1200)]).split_whitespace().collect::<Vec<_>>().join(" ");
            format!("a body that is no JSON ({kind}): {}", text.chars().take(120).collect::<String>())
        }
    }
}

/// `Retry-After` in seconds or as a date, else the moment at which the rate limit is lifted.
fn retry_after(answer: &http::Response<Bytes>, now: jiff::Timestamp) -> Option<Duration> {
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let text = header("retry-after").or_else(|| header("x-ratelimit-reset"))?;
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds.min(86_400)));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let wait = date.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO).min(Duration::from_secs(86_400)))
}
