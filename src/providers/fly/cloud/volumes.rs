//! Volumes and their snapshots.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Answer, Context, FlyCloud, Good, Problem, is_name, ok, problem, region_of};

#[derive(Serialize, Deserialize, Clone)]
pub struct Volume {
    id: String,
    name: String,
    region: String,
    size_gb: i64,
    encrypted: bool,
    snapshot_retention: i64,
    auto_backup_enabled: bool,
    attached_to: Option<String>,
    #[serde(with = "super::moment")]
    created_at: Timestamp,
    snapshots: Vec<Snapshot>,
}

#[derive(Serialize, Deserialize, Clone)]
struct Snapshot {
    id: String,
    #[serde(with = "super::moment")]
    created_at: Timestamp,
}

impl Volume {
    fn json(&self) -> Json {
        let blocks = self.size_gb.saturating_mul(1 << 30) / 4096;
        let mut json = json!({
            "id": self.id,
            "name": self.name,
            "state": "created",
            "size_gb": self.size_gb,
            "region": self.region,
            "zone": "a1b2",
            "encrypted": self.encrypted,
            "created_at": self.created_at.to_string(),
            "blocks": blocks,
            "block_size": 4096,
            "blocks_free": blocks,
            "blocks_avail": blocks,
            "bytes_used": 0,
            "bytes_total": blocks * 4096,
            "fstype": "ext4",
            "snapshot_retention": self.snapshot_retention,
            "auto_backup_enabled": self.auto_backup_enabled,
            "host_status": "ok",
            "type": "local",
        });
        if let Some(machine) = &self.attached_to {
            json["attached_machine_id"] = machine.as_str().into();
        }
        json
    }

    fn set_backup(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        if let Some(days) = context.body.get("snapshot_retention").and_then(Json::as_i64) {
            if !(1..=60).contains(&days) {
                return Err(problem(422, "invalid snapshot_retention, must be between 1 and 60"));
            }
            self.snapshot_retention = days;
        }
        if let Some(on) = context.body.get("auto_backup_enabled").and_then(Json::as_bool) {
            self.auto_backup_enabled = on;
        }
        Ok(())
    }
}

impl FlyCloud {
    pub(super) fn volumes(&mut self, method: &str, app: &str, rest: &[&str], context: &mut Context<'_>) -> Answer {
        let volumes = &self.app(app)?.volumes;
        match (method, rest) {
            ("GET", []) => ok(volumes.values().map(Volume::json).collect::<Vec<_>>().into()),
            ("POST", []) => self.create_volume(app, context),
            (_, [id, action @ ..]) => {
                let volume = volumes.get(*id).cloned().ok_or_else(|| problem(404, format!("volume not found: {id}")))?;
                match (method, action) {
                    ("GET", []) => ok(volume.json()),
                    ("PUT", []) => self.update_volume(app, volume, context),
                    ("DELETE", []) => self.delete_volume(app, &volume, context),
                    ("PUT", ["extend"]) => self.extend_volume(app, volume, context),
                    ("POST", ["snapshots"]) => self.snapshot_volume(app, volume, context),
                    ("GET", ["snapshots"]) => ok(snapshots(&volume).into()),
                    _ => Err(problem(404, "no such operation")),
                }
            }
            _ => Err(problem(404, "no such operation")),
        }
    }

    fn create_volume(&mut self, app: &str, context: &mut Context<'_>) -> Answer {
        let name = context.text("name").ok_or_else(|| problem(422, "invalid name, is required"))?.to_owned();
        if !is_name(&name, 30, "_") {
            return Err(problem(422, "invalid name, only lowercase letters, numbers and underscores, at most 30"));
        }
        let size_gb = context.body.get("size_gb").and_then(Json::as_i64).unwrap_or(1);
        if !(1..=500).contains(&size_gb) {
            return Err(problem(422, "invalid size_gb, must be between 1 and 500"));
        }
        let mut volume = Volume {
            id: String::new(),
            name,
            region: region_of(context)?,
            size_gb,
            encrypted: context.body.get("encrypted").and_then(Json::as_bool).unwrap_or(true),
            snapshot_retention: 5,
            auto_backup_enabled: true,
            attached_to: None,
            created_at: context.now,
            snapshots: Vec::new(),
        };
        volume.set_backup(context)?;
        volume.id = format!("vol_{}", &self.new_id("volume")[..16]);
        context.tell("create", "fly.volume", volume.id.clone());
        self.keep_volume(app, volume)
    }

