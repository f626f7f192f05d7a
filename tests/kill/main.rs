//! The real program, killed at random moments of an apply against simulated clouds that outlive it. However often it dies,
//! applying again ends where an apply that nobody disturbed ends, and nothing is made twice.
//!
//! `KILL_ROUNDS` says how many programs are put through it (12 if it is not set), `KILL_SEED` which is the first: a failing round
//! prints the command that runs it alone.

#![allow(clippy::disallowed_methods, reason = "real programs are watched by the real clock")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_stackwright");

/// A program of one's own size: two services that need a database, a cache, certificates and records.
const PROGRAM: &str = r#"
stack shop { language = 1 }

provider fly        { org = "acme", region = "cdg" }
provider cloudflare { account = "acme", zone = "shop.example.com" }

environment production { on = fly }

input version: string = "v1"

secret session_key { generate = 32B }

database main { version = 16, storage = 10GiB }

cache sessions { memory = 256MiB }

service api {
  image  = "registry.example.com/api:${input.version}"
  port   = 8080
  public = true
  scale  = 2..4
  env = {
    DATABASE_URL = database.main.url
    REDIS_URL    = cache.sessions.url
    SESSION_KEY  = secret.session_key.value
  }
}

service worker for queue in ["email", "billing"] {
  image   = "registry.example.com/worker:${input.version}"
  command = ["work", queue]
}

domain shop {
  host = "shop.example.com"
  to   = service.api
}

output url: string = service.api.public_url
"#;

#[test]
fn a_killed_apply_is_carried_on_with_nothing_lost_or_doubled() {
    let rounds = variable("KILL_ROUNDS").unwrap_or(12);
    let first = variable("KILL_SEED").unwrap_or(1);
    let undisturbed = Scene::new("undisturbed");
    undisturbed.write(PROGRAM);
    let begun = Instant::now();
    undisturbed.apply(&[]).expect("an apply that nobody disturbs succeeds");
    let length = begun.elapsed();
    let expected = undisturbed.live();
    assert!(
        expected.len() == 7 && expected.values().sum::<i64>() >= 20,
        "the program makes something of every kind: {expected:?}"
    );
    for seed in first..first + rounds {
        let hint = format!("again: KILL_ROUNDS=1 KILL_SEED={seed} cargo test --test kill");
        let scene = Scene::new(&format!("seed-{seed}"));
        scene.write(PROGRAM);
        let mut chance = Chance(seed);
        let kills = 1 + chance.below(4);
        let mut killed = 0;
        for _ in 0..kills {
            let moment = length.mul_f64(chance.below(1000) as f64 / 1000.0);
            killed += usize::from(scene.apply_and_kill(moment));
        }
        if let Err(said) = scene.apply(&[]) {
            panic!("the apply after {killed} kills failed; {hint}\n{said}");
        }
        assert_eq!(scene.live(), expected, "what exists after {killed} kills; {hint}");
        assert_eq!(scene.made_twice(), Vec::<String>::new(), "made twice after {killed} kills; {hint}");
        scene.nothing_to_change(&hint);
        scene.run(&["verify"]).unwrap_or_else(|said| panic!("the log does not verify; {hint}\n{said}"));
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} takes a number, not `{text}`")))
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound) as usize
    }
}

/// A stack's directory, and clouds that serve it.
struct Scene {
    dir: tempfile::TempDir,
    clouds: Child,
    url: String,
}

impl Scene {
    fn new(name: &str) -> Scene {
        let dir = tempfile::Builder::new().prefix(&format!("kill-{name}-")).tempdir().expect("a directory can be made");
        let mut clouds = Command::new(BINARY)
            .args(["sim", "--data"])
            .arg(dir.path().join("clouds"))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .stdin(Stdio::null())
            .spawn()
            .expect("the simulated clouds start");
        let mut lines = BufReader::new(clouds.stdout.take().expect("stdout is piped")).lines();
        let url = loop {
            let line = lines.next().expect("the simulated clouds say where they are").expect("they say it in UTF-8");
            if let Some(at) = line.find("http://") {
                break line[at..].split_whitespace().next().expect("an address").to_owned();
            }
        };
        Scene { dir, clouds, url }
    }

    fn write(&self, program: &str) {
        std::fs::write(self.dir.path().join("shop.stack"), program).expect("the program can be written");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("-C").arg(self.dir.path()).args(arguments).arg(format!("--sim={}", self.url));
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command to its end; what it printed, as an error where it failed.
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.command(arguments).output().expect("the program starts");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(said) } else { Err(format!("{}\n{said}", output.status)) }
    }

    fn apply(&self, more: &[&str]) -> Result<String, String> {
        self.run(&[&["apply", "--yes"], more].concat())
    }

    /// Kills the apply after a while; whether it was still running.
    fn apply_and_kill(&self, after: Duration) -> bool {
        let mut child =
            self.command(&["apply", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        let until = Instant::now() + after;
        while Instant::now() < until {
            if child.try_wait().expect("the child is ours").is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("the child is ours");
        child.wait().expect("the child is ours");
        true
    }

    fn nothing_to_change(&self, hint: &str) {
        let output = self.command(&["plan", "--detailed-exitcode"]).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "a plan after the apply is not empty; {hint}\n{said}");
    }

    /// How many objects of each kind are live, by the clouds' own journal.
    fn live(&self) -> BTreeMap<String, i64> {
        let mut live = BTreeMap::new();
        for (effect, kind, _) in self.effects() {
            *live.entry(kind).or_insert(0) += match effect.as_str() {
                "create" => 1,
                "delete" => -1,
                _ => 0,
            };
        }
        live.retain(|_, number| *number != 0);
        live
    }

    /// Tokens under which more than one object was made.
    fn made_twice(&self) -> Vec<String> {
        let mut made: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for entry in self.journal() {
            let Some(token) = entry["token"].as_str() else { continue };
            for effect in entry["effects"].as_array().into_iter().flatten().filter(|it| it["effect"] == "create") {
                let key = (token.to_owned(), effect["kind"].as_str().unwrap_or_default().to_owned());
                made.entry(key).or_default().push(effect["id"].as_str().unwrap_or_default().to_owned());
            }
        }
        made.into_iter()
            .filter(|(_, ids)| ids.len() > 1)
            .map(|((token, kind), ids)| format!("{kind} {ids:?} under {token}"))
            .collect()
    }

    fn effects(&self) -> Vec<(String, String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let journal = self.journal();
        let effects = journal.iter().flat_map(|entry| entry["effects"].as_array().cloned().unwrap_or_default());
        effects.map(|it| (text(&it["effect"]), text(&it["kind"]), text(&it["id"]))).collect()
    }

    fn journal(&self) -> Vec<serde_json::Value> {
        get(&self.url, "/_sim/journal")
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of the journal is JSON"))
            .collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.clouds.kill();
        let _ = self.clouds.wait();
    }
}

/// The body of an answer, by HTTP/1.0 so that it ends with the connection.
fn get(url: &str, path: &str) -> String {
    let host = url.strip_prefix("http://").expect("the clouds speak HTTP");
    let mut stream = TcpStream::connect(host).expect("the clouds listen");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").expect("the clouds read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the clouds answer in UTF-8");
    answer.split_once("\r\n\r\n").expect("an answer has a body").1.to_owned()
}
