//! The command line: arguments in, text or JSON and an exit code out. One file a command; everything that decides lies in `ops`.

pub mod args;
pub mod diff;
pub mod escape;
pub mod plan_text;
pub mod report;
pub mod terminal;
