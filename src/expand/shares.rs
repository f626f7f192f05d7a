//! Several expanders at once, each for a share of the stack's items: what they make is what one of them would have made.
//!
//! They have nothing in common but the program: what the items of one share refer to in another is computed by both. Where
//! anything is wrong, or a bound is near, one expander does all of it again, and says what is to be said.

use std::collections::BTreeSet;

use super::expander::{Expander, SET_MAX};
use super::whole::{self, Part};
use super::{After, Expansion, Request};
use crate::eval::Budget;
use crate::lang::program::{Environment, Program};
use crate::model::{Address, Code, Diagnostic, Span};

/// More of them would compute more twice than they save.
const SHARES_MAX: usize = 8;
/// Fewer items are not worth another thread.
const ITEMS_MIN: usize = 100;
const STACK: usize = 64 << 20;
/// Blocks of neighbours that each share gets, so that all have about as much to do.
const BLOCKS: usize = 4;

/// A part of the stack's items: every so many-th block of neighbours in the source.
#[derive(Clone, Default)]
pub struct Share {
    at: usize,
    of: usize,
    /// Where blocks begin, the first one left out.
    cuts: Vec<(u32, u32)>,
}

impl Share {
    /// Whether the item at this place belongs to it.
    pub fn has(&self, item: Span) -> bool {
        self.of < 2 || self.cuts.partition_point(|cut| *cut <= place(item)) % self.of == self.at
    }
}

fn place(span: Span) -> (u32, u32) {
    (span.source.0, span.start)
}

/// When something happens, if one expander does everything: the phase, and the item that is at work in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Moment(pub Phase, pub u32);

/// The phases of a whole expansion, for the items of the stack itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum Phase {
    #[default]
    Begin,
    Require,
    Survey,
    Resources,
    Produce,
    Shared,
    Outputs,
}

/// Expands by as many expanders as there are threads for; `None` where one has to do it.
pub fn run(
    program: &Program,
    request: &Request<'_>,
    environment: &Environment,
    after: After,
) -> Option<Result<Expansion, Vec<Diagnostic>>> {
    let items = program.body.instances.len() + program.body.resources.len() + program.body.outputs.len();
    let shares = (items / ITEMS_MIN).min(rayon::current_num_threads()).min(SHARES_MAX);
    run_in(program, request, environment, after, shares)
}

/// Expands by so many expanders; `None` where one has to do it.
pub fn run_in(
    program: &Program,
    request: &Request<'_>,
    environment: &Environment,
    after: After,
    of: usize,
) -> Option<Result<Expansion, Vec<Diagnostic>>> {
    if of < 2 {
        return None;
    }
    let cuts = cuts(program, of * BLOCKS);
    let expander = |at: usize| Expander::of_share(program, request, environment, Share { at, of, cuts: cuts.clone() });
    let all = expander(0);
    let mut others: Vec<Option<Part>> = (1..of).map(|_| None).collect();
    let first = rayon::in_place_scope(|scope| {
        for (at, part) in others.iter_mut().enumerate() {
            let expander = &expander;
            scope.spawn(move |_| {
                // As much as the thread has that runs a command.
                stacker::grow(STACK, || {
                    let all = expander(at + 1);
                    *part = Some(whole::gather(&all));
                    after.drop(all);
                });
            });
        }
        whole::gather(&all)
    });
    let parts: Vec<Part> = std::iter::once(first).chain(others.into_iter().flatten()).collect();
    let count: u32 = parts.iter().map(|part| part.count).fold(0, u32::saturating_add);
    let steps = parts.iter().map(|part| part.steps).fold(0, u64::saturating_add);
    let is_right = parts.iter().all(|part| part.errors.is_empty());
    let is_in_bounds = count <= SET_MAX && !Budget::is_too_much(steps);
    let done = (is_right && is_in_bounds).then(|| whole::finish(&all, joined(parts)));
    after.drop(all);
    done
}

/// Where the blocks of the stack's items begin, the first one left out.
fn cuts(program: &Program, blocks: usize) -> Vec<(u32, u32)> {
    let body = &program.body;
    let instances = body.instances.iter().map(|it| it.span);
    let resources = body.resources.iter().map(|it| it.span);
    let outputs = body.outputs.iter().map(|it| it.span);
    let mut places: Vec<(u32, u32)> = instances.chain(resources).chain(outputs).map(place).collect();
    places.sort_unstable();
    (1..blocks).filter_map(|block| places.get(block * places.len() / blocks).copied()).collect()
}

/// What several have made, as if one had made it.
fn joined(parts: Vec<Part>) -> Part {
    let mut all = Part::default();
    let mut shared = Vec::new();
    for (at, part) in parts.into_iter().enumerate() {
        if at == 0 {
            all.inputs = part.inputs;
        }
        all.resources.extend(part.resources);
        all.instances.extend(part.instances);
        all.outputs.extend(part.outputs);
        all.for_others.extend(part.for_others);
        shared.extend(part.shared);
        all.requirements.extend(part.requirements);
        all.warnings.extend(part.warnings);
        all.alerts.extend(part.alerts);
        all.takes_alerts |= part.takes_alerts;
        all.branches.extend(part.branches);
        all.reveals.extend(part.reveals);
        all.untold.extend(part.untold);
        // What several came across is the same for all of them.
        all.secrets.extend(part.secrets);
        all.questions.extend(part.questions);
        all.deferred.extend(part.deferred);
        all.elsewhere.extend(part.elsewhere);
    }
    // Of the instances that have a resource in common, the first to ask says what it is.
    shared.sort_by(|a, b| (&a.address, a.asked).cmp(&(&b.address, b.asked)));
    let mut last: Option<Address> = None;
    all.shared = shared.into_iter().filter(|it| last.replace(it.address.clone()).as_ref() != Some(&it.address)).collect();
    all.requirements.sort_by_key(|(moment, _)| *moment);
    all.warnings.sort_by_key(|(moment, _)| *moment);
    let mut said: BTreeSet<(Code, String, Option<Span>)> = BTreeSet::new();
    all.warnings.retain(|(_, it)| said.insert((it.code, it.message.clone(), it.span())));
    all
}
