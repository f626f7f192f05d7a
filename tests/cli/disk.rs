//! A disk that is full in the middle of an apply, or may not be written at all: one clear message, and the next apply carries on.
//!
//! What fills the disk is the shell's limit on the size of a file: a write at the limit is cut short, as on a full disk.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// Exit code, and what is said on both streams. `limit` is in blocks of 512 bytes.
fn run(dir: &Path, limit: Option<u64>, arguments: &str) -> (i32, String) {
    let limited = limit.map(|blocks| format!("trap '' XFSZ; ulimit -f {blocks}; ")).unwrap_or_default();
    let mut command = Command::new("/bin/sh");
    command.current_dir(dir).args(["-c", &format!("{limited}exec {} {arguments}", env!("CARGO_BIN_EXE_stackwright"))]);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("USER", "ada").env("HOME", dir);
    let output = command.stdin(std::process::Stdio::null()).output().expect("the program runs");
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
    (output.status.code().expect("it ends by itself"), said)
}

fn stack(dir: &Path) {
    let mut text = "stack full { language = 1 }\nenvironment local { on = local }\ninput v: string = \"a\"\n".to_owned();
    (0..40).for_each(|n| text.push_str(&format!("resource local.value r{n} {{ input = \"${{input.v}} {n}\" }}\n")));
    std::fs::write(dir.join("main.stack"), text).expect("a file can be written");
}

#[test]
fn a_disk_that_fills_up_during_an_apply_costs_nothing() {
    for more in [0, 1, 2, 3, 6] {
        let dir = tempfile::tempdir().expect("a directory can be made");
        stack(dir.path());
        let (exit, said) = run(dir.path(), None, "apply --yes");
        assert_eq!(exit, 0, "{said}");
        let log = dir.path().join(".stackwright/state/local/000000000001.log");
        let blocks = std::fs::metadata(&log).expect("the log").len() / 512 + more;

        let (exit, said) = run(dir.path(), Some(blocks), "apply --yes --input v=b");
        assert!(exit == 1 || exit == 7, "{more} blocks more: exit {exit}\n{said}");
        assert_eq!(said.matches("error[SW0605]").count(), 1, "it is said once\n{said}");
        assert!(said.contains("file too large") && said.contains("its space"), "{said}");
        if exit == 1 {
            assert!(!said.contains("unanswered"), "{said}");
        }

        let (exit, said) = run(dir.path(), None, "apply --yes --input v=b");
        assert_eq!(exit, 0, "{said}");
        let (exit, said) = run(dir.path(), None, "plan --input v=b --detailed-exitcode");
        assert_eq!(exit, 0, "{said}");
        let (exit, said) = run(dir.path(), None, "verify");
        assert_eq!(exit, 0, "{said}");
    }
}

#[test]
fn a_directory_that_may_not_be_written_is_said_before_anything_is_done() {
    // Root may write everywhere, but not below a file.
    let dir = tempfile::tempdir().expect("a directory can be made");
    stack(dir.path());
    std::fs::create_dir_all(dir.path().join(".stackwright")).expect("a directory");
    std::fs::write(dir.path().join(".stackwright/state"), "").expect("a file");
    let (exit, said) = run(dir.path(), None, "apply --yes");
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("SW0605"), "{said}");
    if !rustix::process::getuid().is_root() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        stack(dir.path());
        let (exit, said) = run(dir.path(), None, "apply --yes");
        assert_eq!(exit, 0, "{said}");
        let state = dir.path().join(".stackwright/state/local");
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o500)).expect("it is ours");
        let (exit, said) = run(dir.path(), None, "apply --yes --input v=b");
        assert!(exit == 1 && said.contains("permission denied"), "{exit} {said}");
    }
}
