//! `promql"…"`: text with holes that stand only where PromQL has a value.

use std::sync::Arc;

use super::Checker;
use super::context::{Cx, Typed};
use super::describe::{At, noun, quoted};
use super::fit::holds_secret;
use super::shapes::untainted;
use crate::lang::syntax::tree::Part;
use crate::model::expr::{Expr, ExprKind};
use crate::model::{Code, Span, Type};

/// Where in PromQL a hole stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hole {
    /// After `=`, `!=`, `=~` or `!~` in braces: a label's value.
    Label,
    /// In brackets or after `offset`: a duration.
    Window,
    /// Where a number may stand.
    Number,
    /// Anywhere else.
    Nowhere(&'static str),
}

/// What a scan of the text so far is inside of.
#[derive(Default)]
struct Scan {
    open: Vec<char>,
    /// The most brackets that were open at once.
    deepest: usize,
    operators: usize,
    quote: Option<char>,
    escaped: bool,
    /// The last characters that are no blanks, outside of strings.
    last: [char; 2],
    word: String,
}

impl Scan {
    fn text(&mut self, text: &str) -> Result<(), String> {
        for c in text.chars() {
            if let Some(quote) = self.quote {
                match c {
                    _ if self.escaped => self.escaped = false,
                    '\\' if quote != '`' => self.escaped = true,
                    c if c == quote => self.quote = None,
                    _ => {}
                }
                continue;
            }
            let word_ends = self.word.len() > 1 && !(c.is_alphanumeric() || c == '_' || c == ':');
            self.operators +=
                usize::from("+-*/%^<>=".contains(c) || word_ends && ["and", "or", "unless", "atan2"].contains(&&*self.word));
            match c {
                '"' | '\'' | '`' => self.quote = Some(c),
                '(' | '[' | '{' => {
                    self.open.push(c);
                    self.deepest = self.deepest.max(self.open.len());
                }
                ')' | ']' | '}' => {
                    let opened = self.open.pop();
                    let fits = matches!((opened, c), (Some('('), ')') | (Some('['), ']') | (Some('{'), '}'));
                    if !fits {
                        return Err(format!("`{c}` closes nothing"));
                    }
                }
                _ => {}
            }
            if c.is_alphanumeric() || c == '_' || c == ':' {
                match self.last[1].is_alphanumeric() || self.last[1] == '_' || self.last[1] == ':' {
                    true => self.word.push(c),
                    false => self.word = c.to_string(),
                }
                self.last = [self.last[1], c];
            } else if !c.is_whitespace() {
                self.last = [self.last[1], c];
            } else if self.last[1] != ' ' {
                // A blank ends a word; operators look through it.
                if self.last[1].is_alphanumeric() || self.last[1] == '_' {
                    self.last = [self.last[1], ' '];
                }
            }
        }
        Ok(())
    }

    fn hole(&self) -> Hole {
        if self.quote.is_some() {
            return Hole::Nowhere("in a string of PromQL: leave its quotes out, the value brings its own");
        }
        let operator = |c: char| "=~".contains(c);
        match self.open.last() {
            Some('{') if operator(self.last[1]) => Hole::Label,
            Some('{') => Hole::Nowhere("where PromQL has a label's name"),
            Some('[') => Hole::Window,
            _ if self.word == "offset" && self.last[1] == ' ' => Hole::Window,
            _ if self.last[1] == '\0' || "(,+-*/%^<>=".contains(self.last[1]) || self.last[1] == ' ' => Hole::Number,
            _ => Hole::Nowhere("where PromQL has a name"),
        }
    }

    fn end(&self) -> Result<(), String> {
        match (self.quote, self.open.last()) {
            (Some(quote), _) => Err(format!("a string that begins with {quote} does not end")),
            (None, Some(open)) => Err(format!("`{open}` is not closed")),
            (None, None) => Ok(()),
        }
    }
}

