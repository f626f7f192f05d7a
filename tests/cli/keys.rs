//! Keys on the command line: what processes show of themselves, and who reads what.

use std::path::Path;
use std::process::Command;

const PROGRAM: &str = "stack vault {{ language = 1{} }}\nenvironment local {{ on = local }}\n\
    secret given\nsecret token {{ generate = 32B }}\n\
    resource local.file token {{\n  path = \"token\"\n  content = secret.token.value\n}}\n\
    resource local.file given {{\n  path = \"given\"\n  content = secret.given.value\n}}\n";

struct Stack {
    dir: tempfile::TempDir,
}

impl Stack {
    fn new(encryption: &str) -> Stack {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let stack = Stack { dir };
        stack.write(encryption);
        std::fs::create_dir(stack.home()).expect("a home");
        stack
    }

    fn write(&self, encryption: &str) {
        let encryption = if encryption.is_empty() { String::new() } else { format!(", encryption = {encryption}") };
        let text = PROGRAM.replacen("{}", &encryption, 1).replace("{{", "{").replace("}}", "}");
        std::fs::write(self.dir.path().join("vault.stack"), text).expect("written");
    }

    fn home(&self) -> std::path::PathBuf {
        self.dir.path().join("home")
    }

    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stackwright"));
        command.current_dir(self.dir.path()).args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.home());
        command.env("STACK_SECRET_given", "correct-horse").envs(variables.iter().copied());
        let output = command.output().expect("the program runs");
        let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
        (output.status.code().expect("it ends by itself"), said)
    }

    #[track_caller]
    fn run(&self, exit: i32, arguments: &[&str]) -> String {
        let (code, said) = self.run_with(arguments, &[]);
        assert_eq!(code, exit, "{arguments:?}: {said}");
        said
    }

    /// A new identity in the place where it is looked for, and its recipient.
    fn identity(&self, name: Option<&str>) -> String {
        let out = name.map(|name| format!("--out={name}"));
        let arguments: Vec<&str> = ["key", "new"].into_iter().chain(out.as_deref()).collect();
        let said = self.run(0, &arguments);
        said.lines().find(|line| line.starts_with("age1")).expect("a recipient").to_owned()
    }
}

#[test]
fn a_process_that_holds_secrets_leaves_no_core_dump() {
    let stack = Stack::new("");
    let limits = stack.dir.path().join("limits");
    // The command is a child, and sees the process that holds keys and secrets as any other process would.
    let command = format!("given=sh -c 'cat /proc/$PPID/limits > {}; env > env; echo correct-horse'", limits.display());
    let key = "STACKWRIGHT_KEY";
    let said = stack.run(0, &["apply", "--yes"]);
    assert!(said.contains("keep a copy of it"), "{said}");
    assert!(!stack.run(0, &["apply", "--yes"]).contains("keep a copy"), "once is enough");
    let text = std::fs::read_to_string(stack.dir.path().join(".stackwright/state/key")).expect("the key");
    let (code, said) = stack.run_with(&["plan", "--secret-command", &command], &[(key, &text), ("STACKWRIGHT_PASSPHRASE", "x")]);
    assert_eq!(code, 0, "{said}");
    let limits = std::fs::read_to_string(limits).expect("what the child saw");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit of core dumps");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let env = std::fs::read_to_string(stack.dir.path().join("env")).expect("the variables of the child");
    assert!(env.contains("PATH=") && !env.contains("STACKWRIGHT") && !env.contains(text.trim()), "{env}");
}

#[test]
fn a_state_of_declared_recipients_has_no_key_file_and_says_how_it_differs() {
    let stack = Stack::new("");
    let ada = stack.identity(None);
    let ci = stack.identity(Some("ci.identity"));
    stack.write(&format!("age {{ recipients = {{ ada = \"{ada}\", ci = \"{ci}\" }} }}"));
    stack.run(0, &["plan", "--out", "first.plan"]);
    let said = stack.run(0, &["apply", "first.plan", "--yes"]);
    assert!(!said.contains("keep a copy"), "there is no file to keep: {said}");
    assert!(!stack.dir.path().join(".stackwright/state/key").exists());
    let listed = stack.run(0, &["key", "list"]);
    assert!(listed.contains("ada") && listed.contains(&ci) && !listed.contains('!'), "{listed}");
    // Whoever is not declared reads nothing, and hears who could.
    let eve = stack.identity(Some("eve.identity"));
    let (code, said) = stack.run_with(&["status"], &[("STACKWRIGHT_IDENTITY_FILE", "eve.identity")]);
    assert!(code == 1 && said.contains("SW0614") && said.contains("ada, ci") && said.contains(&eve), "{said}");
    let (code, said) = stack.run_with(&["plan"], &[("STACKWRIGHT_IDENTITY_FILE", "ci.identity")]);
    assert!(code == 0 && said.contains("Nothing to change"), "{said}");
    // The program says somebody else; the state does not follow by itself, and says what to type.
    stack.write(&format!("age {{ recipients = {{ ada = \"{ada}\", eve = \"{eve}\" }} }}"));
    for command in [&["status"][..], &["key", "list"]] {
        let said = stack.run(0, command);
        assert!(said.contains("eve is declared in `encryption`, and cannot open the state"), "{said}");
        assert!(said.contains(&format!("stackwright key add {eve} --name eve --reason \"…\" --env local")), "{said}");
        assert!(said.contains("key remove ci"), "{said}");
    }
    stack.run(0, &["key", "add", &eve, "--name", "eve", "--reason", "new here"]);
    let said = stack.run(0, &["key", "remove", "ci", "--reason", "another runner"]);
    assert!(said.contains("state rewrap") && said.contains("for ever"), "{said}");
    assert!(!stack.run(0, &["status"]).contains('!'));
    let (code, said) = stack.run_with(&["plan"], &[("STACKWRIGHT_IDENTITY_FILE", "ci.identity")]);
    assert_eq!(code, 0, "what was sealed before still opens: {said}");
    stack.run(0, &["state", "rewrap", "--reason", "ci is gone"]);
    let (code, said) = stack.run_with(&["plan"], &[("STACKWRIGHT_IDENTITY_FILE", "ci.identity")]);
    assert!(code == 1 && said.contains("SW0614"), "{said}");
    let (code, said) = stack.run_with(&["plan"], &[("STACKWRIGHT_IDENTITY_FILE", "eve.identity")]);
    assert!(code == 0 && said.contains("Nothing to change"), "{said}");
    assert!(stack.run(0, &["verify"]).contains("the fold"), "snapshot, index and log agree");
    assert!(stack.run(0, &["history"]).contains("state rewrap"));
}

#[test]
fn an_identity_is_never_written_over_and_a_secret_half_is_no_argument() {
    let stack = Stack::new("");
    stack.identity(None);
    let path = stack.home().join(".config/stackwright/identity");
    let before = std::fs::read_to_string(&path).expect("it was written");
    assert_eq!(mode(&path), 0o600);
    assert!(stack.run(1, &["key", "new"]).contains("is not written over"));
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), before);
    let secret = before.lines().last().expect("the secret half");
    let said = stack.run(64, &["key", "add", secret, "--name", "ada", "--reason", "oops"]);
    assert!(said.contains("make another one") && !said.contains(secret), "{said}");
    assert!(stack.run(64, &["key", "add", "age1zzz", "--name", "ada", "--reason", "x"]).contains("is no recipient"));
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}
