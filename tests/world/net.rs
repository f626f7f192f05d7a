//! The network to simulated clouds: requests are lost, late, answered wrongly or twice; listings show what was.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use stackwright::providers::contract::{Cloud, Delays, Effect, SendError, Transport};
use stackwright::providers::registry;
use stackwright::state::contract::Entry;
use stackwright::world::Clock;
use stackwright::world::guards::Guard;
use tokio::sync::oneshot;

use crate::chance::{Chance, Fuse};
use crate::ledger::{Ledger, Operation};

/// For so long a request may be under way after whoever sent it has given up, or is dead.
pub const LINGER: Duration = Duration::from_secs(30);
/// So old may a listing be: what the kinds of the clouds declare.
pub const LAG: Duration = Duration::from_secs(10);

/// How bad it is, of a thousand requests each.
#[derive(Clone, Copy, Default, Debug)]
pub struct Weather {
    pub lost: u64,
    pub late: u64,
    pub wrong: u64,
    pub throttled: u64,
    pub doubled: u64,
    pub stale: u64,
    pub slow: u64,
}

/// Guards that a test takes away from the engine, to see that the laws notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Without {
    Nothing,
    /// What is said about how long requests may be under way is not true.
    SettleTime,
    /// Marks on objects do not arrive.
    Marks,
    /// Deleting what is gone is an error.
    IdempotentDelete,
    /// What is said to be durable is not.
    DurableIntent,
    /// Calls do not say whose they are.
    Token,
    /// A deletion is called done before the platform has answered.
    Answer,
    /// What the engine does itself.
    Guards(&'static [Guard]),
}

pub struct Net {
    clock: Arc<dyn Clock>,
    start: jiff::Timestamp,
    chance: Chance,
    pub ledger: Arc<Ledger>,
    pub without: Without,
    inner: Mutex<Inner>,
}

struct Inner {
    clouds: BTreeMap<String, Box<dyn Cloud>>,
    /// What each cloud was before its last changes, and until when.
    past: BTreeMap<String, VecDeque<(Duration, serde_json::Value)>>,
    /// Live objects by kind and id, with the token of the call that made each.
    live: BTreeMap<(String, String), String>,
    /// What each token made.
    made: BTreeMap<(String, String), u32>,
    journal: Vec<String>,
    weather: Weather,
    faults: BTreeMap<&'static str, u64>,
}

/// What becomes of one request.
#[derive(Default, Debug)]
struct Fate {
    refused_connection: bool,
    /// Until it reaches the cloud.
    arrives: Duration,
    /// It never does.
    lost: bool,
    /// The cloud answers so, and does nothing.
    instead: Option<(u16, Option<u64>)>,
    /// It does what it was asked, and answers so.
    after: Answer,
    returns: Duration,
    /// The client's connection breaks at that moment, while the request may be under way.
    breaks: Option<Duration>,
    again: bool,
    /// How old is what is shown.
    stale: Duration,
}

#[derive(Default, Debug)]
enum Answer {
    #[default]
    Whole,
    Status(u16),
    Half,
    Page,
    Nothing,
}

impl Fate {
    /// What is wrong with it.
    fn words(&self) -> Vec<&'static str> {
        let mut all = Vec::new();
        if self.refused_connection {
            all.push("connections refused");
        }
        match self.instead {
            Some((429, _)) => all.push("throttled"),
            Some(_) => all.push("5xx before the effect"),
            None => {}
        }
        match self.after {
            Answer::Whole => {}
            Answer::Status(_) => all.push("5xx after the effect"),
            Answer::Half | Answer::Page => all.push("answers that are none"),
            Answer::Nothing => all.push("answers lost"),
        }
        match self.breaks {
            _ if self.lost => all.push("requests lost"),
            Some(_) => all.push("late after a broken connection"),
            None => {}
        }
        if self.again {
            all.push("delivered twice");
        }
        if !self.stale.is_zero() {
            all.push("listings of before");
        }
        all
    }
}

