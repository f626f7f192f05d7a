//! What should exist: the result of expanding a program in one environment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::schema::{Kind, ReplaceOrder};
use super::types::{Name, Type};
use super::value::{Data, Fields, Value};
use super::{Address, Code, Diagnostic, Span};

/// A provider instance: `fly`, or `fly.eu` for the one that is named.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ProviderName {
    pub ty: Name,
    pub name: Option<Name>,
}

impl std::fmt::Display for ProviderName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            None => f.write_str(&self.ty),
            Some(name) => write!(f, "{}.{name}", self.ty),
        }
    }
}

impl ProviderName {
    pub fn parse(text: &str) -> ProviderName {
        match text.split_once('.') {
            None => ProviderName { ty: text.into(), name: None },
            Some((ty, name)) => ProviderName { ty: ty.into(), name: Some(name.into()) },
        }
    }
}

/// The desired graph. Every list is ordered by address, so that equal programs give equal bytes.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    pub stack: String,
    pub environment: String,
    /// Whether the environment is marked `protect`.
    pub protect: bool,
    pub resources: Vec<DesiredResource>,
    /// Instances of components, outer before inner within one address order; they own resources and have outputs.
    pub instances: Vec<DesiredInstance>,
    pub outputs: Vec<DesiredOutput>,
    pub providers: Vec<DesiredProvider>,
    /// Inputs with the place that each value came from.
    pub inputs: Vec<(Name, Value)>,
    /// What it was made from besides the program: outputs of other stacks and environments.
    pub elsewhere: Vec<ElsewhereRead>,
    /// Renames that apply to records before anything is compared.
    pub moved: Vec<(Address, Address, Span)>,
    pub forget: Vec<(Address, Span)>,
    /// The conditions of items under `if` that were decided, and how: the two sides of one are covered by two expansions.
    pub branches: BTreeSet<(Span, bool)>,
    /// Objects that exist already, and which resources they are to become.
    pub adopt: Vec<Adoption>,
    /// Sets that are not in `resources` and `instances`, since nobody knows their keys yet.
    pub deferred: Vec<Deferred>,
    /// Requirements that nobody can judge yet.
    pub requirements: Vec<Requirement>,
    /// Secrets that the program opens, by place.
    pub reveals: Vec<Reveal>,
    pub warnings: Vec<Diagnostic>,
}

/// A `reveal(x, "reason")` that took part.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Reveal {
    pub span: Span,
    pub reason: String,
    /// The instance in whose component it stands; `None` in the stack itself.
    pub instance: Option<Address>,
}

