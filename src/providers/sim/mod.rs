//! Simulated clouds: each platform's own [`super::contract::Cloud`], served on loopback or called in the same process, with faults on
//! demand, a journal of every request, and contents that outlive the command.
//!
//! Takes requests, gives what the platform would; leaves to each cloud what that is. Three ways in: [`Server`] for other programs,
//! [`Simulation`] for `--sim` (starts a server, or attaches to the one that already holds the same data), [`InProcess`] for tests.
//! What has no cloud of its own is a [`Pretend`] there.

mod attach;
mod clouds;
mod faults;
mod pretend;
mod seal;
mod server;
mod store;

#[cfg(test)]
mod tests;

pub use attach::Simulation;
pub use clouds::{Clouds, InProcess};
pub use faults::{Fault, Faults, Rule, glob};
pub use pretend::{Mock, Mocked, Mocks, Pretend};
pub use server::Server;
