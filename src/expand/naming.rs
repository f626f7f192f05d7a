//! Names that the engine makes.
//!
//! A name is made from the stack, the environment and the path of the address, within the alphabet and the length that the schema
//! wants. Where that could meet another name, or does not fit, a short hash tells it apart.

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::Known;
use crate::lang::program::Program;
use crate::model::schema::{Alphabet, Naming, Unique};
use crate::model::{Address, Adoption, DesiredResource, Digest, Kind, Name, ProviderName, Span, Value, Wanted};

/// How long the hash in a name is.
const HASH: usize = 6;

/// Fills in the names that the program leaves out. `resources` is ordered by address.
pub fn make_names(
    resources: &mut [DesiredResource],
    program: &Program,
    environment: &str,
    known: &Known<'_>,
    moved: &[(Address, Address, Span)],
    adopt: &[Adoption],
) {
    let adopt: FxHashMap<&Address, &Adoption> = adopt.iter().map(|it| (&it.address, it)).collect();
    let mut taken: FxHashSet<(Name, ProviderName, String)> = FxHashSet::default();
    let mut open = Vec::new();
    for (at, resource) in resources.iter_mut().enumerate() {
        let kind = resource.kind.clone();
        for attribute in kind.attributes.iter().filter(|attribute| attribute.naming.is_some()) {
            match resource.attributes.get(&attribute.name) {
                Some(given) => {
                    if let Some(text) = given.as_text() {
                        taken.insert((kind.name.clone(), resource.provider.clone(), text.to_owned()));
                    }
                }
                None => match kept(known, moved, &resource.address, &attribute.name)
                    .or_else(|| adopted(adopt.get(&resource.address)?, &kind, &attribute.name))
                {
                    Some(name) => {
                        taken.insert((kind.name.clone(), resource.provider.clone(), name.to_string()));
                        resource.attributes.insert(attribute.name.clone(), Value::text(name));
                    }
                    None => open.push((at, attribute.name.clone())),
                },
            }
        }
    }
    let (stack, store) = (&*program.stack.name, known.store_id);
    let made_up = open.into_par_iter().filter_map(|(at, name): (usize, Name)| {
        let resource = &resources[at];
        let naming = resource.kind.attribute(&name)?.naming.clone()?;
        let text = made(&naming, &Subject { stack, environment, address: &resource.address, store }, false);
        Some((at, name, naming, text))
    });
    let made_up: Vec<(usize, Name, Naming, String)> = made_up.collect();
    for (at, name, naming, mut text) in made_up {
        let resource = &mut resources[at];
        let mut entry = (resource.kind.name.clone(), resource.provider.clone(), text.clone());
        if naming.unique == Unique::InParent && taken.contains(&entry) {
            text = made(&naming, &Subject { stack, environment, address: &resource.address, store }, true);
            entry.2 = text.clone();
        }
        taken.insert(entry);
        resource.attributes.insert(name, Value::text(text));
    }
}

/// The name that the record at this address, or at one that moves to it, bears.
fn kept(known: &Known<'_>, moved: &[(Address, Address, Span)], address: &Address, attribute: &Name) -> Option<Name> {
    of_record(moved, address, |address| known.names.get(address).and_then(|names| names.get(attribute)).cloned())
}

/// What is known of the record at this address, or at one that moves to it.
pub fn of_record<T>(moved: &[(Address, Address, Span)], address: &Address, of: impl Fn(&Address) -> Option<T>) -> Option<T> {
    let mut at = address.clone();
    for _ in 0..=moved.len() {
        if let Some(found) = of(&at) {
            return Some(found);
        }
        at = moved.iter().find_map(|(from, to, _)| at.renamed(to, from))?;
    }
    None
}

/// The name that an object which is adopted is asked for by.
fn adopted(adoption: &Adoption, kind: &Kind, attribute: &Name) -> Option<Name> {
    let name = match &adoption.object {
        Wanted::Id(id) if kind.id == *attribute => id,
        Wanted::Id(_) => return None,
        Wanted::Query(query) => query.get(attribute)?,
    };
    name.as_text().map(Name::from)
}

struct Subject<'a> {
    stack: &'a str,
    environment: &'a str,
    address: &'a Address,
    store: &'a str,
}

fn made(naming: &Naming, of: &Subject<'_>, hashed: bool) -> String {
    let separator = match naming.alphabet {
        Alphabet::Dashes => '-',
        Alphabet::Underscores => '_',
    };
    let mut parts = path(&of.address.segments());
    if naming.unique == Unique::Globally {
        parts.splice(0..0, [of.stack.to_owned(), of.environment.to_owned()]);
    }
    let (text, exact) = within(&parts.join("-"), separator);
    let max = usize::from(naming.max);
    let hashed = hashed || naming.unique == Unique::Globally || !exact || text.len() > max;
    match hashed {
        false => text,
        true => with_hash(text, separator, max, &hash(&[of.store, of.environment, of.address.as_str()])),
    }
}

