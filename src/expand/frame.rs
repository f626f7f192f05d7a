//! Frames: what one instance of a component, the stack itself, or a directory's file level sees while it is expanded.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::lang::program::{
    Body, Branch, Component, Instance, Let, OutputValue, Require, Resource, Rollout, Secret, SignalValue,
};
use crate::model::{Address, Name, ProviderName, Slot, Span, Value};

/// Instances whose outputs or signals were read, each with one place that did; `None` for none of them.
pub type Reads = Option<Rc<BTreeMap<Address, Span>>>;

pub fn reads_of(reads: BTreeMap<Address, Span>) -> Reads {
    (!reads.is_empty()).then(|| Rc::new(reads))
}

/// Something that is computed when it is first asked for.
#[derive(Clone, Default)]
pub enum Memo {
    /// Nobody asked for it yet.
    #[default]
    Open,
    /// Being computed: asked for again, it is a cycle.
    Busy,
    Done(Value, Reads),
    /// It has no value, and that was said.
    Failed,
}

/// What a memo belongs to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// By its place in the component, or in the stack.
    Input(u32),
    Let(Name),
    FileLet(Name),
    Output(Name),
    /// A set of instances or resources, by the place of its item in the program.
    Set(usize),
}

/// What people call something that is computed once: written out only where a cycle is told.
#[derive(Clone, PartialEq, Eq)]
pub enum Title<'p> {
    /// Of the instance at the address, or of the stack.
    Input(Option<Address>, Name),
    Let(Name),
    Output(Address, Name),
    /// A set, by the instance around it, its kind and its name.
    Set(Option<Address>, &'p str, &'p str),
}

impl std::fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Title::Input(Some(address), name) => write!(f, "`{address}.input.{name}`"),
            Title::Input(None, name) => write!(f, "`input.{name}`"),
            Title::Let(name) => write!(f, "`{name}`"),
            Title::Output(address, name) => write!(f, "`{address}.{name}`"),
            Title::Set(Some(around), kind, name) => write!(f, "`{around}/{kind}.{name}`"),
            Title::Set(None, kind, name) => write!(f, "`{kind}.{name}`"),
        }
    }
}

/// A set is told by the item that declares it.
pub fn set_key<T>(item: &T) -> Key {
    Key::Set(std::ptr::from_ref(item) as usize)
}

/// One resource of a set.
#[derive(Clone)]
pub struct Placed {
    pub address: Address,
    pub key: Option<Name>,
    pub locals: Vec<(Slot, Value)>,
}

/// Items that are there: those of the body, the clause, and the branches that are taken.
#[derive(Clone, Default)]
pub struct Tables<'p> {
    pub lets: FxHashMap<Name, &'p Let>,
    pub secrets: FxHashMap<Name, &'p Secret>,
    pub instances: Vec<&'p Instance>,
    pub instance_of: FxHashMap<(Name, Name), &'p Instance>,
    pub resources: Vec<&'p Resource>,
    pub resource_of: FxHashMap<(Name, Name), &'p Resource>,
    pub outputs: FxHashMap<Name, &'p OutputValue>,
    /// In the order of the source.
    pub output_order: Vec<&'p OutputValue>,
    pub signals: FxHashMap<Name, &'p SignalValue>,
    pub requires: Vec<&'p Require>,
    pub rollouts: Vec<&'p Rollout>,
}

