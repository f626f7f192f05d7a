//! No secret lies anywhere in clear: every byte that commands print and write is looked through, in every writing of every secret.

use std::path::Path;
use std::process::Command;

use stackwright::model::KnownSecrets;

use crate::raw::{Canaries, files, unpacked};

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

/// Opens the state's key; nothing of it may lie anywhere either.
const PASSPHRASE: &str = "gravel tangerine dishwasher moon";

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
    private(&outside.path().join("passphrase"), PASSPHRASE);
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
        command.env("STACK_SECRET_by_variable", GIVEN[0]).env("STACK_INPUT_pin", GIVEN[4]);
        command
            .env("STACKWRIGHT_PASSPHRASE_FILE", place("passphrase"))
            .env("HOME", outside.path())
            .envs(variables.iter().copied());
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
    // Somebody more is let in, with an identity and with a passphrase; data keys come and go.
    let identity = place("identity");
    run_all(&[(&["key", "new", "--out", &identity], 0), (&["key", "new", "--out", &identity], 1)]);
    let text = std::fs::read_to_string(&identity).expect("the identity was written");
    let recipient = text.lines().find_map(|line| line.strip_prefix("# recipient: ")).expect("it names its recipient").to_owned();
    let reason = "--reason=canary";
    run_all(&[
        (&["key", "add", &recipient, "--name=ada", reason], 0),
        (&["key", "add", "passphrase", "--name=team", reason], 0),
        (&["key", "list"], 0),
        (&["key", "list", "--json"], 0),
        (&["key", "rotate", reason], 0),
        (&["plan", "--out", "second.plan", "--json"], 0),
        (&["state", "rewrap", reason], 0),
        (&["rotate", "words", "--yes"], 0),
        (&["key", "remove", "team", reason, "--json"], 0),
        (&["state", "rewrap", reason, "--json"], 0),
        (&["state", "export", "--out", "export.log"], 0),
        (&["state", "export"], 0),
        (&["state", "backup", "--out", "backup.log"], 0),
    ]);
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

    // Whoever has the wrong keys is told so without them.
    let key = at(".stackwright/sim/state/key");
    let keys = std::fs::read_to_string(&key).expect("the key file");
    std::fs::rename(&key, outside.path().join("key")).expect("the key file can be moved");
    wrong(&["plan"], &[("STACKWRIGHT_IDENTITY", "AGE-SECRET-KEY-1NOBODYSIDENTITY")]);
    wrong(&["status", "--json"], &[("STACKWRIGHT_KEY", &text), ("STACKWRIGHT_PASSPHRASE", "no such passphrase")]);
    wrong(&["key", "rotate", reason], &[("STACKWRIGHT_KEY_FILE", &identity)]);
    let (code, bytes) = run(&["status"], &[("STACKWRIGHT_IDENTITY_FILE", &identity)]);
    assert_eq!(code, 0, "{}", String::from_utf8_lossy(&bytes));
    said.push(("status as ada".into(), bytes));

    for (command, bytes) in &said {
        let text = String::from_utf8_lossy(bytes);
        assert!(!secrets.is_in(&text), "`{command}` prints a secret: {}", secrets.clean(&text));
    }
    // The same in raw bytes, with the keys among what is looked for.
    let mut canaries = Canaries::default();
    let leaked = std::fs::read_to_string(&leak).expect("the file of the secrets");
    let long = |line: &&str| line.len() >= 8 && *line != "none";
    leaked.lines().filter(long).for_each(|line| canaries.add("a secret of the program", line.as_bytes()));
    GIVEN.iter().for_each(|given| canaries.add("a given secret", given.as_bytes()));
    canaries.add("the passphrase", PASSPHRASE.as_bytes());
    canaries.add("an identity", text.lines().last().expect("the identity's line").as_bytes());
    for line in keys.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of the key file");
        let text = line["key"].as_str().expect("a key");
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        canaries.add("a data key", &base64::Engine::decode(&engine, text).expect("base64"));
    }
    assert!(canaries.count > 12 && canaries.found_in(leaked.as_bytes()).is_some(), "there is something to look for");
    assert!(canaries.found_in(keys.as_bytes()).is_some(), "keys would be found");
    for (command, bytes) in &said {
        assert_eq!(canaries.found_in(bytes), None, "`{command}` prints it");
    }
    let (mut packed, mut seen) = (0, Vec::new());
    for file in files(dir.path()).iter().filter(|file| **file != leak) {
        let (parts, count) = unpacked(std::fs::read(file).expect("a file can be read"));
        packed += count;
        for part in &parts {
            assert!(!secrets.is_in(&String::from_utf8_lossy(part)), "{} holds a secret", file.display());
            assert_eq!(canaries.found_in(part), None, "{} holds it", file.display());
        }
        seen.push(file.strip_prefix(dir.path()).expect("it lies in there").display().to_string());
    }
    let has = |end: &str| seen.iter().any(|it| it.ends_with(end));
    for kind in ["000000000001.log", "/head", "/snapshot", "first.plan", "second.plan", "export.log", "backup.log"] {
        assert!(has(kind), "no {kind} among {seen:#?}");
    }
    assert!(seen.iter().any(|it| it.contains("/index/")), "no index among {seen:#?}");
    assert!(packed >= 4, "segments, the snapshot, and that of the backup were unpacked: {packed}");
}

fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("a file can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("its mode can be set");
}