/// `self.slug(max)`: the made-up name of an instance.
pub fn slug(stack: &str, environment: &str, segments: &[&str], max: usize) -> String {
    let mut parts = path(segments);
    parts.splice(0..0, [stack.to_owned(), environment.to_owned()]);
    let (text, exact) = within(&parts.join("-"), '-');
    match exact && text.len() <= max {
        true => text,
        false => with_hash(text, '-', max, &hash(&[stack, environment, &segments.join("/")])),
    }
}

/// The names and keys on the way to an address. An instance that is called `main` is known by its kind; a resource's name that says
/// no more than its kind, or `main`, is left out.
fn path(segments: &[&str]) -> Vec<String> {
    let mut parts = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let (path, key) = segment.split_once('[').map_or((*segment, None), |(path, key)| (path, Some(key)));
        let (kind, name) = path.rsplit_once('.').unwrap_or(("", path));
        let says_no_more = name == "main" || kind.rsplit('.').next() == Some(name);
        let is_resource = kind.contains('.');
        match (is_resource, name) {
            // The whole path of an imported kind: its last part alone might be that of another import.
            (false, "main") => parts.push(kind.to_owned()),
            (true, _) if says_no_more && at > 0 => {}
            _ => parts.push(name.to_owned()),
        }
        if let Some(key) = key.and_then(|key| serde_json::from_str::<String>(key.trim_end_matches(']')).ok()) {
            parts.push(key);
        }
    }
    parts
}

/// The text within an alphabet, and whether nothing was lost.
fn within(text: &str, separator: char) -> (String, bool) {
    let (mut out, mut exact) = (String::new(), true);
    for c in text.chars() {
        match c {
            'a'..='z' | '0'..='9' => out.push(c),
            'A'..='Z' => {
                exact = false;
                out.push(c.to_ascii_lowercase());
            }
            // Names of the language hold no dashes, so that nothing is lost when one stands for the other.
            '-' | '_' => {
                if !out.ends_with(separator) {
                    out.push(separator);
                }
            }
            _ => {
                exact = false;
                if !out.ends_with(separator) {
                    out.push(separator);
                }
            }
        }
    }
    let mut out = out.trim_matches(separator).to_owned();
    if !out.starts_with(|c: char| c.is_ascii_lowercase()) {
        exact = false;
        out.insert_str(0, if out.is_empty() { "x" } else { "x-" });
        if separator == '_' {
            out = out.replace('-', "_");
        }
    }
    (out, exact)
}

fn with_hash(mut text: String, separator: char, max: usize, hash: &str) -> String {
    let room = max.saturating_sub(HASH + 1);
    if text.len() > room {
        text.truncate(room);
    }
    let text = text.trim_end_matches(separator);
    match text.is_empty() {
        true => hash.to_owned(),
        false => format!("{text}{separator}{hash}"),
    }
}

/// Letters first, so that a name that is nothing but a hash begins with one.
fn hash(of: &[&str]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = Vec::new();
    of.iter().for_each(|part| {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    });
    let digest = Digest::of(&bytes);
    let mut text: String = digest.0[..HASH].iter().map(|byte| ALPHABET[usize::from(byte % 32)] as char).collect();
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        text.replace_range(0..1, "x");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(address: &str, alphabet: Alphabet, max: u8, unique: Unique) -> String {
        let address = Address::parse(address).expect("an address");
        let of = Subject { stack: "shop", environment: "production", address: &address, store: "s" };
        made(&Naming { alphabet, max, unique }, &of, false)
    }

    #[test]
    fn names_say_where_they_belong() {
        let within = |address| named(address, Alphabet::Dashes, 40, Unique::InParent);
        assert_eq!(within("service.api/local.process.main"), "api");
        assert_eq!(within("service.worker[\"email\"]/fly.machine.web[\"0\"]"), "worker-email-web-0");
        assert_eq!(within("local.port.web"), "web");
        assert_eq!(within("local.process.main"), "main");
        let global = named("database.main/fly.app.app", Alphabet::Dashes, 30, Unique::Globally);
        assert!(global.starts_with("shop-production-databas-") && global.len() == 30, "{global}");
        let volume = named("database.main/fly.volume.data", Alphabet::Underscores, 30, Unique::Globally);
        assert!(volume.starts_with("shop_production_databas") && volume.len() <= 30, "{volume}");
    }

    #[test]
    fn what_an_alphabet_lacks_is_told_apart_by_a_hash() {
        let within = |address| named(address, Alphabet::Dashes, 40, Unique::InParent);
        let (upper, lower) = (within("local.port.web[\"A\"]"), within("local.port.web[\"a\"]"));
        assert_eq!(lower, "web-a");
        assert!(upper.starts_with("web-a-") && upper != lower);
        assert_ne!(within("local.port.web[\"é\"]"), within("local.port.web[\"ü\"]"));
        assert!(within("local.port.web[\"/\"]").len() <= 40);
    }

    #[test]
    fn slugs_fit() {
        assert_eq!(slug("shop", "local", &["service.api"], 40), "shop-local-api");
        assert_eq!(slug("shop", "production", &["service.worker[\"email\"]"], 16).len(), 16);
    }
}
