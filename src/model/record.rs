//! What state holds of one resource, and what a platform reports of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Address;
use super::desired::{EdgeReason, ProviderName};
use super::types::Name;
use super::value::{Fields, Value};

/// 128 random bits that stay with a resource through `moved`; sealed values are bound to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId(pub [u8; 16]);

impl std::fmt::Debug for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What state holds of one resource.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    pub address: Address,
    pub id: RecordId,
    pub kind: Name,
    pub provider: ProviderName,
    /// As [`super::desired::DesiredResource::instance`].
    pub instance: Address,
    /// The attributes as the program gave them when it was last applied, all known.
    pub inputs: Fields,
    /// What the platform made of it: computed attributes, and inputs that it holds in another form than they were given.
    pub computed: Fields,
    pub edges: Vec<RecordEdge>,
    /// The guard: holds after its block is deleted.
    pub protect: bool,
    /// Values of `lifecycle.replace_on` when it was last created or run.
    pub replace_on: Vec<Value>,
    /// Counts replacements that create first, for made-up names.
    pub generation: u32,
    /// Where the program declared it, `shop.stack:60`, for when the program no longer does.
    pub declared_at: String,
    /// [`super::schema::ProviderSchema::version`] that wrote it.
    pub schema_version: u32,
    /// The place in the log of the entry that last wrote this record: its version.
    pub version: u64,
    /// The object of a replacement that created first and whose destroy is still owed.
    pub deposed: bool,
}

/// A stored edge: destroying needs no source text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RecordEdge {
    pub to: Address,
    pub reason: EdgeReason,
}

impl Record {
    /// The version of a record that recovery has yet to write.
    pub const FORESEEN: u64 = u64::MAX;

    /// An attribute as the platform holds it.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.computed.get(name).or_else(|| self.inputs.get(name))
    }

    /// All attributes as the platform holds them.
    pub fn attributes(&self) -> Fields {
        let mut all = self.inputs.clone();
        all.extend(self.computed.iter().map(|(name, value)| (name.clone(), value.clone())));
        all
    }
}

/// What is known of live objects when a plan is made.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// By address of the record. A record that is not in it was not looked at.
    pub resources: BTreeMap<Address, SeenResource>,
    /// By address of a resource that is to be adopted: the objects that fit.
    pub adoptable: BTreeMap<Address, Vec<Arc<Fields>>>,
}

#[derive(Clone, Debug)]
pub enum SeenResource {
    /// The platform's attributes of it, in the forms of the schema.
    Live(Arc<Fields>),
    /// The platform says that it does not exist.
    Gone,
}
