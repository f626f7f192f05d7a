//! Secrets as state knows them: which value each has, how old it is, and when another one is due.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::connections::Connections;
use super::plan::{self, Planned, Request};
use super::project::Failure;
use super::workspace::Workspace;
use crate::expand::KeptSecret;
use crate::model::known_secrets::SHORTEST;
use crate::model::{Action, Address, Change, Code, Data, Diagnostic, EdgeReason, KnownSecrets, Plan, Record, Value};
use crate::state::{State, View};

/// The kind of a secret's resource.
pub const KIND: &str = "engine.secret";

/// One secret, without its value.
#[derive(Clone, Debug)]
pub struct SecretAge {
    pub address: Address,
    /// From outside; otherwise it was generated.
    pub given: bool,
    /// Which of its values it has, from 1.
    pub version: i64,
    pub since: Option<Timestamp>,
    pub due: Option<Timestamp>,
    /// Until when the former value is kept, where there is one.
    pub previous_until: Option<Timestamp>,
}

/// Given secrets that are too short to be recognised where a platform repeats them.
pub fn short_ones(workspace: &Workspace) -> Vec<Diagnostic> {
    let Ok(given) = workspace.given_secrets() else { return Vec::new() };
    let short = given.iter().filter(|(_, value)| value.as_text().is_some_and(|text| text.len() < SHORTEST));
    short
        .map(|(name, _)| {
            let declared = workspace.project.program.body.secrets.iter().find(|it| it.name == *name).map(|it| it.span);
            Code::Doubtful
                .warning(format!("`secret.{name}` has fewer than {SHORTEST} bytes: it is easily guessed"))
                .labels(declared.map(|span| (span, "given from outside")))
                .note("where a platform repeats it, it is not recognised: that would hide other texts by chance")
        })
        .collect()
}

/// All secrets that state holds, by address.
pub fn ages(state: &State) -> Vec<SecretAge> {
    let secrets = state.view().records.values().filter(|record| &*record.kind == KIND);
    secrets
        .map(|record| SecretAge {
            address: record.address.clone(),
            given: is_given(record),
            version: version(record),
            since: instant(record, "since"),
            due: instant(record, "due"),
            previous_until: instant(record, "previous_until").filter(|_| record.computed.contains_key("previous")),
        })
        .collect()
}

/// What records say of secrets, and which are to get another value: those in `workspace.rotating`, and those that somebody gives
/// another one.
///
/// Errors: those of [`Workspace::given_secrets`].
pub fn kept(workspace: &Workspace) -> Result<BTreeMap<Address, KeptSecret>, Failure> {
    let given = workspace.given_secrets()?;
    let now = workspace.settings.world.clock.now();
    let secrets = workspace.state.view().records.values().filter(|record| &*record.kind == KIND);
    let kept = secrets.map(|record| {
        let given_now = record.address.as_str().strip_prefix("secret.").and_then(|name| given.get(name));
        let is_other = is_given(record) && given_now.is_some_and(|value| Some(value) != record.inputs.get("given"));
        let rotates = is_other || workspace.rotating.contains(&record.address);
        let over = record.computed.contains_key("previous") && instant(record, "previous_until").is_some_and(|it| it <= now);
        let ended = record.inputs.get("ended").and_then(Value::as_bool) == Some(true) || over;
        let version = version(record).saturating_add(i64::from(rotates));
        (record.address.clone(), KeptSecret { version, ended: ended && !rotates, given: is_given(record) })
    });
    Ok(kept.collect())
}

fn is_given(record: &Record) -> bool {
    record.inputs.get("given").is_some_and(|value| !value.is_null())
}

fn version(record: &Record) -> i64 {
    record.inputs.get("version").and_then(Value::as_int).unwrap_or(1)
}

fn instant(record: &Record, name: &str) -> Option<Timestamp> {
    match record.computed.get(name)?.data {
        Data::Instant(at) => Some(at),
        _ => None,
    }
}

