//! Programs that chance writes and changes, and what has to exist once one is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::chance::Chance;

/// What a change may build on: how far the program has really got.
pub struct Facts {
    /// Names of live machines.
    pub machines: BTreeSet<String>,
    /// Addresses with a record, and whether it is guarded.
    pub records: BTreeMap<String, bool>,
}

/// One generated program.
pub struct Model {
    items: BTreeMap<String, Item>,
    /// Blocks that stay for good.
    moved: Vec<(String, String)>,
    forgotten: BTreeMap<String, Item>,
    adopting: BTreeSet<String>,
    counter: u32,
    /// A service and a cache of the standard library.
    library: Option<u32>,
    other_app: bool,
    /// Names of machines that some program of this life guards: an older one may be applied after a newer.
    guarded: BTreeSet<String>,
}

#[derive(Clone)]
struct Item {
    version: u32,
    what: What,
}

#[derive(Clone)]
enum What {
    /// One machine, or a set of them by key.
    Machine {
        keys: Option<BTreeSet<u32>>,
        order: Option<&'static str>,
        named: bool,
        trigger: Option<u32>,
        secret: bool,
        region: &'static str,
        guarded: bool,
        in_other: bool,
        after: Option<String>,
    },
    Volume {
        gib: u32,
        retention: u32,
    },
    Secret,
    Ip(&'static str),
    Certificate,
    Record {
        on_ip: Option<String>,
    },
}

const REGIONS: [&str; 3] = ["cdg", "fra", "ams"];

impl Model {
    pub fn new(chance: &Chance) -> Model {
        let mut model = Model {
            items: BTreeMap::new(),
            moved: Vec::new(),
            forgotten: BTreeMap::new(),
            adopting: BTreeSet::new(),
            counter: 0,
            library: chance.hits(150).then_some(1),
            other_app: chance.hits(400),
            guarded: BTreeSet::new(),
        };
        for _ in 0..chance.between(2, 6) {
            model.add(chance);
        }
        model
    }

    fn add(&mut self, chance: &Chance) {
        self.counter += 1;
        let number = self.counter;
        let machines: Vec<String> = self.of(|what| matches!(what, What::Machine { keys: None, .. }));
        let ips: Vec<String> = self.of(|what| matches!(what, What::Ip(_)));
        let what = match chance.below(10) {
            0..=4 => {
                let order = *chance.pick(&[None, None, Some("create_first"), Some("destroy_first")]);
                What::Machine {
                    keys: chance.hits(400).then(|| (0..chance.between(1, 3) as u32).collect()),
                    order,
                    named: order != Some("create_first") && chance.hits(700),
                    trigger: chance.hits(400).then_some(0),
                    secret: chance.hits(400),
                    region: REGIONS[0],
                    guarded: chance.hits(150),
                    in_other: self.other_app && chance.hits(400),
                    after: machines.first().filter(|_| chance.hits(400)).cloned(),
                }
            }
            5 => What::Volume { gib: 1, retention: 5 },
            6 => What::Secret,
            7 => {
                let free = ["v4", "v6", "shared_v4"]
                    .into_iter()
                    .find(|ty| self.of(|what| matches!(what, What::Ip(it) if it == ty)).is_empty());
                free.map_or(What::Secret, What::Ip)
            }
            8 => What::Certificate,
            _ => What::Record { on_ip: ips.first().filter(|_| chance.hits(700)).cloned() },
        };
        let name = match &what {
            What::Machine { .. } => format!("m{number}"),
            What::Volume { .. } => format!("v{number}"),
            What::Secret => format!("s{number}"),
            What::Ip(_) => format!("i{number}"),
            What::Certificate => format!("c{number}"),
            What::Record { .. } => format!("r{number}"),
        };
        if matches!(what, What::Machine { guarded: true, .. }) {
            self.guarded.insert(name.clone());
        }
        self.items.insert(name, Item { version: 1, what });
    }

    fn of(&self, fits: impl Fn(&What) -> bool) -> Vec<String> {
        self.items.iter().filter(|(_, item)| fits(&item.what)).map(|(name, _)| name.clone()).collect()
    }

