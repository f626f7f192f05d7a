//! Policies: what each says of a finished plan.

use super::{Rules, address_of, rounds};
use crate::eval::{Budget, Callee, Names, Outcome, Outside, evaluate_with, resume};
use crate::expand::expander::is_silent;
use crate::expand::scope::Scope;
use crate::lang::program::{Policy, Require, Rule};
use crate::model::expr::{ExprKind, Member, Reference, Step};
use crate::model::value::Reference as InstanceRef;
use crate::model::verdict::{Exception, Finding, FindingOutcome, Level, Verdict};
use crate::model::{Address, Data, Diagnostic, Expr, Name, Slot, SourceId, Span, Value, glob};

impl Rules<'_, '_> {
    /// Judges the plan by every policy that acts. Linear in what the rules range over.
    ///
    /// Errors: of a policy's own settings, which are known with the environment: what evaluation answers.
    pub fn policies(&self) -> Result<Vec<Verdict>, Vec<Diagnostic>> {
        let (mut verdicts, mut errors) = (Vec::new(), Vec::new());
        for policy in &self.scope.all.program.policies {
            let frame = self.scope.all.directories.get(policy.directory as usize).unwrap_or(&self.scope.frame).clone();
            let judge = Judge { rules: self, scope: Scope { all: self.scope.all, frame } };
            match judge.verdict(policy) {
                Ok(verdict) => verdicts.push(verdict),
                Err(error) => errors.push(*error),
            }
        }
        if errors.is_empty() { Ok(verdicts) } else { Err(errors) }
    }

    /// Whether anything that there is, or that changes, has such an address.
    fn is_address_of_something(&self, pattern: &str) -> bool {
        let changes = self.finished.plan.iter().flat_map(|plan| &plan.changes);
        let desired =
            self.desired.instances.iter().map(|it| &it.address).chain(self.desired.resources.iter().map(|it| &it.address));
        desired.chain(changes.map(|it| &it.address)).any(|address| glob::matches(pattern, address))
    }
}

/// The names in one policy: those of its own directory, and what rules see.
struct Judge<'r, 'x, 'p> {
    rules: &'r Rules<'x, 'p>,
    scope: Scope<'x, 'p>,
}

/// What a variable of a `for` stands for, where that has an address.
struct Subject {
    slot: Slot,
    address: Address,
}