impl<'t> Checker<'t> {
    /// A series or a condition, as `want` says; by itself a series of numbers.
    pub(super) fn promql(&mut self, cx: &mut Cx, parts: &'t [Part], want: Type, span: Span) -> Typed {
        let mut scan = Scan::default();
        // The whole, with something of the kind in each hole.
        let mut sample = String::new();
        let (mut pieces, mut values): (Vec<Arc<str>>, Vec<Expr>) = (vec!["".into()], Vec::new());
        let mut failed = parts.iter().all(|part| matches!(part, Part::Text { text, .. } if text.trim().is_empty()));
        if failed {
            self.say(Code::Syntax.error("this is no PromQL: it is empty").label(span, "needs an expression"));
        }
        let mut tainted = None;
        for part in parts {
            match part {
                Part::Text { text, span } => {
                    if let Err(why) = scan.text(text)
                        && !failed
                    {
                        self.say(Code::Syntax.error(format!("this is no PromQL: {why}")).label(*span, "does not parse"));
                        failed = true;
                    }
                    sample.push_str(text);
                    let last = pieces.last_mut().expect("there is a piece before each value");
                    *last = match last.is_empty() {
                        true => text.clone(),
                        false => format!("{last}{text}").into(),
                    };
                }
                Part::Expr(inner) => {
                    let typed = self.infer(cx, inner);
                    let hole = scan.hole();
                    if holds_secret(&typed.ty) && tainted.is_none() {
                        tainted = Some((typed.expr.clone(), typed.ty.clone(), inner.span));
                    }
                    failed |= !self.check_hole(hole, &typed, inner.span);
                    sample.push_str(match (hole, untainted(&typed.ty).0) {
                        (Hole::Label, _) => "\"x\"",
                        (Hole::Window, _) => "1m",
                        (_, Type::Metric(_)) => "(x)",
                        _ => "1",
                    });
                    // What stands there is a value: the scan goes on behind it.
                    scan.last = [scan.last[1], '0'];
                    values.push(typed.expr);
                    pieces.push("".into());
                }
            }
        }
        if let Err(why) = scan.end()
            && !failed
        {
            self.say(Code::Syntax.error(format!("this is no PromQL: {why}")).label(span, "does not parse"));
            failed = true;
        }
        if !failed && let Err(why) = parse(&sample, &scan) {
            self.say(Code::Syntax.error(format!("this is no PromQL: {why}")).label(span, "does not parse"));
            failed = true;
        }
        if let Some((expr, ty, place)) = tainted {
            self.say_secret_shown(Some(&expr), &ty, &At::place("a query"), place);
            failed = true;
        }
        if failed {
            return Typed::poison(span);
        }
        let expr = Expr::new(ExprKind::Promql { pieces, values }, span);
        // What it is depends on where it stands.
        let plain = matches!(&want, Type::Metric(unit) if matches!(**unit, Type::Number(_)));
        let expr = match plain {
            true => expr,
            false => Expr::new(ExprKind::Convert(Box::new(expr), Arc::new(want.clone())), span),
        };
        Typed { expr, ty: want, item: None }
    }

    /// Whether the value fits the hole; what does not is said.
    fn check_hole(&mut self, hole: Hole, typed: &Typed, span: Span) -> bool {
        let (bare, _) = untainted(&typed.ty);
        let (fits, wanted) = match hole {
            Hole::Label => {
                (matches!(bare, Type::Text(_) | Type::Literals(_) | Type::Int(_) | Type::Poison | Type::Any), "a string")
            }
            Hole::Window => (matches!(bare, Type::Duration | Type::Poison), "a duration"),
            Hole::Number => (
                matches!(
                    bare,
                    Type::Int(_)
                        | Type::Number(_)
                        | Type::Percent
                        | Type::Duration
                        | Type::Size
                        | Type::Rate
                        | Type::Poison
                        | Type::Metric(_)
                ),
                "a number or a unit",
            ),
            Hole::Nowhere(why) => {
                let diagnostic = Code::Syntax
                    .error("an interpolation in PromQL stands only where it has a value")
                    .label(span, format!("stands {why}"))
                    .help("after `=` in braces, in brackets, or where a number may stand");
                self.say(diagnostic);
                return false;
            }
        };
        if fits {
            return true;
        }
        let diagnostic = match bare {
            Type::Optional(_) | Type::Null => Code::MaybeNull
                .error(format!("this place in PromQL takes {wanted}, and {} may be null", quoted(self.text(span))))
                .label(span, "may be null"),
            other => Code::WrongType
                .error(format!("this place in PromQL takes {wanted}, and {} is {}", quoted(self.text(span)), noun(other)))
                .label(span, format!("expected {wanted}")),
        };
        self.say(diagnostic);
        false
    }
}

/// Reads a query by the grammar of Prometheus. What it may cost is bounded before it is begun: its length, how deep its brackets
/// go, how many operators stand in a row.
fn parse(query: &str, scan: &Scan) -> Result<(), String> {
    if query.len() > 64 << 10 {
        return Err("it is longer than 64 KiB".into());
    }
    if scan.deepest > 100 {
        return Err("its brackets are nested deeper than 100".into());
    }
    // The parser goes over what it has at each of them.
    if scan.operators > 400 {
        return Err("it has more than 400 operators".into());
    }
    // A chain of operators becomes a tree as deep as it is long, and trees are dropped as deep as they are.
    stacker::maybe_grow(48 << 20, 64 << 20, || promql_parser::parser::parse(query).map(drop)).map_err(|why| {
        let why: String = why.lines().next().unwrap_or_default().chars().take(160).collect();
        let why = why.strip_prefix("invalid promql query").map_or(why.as_str(), |_| "it does not parse");
        why.trim_end_matches('.').to_owned()
    })
}
