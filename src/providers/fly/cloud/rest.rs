//! Secrets, addresses and certificates.

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::apps::App;
use super::{Answer, Context, FlyCloud, Good, ok, problem};
use crate::model::Digest;

#[derive(Serialize, Deserialize, Clone)]
pub struct Secret {
    value: String,
    digest: String,
    #[serde(with = "super::moment")]
    created_at: Timestamp,
    #[serde(with = "super::moment")]
    updated_at: Timestamp,
}

#[derive(Serialize, Deserialize, Clone)]
pub struct Address {
    pub ip: String,
    region: String,
    shared: bool,
    #[serde(with = "super::moment")]
    created_at: Timestamp,
}

#[derive(Serialize, Deserialize, Clone)]
pub struct Certificate {
    #[serde(with = "super::moment")]
    created_at: Timestamp,
}

impl Secret {
    fn json(&self, name: &str, shown: bool) -> Json {
        let mut json = json!({
            "name": name,
            "digest": self.digest,
            "created_at": self.created_at.to_string(),
            "updated_at": self.updated_at.to_string(),
        });
        if shown {
            json["value"] = self.value.as_str().into();
        }
        json
    }
}

impl FlyCloud {
    pub(super) fn secrets(&mut self, method: &str, app: &str, rest: &[&str], context: &mut Context<'_>) -> Answer {
        let secrets = &self.app(app)?.secrets;
        let shown = context.asks("show_secrets");
        match (method, rest) {
            ("GET", []) => {
                let all: Vec<Json> = secrets.iter().map(|(name, secret)| secret.json(name, shown)).collect();
                ok(json!({ "secrets": all }))
            }
            ("POST", []) => {
                let values = context.body.get("values").and_then(Json::as_object).cloned();
                let values = values.ok_or_else(|| problem(400, "values is required"))?;
                values.iter().for_each(|(name, value)| self.set_secret(app, name, value.as_str(), context));
                let app = self.app_mut(app)?;
                app.secrets_version += 1;
                let version = app.secrets_version;
                let set = app.secrets.iter().filter(|(name, _)| values.contains_key(*name));
                let body = json!({
                    "version": version,
                    "Version": version,
                    "secrets": set.map(|(name, secret)| secret.json(name, false)).collect::<Vec<_>>(),
                });
                self.changed();
                ok(body)
            }
            ("GET", [name]) => match secrets.get(*name) {
                Some(secret) => ok(secret.json(name, shown)),
                None => Err(problem(404, format!("secret not found: {name}"))),
            },
            ("POST", [name]) => {
                let value = context.body.get("value").and_then(Json::as_str).map(str::to_owned);
                let value = value.ok_or_else(|| problem(400, "value is required"))?;
                if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                    return Err(problem(400, "invalid name, only letters, numbers and underscores"));
                }
                self.set_secret(app, name, Some(&value), context);
                let app = self.app_mut(app)?;
                app.secrets_version += 1;
                let version = app.secrets_version;
                let mut body = app.secrets[*name].json(name, false);
                body["version"] = version.into();
                body["Version"] = version.into();
                self.changed();
                Ok(Good(StatusCode::CREATED, Some(body)))
            }
            ("DELETE", [name]) => {
                if !secrets.contains_key(*name) {
                    return Err(problem(404, format!("secret not found: {name}")));
                }
                self.set_secret(app, name, None, context);
                let app = self.app_mut(app)?;
                app.secrets_version += 1;
                let version = app.secrets_version;
                self.changed();
                ok(json!({ "version": version, "Version": version }))
            }
            _ => Err(problem(404, "no such operation")),
        }
    }

    fn set_secret(&mut self, app: &str, name: &str, value: Option<&str>, context: &mut Context<'_>) {
        let Some(app) = self.state.apps.get_mut(app) else { return };
        let id = format!("{}/{name}", app.name);
        let Some(value) = value else {
            if app.secrets.remove(name).is_some() {
                context.tell("delete", "fly.secret", id);
            }
            return;
        };
        let digest = Digest::of(format!("{}/{name}/{value}", app.id).as_bytes()).to_string()[..16].to_owned();
        let old = app.secrets.get(name).map(|secret| secret.created_at);
        let created_at = old.unwrap_or(context.now);
        let secret = Secret { value: value.to_owned(), digest, created_at, updated_at: context.now };
        app.secrets.insert(name.to_owned(), secret);
        context.tell(if old.is_some() { "update" } else { "create" }, "fly.secret", id);
    }

    pub(super) fn addresses(&mut self, method: &str, app: &str, rest: &[&str], context: &mut Context<'_>) -> Answer {
        match (method, rest) {
            ("GET", []) => ok(json!({ "ips": self.app(app)?.addresses.iter().map(address_json).collect::<Vec<_>>() })),
            ("POST", []) => {
                let kind = context.text("type").unwrap_or("v6").to_owned();
                let number = self.state.made + 1;
                let bits = self.app(app)?.network_bits();
                let ip = match kind.as_str() {
                    "v4" => format!("198.51.{}.{}", 100 + number / 250 % 100, 1 + number % 250),
                    "shared_v4" => format!("203.0.113.{}", 1 + number % 250),
                    "v6" => format!("2001:db8:1::{:x}:{:x}", number >> 16, number & 0xffff),
                    "private_v6" => format!("fdaa:0:{bits:x}:0:1::{:x}", number & 0xffff),
                    other => return Err(problem(422, format!("invalid type: {other}"))),
                };
                if kind == "shared_v4" && self.app(app)?.addresses.iter().any(|address| address.shared) {
                    return Err(problem(422, "app already has a shared v4 address"));
                }
                self.new_id("address");
                let region = context.text("region").unwrap_or("global").to_owned();
                let address = Address { ip: ip.clone(), region, shared: kind == "shared_v4", created_at: context.now };
                let body = address_json(&address);
                self.app_mut(app)?.addresses.push(address);
                self.changed();
                context.tell("create", "fly.ip", ip);
                ok(body)
            }
            ("DELETE", [ip]) => {
                let addresses = &mut self.app_mut(app)?.addresses;
                let at = addresses.iter().position(|address| address.ip == *ip);
                addresses.remove(at.ok_or_else(|| problem(404, format!("ip address not found: {ip}")))?);
                self.changed();
                context.tell("delete", "fly.ip", *ip);
                Ok(Good(StatusCode::NO_CONTENT, None))
            }
            _ => Err(problem(404, "no such operation")),
        }
    }

    pub(super) fn certificates(&mut self, method: &str, app: &str, rest: &[&str], context: &mut Context<'_>) -> Answer {
        let now = context.now;
        let holder = self.app(app)?;
        match (method, rest) {
            ("GET", []) => list_certificates(holder, context),
            ("POST", ["acme"]) => {
                let host = context.text("hostname").unwrap_or("").to_owned();
                let bare = host.strip_prefix("*.").unwrap_or(&host);
                if !bare.contains('.') || bare.split('.').any(|label| label.is_empty()) || bare.len() > 253 {
                    return Err(problem(422, "invalid hostname"));
                }
                if self.state.apps.values().any(|app| app.certificates.contains_key(&host)) {
                    return Err(problem(422, "hostname already exists"));
                }
                let app = self.app_mut(app)?;
                app.certificates.insert(host.clone(), Certificate { created_at: now });
                let body = certificate_json(app, &host, now);
                self.changed();
                context.tell("create", "fly.certificate", host);
                Ok(Good(StatusCode::CREATED, Some(body)))
            }
            (_, [host, ..]) if !holder.certificates.contains_key(*host) => {
                Err(problem(404, format!("certificate not found: {host}")))
            }
            ("GET", [host]) | ("POST", [host, "check"]) => ok(certificate_json(holder, host, now)),
            ("DELETE", [host]) => {
                self.app_mut(app)?.certificates.remove(*host);
                self.changed();
                context.tell("delete", "fly.certificate", *host);
                Ok(Good(StatusCode::NO_CONTENT, None))
            }
            _ => Err(problem(404, "no such operation")),
        }
    }
}

