//! Types out and in: a word, or a list that begins with one.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::WireError;
use super::read::Reader;
use super::value::Writing;
use crate::model::canonical::write_text;
use crate::model::types::{Bounds, FieldType, Name, Need, ObjectType, TextRule, Type, VariantType};

/// Types that one word says.
const WORDS: [(&str, Type); 13] = [
    ("poison", Type::Poison),
    ("any", Type::Any),
    ("null", Type::Null),
    ("bool", Type::Bool),
    ("int", Type::INT),
    ("number", Type::NUMBER),
    ("text", Type::TEXT),
    ("duration", Type::Duration),
    ("size", Type::Size),
    ("percent", Type::Percent),
    ("rate", Type::Rate),
    ("money", Type::Money),
    ("instant", Type::Instant),
];

impl Writing<'_> {
    pub fn ty(&mut self, ty: &Type) -> Result<(), WireError> {
        if let Some((word, _)) = WORDS.iter().find(|(_, known)| known == ty) {
            write_text(self.out, word);
            return Ok(());
        }
        self.deeper(|w| w.complex(ty))
    }

    fn complex(&mut self, ty: &Type) -> Result<(), WireError> {
        match ty {
            Type::Int(bounds) => {
                self.put("[\"int\"");
                self.ends(bounds, |w, end| w.number(*end));
            }
            Type::Number(bounds) => {
                self.put("[\"number\"");
                self.ends(bounds, |w, end| write_text(w.out, &end.to_string()));
            }
            Type::Text(rule) => self.rule(rule),
            Type::Range(of) => self.around("range", of)?,
            Type::List(of, bounds) => {
                self.around("list", of)?;
                self.ends(bounds, |w, end| write_text(w.out, &end.to_string()));
            }
            Type::Map(of) => self.around("map", of)?,
            Type::Set(of) => self.around("set", of)?,
            Type::Optional(of) => self.around("optional", of)?,
            Type::Secret(of) => self.around("secret", of)?,
            Type::Sensitive(of) => self.around("sensitive", of)?,
            Type::Metric(of) => self.around("metric", of)?,
            Type::Object(object) => {
                self.put("[\"object\",");
                self.object(object)?;
            }
            Type::Literals(values) => {
                self.put("[\"literals\",[");
                for (at, value) in values.iter().enumerate() {
                    self.comma(at);
                    self.value(value)?;
                }
                self.put("]");
            }
            Type::Variant(variant) => {
                self.put("[\"variant\",");
                self.title(variant.name.as_ref());
                self.put(",{");
                for (at, (label, object)) in variant.cases.iter().enumerate() {
                    self.comma(at);
                    write_text(self.out, label);
                    self.put(":");
                    self.object(object)?;
                }
                self.put("}");
            }
            Type::Ref(kind) => self.named("ref", kind),
            Type::Provider(name) => self.named("provider", name),
            Type::Resource(kind) => self.named("resource", kind),
            Type::Condition => self.put("[\"condition\""),
            _ => unreachable!("a type that one word says"),
        }
        self.put("]");
        Ok(())
    }

    fn rule(&mut self, rule: &TextRule) {
        let word = match rule {
            TextRule::Any => unreachable!("a type that one word says"),
            TextRule::Matches(pattern) => return self.named("matches", pattern),
            TextRule::Cron => "cron",
            TextRule::Cidr => "cidr",
            TextRule::Semver => "semver",
            TextRule::Path => "path",
            TextRule::Url => "url",
        };
        self.put("[");
        write_text(self.out, word);
    }

    fn around(&mut self, word: &str, of: &Type) -> Result<(), WireError> {
        self.put("[");
        write_text(self.out, word);
        self.put(",");
        self.ty(of)
    }

    fn named(&mut self, word: &str, name: &str) {
        self.put("[");
        write_text(self.out, word);
        self.put(",");
        write_text(self.out, name);
    }

    fn ends<T>(&mut self, bounds: &Bounds<T>, write: impl Fn(&mut Self, &T)) {
        for end in [&bounds.min, &bounds.max] {
            self.put(",");
            match end {
                None => self.put("null"),
                Some(end) => write(self, end),
            }
        }
    }

    fn title(&mut self, name: Option<&Name>) {
        match name {
            None => self.put("null"),
            Some(name) => write_text(self.out, name),
        }
    }

    /// `[name,{field:[type],field:[type,"absent"],field:[type,"default",value]}]`
    fn object(&mut self, object: &ObjectType) -> Result<(), WireError> {
        self.put("[");
        self.title(object.name.as_ref());
        self.put(",{");
        for (at, (name, field)) in object.fields.iter().enumerate() {
            self.comma(at);
            write_text(self.out, name);
            self.put(":[");
            self.ty(&field.ty)?;
            match &field.need {
                Need::Required => {}
                Need::Absent => self.put(",\"absent\""),
                Need::Default(value) => {
                    self.put(",\"default\",");
                    self.value(value)?;
                }
            }
            self.put("]");
        }
        self.put("}]");
        Ok(())
    }
}