impl Judge<'_, '_, '_> {
    fn verdict(&self, policy: &Policy) -> Outcome<Verdict> {
        let level = match &policy.level {
            Some(level) if self.eval(level, &[])?.as_text() == Some("warn") => Level::Warn,
            _ => Level::Deny,
        };
        let control = match &policy.control {
            Some(control) => {
                let texts = self.eval(control, &[])?;
                texts.as_list().unwrap_or_default().iter().filter_map(|it| Some(it.as_text()?.into())).collect()
            }
            None => Vec::new(),
        };
        let mut exceptions = Vec::with_capacity(policy.except.len());
        for except in &policy.except {
            exceptions.push(Exception {
                pattern: except.pattern.clone(),
                reason: self.eval(&except.reason, &[])?.as_text().unwrap_or_default().to_owned(),
                span: except.span,
                idle: !self.rules.is_address_of_something(&except.pattern),
            });
        }
        let mut verdict =
            Verdict { policy: policy.name.clone(), level, control, span: policy.span, findings: Vec::new(), exceptions };
        self.walk(&policy.rules, &mut Vec::new(), &mut Vec::new(), &mut verdict);
        Ok(verdict)
    }

    fn walk(&self, rules: &[Rule], locals: &mut Vec<(Slot, Value)>, about: &mut Vec<Subject>, verdict: &mut Verdict) {
        for rule in rules {
            match rule {
                Rule::Require(require) => self.require(require, locals, about, verdict),
                Rule::Expect(_) => {}
                Rule::Each { each, cond, rules, .. } => {
                    let over = match each {
                        None => vec![Vec::new()],
                        Some(each) => match self.eval(&each.over, locals).map(|over| rounds(&over)) {
                            Ok(Some(rounds)) => {
                                let bind = |(key, value): (Value, Value)| {
                                    each.key.map(|slot| (slot, key)).into_iter().chain([(each.value, value)]).collect()
                                };
                                rounds.into_iter().map(bind).collect()
                            }
                            Ok(None) => {
                                let words = format!("what policy `{}` ranges over is known only after apply", verdict.policy);
                                add(verdict, FindingOutcome::Undecided, about, words, each.over.span, Vec::new());
                                continue;
                            }
                            Err(error) => {
                                self.failed(&error, each.over.span, about, verdict);
                                continue;
                            }
                        },
                    };
                    for bound in over {
                        let (before, before_about) = (locals.len(), about.len());
                        about.extend(bound.iter().filter_map(subject));
                        locals.extend(bound);
                        let held = cond.as_ref().map(|cond| (cond, self.eval(cond, locals)));
                        match held {
                            None => self.walk(rules, locals, about, verdict),
                            Some((cond, Err(error))) => self.failed(&error, cond.span, about, verdict),
                            Some((cond, Ok(held))) => match held.data {
                                Data::Bool(true) => self.walk(rules, locals, about, verdict),
                                Data::Unknown(_) => {
                                    let words = match about.last() {
                                        Some(it) => format!(
                                            "whether policy `{}` is about `{}` is known only after apply",
                                            verdict.policy, it.address
                                        ),
                                        None => format!("whether policy `{}` applies is known only after apply", verdict.policy),
                                    };
                                    let places = self.places(cond, about);
                                    add(verdict, FindingOutcome::Undecided, about, words, cond.span, places);
                                }
                                _ => {}
                            },
                        }
                        locals.truncate(before);
                        about.truncate(before_about);
                    }
                }
            }
        }
    }

    fn require(&self, require: &Require, locals: &[(Slot, Value)], about: &[Subject], verdict: &mut Verdict) {
        let outcome = match self.eval(&require.cond, locals) {
            Ok(Value { data: Data::Bool(true), .. }) => return,
            Ok(value) if value.has_unknown() => FindingOutcome::Undecided,
            Ok(_) => FindingOutcome::Broken,
            Err(error) => return self.failed(&error, require.span, about, verdict),
        };
        if outcome == FindingOutcome::Undecided {
            let words = match about.last() {
                Some(it) => format!("whether `{}` fulfils policy `{}` is known only after apply", it.address, verdict.policy),
                None => format!("whether policy `{}` holds is known only after apply", verdict.policy),
            };
            return add(verdict, outcome, about, words, require.span, self.places(&require.cond, about));
        }
        let words = match self.eval(&require.message, locals) {
            Ok(message) if message.has_secret() => format!("policy `{}` does not hold; its words are secret", verdict.policy),
            Ok(message) => message.as_text().map_or_else(|| format!("policy `{}` does not hold", verdict.policy), str::to_owned),
            Err(error) => error.message.clone(),
        };
        add(verdict, outcome, about, words, require.span, self.places(&require.cond, about));
    }

    /// A rule that has no value does not hold.
    fn failed(&self, error: &Diagnostic, rule: Span, about: &[Subject], verdict: &mut Verdict) {
        let words = match is_silent(error) {
            true => format!("policy `{}` cannot be judged", verdict.policy),
            false => error.message.clone(),
        };
        add(verdict, FindingOutcome::Broken, about, words, error.span().unwrap_or(rule), Vec::new());
    }

    fn eval(&self, expr: &Expr, locals: &[(Slot, Value)]) -> Outcome<Value> {
        let value = evaluate_with(expr, self, locals)?;
        resume(&value, &|address, path| self.rules.lookup(address, path))
    }

    /// Where the program says what a condition reads of what it is about: the entries, else the item.
    fn places(&self, cond: &Expr, about: &[Subject]) -> Vec<Span> {
        let Some(subject) = about.last() else { return Vec::new() };
        let all = self.scope.all;
        let near = |span: &Span| all.is_near(*span);
        let mut places: Vec<Span> = Vec::new();
        if let Some(frame) = all.frames.borrow().get(&subject.address) {
            let mut inputs = Vec::new();
            inputs_of(cond, subject.slot, &mut inputs);
            let given = frame.decl.map(|decl| &decl.inputs[..]).unwrap_or_default();
            places.extend(given.iter().filter(|(name, ..)| inputs.contains(name)).map(|(.., span)| *span).filter(near));
            if places.is_empty() {
                places.extend(frame.decl.map(|decl| decl.span).filter(near).or_else(|| frame.called_at()));
            }
            return places;
        }
        let mut fields = Vec::new();
        fields_of(cond, subject.slot, &mut fields);
        for name in fields {
            let value = self.rules.lookup(&subject.address, &[Step::Field(name)]);
            places.extend(value.map(|value| value.mark.origin).filter(near));
        }
        if places.is_empty() {
            let resources = &self.rules.desired.resources;
            if let Ok(at) = resources.binary_search_by(|it| it.address.cmp(&subject.address)) {
                places.push(resources[at].called_at);
            }
        }
        places.sort_by_key(|span| (span.source.0, span.start));
        places.dedup();
        places
    }
}

