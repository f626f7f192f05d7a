//! What `fly` declares: six kinds.
//! Source: the official description of the Machines API; what can be updated in place is from the vendor's documentation of
//! machines and volumes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::schema::{Alphabet, Attribute, Given, Kind, ProviderSchema, Recovery, ReplaceOrder, Unique};
use crate::model::types::{Bounds, Name, Need, Type};
use crate::model::value::Value;
use crate::providers::declare::*;

/// How long after a lost answer a listing may still lack what the call made.
pub const SETTLE: Duration = Duration::from_secs(10);

pub fn schema() -> ProviderSchema {
    let kinds = [app(), machine(), volume(), secret(), ip(), certificate()];
    ProviderSchema {
        name: "fly".into(),
        doc: "Fly.io, by its Machines API. Credentials: a token in `FLY_API_TOKEN`.",
        settings: vec![
            attribute("org", Type::TEXT, Given::Required, "slug of the organization; its apps share one private network"),
            attribute("region", Type::TEXT, Given::Optional, "where machines and volumes go that name no region, such as `cdg`"),
            attribute("base_url", Type::TEXT, Given::Optional, "root of the API, if it is not at its public address"),
        ],
        kinds: kinds.into_iter().map(short_named).collect::<BTreeMap<_, _>>(),
        network: Some("org".into()),
        version: 1,
        on_this_machine: false,
    }
}

fn short_named(kind: Kind) -> (Name, Arc<Kind>) {
    let short = kind.name.split('.').next_back().expect("a kind has a name").into();
    (short, Arc::new(kind))
}

/// What most kinds have in common; the rest is written over it.
fn kind(name: &str, doc: &'static str, attributes: Vec<Attribute>) -> Kind {
    Kind {
        name: name.into(),
        doc,
        attributes,
        data: false,
        act: false,
        stored: false,
        holds_data: false,
        identity: Vec::new(),
        id: "id".into(),
        list_by: Some(names(&["app"])),
        recovery: Recovery::Named,
        updatable: true,
        replace: ReplaceOrder::DestroyFirst,
        timeout: Duration::from_secs(60),
    }
}

fn in_app(what: &'static str) -> Attribute {
    attribute("app", Type::TEXT, Given::Required, "name of the app that it belongs to").replaces(what)
}

fn region(what: &'static str) -> Attribute {
    attribute("region", Type::TEXT, Given::OptionalComputed, "where it is, such as `cdg`; the provider's `region` where left out")
        .replaces(what)
}

fn app() -> Kind {
    let attributes = vec![
        attribute("name", Type::TEXT, Given::Optional, "its name, which no other app on the platform has")
            .named(Alphabet::Dashes, 30, Unique::Globally)
            .replaces("rename an app"),
        attribute("org", Type::TEXT, Given::OptionalComputed, "slug of its organization; the provider's `org` where left out")
            .replaces("move an app to another organization"),
        attribute(
            "network",
            Type::TEXT,
            Given::OptionalComputed,
            "a private network of its own; that of the organization otherwise",
        )
        .replaces("move an app to another network"),
    ];
    Kind {
        identity: names(&["name"]),
        id: "name".into(),
        list_by: Some(names(&["org"])),
        updatable: false,
        ..kind(
            "fly.app",
            "What machines, volumes, secrets, addresses and certificates belong to. Deleting it deletes them.",
            attributes,
        )
    }
}

/// All attributes of a machine that an update can change: an update of any makes a new version.
const IN_PLACE: &[&str] = &[
    "image",
    "guest",
    "env",
    "files",
    "init",
    "services",
    "checks",
    "metrics",
    "metadata",
    "process_group",
    "restart",
    "stop_config",
    "schedule",
    "auto_destroy",
    "secrets_version",
];

