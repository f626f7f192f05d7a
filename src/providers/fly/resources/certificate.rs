//! `fly.certificate`. It exists as soon as it is asked for; that it is issued is nobody's to wait for here, since the DNS records
//! that it needs are made from what it answers.

use async_trait::async_trait;
use http::Method;
use serde_json::{Value as Json, json};

use super::{Resource, Scope, done, in_app};
use crate::model::value::{Fields, Value};
use crate::providers::contract::{Call, CallError, Found};
use crate::providers::declare::fields;
use crate::providers::http::PAGES_MAX;
use crate::providers::http::wire::{get_list, get_text, need, query, segment, text_or_null, texts};

pub struct Certificate;

#[async_trait]
impl Resource for Certificate {
    /// Pages of summaries, which do not tell the DNS records.
    async fn list(&self, scope: &mut Scope<'_>, group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        let app = need(group, "app")?;
        let (mut all, mut cursor) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let mut asked = vec![("limit", "500")];
            if !cursor.is_empty() {
                asked.push(("cursor", &cursor));
            }
            let reply = scope.session.get(&in_app(group, &format!("/certificates{}", query(&asked)))?).await?;
            if reply.is_gone() {
                return Ok(None);
            }
            let body = reply.fine()?;
            all.extend(get_list(&body, "certificates").iter().filter_map(|it| summary(it, app)));
            match get_text(&body, "next_cursor") {
                Some(next) if !next.is_empty() && next != cursor => cursor = next.to_owned(),
                _ => return Ok(Some(all)),
            }
        }
        Err(CallError::OutcomeUnknown(format!("the listing of certificates has more than {PAGES_MAX} pages")))
    }

    async fn read(&self, scope: &mut Scope<'_>, known: &Fields) -> Result<Option<Fields>, CallError> {
        let reply = scope.session.get(&path(known)?).await?;
        if reply.is_gone() {
            return Ok(None);
        }
        Ok(attributes(&reply.fine()?, need(known, "app")?))
    }

    async fn create(&self, scope: &mut Scope<'_>, _call: &Call, inputs: &Fields) -> Result<Fields, CallError> {
        let body = json!({ "hostname": need(inputs, "hostname")? });
        let made = scope.session.send(Method::POST, &in_app(inputs, "/certificates/acme")?, Some(&body)).await?.fine()?;
        let unusable = || CallError::OutcomeUnknown("fly answered with something that is no certificate".into());
        attributes(&made, need(inputs, "app")?).ok_or_else(unusable)
    }

    async fn delete(&self, scope: &mut Scope<'_>, before: &Fields) -> Result<(), CallError> {
        let reply = scope.session.send(Method::DELETE, &path(before)?, None).await?;
        if reply.is_gone() { Ok(()) } else { reply.done() }
    }

    /// A second create of one host is refused, so that the one that is there is the one that was made.
    async fn find_created(&self, scope: &mut Scope<'_>, _call: &Call, inputs: &Fields) -> Result<Found, CallError> {
        Ok(self.read(scope, inputs).await?.map_or(Found::Absent, done))
    }
}

fn path(known: &Fields) -> Result<String, CallError> {
    in_app(known, &format!("/certificates/{}", segment(need(known, "hostname")?)))
}

fn summary(json: &Json, app: &str) -> Option<Fields> {
    Some(Fields::from([
        ("app".into(), Value::text(app)),
        ("hostname".into(), Value::text(get_text(json, "hostname")?)),
        ("status".into(), text_or_null(json, "status")),
    ]))
}

fn attributes(json: &Json, app: &str) -> Option<Fields> {
    let needs = json.get("dns_requirements").unwrap_or(&Json::Null);
    let (challenge, ownership) = (needs.get("acme_challenge"), needs.get("ownership"));
    let of = |group: Option<&Json>, name: &str| group.map_or_else(Value::null, |group| text_or_null(group, name));
    let optional = [
        ("cname", text_or_null(needs, "cname")),
        ("challenge_name", of(challenge, "name")),
        ("challenge_target", of(challenge, "target")),
        ("ownership_name", of(ownership, "name")),
        ("ownership_value", of(ownership, "app_value")),
    ];
    let mut dns = vec![("a", texts(get_list(needs, "a"))), ("aaaa", texts(get_list(needs, "aaaa")))];
    dns.extend(optional.into_iter().filter(|(_, value)| !value.is_null()));
    let mut all = summary(json, app)?;
    all.insert("dns".into(), fields(dns));
    Some(all)
}
