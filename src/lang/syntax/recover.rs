//! Parses chunks one by one, and takes those apart that do not parse: so that a bad entry in a long component is one error, and the
//! rest of the component is there.
//!
//! A chunk with an error that ends with braces is parsed without what stands in them; if that works, the inside is split into
//! chunks of its own, and so on inwards. What cannot be taken apart any more is an `Error` node with one diagnostic.

use std::ops::Range;

use pest::Parser;
use pest::iterators::Pairs;

use super::build::Builder;
use super::explain::{self, Region};
use super::grammar::{Grammar, Rule};
use super::scan::{self, Chunk, Over};
use super::tree::*;
use crate::model::{Code, Diagnostic, SourceId, Span};

/// How many braces inwards an error is looked for.
const LEVELS_MAX: usize = 10;

/// So many errors are explained in one stretch of a file; what has more is no program, and nobody reads on.
const ERRORS_MAX: usize = 500;

/// What a region is made of.
enum Nodes {
    Items(Vec<Item>),
    Entries(Vec<Entry>),
    Rules(Vec<super::tree::Rule>),
    Overrides(Vec<Override>),
}

/// Parses a chunk of items.
pub fn parse_items<'t>(builder: &mut Builder<'t>, text: &'t str, chunk: &Chunk) -> Vec<Item> {
    match parse_chunk(builder, text, Region::Items, chunk, true, 0) {
        Nodes::Items(items) => items,
        _ => unreachable!("a region of items holds items"),
    }
}

fn parse_chunk<'t>(
    builder: &mut Builder<'t>,
    text: &'t str,
    region: Region,
    chunk: &Chunk,
    starts_line: bool,
    level: usize,
) -> Nodes {
    if let Some(over) = chunk.over {
        builder.diagnostics.push(limit(builder.source(), over));
        return error_node(builder.source(), text, region, &chunk.range);
    }
    let slice = &text[chunk.range.clone()];
    if let Ok(pairs) = Grammar::parse(start_rule(region), slice) {
        return build(builder.on(slice, chunk.range.start, starts_line), region, pairs);
    }
    if builder.diagnostics.len() >= ERRORS_MAX {
        if builder.diagnostics.len() == ERRORS_MAX {
            let at = Span::new(builder.source(), chunk.range.start, chunk.range.start);
            builder.diagnostics.push(Code::Limit.error("there are more errors than can be said").label(at, "from here on"));
        }
        return error_node(builder.source(), text, region, &chunk.range);
    }
    if region == Region::Items
        && let Some((diagnostic, rest)) = explain::value_on_next_item(builder.source(), text, chunk.range.clone())
    {
        builder.diagnostics.push(diagnostic);
        let Nodes::Items(mut items) = error_node(builder.source(), text, region, &(chunk.range.start..rest)) else {
            unreachable!("a region of items holds items")
        };
        let rest = Chunk { range: rest..chunk.range.end, ..*chunk };
        items.append(&mut parse_items(builder, text, &rest));
        return Nodes::Items(items);
    }
    if level < LEVELS_MAX
        && let Some(nodes) = take_apart(builder, text, region, chunk, starts_line, level)
    {
        return nodes;
    }
    let diagnostic = explain::explain(builder.source(), text, chunk.range.clone(), region, start_rule(region));
    builder.diagnostics.push(diagnostic);
    error_node(builder.source(), text, region, &chunk.range)
}

fn start_rule(region: Region) -> Rule {
    match region {
        Region::Items => Rule::chunk_of_items,
        Region::Body => Rule::chunk_of_body,
        Region::Entries => Rule::chunk_of_entries,
        Region::Rules => Rule::chunk_of_rules,
        Region::Overrides => Rule::chunk_of_overrides,
    }
}

fn build<'t>(builder: &mut Builder<'t>, region: Region, pairs: Pairs<'t, Rule>) -> Nodes {
    // The chunk rule itself, then what is in it.
    let pairs = pairs.into_iter().next().expect("a chunk is one pair").into_inner();
    match region {
        Region::Items => Nodes::Items(builder.items_of(pairs)),
        Region::Body | Region::Entries => Nodes::Entries(builder.entries_of(pairs)),
        Region::Rules => Nodes::Rules(builder.rules_of(pairs)),
        Region::Overrides => Nodes::Overrides(builder.overrides_of(pairs)),
    }
}

fn limit(source: SourceId, over: Over) -> Diagnostic {
    match over {
        Over::Nesting(at) => Code::Limit
            .error(format!("this is nested deeper than {} levels", scan::NESTING_MAX))
            .label(Span::new(source, at, at + 1), "one level too many")
            .help("brackets, values in strings, type arguments and `if`s in one entry count; name a part with `let`"),
        Over::StringLength(at) => Code::Limit
            .error("a string is at most 1 MiB long")
            .label(Span::new(source, at, at + 1), "begins here")
            .help("read it from a file: `file(\"…\")`"),
    }
}

