//! The simulated Cloudflare: zones and DNS records as a function over a state that can be written down.
//!
//! Paths, the envelope, paging and error codes are those of the official description. The account holds every zone that is asked
//! for by name: the real one would hold the zones that people have registered, and here nobody can.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::model::Digest;
use crate::providers::contract::{Cloud, Effect};
use crate::providers::http::wire::{get_int, get_text};

/// A simulated Cloudflare.
#[derive(Default)]
pub struct CloudflareCloud {
    state: State,
}

#[derive(Serialize, Deserialize, Default)]
struct State {
    version: u64,
    /// How many ids were made.
    made: u64,
    zones: BTreeMap<String, Zone>,
}

#[derive(Serialize, Deserialize)]
struct Zone {
    name: String,
    account: String,
    created: String,
    records: BTreeMap<String, Record>,
}

#[derive(Serialize, Deserialize, Clone)]
struct Record {
    /// In the order in which they were made.
    number: u64,
    kind: String,
    name: String,
    content: String,
    ttl: i64,
    proxied: bool,
    priority: Option<i64>,
    comment: String,
    created: String,
    modified: String,
}

/// An answer that is none: status, code, words.
struct Problem(u16, i64, String);

/// A good answer: `result`, and `result_info` for a page.
struct Good(Json, Option<Json>);

fn problem(status: u16, code: i64, words: impl Into<String>) -> Problem {
    Problem(status, code, words.into())
}

impl Cloud for CloudflareCloud {
    fn respond(&mut self, request: &Request<Bytes>, now: Timestamp, effects: &mut Vec<Effect>) -> Response<Bytes> {
        let (status, body) = match self.answer(request, now, effects) {
            Ok(Good(result, info)) => {
                let mut body = json!({ "success": true, "errors": [], "messages": [], "result": result });
                if let Some(info) = info {
                    body["result_info"] = info;
                }
                (200, body)
            }
            Err(Problem(status, code, words)) => {
                let errors = [json!({ "code": code, "message": words })];
                (status, json!({ "success": false, "errors": errors, "messages": [], "result": null }))
            }
        };
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = StatusCode::from_u16(status).expect("the statuses of this file are statuses");
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        let ray = Digest::of(format!("{now} {} {}", request.method(), request.uri()).as_bytes()).to_string();
        response
            .headers_mut()
            .insert("cf-ray", HeaderValue::from_str(&format!("{}-CDG", &ray[..16])).expect("hexadecimal digits"));
        response
    }

    fn save(&self) -> Json {
        serde_json::to_value(&self.state).expect("a state is JSON")
    }

    fn version(&self) -> u64 {
        self.state.version
    }

    fn load(&mut self, state: Json) -> Result<(), String> {
        self.state = serde_json::from_value(state).map_err(|error| error.to_string())?;
        Ok(())
    }
}

