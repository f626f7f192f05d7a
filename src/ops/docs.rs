//! `docs`: what declarations say of themselves. Kinds and types of the standard library and of the stack, resources and providers
//! from their schemas, built-in functions from their table. One shape for all of it; faces print it.

use std::sync::Arc;

use super::explain;
use super::project;
use super::settings::Settings;
use crate::lang;
use crate::lang::program::{Component, Program};
use crate::lang::syntax::tree;
use crate::model::expr::Expr;
use crate::model::schema::{Attribute, Given, Kind, OnChange, ProviderSchema};
use crate::model::{Code, Diagnostic, Origin, Schemas, Sources, Span, Value};
use crate::providers::registry;

/// One thing that has documentation.
#[derive(Clone, Debug)]
pub struct Page {
    /// As it is written: `service`, `fly.machine`, `upper`.
    pub name: String,
    pub what: Topic,
    /// How it is written, where that says more than the name.
    pub signature: Option<String>,
    /// Sentences; the first stands alone in a list.
    pub doc: String,
    /// Facts about the whole, a sentence each.
    pub facts: Vec<String>,
    pub sections: Vec<Section>,
    /// An expression and what it gives.
    pub example: Option<(String, String)>,
}

/// What sorts of things there are, in the order of a list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Topic {
    Kind,
    Type,
    Provider,
    Resource,
    Data,
    Function,
}

