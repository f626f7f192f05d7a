//! What `cloudflare` declares: one data kind, one kind.
//! Source: the official description of the Cloudflare API, operations `zones-get` and `dns-records-for-a-zone-*`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::schema::{Given, Kind, ProviderSchema, Recovery, ReplaceOrder};
use crate::model::types::{Name, Type};
use crate::model::value::Value;
use crate::providers::declare::*;

pub fn schema() -> ProviderSchema {
    let kinds = [zone(), record()];
    ProviderSchema {
        name: "cloudflare".into(),
        doc: "Cloudflare, by its API. Credentials: an API token in `CLOUDFLARE_API_TOKEN`.",
        settings: vec![
            attribute("account", Type::TEXT, Given::Optional, "name or id of the account: zones of others are not seen"),
            attribute("zone", Type::TEXT, Given::Optional, "the zone that is meant where none is named, such as `example.com`"),
            attribute("base_url", Type::TEXT, Given::Optional, "root of the API, if it is not at its public address"),
        ],
        kinds: kinds.into_iter().map(short_named).collect::<BTreeMap<_, _>>(),
        network: None,
        version: 1,
        on_this_machine: false,
    }
}

fn short_named(kind: Kind) -> (Name, Arc<Kind>) {
    let short = kind.name.split('.').next_back().expect("a kind has a name").into();
    (short, Arc::new(kind))
}

fn zone() -> Kind {
    Kind {
        name: "cloudflare.zone".into(),
        doc: "A DNS zone that exists. Simulated clouds hold every zone that is asked for.",
        attributes: vec![
            attribute(
                "name",
                Type::TEXT,
                Given::OptionalComputed,
                "its name, `example.com`; the provider's `zone` where left out",
            ),
            computed("id", Type::TEXT, "what names it in other calls, 32 characters"),
            computed("name_servers", Type::list(Type::TEXT), "the servers that a registrar has to name"),
            attribute("status", Type::TEXT, Given::Live, "`active` once the registrar names the servers, `pending` before"),
        ],
        data: true,
        act: false,
        stored: false,
        holds_data: false,
        identity: names(&["name"]),
        id: "id".into(),
        list_by: None,
        recovery: Recovery::Put,
        updatable: false,
        replace: ReplaceOrder::CreateFirst,
        timeout: Duration::from_secs(60),
    }
}

fn record() -> Kind {
    Kind {
        name: "cloudflare.record".into(),
        doc: "A DNS record.",
        attributes: vec![
            attribute("zone_id", Type::TEXT, Given::Required, "the zone's `id`").replaces("move a record to another zone"),
            attribute("name", Type::TEXT, Given::Required, "its full name, `www.example.com`; the zone's own name for the apex"),
            attribute(
                "type",
                one_of(&["A", "AAAA", "CNAME", "MX", "NS", "PTR", "TXT"]),
                Given::Required,
                "its type; of those that hold one plain text",
            )
            .replaces("change the type of a record"),
            attribute("content", Type::TEXT, Given::Required, "an address, a host name, a text"),
            attribute("ttl", Type::Duration, Given::Optional, "how long resolvers keep it, 60s to 1d; automatic where left out"),
            attribute(
                "proxied",
                Type::Bool,
                given(Value::bool(false)),
                "whether requests pass through Cloudflare; `A AAAA CNAME` only",
            ),
            attribute("priority", int(0, 65535), Given::Optional, "lower is tried first; required for `MX`"),
            attribute("comment", Type::TEXT, Given::Optional, "a note for people, without effect"),
            computed("id", Type::TEXT, "what names it in other calls, 32 characters"),
        ],
        data: false,
        act: false,
        stored: false,
        holds_data: false,
        identity: names(&["zone_id", "type", "name", "content"]),
        id: "id".into(),
        list_by: Some(names(&["zone_id"])),
        // Two identical records cannot exist: a second create is refused with code 81058.
        recovery: Recovery::Named,
        updatable: true,
        replace: ReplaceOrder::DestroyFirst,
        timeout: Duration::from_secs(60),
    }
}
