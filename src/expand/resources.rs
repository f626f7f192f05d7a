//! Resources: attributes, guards, edges; data sources that leave as questions.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::Question;
use super::expander::{Expander, SharedResource, too_late};
use super::frame::{Frame, Placed, set_key};
use super::shares::Moment;
use crate::eval::{Outcome, fit};
use crate::lang::program::{Mode, Override, Resource};
use crate::model::expr::{ExprKind, Reference};
use crate::model::schema::{Given, ReplaceOrder};
use crate::model::{
    Address, Code, Data, DesiredResource, Diagnostic, Edge, EdgeReason, Expr, Fields, Kind, Lifecycle, ProviderName, Requirement,
    Span, Turn, Value,
};

/// A shared resource: whoever asked first says what it is.
pub struct SharedMade {
    pub address: Address,
    pub asked: Moment,
    pub resource: Option<DesiredResource>,
    pub requirements: Vec<(Moment, Requirement)>,
}

impl<'p> Expander<'p> {
    /// Makes the resources that an item declares.
    pub fn emit(&self, frame: &Rc<Frame<'p>>, decl: &'p Resource) {
        if decl.mode == Mode::Shared {
            let address = self.shared_resource(frame, decl);
            self.heard(frame, address);
            return;
        }
        // What the head reads, the variables that it binds hold.
        let (set, reads) = self.reading(|| self.resource_set(frame, decl, decl.span));
        if self.heard(frame, set).is_none() {
            return;
        }
        let placed = frame.placed.borrow().get(&set_key(decl)).cloned().unwrap_or_default();
        for it in placed.iter() {
            let provider = self.place_resource(frame, decl, &it.locals);
            let Some(provider) = self.heard(frame, provider) else { return };
            let made = self.resource(frame, decl, it, provider, &reads);
            if let Some(Some(resource)) = self.heard(frame, made) {
                self.resources.borrow_mut().push(resource);
            }
        }
    }

    /// Makes the shared resources that were asked for.
    pub fn emit_shared(&self) -> Vec<SharedMade> {
        let shared = self.shared.borrow().clone();
        let mut all = Vec::with_capacity(shared.len());
        for (address, SharedResource { frame, asked, decl, provider }) in shared {
            let placed = Placed { address: address.clone(), key: None, locals: Vec::new() };
            let waiting = self.requirements.borrow().len();
            let made = self.resource(&frame, decl, &placed, provider, &BTreeMap::new());
            let resource = self.heard(&frame, made).flatten().map(|made| DesiredResource { instance: address.clone(), ..made });
            let requirements = self.requirements.borrow_mut().split_off(waiting);
            all.push(SharedMade { address, asked, resource, requirements });
        }
        all
    }

    /// One resource; none where it is a data source that has answered, or is asked.
    fn resource(
        &self,
        frame: &Rc<Frame<'p>>,
        decl: &'p Resource,
        placed: &Placed,
        provider: ProviderName,
        head_reads: &BTreeMap<Address, Span>,
    ) -> Outcome<Option<DesiredResource>> {
        if decl.mode == Mode::Data && self.request.known.data.contains_key(&placed.address) {
            return Ok(None);
        }
        let (made, reads) = self.reading(|| self.make(frame, decl, placed, &provider));
        let (attributes, mut lifecycle, mut after) = made?;
        let waiting = self.requirements.borrow().len();
        for require in &decl.requires {
            self.require(frame, require, &placed.locals);
        }
        if decl.mode == Mode::Data && !attributes.values().any(Value::has_unknown) {
            if self.request.known.untold {
                // Nobody will ask, and so nobody will judge what it waits for.
                self.requirements.borrow_mut().truncate(waiting);
                self.untold.borrow_mut().providers.insert(provider);
                return Ok(None);
            }
            let question = Question {
                address: placed.address.clone(),
                kind: decl.kind.clone(),
                provider,
                arguments: attributes,
                span: decl.span,
            };
            self.questions.borrow_mut().insert(placed.address.clone(), question);
            return Ok(None);
        }
        self.check_reach(&decl.kind, &provider, &placed.address, &attributes, decl.span)?;
        self.guard(&decl.kind, &mut lifecycle)?;
        after.extend(frame.inherited.borrow().after.iter().map(|(address, span)| (address.clone(), *span)));
        let mut edges: BTreeMap<(Address, EdgeReason), Span> = BTreeMap::new();
        for value in attributes.values().chain(&lifecycle.replace_on) {
            self.reference_edges(value, &mut edges);
        }
        edges.extend(after.into_iter().map(|(address, span)| ((address, EdgeReason::After), span)));
        let reads = reads.into_iter().chain(head_reads.iter().map(|(address, span)| (address.clone(), *span)));
        edges.extend(reads.map(|(address, span)| ((address, EdgeReason::Instance), span)));
        let (instance, called_at) = match &frame.root {
            Some((root, span)) => (root.clone(), *span),
            None => (placed.address.clone(), decl.span),
        };
        Ok(Some(DesiredResource {
            address: placed.address.clone(),
            kind: decl.kind.clone(),
            provider,
            instance,
            attributes,
            lifecycle,
            edges: edges.into_iter().map(|((to, reason), span)| Edge { to, reason, span }).collect(),
            span: decl.span,
            called_at,
        }))
    }

