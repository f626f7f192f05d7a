//! `fly.app`.

use async_trait::async_trait;
use http::Method;
use serde_json::Value as Json;

use super::{Poll, Resource, Scope, done, is_passing};
use crate::model::value::{Fields, Value};
use crate::providers::contract::{Call, CallError, Found};
use crate::providers::http::wire::{Body, get_int, get_list, get_text, need, query, segment, text};

pub struct App;

#[async_trait]
impl Resource for App {
    async fn list(&self, scope: &mut Scope<'_>, group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        let org = text(group, "org").unwrap_or(&scope.home.org).to_owned();
        let body = scope.session.get(&format!("/v1/apps{}", query(&[("org_slug", &org)]))).await?.fine()?;
        Ok(Some(get_list(&body, "apps").iter().filter_map(|app| attributes(app, &org)).collect()))
    }

    async fn read(&self, scope: &mut Scope<'_>, known: &Fields) -> Result<Option<Fields>, CallError> {
        Ok(look(scope, need(known, "name")?).await?.and_then(|app| attributes(&app, &scope.home.org)))
    }

    async fn create(&self, scope: &mut Scope<'_>, _call: &Call, inputs: &Fields) -> Result<Fields, CallError> {
        let name = need(inputs, "name")?;
        let org = text(inputs, "org").unwrap_or(&scope.home.org).to_owned();
        let body = Body::default().with("name", name).with("org_slug", org).with_some("network", text(inputs, "network"));
        scope.session.send(Method::POST, "/v1/apps", Some(&body.done())).await?.done()?;
        visible(scope, name).await
    }

    async fn delete(&self, scope: &mut Scope<'_>, before: &Fields) -> Result<(), CallError> {
        let name = need(before, "name")?;
        let reply = scope.session.send(Method::DELETE, &path(name), None).await?;
        if reply.is_gone() {
            return Ok(());
        }
        reply.done()?;
        // The platform goes on after it has answered; the name is free once the app is gone.
        let mut poll = Poll::new();
        while look(scope, name).await.is_ok_and(|app| app.is_some()) && !scope.session.left().is_zero() {
            poll.pause(scope).await;
        }
        Ok(())
    }

    /// An app bears no mark. One of that name in the organization that nothing is in yet is the one that was made; any other
    /// has a past of its own.
    async fn find_created(&self, scope: &mut Scope<'_>, _call: &Call, inputs: &Fields) -> Result<Found, CallError> {
        let name = need(inputs, "name")?;
        let org = text(inputs, "org").unwrap_or(&scope.home.org).to_owned();
        let Some(app) = look(scope, name).await? else { return Ok(Found::Absent) };
        let is_empty = get_int(&app, "machine_count").unwrap_or(0) == 0 && get_int(&app, "volume_count").unwrap_or(0) == 0;
        match attributes(&app, &org) {
            Some(found) if is_empty && text(&found, "org") == Some(&org) => Ok(done(found)),
            _ => Ok(Found::Candidates(vec![format!("app `{name}`, which holds machines or belongs to another organization")])),
        }
    }
}

fn path(name: &str) -> String {
    format!("/v1/apps/{}", segment(name))
}

async fn look(scope: &mut Scope<'_>, name: &str) -> Result<Option<Json>, CallError> {
    let reply = scope.session.get(&path(name)).await?;
    if reply.is_gone() { Ok(None) } else { reply.fine().map(Some) }
}

/// A new app is not known everywhere at once: for some seconds it is answered 404, or 401 since tokens are checked against it.
async fn visible(scope: &mut Scope<'_>, name: &str) -> Result<Fields, CallError> {
    let mut poll = Poll::new();
    loop {
        let reply = scope.session.get(&path(name)).await;
        match reply {
            Ok(reply) if reply.is_fine() => {
                let app = reply.fine()?;
                let unusable = || CallError::OutcomeUnknown(format!("app `{name}` was made, and fly does not say its name"));
                return attributes(&app, &scope.home.org).ok_or_else(unusable);
            }
            Ok(reply) if !matches!(reply.status, 401 | 404 | 429 | 500..) => return Err(reply.sort()),
            Err(error) if !is_passing(&error) => return Err(error),
            _ if scope.session.left().is_zero() => {
                return Err(CallError::OutcomeUnknown(format!("app `{name}` was made, and fly does not know it yet")));
            }
            _ => poll.pause(scope).await,
        }
    }
}

/// `None` for what is no app. Listings may leave out the organization that they were asked for.
fn attributes(app: &Json, org: &str) -> Option<Fields> {
    let slug = app.get("organization").and_then(|it| get_text(it, "slug")).unwrap_or(org);
    Some(Fields::from([
        ("name".into(), Value::text(get_text(app, "name")?)),
        ("org".into(), Value::text(slug)),
        ("network".into(), Value::text(get_text(app, "network").filter(|it| !it.is_empty()).unwrap_or("default"))),
    ]))
}
