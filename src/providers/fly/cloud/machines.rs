//! Machines: their states, versions, leases and metadata.

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::{Answer, Context, FlyCloud, Good, Problem, is_name, ok, problem, region_of};
use crate::model::Digest;

#[derive(Serialize, Deserialize, Clone)]
pub struct Machine {
    id: String,
    name: String,
    region: String,
    /// The version: another one after every update.
    instance_id: String,
    private_ip: String,
    config: Json,
    #[serde(with = "super::moment")]
    created_at: Timestamp,
    #[serde(with = "super::moment")]
    updated_at: Timestamp,
    phase: Phase,
    cordoned: bool,
    lease: Option<Lease>,
}

/// What it is doing, as far as that does not follow from the clock.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Was told to start at that moment: `created` then, `started` (or `failed`) from then on.
    Launched(#[serde(with = "super::moment")] Timestamp),
    /// Made without being started.
    Created,
    Stopped,
    Suspended,
}

#[derive(Serialize, Deserialize, Clone)]
struct Lease {
    nonce: String,
    expires_at: i64,
    description: String,
}

impl Machine {
    pub fn volume(&self) -> Option<&str> {
        self.config.get("mounts")?.get(0)?.get("volume")?.as_str()
    }

    fn tag(&self) -> &str {
        let image = self.config.get("image").and_then(Json::as_str).unwrap_or("");
        image_parts(image).2
    }

    fn state(&self, now: Timestamp) -> &'static str {
        match self.phase {
            Phase::Launched(since) if now <= since => "created",
            Phase::Launched(_) if self.tag() == "crash" => "failed",
            Phase::Launched(_) => "started",
            Phase::Created => "created",
            Phase::Stopped => "stopped",
            Phase::Suspended => "suspended",
        }
    }

    /// The state that it comes to rest in, however long that takes.
    fn settled(&self) -> &'static str {
        self.state(Timestamp::MAX)
    }

    fn json(&self, now: Timestamp) -> Json {
        let image = self.config.get("image").and_then(Json::as_str).unwrap_or("");
        let (registry, repository, tag) = image_parts(image);
        let mut image_ref = json!({ "registry": registry, "repository": repository });
        match image.split_once('@') {
            Some((_, digest)) => image_ref["digest"] = digest.into(),
            None => {
                image_ref["tag"] = tag.into();
                image_ref["digest"] = format!("sha256:{}", Digest::of(image.as_bytes())).into();
            }
        }
        json!({
            "id": self.id,
            "name": self.name,
            "state": self.state(now),
            "region": self.region,
            "instance_id": self.instance_id,
            "private_ip": self.private_ip,
            "config": self.config,
            "image_ref": image_ref,
            "created_at": self.created_at.to_string(),
            "updated_at": self.updated_at.to_string(),
            "events": self.events(),
            "checks": self.checks(now),
            "host_status": "ok",
            "cordoned": self.cordoned,
        })
    }

    fn events(&self) -> Vec<Json> {
        let event = |kind: &str, at: Timestamp| {
            let id = Digest::of(format!("{}/{kind}/{at}", self.id).as_bytes()).to_string().to_uppercase();
            json!({ "id": format!("01{}", &id[..24]), "type": kind, "status": self.settled(), "source": "user", "timestamp": at.as_millisecond() })
        };
        vec![event("launch", self.created_at), event("update", self.updated_at)]
    }

    fn checks(&self, now: Timestamp) -> Vec<Json> {
        let (status, output) = match (self.state(now), self.tag()) {
            ("started", "unhealthy") => ("critical", "503 Service Unavailable"),
            ("started", _) => ("passing", "200 OK"),
            _ => ("critical", "the check has not run yet"),
        };
        let alone = self.config.get("checks").and_then(Json::as_object).into_iter().flatten().map(|(name, _)| name.clone());
        let services = self.config.get("services").and_then(Json::as_array).into_iter().flatten();
        let of_services = services.enumerate().flat_map(|(at, service)| {
            let checks = service.get("checks").and_then(Json::as_array).into_iter().flatten().enumerate();
            checks.map(move |(number, check)| {
                let kind = check.get("type").and_then(Json::as_str).unwrap_or("tcp");
                format!("servicecheck-{at:02}-{kind}-{number}")
            })
        });
        let names = alone.chain(of_services);
        names
            .map(|name| json!({ "name": name, "status": status, "output": output, "updated_at": self.updated_at.to_string() }))
            .collect()
    }

    /// Refuses who does not hold the lease, while somebody does.
    fn refuse_without_lease(&self, context: &Context<'_>) -> Result<(), Problem> {
        match self.live_lease(context.now) {
            Some(lease) if context.nonce.as_deref() != Some(&lease.nonce) => {
                Err(problem(409, format!("failed to get lease on machine {}: lease currently held", self.id)))
            }
            _ => Ok(()),
        }
    }

    fn live_lease(&self, now: Timestamp) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.expires_at > now.as_second())
    }

    fn metadata(&mut self) -> &mut Map<String, Json> {
        let config = self.config.as_object_mut().expect("a config was checked to be an object");
        let metadata = config.entry("metadata").or_insert_with(|| json!({}));
        if !metadata.is_object() {
            *metadata = json!({});
        }
        metadata.as_object_mut().expect("it was just made one")
    }
}

