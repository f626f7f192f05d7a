//! The declaration of `local`: what can exist on one's own machine.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::model::schema::{Alphabet, Attribute, Given, Recovery, ReplaceOrder, Unique};
use crate::model::types::{Bounds, Need, TextRule};
use crate::model::{Kind, Name, ProviderSchema, Type, Value};
use crate::providers::declare::{
    attribute, computed, default, empty_list, empty_map, fields, given, int, mib, names, object, one_of, seconds,
};

/// Raised whenever a kind changes in a way that old records do not fit.
const VERSION: u32 = 1;

/// A build may compile a whole program.
const BUILD_TIMEOUT: Duration = Duration::from_secs(1800);

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
        kinds: kinds.into_iter().map(|kind| (short_name(&kind), Arc::new(kind))).collect(),
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
            attribute("input", Type::Any, Given::Optional, "what to store"),
            computed("id", Type::TEXT, "a random id that stays as long as the value exists"),
            computed("output", Type::Any, "what is stored").recomputed_by(&["input"]),
        ],
        id: "id".into(),
        stored: true,
        ..kind("local.value", "A value that is stored in the state and nowhere else.", Recovery::Put)
    }
}

fn file() -> Kind {
    let mode = Type::Text(TextRule::Matches("^0[0-7]{3}$".into()));
    Kind {
        attributes: vec![
            attribute(
                "path",
                Type::TEXT,
                Given::Required,
                "where, below the directory of the environment's files; neither absolute nor with `..`",
            )
            .replaces("move a file"),
            attribute("content", Type::TEXT, Given::Required, "the text that it holds").sensitive(),
            attribute(
                "mode",
                mode,
                Given::Optional,
                "who may read and write it, in octal; left out: 0644, or 0600 where the content is secret",
            ),
            computed("location", Type::TEXT, "the absolute path"),
            computed("sha256", Type::TEXT.optional(), "digest of the content in hex; absent where the content is secret")
                .recomputed_by(&["content"]),
        ],
        identity: names(&["path"]),
        id: "path".into(),
        ..kind("local.file", "A text file in the environment's own directory on this machine.", Recovery::Put)
    }
}

fn port() -> Kind {
    Kind {
        attributes: vec![name(), computed("port", int(1, 65535), "a free TCP port, kept as long as this exists")],
        identity: names(&["name"]),
        updatable: false,
        ..kind(
            "local.port",
            "A TCP port of 127.0.0.1 that nothing else here is given, so that its user's address is known early.",
            Recovery::Put,
        )
    }
}

fn command() -> Kind {
    Kind {
        attributes: vec![
            name(),
            attribute("command", words(), Given::Required, "the program and its arguments; it has to end with 0"),
            dir(),
            env("its environment, besides the usual variables of a shell"),
            computed("log", Type::TEXT, "the file that holds what it wrote"),
        ],
        act: true,
        identity: names(&["name"]),
        updatable: false,
        timeout: BUILD_TIMEOUT,
        ..kind(
            "local.command",
            "A program that runs to its end once, such as a migration. One that was interrupted is run again.",
            Recovery::Put,
        )
    }
}

fn process() -> Kind {
    let restarts = ["command", "dir", "build", "env", "port", "revision", "running"];
    let stop = object(
        "stop",
        vec![("signal", Type::TEXT, default(Value::text("SIGTERM"))), ("grace", Type::Duration, default(seconds(10)))],
    );
    let asked_to_stop = fields(vec![("signal", Value::text("SIGTERM")), ("grace", seconds(10))]);
    Kind {
        attributes: vec![
            name(),
            attribute(
                "command",
                words(),
                Given::Required,
                "the program and its arguments; every user of the machine can see them",
            ),
            dir(),
            attribute(
                "build",
                words(),
                Given::Optional,
                "a program that runs to its end before each start, while the process before still runs",
            ),
            env("its environment, besides PORT and the usual variables of a shell"),
            attribute(
                "port",
                int(1, 65535),
                Given::OptionalComputed,
                "the TCP port that it is told to listen on, as PORT; a free one is chosen and kept",
            ),
            attribute(
                "health",
                health(),
                Given::Optional,
                "how it says that it works: asked after each start, until it answers 200",
            ),
            attribute("stop", stop, given(asked_to_stop), "how it is asked to end, and how long that may take"),
            attribute(
                "revision",
                Type::TEXT,
                Given::Optional,
                "any text that changes with the program: a new one builds it and starts it anew",
            ),
            running(),
            computed("host", Type::TEXT, "127.0.0.1"),
            computed("url", Type::TEXT, "its address here: http://127.0.0.1:PORT").recomputed_by(&["port"]),
            computed("log", Type::TEXT, "the file that holds what it writes"),
            computed("pid", Type::INT.optional(), "the process, while it runs").recomputed_by(&restarts),
        ],
        identity: names(&["name"]),
        timeout: BUILD_TIMEOUT,
        ..kind(
            "local.process",
            "A program that runs in the background on this machine, and goes on when the command ends.",
            tagged(),
        )
    }
}

