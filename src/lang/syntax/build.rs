//! From the grammar's pairs to the tree. Walks what the grammar has accepted; what it finds wrong on the way (a literal without a
//! value, a name in capitals) is a diagnostic, and the walk goes on.

use std::sync::Arc;

use pest::iterators::{Pair, Pairs};
use rustc_hash::FxHashMap;

use super::grammar::Rule;
use super::literal::{self, BadEscape, BadLiteral, Piece};
use super::tree::*;
use crate::lang::resolve::snake_case;
use crate::model::{Code, Confidence, Diagnostic, Edit, SourceId, Span};

/// Bytes of one name.
pub const NAME_MAX: usize = 128;
/// Operands of one expression outside of its brackets; also steps of one reference and signs before one operand.
pub const OPERANDS_MAX: usize = 4096;

/// Builds the trees of many chunks of one text.
pub struct Builder<'t> {
    source: SourceId,
    /// What the grammar has seen, and where it begins in the source.
    slice: &'t str,
    base: usize,
    /// Whether the slice begins at the beginning of a line.
    starts_line: bool,
    names: FxHashMap<&'t str, Arc<str>>,
    pub diagnostics: Vec<Diagnostic>,
}

type P<'t> = Pair<'t, Rule>;

impl<'t> Builder<'t> {
    pub fn new(source: SourceId) -> Self {
        let names = FxHashMap::default();
        Builder { source, slice: "", base: 0, starts_line: true, names, diagnostics: Vec::new() }
    }

    /// The pairs that follow are of this slice, which begins at this byte of the source.
    pub fn on(&mut self, slice: &'t str, base: usize, starts_line: bool) -> &mut Self {
        (self.slice, self.base, self.starts_line) = (slice, base, starts_line);
        self
    }

    pub fn source(&self) -> SourceId {
        self.source
    }

    // ---- sequences, with the doc comments between them ---------------------------------------------------------------------

    pub fn items_of(&mut self, pairs: Pairs<'t, Rule>) -> Vec<Item> {
        self.sequence(pairs, |this, doc, pair| {
            let span = this.span(&pair);
            Item { doc, kind: this.item(pair), span }
        })
    }

    pub fn entries_of(&mut self, pairs: Pairs<'t, Rule>) -> Vec<Entry> {
        self.sequence(pairs, |this, doc, pair| {
            let span = this.span(&pair);
            Entry { doc, kind: this.entry(pair), span }
        })
    }

    pub fn rules_of(&mut self, pairs: Pairs<'t, Rule>) -> Vec<super::tree::Rule> {
        self.sequence(pairs, |this, doc, pair| {
            let span = this.span(&pair);
            super::tree::Rule { doc, kind: this.rule(pair), span }
        })
    }

    pub fn overrides_of(&mut self, pairs: Pairs<'t, Rule>) -> Vec<Override> {
        self.sequence(pairs, |this, _, pair| this.resource_override(pair))
    }

