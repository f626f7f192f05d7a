//! Where keys, identities and passphrases come from: variables of the environment, files, and a person. Never an argument.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::identity::{self, Identity};

/// The content of a key file.
pub const KEY: &str = "STACKWRIGHT_KEY";
/// A key file, in the place of the one beside the state.
pub const KEY_FILE: &str = "STACKWRIGHT_KEY_FILE";
/// Identities, as text.
pub const IDENTITY: &str = "STACKWRIGHT_IDENTITY";
/// A file of identities, in the place of the one in the home directory.
pub const IDENTITY_FILE: &str = "STACKWRIGHT_IDENTITY_FILE";
pub const PASSPHRASE: &str = "STACKWRIGHT_PASSPHRASE";
pub const PASSPHRASE_FILE: &str = "STACKWRIGHT_PASSPHRASE_FILE";

/// All of them: what a program may not read, and what no child of ours is given.
pub const VARIABLES: [&str; 6] = [KEY, KEY_FILE, IDENTITY, IDENTITY_FILE, PASSPHRASE, PASSPHRASE_FILE];

/// Variables of the environment.
pub type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Asks a person for a passphrase; the argument says what for. `None` where nobody can be asked, or answers.
pub type Ask = Arc<dyn Fn(&str) -> Option<Zeroizing<String>> + Send + Sync>;

#[derive(Clone)]
pub struct KeySources {
    /// The key file beside the state; `None` for a state in memory.
    pub file: Option<PathBuf>,
    pub variable: Variables,
    /// Where an identity is looked for if no variable names another place.
    pub identity: Option<PathBuf>,
    pub ask: Option<Ask>,
    /// Those for whom the key of a new store is wrapped, by name; with none it goes into the key file.
    pub declared: BTreeMap<String, String>,
}

impl From<&Path> for KeySources {
    fn from(root: &Path) -> KeySources {
        KeySources::beside(root)
    }
}

impl KeySources {
    /// The key file of a state's root, and nothing else.
    pub fn beside(root: &Path) -> KeySources {
        KeySources { file: Some(root.join("key")), ..KeySources::memory() }
    }

    pub fn memory() -> KeySources {
        KeySources { file: None, variable: Arc::new(|_| None), identity: None, ask: None, declared: BTreeMap::new() }
    }

    fn variable(&self, name: &str) -> Option<Zeroizing<String>> {
        (self.variable)(name).map(Zeroizing::new).filter(|text| !text.is_empty())
    }

    /// The content of a key file that a variable holds.
    pub fn key_text(&self) -> Option<Zeroizing<String>> {
        self.variable(KEY)
    }

    /// The key file that counts, and whether a variable names it.
    pub fn key_file(&self) -> Option<(PathBuf, bool)> {
        let named = self.variable(KEY_FILE).map(|path| (PathBuf::from(path.as_str()), true));
        named.or_else(|| Some((self.file.clone()?, false)))
    }

    /// Identities from all places, in their order; for each place its name, and what is in it or what is wrong with it. A place that
    /// is empty is named as well, so that people see where they could put one.
    pub fn identities(&self) -> Vec<(String, Result<Vec<Identity>, String>)> {
        let mut found = Vec::new();
        if let Some(text) = self.variable(IDENTITY) {
            found.push((IDENTITY.to_owned(), identity::identities(&text)));
        }
        let file = match self.variable(IDENTITY_FILE) {
            Some(path) => Some((PathBuf::from(path.as_str()), format!("{IDENTITY_FILE} {}", path.as_str()))),
            None => self.identity.clone().map(|path| (path.clone(), format!("identity {}", path.display()))),
        };
        if let Some((path, name)) = file {
            let read = private_file(&path).and_then(|text| identity::identities(&text));
            found.push((name, read));
        }
        if found.iter().any(|(_, it)| it.is_ok()) {
            crate::world::guard_memory();
        }
        found
    }

    /// A passphrase, and where it is from. A person is asked last, and only if `ask` says so.
    pub fn passphrase(&self, ask: Option<&str>) -> Option<(String, Result<Zeroizing<String>, String>)> {
        if let Some(path) = self.variable(PASSPHRASE_FILE) {
            let text = private_file(Path::new(path.as_str()));
            let text = text.map(|text| Zeroizing::new(text.strip_suffix('\n').unwrap_or(&text).to_owned()));
            return Some((format!("{PASSPHRASE_FILE} {}", path.as_str()), text));
        }
        if let Some(text) = self.variable(PASSPHRASE) {
            return Some((PASSPHRASE.to_owned(), Ok(text)));
        }
        let typed = (self.ask.as_ref()?)(ask?)?;
        Some(("the passphrase that was typed".to_owned(), Ok(typed)))
    }
}

/// The text of a file that only its owner can read.
fn private_file(path: &Path) -> Result<Zeroizing<String>, String> {
    use std::io::Read as _;
    let said = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "not there".to_owned(),
        _ => {
            let text = error.to_string();
            text[..text.find(" (os error").unwrap_or(text.len())].to_lowercase()
        }
    };
    let file = std::fs::File::open(path).map_err(said)?;
    let about = file.metadata().map_err(said)?;
    let mode = about.permissions().mode() & 0o777;
    if !about.is_file() {
        return Err("it is no regular file".into());
    }
    if mode & 0o077 != 0 {
        return Err(format!("others can read it (mode {mode:03o}), so it is not used: `chmod 600` it"));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(1 << 17).read_to_string(&mut text).map_err(|_| "it is not text".to_owned())?;
    Ok(text)
}
