//! Apps, which hold everything else.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::machines::Machine;
use super::rest::{Address, Certificate, Secret};
use super::volumes::Volume;
use super::{Answer, Context, FlyCloud, Good, is_name, ok, problem};
use crate::model::Digest;

#[derive(Serialize, Deserialize)]
pub struct App {
    pub id: String,
    pub number: u64,
    pub name: String,
    pub org: String,
    pub network: String,
    pub machines: BTreeMap<String, Machine>,
    /// Ids of machines that are gone.
    pub destroyed: BTreeSet<String>,
    pub volumes: BTreeMap<String, Volume>,
    pub secrets: BTreeMap<String, Secret>,
    pub secrets_version: u64,
    pub addresses: Vec<Address>,
    pub certificates: BTreeMap<String, Certificate>,
}

impl App {
    pub fn json(&self) -> Json {
        let never_ran = self.machines.is_empty() && self.destroyed.is_empty();
        json!({
            "id": self.id,
            "internal_numeric_id": self.number,
            "name": self.name,
            "status": if never_ran { "pending" } else { "deployed" },
            "machine_count": self.machines.len(),
            "volume_count": self.volumes.len(),
            "network": self.network,
            "organization": { "name": self.org, "slug": self.org },
        })
    }

    pub fn show(&self) -> Answer {
        ok(self.json())
    }

    /// Sixteen bits that all addresses in one private network have in common.
    pub fn network_bits(&self) -> u16 {
        let digest = Digest::of(format!("{}/{}", self.org, self.network).as_bytes());
        u16::from_be_bytes([digest.0[0], digest.0[1]])
    }
}

impl FlyCloud {
    pub(super) fn list_apps(&self, context: &Context<'_>) -> Answer {
        let org = context.query.get("org_slug").ok_or_else(|| problem(400, "org_slug is required"))?;
        let apps: Vec<Json> = self.state.apps.values().filter(|app| app.org == *org).map(App::json).collect();
        ok(json!({ "total_apps": apps.len(), "apps": apps }))
    }

    pub(super) fn create_app(&mut self, context: &mut Context<'_>) -> Answer {
        let name = context.text("name").ok_or_else(|| problem(422, "name is required"))?.to_owned();
        let org = context.text("org_slug").ok_or_else(|| problem(422, "org_slug is required"))?.to_owned();
        if !is_name(&name, 63, "-") || name.starts_with('-') || name.ends_with('-') {
            return Err(problem(422, "name may only contain lowercase letters, numbers and dashes"));
        }
        if self.state.apps.contains_key(&name) {
            let mut taken = problem(422, "Validation failed: Name has already been taken");
            taken.code = Some("name_taken");
            return Err(taken);
        }
        let id = self.new_id("app")[..16].to_owned();
        let app = App {
            number: self.state.made,
            id: id.clone(),
            name: name.clone(),
            org,
            network: context.text("network").unwrap_or("default").to_owned(),
            machines: BTreeMap::new(),
            destroyed: BTreeSet::new(),
            volumes: BTreeMap::new(),
            secrets: BTreeMap::new(),
            secrets_version: 0,
            addresses: Vec::new(),
            certificates: BTreeMap::new(),
        };
        self.state.apps.insert(name.clone(), app);
        self.changed();
        context.tell("create", "fly.app", name);
        Ok(Good(StatusCode::CREATED, Some(json!({ "id": id, "created_at": context.now.as_millisecond() }))))
    }

    pub(super) fn delete_app(&mut self, name: &str, context: &mut Context<'_>) -> Answer {
        let app = self.app(name)?;
        if !app.machines.is_empty() && !context.asks("force") {
            return Err(problem(412, format!("failed_precondition: app still has {} machines, use force", app.machines.len())));
        }
        let app = self.state.apps.remove(name).expect("it was just there");
        self.changed();
        app.machines.into_keys().for_each(|id| context.tell("delete", "fly.machine", id));
        app.volumes.into_keys().for_each(|id| context.tell("delete", "fly.volume", id));
        app.secrets.into_keys().for_each(|secret| context.tell("delete", "fly.secret", format!("{name}/{secret}")));
        app.addresses.into_iter().for_each(|address| context.tell("delete", "fly.ip", address.ip));
        app.certificates.into_keys().for_each(|host| context.tell("delete", "fly.certificate", host));
        context.tell("delete", "fly.app", name);
        Ok(Good(StatusCode::ACCEPTED, None))
    }
}
