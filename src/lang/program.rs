//! The checked program: what `lang` gives and `expand` takes.
//!
//! Names are resolved, blocks are folded into objects, expressions are typed and hold their conversions. Nothing here depends on
//! an environment, an input or state. Where a construct has several spellings (`backup { … }` and `backup = { … }`), there is
//! one here.

mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use rules::{Act, Except, Expect, Expected, Given, GivenStack, Mock, Policy, Rule, Setting, Step, Test};

use crate::model::expr::{Expr, Slot};
use crate::model::{Kind, Name, ProviderName, Schemas, Sources, Span, Type};

#[derive(Clone, Debug)]
pub struct Program {
    pub stack: Stack,
    /// In the order of the source.
    pub environments: Vec<Environment>,
    /// Declared provider instances; one that needs no setting may be missing.
    pub providers: Vec<Provider>,
    pub inputs: Vec<Input>,
    /// The items of the stack's own files.
    pub body: Body,
    /// Component kinds by the name that state knows them by: `service`, `modules:net:vpc` for one that an import defines.
    pub components: BTreeMap<Name, Arc<Component>>,
    pub functions: Vec<Function>,
    /// File-level `let`s by directory; [`Component::directory`] and [`crate::model::expr::Scope::File`] point here. The first is
    /// the stack's own, whose lets may read the stack's inputs and instances; the second the standard library's; those of
    /// imports follow.
    pub directories: Vec<Vec<Let>>,
    /// Stacks whose outputs it reads, one for each `import stack`.
    pub stacks: Vec<OtherStack>,
    pub moved: Vec<Moved>,
    pub adopt: Vec<Adopt>,
    pub forget: Vec<(String, Span)>,
    /// Those that act: the stack's own, and those that its `policies` names.
    pub policies: Vec<Policy>,
    /// Of the stack's own files, in the order of the source.
    pub tests: Vec<Test>,
    pub schemas: Arc<Schemas>,
    pub sources: Arc<Sources>,
}

#[derive(Clone, Debug)]
pub struct Stack {
    pub name: Name,
    pub span: Span,
    pub doc: Option<Name>,
    /// `state = local {}`: a variant's value, or absent; and other settings, each of stage environment at the latest.
    pub settings: BTreeMap<Name, Expr>,
}

