//! Speaking HTTP to a platform: the network as a [`super::contract::Transport`], limits on what comes back, and how an answer is
//! sorted into the errors that `apply` treats differently.
//!
//! Takes requests, gives whole answers. Retries, pace and the journal are `apply`'s; what an answer means is each provider's.

mod network;
mod session;
pub mod wire;

#[cfg(test)]
mod tests;

pub use network::Network;
pub use session::{Api, Dialect, Reply, Session};

/// The largest body of an answer that is read, in bytes.
pub const ANSWER_MAX: usize = 64 << 20;
/// The most pages of one listing that are read.
pub const PAGES_MAX: u32 = 10_000;
