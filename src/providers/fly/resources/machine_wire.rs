//! A machine's attributes and its `config` on the wire, both ways. Reading is forgiving: booleans for `autostop`, durations as texts
//! or nanoseconds, fields that nobody knows; what comes out has the one form of the schema, so that nothing looks like drift.

use base64::Engine as _;
use serde_json::{Map, Value as Json, json};

use crate::model::Name;
use crate::model::units::DURATION_UNITS;
use crate::model::value::{Data, Fields, Value};
use crate::providers::contract::{Call, CallError};
use crate::providers::declare::{fields, mib, seconds};
use crate::providers::http::wire::{
    Body, get_bool, get_int, get_list, get_text, nanos, plain, refuse, text, text_map, text_or_null, texts, whole_size,
};

/// The metadata that names the last operation on a machine.
pub const TOKEN: &str = "stackwright_token";
const ADDRESS: &str = "stackwright_address";
const SECRETS: &str = "stackwright_secrets_version";
const GROUP: &str = "fly_process_group";
const PLATFORM: &str = "fly_platform_version";

/// One of the marks that a machine bears.
pub fn mark_of<'m>(machine: &'m Json, key: &str) -> Option<&'m str> {
    machine.get("config")?.get("metadata")?.get(key)?.as_str()
}

/// The whole config: what the program says, our marks, and of the one that is live whatever is not ours.
pub fn config(inputs: &Fields, live: Option<&Json>, call: &Call, marks: &[(&'static str, String)]) -> Result<Json, CallError> {
    let mut config = Body(live.and_then(Json::as_object).cloned().unwrap_or_default());
    // Deprecated, and contradicts `guest`.
    config.0.remove("size");
    let owned: [(&str, Option<Json>); 12] = [
        ("image", text(inputs, "image").map(Json::from)),
        ("guest", guest(inputs)?),
        ("env", inputs.get("env").and_then(plain)),
        ("files", files(inputs)),
        ("init", inputs.get("init").and_then(init)),
        ("services", services(inputs)),
        ("checks", checks(inputs)),
        ("metrics", inputs.get("metrics").and_then(plain)),
        ("mounts", inputs.get("mounts").and_then(mounts)),
        ("restart", inputs.get("restart").and_then(restart)),
        ("stop_config", inputs.get("stop_config").and_then(stop)),
        ("schedule", text(inputs, "schedule").map(Json::from)),
    ];
    for (name, value) in owned {
        match value {
            Some(value) => drop(config.0.insert(name.into(), value)),
            None => drop(config.0.remove(name)),
        }
    }
    config.0.insert("auto_destroy".into(), inputs.get("auto_destroy").and_then(Value::as_bool).unwrap_or(false).into());
    config.0.insert("metadata".into(), metadata(inputs, live, call, marks)?);
    Ok(config.done())
}

fn metadata(inputs: &Fields, live: Option<&Json>, call: &Call, marks: &[(&'static str, String)]) -> Result<Json, CallError> {
    let mut metadata = Map::new();
    // The platform's own keys stay.
    let kept = live.and_then(|live| live.get("metadata")).and_then(Json::as_object).into_iter().flatten();
    metadata
        .extend(kept.filter(|(key, _)| key.starts_with("fly_") || key.starts_with("fly-")).map(|(k, v)| (k.clone(), v.clone())));
    for (key, value) in inputs.get("metadata").and_then(Value::as_map).into_iter().flatten() {
        if is_reserved(key) {
            return Err(refuse("metadata", format!("`{key}` is reserved: keys do not begin with `fly_` or `stackwright_`")));
        }
        metadata.insert(key.to_string(), value.as_text().unwrap_or("").into());
    }
    match text(inputs, "process_group") {
        Some(group) => {
            metadata.insert(GROUP.into(), group.into());
            metadata.insert(PLATFORM.into(), "v2".into());
        }
        None => {
            metadata.remove(GROUP);
            metadata.remove(PLATFORM);
        }
    }
    if let Some(version) = inputs.get("secrets_version").and_then(Value::as_int) {
        metadata.insert(SECRETS.into(), version.to_string().into());
    }
    metadata.insert(TOKEN.into(), call.token.as_str().into());
    metadata.insert(ADDRESS.into(), call.address.as_str().into());
    metadata.extend(marks.iter().map(|(key, value)| ((*key).to_owned(), value.as_str().into())));
    Ok(Json::Object(metadata))
}

fn is_reserved(key: &str) -> bool {
    ["fly_", "fly-", "stackwright_"].iter().any(|start| key.starts_with(start))
}

fn guest(inputs: &Fields) -> Result<Option<Json>, CallError> {
    let Some(guest) = inputs.get("guest").and_then(Value::as_map) else { return Ok(None) };
    let memory =
        whole_size(guest, "memory", 1 << 20, "MiB").map_err(|_| refuse("guest.memory", "memory is a whole number of MiB"))?;
    Ok(Some(
        Body::default()
            .with_some("cpus", guest.get("cpus").and_then(Value::as_int))
            .with_some("cpu_kind", text(guest, "cpu_kind"))
            .with_some("memory_mb", memory)
            .done(),
    ))
}

fn files(inputs: &Fields) -> Option<Json> {
    let files = inputs.get("files")?.as_map()?;
    let file = |(path, content): (&Name, &Value)| {
        let raw = base64::engine::general_purpose::STANDARD.encode(content.as_text().unwrap_or(""));
        json!({ "guest_path": &**path, "raw_value": raw })
    };
    (!files.is_empty()).then(|| files.iter().map(file).collect())
}

/// Empty lists mean "as the image says", which is written by leaving them out.
fn init(init: &Value) -> Option<Json> {
    let filled = init.as_map()?.iter().filter(|(_, words)| words.as_list().is_some_and(|words| !words.is_empty()));
    Some(Json::Object(filled.filter_map(|(name, words)| Some((name.to_string(), plain(words)?))).collect()))
}

fn services(inputs: &Fields) -> Option<Json> {
    let services = inputs.get("services")?.as_list()?;
    let service = |service: &Value| {
        let service = service.as_map()?;
        let checks = service.get("checks").and_then(Value::as_list).unwrap_or(&[]);
        Some(
            Body::default()
                .with_some("protocol", text(service, "protocol"))
                .with_some("internal_port", service.get("internal_port").and_then(Value::as_int))
                .with_some("ports", service.get("ports").and_then(plain))
                .with_some("autostart", service.get("autostart").and_then(Value::as_bool))
                .with_some("autostop", text(service, "autostop"))
                .with_some("min_machines_running", service.get("min_machines_running").and_then(Value::as_int))
                .with_some("concurrency", service.get("concurrency").filter(|it| !it.is_null()).and_then(plain))
                .with("checks", checks.iter().filter_map(check).collect::<Vec<_>>())
                .done(),
        )
    };
    Some(services.iter().filter_map(service).collect())
}

fn checks(inputs: &Fields) -> Option<Json> {
    let checks = inputs.get("checks")?.as_map()?;
    Some(Json::Object(checks.iter().filter_map(|(name, value)| Some((name.to_string(), check(value)?))).collect()))
}

fn check(value: &Value) -> Option<Json> {
    let fields = value.as_map()?;
    let span = |name: &str| nanos(fields, name).map(span_text);
    Some(
        Body::default()
            .with_some("type", text(fields, "type"))
            .with_some("port", fields.get("port").and_then(Value::as_int))
            .with_some("method", text(fields, "method"))
            .with_some("path", text(fields, "path"))
            .with_some("interval", span("interval"))
            .with_some("timeout", span("timeout"))
            .with_some("grace_period", span("grace_period"))
            .done(),
    )
}

fn mounts(mounts: &Value) -> Option<Json> {
    let mounts = mounts.as_list()?;
    (!mounts.is_empty()).then(|| plain(&Value::list(mounts.to_vec())))?
}

/// Retries mean something for one policy only.
fn restart(value: &Value) -> Option<Json> {
    let fields = value.as_map()?;
    let policy = text(fields, "policy").unwrap_or("on-failure");
    let retries = fields.get("max_retries").and_then(Value::as_int).filter(|_| policy == "on-failure");
    Some(Body::default().with("policy", policy).with_some("max_retries", retries).done())
}

fn stop(value: &Value) -> Option<Json> {
    let fields = value.as_map()?;
    let timeout = nanos(fields, "timeout").map(span_text);
    Some(Body::default().with_some("signal", text(fields, "signal")).with_some("timeout", timeout).done())
}

/// As the platform writes durations: `15s`, `1m30s`, `250ms`.
fn span_text(nanos: i64) -> String {
    // Days and weeks are units of ours.
    let (mut rest, mut out) = (nanos.max(0), String::new());
    for (unit, length) in DURATION_UNITS.iter().filter(|(unit, _)| !matches!(*unit, "d" | "w")) {
        if rest >= *length {
            out.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if out.is_empty() { "0s".into() } else { out }
}

/// A duration as a text (`1m30s`) or in nanoseconds.
fn read_span(json: Option<&Json>) -> Option<Value> {
    let nanos = match json? {
        Json::Number(number) => number.as_i64()?,
        Json::String(text) => parse_span(text)?,
        _ => return None,
    };
    Some(Value::engine(Data::Duration(nanos)))
}

fn parse_span(text: &str) -> Option<i64> {
    let (mut rest, mut total) = (text.trim(), 0i64);
    if rest == "0" {
        return Some(0);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let amount: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = if &rest[..letters] == "µs" { "us" } else { &rest[..letters] };
        let (_, length) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(amount.checked_mul(*length)?)?;
        rest = &rest[letters..];
    }
    Some(total)
}

/// The attributes of a machine; `None` for what is no machine, or one that is gone. A host that does not answer leaves the config
/// out: then only what is certain is told.
pub fn attributes(machine: &Json, app: &str) -> Option<Fields> {
    let id = get_text(machine, "id")?;
    if matches!(get_text(machine, "state"), Some("destroyed" | "destroying" | "replaced" | "migrated" | "launch_failed")) {
        return None;
    }
    let mut told = Fields::from([("id".into(), Value::text(id)), ("app".into(), Value::text(app))]);
    for name in ["name", "region", "instance_id", "private_ip"] {
        if let Some(text) = get_text(machine, name) {
            told.insert(name.into(), Value::text(text));
        }
    }
    if let Some(config) = machine.get("config").filter(|config| config.is_object()) {
        told.extend(config_attributes(config));
    }
    Some(told)
}

fn config_attributes(config: &Json) -> Fields {
    let metadata = text_map(config.get("metadata"));
    let labels: Fields = metadata.iter().filter(|(key, _)| !is_reserved(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    let secrets_version = metadata.get(SECRETS).and_then(Value::as_text).and_then(|text| text.parse().ok());
    let attributes = [
        ("image", text_or_null(config, "image")),
        ("guest", read_guest(config)),
        ("env", secret_map(text_map(config.get("env")))),
        ("files", secret_map(read_files(config))),
        ("init", read_init(config.get("init").unwrap_or(&Json::Null))),
        ("services", Value::list(get_list(config, "services").iter().map(read_service).collect())),
        ("checks", read_checks(config.get("checks"))),
        ("metrics", read_metrics(config.get("metrics"))),
        ("mounts", Value::list(get_list(config, "mounts").iter().filter_map(read_mount).collect())),
        ("metadata", Value::map(labels)),
        ("process_group", metadata.get(GROUP).cloned().unwrap_or_else(Value::null)),
        ("restart", read_restart(config.get("restart").unwrap_or(&Json::Null))),
        ("stop_config", read_stop(config.get("stop_config"))),
        ("schedule", text_or_null(config, "schedule")),
        ("auto_destroy", Value::bool(get_bool(config, "auto_destroy").unwrap_or(false))),
        ("secrets_version", secrets_version.map_or_else(Value::null, Value::int)),
    ];
    attributes.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

/// What comes back may hold what went there: every value is taken for a secret.
fn secret_map(values: Fields) -> Value {
    Value::map(values.into_iter().map(|(name, value)| (name, value.secret())).collect())
}

fn read_guest(config: &Json) -> Value {
    let guest = config.get("guest").unwrap_or(&Json::Null);
    fields(vec![
        ("cpus", Value::int(get_int(guest, "cpus").unwrap_or(1))),
        ("cpu_kind", Value::text(get_text(guest, "cpu_kind").unwrap_or("shared"))),
        ("memory", mib(get_int(guest, "memory_mb").unwrap_or(256))),
    ])
}

fn read_files(config: &Json) -> Fields {
    let file = |file: &Json| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(get_text(file, "raw_value")?).ok()?;
        Some((Name::from(get_text(file, "guest_path")?), Value::text(String::from_utf8(bytes).ok()?)))
    };
    get_list(config, "files").iter().filter_map(file).collect()
}

fn read_init(init: &Json) -> Value {
    fields(["cmd", "entrypoint", "exec"].map(|name| (name, texts(get_list(init, name)))).to_vec())
}

fn read_service(service: &Json) -> Value {
    let port = |port: &Json| {
        fields(vec![
            ("port", Value::int(get_int(port, "port").unwrap_or(0))),
            ("handlers", texts(get_list(port, "handlers"))),
            ("force_https", Value::bool(get_bool(port, "force_https").unwrap_or(false))),
        ])
    };
    let autostop = match service.get("autostop") {
        Some(Json::String(text)) => text,
        Some(Json::Bool(true)) => "stop",
        _ => "off",
    };
    let mut read = vec![
        ("protocol", Value::text(get_text(service, "protocol").unwrap_or("tcp"))),
        ("internal_port", Value::int(get_int(service, "internal_port").unwrap_or(0))),
        ("ports", Value::list(get_list(service, "ports").iter().map(port).collect())),
        ("autostart", Value::bool(get_bool(service, "autostart").unwrap_or(true))),
        ("autostop", Value::text(autostop)),
        ("min_machines_running", Value::int(get_int(service, "min_machines_running").unwrap_or(0))),
        ("checks", Value::list(get_list(service, "checks").iter().map(read_check).collect())),
    ];
    if let Some(limits) = service.get("concurrency").filter(|it| it.is_object()) {
        let mut concurrency = vec![("type", Value::text(get_text(limits, "type").unwrap_or("connections")))];
        let limit = |name| get_int(limits, name).filter(|limit| *limit > 0).map(|limit| (name, Value::int(limit)));
        concurrency.extend(["soft_limit", "hard_limit"].into_iter().filter_map(limit));
        read.push(("concurrency", fields(concurrency)));
    }
    fields(read)
}

fn read_checks(checks: Option<&Json>) -> Value {
    let checks = checks.and_then(Json::as_object).into_iter().flatten();
    Value::map(checks.map(|(name, check)| (Name::from(name.as_str()), read_check(check))).collect())
}

fn read_check(check: &Json) -> Value {
    let span = |name: &str, default: i64| read_span(check.get(name)).unwrap_or_else(|| seconds(default));
    let mut read = vec![
        ("type", Value::text(get_text(check, "type").unwrap_or("tcp"))),
        ("interval", span("interval", 15)),
        ("timeout", span("timeout", 5)),
        ("grace_period", span("grace_period", 10)),
    ];
    read.extend(get_int(check, "port").filter(|port| *port > 0).map(|port| ("port", Value::int(port))));
    let told = |name| get_text(check, name).filter(|text| !text.is_empty()).map(|text| (name, Value::text(text)));
    read.extend(["method", "path"].into_iter().filter_map(told));
    fields(read)
}

fn read_metrics(metrics: Option<&Json>) -> Value {
    let Some(port) = metrics.and_then(|metrics| get_int(metrics, "port")) else { return Value::null() };
    let path = metrics.and_then(|metrics| get_text(metrics, "path")).unwrap_or("/metrics");
    fields(vec![("port", Value::int(port)), ("path", Value::text(path))])
}

fn read_mount(mount: &Json) -> Option<Value> {
    let (volume, path) = (get_text(mount, "volume")?, get_text(mount, "path")?);
    Some(fields(vec![("volume", Value::text(volume)), ("path", Value::text(path))]))
}

fn read_restart(restart: &Json) -> Value {
    let policy = get_text(restart, "policy").unwrap_or("on-failure");
    let retries = get_int(restart, "max_retries").filter(|_| policy == "on-failure").unwrap_or(10);
    fields(vec![("policy", Value::text(policy)), ("max_retries", Value::int(retries))])
}

fn read_stop(stop: Option<&Json>) -> Value {
    let Some(stop) = stop.filter(|stop| stop.as_object().is_some_and(|stop| !stop.is_empty())) else { return Value::null() };
    fields(vec![
        ("signal", Value::text(get_text(stop, "signal").unwrap_or("SIGINT"))),
        ("timeout", read_span(stop.get("timeout")).unwrap_or_else(|| seconds(5))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::declare::empty_list;

    #[test]
    fn durations_are_read_in_every_form_that_the_platform_has() {
        let cases = [
            (json!("15s"), Some(15_000_000_000)),
            (json!("1m30s"), Some(90_000_000_000)),
            (json!("250ms"), Some(250_000_000)),
            (json!(2_000_000_000i64), Some(2_000_000_000)),
            (json!("soon"), None),
            (json!("99999999999999999999s"), None),
            (json!("9999999999h"), None),
            (json!("1é"), None),
            (json!(null), None),
        ];
        for (json, expected) in cases {
            let read = read_span(Some(&json)).map(|value| nanos(&Fields::from([("x".into(), value)]), "x"));
            assert_eq!(read.flatten(), expected, "{json}");
        }
        for nanos in [0, 250_000_000, 90_000_000_000, 86_400_000_000_000] {
            assert_eq!(parse_span(&span_text(nanos)), Some(nanos));
        }
    }

    #[test]
    fn an_old_boolean_and_the_keys_of_the_platform_are_no_drift() {
        let machine = json!({
            "id": "x", "state": "started",
            "config": {
                "image": "i:1", "metadata": { "fly_process_group": "app", "fly_release_id": "7", "stackwright_token": "t", "mine": "1" },
                "services": [{ "internal_port": 80, "autostop": true }, { "internal_port": 81, "autostop": false }],
            },
        });
        let read = attributes(&machine, "shop").expect("it is a machine");
        assert_eq!(read["metadata"].to_literal(), r#"{ mine = "1" }"#);
        let stops: Vec<_> = read["services"]
            .as_list()
            .into_iter()
            .flatten()
            .filter_map(|it| Some(it.as_map()?["autostop"].to_literal()))
            .collect();
        assert_eq!(stops, [r#""stop""#, r#""off""#]);
    }

    #[test]
    fn a_machine_whose_host_does_not_answer_says_nothing_of_its_config() {
        let machine = json!({ "id": "x", "state": "started", "region": "cdg", "host_status": "unreachable", "incomplete_config": { "image": "i" } });
        let read = attributes(&machine, "shop").expect("it is a machine");
        assert!(!read.contains_key("image") && read.contains_key("region"));
        assert!(attributes(&json!({ "id": "x", "state": "destroyed" }), "shop").is_none());
    }

    #[test]
    fn nothing_that_a_platform_may_send_is_taken_for_more_than_it_is() {
        for machine in [
            json!(null),
            json!([]),
            json!("x"),
            json!({ "id": 7 }),
            json!({ "id": "x", "config": { "services": {}, "checks": [], "mounts": [1], "metadata": 3 } }),
        ] {
            let _ = attributes(&machine, "shop");
        }
    }

    #[test]
    fn unused_words_are_left_out() {
        assert_eq!(init(&fields(vec![("cmd", empty_list())])), Some(json!({})));
    }
}
