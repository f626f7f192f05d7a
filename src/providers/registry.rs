//! The providers that are built in. A new one is its folder and one line here.

use std::sync::{Arc, OnceLock};

use super::contract::Provider;
use crate::model::Schemas;

/// Every built-in provider, one line each.
pub fn all() -> Vec<Arc<dyn Provider>> {
    vec![
        Arc::new(super::cloudflare::Cloudflare), //
        Arc::new(super::engine::Engine),
        Arc::new(super::fly::Fly),
        Arc::new(super::local::Local),
    ]
}

/// The built-in provider of that type.
pub fn provider(name: &str) -> Option<Arc<dyn Provider>> {
    all().into_iter().find(|provider| &*provider.schema().name == name)
}

/// Variables of the environment that hold credentials of any provider.
pub fn credential_variables() -> Vec<&'static str> {
    all().iter().flat_map(|provider| provider.credentials().iter().copied()).collect()
}

/// The declarations of all built-in providers; built once.
pub fn schemas() -> Schemas {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    let build = || {
        let schemas = all().into_iter().map(|provider| provider.schema());
        Schemas { providers: schemas.map(|schema| (schema.name.clone(), schema)).collect() }
    };
    SCHEMAS.get_or_init(build).clone()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::schema::Given;

    #[test]
    fn every_declaration_is_consistent_in_itself() {
        for provider in schemas().providers.values() {
            for (short, kind) in &provider.kinds {
                assert_eq!(&*kind.name, format!("{}.{short}", provider.name));
                let names: BTreeSet<_> = kind.attributes.iter().map(|attribute| attribute.name.clone()).collect();
                assert_eq!(names.len(), kind.attributes.len(), "{} has an attribute twice", kind.name);
                let mentioned = kind.identity.iter().chain(kind.list_by.iter().flatten()).chain([&kind.id]);
                for name in mentioned.chain(kind.attributes.iter().flat_map(|attribute| &attribute.recomputed_by)) {
                    assert!(names.contains(name), "{} mentions `{name}`, which it has not", kind.name);
                }
                for attribute in &kind.attributes {
                    assert!(attribute.recomputed_by.is_empty() || attribute.is_computed(), "{}.{}", kind.name, attribute.name);
                    assert!(!attribute.doc.is_empty(), "{}.{}", kind.name, attribute.name);
                    let named_or_not =
                        attribute.naming.is_none() || !matches!(attribute.given, Given::Required | Given::Computed);
                    assert!(named_or_not, "{}.{}: a made-up name is neither required nor computed", kind.name, attribute.name);
                }
            }
        }
    }

    #[test]
    fn a_kind_is_found_by_the_name_that_people_write() {
        assert!(schemas().kind("fly.machine").is_some_and(|kind| kind.updatable));
        assert!(schemas().kind("fly.mashine").is_none());
    }
}