impl FlyCloud {
    pub(super) fn machines(&mut self, method: &str, app: &str, rest: &[&str], context: &mut Context<'_>) -> Answer {
        self.app(app)?;
        match (method, rest) {
            ("GET", []) => self.list_machines(app, context),
            ("POST", []) => self.create_machine(app, context),
            ("GET", [id, "wait"]) => self.wait(app, id, context),
            (_, [id, action @ ..]) => {
                let machine = self.machine(app, id)?.clone();
                match (method, action) {
                    ("GET", []) => ok(machine.json(context.now)),
                    ("POST", []) => self.update_machine(app, machine, context),
                    ("DELETE", []) => self.delete_machine(app, machine, context),
                    ("GET", ["events"]) => ok(machine.events().into()),
                    (_, ["lease"]) => self.lease(method, app, machine, context),
                    (_, ["metadata", key @ ..]) => self.metadata(method, app, machine, key.first().copied(), context),
                    ("POST", [action]) => self.act(app, machine, action, context),
                    _ => Err(problem(404, "no such operation")),
                }
            }
            _ => Err(problem(404, "no such operation")),
        }
    }

    fn machine(&self, app: &str, id: &str) -> Result<&Machine, Problem> {
        self.app(app)?.machines.get(id).ok_or_else(|| problem(404, format!("machine not found: {id}")))
    }

    fn keep(&mut self, app: &str, machine: Machine) -> Result<(), Problem> {
        self.app_mut(app)?.machines.insert(machine.id.clone(), machine);
        self.changed();
        Ok(())
    }

    fn list_machines(&self, app: &str, context: &Context<'_>) -> Answer {
        let wanted = |machine: &&Machine| {
            let region = context.query.get("region").is_none_or(|region| *region == machine.region);
            let state =
                context.query.get("state").is_none_or(|states| states.split(',').any(|it| it == machine.state(context.now)));
            let mut marks = context.query.iter().filter_map(|(name, value)| Some((name.strip_prefix("metadata.")?, value)));
            let marked = marks.all(|(key, value)| {
                machine.config.get("metadata").and_then(|metadata| metadata.get(key)).and_then(Json::as_str) == Some(value)
            });
            region && state && marked
        };
        let machines = self.app(app)?.machines.values().filter(wanted);
        ok(machines.map(|machine| machine.json(context.now)).collect::<Vec<_>>().into())
    }

