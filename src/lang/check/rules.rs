//! Policies, and what the rules of policies and tests have in common.

use super::Checker;
use super::context::{Cx, RulesOf};
use super::describe::{At, noun};
use super::narrow;
use crate::lang::program::{Each, Except, Policy, Require, Rule};
use crate::lang::resolve::{DirId, LIBRARY, OWN};
use crate::lang::syntax::tree::{self, EntryKind, RuleKind};
use crate::model::expr::Expr;
use crate::model::types::{ObjectType, VariantType};
use crate::model::{Code, Data, Span, Type, Value};

const FIELDS: [&str; 3] = ["control", "except", "level"];

/// A field of a policy, test or step, however it is written.
pub(super) enum Written<'t> {
    Value(&'t tree::Expr),
    Block(&'t tree::Block),
}

impl<'t> Written<'t> {
    /// The entries of a block, or of an object; `None`: it is something else.
    pub fn body(&self) -> Option<&'t tree::Body> {
        match self {
            Written::Block(block) => Some(&block.body),
            Written::Value(value) => match &value.without_parens().kind {
                tree::ExprKind::Object(body) => Some(body),
                _ => None,
            },
        }
    }
}

impl<'t> Checker<'t> {
    /// All policies, and of them those that act: the stack's own, and those that its `policies` names.
    pub(super) fn check_policies(&mut self) -> Vec<Policy> {
        let count = self.tables.policies.len();
        let mut acting = Vec::new();
        for at in 0..count {
            let entry = &self.tables.policies[at];
            let is_own = entry.directory == OWN;
            let named = self.named_policies.contains(&entry.ast.name.node) && entry.directory == LIBRARY;
            let policy = self.check_policy(at);
            if is_own || named {
                acting.push(policy);
            }
        }
        acting
    }

    /// The type of the names in `stack { policies = […] }`: policies of the library.
    pub(super) fn policy_names(&self) -> Type {
        let others = self.tables.policies.iter().filter(|it| it.directory != OWN);
        let cases = others.map(|it| (it.ast.name.node.clone(), ObjectType::default().into())).collect();
        Type::list(Type::Variant(VariantType { name: None, cases }.into()))
    }

    /// Remembers which policies `stack { policies = […] }` names.
    pub(super) fn name_policies(&mut self, value: &Expr) {
        let place = value.span;
        let is_said = |it: &crate::model::Diagnostic| {
            it.span().is_some_and(|at| at.source == place.source && at.start >= place.start && at.end <= place.end)
        };
        let Some(value) = self.constant_value(value) else {
            if self.diagnostics.iter().any(is_said) {
                return;
            }
            let diagnostic = Code::TooLate.error("which policies act is not constant").label(place, "expected a list of names");
            return self.say(diagnostic);
        };
        for name in value.as_list().unwrap_or_default() {
            if let Data::Variant(name, _) = &name.data {
                self.named_policies.push(name.clone());
            }
        }
    }

