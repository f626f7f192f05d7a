//! What is written otherwise in other languages, and is found only where names and types are known.

use super::Checker;
use super::context::{Cx, Typed};
use super::fit::{Fit, fit};
use crate::lang::resolve::near;
use crate::lang::syntax::tree::{self, Entry, EntryKind, ExprKind as K, Literal, StepKind};
use crate::model::{Code, Confidence, Data, Diagnostic, Edit, Span, Type, Value};

/// A field of `lifecycle`, as HCL calls it, and what it is called here.
const LIFECYCLE: &[(&str, &str)] = &[
    ("prevent_destroy", "protect"),
    ("ignore_changes", "ignore"),
    ("replace_triggered_by", "replace_on"),
    ("depends_on", "after"),
];

impl<'t> Checker<'t> {
    /// `var.region`, `each.key`, `data.fly.app.web`: what a reference begins with elsewhere.
    pub(super) fn say_habit_of_root(&mut self, cx: &Cx, name: &str, span: Span, steps: &'t [tree::Step]) -> bool {
        let field = |at: usize| match steps.get(at).map(|step| &step.kind) {
            Some(StepKind::Field { name, .. }) => Some(&*name.node),
            _ => None,
        };
        let Some(first) = field(0) else { return false };
        let to = span.to(steps[0].span);
        let unknown =
            |what: &str, label: &str, at: Span| Code::UnknownName.error(format!("there is no `{what}`")).label(at, label);
        let write = |diagnostic: Diagnostic, text: String, confidence, at: Span| {
            let words = format!("write `{text}`");
            diagnostic.help(words.clone()).fix(words, confidence, vec![Edit { span: at, text }])
        };
        let diagnostic = match name {
            "var" => {
                let known = self.visible_inputs(cx).iter().any(|input| &*input.name == first);
                let diagnostic = unknown(&format!("var.{first}"), "an input is written with `input.`", to);
                write(diagnostic, format!("input.{first}"), super::report::confidence(known), to)
            }
            "each" | "count" => {
                let diagnostic = unknown(&format!("{name}.{first}"), "a head names its variables", to);
                let local = match (&cx.locals[..], name, first) {
                    ([only], ..) => Some(only),
                    ([key, _], "each", "key") => Some(key),
                    ([_, value], "each", "value") => Some(value),
                    _ => None,
                };
                match local.filter(|_| cx.keyed) {
                    Some(local) => write(diagnostic, local.name.to_string(), Confidence::Sure, to),
                    None => diagnostic.help("write `for key, value in xs` in the head, then `key` and `value`"),
                }
            }
            "terraform" if first == "workspace" => write(
                unknown("terraform.workspace", "the environment's name is meant", to),
                "env.name".into(),
                Confidence::Sure,
                to,
            ),
            "environment" if matches!(first, "name" | "protect") => write(
                unknown(&format!("environment.{first}"), "is written `env`", to),
                format!("env.{first}"),
                Confidence::Sure,
                to,
            ),
            "path" if matches!(first, "module" | "root" | "cwd") => unknown(&format!("path.{first}"), "has no counterpart", to)
                .help("a path is looked for beside the file that holds it: leave this out"),
            "module" => unknown(&format!("module.{first}"), "a module is a component here", to)
                .help(format!("an instance is written with its kind: `kind.{first}`")),
            "data" => {
                let kind = self.resource_kind_of(first);
                let dotted = field(1).map(|second| format!("{first}.{second}")).filter(|it| self.schemas.kind(it).is_some());
                match (kind, dotted) {
                    (Some(kind), _) => {
                        write(unknown(&format!("data.{first}"), "is written without `data.`", to), kind, Confidence::Sure, to)
                    }
                    (None, Some(_)) => write(
                        unknown(&format!("data.{first}"), "is written without `data.`", to),
                        first.to_owned(),
                        Confidence::Sure,
                        to,
                    ),
                    _ => return false,
                }
            }
            _ => match self.resource_kind_of(name) {
                Some(kind) => write(unknown(name, "a kind is written with a dot", span), kind, Confidence::Sure, span),
                None => return false,
            },
        };
        self.say(diagnostic);
        true
    }

