//! Operators.

use super::Checker;
use super::context::{Cx, Typed};
use super::describe::{At, noun, quoted};
use super::fit::{Fit, fit, holds_secret, secret};
use super::narrow;
use super::shapes::{join, untainted};
use super::units::combine;
use crate::lang::syntax::tree::{self, BinaryOp, Spanned};
use crate::model::expr::{Binary, Expr, ExprKind, Unary};
use crate::model::value::Data;
use crate::model::{Code, Span, Type, Value};

/// The most operators, or `else if`s, in a row: what they build nests, and everything that walks it has a bounded stack.
pub const CHAIN_MAX: usize = 400;

impl<'t> Checker<'t> {
    pub(super) fn say_chain(&mut self, what: &str, span: Span) {
        let diagnostic = Code::Limit
            .error(format!("there are more than {CHAIN_MAX} {what} in a row"))
            .label(span, "one too many")
            .help("part it with `let`, or use a list and `sum`, `join`, `all_true` or a map");
        self.say(diagnostic);
    }

    pub(super) fn unary(&mut self, cx: &mut Cx, ops: &'t [Spanned<tree::UnaryOp>], operand: &'t tree::Expr) -> Typed {
        let mut typed = self.infer(cx, operand);
        if ops.len() > CHAIN_MAX {
            self.say_chain("operators", ops[CHAIN_MAX].span);
            return Typed::poison(operand.span);
        }
        for op in ops.iter().rev() {
            let span = op.span.to(typed.expr.span);
            if typed.ty == Type::Poison {
                return Typed::poison(span);
            }
            let (bare, tainted) = untainted(&typed.ty);
            let (sign, result) = match op.node {
                tree::UnaryOp::Not => (
                    Unary::Not,
                    match bare {
                        Type::Bool | Type::Condition => Some(bare.clone()),
                        _ => None,
                    },
                ),
                tree::UnaryOp::Neg => (
                    Unary::Minus,
                    match bare {
                        Type::Int(_) => Some(Type::INT),
                        Type::Number(_) => Some(Type::NUMBER),
                        Type::Duration | Type::Size | Type::Percent | Type::Rate | Type::Money | Type::Metric(_) => {
                            Some(bare.clone())
                        }
                        _ => None,
                    },
                ),
            };
            let Some(result) = result else {
                let wanted = if sign == Unary::Not { "a bool" } else { "a number or a unit" };
                let symbol = if sign == Unary::Not { "!" } else { "-" };
                match typed.ty {
                    Type::Optional(_) | Type::Null => {
                        let at = if sign == Unary::Not { At::place("`!`") } else { At::place("`-`") };
                        let want = if sign == Unary::Not { Type::Bool } else { Type::NUMBER };
                        self.say_unfit(&typed.ty, &want, Fit::MaybeNull, &at, typed.expr.span);
                    }
                    _ => {
                        let text = quoted(self.text(typed.expr.span));
                        let diagnostic = Code::BadOperands
                            .error(format!("`{symbol}` takes {wanted}, and {text} is {}", noun(&typed.ty)))
                            .label(typed.expr.span, format!("expected {wanted}"));
                        self.say(diagnostic);
                    }
                }
                return Typed::poison(span);
            };
            let ty = if tainted { secret(result) } else { result };
            let expr = self.folded(Expr::new(ExprKind::Unary(sign, Box::new(typed.expr)), span));
            typed = Typed { expr, ty, item: None };
        }
        typed
    }

    /// Operators of one precedence, from left to right.
    pub(super) fn binary(&mut self, cx: &mut Cx, first: &'t tree::Expr, rest: &'t [(Spanned<BinaryOp>, tree::Expr)]) -> Typed {
        if rest.len() > CHAIN_MAX {
            self.say_chain("operators", rest[CHAIN_MAX].0.span);
            return Typed::poison(first.span);
        }
        let before = cx.mark();
        let mut left = match &rest[0] {
            // A bare name takes its meaning from the other side.
            (op, right) if equality(op.node) && first.as_name().is_some_and(|name| self.is_free(cx, name)) => {
                let right = self.quietly(|it| it.infer(cx, right));
                self.named_like(cx, first, &right.ty)
            }
            _ => self.infer(cx, first),
        };
        for (op, right) in rest {
            match op.node {
                BinaryOp::And => narrow::learn(cx, &left.expr, true),
                BinaryOp::Or => narrow::learn(cx, &left.expr, false),
                _ => {}
            }
            let right = match equality(op.node) && right.as_name().is_some_and(|name| self.is_free(cx, name)) {
                true => self.named_like(cx, right, &left.ty),
                false => self.infer(cx, right),
            };
            left = self.combined(op, left, right);
        }
        cx.reset(before);
        left
    }

