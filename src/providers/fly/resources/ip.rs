//! `fly.ip`.

use async_trait::async_trait;
use http::Method;
use serde_json::Value as Json;

use super::super::schema::SETTLE;
use super::{Resource, Scope, done, in_app};
use crate::model::value::{Fields, Value};
use crate::providers::contract::{Call, CallError, Found};
use crate::providers::http::wire::{Body, get_bool, get_list, get_text, need, refuse, segment, text};

pub struct Ip;

#[async_trait]
impl Resource for Ip {
    async fn list(&self, scope: &mut Scope<'_>, group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        let reply = scope.session.get(&in_app(group, "/ip_assignments")?).await?;
        if reply.is_gone() {
            return Ok(None);
        }
        let (body, app) = (reply.fine()?, need(group, "app")?);
        Ok(Some(get_list(&body, "ips").iter().filter_map(|address| attributes(address, app)).collect()))
    }

    /// There is no operation that reads one.
    async fn read(&self, scope: &mut Scope<'_>, known: &Fields) -> Result<Option<Fields>, CallError> {
        let address = need(known, "address")?;
        let is_it = |it: &Fields| text(it, "address") == Some(address);
        if let Some(found) = self.list(scope, known).await?.unwrap_or_default().into_iter().find(is_it) {
            return Ok(Some(found));
        }
        // The listing may be behind: it counts as gone once it would have been seen.
        let behind = scope.session.shown_within(SETTLE);
        if behind.is_zero() {
            return Ok(None);
        }
        scope.session.pause(behind).await;
        Ok(self.list(scope, known).await?.unwrap_or_default().into_iter().find(is_it))
    }

    /// An address bears no mark, so an app has one of each type: it is looked for before, and what is there after a lost answer
    /// is what was made.
    async fn create(&self, scope: &mut Scope<'_>, _call: &Call, inputs: &Fields) -> Result<Fields, CallError> {
        let kind = need(inputs, "type")?;
        if let Some(other) = of_type(self.list(scope, inputs).await?, kind).first() {
            let address = text(other, "address").unwrap_or("");
            return Err(refuse("type", format!("the app has a {kind} address already, {address}: adopt it")));
        }
        let body = Body::default().with("type", kind).done();
        let made = scope.session.send(Method::POST, &in_app(inputs, "/ip_assignments")?, Some(&body)).await?.fine()?;
        let unusable = || CallError::OutcomeUnknown("fly answered with something that is no address".into());
        attributes(&made, need(inputs, "app")?).ok_or_else(unusable)
    }

    async fn delete(&self, scope: &mut Scope<'_>, before: &Fields) -> Result<(), CallError> {
        let path = in_app(before, &format!("/ip_assignments/{}", segment(need(before, "address")?)))?;
        let reply = scope.session.send(Method::DELETE, &path, None).await?;
        if reply.is_gone() { Ok(()) } else { reply.done() }
    }

    async fn find_created(&self, scope: &mut Scope<'_>, _call: &Call, inputs: &Fields) -> Result<Found, CallError> {
        let mut found = of_type(self.list(scope, inputs).await?, need(inputs, "type")?);
        Ok(match found.len() {
            0 => Found::Absent,
            1 => done(found.remove(0)),
            _ => Found::Candidates(found.iter().filter_map(|it| Some(format!("address {}", text(it, "address")?))).collect()),
        })
    }
}

fn of_type(listed: Option<Vec<Fields>>, kind: &str) -> Vec<Fields> {
    listed.unwrap_or_default().into_iter().filter(|it| text(it, "type") == Some(kind)).collect()
}

/// An item of the listing does not say its type: it follows from the address.
fn attributes(json: &Json, app: &str) -> Option<Fields> {
    let address = get_text(json, "ip")?;
    let kind = match address {
        v4 if v4.contains('.') => match get_bool(json, "shared") {
            Some(true) => "shared_v4",
            _ => "v4",
        },
        private if private.starts_with("fdaa:") => "private_v6",
        _ => "v6",
    };
    Some(Fields::from([
        ("app".into(), Value::text(app)),
        ("type".into(), Value::text(kind)),
        ("address".into(), Value::text(address)),
    ]))
}
