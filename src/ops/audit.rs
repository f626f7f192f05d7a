//! Questions to the log of one environment.

use super::project::Failure;
use super::settings::Settings;
use super::stored::{self, Stored};
use crate::audit::{self, Trust};
pub use crate::audit::{Blame, Changed, FieldDiff, Finding, OutputDiff, Past, Revealed, RevisionDetail, Verification};
use crate::model::{Address, Code, Diagnostic};
pub use crate::state::JudgedPolicy;

/// Revisions, newest first: all, or those that touched an address that fits the glob.
pub async fn history(stored: &Stored, glob: Option<&str>) -> Result<Vec<Past>, Box<Diagnostic>> {
    let addresses: Vec<Address> = match glob {
        None => Vec::new(),
        Some(glob) => {
            let all = audit::addresses(&stored.state).await?;
            let fitting: Vec<Address> = all.into_iter().filter(|address| super::matches(glob, address)).collect();
            if fitting.is_empty() {
                return Err(Box::new(Code::UnknownName.error(format!("nothing in the log fits `{glob}`"))));
            }
            fitting
        }
    };
    let mut past = audit::history(&stored.state, &addresses).await?;
    past.reverse();
    Ok(past)
}

pub async fn revision(stored: &Stored, number: u64) -> Result<RevisionDetail, Box<Diagnostic>> {
    audit::show(&stored.state, number).await
}

/// What differs between two revisions, written `A..B`; 0 is the empty state.
///
/// Errors: [`Code::Usage`].
pub async fn diff(stored: &Stored, range: &str) -> Result<(u64, u64, Vec<Changed>, Vec<OutputDiff>), Box<Diagnostic>> {
    let wrong = || {
        Box::new(
            Code::Usage
                .error(format!("`{range}` is no pair of revisions"))
                .help("write it as `3..5`; `stackwright history` numbers them"),
        )
    };
    let (from, to) = range.split_once("..").ok_or_else(wrong)?;
    let (from, to) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
    let (changed, outputs) = audit::diff(&stored.state, from, to).await?;
    Ok((from, to, changed, outputs))
}

pub async fn blame(stored: &Stored, address: &str) -> Result<Vec<Blame>, Box<Diagnostic>> {
    let found = stored::find(&stored.state, address)?;
    let exact =
        found.iter().find(|record| record.address.as_str() == address).or_else(|| found.first().filter(|_| found.len() == 1));
    match exact {
        Some(record) => audit::blame(&stored.state, &record.address).await,
        None => {
            let names = found.iter().take(6).map(|it| format!("`{}`", it.address)).collect::<Vec<_>>().join(", ");
            Err(Box::new(Code::Usage.error(format!("`{address}` holds several resources")).help(format!("name one: {names}"))))
        }
    }
}

/// Verifies the log of an environment, which may be too damaged to be opened.
pub async fn verify(settings: &Settings, named: Option<&str>) -> Result<(String, Verification), Failure> {
    let stored = stored::unread(settings, named)?;
    let verification = audit::verify_log(&stored.state, &Trust::default()).await;
    Ok((stored.environment, verification))
}
