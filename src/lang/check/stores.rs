//! `state`: which store keeps the stack's state.
//!
//! It is needed before anything else is known, also by commands that take no inputs: so it may say constants and `env.name`.
//! Credentials have no place in it.

use std::sync::Arc;

use super::Checker;
use super::taint::children;
use crate::eval;
use crate::lang::resolve::ScopeId;
use crate::model::expr::{Expr, ExprKind, Reference};
use crate::model::types::{FieldType, Need, ObjectType, VariantType};
use crate::model::{Code, Data, Name, Span, Type};

/// The stores that `state` may name, with their fields.
pub(super) fn state_type() -> Type {
    let may = |ty: Type| FieldType { ty, need: Need::Absent };
    let must = |ty: Type| FieldType { ty, need: Need::Required };
    let text = || Type::TEXT;
    let case = |fields: Vec<(&str, FieldType)>| {
        let fields = fields.into_iter().map(|(name, field)| (Name::from(name), field)).collect();
        Arc::new(ObjectType { fields, name: None })
    };
    let cases = [
        ("local", case(vec![])),
        ("postgres", case(vec![("url", may(text())), ("schema", may(text()))])),
        (
            "s3",
            case(vec![
                ("bucket", must(text())),
                ("prefix", may(text())),
                ("region", may(text())),
                ("endpoint", may(text())),
                ("path_style", may(Type::Bool)),
            ]),
        ),
    ];
    let cases = cases.into_iter().map(|(name, case)| (Name::from(name), case)).collect();
    Type::Variant(Arc::new(VariantType { name: None, cases }))
}

impl Checker<'_> {
    pub(super) fn check_state(&mut self, scope: ScopeId, value: &Expr) {
        self.check_early(scope, value, "state", "where the state is has to be known before anything else");
        let mut urls = Vec::new();
        written_urls(value, &mut urls);
        for (url, span) in urls {
            if holds_password(&url) {
                let diagnostic = Code::SecretShown
                    .error("the address of the state's store would show a password")
                    .label(span, "everybody who reads the program reads it")
                    .help("leave the password out, and give the whole address in the variable STACKWRIGHT_STATE_URL, or the password in PGPASSWORD");
                self.say(diagnostic);
            }
        }
    }

    /// Refuses what is not there before the program has been expanded.
    pub(super) fn check_early(&mut self, scope: ScopeId, value: &Expr, setting: &str, why: &str) {
        if let Some((read, span)) = self.not_early(scope, value, 0) {
            let diagnostic = Code::TooLate
                .error(format!("`{setting}` cannot read {read}"))
                .label(span, why)
                .help("use constants and `env.name`");
            self.say(diagnostic);
        }
    }

    /// What an expression reads that is not there before the program has been expanded.
    fn not_early(&self, scope: ScopeId, expr: &Expr, depth: u32) -> Option<(String, Span)> {
        let found = |what: &str| Some((what.to_owned(), expr.span));
        match &expr.kind {
            ExprKind::Name(Reference::Env(field)) if **field == *"name" => None,
            ExprKind::Name(Reference::Stack(_)) => None,
            ExprKind::Name(Reference::Let(place, name)) if depth < 30 => {
                let id = self.tables.let_of(scope, *place, name)?;
                let value = self.lets[id.at()].done()?;
                let (what, _) = self.not_early(self.tables.lets[id.at()].scope, &value.value.value, depth + 1)?;
                Some((format!("`{name}`, which reads {what}"), expr.span))
            }
            ExprKind::Name(reference) => match reference {
                Reference::Env(field) => Some((format!("`env.{field}`"), expr.span)),
                Reference::Input(name) => Some((format!("`input.{name}`"), expr.span)),
                Reference::Secret { name, .. } => Some((format!("`secret.{name}`"), expr.span)),
                Reference::Instance { kind, name } | Reference::Resource { kind, name } => {
                    Some((format!("`{kind}.{name}`"), expr.span))
                }
                _ => found("this"),
            },
            ExprKind::Member { .. } => found("what an instance gives out"),
            ExprKind::Builtin(builtin, _) if eval::builtins::get(builtin).is_some_and(|def| def.reads || def.reveals) => {
                found("files or variables")
            }
            _ => {
                let mut first = None;
                children(expr, &mut |child| {
                    if first.is_none() {
                        first = self.not_early(scope, child, depth);
                    }
                });
                first
            }
        }
    }
}

/// Texts that are written in the place of `url`.
fn written_urls(expr: &Expr, found: &mut Vec<(String, Span)>) {
    if let ExprKind::Literal(value) = &expr.kind {
        if let Data::Variant(_, fields) = &value.data
            && let Some(url) = fields.get("url").and_then(|url| url.as_text())
        {
            found.push((url.to_owned(), expr.span));
        } else if let Some(text) = value.as_text().filter(|text| text.contains("://")) {
            found.push((text.to_owned(), expr.span));
        }
    }
    children(expr, &mut |child| written_urls(child, found));
}

/// Whether the text is the address of a server with a password in it.
fn holds_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let in_authority = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    let in_query = rest.split_once('?').is_some_and(|(_, query)| query.split('&').any(|it| it.starts_with("password=")));
    in_authority || in_query
}
