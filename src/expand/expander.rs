//! The state of one expansion: memos, what waits for what, what was said.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::elsewhere::{self, Away, is_unasked};
use super::frame::{Frame, Key, Memo, Reads, Tables, Title, reads_of};
use super::place::Grounds;
use super::scope::Scope;
use super::shares::{Moment, Share};
use super::{Question, Request, untold};
use crate::eval::{Budget, Outcome, evaluate_with};
use crate::lang::program::{Branch, Environment, Let, Program, Resource};
use crate::model::{
    Address, Code, Data, Deferred, DesiredResource, Diagnostic, Expr, ExprKind, Fields, Kind, Name, Origin, ProviderName,
    Requirement, Severity, Slot, Span, Value,
};

/// No program has more instances and resources.
pub const SET_MAX: u32 = 1_000_000;

pub struct Expander<'p> {
    pub program: &'p Program,
    /// Which of the stack's items are expanded here; all of them can be asked for.
    pub share: Share,
    /// What is at work, in the order in which one expander would do all of it.
    pub moment: Cell<Moment>,
    pub request: &'p Request<'p>,
    pub environment: &'p Environment,
    pub budget: Budget,
    /// The first is the stack.
    pub directories: Vec<Rc<Frame<'p>>>,
    pub file_lets: Vec<FxHashMap<Name, &'p Let>>,
    /// By source: the file of a user, of the library, or a value from outside.
    nearness: Vec<u8>,
    /// Frames of all instances that were asked for.
    pub frames: RefCell<FxHashMap<Address, Rc<Frame<'p>>>>,
    /// Items of each component by clause, with the branches among them.
    pub bodies: RefCell<FxHashMap<(usize, usize), (Rc<Tables<'p>>, Rc<Vec<&'p Branch>>)>>,
    /// What the environment says of where things go, and whether it is protected, once somebody asked.
    pub grounds: OnceCell<Rc<Grounds>>,
    pub protected: OnceCell<bool>,
    /// Values of defaults that are constant, by their place in the program; `None` for one that is not.
    constants: RefCell<FxHashMap<usize, Option<Value>>>,
    /// Kinds by the place of their names.
    kinds: RefCell<FxHashMap<usize, &'p Kind>>,
    /// Sets of one address each, which many unknown values share.
    alone: RefCell<FxHashMap<Address, Arc<BTreeSet<Address>>>>,
    pub settings: RefCell<BTreeMap<ProviderName, Rc<Fields>>>,
    pub secrets: RefCell<BTreeMap<Address, DesiredResource>>,
    /// Secrets that have to be given and are not, and where they are needed.
    pub missing_secrets: RefCell<BTreeMap<Address, (Span, Span)>>,
    /// Shared resources, with the frame that declares them first.
    pub shared: RefCell<BTreeMap<Address, SharedResource<'p>>>,
    pub questions: RefCell<BTreeMap<Address, Question>>,
    /// Data sources that nobody asks.
    pub untold: RefCell<untold::Sources<'p>>,
    /// Instances that belong to another environment.
    pub away: RefCell<FxHashMap<Address, Away<'p>>>,
    /// What was read of other states.
    pub elsewhere: RefCell<elsewhere::Reads>,
    /// What was said of what was never applied.
    pub not_applied: RefCell<BTreeSet<String>>,
    /// Kinds whose instances were gathered.
    pub gathered: RefCell<BTreeSet<Name>>,
    pub resources: RefCell<Vec<DesiredResource>>,
    pub errors: RefCell<Vec<Diagnostic>>,
    said: RefCell<FxHashSet<(Code, String, Span)>>,
    pub reveals: RefCell<BTreeSet<crate::model::desired::Reveal>>,
    pub warnings: RefCell<Vec<(Moment, Diagnostic)>>,
    pub branches: RefCell<std::collections::BTreeSet<(Span, bool)>>,
    /// Sets that wait for their keys, by address.
    pub deferred: RefCell<BTreeMap<Address, Deferred>>,
    /// What is judged only during an apply.
    pub requirements: RefCell<Vec<(Moment, Requirement)>>,
    /// What is being computed: its name, and the place that asked for it.
    busy: RefCell<Vec<(Title<'p>, Span)>>,
    reads: RefCell<Vec<BTreeMap<Address, Span>>>,
    pub count: Cell<u32>,
}

