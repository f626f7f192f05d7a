//! What names mean in a frame.

use std::rc::Rc;
use std::sync::Arc;

use super::expander::{Expander, silent};
use super::frame::{Frame, Key, Title};
use super::naming;
use crate::eval::{Budget, Callee, Names, Outcome, Outside, fit};
use crate::model::desired::Reveal;
use crate::model::expr::{ExprKind, Member, Reference, Scope as LetScope};
use crate::model::schema::Given;
use crate::model::value::{Network, Reference as InstanceRef, Unknown};
use crate::model::{Address, Code, Data, Expr, Name, SourceId, Span, Step, Type, Value};

/// The names that a frame sees.
pub struct Scope<'x, 'p> {
    pub all: &'x Expander<'p>,
    pub frame: Rc<Frame<'p>>,
}

impl<'p> Names for Scope<'_, 'p> {
    fn reference(&self, reference: &Reference, span: Span) -> Outcome<Value> {
        let (all, frame) = (self.all, &self.frame);
        match reference {
            Reference::Input(name) => all.input(frame, name, span),
            Reference::Let(LetScope::Here, name) => {
                all.ready(frame);
                let found = frame.tables.borrow().lets.get(name).copied();
                match found {
                    Some(it) => all.memo(
                        frame,
                        Key::Let(name.clone()),
                        span,
                        || Title::Let(name.clone()),
                        || all.eval(frame, &it.value, &[]),
                    ),
                    None => all.file_let(frame.directory, name, span),
                }
            }
            Reference::Let(LetScope::File, name) => all.file_let(frame.directory, name, span),
            Reference::Let(LetScope::Library, name) => all.file_let(1, name, span),
            Reference::Let(LetScope::Import(directory), name) => all.file_let(*directory, name, span),
            Reference::Secret { name, part } => all.secret(frame, name, *part, span),
            Reference::Instance { kind, name } => {
                all.ready(frame);
                let found = frame.tables.borrow().instance_of.get(&(kind.clone(), name.clone())).copied();
                match found {
                    Some(decl) => all.instances(frame, decl, span),
                    None => Ok(Value::null().at(span)),
                }
            }
            Reference::Resource { kind, name } => {
                all.ready(frame);
                let found = frame.tables.borrow().resource_of.get(&(kind.clone(), name.clone())).copied();
                match found {
                    Some(decl) => all.resource_set(frame, decl, span),
                    None => Ok(Value::null().at(span)),
                }
            }
            Reference::Env(name) => Ok(match &**name {
                "protect" => Value::bool(all.is_protected()?),
                _ => Value::text(all.environment.name.clone()),
            }
            .at(span)),
            Reference::Stack(_) => Ok(Value::text(all.program.stack.name.clone()).at(span)),
            Reference::SelfField(name) => Ok(match (&**name, &frame.address, frame.decl) {
                ("address", Some(address), _) => Value::text(address.as_str()),
                ("name", _, Some(decl)) => Value::text(decl.name.clone()),
                ("key", ..) => frame.key.as_ref().map_or(Value::null(), |key| Value::text(key.clone())),
                _ => Value::text(all.program.stack.name.clone()),
            }
            .at(span)),
            Reference::Slug(max) => {
                let address = frame.address.as_ref().map(Address::segments).unwrap_or_default();
                let slug = naming::slug(&all.program.stack.name, &all.environment.name, &address, usize::from(*max));
                Ok(Value::text(slug).at(span))
            }
            Reference::ProviderField(name) => {
                let Some(provider) = &frame.provider else { return Ok(Value::null().at(span)) };
                if &**name == "network" {
                    return Ok(Value::text(all.network(provider)?).at(span));
                }
                Ok(all.settings_of(provider)?.get(name).cloned().unwrap_or_else(|| Value::null().at(span)))
            }
            Reference::Provider => Ok(match &frame.provider {
                Some(provider) => Value::new(Data::Provider(provider.clone()), span),
                None => Value::null().at(span),
            }),
            Reference::Instances(kind) => all.gather(kind, span),
            Reference::StackOutput { stack, output } => all.stack_output(*stack, output, span),
            Reference::Plan(_) => {
                Err(Box::new(Code::TooLate.error("a plan is read in rules only").label(span, "is not there yet")))
            }
            Reference::Attribute { .. } => {
                Err(Box::new(Code::TooLate.error("an attribute by address is no name of a program").label(span, "named here")))
            }
        }
    }

    fn member(&self, of: &InstanceRef, member: &Member, window: Option<Value>, span: Span) -> Outcome<Value> {
        let all = self.all;
        let away = all.away.borrow().get(&of.address).cloned();
        if let Some(away) = away {
            return all.away_member(&away, &of.address, member, span);
        }
        let frame = all.frames.borrow().get(&of.address).cloned();
        let frame = frame.ok_or_else(silent)?;
        if frame.failed.get() {
            return Err(silent());
        }
        match member {
            Member::Address => Ok(Value::text(of.address.as_str()).at(span)),
            Member::Provider => Ok(match &frame.provider {
                Some(provider) => Value::new(Data::Provider(provider.clone()), span),
                None => Value::null().at(span),
            }),
            Member::Input(name) => all.input(&frame, name, span),
            Member::Output(name) => {
                all.read_instance(&of.address, span);
                all.output(&frame, name, span)
            }
            Member::Signal(name, _) => {
                all.read_instance(&of.address, span);
                all.signal(&frame, name, window, span)
            }
            Member::Uses | Member::UsedBy | Member::Reaches(_) => {
                Err(Box::new(Code::TooLate.error("what refers to what is read in rules only").label(span, "is not known yet")))
            }
        }
    }

    fn attribute(&self, address: &Address, kind: &Name, name: &Name, span: Span) -> Outcome<Value> {
        self.all.attribute(address, kind, name, span)
    }

    fn function(&self, place: u32) -> Option<Callee<'_>> {
        let function = self.all.program.functions.get(place as usize)?;
        let frame = self.all.directories.get(function.directory as usize)?.clone();
        Some(Callee { body: &function.body, names: Box::new(Scope { all: self.all, frame }) })
    }

    fn outside(&self) -> &dyn Outside {
        self.all.request.outside
    }

    fn budget(&self) -> &Budget {
        &self.all.budget
    }

    fn reveals(&self, reason: &str, span: Span) {
        let instance = self.frame.address.clone();
        self.all.reveals.borrow_mut().insert(Reveal { span, reason: reason.to_owned(), instance });
    }

    fn nearness(&self, source: SourceId) -> u8 {
        self.all.nearness(source)
    }
}

