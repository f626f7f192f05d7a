//! Values, built-ins, and expressions: evaluation with values that are not yet known.
//!
//! Takes a checked expression and the names in it, gives a value. Where something is unknown, what is left of the computation is
//! the value, and [`resume`] carries on when more is known. Knows no program, no environment, no state: names come from a
//! [`Names`].
//!
//! An unknown resource stands for the object of its attributes: its type is [`Type::Resource`], its rest an attribute with an
//! empty path. Reading a field of it asks [`Names::attribute`].

mod access;
mod budget;
pub mod builtins;
mod calls;
pub mod encode;
mod fit;
mod loops;
mod operators;
pub mod promql;
mod residual;
mod run;
mod typing;

use std::sync::Arc;

pub use budget::Budget;
pub use builtins::{Nothing, Outside, join};
pub use fit::fit;
pub use residual::walk;
pub use typing::type_of;

use crate::model::expr::{Member, Reference};
use crate::model::value::Reference as InstanceRef;
use crate::model::{Address, Code, Data, Diagnostic, Expr, ExprKind, Name, Slot, SourceId, Span, Step, Type, Value};

/// A value, or the one reason why there is none.
pub type Outcome<T> = Result<T, Box<Diagnostic>>;

/// What the names in an expression stand for.
pub trait Names {
    /// The value of a name. Never asked for [`Reference::Attribute`] unless the expression is what was left of an unknown value.
    fn reference(&self, reference: &Reference, span: Span) -> Outcome<Value>;

    /// An output, signal or input of an instance; `window` is the one that a signal was asked for.
    fn member(&self, of: &InstanceRef, member: &Member, window: Option<Value>, span: Span) -> Outcome<Value>;

    /// An attribute of a resource of that kind; usually unknown.
    fn attribute(&self, address: &Address, kind: &Name, name: &Name, span: Span) -> Outcome<Value>;

    /// A function of the program.
    fn function(&self, place: u32) -> Option<Callee<'_>>;

    fn outside(&self) -> &dyn Outside;

    fn budget(&self) -> &Budget;

    /// A secret is opened at this place, for this reason, now or when it is known.
    fn reveals(&self, _reason: &str, _span: Span) {}

    /// How near a source is to whoever runs the program: the text that a value is said to come from is the nearest one that took
    /// part. 0 for the engine, more for the library, for the user's files, for a value that was given from outside.
    fn nearness(&self, source: SourceId) -> u8;
}

/// Why a regular expression cannot be used, as a clause: it does not parse, or is too large once compiled.
pub fn pattern_problem(pattern: &str) -> Option<String> {
    builtins::compile(pattern).err()
}

/// A function of the program: its parameters are the slots from 0 on.
pub struct Callee<'n> {
    pub body: &'n Expr,
    /// What the names in the body stand for.
    pub names: Box<dyn Names + 'n>,
}

/// Evaluates an expression.
///
/// Errors: one diagnostic, at the smallest place that has no value: [`Code::Arithmetic`], [`Code::RequireFailed`] for `fail`,
/// [`Code::OutOfRange`], [`Code::NoSuchKey`], [`Code::BadArguments`], [`Code::Limit`], and what `names` answers.
pub fn evaluate(expr: &Expr, names: &dyn Names) -> Outcome<Value> {
    evaluate_with(expr, names, &[])
}

/// Evaluates an expression in which these variables are bound.
pub fn evaluate_with(expr: &Expr, names: &dyn Names, locals: &[(Slot, Value)]) -> Outcome<Value> {
    run::Evaluator { names }.eval(expr, &mut locals.to_vec(), 0)
}

/// Evaluates an expression that names nothing but built-ins: defaults, bounds, literals with units. What it costs is taken from
/// the budget, which all constants of a program share.
///
/// Errors: as [`evaluate`]; [`Code::TooLate`] where it names something.
pub fn evaluate_constant(expr: &Expr, budget: &Budget) -> Outcome<Value> {
    evaluate(expr, &Constants { budget })
}

/// Evaluates what is left of a value, wherever unknown values stand inside of it, with the attributes that are now known. What
/// `lookup` does not know stays unknown; it is asked with a path of one step, an attribute's name, or with none for the object of
/// all attributes.
///
/// Errors: as [`evaluate`]. Marks of the value stay: what was secret is secret, and it still came from the same text.
pub fn resume(value: &Value, lookup: &dyn Fn(&Address, &[Step]) -> Option<Value>) -> Outcome<Value> {
    if !value.has_unknown() {
        return Ok(value.clone());
    }
    resume_within(value, &Attributes { lookup, budget: Budget::new() })
}

