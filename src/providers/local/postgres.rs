//! `local.postgres`: a PostgreSQL of the stack's own, with one database and its owner.
//!
//! Its superuser can log in from nowhere: what only that one may do (make the role, set its password, add extensions) is done
//! while the server is stopped, in PostgreSQL's single-user mode. The data directory is made beside its place and renamed, so
//! that one which is there is whole.

use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::daemon::{Fresh, Start, with_log};
use super::helper::{Helper, exit_words};
use super::place::cannot;
use super::programs::{self, Postgres};
use super::user::{self, User};
use super::{Ground, inputs, ports, refused, scram, set_pid, surroundings, within};
use crate::model::value::Fields;
use crate::model::{Name, Value};
use crate::providers::contract::{Call, CallError};

pub const KIND: &str = "local.postgres";

/// What needs the server to be stopped.
const RESTARTS: [&str; 4] = ["password", "extensions", "port", "running"];
const READY: Duration = Duration::from_secs(60);
/// A fast shutdown ends connections and writes a checkpoint; a large one takes its time.
const GRACE: Duration = Duration::from_secs(60);
const ASK: Duration = Duration::from_secs(2);
const HELPER: Duration = Duration::from_secs(120);

pub async fn create(ground: &Ground, call: &Call, given: &Fields) -> Result<Fields, CallError> {
    let name = ground.name(KIND, given)?;
    let installed = programs::postgres();
    let newest = installed.first().ok_or_else(|| super::refused_by(programs::no_postgres()))?;
    let note = name.note();
    stop(ground, given).await?;
    let location = match note.as_ref().and_then(|note| note.location.clone()).filter(|location| has_data(location)) {
        Some(location) => location,
        None => location(ground, name.name)?,
    };
    let kept = note.and_then(|note| note.port);
    // Data of the same name and owner is taken up again: an earlier call was interrupted, or its record is lost.
    let found = has_data(&location);
    let made = match found {
        true => set(ground, &location, server_of(&location, &installed)?, &Fields::new(), given).await,
        false => make_data(ground, &location, newest, given).await,
    };
    let started = match made {
        Ok(()) => start(ground, call, given, &location, kept).await,
        Err(error) => Err(error),
    };
    if started.is_err() && !found {
        remove_data(ground, &location)?;
        ground.place.drop_note(KIND, name.name)?;
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
    let location = location_of(ground, before)?;
    let port = inputs::port(before);
    let installed = programs::postgres();
    let server = server_of(&location, &installed)?;
    if let (Some(process), false) = (name.find(), changed.iter().any(|name| RESTARTS.contains(&&**name))) {
        return Ok(attributes(ground, given, port, Some(process.pid), &location, server));
    }
    refuse_unfit(given)?;
    stop(ground, before).await?;
    if let Err(error) = set(ground, &location, server, before, given).await {
        // Refused before it had an effect: what ran goes on as it was.
        start(ground, call, before, &location, port).await?;
        return Err(error);
    }
    start(ground, call, given, &location, port).await
}

/// As it is: `None` where its data is gone.
pub fn read(ground: &Ground, known: &Fields) -> Result<Option<Fields>, CallError> {
    let name = ground.name(KIND, known)?;
    if !has_data(&location_of(ground, known)?) {
        return Ok(None);
    }
    let (note, process) = (name.note(), name.find());
    let mut seen = known.clone();
    if let Some(port) = note.and_then(|note| note.port) {
        seen.insert("port".into(), Value::int(port.into()));
    }
    set_pid(&mut seen, process.map(|process| process.pid));
    seen.insert("running".into(), Value::bool(seen.contains_key("pid")));
    Ok(Some(seen))
}

pub async fn delete(ground: &Ground, before: &Fields) -> Result<(), CallError> {
    let name = ground.name(KIND, before)?;
    let location = location_of(ground, before)?;
    stop(ground, before).await?;
    remove_data(ground, &location)?;
    ground.place.remove_log(KIND, name.name)?;
    ground.place.drop_note(KIND, name.name)?;
    inputs::port(before).into_iter().for_each(ports::give_back);
    Ok(())
}

pub async fn find(ground: &Ground, call: &Call, given: &Fields) -> Result<Option<Fields>, CallError> {
    let name = ground.name(KIND, given)?;
    let Some(process) = name.find_by_token(&call.token) else { return Ok(None) };
    let Some(port) = name.note().and_then(|note| note.port).or(inputs::port(given)) else { return Ok(None) };
    let (location, installed) = (location_of(ground, given)?, programs::postgres());
    let server = server_of(&location, &installed)?;
    let fresh = Fresh::found(&name, process.pid);
    wait_ready(ground, port, given, &fresh).await.ok();
    Ok(fresh.ended().is_none().then(|| attributes(ground, given, Some(port), Some(process.pid), &location, server)))
}

/// Starts the server over data that is whole, and waits until it takes connections.
async fn start(ground: &Ground, call: &Call, given: &Fields, location: &Path, kept: Option<u16>) -> Result<Fields, CallError> {
    let name = ground.name(KIND, given)?;
    let installed = programs::postgres();
    let server = server_of(location, &installed)?;
    let port = match inputs::port(given).or(kept) {
        Some(port) => port,
        None => ports::choose(&ground.place, KIND, name.name)?,
    };
    if !inputs::flag(given, "running", true) {
        name.keep_stopped(&call.token, port, Some(location.to_owned()))?;
        return Ok(attributes(ground, given, Some(port), None, location, server));
    }
    ports::refuse_busy(port)?;
    let settings = [format!("port={port}"), "listen_addresses=127.0.0.1".into(), "unix_socket_directories=".into()];
    let settings = settings.into_iter().flat_map(|setting| ["-c".into(), OsString::from(setting)]);
    let data = location.join("data");
    let fresh = name.start(Start {
        program: server.bin.join("postgres"),
        arguments: ["-D".into(), data.clone().into_os_string()].into_iter().chain(settings).collect(),
        dir: &data,
        env: environment(),
        user: user::for_postgres(),
        token: &call.token,
        port: Some(port),
        location: Some(location.to_owned()),
    })?;
    if let Err(error) = wait_ready(ground, port, given, &fresh).await {
        stop(ground, given).await?;
        return Err(error);
    }
    Ok(attributes(ground, given, Some(port), Some(fresh.pid), location, server))
}

async fn stop(ground: &Ground, fields: &Fields) -> Result<(), CallError> {
    // SIGINT to the server alone is a "fast" shutdown, which it orders.
    ground.name(KIND, fields)?.stop(Signal::INT, false, GRACE, &*ground.clock).await
}

/// Takes away what an attempt that was killed had begun. `initdb` dies with it, and what `initdb` has started a moment later: until
/// then that still writes, so it is put out of the way first.
async fn clear(ground: &Ground, location: &Path, begun: &Path) -> std::io::Result<()> {
    let gone = location.join("data.gone");
    remove_patiently(ground, &gone).await?;
    super::place::ignore_absent(fs::rename(begun, &gone))?;
    remove_patiently(ground, &gone).await
}

async fn remove_patiently(ground: &Ground, dir: &Path) -> std::io::Result<()> {
    let mut left = 100;
    loop {
        match super::place::ignore_absent(fs::remove_dir_all(dir)) {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty && left > 0 => left -= 1,
            other => return other,
        }
        ground.clock.sleep(Duration::from_millis(50)).await;
    }
}

/// Makes the data directory beside its place, with the role and the database in it, and puts it there.
async fn make_data(ground: &Ground, location: &Path, server: &Postgres, given: &Fields) -> Result<(), CallError> {
    refuse_unfit(given)?;
    let (data, beside) = (location.join("data"), location.join("data.new"));
    let failed = |what: &'static str| move |error: std::io::Error| cannot(what, location, &error);
    ground.place.make_dir(location.parent().unwrap_or(location))?;
    fs::create_dir_all(location).map_err(failed("make"))?;
    fs::set_permissions(location, fs::Permissions::from_mode(0o700)).map_err(failed("make"))?;
    if let Some(user) = user::for_postgres() {
        std::os::unix::fs::chown(location, Some(user.uid), Some(user.gid)).map_err(failed("give away"))?;
    }
    clear(ground, location, &beside).await.map_err(failed("clear"))?;
    let superuser = "postgres";
    let mut arguments = vec![OsString::from("-D"), beside.clone().into_os_string()];
    // `reject` for all, until the file below says who may come: so no password is needed here.
    arguments.extend(["-U", superuser, "--auth=reject", "--encoding=UTF8", "--locale=C"].map(OsString::from));
    run(ground, server, "initdb", arguments, location, Vec::new(), given).await?;
    let (database, owner) = (inputs::text(given, "database")?, inputs::text(given, "user")?);
    let access = format!("host {} {owner} 127.0.0.1/32 scram-sha-256\n", quoted(database));
    fs::write(beside.join("pg_hba.conf"), access).map_err(failed("write to"))?;
    let mut commands = vec![
        format!("CREATE ROLE {} LOGIN CREATEDB PASSWORD '{}'", quoted(owner), verifier(ground, given)?),
        format!("CREATE DATABASE {} OWNER {}", quoted(database), quoted(owner)),
    ];
    if superuser == owner || database == "postgres" {
        // They exist already: `initdb` makes both.
        commands = existing(ground, given, owner, database)?;
    }
    single_user(ground, server, &beside, "postgres", &commands, given).await?;
    extend(ground, server, &beside, &Fields::new(), given).await?;
    fs::rename(&beside, &data).map_err(failed("complete"))?;
    fs::File::open(location).and_then(|dir| dir.sync_all()).map_err(failed("complete"))
}

/// As above where the owner is to be `postgres`, or the database.
fn existing(ground: &Ground, given: &Fields, owner: &str, database: &str) -> Result<Vec<String>, CallError> {
    let verifier = verifier(ground, given)?;
    let verb = if owner == "postgres" { "ALTER" } else { "CREATE" };
    let role = format!("{verb} ROLE {} LOGIN CREATEDB PASSWORD '{verifier}'", quoted(owner));
    let database = match database {
        "postgres" => format!("ALTER DATABASE {} OWNER TO {}", quoted(database), quoted(owner)),
        _ => format!("CREATE DATABASE {} OWNER {}", quoted(database), quoted(owner)),
    };
    Ok(vec![role, database])
}

/// Brings password and extensions of stopped data to what is given.
async fn set(ground: &Ground, location: &Path, server: &Postgres, before: &Fields, given: &Fields) -> Result<(), CallError> {
    refuse_unfit(given)?;
    let data = location.join("data");
    if before.get("password") != given.get("password") {
        let alter = format!("ALTER ROLE {} LOGIN PASSWORD '{}'", quoted(inputs::text(given, "user")?), verifier(ground, given)?);
        single_user(ground, server, &data, "postgres", &[alter], given).await?;
    }
    extend(ground, server, &data, before, given).await
}

async fn extend(ground: &Ground, server: &Postgres, data: &Path, before: &Fields, given: &Fields) -> Result<(), CallError> {
    let (had, wanted) = (inputs::texts(before, "extensions")?, inputs::texts(given, "extensions")?);
    let dropped = had.iter().filter(|extension| !wanted.contains(extension));
    let dropped = dropped.map(|extension| format!("DROP EXTENSION IF EXISTS {}", quoted(extension)));
    let added = wanted.iter().filter(|extension| !had.contains(extension));
    let added = added.map(|extension| format!("CREATE EXTENSION IF NOT EXISTS {} CASCADE", quoted(extension)));
    let commands: Vec<String> = dropped.chain(added).collect();
    match commands.is_empty() {
        true => Ok(()),
        false => single_user(ground, server, data, inputs::text(given, "database")?, &commands, given).await,
    }
}

/// Runs commands, one a line, as the superuser of data whose server is stopped.
async fn single_user(
    ground: &Ground,
    server: &Postgres,
    data: &Path,
    database: &str,
    commands: &[String],
    given: &Fields,
) -> Result<(), CallError> {
    let settings = ["exit_on_error=true", "log_min_error_statement=panic", "log_statement=none", "unix_socket_directories="];
    let mut arguments = vec![OsString::from("--single"), "-D".into(), data.as_os_str().into()];
    arguments.extend(settings.iter().flat_map(|setting| ["-c".into(), OsString::from(setting)]));
    arguments.push(database.into());
    let input = commands.iter().map(|command| format!("{command};\n")).collect::<String>();
    run(ground, server, "postgres", arguments, data, input.into_bytes(), given).await
}

async fn run(
    ground: &Ground,
    server: &Postgres,
    program: &str,
    arguments: Vec<OsString>,
    dir: &Path,
    input: Vec<u8>,
    given: &Fields,
) -> Result<(), CallError> {
    let name = ground.name(KIND, given)?;
    let (log, from) = ground.place.open_log(KIND, name.name)?;
    let path = server.bin.join(program);
    let helper = Helper { program: &path, arguments, dir, env: environment(), user: user::for_postgres(), input, log };
    let status = name.run(helper, &*ground.clock, HELPER).await?;
    if status.success() {
        return Ok(());
    }
    let words = format!("{program} failed with {}", exit_words(status));
    Err(refused("", with_log(words, &ground.place.log(KIND, name.name), from, &inputs::secrets(given, &["password"]))))
}

fn environment() -> Vec<(OsString, OsString)> {
    let mut all = surroundings::variables();
    all.retain(|(name, _)| !name.to_string_lossy().starts_with("LC_") && name != "LANG" && name != "LANGUAGE");
    all.push(("LC_ALL".into(), "C".into()));
    all
}

/// Refuses what would be SQL or a file's syntax, and passwords that clients prepare in different ways.
fn refuse_unfit(given: &Fields) -> Result<(), CallError> {
    let password = inputs::text(given, "password")?;
    if password.is_empty() || !password.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(refused("password", "the password has to be printable ASCII, and not empty".into()));
    }
    for field in ["database", "user"] {
        let name = inputs::text(given, field)?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || name.len() > 63 || !name.chars().all(fits) || name == "all" || name.starts_with("pg_") {
            return Err(refused(field, format!("`{field}` cannot be `{}`: it has to be like `app`", name.escape_debug())));
        }
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match inputs::texts(given, "extensions")?.iter().find(|name| name.is_empty() || !name.chars().all(fits)) {
        Some(name) => Err(refused("extensions", format!("`{}` is not the name of an extension", name.escape_debug()))),
        None => Ok(()),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn verifier(ground: &Ground, given: &Fields) -> Result<String, CallError> {
    Ok(scram::verifier(inputs::text(given, "password")?, ground.world.random_id()))
}

/// Ready when it answers a login with a question for the password, and not with "starting up".
async fn wait_ready(ground: &Ground, port: u16, given: &Fields, fresh: &Fresh) -> Result<(), CallError> {
    let secrets = inputs::secrets(given, &["password"]);
    let (database, user) = (inputs::text(given, "database")?, inputs::text(given, "user")?);
    let (from, mut pause) = (ground.clock.elapsed(), Duration::from_millis(10));
    loop {
        if let Some(ended) = fresh.ended() {
            return Err(fresh.failure(format!("PostgreSQL {ended}"), &secrets));
        }
        if let Some(Ok(true)) = within(&*ground.clock, ASK, asks_for_password(port, user, database)).await {
            return Ok(());
        }
        if ground.clock.elapsed() - from > READY {
            return Err(fresh.failure(format!("PostgreSQL is not ready after {} s", READY.as_secs()), &secrets));
        }
        ground.clock.sleep(pause).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(200));
    }
}

/// Begins to log in: a start message of protocol 3.0, answered by `R` (a request to authenticate) or `E` (an error).
async fn asks_for_password(port: u16, user: &str, database: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let mut message = 196_608_u32.to_be_bytes().to_vec();
    for text in ["user", user, "database", database, ""] {
        message.extend(text.as_bytes());
        message.push(0);
    }
    let length = u32::try_from(message.len() + 4).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &message].concat()).await?;
    Ok(stream.read_u8().await? == b'R')
}