    fn named_like(&mut self, cx: &mut Cx, name: &'t tree::Expr, like: &Type) -> Typed {
        let (bare, _) = untainted(like);
        let bare = match bare {
            Type::Optional(of) => of,
            other => other,
        };
        match bare {
            Type::Variant(_) | Type::Provider(_) => {
                let ty = bare.clone();
                Typed { expr: self.check(cx, name, &ty, &At::place("the other side")), ty, item: None }
            }
            _ => self.infer(cx, name),
        }
    }

    fn combined(&mut self, op: &Spanned<BinaryOp>, left: Typed, right: Typed) -> Typed {
        let span = left.expr.span.to(right.expr.span);
        let sign = sign(op.node);
        let ty = match sign {
            Binary::Else => self.coalesced(&left, &right),
            Binary::Equal | Binary::NotEqual => self.equated(op, &left, &right),
            _ => self.computed(op, sign, &left, &right),
        };
        let expr = Expr::new(ExprKind::Binary(sign, Box::new(left.expr), Box::new(right.expr)), span);
        let expr = match ty {
            Type::Poison => expr,
            _ => self.folded(expr),
        };
        Typed { expr, ty, item: None }
    }

    fn coalesced(&mut self, left: &Typed, right: &Typed) -> Type {
        let (left_ty, left_span, right_span) = (&left.ty, left.expr.span, right.expr.span);
        let present = match left_ty {
            Type::Null => return right.ty.clone(),
            Type::Optional(of) => (**of).clone(),
            other => other.clone(),
        };
        match join(&present, &right.ty) {
            Some(ty) => ty,
            None => {
                let message = format!("`??` stands between {} and {}", noun(&present), noun(&right.ty));
                let diagnostic = Code::BadOperands
                    .error(message)
                    .label(right_span, format!("is {}", noun(&right.ty)))
                    .label(left_span, format!("is {}", noun(&present)));
                self.say(diagnostic);
                Type::Poison
            }
        }
    }

    fn equated(&mut self, op: &Spanned<BinaryOp>, left: &Typed, right: &Typed) -> Type {
        if let (Type::Metric(_), _) | (_, Type::Metric(_)) = (&left.ty, &right.ty)
            && let Some(ty) = combine(sign(op.node), &left.ty, &right.ty)
        {
            return ty;
        }
        if matches!(left.ty, Type::Poison) || matches!(right.ty, Type::Poison) {
            return Type::Poison;
        }
        let tainted = holds_secret(&left.ty) || holds_secret(&right.ty);
        // Whether something secret is there is no secret.
        let null_test = matches!(left.ty, Type::Null) || matches!(right.ty, Type::Null);
        if matches!(left.ty, Type::Metric(_) | Type::Condition) || matches!(right.ty, Type::Metric(_) | Type::Condition) {
            return self.bad_operands(op, left, right);
        }
        let comparable = join(&super::fit::shown(&left.ty), &super::fit::shown(&right.ty)).is_some()
            || fit(&super::fit::shown(&left.ty), &super::fit::shown(&right.ty)) <= Fit::MaybeNull
            || fit(&super::fit::shown(&right.ty), &super::fit::shown(&left.ty)) <= Fit::MaybeNull
            || combine(Binary::Less, untainted(&left.ty).0, untainted(&right.ty).0).is_some();
        if !comparable {
            return self.bad_operands(op, left, right);
        }
        self.warn_never_equal(op, left, right);
        match tainted && !null_test {
            true => secret(Type::Bool),
            false => Type::Bool,
        }
    }

    /// A literal that is no member of the union it is compared with, or no environment's name.
    fn warn_never_equal(&mut self, op: &Spanned<BinaryOp>, left: &Typed, right: &Typed) {
        for (value, other) in [(&left.expr, right), (&right.expr, left)] {
            let ExprKind::Literal(Value { data: data @ (Data::Text(_) | Data::Int(_)), .. }) = &value.kind else { continue };
            let literal = Value::engine(data.clone());
            let (known, what): (Vec<String>, _) = match (other.ty.bare(), &other.expr.kind) {
                (Type::Literals(members), _) => {
                    if members.contains(&literal) {
                        continue;
                    }
                    (members.iter().map(Value::to_literal).collect(), "is never that")
                }
                (_, ExprKind::Name(crate::model::expr::Reference::Env(field))) if &**field == "name" => {
                    let names = &self.environment_names;
                    if names.is_empty() || literal.as_text().is_none_or(|text| names.iter().any(|name| &**name == text)) {
                        continue;
                    }
                    (names.iter().map(|name| format!("\"{name}\"")).collect(), "is no environment of this stack")
                }
                _ => continue,
            };
            let result = if op.node == BinaryOp::Eq { "false" } else { "true" };
            let text = literal.to_literal();
            let near = crate::lang::resolve::nearest(&text, known.iter().map(|it| &**it));
            let diagnostic = Code::Doubtful.warning(format!("this is always {result}: {text} {what}")).label(value.span, what);
            let diagnostic = match near {
                Some(near) => diagnostic.help(format!("write `{near}`")),
                None => diagnostic.help(format!("it is {}", known.join(" or "))),
            };
            self.say(diagnostic);
            return;
        }
    }

