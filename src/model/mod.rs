//! The vocabulary of the engine. Each file is one word; nothing here reads, writes, waits or decides.

pub mod address;
pub mod canonical;
pub mod code;
pub mod desired;
pub mod diagnostic;
pub mod expr;
pub mod fields;
pub mod glob;
pub mod known_secrets;
pub mod plan;
pub mod record;
pub mod schema;
pub mod span;
pub mod types;
pub mod units;
pub mod value;
pub mod verdict;
pub mod wire;

pub use address::Address;
pub use canonical::Digest;
pub use code::Code;
pub use desired::{
    Adoption, Deferred, Desired, DesiredInstance, DesiredOutput, DesiredProvider, DesiredResource, Edge, EdgeReason,
    ElsewhereRead, Lifecycle, ProviderName, Requirement, Turn, Wanted,
};
pub use diagnostic::{Confidence, Diagnostic, Edit, Fix, Severity};
pub use expr::{Expr, ExprKind, Reference as NameReference, Slot, Step};
pub use known_secrets::KnownSecrets;
pub use plan::{Action, Became, Change, ElsewhereBasis, FieldChange, Foreseen, Made, Plan, Reason};
pub use record::{Record, RecordEdge, RecordId, Seen, SeenResource};
pub use schema::{Kind, ProviderSchema, Schemas};
pub use span::{Origin, Place, Source, SourceId, Sources, Span};
pub use types::{Name, Type};
pub use value::{Data, Fields, Value};
pub use verdict::{Level, PolicyResult, Verdict};