/// The installed server that can read the data there: one of the same major version.
fn server_of<'a>(location: &Path, installed: &'a [Postgres]) -> Result<&'a Postgres, CallError> {
    let path = location.join("data/PG_VERSION");
    let text = fs::read_to_string(&path).map_err(|error| cannot("read", &path, &error))?;
    let major = text.trim().parse().unwrap_or(0);
    installed.iter().find(|server| server.major == major).ok_or_else(|| {
        let there: Vec<String> = installed.iter().map(|server| server.major.to_string()).collect();
        let there = if there.is_empty() { "none is installed".to_owned() } else { format!("installed: {}", there.join(", ")) };
        refused(
            "version",
            format!("the data in {} is of PostgreSQL {}, which is not installed ({there})", location.display(), text.trim()),
        )
    })
}

fn has_data(location: &Path) -> bool {
    location.join("data/PG_VERSION").is_file()
}

/// Where the data of a record is, or that of a note where the record does not say.
fn location_of(ground: &Ground, fields: &Fields) -> Result<PathBuf, CallError> {
    if let Some(location) = inputs::optional_text(fields, "location") {
        return Ok(location.into());
    }
    let name = ground.name(KIND, fields)?;
    match name.note().and_then(|note| note.location) {
        Some(location) => Ok(location),
        None => location(ground, name.name),
    }
}

