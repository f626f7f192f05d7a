//! Expressions: the flat list of operands and operators becomes a tree by precedence.

use pest::iterators::Pairs;

use super::texts::{constant, raw_text, signed};
use super::{Builder, OPERANDS_MAX, P, PushHelp, next};
use crate::lang::syntax::grammar::Rule;
use crate::lang::syntax::literal::{self, BadLiteral};
use crate::lang::syntax::tree::*;
use crate::model::{Code, Span};

impl<'t> Builder<'t> {
    pub(super) fn only_expr(&mut self, pair: P<'t>) -> Expr {
        self.expr(next(&mut pair.into_inner()))
    }

    /// `expr` and `head_expr`: the flat list of operands, operators and steps.
    pub(super) fn expr(&mut self, pair: P<'t>) -> Expr {
        let span = self.span(&pair);
        let mut inner = pair.into_inner();
        let first = self.term(&mut inner);
        let Some(op) = inner.next() else { return first };
        let (mut terms, mut ops) = (vec![first], vec![self.op(op)]);
        loop {
            terms.push(self.term(&mut inner));
            match inner.next() {
                Some(op) => ops.push(self.op(op)),
                None => break,
            }
        }
        if terms.len() > OPERANDS_MAX {
            self.over(span, format!("an expression has at most {OPERANDS_MAX} operands"), "too many operands");
            return Expr { kind: ExprKind::Error, span };
        }
        self.warn_of_minus(&terms, &ops);
        self.climb(&mut terms.into_iter(), &mut ops.into_iter().peekable(), 1)
    }

    /// Operators that bind at least as tightly as `loosest`, those of one precedence in one list.
    pub(super) fn climb(
        &mut self,
        terms: &mut std::vec::IntoIter<Expr>,
        ops: &mut std::iter::Peekable<std::vec::IntoIter<Spanned<BinaryOp>>>,
        loosest: u8,
    ) -> Expr {
        let mut left = terms.next().expect("an operand on either side of each operator");
        while let Some(precedence) = ops.peek().map(|op| op.precedence()).filter(|it| *it >= loosest) {
            let mut rest = Vec::new();
            while let Some(op) = ops.next_if(|op| op.precedence() == precedence) {
                rest.push((op, self.climb(terms, ops, precedence + 1)));
            }
            let span = left.span.to(rest.last().expect("one operator at least").1.span);
            let chains = !matches!(precedence, 4 | 5);
            if !chains && rest.len() > 1 {
                let (second, sign) = (rest[1].0.span, rest[1].0.sign());
                let what = if precedence == 4 { "comparisons do not chain" } else { "ranges do not chain" };
                let diagnostic = self.syntax(second, what, "a second operator of this kind");
                if precedence == 4 {
                    diagnostic.push_help(format!("put `&&` between two comparisons, or parentheses before `{sign}`"));
                }
                left = Expr { kind: ExprKind::Error, span };
                continue;
            }
            left = Expr { kind: ExprKind::Binary { first: Box::new(left), rest }, span };
        }
        left
    }

    pub(super) fn op(&mut self, pair: P<'t>) -> Spanned<BinaryOp> {
        let op = match pair.as_str() {
            "??" => BinaryOp::Coalesce,
            "||" => BinaryOp::Or,
            "&&" => BinaryOp::And,
            "==" => BinaryOp::Eq,
            "!=" => BinaryOp::Ne,
            "<" => BinaryOp::Lt,
            "<=" => BinaryOp::Le,
            ">" => BinaryOp::Gt,
            ">=" => BinaryOp::Ge,
            ".." => BinaryOp::Range,
            "+" => BinaryOp::Add,
            "-" => BinaryOp::Sub,
            "*" => BinaryOp::Mul,
            _ => BinaryOp::Div,
        };
        Spanned::new(op, self.span(&pair))
    }

    /// `[1⏎ -2]` is one element: a minus that begins a line and touches its operand was probably meant as a sign.
    pub(super) fn warn_of_minus(&mut self, terms: &[Expr], ops: &[Spanned<BinaryOp>]) {
        for (index, op) in ops.iter().enumerate() {
            if op.node == BinaryOp::Sub
                && terms[index + 1].span.start == op.span.end
                && self.slice_of(terms[index].span.end as usize..op.span.start as usize).contains('\n')
            {
                let warning = Code::Doubtful
                    .warning("a line that begins with `-` goes on with the one before")
                    .label(op.span, "subtracts")
                    .help("put a comma before it, or a blank after it");
                self.diagnostics.push(warning);
            }
        }
    }