/// A chunk that does not parse, without the inside of its last braces, and that inside on its own. `None` if the error is elsewhere.
fn take_apart<'t>(
    builder: &mut Builder<'t>,
    text: &'t str,
    region: Region,
    chunk: &Chunk,
    starts_line: bool,
    level: usize,
) -> Option<Nodes> {
    let braces = scan::last_braces(text, chunk.range.clone())?;
    let header = format!("{}{{}}", &text[chunk.range.start..braces.start]);
    let mut outer = Builder::new(builder.source());
    let pairs = Grammar::parse(start_rule(region), &header).ok()?;
    let mut nodes = build(outer.on(&header, chunk.range.start, starts_line), region, pairs);
    let hole = hole(&mut nodes, braces.start)?;
    let found_before = builder.diagnostics.len();
    let is_closed = braces.end < chunk.range.end;
    if !is_closed {
        let diagnostic = explain::not_closed(builder.source(), text, braces.start, None);
        builder.diagnostics.push(diagnostic);
    }
    let inside = parse_inside(builder, text, hole.region, braces.start + 1..braces.end, level + 1);
    if builder.diagnostics.len() == found_before {
        return None;
    }
    builder.diagnostics.append(&mut outer.diagnostics);
    hole.fill(inside, braces.end + usize::from(is_closed));
    Some(nodes)
}

fn parse_inside<'t>(builder: &mut Builder<'t>, text: &'t str, region: Region, range: Range<usize>, level: usize) -> Nodes {
    let mut all = match region {
        Region::Items => Nodes::Items(Vec::new()),
        Region::Body | Region::Entries => Nodes::Entries(Vec::new()),
        Region::Rules => Nodes::Rules(Vec::new()),
        Region::Overrides => Nodes::Overrides(Vec::new()),
    };
    for (index, chunk) in scan::split_inside(text, range).iter().enumerate() {
        match (&mut all, parse_chunk(builder, text, region, chunk, index > 0, level)) {
            (Nodes::Items(all), Nodes::Items(mut more)) => all.append(&mut more),
            (Nodes::Entries(all), Nodes::Entries(mut more)) => all.append(&mut more),
            (Nodes::Rules(all), Nodes::Rules(mut more)) => all.append(&mut more),
            (Nodes::Overrides(all), Nodes::Overrides(mut more)) => all.append(&mut more),
            _ => unreachable!("a region holds nodes of one sort"),
        }
    }
    all
}

/// The empty braces of a node, and the spans that end with them.
struct Hole<'n> {
    region: Region,
    place: PlaceFor<'n>,
    ends: Vec<&'n mut Span>,
}

enum PlaceFor<'n> {
    Items(&'n mut Vec<Item>),
    Entries(&'n mut Vec<Entry>),
    Rules(&'n mut Vec<super::tree::Rule>),
    Overrides(&'n mut Vec<Override>),
}

impl Hole<'_> {
    fn fill(self, inside: Nodes, end: usize) {
        match (self.place, inside) {
            (PlaceFor::Items(place), Nodes::Items(nodes)) => *place = nodes,
            (PlaceFor::Entries(place), Nodes::Entries(nodes)) => *place = nodes,
            (PlaceFor::Rules(place), Nodes::Rules(nodes)) => *place = nodes,
            (PlaceFor::Overrides(place), Nodes::Overrides(nodes)) => *place = nodes,
            _ => unreachable!("the inside was parsed for this place"),
        }
        for span in self.ends {
            span.end = end as u32;
        }
    }
}

fn hole(nodes: &mut Nodes, at: usize) -> Option<Hole<'_>> {
    let mut hole = match nodes {
        Nodes::Items(items) => hole_of_item(items.last_mut()?)?,
        Nodes::Entries(entries) => {
            let Entry { kind, span, .. } = entries.last_mut()?;
            hole_of_entry(kind)?.ending(span)
        }
        Nodes::Rules(rules) => {
            let super::tree::Rule { kind, span, .. } = rules.last_mut()?;
            match kind {
                RuleKind::Entry(kind) => hole_of_entry(kind)?,
                RuleKind::Each { rules, .. } | RuleKind::Step { rules, .. } => in_rules(rules),
                RuleKind::Given(items) => in_items(items),
                RuleKind::Expect(expr) => hole_of_expr(expr)?,
                RuleKind::Require(_) => return None,
            }
            .ending(span)
        }
        Nodes::Overrides(overrides) => {
            let Override { body, span, .. } = overrides.last_mut()?;
            in_body(body, Region::Entries).ending(span)
        }
    };
    // The empty braces have to be those that were emptied, not others that happen to be the last.
    hole.ends.first_mut().is_some_and(|span| span.start as usize == at).then_some(hole)
}

fn hole_of_item(item: &mut Item) -> Option<Hole<'_>> {
    let Item { kind, span, .. } = item;
    let hole = match kind {
        ItemKind::Stack(named) | ItemKind::Environment(named) | ItemKind::Secret(named) => {
            in_body(&mut named.body, Region::Entries)
        }
        ItemKind::Provider(provider) => in_body(&mut provider.body, Region::Entries),
        ItemKind::Rollout(rollout) => in_body(&mut rollout.body, Region::Entries),
        ItemKind::Moved(body) | ItemKind::Adopt(body) | ItemKind::Forget(body) => in_body(body, Region::Entries),
        ItemKind::Instance(instance) => in_body(&mut instance.body, Region::Body),
        ItemKind::Resource(resource) => in_body(&mut resource.body, Region::Body),
        ItemKind::Component(component) => in_items(&mut component.items),
        ItemKind::On(on) => in_items(&mut on.items),
        ItemKind::If(If { branches, otherwise }) => match otherwise {
            Some(items) => in_items(items),
            None => in_items(&mut branches.last_mut()?.1),
        },
        ItemKind::Policy(policy) => in_rules(&mut policy.rules),
        ItemKind::Test(test) => in_rules(&mut test.rules),
        ItemKind::Let(it) => hole_of_expr(&mut it.value)?,
        _ => return None,
    };
    Some(hole.ending(span))
}

