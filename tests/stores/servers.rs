//! Real servers in directories of their own, which end with the test.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Whether a program is there. Without it the test is over, and says so.
pub fn has(what: &str, found: bool) -> bool {
    if !found {
        let required = std::env::var("STACKWRIGHT_STORES").is_ok_and(|it| it == "require");
        assert!(!required, "{what} is not installed");
        eprintln!("skipped: {what} is not installed");
    }
    found
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    // Tests of one program ask at once: each begins somewhere else.
    static TURN: AtomicU16 = AtomicU16::new(0);
    let begin = 20_000 + (std::process::id() % 200) as u16 * 100;
    loop {
        let port = begin + TURN.fetch_add(1, Ordering::Relaxed) % 100;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits for a condition.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A PostgreSQL server with a role and a database of its own.
pub struct Postgres {
    dir: TempDir,
    bin: PathBuf,
    port: u16,
    child: Option<Child>,
}

pub const PASSWORD: &str = "s3cr3t of the state";

impl Postgres {
    /// Starts one; `None` where it is not installed.
    pub fn start(settings: &[&str]) -> Option<Postgres> {
        let bin = postgres_bin();
        if !has("PostgreSQL", bin.is_some()) {
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("password"), PASSWORD).expect("written");
        give_away(dir.path());
        let mut server = Postgres { dir, bin: bin?, port: free_port(), child: None };
        let password = format!("--pwfile={}", server.dir.path().join("password").display());
        let arguments = ["-D", "data", "-U", "owner", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"];
        let made = server.command("initdb").args(arguments).arg(password).output().expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut conf = std::fs::read_to_string(server.dir.path().join("data/postgresql.conf")).expect("settings");
        settings.iter().for_each(|line| conf.push_str(&format!("{line}\n")));
        std::fs::write(server.dir.path().join("data/postgresql.conf"), conf).expect("settings");
        server.begin();
        Some(server)
    }

    pub fn begin(&mut self) {
        let port = self.port.to_string();
        let socket = self.dir.path().display().to_string();
        let mut command = self.command("postgres");
        command.args(["-D", "data", "-p", &port, "-h", "127.0.0.1", "-k", &socket]);
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));
        until("the server", || self.sql("select 1").is_ok());
    }

    /// Ends it without any warning, and all its processes.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The postmaster's children end when it does; a backend that still runs would keep the next one from starting.
            let _ = Command::new("kill").args(["-9", &child.id().to_string()]).status();
            let _ = child.wait();
            let pids = std::fs::read_dir("/proc").expect("processes").flatten().filter_map(|it| it.file_name().into_string().ok());
            let data = self.dir.path().display().to_string();
            for pid in pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit())) {
                let of_ours = std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&data));
                if of_ours {
                    let _ = Command::new("kill").args(["-9", &pid]).status();
                }
            }
        }
    }

    pub fn sql(&self, sql: &str) -> Result<String, String> {
        let url = format!("postgres://owner@127.0.0.1:{}/postgres", self.port);
        let mut psql = Command::new("psql");
        psql.args(["-At", "-w", "-v", "ON_ERROR_STOP=1", &url, "-c", sql]).env("PGPASSWORD", PASSWORD).stdin(Stdio::null());
        let asked = psql.output().map_err(|it| it.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if asked.status.success() { Ok(text(&asked.stdout)) } else { Err(text(&asked.stderr)) }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address with everything in it.
    pub fn url(&self, user: &str) -> String {
        format!("postgres://{user}:{}@127.0.0.1:{}/postgres", PASSWORD.replace(' ', "%20"), self.port)
    }

    /// A program of the server, in its directory, as nobody where we are root, whom it does not run for.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(self.dir.path()).env("LC_ALL", "C");
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

const NOBODY: u32 = 65534;

fn give_away(dir: &Path) {
    if rustix::process::geteuid().is_root() {
        for path in [dir.to_owned(), dir.join("password")] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("given away");
        }
    }
}

fn postgres_bin() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|it| it.path().join("bin")).collect();
    versions.sort();
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    versions.into_iter().rev().chain(on_path).find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
}
