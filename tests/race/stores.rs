//! The store that a text names.

use std::sync::Arc;

use stackwright::state::Store;
use stackwright::state::store::embedded::Embedded;
use stackwright::world::World;

/// `dir:PATH`.
pub fn open(named: &str, _: &World) -> Arc<dyn Store> {
    match named.split_once(':') {
        Some(("dir", path)) => Arc::new(Embedded::at(path.into())),
        _ => panic!("no store is called {named}"),
    }
}