/// Where new data goes: into the environment's directory, or, where the user that the server runs as cannot get there, into a
/// directory of the system's that only root can write to.
fn location(ground: &Ground, name: &str) -> Result<PathBuf, CallError> {
    let usual = ground.place.home("postgres", name);
    let Some(user) = user::for_postgres() else { return Ok(usual) };
    let above = usual.parent().expect("it lies in the environment's directory");
    // Made first, since it is made so that it can be passed.
    ground.place.make_dir(above)?;
    if user::can_pass(user, above) {
        return Ok(usual);
    }
    super::place::ignore_absent(fs::remove_dir(above)).ok();
    let mark = Sha256::digest(ground.place.mark_of(KIND, name).as_bytes());
    let dir: String = mark[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    private_root(user).map(|root| root.join(dir))
}

/// `/var/lib/stackwright`, else `/var/tmp/stackwright`: root's own, and passable.
fn private_root(user: User) -> Result<PathBuf, CallError> {
    let own = |dir: &Path| {
        let made = fs::create_dir(dir).and_then(|()| fs::set_permissions(dir, fs::Permissions::from_mode(0o711)));
        let found = fs::symlink_metadata(dir);
        (made.is_ok() || found.is_ok())
            && found.is_ok_and(|found| found.is_dir() && found.uid() == 0 && found.mode() & 0o022 == 0)
    };
    let roots = ["/var/lib/stackwright", "/var/tmp/stackwright"].map(PathBuf::from);
    roots.into_iter().find(|root| own(root) && user::can_pass(user, root)).ok_or_else(|| {
        let words = "PostgreSQL does not run as root, and its own user can reach neither this stack's directory nor /var/lib; \
                     run as an ordinary user, or move the stack to where others may pass";
        refused("", words.into())
    })
}

fn remove_data(ground: &Ground, location: &Path) -> Result<(), CallError> {
    ground.place.remove_tree(location)
}

fn attributes(
    ground: &Ground,
    given: &Fields,
    port: Option<u16>,
    pid: Option<i32>,
    location: &Path,
    server: &Postgres,
) -> Fields {
    let mut all = given.clone();
    let name = inputs::optional_text(given, "name").unwrap_or_default();
    all.insert("log".into(), Value::text(ground.place.log(KIND, name).to_string_lossy().into_owned()));
    all.insert("host".into(), Value::text("127.0.0.1"));
    all.insert("server_version".into(), Value::text(&*server.version));
    all.insert("location".into(), Value::text(location.to_string_lossy().into_owned()));
    if let Some(port) = port {
        all.insert("port".into(), Value::int(port.into()));
    }
    set_pid(&mut all, pid);
    all
}