/// A resource that several instances have in common.
#[derive(Clone)]
pub struct SharedResource<'p> {
    /// The frame that was the first to ask for it, and when.
    pub frame: Rc<Frame<'p>>,
    pub asked: Moment,
    pub decl: &'p Resource,
    pub provider: ProviderName,
}

impl Drop for Expander<'_> {
    /// A frame holds its caller, and the caller its frames: the circles end here, or nobody would ever free them.
    fn drop(&mut self) {
        let mut open = std::mem::take(&mut self.directories);
        while let Some(frame) = open.pop() {
            let children = std::mem::take(&mut *frame.children.borrow_mut());
            open.extend(children.into_values().flat_map(|set| set.to_vec()));
        }
    }
}

impl<'p> Expander<'p> {
    pub fn new(program: &'p Program, request: &'p Request<'p>, environment: &'p Environment) -> Expander<'p> {
        Expander::of_share(program, request, environment, Share::default())
    }

    pub fn of_share(program: &'p Program, request: &'p Request<'p>, environment: &'p Environment, share: Share) -> Expander<'p> {
        let count = program.directories.len().max(2) as u32;
        Expander {
            program,
            request,
            environment,
            share,
            moment: Cell::default(),
            budget: Budget::new(),
            directories: (0..count).map(|directory| Rc::new(Frame::of_directory(directory))).collect(),
            file_lets: program.directories.iter().map(|lets| lets.iter().map(|it| (it.name.clone(), it)).collect()).collect(),
            nearness: program.sources.iter().map(|(_, source)| nearness(source.origin)).collect(),
            frames: RefCell::default(),
            bodies: RefCell::default(),
            grounds: OnceCell::new(),
            protected: OnceCell::new(),
            constants: RefCell::default(),
            kinds: RefCell::default(),
            alone: RefCell::default(),
            settings: RefCell::default(),
            secrets: RefCell::default(),
            missing_secrets: RefCell::default(),
            shared: RefCell::default(),
            questions: RefCell::default(),
            untold: RefCell::default(),
            away: RefCell::default(),
            elsewhere: RefCell::default(),
            not_applied: RefCell::default(),
            gathered: RefCell::default(),
            resources: RefCell::default(),
            errors: RefCell::default(),
            said: RefCell::default(),
            reveals: RefCell::default(),
            warnings: RefCell::default(),
            branches: RefCell::default(),
            deferred: RefCell::default(),
            requirements: RefCell::default(),
            busy: RefCell::default(),
            reads: RefCell::default(),
            count: Cell::new(0),
        }
    }

    pub fn top(&self) -> &Rc<Frame<'p>> {
        &self.directories[0]
    }

    pub fn nearness(&self, source: crate::model::SourceId) -> u8 {
        self.nearness.get(source.0 as usize).copied().unwrap_or(0)
    }

    /// Whether the place is in the user's own program, or nearer.
    pub fn is_near(&self, span: Span) -> bool {
        !span.is_engine() && self.nearness(span.source) >= nearness(Origin::File)
    }

    /// Evaluates in a frame.
    pub fn eval(&self, frame: &Rc<Frame<'p>>, expr: &Expr, locals: &[(Slot, Value)]) -> Outcome<Value> {
        evaluate_with(expr, &Scope { all: self, frame: frame.clone() }, locals)
    }

    /// Computes something once. `name` is what a cycle calls it, `span` the place that asks.
    pub fn memo(
        &self,
        frame: &Frame<'p>,
        key: Key,
        span: Span,
        name: impl Fn() -> Title<'p>,
        compute: impl FnOnce() -> Outcome<Value>,
    ) -> Outcome<Value> {
        if let Some(before) = self.remembered(frame, &key, span, &name) {
            return before;
        }
        frame.remember(key.clone(), Memo::Busy);
        self.busy.borrow_mut().push((name(), span));
        let (result, reads) = self.reading(compute);
        self.busy.borrow_mut().pop();
        let memo = match &result {
            Ok(value) => Memo::Done(value.clone(), reads_of(reads)),
            Err(_) => Memo::Failed,
        };
        if let Memo::Done(_, reads) = &memo {
            self.add_reads(reads);
        }
        frame.remember(key, memo);
        result
    }

    /// What was computed before, if it was; a cycle where it is being computed.
    fn remembered(&self, frame: &Frame<'p>, key: &Key, span: Span, name: &impl Fn() -> Title<'p>) -> Option<Outcome<Value>> {
        let (memos, inputs) = (frame.memos.borrow(), frame.inputs.borrow());
        let memo = match key {
            Key::Input(at) => inputs.get(*at as usize)?,
            _ => memos.get(key)?,
        };
        Some(match memo {
            Memo::Open => return None,
            Memo::Done(value, reads) => {
                self.add_reads(reads);
                Ok(value.clone())
            }
            Memo::Failed => Err(silent()),
            Memo::Busy => Err(self.cycle(&name(), span)),
        })
    }

    /// The value of an input's default that is the same for all instances; `None` where it may not be.
    pub fn constant(&self, frame: &Rc<Frame<'p>>, default: &'p Expr) -> Option<Value> {
        if let ExprKind::Literal(value) = &default.kind {
            return Some(value.clone());
        }
        let key = std::ptr::from_ref(default) as usize;
        if let Some(found) = self.constants.borrow().get(&key) {
            return found.clone();
        }
        let value = if is_constant(default) { self.eval(frame, default, &[]).ok() } else { None };
        self.constants.borrow_mut().insert(key, value.clone());
        value
    }

    /// Runs something, and says which instances' outputs it read.
    pub fn reading<T>(&self, run: impl FnOnce() -> T) -> (T, BTreeMap<Address, Span>) {
        self.reads.borrow_mut().push(BTreeMap::new());
        let result = run();
        (result, self.reads.borrow_mut().pop().unwrap_or_default())
    }

    pub fn read_instance(&self, address: &Address, span: Span) {
        if let Some(top) = self.reads.borrow_mut().last_mut() {
            top.entry(address.clone()).or_insert(span);
        }
    }

    pub fn add_reads(&self, reads: &Reads) {
        if let Some(reads) = reads
            && let Some(top) = self.reads.borrow_mut().last_mut()
        {
            for (address, span) in reads.iter() {
                top.entry(address.clone()).or_insert(*span);
            }
        }
    }

    fn cycle(&self, again: &Title<'p>, span: Span) -> Box<Diagnostic> {
        let busy = self.busy.borrow();
        let from = busy.iter().position(|(name, _)| name == again).unwrap_or(0);
        let again = again.to_string();
        let circle: Vec<(String, Span)> = busy[from..].iter().map(|(name, span)| (name.to_string(), *span)).collect();
        let message = match &circle[..] {
            [] | [_] => format!("{again} waits for itself"),
            [(a, _), (b, _)] => format!("{a} and {b} wait for each other"),
            all => {
                let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
                format!("{} and {} wait for each other", names[..names.len() - 1].join(", "), names[names.len() - 1])
            }
        };
        // Each step is the place inside of one thing that asks for the next.
        let places = circle.iter().skip(1).map(|(_, span)| *span).chain([span]);
        let steps = circle.iter().zip(places).enumerate().map(|(at, ((name, _), place))| {
            let next = circle.get(at + 1).map_or(again.as_str(), |(name, _)| name.as_str());
            (place, format!("{}: {name} needs {next}", at + 1))
        });
        let diagnostic = Code::Cycle.error(message).labels(steps);
        Box::new(diagnostic.help("break one edge: what both sides need belongs in a `let`"))
    }

    /// The kind of that name.
    pub fn kind(&self, name: &Name) -> Option<&'p Kind> {
        let place = name.as_ptr() as usize;
        if let Some(kind) = self.kinds.borrow().get(&place).filter(|kind| kind.name == *name) {
            return Some(kind);
        }
        let kind = &**self.program.schemas.kind(name)?;
        self.kinds.borrow_mut().insert(place, kind);
        Some(kind)
    }

    /// The set of what waits for one resource.
    pub fn alone(&self, address: &Address) -> Arc<BTreeSet<Address>> {
        if let Some(found) = self.alone.borrow().get(address) {
            return found.clone();
        }
        let made: Arc<BTreeSet<Address>> = Arc::new([address.clone()].into());
        self.alone.borrow_mut().insert(address.clone(), made.clone());
        made
    }

    /// The kind of an instance as its item names it, such as `net.vpc` where addresses say `modules:net:vpc`.
    pub fn kind_as_written(&self, item: Span) -> Option<&'p str> {
        self.program.sources.text(item).split_whitespace().next()
    }

    /// Says what is wrong in a frame, once. What is wrong in the library is first of all wrong where it was called.
    pub fn say(&self, frame: &Frame<'p>, error: Diagnostic) {
        if is_silent(&error) {
            return;
        }
        let mut error = error;
        let inner = error.span().is_none_or(|span| !self.is_near(span));
        if let (true, Some(called_at), Some(address)) = (inner, frame.called_at(), &frame.address) {
            error.labels.insert(0, (called_at, format!("while `{address}` is expanded")));
        }
        if error.address.is_none() {
            error.address = frame.address.clone();
        }
        let key = (error.code, error.message.clone(), error.span().unwrap_or(Span::ENGINE));
        if self.said.borrow_mut().insert(key) {
            match error.severity {
                Severity::Error => self.errors.borrow_mut().push(error),
                Severity::Warning => self.warnings.borrow_mut().push((self.moment.get(), error)),
            }
        }
    }

    /// The value, or what is wrong is said.
    pub fn heard<T>(&self, frame: &Frame<'p>, result: Outcome<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.say(frame, *error);
                None
            }
        }
    }

    /// Counts one more instance or resource.
    pub fn count(&self, span: Span) -> Outcome<()> {
        self.count.set(self.count.get() + 1);
        match self.count.get() > SET_MAX {
            false => Ok(()),
            true => Err(Box::new(
                Code::Limit.error("the program makes more than 1,000,000 instances and resources").label(span, "one more here"),
            )),
        }
    }

    /// A bool that has to be known by now.
    pub fn bool(&self, frame: &Rc<Frame<'p>>, expr: &Expr, locals: &[(Slot, Value)], what: &str) -> Outcome<bool> {
        let value = self.eval(frame, expr, locals)?;
        if value.mark.secret {
            let shown = Code::SecretShown.error(format!("{what} would show a secret")).label(expr.span, "a secret decides it");
            return Err(Box::new(shown));
        }
        match value.data {
            Data::Bool(value) => Ok(value),
            Data::Null => Ok(false),
            _ => Err(too_late(&value, expr.span, what)),
        }
    }
}