    /// Attributes, lifecycle, and what it comes after.
    pub fn make(
        &self,
        frame: &Rc<Frame<'p>>,
        decl: &'p Resource,
        placed: &Placed,
        provider: &ProviderName,
    ) -> Outcome<(Fields, Lifecycle, BTreeMap<Address, Span>)> {
        let object = self.eval(frame, &decl.fields, &placed.locals)?;
        let Data::Map(given) = object.data else { return Err(too_late(&object, decl.fields.span, "which attributes are given")) };
        let mut attributes = Arc::try_unwrap(given).unwrap_or_else(|shared| (*shared).clone());
        if object.mark.secret {
            attributes.values_mut().for_each(|value| value.mark.secret = true);
        }
        self.lay_over(frame, decl, placed, provider, &mut attributes)?;
        attributes.retain(|_, value| !value.is_null());
        for (name, value) in &attributes {
            let attribute = decl.kind.attribute(name).filter(|attribute| attribute.is_input()).ok_or_else(|| {
                Box::new(
                    Code::UnknownField
                        .error(format!("`{}` takes no `{name}`", decl.kind.name))
                        .label(value.mark.origin, "unknown attribute"),
                )
            })?;
            if !attribute.sensitive && value.has_secret() {
                return Err(Box::new(
                    Code::SecretShown
                        .error(format!("`{}.{name}` would show a secret", decl.kind.name))
                        .label(value.mark.origin, "is secret")
                        .about(placed.address.clone()),
                ));
            }
        }
        for attribute in &decl.kind.attributes {
            if matches!(attribute.given, Given::Required) && !attributes.contains_key(&attribute.name) {
                return Err(Box::new(
                    Code::MissingField
                        .error(format!("`{}` of `{}` is null, and is required", attribute.name, placed.address))
                        .label(decl.span, format!("needs `{}: {}`", attribute.name, attribute.ty)),
                ));
            }
        }
        fill_in_defaults(&decl.kind, &mut attributes);
        attributes.shrink();
        let lifecycle = self.lifecycle(frame, decl, placed)?;
        let mut after = self.after(frame, &decl.lifecycle, &placed.locals)?;
        after.extend(self.before_rollout(frame, decl)?);
        Ok((attributes, lifecycle, after))
    }

