//! Where the server is and who asks: from the program, `STACKWRIGHT_STATE_URL` and the variables that every PostgreSQL client
//! reads. Passwords come from variables and from the password file, never from a program.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::tls::Verify;
use crate::model::KnownSecrets;
use crate::state::store::patience::CONNECT;

/// Reads a variable of the environment.
pub type Variable<'v> = &'v dyn Fn(&str) -> Option<String>;

/// The variable that holds the whole address.
pub const URL: &str = "STACKWRIGHT_STATE_URL";

pub struct Address {
    pub config: Config,
    pub verify: Verify,
    /// PEM file of the authorities to trust; the system's where there is none.
    pub roots: Option<PathBuf>,
    /// For messages: without the password.
    pub shown: String,
    pub secrets: KnownSecrets,
}

impl Address {
    /// `url` is what the program says; the variable's goes before it.
    ///
    /// Errors: what is wrong and what to do, without the password.
    pub fn find(url: Option<&str>, variable: Variable<'_>) -> Result<Address, (String, String)> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let given = set(URL);
        let from = if given.is_some() { URL } else { "`url`" };
        let mut config = Config::new();
        let (mut sslmode, mut roots) = (None, None);
        if let Some(url) = given.as_deref().or(url) {
            let (rest, mode, certificates) = without_tls(url);
            if !rest.starts_with("postgres://") && !rest.starts_with("postgresql://") {
                let help = "write it as `postgres://USER@HOST:PORT/DATABASE`";
                return Err((format!("{from} is no address of a PostgreSQL server"), help.into()));
            }
            // The parser's error may quote what it could not read.
            config = rest.parse().map_err(|_| {
                let help = "write it as `postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full`, special characters as %XX";
                (format!("{from} is no address of a PostgreSQL server"), help.to_owned())
            })?;
            (sslmode, roots) = (mode, certificates.map(PathBuf::from));
        }
        fill_in(&mut config, &set)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            let help =
                format!("set {URL} to `postgres://USER:PASSWORD@HOST/DATABASE`, or PGHOST, PGUSER, PGPASSWORD and PGDATABASE");
            return Err(("nothing says where the server is".into(), help));
        }
        config.connect_timeout(CONNECT).application_name("stackwright");
        config.tcp_user_timeout(super::super::patience::WHOLE).keepalives_idle(std::time::Duration::from_secs(10));
        let verify = verification(sslmode.or_else(|| set("PGSSLMODE")).as_deref(), &config)?;
        config.ssl_mode(match verify {
            Verify::Off => SslMode::Disable,
            Verify::IfOffered => SslMode::Prefer,
            _ => SslMode::Require,
        });
        let roots = roots.or_else(|| set("PGSSLROOTCERT").map(PathBuf::from)).filter(|path| path != Path::new("system"));
        let secrets = KnownSecrets::default();
        if let Some(password) = config.get_password().and_then(|password| std::str::from_utf8(password).ok()) {
            secrets.add(password);
        }
        given.iter().for_each(|url| secrets.add(url));
        Ok(Address { shown: shown(&config), config, verify, roots, secrets })
    }
}

/// The URL without `sslmode` and `sslrootcert`, and those.
fn without_tls(url: &str) -> (String, Option<String>, Option<String>) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), None, None) };
    let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
    for part in query.split('&') {
        let value = |text: &str| url::form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned());
        match part.split_once('=') {
            Some(("sslmode", value_text)) => mode = value(value_text),
            Some(("sslrootcert", value_text)) => roots = value(value_text),
            _ => rest.push(part),
        }
    }
    let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    (format!("{base}{query}"), mode, roots)
}

