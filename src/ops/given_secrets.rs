//! Secrets that are given from outside: each from the strongest place that has it, read once and never shown.
//!
//! The strongest first: `--secret-file`, `--secret-stdin` and `--secret-command`; `STACK_SECRET_name`; `secrets` in
//! `stackwright.local.toml`; the file `.stackwright/secrets/name`. One newline at the end belongs to the file, not to the secret.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::files::words;
use super::given::Given;
use super::settings::Settings;
use crate::lang::program::{Body, Program};
use crate::model::{Code, Diagnostic, Name, Value};

/// No secret is larger.
const LARGEST: u64 = 64 << 10;
/// How long a command may take to print one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where one secret is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    File(PathBuf),
    Stdin,
    /// A program and its arguments; no shell reads them.
    Command(Vec<String>),
}

/// Secrets of the program that are given, by name. What is not given is not in it. Each is secret text.
///
/// Errors: all of them at once; [`Code::UnknownName`], [`Code::Usage`]; [`Code::Unreadable`] for what cannot be read, or what
/// others can read too.
pub fn secrets(program: &Program, given: &Given, settings: &Settings) -> Result<BTreeMap<Name, Value>, Vec<Diagnostic>> {
    let mut names = Vec::new();
    collect_names(&program.body, &mut names);
    let (mut values, mut errors) = (BTreeMap::new(), Vec::new());
    let flags = from_flags(given, &names, &mut errors);
    let local = if names.is_empty() { Ok(BTreeMap::new()) } else { from_local_settings(&settings.dir) };
    let local = local.unwrap_or_else(|diagnostic| {
        errors.push(*diagnostic);
        BTreeMap::new()
    });
    if !errors.is_empty() {
        return Err(errors);
    }
    if !names.is_empty() {
        crate::world::guard_memory();
    }
    for name in names {
        let by_default = settings.own_dir().join("secrets").join(&*name);
        let text = match (flags.get(&*name), (settings.variable)(&format!("STACK_SECRET_{name}")), local.get(&*name)) {
            (Some(place), ..) => read(&name, place, settings).map(Some),
            (None, Some(text), _) => whole(&name, "STACK_SECRET_", Zeroizing::new(text.into_bytes())).map(Some),
            (None, None, Some(place)) => read(&name, place, settings).map(Some),
            (None, None, None) if by_default.exists() => read(&name, &Place::File(by_default), settings).map(Some),
            (None, None, None) => Ok(None),
        };
        match text {
            Ok(Some(text)) => drop(values.insert(name, Value::text(text.as_str()).secret())),
            Ok(None) => {}
            Err(diagnostic) => errors.push(*diagnostic),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn collect_names(body: &Body, names: &mut Vec<Name>) {
    names.extend(body.secrets.iter().filter(|secret| secret.generate.is_none()).map(|secret| secret.name.clone()));
    for branch in &body.branches {
        collect_names(&branch.then, names);
        collect_names(&branch.otherwise, names);
    }
}

/// What the command line says. A value is never among it: everybody can read a process's arguments, and shells keep them.
fn from_flags(given: &Given, names: &[Name], errors: &mut Vec<Diagnostic>) -> BTreeMap<String, Place> {
    let mut places = BTreeMap::new();
    for text in &given.secret_values {
        let name = text.split('=').next().unwrap_or_default();
        errors.push(
            Code::Usage
                .error(format!("the value of secret `{name}` stands on the command line, where others can read it"))
                .note("it is in the shell's history and in the list of processes by now: make another one")
                .help(format!(
                    "give it with `--secret-file {name}=FILE`, `--secret-stdin {name}`, `--secret-command {name}=COMMAND` or \
                     STACK_SECRET_{name}"
                )),
        );
    }
    let mut add = |flag: &str, name: &str, place: Result<Place, Diagnostic>| {
        if !names.iter().any(|it| **it == *name) {
            let near = super::nearest(name, names.iter().map(|it| &**it));
            let near = near.map(|it| format!("a secret with a similar name exists: `{it}`"));
            let text = format!("the stack has no secret `{name}` that is given from outside");
            return errors.push(Code::UnknownName.error(text).helps(near));
        }
        match place {
            Err(diagnostic) => errors.push(diagnostic),
            Ok(place) => match places.insert(name.to_owned(), place) {
                None => {}
                Some(_) => errors.push(Code::Usage.error(format!("secret `{name}` is given twice, here by `{flag}`"))),
            },
        }
    };
    let lacks = |flag: &str, text: &str, what: &str| {
        Code::Usage
            .error(format!("`{flag} {text}` names no {what}"))
            .help(format!("write `{flag} {text}={}`", what.to_uppercase()))
    };
    for pair in &given.secret_files {
        match pair.split_once('=') {
            Some((name, path)) => add("--secret-file", name, Ok(Place::File(path.into()))),
            None => add("--secret-file", pair, Err(lacks("--secret-file", pair, "file"))),
        }
    }
    for pair in &given.secret_commands {
        let Some((name, line)) = pair.split_once('=') else {
            add("--secret-command", pair, Err(lacks("--secret-command", pair, "command")));
            continue;
        };
        let command = match shlex::split(line).filter(|words| !words.is_empty()) {
            Some(words) => Ok(Place::Command(words)),
            None => Err(Code::Usage
                .error(format!("the command of secret `{name}` has an open quote, or no words"))
                .help("it is parted into words as a shell does; no shell runs it")),
        };
        add("--secret-command", name, command);
    }
    for name in &given.secret_stdin {
        add("--secret-stdin", name, Ok(Place::Stdin));
    }
    if let [first, second, ..] = &given.secret_stdin[..] {
        errors.push(Code::Usage.error(format!("one stdin cannot hold both `{first}` and `{second}`")));
    }
    places
}

/// The file of settings that belongs to this machine, and to nobody's repository.
const LOCAL: &str = "stackwright.local.toml";

/// `secrets` of the local settings: `token = { command = ["op", "read", "…"] }` or `token = { file = "…" }`.
fn from_local_settings(dir: &Path) -> Result<BTreeMap<String, Place>, Box<Diagnostic>> {
    let path = dir.join(LOCAL);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(Box::new(Code::Unreadable.error(format!("`{LOCAL}` cannot be read: {}", words(&error))))),
    };
    let all = text.parse::<toml_edit::DocumentMut>().map_err(|error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let place = line.map(|line| format!(", line {line}")).unwrap_or_default();
        Box::new(Code::Unreadable.error(format!("`{LOCAL}`{place}: it is not TOML")))
    })?;
    let Some(secrets) = all.get("secrets") else { return Ok(BTreeMap::new()) };
    let odd =
        |name: &str| {
            Box::new(Code::Unreadable.error(format!("`{LOCAL}` does not say where secret `{name}` is")).help(format!(
                "write `[secrets]` and `{name} = {{ command = [\"op\", \"read\", \"…\"] }}`, or `{{ file = \"…\" }}`"
            )))
        };
    let secrets = secrets.as_table_like().ok_or_else(|| odd("NAME"))?;
    let place = |at: &toml_edit::Item| -> Option<Place> {
        let at = at.as_table_like().filter(|at| at.len() == 1)?;
        if let Some(file) = at.get("file").and_then(toml_edit::Item::as_str) {
            return Some(Place::File(dir.join(file)));
        }
        let words = at.get("command")?.as_array().filter(|words| !words.is_empty())?;
        let words: Option<Vec<String>> = words.iter().map(|word| Some(word.as_str()?.to_owned())).collect();
        words.map(Place::Command)
    };
    secrets.iter().map(|(name, at)| Ok((name.to_owned(), place(at).ok_or_else(|| odd(name))?))).collect()
}

fn read(name: &str, place: &Place, settings: &Settings) -> Result<Zeroizing<String>, Box<Diagnostic>> {
    match place {
        Place::File(path) => read_file(name, path),
        Place::Stdin => read_stdin(name),
        Place::Command(words) => run(name, words, settings),
    }
}

/// A file that its owner alone can read.
fn read_file(name: &str, path: &Path) -> Result<Zeroizing<String>, Box<Diagnostic>> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        Box::new(Code::Unreadable.error(format!("the secret's file `{shown}` cannot be read: {}", words(&error))))
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let text = format!("the secret's file `{shown}` can be read by others (mode {mode:04o})");
        return Err(Box::new(Code::Unreadable.error(text).help(format!("run `chmod 600 {shown}`"))));
    }
    let bytes = bounded(file).map_err(unreadable)?;
    whole(name, &format!("`{shown}`"), bytes)
}

