//! The platforms. One folder each: its declaration, its client, its resources, its simulated cloud.

#[cfg(test)]
mod conformance;
pub mod contract;
pub mod declare;
pub mod registry;
pub mod sim;
#[cfg(test)]
mod testkit;

pub mod cloudflare;
pub mod engine;
pub mod fly;
pub mod http;
pub mod local;
#[cfg(test)]
mod sorting;
#[cfg(test)]
mod wire_fixtures;
