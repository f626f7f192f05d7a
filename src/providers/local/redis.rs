//! `local.redis`: a Redis of the stack's own. Its password is in a file that only this user can read, never in an argument.
//!
//! Memory, eviction and password are changed while it runs, so that what it holds is kept.

use std::time::Duration;

use rustix::process::Signal;

use super::daemon::{Fresh, Start};
use super::place::{cannot, write_whole};
use super::programs::{self, Redis};
use super::resp::Client;
use super::{Ground, inputs, ports, refused, set_pid, surroundings, within};
use crate::model::value::Fields;
use crate::model::{Data, Name, Value};
use crate::providers::contract::{Call, CallError};

pub const KIND: &str = "local.redis";

/// What makes another process of it.
const RESTARTS: [&str; 3] = ["persistent", "port", "running"];
const READY: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(10);
const ASK: Duration = Duration::from_secs(2);

pub async fn create(ground: &Ground, call: &Call, given: &Fields) -> Result<Fields, CallError> {
    let name = ground.name(KIND, given)?;
    let redis = installed()?;
    let noted = name.note().and_then(|note| note.port);
    stop(ground, given).await?;
    let started = start(ground, call, given, &redis, noted).await;
    if started.is_err() {
        ground.place.drop_note(KIND, name.name)?;
        if !inputs::flag(given, "persistent", false) {
            ground.place.remove_tree(&ground.place.home("redis", name.name))?;
        }
    }
    started
}

pub async fn update(
    ground: &Ground,
    call: &Call,
    before: &Fields,
    given: &Fields,
    changed: &[Name],
) -> Result<Fields, CallError> {
    let name = ground.name(KIND, given)?;
    let redis = installed()?;
    let port = inputs::port(before);
    let restarts = changed.iter().any(|name| RESTARTS.contains(&&**name));
    if let (Some(process), Some(port), false) = (name.find(), port, restarts) {
        write_config(ground, given, port, &redis)?;
        change_running(port, before, given).await?;
        return Ok(attributes(ground, given, Some(port), Some(process.pid), &redis.version));
    }
    stop(ground, before).await?;
    start(ground, call, given, &redis, port).await
}

/// As it is: `None` where nothing of it is left.
pub async fn read(ground: &Ground, known: &Fields) -> Result<Option<Fields>, CallError> {
    let name = ground.name(KIND, known)?;
    let (note, process) = (name.note(), name.find());
    if note.is_none() && process.is_none() {
        return Ok(None);
    }
    let port = note.and_then(|note| note.port).or(inputs::port(known));
    let mut seen = known.clone();
    set_pid(&mut seen, process.as_ref().map(|process| process.pid));
    seen.insert("running".into(), Value::bool(process.is_some()));
    if let (Some(_), Some(port)) = (process, port) {
        seen.insert("port".into(), Value::int(port.into()));
        // One that does not answer its password is shown as recorded: what it holds cannot be seen.
        if let Some(Ok(live)) = within(&*ground.clock, ASK, live_settings(port, known)).await {
            seen.extend(live);
        }
    }
    Ok(Some(seen))
}

pub async fn delete(ground: &Ground, before: &Fields) -> Result<(), CallError> {
    let name = ground.name(KIND, before)?;
    stop(ground, before).await?;
    ground.place.remove_tree(&ground.place.home("redis", name.name))?;
    ground.place.remove_log(KIND, name.name)?;
    ground.place.drop_note(KIND, name.name)?;
    inputs::port(before).into_iter().for_each(ports::give_back);
    Ok(())
}

pub async fn find(ground: &Ground, call: &Call, given: &Fields) -> Result<Option<Fields>, CallError> {
    let name = ground.name(KIND, given)?;
    let Some(process) = name.find_by_token(&call.token) else { return Ok(None) };
    let Some(port) = name.note().and_then(|note| note.port).or(inputs::port(given)) else { return Ok(None) };
    let fresh = Fresh::found(&name, process.pid);
    wait_ready(ground, port, inputs::text(given, "password")?, &fresh).await.ok();
    Ok(fresh.ended().is_none().then(|| attributes(ground, given, Some(port), Some(process.pid), &version_here())))
}

async fn start(ground: &Ground, call: &Call, given: &Fields, redis: &Redis, kept: Option<u16>) -> Result<Fields, CallError> {
    let name = ground.name(KIND, given)?;
    let port = match inputs::port(given).or(kept) {
        Some(port) => port,
        None => ports::choose(&ground.place, KIND, name.name)?,
    };
    write_config(ground, given, port, redis)?;
    if !inputs::flag(given, "running", true) {
        name.keep_stopped(&call.token, port, None)?;
        return Ok(attributes(ground, given, Some(port), None, &redis.version));
    }
    ports::refuse_busy(port)?;
    let home = ground.place.home("redis", name.name);
    let fresh = name.start(Start {
        program: redis.server.clone(),
        arguments: vec!["redis.conf".into()],
        dir: &home,
        env: surroundings::variables(),
        user: None,
        token: &call.token,
        port: Some(port),
        location: None,
    })?;
    if let Err(error) = wait_ready(ground, port, inputs::text(given, "password")?, &fresh).await {
        stop(ground, given).await?;
        return Err(error);
    }
    Ok(attributes(ground, given, Some(port), Some(fresh.pid), &redis.version))
}

