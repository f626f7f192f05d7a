//! What outlives the process: a directory with the journal (one line a request, those that changed something with the sealed
//! request itself) and a sealed snapshot of each cloud. A cloud is a function, so that its state is its snapshot and the requests
//! since then, once more.
//!
//! ```text
//! DATA/lock            held by whoever serves these clouds
//! DATA/url             where they are served
//! DATA/key             32 bytes, 0600
//! DATA/journal.jsonl   appended and synced before a request is answered
//! DATA/fly.snapshot    written anew when many requests have come since
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::seal::Sealer;
use crate::model::{Code, Diagnostic};
use crate::world::World;

/// One line of the journal, in the order of its keys.
#[derive(Serialize, Deserialize, Clone)]
pub struct Entry {
    pub seq: u64,
    pub time: String,
    pub provider: String,
    pub method: String,
    pub path: String,
    /// None where no answer was given.
    pub status: Option<u16>,
    /// The operation that the request belongs to, as it says itself.
    pub token: Option<String>,
    pub effects: Vec<EntryEffect>,
}

#[derive(Serialize, Deserialize, Clone)]
pub struct EntryEffect {
    pub effect: String,
    pub kind: String,
    pub id: String,
}

/// What is needed to do a request once more.
#[derive(Serialize, Deserialize, Clone)]
pub struct Kept {
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    entry: Entry,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    request: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub struct Snapshot {
    /// The last entry that is in it.
    pub through: u64,
    pub state: serde_json::Value,
}

/// A directory of simulated clouds, held by this process alone.
pub struct Store {
    dir: PathBuf,
    sealer: Sealer,
    writer: Arc<Writer>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// What the writing thread and the others share.
struct Writer {
    queue: Mutex<Queue>,
    more: Condvar,
    /// The last entry that is durable; an error is final.
    durable: watch::Sender<Result<u64, String>>,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    last: u64,
    ended: bool,
}

/// Why a directory cannot be used.
pub enum OpenError {
    /// Another process holds it.
    Held,
    Failed(Box<Diagnostic>),
}

impl Store {
    /// Takes hold of a directory, made if it does not exist, and reads its journal: each entry with the request that it keeps.
    pub fn open(dir: &Path, world: &World) -> Result<(Store, Vec<(Entry, Option<Kept>)>), OpenError> {
        let failed = |what: &str, error: std::io::Error| {
            let message = format!("the simulated clouds in `{}` cannot be used: {what}: {error}", dir.display());
            OpenError::Failed(Box::new(Code::Unreadable.error(message)))
        };
        std::fs::create_dir_all(dir).map_err(|error| failed("the directory cannot be made", error))?;
        let lock = private(&dir.join("lock")).map_err(|error| failed("`lock`", error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Held),
            Err(TryLockError::Error(error)) => return Err(failed("`lock`", error)),
        }
        // First the journal, then the key, whose making syncs the directory and so both names in it.
        let mut file = private(&dir.join("journal.jsonl")).map_err(|error| failed("`journal.jsonl`", error))?;
        let key = key(dir, world).map_err(|error| failed("`key`", error))?;
        let sealer = Sealer::new(&key, world.clone());
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|error| failed("`journal.jsonl`", error))?;
        // What follows the last newline was not durable, so nobody was answered.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64).map_err(|error| failed("`journal.jsonl`", error))?;
        let entries = read_lines(&text[..whole], &sealer).map_err(|line| {
            let message = format!("the simulated clouds in `{}` are damaged: line {line} of `journal.jsonl`", dir.display());
            let help = "delete the directory: its clouds begin anew, and with them the simulated state beside it";
            OpenError::Failed(Box::new(Code::Unreadable.error(message).help(help)))
        })?;
        let last = entries.last().map_or(0, |(entry, _)| entry.seq);
        let writer = Arc::new(Writer { queue: Mutex::default(), more: Condvar::new(), durable: watch::Sender::new(Ok(last)) });
        let of_thread = writer.clone();
        let thread = std::thread::Builder::new().name("sim-journal".into()).spawn(move || of_thread.run(file, lock));
        let thread = Mutex::new(Some(thread.map_err(|error| failed("no thread", error))?));
        Ok((Store { dir: dir.to_owned(), sealer, writer, thread }, entries))
    }

