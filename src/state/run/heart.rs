//! A run says that it lives, on stores that cannot tell by themselves.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{HEARTBEAT, Inner};
use crate::model::Code;
use crate::state::log::Body;

/// How soon a heartbeat that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The task that renews the lease; it ends with this, or with [`Heart::stop`].
pub(super) struct Heart(Option<tokio::task::AbortHandle>);

impl Heart {
    /// Begins to beat, where that is needed.
    pub fn of(inner: &Arc<Inner>) -> Heart {
        let beating = || tokio::spawn(beat(Arc::downgrade(inner), inner.shared.world.clock.clone())).abort_handle();
        Heart(inner.expires.then(beating))
    }

    pub fn stop(&self) {
        self.0.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An empty entry whenever none was written for [`HEARTBEAT`], until the run is over or has lost its lease.
async fn beat(run: Weak<Inner>, clock: Arc<dyn crate::world::Clock>) {
    let mut wait = HEARTBEAT;
    loop {
        clock.sleep(wait).await;
        let Some(run) = run.upgrade() else { return };
        let mut ledger = run.ledger.lock().await;
        let silent = run.now().saturating_sub(ledger.renewed);
        wait = match () {
            () if ledger.over => return,
            () if silent < HEARTBEAT => HEARTBEAT - silent,
            () => match run.append_to(&mut ledger, vec![Body::Renew { addresses: Vec::new() }]).await {
                Ok(_) => HEARTBEAT,
                Err(lost) if lost.code == Code::Locked => return,
                Err(_) => AGAIN,
            },
        };
    }
}
