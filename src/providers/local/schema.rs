//! The declaration of `local`: what can exist on one's own machine.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::model::schema::{Alphabet, Attribute, Given, Naming, OnChange, Recovery, ReplaceOrder, Unique};
use crate::model::types::{Bounds, FieldType, Need, ObjectType, TextRule};
use crate::model::{Data, Kind, Name, ProviderSchema, Type, Value};

/// Raised whenever a kind changes in a way that old records do not fit.
const VERSION: u32 = 1;

pub fn schema() -> Arc<ProviderSchema> {
    static SCHEMA: OnceLock<Arc<ProviderSchema>> = OnceLock::new();
    SCHEMA.get_or_init(|| Arc::new(build())).clone()
}

fn build() -> ProviderSchema {
    let kinds = [value(), file(), port(), command(), process(), postgres(), redis()];
    ProviderSchema {
        name: "local".into(),
        doc: "This machine: stored values, files, processes, a PostgreSQL and a Redis of one's own. Needs no account.",
        settings: Vec::new(),
        kinds: kinds.into_iter().map(|kind| (short_name(&kind), Arc::new(kind))).collect::<BTreeMap<_, _>>(),
        network: None,
        version: VERSION,
        on_this_machine: true,
    }
}

fn short_name(kind: &Kind) -> Name {
    kind.name.split_once('.').expect("a kind's name begins with its provider's").1.into()
}

fn value() -> Kind {
    Kind {
        attributes: vec![
            optional("input", "What to store.", Type::Any),
            computed("id", "A random id that stays as long as the value exists.", Type::TEXT, &[]),
            computed("output", "What is stored.", Type::Any, &["input"]),
        ],
        stored: true,
        ..kind("local.value", "A value that is stored in the state and nowhere else.", "id", Recovery::Put)
    }
}

fn file() -> Kind {
    Kind {
        attributes: vec![
            required(
                "path",
                "Where, below the directory of the environment's files; neither absolute nor with `..`.",
                Type::TEXT,
            )
            .replaces("move a file"),
            required("content", "The text that it holds.", Type::TEXT).sensitive(),
            optional(
                "mode",
                "Who may read and write it, in octal. Where it is left out: 0644, or 0600 where the content is secret.",
                Type::Text(TextRule::Matches("^0[0-7]{3}$".into())),
            ),
            computed("location", "The absolute path.", Type::TEXT, &[]),
            computed(
                "sha256",
                "Digest of the content in hex; absent where the content is secret.",
                Type::TEXT.optional(),
                &["content"],
            ),
        ],
        identity: vec!["path".into()],
        ..kind("local.file", "A text file in the environment's own directory on this machine.", "path", Recovery::Put)
    }
}

fn port() -> Kind {
    Kind {
        attributes: vec![name_attribute(), computed("port", "A free TCP port, kept as long as this exists.", PORT, &[])],
        identity: vec!["name".into()],
        updatable: false,
        ..kind(
            "local.port",
            "A TCP port of 127.0.0.1 that nothing else here is given, so that its user's address is known early.",
            "name",
            Recovery::Put,
        )
    }
}

fn command() -> Kind {
    Kind {
        attributes: vec![
            name_attribute(),
            required("command", "The program and its arguments; it has to end with 0.", command_type()),
            with_default("dir", "Where it runs, from the stack's directory.", Type::Text(TextRule::Path), Value::text(".")),
            with_default("env", "Its environment, besides the usual variables of a shell.", Type::map(Type::TEXT), empty_map())
                .sensitive(),
            computed("log", "The file that holds what it wrote.", Type::TEXT, &[]),
        ],
        act: true,
        identity: vec!["name".into()],
        updatable: false,
        timeout: BUILD_TIMEOUT,
        ..kind(
            "local.command",
            "A program that runs to its end once, such as a migration. One that was interrupted is run again.",
            "name",
            Recovery::Put,
        )
    }
}

