//! A small world to plan in: kinds, declarations, records, and a model of what an apply does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::expr::{Binary, Expr, ExprKind, Reference, Step};
use crate::model::schema::{Alphabet, Attribute, Given, Naming, OnChange, Recovery, ReplaceOrder, Unique};
use crate::model::types::Bounds;
use crate::model::value::Unknown;
use crate::model::{
    Action, Address, Adoption, Code, Data, Desired, DesiredOutput, DesiredResource, Digest, Edge, EdgeReason, Fields, Kind,
    Lifecycle, Plan, ProviderName, ProviderSchema, Record, RecordId, Schemas, Seen, SeenResource, Sources, Span, Type, Value,
    Wanted,
};
use crate::plan::{Known, Options, start};

pub struct Declared(pub DesiredResource);

pub struct World {
    pub schemas: Schemas,
    pub resources: BTreeMap<Address, DesiredResource>,
    pub records: BTreeMap<Address, Arc<Record>>,
    pub deposed: BTreeMap<Address, Vec<Arc<Record>>>,
    pub outputs: Fields,
    pub declared_outputs: Vec<DesiredOutput>,
    pub foreseen: Vec<crate::model::Foreseen>,
    pub seen: Seen,
    pub moved: Vec<(Address, Address, Span)>,
    pub forget: Vec<(Address, Span)>,
    pub adopt: Vec<Adoption>,
    pub requirements: Vec<crate::model::Requirement>,
    pub options: Options,
    counter: u64,
}

impl Default for World {
    fn default() -> World {
        World {
            schemas: schemas(),
            resources: BTreeMap::new(),
            records: BTreeMap::new(),
            deposed: BTreeMap::new(),
            outputs: Fields::new(),
            declared_outputs: Vec::new(),
            foreseen: Vec::new(),
            seen: Seen::default(),
            moved: Vec::new(),
            forget: Vec::new(),
            requirements: Vec::new(),
            adopt: Vec::new(),
            options: Options::default(),
            counter: 0,
        }
    }
}

impl World {
    pub fn declare(&mut self, declared: Declared) {
        self.resources.insert(declared.0.address.clone(), declared.0);
    }

    pub fn redeclare(&mut self, declared: Declared) {
        assert!(self.resources.contains_key(&declared.0.address), "declared before");
        self.declare(declared);
    }

    pub fn remove(&mut self, at: &str) {
        self.resources.remove(&address(at)).expect("declared before");
    }

    pub fn output(&mut self, name: &str, value: Value) {
        self.declared_outputs.push(DesiredOutput { name: name.into(), ty: Type::Any, value, span: Span::ENGINE });
    }

    /// The platform reports what is recorded, but for these.
    pub fn see<V: Into<Text>, const N: usize>(&mut self, at: &str, but: [(&str, V); N]) {
        let mut live = self.records.get(&address(at)).map(|record| record.attributes()).unwrap_or_default();
        live.extend(but.map(|(name, value)| (name.into(), value.into().0)));
        self.seen.resources.insert(address(at), SeenResource::Live(Arc::new(live)));
    }

    /// The address adopts the object with this id, and the platform has these that fit.
    pub fn adopts(&mut self, at: &str, id: &str, found: &[Value]) {
        let object = |value: &Value| Arc::new(value.as_map().expect("an object").clone());
        self.adopt.push(Adoption { address: address(at), object: Wanted::Id(Value::text(id)), span: Span::ENGINE });
        self.seen.adoptable.insert(address(at), found.iter().map(object).collect());
    }

    pub fn record_mut(&mut self, at: &str) -> &mut Record {
        Arc::make_mut(self.records.get_mut(&address(at)).expect("recorded"))
    }

    /// All kinds are found again in this way.
    pub fn recovers_by(&mut self, recovery: Recovery) {
        let schema = Arc::make_mut(self.schemas.providers.get_mut("test").unwrap());
        schema.kinds.values_mut().for_each(|kind| Arc::make_mut(kind).recovery = recovery);
    }

    pub fn desired(&self) -> Desired {
        let mut resources: Vec<DesiredResource> = self.resources.values().cloned().collect();
        resources.iter_mut().for_each(|it| it.kind = self.schemas.kind(&it.kind.name).unwrap().clone());
        Desired {
            stack: "shop".into(),
            environment: "test".into(),
            resources,
            outputs: self.declared_outputs.clone(),
            moved: self.moved.clone(),
            forget: self.forget.clone(),
            adopt: self.adopt.clone(),
            requirements: self.requirements.clone(),
            ..Desired::default()
        }
    }