fn read_stdin(name: &str) -> Result<Zeroizing<String>, Box<Diagnostic>> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let text = format!("secret `{name}` is to come from stdin, and stdin is a terminal that would show it");
        return Err(Box::new(Code::Usage.error(text).help("pipe it in from whatever holds it")));
    }
    let bytes = bounded(stdin.lock()).map_err(|error| {
        Box::new(Code::Unreadable.error(format!("secret `{name}` cannot be read from stdin: {}", words(&error))))
    })?;
    whole(name, "stdin", bytes)
}

fn bounded(from: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What was read, as the secret that it is.
fn whole(name: &str, from: &str, mut bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, Box<Diagnostic>> {
    let refuse = |why: &str| Err(Box::new(Code::Unreadable.error(format!("secret `{name}`, from {from}, {why}"))));
    if bytes.len() as u64 > LARGEST {
        return refuse("has more than 64 KiB");
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    match std::str::from_utf8(&bytes) {
        Ok("") => refuse("is empty"),
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => refuse("is not UTF-8: give it in base 64"),
    }
}

/// Runs a command without a shell; what it prints is the secret. It gets no other secret, nothing of it is shown, and it is killed with
/// all that it has started when its time is over.
fn run(name: &str, command: &[String], settings: &Settings) -> Result<Zeroizing<String>, Box<Diagnostic>> {
    let shown = command[0].as_str();
    let refuse = |why: String| {
        let text = format!("the command of secret `{name}`, `{shown}`, {why}");
        Box::new(Code::Unreadable.error(text).help("run it by itself to see what it says: nothing that it prints is shown here"))
    };
    let mut child = Command::new(shown);
    child.args(&command[1..]).current_dir(&settings.dir).process_group(0);
    child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    for (variable, _) in (settings.variables)("STACK_SECRET_") {
        child.env_remove(variable);
    }
    for variable in super::settings::secret_variables() {
        child.env_remove(variable);
    }
    let mut child = child.spawn().map_err(|error| refuse(format!("cannot be started: {}", words(&error))))?;
    let stdout = child.stdout.take().expect("it is piped");
    let (sender, output) = mpsc::channel();
    let reader = move || drop(sender.send(bounded(stdout)));
    std::thread::Builder::new().spawn(reader).map_err(|error| refuse(format!("cannot be read: {}", words(&error))))?;
    let printed = match output.recv_timeout(PATIENCE) {
        Ok(printed) => printed.map_err(|error| refuse(format!("cannot be read: {}", words(&error))))?,
        Err(_) => {
            end(&mut child);
            return Err(refuse(format!("did not end within {} s", PATIENCE.as_secs())));
        }
    };
    // It has closed its output, or printed too much: what it still does is nobody's business here.
    if printed.len() as u64 > LARGEST {
        end(&mut child);
        return Err(refuse("prints more than 64 KiB".into()));
    }
    let status = child.wait().map_err(|error| refuse(format!("cannot be waited for: {}", words(&error))))?;
    if !status.success() {
        let how = status.code().map_or("was killed".into(), |code| format!("ended with exit code {code}"));
        return Err(refuse(how));
    }
    whole(name, &format!("`{shown}`"), printed)
}

/// Kills a command and everything that it has started.
fn end(child: &mut Child) {
    if let Some(group) = rustix::process::Pid::from_raw(child.id() as i32) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ops::settings::Clouds;
    use crate::providers::registry;
    use crate::world::World;

    fn program() -> Arc<Program> {
        let text = "stack s { language = 1 }\nenvironment local { on = local }\nsecret token\nsecret other\nsecret made { generate = 16B }\n";
        let schemas = Arc::new(registry::schemas());
        let checked = crate::lang::load(crate::model::Sources::default(), vec![("s.stack".into(), text.into())], schemas);
        checked.program.expect("it checks")
    }

    fn settings(dir: &Path, variables: &[(&'static str, &'static str)]) -> Settings {
        let all: Vec<_> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let one = all.clone();
        Settings {
            dir: dir.to_owned(),
            clouds: Clouds::Real,
            world: World::real(),
            variable: Arc::new(move |name| one.iter().find(|(it, _)| it == name).map(|(_, value)| value.clone())),
            variables: Arc::new(move |begin| all.iter().filter(|(name, _)| name.starts_with(begin)).cloned().collect()),
            ask: None,
            parallel: None,
            tell: Arc::new(|_| {}),
        }
    }

    /// What `token` is, or what is said.
    fn token(given: &Given, settings: &Settings) -> String {
        match secrets(&program(), given, settings) {
            Ok(all) => all.get("token").map_or("none".into(), |value| value.as_text().expect("a text").to_owned()),
            Err(errors) => errors.into_iter().map(|it| it.message).collect::<Vec<_>>().join("; "),
        }
    }

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(path, text).expect("written");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    }

    #[test]
    fn the_strongest_place_wins() {
        let dir = tempfile::tempdir().expect("a directory");
        let bare = settings(dir.path(), &[]);
        assert_eq!(token(&Given::default(), &bare), "none");
        write(&dir.path().join(".stackwright/secrets/token"), "from the directory\n", 0o600);
        assert_eq!(token(&Given::default(), &bare), "from the directory");
        write(&dir.path().join(LOCAL), "[secrets]\ntoken = { command = [\"printf\", \"from %s\", \"a command\"] }\n", 0o644);
        assert_eq!(token(&Given::default(), &bare), "from a command");
        let with = settings(dir.path(), &[("STACK_SECRET_token", "from a variable")]);
        assert_eq!(token(&Given::default(), &with), "from a variable");
        let file = dir.path().join("t");
        write(&file, "from a file\r\n", 0o600);
        let given = Given { secret_files: vec![format!("token={}", file.display())], ..Given::default() };
        assert_eq!(token(&given, &with), "from a file");
        let given = Given { secret_commands: vec!["token=printf 'from %s' 'the line'".into()], ..Given::default() };
        assert_eq!(token(&given, &with), "from the line");
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_without_showing_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let bare = settings(dir.path(), &[]);
        let open = dir.path().join("open");
        write(&open, "for everybody", 0o644);
        let (shown, large) = (open.display(), dir.path().join("large"));
        write(&large, &"x".repeat(70_000), 0o600);
        let file = |path: &Path| Given { secret_files: vec![format!("token={}", path.display())], ..Given::default() };
        let command = |line: &str| Given { secret_commands: vec![format!("token={line}")], ..Given::default() };
        let cases = [
            (file(&open), format!("the secret's file `{shown}` can be read by others (mode 0644)")),
            (
                file(&dir.path().join("none")),
                format!("the secret's file `{}/none` cannot be read: no such file or directory", dir.path().display()),
            ),
            (file(&large), format!("secret `token`, from `{}`, has more than 64 KiB", large.display())),
            (command("printf ''"), "secret `token`, from `printf`, is empty".into()),
            (command("printf '\\377'"), "secret `token`, from `printf`, is not UTF-8: give it in base 64".into()),
            (command("sh -c 'echo hunter2; exit 3'"), "the command of secret `token`, `sh`, ended with exit code 3".into()),
            (
                command("no-such-program-here"),
                "the command of secret `token`, `no-such-program-here`, cannot be started: no such file or directory".into(),
            ),
            (command("yes hunter2"), "the command of secret `token`, `yes`, prints more than 64 KiB".into()),
            (command("echo 'open"), "the command of secret `token` has an open quote, or no words".into()),
            (
                Given { secret_files: vec!["tokn=x".into()], ..Given::default() },
                "the stack has no secret `tokn` that is given from outside".into(),
            ),
            (
                Given { secret_files: vec!["made=x".into()], ..Given::default() },
                "the stack has no secret `made` that is given from outside".into(),
            ),
            (Given { secret_files: vec!["token".into()], ..Given::default() }, "`--secret-file token` names no file".into()),
            (
                Given { secret_stdin: vec!["token".into(), "other".into()], ..Given::default() },
                "one stdin cannot hold both `token` and `other`".into(),
            ),
            (
                Given { secret_files: vec!["token=a".into()], secret_commands: vec!["token=b".into()], ..Given::default() },
                "secret `token` is given twice, here by `--secret-command`".into(),
            ),
            (
                Given { secret_values: vec!["token=hunter2".into()], ..Given::default() },
                "the value of secret `token` stands on the command line, where others can read it".into(),
            ),
        ];
        for (given, said) in cases {
            assert_eq!(token(&given, &bare), said);
        }
    }

    #[test]
    fn a_command_gets_no_secret_of_the_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let with = settings(dir.path(), &[("STACK_SECRET_other", "x-x-x-x-x")]);
        let line = "token=sh -c 'echo \"${STACK_SECRET_other-nothing} $(cat)\"'";
        let given = Given { secret_commands: vec![line.into()], ..Given::default() };
        assert_eq!(token(&given, &with), "nothing ");
    }

    #[test]
    fn local_settings_that_say_something_else_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let bare = settings(dir.path(), &[]);
        let odd = "`stackwright.local.toml` does not say where secret `token` is";
        for (text, said) in [
            ("[secrets]\ntoken = \"the value itself\"\n", odd),
            ("[secrets]\ntoken = { command = [] }\n", odd),
            ("[secrets]\ntoken = { command = [1] }\n", odd),
            ("[secrets]\n\ntoken = {\n", "`stackwright.local.toml`, line 3: it is not TOML"),
            ("[other]\na = 1\n", "none"),
        ] {
            write(&dir.path().join(LOCAL), text, 0o600);
            let got = token(&Given::default(), &bare);
            assert!(got == said || said.contains("not TOML") && got.ends_with("it is not TOML"), "{text}: {got}");
        }
    }
}
