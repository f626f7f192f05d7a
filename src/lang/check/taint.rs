//! Where a secret comes from that a place would show.

use super::Checker;
use super::describe::{At, AtWhat};
use super::fit::holds_secret;
use crate::lang::resolve::ScopeId;
use crate::model::expr::Scope as LetPlace;
use crate::model::expr::{Expr, ExprKind, ForClause, ListPart, MapPart, Member, Reference};
use crate::model::{Code, Name, Span, Type};

impl<'t> Checker<'t> {
    /// A secret would end where it is shown.
    pub(super) fn say_secret_shown(&mut self, expr: Option<&Expr>, ty: &Type, at: &At<'_>, span: Span) {
        if self.quiet > 0 {
            return;
        }
        let shown = match ty {
            Type::Secret(_) | Type::Optional(_) => ty.clone(),
            Type::Sensitive(of) => super::fit::secret((**of).clone()),
            other => other.clone(),
        };
        let mut diagnostic =
            Code::SecretShown.error(format!("{} would show a secret", at.words())).label(span, shown.to_string());
        let source = expr.and_then(|expr| self.secret_path(expr, None, None, 0));
        if let Some(mut path) = source {
            path.extend(at.sink().map(|sink| sink.to_string()));
            diagnostic = diagnostic.fact("path", path.join(" -> "));
        }
        let plain = expr.and_then(|expr| self.plain_neighbour(expr));
        diagnostic = match (at.what, plain) {
            (AtWhat::Output(name), Some(plain)) => {
                diagnostic.help(format!("declare `output {name}: {shown}`, or give out `{plain}`"))
            }
            (AtWhat::Output(name), None) => diagnostic.help(format!("declare `output {name}: {shown}`")),
            (_, Some(plain)) => diagnostic.help(format!("give `{plain}` instead, or `reveal(x, \"reason\")`, which is recorded")),
            (_, None) => diagnostic.help("`reveal(x, \"reason\")` is the only way out, and it is recorded"),
        };
        self.say(diagnostic);
    }

    /// The steps from a secret to what the expression gives. `inside` is the instance whose component the expression belongs to.
    fn secret_path(&self, expr: &Expr, scope: Option<ScopeId>, inside: Option<&str>, depth: u32) -> Option<Vec<String>> {
        if depth > 40 {
            return None;
        }
        let within = |name: &str, else_: String| match inside {
            Some(instance) => format!("{instance}.{name}"),
            None => else_,
        };
        match &expr.kind {
            ExprKind::Name(Reference::Secret { name, .. }) => Some(vec![within(name, format!("secret.{name}"))]),
            ExprKind::Name(Reference::Input(name)) => match inside {
                Some(_) => None,
                None => {
                    let ty = self.inputs.iter().find(|input| input.name == *name).map(|input| input.ty.clone());
                    let secret = ty.is_none_or(|ty| holds_secret(&ty));
                    secret.then(|| vec![format!("input.{name}")])
                }
            },
            ExprKind::Name(Reference::Let(place, name)) => {
                let id = match (scope, place) {
                    (Some(scope), place) => self.tables.let_of(scope, *place, name)?,
                    (None, LetPlace::Import(at)) => {
                        let scope = self.tables.directories.get(*at as usize)?.scope?;
                        self.tables.find_let(scope, name)?
                    }
                    (None, _) => self.let_named(name, expr.span)?,
                };
                let value = self.lets[id.at()].done()?;
                if !holds_secret(&value.ty) {
                    return None;
                }
                let mut path = self.secret_path(&value.value.value, Some(self.tables.lets[id.at()].scope), inside, depth + 1)?;
                path.push(name.to_string());
                Some(path)
            }
            ExprKind::Name(Reference::ProviderField(name)) => Some(vec![format!("provider.{name}")]),
            ExprKind::Member { of, member: Member::Output(output), .. } => {
                let (kind, name) = instance_of(of)?;
                let instance = format!("{kind}.{name}");
                let id = self.kind_id(kind)?;
                let types = &self.kinds[id.at()];
                let secret = types.outputs.get(output).is_some_and(|it| holds_secret(&it.ty));
                if !secret {
                    return None;
                }
                let scope = self.tables.kinds[id.at()].scope;
                let mut path = types
                    .values
                    .iter()
                    .filter(|(name, _)| name == output)
                    .find_map(|(_, value)| self.secret_path(value, Some(scope), Some(&instance), depth + 1))
                    .unwrap_or_default();
                path.push(format!("{instance}.{output}"));
                Some(path)
            }
            ExprKind::Field { of, name, .. } => {
                if let ExprKind::Name(Reference::Resource { kind, name: resource }) = &of.kind {
                    let sensitive = self.schemas.kind(kind)?.attribute(name)?.sensitive;
                    return sensitive.then(|| vec![format!("{kind}.{resource}.{name}")]);
                }
                self.secret_path(of, scope, inside, depth + 1)
            }
            _ => {
                let mut found = None;
                children(expr, &mut |child| {
                    if found.is_none() {
                        found = self.secret_path(child, scope, inside, depth + 1);
                    }
                });
                found
            }
        }
    }