    /// Changes a few things.
    pub fn change(&mut self, chance: &Chance, facts: &Facts) {
        for _ in 0..chance.between(1, 4) {
            self.change_one(chance, facts);
        }
    }

    fn change_one(&mut self, chance: &Chance, facts: &Facts) {
        let names: Vec<String> = self.items.keys().cloned().collect();
        if names.is_empty() || chance.hits(150) {
            return self.add(chance);
        }
        if let Some(version) = &mut self.library
            && chance.hits(100)
        {
            *version += 1;
            return;
        }
        let name = chance.pick(&names).clone();
        if chance.hits(100) {
            return self.remove(&name, facts);
        }
        if chance.hits(100) {
            return self.rename(&name);
        }
        if chance.hits(60) {
            return self.forget_or_adopt(&name, facts);
        }
        let held = self.is_guarded(&name, facts);
        let item = self.items.get_mut(&name).expect("it was just there");
        item.version += 1;
        match &mut item.what {
            What::Machine { keys, trigger, region, guarded, .. } => match chance.below(6) {
                0 if !*guarded && !held => *region = *chance.pick(&REGIONS),
                1 if !*guarded && !held => *trigger = trigger.map(|trigger| trigger + 1),
                2 => *guarded = false,
                3 | 4 if !*guarded && !held => {
                    if let Some(keys) = keys {
                        let key = chance.below(4) as u32;
                        if !keys.remove(&key) {
                            keys.insert(key);
                        }
                    }
                }
                _ => {}
            },
            What::Volume { gib, retention } => match chance.below(2) {
                0 => *gib += 1,
                _ => *retention = 1 + *retention % 50,
            },
            What::Secret | What::Ip(_) | What::Certificate | What::Record { .. } => {}
        }
    }

    fn is_guarded(&self, name: &str, facts: &Facts) -> bool {
        let prefix = format!("fly.machine.{name}");
        self.guarded.contains(name) || facts.records.iter().any(|(address, guarded)| *guarded && address.starts_with(&prefix))
    }

    /// What others refer to stays; what is guarded in state has to be let go of first.
    fn remove(&mut self, name: &str, facts: &Facts) {
        let used = self.items.values().any(|item| match &item.what {
            What::Machine { after, .. } => after.as_deref() == Some(name),
            What::Record { on_ip } => on_ip.as_deref() == Some(name),
            _ => false,
        });
        let guarded = matches!(self.items[name].what, What::Machine { guarded: true, .. }) || self.is_guarded(name, facts);
        if !used && !guarded {
            self.items.remove(name);
            self.adopting.remove(name);
        }
    }

    fn rename(&mut self, name: &str) {
        if self.adopting.contains(name) || !matches!(self.items[name].what, What::Machine { .. } | What::Record { .. }) {
            return;
        }
        self.counter += 1;
        let new = format!("{}{}", &name[..1], self.counter);
        let item = self.items.remove(name).expect("it was just there");
        let kind = if matches!(item.what, What::Machine { .. }) { "fly.machine" } else { "cloudflare.record" };
        self.moved.push((format!("{kind}.{name}"), format!("{kind}.{new}")));
        for other in self.items.values_mut() {
            if let What::Machine { after, .. } = &mut other.what
                && after.as_deref() == Some(name)
            {
                *after = Some(new.clone());
            }
        }
        // What it is called on the platform stays.
        if self.guarded.contains(name) {
            self.guarded.insert(new.clone());
        }
        self.items.insert(new, item);
    }

    /// A machine that is forgotten stays where it is, and may come back.
    fn forget_or_adopt(&mut self, name: &str, facts: &Facts) {
        let back = self
            .forgotten
            .keys()
            .find(|it| facts.machines.contains(&machine_name(it)) && !facts.records.contains_key(&format!("fly.machine.{it}")));
        if let Some(back) = back.cloned() {
            let item = self.forgotten.remove(&back).expect("it was just there");
            self.items.insert(back.clone(), item);
            self.adopting.insert(back);
            return;
        }
        let plain = matches!(
            &self.items[name].what,
            What::Machine { keys: None, named: true, secret: false, in_other: false, guarded: false, after: None, .. }
        );
        let used =
            self.items.values().any(|item| matches!(&item.what, What::Machine { after, .. } if after.as_deref() == Some(name)));
        let renamed = self.moved.iter().any(|(_, to)| *to == format!("fly.machine.{name}"));
        if plain && !used && !renamed && !self.is_guarded(name, facts) {
            let item = self.items.remove(name).expect("it was just there");
            self.adopting.remove(name);
            self.forgotten.insert(name.to_owned(), item);
        }
    }

