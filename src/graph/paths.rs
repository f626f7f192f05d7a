//! Longest paths.

use std::time::Duration;

use super::Wait;

/// For each node how long the longest chain is that begins with it and goes through what waits for it, its own `cost` included.
/// The greatest of them is the length of the critical path.
///
/// `order` is one that [`super::order`] gave for these waits; waits that do not hold in it must have been taken out.
pub fn remaining(order: &[u32], waits: impl Iterator<Item = Wait> + Clone, cost: &[Duration]) -> Vec<Duration> {
    let (starts, waiting) = waiting_for_each(cost.len(), waits);
    let mut longest = cost.to_vec();
    for &node in order.iter().rev() {
        let after = &waiting[starts[node as usize] as usize..starts[node as usize + 1] as usize];
        let rest = after.iter().map(|next| longest[*next as usize]).max().unwrap_or_default();
        longest[node as usize] += rest;
    }
    longest
}

/// Who waits for each node, as one list with the place where each node's part begins.
fn waiting_for_each(count: usize, waits: impl Iterator<Item = Wait> + Clone) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; count + 1];
    waits.clone().for_each(|wait| starts[wait.on as usize + 1] += 1);
    (1..starts.len()).for_each(|at| starts[at] += starts[at - 1]);
    let mut next = starts.clone();
    let mut waiting = vec![0; starts[count] as usize];
    for wait in waits {
        let place = &mut next[wait.on as usize];
        waiting[*place as usize] = wait.node;
        *place += 1;
    }
    (starts, waiting)
}
