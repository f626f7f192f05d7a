//! One file a use case. These join the rooms and decide nothing; faces call them and print what they give.

mod ahead;
pub mod anchors;
mod answers;
pub mod apply;
pub mod audit;
pub mod author;
pub mod carry;
pub mod check;
pub mod connections;
pub mod consent;
pub mod desired;
pub mod docs;
pub mod elsewhere;
pub mod environment;
pub mod estimate;
pub mod eval;
pub mod explain;
pub mod fetch;
pub mod files;
pub mod fix;
pub mod fmt;
pub mod given;
mod given_secrets;
pub mod graph;
pub mod imports;
pub mod interrupted;
pub mod keys;
pub mod lock;
pub mod migrate;
pub mod outside;
pub mod plan;
pub mod policies;
pub mod project;
pub mod rebuild;
pub mod refresh;
mod repository;
pub mod rewrite;
pub mod secrets;
pub mod settings;
pub mod signing;
pub mod sim;
mod stale;
pub mod stored;
pub mod stores;
pub mod surroundings;
pub mod testing;
mod wait;
mod watched;
pub mod why;
pub mod workspace;
pub mod written;

/// The candidate that was probably meant, if one is near.
pub fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let scored = candidates.map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate));
    scored
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(name.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Whether an address fits a glob: `*` within a segment, `**` across.
pub fn matches(glob: &str, address: &crate::model::Address) -> bool {
    crate::plan::matches(glob, address)
}
