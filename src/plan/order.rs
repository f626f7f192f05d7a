//! In which order the changes of a plan are made.

use rustc_hash::FxHashMap;

use crate::graph::Wait;
use crate::model::{Address, Change};

/// The pairs of [`crate::model::Plan::order`]: between changes that make something, and through resources that stay but stand
/// between two of them.
///
/// `order` and `waits` are those of the declared resources, in places of `resources`; `addresses` are theirs. Linear.
pub(super) fn pairs(changes: &[Change], addresses: &[Address], order: &[u32], waits: &[Wait]) -> Vec<(u32, u32)> {
    const NONE: u32 = u32::MAX;
    // The last of two changes at one address, a move and what follows it, is the one that others wait for.
    let places: FxHashMap<&Address, u32> =
        changes.iter().enumerate().filter(|(_, it)| it.after.is_some()).map(|(at, it)| (&it.address, at as u32)).collect();
    let mut name: Vec<u32> = addresses.iter().map(|address| places.get(address).copied().unwrap_or(NONE)).collect();
    let (mut below, mut above) = (vec![false; addresses.len()], vec![false; addresses.len()]);
    let by_node = Grouped::new(addresses.len(), waits);
    for &node in order {
        for on in by_node.of(node) {
            below[node as usize] |= name[on as usize] != NONE || below[on as usize];
        }
    }
    for &node in order.iter().rev() {
        let reaches = name[node as usize] != NONE || above[node as usize];
        by_node.of(node).for_each(|on| above[on as usize] |= reaches);
    }
    let mut next = changes.len() as u32;
    for (at, name) in name.iter_mut().enumerate() {
        if *name == NONE && below[at] && above[at] {
            *name = next;
            next += 1;
        }
    }
    let mut pairs: Vec<(u32, u32)> = waits
        .iter()
        .map(|wait| (name[wait.on as usize], name[wait.node as usize]))
        .filter(|(on, node)| *on != NONE && *node != NONE)
        .collect();
    let moves = changes.windows(2).enumerate().filter(|(_, two)| two[0].address == two[1].address);
    pairs.extend(moves.map(|(at, _)| (at as u32, at as u32 + 1)));
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// What each node waits for, as one list with the place where each node's part begins.
struct Grouped {
    starts: Vec<u32>,
    on: Vec<u32>,
}

impl Grouped {
    fn new(count: usize, waits: &[Wait]) -> Grouped {
        let mut starts = vec![0u32; count + 1];
        waits.iter().for_each(|wait| starts[wait.node as usize + 1] += 1);
        (1..starts.len()).for_each(|at| starts[at] += starts[at - 1]);
        let mut next = starts.clone();
        let mut on = vec![0; waits.len()];
        for wait in waits {
            let place = &mut next[wait.node as usize];
            on[*place as usize] = wait.on;
            *place += 1;
        }
        Grouped { starts, on }
    }

    fn of(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let range = self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize;
        self.on[range].iter().copied()
    }
}
