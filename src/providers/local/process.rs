//! `local.process`: a program of the stack's own, in the background.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use super::daemon::{self, Fresh, Start, with_log};
use super::health::{Health, wait_alive, wait_healthy};
use super::helper::{Helper, exit_words, resolve};
use super::{Ground, inputs, ports, refused, surroundings};
use crate::model::value::Fields;
use crate::model::{Code, Value};
use crate::providers::contract::{Call, CallError};

pub const KIND: &str = "local.process";

/// What makes another process of it.
const RESTARTS: [&str; 7] = ["command", "dir", "build", "env", "port", "revision", "running"];

/// Builds and starts it; what an earlier attempt left is ended first.
pub async fn create(ground: &Ground, call: &Call, given: &Fields) -> Result<Fields, CallError> {
    let name = ground.name(KIND, given)?;
    build(ground, call, given).await?;
    let noted = name.note().and_then(|note| note.port);
    stop(ground, given).await?;
    let started = start(ground, call, given, noted).await;
    if started.is_err() {
        // Nothing exists that a note could tell of; the log stays, to be read.
        ground.place.drop_note(KIND, name.name)?;
    }
    started
}

pub async fn update(
    ground: &Ground,
    call: &Call,
    before: &Fields,
    given: &Fields,
    changed: &[crate::model::Name],
) -> Result<Fields, CallError> {
    let name = ground.name(KIND, given)?;
    let running = name.find();
    if let (Some(process), false) = (&running, changed.iter().any(|name| RESTARTS.contains(&&**name))) {
        // The process stays, and is held to its new health check.
        let port = inputs::port(before).or(inputs::port(given)).unwrap_or_default();
        if let Some(health) = Health::of(given, port) {
            let secrets = inputs::secrets(given, &[]);
            wait_healthy(&health, &Fresh::found(&name, process.pid), &secrets, &*ground.clock).await?;
        }
        return Ok(attributes(ground, given, Some(port), Some(process.pid)));
    }
    // Built while the one before still runs: a build that fails changes nothing.
    build(ground, call, given).await?;
    stop(ground, before).await?;
    start(ground, call, given, inputs::port(before)).await
}

/// As it is: `None` where nothing of it is left.
pub fn read(ground: &Ground, known: &Fields) -> Result<Option<Fields>, CallError> {
    let name = ground.name(KIND, known)?;
    let (note, process) = (name.note(), name.find());
    if note.is_none() && process.is_none() {
        return Ok(None);
    }
    let port = note.and_then(|note| note.port).or(inputs::port(known));
    let mut seen = attributes(ground, known, port, process.map(|process| process.pid));
    seen.insert("running".into(), Value::bool(seen.contains_key("pid")));
    Ok(Some(seen))
}

pub async fn delete(ground: &Ground, before: &Fields) -> Result<(), CallError> {
    let name = ground.name(KIND, before)?;
    name.end_helpers(&*ground.clock).await?;
    stop(ground, before).await?;
    ground.place.remove_log(KIND, name.name)?;
    ground.place.drop_note(KIND, name.name)?;
    inputs::port(before).into_iter().for_each(ports::give_back);
    Ok(())
}

/// What became of a call whose outcome nobody heard: the process that bears its token, if it lives. It is given its grace to
/// become healthy; one that does not is there all the same, and has to be known to be ended.
pub async fn find(ground: &Ground, call: &Call, given: &Fields) -> Result<Option<Fields>, CallError> {
    let name = ground.name(KIND, given)?;
    let Some(process) = name.find_by_token(&call.token) else { return Ok(None) };
    let port = name.note().and_then(|note| note.port).or(inputs::port(given));
    let fresh = Fresh::found(&name, process.pid);
    if let Some(health) = port.and_then(|port| Health::of(given, port)) {
        wait_healthy(&health, &fresh, &[], &*ground.clock).await.ok();
    }
    Ok(fresh.ended().is_none().then(|| attributes(ground, given, port, Some(process.pid))))
}

async fn start(ground: &Ground, call: &Call, given: &Fields, kept: Option<u16>) -> Result<Fields, CallError> {
    let name = ground.name(KIND, given)?;
    let port = match inputs::port(given).or(kept) {
        Some(port) => port,
        None => ports::choose(&ground.place, KIND, name.name)?,
    };
    if !inputs::flag(given, "running", true) {
        name.keep_stopped(&call.token, port, None)?;
        return Ok(attributes(ground, given, Some(port), None));
    }
    ports::refuse_busy(port)?;
    let (dir, env) = (directory(ground, given)?, environment(given, port)?);
    let (program, arguments) = program(given, "command", &dir, &env)?;
    let start = Start { program, arguments, dir: &dir, env, user: None, token: &call.token, port: Some(port), location: None };
    let fresh = name.start(start)?;
    let secrets = inputs::secrets(given, &[]);
    let works = match Health::of(given, port) {
        Some(health) => wait_healthy(&health, &fresh, &secrets, &*ground.clock).await,
        None => wait_alive(&fresh, &secrets, &*ground.clock).await,
    };
    if let Err(error) = works {
        // A refusal leaves nothing running.
        stop(ground, given).await?;
        return Err(error);
    }
    Ok(attributes(ground, given, Some(port), Some(fresh.pid)))
}

async fn stop(ground: &Ground, fields: &Fields) -> Result<(), CallError> {
    let (signal, grace) = stopping(fields)?;
    ground.name(KIND, fields)?.stop(signal, true, grace, &*ground.clock).await
}

