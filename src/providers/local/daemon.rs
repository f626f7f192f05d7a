//! Processes that go on when the command ends: started in a session of their own, found again, ended with all that they started.
//!
//! A daemon bears two things in its environment: whose it is (`STACKWRIGHT_OBJECT`), the same through all restarts, and the call
//! that started it (`STACKWRIGHT_TOKEN`). Its note holds its pid, the moment it started, and the boot. It is recognised by pid,
//! moment and boot together, unless it bears another object's mark; without a note by its mark. A pid alone proves nothing.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::helper::{self, Helper};
use super::place::{Note, Place, Started, last_lines};
use super::processes::{self, Process};
use super::user::User;
use super::{missing_program, refused};
use crate::providers::contract::CallError;
use crate::world::Clock;

const TOKEN: &str = "STACKWRIGHT_TOKEN";
const OBJECT: &str = "STACKWRIGHT_OBJECT";
const HELPER: &str = "STACKWRIGHT_HELPER";

/// What one daemon is called, on this machine and in messages.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    pub place: &'a Place,
    /// `local.redis`.
    pub kind: &'a str,
    pub name: &'a str,
}

/// How to start it.
pub struct Start<'a> {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub dir: &'a Path,
    pub env: Vec<(OsString, OsString)>,
    pub user: Option<User>,
    pub token: &'a str,
    pub port: Option<u16>,
    pub location: Option<PathBuf>,
}

/// A daemon that was just started.
pub struct Fresh {
    pub pid: i32,
    log: PathBuf,
    /// Where its part of the log begins.
    log_from: u64,
}

impl Name<'_> {
    fn mark(&self) -> String {
        self.place.mark_of(self.kind, self.name)
    }

    pub fn note(&self) -> Option<Note> {
        self.place.note(self.kind, self.name)
    }

    /// The live process of this name.
    pub fn find(&self) -> Option<Process> {
        self.noted().or_else(|| self.leader(&self.bearers(OBJECT, &self.mark())))
    }

    /// The live process of this name that a call with that token started.
    pub fn find_by_token(&self, token: &str) -> Option<Process> {
        let noted = self.note().filter(|note| note.token == token).and_then(|_| self.noted());
        let mark = self.mark();
        let ours = |process: &Process| processes::bears(process.pid, OBJECT, &mark) == Some(true);
        noted.or_else(|| {
            let bearers = self.bearers(TOKEN, token).into_iter().filter(ours);
            self.leader(&bearers.collect::<Vec<_>>())
        })
    }

    /// The process that the note tells of, if it is that one and not a later one with its pid.
    fn noted(&self) -> Option<Process> {
        let started = self.note()?.process?;
        let Some(process) = processes::look(started.pid).filter(|process| process.started == started.started) else {
            // Where this program is its parent, nobody else takes notice of its end.
            processes::reap(started.pid);
            return None;
        };
        let not_anothers = processes::bears(process.pid, OBJECT, &self.mark()) != Some(false);
        (started.boot == processes::boot() && not_anothers).then_some(process)
    }

    fn bearers(&self, name: &str, value: &str) -> Vec<Process> {
        let all = processes::all().into_iter();
        all.filter(|process| processes::bears(process.pid, name, value) == Some(true)).collect()
    }

    /// The one that leads a session: the others were started by it.
    fn leader(&self, bearers: &[Process]) -> Option<Process> {
        bearers.iter().find(|process| process.session == process.pid).cloned()
    }

    /// Starts it and notes it. It may end at once: who needs more waits for that.
    pub fn start(&self, start: Start<'_>) -> Result<Fresh, CallError> {
        let mut note = Note {
            kind: self.kind.into(),
            token: start.token.into(),
            port: start.port,
            process: None,
            location: start.location.clone(),
        };
        self.place.keep_note(self.kind, self.name, &note)?;
        let (log, log_from) = self.place.open_log(self.kind, self.name)?;
        let second = log.try_clone().map_err(|error| refused("", format!("cannot open the log twice: {error}")))?;

        let mut command = Command::new(&start.program);
        command.args(&start.arguments).current_dir(start.dir).env_clear().envs(start.env);
        command.env(TOKEN, start.token).env(OBJECT, self.mark());
        command.stdin(Stdio::null()).stdout(log).stderr(second);
        if let Some(user) = start.user {
            command.uid(user.uid).gid(user.gid);
        }
        // SAFETY: one system call that is safe between fork and exec; nothing is allocated or locked.
        unsafe {
            command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?));
        }
        let child = command.spawn().map_err(|error| missing_program(&start.program, &error))?;
        let pid = i32::try_from(child.id()).expect("pids are positive");
        // One that has ended already has left no start time; its note then tells of a process that is never found.
        let started = processes::look(pid).map(|process| process.started).unwrap_or_default();
        note.process = Some(Started { pid, started, boot: processes::boot() });
        self.place.keep_note(self.kind, self.name, &note)?;
        Ok(Fresh { pid, log: self.place.log(self.kind, self.name), log_from })
    }

    /// Ends it and all that it has started, so that nothing is left: `signal` first, to its whole session or to it alone, and
    /// after `grace` SIGKILL. Nothing there is done.
    pub async fn stop(&self, signal: Signal, to_all: bool, grace: Duration, clock: &dyn Clock) -> Result<(), CallError> {
        let mark = self.mark();
        let session = self.find().map(|leader| leader.session);
        // Re-read at each look: processes go on starting others until they are gone.
        let members = || {
            let mut members = processes::all();
            members
                .retain(|process| Some(process.session) == session || processes::bears(process.pid, OBJECT, &mark) == Some(true));
            members
        };
        let is_leader = |process: &Process| Some(process.pid) == session;
        let first = members();
        let alone = !to_all && first.iter().any(is_leader);
        first.iter().filter(|process| !alone || is_leader(process)).for_each(|process| processes::signal(process.pid, signal));

        if !wait_until(clock, grace, || members().is_empty()).await {
            self.kill(clock, members).await?;
        }
        session.and_then(processes::reap);
        Ok(())
    }

    /// Runs a helper of this object to its end, after ending what is left of those before. A run that was killed takes its
    /// helpers with it, and not what these had started.
    pub async fn run(&self, mut helper: Helper<'_>, clock: &dyn Clock, limit: Duration) -> Result<ExitStatus, CallError> {
        self.end_helpers(clock).await?;
        helper.env.push((HELPER.into(), self.mark().into()));
        helper::run(helper, clock, limit).await
    }

    /// Ends what is left of helpers of this object.
    pub async fn end_helpers(&self, clock: &dyn Clock) -> Result<(), CallError> {
        let mark = self.mark();
        self.kill(clock, || self.bearers(HELPER, &mark)).await
    }

    /// SIGKILL until there is none.
    async fn kill(&self, clock: &dyn Clock, members: impl Fn() -> Vec<Process>) -> Result<(), CallError> {
        const LAST: Duration = Duration::from_secs(10);
        let kill = || {
            let left = members();
            left.iter().for_each(|process| processes::signal(process.pid, Signal::KILL));
            left.is_empty()
        };
        match wait_until(clock, LAST, kill).await {
            true => Ok(()),
            false => Err(refused("", format!("`{}` could not be ended: it is still there 10 s after SIGKILL", self.name))),
        }
    }
}

