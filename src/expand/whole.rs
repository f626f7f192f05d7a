//! A whole expansion: first every instance with its inputs and requirements, then what they make.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher as _};
use std::rc::Rc;

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHasher};

use super::expander::{Expander, is_silent};
use super::frame::{Frame, set_key};
use super::moves::{Renames, renames};
use super::resources::SharedMade;
use super::shares::{Moment, Phase};
use super::{Expansion, Question, elsewhere, naming};
use crate::eval::fit;
use crate::lang::program::Require;
use crate::model::desired::Reveal;
use crate::model::expr::Reference;
use crate::model::{
    Address, Code, Data, Deferred, Desired, DesiredInstance, DesiredOutput, DesiredProvider, DesiredResource, Diagnostic, Edge,
    EdgeReason, ExprKind, Fields, Name, ProviderName, Requirement, Slot, Span, Value,
};

/// What an expander makes of its share of the stack's items.
#[derive(Default)]
pub struct Part {
    pub errors: Vec<Diagnostic>,
    pub inputs: Vec<(Name, Value)>,
    pub resources: Vec<DesiredResource>,
    pub secrets: BTreeMap<Address, DesiredResource>,
    pub shared: Vec<SharedMade>,
    pub instances: Vec<DesiredInstance>,
    pub outputs: Vec<DesiredOutput>,
    pub for_others: Vec<DesiredOutput>,
    pub questions: BTreeMap<Address, Question>,
    /// Of data sources that nobody asks.
    pub untold: BTreeSet<ProviderName>,
    pub requirements: Vec<(Moment, Requirement)>,
    pub warnings: Vec<(Moment, Diagnostic)>,
    /// Those that were come across, and whether anything takes them.
    pub alerts: BTreeMap<Address, Span>,
    pub takes_alerts: bool,
    pub branches: BTreeSet<(Span, bool)>,
    pub deferred: BTreeMap<Address, Deferred>,
    pub reveals: BTreeSet<Reveal>,
    pub elsewhere: elsewhere::Reads,
    pub count: u32,
    pub steps: u64,
}

pub fn run(all: &Expander<'_>) -> Result<Expansion, Vec<Diagnostic>> {
    finish(all, gather(all))
}

/// Expands the items of the expander's share.
pub fn gather(all: &Expander<'_>) -> Part {
    let top = all.top().clone();
    let inputs = stack_inputs(all, &top);
    all.survey(&top);
    let mut instances = Vec::new();
    all.produce(&top, &mut instances);
    all.moment.set(Moment(Phase::Shared, 0));
    let shared = all.emit_shared();
    let outputs = stack_outputs(all, &top);
    let mut errors = all.errors.take();
    errors.extend(all.say_missing_secrets());
    let for_others = elsewhere::outputs_for_others(all, &instances);
    Part {
        errors,
        inputs,
        resources: all.resources.take(),
        secrets: all.secrets.take(),
        shared,
        instances,
        outputs,
        for_others,
        questions: all.questions.take(),
        untold: std::mem::take(&mut all.untold.borrow_mut().providers),
        requirements: all.requirements.take(),
        warnings: all.warnings.take(),
        alerts: alerts(all),
        takes_alerts: all.gathered.borrow().contains("alert"),
        branches: all.branches.take(),
        deferred: all.deferred.take(),
        reveals: all.reveals.take(),
        elsewhere: all.elsewhere.take(),
        count: all.count.get(),
        steps: all.budget.spent(),
    }
}

