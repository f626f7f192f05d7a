//! From a stack's texts to a checked program: parses them, follows its imports, and checks each stack that it reads outputs of.
//!
//! Where directories are, and what a path means, a [`Finder`] knows; this file knows in which order they are read, that each is
//! read once, and that none comes back to itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::program::{OtherStack, StackOutput};
use super::syntax::tree::{self, ItemKind};
use super::{CheckInput, Checked, ImportedDirectory, Link, check, stdlib, syntax};
use crate::model::{Code, Diagnostic, Name, Origin, Schemas, Source, SourceId, Sources, Span};

/// Names and texts of files, in the order of their names.
pub type Texts = Vec<(String, String)>;

/// Finds and reads the directories that a program imports.
pub trait Finder {
    /// What identifies the stack's own directory.
    fn own(&self) -> Name;

    /// The directory that an import names. `from` is the [`Located::home`] of the directory that holds the import.
    ///
    /// Errors: [`Code::ImportRefused`] and others, without a place: the import is it.
    fn locate(&mut self, from: &str, path: &str, wanted: Wanted) -> Result<Located, Box<Diagnostic>>;

    /// Names, as people see them, and texts of the `.stack` files of a located directory. Asked for once for each.
    fn read(&mut self, home: &str) -> (Texts, Vec<Diagnostic>);
}

/// What a directory is imported for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    Definitions,
    Stack,
}

/// A directory, found.
pub struct Located {
    /// Equal for all imports of one directory.
    pub home: Name,
    /// Its path in addresses: `modules:net`.
    pub name: Name,
}

/// For texts that stand alone: refuses every import.
pub struct NoImports;

impl Finder for NoImports {
    fn own(&self) -> Name {
        "".into()
    }

    fn locate(&mut self, _: &str, path: &str, _: Wanted) -> Result<Located, Box<Diagnostic>> {
        let text = format!("`{}` cannot be imported: this text stands alone", path.escape_debug());
        Err(Box::new(Code::ImportRefused.error(text).help("save it in the stack's directory")))
    }

    fn read(&mut self, _: &str) -> (Texts, Vec<Diagnostic>) {
        (Vec::new(), Vec::new())
    }
}

/// The longest chain of imports.
const DEPTH_MAX: usize = 64;
/// The most directories that one program imports.
const DIRECTORIES_MAX: usize = 1_000;

/// Parses and checks the files of a stack's directory, given as names relative to it and texts, with the standard library and
/// all that they import. `sources` may hold texts already: values that were given from outside.
pub fn load_with(sources: Sources, files: Texts, schemas: Arc<Schemas>, finder: &mut dyn Finder) -> Checked {
    load_parsed(sources, files, schemas, finder, &mut Anew)
}

/// From sources to their trees: each time anew, or kept from before.
pub(super) trait Parse {
    /// A tree with what is wrong with it for each of the sources, in their order.
    fn parse(&mut self, sources: &[(SourceId, &Source)]) -> Vec<(Arc<tree::File>, Vec<Diagnostic>)>;
}

struct Anew;

impl Parse for Anew {
    fn parse(&mut self, sources: &[(SourceId, &Source)]) -> Vec<(Arc<tree::File>, Vec<Diagnostic>)> {
        let parse = |(id, source): &(SourceId, &Source)| {
            let parsed = syntax::parse(*id, &source.text);
            (Arc::new(parsed.file), parsed.diagnostics)
        };
        sources.par_iter().map(parse).collect()
    }
}