    fn sequence<T>(&mut self, pairs: Pairs<'t, Rule>, mut build: impl FnMut(&mut Self, Doc, P<'t>) -> T) -> Vec<T> {
        let mut all = Vec::new();
        let mut docs: Vec<&'t str> = Vec::new();
        for pair in pairs {
            match pair.as_rule() {
                Rule::EOI => {}
                Rule::doc => {
                    if self.stands_alone(&pair) {
                        let line = &pair.as_str()[2..];
                        docs.push(line.strip_prefix(' ').unwrap_or(line).trim_end());
                    }
                }
                _ => {
                    let doc = if docs.is_empty() { None } else { Some(Arc::from(docs.join("\n"))) };
                    docs.clear();
                    all.push(build(self, doc, pair));
                }
            }
        }
        all
    }

    /// Whether only blanks stand before it on its line.
    fn stands_alone(&self, pair: &P<'t>) -> bool {
        let before = &self.slice[..pair.as_span().start()];
        match before.rfind('\n') {
            Some(newline) => before[newline + 1..].bytes().all(is_blank),
            None => self.starts_line && before.bytes().all(is_blank),
        }
    }

    // ---- items -------------------------------------------------------------------------------------------------------------

    fn item(&mut self, pair: P<'t>) -> ItemKind {
        let rule = pair.as_rule();
        let whole = self.span(&pair);
        let mut inner = pair.into_inner();
        match rule {
            Rule::instance => {
                let kind = self.path(next(&mut inner));
                let name = self.declared(next(&mut inner));
                let (head, body) = self.head_and_body(inner);
                ItemKind::Instance(Box::new(Instance { kind, name, head, body }))
            }
            Rule::resource => {
                let mode = match next(&mut inner).as_str() {
                    "resource" => ResourceMode::Owned,
                    "data" => ResourceMode::Data,
                    _ => ResourceMode::Shared,
                };
                let kind = self.path(next(&mut inner));
                if kind.segments.len() < 2 {
                    let diagnostic =
                        self.syntax(kind.span, "a resource is of a provider's type", "expected a provider, a dot and a type");
                    // `fly_app`, as HCL has it.
                    match kind.segments[0].node.split_once('_') {
                        Some((provider, of)) => {
                            let text = format!("{provider}.{of}");
                            diagnostic.push_help(&format!("write `{text}`"));
                            let (title, edits) = (format!("write `{text}`"), vec![Edit { span: kind.span, text }]);
                            diagnostic.fixes.push(crate::model::Fix { title, confidence: Confidence::Sure, edits });
                        }
                        None => diagnostic.push_help("such as `resource fly.machine web { … }`"),
                    }
                }
                let name = self.declared(next(&mut inner));
                let (head, body) = self.head_and_body(inner);
                ItemKind::Resource(Box::new(Resource { mode, kind, name, head, body }))
            }
            Rule::output => {
                let mut output =
                    Output { name: self.declared(next(&mut inner)), ty: None, within: None, cond: None, value: None };
                for pair in inner {
                    match pair.as_rule() {
                        Rule::type_expr => output.ty = Some(self.ty(pair)),
                        Rule::within => output.within = Some(self.only_expr(pair)),
                        Rule::if_head => output.cond = Some(self.only_expr(pair)),
                        _ => output.value = Some(self.expr(pair)),
                    }
                }
                ItemKind::Output(Box::new(output))
            }
            Rule::input => {
                let name = self.declared(next(&mut inner));
                let ty = self.ty(next(&mut inner));
                let default = inner.next().map(|pair| self.expr(pair));
                ItemKind::Input(Box::new(Input { name, ty, default }))
            }
            Rule::let_item => {
                let name = self.declared(next(&mut inner));
                let (ty, value) = self.ty_and_value(inner);
                let value = value.expect("the grammar wants a value");
                ItemKind::Let(Box::new(Let { name, ty, value }))
            }
            Rule::on_clause => {
                let provider = self.name(next(&mut inner));
                ItemKind::On(On { provider, items: self.items(next(&mut inner)) })
            }
            Rule::if_item => {
                let (mut branches, mut otherwise) = (Vec::new(), None);
                while let Some(pair) = inner.next() {
                    if pair.as_rule() == Rule::items {
                        otherwise = Some(self.items(pair));
                    } else {
                        let cond = self.expr(pair);
                        branches.push((cond, self.items(next(&mut inner))));
                    }
                }
                ItemKind::If(If { branches, otherwise })
            }
            Rule::component => {
                let name = self.declared(next(&mut inner));
                ItemKind::Component(Component { name, items: self.items(next(&mut inner)) })
            }
            Rule::require => ItemKind::Require(self.require(inner, whole)),
            Rule::signal => {
                let name = self.declared(next(&mut inner));
                let params = match inner.peek() {
                    Some(pair) if pair.as_rule() == Rule::params => Some(self.params(next(&mut inner))),
                    _ => None,
                };
                let (ty, value) = self.ty_and_value(inner);
                ItemKind::Signal(Box::new(Signal { name, params, ty, value }))
            }
            Rule::secret => ItemKind::Secret(self.named(inner)),
            Rule::type_item => {
                let name = self.declared(next(&mut inner));
                ItemKind::Type(TypeDef { name, ty: self.ty(next(&mut inner)) })
            }
            Rule::fn_item => {
                let name = self.declared(next(&mut inner));
                let params = self.params(next(&mut inner));
                let result = self.ty(next(&mut inner));
                let body = self.expr(next(&mut inner));
                ItemKind::Fn(Box::new(Fn { name, params, result, body }))
            }
            Rule::rollout => {
                let name = self.declared(next(&mut inner));
                let of = self.path(next(&mut inner));
                ItemKind::Rollout(Rollout { name, of, body: self.body(next(&mut inner)) })
            }
            Rule::provider => {
                let provider = self.name(next(&mut inner));
                let mut pair = next(&mut inner);
                let mut name = None;
                if pair.as_rule() == Rule::ident {
                    name = Some(self.declared(pair));
                    pair = next(&mut inner);
                }
                ItemKind::Provider(Provider { provider, name, body: self.body(pair) })
            }
            Rule::environment => ItemKind::Environment(self.named(inner)),
            Rule::import_stack => {
                let path = self.constant_text(next(&mut inner));
                let alias = self.declared(next(&mut inner));
                ItemKind::ImportStack(ImportStack { path, alias, environment: inner.next().map(|pair| self.name(pair)) })
            }
            Rule::import => {
                let path = self.constant_text(next(&mut inner));
                ItemKind::Import(Import { path, alias: inner.next().map(|pair| self.declared(pair)) })
            }
            Rule::stack => ItemKind::Stack(self.named(inner)),
            Rule::policy => {
                let name = self.declared(next(&mut inner));
                ItemKind::Policy(Policy { name, rules: self.rules(next(&mut inner)) })
            }
            Rule::test => {
                let name = self.constant_text(next(&mut inner));
                ItemKind::Test(Test { name, rules: self.rules(next(&mut inner)) })
            }
            Rule::moved => ItemKind::Moved(self.body(next(&mut inner))),
            Rule::adopt => ItemKind::Adopt(self.body(next(&mut inner))),
            Rule::forget => ItemKind::Forget(self.body(next(&mut inner))),
            other => unreachable!("{other:?} is no item"),
        }
    }

    fn named(&mut self, mut inner: Pairs<'t, Rule>) -> Named {
        let name = self.declared(next(&mut inner));
        let body = match inner.next() {
            Some(pair) => self.body(pair),
            None => Body { entries: Vec::new(), span: Span { start: name.span.end, ..name.span } },
        };
        Named { name, body }
    }

    fn items(&mut self, pair: P<'t>) -> Items {
        let span = self.span(&pair);
        Items { items: self.items_of(pair.into_inner()), span }
    }

    fn ty_and_value(&mut self, inner: Pairs<'t, Rule>) -> (Option<TypeExpr>, Option<Expr>) {
        let (mut ty, mut value) = (None, None);
        for pair in inner {
            match pair.as_rule() {
                Rule::type_expr => ty = Some(self.ty(pair)),
                _ => value = Some(self.expr(pair)),
            }
        }
        (ty, value)
    }

    fn params(&mut self, pair: P<'t>) -> Vec<Param> {
        let param = |pair: P<'t>| {
            let span = self.span(&pair);
            let mut inner = pair.into_inner();
            let name = self.declared(next(&mut inner));
            let ty = self.ty(next(&mut inner));
            Param { name, ty, default: inner.next().map(|pair| self.expr(pair)), span }
        };
        pair.into_inner().map(param).collect()
    }

    fn require(&mut self, mut inner: Pairs<'t, Rule>, span: Span) -> Box<Require> {
        let cond = self.expr(next(&mut inner));
        let message = self.expr(next(&mut inner));
        Box::new(Require { cond, message, span })
    }

    // ---- heads -------------------------------------------------------------------------------------------------------------

    fn head_and_body(&mut self, inner: Pairs<'t, Rule>) -> (Head, Body) {
        let mut head = Head::default();
        for pair in inner {
            match pair.as_rule() {
                Rule::body | Rule::braces => return (head, self.body(pair)),
                _ => self.head_part(pair, &mut head),
            }
        }
        unreachable!("the grammar wants a body")
    }

    fn head_part(&mut self, pair: P<'t>, head: &mut Head) {
        match pair.as_rule() {
            Rule::for_head => head.each = Some(self.for_(pair)),
            Rule::if_head => head.cond = Some(self.only_expr(pair)),
            Rule::on_head => head.on = Some(self.only_expr(pair)),
            _ => head.in_env = Some(self.name(next(&mut pair.into_inner()))),
        }
    }

    /// `for_head` and `for_clause`.
    fn for_(&mut self, pair: P<'t>) -> For {
        let span = self.span(&pair);
        let mut inner = pair.into_inner();
        let mut value = self.declared(next(&mut inner));
        let mut pair = next(&mut inner);
        let mut key = None;
        if pair.as_rule() == Rule::ident {
            key = Some(std::mem::replace(&mut value, self.declared(pair)));
            pair = next(&mut inner);
        }
        let collection = self.expr(pair);
        For { key, value, collection, up_to: inner.next().map(|pair| self.expr(pair)), span }
    }

    // ---- entries -----------------------------------------------------------------------------------------------------------

    fn body(&mut self, pair: P<'t>) -> Body {
        let span = self.span(&pair);
        Body { entries: self.entries_of(pair.into_inner()), span }
    }

    fn entry(&mut self, pair: P<'t>) -> EntryKind {
        let rule = pair.as_rule();
        let whole = self.span(&pair);
        let mut inner = pair.into_inner();
        match rule {
            Rule::word_entry => {
                let name = self.name(next(&mut inner));
                match inner.peek() {
                    Some(pair) if pair.as_rule() == Rule::expr => {
                        EntryKind::Field { key: Key::Name(name), value: self.expr(pair) }
                    }
                    _ => self.block(name, inner),
                }
            }
            Rule::quoted_entry => {
                let key = Key::Quoted(self.constant_text(next(&mut inner)));
                EntryKind::Field { key, value: self.expr(next(&mut inner)) }
            }
            Rule::computed_entry => {
                let key = Key::Computed(self.expr(next(&mut inner)));
                EntryKind::Field { key, value: self.expr(next(&mut inner)) }
            }
            Rule::spread => EntryKind::Spread(self.expr(next(&mut inner))),
            Rule::require => EntryKind::Require(self.require(inner, whole)),
            Rule::on_override => {
                let provider = self.name(next(&mut inner));
                let pair = next(&mut inner);
                let braces = self.span(&pair);
                EntryKind::On(OnOverride { provider, overrides: self.overrides_of(pair.into_inner()), braces })
            }
            other => unreachable!("{other:?} is no entry"),
        }
    }

    fn block(&mut self, name: Name, inner: Pairs<'t, Rule>) -> EntryKind {
        let (mut key, mut label, mut head) = (None, None, Head::default());
        for pair in inner {
            match pair.as_rule() {
                Rule::label => label = Some(self.name(pair)),
                Rule::for_head | Rule::if_head => self.head_part(pair, &mut head),
                Rule::braces => {
                    let body = self.body(pair);
                    return EntryKind::Block(Box::new(Block { name, key, label, head, body }));
                }
                _ => key = Some(self.constant_text(pair)),
            }
        }
        unreachable!("the grammar wants braces")
    }

    fn resource_override(&mut self, pair: P<'t>) -> Override {
        let span = self.span(&pair);
        let mut inner = pair.into_inner();
        let resource = self.path(next(&mut inner));
        if resource.segments.len() < 3 {
            self.syntax(resource.span, "an override names one resource", "expected a provider, a type and a name")
                .push_help("such as `fly.machine.web { … }`");
        }
        let mut pair = next(&mut inner);
        let mut key = None;
        if pair.as_rule() != Rule::braces {
            key = Some(self.constant_text(pair));
            pair = next(&mut inner);
        }
        Override { resource, key, body: self.body(pair), span }
    }

    // ---- rules -------------------------------------------------------------------------------------------------------------

    fn rules(&mut self, pair: P<'t>) -> Rules {
        let span = self.span(&pair);
        Rules { rules: self.rules_of(pair.into_inner()), span }
    }

    fn rule(&mut self, pair: P<'t>) -> RuleKind {
        match pair.as_rule() {
            Rule::each => {
                let mut head = Box::new(Head::default());
                for pair in pair.into_inner() {
                    match pair.as_rule() {
                        Rule::rules => return RuleKind::Each { head, rules: self.rules(pair) },
                        _ => self.head_part(pair, &mut head),
                    }
                }
                unreachable!("the grammar wants rules")
            }
            Rule::step => {
                let mut inner = pair.into_inner();
                let name = self.declared(next(&mut inner));
                RuleKind::Step { name, rules: self.rules(next(&mut inner)) }
            }
            Rule::require => {
                let span = self.span(&pair);
                RuleKind::Require(self.require(pair.into_inner(), span))
            }
            Rule::expect => RuleKind::Expect(self.only_expr(pair)),
            Rule::given => RuleKind::Given(self.items(next(&mut pair.into_inner()))),
            _ => RuleKind::Entry(self.entry(pair)),
        }
    }

    // ---- expressions -------------------------------------------------------------------------------------------------------

    fn only_expr(&mut self, pair: P<'t>) -> Expr {
        self.expr(next(&mut pair.into_inner()))
    }

    /// `expr` and `head_expr`: the flat list of operands, operators and steps.
    fn expr(&mut self, pair: P<'t>) -> Expr {
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
    fn climb(
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

    fn op(&mut self, pair: P<'t>) -> Spanned<BinaryOp> {
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
    fn warn_of_minus(&mut self, terms: &[Expr], ops: &[Spanned<BinaryOp>]) {
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
    fn term(&mut self, inner: &mut Pairs<'t, Rule>) -> Expr {
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

    fn step(&mut self, pair: &P<'t>) -> Option<StepKind> {
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

    fn operand(&mut self, pair: P<'t>, following: &mut Pairs<'t, Rule>) -> Expr {
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

    fn literal(&mut self, span: Span, literal: Result<Literal, BadLiteral>) -> ExprKind {
        match literal {
            Ok(literal) => ExprKind::Literal(literal),
            Err(bad) => {
                self.bad_literal(span, bad);
                ExprKind::Error
            }
        }
    }

    fn bad_literal(&mut self, span: Span, bad: BadLiteral) {
        self.diagnostics.push(Code::BadLiteral.error(bad.message).label(span, bad.label).helps(bad.help));
    }

    /// A dotted path: a name, and its fields as steps.
    fn reference(&mut self, pair: P<'t>) -> ExprKind {
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

    fn variant(&mut self, label: P<'t>, braces: P<'t>) -> Expr {
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

    fn list_for(&mut self, pair: P<'t>) -> ExprKind {
        let (clauses, mut rest) = self.clauses(pair.into_inner());
        ExprKind::ListFor { clauses, value: Box::new(rest.pop().expect("the grammar wants a value")) }
    }

    fn clauses(&mut self, inner: Pairs<'t, Rule>) -> (Vec<Clause>, Vec<Expr>) {
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

    fn arm(&mut self, pair: P<'t>) -> Arm {
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

    fn pattern(&mut self, pair: P<'t>) -> Pattern {
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

    // ---- strings -----------------------------------------------------------------------------------------------------------

    /// `template`, `block`, and their constant forms.
    fn template(&mut self, pair: P<'t>) -> ExprKind {
        let mut parts = self.parts(pair.into_inner(), true);
        match &mut parts[..] {
            [] => ExprKind::Text("".into()),
            [Part::Text { text, .. }] => ExprKind::Text(text.clone()),
            _ => ExprKind::Template(parts),
        }
    }

    fn parts(&mut self, inner: Pairs<'t, Rule>, escapes: bool) -> Vec<Part> {
        let (mut pieces, mut holes, mut spans) = (Vec::new(), Vec::new(), Vec::new());
        let mut block = false;
        for pair in inner {
            let span = self.span(&pair);
            spans.push(span);
            match pair.as_rule() {
                Rule::interpolation => {
                    holes.push(self.only_expr(pair));
                    pieces.push(Piece::Hole);
                }
                rule => {
                    block |= matches!(rule, Rule::block_text | Rule::tagged_block_text);
                    pieces.push(Piece::Text { raw: pair.as_str(), at: span.start as usize });
                }
            }
        }
        let mut bad = Vec::new();
        let texts = if block {
            literal::block_texts(&pieces, escapes, &mut bad)
        } else {
            literal::line_texts(&pieces, escapes, &mut bad)
        };
        self.bad_escapes(bad);
        let mut holes = holes.into_iter();
        let mut parts = Vec::with_capacity(texts.len());
        for (text, span) in texts.into_iter().zip(spans) {
            match text {
                None => parts.push(Part::Expr(holes.next().expect("as many as there are holes"))),
                Some(text) if text.is_empty() => {}
                Some(text) => parts.push(Part::Text { text: text.into(), span }),
            }
        }
        parts
    }

    fn bad_escapes(&mut self, bad: Vec<BadEscape>) {
        for BadEscape { at, length } in bad {
            let text = self.slice_of(at..at + length);
            let diagnostic = Code::BadEscape
                .error(format!("there is no escape `{}`", text.replace(char::is_control, "")))
                .label(Span::new(self.source, at, at + length), "unknown escape")
                .help("escapes are \\n \\t \\r \\\" \\\\ \\$ \\u{…}; a raw string r\"…\" has none");
            self.diagnostics.push(diagnostic);
        }
    }

    fn constant_text(&mut self, pair: P<'t>) -> Name {
        let span = self.span(&pair);
        let text: Arc<str> = match pair.as_rule() {
            Rule::plain => {
                let text = pair.as_str();
                text[1..text.len() - 1].into()
            }
            Rule::raw => raw_text(pair.as_str()).into(),
            _ => match self.template(pair) {
                ExprKind::Text(text) => text,
                _ => unreachable!("the grammar lets no value into it"),
            },
        };
        Spanned::new(text, span)
    }

    // ---- types -------------------------------------------------------------------------------------------------------------

    fn ty(&mut self, pair: P<'t>) -> TypeExpr {
        let span = self.span(&pair);
        let mut members: Vec<TypeExpr> = Vec::with_capacity(1);
        let (mut sensitive, mut nullable) = (None::<Span>, false);
        for pair in pair.into_inner() {
            let at = self.span(&pair);
            let kind = match pair.as_rule() {
                Rule::sensitive => {
                    sensitive.get_or_insert(at);
                    continue;
                }
                Rule::nullable => {
                    nullable = true;
                    continue;
                }
                Rule::type_named => self.type_named(pair),
                Rule::type_object => TypeKind::Object(self.type_fields(pair)),
                Rule::type_variant => TypeKind::Variant(self.type_fields(pair)),
                Rule::signed => match signed(pair.as_str()) {
                    Ok(literal) => TypeKind::Literal(Box::new(Expr { kind: ExprKind::Literal(literal), span: at })),
                    Err(bad) => {
                        self.bad_literal(at, bad);
                        TypeKind::Error
                    }
                },
                Rule::constant => {
                    let kind = ExprKind::Literal(constant(pair.as_str()));
                    TypeKind::Literal(Box::new(Expr { kind, span: at }))
                }
                _ => {
                    let text = self.constant_text(pair);
                    TypeKind::Literal(Box::new(Expr { kind: ExprKind::Text(text.node), span: text.span }))
                }
            };
            let mut member = TypeExpr { kind, span: at };
            if let Some(from) = sensitive.take() {
                member = TypeExpr { kind: TypeKind::Sensitive(Box::new(member)), span: from.to(at) };
            }
            members.push(member);
        }
        let mut ty = match members.len() {
            1 => members.pop().expect("there is one"),
            _ => {
                let all = members[0].span.to(members[members.len() - 1].span);
                TypeExpr { kind: TypeKind::Union(members), span: all }
            }
        };
        if nullable {
            ty = TypeExpr { kind: TypeKind::Nullable(Box::new(ty)), span };
        }
        ty
    }

    fn type_named(&mut self, pair: P<'t>) -> TypeKind {
        let mut inner = pair.into_inner();
        let path = self.path(next(&mut inner));
        let (mut args, mut refinement) = (Vec::new(), None);
        for pair in inner {
            match pair.as_rule() {
                Rule::type_expr => args.push(self.ty(pair)),
                _ => refinement = Some(self.refinement(pair)),
            }
        }
        TypeKind::Named { path, args, refinement }
    }

    fn refinement(&mut self, pair: P<'t>) -> Refinement {
        let mut inner = pair.into_inner();
        let expr = self.expr(next(&mut inner));
        if inner.next().is_some() {
            return Refinement::Range { from: Box::new(expr), to: None };
        }
        match expr.kind {
            ExprKind::Binary { first, mut rest } if rest[0].0.node == BinaryOp::Range => {
                let (_, to) = rest.pop().expect("a range has two ends");
                Refinement::Range { from: first, to: Some(Box::new(to)) }
            }
            _ => Refinement::Expr(Box::new(expr)),
        }
    }

    fn type_fields(&mut self, pair: P<'t>) -> Vec<TypeField> {
        self.sequence(pair.into_inner(), |this, doc, pair| {
            let span = this.span(&pair);
            let mut inner = pair.into_inner();
            let name = next(&mut inner);
            let name = if name.as_rule() == Rule::ident { this.name(name) } else { this.constant_text(name) };
            let mut field = None;
            let (mut optional, mut default) = (false, None);
            for pair in inner {
                match pair.as_rule() {
                    Rule::optional => optional = true,
                    Rule::type_expr => field = Some(this.ty(pair)),
                    _ => default = Some(this.expr(pair)),
                }
            }
            TypeField { doc, name, optional, ty: field.expect("the grammar wants a type"), default, span }
        })
    }

    // ---- names -------------------------------------------------------------------------------------------------------------

    /// A name that is defined here: lower case, digits, underscores; `_` alone where nobody reads it.
    fn declared(&mut self, pair: P<'t>) -> Name {
        let text = pair.as_str();
        let name = self.name(pair);
        let fits =
            text == "_" || text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.contains(|c: char| c.is_ascii_uppercase());
        if !fits {
            let other = snake_case(text);
            let diagnostic = Code::Syntax
                .error(format!("the name `{text}` is not in lower case"))
                .label(name.span, "expected a lower-case letter, then letters, digits and `_`");
            self.diagnostics.push(match other.starts_with(|c: char| c.is_ascii_lowercase()) {
                true => diagnostic.help(format!("write `{other}`")).fix(
                    format!("write `{other}`"),
                    Confidence::Sure,
                    vec![Edit { span: name.span, text: other }],
                ),
                false => diagnostic,
            });
        }
        name
    }

    fn name(&mut self, pair: P<'t>) -> Name {
        let start = self.base + pair.as_span().start();
        self.name_at(pair.as_str(), start)
    }

    fn name_at(&mut self, text: &'t str, start: usize) -> Name {
        let span = Span::new(self.source, start, start + text.len());
        if text.len() > NAME_MAX {
            self.over(span, format!("a name has at most {NAME_MAX} characters"), "too long");
        }
        if let Some(name) = self.names.get(text) {
            return Spanned::new(name.clone(), span);
        }
        let name: Arc<str> = text.into();
        self.names.insert(text, name.clone());
        Spanned::new(name, span)
    }

    fn path(&mut self, pair: P<'t>) -> Path {
        let span = self.span(&pair);
        let mut start = span.start as usize;
        let mut segments = Vec::with_capacity(1);
        for segment in pair.as_str().split('.') {
            segments.push(self.name_at(segment, start));
            start += segment.len() + 1;
        }
        Path { segments, span }
    }

    /// The text between two bytes of the source, which lie in the slice.
    fn slice_of(&self, range: std::ops::Range<usize>) -> &'t str {
        let range = range.start.saturating_sub(self.base)..range.end.saturating_sub(self.base);
        self.slice.get(range).unwrap_or("")
    }

    fn span(&self, pair: &P<'t>) -> Span {
        let span = pair.as_span();
        Span::new(self.source, self.base + span.start(), self.base + span.end())
    }

    // ---- diagnostics -------------------------------------------------------------------------------------------------------

    fn syntax(&mut self, span: Span, message: &str, label: &str) -> &mut Diagnostic {
        self.diagnostics.push(Code::Syntax.error(message).label(span, label));
        self.diagnostics.last_mut().expect("one was pushed")
    }

    fn over(&mut self, span: Span, message: String, label: &str) {
        self.diagnostics.push(Code::Limit.error(message).label(span, label));
    }
}

/// Adds to a diagnostic that is already in a list.
trait PushHelp {
    fn push_help(&mut self, help: impl Into<String>);
}

impl PushHelp for Diagnostic {
    fn push_help(&mut self, help: impl Into<String>) {
        self.help.push(help.into());
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn next<'t>(inner: &mut Pairs<'t, Rule>) -> P<'t> {
    inner.next().expect("the grammar wants one more")
}

fn constant(text: &str) -> Literal {
    match text {
        "true" => Literal::Bool(true),
        "false" => Literal::Bool(false),
        _ => Literal::Null,
    }
}

/// A number with a sign.
fn signed(text: &str) -> Result<Literal, BadLiteral> {
    let Some(positive) = text.strip_prefix('-') else { return literal::number(text) };
    Ok(match literal::number(positive)? {
        Literal::Int(value) => Literal::Int(-value),
        Literal::Decimal(value) => Literal::Decimal(-value),
        Literal::Duration(value) => Literal::Duration(-value),
        Literal::Size(value) => Literal::Size(-value),
        Literal::Percent(value) => Literal::Percent(-value),
        Literal::Rate { count, per } => Literal::Rate { count: -count, per },
        Literal::Money { amount, currency } => Literal::Money { amount: -amount, currency },
        other => other,
    })
}

/// `r"…"` and `r"""…"""` without what surrounds them.
fn raw_text(text: &str) -> String {
    match text.strip_prefix("r\"\"\"") {
        Some(inner) => {
            let raw = &inner[..inner.len() - 3];
            let mut texts = literal::block_texts(&[Piece::Text { raw, at: 0 }], false, &mut Vec::new());
            texts.pop().flatten().expect("one piece gives one text")
        }
        None => text[2..text.len() - 1].to_owned(),
    }
}
