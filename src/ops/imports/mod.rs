//! The directories that a program imports: where they are, and what of them may be read.
//!
//! A local import is a directory below the one that holds the stack's version control (the nearest `.git` upwards), or below the
//! stack's own where none does. What lies there is reviewed and moves with the stack; what does not could be anything on another
//! machine. Links are followed, and have to stay inside as well.
//!
//! What lies in another repository is read from `.stackwright/imports`, where `fetch` put it, and has to be what `stack.lock` pins.

pub mod git;
pub mod kept;
pub mod lock;
pub mod remote;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use std::path::{Component, Path, PathBuf};

use super::files::{ALL_MAX, read_directory, words};
use super::settings::Settings;
use crate::lang::{Finder, Located, Texts, Wanted};
use crate::model::{Code, Diagnostic, Name};

use lock::Lock;
use remote::{Remote, SCHEME, refuse_other_addresses};
pub use tree::{file_of, shown};

/// Finds what the stack in a directory imports.
pub struct Imports {
    /// The stack's own directory, without links.
    own: PathBuf,
    /// The directory that nothing may leave.
    root: PathBuf,
    /// Whether version control marks the root.
    marked: bool,
    /// Bytes that may still be read.
    left: u64,
    lock: Result<Lock, Box<Diagnostic>>,
    /// Repositories that are imported, by what the lock calls them, with what is wrong with each.
    remotes: BTreeMap<String, (Remote, Option<Fault>)>,
}

/// Why a repository cannot be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    NotPinned,
    NotHere,
    Altered,
}

impl Imports {
    pub fn of(settings: &Settings) -> Imports {
        Imports::with_lock(settings, Lock::read(&settings.dir))
    }

    /// With another lock than the one that is written.
    pub fn with_lock(settings: &Settings, lock: Result<Lock, Box<Diagnostic>>) -> Imports {
        let own = settings.dir.canonicalize().unwrap_or_else(|_| settings.dir.clone());
        let marked = own.ancestors().find(|it| it.join(".git").exists()).map(Path::to_owned);
        Imports {
            root: marked.clone().unwrap_or_else(|| own.clone()),
            marked: marked.is_some(),
            own,
            left: ALL_MAX,
            lock,
            remotes: BTreeMap::new(),
        }
    }

    /// What is wrong with the lock, whatever is imported. To be asked when everything was located.
    pub fn lock_errors(&self) -> Option<Diagnostic> {
        match &self.lock {
            Ok(lock) => lock.library_mismatch(),
            // Where a repository is imported, it was said there.
            Err(_) if !self.remotes.is_empty() => None,
            Err(error) => Some((**error).clone()),
        }
    }

    /// Repositories that have to be fetched, and what the lock calls all that are imported.
    pub fn remotes(self) -> (Vec<Remote>, BTreeSet<String>) {
        let used = self.remotes.keys().cloned().collect();
        let missing = self.remotes.into_values().filter(|(_, fault)| fault.is_some()).map(|(remote, _)| remote).collect();
        (missing, used)
    }

    /// A directory of another repository.
    fn remote(&mut self, path: &str) -> Result<Located, Box<Diagnostic>> {
        let remote = Remote::parse(path)?;
        let key = remote.key();
        let pin = self.lock.as_ref().ok().and_then(|lock| lock.imports.get(&key));
        let known = self.remotes.get(&key).map(|(_, fault)| *fault);
        let fault = known.unwrap_or_else(|| match pin {
            None => Some(Fault::NotPinned),
            Some(pin) => {
                let dir = kept::home(&self.own).join(remote.kept_as(&pin.commit));
                match dir.is_dir() {
                    false => Some(Fault::NotHere),
                    true => (kept::digest(&dir) != Some(pin.files)).then_some(Fault::Altered),
                }
            }
        });
        let kept_as = pin.map(|pin| remote.kept_as(&pin.commit));
        self.remotes.insert(key.clone(), (remote.clone(), fault));
        if let Err(error) = &self.lock {
            return Err(error.clone());
        }
        if let Some(fault) = fault {
            let (what, help) = match fault {
                Fault::NotPinned => ("is not in `stack.lock`", "`stackwright fetch` fetches it and pins it there"),
                Fault::NotHere => ("was not fetched to this machine", "`stackwright fetch` fetches what `stack.lock` pins"),
                Fault::Altered => {
                    ("is not what `stack.lock` pins: its files here were altered", "`stackwright fetch` fetches them again")
                }
            };
            return Err(Box::new(Code::LockMismatch.error(format!("`{key}` {what}")).help(help)));
        }
        let root = kept::home(&self.own).join(kept_as.unwrap_or_default());
        let plain = root.join(&remote.dir);
        if !plain.is_dir() {
            let mut error = Code::ImportRefused.error(format!("`{key}` has no directory `{}`", remote.dir));
            if let Some(near) = near(&plain) {
                error = error.help(format!("a directory with a similar name is there: `{near}`"));
            }
            return Err(Box::new(error.note("links and submodules of a repository are left out")));
        }
        Ok(self.of_remote(&remote.repository(), &root, &plain))
    }

