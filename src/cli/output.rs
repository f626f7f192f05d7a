//! Where text goes: the result to stdout, everything about it to stderr, JSON to either or to a file.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use super::args::Global;
use super::escape::Escaped;
use super::exit::Exit;
use super::notices::Notices;
use super::report;
use super::terminal::Terminal;
use crate::model::{Code, Diagnostic, Sources};
use crate::ops::files::{words, write_whole};
use crate::ops::project::Failure;

/// How this command prints.
#[derive(Clone)]
pub struct Output {
    /// Stdout.
    pub result: Terminal,
    /// Stderr.
    pub about: Terminal,
    pub json: bool,
    pub json_to: Option<PathBuf>,
    pub quiet: bool,
    pub no_input: bool,
    pub notices: Notices,
}

impl Output {
    pub fn new(global: &Global, variable: impl Fn(&str) -> Option<String>) -> Output {
        Output {
            result: Terminal::of(&std::io::stdout(), global.color, global.plain, &variable),
            about: Terminal::of(&std::io::stderr(), global.color, global.plain, &variable),
            json: global.json,
            json_to: global.json_to.clone(),
            quiet: global.quiet,
            no_input: global.no_input,
            notices: Notices::default(),
        }
    }

    /// The result as text; nothing under `--json`.
    pub fn text(&self, text: &str) {
        if !self.json {
            print(&mut std::io::stdout().lock(), text);
        }
    }

    /// Raw bytes of the result, whatever the flags.
    pub fn raw(&self, text: &str) {
        print(&mut std::io::stdout().lock(), text);
    }

    /// Something about the result, such as the next command: to stderr, and not under `--quiet`.
    pub fn about(&self, text: &str) {
        if !self.quiet {
            print(&mut std::io::stderr().lock(), text);
        }
    }

    /// Something that happens meanwhile, to be read before the result is there; as [`Output::about`].
    pub fn notice(&self, line: &str) {
        let line = format!("  {}", Escaped(line));
        if let Some(line) = self.notices.give(line) {
            self.about(&format!("{line}\n"));
        }
    }

    /// Whether a document is asked for. Those that grow with the stack are made only then.
    pub fn wants_document(&self) -> bool {
        self.json || self.json_to.is_some()
    }

    /// The result as one JSON document: to stdout under `--json`, to the file of `--json-to`.
    ///
    /// Errors: [`Code::Unreadable`] where the file cannot be written.
    pub fn document(&self, document: &serde_json::Value) -> Result<(), Failure> {
        if !self.wants_document() {
            return Ok(());
        }
        let mut text = serde_json::to_string_pretty(&super::json::SchemaFirst(document)).expect("documents have text keys");
        text.push('\n');
        let text = escape_json(&text);
        if self.json {
            print(&mut std::io::stdout().lock(), &text);
        }
        if let Some(path) = &self.json_to {
            write_whole(path, text.as_bytes(), 0o644).map_err(|error| {
                let text = format!("`{}` cannot be written: {}", path.display(), words(&error));
                Box::new(Code::Unreadable.error(text))
            })?;
        }
        Ok(())
    }

    /// Diagnostics to stderr, with their count.
    pub fn diagnostics(&self, diagnostics: &[Diagnostic], sources: &Sources) {
        print(&mut std::io::stderr().lock(), &report::render_all(diagnostics, sources, self.about));
    }

    /// The diagnostics that end a command, and its exit code. Under `--json` they are the document.
    pub fn fail(&self, failure: &Failure) -> Exit {
        if self.json || self.json_to.is_some() {
            let document = super::json::diagnostics(&failure.diagnostics, &failure.sources);
            let _ = self.document(&document);
        }
        self.diagnostics(&failure.diagnostics, &failure.sources);
        Exit::of(&failure.diagnostics)
    }

    /// One diagnostic without a text.
    pub fn fail_with(&self, diagnostic: Diagnostic) -> Exit {
        self.fail(&Failure::new(vec![diagnostic], Arc::default()))
    }
}

/// Writes, and ends the process quietly where nobody reads any more.
fn print(to: &mut impl Write, text: &str) {
    if let Err(error) = to.write_all(text.as_bytes()).and_then(|()| to.flush())
        && error.kind() == std::io::ErrorKind::BrokenPipe
    {
        std::process::exit(0);
    }
}

/// Hidden characters that JSON would carry as they are, as `\u` escapes.
fn escape_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && super::escape::is_hidden(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}
