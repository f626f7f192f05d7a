//! `match`: each case has an arm.

use super::Checker;
use super::context::{Cx, Fact, Typed, poison};
use super::describe::{At, listed, noun};
use super::fit::{holds_secret, secret};
use super::shapes::untainted;
use crate::lang::syntax::tree::{self, PatternKind};
use crate::model::expr::{Expr, ExprKind, Pattern, Slot};
use crate::model::value::Data;
use crate::model::{Code, Name, Span, Type, Value};

/// What the arms have said so far.
#[derive(Default)]
struct Covered {
    labels: Vec<Name>,
    values: Vec<Value>,
    null: bool,
    rest: bool,
}

impl<'t> Checker<'t> {
    pub(super) fn check_match(
        &mut self,
        cx: &mut Cx,
        scrutinee: &'t tree::Expr,
        arms: &'t [tree::Arm],
        want: &Type,
        at: &At<'_>,
        span: Span,
    ) -> Expr {
        let (expr, _, tainted) = self.match_with(cx, scrutinee, arms, span, |it, cx, value| {
            let expr = it.check(cx, value, want, at);
            Typed { expr, ty: Type::Poison, item: None }
        });
        self.shown_by_condition(tainted, want, at, scrutinee);
        expr
    }

    pub(super) fn infer_match(&mut self, cx: &mut Cx, scrutinee: &'t tree::Expr, arms: &'t [tree::Arm], span: Span) -> Typed {
        let spans: Vec<Span> = arms.iter().map(|arm| arm.value.span).collect();
        let (expr, types, taint) = self.match_with(cx, scrutinee, arms, span, |it, cx, value| it.infer(cx, value));
        let ty = self.joined("the arms of `match`", &types, &spans);
        Typed { expr, ty: if taint { secret(ty) } else { ty }, item: None }
    }

