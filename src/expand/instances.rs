//! Heads: which instances and resources a declaration stands for, and the frames of instances.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::elsewhere::is_unasked;
use super::expander::{Expander, SharedResource, silent, too_late};
use super::frame::{Frame, Inherited, Placed, Readiness, Tables, Title, reads_of, set_key};
use super::place::listed;
use crate::eval::Outcome;
use crate::lang::program::{Body, Branch, Each, Head, Instance, Lifecycle, Mode, Resource};
use crate::model::value::Reference as InstanceRef;
use crate::model::{Address, Code, Data, Fields, Name, Slot, Span, Value};

/// One element of a set: its key, and the variables that its head binds.
pub struct Element {
    pub key: Option<Name>,
    pub locals: Vec<(Slot, Value)>,
}

impl<'p> Expander<'p> {
    /// Decides which items a frame has. What is asked for meanwhile finds those that are decided.
    pub fn ready(&self, frame: &Rc<Frame<'p>>) {
        if frame.readiness.get() != Readiness::Fresh {
            return;
        }
        frame.readiness.set(Readiness::Building);
        let (tables, branches) = self.items_of(frame);
        *frame.tables.borrow_mut() = tables;
        let mut open: Vec<&'p Branch> = branches.to_vec();
        let mut at = 0;
        while at < open.len() {
            let branch = open[at];
            at += 1;
            let held = self.bool(frame, &branch.cond, &[], "which items there are");
            match self.heard(frame, held) {
                Some(held) => {
                    self.branches.borrow_mut().insert((branch.cond.span, held));
                    let body = if held { &branch.then } else { &branch.otherwise };
                    let inner = Rc::make_mut(&mut frame.tables.borrow_mut()).add(body);
                    open.extend(inner);
                }
                None => frame.failed.set(true),
            }
        }
        frame.readiness.set(Readiness::Ready);
    }

    /// What a frame has whatever its conditions say, and its branches. Gathered once for each clause of a component.
    fn items_of(&self, frame: &Frame<'p>) -> (Rc<Tables<'p>>, Rc<Vec<&'p Branch>>) {
        let place = |body: Option<&'p Body>| body.map_or(0, |it| std::ptr::from_ref(it) as usize);
        let bodies = match frame.component {
            None => [(frame.directory == 0).then_some(&self.program.body), None],
            Some(component) => [Some(&component.body), frame.clause],
        };
        let key = (place(bodies[0]), place(bodies[1]));
        if let Some(found) = self.bodies.borrow().get(&key) {
            return found.clone();
        }
        let (mut tables, mut branches) = (Tables::default(), Vec::new());
        bodies.into_iter().flatten().for_each(|body| branches.extend(tables.add(body)));
        let found = (Rc::new(tables), Rc::new(branches));
        self.bodies.borrow_mut().insert(key, found.clone());
        found
    }

