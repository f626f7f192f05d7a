//! `sim`: the simulated clouds by themselves, so that a cloud outlives an engine that is killed, and other programs can look.

use std::path::Path;

use super::files::words;
use super::settings::Settings;
use crate::model::{Code, Diagnostic};
use crate::providers::registry;
use crate::providers::sim::Faults;
pub use crate::providers::sim::Server;

/// Serves simulated clouds by themselves.
///
/// Errors: [`Code::UnknownProvider`], [`Code::Unreadable`], [`Code::Locked`].
pub async fn serve_clouds(
    settings: &Settings,
    names: &[String],
    data: Option<&Path>,
    port: u16,
    faults: Option<&Path>,
) -> Result<Server, Box<Diagnostic>> {
    let with_cloud: Vec<_> = registry::all().into_iter().filter(|provider| provider.cloud().is_some()).collect();
    let known: Vec<String> = with_cloud.iter().map(|provider| provider.schema().name.to_string()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        let near = super::nearest(unknown, known.iter().map(String::as_str)).map(|it| format!("write `{it}`"));
        let all = format!("there are simulated clouds of {}", known.join(", "));
        return Err(Box::new(
            Code::UnknownProvider.error(format!("no cloud of `{unknown}` can be simulated")).helps(near).help(all),
        ));
    }
    let chosen: Vec<_> =
        with_cloud.into_iter().filter(|it| names.is_empty() || names.contains(&it.schema().name.to_string())).collect();
    let faults = match faults {
        None => Faults::default(),
        Some(path) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| Box::new(Code::Unreadable.error(format!("`{name}` cannot be read: {}", words(&error)))))?;
            Faults::parse(&name, &text)?
        }
    };
    Server::start(&chosen, data, port, faults, &settings.world).await
}