impl Fresh {
    /// How it ended, if it has: "ended with exit code 1". Only right after its start, by who started it.
    pub fn ended(&self) -> Option<String> {
        if let Some(status) = processes::reap(self.pid) {
            return Some(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("ended with exit code {code}"),
                (_, Some(signal)) => format!("ended by signal {signal}"),
                _ => "ended".into(),
            });
        }
        processes::look(self.pid).is_none().then(|| "ended".into())
    }

    /// A refusal with what it has written since it started.
    pub fn failure(&self, words: String, secrets: &[String]) -> CallError {
        refused("", with_log(words, &self.log, self.log_from, secrets))
    }

    /// As one that was found running, whose log is shown from its end.
    pub fn found(name: &Name<'_>, pid: i32) -> Fresh {
        Fresh { pid, log: name.place.log(name.kind, name.name), log_from: 0 }
    }
}

/// Words, and below them the last lines of a log, without secrets.
pub fn with_log(words: String, log: &Path, from: u64, secrets: &[String]) -> String {
    let lines = last_lines(log, from);
    let shown = match lines.is_empty() {
        true => format!("{words}; it wrote nothing"),
        false => format!("{words}; its last lines, from {}:\n{}", log.display(), lines.join("\n")),
    };
    super::inputs::hide(shown, secrets)
}

/// Asks again and again, soon at first, until `done` or until `limit` has passed; says which.
pub async fn wait_until(clock: &dyn Clock, limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let (from, mut pause) = (clock.elapsed(), Duration::from_millis(5));
    loop {
        if done() {
            return true;
        }
        let Some(left) = limit.checked_sub(clock.elapsed() - from).filter(|left| !left.is_zero()) else { return false };
        clock.sleep(pause.min(left)).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(100));
    }
}
