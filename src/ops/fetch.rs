//! `fetch`: what the stack imports from other repositories comes here, and `stack.lock` pins it. The only command that does either.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::files::read_stack;
use super::imports::lock::Lock;
use super::imports::remote::Remote;
use super::imports::{Imports, git};
use super::project::Failure;
use super::settings::Settings;
use crate::lang::{self, stdlib};
use crate::model::{Diagnostic, Sources};
use crate::providers::registry;

/// What was done.
pub struct Fetched {
    /// What was fetched now, with its commit, in order.
    pub imports: Vec<(String, String)>,
    /// How many repositories are imported in all.
    pub total: usize,
    /// What is no longer imported, and was taken out of the lock.
    pub dropped: Vec<String>,
    /// Whether `stack.lock` was written.
    pub written: bool,
}

/// The longest chain of repositories that import each other.
const ROUNDS_MAX: usize = 64;

/// Fetches what is missing, or with `update` everything anew. What the lock pins is fetched as it is pinned.
///
/// Errors: of reading the stack and its lock, and those of [`git::fetch`]; `stack.lock` is as it was then.
pub async fn fetch(settings: &Settings, update: bool) -> Result<Fetched, Failure> {
    let before = Lock::read(&settings.dir)?;
    let mut lock = before.clone();
    if update {
        lock.imports.clear();
    }
    let mut imports = Vec::new();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let found = follow(settings, &lock)?;
        let missing: Vec<Remote> = found.missing.iter().filter(|it| asked.insert(it.key())).cloned().collect();
        if missing.is_empty() {
            let dropped: Vec<String> = before.imports.keys().filter(|key| !found.used.contains(*key)).cloned().collect();
            lock.imports.retain(|key, _| found.used.contains(key));
            if lock.library.is_none() || update {
                lock.library = Some(stdlib::digest());
            }
            let written = lock.write(&settings.dir)?;
            return Ok(Fetched { imports, total: lock.imports.len(), dropped, written });
        }
        for remote in missing {
            let pinned = if update { None } else { before.imports.get(&remote.key()) };
            let pin = git::fetch(settings, &remote, pinned).await.map_err(|it| found.sources_of(*it, &remote))?;
            imports.push((remote.key(), pin.commit.clone()));
            lock.imports.insert(remote.key(), pin);
        }
    }
    Err(Failure::from(Box::new(crate::model::Code::Limit.error("repositories import each other without end"))))
}

/// What a program imports from other repositories, as far as that is here.
struct Followed {
    /// To be fetched.
    missing: Vec<Remote>,
    used: BTreeSet<String>,
    sources: Arc<Sources>,
    diagnostics: Vec<Diagnostic>,
}

impl Followed {
    /// A failure to fetch, at the import that it is about.
    fn sources_of(&self, mut error: Diagnostic, remote: &Remote) -> Failure {
        let about = |it: &&Diagnostic| it.message.contains(&remote.key());
        if let Some(label) = self.diagnostics.iter().find(about).and_then(|it| it.labels.first())
            && error.labels.is_empty()
        {
            error.labels.push((label.0, "imported here".into()));
        }
        Failure::new(vec![error], self.sources.clone())
    }
}

fn follow(settings: &Settings, lock: &Lock) -> Result<Followed, Failure> {
    let (texts, unread) = read_stack(&settings.dir);
    if texts.is_empty() {
        return Err(Failure::new(unread, Arc::default()));
    }
    let mut imports = Imports::with_lock(settings, Ok(lock.clone()));
    let texts = texts.into_iter().map(|it| (it.name, it.text)).collect();
    let checked = lang::load_with(Sources::default(), texts, Arc::new(registry::schemas()), &mut imports);
    let (missing, used) = imports.remotes();
    Ok(Followed { missing, used, sources: checked.sources, diagnostics: checked.diagnostics })
}
