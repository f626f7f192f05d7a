//! Stackwright: an infrastructure-as-code engine with a language of its own.
//!
//! The rooms, in reading order. `docs/architecture.md` shows how they follow one another, `tests/layers.rs` holds them to it.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests run on the real machine: its clock, its variables, its files")
)]

/// The vocabulary that every room speaks: values, types, addresses, schemas, records, plans. No behaviour beyond their shape.
pub mod model;

/// Values, built-ins and evaluation, also of what is not yet known.
pub mod eval;

/// The language: text and schemas in, a checked program and diagnostics out.
pub mod lang;

/// A checked program in, the resources that should exist out.
pub mod expand;

/// Order, cycles with their path, critical paths.
pub mod graph;

/// Desired and what is known in, a plan out: a pure function.
pub mod plan;

/// Time and chance behind small traits.
pub mod world;

/// The platforms, behind one contract.
pub mod providers;

/// One file a use case: joins the rooms, decides nothing.
pub mod ops;

/// The command line.
pub mod cli;

/// The log of what was applied, and the view of it.
pub mod state;

/// A plan in, calls and records out.
pub mod apply;

/// Questions asked of the log.
pub mod audit;
