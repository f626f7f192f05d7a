//! Expectations: whether they hold, and what is said of those that do not.

use std::collections::{BTreeMap, BTreeSet};

use super::sandbox::Done;
use crate::expand::rules::{Leaf, Rules};
use crate::lang::program::{Expect, Expected, Rule};
use crate::model::expr::{Binary, ExprKind, Unary};
use crate::model::{Code, Data, Diagnostic, Expr, Name, Slot, Sources, Span, Value};

/// How much of a value is shown, in characters.
const SHOWN: usize = 300;

/// What the expectations of a step are, as far as the program had to be looked at for them.
#[derive(Default)]
pub struct Looked {
    /// Conditions that hold.
    held: usize,
    /// What is said of those that do not.
    missed: Vec<Diagnostic>,
    /// How the step has to fail, and where that is said.
    failures: Vec<(Failing, Span)>,
    /// Conditions that nobody could look at.
    unseen: usize,
}

enum Failing {
    With(Code),
    Refused(Option<Name>),
}

impl Failing {
    fn of(expected: &Expected) -> Option<Failing> {
        match expected {
            Expected::Holds(_) => None,
            Expected::Error(code) => Some(Failing::With(*code)),
            Expected::Refused(policy) => Some(Failing::Refused(policy.clone())),
        }
    }

    fn is(&self, error: &Diagnostic) -> bool {
        match self {
            Failing::With(code) => error.code == *code,
            Failing::Refused(None) => matches!(error.code, Code::Protected | Code::LossNotConfirmed | Code::PolicyBroken),
            Failing::Refused(Some(policy)) => error.code == Code::PolicyBroken && policy_of(error) == Some(&**policy),
        }
    }

    fn words(&self) -> String {
        match self {
            Failing::With(code) => code.to_string(),
            Failing::Refused(None) => "a refusal".into(),
            Failing::Refused(Some(policy)) => format!("a refusal by `policy.{policy}`"),
        }
    }
}

/// The policy that refuses, as the diagnostic names it.
fn policy_of(error: &Diagnostic) -> Option<&str> {
    let (_, text) = error.notes.iter().find(|(head, _)| *head == "policy")?;
    text.split(' ').next()
}

/// Looks at expectations where the program could not be expanded.
pub fn without_program(rules: &[&[Rule]]) -> Looked {
    let mut looked = Looked::default();
    let mut open: Vec<&Rule> = rules.iter().flat_map(|rules| rules.iter()).collect();
    while let Some(rule) = open.pop() {
        match rule {
            Rule::Each { rules, .. } => open.extend(rules),
            Rule::Require(_) => {}
            Rule::Expect(expect) => match Failing::of(&expect.what) {
                Some(failing) => looked.failures.push((failing, expect.span)),
                None => looked.unseen += 1,
            },
        }
    }
    looked
}

/// Evaluates expectations.
pub fn look(names: &Rules<'_, '_>, rules: &[&[Rule]], sources: &Sources) -> Looked {
    let mut looked = Looked::default();
    for rules in rules {
        let visited = names.each(rules, &mut Vec::new(), &mut |leaf, locals| match leaf {
            Leaf::Rule(Rule::Expect(expect)) => one(names, expect, locals, sources, &mut looked),
            Leaf::Rule(_) => {}
            Leaf::Undecided(expr) => looked.missed.push(undecided(expr.span, None)),
        });
        if let Err(error) = visited {
            looked.missed.push(*error);
        }
    }
    looked
}

fn one(names: &Rules<'_, '_>, expect: &Expect, locals: &[(Slot, Value)], sources: &Sources, looked: &mut Looked) {
    let expr = match &expect.what {
        Expected::Holds(expr) => expr,
        other => {
            looked.failures.extend(Failing::of(other).map(|failing| (failing, expect.span)));
            return;
        }
    };
    match names.eval(expr, locals) {
        Ok(Value { data: Data::Bool(true), .. }) => looked.held += 1,
        Ok(value) if value.has_unknown() => looked.missed.push(undecided(expr.span, Some(&value))),
        Ok(_) => looked.missed.push(wrong(names, expr, locals, sources)),
        Err(error) => looked.missed.push(*error),
    }
}

fn undecided(span: Span, value: Option<&Value>) -> Diagnostic {
    let mut diagnostic =
        Code::ExpectFailed.error("the expectation reads what is known only after apply").label(span, "cannot be decided");
    if let Some(Data::Unknown(unknown)) = value.map(|it| &it.data) {
        let waits: Vec<String> = unknown.waits_for.iter().take(3).map(|address| format!("`{address}`")).collect();
        diagnostic = diagnostic.fact("waits", format!("for {}", waits.join(", ")));
    }
    diagnostic.help("write `do = \"apply\"`, or say with `mock` what the platform answers")
}

