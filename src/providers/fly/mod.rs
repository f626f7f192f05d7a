//! Fly.io: apps, machines, volumes, secrets, addresses and certificates, through the Machines API.

mod schema;

use std::sync::{Arc, OnceLock};

use super::contract::{Cloud, Connection, Provider, Surroundings};
use crate::model::value::Fields;
use crate::model::{Code, Diagnostic, ProviderSchema};

/// The provider `fly`.
pub struct Fly;

impl Provider for Fly {
    fn schema(&self) -> Arc<ProviderSchema> {
        static SCHEMA: OnceLock<Arc<ProviderSchema>> = OnceLock::new();
        SCHEMA.get_or_init(|| Arc::new(schema::schema())).clone()
    }

    fn connect(&self, _settings: &Fields, _surroundings: &Surroundings) -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
        Err(Box::new(Code::Unavailable.error("this build cannot reach `fly` yet")))
    }

    fn cloud(&self) -> Option<Box<dyn Cloud>> {
        None
    }
}
