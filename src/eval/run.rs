//! Evaluation of expressions.

use std::sync::Arc;

use super::builtins;
use super::calls::problem;
use super::encode::sort_of;
use super::fit::{Fitting, may_be_null};
use super::loops::Leaf;
use super::operators::{self, NoResult};
use super::typing::type_of;
use super::{Names, Outcome, promql, residual};
use crate::model::expr::{Binary, ExprKind, ListPart, MapPart, Pattern, Unary};
use crate::model::value::{Mark, Metric};
use crate::model::{Code, Data, Diagnostic, Expr, Fields, Name, Slot, Span, Type, Value};

/// Variables and their values, the innermost last.
pub type Locals = Vec<(Slot, Value)>;

pub struct Evaluator<'n> {
    pub names: &'n dyn Names,
}

/// Adds what sticks to a value that took part.
pub fn taint(mark: &mut Mark, part: &Value) {
    mark.secret |= part.mark.secret;
    if mark.within.is_none() {
        mark.within = part.mark.within.clone();
    }
}

/// The key of a map that a value stands for: a text, or an int in decimals.
pub fn key_text(key: &Value, span: Span) -> Outcome<Name> {
    match &key.data {
        Data::Text(text) => Ok(text.clone()),
        Data::Int(number) => Ok(number.to_string().into()),
        other => Err(Box::new(
            Code::WrongType
                .error(format!("a key is a string or an int, and this is {}", sort_of(other)))
                .label(span, "expected a string"),
        )),
    }
}

