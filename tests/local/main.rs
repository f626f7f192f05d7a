//! The provider `local` against real programs of this machine: its processes, PostgreSQL and Redis where they are installed.
//!
//! Each test has its own directory and leaves no process behind, also when it fails. One that needs a program that is not
//! installed says so by name.

#![allow(
    clippy::disallowed_methods,
    reason = "real programs are watched by the real clock, and asked for by the real environment"
)]

mod commands;
mod files;
mod machine;
mod postgres;
mod processes;
mod redis;
