//! Expressions out and in, as far as they are closed: lists that begin with a word. A chain of operators is one list, so that
//! a sum of thousands of operands does not nest.

use std::sync::Arc;

use super::WireError;
use super::read::Reader;
use super::value::Writing;
use crate::model::canonical::write_text;
use crate::model::expr::{Binary, Builtin, Expr, ExprKind, ForClause, ListPart, MapPart, Pattern, Reference, Slot, Step, Unary};

const BINARIES: [Binary; 14] = [
    Binary::Else,
    Binary::Or,
    Binary::And,
    Binary::Equal,
    Binary::NotEqual,
    Binary::Less,
    Binary::LessEqual,
    Binary::Greater,
    Binary::GreaterEqual,
    Binary::Range,
    Binary::Plus,
    Binary::Minus,
    Binary::Times,
    Binary::Divide,
];

impl Writing<'_> {
    pub fn expr(&mut self, expr: &Expr) -> Result<(), WireError> {
        self.deeper(|w| {
            if !w.wire.origins || expr.span == w.origin {
                return w.kind(&expr.kind);
            }
            w.put("[\"at\",");
            w.span(expr.span);
            w.put(",");
            let outer = std::mem::replace(&mut w.origin, expr.span);
            w.kind(&expr.kind)?;
            w.origin = outer;
            w.put("]");
            Ok(())
        })
    }

    fn kind(&mut self, kind: &ExprKind) -> Result<(), WireError> {
        match kind {
            ExprKind::Literal(value) => {
                self.put("[\"literal\",");
                self.value(value)?;
            }
            ExprKind::Text(parts) => {
                self.put("[\"text\",");
                self.exprs(parts)?;
            }
            ExprKind::Promql { pieces, values } => {
                self.put("[\"promql\",");
                self.texts(&pieces.iter().map(|piece| &**piece).collect::<Vec<_>>());
                self.put(",");
                self.exprs(values)?;
            }
            ExprKind::Local(slot) => {
                self.put("[\"local\",");
                self.number(slot.0.into());
            }
            ExprKind::Name(Reference::Attribute { address, path }) => {
                self.put("[\"attribute\",");
                write_text(self.out, address.as_str());
                self.put(",");
                self.steps(path);
            }
            ExprKind::Name(_) => return Err(WireError::Unstorable("a name of the program")),
            ExprKind::Field { of, name, optional } => {
                self.put("[\"field\",");
                self.expr(of)?;
                self.put(",");
                write_text(self.out, name);
                self.flag(*optional);
            }
            ExprKind::Index { of, key, optional } => {
                self.put("[\"index\",");
                self.expr(of)?;
                self.put(",");
                self.expr(key)?;
                self.flag(*optional);
            }
            ExprKind::Member { .. } => return Err(WireError::Unstorable("a member of an instance")),
            ExprKind::Unary(op, of) => {
                self.put(if *op == Unary::Not { "[\"not\"," } else { "[\"minus\"," });
                self.expr(of)?;
            }
            ExprKind::Binary(..) => self.chain(kind)?,
            ExprKind::If(condition, then, other) => {
                self.put("[\"if\",");
                self.expr(condition)?;
                self.put(",");
                self.expr(then)?;
                self.put(",");
                self.expr(other)?;
            }
            ExprKind::Match(of, arms) => {
                self.put("[\"match\",");
                self.expr(of)?;
                self.put(",[");
                for (at, (pattern, body)) in arms.iter().enumerate() {
                    self.comma(at);
                    self.put("[");
                    self.pattern(pattern)?;
                    self.put(",");
                    self.expr(body)?;
                    self.put("]");
                }
                self.put("]");
            }
            ExprKind::List(parts) => {
                self.put("[\"list\",[");
                for (at, part) in parts.iter().enumerate() {
                    self.comma(at);
                    let (word, expr) = match part {
                        ListPart::Item(expr) => ("[\"item\",", expr),
                        ListPart::Spread(expr) => ("[\"spread\",", expr),
                    };
                    self.put(word);
                    self.expr(expr)?;
                    self.put("]");
                }
                self.put("]");
            }
            ExprKind::Map(parts) => {
                self.put("[\"map\",[");
                for (at, part) in parts.iter().enumerate() {
                    self.comma(at);
                    self.map_part(part)?;
                }
                self.put("]");
            }
            ExprKind::ForList { clauses, item } => {
                self.put("[\"for_list\",");
                self.clauses(clauses)?;
                self.put(",");
                self.expr(item)?;
            }
            ExprKind::ForMap { clauses, key, value } => {
                self.put("[\"for_map\",");
                self.clauses(clauses)?;
                self.put(",");
                self.expr(key)?;
                self.put(",");
                self.expr(value)?;
            }
            ExprKind::Variant(label, of) => {
                self.put("[\"variant\",");
                write_text(self.out, label);
                self.put(",");
                self.expr(of)?;
            }
            ExprKind::Builtin(builtin, arguments) => {
                self.put("[\"builtin\",");
                write_text(self.out, &builtin.0);
                self.put(",[");
                for (at, argument) in arguments.iter().enumerate() {
                    self.comma(at);
                    match argument {
                        None => self.put("null"),
                        Some(argument) => self.expr(argument)?,
                    }
                }
                self.put("]");
            }
            ExprKind::Call(..) => return Err(WireError::Unstorable("a function of the program")),
            ExprKind::Convert(of, ty) => {
                self.put("[\"convert\",");
                self.expr(of)?;
                self.put(",");
                self.ty(ty)?;
            }
        }
        self.put("]");
        Ok(())
    }

    /// `["binary",first,["+",second,span?],…]`, down the left side without recursion; the innermost operator comes first.
    fn chain(&mut self, kind: &ExprKind) -> Result<(), WireError> {
        let mut links = Vec::new();
        let mut kind = kind;
        let first = loop {
            let ExprKind::Binary(op, left, right) = kind else { unreachable!("the chain goes on only through operators") };
            links.push((*op, right, left.span));
            match &left.kind {
                inner @ ExprKind::Binary(..) => kind = inner,
                _ => break left,
            }
        };
        self.put("[\"binary\",");
        self.expr(first)?;
        for (at, (op, right, _)) in links.iter().enumerate().rev() {
            self.put(",[");
            write_text(self.out, op.symbol());
            self.put(",");
            self.expr(right)?;
            // The span of this link's own node, which is the left side of the next link out; the outermost is the list's.
            if self.wire.origins && at > 0 {
                self.put(",");
                self.span(links[at - 1].2);
            }
            self.put("]");
        }
        Ok(())
    }

    fn exprs(&mut self, exprs: &[Expr]) -> Result<(), WireError> {
        self.put("[");
        for (at, expr) in exprs.iter().enumerate() {
            self.comma(at);
            self.expr(expr)?;
        }
        self.put("]");
        Ok(())
    }

    fn map_part(&mut self, part: &MapPart) -> Result<(), WireError> {
        match part {
            MapPart::Entry(name, expr) => {
                self.put("[\"entry\",");
                write_text(self.out, name);
                self.put(",");
                self.expr(expr)?;
            }
            MapPart::Computed(key, expr) => {
                self.put("[\"computed\",");
                self.expr(key)?;
                self.put(",");
                self.expr(expr)?;
            }
            MapPart::Spread(expr) => {
                self.put("[\"spread\",");
                self.expr(expr)?;
            }
        }
        self.put("]");
        Ok(())
    }

    fn pattern(&mut self, pattern: &Pattern) -> Result<(), WireError> {
        match pattern {
            Pattern::Any => self.put("[\"any\""),
            Pattern::Literals(values) => {
                self.put("[\"literals\",[");
                for (at, value) in values.iter().enumerate() {
                    self.comma(at);
                    self.value(value)?;
                }
                self.put("]");
            }
            Pattern::Label(label, slot) => {
                self.put("[\"label\",");
                write_text(self.out, label);
                self.slot(*slot);
            }
            Pattern::Labels(labels) => {
                self.put("[\"labels\",[");
                for (at, label) in labels.iter().enumerate() {
                    self.comma(at);
                    write_text(self.out, label);
                }
                self.put("]");
            }
        }
        self.put("]");
        Ok(())
    }

    fn clauses(&mut self, clauses: &[ForClause]) -> Result<(), WireError> {
        self.put("[");
        for (at, clause) in clauses.iter().enumerate() {
            self.comma(at);
            match clause {
                ForClause::For { key, value, over } => {
                    self.put("[\"for\"");
                    self.slot(*key);
                    self.slot(*value);
                    self.put(",");
                    self.expr(over)?;
                }
                ForClause::If(condition) => {
                    self.put("[\"if\",");
                    self.expr(condition)?;
                }
            }
            self.put("]");
        }
        self.put("]");
        Ok(())
    }

    pub(super) fn steps(&mut self, path: &[Step]) {
        self.put("[");
        for (at, step) in path.iter().enumerate() {
            self.comma(at);
            match step {
                Step::Field(name) => write_text(self.out, name),
                Step::Item(item) => self.number((*item).into()),
            }
        }
        self.put("]");
    }

    fn slot(&mut self, slot: Option<Slot>) {
        match slot {
            None => self.put(",null"),
            Some(slot) => {
                self.put(",");
                self.number(slot.0.into());
            }
        }
    }

    fn flag(&mut self, flag: bool) {
        self.put(if flag { ",true" } else { ",false" });
    }
}