    fn of_remote(&self, repository: &str, root: &Path, dir: &Path) -> Located {
        let inside = in_addresses(dir.strip_prefix(root).unwrap_or(dir));
        let name = if inside.is_empty() { repository.into() } else { format!("{repository}:{inside}").into() };
        Located { home: shown(&self.own, dir).into(), name }
    }

    /// An import by a path, from a directory that was fetched: it stays in its repository.
    fn beside_fetched(&self, from: &str, path: &str) -> Result<Option<Located>, Box<Diagnostic>> {
        let home = kept::home(&self.own);
        let from = self.own.join(from);
        let Some(Component::Normal(name)) = from.strip_prefix(&home).ok().and_then(|it| it.components().next()) else {
            return Ok(None);
        };
        let root = home.join(name);
        let Some(plain) = without_dots(&from.join(path)).filter(|it| it.starts_with(&root)) else {
            return refused(
                format!("the import `{}` leaves the repository that it came with", path.escape_debug()),
                "a repository imports its own directories, or others by `\"git+https://…\"`",
            );
        };
        if !plain.is_dir() {
            return refused(
                format!("the import `{}` is no directory of its repository", path.escape_debug()),
                "correct it there",
            );
        }
        let name = name.to_string_lossy();
        let repository = name.rsplit_once('-').map_or(&*name, |(repository, _)| repository);
        Ok(Some(self.of_remote(repository, &root, &plain)))
    }

    fn local(&self, from: &str, path: &str, wanted: Wanted) -> Result<Located, Box<Diagnostic>> {
        let shown_path = path.escape_debug();
        refuse_other_addresses(path)?;
        if let Some(found) = self.beside_fetched(from, path)? {
            return Ok(found);
        }
        let asked = Path::new(path);
        if asked.is_absolute() {
            return refused(
                format!("the import `{shown_path}` is an absolute path, which another machine does not have"),
                "write it relative to this file's directory, such as `\"../net\"`",
            );
        }
        if path.is_empty() || path.contains(['\0', '\\']) {
            return refused(format!("the import `{shown_path}` is no path"), "write such as `import \"modules/net\" as net`");
        }
        let joined = self.own.join(from).join(asked);
        let Some(plain) = without_dots(&joined).filter(|it| it.starts_with(&self.root)) else {
            return self.leaves(format!("the import `{shown_path}` leaves {}", self.root_in_words()));
        };
        let real = plain.canonicalize().map_err(|error| {
            let mut error = Code::ImportRefused.error(format!("the import `{shown_path}` cannot be read: {}", words(&error)));
            if let Some(near) = near(&plain) {
                error = error.help(format!("a directory with a similar name is there: `{near}`"));
            }
            Box::new(error)
        })?;
        if !real.starts_with(&self.root) {
            return self.leaves(format!("the import `{shown_path}` is a link that leaves {}", self.root_in_words()));
        }
        if !real.is_dir() {
            return refused(
                format!("the import `{shown_path}` is a file"),
                "import the directory that holds it: all `.stack` files of it belong together",
            );
        }
        let inside = real.strip_prefix(&self.root).unwrap_or(&real);
        if inside.components().any(|it| matches!(it.as_os_str().to_str(), Some(".git" | ".stackwright"))) {
            return refused(
                format!("the import `{shown_path}` lies in a directory that a tool keeps for itself"),
                "import a directory of your own",
            );
        }
        if real.to_str().is_none() {
            return refused(format!("the import `{shown_path}` has a path that is not UTF-8"), "rename the directory");
        }
        let name = match wanted {
            Wanted::Definitions if real == self.own || self.own.starts_with(&real) => {
                // The stack's own comes back to itself, which the caller says; one around it has no name of its own.
                match real == self.own {
                    true => "".into(),
                    false => {
                        return refused(
                            format!("the import `{shown_path}` is a directory around the stack"),
                            "move the definitions into a directory of their own",
                        );
                    }
                }
            }
            _ => in_addresses(&relative(&self.own, &real)),
        };
        Ok(Located { home: shown(&self.own, &real).into(), name })
    }

