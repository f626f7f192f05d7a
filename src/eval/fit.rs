//! Fitting values into types: ints widen, defaults are filled in, `3` becomes `3..3`, refinements are checked.

use std::cell::RefCell;
use std::sync::Arc;

use rust_decimal::Decimal;
use rustc_hash::FxHashMap;

use super::encode::sort_of;
use super::{Budget, Outcome, residual};
use crate::model::expr::ExprKind;
use crate::model::types::{Bounds, Name, Need, ObjectType, TextRule};
use crate::model::value::{Condition, Fields, Metric};
use crate::model::{Code, Data, Diagnostic, Span, Type, Value};

/// Fits a value into a type. What is unknown inside of it is fitted when it is known.
///
/// Errors: [`Code::OutOfRange`] for what a refinement does not allow, [`Code::WrongType`], [`Code::MissingField`],
/// [`Code::UnknownField`]; `span` is the place that wants the type.
pub fn fit(value: Value, ty: &Type, span: Span) -> Outcome<Value> {
    Fitting { budget: &Budget::new(), span }.fit(value, ty)
}

pub(super) struct Fitting<'a> {
    pub budget: &'a Budget,
    pub span: Span,
}

impl Fitting<'_> {
    pub fn fit(&self, value: Value, ty: &Type) -> Outcome<Value> {
        if fits(&value, ty) { Ok(value) } else { self.fit_parts(value, ty) }
    }

    fn fit_parts(&self, value: Value, ty: &Type) -> Outcome<Value> {
        if let Data::Unknown(unknown) = &value.data {
            return match ty {
                Type::Any | Type::Poison => Ok(value),
                _ if unknown.ty == *ty => Ok(value),
                _ => self.later(&value, &unknown.ty, ty),
            };
        }
        match ty {
            Type::Any | Type::Poison => Ok(value),
            Type::Optional(_) if value.is_null() => Ok(value),
            Type::Optional(inner) | Type::Sensitive(inner) => self.fit_parts(value, inner),
            Type::Secret(inner) => Ok(self.fit_parts(value, inner)?.secret()),
            Type::Null if value.is_null() => Ok(value),
            _ => self.fit_data(value, ty),
        }
    }

    fn fit_data(&self, value: Value, ty: &Type) -> Outcome<Value> {
        let Value { data, mark } = value;
        let origin = mark.origin;
        let wrong = |data: Data, mark| self.wrong(&Value { data, mark }, ty);
        let data = match (ty, data) {
            (Type::Bool, data @ Data::Bool(_))
            | (Type::Duration, data @ Data::Duration(_))
            | (Type::Size, data @ Data::Size(_))
            | (Type::Percent, data @ Data::Percent(_))
            | (Type::Rate, data @ Data::Rate(_))
            | (Type::Money, data @ Data::Money(..))
            | (Type::Instant, data @ Data::Instant(_))
            | (Type::Ref(_), data @ Data::Ref(_))
            | (Type::Provider(_), data @ Data::Provider(_))
            | (Type::Condition, data @ Data::Condition(_))
            | (Type::Resource(_), data @ Data::Map(_)) => data,
            (Type::Int(bounds), Data::Int(number)) if within(bounds, &number) => Data::Int(number),
            (Type::Number(bounds), Data::Int(number)) if within(bounds, &Decimal::from(number)) => {
                Data::Number(Decimal::from(number))
            }
            (Type::Number(bounds), Data::Number(number)) if within(bounds, &number) => Data::Number(number),
            (Type::Number(bounds), Data::Percent(ratio)) if within(bounds, &ratio) => Data::Number(ratio),
            (Type::Int(_), data @ Data::Int(_))
            | (Type::Number(_), data @ (Data::Int(_) | Data::Number(_) | Data::Percent(_))) => {
                return Err(self.outside(&Value { data, mark }, ty, format!("is not {ty}")));
            }
            (Type::Text(rule), Data::Text(text)) => match violation(rule, &text) {
                None => Data::Text(text),
                Some(why) => return Err(self.outside(&Value { data: Data::Text(text), mark }, ty, why)),
            },
            (Type::Literals(values), data) => {
                let value = Value { data, mark };
                if !values.contains(&value) {
                    return match matches!(value.data, Data::Text(_) | Data::Int(_) | Data::Number(_) | Data::Bool(_)) {
                        true => Err(self.outside(&value, ty, format!("is not one of {ty}"))),
                        false => Err(self.wrong(&value, ty)),
                    };
                }
                return Ok(value);
            }
            (Type::Range(of), Data::Range(ends)) => {
                let (low, high) = (self.fit_parts(ends.0.clone(), of)?, self.fit_parts(ends.1.clone(), of)?);
                Data::Range(Arc::new((low, high)))
            }
            (Type::Range(of), data @ (Data::Int(_) | Data::Number(_) | Data::Duration(_) | Data::Size(_) | Data::Percent(_))) => {
                let end = self.fit_parts(Value { data, mark: mark.clone() }, of)?;
                Data::Range(Arc::new((end.clone(), end)))
            }
            (Type::List(of, bounds), Data::List(items)) => {
                if !within(bounds, &(items.len() as u64)) {
                    let count = items.len();
                    return Err(self.outside(&Value { data: Data::List(items), mark }, ty, format!("has {count} elements")));
                }
                Data::List(self.fit_items(items, of)?)
            }
            (Type::Set(of), Data::List(items)) => Data::List(self.fit_items(items, of)?),
            (Type::Map(of), Data::Map(fields)) => {
                let mut fields = unshared(fields);
                for field in fields.values_mut() {
                    *field = self.fit_parts(std::mem::replace(field, Value::null()), of)?;
                }
                Data::Map(Arc::new(fields))
            }
            (Type::Object(object), Data::Map(fields)) => Data::Map(Arc::new(self.fit_object(fields, object, origin)?)),
            (Type::Variant(variant), Data::Variant(label, fields)) => match variant.cases.get(&label) {
                Some(object) => {
                    let fields = self.fit_object(fields, object, origin)?;
                    Data::Variant(label, Arc::new(fields))
                }
                None => return Err(wrong(Data::Variant(label, fields), mark)),
            },
            // A label alone, where a value comes from outside of the program.
            (Type::Variant(variant), Data::Text(label)) if variant.cases.contains_key(&label) => {
                let fields = self.fit_object(Arc::default(), &variant.cases[&label], origin)?;
                Data::Variant(label, Arc::new(fields))
            }
            (Type::Metric(unit), Data::Metric(metric)) => {
                Data::Metric(Arc::new(Metric { unit: (**unit).clone(), ..(*metric).clone() }))
            }
            // What a `promql"…"` is depends on where it stands.
            (Type::Condition, Data::Metric(metric)) => {
                Data::Condition(Arc::new(Condition { promql: metric.promql.clone(), source: metric.source.clone() }))
            }
            (_, data) => return Err(wrong(data, mark)),
        };
        Ok(Value { data, mark })
    }

    fn fit_items(&self, items: Arc<Vec<Value>>, of: &Type) -> Outcome<Arc<Vec<Value>>> {
        let mut items = Arc::try_unwrap(items).unwrap_or_else(|shared| (*shared).clone());
        for item in &mut items {
            *item = self.fit_parts(std::mem::replace(item, Value::null()), of)?;
        }
        Ok(Arc::new(items))
    }

    fn fit_object(&self, fields: Arc<Fields>, object: &ObjectType, origin: Span) -> Outcome<Fields> {
        // Both are ordered by name.
        let mut given = unshared(fields).into_iter().peekable();
        let mut unknown = None;
        let mut fitted = Fields::with_capacity(object.fields.len());
        for (name, field) in &object.fields {
            while let Some(other) = given.next_if(|(given, _)| given < name) {
                unknown.get_or_insert(other);
            }
            let value = given.next_if(|(given, _)| given == name).map(|(_, value)| value);
            let value = match (&field.need, value) {
                (Need::Absent, Some(value)) if value.is_null() => continue,
                (_, Some(value)) => value,
                (Need::Absent, None) => continue,
                (Need::Default(default), None) => default.clone(),
                (Need::Required, None) if matches!(field.ty, Type::Optional(_)) => Value::null(),
                (Need::Required, None) => {
                    return Err(Box::new(
                        Code::MissingField
                            .error(format!("`{name}` is missing"))
                            .label(self.place(origin), format!("needs `{name}: {}`", field.ty)),
                    ));
                }
            };
            fitted.insert(name.clone(), self.fit_parts(value, &field.ty)?);
        }
        match unknown.or_else(|| given.next()) {
            None => Ok(fitted),
            Some((name, value)) => Err(Box::new(
                Code::UnknownField
                    .error(format!("there is no field `{}`", name.escape_debug()))
                    .label(self.place(value.mark.origin), "unknown field"),
            )),
        }
    }

    /// Fits an unknown value when it is known.
    fn later(&self, value: &Value, was: &Type, ty: &Type) -> Outcome<Value> {
        let rest = residual::expression(value, self.budget, self.span)?;
        let fitted = match ty {
            Type::Optional(inner) if !may_be_null(was) => &**inner,
            other => other,
        };
        let convert = ExprKind::Convert(Box::new(rest), Arc::new(ty.clone()));
        let mut later = residual::unknown(convert, without_taint(fitted).clone(), &[value], value.mark.origin);
        later.mark.secret |= matches!(ty, Type::Secret(_));
        Ok(later)
    }

    fn place(&self, origin: Span) -> Span {
        if origin.is_engine() { self.span } else { origin }
    }

    fn wrong(&self, value: &Value, ty: &Type) -> Box<Diagnostic> {
        let what = match &value.data {
            Data::Null => "this is null".to_owned(),
            data => format!("this is {}", sort_of(data)),
        };
        let label = format!("expected {ty}");
        Box::new(Code::WrongType.error(format!("{what}, and its place takes {ty}")).label(self.place(value.mark.origin), label))
    }

    fn outside(&self, value: &Value, ty: &Type, why: String) -> Box<Diagnostic> {
        let shown: String = value.to_literal().chars().take(80).collect();
        let place = self.place(value.mark.origin);
        let mut diagnostic = Code::OutOfRange.error(format!("{shown} {why}")).label(place, format!("expected {ty}"));
        if place != self.span && !self.span.is_engine() {
            diagnostic = diagnostic.label(self.span, "taken here");
        }
        Box::new(diagnostic)
    }
}

