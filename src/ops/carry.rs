//! `state export`, `import`, `backup` and `restore`: a whole log on its way between a store and a file.

use std::path::{Path, PathBuf};

use super::anchors;
use super::author::author;
use super::environment;
use super::files::{words, write_whole};
use super::keys;
use super::project::{self, Failure};
use super::settings::Settings;
use super::stored::{self, Stored};
use super::stores;
use crate::model::{Code, Diagnostic, Digest, Sources};
use crate::providers::registry;
use crate::state::{Carrier, Head, Parcel, State};
pub use crate::state::{KeyNeeded, LostRun, Report};

/// What is in a file, or went into one.
pub struct Packed {
    pub stack: String,
    pub environment: String,
    pub store: String,
    pub entries: u64,
    pub revisions: u64,
    /// Hash of the last entry.
    pub head: Digest,
    /// Whether a snapshot is in it.
    pub snapshot: bool,
    /// The key that opens its secrets.
    pub key: KeyNeeded,
}

/// Packs the whole log of an environment; the bytes are what goes into a file or to stdout. Needs no key.
///
/// Errors: [`Code::NotCarried`] where nothing was ever applied; those of reading a log.
pub async fn export(settings: &Settings, named: Option<&str>) -> Result<(Packed, Vec<u8>), Failure> {
    let Stored { stack, state, .. } = stored::unread(settings, named)?;
    let parcel = state.pack(&stack).await?.ok_or_else(|| nothing(&state))?;
    Ok((packed(&parcel, state).await?, parcel.bytes()))
}

/// Writes an export to a file, whole or not at all.
///
/// Errors: [`Code::Unreadable`].
pub fn write(bytes: &[u8], path: &Path) -> Result<(), Box<Diagnostic>> {
    write_whole(path, bytes, 0o600)
        .map_err(|error| Box::new(Code::Unreadable.error(format!("`{}` cannot be written: {}", path.display(), words(&error)))))
}

/// Writes a backup: the log and a snapshot, read back from the disk before it is believed. Without a file's name it goes to
/// `.stackwright/backups/ENV-revN-HEAD.backup`.
///
/// Errors: as [`export`]; where what was written reads otherwise.
pub async fn backup(settings: &Settings, named: Option<&str>, to: Option<&Path>) -> Result<(Packed, PathBuf), Failure> {
    let Stored { stack, state, .. } = stored::unread(settings, named)?;
    let parcel = state.pack_backup(&stack).await?.ok_or_else(|| nothing(&state))?;
    let packed = packed(&parcel, state).await?;
    let path = match to {
        Some(path) => path.to_owned(),
        None => {
            let dir = settings.world_dir().join("backups");
            let made = std::fs::create_dir_all(&dir);
            made.map_err(|error| {
                Box::new(Code::Unreadable.error(format!("`{}` cannot be made: {}", dir.display(), words(&error))))
            })?;
            dir.join(format!("{}-rev{}-{}.backup", packed.environment, packed.revisions, &packed.head.to_string()[..8]))
        }
    };
    write(&parcel.bytes(), &path)?;
    if read(&path)? != parcel {
        let text = format!("`{}` does not read as it was written", path.display());
        return Err(Box::new(Code::DamagedExport.error(text).help("write it to another disk")).into());
    }
    Ok((packed, path))
}

/// Puts the log of a file where nothing was ever applied.
///
/// Errors: [`Code::DamagedExport`], [`Code::NotCarried`].
pub async fn import(settings: &Settings, named: Option<&str>, from: &Path, reason: &str) -> Result<Packed, Failure> {
    let parcel = read(from)?;
    let (stack, state) = place(settings, named, &parcel)?;
    refuse_another_stack(&stack, &parcel)?;
    state.import(&parcel, &carrier(settings, reason)?).await?;
    Ok(packed(&parcel, state).await?)
}