    /// Names of machines that nobody manages any more; they may exist or not.
    pub fn forgotten(&self) -> BTreeSet<String> {
        self.forgotten.keys().map(|name| machine_name(name)).collect()
    }

    /// The program.
    pub fn text(&self) -> String {
        let mut out = String::from(
            "stack life { language = 1 }\nprovider fly { org = \"acme\", region = \"cdg\" }\nprovider cloudflare { account = \"acme\", zone = \"example.com\" }\n\
             environment production { on = fly }\nsecret made { generate = 24B, rotate = 90d, overlap = 1h }\nsecret given\n\
             data cloudflare.zone main { name = \"example.com\" }\nresource fly.app main { name = \"life-main\" }\n",
        );
        if self.other_app {
            out.push_str("resource fly.app other {}\n");
        }
        if let Some(version) = self.library {
            let _ = writeln!(
                out,
                "cache sessions {{ memory = 256MiB }}\nservice api {{\n  image = \"registry.example.com/api:v{version}\"\n  port = 8080\n  public = true\n  scale = 2\n  env = {{ CACHE = cache.sessions.url, KEY = secret.made.value }}\n}}"
            );
        }
        for (name, item) in &self.items {
            self.write_item(&mut out, name, item);
        }
        for (from, to) in &self.moved {
            let _ = writeln!(out, "moved {{ from = \"{from}\", to = \"{to}\" }}");
        }
        for name in self.forgotten.keys() {
            let _ = writeln!(out, "forget {{ address = \"fly.machine.{name}\" }}");
        }
        for name in &self.adopting {
            let _ = writeln!(
                out,
                "adopt {{ address = \"fly.machine.{name}\", query = {{ app = \"life-main\", name = \"{}\" }} }}",
                machine_name(name)
            );
        }
        out.push_str("output app: string = fly.app.main.name\n");
        out
    }

    fn write_item(&self, out: &mut String, name: &str, item: &Item) {
        let version = item.version;
        let _ = match &item.what {
            What::Machine { keys, order, named, trigger, secret, region, guarded, in_other, after } => {
                let head = match keys {
                    None => String::new(),
                    Some(keys) => {
                        format!(" for k in [{}]", keys.iter().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(", "))
                    }
                };
                let app = if *in_other { "other" } else { "main" };
                let own = self.first_name(name);
                let called = match (named, keys) {
                    (false, _) => String::new(),
                    (true, None) => format!("  name = \"{}\"\n", machine_name(&own)),
                    (true, Some(_)) => format!("  name = \"{}-${{k}}\"\n", machine_name(&own)),
                };
                let env = if *secret { "  env = { KEY = secret.made.value, OTHER = secret.given.value }\n" } else { "" };
                let metadata = after
                    .as_ref()
                    .map_or_else(String::new, |after| format!("  metadata = {{ after = fly.machine.{after}.id }}\n"));
                let order = order.map_or_else(String::new, |order| format!("    replace = \"{order}\"\n"));
                let trigger = trigger.map_or_else(String::new, |trigger| format!("    replace_on = [\"t{trigger}\"]\n"));
                let guard = if *guarded { "    protect = true\n" } else { "" };
                writeln!(
                    out,
                    "resource fly.machine {name}{head} {{\n  app = fly.app.{app}.name\n{called}  region = \"{region}\"\n  image = \"registry.example.com/{own}:v{version}\"\n{env}{metadata}  lifecycle {{\n{order}{trigger}{guard}    timeout = 2m\n  }}\n}}"
                )
            }
            What::Volume { gib, retention } => {
                writeln!(
                    out,
                    "resource fly.volume {name} {{ app = fly.app.main.name, size = {gib}GiB, snapshot_retention = {retention}d }}"
                )
            }
            What::Secret => {
                let value = if version.is_multiple_of(2) { "secret.given.value" } else { "secret.made.value" };
                writeln!(
                    out,
                    "resource fly.secret {name} {{ app = fly.app.main.name, name = \"{}\", value = {value} }}",
                    name.to_uppercase()
                )
            }
            What::Ip(ty) => writeln!(out, "resource fly.ip {name} {{ app = fly.app.main.name, type = \"{ty}\" }}"),
            What::Certificate => {
                writeln!(out, "resource fly.certificate {name} {{ app = fly.app.main.name, hostname = \"{name}.example.com\" }}")
            }
            What::Record { on_ip } => {
                let own = self.first_name(name);
                match on_ip {
                    Some(ip) => writeln!(
                        out,
                        "resource cloudflare.record {name} {{ zone_id = cloudflare.zone.main.id, name = \"{own}\", type = \"TXT\", content = \"v{version} ${{fly.ip.{ip}.address}}\" }}"
                    ),
                    None => writeln!(
                        out,
                        "resource cloudflare.record {name} {{ zone_id = cloudflare.zone.main.id, name = \"{own}\", type = \"TXT\", content = \"v{version}\", ttl = {}s }}",
                        60 + version
                    ),
                }
            }
        };
    }

