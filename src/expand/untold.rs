//! Data sources that nobody asks, since no platform is reached: they have their arguments, all else of them is unknown.

use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::expander::Expander;
use super::frame::{Frame, Placed};
use crate::lang::program::Resource;
use crate::model::expr::{ExprKind, Reference};
use crate::model::schema::{Attribute, Given};
use crate::model::value::Unknown;
use crate::model::{Address, Data, Expr, Fields, ProviderName, Span, Step, Value};

/// By address, in the order in which they were found.
#[derive(Default)]
pub struct Sources<'p> {
    places: FxHashMap<Address, Source<'p>>,
    /// Those that would have been asked, for the settings that it would have taken.
    pub providers: std::collections::BTreeSet<ProviderName>,
}

struct Source<'p> {
    frame: Rc<Frame<'p>>,
    decl: &'p Resource,
    placed: Placed,
    /// Its arguments, once somebody asked; none where one of them is unknown, as it is while they are computed.
    arguments: Option<Option<Rc<Fields>>>,
}

impl<'p> Expander<'p> {
    pub fn note_untold(&self, frame: &Rc<Frame<'p>>, decl: &'p Resource, placed: &[Placed]) {
        let places = &mut self.untold.borrow_mut().places;
        places.extend(placed.iter().map(|it| {
            let source = Source { frame: frame.clone(), decl, placed: it.clone(), arguments: None };
            (it.address.clone(), source)
        }));
    }

    /// What a data source tells; `None` where that is not known yet.
    pub fn answer_of(&self, address: &Address, attribute: &Attribute) -> Option<Value> {
        if let Some(answer) = self.request.known.data.get(address) {
            return Some(answer.get(&attribute.name).cloned().unwrap_or_else(Value::null));
        }
        if !self.request.known.untold {
            return None;
        }
        let (arguments, span) = self.arguments(address)?;
        Some(match (arguments.get(&attribute.name), &attribute.given) {
            (Some(given), _) => given.clone(),
            (None, Given::Required | Given::Optional) => Value::null(),
            (None, _) => {
                let path = vec![Step::Field(attribute.name.clone())];
                let name = ExprKind::Name(Reference::Attribute { address: address.clone(), path });
                let rest = Arc::new(Expr::new(name, span));
                let unknown = Unknown { ty: attribute.ty.clone(), rest, waits_for: self.alone(address) };
                Value::new(Data::Unknown(Arc::new(unknown)), span)
            }
        })
    }

    /// The arguments of a data source that nobody asks, and its item. What is wrong with them is said where it is made.
    fn arguments(&self, address: &Address) -> Option<(Rc<Fields>, Span)> {
        let (frame, decl, placed) = {
            let mut sources = self.untold.borrow_mut();
            let source = sources.places.get_mut(address)?;
            match &source.arguments {
                Some(arguments) => return Some((arguments.clone()?, source.decl.span)),
                None => source.arguments = Some(None),
            }
            (source.frame.clone(), source.decl, source.placed.clone())
        };
        let provider = self.place_resource(&frame, decl, &placed.locals).ok()?;
        let (made, _) = self.reading(|| self.make(&frame, decl, &placed, &provider));
        let arguments = Rc::new(made.ok()?.0);
        if arguments.values().any(Value::has_unknown) {
            return None;
        }
        self.untold.borrow_mut().places.get_mut(address)?.arguments = Some(Some(arguments.clone()));
        Some((arguments, decl.span))
    }
}
