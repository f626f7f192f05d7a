//! Places in text. Everything the engine later says about a program points back to one of these.
//!
//! Not only files are sources: a value given by a flag or an environment variable is a small source of its own, so that
//! *every* value has a [`Span`], and a plan line can say `from --input` the same way as `shop.stack:30:11`.

use std::sync::{Arc, OnceLock};

/// Number of a source in its [`Sources`] table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SourceId(pub u32);

/// A half-open range of bytes of one source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    pub source: SourceId,
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The span of things that the engine made itself and no text names.
    pub const ENGINE: Span = Span { source: SourceId(u32::MAX), start: 0, end: 0 };

    pub fn new(source: SourceId, start: usize, end: usize) -> Self {
        Span { source, start: start as u32, end: end as u32 }
    }

    /// The smallest span that holds both; `self` if they lie in different sources.
    pub fn to(self, other: Span) -> Span {
        if self.source != other.source {
            return self;
        }
        Span { source: self.source, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    pub fn is_engine(self) -> bool {
        self.source == Span::ENGINE.source
    }
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}..{}", self.source.0, self.start, self.end)
    }
}

/// Where a source came from, which decides how a place in it is written for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A `.stack` file of the stack or of an import; the name is its path relative to the stack's directory.
    File,
    /// A `.stack` file embedded in the binary; the name is `stdlib/service.stack`.
    Stdlib,
    /// A value from outside: the name says which (`--input`, `STACK_INPUT_version`, `inputs.json`).
    Given,
}

/// One text with its name.
#[derive(Debug)]
pub struct Source {
    pub name: Arc<str>,
    pub text: Arc<str>,
    pub origin: Origin,
    line_starts: OnceLock<Vec<u32>>,
}

impl Source {
    /// Byte offsets at which lines start; the first is 0. Computed once, when a place is first shown.
    pub fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let newlines = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(newlines.map(|(at, _)| at as u32 + 1)).collect()
        })
    }
}

/// A span in words: 1-based lines, 1-based columns counted in characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub file: Arc<str>,
    pub origin: Origin,
    pub line: u32,
    pub col: u32,
    pub end_line: u32,
    pub end_col: u32,
}

impl std::fmt::Display for Place {
    /// `shop.stack:30:11`, or `--input` for a value that was given from outside.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.origin {
            Origin::Given => write!(f, "{}", self.file),
            Origin::File | Origin::Stdlib => write!(f, "{}:{}:{}", self.file, self.line, self.col),
        }
    }
}

/// All texts of one program.
#[derive(Debug, Default)]
pub struct Sources {
    all: Vec<Source>,
}

impl Sources {
    pub fn add(&mut self, name: impl Into<Arc<str>>, text: impl Into<Arc<str>>, origin: Origin) -> SourceId {
        let id = SourceId(self.all.len() as u32);
        self.all.push(Source { name: name.into(), text: text.into(), origin, line_starts: OnceLock::new() });
        id
    }

    /// `None` for [`Span::ENGINE`].
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.all.get(id.0 as usize)
    }

    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        self.all.iter().enumerate().map(|(at, source)| (SourceId(at as u32), source))
    }

    /// The text under a span; empty for [`Span::ENGINE`].
    pub fn text(&self, span: Span) -> &str {
        self.get(span.source).and_then(|it| it.text.get(span.start as usize..span.end as usize)).unwrap_or("")
    }

    /// `None` for [`Span::ENGINE`].
    pub fn place(&self, span: Span) -> Option<Place> {
        let source = self.get(span.source)?;
        let (line, col) = line_and_col(source, span.start);
        let (end_line, end_col) = line_and_col(source, span.end);
        Some(Place { file: source.name.clone(), origin: source.origin, line, col, end_line, end_col })
    }
}

fn line_and_col(source: &Source, offset: u32) -> (u32, u32) {
    let starts = source.line_starts();
    let line = starts.partition_point(|start| *start <= offset) - 1;
    let before = source.text.get(starts[line] as usize..offset as usize).unwrap_or("");
    (line as u32 + 1, before.chars().count() as u32 + 1)
}
