//! Who can open the secrets of a state, and with which key they are sealed.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::files::words;
use super::settings::Settings;
use crate::model::{Code, Diagnostic};
use crate::state::keys::{Identity, is_recipient};

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