    fn create_machine(&mut self, app: &str, context: &mut Context<'_>) -> Answer {
        let config = checked_config(context)?;
        let region = region_of(context)?;
        let version = context.body.get("min_secrets_version").and_then(Json::as_u64).unwrap_or(0);
        self.refuse_future_secrets(app, version)?;
        self.refuse_volume(app, &region, &config, None)?;
        let name = match context.text("name") {
            Some(name) if !is_name(name, 63, "-_") => return Err(problem(422, format!("invalid machine name: {name}"))),
            Some(name) if self.app(app)?.machines.values().any(|other| other.name == name) => {
                return Err(problem(422, format!("machine name already in use: {name}")));
            }
            Some(name) => name.to_owned(),
            None => format!("machine-{}", &self.new_id("name")[..6]),
        };
        let id = self.new_id("machine")[..14].to_owned();
        let bits = Digest::of(id.as_bytes()).0;
        let word = |at: usize| u16::from_be_bytes([bits[at], bits[at + 1]]);
        let private_ip = format!("fdaa:0:{:x}:a7b:{:x}:{:x}:{:x}:2", self.app(app)?.network_bits(), word(0), word(2), word(4));
        let mut machine = Machine {
            id: id.clone(),
            name,
            region,
            instance_id: self.new_version(),
            private_ip,
            config,
            created_at: context.now,
            updated_at: context.now,
            phase: if context.flag("skip_launch") { Phase::Created } else { Phase::Launched(context.now) },
            cordoned: context.flag("skip_service_registration"),
            lease: None,
        };
        let nonce = self.lease_at_once(&mut machine, context);
        self.attach(app, machine.volume().map(str::to_owned), Some(&id))?;
        let mut body = machine.json(context.now);
        if let Some(nonce) = nonce {
            body["nonce"] = nonce.into();
        }
        self.keep(app, machine)?;
        context.tell("create", "fly.machine", id);
        ok(body)
    }

    fn update_machine(&mut self, app: &str, mut machine: Machine, context: &mut Context<'_>) -> Answer {
        machine.refuse_without_lease(context)?;
        if context.text("current_version").is_some_and(|version| version != machine.instance_id) {
            return Err(problem(412, format!("failed_precondition: machine version is {}", machine.instance_id)));
        }
        for (field, present) in [("name", &machine.name), ("region", &machine.region)] {
            if context.text(field).is_some_and(|wanted| wanted != present) {
                return Err(problem(400, format!("{field} of a machine cannot be changed")));
            }
        }
        let config = checked_config(context)?;
        let version = context.body.get("min_secrets_version").and_then(Json::as_u64).unwrap_or(0);
        self.refuse_future_secrets(app, version)?;
        self.refuse_volume(app, &machine.region, &config, Some(&machine.id))?;
        self.attach(app, machine.volume().map(str::to_owned), None)?;
        machine.config = config;
        machine.instance_id = self.new_version();
        machine.updated_at = context.now;
        machine.phase = match machine.phase {
            Phase::Launched(_) if context.flag("skip_launch") => Phase::Stopped,
            kept if context.flag("skip_launch") => kept,
            _ => Phase::Launched(context.now),
        };
        self.attach(app, machine.volume().map(str::to_owned), Some(&machine.id))?;
        let nonce = self.lease_at_once(&mut machine, context);
        let mut body = machine.json(context.now);
        if let Some(nonce) = nonce {
            body["nonce"] = nonce.into();
        }
        let id = machine.id.clone();
        self.keep(app, machine)?;
        context.tell("update", "fly.machine", id);
        ok(body)
    }

    fn delete_machine(&mut self, app: &str, machine: Machine, context: &mut Context<'_>) -> Answer {
        machine.refuse_without_lease(context)?;
        let forced = context.asks("force") || context.asks("kill");
        if machine.state(context.now) == "started" && !forced {
            return Err(problem(412, "failed_precondition: machine must be stopped to be destroyed, or use force"));
        }
        self.attach(app, machine.volume().map(str::to_owned), None)?;
        let app = self.app_mut(app)?;
        app.machines.remove(&machine.id);
        app.destroyed.insert(machine.id.clone());
        self.changed();
        context.tell("delete", "fly.machine", machine.id);
        ok(json!({ "ok": true }))
    }

    /// Answers as the platform would at the end of the wait: there is no sense in waiting for what is certain.
    fn wait(&self, app: &str, id: &str, context: &Context<'_>) -> Answer {
        let wanted = context.query.get("state").map_or("started", String::as_str);
        let version = context.query.get("version").or_else(|| context.query.get("instance_id"));
        let app = self.app(app)?;
        if app.destroyed.contains(id) && wanted.split(',').any(|state| matches!(state, "destroyed" | "settled")) {
            return ok(
                json!({ "ok": true, "state": "destroyed", "version": version.cloned().unwrap_or_default(), "event_id": "" }),
            );
        }
        let machine = self.machine(&app.name, id)?;
        if version.is_some_and(|version| *version != machine.instance_id) {
            return Err(problem(408, "deadline_exceeded: the machine has another version"));
        }
        let state = machine.settled();
        if wanted.split(',').any(|wanted| wanted == state || wanted == "settled") {
            return ok(json!({ "ok": true, "state": state, "version": machine.instance_id, "event_id": "" }));
        }
        match (state, wanted) {
            ("failed", "started") => Err(problem(400, "failed_precondition: machine is in state failed, it will not start")),
            _ => Err(problem(408, format!("deadline_exceeded: machine is in state {state}"))),
        }
    }