impl Reader<'_, '_, '_> {
    pub fn ty(&mut self) -> Result<Type, WireError> {
        if self.peek() == Some(b'"') {
            let word = self.text()?;
            let known = WORDS.iter().find(|(known, _)| *known == word);
            return known.map(|(_, ty)| ty.clone()).ok_or_else(|| self.syntax("a type that this version knows"));
        }
        self.deeper(|r| r.complex())
    }

    fn complex(&mut self) -> Result<Type, WireError> {
        self.expect("[")?;
        let word = self.text()?;
        let ty = match &*word {
            "int" => Type::Int(self.ends(|r| r.number())?),
            "number" => Type::Number(self.ends(|r| r.parsed::<Decimal>())?),
            "cron" => Type::Text(TextRule::Cron),
            "cidr" => Type::Text(TextRule::Cidr),
            "semver" => Type::Text(TextRule::Semver),
            "path" => Type::Text(TextRule::Path),
            "url" => Type::Text(TextRule::Url),
            "condition" => Type::Condition,
            _ => {
                self.expect(",")?;
                self.with_payload(&word)?
            }
        };
        self.expect("]")?;
        Ok(ty)
    }

    fn with_payload(&mut self, word: &str) -> Result<Type, WireError> {
        Ok(match word {
            "matches" => Type::Text(TextRule::Matches(self.name()?)),
            "range" => Type::Range(Box::new(self.ty()?)),
            "list" => {
                let of = Box::new(self.ty()?);
                Type::List(of, self.ends(|r| r.parsed::<u64>())?)
            }
            "map" => Type::Map(Box::new(self.ty()?)),
            "set" => Type::Set(Box::new(self.ty()?)),
            "optional" => Type::Optional(Box::new(self.ty()?)),
            "secret" => Type::Secret(Box::new(self.ty()?)),
            "sensitive" => Type::Sensitive(Box::new(self.ty()?)),
            "metric" => Type::Metric(Box::new(self.ty()?)),
            "object" => Type::Object(Arc::new(self.object()?)),
            "literals" => {
                let mut values = Vec::new();
                self.list(|r| r.value().map(|value| values.push(value)))?;
                Type::Literals(Arc::new(values))
            }
            "variant" => {
                let name = self.title()?;
                self.expect(",")?;
                let mut cases = BTreeMap::new();
                self.entries(|r, label| {
                    let object = r.object()?;
                    cases.insert(label, Arc::new(object));
                    Ok(())
                })?;
                Type::Variant(Arc::new(VariantType { name, cases }))
            }
            "ref" => Type::Ref(self.name()?),
            "provider" => Type::Provider(self.name()?),
            "resource" => Type::Resource(self.name()?),
            _ => return Err(self.syntax("a type that this version knows")),
        })
    }

    fn ends<T>(&mut self, read: impl Fn(&mut Self) -> Result<T, WireError>) -> Result<Bounds<T>, WireError> {
        let mut end = || {
            self.expect(",")?;
            match self.peek() {
                Some(b'n') => self.expect("null").map(|()| None),
                _ => read(self).map(Some),
            }
        };
        Ok(Bounds { min: end()?, max: end()? })
    }

    fn parsed<T: std::str::FromStr>(&mut self) -> Result<T, WireError> {
        let text = self.text()?;
        text.parse().map_err(|_| self.syntax("a number"))
    }

    fn title(&mut self) -> Result<Option<Name>, WireError> {
        match self.peek() {
            Some(b'n') => self.expect("null").map(|()| None),
            _ => self.name().map(Some),
        }
    }

    fn object(&mut self) -> Result<ObjectType, WireError> {
        self.expect("[")?;
        let name = self.title()?;
        self.expect(",")?;
        let mut fields = BTreeMap::new();
        self.entries(|r, field| {
            r.expect("[")?;
            let ty = r.ty()?;
            let need = match r.took(",") {
                false => Need::Required,
                true => match &*r.text()? {
                    "absent" => Need::Absent,
                    "default" => {
                        r.expect(",")?;
                        Need::Default(r.value()?)
                    }
                    _ => return Err(r.syntax("whether the field is needed")),
                },
            };
            fields.insert(field, FieldType { ty, need });
            r.expect("]")
        })?;
        self.expect("]")?;
        Ok(ObjectType { fields, name })
    }

    /// `{…}`, each value by `entry`.
    fn entries(&mut self, mut entry: impl FnMut(&mut Self, Name) -> Result<(), WireError>) -> Result<(), WireError> {
        self.expect("{")?;
        if self.took("}") {
            return Ok(());
        }
        loop {
            let key = self.key()?;
            entry(self, key)?;
            if self.took("}") {
                return Ok(());
            }
            self.expect(",")?;
        }
    }
}
