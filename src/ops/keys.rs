//! Who can open the secrets of a state, and with which key they are sealed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::anchors;
use super::author::author;
use super::files::words;
use super::project::Failure;
use super::settings::Settings;
use super::signing;
use super::stored;
use crate::expand;
use crate::lang::program::Program;
use crate::model::{Code, Data, Diagnostic};
use crate::state::keys::{Held, Holder, Identity, KeyRequest, KeySources, is_recipient, with_passphrase};
pub use crate::state::keys::{KEY_FILE, KeyBook, KeyId, KeysChanged, Since};

/// Somebody who is let in, as people name them on the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recipient {
    /// `age1…`: the public half of an identity.
    Age(String),
    /// Whoever knows a passphrase.
    Passphrase,
    /// `ssh-ed25519 AAAA…`: a key that signs revisions, and opens nothing.
    Signer(String),
}

impl Recipient {
    /// Errors: [`Code::Usage`].
    pub fn parse(text: &str) -> Result<Recipient, Box<Diagnostic>> {
        let text = text.trim();
        let wrong = |words: &str| Box::new(Code::Usage.error(words));
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            let error =
                wrong("that is the secret half of an identity, and it stands on the command line, where others can read it");
            return Err(Box::new(
                error
                    .note("it is in the shell's history and in the list of processes by now: make another one")
                    .help("give its recipient, which begins with `age1`: `stackwright key new` prints it"),
            ));
        }
        match text {
            "passphrase" => Ok(Recipient::Passphrase),
            text if text.starts_with("ssh-ed25519") => Ok(Recipient::Signer(text.to_owned())),
            text if is_recipient(text) => Ok(Recipient::Age(text.to_owned())),
            text => Err(Box::new(wrong(&format!("`{text}` is no recipient")).help(
                "write what `stackwright key new` printed (`age1…`), `passphrase`, or an SSH key that signs (`ssh-ed25519 …`)",
            ))),
        }
    }
}

/// An identity that was made.
pub struct Made {
    pub recipient: String,
    pub path: PathBuf,
}

/// `~/.config/stackwright/identity`, where an identity is looked for if nothing else names one.
pub fn default_identity(settings: &Settings) -> Option<PathBuf> {
    let variable = |name: &str| (settings.variable)(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = variable("XDG_CONFIG_HOME").filter(|it| it.is_absolute()).or_else(|| Some(variable("HOME")?.join(".config")))?;
    Some(config.join("stackwright/identity"))
}

/// Makes an identity in a file that only its owner can read.
///
/// Errors: [`Code::Unreadable`] where the file is there already, or cannot be written.
pub fn new(settings: &Settings, out: Option<&Path>) -> Result<Made, Box<Diagnostic>> {
    let path = match out {
        Some(path) => path.to_owned(),
        None => default_identity(settings).ok_or_else(|| {
            Box::new(Code::Usage.error("there is no home directory to put an identity in").help("name a file with `--out FILE`"))
        })?,
    };
    crate::world::guard_memory();
    let identity = Identity::generate();
    let recipient = identity.recipient();
    let text = zeroize::Zeroizing::new(format!("# recipient: {recipient}\n{}\n", identity.text().as_str()));
    write_new(&path, text.as_bytes()).map_err(|error| {
        let name = path.display();
        Box::new(match error.kind() {
            std::io::ErrorKind::AlreadyExists => Code::Unreadable
                .error(format!("`{name}` is there already, and is not written over"))
                .note("whoever loses an identity loses what only it can open")
                .help("name another file with `--out FILE`, or move that one out of the way"),
            _ => Code::Unreadable.error(format!("`{name}` cannot be written: {}", words(&error))),
        })
    })?;
    Ok(Made { recipient, path })
}

/// Whole and synced, or not at all: the name is there only once the text is.
pub(super) fn write_new(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = dir.join(format!(".{name}.{}.new", std::process::id()));
    let written = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::hard_link(&beside, path)?;
        std::fs::File::open(dir)?.sync_all()
    })();
    let _ = std::fs::remove_file(&beside);
    written
}

/// Where keys come from, for the commands of a stack. The program says who has the key of a new state, in that environment.
///
/// Errors: those of [`declared`].
pub fn sources(settings: &Settings, of: Option<(&Program, &str)>) -> Result<KeySources, Box<Diagnostic>> {
    if settings.in_process() {
        return Ok(KeySources::memory());
    }
    Ok(KeySources {
        variable: settings.variable.clone(),
        identity: default_identity(settings),
        ask: settings.ask.clone(),
        declared: match of {
            Some((program, environment)) => declared(settings, program, environment)?,
            None => BTreeMap::new(),
        },
        ..KeySources::beside(&settings.state_root())
    })
}