    fn lifecycle(&self, frame: &Rc<Frame<'p>>, decl: &'p Resource, placed: &Placed) -> Outcome<Lifecycle> {
        let (given, locals) = (&decl.lifecycle, &placed.locals[..]);
        let inherited = frame.inherited.borrow();
        let (inherited_protect, timeout) = (inherited.protect, inherited.timeout);
        drop(inherited);
        let mut lifecycle = Lifecycle { timeout, ..Lifecycle::default() };
        // The instance's word is the user's, and so the last.
        let own = match &given.protect {
            Some(expr) => Some((self.bool(frame, expr, locals, "a guard")?, expr.span)),
            None => None,
        };
        if let Some((protect, span)) = inherited_protect.or(own) {
            lifecycle.protect = protect;
            lifecycle.protect_span = Some(span);
        }
        lifecycle.ignore = given.ignore.iter().map(|(name, _)| name.clone()).collect();
        if let Some(expr) = &given.replace {
            let value = self.eval(frame, expr, locals)?;
            lifecycle.replace = match value.as_text() {
                Some("create_first") => Some(ReplaceOrder::CreateFirst),
                Some("destroy_first") => Some(ReplaceOrder::DestroyFirst),
                _ if value.is_null() => None,
                _ => return Err(too_late(&value, expr.span, "the order of a replacement")),
            };
        }
        for expr in &given.replace_on {
            lifecycle.replace_on.push(self.eval(frame, expr, locals)?);
        }
        if let Some(expr) = &given.timeout {
            lifecycle.timeout = self.timeout(frame, expr, locals)?.or(lifecycle.timeout);
        }
        if let Some(expr) = &given.parallel {
            let value = self.eval(frame, expr, locals)?;
            lifecycle.turn = match value.data {
                Data::Null => None,
                Data::Int(number) => {
                    let set = frame.address_of(&decl.kind.name, &decl.name);
                    Some(Turn { set, at_once: u32::try_from(number.max(1)).unwrap_or(u32::MAX), rollout: false })
                }
                _ => return Err(too_late(&value, expr.span, "`parallel`")),
            };
        }
        if let Some(turn) = self.rolled_out(frame, decl)? {
            lifecycle.turn = turn;
        }
        Ok(lifecycle)
    }

    /// Data in a protected environment is guarded unless the program says otherwise.
    fn guard(&self, kind: &Kind, lifecycle: &mut Lifecycle) -> Outcome<()> {
        if lifecycle.protect_span.is_none() && kind.holds_data && self.is_protected()? {
            lifecycle.protect = true;
        }
        Ok(())
    }

