//! Types and places in words.

use crate::model::{Name, Span, Type, Value};

/// What kind of thing a type's values are, with its article: `a duration`, `a list`, `one of "a" and "b"`.
pub fn noun(ty: &Type) -> String {
    match ty {
        Type::Poison => "a value".into(),
        Type::Any => "any JSON value".into(),
        Type::Null => "null".into(),
        Type::Bool => "a bool".into(),
        Type::Int(_) => "an int".into(),
        Type::Number(_) => "a number".into(),
        Type::Text(rule) => match rule {
            crate::model::types::TextRule::Any | crate::model::types::TextRule::Matches(_) => "a string".into(),
            _ => format!("a {ty}"),
        },
        Type::Duration => "a duration".into(),
        Type::Size => "a size".into(),
        Type::Percent => "a percent".into(),
        Type::Rate => "a rate".into(),
        Type::Money => "an amount of money".into(),
        Type::Instant => "an instant".into(),
        Type::Range(of) => format!("a range of {}", plural(of)),
        Type::List(of, _) => format!("a list of {}", plural(of)),
        Type::Set(of) => format!("a set of {}", plural(of)),
        Type::Map(of) => format!("a map of {}", plural(of)),
        Type::Object(object) => match &object.name {
            Some(name) => format!("a `{name}`"),
            None => "an object".into(),
        },
        Type::Literals(values) => one_of(values),
        Type::Variant(variant) => format!("one of {}", listed(variant.cases.keys().map(|it| &**it))),
        Type::Optional(of) => format!("{} or null", noun(of)),
        Type::Secret(of) => format!("a secret {}", bare_noun(of)),
        Type::Sensitive(of) => noun(of),
        Type::Ref(kind) => format!("a reference to {} `{kind}`", article(kind)),
        Type::Provider(name) if name.is_empty() => "a provider instance".into(),
        Type::Provider(name) => format!("a provider instance of `{name}`"),
        Type::Metric(_) => "a metric".into(),
        Type::Condition => "a condition".into(),
        Type::Resource(kind) => format!("the resource `{kind}`"),
    }
}

/// `an` before a vowel.
pub fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn bare_noun(ty: &Type) -> String {
    let noun = noun(ty);
    noun.strip_prefix("a ").or_else(|| noun.strip_prefix("an ")).unwrap_or(&noun).into()
}

fn plural(ty: &Type) -> String {
    match ty {
        Type::Poison | Type::Any => "anything".into(),
        Type::Optional(of) => plural(of),
        Type::Secret(of) => format!("secret {}", plural(of)),
        Type::Sensitive(of) => plural(of),
        Type::Range(_) => "ranges".into(),
        Type::List(..) | Type::Set(_) => "lists".into(),
        Type::Map(_) => "maps".into(),
        Type::Money => "amounts of money".into(),
        Type::Object(object) if object.name.is_none() => "objects".into(),
        Type::Ref(kind) => format!("references to `{kind}`"),
        Type::Provider(_) => "provider instances".into(),
        Type::Literals(values) => one_of(values),
        Type::Variant(_) => "variants".into(),
        other => {
            let noun = bare_noun(other);
            format!("{noun}s")
        }
    }
}

fn one_of(values: &[Value]) -> String {
    match values {
        [only] => only.to_literal(),
        _ => {
            let (last, first) = values.split_last().expect("a union has members");
            let first: Vec<_> = first.iter().map(Value::to_literal).collect();
            format!("{} or {}", first.join(", "), last.to_literal())
        }
    }
}

