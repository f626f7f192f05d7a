//! The steps of a plan, and which waits for which: making in the order of the program's edges, unmaking in the exact reverse of
//! the stored ones.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::graph::{self, Wait};
use crate::model::schema::ReplaceOrder;
use crate::model::{Action, Address, Change, Plan, Turn};

/// Which part of a change a step is. A replacement has both.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Half {
    /// Creates, updates, runs, reads, or writes the record.
    Make,
    /// Destroys.
    Unmake,
}

/// All steps of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Steps {
    /// What each step does; `None` for one that only passes the order on.
    pub all: Vec<Option<(u32, Half)>>,
    /// In places of `all`. Free of cycles.
    pub waits: Vec<Wait>,
    /// Places of `all`, each after what it waits for.
    pub order: Vec<u32>,
    /// Steps at which a requirement is judged, each with its place in the plan's requirements.
    pub gates: Vec<(u32, u32)>,
}

/// Lays out the steps of a plan.
///
/// - What is made waits for what its values were made from.
/// - What is destroyed waits until everything that was recorded as using it was destroyed, or made without it.
/// - A replacement creates first or destroys first as it says.
/// - Other destroys come last, so that a failure before them leaves what they would have destroyed.
/// - Instances of a set that take turns wait for those before them.
/// - A requirement waits for what it reads, and whatever uses that waits for the requirement, unless the requirement reads it, too.
pub fn steps(plan: &Plan) -> Steps {
    let mut layout = Layout::new(plan);
    layout.make_in_order(plan);
    layout.unmake_in_reverse(&plan.changes);
    layout.destroy_last(&plan.changes);
    layout.in_turns(&plan.changes);
    layout.finish(plan)
}

struct Layout {
    all: Vec<Option<(u32, Half)>>,
    /// By change.
    make: Vec<Option<u32>>,
    unmake: Vec<Option<u32>>,
    waits: Vec<Wait>,
}

impl Layout {
    fn new(plan: &Plan) -> Layout {
        let count = plan.changes.len();
        let mut layout = Layout { all: Vec::new(), make: vec![None; count], unmake: vec![None; count], waits: Vec::new() };
        for (at, change) in plan.changes.iter().enumerate() {
            let (makes, unmakes) = halves(&change.action);
            if makes {
                layout.make[at] = Some(layout.add(Some((at as u32, Half::Make))));
            }
            if unmakes {
                layout.unmake[at] = Some(layout.add(Some((at as u32, Half::Unmake))));
            }
        }
        layout
    }

    fn add(&mut self, step: Option<(u32, Half)>) -> u32 {
        self.all.push(step);
        self.all.len() as u32 - 1
    }

    fn wait(&mut self, node: Option<u32>, on: Option<u32>, weak: bool) {
        if let (Some(node), Some(on)) = (node, on)
            && node != on
        {
            self.waits.push(Wait { node, on, weak });
        }
    }

    fn make_in_order(&mut self, plan: &Plan) {
        let mut joints: FxHashMap<u32, u32> = FxHashMap::default();
        let count = plan.changes.len() as u32;
        for &(on, node) in &plan.order {
            let mut place = |layout: &mut Layout, at: u32| match at < count {
                true => layout.make[at as usize],
                false => Some(*joints.entry(at).or_insert_with(|| layout.add(None))),
            };
            let (on, node) = (place(self, on), place(self, node));
            self.wait(node, on, false);
        }
        for at in 0..plan.changes.len() {
            match plan.changes[at].action {
                Action::Replace { order: ReplaceOrder::CreateFirst } => self.wait(self.unmake[at], self.make[at], false),
                Action::Replace { order: ReplaceOrder::DestroyFirst } => self.wait(self.make[at], self.unmake[at], false),
                _ => {}
            }
        }
    }

    /// Records of different ages may, between them, have edges that close a cycle; there the order gives way.
    fn unmake_in_reverse(&mut self, changes: &[Change]) {
        for (user, used) in recorded_uses(changes) {
            self.wait(self.unmake[used], self.unmake[user], true);
            if is_unmade_late(&changes[used].action) {
                self.wait(self.unmake[used], self.make[user], true);
            }
        }
    }

    fn destroy_last(&mut self, changes: &[Change]) {
        let destroys: Vec<usize> =
            (0..changes.len()).filter(|at| matches!(changes[*at].action, Action::Destroy { .. })).collect();
        let makes: Vec<u32> = self.make.iter().flatten().copied().collect();
        if destroys.is_empty() || makes.is_empty() {
            return;
        }
        // A replacement that destroys first needs what uses its old object to be gone before.
        let mut users: FxHashMap<usize, Vec<usize>> = FxHashMap::default();
        recorded_uses(changes).for_each(|(user, used)| users.entry(used).or_default().push(user));
        let first = |change: &Change| change.action == Action::Replace { order: ReplaceOrder::DestroyFirst };
        let mut stack: Vec<usize> = (0..changes.len()).filter(|at| first(&changes[*at])).collect();
        let mut early: FxHashSet<usize> = stack.iter().copied().collect();
        while let Some(used) = stack.pop() {
            let next = users.get(&used).into_iter().flatten().copied();
            next.filter(|user| early.insert(*user)).collect::<Vec<_>>().into_iter().for_each(|user| stack.push(user));
        }
        let all_made = self.add(None);
        makes.into_iter().for_each(|make| self.wait(Some(all_made), Some(make), false));
        destroys.into_iter().filter(|at| !early.contains(at)).for_each(|at| self.wait(self.unmake[at], Some(all_made), false));
    }

