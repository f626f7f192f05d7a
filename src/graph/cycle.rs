//! The path of a cycle, for the message.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::Wait;

/// A closed path: the `on` of each wait is the `node` of the next, and the last comes back to the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cycle {
    /// Places in the `waits` that were given.
    pub waits: Vec<u32>,
}

/// One shortest cycle through the smallest node of each group that holds one.
pub(super) fn cycles(groups: &[Vec<u32>], group_of: &[u32], waits: &[Wait], gives_way: &dyn Fn(&Wait) -> bool) -> Vec<Cycle> {
    let mut inside: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
    for (at, wait) in waits.iter().enumerate() {
        let one_group = group_of[wait.node as usize] == group_of[wait.on as usize];
        if one_group && !gives_way(wait) {
            inside.entry(wait.node).or_default().push(at as u32);
        }
    }
    let mut found: Vec<Cycle> = groups
        .iter()
        .filter_map(|group| shortest_through(*group.first()?, &inside, waits))
        .map(|waits| Cycle { waits })
        .collect();
    found.sort_by_key(|cycle| waits[cycle.waits[0] as usize].node);
    found
}

/// Breadth first from `start` until it is met again.
fn shortest_through(start: u32, inside: &FxHashMap<u32, Vec<u32>>, waits: &[Wait]) -> Option<Vec<u32>> {
    let mut came_by: FxHashMap<u32, u32> = FxHashMap::default();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for &at in inside.get(&node).into_iter().flatten() {
            let on = waits[at as usize].on;
            if on == start {
                return Some(path_back(start, at, &came_by, waits));
            }
            if let std::collections::hash_map::Entry::Vacant(entry) = came_by.entry(on) {
                entry.insert(at);
                queue.push_back(on);
            }
        }
    }
    None
}

fn path_back(start: u32, last: u32, came_by: &FxHashMap<u32, u32>, waits: &[Wait]) -> Vec<u32> {
    let mut path = vec![last];
    let mut node = waits[last as usize].node;
    while node != start {
        let at = came_by[&node];
        path.push(at);
        node = waits[at as usize].node;
    }
    path.reverse();
    path
}