fn process() -> Kind {
    let restarts = ["command", "dir", "build", "env", "port", "revision", "running"];
    Kind {
        attributes: vec![
            name_attribute(),
            required(
                "command",
                "The program and its arguments. Not a place for secrets: every user of the machine can see it.",
                command_type(),
            ),
            with_default("dir", "Where it runs, from the stack's directory.", Type::Text(TextRule::Path), Value::text(".")),
            optional(
                "build",
                "A program that runs to its end before each start, while the process before still runs.",
                command_type(),
            ),
            with_default(
                "env",
                "Its environment, besides PORT and the usual variables of a shell.",
                Type::map(Type::TEXT),
                empty_map(),
            )
            .sensitive(),
            by_either("port", "The TCP port that it is told to listen on, as PORT; a free one is chosen and kept.", PORT),
            optional(
                "health",
                "Whether it works: asked after each start, until it answers 200.",
                Type::Object(Arc::new(health_type())),
            ),
            with_default(
                "stop",
                "How it is asked to end, and how long that may take.",
                Type::Object(Arc::new(stop_type())),
                default_stop(),
            ),
            optional("revision", "Any text that changes with the program: a new one builds it and starts it anew.", Type::TEXT),
            running(),
            computed("host", "127.0.0.1.", Type::TEXT, &[]),
            computed("url", "Its address here: http://127.0.0.1:PORT.", Type::TEXT, &["port"]),
            computed("log", "The file that holds what it writes.", Type::TEXT, &[]),
            computed("pid", "The process, while it runs.", Type::INT.optional(), &restarts),
        ],
        identity: vec!["name".into()],
        timeout: BUILD_TIMEOUT,
        ..kind(
            "local.process",
            "A program that runs in the background on this machine, and goes on when the command ends.",
            "name",
            tagged(),
        )
    }
}

fn postgres() -> Kind {
    Kind {
        attributes: vec![
            name_attribute(),
            optional(
                "version",
                "The major version that is wanted. The newest that is installed runs; `server_version` says which.",
                Type::INT,
            ),
            with_default("database", "Name of the database.", identifier(), Value::text("app"))
                .replaces("rename a database under its users"),
            with_default("user", "Name of the role that owns it.", identifier(), Value::text("app"))
                .replaces("rename the owner of a database"),
            required("password", "Its password: printable ASCII.", Type::TEXT).sensitive(),
            with_default("extensions", "Extensions of the database.", Type::list(Type::TEXT), Value::list(Vec::new())),
            by_either("port", "The TCP port that it listens on; a free one is chosen and kept.", PORT),
            running(),
            computed("host", "127.0.0.1.", Type::TEXT, &[]),
            computed("server_version", "Of the program that runs: `15.8`.", Type::TEXT, &["version"]),
            computed("location", "The directory that holds the data.", Type::TEXT, &[]),
            computed("log", "The file that holds what it writes.", Type::TEXT, &[]),
            computed("pid", "The process, while it runs.", Type::INT.optional(), &["password", "extensions", "port", "running"]),
        ],
        holds_data: true,
        identity: vec!["name".into()],
        timeout: Duration::from_secs(180),
        ..kind(
            "local.postgres",
            "A PostgreSQL server of its own, on 127.0.0.1, with one database and its owner.",
            "name",
            tagged(),
        )
    }
}

fn redis() -> Kind {
    let eviction = Type::Literals(Arc::new(vec![Value::text("none"), Value::text("lru")]));
    Kind {
        attributes: vec![
            name_attribute(),
            required("password", "Printable ASCII.", Type::TEXT).sensitive(),
            with_default("memory", "The most that it holds.", Type::Size, Value::engine(Data::Size(256 << 20))),
            with_default(
                "eviction",
                "What happens when it is full: `none` refuses writes, `lru` forgets what was unused the longest.",
                eviction,
                Value::text("none"),
            ),
            with_default("persistent", "Whether its content outlives a stop.", Type::Bool, Value::bool(false)),
            by_either("port", "The TCP port that it listens on; a free one is chosen and kept.", PORT),
            running(),
            computed("host", "127.0.0.1.", Type::TEXT, &[]),
            computed("server_version", "Of the program that runs: `7.0.15`.", Type::TEXT, &[]),
            computed("log", "The file that holds what it writes.", Type::TEXT, &[]),
            computed("pid", "The process, while it runs.", Type::INT.optional(), &["persistent", "port", "running"]),
        ],
        identity: vec!["name".into()],
        timeout: Duration::from_secs(60),
        ..kind("local.redis", "A Redis server of its own, on 127.0.0.1.", "name", tagged())
    }
}

const PORT: Type = Type::Int(Bounds { min: Some(1), max: Some(65535) });
const BUILD_TIMEOUT: Duration = Duration::from_secs(1800);

