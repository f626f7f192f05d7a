//! Where a value comes from: from an attribute of a resource back through the program, one step a place in the source.

mod parts;

use std::collections::BTreeSet;

use self::parts::{bodies, children, entry, instance_of, instances, lets, narrowed, parts, resources, secrets, spreads};
use crate::lang::program::{Body, Component, Each, Instance, Program, Resource};
use crate::model::expr::{Expr, ExprKind, Member, Reference, Scope};
use crate::model::{Address, Code, Data, Desired, DesiredResource, Diagnostic, Name, Origin, Span, Value};

/// One step on the way from a value to its sources. `depth` counts from the attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub depth: usize,
    /// What stands there: `input.env of service.api`, `output url of database.main`.
    pub what: String,
    pub span: Span,
}

/// An attribute, what it is, and where that comes from.
#[derive(Clone, Debug)]
pub struct Why {
    pub resource: Address,
    pub field: Option<String>,
    pub value: Option<Value>,
    pub steps: Vec<Step>,
    /// What the resource waits for, in words, with the place that says so.
    pub waits: Vec<(String, Span)>,
    pub declared: Span,
    pub called: Span,
}

/// Steps are followed no further than this.
const DEPTH_MAX: usize = 24;

/// Explains `ADDRESS` or `ADDRESS.field`.
///
/// Errors: [`Code::UnknownName`] naming what is near.
pub fn why(program: &Program, desired: &Desired, what: &str) -> Result<Why, Box<Diagnostic>> {
    if let Some(found) = of_instance(program, desired, what) {
        return Ok(found);
    }
    let (resource, field) = find(desired, what)?;
    let attribute: Option<Name> = field.as_deref().map(|field| field.split(['.', '[']).next().unwrap_or(field).into());
    let value = match (&attribute, &field) {
        (Some(name), Some(field)) => match resource.attributes.get(name) {
            Some(value) => Some(inner(value, &field[name.len()..]).unwrap_or(value).clone()),
            None => return Err(Box::new(no_field(resource, name))),
        },
        _ => None,
    };
    let mut walk = Walk { program, desired, steps: Vec::new(), seen: BTreeSet::new(), each: Vec::new() };
    if let Some(found) = walk.locate(resource) {
        match &attribute {
            Some(name) => walk.attribute(&found, name, field.as_deref().unwrap_or(name), 0),
            None => walk.head(&found),
        }
    }
    let waits = resource.edges.iter().map(|edge| {
        let how = match edge.reason {
            crate::model::EdgeReason::Reference => "uses an attribute of it",
            crate::model::EdgeReason::Instance => "reads an output of its instance; order only",
            crate::model::EdgeReason::After => "lifecycle.after",
        };
        (format!("{} ({how})", edge.to), edge.span)
    });
    Ok(Why {
        resource: resource.address.clone(),
        field,
        value,
        steps: walk.steps,
        waits: waits.collect(),
        declared: resource.span,
        called: resource.called_at,
    })
}

/// `ADDRESS.input` or `ADDRESS.output` of an instance. `None` where `what` is something else.
fn of_instance<'p>(program: &'p Program, desired: &'p Desired, what: &str) -> Option<Why> {
    let (address, field) = what.rsplit_once('.')?;
    let within = |it: &&DesiredResource| {
        let own = it.instance.as_str();
        own == address
            || own.strip_prefix(address).is_some_and(|rest| rest.starts_with('/'))
            || it.address.as_str().strip_prefix(address).is_some_and(|rest| rest.starts_with('/'))
    };
    let resource = desired.resources.iter().find(within)?;
    let mut walk = Walk { program, desired, steps: Vec::new(), seen: BTreeSet::new(), each: Vec::new() };
    let mut place = walk.root();
    let depth = Address::parse(address)?.segments().len();
    let whole = resource.address.segments();
    let (last, outer) = whole.get(..depth)?.split_last()?;
    for segment in outer {
        let (kind, name) = parts(segment)?;
        place = walk.enter(&place, kind, name, &resource.provider.ty)?;
    }
    let (kind, name) = parts(last)?;
    let inside = walk.enter(&place, kind, name, &resource.provider.ty)?;
    let component = inside.component?;
    let field: Name = field.into();
    if component.inputs.iter().any(|it| it.name == field) {
        walk.step(0, format!("input.{field} of {address}"), inside.instance.as_ref()?.0.span);
        walk.input(&field, &inside, 1);
    } else if component.outputs.iter().any(|it| it.name == field) {
        walk.output(&inside, "output", &field, kind, name, 0);
    } else {
        return None;
    }
    let span = inside.instance.as_ref()?.0.span;
    Some(Why {
        resource: Address::parse(address)?,
        field: Some(field.to_string()),
        value: None,
        steps: walk.steps,
        waits: Vec::new(),
        declared: span,
        called: span,
    })
}