fn add(verdict: &mut Verdict, outcome: FindingOutcome, about: &[Subject], message: String, rule: Span, places: Vec<Span>) {
    let address = about.last().map(|it| it.address.clone());
    let excepted = address.as_ref().and_then(|address| {
        let by = verdict.exceptions.iter().position(|it| glob::matches(&it.pattern, address))?;
        Some(FindingOutcome::Excepted(by as u32))
    });
    verdict.findings.push(Finding { outcome: excepted.unwrap_or(outcome), address, message, rule, places });
}

/// The instance, resource or change that a variable stands for.
fn subject((slot, value): &(Slot, Value)) -> Option<Subject> {
    let address = address_of(value).or_else(|| match &value.data {
        Data::Map(fields) if fields.contains_key("action") => Address::parse(fields.get("address")?.as_text()?),
        _ => None,
    })?;
    Some(Subject { slot: *slot, address })
}

/// Inputs of the instance in a variable that an expression reads.
fn inputs_of(expr: &Expr, slot: Slot, found: &mut Vec<Name>) {
    crate::eval::walk(expr, &mut |part| {
        if let ExprKind::Member { of, member: Member::Input(name), .. } = &part.kind
            && of.kind == ExprKind::Local(slot)
        {
            found.push(name.clone());
        }
    });
}

/// Attributes of the resource, or of what the change leaves, that an expression reads.
fn fields_of(expr: &Expr, slot: Slot, found: &mut Vec<Name>) {
    crate::eval::walk(expr, &mut |part| {
        let ExprKind::Field { of, name, .. } = &part.kind else { return };
        let is_subject = |of: &Expr| of.kind == ExprKind::Local(slot);
        let is_after = |of: &Expr| match &of.kind {
            ExprKind::Field { of, name, .. } => &**name == "after" && is_subject(of),
            _ => false,
        };
        if is_subject(of) || is_after(of) {
            found.push(name.clone());
        }
    });
}

impl Names for Judge<'_, '_, '_> {
    fn reference(&self, reference: &Reference, span: Span) -> Outcome<Value> {
        match reference {
            Reference::Plan(_) | Reference::Instances(_) => self.rules.reference(reference, span),
            _ => self.rules.known(self.scope.reference(reference, span)?),
        }
    }

    fn member(&self, of: &InstanceRef, member: &Member, argument: Option<Value>, span: Span) -> Outcome<Value> {
        self.rules.member(of, member, argument, span)
    }

    fn attribute(&self, address: &Address, kind: &Name, name: &Name, span: Span) -> Outcome<Value> {
        self.rules.attribute(address, kind, name, span)
    }

    fn function(&self, place: u32) -> Option<Callee<'_>> {
        self.scope.function(place)
    }

    fn outside(&self) -> &dyn Outside {
        self.scope.outside()
    }

    fn budget(&self) -> &Budget {
        self.scope.budget()
    }

    fn nearness(&self, source: SourceId) -> u8 {
        self.scope.nearness(source)
    }
}
