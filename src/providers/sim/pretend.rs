//! Platforms that are nothing but their declaration: whatever is asked of them is done in memory, and what they would compute is
//! made up by its type. For tests of programs that use a platform without a simulated cloud, or this machine.
//!
//! What is made up follows from the address and how often something was made there, so that equal runs see equal values.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

use super::faults::{Fault, Faults};
use crate::model::schema::{Attribute, Given};
use crate::model::types::{Bounds, Need, ObjectType, TextRule};
use crate::model::value::{Data, Fields, Value};
use crate::model::{Address, Code, Kind, Name, ProviderName, Type};
use crate::providers::contract::{Answer, Call, CallAction, CallError, Connection, Found, Receipt};
use crate::world::World;

/// Attributes that tests decide: they win over whatever a platform says, the last one of those that fit.
pub type Mocks = Vec<Mock>;

#[derive(Clone)]
pub struct Mock {
    /// Whose attributes they are. Nobody knows the address of a data source.
    pub fits: Arc<dyn Fn(&Kind, Option<&Address>) -> bool + Send + Sync>,
    pub fields: Fields,
}

fn mocked(mocks: &Mocks, kind: &Kind, address: Option<&Address>) -> Fields {
    mocks.iter().filter(|mock| (mock.fits)(kind, address)).flat_map(|mock| mock.fields.clone()).collect()
}

/// Everything that exists on pretended platforms, for one run.
pub struct Pretend {
    inner: Mutex<Inner>,
    world: World,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<Place, Object>,
    /// How often something was made at an address.
    made: BTreeMap<Address, u32>,
    /// Whose objects are at which address: also of those that simulated clouds have.
    addresses: BTreeMap<Place, Address>,
    mocks: Arc<Mocks>,
    faults: Faults,
}

/// Provider instance, kind, and the value of the attribute that names the object.
type Place = (ProviderName, Name, String);

struct Object {
    attributes: Fields,
    /// The operation that was last done to it.
    token: String,
    updates: u32,
}

impl Pretend {
    pub fn new(world: &World) -> Arc<Pretend> {
        Arc::new(Pretend { inner: Mutex::default(), world: world.clone() })
    }

    /// What tests decide and what goes wrong from now on.
    pub fn set(&self, mocks: Arc<Mocks>, faults: Faults) {
        let mut inner = self.lock();
        (inner.mocks, inner.faults) = (mocks, faults);
    }

