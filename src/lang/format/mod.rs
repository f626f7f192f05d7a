//! The one way in which `.stack` files are laid out.
//!
//! Works on the lexemes of a text that parses: order, comments and strings stay as they are, and so does the choice between one
//! line and several. What changes are blanks, indentation, commas, and lines that are too long. The result is parsed again and
//! compared with what was there: a formatter that changes a meaning would be worse than none.

mod layout;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use crate::lang::syntax::lexemes::{Group, Kind, Lexeme, lexemes};
use crate::lang::syntax::{self, tree};
use crate::model::{Diagnostic, SourceId, Span};

/// Columns of a line, beyond which what could stand on several lines does.
const WIDTH: usize = 120;

/// Lays out a text. Idempotent. A text with errors is not touched: the errors are given back.
pub fn format(source: SourceId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = syntax::parse(source, text);
    if parsed.diagnostics.iter().any(Diagnostic::is_error) {
        return Err(parsed.diagnostics);
    }
    let mut pieces = Pieces::new(text, lexemes(text));
    for _ in 0..32 {
        pieces.settle_breaks();
        let lines = layout::lines(&pieces);
        if !pieces.break_long_lines(&lines) {
            break;
        }
    }
    pieces.settle_breaks();
    let formatted = layout::write(&pieces);
    let again = syntax::parse(source, &formatted);
    if shape(&again.file) != shape(&parsed.file) {
        debug_assert!(false, "formatting changed what this means:\n{text}\n---- became\n{formatted}");
        return Ok(text.to_owned());
    }
    Ok(formatted)
}

/// Lays out the items of which one of these lines is a part; everything else stays as it is, right or wrong. The first line is 1.
///
/// Errors: those of the items that are to be laid out.
pub fn format_lines(source: SourceId, text: &str, lines: &RangeInclusive<u32>) -> Result<String, Vec<Diagnostic>> {
    let parsed = syntax::parse(source, text);
    let line_of = |at: u32| text[..at as usize].matches('\n').count() as u32 + 1;
    let wanted = |span: Span| line_of(span.start) <= *lines.end() && line_of(span.end.max(span.start + 1) - 1) >= *lines.start();
    let spans: Vec<Span> = parsed.file.items.iter().map(|item| item.span).filter(|span| wanted(*span)).collect();
    let inside = |it: &Diagnostic| {
        let at = it.labels.first().map_or(0, |(span, _)| span.start);
        it.is_error() && spans.iter().any(|span| span.start <= at && at <= span.end)
    };
    let errors: Vec<Diagnostic> = parsed.diagnostics.into_iter().filter(inside).collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut out = text.to_owned();
    for span in spans.iter().rev() {
        let range = span.start as usize..span.end as usize;
        let item = format(source, &text[range.clone()])?;
        out.replace_range(range, item.trim_end());
    }
    Ok(out)
}

/// The tree without its places.
fn shape(file: &tree::File) -> String {
    // A place is a field that is written as `span: 0:12..34`.
    let debug = format!("{file:?}").replace("braces: ", "span: ");
    let mut parts = debug.split("span: ");
    let mut out = String::with_capacity(debug.len());
    out.push_str(parts.next().unwrap_or(""));
    for part in parts {
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':' || c == '.'));
    }
    out
}

/// A lexeme with what the layout decides about it.
#[derive(Clone, Copy, Debug)]
struct Piece<'t> {
    text: &'t str,
    kind: Kind,
    breaks: usize,
    /// The index of the bracket that it stands in.
    parent: Option<usize>,
    /// For an opening bracket its closing one, and the other way round.
    partner: usize,
    /// The column at which it stood, for comments behind code.
    col: usize,
    /// Whether blanks stood before it.
    spaced: bool,
    /// The piece before it that is no comment, and whether a newline stands between the two.
    code_before: Option<usize>,
    broke: bool,
}