/// Recipients that the stack's `encryption` names in an environment, by name; none where it says nothing.
///
/// Errors: [`Code::OutOfRange`] for one that is none, and what evaluation answers.
pub fn declared(settings: &Settings, program: &Program, environment: &str) -> Result<BTreeMap<String, String>, Box<Diagnostic>> {
    // A state of simulated clouds is nothing that anybody else has to read.
    let Some(expr) = program.stack.settings.get("encryption").filter(|_| !settings.simulated()) else {
        return Ok(BTreeMap::new());
    };
    let value = expand::early(program, environment, expr)?;
    let Data::Variant(_, fields) = &value.data else { return Ok(BTreeMap::new()) };
    let wrong = |text: String| Code::OutOfRange.error(text).label(expr.span, "declared here");
    let recipients = match fields.get("recipients").map(|it| &it.data) {
        Some(Data::Map(recipients)) if !recipients.is_empty() => recipients,
        _ => return Err(Box::new(wrong("nobody could open this state: `recipients` names nobody".into()))),
    };
    let mut all = BTreeMap::new();
    for (name, recipient) in recipients.iter() {
        let text = recipient.as_text().unwrap_or_default();
        if !is_recipient(text) {
            let diagnostic = wrong(format!("what `recipients` has for `{name}` is no recipient"));
            return Err(Box::new(diagnostic.help("write what `stackwright key new` printed, which begins with `age1`")));
        }
        check_name(name).map_err(|error| Box::new((*error).label(expr.span, "declared here")))?;
        all.insert(name.to_string(), text.to_owned());
    }
    Ok(all)
}

fn check_name(name: &str) -> Result<(), Box<Diagnostic>> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    match !name.is_empty() && name.len() <= 64 && name.chars().all(fits) {
        true => Ok(()),
        false => {
            let text = format!("a recipient cannot be called `{name}`");
            Err(Box::new(Code::Usage.error(text).help("a name has 1 to 64 letters, digits or any of . _ @ + -")))
        }
    }
}

/// The keys of an environment's state.
pub struct Listing {
    pub stack: String,
    pub environment: String,
    pub keys: Vec<ListedKey>,
    /// Those who can open what is new.
    pub holders: Vec<ListedHolder>,
    /// The key file that holds the current key.
    pub file: Option<PathBuf>,
    pub unlike: Vec<Unlike>,
}

pub struct ListedKey {
    pub id: KeyId,
    pub is_current: bool,
    pub since: Since,
    /// Who made it, and why; empty for the first.
    pub who: String,
    pub reason: String,
    /// Those who can open it, by name; with those who were removed since.
    pub holders: Vec<String>,
    /// By what it is opened here, in words.
    pub opens: Option<String>,
    /// Every place that was looked at, where it cannot be opened, and why it did not help.
    pub tried: Vec<(String, String)>,
    pub file: Option<PathBuf>,
}

pub struct ListedHolder {
    pub name: String,
    pub recipient: String,
    pub is_passphrase: bool,
    pub since: Since,
    /// Who let it in, and why.
    pub who: String,
    pub reason: String,
}

/// A difference between those whom the stack declares and those who can open its state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unlike {
    /// Declared, and cannot open it.
    Missing { name: String, recipient: String },
    /// Can open it, and is not declared.
    Undeclared { name: String },
    /// Declared with another recipient.
    Other { name: String, recipient: String },
}

impl Unlike {
    pub fn words(&self) -> String {
        match self {
            Unlike::Missing { name, .. } => format!("{name} is declared in `encryption`, and cannot open the state"),
            Unlike::Undeclared { name } => format!("{name} can open the state, and is not declared in `encryption`"),
            Unlike::Other { name, .. } => format!("{name} is declared in `encryption` with another recipient than it has"),
        }
    }

    /// Commands that mend it.
    pub fn mend(&self) -> Vec<String> {
        let add = |name: &str, recipient: &str| format!("key add {recipient} --name {name} --reason \"…\"");
        let remove = |name: &str| format!("key remove {name} --reason \"…\"");
        match self {
            Unlike::Missing { name, recipient } => vec![add(name, recipient)],
            Unlike::Undeclared { name } => vec![remove(name)],
            // The name is free once it is removed.
            Unlike::Other { name, recipient } => vec![remove(name), add(name, recipient)],
        }
    }
}

/// Differences between the stack's `encryption` and its state, by name; none where it declares nobody, or nothing was applied yet.
pub fn unlike(declared: &BTreeMap<String, String>, book: &KeyBook) -> Vec<Unlike> {
    if declared.is_empty() || book.current.is_none() {
        return Vec::new();
    }
    let mut unlike = Vec::new();
    let present: Vec<&Held> = book.holders.values().collect();
    for (name, recipient) in declared {
        let (name, recipient) = (name.clone(), recipient.clone());
        match present.iter().find(|held| held.holder.recipient == recipient) {
            Some(_) => {}
            None if book.holders.contains_key(&name) => unlike.push(Unlike::Other { name, recipient }),
            None => unlike.push(Unlike::Missing { name, recipient }),
        }
    }
    let is_declared =
        |held: &&&Held| declared.contains_key(&held.holder.name) || declared.values().any(|it| *it == held.holder.recipient);
    let undeclared = present.iter().filter(|held| !is_declared(held));
    unlike.extend(undeclared.map(|held| Unlike::Undeclared { name: held.holder.name.clone() }));
    unlike
}