    /// `fly.app` of `fly_app`.
    fn resource_kind_of(&self, name: &str) -> Option<String> {
        let (provider, kind) = name.split_once('_')?;
        let dotted = format!("{provider}.{kind}");
        self.schemas.kind(&dotted).map(|_| dotted)
    }

    /// `local.name`, where a `let` is called so.
    pub(super) fn say_habit_of_local(&mut self, cx: &mut Cx, field: &tree::Name, span: Span) -> bool {
        if self.variable(cx, &field.node, field.span).is_none() {
            return false;
        }
        let diagnostic = Code::UnknownName
            .error(format!("there is no `local.{}`", field.node))
            .label(span, "a `let` is written by its name alone")
            .help(format!("write `{}`", field.node))
            .fix(format!("write `{}`", field.node), Confidence::Sure, vec![Edit { span, text: field.node.to_string() }]);
        self.say(diagnostic);
        true
    }

    /// `env.HOME`: a variable of the environment.
    pub(super) fn say_habit_of_env(&mut self, name: &str, span: Span) -> bool {
        if !name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') {
            return false;
        }
        let text = format!("env_var(\"{name}\")");
        let diagnostic = Code::UnknownName
            .error(format!("there is no `env.{name}`"))
            .label(span, "`env` is the environment of the stack")
            .help(format!("write `{text}`"))
            .fix(format!("write `{text}`"), Confidence::Sure, vec![Edit { span, text }]);
        self.say(diagnostic);
        true
    }

    /// `True`, `yes`, `None`: words that stand for a value elsewhere.
    pub(super) fn say_habit_of_word(&mut self, name: &str, span: Span) -> bool {
        let (text, confidence) = match name {
            "True" | "TRUE" => ("true", Confidence::Sure),
            "False" | "FALSE" => ("false", Confidence::Sure),
            "None" | "nil" | "undefined" | "NULL" | "Null" => ("null", Confidence::Sure),
            "yes" => ("true", Confidence::Maybe),
            "no" => ("false", Confidence::Maybe),
            _ => return false,
        };
        let diagnostic = Code::UnknownName
            .error(format!("there is no `{name}`"))
            .label(span, "written otherwise here")
            .help(format!("write `{text}`"))
            .fix(format!("write `{text}`"), confidence, vec![Edit { span, text: text.into() }]);
        self.say(diagnostic);
        true
    }

    /// Fields that other languages have in every resource: `count`, `for_each`, `depends_on`, `provider`. Whether it was one.
    pub(super) fn say_habit_of_item(&mut self, cx: &mut Cx, entry: &'t Entry, body: &'t tree::Body, who: &str) -> bool {
        let (name, value) = match &entry.kind {
            EntryKind::Field { key, value } => match key.text() {
                Some(name) => (name, Some(value)),
                None => return false,
            },
            EntryKind::Block(block) => (&block.name, None),
            _ => return false,
        };
        let head = self.head_text(body);
        let bare = head.split_whitespace().all(|word| !matches!(word, "for" | "if" | "on" | "in"));
        let unknown = |label: &str, help: &str| {
            Code::UnknownField.error(format!("{who} has no field `{}`", name.node)).label(name.span, label).help(help)
        };
        let move_to_head = |checker: &Self, diagnostic: Diagnostic, text: String, sure: bool| {
            let edits = vec![
                Edit { span: Span { end: body.span.start, ..body.span }, text: format!("{text} ") },
                Edit { span: checker.whole_entry(entry, body), text: String::new() },
            ];
            diagnostic.fix(format!("write `{text}` in its head"), super::report::confidence(sure), edits)
        };
        let diagnostic = match (&*name.node, value) {
            ("count", Some(value)) => {
                let (text, help) = match &value.kind {
                    K::If { branches, otherwise } => match (&branches[..], &otherwise.kind) {
                        ([(cond, one)], K::Literal(Literal::Int(0))) if matches!(one.kind, K::Literal(Literal::Int(1))) => (
                            format!("if {}", self.text(cond.span)),
                            "an instance that is there or not is written `if COND` in its head",
                        ),
                        _ => (format!("for i in count({})", self.text(value.span)), COUNT),
                    },
                    _ => (format!("for i in count({})", self.text(value.span)), COUNT),
                };
                move_to_head(self, unknown("instances are made in the head", help), text, bare)
            }
            ("for_each", Some(value)) => {
                let of = self.quietly(|it| it.infer(cx, value)).ty;
                let variables = match of.bare() {
                    Type::List(..) | Type::Set(_) => "value",
                    _ => "key, value",
                };
                let diagnostic =
                    unknown("instances are made in the head", "write `for key, value in xs` in its head, then `key` and `value`");
                move_to_head(self, diagnostic, format!("for {variables} in {}", self.text(value.span)), bare)
            }
            ("provider", Some(value)) => {
                let diagnostic = unknown("where it goes is said in the head", "write `on NAME` in its head");
                move_to_head(self, diagnostic, format!("on {}", self.text(value.span)), bare && value.as_name().is_some())
            }
            ("depends_on", Some(value)) => {
                let lifecycle = body.entries.iter().find_map(|it| match &it.kind {
                    EntryKind::Block(block) if super::blocks::is_lifecycle(block) => Some(&block.body),
                    _ => None,
                });
                let text = format!("after = {}", self.text(value.span));
                let edits = match lifecycle {
                    None => vec![Edit { span: entry.span, text: format!("lifecycle {{ {text} }}") }],
                    Some(inside) => {
                        let behind = Span { start: inside.span.start + 1, end: inside.span.start + 1, ..inside.span };
                        let one_line = !self.text(inside.span).contains('\n') && !inside.entries.is_empty();
                        vec![
                            Edit { span: behind, text: format!(" {text}{}", if one_line { "," } else { "" }) },
                            Edit { span: self.whole_entry(entry, body), text: String::new() },
                        ]
                    }
                };
                let diagnostic = unknown("order is said in `lifecycle`", "write `lifecycle { after = [database.main] }`");
                diagnostic.fix("write it in `lifecycle`", Confidence::Sure, edits)
            }
            ("dynamic", None) => {
                unknown("blocks are repeated by their heads", "write such as `services for key, value in xs { … }`")
            }
            _ => return false,
        };
        self.say(diagnostic);
        true
    }

    /// What stands on the line before the braces of a body.
    fn head_text(&self, body: &tree::Body) -> &str {
        let Some(source) = self.sources.get(body.span.source) else { return "" };
        let before = &source.text[..body.span.start as usize];
        &before[before.rfind('\n').map_or(0, |at| at + 1)..]
    }

    /// An entry with the line that it stands on, or with its comma.
    fn whole_entry(&self, entry: &Entry, body: &tree::Body) -> Span {
        let Some(source) = self.sources.get(entry.span.source) else { return entry.span };
        let text = &source.text[..(body.span.end as usize).min(source.text.len())];
        let (mut start, mut end) = (entry.span.start as usize, entry.span.end as usize);
        let blanks = |text: &str| text.len() - text.trim_start_matches([' ', '\t']).len();
        end += blanks(&text[end..]);
        if text[end..].starts_with(',') {
            end += 1;
            end += blanks(&text[end..]);
        }
        let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
        if text[line..start].trim().is_empty() && text[end..].starts_with('\n') {
            (start, end) = (line, end + 1);
        }
        Span::new(entry.span.source, start, end)
    }

    /// A field of `lifecycle` that HCL calls otherwise.
    pub(super) fn say_habit_of_lifecycle(&mut self, name: &tree::Name, value: &tree::Expr) -> bool {
        let unknown = Code::UnknownField.error(format!("`lifecycle` has no field `{}`", name.node));
        let (text, edits) = match &*name.node {
            "create_before_destroy" => {
                let text = "replace = \"create_first\"".to_owned();
                let sure = matches!(value.kind, K::Literal(Literal::Bool(true)));
                (text.clone(), sure.then(|| vec![Edit { span: name.span.to(value.span), text }]))
            }
            other => match LIFECYCLE.iter().find(|(theirs, _)| *theirs == other) {
                Some((_, ours)) => ((*ours).to_owned(), Some(vec![Edit { span: name.span, text: (*ours).into() }])),
                None => return false,
            },
        };
        let diagnostic = unknown.label(name.span, "called otherwise here").help(format!("write `{text}`"));
        let diagnostic = match edits {
            Some(edits) => diagnostic.fix(format!("write `{text}`"), Confidence::Sure, edits),
            None => diagnostic,
        };
        self.say(diagnostic);
        true
    }

    /// How a value of the wrong type would be written with the right one, and whether that is sure.
    pub(super) fn written_as(&self, from: &Type, want: &Type, span: Span) -> Option<(String, Confidence)> {
        let text = self.text(span);
        let inside = text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
        let whole =
            inside.and_then(|it| it.strip_prefix("${")?.strip_suffix('}')).filter(|it| !it.contains(['$', '"', '{', '}']));
        if let Some(value) = whole {
            return Some((value.to_owned(), Confidence::Sure));
        }
        match (from, want) {
            (Type::Text(_) | Type::Literals(_), _) => self.unquoted(inside?, want),
            (Type::Int(_), Type::Bool) => match text {
                "1" => Some(("true".into(), Confidence::Maybe)),
                "0" => Some(("false".into(), Confidence::Maybe)),
                _ => None,
            },
            (Type::Int(_), Type::Duration) => is_number(text).then(|| (format!("{text}s"), Confidence::Maybe)),
            (Type::Int(_), Type::Size) => is_number(text).then(|| (format!("{text}MiB"), Confidence::Maybe)),
            (Type::Int(_) | Type::Number(_), Type::Percent) => is_number(text).then(|| (format!("{text}%"), Confidence::Maybe)),
            (Type::List(..), Type::Range(_)) => {
                let (min, max) = text.strip_prefix('[')?.strip_suffix(']')?.split_once(',')?;
                let (min, max) = (min.trim(), max.trim());
                (is_number(min) && is_number(max)).then(|| (format!("{min}..{max}"), Confidence::Maybe))
            }
            _ => None,
        }
    }

    /// What stands in quotes and needs none.
    fn unquoted(&self, inside: &str, want: &Type) -> Option<(String, Confidence)> {
        let sure = |text: String| Some((text, Confidence::Sure));
        match want {
            Type::Provider(_) => self.provider_value(inside, Span::ENGINE).and_then(|_| sure(inside.to_owned())),
            Type::Variant(variant) => variant.cases.contains_key(inside).then(|| inside.to_owned()).and_then(sure),
            Type::Range(_) => {
                let (min, max) =
                    inside.split_once("..").or_else(|| inside.split_once('-')).or_else(|| inside.split_once(".."))?;
                (is_number(min) && is_number(max)).then(|| (format!("{min}..{max}"), Confidence::Maybe))
            }
            Type::Ref(_) | Type::Text(_) | Type::List(..) | Type::Map(_) | Type::Object(_) | Type::Condition | Type::Any => None,
            _ => {
                let value = crate::lang::literal(inside, Span::ENGINE).ok()?;
                let is = match &value.data {
                    Data::Bool(_) => Type::Bool,
                    Data::Int(_) => Type::INT,
                    Data::Number(_) => Type::NUMBER,
                    Data::Duration(_) => Type::Duration,
                    Data::Size(_) => Type::Size,
                    Data::Percent(_) => Type::Percent,
                    Data::Rate(_) => Type::Rate,
                    Data::Money(..) => Type::Money,
                    Data::Instant(_) => Type::Instant,
                    _ => return None,
                };
                (fit(&is, want) <= Fit::Convert).then(|| inside.to_owned()).and_then(sure)
            }
        }
    }

    /// A name, in quotes or alone, of an instance of the kind that is wanted.
    pub(super) fn instance_called(&self, cx: &Cx, name: &str, want: &Type) -> Option<String> {
        let Type::Ref(kind) = want.bare() else { return None };
        let short = kind.rsplit('/').next().unwrap_or(kind);
        self.tables.items_of(cx.scope, short).iter().any(|(it, _)| *it == name).then(|| format!("{short}.{name}"))
    }

    /// Adds to what was said of a bare name what it would be where a text, or a reference, is wanted.
    pub(super) fn bare_word(&mut self, cx: &Cx, name: &str, span: Span, want: &Type) {
        let instance = self.instance_called(cx, name, want);
        let text = matches!(want.bare(), Type::Text(_)).then(|| Value::text(name).to_literal());
        let (text, confidence) = match (instance, text) {
            (Some(text), _) => (text, Confidence::Sure),
            (None, Some(text)) => (text, Confidence::Maybe),
            (None, None) => return,
        };
        if self.quiet > 0 {
            return;
        }
        if let Some(last) = self.diagnostics.last_mut()
            && last.code == Code::UnknownName
            && last.span() == Some(span)
            && last.help.is_empty()
        {
            last.labels[0].1 =
                if confidence == Confidence::Sure { "is written with its kind" } else { "a string has quotes" }.into();
            last.help.push(format!("write `{text}`"));
            last.fixes.push(crate::model::Fix { title: format!("write `{text}`"), confidence, edits: vec![Edit { span, text }] });
        }
    }

    /// `"a" + b`: how two strings are joined.
    pub(super) fn as_one_text(&self, left: &Typed, right: &Typed) -> Option<Vec<Edit>> {
        let text = |it: &Typed| matches!(it.ty.bare(), Type::Text(_));
        if !text(left) || !text(right) {
            return None;
        }
        let (a, b) = (self.piece(left.expr.span)?, self.piece(right.expr.span)?);
        Some(vec![Edit { span: left.expr.span.to(right.expr.span), text: format!("\"{a}{b}\"") }])
    }

    /// A value as a part of a string.
    fn piece(&self, span: Span) -> Option<String> {
        let text = self.text(span);
        match text.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
            Some(inside) if !text.starts_with("\"\"\"") => Some(inside.to_owned()),
            _ if text.contains(['\n', '"']) || text.is_empty() => None,
            _ => Some(format!("${{{text}}}")),
        }
    }

    /// A name that was probably meant, with a fix as sure as the name is near.
    #[allow(clippy::result_large_err, reason = "nothing fails: both are what is said")]
    pub(super) fn with_near<'n>(
        diagnostic: Diagnostic,
        name: &str,
        span: Span,
        known: impl IntoIterator<Item = &'n str>,
    ) -> Result<Diagnostic, Diagnostic> {
        match near(name, known) {
            None => Err(diagnostic),
            Some(near) => Ok(diagnostic.help(format!("write `{}`", near.name)).fix(
                format!("write `{}`", near.name),
                super::report::confidence(near.sure),
                vec![Edit { span, text: near.name.to_owned() }],
            )),
        }
    }
}

