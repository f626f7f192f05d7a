//! Values out and in.

use std::collections::BTreeSet;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::read::Reader;
use super::{Context, DEPTH, Secrets, Wire, WireError};
use crate::model::canonical::write_text;
use crate::model::desired::ProviderName;
use crate::model::types::Name;
use crate::model::value::{Condition, Data, Fields, Mark, Metric, Network, Reference, Unknown, Value};
use crate::model::{Address, Span};

/// Writes into a buffer, knowing the place of what is written.
pub struct Writing<'a> {
    pub(super) wire: Wire<'a>,
    context: Context<'a>,
    pub(super) out: &'a mut Vec<u8>,
    path: String,
    depth: u16,
    /// The origin that a reader would assume here.
    pub(super) origin: Span,
}

impl<'a> Writing<'a> {
    pub fn new(wire: Wire<'a>, context: Context<'a>, out: &'a mut Vec<u8>) -> Writing<'a> {
        Writing { wire, context, out, path: String::new(), depth: 0, origin: Span::ENGINE }
    }

    pub fn value(&mut self, value: &Value) -> Result<(), WireError> {
        self.deeper(|w| w.marked(value))
    }

    pub fn fields(&mut self, fields: &Fields) -> Result<(), WireError> {
        self.put("{");
        for (at, (name, value)) in fields.iter().enumerate() {
            self.comma(at);
            write_text(self.out, name);
            self.put(":");
            self.stepped(name, |w| w.value(value))?;
        }
        self.put("}");
        Ok(())
    }

    fn marked(&mut self, value: &Value) -> Result<(), WireError> {
        let origin = value.mark.origin;
        let shows_origin = self.wire.origins && origin != self.origin;
        let open_secret = value.mark.secret && matches!(self.wire.secrets, Secrets::InsideSealed);
        let sealed = match (value.mark.secret, self.wire.secrets) {
            (true, Secrets::Sealed(_)) => Some(self.sealed(value)?),
            _ => None,
        };
        if let (Some(sealed), false, None) = (&sealed, shows_origin, &value.mark.within) {
            self.put("{\"$sealed\":");
            write_text(self.out, sealed);
            self.put("}");
            return Ok(());
        }
        if !shows_origin && !open_secret && value.mark.within.is_none() {
            return self.data(&value.data);
        }
        self.put("{\"$mark\":{");
        let mut first = true;
        if shows_origin {
            self.key(&mut first, "at");
            self.span(origin);
        }
        let outer = std::mem::replace(&mut self.origin, if self.wire.origins { origin } else { Span::ENGINE });
        if sealed.is_none() {
            self.key(&mut first, "is");
            self.data(&value.data)?;
        }
        self.origin = outer;
        if let Some(sealed) = &sealed {
            self.key(&mut first, "sealed");
            write_text(self.out, sealed);
        }
        if open_secret {
            self.key(&mut first, "secret");
            self.put("true");
        }
        if let Some(network) = &value.mark.within {
            self.key(&mut first, "within");
            self.texts(&[&network.name, &network.output]);
        }
        self.put("}}");
        Ok(())
    }

    /// The value without its own marks, sealed; what is inside keeps its marks.
    fn sealed(&self, value: &Value) -> Result<String, WireError> {
        let Secrets::Sealed(sealer) = self.wire.secrets else { unreachable!("asked for only where there is a sealer") };
        let mut plain = zeroize::Zeroizing::new(Vec::new());
        let wire = Wire { secrets: Secrets::InsideSealed, origins: self.wire.origins };
        let origin = if self.wire.origins { value.mark.origin } else { Span::ENGINE };
        Writing { wire, context: self.context, out: &mut plain, path: String::new(), depth: self.depth, origin }
            .data(&value.data)?;
        sealer.seal(&self.context, &self.path, &plain)
    }

    fn data(&mut self, data: &Data) -> Result<(), WireError> {
        match data {
            Data::Null => self.put("null"),
            Data::Bool(value) => self.put(if *value { "true" } else { "false" }),
            Data::Int(value) => self.number(*value),
            Data::Text(text) => write_text(self.out, text),
            Data::Number(value) => self.tagged("number", |w| w.decimal(value)),
            Data::Duration(nanos) => self.tagged("duration", |w| w.number(*nanos)),
            Data::Size(bytes) => self.tagged("size", |w| w.number(*bytes)),
            Data::Percent(ratio) => self.tagged("percent", |w| w.decimal(ratio)),
            Data::Rate(per_hour) => self.tagged("rate", |w| w.decimal(per_hour)),
            Data::Money(amount, currency) => {
                self.tagged("money", |w| w.texts(&[&amount.to_string(), currency]));
            }
            Data::Instant(instant) => self.tagged("instant", |w| write_text(w.out, &instant.to_string())),
            Data::Range(ends) => {
                self.put("{\"$range\":[");
                self.stepped("0", |w| w.value(&ends.0))?;
                self.put(",");
                self.stepped("1", |w| w.value(&ends.1))?;
                self.put("]}");
            }
            Data::List(items) => self.items(items)?,
            Data::Map(fields) if fields.keys().any(|name| name.starts_with('$')) => {
                self.put("{\"$map\":");
                self.fields(fields)?;
                self.put("}");
            }
            Data::Map(fields) => self.fields(fields)?,
            Data::Variant(label, fields) => {
                self.put("{\"$variant\":[");
                write_text(self.out, label);
                self.put(",");
                self.fields(fields)?;
                self.put("]}");
            }
            Data::Ref(reference) => self.tagged("ref", |w| w.texts(&[&reference.kind, reference.address.as_str()])),
            Data::Provider(provider) => self.tagged("provider", |w| write_text(w.out, &provider.to_string())),
            Data::Metric(metric) => {
                self.put("{\"$metric\":[");
                write_text(self.out, &metric.promql);
                self.put(",");
                self.source(metric.source.as_ref());
                self.put(",");
                self.ty(&metric.unit)?;
                self.put("]}");
            }
            Data::Condition(condition) => {
                self.put("{\"$condition\":[");
                write_text(self.out, &condition.promql);
                self.put(",");
                self.source(condition.source.as_ref());
                self.put("]}");
            }
            Data::Unknown(unknown) => {
                self.put("{\"$unknown\":[");
                self.ty(&unknown.ty)?;
                self.put(",");
                self.expr(&unknown.rest)?;
                self.put(",");
                self.texts(&unknown.waits_for.iter().map(Address::as_str).collect::<Vec<_>>());
                self.put("]}");
            }
        }
        Ok(())
    }

    fn items(&mut self, items: &[Value]) -> Result<(), WireError> {
        self.put("[");
        for (at, item) in items.iter().enumerate() {
            self.comma(at);
            self.stepped(&at.to_string(), |w| w.value(item))?;
        }
        self.put("]");
        Ok(())
    }

    fn source(&mut self, source: Option<&Address>) {
        match source {
            None => self.put("null"),
            Some(address) => write_text(self.out, address.as_str()),
        }
    }

    fn tagged(&mut self, tag: &str, payload: impl FnOnce(&mut Self)) {
        self.put("{\"$");
        self.put(tag);
        self.put("\":");
        payload(self);
        self.put("}");
    }

    fn decimal(&mut self, value: &Decimal) {
        write_text(self.out, &value.to_string());
    }

    pub(super) fn number(&mut self, value: i64) {
        self.put(&value.to_string());
    }

    pub(super) fn texts(&mut self, texts: &[&str]) {
        self.put("[");
        for (at, text) in texts.iter().enumerate() {
            self.comma(at);
            write_text(self.out, text);
        }
        self.put("]");
    }

    pub(super) fn span(&mut self, span: Span) {
        self.put("[");
        self.number(span.source.0.into());
        self.put(",");
        self.number(span.start.into());
        self.put(",");
        self.number(span.end.into());
        self.put("]");
    }

    pub(super) fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    pub(super) fn comma(&mut self, at: usize) {
        if at > 0 {
            self.put(",");
        }
    }

    fn key(&mut self, first: &mut bool, name: &str) {
        if !std::mem::take(first) {
            self.put(",");
        }
        self.put("\"");
        self.put(name);
        self.put("\":");
    }

    pub(super) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, WireError>) -> Result<T, WireError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(WireError::Depth);
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn stepped<T>(&mut self, step: &str, inner: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        push_step(&mut self.path, step);
        let result = inner(self);
        self.path.truncate(length);
        result
    }
}

