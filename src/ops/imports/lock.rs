//! `stack.lock`: what a program consists of besides its own files, by hash. JSON with sorted keys, so that equal locks are equal texts.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::lang::stdlib;
use crate::model::{Code, Diagnostic, Digest};
use crate::ops::files::{words, write_whole};

/// The file's name.
pub const NAME: &str = "stack.lock";
const FORMAT: u64 = 1;
/// No lock is larger.
const SIZE_MAX: u64 = 4 << 20;

/// What is pinned. Parts that others write are kept as they are.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Lock {
    /// By [`super::remote::Remote::key`].
    pub imports: BTreeMap<String, Pin>,
    /// The hash of the standard library, where it is pinned.
    pub library: Option<Digest>,
    rest: Map<String, Value>,
}

/// A repository at a revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    /// 40 hexadecimal digits.
    pub commit: String,
    /// Of its files: names and contents.
    pub files: Digest,
}

impl Lock {
    /// Reads the lock of a stack's directory; an empty one where there is none.
    ///
    /// Errors: [`Code::LockMismatch`] where it is no such file.
    pub fn read(dir: &Path) -> Result<Lock, Box<Diagnostic>> {
        let path = dir.join(NAME);
        let refused = |what: String| {
            let error = Code::LockMismatch.error(format!("`{NAME}` cannot be read: {what}"));
            Box::new(error.help("take it from version control again, or remove it and run `stackwright fetch`"))
        };
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Lock::default()),
            Err(error) => return Err(refused(words(&error))),
            Ok(it) if !it.is_file() => return Err(refused("it is no file".into())),
            Ok(it) if it.len() > SIZE_MAX => return Err(refused("it is larger than 4 MiB".into())),
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(&path).map_err(|error| refused(words(&error)))?;
        Lock::parse(&text).map_err(refused)
    }

    fn parse(text: &str) -> Result<Lock, String> {
        let Ok(Value::Object(mut rest)) = serde_json::from_str(text) else { return Err("it is no JSON object".into()) };
        match rest.remove("format").and_then(|it| it.as_u64()) {
            Some(FORMAT) => {}
            Some(newer @ 2..) => return Err(format!("it has format {newer}, and this program reads format {FORMAT}")),
            _ => return Err("it says no format".into()),
        }
        let digest = |of: &Value, what: &str| {
            let text = of.get("sha256").and_then(Value::as_str).unwrap_or_default();
            Digest::parse(text).filter(|_| text.len() == 64).ok_or_else(|| format!("{what} has no hash"))
        };
        let library = rest.remove("library").map(|it| digest(&it, "the library")).transpose()?;
        let mut imports = BTreeMap::new();
        if let Some(all) = rest.remove("imports") {
            let Value::Object(all) = all else { return Err("its imports are no object".into()) };
            for (key, pin) in all {
                let commit = pin.get("commit").and_then(Value::as_str).unwrap_or_default();
                if commit.len() != 40 || !commit.bytes().all(|it| it.is_ascii_hexdigit()) {
                    return Err(format!("`{}` has no commit", key.escape_debug()));
                }
                let files = digest(&pin, &format!("`{}`", key.escape_debug()))?;
                imports.insert(key, Pin { commit: commit.to_owned(), files });
            }
        }
        Ok(Lock { imports, library, rest })
    }

    fn text(&self) -> String {
        let mut all = self.rest.clone();
        all.insert("format".into(), json!(FORMAT));
        if let Some(library) = &self.library {
            all.insert("library".into(), json!({ "language": 1, "sha256": library.to_string() }));
        }
        if !self.imports.is_empty() {
            let pin = |it: &Pin| json!({ "commit": it.commit, "sha256": it.files.to_string() });
            all.insert("imports".into(), self.imports.iter().map(|(key, it)| (key.clone(), pin(it))).collect());
        }
        let sorted: BTreeMap<String, Value> = all.into_iter().collect();
        serde_json::to_string_pretty(&sorted).expect("texts are JSON") + "\n"
    }

    /// Writes the lock whole, if it is not there like this already. Whether it was written.
    ///
    /// Errors: [`Code::Unreadable`].
    pub fn write(&self, dir: &Path) -> Result<bool, Box<Diagnostic>> {
        let path = dir.join(NAME);
        let text = self.text();
        if std::fs::read_to_string(&path).is_ok_and(|before| before == text) {
            return Ok(false);
        }
        let written = write_whole(&path, text.as_bytes(), 0o644);
        written.map_err(|error| Box::new(Code::Unreadable.error(format!("`{NAME}` cannot be written: {}", words(&error)))))?;
        Ok(true)
    }

    /// What is wrong if the standard library of this program is not the one that is pinned.
    pub fn library_mismatch(&self) -> Option<Diagnostic> {
        let (pinned, here) = (self.library?, stdlib::digest());
        (pinned != here).then(|| {
            Code::LockMismatch
                .error(format!("the standard library of this program is not the one that `{NAME}` pins"))
                .note(format!("pinned: {}…, here: {}…", &pinned.to_string()[..12], &here.to_string()[..12]))
                .help("`stackwright fetch --update` pins the one that is here; the next plan shows what it changes")
                .help("or use the version of this program that the stack was last planned with")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_read_as_it_was_written_and_keeps_what_others_wrote() {
        let text = format!(
            "{{\"plugins\": {{\"a\": 1}}, \"format\": 1, \"imports\": {{\"git+file:///r?rev=v1\": {{\"commit\": \"{}\", \"sha256\": \"{}\"}}}}}}",
            "a".repeat(40),
            "b".repeat(64)
        );
        let lock = Lock::parse(&text).expect("it is one");
        assert_eq!(lock.imports.len(), 1);
        let again = lock.text();
        assert!(again.contains("\"plugins\""), "{again}");
        assert_eq!(Lock::parse(&again).expect("it is one"), lock);
        assert_eq!(Lock::parse(&again).expect("it is one").text(), again);
    }

    #[test]
    fn what_is_no_lock_is_refused() {
        let long = format!("{{\"format\":1,\"imports\":{{\"a\":{{\"commit\":\"x\",\"sha256\":\"{}\"}}}}}}", "0".repeat(64));
        for text in
            ["", "[]", "{}", "{\"format\": 2}", "{\"format\": 1, \"imports\": []}", "{\"format\":1,\"library\":{}}", &long]
        {
            assert!(Lock::parse(text).is_err(), "{text}");
        }
    }
}
