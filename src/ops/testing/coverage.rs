//! Which parts of a program's own components any test has expanded: kinds, clauses, branches of an item `if`, outputs.

use std::collections::{BTreeMap, BTreeSet};

use crate::lang::program::{Body, Component, Program};
use crate::model::{Desired, Name, Span};

/// What was seen, and of what.
#[derive(Clone, Default, Debug)]
pub struct Coverage {
    /// In the order of the source.
    pub parts: Vec<Part>,
}

/// One part of a component, or of the stack itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    pub what: What,
    /// The component's kind; none for the stack's own items.
    pub component: Option<Name>,
    pub span: Span,
    /// How many expansions it was part of.
    pub seen: u32,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum What {
    Component,
    /// `on fly`.
    Clause(Name),
    /// Items of an `if`: those where its condition holds, or those where it does not.
    Branch(bool),
    Output(Name),
}

impl What {
    /// The word for it: `component`, `clause`, `branch`, `output`.
    pub fn word(&self) -> &'static str {
        match self {
            What::Component => "component",
            What::Clause(_) => "clause",
            What::Branch(_) => "branch",
            What::Output(_) => "output",
        }
    }
}

/// What expansions of tests were made of, to be counted.
#[derive(Clone, Default, Debug)]
pub struct Seen {
    components: BTreeMap<Name, u32>,
    clauses: BTreeMap<(Name, Name), u32>,
    outputs: BTreeMap<(Name, Name), u32>,
    branches: BTreeMap<(Span, bool), u32>,
}

impl Seen {
    /// Counts what one expansion consists of.
    pub fn add(&mut self, desired: &Desired) {
        let (mut components, mut clauses, mut outputs) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for instance in &desired.instances {
            components.insert(instance.kind.clone());
            clauses.extend(instance.provider.iter().map(|provider| (instance.kind.clone(), provider.ty.clone())));
            outputs.extend(instance.outputs.keys().map(|output| (instance.kind.clone(), output.clone())));
        }
        components.into_iter().for_each(|it| *self.components.entry(it).or_default() += 1);
        clauses.into_iter().for_each(|it| *self.clauses.entry(it).or_default() += 1);
        outputs.into_iter().for_each(|it| *self.outputs.entry(it).or_default() += 1);
        desired.branches.iter().for_each(|it| *self.branches.entry(*it).or_default() += 1);
    }

    /// What other expansions consisted of, too.
    pub fn merge(&mut self, other: Seen) {
        other.components.into_iter().for_each(|(it, times)| *self.components.entry(it).or_default() += times);
        other.clauses.into_iter().for_each(|(it, times)| *self.clauses.entry(it).or_default() += times);
        other.outputs.into_iter().for_each(|(it, times)| *self.outputs.entry(it).or_default() += times);
        other.branches.into_iter().for_each(|(it, times)| *self.branches.entry(it).or_default() += times);
    }

    /// Compares it with what the program's own directory defines.
    pub fn of(&self, program: &Program) -> Coverage {
        let mut parts = Vec::new();
        self.add_branches(&program.body, None, &mut parts);
        for component in program.components.values().filter(|component| component.directory == 0) {
            self.add_component(component, &mut parts);
        }
        parts.sort_by(|a, b| (a.span, &a.what).cmp(&(b.span, &b.what)));
        Coverage { parts }
    }

    fn add_component(&self, component: &Component, parts: &mut Vec<Part>) {
        let kind = &component.kind;
        let mut add = |what: What, span: Span, seen: Option<&u32>| {
            parts.push(Part { what, component: Some(kind.clone()), span, seen: seen.copied().unwrap_or(0) });
        };
        add(What::Component, component.span, self.components.get(kind));
        for clause in &component.clauses {
            let seen = self.clauses.get(&(kind.clone(), clause.provider.clone()));
            add(What::Clause(clause.provider.clone()), clause.span, seen);
        }
        for output in &component.outputs {
            add(What::Output(output.name.clone()), output.span, self.outputs.get(&(kind.clone(), output.name.clone())));
        }
        self.add_branches(&component.body, Some(kind), parts);
        component.clauses.iter().for_each(|clause| self.add_branches(&clause.body, Some(kind), parts));
    }

    fn add_branches(&self, body: &Body, component: Option<&Name>, parts: &mut Vec<Part>) {
        for branch in &body.branches {
            let span = branch.cond.span;
            for side in [true, false] {
                let seen = self.branches.get(&(span, side)).copied().unwrap_or(0);
                parts.push(Part { what: What::Branch(side), component: component.cloned(), span, seen });
            }
            self.add_branches(&branch.then, component, parts);
            self.add_branches(&branch.otherwise, component, parts);
        }
    }
}

impl Coverage {
    /// How many parts of that sort were seen, and how many there are.
    pub fn count(&self, word: &str) -> (usize, usize) {
        let of_sort = || self.parts.iter().filter(|part| part.what.word() == word);
        (of_sort().filter(|part| part.seen > 0).count(), of_sort().count())
    }

    pub fn unseen(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.seen == 0)
    }
}
