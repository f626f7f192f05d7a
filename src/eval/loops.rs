//! Comprehensions. What an unknown collection or condition decides becomes a spread of what is left.

use super::Outcome;
use super::residual;
use super::run::{Evaluator, Locals, taint};
use crate::model::expr::{ExprKind, ForClause, ListPart, MapPart};
use crate::model::value::Mark;
use crate::model::{Code, Data, Expr, Fields, Span, Type, Value};

/// No comprehension makes more.
const LENGTH_MAX: usize = 1_000_000;

/// What a comprehension gives for each round.
pub enum Leaf<'e> {
    Item(&'e Expr),
    Entry(&'e Expr, &'e Expr),
}

/// The rounds so far.
#[derive(Default)]
struct Gathered {
    parts: Vec<Part>,
    /// Whether a secret decided which rounds there are.
    secret: bool,
    open: bool,
}

enum Part {
    Item(Value),
    Entry(Value, Value),
    /// An unknown list or map.
    Spread(Value),
}

impl Evaluator<'_> {
    pub fn comprehend(
        &self,
        clauses: &[ForClause],
        leaf: &Leaf<'_>,
        locals: &mut Locals,
        level: u32,
        span: Span,
    ) -> Outcome<Value> {
        let mut gathered = Gathered::default();
        self.rounds(clauses, leaf, locals, level, span, &mut gathered)?;
        let secret = gathered.secret;
        let mut value = match (leaf, gathered.open) {
            (Leaf::Item(_), false) => {
                let items = gathered.parts.into_iter().filter_map(|part| match part {
                    Part::Item(value) => Some(value),
                    _ => None,
                });
                Value::new(Data::List(std::sync::Arc::new(items.collect())), span)
            }
            (Leaf::Entry(..), false) => self.entries(gathered.parts, span)?,
            (_, true) => self.left(gathered.parts, leaf, span)?,
        };
        value.mark.secret |= secret;
        Ok(value)
    }

    fn entries(&self, parts: Vec<Part>, span: Span) -> Outcome<Value> {
        let mut map = Fields::new();
        let mut mark = Mark::at(span);
        for part in parts {
            let Part::Entry(key, value) = part else { continue };
            taint(&mut mark, &key);
            let name = super::run::key_text(&key, span)?;
            if map.insert(name.clone(), value).is_some() {
                return Err(Box::new(
                    Code::Duplicate
                        .error(match key.mark.secret {
                            true => "a secret key is made twice".to_owned(),
                            false => format!("the key `{}` is made twice", name.escape_debug()),
                        })
                        .label(span, "every round has to make another key"),
                ));
            }
        }
        Ok(Value { data: Data::Map(std::sync::Arc::new(map)), mark })
    }

    fn rounds(
        &self,
        clauses: &[ForClause],
        leaf: &Leaf<'_>,
        locals: &mut Locals,
        level: u32,
        span: Span,
        out: &mut Gathered,
    ) -> Outcome<()> {
        let Some((first, others)) = clauses.split_first() else {
            self.names.budget().charge(10, span)?;
            if out.parts.len() >= LENGTH_MAX {
                return Err(Box::new(
                    Code::Limit.error("a list or map has at most 1,000,000 elements").label(span, "makes more"),
                ));
            }
            let part = match leaf {
                Leaf::Item(item) => Part::Item(self.eval(item, locals, level)?),
                Leaf::Entry(key, value) => {
                    let key = self.eval(key, locals, level)?;
                    let value = self.eval(value, locals, level)?;
                    match key.is_unknown() {
                        false => Part::Entry(key, value),
                        true => {
                            let parts = vec![MapPart::Computed(self.expression(&key, span)?, self.expression(&value, span)?)];
                            out.open = true;
                            Part::Spread(residual::unknown(ExprKind::Map(parts), Type::map(Type::Any), &[&key, &value], span))
                        }
                    }
                }
            };
            out.parts.push(part);
            return Ok(());
        };
        match first {
            ForClause::If(condition) => {
                let held = self.eval(condition, locals, level)?;
                match &held.data {
                    Data::Bool(true) => {
                        out.secret |= held.mark.secret;
                        self.rounds(others, leaf, locals, level, span, out)
                    }
                    Data::Unknown(_) => {
                        let then = self.attempt(span, || self.comprehend(others, leaf, locals, level, span))?;
                        let empty = match leaf {
                            Leaf::Item(_) => ExprKind::List(Vec::new()),
                            Leaf::Entry(..) => ExprKind::Map(Vec::new()),
                        };
                        let parts = (
                            Box::new(self.expression(&held, span)?),
                            Box::new(self.expression(&then, span)?),
                            Box::new(Expr::new(empty, span)),
                        );
                        let ty = collection(leaf);
                        out.open = true;
                        out.secret |= held.mark.secret;
                        let kind = ExprKind::If(parts.0, parts.1, parts.2);
                        out.parts.push(Part::Spread(residual::unknown(kind, ty, &[&held, &then], span)));
                        Ok(())
                    }
                    _ => {
                        out.secret |= held.mark.secret;
                        Ok(())
                    }
                }
            }
            ForClause::For { key, value, over } => {
                let collection = self.eval(over, locals, level)?;
                let depth = locals.len();
                // How many rounds there are tells of a collection that is secret as a whole.
                out.secret |= collection.mark.secret;
                let mut round = |k: Value, v: Value, locals: &mut Locals| -> Outcome<()> {
                    // Also a round that makes nothing is a round.
                    self.names.budget().charge(1, span)?;
                    if let Some(slot) = key {
                        locals.push((*slot, k));
                    }
                    if let Some(slot) = value {
                        locals.push((*slot, v));
                    }
                    let done = self.rounds(others, leaf, locals, level, span, out);
                    locals.truncate(depth);
                    done
                };
                match &collection.data {
                    Data::List(items) => items
                        .iter()
                        .enumerate()
                        .try_for_each(|(at, item)| round(Value::int(at as i64), marked(item, &collection), locals)),
                    Data::Map(fields) => fields.iter().try_for_each(|(name, field)| {
                        round(Value::text(name.clone()).at(field.mark.origin), marked(field, &collection), locals)
                    }),
                    Data::Null => Ok(()),
                    Data::Unknown(_) => {
                        let left = self.symbolic(clauses, leaf, locals, level, span)?;
                        out.open = true;
                        out.parts.push(Part::Spread(left));
                        Ok(())
                    }
                    other => Err(Box::new(
                        Code::WrongType
                            .error(format!("`for` goes over a list or a map, and this is {}", super::encode::sort_of(other)))
                            .label(over.span, "expected a list or a map"),
                    )),
                }
            }
        }
    }

    /// What is left of a comprehension over an unknown collection: the same one, with variables for what it binds.
    fn symbolic(&self, clauses: &[ForClause], leaf: &Leaf<'_>, locals: &mut Locals, level: u32, span: Span) -> Outcome<Value> {
        let (depth, mut inner, mut kept, mut of) = (locals.len(), level, Vec::new(), Vec::new());
        let mut run = || -> Outcome<ExprKind> {
            for clause in clauses {
                match clause {
                    ForClause::If(condition) => {
                        let held = self.attempt(span, || self.eval(condition, locals, inner))?;
                        kept.push(ForClause::If(self.expression(&held, span)?));
                        of.push(held);
                    }
                    ForClause::For { key, value, over } => {
                        let collection = self.attempt(span, || self.eval(over, locals, inner))?;
                        let over = self.expression(&collection, span)?;
                        let mut bind = |slot: &Option<crate::model::Slot>| {
                            slot.map(|slot| {
                                let fresh = residual::variable(inner);
                                locals.push((slot, residual::element(inner, &collection, span)));
                                inner += 1;
                                fresh
                            })
                        };
                        let (key, value) = (bind(key), bind(value));
                        kept.push(ForClause::For { key, value, over });
                        of.push(collection);
                    }
                }
            }
            let clauses = std::mem::take(&mut kept);
            Ok(match leaf {
                Leaf::Item(item) => {
                    let item = self.attempt(span, || self.eval(item, locals, inner))?;
                    let left = Box::new(self.expression(&item, span)?);
                    of.push(item);
                    ExprKind::ForList { clauses, item: left }
                }
                Leaf::Entry(key, value) => {
                    let key = self.attempt(span, || self.eval(key, locals, inner))?;
                    let value = self.attempt(span, || self.eval(value, locals, inner))?;
                    let left = (Box::new(self.expression(&key, span)?), Box::new(self.expression(&value, span)?));
                    of.push(key);
                    of.push(value);
                    ExprKind::ForMap { clauses, key: left.0, value: left.1 }
                }
            })
        };
        let kind = run();
        locals.truncate(depth);
        Ok(residual::unknown(kind?, collection(leaf), &of.iter().collect::<Vec<_>>(), span))
    }

    /// What is left of a comprehension some of whose rounds are unknown.
    fn left(&self, parts: Vec<Part>, leaf: &Leaf<'_>, span: Span) -> Outcome<Value> {
        let mut of = Vec::new();
        let kind = match leaf {
            Leaf::Item(_) => {
                let mut left = Vec::with_capacity(parts.len());
                for part in parts {
                    let (value, spread) = match part {
                        Part::Spread(value) => (value, true),
                        Part::Item(value) | Part::Entry(_, value) => (value, false),
                    };
                    let expr = self.expression(&value, span)?;
                    left.push(if spread { ListPart::Spread(expr) } else { ListPart::Item(expr) });
                    of.push(value);
                }
                ExprKind::List(left)
            }
            Leaf::Entry(..) => {
                let mut left = Vec::with_capacity(parts.len());
                for part in parts {
                    match part {
                        Part::Spread(value) => {
                            left.push(MapPart::Spread(self.expression(&value, span)?));
                            of.push(value);
                        }
                        Part::Entry(key, value) => {
                            let name = super::run::key_text(&key, span)?;
                            left.push(MapPart::Entry(name, self.expression(&value, span)?));
                            of.push(value);
                        }
                        Part::Item(_) => {}
                    }
                }
                ExprKind::Map(left)
            }
        };
        Ok(residual::unknown(kind, collection(leaf), &of.iter().collect::<Vec<_>>(), span))
    }
}

fn collection(leaf: &Leaf<'_>) -> Type {
    match leaf {
        Leaf::Item(_) => Type::list(Type::Any),
        Leaf::Entry(..) => Type::map(Type::Any),
    }
}

/// An element with what sticks to its whole collection.
pub fn marked(item: &Value, of: &Value) -> Value {
    let mut item = item.clone();
    item.mark.secret |= of.mark.secret;
    if item.mark.within.is_none() {
        item.mark.within = of.mark.within.clone();
    }
    item
}
