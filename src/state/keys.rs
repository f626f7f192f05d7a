//! Who can open the secrets of a state: its data keys, and whom each is wrapped for.

pub use super::crypt::identity::{Identity, is_recipient};
