//! How the Cloudflare API is spoken to: its address, its credentials, its envelope.

use http::HeaderName;
use secrecy::ExposeSecret as _;
use serde_json::Value as Json;

use crate::model::value::Fields;
use crate::model::{Code, Diagnostic};
use crate::providers::contract::{CallError, Surroundings};
use crate::providers::http::wire::{get_int, get_list, get_text, text};
use crate::providers::http::{Api, Dialect, Reply};

const PUBLIC: &str = "https://api.cloudflare.com/client/v4";
pub const VARIABLE: &str = "CLOUDFLARE_API_TOKEN";

static DIALECT: Dialect = Dialect { platform: "cloudflare", request_id: HeaderName::from_static("cf-ray"), explain };

/// What a provider block says of the place where its resources go.
pub struct Home {
    pub account: Option<String>,
    pub zone: Option<String>,
}

/// Reads the settings and finds the credentials.
///
/// Errors: [`Code::NoCredentials`] naming what was looked at.
pub fn connect(settings: &Fields, surroundings: &Surroundings) -> Result<(Api, Home), Box<Diagnostic>> {
    let home = Home { account: text(settings, "account").map(str::to_owned), zone: text(settings, "zone").map(str::to_owned) };
    let base = surroundings.base_url.as_deref().or_else(|| text(settings, "base_url")).unwrap_or(PUBLIC);
    let variable = (surroundings.variable)(VARIABLE);
    let token = match surroundings.simulated {
        true => "simulated",
        false => variable.as_ref().map(|it| it.expose_secret()).unwrap_or("").trim(),
    };
    if token.is_empty() {
        let help = format!("set {VARIABLE} to an API token that may edit DNS, or use `--sim`");
        let missing = Code::NoCredentials.error("no credentials for provider `cloudflare`");
        return Err(Box::new(missing.fact("looked", format!("{VARIABLE} (not set)")).help(help)));
    }
    let api = Api::new(&DIALECT, surroundings.transport.clone(), &surroundings.world, base, &format!("Bearer {token}"));
    let api =
        api.map_err(|words| Box::new(Code::NoCredentials.error(format!("provider `cloudflare` cannot be used: {words}"))))?;
    Ok((api, home))
}

/// The `result` of a good answer. The status and `success` of the envelope have to agree: an answer that says both yes and no is
/// one that nobody understands.
pub fn result(reply: Reply) -> Result<Json, CallError> {
    let mut body = reply.fine()?;
    match body.get("success").and_then(Json::as_bool) {
        Some(true) => Ok(body.get_mut("result").map(Json::take).unwrap_or(Json::Null)),
        _ => {
            let words = explain(&body).map_or_else(|| "without success".to_owned(), |(words, _)| words);
            Err(CallError::OutcomeUnknown(format!("cloudflare answered 200 and {words}")))
        }
    }
}

/// The codes in the `errors` of an envelope.
pub fn codes(reply: &Reply) -> Vec<i64> {
    let errors = reply.json.as_ref().map(|body| get_list(body, "errors")).unwrap_or(&[]);
    errors.iter().filter_map(|error| get_int(error, "code")).collect()
}

/// `{"errors": [{"code", "message"}]}`: all messages, each with its code.
fn explain(body: &Json) -> Option<(String, Option<String>)> {
    let errors = get_list(body, "errors");
    let words = |error: &Json| {
        let message = get_text(error, "message")?;
        Some(match get_int(error, "code") {
            Some(code) => format!("{message} (code {code})"),
            None => message.to_owned(),
        })
    };
    let words: Vec<String> = errors.iter().filter_map(words).collect();
    let field = errors.iter().find_map(|error| field_of(get_int(error, "code")?));
    (!words.is_empty()).then(|| (words.join("; "), field.map(str::to_owned)))
}

/// The attribute that an error of the DNS product is about.
fn field_of(code: i64) -> Option<&'static str> {
    match code {
        9005..=9009 | 9021 => Some("content"),
        9000 | 9053 | 81053 | 81054 | 81057 | 81058 => Some("name"),
        9004 | 9041 => Some("proxied"),
        9045 => Some("ttl"),
        9100..=9103 => Some("priority"),
        _ => None,
    }
}