    fn match_with(
        &mut self,
        cx: &mut Cx,
        scrutinee: &'t tree::Expr,
        arms: &'t [tree::Arm],
        span: Span,
        mut check: impl FnMut(&mut Self, &mut Cx, &'t tree::Expr) -> Typed,
    ) -> (Expr, Vec<Type>, bool) {
        let of = self.infer(cx, scrutinee);
        let taint = holds_secret(&of.ty) && untainted(&of.ty).1;
        let (outer, _) = untainted(&of.ty);
        let (core, nullable) = match outer {
            Type::Optional(of) => (untainted(of).0.clone(), true),
            Type::Null => (Type::Poison, true),
            other => (other.clone(), false),
        };
        let mut covered = Covered::default();
        let (mut made, mut types) = (Vec::with_capacity(arms.len()), Vec::with_capacity(arms.len()));
        for arm in arms {
            let mark = cx.mark();
            let only_null = arm.patterns.iter().all(|it| matches!(&it.kind, PatternKind::Literal(tree::Literal::Null)));
            if nullable && !only_null && (covered.null || !arm.patterns.iter().any(|it| matches!(it.kind, PatternKind::Any))) {
                cx.facts.push(Fact::NotNull(of.expr.clone()));
            }
            let patterns = self.patterns(cx, arm, &core, nullable, &mut covered);
            let typed = check(self, cx, &arm.value);
            cx.reset(mark);
            types.push(typed.ty);
            if let [pattern] = &patterns[..] {
                made.push((pattern.clone(), typed.expr));
            } else if patterns.len() > 1 {
                let diagnostic = Code::BadArguments
                    .error("an arm takes values or labels, not both")
                    .label(arm.patterns[0].span.to(arm.patterns[arm.patterns.len() - 1].span), "mixes them")
                    .help("give `null` an arm of its own");
                self.say(diagnostic);
            }
        }
        let complete = self.complete(&core, nullable, &covered, scrutinee.span, span);
        let expr = match complete {
            true => Expr::new(ExprKind::Match(Box::new(of.expr), made), span),
            false => poison(span),
        };
        (expr, types, taint)
    }

    fn patterns(&mut self, cx: &mut Cx, arm: &'t tree::Arm, core: &Type, nullable: bool, covered: &mut Covered) -> Vec<Pattern> {
        let (mut values, mut labels): (Vec<Value>, Vec<(Name, Option<Slot>)>) = (Vec::new(), Vec::new());
        let mut any = false;
        for pattern in &arm.patterns {
            if covered.rest {
                let diagnostic = Code::Doubtful
                    .warning("this arm is never reached")
                    .label(pattern.span, "an arm before it takes everything")
                    .help("put `_` last");
                self.say(diagnostic);
            }
            match &pattern.kind {
                PatternKind::Error => covered.rest = true,
                PatternKind::Any => {
                    covered.rest = true;
                    any = true;
                }
                PatternKind::Literal(tree::Literal::Null) => {
                    if !nullable && *core != Type::Poison && *core != Type::Any {
                        self.say(Code::Doubtful.warning("this is never null").label(pattern.span, "never matches"));
                    }
                    covered.null = true;
                    values.push(Value::new(Data::Null, pattern.span));
                }
                PatternKind::Text(text) => {
                    let value = Value::new(Data::Text(text.clone()), pattern.span);
                    self.pattern_literal(value, pattern.span, core, covered, &mut values);
                }
                PatternKind::Literal(literal) => {
                    if let Some(value) = self.pattern_value(literal, pattern.span) {
                        self.pattern_literal(value, pattern.span, core, covered, &mut values);
                    }
                }
                PatternKind::Label { label, binding } => match core {
                    Type::Variant(variant) => match variant.cases.get(&label.node) {
                        Some(case) => {
                            if covered.labels.contains(&label.node) {
                                self.say_repeated(&label.node, label.span);
                            }
                            covered.labels.push(label.node.clone());
                            let slot = binding.as_ref().map(|binding| cx.bind(&binding.node, Type::Object(case.clone()), None));
                            if arm.patterns.len() > 1 && binding.is_some() {
                                let diagnostic = Code::Ambiguous
                                    .error("an arm with alternatives binds nothing")
                                    .label(label.span, "is one of several")
                                    .help("give each label an arm of its own");
                                self.say(diagnostic);
                            }
                            labels.push((label.node.clone(), slot));
                        }
                        None => {
                            let variant = variant.clone();
                            self.say_unknown_label(&variant, &label.node, label.span, &At::place("this `match`"));
                            if let Some(binding) = binding {
                                cx.bind(&binding.node, Type::Poison, None);
                            }
                        }
                    },
                    core => {
                        if let Some(binding) = binding {
                            cx.bind(&binding.node, Type::Poison, None);
                        }
                        if *core != Type::Poison {
                            let diagnostic = Code::WrongType
                                .error(format!("this `match` is about {}, and `{}` is a label", noun(core), label.node))
                                .label(pattern.span, "matches variants only");
                            self.say(diagnostic);
                        }
                        covered.rest = true;
                    }
                },
            }
        }
        if any {
            return vec![Pattern::Any];
        }
        let mut patterns = Vec::new();
        if !values.is_empty() {
            patterns.push(Pattern::Literals(values));
        }
        match &labels[..] {
            [] => {}
            [(label, slot)] => patterns.push(Pattern::Label(label.clone(), *slot)),
            _ => patterns.push(Pattern::Labels(labels.into_iter().map(|(label, _)| label).collect())),
        }
        patterns
    }

    fn pattern_literal(&mut self, value: Value, span: Span, core: &Type, covered: &mut Covered, values: &mut Vec<Value>) {
        let ty = crate::eval::type_of(&value);
        let fits = match core {
            Type::Poison | Type::Any => true,
            Type::Literals(members) => {
                if !members.contains(&value) {
                    let text = value.to_literal();
                    let known: Vec<String> = members.iter().map(Value::to_literal).collect();
                    let near = crate::lang::resolve::nearest(&text, known.iter().map(|it| &**it));
                    let diagnostic = Code::WrongType
                        .error(format!("this `match` is about {}, and {text} is none of them", noun(core)))
                        .label(span, "never matches")
                        .helps(near.map(|near| format!("write `{near}`")));
                    self.say(diagnostic);
                    return;
                }
                true
            }
            core => {
                super::fit::fit(&ty, core) <= super::fit::Fit::Convert || super::fit::fit(core, &ty) <= super::fit::Fit::Convert
            }
        };
        if !fits {
            let diagnostic = Code::WrongType
                .error(format!("this `match` is about {}, and {} is {}", noun(core), value.to_literal(), noun(&ty)))
                .label(span, format!("expected {}", noun(core)));
            self.say(diagnostic);
            return;
        }
        if covered.values.contains(&value) {
            self.say_repeated(&value.to_literal(), span);
        }
        covered.values.push(value.clone());
        values.push(value);
    }

    fn say_repeated(&mut self, what: &str, span: Span) {
        self.say(Code::Doubtful.warning(format!("`{what}` has an arm already")).label(span, "is never reached"));
    }

    /// Whether every case has an arm; says which have none.
    fn complete(&mut self, core: &Type, nullable: bool, covered: &Covered, about: Span, whole: Span) -> bool {
        if covered.rest || matches!(core, Type::Poison) && !nullable {
            return true;
        }
        let mut missing: Vec<String> = match core {
            Type::Variant(variant) => {
                variant.cases.keys().filter(|label| !covered.labels.contains(label)).map(|it| it.to_string()).collect()
            }
            Type::Literals(members) => {
                members.iter().filter(|value| !covered.values.contains(value)).map(Value::to_literal).collect()
            }
            Type::Bool => [true, false]
                .into_iter()
                .filter(|value| !covered.values.contains(&Value::bool(*value)))
                .map(|value| value.to_string())
                .collect(),
            Type::Poison => Vec::new(),
            _ => vec!["_".into()],
        };
        if nullable && !covered.null {
            missing.push("null".into());
        }
        if missing.is_empty() {
            return true;
        }
        let message = match &missing[..] {
            [only] if only == "_" => format!("this `match` about {} does not say what happens otherwise", noun(core)),
            _ => format!("this `match` leaves out {}", listed(missing.iter().map(|it| &**it))),
        };
        let span = Span { end: about.end, ..whole };
        let diagnostic = Code::NotExhaustive
            .error(message)
            .label(span, "every case needs an arm")
            .help("add the arms, or `_ => …` for the rest");
        self.say(diagnostic);
        false
    }
}