impl CloudflareCloud {
    fn answer(&mut self, request: &Request<Bytes>, now: Timestamp, effects: &mut Vec<Effect>) -> Result<Good, Problem> {
        let path: Vec<&str> = request.uri().path().split('/').skip(1).collect();
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes()).into_owned().collect();
        let header = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("");
        if header.strip_prefix("Bearer ").is_none_or(|token| token.trim().is_empty()) {
            return Err(problem(401, 10000, "Authentication error"));
        }
        let body = || -> Result<Json, Problem> {
            serde_json::from_slice(request.body()).map_err(|_| problem(400, 9207, "Request body is invalid."))
        };
        match (request.method().as_str(), path.as_slice()) {
            ("GET", ["user", "tokens", "verify"]) => {
                Ok(Good(json!({ "id": "0000000000000000000000000000cafe", "status": "active" }), None))
            }
            ("GET", ["zones"]) => self.list_zones(&query, now),
            ("GET", ["zones", id]) => Ok(Good(zone_json(id, self.zone(id)?), None)),
            ("GET", ["zones", zone, "dns_records"]) => list_records(self.zone(zone)?, &query),
            ("POST", ["zones", zone, "dns_records"]) => self.create_record(zone, &body()?, now, effects),
            (method, ["zones", zone, "dns_records", id]) => {
                let holder = self.zone(zone)?;
                let record = holder.records.get(*id).cloned().ok_or_else(|| problem(404, 81044, "Record does not exist."))?;
                match method {
                    "GET" => Ok(Good(record_json(zone, holder, id, &record), None)),
                    "PUT" | "PATCH" => self.update_record(zone, id, record, &body()?, now, effects),
                    "DELETE" => {
                        self.zone_mut(zone)?.records.remove(*id);
                        self.state.version += 1;
                        effects.push(Effect { effect: "delete", kind: "cloudflare.record", id: (*id).to_owned() });
                        Ok(Good(json!({ "id": id }), None))
                    }
                    _ => Err(problem(405, 10405, "Method not allowed")),
                }
            }
            _ => Err(problem(
                404,
                7003,
                format!("Could not route to {}, perhaps your object identifier is invalid?", request.uri().path()),
            )),
        }
    }

    fn zone(&self, id: &str) -> Result<&Zone, Problem> {
        self.state.zones.get(id).ok_or_else(|| problem(404, 1001, "Invalid zone identifier"))
    }

    fn zone_mut(&mut self, id: &str) -> Result<&mut Zone, Problem> {
        self.state.zones.get_mut(id).ok_or_else(|| problem(404, 1001, "Invalid zone identifier"))
    }

    fn list_zones(&mut self, query: &BTreeMap<String, String>, now: Timestamp) -> Result<Good, Problem> {
        let account = query.get("account.name").or_else(|| query.get("account.id")).map_or("simulated", String::as_str);
        if let Some(name) = query.get("name").filter(|name| is_domain(name)) {
            let id = Digest::of(format!("cloudflare/zone/{name}").as_bytes()).to_string()[..32].to_owned();
            if let std::collections::btree_map::Entry::Vacant(e) = self.state.zones.entry(id) {
                let zone =
                    Zone { name: name.clone(), account: account.into(), created: now.to_string(), records: BTreeMap::new() };
                e.insert(zone);
                self.state.version += 1;
            }
        }
        let fits = |(_, zone): &(&String, &Zone)| query.get("name").is_none_or(|name| *name == zone.name);
        page(self.state.zones.iter().filter(fits).map(|(id, zone)| zone_json(id, zone)).collect(), query, 20, 50)
    }

    fn create_record(&mut self, zone: &str, body: &Json, now: Timestamp, effects: &mut Vec<Effect>) -> Result<Good, Problem> {
        let holder = self.zone(zone)?;
        let now = now.to_string();
        let empty = Record {
            number: self.state.made + 1,
            kind: String::new(),
            name: String::new(),
            content: String::new(),
            ttl: 1,
            proxied: false,
            priority: None,
            comment: String::new(),
            created: now.clone(),
            modified: now,
        };
        let record = changed(empty, body, holder)?;
        refuse_clash(holder, &record, None)?;
        self.state.made += 1;
        let id = Digest::of(format!("cloudflare/record/{}", self.state.made).as_bytes()).to_string()[..32].to_owned();
        effects.push(Effect { effect: "create", kind: "cloudflare.record", id: id.clone() });
        self.keep(zone, id, record)
    }

    fn update_record(
        &mut self,
        zone: &str,
        id: &str,
        record: Record,
        body: &Json,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<Good, Problem> {
        let holder = self.zone(zone)?;
        let mut record = changed(record, body, holder)?;
        refuse_clash(holder, &record, Some(id))?;
        record.modified = now.to_string();
        effects.push(Effect { effect: "update", kind: "cloudflare.record", id: id.to_owned() });
        self.keep(zone, id.to_owned(), record)
    }

    fn keep(&mut self, zone: &str, id: String, record: Record) -> Result<Good, Problem> {
        self.state.version += 1;
        let holder = self.zone_mut(zone)?;
        holder.records.insert(id.clone(), record.clone());
        Ok(Good(record_json(zone, holder, &id, &record), None))
    }
}