    /// Instances of a set start once all those before them are done, so that a failure leaves the rest as it is.
    fn in_turns(&mut self, changes: &[Change]) {
        let mut sets: BTreeMap<&Address, (&Turn, Vec<usize>)> = BTreeMap::new();
        for (at, change) in changes.iter().enumerate() {
            let turn = change.after.as_ref().and_then(|after| after.lifecycle.turn.as_ref());
            let is_made = matches!(change.action, Action::Create | Action::Update | Action::Replace { .. } | Action::Run);
            if let Some(turn) = turn.filter(|_| is_made) {
                sets.entry(&turn.set).or_insert((turn, Vec::new())).1.push(at);
            }
        }
        for (turn, members) in sets.into_values() {
            let runs = |at: &usize| matches!(changes[*at].action, Action::Update | Action::Replace { .. });
            if turn.rollout && !members.iter().any(runs) {
                continue;
            }
            let mut before = None;
            for batch in members.chunks(turn.at_once.max(1) as usize) {
                for &at in batch {
                    self.wait(self.make[at], before, true);
                    if changes[at].action == (Action::Replace { order: ReplaceOrder::DestroyFirst }) {
                        self.wait(self.unmake[at], before, true);
                    }
                }
                before = match batch {
                    [only] => self.make[*only],
                    _ => {
                        let joint = Some(self.add(None));
                        batch.iter().for_each(|at| self.wait(joint, self.make[*at], true));
                        joint
                    }
                };
            }
        }
    }

    fn finish(mut self, plan: &Plan) -> Steps {
        let mut order = self.settle();
        let gates = self.gates(plan, &order);
        if !gates.is_empty() {
            order = self.settle();
        }
        Steps { all: self.all, waits: self.waits, order, gates }
    }

    /// The order in which steps may start; waits that close a circle are gone, and all others hold from now on.
    fn settle(&mut self) -> Vec<u32> {
        let ordered = graph::order(self.all.len() as u32, &self.waits)
            .expect("edges of the program are free of cycles, and all others give way");
        let mut dropped = ordered.dropped.into_iter().peekable();
        let waits = std::mem::take(&mut self.waits).into_iter().enumerate();
        let held = waits.filter(|(at, _)| dropped.next_if_eq(&(*at as u32)).is_none());
        self.waits = held.map(|(_, wait)| Wait { weak: false, ..wait }).collect();
        ordered.order
    }

    /// A step for each requirement, between what it reads and what uses that.
    fn gates(&mut self, plan: &Plan, order: &[u32]) -> Vec<(u32, u32)> {
        if plan.requirements.is_empty() {
            return Vec::new();
        }
        let mut place = vec![0; self.all.len()];
        order.iter().enumerate().for_each(|(at, step)| place[*step as usize] = at);
        let mut users: Vec<Vec<u32>> = vec![Vec::new(); self.all.len()];
        self.waits.iter().for_each(|wait| users[wait.on as usize].push(wait.node));
        let mut makes: FxHashMap<&Address, Vec<u32>> = FxHashMap::default();
        for (change, make) in plan.changes.iter().zip(&self.make) {
            makes.entry(&change.address).or_default().extend(make);
        }
        let mut gates = Vec::new();
        for (at, requirement) in plan.requirements.iter().enumerate() {
            let waits = requirement.waits_for();
            let read: BTreeSet<u32> = waits.iter().filter_map(|it| makes.get(it)).flatten().copied().collect();
            let Some(last) = read.iter().map(|step| place[*step as usize]).max() else { continue };
            let gate = self.add(None);
            read.iter().for_each(|step| self.wait(Some(gate), Some(*step), false));
            // What lies between two things that it reads cannot wait for it, and gives way; what uses that can.
            let (mut after, mut open) = (BTreeSet::new(), read.iter().copied().collect::<Vec<_>>());
            while let Some(step) = open.pop() {
                for user in users[step as usize].iter().filter(|user| !read.contains(user)) {
                    if after.insert(*user) && place[*user as usize] < last {
                        open.push(*user);
                    }
                }
            }
            after.into_iter().for_each(|step| self.wait(Some(step), Some(gate), true));
            gates.push((gate, at as u32));
        }
        gates
    }
}

fn halves(action: &Action) -> (bool, bool) {
    match action {
        Action::Replace { .. } => (true, true),
        Action::Destroy { .. } => (false, true),
        Action::Create
        | Action::Update
        | Action::Run
        | Action::Read
        | Action::Move { .. }
        | Action::Adopt { .. }
        | Action::Forget
        | Action::Record => (true, false),
    }
}

/// Whether the old object is destroyed only after others were made without it.
fn is_unmade_late(action: &Action) -> bool {
    matches!(action, Action::Destroy { .. } | Action::Replace { order: ReplaceOrder::CreateFirst })
}

/// Pairs of changes of which the first was recorded as using the second.
fn recorded_uses(changes: &[Change]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut places: FxHashMap<Address, usize> = FxHashMap::default();
    for (at, change) in changes.iter().enumerate() {
        // Of a move and what follows it, what follows counts.
        // An object that was replaced long ago is used by nobody.
        if let Some(record) = change.before.as_ref().filter(|record| !record.deposed) {
            places.insert(record.address.clone(), at);
        }
    }
    changes.iter().enumerate().flat_map(move |(user, change)| {
        let edges = change.before.iter().flat_map(|record| &record.edges);
        let used: Vec<usize> = edges.filter_map(|edge| places.get(&edge.to).copied()).collect();
        used.into_iter().map(move |used| (user, used))
    })
}
