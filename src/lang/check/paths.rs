//! Paths resolve beside the file that says them: where a string becomes a `path`, it is told from the stack's directory.

use super::Checker;
use super::shapes::untainted;
use crate::eval::builtins;
use crate::model::expr::{Binary, Expr, ExprKind};
use crate::model::types::TextRule;
use crate::model::{Data, Origin, Span, Type, Value};

impl Checker<'_> {
    /// The expression as a path of the stack's directory, where it is a string of another directory that a `path` is made from. What
    /// is a `path` already was told so where it became one.
    pub(super) fn told_from_here(&self, expr: Expr, from: &Type, to: &Type) -> Expr {
        let is_path = |ty: &Type| matches!(ty.bare(), Type::Text(TextRule::Path));
        if !is_path(to) || is_path(from) {
            return expr;
        }
        let Some(dir) = self.directory_of(expr.span) else { return expr };
        let span = expr.span;
        if let ExprKind::Literal(value) = &expr.kind {
            return match &value.data {
                Data::Text(path) => {
                    let told = Value { data: Data::Text(joined(&dir, path).into()), mark: value.mark.clone() };
                    Expr::new(ExprKind::Literal(told), span)
                }
                _ => expr,
            };
        }
        let literal = |value: Value| Expr::literal(value.at(span));
        let Some(starts_with) = builtins::find("starts_with") else { return expr };
        let begins = ExprKind::Builtin(starts_with, vec![Some(expr.clone()), Some(literal(Value::text("/")))]);
        let inside = ExprKind::Text(vec![literal(Value::text(format!("{dir}/"))), expr.clone()]);
        let choose = |cond: ExprKind, then: Expr, otherwise: Expr| {
            Expr::new(ExprKind::If(Box::new(Expr::new(cond, span)), Box::new(then), Box::new(otherwise)), span)
        };
        let told = choose(begins, expr.clone(), Expr::new(inside, span));
        let is_null = ExprKind::Binary(Binary::Equal, Box::new(expr), Box::new(literal(Value::null())));
        match matches!(untainted(from).0, Type::Optional(_)) {
            true => choose(is_null, literal(Value::null()), told),
            false => told,
        }
    }

    /// The directory of a file beside the stack's own, as it is seen from there; `None` for the stack's own files, and for what no
    /// file of a user says.
    fn directory_of(&self, span: Span) -> Option<String> {
        let source = self.sources.get(span.source).filter(|it| it.origin == Origin::File)?;
        Some(source.name.rsplit_once('/')?.0.to_owned())
    }
}

/// `../kit` and `web/../api` are `../kit/api`.
fn joined(dir: &str, path: &str) -> String {
    if path.is_empty() || path.starts_with('/') {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in dir.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|it| *it != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".into() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_are_told_from_the_directory_of_the_stack() {
        let table = [
            ("../kit", "web", "../kit/web"),
            ("../kit", ".", "../kit"),
            ("../kit", "../web/./a", "../web/a"),
            ("../../kit", "../../web", "../../../web"),
            ("kit", "..", "."),
            ("kit", "/usr", "/usr"),
            ("kit", "", ""),
        ];
        for (dir, path, told) in table {
            assert_eq!(super::joined(dir, path), told, "{dir} {path}");
        }
    }
}