/// A plan that rotates a secret, or goes on with a rotation that did not reach everything.
pub struct Rotation {
    pub planned: Planned,
    pub secret: Address,
    /// Resources that still have the former value: no third one is made.
    pub unfinished: Vec<Address>,
}

/// Plans another value for a secret, and what follows for whatever uses it; other changes of the program wait for the next apply.
///
/// Errors: [`Code::UnknownName`]; [`Code::SecretMissing`] for one that is given from outside and was not given anew; those of
/// [`plan::refreshed`].
pub async fn rotate(workspace: &mut Workspace, connections: &Connections, named: &str) -> Result<Rotation, Failure> {
    let secret = find(workspace.state.view(), named).map_err(|it| workspace.fail(it))?;
    let unfinished = unfinished(workspace, &secret)?;
    if unfinished.is_empty() {
        refuse_same(workspace, &secret)?;
        workspace.rotating.insert(secret.clone());
    }
    let planned = planned(workspace, connections, &secret).await;
    workspace.rotating.clear();
    Ok(Rotation { planned: planned?, secret, unfinished })
}

/// The plan of what the secret reaches.
async fn planned(workspace: &Workspace, connections: &Connections, secret: &Address) -> Result<Planned, Failure> {
    let planned = plan::refreshed(workspace, connections, &Request::default()).await?;
    let reached = reached(&planned.plan, secret, &given_anew(workspace, secret)?);
    let others: Vec<&Address> =
        planned.plan.changes.iter().map(|change| &change.address).filter(|address| !reached.contains(address)).collect();
    if others.is_empty() {
        return Ok(planned);
    }
    let left = others_wait(&others);
    let only = reached.iter().map(Address::to_string).collect();
    let mut planned = plan::refreshed(workspace, connections, &Request { only, ..Request::default() }).await?;
    // Nobody has typed `--only`: what it leaves out is said in words of its own.
    planned.plan.warnings.retain(|it| it.code != Code::Doubtful || !it.message.starts_with("`--only`"));
    planned.plan.warnings.push(left);
    Ok(planned)
}

fn others_wait(others: &[&Address]) -> Diagnostic {
    const NAMED: usize = 10;
    let names: Vec<String> = others.iter().take(NAMED).map(|it| format!("`{it}`")).collect();
    let more = if others.len() > NAMED { format!(" and {} more", others.len() - NAMED) } else { String::new() };
    Code::Doubtful
        .warning("a rotation changes what uses the secret; other changes, and the outputs of the stack, wait for the next apply")
        .note(format!("they are {}{more}", names.join(", ")))
}

/// The new value of a secret that is given from outside: whoever uses it has it in the plan itself.
fn given_anew(workspace: &Workspace, secret: &Address) -> Result<KnownSecrets, Failure> {
    let known = KnownSecrets::default();
    if let Some(value) = secret.as_str().strip_prefix("secret.").map(|name| workspace.given_secrets().map(|all| all.get(name))) {
        value?.iter().for_each(|value| known.learn(value));
    }
    Ok(known)
}

/// The secret that somebody means: `session_key`, `secret.session_key`, `database.main/secret.password`.
fn find(view: &View, named: &str) -> Result<Address, Box<Diagnostic>> {
    let whole = if named.contains("secret.") { named.to_owned() } else { format!("secret.{named}") };
    let all = || view.records.values().filter(|record| &*record.kind == KIND).map(|record| &record.address);
    if let Some(found) = all().find(|address| address.as_str() == whole) {
        return Ok(found.clone());
    }
    let near = super::nearest(&whole, all().map(Address::as_str)).map(|it| format!("write `{it}`"));
    let none = all().next().is_none().then_some("nothing that was applied uses a secret");
    Err(Box::new(
        Code::UnknownName
            .error(format!("state holds no secret `{whole}`"))
            .helps(near)
            .helps(none.map(str::to_owned))
            .help("`stackwright status` lists them; one that was never applied has no value to rotate"),
    ))
}

