//! The clouds behind one door: a request comes in, a fault may strike it, its cloud answers, the journal is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

use super::faults::{Fault, Faults};
use super::store::{Entry, EntryEffect, Kept, OpenError, Snapshot, Store};
use crate::model::{Code, Diagnostic, Name};
use crate::providers::contract::{Cloud, Effect, Provider, SendError, Transport};
use crate::world::World;

/// What a client gets.
pub enum Reply {
    Whole(Response<Bytes>),
    /// The connection ends in the middle of the body.
    Half(Response<Bytes>),
    /// The connection ends without an answer.
    Nothing,
}

/// All simulated clouds of one place.
pub struct Clouds {
    inner: Mutex<Inner>,
    store: Option<Store>,
    providers: Vec<Arc<dyn Provider>>,
    world: World,
}

struct Inner {
    clouds: BTreeMap<Name, Slot>,
    faults: Faults,
    /// Lines of the journal, from the first on.
    journal: Vec<Arc<str>>,
    seq: u64,
    /// How many requests would have to be done once more.
    unsaved: usize,
}

/// So many requests are done once more at a start, rather than writing everything down.
const UNSAVED_MAX: usize = 500;

struct Slot {
    cloud: Box<dyn Cloud>,
    /// Before the last change, while some fault may want it.
    before: Option<serde_json::Value>,
}

impl Clouds {
    /// Clouds of those providers that have one. With a directory their contents are taken up from there and kept there.
    ///
    /// Errors: [`OpenError::Held`] if another process serves that directory; a diagnostic if it is damaged or cannot be written.
    pub fn open(providers: &[Arc<dyn Provider>], dir: Option<&Path>, faults: Faults, world: &World) -> Result<Clouds, OpenError> {
        let made = providers.iter().filter_map(|it| Some((it.schema().name.clone(), Slot { cloud: it.cloud()?, before: None })));
        let mut inner = Inner { clouds: made.collect(), faults, journal: Vec::new(), seq: 0, unsaved: 0 };
        let store = match dir {
            None => None,
            Some(dir) => {
                let (store, entries) = Store::open(dir, world)?;
                inner.take_up(&store, entries).map_err(|words| {
                    let message = format!("the simulated clouds in `{}` cannot be taken up: {words}", dir.display());
                    OpenError::Failed(Box::new(
                        Code::Unreadable.error(message).help("delete the directory: its clouds begin anew"),
                    ))
                })?;
                Some(store)
            }
        };
        let clouds = Clouds { inner: Mutex::new(inner), store, providers: providers.to_vec(), world: world.clone() };
        clouds.keep_snapshots();
        Ok(clouds)
    }

    /// Clouds in memory.
    pub fn in_memory(providers: &[Arc<dyn Provider>], faults: Faults, world: &World) -> Arc<Clouds> {
        match Clouds::open(providers, None, faults, world) {
            Ok(clouds) => Arc::new(clouds),
            Err(_) => unreachable!("without a directory there is nothing that fails"),
        }
    }

    pub fn names(&self) -> Vec<Name> {
        self.lock().clouds.keys().cloned().collect()
    }

    /// The journal so far, JSON lines.
    pub fn journal(&self) -> Vec<Arc<str>> {
        self.lock().journal.clone()
    }

    /// The whole contents of a cloud, for tests to look at.
    pub fn contents(&self, provider: &str) -> Option<serde_json::Value> {
        self.lock().clouds.get(provider).map(|slot| slot.cloud.save())
    }

    /// What the faults are from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Answers one request to one platform; its path begins where the platform's base URL ends. `None` if there is no such cloud.
    pub async fn handle(&self, provider: &str, request: Request<Bytes>) -> Option<Reply> {
        let (reply, delay, wait_for) = self.answer(provider, &request)?;
        if delay > 0 {
            self.world.clock.sleep(Duration::from_millis(delay)).await;
        }
        if let (Some(store), Some(seq)) = (&self.store, wait_for)
            && let Err(words) = store.durable(seq).await
        {
            let mut failed = Response::new(Bytes::from(format!("the simulated clouds cannot be written: {words}")));
            *failed.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            return Some(Reply::Whole(failed));
        }
        Some(reply)
    }

