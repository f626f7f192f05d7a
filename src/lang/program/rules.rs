//! Policies and tests: rules about a finished plan.
//!
//! Expressions in rules see what the stack's own file level sees, and besides `plan`, `instances(kind)`, `resources(kind)`, the
//! graph ([`crate::model::expr::Member::Uses`] and its neighbours), in tests also `output`
//! ([`crate::model::expr::PlanPart`]). None of them has the type of a secret.

use super::{Body, Each, Require};
use crate::model::{Code, Diagnostic, Expr, Name, Span};

/// `policy NAME { level, control, except, rules }`.
#[derive(Clone, Debug)]
pub struct Policy {
    pub name: Name,
    pub doc: Option<Name>,
    /// `policy NAME`.
    pub span: Span,
    /// `"deny"` or `"warn"`, known with the environment; none: deny.
    pub level: Option<Expr>,
    /// Evaluates to a list of texts, known with the environment: the controls that it answers for.
    pub control: Option<Expr>,
    /// In the order of the source.
    pub except: Vec<Except>,
    /// No [`Rule::Expect`] among them.
    pub rules: Vec<Rule>,
    /// Where it is defined, as [`super::Component::directory`].
    pub directory: u32,
}

/// `"database.scratch" = "rebuilt from events"`: nothing at these addresses breaks the policy.
#[derive(Clone, Debug)]
pub struct Except {
    /// An address, or a glob; it stands for what is inside of it too.
    pub pattern: Name,
    /// Evaluates to a text, known with the environment.
    pub reason: Expr,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Rule {
    /// `for x in xs if cond { rules }`, `if cond { rules }`. Variables are the slots of `each`, each once in a policy or test.
    Each {
        each: Option<Each>,
        cond: Option<Expr>,
        rules: Vec<Rule>,
        span: Span,
    },
    /// [`Require::reads`] is empty.
    Require(Require),
    Expect(Expect),
}

/// `expect EXPR`.
#[derive(Clone, Debug)]
pub struct Expect {
    pub what: Expected,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Expected {
    /// A condition holds.
    Holds(Expr),
    /// `error("SW0201")`: the step fails so.
    Error(Code),
    /// `refused(policy.NAME)`, or `refused()`: the plan is refused by that policy, or by any, or by a guard.
    Refused(Option<Name>),
}

/// `test "NAME" { … }`.
#[derive(Clone, Debug)]
pub struct Test {
    pub name: Name,
    pub doc: Option<Name>,
    /// `test "NAME"`.
    pub span: Span,
    /// In the order of the source, at least one: a test without a `step` is one step without a name, with the test's own `do`
    /// (`plan` where it has none) and expectations. Beside steps, the test's own expectations are asked after the last of them.
    pub steps: Vec<Step>,
    /// Expectations beside steps.
    pub rules: Vec<Rule>,
}

/// `step NAME { … }`. What the test says outside of its steps holds for each and is in here already.
#[derive(Clone, Debug)]
pub struct Step {
    /// `None`: the test has no steps, and is one itself.
    pub name: Option<Name>,
    pub doc: Option<Name>,
    pub span: Span,
    pub act: Act,
    pub setting: Setting,
    /// No [`Rule::Require`] among them. In the order of the source.
    pub rules: Vec<Rule>,
}

/// `do = "plan"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Act {
    /// Only expand the program for the environment.
    Check,
    #[default]
    Plan,
    Apply,
    Destroy,
}

/// What a step is done with.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// `environment = production`; `None`: the only one that the stack has.
    pub environment: Option<(Name, Span)>,
    /// `inputs { version = "v1" }`, as given from outside, converted to the types of the stack's inputs.
    pub inputs: Vec<(Name, Expr, Span)>,
    /// `allow_destroy = ["database.main"]`: addresses whose loss of data is confirmed. A list of texts.
    pub allow_destroy: Option<Expr>,
    /// `only = [...]`, `replace = [...]`: as the options of `plan`. Lists of texts.
    pub only: Option<Expr>,
    pub replace: Option<Expr>,
    /// `faults { fly { path = "*/machines", count = 1, do = drop_after } }`: by provider type the list of its rules, each an
    /// object of `provider`'s simulated cloud: `method`, `path` (may be null), `skip`, `count` (may be null), `share`, and `do`,
    /// a variant of `latency { by }`, `throttle { after }`, `error_before { status }`, `error_after { status }`, `drop_before`,
    /// `drop_after`, `half_body`, `html`, `stale`.
    pub faults: Option<Expr>,
    /// `given { items }`: these in place of the program's.
    pub given: Option<std::sync::Arc<Given>>,
    /// `given platform { url = "https://…" }`: what other stacks give out, the nearest last.
    pub stacks: Vec<GivenStack>,
    /// `mock "fly.machine" { id = "m1" }`, the nearest last: what comes later wins.
    pub mocks: Vec<Mock>,
}

/// `given { items }`.
#[derive(Clone, Debug)]
pub struct Given {
    pub body: Body,
    /// What the checker says of it, where the step expects an error; nothing in it may be expanded then.
    pub errors: Vec<Diagnostic>,
    pub span: Span,
}

/// `given platform { url = "https://…" }`: outputs of another stack, as if it had been applied with them.
#[derive(Clone, Debug)]
pub struct GivenStack {
    /// A place in [`super::Program::stacks`].
    pub stack: u32,
    /// Evaluates to an object of some of its outputs, each converted to its type; known with the environment.
    pub outputs: Expr,
    pub span: Span,
}

/// `mock "PATTERN" { attribute = value }`: what the platform answers for computed attributes of resources of a kind
/// (`fly.machine`), or at an address or glob.
#[derive(Clone, Debug)]
pub struct Mock {
    pub pattern: Name,
    /// By attribute, converted to its type.
    pub fields: Vec<(Name, Expr)>,
    pub span: Span,
}
