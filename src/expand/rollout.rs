//! Rollouts: how the instances of a set are brought to what the program says by now.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::expander::{Expander, too_late};
use super::frame::{Frame, set_key};
use crate::eval::Outcome;
use crate::lang::program::{Resource, Rollout};
use crate::model::{Address, Code, Data, Span, Turn, Value};

/// The strategies that the engine runs, for any kind.
const RUN: [&str; 2] = ["direct", "rolling"];

impl<'p> Expander<'p> {
    /// The turn of a set that is rolled out: `Some(None)` where all of it goes at once.
    pub fn rolled_out(&self, frame: &Rc<Frame<'p>>, decl: &'p Resource) -> Outcome<Option<Option<Turn>>> {
        let Some(rollout) = rollout_of(frame, decl) else { return Ok(None) };
        let strategy = self.eval(frame, &rollout.strategy, &[])?;
        let (label, at_once) = match &strategy.data {
            Data::Variant(label, fields) => (label.clone(), fields.get("at_once").cloned()),
            _ => return Err(too_late(&strategy, rollout.strategy.span, "how a set is rolled out")),
        };
        if &*label != "rolling" {
            return Ok(Some(None));
        }
        let members = frame.placed.borrow().get(&set_key(decl)).map_or(1, |placed| placed.len());
        let at_once = share(at_once.as_ref(), members);
        Ok(Some(Some(Turn { set: frame.address_of(&decl.kind.name, &decl.name), at_once, rollout: true })))
    }

    /// What is done before any of a set that is rolled out.
    pub fn before_rollout(&self, frame: &Rc<Frame<'p>>, decl: &'p Resource) -> Outcome<BTreeMap<Address, Span>> {
        match rollout_of(frame, decl) {
            Some(rollout) => self.addresses_named(frame, &rollout.before, &[]),
            None => Ok(BTreeMap::new()),
        }
    }

    /// Says where a strategy is none that this version runs: at the caller, who chose it.
    pub fn check_rollouts(&self, frame: &Rc<Frame<'p>>) {
        let tables = frame.tables.borrow().clone();
        for rollout in tables.rollouts.iter().copied() {
            let strategy = self.eval(frame, &rollout.strategy, &[]);
            let Some(strategy) = self.heard(frame, strategy) else { continue };
            let Data::Variant(label, _) = &strategy.data else { continue };
            if RUN.contains(&&**label) {
                continue;
            }
            let what = format!("{}.{}", rollout.kind, rollout.of);
            let mut error = Code::NotYet.error(format!("this version cannot roll `{what}` out by `{label}`"));
            let places = self.entries(frame, &rollout.reads);
            error = match (&places[..], frame.called_at()) {
                ([], Some(called_at)) => error.label(called_at, format!("`{label}` is chosen for it")),
                (places, _) => error.labels(places.iter().map(|span| (*span, format!("`{label}` is chosen here")))),
            };
            self.say(frame, error.label(rollout.span, "rolled out here").help("use `rolling` or `direct`"));
        }
    }
}

fn rollout_of<'p>(frame: &Rc<Frame<'p>>, decl: &Resource) -> Option<&'p Rollout> {
    frame.tables.borrow().rollouts.iter().find(|it| it.kind == decl.kind.name && it.of == decl.name).copied()
}

/// So many of `members`, rounded down, and at least one.
fn share(at_once: Option<&Value>, members: usize) -> u32 {
    use rust_decimal::prelude::ToPrimitive;
    let part = match at_once.map(|value| &value.data) {
        Some(Data::Percent(part)) => (*part * rust_decimal::Decimal::from(members)).floor().to_u32(),
        Some(Data::Int(number)) => u32::try_from(*number).ok(),
        _ => None,
    };
    part.unwrap_or(1).max(1)
}
