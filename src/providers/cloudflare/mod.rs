//! Cloudflare: zones that exist, and DNS records in them.

mod schema;

use std::sync::{Arc, OnceLock};

use super::contract::{Cloud, Connection, Provider, Surroundings};
use crate::model::value::Fields;
use crate::model::{Code, Diagnostic, ProviderSchema};

/// The provider `cloudflare`.
pub struct Cloudflare;

impl Provider for Cloudflare {
    fn schema(&self) -> Arc<ProviderSchema> {
        static SCHEMA: OnceLock<Arc<ProviderSchema>> = OnceLock::new();
        SCHEMA.get_or_init(|| Arc::new(schema::schema())).clone()
    }

    fn connect(&self, _settings: &Fields, _surroundings: &Surroundings) -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
        Err(Box::new(Code::Unavailable.error("this build cannot reach `cloudflare` yet")))
    }

    fn cloud(&self) -> Option<Box<dyn Cloud>> {
        None
    }
}
