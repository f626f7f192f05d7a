//! The standard library's texts, embedded in the binary.

use crate::model::{Digest, Origin, SourceId, Sources};

/// Name and text of each file, in the order of their names.
const FILES: &[(&str, &str)] = &[
    ("alert.stack", include_str!("../../stdlib/alert.stack")),
    ("cache.stack", include_str!("../../stdlib/cache.stack")),
    ("certificate.stack", include_str!("../../stdlib/certificate.stack")),
    ("channel.stack", include_str!("../../stdlib/channel.stack")),
    ("database.stack", include_str!("../../stdlib/database.stack")),
    ("domain.stack", include_str!("../../stdlib/domain.stack")),
    ("monitoring.stack", include_str!("../../stdlib/monitoring.stack")),
    ("policies.stack", include_str!("../../stdlib/policies.stack")),
    ("service.stack", include_str!("../../stdlib/service.stack")),
    ("types.stack", include_str!("../../stdlib/types.stack")),
];

/// Adds the library's texts to a program's sources.
pub fn add(sources: &mut Sources) -> Vec<SourceId> {
    FILES.iter().map(|(name, text)| sources.add(format!("stdlib/{name}"), *text, Origin::Stdlib)).collect()
}

/// What tells this library from every other: a hash of all names and texts.
pub fn digest() -> Digest {
    let mut bytes = Vec::new();
    for text in FILES.iter().flat_map(|(name, text)| [name, text]) {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    Digest::of(&bytes)
}