    /// The instances that an item declares: a reference, a map of them by key, or null where its `if` does not hold.
    pub fn instances(&self, frame: &Rc<Frame<'p>>, decl: &'p Instance, span: Span) -> Outcome<Value> {
        self.memo(
            frame,
            set_key(decl),
            span,
            || Title::Set(frame.address.clone(), &decl.kind, &decl.name),
            || {
                let address = frame.address_of(&decl.kind, &decl.name);
                let component = self.program.components.get(&decl.kind).ok_or_else(silent)?;
                if let Some(away) = self.away(frame, decl, component)? {
                    return Ok(away);
                }
                if let Some(waits) = self.deferred_set(frame, &decl.head, &address, &decl.kind, decl.span)? {
                    return Ok(waits);
                }
                let (elements, reads) = self.reading(|| self.elements(frame, &decl.head, decl.span));
                let (elements, head_reads) = (elements?, reads_of(reads));
                self.add_reads(&head_reads);
                let mut frames = Vec::new();
                for element in elements.iter().flatten() {
                    self.count(decl.span)?;
                    let address = match &element.key {
                        None => address.clone(),
                        Some(key) => address.keyed(key),
                    };
                    let provider = self.place(frame, component, &decl.head, &element.locals, decl.span)?;
                    let clause = provider
                        .as_ref()
                        .and_then(|provider| component.clauses.iter().find(|clause| clause.provider == provider.ty))
                        .map(|clause| &clause.body);
                    let root = frame.root.clone().unwrap_or_else(|| (address.clone(), decl.span));
                    let child = Rc::new(Frame {
                        address: Some(address.clone()),
                        component: Some(component),
                        decl: Some(decl),
                        key: element.key.clone(),
                        caller: Some(frame.clone()),
                        locals: element.locals.clone(),
                        head_reads: head_reads.clone(),
                        provider,
                        clause,
                        directory: component.directory,
                        root: Some(root),
                        tables: RefCell::default(),
                        readiness: Cell::new(Readiness::Fresh),
                        memos: RefCell::default(),
                        inputs: RefCell::default(),
                        children: RefCell::default(),
                        placed: RefCell::default(),
                        inherited: RefCell::default(),
                        failed: Cell::new(false),
                        overridden: RefCell::new(vec![false; decl.overrides.len()]),
                    });
                    self.frames.borrow_mut().insert(address, child.clone());
                    frames.push(child);
                }
                let reference = |child: &Rc<Frame<'p>>| {
                    let address = child.address.clone().unwrap_or_else(|| address.clone());
                    let reference = InstanceRef { kind: decl.kind.clone(), address };
                    Value::new(Data::Ref(Arc::new(reference)), decl.span)
                };
                let members = frames.iter().map(|it| (it.key.clone(), reference(it))).collect();
                let value = set_value(&decl.head, elements.is_some(), members, decl.span);
                frame.children.borrow_mut().insert(set_key(decl), Rc::new(frames));
                Ok(value)
            },
        )
    }

    /// The resources that an item declares, as the objects of their attributes.
    pub fn resource_set(&self, frame: &Rc<Frame<'p>>, decl: &'p Resource, span: Span) -> Outcome<Value> {
        if decl.mode == Mode::Shared {
            let address = self.shared_resource(frame, decl)?;
            return Ok(self.resource_value(&address, &decl.kind.name, span));
        }
        self.memo(
            frame,
            set_key(decl),
            span,
            || Title::Set(frame.address.clone(), &decl.kind.name, &decl.name),
            || {
                let address = frame.address_of(&decl.kind.name, &decl.name);
                if let Some(waits) = self.deferred_set(frame, &decl.head, &address, &decl.kind.name, decl.span)? {
                    return Ok(waits);
                }
                let elements = self.elements(frame, &decl.head, decl.span)?;
                let mut placed = Vec::new();
                for element in elements.iter().flatten() {
                    self.count(decl.span)?;
                    let address = match &element.key {
                        None => address.clone(),
                        Some(key) => address.keyed(key),
                    };
                    placed.push(Placed { address, key: element.key.clone(), locals: element.locals.clone() });
                }
                if decl.mode == Mode::Data && self.request.known.untold {
                    self.note_untold(frame, decl, &placed);
                }
                let object = |it: &Placed| self.resource_value(&it.address, &decl.kind.name, decl.span);
                let members = placed.iter().map(|it| (it.key.clone(), object(it))).collect();
                let value = set_value(&decl.head, elements.is_some(), members, decl.span);
                frame.placed.borrow_mut().insert(set_key(decl), Rc::new(placed));
                Ok(value)
            },
        )
    }

    /// A resource that exists once per provider instance and environment: `railway/railway.project.home`.
    pub fn shared_resource(&self, frame: &Rc<Frame<'p>>, decl: &'p Resource) -> Outcome<Address> {
        let provider = self.place_resource(frame, decl, &[])?;
        let text = format!("{}/{}.{}", provider, decl.kind.name, decl.name);
        let address = Address::parse(&text).ok_or_else(silent)?;
        let mut shared = self.shared.borrow_mut();
        let first = || SharedResource { frame: frame.clone(), asked: self.moment.get(), decl, provider };
        shared.entry(address.clone()).or_insert_with(first);
        Ok(address)
    }

    /// Every instance of a kind, nested ones included, by address.
    pub fn gather(&self, kind: &Name, span: Span) -> Outcome<Value> {
        let mut all = Fields::new();
        self.gather_in(&self.top().clone(), kind, span, &mut all)?;
        self.gathered.borrow_mut().insert(kind.clone());
        Ok(Value::new(Data::Map(Arc::new(all)), span))
    }

    fn gather_in(&self, frame: &Rc<Frame<'p>>, kind: &Name, span: Span, all: &mut Fields) -> Outcome<()> {
        self.ready(frame);
        let tables = frame.tables.borrow().clone();
        for decl in tables.instances.iter().copied() {
            self.instances(frame, decl, span)?;
            let children = frame.children.borrow().get(&set_key(decl)).cloned().unwrap_or_default();
            for child in children.iter() {
                if let (true, Some(address)) = (decl.kind == *kind, &child.address) {
                    let reference = InstanceRef { kind: kind.clone(), address: address.clone() };
                    all.insert(address.as_str().into(), Value::new(Data::Ref(Arc::new(reference)), span));
                }
                self.gather_in(child, kind, span, all)?;
            }
        }
        Ok(())
    }

    /// The elements that a head makes; `None` where its `if` does not hold.
    pub fn elements(&self, frame: &Rc<Frame<'p>>, head: &'p Head, span: Span) -> Outcome<Option<Vec<Element>>> {
        let Some(each) = &head.each else {
            let held = match &head.cond {
                None => true,
                Some(cond) => self.bool(frame, cond, &[], "whether it exists")?,
            };
            return Ok(held.then(|| vec![Element { key: None, locals: Vec::new() }]));
        };
        let over = self.goes_over(frame, each)?;
        let mut elements = Vec::new();
        let mut seen: BTreeMap<Name, Span> = BTreeMap::new();
        for (key, binding) in keys(each, &over)? {
            let mut locals = Vec::with_capacity(2);
            if let Some(slot) = each.key {
                locals.push((slot, binding.0));
            }
            locals.push((each.value, binding.1));
            if let Some(cond) = &head.cond
                && !self.bool(frame, cond, &locals, "whether it exists")?
            {
                continue;
            }
            if seen.insert(key.clone(), span).is_some() {
                return Err(Box::new(
                    Code::Duplicate
                        .error(format!("the key \"{}\" stands for two of them", key.escape_debug()))
                        .label(each.over.span, "elements have to be distinct")
                        .help("write `distinct(…)` around the list, or give a map"),
                ));
            }
            elements.push(Element { key: Some(key), locals });
        }
        Ok(Some(elements))
    }

    /// What `lifecycle` of an instance says for all resources inside of it.
    pub fn inherit(&self, frame: &Rc<Frame<'p>>) -> Outcome<Rc<Inherited>> {
        let Some((decl, caller)) = frame.decl.zip(frame.caller.as_ref()) else { return Ok(Rc::default()) };
        let lifecycle = &decl.lifecycle;
        let around = caller.inherited.borrow().clone();
        if lifecycle.protect.is_none() && lifecycle.after.is_empty() && lifecycle.timeout.is_none() {
            return Ok(around);
        }
        let mut inherited = (*around).clone();
        if let Some(protect) = &lifecycle.protect {
            let value = self.bool(caller, protect, &frame.locals, "a guard")?;
            inherited.protect = Some((value, protect.span));
        }
        inherited.after.extend(self.after(caller, lifecycle, &frame.locals)?);
        if let Some(timeout) = &lifecycle.timeout {
            inherited.timeout = self.timeout(caller, timeout, &frame.locals)?;
        }
        Ok(Rc::new(inherited))
    }

    pub fn timeout(
        &self,
        frame: &Rc<Frame<'p>>,
        expr: &crate::model::Expr,
        locals: &[(Slot, Value)],
    ) -> Outcome<Option<std::time::Duration>> {
        let value = self.eval(frame, expr, locals)?;
        match value.data {
            Data::Duration(nanos) if nanos > 0 => Ok(Some(std::time::Duration::from_nanos(nanos as u64))),
            Data::Duration(_) => Err(Box::new(
                Code::OutOfRange.error("a timeout is longer than nothing").label(expr.span, "expected more than 0s"),
            )),
            Data::Null => Ok(None),
            _ => Err(too_late(&value, expr.span, "a timeout")),
        }
    }

    /// Addresses that `lifecycle.after` names: of resources, or of instances, which stand for all that is in them.
    pub fn after(
        &self,
        frame: &Rc<Frame<'p>>,
        lifecycle: &Lifecycle,
        locals: &[(Slot, Value)],
    ) -> Outcome<BTreeMap<Address, Span>> {
        self.addresses_named(frame, &lifecycle.after, locals)
    }

    /// Addresses that expressions name, of resources and instances.
    pub fn addresses_named(
        &self,
        frame: &Rc<Frame<'p>>,
        exprs: &[crate::model::Expr],
        locals: &[(Slot, Value)],
    ) -> Outcome<BTreeMap<Address, Span>> {
        let mut after = BTreeMap::new();
        for expr in exprs {
            // To read it here is no reason to wait for all of an instance whose output it may come from.
            let (value, _) = self.reading(|| self.eval(frame, expr, locals));
            named_in(&value?, expr.span, &mut after);
        }
        Ok(after)
    }
}

