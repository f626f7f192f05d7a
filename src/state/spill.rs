//! Outcomes that the store did not take, kept on this machine for the next run here: each in a file of its own, sealed under the
//! state's key and bound to its operation.
//!
//! Nothing depends on them: the open intents of the log are enough to find out what became of a call. An outcome that is kept says that
//! the call was answered, so that nobody has to wait until it cannot arrive any more before looking; and it has what a platform says
//! only once. What the platform says when it is looked at goes before it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::contract::StoreId;
use super::log::wire::{decode, encode};
use super::log::{Body, OperationId, Outcome};
use super::view::View;
use super::{BLOB_STORE, Shared};
use crate::model::wire::{Reading, Wire};

/// Files of one state at most, and the bytes of each.
const FILES_MAX: usize = 1000;
const BYTES_MAX: usize = 4 << 20;

impl Shared {
    fn spills(&self, store: StoreId) -> Option<PathBuf> {
        Some(self.spill.get()?.join(store.to_string()))
    }

    /// Keeps the outcomes among these. Gives the directory where there is one; that it cannot be written is no further trouble.
    pub(super) fn keep_outcomes(&self, view: &View, bodies: &[Body]) -> Option<PathBuf> {
        let store = view.store_id()?;
        let dir = self.spills(store)?;
        let mut kept = fs::read_dir(&dir).map_or(0, Iterator::count);
        let before = kept;
        for body in bodies {
            let Body::Outcome(outcome) = body else { continue };
            let bytes = encode(body, view, &self.vault(store)).ok().filter(|bytes| bytes.len() <= BYTES_MAX);
            let sealed = bytes.and_then(|bytes| self.vault(BLOB_STORE).seal_blob(&label(store, outcome.operation), &bytes).ok());
            if kept < FILES_MAX && sealed.is_some_and(|sealed| write(&dir, outcome.operation, &sealed).is_ok()) {
                kept += 1;
            }
        }
        (kept > before).then_some(dir)
    }

    /// What came of an operation that is open in this view, if this machine has kept it.
    pub(super) fn kept_outcome(&self, view: &View, operation: OperationId) -> Option<Outcome> {
        let store = view.store_id()?;
        let path = self.spills(store)?.join(operation.token());
        let sealed = fs::read(path).ok()?;
        let (bytes, _) = self.vault(BLOB_STORE).open_blob(&label(store, operation), &sealed).ok()??;
        let vault = self.vault(store);
        match decode("outcome", &bytes, view, &mut Reading::new(Wire::sealed(&vault))) {
            Ok(Body::Outcome(outcome)) if outcome.operation == operation => Some(*outcome),
            _ => None,
        }
    }

    /// What is recorded is kept no longer, nor what nobody asks for any more.
    pub(super) fn forget_outcomes(&self, view: &View) {
        let Some(dir) = view.store_id().and_then(|store| self.spills(store)) else { return };
        let Ok(files) = fs::read_dir(&dir) else { return };
        for file in files.flatten() {
            let is_open = view.open.keys().any(|operation| file.file_name().to_str() == Some(&operation.token()));
            if !is_open {
                let _ = fs::remove_file(file.path());
            }
        }
        // Only when it is empty.
        let _ = fs::remove_dir(&dir);
    }
}

/// So that no file can be taken for another.
fn label(store: StoreId, operation: OperationId) -> String {
    format!("outcome/{store}/{}", operation.token())
}

fn write(dir: &PathBuf, operation: OperationId, bytes: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    let (path, half) = (dir.join(operation.token()), dir.join(format!("{}.half", operation.token())));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(half, path)
}
