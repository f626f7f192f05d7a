//! `fly.secret`. Setting one is an upsert: what is set is what was given, however often it is sent.

use async_trait::async_trait;
use http::Method;
use serde_json::Value as Json;

use super::{Resource, Scope, in_app};
use crate::model::Name;
use crate::model::value::{Fields, Value};
use crate::providers::contract::{Call, CallError, Found};
use crate::providers::http::wire::{Body, get_int, get_list, get_text, need, segment};

pub struct Secret;

#[async_trait]
impl Resource for Secret {
    /// The platform tells digests, never values.
    async fn list(&self, scope: &mut Scope<'_>, group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        let reply = scope.session.get(&in_app(group, "/secrets")?).await?;
        if reply.is_gone() {
            return Ok(None);
        }
        let (body, app) = (reply.fine()?, need(group, "app")?);
        Ok(Some(get_list(&body, "secrets").iter().filter_map(|secret| attributes(secret, app)).collect()))
    }

    async fn read(&self, scope: &mut Scope<'_>, known: &Fields) -> Result<Option<Fields>, CallError> {
        let reply = scope.session.get(&path(known)?).await?;
        if reply.is_gone() {
            return Ok(None);
        }
        Ok(attributes(&reply.fine()?, need(known, "app")?))
    }

    async fn create(&self, scope: &mut Scope<'_>, _call: &Call, inputs: &Fields) -> Result<Fields, CallError> {
        let body = Body::default().with("value", need(inputs, "value")?).done();
        let set = scope.session.send(Method::POST, &path(inputs)?, Some(&body)).await?.fine()?;
        let unusable = || CallError::OutcomeUnknown("fly answered with something that is no secret".into());
        let mut made = attributes(&set, need(inputs, "app")?).ok_or_else(unusable)?;
        let version = get_int(&set, "version").or_else(|| get_int(&set, "Version")).ok_or_else(unusable)?;
        made.insert("version".into(), Value::int(version));
        made.insert("value".into(), inputs["value"].clone().secret());
        Ok(made)
    }

    async fn update(
        &self,
        scope: &mut Scope<'_>,
        call: &Call,
        _before: &Fields,
        inputs: &Fields,
        _changed: &[Name],
    ) -> Result<Fields, CallError> {
        self.create(scope, call, inputs).await
    }

    async fn delete(&self, scope: &mut Scope<'_>, before: &Fields) -> Result<(), CallError> {
        let reply = scope.session.send(Method::DELETE, &path(before)?, None).await?;
        if reply.is_gone() { Ok(()) } else { reply.done() }
    }

    /// Whether it has the value cannot be told for certain, nor which version it got; setting it again does no harm.
    async fn find_created(&self, _scope: &mut Scope<'_>, _call: &Call, _inputs: &Fields) -> Result<Found, CallError> {
        Ok(Found::Absent)
    }

    async fn find_updated(
        &self,
        scope: &mut Scope<'_>,
        _call: &Call,
        before: &Fields,
        _inputs: &Fields,
        _changed: &[Name],
    ) -> Result<Found, CallError> {
        Ok(match self.read(scope, before).await? {
            None => Found::Absent,
            Some(_) => Found::Unchanged,
        })
    }
}

fn path(known: &Fields) -> Result<String, CallError> {
    in_app(known, &format!("/secrets/{}", segment(need(known, "name")?)))
}

fn attributes(secret: &Json, app: &str) -> Option<Fields> {
    Some(Fields::from([
        ("app".into(), Value::text(app)),
        ("name".into(), Value::text(get_text(secret, "name")?)),
        ("digest".into(), Value::text(get_text(secret, "digest")?)),
    ]))
}