impl Net {
    pub fn new(clock: Arc<dyn Clock>, start: jiff::Timestamp, chance: Chance, ledger: Arc<Ledger>, without: Without) -> Net {
        let clouds = registry::all().iter().filter_map(|it| Some((it.schema().name.to_string(), it.cloud()?))).collect();
        let inner = Inner {
            clouds,
            past: BTreeMap::new(),
            live: BTreeMap::new(),
            made: BTreeMap::new(),
            journal: Vec::new(),
            weather: Weather::default(),
            faults: BTreeMap::new(),
        };
        Net { clock, start, chance, ledger, without, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn set_weather(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    pub fn journal(&self) -> Vec<String> {
        self.lock().journal.clone()
    }

    /// What befell requests and appends so far.
    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.lock().faults.clone()
    }

    pub fn befalls(&self, what: &'static str) {
        *self.lock().faults.entry(what).or_default() += 1;
    }

    /// Kind, id, and the token that made it.
    pub fn live(&self) -> BTreeMap<(String, String), String> {
        self.lock().live.clone()
    }

    pub fn contents(&self, provider: &str) -> serde_json::Value {
        self.lock().clouds[provider].save()
    }

    /// Entries became durable.
    pub fn written(&self, entries: &[Entry]) {
        let without = self.ledger.take(entries);
        let inner = self.lock();
        for token in without {
            for ((kind, id), _) in inner.live.iter().filter(|(_, made_by)| **made_by == token) {
                self.ledger.violates(format!("{token} is closed as without effect, and it made {kind} {id}"));
            }
        }
    }

    fn fate(&self, request: &Request<Bytes>, deadline: Duration) -> Fate {
        let (chance, weather) = (&self.chance, self.lock().weather);
        let ms = |most| chance.within(Duration::from_millis(most));
        let mut fate = Fate { arrives: ms(20), returns: ms(20), ..Fate::default() };
        let mutates = request.method() != http::Method::GET;
        if chance.hits(weather.slow) {
            fate.arrives += chance.within(Duration::from_secs(8));
        }
        if chance.hits(weather.throttled) {
            fate.instead = Some((429, chance.hits(500).then(|| chance.below(8))));
        } else if chance.hits(weather.wrong) {
            let status = *chance.pick(&[500, 502, 503, 504]);
            match chance.below(5) {
                0 => fate.instead = Some((status, None)),
                1 => fate.after = Answer::Status(status),
                2 => fate.after = Answer::Half,
                3 => fate.after = Answer::Page,
                _ => fate.refused_connection = true,
            }
        } else if chance.hits(weather.lost) {
            match chance.below(3) {
                0 => fate.lost = true,
                1 => fate.after = Answer::Nothing,
                _ => {
                    fate.lost = true;
                    fate.breaks = Some(ms(500));
                }
            }
        } else if mutates && chance.hits(weather.late) {
            // The client hears that its connection is gone, or nothing until its time is over; the bytes are under way.
            let breaks = if chance.hits(700) { ms(1000) } else { deadline };
            fate.breaks = Some(breaks);
            fate.arrives = breaks + chance.within(LINGER - Duration::from_secs(1));
        } else if mutates && chance.hits(weather.doubled) {
            fate.again = !creates_without_name(request);
        }
        if !mutates && lists(request.uri().path()) && chance.hits(weather.stale) {
            fate.stale = chance.within(LAG - Duration::from_secs(1));
        }
        fate
    }

    /// Law: no byte leaves before its intent is durable.
    fn departs(&self, request: &Request<Bytes>) {
        if request.method() == http::Method::GET {
            return;
        }
        let state = token(request).and_then(|token| self.ledger.state(&token));
        if state != Some(Operation::Open) {
            let words = format!("{} {} left, and its intent is {state:?}", request.method(), request.uri().path());
            self.ledger.violates(words);
        }
    }

    /// Its way to the cloud and back. Whoever waits for the answer may have gone.
    async fn travel(
        self: Arc<Self>,
        request: Request<Bytes>,
        fate: Fate,
        answered: oneshot::Sender<Result<Response<Bytes>, SendError>>,
    ) {
        let mut answered = Some(answered);
        if self.without == Without::Answer && request.method() == http::Method::DELETE {
            let _ = answered.take().expect("nobody has answered").send(Ok(Response::new(Bytes::from_static(b"{}"))));
        }
        self.clock.sleep(fate.arrives).await;
        if fate.lost {
            // Nobody says so: the client finds out by its own clock, or by its connection.
            self.clock.sleep(Duration::from_secs(400)).await;
            return;
        }
        let reply = match fate.instead {
            Some((status, after)) => plain(status, after),
            None => {
                let reply = self.answer(&request, fate.stale);
                if fate.again { self.answer(&request, Duration::ZERO) } else { reply }
            }
        };
        let reply = match (fate.instead, fate.after) {
            (Some(_), _) | (None, Answer::Whole) => Ok(reply),
            (None, Answer::Status(status)) => Ok(plain(status, None)),
            (None, Answer::Page) => Ok(page()),
            (None, Answer::Half | Answer::Nothing) => Err(SendError::Unknown("the connection ended".into())),
        };
        self.clock.sleep(fate.returns).await;
        if let Some(answered) = answered {
            // Who no longer waits has died.
            let _ = answered.send(reply);
        }
    }

    fn answer(&self, request: &Request<Bytes>, stale: Duration) -> Response<Bytes> {
        let (provider, request) = split(request);
        let elapsed = self.clock.elapsed();
        let now = self.start + jiff::SignedDuration::try_from(elapsed).expect("a life is short");
        let mut inner = self.lock();
        let inner = &mut *inner;
        if !stale.is_zero()
            && let Some(answer) = inner.answer_of_before(&provider, &request, now, elapsed.saturating_sub(stale))
        {
            return answer;
        }
        let cloud = inner.clouds.get_mut(&provider).expect("requests go to clouds that exist");
        let (version, before, mut effects) = (cloud.version(), cloud.save(), Vec::new());
        let mut answer = cloud.respond(&request, now, &mut effects);
        if cloud.version() != version {
            let past = inner.past.entry(provider.clone()).or_default();
            past.push_back((elapsed, before));
            while past.front().is_some_and(|(until, _)| *until + LAG < elapsed) {
                past.pop_front();
            }
        }
        let line = format!("{elapsed:?} {} {provider}{} {} {effects:?}", request.method(), request.uri(), answer.status());
        inner.journal.push(line);
        if let Some(token) = token(&request) {
            effects.iter().for_each(|effect| self.note(inner, effect, &token));
        }
        if self.without == Without::IdempotentDelete && request.method() == http::Method::DELETE && answer.status() == 404 {
            answer = plain(400, None);
        }
        answer
    }

    /// Laws: what was closed has no effect any more, and nothing is made twice.
    fn note(&self, inner: &mut Inner, effect: &Effect, token: &str) {
        let what = format!("{} {} {} by {token}", effect.effect, effect.kind, effect.id);
        match self.ledger.state(token) {
            Some(Operation::Open) => {}
            state => self.ledger.violates(format!("{what}, whose intent is {state:?}")),
        }
        let place = (effect.kind.to_owned(), effect.id.clone());
        match effect.effect {
            "create" => {
                let made = inner.made.entry((token.to_owned(), effect.kind.to_owned())).or_default();
                *made += 1;
                if *made > 1 {
                    self.ledger.violates(format!("{what} was made twice"));
                }
                inner.live.insert(place, token.to_owned());
            }
            "delete" => drop(inner.live.remove(&place)),
            _ => {}
        }
    }
}

impl Inner {
    /// The answer of the cloud as it was then, where it was another.
    fn answer_of_before(
        &self,
        provider: &str,
        request: &Request<Bytes>,
        now: jiff::Timestamp,
        then: Duration,
    ) -> Option<Response<Bytes>> {
        let (_, state) = self.past.get(provider)?.iter().find(|(until, _)| *until > then)?;
        let mut old = registry::provider(provider)?.cloud()?;
        old.load(state.clone()).ok()?;
        Some(old.respond(request, now, &mut Vec::new()))
    }
}

/// The network as one process has it.
pub struct Line {
    pub net: Arc<Net>,
    pub fuse: Arc<Fuse>,
}

#[async_trait]
impl Transport for Line {
    async fn send(&self, mut request: Request<Bytes>, deadline: Duration) -> Result<Response<Bytes>, SendError> {
        let begun = self.net.clock.elapsed();
        self.fuse.touch().await;
        // A client that was stopped finds its time over before it writes.
        let spent = self.net.clock.elapsed() - begun;
        if spent >= deadline {
            return Err(SendError::Unknown("no answer came in time".into()));
        }
        let deadline = deadline - spent;
        match self.net.without {
            Without::Marks => strip(&mut request),
            Without::Token => drop(request.headers_mut().remove("idempotency-key")),
            _ => {}
        }
        self.net.departs(&request);
        let fate = self.net.fate(&request, deadline);
        fate.words().into_iter().for_each(|words| self.net.befalls(words));
        if fate.refused_connection {
            self.net.clock.sleep(fate.returns).await;
            return Err(SendError::NotSent("connection refused".into()));
        }
        let breaks = fate.breaks.unwrap_or(deadline).min(deadline);
        let (told, heard) = oneshot::channel();
        tokio::spawn(self.net.clone().travel(request, fate, told));
        let answer = tokio::select! {
            biased;
            answer = heard => answer.unwrap_or_else(|_| Err(SendError::Unknown("the connection ended".into()))),
            () = self.net.clock.sleep(breaks) => Err(SendError::Unknown("no answer came in time".into())),
        };
        self.fuse.touch().await;
        answer
    }

    fn delays(&self) -> Delays {
        match self.net.without {
            Without::SettleTime => Delays::NONE,
            _ => Delays { transit: LINGER, shown: LAG },
        }
    }
}

fn token(request: &Request<Bytes>) -> Option<String> {
    Some(request.headers().get("idempotency-key")?.to_str().expect("a token is ASCII").to_owned())
}

/// `http://clouds.invalid/fly/v1/apps` is `/v1/apps` of `fly`.
fn split(request: &Request<Bytes>) -> (String, Request<Bytes>) {
    let whole = request.uri().path_and_query().expect("a request has a path").as_str();
    let rest = &whole[1..];
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let mut inner = request.clone();
    *inner.uri_mut() = rest[end..].parse().expect("what follows is a path");
    (rest[..end].to_owned(), inner)
}

/// Listings may lag; what is asked for by its name is what it is.
fn lists(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    matches!(last, "apps" | "machines" | "volumes" | "secrets" | "ip_assignments" | "certificates" | "dns_records")
}

/// A request of which two make two objects, whatever anybody does.
fn creates_without_name(request: &Request<Bytes>) -> bool {
    let path = request.uri().path();
    request.method() == http::Method::POST && (lists(path) || path.ends_with("/acme"))
}

fn strip(request: &mut Request<Bytes>) {
    let text = String::from_utf8_lossy(request.body()).replace("stackwright_token", "stackwright_nothing");
    *request.body_mut() = Bytes::from(text.into_bytes());
}

fn plain(status: u16, after: Option<u64>) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(b"a fault"));
    *answer.status_mut() = StatusCode::from_u16(status).expect("it is a status");
    if let Some(after) = after {
        answer.headers_mut().insert("retry-after", after.into());
    }
    answer
}

fn page() -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(b"<!doctype html><title>Welcome</title>"));
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("text/html"));
    answer
}