/// As [`load_with`], with trees from elsewhere.
pub(super) fn load_parsed(
    mut sources: Sources,
    files: Texts,
    schemas: Arc<Schemas>,
    finder: &mut dyn Finder,
    parser: &mut dyn Parse,
) -> Checked {
    let mut diagnostics = Vec::new();
    // All at once: the library is as much as a program of 1,000 lines.
    let library = stdlib::add(&mut sources);
    let files = add_files(&mut sources, files);
    let all: Vec<SourceId> = library.iter().chain(&files).copied().collect();
    let mut parsed = parse_all(parser, &sources, &all).into_iter();
    let library = parsed.by_ref().take(library.len()).map(|it| kept(it, &mut diagnostics)).collect();
    let files = parsed.map(|it| kept(it, &mut diagnostics)).collect();
    let own = finder.own();
    let mut loader = Loader {
        parser,
        sources,
        finder,
        directories: Vec::new(),
        by_home: FxHashMap::default(),
        units: Vec::new(),
        unit_of: FxHashMap::default(),
        links: FxHashMap::default(),
        path: vec![(own.clone(), Span::ENGINE)],
        circles: Vec::new(),
    };
    let root = loader.unit_of_files(own, files, diagnostics);
    let Loader { sources, directories, mut units, links, circles, .. } = loader;
    units[root].diagnostics.extend(circles);
    let all = All { sources: Arc::new(sources), schemas, library, directories, links };
    all.check(units, root)
}

fn add_files(sources: &mut Sources, texts: Texts) -> Vec<SourceId> {
    texts.into_iter().map(|(name, text)| sources.add(name, text, Origin::File)).collect()
}

fn parse_all(parser: &mut dyn Parse, sources: &Sources, ids: &[SourceId]) -> Vec<(Arc<tree::File>, Vec<Diagnostic>)> {
    let texts: Vec<_> = ids.iter().map(|id| (*id, sources.get(*id).expect("the source was just added"))).collect();
    parser.parse(&texts)
}

fn kept((file, said): (Arc<tree::File>, Vec<Diagnostic>), diagnostics: &mut Vec<Diagnostic>) -> Arc<tree::File> {
    diagnostics.extend(said);
    file
}

/// A directory of definitions.
struct Directory {
    name: Name,
    home: Name,
    files: Vec<Arc<tree::File>>,
    /// Directories that it imports.
    uses: Vec<u32>,
    diagnostics: Vec<Diagnostic>,
}

/// A stack: the program itself, or one whose outputs are read.
struct Unit {
    files: Vec<Arc<tree::File>>,
    uses: Vec<u32>,
    stacks: Vec<Reading>,
    diagnostics: Vec<Diagnostic>,
}

/// `import stack`.
struct Reading {
    unit: usize,
    home: Name,
    path: tree::Name,
    alias: tree::Name,
    environment: Option<tree::Name>,
    span: Span,
}

struct Loader<'f> {
    parser: &'f mut dyn Parse,
    sources: Sources,
    finder: &'f mut dyn Finder,
    directories: Vec<Directory>,
    by_home: FxHashMap<Name, u32>,
    units: Vec<Unit>,
    unit_of: FxHashMap<Name, usize>,
    links: FxHashMap<Span, Link>,
    /// The directories that are being read, each with the import that led to it.
    path: Vec<(Name, Span)>,
    /// Imports that come back to where they began.
    circles: Vec<Diagnostic>,
}

/// Why an import leads nowhere; `None` where that is said for the whole program.
type Unfollowed = Option<Box<Diagnostic>>;