fn nearness(origin: Origin) -> u8 {
    match origin {
        Origin::Stdlib => 1,
        Origin::File => 2,
        Origin::Given => 3,
    }
}

/// Whether an expression is made of literals alone.
fn is_constant(expr: &Expr) -> bool {
    let mut constant = true;
    crate::eval::walk(expr, &mut |part| {
        constant &= matches!(
            part.kind,
            ExprKind::Literal(_) | ExprKind::List(_) | ExprKind::Map(_) | ExprKind::Variant(..) | ExprKind::Convert(..)
        );
    });
    constant
}

/// Stands for something that was said already.
pub fn silent() -> Box<Diagnostic> {
    Box::new(Code::WrongType.error(""))
}

pub fn is_silent(error: &Diagnostic) -> bool {
    error.message.is_empty()
}

/// `what` completes "is known only after apply, and … has to be known before".
pub fn too_late(value: &Value, span: Span, what: &str) -> Box<Diagnostic> {
    if is_unasked(value) {
        return silent();
    }
    let mut diagnostic = Code::TooLate
        .error(format!("this is known only after apply, and {what} has to be known when planned"))
        .label(span, "known too late");
    if let Data::Unknown(unknown) = &value.data {
        let waits: Vec<String> = unknown.waits_for.iter().take(3).map(|address| format!("`{address}`")).collect();
        if !waits.is_empty() {
            diagnostic = diagnostic.fact("waits", format!("for {}", waits.join(", ")));
        }
    }
    Box::new(diagnostic.help("decide it by an input, by `env`, or by what the program says itself"))
}
