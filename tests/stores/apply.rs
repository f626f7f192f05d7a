//! The real program with a real shared store: two directories as two people have them, a plug that is pulled during an apply, and
//! what the next apply makes of it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::relay::{Line, Relay};
use crate::servers::{self, KEY, PASSWORD, SECRET, until};

const BINARY: &str = env!("CARGO_BIN_EXE_stackwright");

const PROGRAM: &str = r#"
provider fly { org = "acme", region = "cdg" }

environment production { on = fly }

input version: string = "v1"

secret session_key { generate = 32B }

database main { version = 16, storage = 10GiB }

service api {
  image  = "registry.example.com/api:${input.version}"
  port   = 8080
  public = true
  scale  = 3
  env    = { DATABASE_URL = database.main.url, SESSION_KEY = secret.session_key.value }
}

service worker for queue in ["a", "b", "c", "d", "e", "f"] {
  image   = "registry.example.com/worker:${input.version}"
  command = ["work", queue]
}
"#;

/// Simulated clouds, and directories of people who share a state.
struct Scene {
    dir: TempDir,
    clouds: Child,
    url: String,
    state: String,
    variables: Vec<(String, String)>,
}

impl Scene {
    fn new(state: &str, variables: &[(&str, String)]) -> Scene {
        let dir = tempfile::tempdir().expect("a directory");
        let mut clouds = Command::new(BINARY)
            .args(["sim", "--data"])
            .arg(dir.path().join("clouds"))
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .expect("the simulated clouds start");
        let mut lines = BufReader::new(clouds.stdout.take().expect("stdout is piped")).lines();
        let url = loop {
            let line = lines.next().expect("the simulated clouds say where they are").expect("in UTF-8");
            if let Some(at) = line.find("http://") {
                break line[at..].split_whitespace().next().expect("an address").to_owned();
            }
        };
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Scene { dir, clouds, url, state: state.into(), variables }
    }

    /// A directory with the program, and with the key of the first.
    fn person(&self, name: &str) -> PathBuf {
        let dir = self.dir.path().join(name);
        std::fs::create_dir_all(dir.join(".stackwright/sim/state")).expect("a directory");
        let program = format!("stack shop {{ language = 1, state = {} }}\n{PROGRAM}", self.state);
        std::fs::write(dir.join("shop.stack"), program).expect("a program");
        let key = self.dir.path().join("ada/.stackwright/sim/state/key");
        if key.exists() && name != "ada" {
            std::fs::copy(key, dir.join(".stackwright/sim/state/key")).expect("the key is shared");
        }
        dir
    }