fn address_json(address: &Address) -> Json {
    json!({
        "ip": address.ip,
        "region": address.region,
        "service_name": "",
        "shared": address.shared,
        "created_at": address.created_at.to_string(),
    })
}

/// Pages of hosts in their order; the cursor is the last host of the page before.
fn list_certificates(app: &App, context: &Context<'_>) -> Answer {
    let limit = context.query.get("limit").and_then(|limit| limit.parse::<usize>().ok()).unwrap_or(25).clamp(1, 500);
    let after = context.query.get("cursor").filter(|cursor| !cursor.is_empty());
    let wanted = |host: &&String| {
        let filter = context.query.get("filter").is_none_or(|filter| host.contains(filter.as_str()));
        filter && after.is_none_or(|after| *host > after)
    };
    let hosts: Vec<&String> = app.certificates.keys().filter(wanted).collect();
    let page: Vec<Json> = hosts.iter().take(limit).map(|host| summary_json(app, host, context.now)).collect();
    let mut body = json!({ "certificates": page, "total_count": app.certificates.len() });
    if hosts.len() > limit {
        body["next_cursor"] = hosts[limit - 1].as_str().into();
    }
    ok(body)
}

/// Issued as soon as the clock has moved: nobody makes DNS records for a simulated cloud to find.
fn status(certificate: &Certificate, now: Timestamp) -> (&'static str, bool) {
    if now > certificate.created_at { ("active", true) } else { ("pending_validation", false) }
}

