//! What a provider declares of itself, as data. The checker's types, the planner's diff, completion and the reference manual all
//! come from these declarations; a provider's code is only what they cannot say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::types::{Name, Type};
use super::value::Value;

/// Everything that one provider type can do.
#[derive(Clone, Debug)]
pub struct ProviderSchema {
    /// `fly`.
    pub name: Name,
    pub doc: &'static str,
    /// Settings of a `provider` block.
    pub settings: Vec<Attribute>,
    /// By the name after the dot: `machine`.
    pub kinds: BTreeMap<Name, Arc<Kind>>,
    /// The setting whose value names the private network that resources of one account share (`org`), where there is one.
    pub network: Option<Name>,
    /// Version of this declaration; part of every effect, so that a plan by another version is not applied.
    pub version: u32,
    /// Whether its resources live on the machine that runs the engine (`local`): such a provider is never simulated.
    pub on_this_machine: bool,
}

/// One kind of resource.
#[derive(Clone, Debug)]
pub struct Kind {
    /// With the provider: `fly.machine`.
    pub name: Name,
    pub doc: &'static str,
    pub attributes: Vec<Attribute>,
    /// Read, not owned: `data cloudflare.zone`.
    pub data: bool,
    /// An act (a release command): created, never updated, and run again when `replace_on` changes.
    pub act: bool,
    /// The record is all there is (`local.value`, a generated secret): nothing on a platform to look at, so nothing can drift.
    pub stored: bool,
    /// A loss of one of these loses data that people made.
    pub holds_data: bool,
    /// Attributes that together are the object's identity on the platform; two desired resources that agree in all are one object.
    /// Empty where nothing but its id tells an object.
    pub identity: Vec<Name>,
    /// The attribute whose value, computed by the platform, names the object in later calls (`id`).
    pub id: Name,
    /// Attributes whose values one listing has in common (`app`): one list call reads all resources that agree in them. `None`
    /// where the kind cannot be listed.
    pub list_by: Option<Vec<Name>>,
    pub recovery: Recovery,
    /// Kinds that cannot be updated at all are replaced by any change.
    pub updatable: bool,
    /// What a replacement does unless `lifecycle.replace` says otherwise.
    pub replace: ReplaceOrder,
    /// The longest a call of this kind takes before its outcome counts as unknown.
    pub timeout: Duration,
}

/// One attribute of a kind, or one setting of a provider.
#[derive(Clone, Debug)]
pub struct Attribute {
    pub name: Name,
    pub doc: &'static str,
    pub ty: Type,
    pub given: Given,
    /// A sink for secrets, and if computed a source of them; what it holds is sealed in state. `ty` is written without `sensitive`
    /// or `secret` around it.
    pub sensitive: bool,
    pub on_change: OnChange,
    /// For computed ones: an update of any attribute in this list makes it unknown. Otherwise it stays known through updates.
    pub recomputed_by: Vec<Name>,
    /// For names that may be left out: what a made-up name has to look like.
    pub naming: Option<Naming>,
}

/// Who gives an attribute its value.
#[derive(Clone, Debug)]
pub enum Given {
    Required,
    /// By the program; absent where it does not.
    Optional,
    /// By the program; this where it does not.
    Default(Value),
    /// By the program; where it does not, by the platform.
    OptionalComputed,
    /// By the platform.
    Computed,
    /// By the platform, which changes it by itself (`status`): never an input, and a difference is no drift.
    Live,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnChange {
    Update,
    /// The platform cannot change it; the reason completes "fly cannot …", such as `move a volume`.
    Replace(&'static str),
    /// A larger value is an update, a smaller one replaces; the reason as above (`shrink a volume`).
    GrowOnly(&'static str),
}

/// The shape of a name that the engine makes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Naming {
    pub alphabet: Alphabet,
    pub max: u8,
    pub unique: Unique,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Alphabet {
    /// `[a-z0-9-]`, beginning with a letter.
    Dashes,
    /// `[a-z0-9_]`, beginning with a letter.
    Underscores,
}

/// How widely a name has to be unique.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unique {
    /// Everywhere: the made name carries a short hash of store, environment and address.
    Globally,
    /// Within what holds it: the path alone will do.
    InParent,
    /// Not at all.
    No,
}

/// What a platform offers to find out what became of a call whose answer was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recovery {
    /// A token that it remembers for a while.
    Keyed { remembered: Duration },
    /// A unique name that we derive: create again, and on "exists" read by name.
    Named,
    /// Free metadata and a list by it: wait `settle`, then look for the token.
    Tagged { settle: Duration },
    /// Update, upsert or delete of a known id: read and compare.
    Put,
    /// None of these: candidates are shown, nothing is repeated.
    Opaque { settle: Duration },
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ReplaceOrder {
    CreateFirst,
    DestroyFirst,
}

impl Kind {
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| &*attribute.name == name)
    }

    /// Why no object of the kind can be taken over; `None` where one can.
    pub fn why_not_adopted(&self) -> Option<&'static str> {
        match () {
            () if self.data => Some("it is read, and not owned"),
            () if self.act => Some("it is done, and leaves no object"),
            () if self.stored => Some("the state is all there is of it"),
            () => None,
        }
    }

    /// `fly` of `fly.machine`.
    pub fn provider(&self) -> &str {
        self.name.split('.').next().expect("a kind's name begins with its provider's")
    }
}

impl Attribute {
    pub fn is_computed(&self) -> bool {
        matches!(self.given, Given::Computed | Given::Live)
    }

    /// Whether a program may give it.
    pub fn is_input(&self) -> bool {
        !self.is_computed()
    }
}

/// The declarations of all providers that a program may use.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    pub providers: BTreeMap<Name, Arc<ProviderSchema>>,
}

impl Schemas {
    /// The kind that is written `fly.machine`.
    pub fn kind(&self, name: &str) -> Option<&Arc<Kind>> {
        let (provider, kind) = name.split_once('.')?;
        self.providers.get(provider)?.kinds.get(kind)
    }
}