/// What the address leaves open comes from the usual variables, and the password at last from the password file.
fn fill_in(config: &mut Config, set: &dyn Fn(&str) -> Option<String>) -> Result<(), (String, String)> {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        for host in set("PGHOST").iter().flat_map(|hosts| hosts.split(',')) {
            config.host(host);
        }
    }
    if config.get_ports().is_empty()
        && let Some(ports) = set("PGPORT")
    {
        for port in ports.split(',') {
            let port = port.parse().map_err(|_| (format!("PGPORT is `{}`", port.escape_debug()), "it is a number".to_owned()))?;
            config.port(port);
        }
    }
    if config.get_user().is_none() {
        let user = set("PGUSER").or_else(|| set("USER")).or_else(|| set("LOGNAME"));
        let help = format!("set PGUSER, or write it into {URL}: `postgres://USER@HOST/DATABASE`");
        config.user(user.ok_or(("nothing says as whom to ask the server".to_owned(), help))?);
    }
    if config.get_dbname().is_none()
        && let Some(name) = set("PGDATABASE")
    {
        config.dbname(name);
    }
    if config.get_password().is_none()
        && let Some(password) = set("PGPASSWORD").or_else(|| from_file(config, set))
    {
        config.password(password);
    }
    Ok(())
}

/// The password that the password file (`PGPASSFILE`, else `~/.pgpass`) has for this server, database and user. As with every other
/// client, a file that others may read is not used.
fn from_file(config: &Config, set: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let path = set("PGPASSFILE").map(PathBuf::from).or_else(|| Some(Path::new(&set("HOME")?).join(".pgpass")))?;
    if std::fs::metadata(&path).ok()?.mode() & 0o077 != 0 {
        return None;
    }
    let text = std::fs::read_to_string(&path).ok()?;
    let host = match config.get_hosts().first()? {
        Host::Tcp(host) => host.clone(),
        Host::Unix(_) => "localhost".into(),
    };
    let port = config.get_ports().first().unwrap_or(&5432).to_string();
    let user = config.get_user()?;
    let wanted = [host.as_str(), &port, config.get_dbname().unwrap_or(user), user];
    text.lines().filter(|line| !line.starts_with('#')).map(fields).find_map(|mut fields| {
        let fits = fields.len() == 5 && fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        fits.then(|| fields.pop()).flatten()
    })
}

/// The fields of a line of the password file: between colons, where `\` takes the next character as it is.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut last_field = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let taken = if c == '\\' { chars.next() } else { Some(c) };
        match fields.last_mut() {
            Some(last) if c != ':' || last_field => last.extend(taken),
            _ => {
                fields.push(String::new());
                last_field = fields.len() == 5;
            }
        }
    }
    fields
}

fn verification(mode: Option<&str>, config: &Config) -> Result<Verify, (String, String)> {
    let near = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
    };
    Ok(match mode {
        Some("disable") => Verify::Off,
        Some("allow" | "prefer") => Verify::IfOffered,
        Some("require") => Verify::Nothing,
        Some("verify-ca") => Verify::Authority,
        Some("verify-full") => Verify::Name,
        // What stays on this machine needs no certificate; what leaves it goes to nobody else.
        None if config.get_hosts().iter().all(near) && !config.get_hosts().is_empty() => Verify::IfOffered,
        None => Verify::Name,
        Some(other) => {
            let help = "it is one of disable, prefer, require, verify-ca, verify-full";
            return Err((format!("sslmode is `{}`", other.escape_debug()), help.into()));
        }
    })
}