    /// The name that it had before it was moved.
    fn first_name(&self, name: &str) -> String {
        let mut first = name.to_owned();
        while let Some((from, _)) = self.moved.iter().rev().find(|(_, to)| to.ends_with(&format!(".{first}"))) {
            first = from.rsplit('.').next().expect("an address has a name").to_owned();
        }
        first
    }

    /// What exists once it is applied, as the platform would say it; the library's part is left out.
    pub fn expected(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (name, item) in &self.items {
            let (version, own) = (item.version, self.first_name(name));
            match &item.what {
                What::Machine { keys, region, .. } => {
                    let count = keys.as_ref().map_or(1, BTreeSet::len);
                    all.extend((0..count).map(|_| format!("machine registry.example.com/{own}:v{version} {region}")));
                }
                What::Volume { gib, retention } => all.push(format!("volume {gib} {retention}")),
                What::Secret => all.push(format!("secret {}", name.to_uppercase())),
                What::Ip(_) => all.push("ip".into()),
                What::Certificate => all.push(format!("certificate {name}.example.com")),
                What::Record { on_ip } => {
                    let more = if on_ip.is_some() { " and an address" } else { "" };
                    all.push(format!("record {own}.example.com v{version}{more}"));
                }
            }
        }
        all.sort();
        all
    }

    pub fn has_library(&self) -> bool {
        self.library.is_some()
    }
}

fn machine_name(name: &str) -> String {
    format!("life-{name}")
}

/// What two clouds hold, in the words of [`Model::expected`]. Nothing of the apps `but`, and none of these machines.
pub fn held(fly: &serde_json::Value, cloudflare: &serde_json::Value, without: &BTreeSet<String>) -> Vec<String> {
    let mut all = Vec::new();
    let entries = |value: &serde_json::Value| value.as_object().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    for (name, app) in entries(&fly["apps"]) {
        for machine in entries(&app["machines"]).values().filter(|it| !without.contains(&text(&it["name"]))) {
            all.push(format!("machine {} {}", text(&machine["config"]["image"]), text(&machine["region"])));
        }
        all.extend(entries(&app["volumes"]).values().map(|it| format!("volume {} {}", it["size_gb"], it["snapshot_retention"])));
        if name == "life-main" {
            all.extend(entries(&app["secrets"]).keys().map(|it| format!("secret {it}")));
            all.extend(app["addresses"].as_array().into_iter().flatten().map(|_| "ip".to_owned()));
            all.extend(entries(&app["certificates"]).keys().map(|it| format!("certificate {it}")));
        }
    }
    for zone in entries(&cloudflare["zones"]).values() {
        for record in entries(&zone["records"]).values() {
            let content = text(&record["content"]).trim_matches('"').to_owned();
            let content = content.split_once(' ').map_or(content.clone(), |(version, _)| format!("{version} and an address"));
            all.push(format!("record {} {content}", text(&record["name"])));
        }
    }
    all.sort();
    all
}
