//! Signals: the first ends cleanly, the second at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::ops::apply::Stop;
use crate::world::World;

/// How long running calls get on a terminal; a runner kills ten seconds after it has asked.
pub fn grace(is_ci: bool) -> Duration {
    if is_ci { Duration::from_secs(4) } else { Duration::from_secs(10) }
}

/// Turns SIGINT, SIGTERM and SIGHUP into stops, and so the end of the time that the command may take, if it has one.
pub fn listen(timeout: Option<Duration>, world: &World) -> watch::Receiver<Stop> {
    let (sender, receiver) = watch::channel(Stop::No);
    let sender = Arc::new(sender);
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let Ok(mut signals) = signal(kind) else { continue };
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                sender.send_modify(|stop| *stop = if *stop == Stop::No { Stop::Finish } else { Stop::Leave });
            }
        });
    }
    if let Some(timeout) = timeout {
        let clock = world.clock.clone();
        tokio::spawn(async move {
            clock.sleep(timeout).await;
            sender.send_modify(|stop| *stop = (*stop).max(Stop::Finish));
        });
    }
    receiver
}
