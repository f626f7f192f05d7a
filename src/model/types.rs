//! Types of the language and of provider attributes.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::value::Value;

/// A short shared text: names of fields, kinds, variables.
pub type Name = Arc<str>;

/// A type. `==` is structural.
#[derive(Clone, PartialEq, Debug)]
pub enum Type {
    /// What an error left behind: fits everywhere and silences consequential messages.
    Poison,
    /// Whatever JSON can hold, at the edges only.
    Any,
    /// The type of `null` alone.
    Null,
    Bool,
    Int(Bounds<i64>),
    Number(Bounds<Decimal>),
    Text(TextRule),
    /// Nanoseconds.
    Duration,
    /// Bytes.
    Size,
    Percent,
    Rate,
    Money,
    Instant,
    Range(Box<Type>),
    List(Box<Type>, Bounds<u64>),
    Map(Box<Type>),
    /// From plugin schemas only.
    Set(Box<Type>),
    Object(Arc<ObjectType>),
    /// `"a" | "b"`, `1 | 2`: the values of a literal union.
    Literals(Arc<Vec<Value>>),
    Variant(Arc<VariantType>),
    /// `T?`. Never nested, never around [`Type::Null`].
    Optional(Box<Type>),
    Secret(Box<Type>),
    /// Takes secret and plain values alike, element by element: the type of a sink.
    Sensitive(Box<Type>),
    /// A reference to an instance of a component kind.
    Ref(Name),
    /// A provider instance of that type.
    Provider(Name),
    /// A time series whose samples have that unit.
    Metric(Box<Type>),
    Condition,
    /// A resource, as `provider.type.name` alone: its attributes by the schema of that kind (`fly.machine`).
    Resource(Name),
}

/// A closed interval; an end that is `None` is open.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds<T> {
    pub min: Option<T>,
    pub max: Option<T>,
}

impl<T> Bounds<T> {
    pub const NONE: Bounds<T> = Bounds { min: None, max: None };
}

/// What a text has to look like.
#[derive(Clone, PartialEq, Debug)]
pub enum TextRule {
    Any,
    /// A regular expression that has to match.
    Matches(Arc<str>),
    Cron,
    Cidr,
    Semver,
    /// Resolves at the file that holds it.
    Path,
    Url,
}

#[derive(Clone, Debug, Default)]
pub struct ObjectType {
    pub fields: BTreeMap<Name, FieldType>,
    /// The name of a named type, for messages.
    pub name: Option<Name>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct FieldType {
    pub ty: Type,
    pub need: Need,
}

/// Whether a field of an object has to be given.
#[derive(Clone, PartialEq, Debug)]
pub enum Need {
    Required,
    /// `a: T = default`; the default was evaluated when the type was checked.
    Default(Value),
    /// `a?: T`: may be absent.
    Absent,
}

#[derive(Clone, Debug, Default)]
pub struct VariantType {
    pub name: Option<Name>,
    /// Label and the object that it carries.
    pub cases: BTreeMap<Name, Arc<ObjectType>>,
}

/// Structural; one and the same type is not looked through.
impl PartialEq for ObjectType {
    fn eq(&self, other: &ObjectType) -> bool {
        std::ptr::eq(self, other) || self.name == other.name && self.fields == other.fields
    }
}

impl PartialEq for VariantType {
    fn eq(&self, other: &VariantType) -> bool {
        std::ptr::eq(self, other) || self.name == other.name && self.cases == other.cases
    }
}

impl Type {
    pub const INT: Type = Type::Int(Bounds::NONE);
    pub const NUMBER: Type = Type::Number(Bounds::NONE);
    pub const TEXT: Type = Type::Text(TextRule::Any);

    pub fn list(of: Type) -> Type {
        Type::List(Box::new(of), Bounds::NONE)
    }

    pub fn map(of: Type) -> Type {
        Type::Map(Box::new(of))
    }

    /// `T?`; an optional stays as it is.
    pub fn optional(self) -> Type {
        match self {
            Type::Optional(_) | Type::Null | Type::Poison | Type::Any => self,
            other => Type::Optional(Box::new(other)),
        }
    }

