//! One environment of `local` in a directory of its own, and what tests ask of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stackwright::model::desired::ProviderName;
use stackwright::model::record::RecordId;
use stackwright::model::value::Fields;
use stackwright::model::{Address, Kind, Record, Value};
use stackwright::providers::contract::{
    Answer, Call, CallAction, CallError, Connection, Found, Provider as _, SendError, Surroundings, Transport,
};
use stackwright::providers::local::Local;
use stackwright::world::World;

pub struct Machine {
    dir: PathBuf,
    /// Removes the directory; none where it is another test's.
    _kept: Option<tempfile::TempDir>,
    store_id: String,
    connection: Arc<dyn Connection>,
}

const DIR: &str = "STACKWRIGHT_TEST_DIR";
const STORE: &str = "STACKWRIGHT_TEST_STORE";

/// `local` sends no request.
struct NoNetwork;

#[async_trait::async_trait]
impl Transport for NoNetwork {
    async fn send(&self, _: http::Request<bytes::Bytes>, _: Duration) -> Result<http::Response<bytes::Bytes>, SendError> {
        Err(SendError::NotSent("there is no network in these tests".into()))
    }
}

impl Machine {
    pub fn new() -> Machine {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("stack")).expect("a directory");
        let store_id = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let connection = connect(dir.path(), &store_id);
        Machine { dir: dir.path().to_owned(), _kept: Some(dir), store_id, connection }
    }

    /// The machine of another process, which looks after it.
    pub fn of(dir: &Path, store_id: &str) -> Machine {
        Machine { dir: dir.to_owned(), _kept: None, store_id: store_id.into(), connection: connect(dir, store_id) }
    }

    /// This test program once more, running one of its ignored tests on this machine.
    pub fn another_run(&self, test: &str) -> std::process::Child {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = std::process::Command::new(program);
        command.args(["--exact", test, "--ignored"]).env(DIR, &self.dir).env(STORE, &self.store_id);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("it starts")
    }

    /// In such a run: the machine of who started it.
    pub fn given() -> Machine {
        let variable = |name| std::env::var(name).expect("another test starts this one");
        Machine::of(Path::new(&variable(DIR)), &variable(STORE))
    }

    /// As another run of the program sees it: nothing is kept but what is on disk.
    pub fn connected_anew(&self) -> Arc<dyn Connection> {
        connect(&self.dir, &self.store_id)
    }

    /// Lets other users of the machine pass through its directory, as most directories of a stack do.
    pub fn let_others_pass(&self) {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&self.dir, mode).expect("it is ours");
    }

    pub fn stack_dir(&self) -> PathBuf {
        self.dir.join("stack")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub async fn create(&self, kind: &str, inputs: Fields) -> Result<Fields, CallError> {
        self.create_as("made", kind, inputs).await
    }

    pub async fn create_as(&self, token: &str, kind: &str, inputs: Fields) -> Result<Fields, CallError> {
        self.perform(self.call(token, kind, CallAction::Create { inputs })).await
    }

    /// Updates to `inputs`; what changed is what differs.
    pub async fn update(&self, kind: &str, before: &Fields, inputs: Fields) -> Result<Fields, CallError> {
        let changed = inputs.iter().filter(|(name, value)| before.get(*name) != Some(*value)).map(|(name, _)| name.clone());
        let action = CallAction::Update { before: record(kind, before), changed: changed.collect(), inputs };
        self.perform(self.call("updated", kind, action)).await
    }

    pub async fn delete(&self, kind: &str, before: &Fields) -> Result<(), CallError> {
        self.perform(self.call("deleted", kind, CallAction::Delete { before: record(kind, before) })).await.map(drop)
    }

    pub async fn read(&self, kind: &str, known: &Fields) -> Option<Fields> {
        self.connected_anew().read(&schema_of(kind), known).await.expect("it can be read")
    }

    pub async fn find_created(&self, token: &str, kind: &str, inputs: Fields) -> Found {
        let call = self.call(token, kind, CallAction::Create { inputs });
        self.connected_anew().find(&call).await.expect("it can be looked for")
    }

    /// Whether a process bears the mark of this environment, or was started by one that does and has kept its environment.
    pub fn processes(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let marks = ["OBJECT", "HELPER"].map(|name| format!("STACKWRIGHT_{name}={}/", self.store_id));
            let mut variables = environ.split(|byte| *byte == 0);
            if variables.any(|variable| marks.iter().any(|mark| variable.starts_with(mark.as_bytes()))) {
                pids.push(pid);
            }
        }
        pids
    }

    /// All regular files below the data directory, from there.
    pub fn files(&self) -> Vec<String> {
        fn gather(root: &Path, dir: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    true => gather(root, &entry.path(), found),
                    false => found.push(entry.path().strip_prefix(root).expect("below").to_string_lossy().into_owned()),
                }
            }
        }
        let mut found = Vec::new();
        gather(&self.data_dir(), &self.data_dir(), &mut found);
        found.sort();
        found
    }

    fn call(&self, token: &str, kind: &str, action: CallAction) -> Call {
        let address = Address::root(kind, "it");
        let token = format!("{token}-{}", self.store_id);
        Call { token, address, kind: schema_of(kind), action, not_after: Duration::from_secs(60) }
    }

    async fn perform(&self, call: Call) -> Result<Fields, CallError> {
        self.connection.perform(&call).await.map(|Answer { attributes, .. }| attributes)
    }
}