    /// The answer, its delay in milliseconds, and the entry that has to be durable before it is given.
    fn answer(&self, provider: &str, request: &Request<Bytes>) -> Option<(Reply, u64, Option<u64>)> {
        let now = self.world.clock.now();
        let mut inner = self.lock();
        let inner = &mut *inner;
        let slot = inner.clouds.get_mut(provider)?;
        let (delay, fault) = inner.faults.strike(provider, request.method().as_str(), request.uri().path(), &self.world);
        let version = slot.cloud.version();
        let mut effects = Vec::new();
        let reply = match fault {
            Some(Fault::DropBefore) => Reply::Nothing,
            Some(Fault::ErrorBefore { status }) => Reply::Whole(plain(status, "a fault was asked for")),
            Some(Fault::Throttle { after }) => Reply::Whole(throttled(after)),
            Some(Fault::Stale) => Reply::Whole(self.answer_stale(provider, slot, request, now)),
            fault => {
                let before = inner.faults.may_be_stale().then(|| slot.cloud.save());
                let answer = slot.cloud.respond(request, now, &mut effects);
                if slot.cloud.version() != version && before.is_some() {
                    slot.before = before;
                }
                spoil(answer, fault)
            }
        };
        let changed = slot.cloud.version() != version;
        inner.unsaved += usize::from(changed);
        inner.seq += 1;
        let entry = entry_of(inner.seq, now, provider, request, &reply, effects);
        let line = serde_json::to_string(&entry).expect("an entry is JSON");
        inner.journal.push(line.into());
        if let Some(store) = &self.store {
            store.append(&entry, changed.then(|| keep(request)).as_ref());
        }
        // A read, too, waits for the changes that it shows; its own line may follow later.
        let wait_for = if changed { inner.seq } else { inner.seq - 1 };
        Some((reply, delay, Some(wait_for)))
    }

    fn answer_stale(&self, provider: &str, slot: &mut Slot, request: &Request<Bytes>, now: jiff::Timestamp) -> Response<Bytes> {
        let fresh = self.providers.iter().find(|it| &*it.schema().name == provider).and_then(|it| it.cloud());
        if let (Some(mut old), Some(before)) = (fresh, &slot.before)
            && old.load(before.clone()).is_ok()
        {
            return old.respond(request, now, &mut Vec::new());
        }
        slot.cloud.respond(request, now, &mut Vec::new())
    }

    /// Writes what each cloud holds, if a later start would have to do many requests once more.
    pub(super) fn keep_snapshots(&self) {
        let Some(store) = &self.store else { return };
        let mut inner = self.lock();
        if inner.unsaved <= UNSAVED_MAX {
            return;
        }
        let snapshot = |slot: &Slot| Snapshot { through: inner.seq, state: slot.cloud.save() };
        // One that cannot be written is not missed: the journal has everything.
        let written = inner.clouds.iter().all(|(name, slot)| store.write_snapshot(name, &snapshot(slot)).is_ok());
        if written {
            inner.unsaved = 0;
        }
    }

    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Takes up what a directory keeps: of each cloud its snapshot, and the requests since then.
    fn take_up(&mut self, store: &Store, entries: Vec<(Entry, Option<Kept>)>) -> Result<(), String> {
        let mut through = BTreeMap::new();
        for (name, slot) in &mut self.clouds {
            if let Some(snapshot) = store.snapshot(name) {
                slot.cloud.load(snapshot.state).map_err(|words| format!("{name}: {words}"))?;
                through.insert(name.clone(), snapshot.through);
            }
        }
        for (entry, kept) in entries {
            self.seq = entry.seq;
            self.journal.push(serde_json::to_string(&entry).expect("an entry is JSON").into());
            let is_new = through.get(entry.provider.as_str()).is_none_or(|through| entry.seq > *through);
            if let (Some(slot), Some(kept), true) = (self.clouds.get_mut(entry.provider.as_str()), kept, is_new) {
                let time = entry.time.parse().map_err(|_| format!("entry {} has no time", entry.seq))?;
                let request = kept.request(&entry.method).ok_or_else(|| format!("entry {} is no request", entry.seq))?;
                slot.cloud.respond(&request, time, &mut Vec::new());
                self.unsaved += 1;
            }
        }
        Ok(())
    }
}