/// Errors: those of opening a state; a state whose key is missing is listed all the same.
pub async fn list(settings: &Settings, named: Option<&str>) -> Result<Listing, Failure> {
    let stored = stored::open_keys(settings, named).await?;
    let (state, book) = (&stored.state, stored.state.key_book());
    let mut keys = Vec::new();
    for (id, key) in &book.keys {
        let opens = state.opens(*id)?;
        keys.push(ListedKey {
            id: *id,
            is_current: book.current == Some(*id),
            since: key.since,
            who: key.who.clone(),
            reason: key.reason.clone(),
            holders: book.holders_of(*id).iter().map(|holder| holder.name.clone()).collect(),
            opens: opens.by,
            tried: opens.tried,
            file: opens.file,
        });
    }
    keys.sort_by_key(|key| std::cmp::Reverse((key.is_current, key.since.sequence)));
    let file = keys.iter().find(|key| key.is_current).and_then(|key| key.file.clone());
    let holder = |held: &Held| ListedHolder {
        name: held.holder.name.clone(),
        recipient: held.holder.recipient.clone(),
        is_passphrase: held.holder.locked.is_some(),
        since: held.since,
        who: held.who.clone(),
        reason: held.reason.clone(),
    };
    let holders = book.holders.values().map(holder).collect();
    let unlike = unlike(&stored.declared, book);
    Ok(Listing { stack: stored.stack, environment: stored.environment, keys, holders, file, unlike })
}

/// A change of who can open the secrets, done.
pub struct Changed {
    pub stack: String,
    pub environment: String,
    pub keys: KeysChanged,
}

/// Lets somebody in.
///
/// Errors: [`Code::Usage`], [`Code::NoKey`], and those of the store.
pub async fn add(
    settings: &Settings,
    named: Option<&str>,
    recipient: &Recipient,
    name: &str,
    reason: &str,
) -> Result<Changed, Failure> {
    check_name(name)?;
    let holder = match recipient {
        Recipient::Age(recipient) => Holder { name: name.to_owned(), recipient: recipient.clone(), locked: None },
        Recipient::Passphrase => with_new_passphrase(settings, name)?,
        Recipient::Signer(_) => unreachable!("a signer opens nothing: `ops` is asked of it elsewhere"),
    };
    change(settings, named, KeyRequest::Add(holder), reason).await
}

/// Seals new values under a new data key, which somebody cannot open.
///
/// Errors: as [`add`]; [`Code::UnknownName`].
pub async fn remove(settings: &Settings, named: Option<&str>, name: &str, reason: &str) -> Result<Changed, Failure> {
    change(settings, named, KeyRequest::Remove(name.to_owned()), reason).await
}

/// Seals new values under a new data key.
///
/// Errors: as [`add`].
pub async fn rotate(settings: &Settings, named: Option<&str>, reason: &str) -> Result<Changed, Failure> {
    change(settings, named, KeyRequest::Rotate, reason).await
}

async fn change(settings: &Settings, named: Option<&str>, request: KeyRequest, reason: &str) -> Result<Changed, Failure> {
    if reason.trim().is_empty() {
        return Err(Box::new(Code::Usage.error("the reason is empty").help("those who read the log will want to know it")).into());
    }
    let mut stored = stored::open(settings, named).await?;
    signing::ready(settings, &stored.state)?;
    let keys = stored.state.change_keys(&request, &author(settings).who, reason).await?;
    anchors::remember_state(settings, &stored.state);
    Ok(Changed { stack: stored.stack, environment: stored.environment, keys })
}

/// The fewest characters of a passphrase.
const PASSPHRASE_MIN: usize = 12;

/// A passphrase for a new holder: from the places that open with one as well, or typed twice.
fn with_new_passphrase(settings: &Settings, name: &str) -> Result<Holder, Box<Diagnostic>> {
    let sources = sources(settings, None)?;
    let (place, read) = sources.passphrase(Some(&format!("new passphrase of {name}"))).ok_or_else(|| {
        Box::new(
            Code::Usage
                .error("no passphrase was given, and there is no terminal at which somebody could be asked")
                .help("put it into a file that only you can read, and name that with STACKWRIGHT_PASSPHRASE_FILE"),
        )
    })?;
    let passphrase = read.map_err(|why| Box::new(Code::Unreadable.error(format!("{place}: {why}"))))?;
    if place.contains("typed") {
        let again = settings.ask.as_ref().and_then(|ask| ask("the same once more"));
        if again.is_none_or(|again| *again != *passphrase) {
            return Err(Box::new(Code::Usage.error("the two passphrases are not the same; nothing was changed")));
        }
    }
    if passphrase.chars().count() < PASSPHRASE_MIN {
        let text =
            format!("a passphrase has {PASSPHRASE_MIN} characters or more: whoever has the log can guess as long as they like");
        return Err(Box::new(Code::Usage.error(text).help("take six words that a generator chose")));
    }
    crate::world::guard_memory();
    with_passphrase(name, &passphrase).ok_or_else(|| Box::new(Code::Usage.error("the passphrase cannot be used")))
}