async fn stop(ground: &Ground, fields: &Fields) -> Result<(), CallError> {
    ground.name(KIND, fields)?.stop(Signal::TERM, false, GRACE, &*ground.clock).await
}

/// Ready when it takes the password: then it is this one, and not another that happens to listen there.
async fn wait_ready(ground: &Ground, port: u16, password: &str, fresh: &Fresh) -> Result<(), CallError> {
    let secrets = [password.to_owned()];
    let (from, mut pause) = (ground.clock.elapsed(), Duration::from_millis(5));
    loop {
        if let Some(ended) = fresh.ended() {
            return Err(fresh.failure(format!("redis-server {ended}"), &secrets));
        }
        if let Some(Ok(_)) = within(&*ground.clock, ASK, Client::connect(port, password)).await {
            return Ok(());
        }
        if ground.clock.elapsed() - from > READY {
            return Err(fresh.failure(format!("redis-server is not ready after {} s", READY.as_secs()), &secrets));
        }
        ground.clock.sleep(pause).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(200));
    }
}

async fn live_settings(port: u16, known: &Fields) -> std::io::Result<Fields> {
    let password = inputs::optional_text(known, "password").unwrap_or_default();
    let mut client = Client::connect(port, password).await?;
    let memory = client.setting("maxmemory").await?.parse().map_err(std::io::Error::other)?;
    let eviction = match &*client.setting("maxmemory-policy").await? {
        "noeviction" => "none".to_owned(),
        "allkeys-lru" => "lru".to_owned(),
        other => other.to_owned(),
    };
    Ok([("memory".into(), Value::engine(Data::Size(memory))), ("eviction".into(), Value::text(eviction))].into())
}

async fn change_running(port: u16, before: &Fields, given: &Fields) -> Result<(), CallError> {
    let no_answer = |error: std::io::Error| CallError::OutcomeUnknown(format!("redis-server on port {port}: {error}"));
    let password = inputs::text(given, "password")?;
    let mut client = match Client::connect(port, inputs::text(before, "password")?).await {
        Ok(client) => client,
        // An update that was interrupted has changed it already.
        Err(_) => Client::connect(port, password).await.map_err(no_answer)?,
    };
    let (memory, policy) = limits(given);
    for (name, value) in [("maxmemory", &*memory), ("maxmemory-policy", policy), ("requirepass", password)] {
        client.set(name, value).await.map_err(no_answer)?;
    }
    Ok(())
}

fn limits(given: &Fields) -> (String, &'static str) {
    let memory = inputs::size(given, "memory").unwrap_or(256 << 20).max(0);
    let policy = if inputs::optional_text(given, "eviction") == Some("lru") { "allkeys-lru" } else { "noeviction" };
    (memory.to_string(), policy)
}

fn write_config(ground: &Ground, given: &Fields, port: u16, redis: &Redis) -> Result<(), CallError> {
    let password = inputs::text(given, "password")?;
    if password.is_empty() || !password.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused("password", "the password has to be printable ASCII without spaces, and not empty".into()));
    }
    let (memory, policy) = limits(given);
    let persistent = if inputs::flag(given, "persistent", false) { "yes" } else { "no" };
    let password = password.replace('\\', "\\\\").replace('"', "\\\"");
    let mut config = format!(
        "bind 127.0.0.1\nport {port}\nprotected-mode yes\nrequirepass \"{password}\"\ndir .\nsave \"\"\nappendonly {persistent}\n\
         maxmemory {memory}\nmaxmemory-policy {policy}\ndaemonize no\n"
    );
    if has_title_setting(&redis.version) {
        // Else it writes over its environment, and with it over the mark by which it is found.
        config.push_str("set-proc-title no\n");
    }
    let home = ground.place.home("redis", ground.name(KIND, given)?.name);
    let path = home.join("redis.conf");
    let written = ground.place.within(&home, || write_whole(&path, config.as_bytes(), 0o600));
    written.map_err(|error| cannot("write", &path, &error))
}

/// `set-proc-title` came with 6.2.
fn has_title_setting(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 2)
}

fn installed() -> Result<Redis, CallError> {
    programs::redis().ok_or_else(|| super::refused_by(programs::no_redis()))
}

fn version_here() -> String {
    programs::redis().map(|redis| redis.version).unwrap_or_default()
}

fn attributes(ground: &Ground, given: &Fields, port: Option<u16>, pid: Option<i32>, version: &str) -> Fields {
    let mut all = given.clone();
    let name = inputs::optional_text(given, "name").unwrap_or_default();
    all.insert("log".into(), Value::text(ground.place.log(KIND, name).to_string_lossy().into_owned()));
    all.insert("host".into(), Value::text("127.0.0.1"));
    all.insert("server_version".into(), Value::text(version));
    if let Some(port) = port {
        all.insert("port".into(), Value::int(port.into()));
    }
    set_pid(&mut all, pid);
    all
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_versions_that_know_the_title_setting_are_given_it() {
        let known = ["6.2.0", "7.0.15", "8.0.1", "10.1"].map(super::has_title_setting);
        assert_eq!(known, [true; 4]);
        assert!(!super::has_title_setting("6.0.16"));
    }
}
