//! Lines that come from below while a command works, such as that a store does not answer. While something is drawn and drawn again,
//! they go to whoever draws.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

#[derive(Clone, Default)]
pub struct Notices {
    to: Arc<Mutex<Option<mpsc::UnboundedSender<String>>>>,
}

impl Notices {
    fn lock(&self) -> MutexGuard<'_, Option<mpsc::UnboundedSender<String>>> {
        self.to.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a line to whoever draws; the line where nobody does.
    pub fn give(&self, line: String) -> Option<String> {
        match &*self.lock() {
            Some(to) => to.send(line).err().map(|unsent| unsent.0),
            None => Some(line),
        }
    }

    /// From now on lines come here, until the answer is dropped.
    pub fn take(&self) -> mpsc::UnboundedReceiver<String> {
        let (to, lines) = mpsc::unbounded_channel();
        *self.lock() = Some(to);
        lines
    }
}
