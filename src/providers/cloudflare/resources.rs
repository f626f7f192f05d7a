//! `data cloudflare.zone` and `cloudflare.record`.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value as Json;
use tokio::sync::Mutex;

use super::client::{Home, codes, result};
use crate::model::value::{Fields, Value};
use crate::model::{Code, Name};
use crate::providers::contract::{Answer, CallError, Found};
use crate::providers::declare::seconds;
use crate::providers::http::wire::{
    Body, get_bool, get_int, get_list, get_text, need, query, refuse, segment, text, text_or_null, texts, whole_span,
};
use crate::providers::http::{PAGES_MAX, Session};

/// How many records a page of a listing holds.
const PAGE: usize = 1000;

/// A zone by its name, or that of the provider's block.
pub async fn read_zone(session: &mut Session<'_>, home: &Home, known: &Fields) -> Result<Option<Fields>, CallError> {
    let name = text(known, "name").or(home.zone.as_deref());
    let words = "there is no name: give one here, or `zone` in the block `provider cloudflare`";
    let name = name.ok_or_else(|| refuse("name", words))?.to_ascii_lowercase();
    let mut asked = vec![("name", name.as_str()), ("per_page", "50")];
    if let Some(account) = &home.account {
        let is_id = account.len() == 32 && account.bytes().all(|byte| byte.is_ascii_hexdigit());
        asked.push((if is_id { "account.id" } else { "account.name" }, account));
    }
    let zones = result(session.get(&format!("/zones{}", query(&asked))).await?)?;
    let zone = zones.as_array().into_iter().flatten().find(|zone| get_text(zone, "name") == Some(&name));
    Ok(zone.and_then(|zone| {
        Some(Fields::from([
            ("name".into(), Value::text(&*name)),
            ("id".into(), Value::text(get_text(zone, "id")?)),
            ("name_servers".into(), texts(get_list(zone, "name_servers"))),
            ("status".into(), text_or_null(zone, "status")),
        ]))
    }))
}

pub async fn list_records(session: &mut Session<'_>, group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
    list_where(session, need(group, "zone_id")?, &[]).await
}

/// All records of a zone that fit, page by page; `None` if there is no such zone.
async fn list_where(session: &mut Session<'_>, zone: &str, filter: &[(&str, &str)]) -> Result<Option<Vec<Fields>>, CallError> {
    let (mut all, per_page) = (Vec::new(), PAGE.to_string());
    for page in 1..=PAGES_MAX {
        let page = page.to_string();
        let mut asked = vec![("page", page.as_str()), ("per_page", per_page.as_str())];
        asked.extend_from_slice(filter);
        let reply = session.get(&format!("{}{}", records(zone), query(&asked))).await?;
        if reply.is_gone() {
            return Ok(None);
        }
        let found = result(reply)?;
        let found = found.as_array().map_or(&[][..], Vec::as_slice);
        all.extend(found.iter().filter_map(|record| attributes(record, zone)));
        if found.len() < PAGE {
            return Ok(Some(all));
        }
    }
    Err(CallError::OutcomeUnknown(format!("the listing of records has more than {PAGES_MAX} pages")))
}

pub async fn read_record(session: &mut Session<'_>, known: &Fields) -> Result<Option<Fields>, CallError> {
    let reply = session.get(&record_path(known)?).await?;
    if reply.is_gone() {
        return Ok(None);
    }
    Ok(attributes(&result(reply)?, need(known, "zone_id")?))
}

pub async fn create_record(session: &mut Session<'_>, zones: &Zones, inputs: &Fields) -> Result<Fields, CallError> {
    let zone = need(inputs, "zone_id")?;
    let body = body(session, zones, inputs, false).await?;
    let reply = session.send(Method::POST, &records(zone), Some(&body)).await?;
    if codes(&reply).iter().any(|code| matches!(code, 81057 | 81058)) {
        let words = "the zone has this very record already: adopt it, or leave it to whoever made it";
        let request = reply.request;
        let (status, code) = (Some(reply.status), Code::Refused);
        return Err(CallError::Refused { status, field: Some("name".into()), words: words.into(), request, code });
    }
    whole(&result(reply)?, zone)
}