    /// Signs, an operand, and the steps behind it.
    pub(super) fn term(&mut self, inner: &mut Pairs<'t, Rule>) -> Expr {
        let mut pair = next(inner);
        let mut ops = Vec::new();
        while pair.as_rule() == Rule::prefix {
            let start = self.base + pair.as_span().start();
            let op = if pair.as_str().starts_with('!') { UnaryOp::Not } else { UnaryOp::Neg };
            ops.push(Spanned::new(op, Span::new(self.source, start, start + 1)));
            pair = next(inner);
        }
        let mut expr = self.operand(pair, inner);
        let mut steps = Vec::new();
        while let Some(step) = inner.peek() {
            let Some(kind) = self.step(&step) else { break };
            inner.next();
            steps.push(Step { kind, span: self.span(&step) });
        }
        if let Some(last) = steps.last() {
            let span = expr.span.to(last.span);
            expr = match expr.kind {
                ExprKind::Access { base, steps: mut all } => {
                    all.append(&mut steps);
                    Expr { kind: ExprKind::Access { base, steps: all }, span }
                }
                _ => Expr { kind: ExprKind::Access { base: Box::new(expr), steps }, span },
            };
            if matches!(&expr.kind, ExprKind::Access { steps, .. } if steps.len() > OPERANDS_MAX) {
                self.over(span, format!("a reference has at most {OPERANDS_MAX} steps"), "too many steps");
                expr = Expr { kind: ExprKind::Error, span };
            }
        }
        if let Some(first) = ops.first() {
            let span = first.span.to(expr.span);
            if ops.len() > OPERANDS_MAX {
                self.over(span, format!("a value has at most {OPERANDS_MAX} signs before it"), "too many signs");
                return Expr { kind: ExprKind::Error, span };
            }
            expr = Expr { kind: ExprKind::Unary { ops, operand: Box::new(expr) }, span };
        }
        expr
    }