impl Loader<'_> {
    /// Parses a stack and all that it imports; gives its place.
    fn unit(&mut self, home: Name, texts: Texts, mut diagnostics: Vec<Diagnostic>) -> usize {
        let files = self.parse_all(texts, &mut diagnostics);
        self.unit_of_files(home, files, diagnostics)
    }

    /// As [`Loader::unit`], of files that were parsed.
    fn unit_of_files(&mut self, home: Name, files: Vec<Arc<tree::File>>, mut diagnostics: Vec<Diagnostic>) -> usize {
        let mut stacks = Vec::new();
        let uses = self.follow(&home, &files, Some(&mut stacks), &mut diagnostics);
        self.units.push(Unit { files, uses, stacks, diagnostics });
        self.unit_of.insert(home, self.units.len() - 1);
        self.units.len() - 1
    }

    fn parse_all(&mut self, texts: Texts, diagnostics: &mut Vec<Diagnostic>) -> Vec<Arc<tree::File>> {
        let ids = add_files(&mut self.sources, texts);
        parse_all(self.parser, &self.sources, &ids).into_iter().map(|it| kept(it, diagnostics)).collect()
    }

    /// Reads what files import; gives the directories of definitions among it.
    fn follow(
        &mut self,
        home: &Name,
        files: &[Arc<tree::File>],
        mut stacks: Option<&mut Vec<Reading>>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Vec<u32> {
        let mut uses = Vec::new();
        for item in files.iter().flat_map(|file| &file.items) {
            match &item.kind {
                ItemKind::Import(import) => match self.definitions(home, &import.path) {
                    Ok(at) => {
                        self.links.insert(item.span, Link::Directory(at));
                        uses.push(at);
                    }
                    Err(diagnostic) => diagnostics.extend(diagnostic.map(|it| *it)),
                },
                // In a directory of definitions it is misplaced, which is said elsewhere.
                ItemKind::ImportStack(import) => {
                    let Some(stacks) = stacks.as_deref_mut() else { continue };
                    match self.stack(home, &import.path) {
                        Ok((unit, home)) => {
                            self.links.insert(item.span, Link::Stack(stacks.len() as u32));
                            let tree::ImportStack { path, alias, environment } = import.clone();
                            stacks.push(Reading { unit, home, path, alias, environment, span: item.span });
                        }
                        Err(diagnostic) => diagnostics.extend(diagnostic.map(|it| *it)),
                    }
                }
                _ => {}
            }
        }
        uses
    }

    fn definitions(&mut self, from: &Name, path: &tree::Name) -> Result<u32, Unfollowed> {
        let found = self.located(from, path, Wanted::Definitions)?;
        if let Some(at) = self.by_home.get(&found.home) {
            return Ok(*at);
        }
        if self.directories.len() >= DIRECTORIES_MAX {
            let error = Code::Limit.error("the program imports more than 1,000 directories");
            return Err(Some(Box::new(error.label(path.span, "one more here"))));
        }
        let (texts, mut diagnostics) = self.finder.read(&found.home);
        diagnostics.iter_mut().for_each(|it| at_import(it, path.span));
        let files = self.parse_all(texts, &mut diagnostics);
        self.path.push((found.home.clone(), path.span));
        let uses = self.follow(&found.home, &files, None, &mut diagnostics);
        self.path.pop();
        let at = self.directories.len() as u32;
        self.by_home.insert(found.home.clone(), at);
        self.directories.push(Directory { name: found.name, home: found.home, files, uses, diagnostics });
        Ok(at)
    }

    fn stack(&mut self, from: &Name, path: &tree::Name) -> Result<(usize, Name), Unfollowed> {
        let found = self.located(from, path, Wanted::Stack)?;
        if let Some(unit) = self.unit_of.get(&found.home) {
            return Ok((*unit, found.home));
        }
        let (texts, mut diagnostics) = self.finder.read(&found.home);
        diagnostics.iter_mut().for_each(|it| at_import(it, path.span));
        self.path.push((found.home.clone(), path.span));
        let unit = self.unit(found.home.clone(), texts, diagnostics);
        self.path.pop();
        Ok((unit, found.home))
    }

    fn located(&mut self, from: &Name, path: &tree::Name, wanted: Wanted) -> Result<Located, Unfollowed> {
        let found = self.finder.locate(from, &path.node, wanted).map_err(|mut diagnostic| {
            at_import(&mut diagnostic, path.span);
            Some(diagnostic)
        })?;
        if let Some(at) = self.path.iter().position(|(home, _)| *home == found.home) {
            let circle = self.circle(at, path);
            self.circles.push(circle);
            return Err(None);
        }
        if self.path.len() > DEPTH_MAX {
            let error = Code::Limit.error(format!("imports go more than {DEPTH_MAX} deep"));
            return Err(Some(Box::new(error.label(path.span, "one more here"))));
        }
        Ok(found)
    }

    /// Imports that come back to where they began, step by step.
    fn circle(&self, from: usize, last: &tree::Name) -> Diagnostic {
        let steps = self.path[from + 1..].iter().map(|(_, span)| *span).chain([last.span]);
        let steps: Vec<(Span, String)> = steps
            .enumerate()
            .map(|(at, span)| {
                let path = if span == last.span { last.node.to_string() } else { unquoted(self.sources.text(span)) };
                (span, format!("{}: imports `{path}`", at + 1))
            })
            .collect();
        let message = match steps.len() {
            1 => "this directory imports itself",
            _ => "these directories import each other",
        };
        // The closing step is the one that is wrong most likely; it stands first.
        let mut labels = steps;
        labels.rotate_right(1);
        Code::Recursive.error(message).labels(labels).help("move what both need into a directory of its own, and import that")
    }
}

