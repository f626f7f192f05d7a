//! A text that changes under an editor, and its tree: after an edit only the items in which something changed are parsed again.
//!
//! The tree and the diagnostics are at all times those that [`super::parse`] would give for the whole text; the tests hold the
//! two against each other.

use std::sync::Arc;

use super::shift::{By, Shift};
use super::{Parsed, parse, scan, tree};
use crate::model::{Diagnostic, SourceId, Span};

/// With more errors than this, the whole text is parsed: there is a limit to how many are said, and it holds for the whole.
const ERRORS_MAX: usize = 100;

/// One text with what parsing made of it.
pub struct Document {
    source: SourceId,
    text: Arc<str>,
    /// The chunks of the text, one after the other from `start` on; empty where the text as a whole was refused.
    parts: Vec<Part>,
    start: usize,
    diagnostics: Vec<Diagnostic>,
}

/// A run of whole items.
#[derive(Clone, Copy)]
struct Part {
    bytes: usize,
    items: usize,
    /// Nothing was said about it, so that nothing but its places depends on where it stands.
    clean: bool,
}

impl Document {
    /// Parses a text; the tree is for whoever asks to keep beside the document, and to give back with every edit.
    pub fn new(source: SourceId, text: Arc<str>) -> (Document, tree::File) {
        let mut file = tree::File { items: Vec::new(), span: Span::new(source, 0, 0) };
        let mut document = Document { source, text: "".into(), parts: Vec::new(), start: 0, diagnostics: Vec::new() };
        document.set(&mut file, text);
        (document, file)
    }

    pub fn source(&self) -> SourceId {
        self.source
    }

    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// In the order of their places.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Puts another text in place of the present one, and brings the tree up to date.
    pub fn set(&mut self, file: &mut tree::File, text: Arc<str>) {
        let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
        if super::refuse(self.source, &text).is_some() {
            return self.whole(file, text, None);
        }
        let chunks = scan::split(&text, start..text.len());
        if self.parts.is_empty() || self.start != start || self.diagnostics.len() > ERRORS_MAX {
            return self.whole(file, text, Some(&chunks));
        }
        let old_ranges: Vec<std::ops::Range<usize>> = self
            .parts
            .iter()
            .scan(self.start, |at, part| {
                let range = *at..*at + part.bytes;
                *at = range.end;
                Some(range)
            })
            .collect();
        let same = |old: usize, new: usize| self.text[old_ranges[old].clone()] == text[chunks[new].range.clone()];
        let before = (0..chunks.len().min(self.parts.len())).take_while(|at| same(*at, *at)).count();
        let most = chunks.len().min(self.parts.len()) - before;
        let after = (1..=most).take_while(|back| same(self.parts.len() - back, chunks.len() - back)).count();
        let by = By(text.len() as i64 - self.text.len() as i64);
        let mut items = Vec::with_capacity(file.items.len() + chunks.len());
        let mut parts = Vec::with_capacity(chunks.len());
        let mut diagnostics = Vec::new();
        let mut left = std::mem::take(&mut file.items).into_iter();
        let first_after = (self.parts.len() - after, chunks.len() - after);
        for (new, chunk) in chunks.iter().enumerate() {
            if new == before {
                // What stood between what stays is gone.
                let gone: usize = self.parts[before..first_after.0].iter().map(|part| part.items).sum();
                left.by_ref().take(gone).for_each(drop);
            }
            let old = match new {
                _ if new < before => Some(new),
                _ if new >= first_after.1 => Some(new - first_after.1 + first_after.0),
                _ => None,
            };
            if let Some(part) = old.map(|old| self.parts[old]) {
                if part.clean {
                    let from = items.len();
                    items.extend(left.by_ref().take(part.items));
                    if new >= first_after.1 && by != By(0) {
                        items[from..].iter_mut().for_each(|item: &mut tree::Item| item.shift(by));
                    }
                    parts.push(part);
                    continue;
                }
                left.by_ref().take(part.items).for_each(drop);
            }
            let (mut made, mut said) = super::parse_batch(self.source, &text, std::slice::from_ref(chunk));
            parts.push(Part { bytes: chunk.range.len(), items: made.len(), clean: said.is_empty() });
            items.append(&mut made);
            diagnostics.append(&mut said);
        }
        super::by_place(&mut diagnostics);
        if diagnostics.len() > ERRORS_MAX || super::forget_swallowed(&text, &mut items, &mut diagnostics) {
            return self.whole(file, text, Some(&chunks));
        }
        drop(left);
        *file = tree::File { items, span: Span::new(self.source, start, text.len()) };
        (self.text, self.parts, self.diagnostics) = (text, parts, diagnostics);
    }

    /// Parses all of it.
    fn whole(&mut self, file: &mut tree::File, text: Arc<str>, chunks: Option<&[scan::Chunk]>) {
        let Parsed { file: parsed, diagnostics } = parse(self.source, &text);
        self.start = if text.starts_with('\u{feff}') { 3 } else { 0 };
        self.parts = match chunks {
            Some(chunks) if diagnostics.is_empty() => clean_parts(chunks, &parsed.items),
            // Which chunk an error came from is known by parsing each alone.
            Some(chunks) if diagnostics.len() <= ERRORS_MAX => {
                let parts: Vec<Part> = chunks
                    .iter()
                    .map(|chunk| {
                        let (items, said) = super::parse_batch(self.source, &text, std::slice::from_ref(chunk));
                        Part { bytes: chunk.range.len(), items: items.len(), clean: said.is_empty() }
                    })
                    .collect();
                // Items that were left out belong to no chunk: then each edit is followed by a parse of the whole.
                let all: usize = parts.iter().map(|part| part.items).sum();
                if all == parsed.items.len() { parts } else { Vec::new() }
            }
            _ => Vec::new(),
        };
        (*file, self.text, self.diagnostics) = (parsed, text, diagnostics);
    }
}

/// Which items belong to which chunk: those that begin in it.
fn clean_parts(chunks: &[scan::Chunk], items: &[tree::Item]) -> Vec<Part> {
    let mut item = 0;
    let part = |chunk: &scan::Chunk| {
        let from = item;
        while items.get(item).is_some_and(|it| (it.span.start as usize) < chunk.range.end) {
            item += 1;
        }
        Part { bytes: chunk.range.len(), items: item - from, clean: true }
    };
    chunks.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHOP: &str = include_str!("../../../fixtures/lang/shop.stack");
    const PIECES: [&str; 16] = [
        "}",
        "{",
        "\"",
        "\n",
        "\"\"\"",
        "let x = 1\n",
        "# a comment\n",
        "## doc\n",
        " ",
        "= 1",
        "é",
        "\u{feff}",
        "\r\n",
        "if",
        "service x { port = 8080 }\n",
        "[",
    ];

    proptest! {
        #[test]
        fn after_any_edit_the_tree_is_that_of_the_whole_text(edits in prop::collection::vec((0..3000usize, 0..40usize, 0..16usize), 1..12)) {
            let source = SourceId(0);
            let (mut document, mut file) = Document::new(source, SHOP.into());
            for (at, length, piece) in edits {
                let mut text = document.text().to_string();
                let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                let (from, to) = (floor(at), floor(at.min(text.len()) + length));
                text.replace_range(from..to, PIECES[piece]);
                document.set(&mut file, text.as_str().into());
                let whole = parse(source, &text);
                prop_assert_eq!(format!("{:?}", &file), format!("{:?}", whole.file));
                prop_assert_eq!(document.diagnostics(), &whole.diagnostics[..]);
            }
        }
    }
}