    /// A connection of that provider instance.
    pub fn connection(self: &Arc<Self>, provider: &ProviderName) -> Arc<dyn Connection> {
        Arc::new(Account { all: self.clone(), provider: provider.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Account {
    all: Arc<Pretend>,
    provider: ProviderName,
}

/// Where an object is found again.
fn place(provider: &ProviderName, kind: &Kind, attributes: &Fields) -> Place {
    let id = attributes.get(&kind.id).map(|id| id.as_text().map_or_else(|| id.to_literal(), str::to_owned));
    (provider.clone(), kind.name.clone(), id.unwrap_or_default())
}

impl Account {
    fn place(&self, kind: &Kind, attributes: &Fields) -> Place {
        place(&self.provider, kind, attributes)
    }

    /// Waits and fails as the faults say; what is left comes after the effect.
    async fn strike(&self, method: &str, kind: &Kind, what: &str) -> Result<Option<Fault>, CallError> {
        let path = format!("/{}/{what}", kind.name);
        let (delay, fault) = self.all.lock().faults.strike(&self.provider.ty, method, &path, &self.all.world);
        if delay > 0 {
            self.all.world.clock.sleep(std::time::Duration::from_millis(delay)).await;
        }
        match fault {
            Some(Fault::ErrorBefore { status }) if (400..500).contains(&status) && status != 429 => Err(CallError::Refused {
                status: Some(status),
                field: None,
                words: "a fault was asked for".into(),
                request: None,
                code: if matches!(status, 401 | 403) { Code::Unauthorized } else { Code::Refused },
            }),
            Some(Fault::ErrorBefore { status }) if status != 429 => {
                Err(CallError::OutcomeUnknown(format!("{status}, a fault was asked for")))
            }
            Some(Fault::Throttle { after }) => Err(CallError::Throttled { after: after.map(std::time::Duration::from_secs) }),
            Some(Fault::ErrorBefore { .. }) => Err(CallError::Throttled { after: None }),
            Some(Fault::DropBefore) => Err(CallError::OutcomeUnknown("the connection ended".into())),
            Some(Fault::Latency { .. } | Fault::Stale) | None => Ok(None),
            fault => Ok(fault),
        }
    }

    fn create(&self, call: &Call, inputs: &Fields) -> Fields {
        let mut inner = self.all.lock();
        let inner = &mut *inner;
        let made = inner.made.entry(call.address.clone()).or_default();
        *made += 1;
        let seed = format!("{} {made}", call.address);
        let mut attributes = complete(&call.kind, inputs, &seed);
        attributes.extend(mocked(&inner.mocks, &call.kind, Some(&call.address)));
        // One name for two objects is no name: the second gets another.
        if let Some(id) = attributes.get(&call.kind.id).and_then(Value::as_text).map(str::to_owned) {
            let mut number = 2;
            while inner.objects.contains_key(&self.place(&call.kind, &attributes)) {
                attributes.insert(call.kind.id.clone(), Value::text(format!("{id}-{number}")));
                number += 1;
            }
        }
        let object = Object { attributes: attributes.clone(), token: call.token.clone(), updates: 0 };
        inner.objects.insert(self.place(&call.kind, &attributes), object);
        attributes
    }

    fn update(&self, call: &Call, before: &Fields, inputs: &Fields, changed: &[Name]) -> Result<Fields, CallError> {
        let mut inner = self.all.lock();
        let place = self.place(&call.kind, before);
        let Some(mut object) = inner.objects.remove(&place) else {
            return Err(CallError::Refused {
                status: Some(404),
                field: None,
                words: "there is no such object".into(),
                request: None,
                code: Code::NotFound,
            });
        };
        object.updates += 1;
        object.token.clone_from(&call.token);
        let computed = |name: &Name| call.kind.attribute(name).is_none_or(Attribute::is_computed);
        let is_left = |name: &Name| !computed(name) && !inputs.contains_key(name) && changed.contains(name);
        object.attributes.retain(|name, _| !is_left(name));
        object.attributes.extend(inputs.iter().map(|(name, value)| (name.clone(), value.clone())));
        let seed = format!("{} update {}", call.address, object.updates);
        for attribute in call.kind.attributes.iter().filter(|it| it.recomputed_by.iter().any(|name| changed.contains(name))) {
            object.attributes.insert(attribute.name.clone(), make(attribute, &seed));
        }
        let attributes = object.attributes.clone();
        inner.objects.insert(self.place(&call.kind, &attributes), object);
        Ok(attributes)
    }
}

#[async_trait]
impl Connection for Account {
    async fn list(&self, kind: &Kind, group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        self.strike("GET", kind, "").await?;
        let inner = self.all.lock();
        let of_kind = inner.objects.iter().filter(|((provider, name, _), _)| *provider == self.provider && *name == kind.name);
        let fits = |object: &Fields| group.iter().all(|(name, value)| object.get(name) == Some(value));
        Ok(Some(of_kind.map(|(_, object)| object.attributes.clone()).filter(fits).collect()))
    }

    async fn read(&self, kind: &Kind, known: &Fields) -> Result<Option<Fields>, CallError> {
        self.strike("GET", kind, "").await?;
        if kind.data {
            let arguments = known.iter().map(|(name, value)| format!("{name}={}", value.to_literal())).collect::<Vec<_>>();
            return Ok(Some(complete(kind, known, &format!("{} {}", kind.name, arguments.join(" ")))));
        }
        Ok(self.all.lock().objects.get(&self.place(kind, known)).map(|object| object.attributes.clone()))
    }

    async fn perform(&self, call: &Call) -> Result<Answer, CallError> {
        let method = match &call.action {
            CallAction::Create { .. } => "POST",
            CallAction::Update { .. } => "PATCH",
            CallAction::Delete { .. } => "DELETE",
        };
        let fault = self.strike(method, &call.kind, call.address.as_str()).await?;
        let attributes = match &call.action {
            CallAction::Create { inputs } => self.create(call, inputs),
            CallAction::Update { before, inputs, changed } => self.update(call, &before.attributes(), inputs, changed)?,
            CallAction::Delete { before } => {
                let place = self.place(&call.kind, &before.attributes());
                self.all.lock().objects.remove(&place);
                Fields::new()
            }
        };
        match fault {
            Some(_) => Err(CallError::OutcomeUnknown("the answer was lost: a fault was asked for".into())),
            None => {
                let requests = vec![format!("{method} {} (pretended)", call.address)];
                Ok(Answer { attributes, receipt: Receipt { requests } })
            }
        }
    }

    async fn find(&self, call: &Call) -> Result<Found, CallError> {
        self.strike("GET", &call.kind, call.address.as_str()).await?;
        let inner = self.all.lock();
        let bears = inner.objects.iter().find(|((provider, kind, _), object)| {
            *provider == self.provider && *kind == call.kind.name && object.token == call.token
        });
        let answer = |object: &Object| Answer { attributes: object.attributes.clone(), ..Answer::default() };
        Ok(match (&call.action, bears) {
            (CallAction::Create { .. } | CallAction::Update { .. }, Some((_, object))) => Found::Done(answer(object)),
            (CallAction::Create { .. }, None) => Found::Absent,
            (CallAction::Update { .. }, None) => Found::Unchanged,
            (CallAction::Delete { before }, _) => match inner.objects.contains_key(&self.place(&call.kind, &before.attributes()))
            {
                true => Found::Unchanged,
                false => Found::Done(Answer::default()),
            },
        })
    }
}

/// A connection whose answers are changed by what tests decide.
pub struct Mocked {
    inner: Arc<dyn Connection>,
    provider: ProviderName,
    mocks: Arc<Mocks>,
    all: Arc<Pretend>,
}

impl Mocked {
    pub fn new(inner: Arc<dyn Connection>, provider: &ProviderName, mocks: &Arc<Mocks>, all: &Arc<Pretend>) -> Mocked {
        Mocked { inner, provider: provider.clone(), mocks: mocks.clone(), all: all.clone() }
    }

    /// Lays what tests decide over what an object says of itself, but for its name, by which it is found again.
    fn lay(&self, kind: &Kind, mut attributes: Fields) -> Fields {
        if !self.mocks.is_empty() {
            let address = self.all.lock().addresses.get(&place(&self.provider, kind, &attributes)).cloned();
            let mocked = mocked(&self.mocks, kind, address.as_ref());
            attributes.extend(mocked.into_iter().filter(|(name, _)| *name != kind.id));
        }
        attributes
    }

    fn lay_over(&self, call: &Call, mut answer: Answer) -> Answer {
        if !answer.attributes.is_empty() {
            let place = place(&self.provider, &call.kind, &answer.attributes);
            self.all.lock().addresses.insert(place, call.address.clone());
            answer.attributes = self.lay(&call.kind, answer.attributes);
        }
        answer
    }
}

#[async_trait]
impl Connection for Mocked {
    async fn list(&self, kind: &Kind, group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        let listed = self.inner.list(kind, group).await?;
        Ok(listed.map(|all| all.into_iter().map(|it| self.lay(kind, it)).collect()))
    }

    async fn read(&self, kind: &Kind, known: &Fields) -> Result<Option<Fields>, CallError> {
        let read = self.inner.read(kind, known).await?;
        // What a test decides of a data source need not exist anywhere.
        let decided = || kind.data && self.mocks.iter().any(|mock| (mock.fits)(kind, None));
        let read = read.or_else(|| decided().then(|| complete(kind, known, &kind.name)));
        Ok(read.map(|it| self.lay(kind, it)))
    }

    async fn perform(&self, call: &Call) -> Result<Answer, CallError> {
        Ok(self.lay_over(call, self.inner.perform(call).await?))
    }

    async fn find(&self, call: &Call) -> Result<Found, CallError> {
        Ok(match self.inner.find(call).await? {
            Found::Done(answer) => Found::Done(self.lay_over(call, answer)),
            other => other,
        })
    }

    fn budget(&self) -> crate::providers::contract::Budget {
        self.inner.budget()
    }

    fn delays(&self) -> crate::providers::contract::Delays {
        self.inner.delays()
    }
}

/// What is given, and everything that a platform would add.
fn complete(kind: &Kind, given: &Fields, seed: &str) -> Fields {
    let mut attributes = given.clone();
    for attribute in &kind.attributes {
        let is_made = matches!(attribute.given, Given::Computed | Given::Live | Given::OptionalComputed);
        if is_made && attributes.get(&attribute.name).is_none_or(Value::is_null) {
            attributes.insert(attribute.name.clone(), make(attribute, seed));
        }
    }
    attributes
}

fn make(attribute: &Attribute, seed: &str) -> Value {
    let value = made_up(&attribute.ty, &attribute.name, seed);
    if attribute.sensitive { value.secret() } else { value }
}

/// A value of that type, the same one for the same name and seed.
fn made_up(ty: &Type, name: &str, seed: &str) -> Value {
    let digest = Sha256::digest(format!("{seed} {name}"));
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let inside = |ty: &Type| made_up(ty, name, seed);
    Value::engine(match ty {
        Type::Bool => Data::Bool(true),
        Type::Int(Bounds { min, max }) => {
            let min = min.unwrap_or(1);
            let room = max.map_or(i64::from(u16::MAX), |max| max.saturating_sub(min)).clamp(0, i64::from(u16::MAX));
            Data::Int(min.saturating_add(i64::from(number) % (room + 1)))
        }
        Type::Number(Bounds { min, max }) => Data::Number(min.or(*max).unwrap_or(Decimal::ONE)),
        Type::Text(rule) => return Value::text(text(rule, name, number)),
        Type::Duration => Data::Duration(1_000_000_000),
        Type::Size => Data::Size(1 << 30),
        Type::Percent => Data::Percent(Decimal::ONE),
        Type::Rate => Data::Rate(Decimal::ONE),
        Type::Money => Data::Money(Decimal::ONE, "USD".into()),
        Type::Instant => Data::Instant(jiff::Timestamp::UNIX_EPOCH),
        Type::Range(of) => Data::Range(Arc::new((inside(of), inside(of)))),
        Type::List(of, Bounds { min, .. }) => {
            Data::List(Arc::new((0..min.unwrap_or(0).min(16)).map(|at| made_up(of, name, &format!("{seed} {at}"))).collect()))
        }
        Type::Set(_) => Data::List(Arc::default()),
        Type::Map(_) => Data::Map(Arc::default()),
        Type::Object(object) => Data::Map(Arc::new(fields(object, seed))),
        Type::Literals(values) => return values.first().cloned().unwrap_or_else(Value::null),
        Type::Variant(variant) => match variant.cases.iter().next() {
            Some((label, object)) => Data::Variant(label.clone(), Arc::new(fields(object, seed))),
            None => Data::Null,
        },
        Type::Optional(of) | Type::Sensitive(of) => return inside(of),
        Type::Secret(of) => return inside(of).secret(),
        Type::Any => Data::Text(format!("{name}-{number:08x}").into()),
        Type::Poison | Type::Null | Type::Ref(_) | Type::Provider(_) | Type::Metric(_) | Type::Condition | Type::Resource(_) => {
            Data::Null
        }
    })
}

fn fields(object: &ObjectType, seed: &str) -> Fields {
    let needed = object.fields.iter().filter_map(|(name, field)| match &field.need {
        Need::Required => Some((name.clone(), made_up(&field.ty, name, seed))),
        Need::Default(value) => Some((name.clone(), value.clone())),
        Need::Absent => None,
    });
    needed.collect()
}

/// A text that its reader can take apart: an address looks like one.
fn text(rule: &TextRule, name: &str, number: u32) -> String {
    let ends = |word: &str| name == word || name.strip_suffix(word).is_some_and(|rest| rest.ends_with('_'));
    match rule {
        TextRule::Any if ends("url") || ends("uri") => format!("https://{number:08x}.invalid"),
        TextRule::Any if ends("ip") || ends("ipv4") => format!("192.0.2.{}", number % 254 + 1),
        TextRule::Any if ends("host") || ends("hostname") || ends("fqdn") => format!("{number:08x}.invalid"),
        TextRule::Any => format!("{name}-{number:08x}"),
        TextRule::Url => format!("https://{number:08x}.invalid"),
        TextRule::Cron => "0 0 * * *".into(),
        TextRule::Cidr => format!("10.{}.0.0/16", number % 256),
        TextRule::Semver => "1.0.0".into(),
        TextRule::Path => format!("{name}-{number:08x}"),
        TextRule::Matches(pattern) => {
            let candidates =
                [format!("{name}-{number:08x}"), format!("a{number:08x}"), number.to_string(), "a".into(), "0644".into()];
            let pattern = regex::Regex::new(pattern);
            let [first, ..] = &candidates;
            let fits = |text: &&String| pattern.as_ref().is_ok_and(|pattern| pattern.is_match(text));
            candidates.iter().find(fits).unwrap_or(first).clone()
        }
    }
}