impl Kept {
    fn request(&self, method: &str) -> Option<Request<Bytes>> {
        let mut request = Request::builder().method(method).uri(&self.uri).header("authorization", "Bearer kept");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Bytes::from(self.body.clone())).ok()
    }
}

/// All of a request that a cloud may look at, but for the credentials.
fn keep(request: &Request<Bytes>) -> Kept {
    let unkept = ["authorization", "cookie", "user-agent", "accept", "host", "content-length", "connection", "x-auth-key"];
    let headers = request.headers().iter().filter(|(name, _)| !unkept.contains(&name.as_str()));
    Kept {
        uri: request.uri().path_and_query().map_or_else(|| "/".into(), ToString::to_string),
        headers: headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect(),
        body: String::from_utf8_lossy(request.body()).into_owned(),
    }
}

fn spoil(answer: Response<Bytes>, fault: Option<Fault>) -> Reply {
    match fault {
        Some(Fault::DropAfter) => Reply::Nothing,
        Some(Fault::HalfBody) => Reply::Half(answer),
        Some(Fault::ErrorAfter { status }) => Reply::Whole(plain(status, "a fault was asked for")),
        Some(Fault::Html) => {
            let mut page = plain(200, "<!doctype html><title>Welcome</title>");
            page.headers_mut().insert("content-type", http::HeaderValue::from_static("text/html"));
            Reply::Whole(page)
        }
        _ => Reply::Whole(answer),
    }
}

fn throttled(after: Option<u64>) -> Response<Bytes> {
    let mut answer = plain(429, "a fault was asked for");
    if let Some(after) = after {
        answer.headers_mut().insert("retry-after", after.into());
    }
    answer
}

fn plain(status: u16, text: &'static str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(text.as_bytes()));
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("text/plain"));
    answer
}

fn entry_of(
    seq: u64,
    now: jiff::Timestamp,
    provider: &str,
    request: &Request<Bytes>,
    reply: &Reply,
    effects: Vec<Effect>,
) -> Entry {
    let token = request.headers().get("idempotency-key").and_then(|value| value.to_str().ok()).map(str::to_owned);
    Entry {
        seq,
        time: now.to_string(),
        provider: provider.into(),
        method: request.method().to_string(),
        path: request.uri().path().into(),
        status: match reply {
            Reply::Whole(answer) | Reply::Half(answer) => Some(answer.status().as_u16()),
            Reply::Nothing => None,
        },
        token,
        effects: effects
            .into_iter()
            .map(|it| EntryEffect { effect: it.effect.into(), kind: it.kind.into(), id: it.id })
            .collect(),
    }
}

/// Sends requests straight to clouds in the same process. The first segment of a path names the cloud, as on a [`super::Server`].
pub struct InProcess(pub Arc<Clouds>);

impl InProcess {
    /// The base URL of a platform for this transport.
    pub fn base_url(provider: &str) -> String {
        format!("http://clouds.invalid/{provider}")
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: Request<Bytes>, _deadline: Duration) -> Result<Response<Bytes>, SendError> {
        let (provider, request) = split(request).ok_or_else(|| SendError::NotSent("the address names no cloud".into()))?;
        match self.0.handle(&provider, request).await {
            None => Err(SendError::NotSent(format!("there is no simulated cloud `{provider}`"))),
            Some(Reply::Whole(answer)) => Ok(answer),
            Some(Reply::Half(_) | Reply::Nothing) => Err(SendError::Unknown("the connection ended".into())),
        }
    }
}

/// `/fly/v1/apps` is `/v1/apps` of `fly`.
pub(super) fn split(mut request: Request<Bytes>) -> Option<(String, Request<Bytes>)> {
    let whole = request.uri().path_and_query()?.as_str();
    let rest = whole.strip_prefix('/')?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (provider, rest) = (rest[..end].to_owned(), &rest[end..]);
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    *request.uri_mut() = rest.parse().ok()?;
    Some((provider, request))
}

impl From<OpenError> for Box<Diagnostic> {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Failed(diagnostic) => diagnostic,
            OpenError::Held => {
                let message = "another program serves these simulated clouds";
                Box::new(Code::Locked.error(message).help("use it with `--sim=URL`, stop it, or name another directory"))
            }
        }
    }
}