struct Pieces<'t> {
    all: Vec<Piece<'t>>,
}

impl<'t> Pieces<'t> {
    fn new(text: &'t str, lexemes: Vec<Lexeme>) -> Self {
        let mut all: Vec<Piece<'t>> = Vec::with_capacity(lexemes.len());
        let mut last_end = 0;
        for lexeme in lexemes {
            let piece = text[lexeme.start..lexeme.end].trim_end();
            let col = match lexeme.kind {
                Kind::Comment => text[..lexeme.start].chars().rev().take_while(|c| *c != '\n').count(),
                _ => 0,
            };
            let spaced = lexeme.start > last_end;
            let breaks = lexeme.breaks.min(2);
            all.push(Piece {
                text: piece,
                kind: lexeme.kind,
                breaks,
                col,
                spaced,
                parent: None,
                partner: 0,
                code_before: None,
                broke: false,
            });
            last_end = lexeme.end;
        }
        let mut pieces = Pieces { all };
        pieces.pair();
        pieces
    }

    fn pair(&mut self) {
        let mut open: Vec<usize> = Vec::new();
        let (mut code_before, mut broke) = (None, false);
        for index in 0..self.all.len() {
            broke |= self.all[index].breaks > 0;
            (self.all[index].code_before, self.all[index].broke) = (code_before, broke);
            if self.all[index].kind != Kind::Comment {
                (code_before, broke) = (Some(index), false);
            }
            if self.all[index].kind == Kind::Close {
                let partner = open.pop().expect("the text parses");
                (self.all[index].partner, self.all[partner].partner) = (partner, index);
            }
            self.all[index].parent = open.last().copied();
            if matches!(self.all[index].kind, Kind::Open(_)) {
                open.push(index);
            }
        }
    }

    fn group(&self, open: Option<usize>) -> Group {
        match open.map(|index| self.all[index].kind) {
            Some(Kind::Open(group)) => group,
            _ => Group::Entries,
        }
    }

    /// Whether a comma parts entries or elements here; the one of `for k, v in m` does not.
    fn is_comma(&self, index: usize) -> bool {
        let is_for = |it: usize| self.all[it].kind == Kind::Word && self.all[it].text == "for";
        self.all[index].kind == Kind::Sign && self.all[index].text == "," && !index.checked_sub(2).is_some_and(is_for)
    }

    /// Whether a line goes on from one piece to the next although a newline stands between them.
    fn goes_on(&self, before: usize, next: usize) -> bool {
        let (before, next) = (&self.all[before], &self.all[next]);
        let after = match before.kind {
            Kind::Op => before.text != ".." || next.kind != Kind::Close,
            Kind::Sign => matches!(before.text, "=" | "=>" | ":" | "|" | "." | "..."),
            Kind::Word => matches!(before.text, "then" | "else" | "in"),
            Kind::Prefix => true,
            _ => false,
        };
        let ahead = match next.kind {
            Kind::Op => true,
            Kind::Sign => matches!(next.text, "." | "?." | "|" | "=>"),
            Kind::Word => matches!(next.text, "then" | "else"),
            _ => false,
        };
        after || ahead
    }

    /// Whether an entry, item or element begins here.
    fn begins(&self, index: usize) -> bool {
        let piece = &self.all[index];
        let Some(before) = piece.code_before else { return true };
        if Some(before) == piece.parent || self.is_comma(before) && self.all[before].parent == piece.parent {
            return true;
        }
        let parts_by_newline = self.group(piece.parent) == Group::Entries;
        piece.kind != Kind::Close && parts_by_newline && piece.broke && !self.goes_on(before, index)
    }