    pub fn plan(&self) -> Plan {
        self.plan_of(self.desired()).unwrap_or_else(|errors| panic!("{errors:#?}"))
    }

    pub fn refused(&self) -> Vec<Code> {
        self.plan_of(self.desired()).map(|plan| format!("{plan:#?}")).unwrap_err().iter().map(|it| it.code).collect()
    }

    pub fn plan_of(&self, desired: Desired) -> Result<Plan, Vec<crate::model::Diagnostic>> {
        let known = Known {
            store: "store",
            base: Some(1),
            records: &self.records,
            deposed: &self.deposed,
            outputs: &self.outputs,
            foreseen: &self.foreseen,
            seen: &self.seen,
            schemas: &self.schemas,
            sources: &Sources::default(),
            digest: &|value| Digest::of(value.as_text().unwrap_or_default().as_bytes()),
        };
        start(desired, &known, &self.options)
    }

    /// Plans and applies.
    pub fn applied(&mut self) {
        self.apply(&self.plan());
    }

    /// What an apply leaves in the records, in a model without a platform.
    pub fn apply(&mut self, plan: &Plan) {
        let steps = crate::plan::steps(plan);
        for at in &steps.order {
            let Some((change, half)) = steps.all[*at as usize] else { continue };
            let change = &plan.changes[change as usize];
            match (&change.action, half) {
                (_, crate::plan::Half::Unmake) => self.unmake(change),
                (Action::Forget, _) => drop(self.records.remove(&change.address)),
                (Action::Move { from }, _) => {
                    let record = self.records.remove(from).expect("it is recorded where it comes from");
                    let mut record = (*record).clone();
                    record.address = change.address.clone();
                    record.instance = change.instance.clone();
                    record.edges = change.after.as_ref().map(|after| super::super::decide::record_edges(after)).unwrap();
                    self.records.insert(change.address.clone(), Arc::new(record));
                }
                (Action::Adopt { .. }, _) => {
                    self.counter += 1;
                    let record = (**change.before.as_ref().unwrap()).clone();
                    let record = Record { id: RecordId(u128::from(self.counter).to_be_bytes()), version: 1, ..record };
                    self.records.insert(change.address.clone(), Arc::new(record));
                }
                (Action::Read, _) => self.see(change.address.as_str(), [("id", "zone-read")]),
                _ => self.make(change),
            }
        }
        for output in &plan.outputs {
            match &output.after {
                Some(after) => drop(self.outputs.insert(output.name.clone(), self.resolved(&after.value))),
                None => drop(self.outputs.remove(&output.name)),
            }
        }
        self.seen.resources.retain(|address, _| self.resources.get(address).is_some_and(|it| it.kind.data));
    }

    fn unmake(&mut self, change: &crate::model::Change) {
        let id = change.before.as_ref().unwrap().id;
        match self.records.get(&change.address) {
            Some(record) if record.id == id => drop(self.records.remove(&change.address)),
            _ => {}
        }
        self.deposed.remove(&change.address);
    }

    fn make(&mut self, change: &crate::model::Change) {
        let after = change.after.as_ref().unwrap();
        self.counter += 1;
        let inputs: Fields = after.attributes.iter().map(|(name, value)| (name.clone(), self.resolved(value))).collect();
        let before = self.records.get(&change.address);
        let fresh = before.is_none() || !matches!(change.action, Action::Update | Action::Record);
        let mut computed = before.filter(|_| !fresh).map(|record| record.computed.clone()).unwrap_or_default();
        if fresh {
            computed.insert("id".into(), Value::text(format!("id-{}", self.counter)));
        }
        if change.action != Action::Record {
            computed.insert("revision".into(), Value::text(format!("rev-{}", self.counter)));
        } else {
            for field in &change.drift {
                let Step::Field(name) = &field.path[0] else { unreachable!() };
                computed.insert(name.clone(), field.after.clone().unwrap());
            }
        }
        computed.retain(|name, _| !inputs.contains_key(name));
        let record = Record {
            address: change.address.clone(),
            id: RecordId(u128::from(self.counter).to_be_bytes()),
            kind: change.kind.name.clone(),
            provider: after.provider.clone(),
            instance: after.instance.clone(),
            inputs,
            computed,
            edges: super::super::decide::record_edges(after),
            protect: after.lifecycle.protect,
            replace_on: after.lifecycle.replace_on.iter().map(|value| self.resolved(value)).collect(),
            generation: 0,
            declared_at: String::new(),
            schema_version: change.schema_version,
            version: before.map_or(1, |record| record.version + 1),
            deposed: false,
        };
        self.records.insert(change.address.clone(), Arc::new(record));
    }