pub(super) fn push_step(path: &mut String, step: &str) {
    path.push_str(&step.len().to_string());
    path.push(':');
    path.push_str(step);
}

impl Reader<'_, '_, '_> {
    pub fn value(&mut self) -> Result<Value, WireError> {
        self.deeper(|r| r.marked())
    }

    /// One object as fields.
    pub fn fields(&mut self) -> Result<Fields, WireError> {
        self.expect("{")?;
        if self.took("}") {
            return Ok(Fields::new());
        }
        let key = self.key()?;
        self.fields_from(key)
    }

    /// The rest of an object whose first key, colon included, was read.
    fn fields_from(&mut self, first: Name) -> Result<Fields, WireError> {
        let mut all: Vec<(Name, Value)> = Vec::with_capacity(8);
        let mut key = first;
        loop {
            if all.last().is_some_and(|(before, _)| *before >= key) {
                return Err(self.syntax("keys in order"));
            }
            let value = self.stepped(&key, |r| r.value())?;
            all.push((key, value));
            if self.took("}") {
                return Ok(all.into_iter().collect());
            }
            self.expect(",")?;
            key = self.key()?;
        }
    }

    fn marked(&mut self) -> Result<Value, WireError> {
        let plain = |r: &Self, data| Value { data, mark: Mark::at(r.origin) };
        if self.peek() != Some(b'{') {
            let data = self.simple()?;
            return Ok(plain(self, data));
        }
        self.expect("{")?;
        if self.took("}") {
            return Ok(plain(self, Data::Map(Arc::default())));
        }
        let key = self.key()?;
        match key.strip_prefix('$') {
            None => {
                let fields = self.fields_from(key)?;
                Ok(plain(self, Data::Map(Arc::new(fields))))
            }
            Some("sealed") => {
                let sealed = self.text()?;
                let data = self.unseal(&sealed, self.origin)?;
                self.expect("}")?;
                Ok(plain(self, data).secret())
            }
            Some("mark") => {
                let value = self.mark()?;
                self.expect("}")?;
                Ok(value)
            }
            Some(tag) => {
                let data = self.tagged(tag)?;
                self.expect("}")?;
                Ok(plain(self, data))
            }
        }
    }

    fn mark(&mut self) -> Result<Value, WireError> {
        let outer = self.origin;
        let (mut data, mut secret, mut within) = (None, false, None);
        let mut before: Option<Name> = None;
        self.expect("{")?;
        loop {
            let key = self.key()?;
            if before.as_ref().is_some_and(|before| *before >= key) {
                return Err(self.syntax("marks in order"));
            }
            match &*key {
                "at" if data.is_none() => self.origin = self.span()?,
                "is" if data.is_none() => data = Some(self.unmarked()?),
                "sealed" if data.is_none() => {
                    let sealed = self.text()?;
                    data = Some(self.unseal(&sealed, self.origin)?);
                    secret = true;
                }
                "secret" if self.opens_secrets() => {
                    self.expect("true")?;
                    secret = true;
                }
                "within" => within = Some(Arc::new(self.network()?)),
                _ => return Err(self.syntax("a mark")),
            }
            before = Some(key);
            if self.took("}") {
                break;
            }
            self.expect(",")?;
        }
        let origin = std::mem::replace(&mut self.origin, outer);
        let data = data.ok_or_else(|| self.syntax("a marked value"))?;
        Ok(Value { data, mark: Mark { secret, within, origin } })
    }

    /// A value that has no marks of its own.
    fn unmarked(&mut self) -> Result<Data, WireError> {
        let value = self.value()?;
        match value.mark.secret || value.mark.within.is_some() {
            true => Err(self.syntax("one mark")),
            false => Ok(value.data),
        }
    }

    fn network(&mut self) -> Result<Network, WireError> {
        self.expect("[")?;
        let name = self.name()?;
        self.expect(",")?;
        let output = self.name()?;
        self.expect("]")?;
        Ok(Network { name, output })
    }

    fn simple(&mut self) -> Result<Data, WireError> {
        Ok(match self.peek() {
            Some(b'n') => self.expect("null").map(|()| Data::Null)?,
            Some(b't') => self.expect("true").map(|()| Data::Bool(true))?,
            Some(b'f') => self.expect("false").map(|()| Data::Bool(false))?,
            Some(b'"') => Data::Text(self.text()?.as_ref().into()),
            Some(b'[') => {
                let mut items = Vec::new();
                let mut at = 0usize;
                self.list(|r| {
                    let step = at.to_string();
                    items.push(r.stepped(&step, |r| r.value())?);
                    at += 1;
                    Ok(())
                })?;
                Data::List(Arc::new(items))
            }
            _ => Data::Int(self.number()?),
        })
    }

    fn tagged(&mut self, tag: &str) -> Result<Data, WireError> {
        Ok(match tag {
            "number" => Data::Number(self.decimal()?),
            "duration" => Data::Duration(self.number()?),
            "size" => Data::Size(self.number()?),
            "percent" => Data::Percent(self.decimal()?),
            "rate" => Data::Rate(self.decimal()?),
            "money" => {
                self.expect("[")?;
                let amount = self.decimal()?;
                self.expect(",")?;
                let currency = self.name()?;
                self.expect("]")?;
                Data::Money(amount, currency)
            }
            "instant" => {
                let text = self.text()?;
                Data::Instant(text.parse().map_err(|_| self.syntax("an instant"))?)
            }
            "range" => {
                self.expect("[")?;
                let low = self.stepped("0", |r| r.value())?;
                self.expect(",")?;
                let high = self.stepped("1", |r| r.value())?;
                self.expect("]")?;
                Data::Range(Arc::new((low, high)))
            }
            "map" => Data::Map(Arc::new(self.fields()?)),
            "variant" => {
                self.expect("[")?;
                let label = self.name()?;
                self.expect(",")?;
                let fields = self.fields()?;
                self.expect("]")?;
                Data::Variant(label, Arc::new(fields))
            }
            "ref" => {
                self.expect("[")?;
                let kind = self.name()?;
                self.expect(",")?;
                let address = self.address()?;
                self.expect("]")?;
                Data::Ref(Arc::new(Reference { kind, address }))
            }
            "provider" => Data::Provider(ProviderName::parse(&self.text()?)),
            "metric" => {
                self.expect("[")?;
                let promql = self.text()?.as_ref().into();
                self.expect(",")?;
                let source = self.source()?;
                self.expect(",")?;
                let unit = self.ty()?;
                self.expect("]")?;
                Data::Metric(Arc::new(Metric { promql, unit, source }))
            }
            "condition" => {
                self.expect("[")?;
                let promql = self.text()?.as_ref().into();
                self.expect(",")?;
                let source = self.source()?;
                self.expect("]")?;
                Data::Condition(Arc::new(Condition { promql, source }))
            }
            "unknown" => {
                self.expect("[")?;
                let ty = self.ty()?;
                self.expect(",")?;
                let rest = Arc::new(self.expr()?);
                self.expect(",")?;
                let mut waits_for = BTreeSet::new();
                self.list(|r| {
                    waits_for.insert(r.address()?);
                    Ok(())
                })?;
                self.expect("]")?;
                Data::Unknown(Arc::new(Unknown { ty, rest, waits_for: Arc::new(waits_for) }))
            }
            _ => return Err(self.syntax("a kind of value that this version knows")),
        })
    }

    fn source(&mut self) -> Result<Option<Address>, WireError> {
        if self.peek() == Some(b'n') {
            return self.expect("null").map(|()| None);
        }
        self.address().map(Some)
    }

    fn decimal(&mut self) -> Result<Decimal, WireError> {
        let text = self.text()?;
        Decimal::from_str_exact(&text).map_err(|_| self.syntax("a decimal number"))
    }
}