    /// By opening bracket, whether what it holds stands on several lines: it has a newline of its own, or, for entries, anywhere.
    fn multi_line_groups(&self) -> Vec<bool> {
        let mut is_multi = vec![false; self.all.len()];
        for piece in self.all.iter().filter(|it| it.breaks > 0) {
            let own = if piece.kind == Kind::Close { Some(piece.partner) } else { piece.parent };
            let Some(own) = own else { continue };
            is_multi[own] = true;
            let mut outer = self.all[own].parent;
            while let Some(open) = outer {
                is_multi[open] |= self.group(Some(open)) == Group::Entries;
                outer = self.all[open].parent;
            }
        }
        is_multi
    }

    /// Makes breaks and commas regular: what has a break inside has one behind its opening and before its closing bracket, what
    /// stands on several lines has one entry a line, and commas stand where newlines do not part.
    fn settle_breaks(&mut self) {
        let begins: Vec<bool> = (0..self.all.len()).map(|index| self.begins(index)).collect();
        let is_multi = self.multi_line_groups();
        let mut kept: Vec<Piece<'t>> = Vec::with_capacity(self.all.len() + 16);
        let mut after_dropped_comma = false;
        for (index, &piece) in self.all.iter().enumerate() {
            let mut piece = piece;
            let parent = piece.parent;
            let group = self.group(parent);
            let multi = parent.is_none_or(|open| is_multi[open]);
            let first = parent.is_some() && index.checked_sub(1) == parent;
            if piece.kind == Kind::Comment && piece.breaks == 0 {
                // Behind code, and the comma that the code may still get stands before it.
                kept.push(piece);
                continue;
            }
            if self.is_comma(index) {
                let next_closes =
                    self.all[index + 1..].iter().find(|it| it.kind != Kind::Comment).is_none_or(|it| it.kind == Kind::Close);
                let drop = match group {
                    Group::Entries => multi || next_closes,
                    _ => next_closes,
                };
                if drop {
                    after_dropped_comma |= group == Group::Entries && multi;
                    continue;
                }
                // Comments before it stay behind it.
                piece.breaks = 0;
                let at = kept.iter().rposition(|it| it.kind != Kind::Comment).map_or(0, |last| last + 1);
                kept.insert(at, piece);
                continue;
            }
            if piece.kind == Kind::Close {
                let open = piece.partner;
                let inner = self.group(Some(open));
                let regular = matches!(inner, Group::Entries | Group::List | Group::Arms | Group::Call | Group::Comprehension);
                if is_multi[open] && (regular || piece.breaks > 0) {
                    piece.breaks = 1;
                    let is_empty = open + 1 == index;
                    if matches!(inner, Group::List | Group::Arms | Group::Call) && !is_empty && !self.maybe_refinement(open) {
                        put_comma(&mut kept, open);
                    }
                } else {
                    piece.breaks = 0;
                }
                after_dropped_comma = false;
                kept.push(piece);
                continue;
            }
            if multi {
                let regular = matches!(group, Group::Entries | Group::List | Group::Arms | Group::Call | Group::Comprehension);
                if first && regular && parent.is_some() {
                    piece.breaks = 1;
                } else if first {
                    piece.breaks = piece.breaks.min(1);
                } else if begins[index] && group == Group::Entries && (after_dropped_comma || piece.breaks > 0) && index > 0 {
                    piece.breaks = piece.breaks.max(1);
                } else if !begins[index] && piece.kind != Kind::Comment {
                    piece.breaks = piece.breaks.min(1);
                }
            }
            if piece.kind == Kind::Word
                && piece.text == "else"
                && index > 0
                && self.all[index - 1].kind == Kind::Close
                && self.all[index - 1].text == "}"
                && self.group(Some(self.all[index - 1].partner)) == Group::Entries
                && group == Group::Entries
                && self.starts_with_if(index)
            {
                piece.breaks = 0;
            }
            if index == 0 {
                piece.breaks = 0;
            }
            if piece.kind != Kind::Comment {
                after_dropped_comma = false;
            }
            kept.push(piece);
        }
        for index in 1..kept.len() {
            if kept[index - 1].kind == Kind::Comment {
                kept[index].breaks = kept[index].breaks.max(1);
            }
        }
        self.all = kept;
        self.pair();
    }

