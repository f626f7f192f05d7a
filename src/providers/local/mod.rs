//! The provider for one's own machine: values, files, ports, commands, processes, a PostgreSQL, a Redis.
//!
//! Takes calls of the contract; what it starts runs in a session of its own, outlives the command, and is found again by what it
//! bears (a token in its environment, its pid with its start time), never by a pid alone.

mod schema;

use std::sync::Arc;

use crate::model::value::Fields;
use crate::model::{Diagnostic, ProviderSchema};
use crate::providers::contract::{Cloud, Connection, Provider, Surroundings};

/// One's own machine.
pub struct Local;

impl Provider for Local {
    fn schema(&self) -> Arc<ProviderSchema> {
        schema::schema()
    }

    fn connect(&self, _settings: &Fields, _surroundings: &Surroundings) -> Result<Arc<dyn Connection>, Box<Diagnostic>> {
        Err(Box::new(crate::model::Code::Unavailable.error("`local` cannot be used yet")))
    }

    fn cloud(&self) -> Option<Box<dyn Cloud>> {
        None
    }
}
