//! Heads of items, and conditions of item branches: checked once, when first needed.

use std::sync::Arc;

use super::context::{Cx, Fact, Local, Typed};
use super::describe::{At, noun, quoted};
use super::fit::secret;
use super::narrow;
use super::shapes::untainted;
use super::{Checker, Progress};
use crate::lang::program::{Each, Head};
use crate::lang::resolve::{IfId, ItemId, OWN, What, nearest};
use crate::lang::syntax::tree;
use crate::model::expr::{Expr, Slot};
use crate::model::{Code, Type};

/// A head, and what it leaves for the body.
pub(super) struct CheckedHead {
    pub head: Head,
    locals: Vec<Local>,
    facts: Vec<Fact>,
    slots: u32,
}

impl<'t> Checker<'t> {
    /// The head of an item; `None` while it is being checked.
    pub(super) fn head_of(&mut self, item: ItemId) -> Option<Arc<CheckedHead>> {
        match &self.items[item.at()].head {
            Progress::Done(head) => return Some(head.clone()),
            Progress::Busy => return None,
            Progress::Waiting => {}
        }
        self.items[item.at()].head = Progress::Busy;
        // Mistakes in it are said now, whoever asks.
        let quiet = std::mem::take(&mut self.quiet);
        let entry = &self.tables.items[item.at()];
        let scope = entry.scope;
        let head: Option<&'t tree::Head> = match entry.what {
            What::Instance(it, _) => Some(&it.head),
            What::Resource(it, _) => Some(&it.head),
            What::Secret(_) | What::Unknown => None,
        };
        let mut cx = self.scope_cx(scope);
        let head = head.map_or_else(Head::default, |head| self.check_head(&mut cx, head));
        let checked = Arc::new(CheckedHead { head, locals: cx.locals, facts: cx.facts, slots: cx.slots });
        self.items[item.at()].head = Progress::Done(checked.clone());
        self.quiet = quiet;
        Some(checked)
    }

    /// The context of an item's body.
    pub(super) fn head_cx(&mut self, item: ItemId) -> Option<Cx> {
        let head = self.head_of(item)?;
        let mut cx = Cx::new(self.tables.items[item.at()].scope);
        cx.locals = head.locals.clone();
        cx.facts = head.facts.clone();
        cx.slots = head.slots;
        cx.keyed = head.head.each.is_some();
        Some(cx)
    }

    fn check_head(&mut self, cx: &mut Cx, head: &'t tree::Head) -> Head {
        let mut checked = Head::default();
        if let Some(each) = &head.each {
            cx.keyed = true;
            checked.each = Some(self.check_each(cx, each));
        }
        if let Some(cond) = &head.cond {
            let (cond, tainted) = self.condition(cx, cond);
            if tainted {
                self.say_secret_shown(Some(&cond), &secret(Type::Bool), &At::place("whether something exists"), cond.span);
            }
            narrow::learn(cx, &cond, true);
            checked.cond = Some(cond);
        }
        if let Some(on) = &head.on {
            let expr = self.check(cx, on, &Type::Provider("".into()), &At::place("`on`"));
            self.needed_early(cx.scope, &expr, "`on`");
            self.declared_provider(&expr);
            checked.on = Some(expr);
        }
        if let Some(env) = &head.in_env {
            self.refuse_unknown_environment(env);
            checked.in_env = Some((env.node.clone(), env.span));
        }
        checked
    }

    fn refuse_unknown_environment(&mut self, name: &tree::Name) {
        if self.environment_names.contains(&name.node) || self.tables.may_be_broken(OWN, &["environment", &name.node]) {
            return;
        }
        let near = nearest(&name.node, self.environment_names.iter().map(|it| &**it)).map(|near| format!("write `{near}`"));
        let diagnostic = Code::UnknownEnvironment
            .error(format!("the stack has no environment `{}`", name.node))
            .label(name.span, "not declared")
            .helps(near);
        self.say(diagnostic);
    }

    /// `for x in collection up to bound`: distinct strings or ints, or a map.
    fn check_each(&mut self, cx: &mut Cx, each: &'t tree::For) -> Each {
        let over = self.infer(cx, &each.collection);
        let elements = self.elements(&over);
        let (key, value, item, refused) = match elements {
            Some(it) => {
                let refused = !it.is_map && self.refuse_keys(&over, &it.value);
                (if it.is_map { Type::TEXT } else { it.value.clone() }, it.value, it.item, refused)
            }
            None => (Type::Poison, Type::Poison, None, true),
        };
        self.refuse_equal_names(each);
        let key = each.key.as_ref().map(|name| cx.bind(&name.node, key, None));
        let value: Slot = cx.bind(&each.value.node, value, item);
        let up_to = each.up_to.as_ref().map(|bound| {
            let bound = self.check(cx, bound, &Type::INT, &At::place("`up to`"));
            self.needed_early(cx.scope, &bound, "`up to`");
            bound
        });
        if up_to.is_none() && !refused {
            self.keys_needed_early(cx.scope, &over.expr, "`for`");
        }
        self.refuse_equal_keys(&over.expr, &each.collection);
        Each { key, value, over: over.expr, up_to, span: each.span }
    }

    /// Says why elements cannot be keys, if they cannot.
    fn refuse_keys(&mut self, over: &Typed, of: &Type) -> bool {
        let span = over.expr.span;
        let (bare, tainted) = untainted(of);
        match bare {
            _ if tainted => self.say_secret_shown(Some(&over.expr), of, &At::place("the keys of instances"), span),
            Type::Text(_) | Type::Int(_) | Type::Literals(_) | Type::Poison | Type::Any => return false,
            Type::Optional(_) | Type::Null => {
                let diagnostic = Code::MaybeNull
                    .error("the keys of instances cannot be null")
                    .label(span, "elements may be null")
                    .help("`compact(list)` leaves nulls out");
                self.say(diagnostic);
            }
            other => {
                let text = quoted(self.text(span));
                let diagnostic = Code::WrongType
                    .error(format!("instances are keyed by strings or ints, and {text} has {} in it", noun(other)))
                    .label(span, "expected strings, ints or a map")
                    .help("make it a map: `{for x in xs : [x.name] = x}`");
                self.say(diagnostic);
            }
        }
        true
    }

    /// A constant list that has a key twice.
    fn refuse_equal_keys(&mut self, over: &Expr, written: &'t tree::Expr) {
        let Some(value) = self.constant_value(over) else { return };
        let Some(items) = value.as_list() else { return };
        let mut seen = rustc_hash::FxHashMap::default();
        for (at, item) in items.iter().enumerate() {
            let key = match &item.data {
                crate::model::Data::Text(text) => text.to_string(),
                crate::model::Data::Int(number) => number.to_string(),
                _ => return,
            };
            if let Some(first) = seen.insert(key.clone(), at) {
                let spans = match &written.without_parens().kind {
                    tree::ExprKind::List(parts) => Some((parts.get(at).map(|it| it.span), parts.get(first).map(|it| it.span))),
                    _ => None,
                };
                let (second, first) = match spans {
                    Some((Some(second), Some(first))) => (second, Some(first)),
                    _ => (over.span, None),
                };
                let diagnostic = Code::Duplicate
                    .error(format!("the key `{key}` is there twice"))
                    .label(second, "second time")
                    .labels(first.map(|first| (first, "first time")))
                    .help("keys of instances are distinct");
                self.say(diagnostic);
            }
        }
    }

    /// The conditions of an item `if`; `None` while they are being checked.
    pub(super) fn conditions_of(&mut self, id: IfId) -> Option<Arc<Vec<Expr>>> {
        match &self.ifs[id.at()] {
            Progress::Done(conds) => return Some(conds.clone()),
            Progress::Busy => return None,
            Progress::Waiting => {}
        }
        self.ifs[id.at()] = Progress::Busy;
        let quiet = std::mem::take(&mut self.quiet);
        let (ast, scope) = (self.tables.ifs[id.at()].ast, self.tables.ifs[id.at()].scope);
        let mut cx = self.scope_cx(scope);
        let mut conds = Vec::with_capacity(ast.branches.len());
        for (cond, _) in &ast.branches {
            let (cond, tainted) = self.condition(&mut cx, cond);
            if tainted {
                self.say_secret_shown(Some(&cond), &secret(Type::Bool), &At::place("whether something exists"), cond.span);
            }
            self.needed_early(scope, &cond, "`if`");
            narrow::learn(&mut cx, &cond, false);
            conds.push(cond);
        }
        let conds = Arc::new(conds);
        self.ifs[id.at()] = Progress::Done(conds.clone());
        self.quiet = quiet;
        Some(conds)
    }

    pub(super) fn learn_branch(&mut self, cx: &mut Cx, id: IfId, branch: u32) {
        let Some(conds) = self.conditions_of(id) else { return };
        for (at, cond) in conds.iter().enumerate().take(branch as usize + 1) {
            narrow::learn(cx, cond, at == branch as usize);
        }
    }

    /// Whether a branch is taken, as far as that is known here.
    pub(super) fn branch_holds(&mut self, cx: &Cx, id: IfId, branch: u32) -> Option<bool> {
        let conds = self.conditions_of(id)?;
        for (at, cond) in conds.iter().enumerate().take(branch as usize + 1) {
            match (narrow::decide(cx, cond), at == branch as usize) {
                (Some(true), true) | (Some(false), false) => {}
                (Some(_), _) => return Some(false),
                (None, _) => return None,
            }
        }
        Some(true)
    }

    /// Whether the condition in an item's head certainly holds here.
    pub(super) fn head_holds(&mut self, cx: &Cx, item: ItemId) -> bool {
        let has_cond = match &self.tables.items[item.at()].what {
            What::Instance(it, _) => it.head.cond.is_some(),
            What::Resource(it, _) => it.head.cond.is_some(),
            What::Secret(_) | What::Unknown => false,
        };
        if !has_cond {
            return true;
        }
        match self.head_of(item).and_then(|head| head.head.cond.clone()) {
            Some(cond) => narrow::decide(cx, &cond) == Some(true),
            None => false,
        }
    }
}
