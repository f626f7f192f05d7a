//! The syntax tree of `.stack` files, edition 1: what was written, and where. Nothing here is resolved or typed.
//!
//! Every node has a [`Span`]; the text under it is the node's exact source. What could not be parsed is an `Error` node, whose
//! diagnostic was already given: whoever walks the tree stays silent about it. The depth of a tree is bounded by the limit on
//! nesting, also where the text is long: operators of one precedence, `else if`, steps of a reference and unary operators are lists.

mod exprs;
mod types;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

pub use exprs::*;
pub use rust_decimal::Decimal;
pub use types::*;

use crate::model::Span;

/// Something with the place where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Spanned<T> {
    pub node: T,
    pub span: Span,
}

impl<T> Spanned<T> {
    pub fn new(node: T, span: Span) -> Self {
        Spanned { node, span }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.node
    }
}

/// A name as it is written, without quotes: `name.node` is its text, `&**name` gives `&str`.
pub type Name = Spanned<Arc<str>>;

/// Names with dots between them: `service`, `net.vpc`, `fly.machine.web`. Never empty.
#[derive(Clone, Debug)]
pub struct Path {
    pub segments: Vec<Name>,
    pub span: Span,
}

impl Path {
    /// The only segment of a path without dots.
    pub fn single(&self) -> Option<&Name> {
        match &self.segments[..] {
            [name] => Some(name),
            _ => None,
        }
    }

    pub fn last(&self) -> &Name {
        self.segments.last().expect("a path has a segment")
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.segments.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            f.write_str(segment)?;
        }
        Ok(())
    }
}

/// The text of the `##` lines above something, without the signs, lines joined by newlines.
pub type Doc = Option<Arc<str>>;

#[derive(Clone, Debug)]
pub struct File {
    pub items: Vec<Item>,
    pub span: Span,
}

// ---- items ----------------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
pub struct Item {
    pub doc: Doc,
    pub kind: ItemKind,
    /// From the first word to the last character; doc comments lie before it.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ItemKind {
    /// `stack shop { … }`
    Stack(Named),
    /// `environment staging { … }`
    Environment(Named),
    /// `provider fly eu { … }`
    Provider(Provider),
    /// `input replicas: int(1..50) = 1`
    Input(Box<Input>),
    /// `secret session_key { … }`; the body is empty where none is written.
    Secret(Named),
    /// `let nodes: list<string> = …`
    Let(Box<Let>),
    /// `output url: string within provider.network if input.public = …`
    Output(Box<Output>),
    /// `signal connections(window: duration = 5m): metric<number> = …`
    Signal(Box<Signal>),
    /// `type port = int(1..65535)`
    Type(TypeDef),
    /// `fn half(a: int): number = a / 2`
    Fn(Box<Fn>),
    /// `import "../net" as net`
    Import(Import),
    /// `import stack "../platform" as platform`
    ImportStack(ImportStack),
    /// `component database { items }`
    Component(Component),
    /// `on fly { items }`
    On(On),
    /// `service worker for q in queues on eu { … }`
    Instance(Box<Instance>),
    /// `resource fly.machine node for i in nodes { … }`, `data …`, `shared resource …`
    Resource(Box<Resource>),
    /// `rollout web of fly.machine.web { … }`
    Rollout(Rollout),
    /// `if COND { items } else if COND { items } else { items }`
    If(If),
    /// `require COND else "text"`
    Require(Box<Require>),
    /// `policy NAME { rules }`
    Policy(Policy),
    /// `test "name" { rules }`
    Test(Test),
    /// `moved { from = "…", to = "…" }`
    Moved(Body),
    /// `adopt { address = "…", id = "…" }`
    Adopt(Body),
    /// `forget { address = "…" }`
    Forget(Body),
    /// Did not parse; its diagnostic was given.
    Error(Broken),
}

/// What can still be said of an item that did not parse, so that references to it are not called unknown.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The words with which it begins, up to the first that is no name: `service`, `api`; `output`, `url`; `fly.machine` is one
    /// element for each segment. May be empty.
    pub words: Vec<Name>,
}

/// A word, a name and a body: `stack`, `environment`, `secret`.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: Name,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub struct Provider {
    /// `fly`, `cloudflare`, `aws`.
    pub provider: Name,
    /// The name of a second, named instance.
    pub name: Option<Name>,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub struct Input {
    pub name: Name,
    pub ty: TypeExpr,
    pub default: Option<Expr>,
}

#[derive(Clone, Debug)]
pub struct Let {
    pub name: Name,
    pub ty: Option<TypeExpr>,
    pub value: Expr,
}

#[derive(Clone, Debug)]
pub struct Output {
    pub name: Name,
    pub ty: Option<TypeExpr>,
    pub within: Option<Expr>,
    pub cond: Option<Expr>,
    pub value: Option<Expr>,
}

#[derive(Clone, Debug)]
pub struct Signal {
    pub name: Name,
    /// `None` where no parentheses are written.
    pub params: Option<Vec<Param>>,
    pub ty: Option<TypeExpr>,
    pub value: Option<Expr>,
}

