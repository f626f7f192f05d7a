//! Programs of a given number of lines, the same for the same number: what a checker is given in different kinds of stacks.

use std::fmt::Write as _;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Shape {
    /// Databases, caches, services, domains and alerts in the mix of the example shop, wired to their neighbours.
    Shop,
    /// Keyed sets: comprehensions, keys, conditions.
    Keyed,
    /// Many small components, each with a clause and one use.
    Components,
    /// Raw resources that refer to each other, as a translated program of another tool would be.
    Flat,
}

pub const SHAPES: [(Shape, &str); 4] =
    [(Shape::Shop, "shop"), (Shape::Keyed, "keyed"), (Shape::Components, "components"), (Shape::Flat, "flat")];

/// A program without mistakes of about `lines` lines, in files of at most 12 MiB: each a name and a text.
pub fn program(shape: Shape, lines: usize) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut text = String::from(HEAD);
    let (mut written, mut group) = (text.lines().count(), 0);
    while written < lines {
        let before = text.len();
        match shape {
            Shape::Shop => shop(&mut text, group),
            Shape::Keyed => keyed(&mut text, group),
            Shape::Components => components(&mut text, group),
            Shape::Flat => flat(&mut text, group),
        }
        written += text[before..].bytes().filter(|byte| *byte == b'\n').count();
        group += 1;
        if text.len() > 12 << 20 {
            files.push((format!("main{}.stack", files.len()), std::mem::take(&mut text)));
        }
    }
    files.push((format!("main{}.stack", files.len()), text));
    files
}

/// A like program for the peer, where there is one.
pub fn peer(shape: Shape, lines: usize) -> Option<String> {
    if shape != Shape::Flat {
        return None;
    }
    let mut text = String::new();
    for at in 0..lines / 4 {
        let before = at.saturating_sub(1);
        let reference = if at == 0 { String::new() } else { format!(" ${{terraform_data.v{before}.id}}") };
        write!(text, "resource \"terraform_data\" \"v{at}\" {{\n  input = \"value {at}{reference}\"\n}}\n\n").expect("memory");
    }
    Some(text)
}

const HEAD: &str = "\
stack bench { language = 1 }

provider fly        { org = \"acme\", region = \"cdg\" }
provider fly eu     { org = \"acme\", region = \"fra\" }
provider cloudflare { account = \"acme\", zone = \"shop.example.com\" }

environment production { on = fly, inputs { replicas = 3 } }

input version: string = \"dev\"
input replicas: int(1..10) = 1

";

fn shop(out: &mut String, at: usize) {
    write!(
        out,
        r#"secret key{at} {{ generate = 32B, rotate = 90d }}

## The data of shop {at}.
database main{at} {{
  version  = 16
  storage  = 20GiB
  public   = false
  backup {{ every = 1d, keep = 14 }}
}}

cache sessions{at} {{ memory = 256MiB }}

service api{at} {{
  image  = "registry.example.com/shop-api:${{input.version}}"
  port   = 8080
  public = true
  scale  = input.replicas..10
  env = {{
    DATABASE_URL = database.main{at}.url
    REDIS_URL    = cache.sessions{at}.url
    SESSION_KEY  = secret.key{at}.value
    VERSION      = input.version
    UPSTREAM     = service.api{before}.url
  }}
  health {{ path = "/healthz", every = 10s, grace = 30s }}
  metrics {{ path = "/metrics" }}
  deploy = rolling
}}

service worker{at} for queue in ["email", "billing"] on eu {{
  image   = "registry.example.com/shop-worker:${{input.version}}"
  command = ["work", queue]
  env     = {{ REDIS_URL = cache.sessions{at}.url, QUEUE = "${{queue}}-{at}" }}
}}

domain shop{at} if input.replicas > 0 {{
  host = if env.name == "production" then "shop{at}.shop.example.com" else "${{env.name}}.shop{at}.shop.example.com"
  to   = service.api{at}
}}

alert errors{at} {{
  when     = service.api{at}.error_rate > 1%
  for      = 5m
  severity = "critical"
}}

output url{at}: string = service.api{at}.public_url

"#,
        before = at.saturating_sub(1),
    )
    .expect("memory");
}

fn keyed(out: &mut String, at: usize) {
    write!(
        out,
        r#"let names{at} = ["a", "b", "c", "d"]
let sizes{at}: map<size> = {{
  a = 1GiB
  b = 2GiB
  c = 4GiB
  d = 8GiB
}}
let large{at} = {{for name, bytes in sizes{at} if bytes >= 2GiB : [name] = "${{bytes / 1MiB}} MiB of ${{upper(name)}}"}}

resource local.value first{at} for name in names{at} {{
  input = {{
    name  = name
    label = "first ${{name}} of {at}"
    size  = sizes{at}[name] / 1MiB
  }}
}}

resource local.value second{at} for name, text in large{at} if input.replicas > 0 {{
  input = "${{text}} after ${{local.value.first{at}[name].id}}"
}}

output ids{at}: list<string> = [for it in local.value.first{at} : it.id]

"#
    )
    .expect("memory");
}

fn components(out: &mut String, at: usize) {
    write!(
        out,
        r#"type limits{at} = {{ cpu: int(1..8) = 1, memory: size = 256MiB, note?: string }}

fn scaled{at}(a: int, by: number = 2): number = a * by + {at}

## Something small.
component small{at} {{
  input text: string
  input limits: limits{at} = {{}}
  input tags: list<string> = []

  output words: list<string> = [for tag in input.tags if tag != "" : lower(tag)]

  let note = input.limits.note ?? "no note"

  resource local.value it {{
    input = "${{input.text}} ${{note}} ${{text(input.limits.memory)}} ${{join(",", input.tags)}}"
  }}
  output id: string = local.value.it.id
}}

small{at} one {{
  text = "number ${{scaled{at}({at})}}"
  tags = ["a{at}", "B"]
  limits {{ cpu = 2, note = "noted" }}
}}

"#
    )
    .expect("memory");
}

fn flat(out: &mut String, at: usize) {
    let before = at.saturating_sub(1);
    let reference = if at == 0 { String::new() } else { format!(" ${{local.value.v{before}.id}}") };
    write!(out, "resource local.value v{at} {{\n  input = \"value {at}{reference}\"\n}}\n\n").expect("memory");
}