pub async fn update_record(
    session: &mut Session<'_>,
    zones: &Zones,
    before: &Fields,
    inputs: &Fields,
) -> Result<Fields, CallError> {
    let body = body(session, zones, inputs, true).await?;
    let reply = session.send(Method::PATCH, &record_path(before)?, Some(&body)).await?;
    whole(&result(reply)?, need(before, "zone_id")?)
}

pub async fn delete_record(session: &mut Session<'_>, before: &Fields) -> Result<(), CallError> {
    let reply = session.send(Method::DELETE, &record_path(before)?, None).await?;
    if reply.is_gone() { Ok(()) } else { reply.done() }
}

/// Two identical records cannot exist, so that the one that is there is the one that was made.
pub async fn find_record(session: &mut Session<'_>, zones: &Zones, inputs: &Fields) -> Result<Found, CallError> {
    let zone = need(inputs, "zone_id")?;
    let name = full_name(session, zones, zone, need(inputs, "name")?).await?;
    let wanted = [("type", need(inputs, "type")?), ("name", name.as_str())];
    let listed = list_where(session, zone, &wanted).await?.unwrap_or_default();
    let content = canonical(wanted[0].1, need(inputs, "content")?);
    let found = listed.into_iter().find(|record| text(record, "content") == Some(&content));
    Ok(found.map_or(Found::Absent, |attributes| Found::Done(Answer { attributes, ..Answer::default() })))
}

/// Done if everything that was to change is as it should be.
pub async fn find_updated(
    session: &mut Session<'_>,
    zones: &Zones,
    before: &Fields,
    inputs: &Fields,
    changed: &[Name],
) -> Result<Found, CallError> {
    let Some(live) = read_record(session, before).await? else { return Ok(Found::Absent) };
    let mut wanted = inputs.clone();
    let name = full_name(session, zones, need(before, "zone_id")?, need(inputs, "name")?).await?;
    wanted.insert("name".into(), Value::text(name));
    wanted.insert("content".into(), Value::text(canonical(need(inputs, "type")?, need(inputs, "content")?)));
    let present = |fields: &Fields, name: &Name| fields.get(name).filter(|value| !value.is_null()).cloned();
    Ok(match changed.iter().all(|name| present(&live, name) == present(&wanted, name)) {
        true => Found::Done(Answer { attributes: live, ..Answer::default() }),
        false => Found::Unchanged,
    })
}

/// Names of zones by id, looked up once.
pub type Zones = Mutex<BTreeMap<String, String>>;

fn records(zone: &str) -> String {
    format!("/zones/{}/dns_records", segment(zone))
}

fn record_path(known: &Fields) -> Result<String, CallError> {
    Ok(format!("{}/{}", records(need(known, "zone_id")?), segment(need(known, "id")?)))
}