    fn resolved(&self, value: &Value) -> Value {
        let lookup = |address: &Address, path: &[Step]| {
            let Step::Field(name) = &path[0] else { return None };
            if let Some(SeenResource::Live(live)) = self.seen.resources.get(address)
                && !self.records.contains_key(address)
            {
                return live.get(name).cloned();
            }
            self.records.get(address)?.attribute(name).cloned()
        };
        let resolved = crate::eval::resume(value, &lookup).unwrap();
        assert!(!resolved.has_unknown(), "{value:?} waits for what was made before");
        resolved
    }
}

/// Whatever can stand for a value in a test.
pub struct Text(pub Value);

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(Value::text(text))
    }
}

impl From<i64> for Text {
    fn from(number: i64) -> Text {
        Text(Value::int(number))
    }
}

impl From<Value> for Text {
    fn from(value: Value) -> Text {
        Text(value)
    }
}

impl Declared {
    pub fn with(mut self, name: &str, value: impl Into<Text>) -> Declared {
        let value = value.into().0;
        for to in waits(&value) {
            let edge = Edge { to, reason: EdgeReason::Reference, span: Span::ENGINE };
            if !self.0.edges.contains(&edge) {
                self.0.edges.push(edge);
            }
        }
        self.0.attributes.insert(name.into(), value);
        if self.0.attributes[name].is_null() {
            self.0.attributes.remove(name);
        }
        self
    }

    pub fn keyed(mut self, key: &str) -> Declared {
        self.0.address = self.0.address.keyed(key);
        self.0.instance = self.0.address.clone();
        self
    }

    pub fn after(mut self, to: &str, reason: EdgeReason) -> Declared {
        self.0.edges.push(Edge { to: address(to), reason, span: Span::ENGINE });
        self
    }
}

fn waits(value: &Value) -> Vec<Address> {
    match &value.data {
        Data::Unknown(unknown) => unknown.waits_for.iter().cloned().collect(),
        Data::Map(fields) => fields.values().flat_map(waits).collect(),
        Data::List(items) => items.iter().flat_map(waits).collect(),
        _ => Vec::new(),
    }
}

pub fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

pub fn map<V: Into<Text>, const N: usize>(entries: [(&str, V); N]) -> Value {
    Value::map(entries.map(|(name, value)| (name.into(), value.into().0)).into_iter().collect())
}

/// `kind.name.attribute` of another resource, not known yet.
pub fn attribute(of: &str, name: &str) -> Value {
    let address = address(of);
    let reference = Reference::Attribute { address: address.clone(), path: vec![Step::Field(name.into())] };
    let rest = Arc::new(Expr::new(ExprKind::Name(reference), Span::ENGINE));
    let unknown = Unknown { ty: Type::TEXT, rest, waits_for: Arc::new([address].into()) };
    Value::engine(Data::Unknown(Arc::new(unknown)))
}

/// `require` that each of these attributes is not `"with bad"`.
pub fn requirement(read: &[(&str, &str)]) -> crate::model::Requirement {
    let values: Vec<Value> = read.iter().map(|(of, name)| attribute(of, name)).collect();
    let is_good = |value: &Value| {
        let Data::Unknown(unknown) = &value.data else { unreachable!("an attribute is not known") };
        let bad = Expr::literal(Value::text("with bad"));
        Expr::new(ExprKind::Binary(Binary::NotEqual, Box::new((*unknown.rest).clone()), Box::new(bad)), Span::ENGINE)
    };
    let all = values.iter().map(is_good);
    let rest = all.reduce(|a, b| Expr::new(ExprKind::Binary(Binary::And, Box::new(a), Box::new(b)), Span::ENGINE)).unwrap();
    let waits_for = Arc::new(values.iter().flat_map(waits).collect());
    let cond = Value::engine(Data::Unknown(Arc::new(Unknown { ty: Type::Bool, rest: Arc::new(rest), waits_for })));
    let place = |start| Span::new(crate::model::SourceId(0), start, start + 1);
    crate::model::Requirement {
        address: Some(address("service.api")),
        cond,
        message: Value::text("too bad"),
        span: place(1),
        places: vec![place(7)],
    }
}

