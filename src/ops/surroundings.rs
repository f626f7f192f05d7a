//! What a directory of components is checked and tested in: a directory that is imported has no stack and no environments of
//! its own.

use std::path::Path;

use crate::model::Schemas;
use crate::model::schema::Given;

/// The name and text of a file that stands beside the directory's own: a stack, every provider, and an environment on each
/// that bears its name.
pub fn of(dir: &Path, schemas: &Schemas) -> (String, String) {
    let name: String = dir.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = if name.starts_with(|c: char| c.is_ascii_lowercase()) { name } else { "components".into() };
    let mut text = format!("stack {name} {{ language = 1 }}\n");
    for (provider, schema) in schemas.providers.iter().filter(|(provider, _)| &***provider != "engine") {
        let settings = schema.settings.iter().filter(|it| matches!(it.given, Given::Required) || &*it.name != "base_url");
        let settings: Vec<String> = settings
            .map(|it| {
                let value = if &*it.name == "zone" { "example.com" } else { "test" };
                format!("{} = \"{value}\"", it.name)
            })
            .collect();
        if !settings.is_empty() {
            text.push_str(&format!("provider {provider} {{ {} }}\n", settings.join(", ")));
        }
        text.push_str(&format!("environment {provider} {{ on = {provider} }}\n"));
    }
    ("<surroundings>".into(), text)
}
