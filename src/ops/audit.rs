//! Questions to the log of one environment.

use std::path::{Path, PathBuf};

use super::anchors;
use super::project::Failure;
use super::settings::Settings;
use super::stored::{self, Stored};
use crate::audit::{self, Trust};
pub use crate::audit::{Blame, Changed, FieldDiff, Finding, Happening, OutputDiff, Past, Revealed, RevisionDetail, Verification};
use crate::model::{Address, Code, Diagnostic};
pub use crate::state::JudgedPolicy;
use crate::state::sign::{AllowedSigner, allowed_signers};
use crate::state::{Parcel, StoreId};

/// What happened, newest first: all revisions and what was done to the log itself, or the revisions that touched an address that
/// fits the glob.
pub async fn history(stored: &Stored, glob: Option<&str>) -> Result<(Vec<Past>, Vec<Happening>), Box<Diagnostic>> {
    let addresses: Vec<Address> = match glob {
        None => Vec::new(),
        Some(glob) => {
            let all = audit::addresses(&stored.state).await?;
            let fitting: Vec<Address> = all.into_iter().filter(|address| super::matches(glob, address)).collect();
            if fitting.is_empty() {
                return Err(Box::new(Code::UnknownName.error(format!("nothing in the log fits `{glob}`"))));
            }
            fitting
        }
    };
    let mut past = audit::history(&stored.state, &addresses).await?;
    past.reverse();
    let mut happenings = match glob {
        None => audit::happenings(&stored.state).await?,
        Some(_) => Vec::new(),
    };
    happenings.reverse();
    Ok((past, happenings))
}

pub async fn revision(stored: &Stored, number: u64) -> Result<RevisionDetail, Box<Diagnostic>> {
    audit::show(&stored.state, number).await
}

/// What differs between two revisions, written `A..B`; 0 is the empty state.
///
/// Errors: [`Code::Usage`].
pub async fn diff(stored: &Stored, range: &str) -> Result<(u64, u64, Vec<Changed>, Vec<OutputDiff>), Box<Diagnostic>> {
    let wrong = || {
        Box::new(
            Code::Usage
                .error(format!("`{range}` is no pair of revisions"))
                .help("write it as `3..5`; `stackwright history` numbers them"),
        )
    };
    let (from, to) = range.split_once("..").ok_or_else(wrong)?;
    let (from, to) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
    let (changed, outputs) = audit::diff(&stored.state, from, to).await?;
    Ok((from, to, changed, outputs))
}

pub async fn blame(stored: &Stored, address: &str) -> Result<Vec<Blame>, Box<Diagnostic>> {
    let found = stored::find(&stored.state, address)?;
    let exact =
        found.iter().find(|record| record.address.as_str() == address).or_else(|| found.first().filter(|_| found.len() == 1));
    match exact {
        Some(record) => audit::blame(&stored.state, &record.address).await,
        None => {
            let names = found.iter().take(6).map(|it| format!("`{}`", it.address)).collect::<Vec<_>>().join(", ");
            Err(Box::new(Code::Usage.error(format!("`{address}` holds several resources")).help(format!("name one: {names}"))))
        }
    }
}

/// What `verify` is told.
#[derive(Clone, Debug, Default)]
pub struct VerifyRequest {
    /// A head that the log has to extend: `43:8d1f…`, `git`, or a file that holds heads.
    pub since: Option<String>,
    /// A file of those who may sign, in the form of ssh's `allowed_signers`.
    pub signers: Option<PathBuf>,
    /// Where the head is written down if all holds: `git`, or a file.
    pub anchor: Option<String>,
}

