//! What the environment says, checked once at the start.

use std::fmt;

/// Addresses hold passwords, so there is no `Debug` here and no message quotes one.
pub struct Settings {
    pub host: String,
    pub port: u16,
    pub version: String,
    pub session_key: String,
    pub database: postgres::Config,
    pub cache: redis::Client,
}

/// The variables that are missing or do not parse, all of them at once, by name and never by value.
#[derive(Debug, PartialEq, Eq)]
pub struct Unusable(Vec<(&'static str, &'static str)>);

impl Settings {
    /// Reads each variable through `lookup`, so that a test needs no environment.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Settings, Unusable> {
        let mut unusable = Vec::new();
        let port = required(&lookup, &mut unusable, "PORT", "a port", |text| text.parse().ok());
        let database = required(&lookup, &mut unusable, "DATABASE_URL", "a PostgreSQL address", |text| text.parse().ok());
        let cache = required(&lookup, &mut unusable, "REDIS_URL", "a Redis address", |text| redis::Client::open(text).ok());
        let session_key = required(&lookup, &mut unusable, "SESSION_KEY", "a key", |text| Some(text.to_owned()));
        let (Some(port), Some(database), Some(cache), Some(session_key)) = (port, database, cache, session_key) else {
            return Err(Unusable(unusable));
        };
        let host = lookup("HOST").unwrap_or_else(|| "127.0.0.1".to_owned());
        let version = lookup("VERSION").unwrap_or_else(|| "dev".to_owned());
        Ok(Settings { host, port, version, session_key, database, cache })
    }
}

fn required<T>(
    lookup: &impl Fn(&str) -> Option<String>,
    unusable: &mut Vec<(&'static str, &'static str)>,
    name: &'static str,
    needed: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let value = lookup(name).filter(|text| !text.is_empty()).and_then(|text| parse(&text));
    if value.is_none() {
        unusable.push((name, needed));
    }
    value
}

impl fmt::Display for Unusable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<_> = self.0.iter().map(|(name, needed)| format!("{name} has to hold {needed}")).collect();
        out.write_str(&each.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("PORT", "8080"),
        ("DATABASE_URL", "postgres://app:s3cret@127.0.0.1:5432/shop"),
        ("REDIS_URL", "redis://:s3cret@127.0.0.1:6379/0"),
        ("SESSION_KEY", "s3cret"),
    ];

    fn read(changed: &[(&str, &str)]) -> Result<Settings, Unusable> {
        Settings::from_lookup(|name| {
            changed.iter().chain(&GOOD).find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn host_and_version_have_defaults() {
        let settings = read(&[]).unwrap_or_else(|unusable| panic!("{unusable}"));
        assert_eq!((settings.host.as_str(), settings.port, settings.version.as_str()), ("127.0.0.1", 8080, "dev"));
    }

    #[test]
    fn everything_that_is_unusable_is_named_at_once_and_nothing_is_quoted() {
        let unusable = read(&[("PORT", "http"), ("DATABASE_URL", "mysql://s3cret"), ("SESSION_KEY", "")]).err().expect("three");
        assert_eq!(
            unusable.to_string(),
            "PORT has to hold a port, DATABASE_URL has to hold a PostgreSQL address, SESSION_KEY has to hold a key"
        );
    }
}
