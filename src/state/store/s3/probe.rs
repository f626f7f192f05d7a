//! Whether a store honours conditions. One that ignores them would let two writers overwrite one another, so it is refused, by the
//! name of the condition. Asked once by every process that writes; it makes one small object, once for all, and deletes nothing.

use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore, PutMode, PutOptions, PutPayload, UpdateVersion};

use super::layout::Layout;
use super::trouble::{refused, sorted};
use crate::state::store::patience::Trouble;

const CONTENT: &[u8] = b"stackwright: this object shows that conditions are honoured here\n";
/// No store gives such a tag to what was put there.
const STALE: &str = "\"00000000000000000000000000000000\"";

/// Errors: [`crate::state::contract::StoreError::Refused`] naming what is ignored.
pub async fn conditions(objects: &dyn ObjectStore, layout: &Layout, has_credentials: bool) -> Result<(), Trouble> {
    let sorted = |error: &Error| sorted(error, has_credentials);
    let there = layout.probe();
    let made = match put(objects, &there, PutMode::Create).await {
        Ok(_) => true,
        Err(Error::AlreadyExists { .. }) => false,
        Err(error) => return Err(sorted(&error)),
    };
    let found = objects.get_opts(&there, GetOptions::default()).await;
    let found = match found {
        Ok(found) => found.bytes().await.map_err(|error| sorted(&error))?,
        Err(Error::NotFound { .. }) if !made => return Err(Trouble::Passing("another write is under way".into())),
        Err(Error::NotFound { .. }) => return Err(ignores("what was just written is not there when it is read")),
        Err(error) => return Err(sorted(&error)),
    };
    if found != CONTENT {
        let why = format!("`{there}` is not the object that was put there to see how conditions are honoured");
        return Err(refused(&why, "delete that object, or give the state a `prefix` of its own"));
    }
    let stale = || PutMode::Update(UpdateVersion { e_tag: Some(STALE.into()), version: None });
    let nowhere = layout.probe_missing();
    let (second, changed, missing) =
        tokio::join!(put(objects, &there, PutMode::Create), put(objects, &there, stale()), put(objects, &nowhere, stale()),);
    let asked = [
        (second, "`If-None-Match: *` is ignored: an object that is there is written over"),
        (changed, "`If-Match` is ignored: an object is written over whatever it is by then"),
        (missing, "`If-Match` is ignored where there is no object"),
    ];
    for (answer, ignored) in asked {
        match answer {
            Ok(_) => return Err(ignores(ignored)),
            Err(
                Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. } | Error::NotFound { .. },
            ) => {}
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                return Err(ignores("conditions are not supported"));
            }
            Err(error) => return Err(sorted(&error)),
        }
    }
    Ok(())
}

fn ignores(what: &str) -> Trouble {
    refused(
        &format!("it does not keep what a log needs: {what}"),
        "two writers could overwrite one another there: use a store with conditional writes, or `postgres {}`",
    )
}

async fn put(objects: &dyn ObjectStore, path: &Path, mode: PutMode) -> object_store::Result<object_store::PutResult> {
    objects.put_opts(path, PutPayload::from_static(CONTENT), PutOptions::from(mode)).await
}