/// `import stack "../platform" as platform in production`.
#[derive(Clone, Debug)]
pub struct OtherStack {
    /// What identifies its directory, as it was found.
    pub home: Name,
    /// As it is written.
    pub path: Name,
    /// What the program calls it.
    pub alias: Name,
    /// What it calls itself.
    pub name: Name,
    /// The environment whose state is read; `None`: the one of the same name.
    pub environment: Option<(Name, Span)>,
    /// Those that it has.
    pub environments: Vec<Name>,
    pub outputs: BTreeMap<Name, StackOutput>,
    /// The program itself, which says where its state is; `None` for one that was not read.
    pub program: Option<Arc<Program>>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct StackOutput {
    /// With `?` where the output has a condition.
    pub ty: Type,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Environment {
    pub name: Name,
    pub span: Span,
    /// The provider instance that instances go to.
    pub on: Option<Expr>,
    /// `place { bucket = cloudflare, eu = fly }`.
    pub place: Vec<Placement>,
    pub protect: Option<Expr>,
    /// Values of the stack's inputs in this environment, converted to their types.
    pub inputs: Vec<(Name, Expr)>,
}

#[derive(Clone, Debug)]
pub struct Placement {
    pub what: Placed,
    pub to: Expr,
    pub span: Span,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Placed {
    /// A component kind.
    Kind(Name),
    /// A provider instance, wherever it was chosen.
    Provider(ProviderName),
}

#[derive(Clone, Debug)]
pub struct Provider {
    pub name: ProviderName,
    pub span: Span,
    /// By setting, converted to its type.
    pub settings: Vec<(Name, Expr)>,
}

#[derive(Clone, Debug)]
pub struct Input {
    pub name: Name,
    pub doc: Option<Name>,
    pub ty: Type,
    pub default: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Let {
    pub name: Name,
    pub value: Expr,
    pub ty: Type,
    pub span: Span,
}

/// `fn name(a: T, b: U = default): R = expr`. Parameters are the slots from 0 on.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: Name,
    pub doc: Option<Name>,
    pub params: Vec<(Name, Type)>,
    pub result: Type,
    pub body: Expr,
    pub span: Span,
    pub directory: u32,
}

#[derive(Clone, Debug)]
pub struct Component {
    pub kind: Name,
    pub doc: Option<Name>,
    pub span: Span,
    pub inputs: Vec<Input>,
    /// As declared; values are set by the body or by the clause.
    pub outputs: Vec<Output>,
    pub signals: Vec<Signal>,
    /// Items that hold on every provider.
    pub body: Body,
    /// None: the kind lowers to nothing, or to the same everywhere.
    pub clauses: Vec<Clause>,
    pub directory: u32,
}

#[derive(Clone, Debug)]
pub struct Output {
    pub name: Name,
    pub doc: Option<Name>,
    pub ty: Type,
    /// The network that the value is reachable in.
    pub within: Option<Expr>,
    /// It is there only then.
    pub cond: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Signal {
    pub name: Name,
    pub doc: Option<Name>,
    /// `metric<percent>`.
    pub ty: Type,
    /// Whether a window may be given, and the one that is taken if none is.
    pub window: Option<Expr>,
    pub span: Span,
}

/// `on fly { … }` of a component.
#[derive(Clone, Debug)]
pub struct Clause {
    /// The provider type.
    pub provider: Name,
    pub body: Body,
    pub span: Span,
}

/// The items of a stack, a component, a clause, or a branch of an `if`.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// Of a component, a clause or a branch; those at file level are in [`Program::directories`].
    pub lets: Vec<Let>,
    pub secrets: Vec<Secret>,
    pub instances: Vec<Instance>,
    pub resources: Vec<Resource>,
    /// `output name = value`; at the top of a stack all outputs, elsewhere values of declared ones.
    pub outputs: Vec<OutputValue>,
    pub signals: Vec<SignalValue>,
    pub requires: Vec<Require>,
    pub branches: Vec<Branch>,
    pub rollouts: Vec<Rollout>,
}

/// `if cond { items } else { items }`; `else if` is a branch in `otherwise`.
#[derive(Clone, Debug)]
pub struct Branch {
    pub cond: Expr,
    pub then: Body,
    pub otherwise: Body,
}

#[derive(Clone, Debug)]
pub struct Secret {
    pub name: Name,
    pub span: Span,
    /// `None`: given from outside.
    pub generate: Option<Expr>,
    pub format: Option<Expr>,
    pub rotate: Option<Expr>,
    pub overlap: Option<Expr>,
}

#[derive(Clone, Debug)]
pub struct OutputValue {
    pub name: Name,
    pub ty: Type,
    pub value: Expr,
    pub cond: Option<Expr>,
    pub within: Option<Expr>,
    pub span: Span,
}

/// A signal's series; evaluates to a metric of the declared unit. `window` is the slot that holds the window.
#[derive(Clone, Debug)]
pub struct SignalValue {
    pub name: Name,
    pub window: Option<Slot>,
    pub value: Expr,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Require {
    pub cond: Expr,
    pub message: Expr,
    pub span: Span,
    /// Inputs of the component that the condition reads: where in the caller's block a failure points.
    pub reads: Vec<Name>,
}

/// `KIND NAME [for …] [if …] [on WHERE] [in ENV] { … }`.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The key in [`Program::components`].
    pub kind: Name,
    pub name: Name,
    pub head: Head,
    /// By input, converted to its type; the span is the entry's. Inputs that are not here take their defaults.
    pub inputs: Vec<(Name, Expr, Span)>,
    pub lifecycle: Lifecycle,
    pub overrides: Vec<Override>,
    pub requires: Vec<Require>,
    /// `KIND NAME`.
    pub span: Span,
}

#[derive(Clone, Debug, Default)]
pub struct Head {
    pub each: Option<Each>,
    pub cond: Option<Expr>,
    /// Evaluates to a provider instance.
    pub on: Option<Expr>,
    pub in_env: Option<(Name, Span)>,
}

/// `for key, value in over up to bound`. Over a list, key and value are the element.
#[derive(Clone, Debug)]
pub struct Each {
    pub key: Option<Slot>,
    pub value: Slot,
    pub over: Expr,
    pub up_to: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    pub protect: Option<Expr>,
    /// References to instances and resources.
    pub after: Vec<Expr>,
    pub timeout: Option<Expr>,
    pub ignore: Vec<(Name, Span)>,
    pub replace: Option<Expr>,
    pub replace_on: Vec<Expr>,
    pub parallel: Option<Expr>,
}

/// `on fly { fly.machine.web["0"] { … } }` in an instance's body: laid over what its lowering there says.
#[derive(Clone, Debug)]
pub struct Override {
    pub provider: Name,
    pub kind: Arc<Kind>,
    pub name: Name,
    pub key: Option<Name>,
    pub fields: Vec<(Name, Expr, Span)>,
    pub span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Owned,
    /// Once per provider instance and environment.
    Shared,
    /// Read, not owned.
    Data,
}

/// `resource PROVIDER.TYPE NAME … { … }`, `shared resource …`, `data …`.
#[derive(Clone, Debug)]
pub struct Resource {
    pub mode: Mode,
    pub kind: Arc<Kind>,
    pub name: Name,
    pub head: Head,
    /// Spreads and entries in order: evaluates to the object of the given attributes, each converted to its type.
    pub fields: Expr,
    pub lifecycle: Lifecycle,
    pub requires: Vec<Require>,
    /// `resource PROVIDER.TYPE NAME`.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Rollout {
    pub name: Name,
    /// `fly.machine`
    pub kind: Name,
    /// Name of the set.
    pub of: Name,
    /// A variant: `direct`, `rolling`, `blue_green`, `canary`.
    pub strategy: Expr,
    /// Inputs of the component that the strategy reads: where in the caller's block a refusal points.
    pub reads: Vec<Name>,
    /// References to what is done before.
    pub before: Vec<Expr>,
    /// `rollout NAME of KIND.NAME`.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Moved {
    pub from: String,
    pub to: String,
    pub span: Span,
}

/// `adopt { address = "…", id = … }`, or by `query`.
#[derive(Clone, Debug)]
pub struct Adopt {
    /// Of a resource.
    pub address: String,
    /// Where that is written.
    pub at: Span,
    pub object: Adopted,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Adopted {
    /// A string; null where there is nothing to adopt in an environment.
    Id(Expr),
    /// An object of attributes, converted to their types.
    Query(Expr),
}
