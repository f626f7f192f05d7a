//! Fetching a repository with the `git` program. Nothing of it is ever checked out: names and contents are read from its objects and
//! written by us, so that no hook, filter, submodule or link of it does anything here.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use super::kept::{self, BYTES_MAX, FILES_MAX, Tree};
use super::lock::Pin;
use super::remote::Remote;
use crate::model::{Code, Diagnostic};
use crate::ops::files::{FILE_MAX, words};
use crate::ops::settings::Settings;

/// No call of `git` takes longer.
const PATIENCE: Duration = Duration::from_secs(300);
/// No listing of files is longer.
const LISTING_MAX: u64 = 16 << 20;

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// Fetches what an import names and keeps it under `.stackwright/imports`. `pinned` is what `stack.lock` says of it.
///
/// Errors: [`Code::ProgramMissing`] without git, [`Code::Unavailable`] where the repository cannot be fetched,
/// [`Code::ImportRefused`] where it has no such revision or holds too much, [`Code::LockMismatch`] where it is not what is pinned.
pub async fn fetch(settings: &Settings, remote: &Remote, pinned: Option<&Pin>) -> Result<Pin> {
    let home = kept::home(&settings.dir);
    let scratch = Scratch::make(&home)?;
    let git = Git { settings, dir: scratch.0.join("git") };
    git.run(&["init", "--bare", "--quiet", "--template=", "."]).await?;
    let commit = git.fetch(remote, pinned).await?;
    if let Some(pin) = pinned.filter(|pin| pin.commit != commit) {
        return Err(Box::new(
            Code::LockMismatch
                .error(format!("`{}` is another commit than `stack.lock` pins", remote.key()))
                .note(format!("pinned: {}, there now: {commit}", pin.commit))
                .help("a tag should not move: ask whoever moved it; `stackwright fetch --update` pins the new commit"),
        ));
    }
    let files = git.listing(&commit).await?;
    let new = scratch.0.join("files");
    let mut tree = Tree::default();
    git.write(&files, &new, &mut tree).await?;
    let pin = Pin { commit, files: tree.digest() };
    if let Some(before) = pinned.filter(|it| it.files != pin.files) {
        return Err(Box::new(
            Code::LockMismatch
                .error(format!("the files of `{}` are not those that `stack.lock` pins", remote.key()))
                .note(format!("pinned: {}…, fetched: {}…", &before.files.to_string()[..12], &pin.files.to_string()[..12]))
                .help("`stackwright fetch --update` pins what is there now, if that is meant"),
        ));
    }
    let to = home.join(remote.kept_as(&pin.commit));
    if to.exists() {
        std::fs::remove_dir_all(&to).map_err(|error| unwritable(&to, &error))?;
    }
    std::fs::rename(&new, &to).map_err(|error| unwritable(&to, &error))?;
    Ok(pin)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Box<Diagnostic> {
    Box::new(Code::Unreadable.error(format!("`{}` cannot be written: {}", path.display(), words(error))))
}

/// A directory for one fetch, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn make(home: &Path) -> Result<Scratch> {
        let dir = home.join(format!(".new-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("git")).map_err(|error| unwritable(&dir, &error))?;
        Ok(Scratch(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A file of a commit.
struct Blob {
    name: String,
    object: String,
    size: u64,
}

struct Git<'s> {
    settings: &'s Settings,
    /// A bare repository of our own.
    dir: PathBuf,
}

impl Git<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.current_dir(&self.dir).env_clear().kill_on_drop(true);
        for name in ["PATH", "HOME", "SSH_AUTH_SOCK", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"] {
            if let Some(value) = (self.settings.variable)(name) {
                command.env(name, value);
            }
        }
        let fixed = [
            ("LC_ALL", "C"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ALLOW_PROTOCOL", "https:ssh:file"),
            ("GIT_SSH_COMMAND", "ssh -oBatchMode=yes"),
            ("GIT_LFS_SKIP_SMUDGE", "1"),
            ("GIT_DIR", "."),
        ];
        command.envs(fixed);
        for setting in ["core.hooksPath=/dev/null", "core.fsmonitor=false", "submodule.recurse=false", "protocol.ext.allow=never"]
        {
            command.args(["-c", setting]);
        }
        command.args(["-c", "fetch.fsckObjects=true", "-c", "gc.auto=0", "-c", "maintenance.auto=false"]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs git; what it prints, and whether it did what it was asked.
    async fn try_run(&self, arguments: &[&str]) -> Result<(bool, Vec<u8>, String)> {
        let mut child = self.command(arguments).spawn().map_err(|error| no_git(&error))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let done = async {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let reading = async {
                if let Some(stdout) = stdout {
                    stdout.take(LISTING_MAX).read_to_end(&mut out).await?;
                }
                std::io::Result::Ok(())
            };
            let hearing = async {
                if let Some(mut stderr) = stderr {
                    (&mut stderr).take(1 << 16).read_to_end(&mut err).await?;
                    tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
                }
                std::io::Result::Ok(())
            };
            tokio::try_join!(reading, hearing)?;
            let status = child.wait().await?;
            std::io::Result::Ok((status.success(), out, String::from_utf8_lossy(&err).into_owned()))
        };
        tokio::select! {
            done = done => done.map_err(|error| no_git(&error)),
            () = self.settings.world.clock.sleep(PATIENCE) => {
                let text = format!("`git {}` did not end within {} s", arguments[0], PATIENCE.as_secs());
                Err(Box::new(Code::Unavailable.error(text)))
            }
        }
    }

    async fn run(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let (done, out, said) = self.try_run(arguments).await?;
        match done {
            true => Ok(out),
            false => Err(failed(&format!("`git {}` failed", arguments[0]), &said)),
        }
    }

    /// Fetches the revision; gives its commit.
    async fn fetch(&self, remote: &Remote, pinned: Option<&Pin>) -> Result<String> {
        let known = pinned.map(|pin| pin.commit.as_str()).filter(|_| remote.is_commit());
        let wanted = match remote.is_commit() {
            true => format!("{}:refs/imports/it", known.unwrap_or(&remote.revision)),
            false => format!("refs/tags/{}:refs/imports/it", remote.revision),
        };
        let shallow = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", &remote.url, &wanted];
        let (mut done, _, mut said) = self.try_run(&shallow).await?;
        if !done && remote.is_commit() {
            // Not every server gives out a commit by its name: then everything, and it among that.
            let all = ["+refs/heads/*:refs/imports/heads/*", "+refs/tags/*:refs/imports/tags/*"];
            let whole = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--", &remote.url, all[0], all[1]];
            (done, _, said) = self.try_run(&whole).await?;
        }
        if !done {
            let missing = said.contains("couldn't find remote ref");
            return Err(match missing {
                true => Box::new(
                    Code::ImportRefused
                        .error(format!("`{}` has no tag `{}`", remote.url, remote.revision))
                        .help("a revision is a tag, or a commit of 40 digits; a branch is none, since it moves"),
                ),
                false => failed(&format!("`{}` cannot be fetched", remote.url), &said),
            });
        }
        let name = if remote.is_commit() { format!("{}^{{commit}}", remote.revision) } else { "refs/imports/it^{commit}".into() };
        let (found, out, _) = self.try_run(&["rev-parse", "--verify", "--quiet", &name]).await?;
        let commit = String::from_utf8_lossy(&out).trim().to_owned();
        if !found || commit.len() != 40 || !commit.bytes().all(|it| it.is_ascii_hexdigit()) {
            let text = format!("`{}` has no commit `{}`", remote.url, remote.revision);
            return Err(Box::new(Code::ImportRefused.error(text)));
        }
        Ok(commit)
    }

    /// The files of a commit; links and submodules are left out.
    async fn listing(&self, commit: &str) -> Result<Vec<Blob>> {
        let out = self.run(&["ls-tree", "-r", "-z", "-l", "--full-tree", commit]).await?;
        let refused = |text: String| Box::new(Code::ImportRefused.error(text));
        let (mut files, mut bytes) = (Vec::new(), 0u64);
        for line in out.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let Ok(line) = std::str::from_utf8(line) else {
                return Err(refused("the repository has a file whose name is not UTF-8".into()));
            };
            let Some((facts, name)) = line.split_once('\t') else { continue };
            let facts: Vec<&str> = facts.split_whitespace().collect();
            let ["100644" | "100755" | "100664", "blob", object, size] = facts[..] else {
                continue;
            };
            let part_fits = |part: &str| {
                !part.is_empty()
                    && !matches!(part, "." | "..")
                    && !part.eq_ignore_ascii_case(".git")
                    && !part.eq_ignore_ascii_case(".stackwright")
                    && !part.contains(['\\', ':'])
                    && !part.chars().any(char::is_control)
            };
            if !name.split('/').all(part_fits) {
                return Err(refused(format!("the repository has a file with the name `{}`", name.escape_debug())));
            }
            let size: u64 = size.parse().unwrap_or(u64::MAX);
            bytes = bytes.saturating_add(size);
            if size > FILE_MAX || bytes > BYTES_MAX || files.len() >= FILES_MAX {
                let what = match size > FILE_MAX {
                    true => format!("its file `{}` is larger than 16 MiB", name.escape_debug()),
                    false => "it has more than 10,000 files, or 64 MiB".to_owned(),
                };
                let error = Code::Limit.error(format!("the repository is too large to import: {what}"));
                return Err(Box::new(error.help("keep definitions in a repository of their own")));
            }
            files.push(Blob { name: name.to_owned(), object: object.to_owned(), size });
        }
        Ok(files)
    }

    /// Writes files, and adds them to a tree.
    async fn write(&self, files: &[Blob], to: &Path, tree: &mut Tree) -> Result<()> {
        std::fs::create_dir_all(to).map_err(|error| unwritable(to, &error))?;
        let mut command = self.command(&["cat-file", "--batch"]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(|error| no_git(&error))?;
        let (Some(mut ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("`git cat-file` gave nothing", ""));
        };
        let mut answers = BufReader::new(answers);
        let broken = |_: std::io::Error| failed("`git cat-file` broke off", "");
        for file in files {
            ask.write_all(format!("{}\n", file.object).as_bytes()).await.map_err(broken)?;
            ask.flush().await.map_err(broken)?;
            let mut head = String::new();
            (&mut answers).take(200).read_line(&mut head).await.map_err(broken)?;
            if head.trim_end() != format!("{} blob {}", file.object, file.size) {
                return Err(failed(&format!("`git` has no content of `{}`", file.name), ""));
            }
            let mut content = vec![0; file.size as usize + 1];
            answers.read_exact(&mut content).await.map_err(broken)?;
            content.pop();
            let path = to.join(&file.name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(|error| unwritable(parent, &error))?;
            }
            // Two names that this file system takes for one would be one file.
            let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
            let written = made.and_then(|mut made| std::io::Write::write_all(&mut made, &content));
            written.map_err(|error| unwritable(&path, &error))?;
            tree.add(&file.name, &content);
        }
        drop(ask);
        let _ = child.wait().await;
        Ok(())
    }
}

fn no_git(error: &std::io::Error) -> Box<Diagnostic> {
    match error.kind() {
        std::io::ErrorKind::NotFound => Box::new(
            Code::ProgramMissing
                .error("imports of other repositories need `git`, which is not installed")
                .help("install it: `apt install git`, `brew install git`"),
        ),
        _ => Box::new(Code::Unavailable.error(format!("`git` cannot be run: {}", words(error)))),
    }
}

/// What git said, in a line: without controls, and not too much.
fn failed(what: &str, said: &str) -> Box<Diagnostic> {
    let line = said.lines().find(|it| it.starts_with("fatal:") || it.starts_with("error:")).or(said.lines().next());
    let error = Code::Unavailable.error(what.to_owned());
    Box::new(match line {
        Some(line) => error.fact("git", line.chars().filter(|c| !c.is_control()).take(300).collect::<String>()),
        None => error,
    })
}
