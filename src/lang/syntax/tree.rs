//! The syntax tree of `.stack` files, edition 1: what was written, and where. Nothing here is resolved or typed.
//!
//! Every node has a [`Span`]; the text under it is the node's exact source. What could not be parsed is an `Error` node, whose
//! diagnostic was already given: whoever walks the tree stays silent about it. The depth of a tree is bounded by the limit on
//! nesting, also where the text is long: operators of one precedence, `else if`, steps of a reference and unary operators are lists.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

pub use rust_decimal::Decimal;

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

// ---- expressions ----------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    /// `null`, `true`, `3`, `0.25`, `30s`, `256MiB`, `70%`, `100/s`, `15.50EUR`, `@2026-11-22T06:00Z`
    Literal(Literal),
    /// A string without interpolation, in any of its forms; escapes are resolved and indentation is stripped.
    Text(Arc<str>),
    /// A string with interpolation.
    Template(Vec<Part>),
    /// `re"…"`, `promql"…"`
    Tagged { tag: Name, parts: Vec<Part> },
    /// A bare name: a variable, or what the expected type offers (variant label, provider instance, kind, environment).
    Name(Arc<str>),
    /// `base.field[key]?.field(args)`; at least one step. `database.main.url` is the name `database` and two steps.
    Access { base: Box<Expr>, steps: Vec<Step> },
    /// `[a, b]`
    List(Vec<Expr>),
    /// `{ a = 1, b { … }, ...c }`
    Object(Body),
    /// `[for x in xs if cond : expr]`; the first clause is a `for`.
    ListFor { clauses: Vec<Clause>, value: Box<Expr> },
    /// `{for k, v in m : [k] = v}`
    ObjectFor { clauses: Vec<Clause>, key: Box<Expr>, value: Box<Expr> },
    /// `label { … }`
    Variant { label: Name, body: Body },
    /// `if c then a else if d then b else e`: each condition with its value.
    If { branches: Vec<(Expr, Expr)>, otherwise: Box<Expr> },
    /// `match x { "a" | "b" => 1, canary c => c.hold, _ => 3 }`
    Match { scrutinee: Box<Expr>, arms: Vec<Arm> },
    /// `!!a`, `-a`: the outermost operator first; at least one.
    Unary { ops: Vec<Spanned<UnaryOp>>, operand: Box<Expr> },
    /// `a + b - c`: operators of one precedence, applied from left to right; `rest` is never empty, and has one element for
    /// comparisons and ranges, which do not chain.
    Binary { first: Box<Expr>, rest: Vec<(Spanned<BinaryOp>, Expr)> },
    /// `(expr)`: means what it holds.
    Paren(Box<Expr>),
    /// Has no value, such as a number that is too large; its diagnostic was given.
    Error,
}

impl Expr {
    /// The expression without the parentheses around it.
    pub fn without_parens(&self) -> &Expr {
        let mut expr = self;
        while let ExprKind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }

    /// The constant text of a string without interpolation.
    pub fn as_text(&self) -> Option<&Arc<str>> {
        match &self.without_parens().kind {
            ExprKind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a bare name.
    pub fn as_name(&self) -> Option<&Arc<str>> {
        match &self.without_parens().kind {
            ExprKind::Name(name) => Some(name),
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Decimal(Decimal),
    /// Nanoseconds.
    Duration(i64),
    /// Bytes.
    Size(i64),
    /// The ratio: `70%` is 0.70.
    Percent(Decimal),
    Rate {
        count: Decimal,
        per: RatePer,
    },
    /// The currency is three capital letters.
    Money {
        amount: Decimal,
        currency: Arc<str>,
    },
    Instant(jiff::Timestamp),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RatePer {
    Second,
    Minute,
    Hour,
}

/// A part of a string with interpolation.
#[derive(Clone, Debug)]
pub enum Part {
    /// Escapes are resolved, but for tagged strings, which are raw. Never empty.
    Text { text: Arc<str>, span: Span },
    /// `${expr}`; the span is the expression's.
    Expr(Expr),
}

#[derive(Clone, Debug)]
pub struct Step {
    pub kind: StepKind,
    /// From its dot or bracket to its end.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum StepKind {
    /// `.name`, or `?.name` if optional.
    Field { name: Name, optional: bool },
    /// `[key]`, or `?[key]` if optional.
    Index { key: Box<Expr>, optional: bool },
    /// `(a, by = 2)`
    Call { args: Vec<Arg> },
}

#[derive(Clone, Debug)]
pub struct Arg {
    pub name: Option<Name>,
    pub value: Expr,
}

/// A clause of a comprehension.
#[derive(Clone, Debug)]
pub enum Clause {
    For(Box<For>),
    If(Expr),
}

#[derive(Clone, Debug)]
pub struct Arm {
    /// Alternatives; never empty.
    pub patterns: Vec<Pattern>,
    pub value: Expr,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Pattern {
    pub kind: PatternKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum PatternKind {
    /// `_`
    Any,
    Text(Arc<str>),
    /// A negative number has its sign inside.
    Literal(Literal),
    /// `canary`, or `canary c` with a binding.
    Label {
        label: Name,
        binding: Option<Name>,
    },
    /// Has no value; its diagnostic was given.
    Error,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnaryOp {
    Not,
    Neg,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BinaryOp {
    /// `??`
    Coalesce,
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// `..`
    Range,
    Add,
    Sub,
    Mul,
    Div,
}

impl BinaryOp {
    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            BinaryOp::Coalesce => "??",
            BinaryOp::Or => "||",
            BinaryOp::And => "&&",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Range => "..",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
        }
    }

    /// How tightly it binds: 1 is the loosest.
    pub fn precedence(self) -> u8 {
        match self {
            BinaryOp::Coalesce => 1,
            BinaryOp::Or => 2,
            BinaryOp::And => 3,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => 4,
            BinaryOp::Range => 5,
            BinaryOp::Add | BinaryOp::Sub => 6,
            BinaryOp::Mul | BinaryOp::Div => 7,
        }
    }
}

// ---- types ----------------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
pub struct TypeExpr {
    pub kind: TypeKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum TypeKind {
    /// `string`, `int(1..50)`, `list<T>(1..)`, `net.port`, `ref<service>`, `metric<percent>`, `provider<cloudflare>`: what is in
    /// angle brackets is always written as a type, also where it names a kind.
    Named { path: Path, args: Vec<TypeExpr>, refinement: Option<Refinement> },
    /// `"a"`, `3`: a member of a union, or alone.
    Literal(Box<Expr>),
    /// `"a" | "b"`: two members or more.
    Union(Vec<TypeExpr>),
    /// `{ a: T, b: T = default, c?: T }`
    Object(Vec<TypeField>),
    /// `variant { rolling: {…}, canary: {…} }`
    Variant(Vec<TypeField>),
    /// `sensitive T`
    Sensitive(Box<TypeExpr>),
    /// `T?`
    Nullable(Box<TypeExpr>),
    /// Did not parse; its diagnostic was given.
    Error,
}

#[derive(Clone, Debug)]
pub struct TypeField {
    pub doc: Doc,
    pub name: Name,
    /// `c?: T`
    pub optional: bool,
    pub ty: TypeExpr,
    pub default: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Refinement {
    /// `1..10`; `1..` has no upper end.
    Range { from: Box<Expr>, to: Option<Box<Expr>> },
    /// `re"^[a-z-]+$"`
    Expr(Box<Expr>),
}
