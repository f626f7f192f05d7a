//! No secret lies anywhere in clear: every byte that commands print and write is looked through, in every writing of every secret.

use std::path::{Path, PathBuf};
use std::process::Command;

use stackwright::model::KnownSecrets;

const PROGRAM: &str = r##"
stack canary { language = 1 }
provider fly { org = "acme", region = "cdg" }
environment cloud { on = fly }

input pin: secret<string>
input count: secret<int> = 3

secret made { generate = 32B, rotate = 90d, overlap = 1d }
secret words { generate = 24B, format = "alnum" }
secret pair { generate = 32B, format = "ed25519" }
secret by_variable
secret by_file
secret by_command
secret by_settings

let all = [
  secret.made.value, secret.made.previous ?? "none", secret.words.value, secret.pair.value, secret.by_variable.value,
  secret.by_file.value, secret.by_command.value, secret.by_settings.value, input.pin,
]

service api {
  image = "registry.example.com/api:1"
  port  = 8080
  env = {
    MADE  = secret.made.value
    OTHER = "${secret.by_variable.value}/${secret.by_file.value}"
    BASIC = base64_encode("user:${secret.by_command.value}")
    PAIR  = secret.pair.value
    PIN   = input.pin
    COUNT = "${input.count}"
  }
}

database main {}

resource local.file leak { path = "leak", content = join("\n", all) }

output all: secret<string> = join(" ", all)
output url: secret<string> = database.main.url
"##;

const GIVEN: [&str; 5] = [
    "variable-correct-horse",
    "file-battery-staple",
    "command-purple-monkey",
    "settings-dishwasher-moon",
    "pin-tangerine-gravel",
];

#[test]
fn no_secret_is_printed_or_lies_in_clear() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("canary.stack"), PROGRAM).expect("written");
    // What secrets are given from is not ours: it stands elsewhere.
    let outside = tempfile::tempdir().expect("a directory can be made");
    private(&outside.path().join("file"), GIVEN[1]);
    private(&outside.path().join("command"), GIVEN[2]);
    private(&outside.path().join("settings"), GIVEN[3]);
    let place = |name: &str| outside.path().join(name).display().to_string();
    let settings = format!("[secrets]\nby_settings = {{ file = \"{}\" }}\n", place("settings"));
    std::fs::write(at("stackwright.local.toml"), settings).expect("written");

    let run = |arguments: &[&str], variables: &[(&str, &str)]| -> (i32, Vec<u8>) {
        let given =
            [format!("--secret-file=by_file={}", place("file")), format!("--secret-command=by_command=cat {}", place("command"))];
        let takes_given = ["plan", "apply", "rotate", "why", "graph", "destroy"].contains(&arguments[0]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_stackwright"));
        command
            .current_dir(dir.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .args(arguments)
            .args(["--env", "cloud", "--sim"]);
        command.args(given.iter().filter(|_| takes_given));
        command.env("STACK_SECRET_by_variable", GIVEN[0]).env("STACK_INPUT_pin", GIVEN[4]).envs(variables.iter().copied());
        let output = command.output().expect("the program runs");
        (output.status.code().expect("it ends by itself"), [output.stdout, output.stderr].concat())
    };
    let mut said: Vec<(String, Vec<u8>)> = Vec::new();
    let mut secrets = KnownSecrets::default();
    let leak = at(".stackwright/sim/local/cloud/files/leak");
    let learn = |secrets: &mut KnownSecrets| {
        let text = std::fs::read_to_string(&leak).expect("the file of the secrets was written");
        text.lines().filter(|line| *line != "none").for_each(|line| secrets.add(line));
    };
    GIVEN.iter().for_each(|given| secrets.add(given));
    let mut run_all = |commands: &[(&[&str], i32)]| {
        for (arguments, exit) in commands {
            let (code, bytes) = run(arguments, &[]);
            assert_eq!(code, *exit, "{arguments:?}: {}", String::from_utf8_lossy(&bytes));
            said.push((arguments.join(" "), bytes));
        }
    };
    run_all(&[(&["plan", "--full"], 0), (&["plan", "--json", "--out", "first.plan"], 0), (&["apply", "--yes"], 0)]);
    learn(&mut secrets);
    run_all(&[(&["rotate", "made", "--yes"], 0), (&["rotate", "database.main/secret.password", "--yes", "--json"], 0)]);
    learn(&mut secrets);
    run_all(&[
        (&["plan", "--json"], 0),
        (&["status"], 0),
        (&["status", "--json"], 0),
        (&["history", "--json"], 0),
        (&["show", "1"], 0),
        (&["show", "1", "--json"], 0),
        (&["show", "2", "--json"], 0),
        (&["show", "secret.made"], 0),
        (&["show", "service.api", "--json"], 0),
        (&["diff", "1..3"], 0),
        (&["diff", "1..3", "--json"], 0),
        (&["blame", "secret.made"], 0),
        (&["blame", "local.file.leak", "--json"], 0),
        (&["why", "local.file.leak.content"], 0),
        (&["graph", "--format", "json"], 0),
        (&["output"], 0),
        (&["output", "all"], 3),
        (&["output", "--json"], 0),
        (&["verify"], 0),
    ]);
    // What is wrong about a secret is said without it.
    let mut wrong = |arguments: &[&str], variables: &[(&str, &str)]| {
        let (code, bytes) = run(arguments, variables);
        assert!(code > 0 && code < 70, "{arguments:?} {variables:?}: {}", String::from_utf8_lossy(&bytes));
        said.push((arguments.join(" "), bytes));
    };
    secrets.add("not-a-number-but-hidden");
    wrong(&["plan"], &[("STACK_INPUT_count", "not-a-number-but-hidden")]);
    std::fs::write(at("refuse.stack"), "require input.pin == \"x\" else \"the pin ${input.pin} is wrong\"\n").expect("written");
    wrong(&["plan"], &[]);
    std::fs::write(at("refuse.stack"), "output bad = { a = 1 }[input.pin]\n").expect("written");
    wrong(&["plan"], &[]);
    std::fs::write(at("refuse.stack"), "output bad = parse_int(input.pin)\n").expect("written");
    wrong(&["plan"], &[]);

    for (command, bytes) in &said {
        let text = String::from_utf8_lossy(bytes);
        assert!(!secrets.is_in(&text), "`{command}` prints a secret: {}", secrets.clean(&text));
    }
    let mut files = Vec::new();
    collect(dir.path(), &mut files);
    assert!(files.len() > 5, "{files:?}");
    for file in files.iter().filter(|file| **file != leak) {
        let bytes = std::fs::read(file).expect("a file can be read");
        assert!(!secrets.is_in(&String::from_utf8_lossy(&bytes)), "{} holds a secret", file.display());
    }
}

fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("a file can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("its mode can be set");
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.is_file() {
            into.push(path);
        }
    }
}
