//! Who signs the revisions of a state, and with which key this machine does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::author::author;
use super::files::words;
use super::project::Failure;
use super::settings::Settings;
use super::stored::{self, Stored};
use crate::model::{Code, Diagnostic};
use crate::state::sign::{KeyError, PublicKey, SigningKey, key_file};
use crate::state::{Body, Revision, RunHeader, RunResult, SignerAction, SignerChange, State, replay_without_key};

/// Names the file of the private key that signs.
const FILE: &str = "STACKWRIGHT_SIGNING_KEY_FILE";
/// Holds the text of such a file.
const TEXT: &str = "STACKWRIGHT_SIGNING_KEY";
const PASSPHRASE: &str = "STACKWRIGHT_SIGNING_PASSPHRASE";
const PASSPHRASE_FILE: &str = "STACKWRIGHT_SIGNING_PASSPHRASE_FILE";

/// Makes a state ready for a run: what it writes is signed, where a key is named. Called right before a run begins, since an
/// encrypted key asks for its passphrase.
///
/// Errors: [`Code::NoSigner`] where the key that is named cannot be used.
pub fn ready(settings: &Settings, state: &State) -> Result<(), Box<Diagnostic>> {
    if state.signs_with().is_none()
        && let Some(key) = key(settings)?
    {
        state.sign_with(Arc::new(key));
    }
    Ok(())
}

/// The key that this process signs with, if one is named.
///
/// Errors: [`Code::NoSigner`].
pub fn key(settings: &Settings) -> Result<Option<SigningKey>, Box<Diagnostic>> {
    let variable = |name: &str| (settings.variable)(name).filter(|value| !value.trim().is_empty());
    let (text, from) = match (variable(FILE), variable(TEXT)) {
        (Some(_), Some(_)) => {
            let error = Code::NoSigner.error(format!("both {FILE} and {TEXT} name a signing key"));
            return Err(Box::new(error.help("unset one of them")));
        }
        (None, None) => return Ok(None),
        (None, Some(text)) => (Zeroizing::new(text.into_bytes()), format!("the text in {TEXT}")),
        (Some(path), None) => {
            let path = expanded(settings, &path);
            let text = std::fs::read(&path).map_err(|error| {
                let text = format!("the signing key `{}` cannot be read: {}", path.display(), words(&error));
                Box::new(Code::NoSigner.error(text).help(format!("{FILE} names it")))
            })?;
            (Zeroizing::new(text), format!("`{}`", path.display()))
        }
    };
    SigningKey::read(&text, || passphrase(settings, &from)).map(Some).map_err(|error| Box::new(unusable(&error, &from)))
}

fn unusable(error: &KeyError, from: &str) -> Diagnostic {
    let said = Code::NoSigner.error(format!("{from} signs nothing: {error}"));
    match error {
        KeyError::NeedsPassphrase | KeyError::WrongPassphrase => {
            said.help(format!("give it in {PASSPHRASE}, or the file that holds it in {PASSPHRASE_FILE}"))
        }
        KeyError::Public => said.help("the private key is in the file of the same name without `.pub`"),
        KeyError::NotAKey | KeyError::Algorithm(_) => {
            said.help("make one with `stackwright key new --sign`, or with `ssh-keygen -t ed25519`")
        }
    }
}

fn passphrase(settings: &Settings, from: &str) -> Option<Zeroizing<String>> {
    let variable = |name: &str| (settings.variable)(name).filter(|value| !value.is_empty());
    if let Some(given) = variable(PASSPHRASE) {
        return Some(Zeroizing::new(given));
    }
    if let Some(path) = variable(PASSPHRASE_FILE) {
        let text = Zeroizing::new(std::fs::read_to_string(expanded(settings, &path)).ok()?);
        return Some(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()));
    }
    (settings.ask.as_ref()?)(&format!("Passphrase of {from}"))
}

/// A path of a variable: `~/` is the home directory, since no shell has looked at what a workflow's file sets.
fn expanded(settings: &Settings, path: &str) -> PathBuf {
    match path.strip_prefix("~/").zip((settings.variable)("HOME")) {
        Some((rest, home)) => Path::new(&home).join(rest),
        None => settings.dir.join(path),
    }
}

