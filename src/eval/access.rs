//! Steps into values: fields, elements, and what an instance gives.

use super::Outcome;
use super::encode::sort_of;
use super::fit::may_be_null;
use super::loops::marked;
use super::run::{Evaluator, Locals, bug, key_text, taint};
use super::typing::type_of;
use crate::model::expr::{ExprKind, Member, Reference};
use crate::model::value::Reference as InstanceRef;
use crate::model::{Code, Data, Diagnostic, Expr, Name, Span, Type, Value};

impl Evaluator<'_> {
    pub fn field(&self, of: Value, name: &Name, optional: bool, span: Span) -> Outcome<Value> {
        let found = match &of.data {
            Data::Null if optional => return Ok(of),
            Data::Map(fields) => fields.get(name).cloned().unwrap_or_else(|| Value::null().at(of.mark.origin)),
            Data::Range(ends) if &**name == "min" => ends.0.clone(),
            Data::Range(ends) if &**name == "max" => ends.1.clone(),
            Data::Metric(metric) => match &**name {
                "promql" => Value::text(metric.promql.clone()),
                "unit" => Value::text(metric.unit.to_string()),
                _ => metric.source.as_ref().map_or(Value::null(), |source| Value::text(source.as_str())),
            }
            .at(of.mark.origin),
            Data::Condition(condition) => match &**name {
                "promql" => Value::text(condition.promql.clone()),
                _ => condition.source.as_ref().map_or(Value::null(), |source| Value::text(source.as_str())),
            }
            .at(of.mark.origin),
            Data::Unknown(unknown) => {
                if let Some(resource) = resource_of(&of) {
                    return self.names.attribute(&resource.address, &resource.kind, name, span);
                }
                let ty = match unknown.ty.bare() {
                    Type::Object(object) => object.fields.get(name).map_or(Type::Any, |field| match field.need {
                        crate::model::types::Need::Absent => field.ty.clone().optional(),
                        _ => field.ty.clone(),
                    }),
                    Type::Map(of) => (**of).clone(),
                    _ => Type::Any,
                };
                let ty = if may_be_null(&unknown.ty) { ty.optional() } else { ty };
                let inner = Box::new(self.expression(&of, span)?);
                let kind = ExprKind::Field { of: inner, name: name.clone(), optional };
                return Ok(self.unknown(kind, ty, &[&of], span));
            }
            other => {
                return Err(Box::new(
                    Code::WrongType.error(format!("{} has no field `{name}`", sort_of(other))).label(span, "expected an object"),
                ));
            }
        };
        Ok(marked(&found, &of))
    }

    pub fn index(&self, of: Value, key: Value, optional: bool, span: Span) -> Outcome<Value> {
        if of.is_unknown() || key.is_unknown() {
            let ty = match (type_of(&of).bare(), optional) {
                (Type::List(of, _) | Type::Map(of), false) => (**of).clone(),
                _ => Type::Any,
            };
            let kind = ExprKind::Index {
                of: Box::new(self.expression(&of, span)?),
                key: Box::new(self.expression(&key, span)?),
                optional,
            };
            return Ok(self.unknown(kind, ty, &[&of, &key], span));
        }
        let found = match (&of.data, &key.data) {
            (Data::List(items), Data::Int(at)) => usize::try_from(*at).ok().and_then(|at| items.get(at)),
            (Data::Map(fields), _) => fields.get(&key_text(&key, span)?),
            (other, _) => {
                return Err(Box::new(
                    Code::WrongType.error(format!("{} has no elements", sort_of(other))).label(span, "expected a list or a map"),
                ));
            }
        };
        match found {
            Some(item) => {
                let mut item = marked(item, &of);
                taint(&mut item.mark, &key);
                Ok(item)
            }
            None if optional => Ok(self.made(Data::Null, &[&of, &key], span)),
            None => Err(missing_key(&of, &key, span)),
        }
    }

    pub fn member(
        &self,
        of: Value,
        member: &Member,
        optional: bool,
        locals: &mut Locals,
        level: u32,
        span: Span,
    ) -> Outcome<Value> {
        let window = match member {
            Member::Signal(_, Some(argument)) | Member::Reaches(argument) => Some(self.eval(argument, locals, level)?),
            _ => None,
        };
        if let Member::Uses | Member::UsedBy | Member::Reaches(_) = member
            && let Some(resource) = resource_of(&of)
        {
            return self.names.member(&resource, member, window, span);
        }
        match &of.data {
            Data::Ref(reference) => {
                let value = self.names.member(reference, member, window, span)?;
                Ok(marked(&value, &of))
            }
            Data::Null if optional => Ok(of),
            Data::Null => {
                Err(Box::new(Code::MaybeNull.error("the instance does not exist here").label(span, "this reads something of it")))
            }
            // Which instance it is is not known, but the candidates are: each is asked.
            Data::Unknown(unknown) => match &unknown.rest.kind {
                ExprKind::If(condition, then, otherwise) => {
                    let mut side = |branch: &Expr| -> Outcome<Value> {
                        self.attempt(span, || {
                            let of = self.eval(branch, locals, level)?;
                            self.member(of, member, optional, locals, level, span)
                        })
                    };
                    let (then, otherwise) = (side(then)?, side(otherwise)?);
                    let parts = (self.expression(&then, span)?, self.expression(&otherwise, span)?);
                    let kind = ExprKind::If(condition.clone(), Box::new(parts.0), Box::new(parts.1));
                    Ok(self.unknown(kind, Type::Any, &[&of, &then, &otherwise], span))
                }
                _ => Err(Box::new(
                    Code::TooLate
                        .error("which instance this is, is known only after apply")
                        .label(span, "has to be known when planned")
                        .help("choose the instance by an input or by `env`"),
                )),
            },
            other => Err(bug(&format!("{} has no outputs", sort_of(other)), span)),
        }
    }
}

fn missing_key(of: &Value, key: &Value, span: Span) -> Box<Diagnostic> {
    let shown = if key.mark.secret { "(secret)".to_owned() } else { key.to_literal() };
    let message = match &of.data {
        Data::List(items) => format!("there is no element {shown} in a list of {}", items.len()),
        _ => format!("there is no key {shown}"),
    };
    let near = match (&of.data, key.as_text()) {
        (Data::Map(fields), Some(_)) if !key.mark.secret && !fields.is_empty() => {
            let names: Vec<String> = fields.keys().take(10).map(|name| format!("`{}`", name.escape_debug())).collect();
            let more = if fields.len() > 10 { ", …" } else { "" };
            Some(format!("there are {}{more}", names.join(", ")))
        }
        _ => None,
    };
    let mut diagnostic = Code::NoSuchKey.error(message).label(span, "not there");
    if let Some(near) = near {
        diagnostic = diagnostic.note(near);
    }
    Box::new(diagnostic.help("write `?[…]` where it may be missing"))
}

/// The resource that a value stands for as a whole.
fn resource_of(value: &Value) -> Option<InstanceRef> {
    let Data::Unknown(unknown) = &value.data else { return None };
    match (unknown.ty.bare(), &unknown.rest.kind) {
        (Type::Resource(kind), ExprKind::Name(Reference::Attribute { address, path })) if path.is_empty() => {
            Some(InstanceRef { kind: kind.clone(), address: address.clone() })
        }
        _ => None,
    }
}
