//! What will be done, why, and to what.

use std::sync::Arc;

use super::canonical::Digest;
use super::desired::{Deferred, DesiredOutput, DesiredProvider, DesiredResource, Edge, ProviderName, Requirement, Reveal};
use super::expr::Step;
use super::record::Record;
use super::schema::{Kind, ReplaceOrder};
use super::types::Name;
use super::value::{Fields, Value};
use super::verdict::{PolicyResult, Verdict};
use super::{Address, Diagnostic, Span};

/// The finished plan. Equal inputs give equal plans, byte for byte.
#[derive(Clone, Debug)]
pub struct Plan {
    /// First eight hexadecimal digits of `effects`, with a letter among them: what people type.
    pub id: String,
    /// Hash of the subject: store, stack, environment, sorted effects, versions of the records they read and write.
    pub effects: Digest,
    /// The store that it was made for.
    pub store: String,
    pub stack: String,
    pub environment: String,
    /// Whether the environment is marked `protect`.
    pub protect: bool,
    /// Whether the clouds are simulated ones.
    pub simulated: bool,
    /// The last revision of the state that it was made from; `None` for an empty state.
    pub base: Option<u64>,
    /// Ordered by address; a move or an adoption stands before what else changes at its new address. Resources that stay as they are are not
    /// in it.
    pub changes: Vec<Change>,
    /// Pairs of places in `changes`: the first has to be done before the second starts. A place at or beyond the end of
    /// `changes` is a resource that stays as it is and only passes the order on. Free of cycles. What has to be undone, and
    /// when, [`crate::plan::steps`] adds from the stored edges.
    pub order: Vec<(u32, u32)>,
    /// Resources that stay as they are.
    pub same: u32,
    /// What it was made from that other states hold.
    pub elsewhere: Vec<ElsewhereBasis>,
    /// Versions of all records that the changes read or write; 0 where there must be none, [`Record::FORESEEN`] where `foreseen` says
    /// what has to be recorded. Ordered by address.
    pub reads: Vec<(Address, u64)>,
    /// Calls that interrupted runs had left open when it was made, and what it takes to have become of each. Ordered by address.
    pub foreseen: Vec<Foreseen>,
    pub outputs: Vec<OutputChange>,
    /// Provider instances that the changes need, with the settings that the program gives them.
    pub providers: Vec<DesiredProvider>,
    /// Inputs with their values and origins, for the record of the run.
    pub inputs: Vec<(Name, Value)>,
    /// Instance edges that closed a cycle and were dropped.
    pub dropped: Vec<(Address, Edge)>,
    /// Sets that wait for their keys; ordered by address. A plan with any is shown, and not applied.
    pub deferred: Vec<Deferred>,
    /// What is judged during the apply, once the changes that it waits for are made.
    pub requirements: Vec<Requirement>,
    pub warnings: Vec<Diagnostic>,
    /// Facts for people about instances: address and remark.
    pub remarks: Vec<(Address, String)>,
    /// Secrets that the program opens, for the reasons that it gives.
    pub reveals: Vec<Reveal>,
    /// Drift that changes nothing planned.
    pub notices: Vec<Drift>,
    /// What the policies say, in the order of the program: they can stop a plan, never change it.
    pub policies: Vec<Verdict>,
    /// Who made it, and when; `None` until it is kept. No part of what it does.
    pub made: Option<Made>,
}

/// Who made a plan, and when by the clock of the machine, in milliseconds since 1970.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    pub who: String,
    pub time_ms: i64,
}

impl std::fmt::Display for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} by {}", super::units::utc(self.time_ms), self.who)
    }
}

/// A call that an interrupted run left open, as it looked when a plan was made. The apply finds out before anything else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Foreseen {
    pub address: Address,
    /// The word of the change that it was part of.
    pub action: Name,
    pub became: Became,
    /// The apply comes to the same, whenever it begins.
    pub certain: bool,
    /// For people.
    pub words: String,
    /// Of the record that its address then has, without what the platform computes where it is sent again; `None` where it has none,
    /// or the one that it has now.
    pub record: Option<Digest>,
}

/// What a call is taken to have become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Became {
    Done,
    NotDone,
    /// It is sent again.
    Again,
    Unknown,
}

impl Became {
    pub const ALL: [Became; 4] = [Became::Done, Became::NotDone, Became::Again, Became::Unknown];

    /// The word in JSON and in plan files.
    pub fn word(self) -> &'static str {
        match self {
            Became::Done => "done",
            Became::NotDone => "not_done",
            Became::Again => "sent_again",
            Became::Unknown => "unknown",
        }
    }
}

/// An output of another stack or environment that a plan was made from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ElsewhereBasis {
    /// The other stack's directory, relative to this one's; empty for this stack.
    pub stack: Name,
    pub environment: Name,
    pub output: Name,
    /// Of the value; keyed where it is secret.
    pub digest: Digest,
}

