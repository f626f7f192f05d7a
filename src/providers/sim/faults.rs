//! Faults on demand: what goes wrong, where, and how often.
//!
//! ```json
//! { "faults": [
//!   { "provider": "fly", "method": "POST", "path": "/v1/apps/*/machines", "count": 1, "do": "drop_after" },
//!   { "in_mille": 50, "do": { "latency": { "ms": 300 } } }
//! ] }
//! ```

use serde::Deserialize;

use crate::model::{Code, Diagnostic};
use crate::world::World;

/// Rules, in the order in which they are asked.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    #[serde(default)]
    pub faults: Vec<Rule>,
}

/// Which requests it is about, and what happens to them. What is left out fits everything.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub provider: Option<String>,
    pub method: Option<String>,
    /// The path that the platform sees; `*` stands for anything.
    pub path: Option<String>,
    /// So many fitting requests are left alone first.
    #[serde(default)]
    pub skip: u32,
    /// At most so many are hit.
    pub count: Option<u32>,
    /// Of a thousand fitting requests, so many are hit.
    #[serde(default = "always")]
    pub in_mille: u16,
    #[serde(rename = "do")]
    pub what: Fault,
}

fn always() -> u16 {
    1000
}

#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Answers so much later.
    Latency { ms: u64 },
    /// 429, before any effect.
    Throttle {
        /// Seconds for `Retry-After`.
        after: Option<u64>,
    },
    /// This status, before any effect.
    ErrorBefore { status: u16 },
    /// The effect happens, and this status is answered.
    ErrorAfter { status: u16 },
    /// The connection ends without an answer, before any effect.
    DropBefore,
    /// The effect happens, and the connection ends without an answer.
    DropAfter,
    /// The effect happens, and half of the answer's body arrives.
    HalfBody,
    /// The effect happens, and a page of HTML is answered with status 200.
    Html,
    /// A read is answered from before the last change.
    Stale,
}

impl Faults {
    /// Reads a file of faults.
    ///
    /// Errors: [`Code::Unreadable`] with the place in the JSON.
    pub fn parse(name: &str, text: &str) -> Result<Faults, Box<Diagnostic>> {
        serde_json::from_str(text).map_err(|error| {
            let help = r#"such as `{ "faults": [ { "method": "POST", "count": 1, "do": "drop_after" } ] }`"#;
            Box::new(Code::Unreadable.error(format!("`{name}` is no file of faults: {error}")).help(help))
        })
    }

    /// What happens to this request: its delay in milliseconds, and the first fault that hits it.
    pub(super) fn strike(&mut self, provider: &str, method: &str, path: &str, world: &World) -> (u64, Option<Fault>) {
        let (mut delay, mut struck) = (0, None);
        for rule in &mut self.faults {
            let is_latency = matches!(rule.what, Fault::Latency { .. });
            if struck.is_some() && !is_latency || !rule.fits(provider, method, path) || !rule.hits(world) {
                continue;
            }
            match rule.what {
                Fault::Latency { ms } => delay += ms.min(600_000),
                _ => struck = Some(rule.what.clone()),
            }
        }
        (delay, struck)
    }

    /// Whether a read may be answered from before the last change, so that it has to be kept.
    pub(super) fn may_be_stale(&self) -> bool {
        self.faults.iter().any(|rule| rule.what == Fault::Stale && rule.count != Some(0))
    }
}

impl Rule {
    fn fits(&self, provider: &str, method: &str, path: &str) -> bool {
        (self.what != Fault::Stale || method == "GET")
            && self.provider.as_deref().is_none_or(|wanted| wanted == provider)
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path.as_deref().is_none_or(|pattern| glob(pattern, path))
    }

    fn hits(&mut self, world: &World) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.count == Some(0) || (self.in_mille < 1000 && !chance(self.in_mille, world)) {
            return false;
        }
        self.count = self.count.map(|count| count - 1);
        true
    }
}

fn chance(in_mille: u16, world: &World) -> bool {
    let mut bytes = [0; 4];
    world.random.fill(&mut bytes);
    u32::from_le_bytes(bytes) % 1000 < u32::from(in_mille)
}

/// `*` stands for any text, `/` included. In time linear in the path for each `*`.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        let cases = [
            ("/v1/apps/*/machines", "/v1/apps/shop/machines", true),
            ("/v1/apps/*/machines", "/v1/apps/shop/machines/x", false),
            ("/v1/*", "/v1/apps", true),
            ("/v1", "/v1/apps", false),
            ("*", "", true),
            ("*/wait*", "/v1/apps/a/machines/b/wait", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_rule_skips_then_hits_so_often() {
        let text = r#"{ "faults": [
            { "method": "post", "skip": 1, "count": 2, "do": "drop_after" },
            { "do": { "latency": { "ms": 5 } } }
        ] }"#;
        let mut faults = Faults::parse("faults.json", text).expect("it is one");
        let world = World::real();
        let struck: Vec<_> = (0..4).map(|_| faults.strike("fly", "POST", "/v1/apps", &world)).collect();
        assert_eq!(struck.iter().map(|(_, fault)| fault.is_some()).collect::<Vec<_>>(), [false, true, true, false]);
        assert_eq!(struck[1].0, 5);
        assert_eq!(faults.strike("fly", "GET", "/v1/apps", &world), (5, None));
    }

    #[test]
    fn a_wrong_file_says_where() {
        let error = Faults::parse("f.json", r#"{ "faults": [ { "do": "explode" } ] }"#).expect_err("there is no such fault");
        assert!(error.message.contains("explode") && error.message.contains("line 1"), "{}", error.message);
    }
}