    fn root_in_words(&self) -> &'static str {
        match self.marked {
            true => "the repository that the stack is in",
            false => "the stack's directory",
        }
    }

    fn leaves<T>(&self, message: String) -> Result<T, Box<Diagnostic>> {
        let help = match self.marked {
            true => "move it into the repository, or import it from its own: `\"git+https://HOST/REPOSITORY//DIR?rev=REVISION\"`",
            false => {
                "no version control holds the stack and it together: put both into one repository, \
                 or import it from its own: `\"git+https://HOST/REPOSITORY//DIR?rev=REVISION\"`"
            }
        };
        refused(message, help)
    }
}

impl Finder for Imports {
    fn own(&self) -> Name {
        "".into()
    }

    fn locate(&mut self, from: &str, path: &str, wanted: Wanted) -> Result<Located, Box<Diagnostic>> {
        match (path.starts_with(SCHEME), wanted) {
            (true, Wanted::Definitions) => self.remote(path),
            (true, Wanted::Stack) => refused(
                format!("the stack `{}` is in another repository, and its state is not here", path.escape_debug()),
                "outputs are read of stacks in the same repository",
            ),
            (false, _) => self.local(from, path, wanted),
        }
    }

    fn read(&mut self, home: &str) -> (Texts, Vec<Diagnostic>) {
        let (texts, diagnostics) = read_directory(&self.own.join(home), &format!("{home}/"), &mut self.left);
        if texts.is_empty() && diagnostics.is_empty() {
            let error = Code::ImportRefused.error(format!("there is no `.stack` file in `{home}`"));
            return (Vec::new(), vec![error.help("an import names the directory that holds definitions")]);
        }
        (texts.into_iter().map(|it| (it.name, it.text)).collect(), diagnostics)
    }
}

pub(super) fn refused<T>(message: String, help: &str) -> Result<T, Box<Diagnostic>> {
    Err(Box::new(Code::ImportRefused.error(message).help(help)))
}

/// The path without `.` and `..`, which are taken as they are written. `None` where they lead out of the file system.
fn without_dots(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            other => plain.push(other),
        }
    }
    Some(plain)
}

/// The way from one directory to another; both are absolute and without links.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().count() - common;
    (0..up).map(|_| Component::ParentDir).chain(to.components().skip(common)).collect()
}

/// A directory as part of addresses: `../../modules/net` is `modules:net`. Steps upwards are left out, so that a stack may move
/// within its repository.
fn in_addresses(path: &Path) -> Name {
    let names = path.components().filter_map(|it| match it {
        Component::Normal(name) => Some(address_part(&name.to_string_lossy())),
        _ => None,
    });
    names.collect::<Vec<_>>().join(":").into()
}

/// A name with a dash for each character that an address does not take.
pub(super) fn address_part(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect()
}

/// A directory beside a missing one that may have been meant.
fn near(missing: &Path) -> Option<String> {
    let (parent, name) = (missing.parent()?, missing.file_name()?.to_str()?);
    let mut names: Vec<String> = std::fs::read_dir(parent)
        .ok()?
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|it| !it.starts_with('.'))
        .collect();
    names.sort();
    super::nearest(name, names.iter().map(|it| &**it)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_addresses_is_its_way_from_the_stack_without_the_steps_up() {
        let named = |from: &str, to: &str| in_addresses(&relative(Path::new(from), Path::new(to))).to_string();
        assert_eq!(named("/r/stacks/shop", "/r/modules/net"), "modules:net");
        assert_eq!(named("/r/shop", "/r/modules/net"), "modules:net");
        assert_eq!(named("/r", "/r/modules/my.net"), "modules:my-net");
        assert_eq!(named("/r/shop", "/r/shop"), "");
    }

    #[test]
    fn dots_are_taken_as_they_are_written() {
        let plain = |path: &str| without_dots(Path::new(path)).map(|it| it.display().to_string());
        assert_eq!(plain("/r/shop/../net/./a"), Some("/r/net/a".into()));
        assert_eq!(plain("/../../etc"), None);
    }
}
