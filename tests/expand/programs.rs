//! Whole programs: the shop, and what other programs say of the files that the library writes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use stackwright::eval::{Nothing, resume};
use stackwright::expand::{Expansion, Known, Request, expand};
use stackwright::model::{Address, Desired, Fields, Step, Value};

use crate::listing::{Setting, checked, list};

const SHOP: &str = include_str!("../../examples/shop/shop.stack");

fn zone() -> (Address, Fields) {
    let fields = [("id", "z1"), ("name", "shop.example.com"), ("status", "active")];
    let fields = fields.into_iter().map(|(name, text)| (name.into(), Value::text(text))).collect();
    (Address::parse("domain.shop/cloudflare.zone.zone").expect("an address"), fields)
}

/// How many resources of each provider, and what was said.
fn summary(lines: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for provider in
        lines.iter().filter(|line| !line.starts_with([' ', 'r', 'o', 'S'])).filter_map(|line| line.split(" on ").nth(1))
    {
        *counts.entry(provider).or_default() += 1;
    }
    let said = lines.iter().filter(|line| line.starts_with("SW")).cloned();
    counts.into_iter().map(|(provider, count)| format!("{provider} {count}")).chain(said).collect()
}

#[test]
fn the_shop_runs_on_ones_own_machine_without_any_preparation() {
    let lines = list(SHOP, &Setting { environment: "local".into(), ..Setting::default() });
    assert_eq!(summary(&lines), ["engine 3", "local 9"], "{}", lines.join("\n"));
    assert!(lines.iter().any(|line| line == "output url = (of service.api/local.port.web)"), "{}", lines.join("\n"));
}

#[test]
fn the_shop_asks_for_its_zone_and_then_knows_everything() {
    let mut setting = Setting { environment: "production".into(), simulated: true, ..Setting::default() };
    assert_eq!(list(SHOP, &setting), ["asks domain.shop/cloudflare.zone.zone on cloudflare {}"]);
    setting.data = [zone()].into();
    let lines = list(SHOP, &setting);
    let said = [
        "SW0402 case.stack:22:1 `secret.pagerduty_key` was not given and is made up, since the clouds are simulated",
        "SW0701 case.stack:67:1 `alert.errors` reaches nobody in `production`",
    ];
    let summary = summary(&lines);
    assert!(
        said.iter().all(|it| summary.iter().any(|line| line.split_once(' ').is_some() && same_but_place(line, it))),
        "{summary:?}"
    );
    assert!(lines.contains(&"domain.shop/cloudflare.record.a on cloudflare".to_owned()));
    assert!(lines.contains(&"service.worker[\"email\"]/fly.app.app on fly.eu".to_owned()));
}

fn same_but_place(a: &str, b: &str) -> bool {
    let parts =
        |line: &str| line.split_once(' ').and_then(|(code, rest)| Some((code.to_owned(), rest.split_once(' ')?.1.to_owned())));
    parts(a) == parts(b)
}

#[test]
fn a_real_environment_needs_its_secret() {
    let lines = list(SHOP, &Setting { environment: "production".into(), data: [zone()].into(), ..Setting::default() });
    assert_eq!(lines.len(), 1, "{}", lines.join("\n"));
    assert!(lines[0].starts_with("SW0402") && lines[0].ends_with("`secret.pagerduty_key` has no value"), "{}", lines[0]);
}

fn desired(text: &str, environment: &str) -> Desired {
    let program = checked(text).program.expect("the program checks");
    let inputs = BTreeMap::new();
    let request = Request { environment, inputs: &inputs, known: Known::default(), outside: &Nothing };
    match expand(&program, &request) {
        Ok(Expansion::Done(desired)) => *desired,
        other => panic!("{other:?}"),
    }
}