    fn act(&mut self, app: &str, mut machine: Machine, action: &str, context: &mut Context<'_>) -> Answer {
        machine.refuse_without_lease(context)?;
        match action {
            "start" if machine.state(context.now) == "started" => return ok(json!({ "ok": true })),
            "start" | "restart" => machine.phase = Phase::Launched(context.now),
            "stop" => machine.phase = Phase::Stopped,
            "suspend" => machine.phase = Phase::Suspended,
            "cordon" => machine.cordoned = true,
            "uncordon" => machine.cordoned = false,
            _ => return ok(json!({ "ok": true })),
        }
        let id = machine.id.clone();
        self.keep(app, machine)?;
        context.tell("update", "fly.machine", id);
        ok(json!({ "ok": true }))
    }

    fn lease(&mut self, method: &str, app: &str, mut machine: Machine, context: &mut Context<'_>) -> Answer {
        match method {
            "GET" => match machine.live_lease(context.now) {
                Some(lease) => ok(lease_json(lease, &machine)),
                None => Err(problem(404, "lease not found")),
            },
            "POST" => {
                machine.refuse_without_lease(context)?;
                let from_query = context.query.get("ttl").and_then(|ttl| ttl.parse().ok());
                let ttl = context.body.get("ttl").and_then(Json::as_i64).or(from_query).unwrap_or(30).clamp(1, 3600);
                let renewed = machine.live_lease(context.now).map(|lease| lease.nonce.clone());
                let nonce = renewed.unwrap_or_else(|| self.new_id("lease")[..12].to_owned());
                let description = context.text("description").unwrap_or("").to_owned();
                machine.lease = Some(Lease { nonce, expires_at: context.now.as_second().saturating_add(ttl), description });
                let body = machine.lease.as_ref().map(|lease| lease_json(lease, &machine));
                self.keep(app, machine)?;
                Ok(Good(StatusCode::CREATED, body))
            }
            _ => {
                machine.refuse_without_lease(context)?;
                machine.lease = None;
                self.keep(app, machine)?;
                ok(json!({ "ok": true }))
            }
        }
    }

    fn lease_at_once(&mut self, machine: &mut Machine, context: &Context<'_>) -> Option<String> {
        let ttl = context.body.get("lease_ttl").and_then(Json::as_i64).filter(|ttl| *ttl > 0)?.min(3600);
        let nonce = self.new_id("lease")[..12].to_owned();
        let expires_at = context.now.as_second().saturating_add(ttl);
        machine.lease = Some(Lease { nonce: nonce.clone(), expires_at, description: String::new() });
        Some(nonce)
    }

    /// Metadata neither restart a machine nor make another version of it.
    fn metadata(
        &mut self,
        method: &str,
        app: &str,
        mut machine: Machine,
        key: Option<&str>,
        context: &mut Context<'_>,
    ) -> Answer {
        let given = context.body.get("metadata").and_then(Json::as_object).cloned();
        match (method, key) {
            ("GET", None) => return ok(Json::Object(machine.metadata().clone())),
            ("GET", Some(key)) => {
                return match machine.metadata().get(key) {
                    Some(value) => ok(json!({ "value": value })),
                    None => Err(problem(404, format!("metadata key not found: {key}"))),
                };
            }
            ("DELETE", Some(key)) => drop(machine.metadata().remove(key)),
            ("POST", Some(key)) => {
                let value = context.text("value").map(Json::from);
                set_metadata(machine.metadata(), key, value);
            }
            (_, None) => {
                if context.text("machine_version").is_some_and(|version| version != machine.instance_id) {
                    return Err(problem(412, "failed_precondition: machine_version does not match"));
                }
                let given = given.ok_or_else(|| problem(400, "metadata is required"))?;
                if method == "PUT" {
                    machine.metadata().clear();
                }
                given.into_iter().for_each(|(key, value)| set_metadata(machine.metadata(), &key, Some(value)));
            }
            _ => return Err(problem(404, "no such operation")),
        }
        let id = machine.id.clone();
        self.keep(app, machine)?;
        context.tell("update", "fly.machine", id);
        Ok(Good(StatusCode::NO_CONTENT, None))
    }

