//! From text to a syntax tree.
//!
//! Takes the text of one source, gives a [`tree::File`] and diagnostics. Which names exist and what fits where is for the checker.
//! The grammar is `grammar/stack.pest`. [`scan`] splits a text into chunks of whole items and refuses what is nested too deep, the
//! grammar reads each chunk, [`build`] makes trees, [`recover`] takes apart what does not parse, [`explain`] finds the words for it.

mod build;
mod document;
mod explain;
mod grammar;
pub(crate) mod lexemes;
mod literal;
mod recover;
pub(crate) mod scan;
mod shift;
#[cfg(test)]
mod tests;
pub mod tree;

use rayon::prelude::*;

use crate::model::{Code, Diagnostic, SourceId, Span};
use build::Builder;
pub use document::Document;
pub(in crate::lang) use explain::ITEM_WORDS;
pub use lexemes::comments;
use scan::Chunk;

/// Bytes of one file.
pub const FILE_MAX: usize = 16 << 20;

/// From this size on, chunks are parsed in parallel, in batches of about this size.
const BATCH: usize = 64 << 10;

/// Chunks that are nested deeper than this are parsed on a large stack. pest itself guards none: the scan has refused what is
/// deeper than [`scan::NESTING_MAX`], for which this one suffices.
const DEPTH_ON_ANY_STACK: usize = 12;
const LARGE_STACK: usize = 64 << 20;

/// What [`parse`] made of a text.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub file: tree::File,
    /// Errors and warnings, in the order of their places. What could not be parsed is an `Error` node, and has its error here.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses one source. Never fails: what cannot be parsed is an `Error` node with one diagnostic, and the rest goes on.
///
/// A byte order mark is skipped; CRLF is a newline, and CR alone is refused. Linear in the length of the text, whatever it holds.
pub fn parse(source: SourceId, text: &str) -> Parsed {
    parse_by(source, text, BATCH)
}

/// As [`parse`], in batches of about so many bytes, beside each other.
fn parse_by(source: SourceId, text: &str, batch: usize) -> Parsed {
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    if let Some(refused) = refuse(source, text) {
        let span = Span::new(source, start, text.len().min(u32::MAX as usize));
        let item = tree::Item { doc: None, kind: tree::ItemKind::Error(tree::Broken { words: Vec::new() }), span };
        return Parsed { file: tree::File { items: vec![item], span }, diagnostics: vec![refused] };
    }
    let chunks = scan::split(text, start..text.len());
    let batches = batches(&chunks, batch);
    let mut parts: Vec<(Vec<tree::Item>, Vec<Diagnostic>)> = match &batches[..] {
        [one] => vec![parse_batch(source, text, one)],
        many => many.par_iter().map(|batch| parse_batch(source, text, batch)).collect(),
    };
    let mut diagnostics: Vec<Diagnostic> = parts.iter_mut().flat_map(|(_, found)| std::mem::take(found)).collect();
    by_place(&mut diagnostics);
    let mut items = match parts.len() {
        1 => parts.pop().expect("there is one").0,
        _ => parts.into_iter().flat_map(|(items, _)| items).collect(),
    };
    forget_swallowed(text, &mut items, &mut diagnostics);
    Parsed { file: tree::File { items, span: Span::new(source, start, text.len()) }, diagnostics }
}

/// So many beginnings of comments and texts of other languages are followed that have no end.
const ENDLESS_MAX: u32 = 50;

/// What stands in a comment or a text that is written as in other languages was said with its beginning: the lines in it are none.
/// Whether there was such a thing.
fn forget_swallowed(text: &str, items: &mut Vec<tree::Item>, diagnostics: &mut Vec<Diagnostic>) -> bool {
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    // What has no end is looked for up to the end of the text, and not many times over.
    let mut endless = 0;
    diagnostics.retain(|it| {
        let Some(at) = it.labels.first().map(|(span, _)| span.start as usize) else { return true };
        if ranges.last().is_some_and(|last| last.start < at && at < last.end) {
            return false;
        }
        if endless < ENDLESS_MAX && explain::may_swallow(text, at) {
            match explain::swallowed(text, at) {
                Some(range) => ranges.push(range),
                None => endless += 1,
            }
        }
        true
    });
    let mut left = ranges.iter().peekable();
    items.retain(|it| {
        let at = it.span.start as usize;
        while left.next_if(|range| range.end <= at).is_some() {}
        left.peek().is_none_or(|range| range.start >= at)
    });
    !ranges.is_empty()
}

fn by_place(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(|it| it.labels.first().map(|(span, _)| span.start));
}

/// What no part of is parsed: a file that is too large, or has a CR without LF.
fn refuse(source: SourceId, text: &str) -> Option<Diagnostic> {
    if text.len() > FILE_MAX {
        let size = text.len() >> 20;
        return Some(
            Code::Limit
                .error("a file is at most 16 MiB long")
                .label(Span::new(source, 0, 0), format!("this one has {size} MiB"))
                .help("split it: all `.stack` files of a directory are one program"),
        );
    }
    let bytes = text.as_bytes();
    let lone = bytes.iter().enumerate().find(|(at, byte)| **byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'))?.0;
    Some(
        Code::Syntax
            .error("a carriage return without a newline ends no line")
            .label(Span::new(source, lone, lone + 1), "found here")
            .help("save the file with LF or CRLF as line ends"),
    )
}

fn batches(chunks: &[Chunk], most: usize) -> Vec<&[Chunk]> {
    let mut batches = Vec::new();
    let (mut from, mut size) = (0, 0);
    for (index, chunk) in chunks.iter().enumerate() {
        size += chunk.range.len();
        if size >= most {
            batches.push(&chunks[from..=index]);
            (from, size) = (index + 1, 0);
        }
    }
    if from < chunks.len() || batches.is_empty() {
        batches.push(&chunks[from..]);
    }
    batches
}

fn parse_batch(source: SourceId, text: &str, chunks: &[Chunk]) -> (Vec<tree::Item>, Vec<Diagnostic>) {
    on_enough_stack(chunks, || {
        let mut builder = Builder::new(source);
        let mut items = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            items.append(&mut recover::parse_items(&mut builder, text, chunk));
        }
        (items, builder.diagnostics)
    })
}

/// Runs what reads these chunks, on a stack of its own if one of them is deep.
fn on_enough_stack<T>(chunks: &[Chunk], run: impl FnOnce() -> T) -> T {
    if chunks.iter().all(|chunk| chunk.depth <= DEPTH_ON_ANY_STACK) {
        return run();
    }
    stacker::maybe_grow(LARGE_STACK / 2, LARGE_STACK, run)
}