fn shown(config: &Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let mut hosts: Vec<String> = hosts.collect();
    if hosts.is_empty() {
        hosts = config.get_hostaddrs().iter().map(ToString::to_string).collect();
    }
    for (at, host) in hosts.iter_mut().enumerate() {
        let ports = config.get_ports();
        if let Some(port) = ports.get(at).or(ports.first()).filter(|port| **port != 5432) {
            host.push_str(&format!(":{port}"));
        }
    }
    let user = config.get_user().unwrap_or_default();
    format!("postgres://{user}@{}/{}", hosts.join(","), config.get_dbname().unwrap_or(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(url: Option<&str>, variables: &[(&str, &str)]) -> Result<Address, (String, String)> {
        let value = |name: &str| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        Address::find(url, &value)
    }

    fn password(address: &Address) -> Option<&str> {
        address.config.get_password().and_then(|it| std::str::from_utf8(it).ok())
    }

    #[test]
    fn the_variable_goes_before_the_program_and_the_usual_ones_fill_in() {
        let address = find(Some("postgres://a@db.example/acme"), &[("PGPASSWORD", "p"), ("PGUSER", "other")]).expect("found");
        assert_eq!((address.shown.as_str(), password(&address)), ("postgres://a@db.example/acme", Some("p")));
        let all = [("PGHOST", "h"), ("PGPORT", "6543"), ("PGUSER", "u"), ("PGDATABASE", "d"), ("PGPASSWORD", "p")];
        assert_eq!(find(None, &all).expect("found").shown, "postgres://u@h:6543/d");
        let given = [("STACKWRIGHT_STATE_URL", "postgresql://b:s3cr3t-word@other:5433/x?sslmode=require&application_name=y")];
        let address = find(Some("postgres://a@db.example/acme"), &given).expect("found");
        assert_eq!((address.shown.as_str(), password(&address)), ("postgres://b@other:5433/x", Some("s3cr3t-word")));
        assert!(address.secrets.is_in("password s3cr3t-word"));
        assert_eq!(address.verify, Verify::Nothing);
    }

    #[test]
    fn what_leaves_this_machine_is_verified_unless_somebody_says_otherwise() {
        let of = |url: &str, variables: &[(&str, &str)]| find(Some(url), variables).expect("found").verify;
        assert_eq!(of("postgres://a@db.example/acme", &[]), Verify::Name);
        assert_eq!(of("postgres://a@localhost/acme", &[]), Verify::IfOffered);
        assert_eq!(of("postgres://a@127.0.0.1,db.example/acme", &[]), Verify::Name);
        assert_eq!(of("postgres://a@%2Frun%2Fpostgresql/acme", &[]), Verify::IfOffered);
        assert_eq!(of("postgres://a@db.example/acme", &[("PGSSLMODE", "disable")]), Verify::Off);
        assert_eq!(of("postgres://a@db.example/acme?sslmode=verify-ca", &[("PGSSLMODE", "disable")]), Verify::Authority);
    }

    #[test]
    fn what_is_missing_or_wrong_is_said_without_the_password() {
        let said = |url: Option<&str>, variables: &[(&str, &str)]| find(url, variables).err().expect("refused").0;
        assert_eq!(said(None, &[("USER", "me")]), "nothing says where the server is");
        let wrong = [("STACKWRIGHT_STATE_URL", "postgres://a:s3cr3t-word@h:port/x")];
        assert_eq!(said(None, &wrong), "STACKWRIGHT_STATE_URL is no address of a PostgreSQL server");
        assert_eq!(said(Some("mysql://a@h/x"), &[]), "`url` is no address of a PostgreSQL server");
        assert_eq!(said(Some("postgres://a@h/x?sslmode=maybe"), &[]), "sslmode is `maybe`");
    }

    #[test]
    fn the_password_file_is_read_as_others_read_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("pgpass");
        std::fs::write(&path, "# no\nother:*:*:a:wrong\nh:5432:*:a:with\\:colon\n*:*:*:*:last\n").expect("written");
        let mode = |bits: u32| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).expect("set");
        };
        let file = path.to_str().expect("UTF-8").to_owned();
        let of = |url: &str| password(&find(Some(url), &[("PGPASSFILE", &file)]).expect("found")).map(str::to_owned);
        mode(0o600);
        assert_eq!(of("postgres://a@h/x").as_deref(), Some("with:colon"));
        assert_eq!(of("postgres://b@h/x").as_deref(), Some("last"));
        mode(0o644);
        assert_eq!(of("postgres://a@h/x"), None);
    }
}