/// Says of a condition what kept it from holding: the first part of `a && b` that does not, and both sides of a comparison.
fn wrong(names: &Rules<'_, '_>, expr: &Expr, locals: &[(Slot, Value)], sources: &Sources) -> Diagnostic {
    let eval = |expr: &Expr| names.eval(expr, locals);
    let mut part = bare(expr);
    while let ExprKind::Binary(Binary::And, left, right) = &part.kind {
        let left_holds = eval(left).is_ok_and(|it| matches!(it.data, Data::Bool(true)));
        part = bare(if left_holds { right } else { left });
    }
    let diagnostic = Code::ExpectFailed.error("an expectation does not hold").label(part.span, "is false");
    let facts = |diagnostic: Diagnostic, sides: &[(&'static str, &Expr)]| {
        let mut values = Vec::new();
        let mut diagnostic = diagnostic;
        for (head, side) in sides {
            match eval(side) {
                Ok(value) => {
                    diagnostic = diagnostic.fact(head, shown(&value));
                    values.push(value);
                }
                Err(error) => diagnostic = diagnostic.fact(head, error.message.clone()),
            }
        }
        (diagnostic, values)
    };
    let diagnostic = match &part.kind {
        ExprKind::Binary(Binary::Or, left, right) => facts(diagnostic, &[("left", left), ("right", right)]).0,
        ExprKind::Binary(operator, left, right) => {
            let (diagnostic, values) = facts(diagnostic, &[("left", left), ("right", right)]);
            match (&values[..], operator) {
                ([left, right], Binary::Equal) => match differs(left, right, String::new()) {
                    Some(text) => diagnostic.fact("differs", text),
                    None => diagnostic,
                },
                _ => diagnostic,
            }
        }
        ExprKind::Unary(Unary::Not, of) => facts(diagnostic, &[("value", of)]).0,
        ExprKind::Builtin(_, arguments) => {
            let mut diagnostic = diagnostic;
            for argument in arguments.iter().flatten().filter(|it| !matches!(bare(it).kind, ExprKind::Literal(_))) {
                if let Ok(value) = eval(argument) {
                    let text = sources
                        .get(argument.span.source)
                        .and_then(|it| it.text.get(argument.span.start as usize..argument.span.end as usize));
                    diagnostic = diagnostic.fact("value", format!("{} = {}", text.unwrap_or("argument"), shown(&value)));
                }
            }
            diagnostic
        }
        _ => diagnostic,
    };
    match rounds(locals) {
        Some(text) => diagnostic.fact("round", text),
        None => diagnostic,
    }
}

fn bare(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Convert(of, _) => bare(of),
        _ => expr,
    }
}

/// Which round of its `for` it is.
fn rounds(locals: &[(Slot, Value)]) -> Option<String> {
    let name = |value: &Value| match &value.data {
        Data::Map(fields) => fields.get("address").map_or_else(|| shown(value), shown),
        _ => shown(value),
    };
    (!locals.is_empty()).then(|| locals.iter().map(|(_, value)| name(value)).collect::<Vec<_>>().join(", "))
}

/// A value on one line, without what is secret in it.
fn shown(value: &Value) -> String {
    let text = value.to_literal();
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// The first place where two collections are not the same; none where they are no collections, or short.
fn differs(left: &Value, right: &Value, at: String) -> Option<String> {
    let side = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), shown);
    if left.mark.secret || right.mark.secret {
        return None;
    }
    match (&left.data, &right.data) {
        (Data::List(a), Data::List(b)) => {
            let place = (0..a.len().max(b.len())).find(|place| a.get(*place) != b.get(*place))?;
            let inside = format!("{at}[{place}]");
            match (a.get(place), b.get(place)) {
                (Some(a), Some(b)) => differs(a, b, inside),
                (a, b) => Some(format!("{inside}: {} on the left, {} on the right", side(a), side(b))),
            }
        }
        (Data::Map(a), Data::Map(b)) => {
            let keys: BTreeSet<&Name> = a.keys().chain(b.keys()).collect();
            let key = keys.into_iter().find(|key| a.get(*key) != b.get(*key))?;
            let inside = format!("{at}.{key}");
            match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) => differs(a, b, inside),
                (a, b) => Some(format!("{inside}: {} on the left, {} on the right", side(a), side(b))),
            }
        }
        _ if at.is_empty() => None,
        _ => Some(format!("{at}: {} on the left, {} on the right", shown(left), shown(right))),
    }
}

/// Of one expectation in many rounds only the first are said, and how many there are.
fn few(missed: &[Diagnostic]) -> Vec<Diagnostic> {
    const SAID: usize = 3;
    let mut said: Vec<Diagnostic> = Vec::new();
    let mut times: BTreeMap<Option<Span>, usize> = BTreeMap::new();
    for it in missed {
        let times = times.entry(it.span()).or_default();
        *times += 1;
        if *times <= SAID {
            said.push(it.clone());
        }
    }
    for it in said.iter_mut().rev() {
        if let Some(times) = times.remove(&it.span()).filter(|times| *times > SAID) {
            it.notes.push(("note", format!("{} more rounds do not hold", times - SAID)));
        }
    }
    said
}

/// Errors of the step that no expectation is about.
pub fn unexpected(errors: &[Diagnostic], looked: &Looked) -> Vec<Diagnostic> {
    let is_expected = |error: &&Diagnostic| looked.failures.iter().any(|(failing, _)| failing.is(error));
    errors.iter().filter(|error| !is_expected(error)).cloned().collect()
}

/// What is said of expectations that do not hold, each with whether it is about how the step fails; and how many hold.
pub fn missed(done: &Done, looked: &Looked, act: &str) -> (Vec<(bool, Diagnostic)>, usize) {
    let (mut missed, mut held) = (Vec::new(), looked.held);
    for (failing, span) in &looked.failures {
        if done.errors.iter().any(|error| failing.is(error)) {
            held += 1;
            continue;
        }
        let came: BTreeSet<String> = done.errors.iter().map(|error| error.code.to_string()).collect();
        let came = match came.is_empty() {
            true => format!("`{act}` succeeded"),
            false => format!("`{act}` failed with {}", came.into_iter().collect::<Vec<_>>().join(", ")),
        };
        let text = format!("the step was to fail with {}, and {came}", failing.words());
        missed.push((true, Code::ExpectFailed.error(text).label(*span, "did not come")));
    }
    missed.extend(few(&looked.missed).into_iter().map(|it| (false, it)));
    if looked.unseen > 0 && missed.is_empty() {
        let text = "the step failed as it should, and its other expectations have nothing to look at";
        missed.push((false, Code::ExpectFailed.error(text).help("put them into a step of their own")));
    }
    (missed, held)
}
