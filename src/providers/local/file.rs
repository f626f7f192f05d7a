//! `local.file`: a text below the directory of the environment's files.
//!
//! Every directory on the way is opened without following links, so that a link put there by somebody else leads nowhere. Content
//! appears as a whole or not at all: written beside, synced, renamed.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::place::{Place, cannot};
use super::{inputs, refused};
use crate::model::Value;
use crate::model::value::Fields;
use crate::providers::contract::CallError;

/// The largest content that is read back: more than a text of the language can be.
const LARGEST: u64 = 16 << 20;

/// Writes the file; gives all of its attributes.
pub fn write(place: &Place, inputs: &Fields) -> Result<Fields, CallError> {
    let path = inputs::text(inputs, "path")?;
    let content = inputs.get("content").filter(|content| content.as_text().is_some());
    let content = content.ok_or_else(|| refused("content", "`content` is missing".into()))?;
    let mode = mode(inputs, content)?;
    let (above, name) = split(path)?;
    let root = place.files();
    let text = content.as_text().expect("it was looked at above");
    let written = place.within(&root, || Ok(write_beside(&open_dir(&root, &above, true)?, name, text.as_bytes(), mode)?));
    written.map_err(|error| cannot("write", &root.join(path), &error))?;
    Ok(attributes(place, path, content, inputs))
}

/// The file as it is; `None` where it is missing or something else is in its place.
pub fn read(place: &Place, known: &Fields) -> Result<Option<Fields>, CallError> {
    let path = inputs::text(known, "path")?;
    let (above, name) = split(path)?;
    let root = place.files();
    let opened = open_dir(&root, &above, false).and_then(|dir| {
        rustix::fs::openat(&dir, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
    });
    let file = match opened {
        Ok(file) => std::fs::File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(cannot("read", &root.join(path), &errno.into())),
    };
    let failed = |error: std::io::Error| cannot("read", &root.join(path), &error);
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).map_err(failed)?;
    // What is not text differs from all texts, and so is drift.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut content = Value::text(text);
    content.mark.secret = known.get("content").is_none_or(Value::has_secret);
    let mut seen = known.clone();
    if known.contains_key("mode") {
        use std::os::unix::fs::PermissionsExt as _;
        seen.insert("mode".into(), Value::text(format!("{:04o}", found.permissions().mode() & 0o777)));
    }
    Ok(Some(attributes(place, path, &content, &seen)))
}

/// Removes the file, and directories that have become empty.
pub fn delete(place: &Place, known: &Fields) -> Result<(), CallError> {
    let path = inputs::text(known, "path")?;
    let (above, name) = split(path)?;
    let root = place.files();
    let failed = |errno: Errno| cannot("remove", &root.join(path), &errno.into());
    match open_dir(&root, &above, false) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        Err(errno) => return Err(failed(errno)),
        Ok(dir) => {
            for name in [name.to_owned(), beside(name)] {
                match rustix::fs::unlinkat(&dir, &name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(failed(errno)),
                }
            }
        }
    }
    for length in (1..=above.len()).rev() {
        let removed = open_dir(&root, &above[..length - 1], false)
            .and_then(|dir| rustix::fs::unlinkat(&dir, above[length - 1], AtFlags::REMOVEDIR));
        if removed.is_err() {
            return Ok(());
        }
    }
    place.tidy(&root);
    Ok(())
}

/// Whether both are the same file with the same content, for recovery.
pub fn holds(seen: &Fields, wanted: &Fields) -> bool {
    ["content", "mode"].into_iter().all(|name| match (seen.get(name), wanted.get(name)) {
        (Some(seen), Some(wanted)) => seen == wanted,
        (_, None) => true,
        (None, Some(_)) => false,
    })
}

fn attributes(place: &Place, path: &str, content: &Value, others: &Fields) -> Fields {
    let mut all = others.clone();
    let location = place.files().join(path);
    all.insert("location".into(), Value::text(location.to_string_lossy().into_owned()));
    all.insert("content".into(), content.clone());
    match content.as_text().filter(|_| !content.mark.secret) {
        Some(text) => drop(all.insert("sha256".into(), Value::text(digest(text)))),
        None => drop(all.remove("sha256")),
    }
    all
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mode(inputs: &Fields, content: &Value) -> Result<Mode, CallError> {
    let Some(mode) = inputs::optional_text(inputs, "mode") else {
        return Ok(Mode::from_raw_mode(if content.mark.secret { 0o600 } else { 0o644 }));
    };
    let bits = u32::from_str_radix(mode, 8).ok().filter(|bits| *bits <= 0o777);
    bits.map(Mode::from_raw_mode).ok_or_else(|| refused("mode", format!("`{mode}` is no mode such as \"0644\"")))
}

/// Parts a path into the directories above and the name; refuses what could lead elsewhere.
fn split(path: &str) -> Result<(Vec<&str>, &str), CallError> {
    let words = |why: &str| {
        refused("path", format!("`path` {why}: it lies below the directory of the environment's files, such as `etc/app.conf`"))
    };
    if path.contains('\0') {
        return Err(words("holds a NUL character"));
    }
    let mut parts = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().expect("a part of a text is text")),
            Component::CurDir => {}
            Component::ParentDir => return Err(words("leads upwards with `..`")),
            Component::RootDir | Component::Prefix(_) => return Err(words("is absolute")),
        }
    }
    match (parts.pop(), path.ends_with('/')) {
        (Some(name), false) => Ok((parts, name)),
        _ => Err(words("names no file")),
    }
}

/// Opens a directory below `root` step by step, no step through a link.
fn open_dir(root: &Path, parts: &[&str], make: bool) -> Result<OwnedFd, Errno> {
    const STEP: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC);
    let mut dir = rustix::fs::open(root, STEP, Mode::empty())?;
    for part in parts {
        if make {
            match rustix::fs::mkdirat(&dir, *part, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        dir = rustix::fs::openat(&dir, *part, STEP | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(dir)
}

/// The name under which content is written before it takes its place: the same each time, so that an interrupted write leaves
/// nothing that the next one does not replace.
fn beside(name: &str) -> String {
    let short: String = Sha256::digest(name.as_bytes())[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    format!(".{short}.new")
}

fn write_beside(dir: &OwnedFd, name: &str, content: &[u8], mode: Mode) -> Result<(), Errno> {
    let beside = beside(name);
    match rustix::fs::unlinkat(dir, &beside, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = std::fs::File::from(rustix::fs::openat(dir, &beside, flags, Mode::from_raw_mode(0o600))?);
    let to_errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    file.write_all(content).map_err(to_errno)?;
    rustix::fs::fchmod(&file, mode)?;
    file.sync_all().map_err(to_errno)?;
    rustix::fs::renameat(dir, &beside, dir, name)?;
    rustix::fs::fsync(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_its_directory_or_is_refused() {
        assert_eq!(split("etc/./app.conf").expect("a path"), (vec!["etc"], "app.conf"));
        for path in ["", ".", "..", "/etc/passwd", "a/../../b", "a/", "a\0b", "a/.."] {
            assert!(matches!(split(path), Err(CallError::Refused { field: Some(field), .. }) if field == "path"), "{path:?}");
        }
    }
}
