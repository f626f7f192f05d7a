//! The shape of the bytes: JSON, each field by name, values in the form of [`crate::model::wire`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub type Raw = Box<RawValue>;
/// Source, start, end.
pub type SpanShape = (u32, u32, u32);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileShape {
    pub format: u32,
    pub plan: PlanShape,
    pub sources: Vec<SourceShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceShape {
    pub name: String,
    pub origin: String,
    pub text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanShape {
    pub id: String,
    pub store: String,
    pub stack: String,
    pub environment: String,
    pub protect: bool,
    pub simulated: bool,
    pub base: Option<u64>,
    pub changes: Vec<ChangeShape>,
    pub order: Vec<(u32, u32)>,
    pub same: u32,
    /// Stack, environment, output, digest.
    pub elsewhere: Vec<(String, String, String, String)>,
    pub reads: Vec<(String, u64)>,
    pub outputs: Vec<OutputShape>,
    pub providers: Vec<ProviderShape>,
    pub inputs: Vec<(String, Raw)>,
    pub dropped: Vec<(String, EdgeShape)>,
    pub deferred: Vec<DeferredShape>,
    #[serde(default)]
    pub requirements: Vec<RequirementShape>,
    pub warnings: Vec<DiagnosticShape>,
    pub remarks: Vec<(String, String)>,
    pub reveals: Vec<(SpanShape, String, Option<String>)>,
    pub notices: Vec<DriftShape>,
    #[serde(default)]
    pub policies: Vec<VerdictShape>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreseen: Vec<ForeseenShape>,
    /// Who made it, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<(String, i64)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeseenShape {
    pub address: String,
    pub action: String,
    pub became: String,
    pub certain: bool,
    pub words: String,
    pub record: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictShape {
    pub policy: String,
    pub deny: bool,
    pub control: Vec<String>,
    pub span: SpanShape,
    pub findings: Vec<FindingShape>,
    pub exceptions: Vec<ExceptionShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingShape {
    pub outcome: OutcomeShape,
    pub address: Option<String>,
    pub message: String,
    pub rule: SpanShape,
    pub places: Vec<SpanShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OutcomeShape {
    Broken,
    Undecided,
    Excepted(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionShape {
    pub pattern: String,
    pub reason: String,
    pub span: SpanShape,
    pub idle: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeferredShape {
    pub address: String,
    pub kind: String,
    pub at_most: u64,
    pub waits_for: Vec<String>,
    pub span: SpanShape,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequirementShape {
    pub address: Option<String>,
    pub cond: Raw,
    pub message: Raw,
    pub span: SpanShape,
    pub places: Vec<SpanShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeShape {
    pub address: String,
    pub kind: String,
    pub provider: String,
    pub instance: String,
    pub action: ActionShape,
    pub schema_version: u32,
    pub declared_at: String,
    pub before: Option<RecordShape>,
    pub after: Option<ResourceShape>,
    pub drift: Vec<FieldShape>,
    pub fields: Vec<FieldShape>,
    pub reasons: Vec<ReasonShape>,
    pub maybe_replace: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ActionShape {
    Create,
    Update,
    Replace { create_first: bool },
    Destroy { loses_data: bool },
    Run,
    Read,
    Move { from: String },
    Adopt { id: String },
    Forget,
    Record,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordShape {
    pub address: String,
    pub id: String,
    pub kind: String,
    pub provider: String,
    pub instance: String,
    pub inputs: Raw,
    pub computed: Raw,
    pub edges: Vec<(String, String)>,
    pub protect: bool,
    pub replace_on: Vec<Raw>,
    pub generation: u32,
    pub declared_at: String,
    pub schema_version: u32,
    pub version: u64,
    pub deposed: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceShape {
    pub attributes: Raw,
    pub protect: bool,
    pub protect_span: Option<SpanShape>,
    pub ignore: Vec<String>,
    pub create_first: Option<bool>,
    pub replace_on: Vec<Raw>,
    pub timeout_ms: Option<u64>,
    pub turn: Option<TurnShape>,
    pub edges: Vec<EdgeShape>,
    pub span: SpanShape,
    pub called_at: SpanShape,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnShape {
    pub set: String,
    pub at_once: u32,
    pub rollout: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeShape {
    pub to: String,
    pub reason: String,
    pub span: SpanShape,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldShape {
    pub path: Vec<StepShape>,
    pub before: Option<Raw>,
    pub after: Option<Raw>,
    pub forces: Option<String>,
    pub cause: Option<SpanShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub enum StepShape {
    Field(String),
    Item(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ReasonShape {
    New { span: SpanShape },
    Removed { was: String },
    Changed { span: SpanShape },
    Drifted,
    Gone,
    WaitsFor { address: String },
    Asked,
    ReplaceOn { span: SpanShape },
    Moved { from: String, span: SpanShape },
    Adopted { span: SpanShape },
    Forgotten { span: SpanShape },
    Guard { protect: bool, span: Option<SpanShape> },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputShape {
    pub name: String,
    pub before: Option<Raw>,
    pub after: Option<OutputAfterShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputAfterShape {
    pub ty: Raw,
    pub value: Raw,
    pub span: SpanShape,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderShape {
    pub name: String,
    pub settings: Raw,
    pub span: SpanShape,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftShape {
    pub address: String,
    pub fields: Vec<FieldShape>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiagnosticShape {
    pub code: String,
    pub error: bool,
    pub message: String,
    pub labels: Vec<(SpanShape, String)>,
    pub notes: Vec<BTreeMap<String, String>>,
    pub help: Vec<String>,
    pub fixes: Vec<FixShape>,
    pub address: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixShape {
    pub title: String,
    pub confidence: String,
    pub edits: Vec<(SpanShape, String)>,
}
