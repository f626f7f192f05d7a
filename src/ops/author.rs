//! Who does it, from where, and from which commit: what a run says of itself in the log.

use super::repository::git;
use super::settings::Settings;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// `jroy`, or `ci for jroy (PR 128)`.
    pub who: String,
    pub host: String,
    pub commit: Option<String>,
}

/// Reads it from variables of the environment and from git; nothing of it has to be there.
pub fn author(settings: &Settings) -> Author {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Author { who: who(settings), host, commit: commit(settings) }
}

/// Who it is, by variables of the environment.
pub fn who(settings: &Settings) -> String {
    let variable = |name: &str| (settings.variable)(name).filter(|value| !value.is_empty());
    match variable("GITHUB_ACTOR").filter(|_| variable("GITHUB_ACTIONS").is_some()) {
        Some(actor) => {
            let request =
                variable("GITHUB_REF").and_then(|it| Some(it.strip_prefix("refs/pull/")?.split('/').next()?.to_owned()));
            let request = request.map(|number| format!(" (PR {number})")).unwrap_or_default();
            format!("ci for {actor}{request}")
        }
        None => variable("USER")
            .or_else(|| variable("LOGNAME"))
            .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw())),
    }
}

/// The commit that is checked out in the stack's directory, shortened, with a `+` where files of it were changed since.
fn commit(settings: &Settings) -> Option<String> {
    let head = git(settings, &["rev-parse", "--short=9", "HEAD"])?;
    let changed = git(settings, &["status", "--porcelain", "--untracked-files=no", "--", "."]).is_some_and(|it| !it.is_empty());
    Some(if changed { format!("{head}+") } else { head })
}