/// One signer, for people.
#[derive(Clone, Debug)]
pub struct Signing {
    pub name: String,
    pub key: String,
    pub fingerprint: String,
    /// Place of the entry that added it.
    pub since: u64,
    /// Who added it.
    pub who: String,
}

/// Those whose signatures count, by name. Needs no key.
///
/// Errors: those of reading a log.
pub async fn listed(settings: &Settings, named: Option<&str>) -> Result<Vec<Signing>, Failure> {
    let stored = stored::unread(settings, named)?;
    let view = replay_without_key(&stored.state.entries().await?, |_, _, _| {})?;
    let mut all: Vec<Signing> = view
        .signers
        .iter()
        .map(|(key, it)| Signing {
            name: it.name.clone(),
            key: key.to_string(),
            fingerprint: key.fingerprint(),
            since: it.since,
            who: it.who.clone(),
        })
        .collect();
    all.sort_by(|a, b| (&a.name, &a.key).cmp(&(&b.name, &b.key)));
    Ok(all)
}

/// A change of the signers that was made.
pub struct Changed {
    pub stack: String,
    pub environment: String,
    pub revision: u64,
    pub name: String,
    pub fingerprint: String,
    /// How many sign from now on.
    pub signers: usize,
    /// Whether this process has a key of the new list: if not, it can apply nothing more.
    pub we_sign: bool,
}

/// Lets a key sign. The first one is trusted as it is; each later one needs a signer's agreement, which this process gives.
///
/// Errors: [`Code::Usage`], [`Code::NoSigner`], [`Code::Locked`].
pub async fn add(settings: &Settings, named: Option<&str>, text: &str, name: &str, reason: &str) -> Result<Changed, Failure> {
    let key = PublicKey::parse(text).ok_or_else(|| {
        let help = "write what stands in the file that ends in `.pub`: `ssh-ed25519 AAAA…`, in quotes";
        Box::new(Code::Usage.error("this is no public key that can sign").help(help))
    })?;
    let stored = stored::open(settings, named).await?;
    let view = stored.state.view();
    if let Some(signer) = view.signers.get(&key) {
        return Err(Box::new(Code::Usage.error(format!("this key signs already: it is `{}`", signer.name))).into());
    }
    if view.signers.values().any(|it| it.name == name) {
        let text = format!("another key signs as `{name}` already");
        return Err(Box::new(Code::Usage.error(text).help("give it another name; `stackwright key list` shows all")).into());
    }
    if name.trim().is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
        return Err(Box::new(Code::Usage.error("a signer needs a short name without control characters")).into());
    }
    change(settings, stored, SignerAction::Add, key, name, reason).await
}

/// Lets a key sign no longer. What it has signed stays signed.
///
/// Errors: as [`add`]; the last signer stays, since nobody could change the list after it.
pub async fn remove(settings: &Settings, named: Option<&str>, name: &str, reason: &str) -> Result<Changed, Failure> {
    let stored = stored::open(settings, named).await?;
    let view = stored.state.view();
    let Some((key, _)) = view.signers.iter().find(|(_, it)| it.name == name) else {
        let near = super::nearest(name, view.signers.values().map(|it| it.name.as_str())).map(|it| format!("write `{it}`"));
        return Err(Box::new(Code::UnknownName.error(format!("nobody signs as `{name}`")).helps(near)).into());
    };
    if view.signers.len() == 1 {
        let error = Code::Usage.error(format!("`{name}` is the only signer, and nobody could change the list after it"));
        return Err(Box::new(error.help("add another one first")).into());
    }
    let key = *key;
    change(settings, stored, SignerAction::Remove, key, name, reason).await
}