fn resume_within(value: &Value, names: &Attributes<'_>) -> Outcome<Value> {
    let data = match &value.data {
        // A whole resource stays what it is: its attributes are asked for one by one.
        Data::Unknown(unknown) if matches!(unknown.ty.bare(), Type::Resource(_)) && is_whole(&unknown.rest, names) => {
            return Ok(value.clone());
        }
        Data::Unknown(unknown) => {
            let mut known = evaluate(&unknown.rest, names)?;
            known.mark.secret |= value.mark.secret;
            known.mark.within = known.mark.within.or_else(|| value.mark.within.clone());
            known.mark.origin = value.mark.origin;
            return Ok(known);
        }
        Data::List(items) => Data::List(Arc::new(items.iter().map(|item| resume_within(item, names)).collect::<Outcome<_>>()?)),
        Data::Map(fields) => Data::Map(Arc::new(resume_fields(fields, names)?)),
        Data::Variant(label, fields) => Data::Variant(label.clone(), Arc::new(resume_fields(fields, names)?)),
        Data::Range(ends) => Data::Range(Arc::new((resume_within(&ends.0, names)?, resume_within(&ends.1, names)?))),
        other => other.clone(),
    };
    Ok(Value { data, mark: value.mark.clone() })
}

/// Whether an expression is a resource that `lookup` does not know as a whole.
fn is_whole(expr: &Expr, names: &Attributes<'_>) -> bool {
    match &expr.kind {
        ExprKind::Name(Reference::Attribute { address, path }) => path.is_empty() && (names.lookup)(address, path).is_none(),
        _ => false,
    }
}

fn resume_fields(fields: &crate::model::Fields, names: &Attributes<'_>) -> Outcome<crate::model::Fields> {
    fields.iter().map(|(name, field)| Ok((name.clone(), resume_within(field, names)?))).collect()
}

/// The names in what is left of an unknown value.
struct Attributes<'a> {
    lookup: &'a dyn Fn(&Address, &[Step]) -> Option<Value>,
    budget: Budget,
}

impl Names for Attributes<'_> {
    fn reference(&self, reference: &Reference, span: Span) -> Outcome<Value> {
        match reference {
            Reference::Attribute { address, path } => {
                let found = (self.lookup)(address, path).map(|value| value.at(span));
                Ok(found.unwrap_or_else(|| residual::attribute(address, path, Type::Any, span)))
            }
            _ => Err(too_late(span)),
        }
    }

    fn member(&self, _: &InstanceRef, _: &Member, _: Option<Value>, span: Span) -> Outcome<Value> {
        Err(too_late(span))
    }

    fn attribute(&self, address: &Address, _: &Name, name: &Name, span: Span) -> Outcome<Value> {
        self.reference(&Reference::Attribute { address: address.clone(), path: vec![Step::Field(name.clone())] }, span)
    }

    fn function(&self, _: u32) -> Option<Callee<'_>> {
        None
    }

    fn outside(&self) -> &dyn Outside {
        &Nothing
    }

    fn budget(&self) -> &Budget {
        &self.budget
    }

    fn nearness(&self, _: SourceId) -> u8 {
        1
    }
}

/// No names at all.
struct Constants<'b> {
    budget: &'b Budget,
}

impl Names for Constants<'_> {
    fn reference(&self, _: &Reference, span: Span) -> Outcome<Value> {
        Err(too_late(span))
    }

    fn member(&self, _: &InstanceRef, _: &Member, _: Option<Value>, span: Span) -> Outcome<Value> {
        Err(too_late(span))
    }

    fn attribute(&self, _: &Address, _: &Name, _: &Name, span: Span) -> Outcome<Value> {
        Err(too_late(span))
    }

    fn function(&self, _: u32) -> Option<Callee<'_>> {
        None
    }

    fn outside(&self) -> &dyn Outside {
        &Nothing
    }

    fn budget(&self) -> &Budget {
        self.budget
    }

    fn nearness(&self, _: SourceId) -> u8 {
        1
    }
}

fn too_late(span: Span) -> Box<Diagnostic> {
    Box::new(Code::TooLate.error("this is known later than its place needs it").label(span, "has to be constant here"))
}

#[cfg(test)]
mod tests;
