//! Checked expressions: what the checker makes of a program's text, and what the evaluator evaluates.
//!
//! Every name is resolved, every block is folded into an object, every implicit conversion is a [`ExprKind::Convert`]. There is
//! one tree for whole expressions and for what is left of them when something is not yet known (see
//! [`super::value::Unknown`]): the latter names nothing but [`Reference::Attribute`] and its own variables.

use std::sync::Arc;

use super::types::{Name, Type};
use super::value::Value;
use super::{Address, Span};

#[derive(Clone)]
pub struct Expr {
    pub span: Span,
    pub kind: ExprKind,
}

/// A variable that a comprehension, a `match` arm, a function or a `for` head binds. Distinct within one item or function.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Slot(pub u32);

#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    Literal(Value),
    /// A string with `${…}`: parts that are texts, or ints, numbers and bools that are written as text.
    Text(Vec<Expr>),
    /// `promql"…"`: the raw pieces and, between them, values that are escaped for PromQL. One more piece than values.
    Promql {
        pieces: Vec<Arc<str>>,
        values: Vec<Expr>,
    },
    Local(Slot),
    Name(Reference),
    /// `of.name` of an object, `of?.name` of a `T?`.
    Field {
        of: Box<Expr>,
        name: Name,
        optional: bool,
    },
    /// `of[key]`; `of?[key]` is null where there is no such key.
    Index {
        of: Box<Expr>,
        key: Box<Expr>,
        optional: bool,
    },
    /// An output, signal or input of an instance: `of` evaluates to a `ref<kind>`, or to null where `optional`.
    Member {
        of: Box<Expr>,
        member: Member,
        optional: bool,
    },
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    Match(Box<Expr>, Vec<(Pattern, Expr)>),
    List(Vec<ListPart>),
    /// An object or a map.
    Map(Vec<MapPart>),
    ForList {
        clauses: Vec<ForClause>,
        item: Box<Expr>,
    },
    ForMap {
        clauses: Vec<ForClause>,
        key: Box<Expr>,
        value: Box<Expr>,
    },
    Variant(Name, Box<Expr>),
    /// A built-in; arguments in the order of its declaration, `None` for one that was left out.
    Builtin(Builtin, Vec<Option<Expr>>),
    /// A `fn` of the program, by its place in [`crate::lang::program::Program::functions`]; all arguments given.
    Call(u32, Vec<Expr>),
    /// Fit the value into the type: widen ints, fill in defaults, make `3` the range `3..3`, check refinements. A value that
    /// does not fit is a diagnostic at this span as soon as the value is known.
    Convert(Box<Expr>, Arc<Type>),
}

/// What can be read of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecretPart {
    Value,
    /// The former value, while the two overlap.
    Previous,
    /// The public half of a key.
    Public,
    /// When it got its value.
    Since,
    /// When another value is due.
    Due,
}

impl SecretPart {
    pub const ALL: [SecretPart; 5] =
        [SecretPart::Value, SecretPart::Previous, SecretPart::Public, SecretPart::Since, SecretPart::Due];

    /// The word after the dot, which is also the attribute of its resource.
    pub fn word(self) -> &'static str {
        match self {
            SecretPart::Value => "value",
            SecretPart::Previous => "previous",
            SecretPart::Public => "public",
            SecretPart::Since => "since",
            SecretPart::Due => "due",
        }
    }
}

/// A name that is not a variable.
#[derive(Clone, PartialEq, Debug)]
pub enum Reference {
    /// `input.name` of the surrounding component, or of the stack.
    Input(Name),
    /// A `let` of the surrounding body, or of the file level that surrounds it.
    Let(Scope, Name),
    /// `secret.name.value` and its other parts.
    Secret { name: Name, part: SecretPart },
    /// An instance that the surrounding body declares: a `ref<kind>`; with `for` a map of them; null where its `if` is false.
    Instance { kind: Name, name: Name },
    /// A resource or data source that the surrounding body declares, as the object of its attributes; with `for` a map.
    Resource { kind: Name, name: Name },
    /// An attribute of a resource, by address: only in what is left of an unknown value.
    Attribute { address: Address, path: Vec<Step> },
    /// `env.name`, `env.protect`.
    Env(Name),
    /// `stack.name`.
    Stack(Name),
    /// `self.name`, `self.key`, `self.address`.
    SelfField(Name),
    /// `self.slug(40)`: the made-up name of the surrounding instance, at most so long.
    Slug(u8),
    /// A setting of the provider instance that the surrounding clause is lowered to (`provider.org`), or `network`.
    ProviderField(Name),
    /// The provider instance itself.
    Provider,
    /// Every instance of a kind, keyed by address.
    Instances(Name),
    /// An output of another stack; `stack` is a place in [`crate::lang::program::Program::stacks`].
    StackOutput { stack: u32, output: Name },
    /// What a finished plan says, and what it was made for: in the rules of policies and tests only.
    Plan(PlanPart),
}

