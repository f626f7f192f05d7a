//! Imports that mean harm, or are merely strange: each is refused in words, and nothing is run or read.

use std::path::{Path, PathBuf};
use std::process::Command;

struct Dir(tempfile::TempDir);

impl Dir {
    fn with(files: &[(&str, &[u8])]) -> Dir {
        let dir = Dir(tempfile::tempdir().expect("a directory can be made"));
        files.iter().for_each(|(name, content)| dir.write(name, content));
        dir
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("it lies in a directory")).expect("a directory can be made");
        std::fs::write(path, content).expect("a file can be written");
    }

    /// Exit code, and what is said.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stackwright"));
        command.current_dir(self.path("shop")).args(arguments).env_clear().env("PATH", "/usr/bin:/bin");
        let output = command.output().expect("the program runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().expect("it ends by itself"), said)
    }

    #[track_caller]
    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let (code, said) = self.run(arguments);
        assert_ne!(code, 0, "{said}");
        assert!(code < 64, "{said}");
        words.iter().for_each(|it| assert!(said.contains(it), "{it:?} is not in {said}"));
    }

    fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.current_dir(self.path("net")).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(arguments);
        command.env_clear().env("PATH", "/usr/bin:/bin");
        let output = command.output().expect("git is installed");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn commit(&self) {
        for arguments in [&["init", "-q"][..], &["add", "-A"], &["commit", "-qm", "all"], &["tag", "-f", "v1"]] {
            self.git(arguments);
        }
    }
}

fn shop(import: &str) -> Vec<u8> {
    format!("stack shop {{}}\nenvironment local {{ on = local }}\nimport \"{import}\" as net\n").into_bytes()
}

#[test]
fn local_imports_that_lead_out_are_refused() {
    let dir = Dir::with(&[("shop/shop.stack", &shop("../net")), ("net/net.stack", b"let n = 1\n")]);
    dir.refuses(&["check"], &["SW0313", "leaves the stack's directory"]);
    std::fs::create_dir(dir.path("shop/.git")).expect("a directory can be made");
    dir.refuses(&["check"], &["SW0313", "leaves the repository"]);
    std::os::unix::fs::symlink(dir.path("net"), dir.path("shop/net")).expect("a link can be made");
    dir.write("shop/shop.stack", &shop("net"));
    dir.refuses(&["check"], &["SW0313", "is a link that leaves the repository"]);
    for import in
        ["/etc", "", "shop.stack", ".git", "../shop/.stackwright", "https://example.com/net", "ext::sh -c id", "c:\\\\net"]
    {
        dir.write("shop/shop.stack", &shop(import));
        dir.refuses(&["check"], &["SW0313"]);
    }
    // A file of the import that is a link out of it.
    let dir =
        Dir::with(&[("shop/shop.stack", &shop("net")), ("shop/net/a.stack", b"let a = 1\n"), ("other.stack", b"let b = 1\n")]);
    std::os::unix::fs::symlink(dir.path("other.stack"), dir.path("shop/net/b.stack")).expect("a link can be made");
    dir.refuses(&["check"], &["SW0804", "net/b.stack", "is a link to a file outside of its directory"]);
}

#[test]
fn files_of_an_import_have_the_limits_of_all_files() {
    let dir = Dir::with(&[("shop/shop.stack", &shop("net")), ("shop/net/a.stack", b"let a = \"\xff\"\n")]);
    dir.refuses(&["check"], &["SW0103", "`net/a.stack` is not UTF-8", "imported here"]);
    dir.write("shop/net/a.stack", &vec![b'#'; 17 << 20]);
    dir.refuses(&["check"], &["SW0102", "`net/a.stack` has 17 MiB"]);
    let mut deep: Vec<(String, Vec<u8>)> = Vec::new();
    for at in 0..80 {
        deep.push((format!("shop/d{at}/a.stack"), format!("import \"../d{}\"\n", at + 1).into_bytes()));
    }
    deep.push(("shop/d80/a.stack".into(), b"let n = 1\n".to_vec()));
    let dir = Dir::with(&[("shop/shop.stack", &shop("d0"))]);
    deep.iter().for_each(|(name, text)| dir.write(name, text));
    dir.refuses(&["check"], &["SW0102", "imports go more than 64 deep"]);
}