impl<'p> Expander<'p> {
    fn file_let(&self, directory: u32, name: &Name, span: Span) -> Outcome<Value> {
        let found = self.file_lets.get(directory as usize).and_then(|lets| lets.get(name).copied());
        let it = found.ok_or_else(|| {
            Box::new(Code::UnknownName.error(format!("there is no `{name}`")).label(span, "not defined in this environment"))
        })?;
        let frame = self.directories[directory as usize].clone();
        self.memo(&frame, Key::FileLet(name.clone()), span, || Title::Let(name.clone()), || self.eval(&frame, &it.value, &[]))
    }

    /// An input of a component's instance, or of the stack.
    pub fn input(&self, frame: &Rc<Frame<'p>>, name: &Name, span: Span) -> Outcome<Value> {
        let title = || Title::Input(frame.address.clone(), name.clone());
        let inputs = frame.component.map_or(&self.program.inputs, |component| &component.inputs);
        let at = inputs.iter().position(|input| input.name == *name).ok_or_else(silent)?;
        let input = &inputs[at];
        let given = frame.decl.and_then(|decl| decl.inputs.iter().find(|(given, ..)| given == name));
        if let (Some(_), None, Some(default)) = (frame.component, given, &input.default)
            && let Some(value) = self.constant(frame, default)
        {
            return Ok(value);
        }
        self.memo(frame, Key::Input(at as u32), span, title, || match frame.component {
            None => self.stack_input(name, span),
            Some(_) => match (given, &frame.caller, &input.default) {
                (Some((_, expr, _)), Some(caller), _) => {
                    self.add_reads(&frame.head_reads);
                    self.eval(caller, expr, &frame.locals)
                }
                (_, _, Some(default)) => self.eval(frame, default, &[]),
                _ => self.no_value(input, frame.decl.map_or(span, |decl| decl.span)),
            },
        })
    }

    fn no_value(&self, input: &crate::lang::program::Input, span: Span) -> Outcome<Value> {
        match &input.ty {
            Type::Optional(_) => Ok(Value::null().at(input.span)),
            ty => Err(Box::new(
                Code::MissingField
                    .error(format!("`{}` is missing", input.name))
                    .label(span, format!("needs `{}: {ty}`", input.name)),
            )),
        }
    }

    fn stack_input(&self, name: &Name, span: Span) -> Outcome<Value> {
        let input = self.program.inputs.iter().find(|input| input.name == *name).ok_or_else(silent)?;
        if let Some(given) = self.request.inputs.get(name) {
            return fit(given.clone(), &input.ty, given.mark.origin);
        }
        let top = self.top().clone();
        if let Some((_, expr)) = self.environment.inputs.iter().find(|(given, _)| given == name) {
            return self.eval(&top, expr, &[]);
        }
        match (&input.default, &input.ty) {
            (Some(default), _) => self.eval(&top, default, &[]),
            (None, Type::Optional(_)) => Ok(Value::null().at(input.span)),
            (None, ty) => Err(Box::new(
                Code::MissingInput
                    .error(format!("input `{name}` has no value in `{}`", self.environment.name))
                    .label(input.span, format!("needs a value of {ty}"))
                    .labels((span != input.span && self.is_near(span)).then_some((span, "read here")))
                    .help(format!(
                        "give it with `--input {name}=…`, or in the environment's `inputs {{ {name} = … }}`, or write a default"
                    )),
            )),
        }
    }

