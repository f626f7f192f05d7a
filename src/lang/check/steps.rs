//! Tests: their steps, what these are done with, what is expected.

use std::sync::Arc;

use super::Checker;
use super::blocks::Level;
use super::body::FieldsOf;
use super::context::{Cx, RulesOf};
use super::describe::{At, listed};
use super::rules::{Written, first_word};
use crate::lang::program::{Act, Body, Expect, Expected, Given, Mock, Rule, Setting, Step, Test};
use crate::lang::resolve::{OWN, ScopeId, nearest};
use crate::lang::syntax::tree::{self, EntryKind, RuleKind, StepKind};
use crate::model::expr::{Expr, ExprKind};
use crate::model::types::{Bounds, FieldType, Need, ObjectType, VariantType};
use crate::model::{Code, Confidence, Diagnostic, Edit, Kind, Name, Span, Type, Value};

/// What a test or a step may say.
const FIELDS: [&str; 9] = ["allow_destroy", "do", "environment", "faults", "given", "inputs", "mock", "only", "replace"];

/// What a test or a step says of itself.
#[derive(Default)]
struct Said {
    act: Option<Act>,
    setting: Setting,
    /// Where its expressions look names up: in its `given`, where there is one.
    scope: Option<ScopeId>,
}

impl<'t> Checker<'t> {
    pub(super) fn check_tests(&mut self) -> Vec<Test> {
        let own = self.tables.directories[OWN.at()].scope.expect("the stack has a scope");
        (0..self.tables.tests.len()).map(|at| self.check_test(at, own)).collect()
    }

    fn check_test(&mut self, at: usize, own: ScopeId) -> Test {
        let entry = &self.tables.tests[at];
        let (ast, span, doc) = (entry.ast, entry.span, entry.doc.clone());
        let said = self.said(&ast.rules, own);
        let scope = said.scope.unwrap_or(own);
        let mut cx = Cx { rules: Some(RulesOf::Test), ..Cx::new(scope) };
        let rules = self.check_rules(&mut cx, &ast.rules.rules, "a test");
        let mut steps: Vec<Step> = Vec::new();
        let mut last = scope;
        for rule in &ast.rules.rules {
            let RuleKind::Step { name, rules: inner } = &rule.kind else { continue };
            if let Some(first) = steps.iter().find(|it| it.name.as_ref() == Some(&name.node)) {
                let diagnostic = Code::Duplicate
                    .error(format!("step `{}` is there twice", name.node))
                    .label(name.span, "second step")
                    .label(first.span, "first step")
                    .help("rename one of the two");
                self.say(diagnostic);
            }
            let span = Span { end: name.span.end, ..rule.span };
            let own = self.said(inner, scope);
            last = own.scope.unwrap_or(scope);
            let mut cx = Cx { rules: Some(RulesOf::Test), ..Cx::new(last) };
            let rules = self.check_rules(&mut cx, &inner.rules, "a step");
            for rule in &inner.rules {
                if let RuleKind::Step { .. } = rule.kind {
                    let diagnostic =
                        Code::Syntax.error("a step cannot stand in a step").label(first_word(rule), "stands directly in a test");
                    self.say(diagnostic);
                }
            }
            let act = own.act.or(said.act).unwrap_or_default();
            let setting = over(&said.setting, own.setting);
            self.require_environment(&setting, span);
            steps.push(Step { name: Some(name.node.clone()), doc: rule.doc.clone(), span, act, setting, rules });
        }
        if !steps.is_empty() {
            // What is asked after the last step sees what that step saw.
            let rules = match last == scope {
                true => rules,
                false => {
                    let mut cx = Cx { rules: Some(RulesOf::Test), ..Cx::new(last) };
                    self.quietly(|it| it.check_rules(&mut cx, &ast.rules.rules, "a test"))
                }
            };
            return Test { name: ast.name.node.clone(), doc, span, steps, rules };
        }
        self.require_environment(&said.setting, span);
        if rules.is_empty() && !ast.rules.rules.iter().any(|it| matches!(it.kind, RuleKind::Entry(EntryKind::Error(_)))) {
            let diagnostic = Code::Doubtful
                .warning(format!("test \"{}\" expects nothing", ast.name.node))
                .label(span, "fails only where its plan does")
                .help("say what has to come of it: `expect plan.changes == []`");
            self.say(diagnostic);
        }
        let act = said.act.unwrap_or_default();
        let step = Step { name: None, doc: None, span, act, setting: said.setting, rules };
        Test { name: ast.name.node.clone(), doc, span, steps: vec![step], rules: Vec::new() }
    }

