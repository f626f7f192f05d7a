//! Plan files: a whole plan as bytes, and back.
//!
//! The bytes hold secrets in the open: whoever keeps them seals them as a whole (`State::seal_blob`). Reading takes hostile bytes:
//! unknown fields are an error, the hash of the effects is computed again and never believed, and what the bytes ask for is what
//! [`super::steps()`] reads from the changes, nothing else. The program's texts travel along, so that a plan can be shown, and a
//! refusal pointed at its line, without the directory that it was made in.

mod read;
mod shape;
#[cfg(test)]
mod tests;
mod write;

use super::effects::SecretDigest;
use crate::model::{Diagnostic, Plan, Schemas, Sources};

/// The format that this program writes and reads.
pub const FORMAT: u32 = 1;

/// What a plan file holds.
#[derive(Debug)]
pub struct PlanFile {
    pub plan: Plan,
    /// The texts that its places are in. Those of values from outside are empty: they may be secret.
    pub sources: Sources,
}

/// Writes a plan down. The result is not sealed.
///
/// Errors: a value that has no bytes, which is a mistake of the engine.
pub fn encode(plan: &Plan, sources: &Sources) -> Result<Vec<u8>, Box<Diagnostic>> {
    write::encode(plan, sources)
}

/// Reads what [`encode`] wrote. `digest` is the one that the plan was made with.
///
/// Errors: [`crate::model::Code::DamagedPlan`] where the bytes are none, or hold something that this version does not know;
/// [`crate::model::Code::StalePlan`] where the plan was made by other declarations of a provider.
pub fn decode(bytes: &[u8], schemas: &Schemas, digest: SecretDigest<'_>) -> Result<PlanFile, Box<Diagnostic>> {
    read::decode(bytes, schemas, digest)
}