    fn computed(&mut self, op: &Spanned<BinaryOp>, sign: Binary, left: &Typed, right: &Typed) -> Type {
        let ((a, a_taint), (b, b_taint)) = (untainted(&left.ty), untainted(&right.ty));
        // What a mistake left behind makes nothing but itself.
        if matches!(a, Type::Poison) || matches!(b, Type::Poison) {
            return Type::Poison;
        }
        for (ty, operand) in [(a, left), (b, right)] {
            if let Type::Optional(_) | Type::Null = ty {
                let words = format!("`{}`", sign.symbol());
                let want = match ty {
                    Type::Optional(of) => (**of).clone(),
                    _ => Type::NUMBER,
                };
                self.say_unfit(ty, &want, Fit::MaybeNull, &At::place(&words), operand.expr.span);
                return Type::Poison;
            }
        }
        let base = |ty: &Type| match ty {
            Type::Literals(values) => super::fit::literal_base(values).unwrap_or(Type::Poison),
            Type::Any => Type::Poison,
            other => other.clone(),
        };
        let (a, b) = (base(a), base(b));
        match combine(sign, &a, &b) {
            Some(ty) => match a_taint || b_taint {
                true => secret(ty),
                false => ty,
            },
            None => self.bad_operands(op, left, right),
        }
    }

    fn bad_operands(&mut self, op: &Spanned<BinaryOp>, left: &Typed, right: &Typed) -> Type {
        let sign = op.node.sign();
        let (a, b) = (noun(&left.ty), noun(&right.ty));
        let (verb, a, b) = match op.node {
            BinaryOp::Eq | BinaryOp::Ne => ("compares", a, b),
            BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => ("compares", a, b),
            _ => ("stands between", a, b),
        };
        let message = match verb {
            "compares" => format!("`{sign}` cannot compare {a} with {b}"),
            _ => format!("`{sign}` cannot take {a} and {b}"),
        };
        let diagnostic = Code::BadOperands
            .error(message)
            .label(left.expr.span.to(right.expr.span), "do not go together")
            .label(left.expr.span, format!("is {a}"))
            .label(right.expr.span, format!("is {b}"));
        let texts = |ty: &Type| matches!(untainted(ty).0, Type::Text(_));
        let diagnostic = match op.node {
            BinaryOp::Add if texts(&left.ty) || texts(&right.ty) => {
                let diagnostic = diagnostic.help("strings are joined by interpolation: \"${a}${b}\"");
                match self.as_one_text(left, right) {
                    Some(edits) => diagnostic.fix("join them by interpolation", crate::model::Confidence::Sure, edits),
                    None => diagnostic,
                }
            }
            BinaryOp::And | BinaryOp::Or => {
                diagnostic.help("there is no truthiness: compare, such as `x != null` or `count > 0`")
            }
            _ => diagnostic,
        };
        self.say(diagnostic);
        Type::Poison
    }
}

fn equality(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Eq | BinaryOp::Ne)
}

fn sign(op: BinaryOp) -> Binary {
    match op {
        BinaryOp::Coalesce => Binary::Else,
        BinaryOp::Or => Binary::Or,
        BinaryOp::And => Binary::And,
        BinaryOp::Eq => Binary::Equal,
        BinaryOp::Ne => Binary::NotEqual,
        BinaryOp::Lt => Binary::Less,
        BinaryOp::Le => Binary::LessEqual,
        BinaryOp::Gt => Binary::Greater,
        BinaryOp::Ge => Binary::GreaterEqual,
        BinaryOp::Range => Binary::Range,
        BinaryOp::Add => Binary::Plus,
        BinaryOp::Sub => Binary::Minus,
        BinaryOp::Mul => Binary::Times,
        BinaryOp::Div => Binary::Divide,
    }
}
