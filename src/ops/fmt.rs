//! `fmt`: the source in its one form.

use std::io::Read;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{decode, mode_of, read_stack, words, write_whole};
use super::project::Failure;
use super::settings::Settings;
use crate::lang::format::{format, format_lines};
use crate::model::{Code, Diagnostic, Origin, Sources};

/// One file, before and after.
pub struct Formatted {
    pub name: String,
    /// `None` for stdin.
    pub path: Option<PathBuf>,
    pub before: String,
    pub after: String,
}

impl Formatted {
    pub fn changes(&self) -> bool {
        self.before != self.after
    }
}

/// Lays out the named files, or all of the stack; `-` is stdin. Nothing is written.
///
/// Errors: for all files at once; a file with a syntax error is left alone.
pub fn format_files(
    settings: &Settings,
    named: &[PathBuf],
    lines: Option<&RangeInclusive<u32>>,
) -> Result<Vec<Formatted>, Failure> {
    let (mut sources, mut errors, mut formatted) = (Sources::default(), Vec::new(), Vec::new());
    if lines.is_some() && (named.len() != 1 || named[0].is_dir()) {
        let diagnostic = Code::Usage.error("`--range` is about the lines of one file").help("name that file");
        return Err(Box::new(diagnostic).into());
    }
    let (texts, unread) = if named.is_empty() { all(settings) } else { these(named) };
    errors.extend(unread);
    for (name, path, before) in texts {
        let source = sources.add(name.as_str(), before.as_str(), Origin::File);
        let laid_out = match lines {
            Some(lines) => format_lines(source, &before, lines),
            None => format(source, &before),
        };
        match laid_out {
            Ok(after) => formatted.push(Formatted { name, path, before, after }),
            Err(diagnostics) => errors.extend(diagnostics),
        }
    }
    if errors.is_empty() { Ok(formatted) } else { Err(Failure::new(errors, Arc::new(sources))) }
}

type Texts = Vec<(String, Option<PathBuf>, String)>;

fn all(settings: &Settings) -> (Texts, Vec<Diagnostic>) {
    let (texts, errors) = read_stack(&settings.dir);
    (texts.into_iter().map(|it| (it.name, Some(it.path), it.text)).collect(), errors)
}

fn these(named: &[PathBuf]) -> (Texts, Vec<Diagnostic>) {
    let (mut texts, mut errors) = (Vec::new(), Vec::new());
    let files: Vec<PathBuf> = named.iter().flat_map(|path| expanded(path, &mut errors)).collect();
    for path in files {
        match read_one(&path) {
            Ok(text) => texts.push(text),
            Err(diagnostic) => errors.push(*diagnostic),
        }
    }
    (texts, errors)
}

/// A file itself; a directory's `.stack` files and those of the directories in it, hidden ones and links left out, in order.
fn expanded(path: &Path, errors: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    if path.as_os_str() == "-" || !path.is_dir() {
        return vec![path.to_owned()];
    }
    let (mut files, mut waiting) = (Vec::new(), vec![path.to_owned()]);
    while let Some(dir) = waiting.pop() {
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) => {
                errors.push(Code::Unreadable.error(format!("`{}` cannot be read: {}", dir.display(), words(&error))));
                continue;
            }
        };
        for entry in entries.flatten() {
            let (path, kind) = (entry.path(), entry.file_type());
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            match kind {
                Ok(kind) if kind.is_dir() && !hidden => waiting.push(path),
                Ok(kind) if kind.is_file() && path.extension().is_some_and(|it| it == "stack") => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

fn read_one(path: &Path) -> Result<(String, Option<PathBuf>, String), Box<Diagnostic>> {
    let stdin = path.as_os_str() == "-";
    let name = if stdin { "stdin".to_owned() } else { path.display().to_string() };
    let unreadable =
        |error: std::io::Error| Box::new(Code::Unreadable.error(format!("`{name}` cannot be read: {}", words(&error))));
    let mut bytes = Vec::new();
    let limit = super::files::FILE_MAX + 1;
    if stdin {
        std::io::stdin().take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        std::fs::File::open(path).map_err(unreadable)?.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if bytes.len() as u64 == limit {
        return Err(Box::new(Code::Limit.error(format!("`{name}` is larger than 16 MiB")).help("split it")));
    }
    let text = decode(bytes, &name)?;
    Ok((name, (!stdin).then(|| path.to_owned()), text))
}

/// Writes a file in its form; its mode stays.
///
/// Errors: [`Code::Unreadable`].
pub fn write(file: &Formatted) -> Result<(), Box<Diagnostic>> {
    let Some(path) = &file.path else { return Ok(()) };
    write_whole(path, file.after.as_bytes(), mode_of(path))
        .map_err(|error| Box::new(Code::Unreadable.error(format!("`{}` cannot be written: {}", file.name, words(&error)))))
}