fn summary_json(app: &App, host: &str, now: Timestamp) -> Json {
    let certificate = &app.certificates[host];
    let (status, issued) = status(certificate, now);
    json!({
        "hostname": host,
        "status": status,
        "configured": issued,
        "acme_requested": true,
        "acme_dns_configured": issued,
        "acme_alpn_configured": issued,
        "acme_http_configured": issued,
        "ownership_txt_configured": issued,
        "has_custom_certificate": false,
        "has_fly_certificate": issued,
        "dns_provider": "",
        "created_at": certificate.created_at.to_string(),
        "updated_at": certificate.created_at.to_string(),
    })
}

fn certificate_json(app: &App, host: &str, now: Timestamp) -> Json {
    let (status, issued) = status(&app.certificates[host], now);
    let bare = host.strip_prefix("*.").unwrap_or(host);
    let mark = &Digest::of(format!("{}/{host}", app.id).as_bytes()).to_string()[..8];
    let of_kind = |v4: bool| {
        let public = app.addresses.iter().filter(|address| !address.ip.starts_with("fdaa:"));
        public.filter(|address| address.ip.contains('.') == v4).map(|address| address.ip.clone()).collect::<Vec<_>>()
    };
    json!({
        "hostname": host,
        "status": status,
        "configured": issued,
        "acme_requested": true,
        "dns_provider": "",
        "certificates": [{ "source": "fly", "status": status, "issuer": "Let's Encrypt", "created_at": app.certificates[host].created_at.to_string() }],
        "dns_requirements": {
            "a": of_kind(true),
            "aaaa": of_kind(false),
            "cname": format!("{mark}.{}.fly.dev", app.name),
            "acme_challenge": { "name": format!("_acme-challenge.{bare}"), "target": format!("{bare}.{mark}.flydns.net") },
            "ownership": {
                "name": format!("_fly-ownership.{bare}"),
                "app_value": format!("app-{mark}"),
                "org_value": format!("org-{mark}"),
            },
        },
        "validation": {
            "dns_configured": issued,
            "alpn_configured": issued,
            "http_configured": issued,
            "ownership_txt_configured": issued,
        },
        "validation_errors": [],
    })
}