impl Reader<'_, '_, '_> {
    pub fn expr(&mut self) -> Result<Expr, WireError> {
        self.deeper(|r| {
            r.expect("[")?;
            let word = r.text()?;
            if word != "at" {
                return r.kind(&word).map(|kind| Expr { span: r.origin, kind });
            }
            r.expect(",")?;
            let span = r.span()?;
            r.expect(",[")?;
            let outer = std::mem::replace(&mut r.origin, span);
            let word = r.text()?;
            let kind = r.kind(&word)?;
            r.origin = outer;
            r.expect("]")?;
            Ok(Expr { span, kind })
        })
    }

    /// The rest of a list whose first word was read.
    fn kind(&mut self, word: &str) -> Result<ExprKind, WireError> {
        if word == "binary" {
            return self.chain();
        }
        self.expect(",")?;
        let kind = match word {
            "literal" => ExprKind::Literal(self.value()?),
            "text" => ExprKind::Text(self.exprs()?),
            "promql" => self.promql()?,
            "local" => ExprKind::Local(Slot(self.small()?)),
            "attribute" => {
                let address = self.address()?;
                self.expect(",")?;
                ExprKind::Name(Reference::Attribute { address, path: self.steps()? })
            }
            "field" => {
                let of = Box::new(self.expr()?);
                self.expect(",")?;
                let name = self.name()?;
                ExprKind::Field { of, name, optional: self.flag()? }
            }
            "index" => {
                let of = Box::new(self.expr()?);
                let key = Box::new(self.next_expr()?);
                ExprKind::Index { of, key, optional: self.flag()? }
            }
            "not" => ExprKind::Unary(Unary::Not, Box::new(self.expr()?)),
            "minus" => ExprKind::Unary(Unary::Minus, Box::new(self.expr()?)),
            "if" => {
                let condition = Box::new(self.expr()?);
                let then = Box::new(self.next_expr()?);
                ExprKind::If(condition, then, Box::new(self.next_expr()?))
            }
            "match" => {
                let of = Box::new(self.expr()?);
                self.expect(",")?;
                ExprKind::Match(of, self.arms()?)
            }
            "list" => ExprKind::List(self.list_parts()?),
            "map" => ExprKind::Map(self.map_parts()?),
            "for_list" => {
                let clauses = self.clauses()?;
                ExprKind::ForList { clauses, item: Box::new(self.next_expr()?) }
            }
            "for_map" => {
                let clauses = self.clauses()?;
                let key = Box::new(self.next_expr()?);
                ExprKind::ForMap { clauses, key, value: Box::new(self.next_expr()?) }
            }
            "variant" => {
                let label = self.name()?;
                ExprKind::Variant(label, Box::new(self.next_expr()?))
            }
            "builtin" => self.builtin()?,
            "convert" => {
                let of = Box::new(self.expr()?);
                self.expect(",")?;
                ExprKind::Convert(of, Arc::new(self.ty()?))
            }
            _ => return Err(self.syntax("a kind of expression that this version knows")),
        };
        self.expect("]")?;
        Ok(kind)
    }

    fn chain(&mut self) -> Result<ExprKind, WireError> {
        let mut left = self.next_expr()?;
        while !self.took("]") {
            self.expect(",[")?;
            let symbol = self.text()?;
            let op = BINARIES.into_iter().find(|op| op.symbol() == symbol).ok_or_else(|| self.syntax("an operator"))?;
            let right = self.next_expr()?;
            let span = match self.took(",") {
                true => self.span()?,
                false => self.origin,
            };
            self.expect("]")?;
            left = Expr { span, kind: ExprKind::Binary(op, Box::new(left), Box::new(right)) };
        }
        match left.kind {
            kind @ ExprKind::Binary(..) => Ok(kind),
            _ => Err(self.syntax("an operator")),
        }
    }

    fn next_expr(&mut self) -> Result<Expr, WireError> {
        self.expect(",")?;
        self.expr()
    }

    fn exprs(&mut self) -> Result<Vec<Expr>, WireError> {
        let mut exprs = Vec::new();
        self.list(|r| r.expr().map(|expr| exprs.push(expr)))?;
        Ok(exprs)
    }

    fn promql(&mut self) -> Result<ExprKind, WireError> {
        let (mut pieces, mut values) = (Vec::new(), Vec::new());
        self.list(|r| r.text().map(|piece| pieces.push(piece.as_ref().into())))?;
        self.expect(",")?;
        self.list(|r| r.expr().map(|value| values.push(value)))?;
        match pieces.len() == values.len() + 1 {
            true => Ok(ExprKind::Promql { pieces, values }),
            false => Err(self.syntax("one more piece than values")),
        }
    }

    fn builtin(&mut self) -> Result<ExprKind, WireError> {
        let builtin = self.name()?;
        self.expect(",")?;
        let mut arguments = Vec::new();
        self.list(|r| {
            arguments.push(match r.peek() {
                Some(b'n') => r.expect("null").map(|()| None)?,
                _ => Some(r.expr()?),
            });
            Ok(())
        })?;
        Ok(ExprKind::Builtin(Builtin(builtin), arguments))
    }

    fn arms(&mut self) -> Result<Vec<(Pattern, Expr)>, WireError> {
        let mut arms = Vec::new();
        self.list(|r| {
            r.expect("[")?;
            let pattern = r.pattern()?;
            let body = r.next_expr()?;
            arms.push((pattern, body));
            r.expect("]")
        })?;
        Ok(arms)
    }

    fn pattern(&mut self) -> Result<Pattern, WireError> {
        self.expect("[")?;
        let pattern = match &*self.text()? {
            "any" => Pattern::Any,
            "literals" => {
                self.expect(",")?;
                let mut values = Vec::new();
                self.list(|r| r.value().map(|value| values.push(value)))?;
                Pattern::Literals(values)
            }
            "label" => {
                self.expect(",")?;
                let label = self.name()?;
                Pattern::Label(label, self.slot()?)
            }
            "labels" => {
                self.expect(",")?;
                let mut labels = Vec::new();
                self.list(|r| r.name().map(|label| labels.push(label)))?;
                Pattern::Labels(labels)
            }
            _ => return Err(self.syntax("a pattern")),
        };
        self.expect("]")?;
        Ok(pattern)
    }

    fn list_parts(&mut self) -> Result<Vec<ListPart>, WireError> {
        let mut parts = Vec::new();
        self.list(|r| {
            r.expect("[")?;
            parts.push(match &*r.text()? {
                "item" => ListPart::Item(r.next_expr()?),
                "spread" => ListPart::Spread(r.next_expr()?),
                _ => return Err(r.syntax("an element")),
            });
            r.expect("]")
        })?;
        Ok(parts)
    }

    fn map_parts(&mut self) -> Result<Vec<MapPart>, WireError> {
        let mut parts = Vec::new();
        self.list(|r| {
            r.expect("[")?;
            parts.push(match &*r.text()? {
                "entry" => {
                    r.expect(",")?;
                    let name = r.name()?;
                    MapPart::Entry(name, r.next_expr()?)
                }
                "computed" => {
                    let key = r.next_expr()?;
                    MapPart::Computed(key, r.next_expr()?)
                }
                "spread" => MapPart::Spread(r.next_expr()?),
                _ => return Err(r.syntax("an entry")),
            });
            r.expect("]")
        })?;
        Ok(parts)
    }

    fn clauses(&mut self) -> Result<Vec<ForClause>, WireError> {
        let mut clauses = Vec::new();
        self.list(|r| {
            r.expect("[")?;
            clauses.push(match &*r.text()? {
                "for" => {
                    let key = r.slot()?;
                    let value = r.slot()?;
                    ForClause::For { key, value, over: r.next_expr()? }
                }
                "if" => ForClause::If(r.next_expr()?),
                _ => return Err(r.syntax("a clause")),
            });
            r.expect("]")
        })?;
        Ok(clauses)
    }

    pub(super) fn steps(&mut self) -> Result<Vec<Step>, WireError> {
        let mut steps = Vec::new();
        self.list(|r| {
            steps.push(match r.peek() {
                Some(b'"') => Step::Field(r.name()?),
                _ => Step::Item(r.small()?),
            });
            Ok(())
        })?;
        Ok(steps)
    }

    fn slot(&mut self) -> Result<Option<Slot>, WireError> {
        self.expect(",")?;
        match self.peek() {
            Some(b'n') => self.expect("null").map(|()| None),
            _ => Ok(Some(Slot(self.small()?))),
        }
    }

    fn flag(&mut self) -> Result<bool, WireError> {
        self.expect(",")?;
        self.bool()
    }
}
