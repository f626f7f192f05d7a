//! Where things of one environment lie on this machine, and the note that is kept of each thing that runs.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::providers::contract::{CallError, Surroundings};

/// The directories of one environment. Nothing is made before it is needed.
#[derive(Clone)]
pub struct Place {
    pub stack_dir: PathBuf,
    pub data_dir: PathBuf,
    /// Says whose something is: store, stack and environment.
    mark: String,
}

impl Place {
    pub fn new(surroundings: &Surroundings) -> Place {
        let Surroundings { stack_dir, data_dir, store_id, stack, environment, .. } = surroundings;
        Place { stack_dir: stack_dir.clone(), data_dir: data_dir.clone(), mark: format!("{store_id}/{stack}/{environment}") }
    }

    /// What every process of an object bears in its environment, unlike those of any other object on this machine.
    pub fn mark_of(&self, kind: &str, name: &str) -> String {
        format!("{}/{kind}/{name}", self.mark)
    }

    pub fn files(&self) -> PathBuf {
        self.data_dir.join("files")
    }

    /// `logs/api.log` for a process, `logs/main.redis.log` for anything else, so that two kinds can share a name.
    pub fn log(&self, kind: &str, name: &str) -> PathBuf {
        let file = match short(kind) {
            "process" => format!("{name}.log"),
            kind => format!("{name}.{kind}.log"),
        };
        self.data_dir.join("logs").join(file)
    }

    /// The directory of one server's own files.
    pub fn home(&self, kind: &str, name: &str) -> PathBuf {
        self.data_dir.join(kind).join(name)
    }

    pub fn notes(&self) -> PathBuf {
        self.data_dir.join("run")
    }

    pub fn note_path(&self, kind: &str, name: &str) -> PathBuf {
        self.notes().join(format!("{name}.{}.json", short(kind)))
    }

    /// The note of that name; none where it is missing or cannot be read as one: then the processes themselves are asked.
    pub fn note(&self, kind: &str, name: &str) -> Option<Note> {
        read_note(&self.note_path(kind, name))
    }

    pub fn keep_note(&self, kind: &str, name: &str, note: &Note) -> Result<(), CallError> {
        let path = self.note_path(kind, name);
        let text = serde_json::to_vec_pretty(note).expect("a note is plain data");
        self.within(&self.notes(), || write_whole(&path, &text, 0o600)).map_err(|error| cannot("write", &path, &error))
    }

    pub fn drop_note(&self, kind: &str, name: &str) -> Result<(), CallError> {
        let path = self.note_path(kind, name);
        ignore_absent(fs::remove_file(&path)).map_err(|error| cannot("remove", &path, &error))?;
        self.tidy(&self.notes());
        Ok(())
    }

    /// Makes a directory and those above it. As root they can be passed through, since servers run as another user; else they
    /// are this user's alone.
    pub fn make_dir(&self, dir: &Path) -> Result<(), CallError> {
        self.within(dir, || Ok(())).map_err(|error| cannot("make", dir, &error))
    }

    /// Does something in a directory that is made if need be. Somebody who has removed the last thing in it may remove it at the
    /// same time: then once more.
    pub fn within<T>(&self, dir: &Path, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        const TIMES: u32 = 10;
        let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
        let mut once = || fs::DirBuilder::new().recursive(true).mode(mode).create(dir).and_then(|()| act());
        for _ in 1..TIMES {
            match once() {
                // "Exists" is what making it says where it was there, and was gone when that was looked at.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {}
                other => return other,
            }
        }
        once()
    }

    /// Opens a log to append to; one above 10 MiB is put aside first. Gives the place where what is new begins.
    pub fn open_log(&self, kind: &str, name: &str) -> Result<(fs::File, u64), CallError> {
        const LARGE: u64 = 10 << 20;
        let path = self.log(kind, name);
        if fs::metadata(&path).is_ok_and(|found| found.len() > LARGE) {
            fs::rename(&path, path.with_extension("log.1")).map_err(|error| cannot("put aside", &path, &error))?;
        }
        let mut options = fs::OpenOptions::new();
        options.create(true).append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let opened = self.within(path.parent().expect("a log lies in a directory"), || options.open(&path));
        let file = opened.map_err(|error| cannot("open", &path, &error))?;
        let length = file.metadata().map_err(|error| cannot("open", &path, &error))?.len();
        Ok((file, length))
    }

    pub fn remove_log(&self, kind: &str, name: &str) -> Result<(), CallError> {
        for path in [self.log(kind, name), self.log(kind, name).with_extension("log.1")] {
            ignore_absent(fs::remove_file(&path)).map_err(|error| cannot("remove", &path, &error))?;
        }
        self.tidy(&self.data_dir.join("logs"));
        Ok(())
    }

    pub fn remove_tree(&self, dir: &Path) -> Result<(), CallError> {
        ignore_absent(fs::remove_dir_all(dir)).map_err(|error| cannot("remove", dir, &error))?;
        if let Some(above) = dir.parent() {
            self.tidy(above);
        }
        Ok(())
    }

    /// Removes a directory that has become empty, and the environment's own where that was the last.
    pub fn tidy(&self, dir: &Path) {
        if fs::remove_dir(dir).is_ok() {
            fs::remove_dir(&self.data_dir).ok();
        }
    }
}

/// `redis` of `local.redis`.
fn short(kind: &str) -> &str {
    kind.rsplit('.').next().unwrap_or(kind)
}

/// What is kept of a thing that runs, or has a port, to find it again. Holds no secret.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
pub struct Note {
    pub kind: String,
    /// The call that started it last.
    pub token: String,
    /// The port that it has, also while it is stopped.
    pub port: Option<u16>,
    /// The process that was started last, dead or alive.
    pub process: Option<Started>,
    /// The directory of its data, where that is not the usual one.
    #[serde(default)]
    pub location: Option<PathBuf>,
}

/// One process for all time: a pid, the moment it started, and the boot that both belong to.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
pub struct Started {
    pub pid: i32,
    pub started: String,
    pub boot: String,
}

pub fn read_note(path: &Path) -> Option<Note> {
    const LARGEST: u64 = 64 << 10;
    let mut text = Vec::new();
    fs::File::open(path).ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Writes a file so that readers see the old or the new content, never a part.
pub fn write_whole(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    ignore_absent(fs::remove_file(&beside))?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(content)?;
    fs::rename(&beside, path)
}

/// The last lines of a log from `from` on, at most twelve and 4 KiB of them.
pub fn last_lines(log: &Path, from: u64) -> Vec<String> {
    const LINES: usize = 12;
    const BYTES: u64 = 4 << 10;
    let read = || -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(log)?;
        let start = from.max(file.metadata()?.len().saturating_sub(BYTES));
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

pub fn ignore_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A refusal by the file system.
pub fn cannot(what: &str, path: &Path, error: &io::Error) -> CallError {
    CallError::Refused {
        status: None,
        field: None,
        words: format!("cannot {what} {}: {error}", path.display()),
        request: None,
        code: crate::model::Code::Unreadable,
    }
}