    /// Appends an entry; [`Store::durable`] says when it is on disk.
    pub fn append(&self, entry: &Entry, kept: Option<&Kept>) {
        let request = kept.map(|kept| {
            let clear = serde_json::to_vec(kept).expect("a request is JSON");
            self.sealer.seal(&place(entry), &clear)
        });
        let mut queue = self.writer.queue.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_writer(&mut queue.bytes, &Line { entry: entry.clone(), request }).expect("an entry is JSON");
        queue.bytes.push(b'\n');
        queue.last = entry.seq;
        self.writer.more.notify_one();
    }

    /// Waits until everything up to `seq` is on disk.
    ///
    /// Errors: in words, if the disk refused; that is final.
    pub async fn durable(&self, seq: u64) -> Result<(), String> {
        let mut durable = self.writer.durable.subscribe();
        let reached = durable.wait_for(|state| !matches!(state, Ok(through) if *through < seq)).await;
        reached.map_err(|_| "the journal is closed".to_owned())?.clone().map(|_| ())
    }

    /// `None` if there is none, or one that cannot be read: then all requests are done once more.
    pub fn snapshot(&self, provider: &str) -> Option<Snapshot> {
        let sealed = std::fs::read_to_string(self.dir.join(format!("{provider}.snapshot"))).ok()?;
        serde_json::from_slice(&self.sealer.open(provider, &sealed)?).ok()
    }

    pub fn write_snapshot(&self, provider: &str, snapshot: &Snapshot) -> std::io::Result<()> {
        let clear = serde_json::to_vec(snapshot).expect("a state is JSON");
        replace(&self.dir.join(format!("{provider}.snapshot")), self.sealer.seal(provider, &clear).as_bytes())
    }

    /// Readers see all of it or nothing. It need not outlive the machine, so it is not synced.
    pub fn write_url(&self, url: &str) -> std::io::Result<()> {
        let new = self.dir.join("url.new");
        std::fs::write(&new, url)?;
        std::fs::rename(&new, self.dir.join("url"))
    }

    pub fn forget_url(&self) {
        // One that stays behind leads nowhere, which whoever reads it finds out.
        let _ = std::fs::remove_file(self.dir.join("url"));
    }
}

impl Store {
    /// Writes what is left and lets go of the directory. Nothing can be appended afterwards.
    pub fn end(&self) {
        self.writer.queue.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.writer.more.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // One that panicked has let go as well.
            let _ = thread.join();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.end();
    }
}

impl Writer {
    /// Writes whatever has queued since the last time, in one go and with one sync. The directory is free once it returns: the
    /// lock ends with it.
    fn run(&self, mut file: File, _lock: File) {
        loop {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            while queue.bytes.is_empty() && !queue.ended {
                queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            if queue.bytes.is_empty() {
                let _through = self.durable.send_replace(Err("they have ended".into()));
                return;
            }
            let (bytes, last) = (std::mem::take(&mut queue.bytes), queue.last);
            drop(queue);
            let written = file.write_all(&bytes).and_then(|()| file.sync_data());
            let failed = written.is_err();
            let _before = self.durable.send_replace(written.map(|()| last).map_err(|error| error.to_string()));
            if failed {
                return;
            }
        }
    }
}

fn place(entry: &Entry) -> String {
    format!("{} {}", entry.provider, entry.seq)
}

/// The entries, or the number of the first line that is none.
fn read_lines(text: &[u8], sealer: &Sealer) -> Result<Vec<(Entry, Option<Kept>)>, usize> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate();
    let read = |line: &[u8]| {
        let Line { entry, request } = serde_json::from_slice(line).ok()?;
        let kept = match request {
            None => None,
            Some(sealed) => Some(serde_json::from_slice(&sealer.open(&place(&entry), &sealed)?).ok()?),
        };
        Some((entry, kept))
    };
    lines.map(|(at, line)| read(line).ok_or(at + 1)).collect()
}

/// A file that only its owner may read, opened to be read and appended to.
fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

fn key(dir: &Path, world: &World) -> std::io::Result<[u8; 32]> {
    let path = dir.join("key");
    match std::fs::read(&path) {
        Ok(bytes) => bytes.try_into().map_err(|_| std::io::Error::other("it has not 32 bytes")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut key = [0; 32];
            world.random.fill(&mut key);
            replace(&path, &key)?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}

/// Writes a file so that it is either the old one or the new one, whatever happens.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