/// No process is left, also when the test fails.
impl Drop for Machine {
    fn drop(&mut self) {
        for pid in self.processes() {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).ok();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
            }
        }
    }
}

fn connect(dir: &Path, store_id: &str) -> Arc<dyn Connection> {
    let surroundings = Surroundings {
        world: World::real(),
        transport: Arc::new(NoNetwork),
        base_url: None,
        simulated: false,
        stack_dir: dir.join("stack"),
        data_dir: dir.join("data"),
        store_id: store_id.into(),
        stack: "shop".into(),
        environment: "local".into(),
        variable: Arc::new(|_| None),
    };
    Local.connect(&Fields::new(), &surroundings).expect("`local` needs nothing to connect")
}

pub fn schema_of(kind: &str) -> Arc<Kind> {
    let schema = Local.schema();
    schema.kinds[kind.strip_prefix("local.").expect("a kind of `local`")].clone()
}

fn record(kind: &str, attributes: &Fields) -> Arc<Record> {
    Arc::new(Record {
        address: Address::root(kind, "it"),
        id: RecordId([1; 16]),
        kind: kind.into(),
        provider: ProviderName::parse("local"),
        instance: Address::root(kind, "it"),
        inputs: attributes.clone(),
        computed: Fields::new(),
        edges: Vec::new(),
        protect: false,
        replace_on: Vec::new(),
        generation: 0,
        declared_at: "shop.stack:1".into(),
        schema_version: 1,
        version: 1,
        deposed: false,
    })
}

pub fn fields<const N: usize>(entries: [(&str, Value); N]) -> Fields {
    entries.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

/// The same with one attribute changed.
pub fn with(fields: &Fields, name: &str, value: Value) -> Fields {
    let mut all = fields.clone();
    all.insert(name.into(), value);
    all
}

pub fn texts<const N: usize>(items: [&str; N]) -> Value {
    Value::list(items.into_iter().map(Value::text).collect())
}

pub fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::map(fields(entries))
}

pub fn text<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_text).unwrap_or_else(|| panic!("`{name}` is a text"))
}

pub fn int(fields: &Fields, name: &str) -> i64 {
    fields.get(name).and_then(Value::as_int).unwrap_or_else(|| panic!("`{name}` is an int"))
}

pub fn pid(fields: &Fields) -> i32 {
    i32::try_from(int(fields, "pid")).expect("a pid")
}

pub fn duration(milliseconds: i64) -> Value {
    Value::engine(stackwright::model::Data::Duration(milliseconds * 1_000_000))
}

/// The words of a refusal.
pub fn words(result: Result<Fields, CallError>) -> String {
    match result {
        Err(CallError::Refused { words, .. }) => words,
        Err(other) => panic!("refused was expected, not: {other}"),
        Ok(_) => panic!("refused was expected"),
    }
}

pub fn is_done(found: Found) -> Fields {
    match found {
        Found::Done(answer) => answer.attributes,
        Found::Absent => panic!("it was found absent"),
        Found::Unchanged => panic!("it was found unchanged"),
        Found::Candidates(_) => panic!("candidates were found"),
    }
}

/// Whether it lives: neither gone nor a zombie.
pub fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Waits until `done`, at most ten seconds.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let world = World::real();
    let from = world.clock.elapsed();
    while !done() {
        assert!(world.clock.elapsed() - from < Duration::from_secs(10), "{what} did not happen within 10 s");
        world.clock.sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a program is installed; if not, says that its test was skipped.
pub fn has(program: &str, needed: &[&str]) -> bool {
    let kinds = needed.iter().map(|kind| (*kind).into()).collect();
    let machine = Machine::new();
    let surroundings = Surroundings {
        world: World::real(),
        transport: Arc::new(NoNetwork),
        base_url: None,
        simulated: false,
        stack_dir: machine.stack_dir(),
        data_dir: machine.data_dir(),
        store_id: String::new(),
        stack: String::new(),
        environment: String::new(),
        variable: Arc::new(|_| None),
    };
    let there = Local.preflight(&kinds, &surroundings).is_empty();
    if !there {
        println!("skipped: needs {program}");
    }
    there
}

/// A shell command as a process with a name.
pub fn shell(name: &str, script: &str) -> Fields {
    fields([("name", Value::text(name)), ("command", texts(["/bin/sh", "-c", script])), ("dir", Value::text("."))])
}
