//! How long a plan will take: the median of past calls of the same kind and action, along the longest path.

use std::time::Duration;

use crate::model::{Action, Address, Change, Name, Plan};
use crate::plan::{Half, steps};
use crate::state::View;

/// An estimate, and the instances on its longest path in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Estimate {
    pub time: Duration,
    pub path: Vec<Address>,
}

/// `None` where some change has fewer than three past calls of its kind: no number is better than a made-up one.
pub fn estimate(plan: &Plan, view: &View) -> Option<Estimate> {
    let steps = steps(plan);
    let mut cost = vec![Duration::ZERO; steps.all.len()];
    for (at, step) in steps.all.iter().enumerate() {
        if let Some((change, half)) = step {
            cost[at] = usual(&plan.changes[*change as usize], *half, view)?;
        }
    }
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); steps.all.len()];
    for wait in &steps.waits {
        before[wait.node as usize].push(wait.on);
    }
    let mut done = vec![Duration::ZERO; steps.all.len()];
    let mut through: Vec<Option<u32>> = vec![None; steps.all.len()];
    for at in &steps.order {
        let latest = before[*at as usize].iter().max_by_key(|on| done[**on as usize]).copied();
        through[*at as usize] = latest;
        done[*at as usize] = cost[*at as usize] + latest.map_or(Duration::ZERO, |on| done[on as usize]);
    }
    let mut at = (0..steps.all.len() as u32).max_by_key(|at| done[*at as usize]);
    let time = at.map_or(Duration::ZERO, |at| done[at as usize]);
    let mut path: Vec<Address> = Vec::new();
    while let Some(step) = at {
        if let Some((change, _)) = steps.all[step as usize] {
            let instance = &plan.changes[change as usize].instance;
            if path.last() != Some(instance) {
                path.push(instance.clone());
            }
        }
        at = through[step as usize];
    }
    path.reverse();
    Some(Estimate { time, path })
}

fn usual(change: &Change, half: Half, view: &View) -> Option<Duration> {
    let calls: Name = match (&change.action, half) {
        (Action::Move { .. } | Action::Adopt { .. } | Action::Forget | Action::Record, _) => return Some(Duration::ZERO),
        (_, Half::Unmake) => "delete".into(),
        (Action::Update, _) => "update".into(),
        _ => "create".into(),
    };
    view.usual(&change.kind.name, &calls)
}