/// What the parts of all items amount to.
pub fn finish(all: &Expander<'_>, part: Part) -> Result<Expansion, Vec<Diagnostic>> {
    // What a data source will answer may be all that is missing; anything else is wrong already.
    if part.errors.iter().any(|it| part.questions.is_empty() || it.code != Code::TooLate) {
        return Err(part.errors);
    }
    providers(all, &part.untold)?;
    if !part.questions.is_empty() {
        let names: BTreeSet<ProviderName> = part.questions.values().map(|it| it.provider.clone()).collect();
        let providers = providers(all, &names)?;
        return Ok(Expansion::Asks { questions: part.questions.into_values().collect(), providers });
    }
    let (mut resources, mut requirements) = (part.resources, part.requirements);
    for shared in part.shared {
        resources.extend(shared.resource);
        requirements.extend(shared.requirements);
    }
    resources.extend(part.secrets.into_values());
    resources.par_sort_by(|a, b| a.address.cmp(&b.address));
    let environment = &all.environment.name;
    let Renames { moved, forget, adopt } = renames(all, &resources)?;
    naming::make_names(&mut resources, all.program, environment, &all.request.known, &moved, &adopt);
    let twins = twins(&resources);
    if !twins.is_empty() {
        return Err(twins);
    }
    spread_edges(&mut resources);
    let mut instances = part.instances;
    instances.sort_by(|a, b| a.address.cmp(&b.address));
    let mut outputs = part.outputs;
    outputs.extend(part.for_others);
    outputs.sort_by(|a, b| a.name.cmp(&b.name));
    let names: BTreeSet<ProviderName> = resources.iter().map(|it| it.provider.clone()).collect();
    let protect = all.is_protected().map_err(|error| vec![*error])?;
    let mut warnings: Vec<Diagnostic> = part.warnings.into_iter().map(|(_, warning)| warning).collect();
    if !part.takes_alerts {
        warnings.extend(part.alerts.iter().map(|(address, span)| not_delivered(address, *span, environment)));
    }
    Ok(Expansion::Done(Box::new(Desired {
        stack: all.program.stack.name.to_string(),
        environment: environment.to_string(),
        protect,
        resources,
        instances,
        outputs,
        providers: providers(all, &names)?,
        inputs: part.inputs,
        elsewhere: elsewhere::in_order(part.elsewhere),
        moved,
        forget,
        branches: part.branches,
        adopt,
        deferred: part.deferred.into_values().collect(),
        requirements: requirements.into_iter().map(|(_, requirement)| requirement).collect(),
        reveals: part.reveals.into_iter().collect(),
        warnings,
    })))
}

fn stack_inputs<'p>(all: &Expander<'p>, top: &Rc<Frame<'p>>) -> Vec<(Name, Value)> {
    let inputs = all.program.inputs.iter().filter_map(|input| {
        let value = all.input(top, &input.name, input.span);
        Some((input.name.clone(), all.heard(top, value)?))
    });
    inputs.collect()
}

fn stack_outputs<'p>(all: &Expander<'p>, top: &Rc<Frame<'p>>) -> Vec<DesiredOutput> {
    let mut outputs = Vec::new();
    let tables = top.tables.borrow().clone();
    for (at, output) in tables.output_order.iter().copied().enumerate() {
        if !all.is_due(top, Phase::Outputs, at, output.span) {
            continue;
        }
        if let Some(cond) = &output.cond {
            let held = all.bool(top, cond, &[], "whether an output is there");
            if all.heard(top, held) != Some(true) {
                continue;
            }
        }
        let value = all.eval(top, &output.value, &[]).and_then(|value| fit(value, &output.ty, output.value.span));
        if let Some(value) = all.heard(top, value) {
            outputs.push(DesiredOutput { name: output.name.clone(), ty: output.ty.clone(), value, span: output.span });
        }
    }
    outputs
}

