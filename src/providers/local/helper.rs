//! Programs that run to their end while a call waits for them: builds, `initdb`, migrations.
//!
//! They end with this program: each is the leader of a process group that is killed when its call is given up, and gets a signal
//! from the system when the thread that started it ends. So one thread, which lives as long as the program, starts them all.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::user::User;
use super::{missing_program, refused, within};
use crate::providers::contract::CallError;
use crate::world::Clock;

/// What to run.
pub struct Helper<'a> {
    pub program: &'a Path,
    pub arguments: Vec<OsString>,
    pub dir: &'a Path,
    pub env: Vec<(OsString, OsString)>,
    /// As whom, if not as this program's own user.
    pub user: Option<User>,
    /// Given to its standard input.
    pub input: Vec<u8>,
    /// Where both of its outputs go.
    pub log: File,
}

/// Runs it to its end, at most for `limit`.
pub async fn run(helper: Helper<'_>, clock: &dyn Clock, limit: Duration) -> Result<ExitStatus, CallError> {
    let program = helper.program.to_owned();
    let (command, input) = command(helper)?;
    let child = start(command).await.map_err(|error| missing_program(&program, &error))?;
    let mut group = Group::of(child);
    if let Some(mut stdin) = group.child.stdin.take() {
        // A program that ends before it has read everything says why by its exit.
        stdin.write_all(&input).await.ok();
    }
    match within(clock, limit, group.child.wait()).await {
        Some(Ok(status)) => {
            group.ended = true;
            Ok(status)
        }
        Some(Err(error)) => Err(refused("", format!("cannot wait for {}: {error}", program.display()))),
        None => Err(refused("", format!("{} was ended after {} s", program.display(), limit.as_secs()))),
    }
}

fn command(helper: Helper<'_>) -> Result<(Command, Vec<u8>), CallError> {
    let second = helper.log.try_clone().map_err(|error| refused("", format!("cannot open the log twice: {error}")))?;
    let mut command = Command::new(helper.program);
    command.args(&helper.arguments).current_dir(helper.dir).env_clear().envs(helper.env);
    command.stdin(if helper.input.is_empty() { Stdio::null() } else { Stdio::piped() });
    command.stdout(helper.log).stderr(second).process_group(0).kill_on_drop(true);
    if let Some(user) = helper.user {
        command.uid(user.uid).gid(user.gid);
    }
    #[cfg(target_os = "linux")]
    // SAFETY: one system call that is safe between fork and exec; nothing is allocated or locked.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    Ok((command, helper.input))
}

type Order = (Command, tokio::runtime::Handle, oneshot::Sender<std::io::Result<Child>>);

/// Starts a command from the one lifelong thread.
async fn start(command: Command) -> std::io::Result<Child> {
    static STARTER: OnceLock<Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, taken) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, runtime, reply) in taken {
                let _entered = runtime.enter();
                // Where nobody waits any more, the child is dropped here, and killed by that.
                drop(reply.send(command.spawn()));
            }
        });
        orders
    });
    let (reply, answer) = oneshot::channel();
    let gone = |_| std::io::Error::other("the thread that starts programs has ended");
    starter
        .send((command, tokio::runtime::Handle::current(), reply))
        .map_err(|_| std::io::Error::other("no thread starts programs"))?;
    answer.await.map_err(gone)?
}

/// A child with all that it has started, killed when it is given up.
struct Group {
    child: Child,
    leader: Option<Pid>,
    ended: bool,
}

impl Group {
    fn of(child: Child) -> Group {
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Group { child, leader, ended: false }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let (false, Some(leader)) = (self.ended, self.leader) {
            rustix::process::kill_process_group(leader, Signal::KILL).ok();
        }
    }
}

/// "exit code 1", "signal 9".
pub fn exit_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".into(),
    }
}

/// The program that a command names, as a shell started in `dir` would find it.
pub fn resolve(program: &str, dir: &Path, path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    if program.contains('/') {
        let found = dir.join(program);
        return is_program(&found).then_some(found);
    }
    let dirs = std::env::split_paths(path?).map(|entry| dir.join(entry).join(program));
    dirs.into_iter().find(|candidate| is_program(candidate))
}

pub fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
