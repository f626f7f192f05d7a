//! What depends on what, as nodes and edges that a face can draw.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::model::desired::EdgeReason;
use crate::model::{Address, Code, Desired, Diagnostic, Span};

/// The dependency graph of an environment. Edges go from what waits to what it waits for.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// Ordered by address.
    pub nodes: Vec<Node>,
    /// Places in `nodes`, ordered.
    pub edges: Vec<(usize, usize, EdgeReason)>,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub address: Address,
    pub kind: String,
    /// The provider instance; empty for an instance that lowers to several.
    pub provider: String,
    /// How many resources it stands for.
    pub resources: usize,
    pub span: Span,
}

/// Which part of the graph, and how fine.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// One node an instance.
    pub instances: bool,
    pub focus: Option<String>,
    /// Steps around the focus, both ways.
    pub depth: u32,
}

/// Errors: [`Code::UnknownName`] for a focus that is not in the graph.
pub fn picture(desired: &Desired, part: &Part) -> Result<Picture, Box<Diagnostic>> {
    let whole = if part.instances { by_instance(desired) } else { by_resource(desired) };
    match &part.focus {
        None => Ok(whole),
        Some(focus) => focused(whole, focus, part.depth),
    }
}

fn by_resource(desired: &Desired) -> Picture {
    let places: BTreeMap<&Address, usize> = desired.resources.iter().enumerate().map(|(at, it)| (&it.address, at)).collect();
    let nodes = desired.resources.iter().map(|it| Node {
        address: it.address.clone(),
        kind: it.kind.name.to_string(),
        provider: it.provider.to_string(),
        resources: 1,
        span: it.span,
    });
    let mut edges = BTreeSet::new();
    for (at, resource) in desired.resources.iter().enumerate() {
        for edge in &resource.edges {
            if let Some(to) = places.get(&edge.to) {
                edges.insert((at, *to, edge.reason));
            }
        }
    }
    Picture { nodes: nodes.collect(), edges: strongest(edges) }
}

fn by_instance(desired: &Desired) -> Picture {
    let mut nodes: BTreeMap<Address, Node> = BTreeMap::new();
    let kinds: BTreeMap<&Address, &crate::model::DesiredInstance> =
        desired.instances.iter().map(|it| (&it.address, it)).collect();
    for resource in &desired.resources {
        let instance = kinds.get(&resource.instance);
        let node = nodes.entry(resource.instance.clone()).or_insert_with(|| Node {
            address: resource.instance.clone(),
            kind: instance.map_or(resource.kind.name.to_string(), |it| it.kind.to_string()),
            provider: resource.provider.to_string(),
            resources: 0,
            span: resource.called_at,
        });
        node.resources += 1;
        if node.provider != resource.provider.to_string() {
            node.provider = String::new();
        }
    }
    for instance in &desired.instances {
        let outermost = instance.address.parent().is_none();
        nodes.entry(instance.address.clone()).or_insert_with(|| Node {
            address: instance.address.clone(),
            kind: instance.kind.to_string(),
            provider: instance.provider.as_ref().map(ToString::to_string).unwrap_or_default(),
            resources: 0,
            span: instance.span,
        });
        if !outermost {
            nodes.remove(&instance.address);
        }
    }
    let nodes: Vec<Node> = nodes.into_values().collect();
    let places: BTreeMap<Address, usize> = nodes.iter().enumerate().map(|(at, node)| (node.address.clone(), at)).collect();
    let owner: BTreeMap<&Address, &Address> = desired.resources.iter().map(|it| (&it.address, &it.instance)).collect();
    let mut edges = BTreeSet::new();
    for resource in &desired.resources {
        for edge in &resource.edges {
            let (Some(from), Some(to)) = (places.get(&resource.instance), owner.get(&edge.to).and_then(|it| places.get(*it)))
            else {
                continue;
            };
            if from != to {
                edges.insert((*from, *to, edge.reason));
            }
        }
    }
    Picture { nodes, edges: strongest(edges) }
}

/// Between two nodes the edge that says most: a reference before an order.
fn strongest(edges: BTreeSet<(usize, usize, EdgeReason)>) -> Vec<(usize, usize, EdgeReason)> {
    let mut kept: BTreeMap<(usize, usize), EdgeReason> = BTreeMap::new();
    for (from, to, reason) in edges {
        kept.entry((from, to)).and_modify(|it| *it = (*it).min(reason)).or_insert(reason);
    }
    kept.into_iter().map(|((from, to), reason)| (from, to, reason)).collect()
}

fn focused(whole: Picture, focus: &str, depth: u32) -> Result<Picture, Box<Diagnostic>> {
    let is_focus = |node: &Node| {
        let address = node.address.as_str();
        address == focus || address.strip_prefix(focus).is_some_and(|rest| rest.starts_with(['/', '[']))
    };
    let mut reached: BTreeMap<usize, u32> =
        whole.nodes.iter().enumerate().filter(|(_, node)| is_focus(node)).map(|(at, _)| (at, 0)).collect();
    if reached.is_empty() {
        let near = super::nearest(focus, whole.nodes.iter().map(|it| it.address.as_str())).map(|it| format!("write `{it}`"));
        return Err(Box::new(Code::UnknownName.error(format!("there is no `{focus}` in the graph")).helps(near)));
    }
    let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); whole.nodes.len()];
    for (from, to, _) in &whole.edges {
        neighbours[*from].push(*to);
        neighbours[*to].push(*from);
    }
    let mut queue: VecDeque<usize> = reached.keys().copied().collect();
    while let Some(at) = queue.pop_front() {
        let steps = reached[&at];
        for next in neighbours[at].iter().filter(|_| steps < depth) {
            if !reached.contains_key(next) {
                reached.insert(*next, steps + 1);
                queue.push_back(*next);
            }
        }
    }
    let new_place: BTreeMap<usize, usize> = reached.keys().enumerate().map(|(new, old)| (*old, new)).collect();
    let edges = whole.edges.iter().filter_map(|(from, to, reason)| Some((*new_place.get(from)?, *new_place.get(to)?, *reason)));
    let edges = edges.collect();
    let nodes = whole.nodes.into_iter().enumerate().filter(|(at, _)| new_place.contains_key(at)).map(|(_, node)| node).collect();
    Ok(Picture { nodes, edges })
}
