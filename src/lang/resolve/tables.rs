//! One entry for each thing that has a name, and the scopes that hold them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::lang::syntax::tree;
use crate::model::expr::Scope as LetPlace;
use crate::model::{Kind, Name, Span};

macro_rules! ids {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        $($(#[doc = $doc])+ #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub u32);
        impl $name {
            pub fn at(self) -> usize {
                self.0 as usize
            }
        })+
    };
}

ids! {
    /// The stack's own directory is 0, the standard library 1, imported directories follow.
    DirId,
    /// A place in [`Tables::scopes`].
    ScopeId,
    /// A place in [`Tables::lets`].
    LetId,
    /// A place in [`Tables::items`].
    ItemId,
    /// A place in [`Tables::kinds`].
    KindId,
    /// A place in [`Tables::functions`], and in the program's.
    FunctionId,
    /// A place in [`Tables::types`].
    TypeId,
    /// A place in [`Tables::ifs`].
    IfId,
    /// A place in [`crate::lang::CheckInput::stacks`], and in the program's.
    StackId,
}

/// The stack's own directory.
pub const OWN: DirId = DirId(0);
/// The standard library, whose definitions every directory sees.
pub const LIBRARY: DirId = DirId(1);

#[derive(Default)]
pub struct Tables<'t> {
    pub directories: Vec<Directory>,
    pub scopes: Vec<Scope>,
    pub lets: Vec<LetEntry<'t>>,
    pub items: Vec<ItemEntry<'t>>,
    pub kinds: Vec<KindEntry<'t>>,
    /// Kinds by the names that state knows them by.
    pub kinds_by_name: FxHashMap<Name, KindId>,
    pub functions: Vec<FunctionEntry<'t>>,
    pub types: Vec<TypeEntry<'t>>,
    pub ifs: Vec<IfEntry<'t>>,
    /// The stack's own singular items, by what they are.
    pub stack: Option<&'t tree::Item>,
    pub environments: Vec<(&'t tree::Named, Span)>,
    pub providers: Vec<(&'t tree::Provider, Span)>,
    pub inputs: Vec<(&'t tree::Input, &'t tree::Item)>,
    /// Of all directories, in the order of the source.
    pub policies: Vec<PolicyEntry<'t>>,
    /// Of the stack's own files.
    pub tests: Vec<TestEntry<'t>>,
    /// The scopes of `given { items }`, by the address of the items' tree.
    pub given: FxHashMap<usize, ScopeId>,
    /// First words of items that did not parse: references to them are not called unknown.
    pub broken: Vec<Vec<Name>>,
}

/// What a directory's files define for each other.
#[derive(Default)]
pub struct Directory {
    pub kinds: FxHashMap<Name, KindId>,
    pub functions: FxHashMap<Name, FunctionId>,
    pub types: FxHashMap<Name, TypeId>,
    /// By the name that they have here.
    pub imports: FxHashMap<Name, ImportEntry>,
    /// An import has no name, which was said: any unknown name may come from it.
    pub opaque: bool,
    /// Its path as part of addresses, with `:` after it; empty for the stack's own and the library.
    pub prefix: Name,
    pub scope: Option<ScopeId>,
}

#[derive(Clone, Copy, Debug)]
pub struct ImportEntry {
    pub to: Imported,
    /// What gives it its name: the alias, else the path.
    pub span: Span,
}

/// What stands behind an import.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Imported {
    Directory(DirId),
    Stack(StackId),
    /// It could not be read, which was said: it may define any name.
    Unread,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    Stack,
    Library,
    /// An imported directory.
    Import,
    Kind(KindId),
}

/// Where names are looked up: file level, the body of a component, a clause, or a branch of an item `if`.
pub struct Scope {
    pub parent: Option<ScopeId>,
    pub directory: DirId,
    pub owner: Owner,
    /// The provider type of the surrounding clause.
    pub clause: Option<Name>,
    /// The scope that holds the items: the nearest that is no branch.
    pub body: ScopeId,
    /// The branches between the body and here.
    pub path: Vec<(IfId, u32)>,
    /// The items of a `given`, which stand in place of the stack's: those are not seen from in here.
    pub given: bool,
    pub lets: FxHashMap<Name, LetId>,
    /// By kind, then name. `secret` is a kind here.
    pub items: FxHashMap<Name, FxHashMap<Name, Vec<ItemId>>>,
    /// Lets of this very scope, in order.
    pub let_order: Vec<LetId>,
}