/// What rules see of a finished plan, beside the program itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlanPart {
    /// The list of its changes: all, those of resources of a kind (`fly.machine`), those in instances of a kind (`database`).
    Changes(Option<Name>),
    /// The name of its environment.
    Environment,
    /// Whether everything goes.
    Destroy,
    /// Every resource of a kind that exists afterwards, by address.
    Resources(Name),
    /// An output of the stack, as the step before left it: in tests only.
    Output(Name),
}

/// Where a `let` stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// In the component that surrounds the expression, its clause, or a branch of them; at the top, in a branch of the stack.
    Here,
    /// At file level of the directory that defines the component; at the top, of the stack's own files.
    File,
    /// At file level of the standard library, seen from elsewhere.
    Library,
    /// At file level of an imported directory, seen from elsewhere: a place in [`crate::lang::program::Program::directories`].
    Import(u32),
}

/// One step into a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Step {
    Field(Name),
    Item(u32),
}

#[derive(Clone, PartialEq, Debug)]
pub enum Member {
    Output(Name),
    Input(Name),
    /// With the window that was asked for, if one was.
    Signal(Name, Option<Box<Expr>>),
    Address,
    Provider,
    /// What it refers to, by address; also of a resource. In rules only, as the next two.
    Uses,
    /// What refers to it, by address; also of a resource.
    UsedBy,
    /// Whether it depends on the other instance or resource, through any number of others.
    Reaches(Box<Expr>),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Unary {
    Not,
    Minus,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Binary {
    /// `a ?? b`: b where a is null.
    Else,
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Range,
    Plus,
    Minus,
    Times,
    Divide,
}

impl Binary {
    pub fn symbol(self) -> &'static str {
        match self {
            Binary::Else => "??",
            Binary::Or => "||",
            Binary::And => "&&",
            Binary::Equal => "==",
            Binary::NotEqual => "!=",
            Binary::Less => "<",
            Binary::LessEqual => "<=",
            Binary::Greater => ">",
            Binary::GreaterEqual => ">=",
            Binary::Range => "..",
            Binary::Plus => "+",
            Binary::Minus => "-",
            Binary::Times => "*",
            Binary::Divide => "/",
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum Pattern {
    /// `_`
    Any,
    Literals(Vec<Value>),
    /// A variant's label, and the slot that takes its object.
    Label(Name, Option<Slot>),
    /// Any of these labels.
    Labels(Vec<Name>),
}

#[derive(Clone, PartialEq, Debug)]
pub enum ListPart {
    Item(Expr),
    Spread(Expr),
}

#[derive(Clone, PartialEq, Debug)]
pub enum MapPart {
    Entry(Name, Expr),
    /// `[key] = value`.
    Computed(Expr, Expr),
    Spread(Expr),
}

/// `for key, value in over`, `for value in over`, or `if condition`.
#[derive(Clone, PartialEq, Debug)]
pub enum ForClause {
    For { key: Option<Slot>, value: Option<Slot>, over: Expr },
    If(Expr),
}

/// A built-in function, by its name in [`crate::eval::builtins`]'s table: stored plans keep their meaning while the table grows.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Builtin(pub Name);

impl Expr {
    pub fn new(kind: ExprKind, span: Span) -> Expr {
        Expr { span, kind }
    }

    pub fn literal(value: Value) -> Expr {
        Expr { span: value.mark.origin, kind: ExprKind::Literal(value) }
    }
}

/// Equal in what they compute; places do not count.
impl PartialEq for Expr {
    fn eq(&self, other: &Expr) -> bool {
        self.kind == other.kind
    }
}

/// What it computes, without places: equal expressions print the same, which canonical bytes rely on.
impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.kind.fmt(f)
    }
}
