//! Text and schemas in, checked program and diagnostics out.

pub mod program;
pub mod syntax;