pub struct LetEntry<'t> {
    pub ast: &'t tree::Let,
    pub scope: ScopeId,
    pub doc: &'t tree::Doc,
    /// `let NAME`.
    pub span: Span,
}

pub enum What<'t> {
    Instance(&'t tree::Instance, KindId),
    Resource(&'t tree::Resource, Arc<Kind>),
    Secret(&'t tree::Named),
    /// Its kind is unknown, which was said.
    Unknown,
}

pub struct ItemEntry<'t> {
    pub what: What<'t>,
    /// As its address writes it: `service`, `fly.machine`, `secret`.
    pub kind: Name,
    pub name: Name,
    /// `KIND NAME`.
    pub span: Span,
    pub scope: ScopeId,
    pub keyed: bool,
}

pub struct KindEntry<'t> {
    /// As state knows it: `service`, `modules:net:vpc`.
    pub name: Name,
    pub ast: &'t tree::Component,
    pub doc: &'t tree::Doc,
    pub directory: DirId,
    pub scope: ScopeId,
    pub clauses: Vec<ClauseEntry<'t>>,
    pub inputs: Vec<(&'t tree::Input, &'t tree::Item)>,
    pub outputs: Vec<(&'t tree::Output, &'t tree::Item)>,
    pub signals: Vec<(&'t tree::Signal, &'t tree::Item)>,
    /// Values of outputs and signals in clauses and branches.
    pub output_values: Vec<(&'t tree::Output, ScopeId)>,
    /// `component NAME`.
    pub span: Span,
}

pub struct ClauseEntry<'t> {
    pub provider: Name,
    pub items: &'t tree::Items,
    pub scope: ScopeId,
    pub span: Span,
}

pub struct FunctionEntry<'t> {
    pub ast: &'t tree::Fn,
    pub doc: &'t tree::Doc,
    pub directory: DirId,
    pub span: Span,
}

pub struct TypeEntry<'t> {
    pub ast: &'t tree::TypeDef,
    pub directory: DirId,
    pub span: Span,
}

pub struct PolicyEntry<'t> {
    pub ast: &'t tree::Policy,
    pub doc: &'t tree::Doc,
    pub directory: DirId,
    /// `policy NAME`.
    pub span: Span,
}

pub struct TestEntry<'t> {
    pub ast: &'t tree::Test,
    pub doc: &'t tree::Doc,
    /// `test "NAME"`.
    pub span: Span,
}

pub struct IfEntry<'t> {
    pub ast: &'t tree::If,
    pub scope: ScopeId,
    /// The scope of each branch, `else` last.
    pub branches: Vec<ScopeId>,
}

impl<'t> Tables<'t> {
    pub fn scope(&self, id: ScopeId) -> &Scope {
        &self.scopes[id.at()]
    }