/// The platform takes `www` and `@`, and answers with full names: full names are sent, so that nobody has to guess.
async fn full_name(session: &mut Session<'_>, zones: &Zones, zone: &str, name: &str) -> Result<String, CallError> {
    let known = zones.lock().await.get(zone).cloned();
    let of_zone = match known {
        Some(known) => known,
        None => {
            let reply = session.get(&format!("/zones/{}", segment(zone))).await?;
            let found = result(reply)?;
            let name = get_text(&found, "name").ok_or_else(|| refuse("zone_id", "the zone has no name"))?.to_owned();
            zones.lock().await.insert(zone.to_owned(), name.clone());
            name
        }
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    Ok(match name.as_str() {
        "@" | "" => of_zone,
        full if full == of_zone || full.ends_with(&format!(".{of_zone}")) => name,
        short => format!("{short}.{of_zone}"),
    })
}

async fn body(session: &mut Session<'_>, zones: &Zones, inputs: &Fields, update: bool) -> Result<Json, CallError> {
    let kind = need(inputs, "type")?;
    let ttl = whole_span(inputs, "ttl", 1, "seconds")?;
    if ttl.is_some_and(|ttl| !(30..=86_400).contains(&ttl)) {
        return Err(refuse("ttl", "`ttl` lies between 60s (30s in an enterprise zone) and 1d; leave it out for automatic"));
    }
    let priority = inputs.get("priority").and_then(Value::as_int);
    if kind == "MX" && priority.is_none() {
        return Err(refuse("priority", "an `MX` record has a `priority`"));
    }
    let proxied = inputs.get("proxied").and_then(Value::as_bool).unwrap_or(false);
    let can_be_proxied = matches!(kind, "A" | "AAAA" | "CNAME");
    if proxied && !can_be_proxied {
        return Err(refuse("proxied", format!("an `{kind}` record cannot be proxied")));
    }
    let name = full_name(session, zones, need(inputs, "zone_id")?, need(inputs, "name")?).await?;
    // An update sends an empty comment to take one away.
    let comment = text(inputs, "comment").or(update.then_some(""));
    Ok(Body::default()
        .with("type", kind)
        .with("name", name)
        .with("content", need(inputs, "content")?)
        .with("ttl", ttl.unwrap_or(1))
        .with_some("proxied", can_be_proxied.then_some(proxied))
        .with_some("priority", priority)
        .with_some("comment", comment)
        .done())
}

fn whole(record: &Json, zone: &str) -> Result<Fields, CallError> {
    let unusable = || CallError::OutcomeUnknown("cloudflare answered with something that is no record".into());
    attributes(record, zone).ok_or_else(unusable)
}

/// `None` for what is no record.
fn attributes(record: &Json, zone: &str) -> Option<Fields> {
    let kind = get_text(record, "type")?;
    let ttl = get_int(record, "ttl").filter(|ttl| *ttl > 1).map_or_else(Value::null, seconds);
    let priority = get_int(record, "priority").map_or_else(Value::null, Value::int);
    let comment = get_text(record, "comment").filter(|text| !text.is_empty()).map_or_else(Value::null, Value::text);
    Some(Fields::from([
        ("id".into(), Value::text(get_text(record, "id")?)),
        ("zone_id".into(), Value::text(zone)),
        ("name".into(), Value::text(get_text(record, "name")?)),
        ("type".into(), Value::text(kind)),
        ("content".into(), Value::text(canonical(kind, get_text(record, "content")?))),
        ("ttl".into(), ttl),
        ("proxied".into(), Value::bool(get_bool(record, "proxied").unwrap_or(false))),
        ("priority".into(), priority),
        ("comment".into(), comment),
    ]))
}

/// Host names in lower case without the dot at the end, addresses in their shortest form, texts without the quotes around them.
fn canonical(kind: &str, content: &str) -> String {
    let address = content.parse::<std::net::IpAddr>().map(|address| address.to_string());
    match kind {
        "TXT" => match content.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) if !inner.contains('"') => inner.to_owned(),
            _ => content.to_owned(),
        },
        "A" | "AAAA" => address.unwrap_or_else(|_| content.to_owned()),
        _ => content.trim_end_matches('.').to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn contents_have_one_form() {
        let cases = [
            ("TXT", "\"v=spf1 -all\"", "v=spf1 -all"),
            ("TXT", "\"a\" \"b\"", "\"a\" \"b\""),
            ("AAAA", "2001:DB8:0:0::1", "2001:db8::1"),
            ("CNAME", "Shop.Fly.Dev.", "shop.fly.dev"),
            ("A", "nonsense", "nonsense"),
        ];
        for (kind, content, expected) in cases {
            assert_eq!(canonical(kind, content), expected);
        }
        let none = attributes(&json!({ "type": "A", "id": 3 }), "z");
        assert!(none.is_none());
    }
}