/// A record with what a body says, checked.
fn changed(mut record: Record, body: &Json, zone: &Zone) -> Result<Record, Problem> {
    if let Some(kind) = get_text(body, "type") {
        record.kind = kind.to_owned();
    }
    if let Some(name) = get_text(body, "name") {
        record.name = match name.to_ascii_lowercase().trim_end_matches('.') {
            "@" => zone.name.clone(),
            full if full == zone.name || full.ends_with(&format!(".{}", zone.name)) => full.to_owned(),
            short => format!("{short}.{}", zone.name),
        };
    }
    if let Some(content) = get_text(body, "content") {
        record.content = content.to_owned();
    }
    record.ttl = get_int(body, "ttl").unwrap_or(record.ttl);
    record.proxied = body.get("proxied").and_then(Json::as_bool).unwrap_or(record.proxied);
    record.priority = get_int(body, "priority").or(record.priority);
    if let Some(comment) = get_text(body, "comment") {
        record.comment = comment.to_owned();
    }
    check(&mut record)?;
    Ok(record)
}

fn check(record: &mut Record) -> Result<(), Problem> {
    if record.name.is_empty() || record.name.len() > 255 {
        return Err(problem(400, 9000, "DNS name is invalid."));
    }
    let content_is_valid = match record.kind.as_str() {
        "A" => record.content.parse::<std::net::Ipv4Addr>().is_ok(),
        "AAAA" => record.content.parse::<std::net::Ipv6Addr>().is_ok(),
        "CNAME" | "MX" | "NS" | "PTR" => record.content.contains('.') && !record.content.contains([' ', '/']),
        "TXT" => !record.content.is_empty() && record.content.len() <= 2048,
        _ => return Err(problem(400, 9020, "Invalid DNS record type")),
    };
    if !content_is_valid {
        return Err(problem(400, 9005, format!("Content for {} record is invalid.", record.kind)));
    }
    if record.kind == "CNAME" && record.content.trim_end_matches('.').eq_ignore_ascii_case(&record.name) {
        return Err(problem(400, 9021, "Content for CNAME record may not be the record's name."));
    }
    if record.kind == "MX" && record.priority.is_none() {
        return Err(problem(400, 9100, "Priority is required for MX records."));
    }
    if record.ttl != 1 && !(60..=86_400).contains(&record.ttl) {
        return Err(problem(400, 9045, "TTL must be between 60 and 86400 seconds, or 1 for Automatic."));
    }
    if record.proxied && !is_proxiable(&record.kind) {
        return Err(problem(400, 9004, "This record type cannot be proxied."));
    }
    if record.comment.chars().count() > 100 {
        return Err(problem(400, 9217, "Comment may not be longer than 100 characters."));
    }
    if record.proxied {
        record.ttl = 1;
    }
    if !matches!(record.kind.as_str(), "TXT") {
        record.content = record.content.trim_end_matches('.').to_ascii_lowercase();
    }
    Ok(())
}

fn is_proxiable(kind: &str) -> bool {
    matches!(kind, "A" | "AAAA" | "CNAME")
}

/// A name has one CNAME and nothing beside it, and no record twice.
fn refuse_clash(zone: &Zone, record: &Record, id: Option<&str>) -> Result<(), Problem> {
    let others = zone.records.iter().filter(|(other, it)| Some(other.as_str()) != id && it.name == record.name);
    for (_, other) in others {
        let is_cname = |record: &Record| record.kind == "CNAME";
        if other.kind == record.kind && other.content == record.content {
            return Err(problem(400, 81058, "An identical record already exists."));
        }
        if is_cname(record) != is_cname(other) || is_cname(record) {
            return Err(problem(400, 81053, "An A, AAAA, or CNAME record with that host already exists."));
        }
    }
    Ok(())
}

