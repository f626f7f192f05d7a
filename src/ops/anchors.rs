//! What this machine, a file or a repository knows of a log from outside of its store.
//!
//! Every state that is opened is compared with the last head that this machine saw of it, which is kept in the user's cache
//! directory under the store's id: whoever can write to the store cannot make it forget.

use std::path::{Path, PathBuf};

use super::files::{words, write_whole};
use super::repository::git;
use super::settings::Settings;
use crate::audit::{Anchor, THIS_MACHINE, written};
use crate::model::{Code, Diagnostic};
use crate::state::{Continuation, Head, State, StoreId};

/// Where notes are kept, below `refs/notes/`.
const NOTES: &str = "stackwright";
/// Notes that are read at most, and what each may hold.
const NOTES_MAX: usize = 10_000;
const NOTE_MAX: usize = 1 << 20;

/// The directory for what may be lost: `STACKWRIGHT_CACHE_DIR`, else `stackwright` in the user's cache directory.
pub(super) fn cache_dir(settings: &Settings) -> Option<PathBuf> {
    let variable = |name: &str| (settings.variable)(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = variable("STACKWRIGHT_CACHE_DIR") {
        return Some(settings.dir.join(dir));
    }
    let cache = variable("XDG_CACHE_HOME").filter(|it| it.is_absolute()).or_else(|| Some(variable("HOME")?.join(".cache")))?;
    Some(cache.join("stackwright"))
}

/// The file that remembers a store. `None` where there is no place for it, and for simulated clouds, whose states come and go.
pub fn memory_file(settings: &Settings, store: StoreId) -> Option<PathBuf> {
    if settings.simulated() || settings.in_process() {
        return None;
    }
    Some(cache_dir(settings)?.join("heads").join(store.to_string()))
}

/// The last head of a store that this machine saw. A file that cannot be read remembers nothing.
pub fn remembered(settings: &Settings, store: StoreId) -> Option<Anchor> {
    let path = memory_file(settings, store)?;
    let text = std::fs::read_to_string(&path).ok().filter(|text| text.len() < 1024)?;
    Anchor::parse(text.lines().next()?, THIS_MACHINE)
}

/// Compares a state that was just opened with what this machine remembers of it, and remembers it as it is now.
///
/// Errors: [`Code::ForkedState`].
pub async fn check(settings: &Settings, state: &State) -> Result<(), Box<Diagnostic>> {
    let (Some(store), Some(head)) = (state.store_id(), state.view().head) else { return Ok(()) };
    if let Some(anchor) = remembered(settings, store) {
        let known = Head { sequence: anchor.number, hash: anchor.hash };
        if known == head {
            return Ok(());
        }
        match state.continues(known).await? {
            Continuation::Extends => {}
            other => return Err(forked(settings, state.environment(), store, known, head, other)),
        }
    }
    remember(settings, store, head);
    Ok(())
}

/// Remembers the present head of a state that this process has written to.
pub fn remember_state(settings: &Settings, state: &State) {
    if let (Some(store), Some(head)) = (state.store_id(), state.view().head) {
        remember(settings, store, head);
    }
}

/// Remembers a head, unless a later one is remembered already. That a cache cannot be written is no reason to stop.
fn remember(settings: &Settings, store: StoreId, head: Head) {
    if remembered(settings, store).is_some_and(|known| known.number >= head.sequence) {
        return;
    }
    write_memory(settings, store, head);
}

/// Takes a head for the one to continue from now on, whatever was remembered: what `state restore` does.
pub fn accept(settings: &Settings, store: StoreId, head: Head) {
    write_memory(settings, store, head);
}

fn write_memory(settings: &Settings, store: StoreId, head: Head) {
    let Some(path) = memory_file(settings, store) else { return };
    let Some(dir) = path.parent() else { return };
    let _ = std::fs::create_dir_all(dir).and_then(|()| write_whole(&path, format!("{}\n", written(head)).as_bytes(), 0o600));
}

fn forked(
    settings: &Settings,
    environment: &str,
    store: StoreId,
    known: Head,
    found: Head,
    how: Continuation,
) -> Box<Diagnostic> {
    let short = |head: Head| head.hash.to_string().get(..8).unwrap_or_default().to_owned();
    let error = Code::ForkedState
        .error(format!("the state of {environment} is not the continuation of the one that was seen here before"))
        .fact("known", format!("entry {}, {}…", known.sequence, short(known)));
    let error = match how {
        Continuation::Shorter => error
            .fact("found", format!("entry {}, and no more", found.sequence))
            .note("nothing was changed; it was put back from an older copy, or its end was cut off"),
        _ => error
            .fact("found", format!("another entry {}; the log ends at entry {}", known.sequence, found.sequence))
            .note("nothing was changed; it was put back from an older copy and written to, or two copies of it were"),
    };
    let error = match memory_file(settings, store) {
        Some(path) => error.fact("remembered", path.display().to_string()),
        None => error,
    };
    Box::new(
        error
            .help("find out who put it back and why, and compare it with `stackwright history` where the other copy is")
            .help("`stackwright state restore --reason \"…\"` records it and carries on"),
    )
}

/// What `--since` names: a head, `git`, or a file that holds heads.
///
/// Errors: [`Code::Usage`], [`Code::Unreadable`].
pub fn named(settings: &Settings, text: &str, store: Option<StoreId>) -> Result<Vec<Anchor>, Box<Diagnostic>> {
    if let Some(anchor) = Anchor::parse(text, "--since") {
        return Ok(vec![anchor]);
    }
    if text == "git" {
        let found = in_notes(settings, store);
        return match found.is_empty() {
            false => Ok(found),
            true => Err(Box::new(
                Code::Usage
                    .error("no git note here holds a head of this state")
                    .help("`stackwright verify --anchor git` writes one; `git fetch origin refs/notes/stackwright:refs/notes/stackwright` brings those of others"),
            )),
        };
    }
    let path = settings.dir.join(text);
    let read = std::fs::read_to_string(&path).map_err(|error| {
        let said = format!("`{text}` is no anchor, and no file that can be read: {}", words(&error));
        Box::new(
            Code::Usage.error(said).help("write `NUMBER:HASH` as `stackwright verify` prints it, `git`, or the name of a file"),
        )
    })?;
    let found = lines(&read, store, text);
    match found.is_empty() {
        false => Ok(found),
        true => Err(Box::new(Code::Usage.error(format!("`{text}` holds no head of this state")))),
    }
}

/// Lines `NUMBER:HASH`, each with the id of its store behind it where that is known; what else stands there is left alone.
fn lines(text: &str, store: Option<StoreId>, from: &str) -> Vec<Anchor> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let anchor = Anchor::parse(words.next()?, from)?;
        let of_another = words.next().and_then(StoreId::parse).zip(store).is_some_and(|(of, store)| of != store);
        (!of_another).then_some(anchor)
    };
    text.lines().filter_map(line).collect()
}