/// Verifies a file that `state export` or `state backup` wrote: without the store, its key or a program.
///
/// Errors: as [`verify`].
pub fn verify_file(settings: &Settings, path: &Path, request: &VerifyRequest) -> Result<Verified, Failure> {
    let bytes = std::fs::read(settings.dir.join(path)).map_err(|error| {
        Box::new(Code::Unreadable.error(format!("`{}` cannot be read: {}", path.display(), super::files::words(&error))))
    })?;
    let (entries, damage, environment) = match Parcel::parse_until_damage(&bytes) {
        Ok(parcel) => (parcel.entries, None, parcel.environment),
        Err((entries, error)) => (entries, Some(error), String::new()),
    };
    let store = entries.first().map(|entry| entry.header.store);
    let trust = trust(settings, request, store)?;
    let verification = audit::verify_entries(&entries, damage, &trust);
    let published = publish(settings, request, &environment, store, &verification)?;
    let head = verification.head.map(audit::written);
    Ok(Verified { environment, verification, head, published })
}

fn publish(
    settings: &Settings,
    request: &VerifyRequest,
    environment: &str,
    store: Option<StoreId>,
    verification: &Verification,
) -> Result<Option<String>, Box<Diagnostic>> {
    match (&request.anchor, store, verification.head.filter(|_| verification.holds())) {
        (Some(to), Some(store), Some(head)) => anchors::publish(settings, to, environment, store, head).map(Some),
        _ => Ok(None),
    }
}

/// What `verify` found.
pub struct Verified {
    pub environment: String,
    pub verification: Verification,
    /// The head, as `--since` takes it.
    pub head: Option<String>,
    /// Where the head was written down.
    pub published: Option<String>,
}

/// Verifies the log of an environment, which may be too damaged to be opened. What this machine and the git notes of the
/// repository know of it is always compared.
///
/// Errors: [`Code::Usage`], [`Code::Unreadable`].
pub async fn verify(settings: &Settings, named: Option<&str>, request: &VerifyRequest) -> Result<Verified, Failure> {
    let Stored { state, environment, .. } = stored::unread(settings, named)?;
    let (entries, damage) = state.entries_that_are_whole().await;
    let store = entries.first().map(|entry| entry.header.store);
    let trust = trust(settings, request, store)?;
    let verification = audit::verify_read(&state, &entries, damage, &trust).await;
    // Nobody waits for so many pieces to be freed.
    rayon::spawn(move || drop(entries));
    let published = publish(settings, request, &environment, store, &verification)?;
    let head = verification.head.map(audit::written);
    Ok(Verified { environment, verification, head, published })
}

fn trust(settings: &Settings, request: &VerifyRequest, store: Option<StoreId>) -> Result<Trust, Box<Diagnostic>> {
    let signers = request.signers.as_deref().map(|path| read_signers(settings, path)).transpose()?;
    let mut anchors: Vec<audit::Anchor> = store.and_then(|store| anchors::remembered(settings, store)).into_iter().collect();
    // Of the notes the newest one; it vouches for those before it.
    anchors.extend(anchors::in_notes(settings, store).into_iter().take(1));
    if let Some(since) = &request.since {
        for anchor in anchors::named(settings, since, store)? {
            // What was asked for is answered, also where it was known before.
            anchors.retain(|known| (known.number, known.hash) != (anchor.number, anchor.hash));
            anchors.push(anchor);
        }
    }
    Ok(Trust { signers, anchors })
}

fn read_signers(settings: &Settings, path: &Path) -> Result<Vec<AllowedSigner>, Box<Diagnostic>> {
    let shown = path.display();
    let text = std::fs::read_to_string(settings.dir.join(path)).map_err(|error| {
        Box::new(Code::Unreadable.error(format!("`{shown}` cannot be read: {}", super::files::words(&error))))
    })?;
    let signers = allowed_signers(&text).map_err(|line| {
        let help = "each line names who, and the key: `ci@example.com ssh-ed25519 AAAA…`, as `ssh-keygen -Y verify` takes it";
        Box::new(Code::Usage.error(format!("`{shown}` line {line} is no signer")).help(help))
    })?;
    match signers.is_empty() {
        true => Err(Box::new(Code::Usage.error(format!("`{shown}` names no ed25519 key that may sign")))),
        false => Ok(signers),
    }
}