fn unquoted(text: &str) -> String {
    text.trim_start_matches('r').trim_matches('"').to_owned()
}

/// Gives a diagnostic that has no place the import as its place.
fn at_import(diagnostic: &mut Diagnostic, import: Span) {
    if diagnostic.labels.is_empty() {
        diagnostic.labels.push((import, "imported here".into()));
    }
}

/// Everything that was parsed.
struct All {
    sources: Arc<Sources>,
    schemas: Arc<Schemas>,
    library: Vec<Arc<tree::File>>,
    directories: Vec<Directory>,
    links: FxHashMap<Span, Link>,
}

impl All {
    /// Checks every stack, those that are read before those that read them, and gives what was made of `root`.
    fn check(mut self, units: Vec<Unit>, root: usize) -> Checked {
        let mut done: Vec<Checked> = Vec::with_capacity(units.len());
        for (at, unit) in units.into_iter().enumerate() {
            let Unit { files, uses, stacks, mut diagnostics } = unit;
            let used = self.closure(&uses);
            let is_root = at == root;
            if is_root {
                diagnostics.extend(self.refuse_equal_names(&used));
            }
            for directory in &used {
                let said = &mut self.directories[*directory as usize].diagnostics;
                diagnostics.extend(if is_root { std::mem::take(said) } else { said.clone() });
            }
            let mut readings = Vec::with_capacity(stacks.len());
            let mut links = self.links_among(&used);
            for reading in &stacks {
                match other_stack(reading, &done[reading.unit]) {
                    Ok(stack) => readings.push(stack),
                    Err(diagnostic) => {
                        links.remove(&reading.span);
                        readings.push(unread(reading));
                        diagnostics.push(*diagnostic);
                    }
                }
            }
            let library = if is_root { std::mem::take(&mut self.library) } else { self.library.clone() };
            let imports = used.iter().map(|at| self.import(*at, is_root)).collect();
            let (sources, schemas) = (self.sources.clone(), self.schemas.clone());
            let mut checked = check(CheckInput { files, library, imports, links, stacks: readings, sources, schemas });
            if !diagnostics.is_empty() {
                diagnostics.append(&mut checked.diagnostics);
                check::in_order(&mut diagnostics);
                checked.diagnostics = diagnostics;
            }
            if checked.has_errors() {
                checked.program = None;
            }
            if is_root {
                return checked;
            }
            done.push(checked);
        }
        unreachable!("the root is one of the stacks")
    }

    /// Directories that are imported from these, by any way, each before those that import it: the order in which they were read.
    fn closure(&self, uses: &[u32]) -> Vec<u32> {
        let mut seen: FxHashSet<u32> = FxHashSet::default();
        let mut open = uses.to_vec();
        while let Some(at) = open.pop() {
            if seen.insert(at) {
                open.extend(&self.directories[at as usize].uses);
            }
        }
        let mut all: Vec<u32> = seen.into_iter().collect();
        all.sort_unstable();
        all
    }

    /// Links whose directories are counted among those of one stack.
    fn links_among(&self, used: &[u32]) -> FxHashMap<Span, Link> {
        let links = self.links.iter().filter_map(|(span, link)| {
            let link = match link {
                Link::Directory(at) => Link::Directory(used.binary_search(at).ok()? as u32),
                Link::Stack(at) => Link::Stack(*at),
            };
            Some((*span, link))
        });
        links.collect()
    }