const COUNT: &str = "write `for i in count(n)` in its head, then `i`";

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// How HCL calls a function, and how it is called here; whether it does the same thing with the same arguments.
pub fn function(name: &str) -> Option<(&'static str, bool)> {
    Some(match name {
        "env" | "getenv" | "get_env" | "environ" => ("env_var", true),
        "toset" | "uniq" | "unique" => ("distinct", true),
        "tostring" | "str" => ("text", false),
        "nonsensitive" => ("reveal", false),
        "tobool" => ("parse_bool", true),
        "tonumber" => ("parse_number", true),
        "log" | "sqrt" => ("pow", false),
        "range" => ("count", false),
        "size" | "len" => ("length", true),
        "templatefile" => ("template", true),
        _ => {
            // Most are the same words with `_` between them.
            let builtins = crate::eval::builtins::ALL;
            let same = builtins.iter().find(|it| it.name.contains('_') && it.name.replace('_', "") == name)?;
            (same.name, true)
        }
    })
}

/// The type that is called so elsewhere.
pub fn type_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "str" | "text" | "String" => "string",
        "boolean" | "Bool" | "Boolean" => "bool",
        "integer" | "Int" | "Integer" => "int",
        "float" | "double" | "decimal" | "Number" => "number",
        "bytes" => "size",
        "array" | "List" => "list",
        "dict" | "Map" => "map",
        _ => return None,
    })
}
