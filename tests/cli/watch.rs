//! `check --watch`, as somebody sees it who edits files beside it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::{STACK, Stack};

/// Longer than any machine takes that can build this.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process, and what it says line by line.
struct Watched {
    child: Child,
    lines: Receiver<String>,
}

impl Watched {
    fn start(stack: &Stack, arguments: &[&str]) -> Watched {
        // One pipe for both, so that lines come in the order in which they were written.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut command = Command::new(env!("CARGO_BIN_EXE_stackwright"));
        command.current_dir(stack.dir.path()).args(arguments).env_clear();
        command.stdout(writer.try_clone().expect("a pipe")).stderr(writer);
        let child = command.spawn().expect("the program starts");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(reader).lines().map_while(Result::ok).take_while(|line| sender.send(line.clone()).is_ok()).count();
        });
        Watched { child, lines }
    }

    /// All lines up to one that begins so.
    #[track_caller]
    fn until(&self, begin: &str) -> String {
        let (mut said, end) = (String::new(), Instant::now() + PATIENCE);
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            said.push_str(&line);
            said.push('\n');
            if line.starts_with(begin) {
                return said;
            }
        }
        panic!("nothing begins with {begin:?} in\n{said}");
    }

    fn interrupt(mut self) -> Option<i32> {
        let id = i32::try_from(self.child.id()).expect("ids of processes are small");
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).expect("it runs"), rustix::process::Signal::INT)
            .expect("it can be told");
        self.child.wait().expect("it ends").code()
    }
}

/// Also of a file of an import: whoever edits it wants to know.
#[test]
fn a_watched_check_says_what_each_change_does_until_it_is_interrupted() {
    let import = b"stack odd { language = 1 }\nenvironment local { on = local }\nimport \"kit\"\nlet there = kit.here\n";
    let stack = Stack::with(&[("main.stack", import), ("kit/kit.stack", b"let here = 1\n")]);
    let write = |name: &str, text: &[u8]| std::fs::write(stack.dir.path().join(name), text).expect("a file can be written");
    let watched = Watched::start(&stack, &["check", "--watch"]);
    assert!(watched.until("waiting for a change").contains("ok   odd"));

    write("more.stack", b"let wrong = missing\n");
    let said = watched.until("waiting for a change");
    assert!(said.contains("SW0301") && said.contains("`missing`") && said.contains("1 error"), "{said}");

    write("more.stack", b"let wrong = missing\nlet worse = 1 + \"a\"\n");
    let said = watched.until("waiting for a change");
    assert!(said.contains("`missing`") && said.contains("more.stack:2") && said.contains("2 errors"), "{said}");

    write("more.stack", b"let right = 1\n");
    assert!(watched.until("waiting for a change").contains("ok   odd"));

    write("kit/kit.stack", b"let here = 1 +\n");
    let said = watched.until("waiting for a change");
    assert!(said.contains("kit/kit.stack:1") && said.contains("SW0101"), "{said}");

    assert_eq!(watched.interrupt(), Some(130));
}

#[test]
fn a_watched_stack_may_have_no_file_yet() {
    let stack = Stack::with(&[]);
    let watched = Watched::start(&stack, &["check", "--watch"]);
    assert!(watched.until("waiting for a change").contains("SW"));
    std::fs::write(stack.dir.path().join("main.stack"), STACK).expect("a file can be written");
    assert!(watched.until("waiting for a change").contains("ok   odd"));
    assert_eq!(watched.interrupt(), Some(130));
}