#[test]
fn a_repository_brings_its_files_and_nothing_else() {
    let dir =
        Dir::with(&[("net/lib/lib.stack", b"let n = 1\n"), ("net/lib/text.txt", b"x"), ("net/out.stack", b"import \"../up\"\n")]);
    let url = format!("git+file://{}", dir.path("net").canonicalize().expect("it is there").display());
    std::os::unix::fs::symlink("/etc", dir.path("net/etc")).expect("a link can be made");
    std::os::unix::fs::symlink("/etc/hostname", dir.path("net/lib/host.stack")).expect("a link can be made");
    dir.commit();
    // A hook of the repository's, which nothing runs.
    let hook = dir.path("net/.git/hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().expect("it lies in a directory")).expect("a directory can be made");
    std::fs::write(hook, format!("#!/bin/sh\ntouch {}\n", dir.path("ran").display())).expect("a file can be written");

    dir.write("shop/shop.stack", &shop(&format!("{url}//lib?rev=v1")));
    dir.refuses(&["check"], &["SW0314", "is not in `stack.lock`"]);
    assert!(!dir.path("shop/.stackwright/imports").exists(), "a check fetches nothing");
    let (code, said) = dir.run(&["fetch"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = dir.run(&["check"]);
    assert_eq!(code, 0, "{said}");
    assert!(!dir.path("ran").exists());
    let kept = std::fs::read_dir(dir.path("shop/.stackwright/imports")).expect("it is there");
    let kept: Vec<PathBuf> = kept.map(|it| it.expect("it can be read").path()).collect();
    let [kept] = &kept[..] else { panic!("{kept:?}") };
    assert!(kept.join("lib/text.txt").is_file() && !kept.join("etc").exists() && !kept.join("lib/host.stack").exists());

    for (import, words) in [
        ("//etc", "has no directory `etc`"),
        ("//none", "has no directory `none`"),
        ("", "leaves the repository that it came with"),
    ] {
        dir.write("shop/shop.stack", &shop(&format!("{url}{import}?rev=v1")));
        dir.refuses(&["check"], &["SW0313", words]);
    }
    // What was put beside the files is no part of what is pinned.
    dir.write("shop/shop.stack", &shop(&format!("{url}//lib?rev=v1")));
    std::os::unix::fs::symlink("/etc", kept.join("more")).expect("a link can be made");
    dir.refuses(&["check"], &["SW0314", "were altered"]);
}

#[test]
fn a_commit_is_a_revision_and_a_branch_is_none() {
    let dir = Dir::with(&[("net/net.stack", b"let n = 1\n")]);
    let url = format!("git+file://{}", dir.path("net").canonicalize().expect("it is there").display());
    dir.commit();
    dir.git(&["branch", "topic"]);
    let head = std::fs::read_to_string(Path::new(&dir.path("net/.git/refs/tags/v1"))).expect("a tag is a file");
    dir.write("shop/shop.stack", &shop(&format!("{url}?rev={}", head.trim())));
    let (code, said) = dir.run(&["fetch"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(dir.run(&["check"]).0, 0);
    dir.write("shop/shop.stack", &shop(&format!("{url}?rev=topic")));
    dir.refuses(&["fetch"], &["SW0313", "has no tag `topic`"]);
    dir.write("shop/shop.stack", &shop(&format!("{url}?rev={}", "1".repeat(40))));
    dir.refuses(&["fetch"], &["has no commit"]);
    dir.write("shop/shop.stack", &shop("git+file:///nowhere/at/all?rev=v1"));
    dir.refuses(&["fetch"], &["SW0503", "cannot be fetched"]);
    dir.write("shop/stack.lock", b"{}");
    dir.refuses(&["check"], &["SW0314", "it says no format"]);
}