/// Whether fitting would leave the value as it is. It may say no where it would.
fn fits(value: &Value, ty: &Type) -> bool {
    match (ty, &value.data) {
        (Type::Any | Type::Poison, _) => true,
        (_, Data::Unknown(unknown)) => unknown.ty == *ty,
        (Type::Optional(_) | Type::Null, Data::Null) => true,
        (Type::Optional(inner) | Type::Sensitive(inner), _) => fits(value, inner),
        (Type::Secret(inner), _) => value.mark.secret && fits(value, inner),
        (Type::Bool, Data::Bool(_))
        | (Type::Duration, Data::Duration(_))
        | (Type::Size, Data::Size(_))
        | (Type::Percent, Data::Percent(_))
        | (Type::Text(TextRule::Any), Data::Text(_))
        | (Type::Ref(_), Data::Ref(_))
        | (Type::Provider(_), Data::Provider(_))
        | (Type::Condition, Data::Condition(_)) => true,
        (Type::Int(bounds), Data::Int(number)) => within(bounds, number),
        (Type::Number(bounds), Data::Number(number)) => within(bounds, number),
        (Type::Literals(values), _) => values.contains(value),
        (Type::Range(of), Data::Range(ends)) => fits(&ends.0, of) && fits(&ends.1, of),
        (Type::List(of, bounds), Data::List(items)) => {
            within(bounds, &(items.len() as u64)) && items.iter().all(|item| fits(item, of))
        }
        (Type::Set(of), Data::List(items)) => items.iter().all(|item| fits(item, of)),
        (Type::Map(of), Data::Map(fields)) => fields.values().all(|field| fits(field, of)),
        (Type::Object(object), Data::Map(fields)) => object_fits(fields, object),
        (Type::Variant(variant), Data::Variant(label, fields)) => {
            variant.cases.get(label).is_some_and(|object| object_fits(fields, object))
        }
        _ => false,
    }
}

