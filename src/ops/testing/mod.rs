//! `test`: runs the tests of a program, offline, in this process.

pub mod coverage;
pub mod report;
pub mod sandbox;

#[cfg(test)]
mod tests;