pub fn app(name: &str) -> Declared {
    declared("app", name)
}

pub fn disk(name: &str) -> Declared {
    declared("disk", name)
}

pub fn act(name: &str) -> Declared {
    declared("act", name)
}

pub fn zone(name: &str) -> Declared {
    declared("zone", name)
}

fn declared(kind: &str, name: &str) -> Declared {
    let kind = schemas().kind(&format!("test.{kind}")).unwrap().clone();
    let address = Address::root(&kind.name, name);
    Declared(DesiredResource {
        instance: address.clone(),
        address,
        kind,
        provider: ProviderName::parse("test"),
        attributes: Fields::new(),
        lifecycle: Lifecycle::default(),
        edges: Vec::new(),
        span: Span::ENGINE,
        called_at: Span::ENGINE,
    })
}

fn given(name: &str, ty: Type, given: Given) -> Attribute {
    Attribute {
        name: name.into(),
        doc: "",
        ty,
        given,
        sensitive: false,
        on_change: OnChange::Update,
        recomputed_by: Vec::new(),
        naming: None,
    }
}

fn replacing(attribute: Attribute, why: &'static str) -> Attribute {
    Attribute { on_change: OnChange::Replace(why), ..attribute }
}

pub fn schemas() -> Schemas {
    let optional = |name: &str, ty: Type| given(name, ty, Given::Optional);
    let computed = |name: &str| given(name, Type::TEXT, Given::Computed);
    let naming = Naming { alphabet: Alphabet::Dashes, max: 30, unique: Unique::Globally };
    let name = replacing(given("name", Type::TEXT, Given::Required), "rename an app");
    let token = replacing(optional("token", Type::TEXT), "change a token");
    let recomputed = vec!["env".into(), "note".into()];
    let app = Kind {
        attributes: vec![
            Attribute { naming: Some(naming), ..name },
            replacing(optional("region", Type::TEXT), "move an app"),
            Attribute { sensitive: true, ..token },
            optional("env", Type::map(Type::TEXT)),
            optional("note", Type::TEXT),
            optional("tags", Type::Set(Box::new(Type::TEXT))),
            optional("count", Type::Range(Box::new(Type::Int(Bounds::NONE)))),
            computed("id"),
            Attribute { recomputed_by: recomputed, ..computed("revision") },
        ],
        identity: vec!["name".into()],
        list_by: Some(vec!["region".into()]),
        ..kind("test.app")
    };
    let disk = Kind {
        attributes: vec![
            optional("size", Type::INT),
            optional("app", Type::TEXT),
            optional("label", Type::TEXT),
            computed("id"),
            computed("revision"),
        ],
        holds_data: true,
        updatable: false,
        ..kind("test.disk")
    };
    let act = Kind { attributes: vec![optional("command", Type::TEXT), computed("id")], act: true, ..kind("test.act") };
    let zone =
        Kind { attributes: vec![given("name", Type::TEXT, Given::Required), computed("id")], data: true, ..kind("test.zone") };
    let kinds = [("app", app), ("disk", disk), ("act", act), ("zone", zone)];
    let schema = ProviderSchema {
        name: "test".into(),
        doc: "",
        settings: Vec::new(),
        kinds: kinds.into_iter().map(|(name, kind)| (name.into(), Arc::new(kind))).collect(),
        network: None,
        version: 1,
        on_this_machine: false,
    };
    Schemas { providers: BTreeMap::from([("test".into(), Arc::new(schema))]) }
}

fn kind(name: &str) -> Kind {
    Kind {
        name: name.into(),
        doc: "",
        attributes: Vec::new(),
        data: false,
        act: false,
        stored: false,
        holds_data: false,
        identity: Vec::new(),
        id: "id".into(),
        list_by: None,
        recovery: Recovery::Put,
        updatable: true,
        replace: ReplaceOrder::DestroyFirst,
        timeout: Duration::from_secs(60),
    }
}