fn named_in(value: &Value, span: Span, after: &mut BTreeMap<Address, Span>) {
    match &value.data {
        Data::Ref(reference) => drop(after.insert(reference.address.clone(), span)),
        Data::Unknown(unknown) => after.extend(unknown.waits_for.iter().map(|address| (address.clone(), span))),
        Data::List(items) => items.iter().for_each(|item| named_in(item, span, after)),
        Data::Map(fields) => fields.values().for_each(|item| named_in(item, span, after)),
        _ => {}
    }
}

/// Keys of a set, each with what its head's two variables stand for.
fn keys(each: &Each, over: &Value) -> Outcome<Vec<(Name, (Value, Value))>> {
    if over.mark.secret {
        return Err(Box::new(
            Code::SecretShown
                .error("a key is shown, and would be made from a secret")
                .label(each.over.span, "is secret")
                .help("go over `plain(…)`, or over a map whose values alone are secret"),
        ));
    }
    let key_of = |value: &Value| -> Outcome<Name> {
        if value.has_secret() {
            return Err(Box::new(
                Code::SecretShown
                    .error("a key is shown, and would be made from a secret")
                    .label(each.over.span, "holds a secret"),
            ));
        }
        match &value.data {
            Data::Text(text) => Ok(text.clone()),
            Data::Int(number) => Ok(number.to_string().into()),
            Data::Unknown(_) => Err(deferred(each, value)),
            _ => Err(Box::new(
                Code::WrongType
                    .error("a set is made from distinct strings or ints, or from a map")
                    .label(each.over.span, "holds something else"),
            )),
        }
    };
    match &over.data {
        Data::List(items) => items.iter().map(|item| Ok((key_of(item)?, (item.clone(), item.clone())))).collect(),
        Data::Map(fields) => Ok(fields
            .iter()
            .map(|(key, field)| (key.clone(), (Value::text(key.clone()).at(over.mark.origin), field.clone())))
            .collect()),
        Data::Null => Ok(Vec::new()),
        Data::Unknown(_) => Err(deferred(each, over)),
        _ => {
            Err(Box::new(Code::WrongType.error("a set is made from a list or a map").label(each.over.span, "is something else")))
        }
    }
}