impl<'p> Tables<'p> {
    /// Adds what a body holds, and gives its branches.
    pub fn add(&mut self, body: &'p Body) -> &'p [Branch] {
        self.lets.extend(body.lets.iter().map(|it| (it.name.clone(), it)));
        self.secrets.extend(body.secrets.iter().map(|it| (it.name.clone(), it)));
        self.instances.extend(&body.instances);
        self.instance_of.extend(body.instances.iter().map(|it| ((it.kind.clone(), it.name.clone()), it)));
        self.resources.extend(&body.resources);
        self.resource_of.extend(body.resources.iter().map(|it| ((it.kind.name.clone(), it.name.clone()), it)));
        self.outputs.extend(body.outputs.iter().map(|it| (it.name.clone(), it)));
        self.output_order.extend(&body.outputs);
        self.signals.extend(body.signals.iter().map(|it| (it.name.clone(), it)));
        self.requires.extend(&body.requires);
        self.rollouts.extend(&body.rollouts);
        &body.branches
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Fresh,
    Building,
    Ready,
}

/// `lifecycle` of the instances around, for all resources inside.
#[derive(Clone, Default)]
pub struct Inherited {
    pub protect: Option<(bool, Span)>,
    pub after: BTreeMap<Address, Span>,
    pub timeout: Option<std::time::Duration>,
}

pub struct Frame<'p> {
    /// `None`: the stack, or a directory's file level.
    pub address: Option<Address>,
    pub component: Option<&'p Component>,
    /// The item that declares it.
    pub decl: Option<&'p Instance>,
    pub key: Option<Name>,
    /// The frame that the declaring item's expressions belong to, and the variables of its head.
    pub caller: Option<Rc<Frame<'p>>>,
    pub locals: Vec<(Slot, Value)>,
    /// What the head read: those variables hold it.
    pub head_reads: Reads,
    pub provider: Option<ProviderName>,
    /// The clause that it is lowered by.
    pub clause: Option<&'p Body>,
    pub directory: u32,
    /// The outermost instance, and its item in the user's own program.
    pub root: Option<(Address, Span)>,

    /// Shared by all instances that are lowered by the same clause, as long as no branch says otherwise.
    pub tables: RefCell<Rc<Tables<'p>>>,
    pub readiness: Cell<Readiness>,
    pub memos: RefCell<FxHashMap<Key, Memo>>,
    /// Of its inputs, by their place.
    pub inputs: RefCell<Vec<Memo>>,
    /// Frames of the sets that its items declare.
    pub children: RefCell<FxHashMap<Key, Rc<Vec<Rc<Frame<'p>>>>>>,
    /// Resources of the sets that its items declare.
    pub placed: RefCell<FxHashMap<Key, Rc<Vec<Placed>>>>,
    pub inherited: RefCell<Rc<Inherited>>,
    /// Something in it is wrong, and that was said: what depends on it says nothing more.
    pub failed: Cell<bool>,
    /// Overrides that found their resource, by place in [`Instance::overrides`].
    pub overridden: RefCell<Vec<bool>>,
}

impl<'p> Frame<'p> {
    /// The stack itself, or the file level of a directory.
    pub fn of_directory(directory: u32) -> Frame<'p> {
        Frame {
            address: None,
            component: None,
            decl: None,
            key: None,
            caller: None,
            locals: Vec::new(),
            head_reads: Reads::default(),
            provider: None,
            clause: None,
            directory,
            root: None,
            tables: RefCell::default(),
            readiness: Cell::new(Readiness::Fresh),
            memos: RefCell::default(),
            inputs: RefCell::default(),
            children: RefCell::default(),
            placed: RefCell::default(),
            inherited: RefCell::default(),
            failed: Cell::new(false),
            overridden: RefCell::default(),
        }
    }

    /// Keeps what is known of something by now.
    pub fn remember(&self, key: Key, memo: Memo) {
        let Key::Input(at) = key else {
            self.memos.borrow_mut().insert(key, memo);
            return;
        };
        let (at, mut inputs) = (at as usize, self.inputs.borrow_mut());
        if inputs.len() <= at {
            let count = self.component.map_or(0, |it| it.inputs.len());
            inputs.resize_with(count.max(at + 1), Memo::default);
        }
        inputs[at] = memo;
    }

    /// The address of an item declared here.
    pub fn address_of(&self, kind: &str, name: &str) -> Address {
        match &self.address {
            None => Address::root(kind, name),
            Some(address) => address.child(kind, name),
        }
    }

    /// The place in the user's own program.
    pub fn called_at(&self) -> Option<Span> {
        self.root.as_ref().map(|(_, span)| *span)
    }
}