/// Equal programs expand to equal bytes, whatever the order of their items.
#[test]
fn the_order_of_items_leaves_the_result_alone() {
    let items = [
        "resource local.value a { input = local.value.b.id }",
        "resource local.value b for k in [\"x\", \"y\"] if false { input = k }",
        "database main {}",
        "service api { source { dir = \".\", command = [\"run\"] }, env = { URL = database.main.url } }",
        "output url = database.main.host",
    ];
    let head = "stack t { language = 1 }\nenvironment local { on = local }\n";
    let shown = |items: &[&str]| {
        let text = format!("{head}{}", items.join("\n")).replace("local.value.b.id", "\"c\"");
        list(&text, &Setting { environment: "local".into(), ..Setting::default() })
    };
    let mut backwards = items;
    backwards.reverse();
    assert_eq!(shown(&items), shown(&backwards));
}

/// A program of that many resources, each made from the one before.
fn chain(count: usize) -> String {
    let mut text =
        String::from("stack t { language = 1 }\nenvironment local { on = local }\nresource local.value r0 { input = \"x\" }\n");
    for at in 1..count {
        text.push_str(&format!("resource local.value r{at} {{ input = local.value.r{}.id }}\n", at - 1));
    }
    text
}

#[test]
fn a_long_chain_and_a_large_set_are_no_more_than_many_resources() {
    assert_eq!(desired(&chain(5_000), "local").resources.len(), 5_000);
    let set = "stack t { language = 1 }\nenvironment local { on = local }\n\
        resource local.value a for n in count(3000) { input = n }\n\
        resource local.value b for n in count(3000) { input = local.value.a[\"${n}\"].id }\n";
    assert_eq!(desired(set, "local").resources.len(), 6_000);
}

const CHANNELS: &str = r##"
stack shop { language = 1 }
environment local { on = local }
secret url { generate = 16B }
secret key { generate = 16B }
service api { port = 80, public = true, metrics {}, source { dir = ".", command = ["run"] } }
monitoring main {}
channel chat { to slack { url = secret.url.value, channel = "#ops" } }
channel pager { to pagerduty { key = secret.key.value } }
channel mail {
  to email { to = ["a@example.com"], from = "b@example.com", smtp { host = "smtp.example.com", user = "u", password = secret.key.value } }
}
channel hook { to webhook { url = "https://example.com/hook" } }
alert slow { when = service.api.latency_p95(10m) > 200ms && !(service.api.up < 1), for = 90s, notify = [channel.chat, channel.pager] }
alert failing { when = service.api.error_rate > 1%, severity = "critical", notify = [channel.mail, channel.hook], summary = "api: \"fails\"" }
alert busy { when = avg_over(service.api.cpu, 1h) > 80% || anomalous(service.api.requests, 3) }
alert growing { when = predict(service.api.memory_used, 4h) > 90% }
"##;

#[test]
fn prometheus_and_alertmanager_accept_what_monitoring_writes() {
    let dir = tempfile::tempdir().expect("a directory");
    let desired = desired(CHANNELS, "local");
    let location = |address: &Address| dir.path().join(address.as_str().replace(['/', '"', '[', ']'], "_"));
    let lookup = |address: &Address, path: &[Step]| match path {
        [Step::Field(name)] if &**name == "location" => Some(Value::text(location(address).display().to_string())),
        [Step::Field(name)] if &**name == "port" => Some(Value::int(4711)),
        [Step::Field(name)] if &**name == "value" => Some(Value::text("https://hooks.example.com/x").secret()),
        _ => None,
    };
    for resource in desired.resources.iter().filter(|it| &*it.kind.name == "local.file") {
        let content = resume(&resource.attributes["content"], &lookup).expect("the content is known");
        std::fs::write(location(&resource.address), content.as_text().expect("a text")).expect("written");
    }
    let file = |name: &str| location(&Address::parse(&format!("monitoring.main/local.file.{name}")).expect("an address"));
    accepts("promtool", &["check", "rules"], &file("rules"));
    accepts("promtool", &["check", "config"], &file("config"));
    accepts("amtool", &["check-config"], &file("routes"));
}

fn accepts(program: &str, arguments: &[&str], file: &Path) {
    let output = match Command::new(program).args(arguments).arg(file).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return println!("skipped: needs {program}"),
        Err(error) => panic!("{program}: {error}"),
    };
    let text = std::fs::read_to_string(file).expect("the file was written");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{program} {}: {said}\n{text}", arguments.join(" "));
}