    /// Whether the item that this `else` belongs to is an `if`, not a value with one.
    fn starts_with_if(&self, index: usize) -> bool {
        let parent = self.all[index].parent;
        let mut at = index;
        while let Some(before) = at.checked_sub(1) {
            let start = if self.all[before].kind == Kind::Close { self.all[before].partner } else { before };
            if Some(start) == parent || self.is_comma(start) {
                break;
            }
            at = start;
            if self.begins(at) {
                break;
            }
        }
        self.all[at].kind == Kind::Word && self.all[at].text == "if"
    }

    /// Whether brackets may be those of `int(1..10)` or `string(re"…")`, in which no comma stands.
    fn maybe_refinement(&self, open: usize) -> bool {
        let inside = &self.all[open + 1..self.all[open].partner];
        let is_range = |it: &Piece<'_>| it.parent == Some(open) && it.kind != Kind::Comment && it.text == "..";
        let is_regex = |it: &Piece<'_>| it.kind == Kind::Literal && it.text.starts_with("re\"");
        self.group(Some(open)) == Group::Call
            && !(open + 1..self.all[open].partner).any(|at| self.all[at].parent == Some(open) && self.is_comma(at))
            && (inside.iter().any(is_range) || matches!(inside, [only] if is_regex(only)))
    }

    /// The `else` of a `require` that stands on one line: its message goes to the next one.
    fn message_of_require(&self, line: &layout::Line) -> Option<usize> {
        let first = self.all.get(line.first).filter(|it| it.kind == Kind::Word && it.text == "require")?;
        let is_else = |at: &usize| {
            let piece = &self.all[*at];
            piece.kind == Kind::Word && piece.text == "else" && piece.parent == first.parent
        };
        (line.first + 1..line.end).rev().find(is_else)
    }

    /// Opens the widest bracket of each line that is too long; whether there was one.
    fn break_long_lines(&mut self, lines: &[layout::Line]) -> bool {
        let mut changed = false;
        for line in lines.iter().filter(|line| line.width > WIDTH) {
            if let Some(at) = self.message_of_require(line) {
                self.all[at].breaks = 1;
                changed = true;
                continue;
            }
            let mut best: Option<(usize, usize)> = None;
            let mut index = line.first;
            while index < line.end {
                if let Kind::Open(group) = self.all[index].kind
                    && self.all[index].partner < line.end
                {
                    let close = self.all[index].partner;
                    let width: usize = self.all[index..=close].iter().map(|it| it.text.len() + 1).sum();
                    let fits = matches!(group, Group::Entries | Group::List | Group::Call | Group::Arms)
                        && close > index + 1
                        && !self.maybe_refinement(index);
                    if fits && best.is_none_or(|(_, widest)| width > widest) {
                        best = Some((index, width));
                    }
                    if fits {
                        index = close;
                    }
                }
                index += 1;
            }
            let Some((open, _)) = best else { continue };
            let close = self.all[open].partner;
            self.all[open + 1].breaks = 1;
            self.all[close].breaks = 1;
            for index in open + 2..close {
                if self.all[index].parent == Some(open) && self.is_comma(index - 1) && self.all[index - 1].parent == Some(open) {
                    self.all[index].breaks = 1;
                }
            }
            changed = true;
        }
        changed
    }
}

/// Puts a comma behind the last code of a list, before the comments that follow it.
fn put_comma(kept: &mut Vec<Piece<'_>>, open: usize) {
    let Some(last) = kept.iter().rposition(|it| it.kind != Kind::Comment) else { return };
    if kept[last].text != "," && !matches!(kept[last].kind, Kind::Open(_)) {
        let comma = Piece { text: ",", kind: Kind::Sign, breaks: 0, parent: Some(open), partner: 0, ..kept[last] };
        kept.insert(last + 1, comma);
    }
}
