//! Reading the files of a stack, inside the limits of the language.

use std::path::{Path, PathBuf};

use crate::model::{Code, Diagnostic};

/// The largest file that is read.
pub const FILE_MAX: u64 = 16 << 20;
/// The most text that a stack may have in all.
pub const ALL_MAX: u64 = 256 << 20;

/// One source file: its name as shown, and its text.
pub struct SourceText {
    pub name: String,
    pub path: PathBuf,
    pub text: String,
}

/// Reads every `.stack` file of a directory, ordered by name. Files that cannot be read are diagnostics; the others are read all
/// the same, so that one bad file does not hide what is wrong in the others.
///
/// Errors: as [`read_directory`]; [`Code::NoStack`] where no such file is in it.
pub fn read_stack(dir: &Path) -> (Vec<SourceText>, Vec<Diagnostic>) {
    let (texts, mut diagnostics) = read_directory(dir, "", &mut ALL_MAX.clone());
    if texts.is_empty() && diagnostics.is_empty() {
        let text = format!("there is no `.stack` file in `{}`", dir.display());
        let help = "run it in the stack's directory, or name that with `-C DIR`; a first stack is in the README";
        diagnostics.push(Code::NoStack.error(text).help(help));
    }
    (texts, diagnostics)
}

/// Reads every `.stack` file of a directory, ordered by name, none where there is none. `prefix` stands before their names where
/// they are shown; `left` is how many bytes may still be read, of what the program consists of in all.
///
/// Errors: as [`read_source`]; [`Code::Unreadable`] where the directory cannot be read, [`Code::Limit`] where nothing is left.
pub fn read_directory(dir: &Path, prefix: &str, left: &mut u64) -> (Vec<SourceText>, Vec<Diagnostic>) {
    let names = match stack_files(dir) {
        Ok(names) => names,
        Err(diagnostic) => return (Vec::new(), vec![*diagnostic]),
    };
    let (mut texts, mut diagnostics) = (Vec::new(), Vec::new());
    for name in names {
        let path = dir.join(&name);
        let name = format!("{prefix}{name}");
        match read_source(dir, &path, &name) {
            Ok(text) if text.len() as u64 > *left => {
                let error = Code::Limit.error("the stack's files and its imports are larger than 256 MiB together");
                diagnostics.push(error.help("split it into several stacks"));
                break;
            }
            Ok(text) => {
                *left -= text.len() as u64;
                texts.push(SourceText { name, path, text });
            }
            Err(diagnostic) => diagnostics.push(*diagnostic),
        }
    }
    (texts, diagnostics)
}

fn stack_files(dir: &Path) -> Result<Vec<String>, Box<Diagnostic>> {
    let unreadable = |error: std::io::Error| {
        let text = format!("the directory `{}` cannot be read: {}", dir.display(), words(&error));
        Box::new(Code::Unreadable.error(text).help("name the stack's directory with `-C DIR`"))
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|it| it == "stack") && !path.is_dir() {
            match path.file_name().and_then(|name| name.to_str()) {
                Some(name) => names.push(name.to_owned()),
                None => {
                    return Err(Box::new(
                        Code::Unreadable.error(format!("the name of the file {path:?} is not UTF-8")).help("rename it"),
                    ));
                }
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Reads one file of a stack.
///
/// Errors: [`Code::Unreadable`], [`Code::Limit`], [`Code::NotUtf8`].
pub fn read_source(dir: &Path, path: &Path, name: &str) -> Result<String, Box<Diagnostic>> {
    let unreadable =
        |error: std::io::Error| Box::new(Code::Unreadable.error(format!("`{name}` cannot be read: {}", words(&error))));
    let real = path.canonicalize().map_err(unreadable)?;
    let home = dir.canonicalize().map_err(unreadable)?;
    if !real.starts_with(&home) {
        let text = format!("`{name}` is a link to a file outside of its directory");
        return Err(Box::new(
            Code::Unreadable.error(text).help("put the file itself there, or import the directory that holds it"),
        ));
    }
    let size = std::fs::metadata(&real).map_err(unreadable)?.len();
    if size > FILE_MAX {
        let text = format!("`{name}` has {} MiB; a file may have 16 MiB", size >> 20);
        return Err(Box::new(Code::Limit.error(text).help("split it: all `.stack` files of the directory are one program")));
    }
    decode(std::fs::read(&real).map_err(unreadable)?, name)
}

/// Bytes as the text of a source.
///
/// Errors: [`Code::NotUtf8`] naming the line.
pub fn decode(bytes: Vec<u8>, name: &str) -> Result<String, Box<Diagnostic>> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let byte = error.as_bytes()[at];
        let text = format!("`{name}` is not UTF-8: byte 0x{byte:02x} in line {line}");
        Box::new(Code::NotUtf8.error(text).help("save the file as UTF-8"))
    })
}

/// Writes a file whole or not at all: a new file beside it, synced, takes its name.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let dir = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|it| it.to_str()).unwrap_or("file");
    let beside = dir.join(format!(".{name}.{}.new", std::process::id()));
    let written = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        std::fs::File::open(dir)?.sync_all()
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// The permissions of a file, for the one that takes its place.
pub fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).map_or(0o644, |it| it.permissions().mode() & 0o777)
}

/// An error of the system in its own words, without its number.
pub fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}
