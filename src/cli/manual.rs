//! Pages of `docs` as text and as Markdown.

use super::escape::Escaped;
use super::terminal::{Ink, Terminal, columns};
use crate::ops::docs::{Page, Row, Section, Topic};

/// One line for each page, below a head for each topic.
pub fn list(pages: &[Page], terminal: &Terminal) -> String {
    let mut out = String::new();
    let width = pages.iter().map(|it| it.name.len()).max().unwrap_or(0).min(32);
    let mut topic: Option<Topic> = None;
    for page in pages {
        if topic != Some(page.what) {
            let gap = if topic.is_some() { "\n" } else { "" };
            out.push_str(&format!("{gap}{}\n", terminal.paint(Ink::Strong, page.what.plural())));
            topic = Some(page.what);
        }
        out.push_str(format!("  {:width$}  {}", page.name, Escaped(page.summary())).trim_end());
        out.push('\n');
    }
    out
}

/// One page for a terminal.
pub fn text(page: &Page, terminal: &Terminal) -> String {
    let head = page.signature.as_deref().unwrap_or(&page.name);
    let mut out: String = head.lines().map(|line| format!("{}\n", terminal.paint(Ink::Strong, Escaped(line)))).collect();
    if !page.doc.is_empty() {
        out.push_str(&wrapped(&page.doc, 2, terminal.width));
    }
    page.facts.iter().for_each(|fact| out.push_str(&wrapped(fact, 2, terminal.width)));
    if let Some((example, gives)) = &page.example {
        out.push_str(&format!("  {} == {}\n", Escaped(example), Escaped(gives)));
    }
    for Section { title, rows } in &page.sections {
        out.push_str(&format!("\n{}\n", terminal.paint(Ink::Strong, title)));
        for row in rows {
            out.push_str(&format!("  {}\n", Escaped(&declaration(row))));
            let words = sentence(row);
            if !words.is_empty() {
                out.push_str(&wrapped(&words, 6, terminal.width));
            }
        }
    }
    out
}

/// `memory: size = 256MiB`
fn declaration(row: &Row) -> String {
    let default = row.default.as_ref().map(|it| format!(" = {it}")).unwrap_or_default();
    format!("{}: {}{default}", row.name, row.ty)
}

/// What is said of a field, and what holds of it.
fn sentence(row: &Row) -> String {
    let marks = row.marks.join("; ");
    match (row.doc.is_empty(), marks.is_empty()) {
        (true, _) => marks,
        (false, true) => row.doc.clone(),
        (false, false) => format!("{} ({marks})", row.doc),
    }
}

fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let mut out = String::new();
    let mut line = " ".repeat(indent);
    let text = Escaped(text).to_string();
    for word in text.split_whitespace() {
        let empty = line.len() == indent;
        if !empty && columns(&line) + 1 + columns(word) > width.max(40) {
            out.push_str(&line);
            out.push('\n');
            line = " ".repeat(indent);
        } else if !empty {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
    out
}

/// Pages as one document, a section each.
pub fn markdown(pages: &[Page]) -> String {
    pages.iter().map(section).collect::<Vec<_>>().join("\n")
}

fn section(page: &Page) -> String {
    let mut out = format!("## {}\n", page.name);
    if let Some(signature) = &page.signature {
        out.push_str(&format!("\n```text\n{signature}\n```\n"));
    }
    if !page.doc.is_empty() {
        out.push_str(&format!("\n{}\n", page.doc));
    }
    if !page.facts.is_empty() {
        out.push_str(&format!("\n{}\n", page.facts.join(" ")));
    }
    if let Some((example, gives)) = &page.example {
        out.push_str(&format!("\n`{example}` is `{gives}`.\n"));
    }
    for Section { title, rows } in &page.sections {
        out.push_str(&format!("\n| {title} | type | default | |\n| --- | --- | --- | --- |\n"));
        for row in rows {
            let default = row.default.as_ref().map(|it| code(it)).unwrap_or_default();
            let cells = [code(&row.name), code(&row.ty), default, cell(&sentence(row))];
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
    }
    out
}

fn code(text: &str) -> String {
    let ticks = if text.contains('`') { "``" } else { "`" };
    format!("{ticks}{}{ticks}", cell(text))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// `docs/kinds.md`: the kinds and types of the standard library.
pub fn kinds(pages: &[Page]) -> String {
    let of = |topic: Topic| pages.iter().filter(|it| it.what == topic).cloned().collect::<Vec<_>>();
    format!(
        "# Kinds of the standard library\n\nPrinted by `stackwright docs kinds --markdown`; the source is `stdlib/`. `stackwright docs service` shows \
         one of them.\n\n{}\n# Types\n\n{}",
        markdown(&of(Topic::Kind)),
        markdown(&of(Topic::Type)),
    )
}
