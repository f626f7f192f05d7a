//! Types and meanings: from syntax trees and their names to a [`Program`].
//!
//! Every expression is checked against what its place wants, or inferred where no place wants anything ([`infer`]); blocks are
//! folded into objects ([`blocks`]); conversions are put in ([`fit`]). What is wrong is said once, at the smallest place, and
//! leaves [`Type::Poison`] behind, about which nobody speaks again.

mod access;
mod blocks;
mod body;
mod calls;
mod components;
mod constant;
mod context;
mod describe;
mod encryption;
mod environments;
mod fit;
mod given_stacks;
mod habits;
mod heads;
mod imports;
mod infer;
mod items;
mod lifecycle;
mod lists;
mod matches;
mod members;
mod moves;
mod names;
mod narrow;
mod operators;
mod overrides;
mod paths;
mod patterns;
mod planned;
mod promql;
mod report;
mod rollouts;
mod rules;
mod settings;
mod shapes;
mod stages;
mod steps;
mod stores;
mod taint;
mod types;
mod units;

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::program::{self, Program};
use super::resolve::{self, IfId, ItemId, KindId, Tables, What};
use super::syntax::tree;
use super::{CheckInput, Checked};
use crate::model::expr::Expr;
use crate::model::types::ObjectType;
use crate::model::{Diagnostic, Name, Schemas, Sources, Span, Type};

/// Checks a whole program: its own files and the standard library.
pub fn check(input: CheckInput) -> Checked {
    let mut diagnostics = Vec::new();
    resolve::start_over();
    let program = {
        let tables = resolve::collect(&input, &mut diagnostics);
        let mut checker = Checker::new(tables, input.schemas.clone(), input.sources.clone(), diagnostics);
        checker.stacks = input.stacks.clone();
        let program = checker.program(&input.files);
        diagnostics = checker.diagnostics;
        program
    };
    in_order(&mut diagnostics);
    diagnostics.dedup();
    let failed = diagnostics.iter().any(Diagnostic::is_error);
    Checked { program: (!failed).then(|| Arc::new(program)), diagnostics, sources: input.sources }
}

/// Sorts diagnostics by their places: the stack's own files first, those without a place last.
pub fn in_order(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(|it| it.span().map_or((1, 0, 0), |span| (0, span.source.0, span.start)));
}

struct Checker<'t> {
    tables: Tables<'t>,
    schemas: Arc<Schemas>,
    sources: Arc<Sources>,
    diagnostics: Vec<Diagnostic>,
    /// While above zero, nothing is said: a question is asked whose answer, not whose mistakes, counts.
    quiet: u32,
    /// What is left for computing constants.
    constants: crate::eval::Budget,
    lets: Vec<Progress<LetType>>,
    items: Vec<ItemState>,
    ifs: Vec<Progress<Arc<Vec<Expr>>>>,
    types: Vec<Progress<Type>>,
    kinds: Vec<KindTypes>,
    functions: Vec<Arc<FunctionTypes>>,
    inputs: Arc<Vec<InputType>>,
    /// Other stacks whose outputs are read.
    stacks: Vec<program::OtherStack>,
    /// Where the fields of an object type are declared, by the address of the type, which is kept alive.
    declared: FxHashMap<usize, (Arc<ObjectType>, FxHashMap<Name, Span>)>,
    /// Which kind makes instances of which.
    uses: Vec<(KindId, KindId, Span)>,
    /// Which kind is made from all instances of which.
    made_from: Vec<(KindId, KindId, Span)>,
    stages: stages::Stages,
    environment_names: Vec<Name>,
    /// Items and branches by the address of their trees.
    by_ast: FxHashMap<usize, ItemId>,
    ifs_by_ast: FxHashMap<usize, IfId>,
    /// Outputs whose types come from their values.
    untyped: Vec<(KindId, Name)>,
    /// Policies that `stack { policies }` names, and all that act.
    named_policies: Vec<rules::NamedPolicy>,
    acting_policies: Vec<Name>,
    /// Names and types of the stack's outputs, and of those in each `given`, by its scope.
    stack_outputs: Arc<Vec<(Name, Type)>>,
    given_outputs: Vec<(resolve::ScopeId, Arc<Vec<(Name, Type)>>)>,
    /// Errors that a test expects.
    expected: Vec<Diagnostic>,
    /// How many values that may be null, and how many secrets, went into places that take them.
    nulls: u32,
    taints: u32,
}

/// What is computed when it is first needed.
enum Progress<T> {
    Waiting,
    /// Being computed: who asks now asks in a circle.
    Busy,
    Done(T),
}

impl<T> Progress<T> {
    fn done(&self) -> Option<&T> {
        match self {
            Progress::Done(it) => Some(it),
            _ => None,
        }
    }
}

#[derive(Clone)]
struct LetType {
    ty: Type,
    value: Arc<program::Let>,
}

struct ItemState {
    head: Progress<Arc<heads::CheckedHead>>,
    /// What the caller's block says of inputs that conditions of outputs read.
    given: FxHashMap<Name, Option<narrow::Known>>,
    /// The keys of a set, where they are constant; `None` until asked.
    keys: Option<Option<Arc<BTreeSet<Name>>>>,
    /// By input, once the body was checked.
    inputs: Option<Arc<Vec<(Name, Expr, Span)>>>,
}