    fn refuse_future_secrets(&self, app: &str, wanted: u64) -> Result<(), Problem> {
        match self.app(app)?.secrets_version {
            present if wanted > present => Err(problem(412, format!("failed_precondition: secrets version is {present}"))),
            _ => Ok(()),
        }
    }

    fn new_version(&mut self) -> String {
        format!("01{}", &self.new_id("version").to_uppercase()[..24])
    }
}

fn lease_json(lease: &Lease, machine: &Machine) -> Json {
    json!({
        "nonce": lease.nonce,
        "expires_at": lease.expires_at,
        "owner": "simulated@example.com",
        "description": lease.description,
        "version": machine.instance_id,
    })
}

/// Null and an empty text remove a key.
fn set_metadata(metadata: &mut Map<String, Json>, key: &str, value: Option<Json>) {
    match value {
        Some(Json::String(text)) if !text.is_empty() => drop(metadata.insert(key.to_owned(), text.into())),
        _ => drop(metadata.remove(key)),
    }
}

/// The config of a create or update, checked as the platform does, with what it fills in.
fn checked_config(context: &Context<'_>) -> Result<Json, Problem> {
    let mut config =
        context.body.get("config").filter(|it| it.is_object()).cloned().ok_or_else(|| problem(400, "config is required"))?;
    if config.get("image").and_then(Json::as_str).is_none_or(str::is_empty) {
        return Err(problem(400, "invalid config.image, is required"));
    }
    if config.get("guest").is_none_or(Json::is_null) {
        config["guest"] = json!({ "cpu_kind": "shared", "cpus": 1, "memory_mb": 256 });
    }
    check_guest(&config["guest"])?;
    let mounts = config.get("mounts").and_then(Json::as_array).map_or(0, Vec::len);
    if mounts > 1 {
        return Err(problem(422, "invalid config.mounts, a machine can have at most one mount"));
    }
    for service in config.get("services").and_then(Json::as_array).into_iter().flatten() {
        let port = service.get("internal_port").and_then(Json::as_i64).unwrap_or(0);
        if !(1..=65535).contains(&port) {
            return Err(problem(422, "invalid config.services.internal_port, must be between 1 and 65535"));
        }
    }
    for map in ["env", "metadata"] {
        let values = config.get(map).and_then(Json::as_object);
        if values.is_some_and(|values| values.values().any(|value| !value.is_string())) {
            return Err(problem(400, format!("invalid config.{map}, values must be strings")));
        }
    }
    Ok(config)
}

fn check_guest(guest: &Json) -> Result<(), Problem> {
    let cpus = guest.get("cpus").and_then(Json::as_i64).unwrap_or(1);
    let memory = guest.get("memory_mb").and_then(Json::as_i64).unwrap_or(256);
    let (least, most) = match guest.get("cpu_kind").and_then(Json::as_str).unwrap_or("shared") {
        "shared" => (256, 2048),
        "performance" => (2048, 8192),
        _ => return Err(problem(422, "invalid config.guest.cpu_kind, must be shared or performance")),
    };
    if !matches!(cpus, 1 | 2 | 4 | 6 | 8 | 10 | 12 | 14 | 16) {
        return Err(problem(422, "invalid config.guest.cpus, must be 1, 2, 4, 6, 8, 10, 12, 14 or 16"));
    }
    if memory % 256 != 0 {
        return Err(problem(422, "invalid config.guest.memory_mb, memory must be a multiple of 256"));
    }
    let least = if least == 2048 { 2048 * cpus } else { 256 * cpus };
    if !(least..=most * cpus).contains(&memory) {
        return Err(problem(422, format!("invalid config.guest.memory_mb, must be between {least} and {}", most * cpus)));
    }
    Ok(())
}

/// Registry, repository and tag of an image.
fn image_parts(image: &str) -> (&str, &str, &str) {
    let image = image.split('@').next().unwrap_or(image);
    let (name, tag) = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    };
    match name.split_once('/') {
        Some((registry, repository)) if registry.contains(['.', ':']) || registry == "localhost" => (registry, repository, tag),
        _ => ("docker-hub-mirror.fly.io", name, tag),
    }
}
