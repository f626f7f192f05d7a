//! Renames: which record stands at which address once the program's `moved` entries are applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Address, Code, Diagnostic, Record, Span};

/// The records by the addresses that they will have.
pub struct Placed<'a> {
    records: &'a BTreeMap<Address, Arc<Record>>,
    /// From the new address to the old one.
    came_from: BTreeMap<Address, (Address, Span)>,
    /// From the old address to the new one.
    went_to: BTreeMap<Address, Address>,
}

impl<'a> Placed<'a> {
    /// Follows every rename. A name covers what lies inside of it, and without a key all instances of its set. A rename whose
    /// old name has no record is past and without effect.
    ///
    /// Errors: [`Code::Duplicate`] where a record already stands at the new address or two come to one.
    pub fn new(
        records: &'a BTreeMap<Address, Arc<Record>>,
        moved: &[(Address, Address, Span)],
    ) -> Result<Placed<'a>, Vec<Diagnostic>> {
        let mut placed = Placed { records, came_from: BTreeMap::new(), went_to: BTreeMap::new() };
        if moved.is_empty() {
            return Ok(placed);
        }
        for address in records.keys() {
            if let Some((to, span)) = follow(address, moved) {
                placed.went_to.insert(address.clone(), to.clone());
                if let Some((other, _)) = placed.came_from.insert(to.clone(), (address.clone(), span)) {
                    return Err(vec![two_at(&to, &other, address, span)]);
                }
            }
        }
        let taken = placed.came_from.iter().filter(|(to, _)| records.contains_key(*to) && !placed.went_to.contains_key(*to));
        let taken: Vec<Diagnostic> = taken.map(|(to, (from, span))| two_at(to, to, from, *span)).collect();
        if taken.is_empty() { Ok(placed) } else { Err(taken) }
    }

    /// The record that will stand at an address.
    pub fn at(&self, address: &Address) -> Option<&'a Arc<Record>> {
        match self.came_from.get(address) {
            Some((from, _)) => self.records.get(from),
            None if self.went_to.contains_key(address) => None,
            None => self.records.get(address),
        }
    }

    /// Where the record at an address stood before, and the entry that renames it.
    pub fn came_from(&self, address: &Address) -> Option<&(Address, Span)> {
        self.came_from.get(address)
    }

    /// The address that a recorded one has now.
    pub fn now<'b>(&'b self, recorded: &'b Address) -> &'b Address {
        self.went_to.get(recorded).unwrap_or(recorded)
    }
}

/// Where renames lead from an address, through any number of them; `None` if none applies. A circle ends where it began.
fn follow(address: &Address, moved: &[(Address, Address, Span)]) -> Option<(Address, Span)> {
    let mut at = address.clone();
    let mut by = None;
    for _ in 0..moved.len() {
        let Some((next, span)) = moved.iter().find_map(|(from, to, span)| Some((at.renamed(from, to)?, *span))) else {
            break;
        };
        at = next;
        by = Some(span);
    }
    by.filter(|_| at != *address).map(|span| (at, span))
}

fn two_at(to: &Address, one: &Address, other: &Address, span: Span) -> Diagnostic {
    Code::Duplicate
        .error(format!("`{other}` cannot become `{to}`, which has a record already"))
        .label(span, "renames it")
        .note(format!("`{to}` is held by what was recorded as `{one}`"))
        .help("remove this entry if the rename was applied before, or give it another name")
        .about(to.clone())
}