fn postgres() -> Kind {
    let restarts = ["password", "extensions", "port", "running"];
    // What may stand in SQL and in a URL as it is.
    let identifier = || Type::Text(TextRule::Matches("^[a-z_][a-z0-9_]{0,62}$".into()));
    Kind {
        attributes: vec![
            name(),
            attribute(
                "version",
                Type::INT,
                Given::Optional,
                "the major version that is wanted; the newest that is installed runs, and `server_version` says which",
            ),
            attribute("database", identifier(), given(Value::text("app")), "name of the database")
                .replaces("rename a database under its users"),
            attribute("user", identifier(), given(Value::text("app")), "name of the role that owns it")
                .replaces("rename the owner of a database"),
            attribute("password", Type::TEXT, Given::Required, "its password: printable ASCII").sensitive(),
            attribute("extensions", Type::list(Type::TEXT), given(empty_list()), "extensions of the database"),
            attribute(
                "port",
                int(1, 65535),
                Given::OptionalComputed,
                "the TCP port that it listens on; a free one is chosen and kept",
            ),
            running(),
            computed("host", Type::TEXT, "127.0.0.1"),
            computed("server_version", Type::TEXT, "of the program that runs: `15.8`").recomputed_by(&restarts),
            computed("location", Type::TEXT, "the directory that holds the data"),
            computed("log", Type::TEXT, "the file that holds what it writes"),
            computed("pid", Type::INT.optional(), "the process, while it runs").recomputed_by(&restarts),
        ],
        holds_data: true,
        identity: names(&["name"]),
        timeout: Duration::from_secs(180),
        ..kind("local.postgres", "A PostgreSQL server of its own, on 127.0.0.1, with one database and its owner.", tagged())
    }
}

fn redis() -> Kind {
    let restarts = ["persistent", "port", "running"];
    Kind {
        attributes: vec![
            name(),
            attribute("password", Type::TEXT, Given::Required, "printable ASCII without spaces").sensitive(),
            attribute("memory", Type::Size, given(mib(256)), "the most that it holds"),
            attribute(
                "eviction",
                one_of(&["none", "lru"]),
                given(Value::text("none")),
                "when it is full, `none` refuses writes, `lru` forgets what was unused the longest",
            ),
            attribute("persistent", Type::Bool, given(Value::bool(false)), "whether its content outlives a stop"),
            attribute(
                "port",
                int(1, 65535),
                Given::OptionalComputed,
                "the TCP port that it listens on; a free one is chosen and kept",
            ),
            running(),
            computed("host", Type::TEXT, "127.0.0.1"),
            computed("server_version", Type::TEXT, "of the program that runs: `7.0.15`").recomputed_by(&restarts),
            computed("log", Type::TEXT, "the file that holds what it writes"),
            computed("pid", Type::INT.optional(), "the process, while it runs").recomputed_by(&restarts),
        ],
        identity: names(&["name"]),
        timeout: Duration::from_secs(60),
        ..kind("local.redis", "A Redis server of its own, on 127.0.0.1.", tagged())
    }
}

/// The name in paths and marks: made by the engine, kept in the record, the same through `moved`.
fn name() -> Attribute {
    let ty = Type::Text(TextRule::Matches("^[a-z][a-z0-9-]{0,39}$".into()));
    attribute("name", ty, Given::OptionalComputed, "its name on this machine")
        .named(Alphabet::Dashes, 40, Unique::InParent)
        .replaces("rename what runs")
}

fn dir() -> Attribute {
    attribute("dir", Type::Text(TextRule::Path), given(Value::text(".")), "where it runs, from the stack's directory")
}

fn env(doc: &'static str) -> Attribute {
    attribute("env", Type::map(Type::TEXT), given(empty_map()), doc).sensitive()
}

/// An input, so that a process that died is shown as drift (`running is false, source says true`) and its address stays known.
fn running() -> Attribute {
    attribute(
        "running",
        Type::Bool,
        given(Value::bool(true)),
        "whether it runs; one that has died is started again by the next apply",
    )
}

fn words() -> Type {
    Type::List(Box::new(Type::TEXT), Bounds { min: Some(1), max: None })
}

/// As `health` of the standard library's `service`, so that it can be handed on as it is.
fn health() -> Type {
    let fields = vec![
        ("path", Type::TEXT, default(Value::text("/"))),
        ("port", int(1, 65535), Need::Absent),
        ("every", Type::Duration, default(seconds(10))),
        ("grace", Type::Duration, default(seconds(30))),
        ("timeout", Type::Duration, default(seconds(2))),
    ];
    object("health", fields)
}

fn tagged() -> Recovery {
    Recovery::Tagged { settle: Duration::from_secs(1) }
}

fn kind(name: &str, doc: &'static str, recovery: Recovery) -> Kind {
    Kind {
        name: name.into(),
        doc,
        attributes: Vec::new(),
        data: false,
        act: false,
        stored: false,
        holds_data: false,
        identity: Vec::new(),
        id: "name".into(),
        list_by: None,
        recovery,
        updatable: true,
        replace: ReplaceOrder::DestroyFirst,
        timeout: Duration::from_secs(30),
    }
}
