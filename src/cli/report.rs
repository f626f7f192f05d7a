//! Diagnostics on a screen. [`Shown`] is a diagnostic in miette's terms, so that whoever embeds the library can hand it to any of
//! miette's handlers; [`Shown::print`] is ours, since it shows labels in several files and facts with heads of their own.

use std::fmt;

use miette::{Diagnostic as _, LabeledSpan, SourceCode};

use super::escape::Escaped;
use super::terminal::{Ink, Terminal};
use crate::model::{Diagnostic, Origin, Severity, Sources, Span};

/// A diagnostic together with the texts that it points into.
pub struct Shown<'d> {
    diagnostic: &'d Diagnostic,
    sources: &'d Sources,
    terminal: Terminal,
}

impl<'d> Shown<'d> {
    pub fn new(diagnostic: &'d Diagnostic, sources: &'d Sources, terminal: Terminal) -> Self {
        Shown { diagnostic, sources, terminal }
    }

    /// The whole message, with a newline at its end.
    pub fn render(&self) -> String {
        let mut out = String::new();
        self.print(&mut out).expect("writing into memory does not fail");
        out
    }

    /// Prints as the documentation shows: the place in the first line, the wrong text underlined, then facts, then what to do.
    fn print(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Shown { diagnostic, sources, terminal } = self;
        let (word, ink) = match self.severity() {
            Some(miette::Severity::Warning) => ("warning", Ink::Change),
            _ => ("error", Ink::Bad),
        };
        let place = diagnostic.span().and_then(|span| sources.place(span));
        let place = place.map(|place| format!(" {}", Escaped(&place.to_string()))).unwrap_or_default();
        let head = terminal.paint(ink, format!("{word}[{}]", diagnostic.code));
        writeln!(f, "{head}{place}: {}", terminal.paint(Ink::Strong, self))?;
        if terminal.plain {
            plain_labels(f, diagnostic, sources)?;
        } else {
            snippets(f, diagnostic, sources, terminal, ink)?;
        }
        for (head, text) in &diagnostic.notes {
            facts(f, head, text)?;
        }
        let mut help = diagnostic.help.clone();
        if crate::ops::fix::sure(diagnostic).is_some_and(|fix| fix.edits.iter().all(|edit| is_file(edit.span, sources))) {
            match help.first_mut() {
                Some(first) if first.ends_with('`') => first.push_str("; `stackwright fix` writes it"),
                _ => help.push("`stackwright fix` puts it right".to_owned()),
            }
        }
        for text in &help {
            facts(f, "help", text)?;
        }
        Ok(())
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(&self.diagnostic.message))
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        (!self.diagnostic.help.is_empty()).then(|| Box::new(self.diagnostic.help.join("\n")) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        let source = self.sources.get(self.diagnostic.span()?.source)?;
        Some(&source.text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let first = self.diagnostic.span()?.source;
        let labels = self.diagnostic.labels.iter().filter(move |(span, _)| span.source == first);
        Some(Box::new(
            labels
                .map(|(span, text)| LabeledSpan::new(Some(text.clone()), span.start as usize, (span.end - span.start) as usize)),
        ))
    }
}

/// Whether a place is in a file of the stack, which `fix` may write.
fn is_file(span: Span, sources: &Sources) -> bool {
    sources.get(span.source).is_some_and(|source| source.origin == Origin::File)
}

fn facts(f: &mut impl fmt::Write, head: &str, text: &str) -> fmt::Result {
    for (at, line) in text.lines().enumerate() {
        let head = if at == 0 { format!("{head}:") } else { " ".repeat(head.len() + 1) };
        writeln!(f, "   = {head} {}", Escaped(line))?;
    }
    Ok(())
}

/// `line 30, columns 12 to 17: unknown field`, for `--plain`.
fn plain_labels(f: &mut impl fmt::Write, diagnostic: &Diagnostic, sources: &Sources) -> fmt::Result {
    for (span, text) in &diagnostic.labels {
        let Some(place) = sources.place(*span) else { continue };
        let last = place.end_col.saturating_sub(1).max(place.col);
        writeln!(
            f,
            "   place: {}, line {}, columns {} to {last}: {}",
            Escaped(&place.file),
            place.line,
            place.col,
            Escaped(text)
        )?;
    }
    Ok(())
}

/// Source lines with their labels: those of the first file in the order of their lines, then other files behind `:::`.
fn snippets(f: &mut impl fmt::Write, diagnostic: &Diagnostic, sources: &Sources, terminal: &Terminal, ink: Ink) -> fmt::Result {
    let Some(first) = diagnostic.span() else { return Ok(()) };
    let mut labels: Vec<Label<'_>> = diagnostic.labels.iter().enumerate().filter_map(|it| Label::of(it, sources)).collect();
    labels.sort_by_key(|label| (label.span.source != first.source, label.span.source, label.line, label.col));
    let gutter = labels.iter().map(|label| label.line.to_string().len()).max().unwrap_or(1);
    let (mut file, mut line_shown) = (first.source, 0);
    for label in labels {
        if label.span.source != file {
            file = label.span.source;
            line_shown = 0;
            let place = sources.place(label.span).expect("a label was made from a place");
            writeln!(f, "{:gutter$} ::: {}", "", Escaped(&place.to_string()))?;
        }
        if label.line != line_shown {
            line_shown = label.line;
            writeln!(f, "{:>gutter$} | {}", label.line, label.text)?;
        }
        let marks = if label.first { "^" } else { "-" }.repeat(label.width);
        let marks =
            terminal.paint(if label.first { ink } else { Ink::Data }, format!("{marks} {}", Escaped(label.words)).trim_end());
        writeln!(f, "{:gutter$} | {}{marks}", "", " ".repeat(label.indent))?;
    }
    Ok(())
}

struct Label<'d> {
    span: Span,
    words: &'d str,
    /// The one that is wrong; others only take part.
    first: bool,
    line: u32,
    col: u32,
    /// The line, clipped around the label and safe to show.
    text: String,
    /// Columns before the marks, and how many marks.
    indent: usize,
    width: usize,
}

