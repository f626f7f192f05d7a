//! Text and schemas in, checked program and diagnostics out.
//!
//! [`load`] and [`load_with`] are the way in for whoever has texts, [`Workspace`] for whoever has texts that change, [`check()`]
//! for whoever has trees. All report every error of a program in one go. Reading files, and knowing providers, is for others.

pub mod check;
pub mod format;
mod literal;
mod load;
pub mod program;
pub mod resolve;
pub mod stdlib;
pub mod syntax;
mod workspace;

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Diagnostic, Name, Schemas, Sources, Span};

pub use check::check;
pub use literal::literal;
pub use load::{Finder, Located, NoImports, Texts, Wanted, load_with};
use program::{OtherStack, Program};
use syntax::tree;
pub use workspace::Workspace;

/// What [`check()`] takes: trees that parsed, whole or in part.
pub struct CheckInput {
    /// The files of the stack's directory, in the order of their names.
    pub files: Vec<Arc<tree::File>>,
    /// The files of the standard library.
    pub library: Vec<Arc<tree::File>>,
    /// Directories that are imported, also by others of them, each before those that import it.
    pub imports: Vec<ImportedDirectory>,
    /// What each import leads to, by the span of its item. One that is missing could not be read, which was said.
    pub links: FxHashMap<Span, Link>,
    /// Stacks whose outputs are read, one for each `import stack`.
    pub stacks: Vec<OtherStack>,
    pub sources: Arc<Sources>,
    pub schemas: Arc<Schemas>,
}

/// The files of a directory that is imported for its definitions.
pub struct ImportedDirectory {
    /// Its path in addresses: `modules:net`.
    pub name: Name,
    pub files: Vec<Arc<tree::File>>,
}

/// Where an import leads: a place in [`CheckInput::imports`] or [`CheckInput::stacks`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    Directory(u32),
    Stack(u32),
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
/// library. `sources` may hold texts already: values that were given from outside. For texts that import nothing.
pub fn load(sources: Sources, files: Vec<(String, String)>, schemas: Arc<Schemas>) -> Checked {
    load_with(sources, files, schemas, &mut NoImports)
}
