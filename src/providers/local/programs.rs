//! Where the servers that this provider starts are installed, and what to say where they are not.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::helper::{is_program, resolve};
use crate::model::{Code, Diagnostic, Name};

/// PostgreSQL's programs, all of one version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Postgres {
    /// Directory of `initdb` and `postgres`.
    pub bin: PathBuf,
    pub major: u32,
    /// `15.8`.
    pub version: String,
}

/// Directories that hold `bin` directories of one PostgreSQL version each.
const POSTGRES_ROOTS: [&str; 6] =
    ["/usr/lib/postgresql", "/usr/local/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr", "/Library/PostgreSQL"];

/// Every PostgreSQL that is installed, newest first.
#[allow(clippy::disallowed_methods, reason = "where this machine keeps its programs is a fact of the machine")]
pub fn postgres() -> Vec<Postgres> {
    let mut bins = BTreeSet::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    bins.extend(std::env::split_paths(&path));
    for root in POSTGRES_ROOTS {
        let entries = fs::read_dir(root).into_iter().flatten().flatten();
        // `/usr` holds more than these; there they are called `pgsql-16`.
        let named = |name: &OsStr| {
            root.ends_with("postgresql")
                || name.to_string_lossy().contains("postgres")
                || name.to_string_lossy().starts_with("pgsql-")
        };
        bins.extend(
            entries
                .filter(|entry| named(&entry.file_name()) || root.ends_with("PostgreSQL"))
                .map(|entry| entry.path().join("bin")),
        );
    }
    let mut found: Vec<Postgres> = bins.into_iter().filter_map(|bin| postgres_in(&bin)).collect();
    found.sort_by(|a, b| (b.major, &b.version, &a.bin).cmp(&(a.major, &a.version, &b.bin)));
    found
}

/// A directory counts if it holds both programs; links (`/usr/bin/postgres`) are followed, since servers look for their
/// libraries beside themselves.
fn postgres_in(bin: &Path) -> Option<Postgres> {
    let server = fs::canonicalize(bin.join("postgres")).ok().filter(|server| is_program(server))?;
    let bin = server.parent()?.to_owned();
    is_program(&bin.join("initdb")).then_some(())?;
    let version = version_of(&server)?;
    let major = version.split('.').next()?.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()?;
    Some(Postgres { bin, major, version })
}

/// Redis, or Valkey, which speaks the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redis {
    pub server: PathBuf,
    pub version: String,
}

#[allow(clippy::disallowed_methods, reason = "where this machine keeps its programs is a fact of the machine")]
pub fn redis() -> Option<Redis> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"];
    let path = std::env::join_paths(std::env::split_paths(&path).chain(more.iter().map(PathBuf::from))).unwrap_or(path);
    ["redis-server", "valkey-server"].into_iter().find_map(|program| {
        let server = resolve(program, Path::new("/"), Some(&path))?;
        let version = version_of(&server)?;
        Some(Redis { server, version })
    })
}

/// The first thing that looks like a version in what `--version` says: "postgres (PostgreSQL) 15.8 (Debian …)",
/// "Redis server v=7.0.15 sha=…".
fn version_of(program: &Path) -> Option<String> {
    let said =
        std::process::Command::new(program).arg("--version").env_clear().stdin(std::process::Stdio::null()).output().ok()?;
    first_version(&String::from_utf8_lossy(&said.stdout))
}

fn first_version(text: &str) -> Option<String> {
    let words = text.split_whitespace().map(|word| word.strip_prefix("v=").unwrap_or(word));
    let mut versions = words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    versions.next().map(|version| version.trim_end_matches([',', ';']).to_owned())
}

/// What these kinds need and this machine lacks.
pub fn missing(kinds: &BTreeSet<Name>) -> Vec<Diagnostic> {
    let mut all = Vec::new();
    if kinds.contains("local.postgres") && postgres().is_empty() {
        all.push(no_postgres());
    }
    if kinds.contains("local.redis") && redis().is_none() {
        all.push(no_redis());
    }
    all
}

pub fn no_postgres() -> Diagnostic {
    let looked =
        "PATH (`postgres` beside `initdb`), /usr/lib/postgresql/*/bin, /usr/pgsql-*/bin, /opt/homebrew/opt/postgresql@*/bin";
    Code::ProgramMissing
        .error("`local.postgres` needs PostgreSQL, and it is not installed")
        .fact("looked", looked)
        .help(install(["postgresql", "postgresql-server", "postgresql16", "postgresql", "postgresql@16"]))
}

pub fn no_redis() -> Diagnostic {
    Code::ProgramMissing
        .error("`local.redis` needs `redis-server`, and it is not installed")
        .fact("looked", "PATH, /usr/bin, /usr/local/bin, /opt/homebrew/bin (`redis-server`, `valkey-server`)")
        .help(install(["redis-server", "redis", "redis", "redis", "redis"]))
}

/// The command that installs a package, by what this machine has; the names are those of apt, dnf, apk, pacman and brew.
fn install(names: [&str; 5]) -> String {
    let [apt, dnf, apk, pacman, brew] = names;
    let here = |program: &str| is_program(Path::new(program));
    match () {
        () if cfg!(target_os = "macos") => format!("brew install {brew}"),
        () if here("/usr/bin/apt-get") => format!("apt-get install {apt}"),
        () if here("/usr/bin/dnf") => format!("dnf install {dnf}"),
        () if here("/sbin/apk") => format!("apk add {apk}"),
        () if here("/usr/bin/pacman") => format!("pacman -S {pacman}"),
        () => format!("install it with the system's packages: `apt-get install {apt}`, `brew install {brew}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_programs_say_of_themselves() {
        let said = [
            ("postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)", "15.8"),
            ("postgres (PostgreSQL) 17beta2", "17beta2"),
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "7.0.15"),
            ("Valkey server v=8.0.1 sha=0", "8.0.1"),
        ];
        for (text, version) in said {
            assert_eq!(first_version(text).as_deref(), Some(version));
        }
        assert_eq!(first_version("no digits"), None);
    }

    #[test]
    fn what_is_missing_says_what_to_type() {
        for diagnostic in [no_postgres(), no_redis()] {
            assert_eq!(diagnostic.code, Code::ProgramMissing);
            assert!(
                diagnostic.help[0].contains("install") || diagnostic.help[0].contains("add") || diagnostic.help[0].contains("-S")
            );
        }
        assert!(missing(&BTreeSet::from(["local.value".into(), "local.process".into()])).is_empty());
    }
}
