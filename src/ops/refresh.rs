//! Asking the platforms what there is: by listing where a kind can be listed, all at once, inside each provider's budget.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connections::Connections;
use crate::apply::Connect;
use crate::model::{Address, Code, Desired, DesiredProvider, Diagnostic, Fields, ProviderName, Record, Schemas, Seen};
use crate::plan::refresh::{Look, What, looks, sort_adoption, sort_listing, sort_reading};
use crate::providers::contract::{CallError, Connection};
use crate::world::{Clock, World};

/// What was seen, and how many resources were looked at.
pub struct Refreshed {
    pub seen: Seen,
    pub resources: usize,
}

/// How often a question is asked again that a platform throttled, or that did not get through.
const ATTEMPTS: u32 = 4;

/// Looks at everything that state holds, and at the data that the program reads.
///
/// Errors: one for each provider that cannot be asked, with what it said.
pub async fn refresh(
    connections: &Connections,
    world: &World,
    desired: &Desired,
    records: &BTreeMap<Address, Arc<Record>>,
    schemas: &Schemas,
    provider_of: &dyn Fn(&ProviderName) -> DesiredProvider,
) -> Result<Refreshed, Vec<Diagnostic>> {
    let looks = looks(desired, records, schemas);
    let mut open: BTreeMap<ProviderName, (Arc<dyn Connection>, Arc<Semaphore>)> = BTreeMap::new();
    let mut errors: BTreeMap<String, Diagnostic> = BTreeMap::new();
    for look in &looks {
        if open.contains_key(&look.provider) {
            continue;
        }
        match connections.connect(&provider_of(&look.provider)) {
            Ok(connection) => {
                let permits = connection.budget().concurrent.max(1) as usize;
                open.insert(look.provider.clone(), (connection, Arc::new(Semaphore::new(permits))));
            }
            Err(diagnostic) => drop(errors.insert(look.provider.to_string(), *diagnostic)),
        }
    }
    if !errors.is_empty() {
        return Err(errors.into_values().collect());
    }
    let mut asked = JoinSet::new();
    for (at, look) in looks.iter().enumerate() {
        let (connection, permits) = open[&look.provider].clone();
        let (look, clock) = (look.clone(), world.clock.clone());
        let records = listed(&look, records);
        asked.spawn(async move {
            let _permit = permits.acquire_owned().await.expect("the permits are never closed");
            (at, ask(&*connection, &look, &records, &*clock).await)
        });
    }
    let (mut seen, mut resources) = (Seen::default(), 0);
    while let Some(answer) = asked.join_next().await {
        let (at, answer) = answer.expect("asking does not panic");
        let look = &looks[at];
        match answer {
            Ok(Told::Listed(objects)) => {
                resources += if let What::List { records, .. } = &look.what { records.len() } else { 0 };
                sort_listing(look, objects, records, &mut seen);
            }
            Ok(Told::Adoptable(objects)) => {
                resources += 1;
                sort_adoption(look, objects, &mut seen);
            }
            Ok(Told::Read(object)) => {
                resources += 1;
                sort_reading(look, object, &mut seen);
            }
            Err(error) => drop(errors.entry(look.provider.to_string()).or_insert_with(|| unreadable(look, &error))),
        }
    }
    if errors.is_empty() { Ok(Refreshed { seen, resources }) } else { Err(errors.into_values().collect()) }
}

enum Told {
    Listed(Option<Vec<Fields>>),
    Read(Option<Fields>),
    Adoptable(Vec<Fields>),
}

/// So many objects that a listing lacks are asked for one by one; of more, the listing is believed.
const MISSED_MAX: usize = 64;

/// The records that a listing is to show.
fn listed(look: &Look, records: &BTreeMap<Address, Arc<Record>>) -> Vec<Arc<Record>> {
    match &look.what {
        What::List { records: asked, .. } => asked.iter().filter_map(|address| records.get(address).cloned()).collect(),
        What::Read { .. } | What::Adopt { .. } => Vec::new(),
    }
}

/// What a listing lacks is asked for by its name before it counts as gone: listings may be behind.
async fn missed(
    connection: &dyn Connection,
    look: &Look,
    records: &[Arc<Record>],
    objects: Option<Vec<Fields>>,
    clock: &dyn Clock,
) -> Result<Option<Vec<Fields>>, CallError> {
    let id = &look.kind.id;
    let has = |record: &Record| {
        let shown = |object: &Fields| record.attribute(id).is_none_or(|value| object.get(id) == Some(value));
        objects.iter().flatten().any(shown)
    };
    let missing: Vec<&Arc<Record>> = records.iter().filter(|record| !has(record)).collect();
    if missing.is_empty() || missing.len() > MISSED_MAX || connection.delays().shown.is_zero() {
        return Ok(objects);
    }
    let mut found = Vec::new();
    for record in missing {
        let known = record.attributes();
        found.extend(patiently(clock, || connection.read(&look.kind, &known)).await?);
    }
    Ok(match (objects, found) {
        (None, found) if found.is_empty() => None,
        (objects, found) => Some(objects.into_iter().flatten().chain(found).collect()),
    })
}

async fn ask(connection: &dyn Connection, look: &Look, records: &[Arc<Record>], clock: &dyn Clock) -> Result<Told, CallError> {
    match &look.what {
        What::List { group, .. } => {
            let objects = patiently(clock, || connection.list(&look.kind, group)).await?;
            missed(connection, look, records, objects, clock).await.map(Told::Listed)
        }
        What::Read { known, .. } => patiently(clock, || connection.read(&look.kind, known)).await.map(Told::Read),
        What::Adopt { group: Some(group), .. } => {
            let listed = patiently(clock, || connection.list(&look.kind, group)).await;
            listed.map(|objects| Told::Adoptable(objects.unwrap_or_default()))
        }
        What::Adopt { group: None, known, .. } => {
            let read = patiently(clock, || connection.read(&look.kind, known)).await;
            read.map(|object| Told::Adoptable(object.into_iter().collect()))
        }
    }
}

/// Asks again where that can help: reading changes nothing.
pub async fn patiently<T, F>(clock: &dyn Clock, question: impl Fn() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut attempt = 0;
    loop {
        let told = question().await;
        attempt += 1;
        let pause = match &told {
            Err(CallError::Throttled { after }) => after.unwrap_or(Duration::from_millis(250 << attempt)),
            Err(CallError::NotSent(_) | CallError::OutcomeUnknown(_)) => Duration::from_millis(100 << attempt),
            _ => return told,
        };
        if attempt >= ATTEMPTS {
            return told;
        }
        clock.sleep(pause.min(Duration::from_secs(30))).await;
    }
}

fn unreadable(look: &Look, error: &CallError) -> Diagnostic {
    let what = match &look.what {
        What::List { .. } => format!("the list of its `{}`", look.kind.name),
        What::Read { address, .. } | What::Adopt { address, .. } => format!("`{address}`"),
    };
    let text = format!("provider `{}` cannot be asked for {what}: {error}", look.provider);
    match error {
        CallError::Refused { code, .. } => code.error(text),
        _ => Code::Unavailable.error(text),
    }
    .help("try again when it answers, or plan from records with `--offline`")
}