impl<'p> Expander<'p> {
    /// Every instance: its items, inputs, guards and requirements.
    fn survey(&self, frame: &Rc<Frame<'p>>) {
        self.ready(frame);
        if let Some(component) = frame.component {
            for input in &component.inputs {
                let entry = frame.decl.and_then(|decl| decl.inputs.iter().find(|(name, ..)| *name == input.name));
                let span = entry.map_or(input.span, |(.., span)| *span);
                let value = self.input(frame, &input.name, span);
                if value.is_err() {
                    frame.failed.set(true);
                }
                self.heard(frame, value);
            }
            let inherited = self.inherit(frame);
            if let Some(inherited) = self.heard(frame, inherited) {
                *frame.inherited.borrow_mut() = inherited;
            }
        }
        if frame.failed.get() && frame.component.is_some() {
            return;
        }
        let tables = frame.tables.borrow().clone();
        for (at, require) in tables.requires.iter().copied().enumerate() {
            if !self.is_due(frame, Phase::Require, at, require.span) {
                continue;
            }
            if !self.require(frame, require, &[]) && frame.component.is_some() {
                frame.failed.set(true);
            }
        }
        if let (Some(decl), Some(caller)) = (frame.decl, &frame.caller) {
            for require in &decl.requires {
                self.require(caller, require, &frame.locals);
            }
        }
        if frame.failed.get() && frame.component.is_some() {
            return;
        }
        self.each_child(frame, Phase::Survey, &mut |child| self.survey(child));
    }

    /// What every instance makes.
    fn produce(&self, frame: &Rc<Frame<'p>>, instances: &mut Vec<DesiredInstance>) {
        if frame.failed.get() && frame.component.is_some() {
            return;
        }
        let tables = frame.tables.borrow().clone();
        self.check_rollouts(frame);
        for (at, decl) in tables.resources.iter().copied().enumerate() {
            if self.is_due(frame, Phase::Resources, at, decl.span) {
                self.emit(frame, decl);
            }
        }
        self.unused_overrides(frame);
        if let Some(instance) = self.instance(frame) {
            instances.push(instance);
        }
        self.each_child(frame, Phase::Produce, &mut |child| self.produce(child, instances));
    }

    /// Whether an item of this frame is to be expanded here; one of the stack's own may belong to another share.
    fn is_due(&self, frame: &Frame<'p>, phase: Phase, at: usize, item: Span) -> bool {
        if frame.component.is_some() {
            return true;
        }
        self.moment.set(Moment(phase, at as u32));
        self.share.has(item)
    }

    fn each_child(&self, frame: &Rc<Frame<'p>>, phase: Phase, visit: &mut dyn FnMut(&Rc<Frame<'p>>)) {
        let tables = frame.tables.borrow().clone();
        for (at, decl) in tables.instances.iter().copied().enumerate() {
            if !self.is_due(frame, phase, at, decl.span) {
                continue;
            }
            let set = self.instances(frame, decl, decl.span);
            self.heard(frame, set);
            let children = frame.children.borrow().get(&set_key(decl)).cloned().unwrap_or_default();
            children.iter().for_each(&mut *visit);
        }
    }

    /// An instance, as people see it.
    fn instance(&self, frame: &Rc<Frame<'p>>) -> Option<DesiredInstance> {
        let (component, address, decl) = (frame.component?, frame.address.clone()?, frame.decl?);
        let (mut outputs, mut remarks) = (Fields::new(), Vec::new());
        for output in &component.outputs {
            if !frame.tables.borrow().outputs.contains_key(&output.name) {
                continue;
            }
            let value = self.output(frame, &output.name, output.span);
            match self.heard(frame, value) {
                Some(Value { data: Data::List(items), .. }) if &*output.name == "remarks" => {
                    remarks.extend(items.iter().filter_map(|item| Some(item.as_text()?.to_owned())));
                }
                Some(value) if !value.is_null() => drop(outputs.insert(output.name.clone(), value)),
                _ => {}
            }
        }
        Some(DesiredInstance {
            address,
            kind: decl.kind.clone(),
            provider: frame.provider.clone(),
            span: decl.span,
            remarks,
            outputs,
        })
    }

    /// Whether a requirement holds, or may; one that does not is said at the caller's entries that it reads. One that waits for an
    /// apply is kept for it.
    pub fn require(&self, frame: &Rc<Frame<'p>>, require: &Require, locals: &[(Slot, Value)]) -> bool {
        let cond = match self.eval(frame, &require.cond, locals) {
            Ok(cond) => cond,
            Err(error) => {
                self.say(frame, *error);
                return false;
            }
        };
        let waits = matches!(cond.data, Data::Unknown(_));
        if matches!(cond.data, Data::Bool(true)) || waits && elsewhere::is_unasked(&cond) {
            return true;
        }
        let message = match self.eval(frame, &require.message, locals) {
            Ok(message) => message,
            Err(error) if is_silent(&error) => return waits,
            Err(error) => Value::text(error.message.clone()),
        };
        let mut places = self.entries(frame, &require.reads);
        if places.is_empty() {
            places.extend(frame.called_at());
        }
        let mut requirement = Requirement { address: frame.address.clone(), cond, message, span: require.span, places };
        if !waits {
            self.say(frame, requirement.broken());
            return false;
        }
        // What is wrong in the library is first of all wrong where it was called.
        let inner = requirement.places.first().is_none_or(|span| !self.is_near(*span));
        if let Some(called_at) = frame.called_at().filter(|it| inner && !requirement.places.contains(it)) {
            requirement.places.insert(0, called_at);
        }
        self.requirements.borrow_mut().push((self.moment.get(), requirement));
        true
    }

    /// The entries of the caller's block that give these inputs.
    pub fn entries(&self, frame: &Frame<'p>, reads: &[Name]) -> Vec<Span> {
        let given = |name: &Name| match frame.decl {
            Some(decl) => decl.inputs.iter().find(|(given, ..)| given == name).map(|(.., span)| *span),
            None => self
                .request
                .inputs
                .get(name)
                .map(|value| value.mark.origin)
                .or_else(|| self.program.inputs.iter().find(|input| input.name == *name).map(|input| input.span)),
        };
        reads.iter().filter_map(given).collect()
    }
}

