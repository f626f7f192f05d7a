//! What other stacks, and other environments of this one, gave out: values as they were last applied.
//!
//! Where nobody asked them (a check), such a value is unknown, and what would depend on it is left out in silence.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::Told;
use super::expander::{Expander, silent};
use super::frame::{Frame, set_key};
use super::place::listed;
use crate::eval::{Outcome, fit};
use crate::lang::program::{Component, Instance, OtherStack};
use crate::model::expr::{ExprKind, Member, Reference};
use crate::model::value::{Reference as InstanceRef, Unknown};
use crate::model::{
    Address, Code, Data, DesiredInstance, DesiredOutput, Diagnostic, ElsewhereRead, Expr, Fields, Name, Span, Step, Type, Value,
};

/// With what the addresses of values begin that nobody asked for. No kind is called so.
const UNASKED: &str = ":elsewhere";

/// Whether a value is unknown because nobody asked for it.
pub fn is_unasked(value: &Value) -> bool {
    let begins = |address: &Address| address.as_str().starts_with(UNASKED);
    matches!(&value.data, Data::Unknown(unknown) if unknown.waits_for.iter().any(begins))
}

/// An instance that belongs to the state of another environment.
#[derive(Clone)]
pub struct Away<'p> {
    environment: Name,
    component: &'p Component,
}

/// The name under which an output of an instance is kept among the outputs of its environment.
fn kept_as(address: &Address, output: &str) -> Name {
    format!("{address}.{output}").into()
}

/// What is kept of the instances that are `in` this environment, for the others.
pub fn outputs_for_others(all: &Expander<'_>, instances: &[DesiredInstance]) -> Vec<DesiredOutput> {
    let mut kept = Vec::new();
    for instance in instances {
        let frame = all.frames.borrow().get(&instance.address).cloned();
        let Some((decl, component)) = frame.and_then(|it| Some((it.decl?, it.component?))) else { continue };
        if decl.head.in_env.is_none() {
            continue;
        }
        for output in &component.outputs {
            if let Some(value) = instance.outputs.get(&output.name) {
                let name = kept_as(&instance.address, &output.name);
                kept.push(DesiredOutput { name, ty: output.ty.clone(), value: value.clone(), span: instance.span });
            }
        }
    }
    kept
}

impl<'p> Expander<'p> {
    /// `platform.url`.
    pub fn stack_output(&self, at: u32, output: &Name, span: Span) -> Outcome<Value> {
        let stack = self.program.stacks.get(at as usize).ok_or_else(silent)?;
        let declared = stack.outputs.get(output).ok_or_else(silent)?;
        let environment = match &stack.environment {
            Some((name, _)) => name.clone(),
            None => self.environment.name.clone(),
        };
        let command = format!("`stackwright apply --env {environment}` in `{}`", stack.path);
        if !stack.environments.contains(&environment) {
            let names: Vec<&str> = stack.environments.iter().map(|it| &**it).collect();
            let error = Code::UnknownEnvironment
                .error(format!("the stack `{}` has no environment `{environment}`", stack.name))
                .label(span, "read here")
                .label(stack.span, "imported here");
            return Err(Box::new(match names.first() {
                Some(first) => error.help(format!("it has {}: write such as `in {first}` after the import", listed(&names))),
                None => error.help("declare one there: `environment local { on = local }`"),
            }));
        }
        let Some(elsewhere) = &self.request.known.elsewhere else {
            return Ok(unasked(&format!("{}.{output}", stack.name), declared.ty.clone(), span));
        };
        let told = self.told(elsewhere.stacks.get(at as usize), span)?;
        let of = format!("the stack `{}`", stack.name);
        let value = match told.outputs.get(output) {
            Some(value) => value.clone(),
            None if told.revision > 0 && matches!(declared.ty, Type::Optional(_)) => Value::null(),
            None if elsewhere.in_test => return Err(not_given(stack, output, span)),
            None => return Err(self.not_applied(told, &of, &environment, &format!("output `{output}`"), &command, span)),
        };
        self.note_elsewhere(&stack.home, &environment, output, &value);
        fit(value.at(span), &declared.ty, span).map_err(|error| outdated(error, &of, &environment, &command))
    }

    /// The instances of an item that belong to another environment, if they do.
    pub fn away(&self, frame: &Rc<Frame<'p>>, decl: &'p Instance, component: &'p Component) -> Outcome<Option<Value>> {
        let Some((environment, _)) = &decl.head.in_env else { return Ok(None) };
        if *environment == self.environment.name {
            return Ok(None);
        }
        let set = frame.address_of(&decl.kind, &decl.name);
        let elements = self.elements(frame, &decl.head, decl.span)?;
        frame.children.borrow_mut().insert(set_key(decl), Rc::default());
        let mut references = Fields::new();
        let mut only = None;
        for element in elements.iter().flatten() {
            self.count(decl.span)?;
            let address = element.key.as_ref().map_or_else(|| set.clone(), |key| set.keyed(key));
            self.away.borrow_mut().insert(address.clone(), Away { environment: environment.clone(), component });
            let reference = Value::new(Data::Ref(Arc::new(InstanceRef { kind: decl.kind.clone(), address })), decl.span);
            match &element.key {
                Some(key) => drop(references.insert(key.clone(), reference)),
                None => only = Some(reference),
            }
        }
        Ok(Some(match (only, &elements) {
            (Some(only), _) => only,
            (None, Some(_)) if decl.head.each.is_some() => Value::new(Data::Map(Arc::new(references)), decl.span),
            _ => Value::null().at(decl.span),
        }))
    }

