//! A program whose texts change: what an editor, or whoever watches a directory, stands on.
//!
//! ```
//! # use stackwright::{lang::Workspace, providers::registry};
//! let mut workspace = Workspace::new(registry::schemas().into());
//! workspace.set("main.stack", "stack shop { language = 1 }\noutput a: string = 1\n");
//! assert_eq!(workspace.check().diagnostics[0].code.to_string(), "SW0210");
//!
//! // One keystroke: the bytes that were replaced, and what stands there now.
//! workspace.edit("main.stack", 47..48, "\"one\"").expect("there is such a place");
//! assert!(!workspace.check().has_errors());
//! ```
//!
//! What it answers is what [`super::load_with`] answers for the same texts. After an edit only the items of that text are parsed
//! again in which something changed; all trees are kept, those of the standard library and of imports too.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Checked;
use super::load::{Finder, NoImports, Parse, Texts, load_parsed};
use super::syntax::{Document, tree};
use crate::model::{Code, Diagnostic, Name, Schemas, Source, SourceId, Sources};

/// The texts of a stack's directory, and what was made of them before.
pub struct Workspace {
    schemas: Arc<Schemas>,
    /// By name, relative to the stack's directory.
    files: BTreeMap<String, String>,
    kept: Kept,
    checked: Option<Checked>,
}

impl Workspace {
    pub fn new(schemas: Arc<Schemas>) -> Workspace {
        Workspace { schemas, files: BTreeMap::new(), kept: Kept::default(), checked: None }
    }

    /// Gives a file this text, whether or not it was there.
    pub fn set(&mut self, file: &str, text: impl Into<String>) {
        self.checked = None;
        self.files.insert(file.to_owned(), text.into());
    }

    /// Puts a text in place of these bytes of a file.
    ///
    /// Errors: [`Code::Unreadable`] where there is no such file, or where the range ends outside of it or within a character;
    /// then nothing has changed.
    pub fn edit(&mut self, file: &str, range: Range<usize>, with: &str) -> Result<(), Box<Diagnostic>> {
        let wrong = |words: String| Box::new(Code::Unreadable.error(words));
        let text = self.files.get_mut(file).ok_or_else(|| wrong(format!("there is no open file `{}`", file.escape_debug())))?;
        if text.get(range.clone()).is_none() {
            return Err(wrong(format!("`{}` has no place {}..{}", file.escape_debug(), range.start, range.end)));
        }
        text.replace_range(range, with);
        self.checked = None;
        Ok(())
    }

    /// Forgets a file.
    pub fn remove(&mut self, file: &str) {
        if self.files.remove(file).is_some() {
            self.checked = None;
        }
    }

    /// The text of a file as it is now.
    pub fn text(&self, file: &str) -> Option<&str> {
        self.files.get(file).map(String::as_str)
    }

    /// Everything that is wrong with the program, and the program if nothing is. For texts that import nothing; asked again
    /// without a change between, it costs nothing.
    pub fn check(&mut self) -> &Checked {
        self.check_with(&mut NoImports)
    }

    /// As [`Workspace::check`], with what `finder` knows about imports. What it reads counts as unchanged until
    /// [`Workspace::changed_outside`] is told.
    pub fn check_with(&mut self, finder: &mut dyn Finder) -> &Checked {
        if self.checked.is_none() {
            let texts: Texts = self.files.iter().map(|(name, text)| (name.clone(), text.clone())).collect();
            let checked = load_parsed(Sources::default(), texts, self.schemas.clone(), finder, &mut self.kept);
            self.kept.forget_unused();
            self.checked = Some(checked);
        }
        self.checked.as_ref().expect("it was just made")
    }

    /// Something changed that is no file of this workspace: an import, a file that is read.
    pub fn changed_outside(&mut self) {
        self.checked = None;
    }
}

/// Documents by the names of their sources.
#[derive(Default)]
struct Kept {
    documents: FxHashMap<Name, (Document, Arc<tree::File>)>,
    used: FxHashSet<Name>,
}

impl Parse for Kept {
    fn parse(&mut self, sources: &[(SourceId, &Source)]) -> Vec<(Arc<tree::File>, Vec<Diagnostic>)> {
        sources.iter().map(|(id, source)| self.parse_one(*id, source)).collect()
    }
}

impl Kept {
    fn parse_one(&mut self, id: SourceId, source: &Source) -> (Arc<tree::File>, Vec<Diagnostic>) {
        self.used.insert(source.name.clone());
        match self.documents.get_mut(&source.name).filter(|(document, _)| document.source() == id) {
            Some((document, file)) => {
                if *document.text() != source.text {
                    // Nobody else holds the tree between two checks, so nothing is copied.
                    document.set(Arc::make_mut(file), source.text.clone());
                }
                (file.clone(), document.diagnostics().to_vec())
            }
            None => {
                let (document, file) = Document::new(id, source.text.clone());
                let (file, said) = (Arc::new(file), document.diagnostics().to_vec());
                self.documents.insert(source.name.clone(), (document, file.clone()));
                (file, said)
            }
        }
    }

    fn forget_unused(&mut self) {
        let used = std::mem::take(&mut self.used);
        self.documents.retain(|name, _| used.contains(name));
    }
}
