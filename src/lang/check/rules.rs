//! Policies, and what the rules of policies and tests have in common.

use super::Checker;
use super::context::{Cx, RulesOf};
use super::describe::At;
use super::narrow;
use crate::lang::program::{Each, Except, Policy, Require, Rule};
use crate::lang::resolve::{DirId, Imported, LIBRARY, OWN, nearest};
use crate::lang::syntax::tree::{self, EntryKind, RuleKind, StepKind};
use crate::model::expr::Expr;
use crate::model::{Code, Name, Span, Type, Value};

const FIELDS: [&str; 3] = ["control", "except", "level"];

/// A policy that `stack { policies }` names.
pub(super) struct NamedPolicy {
    directory: DirId,
    name: Name,
    /// As the stack names it: `data_stays`, `net.encrypted`.
    shown: Name,
    span: Span,
}

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
    /// Checks all policies, and gives those that act: the stack's own, and those that its `policies` names, as it names them.
    pub(super) fn check_policies(&mut self) -> Vec<Policy> {
        let mut acting: Vec<Policy> = Vec::new();
        for at in 0..self.tables.policies.len() {
            let entry = &self.tables.policies[at];
            let (directory, name) = (entry.directory, entry.ast.name.node.clone());
            let policy = self.check_policy(at);
            if directory == OWN {
                acting.push(policy);
                continue;
            }
            if let Some(named) = self.named_policies.iter().find(|it| it.directory == directory && it.name == name) {
                acting.push(Policy { name: named.shown.clone(), ..policy });
            }
        }
        self.refuse_twins(&acting);
        acting
    }

    /// A policy of the stack may not be called as one that it names.
    fn refuse_twins(&mut self, acting: &[Policy]) {
        let own = acting.iter().filter(|it| it.directory == OWN.0);
        let twins: Vec<(Name, Span, Span)> = own
            .filter_map(|own| {
                let named = self.named_policies.iter().find(|it| it.shown == own.name)?;
                Some((own.name.clone(), named.span, own.span))
            })
            .collect();
        for (name, named, own) in twins {
            let diagnostic = Code::Duplicate
                .error(format!("two policies called `{name}` act"))
                .label(named, "one is named here")
                .label(own, "and this one acts by itself")
                .help("rename yours");
            self.say(diagnostic);
        }
    }

    /// Remembers which policies `stack { policies = [net.encrypted, data_stays] }` names: those of imports and of the library.
    pub(super) fn name_policies(&mut self, body: &'t tree::Body) {
        let value = body.entries.iter().find_map(|entry| match &entry.kind {
            EntryKind::Field { key, value } if key.text().is_some_and(|it| &*it.node == "policies") => Some(value),
            _ => None,
        });
        let Some(value) = value else { return };
        let tree::ExprKind::List(items) = &value.without_parens().kind else {
            let diagnostic = Code::WrongType
                .error("`policies` is a list of names, written out")
                .label(value.span, "expected `[data_stays, net.encrypted]`");
            return self.say(diagnostic);
        };
        for item in items {
            self.name_policy(item);
        }
    }

    fn name_policy(&mut self, item: &'t tree::Expr) {
        let span = item.span;
        let (import, name) = match &item.without_parens().kind {
            tree::ExprKind::Name(name) => (None, name.clone()),
            tree::ExprKind::Access { base, steps } => match (base.as_name(), &steps[..]) {
                (Some(import), [tree::Step { kind: StepKind::Field { name, .. }, .. }]) => (Some(import), name.node.clone()),
                _ => return self.say_no_policy(span),
            },
            _ => return self.say_no_policy(span),
        };
        let directory = match import {
            None => LIBRARY,
            Some(import) => match self.tables.directories[OWN.at()].imports.get(import).map(|it| it.to) {
                Some(Imported::Directory(directory)) => directory,
                Some(Imported::Unread) => return,
                Some(Imported::Stack(_)) | None => {
                    let diagnostic = Code::UnknownName
                        .error(format!("there is no import `{import}`"))
                        .label(span, "names a policy of an import")
                        .help(format!("write `import \"PATH\" as {import}`"));
                    return self.say(diagnostic);
                }
            },
        };
        let all = || self.tables.policies.iter().filter(|it| it.directory == directory).map(|it| &*it.ast.name.node);
        if all().any(|it| *it == *name) {
            let shown = import.map_or_else(|| name.clone(), |import| format!("{import}.{name}").into());
            if self.named_policies.iter().any(|it| it.shown == shown) {
                self.say(Code::Doubtful.warning(format!("`{shown}` is named twice")).label(span, "acts already"));
                return;
            }
            self.named_policies.push(NamedPolicy { directory, name, shown, span });
            return;
        }
        let is_own = self.tables.policies.iter().any(|it| it.directory == OWN && it.ast.name.node == name);
        if import.is_none() && is_own {
            let diagnostic =
                Code::Doubtful.warning(format!("`{name}` acts already: it is the stack's own")).label(span, "need not be named");
            return self.say(diagnostic);
        }
        if self.tables.may_be_broken(directory, &["policy", &name]) {
            return;
        }
        let near = nearest(&name, all()).map(str::to_owned);
        let known = super::describe::listed(all());
        let place = import.map_or_else(|| "in the standard library".to_owned(), |import| format!("in `{import}`"));
        let diagnostic = Code::UnknownName
            .error(format!("there is no policy `{name}` {place}"))
            .label(span, "not defined there")
            .help(match near {
                Some(near) => format!("write `{}{near}`", import.map(|it| format!("{it}.")).unwrap_or_default()),
                None if known.is_empty() => "it has none".to_owned(),
                None => format!("it has {known}"),
            });
        self.say(diagnostic);
    }

    fn say_no_policy(&mut self, span: Span) {
        let diagnostic = Code::WrongType
            .error("`policies` names policies")
            .label(span, "expected a name such as `data_stays`, or `net.encrypted` of an import");
        self.say(diagnostic);
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
        if self.say_given_twice(given, name) {
            return None;
        }
        // Blocks of this name make a list.
        if !matches!(&*name.node, "given" | "mock") {
            given.push((&name.node, name.span));
        }
        if let Written::Block(block) = &written {
            let extra = match &*name.node {
                "mock" => block.label.as_ref(),
                "given" => block.key.as_ref(),
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
            let (over, key, value, tainted, _) = self.bind_for(cx, each);
            if tainted {
                self.say_reads_secret(cx, &over);
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
            self.say_reads_secret(cx, &cond);
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

    pub(super) fn say_reads_secret(&mut self, cx: &Cx, expr: &Expr) {
        let (who, help) = match cx.rules {
            Some(RulesOf::Test) => ("a test", "`x != null` tells whether it is there; `c.changed` names what changes"),
            _ => ("a policy", "`x != null` tells whether it is there; `c.changed` names what changes, secrets too"),
        };
        let diagnostic = Code::SecretShown
            .error(format!("{who} never sees the value of a secret"))
            .label(expr.span, "is made from a secret, or from what may be one")
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
