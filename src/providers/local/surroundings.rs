//! What a child process is given of this program's own environment: what a shell has, and no credential.

use std::ffi::OsString;

const NAMES: [&str; 24] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "TERM",
    "COLORTERM",
    "EDITOR",
    "PAGER",
    "GOPATH",
    "GOROOT",
    "GOCACHE",
    "GOFLAGS",
    "JAVA_HOME",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "PKG_CONFIG_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
const BEGINNINGS: [&str; 14] =
    ["LC_", "XDG_", "CARGO_", "RUSTUP_", "RUST_", "NVM_", "NODE_", "NPM_", "PNPM_", "PYTHON", "UV_", "RBENV_", "GEM_", "DENO_"];
const NEVER: [&str; 6] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "_KEY"];

/// The variables of this program that a child may have.
#[allow(clippy::disallowed_methods, reason = "what a child inherits is what this program was given")]
pub fn variables() -> Vec<(OsString, OsString)> {
    let may_have = |name: &str| {
        let usual = NAMES.contains(&name) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning));
        usual && !NEVER.iter().any(|part| name.contains(part))
    };
    std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(may_have)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_child_gets_a_path_and_no_credential() {
        let names: Vec<_> = super::variables().into_iter().map(|(name, _)| name).collect();
        assert!(names.iter().any(|name| name == "PATH"));
        let credential = |name: &std::ffi::OsString| name.to_string_lossy().contains("TOKEN");
        assert!(!names.iter().any(credential));
    }
}
