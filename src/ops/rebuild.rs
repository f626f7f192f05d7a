//! `state rebuild`: the derived view thrown away and made again from the log.

use super::project::Failure;
use super::settings::Settings;
use super::stored;

pub struct Rebuilt {
    pub environment: String,
    /// Entries of the log that were read.
    pub entries: u64,
    /// Records that they amount to.
    pub records: usize,
}

/// Errors: those of reading the log; nothing is thrown away then.
pub async fn rebuild(settings: &Settings, environment: Option<&str>) -> Result<Rebuilt, Failure> {
    let mut stored = stored::open(settings, environment).await?;
    stored.state.rebuild().await?;
    let view = stored.state.view();
    let entries = view.head.map_or(0, |head| head.sequence);
    Ok(Rebuilt { environment: stored.environment, entries, records: view.records.len() })
}
