//! The order of desired resources, and the sentence for those that wait for each other.

use rustc_hash::FxHashMap;

use super::{Cycle, Wait, order};
use crate::model::{Address, Code, DesiredResource, Diagnostic, Edge, EdgeReason};

/// Resources in an order that their edges allow.
#[derive(Clone, Debug, Default)]
pub struct ResourceOrder {
    /// Places in the resources, each after all that it waits for.
    pub order: Vec<u32>,
    /// The waits that hold, in places of the resources. Edges to what is not among the resources are left out.
    pub waits: Vec<Wait>,
    /// Instance edges that closed a cycle and do not hold, by address of the resource that would have waited.
    pub dropped: Vec<(Address, Edge)>,
}

/// Orders desired resources by their edges.
///
/// Errors: [`Code::Cycle`], one for each set of resources that wait for each other, naming each edge.
pub fn order_resources(resources: &[DesiredResource]) -> Result<ResourceOrder, Vec<Diagnostic>> {
    let places: FxHashMap<&Address, u32> = resources.iter().enumerate().map(|(at, it)| (&it.address, at as u32)).collect();
    let mut waits = Vec::new();
    let mut edges = Vec::new();
    for (at, resource) in resources.iter().enumerate() {
        for edge in &resource.edges {
            if let Some(&on) = places.get(&edge.to) {
                waits.push(Wait { node: at as u32, on, weak: edge.reason == EdgeReason::Instance });
                edges.push((at as u32, edge));
            }
        }
    }
    let ordered = order(resources.len() as u32, &waits)
        .map_err(|cycles| cycles.iter().map(|cycle| refuse_cycle(cycle, resources, &edges)).collect::<Vec<_>>())?;
    let dropped = ordered.dropped.iter().map(|at| {
        let (node, edge) = edges[*at as usize];
        (resources[node as usize].address.clone(), edge.clone())
    });
    let dropped = dropped.collect();
    let mut gone = ordered.dropped.iter().copied().peekable();
    let mut at = 0;
    waits.retain(|_| {
        let drop_it = gone.next_if_eq(&at).is_some();
        at += 1;
        !drop_it
    });
    Ok(ResourceOrder { order: ordered.order, waits, dropped })
}

/// How many edges of a cycle the message shows; a longer one says how many there are.
const EDGES_SHOWN: usize = 12;

fn refuse_cycle(cycle: &Cycle, resources: &[DesiredResource], edges: &[(u32, &Edge)]) -> Diagnostic {
    let path: Vec<(&Address, &Edge)> = cycle
        .waits
        .iter()
        .map(|at| {
            let (node, edge) = edges[*at as usize];
            (&resources[node as usize].address, edge)
        })
        .collect();
    let message = match path.as_slice() {
        [(only, _)] => format!("`{only}` waits for itself"),
        [(a, _), (b, _)] => format!("`{a}` and `{b}` wait for each other"),
        [(first, _), ..] => format!("`{first}` and {} others wait for each other in a circle", path.len() - 1),
        [] => "resources wait for each other".to_owned(),
    };
    let labels = path.iter().take(EDGES_SHOWN).enumerate().map(|(at, (from, edge))| {
        let needs = match edge.reason {
            EdgeReason::Reference => "needs a value that",
            EdgeReason::Instance => "reads an output of the instance of",
            EdgeReason::After => "is told by `lifecycle.after` to wait for",
        };
        let ends = if edge.reason == EdgeReason::Reference { " has once it exists" } else { "" };
        (edge.span, format!("{}: `{from}` {needs} `{}`{ends}", at + 1, edge.to))
    });
    let mut diagnostic = Code::Cycle.error(message).labels(labels).about(path[0].0.clone());
    if path.len() > EDGES_SHOWN {
        diagnostic = diagnostic.note(format!("the circle has {} edges, {EDGES_SHOWN} of them are shown", path.len()));
    }
    diagnostic.help("break one edge: a value known before creation, such as a name in a `let`, waits for nothing")
}