/// An input of a stack or component.
#[derive(Clone)]
struct InputType {
    name: Name,
    ty: Arc<Type>,
    required: bool,
    default: Option<Expr>,
    /// `name: T = default`, for notes.
    declared: Span,
}

#[derive(Clone)]
struct OutputType {
    ty: Type,
    /// In the component's own scope.
    cond: Option<Expr>,
    cond_span: Span,
    span: Span,
}

#[derive(Clone)]
struct SignalType {
    ty: Type,
    has_window: bool,
}

/// What a caller sees of a component.
#[derive(Default)]
struct KindTypes {
    inputs: Arc<Vec<InputType>>,
    outputs: FxHashMap<Name, OutputType>,
    signals: FxHashMap<Name, SignalType>,
    /// Checked output values, with their clause: where a secret comes from, how late a value is.
    values: Vec<(Name, Expr)>,
}

struct FunctionTypes {
    params: Vec<FunctionParam>,
    result: Arc<Type>,
}

struct FunctionParam {
    name: Name,
    ty: Arc<Type>,
    default: Option<Expr>,
    declared: Span,
}

impl<'t> Checker<'t> {
    fn new(tables: Tables<'t>, schemas: Arc<Schemas>, sources: Arc<Sources>, diagnostics: Vec<Diagnostic>) -> Self {
        let many = |count: usize| 0..count;
        Checker {
            lets: many(tables.lets.len()).map(|_| Progress::Waiting).collect(),
            items: many(tables.items.len())
                .map(|_| ItemState { head: Progress::Waiting, given: Default::default(), keys: None, inputs: None })
                .collect(),
            ifs: many(tables.ifs.len()).map(|_| Progress::Waiting).collect(),
            types: many(tables.types.len()).map(|_| Progress::Waiting).collect(),
            kinds: many(tables.kinds.len()).map(|_| KindTypes::default()).collect(),
            functions: Vec::new(),
            inputs: Arc::default(),
            stacks: Vec::new(),
            declared: Default::default(),
            uses: Vec::new(),
            made_from: Vec::new(),
            stages: Default::default(),
            environment_names: tables.environments.iter().map(|(it, _)| it.name.node.clone()).collect(),
            by_ast: by_ast(&tables),
            ifs_by_ast: tables
                .ifs
                .iter()
                .enumerate()
                .map(|(at, it)| (std::ptr::from_ref(it.ast) as usize, IfId(at as u32)))
                .collect(),
            untyped: Vec::new(),
            named_policies: Vec::new(),
            acting_policies: Vec::new(),
            stack_outputs: Arc::default(),
            given_outputs: Vec::new(),
            expected: Vec::new(),
            nulls: 0,
            taints: 0,
            quiet: 0,
            constants: crate::eval::Budget::of_constants(),
            tables,
            schemas,
            sources,
            diagnostics,
        }
    }

    /// The whole program, in an order in which what is needed is there: types, then what callers see of each other, then bodies.
    fn program(&mut self, files: &'t [Arc<tree::File>]) -> Program {
        self.declare_types();
        self.declare_functions();
        self.declare_inputs();
        self.declare_components();
        let functions = self.check_functions();
        let directories = self.check_file_lets();
        let components = self.check_components();
        let body = self.check_stack_body(files);
        let inputs = self.program_inputs();
        let stack = self.check_stack_item();
        let environments = self.check_environments();
        let providers = self.check_providers();
        let policies = self.check_policies();
        self.acting_policies = policies.iter().map(|it| it.name.clone()).collect();
        self.stack_outputs = steps::outputs_of(&body);
        let mut tests = self.check_tests();
        let (moved, adopt, forget) = self.check_moves(files);
        self.refuse_recursive_kinds();
        self.refuse_recursive_functions();
        self.expected_errors(&mut tests);
        Program {
            stack,
            environments,
            providers,
            inputs,
            body,
            components,
            functions,
            directories,
            stacks: std::mem::take(&mut self.stacks),
            moved,
            adopt,
            forget,
            policies,
            tests,
            schemas: self.schemas.clone(),
            sources: self.sources.clone(),
        }
    }

    fn say(&mut self, diagnostic: Diagnostic) {
        if self.quiet == 0 {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Asks without saying anything.
    fn quietly<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        self.quiet += 1;
        let answer = ask(self);
        self.quiet -= 1;
        answer
    }

    fn text(&self, span: Span) -> &str {
        self.sources.text(span)
    }
}

fn by_ast(tables: &Tables<'_>) -> FxHashMap<usize, ItemId> {
    let ast = |what: &What<'_>| match what {
        What::Instance(it, _) => Some(std::ptr::from_ref(*it) as usize),
        What::Resource(it, _) => Some(std::ptr::from_ref(*it) as usize),
        What::Secret(_) | What::Unknown => None,
    };
    tables.items.iter().enumerate().filter_map(|(at, item)| Some((ast(&item.what)?, ItemId(at as u32)))).collect()
}