/// Whether every field is there, and no other.
fn object_fits(fields: &Fields, object: &ObjectType) -> bool {
    let mut given = fields.iter().peekable();
    let all = object.fields.iter().all(|(name, field)| match given.next_if(|(given, _)| *given == name) {
        Some((_, value)) => !(value.is_null() && field.need == Need::Absent) && fits(value, &field.ty),
        None => field.need == Need::Absent,
    });
    all && given.next().is_none()
}

fn unshared(fields: Arc<Fields>) -> Fields {
    Arc::try_unwrap(fields).unwrap_or_else(|shared| (*shared).clone())
}

fn within<T: PartialOrd>(bounds: &Bounds<T>, value: &T) -> bool {
    bounds.min.as_ref().is_none_or(|min| value >= min) && bounds.max.as_ref().is_none_or(|max| value <= max)
}

/// Whether a value of the type may turn out to be null.
pub(super) fn may_be_null(ty: &Type) -> bool {
    match ty {
        Type::Optional(_) | Type::Null | Type::Any | Type::Poison => true,
        Type::Secret(inner) | Type::Sensitive(inner) => may_be_null(inner),
        _ => false,
    }
}

fn without_taint(ty: &Type) -> &Type {
    match ty {
        Type::Secret(inner) | Type::Sensitive(inner) => without_taint(inner),
        other => other,
    }
}