/// A secret from outside rotates by being given anew.
fn refuse_same(workspace: &Workspace, secret: &Address) -> Result<(), Failure> {
    let Some(record) = workspace.state.view().records.get(secret).filter(|record| is_given(record)) else { return Ok(()) };
    let name = secret.as_str().trim_start_matches("secret.");
    let given = workspace.given_secrets()?.get(name);
    if given.is_some_and(|given| Some(given) != record.inputs.get("given")) {
        return Ok(());
    }
    let what = if given.is_some() { "what is given is the value that it has" } else { "it is not given now" };
    Err(workspace.fail(Box::new(
        Code::SecretMissing.error(format!("`{secret}` comes from outside, and {what}")).about(secret.clone()).help(format!(
            "make a new one where it comes from, then give it: `stackwright rotate {name} --secret-file {name}=FILE`, \
             `--secret-stdin {name}`, or STACK_SECRET_{name}"
        )),
    )))
}

/// Resources that had the former value of a secret when they were last applied, and did not get the present one. Such a rotation was
/// interrupted.
fn unfinished(workspace: &Workspace, secret: &Address) -> Result<Vec<Address>, Failure> {
    let view = workspace.state.view();
    let Some(record) = view.records.get(secret).filter(|record| version(record) > 1) else { return Ok(Vec::new()) };
    let plan = plan::from_records(workspace)?;
    let users = users(view, secret);
    let behind = |change: &&Change| {
        let older = change.before.as_ref().is_some_and(|before| before.version < record.version);
        let updates = matches!(change.action, Action::Update | Action::Replace { .. });
        let is_secret = |value: &Option<Value>| value.as_ref().is_some_and(Value::has_secret);
        older && updates && users.contains(&change.address) && change.fields.iter().any(|field| is_secret(&field.after))
    };
    Ok(plan.changes.iter().filter(behind).map(|change| change.address.clone()).collect())
}

/// Everything whose values were made from the secret, through any number of resources, as state has it.
fn users(view: &View, secret: &Address) -> BTreeSet<Address> {
    let mut by_use: BTreeMap<&Address, Vec<&Address>> = BTreeMap::new();
    for record in view.records.values() {
        for edge in record.edges.iter().filter(|edge| edge.reason == EdgeReason::Reference) {
            by_use.entry(&edge.to).or_default().push(&record.address);
        }
    }
    let (mut found, mut open) = (BTreeSet::new(), vec![secret]);
    while let Some(address) = open.pop() {
        for user in by_use.get(address).into_iter().flatten() {
            if found.insert((*user).clone()) {
                open.push(user);
            }
        }
    }
    found
}

/// The secret, and the changes of a plan that follow from it: by an edge, or by the value that is given anew.
fn reached(plan: &Plan, secret: &Address, given: &KnownSecrets) -> BTreeSet<Address> {
    let mut by_use: BTreeMap<&Address, Vec<&Address>> = BTreeMap::new();
    for change in &plan.changes {
        for edge in change.after.iter().flat_map(|after| &after.edges).filter(|edge| edge.reason == EdgeReason::Reference) {
            by_use.entry(&edge.to).or_default().push(&change.address);
        }
    }
    let holds = |change: &&Change| {
        let mut attributes = change.fields.iter().filter_map(|field| field.after.as_ref());
        attributes.any(|value| given.is_in_value(value))
    };
    let holders = plan.changes.iter().filter(holds).map(|change| &change.address);
    let mut open: Vec<&Address> = holders.chain([secret]).collect();
    let mut found: BTreeSet<Address> = open.iter().map(|it| (*it).clone()).collect();
    while let Some(address) = open.pop() {
        for user in by_use.get(address).into_iter().flatten() {
            if found.insert((*user).clone()) {
                open.push(user);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