impl Evaluator<'_> {
    /// `level`: how many variables of unknown collections surround the expression.
    pub fn eval(&self, expr: &Expr, locals: &mut Locals, level: u32) -> Outcome<Value> {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Literal(value) => return Ok(value.clone()),
            ExprKind::Local(slot) => return self.local(*slot, locals, span),
            _ => {}
        }
        let budget = self.names.budget();
        budget.charge(1, span)?;
        let mut value = budget.deeper(span, || self.eval_deep(expr, locals, level))?;
        if !matches!(expr.kind, ExprKind::Name(_) | ExprKind::Field { .. } | ExprKind::Index { .. } | ExprKind::If(..)) {
            budget.bound(&value, span)?;
        }
        if matches!(
            expr.kind,
            ExprKind::Name(_) | ExprKind::Member { .. } | ExprKind::Field { .. } | ExprKind::Index { .. } | ExprKind::Call(..)
        ) {
            // What was read far away is said to come from where it was read.
            value.mark.origin = self.nearer(value.mark.origin, span);
        }
        Ok(value)
    }

    /// The place of the two that is nearer to whoever runs the program; the first if neither is.
    fn nearer(&self, first: Span, second: Span) -> Span {
        let near = |span: Span| if span.is_engine() { 0 } else { self.names.nearness(span.source) };
        if first != second && near(second) > near(first) { second } else { first }
    }

    fn eval_deep(&self, expr: &Expr, locals: &mut Locals, level: u32) -> Outcome<Value> {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Literal(value) => Ok(value.clone()),
            ExprKind::Local(slot) => self.local(*slot, locals, span),
            ExprKind::Text(parts) => self.text(parts, locals, level, span),
            ExprKind::Promql { pieces, values } => self.promql(pieces, values, locals, level, span),
            ExprKind::Name(reference) => self.names.reference(reference, span),
            ExprKind::Field { of, name, optional } => {
                let of = self.eval(of, locals, level)?;
                self.field(of, name, *optional, span)
            }
            ExprKind::Index { of, key, optional } => {
                let of = self.eval(of, locals, level)?;
                if *optional && of.is_null() {
                    return Ok(of);
                }
                let key = self.eval(key, locals, level)?;
                self.index(of, key, *optional, span)
            }
            ExprKind::Member { of, member, optional } => {
                let of = self.eval(of, locals, level)?;
                self.member(of, member, *optional, locals, level, span)
            }
            ExprKind::Unary(operator, of) => {
                let of = self.eval(of, locals, level)?;
                if of.is_unknown() {
                    let kind = ExprKind::Unary(*operator, Box::new(self.expression(&of, span)?));
                    let ty = if *operator == Unary::Not { Type::Bool } else { type_of(&of) };
                    return Ok(self.unknown(kind, ty, &[&of], span));
                }
                let data = operators::unary(*operator, &of).map_err(|it| no_result(it, span))?;
                Ok(self.made(data, &[&of], span))
            }
            ExprKind::Binary(operator, left, right) => self.binary(*operator, left, right, locals, level, span),
            ExprKind::If(condition, then, otherwise) => self.branch(condition, then, otherwise, locals, level, span),
            ExprKind::Match(of, arms) => self.matched(of, arms, locals, level, span),
            ExprKind::List(parts) => self.list(parts, locals, level, span),
            ExprKind::Map(parts) => self.map(parts, locals, level, span),
            ExprKind::ForList { clauses, item } => self.comprehend(clauses, &Leaf::Item(item), locals, level, span),
            ExprKind::ForMap { clauses, key, value } => self.comprehend(clauses, &Leaf::Entry(key, value), locals, level, span),
            ExprKind::Variant(label, object) => self.variant(label, object, locals, level, span),
            ExprKind::Builtin(builtin, arguments) => self.builtin(builtin, arguments, locals, level, span),
            ExprKind::Call(place, arguments) => {
                let callee = self.names.function(*place).ok_or_else(|| bug("the function does not exist", span))?;
                let mut frame = Locals::with_capacity(arguments.len());
                for (at, argument) in arguments.iter().enumerate() {
                    frame.push((Slot(at as u32), self.eval(argument, locals, level)?));
                }
                Evaluator { names: &*callee.names }.eval(callee.body, &mut frame, level)
            }
            ExprKind::Convert(of, ty) => {
                let value = self.eval(of, locals, level)?;
                Fitting { budget: self.names.budget(), span }.fit(value, ty)
            }
        }
    }

    fn local(&self, slot: Slot, locals: &Locals, span: Span) -> Outcome<Value> {
        let found = locals.iter().rev().find(|(bound, _)| *bound == slot);
        found.map(|(_, value)| value.clone()).ok_or_else(|| bug("a variable has no value", span))
    }

    /// The value as an expression.
    pub fn expression(&self, value: &Value, span: Span) -> Outcome<Expr> {
        residual::expression(value, self.names.budget(), span)
    }

    /// Evaluates what may turn out not to be needed: what fails here is left as something that fails.
    pub fn attempt(&self, span: Span, run: impl FnOnce() -> Outcome<Value>) -> Outcome<Value> {
        match run() {
            Ok(value) => Ok(value),
            Err(error) => {
                let failure = residual::failure(error, span)?;
                Ok(residual::unknown(failure.kind, Type::Any, &[], span))
            }
        }
    }

    pub fn unknown(&self, kind: ExprKind, ty: Type, of: &[&Value], span: Span) -> Value {
        let mut value = residual::unknown(kind, ty, of, span);
        value.mark.origin = self.origin(of, span);
        value
    }

    /// A value that was computed from these.
    pub fn made(&self, data: Data, of: &[&Value], span: Span) -> Value {
        let mut mark = Mark::at(self.origin(of, span));
        of.iter().for_each(|part| taint(&mut mark, part));
        Value { data, mark }
    }

    /// The text that a computed value is said to come from: the nearest that took part, the computation itself if none is nearer.
    pub fn origin(&self, of: &[&Value], span: Span) -> Span {
        of.iter().map(|value| value.mark.origin).fold(span, |best, it| self.nearer(best, it))
    }

    fn text(&self, parts: &[Expr], locals: &mut Locals, level: u32, span: Span) -> Outcome<Value> {
        let mut values = Vec::with_capacity(parts.len());
        for part in parts {
            values.push(self.eval(part, locals, level)?);
        }
        let of: Vec<&Value> = values.iter().collect();
        if values.iter().any(Value::is_unknown) {
            let left = values.iter().map(|value| self.expression(value, span)).collect::<Outcome<_>>()?;
            return Ok(self.unknown(ExprKind::Text(left), Type::TEXT, &of, span));
        }
        let mut text = String::new();
        for (value, part) in values.iter().zip(parts) {
            match &value.data {
                Data::Text(piece) => text.push_str(piece),
                Data::Int(number) => text.push_str(&number.to_string()),
                Data::Number(number) => text.push_str(&number.normalize().to_string()),
                Data::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
                other => {
                    return Err(Box::new(
                        Code::WrongType
                            .error(format!("{} does not go into a string", sort_of(other)))
                            .label(part.span, "expected a string, an int, a number or a bool"),
                    ));
                }
            }
            builtins::bounded(text.len()).map_err(|it| problem(it, None, span))?;
        }
        self.names.budget().charge(text.len() as u64 / 8, span)?;
        Ok(self.made(Data::Text(text.into()), &of, span))
    }

    fn promql(&self, pieces: &[Arc<str>], values: &[Expr], locals: &mut Locals, level: u32, span: Span) -> Outcome<Value> {
        let mut held = Vec::with_capacity(values.len());
        for value in values {
            held.push(self.eval(value, locals, level)?);
        }
        let of: Vec<&Value> = held.iter().collect();
        if held.iter().any(Value::is_unknown) {
            let values = held.iter().map(|value| self.expression(value, span)).collect::<Outcome<_>>()?;
            return Ok(self.unknown(
                ExprKind::Promql { pieces: pieces.to_vec(), values },
                Type::Metric(Box::new(Type::NUMBER)),
                &of,
                span,
            ));
        }
        let (mut text, mut source) = (String::new(), None);
        for (at, piece) in pieces.iter().enumerate() {
            text.push_str(piece);
            let Some(value) = held.get(at) else { continue };
            match &value.data {
                Data::Text(inner) => text.push_str(&promql::quoted(inner)),
                Data::Duration(nanos) if in_brackets(&text) => text.push_str(&promql::duration_text(*nanos)),
                Data::Metric(metric) => {
                    source = source.or_else(|| metric.source.clone());
                    text.push_str(&format!("({})", metric.promql));
                }
                other => match promql::number(other) {
                    Some(number) => text.push_str(&number),
                    None => {
                        return Err(Box::new(
                            Code::WrongType
                                .error(format!("{} does not go into a PromQL expression", sort_of(other)))
                                .label(values[at].span, "expected a string, a number, a unit or a metric"),
                        ));
                    }
                },
            }
            builtins::bounded(text.len()).map_err(|it| problem(it, None, span))?;
        }
        let metric = Metric { promql: text.trim().into(), unit: Type::NUMBER, source };
        Ok(self.made(Data::Metric(Arc::new(metric)), &of, span))
    }

    fn binary(&self, operator: Binary, left: &Expr, right: &Expr, locals: &mut Locals, level: u32, span: Span) -> Outcome<Value> {
        let a = self.eval(left, locals, level)?;
        match operator {
            Binary::And | Binary::Or => return self.logic(operator, a, right, locals, level, span),
            Binary::Else => return self.or_else(a, right, locals, level, span),
            _ => {}
        }
        let b = self.eval(right, locals, level)?;
        let same = matches!(operator, Binary::Equal | Binary::NotEqual);
        if same && let Some(equal) = null_test(&a, &b) {
            let mut tested = self.made(Data::Bool(equal == (operator == Binary::Equal)), &[&a, &b], span);
            // Whether something is there is no secret, unless a secret decided that it is not.
            tested.mark.secret = [&a, &b].iter().any(|it| it.is_null() && it.mark.secret);
            return Ok(tested);
        }
        let waits = match same {
            true => a.has_unknown() || b.has_unknown(),
            false => a.is_unknown() || b.is_unknown(),
        };
        if waits && operator != Binary::Range {
            let (left, right) = (self.expression(&a, span)?, self.expression(&b, span)?);
            let kind = ExprKind::Binary(operator, Box::new(left), Box::new(right));
            return Ok(self.unknown(kind, result_type(operator, &a, &b), &[&a, &b], span));
        }
        let data = operators::binary(operator, &a, &b).map_err(|it| no_result(it, span))?;
        let mut value = self.made(data, &[&a, &b], span);
        // The comparison looked at every part.
        value.mark.secret |= same && (a.has_secret() || b.has_secret());
        Ok(value)
    }

    fn logic(&self, operator: Binary, a: Value, right: &Expr, locals: &mut Locals, level: u32, span: Span) -> Outcome<Value> {
        match &a.data {
            Data::Bool(held) if *held == (operator == Binary::Or) => Ok(a),
            Data::Bool(_) => {
                let b = self.eval(right, locals, level)?;
                let data = b.data.clone();
                Ok(self.made(data, &[&a, &b], span))
            }
            Data::Condition(one) => {
                let (inner, negated) = match &right.kind {
                    ExprKind::Unary(Unary::Not, inner) if operator == Binary::And => (&**inner, true),
                    _ => (right, false),
                };
                let b = self.eval(inner, locals, level)?;
                match &b.data {
                    Data::Condition(other) => {
                        let data = operators::join_conditions(operator, one, other, negated);
                        Ok(self.made(data.map_err(|it| no_result(it, span))?, &[&a, &b], span))
                    }
                    _ => {
                        let b = if negated { self.eval(right, locals, level)? } else { b };
                        self.later(operator, &a, &b, Type::Condition, span)
                    }
                }
            }
            Data::Unknown(_) => {
                let b = self.attempt(span, || self.eval(right, locals, level))?;
                let ty = if *type_of(&a).bare() == Type::Condition { Type::Condition } else { Type::Bool };
                self.later(operator, &a, &b, ty, span)
            }
            other => Err(Box::new(
                Code::BadOperands
                    .error(format!("`{}` does not take {}", operator.symbol(), sort_of(other)))
                    .label(span, "expected bools or conditions"),
            )),
        }
    }

    fn later(&self, operator: Binary, a: &Value, b: &Value, ty: Type, span: Span) -> Outcome<Value> {
        let (left, right) = (self.expression(a, span)?, self.expression(b, span)?);
        Ok(self.unknown(ExprKind::Binary(operator, Box::new(left), Box::new(right)), ty, &[a, b], span))
    }

    fn or_else(&self, a: Value, right: &Expr, locals: &mut Locals, level: u32, span: Span) -> Outcome<Value> {
        match &a.data {
            Data::Null => {
                let mut b = self.eval(right, locals, level)?;
                taint(&mut b.mark, &a);
                Ok(b)
            }
            Data::Unknown(unknown) if may_be_null(&unknown.ty) => {
                let b = self.attempt(span, || self.eval(right, locals, level))?;
                let ty = match &unknown.ty {
                    Type::Optional(inner) if !may_be_null(&type_of(&b)) => (**inner).clone(),
                    other => other.clone(),
                };
                self.later(Binary::Else, &a, &b, ty, span)
            }
            _ => Ok(a),
        }
    }

    fn branch(
        &self,
        condition: &Expr,
        then: &Expr,
        otherwise: &Expr,
        locals: &mut Locals,
        level: u32,
        span: Span,
    ) -> Outcome<Value> {
        let held = self.eval(condition, locals, level)?;
        match &held.data {
            Data::Bool(chosen) => {
                let mut value = self.eval(if *chosen { then } else { otherwise }, locals, level)?;
                value.mark.secret |= held.mark.secret;
                Ok(value)
            }
            Data::Unknown(_) => {
                let a = self.attempt(span, || self.eval(then, locals, level))?;
                let b = self.attempt(span, || self.eval(otherwise, locals, level))?;
                let ty = builtins::join(&type_of(&a), &type_of(&b)).unwrap_or(Type::Any);
                let kind = ExprKind::If(
                    Box::new(self.expression(&held, span)?),
                    Box::new(self.expression(&a, span)?),
                    Box::new(self.expression(&b, span)?),
                );
                Ok(self.unknown(kind, ty, &[&held, &a, &b], span))
            }
            other => Err(Box::new(
                Code::WrongType
                    .error(format!("a condition is a bool, and this is {}", sort_of(other)))
                    .label(condition.span, "expected a bool"),
            )),
        }
    }

    fn matched(&self, of: &Expr, arms: &[(Pattern, Expr)], locals: &mut Locals, level: u32, span: Span) -> Outcome<Value> {
        let of = self.eval(of, locals, level)?;
        let depth = locals.len();
        if of.is_unknown() {
            let (mut left, mut parts) = (Vec::with_capacity(arms.len()), vec![of.clone()]);
            for (pattern, arm) in arms {
                let (pattern, inner) = match pattern {
                    Pattern::Label(label, Some(slot)) => {
                        locals.push((*slot, residual::element(level, &of, span)));
                        (Pattern::Label(label.clone(), Some(residual::variable(level))), level + 1)
                    }
                    other => (other.clone(), level),
                };
                let value = self.attempt(span, || self.eval(arm, locals, inner));
                locals.truncate(depth);
                let value = value?;
                left.push((pattern, self.expression(&value, span)?));
                parts.push(value);
            }
            let types = parts[1..].iter().map(type_of);
            let ty = types.reduce(|a, b| builtins::join(&a, &b).unwrap_or(Type::Any)).unwrap_or(Type::Any);
            let kind = ExprKind::Match(Box::new(self.expression(&of, span)?), left);
            return Ok(self.unknown(kind, ty, &parts.iter().collect::<Vec<_>>(), span));
        }
        for (pattern, arm) in arms {
            let taken = match (pattern, &of.data) {
                (Pattern::Any, _) => true,
                (Pattern::Literals(values), _) => values.contains(&of),
                (Pattern::Labels(labels), Data::Variant(label, _)) => labels.contains(label),
                (Pattern::Label(wanted, slot), Data::Variant(label, fields)) if wanted == label => {
                    if let Some(slot) = slot {
                        locals.push((*slot, Value { data: Data::Map(fields.clone()), mark: of.mark.clone() }));
                    }
                    true
                }
                _ => false,
            };
            if taken {
                let value = self.eval(arm, locals, level);
                locals.truncate(depth);
                let mut value = value?;
                value.mark.secret |= of.mark.secret;
                return Ok(value);
            }
        }
        Err(Box::new(
            Code::NotExhaustive.error("no case of the `match` fits").label(span, format!("this is {}", of.to_literal())),
        ))
    }

    fn list(&self, parts: &[ListPart], locals: &mut Locals, level: u32, span: Span) -> Outcome<Value> {
        let mut values: Vec<(bool, Value)> = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                ListPart::Item(item) => values.push((false, self.eval(item, locals, level)?)),
                ListPart::Spread(list) => values.push((true, self.eval(list, locals, level)?)),
            }
        }
        if values.iter().any(|(spread, value)| *spread && value.is_unknown()) {
            let mut left = Vec::with_capacity(values.len());
            for (spread, value) in &values {
                let expr = self.expression(value, span)?;
                left.push(if *spread { ListPart::Spread(expr) } else { ListPart::Item(expr) });
            }
            let of: Vec<&Value> = values.iter().map(|(_, value)| value).collect();
            return Ok(self.unknown(ExprKind::List(left), Type::list(Type::Any), &of, span));
        }
        let (mut items, mut mark) = (Vec::with_capacity(values.len()), Mark::at(span));
        for (spread, value) in values {
            match (spread, &value.data) {
                (false, _) => items.push(value),
                (true, Data::List(inner)) => {
                    taint(&mut mark, &value);
                    items.extend(inner.iter().cloned());
                }
                (true, Data::Null) => {}
                (true, other) => return Err(spread_of(other, "a list", span)),
            }
        }
        Ok(Value { data: Data::List(Arc::new(items)), mark })
    }

    fn map(&self, parts: &[MapPart], locals: &mut Locals, level: u32, span: Span) -> Outcome<Value> {
        let mut values: Vec<(Option<Value>, Option<&Name>, Value)> = Vec::with_capacity(parts.len());
        let mut open = false;
        for part in parts {
            match part {
                MapPart::Entry(name, value) => values.push((None, Some(name), self.eval(value, locals, level)?)),
                MapPart::Computed(key, value) => {
                    let key = self.eval(key, locals, level)?;
                    open |= key.is_unknown();
                    values.push((Some(key), None, self.eval(value, locals, level)?));
                }
                MapPart::Spread(map) => {
                    let map = self.eval(map, locals, level)?;
                    open |= map.is_unknown();
                    values.push((None, None, map));
                }
            }
        }
        if open {
            let (mut left, mut of) = (Vec::with_capacity(values.len()), Vec::new());
            for (key, name, value) in &values {
                let expr = self.expression(value, span)?;
                left.push(match (key, name) {
                    (Some(key), _) => MapPart::Computed(self.expression(key, span)?, expr),
                    (None, Some(name)) => MapPart::Entry((*name).clone(), expr),
                    (None, None) => MapPart::Spread(expr),
                });
                of.extend(key.as_ref());
                of.push(value);
            }
            return Ok(self.unknown(ExprKind::Map(left), Type::map(Type::Any), &of, span));
        }
        let (mut fields, mut mark) = (Fields::with_capacity(values.len()), Mark::at(span));
        for (key, name, value) in values {
            match (key, name, &value.data) {
                (Some(key), ..) => {
                    taint(&mut mark, &key);
                    fields.insert(key_text(&key, span)?, value);
                }
                (None, Some(name), _) => drop(fields.insert(name.clone(), value)),
                (None, None, Data::Map(inner)) => {
                    taint(&mut mark, &value);
                    fields.extend(inner.iter().map(|(name, field)| (name.clone(), field.clone())));
                }
                (None, None, Data::Null) => {}
                (None, None, other) => return Err(spread_of(other, "an object or a map", span)),
            }
        }
        Ok(Value { data: Data::Map(Arc::new(fields)), mark })
    }

    fn variant(&self, label: &Name, object: &Expr, locals: &mut Locals, level: u32, span: Span) -> Outcome<Value> {
        let object = self.eval(object, locals, level)?;
        let data = match &object.data {
            Data::Map(fields) => Data::Variant(label.clone(), fields.clone()),
            Data::Null => Data::Variant(label.clone(), Arc::default()),
            Data::Unknown(_) => {
                let kind = ExprKind::Variant(label.clone(), Box::new(self.expression(&object, span)?));
                let ty = Type::Variant(Arc::default());
                return Ok(self.unknown(kind, ty, &[&object], span));
            }
            other => return Err(spread_of(other, "an object", span)),
        };
        Ok(self.made(data, &[&object], span))
    }
}