/// Keys that are known only after apply.
fn deferred(each: &Each, value: &Value) -> Box<crate::model::Diagnostic> {
    if is_unasked(value) {
        return silent();
    }
    let waits: Vec<&str> = match &value.data {
        Data::Unknown(unknown) => unknown.waits_for.iter().take(3).map(Address::as_str).collect(),
        _ => Vec::new(),
    };
    let diagnostic = match &each.up_to {
        Some(_) => Code::NotYet
            .error("a set whose keys are known only after apply is not planned in this version")
            .label(each.over.span, "known only after apply")
            .help("apply what it waits for first, and give the keys by an input"),
        None => Code::TooLate
            .error("the keys of this set are known only after apply")
            .label(each.over.span, "has to be known when planned")
            .help("go over what the program says itself: a list, an input, the keys of another set"),
    };
    Box::new(match waits.is_empty() {
        true => diagnostic,
        false => diagnostic.fact("waits", format!("for {}", listed(&waits))),
    })
}

/// What an item with this head is as a value: its only member, a map of them by key, or null where its `if` does not hold.
fn set_value(head: &Head, exists: bool, mut members: Vec<(Option<Name>, Value)>, span: Span) -> Value {
    match &members[..] {
        [(None, _)] if exists => members.remove(0).1,
        _ if exists && head.each.is_some() => {
            let fields: Fields = members.into_iter().filter_map(|(key, value)| Some((key?, value))).collect();
            Value::new(Data::Map(Arc::new(fields)), span)
        }
        _ => Value::null().at(span),
    }
}
