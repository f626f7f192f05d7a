//! The platforms that this program speaks to. A new provider is one folder and one line here.

use std::sync::{Arc, OnceLock};

use super::contract::Provider;
use crate::model::Schemas;

/// All providers, each by its own name.
pub fn all() -> Vec<Arc<dyn Provider>> {
    vec![Arc::new(super::local::Local)]
}

/// Their declarations, built once.
pub fn schemas() -> Schemas {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    let build = || {
        let schemas = all().into_iter().map(|provider| provider.schema());
        Schemas { providers: schemas.map(|schema| (schema.name.clone(), schema)).collect() }
    };
    SCHEMAS.get_or_init(build).clone()
}
