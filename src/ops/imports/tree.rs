//! Which files a program may read through `file` and `template`, and how paths are shown.

use std::path::{Component, Path, PathBuf};

use super::{relative, without_dots};
use crate::model::{Origin, SourceId, Sources};

/// A directory as people see it from the stack: `../modules/net`.
pub fn shown(own: &Path, dir: &Path) -> String {
    relative(own, dir).display().to_string()
}

/// The file that a source means by a path: it resolves beside the source, and stays in the stack's directory or in one that it
/// imports. A source that came from elsewhere reaches its own import alone.
///
/// Errors: why not, in words that complete "the file cannot be read: …".
pub fn file_of(own: &Path, sources: &Sources, from: SourceId, path: &str) -> Result<PathBuf, &'static str> {
    let asked = Path::new(path);
    if asked.is_absolute() {
        return Err("it is absolute, and only files of the stack can be read");
    }
    let name = |source: SourceId| sources.get(source).filter(|it| it.origin == Origin::File).map(|it| PathBuf::from(&*it.name));
    let beside = name(from).and_then(|it| Some(it.parent()?.to_owned())).unwrap_or_default();
    let leaves = "it leaves the stack's directory and its imports";
    let home = without_dots(&own.join(&beside)).ok_or(leaves)?;
    let real = home.join(asked).canonicalize().map_err(|_| "no such file or directory")?;
    // What was fetched is somebody else's: it sees what came with it.
    let fetched = fetched_root(own, &home);
    let allowed = |dir: &Path| match &fetched {
        Some(root) => dir.starts_with(root) && real.starts_with(dir),
        None => real.starts_with(dir),
    };
    let own_file = fetched.is_none() && real.starts_with(own) && !real.starts_with(own.join(".stackwright"));
    let imported = || {
        let dirs = sources.iter().filter(|(_, it)| it.origin == Origin::File).filter_map(|(id, _)| {
            let dir = name(id)?.parent()?.to_owned();
            // Files of the stack itself are beside no directory.
            (!dir.as_os_str().is_empty()).then(|| without_dots(&own.join(dir))).flatten()
        });
        let mut dirs: Vec<PathBuf> = dirs.collect();
        dirs.dedup();
        dirs.iter().any(|dir| allowed(dir))
    };
    match own_file || imported() {
        true => Ok(real),
        false => Err(leaves),
    }
}

/// `.stackwright/imports/NAME` of a directory that lies in it.
fn fetched_root(own: &Path, dir: &Path) -> Option<PathBuf> {
    let imports = own.join(".stackwright").join("imports");
    match dir.strip_prefix(&imports).ok()?.components().next()? {
        Component::Normal(name) => Some(imports.join(name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What three sources may read: one of the stack, one of a local import, one that was fetched.
    #[test]
    fn files_are_read_in_the_stack_and_its_imports_and_nowhere_else() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let root = dir.path().canonicalize().expect("it is there");
        let write = |name: &str| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("a directory can be made");
            std::fs::write(&path, name).expect("a file can be written");
        };
        let fetched = "shop/.stackwright/imports/net-1a2b";
        for name in ["shop/a.txt", "net/b.txt", "other/c.txt", "shop/.stackwright/key", "shop/sub/d.txt"] {
            write(name);
        }
        write(&format!("{fetched}/dir/e.txt"));
        write(&format!("{fetched}/f.txt"));
        std::os::unix::fs::symlink(root.join("other/c.txt"), root.join("shop/link.txt")).expect("a link can be made");
        let own = root.join("shop");
        let mut sources = Sources::default();
        let stack = sources.add("shop.stack", "", Origin::File);
        let local = sources.add("../net/net.stack", "", Origin::File);
        let foreign = sources.add(".stackwright/imports/net-1a2b/dir/x.stack", "", Origin::File);
        let reads = |from: SourceId, path: &str| file_of(&own, &sources, from, path).is_ok();
        assert!(reads(stack, "a.txt") && reads(stack, "sub/d.txt") && reads(stack, "../net/b.txt"));
        assert!(!reads(stack, "../other/c.txt") && !reads(stack, "link.txt") && !reads(stack, ".stackwright/key"));
        assert!(!reads(stack, "/etc/hostname"));
        assert!(reads(local, "b.txt") && reads(local, "../shop/a.txt") && !reads(local, "../other/c.txt"));
        assert!(reads(foreign, "e.txt") && !reads(foreign, "../f.txt") && !reads(foreign, "../../../../a.txt"));
        assert!(!reads(foreign, "../../../key"));
    }
}