/// What may stand in SQL and in a URL as it is.
fn identifier() -> Type {
    Type::Text(TextRule::Matches("^[a-z_][a-z0-9_]{0,62}$".into()))
}

fn command_type() -> Type {
    Type::List(Box::new(Type::TEXT), Bounds { min: Some(1), max: None })
}

/// As `health` of the standard library's `service`, so that it can be handed on as it is.
fn health_type() -> ObjectType {
    object([
        ("path", Type::TEXT, Need::Default(Value::text("/"))),
        ("port", PORT, Need::Absent),
        ("every", Type::Duration, Need::Default(seconds(10))),
        ("grace", Type::Duration, Need::Default(seconds(30))),
        ("timeout", Type::Duration, Need::Default(seconds(2))),
    ])
}

fn stop_type() -> ObjectType {
    object([("signal", Type::TEXT, Need::Default(Value::text("SIGTERM"))), ("grace", Type::Duration, Need::Default(seconds(10)))])
}

fn default_stop() -> Value {
    Value::map([("signal".into(), Value::text("SIGTERM")), ("grace".into(), seconds(10))].into())
}

fn object<const N: usize>(fields: [(&str, Type, Need); N]) -> ObjectType {
    let fields = fields.into_iter().map(|(name, ty, need)| (name.into(), FieldType { ty, need }));
    ObjectType { fields: fields.collect(), name: None }
}

fn seconds(count: i64) -> Value {
    Value::engine(Data::Duration(count * 1_000_000_000))
}

fn empty_map() -> Value {
    Value::map(BTreeMap::new())
}

fn tagged() -> Recovery {
    Recovery::Tagged { settle: Duration::from_secs(1) }
}

/// The name in paths and marks: made by the engine, kept in the record, the same through `moved`.
fn name_attribute() -> Attribute {
    Attribute {
        naming: Some(Naming { alphabet: Alphabet::Dashes, max: 40, unique: Unique::InParent }),
        ..by_either("name", "Its name on this machine.", Type::Text(TextRule::Matches("^[a-z][a-z0-9-]{0,39}$".into())))
    }
    .replaces("rename what runs")
}

/// An input, so that a process that died is shown as drift (`running is false, source says true`) and its address stays known.
fn running() -> Attribute {
    with_default(
        "running",
        "Whether it runs. One that has died is started again by the next apply.",
        Type::Bool,
        Value::bool(true),
    )
}

fn kind(name: &str, doc: &'static str, id: &str, recovery: Recovery) -> Kind {
    Kind {
        name: name.into(),
        doc,
        attributes: Vec::new(),
        data: false,
        act: false,
        stored: false,
        holds_data: false,
        identity: Vec::new(),
        id: id.into(),
        list_by: None,
        recovery,
        updatable: true,
        replace: ReplaceOrder::DestroyFirst,
        timeout: Duration::from_secs(30),
    }
}

fn attribute(name: &str, doc: &'static str, ty: Type, given: Given) -> Attribute {
    Attribute {
        name: name.into(),
        doc,
        ty,
        given,
        sensitive: false,
        on_change: OnChange::Update,
        recomputed_by: Vec::new(),
        naming: None,
    }
}

fn required(name: &str, doc: &'static str, ty: Type) -> Attribute {
    attribute(name, doc, ty, Given::Required)
}

fn optional(name: &str, doc: &'static str, ty: Type) -> Attribute {
    attribute(name, doc, ty, Given::Optional)
}

fn with_default(name: &str, doc: &'static str, ty: Type, value: Value) -> Attribute {
    attribute(name, doc, ty, Given::Default(value))
}

fn by_either(name: &str, doc: &'static str, ty: Type) -> Attribute {
    attribute(name, doc, ty, Given::OptionalComputed)
}

fn computed(name: &str, doc: &'static str, ty: Type, recomputed_by: &[&str]) -> Attribute {
    let recomputed_by = recomputed_by.iter().map(|name| Name::from(*name)).collect();
    Attribute { recomputed_by, ..attribute(name, doc, ty, Given::Computed) }
}

/// How a declaration goes on after its first line.
trait Further {
    fn sensitive(self) -> Self;
    fn replaces(self, reason: &'static str) -> Self;
}

impl Further for Attribute {
    fn sensitive(self) -> Attribute {
        Attribute { sensitive: true, ..self }
    }

    fn replaces(self, reason: &'static str) -> Attribute {
        Attribute { on_change: OnChange::Replace(reason), ..self }
    }
}
