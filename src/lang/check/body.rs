//! Which fields a block may have: those of an object type, the inputs of a component, the attributes of a kind, the settings of
//! a provider.

use std::sync::Arc;

use super::{Checker, InputType};
use crate::model::schema::{Attribute, Given};
use crate::model::types::{Need, ObjectType};
use crate::model::{Kind, Name, Span, Type, Value};

pub(super) enum FieldsOf<'a> {
    Object(&'a Arc<ObjectType>),
    Inputs(&'a [InputType]),
    Attributes(&'a Kind),
    /// As attributes, where nothing has to be given.
    SomeAttributes(&'a Kind),
    Settings(&'a [Attribute]),
}

/// One field that may be given.
pub(super) struct Field {
    pub ty: Type,
    pub declared: Option<Span>,
    /// The platform computes it: nobody may give it.
    pub computed: bool,
}

impl FieldsOf<'_> {
    pub fn find(&self, checker: &Checker<'_>, name: &str) -> Option<Field> {
        match self {
            FieldsOf::Object(object) => {
                let field = object.fields.get(name)?;
                let ty = match field.need {
                    // Null means absent.
                    Need::Absent => field.ty.clone().optional(),
                    _ => field.ty.clone(),
                };
                Some(Field { ty, declared: checker.declared_at(object, name), computed: false })
            }
            FieldsOf::Inputs(inputs) => {
                let input = inputs.iter().find(|input| &*input.name == name)?;
                Some(Field { ty: (*input.ty).clone(), declared: Some(input.declared), computed: false })
            }
            FieldsOf::Attributes(kind) => kind.attribute(name).map(given),
            FieldsOf::SomeAttributes(kind) => kind.attribute(name).map(|attribute| {
                let field = given(attribute);
                Field { ty: part_of(&field.ty), ..field }
            }),
            FieldsOf::Settings(settings) => settings.iter().find(|it| &*it.name == name).map(given),
        }
    }

    /// The type of a field that has to be given.
    pub fn required(&self) -> Vec<(Name, Type)> {
        match self {
            FieldsOf::Object(object) => object
                .fields
                .iter()
                .filter(|(_, field)| matches!(field.need, Need::Required) && !matches!(field.ty, Type::Optional(_)))
                .map(|(name, field)| (name.clone(), field.ty.clone()))
                .collect(),
            FieldsOf::Inputs(inputs) => {
                inputs.iter().filter(|it| it.required).map(|it| (it.name.clone(), (*it.ty).clone())).collect()
            }
            FieldsOf::Attributes(kind) => required(&kind.attributes),
            FieldsOf::Settings(settings) => required(settings),
            FieldsOf::SomeAttributes(_) => Vec::new(),
        }
    }

    /// The value of a field that is not given, where there is one.
    pub fn defaults(&self) -> Vec<(Name, Value)> {
        match self {
            FieldsOf::Object(object) => object
                .fields
                .iter()
                .filter_map(|(name, field)| match &field.need {
                    Need::Default(value) => Some((name.clone(), value.clone())),
                    Need::Required if matches!(field.ty, Type::Optional(_)) => Some((name.clone(), Value::null())),
                    _ => None,
                })
                .collect(),
            // Expansion and the evaluator know those of components and schemas.
            _ => Vec::new(),
        }
    }

    /// Whether a field that is null counts as absent.
    pub fn may_be_absent(&self, name: &str) -> bool {
        match self {
            FieldsOf::Object(object) => object.fields.get(name).is_some_and(|field| matches!(field.need, Need::Absent)),
            _ => false,
        }
    }

    /// All names that may be given, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = match self {
            FieldsOf::Object(object) => object.fields.keys().map(|it| &**it).collect(),
            FieldsOf::Inputs(inputs) => inputs.iter().map(|it| &*it.name).collect(),
            FieldsOf::Attributes(kind) | FieldsOf::SomeAttributes(kind) => input_names(&kind.attributes),
            FieldsOf::Settings(settings) => input_names(settings),
        };
        names.sort_unstable();
        names
    }

    pub fn is_part(&self) -> bool {
        matches!(self, FieldsOf::SomeAttributes(_))
    }
}

fn input_names(attributes: &[Attribute]) -> Vec<&str> {
    attributes.iter().filter(|it| it.is_input()).map(|it| &*it.name).collect()
}

fn given(attribute: &Attribute) -> Field {
    let ty = match attribute.given {
        Given::Required | Given::Computed | Given::Live => attribute.ty.clone(),
        // Null means absent.
        Given::Optional | Given::Default(_) | Given::OptionalComputed => attribute.ty.clone().optional(),
    };
    let ty = match (attribute.sensitive, ty) {
        (false, ty) => ty,
        (true, Type::Optional(of)) => super::fit::sink(&of, true).optional(),
        (true, ty) => super::fit::sink(&ty, true),
    };
    Field { ty, declared: None, computed: attribute.is_computed() }
}

fn required(attributes: &[Attribute]) -> Vec<(Name, Type)> {
    // A name that the engine can make may be left out.
    let needed = attributes.iter().filter(|it| matches!(it.given, Given::Required) && it.naming.is_none());
    needed.map(|it| (it.name.clone(), it.ty.clone())).collect()
}

/// A type where objects may be given in part.
fn part_of(ty: &Type) -> Type {
    match ty {
        Type::Object(object) => {
            let field = |field: &crate::model::types::FieldType| crate::model::types::FieldType {
                ty: part_of(&field.ty),
                need: Need::Absent,
            };
            let fields = object.fields.iter().map(|(name, it)| (name.clone(), field(it))).collect();
            Type::Object(Arc::new(ObjectType { fields, name: object.name.clone() }))
        }
        Type::Optional(of) => part_of(of).optional(),
        Type::Sensitive(of) => Type::Sensitive(Box::new(part_of(of))),
        other => other.clone(),
    }
}