    fn update_volume(&mut self, app: &str, mut volume: Volume, context: &mut Context<'_>) -> Answer {
        volume.set_backup(context)?;
        context.tell("update", "fly.volume", volume.id.clone());
        self.keep_volume(app, volume)
    }

    fn extend_volume(&mut self, app: &str, mut volume: Volume, context: &mut Context<'_>) -> Answer {
        let size_gb = context.body.get("size_gb").and_then(Json::as_i64).unwrap_or(0);
        if size_gb <= volume.size_gb || size_gb > 500 {
            return Err(problem(400, format!("invalid size_gb, must be more than {} and at most 500", volume.size_gb)));
        }
        volume.size_gb = size_gb;
        context.tell("update", "fly.volume", volume.id.clone());
        let Good(status, body) = self.keep_volume(app, volume)?;
        Ok(Good(status, Some(json!({ "needs_restart": false, "volume": body }))))
    }

    fn delete_volume(&mut self, app: &str, volume: &Volume, context: &mut Context<'_>) -> Answer {
        if let Some(machine) = &volume.attached_to {
            return Err(problem(412, format!("failed_precondition: volume is currently bound to machine: {machine}")));
        }
        self.app_mut(app)?.volumes.remove(&volume.id);
        self.changed();
        context.tell("delete", "fly.volume", volume.id.clone());
        let mut body = volume.json();
        body["state"] = "pending_destroy".into();
        ok(body)
    }

    fn snapshot_volume(&mut self, app: &str, mut volume: Volume, context: &mut Context<'_>) -> Answer {
        let id = format!("vs_{}", &self.new_id("snapshot")[..16]);
        volume.snapshots.push(Snapshot { id: id.clone(), created_at: context.now });
        context.tell("create", "fly.snapshot", id);
        self.keep_volume(app, volume)?;
        ok(json!({ "msg": "snapshot scheduled" }))
    }

    fn keep_volume(&mut self, app: &str, volume: Volume) -> Answer {
        let body = volume.json();
        self.app_mut(app)?.volumes.insert(volume.id.clone(), volume);
        self.changed();
        ok(body)
    }

    /// Refuses a mount of a volume that is not there, is elsewhere, or belongs to another machine.
    pub(super) fn refuse_volume(&self, app: &str, region: &str, config: &Json, machine: Option<&str>) -> Result<(), Problem> {
        let Some(id) = config.pointer("/mounts/0/volume").and_then(Json::as_str) else { return Ok(()) };
        let volume = self.app(app)?.volumes.get(id).ok_or_else(|| problem(400, format!("volume not found: {id}")))?;
        match &volume.attached_to {
            Some(other) if Some(other.as_str()) != machine => {
                Err(problem(422, format!("invalid config.mounts, volume {id} is attached to machine {other}")))
            }
            _ if volume.region != region => {
                Err(problem(422, format!("invalid config.mounts, volume {id} is in region {}", volume.region)))
            }
            _ => Ok(()),
        }
    }

    /// Binds a volume to a machine, or sets it free.
    pub(super) fn attach(&mut self, app: &str, volume: Option<String>, machine: Option<&str>) -> Result<(), Problem> {
        let app = self.app_mut(app)?;
        if let Some(volume) = volume.and_then(|id| app.volumes.get_mut(&id)) {
            volume.attached_to = machine.map(str::to_owned);
        }
        Ok(())
    }
}

fn snapshots(volume: &Volume) -> Vec<Json> {
    let one = |snapshot: &Snapshot| {
        json!({
            "id": snapshot.id,
            "created_at": snapshot.created_at.to_string(),
            "digest": snapshot.id,
            "retention_days": volume.snapshot_retention,
            "size": 4096,
            "status": "created",
            "volume_size": volume.size_gb.saturating_mul(1 << 30),
        })
    };
    volume.snapshots.iter().map(one).collect()
}
