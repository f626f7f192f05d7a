//! A stack's directory, the clouds that serve it, and what is asked of both.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const BINARY: &str = env!("CARGO_BIN_EXE_stackwright");

/// A program of one's own size: two services that need a database, a cache, certificates and records.
pub const PROGRAM: &str = r#"
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

pub fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} takes a number, not `{text}`")))
}

pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound) as usize
    }
}

/// A stack's directory, and clouds that serve it.
pub struct Scene {
    dir: tempfile::TempDir,
    clouds: Child,
    url: String,
}

impl Scene {
    /// A directory that holds the program, and clouds that answer as `faults` say, where there are any.
    pub fn new(name: &str, program: &str, faults: Option<&str>) -> Scene {
        let dir = tempfile::Builder::new().prefix(&format!("kill-{name}-")).tempdir().expect("a directory can be made");
        std::fs::write(dir.path().join("shop.stack"), program).expect("the program can be written");
        let (clouds, url) = clouds(dir.path(), faults);
        Scene { dir, clouds, url }
    }

    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// The clouds are started again, with what they hold; `faults` as for [`Scene::new`].
    pub fn restart(&mut self, faults: Option<&str>) {
        self.clouds.kill().expect("the clouds are ours");
        self.clouds.wait().expect("the clouds are ours");
        (self.clouds, self.url) = clouds(self.dir.path(), faults);
    }

    /// A file in the stack's directory.
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("-C").arg(self.dir.path()).args(arguments).arg(format!("--sim={}", self.url));
        // What a runner sets decides how long running calls get.
        command.env_remove("CI").stdin(Stdio::null());
        command
    }

    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    /// Runs a command to its end; what it printed, as an error where it failed.
    pub fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.output(arguments);
        let said = said(&output);
        if output.status.success() { Ok(said) } else { Err(format!("{}\n{said}", output.status)) }
    }

    /// Begins a command, whose output nobody reads.
    pub fn begin(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    /// Kills a command after a while; whether it was still running.
    pub fn kill(&self, arguments: &[&str], after: Duration) -> bool {
        let mut child = self.begin(arguments);
        let ended = ends_within(&mut child, after);
        if !ended {
            child.kill().expect("the child is ours");
            child.wait().expect("the child is ours");
        }
        !ended
    }

    /// The runs that hold something now, and the calls that are open.
    pub fn locks(&self) -> Locks {
        let shown = self.output(&["lock", "show", "--json"]);
        let document: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap_or_else(|_| panic!("{}", said(&shown)));
        let list = |name: &str| document[name].as_array().cloned().unwrap_or_default();
        Locks { runs: list("runs"), open: list("open") }
    }

    pub fn nothing_to_change(&self, more: &[&str], hint: &str) {
        let output = self.output(&[&["plan", "--detailed-exitcode"], more].concat());
        assert_eq!(output.status.code(), Some(0), "a plan after the apply is not empty; {hint}\n{}", said(&output));
    }

    /// How many objects of each kind are live, by the clouds' own journal.
    pub fn live(&self) -> BTreeMap<String, i64> {
        let mut live = BTreeMap::new();
        for (effect, kind) in self.effects() {
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
    pub fn made_twice(&self) -> Vec<String> {
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

    fn effects(&self) -> Vec<(String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let journal = self.journal();
        let effects = journal.iter().flat_map(|entry| entry["effects"].as_array().cloned().unwrap_or_default());
        effects.map(|it| (text(&it["effect"]), text(&it["kind"]))).collect()
    }

    /// Asks the clouds themselves.
    pub fn ask(&self, method: &str, path: &str) -> String {
        ask(&self.url, method, path)
    }

    /// What the clouds were asked, one entry a request.
    pub fn journal(&self) -> Vec<serde_json::Value> {
        self.ask("GET", "/_sim/journal")
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of the journal is JSON"))
            .collect()
    }
}

/// Simulated clouds that keep what they hold in a directory, and where they listen.
fn clouds(dir: &Path, faults: Option<&str>) -> (Child, String) {
    let mut command = Command::new(BINARY);
    command.args(["sim", "--data"]).arg(dir.join("clouds"));
    if let Some(faults) = faults {
        std::fs::write(dir.join("faults.json"), faults).expect("faults can be written");
        command.arg("--faults").arg(dir.join("faults.json"));
    }
    command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null());
    let mut clouds = command.spawn().expect("the simulated clouds start");
    let mut lines = BufReader::new(clouds.stdout.take().expect("stdout is piped")).lines();
    let url = loop {
        let line = lines.next().expect("the simulated clouds say where they are").expect("they say it in UTF-8");
        if let Some(at) = line.find("http://") {
            break line[at..].split_whitespace().next().expect("an address").to_owned();
        }
    };
    (clouds, url)
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.clouds.kill();
        let _ = self.clouds.wait();
    }
}

/// What `lock show` says.
pub struct Locks {
    pub runs: Vec<serde_json::Value>,
    pub open: Vec<serde_json::Value>,
}

/// Everything that a command printed.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether a child ends by itself in this time.
pub fn ends_within(child: &mut Child, limit: Duration) -> bool {
    until(limit, || child.try_wait().expect("the child is ours").is_some())
}

/// Waits for a condition; whether it came about in this time.
pub fn until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !holds() {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// The body of an answer, by HTTP/1.0 so that it ends with the connection.
fn ask(url: &str, method: &str, path: &str) -> String {
    let host = url.strip_prefix("http://").expect("the clouds speak HTTP");
    let mut stream = TcpStream::connect(host).expect("the clouds listen");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer of-a-test\r\n\r\n")
        .expect("the clouds read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the clouds answer in UTF-8");
    answer.split_once("\r\n\r\n").expect("an answer has a body").1.to_owned()
}