    fn require_environment(&mut self, setting: &Setting, span: Span) {
        if setting.environment.is_some() || self.environment_names.len() == 1 {
            return;
        }
        let diagnostic = match self.environment_names.is_empty() {
            true => Code::UnknownEnvironment
                .error("a test needs an environment, and the stack has none")
                .label(span, "is run in one")
                .help("declare it: `environment test { on = local }`"),
            false => Code::MissingField
                .error("a test says in which environment it runs")
                .label(span, "needs `environment = NAME`")
                .help(format!("the stack has {}", listed(self.environment_names.iter().map(|it| &**it)))),
        };
        self.say(diagnostic);
    }

    /// The settings of a test or step.
    fn said(&mut self, rules: &'t tree::Rules, outer: ScopeId) -> Said {
        let mut said = Said::default();
        let mut given: Vec<(&'t str, Span)> = Vec::new();
        for rule in &rules.rules {
            if let RuleKind::Given(items) = &rule.kind {
                let span = first_word(rule);
                if said.setting.given.is_some() {
                    let diagnostic =
                        Code::DuplicateField.error("`given` is there twice").label(span, "second time").help("join the two");
                    self.say(diagnostic);
                    continue;
                }
                let Some(scope) = self.tables.given.get(&(std::ptr::from_ref(items) as usize)).copied() else { continue };
                let body = self.check_items(&items.items, scope);
                self.given_outputs.push((scope, outputs_of(&body)));
                said.scope = Some(scope);
                said.setting.given = Some(Arc::new(Given { body, errors: Vec::new(), span: rule.span }));
            }
        }
        let mut cx = Cx { rules: Some(RulesOf::Test), ..Cx::new(outer) };
        for rule in &rules.rules {
            let RuleKind::Entry(entry) = &rule.kind else { continue };
            let Some((name, written)) = self.setting(entry, "a test", &FIELDS, &mut given) else { continue };
            let setting = &mut said.setting;
            match &*name.node {
                "do" => said.act = self.act(&mut cx, &written, name.span),
                "environment" => setting.environment = self.environment(&written, name.span),
                "inputs" => {
                    let inputs = self.check_inputs(&mut Cx::new(outer), written.body().ok_or(name.span));
                    setting.inputs = inputs.into_iter().map(|(name, value)| (name, value.clone(), value.span)).collect();
                }
                "given" => {
                    if let Some(stack) = self.given_stack(&mut cx, &written, name.span) {
                        setting.stacks.push(stack);
                    }
                }
                "faults" => setting.faults = self.faults(&mut cx, &written, name.span),
                "mock" => {
                    if let Some(mock) = self.mock(&mut cx, &written, name.span) {
                        setting.mocks.push(mock);
                    }
                }
                "only" => setting.only = self.texts(&mut cx, &written, name, "`only`"),
                "replace" => setting.replace = self.texts(&mut cx, &written, name, "`replace`"),
                _ => setting.allow_destroy = self.texts(&mut cx, &written, name, "`allow_destroy`"),
            }
        }
        said
    }

    fn act(&mut self, cx: &mut Cx, written: &Written<'t>, span: Span) -> Option<Act> {
        let Written::Value(value) = written else {
            self.say_no_block("do", span);
            return None;
        };
        let acts = ["apply", "check", "destroy", "plan"].map(Value::text).to_vec();
        let said = self.diagnostics.len();
        let expr = self.check(cx, value, &Type::Literals(acts.into()), &At::field("do", None));
        match self.constant_value(&expr).as_ref().and_then(Value::as_text) {
            Some("apply") => Some(Act::Apply),
            Some("check") => Some(Act::Check),
            Some("destroy") => Some(Act::Destroy),
            Some(_) => Some(Act::Plan),
            None => {
                if self.diagnostics.len() == said {
                    let diagnostic = Code::TooLate
                        .error("what a step does is constant")
                        .label(value.span, "expected \"apply\", \"check\", \"destroy\" or \"plan\"");
                    self.say(diagnostic);
                }
                None
            }
        }
    }

    /// `environment = production`.
    fn environment(&mut self, written: &Written<'t>, span: Span) -> Option<(Name, Span)> {
        let Written::Value(value) = written else {
            self.say_no_block("environment", span);
            return None;
        };
        let (name, quoted) = match (value.as_name(), value.as_text()) {
            (Some(name), _) => (name.clone(), false),
            (None, Some(text)) => (text.clone(), true),
            (None, None) => {
                let diagnostic = Code::WrongType
                    .error("`environment` takes the name of one")
                    .label(value.span, format!("expected {}", listed(self.environment_names.iter().map(|it| &**it))));
                self.say(diagnostic);
                return None;
            }
        };
        if !self.environment_names.contains(&name) {
            if !self.tables.may_be_broken(OWN, &["environment", &name]) {
                let near = nearest(&name, self.environment_names.iter().map(|it| &**it)).map(str::to_owned);
                let diagnostic = Code::UnknownEnvironment
                    .error(format!("the stack has no environment `{name}`"))
                    .label(value.span, "not declared");
                let diagnostic = match near {
                    Some(near) => diagnostic.help(format!("write `{near}`")),
                    None => diagnostic.help(format!("it has {}", listed(self.environment_names.iter().map(|it| &**it)))),
                };
                self.say(diagnostic);
            }
            // One that is missing would be a second message.
            return Some((name, value.span));
        }
        if quoted {
            let diagnostic = Code::WrongType
                .error("an environment is named without quotes")
                .label(value.span, "is a string")
                .help(format!("write `{name}`"))
                .fix("leave the quotes out", Confidence::Sure, vec![Edit { span: value.span, text: name.to_string() }]);
            self.say(diagnostic);
        }
        Some((name, value.span))
    }

    /// `faults { fly { path = "*/machines", count = 1, do = drop_after } }`.
    fn faults(&mut self, cx: &mut Cx, written: &Written<'t>, span: Span) -> Option<Expr> {
        let Some(body) = written.body() else {
            let diagnostic = Code::WrongType
                .error("`faults` takes a block")
                .label(span, "expected `faults { fly { count = 1, do = drop_after } }`");
            self.say(diagnostic);
            return None;
        };
        let providers = self.schemas.providers.keys().filter(|name| &***name != "engine");
        let field = FieldType { ty: Type::list(fault()), need: Need::Absent };
        let fields = providers.map(|name| (name.clone(), field.clone())).collect();
        let object = Arc::new(ObjectType { fields, name: Some("faults".into()) });
        let folded = self.fold(cx, body, &FieldsOf::Object(&object), "`faults`", None, false, Level::Inside);
        Some(Expr::new(ExprKind::Map(folded.into_map()), body.span))
    }

    /// `mock "fly.machine" { id = "m1" }`.
    fn mock(&mut self, cx: &mut Cx, written: &Written<'t>, span: Span) -> Option<Mock> {
        let pattern = match written {
            Written::Block(block) => block.key.as_ref(),
            Written::Value(_) => None,
        };
        let (Some(pattern), Some(body)) = (pattern, written.body()) else {
            let diagnostic = Code::WrongType
                .error("`mock` is a block for a kind, or an address")
                .label(span, "expected `mock \"fly.machine\" { id = \"m1\" }`");
            self.say(diagnostic);
            return None;
        };
        let kind = self.mocked_kind(pattern)?;
        let mut fields: Vec<(Name, Expr)> = Vec::new();
        for entry in &body.entries {
            let EntryKind::Field { key, value } = &entry.kind else {
                if !matches!(entry.kind, EntryKind::Error(_)) {
                    let diagnostic =
                        Code::Syntax.error("`mock` holds only attributes").label(entry.span, "expected `attribute = value`");
                    self.say(diagnostic);
                }
                continue;
            };
            let Some(name) = key.text() else {
                self.say(Code::UnknownField.error("`mock` has no computed fields").label(key.span(), "unknown field"));
                continue;
            };
            let Some(attribute) = kind.attribute(&name.node).cloned() else {
                let known: Vec<&str> = kind.attributes.iter().map(|it| &*it.name).collect();
                self.say_unknown_field(&format!("`{}`", kind.name), &name.node, name.span, &known);
                continue;
            };
            if !attribute.is_computed() && !matches!(attribute.given, crate::model::schema::Given::OptionalComputed) {
                let diagnostic = Code::WrongType
                    .error(format!("`{}` of `{}` comes from the program", name.node, kind.name))
                    .label(name.span, "no platform computes it")
                    .help("`mock` says what a platform answers; set inputs with `inputs { … }`");
                self.say(diagnostic);
                continue;
            }
            let ty = super::fit::sink(&attribute.ty, attribute.sensitive);
            let value = self.check(cx, value, &ty, &At::field(&name.node, None));
            fields.push((name.node.clone(), value));
        }
        Some(Mock { pattern: pattern.node.clone(), fields, span: pattern.span })
    }

    /// The kind of what a pattern matches: the pattern itself, or what its last segment begins with.
    fn mocked_kind(&mut self, pattern: &tree::Name) -> Option<Arc<Kind>> {
        let last = pattern.node.rsplit('/').next().unwrap_or_default();
        let kind = last.split('.').take(2).collect::<Vec<_>>().join(".");
        if let Some(kind) = self.schemas.kind(&kind) {
            return Some(kind.clone());
        }
        let providers = self.schemas.providers.iter();
        let known: Vec<String> =
            providers.flat_map(|(name, it)| it.kinds.keys().map(move |kind| format!("{name}.{kind}"))).collect();
        let near = nearest(&kind, known.iter().map(|it| &**it)).map(str::to_owned);
        let diagnostic = Code::UnknownKind
            .error(format!("there is no kind `{}`", kind.escape_debug()))
            .label(pattern.span, "expected a kind, or an address or glob that ends with one")
            .help(match near {
                Some(near) => format!("write `{near}`"),
                None => "such as \"fly.machine\", or \"service.api/fly.machine.web\"".into(),
            });
        self.say(diagnostic);
        None
    }

    /// `expect COND`, `expect error("SW0201")`, `expect refused(policy.x)`.
    pub(super) fn check_expect(&mut self, cx: &mut Cx, expr: &'t tree::Expr, span: Span) -> Option<Expect> {
        if let tree::ExprKind::Access { base, steps } = &expr.without_parens().kind
            && let (Some(name), [tree::Step { kind: StepKind::Call { args }, .. }]) = (base.as_name(), &steps[..])
            && self.tables.find_function(OWN, name).is_none()
        {
            match &**name {
                "error" => return Some(Expect { what: Expected::Error(self.expected_code(args, expr.span)?), span }),
                "refused" => return Some(Expect { what: Expected::Refused(self.expected_policy(args, expr.span)?), span }),
                _ => {}
            }
        }
        let cond = self.rule_condition(cx, expr);
        Some(Expect { what: Expected::Holds(cond), span })
    }

    fn expected_code(&mut self, args: &'t [tree::Arg], span: Span) -> Option<Code> {
        let text = match args {
            [tree::Arg { name: None, value }] => value.as_text().map(|text| (text, value.span)),
            _ => None,
        };
        let Some((text, at)) = text else {
            self.say(Code::BadArguments.error("`error` takes one code").label(span, "write `error(\"SW0201\")`"));
            return None;
        };
        let code = Code::parse(text);
        if code.is_none() {
            let diagnostic = Code::OutOfRange
                .error(format!("there is no code \"{}\"", text.escape_debug()))
                .label(at, "expected one such as \"SW0201\"")
                .help("`stackwright explain` lists the codes");
            self.say(diagnostic);
        }
        code
    }

    fn expected_policy(&mut self, args: &'t [tree::Arg], span: Span) -> Option<Option<Name>> {
        if args.is_empty() {
            return Some(None);
        }
        let named = match args {
            [tree::Arg { name: None, value }] => match &value.without_parens().kind {
                tree::ExprKind::Access { base, steps } => match (base.as_name().map(|it| &**it), &steps[..]) {
                    (Some("policy"), [tree::Step { kind: StepKind::Field { name, .. }, .. }]) => {
                        Some((name.node.clone(), name.span))
                    }
                    (
                        Some("policy"),
                        [
                            tree::Step { kind: StepKind::Field { name: import, .. }, .. },
                            tree::Step { kind: StepKind::Field { name, .. }, .. },
                        ],
                    ) => Some((format!("{}.{}", import.node, name.node).into(), import.span.to(name.span))),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        let Some((name, at)) = named else {
            let diagnostic = Code::BadArguments
                .error("`refused` takes one policy, or nothing")
                .label(span, "write `refused(policy.NAME)`, or `refused()`");
            self.say(diagnostic);
            return None;
        };
        let acting: Vec<Name> = self.acting_policies.clone();
        if !acting.contains(&name) {
            let unread = name.split('.').next().is_some_and(|import| name.contains('.') && self.tables.is_unread(OWN, import));
            if !unread && !self.tables.may_be_broken(OWN, &["policy", &name]) {
                let near = nearest(&name, acting.iter().map(|it| &**it)).map(str::to_owned);
                let diagnostic = Code::UnknownName
                    .error(format!("no policy `{name}` acts here"))
                    .label(at, "not defined, and not named by `policies` of the stack");
                let diagnostic = match near {
                    Some(near) => diagnostic.help(format!("write `policy.{near}`")),
                    None => diagnostic,
                };
                self.say(diagnostic);
            }
            return None;
        }
        Some(Some(name))
    }

    /// The outputs that a scope of rules sees.
    pub(super) fn outputs_of(&self, scope: ScopeId) -> Arc<Vec<(Name, Type)>> {
        let of_given = self.given_outputs.iter().find(|(given, _)| *given == scope);
        of_given.map_or_else(|| self.stack_outputs.clone(), |(_, outputs)| outputs.clone())
    }

    /// What is wrong in the items of a `given` is what its step expects, where it expects an error: it is no error of the program.
    pub(super) fn expected_errors(&mut self, tests: &mut [Test]) {
        for test in tests {
            let whole = expects_error(&test.rules);
            for step in &mut test.steps {
                let Some(given) = &mut step.setting.given else { continue };
                if !whole && !expects_error(&step.rules) {
                    continue;
                }
                let inside = |it: &Diagnostic| {
                    it.is_error()
                        && it.span().is_some_and(|at| {
                            at.source == given.span.source && at.start >= given.span.start && at.end <= given.span.end
                        })
                };
                let found: Vec<Diagnostic> = self.diagnostics.iter().filter(|it| inside(it)).cloned().collect();
                self.expected.extend(found.iter().cloned());
                Arc::make_mut(given).errors = found;
            }
        }
        let expected = std::mem::take(&mut self.expected);
        self.diagnostics.retain(|it| !expected.contains(it));
    }
}

/// Names and types of outputs; those of branches are there only sometimes.
pub(super) fn outputs_of(body: &Body) -> Arc<Vec<(Name, Type)>> {
    fn add(body: &Body, certain: bool, found: &mut Vec<(Name, Type)>) {
        for output in &body.outputs {
            let ty = match certain && output.cond.is_none() {
                true => output.ty.clone(),
                false => output.ty.clone().optional(),
            };
            if !found.iter().any(|(name, _)| *name == output.name) {
                found.push((output.name.clone(), ty));
            }
        }
        for branch in &body.branches {
            add(&branch.then, false, found);
            add(&branch.otherwise, false, found);
        }
    }
    let mut found = Vec::new();
    add(body, true, &mut found);
    Arc::new(found)
}

fn expects_error(rules: &[Rule]) -> bool {
    rules.iter().any(|rule| match rule {
        Rule::Each { rules, .. } => expects_error(rules),
        Rule::Expect(expect) => matches!(expect.what, Expected::Error(_)),
        Rule::Require(_) => false,
    })
}

/// The settings of a step, over those of its test.
fn over(test: &Setting, step: Setting) -> Setting {
    let mut inputs: Vec<_> =
        test.inputs.iter().filter(|(name, ..)| !step.inputs.iter().any(|(given, ..)| given == name)).cloned().collect();
    inputs.extend(step.inputs);
    Setting {
        environment: step.environment.or_else(|| test.environment.clone()),
        inputs,
        allow_destroy: step.allow_destroy.or_else(|| test.allow_destroy.clone()),
        only: step.only.or_else(|| test.only.clone()),
        replace: step.replace.or_else(|| test.replace.clone()),
        faults: step.faults.or_else(|| test.faults.clone()),
        given: step.given.or_else(|| test.given.clone()),
        mocks: test.mocks.iter().cloned().chain(step.mocks).collect(),
        stacks: test.stacks.iter().cloned().chain(step.stacks).collect(),
    }
}

/// The type of one rule of a simulated cloud.
fn fault() -> Type {
    let field = |ty: Type, need: Need| FieldType { ty, need };
    let named = |fields: Vec<(&str, FieldType)>| {
        Arc::new(ObjectType { fields: fields.into_iter().map(|(name, it)| (Name::from(name), it)).collect(), name: None })
    };
    let from = |min: i64, max: Option<i64>| Type::Int(Bounds { min: Some(min), max });
    let status = || field(from(400, Some(599)), Need::Default(Value::int(500)));
    let cases = [
        ("latency", named(vec![("by", field(Type::Duration, Need::Required))])),
        ("throttle", named(vec![("after", field(Type::Duration, Need::Absent))])),
        ("error_before", named(vec![("status", status())])),
        ("error_after", named(vec![("status", status())])),
        ("drop_before", named(vec![])),
        ("drop_after", named(vec![])),
        ("half_body", named(vec![])),
        ("html", named(vec![])),
        ("stale", named(vec![])),
    ];
    let what = VariantType { name: None, cases: cases.into_iter().map(|(name, it)| (Name::from(name), it)).collect() };
    let all = Value::engine(crate::model::Data::Percent(rust_decimal::Decimal::ONE));
    let fields = [
        ("method", field(Type::TEXT, Need::Absent)),
        ("path", field(Type::TEXT, Need::Absent)),
        ("skip", field(from(0, None), Need::Default(Value::int(0)))),
        ("count", field(from(1, None), Need::Absent)),
        ("share", field(Type::Percent, Need::Default(all))),
        ("do", field(Type::Variant(Arc::new(what)), Need::Required)),
    ];
    Type::Object(Arc::new(ObjectType {
        fields: fields.into_iter().map(|(name, it)| (Name::from(name), it)).collect(),
        name: Some("fault".into()),
    }))
}