    /// The scopes from one outwards; the standard library's is the last.
    pub fn outwards(&self, from: ScopeId) -> impl Iterator<Item = ScopeId> + '_ {
        std::iter::successors(Some(from), |at| self.scope(*at).parent)
    }

    /// The `let` of that name that `from` sees.
    pub fn find_let(&self, from: ScopeId, name: &str) -> Option<LetId> {
        self.outwards(from).find_map(|scope| self.scope(scope).lets.get(name).copied())
    }

    /// The items that share an address; more than one only in different branches of an `if`.
    pub fn find_items(&self, from: ScopeId, kind: &str, name: &str) -> &[ItemId] {
        for scope in self.reach(from) {
            if let Some(found) = self.scope(scope).items.get(kind).and_then(|names| names.get(name)) {
                return found;
            }
        }
        &[]
    }

    /// Scopes whose items `from` sees: a component does not see those of whoever uses it, nor of the file that defines it.
    pub fn reach(&self, from: ScopeId) -> impl Iterator<Item = ScopeId> + '_ {
        let owner = self.scope(from).owner;
        let mut in_given = false;
        self.outwards(from).take_while(move |scope| {
            let outside = std::mem::replace(&mut in_given, self.scope(*scope).given);
            !outside && self.scope(*scope).owner == owner
        })
    }

    /// Names of the items of a kind that `from` sees, with their spans, in a fixed order.
    pub fn items_of(&self, from: ScopeId, kind: &str) -> Vec<(&str, Span)> {
        let mut names: Vec<_> = self
            .reach(from)
            .filter_map(|scope| self.scope(scope).items.get(kind))
            .flatten()
            .map(|(name, items)| (&**name, self.items[items[0].at()].span))
            .collect();
        names.sort();
        names
    }

    pub fn has_kind_items(&self, from: ScopeId, kind: &str) -> bool {
        self.reach(from).any(|scope| self.scope(scope).items.contains_key(kind))
    }

    fn lookup<T: Copy>(&self, from: DirId, find: impl Fn(&Directory) -> Option<T>) -> Option<T> {
        find(&self.directories[from.at()]).or_else(|| find(&self.directories[LIBRARY.at()]))
    }

    /// The kind that is written so there: `service`, or `net.vpc` of an import.
    pub fn find_kind(&self, from: DirId, name: &str) -> Option<KindId> {
        match name.split_once('.') {
            None => self.lookup(from, |it| it.kinds.get(name).copied()),
            Some((import, name)) => self.imported(from, import)?.kinds.get(name).copied(),
        }
    }

    /// The type that is written so there: `port`, or `net.port` of an import.
    pub fn find_type(&self, from: DirId, name: &str) -> Option<TypeId> {
        match name.split_once('.') {
            None => self.lookup(from, |it| it.types.get(name).copied()),
            Some((import, name)) => self.imported(from, import)?.types.get(name).copied(),
        }
    }

    /// The directory that has this name in another.
    pub fn imported(&self, from: DirId, import: &str) -> Option<&Directory> {
        match self.directories[from.at()].imports.get(import)?.to {
            Imported::Directory(at) => Some(&self.directories[at.at()]),
            Imported::Stack(_) | Imported::Unread => None,
        }
    }

    /// The `let` that a checked reference means, seen from `from`.
    pub fn let_of(&self, from: ScopeId, place: LetPlace, name: &str) -> Option<LetId> {
        let of_file = |at: usize| self.scope(self.directories.get(at)?.scope?).lets.get(name).copied();
        match place {
            LetPlace::Import(at) => of_file(at as usize),
            LetPlace::Library => of_file(LIBRARY.at()),
            LetPlace::Here | LetPlace::File => self.find_let(from, name),
        }
    }

    pub fn find_function(&self, from: DirId, name: &str) -> Option<FunctionId> {
        self.lookup(from, |it| it.functions.get(name).copied())
    }

    /// All kinds by name, in order; those of imports as `net.vpc`.
    pub fn kind_names(&self, from: DirId) -> Vec<Name> {
        let near = [from, LIBRARY];
        let mut names: Vec<Name> = near.iter().flat_map(|at| self.directories[at.at()].kinds.keys()).cloned().collect();
        for import in self.directories[from.at()].imports.keys() {
            let kinds = self.imported(from, import).into_iter().flat_map(|it| it.kinds.keys());
            names.extend(kinds.map(|kind| Name::from(format!("{import}.{kind}"))));
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// How a kind is written in a directory: its short name there, or through an import; the name in state where neither is.
    pub fn written_kind(&self, from: DirId, kind: KindId) -> Name {
        let entry = &self.kinds[kind.at()];
        let short = &entry.name[self.directories[entry.directory.at()].prefix.len()..];
        if entry.directory == from || entry.directory == LIBRARY {
            return short.into();
        }
        let imports = &self.directories[from.at()].imports;
        let leads = |it: &ImportEntry| it.to == Imported::Directory(entry.directory);
        let mut imports: Vec<&Name> = imports.iter().filter(|(_, it)| leads(it)).map(|(alias, _)| alias).collect();
        imports.sort_unstable();
        imports.first().map_or_else(|| entry.name.clone(), |alias| format!("{alias}.{short}").into())
    }

    /// Whether an item that did not parse, or an import that was not read, may define this.
    pub fn may_be_broken(&self, from: DirId, names: &[&str]) -> bool {
        let directory = &self.directories[from.at()];
        directory.opaque
            || names.first().is_some_and(|first| first.split('.').next().is_some_and(|import| self.is_unread(from, import)))
            || self.broken.iter().any(|words| names.iter().all(|name| words.iter().any(|word| &**word == *name)))
    }

    /// Whether a directory imports something under a name that could not be read.
    pub fn is_unread(&self, from: DirId, import: &str) -> bool {
        self.directories[from.at()].imports.get(import).is_some_and(|it| it.to == Imported::Unread)
    }

    /// Whether `name` is an instance of a declared provider that has a name.
    pub fn named_provider(&self, name: &str) -> Option<&'t tree::Provider> {
        self.providers.iter().map(|(it, _)| *it).find(|it| it.name.as_ref().is_some_and(|given| &*given.node == name))
    }

    /// Whether a provider of that type is declared without a name.
    pub fn declares_provider(&self, ty: &str) -> bool {
        self.providers.iter().any(|(it, _)| it.name.is_none() && &*it.provider.node == ty)
    }
}
