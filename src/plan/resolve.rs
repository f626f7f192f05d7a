//! Evaluates what is left of a value with what is known by now.

use std::sync::Arc;

use crate::model::expr::{ExprKind, Reference, Step};
use crate::model::{Address, Data, Diagnostic, Value};

/// Until the evaluator is there: resolves values that are one attribute and nothing else, and leaves all others unknown.
pub(super) fn resume(value: &Value, lookup: &dyn Fn(&Address, &[Step]) -> Option<Value>) -> Result<Value, Box<Diagnostic>> {
    let mut out = value.clone();
    match &value.data {
        Data::Unknown(unknown) => {
            let mut rest = &*unknown.rest;
            while let ExprKind::Convert(inner, _) = &rest.kind {
                rest = inner;
            }
            if let ExprKind::Name(Reference::Attribute { address, path }) = &rest.kind
                && let Some(known) = lookup(address, path)
            {
                out.data = known.data;
                out.mark.secret |= known.mark.secret;
            }
        }
        Data::List(items) => {
            let items = items.iter().map(|item| resume(item, lookup)).collect::<Result<_, _>>()?;
            out.data = Data::List(Arc::new(items));
        }
        Data::Map(fields) => {
            let fields = fields.iter().map(|(name, item)| Ok((name.clone(), resume(item, lookup)?)));
            out.data = Data::Map(Arc::new(fields.collect::<Result<_, Box<Diagnostic>>>()?));
        }
        _ => {}
    }
    Ok(out)
}
