//! A destroy and a create that look alike are probably one thing under another name.
//!
//! What differs in an address is one of its segments: `service.a/fly.app.app` and `service.b/fly.app.app` are compared as parts of
//! `service.a` and `service.b`. Names that the engine makes differ with the address, and are left out.

use std::collections::BTreeMap;

use super::diff::same;
use crate::model::{Action, Address, Change, Code, Confidence, Diagnostic, Edit, Fields, Name, Sources, Span, Type, Value};

/// What has to be equal of all fields, in percent.
const ALIKE: usize = 80;

/// So many names on each side are compared with each other; where there are more, nobody would read it.
const NAMES_MAX: usize = 30;

/// A pair of parents: what comes before the segment that differs, and its kind.
type Place = (String, String);

/// The changes below one name: what follows it in each address, and the change.
type Below<'c> = BTreeMap<&'c str, &'c Change>;

#[derive(Default)]
struct Sides<'c> {
    gone: BTreeMap<&'c str, Below<'c>>,
    new: BTreeMap<&'c str, Below<'c>>,
}

/// One warning for each pair, with the `moved` that keeps what would be destroyed. The fix is sure where nothing else comes near.
pub(super) fn look_alikes(changes: &[Change], sources: &Sources) -> Vec<Diagnostic> {
    let gone = |change: &&Change| {
        matches!(change.action, Action::Destroy { .. }) && change.before.as_ref().is_some_and(|before| !before.deposed)
    };
    let new = |change: &&Change| matches!(change.action, Action::Create);
    if !changes.iter().any(|it| gone(&it)) || !changes.iter().any(|it| new(&it)) {
        return Vec::new();
    }
    let mut places: BTreeMap<Place, Sides<'_>> = BTreeMap::new();
    for change in changes.iter().filter(|it| gone(it) || new(it)) {
        for (place, name, rest) in ways_to_split(&change.address) {
            let sides = places.entry(place).or_default();
            let side = if new(&change) { &mut sides.new } else { &mut sides.gone };
            side.entry(name).or_default().insert(rest, change);
        }
    }
    let mut said: Vec<Diagnostic> = Vec::new();
    let mut kept: Vec<Address> = Vec::new();
    // The outermost name first: what is in it moves with it.
    let mut places: Vec<(Place, Sides<'_>)> = places.into_iter().collect();
    places.sort_by_key(|((before, _), _)| before.len());
    for ((before, _), sides) in places {
        if sides.gone.len() > NAMES_MAX || sides.new.len() > NAMES_MAX {
            continue;
        }
        let mut taken: Vec<&str> = Vec::new();
        for (old, below) in &sides.gone {
            let alike: Vec<(&&str, &Below<'_>)> =
                sides.new.iter().filter(|(name, other)| !taken.contains(*name) && are_alike(below, other)).collect();
            let Some((new, other)) = alike.first() else { continue };
            let (Some(from), Some(to)) = (Address::parse(&format!("{before}{old}")), Address::parse(&format!("{before}{new}")))
            else {
                continue;
            };
            if kept.iter().any(|outer| from.is_within(outer)) {
                continue;
            }
            taken.push(new);
            kept.push(from.clone());
            let confidence = if alike.len() == 1 { Confidence::Sure } else { Confidence::Maybe };
            let called_at = other.values().find_map(|change| change.after.as_ref()).map(|after| after.called_at);
            said.push(warning(&from, &to, called_at.unwrap_or(Span::ENGINE), sources, confidence));
        }
    }
    said
}

/// Each segment as the one that may differ: what comes before it and its kind, the segment, and what follows.
fn ways_to_split(address: &Address) -> Vec<(Place, &str, &str)> {
    let text = address.as_str();
    let mut from = 0;
    let mut ways = Vec::new();
    for segment in address.segments() {
        let to = from + segment.len();
        let path = segment.split('[').next().unwrap_or(segment);
        let kind = path.rsplit_once('.').map_or("", |(kind, _)| kind);
        ways.push(((text[..from].to_owned(), kind.to_owned()), &text[from..to], &text[to..]));
        from = to + 1;
    }
    ways
}

/// Whether what is below one name is what is below the other, in most fields.
fn are_alike(gone: &Below<'_>, new: &Below<'_>) -> bool {
    let names = made_names(gone, new);
    let (mut equal, mut all) = (0, 0);
    for (rest, change) in gone {
        let other = new.get(rest).filter(|other| other.kind.name == change.kind.name);
        let (same_here, here) = match other {
            Some(other) => compare(change, other, &names),
            None => (0, change.before.as_ref().map_or(1, |before| before.inputs.len().max(1))),
        };
        equal += same_here;
        all += here;
    }
    let missing = new.iter().filter(|(rest, _)| !gone.contains_key(*rest));
    all += missing.map(|(_, change)| change.fields.len().max(1)).sum::<usize>();
    all > 0 && equal > 0 && equal * 100 >= all * ALIKE
}

/// Texts of names that were made for the one, and those that are made for the other.
fn made_names(gone: &Below<'_>, new: &Below<'_>) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for (rest, change) in gone {
        let Some((before, after)) = change.before.as_ref().zip(new.get(rest).and_then(|other| other.after.as_ref())) else {
            continue;
        };
        for attribute in change.kind.attributes.iter().filter(|it| it.naming.is_some()) {
            let old = before.attribute(&attribute.name).and_then(Value::as_text);
            let new = after.attributes.get(&attribute.name).filter(|it| it.mark.origin.is_engine()).and_then(Value::as_text);
            names.extend(old.zip(new).map(|(old, new)| (old.to_owned(), new.to_owned())));
        }
    }
    names
}

/// How many fields are equal, of how many. What is not known yet says nothing.
fn compare(gone: &Change, new: &Change, names: &[(String, String)]) -> (usize, usize) {
    let nothing = Fields::new();
    let before = gone.before.as_ref().map_or(&nothing, |record| &record.inputs);
    let after = new.after.as_ref().map_or(&nothing, |desired| &desired.attributes);
    let all: std::collections::BTreeSet<&Name> = before.keys().chain(after.keys()).collect();
    let (mut equal, mut count) = (0, 0);
    for name in all {
        let (old, new) = (before.get(name), after.get(name));
        if new.is_some_and(Value::has_unknown) {
            continue;
        }
        count += 1;
        let ty = gone.kind.attribute(name).map_or(&Type::Any, |attribute| &attribute.ty);
        let renamed = old.and_then(Value::as_text).zip(new.and_then(Value::as_text));
        let renamed = renamed.is_some_and(|(old, new)| names.iter().any(|(was, is)| old.replace(was, is) == new));
        equal += usize::from(renamed || same(ty, old, new));
    }
    // Without a field of its own, it is its kind that is equal.
    if count == 0 { (1, 1) } else { (equal, count) }
}

fn warning(from: &Address, to: &Address, called_at: Span, sources: &Sources, confidence: Confidence) -> Diagnostic {
    let item = format!("moved {{ from = {:?}, to = {:?} }}", from.as_str(), to.as_str());
    let diagnostic = Code::Doubtful
        .warning(format!("`{from}` is destroyed, and `{to}`, which is created, looks like it"))
        .label(called_at, "created anew")
        .help(format!("to keep it, write `{item}`"))
        .about(from.clone());
    let Some(source) = sources.get(called_at.source).filter(|_| !called_at.is_engine()) else { return diagnostic };
    let end = source.text.len() as u32;
    let break_before = if source.text.ends_with('\n') { "\n" } else { "\n\n" };
    let edit = Edit { span: Span { source: called_at.source, start: end, end }, text: format!("{break_before}{item}\n") };
    diagnostic.fix(format!("write `{item}`"), confidence, vec![edit])
}