/// What has to happen to one resource.
#[derive(Clone, Debug)]
pub struct Change {
    pub address: Address,
    pub kind: Arc<Kind>,
    pub provider: ProviderName,
    /// The outermost instance that it belongs to.
    pub instance: Address,
    pub action: Action,
    /// [`super::schema::ProviderSchema::version`] of the declaration that it was planned by: part of the effect.
    pub schema_version: u32,
    /// Where the program declares it, for its record: `shop.stack:60`. Empty where the program does not.
    pub declared_at: String,
    /// What state holds of it.
    pub before: Option<Arc<Record>>,
    /// What the program wants of it; may hold unknowns.
    pub after: Option<Arc<DesiredResource>>,
    /// What the platform holds, where that was looked at and differs from the record.
    pub drift: Vec<FieldChange>,
    /// Every attribute that changes, ordered by path; for a create all that are given.
    pub fields: Vec<FieldChange>,
    pub reasons: Vec<Reason>,
    /// It is decided only during the apply whether this becomes a replacement.
    pub maybe_replace: bool,
}

/// Each variant holds what that case needs and nothing else.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    Create,
    Update,
    Replace {
        order: ReplaceOrder,
    },
    /// `loses_data`: the kind holds data.
    Destroy {
        loses_data: bool,
    },
    /// An act is done, for the first time or again.
    Run,
    /// A data source whose arguments are known only during the apply.
    Read,
    /// The record gets another address (and what else changes is an update beside it).
    Move {
        from: Address,
    },
    /// An object that exists is taken over as it is (and what else changes is an update beside it). `id` is the platform's.
    Adopt {
        id: String,
    },
    /// Stop managing it, and leave it alone.
    Forget,
    /// Only what state holds of it changes: guards, edges, or what the platform reports and the program accepts.
    Record,
}

impl Action {
    /// The word in JSON and on the screen.
    pub fn word(&self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Update => "update",
            Action::Replace { .. } => "replace",
            Action::Destroy { .. } => "destroy",
            Action::Run => "run",
            Action::Read => "read",
            Action::Move { .. } => "move",
            Action::Adopt { .. } => "adopt",
            Action::Forget => "forget",
            Action::Record => "record",
        }
    }

    /// Whether a platform is asked for it, or changed.
    pub fn calls(&self) -> bool {
        !matches!(self, Action::Move { .. } | Action::Forget | Action::Record)
    }
}

/// One attribute, or a part of one.
#[derive(Clone, PartialEq, Debug)]
pub struct FieldChange {
    pub path: Vec<Step>,
    pub before: Option<Value>,
    /// May be unknown. `None`: it goes away.
    pub after: Option<Value>,
    /// Why the platform cannot change it in place, where it cannot.
    pub forces_replacement: Option<&'static str>,
    /// The text that the new value came from.
    pub cause: Option<Span>,
}

/// Why a resource changes.
#[derive(Clone, PartialEq, Debug)]
pub enum Reason {
    /// The program declares it and nothing exists.
    New {
        span: Span,
    },
    /// The program no longer declares it.
    Removed {
        was: String,
    },
    /// These attributes changed in the program; the span is the first cause.
    Changed {
        span: Span,
    },
    /// The platform holds something else than the record.
    Drifted,
    /// It is gone from the platform.
    Gone,
    /// An attribute of a resource that changes.
    WaitsFor {
        address: Address,
    },
    /// `--replace`.
    Asked,
    /// A value of `lifecycle.replace_on` changed.
    ReplaceOn {
        span: Span,
    },
    Moved {
        from: Address,
        span: Span,
    },
    Adopted {
        span: Span,
    },
    Forgotten {
        span: Span,
    },
    /// A guard was set or lifted.
    Guard {
        protect: bool,
        span: Option<Span>,
    },
}

/// Something that differs from the record and changes nothing planned.
#[derive(Clone, PartialEq, Debug)]
pub struct Drift {
    pub address: Address,
    pub fields: Vec<FieldChange>,
}

#[derive(Clone, Debug)]
pub struct OutputChange {
    pub before: Option<Value>,
    /// `None`: the output goes away.
    pub after: Option<DesiredOutput>,
    pub name: Name,
}

impl Plan {
    /// Whether applying it would do nothing at all.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.outputs.is_empty() && self.deferred.is_empty()
    }

    /// Whether a policy refuses it.
    pub fn is_refused(&self) -> bool {
        self.policies.iter().any(|it| it.result() == PolicyResult::Refused)
    }
}

impl Change {
    /// Whether making it loses data that people made.
    pub fn loses_data(&self) -> bool {
        match self.action {
            Action::Destroy { loses_data } => loses_data,
            Action::Replace { .. } => self.kind.holds_data,
            // Whether it is one, only the apply finds out: then nobody can be asked any more.
            _ => self.maybe_replace && self.kind.holds_data,
        }
    }

    /// The attributes that a call has to send, once nothing in them is unknown.
    pub fn wanted(&self) -> Option<&Fields> {
        self.after.as_ref().map(|desired| &desired.attributes)
    }
}