    /// What an instance has that belongs to another environment: its outputs, as they were last applied.
    pub fn away_member(&self, away: &Away<'p>, address: &Address, member: &Member, span: Span) -> Outcome<Value> {
        let environment = &away.environment;
        let (what, name) = match member {
            Member::Address => return Ok(Value::text(address.as_str()).at(span)),
            Member::Output(name) => return self.away_output(away, address, name, span),
            Member::Input(name) => ("its input", format!("`input.{name}`")),
            Member::Signal(name, _) => ("its signal", format!("`{name}`")),
            _ => ("that", String::new()),
        };
        let what = format!("{what} {name}");
        Err(Box::new(
            Code::UnknownName
                .error(format!("`{address}` is in `{environment}`, and {} is not known elsewhere", what.trim_end()))
                .label(span, "only outputs are read as they were last applied")
                .help("add an output for it to the component, or use it where `env.name` is that environment"),
        ))
    }

    fn away_output(&self, away: &Away<'p>, address: &Address, output: &Name, span: Span) -> Outcome<Value> {
        let environment = &away.environment;
        let declared = away.component.outputs.iter().find(|it| it.name == *output).ok_or_else(silent)?;
        let ty = match &declared.cond {
            Some(_) => declared.ty.clone().optional(),
            None => declared.ty.clone(),
        };
        let Some(elsewhere) = &self.request.known.elsewhere else {
            return Ok(unasked(&format!("{address}.{output}"), ty, span));
        };
        let told = self.told(elsewhere.environments.get(environment), span)?;
        let name = kept_as(address, output);
        let command = match elsewhere.in_test {
            true => format!("a step of the test with `environment = {environment}` and `do = \"apply\"`"),
            false => format!("`stackwright apply --env {environment}`"),
        };
        let prefix = format!("{address}.");
        let was_applied = told.outputs.keys().any(|it| it.starts_with(&prefix));
        let value = match told.outputs.get(&name) {
            Some(value) => value.clone(),
            None if was_applied && matches!(ty, Type::Optional(_)) => Value::null(),
            None => {
                let what = format!("`{address}`");
                let part = format!("its output `{output}`");
                let part = if was_applied { &*part } else { "it" };
                return Err(self.not_applied(told, &what, environment, part, &command, span));
            }
        };
        self.note_elsewhere("", environment, &name, &value);
        fit(value.at(span), &ty, span).map_err(|error| outdated(error, &format!("`{address}`"), environment, &command))
    }

    fn told<'a>(&'a self, told: Option<&'a Result<Told, Box<Diagnostic>>>, span: Span) -> Outcome<&'a Told> {
        static NEVER: Told = Told { revision: 0, outputs: Fields::new() };
        match told {
            Some(Ok(told)) => Ok(told),
            Some(Err(error)) => Err(at_reading(error, span)),
            None => Ok(&NEVER),
        }
    }

    /// What is read was never applied, which is said once. `part` is what state lacks.
    fn not_applied(&self, told: &Told, of: &str, environment: &str, part: &str, command: &str, span: Span) -> Box<Diagnostic> {
        let message = match (part, told.revision) {
            (_, 0) => format!("{of} was never applied in `{environment}`"),
            ("it", revision) => format!("{of} was never applied: `{environment}` is at rev {revision} without it"),
            (_, revision) => format!("{of} was last applied in `{environment}` without {part} (rev {revision})"),
        };
        if !self.not_applied.borrow_mut().insert(message.clone()) {
            return silent();
        }
        Box::new(Code::NotApplied.error(message).label(span, "read as it was last applied").help(format!("run {command} first")))
    }

    fn note_elsewhere(&self, stack: &str, environment: &Name, output: &Name, value: &Value) {
        let key = (Name::from(stack), environment.clone(), output.clone());
        self.elsewhere.borrow_mut().insert(key, value.clone());
    }
}

/// By stack, environment and output.
pub type Reads = BTreeMap<(Name, Name, Name), Value>;

/// Everything that was read elsewhere, in order.
pub fn in_order(reads: Reads) -> Vec<ElsewhereRead> {
    let read = |((stack, environment, output), value)| ElsewhereRead { stack, environment, output, value };
    reads.into_iter().map(read).collect()
}

fn unasked(name: &str, ty: Type, span: Span) -> Value {
    let address = Address::root(UNASKED, name);
    let reference = Reference::Attribute { address: address.clone(), path: vec![Step::Field(name.into())] };
    let rest = Arc::new(Expr::new(ExprKind::Name(reference), span));
    let waits_for = Arc::new([address].into());
    Value::new(Data::Unknown(Arc::new(Unknown { ty, rest, waits_for })), span)
}

/// A test does not say what it reads.
fn not_given(stack: &OtherStack, output: &Name, span: Span) -> Box<Diagnostic> {
    let (name, alias) = (&stack.name, &stack.alias);
    Box::new(
        Code::NotApplied
            .error(format!("the test does not say what the stack `{name}` gives out as `{output}`"))
            .label(span, "read here")
            .help(format!("write it into the test: `given {alias} {{ {output} = … }}`")),
    )
}

fn at_reading(error: &Diagnostic, span: Span) -> Box<Diagnostic> {
    let mut error = error.clone();
    if error.labels.is_empty() {
        error.labels.push((span, "read here".into()));
    }
    Box::new(error)
}

/// What is read was applied when its type was another one.
fn outdated(mut error: Box<Diagnostic>, of: &str, environment: &str, command: &str) -> Box<Diagnostic> {
    error.notes.push(("note", format!("this is the value that {of} was last applied with in `{environment}`")));
    error.help.push(format!("apply it again: {command}"));
    error
}