/// Whether `a == b` where one of them is null and the other is unknown or known; `None` where that does not decide it.
fn null_test(a: &Value, b: &Value) -> Option<bool> {
    let other = match (a.is_null(), b.is_null()) {
        (true, true) => return Some(true),
        (true, false) => b,
        (false, true) => a,
        (false, false) => return None,
    };
    match &other.data {
        Data::Unknown(unknown) if may_be_null(&unknown.ty) => None,
        _ => Some(false),
    }
}

fn result_type(operator: Binary, a: &Value, b: &Value) -> Type {
    match operator {
        Binary::Equal | Binary::NotEqual => Type::Bool,
        Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
            let metric = |value: &Value| matches!(type_of(value).bare(), Type::Metric(_));
            if metric(a) || metric(b) { Type::Condition } else { Type::Bool }
        }
        Binary::Plus | Binary::Minus => builtins::join(&type_of(a), &type_of(b)).unwrap_or_else(|| type_of(a)),
        // Never null, whatever it is.
        Binary::Times | Binary::Divide => match (type_of(a), type_of(b)) {
            (Type::Int(_) | Type::Number(_), other) | (other, Type::Int(_) | Type::Number(_)) => other,
            _ => Type::NUMBER,
        },
        _ => Type::Any,
    }
}

/// Whether what follows stands where PromQL has a duration.
fn in_brackets(before: &str) -> bool {
    let before = before.trim_end();
    before.ends_with('[') || before.ends_with(':') || before.ends_with("offset")
}

fn spread_of(other: &Data, expected: &str, span: Span) -> Box<Diagnostic> {
    Box::new(
        Code::WrongType
            .error(format!("this takes {expected}, and it is {}", sort_of(other)))
            .label(span, format!("expected {expected}")),
    )
}

fn no_result(why: NoResult, span: Span) -> Box<Diagnostic> {
    Box::new(why.code.error(why.message).label(span, "has no result"))
}

/// A broken promise of the checker's: said instead of a panic, since it is about a user's program.
pub fn bug(message: &str, span: Span) -> Box<Diagnostic> {
    Box::new(
        Code::WrongType
            .error(format!("this cannot be evaluated: {message}"))
            .label(span, "the checker should have refused it; please report it"),
    )
}