fn hole_of_entry(kind: &mut EntryKind) -> Option<Hole<'_>> {
    match kind {
        EntryKind::Field { value, .. } => hole_of_expr(value),
        EntryKind::Block(block) => Some(in_body(&mut block.body, Region::Entries)),
        EntryKind::On(on) => {
            let place = PlaceFor::Overrides(&mut on.overrides);
            Some(Hole { region: Region::Overrides, place, ends: vec![&mut on.braces] })
        }
        EntryKind::Spread(_) | EntryKind::Require(_) | EntryKind::Error(_) => None,
    }
}

fn hole_of_expr(expr: &mut Expr) -> Option<Hole<'_>> {
    let Expr { kind, span } = expr;
    match kind {
        ExprKind::Object(body) | ExprKind::Variant { body, .. } => Some(in_body(body, Region::Entries).ending(span)),
        _ => None,
    }
}

fn in_body(body: &mut Body, region: Region) -> Hole<'_> {
    Hole { region, place: PlaceFor::Entries(&mut body.entries), ends: vec![&mut body.span] }
}

fn in_items(items: &mut Items) -> Hole<'_> {
    Hole { region: Region::Items, place: PlaceFor::Items(&mut items.items), ends: vec![&mut items.span] }
}

fn in_rules(rules: &mut Rules) -> Hole<'_> {
    Hole { region: Region::Rules, place: PlaceFor::Rules(&mut rules.rules), ends: vec![&mut rules.span] }
}

impl<'n> Hole<'n> {
    fn ending(mut self, span: &'n mut Span) -> Self {
        self.ends.push(span);
        self
    }
}

/// What stands for a chunk that does not parse.
fn error_node(source: SourceId, text: &str, region: Region, range: &Range<usize>) -> Nodes {
    let tokens = scan::tokens(text, explain::first_line(text, range.clone()));
    let start = tokens.first().map_or(range.start, |token| token.start);
    let end = range.start + text[range.clone()].trim_end().len();
    let span = Span::new(source, start, end.max(start));
    let words: Vec<Name> = tokens
        .iter()
        .map(|token| (token, &text[token.start..token.end]))
        .filter(|(_, word)| *word != ".")
        .take_while(|(_, word)| word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !word.ends_with('"'))
        .map(|(token, word)| Spanned::new(word.into(), Span::new(source, token.start, token.end)))
        .take(8)
        .collect();
    match region {
        Region::Items => {
            let kind = ItemKind::Error(Broken { words });
            Nodes::Items(vec![Item { doc: None, kind, span }])
        }
        Region::Body | Region::Entries => {
            Nodes::Entries(vec![Entry { doc: None, kind: EntryKind::Error(words.into_iter().next()), span }])
        }
        Region::Rules => {
            let kind = RuleKind::Entry(EntryKind::Error(words.into_iter().next()));
            Nodes::Rules(vec![super::tree::Rule { doc: None, kind, span }])
        }
        Region::Overrides => Nodes::Overrides(Vec::new()),
    }
}
