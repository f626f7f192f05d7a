//! Files of keys: one line of JSON a data key, mode 0600. What is added is there whole or not at all, and nothing is taken away.
//!
//! A second kind holds the key of a store that is yet to be, wrapped for those who are to have it: plans are sealed under it until
//! the first apply writes it into the log.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use zeroize::Zeroizing;

use super::Keys;
use crate::state::contract::StoreError;
use crate::state::log::key::{KeyId, Wrap};
use crate::world::World;

/// The most that a file of keys may have.
const FILE_MAX: u64 = 1 << 20;

#[derive(serde::Serialize, serde::Deserialize)]
struct Line {
    format: u16,
    id: String,
    key: String,
}

/// The keys of a text, in its order; `None` where that is no file of keys.
pub fn parse(text: &[u8]) -> Option<Vec<Keys>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let keys: Vec<Keys> = lines.map(parse_line).collect::<Option<_>>()?;
    (!keys.is_empty()).then_some(keys)
}

fn parse_line(line: &[u8]) -> Option<Keys> {
    let line: Line = serde_json::from_slice(line).ok()?;
    let key = Zeroizing::new(line.key);
    let bytes = Zeroizing::new(BASE64.decode(key.as_bytes()).ok()?);
    let keys = Keys::derive(bytes.as_slice().try_into().ok()?);
    (line.format == 1 && keys.id().to_string() == line.id).then_some(keys)
}

fn write_line(keys: &Keys) -> Zeroizing<String> {
    let line = Line { format: 1, id: keys.id().to_string(), key: BASE64.encode(keys.secret()) };
    let text = Zeroizing::new(serde_json::to_string(&line).expect("texts are JSON") + "\n");
    let _wiped = Zeroizing::new(line.key);
    text
}

/// The keys of a file; `None` where there is no file.
///
/// Errors: it cannot be read, or is no file of keys.
pub fn read(path: &Path) -> Result<Option<Vec<Keys>>, StoreError> {
    let Some(text) = read_bytes(path)? else { return Ok(None) };
    let keys = parse(&text)
        .ok_or_else(|| StoreError::Damaged { place: path.display().to_string(), what: "this is not a key of a state".into() })?;
    crate::world::guard_memory();
    Ok(Some(keys))
}

fn read_bytes(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unavailable("read", path, &error)),
    };
    let mut text = Zeroizing::new(Vec::new());
    file.take(FILE_MAX).read_to_end(&mut text).map_err(|error| unavailable("read", path, &error))?;
    Ok(Some(text))
}

/// Makes the file with a new key in it, unless it is there. Of two processes that make it at once, one wins, and both find its key.
pub fn make(path: &Path, world: &World) -> Result<(), StoreError> {
    let text = write_line(&Keys::random(world));
    create(path, text.as_bytes(), world).map_err(|error| unavailable("write", path, &error))
}

/// Adds a key to a file that is there.
pub fn add(path: &Path, keys: &Keys, world: &World) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| unavailable("write", path, &error);
    let lock_path = path.with_extension("lock");
    let lock = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
    // Two processes that add at once: the second reads what the first has written.
    let lock = lock.map_err(failed)?;
    lock.lock().map_err(failed)?;
    let mut text = read_bytes(path)?.unwrap_or_default();
    let present = parse(&text).unwrap_or_default();
    if present.iter().any(|it| it.id() == keys.id()) {
        return Ok(());
    }
    let line = write_line(keys);
    // Room beforehand: growing would leave a copy behind.
    let mut whole = Zeroizing::new(Vec::with_capacity(text.len() + line.len() + 1));
    whole.append(&mut text);
    if whole.last().is_some_and(|byte| *byte != b'\n') {
        whole.push(b'\n');
    }
    whole.extend_from_slice(line.as_bytes());
    let fresh = beside(path, world);
    let written = write_synced(&fresh, &whole).and_then(|()| std::fs::rename(&fresh, path)).and_then(|()| sync_dir(path));
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written.map_err(failed)
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Waiting {
    format: u16,
    key: String,
    wraps: Vec<(String, String)>,
}

/// Keeps the key of a store that is yet to be, for its recipients alone. As [`make`]: the first wins.
pub fn keep_waiting(path: &Path, key: KeyId, wraps: &[Wrap], world: &World) -> Result<(), StoreError> {
    let wraps = wraps.iter().map(|it| (it.recipient.clone(), BASE64.encode(&it.sealed))).collect();
    let waiting = Waiting { format: 1, key: key.to_string(), wraps };
    let text = serde_json::to_string(&waiting).expect("texts are JSON") + "\n";
    create(path, text.as_bytes(), world).map_err(|error| unavailable("write", path, &error))
}

/// What [`keep_waiting`] has written, if it is there and can be read.
pub fn waiting(path: &Path) -> Option<(KeyId, Vec<Wrap>)> {
    let waiting: Waiting = serde_json::from_slice(&read_bytes(path).ok()??).ok()?;
    let key = KeyId::parse(&waiting.key)?;
    let wrap = |(recipient, sealed): (String, String)| Some(Wrap { key, recipient, sealed: BASE64.decode(sealed).ok()? });
    Some((key, waiting.wraps.into_iter().map(wrap).collect::<Option<_>>()?))
}

/// Writes a file under a name that is free. A link, not a rename: it refuses to take the place of what somebody else has written
/// meanwhile.
fn create(path: &Path, text: &[u8], world: &World) -> std::io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let fresh = beside(path, world);
    let linked = write_synced(&fresh, text).and_then(|()| match std::fs::hard_link(&fresh, path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let _ = std::fs::remove_file(&fresh);
    linked?;
    sync_dir(path)
}

fn beside(path: &Path, world: &World) -> std::path::PathBuf {
    let random: String = world.random_id().iter().map(|byte| format!("{byte:02x}")).collect();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!("{name}.{random}.new"))
}

fn write_synced(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn sync_dir(path: &Path) -> std::io::Result<()> {
    let dir = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(dir)?.sync_all()
}

fn unavailable(verb: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable { what: format!("{verb} {}", path.display()), why: error.to_string() }
}
