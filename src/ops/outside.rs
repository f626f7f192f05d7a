//! What a program may read: files of the stack's directory, and variables of the environment that hold no credentials.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::words;
use super::imports::file_of;
use super::settings::secret_variables;
use crate::eval::Outside;
use crate::model::{SourceId, Sources};
use crate::providers::registry;

/// The largest file that a program may read.
const READ_MAX: u64 = 16 << 20;
/// The most files that a directory is listed with.
const LIST_MAX: usize = 10_000;

/// Files of the stack's directory, and variables of the environment that are not secrets.
pub struct Files<'w> {
    pub dir: &'w Path,
    pub sources: &'w Sources,
    pub variable: &'w (dyn Fn(&str) -> Option<String> + Send + Sync),
}

impl Files<'_> {
    /// The stack's directory, and where the path leads, links followed; `None` if there is nothing.
    fn find(&self, path: &str, from: SourceId) -> Result<(PathBuf, Option<PathBuf>), String> {
        let home = self.dir.canonicalize().map_err(|error| words(&error))?;
        match file_of(&home, self.sources, from, path) {
            Ok(real) => Ok((home, Some(real))),
            // What lies outside is not even said to exist.
            Err("no such file or directory") => Ok((home, None)),
            Err(why) => Err(why.into()),
        }
    }
}

