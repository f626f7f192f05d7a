//! The last net: what a platform says may echo what was sent to it, and what was sent may be secret.

use base64::Engine as _;

use crate::model::value::{Data, Fields, Value};

/// Shorter secrets would match by chance.
const SHORTEST: usize = 8;

/// Knows the secrets of one call, and takes them out of texts.
#[derive(Default)]
pub struct Redactor {
    /// Each with its encodings, longest first, so that no secret is cut by one that it contains.
    secrets: Vec<zeroize::Zeroizing<String>>,
}

impl Redactor {
    /// Every secret text in these fields, wherever it stands.
    pub fn of(fields: &Fields) -> Redactor {
        let mut found = Redactor::default();
        fields.values().for_each(|value| found.collect(value, false));
        found.secrets.sort_by(|a, b| (b.len(), a.as_str()).cmp(&(a.len(), b.as_str())));
        found
    }

    pub fn add(&mut self, secret: &str) {
        for text in std::iter::once(secret).chain(secret.lines()) {
            self.add_encodings(text);
        }
        self.secrets.sort_by(|a, b| (b.len(), a.as_str()).cmp(&(a.len(), b.as_str())));
        self.secrets.dedup();
    }

    fn add_encodings(&mut self, text: &str) {
        if text.len() < SHORTEST {
            return;
        }
        let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(text);
        let base64url = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let json = serde_json::to_string(text).expect("a string is always JSON");
        let url: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let hex = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        let encoded = [text.to_owned(), base64, base64url, json[1..json.len() - 1].to_owned(), url, hex];
        self.secrets.extend(encoded.into_iter().map(Into::into));
    }

    fn collect(&mut self, value: &Value, within: bool) {
        let secret = within || value.mark.secret;
        match &value.data {
            Data::Text(text) if secret => self.add(text),
            Data::List(items) => items.iter().for_each(|item| self.collect(item, secret)),
            Data::Map(fields) | Data::Variant(_, fields) => fields.values().for_each(|value| self.collect(value, secret)),
            _ => {}
        }
    }

    /// The text with every known secret replaced by `(secret)`.
    pub fn clean(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| match text.contains(secret.as_str()) {
            true => text.replace(secret.as_str(), "(secret)"),
            false => text,
        })
    }
}
