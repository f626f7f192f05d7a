//! Text and schemas in, checked program and diagnostics out.
//!
//! [`load`] is the way in for whoever has texts; [`check()`] for whoever has trees. Both report every error of a program in one
//! go. Reading files, and knowing providers, is for others.

pub mod check;
pub mod format;
mod literal;
pub mod program;
pub mod resolve;
pub mod stdlib;
pub mod syntax;

use std::sync::Arc;

use crate::model::{Diagnostic, Origin, Schemas, Sources};

pub use check::check;
pub use literal::{literal, of_literal};
use program::Program;
use syntax::tree;

/// What [`check()`] takes: trees that parsed, whole or in part.
pub struct CheckInput {
    /// The files of the stack's directory, in the order of their names.
    pub files: Vec<tree::File>,
    /// The files of the standard library.
    pub library: Vec<tree::File>,
    pub sources: Arc<Sources>,
    pub schemas: Arc<Schemas>,
}

/// What checking made of a program.
#[derive(Clone, Debug)]
pub struct Checked {
    /// There whenever no diagnostic is an error.
    pub program: Option<Arc<Program>>,
    /// Errors and warnings in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
    pub sources: Arc<Sources>,
}

impl Checked {
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Parses and checks the files of a stack's directory, given as names relative to it and texts, together with the standard
/// library. `sources` may hold texts already: values that were given from outside.
pub fn load(mut sources: Sources, files: Vec<(String, String)>, schemas: Arc<Schemas>) -> Checked {
    let library = stdlib::add(&mut sources);
    let own: Vec<_> = files.into_iter().map(|(name, text)| sources.add(name, text, Origin::File)).collect();
    let sources = Arc::new(sources);
    let mut diagnostics = Vec::new();
    let mut parse = |ids: Vec<_>| -> Vec<tree::File> {
        let mut trees = Vec::with_capacity(ids.len());
        for id in ids {
            let source = sources.get(id).expect("the source was just added");
            let parsed = syntax::parse(id, &source.text);
            diagnostics.extend(parsed.diagnostics);
            trees.push(parsed.file);
        }
        trees
    };
    let (library, files) = (parse(library), parse(own));
    let mut checked = check(CheckInput { files, library, sources: sources.clone(), schemas });
    if !diagnostics.is_empty() {
        diagnostics.append(&mut checked.diagnostics);
        check::in_order(&mut diagnostics);
        checked.diagnostics = diagnostics;
    }
    if checked.has_errors() {
        checked.program = None;
    }
    checked
}
