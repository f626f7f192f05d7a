//! `lock`: which runs hold what, and ending the hold of one that is gone.

use super::author::author;
use super::interrupted;
pub use super::interrupted::OpenCall;
use super::settings::Settings;
use super::stored::Stored;
use crate::model::{Code, Diagnostic};
use crate::state::Look;
pub use crate::state::{Holder, Life};

/// The runs that hold something, and the calls that are open.
///
/// Errors: the store cannot be asked.
pub async fn held(stored: &Stored) -> Result<(Vec<Holder>, Vec<OpenCall>), Box<Diagnostic>> {
    let Look { view, holders } = stored.state.look().await?;
    let calls = interrupted::open_calls(&view, &holders);
    Ok((holders, calls))
}

/// Ends the lease of a run without asking it. Gives how many of its calls are without an answer.
///
/// Errors: [`Code::Usage`] where the run holds nothing, or there is no reason.
pub async fn release(settings: &Settings, stored: &mut Stored, run: u64, reason: &str) -> Result<usize, Box<Diagnostic>> {
    let reason = reason.trim();
    if reason.is_empty() {
        let error = Code::Usage.error("`--reason` is empty; nothing was released");
        return Err(Box::new(error.help("say why, for those who read the log: `--reason \"its runner was shut down\"`")));
    }
    stored.state.release(run, &author(settings).who, reason).await?;
    Ok(stored.state.view().open.values().filter(|open| open.run == run).count())
}