/// Why the text is not what the rule wants, as the end of a sentence.
fn violation(rule: &TextRule, text: &str) -> Option<String> {
    let fits = match rule {
        TextRule::Any => true,
        TextRule::Matches(pattern) => return (!matches(pattern, text)).then(|| format!("does not match {pattern}")),
        TextRule::Cron => is_cron(text),
        TextRule::Cidr => super::builtins::is_network(text),
        TextRule::Semver => is_semver(text),
        TextRule::Path => !text.is_empty() && !text.contains('\0'),
        TextRule::Url => url::Url::parse(text).is_ok_and(|url| url.has_host() || url.scheme() == "mailto"),
    };
    let what = match rule {
        TextRule::Cron => "is not a schedule such as 0 4 * * *",
        TextRule::Cidr => "is not a network such as 10.0.0.0/16",
        TextRule::Semver => "is not a version such as 1.4.0",
        TextRule::Path => "is not a path",
        _ => "is not a URL such as https://example.com/a",
    };
    (!fits).then(|| what.to_owned())
}

fn matches(pattern: &Name, text: &str) -> bool {
    thread_local! {
        static COMPILED: RefCell<FxHashMap<Name, Option<regex::Regex>>> = RefCell::default();
    }
    COMPILED.with_borrow_mut(|compiled| {
        if compiled.len() > 256 {
            compiled.clear();
        }
        let regex = compiled.entry(pattern.clone()).or_insert_with(|| super::builtins::compile(pattern).ok());
        // The checker has refused patterns that do not compile.
        regex.as_ref().is_none_or(|regex| regex.is_match(text))
    })
}

fn is_cron(text: &str) -> bool {
    const FIELDS: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
    if matches!(text, "@yearly" | "@annually" | "@monthly" | "@weekly" | "@daily" | "@midnight" | "@hourly") {
        return true;
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    fields.len() == 5 && fields.iter().zip(FIELDS).all(|(field, bounds)| field.split(',').all(|part| is_cron_part(part, bounds)))
}

fn is_cron_part(part: &str, (min, max): (u32, u32)) -> bool {
    const NAMES: [&str; 19] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "sun", "mon", "tue", "wed", "thu",
        "fri", "sat",
    ];
    let number = |text: &str| text.parse::<u32>().is_ok_and(|number| (min..=max).contains(&number));
    let single = |text: &str| number(text) || max <= 12 && NAMES.contains(&text.to_ascii_lowercase().as_str());
    let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
    let step_fits = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0 && step <= max.max(1)));
    let range_fits = range == "*" || range.split_once('-').map_or_else(|| single(range), |(a, b)| single(a) && single(b));
    step_fits && range_fits
}

fn is_semver(text: &str) -> bool {
    let (core, build) = text.split_once('+').map_or((text, None), |(core, build)| (core, Some(build)));
    let (core, pre) = core.split_once('-').map_or((core, None), |(core, pre)| (core, Some(pre)));
    let number = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let words = |text: &str| {
        text.split('.').all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
    };
    core.split('.').count() == 3 && core.split('.').all(number) && pre.is_none_or(words) && build.is_none_or(words)
}