    /// The let of that name, nearest to a place.
    fn let_named(&self, name: &str, used: Span) -> Option<crate::lang::resolve::LetId> {
        let of_file = self.tables.lets.iter().position(|it| &*it.ast.name.node == name && it.span.source == used.source);
        let at = of_file.or_else(|| self.tables.lets.iter().position(|it| &*it.ast.name.node == name))?;
        Some(crate::lang::resolve::LetId(at as u32))
    }

    /// An output of the same instance that says where, and no secret.
    fn plain_neighbour(&self, expr: &Expr) -> Option<String> {
        let ExprKind::Member { of, member: Member::Output(_), .. } = &expr.kind else { return None };
        let (kind, name) = instance_of(of)?;
        let types = &self.kinds[self.kind_id(kind)?.at()];
        let plain = |name: &str| types.outputs.get(name).is_some_and(|it| it.cond.is_none() && !holds_secret(&it.ty));
        ["host", "name", "endpoint"].into_iter().find(|it| plain(it)).map(|it| format!("{kind}.{name}.{it}"))
    }
}

/// The instance that an expression names, if it names one by itself.
pub(super) fn instance_of(expr: &Expr) -> Option<(&Name, &Name)> {
    match &expr.kind {
        ExprKind::Name(Reference::Instance { kind, name }) => Some((kind, name)),
        ExprKind::Index { of, .. } => instance_of(of),
        _ => None,
    }
}

/// Calls `each` with every direct part of an expression.
pub(super) fn children<'e>(expr: &'e Expr, each: &mut dyn FnMut(&'e Expr)) {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Local(_) | ExprKind::Name(_) => {}
        ExprKind::Text(parts) => parts.iter().for_each(each),
        ExprKind::Promql { values, .. } => values.iter().for_each(each),
        ExprKind::Field { of, .. } => each(of),
        ExprKind::Index { of, key, .. } => {
            each(of);
            each(key);
        }
        ExprKind::Member { of, member, .. } => {
            each(of);
            if let Member::Signal(_, Some(argument)) | Member::Reaches(argument) = member {
                each(argument);
            }
        }
        ExprKind::Unary(_, a) | ExprKind::Convert(a, _) | ExprKind::Variant(_, a) => each(a),
        ExprKind::Binary(_, a, b) => {
            each(a);
            each(b);
        }
        ExprKind::If(a, b, c) => {
            each(a);
            each(b);
            each(c);
        }
        ExprKind::Match(of, arms) => {
            each(of);
            arms.iter().for_each(|(_, arm)| each(arm));
        }
        ExprKind::List(parts) => parts.iter().for_each(|part| match part {
            ListPart::Item(it) | ListPart::Spread(it) => each(it),
        }),
        ExprKind::Map(parts) => parts.iter().for_each(|part| match part {
            MapPart::Entry(_, it) | MapPart::Spread(it) => each(it),
            MapPart::Computed(key, it) => {
                each(key);
                each(it);
            }
        }),
        ExprKind::ForList { clauses, item } => {
            in_clauses(clauses, each);
            each(item);
        }
        ExprKind::ForMap { clauses, key, value } => {
            in_clauses(clauses, each);
            each(key);
            each(value);
        }
        ExprKind::Builtin(_, args) => args.iter().flatten().for_each(each),
        ExprKind::Call(_, args) => args.iter().for_each(each),
    }
}

fn in_clauses<'e>(clauses: &'e [ForClause], each: &mut dyn FnMut(&'e Expr)) {
    for clause in clauses {
        match clause {
            ForClause::For { over, .. } => each(over),
            ForClause::If(cond) => each(cond),
        }
    }
}