/// Provider instances with their settings.
fn providers(all: &Expander<'_>, names: &BTreeSet<ProviderName>) -> Result<Vec<DesiredProvider>, Vec<Diagnostic>> {
    let (mut providers, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        match all.settings_of(name) {
            Ok(settings) => {
                let declared = all.program.providers.iter().find(|it| it.name == *name);
                let span = declared.map_or(Span::ENGINE, |it| it.span);
                providers.push(DesiredProvider { name: name.clone(), settings: (*settings).clone(), span });
            }
            Err(error) => errors.push(*error),
        }
    }
    if errors.is_empty() { Ok(providers) } else { Err(errors) }
}

/// Two resources that are one object on the platform.
fn twins(resources: &[DesiredResource]) -> Vec<Diagnostic> {
    let mut seen: FxHashMap<Vec<u8>, &DesiredResource> = FxHashMap::default();
    let mut errors = Vec::new();
    for resource in alike(resources) {
        let kind = &resource.kind;
        let given: Option<Vec<&Value>> = kind.identity.iter().map(|name| resource.attributes.get(name)).collect();
        let Some(values) = given.filter(|values| !values.is_empty()) else { continue };
        let mut bytes = format!("{} {}", kind.name, resource.provider).into_bytes();
        for value in &values {
            bytes.push(0);
            crate::model::canonical::write_value(&mut bytes, value);
        }
        if let Some(first) = seen.insert(bytes, resource) {
            let shown: Vec<String> =
                kind.identity.iter().zip(&values).map(|(name, value)| format!("{name} = {}", value.to_literal())).collect();
            errors.push(
                Code::SameObject
                    .error(format!("`{}` and `{}` are the same object", first.address, resource.address))
                    .label(resource.called_at, "second resource")
                    .label(first.called_at, "first resource")
                    .note(format!("both are the {} with {}", kind.name, shown.join(", ")))
                    .help("remove one of them, or give them different names")
                    .about(resource.address.clone()),
            );
        }
    }
    errors
}