impl Topic {
    pub fn word(self) -> &'static str {
        match self {
            Topic::Kind => "kind",
            Topic::Type => "type",
            Topic::Provider => "provider",
            Topic::Resource => "resource",
            Topic::Data => "data",
            Topic::Function => "function",
        }
    }

    /// The word above a list of them.
    pub fn plural(self) -> &'static str {
        match self {
            Topic::Kind => "kinds",
            Topic::Type => "types",
            Topic::Provider => "providers",
            Topic::Resource => "resources",
            Topic::Data => "resources that are read",
            Topic::Function => "functions",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Section {
    /// `inputs`, `outputs`, `signals`, `attributes`, `computed`, `settings`.
    pub title: &'static str,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub ty: String,
    /// As it would be written.
    pub default: Option<String>,
    /// `required`, `sensitive`, `forces replacement: fly cannot move a volume`.
    pub marks: Vec<String>,
    pub doc: String,
}

impl Page {
    /// The first sentence.
    pub fn summary(&self) -> &str {
        first_sentence(&self.doc)
    }
}

/// Everything that has documentation: by topic, then by name. What the stack of `settings` defines is in it, if there is a stack
/// without errors.
pub fn all(settings: &Settings) -> Vec<Page> {
    let schemas = Arc::new(registry::schemas());
    let own = project::check(settings, schemas.clone(), Sources::default());
    let program = own.program.unwrap_or_else(|| library(&schemas));
    pages(&program, &schemas)
}

/// The same without a stack: what is there on every machine.
pub fn everywhere() -> Vec<Page> {
    let schemas = Arc::new(registry::schemas());
    pages(&library(&schemas), &schemas)
}

fn library(schemas: &Arc<Schemas>) -> Arc<Program> {
    let text = "stack empty { language = 1 }\n".to_owned();
    let checked = lang::load(Sources::default(), vec![("empty.stack".into(), text)], schemas.clone());
    checked.program.expect("the standard library has no errors")
}

fn pages(program: &Program, schemas: &Schemas) -> Vec<Page> {
    let sources = &program.sources;
    let mut pages: Vec<Page> = program.components.values().map(|it| kind(it, sources)).collect();
    pages.extend(types(sources));
    for schema in schemas.providers.values() {
        pages.push(provider(schema));
        pages.extend(schema.kinds.values().map(|kind| resource(kind, schema)));
    }
    pages.extend(explain::functions().into_iter().map(|it| Page {
        name: it.signature.split('(').next().unwrap_or(&it.signature).to_owned(),
        what: Topic::Function,
        signature: Some(it.signature),
        doc: it.doc.to_owned(),
        facts: Vec::new(),
        sections: Vec::new(),
        example: Some((it.example.0.to_owned(), it.example.1.to_owned())),
    }));
    pages.sort_by(|a, b| (a.what, &a.name).cmp(&(b.what, &b.name)));
    pages
}

/// The pages of that name; or all of one topic: `kinds`, `functions`.
///
/// Errors: [`Code::Usage`] naming what is near.
pub fn named(pages: Vec<Page>, name: &str) -> Result<Vec<Page>, Box<Diagnostic>> {
    let of = |fits: &dyn Fn(&Page) -> bool| pages.iter().filter(|it| fits(it)).cloned().collect::<Vec<_>>();
    let exact = of(&|it| it.name == name);
    if !exact.is_empty() {
        return Ok(exact);
    }
    let topic = of(&|it| it.what.plural() == name || it.what.word() == name);
    if !topic.is_empty() {
        return Ok(topic);
    }
    let diagnostic = Code::Usage.error(format!("there is nothing called `{name}`"));
    let mut near: Vec<(usize, &str)> = pages
        .iter()
        .map(|it| (strsim::osa_distance(name, &it.name).min(strsim::osa_distance(name, last_part(&it.name))), &*it.name))
        .filter(|(distance, it)| *distance <= 1 + name.len().min(it.len()) / 4)
        .collect();
    near.sort();
    near.dedup();
    let listed: Vec<String> = near.iter().take(3).map(|(_, it)| format!("`{it}`")).collect();
    let near = (!listed.is_empty()).then(|| format!("names near it: {}", listed.join(", ")));
    Err(Box::new(diagnostic.helps(near).help("`stackwright docs` lists everything")))
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

// ---- kinds and types --------------------------------------------------------------------------------------------------------

fn kind(component: &Component, sources: &Sources) -> Page {
    let inputs = component.inputs.iter().map(|it| {
        let mut marks = Vec::new();
        if it.default.is_none() && !matches!(it.ty, crate::model::Type::Optional(_)) {
            marks.push("required".to_owned());
        }
        Row {
            name: it.name.to_string(),
            ty: declared_type(it.span, it.default.as_ref(), sources).unwrap_or_else(|| it.ty.to_string()),
            default: it.default.as_ref().map(|default| source(default, sources)),
            marks,
            doc: text(it.doc.as_deref()),
        }
    });
    let outputs = component.outputs.iter().map(|it| {
        let within = it.within.as_ref().map(|expr| format!("within {}", source(expr, sources)));
        let cond = it.cond.as_ref().map(|expr| format!("if {}", source(expr, sources)));
        Row {
            name: it.name.to_string(),
            ty: it.ty.to_string(),
            default: None,
            marks: within.into_iter().chain(cond).collect(),
            doc: text(it.doc.as_deref()),
        }
    });
    let signals = component.signals.iter().map(|it| Row {
        name: it.name.to_string(),
        ty: it.ty.to_string(),
        default: None,
        marks: it.window.as_ref().map(|window| format!("window = {}", source(window, sources))).into_iter().collect(),
        doc: text(it.doc.as_deref()),
    });
    let sections = [("inputs", inputs.collect()), ("outputs", outputs.collect()), ("signals", signals.collect())];
    let places: Vec<String> = component.clauses.iter().map(|it| format!("`{}`", it.provider)).collect();
    let mut facts = Vec::new();
    if !places.is_empty() {
        facts.push(format!("Runs on {}.", places.join(", ")));
    }
    if let Some(place) = sources.place(component.span).filter(|it| it.origin == Origin::File) {
        facts.push(format!("Defined in {}:{}.", place.file, place.line));
    }
    Page {
        name: component.kind.to_string(),
        what: Topic::Kind,
        signature: Some(format!("{} NAME {{ … }}", component.kind)),
        doc: text(component.doc.as_deref()),
        facts,
        sections: with_rows(sections),
        example: None,
    }
}

/// Named types of the library and of the stack's files.
fn types(sources: &Sources) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    for (id, from) in sources.iter().filter(|(_, it)| it.origin != Origin::Given) {
        for item in lang::syntax::parse(id, &from.text).file.items {
            let tree::ItemKind::Type(it) = &item.kind else { continue };
            pages.push(Page {
                name: it.name.node.to_string(),
                what: Topic::Type,
                signature: Some(sources.text(item.span).to_owned()),
                doc: text(item.doc.as_deref()),
                facts: Vec::new(),
                sections: Vec::new(),
                example: None,
            });
        }
    }
    pages
}

/// The type as it was written, from `name: T = default`.
fn declared_type(span: Span, default: Option<&Expr>, sources: &Sources) -> Option<String> {
    let whole = sources.text(span);
    let (_, rest) = whole.split_once(':')?;
    let rest = match default.filter(|it| it.span.source == span.source && it.span.start > span.start) {
        Some(default) => {
            let end = (default.span.start - span.start) as usize;
            whole.get(whole.len() - rest.len()..end)?.trim_end().strip_suffix('=')?
        }
        None if default.is_some() => return None,
        None => rest,
    };
    Some(one_line(rest))
}

fn source(expr: &Expr, sources: &Sources) -> String {
    match sources.text(expr.span) {
        "" => match &expr.kind {
            crate::model::ExprKind::Literal(value) => Value::to_literal(value),
            _ => "…".into(),
        },
        text => one_line(text),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

// ---- providers --------------------------------------------------------------------------------------------------------------

fn provider(schema: &ProviderSchema) -> Page {
    let settings = schema.settings.iter().map(row).collect();
    let kinds: Vec<String> = schema.kinds.values().map(|it| format!("`{}`", it.name)).collect();
    Page {
        name: schema.name.to_string(),
        what: Topic::Provider,
        signature: Some(match schema.settings.is_empty() {
            true => format!("on = {}", schema.name),
            false => format!("provider {} {{ … }}", schema.name),
        }),
        doc: schema.doc.to_owned(),
        facts: vec![format!("Its kinds: {}.", kinds.join(", "))],
        sections: with_rows([("settings", settings)]),
        example: None,
    }
}

fn resource(kind: &Kind, schema: &ProviderSchema) -> Page {
    let (given, computed): (Vec<&Attribute>, Vec<&Attribute>) = kind.attributes.iter().partition(|it| it.is_input());
    let mut facts = Vec::new();
    let identity: Vec<String> = kind.identity.iter().map(|it| format!("`{it}`")).collect();
    if !identity.is_empty() {
        facts.push(format!("Known on the platform by {}.", identity.join(" and ")));
    }
    if kind.holds_data {
        facts.push("Holds data: destroying it asks to be confirmed.".into());
    }
    if kind.act {
        facts.push("An act: it runs, and runs again when `replace_on` changes.".into());
    } else if !kind.updatable && !kind.data && !kind.stored {
        facts.push("Cannot be updated: every change replaces it.".into());
    }
    if kind.stored {
        facts.push("Kept in state only: there is nothing on a platform.".into());
    }
    let word = if kind.data { "data" } else { "resource" };
    Page {
        name: kind.name.to_string(),
        what: if kind.data { Topic::Data } else { Topic::Resource },
        signature: Some(format!("{word} {} NAME {{ … }}", kind.name)),
        doc: kind.doc.to_owned(),
        facts,
        sections: with_rows([
            ("attributes", given.into_iter().map(|it| with_reason(row(it), it, schema)).collect()),
            ("computed", computed.into_iter().map(row).collect()),
        ]),
        example: None,
    }
}

fn row(attribute: &Attribute) -> Row {
    let mut marks = Vec::new();
    let mut default = None;
    match &attribute.given {
        Given::Required if attribute.naming.is_some() => marks.push("made up where it is left out".to_owned()),
        Given::Required => marks.push("required".into()),
        Given::Optional | Given::Computed => {}
        Given::Default(value) => default = Some(value.to_literal()),
        Given::OptionalComputed => marks.push("chosen by the platform where it is left out".into()),
        Given::Live => marks.push("changes by itself".into()),
    }
    if attribute.sensitive {
        marks.push("sensitive".into());
    }
    Row { name: attribute.name.to_string(), ty: attribute.ty.to_string(), default, marks, doc: attribute.doc.to_owned() }
}

fn with_reason(mut row: Row, attribute: &Attribute, schema: &ProviderSchema) -> Row {
    match attribute.on_change {
        OnChange::Update => {}
        OnChange::Replace(why) => row.marks.push(format!("a change replaces it: {} cannot {why}", schema.name)),
        OnChange::GrowOnly(why) => row.marks.push(format!("a smaller value replaces it: {} cannot {why}", schema.name)),
    }
    row
}

fn with_rows<const N: usize>(sections: [(&'static str, Vec<Row>); N]) -> Vec<Section> {
    let all = sections.into_iter().map(|(title, rows)| Section { title, rows });
    all.filter(|section| !section.rows.is_empty()).collect()
}

fn text(doc: Option<&str>) -> String {
    doc.unwrap_or("").split('\n').map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn first_sentence(text: &str) -> &str {
    let end = text.find(". ").map_or(text.len(), |at| at + 1);
    &text[..end]
}
