//! A dependency graph as a tree, as DOT, as Mermaid, as SVG. Drawing is layout-rs's, which reads DOT.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::escape::Escaped;
use super::report::count;
use super::terminal::{Ink, Terminal};
use crate::model::desired::EdgeReason;
use crate::ops::graph::Picture;

/// What is used by nobody first; below each what it waits for. What was shown before is marked, not repeated.
pub fn tree(picture: &Picture, terminal: &Terminal) -> String {
    let mut needs: Vec<Vec<(usize, EdgeReason)>> = vec![Vec::new(); picture.nodes.len()];
    let mut used = vec![false; picture.nodes.len()];
    for (from, to, reason) in &picture.edges {
        needs[*from].push((*to, *reason));
        used[*to] = true;
    }
    let mut drawing = Tree { picture, terminal, needs, shown: BTreeSet::new(), out: String::new() };
    for at in (0..picture.nodes.len()).filter(|at| !used[*at]) {
        drawing.node(at, "", "", None);
    }
    // What only a cycle holds has no top: instance edges may close one.
    for at in 0..picture.nodes.len() {
        if !drawing.shown.contains(&at) {
            drawing.node(at, "", "", None);
        }
    }
    drawing.out.push_str(&format!("\n{}, {}\n", count(picture.nodes.len(), "node"), count(picture.edges.len(), "edge")));
    drawing.out
}

struct Tree<'p> {
    picture: &'p Picture,
    terminal: &'p Terminal,
    needs: Vec<Vec<(usize, EdgeReason)>>,
    shown: BTreeSet<usize>,
    out: String,
}

/// Deeper than this a tree says that it goes on.
const DEPTH_MAX: usize = 64;

impl Tree<'_> {
    fn node(&mut self, at: usize, lead: &str, below: &str, reason: Option<EdgeReason>) {
        let node = &self.picture.nodes[at];
        let again = !self.shown.insert(at);
        let order = if matches!(reason, Some(EdgeReason::Instance | EdgeReason::After)) { "  (order only)" } else { "" };
        let mark = if again && !self.needs[at].is_empty() { "  (above)" } else { "" };
        let about = match node.resources {
            1 => node.kind.clone(),
            more => count(more, "resource"),
        };
        let quiet = self.terminal.paint(Ink::Quiet, format!("  {about}{order}{mark}"));
        self.out.push_str(&format!("{lead}{}{quiet}\n", Escaped(node.address.as_str())));
        if again {
            return;
        }
        if below.chars().count() / 3 >= DEPTH_MAX {
            return self.out.push_str(&format!("{below}…\n"));
        }
        let children = self.needs[at].clone();
        for (index, (child, reason)) in children.iter().enumerate() {
            let last = index + 1 == children.len();
            let (branch, stem) = match (self.terminal.unicode, last) {
                (true, true) => ("└─ ", "   "),
                (true, false) => ("├─ ", "│  "),
                (false, true) => ("`- ", "   "),
                (false, false) => ("|- ", "|  "),
            };
            self.node(*child, &format!("{below}{branch}"), &format!("{below}{stem}"), Some(*reason));
        }
    }
}

/// For Graphviz. Solid edges carry values, dashed ones only order.
pub fn dot(picture: &Picture) -> String {
    let mut out = String::from("digraph stack {\n  rankdir=LR;\n  node [shape=box];\n");
    for (at, node) in picture.nodes.iter().enumerate() {
        out.push_str(&format!("  n{at} [label={}];\n", quoted(&label(node, "\n"))));
    }
    for (from, to, reason) in &picture.edges {
        let style = if *reason == EdgeReason::Reference { "" } else { " [style=dashed]" };
        out.push_str(&format!("  n{from} -> n{to}{style};\n"));
    }
    out.push_str("}\n");
    out
}

fn label(node: &crate::ops::graph::Node, newline: &str) -> String {
    let provider = if node.provider.is_empty() { String::new() } else { format!("{newline}on {}", node.provider) };
    Escaped(node.address.as_str()).to_string() + &Escaped(&provider).to_string().replace("\\u{a}", "\n")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// For Markdown that draws Mermaid.
pub fn mermaid(picture: &Picture) -> String {
    let mut out = String::from("flowchart LR\n");
    for (at, node) in picture.nodes.iter().enumerate() {
        let text: String = label(node, "<br>").chars().flat_map(entity).collect();
        out.push_str(&format!("  n{at}[\"{}\"]\n", text.replace("#lt;br#gt;", "<br>")));
    }
    for (from, to, reason) in &picture.edges {
        let arrow = if *reason == EdgeReason::Reference { "-->" } else { "-.->" };
        out.push_str(&format!("  n{from} {arrow} n{to}\n"));
    }
    out
}

/// Mermaid's own entities for what has a meaning to it.
fn entity(c: char) -> Vec<char> {
    match c {
        '"' => "#quot;".chars().collect(),
        '<' => "#lt;".chars().collect(),
        '>' => "#gt;".chars().collect(),
        '#' => "#35;".chars().collect(),
        '`' => "#96;".chars().collect(),
        c => vec![c],
    }
}

/// A picture by itself: no script, nothing fetched.
pub fn svg(picture: &Picture) -> String {
    use layout::backends::svg::SVGWriter;
    use layout::gv::{DotParser, GraphBuilder};
    if picture.nodes.is_empty() {
        return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\" height=\"10\"></svg>\n".into();
    }
    // Keys of instances would end a DOT string for the drawing library, which knows no escapes: it gets typographic quotes.
    let mut plain = picture.clone();
    for node in &mut plain.nodes {
        node.provider = node.provider.replace('"', "”");
    }
    let dot = dot(&plain).replace("\\\"", "”").replace("\\\\", "/");
    let graph = DotParser::new(&dot).process().expect("what we write as DOT is DOT");
    let mut builder = GraphBuilder::new();
    builder.visit_graph(&graph);
    let mut drawing = builder.get();
    let mut writer = SVGWriter::new();
    drawing.do_it(false, false, false, &mut writer);
    writer.finalize()
}

pub fn json(picture: &Picture) -> Json {
    let nodes: Vec<Json> = picture
        .nodes
        .iter()
        .map(|it| json!({"address": it.address.as_str(), "kind": it.kind, "provider": it.provider, "resources": it.resources}))
        .collect();
    let edges: Vec<Json> = picture
        .edges
        .iter()
        .map(|(from, to, reason)| {
            let reason = match reason {
                EdgeReason::Reference => "reference",
                EdgeReason::Instance => "instance",
                EdgeReason::After => "after",
            };
            json!({"from": picture.nodes[*from].address.as_str(), "to": picture.nodes[*to].address.as_str(), "reason": reason})
        })
        .collect();
    super::json::document("graph", json!({"nodes": nodes, "edges": edges}))
}
