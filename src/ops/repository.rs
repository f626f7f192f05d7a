//! The repository that the stack lies in, asked through git.

use std::process::{Command, Stdio};

use super::settings::{Settings, secret_variables};

/// What git answers in the stack's directory, without the space around it. `None` where there is no git, no repository, or a refusal.
///
/// Nothing that somebody's configuration names is run, nobody is asked, and no variable that holds a secret is passed on.
pub fn git(settings: &Settings, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(&settings.dir).args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]).args(arguments);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    for variable in secret_variables() {
        command.env_remove(variable);
    }
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
