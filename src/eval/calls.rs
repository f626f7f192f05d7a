//! Calls of built-in functions.

use super::Outcome;
use super::builtins::{self, Arguments, Problem};
use super::run::{Evaluator, Locals, bug};
use super::typing::type_of;
use crate::model::expr::{Builtin, ExprKind};
use crate::model::{Data, Diagnostic, Expr, Span, Type, Value};

impl Evaluator<'_> {
    pub fn builtin(
        &self,
        builtin: &Builtin,
        arguments: &[Option<Expr>],
        locals: &mut Locals,
        level: u32,
        span: Span,
    ) -> Outcome<Value> {
        let def = builtins::get(builtin).ok_or_else(|| bug("the function does not exist", span))?;
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(argument.as_ref().map(|argument| self.eval(argument, locals, level)).transpose()?);
        }
        let given = || values.iter().enumerate().filter_map(|(at, value)| Some((def.param(at)?, value.as_ref()?)));
        let of: Vec<&Value> = values.iter().flatten().collect();
        if def.reveals
            && let Some(reason) = values.get(1).and_then(|it| it.as_ref()).and_then(Value::as_text)
        {
            self.names.reveals(reason, span);
        }
        let secret = !def.reveals && given().any(|(param, value)| builtins::taints(&param.shape, value));
        if given().any(|(param, value)| builtins::waits(&param.shape, value)) {
            let left = values.iter().map(|value| value.as_ref().map(|it| self.expression(it, span)).transpose());
            let left = left.collect::<Outcome<_>>()?;
            let types: Vec<Option<Type>> = values.iter().map(|value| value.as_ref().map(type_of)).collect();
            let ty = match def.result(&types) {
                Ok(Type::Poison) | Err(_) => Type::Any,
                Ok(ty) => ty,
            };
            let mut value = self.unknown(ExprKind::Builtin(builtin.clone(), left), ty, &of, span);
            value.mark.secret &= !def.reveals;
            return Ok(value);
        }
        if def.name.starts_with("regex") {
            // A pattern is compiled, and goes through the whole text.
            let length: usize = values.iter().flatten().filter_map(Value::as_text).map(str::len).sum();
            self.names.budget().charge(5_000 + length as u64, span)?;
        }
        let call = Arguments { values: &values, outside: self.names.outside(), source: span.source };
        let mut value = (def.run)(&call).map_err(|it| {
            // The words may quote an argument.
            let quotes_secret = of.iter().any(|value| value.has_secret());
            let it = match quotes_secret {
                true => Problem { code: it.code, message: format!("`{}` has no result for a secret argument", def.name) },
                false => it,
            };
            problem(it, (!quotes_secret).then_some(def.name), span)
        })?;
        self.names.budget().charge(weight(&value) + values.iter().flatten().map(weight).sum::<u64>() / 10, span)?;
        value.mark.secret |= secret;
        if value.mark.within.is_none() {
            value.mark.within = of.iter().find_map(|part| part.mark.within.clone());
        }
        if value.mark.origin.is_engine() {
            value.mark.origin = self.origin(&of, span);
        }
        Ok(value)
    }
}

/// How many steps it takes to make a value, such that what all steps together make has room in memory.
fn weight(value: &Value) -> u64 {
    match &value.data {
        Data::Text(text) => 1 + text.len() as u64 / 8,
        Data::List(items) => 1 + 10 * items.len() as u64,
        Data::Map(fields) => 1 + 20 * fields.len() as u64,
        _ => 1,
    }
}

pub fn problem(why: Problem, name: Option<&str>, span: Span) -> Box<Diagnostic> {
    // The words of `fail` are the user's own.
    let message = match name {
        Some(name) if name != "fail" => format!("`{name}`: {}", why.message),
        _ => why.message,
    };
    Box::new(why.code.error(message).label(span, "has no result"))
}
