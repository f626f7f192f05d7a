//! A stack's directory, read and checked.

use std::sync::Arc;

use super::files::read_stack;
use super::given::{self, Given, GivenInput};
use super::imports::Imports;
use super::settings::Settings;
use super::surroundings;
use crate::lang;
use crate::lang::program::Program;
use crate::model::{Code, Diagnostic, Origin, Schemas, Sources};

/// A checked program, and what it was given.
pub struct Project {
    pub program: Arc<Program>,
    pub sources: Arc<Sources>,
    pub warnings: Vec<Diagnostic>,
    pub given: Given,
    pub inputs: Vec<GivenInput>,
}

/// Diagnostics that end a command, with the texts that they point into.
#[derive(Debug)]
pub struct Failure {
    pub diagnostics: Vec<Diagnostic>,
    pub sources: Arc<Sources>,
}

impl Failure {
    pub fn new(diagnostics: Vec<Diagnostic>, sources: Arc<Sources>) -> Failure {
        Failure { diagnostics, sources }
    }
}

impl From<Box<Diagnostic>> for Failure {
    fn from(diagnostic: Box<Diagnostic>) -> Failure {
        Failure { diagnostics: vec![*diagnostic], sources: Arc::default() }
    }
}

/// Checks the stack in the directory of `settings`; no network, no state. All diagnostics, warnings too, and the program if
/// there is no error.
pub fn check(settings: &Settings, schemas: Arc<Schemas>, sources: Sources) -> lang::Checked {
    check_with(settings, schemas, sources, None)
}

/// As [`check`], of a stack or of a directory of components; the answer says whether it is the latter, which is checked as part
/// of a stack that has an environment on every provider.
pub fn check_directory(settings: &Settings, schemas: Arc<Schemas>) -> (lang::Checked, bool) {
    let checked = check(settings, schemas.clone(), Sources::default());
    let has_files = checked.sources.iter().any(|(_, source)| source.origin == Origin::File);
    if has_files && checked.diagnostics.iter().any(|it| it.code == Code::NoStack) {
        let around = Some(surroundings::of(&settings.dir, &schemas));
        return (check_with(settings, schemas, Sources::default(), around), true);
    }
    (checked, false)
}

/// As [`check`], with one more file that is not in the directory. A directory without a stack is an empty one then.
pub fn check_with(
    settings: &Settings,
    schemas: Arc<Schemas>,
    mut sources: Sources,
    extra: Option<(String, String)>,
) -> lang::Checked {
    let (texts, mut unread) = read_stack(&settings.dir);
    let mut texts: Vec<_> = texts.into_iter().map(|it| (it.name, it.text)).collect();
    if let Some(extra) = extra {
        if texts.is_empty() && unread.iter().all(|it| it.code == Code::NoStack) {
            unread.clear();
            texts.push(("<empty>".into(), "stack empty { language = 1 }\nenvironment local { on = local }\n".into()));
        }
        texts.push(extra);
    }
    if texts.is_empty() {
        return lang::Checked { program: None, diagnostics: unread, sources: Arc::new(std::mem::take(&mut sources)) };
    }
    let mut imports = Imports::of(settings);
    let mut checked = lang::load_with(sources, texts, schemas, &mut imports);
    unread.extend(imports.lock_errors());
    if !unread.is_empty() {
        checked.program = None;
        unread.append(&mut checked.diagnostics);
        checked.diagnostics = unread;
    }
    checked
}

/// Loads a program that a command needs whole.
///
/// Errors: everything that is wrong with it, and with how inputs were given.
pub fn load(settings: &Settings, schemas: Arc<Schemas>, given: &Given) -> Result<Project, Failure> {
    load_with(settings, schemas, given, None)
}

/// As [`load`], with one more file that is not in the directory: its name and its text.
pub fn load_with(
    settings: &Settings,
    schemas: Arc<Schemas>,
    given: &Given,
    extra: Option<(String, String)>,
) -> Result<Project, Failure> {
    let mut sources = Sources::default();
    let inputs = given::collect_inputs(given, settings, &mut sources);
    let checked = check_with(settings, schemas, sources, extra);
    match (checked.program, inputs) {
        (Some(program), Ok(inputs)) => {
            let sources = given::without_secrets(&program, &inputs, &checked.sources);
            Ok(Project { program, sources, warnings: checked.diagnostics, given: given.clone(), inputs })
        }
        (_, inputs) => {
            let mut diagnostics = inputs.err().unwrap_or_default();
            diagnostics.extend(checked.diagnostics);
            Err(Failure { diagnostics, sources: checked.sources })
        }
    }
}