#[derive(Clone, Debug)]
pub struct DesiredResource {
    pub address: Address,
    pub kind: Arc<Kind>,
    pub provider: ProviderName,
    /// The outermost instance that it belongs to, under which a plan groups it; its own address for a raw resource.
    pub instance: Address,
    /// What the program says, defaults of the schema included, computed attributes left out. A value may be, or hold, an
    /// unknown. Absent and null are one: such an attribute is not in the map.
    pub attributes: Fields,
    pub lifecycle: Lifecycle,
    /// What it waits for. At most one edge an address and reason.
    pub edges: Vec<Edge>,
    /// The item that declares it.
    pub span: Span,
    /// The item of the user's own program that it comes from (the instance's head); equal to `span` for a raw resource.
    pub called_at: Span,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Edge {
    pub to: Address,
    pub reason: EdgeReason,
    pub span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum EdgeReason {
    /// A value was made from an attribute of it.
    Reference,
    /// An output or signal of the instance that it belongs to is read: only orders, and gives way in a cycle.
    Instance,
    /// `lifecycle.after`.
    After,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Lifecycle {
    /// `lifecycle.protect`, or data in a protected environment: may not be destroyed or replaced.
    pub protect: bool,
    /// The place that says so, for the refusal; none for a guard by default.
    pub protect_span: Option<Span>,
    pub ignore: Vec<Name>,
    pub replace: Option<ReplaceOrder>,
    /// A change of one of these values replaces the resource, or runs it again.
    pub replace_on: Vec<Value>,
    pub timeout: Option<Duration>,
    /// With the other instances of its set a few at a time.
    pub turn: Option<Turn>,
}

/// How the instances of a set take turns: the next ones start once those before are done, and none after one has failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turn {
    /// The set's address.
    pub set: Address,
    /// At least 1.
    pub at_once: u32,
    /// A rollout takes turns only where something runs already that could fail; `lifecycle.parallel` always.
    pub rollout: bool,
}

#[derive(Clone, Debug)]
pub struct DesiredInstance {
    pub address: Address,
    pub kind: Name,
    pub provider: Option<ProviderName>,
    pub span: Span,
    /// Facts for people about how it was lowered, such as what does not apply on this provider.
    pub remarks: Vec<String>,
    /// Outputs that people may ask for (`show`), by name.
    pub outputs: Fields,
}

/// A set whose keys are known only after an apply: it is planned once they are.
#[derive(Clone, PartialEq, Debug)]
pub struct Deferred {
    /// Of the set, without a key.
    pub address: Address,
    /// `service`, `fly.machine`: what it makes.
    pub kind: Name,
    /// So many at most.
    pub at_most: u64,
    /// What its keys are made from; ordered.
    pub waits_for: Vec<Address>,
    pub span: Span,
}

/// A `require` whose condition is made from attributes that are known only after an apply: it is judged once they are.
#[derive(Clone, PartialEq, Debug)]
pub struct Requirement {
    /// The instance that it is about; `None` for one of the stack.
    pub address: Option<Address>,
    /// A bool; unknown.
    pub cond: Value,
    /// What is said where it does not hold; may be unknown, or secret.
    pub message: Value,
    pub span: Span,
    /// The entries of the caller that the condition reads, or else the item that calls; may be empty.
    pub places: Vec<Span>,
}

impl Requirement {
    /// The resources whose attributes it is made from.
    pub fn waits_for(&self) -> BTreeSet<Address> {
        match &self.cond.data {
            Data::Unknown(unknown) => (*unknown.waits_for).clone(),
            _ => BTreeSet::new(),
        }
    }

    /// What is said where it does not hold.
    pub fn broken(&self) -> Diagnostic {
        let text = match &self.message {
            message if message.has_secret() => "a requirement does not hold; its words are secret",
            message => message.as_text().unwrap_or("a requirement does not hold"),
        };
        let places = self.places.iter().map(|span| (*span, "does not fulfil it"));
        let error = Code::RequireFailed.error(text).labels(places).label(self.span, "required here");
        Diagnostic { address: self.address.clone(), ..error }
    }
}

/// Something that exists on a platform and no record knows becomes the resource at an address.
#[derive(Clone, Debug)]
pub struct Adoption {
    pub address: Address,
    pub object: Wanted,
    /// The item, or what was typed.
    pub span: Span,
}

/// Which object.
#[derive(Clone, PartialEq, Debug)]
pub enum Wanted {
    /// By the kind's id.
    Id(Value),
    /// The only one whose attributes are these.
    Query(Fields),
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Wanted::Id(id) => write!(f, "the id {}", id.to_literal()),
            Wanted::Query(fields) => {
                let shown: Vec<String> =
                    fields.iter().map(|(name, value)| format!("`{name}` = {}", value.to_literal())).collect();
                f.write_str(&shown.join(", "))
            }
        }
    }
}

/// An output of another stack, or of another environment of this one, as it was last applied.
#[derive(Clone, Debug)]
pub struct ElsewhereRead {
    /// What identifies the stack's directory; empty for this stack.
    pub stack: Name,
    pub environment: Name,
    pub output: Name,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub struct DesiredOutput {
    pub name: Name,
    pub ty: Type,
    pub value: Value,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct DesiredProvider {
    pub name: ProviderName,
    /// Settings as the block says, defaults included; may hold secrets and unknowns.
    pub settings: Fields,
    pub span: Span,
}