fn list_records(zone: &Zone, query: &BTreeMap<String, String>) -> Result<Good, Problem> {
    let is = |name: &str, value: &str| query.get(name).is_none_or(|wanted| wanted.eq_ignore_ascii_case(value));
    let fits = |record: &Record| {
        is("type", &record.kind) && is("name", &record.name) && is("content", &record.content) && is("comment", &record.comment)
    };
    let mut found: Vec<(&String, &Record)> = zone.records.iter().filter(|(_, record)| fits(record)).collect();
    found.sort_by_key(|(_, record)| record.number);
    let zone_id = Digest::of(format!("cloudflare/zone/{}", zone.name).as_bytes()).to_string()[..32].to_owned();
    page(found.into_iter().map(|(id, record)| record_json(&zone_id, zone, id, record)).collect(), query, 100, 5000)
}

fn page(all: Vec<Json>, query: &BTreeMap<String, String>, default: usize, max: usize) -> Result<Good, Problem> {
    let number = |name: &str| query.get(name).map(|text| text.parse::<usize>()).transpose();
    let invalid = |_| problem(400, 6003, "Invalid request parameters");
    let page = number("page").map_err(invalid)?.unwrap_or(1).max(1);
    let per_page = number("per_page").map_err(invalid)?.unwrap_or(default).clamp(1, max);
    let total = all.len();
    let result: Vec<Json> = all.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page).collect();
    let info = json!({
        "page": page,
        "per_page": per_page,
        "count": result.len(),
        "total_count": total,
    });
    Ok(Good(result.into(), Some(info)))
}

fn zone_json(id: &str, zone: &Zone) -> Json {
    let account = &Digest::of(format!("cloudflare/account/{}", zone.account).as_bytes()).to_string()[..32];
    json!({
        "id": id,
        "name": zone.name,
        "status": "active",
        "development_mode": 0,
        "name_servers": ["bob.ns.cloudflare.com", "lola.ns.cloudflare.com"],
        "original_name_servers": null,
        "original_registrar": null,
        "original_dnshost": null,
        "created_on": zone.created,
        "modified_on": zone.created,
        "activated_on": zone.created,
        "owner": { "id": account, "name": zone.account, "type": "organization" },
        "account": { "id": account, "name": zone.account },
        "meta": { "step": 2, "custom_certificate_quota": 0, "page_rule_quota": 3, "phishing_detected": false },
    })
}

fn record_json(zone_id: &str, zone: &Zone, id: &str, record: &Record) -> Json {
    let mut json = json!({
        "id": id,
        "zone_id": zone_id,
        "zone_name": zone.name,
        "name": record.name,
        "type": record.kind,
        "content": record.content,
        "proxiable": is_proxiable(&record.kind),
        "proxied": record.proxied,
        "ttl": record.ttl,
        "meta": { "auto_added": false, "source": "primary" },
        "tags": [],
        "created_on": record.created,
        "modified_on": record.modified,
    });
    if !record.comment.is_empty() {
        json["comment"] = record.comment.as_str().into();
    }
    if let Some(priority) = record.priority {
        json["priority"] = priority.into();
    }
    json
}

/// As the official description writes it: `^([a-zA-Z0-9][\-a-zA-Z0-9]*\.)+[\-a-zA-Z0-9]{2,20}$`.
fn is_domain(name: &str) -> bool {
    let labels: Vec<&str> = name.split('.').collect();
    let Some((top, rest)) = labels.split_last() else { return false };
    let fits = |label: &str| label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    name.len() <= 253
        && !rest.is_empty()
        && (2..=20).contains(&top.len())
        && fits(top)
        && rest.iter().all(|label| !label.is_empty() && !label.starts_with('-') && fits(label))
}
