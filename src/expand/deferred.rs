//! Sets whose keys a platform makes: planned by what an earlier apply has made, and deferred until there is that.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use super::expander::{Expander, too_late};
use super::frame::Frame;
use crate::eval::{Outcome, resume};
use crate::lang::program::{Each, Head};
use crate::model::expr::Reference;
use crate::model::value::Unknown;
use crate::model::{Address, Code, Data, Deferred, Expr, ExprKind, Name, Span, Step, Type, Value};

impl<'p> Expander<'p> {
    /// What a set goes over: with a bound, by what state holds of whatever it is made from.
    pub fn goes_over(&self, frame: &Rc<Frame<'p>>, each: &'p Each) -> Outcome<Value> {
        let over = self.eval(frame, &each.over, &[])?;
        let Some(records) = self.request.known.records.filter(|_| each.up_to.is_some() && over.has_unknown()) else {
            return Ok(over);
        };
        let recorded = |address: &Address, path: &[Step]| {
            let record = records.get(address)?;
            match path.split_first() {
                Some((Step::Field(name), rest)) => part(record.attribute(name)?, rest),
                Some((Step::Item(_), _)) => None,
                None => Some(Value::map(record.attributes())),
            }
        };
        resume(&over, &recorded)
    }

    /// What stands for a set whose keys nobody knows yet; `None` where they are known, or where no bound is stated.
    pub fn deferred_set(
        &self,
        frame: &Rc<Frame<'p>>,
        head: &'p Head,
        address: &Address,
        kind: &Name,
        span: Span,
    ) -> Outcome<Option<Value>> {
        let Some((each, bound)) = head.each.as_ref().and_then(|each| Some((each, each.up_to.as_ref()?))) else {
            return Ok(None);
        };
        let over = self.goes_over(frame, each)?;
        let at_most = self.eval(frame, bound, &[])?;
        let Data::Int(at_most) = at_most.data else { return Err(too_late(&at_most, bound.span, "the bound of a set")) };
        let at_most = u64::try_from(at_most).unwrap_or(0);
        let mut waits = BTreeSet::new();
        match &over.data {
            Data::Unknown(unknown) => waits.extend(unknown.waits_for.iter().cloned()),
            Data::List(items) => {
                let unknown = |item: &Value| match &item.data {
                    Data::Unknown(unknown) => Some(unknown.clone()),
                    _ => None,
                };
                waits.extend(items.iter().filter_map(unknown).flat_map(|it| it.waits_for.iter().cloned().collect::<Vec<_>>()))
            }
            _ => {}
        }
        let count = match &over.data {
            Data::List(items) => items.len(),
            Data::Map(fields) => fields.len(),
            _ => 0,
        };
        if count as u64 > at_most {
            let diagnostic = Code::OutOfRange
                .error(format!("`{address}` goes over {count}, and its bound is {at_most}"))
                .label(bound.span, "states the bound")
                .label(each.over.span, "has more")
                .help("state a larger bound, if so many are meant");
            return Err(Box::new(diagnostic));
        }
        if waits.is_empty() {
            return Ok(None);
        }
        let waits_for: Vec<Address> = waits.iter().cloned().collect();
        let deferred = Deferred { address: address.clone(), kind: kind.clone(), at_most, waits_for, span };
        self.deferred.borrow_mut().insert(address.clone(), deferred);
        waits.insert(address.clone());
        let name = ExprKind::Name(Reference::Attribute { address: address.clone(), path: Vec::new() });
        let unknown = Unknown { ty: Type::Any, rest: Arc::new(Expr::new(name, span)), waits_for: Arc::new(waits) };
        Ok(Some(Value::new(Data::Unknown(Arc::new(unknown)), span)))
    }
}

fn part(value: &Value, path: &[Step]) -> Option<Value> {
    let Some((step, rest)) = path.split_first() else { return Some(value.clone()) };
    let inner = match (step, &value.data) {
        (Step::Field(name), Data::Map(fields)) => fields.get(name)?,
        (Step::Item(at), Data::List(items)) => items.get(*at as usize)?,
        _ => return None,
    };
    part(inner, rest)
}