    /// Lays `on TYPE { … }` of the instance's body over what its lowering says.
    fn lay_over(
        &self,
        frame: &Rc<Frame<'p>>,
        decl: &'p Resource,
        placed: &Placed,
        provider: &ProviderName,
        attributes: &mut Fields,
    ) -> Outcome<()> {
        let Some((instance, caller)) = frame.decl.zip(frame.caller.as_ref()) else { return Ok(()) };
        for (at, over) in instance.overrides.iter().enumerate() {
            let meant = over.provider == provider.ty
                && over.kind.name == decl.kind.name
                && over.name == decl.name
                && over.key.as_ref().is_none_or(|key| placed.key.as_ref() == Some(key));
            if !meant {
                continue;
            }
            frame.overridden.borrow_mut()[at] = true;
            for (name, expr, span) in &over.fields {
                let value = self.eval(caller, expr, &frame.locals)?;
                let value = match attributes.remove(name) {
                    Some(before) => laid_over(before, value),
                    None => value,
                };
                let ty = decl.kind.attribute(name).map(|attribute| attribute.ty.clone());
                let value = match ty {
                    Some(ty) if !value.is_null() => fit(value, &ty, *span)?,
                    _ => value,
                };
                attributes.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    /// Says which overrides found nothing to override.
    pub fn unused_overrides(&self, frame: &Rc<Frame<'p>>) {
        let Some((decl, provider)) = frame.decl.zip(frame.provider.as_ref()) else { return };
        let used = frame.overridden.borrow();
        let unused = |(at, over): (usize, &Override)| (over.provider == provider.ty && !used[at]).then_some(over.span);
        let places: Vec<(Span, String)> = decl
            .overrides
            .iter()
            .enumerate()
            .filter_map(|(at, over)| {
                let key = over.key.as_ref().map_or_else(String::new, |key| format!("[\"{}\"]", key.escape_debug()));
                Some((unused((at, over))?, format!("{}.{}{key}", over.kind.name, over.name)))
            })
            .collect();
        drop(used);
        let kind = self.kind_as_written(decl.span).unwrap_or(&decl.kind);
        for (span, name) in places {
            let there: Vec<String> =
                frame.tables.borrow().resources.iter().map(|it| format!("{}.{}", it.kind.name, it.name)).collect();
            let there: Vec<&str> = there.iter().map(String::as_str).collect();
            let mut error = Code::UnknownName
                .error(format!("the lowering of `{kind}` on {provider} makes no `{name}`"))
                .label(span, "nothing to override");
            if !there.is_empty() {
                error = error.help(format!("it makes {}", super::place::listed(&there)));
            }
            self.say(frame, error);
        }
    }

    /// A value that is reachable in one network only may not end outside of it.
    fn check_reach(
        &self,
        kind: &Kind,
        provider: &ProviderName,
        address: &Address,
        attributes: &Fields,
        span: Span,
    ) -> Outcome<()> {
        if &*provider.ty == "engine" || &*kind.name == "local.value" {
            return Ok(());
        }
        for value in attributes.values() {
            let Some((value, network)) = bound_in(value) else { continue };
            let here = self.network(provider)?;
            if network.name == here {
                continue;
            }
            let (of, output) = network.output.rsplit_once('.').unwrap_or(("", &network.output));
            let instance = self.frames.borrow().iter().find(|(address, _)| address.as_str() == of).map(|(_, it)| it.clone());
            let public = format!("public_{output}");
            let would_do = instance.and_then(|it| it.component).is_some_and(|it| it.outputs.iter().any(|it| *it.name == *public));
            let place = if value.mark.origin.is_engine() { span } else { value.mark.origin };
            let diagnostic: Diagnostic = Code::Unreachable
                .error(format!("`{}` is reachable in {} only, and `{address}` is in {here}", network.output, network.name))
                .label(place, "means nothing there")
                .about(address.clone());
            return Err(Box::new(match would_do {
                true => diagnostic.help(format!("use `{of}.{public}`")),
                false => diagnostic.help("place both on one provider instance"),
            }));
        }
        Ok(())
    }

    /// Edges to every resource whose attributes a value was made from.
    fn reference_edges(&self, value: &Value, edges: &mut BTreeMap<(Address, EdgeReason), Span>) {
        match &value.data {
            Data::Unknown(unknown) => {
                for address in unknown.waits_for.iter() {
                    let key = (address.clone(), EdgeReason::Reference);
                    if let std::collections::btree_map::Entry::Vacant(entry) = edges.entry(key) {
                        let read = place_of(&unknown.rest, address).filter(|span| self.is_near(*span));
                        entry.insert(read.unwrap_or(value.mark.origin));
                    }
                }
            }
            Data::List(items) => items.iter().for_each(|item| self.reference_edges(item, edges)),
            Data::Map(fields) | Data::Variant(_, fields) => fields.values().for_each(|item| self.reference_edges(item, edges)),
            Data::Range(ends) => {
                self.reference_edges(&ends.0, edges);
                self.reference_edges(&ends.1, edges);
            }
            _ => {}
        }
    }
}

/// Attributes that a program leaves out and the schema knows.
pub fn fill_in_defaults(kind: &Kind, attributes: &mut Fields) {
    for attribute in &kind.attributes {
        if let Given::Default(default) = &attribute.given {
            attributes.insert_if_missing(&attribute.name, || default.clone());
        }
    }
}

/// The first part of the value that is bound to a network.
fn bound_in(value: &Value) -> Option<(&Value, &crate::model::value::Network)> {
    if let Some(network) = &value.mark.within {
        return Some((value, network));
    }
    match &value.data {
        Data::List(items) => items.iter().find_map(bound_in),
        Data::Map(fields) | Data::Variant(_, fields) => fields.values().find_map(bound_in),
        _ => None,
    }
}

/// Objects are laid over each other deep, all else whole.
fn laid_over(below: Value, above: Value) -> Value {
    match (&below.data, &above.data) {
        (Data::Map(fields), Data::Map(others)) => {
            let mut merged = (**fields).clone();
            for (name, other) in others.iter() {
                let field = match merged.remove(name) {
                    Some(field) => laid_over(field, other.clone()),
                    None => other.clone(),
                };
                merged.insert(name.clone(), field);
            }
            Value { data: Data::Map(Arc::new(merged)), mark: above.mark.clone() }
        }
        _ => above,
    }
}

/// Where an expression reads an attribute of the resource.
fn place_of(expr: &Expr, address: &Address) -> Option<Span> {
    let mut found = None;
    crate::eval::walk(expr, &mut |it| {
        if let ExprKind::Name(Reference::Attribute { address: read, .. }) = &it.kind
            && read == address
            && found.is_none()
        {
            found = Some(it.span);
        }
    });
    found
}
