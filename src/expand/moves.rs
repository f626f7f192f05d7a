//! `moved`, `adopt` and `forget` in one environment.

use super::expander::{Expander, too_late};
use crate::eval::Outcome;
use crate::lang::program::{Adopt, Adopted, Body, Program};
use crate::lang::resolve::nearest;
use crate::model::{Address, Adoption, Code, Data, DesiredResource, Diagnostic, Span, Wanted};

/// What becomes of what exists.
pub struct Renames {
    pub moved: Vec<(Address, Address, Span)>,
    pub forget: Vec<(Address, Span)>,
    pub adopt: Vec<Adoption>,
}

/// `resources` is ordered by address.
pub fn renames(all: &Expander<'_>, resources: &[DesiredResource]) -> Result<Renames, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut parse = |text: &str, span: Span| {
        let address = Address::parse(text);
        if address.is_none() {
            let shown = text.escape_debug().to_string();
            errors.push(
                Code::BadLiteral
                    .error(format!("\"{shown}\" is no address"))
                    .label(span, "expected one such as `service.api` or `database.main/fly.volume.data[\"0\"]`"),
            );
        }
        address
    };
    let mut forget = Vec::new();
    for (address, span) in &all.program.forget {
        if let Some(address) = parse(address, *span) {
            forget.push((address, *span));
        }
    }
    let mut adopt = Vec::new();
    for it in &all.program.adopt {
        let Some(address) = Address::parse(&it.address) else { continue };
        match adoption(all, resources, it, &address) {
            Ok(found) => adopt.extend(found),
            Err(diagnostic) => errors.push(*diagnostic),
        }
    }
    if errors.is_empty() { Ok(Renames { moved: moved(all.program), forget, adopt }) } else { Err(errors) }
}

/// The renames of a program, which the checker has found to be addresses.
pub fn moved(program: &Program) -> Vec<(Address, Address, Span)> {
    let parsed = |it: &crate::lang::program::Moved| Some((Address::parse(&it.from)?, Address::parse(&it.to)?, it.span));
    program.moved.iter().filter_map(parsed).collect()
}

/// `None` where there is nothing to adopt in this environment.
fn adoption(all: &Expander<'_>, resources: &[DesiredResource], item: &Adopt, address: &Address) -> Outcome<Option<Adoption>> {
    let top = all.top();
    let object = match &item.object {
        Adopted::Id(expr) => {
            let id = all.eval(top, expr, &[])?;
            match id.data {
                Data::Null => return Ok(None),
                Data::Unknown(_) => return Err(too_late(&id, expr.span, "what is adopted")),
                _ => Wanted::Id(id),
            }
        }
        Adopted::Query(expr) => {
            let query = all.eval(top, expr, &[])?;
            let Data::Map(fields) = &query.data else { return Err(too_late(&query, expr.span, "what is adopted")) };
            let fields = (**fields).clone().into_iter().filter(|(_, value)| !value.is_null());
            let fields: crate::model::Fields = fields.collect();
            if fields.is_empty() {
                let diagnostic = Code::OutOfRange
                    .error("this `query` says nothing, and any object would do")
                    .label(expr.span, "expected attributes of the object");
                return Err(Box::new(diagnostic));
            }
            if let Some(late) = fields.values().find(|value| value.has_unknown()) {
                return Err(too_late(late, expr.span, "what is adopted"));
            }
            Wanted::Query(fields)
        }
    };
    if resources.binary_search_by(|it| it.address.cmp(address)).is_ok() {
        return Ok(Some(Adoption { address: address.clone(), object, span: item.span }));
    }
    match may_be_elsewhere(all.program, resources, address) {
        true => Ok(None),
        false => {
            let names = resources.iter().map(|it| it.address.as_str());
            let near = nearest(address.as_str(), names).map(|near| format!("write {near:?}"));
            let diagnostic = Code::UnknownName
                .error(format!("`{address}` cannot adopt anything: nothing declares it"))
                .label(item.at, "no resource has this address")
                .helps(near)
                .help("the resource that is to be the object has to be declared, as it is or as it should become");
            Err(Box::new(diagnostic))
        }
    }
}

/// Whether the program declares the resource in other environments, or with other inputs.
fn may_be_elsewhere(program: &Program, resources: &[DesiredResource], address: &Address) -> bool {
    let segments = address.segments();
    let root = segments[0].split('[').next().unwrap_or_default();
    let in_root = |it: &&DesiredResource| {
        it.address.as_str().strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '[']))
    };
    let provider = address.last().split('.').next().unwrap_or_default();
    let set = address.split_key().0;
    let mut there = resources.iter().filter(in_root).filter(|it| it.kind.provider() == provider).peekable();
    match there.peek() {
        // Another key of its set.
        Some(_) => there.any(|it| it.address.split_key().0 == set && it.address != set),
        None => root.rsplit_once('.').is_some_and(|(kind, name)| declares(&program.body, kind, name)),
    }
}

fn declares(body: &Body, kind: &str, name: &str) -> bool {
    body.instances.iter().any(|it| &*it.kind == kind && &*it.name == name)
        || body.resources.iter().any(|it| &*it.kind.name == kind && &*it.name == name)
        || body.branches.iter().any(|it| declares(&it.then, kind, name) || declares(&it.otherwise, kind, name))
}
