//! The same against the real local provider: PostgreSQL, Redis and a program of one's own, as processes of this machine.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::scene::{BINARY, Chance, ends_within, said, variable};

const PROGRAM: &str = r#"
stack NAME { language = 1 }

environment local { on = local }

input version: string = "v1"

secret session_key { generate = 32B }

database main { version = 15 }

cache sessions { memory = 64MiB }

service api {
  port   = 8080
  source { dir = "api", command = ["python3", "server.py"] }
  env = {
    VERSION      = input.version
    DATABASE_URL = database.main.url
    REDIS_URL    = cache.sessions.url
    SESSION_KEY  = secret.session_key.value
  }
}
"#;

const SERVER: &str = r#"
import http.server, os
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler).serve_forever()
"#;

/// A stack on this machine; whatever it started ends with it.
struct Machine {
    dir: tempfile::TempDir,
    name: String,
}

impl Machine {
    fn new() -> Machine {
        let dir = tempfile::Builder::new().prefix("kill-local-").tempdir().expect("a directory can be made");
        // The database runs as somebody else where the tests run as root.
        let open: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).expect("it is ours");
        let name = format!("killed_{}", std::process::id());
        std::fs::write(dir.path().join("shop.stack"), PROGRAM.replace("NAME", &name)).expect("it can be written");
        std::fs::create_dir(dir.path().join("api")).expect("a directory can be made");
        std::fs::write(dir.path().join("api/server.py"), SERVER).expect("it can be written");
        Machine { dir, name }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("-C").arg(self.dir.path()).args(arguments).args(["--env", "local"]).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.command(arguments).output().expect("the program starts");
        if output.status.success() { Ok(said(&output)) } else { Err(format!("{}\n{}", output.status, said(&output))) }
    }

    fn kill(&self, arguments: &[&str], after: Duration) -> bool {
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        let ended = ends_within(&mut child, after);
        if !ended {
            child.kill().expect("the child is ours");
            child.wait().expect("the child is ours");
        }
        !ended
    }

    /// What the processes of this stack bear: one for each daemon, and those that a daemon started.
    fn marks(&self) -> Vec<String> {
        let mut marks = Vec::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Ok(environ) = std::fs::read(entry.path().join("environ")) else { continue };
            let of_us = environ.split(|byte| *byte == 0).filter_map(|it| it.strip_prefix(b"STACKWRIGHT_OBJECT="));
            marks.extend(of_us.map(|it| String::from_utf8_lossy(it).into_owned()).filter(|it| it.contains(&self.name)));
        }
        marks.sort();
        marks.dedup();
        marks
    }
}

const DESTROY: &[&str] = &["destroy", "--yes", "--allow-destroy", "database.main"];

impl Drop for Machine {
    fn drop(&mut self) {
        if !self.marks().is_empty() {
            let _ = self.run(DESTROY);
        }
    }
}

fn is_there(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|dir| dir.join(program).exists())
}

#[test]
fn real_servers_are_started_once_however_often_the_program_is_killed() {
    let postgres = Path::new("/usr/lib/postgresql/15/bin/initdb").exists();
    for (program, there) in [("PostgreSQL 15", postgres), ("Redis", is_there("redis-server")), ("Python", is_there("python3"))] {
        if !there {
            println!("skipped: needs {program}");
            return;
        }
    }
    let wanted = variable("KILL_LOCAL").unwrap_or(2);
    let mut chance = Chance(variable("KILL_SEED").unwrap_or(1));
    let (mut kills, mut version) = (0, 1);
    let begun = Instant::now();
    while kills < wanted {
        let machine = Machine::new();
        let mut length = Duration::from_secs(8);
        for phase in ["apply", "change", "destroy"] {
            let input = format!("version=v{version}");
            version += 1;
            let apply = ["apply", "--yes", "--input", &input];
            let command = if phase == "destroy" { DESTROY } else { &apply };
            for _ in 0..2 {
                kills += u64::from(machine.kill(command, length.mul_f64(chance.below(1000) as f64 / 1000.0)));
            }
            let hint = format!("{phase}, after {kills} kills in all");
            machine.run(command).unwrap_or_else(|said| panic!("{hint}\n{said}"));
            if phase == "destroy" {
                assert_eq!(machine.marks(), Vec::<String>::new(), "left behind: {hint}");
                continue;
            }
            assert_eq!(machine.marks().len(), 3, "a server each: {:?} {hint}", machine.marks());
            let plan = ["plan", "--detailed-exitcode", "--input", &input];
            machine.run(&plan).unwrap_or_else(|said| panic!("a plan after it is not empty: {hint}\n{said}"));
            length = Duration::from_secs(3);
        }
        machine.run(&["verify"]).unwrap_or_else(|said| panic!("the log does not verify\n{said}"));
    }
    println!("{kills} kills, {:.0} s", begun.elapsed().as_secs_f64());
}