fn stopping(fields: &Fields) -> Result<(Signal, Duration), CallError> {
    let nothing = Fields::new();
    let stop = fields.get("stop").and_then(Value::as_map).unwrap_or(&nothing);
    let name = inputs::optional_text(stop, "signal").unwrap_or("SIGTERM");
    let signal = match name {
        "SIGTERM" => Signal::TERM,
        "SIGINT" => Signal::INT,
        "SIGQUIT" => Signal::QUIT,
        "SIGHUP" => Signal::HUP,
        "SIGUSR1" => Signal::USR1,
        "SIGUSR2" => Signal::USR2,
        "SIGKILL" => Signal::KILL,
        other => {
            let words =
                format!("`stop.signal` cannot be `{other}`; write SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2 or SIGKILL");
            return Err(refused("stop", words));
        }
    };
    Ok((signal, inputs::duration(stop, "grace", Duration::from_secs(10))))
}

/// Runs `build`, where there is one. What it writes goes into the log.
async fn build(ground: &Ground, call: &Call, given: &Fields) -> Result<(), CallError> {
    let name = ground.name(KIND, given)?;
    // Looked at first, so that a wrong entry is told before minutes of building.
    stopping(given)?;
    if inputs::texts(given, "build")?.is_empty() || !inputs::flag(given, "running", true) {
        return Ok(());
    }
    let (dir, env) = (directory(ground, given)?, environment(given, inputs::port(given).unwrap_or_default())?);
    let (program, arguments) = program(given, "build", &dir, &env)?;
    let (log, from) = ground.place.open_log(KIND, name.name)?;
    let helper = Helper { program: &program, arguments, dir: &dir, env, user: None, input: Vec::new(), log };
    let status = name.run(helper, &*ground.clock, call.not_after).await?;
    if status.success() {
        return Ok(());
    }
    let words = format!("the build failed with {}", exit_words(status));
    let words = with_log(words, &ground.place.log(KIND, name.name), from, &inputs::secrets(given, &[]));
    Err(refused("build", words))
}

/// The directory that `dir` names, seen from the stack's.
pub fn directory(ground: &Ground, given: &Fields) -> Result<PathBuf, CallError> {
    let dir = inputs::optional_text(given, "dir").unwrap_or(".");
    let joined = ground.place.stack_dir.join(dir);
    match joined.is_dir() {
        true => Ok(joined),
        false => Err(refused("dir", format!("there is no directory {}", joined.display()))),
    }
}

/// The usual variables, PORT, and what the program gives, which wins.
pub fn environment(given: &Fields, port: u16) -> Result<Vec<(OsString, OsString)>, CallError> {
    let own = inputs::text_map(given, "env")?;
    if let Some(name) = own.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        return Err(refused("env", format!("{name:?} cannot be the name of a variable")));
    }
    if let Some((name, _)) = own.iter().find(|(_, value)| value.contains('\0')) {
        return Err(refused("env", format!("the value of `{name}` holds a NUL character, which no variable can")));
    }
    let mut all = surroundings::variables();
    if port != 0 {
        all.push(("PORT".into(), port.to_string().into()));
    }
    all.extend(own.into_iter().map(|(name, value)| (name.into(), value.into())));
    Ok(all)
}

/// The program that a command names, found now, so that one that is missing is refused before anything is started.
pub fn program(
    given: &Fields,
    field: &str,
    dir: &std::path::Path,
    env: &[(OsString, OsString)],
) -> Result<(PathBuf, Vec<OsString>), CallError> {
    let words = inputs::texts(given, field)?;
    let Some((program, arguments)) = words.split_first() else { return Err(refused(field, format!("`{field}` is empty"))) };
    if words.iter().any(|word| word.contains('\0')) {
        return Err(refused(field, format!("`{field}` holds a NUL character")));
    }
    let path = env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let found = resolve(program, dir, path).ok_or_else(|| CallError::Refused {
        status: None,
        field: Some(field.into()),
        words: match program.contains('/') {
            true => format!("there is no program `{program}` in {}; a `build` may have to make it", dir.display()),
            false => format!("there is no program `{program}` in PATH; install it, or write its path"),
        },
        request: None,
        code: Code::ProgramMissing,
    })?;
    Ok((found, arguments.iter().map(OsString::from).collect()))
}

fn attributes(ground: &Ground, given: &Fields, port: Option<u16>, pid: Option<i32>) -> Fields {
    let mut all = given.clone();
    let name = inputs::optional_text(given, "name").unwrap_or_default();
    all.insert("log".into(), Value::text(ground.place.log(KIND, name).to_string_lossy().into_owned()));
    all.insert("host".into(), Value::text("127.0.0.1"));
    if let Some(port) = port {
        all.insert("port".into(), Value::int(port.into()));
        all.insert("url".into(), Value::text(format!("http://127.0.0.1:{port}")));
    }
    super::set_pid(&mut all, pid);
    all
}

impl daemon::Name<'_> {
    /// Notes something that is meant not to run, so that it exists and keeps its port.
    pub fn keep_stopped(&self, token: &str, port: u16, location: Option<PathBuf>) -> Result<(), CallError> {
        let note = super::place::Note { kind: self.kind.into(), token: token.into(), port: Some(port), process: None, location };
        self.place.keep_note(self.kind, self.name, &note)
    }
}