async fn change(
    settings: &Settings,
    mut stored: Stored,
    action: SignerAction,
    key: PublicKey,
    name: &str,
    reason: &str,
) -> Result<Changed, Failure> {
    let state = &mut stored.state;
    ready(settings, state)?;
    let author = author(settings);
    let command = match action {
        SignerAction::Add => "key add",
        SignerAction::Remove => "key remove",
    };
    let engine = env!("CARGO_PKG_VERSION").to_owned();
    let header = RunHeader {
        command: command.into(),
        who: author.who.clone(),
        host: author.host.clone(),
        pid: std::process::id(),
        commit: author.commit.clone(),
        changes: 1,
        engine: engine.clone(),
        ..RunHeader::default()
    };
    let run = state.begin(header).await?;
    let who = author.who.clone();
    let change = SignerChange { action, key, name: name.into(), reason: reason.into(), who, by: None };
    run.append(vec![Body::Signer(Box::new(change))]).await?;
    let outputs = run.with_latest(|view| view.outputs.clone()).await;
    let revision = Revision {
        number: 0,
        run: 0,
        time_ms: 0,
        command: command.into(),
        who: author.who,
        commit: author.commit,
        plan: None,
        effects: None,
        approved_by: Vec::new(),
        counts: Default::default(),
        result: RunResult::Done,
        inputs: Vec::new(),
        outputs,
        engine,
        providers: Default::default(),
        failed: Vec::new(),
        not_started: Vec::new(),
        reason: Some(reason.into()),
        policies: Vec::new(),
    };
    let revision = run.finish(revision).await?;
    state.refresh().await?;
    super::anchors::remember_state(settings, state);
    let signers = &state.view().signers;
    let we_sign = state.signs_with().is_some_and(|key| signers.contains_key(&key.public()));
    Ok(Changed {
        revision,
        name: name.to_owned(),
        fingerprint: key.fingerprint(),
        signers: signers.len(),
        we_sign,
        stack: stored.stack,
        environment: stored.environment,
    })
}

/// A signing key that was made.
pub struct Made {
    /// `ssh-ed25519 AAAA… COMMENT`.
    pub public: String,
    pub fingerprint: String,
    pub path: PathBuf,
}

/// `~/.config/stackwright/signing`.
fn default_file(settings: &Settings) -> Option<PathBuf> {
    super::keys::default_identity(settings).map(|path| path.with_file_name("signing"))
}

/// Makes a key that signs, in a file of OpenSSH's form that only its owner can read, and its public half beside it.
///
/// Errors: [`Code::Unreadable`] where the file is there already, or cannot be written.
pub fn new(settings: &Settings, out: Option<&Path>) -> Result<Made, Box<Diagnostic>> {
    let path = match out {
        Some(path) => path.to_owned(),
        None => default_file(settings).ok_or_else(|| {
            Box::new(Code::Usage.error("there is no home directory to put a key in").help("name a file with `--out FILE`"))
        })?,
    };
    crate::world::guard_memory();
    let mut seed = Zeroizing::new([0; 32]);
    settings.world.random.fill(&mut *seed);
    let comment = author(settings).who;
    let comment: String = comment.chars().filter(|it| it.is_ascii_graphic() || *it == ' ').collect();
    let (text, public) = key_file(&seed, &comment)
        .ok_or_else(|| Box::new(Code::Unreadable.error("a new key cannot be written in OpenSSH's form")))?;
    super::keys::write_new(&path, text.as_bytes()).map_err(|error| {
        let name = path.display();
        Box::new(match error.kind() {
            std::io::ErrorKind::AlreadyExists => Code::Unreadable
                .error(format!("`{name}` is there already, and is not written over"))
                .help("name another file with `--out FILE`, or move that one out of the way"),
            _ => Code::Unreadable.error(format!("`{name}` cannot be written: {}", words(&error))),
        })
    })?;
    let line = format!("{public} {comment}");
    let beside = PathBuf::from(format!("{}.pub", path.display()));
    super::files::write_whole(&beside, format!("{}\n", line.trim_end()).as_bytes(), 0o644).map_err(|error| {
        Box::new(Code::Unreadable.error(format!("`{}` cannot be written: {}", beside.display(), words(&error))))
    })?;
    Ok(Made { public: line.trim_end().to_owned(), fingerprint: public.fingerprint(), path })
}