    pub(super) fn step(&mut self, pair: &P<'t>) -> Option<StepKind> {
        let rule = pair.as_rule();
        let kind = match rule {
            Rule::dot | Rule::maybe_dot => {
                let name = self.name(next(&mut pair.clone().into_inner()));
                StepKind::Field { name, optional: rule == Rule::maybe_dot }
            }
            Rule::index | Rule::maybe_index => {
                let key = Box::new(self.only_expr(pair.clone()));
                StepKind::Index { key, optional: rule == Rule::maybe_index }
            }
            Rule::call => {
                let arg = |pair: P<'t>| {
                    let mut inner = pair.into_inner();
                    let first = next(&mut inner);
                    match inner.next() {
                        Some(value) => Arg { name: Some(self.name(first)), value: self.expr(value) },
                        None => Arg { name: None, value: self.expr(first) },
                    }
                };
                StepKind::Call { args: pair.clone().into_inner().map(arg).collect() }
            }
            _ => return None,
        };
        Some(kind)
    }

    pub(super) fn operand(&mut self, pair: P<'t>, following: &mut Pairs<'t, Rule>) -> Expr {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::number => self.literal(span, literal::number(pair.as_str())),
            Rule::plain => {
                let text = pair.as_str();
                ExprKind::Text(text[1..text.len() - 1].into())
            }
            Rule::path => {
                if following.peek().is_some_and(|pair| pair.as_rule() == Rule::braces) {
                    return self.variant(pair, next(following));
                }
                self.reference(pair)
            }
            Rule::list => {
                let inner = pair.into_inner();
                match inner.peek() {
                    Some(first) if first.as_rule() == Rule::list_for => self.list_for(first),
                    _ => {
                        let mut all = Vec::with_capacity(inner.len());
                        for pair in inner {
                            all.push(self.expr(pair));
                        }
                        ExprKind::List(all)
                    }
                }
            }
            Rule::object_for => {
                let (clauses, mut rest) = self.clauses(pair.into_inner());
                let value = Box::new(rest.pop().expect("the grammar wants a value"));
                ExprKind::ObjectFor { clauses, key: Box::new(rest.pop().expect("the grammar wants a key")), value }
            }
            Rule::braces => ExprKind::Object(self.body(pair)),
            Rule::template | Rule::block => self.template(pair),
            Rule::tagged => {
                let mut inner = pair.into_inner();
                let tag = self.name(next(&mut inner));
                ExprKind::Tagged { tag, parts: self.parts(inner, false) }
            }
            Rule::raw => ExprKind::Text(raw_text(pair.as_str()).into()),
            Rule::paren => ExprKind::Paren(Box::new(self.only_expr(pair))),
            Rule::constant => ExprKind::Literal(constant(pair.as_str())),
            Rule::if_expr | Rule::head_if => {
                let mut inner = pair.into_inner();
                let mut branches = Vec::new();
                loop {
                    let cond = self.expr(next(&mut inner));
                    match inner.next() {
                        Some(value) => branches.push((cond, self.expr(value))),
                        None => break ExprKind::If { branches, otherwise: Box::new(cond) },
                    }
                }
            }
            Rule::match_expr => {
                let mut inner = pair.into_inner();
                let scrutinee = Box::new(self.expr(next(&mut inner)));
                ExprKind::Match { scrutinee, arms: inner.map(|pair| self.arm(pair)).collect() }
            }
            Rule::instant => self.literal(span, literal::instant(pair.as_str())),
            other => unreachable!("{other:?} is no operand"),
        };
        Expr { kind, span }
    }

    pub(super) fn literal(&mut self, span: Span, literal: Result<Literal, BadLiteral>) -> ExprKind {
        match literal {
            Ok(literal) => ExprKind::Literal(literal),
            Err(bad) => {
                self.bad_literal(span, bad);
                ExprKind::Error
            }
        }
    }

    pub(super) fn bad_literal(&mut self, span: Span, bad: BadLiteral) {
        self.diagnostics.push(Code::BadLiteral.error(bad.message).label(span, bad.label).helps(bad.help));
    }

    /// A dotted path: a name, and its fields as steps.
    pub(super) fn reference(&mut self, pair: P<'t>) -> ExprKind {
        let text = pair.as_str();
        let start = self.base + pair.as_span().start();
        let Some(dot) = text.find('.') else {
            return ExprKind::Name(self.name_at(text, start).node);
        };
        let base = self.name_at(&text[..dot], start);
        let mut steps = Vec::with_capacity(4);
        let mut at = dot;
        while at < text.len() {
            let end = text[at + 1..].find('.').map_or(text.len(), |length| at + 1 + length);
            let name = self.name_at(&text[at + 1..end], start + at + 1);
            let span = Span::new(self.source, start + at, start + end);
            steps.push(Step { kind: StepKind::Field { name, optional: false }, span });
            at = end;
        }
        if steps.len() > OPERANDS_MAX {
            self.over(self.span(&pair), format!("a reference has at most {OPERANDS_MAX} steps"), "too many steps");
            return ExprKind::Error;
        }
        ExprKind::Access { base: Box::new(Expr { kind: ExprKind::Name(base.node), span: base.span }), steps }
    }

    pub(super) fn variant(&mut self, label: P<'t>, braces: P<'t>) -> Expr {
        let span = self.span(&label).to(self.span(&braces));
        if label.as_str().contains('.') {
            let at = self.span(&braces);
            let brace = Span { end: at.start + 1, ..at };
            self.syntax(brace, "a value with dots takes no braces", "expected the end of this value")
                .push_help("in a head, and after `match`, put parentheses around a variant; in a body, start a new line");
            return Expr { kind: ExprKind::Error, span };
        }
        let label = self.name(label);
        Expr { kind: ExprKind::Variant { label, body: self.body(braces) }, span }
    }

    pub(super) fn list_for(&mut self, pair: P<'t>) -> ExprKind {
        let (clauses, mut rest) = self.clauses(pair.into_inner());
        ExprKind::ListFor { clauses, value: Box::new(rest.pop().expect("the grammar wants a value")) }
    }

    pub(super) fn clauses(&mut self, inner: Pairs<'t, Rule>) -> (Vec<Clause>, Vec<Expr>) {
        let (mut clauses, mut rest) = (Vec::new(), Vec::new());
        for pair in inner {
            match pair.as_rule() {
                Rule::for_clause => clauses.push(Clause::For(Box::new(self.for_(pair)))),
                Rule::if_clause => clauses.push(Clause::If(self.only_expr(pair))),
                _ => rest.push(self.expr(pair)),
            }
        }
        (clauses, rest)
    }

    pub(super) fn arm(&mut self, pair: P<'t>) -> Arm {
        let span = self.span(&pair);
        let mut patterns = Vec::new();
        for pair in pair.into_inner() {
            match pair.as_rule() {
                Rule::pattern => patterns.push(self.pattern(pair)),
                _ => return Arm { patterns, value: self.expr(pair), span },
            }
        }
        unreachable!("the grammar wants a value")
    }

    pub(super) fn pattern(&mut self, pair: P<'t>) -> Pattern {
        let span = self.span(&pair);
        let mut inner = pair.into_inner();
        let first = next(&mut inner);
        let literal = match first.as_rule() {
            Rule::constant => Ok(constant(first.as_str())),
            Rule::signed => signed(first.as_str()),
            Rule::instant => literal::instant(first.as_str()),
            Rule::ident => {
                let label = self.name(first);
                let binding = inner.next().map(|pair| self.declared(pair));
                let kind =
                    if &**label == "_" && binding.is_none() { PatternKind::Any } else { PatternKind::Label { label, binding } };
                return Pattern { kind, span };
            }
            _ => return Pattern { kind: PatternKind::Text(self.constant_text(first).node), span },
        };
        match literal {
            Ok(literal) => Pattern { kind: PatternKind::Literal(literal), span },
            Err(bad) => {
                self.bad_literal(span, bad);
                Pattern { kind: PatternKind::Error, span }
            }
        }
    }
}
