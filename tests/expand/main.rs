//! Expansion: small programs and the resources that they make.
//!
//! A file of `fixtures/expand` holds named cases. `#@ key = value` lines say what a case is expanded for; the expectation is the
//! comment at its end, one `#=` a line of the listing. `STACKWRIGHT_ACCEPT=1` writes what came out; read the difference.

#![allow(clippy::disallowed_methods, reason = "tests run on the real machine")]

mod builtins;
mod cases;
mod listing;
mod programs;