impl Outside for Files<'_> {
    fn file(&self, path: &str, from: SourceId) -> Result<Arc<[u8]>, String> {
        let (_, real) = self.find(path, from)?;
        let real = real.ok_or("there is no such file")?;
        let about = std::fs::metadata(&real).map_err(|error| words(&error))?;
        if !about.is_file() {
            // A pipe would be waited for, a device has no end.
            return Err("it is no regular file".into());
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&real).map_err(|error| words(&error))?;
        file.take(READ_MAX + 1).read_to_end(&mut bytes).map_err(|error| words(&error))?;
        if bytes.len() as u64 > READ_MAX {
            return Err("it is larger than 16 MiB".into());
        }
        Ok(bytes.into())
    }

    fn exists(&self, path: &str, from: SourceId) -> Result<bool, String> {
        Ok(self.find(path, from)?.1.is_some_and(|real| real.is_file()))
    }

    fn list(&self, dir: &str, from: SourceId) -> Result<Vec<String>, String> {
        let (home, top) = self.find(dir, from)?;
        let top = top.ok_or("there is no such directory")?;
        let (mut found, mut open) = (Vec::new(), vec![(top, String::new())]);
        while let Some((dir, before)) = open.pop() {
            for entry in std::fs::read_dir(&dir).map_err(|error| words(&error))? {
                let entry = entry.map_err(|error| words(&error))?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = format!("{before}{name}");
                // Links are not followed: they could lead round in a circle.
                match entry.file_type() {
                    Ok(it) if it.is_dir() && entry.path() != home.join(".stackwright") => open.push((entry.path(), path + "/")),
                    Ok(it) if it.is_file() => found.push(path),
                    _ => {}
                }
                if found.len() + open.len() > LIST_MAX {
                    return Err("there are more than 10,000 files in it".into());
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn variable(&self, name: &str, _: SourceId) -> Result<Option<String>, String> {
        // A secret comes in as a secret or not at all.
        let is_secret = name.starts_with("STACK_SECRET_")
            || registry::credential_variables().contains(&name)
            || secret_variables().any(|it| it == name);
        match is_secret {
            true => Err("it holds a credential: declare a `secret`, whose value stays one".into()),
            false => Ok((self.variable)(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Origin;

    /// A stack in `stack/`, beside which lies what it must not read.
    fn ask<T>(run: impl Fn(&Files<'_>, SourceId) -> T) -> T {
        let root = tempfile::tempdir().expect("a directory");
        let dir = root.path().join("stack");
        std::fs::create_dir_all(dir.join("conf/deep")).expect("made");
        std::fs::create_dir_all(dir.join(".stackwright")).expect("made");
        for (path, text) in [
            ("stack/main.stack", ""),
            ("stack/conf/app.toml", "here"),
            ("stack/conf/deep/b.toml", "deep"),
            ("stack/.stackwright/key", "state"),
            ("outside.txt", "secret"),
        ] {
            std::fs::write(root.path().join(path), text).expect("written");
        }
        std::os::unix::fs::symlink("../outside.txt", dir.join("link.txt")).expect("linked");
        std::os::unix::fs::symlink("../../stack", dir.join("conf/loop")).expect("linked");
        std::os::unix::fs::symlink("..", dir.join("up")).expect("linked");
        let made = std::process::Command::new("mkfifo").arg(dir.join("pipe")).status();
        assert!(made.is_ok_and(|it| it.success()));
        let big = std::fs::File::create(dir.join("big")).expect("made");
        big.set_len(READ_MAX + 1).expect("long");
        let mut sources = Sources::default();
        let source = sources.add("main.stack", "", Origin::File);
        let variable = |name: &str| Some(format!("value of {name}"));
        run(&Files { dir: &dir, sources: &sources, variable: &variable }, source)
    }

    fn words_of(path: &str) -> String {
        ask(|files, source| match files.file(path, source) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(why) => format!("error: {why}"),
        })
    }

    #[test]
    fn files_of_the_stack_are_read_and_nothing_else() {
        let table = [
            ("conf/app.toml", "here"),
            ("./conf/../conf/app.toml", "here"),
            ("conf/loop/conf/app.toml", "here"),
            ("../outside.txt", "error: it leaves the stack's directory and its imports"),
            ("conf/../../outside.txt", "error: it leaves the stack's directory and its imports"),
            ("link.txt", "error: it leaves the stack's directory and its imports"),
            ("up/outside.txt", "error: it leaves the stack's directory and its imports"),
            (".stackwright/key", "error: it leaves the stack's directory and its imports"),
            ("/etc/passwd", "error: it is absolute, and only files of the stack can be read"),
            ("none.txt", "error: there is no such file"),
            ("../none.txt", "error: there is no such file"),
            ("conf", "error: it is no regular file"),
            ("pipe", "error: it is no regular file"),
            ("big", "error: it is larger than 16 MiB"),
        ];
        for (path, expected) in table {
            assert_eq!(words_of(path), expected, "{path}");
        }
    }

    #[test]
    fn whether_a_file_exists_is_not_told_of_what_lies_outside() {
        ask(|files, source| {
            assert_eq!(files.exists("conf/app.toml", source), Ok(true));
            assert_eq!(files.exists("conf", source), Ok(false));
            assert_eq!(files.exists("none", source), Ok(false));
            assert!(files.exists("../outside.txt", source).is_err());
            assert!(files.exists("link.txt", source).is_err());
        });
    }

    #[test]
    fn lists_stay_inside_and_follow_no_links() {
        ask(|files, source| {
            assert_eq!(files.list("conf", source), Ok(vec!["app.toml".into(), "deep/b.toml".into()]));
            let all = files.list(".", source).expect("listed");
            assert_eq!(all, ["big", "conf/app.toml", "conf/deep/b.toml", "main.stack"]);
            assert!(files.list("..", source).is_err());
            assert!(files.list("up", source).is_err());
        });
    }

    #[test]
    fn variables_that_hold_credentials_stay_out() {
        ask(|files, source| {
            assert_eq!(files.variable("CI_COMMIT", source), Ok(Some("value of CI_COMMIT".into())));
            for name in
                ["STACK_SECRET_key", "FLY_API_TOKEN", "CLOUDFLARE_API_TOKEN", "STACKWRIGHT_KEY", "STACKWRIGHT_SIGNING_KEY"]
            {
                assert!(files.variable(name, source).is_err(), "{name}");
            }
        });
    }
}