/// Heads of this store in the git notes of the stack's repository, newest first. Empty where there is no repository, or no git.
pub fn in_notes(settings: &Settings, store: Option<StoreId>) -> Vec<Anchor> {
    let Some(store) = store else { return Vec::new() };
    let Some(listed) = git(settings, &["notes", "--ref", NOTES, "list"]) else { return Vec::new() };
    let mut found = Vec::new();
    for line in listed.lines().take(NOTES_MAX) {
        let Some((note, _)) = line.split_once(' ').filter(|(note, _)| note.bytes().all(|byte| byte.is_ascii_hexdigit())) else {
            continue;
        };
        let Some(text) = git(settings, &["cat-file", "blob", note]).filter(|text| text.len() < NOTE_MAX) else { continue };
        let ours = text.lines().filter(|line| line.split_whitespace().nth(1).and_then(StoreId::parse) == Some(store));
        let from = format!("git note {}", note.get(..7).unwrap_or(note));
        ours.for_each(|line| found.extend(lines(line, Some(store), &from)));
    }
    found.sort_by_key(|anchor| std::cmp::Reverse(anchor.number));
    found.dedup_by_key(|anchor| (anchor.number, anchor.hash));
    found
}

/// Writes a head down outside of the store: into a git note of the commit that is checked out, or at the end of a file.
///
/// Errors: [`Code::Unreadable`].
pub fn publish(settings: &Settings, to: &str, environment: &str, store: StoreId, head: Head) -> Result<String, Box<Diagnostic>> {
    let line = format!("{} {store} {environment}", written(head));
    if to == "git" {
        let done = git(settings, &["notes", "--ref", NOTES, "append", "-m", &line]);
        return match done {
            Some(_) => Ok(format!("a git note of this commit: `git push origin refs/notes/{NOTES}` shows it to others")),
            None => Err(Box::new(
                Code::Unreadable
                    .error("git did not take the note")
                    .help("it needs a repository with a commit, and `user.name` and `user.email`"),
            )),
        };
    }
    let path = settings.dir.join(to);
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unwritable(&path, &error)),
    };
    let rest = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    write_whole(&path, format!("{before}{rest}{line}\n").as_bytes(), 0o644).map_err(|error| unwritable(&path, &error))?;
    Ok(format!("`{to}`"))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Box<Diagnostic> {
    Box::new(Code::Unreadable.error(format!("`{}` cannot be written: {}", path.display(), words(error))))
}