    /// Whether a value of it may be, or hold, a secret.
    pub fn holds_secret(&self) -> bool {
        match self {
            Type::Secret(_) | Type::Sensitive(_) => true,
            Type::List(of, _) | Type::Map(of) | Type::Set(of) | Type::Optional(of) | Type::Range(of) => of.holds_secret(),
            Type::Object(object) => object.fields.values().any(|field| field.ty.holds_secret()),
            Type::Variant(variant) => {
                variant.cases.values().any(|case| case.fields.values().any(|field| field.ty.holds_secret()))
            }
            _ => false,
        }
    }

    /// The type without `?`, `secret` and `sensitive` around it.
    pub fn bare(&self) -> &Type {
        match self {
            Type::Optional(inner) | Type::Secret(inner) | Type::Sensitive(inner) => inner.bare(),
            other => other,
        }
    }
}

impl std::fmt::Display for Type {
    /// As people write it: `int(1..50)`, `list<string>`, `"a" | "b"`, `{ path: string, every: duration }`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Type::Poison => f.write_str("unknown"),
            Type::Any => f.write_str("any"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int(bounds) => write!(f, "int{bounds}"),
            Type::Number(bounds) => write!(f, "number{bounds}"),
            Type::Text(rule) => f.write_str(match rule {
                TextRule::Any => "string",
                TextRule::Matches(pattern) => return write!(f, "string(re\"{pattern}\")"),
                TextRule::Cron => "cron",
                TextRule::Cidr => "cidr",
                TextRule::Semver => "semver",
                TextRule::Path => "path",
                TextRule::Url => "url",
            }),
            Type::Duration => f.write_str("duration"),
            Type::Size => f.write_str("size"),
            Type::Percent => f.write_str("percent"),
            Type::Rate => f.write_str("rate"),
            Type::Money => f.write_str("money"),
            Type::Instant => f.write_str("instant"),
            Type::Range(of) => write!(f, "range<{of}>"),
            Type::List(of, bounds) => write!(f, "list<{of}>{bounds}"),
            Type::Map(of) => write!(f, "map<{of}>"),
            Type::Set(of) => write!(f, "set<{of}>"),
            Type::Object(object) => write_object(f, object),
            Type::Literals(values) => write_joined(f, values.iter().map(|value| value.to_literal()), " | "),
            Type::Variant(variant) => match &variant.name {
                Some(name) => f.write_str(name),
                None => {
                    f.write_str("variant { ")?;
                    write_joined(f, variant.cases.keys(), " | ")?;
                    f.write_str(" }")
                }
            },
            Type::Optional(of) => write!(f, "{of}?"),
            Type::Secret(of) => write!(f, "secret<{of}>"),
            Type::Sensitive(of) => write!(f, "sensitive {of}"),
            Type::Ref(kind) => write!(f, "ref<{kind}>"),
            Type::Provider(name) => write!(f, "provider<{name}>"),
            Type::Metric(unit) => write!(f, "metric<{unit}>"),
            Type::Condition => f.write_str("condition"),
            Type::Resource(kind) => write!(f, "{kind}"),
        }
    }
}

fn write_object(f: &mut std::fmt::Formatter<'_>, object: &ObjectType) -> std::fmt::Result {
    if let Some(name) = &object.name {
        return f.write_str(name);
    }
    if object.fields.is_empty() {
        return f.write_str("{}");
    }
    f.write_str("{ ")?;
    for (at, (name, field)) in object.fields.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        match &field.need {
            Need::Required => write!(f, "{comma}{name}: {}", field.ty)?,
            Need::Absent => write!(f, "{comma}{name}?: {}", field.ty)?,
            Need::Default(value) => write!(f, "{comma}{name}: {} = {}", field.ty, value.to_literal())?,
        }
    }
    f.write_str(" }")
}

fn write_joined(
    f: &mut std::fmt::Formatter<'_>,
    parts: impl Iterator<Item = impl std::fmt::Display>,
    by: &str,
) -> std::fmt::Result {
    for (at, part) in parts.enumerate() {
        write!(f, "{}{part}", if at == 0 { "" } else { by })?;
    }
    Ok(())
}

impl<T: std::fmt::Display> std::fmt::Display for Bounds<T> {
    /// Nothing without bounds, else `(1..50)`, `(1..)`, `(..9)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.min, &self.max) {
            (None, None) => Ok(()),
            (Some(min), None) => write!(f, "({min}..)"),
            (None, Some(max)) => write!(f, "(..{max})"),
            (Some(min), Some(max)) => write!(f, "({min}..{max})"),
        }
    }
}
