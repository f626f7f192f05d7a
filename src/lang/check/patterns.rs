//! `re"…"`: a regular expression with holes that stand only where it has a character to match.

use regex_syntax::ast::{self, Ast, ClassSetItem, Flag, FlagsItemKind};

use super::Checker;
use super::context::{Cx, Typed};
use super::describe::{At, quoted};
use super::fit::holds_secret;
use super::shapes::untainted;
use crate::eval::builtins;
use crate::eval::pattern_problem;
use crate::lang::syntax::tree::Part;
use crate::model::expr::{Expr, ExprKind};
use crate::model::{Code, Data, Span, Type, Value};

/// Stands for the first hole while the pattern is parsed, the next one for the second: characters that nobody writes.
const MARK: char = '\u{f0000}';
/// Holes of one pattern.
const HOLES_MAX: usize = 1000;

/// Where a hole stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hole {
    /// Where a text is matched.
    Text,
    /// In brackets: any of its characters is matched.
    Class,
    Nowhere,
}

impl<'t> Checker<'t> {
    /// A text that is a regular expression. What stands in a hole is matched as it is.
    pub(super) fn pattern(&mut self, cx: &mut Cx, parts: &'t [Part], span: Span) -> Typed {
        let (mut whole, mut holes) = (String::new(), Vec::new());
        let (mut tainted, mut failed) = (false, false);
        for part in parts {
            match part {
                Part::Text { text, .. } => whole.push_str(text),
                Part::Expr(inner) => {
                    let typed = self.infer(cx, inner);
                    tainted |= holds_secret(&typed.ty);
                    failed |= !self.fits_pattern(&typed, inner.span);
                    whole.push(mark(holes.len()));
                    holes.push((typed.expr, inner.span));
                }
            }
        }
        if holes.len() > HOLES_MAX {
            self.say(Code::Limit.error("a pattern has at most 1,000 interpolations").label(span, "this one has more"));
            return Typed::poison(span);
        }
        if let Some(why) = pattern_problem(&whole) {
            self.say(Code::Syntax.error(format!("the pattern is not a regular expression: {why}")).label(span, "does not parse"));
            return Typed::poison(span);
        }
        if failed {
            return Typed::poison(span);
        }
        if holes.is_empty() {
            return Typed::new(ExprKind::Literal(Value::new(Data::Text(whole.into()), span)), span, Type::TEXT);
        }
        let places = places(&whole, holes.len());
        for ((_, at), place) in holes.iter().zip(&places) {
            if *place == Hole::Nowhere {
                let diagnostic = Code::Syntax
                    .error("an interpolation in a pattern stands only where it matches characters")
                    .label(*at, "stands where a regular expression has something else")
                    .help("a part of the pattern itself cannot be put in: choose between patterns with `if`");
                self.say(diagnostic);
                failed = true;
            }
        }
        if failed {
            return Typed::poison(span);
        }
        let mut pieces: Vec<Expr> = Vec::new();
        let text = |text: &str| Expr::literal(Value::new(Data::Text(text.into()), span));
        let mut holes = holes.into_iter().zip(places);
        for part in parts {
            match part {
                Part::Text { text: piece, span } => pieces.push(Expr::literal(Value::new(Data::Text(piece.clone()), *span))),
                Part::Expr(_) => {
                    let Some(((value, at), place)) = holes.next() else { continue };
                    let plain = Expr::new(ExprKind::Text(vec![value]), at);
                    let escape = builtins::find("regex_escape").expect("it is a built-in");
                    let escaped = Expr::new(ExprKind::Builtin(escape, vec![Some(plain)]), at);
                    match place {
                        // What follows, such as `+`, is about all of it.
                        Hole::Text => pieces.extend([text("(?:"), escaped, text(")")]),
                        _ => pieces.push(escaped),
                    }
                }
            }
        }
        let ty = if tainted { super::fit::secret(Type::TEXT) } else { Type::TEXT };
        let whole = Expr::new(ExprKind::Text(pieces), span);
        let expr = match self.constant_value(&whole) {
            Some(value) => Expr::literal(value.at(span)),
            None => whole,
        };
        Typed { expr, ty, item: None }
    }

    fn fits_pattern(&mut self, typed: &Typed, span: Span) -> bool {
        let bare = untainted(&typed.ty).0;
        let diagnostic = match bare {
            Type::Text(_) | Type::Literals(_) | Type::Int(_) | Type::Any => return true,
            Type::Poison => return false,
            Type::Optional(_) | Type::Null => Code::MaybeNull
                .error(format!("this place in a pattern takes a string, and {} may be null", quoted(self.text(span))))
                .label(span, "may be null"),
            other => {
                let noun = super::describe::noun(other);
                let message = format!(
                    "{} takes a string, and {} is {noun}",
                    At::place("this place in a pattern").words(),
                    quoted(self.text(span))
                );
                Code::WrongType.error(message).label(span, "expected a string or an int")
            }
        };
        self.say(diagnostic);
        false
    }
}

fn mark(hole: usize) -> char {
    char::from_u32(MARK as u32 + hole as u32).unwrap_or(MARK)
}

/// What each hole's mark became when the pattern was read.
fn places(pattern: &str, count: usize) -> Vec<Hole> {
    let mut found = Places { holes: vec![Hole::Nowhere; count] };
    if let Ok(tree) = ast::parse::Parser::new().parse(pattern) {
        // The visitor has no errors of its own.
        let _ = ast::visit(&tree, &mut found);
        if found.holes.is_empty() {
            return vec![Hole::Nowhere; count];
        }
    }
    found.holes
}

struct Places {
    /// Emptied where blanks count for nothing: a value with blanks would not be matched.
    holes: Vec<Hole>,
}

impl Places {
    fn set(&mut self, c: char, place: Hole) {
        if let Some(hole) = (c as usize).checked_sub(MARK as usize).and_then(|at| self.holes.get_mut(at)) {
            *hole = place;
        }
    }

    fn flags(&mut self, flags: &ast::Flags) {
        if flags.items.iter().any(|it| it.kind == FlagsItemKind::Flag(Flag::IgnoreWhitespace)) {
            self.holes.clear();
        }
    }
}

impl ast::Visitor for &mut Places {
    type Output = ();
    type Err = ();

    fn finish(self) -> Result<(), ()> {
        Ok(())
    }

    fn visit_pre(&mut self, tree: &Ast) -> Result<(), ()> {
        match tree {
            Ast::Literal(literal) => self.set(literal.c, Hole::Text),
            Ast::Flags(set) => self.flags(&set.flags),
            Ast::Group(group) => {
                if let Some(flags) = group.flags() {
                    self.flags(flags);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), ()> {
        if let ClassSetItem::Literal(literal) = item {
            self.set(literal.c, Hole::Class);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_stands_for_characters_and_for_nothing_else() {
        let check = |pattern: &str, expected: &str| {
            let pattern = pattern.replace('@', &mark(0).to_string());
            let places = places(&pattern, 1);
            let got = match places[0] {
                Hole::Text => "text",
                Hole::Class => "class",
                Hole::Nowhere => "nowhere",
            };
            assert_eq!(got, expected, "{pattern}");
        };
        check("^@-[a-z]+$", "text");
        check("(?:@)+", "text");
        check("@*", "text");
        check("[@x]", "class");
        check("[^@]", "class");
        check("[a-@]", "nowhere");
        check("(?x) @", "nowhere");
        check("a|@", "text");
    }
}
