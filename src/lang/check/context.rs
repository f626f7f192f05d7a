//! What an expression sees: its scope, the variables around it, and what is known to hold where it stands.

use std::sync::OnceLock;

use crate::lang::resolve::{ItemId, ScopeId};
use crate::model::expr::{Builtin, Expr, ExprKind, Slot};
use crate::model::{Data, Name, Span, Type, Value};

/// An expression with the type of its values.
pub struct Typed {
    pub expr: Expr,
    pub ty: Type,
    /// The one item that it refers to, where it refers to one.
    pub item: Option<ItemId>,
}

impl Typed {
    pub fn new(kind: ExprKind, span: Span, ty: Type) -> Typed {
        Typed { expr: Expr::new(kind, span), ty, item: None }
    }

    /// What an error leaves behind.
    pub fn poison(span: Span) -> Typed {
        Typed { expr: poison(span), ty: Type::Poison, item: None }
    }
}

/// Stands for an expression that has no value. A program that holds one is not given out, unless what is wrong with it is only
/// that it cannot be reached: then it fails when it is.
pub fn poison(span: Span) -> Expr {
    static FAIL: OnceLock<Option<Builtin>> = OnceLock::new();
    let words = Expr::literal(Value::new(Data::Text("this has no value".into()), span));
    match FAIL.get_or_init(|| crate::eval::builtins::find("fail")) {
        Some(fail) => Expr::new(ExprKind::Builtin(fail.clone(), vec![Some(words)]), span),
        None => words,
    }
}

/// A variable.
#[derive(Clone)]
pub struct Local {
    pub name: Name,
    pub slot: Slot,
    pub ty: Type,
    /// The item whose instances it runs through.
    pub item: Option<ItemId>,
}

/// What is known to hold.
#[derive(Clone)]
pub enum Fact {
    NotNull(Expr),
    Null(Expr),
    True(Expr),
    False(Expr),
}

/// Where an expression stands.
#[derive(Clone)]
pub struct Cx {
    pub scope: ScopeId,
    pub locals: Vec<Local>,
    pub facts: Vec<Fact>,
    /// The next free slot of the item.
    pub slots: u32,
    /// The body of a function: it sees its parameters and what is at file level.
    pub function: bool,
    /// What that is, where it is no body of a function: `the default of an input`.
    pub place: &'static str,
    /// The item has a key.
    pub keyed: bool,
    /// The rules of a policy or test, which see the finished plan.
    pub rules: Option<RulesOf>,
}

/// Whose rules an expression stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RulesOf {
    Policy,
    Test,
}

impl Cx {
    pub fn new(scope: ScopeId) -> Cx {
        Cx {
            scope,
            locals: Vec::new(),
            facts: Vec::new(),
            slots: 0,
            function: false,
            place: "a function",
            keyed: false,
            rules: None,
        }
    }

    pub fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|local| &*local.name == name)
    }

    /// Binds a variable; `_` is bound to nothing.
    pub fn bind(&mut self, name: &Name, ty: Type, item: Option<ItemId>) -> Slot {
        let slot = Slot(self.slots);
        self.slots += 1;
        if &**name != "_" {
            self.locals.push(Local { name: name.clone(), slot, ty, item });
        }
        slot
    }

    pub fn mark(&self) -> Mark {
        Mark { locals: self.locals.len(), facts: self.facts.len() }
    }

    /// Forgets variables and facts that are newer than the mark. Slots are not used again.
    pub fn reset(&mut self, mark: Mark) {
        self.locals.truncate(mark.locals);
        self.facts.truncate(mark.facts);
    }
}

#[derive(Clone, Copy)]
pub struct Mark {
    locals: usize,
    facts: usize,
}