    pub fn is_protected(&self) -> Outcome<bool> {
        if let Some(protected) = self.protected.get() {
            return Ok(*protected);
        }
        let protected = match &self.environment.protect {
            None => false,
            Some(expr) => self.bool(&self.top().clone(), expr, &[], "whether an environment is protected")?,
        };
        Ok(*self.protected.get_or_init(|| protected))
    }

    /// An output of an instance; null where its condition does not hold.
    pub fn output(&self, frame: &Rc<Frame<'p>>, name: &Name, span: Span) -> Outcome<Value> {
        self.ready(frame);
        let (Some(component), Some(address)) = (frame.component, &frame.address) else { return Err(silent()) };
        let declared = component.outputs.iter().find(|output| output.name == *name);
        let title = || Title::Output(address.clone(), name.clone());
        self.memo(frame, Key::Output(name.clone()), span, title, || {
            if let Some(cond) = declared.and_then(|output| output.cond.as_ref())
                && !self.bool(frame, cond, &[], "whether an output is there")?
            {
                return Ok(Value::null().at(span));
            }
            let set = frame.tables.borrow().outputs.get(name).copied();
            let Some(set) = set else {
                let on = frame.provider.as_ref().map(|provider| format!(" on {provider}")).unwrap_or_default();
                return Err(Box::new(
                    Code::UnknownName
                        .error(format!("`{address}` has no `{name}`{on}"))
                        .label(span, "is not there on this provider"),
                ));
            };
            if let Some(cond) = &set.cond
                && !self.bool(frame, cond, &[], "whether an output is there")?
            {
                return Ok(Value::null().at(span));
            }
            let value = self.eval(frame, &set.value, &[])?;
            let ty = declared.map_or(&set.ty, |output| &output.ty);
            let mut value = fit(value, ty, set.value.span)?;
            let within = set.within.as_ref().or_else(|| declared.and_then(|output| output.within.as_ref()));
            if let Some(within) = within {
                let network = self.eval(frame, within, &[])?;
                if let Data::Text(network) = network.data {
                    let output = format!("{address}.{name}").into();
                    value.mark.within = Some(Arc::new(Network { name: network, output }));
                }
            }
            Ok(value)
        })
    }

    pub fn signal(&self, frame: &Rc<Frame<'p>>, name: &Name, window: Option<Value>, span: Span) -> Outcome<Value> {
        self.ready(frame);
        let (Some(component), Some(address)) = (frame.component, &frame.address) else { return Err(silent()) };
        let declared = component.signals.iter().find(|signal| signal.name == *name).ok_or_else(silent)?;
        let set = frame.tables.borrow().signals.get(name).copied();
        let Some(set) = set else {
            let on = frame.provider.as_ref().map_or_else(String::new, |provider| format!(" on {provider}"));
            return Err(Box::new(
                Code::UnknownName
                    .error(format!("`{address}` has no signal `{name}`{on}"))
                    .label(span, "the platform does not tell it")
                    .help("leave it out where `env.name` is such an environment, or place the instance elsewhere"),
            ));
        };
        let window = match (window, &declared.window) {
            (Some(window), _) => Some(window),
            (None, Some(default)) => Some(self.eval(frame, default, &[])?),
            (None, None) => None,
        };
        let locals: Vec<_> = set.window.into_iter().zip(window).collect();
        let value = self.eval(frame, &set.value, &locals)?;
        fit(value, &declared.ty, set.value.span)
    }

    /// A resource as the object of its attributes.
    pub fn resource_value(&self, address: &Address, kind: &Name, span: Span) -> Value {
        let name = Reference::Attribute { address: address.clone(), path: Vec::new() };
        let unknown = Unknown {
            ty: Type::Resource(kind.clone()),
            rest: Arc::new(Expr::new(ExprKind::Name(name), span)),
            waits_for: self.alone(address),
        };
        Value::new(Data::Unknown(Arc::new(unknown)), span)
    }

    /// An attribute of a resource: unknown, unless it is a data source that has answered.
    pub fn attribute(&self, address: &Address, kind: &Name, name: &Name, span: Span) -> Outcome<Value> {
        let found = self.kind(kind).and_then(|kind| Some((kind.data, kind.attribute(name)?)));
        let (kind_is_data, attribute) = found.ok_or_else(|| {
            Box::new(Code::UnknownField.error(format!("`{kind}` has no `{name}`")).label(span, "unknown attribute"))
        })?;
        if kind_is_data && let Some(mut value) = self.answer_of(address, attribute) {
            value.mark.secret |= attribute.sensitive;
            return Ok(value.at(span));
        }
        let ty = match attribute.given {
            Given::Optional if attribute.naming.is_none() => attribute.ty.clone().optional(),
            _ => attribute.ty.clone(),
        };
        let rest = Reference::Attribute { address: address.clone(), path: vec![Step::Field(name.clone())] };
        let unknown = Unknown { ty, rest: Arc::new(Expr::new(ExprKind::Name(rest), span)), waits_for: self.alone(address) };
        let mut value = Value::new(Data::Unknown(Arc::new(unknown)), span);
        value.mark.secret = attribute.sensitive;
        Ok(value)
    }
}
