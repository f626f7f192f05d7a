//! Program in, desired resources out: one environment of a checked program, with instances, components, `let` and outputs gone.
//!
//! Pure: the same program, request and answers give the same [`Desired`]. What only the outside can say (data sources whose
//! arguments are known) leaves as [`Question`]s, and expanding again with the answers carries on. Attributes of resources are
//! always unknown here, given ones too: whoever plans knows which of them stay. Outputs named `remarks`, lists of texts, become
//! the remarks of their instance.

mod deferred;
mod elsewhere;
mod expander;
mod frame;
mod instances;
mod moves;
mod naming;
mod place;
mod resources;
mod rollout;
pub mod rules;
mod scope;
mod secrets;
mod shares;
mod untold;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use secrets::KeptSecret;

use crate::eval::{Nothing, Outside};
use crate::lang::program::{Environment, Program};
use crate::model::{Address, Code, Desired, DesiredProvider, Diagnostic, Expr, Fields, Kind, Name, ProviderName, Span, Value};

/// What to expand a program for.
pub struct Request<'a> {
    pub environment: &'a str,
    /// Inputs that are given from outside, the strongest for each; they are fitted into their types here, and their origin says
    /// where they came from. The environment's own inputs and defaults come after them.
    pub inputs: &'a BTreeMap<Name, Value>,
    pub known: Known<'a>,
    /// Reads files and variables of the environment.
    pub outside: &'a dyn Outside,
}

/// What is known from before.
#[derive(Clone, Default)]
pub struct Known<'a> {
    /// Names that were made earlier: by address of the record, and attribute. They stay, through `moved` too.
    pub names: BTreeMap<Address, BTreeMap<Name, Arc<str>>>,
    /// What data sources answered, by address: all attributes.
    pub data: BTreeMap<Address, Fields>,
    /// Nobody asks the data sources that have not answered: they have their arguments, and everything else of them is unknown.
    /// There are no [`Question`]s then.
    pub untold: bool,
    /// Secrets that are given from outside, by address (`secret.pagerduty_key`).
    pub secrets: BTreeMap<Address, Value>,
    /// What records say of secrets, by address. They stay, through `moved` too.
    pub kept_secrets: BTreeMap<Address, KeptSecret>,
    /// The clouds are simulated: a secret that is not given is made up.
    pub simulated: bool,
    /// What other stacks and other environments gave out; `None` where nobody asked them, as for a check.
    pub elsewhere: Option<Elsewhere>,
    /// What state holds, for keys of sets that are made from what an earlier apply has made.
    pub records: Option<&'a BTreeMap<Address, Arc<crate::model::Record>>>,
    /// What tells this state from every other: part of the hash in names that are unique everywhere.
    pub store_id: &'a str,
}

/// What other states hold.
#[derive(Clone, Default, Debug)]
pub struct Elsewhere {
    /// By the place in [`Program::stacks`]: of the environment that is read there; an error where its state cannot be read.
    pub stacks: Vec<Result<Told, Box<Diagnostic>>>,
    /// Environments of this stack that instances are `in`.
    pub environments: BTreeMap<Name, Result<Told, Box<Diagnostic>>>,
    /// It is a test that says what other stacks give out.
    pub in_test: bool,
}

/// The outputs of one environment, as they were last applied.
#[derive(Clone, Default, Debug)]
pub struct Told {
    /// 0: never.
    pub revision: u64,
    pub outputs: Fields,
}

/// What the process does when it is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// It ends, and its memory with it: nothing that is large is freed before.
    Ends,
    GoesOn,
}

impl After {
    /// Frees something, unless the process ends.
    pub fn drop<T>(self, it: T) {
        if self == After::Ends {
            std::mem::forget(it);
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub enum Expansion {
    Done(Box<Desired>),
    /// Data sources to read before it can go on, ordered by address, and the provider instances that they belong to.
    Asks {
        questions: Vec<Question>,
        providers: Vec<DesiredProvider>,
    },
}

/// A data source to be read: its answer goes to [`Known::data`].
#[derive(Clone, Debug)]
pub struct Question {
    pub address: Address,
    pub kind: Arc<Kind>,
    pub provider: ProviderName,
    /// All known.
    pub arguments: Fields,
    pub span: Span,
}

/// Expands a program.
///
/// Errors: all of them at once. [`Code::UnknownEnvironment`], [`Code::MissingInput`], [`Code::NoPlace`], [`Code::Cycle`],
/// [`Code::SameObject`], [`Code::RequireFailed`], [`Code::SecretMissing`], [`Code::TooLate`], [`Code::NotYet`], [`Code::NotApplied`],
/// [`Code::Unreachable`], and what evaluation answers.
pub fn expand(program: &Program, request: &Request<'_>) -> Result<Expansion, Vec<Diagnostic>> {
    expand_then(program, request, After::GoesOn)
}

fn expand_then(program: &Program, request: &Request<'_>, after: After) -> Result<Expansion, Vec<Diagnostic>> {
    let environment = environment_of(program, request.environment)?;
    if let Some(expansion) = shares::run(program, request, environment, after) {
        return expansion;
    }
    let all = expander::Expander::new(program, request, environment);
    let expansion = whole::run(&all);
    after.drop(all);
    expansion
}

/// As [`expand()`], where no platform is reached: what data sources would tell is unknown ([`Known::untold`]).
///
/// Errors: as [`expand()`].
pub fn expand_untold(program: &Program, request: &Request<'_>, after: After) -> Result<Desired, Vec<Diagnostic>> {
    let Request { environment, inputs, ref known, outside } = *request;
    let known = Known { untold: true, ..known.clone() };
    match expand_then(program, &Request { environment, inputs, known, outside }, after)? {
        Expansion::Done(desired) => Ok(*desired),
        Expansion::Asks { .. } => unreachable!("nobody is asked"),
    }
}

/// As [`expand()`], by so many expanders at once, however small the program is; `None` where one of them has to do it, which
/// then says what is wrong. What they make does not depend on how many there are.
pub fn expand_in_shares(program: &Program, request: &Request<'_>, shares: usize) -> Option<Result<Expansion, Vec<Diagnostic>>> {
    let environment = environment_of(program, request.environment).ok()?;
    shares::run_in(program, request, environment, After::GoesOn, shares)
}

/// The value of an expression that reads constants and `env.name` only, in an environment that the program need not have.
///
/// Errors: what evaluation answers.
pub fn early(program: &Program, environment: &str, expr: &Expr) -> Result<Value, Box<Diagnostic>> {
    let (inputs, known) = (BTreeMap::new(), Known::default());
    let request = Request { environment, inputs: &inputs, known, outside: &Nothing };
    let bare = Environment {
        name: environment.into(),
        span: Span::ENGINE,
        on: None,
        place: Vec::new(),
        protect: None,
        inputs: Vec::new(),
    };
    let all = expander::Expander::new(program, &request, &bare);
    let top = all.top().clone();
    all.eval(&top, expr, &[])
}

fn environment_of<'p>(program: &'p Program, name: &str) -> Result<&'p Environment, Vec<Diagnostic>> {
    program.environments.iter().find(|it| *it.name == *name).ok_or_else(|| {
        let names: Vec<&str> = program.environments.iter().map(|it| &*it.name).collect();
        let unknown = Code::UnknownEnvironment.error(format!("the stack has no environment `{name}`"));
        vec![match names.is_empty() {
            true => unknown.help(format!("declare it: `environment {name} {{ on = local }}`")),
            false => unknown.help(format!("it has {}", place::listed(&names))),
        }]
    })
}
