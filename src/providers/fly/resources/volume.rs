//! `fly.volume`.

use async_trait::async_trait;
use http::Method;
use serde_json::Value as Json;

use super::{Resource, Scope, done, in_app, region, same};
use crate::model::Name;
use crate::model::value::{Data, Fields, Value};
use crate::providers::contract::{Call, CallError, Found};
use crate::providers::declare::gib;
use crate::providers::http::wire::{Body, get_bool, get_int, get_text, need, refuse, segment, text, whole_size, whole_span};

pub struct Volume;

/// States of volumes that are on their way out, which listings still show.
const LEAVING: [&str; 5] = ["scheduling_destroy", "fork_cleanup", "waiting_for_detach", "pending_destroy", "destroying"];
const DAY: i64 = 86_400;

#[async_trait]
impl Resource for Volume {
    async fn list(&self, scope: &mut Scope<'_>, group: &Fields) -> Result<Option<Vec<Fields>>, CallError> {
        let reply = scope.session.get(&in_app(group, "/volumes")?).await?;
        if reply.is_gone() {
            return Ok(None);
        }
        let (body, app) = (reply.fine()?, need(group, "app")?);
        Ok(Some(body.as_array().into_iter().flatten().filter_map(|volume| attributes(volume, app)).collect()))
    }

    async fn read(&self, scope: &mut Scope<'_>, known: &Fields) -> Result<Option<Fields>, CallError> {
        let reply = scope.session.get(&path(known)?).await?;
        if reply.is_gone() {
            return Ok(None);
        }
        Ok(attributes(&reply.fine()?, need(known, "app")?))
    }

    /// A volume bears no mark, and the platform allows two of one name. So a name is ours alone: it is looked for before, and
    /// what bears it after a lost answer is what was made.
    async fn create(&self, scope: &mut Scope<'_>, _call: &Call, inputs: &Fields) -> Result<Fields, CallError> {
        let name = need(inputs, "name")?;
        let body = Body::default()
            .with("name", name)
            .with("region", region(scope, inputs)?)
            .with_some("size_gb", whole_size(inputs, "size", 1 << 30, "GiB")?)
            .with_some("encrypted", inputs.get("encrypted").and_then(Value::as_bool))
            .with_some("snapshot_retention", whole_span(inputs, "snapshot_retention", DAY, "days")?)
            .with_some("auto_backup_enabled", inputs.get("auto_backup").and_then(Value::as_bool))
            // By default volumes of one name are kept on different hosts; ours have names of their own.
            .with("require_unique_zone", false);
        if let Some(other) = named(&self.list(scope, inputs).await?.unwrap_or_default(), name).first() {
            let id = text(other, "id").unwrap_or("");
            return Err(refuse(
                "name",
                format!("the app has a volume of that name already, {id}: adopt it, or choose another name"),
            ));
        }
        let made = scope.session.send(Method::POST, &in_app(inputs, "/volumes")?, Some(&body.done())).await?.fine()?;
        whole(&made, inputs)
    }

    async fn update(
        &self,
        scope: &mut Scope<'_>,
        _call: &Call,
        before: &Fields,
        inputs: &Fields,
        changed: &[Name],
    ) -> Result<Fields, CallError> {
        let path = path(before)?;
        let is_changed = |name: &str| changed.iter().any(|it| &**it == name);
        if is_changed("size") {
            let size = whole_size(inputs, "size", 1 << 30, "GiB")?;
            // An earlier attempt may have come half-way: the platform refuses to extend what is as large already.
            let live = scope.session.get(&path).await?.fine()?;
            if get_int(&live, "size_gb") < size {
                let body = Body::default().with_some("size_gb", size).done();
                scope.session.send(Method::PUT, &format!("{path}/extend"), Some(&body)).await?.done()?;
            }
        }
        if is_changed("snapshot_retention") || is_changed("auto_backup") {
            let body = Body::default()
                .with_some("snapshot_retention", whole_span(inputs, "snapshot_retention", DAY, "days")?)
                .with_some("auto_backup_enabled", inputs.get("auto_backup").and_then(Value::as_bool));
            scope.session.send(Method::PUT, &path, Some(&body.done())).await?.done()?;
        }
        // What was answered says less than what is there now.
        let live = scope.session.get(&path).await?.fine()?;
        let live = whole(&live, inputs)?;
        match changed.iter().all(|name| same(live.get(name), inputs.get(name))) {
            true => Ok(live),
            false => Err(CallError::OutcomeUnknown("fly says that the volume was changed, and shows it as it was".into())),
        }
    }

    async fn delete(&self, scope: &mut Scope<'_>, before: &Fields) -> Result<(), CallError> {
        let reply = scope.session.send(Method::DELETE, &path(before)?, None).await?;
        if reply.is_gone() { Ok(()) } else { reply.done() }
    }

    async fn find_created(&self, scope: &mut Scope<'_>, _call: &Call, inputs: &Fields) -> Result<Found, CallError> {
        let listed = self.list(scope, inputs).await?.unwrap_or_default();
        let wanted = region(scope, inputs)?;
        Ok(match named(&listed, need(inputs, "name")?).as_slice() {
            [] => Found::Absent,
            [one] if same(one.get("size"), inputs.get("size")) && text(one, "region") == Some(&wanted) => done((*one).clone()),
            others => {
                let words =
                    |it: &&Fields| format!("volume {} in {}", text(it, "id").unwrap_or(""), text(it, "region").unwrap_or(""));
                Found::Candidates(others.iter().map(words).collect())
            }
        })
    }
}

fn path(known: &Fields) -> Result<String, CallError> {
    in_app(known, &format!("/volumes/{}", segment(need(known, "id")?)))
}

fn named<'f>(all: &'f [Fields], name: &str) -> Vec<&'f Fields> {
    all.iter().filter(|volume| text(volume, "name") == Some(name)).collect()
}

fn whole(volume: &Json, inputs: &Fields) -> Result<Fields, CallError> {
    let unusable = || CallError::OutcomeUnknown("fly answered with something that is no volume".into());
    attributes(volume, need(inputs, "app")?).ok_or_else(unusable)
}

/// `None` for what is no volume, or one that is on its way out.
fn attributes(volume: &Json, app: &str) -> Option<Fields> {
    if get_text(volume, "state").is_some_and(|state| LEAVING.contains(&state) || state == "destroyed") {
        return None;
    }
    let days = get_int(volume, "snapshot_retention");
    let retention = days.map(|days| Value::engine(Data::Duration(days.saturating_mul(DAY * 1_000_000_000))));
    let told = [
        ("id", Some(Value::text(get_text(volume, "id")?))),
        ("app", Some(Value::text(app))),
        ("name", Some(Value::text(get_text(volume, "name")?))),
        ("region", get_text(volume, "region").map(Value::text)),
        ("size", get_int(volume, "size_gb").map(gib)),
        ("encrypted", get_bool(volume, "encrypted").map(Value::bool)),
        ("snapshot_retention", retention),
        ("auto_backup", get_bool(volume, "auto_backup_enabled").map(Value::bool)),
    ];
    Some(told.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect())
}
