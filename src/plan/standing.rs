//! What others may know of a resource once it was decided what happens to it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::diff::part;
use crate::model::expr::{Expr, ExprKind, Reference, Step};
use crate::model::schema::{Attribute, Given, Kind};
use crate::model::value::Unknown;
use crate::model::{Address, Data, DesiredResource, Fields, Name, Record, SeenResource, Span, Type, Value};

/// What a plan does to the attributes of one resource.
#[derive(Clone, Debug, Default)]
pub(super) enum Standing {
    /// Not decided yet.
    #[default]
    Open,
    /// The object stays as it is.
    Kept,
    /// The object stays, and these attributes of it change.
    Updated(BTreeSet<Name>),
    /// It is decided during the apply whether this object stays.
    MayBeReplaced,
    /// A new object, or an act that is done: what the platform computes is not known.
    Made,
    /// A data source that was read.
    Read(Arc<Fields>),
}

/// The resources of a plan while it is made, and what is known of each.
pub(super) struct Standings<'a> {
    pub resources: Vec<DesiredResource>,
    places: FxHashMap<Address, u32>,
    standing: Vec<Standing>,
    recorded: Vec<Option<Arc<Record>>>,
    seen: Vec<Option<&'a SeenResource>>,
    /// What was asked of resources that stay: their place, and the attribute.
    asked: RefCell<BTreeSet<(u32, Name)>>,
}

impl<'a> Standings<'a> {
    pub fn new(resources: Vec<DesiredResource>) -> Standings<'a> {
        let places = resources.iter().enumerate().map(|(at, it)| (it.address.clone(), at as u32)).collect();
        let count = resources.len();
        Standings {
            resources,
            places,
            standing: vec![Standing::Open; count],
            recorded: vec![None; count],
            seen: vec![None; count],
            asked: RefCell::default(),
        }
    }

    pub fn place(&self, address: &Address) -> Option<u32> {
        self.places.get(address).copied()
    }

    pub fn set(&mut self, at: u32, standing: Standing, record: Option<&Arc<Record>>, seen: Option<&'a SeenResource>) {
        self.standing[at as usize] = standing;
        self.recorded[at as usize] = record.cloned();
        self.seen[at as usize] = seen;
    }

    /// Attributes of resources that stay which somebody's value was made from.
    pub fn asked(&self) -> BTreeSet<(u32, Name)> {
        self.asked.borrow().clone()
    }

    /// An attribute as it will be after the apply; `None` if that is not known yet. Without a path the object of all
    /// attributes, in which those that are not known are unknown values.
    pub fn attribute(&self, address: &Address, path: &[Step]) -> Option<Value> {
        let at = self.place(address)?;
        let (name, rest) = match path.split_first() {
            Some((Step::Field(name), rest)) => (name, rest),
            Some((Step::Item(_), _)) => return None,
            None => return Some(self.object(address, &self.resources[at as usize].kind)),
        };
        let resource = &self.resources[at as usize];
        if let Some(given) = resource.attributes.get(name) {
            // What the program gives is what it says, in whatever form the platform keeps it.
            return part(given, rest).filter(|value| !value.has_unknown());
        }
        let attribute = resource.kind.attribute(name)?;
        if matches!(attribute.given, Given::Optional | Given::Default(_) | Given::Required) {
            return Some(Value::null());
        }
        let stays = match &self.standing[at as usize] {
            Standing::Open | Standing::Made | Standing::MayBeReplaced => false,
            Standing::Read(live) => return live.get(name).and_then(|value| part(value, rest)),
            Standing::Kept => true,
            Standing::Updated(changed) => !is_recomputed(attribute, changed),
        };
        if !stays {
            return None;
        }
        let recorded = self.recorded[at as usize].as_ref().and_then(|record| record.attribute(name));
        if matches!(attribute.given, Given::Live) {
            return part(recorded?, rest);
        }
        self.asked.borrow_mut().insert((at, name.clone()));
        let live = match self.seen[at as usize] {
            Some(SeenResource::Live(live)) => live.get(name).filter(|value| !value.is_null()),
            _ => None,
        };
        // A secret that is reported again stays one.
        let value = match (live, recorded) {
            (Some(live), Some(recorded)) if live == recorded => recorded,
            // What may be absent, and is in what is recorded, stays absent.
            (None, None) if matches!(attribute.ty, Type::Optional(_)) => {
                return self.recorded[at as usize].is_some().then(Value::null);
            }
            (live, recorded) => live.or(recorded)?,
        };
        part(value, rest)
    }
}

impl Standings<'_> {
    fn object(&self, address: &Address, kind: &Kind) -> Value {
        let value = |attribute: &Attribute| {
            let path = [Step::Field(attribute.name.clone())];
            let value = self.attribute(address, &path).unwrap_or_else(|| unknown_attribute(address, attribute));
            (attribute.name.clone(), value)
        };
        Value::map(kind.attributes.iter().map(value).collect())
    }
}

/// What stands for an attribute until it is known.
pub(super) fn unknown_attribute(address: &Address, attribute: &Attribute) -> Value {
    let reference = Reference::Attribute { address: address.clone(), path: vec![Step::Field(attribute.name.clone())] };
    let unknown = Unknown {
        ty: attribute.ty.clone(),
        rest: Arc::new(Expr::new(ExprKind::Name(reference), Span::ENGINE)),
        waits_for: Arc::new(BTreeSet::from([address.clone()])),
    };
    let value = Value::engine(Data::Unknown(Arc::new(unknown)));
    if attribute.sensitive && attribute.is_computed() { value.secret() } else { value }
}

/// Whether an update of these attributes makes another one unknown.
fn is_recomputed(attribute: &Attribute, changed: &BTreeSet<Name>) -> bool {
    changed.contains(&attribute.name) || attribute.recomputed_by.iter().any(|name| changed.contains(name))
}