    fn import(&mut self, at: u32, is_last: bool) -> ImportedDirectory {
        let directory = &mut self.directories[at as usize];
        let files = if is_last { std::mem::take(&mut directory.files) } else { directory.files.clone() };
        ImportedDirectory { name: directory.name.clone(), files }
    }

    /// Two directories whose kinds would have the same addresses.
    fn refuse_equal_names(&self, used: &[u32]) -> Vec<Diagnostic> {
        let mut first: BTreeMap<&Name, u32> = BTreeMap::new();
        let mut errors = Vec::new();
        for at in used {
            let directory = &self.directories[*at as usize];
            let Some(other) = first.insert(&directory.name, *at) else { continue };
            let place = |at: u32| {
                let link = self.links.iter().filter(|(_, link)| **link == Link::Directory(at)).map(|(span, _)| *span);
                link.min()
            };
            let places = [(place(*at), "second import"), (place(other), "first import")];
            errors.push(
                Code::ImportRefused
                    .error(format!("two imports would both be `{}` in addresses", directory.name))
                    .labels(places.into_iter().filter_map(|(span, text)| Some((span?, text))))
                    .note(format!("they are `{}` and `{}`", self.directories[other as usize].home, directory.home))
                    .help("rename one of the two directories"),
            );
        }
        errors
    }
}

/// What a program may read of another stack.
fn other_stack(reading: &Reading, checked: &Checked) -> Result<OtherStack, Box<Diagnostic>> {
    let path = &reading.path.node;
    let Some(program) = &checked.program else {
        let errors = checked.diagnostics.iter().filter(|it| it.is_error());
        let first = errors.clone().next();
        let place = first.and_then(|it| checked.sources.place(it.span()?)).map_or_else(String::new, |it| format!("{it}: "));
        let count = errors.count();
        let errors = if count == 1 { "1 error".to_owned() } else { format!("{count} errors") };
        let mut error = Code::ImportRefused
            .error(format!("the stack in `{}` has {errors}", path.escape_debug()))
            .label(reading.path.span, "its outputs have no types while it has");
        if let Some(first) = first {
            error = error.note(format!("{place}{}", first.message));
        }
        return Err(Box::new(error.help(format!("see all: `stackwright check` in `{}`", path.escape_debug()))));
    };
    let environments: Vec<Name> = program.environments.iter().map(|it| it.name.clone()).collect();
    let environment = reading.environment.as_ref().map(|it| (it.node.clone(), it.span));
    if let Some((name, span)) = environment.as_ref().filter(|(name, _)| !environments.contains(name)) {
        let near = super::resolve::nearest(name, environments.iter().map(|it| &**it));
        return Err(Box::new(
            Code::UnknownEnvironment
                .error(format!("the stack `{}` has no environment `{name}`", program.stack.name))
                .label(*span, "not declared there")
                .helps(near.map(|near| format!("write `{near}`"))),
        ));
    }
    let output = |it: &super::program::OutputValue| {
        let ty = if it.cond.is_some() { it.ty.clone().optional() } else { it.ty.clone() };
        (it.name.clone(), StackOutput { ty, span: it.span })
    };
    Ok(OtherStack {
        home: reading.home.clone(),
        path: path.clone(),
        alias: reading.alias.node.clone(),
        name: program.stack.name.clone(),
        environment,
        environments,
        outputs: program.body.outputs.iter().map(output).collect(),
        program: Some(program.clone()),
        span: reading.span,
    })
}

fn unread(reading: &Reading) -> OtherStack {
    OtherStack {
        home: reading.home.clone(),
        path: reading.path.node.clone(),
        alias: reading.alias.node.clone(),
        name: "".into(),
        environment: None,
        environments: Vec::new(),
        outputs: BTreeMap::new(),
        program: None,
        span: reading.span,
    }
}