    fn check_policy(&mut self, at: usize) -> Policy {
        let entry = &self.tables.policies[at];
        let (ast, directory, span, doc) = (entry.ast, entry.directory, entry.span, entry.doc.clone());
        let mut policy = Policy {
            name: ast.name.node.clone(),
            doc,
            span,
            level: None,
            control: None,
            except: Vec::new(),
            rules: Vec::new(),
            directory: directory.0,
        };
        let mut cx = self.rules_cx(directory, RulesOf::Policy);
        let mut given: Vec<(&'t str, Span)> = Vec::new();
        for rule in &ast.rules.rules {
            let RuleKind::Entry(entry) = &rule.kind else { continue };
            let Some((name, written)) = self.setting(entry, "a policy", &FIELDS, &mut given) else { continue };
            match &*name.node {
                "level" => policy.level = self.level(&mut cx, &written, name.span),
                "control" => policy.control = self.texts(&mut cx, &written, name, "the controls of a policy"),
                _ => policy.except = self.exceptions(&mut cx, &written, name.span),
            }
        }
        policy.rules = self.check_rules(&mut cx, &ast.rules.rules, "a policy");
        let is_broken = |rule: &tree::Rule| matches!(&rule.kind, RuleKind::Entry(EntryKind::Error(_)));
        if policy.rules.is_empty() && !ast.rules.rules.iter().any(is_broken) {
            let diagnostic = Code::Doubtful
                .warning(format!("policy `{}` requires nothing", policy.name))
                .label(span, "always holds")
                .help("say what has to hold: `for d in instances(database) { require d.input.backup != null else \"…\" }`");
            self.say(diagnostic);
        }
        policy
    }

    pub(super) fn rules_cx(&self, directory: DirId, of: RulesOf) -> Cx {
        let scope = self.tables.directories[directory.at()].scope.expect("every directory has a scope");
        Cx { rules: Some(of), ..Cx::new(scope) }
    }

    fn level(&mut self, cx: &mut Cx, written: &Written<'t>, span: Span) -> Option<Expr> {
        let Written::Value(value) = written else {
            self.say_no_block("level", span);
            return None;
        };
        let levels = ["deny", "warn"].map(Value::text).to_vec();
        let expr = self.check(cx, value, &Type::Literals(levels.into()), &At::field("level", None));
        self.needed_early(cx.scope, &expr, "the level of a policy");
        Some(expr)
    }

    /// A list of texts that is known with the environment.
    pub(super) fn texts(&mut self, cx: &mut Cx, written: &Written<'t>, name: &tree::Name, place: &'static str) -> Option<Expr> {
        let Written::Value(value) = written else {
            self.say_no_block(&name.node, name.span);
            return None;
        };
        let expr = self.check(cx, value, &Type::list(Type::TEXT), &At::field(&name.node, None));
        self.needed_early(cx.scope, &expr, place);
        Some(expr)
    }

    /// `except = { "database.scratch" = "rebuilt from events" }`.
    fn exceptions(&mut self, cx: &mut Cx, written: &Written<'t>, span: Span) -> Vec<Except> {
        let mut exceptions = Vec::new();
        let Some(body) = written.body() else {
            let diagnostic =
                Code::WrongType.error("`except` is written out").label(span, "expected `except = { \"ADDRESS\" = \"reason\" }`");
            self.say(diagnostic);
            return exceptions;
        };
        for entry in &body.entries {
            let EntryKind::Field { key, value } = &entry.kind else {
                if !matches!(entry.kind, EntryKind::Error(_)) {
                    let diagnostic = Code::Syntax
                        .error("`except` holds only addresses with their reasons")
                        .label(entry.span, "expected `\"ADDRESS\" = \"reason\"`");
                    self.say(diagnostic);
                }
                continue;
            };
            let Some(pattern) = key.text() else {
                let diagnostic = Code::TooLate
                    .error("the addresses of `except` are constant")
                    .label(key.span(), "expected an address or a glob, in quotes");
                self.say(diagnostic);
                continue;
            };
            let reason = self.check(cx, value, &Type::TEXT, &At::place("the reason of an exception"));
            self.needed_early(cx.scope, &reason, "the reason of an exception");
            if self.constant_value(&reason).is_some_and(|it| it.as_text().is_some_and(|text| text.trim().is_empty())) {
                let diagnostic = Code::MissingField
                    .error(format!("the exception `{}` has no reason", pattern.node))
                    .label(value.span, "says nothing")
                    .help("say why: the reason is recorded in the log");
                self.say(diagnostic);
            }
            if !pattern.node.contains(['.', '*']) {
                let diagnostic = Code::OutOfRange
                    .error(format!("\"{}\" is no address", pattern.node.escape_debug()))
                    .label(pattern.span, "expected an address or a glob: \"database.scratch\", \"**/fly.volume.*\"");
                self.say(diagnostic);
            }
            exceptions.push(Except { pattern: pattern.node.clone(), reason, span: pattern.span });
        }
        exceptions
    }

    /// The name and the value of an entry that is a setting of a policy, test or step; `None`: it is none, which was said.
    /// `fields` are sorted.
    pub(super) fn setting(
        &mut self,
        entry: &'t EntryKind,
        who: &str,
        fields: &[&str],
        given: &mut Vec<(&'t str, Span)>,
    ) -> Option<(&'t tree::Name, Written<'t>)> {
        let (name, written) = match entry {
            EntryKind::Field { key, value } => match key.text() {
                Some(name) => (name, Written::Value(value)),
                None => {
                    let diagnostic =
                        Code::UnknownField.error(format!("{who} has no computed fields")).label(key.span(), "unknown field");
                    self.say(diagnostic);
                    return None;
                }
            },
            EntryKind::Block(block) => (&block.name, Written::Block(block)),
            EntryKind::Spread(value) => {
                self.say(Code::Syntax.error("`...` cannot stand here").label(value.span, "write the fields"));
                return None;
            }
            EntryKind::Require(_) | EntryKind::On(_) | EntryKind::Error(_) => return None,
        };
        if !fields.contains(&&*name.node) {
            self.say_unknown_field(who, &name.node, name.span, fields);
            return None;
        }
        if let Some((_, first)) = given.iter().find(|(it, _)| *it == &*name.node) {
            let diagnostic = Code::DuplicateField
                .error(format!("`{}` is given twice", name.node))
                .label(name.span, "second time")
                .label(*first, "first time");
            self.say(diagnostic);
            return None;
        }
        // Blocks of this name make a list.
        if &*name.node != "mock" {
            given.push((&name.node, name.span));
        }
        if let Written::Block(block) = &written {
            let extra = match &*name.node {
                "mock" => block.label.as_ref(),
                _ => block.key.as_ref().or(block.label.as_ref()),
            };
            if let Some(extra) = extra {
                self.say(Code::WrongType.error(format!("`{}` takes no label", name.node)).label(extra.span, "leave it out"));
            }
            if let Some(each) = &block.head.each {
                self.say(Code::Syntax.error(format!("`{}` takes no `for`", name.node)).label(each.span, "cannot stand here"));
            } else if let Some(cond) = &block.head.cond {
                self.say(Code::Syntax.error(format!("`{}` takes no `if`", name.node)).label(cond.span, "cannot stand here"));
            }
        }
        Some((name, written))
    }

    pub(super) fn say_no_block(&mut self, name: &str, span: Span) {
        let diagnostic = Code::WrongType.error(format!("`{name}` is no block")).label(span, format!("expected `{name} = …`"));
        self.say(diagnostic);
    }

    /// The rules among the entries of a policy, test or step. `who` has them, for messages.
    pub(super) fn check_rules(&mut self, cx: &mut Cx, rules: &'t [tree::Rule], who: &str) -> Vec<Rule> {
        let in_policy = cx.rules == Some(RulesOf::Policy);
        let mut checked = Vec::new();
        for rule in rules {
            match &rule.kind {
                RuleKind::Each { head, rules } => {
                    let mark = cx.mark();
                    let (each, cond) = self.check_rule_head(cx, head);
                    for rule in &rules.rules {
                        let word = match &rule.kind {
                            RuleKind::Entry(EntryKind::Error(_)) => continue,
                            RuleKind::Entry(_) => "a setting",
                            RuleKind::Step { .. } if !in_policy => "a step",
                            RuleKind::Given(_) if !in_policy => "`given`",
                            _ => continue,
                        };
                        let diagnostic = Code::Syntax
                            .error(format!("{word} cannot stand here"))
                            .label(first_word(rule), format!("stands directly in {who}"));
                        self.say(diagnostic);
                    }
                    let inner = self.check_rules(cx, &rules.rules, who);
                    cx.reset(mark);
                    checked.push(Rule::Each { each, cond, rules: inner, span: rule.span });
                }
                RuleKind::Require(require) if in_policy => checked.push(Rule::Require(self.rule_require(cx, require))),
                RuleKind::Require(require) => {
                    let diagnostic = Code::Syntax
                        .error("`require` cannot stand here")
                        .label(Span { end: require.span.start + 7, ..require.span }, "stands in a policy")
                        .help("a test expects: `expect COND`");
                    self.say(diagnostic);
                }
                RuleKind::Expect(expr) if in_policy => {
                    let diagnostic = Code::Syntax
                        .error("`expect` cannot stand here")
                        .label(Span { end: rule.span.start + 6, ..rule.span }, "stands in a test")
                        .help("a policy requires: `require COND else \"what is wrong\"`");
                    self.say(diagnostic);
                    self.quietly(|it| it.infer(cx, expr));
                }
                RuleKind::Expect(expr) => {
                    if let Some(expect) = self.check_expect(cx, expr, rule.span) {
                        checked.push(Rule::Expect(expect));
                    }
                }
                RuleKind::Step { .. } | RuleKind::Given(_) if in_policy => {
                    let word = if matches!(rule.kind, RuleKind::Given(_)) { "given" } else { "step" };
                    let diagnostic =
                        Code::Syntax.error(format!("`{word}` cannot stand here")).label(first_word(rule), "stands in a test");
                    self.say(diagnostic);
                }
                RuleKind::Step { .. } | RuleKind::Given(_) | RuleKind::Entry(_) => {}
            }
        }
        checked
    }

    fn check_rule_head(&mut self, cx: &mut Cx, head: &'t tree::Head) -> (Option<Each>, Option<Expr>) {
        let each = head.each.as_ref().map(|each| {
            let (over, key, value, tainted, ty) = self.bind_for(cx, each);
            if tainted {
                self.say_reads_secret(cx, &over, &ty);
            }
            if let Some(bound) = &each.up_to {
                let diagnostic = Code::Syntax
                    .error("`up to` cannot stand here")
                    .label(bound.span, "nothing is made for each")
                    .help("leave it out: `for x in xs { … }`");
                self.say(diagnostic);
            }
            Each { key, value, over, up_to: None, span: each.span }
        });
        let cond = head.cond.as_ref().map(|cond| self.rule_condition(cx, cond));
        if let Some(cond) = &cond {
            narrow::learn(cx, cond, true);
        }
        (each, cond)
    }

    /// A condition that no secret decides.
    pub(super) fn rule_condition(&mut self, cx: &mut Cx, cond: &'t tree::Expr) -> Expr {
        let (cond, tainted) = self.condition(cx, cond);
        if tainted {
            self.say_reads_secret(cx, &cond, &super::fit::secret(Type::Bool));
        }
        cond
    }

    fn rule_require(&mut self, cx: &mut Cx, it: &'t tree::Require) -> Require {
        let cond = self.rule_condition(cx, &it.cond);
        let mark = cx.mark();
        narrow::learn(cx, &cond, false);
        let message = self.check(cx, &it.message, &Type::TEXT, &At::place("the text of `require`"));
        cx.reset(mark);
        Require { cond, message, span: it.span, reads: Vec::new() }
    }

    pub(super) fn say_reads_secret(&mut self, cx: &Cx, expr: &Expr, ty: &Type) {
        let (who, help) = match cx.rules {
            Some(RulesOf::Test) => ("a test", "`x != null` tells whether it is there; `c.changed` names what changes"),
            _ => ("a policy", "`x != null` tells whether it is there; `c.changed` names what changes, secrets too"),
        };
        let diagnostic = Code::SecretShown
            .error(format!("{who} never sees the value of a secret"))
            .label(expr.span, format!("reads {}", noun(ty)))
            .help(help);
        self.say(diagnostic);
    }
}

/// The first word of a rule.
pub(super) fn first_word(rule: &tree::Rule) -> Span {
    match &rule.kind {
        RuleKind::Entry(EntryKind::Field { key, .. }) => key.span(),
        RuleKind::Entry(EntryKind::Block(block)) => block.name.span,
        RuleKind::Step { .. } => Span { end: rule.span.start + 4, ..rule.span },
        RuleKind::Given(_) => Span { end: rule.span.start + 5, ..rule.span },
        _ => rule.span,
    }
}