fn machine() -> Kind {
    let mount = object("fly.machine.mount", vec![("volume", Type::TEXT, Need::Required), ("path", Type::TEXT, Need::Required)]);
    let metrics =
        object("fly.machine.metrics", vec![("port", port(), Need::Required), ("path", Type::TEXT, text_or("/metrics"))]);
    let attributes = vec![
        in_app("move a machine to another app"),
        attribute("name", Type::TEXT, Given::Optional, "its name, unique in the app")
            .named(Alphabet::Dashes, 50, Unique::InParent)
            .replaces("rename a machine"),
        region("move a machine"),
        attribute("image", Type::TEXT, Given::Required, "the container image, `registry/repository:tag` or with a digest"),
        attribute("guest", guest(), given(guest_default()), "processors and memory"),
        attribute("env", Type::map(Type::TEXT), given(empty_map()), "environment variables").sensitive(),
        attribute("files", Type::map(Type::TEXT), given(empty_map()), "files to write, by absolute path: their text").sensitive(),
        attribute("init", init(), given(init_default()), "what to run instead of what the image says"),
        attribute("services", Type::list(service()), given(empty_list()), "ports that the platform's proxy serves"),
        attribute("checks", Type::map(check(true)), given(empty_map()), "checks without effect on routing, by name"),
        attribute("metrics", metrics, Given::Optional, "where the platform's Prometheus reads metrics"),
        attribute(
            "mounts",
            Type::List(Box::new(mount), Bounds { min: None, max: Some(1) }),
            given(empty_list()),
            "at most one volume",
        )
        .replaces("change the volume of a machine"),
        attribute(
            "metadata",
            Type::map(Type::TEXT),
            given(empty_map()),
            "labels; keys do not begin with `fly_` or `stackwright_`",
        ),
        attribute("process_group", Type::TEXT, Given::Optional, "also reachable as `GROUP.process.APP.internal`"),
        attribute("restart", restart(), given(restart_default()), "what happens when the process ends"),
        attribute("stop_config", stop(), Given::Optional, "how it is stopped"),
        attribute(
            "schedule",
            one_of(&["hourly", "daily", "weekly", "monthly"]),
            Given::Optional,
            "started so often, besides when it is created",
        ),
        attribute("auto_destroy", Type::Bool, given(Value::bool(false)), "whether it goes when its process ends"),
        attribute(
            "secrets_version",
            Type::INT,
            Given::Optional,
            "the app's secrets are at least this new: `fly.secret.x.version`",
        ),
        computed("id", Type::TEXT, "what names it in other calls, 14 characters"),
        computed("instance_id", Type::TEXT, "its version: another one after every update").recomputed_by(IN_PLACE),
        computed("private_ip", Type::TEXT, "its IPv6 address in the private network of the organization"),
    ];
    Kind {
        identity: names(&["app", "name"]),
        recovery: Recovery::Tagged { settle: SETTLE },
        timeout: Duration::from_secs(300),
        ..kind("fly.machine", "A virtual machine that runs a container image.", attributes)
    }
}

fn port() -> Type {
    int(1, 65535)
}

fn text_or(text: &str) -> Need {
    default(Value::text(text))
}

fn guest() -> Type {
    object(
        "fly.machine.guest",
        vec![
            ("cpus", int(1, 64), default(Value::int(1))),
            ("cpu_kind", one_of(&["shared", "performance"]), text_or("shared")),
            ("memory", Type::Size, default(mib(256))),
        ],
    )
}

fn guest_default() -> Value {
    fields(vec![("cpus", Value::int(1)), ("cpu_kind", Value::text("shared")), ("memory", mib(256))])
}

fn init() -> Type {
    let words = || Type::list(Type::TEXT);
    object(
        "fly.machine.init",
        vec![
            ("cmd", words(), default(empty_list())),
            ("entrypoint", words(), default(empty_list())),
            ("exec", words(), default(empty_list())),
        ],
    )
}

fn init_default() -> Value {
    fields(vec![("cmd", empty_list()), ("entrypoint", empty_list()), ("exec", empty_list())])
}

fn restart() -> Type {
    object(
        "fly.machine.restart",
        vec![
            ("policy", one_of(&["no", "always", "on-failure"]), text_or("on-failure")),
            // Meaningful for `on-failure` only.
            ("max_retries", int(0, 1000), default(Value::int(10))),
        ],
    )
}

fn restart_default() -> Value {
    fields(vec![("policy", Value::text("on-failure")), ("max_retries", Value::int(10))])
}

fn stop() -> Type {
    object(
        "fly.machine.stop_config",
        vec![
            (
                "signal",
                one_of(&["SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM"]), //
                text_or("SIGINT"),
            ),
            ("timeout", Type::Duration, default(seconds(5))),
        ],
    )
}

fn service() -> Type {
    let port_of = object(
        "fly.machine.port",
        vec![
            ("port", port(), Need::Required),
            ("handlers", Type::list(one_of(&["http", "tls", "pg_tls", "proxy_proto"])), default(empty_list())),
            ("force_https", Type::Bool, default(Value::bool(false))),
        ],
    );
    let concurrency = object(
        "fly.machine.concurrency",
        vec![
            ("type", one_of(&["connections", "requests"]), text_or("connections")),
            ("soft_limit", int(1, 1_000_000), Need::Absent),
            ("hard_limit", int(1, 1_000_000), Need::Absent),
        ],
    );
    object(
        "fly.machine.service",
        vec![
            ("protocol", one_of(&["tcp", "udp"]), text_or("tcp")),
            ("internal_port", port(), Need::Required),
            ("ports", Type::list(port_of), default(empty_list())),
            ("autostart", Type::Bool, default(Value::bool(true))),
            ("autostop", one_of(&["off", "stop", "suspend"]), text_or("off")),
            ("min_machines_running", int(0, 10_000), default(Value::int(0))),
            ("concurrency", concurrency, Need::Absent),
            ("checks", Type::list(check(false)), default(empty_list())),
        ],
    )
}