/// The resources that may be one object with another of them, in order. Most are told apart at a glance.
fn alike(resources: &[DesiredResource]) -> impl Iterator<Item = &DesiredResource> {
    let mut glances: Vec<(u64, usize)> =
        resources.par_iter().enumerate().filter_map(|(at, resource)| Some((glance(resource)?, at))).collect();
    glances.par_sort_unstable();
    let mut alike: Vec<usize> =
        glances.chunk_by(|a, b| a.0 == b.0).filter(|it| it.len() > 1).flatten().map(|(_, at)| *at).collect();
    alike.sort_unstable();
    alike.into_iter().map(|at| &resources[at])
}

/// A number that is the same for all resources that are one object; `None` where nothing tells which object it is.
fn glance(resource: &DesiredResource) -> Option<u64> {
    let mut hasher = FxHasher::default();
    (&*resource.kind.name, &resource.provider).hash(&mut hasher);
    for name in &resource.kind.identity {
        let value = resource.attributes.get(name)?;
        match &value.data {
            _ if value.mark.secret => {}
            Data::Text(text) => text.hash(&mut hasher),
            Data::Int(number) => number.hash(&mut hasher),
            Data::Unknown(unknown) => {
                if let ExprKind::Name(Reference::Attribute { address, .. }) = &unknown.rest.kind {
                    address.hash(&mut hasher);
                }
            }
            _ => {}
        }
    }
    (!resource.kind.identity.is_empty()).then(|| hasher.finish())
}

/// Edges to instances become edges to all resources in them; edges to what does not exist go away.
fn spread_edges(resources: &mut [DesiredResource]) {
    let addresses: Vec<Address> = resources.iter().map(|it| it.address.clone()).collect();
    let within = |address: &Address| -> Vec<Address> {
        if let Ok(at) = addresses.binary_search(address) {
            return vec![addresses[at].clone()];
        }
        let prefix = format!("{address}/");
        let from = addresses.partition_point(|it| it.as_str() < prefix.as_str());
        addresses[from..].iter().take_while(|it| it.as_str().starts_with(&prefix)).cloned().collect()
    };
    resources.par_iter_mut().filter(|it| !it.edges.is_empty()).for_each_init(FxHashMap::default, |inside, resource| {
        let own = resource.address.clone();
        let mut edges: BTreeMap<Address, (EdgeReason, Span)> = BTreeMap::new();
        for edge in std::mem::take(&mut resource.edges) {
            if edge.reason == EdgeReason::Instance && own.is_within(&edge.to) {
                continue;
            }
            let to: &mut Vec<Address> = inside.entry(edge.to.clone()).or_insert_with(|| within(&edge.to));
            for address in to.iter().filter(|it| **it != own || edge.reason == EdgeReason::Reference) {
                let before = edges.entry(address.clone()).or_insert((edge.reason, edge.span));
                // The stronger reason stays: an instance edge gives way in a cycle.
                if strength(edge.reason) > strength(before.0) {
                    *before = (edge.reason, edge.span);
                }
            }
        }
        resource.edges = edges.into_iter().map(|(to, (reason, span))| Edge { to, reason, span }).collect();
    });
}

fn strength(reason: EdgeReason) -> u8 {
    match reason {
        EdgeReason::Instance => 0,
        EdgeReason::After => 1,
        EdgeReason::Reference => 2,
    }
}

/// The alerts that were come across, with their items.
fn alerts(all: &Expander<'_>) -> BTreeMap<Address, Span> {
    let frames = all.frames.borrow();
    let span = |frame: &Frame<'_>| Some(frame.decl.filter(|decl| &*decl.kind == "alert")?.span);
    frames.iter().filter_map(|(address, frame)| Some((address.clone(), span(frame)?))).collect()
}

/// A warning for an alert that nothing gathers.
fn not_delivered(address: &Address, span: Span, environment: &str) -> Diagnostic {
    Code::AlertNotDelivered
        .warning(format!("`{address}` reaches nobody in `{environment}`"))
        .label(span, "no `monitoring` takes it there")
        .help("declare one: `monitoring main {}`")
        .about(address.clone())
}