    fn command(&self, dir: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("-C").arg(dir).args(arguments).arg(format!("--sim={}", self.url)).stdin(Stdio::null());
        command.env("STACKWRIGHT_CACHE_DIR", dir.join("cache"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end; what it said never holds a credential.
    fn run(&self, dir: &Path, arguments: &[&str]) -> (i32, String) {
        said(&self.command(dir, arguments).output().expect("the program starts"))
    }

    fn done(&self, dir: &Path, arguments: &[&str]) -> String {
        let (code, said) = self.run(dir, arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}");
        said
    }

    fn journal(&self) -> Vec<serde_json::Value> {
        let host = self.url.strip_prefix("http://").expect("the clouds speak HTTP");
        let mut stream = std::net::TcpStream::connect(host).expect("the clouds listen");
        write!(stream, "GET /_sim/journal HTTP/1.0\r\nHost: {host}\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn created(&self) -> usize {
        self.journal()
            .iter()
            .flat_map(|it| it["effects"].as_array().cloned().unwrap_or_default())
            .filter(|it| it["effect"] == "create")
            .count()
    }

    /// Tokens under which more than one object of a kind was made.
    fn made_twice(&self) -> Vec<(String, String)> {
        let mut made: BTreeMap<(String, String), usize> = BTreeMap::new();
        for entry in self.journal() {
            let Some(token) = entry["token"].as_str() else { continue };
            for effect in entry["effects"].as_array().into_iter().flatten().filter(|it| it["effect"] == "create") {
                *made.entry((token.into(), effect["kind"].to_string())).or_default() += 1;
            }
        }
        made.into_iter().filter(|(_, count)| *count > 1).map(|(what, _)| what).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.clouds.kill();
        let _ = self.clouds.wait();
    }
}

fn said(output: &Output) -> (i32, String) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for secret in [PASSWORD, &PASSWORD.replace(' ', "%20"), SECRET] {
        assert!(!said.contains(secret), "a credential was printed: {said}");
    }
    (output.status.code().unwrap_or(-1), said)
}

fn plug_is_pulled(scene: &Scene, relay: &Relay) {
    let ada = scene.person("ada");

    // Nothing can be reached before anything was done.
    relay.set(Line::Cut);
    let begun = Instant::now();
    let (code, words) = scene.run(&ada, &["apply", "--yes"]);
    assert_eq!(code, 1, "{words}");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}: {words}", begun.elapsed());
    assert!(words.contains("trying again for") && words.contains("SW0605"), "{words}");
    assert_eq!(scene.created(), 0, "nothing is called without a state");
    relay.set(Line::Open);

    // The plug is pulled once three things exist.
    let child = scene.command(&ada, &["apply", "--yes", "--parallel", "2"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the program starts");
    until("three resources", || scene.created() >= 3);
    relay.set(Line::Cut);
    let pulled = Instant::now();
    let (code, words) = said(&child.wait_with_output().expect("it ends"));
    assert_eq!(code, 7, "{words}");
    assert!(pulled.elapsed() < Duration::from_secs(60), "{:?}: {words}", pulled.elapsed());
    assert!(words.contains("trying again for") && words.contains("SW0605"), "{words}");
    relay.set(Line::Open);

    // What came back and could not be written waits on this machine, sealed.
    for file in kept_outcomes(&ada) {
        let bytes = std::fs::read(&file).expect("a file");
        assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
        assert!(!String::from_utf8_lossy(&bytes).contains("registry.example.com"), "it is sealed: {}", file.display());
        assert!(words.contains("is kept in"), "{words}");
    }

    // Somebody else carries on, once it is said that the run is gone.
    let ben = scene.person("ben");
    scene.done(&ben, &["status"]);
    scene.done(&ben, &["lock", "release", "--run", "1", "--reason", "its line was cut"]);
    scene.done(&ben, &["apply", "--yes"]);
    for dir in [&ada, &ben] {
        let (code, words) = scene.run(dir, &["plan", "--detailed-exitcode"]);
        assert_eq!(code, 0, "{words}");
        scene.done(dir, &["verify"]);
        scene.done(dir, &["history"]);
    }
    assert_eq!(scene.made_twice(), []);

    // Nobody asks for what was kept any more.
    scene.done(&ada, &["apply", "--yes", "--input", "version=v2"]);
    assert_eq!(kept_outcomes(&ada), Vec::<PathBuf>::new());
}

fn kept_outcomes(person: &Path) -> Vec<PathBuf> {
    let states = std::fs::read_dir(person.join("cache/outcomes")).into_iter().flatten().flatten();
    states.flat_map(|state| std::fs::read_dir(state.path()).into_iter().flatten().flatten()).map(|file| file.path()).collect()
}

#[test]
fn an_apply_whose_database_goes_away_is_carried_on() {
    let Some(server) = servers::Postgres::start(&[]) else { return };
    let relay = Relay::before(server.port());
    let url = server.url("owner").replace(&format!(":{}/", server.port()), &format!(":{}/", relay.port));
    let scene = Scene::new("postgres {}", &[("STACKWRIGHT_STATE_URL", url)]);
    plug_is_pulled(&scene, &relay);
    let clear =
        server.sql("select count(*) from stackwright.entry where position('SESSION_KEY'::bytea in body) = 0").expect("entries");
    assert_ne!(clear, "0");
    a_store_that_is_empty_is_no_new_beginning(&scene);
}

#[test]
fn an_apply_whose_bucket_goes_away_is_carried_on() {
    let Some(server) = servers::Bucket::start() else { return };
    let relay = Relay::before(server.port());
    let state = format!("s3 {{ bucket = \"state\", prefix = \"team\", endpoint = \"http://127.0.0.1:{}\" }}", relay.port);
    let keys = [("AWS_ACCESS_KEY_ID", KEY.to_owned()), ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned())];
    plug_is_pulled(&Scene::new(&state, &keys), &relay);
}

/// Another store than the one that was used is not believed to be the first.
fn a_store_that_is_empty_is_no_new_beginning(scene: &Scene) {
    let ada = scene.dir.path().join("ada");
    for other in ["postgres { schema = \"other\" }", "local {}"] {
        let program = format!("stack shop {{ language = 1, state = {other} }}\n{PROGRAM}");
        std::fs::write(ada.join("shop.stack"), program).expect("a program");
        let (code, words) = scene.run(&ada, &["plan"]);
        assert_eq!(code, 1, "{words}");
        assert!(words.contains("in another store than the stack asks for") && words.contains("state migrate"), "{words}");
    }
}
