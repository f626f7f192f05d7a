//! How the Machines API is spoken to: its address, its credentials, its way to explain a refusal.

use http::HeaderName;
use secrecy::ExposeSecret as _;
use serde_json::Value as Json;

use crate::model::value::Fields;
use crate::model::{Code, Diagnostic};
use crate::providers::contract::Surroundings;
use crate::providers::http::wire::{get_text, text};
use crate::providers::http::{Api, Dialect};

const PUBLIC: &str = "https://api.machines.dev";
pub const VARIABLE: &str = "FLY_API_TOKEN";

static DIALECT: Dialect = Dialect { platform: "fly", request_id: HeaderName::from_static("fly-request-id"), explain };

/// What a provider block says of the place where its resources go.
pub struct Home {
    pub org: String,
    pub region: Option<String>,
}

/// Reads the settings and finds the credentials.
///
/// Errors: [`Code::NoCredentials`] naming what was looked at; [`Code::MissingField`] without `org`.
pub fn connect(settings: &Fields, surroundings: &Surroundings) -> Result<(Api, Home), Box<Diagnostic>> {
    let org = text(settings, "org").ok_or_else(|| Box::new(Code::MissingField.error("provider `fly` has no `org`")))?;
    let home = Home { org: org.to_owned(), region: text(settings, "region").map(str::to_owned) };
    let base = surroundings.base_url.as_deref().or_else(|| text(settings, "base_url")).unwrap_or(PUBLIC);
    let authorization = match surroundings.simulated {
        true => "Bearer simulated".to_owned(),
        false => authorization((surroundings.variable)(VARIABLE).as_ref().map(|it| it.expose_secret()).unwrap_or(""), org)?,
    };
    let api = Api::new(&DIALECT, surroundings.transport.clone(), &surroundings.world, base, &authorization);
    let api = api.map_err(|words| Box::new(Code::NoCredentials.error(format!("provider `fly` cannot be used: {words}"))))?;
    Ok((api, home))
}

/// Macaroons go under a scheme of their own; whatever scheme the variable already has is left out first.
fn authorization(token: &str, org: &str) -> Result<String, Box<Diagnostic>> {
    let token = token.trim();
    let bare = token.strip_prefix("FlyV1 ").or_else(|| token.strip_prefix("Bearer ")).unwrap_or(token).trim();
    if bare.is_empty() {
        let help =
            format!("set {VARIABLE} to a token of org `{org}`, such as one that `fly tokens create org` prints, or use `--sim`");
        let missing = Code::NoCredentials.error("no credentials for provider `fly`");
        return Err(Box::new(missing.fact("looked", format!("{VARIABLE} (not set)")).help(help)));
    }
    let is_macaroon = ["fm1r_", "fm1a_", "fm2_"].iter().any(|start| bare.starts_with(start));
    Ok(format!("{} {bare}", if is_macaroon { "FlyV1" } else { "Bearer" }))
}

/// `{"error": words, "status": code}`; some answers have `message` instead.
fn explain(body: &Json) -> Option<(String, Option<String>)> {
    let words = get_text(body, "error").or_else(|| get_text(body, "message"))?;
    let field = match get_text(body, "status") {
        Some("name_taken") => Some("name".to_owned()),
        _ => field_in(words),
    };
    Some((words.to_owned(), field))
}

/// The attribute that `invalid config.guest.memory_mb, …` is about: `guest.memory`.
fn field_in(words: &str) -> Option<String> {
    let rest = &words[words.find("invalid ")? + "invalid ".len()..];
    let path = rest.split([',', ':', ' ', ';']).next()?;
    let path = path.strip_prefix("config.").unwrap_or(path);
    let is_path = !path.is_empty() && path.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '.'));
    let known =
        ["guest", "image", "env", "metadata", "mounts", "services", "checks", "restart", "init", "region", "name", "type"];
    let other = ["size_gb", "snapshot_retention", "hostname", "schedule", "value"];
    let first = path.split('.').next()?;
    let attribute = path.replace("memory_mb", "memory").replace("size_gb", "size");
    (is_path && (known.contains(&first) || other.contains(&first))).then_some(attribute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_follows_the_kind_of_token() {
        let cases = [
            ("fo1_abc", "Bearer fo1_abc"),
            ("fm2_abc,fm2_def", "FlyV1 fm2_abc,fm2_def"),
            ("FlyV1 fm2_abc", "FlyV1 fm2_abc"),
            ("Bearer fm1r_abc\n", "FlyV1 fm1r_abc"),
        ];
        for (token, expected) in cases {
            assert_eq!(authorization(token, "acme").expect("there is a token"), expected);
        }
        let missing = authorization(" ", "acme").expect_err("there is none");
        assert_eq!(missing.code, Code::NoCredentials);
        assert_eq!(missing.notes, [("looked", "FLY_API_TOKEN (not set)".to_owned())]);
    }

    #[test]
    fn a_refusal_names_the_attribute() {
        let cases = [
            ("invalid config.guest.memory_mb, memory must be a multiple of 256", Some("guest.memory")),
            ("invalid size_gb, must be more than 3", Some("size")),
            ("invalid region: xyz is not a region", Some("region")),
            ("invalid request body: expected value", None),
            ("could not reserve resource for machine", None),
        ];
        for (words, expected) in cases {
            assert_eq!(field_in(words).as_deref(), expected, "{words}");
        }
    }
}
