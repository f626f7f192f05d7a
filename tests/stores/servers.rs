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
    let told = std::env::var("STACKWRIGHT_STORES").unwrap_or_default();
    if told == "skip" {
        eprintln!("skipped: STACKWRIGHT_STORES says so");
    } else if !found {
        assert!(told != "require", "{what} is not installed");
        eprintln!("skipped: {what} is not installed");
    }
    found && told != "skip"
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
            let pids =
                std::fs::read_dir("/proc").expect("processes").flatten().filter_map(|it| it.file_name().into_string().ok());
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

    /// Lines are encrypted from now on, with this certificate.
    pub fn encrypt(&self, certificate: &Path, key: &Path) {
        let mut settings = String::new();
        for (setting, from) in [("ssl_cert_file", certificate), ("ssl_key_file", key)] {
            let to = self.dir.path().join(from.file_name().expect("a file"));
            std::fs::copy(from, &to).expect("copied");
            std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(&to, Some(NOBODY), Some(NOBODY)).expect("given away");
            }
            settings.push_str(&format!("{setting} = '{}'\n", to.display()));
        }
        let file = self.dir.path().join("data/postgresql.auto.conf");
        std::fs::write(file, format!("{settings}ssl = on\n")).expect("settings");
        self.sql("select pg_reload_conf()").expect("it reads them again");
        let name = certificate.file_name().and_then(|it| it.to_str()).expect("a name").to_owned();
        until("encryption", || {
            self.sql("show ssl_cert_file").is_ok_and(|it| it.ends_with(&name)) && self.sql("show ssl").as_deref() == Ok("on")
        });
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

/// A server that speaks S3, with the bucket `state`: `versitygw`, whose objects outlive it, else `moto_server`, whose do not.
/// `STACKWRIGHT_S3_SERVER` names one that is not on the path.
pub struct Bucket {
    dir: TempDir,
    program: PathBuf,
    port: u16,
    child: Option<Child>,
}

pub const KEY: &str = "test-key";
pub const SECRET: &str = "test-secret-of-the-bucket";

impl Bucket {
    /// Starts one; `None` where none is installed.
    pub fn start() -> Option<Bucket> {
        let program = s3_program();
        if !has("a server that speaks S3 (versitygw or moto_server)", program.is_some()) {
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let mut server = Bucket { dir, program: program?, port: free_port(), child: None };
        std::fs::create_dir_all(server.dir.path().join("data/state")).expect("a bucket");
        server.begin();
        Some(server)
    }

    pub fn begin(&mut self) {
        let port = self.port;
        let mut command = Command::new(&self.program);
        command.current_dir(self.dir.path()).env("ROOT_ACCESS_KEY", KEY).env("ROOT_SECRET_KEY", SECRET);
        match self.keeps_objects() {
            true => command.args(["--port", &format!("127.0.0.1:{port}"), "posix", "data"]),
            false => command.args(["-H", "127.0.0.1", "-p", &port.to_string()]),
        };
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));
        until("the server", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        if !self.keeps_objects() {
            until("the bucket", || put_bucket(port).is_some());
        }
    }

    /// Whether objects outlive the server.
    pub fn keeps_objects(&self) -> bool {
        self.program.file_name().is_some_and(|name| name == "versitygw")
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Writes over an object of the bucket, or takes it away, as somebody who may.
    pub fn tamper(&self, path: &str, content: Option<&str>) {
        if self.keeps_objects() {
            let file = self.dir.path().join("data/state").join(path);
            let done = content.map_or_else(|| std::fs::remove_file(&file), |text| std::fs::write(&file, text));
            return done.expect("tampered with");
        }
        let (method, text) = content.map_or(("DELETE", ""), |text| ("PUT", text));
        // It asks who somebody is, and does not look at the signature.
        let who =
            format!("AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0");
        let request = format!("{method} /state/{path} HTTP/1.1\r\nAuthorization: {who}\r\nContent-Length: {}", text.len());
        let answer = asked(self.port, &request, text).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.kill();
    }
}

fn put_bucket(port: u16) -> Option<()> {
    asked(port, "PUT /state HTTP/1.1\r\nContent-Length: 0", "")?.starts_with("HTTP/1.1 200").then_some(())
}

/// The answer to a request that nobody signs.
pub fn asked(port: u16, request: &str, body: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = format!("{request}\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn s3_program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("STACKWRIGHT_S3_SERVER") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let all = |name: &'static str| path.iter().map(move |dir| dir.join(name));
    all("versitygw").chain(all("moto_server")).find(|program| program.exists())
}
