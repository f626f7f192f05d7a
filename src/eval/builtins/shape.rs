//! Types with holes: what the parameters and the result of a built-in look like.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{BuiltinDef, ParamNeed};
use crate::model::types::{Bounds, FieldType, Name, Need, ObjectType, TextRule, VariantType};
use crate::model::{Data, Type, Value};

/// A type in which letters stand for types. A letter that is bound several times is the join of what it met.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shape {
    Bool,
    Int,
    Number,
    Text,
    Duration,
    Instant,
    Condition,
    Any,
    /// Fits anywhere.
    Never,
    /// Any type, carried and not looked at: its taint stays inside.
    Var(char),
    /// Any type, and the result depends on the value: its taint reaches the result.
    Compared(char),
    /// A number or a unit.
    Amount(char),
    /// In a result: what the letter stands for, without its taint.
    Plain(char),
    /// In a result: what the letter stands for, secret.
    Secret(char),
    List(&'static Shape),
    /// A map, or an object whose fields all fit.
    Map(&'static Shape),
    Optional(&'static Shape),
    Metric(char),
    Union(&'static [Shape]),
}

/// An argument that does not fit.
#[derive(Debug, PartialEq)]
pub struct Mismatch {
    /// Place of the argument.
    pub at: usize,
    /// What would fit: `list<string>`.
    pub expected: String,
}

/// What letters stand for, and whether a secret was looked at.
#[derive(Default)]
struct Bound {
    letters: Vec<(char, Type)>,
    tainted: bool,
}

pub(super) fn result(def: &BuiltinDef, arguments: &[Option<Type>]) -> Result<Type, Mismatch> {
    if def.name == "merge"
        && let Some(object) = merged_objects(arguments)
    {
        return Ok(object);
    }
    let mut bound = Bound::default();
    for (at, argument) in arguments.iter().enumerate() {
        let (Some(param), Some(ty)) = (def.param(at), argument) else { continue };
        if !bound.fit(&param.shape, ty) {
            return Err(Mismatch { at, expected: param.shape.to_string() });
        }
    }
    let plain = bound.make(&def.result);
    Ok(if bound.tainted && !def.reveals { secret(plain) } else { plain })
}

/// Objects merge field by field; what may be absent in a later one leaves what stands before it.
fn merged_objects(arguments: &[Option<Type>]) -> Option<Type> {
    let mut fields: BTreeMap<Name, FieldType> = BTreeMap::new();
    for argument in arguments {
        let Some(Type::Object(object)) = argument else { return None };
        for (name, field) in &object.fields {
            let merged = match (fields.get(name), &field.need) {
                (Some(before), Need::Absent) => FieldType { ty: join(&before.ty, &field.ty)?, need: before.need.clone() },
                (_, Need::Absent) => field.clone(),
                _ => FieldType { ty: field.ty.clone(), need: Need::Required },
            };
            fields.insert(name.clone(), merged);
        }
    }
    (!fields.is_empty()).then(|| Type::Object(Arc::new(ObjectType { fields, name: None })))
}

fn secret(ty: Type) -> Type {
    match ty {
        Type::Secret(_) | Type::Poison | Type::Null => ty,
        Type::Optional(of) => secret(*of).optional(),
        other => Type::Secret(Box::new(other)),
    }
}

impl Bound {
    fn fit(&mut self, shape: &Shape, ty: &Type) -> bool {
        match (shape, ty) {
            (_, Type::Poison) => {
                if let Shape::Var(letter) | Shape::Compared(letter) | Shape::Amount(letter) | Shape::Metric(letter) = shape {
                    self.bind(*letter, Type::Poison);
                }
                true
            }
            (Shape::Var(letter), _) => self.bind(*letter, ty.clone()),
            (Shape::Any, _) => {
                self.tainted |= ty.holds_secret();
                true
            }
            (_, Type::Secret(inner) | Type::Sensitive(inner)) => {
                self.tainted = true;
                self.fit(shape, inner)
            }
            (Shape::Union(shapes), _) => shapes.iter().any(|shape| self.fit(shape, ty)),
            (Shape::Optional(inner), Type::Optional(of)) => self.fit(inner, of),
            (Shape::Optional(_), Type::Null) => true,
            (Shape::Optional(inner), _) => self.fit(inner, ty),
            (_, Type::Any) => {
                self.bind_all(shape, &Type::Any);
                true
            }
            (Shape::Compared(letter), _) => {
                self.tainted |= ty.holds_secret();
                self.bind(*letter, ty.clone())
            }
            (Shape::Amount(letter), _) => match amount(ty) {
                Some(ty) => self.bind(*letter, ty),
                None => false,
            },
            (Shape::Bool, Type::Bool) => true,
            (Shape::Int, Type::Int(_)) => true,
            (Shape::Int, Type::Literals(values)) => values.iter().all(|value| matches!(value.data, Data::Int(_))),
            (Shape::Number, Type::Int(_) | Type::Number(_) | Type::Percent) => true,
            (Shape::Number, Type::Literals(values)) => {
                values.iter().all(|value| matches!(value.data, Data::Int(_) | Data::Number(_) | Data::Percent(_)))
            }
            (Shape::Text, Type::Text(_)) => true,
            (Shape::Text, Type::Literals(values)) => values.iter().all(|value| matches!(value.data, Data::Text(_))),
            (Shape::Duration, Type::Duration) => true,
            (Shape::Instant, Type::Instant) => true,
            (Shape::Condition, Type::Condition) => true,
            (Shape::Metric(letter), Type::Metric(unit)) => self.bind(*letter, (**unit).clone()),
            (Shape::List(of), Type::List(item, _) | Type::Set(item)) => self.fit(of, item),
            (Shape::Map(of), Type::Map(item)) => self.fit(of, item),
            (Shape::Map(of), Type::Object(object)) => object.fields.values().all(|field| self.fit(of, &field.ty)),
            _ => false,
        }
    }

    fn bind(&mut self, letter: char, ty: Type) -> bool {
        match self.letters.iter_mut().find(|(bound, _)| *bound == letter) {
            None => self.letters.push((letter, ty)),
            Some((_, before)) => match join(before, &ty) {
                Some(joined) => *before = joined,
                None => return false,
            },
        }
        true
    }

    fn bind_all(&mut self, shape: &Shape, ty: &Type) {
        match shape {
            Shape::Var(letter) | Shape::Compared(letter) | Shape::Amount(letter) | Shape::Metric(letter) => {
                self.bind(*letter, ty.clone());
            }
            Shape::List(inner) | Shape::Map(inner) | Shape::Optional(inner) => self.bind_all(inner, ty),
            Shape::Union(shapes) => shapes.iter().for_each(|shape| self.bind_all(shape, ty)),
            _ => {}
        }
    }

    fn letter(&self, letter: char) -> Type {
        self.letters.iter().find(|(bound, _)| *bound == letter).map_or(Type::Poison, |(_, ty)| ty.clone())
    }

    fn make(&self, shape: &Shape) -> Type {
        match shape {
            Shape::Bool => Type::Bool,
            Shape::Int => Type::INT,
            Shape::Number => Type::NUMBER,
            Shape::Text => Type::TEXT,
            Shape::Duration => Type::Duration,
            Shape::Instant => Type::Instant,
            Shape::Condition => Type::Condition,
            Shape::Any => Type::Any,
            Shape::Never => Type::Poison,
            Shape::Var(letter) | Shape::Compared(letter) | Shape::Amount(letter) => self.letter(*letter),
            Shape::Plain(letter) => without_secret(&self.letter(*letter)),
            Shape::Secret(letter) => secret(without_secret(&self.letter(*letter))),
            Shape::List(of) => Type::list(self.make(of)),
            Shape::Map(of) => Type::map(self.make(of)),
            Shape::Optional(of) => self.make(of).optional(),
            Shape::Metric(letter) => Type::Metric(Box::new(self.letter(*letter))),
            Shape::Union(shapes) => shapes.first().map_or(Type::Poison, |shape| self.make(shape)),
        }
    }
}

/// A number or unit without its bounds.
fn amount(ty: &Type) -> Option<Type> {
    match ty {
        Type::Int(_) => Some(Type::INT),
        Type::Number(_) => Some(Type::NUMBER),
        Type::Duration | Type::Size | Type::Percent | Type::Rate | Type::Money | Type::Instant => Some(ty.clone()),
        Type::Literals(values) => match values.first().map(|value| &value.data) {
            Some(Data::Int(_)) => Some(Type::INT),
            Some(Data::Number(_)) => Some(Type::NUMBER),
            _ => None,
        },
        _ => None,
    }
}

fn without_secret(ty: &Type) -> Type {
    match ty {
        Type::Secret(inner) | Type::Sensitive(inner) => without_secret(inner),
        Type::Optional(inner) => without_secret(inner).optional(),
        Type::List(of, bounds) => Type::List(Box::new(without_secret(of)), *bounds),
        Type::Map(of) => Type::map(without_secret(of)),
        Type::Set(of) => Type::Set(Box::new(without_secret(of))),
        Type::Range(of) => Type::Range(Box::new(without_secret(of))),
        Type::Object(object) => Type::Object(Arc::new(object_without_secret(object))),
        Type::Variant(variant) => {
            let case = |(label, case): (&Name, &Arc<ObjectType>)| (label.clone(), Arc::new(object_without_secret(case)));
            Type::Variant(Arc::new(VariantType { name: None, cases: variant.cases.iter().map(case).collect() }))
        }
        other => other.clone(),
    }
}

fn object_without_secret(object: &ObjectType) -> ObjectType {
    let field = |field: &FieldType| FieldType { ty: without_secret(&field.ty), need: field.need.clone() };
    ObjectType { fields: object.fields.iter().map(|(name, it)| (name.clone(), field(it))).collect(), name: None }
}

/// The smallest type that takes values of both; `None` where there is none.
pub fn join(a: &Type, b: &Type) -> Option<Type> {
    if a == b {
        return Some(a.clone());
    }
    Some(match (a, b) {
        (Type::Poison, other) | (other, Type::Poison) => other.clone(),
        (Type::Any, _) | (_, Type::Any) => Type::Any,
        (Type::Null, other) | (other, Type::Null) => other.clone().optional(),
        (Type::Optional(a), Type::Optional(b)) => join(a, b)?.optional(),
        (Type::Optional(a), b) | (b, Type::Optional(a)) => join(a, b)?.optional(),
        (Type::Sensitive(a), Type::Secret(b) | Type::Sensitive(b)) | (Type::Secret(b), Type::Sensitive(a)) => {
            Type::Sensitive(Box::new(join(a, b)?))
        }
        (Type::Sensitive(a), b) | (b, Type::Sensitive(a)) => Type::Sensitive(Box::new(join(a, b)?)),
        (Type::Secret(a), Type::Secret(b)) => Type::Secret(Box::new(join(a, b)?)),
        (Type::Secret(a), b) | (b, Type::Secret(a)) => Type::Sensitive(Box::new(join(a, b)?)),
        (Type::Int(a), Type::Int(b)) => Type::Int(Bounds { min: least(a.min, b.min), max: greatest(a.max, b.max) }),
        (Type::Number(_) | Type::Int(_), Type::Number(_) | Type::Int(_)) => Type::NUMBER,
        (Type::Text(_), Type::Text(_)) => Type::Text(TextRule::Any),
        (Type::Literals(a), Type::Literals(b)) => {
            let mut values: Vec<Value> = (**a).clone();
            values.extend(b.iter().filter(|value| !a.contains(value)).cloned());
            match same_sort(&values) {
                true => Type::Literals(std::sync::Arc::new(values)),
                false => return None,
            }
        }
        (Type::Literals(values), other) | (other, Type::Literals(values)) => join(&literal_base(values)?, other)?,
        (Type::List(a, _), Type::List(b, _)) => Type::list(join(a, b)?),
        (Type::Map(a), Type::Map(b)) => Type::map(join(a, b)?),
        (Type::Range(a), Type::Range(b)) => Type::Range(Box::new(join(a, b)?)),
        (Type::Object(a), Type::Object(b)) => return join_objects(a, b),
        (Type::Map(of), Type::Object(object)) | (Type::Object(object), Type::Map(of)) => {
            Type::map(object.fields.values().try_fold((**of).clone(), |joined, field| join(&joined, &field.ty))?)
        }
        _ => return None,
    })
}

/// A field that only one of two objects has may be absent.
fn join_objects(a: &ObjectType, b: &ObjectType) -> Option<Type> {
    let mut fields: BTreeMap<Name, FieldType> = BTreeMap::new();
    for (name, field) in &a.fields {
        let joined = match b.fields.get(name) {
            None => FieldType { ty: field.ty.clone(), need: Need::Absent },
            Some(other) => {
                let absent = matches!(field.need, Need::Absent) || matches!(other.need, Need::Absent);
                FieldType { ty: join(&field.ty, &other.ty)?, need: if absent { Need::Absent } else { Need::Required } }
            }
        };
        fields.insert(name.clone(), joined);
    }
    for (name, field) in &b.fields {
        fields.entry(name.clone()).or_insert_with(|| FieldType { ty: field.ty.clone(), need: Need::Absent });
    }
    Some(Type::Object(Arc::new(ObjectType { fields, name: None })))
}

fn least(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    Some(a?.min(b?))
}

fn greatest(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    Some(a?.max(b?))
}

fn same_sort(values: &[Value]) -> bool {
    values.iter().all(|value| matches!(value.data, Data::Text(_)))
        || values.iter().all(|value| matches!(value.data, Data::Int(_)))
}

fn literal_base(values: &[Value]) -> Option<Type> {
    match values.first()?.data {
        Data::Text(_) => Some(Type::TEXT),
        Data::Int(_) => Some(Type::INT),
        Data::Number(_) => Some(Type::NUMBER),
        Data::Bool(_) => Some(Type::Bool),
        _ => None,
    }
}

/// Whether a part of the value that the result depends on is secret.
pub(in crate::eval) fn taints(shape: &Shape, value: &Value) -> bool {
    if matches!(shape, Shape::Var(_)) {
        return false;
    }
    value.mark.secret
        || match (shape, &value.data) {
            (Shape::Any | Shape::Compared(_), _) => value.has_secret(),
            (Shape::Optional(inner), _) => taints(inner, value),
            (Shape::Union(_), _) => false,
            (Shape::List(of), Data::List(items)) => items.iter().any(|item| taints(of, item)),
            (Shape::Map(of), Data::Map(fields)) => fields.values().any(|item| taints(of, item)),
            _ => false,
        }
}

/// Whether a part of the value that the function has to look at is unknown.
pub(in crate::eval) fn waits(shape: &Shape, value: &Value) -> bool {
    match (shape, &value.data) {
        (Shape::Var(_), _) => false,
        (_, Data::Unknown(_)) => true,
        (Shape::Any | Shape::Compared(_), _) => value.has_unknown(),
        (Shape::Optional(inner), _) => waits(inner, value),
        (Shape::List(of), Data::List(items)) => items.iter().any(|item| waits(of, item)),
        (Shape::Map(of), Data::Map(fields)) => fields.values().any(|item| waits(of, item)),
        _ => false,
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Bool => f.write_str("bool"),
            Shape::Int => f.write_str("int"),
            Shape::Number => f.write_str("number"),
            Shape::Text => f.write_str("string"),
            Shape::Duration => f.write_str("duration"),
            Shape::Instant => f.write_str("instant"),
            Shape::Condition => f.write_str("condition"),
            Shape::Any => f.write_str("any"),
            Shape::Never => f.write_str("never"),
            Shape::Var(letter) | Shape::Compared(letter) | Shape::Plain(letter) => {
                write!(f, "{}", letter.to_ascii_uppercase())
            }
            Shape::Amount(_) => f.write_str("number or unit"),
            Shape::Secret(letter) => write!(f, "secret<{}>", letter.to_ascii_uppercase()),
            Shape::List(of) => write!(f, "list<{of}>"),
            Shape::Map(of) => write!(f, "map<{of}>"),
            Shape::Optional(of) => write!(f, "{of}?"),
            Shape::Metric(_) => f.write_str("metric"),
            Shape::Union(shapes) => {
                for (at, shape) in shapes.iter().enumerate() {
                    write!(f, "{}{shape}", if at == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
        }
    }
}

impl BuiltinDef {
    /// How few and how many arguments it takes; `None` for no limit.
    pub fn arity(&self) -> (usize, Option<usize>) {
        let least = self.params.iter().filter(|param| param.need == ParamNeed::Required).count();
        let rest = self.params.last().is_some_and(|param| param.need == ParamNeed::Rest);
        (least, (!rest).then_some(self.params.len()))
    }
}