#[derive(Clone, Debug)]
pub struct Param {
    pub name: Name,
    pub ty: TypeExpr,
    pub default: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct TypeDef {
    pub name: Name,
    pub ty: TypeExpr,
}

#[derive(Clone, Debug)]
pub struct Fn {
    pub name: Name,
    pub params: Vec<Param>,
    pub result: TypeExpr,
    pub body: Expr,
}

#[derive(Clone, Debug)]
pub struct Import {
    pub path: Name,
    pub alias: Option<Name>,
}

#[derive(Clone, Debug)]
pub struct ImportStack {
    pub path: Name,
    pub alias: Name,
    /// `in ENV`: the environment of the other stack whose state is read.
    pub environment: Option<Name>,
}

#[derive(Clone, Debug)]
pub struct Items {
    pub items: Vec<Item>,
    /// With its braces.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Component {
    pub name: Name,
    pub items: Items,
}

#[derive(Clone, Debug)]
pub struct On {
    pub provider: Name,
    pub items: Items,
}

#[derive(Clone, Debug)]
pub struct Instance {
    /// `service`, or `net.vpc` for a kind of an import.
    pub kind: Path,
    pub name: Name,
    pub head: Head,
    pub body: Body,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResourceMode {
    /// `resource`: owned.
    Owned,
    /// `shared resource`: owned, once per provider instance and environment.
    Shared,
    /// `data`: read, not owned.
    Data,
}

#[derive(Clone, Debug)]
pub struct Resource {
    pub mode: ResourceMode,
    /// `fly.machine`: two segments or more.
    pub kind: Path,
    pub name: Name,
    pub head: Head,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub struct Rollout {
    pub name: Name,
    /// `fly.machine.web`
    pub of: Path,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub struct If {
    /// The first `if` and each `else if`, in order; never empty.
    pub branches: Vec<(Expr, Items)>,
    pub otherwise: Option<Items>,
}

#[derive(Clone, Debug)]
pub struct Require {
    pub cond: Expr,
    pub message: Expr,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub name: Name,
    pub rules: Rules,
}

#[derive(Clone, Debug)]
pub struct Test {
    pub name: Name,
    pub rules: Rules,
}

/// What stands between a name and the body: `for x in xs up to 10 if cond on eu in shared`. Scoped from left to right.
/// Blocks and the `for` of rules have only the first two.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub each: Option<For>,
    pub cond: Option<Expr>,
    pub on: Option<Expr>,
    pub in_env: Option<Name>,
}

/// `for x in xs`, `for k, v in map`, with `up to 10` in heads only. `_` is a name nobody reads.
#[derive(Clone, Debug)]
pub struct For {
    /// The first of two names: a map's key, a list's index.
    pub key: Option<Name>,
    pub value: Name,
    pub collection: Expr,
    pub up_to: Option<Expr>,
    pub span: Span,
}

// ---- entries --------------------------------------------------------------------------------------------------------------

/// `{ entries }`: the body of an instance, resource or block, and an object.
#[derive(Clone, Debug)]
pub struct Body {
    pub entries: Vec<Entry>,
    /// With its braces; empty, behind the name, where no body is written.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub doc: Doc,
    pub kind: EntryKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum EntryKind {
    /// `name = expr`
    Field { key: Key, value: Expr },
    /// `backup { … }`, `route "/api" { … }`, `deploy canary { … }`, `services if cond { … }`; also `lifecycle { … }`.
    Block(Box<Block>),
    /// `...expr`
    Spread(Expr),
    /// `require COND else "text"`
    Require(Box<Require>),
    /// `on fly { fly.machine.web["0"] { … } }`, directly in the body of an instance or resource.
    On(OnOverride),
    /// Did not parse; its diagnostic was given. The name is the entry's first word, if it begins with one.
    Error(Option<Name>),
}

#[derive(Clone, Debug)]
pub enum Key {
    /// `DATABASE_URL = …`
    Name(Name),
    /// `"any text" = …`
    Quoted(Name),
    /// `[expr] = …`
    Computed(Expr),
}

impl Key {
    /// The text of a key that is not computed.
    pub fn text(&self) -> Option<&Name> {
        match self {
            Key::Name(name) | Key::Quoted(name) => Some(name),
            Key::Computed(_) => None,
        }
    }

    pub fn span(&self) -> Span {
        match self {
            Key::Name(name) | Key::Quoted(name) => name.span,
            Key::Computed(expr) => expr.span,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Block {
    pub name: Name,
    /// A quoted label: the key of a map.
    pub key: Option<Name>,
    /// A bare label: picks a variant.
    pub label: Option<Name>,
    /// `for` and `if` only.
    pub head: Head,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub struct OnOverride {
    pub provider: Name,
    pub overrides: Vec<Override>,
    /// The braces around the overrides.
    pub braces: Span,
}

/// `fly.machine.web["key"] { … }`
#[derive(Clone, Debug)]
pub struct Override {
    /// Three segments or more: provider, type, name.
    pub resource: Path,
    pub key: Option<Name>,
    pub body: Body,
    pub span: Span,
}

// ---- rules ----------------------------------------------------------------------------------------------------------------

/// The braces of a policy, a test or a step.
#[derive(Clone, Debug)]
pub struct Rules {
    pub rules: Vec<Rule>,
    /// With its braces.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub doc: Doc,
    pub kind: RuleKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum RuleKind {
    /// A field, block or spread; never `require` or `on`.
    Entry(EntryKind),
    /// `for d in instances(database) if cond { rules }`, and `if cond { rules }`.
    Each { head: Box<Head>, rules: Rules },
    /// `step first { rules }`
    Step { name: Name, rules: Rules },
    /// `require COND else "text"`
    Require(Box<Require>),
    /// `expect EXPR`
    Expect(Expr),
    /// `given { items }`
    Given(Items),
}