/// Names in backquotes with commas.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// How values of the type are written: `10s, 5m, 1h30m`; `None` where the noun says enough.
pub fn examples(ty: &Type) -> Option<&'static str> {
    use crate::model::types::TextRule;
    Some(match ty {
        Type::Duration => "10s, 5m, 1h30m",
        Type::Size => "512B, 256MiB, 20GiB",
        Type::Percent => "5%, 0.1%",
        Type::Rate => "100/s, 5/m, 10/h",
        Type::Money => "200USD, 15.50EUR",
        Type::Instant => "@2026-11-22T06:00Z",
        Type::Range(_) => "2..10",
        Type::Text(TextRule::Cron) => "\"0 3 * * *\"",
        Type::Text(TextRule::Cidr) => "\"10.0.0.0/16\"",
        Type::Text(TextRule::Semver) => "\"1.2.3\"",
        Type::Text(TextRule::Path) => "\"api/src\"",
        Type::Text(TextRule::Url) => "\"https://example.com\"",
        Type::Condition => "service.api.error_rate > 1%",
        Type::Optional(of) | Type::Sensitive(of) | Type::Secret(of) => return examples(of),
        _ => return None,
    })
}

/// Source text in backquotes, if it is short; else `this`.
pub fn quoted(text: &str) -> String {
    let fits = text.chars().count() <= 40 && !text.contains('\n') && !text.contains('`') && !text.is_empty();
    if fits { format!("`{text}`") } else { "this".into() }
}

/// Whose value it is, for messages. Built on the way down, put into words only when something is wrong.
#[derive(Clone, Copy)]
pub struct At<'a> {
    pub what: AtWhat<'a>,
    pub outer: Option<&'a At<'a>>,
    /// Where it is declared.
    pub declared: Option<Span>,
}

#[derive(Clone, Copy)]
pub enum AtWhat<'a> {
    /// A field of a block or object, an attribute, an input.
    Field(&'a str),
    /// An entry of a map.
    Entry(&'a str),
    Element,
    Output(&'a str),
    Let(&'a str),
    Argument {
        function: &'a str,
        name: &'a str,
    },
    /// `the default of `x``, `a condition`, and other places that have no name of their own.
    Place(&'a str),
}

impl<'a> At<'a> {
    pub fn place(words: &'a str) -> At<'a> {
        At { what: AtWhat::Place(words), outer: None, declared: None }
    }

    pub fn field(name: &'a str, declared: Option<Span>) -> At<'a> {
        At { what: AtWhat::Field(name), outer: None, declared }
    }

    pub fn element(&'a self) -> At<'a> {
        At { what: AtWhat::Element, outer: Some(self), declared: self.declared }
    }

    pub fn entry(&'a self, name: &'a str) -> At<'a> {
        At { what: AtWhat::Entry(name), outer: Some(self), declared: self.declared }
    }

    /// `health.every`, `output dsn`: without quotes.
    fn path(&self) -> Option<String> {
        match self.what {
            AtWhat::Field(name) | AtWhat::Entry(name) => Some(match self.outer.and_then(|outer| outer.path()) {
                Some(outer) => format!("{outer}.{name}"),
                None => name.to_owned(),
            }),
            AtWhat::Element => self.outer.and_then(|outer| outer.path()),
            _ => None,
        }
    }

    /// `` `health.every` ``, `` output `dsn` ``, `` an element of `command` ``.
    pub fn words(&self) -> String {
        match self.what {
            AtWhat::Field(_) | AtWhat::Entry(_) => format!("`{}`", self.path().unwrap_or_default()),
            AtWhat::Element => match self.outer {
                Some(outer) => match outer.what {
                    AtWhat::Element => outer.words(),
                    _ => format!("an element of {}", outer.words()),
                },
                None => "an element".into(),
            },
            AtWhat::Output(name) => format!("output `{name}`"),
            AtWhat::Let(name) => format!("`{name}`"),
            AtWhat::Argument { function, name } => format!("`{name}` of `{function}`"),
            AtWhat::Place(words) => words.into(),
        }
    }

    /// The outermost name: the output, field or argument that a value goes to.
    pub fn sink(&self) -> Option<Name> {
        match self.what {
            AtWhat::Output(name) => Some(format!("output.{name}").into()),
            AtWhat::Field(_) | AtWhat::Entry(_) | AtWhat::Element => self.path().map(Into::into),
            AtWhat::Let(name) => Some(name.into()),
            AtWhat::Argument { name, .. } => Some(name.into()),
            AtWhat::Place(_) => None,
        }
    }
}
