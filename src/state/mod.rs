//! State: an append-only, hash-chained log of everything that was applied, and the view that it amounts to.
//!
//! [`State`] is one environment's log, opened and folded; reading it takes no lock and writes nothing. [`Run`] is one apply's
//! right to write: it holds a lease on addresses, and appends.

pub mod contract;
pub mod log;
mod run;
pub mod view;

use std::path::Path;
use std::sync::Arc;

pub use contract::{Head, Sequence, Store, StoreError, StoreId};
pub use log::{
    Body, Intent, IntentCall, Lease, OperationId, Outcome, OutcomeResult, RecordWrite, Revision, RunHeader, RunResult, Settled,
    Settlement, Write,
};
pub use run::Run;
pub use view::{ActiveRun, OpenIntent, View};

use crate::model::{Code, Diagnostic};
use crate::world::World;

/// One environment's state, folded.
pub struct State {
    view: Arc<View>,
}

impl State {
    /// Opens the state of `environment` under `root` (`.stackwright/state`), reading only; where nothing was ever applied the
    /// view is empty, and nothing is made on disk.
    ///
    /// Errors: [`Code::NewerState`], [`Code::DamagedState`], [`Code::StateUnavailable`], [`Code::NoKey`].
    pub async fn open(root: &Path, environment: &str, world: &World) -> Result<State, Box<Diagnostic>> {
        let _ = (root, environment, world);
        Err(not_yet())
    }

    /// A state in memory, for tests and simulations.
    pub fn memory(environment: &str, world: &World) -> State {
        let _ = (environment, world);
        State { view: Arc::default() }
    }

    pub fn view(&self) -> &View {
        &self.view
    }

    /// The store's id: what every mark on a platform names. `None` until the first run begins.
    pub fn store_id(&self) -> Option<StoreId> {
        self.view.store_id()
    }

    /// Reads what was appended since.
    pub async fn refresh(&mut self) -> Result<(), Box<Diagnostic>> {
        Err(not_yet())
    }

    /// Begins a run: leases the addresses of `header`, and those of calls that a dead run left open, which [`Run::unsettled`]
    /// gives. The first run of all makes the store.
    ///
    /// Errors: [`Code::Locked`] naming the holder where a living run holds one of them, and those of [`State::open`].
    pub async fn begin(&mut self, header: RunHeader) -> Result<Run, Box<Diagnostic>> {
        let _ = header;
        Err(not_yet())
    }

    /// Encrypts bytes (a plan file) under the state's key, bound to `label` and this environment; the key is made if there is none.
    pub fn seal_blob(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, Box<Diagnostic>> {
        let _ = (label, plain);
        Err(not_yet())
    }

    /// What [`State::seal_blob`] made, if it is unaltered.
    ///
    /// Errors: [`Code::NoKey`]; [`Code::DamagedPlan`] where the bytes are not what this key sealed under this label.
    pub fn open_blob(&self, label: &str, sealed: &[u8]) -> Result<Vec<u8>, Box<Diagnostic>> {
        let _ = (label, sealed);
        Err(not_yet())
    }
}

fn not_yet() -> Box<Diagnostic> {
    Box::new(Code::StateUnavailable.error("this version cannot keep state yet"))
}
