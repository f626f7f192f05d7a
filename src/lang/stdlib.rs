//! The standard library's texts, embedded in the binary.

use crate::model::{Origin, SourceId, Sources};

/// Name and text of each file, in the order of their names.
const FILES: &[(&str, &str)] = &[];

/// Adds the library's texts to a program's sources.
pub fn add(sources: &mut Sources) -> Vec<SourceId> {
    FILES.iter().map(|(name, text)| sources.add(format!("stdlib/{name}"), *text, Origin::Stdlib)).collect()
}