/// Puts the log of a file in the place of one that is damaged, gone or shorter.
///
/// Errors: as [`import`].
pub async fn restore(settings: &Settings, named: Option<&str>, from: &Path, reason: &str) -> Result<(Packed, Report), Failure> {
    let parcel = read(from)?;
    let (stack, state) = place(settings, named, &parcel)?;
    refuse_another_stack(&stack, &parcel)?;
    let known = anchors::remembered(settings, parcel.store()).map(|it| Head { sequence: it.number, hash: it.hash });
    let report = state.restore(&parcel, known, &carrier(settings, reason)?).await?;
    if let Some(head) = state.head().await? {
        anchors::accept(settings, parcel.store(), head);
    }
    Ok((packed(&parcel, state).await?, report))
}

fn read(path: &Path) -> Result<Parcel, Box<Diagnostic>> {
    let bytes = std::fs::read(path)
        .map_err(|error| Box::new(Code::Unreadable.error(format!("`{}` cannot be read: {}", path.display(), words(&error)))))?;
    Parcel::parse(&bytes)
}

/// A reason that says nothing is none.
///
/// Errors: [`Code::Usage`].
pub(super) fn carrier(settings: &Settings, reason: &str) -> Result<Carrier, Box<Diagnostic>> {
    if reason.trim().is_empty() {
        let help = "say why, for those who read the log: `--reason \"the disk failed\"`";
        return Err(Box::new(Code::Usage.error("`--reason` is empty").help(help)));
    }
    Ok(Carrier { who: author(settings).who, reason: reason.to_owned() })
}

/// The state that a file's log belongs to: of the environment that the file names, which is also the one that was named here.
fn place(settings: &Settings, named: Option<&str>, parcel: &Parcel) -> Result<(String, State), Failure> {
    let of_file = parcel.environment.as_str();
    if let Some(named) = named.filter(|named| *named != of_file) {
        let diagnostic =
            Code::NotCarried.error(format!("the file holds the state of `{of_file}`, not of `{named}`; nothing was changed"));
        return Err(Box::new(diagnostic.help(format!("`--env {of_file}`, or take the file of `{named}`"))).into());
    }
    let checked = project::check(settings, std::sync::Arc::new(registry::schemas()), Sources::default());
    let Some(program) = &checked.program else {
        // A program that does not check must not keep anybody from putting a state back.
        let store = State::local_store(&settings.state_root(), of_file)?;
        return Ok((String::new(), State::unread(store, keys::sources(settings, None)?, of_file, &settings.world)));
    };
    let state = environment::choose(program, Some(of_file)).and_then(|_| stores::unread(settings, program, of_file));
    let state = state.map_err(|error| Failure::new(vec![*error], checked.sources.clone()))?;
    Ok((program.stack.name.to_string(), state))
}

fn refuse_another_stack(stack: &str, parcel: &Parcel) -> Result<(), Box<Diagnostic>> {
    if stack.is_empty() || parcel.stack.is_empty() || stack == parcel.stack {
        return Ok(());
    }
    let diagnostic = Code::NotCarried
        .error(format!("the file holds the state of stack `{}`, and the stack here is `{stack}`; nothing was changed", parcel.stack))
        .help("take the file of this stack; where the stack was given another name since, call it by the old one until this is done");
    Err(Box::new(diagnostic))
}

fn nothing(state: &State) -> Box<Diagnostic> {
    let text = format!("nothing was ever applied to `{}`: there is no state to carry", state.environment());
    Box::new(Code::NotCarried.error(text).fact("looked", state.place()))
}

async fn packed(parcel: &Parcel, state: State) -> Result<Packed, Box<Diagnostic>> {
    Ok(Packed {
        stack: parcel.stack.clone(),
        environment: parcel.environment.clone(),
        store: parcel.store().to_string(),
        entries: parcel.count(),
        revisions: parcel.revisions(),
        head: parcel.head().hash,
        snapshot: parcel.snapshot.is_some(),
        key: state.key_needed().await?,
    })
}
