//! The platforms. One folder each: its declaration, its client, its resources, its simulated cloud.

pub mod contract;
pub mod local;
pub mod registry;