/// A line is shown up to this many characters, around its label.
const LINE_SHOWN: usize = 140;

impl<'d> Label<'d> {
    fn of((at, (span, words)): (usize, &'d (Span, String)), sources: &'d Sources) -> Option<Label<'d>> {
        let place = sources.place(*span)?;
        let source = sources.get(span.source)?;
        let start = *source.line_starts().get(place.line as usize - 1)? as usize;
        let line = source.text[start..].split(['\n', '\r']).next().unwrap_or("");
        let (before, rest) = line.split_at((span.start as usize - start).min(line.len()));
        let wrong = rest.get(..(span.end - span.start) as usize).unwrap_or(rest);
        let skip = before.chars().count().saturating_sub(LINE_SHOWN / 2);
        let lead: String = before.chars().skip(skip).collect();
        let mut text = Escaped(&lead.replace('\t', " ")).to_string();
        if skip > 0 {
            text.insert(0, '…');
        }
        let indent = super::terminal::columns(&text);
        let room = LINE_SHOWN.saturating_sub(lead.chars().count()).max(1);
        text.push_str(&super::escape::clipped(&rest.replace('\t', " "), room));
        let width = super::terminal::columns(&super::escape::clipped(wrong, room)).max(1);
        Some(Label { span: *span, words, first: at == 0, line: place.line, col: place.col, text, indent, width })
    }
}

/// All diagnostics, errors last so that they stand next to the prompt, and their count.
pub fn render_all(diagnostics: &[Diagnostic], sources: &Sources, terminal: Terminal) -> String {
    let mut order: Vec<&Diagnostic> = diagnostics.iter().collect();
    order.sort_by_key(|it| (it.is_error(), it.span()));
    let mut out: String = order.iter().map(|it| Shown::new(it, sources, terminal).render()).collect();
    let errors = diagnostics.iter().filter(|it| it.is_error()).count();
    out.push_str(&match (errors, diagnostics.len() - errors) {
        (0, 0) => String::new(),
        (0, warnings) => format!("{}\n", count(warnings, "warning")),
        (errors, 0) => format!("{}\n", count(errors, "error")),
        (errors, warnings) => format!("{}, {}\n", count(errors, "error"), count(warnings, "warning")),
    });
    out
}

/// `1 error`, `2 errors`.
pub fn count(number: usize, word: &str) -> String {
    count_of(number, word, &format!("{word}s"))
}

/// `1 fix`, `2 fixes`.
pub fn count_of(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