/// The longest address that `what` begins with, and the field after it.
fn find<'d>(desired: &'d Desired, what: &str) -> Result<(&'d DesiredResource, Option<String>), Box<Diagnostic>> {
    let mut found: Option<(&DesiredResource, Option<String>)> = None;
    for resource in &desired.resources {
        let address = resource.address.as_str();
        let field = match what.strip_prefix(address) {
            Some("") => None,
            Some(rest) if rest.starts_with('.') => Some(rest[1..].to_owned()),
            _ => continue,
        };
        if found.as_ref().is_none_or(|(it, _)| it.address.as_str().len() < address.len()) {
            found = Some((resource, field));
        }
    }
    found.ok_or_else(|| {
        let text = format!("there is no resource `{what}`");
        let inside: Vec<&str> =
            desired.resources.iter().filter(|it| it.instance.as_str() == what).map(|it| it.address.as_str()).collect();
        let near = super::nearest(what, desired.resources.iter().map(|it| it.address.as_str()));
        let help = match (&inside[..], near) {
            ([], Some(near)) => Some(format!("write `{near}`")),
            ([], None) => None,
            (inside, _) => {
                Some(format!("it has {}", inside.iter().take(6).map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")))
            }
        };
        Box::new(Code::UnknownName.error(text).helps(help))
    })
}

fn no_field(resource: &DesiredResource, name: &str) -> Diagnostic {
    if let Some(attribute) = resource.kind.attribute(name) {
        let text = match attribute.is_input() {
            true => format!("the source does not set `{name}` of `{}`", resource.address),
            false => format!("`{name}` of `{}` is computed by {}", resource.address, resource.kind.provider()),
        };
        return Code::UnknownName.error(text).help(format!("`stackwright show '{}'` has its value", resource.address));
    }
    let names = resource.kind.attributes.iter().map(|it| &*it.name);
    let near = super::nearest(name, names).map(|it| format!("write `{}.{it}`", resource.address));
    Code::UnknownName.error(format!("`{}` has no attribute `{name}`", resource.kind.name)).helps(near)
}

/// The value at `.a["b"][0]` inside of another.
fn inner<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let mut value = value;
    for step in path.split(['.', '[', ']', '"']).filter(|step| !step.is_empty()) {
        value = match &value.data {
            Data::Map(fields) => fields.get(step)?,
            Data::List(items) => items.get(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

/// A body of the program, and the instance that it is the lowering of.
#[derive(Clone)]
struct Place<'p> {
    bodies: Vec<&'p Body>,
    component: Option<&'p Component>,
    /// What made it, and where that stands.
    instance: Option<(&'p Instance, Box<Place<'p>>)>,
    address: String,
    /// Whose `let`s at file level are seen: a place in [`Program::directories`].
    directory: u32,
}

struct Walk<'p> {
    program: &'p Program,
    /// What it amounts to here: where values of inputs come from.
    desired: &'p Desired,
    steps: Vec<Step>,
    seen: BTreeSet<(String, String)>,
    /// What the variables of the head that surrounds the expression run over.
    each: Vec<&'p Each>,
}

struct Located<'p> {
    place: Place<'p>,
    resource: &'p Resource,
}

impl<'p> Walk<'p> {
    fn locate(&self, desired: &DesiredResource) -> Option<Located<'p>> {
        let mut place = self.root();
        let segments = desired.address.segments();
        let (last, outer) = segments.split_last()?;
        for segment in outer {
            let (kind, name) = parts(segment)?;
            place = self.enter(&place, kind, name, &desired.provider.ty)?;
        }
        let (kind, name) = parts(last)?;
        let resource = resources(&place.bodies).find(|it| *it.kind.name == *kind && *it.name == *name)?;
        Some(Located { place, resource })
    }

    fn root(&self) -> Place<'p> {
        Place { bodies: vec![&self.program.body], component: None, instance: None, address: String::new(), directory: 0 }
    }

    /// The lowering of the instance `kind.name` of a place.
    fn enter(&self, place: &Place<'p>, kind: &str, name: &str, provider: &str) -> Option<Place<'p>> {
        let instance = instances(&place.bodies).find(|it| *it.kind == *kind && *it.name == *name)?;
        let component: &Component = self.program.components.get(&instance.kind)?;
        let mut bodies = vec![&component.body];
        bodies.extend(component.clauses.iter().filter(|clause| *clause.provider == *provider).map(|clause| &clause.body));
        if bodies.len() == 1 {
            bodies.extend(component.clauses.iter().map(|clause| &clause.body));
        }
        let address =
            if place.address.is_empty() { format!("{kind}.{name}") } else { format!("{}/{kind}.{name}", place.address) };
        Some(Place {
            bodies,
            component: Some(component),
            instance: Some((instance, Box::new(place.clone()))),
            address,
            directory: component.directory,
        })
    }

    fn head(&mut self, found: &Located<'p>) {
        let mut place = Some(&found.place);
        self.step(0, format!("resource {} {}", found.resource.kind.name, found.resource.name), found.resource.span);
        let mut depth = 1;
        while let Some((instance, around)) = place.and_then(|place| place.instance.as_ref()) {
            // `net.vpc main`, where the address has `modules:net:vpc.main`.
            let written = self.program.sources.text(instance.span);
            self.step(depth, written.split_whitespace().collect::<Vec<_>>().join(" "), instance.span);
            depth += 1;
            place = Some(around);
        }
    }

    fn attribute(&mut self, found: &Located<'p>, name: &str, path: &str, depth: usize) {
        let what = format!("{}.{}.{name}", found.resource.kind.name, found.resource.name);
        let inside = &path[name.len()..];
        let overridden = self.overrides(found, name, depth);
        match entry(&found.resource.fields, name) {
            Some(expr) => {
                let expr = narrowed(expr, inside);
                self.step(depth, what, expr.span);
                self.within(found.resource.head.each.as_ref(), |walk| walk.expr(expr, &found.place, depth + 1));
            }
            None => {
                let spreads = spreads(&found.resource.fields);
                if spreads.is_empty() && !overridden {
                    return self.step(depth, format!("{what}, by default"), found.resource.span);
                }
                for expr in spreads {
                    self.step(depth, format!("{what}, from a spread"), expr.span);
                    self.within(found.resource.head.each.as_ref(), |walk| walk.expr(expr, &found.place, depth + 1));
                }
            }
        }
    }

    /// What the instances around a resource lay over its lowering. Whether there was something.
    fn overrides(&mut self, found: &Located<'p>, name: &str, depth: usize) -> bool {
        let Some((instance, around)) = &found.place.instance else { return false };
        let mut any = false;
        for laid in
            instance.overrides.iter().filter(|it| it.kind.name == found.resource.kind.name && it.name == found.resource.name)
        {
            for (_, expr, span) in laid.fields.iter().filter(|(field, ..)| **field == *name) {
                any = true;
                self.step(depth, format!("{name}, laid over it by {}", found.place.address), *span);
                self.within(instance.head.each.as_ref(), |walk| walk.expr(expr, around, depth + 1));
            }
        }
        any
    }

    /// Follows something whose variables are those of this head.
    fn within(&mut self, each: Option<&'p Each>, follow: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.each, each.into_iter().collect());
        follow(self);
        self.each = outer;
    }

    fn step(&mut self, depth: usize, what: String, span: Span) {
        self.steps.push(Step { depth, what, span });
    }

    /// Follows every name in an expression.
    fn expr(&mut self, expr: &'p Expr, place: &Place<'p>, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        match &expr.kind {
            ExprKind::Name(reference) => self.reference(reference, expr.span, place, depth),
            ExprKind::Local(slot) => {
                let binds = |each: &&&'p Each| each.value == *slot || each.key == Some(*slot);
                if let Some(each) = self.each.iter().find(binds).copied()
                    && self.seen.insert(("for".into(), format!("{:?}", each.span)))
                {
                    self.step(depth, "an element of what `for` runs over".into(), each.span);
                    self.expr(&each.over, place, depth + 1);
                }
            }
            ExprKind::Call(id, arguments) => {
                let Some(function) = self.program.functions.get(*id as usize) else { return };
                if self.seen.insert((format!("fn {}", function.name), format!("{:?}", expr.span))) {
                    self.step(depth, format!("fn {}", function.name), expr.span);
                    let inside = Place { directory: function.directory, bodies: Vec::new(), ..self.root() };
                    self.within(None, |walk| walk.expr(&function.body, &inside, depth + 1));
                }
                arguments.iter().for_each(|argument| self.expr(argument, place, depth + 1));
            }
            ExprKind::Member { of, member, .. } => self.member(of, member, expr.span, place, depth),
            _ => children(expr).into_iter().for_each(|child| self.expr(child, place, depth)),
        }
    }

    fn reference(&mut self, reference: &'p Reference, span: Span, place: &Place<'p>, depth: usize) {
        let of = if place.address.is_empty() { String::new() } else { format!(" of {}", place.address) };
        let what = match reference {
            Reference::Input(name) => format!("input.{name}{of}"),
            Reference::Let(_, name) => format!("let {name}{of}"),
            Reference::Secret { name, .. } => format!("secret.{name}{of}"),
            Reference::Resource { kind, name } => format!("{kind}.{name}{of}"),
            Reference::Instance { kind, name } => format!("{kind}.{name}"),
            Reference::Env(name) => format!("env.{name}"),
            Reference::Stack(name) => format!("stack.{name}"),
            Reference::ProviderField(name) => format!("provider.{name}"),
            Reference::StackOutput { stack, output } => {
                let alias = self.program.stacks.get(*stack as usize).map(|it| it.alias.clone()).unwrap_or_default();
                format!("{alias}.{output}")
            }
            _ => return,
        };
        if !self.seen.insert((what.clone(), format!("{span:?}"))) {
            return;
        }
        self.step(depth, what, span);
        match reference {
            Reference::Input(name) => self.input(name, place, depth + 1),
            Reference::Let(scope, name) => {
                let directory = match scope {
                    Scope::Here => None,
                    Scope::File => Some(place.directory),
                    Scope::Library => Some(1),
                    Scope::Import(at) => Some(*at),
                };
                let program = self.program;
                let found = match directory {
                    None => lets(&place.bodies).find(|(it, _)| *it == name).map(|(_, value)| (value, place.clone())),
                    Some(at) => {
                        let of = program.directories.get(at as usize).and_then(|lets| lets.iter().find(|it| it.name == *name));
                        let root = self.root();
                        let bodies = if at == 0 { root.bodies.clone() } else { Vec::new() };
                        of.map(|it| (&it.value, Place { directory: at, bodies, ..root }))
                    }
                };
                if let Some((value, inside)) = found {
                    self.step(depth + 1, format!("let {name} = …"), value.span);
                    self.within(None, |walk| walk.expr(value, &inside, depth + 2));
                }
            }
            Reference::Secret { name, .. } => {
                if let Some(span) = secrets(&place.bodies).find(|(it, _)| *it == name).map(|(_, span)| span) {
                    self.step(depth + 1, format!("secret {name}"), span);
                }
            }
            Reference::StackOutput { stack, output } => {
                let stack = self.program.stacks.get(*stack as usize);
                if let Some((name, span)) = stack.and_then(|it| Some((&it.name, it.outputs.get(output)?.span))) {
                    self.step(depth + 1, format!("output {output} of stack {name}, last applied"), span);
                }
            }
            _ => {}
        }
    }

    /// An input of a component: what its caller gives; of the stack: where it is declared.
    fn input(&mut self, name: &Name, place: &Place<'p>, depth: usize) {
        match &place.instance {
            Some((instance, around)) => match instance.inputs.iter().find(|(it, _, _)| it == name) {
                Some((_, expr, span)) => {
                    self.step(depth, format!("{name} = … in {}", place.address), *span);
                    let (instance, around) = (*instance, around.clone());
                    self.within(instance.head.each.as_ref(), |walk| walk.expr(expr, &around, depth + 1));
                }
                None => {
                    let declared = place.component.and_then(|it| it.inputs.iter().find(|it| it.name == *name)).map(|it| it.span);
                    if let Some(span) = declared {
                        self.step(depth, format!("the default of input {name}"), span);
                    }
                    let default = place.component.and_then(|it| it.inputs.iter().find(|it| it.name == *name)?.default.as_ref());
                    if let Some(default) = default {
                        self.within(None, |walk| walk.expr(default, place, depth + 1));
                    }
                }
            },
            None => self.input_of_stack(name, depth),
        }
    }

    /// Where an input of the stack is declared, and who gives it its value.
    fn input_of_stack(&mut self, name: &Name, depth: usize) {
        let program = self.program;
        let Some(input) = program.inputs.iter().find(|it| it.name == *name) else { return };
        self.step(depth, format!("input {name}, of the stack"), input.span);
        let origin = self.desired.inputs.iter().find(|(it, _)| it == name).map(|(_, value)| value.mark.origin);
        if let Some(origin) = origin.filter(|it| program.sources.get(it.source).is_some_and(|it| it.origin == Origin::Given)) {
            return self.step(depth + 1, "given from outside".into(), origin);
        }
        let environment = program.environments.iter().find(|it| *it.name == *self.desired.environment);
        let given = environment.and_then(|it| it.inputs.iter().find(|(it, _)| it == name));
        let (what, expr) = match (given, &input.default) {
            (Some((_, expr)), _) => (format!("{name} = … in environment {}", self.desired.environment), expr),
            (None, Some(default)) => (format!("the default of input {name}"), default),
            (None, None) => return,
        };
        self.step(depth + 1, what, expr.span);
        let root = self.root();
        self.within(None, |walk| walk.expr(expr, &root, depth + 2));
    }

    fn member(&mut self, of: &'p Expr, member: &'p Member, span: Span, place: &Place<'p>, depth: usize) {
        let Some((kind, name)) = instance_of(of) else {
            return self.expr(of, place, depth);
        };
        let (word, field) = match member {
            Member::Output(field) => ("output", field),
            Member::Signal(field, _) => ("signal", field),
            Member::Input(field) => ("input", field),
            Member::Address | Member::Provider | Member::Uses | Member::UsedBy | Member::Reaches(_) => {
                return self.step(depth, format!("{kind}.{name}"), span);
            }
        };
        self.step(depth, format!("{kind}.{name}.{field}"), span);
        let Some(instance) = instances(&place.bodies).find(|it| *it.kind == **kind && *it.name == **name) else { return };
        let Some(component) = self.program.components.get(&instance.kind) else { return };
        for provider in
            component.clauses.iter().map(|clause| &*clause.provider).chain((component.clauses.is_empty()).then_some(""))
        {
            let Some(inside) = self.enter(place, kind, name, provider) else { continue };
            if word == "input" {
                return self.input(field, &inside, depth + 1);
            }
            self.output(&inside, word, field, kind, name, depth + 1);
        }
    }

    /// Where an output or signal of an instance is given its value.
    fn output(&mut self, inside: &Place<'p>, word: &str, field: &Name, kind: &str, name: &str, depth: usize) {
        let values = inside.bodies.iter().flat_map(|body| bodies(body));
        let outputs = values.flat_map(|body| {
            let outputs = body.outputs.iter().map(|it| (&it.name, &it.value, it.span));
            outputs.chain(body.signals.iter().map(|it| (&it.name, &it.value, it.span)))
        });
        for (_, value, at) in outputs.filter(|(it, _, _)| *it == field).collect::<Vec<_>>() {
            if self.seen.insert((format!("{word} {field} of {}", inside.address), format!("{at:?}"))) {
                self.step(depth, format!("{word} {field} of {kind}.{name}"), at);
                self.within(None, |walk| walk.expr(value, inside, depth + 1));
            }
        }
    }
}
