//! Order among things that wait for each other: a valid order, cycles with their path, edges that give way, critical paths.
//!
//! Takes integer ids, gives integer ids; whoever asks keeps the names. Everything is linear in nodes and edges. What the ids
//! mean, and which sentence a cycle deserves, is decided by [`resources`] for desired resources and left to others otherwise.

mod cycle;
mod paths;
pub mod resources;
#[cfg(test)]
mod tests;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

pub use cycle::Cycle;
pub use paths::remaining;

/// `node` waits for `on`. A weak wait only orders, and gives way where it would close a cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    pub node: u32,
    pub on: u32,
    pub weak: bool,
}

impl Wait {
    pub fn new(node: u32, on: u32) -> Wait {
        Wait { node, on, weak: false }
    }
}

/// The result of [`order`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ordered {
    /// All nodes, each after everything that it waits for.
    pub order: Vec<u32>,
    /// Places in `waits` of the weak ones that closed a cycle, ascending: they do not hold in `order`.
    pub dropped: Vec<u32>,
}

/// Puts `0..count` into an order in which each node follows what it waits for.
///
/// Weak waits inside a cycle are dropped together. Equal arguments give equal results.
///
/// Errors: every cycle of waits that are not weak, one for each knot of nodes.
pub fn order(count: u32, waits: &[Wait]) -> Result<Ordered, Vec<Cycle>> {
    let (groups, group_of) = components(count, waits.iter());
    if groups.len() == count as usize && waits.iter().all(|wait| wait.node != wait.on) {
        return Ok(Ordered { order: groups.into_iter().flatten().collect(), dropped: Vec::new() });
    }
    let gives_way = |wait: &Wait| wait.weak && group_of[wait.node as usize] == group_of[wait.on as usize];
    let dropped = (0..waits.len() as u32).filter(|at| gives_way(&waits[*at as usize])).collect::<Vec<_>>();
    let strong = || waits.iter().filter(|wait| !gives_way(wait));
    let (groups, group_of) = components(count, strong());
    let cycles = cycle::cycles(&groups, &group_of, waits, &gives_way);
    match cycles.is_empty() {
        true => Ok(Ordered { order: groups.into_iter().flatten().collect(), dropped }),
        false => Err(cycles),
    }
}

/// Strongly connected components, each after those that it waits for, and the component of each node.
///
/// Kosaraju's algorithm, since petgraph's form of it does not recurse: a chain of 100,000 must not exhaust the stack.
fn components<'w>(count: u32, waits: impl Iterator<Item = &'w Wait>) -> (Vec<Vec<u32>>, Vec<u32>) {
    let (_, edges) = waits.size_hint();
    let mut graph = DiGraph::<(), (), u32>::with_capacity(count as usize, edges.unwrap_or(0));
    for _ in 0..count {
        graph.add_node(());
    }
    for wait in waits {
        graph.add_edge(NodeIndex::new(wait.node as usize), NodeIndex::new(wait.on as usize), ());
    }
    let mut group_of = vec![0; count as usize];
    let mut groups = Vec::with_capacity(count as usize);
    for (at, group) in kosaraju_scc(&graph).into_iter().enumerate() {
        let mut nodes = group.into_iter().map(|node| node.index() as u32).collect::<Vec<_>>();
        nodes.sort_unstable();
        nodes.iter().for_each(|node| group_of[*node as usize] = at as u32);
        groups.push(nodes);
    }
    (groups, group_of)
}