/// A check; one that stands alone has to name its port.
fn check(alone: bool) -> Type {
    let port_need = if alone { Need::Required } else { Need::Absent };
    object(
        if alone { "fly.machine.check" } else { "fly.machine.service_check" },
        vec![
            ("type", one_of(&["http", "tcp"]), text_or("http")),
            ("port", port(), port_need),
            ("method", Type::TEXT, Need::Absent),
            ("path", Type::TEXT, Need::Absent),
            ("interval", Type::Duration, default(seconds(15))),
            ("timeout", Type::Duration, default(seconds(5))),
            ("grace_period", Type::Duration, default(seconds(10))),
        ],
    )
}

fn volume() -> Kind {
    let attributes = vec![
        in_app("move a volume to another app"),
        attribute("name", Type::TEXT, Given::Optional, "its name; this engine keeps it unique in the app")
            .named(Alphabet::Underscores, 30, Unique::Globally)
            .replaces("rename a volume"),
        region("move a volume"),
        attribute("size", Type::Size, given(gib(1)), "how much it holds, in whole GiB").grows_only("shrink a volume"),
        attribute("encrypted", Type::Bool, given(Value::bool(true)), "whether it is encrypted at rest")
            .replaces("encrypt a volume later"),
        attribute(
            "snapshot_retention",
            Type::Duration,
            given(seconds(5 * 86_400)),
            "how long daily snapshots are kept, in whole days, 1d to 60d",
        ),
        attribute("auto_backup", Type::Bool, given(Value::bool(true)), "whether a snapshot is taken every day"),
        computed("id", Type::TEXT, "what names it in other calls, `vol_…`"),
    ];
    Kind {
        holds_data: true,
        identity: names(&["app", "name"]),
        // The platform takes two volumes of one name: a create is sent again only once an earlier one would be seen.
        recovery: Recovery::Tagged { settle: SETTLE },
        replace: ReplaceOrder::CreateFirst,
        ..kind("fly.volume", "A disk that one machine mounts.", attributes)
    }
}

fn secret() -> Kind {
    let attributes = vec![
        in_app("move a secret to another app"),
        attribute("name", Type::TEXT, Given::Required, "the environment variable that it becomes").replaces("rename a secret"),
        attribute("value", Type::TEXT, Given::Required, "the secret").sensitive(),
        computed("digest", Type::TEXT, "the platform's digest of the value").recomputed_by(&["value"]),
        computed("version", Type::INT, "version of the app's secrets that has it, for `fly.machine` to wait for")
            .recomputed_by(&["value"]),
    ];
    Kind {
        identity: names(&["app", "name"]),
        id: "name".into(),
        recovery: Recovery::Put,
        ..kind("fly.secret", "A secret of an app; machines get it when they are next created or updated.", attributes)
    }
}

fn ip() -> Kind {
    let attributes = vec![
        in_app("move an address to another app"),
        attribute(
            "type",
            one_of(&["v4", "v6", "shared_v4", "private_v6"]),
            Given::Required,
            "what kind of address; a `v4` costs money",
        )
        .replaces("turn one kind of address into another"),
        computed("address", Type::TEXT, "the address"),
    ];
    Kind {
        identity: names(&["app", "type"]),
        id: "address".into(),
        // An app may get two addresses of one type: as for volumes.
        recovery: Recovery::Tagged { settle: SETTLE },
        updatable: false,
        ..kind("fly.ip", "An address of an app, one of each type.", attributes)
    }
}

fn certificate() -> Kind {
    let text = |name| (name, Type::TEXT, Need::Absent);
    let dns = object(
        "fly.certificate.dns",
        vec![
            ("a", Type::list(Type::TEXT), default(empty_list())),
            ("aaaa", Type::list(Type::TEXT), default(empty_list())),
            text("cname"),
            text("challenge_name"),
            text("challenge_target"),
            text("ownership_name"),
            text("ownership_value"),
        ],
    );
    let attributes = vec![
        in_app("move a certificate to another app"),
        attribute("hostname", Type::TEXT, Given::Required, "the host that it is for; `*.example.com` for all below")
            .replaces("change the host of a certificate"),
        computed("dns", dns, "the records that prove that the host is ours and lead it here"),
        attribute(
            "status",
            Type::TEXT,
            Given::Live,
            "`active` once it is issued, `pending_validation` or `pending_ownership` before",
        ),
    ];
    Kind {
        identity: names(&["app", "hostname"]),
        id: "hostname".into(),
        updatable: false,
        ..kind(
            "fly.certificate",
            "A certificate that the platform gets and renews; it is issued some time after its records exist.",
            attributes,
        )
    }
}
